/*
 * session.c
 *	  What the batches of a collection share, kept between transactions.
 *
 * One session is kept: a worker copies one chunk at a time.  It is made anew
 * when it belongs to another collection or user, when a plan, a table, a map, an
 * enum or a role has changed, and after any rollback.  The cursor of a rolled-back
 * transaction is ahead of its checkpoint, and its new ids do not exist, so
 * nothing of it may live on.  Its source, the cursor, is made anew for another
 * chunk, and when the chunk's row does not stand where the session left it;
 * what is known of ids stays true.
 */
#include "postgres.h"
#include "compat.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "load/load.h"
#include "miscadmin.h"
#include "mongo/options.h"
#include "nodes/value.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

PG_FUNCTION_INFO_V1(mm_plan_changed);

static LoadSession *kept = NULL;
static bool in_use = false;		/* a batch is running */
static int	in_use_level;		/* the transaction nesting level of its call */

/*
 * The tables that a session is compiled from, and how often one of them has
 * changed: mm_plan_changed() tells all sessions by the relation cache.  It is
 * counted whether or not a session is kept, because the plan may change while
 * it is compiled.
 */
static const char *const plan_tables[] = {"plan", "plan_target", "plan_column", "id_map"};
static Oid	plan_relids[lengthof(plan_tables)];
static uint64 plan_version = 0;

/*
 * plan_changed(), a trigger of the plan's tables: what was compiled from them
 * is to be compiled anew, by whoever sees the transaction's commit.
 */
Datum
mm_plan_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("plan_changed() must be called as a trigger")));
	CacheInvalidateRelcache(((TriggerData *) fcinfo->context)->tg_relation);
	PG_RETURN_POINTER(NULL);
}

/* Relation-cache callback: a plan, a target or a map may have changed. */
static void
relation_changed(Datum arg, Oid relid)
{
	ListCell   *cell;

	for (int i = 0; i < lengthof(plan_relids); i++)
		plan_version += relid == InvalidOid || relid == plan_relids[i];
	if (kept == NULL)
		return;
	if (relid == InvalidOid)
		kept->stale = true;
	for (int i = 0; i < kept->ntargets; i++)
		kept->stale |= kept->targets[i]->relid == relid;
	foreach(cell, kept->maps)
		kept->stale |= id_map_depends(lfirst(cell), relid);
}

/*
 * Syscache callback: the labels of an enum, which converters know, or what a
 * role may do, by which the way into a table was chosen, may have changed.
 */
static void
catalog_changed(Datum arg, int cacheid, uint32 hash)
{
	plan_version++;
}

/* Lets the kept session go, with its cursor. */
static void
drop_kept(void)
{
	LoadSession *session = kept;

	kept = NULL;
	in_use = false;
	if (session != NULL)
		MemoryContextDelete(session->context);
}

/*
 * Transaction callback.  What is prepared may be rolled back, by whomever; and
 * a transaction of one snapshot may have compiled what has changed since.
 */
static void
transaction_ended(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_ABORT || event == XACT_EVENT_PARALLEL_ABORT || event == XACT_EVENT_PREPARE ||
		(event == XACT_EVENT_COMMIT && IsolationUsesXactSnapshot()))
		drop_kept();
}

/*
 * Subtransaction callback.  Rollbacks below a running batch are its own, or of
 * triggers that it fires.
 */
static void
subtransaction_ended(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	if (event == SUBXACT_EVENT_ABORT_SUB &&
		!(in_use && GetCurrentTransactionNestLevel() > in_use_level))
		drop_kept();
}

/* Registers the callbacks, once. */
static void
watch(void)
{
	static const int catalogs[] = {ENUMOID, AUTHOID, AUTHMEMROLEMEM};
	static bool watching = false;
	Oid			schema = get_namespace_oid("mongo_migrate", false);

	for (int i = 0; i < lengthof(plan_tables); i++)
		plan_relids[i] = get_relname_relid(plan_tables[i], schema);
	if (watching)
		return;
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	for (int i = 0; i < lengthof(catalogs); i++)
		CacheRegisterSyscacheCallback(catalogs[i], catalog_changed, (Datum) 0);
	RegisterXactCallback(transaction_ended, NULL);
	RegisterSubXactCallback(subtransaction_ended, NULL);
	watching = true;
}

/*
 * What a sync of the server is past, no event tells any more: reads are to see
 * it, though the member of the set that is read may be behind.
 */
static void
read_after_sync(LoadSession *session)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[1] = {NAMEOID};
	Datum		values[1] = {NameGetDatum(&session->server)};
	bool		isnull;

	SPI_connect();
	statement_execute(&plan,
					  "SELECT cluster_time FROM mongo_migrate.sync"
					  " WHERE server OPERATOR(pg_catalog.=) $1", 1, types, values, NULL);
	if (SPI_processed > 0)
	{
		Datum		time = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1, &isnull);

		session->after = Max(session->after, DatumGetInt64(time));
	}
	SPI_finish();
}

/*
 * Has the texts of documents read by the settings of their plan, until
 * AtEOXact_GUC(false, ...) with what is returned.
 */
int
load_settings_begin(Name server, const char *collection)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[2] = {NAMEOID, TEXTOID};
	Datum		values[2] = {NameGetDatum(server), CStringGetTextDatum(collection)};
	int			level = NewGUCNestLevel();

	SPI_connect();
	statement_execute(&plan, "SELECT mongo_migrate.set_plan_settings($1, $2)", 2, types, values, NULL);
	SPI_finish();
	return level;
}

/*
 * Makes a session in a context of its own below parent, without a source.
 * Throws for what is wrong with server, plan, tables or maps.
 */
LoadSession *
load_session_create(Name server, const char *collection, int chunk, MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "load session", ALLOCSET_DEFAULT_SIZES);
	LoadSession *session = MemoryContextAllocZero(context, sizeof(LoadSession));

	session->context = context;
	session->batch_context = AllocSetContextCreate(context, "load batch", ALLOCSET_DEFAULT_SIZES);
	session->server = *server;
	session->collection = MemoryContextStrdup(context, collection);
	session->chunk = chunk;
	session->serverid = mongo_server_oid(NameStr(*server));
	session->userid = GetUserId();
	session->connection = mongo_connect(session->serverid, session->userid);
	session->plan_version = plan_version;
	read_after_sync(session);
	load_plan_compile(session);
	return session;
}

/*
 * Locks the session's tables for the rest of the transaction, so that what it
 * knows of them stays true; then says whether it is true now.
 */
static bool
still_true(LoadSession *session)
{
	ListCell   *cell;

	for (int i = 0; i < session->ntargets; i++)
		if (session->targets[i]->included)
			LockRelationOid(session->targets[i]->relid, RowExclusiveLock);
	foreach(cell, session->maps)
		LockRelationOid(id_map_relid(lfirst(cell)), RowExclusiveLock);
	return !session->stale && session->plan_version == plan_version;
}

/*
 * Throws when a table that the collection's documents were copied into has no
 * rows any more: the rest would be taken for all.  Of Citus's tables only the
 * beginning of a run asks: after a read of all shards, their transaction could
 * not write to its reference tables.
 */
static void
require_filled(LoadSession *session)
{
	for (int i = 0; i < session->ntargets; i++)
		if (session->targets[i]->distributed)
			return;
	SPI_connect();
	collection_query(session, session->collection, "SELECT mongo_migrate.require_filled($1, $2)");
	SPI_finish();
}

/* Lets the source go. */
static void
end_chunk(LoadSession *session)
{
	if (session->source != NULL)
		source_close(session->source);
	session->source = NULL;
	if (session->last_id != NULL)
		pfree(session->last_id);
	session->last_id = NULL;
}

static bool
same_bytes(const bytea *a, const bytea *b)
{
	return a == NULL || b == NULL ? a == b : key_compare(a, b) == 0;
}

/* Has the source stand where the row of the chunk does. */
static void
begin_chunk(LoadSession *session, int chunk, const Checkpoint *checkpoint)
{
	end_chunk(session);
	for (int i = 0; i < session->ntargets; i++)
		session->targets[i]->filled = list_member(checkpoint->filled, makeString(session->targets[i]->name));
	session->chunk = chunk;
	session->last_id = bytes_copy(checkpoint->last_id, session->context);
	read_after_sync(session);
	session->source = source_open(session, checkpoint);
}

/*
 * The session for a batch of a chunk, whose row is locked and as in
 * checkpoint: the kept one, or a new one.  To be ended by load_session_end();
 * an ERROR before drops it.
 */
LoadSession *
load_session_begin(Name server, const char *collection, int chunk, const Checkpoint *checkpoint)
{
	LoadSession *session;

	if (in_use)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("a batch cannot be copied from within another one")));
	if (kept != NULL &&
		(strcmp(kept->collection, collection) != 0 ||
		 kept->serverid != mongo_server_oid(NameStr(*server)) ||
		 kept->userid != GetUserId()))
		drop_kept();
	if (kept != NULL && !still_true(kept))
		drop_kept();
	if (kept != NULL && mongo_connect(kept->serverid, kept->userid) != kept->connection)
		drop_kept();
	if (kept == NULL)
	{
		watch();
		session = load_session_create(server, collection, chunk, CurrentMemoryContext);
		require_filled(session);
		MemoryContextSetParent(session->context, TopMemoryContext);
		kept = session;
	}
	if (kept->source == NULL || kept->chunk != chunk || !same_bytes(kept->last_id, checkpoint->last_id))
		begin_chunk(kept, chunk, checkpoint);
	in_use = true;
	in_use_level = GetCurrentTransactionNestLevel();
	return kept;
}

/* Ends a batch: the chunk's row now has last_id, and the source has no more when it is complete. */
void
load_session_end(LoadSession *session, const bytea *last_id, bool complete)
{
	in_use = false;
	if (complete)
		end_chunk(session);
	else if (last_id != NULL)
	{
		if (session->last_id != NULL)
			pfree(session->last_id);
		session->last_id = bytes_copy(last_id, session->context);
	}
	batch_start(session);
}

/*
 * modify.c
 *	  Executing writes to a foreign table.
 *
 * Rows are held back and sent in batches, unless they are wanted at once: for RETURNING,
 * for triggers, for views with a check option.  Whatever is held back is sent
 * before the next cursor opens, before another statement writes, such as that of
 * a trigger, and at the statement's end.
 */
#include "postgres.h"
#include "compat.h"

#include "access/htup_details.h"
#include "bson/key.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "fdw/early.h"
#include "fdw/fdw.h"
#include "fdw/modify.h"
#include "miscadmin.h"
#include "owned.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* Rows that the executor collects at most: it makes room for all of them. */
#define MAX_COLLECTED	100000

/* In ResultRelInfo.ri_FdwState. */
typedef struct FdwModifyState
{
	MongoPending pending;		/* must be first */
	bool		has_begun;		/* there was a row to write */
	const ModifyTableState *node;	/* of whose rows these are */
	MemoryContextCallback callback; /* forgets the pending writes */
	Relation	relation;
	MongoTableOptions *table;
	MongoConnection *connection;
	CmdType		operation;
	bool		do_nothing;		/* ON CONFLICT DO NOTHING */
	Writer	   *writer;
	WriteBatch *batch;
	RowReader  *reader;			/* for rows that are returned; made when
								 * needed */
	MemoryContext context;		/* of the state */
	MemoryContext scratch;		/* of a row or a batch of inserts */

	/* updates and deletes */
	AttrNumber	id_junk;		/* of the row identity in the plan's slot */
	AttrNumber	row_junk;		/* of the old row, or 0 */
	Oid			id_type;
	Filter		id_filter;		/* _id = comparand */
	Encoder    *id_encoder;		/* of a json _id, else NULL */
	bool	   *changed;		/* by attnum - 1: is it among SET */
	bool		compares;		/* a trigger may have changed others */
	HTAB	   *written;		/* the rows that were, by RowHash; NULL where
								 * none comes twice */
} FdwModifyState;

/* Whose rows were held back last. */
static const ModifyTableState *last_node = NULL;

/* Of what finds a row again: so long that no two rows have the same. */
typedef struct RowHash
{
	uint64		parts[2];
} RowHash;

/* Throws for a row whose _id stands for several. */
static void
throw_several(FdwModifyState *state)
{
	ereport(ERROR,
			(errcode(ERRCODE_CARDINALITY_VIOLATION),
			 errmsg("a row of foreign table \"%s\" stands for several documents",
					RelationGetRelationName(state->relation)),
			 errdetail("Their _id is the same in the type of the column."),
			 errhint("Give the column a type that tells them apart, such as mongo_migrate.objectid or json.")));
}

/* Sends what is held back. */
static void
flush(FdwModifyState *state)
{
	int			expected = write_batch_count(state->batch);
	int64		found = write_batch_send(state->batch);

	if (found > expected)
		throw_several(state);
	if (found < expected && state->operation == CMD_UPDATE &&
		mongo_connection_transactional(state->connection))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("a document of foreign table \"%s\" is not there any more",
						RelationGetRelationName(state->relation))));
}

/* MongoPending's callbacks. */
static void
flush_pending(MongoPending *pending)
{
	flush((FdwModifyState *) pending);
}

/*
 * Rows of an INSERT that goes on are none of what its query reads, or functions
 * that it calls: those are not to be sent for each of them.  COPY has no query.
 */
static bool
pending_is_hidden(const MongoPending *pending)
{
	const FdwModifyState *state = (const FdwModifyState *) pending;

	return state->operation == CMD_INSERT && state->node->ps.plan != NULL && !state->node->mt_done;
}

/* Memory-context callback: after an error nothing is to be sent any more. */
static void
forget_pending(void *arg)
{
	mongo_pending_remove(arg);
}

/*
 * Sends, before a row is held back, what another part of the statement has held
 * back; that of other partitions stays.
 */
static void
keep_order(FdwModifyState *state)
{
	if (state->node != last_node)
		mongo_pending_flush();
	last_node = state->node;
}

/* What all writes need. */
static FdwModifyState *
state_create(ModifyTableState *node, Relation relation, CmdType operation, List *columns,
			 bool do_nothing, Oid userid)
{
	MemoryContext context = AllocSetContextCreate(node->ps.state->es_query_cxt, "mongo modify",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	FdwModifyState *state = palloc0(sizeof(FdwModifyState));

	/* What a statement around this one has written comes first. */
	mongo_pending_flush();
	state->context = context;
	state->node = node;
	state->relation = relation;
	state->operation = operation;
	state->do_nothing = do_nothing;
	state->table = mongo_table_options(RelationGetRelid(relation));
	state->scratch = AllocSetContextCreate(context, "mongo modify row", ALLOCSET_DEFAULT_SIZES);
	state->writer = writer_create(relation, columns, state->table);
	state->connection = mongo_connect(GetForeignTable(RelationGetRelid(relation))->serverid, userid);
	state->batch = write_batch_create(state->connection, state->table->collection, operation, context);

	/* Then the scans of the statement read in the transaction too. */
	mongo_transaction_begin(state->connection);
	state->pending.flush = flush_pending;
	state->pending.is_hidden = pending_is_hidden;
	state->callback.func = forget_pending;
	state->callback.arg = state;
	mongo_pending_add(&state->pending);
	MemoryContextRegisterResetCallback(context, &state->callback);
	MemoryContextSwitchTo(old);
	return state;
}

/* May a plan return a row of the table twice?  Scans do not, joins may. */
static bool
may_repeat(const Plan *plan)
{
	if (IsA(plan, ForeignScan))
		return false;
	if ((IsA(plan, Result) || IsA(plan, Sort)) && outerPlan(plan) != NULL)
		return may_repeat(outerPlan(plan));
	if (IsA(plan, Append))
	{
		ListCell   *lc;

		foreach(lc, ((const Append *) plan)->appendplans)
		{
			const Plan *child = lfirst(lc);

			if (!IsA(child, SeqScan) && may_repeat(child))
				return true;
		}
		return false;
	}
	return true;
}

static HTAB *
written_create(MemoryContext context)
{
	HASHCTL		control = {
		.keysize = sizeof(RowHash),
		.entrysize = sizeof(RowHash),
		.hcxt = context
	};

	return hash_create("written rows", 1024, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * Was the row that a selector finds written by the statement before?  As in
 * PostgreSQL, that is not done twice.
 */
static bool
is_written(FdwModifyState *state, const bson_t *selector)
{
	RowHash		hash;
	bool		found;

	if (state->written == NULL)
		return false;
	for (int i = 0; i < lengthof(hash.parts); i++)
		hash.parts[i] = hash_bytes_extended(bson_get_data(selector), selector->len, i + 1);
	(void) hash_search(state->written, &hash, HASH_ENTER, &found);
	return found;
}

/* What updates and deletes need besides. */
static void
state_find_rows(FdwModifyState *state, Plan *subplan, List *set)
{
	MemoryContext old = MemoryContextSwitchTo(state->context);
	AttrNumber	attnum = modify_id_column(state->relation, state->table);
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(state->relation), attnum - 1);
	ListCell   *lc;

	state->id_junk = ExecFindJunkAttributeInTlist(subplan->targetlist, modify_id_name(attribute));
	if (!AttributeNumberIsValid(state->id_junk))
		elog(ERROR, "could not find the row identity of foreign table \"%s\"",
			 RelationGetRelationName(state->relation));
	state->row_junk = ExecFindJunkAttributeInTlist(subplan->targetlist, "wholerow");
	state->id_type = getBaseType(attribute->atttypid);
	state->id_filter.kind = FILTER_COMPARE;
	state->id_filter.path = "_id";
	state->id_filter.form = filter_type_form(state->id_type);
	state->id_filter.strategy = BTEqualStrategyNumber;
	state->id_filter.comparand_type = state->id_type;
	if (state->id_filter.form == FORM_NONE)
		state->id_encoder = encoder_create(state->id_type, NULL);

	state->changed = palloc0(RelationGetDescr(state->relation)->natts * sizeof(bool));
	foreach(lc, set)
		state->changed[lfirst_int(lc) - 1] = true;
	state->compares = state->writer->ncolumns > list_length(set) && state->row_junk > 0;
	if (may_repeat(subplan))
		state->written = written_create(state->context);
	MemoryContextSwitchTo(old);
}

/* Sets INSERT, UPDATE or DELETE up. */
void
fdw_begin_modify(ModifyTableState *mtstate, ResultRelInfo *resultRelInfo, List *private,
				 int subplan_index, int eflags)
{
	EState	   *estate = mtstate->ps.state;
	Oid			userid = MM_RESULT_CHECK_AS_USER(resultRelInfo, estate);
	FdwModifyState *state;

	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	state = state_create(mtstate, resultRelInfo->ri_RelationDesc, mtstate->operation,
						 list_nth(private, MODIFY_COLUMNS),
						 boolVal(list_nth(private, MODIFY_DO_NOTHING)),
						 OidIsValid(userid) ? userid : GetUserId());
	if (mtstate->operation != CMD_INSERT)
		state_find_rows(state, outerPlanState(mtstate)->plan, list_nth(private, MODIFY_SET_COLUMNS));
	resultRelInfo->ri_FdwState = state;
}

/*
 * Sets COPY FROM, or rows that are routed to a partition, up.  A statement that
 * updates the partition as well would update those rows again.
 */
void
fdw_begin_insert(ModifyTableState *mtstate, ResultRelInfo *resultRelInfo)
{
	EState	   *estate = mtstate->ps.state;
	ModifyTable *plan = (ModifyTable *) mtstate->ps.plan;
	Relation	relation = resultRelInfo->ri_RelationDesc;
	Oid			userid = MM_RESULT_CHECK_AS_USER(resultRelInfo, estate);

	if (resultRelInfo->ri_FdwState != NULL || resultRelInfo->ri_usesFdwDirectModify)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot route tuples into foreign table to be updated \"%s\"",
						RelationGetRelationName(relation))));
	resultRelInfo->ri_FdwState =
		state_create(mtstate, relation, CMD_INSERT, modify_all_columns(relation),
					 plan != NULL && plan->onConflictAction == ONCONFLICT_NOTHING,
					 OidIsValid(userid) ? userid : GetUserId());
}

/*
 * Rows that the executor is to collect for an insert.  It counts them, however
 * large they are, so that we do that ourselves; but for ON CONFLICT DO NOTHING,
 * where it must be told at once which of them were inserted.
 */
int
fdw_modify_batch_size(ResultRelInfo *resultRelInfo)
{
	FdwModifyState *state = resultRelInfo->ri_FdwState;

	if (state == NULL || !state->do_nothing || modify_is_immediate(resultRelInfo, CMD_INSERT))
		return 1;
	return Min(state->table->batch_size, MAX_COLLECTED);
}

/* To be called before a row is written: what the statement reads is to be as it was. */
static void
begin_writing(FdwModifyState *state, EState *estate)
{
	if (!state->has_begun)
		early_scans_start(estate);
	state->has_begun = true;
}

/*
 * Throws for a row that is not of the partition.  PostgreSQL does not look where
 * that is a foreign table, unless it has chosen the partition for a new row; and
 * the row would be lost to queries that look into one partition.
 */
static void
check_partition(EState *estate, ResultRelInfo *resultRelInfo, TupleTableSlot *slot, CmdType operation)
{
	Relation	relation = resultRelInfo->ri_RelationDesc;

	if (!relation->rd_rel->relispartition || ExecPartitionCheck(resultRelInfo, slot, estate, false))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_CHECK_VIOLATION),
			 errmsg("new row for foreign table \"%s\" violates partition constraint",
					RelationGetRelationName(relation)),
			 operation == CMD_UPDATE ?
			 errdetail("No row is moved from a foreign table to another partition.") : 0,
			 operation == CMD_UPDATE ?
			 errhint("Delete the row, and insert it into the partitioned table.") : 0));
}

/* Was the partition chosen for the rows as they are, and not before a trigger changed them? */
static bool
is_routed(ResultRelInfo *resultRelInfo)
{
	TriggerDesc *triggers = resultRelInfo->ri_TrigDesc;

	return resultRelInfo->ri_RootResultRelInfo != NULL &&
		(triggers == NULL || !triggers->trig_insert_before_row);
}

/*
 * Throws for a row that must not be written: to this partition, or at all, by
 * the row security of the table that was named, of which PostgreSQL looks at
 * nothing but the views' check options where a foreign table is written.
 */
static void
check_row(FdwModifyState *state, EState *estate, ResultRelInfo *resultRelInfo, TupleTableSlot *slot)
{
	if (state->operation == CMD_UPDATE || !is_routed(resultRelInfo))
		check_partition(estate, resultRelInfo, slot, state->operation);
	/* A row that is moved here is an update's. */
	if (resultRelInfo->ri_WithCheckOptions != NIL)
		ExecWithCheckOptions(state->node->operation == CMD_UPDATE ?
							 WCO_RLS_UPDATE_CHECK : WCO_RLS_INSERT_CHECK,
							 resultRelInfo, slot, estate);
}

/* Puts a document into a slot as a scan would read it.  Called in the memory of a row. */
static void
read_back(FdwModifyState *state, const bson_t *document, TupleTableSlot *slot)
{
	TupleDesc	tupdesc = RelationGetDescr(state->relation);
	Datum	   *values = palloc0(tupdesc->natts * sizeof(Datum));
	bool	   *nulls = palloc(tupdesc->natts * sizeof(bool));
	MemoryContext old;
	HeapTuple	tuple;

	if (state->reader == NULL)
	{
		old = MemoryContextSwitchTo(state->context);
		state->reader = row_reader_create(state->relation, modify_all_columns(state->relation),
										  state->table);
		MemoryContextSwitchTo(old);
	}
	memset(nulls, true, tupdesc->natts * sizeof(bool));
	row_reader_read(state->reader, document, values, nulls);
	old = MemoryContextSwitchTo(slot->tts_mcxt);
	tuple = heap_form_tuple(tupdesc, values, nulls);
	MemoryContextSwitchTo(old);

	/*
	 * A row is of no transaction; else system columns would have what a datum
	 * has there.
	 */
	HeapTupleHeaderSetXmin(tuple->t_data, InvalidTransactionId);
	HeapTupleHeaderSetXmax(tuple->t_data, InvalidTransactionId);
	HeapTupleHeaderSetCmin(tuple->t_data, InvalidTransactionId);
	ExecForceStoreHeapTuple(tuple, slot, true);
}

/*
 * Inserts rows; returns those that were inserted, and in *count how many.  The
 * array is good until the next call.
 */
TupleTableSlot **
fdw_insert_batch(EState *estate, ResultRelInfo *resultRelInfo, TupleTableSlot **slots,
				 TupleTableSlot **plan_slots, int *count)
{
	FdwModifyState *state = resultRelInfo->ri_FdwState;
	bool		returns = modify_is_immediate(resultRelInfo, CMD_INSERT);
	MemoryContext old;
	List	   *documents = NIL;
	TupleTableSlot **result;	/* the executor's array stays as it is */
	bool	   *new = NULL;
	int			inserted = 0;

	MemoryContextReset(state->scratch);
	old = MemoryContextSwitchTo(state->scratch);
	begin_writing(state, estate);
	for (int i = 0; i < *count; i++)
	{
		check_row(state, estate, resultRelInfo, slots[i]);
		documents = lappend(documents, writer_document(state->writer, slots[i]));
	}
	if (state->do_nothing)
		new = write_find_new(state->connection, state->table->collection, documents);
	for (int i = 0; i < *count; i++)
	{
		if (new != NULL && !new[i])
			continue;
		write_batch_add(state->batch, list_nth(documents, i), NULL, false);
		if (write_batch_is_full(state->batch, *count))
			write_batch_send(state->batch);
	}
	write_batch_send(state->batch);

	result = palloc(*count * sizeof(TupleTableSlot *));
	for (int i = 0; i < *count; i++)
	{
		if (new != NULL && !new[i])
			continue;
		if (returns)
			read_back(state, list_nth(documents, i), slots[i]);
		result[inserted++] = slots[i];
	}
	MemoryContextSwitchTo(old);
	*count = inserted;
	return result;
}

/* Holds an insert back, to send it with others. */
static void
hold_insert(FdwModifyState *state, EState *estate, ResultRelInfo *resultRelInfo, TupleTableSlot *slot)
{
	MemoryContext old;

	MemoryContextReset(state->scratch);
	old = MemoryContextSwitchTo(state->scratch);
	begin_writing(state, estate);
	check_row(state, estate, resultRelInfo, slot);
	keep_order(state);
	write_batch_add(state->batch, writer_document(state->writer, slot), NULL, false);
	if (write_batch_is_full(state->batch, state->table->batch_size))
		flush(state);
	MemoryContextSwitchTo(old);
}

/* Inserts a row; NULL when it was not inserted. */
TupleTableSlot *
fdw_insert(EState *estate, ResultRelInfo *resultRelInfo, TupleTableSlot *slot,
		   TupleTableSlot *plan_slot)
{
	FdwModifyState *state = resultRelInfo->ri_FdwState;
	int			count = 1;

	if (!state->do_nothing && !modify_is_immediate(resultRelInfo, CMD_INSERT))
	{
		hold_insert(state, estate, resultRelInfo, slot);
		return slot;
	}
	fdw_insert_batch(estate, resultRelInfo, &slot, &plan_slot, &count);
	return count == 1 ? slot : NULL;
}

/* The match document of the row at hand. */
static bson_t *
row_selector(FdwModifyState *state, TupleTableSlot *plan_slot)
{
	FilterValue value = {.known = true};
	bson_t	   *selector;

	value.value = ExecGetJunkAttribute(plan_slot, state->id_junk, &value.isnull);
	if (value.isnull)
	{
		selector = owned_bson_new(CurrentMemoryContext);
		bson_append_null(selector, "_id", -1);
	}
	else if (state->id_encoder != NULL)
	{
		ConvertStatus status;
		bson_t		inner;

		selector = owned_bson_new(CurrentMemoryContext);
		bson_append_document_begin(selector, "_id", -1, &inner);
		status = state->id_encoder->encode(state->id_encoder, value.value, &inner, "$eq", 3);
		bson_append_document_end(selector, &inner);
		if (status != CONVERT_OK)
			ereport(ERROR,
					(errcode(convert_sqlstate(status)),
					 errmsg("%s", encode_message(status, state->id_encoder, value.value)),
					 errdetail("It is the _id of a row of foreign table \"%s\".",
							   RelationGetRelationName(state->relation))));
	}
	else
	{
		if (state->id_filter.form == FORM_TEXT)
			value.value = CStringGetTextDatum(mongo_utf8(TextDatumGetCString(value.value)));
		selector = filter_to_bson(&state->id_filter, &value);
	}
	if (selector == NULL)
		elog(ERROR, "no document can have the _id of the row");
	return selector;
}

/*
 * Throws where a selector finds several documents.  To be called where just one
 * of them would be written; else flush() counts them.
 */
static void
check_single(FdwModifyState *state, const bson_t *selector)
{
	bson_t	   *options;
	MongoCursor *cursor;
	bson_iter_t id;
	bson_iter_t operator;

	/* A value, and $eq, are one _id. */
	if (!bson_iter_init_find(&id, selector, "_id") || !BSON_ITER_HOLDS_DOCUMENT(&id) ||
		!bson_iter_recurse(&id, &operator) || bson_iter_find(&operator, "$eq"))
		return;
	options = owned_bson_new(CurrentMemoryContext);
	BCON_APPEND(options, "limit", BCON_INT64(2), "projection", "{", "_id", BCON_INT32(1), "}");
	cursor = mongo_find(state->connection, state->table->collection, selector, options,
						CurrentMemoryContext);
	if (mongo_cursor_next(cursor) != NULL && mongo_cursor_next(cursor) != NULL)
		throw_several(state);
	mongo_cursor_close(cursor);
}

/* Which columns an update changes: those of SET, and what a trigger has changed besides. */
static bool *
changed_columns(FdwModifyState *state, TupleTableSlot *slot, TupleTableSlot *plan_slot)
{
	TupleDesc	tupdesc = RelationGetDescr(state->relation);
	bool	   *changed;
	Datum		row;
	bool		null;
	HeapTupleData tuple;
	Datum	   *values;
	bool	   *nulls;

	if (!state->compares)
		return state->changed;
	row = ExecGetJunkAttribute(plan_slot, state->row_junk, &null);
	Assert(!null);				/* the executor has looked */
	tuple.t_data = DatumGetHeapTupleHeader(row);
	tuple.t_len = HeapTupleHeaderGetDatumLength(tuple.t_data);
	values = palloc(tupdesc->natts * sizeof(Datum));
	nulls = palloc(tupdesc->natts * sizeof(bool));
	heap_deform_tuple(&tuple, tupdesc, values, nulls);
	slot_getallattrs(slot);
	changed = palloc(tupdesc->natts * sizeof(bool));
	for (int i = 0; i < tupdesc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);

		changed[i] = state->changed[i] || nulls[i] != slot->tts_isnull[i] ||
			(!nulls[i] && !datumIsEqual(values[i], slot->tts_values[i], attribute->attbyval,
										attribute->attlen));
	}
	return changed;
}

/* Adds the condition that array positions which an update sets are there. */
static void
add_guards(bson_t *selector, List *guards)
{
	ListCell   *lc;

	foreach(lc, guards)
		BCON_APPEND(selector, strVal(lfirst(lc)), "{", "$exists", BCON_BOOL(true), "}");
}

/*
 * Writes what a selector finds: with others, or at once, which gives the
 * document, NULL where there is none.  Without an update it is deleted.
 */
static bson_t *
write_row(FdwModifyState *state, const bson_t *selector, const WriterUpdate *update, bool at_once)
{
	if (at_once)
	{
		flush(state);
		return write_one(state->connection, state->table->collection, selector,
						 update == NULL ? NULL : update->update);
	}
	keep_order(state);
	write_batch_add(state->batch, selector, update == NULL ? NULL : update->update,
					update != NULL && update->replaces);
	if (write_batch_is_full(state->batch, state->table->batch_size))
		flush(state);
	return NULL;
}

/* Updates a row, now or with others. */
TupleTableSlot *
fdw_update(EState *estate, ResultRelInfo *resultRelInfo, TupleTableSlot *slot,
		   TupleTableSlot *plan_slot)
{
	FdwModifyState *state = resultRelInfo->ri_FdwState;
	MemoryContext old = MemoryContextSwitchTo(state->scratch);
	bson_t	   *selector = row_selector(state, plan_slot);
	bson_t	   *document;
	bool		returns = modify_is_immediate(resultRelInfo, CMD_UPDATE);
	bool		repeated;
	bool		at_once;
	bool		gone;
	WriterUpdate update;

	repeated = is_written(state, selector);
	if (!repeated)
		writer_update(state->writer, slot, changed_columns(state, slot, plan_slot), &update);
	if (repeated || update.update == NULL)
	{
		MemoryContextSwitchTo(old);
		MemoryContextReset(state->scratch);
		return repeated ? NULL : slot;
	}
	check_row(state, estate, resultRelInfo, slot);
	begin_writing(state, estate);
	at_once = returns || update.guards != NIL;
	if (at_once || update.replaces)
		check_single(state, selector);
	add_guards(selector, update.guards);
	document = write_row(state, selector, &update, at_once);
	gone = at_once && document == NULL;
	if (gone && update.guards != NIL)
		ereport(ERROR,
				(errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
				 errmsg("a row of foreign table \"%s\" has no field \"%s\" to update",
						RelationGetRelationName(state->relation), strVal(linitial(update.guards))),
				 errdetail("Positions of arrays are updated where they are, and never created."),
				 errhint("Update the array as a whole, through another column.")));
	if (returns && !gone)
		read_back(state, document, slot);
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->scratch);
	return gone ? NULL : slot;
}

/* Deletes a row, now or with others. */
TupleTableSlot *
fdw_delete(EState *estate, ResultRelInfo *resultRelInfo, TupleTableSlot *slot,
		   TupleTableSlot *plan_slot)
{
	FdwModifyState *state = resultRelInfo->ri_FdwState;
	MemoryContext old = MemoryContextSwitchTo(state->scratch);
	bool		returns = modify_is_immediate(resultRelInfo, CMD_DELETE);
	bson_t	   *selector = row_selector(state, plan_slot);
	bool		repeated = is_written(state, selector);
	bson_t	   *document = NULL;

	begin_writing(state, estate);
	if (!repeated && returns)
		check_single(state, selector);
	if (!repeated)
		document = write_row(state, selector, NULL, returns);
	if (document != NULL)
		read_back(state, document, slot);
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->scratch);
	return repeated || (returns && document == NULL) ? NULL : slot;
}

/* Sends the rest, and ends. */
void
fdw_end_modify(EState *estate, ResultRelInfo *resultRelInfo)
{
	FdwModifyState *state = resultRelInfo->ri_FdwState;

	if (state == NULL)
		return;
	flush(state);
	MemoryContextDelete(state->context);
	resultRelInfo->ri_FdwState = NULL;
}

/* TRUNCATE: deletes all documents of the collections, in the transaction. */
void
fdw_truncate(List *relations, DropBehavior behavior, bool restart_sequences)
{
	bson_t	   *everything = owned_bson_new(CurrentMemoryContext);
	ListCell   *lc;

	mongo_pending_flush();
	foreach(lc, relations)
	{
		Relation	relation = lfirst(lc);
		MongoTableOptions *table = mongo_table_options(RelationGetRelid(relation));
		MongoConnection *connection;
		WriteBatch *batch;

		if (!table->truncatable)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("foreign table \"%s\" does not allow truncates",
							RelationGetRelationName(relation))));
		connection = mongo_connect(GetForeignTable(RelationGetRelid(relation))->serverid, GetUserId());
		batch = write_batch_create(connection, table->collection, CMD_DELETE, CurrentMemoryContext);
		write_batch_many(batch, false);
		write_batch_add(batch, everything, NULL, false);
		write_batch_send(batch);
	}
}

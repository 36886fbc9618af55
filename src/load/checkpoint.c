/*
 * checkpoint.c
 *	  Where a chunk stands: its row in mongo_migrate.chunk.
 *
 * The row is locked from a batch's start to the end of the transaction, and
 * moved together with the rows of the batch: two workers cannot have the same
 * chunk, and a crash leaves neither a hole nor a duplicate.
 */
#include "postgres.h"
#include "compat.h"

#include "catalog/pg_type.h"
#include "load/load.h"
#include "nodes/value.h"
#include "utils/array.h"
#include "utils/builtins.h"

/* Executes a statement that is prepared once a session; *plan is NULL before the first call. */
void
statement_execute(SPIPlanPtr *plan, const char *query, int nargs, Oid *types, Datum *values,
				  const char *nulls)
{
	if (*plan == NULL)
	{
		*plan = SPI_prepare(query, nargs, types);
		if (*plan == NULL)
			elog(ERROR, "cannot prepare \"%s\": %s", query, SPI_result_code_string(SPI_result));
		SPI_keepplan(*plan);
	}
	SPI_execute_plan(*plan, values, nulls, false, 0);
}

/*
 * Runs a statement whose parameters are the session's server and a collection.
 * Needs an SPI connection; stays in the current context, where SPI leaves its own.
 */
SPITupleTable *
collection_query(LoadSession *session, const char *collection, const char *query)
{
	MemoryContext context = CurrentMemoryContext;
	Oid			types[2] = {NAMEOID, TEXTOID};
	Datum		values[2] = {NameGetDatum(&session->server), CStringGetTextDatum(collection)};

	SPI_execute_with_args(query, 2, types, values, NULL, false, 0);
	MemoryContextSwitchTo(context);
	return SPI_tuptable;
}

/* A bytea of the current SPI result in context, or NULL. */
static bytea *
result_bytes(int column, MemoryContext context)
{
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull);

	return isnull ? NULL : bytes_copy(DatumGetByteaPP(value), context);
}

/* A boolean of the current SPI result. */
static bool
result_bool(int column)
{
	bool		isnull;

	return DatumGetBool(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, column, &isnull));
}

/* The texts of an array of the current SPI result, as String nodes in context. */
static List *
result_strings(int column, MemoryContext context)
{
	bool		isnull;
	Datum	   *elements;
	int			nelements;
	List	   *strings = NIL;
	MemoryContext old;

	deconstruct_array(DatumGetArrayTypeP(SPI_getbinval(SPI_tuptable->vals[0], SPI_tuptable->tupdesc,
													   column, &isnull)),
					  TEXTOID, -1, false, TYPALIGN_INT, &elements, NULL, &nelements);
	old = MemoryContextSwitchTo(context);
	for (int i = 0; i < nelements; i++)
		strings = lappend(strings, makeString(TextDatumGetCString(elements[i])));
	MemoryContextSwitchTo(old);
	return strings;
}

/*
 * Locks a chunk's row and reads it, into the current context.  Throws
 * ERRCODE_LOCK_NOT_AVAILABLE when another transaction has it.
 */
Checkpoint *
checkpoint_lock(Name server, const char *collection, int chunk)
{
	static SPIPlanPtr plan = NULL;
	MemoryContext context = CurrentMemoryContext;
	Checkpoint *checkpoint = palloc0(sizeof(Checkpoint));
	Oid			types[3] = {NAMEOID, TEXTOID, INT4OID};
	Datum		values[3] = {NameGetDatum(server), CStringGetTextDatum(collection), Int32GetDatum(chunk)};

	SPI_connect();
	statement_execute(&plan,
					  "SELECT lower_id, upper_id, last_id, catching_up, complete, filled"
					  "  FROM mongo_migrate.chunk"
					  " WHERE server OPERATOR(pg_catalog.=) $1 AND collection OPERATOR(pg_catalog.=) $2"
					  "   AND chunk OPERATOR(pg_catalog.=) $3"
					  "   FOR NO KEY UPDATE NOWAIT", 3, types, values, NULL);
	if (SPI_processed == 0)
		ereport(ERROR,
				(errcode(ERRCODE_NO_DATA_FOUND),
				 errmsg("collection \"%s\" of server \"%s\" has no chunk %d",
						collection, NameStr(*server), chunk),
				 errhint("Chunks are made by mongo_migrate.migrate_collection().")));
	checkpoint->lower_id = result_bytes(1, context);
	checkpoint->upper_id = result_bytes(2, context);
	checkpoint->last_id = result_bytes(3, context);
	checkpoint->catching_up = result_bool(4);
	checkpoint->complete = result_bool(5);
	checkpoint->filled = result_strings(6, context);
	SPI_finish();
	return checkpoint;
}

/*
 * Has what is left of the collection's chunks look for rows that are there
 * already, before a document that is ahead of them is copied.  Throws where
 * another session is copying them.
 */
void
checkpoints_catch_up(LoadSession *session)
{
	static const char *const statements[] = {
		"SELECT mongo_migrate.lock_collection($1, $2) WHERE EXISTS (SELECT FROM mongo_migrate.chunk"
		" WHERE server OPERATOR(pg_catalog.=) $1 AND collection OPERATOR(pg_catalog.=) $2"
		"   AND NOT complete AND NOT catching_up)",
		"UPDATE mongo_migrate.chunk SET catching_up = true"
		" WHERE server OPERATOR(pg_catalog.=) $1 AND collection OPERATOR(pg_catalog.=) $2"
		"   AND NOT complete AND NOT catching_up"
	};

	SPI_connect();
	for (int i = 0; i < lengthof(statements); i++)
		collection_query(session, session->collection, statements[i]);
	SPI_finish();
}

/* The names of targets, as text[]. */
static Datum
target_names(const List *targets)
{
	Datum	   *names = palloc(Max(list_length(targets), 1) * sizeof(Datum));

	for (int i = 0; i < list_length(targets); i++)
		names[i] = CStringGetTextDatum(((LoadTarget *) list_nth(targets, i))->name);
	return PointerGetDatum(construct_array(names, list_length(targets), TEXTOID, -1, false, TYPALIGN_INT));
}

/*
 * Moves a chunk's row by what a batch did.  last_id is NULL when the batch had
 * no document.
 */
void
checkpoint_move(LoadSession *session, const LoadCounts *counts, const bytea *last_id, bool complete)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[13] = {
		NAMEOID, TEXTOID, INT4OID, BYTEAOID,
		INT8OID, INT8OID, INT8OID, INT8OID, INT8OID, BOOLOID, INT8OID, INT8OID, TEXTARRAYOID
	};
	Datum		values[13] = {
		NameGetDatum(&session->server), CStringGetTextDatum(session->collection),
		Int32GetDatum(session->chunk), PointerGetDatum(last_id),
		Int64GetDatum(counts->documents), Int64GetDatum(counts->inserted),
		Int64GetDatum(counts->skipped), Int64GetDatum(counts->rejected),
		Int64GetDatum(counts->rounded), BoolGetDatum(complete),
		Int64GetDatum(counts->rows), Int64GetDatum(counts->bytes), target_names(counts->filled)
	};
	char		nulls[14] = "             ";

	if (last_id == NULL)
		nulls[3] = 'n';
	SPI_connect();
	statement_execute(&plan,
					  "UPDATE mongo_migrate.chunk"
					  "   SET last_id = coalesce($4, last_id),"
					  "       documents = documents OPERATOR(pg_catalog.+) $5,"
					  "       inserted = inserted OPERATOR(pg_catalog.+) $6,"
					  "       skipped = skipped OPERATOR(pg_catalog.+) $7,"
					  "       rejected = rejected OPERATOR(pg_catalog.+) $8,"
					  "       rounded = rounded OPERATOR(pg_catalog.+) $9,"
					  "       batches = batches OPERATOR(pg_catalog.+) 1,"
					  "       complete = $10,"
					  "       rows = rows OPERATOR(pg_catalog.+) $11,"
					  "       bytes = bytes OPERATOR(pg_catalog.+) $12,"
					  "       filled = filled OPERATOR(pg_catalog.||) $13,"
					  "       updated_at = pg_catalog.clock_timestamp()"
					  " WHERE server OPERATOR(pg_catalog.=) $1 AND collection OPERATOR(pg_catalog.=) $2"
					  "   AND chunk OPERATOR(pg_catalog.=) $3", 13, types, values, nulls);
	if (SPI_processed != 1)
		elog(ERROR, "chunk %d of collection \"%s\" vanished", session->chunk, session->collection);
	SPI_finish();
	for (int i = 0; i < list_length(counts->filled); i++)
		((LoadTarget *) list_nth(counts->filled, i))->filled = true;
}

/*
 * dangling.c
 *	  References of a batch to documents that have no row.
 *
 * A copy leaves that to the end of a run, when the other collections are there
 * (references.sql).  Rows that are replaced are under their foreign keys: where
 * the plan says that a reference that dangles is null, it is made null before
 * the rows are written, and is recorded with them in
 * mongo_migrate.dangling_reference.
 */
#include "postgres.h"
#include "compat.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "load/load.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"
#include "utils/varlena.h"

/* A reference that was made null; the row's value is still there. */
struct DanglingReference
{
	LoadTarget *target;
	int			field;
	int			row;
};

/* Runs a query of two or three arguments: server, a collection, a text; rows stay until SPI_finish(). */
static uint64
query(LoadSession *session, const char *sql, const char *collection, const char *text)
{
	Oid			types[3] = {NAMEOID, TEXTOID, TEXTOID};
	Datum		values[3] = {NameGetDatum(&session->server), CStringGetTextDatum(collection)};

	if (text != NULL)
		values[2] = CStringGetTextDatum(text);
	if (SPI_execute_with_args(sql, text == NULL ? 2 : 3, types, values, NULL, true, 0) != SPI_OK_SELECT)
		elog(ERROR, "cannot run \"%s\"", sql);
	return SPI_processed;
}

/*
 * The table that a reference leads to, and its column; false where there is
 * none, or several, or not all of it, or a column of another type.
 */
static bool
find_referred(LoadSession *session, LoadColumn *column, char **table, char **name)
{
	MemoryContext context = CurrentMemoryContext;
	bool		found;

	SPI_connect();
	found = query(session,
				  "SELECT r.relation, r.column_name FROM mongo_migrate.referred_rows($1, $2, '_id') AS r"
				  " WHERE NOT r.several AND r.relation IS NOT NULL AND mongo_migrate.is_loaded($1, $2)",
				  column->refers_to, NULL) == 1;
	if (found)
	{
		*table = MemoryContextStrdup(context, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1));
		*name = MemoryContextStrdup(context, SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 2));
	}
	SPI_finish();
	if (found)
	{
		RangeVar   *range = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(*table)));
		Oid			relid = RangeVarGetRelid(range, AccessShareLock, true);

		found = OidIsValid(relid) && get_attnum(relid, *name) != InvalidAttrNumber &&
			getBaseType(get_atttype(relid, get_attnum(relid, *name))) == column->type;
	}
	return found;
}

/*
 * SQL for the key of a target's row in the batch, as dangling_reference has it;
 * NULL where it is not known.
 */
static char *
row_key(LoadSession *session, LoadTarget *target)
{
	StringInfoData key;
	bool		known;

	initStringInfo(&key);
	SPI_connect();
	known = query(session, "SELECT k.column_name FROM mongo_migrate.key_columns($1, $2) AS k WHERE k.target = $3",
				  session->collection, target->name) > 0;
	for (uint64 i = 0; known && i < SPI_processed; i++)
	{
		char	   *name = SPI_getvalue(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1);
		int			field = 0;

		while (field < target->ncolumns && strcmp(target->columns[field]->name, name) != 0)
			field++;
		known = field < target->ncolumns && column_origin(target->columns[field])->expression == NULL;
		appendStringInfo(&key, "%s%s, b.\"%d\"", i == 0 ? "" : ", ", quote_literal_cstr(name), field + 1);
	}
	SPI_finish();
	return known ? psprintf("pg_catalog.jsonb_build_object(%s)", key.data) : NULL;
}

/*
 * Adds the ids of the batch's own documents to the rows of find_in_column(): a
 * row of one of them will be there.
 */
static bool
add_own_ids(LoadSession *session, TupleDesc desc, Tuplestorestate *rows)
{
	for (int i = 0; i < session->ntargets; i++)
	{
		LoadTarget *root = session->targets[i];
		int			field = 0;

		if (root->parent != NULL || !root->included)
			continue;
		if (root->id == NULL || root->id->expression != NULL)
			return false;
		while (root->columns[field] != root->id)
			field++;
		for (int row = 0; row < root->nrows; row++)
		{
			Size		at = (Size) row * root->ncolumns + field;
			Datum		values[3] = {root->values[at], Int32GetDatum(row), BoolGetDatum(true)};
			bool		nulls[3] = {false, false, false};

			if (session->documents[root->documents[row]].state == DOCUMENT_READ && !root->nulls[at])
				tuplestore_putvalues(rows, desc, values, nulls);
		}
	}
	return true;
}

/* Makes the references of one column null that dangle, and adds them to a list. */
static List *
find_in_column(LoadSession *session, LoadTarget *target, int field, List *found)
{
	MemoryContext context = CurrentMemoryContext;
	LoadColumn *column = target->columns[field];
	bool		own = strcmp(column->refers_to, session->collection) == 0;
	Tuplestorestate *rows;
	TupleDesc	desc;
	char	   *table;
	char	   *name;
	char	   *same;
	bool		any = false;

	for (int row = 0; row < target->nrows && !any; row++)
		any = !target->nulls[(Size) row * target->ncolumns + field];
	if (!any || row_key(session, target) == NULL || !find_referred(session, column, &table, &name))
		return found;

	desc = CreateTemplateTupleDesc(3);
	TupleDescInitEntry(desc, 1, "1", column->type, -1, 0);
	TupleDescInitEntry(desc, 2, "2", INT4OID, -1, 0);
	TupleDescInitEntry(desc, 3, "3", BOOLOID, -1, 0);
	rows = tuplestore_begin_heap(true, false, work_mem);
	for (int row = 0; row < target->nrows; row++)
	{
		Size		at = (Size) row * target->ncolumns + field;
		Datum		values[3] = {target->values[at], Int32GetDatum(row), BoolGetDatum(false)};
		bool		nulls[3] = {false, false, false};

		if (session->documents[target->documents[row]].state == DOCUMENT_READ && !target->nulls[at])
			tuplestore_putvalues(rows, desc, values, nulls);
	}
	if (own && !add_own_ids(session, desc, rows))
	{
		tuplestore_end(rows);
		return found;
	}
	same = equality_operator(column->type);
	statement_run(session, target, desc, rows, NULL,
				  psprintf("SELECT b.\"2\" FROM " BATCH_NAME " AS b WHERE NOT b.\"3\""
						   " AND NOT EXISTS (SELECT FROM %s AS r WHERE r.%s %s b.\"1\")"
						   " AND NOT EXISTS (SELECT FROM " BATCH_NAME " AS o WHERE o.\"3\" AND o.\"1\" %s b.\"1\")",
						   table, quote_identifier(name), same, same), NULL);
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		MemoryContext spi = MemoryContextSwitchTo(context);
		struct DanglingReference *reference = palloc(sizeof(*reference));

		reference->target = target;
		reference->field = field;
		reference->row = DatumGetInt32(SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1,
													 &isnull));
		target->nulls[(Size) reference->row * target->ncolumns + field] = true;
		found = lappend(found, reference);
		MemoryContextSwitchTo(spi);
	}
	statement_finish(target, rows);
	return found;
}

/*
 * Makes the references of the batch null that dangle and may be null by plan
 * and table.  Where the key of their rows cannot be told, or not what they lead
 * to, they stay, for the foreign key to refuse.
 */
List *
dangling_find(LoadSession *session)
{
	List	   *found = NIL;

	for (int i = 0; i < session->ntargets; i++)
		for (int field = 0; session->targets[i]->included && field < session->targets[i]->ndecoded; field++)
			if (session->targets[i]->columns[field]->null_dangling)
				found = find_in_column(session, session->targets[i], field, found);
	return found;
}

/* Records a reference of a document that has been written. */
static void
record(LoadSession *session, const struct DanglingReference *reference)
{
	LoadTarget *target = reference->target;
	LoadColumn *column = target->columns[reference->field];
	Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);
	Datum	   *values = palloc((target->ncolumns + 1) * sizeof(Datum));
	bool	   *nulls = palloc((target->ncolumns + 1) * sizeof(bool));
	Size		at = (Size) reference->row * target->ncolumns;
	char	   *refers_to = quote_literal_cstr(column->refers_to);
	char	   *server = quote_literal_cstr(NameStr(session->server));

	memcpy(values, target->values + at, target->ncolumns * sizeof(Datum));
	memcpy(nulls, target->nulls + at, target->ncolumns * sizeof(bool));
	nulls[reference->field] = false;
	values[target->ncolumns] = Int32GetDatum(target->documents[reference->row]);
	nulls[target->ncolumns] = false;
	tuplestore_putvalues(rows, target->desc, values, nulls);
	statement_run(session, target, target->desc, rows, NULL,
				  psprintf("INSERT INTO mongo_migrate.dangling_reference"
						   " (server, collection, target, column_name, row_key, refers_to, source_value, policy)"
						   " SELECT %s, %s, %s, %s, %s, %s,"
						   "   mongo_migrate.source_text(%s, %s, b.\"%d\"::pg_catalog.text), 'null'"
						   " FROM " BATCH_NAME " AS b",
						   server, quote_literal_cstr(session->collection), quote_literal_cstr(target->name),
						   quote_literal_cstr(column->name), row_key(session, target), refers_to, server,
						   refers_to, reference->field + 1), NULL);
	statement_finish(target, rows);
}

/* Tells how many references of a column were made null. */
static void
tell(const struct DanglingReference *reference, int count)
{
	LoadColumn *column = reference->target->columns[reference->field];

	if (count > 0)
		ereport(NOTICE,
				(errmsg("%s.%s: references to missing documents of %s set to NULL: %d",
						reference->target->name, quote_identifier(column->name), column->refers_to, count)));
}

/* Records what dangling_find() has found, of the documents that were written. */
void
dangling_record(LoadSession *session, List *found)
{
	struct DanglingReference *last = NULL;
	int			count = 0;
	ListCell   *cell;

	foreach(cell, found)
	{
		struct DanglingReference *reference = lfirst(cell);

		if (last != NULL && (reference->target != last->target || reference->field != last->field))
		{
			tell(last, count);
			count = 0;
		}
		last = reference;
		if (session->documents[reference->target->documents[reference->row]].state != DOCUMENT_INSERTED)
			continue;
		record(session, reference);
		count++;
	}
	if (last != NULL)
		tell(last, count);
}

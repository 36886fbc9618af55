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

#include "access/stratnum.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "load/load.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"
#include "utils/varlena.h"

/* A column of the batch of which references were made null; the rows' values are still there. */
typedef struct DanglingColumn
{
	LoadTarget *target;
	int			field;
	char	   *row_key;		/* SQL: see row_key() */
	List	   *rows;			/* their numbers */
} DanglingColumn;

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
 * The equality by which an index on values of one type finds those of another,
 * by its full name; NULL where there is none.
 */
static char *
equality_operator(Oid type, Oid other)
{
	TypeCacheEntry *left = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);
	TypeCacheEntry *right = lookup_type_cache(other, TYPECACHE_BTREE_OPFAMILY);
	Oid			equality;

	equality = get_opfamily_member(left->btree_opf, left->btree_opintype, right->btree_opintype,
								   BTEqualStrategyNumber);
	return OidIsValid(equality) ? full_operator_name(equality) : NULL;
}

/*
 * The table that a reference leads to, its column, and the operator that
 * compares that with the reference; false where there is none, or several, or
 * not all of it, or a column whose type compares with no such values.
 */
static bool
find_referred(LoadSession *session, LoadColumn *column, char **table, char **name, char **same)
{
	MemoryContext context = CurrentMemoryContext;
	bool		found;

	SPI_connect();
	found = query(session,
				  "SELECT r.relation, r.column_name FROM mongo_migrate.referred_rows($1, $2, $3) AS r"
				  " WHERE NOT r.several AND r.relation IS NOT NULL AND mongo_migrate.is_loaded($1, $2)",
				  column->refers_to, column->refers_key) == 1;
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

		if (!OidIsValid(relid) || get_attnum(relid, *name) == InvalidAttrNumber)
			return false;
		*same = equality_operator(getBaseType(get_atttype(relid, get_attnum(relid, *name))), column->type);
		found = *same != NULL;
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
	known = query(session, "SELECT k.column_name FROM mongo_migrate.key_columns($1, $2) AS k WHERE k.target OPERATOR(pg_catalog.=) $3",
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

/* Which column of a root has the values of the field that references refer to; -1: none. */
static int
referred_column(LoadTarget *root, const char *refers_key)
{
	bool		by_id = strcmp(refers_key, "_id") == 0;

	for (int i = 0; i < root->ncolumns; i++)
	{
		LoadColumn *column = root->columns[i];

		if (column->expression == NULL &&
			(by_id ? column == root->id :
			 column->role == COLUMN_VALUE && strcmp(column->path, refers_key) == 0))
			return i;
	}
	return -1;
}

/*
 * Adds the values of a column of the batch to the rows of find_in_column(), as
 * references or as what the batch's own documents are referred to by.
 */
static void
add_values(LoadSession *session, LoadTarget *target, int field, bool own,
		   TupleDesc desc, Tuplestorestate *rows)
{
	for (int row = 0; row < target->nrows; row++)
	{
		Size		at = (Size) row * target->ncolumns + field;
		Datum		value = target->values[at];
		Datum		values[3] = {value, Int32GetDatum(row), value};
		bool		nulls[3] = {own, false, !own};

		if (session->documents[target->documents[row]].state == DOCUMENT_READ && !target->nulls[at])
			tuplestore_putvalues(rows, desc, values, nulls);
	}
}

/*
 * The root that has the rows of the collection's own documents, and its column
 * for the field that is referred to; false where a root has none.
 */
static bool
find_own(LoadSession *session, const char *refers_key, LoadTarget **own, int *own_field)
{
	*own = NULL;
	for (int i = 0; i < session->ntargets; i++)
	{
		LoadTarget *root = session->targets[i];

		if (root->parent != NULL || !root->included)
			continue;
		*own = root;
		*own_field = referred_column(root, refers_key);
		if (*own_field < 0)
			return false;
	}
	return *own != NULL;
}

/*
 * SQL for whether a row r that is referred to by a field of the collection's own
 * documents stays what it is: not that of one that the batch deletes, nor, by
 * another field than _id, of any of the batch, whose values are among its own.
 */
static char *
stays(LoadSession *session, const char *refers_key)
{
	bool		by_id = strcmp(refers_key, "_id") == 0;

	for (int i = 0; i < session->ntargets; i++)
	{
		LoadTarget *root = session->targets[i];
		char	   *ids;

		if (root->parent != NULL || !root->included || root->id == NULL || root->id->expression != NULL)
			continue;
		ids = target_list_ids(session, root, by_id);
		if (ids != NULL)
			return psprintf("r.%s NOT IN (%s)", quote_identifier(root->id->name), ids);
	}
	return "true";
}

/* Makes the references of one column null that dangle; NULL where there is none. */
static DanglingColumn *
find_in_column(LoadSession *session, LoadTarget *target, int field)
{
	LoadColumn *column = target->columns[field];
	DanglingColumn *found = palloc0(sizeof(DanglingColumn));
	Tuplestorestate *rows;
	TupleDesc	desc;
	char	   *table;
	char	   *name;
	char	   *same;
	char	   *same_own;
	char	   *condition = "true";
	LoadTarget *own = NULL;
	int			own_field;
	Oid			own_type = column->type;
	bool	   *leads;			/* by row: it leads somewhere */
	bool		any = false;

	for (int row = 0; row < target->nrows && !any; row++)
		any = !target->nulls[(Size) row * target->ncolumns + field];
	found->target = target;
	found->field = field;
	if (!any || (found->row_key = row_key(session, target)) == NULL ||
		!find_referred(session, column, &table, &name, &same))
		return NULL;

	if (strcmp(column->refers_to, session->collection) == 0)
	{
		if (!find_own(session, column->refers_key, &own, &own_field))
			return NULL;
		own_type = own->columns[own_field]->type;
		condition = stays(session, column->refers_key);
	}
	same_own = equality_operator(own_type, column->type);
	if (same_own == NULL)
		return NULL;

	desc = CreateTemplateTupleDesc(3);
	TupleDescInitEntry(desc, 1, "1", column->type, -1, 0);
	TupleDescInitEntry(desc, 2, "2", INT4OID, -1, 0);
	TupleDescInitEntry(desc, 3, "3", own_type, -1, 0);
	rows = tuplestore_begin_heap(true, false, work_mem);
	add_values(session, target, field, false, desc, rows);
	if (own != NULL)
		add_values(session, own, own_field, true, desc, rows);
	leads = palloc0(target->nrows * sizeof(bool));
	statement_run_over_arrays(session, false, desc, rows,
							  "SELECT pg_catalog.array_agg(b.\"1\"), pg_catalog.array_agg(b.\"2\"), pg_catalog.array_agg(b.\"3\")"
							  " FROM " BATCH_NAME " AS b",
							  psprintf("WITH b AS MATERIALIZED (SELECT * FROM ROWS FROM (pg_catalog.unnest($1),"
									   "   pg_catalog.unnest($2), pg_catalog.unnest($3)) AS b (id, number, own))"
									   " SELECT b.number FROM b JOIN %s AS r ON r.%s %s b.id WHERE %s"
									   " UNION ALL"
									   " SELECT b.number FROM b JOIN b AS o ON o.own %s b.id",
									   table, quote_identifier(name), same, condition, same_own));
	statement_mark(leads);
	statement_finish(false, rows);
	for (int row = 0; row < target->nrows; row++)
	{
		bool	   *null = &target->nulls[(Size) row * target->ncolumns + field];

		if (session->documents[target->documents[row]].state != DOCUMENT_READ || *null || leads[row])
			continue;
		*null = true;
		found->rows = lappend_int(found->rows, row);
	}
	return found->rows == NIL ? NULL : found;
}

/*
 * Makes the references of the batch null that dangle and may be null by plan
 * and table.  Where the key of their rows cannot be told, or not what they lead
 * to, they stay, for the foreign key to refuse.
 */
List *
dangling_find(LoadSession *session)
{
	List	   *columns = NIL;

	for (int i = 0; i < session->ntargets; i++)
	{
		LoadTarget *target = session->targets[i];

		for (int field = 0; target->included && field < target->ndecoded; field++)
		{
			DanglingColumn *found = target->columns[field]->null_dangling ?
				find_in_column(session, target, field) : NULL;

			if (found != NULL)
				columns = lappend(columns, found);
		}
	}
	return columns;
}

/* Records the references of a column whose documents have been written, and tells how many. */
static void
record(LoadSession *session, const DanglingColumn *dangling)
{
	LoadTarget *target = dangling->target;
	LoadColumn *column = target->columns[dangling->field];
	Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);
	Datum	   *values = palloc((target->ncolumns + 1) * sizeof(Datum));
	bool	   *nulls = palloc((target->ncolumns + 1) * sizeof(bool));
	char	   *refers_to = quote_literal_cstr(column->refers_to);
	char	   *server = quote_literal_cstr(NameStr(session->server));
	char	   *source_value;	/* SQL */
	int64		count;
	ListCell   *cell;

	foreach(cell, dangling->rows)
	{
		int			row = lfirst_int(cell);
		Size		at = (Size) row * target->ncolumns;

		if (session->documents[target->documents[row]].state != DOCUMENT_INSERTED)
			continue;
		memcpy(values, target->values + at, target->ncolumns * sizeof(Datum));
		memcpy(nulls, target->nulls + at, target->ncolumns * sizeof(bool));
		nulls[dangling->field] = false;
		values[target->ncolumns] = Int32GetDatum(target->documents[row]);
		nulls[target->ncolumns] = false;
		tuplestore_putvalues(rows, target->desc, values, nulls);
	}
	count = tuplestore_tuple_count(rows);
	if (count == 0)
	{
		tuplestore_end(rows);
		return;
	}
	source_value = strcmp(column->refers_key, "_id") == 0 ?
		psprintf("mongo_migrate.source_text(%s, %s, b.\"%d\"::pg_catalog.text)",
				 server, refers_to, dangling->field + 1) :
		psprintf("pg_catalog.to_json(b.\"%d\"::pg_catalog.text)::pg_catalog.text",
				 dangling->field + 1);
	statement_run(session, false, target->desc, rows, NULL,
				  psprintf("INSERT INTO mongo_migrate.dangling_reference"
						   " (server, collection, target, column_name, row_key, refers_to, source_value, policy)"
						   " SELECT %s, %s, %s, %s, %s, %s, %s, 'null'"
						   " FROM " BATCH_NAME " AS b",
						   server, quote_literal_cstr(session->collection), quote_literal_cstr(target->name),
						   quote_literal_cstr(column->name), dangling->row_key, refers_to, source_value),
				  NULL);
	statement_finish(false, rows);
	ereport(NOTICE,
			(errmsg("%s.%s: references to missing documents of %s set to NULL: " INT64_FORMAT,
					target->name, quote_identifier(column->name), column->refers_to, count)));
}

/* Records what dangling_find() has found. */
void
dangling_record(LoadSession *session, List *columns)
{
	ListCell   *cell;

	foreach(cell, columns)
		record(session, lfirst(cell));
}

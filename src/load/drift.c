/*
 * drift.c
 *	  Fields that the plan does not know: mongo_migrate.drift.
 *
 * The plan knows a field when it has a column or table for it, included or
 * not.  Decode counts the documents that have another one; the counts are
 * added to the table with the rows of the batch, in its transaction.
 */
#include "postgres.h"
#include "compat.h"

#include "catalog/pg_type.h"
#include "load/load.h"
#include "utils/array.h"
#include "utils/builtins.h"

/*
 * Where the columns and tables of a plan come from: the paths of the arrays on
 * the way, then the own path.
 */
#define PLANNED_PATHS \
	"WITH RECURSIVE targets AS (" \
	" SELECT t.target, ARRAY[]::pg_catalog.text[] AS paths FROM mongo_migrate.plan_target AS t" \
	"  WHERE t.server OPERATOR(pg_catalog.=) $1 AND t.collection OPERATOR(pg_catalog.=) $2" \
	"    AND t.parent IS NULL" \
	" UNION ALL" \
	" SELECT t.target, pg_catalog.array_append(up.paths, t.path)" \
	"   FROM targets AS up, mongo_migrate.plan_target AS t" \
	"  WHERE t.server OPERATOR(pg_catalog.=) $1 AND t.collection OPERATOR(pg_catalog.=) $2" \
	"    AND t.parent OPERATOR(pg_catalog.=) up.target)" \
	" SELECT t.paths FROM targets AS t WHERE pg_catalog.cardinality(t.paths) OPERATOR(pg_catalog.>) 0" \
	" UNION" \
	" SELECT pg_catalog.array_append(t.paths, c.path)" \
	"   FROM targets AS t, mongo_migrate.plan_column AS c" \
	"  WHERE c.server OPERATOR(pg_catalog.=) $1 AND c.collection OPERATOR(pg_catalog.=) $2" \
	"    AND c.target OPERATOR(pg_catalog.=) t.target AND c.path IS NOT NULL"

/* Has the branches of a session know every path of the plan.  Needs an SPI connection. */
void
drift_know_plan(LoadSession *session)
{
	SPITupleTable *rows = collection_query(session, session->collection, PLANNED_PATHS);

	for (uint64 row = 0; row < rows->numvals; row++)
	{
		bool		isnull;
		Datum		array = SPI_getbinval(rows->vals[row], rows->tupdesc, 1, &isnull);
		Datum	   *elements;
		int			n;
		List	   *paths = NIL;

		deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT,
						  &elements, NULL, &n);
		for (int i = 0; i < n; i++)
			paths = lappend(paths, TextDatumGetCString(elements[i]));
		for (int b = 0; b < session->nbranches; b++)
			document_plan_ignore(session->branches[b]->plan, paths);
	}
}

typedef struct UnknownField
{
	const char *path;
	int64		documents;
} UnknownField;

typedef struct UnknownFields
{
	LoadBranch *branch;
	List	   *fields;			/* of the branch */
} UnknownFields;

/* The field with a path in a list; NULL: there is none. */
static UnknownField *
find_field(List *fields, const char *path)
{
	ListCell   *cell;

	foreach(cell, fields)
	{
		if (strcmp(((UnknownField *) lfirst(cell))->path, path) == 0)
			return lfirst(cell);
	}
	return NULL;
}

/* Callback of document_plan_report_unknown(). */
static void
take_unknown(void *arg, int table, const char *path, int64 documents)
{
	UnknownFields *unknown = arg;
	const char *full = target_path(unknown->branch->by_table[table], path);
	UnknownField *field = find_field(unknown->fields, full);

	/* Tables of one array have all met the same documents. */
	if (field != NULL)
	{
		field->documents = Max(field->documents, documents);
		return;
	}
	field = palloc(sizeof(UnknownField));
	field->path = full;
	field->documents = documents;
	unknown->fields = lappend(unknown->fields, field);
}

static int
compare_fields(const ListCell *a, const ListCell *b)
{
	return strcmp(((UnknownField *) lfirst(a))->path, ((UnknownField *) lfirst(b))->path);
}

/* Adds fields to the table. */
static void
count_fields(LoadSession *session, List *fields)
{
	static SPIPlanPtr plan = NULL;
	Oid			types[] = {NAMEOID, TEXTOID, TEXTOID, INT8OID};
	ListCell   *cell;

	SPI_connect();
	foreach(cell, fields)
	{
		UnknownField *field = lfirst(cell);
		Datum		values[] = {
			NameGetDatum(&session->server), CStringGetTextDatum(session->collection),
			CStringGetTextDatum(field->path), Int64GetDatum(field->documents)
		};

		statement_execute(&plan,
						  "INSERT INTO mongo_migrate.drift AS d (server, collection, path, documents)"
						  " VALUES ($1, $2, $3, $4)"
						  " ON CONFLICT (server, collection, path) DO UPDATE SET"
						  " documents = d.documents OPERATOR(pg_catalog.+) excluded.documents,"
						  " last_seen = excluded.last_seen",
						  lengthof(types), types, values, NULL);
	}
	SPI_finish();
}

/*
 * Adds the unknown fields of the batch to the table.  Two workers may meet
 * the same ones: in one order of paths, whatever branch met them, and at the
 * end of their transactions.
 */
void
drift_count(LoadSession *session)
{
	List	   *all = NIL;

	for (int b = 0; b < session->nbranches; b++)
	{
		UnknownFields unknown = {session->branches[b], NIL};
		ListCell   *cell;

		document_plan_report_unknown(session->branches[b]->plan, take_unknown, &unknown);
		foreach(cell, unknown.fields)
		{
			UnknownField *field = lfirst(cell);
			UnknownField *same = find_field(all, field->path);

			if (same != NULL)
				same->documents += field->documents;
			else
				all = lappend(all, field);
		}
	}
	if (all == NIL)
		return;
	list_sort(all, compare_fields);
	count_fields(session, all);
}

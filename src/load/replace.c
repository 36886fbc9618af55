/*
 * replace.c
 *	  Rows of documents that may have some: which a root's table has, by the id
 *	  of their document, what becomes of them, and their removal.
 *
 * A root's rows that are not there are inserted as any others; then those that
 * were there are updated.  In that order rows of a batch may refer to each
 * other under a foreign key, and a statement of one kind is something that
 * views, foreign tables and Citus can do.
 *
 * Citus gathers what has to meet its tables on the coordinator only where it
 * cannot send the whole statement to a node, so ids come as arrays, which are
 * the same everywhere, and rows for an UPDATE from batch_rows(), which is
 * volatile, and so stays.  A column by which Citus distributes a table it does
 * not update: such a row is copied to its new place, updated there as any
 * other, and deleted where it was.
 */
#include "postgres.h"
#include "compat.h"

#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "load/load.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

/* The WITH query i of the parameters of statement_run_over_arrays(), which are a and b. */
#define WITH_ARRAYS(columns) "WITH i AS MATERIALIZED (SELECT " columns " FROM" \
	" ROWS FROM (pg_catalog.unnest($1), pg_catalog.unnest($2)) AS i (a, b))"

/* Whether the batch has a row of a document for a target. */
static bool
has_row(LoadTarget *target, int document)
{
	int			row = target_first_row(target, document);

	return row < target->nrows && target->documents[row] == document;
}

/*
 * Finds the _id of each document as the root's table may have it: (id,
 * document).  without: of those alone for which the batch has no row there.
 */
static Tuplestorestate *
find_ids(LoadSession *session, LoadTarget *target, int from, int to, bool without, TupleDesc desc)
{
	Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);
	Datum	   *ids = palloc(session->ndocuments * sizeof(Datum));
	bool	   *nulls = palloc(session->ndocuments * sizeof(bool));

	for (int i = from; i < to; i++)
	{
		DocumentError error;
		bson_t		bson;

		nulls[i] = true;
		if (session->documents[i].state != DOCUMENT_READ || (without && has_row(target, i)))
			continue;
		document_bson(&session->documents[i], &bson);
		if (target->id->map == NULL)
		{
			if (!document_decode_row(target->id_plan, &bson, &ids[i], &nulls[i], &error))
				nulls[i] = true;
			continue;
		}
		ids[i] = PointerGetDatum(document_key(&bson));
		nulls[i] = DatumGetPointer(ids[i]) == NULL;
		if (!nulls[i])
			id_map_want(target->id->map, &ids[i], &nulls[i], false);
	}
	if (target->id->map != NULL)
		id_map_resolve(target->id->map, false);
	for (int i = from; i < to; i++)
	{
		Datum		row[2] = {ids[i], Int32GetDatum(i)};
		bool		row_nulls[2] = {false, false};

		if (!nulls[i])
			tuplestore_putvalues(rows, desc, row, row_nulls);
	}
	return rows;
}

/* Describes the rows of find_ids(). */
static TupleDesc
describe_ids(LoadTarget *root)
{
	TupleDesc	desc = CreateTemplateTupleDesc(2);

	TupleDescInitEntry(desc, 1, "1", root->id->type, root->id->typmod, 0);
	TupleDescInitEntry(desc, 2, "document", INT4OID, -1, 0);
	return desc;
}

/* SQL for a list of the ids of find_ids(), of the whole batch; NULL: none. */
char *
target_list_ids(LoadSession *session, LoadTarget *target, bool without)
{
	TupleDesc	desc = describe_ids(target);
	Tuplestorestate *rows = find_ids(session, target, 0, session->ndocuments, without, desc);
	TupleTableSlot *slot = MakeSingleTupleTableSlot(desc, &TTSOpsMinimalTuple);
	StringInfoData list;
	Oid			output;
	bool		varlena;
	bool		isnull;

	initStringInfo(&list);
	getTypeOutputInfo(target->id->type, &output, &varlena);
	while (tuplestore_gettupleslot(rows, true, false, slot))
		appendStringInfo(&list, "%s%s", list.len == 0 ? "" : ", ",
						 quote_literal_cstr(OidOutputFunctionCall(output, slot_getattr(slot, 1, &isnull))));
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(rows);
	return list.len == 0 ? NULL : list.data;
}

/* SQL for an id of find_ids(), as a column of a target has it. */
static char *
batch_id(LoadTarget *root, LoadTarget *target, LoadColumn *column)
{
	return psprintf("CAST(%s AS %s)", root->id->expression != NULL ? "e.v" : "b.\"1\"",
					full_type_name(get_atttype(target->relid, column->attnum), -1));
}

/* "t.column =", by the equality of the column's type. */
static char *
same_as(LoadTarget *target, LoadColumn *column)
{
	Oid			type = getBaseType(get_atttype(target->relid, column->attnum));

	return psprintf("t.%s %s", quote_identifier(column->name),
					full_operator_name(lookup_type_cache(type, TYPECACHE_EQ_OPR)->eq_opr));
}

/*
 * Runs a statement for a target over i (id, document): rows of find_ids(), as a
 * column of the target has the ids.  The caller ends it by statement_finish().
 */
static void
run_over_ids(LoadSession *session, LoadTarget *root, LoadTarget *target, LoadColumn *column,
			 TupleDesc desc, Tuplestorestate *rows, const char *statement)
{
	StringInfoData ids;

	initStringInfo(&ids);
	appendStringInfo(&ids, "SELECT pg_catalog.array_agg(%s), pg_catalog.array_agg(b.document) FROM ",
					 batch_id(root, target, column));
	append_batch(&ids, false, desc);
	if (root->id->expression != NULL)
		append_lateral(&ids, root->id->expression, 0, "e");
	statement_run_over_arrays(session, false, desc, rows, ids.data,
							  psprintf(WITH_ARRAYS("a AS id, b AS document") " %s", statement));
}

/*
 * Finds those of a range of documents that have their row in a root's table:
 * an array by document.  The statement is planned anew each time: the table may
 * have grown, or have got its index, since the last.
 */
static bool *
find_present(LoadSession *session, LoadTarget *target, int from, int to)
{
	bool	   *present = palloc0(session->ndocuments * sizeof(bool));
	TupleDesc	desc = describe_ids(target);
	Tuplestorestate *rows = find_ids(session, target, from, to, false, desc);

	run_over_ids(session, target, target, target->id, desc, rows,
				 psprintf("SELECT i.document FROM i JOIN %s AS t ON %s i.id", full_table_name(target->relid),
						  same_as(target, target->id)));
	statement_mark(present);
	statement_finish(false, rows);
	return present;
}

/* Marks those of a range of documents as skipped that have their row in a root's table already. */
static void
mark_present(Attempt *attempt)
{
	bool	   *present = find_present(attempt->session, attempt->target, attempt->from, attempt->to);

	for (int i = attempt->from; i < attempt->to; i++)
		if (present[i])
			attempt->session->documents[i].state = DOCUMENT_SKIPPED;
}

/*
 * The same for a range of which some documents may have no id, because the
 * plan's expression or type fails for them.  They have no row, then.
 */
static void
mark_range(LoadSession *session, LoadTarget *target, int from, int to)
{
	Attempt		attempt = {
		.session = session,.function = mark_present,.target = target,.from = from,.to = to
	};

	if (attempt_try(&attempt) != NULL && to - from > 1)
	{
		int			middle = from + (to - from) / 2;

		mark_range(session, target, from, middle);
		mark_range(session, target, middle, to);
	}
}

/* Marks the documents of the batch that have their row in a root's table as skipped. */
void
batch_mark_present(LoadSession *session, LoadTarget *target)
{
	if (session->ndocuments > 0)
		mark_range(session, target, 0, session->ndocuments);
}

/* A value of row s of with_rows() as a column of its target has it. */
static char *
row_value(LoadTarget *target, LoadColumn *column)
{
	return psprintf("CAST(s.\"%d\" AS %s)", column_number(target, column) + 1,
					full_type_name(get_atttype(target->relid, column->attnum), -1));
}

/* The WITH query s ("1", ...): rows of a target, its columns in order. */
static char *
with_rows(LoadTarget *target)
{
	StringInfoData sql;

	initStringInfo(&sql);
	appendStringInfoString(&sql, "WITH s (");
	for (int i = 0; i < target->ncolumns; i++)
		appendStringInfo(&sql, "%s\"%d\"", i == 0 ? "" : ", ", i + 1);
	appendStringInfoString(&sql, ") AS MATERIALIZED (");
	append_select(&sql, target, NULL);
	appendStringInfoChar(&sql, ')');
	return sql.data;
}

/*
 * Runs a statement for a root that Citus distributes by another column than its
 * id over i (id, place) of rows of the batch.  Places come as text: those of an
 * array type would not stay apart in an array.
 */
static void
run_over_places(LoadSession *session, LoadTarget *target, Tuplestorestate *rows, const char *statement)
{
	if (tuplestore_tuple_count(rows) == 0)
	{
		tuplestore_end(rows);
		return;
	}
	statement_run_over_arrays(session, target->distributed, target->desc, rows,
							  psprintf("%s SELECT pg_catalog.array_agg(%s), pg_catalog.array_agg(CAST(%s AS pg_catalog.text)) FROM s",
									   with_rows(target), row_value(target, target->id),
									   row_value(target, target->place)),
							  psprintf(WITH_ARRAYS("a AS id, CAST(b AS %s) AS place") " %s",
									   full_type_name(get_atttype(target->relid, target->place->attnum), -1),
									   statement));
	statement_finish(target->distributed, rows);
}

/* SQL for whether row t lies elsewhere than row i of run_over_places() says. */
static char *
misplaced(LoadTarget *target)
{
	return psprintf("%s i.id AND (%s i.place) IS NOT TRUE", same_as(target, target->id),
					same_as(target, target->place));
}

/*
 * Copies rows of a root to the place that those of the batch have.  With
 * RETURNING the nodes' errors have their SQLSTATE.
 */
static void
copy_to_place(LoadSession *session, LoadTarget *target, Tuplestorestate *rows)
{
	Relation	relation = RelationIdGetRelation(target->relid);
	TupleDesc	desc = RelationGetDescr(relation);
	const char *table = full_table_name(target->relid);
	StringInfoData columns;
	StringInfoData values;

	initStringInfo(&columns);
	initStringInfo(&values);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		const char *name = quote_identifier(NameStr(attribute->attname));
		bool		moved = i + 1 == target->place->attnum;

		if (attribute->attisdropped || attribute->attgenerated)
			continue;
		appendStringInfo(&columns, "%s%s", columns.len == 0 ? "" : ", ", name);
		appendStringInfo(&values, "%s%s%s", values.len == 0 ? "" : ", ", moved ? "i." : "t.",
						 moved ? "place" : name);
	}
	RelationClose(relation);
	run_over_places(session, target, rows,
					psprintf("INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE"
							 " SELECT %s FROM i JOIN %s AS t ON %s RETURNING %s",
							 table, columns.data, values.data, table, misplaced(target),
							 quote_identifier(target->place->name)));
}

/* Throws where rows that were to be updated are gone, rather than kept from it by a trigger. */
static void
check_still_present(Attempt *attempt, LoadTarget *target, const bool *absent)
{
	bool	   *present = find_present(attempt->session, target, attempt->from, attempt->to);

	for (int row = target_first_row(target, attempt->from);
		 row < target->nrows && target->documents[row] < attempt->to; row++)
		if (row_due(attempt->session, target, row, absent) && !present[target->documents[row]])
			ereport(ERROR,
					(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
					 errmsg("a row of table %s was deleted while it was to be replaced", target->name)));
}

/* Updates rows of a root to those that the batch has; absent: documents that have none there. */
static void
update_rows(Attempt *attempt, LoadTarget *target, const bool *absent)
{
	LoadSession *session = attempt->session;
	Tuplestorestate *rows;
	uint64		nrows;
	uint64		updated;
	StringInfoData set;
	StringInfoData same;

	if (target->place != NULL)
		copy_to_place(session, target, target_rows(session, target, attempt->from, attempt->to, absent));
	initStringInfo(&set);
	for (int i = 0; i < target->ncolumns; i++)
		if (target->columns[i] != target->id && target->columns[i] != target->place)
			appendStringInfo(&set, "%s%s = s.\"%d\"", set.len == 0 ? "" : ", ",
							 quote_identifier(target->columns[i]->name), i + 1);
	rows = target_rows(session, target, attempt->from, attempt->to, absent);
	nrows = tuplestore_tuple_count(rows);
	if (nrows == 0 || set.len == 0)
	{
		tuplestore_end(rows);
		return;
	}
	initStringInfo(&same);
	appendStringInfo(&same, "%s %s", same_as(target, target->id), row_value(target, target->id));
	if (target->place != NULL)
		appendStringInfo(&same, " AND %s %s", same_as(target, target->place), row_value(target, target->place));
	statement_run(session, target->distributed, target->desc, rows, NULL,
				  psprintf("%s UPDATE %s AS t SET %s FROM s WHERE %s", with_rows(target),
						   full_table_name(target->relid), set.data, same.data), NULL);
	updated = SPI_processed;
	statement_finish(target->distributed, rows);
	if (updated < nrows)
		check_still_present(attempt, target, absent);
}

/*
 * Has a root's table hold its rows of the documents of an attempt: those that
 * are there by their id are updated, the others inserted.
 */
void
target_write(Attempt *attempt, LoadTarget *target)
{
	bool	   *documents = find_present(attempt->session, target, attempt->from, attempt->to);

	attempt->skip = documents;
	target_insert(attempt, target);
	attempt->skip = NULL;
	for (int i = attempt->from; i < attempt->to; i++)
		documents[i] = !documents[i];
	update_rows(attempt, target, documents);
}

/*
 * Deletes rows of the documents from and up to, not with, to, by the column
 * that has the id of their document: of a child table all of them; of a root
 * the row of each document for which the batch has none, or has it elsewhere.
 */
void
target_run_delete(LoadSession *session, LoadTarget *target, LoadColumn *column, int from, int to)
{
	LoadTarget *root = target_root(target);
	TupleDesc	desc = describe_ids(root);
	Tuplestorestate *rows = find_ids(session, root, from, to, target == root, desc);

	if (tuplestore_tuple_count(rows) > 0)
	{
		run_over_ids(session, root, target, column, desc, rows,
					 psprintf("DELETE FROM %s AS t USING i WHERE %s i.id", full_table_name(target->relid),
							  same_as(target, column)));
		statement_finish(false, rows);
	}
	else
		tuplestore_end(rows);
	if (target->place != NULL)
		run_over_places(session, target, target_rows(session, target, from, to, NULL),
						psprintf("DELETE FROM %s AS t USING i WHERE %s", full_table_name(target->relid),
								 misplaced(target)));
}

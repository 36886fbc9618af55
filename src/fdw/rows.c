/*
 * rows.c
 *	  Documents to rows of a foreign table.
 *
 * Only the columns that are needed are decoded; the others stay as the caller
 * has set them.  Everything is allocated when the reader is made; a row costs
 * what its values cost, in the current memory context.
 */
#include "postgres.h"
#include "compat.h"

#include "fdw/scan.h"

/* Names the column that an error is about, a DescribedColumn: a query may have many, of several tables. */
void
describe_column(void *arg)
{
	DescribedColumn *column = arg;

	if (column->name != NULL)
		errcontext("column \"%s\" of foreign table \"%s\"",
				   column->name, RelationGetRelationName(column->relation));
}

/* Compiles the plan for columns of a foreign table, but dropped ones; throws for types that no value has. */
RowReader *
row_reader_create(Relation relation, List *attnums, const MongoTableOptions *table)
{
	RowReader  *reader = palloc0(sizeof(RowReader));
	int			natts = list_length(attnums);
	int			document;
	ListCell   *lc;
	DescribedColumn described = {.relation = relation};
	ErrorContextCallback callback = {error_context_stack, describe_column, &described};

	reader->collection = table->collection;
	reader->attnums = palloc(Max(natts, 1) * sizeof(AttrNumber));
	reader->values = palloc(Max(natts, 1) * sizeof(Datum));
	reader->nulls = palloc(Max(natts, 1) * sizeof(bool));
	reader->plan = document_plan_create(CurrentMemoryContext, false);
	document = document_plan_add_table(reader->plan, -1, NULL);

	error_context_stack = &callback;
	foreach(lc, attnums)
	{
		AttrNumber	attnum = lfirst_int(lc);
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), attnum - 1);
		MongoColumnOptions *column;

		if (attribute->attisdropped)
			continue;
		described.name = NameStr(attribute->attname);
		column = mongo_column_options(RelationGetRelid(relation), attnum, table);
		document_plan_add_column(reader->plan, document, column->path,
								 converter_create(attribute->atttypid, attribute->atttypmod,
												  column->json_mode, false));
		reader->paths = lappend(reader->paths, column->path);
		reader->attnums[reader->ncolumns++] = attnum;
	}
	error_context_stack = callback.previous;
	document_plan_finish(reader->plan);

	reader->in_place = true;
	for (int i = 0; i < reader->ncolumns; i++)
		reader->in_place &= reader->attnums[i] == i + 1;
	return reader;
}

/* Has the columns stand one after another from a position on. */
void
row_reader_place(RowReader *reader, int first)
{
	for (int i = 0; i < reader->ncolumns; i++)
		reader->attnums[i] = first + i + 1;
	reader->in_place = first == 0;
}

/* Puts the columns of a document where they belong in a row. */
bool
row_reader_try(RowReader *reader, const bson_t *document, Datum *values, bool *nulls,
			   DocumentError *error)
{
	if (reader->ncolumns == 0)
		return true;
	if (reader->in_place)
		return document_decode_row(reader->plan, document, values, nulls, error);
	if (!document_decode_row(reader->plan, document, reader->values, reader->nulls, error))
		return false;
	for (int i = 0; i < reader->ncolumns; i++)
	{
		values[reader->attnums[i] - 1] = reader->values[i];
		nulls[reader->attnums[i] - 1] = reader->nulls[i];
	}
	return true;
}

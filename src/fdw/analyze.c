/*
 * analyze.c
 *	  ANALYZE of a foreign table: a sample drawn by MongoDB.
 *
 * A document that the table's columns cannot hold is left out of the sample,
 * with a message at the level that PostgreSQL asks for: statistics are of use
 * though a query of that column would fail.  A sample has no more rows than
 * maintenance_work_mem holds: documents come at random, so that those are one, too.
 */
#include "postgres.h"
#include "compat.h"

#include "access/htup_details.h"
#include "fdw/estimate.h"
#include "fdw/fdw.h"
#include "fdw/match.h"
#include "fdw/scan.h"
#include "miscadmin.h"
#include "owned.h"
#include "utils/memutils.h"

/* Counts the documents by reading them: of a view there is no metadata. */
static double
count_documents(MongoConnection *connection, const char *collection)
{
	bson_t	   *pipeline = owned_bson_new(CurrentMemoryContext);
	MongoCursor *cursor;
	const bson_t *document;
	bson_iter_t iter;
	double		documents = 0;

	BCON_APPEND(pipeline, "pipeline", "[", "{", "$count", "n", "}", "]");
	cursor = mongo_aggregate(connection, collection, pipeline, NULL, CurrentMemoryContext);
	document = mongo_cursor_next(cursor);
	if (document != NULL && bson_iter_init_find(&iter, document, "n"))
		documents = bson_iter_as_double(&iter);
	mongo_cursor_close(cursor);
	return documents;
}

/* Begins to read so many documents at random, or all in any order where size is 0. */
static MongoCursor *
open_sample(MongoConnection *connection, const char *collection, List *paths, int size)
{
	bson_t	   *options = owned_bson_new(CurrentMemoryContext);
	List	   *stages = NIL;

	if (size > 0)
		stages = list_make1(match_operator("$sample", "size", value_integer(size)));
	BCON_APPEND(options, "allowDiskUse", BCON_BOOL(true));
	return mongo_aggregate(connection, collection,
						   match_combine("pipeline", find_add_projection(stages, paths)), options,
						   CurrentMemoryContext);
}

/* AcquireSampleRowsFunc */
static int
acquire_sample(Relation relation, int elevel, HeapTuple *rows, int targrows, double *totalrows,
			   double *totaldeadrows)
{
	TupleDesc	descriptor = RelationGetDescr(relation);
	Oid			relid = RelationGetRelid(relation);
	Oid			userid = relation->rd_rel->relowner;
	MongoTableOptions *table = mongo_table_options(relid);
	MongoConnection *connection = mongo_connect(GetForeignTable(relid)->serverid, userid);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "mongo analyze",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext per_document = AllocSetContextCreate(context, "document",
													   ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Datum	   *values = palloc0(descriptor->natts * sizeof(Datum));
	bool	   *nulls = palloc(descriptor->natts * sizeof(bool));
	List	   *attnums = NIL;
	RowReader  *reader;
	MongoCursor *cursor;
	const bson_t *document;
	DocumentError error;
	double		bytes;
	Size		limit = (Size) maintenance_work_mem * 1024;
	Size		used = 0;
	int			nrows = 0;
	double		skipped = 0;

	for (int i = 1; i <= descriptor->natts; i++)
		attnums = lappend_int(attnums, i);
	memset(nulls, true, descriptor->natts * sizeof(bool));
	reader = row_reader_create(relation, attnums, table);
	if (!estimate_collection(relid, userid, false, totalrows, &bytes))
		*totalrows = count_documents(connection, table->collection);
	*totaldeadrows = 0;

	/*
	 * A row may have a field twice, as a column and in that of the whole
	 * document.
	 */
	cursor = open_sample(connection, table->collection, reader->paths,
						 *totalrows > targrows || bytes > limit / 2 ? targrows : 0);
	while (nrows < targrows && used < limit && (document = mongo_cursor_next(cursor)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(per_document);
		if (row_reader_try(reader, document, values, nulls, &error))
		{
			MemoryContextSwitchTo(old);
			rows[nrows] = heap_form_tuple(descriptor, values, nulls);
			used += HEAPTUPLESIZE + rows[nrows++]->t_len;
		}
		else
			skipped++;
		MemoryContextReset(per_document);
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);

	ereport(elevel,
			(errmsg("\"%s\": collection holds %.0f documents; %d rows in sample, %.0f documents that its columns cannot hold left out",
					RelationGetRelationName(relation), *totalrows, nrows, skipped)));
	return nrows;
}

/* Says how a foreign table is sampled, and its size in pages. */
bool
fdw_analyze(Relation relation, AcquireSampleRowsFunc *func, BlockNumber *totalpages)
{
	double		documents;
	double		bytes;

	(void) estimate_collection(RelationGetRelid(relation), relation->rd_rel->relowner, true,
							   &documents, &bytes);
	*func = acquire_sample;
	*totalpages = Min(bytes / BLCKSZ + 1, MaxBlockNumber);
	return true;
}

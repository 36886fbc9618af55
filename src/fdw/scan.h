/*
 * scan.h
 *	  The scan of a foreign table: its find command and its rows.
 */
#ifndef MM_SCAN_H
#define MM_SCAN_H

#include "bson/document.h"
#include "fdw/filter.h"
#include "fdw/sort.h"
#include "mongo/cursor.h"
#include "mongo/options.h"
#include "nodes/execnodes.h"
#include "utils/rel.h"

/* What a ForeignScan's fdw_private holds; its fdw_exprs are the comparands. */
enum ScanPrivate
{
	SCAN_FILTER,				/* from filter_save(); NIL: every document */
	SCAN_COLUMNS,				/* attribute numbers to decode */
	SCAN_PROJECTS,				/* are other fields left out? */
	SCAN_LIMIT,					/* documents needed at most; 0: all */
	SCAN_SORTING				/* from sorting_save() */
};

/* scan.c: the connection of the user that a scan is run as */
extern MongoConnection *scan_connect(ForeignScanState *node, Oid relid);

/* find.c */

typedef struct Find
{
	const MongoTableOptions *table;
	Filter	   *filter;			/* NULL: every document */
	Sorting    *sorting;		/* NULL: in any order */
	bool		projects;		/* only the paths are returned, and _id */
	List	   *paths;			/* strings */
	int			limit;			/* 0: none */
} Find;

/* The stages of a pipeline with one more: a projection, unless whole documents are needed. */
extern List *find_add_projection(List *stages, List *paths);

/* The options of a part's command, see sort.h; owned by the current memory context. */
extern bson_t *find_options(const Find *find, int part);

/* Does a document match?  simple_collation: with strings compared byte by byte. */
extern bool find_any(MongoConnection *connection, const char *collection, const bson_t *match,
					 bool simple_collation);

/* rows.c */

/* The column of a foreign table that is being looked at. */
typedef struct DescribedColumn
{
	Relation	relation;
	const char *name;			/* NULL: none yet */
} DescribedColumn;

/* The callback of an error context that names a DescribedColumn. */
extern void describe_column(void *arg);

/* Makes rows of a foreign table out of documents. */
typedef struct RowReader
{
	List	   *paths;			/* of the columns that it decodes */
	const char *collection;
	DocumentPlan *plan;
	int			ncolumns;
	AttrNumber *attnums;
	bool		in_place;		/* they are 1, 2, 3, ... */
	Datum	   *values;
	bool	   *nulls;
} RowReader;

/* Owned by the current memory context. */
extern RowReader *row_reader_create(Relation relation, List *attnums,
									const MongoTableOptions *table);

/* Has the columns stand one after another from a position on, rather than as in their table. */
extern void row_reader_place(RowReader *reader, int first);

/*
 * Puts the columns that are decoded into values and nulls, which are arrays by
 * attribute; the others are left alone.  False, with error filled, when the
 * document cannot be decoded.
 */
extern bool row_reader_try(RowReader *reader, const bson_t *document,
						   Datum *values, bool *nulls, DocumentError *error);

/* The same; throws for a document that cannot be decoded. */
static inline void
row_reader_read(RowReader *reader, const bson_t *document, Datum *values, bool *nulls)
{
	DocumentError error;

	if (!row_reader_try(reader, document, values, nulls, &error))
		document_error_throw(&error, reader->collection, document);
}

#endif							/* MM_SCAN_H */

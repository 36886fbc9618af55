/*
 * document.h
 *	  The compiled document plan, and decode: one walk of a document to rows.
 *
 * A plan says which rows of which tables come out of a document.  Table 0 is
 * the document itself; a child table has a row for each element of an array
 * of its parent's row.  Paths are relative to the row: "address.city",
 * "items.0.sku", "$" for the whole document or array element.
 */
#ifndef MM_DOCUMENT_H
#define MM_DOCUMENT_H

#include "bson/convert.h"
#include "nodes/pg_list.h"

typedef struct DocumentPlan DocumentPlan;

/* What went wrong, and where; strings live in the context current at decode. */
typedef struct DocumentError
{
	ConvertStatus status;
	int			table;			/* -1 when it is the document's as a whole */
	int			column;			/* -1 when it is no column's */
	char	   *path;			/* from the document's top, with array
								 * positions: items.3.price */
	char	   *message;		/* from convert_message() */
	const char *hint;			/* from convert_value_hint(); or NULL */
} DocumentError;

/*
 * Makes an empty plan with a context of its own below parent.  A strict plan
 * (migration) refuses a document in which a value stands where the plan has a
 * sub-document or an array; otherwise (foreign scan) what lies below it is missing.
 */
extern DocumentPlan *document_plan_create(MemoryContext parent, bool strict);

/* Adds a table for the elements of an array; parent -1 (and path NULL) is the
 * document itself, and must come first.  Returns its number. */
extern int	document_plan_add_table(DocumentPlan *plan, int parent, const char *path);

/* Has a table take the fields of a document, a map, in place of an array's
 * elements.  Columns of path $key get their names, as strings. */
extern void document_plan_set_map(DocumentPlan *plan, int table);

/* Has a table take the elements of the arrays at a path of its own elements,
 * too, and so on: a tree.  Positions number all of a tree from 0, each element
 * before those within it.  To be called after the last table below it. */
extern void document_plan_set_tree(DocumentPlan *plan, int table, const char *path);

/* Adds a column with its converter (the plan borrows it; it must live as
 * long).  Returns its number in its table. */
extern int	document_plan_add_column(DocumentPlan *plan, int table, const char *path,
									 Converter *converter);

/*
 * Adds an int4 column: the element's position in its array, from 0; or, of_parent,
 * in a tree, that of the element which this one is within, or NULL.
 */
extern int	document_plan_add_position(DocumentPlan *plan, int table, bool of_parent);

/*
 * Adds a column for the row's unknown fields, by the names that they have:
 * the converter gets a document of them; NULL where there are none.
 */
extern int	document_plan_add_extra(DocumentPlan *plan, int table, Converter *converter);

/*
 * Has decode know what no column or table takes: paths has those of arrays
 * from the top down, and last the array's or field's own.  What is not known
 * in this way is unknown.  To be called after the last column.
 */
extern void document_plan_ignore(DocumentPlan *plan, List *paths);

/* To be called once, after the last column and before the first decode. */
extern void document_plan_finish(DocumentPlan *plan);

/*
 * Receives a row: the parent's before its children's, depth first, so that the
 * last row seen of the parent table is the child's parent.  The arrays are the
 * plan's and are lent; what values point to is in CurrentMemoryContext.
 */
typedef void (*DocumentRow) (void *arg, int table, Datum *values, bool *nulls);

/* Decodes a document; false, with error filled, when it cannot be.  Rows that
 * were given to the callback before are then the caller's to drop. */
extern bool document_decode(DocumentPlan *plan, const bson_t *document,
							DocumentRow row, void *arg, DocumentError *error);

/* The same for a plan of table 0 alone, into the caller's arrays. */
extern bool document_decode_row(DocumentPlan *plan, const bson_t *document,
								Datum *values, bool *nulls, DocumentError *error);

/*
 * Calls report for each unknown field that documents had since the last call,
 * with the number of documents.  "*" in place of a name stands for the fields
 * beyond a bounded number of names.  A path is relative to its table's row.
 */
typedef void (*DocumentUnknown) (void *arg, int table, const char *path, int64 documents);
extern void document_plan_report_unknown(DocumentPlan *plan, DocumentUnknown report, void *arg);

/* Throws a decode error: message, collection, _id and path. */
pg_noreturn extern void document_error_throw(const DocumentError *error, const char *collection,
											 const bson_t *document);

#endif							/* MM_DOCUMENT_H */

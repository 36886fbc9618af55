/*
 * modify.h
 *	  Writing to a foreign table.
 */
#ifndef MM_MODIFY_H
#define MM_MODIFY_H

#include "bson/encode.h"
#include "fdw/filter.h"
#include "fdw/scan.h"
#include "mongo/transaction.h"
#include "nodes/execnodes.h"

/* writer.c: rows to documents and updates */

/* A column that is written. */
typedef struct WriterColumn
{
	AttrNumber	attnum;
	char	   *path;
	Encoder    *encoder;
	bool		null_as_null;	/* NULL is written as null, else left out */
	List	   *segments;		/* of the path, in UTF-8; NIL: the whole
								 * document */
	char	   *dotted;			/* the path for $set, or NULL */
	char	   *guard;			/* beginning of it up to its last position in
								 * an array, or NULL */
	bool		is_id;			/* _id, or a field of it */
} WriterColumn;

typedef struct WriterNode WriterNode;

typedef struct Writer
{
	Relation	relation;
	const char *collection;
	int			ncolumns;
	WriterColumn *columns;
	WriterNode *root;			/* the columns by path */
	bool		takes_new_id;	/* its columns can hold a new ObjectId: once
								 * that is known */
} Writer;

/* For the columns of a list of attribute numbers; owned by the current memory context. */
extern Writer *writer_create(Relation relation, List *attnums, const MongoTableOptions *table);

/* The document of a row, with an _id; owned by the current memory context.  Throws. */
extern bson_t *writer_document(Writer *writer, TupleTableSlot *slot);

/* What an update does to a document. */
typedef struct WriterUpdate
{
	bson_t	   *update;			/* operators, or a whole document; NULL:
								 * nothing */
	bool		replaces;		/* the whole document */
	List	   *guards;			/* paths that must exist */
} WriterUpdate;

/* The update that sets the writer's columns for which changed (by attnum - 1; NULL: all) is true. */
extern void writer_update(Writer *writer, TupleTableSlot *slot, const bool *changed,
						  WriterUpdate *result);

/* write.c: documents and updates to MongoDB */

typedef struct WriteBatch WriteBatch;

/* For operations of one kind: INSERT, UPDATE or DELETE. */
extern WriteBatch *write_batch_create(MongoConnection *connection, const char *collection,
									  CmdType kind, MemoryContext parent);

/*
 * Adds an operation; the documents are copied.  selector is the document of an
 * INSERT; only an UPDATE has an update, which may replace the whole document.
 */
extern void write_batch_add(WriteBatch *batch, const bson_t *selector, const bson_t *update,
							bool replaces);

/*
 * Says that each operation is for all documents that match its selector; and
 * whether that compares strings byte by byte, whatever the collection's collation.
 */
extern void write_batch_many(WriteBatch *batch, bool simple_collation);

extern int	write_batch_count(const WriteBatch *batch);

/* Has it as many operations, or bytes, as it should hold at most? */
extern bool write_batch_is_full(const WriteBatch *batch, int size);

/* Sends the operations, if there are any; returns how many documents were found for them.
 * Throws for the first that fails. */
extern int64 write_batch_send(WriteBatch *batch);

/* Which of the documents have an _id that is new to the collection and to those before. */
extern bool *write_find_new(MongoConnection *connection, const char *collection, List *documents);

/*
 * Updates (update NULL: deletes) the document and returns it as it is then
 * (was), or NULL when there is none; owned by the current memory context.
 */
extern bson_t *write_one(MongoConnection *connection, const char *collection,
						 const bson_t *selector, const bson_t *update);

/* modify_plan.c */

/* What a ModifyTable's fdw_private holds for a foreign table. */
enum ModifyPrivate
{
	MODIFY_COLUMNS,				/* attribute numbers to write */
	MODIFY_DO_NOTHING,			/* boolean: ON CONFLICT DO NOTHING */
	MODIFY_SET_COLUMNS			/* the columns of SET, generated ones
								 * included; others are written when a trigger
								 * changed them */
};

/* Must rows be written, and read again, one by one? */
extern bool modify_is_immediate(ResultRelInfo *resultRelInfo, CmdType operation);

/* The column by which rows are found again; throws, with advice, when there is none. */
extern AttrNumber modify_id_column(Relation relation, const MongoTableOptions *table);

/* The name of the junk attribute that has its value, palloc'd. */
extern char *modify_id_name(Form_pg_attribute attribute);

/* All columns that an insert can write. */
extern List *modify_all_columns(Relation relation);

#endif							/* MM_MODIFY_H */

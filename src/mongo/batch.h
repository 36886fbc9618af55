/*
 * batch.h
 *	  The server's cursor: a command and its getMores, document by document.
 *
 * Nothing here throws or allocates from memory contexts, as it is with the
 * driver's cursor, whose place this takes: cursor.c owns a reader, tells its end
 * from its failure, and destroys it within a clean-up.
 */
#ifndef MM_BATCH_H
#define MM_BATCH_H

#include "mongo/connection.h"

typedef struct BatchReader BatchReader;
typedef struct Batch Batch;

/* What is read: everything is copied. */
typedef struct BatchQuery
{
	const char *collection;		/* in UTF-8 */
	const bson_t *filter;		/* of a find, or NULL */
	const bson_t *pipeline;		/* of an aggregate, or NULL */
	const bson_t *opts;			/* as for the driver's functions, or NULL */
	bool		transaction;	/* opts name the session of a transaction */
} BatchQuery;

/* Nothing is sent before the first document is asked for. */
extern BatchReader *batch_reader_create(MongoConnection *connection, const BatchQuery *query);

/* The next document, lent until the next call; NULL at the end and on failure. */
extern const bson_t *batch_reader_next(BatchReader *reader);

/*
 * Takes the batch at hand, with what is left of it, which is read in its own way
 * from then on: the reader goes on with the next one.
 */
extern Batch *batch_reader_take(BatchReader *reader);

/* The next document of a batch that was taken, lent until that is freed or asked again; NULL at its end. */
extern const bson_t *batch_next(Batch *batch);

/* Whether it ended because it is none, and the error that this is. */
extern bool batch_is_malformed(const Batch *batch, bson_error_t *error);
extern void batch_free(Batch *batch);

/* Whether it failed, and with what; the reply is lent. */
extern bool batch_reader_failed(BatchReader *reader, const bson_error_t **error,
								const bson_t **reply);

/* Ends the cursor on the server too, or notes it for the next connection, and frees the reader. */
extern void batch_reader_destroy(BatchReader *reader);

#endif							/* MM_BATCH_H */

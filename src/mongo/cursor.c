/*
 * cursor.c
 *	  Reading from MongoDB: every early end is an ERROR.
 *
 * batch_reader_next() gives NULL for the end and for a failure alike.  It is
 * called in one place, fetch(), which tells the two apart.  A cursor belongs to
 * the memory context given at its start.
 *
 * A cursor of MongoDB sees what is written while it is open: a document that
 * moves in the index that is read would come again.  So, before a write, what
 * cursors have still to read from the server is put into temporary files.  The
 * batch at hand stays where it is: its last document is lent, maybe to who writes.
 */
#include "postgres.h"
#include "compat.h"

#include "error.h"
#include "miscadmin.h"
#include "mongo/batch.h"
#include "mongo/cursor.h"
#include "mongo/options.h"
#include "mongo/spool.h"
#include "mongo/transaction.h"
#include "owned.h"

/* Codes of the server: https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml */
#define CURSOR_NOT_FOUND 43
#define CURSOR_KILLED 237

struct MongoCursor
{
	MongoConnection *connection;
	BatchReader *reader;		/* NULL once nothing is read from the server */
	char	   *namespace;		/* database.collection, for messages */
	bool		ended;			/* the server said that there are no more */
	Owned	   *owned;
	dlist_node	node;			/* in open_cursors while reader is not NULL */
	bool		transaction;	/* it reads in the connection's transaction */
	MemoryContext context;		/* the owner */

	/* once it was read ahead */
	Batch	   *batch;			/* the documents that were there, or NULL */
	Spool	   *ahead;			/* those that came after them, or NULL */
	bool		complete;		/* these are all */
	bool		incomplete;		/* reading ahead failed */
};

static dlist_head open_cursors = DLIST_STATIC_INIT(open_cursors);

/* Ends the server's cursor; the server is told, and given a second to answer. */
static void
destroy_reader(MongoCursor *self)
{
	if (self->reader == NULL)
		return;
	dlist_delete(&self->node);
	if (mongo_connection_cleanup_begin(self->connection))
	{
		batch_reader_destroy(self->reader);
		mongo_connection_cleanup_end(self->connection);
	}
	self->reader = NULL;
}

/* Ends a cursor. */
static void
destroy_cursor(void *object)
{
	MongoCursor *self = object;

	destroy_reader(self);
	if (self->batch != NULL)
		batch_free(self->batch);
	self->batch = NULL;
	if (self->ahead != NULL)
		spool_close(self->ahead);
	self->ahead = NULL;
	mongo_connection_unpin(self->connection);
}

/* Begins a find, or an aggregate when pipeline is not NULL. */
static MongoCursor *
cursor_open(MongoConnection *connection, const char *name, const bson_t *filter,
			const bson_t *pipeline, const bson_t *opts, MemoryContext owner)
{
	const char *database = mongo_connection_database(connection);
	MongoCursor *self = MemoryContextAllocZero(owner, sizeof(MongoCursor));
	const char *utf8_name = mongo_utf8(name);
	bson_t	   *session_opts = owned_bson_new(CurrentMemoryContext);
	BatchQuery	query;

	mongo_pending_flush_for_read();
	if (opts != NULL)
		bson_concat(session_opts, opts);

	/* The driver would abort. */
	if (name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
				 errmsg("the name of a collection must not be empty")));
	self->transaction = mongo_transaction_append(connection, session_opts);
	self->connection = connection;
	self->context = owner;
	self->namespace = MemoryContextStrdup(owner, psprintf("%s.%s", database, name));
	mongo_connection_pin(connection);
	self->owned = owned_register(owner, self, destroy_cursor);

	query.collection = utf8_name;
	query.filter = filter;
	query.pipeline = pipeline;
	query.opts = session_opts;
	query.transaction = self->transaction;
	self->reader = batch_reader_create(connection, &query);
	dlist_push_tail(&open_cursors, &self->node);
	return self;
}

/* Begins a find; the cursor belongs to owner. */
MongoCursor *
mongo_find(MongoConnection *connection, const char *collection, const bson_t *filter,
		   const bson_t *opts, MemoryContext owner)
{
	return cursor_open(connection, collection, filter, NULL, opts, owner);
}

/* Begins an aggregate; the cursor belongs to owner. */
MongoCursor *
mongo_aggregate(MongoConnection *connection, const char *collection, const bson_t *pipeline,
				const bson_t *opts, MemoryContext owner)
{
	return cursor_open(connection, collection, NULL, pipeline, opts, owner);
}

/* Throws what the driver or the server said of a cursor. */
static void
cursor_throw(MongoCursor *cursor, const bson_error_t *error, const bson_t *reply)
{
	mongo_throw(error, reply,
				psprintf("reading collection \"%s\" of server \"%s\"", cursor->namespace,
						 mongo_connection_server(cursor->connection)));
}

/* Whether the server's reply says that it does not know the cursor. */
static bool
reply_says_lost(const bson_t *reply)
{
	bson_iter_t code;

	return bson_iter_init_find(&code, reply, "code") &&
		(bson_iter_as_int64(&code) == CURSOR_NOT_FOUND || bson_iter_as_int64(&code) == CURSOR_KILLED);
}

/*
 * The next document from the server, or NULL at the end.  A lost cursor is NULL
 * too where the caller asks for that; everything else is thrown.
 */
static const bson_t *
fetch(MongoCursor *cursor, bool *lost)
{
	const bson_t *document = batch_reader_next(cursor->reader);
	const bson_t *reply;
	const bson_error_t *error;

	if (document != NULL)
		return document;
	mongo_connection_check(cursor->connection);
	if (batch_reader_failed(cursor->reader, &error, &reply))
	{
		if (lost == NULL || !reply_says_lost(reply))
			cursor_throw(cursor, error, reply);
		*lost = true;
	}
	return NULL;
}

/* Throws for a cursor whose documents could not be read ahead, in a savepoint that was rolled back since. */
static void
throw_incomplete(MongoCursor *cursor)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("what a query has still to read of collection \"%s\" is lost", cursor->namespace),
			 errdetail("It was to be put into a temporary file before a write to MongoDB, which failed."),
			 errhint("Close the query's cursor, or roll the transaction back.")));
}

/* The next of the documents that were there before the cursor was read ahead, or NULL. */
static const bson_t *
next_of_batch(MongoCursor *cursor)
{
	const bson_t *document = cursor->batch == NULL ? NULL : batch_next(cursor->batch);
	bson_error_t error;

	if (document == NULL && cursor->batch != NULL)
	{
		if (batch_is_malformed(cursor->batch, &error))
			cursor_throw(cursor, &error, NULL);
		batch_free(cursor->batch);
		cursor->batch = NULL;
	}
	return document;
}

/* The next document of a cursor, wherever it is read from; see fetch() for lost. */
static const bson_t *
cursor_next(MongoCursor *cursor, bool *lost)
{
	const bson_t *document;

	if (cursor->ended)
		return NULL;
	if (cursor->incomplete)
		throw_incomplete(cursor);
	document = next_of_batch(cursor);
	if (document != NULL)
		return document;
	if (cursor->ahead != NULL)
		document = spool_next(cursor->ahead);
	else if (cursor->reader != NULL)
		document = fetch(cursor, lost);
	else if (!cursor->complete)
	{
		mongo_transaction_check(cursor->connection);
		elog(ERROR, "cursor of collection \"%s\" ended with its transaction", cursor->namespace);
	}
	cursor->ended = document == NULL && (lost == NULL || !*lost);
	return document;
}

/* The next document, or NULL at the end and where the cursor is lost. */
const bson_t *
mongo_cursor_next_or_lost(MongoCursor *cursor, bool *lost)
{
	*lost = false;
	return cursor_next(cursor, lost);
}

/* The next document, or NULL at the end; throws for everything else. */
const bson_t *
mongo_cursor_next(MongoCursor *cursor)
{
	return cursor_next(cursor, NULL);
}

/* Reads a cursor to its end: the batch at hand stays, what comes after it goes into a temporary file. */
static void
read_ahead(MongoCursor *cursor)
{
	const bson_t *document;

	if (cursor->incomplete)
		throw_incomplete(cursor);

	cursor->incomplete = true;
	cursor->batch = batch_reader_take(cursor->reader);
	while ((document = fetch(cursor, NULL)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();

		/*
		 * It outlives the subtransaction that writes; destroy_cursor() closes
		 * it.
		 */
		if (cursor->ahead == NULL)
			cursor->ahead = spool_create(cursor->namespace, cursor->context);
		spool_put(cursor->ahead, document);
	}
	if (cursor->ahead != NULL)
		spool_rewind(cursor->ahead);
	cursor->incomplete = false;
	cursor->complete = true;
	destroy_reader(cursor);
}

/* Has all open cursors of a connection read to their ends; see cursor.h. */
void
mongo_cursors_read_ahead(MongoConnection *connection)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &open_cursors)
	{
		MongoCursor *cursor = dlist_container(MongoCursor, node, iter.cur);

		if (cursor->connection == connection && !cursor->ended)
			read_ahead(cursor);
	}
}

/* Ends all cursors of the connection's transaction, which aborts. */
void
mongo_cursors_abandon(MongoConnection *connection)
{
	dlist_mutable_iter iter;

	dlist_foreach_modify(iter, &open_cursors)
	{
		MongoCursor *cursor = dlist_container(MongoCursor, node, iter.cur);

		if (cursor->connection == connection && cursor->transaction)
			destroy_reader(cursor);
	}
}

/* Ends the cursor before its context does. */
void
mongo_cursor_close(MongoCursor *cursor)
{
	owned_release(cursor->owned);
}

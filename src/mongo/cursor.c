/*
 * cursor.c
 *	  Reading from MongoDB: every early end is an ERROR.
 *
 * mongoc_cursor_next() says false for the end and for a failure alike.  It is
 * called in one place, mongo_cursor_next(), which tells the two apart.  A
 * cursor belongs to the memory context given at its start.
 */
#include "postgres.h"
#include "compat.h"

#include "error.h"
#include "mongo/cursor.h"
#include "mongo/options.h"
#include "owned.h"

/* Codes of the server: https://github.com/mongodb/mongo/blob/master/src/mongo/base/error_codes.yml */
#define CURSOR_NOT_FOUND 43
#define CURSOR_KILLED 237

struct MongoCursor
{
	MongoConnection *connection;
	mongoc_cursor_t *cursor;
	char	   *namespace;		/* database.collection, for messages */
	char	   *collection;		/* in UTF-8 */
	bool		ended;			/* the server said that there are no more */
	Owned	   *owned;
};

/* Ends a cursor; the server is told, and given a second to answer. */
static void
destroy_cursor(void *object)
{
	MongoCursor *self = object;

	if (self->cursor != NULL && mongo_connection_cleanup_begin(self->connection))
	{
		int64		id = mongoc_cursor_get_id(self->cursor);

		mongoc_cursor_destroy(self->cursor);
		mongo_connection_cleanup_end(self->connection);
		if (id != 0)
			mongo_connection_left_cursor(self->connection, self->collection, id);
	}
	self->cursor = NULL;
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
	mongoc_collection_t *collection;

	/* The driver would abort. */
	if (name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
				 errmsg("the name of a collection must not be empty")));
	self->connection = connection;
	self->namespace = MemoryContextStrdup(owner, psprintf("%s.%s", database, name));
	self->collection = MemoryContextStrdup(owner, utf8_name);
	mongo_connection_pin(connection);
	self->owned = owned_register(owner, self, destroy_cursor);

	/* Nothing throws from here on, so that the collection needs no owner. */
	collection = mongoc_client_get_collection(mongo_connection_client(connection), database,
											  utf8_name);
	if (pipeline != NULL)
		self->cursor = mongoc_collection_aggregate(collection, MONGOC_QUERY_NONE, pipeline, opts,
												   NULL);
	else
		self->cursor = mongoc_collection_find_with_opts(collection, filter, opts, NULL);
	mongoc_collection_destroy(collection);
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

/* The next document, or NULL at the end and where the cursor is lost. */
const bson_t *
mongo_cursor_next_or_lost(MongoCursor *cursor, bool *lost)
{
	const bson_t *document;
	const bson_t *reply;
	bson_error_t error;

	*lost = false;
	if (cursor->ended)
		return NULL;
	if (mongoc_cursor_next(cursor->cursor, &document))
		return document;
	mongo_connection_check(cursor->connection);
	if (mongoc_cursor_error_document(cursor->cursor, &error, &reply))
	{
		*lost = reply_says_lost(reply);
		if (*lost)
			return NULL;
		cursor_throw(cursor, &error, reply);
	}
	cursor->ended = true;
	return NULL;
}

/* The next document, or NULL at the end; throws for everything else. */
const bson_t *
mongo_cursor_next(MongoCursor *cursor)
{
	bool		lost;
	const bson_t *document = mongo_cursor_next_or_lost(cursor, &lost);
	const bson_t *reply;
	bson_error_t error;

	if (lost && mongoc_cursor_error_document(cursor->cursor, &error, &reply))
		cursor_throw(cursor, &error, reply);
	return document;
}

/* Ends the cursor before its context does. */
void
mongo_cursor_close(MongoCursor *cursor)
{
	owned_release(cursor->owned);
}

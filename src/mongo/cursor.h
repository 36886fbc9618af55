/*
 * cursor.h
 *	  Reading from MongoDB: every early end is an ERROR.
 *
 * A cursor belongs to the memory context given at its start; when that is
 * reset, the server's cursor is killed too.
 */
#ifndef MM_CURSOR_H
#define MM_CURSOR_H

#include "mongo/connection.h"

typedef struct MongoCursor MongoCursor;

/* opts as for mongoc_collection_find_with_opts; filter and opts are copied. */
extern MongoCursor *mongo_find(MongoConnection *connection, const char *collection,
							   const bson_t *filter, const bson_t *opts,
							   MemoryContext owner);

/* pipeline is an array document, or {"pipeline": [...]}. */
extern MongoCursor *mongo_aggregate(MongoConnection *connection, const char *collection,
									const bson_t *pipeline, const bson_t *opts,
									MemoryContext owner);

/*
 * The next document, lent until the next call on this cursor; NULL only where
 * the server said that there are no more.  Throws otherwise.
 */
extern const bson_t *mongo_cursor_next(MongoCursor *cursor);

/*
 * The same, but where the server no longer knows the cursor, because it was
 * idle for too long or killed, returns NULL with *lost set.
 */
extern const bson_t *mongo_cursor_next_or_lost(MongoCursor *cursor, bool *lost);

/* Ends the cursor before its context does. */
extern void mongo_cursor_close(MongoCursor *cursor);

/*
 * Has all cursors that are open on the connection read to their ends, so that
 * they do not see what is written from now on.  What the server had still to
 * send waits in temporary files.
 */
extern void mongo_cursors_read_ahead(MongoConnection *connection);

/* Ends all cursors of the connection's transaction, which aborts.  Never throws. */
extern void mongo_cursors_abandon(MongoConnection *connection);

/*
 * Runs one command on the server's database.  The reply is owned by owner.
 * Throws for every failure, ok: 0 and write errors included.
 */
extern bson_t *mongo_command(MongoConnection *connection, const bson_t *command,
							 MemoryContext owner);

/*
 * Commands that open, read and close a cursor.  They go to the host that answered
 * the first, since no other mongos knows the cursor, and in a session of their own,
 * by which the cursor is ended where the connection fails before.
 */
typedef struct MongoCommands MongoCommands;
extern MongoCommands *mongo_commands_begin(MongoConnection *connection, MemoryContext owner);
extern bson_t *mongo_commands_run(MongoCommands *commands, const bson_t *command,
								  MemoryContext owner);

#endif							/* MM_CURSOR_H */

/*
 * connection.h
 *	  One MongoDB client a user and server, kept for the session.
 *
 * A connection is rebuilt at the next mongo_connect() after its server or
 * mapping changed or its network failed.  Cursors keep the old one for as long
 * as they need it.
 */
#ifndef MM_CONNECTION_H
#define MM_CONNECTION_H

typedef struct MongoConnection MongoConnection;

/*
 * Returns the session's connection for (server, user).  Cheap when cached: no
 * round trip.  Throws for bad options, no credentials where they are needed,
 * and a server that cannot be reached.  The pointer is good until the end of
 * the transaction, and for as long as a cursor of it is open.
 */
extern MongoConnection *mongo_connect(Oid serverid, Oid userid);

/*
 * The client, for a call of the driver.  What cursors have asked for ahead is
 * received first, which the driver would otherwise wait for where it counts it as
 * its own time.  Never throws.
 */
extern mongoc_client_t *mongo_connection_client(MongoConnection *connection);

/* A new session, so that it can be named to the server; NULL where that knows none. */
extern mongoc_client_session_t *mongo_connection_start_session(MongoConnection *connection);

/* What its streams share, for messages beside the driver. */
extern struct StreamControl *mongo_connection_streams(MongoConnection *connection);

/* The driver's number of the host that has answered its last command, 0 where that is not known. */
extern uint32 mongo_connection_last_host(MongoConnection *connection);
extern const char *mongo_connection_database(MongoConnection *connection);
extern const char *mongo_connection_server(MongoConnection *connection);	/* server's name */

/* Option transactions: are writes rolled back with the local transaction? */
extern bool mongo_connection_transactional(MongoConnection *connection);

/*
 * To be called after each return of the driver that may have waited: throws
 * the interrupt that the stream saw, if any.
 */
extern void mongo_connection_check(MongoConnection *connection);

/* Keeps a connection beyond the end of the transaction, and gives it up again. */
extern void mongo_connection_pin(MongoConnection *connection);
extern void mongo_connection_unpin(MongoConnection *connection);

/*
 * Between these, which never throw, the driver gets a second at most for all
 * that it waits for: to destroy a cursor.  The first returns false when the
 * driver may not be called at all, since the process ends from within it.
 */
extern bool mongo_connection_cleanup_begin(MongoConnection *connection);
extern void mongo_connection_cleanup_end(MongoConnection *connection);

/*
 * Notes a session that had a cursor or a transaction.  Where the server may have
 * it open still, it is told to end it: where the connection had failed by the
 * session's next one, else now if open is set.  To be called within a clean-up;
 * never throws.
 */
extern void mongo_connection_left_session(MongoConnection *connection, const bson_t *lsid, bool open);

#endif							/* MM_CONNECTION_H */

/*
 * connection.h
 *	  One MongoDB client a user mapping, kept for the session.
 *
 * The cache owns the clients.  A connection is rebuilt when its server or
 * mapping changed, at the next mongo_connect() of a statement that holds none.
 */
#ifndef MM_CONNECTION_H
#define MM_CONNECTION_H

typedef struct MongoConnection MongoConnection;

/*
 * Returns the session's connection for (server, user).  Cheap when cached: no
 * round trip.  Throws for bad options, no mapping where one is needed, or no
 * rights.  The pointer is good until the end of the transaction.
 */
extern MongoConnection *mongo_connect(Oid serverid, Oid userid);

extern mongoc_client_t *mongo_connection_client(MongoConnection *connection);
extern const char *mongo_connection_database(MongoConnection *connection);
extern const char *mongo_connection_server(MongoConnection *connection);	/* server's name */

/*
 * To be called after each return of the driver that may have waited: throws
 * the interrupt that the stream saw, if any.  Closes what is half-read.
 */
extern void mongo_connection_check(MongoConnection *connection);

#endif							/* MM_CONNECTION_H */

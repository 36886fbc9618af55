/*
 * client.h
 *	  The driver's client for a server and a user, built from their options.
 */
#ifndef MM_CLIENT_H
#define MM_CLIENT_H

#include "foreign/foreign.h"
#include "mongo/stream.h"

/* Throws for a connection string that cannot be the value of option uri. */
extern void mongo_uri_check(const char *text);

/*
 * Makes a client, owned by owner like the control block that its streams use.
 * mapping may be NULL.  Nothing is sent yet.  Throws for missing or bad options,
 * and where userid may not connect without credentials of its own.
 */
extern mongoc_client_t *client_create(ForeignServer *server, UserMapping *mapping, Oid userid,
									  StreamControl *control, MemoryContext owner);

/* The database to use: option database, else the uri's.  Throws for none. */
extern char *client_database(ForeignServer *server, const mongoc_uri_t *uri);

/* Has the driver's log messages kept for client_log() instead of printed. */
extern void client_log_init(void);

/* The driver's last warning since the last call; "" for none. */
extern const char *client_log(void);

#endif							/* MM_CLIENT_H */

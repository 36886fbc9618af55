/*
 * transaction.h
 *	  The MongoDB transaction that belongs to a local one.
 *
 * What a local transaction writes to a server is one transaction of MongoDB:
 * begun before the first write, committed just before the local commit, aborted
 * with it.  Cursors that are opened meanwhile read in it.
 */
#ifndef MM_TRANSACTION_H
#define MM_TRANSACTION_H

#include "lib/ilist.h"
#include "mongo/connection.h"

/*
 * Begins the transaction, unless it has begun or the server's option
 * transactions is off.  Throws where the deployment has none, and where the
 * transaction is lost with a savepoint.
 */
extern void mongo_transaction_begin(MongoConnection *connection);

/* The same for what is read in order to be written: a deployment that has none is no matter yet. */
extern void mongo_transaction_begin_reading(MongoConnection *connection);

/*
 * To be called before each write: begins the transaction, notes that the
 * subtransaction of a nest level has written, and has cursors that are open read
 * what they will read, which is to be as it was before.  What was held back may
 * be written in a deeper one, which does not undo it.
 */
extern void mongo_transaction_write(MongoConnection *connection, int level);

/* Throws where the transaction is lost with a savepoint. */
extern void mongo_transaction_check(MongoConnection *connection);

/* Has a command's or cursor's options name the transaction; true when there is one. */
extern bool mongo_transaction_append(MongoConnection *connection, bson_t *opts);

/* Does the connection have a transaction?  Commands do not see what it wrote. */
extern bool mongo_transaction_is_open(MongoConnection *connection);

/*
 * Writes that are held back.  They are to be sent before anything is read from
 * any connection, unless that must not see them: cursors flush them when they open.
 */
typedef struct MongoPending
{
	dlist_node	node;
	void		(*flush) (struct MongoPending *pending);
	bool		(*is_hidden) (const struct MongoPending *pending);	/* NULL: never */
} MongoPending;

extern void mongo_pending_add(MongoPending *pending);
extern void mongo_pending_remove(MongoPending *pending);

/* Sends all, or what a cursor that opens has to see. */
extern void mongo_pending_flush(void);
extern void mongo_pending_flush_for_read(void);

#endif							/* MM_TRANSACTION_H */

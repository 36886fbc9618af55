/*
 * transaction.c
 *	  The MongoDB transaction that belongs to a local one.
 *
 * There is at most one a connection.  Its session belongs to this list and
 * ends in the callback at the end of the local transaction, after the cursors
 * that read in it; the connection is pinned for as long.
 *
 * MongoDB has no savepoints.  A subtransaction that is rolled back after it
 * wrote therefore takes the whole transaction of MongoDB with it: that is
 * aborted at once, and the local transaction cannot commit any more.
 *
 * The commit in MongoDB comes first.  When the local commit fails after that,
 * which takes a crash or a full disk, the writes to MongoDB stay.  A failure to
 * serialize, which PostgreSQL looks for later, is looked for before.
 */
#include "postgres.h"
#include "compat.h"

#include "access/xact.h"
#include "error.h"
#include "mongo/cursor.h"
#include "mongo/transaction.h"
#include "owned.h"
#include "storage/predicate.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

typedef struct RemoteTransaction
{
	dlist_node	node;
	MongoConnection *connection;
	mongoc_client_session_t *session;
	int			write_level;	/* deepest subtransaction that wrote and is
								 * not in its parent yet; 0: nothing is
								 * written */
	bool		wrote;			/* else there is nothing to commit */
	bool		lost;			/* aborted with a savepoint */
	bool		committed;
} RemoteTransaction;

static dlist_head transactions = DLIST_STATIC_INIT(transactions);
static dlist_head pending_writes = DLIST_STATIC_INIT(pending_writes);

/* The connection's transaction, or NULL. */
static RemoteTransaction *
find_transaction(MongoConnection *connection)
{
	dlist_iter	iter;

	dlist_foreach(iter, &transactions)
	{
		RemoteTransaction *self = dlist_container(RemoteTransaction, node, iter.cur);

		if (self->connection == connection)
			return self;
	}
	return NULL;
}

/* Throws for a transaction that is lost. */
static void
check_lost(RemoteTransaction *self)
{
	if (self->lost)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the transaction's writes to server \"%s\" were rolled back with a savepoint",
						mongo_connection_server(self->connection)),
				 errdetail("MongoDB has no savepoints, so that all of the transaction's writes there were undone."),
				 errhint("Roll the transaction back and run it again, without savepoints or exception blocks around writes to MongoDB.")));
}

/* Aborts in MongoDB, if that answers soon.  Never throws. */
static void
abort_remote(RemoteTransaction *self)
{
	if (!mongo_connection_cleanup_begin(self->connection))
		return;
	if (self->session != NULL)
	{
		/* The driver does not abort after a commit that failed. */
		bool		open = !self->committed && !mongoc_client_session_in_transaction(self->session);

		mongo_cursors_abandon(self->connection);
		if (mongoc_client_session_in_transaction(self->session))
			(void) mongoc_client_session_abort_transaction(self->session, NULL);
		mongo_connection_left_session(self->connection,
									  mongoc_client_session_get_lsid(self->session), open);
		mongoc_client_session_destroy(self->session);
		self->session = NULL;
	}
	mongo_connection_cleanup_end(self->connection);
}

/* Forgets a transaction that has ended. */
static void
forget(RemoteTransaction *self)
{
	dlist_delete(&self->node);
	mongo_connection_unpin(self->connection);
	pfree(self);
}

/* Warns of servers that have committed before another one did not. */
static void
warn_of_committed(void)
{
	dlist_iter	iter;

	dlist_foreach(iter, &transactions)
	{
		RemoteTransaction *self = dlist_container(RemoteTransaction, node, iter.cur);

		if (self->committed)
			ereport(WARNING,
					(errcode(ERRCODE_WARNING),
					 errmsg("server \"%s\" has committed already",
							mongo_connection_server(self->connection)),
					 errdetail("The transaction is rolled back here. What it wrote there stays.")));
	}
}

/* Commits in MongoDB. */
static void
commit_remote(RemoteTransaction *self)
{
	const char *server = mongo_connection_server(self->connection);
	bson_error_t error;
	bson_t		driver_reply;
	bson_t	   *reply;

	if (!self->wrote)
		return;
	self->committed = mongoc_client_session_commit_transaction(self->session, &driver_reply, &error);
	if (self->committed)
	{
		bson_destroy(&driver_reply);
		return;
	}
	reply = bson_copy(&driver_reply);
	bson_destroy(&driver_reply);
	(void) owned_bson(CurrentMemoryContext, reply);
	warn_of_committed();
	/* A write concern that fails does so after the commit. */
	if (error.domain == MONGOC_ERROR_WRITE_CONCERN ||
		mongoc_error_has_label(reply, "UnknownTransactionCommitResult"))
		ereport(WARNING,
				(errcode(ERRCODE_TRANSACTION_RESOLUTION_UNKNOWN),
				 errmsg("whether server \"%s\" has committed is not known", server),
				 errdetail("The transaction is rolled back here. Look whether its writes are in MongoDB.")));
	mongo_connection_check(self->connection);
	mongo_throw(&error, reply, psprintf("committing on server \"%s\"", server));
}

/* Does, before any of them commits, what may fail. */
static void
prepare_commit(void)
{
	dlist_iter	iter;

	mongo_pending_flush();
	dlist_foreach(iter, &transactions)
		check_lost(dlist_container(RemoteTransaction, node, iter.cur));
	dlist_foreach(iter, &transactions)
		mongo_cursors_read_ahead(dlist_container(RemoteTransaction, node, iter.cur)->connection);

	/* From here on it can no longer fail, also when it is asked for again. */
	if (!dlist_is_empty(&transactions))
		PreCommit_CheckForSerializationFailure();
}

/* Ends the transactions together with the local one. */
static void
xact_callback(XactEvent event, void *arg)
{
	dlist_mutable_iter iter;

	if (event == XACT_EVENT_PRE_COMMIT)
		prepare_commit();
	dlist_foreach_modify(iter, &transactions)
	{
		RemoteTransaction *self = dlist_container(RemoteTransaction, node, iter.cur);

		switch (event)
		{
			case XACT_EVENT_PRE_COMMIT:
				commit_remote(self);
				break;
			case XACT_EVENT_PRE_PREPARE:
				if (!self->wrote)
					break;
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("cannot PREPARE a transaction that has written to MongoDB")));
				break;
			case XACT_EVENT_COMMIT:
			case XACT_EVENT_PREPARE:
			case XACT_EVENT_ABORT:
				abort_remote(self);
				forget(self);
				break;
			default:
				break;
		}
	}
}

/* Hands what a subtransaction wrote to its parent, or takes the whole with it. */
static void
subxact_callback(SubXactEvent event, SubTransactionId subid, SubTransactionId parent, void *arg)
{
	int			level = GetCurrentTransactionNestLevel();
	dlist_iter	iter;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	dlist_foreach(iter, &transactions)
	{
		RemoteTransaction *self = dlist_container(RemoteTransaction, node, iter.cur);

		if (self->write_level < level)
			continue;
		self->write_level = level - 1;
		if (event == SUBXACT_EVENT_ABORT_SUB)
		{
			self->lost = true;
			abort_remote(self);
		}
	}
}

/* Is it a deployment that has no transactions? */
static bool
is_standalone(MongoConnection *connection)
{
	mongoc_client_t *client = mongo_connection_client(connection);
	bson_error_t error;
	mongoc_server_description_t *description = mongoc_client_select_server(client, true, NULL, &error);
	bool		standalone;

	mongo_connection_check(connection);
	if (description == NULL)
		mongo_throw(&error, NULL, psprintf("looking for the primary of server \"%s\"",
										   mongo_connection_server(connection)));
	standalone = strcmp(mongoc_server_description_type(description), "Standalone") == 0;
	mongoc_server_description_destroy(description);
	return standalone;
}

/* Throws for one. */
static void
check_deployment(MongoConnection *connection)
{
	const char *server = mongo_connection_server(connection);

	if (is_standalone(connection))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("server \"%s\" has no transactions, since it is no replica set", server),
				 errdetail("What is written to it could not be rolled back."),
				 errhint("Make it a replica set, even of one member; or, to write without transactions: ALTER SERVER %s OPTIONS (ADD transactions 'off').",
						 quote_identifier(server))));
}

/* Starts a session and a transaction in it. */
static mongoc_client_session_t *
start_session(MongoConnection *connection)
{
	mongoc_client_t *client = mongo_connection_client(connection);
	mongoc_transaction_opt_t *options = mongoc_transaction_opts_new();
	mongoc_read_concern_t *concern = mongoc_read_concern_new();
	mongoc_read_prefs_t *preference = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
	mongoc_client_session_t *session;
	bson_error_t error;

	mongoc_read_concern_set_level(concern, MONGOC_READ_CONCERN_LEVEL_SNAPSHOT);
	mongoc_transaction_opts_set_read_concern(options, concern);
	mongoc_transaction_opts_set_read_prefs(options, preference);
	session = mongoc_client_start_session(client, NULL, &error);
	if (session != NULL && !mongoc_client_session_start_transaction(session, options, &error))
	{
		mongoc_client_session_destroy(session);
		session = NULL;
	}
	mongoc_read_prefs_destroy(preference);
	mongoc_read_concern_destroy(concern);
	mongoc_transaction_opts_destroy(options);
	if (session == NULL)
	{
		mongo_connection_check(connection);
		mongo_throw(&error, NULL, psprintf("starting a transaction on server \"%s\"",
										   mongo_connection_server(connection)));
	}
	return session;
}

/* Begins the transaction; see transaction.h. */
void
mongo_transaction_begin(MongoConnection *connection)
{
	static bool registered = false;
	RemoteTransaction *self = find_transaction(connection);

	if (!mongo_connection_transactional(connection))
		return;
	if (self != NULL)
	{
		check_lost(self);
		return;
	}
	if (!registered)
	{
		RegisterXactCallback(xact_callback, NULL);
		RegisterSubXactCallback(subxact_callback, NULL);
		registered = true;
	}
	check_deployment(connection);
	self = MemoryContextAllocZero(TopTransactionContext, sizeof(RemoteTransaction));
	self->connection = connection;
	self->session = start_session(connection);
	/* From here on there is one, for the end of the local one to end. */
	mongo_connection_pin(connection);
	dlist_push_tail(&transactions, &self->node);
}

/* Begins it for what is read to be written; see transaction.h. */
void
mongo_transaction_begin_reading(MongoConnection *connection)
{
	if (mongo_connection_transactional(connection) && !is_standalone(connection))
		mongo_transaction_begin(connection);
}

/* To be called before each write; see transaction.h. */
void
mongo_transaction_write(MongoConnection *connection, int level)
{
	RemoteTransaction *self;

	mongo_transaction_begin(connection);
	mongo_cursors_read_ahead(connection);
	self = find_transaction(connection);
	if (self == NULL)
		return;
	self->wrote = true;
	self->write_level = Max(self->write_level, level);
}

/* Throws where the transaction is lost. */
void
mongo_transaction_check(MongoConnection *connection)
{
	RemoteTransaction *self = find_transaction(connection);

	if (self != NULL)
		check_lost(self);
}

/* Has options name the transaction; true when there is one. */
bool
mongo_transaction_append(MongoConnection *connection, bson_t *opts)
{
	RemoteTransaction *self = find_transaction(connection);
	bson_error_t error;

	if (self == NULL)
		return false;
	check_lost(self);
	if (self->session == NULL)
		return false;
	if (!mongoc_client_session_append(self->session, opts, &error))
		mongo_throw(&error, NULL, psprintf("using the transaction on server \"%s\"",
										   mongo_connection_server(connection)));
	return true;
}

/* Does the connection have a transaction? */
bool
mongo_transaction_is_open(MongoConnection *connection)
{
	return find_transaction(connection) != NULL;
}

/* Has writes that are held back sent before anything is read. */
void
mongo_pending_add(MongoPending *pending)
{
	dlist_push_tail(&pending_writes, &pending->node);
}

/* Forgets them. */
void
mongo_pending_remove(MongoPending *pending)
{
	dlist_delete(&pending->node);
}

/* Sends what is held back: all, or what is not hidden. */
static void
pending_flush(bool all)
{
	dlist_iter	iter;

	dlist_foreach(iter, &pending_writes)
	{
		MongoPending *pending = dlist_container(MongoPending, node, iter.cur);

		if (all || pending->is_hidden == NULL || !pending->is_hidden(pending))
			pending->flush(pending);
	}
}

void
mongo_pending_flush(void)
{
	pending_flush(true);
}

void
mongo_pending_flush_for_read(void)
{
	pending_flush(false);
}

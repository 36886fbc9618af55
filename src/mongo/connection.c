/*
 * connection.c
 *	  One MongoDB client a user and server, kept for the session.
 *
 * A connection and all that belongs to it live in a memory context of their
 * own, below TopMemoryContext once it works.  It is used for as long as nothing
 * speaks against it: its server's or mapping's options changed, a stream failed,
 * the peer has closed it.  Then mongo_connect() makes another; the old one
 * stays in the list until the transaction has ended and its cursors are closed.
 * One that has a transaction of MongoDB open is used until that ends.
 */
#include "postgres.h"
#include "compat.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_user_mapping.h"
#include "error.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "mongo/client.h"
#include "mongo/connection.h"
#include "mongo/options.h"
#include "mongo/transaction.h"
#include "owned.h"
#include "pgstat.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"
#include "utils/tuplestore.h"
#include "wait_events.h"

PG_FUNCTION_INFO_V1(mm_connections);
PG_FUNCTION_INFO_V1(mm_disconnect);
PG_FUNCTION_INFO_V1(mm_disconnect_all);

/* Pause between two attempts to find a server, where there is time for more than one. */
#define RETRY_MS 500

struct MongoConnection
{
	dlist_node	node;			/* in connections */
	MemoryContext context;		/* holds this, the client and the strings */
	Oid			serverid;
	Oid			userid;
	uint32		server_hash;	/* of the syscache entries, for invalidation */
	uint32		mapping_hash;	/* 0: the user has no mapping of its own */
	bool		retired;		/* not to be handed out again */
	bool		keep;			/* option keep_connections */
	bool		transactional;	/* option transactions */
	int			pins;			/* cursors and the like */
	bool		used;			/* by the current transaction */
	mongoc_client_t *client;
	StreamControl control;
	char	   *database;		/* in UTF-8 */
	char	   *server;
};

#define SESSION_ID_SIZE 16

/* A session that may have a cursor or a transaction open on the server. */
typedef struct LeftSession
{
	slist_node	node;
	Oid			serverid;
	Oid			userid;
	uint8		id[SESSION_ID_SIZE];
} LeftSession;

static slist_head left_sessions = SLIST_STATIC_INIT(left_sessions);

static dlist_head connections = DLIST_STATIC_INIT(connections);

/* Changes of servers and user mappings so far. */
static uint64 invalidations = 0;

/* Ends a connection; its context destroys the client. */
static void
connection_destroy(MongoConnection *self)
{
	dlist_delete(&self->node);
	MemoryContextDelete(self->context);
}

/* Ends connections that are of no more use, at the end of a transaction. */
static void
xact_callback(XactEvent event, void *arg)
{
	dlist_mutable_iter iter;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_PARALLEL_COMMIT &&
		event != XACT_EVENT_ABORT && event != XACT_EVENT_PARALLEL_ABORT &&
		event != XACT_EVENT_PREPARE)
		return;
	dlist_foreach_modify(iter, &connections)
	{
		MongoConnection *self = dlist_container(MongoConnection, node, iter.cur);

		self->used = false;
		if (self->pins == 0 &&
			(self->retired || !self->keep || self->control.interrupted || self->control.broken))
			connection_destroy(self);
	}
}

/* Retires the connections whose server or user mapping changed. */
static void
invalidation_callback(Datum arg, int cacheid, uint32 hash)
{
	dlist_iter	iter;

	invalidations++;
	dlist_foreach(iter, &connections)
	{
		MongoConnection *self = dlist_container(MongoConnection, node, iter.cur);

		if (hash == 0 ||
			(cacheid == FOREIGNSERVEROID && self->server_hash == hash) ||
			(cacheid == USERMAPPINGOID &&
			 (self->mapping_hash == hash || self->mapping_hash == 0)))
			self->retired = true;
	}
}

/* To be called before the first connection of the session. */
static void
initialize(void)
{
	static bool initialized = false;

	if (initialized)
		return;
	wait_names_register();
	client_log_init();
	RegisterXactCallback(xact_callback, NULL);
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, invalidation_callback, (Datum) 0);
	CacheRegisterSyscacheCallback(USERMAPPINGOID, invalidation_callback, (Datum) 0);
	initialized = true;
}

/* The user's mapping, else PUBLIC's, else NULL; own says whether it is the first. */
static UserMapping *
find_mapping(Oid serverid, Oid userid, bool *own)
{
	*own = SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(userid),
								 ObjectIdGetDatum(serverid));
	if (!*own &&
		!SearchSysCacheExists2(USERMAPPINGUSERSERVER, ObjectIdGetDatum(InvalidOid),
							   ObjectIdGetDatum(serverid)))
		return NULL;
	return GetUserMapping(userid, serverid);
}

/* How long to look for a server; 0: once. */
static int
selection_timeout(ForeignServer *server, mongoc_client_t *client)
{
	return option_integer(server->options, "server_selection_timeout_ms",
						  mongoc_uri_get_option_as_int32(mongoc_client_get_uri(client),
														 MONGOC_URI_SERVERSELECTIONTIMEOUTMS, 0));
}

/*
 * Makes the client connect and authenticate.  A set that elects its primary,
 * say, is given the time that server_selection_timeout_ms says, each time with a
 * fresh client: after a failure, the driver leaves a host alone for a while.
 */
static void
connection_establish(MongoConnection *self, ForeignServer *server, UserMapping *mapping)
{
	TimestampTz start = GetCurrentTimestamp();
	MemoryContext attempt = AllocSetContextCreate(self->context, "mongo client",
												  ALLOCSET_SMALL_SIZES);
	bson_t	   *ping = owned_bson_new(CurrentMemoryContext);
	bson_error_t error;

	BSON_APPEND_INT32(ping, "ping", 1);
	for (;;)
	{
		mongo_error_forget_causes();
		self->client = client_create(server, mapping, self->userid, &self->control, attempt);
		if (mongoc_client_command_simple(self->client, "admin", ping,
										 mongoc_client_get_read_prefs(self->client),
										 NULL, &error))
			break;
		mongo_connection_check(self);
		if (error.domain != MONGOC_ERROR_SERVER_SELECTION ||
			TimestampDifferenceExceeds(start, GetCurrentTimestamp(),
									   selection_timeout(server, self->client)))
			mongo_throw(&error, NULL, psprintf("connecting to server \"%s\"", self->server));
		MemoryContextReset(attempt);
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, RETRY_MS,
						 wait_event(MONGO_WAIT_CONNECT));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}

	/* A member that does not answer is no reason against the connection. */
	self->control.broken = false;
}

/*
 * Has the server end what a session has open: cursors, a transaction and commands
 * that still run.  Which host has it is not always known, so that all are told.
 * It need not succeed: the server ends idle cursors by itself, after ten minutes,
 * and transactions after one.
 */
static void
kill_session(mongoc_client_t *client, const uint8 *id)
{
	bson_t	   *command = BCON_NEW("killSessions", "[", "{", "id",
								   BCON_BIN(BSON_SUBTYPE_UUID, id, SESSION_ID_SIZE), "}", "]");
	mongoc_server_description_t **hosts;
	size_t		count;

	/* A host that shuts down, by its last error, is to be looked at anew. */
	mongoc_server_description_destroy(mongoc_client_select_server(client, true, NULL, NULL));
	hosts = mongoc_client_get_server_descriptions(client, &count);
	for (size_t i = 0; i < count; i++)
		if (strcmp(mongoc_server_description_type(hosts[i]), "Unknown") != 0)
			(void) mongoc_client_command_simple_with_server_id(client, "admin", command, NULL,
															   mongoc_server_description_id(hosts[i]),
															   NULL, NULL);
	mongoc_server_descriptions_destroy_all(hosts, count);
	bson_destroy(command);
}

/* The same for those that were left by connections like this one. */
static void
kill_left_sessions(MongoConnection *self)
{
	slist_mutable_iter iter;

	slist_foreach_modify(iter, &left_sessions)
	{
		LeftSession *left = slist_container(LeftSession, node, iter.cur);

		if (left->serverid != self->serverid || left->userid != self->userid)
			continue;
		kill_session(self->client, left->id);
		slist_delete_current(&iter);
		pfree(left);
	}
	mongo_connection_check(self);
}

/* Makes a connection.  When that fails, the current context cleans up. */
static MongoConnection *
connection_create(Oid serverid, Oid userid)
{
	uint64		invalidations_before = invalidations;
	ForeignServer *server = GetForeignServer(serverid);
	bool		own_mapping;
	UserMapping *mapping = find_mapping(serverid, userid, &own_mapping);
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "mongo connection",
												  ALLOCSET_SMALL_SIZES);
	MongoConnection *self = MemoryContextAllocZero(context, sizeof(MongoConnection));

	self->context = context;
	self->serverid = serverid;
	self->userid = userid;
	self->keep = option_boolean(server->options, "keep_connections", true);
	self->transactional = option_boolean(server->options, "transactions", true);
	self->server = MemoryContextStrdup(context, server->servername);
	self->server_hash = GetSysCacheHashValue1(FOREIGNSERVEROID, ObjectIdGetDatum(serverid));
	if (own_mapping)
		self->mapping_hash = GetSysCacheHashValue1(USERMAPPINGOID,
												   ObjectIdGetDatum(mapping->umid));
	stream_control_init(&self->control, context);
	connection_establish(self, server, mapping);
	kill_left_sessions(self);
	self->database = MemoryContextStrdup(context,
										 client_database(server, mongoc_client_get_uri(self->client)));
	MemoryContextSetParent(context, TopMemoryContext);
	dlist_push_tail(&connections, &self->node);
	self->retired = invalidations != invalidations_before;
	return self;
}

/* Throws where a connection, which has a transaction, was given up by an interrupt. */
static void
check_not_given_up(MongoConnection *self)
{
	if (self->control.interrupted)
		ereport(ERROR,
				(errcode(ERRCODE_CONNECTION_FAILURE),
				 errmsg("the transaction on server \"%s\" is lost with its connection", self->server),
				 errdetail("The connection was given up when a statement was cancelled."),
				 errhint("Roll the transaction back and run it again.")));
}

/* Returns the session's connection for (server, user); see connection.h. */
MongoConnection *
mongo_connect(Oid serverid, Oid userid)
{
	MongoConnection *result = NULL;
	dlist_iter	iter;

	initialize();
	mongo_error_forget_causes();
	dlist_foreach(iter, &connections)
	{
		MongoConnection *self = dlist_container(MongoConnection, node, iter.cur);

		if (self->serverid != serverid || self->userid != userid)
			continue;
		/* Another would not see what the transaction wrote. */
		if (mongo_transaction_is_open(self))
		{
			check_not_given_up(self);
			return self;
		}
		if (self->retired)
			continue;
		if (stream_control_alive(&self->control))
			result = self;
		else
			self->retired = true;
	}
	if (result == NULL)
		result = connection_create(serverid, userid);
	result->used = true;
	return result;
}

/* The client to call the driver with; see connection.h. */
mongoc_client_t *
mongo_connection_client(MongoConnection *connection)
{
	stream_settle(&connection->control);
	return connection->client;
}

/* A new session; see connection.h. */
mongoc_client_session_t *
mongo_connection_start_session(MongoConnection *connection)
{
	mongoc_session_opt_t *options = mongoc_session_opts_new();
	mongoc_client_session_t *session;

	mongoc_session_opts_set_causal_consistency(options, false);
	session = mongoc_client_start_session(mongo_connection_client(connection), options, NULL);
	mongoc_session_opts_destroy(options);
	return session;
}

StreamControl *
mongo_connection_streams(MongoConnection *connection)
{
	return &connection->control;
}

/* The driver's number of the host that has answered; see connection.h. */
uint32
mongo_connection_last_host(MongoConnection *connection)
{
	const char *host = stream_host(&connection->control, connection->control.last_read);
	mongoc_server_description_t **hosts;
	size_t		count;
	uint32		result = 0;

	if (host == NULL)
		return 0;
	hosts = mongoc_client_get_server_descriptions(connection->client, &count);
	for (size_t i = 0; i < count; i++)
		if (strcmp(mongoc_server_description_host(hosts[i])->host_and_port, host) == 0)
			result = mongoc_server_description_id(hosts[i]);
	mongoc_server_descriptions_destroy_all(hosts, count);
	return result;
}

const char *
mongo_connection_database(MongoConnection *connection)
{
	return connection->database;
}

const char *
mongo_connection_server(MongoConnection *connection)
{
	return connection->server;
}

bool
mongo_connection_transactional(MongoConnection *connection)
{
	return connection->transactional;
}

/* Throws the interrupt that the stream saw, if any. */
void
mongo_connection_check(MongoConnection *connection)
{
	const char *message = client_log();

	if (message[0] != '\0')
		elog(DEBUG1, "mongo driver: %s", mongo_error_text(message));
	stream_throw_interrupt(&connection->control);
}

/* Keeps a connection beyond the end of the transaction. */
void
mongo_connection_pin(MongoConnection *connection)
{
	connection->pins++;
}

/* Gives it up again.  Never throws. */
void
mongo_connection_unpin(MongoConnection *connection)
{
	Assert(connection->pins > 0);
	connection->pins--;

	/* After an abort, cursors go later than the transaction's own callback. */
	if (connection->pins == 0 && connection->control.interrupted && !IsTransactionState() &&
		!proc_exit_inprogress)
		connection_destroy(connection);
}

/* Begins the destruction of a driver's object; see connection.h. */
bool
mongo_connection_cleanup_begin(MongoConnection *connection)
{
	/* An interrupt that ends the process does so in the midst of a call. */
	if (proc_exit_inprogress && connection->control.serving)
		return false;
	stream_cleanup_begin(&connection->control);
	return true;
}

/* Ends it. */
void
mongo_connection_cleanup_end(MongoConnection *connection)
{
	stream_cleanup_end(&connection->control);
}

/* Has the server end what a session has open, or notes it; see connection.h. */
void
mongo_connection_left_session(MongoConnection *connection, const bson_t *lsid, bool open)
{
	LeftSession *left;
	bson_iter_t iter;
	bson_subtype_t subtype;
	uint32_t	length;
	const uint8_t *id;

	if (!bson_iter_init_find(&iter, lsid, "id") || !BSON_ITER_HOLDS_BINARY(&iter))
		return;
	bson_iter_binary(&iter, &subtype, &length, &id);
	if (length != SESSION_ID_SIZE)
		return;
	if (open && !connection->control.interrupted && !connection->control.broken)
		kill_session(connection->client, id);
	if (!connection->control.interrupted && !connection->control.broken)
		return;
	left = MemoryContextAllocExtended(TopMemoryContext, sizeof(LeftSession), MCXT_ALLOC_NO_OOM);
	if (left == NULL)
		return;
	left->serverid = connection->serverid;
	left->userid = connection->userid;
	memcpy(left->id, id, sizeof(left->id));
	slist_push_head(&left_sessions, &left->node);
}

/* connections(): one row for each connection of the session */
Datum
mm_connections(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	dlist_iter	iter;

	InitMaterializedSRF(fcinfo, 0);
	dlist_foreach(iter, &connections)
	{
		MongoConnection *self = dlist_container(MongoConnection, node, iter.cur);
		char	   *user = GetUserNameFromId(self->userid, true);
		Datum		values[4];
		bool		nulls[4] = {false};

		values[0] = DirectFunctionCall1(namein, CStringGetDatum(self->server));
		if (user != NULL)
			values[1] = DirectFunctionCall1(namein, CStringGetDatum(user));
		else
			nulls[1] = true;
		values[2] = BoolGetDatum(!self->retired && stream_control_alive(&self->control));
		values[3] = Int32GetDatum(self->pins);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * Closes the connections of the session to a server, or all where serverid is
 * InvalidOid.  One that the transaction or a cursor uses is closed when it no
 * longer does.  Returns whether there was any.
 */
static bool
disconnect(Oid serverid)
{
	dlist_mutable_iter iter;
	bool		any = false;

	dlist_foreach_modify(iter, &connections)
	{
		MongoConnection *self = dlist_container(MongoConnection, node, iter.cur);

		if (OidIsValid(serverid) && self->serverid != serverid)
			continue;
		any = true;
		if (self->pins > 0 || self->used)
		{
			self->retired = true;
			ereport(NOTICE,
					(errmsg("connection to server \"%s\" is in use; it will be closed later",
							self->server)));
		}
		else
			connection_destroy(self);
	}
	return any;
}

/* disconnect(server name) returns boolean */
Datum
mm_disconnect(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(disconnect(mongo_server_oid(NameStr(*PG_GETARG_NAME(0)))));
}

/* disconnect_all() returns boolean */
Datum
mm_disconnect_all(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(disconnect(InvalidOid));
}

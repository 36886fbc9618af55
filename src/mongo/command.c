/*
 * command.c
 *	  Commands on a server's database, and the SQL functions over the driver.
 *
 * The functions speak Extended JSON by libbson's own reader and printers, so
 * that they can stand witness against the extension's converters.
 */
#include "postgres.h"
#include "compat.h"

#include "error.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "mongo/cursor.h"
#include "mongo/options.h"
#include "owned.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(mm_run_command);
PG_FUNCTION_INFO_V1(mm_find_documents);
PG_FUNCTION_INFO_V1(mm_aggregate_documents);
PG_FUNCTION_INFO_V1(mm_driver_version);
PG_FUNCTION_INFO_V1(mm_require_source);

/* The name of a command. */
static const char *
command_name(const bson_t *command)
{
	bson_iter_t iter;

	return bson_iter_init(&iter, command) && bson_iter_next(&iter) ? bson_iter_key(&iter) : "";
}

/* Whether a command opens a change stream. */
static bool
opens_stream(const bson_t *command)
{
	bson_iter_t iter;
	bson_iter_t stage;

	return bson_iter_init(&iter, command) && bson_iter_find_descendant(&iter, "pipeline.0.$changeStream", &stage);
}

/*
 * Whether a command only reads, so that it may go where the read preference
 * says.  Everything else goes to the primary; so does what opens a change
 * stream, whose getMore comes as a command of its own, and listCollections (as
 * the driver specifications, enumerate-collections, have it): a member that is
 * behind may not know yet that a collection was dropped, whose documents are not
 * to be taken for deleted one by one.
 */
static bool
command_reads(const bson_t *command)
{
	static const char *const readers[] = {
		"aggregate", "buildInfo", "collStats", "connectionStatus", "count", "dbStats", "distinct",
		"find", "getParameter", "hello", "hostInfo", "listDatabases",
		"listIndexes", "ping", "replSetGetStatus", "serverStatus"
	};

	for (int i = 0; i < lengthof(readers); i++)
		if (strcmp(command_name(command), readers[i]) == 0)
			return !opens_stream(command);
	return false;
}

/*
 * Finds what a reply with ok: 1 tells of.  What the server refuses of one write,
 * and is not known to have another cause, is the fault of the document.
 */
static bool
find_write_error(const bson_t *reply, bson_error_t *error)
{
	bson_iter_t fields;

	if (!mongo_find_failure(reply, "writeErrors", error, &fields))
		return mongo_find_failure(reply, "writeConcernError", error, &fields);
	if (mongo_sqlstate(error) == ERRCODE_FDW_ERROR && error->code != 0)
		error->domain = MONGOC_ERROR_COLLECTION;
	return true;
}

/* The read preference for a command; NULL for the primary. */
static const mongoc_read_prefs_t *
find_preference(mongoc_client_t *client, const bson_t *command)
{
	return command_reads(command) ? mongoc_client_get_read_prefs(client) : NULL;
}

/* Gives the reply to a command to owner, or throws. */
static bson_t *
take_reply(MongoConnection *connection, const bson_t *command, bool ok, bson_t *reply,
		   bson_error_t *error, MemoryContext owner)
{
	bson_t	   *result = bson_copy(reply);

	bson_destroy(reply);
	(void) owned_bson(owner, result);
	mongo_connection_check(connection);
	if (!ok || find_write_error(result, error))
		mongo_throw(error, result,
					psprintf("running command \"%s\" on server \"%s\"", command_name(command),
							 mongo_connection_server(connection)));
	return result;
}

/* Runs one command on the server's database; see cursor.h. */
bson_t *
mongo_command(MongoConnection *connection, const bson_t *command, MemoryContext owner)
{
	mongoc_client_t *client = mongo_connection_client(connection);
	bson_t		reply;
	bson_error_t error;
	bool		ok = mongoc_client_command_simple(client, mongo_connection_database(connection), command,
												  find_preference(client, command), &reply, &error);

	return take_reply(connection, command, ok, &reply, &error, owner);
}

struct MongoCommands
{
	MongoConnection *connection;
	mongoc_client_session_t *session;	/* NULL where the server knows none */
	uint32		host;			/* that answered the first; 0: none yet */
};

/* For owned_register(). */
static void
destroy_commands(void *object)
{
	MongoCommands *self = object;

	if (self->session != NULL && mongo_connection_cleanup_begin(self->connection))
	{
		mongo_connection_left_session(self->connection,
									  mongoc_client_session_get_lsid(self->session), false);
		mongoc_client_session_destroy(self->session);
		mongo_connection_cleanup_end(self->connection);
	}
	mongo_connection_unpin(self->connection);
}

/* Begins commands about a cursor, which belong to owner; see cursor.h. */
MongoCommands *
mongo_commands_begin(MongoConnection *connection, MemoryContext owner)
{
	MongoCommands *self = MemoryContextAllocZero(owner, sizeof(MongoCommands));

	self->connection = connection;
	mongo_connection_pin(connection);
	owned_register(owner, self, destroy_commands);
	self->session = mongo_connection_start_session(connection);
	return self;
}

/* Runs one of them; see cursor.h. */
bson_t *
mongo_commands_run(MongoCommands *self, const bson_t *command, MemoryContext owner)
{
	mongoc_client_t *client = mongo_connection_client(self->connection);
	bson_t		opts = BSON_INITIALIZER;
	bson_t		reply;
	bson_error_t error;
	bool		ok;

	if (self->session != NULL)
		(void) mongoc_client_session_append(self->session, &opts, NULL);
	if (self->host != 0)
		BSON_APPEND_INT32(&opts, "serverId", self->host);
	ok = mongoc_client_command_with_opts(client, mongo_connection_database(self->connection), command,
										 self->host != 0 ? NULL : find_preference(client, command),
										 &opts, &reply, &error);
	bson_destroy(&opts);
	if (self->host == 0)
		self->host = mongo_connection_last_host(self->connection);
	return take_reply(self->connection, command, ok, &reply, &error, owner);
}

/*
 * Reads an argument of type json that is an object, or an array where opening is
 * '['.  The result is owned by the current context.
 */
static bson_t *
bson_from_argument(text *json, const char *name, char opening)
{
	const char *utf8 = mongo_utf8(text_to_cstring(json));
	bson_error_t error;
	bson_t	   *bson;

	if (utf8[strspn(utf8, " \t\r\n")] != opening)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" must be a JSON %s", name,
						opening == '[' ? "array" : "object")));
	bson = bson_new_from_json((const uint8_t *) utf8, -1, &error);
	if (bson == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("argument \"%s\" is not valid Extended JSON", name),
				 errdetail("%s", mongo_error_text(error.message))));
	return owned_bson(CurrentMemoryContext, bson);
}

/*
 * Throws for a document that libbson does not print, without saying why; names
 * it by its _id, where it has one.
 */
static void
throw_unprintable(const bson_t *document)
{
	char	   *name = NULL;
	bson_iter_t id;

	if (bson_iter_init_find(&id, document, "_id"))
	{
		bson_t		key = BSON_INITIALIZER;
		char	   *utf8;

		bson_append_iter(&key, NULL, -1, &id);
		utf8 = bson_as_canonical_extended_json(&key, NULL);
		name = utf8 == NULL ? NULL : mongo_error_text(utf8);
		bson_free(utf8);
		bson_destroy(&key);
	}
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("document has a string that is not valid UTF-8, or is not valid BSON"),
			 name == NULL ? 0 : errdetail("The document is %s.", name),
			 errhint("Mend the document; a string in MongoDB should be UTF-8.")));
}

/* A document as json. */
static Datum
json_from_bson(const bson_t *document, JsonMode mode)
{
	char	   *utf8 = mode == JSON_CANONICAL ?
		bson_as_canonical_extended_json(document, NULL) :
		bson_as_relaxed_extended_json(document, NULL);
	Owned	   *owned;
	Datum		result;

	if (utf8 == NULL)
		throw_unprintable(document);
	owned = owned_register(CurrentMemoryContext, utf8, bson_free);
	result = PointerGetDatum(cstring_to_text(pg_any_to_server(utf8, strlen(utf8), PG_UTF8)));
	owned_release(owned);
	return result;
}

/* The mode argument: relaxed or canonical. */
static JsonMode
mode_from_argument(text *mode)
{
	JsonMode	result = json_mode_parse(text_to_cstring(mode));

	if (result == JSON_PLAIN)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("mode must be relaxed or canonical")));
	return result;
}

static MongoConnection *
connection_from_argument(Name server)
{
	return mongo_connect(mongo_server_oid(NameStr(*server)), GetUserId());
}

/* run_command(server name, command json, mode text) returns json */
Datum
mm_run_command(PG_FUNCTION_ARGS)
{
	JsonMode	mode = mode_from_argument(PG_GETARG_TEXT_PP(2));
	bson_t	   *command = bson_from_argument(PG_GETARG_TEXT_PP(1), "command", '{');
	MongoConnection *connection = connection_from_argument(PG_GETARG_NAME(0));

	if (bson_has_field(command, "$db") || bson_has_field(command, "lsid"))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a command must not have the fields \"$db\" and \"lsid\""),
				 errdetail("It is run on the database of the server's options.")));
	return json_from_bson(mongo_command(connection, command, CurrentMemoryContext), mode);
}

/*
 * find_documents() and aggregate_documents().  max_bytes: ends with the
 * document that makes so many bytes, but not with the first; 0: does not.
 */
static void
return_documents(FunctionCallInfo fcinfo, bool aggregate, int64 max_bytes)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	JsonMode	mode = mode_from_argument(PG_GETARG_TEXT_PP(4));
	bson_t	   *query = bson_from_argument(PG_GETARG_TEXT_PP(2), aggregate ? "pipeline" : "filter",
										   aggregate ? '[' : '{');
	bson_t	   *opts = bson_from_argument(PG_GETARG_TEXT_PP(3), "options", '{');
	MongoConnection *connection = connection_from_argument(PG_GETARG_NAME(0));
	char	   *collection = text_to_cstring(PG_GETARG_TEXT_PP(1));
	MemoryContext per_document = AllocSetContextCreate(CurrentMemoryContext, "document",
													   ALLOCSET_DEFAULT_SIZES);
	int64		bytes = 0;
	MongoCursor *cursor;
	const bson_t *document;

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	cursor = aggregate ?
		mongo_aggregate(connection, collection, query, opts, CurrentMemoryContext) :
		mongo_find(connection, collection, query, opts, CurrentMemoryContext);
	while ((document = mongo_cursor_next(cursor)) != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(per_document);
		Datum		value = json_from_bson(document, mode);
		bool		isnull = false;

		MemoryContextSwitchTo(old);
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, &value, &isnull);
		MemoryContextReset(per_document);
		CHECK_FOR_INTERRUPTS();
		if (max_bytes > 0 && bytes > 0 && bytes + document->len >= max_bytes)
			break;
		bytes += document->len;
	}
	mongo_cursor_close(cursor);
}

/* find_documents(server, collection, filter, options, mode, max_bytes) returns setof json */
Datum
mm_find_documents(PG_FUNCTION_ARGS)
{
	return_documents(fcinfo, false, PG_GETARG_INT64(5));
	return (Datum) 0;
}

/* aggregate_documents(server, collection, pipeline, options, mode) returns setof json */
Datum
mm_aggregate_documents(PG_FUNCTION_ARGS)
{
	return_documents(fcinfo, true, 0);
	return (Datum) 0;
}

/*
 * require_source(server [, collection]) returns void: throws where a name is
 * null, or where the server is none that the user may use.
 */
Datum
mm_require_source(PG_FUNCTION_ARGS)
{
	for (int i = 0; i < PG_NARGS(); i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not be null", i == 0 ? "server" : "collection")));
	mongo_server_oid(NameStr(*PG_GETARG_NAME(0)));
	PG_RETURN_VOID();
}

/* driver_version() returns text */
Datum
mm_driver_version(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(mongoc_get_version()));
}

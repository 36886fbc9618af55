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

static void
destroy_bson(void *object)
{
	bson_destroy((bson_t *) object);
}

/* Runs one command on the server's database; the reply is owned by owner. */
bson_t *
mongo_command(MongoConnection *connection, const bson_t *command, MemoryContext owner)
{
	bson_t	   *reply = owned_bson_new(owner);
	bson_iter_t iter;
	bson_error_t error;
	bool		ok;

	ok = mongoc_client_command_simple(mongo_connection_client(connection),
									  mongo_connection_database(connection),
									  command, NULL, reply, &error);
	mongo_connection_check(connection);
	if (!ok)
		mongo_throw(&error, reply,
					psprintf("running command \"%s\"",
							 bson_iter_init(&iter, command) && bson_iter_next(&iter) ?
							 bson_iter_key(&iter) : ""));
	return reply;
}

/* Reads an argument of type json as a document owned by the current context. */
static bson_t *
bson_from_argument(text *json)
{
	char	   *utf8 = pg_server_to_any(text_to_cstring(json), VARSIZE_ANY_EXHDR(json), PG_UTF8);
	bson_error_t error;
	bson_t	   *bson = bson_new_from_json((const uint8_t *) utf8, -1, &error);

	if (bson == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("invalid Extended JSON"),
				 errdetail("%s", error.message)));
	owned_register(CurrentMemoryContext, bson, destroy_bson);
	return bson;
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
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("document is not valid BSON")));
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
	bson_t	   *command = bson_from_argument(PG_GETARG_TEXT_PP(1));
	MongoConnection *connection = connection_from_argument(PG_GETARG_NAME(0));

	return json_from_bson(mongo_command(connection, command, CurrentMemoryContext), mode);
}

/* find_documents() and aggregate_documents() */
static void
return_documents(FunctionCallInfo fcinfo, bool aggregate)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	JsonMode	mode = mode_from_argument(PG_GETARG_TEXT_PP(4));
	bson_t	   *query = bson_from_argument(PG_GETARG_TEXT_PP(2));
	bson_t	   *opts = bson_from_argument(PG_GETARG_TEXT_PP(3));
	MongoConnection *connection = connection_from_argument(PG_GETARG_NAME(0));
	char	   *collection = text_to_cstring(PG_GETARG_TEXT_PP(1));
	MemoryContext per_document = AllocSetContextCreate(CurrentMemoryContext, "document",
													   ALLOCSET_DEFAULT_SIZES);
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
	}
	mongo_cursor_close(cursor);
}

/* find_documents(server, collection, filter, options, mode) returns setof json */
Datum
mm_find_documents(PG_FUNCTION_ARGS)
{
	return_documents(fcinfo, false);
	return (Datum) 0;
}

/* aggregate_documents(server, collection, pipeline, options, mode) returns setof json */
Datum
mm_aggregate_documents(PG_FUNCTION_ARGS)
{
	return_documents(fcinfo, true);
	return (Datum) 0;
}

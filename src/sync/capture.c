/*
 * capture.c
 *	  What has changed in a database: a change stream, read from a position on.
 *
 * A call opens the stream after a position, reads what there is, or waits for
 * something to come, and closes it: between two calls there is nothing but the
 * position.  An event says which document has changed, and not how: who makes
 * the rows anew reads the document as it is by then.
 *
 * The stream is read from the primary.  It has what a majority of the replica
 * set has, in the order of that; its format is that of the driver
 * specifications, change-streams.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/document_path.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "mongo/cluster_time.h"
#include "mongo/cursor.h"
#include "mongo/options.h"
#include "owned.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(mm_read_changes);

/* Events in a reply of the server, which ends it at 16 MB anyway. */
#define REPLY_EVENTS 1000

/* The columns of a result. */
enum
{
	CHANGE_OPERATION,
	CHANGE_COLLECTION,
	CHANGE_ID,
	CHANGE_CLUSTER_TIME,
	CHANGE_POSITION,
	CHANGE_COLUMNS
};

typedef struct ChangeReader
{
	MongoCommands *commands;	/* about the stream's cursor */
	MemoryContext reply_context;	/* reset before each command */
	TupleDesc	desc;
	Tuplestorestate *rows;
	int64		cursor;			/* the server's id of it; 0: closed */
	bson_t	   *reply;			/* of the last command */
	int			events;			/* in it */
} ChangeReader;

/* A document as bytea. */
static Datum
document_datum(const uint8_t *bytes, uint32 length)
{
	bytea	   *result = palloc(VARHDRSZ + length);

	SET_VARSIZE(result, VARHDRSZ + length);
	memcpy(VARDATA(result), bytes, length);
	return PointerGetDatum(result);
}

/* Text of MongoDB as a datum. */
static Datum
text_datum(const bson_iter_t *iter)
{
	uint32_t	length;
	const char *utf8 = bson_iter_utf8(iter, &length);

	return CStringGetTextDatum(pg_any_to_server(utf8, length, PG_UTF8));
}

/* Sets a column to the document that is at a dotted path of another one, if it is there. */
static void
take_document(Datum *values, bool *nulls, int column, const bson_t *from, const char *path)
{
	bson_iter_t iter;
	bson_iter_t found;
	uint32_t	length;
	const uint8_t *bytes;

	if (!bson_iter_init(&iter, from) || !bson_iter_find_descendant(&iter, path, &found) ||
		!BSON_ITER_HOLDS_DOCUMENT(&found))
		return;
	bson_iter_document(&found, &length, &bytes);
	values[column] = document_datum(bytes, length);
	nulls[column] = false;
}

/*
 * Adds a row for an event, with the collection whose name is at a path.  One
 * whose name the database's encoding lacks has no plan.
 */
static void
add_row(ChangeReader *reader, const bson_t *event, const char *collection)
{
	Datum		values[CHANGE_COLUMNS];
	bool		nulls[CHANGE_COLUMNS];
	bson_iter_t iter;
	bson_iter_t found;

	memset(nulls, true, sizeof(nulls));
	if (bson_iter_init_find(&iter, event, "operationType") && BSON_ITER_HOLDS_UTF8(&iter))
	{
		values[CHANGE_OPERATION] = text_datum(&iter);
		nulls[CHANGE_OPERATION] = false;
	}
	if (bson_iter_init(&iter, event) && bson_iter_find_descendant(&iter, collection, &found) &&
		BSON_ITER_HOLDS_UTF8(&found))
	{
		if (document_path_can_name(bson_iter_utf8(&found, NULL)))
		{
			values[CHANGE_COLLECTION] = text_datum(&found);
			nulls[CHANGE_COLLECTION] = false;
		}
		else
			values[CHANGE_OPERATION] = CStringGetTextDatum("unnamed");
	}
	if (bson_iter_init(&iter, event) && bson_iter_find_descendant(&iter, "documentKey._id", &found))
	{
		bson_t		id = BSON_INITIALIZER;

		bson_append_iter(&id, "_id", -1, &found);
		values[CHANGE_ID] = document_datum(bson_get_data(&id), id.len);
		nulls[CHANGE_ID] = false;
		bson_destroy(&id);
	}
	if (bson_iter_init_find(&iter, event, "clusterTime") && BSON_ITER_HOLDS_TIMESTAMP(&iter))
	{
		values[CHANGE_CLUSTER_TIME] = Int64GetDatum(cluster_time_get(&iter));
		nulls[CHANGE_CLUSTER_TIME] = false;
	}
	take_document(values, nulls, CHANGE_POSITION, event, "_id");
	tuplestore_putvalues(reader->rows, reader->desc, values, nulls);
}

/*
 * Adds a row for an event; two for a collection that gets another name, which
 * may be that of one that was there.
 */
static void
add_event(ChangeReader *reader, const bson_t *event)
{
	bson_iter_t iter;
	bson_iter_t to;

	add_row(reader, event, "ns.coll");
	if (bson_iter_init(&iter, event) && bson_iter_find_descendant(&iter, "to.coll", &to))
		add_row(reader, event, "to.coll");
}

/*
 * The time of the cluster that the stream has come to.  A resume token begins
 * with it, as a KeyString in hexadecimal (type 130, seconds, number; resume_token.h
 * of the server).  Behind mongos it may be earlier than operationTime, which is
 * that of the shard that was last heard of: the stream waits for all of them.
 * That of a stream that began where nothing has been written since is later: no
 * read could wait for it.
 */
static bool
stream_time(const bson_t *reply, int64 *time)
{
	bson_iter_t iter;
	bson_iter_t found;
	unsigned int seconds;
	unsigned int number;
	bool		known;

	*time = PG_INT64_MAX;
	known = bson_iter_init_find(&iter, reply, "operationTime") && BSON_ITER_HOLDS_TIMESTAMP(&iter);
	if (known)
		*time = cluster_time_get(&iter);
	if (bson_iter_init(&iter, reply) &&
		bson_iter_find_descendant(&iter, "cursor.postBatchResumeToken._data", &found) &&
		BSON_ITER_HOLDS_UTF8(&found) &&
		sscanf(bson_iter_utf8(&found, NULL), "82%8X%8X", &seconds, &number) == 2)
	{
		*time = Min(*time, cluster_time_pack(seconds, number));
		known = true;
	}
	return known;
}

/*
 * Adds the row that a result ends with: where the stream stands.  One that has
 * begun now is past what the primary has, of which a majority may lack some;
 * only the time of the cluster covers that.
 */
static void
add_position(ChangeReader *reader, bool begun)
{
	Datum		values[CHANGE_COLUMNS];
	bool		nulls[CHANGE_COLUMNS];
	int64		time;
	bson_iter_t iter;
	bson_iter_t found;

	memset(nulls, true, sizeof(nulls));
	if (stream_time(reader->reply, &time))
	{
		values[CHANGE_CLUSTER_TIME] = Int64GetDatum(time);
		nulls[CHANGE_CLUSTER_TIME] = false;
	}
	if (begun && bson_iter_init(&iter, reader->reply) &&
		bson_iter_find_descendant(&iter, "$clusterTime.clusterTime", &found) && BSON_ITER_HOLDS_TIMESTAMP(&found))
	{
		values[CHANGE_CLUSTER_TIME] = Int64GetDatum(cluster_time_get(&found));
		nulls[CHANGE_CLUSTER_TIME] = false;
	}
	take_document(values, nulls, CHANGE_POSITION, reader->reply, "cursor.postBatchResumeToken");
	if (nulls[CHANGE_POSITION])
		elog(ERROR, "the reply of a change stream has no position");
	tuplestore_putvalues(reader->rows, reader->desc, values, nulls);
}

/* Runs a command of the cursor, and adds the events of its reply. */
static void
run(ChangeReader *reader, const bson_t *command, const char *batch)
{
	bson_iter_t iter;
	bson_iter_t found;

	reader->reply = mongo_commands_run(reader->commands, command, CurrentMemoryContext);
	reader->events = 0;
	if (!bson_iter_init(&iter, reader->reply) || !bson_iter_find_descendant(&iter, "cursor.id", &found))
		elog(ERROR, "the reply of a change stream has no cursor");
	reader->cursor = bson_iter_as_int64(&found);
	if (!bson_iter_init(&iter, reader->reply) || !bson_iter_find_descendant(&iter, batch, &found) ||
		!bson_iter_recurse(&found, &iter))
		elog(ERROR, "the reply of a change stream has no events");
	while (bson_iter_next(&iter))
	{
		const uint8_t *bytes;
		uint32_t	length;
		bson_t		event;

		bson_iter_document(&iter, &length, &bytes);
		if (bytes == NULL || !bson_init_static(&event, bytes, length))
			elog(ERROR, "an event is not valid BSON");
		add_event(reader, &event);
		reader->events++;
	}
}

/* Opens the stream after a position; NULL: from now on. */
static void
open_stream(ChangeReader *reader, bytea *position)
{
	bson_t	   *command = owned_bson_new(CurrentMemoryContext);
	bson_t	   *options = owned_bson_new(CurrentMemoryContext);

	if (position != NULL)
	{
		bson_t		token;

		if (!bson_init_static(&token, (uint8_t *) VARDATA_ANY(position), VARSIZE_ANY_EXHDR(position)))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("position is not a BSON document")));
		/* Unlike resumeAfter, it also goes on after the drop of a database. */
		BSON_APPEND_DOCUMENT(options, "startAfter", &token);
	}
	BCON_APPEND(command, "aggregate", BCON_INT32(1),
				"pipeline", "[",
				"{", "$changeStream", BCON_DOCUMENT(options), "}",
				"{", "$project", "{", "operationType", BCON_INT32(1), "ns", BCON_INT32(1), "to", BCON_INT32(1),
				"documentKey", BCON_INT32(1), "clusterTime", BCON_INT32(1), "}", "}",
				"]",
				"cursor", "{", "batchSize", BCON_INT32(REPLY_EVENTS), "}");
	run(reader, command, "cursor.firstBatch");
}

/* Asks for more events, and waits so long for the first. */
static void
get_more(ChangeReader *reader, int wait_ms)
{
	bson_t	   *command = owned_bson_new(reader->reply_context);

	BCON_APPEND(command, "getMore", BCON_INT64(reader->cursor), "collection", BCON_UTF8("$cmd.aggregate"),
				"batchSize", BCON_INT32(REPLY_EVENTS), "maxTimeMS", BCON_INT32(Max(wait_ms, 1)));
	run(reader, command, "cursor.nextBatch");
}

static void
close_stream(ChangeReader *reader)
{
	bson_t	   *command = owned_bson_new(CurrentMemoryContext);

	if (reader->cursor == 0)
		return;
	BCON_APPEND(command, "killCursors", BCON_UTF8("$cmd.aggregate"), "cursors", "[", BCON_INT64(reader->cursor), "]");
	mongo_commands_run(reader->commands, command, CurrentMemoryContext);
}

/*
 * read_changes(server name, position bytea, wait_ms integer, most integer)
 *
 * Reads until a reply is not full, or there are most events; where there is
 * none to begin with, waits.
 */
Datum
mm_read_changes(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MemoryContext caller = CurrentMemoryContext;
	ChangeReader reader = {0};
	MongoConnection *connection;
	int			most;
	int			total;

	for (int i = 0; i < 4; i++)
		if (PG_ARGISNULL(i) && i != 1)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument %d must not be null", i + 1)));
	most = PG_GETARG_INT32(3);
	InitMaterializedSRF(fcinfo, 0);
	reader.desc = result->setDesc;
	reader.rows = result->setResult;
	connection = mongo_connect(mongo_server_oid(NameStr(*PG_GETARG_NAME(0))), GetUserId());
	reader.commands = mongo_commands_begin(connection, caller);
	reader.reply_context = AllocSetContextCreate(caller, "change stream reply", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(reader.reply_context);
	open_stream(&reader, PG_ARGISNULL(1) ? NULL : PG_GETARG_BYTEA_PP(1));
	total = reader.events;
	if (PG_GETARG_INT32(2) > 0 && total == 0 && reader.cursor != 0)
	{
		MemoryContextReset(reader.reply_context);
		get_more(&reader, PG_GETARG_INT32(2));
		total += reader.events;
	}
	while (reader.events == REPLY_EVENTS && total < most && reader.cursor != 0)
	{
		MemoryContextReset(reader.reply_context);
		get_more(&reader, 1);
		total += reader.events;
	}
	add_position(&reader, PG_ARGISNULL(1));
	close_stream(&reader);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(reader.reply_context);
	return (Datum) 0;
}

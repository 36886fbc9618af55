/*
 * batch.c
 *	  The server's cursor: a command and its getMores, document by document.
 *
 * The driver runs the find or aggregate, and each getMore whose batch is needed
 * now.  It would run every getMore only then, and the server would rest while
 * documents are decoded.  So, from the second batch on, the next getMore is sent
 * as soon as a batch is there: beside the driver, as a message of our own on the
 * stream that answered (stream_ask).  The first batch asks for none ahead, since
 * many a reader stops within it.  Where that stream cannot be had (TLS,
 * compression, another cursor's reply is outstanding) and within transactions,
 * whose commands carry what the driver keeps, the driver's way is the only one.
 *
 * Messages: https://github.com/mongodb/specifications/blob/master/source/message/OP_MSG.md
 */
#include "postgres.h"
#include "compat.h"

#include "mongo/batch.h"
#include "mongo/stream.h"

#define OP_MSG 2013

/* Length, request, response to, operation; flags; kind of the section. */
#define HEADER_SIZE 16
#define PREFIX_SIZE (HEADER_SIZE + 4 + 1)

/* libbson's types are aligned, so these are allocated by libbson. */
struct Batch
{
	bson_t		reply;			/* the driver's, or the server's error */
	uint8	   *message;		/* in its place, where it was read ahead */
	bson_iter_t documents;		/* what is left */
	bson_t		document;		/* the last one given */
	bool		filled;			/* documents is set */
	bool		empty;			/* there was no document */
	bool		malformed;
};

struct BatchReader
{
	bson_t		command;		/* the find or aggregate */
	bson_t		opts;			/* for the driver */
	Batch	   *batch;			/* the one at hand */
	MongoConnection *connection;
	mongoc_client_session_t *session;	/* its own, NULL in a transaction */
	bool		transaction;
	bool		writes;			/* an aggregate that ends in $out or $merge */
	bool		tailable;		/* an empty batch is an end */
	bool		started;
	bool		failed;
	bson_error_t error;
	char	   *database;		/* of the cursor */
	char	   *collection;
	int64		id;				/* 0: the server has it no longer */
	int64		batch_size;		/* 0: the server's choice */
	uint64		stream;			/* that answered the driver */
	uint32		host_id;		/* the driver's number of the host that has
								 * the cursor, 0: unknown */
	int32		request;		/* of the getMore ahead, 0 for none */
	StreamReply ahead;
};

/* Does a pipeline write what it yields?  The server takes these as last stages only. */
static bool
pipeline_writes(const bson_t *pipeline)
{
	bson_iter_t stages;
	bson_iter_t stage;

	if (bson_iter_init_find(&stages, pipeline, "pipeline") && BSON_ITER_HOLDS_ARRAY(&stages))
	{
		if (!bson_iter_recurse(&stages, &stage))
			return false;
		stages = stage;
	}
	else if (!bson_iter_init(&stages, pipeline))
		return false;
	while (bson_iter_next(&stages))
		if (BSON_ITER_HOLDS_DOCUMENT(&stages) && bson_iter_recurse(&stages, &stage) &&
			bson_iter_next(&stage) &&
			(strcmp(bson_iter_key(&stage), "$out") == 0 ||
			 strcmp(bson_iter_key(&stage), "$merge") == 0))
			return true;
	return false;
}

/* Begins the command with what is no option. */
static void
append_query(BatchReader *self, const BatchQuery *query)
{
	bson_iter_t pipeline;

	if (query->pipeline == NULL)
	{
		BSON_APPEND_UTF8(&self->command, "find", query->collection);
		BSON_APPEND_DOCUMENT(&self->command, "filter", query->filter);
		return;
	}
	BSON_APPEND_UTF8(&self->command, "aggregate", query->collection);
	if (bson_iter_init_find(&pipeline, query->pipeline, "pipeline") &&
		BSON_ITER_HOLDS_ARRAY(&pipeline))
		bson_append_iter(&self->command, "pipeline", -1, &pipeline);
	else
		BSON_APPEND_ARRAY(&self->command, "pipeline", query->pipeline);
	self->writes = pipeline_writes(query->pipeline);
}

/* Puts the options where they belong: to the driver, or into the command. */
static void
append_options(BatchReader *self, const BatchQuery *query)
{
	bool		aggregate = query->pipeline != NULL;
	bson_iter_t iter;
	bson_iter_t batch_size;
	bool		has_batch_size = false;

	if (query->opts != NULL && bson_iter_init(&iter, query->opts))
		while (bson_iter_next(&iter))
		{
			const char *key = bson_iter_key(&iter);

			if (strcmp(key, "sessionId") == 0 || strcmp(key, "serverId") == 0 ||
				strcmp(key, "readConcern") == 0 || strcmp(key, "writeConcern") == 0)
				bson_append_iter(&self->opts, NULL, 0, &iter);
			else if (strcmp(key, "batchSize") == 0)
			{
				batch_size = iter;
				has_batch_size = true;
			}
			else
				bson_append_iter(&self->command, NULL, 0, &iter);
			if (strcmp(key, "tailable") == 0)
				self->tailable = bson_iter_as_bool(&iter);
		}
	if (has_batch_size)
		self->batch_size = Max(bson_iter_as_int64(&batch_size), 0);
	if (aggregate)
	{
		bson_t		cursor;

		BSON_APPEND_DOCUMENT_BEGIN(&self->command, "cursor", &cursor);
		if (has_batch_size)
			bson_append_iter(&cursor, NULL, 0, &batch_size);
		bson_append_document_end(&self->command, &cursor);
	}
	else if (has_batch_size)
		bson_append_iter(&self->command, NULL, 0, &batch_size);
}

/* An empty batch. */
static Batch *
batch_create(void)
{
	Batch	   *batch = BSON_ALIGNED_ALLOC0(Batch);

	bson_init(&batch->reply);
	return batch;
}

/* See batch.h. */
void
batch_free(Batch *batch)
{
	bson_destroy(&batch->reply);
	free(batch->message);
	bson_free(batch);
}

/* See batch.h. */
const bson_t *
batch_next(Batch *batch)
{
	const uint8_t *data;
	uint32_t	length;

	if (!batch->filled || batch->malformed)
		return NULL;
	if (!bson_iter_next(&batch->documents))
	{
		batch->malformed = batch->documents.err_off != 0;
		batch->filled = false;
		return NULL;
	}
	batch->empty = false;
	if (BSON_ITER_HOLDS_DOCUMENT(&batch->documents))
	{
		bson_iter_document(&batch->documents, &length, &data);
		if (bson_init_static(&batch->document, data, length))
			return &batch->document;
	}
	batch->malformed = true;
	return NULL;
}

/* See batch.h. */
bool
batch_is_malformed(const Batch *batch, bson_error_t *error)
{
	if (batch->malformed)
		bson_set_error(error, MONGOC_ERROR_PROTOCOL, MONGOC_ERROR_PROTOCOL_INVALID_REPLY,
					   "the server's reply is malformed");
	return batch->malformed;
}

/* See batch.h. */
BatchReader *
batch_reader_create(MongoConnection *connection, const BatchQuery *query)
{
	BatchReader *self = BSON_ALIGNED_ALLOC0(BatchReader);

	bson_init(&self->command);
	bson_init(&self->opts);
	self->batch = batch_create();
	self->connection = connection;
	self->transaction = query->transaction;
	self->database = bson_strdup(mongo_connection_database(connection));
	self->collection = bson_strdup(query->collection);
	append_query(self, query);
	append_options(self, query);
	return self;
}

/* Makes the reader fail where the reply is none; else returns false. */
static bool
fail_if_malformed(BatchReader *self)
{
	if (!batch_is_malformed(self->batch, &self->error))
		return false;
	stream_break(mongo_connection_streams(self->connection), self->stream);
	self->failed = true;
	return true;
}

/* Takes the namespace of the cursor: that of a view or command may be another. */
static void
take_namespace(BatchReader *self, const char *namespace)
{
	const char *dot = strchr(namespace, '.');

	if (dot == NULL)
		return;
	bson_free(self->database);
	bson_free(self->collection);
	self->database = bson_strndup(namespace, dot - namespace);
	self->collection = bson_strdup(dot + 1);
}

/* Takes the batch of a reply, which must stay where it is. */
static void
take_batch(BatchReader *self, const bson_t *reply)
{
	bson_iter_t iter;
	bson_iter_t field;
	bool		has_batch = false;
	bool		has_id = false;
	int64		id = 0;

	if (!bson_iter_init_find(&iter, reply, "cursor") || !BSON_ITER_HOLDS_DOCUMENT(&iter) ||
		!bson_iter_recurse(&iter, &field))
	{
		self->batch->malformed = true;
		return;
	}
	while (bson_iter_next(&field))
	{
		const char *key = bson_iter_key(&field);

		if ((strcmp(key, "firstBatch") == 0 || strcmp(key, "nextBatch") == 0) &&
			BSON_ITER_HOLDS_ARRAY(&field))
			has_batch = bson_iter_recurse(&field, &self->batch->documents);
		else if (strcmp(key, "id") == 0 && BSON_ITER_HOLDS_INT64(&field))
		{
			has_id = true;
			id = bson_iter_int64(&field);
		}
		else if (strcmp(key, "ns") == 0 && BSON_ITER_HOLDS_UTF8(&field))
			take_namespace(self, bson_iter_utf8(&field, NULL));
	}
	if (!has_batch || !has_id || field.err_off != 0 ||
		(self->id != 0 && id != 0 && id != self->id))
	{
		self->batch->malformed = true;
		return;
	}
	self->id = id;
	self->batch->filled = true;
	self->batch->empty = true;
}

/* See batch.h. */
Batch *
batch_reader_take(BatchReader *self)
{
	Batch	   *batch = self->batch;

	self->batch = batch_create();
	return batch;
}

/* Takes the driver's reply, or its error. */
static void
take_reply(BatchReader *self, bool ok)
{
	if (ok)
	{
		take_batch(self, &self->batch->reply);
		self->stream = mongo_connection_streams(self->connection)->last_read;
		if (self->host_id == 0 && self->id != 0)
			self->host_id = mongo_connection_last_host(self->connection);
	}
	else
		self->failed = true;
}

/* Runs the find or aggregate. */
static void
start(BatchReader *self)
{
	mongoc_client_t *client = mongo_connection_client(self->connection);
	mongoc_read_prefs_t *preference = NULL;
	bool		ok;

	self->started = true;
	if (self->transaction)
		preference = mongoc_read_prefs_new(MONGOC_READ_PRIMARY);
	else if (!bson_has_field(&self->opts, "sessionId"))
	{
		self->session = mongo_connection_start_session(self->connection);
		if (self->session != NULL)
			(void) mongoc_client_session_append(self->session, &self->opts, NULL);
	}
	bson_destroy(&self->batch->reply);
	if (self->writes)
		ok = mongoc_client_read_write_command_with_opts(client, self->database, &self->command,
														preference, &self->opts, &self->batch->reply,
														&self->error);
	else
		ok = mongoc_client_read_command_with_opts(client, self->database, &self->command,
												  preference, &self->opts, &self->batch->reply,
												  &self->error);
	mongoc_read_prefs_destroy(preference);
	take_reply(self, ok);
}

/* Appends the fields of a getMore. */
static void
append_get_more(const BatchReader *self, bson_t *command)
{
	BSON_APPEND_INT64(command, "getMore", self->id);
	BSON_APPEND_UTF8(command, "collection", self->collection);
	if (self->batch_size > 0)
		BSON_APPEND_INT64(command, "batchSize", self->batch_size);
}

/* Has the driver run a command on the cursor's host, in its session. */
static bool
run_on_host(BatchReader *self, const bson_t *command, bson_t *reply, bson_error_t *error)
{
	bson_t		opts = BSON_INITIALIZER;
	bson_iter_t session;
	bool		ok;

	if (bson_iter_init_find(&session, &self->opts, "sessionId"))
		bson_append_iter(&opts, NULL, 0, &session);
	if (self->host_id != 0)
		BSON_APPEND_INT32(&opts, "serverId", self->host_id);
	ok = mongoc_client_command_with_opts(mongo_connection_client(self->connection),
										 self->database, command, NULL, &opts, reply, error);
	bson_destroy(&opts);
	return ok;
}

/* Gets the next batch by the driver. */
static void
get_more(BatchReader *self)
{
	bson_t		command = BSON_INITIALIZER;
	bool		ok;

	append_get_more(self, &command);
	bson_destroy(&self->batch->reply);
	ok = run_on_host(self, &command, &self->batch->reply, &self->error);
	bson_destroy(&command);
	take_reply(self, ok);
}

/* Sends the getMore for the batch after this one, where that can be. */
static void
ask_ahead(BatchReader *self)
{
	static int32 requests = 0;
	bson_t		command = BSON_INITIALIZER;
	uint8	   *message;
	uint32		header[5] = {0};

	append_get_more(self, &command);
	BSON_APPEND_UTF8(&command, "$db", self->database);
	if (self->session != NULL)
		BSON_APPEND_DOCUMENT(&command, "lsid", mongoc_client_session_get_lsid(self->session));
	requests = requests == PG_INT32_MAX ? 1 : requests + 1;
	header[0] = BSON_UINT32_TO_LE(PREFIX_SIZE + command.len);
	header[1] = BSON_UINT32_TO_LE(requests);
	header[3] = BSON_UINT32_TO_LE(OP_MSG);
	message = bson_malloc(PREFIX_SIZE + command.len);
	memcpy(message, header, sizeof(header));
	message[PREFIX_SIZE - 1] = 0;
	memcpy(message + PREFIX_SIZE, bson_get_data(&command), command.len);
	if (stream_ask(mongo_connection_streams(self->connection), self->stream, message,
				   PREFIX_SIZE + command.len, &self->ahead))
		self->request = requests;
	bson_free(message);
	bson_destroy(&command);
}

/* Finds the document in a reply to a request; false where it is none. */
static bool
parse_message(const uint8 *message, uint32 size, int32 request, bson_t *document)
{
	uint32		header[5];

	if (size < PREFIX_SIZE)
		return false;
	memcpy(header, message, sizeof(header));
	return BSON_UINT32_FROM_LE(header[2]) == (uint32) request &&
		BSON_UINT32_FROM_LE(header[3]) == OP_MSG &&
		header[4] == 0 &&
		message[PREFIX_SIZE - 1] == 0 &&
		bson_init_static(document, message + PREFIX_SIZE, size - PREFIX_SIZE);
}

/* Keeps what the server says of a getMore that failed. */
static void
take_error(BatchReader *self, const bson_t *reply)
{
	bson_iter_t code;
	bson_iter_t text;

	bson_set_error(&self->error, MONGOC_ERROR_SERVER,
				   bson_iter_init_find(&code, reply, "code") ? bson_iter_as_int64(&code) : 0,
				   "%s", bson_iter_init_find(&text, reply, "errmsg") && BSON_ITER_HOLDS_UTF8(&text) ?
				   bson_iter_utf8(&text, NULL) : "the server gives no reason");
	bson_destroy(&self->batch->reply);
	bson_copy_to(reply, &self->batch->reply);
	self->failed = true;
}

/* Receives the batch that was asked for ahead. */
static void
receive_ahead(BatchReader *self)
{
	int32		request = self->request;
	bson_t		reply;
	bson_iter_t ok;

	self->request = 0;
	if (!stream_receive(&self->ahead))
	{
		bson_set_error(&self->error, MONGOC_ERROR_STREAM, MONGOC_ERROR_STREAM_SOCKET,
					   "socket error or timeout while reading a reply: %s", strerror(errno));
		self->failed = true;
	}
	self->batch->message = self->ahead.data;
	if (self->failed)
		return;
	if (!parse_message(self->batch->message, self->ahead.size, request, &reply) ||
		!bson_iter_init_find(&ok, &reply, "ok"))
		self->batch->malformed = true;
	else if (!bson_iter_as_bool(&ok))
		take_error(self, &reply);
	else
		take_batch(self, &reply);
}

/* Gets the next batch, and asks for the one after it. */
static void
next_batch(BatchReader *self)
{
	bool		first = !self->started;

	batch_free(batch_reader_take(self));
	if (first)
		start(self);
	else if (self->request != 0)
		receive_ahead(self);
	else
		get_more(self);
	if (!first && self->batch->filled && self->id != 0 && !self->transaction && !self->tailable)
		ask_ahead(self);
}

/* See batch.h. */
const bson_t *
batch_reader_next(BatchReader *self)
{
	while (!self->failed)
	{
		const bson_t *document = batch_next(self->batch);

		if (document != NULL)
			return document;
		if (fail_if_malformed(self))
			break;
		if (self->started && (self->id == 0 || (self->tailable && self->batch->empty)))
			break;
		next_batch(self);
	}
	return NULL;
}

/* See batch.h. */
bool
batch_reader_failed(BatchReader *self, const bson_error_t **error, const bson_t **reply)
{
	*error = &self->error;
	*reply = &self->batch->reply;
	return self->failed;
}

/* Has the server end the cursor. */
static void
kill_cursor(BatchReader *self)
{
	bson_t	   *command = BCON_NEW("killCursors", BCON_UTF8(self->collection),
								   "cursors", "[", BCON_INT64(self->id), "]");

	(void) run_on_host(self, command, NULL, NULL);
	bson_destroy(command);
}

/* See batch.h. */
void
batch_reader_destroy(BatchReader *self)
{
	batch_free(batch_reader_take(self));
	if (self->request != 0)
	{
		receive_ahead(self);
		(void) fail_if_malformed(self);
	}
	if (self->id != 0)
		kill_cursor(self);
	if (self->session != NULL)
	{
		/* One that failed may have opened one of which the id did not come. */
		if (self->id != 0 || self->failed)
			mongo_connection_left_session(self->connection,
										  mongoc_client_session_get_lsid(self->session), false);
		mongoc_client_session_destroy(self->session);
	}
	batch_free(self->batch);
	bson_destroy(&self->opts);
	bson_destroy(&self->command);
	bson_free(self->database);
	bson_free(self->collection);
	bson_free(self);
}

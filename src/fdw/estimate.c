/*
 * estimate.c
 *	  The size of a collection by the server's metadata, and counts.
 *
 * The size is asked for only where PostgreSQL has no statistics of its own (see
 * ANALYZE), and remembered, a refusal too.  Counts are asked for only with the
 * option use_remote_estimate.
 */
#include "postgres.h"
#include "compat.h"

#include "fdw/estimate.h"
#include "fdw/match.h"
#include "mongo/options.h"
#include "mongo/transaction.h"
#include "owned.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

/* So many documents are counted, where more are in a sample of another size. */
#define COUNTED 10000
#define SAMPLED 1000

/* How long a count may take, in milliseconds. */
#define COUNT_TIME 1000

/* Versions of MongoDB as hello has them. */
#define WIRE_VERSION_5_0 13
#define WIRE_VERSION_5_1 14

/* The server's code for a collection that does not exist. */
#define NAMESPACE_NOT_FOUND 26

typedef struct Estimate
{
	Remembered	remembered;		/* must be first */
	bool		known;
	bool		missing;		/* there is no such collection */
	double		documents;
	double		bytes;
} Estimate;

static HTAB *estimates = NULL;

/* Changes of tables, servers and user mappings so far. */
static uint64 invalidations = 0;

/* Adds a number in a document, whatever its BSON type; false when it is missing. */
static bool
add_number(const bson_t *document, const char *path, double *sum)
{
	bson_iter_t iter;
	bson_iter_t field;

	if (!bson_iter_init(&iter, document) ||
		!bson_iter_find_descendant(&iter, path, &field) ||
		!BSON_ITER_HOLDS_NUMBER(&field))
		return false;
	*sum += bson_iter_as_double(&field);
	return true;
}

/* The reply to a command, or NULL. */
const bson_t *
estimate_ask(MongoConnection *connection, const bson_t *command, bson_error_t *error)
{
	mongoc_client_t *client = mongo_connection_client(connection);
	bson_t		reply;
	bson_t	   *result;
	bool		ok;

	memset(error, 0, sizeof(*error));
	ok = mongoc_client_command_simple(client, mongo_connection_database(connection), command,
									  mongoc_client_get_read_prefs(client), &reply, error);
	result = bson_copy(&reply);
	bson_destroy(&reply);
	(void) owned_bson(CurrentMemoryContext, result);
	mongo_connection_check(connection);
	return ok ? result : NULL;
}

/* Puts iter before the first document of a cursor's reply. */
bool
estimate_first_batch(const bson_t *reply, bson_iter_t *iter)
{
	bson_iter_t batch;

	return reply != NULL && bson_iter_init(iter, reply) &&
		bson_iter_find_descendant(iter, "cursor.firstBatch", &batch) &&
		BSON_ITER_HOLDS_ARRAY(&batch) && bson_iter_recurse(&batch, iter);
}

/* The next document of a batch. */
static bool
next_in_batch(bson_iter_t *iter, bson_t *document)
{
	const uint8_t *data;
	uint32_t	length;

	if (!bson_iter_next(iter) || !BSON_ITER_HOLDS_DOCUMENT(iter))
		return false;
	bson_iter_document(iter, &length, &data);
	return bson_init_static(document, data, length);
}

/*
 * Asks for the size: $collStats answers once for each shard.  False when the
 * server does not know the number of documents, as in a time-series collection.
 */
static bool
ask_size(MongoConnection *connection, const char *collection, Estimate *estimate)
{
	bson_t	   *command = owned_bson_new(CurrentMemoryContext);
	bson_iter_t iter;
	bson_t		shard;
	bson_error_t error;
	bool		known = false;

	BCON_APPEND(command, "aggregate", BCON_UTF8(mongo_utf8(collection)),
				"pipeline", "[", "{", "$collStats", "{", "storageStats", "{", "}", "}", "}", "]",
				"cursor", "{", "}");
	if (estimate_first_batch(estimate_ask(connection, command, &error), &iter))
	{
		while (next_in_batch(&iter, &shard))
		{
			known = add_number(&shard, "storageStats.count", &estimate->documents);
			(void) add_number(&shard, "storageStats.size", &estimate->bytes);
		}
	}
	/* Nor is NaN more. */
	estimate->documents = Max(estimate->documents, 0);
	estimate->bytes = Max(estimate->bytes, 0);
	estimate->missing = error.domain == MONGOC_ERROR_SERVER && error.code == NAMESPACE_NOT_FOUND;
	return known;
}

/*
 * Connects, or returns NULL when there is nobody to connect to: a plan can be
 * made without, and its execution will say what is wrong.
 */
MongoConnection *
estimate_connect(Oid relid, Oid userid)
{
	MemoryContext caller = CurrentMemoryContext;
	MongoConnection *volatile connection = NULL;

	PG_TRY();
	{
		connection = mongo_connect(GetForeignTable(relid)->serverid, userid);
	}
	PG_CATCH();
	{
		/* Nothing was begun but allocations, which are the caller's. */
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_CONNECTION_EXCEPTION)
			PG_RE_THROW();
		MemoryContextSwitchTo(caller);
		FlushErrorState();
	}
	PG_END_TRY();
	return connection;
}

/* See estimate.h. */
uint64
estimate_invalidations(void)
{
	return invalidations;
}

/* Forgets what is known of a foreign table whose options may have changed; of all for InvalidOid. */
static void
relcache_callback(Datum memory, Oid relid)
{
	HASH_SEQ_STATUS status;
	Remembered *entry;

	invalidations++;
	hash_seq_init(&status, (HTAB *) DatumGetPointer(memory));
	while ((entry = hash_seq_search(&status)) != NULL)
	{
		if (relid == InvalidOid || relid == entry->relid)
			entry->taken_at = 0;
	}
}

/* Forgets all when a server or a user mapping has changed. */
static void
syscache_callback(Datum memory, int cacheid, uint32 hash)
{
	relcache_callback(memory, InvalidOid);
}

/* See estimate.h. */
HTAB *
estimate_memory_create(const char *name, Size entry_size)
{
	HASHCTL		ctl = {
		.keysize = sizeof(Oid),
		.entrysize = entry_size,
		.hcxt = CacheMemoryContext
	};
	HTAB	   *memory = hash_create(name, 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);

	CacheRegisterRelcacheCallback(relcache_callback, PointerGetDatum(memory));
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, syscache_callback, PointerGetDatum(memory));
	CacheRegisterSyscacheCallback(USERMAPPINGOID, syscache_callback, PointerGetDatum(memory));
	return memory;
}

/* See estimate.h. */
bool
estimate_is_fresh(const Remembered *entry, TimestampTz now)
{
	return !TimestampDifferenceExceeds(entry->taken_at, now, ESTIMATE_AGE);
}

/* MongoDB takes a collection that does not exist for an empty one; a person may have mistyped it. */
static void
warn_of_missing(Oid relid)
{
	ForeignTable *table = GetForeignTable(relid);
	const char *verb = "ADD";
	ListCell   *cell;

	foreach(cell, table->options)
	{
		if (strcmp(((DefElem *) lfirst(cell))->defname, "collection") == 0)
			verb = "SET";
	}
	ereport(WARNING,
			(errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
			 errmsg("collection \"%s\" of foreign table \"%s\" does not exist on server \"%s\"",
					mongo_table_options(relid)->collection, get_rel_name(relid),
					GetForeignServer(table->serverid)->servername),
			 errdetail("It reads as an empty one."),
			 errhint("ALTER FOREIGN TABLE %s OPTIONS (%s collection '...'), unless it is still to come.",
					 quote_identifier(get_rel_name(relid)), verb)));
}

/*
 * The number of documents in a foreign table's collection, and their size.
 * Warns, once as long as that is remembered, where there is no such collection.
 */
bool
estimate_collection(Oid relid, Oid userid, bool fresh, double *documents, double *bytes)
{
	TimestampTz now = GetCurrentTimestamp();
	uint64		invalidations_before = invalidations;
	Estimate	latest = {.remembered = {relid, now}};
	Estimate   *estimate;
	MongoConnection *connection;

	if (estimates == NULL)
		estimates = estimate_memory_create("collection sizes", sizeof(Estimate));
	estimate = hash_search(estimates, &relid, HASH_FIND, NULL);
	if (estimate == NULL || fresh || !estimate_is_fresh(&estimate->remembered, now))
	{
		connection = estimate_connect(relid, userid);
		latest.known = connection != NULL &&
			ask_size(connection, mongo_table_options(relid)->collection, &latest);
		if (invalidations != invalidations_before)
			latest.remembered.taken_at = 0;
		estimate = hash_search(estimates, &relid, HASH_ENTER, NULL);
		*estimate = latest;
		if (latest.missing && !mongo_transaction_is_open(connection))
			warn_of_missing(relid);
	}
	*documents = estimate->documents;
	*bytes = estimate->bytes;
	return estimate->known;
}

/*
 * How many documents match, of a sample, or of all up to a limit; negative when
 * the server does not say, or not in time.
 */
static double
ask_count(MongoConnection *connection, const char *collection, const bson_t *match,
		  bool simple_collation, bool sample)
{
	bson_t	   *command = owned_bson_new(CurrentMemoryContext);
	bson_t		pipeline;
	const bson_t *reply;
	bson_iter_t iter;
	bson_t		count;
	double		documents = 0;
	bson_error_t error;

	BCON_APPEND(command, "aggregate", BCON_UTF8(mongo_utf8(collection)));
	bson_append_array_begin(command, "pipeline", -1, &pipeline);
	if (sample)
		BCON_APPEND(&pipeline, "0", "{", "$sample", "{", "size", BCON_INT32(SAMPLED), "}", "}",
					"1", "{", "$match", BCON_DOCUMENT(match), "}",
					"2", "{", "$count", BCON_UTF8("n"), "}");
	else
		BCON_APPEND(&pipeline, "0", "{", "$match", BCON_DOCUMENT(match), "}",
					"1", "{", "$limit", BCON_INT32(COUNTED), "}",
					"2", "{", "$count", BCON_UTF8("n"), "}");
	bson_append_array_end(command, &pipeline);
	BCON_APPEND(command, "cursor", "{", "}", "maxTimeMS", BCON_INT32(COUNT_TIME));
	if (simple_collation)
		match_append_simple_collation(command);

	reply = estimate_ask(connection, command, &error);
	if (!estimate_first_batch(reply, &iter))
		return -1;
	/* Nothing at all is counted as no document. */
	if (next_in_batch(&iter, &count))
		(void) add_number(&count, "n", &documents);
	return documents;
}

/* How many documents of a foreign table's collection match. */
bool
estimate_matches(Oid relid, Oid userid, const bson_t *match, bool simple_collation,
				 bool indexed, double documents, double *matches)
{
	const char *collection = mongo_table_options(relid)->collection;
	MongoConnection *connection = estimate_connect(relid, userid);

	if (connection == NULL)
		return false;
	if (indexed || documents <= COUNTED)
	{
		*matches = ask_count(connection, collection, match, simple_collation, false);
		if (*matches >= 0 && *matches < COUNTED)
			return true;
	}
	*matches = ask_count(connection, collection, match, simple_collation, true);
	if (*matches < 0)
		return false;
	/* What is not in the sample is half as frequent as what is there once. */
	*matches = documents * Max(*matches, 0.5) / SAMPLED;
	return true;
}

/*
 * What the server can do, by the version that the driver knows from the
 * connection; nothing where there is none.  That a look-up filters what it finds
 * came with 5.0; that it reaches collections which are sharded, with 5.1.
 */
ServerSupport
estimate_server_support(Oid relid, Oid userid)
{
	ServerSupport support = {.joins = JOINS_NOT_AT_ALL,.date_trunc = false};
	MongoConnection *connection = estimate_connect(relid, userid);
	mongoc_client_t *client;
	mongoc_server_description_t *description;
	bson_error_t error;
	double		version = 0;
	bool		sharded;

	if (connection == NULL)
		return support;
	client = mongo_connection_client(connection);
	description = mongoc_client_select_server(client, false, mongoc_client_get_read_prefs(client), &error);
	mongo_connection_check(connection);
	if (description == NULL)
		return support;
	sharded = strcmp(mongoc_server_description_type(description), "Mongos") == 0;
	(void) add_number(mongoc_server_description_hello_response(description), "maxWireVersion",
					  &version);
	mongoc_server_description_destroy(description);
	if (version >= (sharded ? WIRE_VERSION_5_1 : WIRE_VERSION_5_0))
		support.joins = sharded ? JOINS_IN_PIECES : JOINS_IN_ORDER;
	support.date_trunc = version >= WIRE_VERSION_5_0;
	return support;
}

/*
 * estimate.c
 *	  The size of a collection by the server's metadata.
 *
 * Asked for only where PostgreSQL has no statistics of its own (see ANALYZE),
 * and remembered for a minute, a refusal too: planning must neither cost a
 * round trip each time nor fail because the server is down.
 */
#include "postgres.h"
#include "compat.h"

#include "fdw/relation.h"
#include "mongo/connection.h"
#include "mongo/options.h"
#include "mongo/transaction.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

/* How long a collection's size is believed, in milliseconds. */
#define ESTIMATE_AGE 60000

/* The server's code for a collection that does not exist. */
#define NAMESPACE_NOT_FOUND 26

typedef struct Estimate
{
	Oid			relid;			/* hash key, must be first */
	TimestampTz taken_at;
	bool		known;
	bool		missing;		/* there is no such collection */
	double		documents;
	double		bytes;
} Estimate;

static HTAB *estimates = NULL;

/* A number in a document, whatever its BSON type; 0 when it is missing. */
static double
number_field(const bson_t *document, const char *path)
{
	bson_iter_t iter;
	bson_iter_t field;

	if (bson_iter_init(&iter, document) &&
		bson_iter_find_descendant(&iter, path, &field) &&
		BSON_ITER_HOLDS_NUMBER(&field))
		return bson_iter_as_double(&field);
	return 0;
}

/*
 * Asks the server: $collStats answers once for each shard.  False when it does
 * not know; throws only for an interrupt, and nowhere between the allocations
 * of the driver and their release.
 */
static bool
ask_server(MongoConnection *connection, const char *collection, Estimate *estimate)
{
	mongoc_client_t *client = mongo_connection_client(connection);
	const char *name = mongo_utf8(collection);
	bson_t	   *command;
	bson_t		reply;
	bson_iter_t iter;
	bson_iter_t batch;
	bson_error_t error = {0};
	bool		known = false;

	command = BCON_NEW("aggregate", BCON_UTF8(name),
					   "pipeline", "[", "{", "$collStats", "{", "storageStats", "{", "}", "}", "}", "]",
					   "cursor", "{", "}");
	if (mongoc_client_command_simple(client, mongo_connection_database(connection), command,
									 mongoc_client_get_read_prefs(client), &reply, &error) &&
		bson_iter_init(&iter, &reply) &&
		bson_iter_find_descendant(&iter, "cursor.firstBatch", &batch) &&
		BSON_ITER_HOLDS_ARRAY(&batch) && bson_iter_recurse(&batch, &iter))
	{
		while (bson_iter_next(&iter))
		{
			const uint8_t *data;
			uint32_t	length;
			bson_t		shard;

			if (!BSON_ITER_HOLDS_DOCUMENT(&iter))
				continue;
			bson_iter_document(&iter, &length, &data);
			if (!bson_init_static(&shard, data, length))
				continue;
			known = true;
			estimate->documents += number_field(&shard, "storageStats.count");
			estimate->bytes += number_field(&shard, "storageStats.size");
		}
	}
	bson_destroy(&reply);
	bson_destroy(command);
	mongo_connection_check(connection);
	estimate->missing = error.domain == MONGOC_ERROR_SERVER && error.code == NAMESPACE_NOT_FOUND;
	return known;
}

/*
 * Connects, or returns NULL when there is nobody to connect to: a plan can be
 * made without, and its execution will say what is wrong.
 */
static MongoConnection *
connect_if_possible(Oid serverid, Oid userid)
{
	MemoryContext caller = CurrentMemoryContext;
	MongoConnection *volatile connection = NULL;

	PG_TRY();
	{
		connection = mongo_connect(serverid, userid);
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

/* Forgets what is known of a foreign table whose options may have changed; of all for InvalidOid. */
static void
relcache_callback(Datum arg, Oid relid)
{
	HASH_SEQ_STATUS status;
	Estimate   *estimate;

	hash_seq_init(&status, estimates);
	while ((estimate = hash_seq_search(&status)) != NULL)
	{
		if (relid == InvalidOid || relid == estimate->relid)
			estimate->taken_at = 0;
	}
}

/* To be called before the first estimate of the session. */
static void
initialize(void)
{
	HASHCTL		ctl = {.keysize = sizeof(Oid),.entrysize = sizeof(Estimate)};

	if (estimates != NULL)
		return;
	estimates = hash_create("collection sizes", 64, &ctl, HASH_ELEM | HASH_BLOBS);
	CacheRegisterRelcacheCallback(relcache_callback, (Datum) 0);
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
	Estimate	latest = {relid, now};
	Estimate   *estimate;
	MongoConnection *connection;

	initialize();
	estimate = hash_search(estimates, &relid, HASH_FIND, NULL);
	if (estimate == NULL || fresh ||
		TimestampDifferenceExceeds(estimate->taken_at, now, ESTIMATE_AGE))
	{
		connection = connect_if_possible(GetForeignTable(relid)->serverid, userid);
		latest.known = connection != NULL &&
			ask_server(connection, mongo_table_options(relid)->collection, &latest);
		estimate = hash_search(estimates, &relid, HASH_ENTER, NULL);
		*estimate = latest;
		if (latest.missing && !mongo_transaction_is_open(connection))
			warn_of_missing(relid);
	}
	*documents = estimate->documents;
	*bytes = estimate->bytes;
	return estimate->known;
}

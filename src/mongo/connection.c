/*
 * connection.c
 *	  One MongoDB client a user mapping, kept for the session.
 */
#include "postgres.h"
#include "compat.h"

#include "error.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "mongo/connection.h"
#include "mongo/options.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

typedef struct ConnectionKey
{
	Oid			serverid;
	Oid			userid;
} ConnectionKey;

struct MongoConnection
{
	ConnectionKey key;			/* hash key, must be first */
	mongoc_client_t *client;
	char	   *database;
	char	   *server;
};

static HTAB *connections = NULL;

/* Returns the session's connection for (server, user). */
MongoConnection *
mongo_connect(Oid serverid, Oid userid)
{
	ConnectionKey key = {serverid, userid};
	MongoConnection *connection;
	ForeignServer *server;
	bson_error_t error;
	mongoc_uri_t *uri;
	bool		found;

	if (connections == NULL)
	{
		HASHCTL		ctl = {.keysize = sizeof(ConnectionKey),.entrysize = sizeof(MongoConnection)};

		connections = hash_create("mongo connections", 8, &ctl, HASH_ELEM | HASH_BLOBS);
	}
	connection = hash_search(connections, &key, HASH_ENTER, &found);
	if (found && connection->client != NULL)
		return connection;
	connection->client = NULL;
	server = GetForeignServer(serverid);
	if (option_value(server->options, "database") == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
				 errmsg("server \"%s\" has no option \"database\"", server->servername)));
	uri = mongoc_uri_new_with_error(option_value(server->options, "uri"), &error);
	if (uri == NULL)
		mongo_throw(&error, NULL, "reading the option uri");
	connection->client = mongoc_client_new_from_uri(uri);
	mongoc_uri_destroy(uri);
	mongoc_client_set_error_api(connection->client, 2);
	connection->database = MemoryContextStrdup(TopMemoryContext, option_value(server->options, "database"));
	connection->server = MemoryContextStrdup(TopMemoryContext, server->servername);
	return connection;
}

mongoc_client_t *
mongo_connection_client(MongoConnection *connection)
{
	return connection->client;
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

/* Throws the interrupt that the stream saw, if any. */
void
mongo_connection_check(MongoConnection *connection)
{
	CHECK_FOR_INTERRUPTS();
}

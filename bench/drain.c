/*
 * drain.c
 *	  The least that a libmongoc program can do to read a collection, or the
 *	  result of an aggregate command, to measure scans against.
 *
 * drain URI DATABASE COLLECTION [COMMAND] prints the number of documents and the
 * seconds from the query to the end of the cursor; the connection is made before.
 * The command is JSON, as EXPLAIN shows it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <mongoc/mongoc.h>

/* Seconds on the monotonic clock. */
static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/* The cursor of an aggregate command. */
static mongoc_cursor_t *
aggregate(mongoc_collection_t *collection, const char *json)
{
	bson_error_t error;
	bson_t	   *command = bson_new_from_json((const uint8_t *) json, -1, &error);
	bson_t		options = BSON_INITIALIZER;
	bson_t		pipeline = BSON_INITIALIZER;
	bson_iter_t iter;
	mongoc_cursor_t *cursor;

	if (command == NULL || !bson_iter_init_find(&iter, command, "pipeline"))
	{
		fprintf(stderr, "drain: this is no aggregate command\n");
		exit(2);
	}
	bson_append_iter(&pipeline, "pipeline", -1, &iter);
	bson_copy_to_excluding_noinit(command, &options, "aggregate", "pipeline", (char *) NULL);
	cursor = mongoc_collection_aggregate(collection, MONGOC_QUERY_NONE, &pipeline, &options, NULL);
	bson_destroy(&options);
	bson_destroy(&pipeline);
	bson_destroy(command);
	return cursor;
}

/* Reads the collection and prints what it took. */
int
main(int argc, char **argv)
{
	mongoc_client_t *client;
	mongoc_collection_t *collection;
	mongoc_cursor_t *cursor;
	const bson_t *document;
	bson_t		filter = BSON_INITIALIZER;
	bson_t	   *ping;
	bson_error_t error;
	long		count = 0;
	unsigned long bytes = 0;
	double		start;

	if (argc < 4 || argc > 5)
	{
		fprintf(stderr, "usage: drain URI DATABASE COLLECTION [COMMAND]\n");
		return 2;
	}
	mongoc_init();
	client = mongoc_client_new(argv[1]);
	ping = BCON_NEW("ping", BCON_INT32(1));
	if (client == NULL || !mongoc_client_command_simple(client, "admin", ping, NULL, NULL, &error))
	{
		fprintf(stderr, "drain: cannot connect\n");
		return 1;
	}
	collection = mongoc_client_get_collection(client, argv[2], argv[3]);

	start = now();
	cursor = argc == 5 ? aggregate(collection, argv[4]) :
		mongoc_collection_find_with_opts(collection, &filter, NULL, NULL);
	while (mongoc_cursor_next(cursor, &document))
	{
		count++;
		bytes += document->len;
	}
	if (mongoc_cursor_error(cursor, &error))
	{
		fprintf(stderr, "drain: %s\n", error.message);
		return 1;
	}
	printf("%ld %.3f %lu\n", count, now() - start, bytes);

	bson_destroy(ping);
	mongoc_cursor_destroy(cursor);
	mongoc_collection_destroy(collection);
	mongoc_client_destroy(client);
	mongoc_cleanup();
	return 0;
}

/*
 * drain.c
 *	  The least that a libmongoc program can do to read a collection, to
 *	  measure the scan against.
 *
 * drain URI DATABASE COLLECTION prints the number of documents and the seconds
 * from the query to the end of the cursor; the connection is made before.
 */
#include <stdio.h>
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

	if (argc != 4)
	{
		fprintf(stderr, "usage: drain URI DATABASE COLLECTION\n");
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
	cursor = mongoc_collection_find_with_opts(collection, &filter, NULL, NULL);
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

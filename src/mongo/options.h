/*
 * options.h
 *	  Options of servers, user mappings, foreign tables and columns.
 */
#ifndef MM_OPTIONS_H
#define MM_OPTIONS_H

#include "foreign/foreign.h"

/* How documents look in jsonb and json columns (option extended_json). */
typedef enum JsonMode
{
	JSON_RELAXED,				/* relaxed Extended JSON v2, the default */
	JSON_CANONICAL,				/* canonical Extended JSON v2 */
	JSON_PLAIN					/* hex ids, ISO dates, plain numbers */
} JsonMode;

typedef struct MongoTableOptions
{
	char	   *collection;		/* option collection, else the table's name */
	JsonMode	json_mode;		/* table's, else server's, else relaxed */
	int			fetch_size;		/* documents a batch */
	int			batch_size;		/* documents written at a time */
	bool		updatable;
	bool		truncatable;
	bool		aggregate_pushdown; /* option enable_aggregate_pushdown */
	bool		join_pushdown;	/* option enable_join_pushdown */
	bool		null_as_null;	/* option null_as: NULL is written as null */
} MongoTableOptions;

typedef struct MongoColumnOptions
{
	char	   *path;			/* option path, else the column's name */
	JsonMode	json_mode;		/* column's, else table's */
	char	   *bson_type;		/* option bson_type, or NULL */
	bool		null_as_null;	/* column's, else table's */
} MongoColumnOptions;

/* Looks a server up by name; throws, with the near name, when there is none,
 * when it is not a server of this wrapper, or when the current user has no
 * USAGE on it. */
extern Oid	mongo_server_oid(const char *name);

/* The value of one option in a list of DefElems, or NULL. */
extern const char *option_value(List *options, const char *name);

/* The same as a number or boolean. */
extern int	option_integer(List *options, const char *name, int otherwise);
extern bool option_boolean(List *options, const char *name, bool otherwise);

/* Gives the driver those options of a list that it has a name for. */
extern void options_to_uri(List *options, mongoc_uri_t *uri);

/* Text of the database in UTF-8, as the driver takes names and strings. */
extern const char *mongo_utf8(const char *text);

/* Results live in CurrentMemoryContext. */
extern MongoTableOptions *mongo_table_options(Oid foreigntableid);
extern MongoColumnOptions *mongo_column_options(Oid foreigntableid, AttrNumber attnum,
												const MongoTableOptions *table);
extern JsonMode mongo_server_json_mode(Oid serverid);
extern JsonMode json_mode_parse(const char *text);	/* throws for another word */

#endif							/* MM_OPTIONS_H */

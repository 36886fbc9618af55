/*
 * collections.c
 *	  The collections of a server's database.
 *
 * MongoDB answers a query of a collection that does not exist with no rows, so
 * whoever takes a name from a person asks here first.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/document_path.h"
#include "fmgr.h"
#include "funcapi.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "mongo/cursor.h"
#include "mongo/options.h"
#include "owned.h"
#include "plan/collections.h"
#include "utils/builtins.h"
#include "utils/formatting.h"
#include "utils/varlena.h"

PG_FUNCTION_INFO_V1(mm_list_collections);

#define MAX_NEAR	3			/* near names in a hint */

/* Adds the collections of one batch of the server's answer; some count in unnamed instead. */
static List *
add_batch(List *list, const bson_iter_t *batch, int *unnamed)
{
	bson_iter_t entry;

	if (!bson_iter_recurse(batch, &entry))
		return list;
	while (bson_iter_next(&entry))
	{
		CollectionInfo *info;
		const char *utf8;
		bson_iter_t name;
		bson_iter_t kind;

		if (!bson_iter_recurse(&entry, &name) || !bson_iter_find(&name, "name") ||
			!BSON_ITER_HOLDS_UTF8(&name) ||
			strncmp(bson_iter_utf8(&name, NULL), "system.", 7) == 0)
			continue;
		utf8 = bson_iter_utf8(&name, NULL);
		if (!document_path_can_name(utf8))
		{
			*unnamed += 1;
			continue;
		}
		info = palloc(sizeof(CollectionInfo));
		info->name = pstrdup(pg_any_to_server(utf8, strlen(utf8), PG_UTF8));
		info->kind = pstrdup(bson_iter_recurse(&entry, &kind) && bson_iter_find(&kind, "type") &&
							 BSON_ITER_HOLDS_UTF8(&kind) ? bson_iter_utf8(&kind, NULL) : "collection");
		list = lappend(list, info);
	}
	return list;
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(((CollectionInfo *) lfirst(a))->name, ((CollectionInfo *) lfirst(b))->name);
}

/* The collections in order of name. */
List *
collections_list(MongoConnection *connection, int *unnamed)
{
	List	   *list = NIL;
	bson_t	   *command = owned_bson_new(CurrentMemoryContext);
	int64		cursor = 0;
	MongoCommands *commands = mongo_commands_begin(connection, CurrentMemoryContext);

	*unnamed = 0;
	BSON_APPEND_INT32(command, "listCollections", 1);
	BSON_APPEND_BOOL(command, "nameOnly", true);
	BSON_APPEND_BOOL(command, "authorizedCollections", true);
	do
	{
		bson_t	   *reply = mongo_commands_run(commands, command, CurrentMemoryContext);
		bson_iter_t iter;
		bson_iter_t field;

		if (bson_iter_init(&iter, reply) &&
			(bson_iter_find_descendant(&iter, "cursor.firstBatch", &field) ||
			 (bson_iter_init(&iter, reply) &&
			  bson_iter_find_descendant(&iter, "cursor.nextBatch", &field))))
			list = add_batch(list, &field, unnamed);
		cursor = bson_iter_init(&iter, reply) &&
			bson_iter_find_descendant(&iter, "cursor.id", &field) ? bson_iter_as_int64(&field) : 0;

		command = owned_bson_new(CurrentMemoryContext);
		BSON_APPEND_INT64(command, "getMore", cursor);
		BSON_APPEND_UTF8(command, "collection", "$cmd.listCollections");
		CHECK_FOR_INTERRUPTS();
	} while (cursor != 0);

	list_sort(list, compare_names);
	return list;
}

/* How far apart two names are; letter case and a plural count little. */
static int
name_distance(const char *a, const char *b)
{
	return varstr_levenshtein_less_equal(a, strlen(a), b, strlen(b), 1, 1, 2, 2 * MAX_NEAR, true);
}

/* The names near to one, quoted and in a list; NULL when there are none. */
static char *
near_names(List *list, const char *name)
{
	StringInfoData names;
	char	   *lower = asc_tolower(name, strlen(name));
	int			found = 0;

	initStringInfo(&names);
	for (int distance = 0; distance <= Min(4, (int) strlen(name) / 2 + 1); distance++)
	{
		ListCell   *cell;

		foreach(cell, list)
		{
			const char *other = ((CollectionInfo *) lfirst(cell))->name;

			if (strlen(other) > 200 || strlen(name) > 200 || found == MAX_NEAR ||
				name_distance(lower, asc_tolower(other, strlen(other))) != distance)
				continue;
			appendStringInfo(&names, "%s\"%s\"", found++ == 0 ? "" : ", ", other);
		}
	}
	return found == 0 ? NULL : names.data;
}

/* The kind of a collection; throws, with near names, when there is none. */
const char *
collection_require(MongoConnection *connection, const char *name)
{
	int			unnamed;
	List	   *list = collections_list(connection, &unnamed);
	ListCell   *cell;
	char	   *names;

	foreach(cell, list)
	{
		CollectionInfo *info = (CollectionInfo *) lfirst(cell);

		if (strcmp(info->name, name) == 0)
			return info->kind;
	}
	names = near_names(list, name);
	ereport(ERROR,
			(errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
			 errmsg("collection \"%s\" does not exist in database \"%s\" of server \"%s\"",
					name, mongo_connection_database(connection),
					mongo_connection_server(connection)),
			 names != NULL ? errhint("Perhaps you meant %s.", names) :
			 errhint("SELECT * FROM mongo_migrate.list_collections(%s) lists the collections.",
					 quote_literal_cstr(mongo_connection_server(connection)))));
}

/* The unique key that an entry of listIndexes tells of, or NULL. */
static UniqueKey *
unique_key(const bson_iter_t *entry)
{
	UniqueKey  *result = palloc0(sizeof(UniqueKey));
	bson_iter_t index;
	bool		unique = false;

	if (!bson_iter_recurse(entry, &index))
		return NULL;
	while (bson_iter_next(&index))
	{
		const char *name = bson_iter_key(&index);

		if (strcmp(name, "key") == 0 && BSON_ITER_HOLDS_DOCUMENT(&index))
		{
			const uint8_t *data;
			uint32		length;
			bson_t		key;
			bson_iter_t field;

			bson_iter_document(&index, &length, &data);
			if (!bson_init_static(&key, data, length) || bson_count_keys(&key) != 1 ||
				!bson_iter_init(&field, &key) || !bson_iter_next(&field) ||
				!BSON_ITER_HOLDS_NUMBER(&field))
				return NULL;
			result->field = pstrdup(bson_iter_key(&field));
			result->index = owned_bson_new(CurrentMemoryContext);
			bson_concat(result->index, &key);
			unique |= strcmp(result->field, "_id") == 0;
		}
		else if (strcmp(name, "unique") == 0)
			unique |= bson_iter_as_bool(&index);
		else if (strcmp(name, "hidden") == 0)
			result->hidden = bson_iter_as_bool(&index);
		else if (strcmp(name, "partialFilterExpression") == 0 || strcmp(name, "collation") == 0)
			return NULL;
	}
	return unique && result->field != NULL ? result : NULL;
}

/* The UniqueKeys of a collection. */
List *
collection_unique_keys(MongoConnection *connection, const char *name)
{
	List	   *list = NIL;
	bson_t	   *command = owned_bson_new(CurrentMemoryContext);
	bson_iter_t iter;
	bson_iter_t indexes;
	bson_iter_t entry;

	BSON_APPEND_UTF8(command, "listIndexes", mongo_utf8(name));
	if (bson_iter_init(&iter, mongo_command(connection, command, CurrentMemoryContext)) &&
		bson_iter_find_descendant(&iter, "cursor.firstBatch", &indexes) &&
		bson_iter_recurse(&indexes, &entry))
	{
		while (bson_iter_next(&entry))
		{
			UniqueKey  *key = unique_key(&entry);

			if (key != NULL)
				list = lappend(list, key);
		}
	}
	return list;
}

/* The number of documents of a collection or view. */
int64
collection_count(MongoConnection *connection, const char *name)
{
	bson_t	   *command = owned_bson_new(CurrentMemoryContext);
	bson_iter_t n;

	BSON_APPEND_UTF8(command, "count", mongo_utf8(name));
	return bson_iter_init_find(&n, mongo_command(connection, command, CurrentMemoryContext), "n") ?
		bson_iter_as_int64(&n) : 0;
}

/* list_collections(server) returns table (collection text, kind text) */
Datum
mm_list_collections(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	MongoConnection *connection = mongo_connect(mongo_server_oid(NameStr(*PG_GETARG_NAME(0))),
												GetUserId());
	int			unnamed;
	List	   *list = collections_list(connection, &unnamed);
	ListCell   *cell;

	if (unnamed > 0)
		ereport(WARNING,
				(errmsg_plural("%d collection of server \"%s\" cannot be named here",
							   "%d collections of server \"%s\" cannot be named here", unnamed,
							   unnamed, mongo_connection_server(connection)),
				 errdetail("The encoding of this database, %s, lacks characters of the name.",
						   GetDatabaseEncodingName()),
				 errhint("Migrate into a database whose encoding is UTF8, or rename in MongoDB.")));
	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, list)
	{
		CollectionInfo *info = (CollectionInfo *) lfirst(cell);
		Datum		values[] = {CStringGetTextDatum(info->name), CStringGetTextDatum(info->kind)};
		bool		nulls[] = {false, false};

		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
	}
	return (Datum) 0;
}

/*
 * indexes.c
 *	  The indexes of a collection, as far as they matter to costs.
 *
 * Asked for with the option use_remote_estimate, and where tables are joined; and
 * remembered.  What an index does in truth is MongoDB's choice; here it only has
 * to be likely.
 */
#include "postgres.h"
#include "compat.h"

#include "fdw/estimate.h"
#include "fdw/path.h"
#include "mongo/options.h"
#include "owned.h"
#include "utils/memutils.h"

/* What is remembered of a foreign table's collection. */
typedef struct KnownIndexes
{
	Remembered	remembered;		/* must be first */
	MemoryContext context;		/* of the indexes */
	List	   *indexes;
} KnownIndexes;

static HTAB *known = NULL;

/* The index that every collection has. */
CollectionIndex *
index_of_id(void)
{
	CollectionIndex *index = palloc0(sizeof(CollectionIndex));

	index->fields = list_make1("_id");
	index->whole = true;
	index->unique = true;
	return index;
}

/* Reads the fields of an index; those from a special one on are left out. */
static void
read_key(CollectionIndex *index, const bson_iter_t *key)
{
	bson_iter_t field;

	index->whole = true;
	if (!BSON_ITER_HOLDS_DOCUMENT(key) || !bson_iter_recurse(key, &field))
		return;
	while (bson_iter_next(&field))
	{
		const char *path = bson_iter_key(&field);
		bool		hashed = BSON_ITER_HOLDS_UTF8(&field) &&
			strcmp(bson_iter_utf8(&field, NULL), "hashed") == 0;

		/* 1 or -1, but text, 2d and others; "$**" is an index of any field. */
		if ((!hashed && !BSON_ITER_HOLDS_NUMBER(&field)) || strstr(path, "$**") != NULL)
		{
			index->whole = false;
			return;
		}
		index->hashed |= hashed;
		index->fields = lappend(index->fields, pstrdup(path));
	}
}

/* The index that a document of listIndexes describes, or NULL when not every query can use it. */
static CollectionIndex *
read_index(const bson_iter_t *description)
{
	CollectionIndex *index = palloc0(sizeof(CollectionIndex));
	bson_iter_t iter;

	if (!BSON_ITER_HOLDS_DOCUMENT(description) || !bson_iter_recurse(description, &iter))
		return NULL;
	while (bson_iter_next(&iter))
	{
		const char *name = bson_iter_key(&iter);

		if (strcmp(name, "key") == 0)
			read_key(index, &iter);
		else if (strcmp(name, "unique") == 0)
			index->unique = bson_iter_as_bool(&iter);
		else if (strcmp(name, "collation") == 0)
			index->collated = true;
		else if (strcmp(name, "partialFilterExpression") == 0 ||
				 (strcmp(name, "hidden") == 0 && bson_iter_as_bool(&iter)))
			return NULL;
	}
	if (index->fields == NIL)
		return NULL;
	/* It is, and MongoDB does not say so. */
	if (PATH_IS_ID(linitial(index->fields)) && list_length(index->fields) == 1)
		index->unique = true;
	return index;
}

/* Asks the server; NIL when it does not say.  A view has no indexes of its own. */
static List *
ask_indexes(Oid relid, Oid userid)
{
	MongoConnection *connection = estimate_connect(relid, userid);
	bson_t	   *command = owned_bson_new(CurrentMemoryContext);
	bson_iter_t iter;
	bson_error_t error;
	List	   *indexes = NIL;

	if (connection == NULL)
		return NIL;
	BCON_APPEND(command, "listIndexes", BCON_UTF8(mongo_utf8(mongo_table_options(relid)->collection)));
	if (!estimate_first_batch(estimate_ask(connection, command, &error), &iter))
		return NIL;
	while (bson_iter_next(&iter))
	{
		CollectionIndex *index = read_index(&iter);

		if (index != NULL)
			indexes = lappend(indexes, index);
	}
	return indexes;
}

/* A copy of indexes in the current memory context. */
static List *
copy_indexes(List *indexes)
{
	List	   *copies = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, indexes)
	{
		CollectionIndex *index = lfirst(lc);
		CollectionIndex *copy = palloc(sizeof(CollectionIndex));

		*copy = *index;
		copy->fields = NIL;
		foreach(lc2, index->fields)
			copy->fields = lappend(copy->fields, pstrdup(lfirst(lc2)));
		copies = lappend(copies, copy);
	}
	return copies;
}

/* Remembers indexes. */
static void
remember(Oid relid, List *indexes, TimestampTz now)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "indexes of a collection",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *copies = copy_indexes(indexes);
	KnownIndexes *entry;
	bool		found;

	MemoryContextSwitchTo(old);
	entry = hash_search(known, &relid, HASH_ENTER, &found);
	if (found)
		MemoryContextDelete(entry->context);
	MemoryContextSetParent(context, CacheMemoryContext);
	entry->context = context;
	entry->indexes = copies;
	entry->remembered.taken_at = now;
}

/* The indexes of a foreign table's collection. */
List *
estimate_indexes(Oid relid, Oid userid)
{
	TimestampTz now = GetCurrentTimestamp();
	uint64		invalidations = estimate_invalidations();
	KnownIndexes *entry;
	List	   *indexes;

	if (known == NULL)
		known = estimate_memory_create("indexes of collections", sizeof(KnownIndexes));
	entry = hash_search(known, &relid, HASH_FIND, NULL);
	if (entry != NULL && estimate_is_fresh(&entry->remembered, now))
		return copy_indexes(entry->indexes);
	indexes = ask_indexes(relid, userid);
	remember(relid, indexes, estimate_invalidations() == invalidations ? now : 0);
	return indexes;
}

/*
 * keyprobe.c
 *	  The keys of a database's collections, and which values are among them.
 *
 * The plan of each collection asks every other one, so a database of hundreds
 * is asked tens of thousands of times, maybe over a long line.  Hence what keys
 * there are is asked once a transaction, and values are looked up in many
 * collections by one command, an aggregate that $unionWith strings together.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/document_path.h"
#include "bson/key.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "mongo/cursor.h"
#include "mongo/options.h"
#include "owned.h"
#include "plan/collections.h"
#include "plan/keyprobe.h"
#include "utils/memutils.h"

#define BRANCH_VALUES	1000	/* values in one $in */
#define COMMAND_BRANCHES 50		/* $in in one command ... */
#define COMMAND_BYTES	1000000 /* ... which ends beyond this size, too */

struct KeyLookup
{
	MongoConnection *connection;
	MemoryContext command;		/* of a command; reset after it */
	bson_t	   *stages;			/* of the pipeline */
	const char *collection;		/* that the command begins with, in the
								 * server's encoding */
	int			branches;		/* in the command */
	HTAB	   *found[COMMAND_BRANCHES];
	const KeyProbe *probe;		/* of the branch in the making; NULL: there is
								 * none */
	bson_t	   *values;			/* its $in */
	int			nvalues;
	HTAB	   *asked;			/* the keys in it */
};

/* The probes of a connection, asked for in this transaction. */
typedef struct ProbesEntry
{
	MongoConnection *connection;
	List	   *probes;
} ProbesEntry;

static List *known_probes = NIL;	/* ProbesEntries, in known_context */
static MemoryContext known_context = NULL;

/* Makes an empty set. */
HTAB *
key_set_create(MemoryContext context)
{
	HASHCTL		control = {.keysize = sizeof(uint64),.entrysize = sizeof(uint64),.hcxt = context};

	return hash_create("mongo_migrate keys", 32, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* The kind of a key, and of a number its value. */
static KeyKind
key_kind(const bson_iter_t *value, double *number)
{
	switch (bson_iter_type(value))
	{
		case BSON_TYPE_INT32:
		case BSON_TYPE_INT64:
		case BSON_TYPE_DOUBLE:
			*number = bson_iter_as_double(value);
			return KEY_NUMBER;
		case BSON_TYPE_DECIMAL128:
			*number = 0;
			return KEY_NUMBER;
		case BSON_TYPE_SYMBOL:
		case BSON_TYPE_UTF8:
			return KEY_STRING;
		case BSON_TYPE_DOCUMENT:
		case BSON_TYPE_ARRAY:
			return KEY_DOCUMENT;
		case BSON_TYPE_BINARY:
			return KEY_BINARY;
		case BSON_TYPE_OID:
			return KEY_OBJECTID;
		case BSON_TYPE_MINKEY:
		case BSON_TYPE_UNDEFINED:
		case BSON_TYPE_NULL:
			return KEY_BEFORE;
		default:
			return KEY_AFTER;
	}
}

/* Options of a find by a unique index that returns the first or the last key. */
static bson_t *
end_options(const UniqueKey *key, int direction)
{
	bson_t	   *options = owned_bson_new(CurrentMemoryContext);
	bson_t		child;

	BSON_APPEND_DOCUMENT_BEGIN(options, "projection", &child);
	bson_append_int32(&child, key->field, -1, 1);
	if (strcmp(key->field, "_id") != 0)
		BSON_APPEND_INT32(&child, "_id", 0);
	bson_append_document_end(options, &child);
	BSON_APPEND_DOCUMENT(options, "hint", key->index);
	BSON_APPEND_DOCUMENT_BEGIN(options, "sort", &child);
	bson_append_int32(&child, key->field, -1, direction);
	bson_append_document_end(options, &child);
	BSON_APPEND_INT64(options, "limit", 1);
	return options;
}

/* The kind of the first or last key, and its number; false when there are no documents. */
static bool
read_end(MongoConnection *connection, const char *collection, const UniqueKey *key, int direction,
		 KeyKind *kind, double *number)
{
	MongoCursor *cursor = mongo_find(connection, collection, owned_bson_new(CurrentMemoryContext),
									 end_options(key, direction), CurrentMemoryContext);
	const bson_t *document = mongo_cursor_next(cursor);
	bson_iter_t iter;
	bson_iter_t value;
	bool		found = document != NULL;

	if (found)
		*kind = bson_iter_init(&iter, document) &&
			bson_iter_find_descendant(&iter, key->field, &value) ?
			key_kind(&value, number) : KEY_BEFORE;
	mongo_cursor_close(cursor);
	return found;
}

/* Sets the probe of a unique key; false when the collection is empty. */
static bool
set_probe(MongoConnection *connection, const char *collection, const UniqueKey *key, KeyProbe *probe)
{
	double		first = 0;
	double		last = 0;

	memset(probe, 0, sizeof(KeyProbe));
	if (!read_end(connection, collection, key, 1, &probe->low, &first) ||
		!read_end(connection, collection, key, -1, &probe->high, &last))
		return false;
	if (probe->low == KEY_NUMBER && probe->high == KEY_NUMBER)
		probe->spread = (last - first + 1) / Max((double) collection_count(connection, collection), 1);
	return true;
}

/* Adds a probe to those that are known. */
static List *
add_probe(List *probes, const char *collection, const UniqueKey *key, const KeyProbe *probe)
{
	MemoryContext old = MemoryContextSwitchTo(known_context);
	KeyProbe   *copy = palloc(sizeof(KeyProbe));

	*copy = *probe;
	copy->collection = pstrdup(collection);
	copy->key = pstrdup(key->field);
	probes = lappend(probes, copy);
	MemoryContextSwitchTo(old);
	return probes;
}

/* Asks for the keys of every collection. */
static List *
read_probes(MongoConnection *connection)
{
	int			unnamed;
	List	   *list = collections_list(connection, &unnamed);
	List	   *probes = NIL;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "keys of a collection",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	ListCell   *cell;

	foreach(cell, list)
	{
		CollectionInfo *info = (CollectionInfo *) lfirst(cell);
		ListCell   *c;

		if (strcmp(info->kind, "collection") != 0)
			continue;
		foreach(c, collection_unique_keys(connection, info->name))
		{
			UniqueKey  *key = (UniqueKey *) lfirst(c);
			KeyProbe	probe;

			if (!key->hidden && document_path_can_name(key->field) &&
				set_probe(connection, info->name, key, &probe))
				probes = add_probe(probes, info->name, key, &probe);
		}
		MemoryContextReset(context);
		CHECK_FOR_INTERRUPTS();
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return probes;
}

/* The transaction has ended. */
static void
forget_probes(void *arg)
{
	known_probes = NIL;
	known_context = NULL;
}

/* Makes the context of what is known, which ends with the transaction. */
static void
begin_known(void)
{
	MemoryContextCallback *callback;

	known_context = AllocSetContextCreate(TopTransactionContext, "key probes", ALLOCSET_SMALL_SIZES);
	callback = MemoryContextAllocZero(known_context, sizeof(MemoryContextCallback));
	callback->func = forget_probes;
	MemoryContextRegisterResetCallback(known_context, callback);
}

/* The probes of all collections. */
List *
key_probes(MongoConnection *connection)
{
	ProbesEntry *entry;
	List	   *probes;
	ListCell   *cell;
	MemoryContext old;

	/* A connection's address is its own until the transaction ends. */
	foreach(cell, known_probes)
	{
		entry = (ProbesEntry *) lfirst(cell);
		if (entry->connection == connection)
			return entry->probes;
	}
	if (known_context == NULL)
		begin_known();
	probes = read_probes(connection);
	old = MemoryContextSwitchTo(known_context);
	entry = palloc(sizeof(ProbesEntry));
	entry->connection = connection;
	entry->probes = probes;
	known_probes = lappend(known_probes, entry);
	MemoryContextSwitchTo(old);
	return probes;
}

/* Begins to look keys up. */
KeyLookup *
key_lookup_begin(MongoConnection *connection)
{
	KeyLookup  *lookup = palloc0(sizeof(KeyLookup));

	lookup->connection = connection;
	lookup->command = AllocSetContextCreate(CurrentMemoryContext, "key lookup",
											ALLOCSET_DEFAULT_SIZES);
	return lookup;
}

/* Puts the branch in the making into the command. */
static void
end_branch(KeyLookup *lookup)
{
	const KeyProbe *probe = lookup->probe;
	bson_t	   *branch = owned_bson_new(lookup->command);
	int			number = lookup->branches++;

	BCON_APPEND(branch,
				"0", "{", "$match", "{", probe->key, "{", "$in", BCON_ARRAY(lookup->values), "}", "}", "}",
				"1", "{", "$project", "{", "_id", BCON_BOOL(false), "v", BCON_UTF8(psprintf("$%s", probe->key)),
				"n", "{", "$literal", BCON_INT32(number), "}", "}", "}");
	if (number == 0)
	{
		lookup->collection = probe->collection;
		bson_concat(lookup->stages, branch);
	}
	else
		BCON_APPEND(lookup->stages, psprintf("%d", number + 1), "{", "$unionWith", "{",
					"coll", BCON_UTF8(mongo_utf8(probe->collection)), "pipeline", BCON_ARRAY(branch), "}", "}");
	lookup->probe = NULL;
}

/* Runs the command, and notes what it finds. */
static void
run_command(KeyLookup *lookup)
{
	bson_t	   *options = owned_bson_new(lookup->command);
	MongoCursor *cursor;
	const bson_t *document;
	StringInfoData key;

	/* As the indexes compare; one with a collation is no probe's. */
	BCON_APPEND(options, "collation", "{", "locale", BCON_UTF8("simple"), "}");
	cursor = mongo_aggregate(lookup->connection, lookup->collection, lookup->stages, options,
							 lookup->command);
	initStringInfo(&key);
	while ((document = mongo_cursor_next(cursor)) != NULL)
	{
		bson_iter_t branch;
		bson_iter_t value;
		int64		number;
		uint64		hash;

		if (!bson_iter_init_find(&branch, document, "n") || !bson_iter_init_find(&value, document, "v"))
			continue;
		number = bson_iter_as_int64(&branch);
		if (number < 0 || number >= lookup->branches)
			continue;
		resetStringInfo(&key);
		key_append(&key, &value);
		hash = key_hash(key.data, key.len);
		hash_search(lookup->found[number], &hash, HASH_ENTER, NULL);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Runs the command, if there is one, and begins the next. */
static void
next_command(KeyLookup *lookup)
{
	MemoryContext old = MemoryContextSwitchTo(lookup->command);

	if (lookup->probe != NULL)
		end_branch(lookup);
	if (lookup->branches > 0)
		run_command(lookup);
	MemoryContextSwitchTo(old);
	MemoryContextReset(lookup->command);
	lookup->branches = 0;
	lookup->stages = NULL;
}

/* Begins a branch. */
static void
begin_branch(KeyLookup *lookup, const KeyProbe *probe, HTAB *found)
{
	if (lookup->stages == NULL)
		lookup->stages = owned_bson_new(lookup->command);
	lookup->found[lookup->branches] = found;
	lookup->probe = probe;
	lookup->values = owned_bson_new(lookup->command);
	lookup->nvalues = 0;
	lookup->asked = key_set_create(lookup->command);
}

/* Adds a key to look up. */
void
key_lookup_add(KeyLookup *lookup, const KeyProbe *probe, HTAB *found, const char *key, uint32 length)
{
	uint64		hash = key_hash(key, length);
	bool		known;

	if (lookup->probe != NULL && (lookup->probe != probe || lookup->nvalues == BRANCH_VALUES))
	{
		end_branch(lookup);
		if (lookup->branches == COMMAND_BRANCHES || lookup->stages->len > COMMAND_BYTES)
			next_command(lookup);
	}
	if (lookup->probe == NULL)
		begin_branch(lookup, probe, found);
	hash_search(lookup->asked, &hash, HASH_ENTER, &known);
	if (!known)
		key_append_to_bson(lookup->values, psprintf("%d", lookup->nvalues++), key, length);
}

/* Runs what is left. */
void
key_lookup_end(KeyLookup *lookup)
{
	next_command(lookup);
	MemoryContextDelete(lookup->command);
	pfree(lookup);
}

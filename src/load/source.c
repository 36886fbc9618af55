/*
 * source.c
 *	  The documents of a chunk, in the order of _id over all BSON types.
 *
 * A collection is read along its _id index: find with min and max, which are
 * positions in the index and know no type brackets.  min is inclusive, so a
 * resumed read meets the last document done again and drops it by its key.
 * A min without a max stops short of MaxKey, so such a range ends with one
 * more find for that value.
 *
 * A view or a time-series collection has no such index.  It is read by an
 * aggregation that compares _id with $expr, in the same order over all types,
 * and sorts.  Nothing makes _id unique or present there: both are checked.
 *
 * All reads ask for what a majority of the replica set has: a document that a
 * failover would take back is not copied.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/json.h"
#include "bson/key.h"
#include "load/load.h"
#include "mongo/cluster_time.h"
#include "mongo/options.h"
#include "owned.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/*
 * Documents in a reply of the server, which ends it at 16 MB anyway.  Fewer
 * cost a round trip more often, more only memory; it has nothing to do with
 * the size of a batch.
 */
#define FETCH_SIZE 5000

struct LoadSource
{
	LoadSession *session;
	MemoryContext context;		/* its own, below the session's */
	MongoCursor *cursor;		/* NULL: there are no more */
	bytea	   *lower_id;		/* of the chunk, each NULL where it has none */
	bytea	   *upper_id;
	bool		view;
	bool		first;			/* no document yet */
	bool		tail;			/* to go on with MaxKey */
	bool		at_max;			/* the last document's _id is MaxKey */
	bytea	   *last_key;		/* of the last document done or given;
								 * collections: till the first */
};

/* Lends a bytea of the chunk as the document {"_id": ...}. */
static void
boundary_init(bson_t *document, bson_iter_t *id, const bytea *bytes)
{
	if (!bson_init_static(document, (const uint8_t *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)) ||
		!bson_iter_init_find(id, document, "_id"))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a boundary in mongo_migrate.chunk is not a document with _id")));
}

/* Whether a boundary is MaxKey, which find does not take for a min. */
static bool
boundary_is_max(const bytea *bytes)
{
	bson_t		document;
	bson_iter_t id;

	boundary_init(&document, &id, bytes);
	return BSON_ITER_HOLDS_MAXKEY(&id);
}

/* The key of a document's _id in the current context; NULL when it has none. */
bytea *
document_key(const bson_t *document)
{
	bson_iter_t id;

	return bson_iter_init_find(&id, document, "_id") ? key_bytes(&id) : NULL;
}

/* A document's {"_id": ...} in the current context. */
bytea *
document_id(const bson_t *document)
{
	bson_t		id_only = BSON_INITIALIZER;
	bson_iter_t id;
	bytea	   *result;

	if (!bson_iter_init_find(&id, document, "_id"))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("document has no _id")));
	bson_append_iter(&id_only, "_id", -1, &id);
	result = palloc(VARHDRSZ + id_only.len);
	SET_VARSIZE(result, VARHDRSZ + id_only.len);
	memcpy(VARDATA(result), bson_get_data(&id_only), id_only.len);
	bson_destroy(&id_only);
	return result;
}

/* A copy of bytes, or NULL. */
bytea *
bytes_copy(const bytea *bytes, MemoryContext context)
{
	bytea	   *copy;

	if (bytes == NULL)
		return NULL;
	copy = MemoryContextAlloc(context, VARSIZE_ANY(bytes));
	memcpy(copy, bytes, VARSIZE_ANY(bytes));
	return copy;
}

/*
 * Whether the collection is read as a view is; throws when there is no such
 * collection.
 */
static bool
collection_is_view(LoadSession *session)
{
	bson_t	   *command = owned_bson_new(CurrentMemoryContext);
	bson_iter_t iter;
	bson_iter_t type;

	BCON_APPEND(command, "listCollections", BCON_INT32(1),
				"filter", "{", "name", BCON_UTF8(mongo_utf8(session->collection)), "}",
				"nameOnly", BCON_BOOL(true), "authorizedCollections", BCON_BOOL(true));
	if (!bson_iter_init(&iter, mongo_command(session->connection, command, CurrentMemoryContext)) ||
		!bson_iter_find_descendant(&iter, "cursor.firstBatch.0.type", &type) || !BSON_ITER_HOLDS_UTF8(&type))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_TABLE_NOT_FOUND),
				 errmsg("collection \"%s\" does not exist in database \"%s\" of server \"%s\"",
						session->collection, mongo_connection_database(session->connection),
						NameStr(session->server))));
	return strcmp(bson_iter_utf8(&type, NULL), "collection") != 0;
}

/* Appends what all reads have in common. */
static void
append_options(LoadSession *session, bson_t *opts)
{
	bson_t		concern;

	BSON_APPEND_INT32(opts, "batchSize", FETCH_SIZE);
	BSON_APPEND_DOCUMENT_BEGIN(opts, "readConcern", &concern);
	BSON_APPEND_UTF8(&concern, "level", "majority");
	if (session->after != 0)
		cluster_time_append(&concern, "afterClusterTime", session->after);
	bson_append_document_end(opts, &concern);
}

/* Begins to read along the _id index. */
static void
find_range(LoadSource *source, const bytea *lower, const bytea *upper)
{
	LoadSession *session = source->session;
	bson_t	   *opts = owned_bson_new(CurrentMemoryContext);
	bson_t	   *none = owned_bson_new(CurrentMemoryContext);
	bson_t		bound;
	bson_iter_t id;

	BCON_APPEND(opts, "hint", "{", "_id", BCON_INT32(1), "}", "sort", "{", "_id", BCON_INT32(1), "}");
	if (lower != NULL)
	{
		boundary_init(&bound, &id, lower);
		BSON_APPEND_DOCUMENT(opts, "min", &bound);
	}
	if (upper != NULL)
	{
		boundary_init(&bound, &id, upper);
		BSON_APPEND_DOCUMENT(opts, "max", &bound);
	}
	append_options(session, opts);
	source->tail = lower != NULL && upper == NULL;
	source->cursor = mongo_find(session->connection, session->collection,
								session->filter == NULL ? none : session->filter,
								opts, source->context);
}

/* A condition on _id and a filter, which may be NULL; belongs to the current context. */
static bson_t *
filter_and(const bson_t *id, const bson_t *filter)
{
	bson_t	   *both = owned_bson_new(CurrentMemoryContext);

	if (filter == NULL)
		BCON_APPEND(both, "_id", BCON_DOCUMENT(id));
	else
		BCON_APPEND(both, "$and", "[", "{", "_id", BCON_DOCUMENT(id), "}", BCON_DOCUMENT(filter), "]");
	return both;
}

/* Begins to read the document whose _id is MaxKey. */
static void
find_tail(LoadSource *source)
{
	LoadSession *session = source->session;
	bson_t	   *opts = owned_bson_new(CurrentMemoryContext);
	bson_t	   *id = owned_bson_new(CurrentMemoryContext);

	BCON_APPEND(id, "$type", BCON_UTF8("maxKey"));
	append_options(session, opts);
	source->tail = false;
	source->cursor = mongo_find(session->connection, session->collection,
								filter_and(id, session->filter), opts, source->context);
}

/*
 * Appends a stage that compares _id with a bound:
 * {"$match": {"$expr": {"$gte": ["$_id", {"$literal": bound}]}}}.
 */
static void
append_comparison(bson_t *stages, const char *index, const char *operator, const bytea *bound)
{
	bson_t		document;
	bson_iter_t id;

	boundary_init(&document, &id, bound);
	BCON_APPEND(stages, index, "{", "$match", "{", "$expr", "{",
				operator, "[", BCON_UTF8("$_id"), "{", "$literal", BCON_ITER(&id), "}", "]",
				"}", "}", "}");
}

/* Begins to read a view. */
static void
aggregate_range(LoadSource *source, const bytea *lower, const bytea *upper)
{
	LoadSession *session = source->session;
	bson_t	   *opts = owned_bson_new(CurrentMemoryContext);
	bson_t	   *pipeline = owned_bson_new(CurrentMemoryContext);
	bson_t		stages;

	/* The names of an array's elements are not looked at by MongoDB. */
	BSON_APPEND_ARRAY_BEGIN(pipeline, "pipeline", &stages);
	if (session->filter != NULL)
		BCON_APPEND(&stages, "0", "{", "$match", BCON_DOCUMENT(session->filter), "}");
	if (lower != NULL)
		append_comparison(&stages, "1", "$gte", lower);
	if (upper != NULL)
		append_comparison(&stages, "2", "$lt", upper);
	BCON_APPEND(&stages, "3", "{", "$sort", "{", "_id", BCON_INT32(1), "}", "}");
	bson_append_array_end(pipeline, &stages);
	append_options(session, opts);
	BCON_APPEND(opts, "allowDiskUse", BCON_BOOL(true));
	source->cursor = mongo_aggregate(session->connection, session->collection, pipeline, opts,
									 source->context);
}

/* Begins to read after last_id, or from the beginning where that is NULL. */
static void
begin_after(LoadSource *source, const bytea *last_id)
{
	const bytea *lower = source->lower_id;

	source->first = true;
	if (last_id != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(source->context);
		bson_t		document;
		bson_iter_t id;

		lower = last_id;
		boundary_init(&document, &id, lower);
		source->at_max = boundary_is_max(lower);
		if (source->last_key != NULL)
			pfree(source->last_key);
		source->last_key = key_bytes(&id);
		MemoryContextSwitchTo(old);
	}
	if (source->view)
		aggregate_range(source, lower, source->upper_id);
	else if (source->at_max)
		source->cursor = NULL;
	else if (lower != NULL && boundary_is_max(lower))
		find_tail(source);
	else
		find_range(source, lower, source->upper_id);
}

/*
 * Opens the source of a chunk where its checkpoint stands; lives until
 * source_close(), or as long as the session.
 */
LoadSource *
source_open(LoadSession *session, const Checkpoint *checkpoint)
{
	MemoryContext context = AllocSetContextCreate(session->context, "load source",
												  ALLOCSET_DEFAULT_SIZES);
	LoadSource *source = MemoryContextAllocZero(context, sizeof(LoadSource));

	source->session = session;
	source->context = context;
	source->lower_id = bytes_copy(checkpoint->lower_id, context);
	source->upper_id = bytes_copy(checkpoint->upper_id, context);
	source->view = collection_is_view(session);
	begin_after(source, checkpoint->last_id);
	return source;
}

/* Lets a source go, with its cursor. */
void
source_close(LoadSource *source)
{
	MemoryContextDelete(source->context);
}

/*
 * Goes on after the last document given, with a new cursor: the server has
 * dropped the old one.
 */
static void
reopen(LoadSource *source)
{
	LoadSession *session = source->session;
	bytea	   *last_id = session->last_id;
	bson_t		bson;

	mongo_cursor_close(source->cursor);
	source->cursor = NULL;
	if (session->ndocuments > 0)
		last_id = document_id(document_bson(&session->documents[session->ndocuments - 1], &bson));
	begin_after(source, last_id);
}

/*
 * What a collection guarantees by its _id index has to be checked for a view.
 * False for a document that was done before.
 */
static bool
check_view_document(LoadSource *source, const bson_t *document)
{
	LoadSession *session = source->session;
	bson_iter_t id;
	bytea	   *key;
	MemoryContext old;

	if (!bson_iter_init_find(&id, document, "_id") || BSON_ITER_HOLDS_ARRAY(&id))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("a document of view \"%s\" of server \"%s\" has no _id that could identify it",
						session->collection, NameStr(session->server)),
				 errhint("Let the view give each document a unique _id that is not an array.")));
	old = MemoryContextSwitchTo(source->context);
	key = key_bytes(&id);
	MemoryContextSwitchTo(old);
	if (source->last_key != NULL && key_compare(key, source->last_key) == 0)
	{
		pfree(key);
		if (source->first)
			return false;
		ereport(ERROR,
				(errcode(ERRCODE_UNIQUE_VIOLATION),
				 errmsg("two documents of view \"%s\" of server \"%s\" have _id %s",
						session->collection, NameStr(session->server), json_preview_id(document)),
				 errhint("Let the view give each document a unique _id.")));
	}
	if (source->last_key != NULL)
		pfree(source->last_key);
	source->last_key = key;
	return true;
}

/* Whether a document of a collection was done before. */
static bool
seen_before(LoadSource *source, const bson_t *document)
{
	bson_iter_t id;
	bool		seen = false;

	if (source->first && source->last_key != NULL)
	{
		bytea	   *key = document_key(document);

		seen = key != NULL && key_compare(key, source->last_key) == 0;
		if (key != NULL)
			pfree(key);
	}
	if (source->tail || source->at_max)
	{
		bool		at_max = bson_iter_init_find(&id, document, "_id") && BSON_ITER_HOLDS_MAXKEY(&id);

		seen |= at_max && source->at_max;
		source->at_max |= at_max;
	}
	return seen;
}

/*
 * The next document, lent until the next call; NULL when there are no more.
 * Each document given has to be added to the batch before the next call.
 */
const bson_t *
source_next(LoadSource *source)
{
	while (source->cursor != NULL)
	{
		bool		lost = false;
		bool		wanted;
		const bson_t *document = source->first ? mongo_cursor_next(source->cursor) :
			mongo_cursor_next_or_lost(source->cursor, &lost);

		if (lost)
		{
			reopen(source);
			continue;
		}
		if (document == NULL)
		{
			mongo_cursor_close(source->cursor);
			source->cursor = NULL;
			if (source->tail)
				find_tail(source);
			continue;
		}
		wanted = source->view ? check_view_document(source, document) :
			!seen_before(source, document);
		source->first = false;
		if (wanted)
			return document;
	}
	return NULL;
}

/*
 * A find, in the current context, of the documents whose _id is in an array, as
 * far as a filter, which may be NULL, matches them: of them or of their _id alone.
 */
MongoCursor *
source_find(LoadSession *session, const bson_t *ids, const bson_t *filter, bool id_alone)
{
	bson_t	   *in = owned_bson_new(CurrentMemoryContext);
	bson_t	   *opts = owned_bson_new(CurrentMemoryContext);

	BCON_APPEND(in, "$in", BCON_ARRAY(ids));
	if (id_alone)
		BCON_APPEND(opts, "projection", "{", "_id", BCON_INT32(1), "}");
	append_options(session, opts);
	return mongo_find(session->connection, session->collection, filter_and(in, filter), opts,
					  CurrentMemoryContext);
}

typedef struct MatchKey
{
	bytea	   *key;
	int			document;
} MatchKey;

static int
compare_match_keys(const void *a, const void *b)
{
	return key_compare(((const MatchKey *) a)->key, ((const MatchKey *) b)->key);
}

/*
 * Has the server say which documents of the batch a branch's filter matches,
 * into branch->matches.
 */
void
source_match(LoadBranch *branch)
{
	LoadSession *session = branch->session;
	bson_t	   *ids = owned_bson_new(CurrentMemoryContext);
	MatchKey   *keys = palloc(session->ndocuments * sizeof(MatchKey));
	int			nkeys = 0;
	bson_t		bson;
	bson_iter_t id;
	MongoCursor *cursor;
	const bson_t *document;

	for (int i = 0; i < session->ndocuments; i++)
	{
		if (!bson_iter_init_find(&id, document_bson(&session->documents[i], &bson), "_id"))
			continue;
		keys[nkeys].key = key_bytes(&id);
		keys[nkeys++].document = i;
		bson_append_iter(ids, psprintf("%d", i), -1, &id);
	}
	qsort(keys, nkeys, sizeof(MatchKey), compare_match_keys);
	branch->matches = palloc0(session->ndocuments * sizeof(bool));
	cursor = source_find(session, ids, branch->filter, true);
	while ((document = mongo_cursor_next(cursor)) != NULL)
	{
		MatchKey	wanted = {.key = document_key(document)};
		MatchKey   *match = wanted.key == NULL ? NULL :
			bsearch(&wanted, keys, nkeys, sizeof(MatchKey), compare_match_keys);

		if (match != NULL)
			branch->matches[match->document] = true;
	}
	mongo_cursor_close(cursor);
}

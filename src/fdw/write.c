/*
 * write.c
 *	  Documents and updates to MongoDB, in the transaction of the local one.
 *
 * A batch holds operations of one kind and sends them as bulk, one command for
 * as many as MongoDB takes.  It has a context of its own, which is reset when the
 * operations are sent.  The first failure is thrown, with the _id it is about.
 */
#include "postgres.h"
#include "compat.h"

#include "access/xact.h"
#include "bson/json.h"
#include "bson/key.h"
#include "error.h"
#include "fdw/match.h"
#include "fdw/modify.h"
#include "miscadmin.h"
#include "owned.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

/* Bytes of operations that are held at most, about. */
#define BATCH_BYTES (16 * 1024 * 1024)

typedef struct WriteOperation
{
	const bson_t *selector;		/* of an insert the document */
	const bson_t *update;
	bool		replaces;
} WriteOperation;

struct WriteBatch
{
	MongoConnection *connection;
	const char *collection;
	CmdType		kind;
	bool		many;			/* selectors match many documents, ... */
	bool		simple_collation;	/* ... by this collation */
	MemoryContext context;		/* the operations */
	List	   *operations;
	size_t		bytes;
	int			level;			/* the subtransaction that they are of */
};

/* For owned_register(). */
static void
destroy_bulk(void *object)
{
	mongoc_bulk_operation_destroy((mongoc_bulk_operation_t *) object);
}

/* An empty batch, with a context of its own below parent. */
WriteBatch *
write_batch_create(MongoConnection *connection, const char *collection, CmdType kind,
				   MemoryContext parent)
{
	WriteBatch *batch = MemoryContextAllocZero(parent, sizeof(WriteBatch));

	batch->connection = connection;
	batch->collection = MemoryContextStrdup(parent, collection);
	batch->kind = kind;
	batch->context = AllocSetContextCreate(parent, "mongo write batch", ALLOCSET_DEFAULT_SIZES);
	return batch;
}

/* A copy of a document in the batch. */
static const bson_t *
batch_copy(WriteBatch *batch, const bson_t *document)
{
	bson_t	   *copy;

	if (document == NULL)
		return NULL;
	copy = owned_bson_new(CurrentMemoryContext);
	bson_concat(copy, document);
	batch->bytes += document->len;
	return copy;
}

/* Adds an operation; see modify.h. */
void
write_batch_add(WriteBatch *batch, const bson_t *selector, const bson_t *update, bool replaces)
{
	MemoryContext old = MemoryContextSwitchTo(batch->context);
	WriteOperation *operation = palloc(sizeof(WriteOperation));

	operation->selector = batch_copy(batch, selector);
	operation->update = batch_copy(batch, update);
	operation->replaces = replaces;
	batch->operations = lappend(batch->operations, operation);
	batch->level = GetCurrentTransactionNestLevel();
	MemoryContextSwitchTo(old);
}

/* Says that selectors match many documents; see modify.h. */
void
write_batch_many(WriteBatch *batch, bool simple_collation)
{
	batch->many = true;
	batch->simple_collation = simple_collation;
}

int
write_batch_count(const WriteBatch *batch)
{
	return list_length(batch->operations);
}

/* Is it time to send the operations? */
bool
write_batch_is_full(const WriteBatch *batch, int size)
{
	return list_length(batch->operations) >= size || batch->bytes >= BATCH_BYTES;
}

/* What is done, for messages. */
static char *
doing(CmdType kind, const WriteOperation *operation, MongoConnection *connection,
	  const char *collection)
{
	static const char *const verbs[] = {
		[CMD_INSERT] = "inserting",[CMD_UPDATE] = "updating",[CMD_DELETE] = "deleting"
	};

	return psprintf("%s %s%s%scollection \"%s.%s\" of server \"%s\"", verbs[kind],
					operation != NULL ? "the document with _id " : "documents",
					operation != NULL ? json_preview_id(operation->selector) : "",
					kind == CMD_INSERT ? " into " : kind == CMD_UPDATE ? " in " : " from ",
					mongo_connection_database(connection), collection,
					mongo_connection_server(connection));
}

/* The _id of the document that did not pass the collection's validator, as a selector, or NULL. */
static const bson_t *
failing_document(const bson_iter_t *error_info)
{
	bson_iter_t field;
	bson_t	   *selector;

	if (!BSON_ITER_HOLDS_DOCUMENT(error_info) || !bson_iter_recurse(error_info, &field) ||
		!bson_iter_find(&field, "failingDocumentId"))
		return NULL;
	selector = owned_bson_new(CurrentMemoryContext);
	bson_append_iter(selector, "_id", -1, &field);
	return selector;
}

/* Throws for a batch that failed: the first operation that did, or the command as a whole. */
static void
throw_failure(WriteBatch *batch, const bson_t *reply, bson_error_t *error)
{
	const WriteOperation *operation = NULL;
	WriteOperation invalid = {0};
	bson_iter_t field;

	if (mongo_find_failure(reply, "writeErrors", error, &field))
		while (bson_iter_next(&field))
		{
			if (strcmp(bson_iter_key(&field), "index") == 0 && bson_iter_as_int64(&field) >= 0 &&
				bson_iter_as_int64(&field) < list_length(batch->operations))
				operation = list_nth(batch->operations, (int) bson_iter_as_int64(&field));
			else if (strcmp(bson_iter_key(&field), "errInfo") == 0)
				invalid.selector = failing_document(&field);
		}
	if (operation == NULL && list_length(batch->operations) == 1)
		operation = linitial(batch->operations);
	if (batch->many)
		operation = invalid.selector != NULL ? &invalid : NULL;
	mongo_throw(error, reply, doing(batch->kind, operation, batch->connection, batch->collection));
}

/*
 * Hands an operation to the driver, with options for documents and for those
 * with a selector.
 */
static bool
append_operation(WriteBatch *batch, mongoc_bulk_operation_t *bulk, const WriteOperation *operation,
				 const bson_t *whole, const bson_t *selected, bson_error_t *error)
{
	switch (batch->kind)
	{
		case CMD_INSERT:
			return mongoc_bulk_operation_insert_with_opts(bulk, operation->selector, whole, error);
		case CMD_DELETE:
			return mongoc_bulk_operation_remove_many_with_opts(bulk, operation->selector, selected, error);
		default:
			if (operation->replaces)
				return mongoc_bulk_operation_replace_one_with_opts(bulk, operation->selector,
																   operation->update, whole, error);
			return mongoc_bulk_operation_update_many_with_opts(bulk, operation->selector,
															   operation->update, selected, error);
	}
}

/* A counter of a bulk operation's reply. */
static int64
reply_count(const bson_t *reply, const char *name)
{
	bson_iter_t iter;

	return bson_iter_init_find(&iter, reply, name) ? bson_iter_as_int64(&iter) : 0;
}

/* Sends the operations; returns how many documents were found for them. */
int64
write_batch_send(WriteBatch *batch)
{
	static const char *const counters[] = {
		[CMD_INSERT] = "nInserted",[CMD_UPDATE] = "nMatched",[CMD_DELETE] = "nRemoved"
	};
	MongoConnection *connection = batch->connection;
	mongoc_client_t *client = mongo_connection_client(connection);
	MemoryContext old;
	mongoc_collection_t *collection;
	mongoc_bulk_operation_t *bulk;
	bson_t	   *reply;
	bson_t	   *opts;
	bson_t	   *whole;
	bson_t	   *selected;
	bson_t		driver_reply;
	bson_error_t error = {0};
	bool		ok = true;
	int64		result;
	ListCell   *lc;

	if (batch->operations == NIL)
		return 0;
	mongo_transaction_write(connection, batch->level);
	old = MemoryContextSwitchTo(batch->context);
	opts = owned_bson_new(batch->context);
	mongo_transaction_append(connection, opts);
	collection = mongoc_client_get_collection(client, mongo_connection_database(connection),
											  mongo_utf8(batch->collection));
	bulk = mongoc_collection_create_bulk_operation_with_opts(collection, opts);
	mongoc_collection_destroy(collection);
	owned_register(batch->context, bulk, destroy_bulk);
	reply = owned_bson_new(batch->context);
	/* The driver also refuses fields without a name, which MongoDB takes. */
	whole = owned_bson_new(batch->context);
	BSON_APPEND_INT32(whole, "validate", BSON_VALIDATE_UTF8 | BSON_VALIDATE_UTF8_ALLOW_NULL);
	selected = owned_bson_new(batch->context);
	if (batch->kind == CMD_UPDATE)
		bson_concat(selected, whole);
	if (batch->simple_collation)
		match_append_simple_collation(selected);
	foreach(lc, batch->operations)
	{
		ok = append_operation(batch, bulk, lfirst(lc), whole, selected, &error);
		if (!ok)
			mongo_throw(&error, NULL, doing(batch->kind, lfirst(lc), connection, batch->collection));
	}
	ok = mongoc_bulk_operation_execute(bulk, &driver_reply, &error) != 0;
	bson_concat(reply, &driver_reply);
	bson_destroy(&driver_reply);
	if (!ok)
	{
		mongo_connection_check(connection);
		throw_failure(batch, reply, &error);
	}
	result = reply_count(reply, counters[batch->kind]);
	MemoryContextSwitchTo(old);
	MemoryContextReset(batch->context);
	batch->operations = NIL;
	batch->bytes = 0;
	return result;
}

/* Finds the _id of a document; all documents that are written have one. */
static void
find_id(bson_iter_t *iter, const bson_t *document)
{
	if (!bson_iter_init_find(iter, document, "_id"))
		elog(ERROR, "document without _id");
}

/* Keys of _id, by their hash. */
typedef struct KeyEntry
{
	uint64		hash;
	List	   *keys;			/* StringInfos */
} KeyEntry;

static HTAB *
keys_create(void)
{
	HASHCTL		control = {
		.keysize = sizeof(uint64),
		.entrysize = sizeof(KeyEntry),
		.hcxt = CurrentMemoryContext
	};

	return hash_create("keys of _id", 1024, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* Adds the key of a document's _id; false when it is there. */
static bool
add_key(HTAB *keys, const bson_t *document)
{
	StringInfo	key = makeStringInfo();
	KeyEntry   *entry;
	uint64		hash;
	bool		found;
	bson_iter_t iter;
	ListCell   *lc;

	find_id(&iter, document);
	key_append(key, &iter);
	hash = key_hash(key->data, key->len);
	entry = hash_search(keys, &hash, HASH_ENTER, &found);
	if (!found)
		entry->keys = NIL;
	foreach(lc, entry->keys)
	{
		StringInfo	other = lfirst(lc);

		if (other->len == key->len && memcmp(other->data, key->data, key->len) == 0)
			return false;
	}
	entry->keys = lappend(entry->keys, key);
	return true;
}

/* Which of the documents have an _id that is new; see modify.h. */
bool *
write_find_new(MongoConnection *connection, const char *collection, List *documents)
{
	bool	   *result = palloc(list_length(documents) * sizeof(bool));
	bson_t	   *opts = owned_bson_new(CurrentMemoryContext);
	HTAB	   *keys = keys_create();
	List	   *ids = NIL;
	MongoCursor *cursor;
	const bson_t *document;
	ListCell   *lc;

	mongo_transaction_begin(connection);
	foreach(lc, documents)
	{
		bson_value_t *id = palloc(sizeof(bson_value_t));
		bson_iter_t iter;

		find_id(&iter, lfirst(lc));
		*id = *bson_iter_value(&iter);
		ids = lappend(ids, id);
	}
	BCON_APPEND(opts, "projection", "{", "_id", BCON_INT32(1), "}");
	cursor = mongo_find(connection, collection, match_list("_id", "$in", ids), opts,
						CurrentMemoryContext);
	while ((document = mongo_cursor_next(cursor)) != NULL)
		add_key(keys, document);
	mongo_cursor_close(cursor);
	foreach(lc, documents)
		result[foreach_current_index(lc)] = add_key(keys, lfirst(lc));
	return result;
}

/* Updates or deletes one document and returns it; see modify.h. */
bson_t *
write_one(MongoConnection *connection, const char *collection, const bson_t *selector,
		  const bson_t *update)
{
	bson_t	   *command = owned_bson_new(CurrentMemoryContext);
	bson_t	   *opts = owned_bson_new(CurrentMemoryContext);
	bson_t	   *reply = owned_bson_new(CurrentMemoryContext);
	WriteOperation operation = {.selector = selector};
	bson_t		driver_reply;
	bson_error_t error;
	bson_iter_t iter;
	bson_t		value;
	uint32_t	length;
	const uint8_t *data;
	bool		ok;

	bson_append_utf8(command, "findAndModify", -1, mongo_utf8(collection), -1);
	bson_append_document(command, "query", -1, selector);
	if (update != NULL)
	{
		bson_append_document(command, "update", -1, update);
		bson_append_bool(command, "new", -1, true);
	}
	else
		bson_append_bool(command, "remove", -1, true);
	mongo_transaction_write(connection, GetCurrentTransactionNestLevel());
	mongo_transaction_append(connection, opts);
	ok = mongoc_client_write_command_with_opts(mongo_connection_client(connection),
											   mongo_connection_database(connection),
											   command, opts, &driver_reply, &error);
	bson_concat(reply, &driver_reply);
	bson_destroy(&driver_reply);
	if (!ok)
	{
		mongo_connection_check(connection);
		mongo_throw(&error, reply, doing(update != NULL ? CMD_UPDATE : CMD_DELETE, &operation,
										 connection, collection));
	}
	if (!bson_iter_init_find(&iter, reply, "value") || !BSON_ITER_HOLDS_DOCUMENT(&iter))
		return NULL;
	bson_iter_document(&iter, &length, &data);
	if (!bson_init_static(&value, data, length))
		elog(ERROR, "could not take a document out of a reply");
	return owned_bson(CurrentMemoryContext, bson_copy(&value));
}

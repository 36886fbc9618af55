/*
 * write.c
 *	  The documents that write-back reads, and writes.
 *
 * Both ways they are canonical Extended JSON as the extension itself prints and
 * reads it, because all must come back as it was: libbson's reader takes a
 * document {"$oid": ...} for an ObjectId, and PostgreSQL's encoding may lack
 * characters.
 */
#include "postgres.h"
#include "compat.h"

#include "access/htup_details.h"
#include "bson/field.h"
#include "bson/json.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "mongo/cluster_time.h"
#include "mongo/cursor.h"
#include "mongo/options.h"
#include "owned.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(mm_read_documents);
PG_FUNCTION_INFO_V1(mm_send_writes);

/* Bytes of writes in a command; the server takes 16 MB and a little, which one document may need. */
#define COMMAND_BYTES (8 * 1024 * 1024)

typedef struct Writer
{
	MongoConnection *connection;
	const char *kind;			/* insert, update or delete */
	const char *collection;
	MemoryContext context;		/* reset after each command */
	bson_t	   *items;			/* of the next command */
	int			nitems;
	int64		written;		/* documents, as the server counts them */
	int64		cluster_time;
} Writer;

/* The document in a json argument, which the current context owns. */
static bson_t *
read_document(text *json)
{
	const char *detail;
	bson_iter_t field;

	if (field_read(json, &field, &detail) != CONVERT_OK || !BSON_ITER_HOLDS_DOCUMENT(&field))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("a document is no Extended JSON"),
				 detail == NULL ? 0 : errdetail("%s", detail)));
	return field_document(&field);
}

/* A value as canonical Extended JSON; false where it has none, such as a string that is no UTF-8. */
static bool
json_of(const bson_iter_t *value, const bson_t *document, Datum *result, ConvertStatus *status)
{
	StringInfoData json;

	initStringInfo(&json);
	*status = value != NULL ? json_append_value(&json, value, JSON_CANONICAL) :
		json_append_document(&json, document, JSON_CANONICAL);
	*result = PointerGetDatum(cstring_to_text_with_len(json.data, json.len));
	return *status == CONVERT_OK;
}

/*
 * read_documents(server, collection, filter, options json, max_bytes bigint)
 * returns table (id json, document json, problem text)
 */
Datum
mm_read_documents(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	MongoConnection *connection = mongo_connect(mongo_server_oid(NameStr(*PG_GETARG_NAME(0))), GetUserId());
	int64		max_bytes = PG_GETARG_INT64(4);
	int64		bytes = 0;
	MemoryContext per_document = AllocSetContextCreate(CurrentMemoryContext, "document",
													   ALLOCSET_DEFAULT_SIZES);
	MongoCursor *cursor;
	const bson_t *document;

	InitMaterializedSRF(fcinfo, 0);
	cursor = mongo_find(connection, text_to_cstring(PG_GETARG_TEXT_PP(1)),
						read_document(PG_GETARG_TEXT_PP(2)), read_document(PG_GETARG_TEXT_PP(3)),
						CurrentMemoryContext);
	while ((document = mongo_cursor_next(cursor)) != NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(per_document);
		ConvertStatus status;
		bson_iter_t id;
		Datum		values[3] = {0};
		bool		nulls[3] = {false, false, true};

		if (!bson_iter_init_find(&id, document, "_id") || !json_of(&id, NULL, &values[0], &status))
			nulls[0] = true;
		if (!json_of(NULL, document, &values[1], &status))
		{
			nulls[1] = true;
			nulls[2] = false;
			values[2] = CStringGetTextDatum(status == CONVERT_TOO_DEEP ? "the document is nested too deep" :
											"the document has a string that is not valid UTF-8");
		}
		MemoryContextSwitchTo(old);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
		MemoryContextReset(per_document);
		CHECK_FOR_INTERRUPTS();
		if (max_bytes > 0 && bytes > 0 && bytes + document->len >= max_bytes)
			break;
		bytes += document->len;
	}
	mongo_cursor_close(cursor);
	return (Datum) 0;
}

/* Begins a command. */
static void
begin_command(Writer *writer)
{
	MemoryContext old = MemoryContextSwitchTo(writer->context);

	writer->items = owned_bson_new(writer->context);
	writer->nitems = 0;
	MemoryContextSwitchTo(old);
}

/* Sends what has been gathered, waits until a majority has it, and takes the time of the cluster. */
static void
send_command(Writer *writer)
{
	MemoryContext old = MemoryContextSwitchTo(writer->context);
	bson_t	   *command = owned_bson_new(writer->context);
	const bson_t *reply;
	bson_t		concern;
	bson_iter_t iter;

	bson_append_utf8(command, writer->kind, -1, writer->collection, -1);
	bson_append_array(command, strcmp(writer->kind, "insert") == 0 ? "documents" :
					  strcmp(writer->kind, "update") == 0 ? "updates" : "deletes", -1, writer->items);
	bson_append_bool(command, "ordered", -1, false);
	bson_append_document_begin(command, "writeConcern", -1, &concern);
	bson_append_utf8(&concern, "w", -1, "majority", -1);
	bson_append_document_end(command, &concern);
	reply = mongo_command(writer->connection, command, writer->context);
	if (bson_iter_init_find(&iter, reply, "n"))
		writer->written += bson_iter_as_int64(&iter);
	if (bson_iter_init_find(&iter, reply, "operationTime") && BSON_ITER_HOLDS_TIMESTAMP(&iter))
		writer->cluster_time = Max(writer->cluster_time, cluster_time_get(&iter));
	MemoryContextSwitchTo(old);
	MemoryContextReset(writer->context);
}

/* How many fields of a document have a name. */
static int
count_fields(const bson_t *document, const char *name)
{
	bson_iter_t iter;
	int			count = 0;

	for (bson_iter_init(&iter, document); bson_iter_find(&iter, name);)
		count++;
	return count;
}

/*
 * Gathers the fields that a document is to have otherwise, or more than now;
 * false where others go, or move, so that they are not all there is to say.
 */
static bool
gather_changes(const bson_t *now, const bson_t *wanted, bson_t *changes)
{
	bson_iter_t before;
	bson_iter_t after;
	bool		more;

	bson_iter_init(&before, now);
	bson_iter_init(&after, wanted);
	while (bson_iter_next(&before))
	{
		if (!bson_iter_next(&after) || strcmp(bson_iter_key(&before), bson_iter_key(&after)) != 0)
			return false;
		if (field_equals(&before, &after))
			continue;
		if (count_fields(now, bson_iter_key(&before)) > 1)
			return false;
		bson_append_iter(changes, bson_iter_key(&after), -1, &after);
	}
	for (more = bson_iter_next(&after); more; more = bson_iter_next(&after))
	{
		if (count_fields(wanted, bson_iter_key(&after)) > 1)
			return false;
		bson_append_iter(changes, bson_iter_key(&after), -1, &after);
	}
	return true;
}

/*
 * Appends the pipeline that makes a document of the one that is there now.  The
 * fields stand in it as literals: a replacement as such has none that begin
 * with $, and gets the server's time for an empty timestamp.  What has not
 * changed is not sent, and stays as it is.
 */
static void
append_pipeline(bson_t *item, const bson_t *now, const bson_t *wanted)
{
	bson_t	   *changes = owned_bson_new(CurrentMemoryContext);
	bson_t		pipeline;
	bson_t		stage;
	bson_t		operator;
	bson_t		operands;
	bson_t		literal;

	bson_append_array_begin(item, "u", 1, &pipeline);
	bson_append_document_begin(&pipeline, "0", 1, &stage);
	bson_append_document_begin(&stage, "$replaceWith", -1, &operator);
	if (gather_changes(now, wanted, changes))
	{
		bson_append_array_begin(&operator, "$mergeObjects", -1, &operands);
		bson_append_utf8(&operands, "0", 1, "$$ROOT", -1);
		bson_append_document_begin(&operands, "1", 1, &literal);
		bson_append_document(&literal, "$literal", -1, changes);
		bson_append_document_end(&operands, &literal);
		bson_append_array_end(&operator, &operands);
	}
	else
		bson_append_document(&operator, "$literal", -1, wanted);
	bson_append_document_end(&stage, &operator);
	bson_append_document_end(&pipeline, &stage);
	bson_append_array_end(item, &pipeline);
}

/* Appends a write; see send_writes(). */
static void
append_write(Writer *writer, text *old_json, text * new_json)
{
	bson_t	   *now = old_json == NULL ? NULL : read_document(old_json);
	bson_t	   *wanted = new_json == NULL ? NULL : read_document(new_json);
	bson_t		item;
	bson_t		inner;
	bson_iter_t id;
	const char *position;
	char		buffer[16];
	int			length;

	if (now == NULL && wanted == NULL)
		elog(ERROR, "a write has no document");
	if (writer->nitems > 0 &&
		writer->items->len + (wanted != NULL ? wanted->len : 0) > COMMAND_BYTES)
	{
		send_command(writer);
		begin_command(writer);
		/* What was read is gone with the context. */
		now = old_json == NULL ? NULL : read_document(old_json);
		wanted = new_json == NULL ? NULL : read_document(new_json);
	}
	length = bson_uint32_to_string(writer->nitems++, &position, buffer, sizeof(buffer));
	if (now == NULL)
	{
		if (!bson_append_document(writer->items, position, length, wanted))
			ereport(ERROR,
					(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
					 errmsg("the document is too large")));
		return;
	}
	if (!bson_iter_init_find(&id, now, "_id"))
		elog(ERROR, "a document has no _id");
	bson_append_document_begin(writer->items, position, length, &item);
	bson_append_document_begin(&item, "q", 1, &inner);
	bson_append_iter(&inner, "_id", 3, &id);
	bson_append_document_end(&item, &inner);
	if (wanted == NULL)
		bson_append_int32(&item, "limit", -1, 1);
	else
		append_pipeline(&item, now, wanted);
	bson_append_document_end(writer->items, &item);
}

/*
 * send_writes(server name, collection text, kind text, present json[],
 * wanted json[], OUT written bigint, OUT cluster_time bigint)
 */
Datum
mm_send_writes(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	char	   *collection = text_to_cstring(PG_GETARG_TEXT_PP(1));
	Writer		writer = {0};
	Datum	   *present;
	Datum	   *wanted;
	bool	   *present_nulls;
	bool	   *wanted_nulls;
	int			npresent;
	int			nwanted;
	TupleDesc	desc;
	Datum		values[2];
	bool		nulls[2] = {false, false};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(3), JSONOID, -1, false, TYPALIGN_INT,
					  &present, &present_nulls, &npresent);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(4), JSONOID, -1, false, TYPALIGN_INT,
					  &wanted, &wanted_nulls, &nwanted);
	if (npresent != nwanted)
		elog(ERROR, "%d documents for %d", nwanted, npresent);
	if (npresent > 0)
	{
		writer.connection = mongo_connect(mongo_server_oid(NameStr(*PG_GETARG_NAME(0))), GetUserId());
		writer.kind = text_to_cstring(PG_GETARG_TEXT_PP(2));
		writer.collection = pg_server_to_any(collection, strlen(collection), PG_UTF8);
		writer.context = AllocSetContextCreate(caller, "writes", ALLOCSET_DEFAULT_SIZES);
		MemoryContextSwitchTo(writer.context);
		begin_command(&writer);
		for (int i = 0; i < npresent; i++)
		{
			append_write(&writer, present_nulls[i] ? NULL : DatumGetTextPP(present[i]),
						 wanted_nulls[i] ? NULL : DatumGetTextPP(wanted[i]));
			CHECK_FOR_INTERRUPTS();
		}
		send_command(&writer);
		MemoryContextSwitchTo(caller);
		MemoryContextDelete(writer.context);
	}
	values[0] = Int64GetDatum(writer.written);
	values[1] = Int64GetDatum(writer.cluster_time);
	return HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls));
}

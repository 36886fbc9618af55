/*
 * chunk.c
 *	  A sample of a collection's _id values in MongoDB's order.
 *
 * Only the server knows its order of mixed types and compound keys, so it
 * sorts; the values come back as the BSON that bounds of ranges are made of.
 */
#include "postgres.h"
#include "compat.h"

#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "mongo/cursor.h"
#include "mongo/options.h"
#include "owned.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(mm_sample_ids);

/*
 * sample_ids(server name, collection text, sample_size integer) returns setof bytea
 */
Datum
mm_sample_ids(PG_FUNCTION_ARGS)
{
	const char *server = NameStr(*PG_GETARG_NAME(0));
	const char *collection = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int32		size = PG_GETARG_INT32(2);
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	bson_t	   *pipeline = owned_bson_new(CurrentMemoryContext);
	bson_t	   *options = owned_bson_new(CurrentMemoryContext);
	MongoCursor *cursor;
	const bson_t *document;

	BCON_APPEND(pipeline,
				"pipeline", "[",
				"{", "$sample", "{", "size", BCON_INT32(size), "}", "}",
				"{", "$project", "{", "_id", BCON_INT32(1), "}", "}",
				"{", "$sort", "{", "_id", BCON_INT32(1), "}", "}",
				"]");
	BSON_APPEND_BOOL(options, "allowDiskUse", true);

	InitMaterializedSRF(fcinfo, MAT_SRF_USE_EXPECTED_DESC);
	cursor = mongo_aggregate(mongo_connect(mongo_server_oid(server), GetUserId()),
							 collection, pipeline, options, CurrentMemoryContext);
	while ((document = mongo_cursor_next(cursor)) != NULL)
	{
		Datum		value;
		bool		null = false;
		bytea	   *bytes = palloc(VARHDRSZ + document->len);

		SET_VARSIZE(bytes, VARHDRSZ + document->len);
		memcpy(VARDATA(bytes), bson_get_data(document), document->len);
		value = PointerGetDatum(bytes);
		tuplestore_putvalues(result->setResult, result->setDesc, &value, &null);
		pfree(bytes);
	}
	mongo_cursor_close(cursor);
	return (Datum) 0;
}

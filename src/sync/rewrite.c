/*
 * rewrite.c
 *	  What write-back makes documents of: values of rows as fields.
 *
 * Documents and values are canonical Extended JSON here, because SQL puts them
 * together (write_back.sql).  Whatever a row says nothing of stays as the
 * document has it: other fields, their order, and the BSON type of a value that
 * means what the row's does.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/document_path.h"
#include "bson/encode.h"
#include "bson/json.h"
#include "bson/json_read.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "nodes/nodeFuncs.h"
#include "owned.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(mm_written_value);
PG_FUNCTION_INFO_V1(mm_set_fields);
PG_FUNCTION_INFO_V1(mm_set_map);

/* What a call of written_value() with a column of a type needs; lives as long as the statement. */
typedef struct ValueWriter
{
	Converter  *converter;		/* from the document's value to the column's */
	FmgrInfo	equals;			/* of the column's type; fn_oid invalid: none */
	Encoder   **encoders;		/* to the BSON types that the field has had,
								 * and last the usual one */
	int			nencoders;
	int16		typlen;
	bool		typbyval;
} ValueWriter;

/* The value in a json argument as the field v of a document that the current context owns. */
static void
read_value(text *json, bson_iter_t *value)
{
	bson_t	   *document = owned_bson_new(CurrentMemoryContext);
	char	   *string = text_to_cstring(json);
	const char *utf8 = pg_server_to_any(string, strlen(string), PG_UTF8);
	const char *detail = NULL;
	ConvertStatus status = json_read_value(utf8, strlen(utf8), document, "v", 1, &detail);

	if (status != CONVERT_OK || !bson_iter_init_find(value, document, "v"))
		ereport(ERROR,
				(errcode(convert_sqlstate(status)),
				 errmsg("a value is no Extended JSON"),
				 detail == NULL ? 0 : errdetail("%s", detail)));
}

/* A value as canonical Extended JSON. */
static Datum
json_datum(const bson_iter_t *value)
{
	StringInfoData json;
	ConvertStatus status;

	initStringInfo(&json);
	status = json_append_value(&json, value, JSON_CANONICAL);
	if (status != CONVERT_OK)
		ereport(ERROR,
				(errcode(convert_sqlstate(status)),
				 errmsg("a value has no Extended JSON")));
	return PointerGetDatum(cstring_to_text_with_len(json.data, json.len));
}

/* Whether a column's NULL means it. */
static bool
is_null(const bson_iter_t *value)
{
	return BSON_ITER_HOLDS_NULL(value) || BSON_ITER_HOLDS_UNDEFINED(value);
}

/* Makes the writer of a column's values. */
static ValueWriter *
create_writer(FunctionCallInfo fcinfo)
{
	ValueWriter *writer = palloc0(sizeof(ValueWriter));
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 1);
	Node	   *call = (Node *) fcinfo->flinfo->fn_expr;
	int32		typmod = call != NULL && IsA(call, FuncExpr) ?
		exprTypmod(list_nth(((FuncExpr *) call)->args, 1)) : -1;
	Datum	   *words;
	int			nwords;

	/* Values that a migration has rounded stay in the document as they are. */
	writer->converter = converter_create(type, typmod,
										 json_mode_parse(text_to_cstring(PG_GETARG_TEXT_PP(3))), true);
	writer->equals.fn_oid = InvalidOid;
	if (OidIsValid(lookup_type_cache(type, TYPECACHE_EQ_OPR_FINFO)->eq_opr_finfo.fn_oid))
		fmgr_info(lookup_type_cache(type, TYPECACHE_EQ_OPR_FINFO)->eq_opr_finfo.fn_oid, &writer->equals);
	get_typlenbyval(type, &writer->typlen, &writer->typbyval);

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), TEXTOID, -1, false, TYPALIGN_INT, &words, NULL, &nwords);
	writer->encoders = palloc((nwords + 1) * sizeof(Encoder *));
	for (int i = 0; i < nwords; i++)
	{
		char	   *word = TextDatumGetCString(words[i]);

		if (encoder_takes(type, word))
			writer->encoders[writer->nencoders++] = encoder_create(type, word);
	}
	writer->encoders[writer->nencoders++] = encoder_create(type, NULL);
	return writer;
}

/* A time to the millisecond, which is what BSON has of it. */
static Datum
whole_milliseconds(Oid type, Datum value)
{
	Timestamp	timestamp;
	int64		rest;

	if (type != TIMESTAMPTZOID && type != TIMESTAMPOID)
		return value;
	timestamp = DatumGetTimestamp(value);
	rest = timestamp % 1000;
	if (TIMESTAMP_NOT_FINITE(timestamp) || rest == 0)
		return value;
	return TimestampGetDatum(timestamp - rest - (rest < 0 ? 1000 : 0));
}

/* Whether the document's value would become the column's. */
static bool
same_value(ValueWriter *writer, const bson_iter_t *present, Datum value, Datum whole)
{
	Datum		converted;

	if (is_null(present) ||
		writer->converter->convert(writer->converter, present, &converted) != CONVERT_OK)
		return false;
	if (!OidIsValid(writer->equals.fn_oid))
		return datum_image_eq(converted, value, writer->typbyval, writer->typlen);
	return DatumGetBool(FunctionCall2Coll(&writer->equals, C_COLLATION_OID, converted, value)) ||
		DatumGetBool(FunctionCall2Coll(&writer->equals, C_COLLATION_OID, converted, whole));
}

/*
 * Encodes a value as the first of the BSON types that hold it exactly: that
 * which the document has, if the field has had it when the plan was made, and
 * then the others.
 */
static Datum
encode_first(ValueWriter *writer, Datum value, bson_type_t preferred)
{
	ConvertStatus status = CONVERT_OK;
	Encoder    *encoder = NULL;
	const char *hint;

	for (int i = 0; i < 2 * writer->nencoders; i++)
	{
		bson_t	   *document;
		bson_iter_t iter;

		encoder = writer->encoders[i % writer->nencoders];
		if (i < writer->nencoders && encoder->target != preferred)
			continue;
		document = owned_bson_new(CurrentMemoryContext);
		status = encoder->encode(encoder, value, document, "v", 1);
		if (status == CONVERT_OK && bson_iter_init_find(&iter, document, "v"))
			return json_datum(&iter);
	}
	hint = encode_hint(status, encoder);
	ereport(ERROR,
			(errcode(convert_sqlstate(status)),
			 errmsg("%s", encode_message(status, encoder, value)),
			 hint == NULL ? 0 : errhint("%s", hint)));
}

/*
 * written_value(present json, stored anyelement, bson_types text[], mode text,
 * absent boolean) returns json
 */
Datum
mm_written_value(PG_FUNCTION_ARGS)
{
	ValueWriter *writer = fcinfo->flinfo->fn_extra;
	bson_iter_t present;
	Datum		value;

	if (writer == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);

		fcinfo->flinfo->fn_extra = writer = create_writer(fcinfo);
		MemoryContextSwitchTo(old);
	}
	if (!PG_ARGISNULL(0))
		read_value(PG_GETARG_TEXT_PP(0), &present);
	if (PG_ARGISNULL(1))
	{
		if (PG_ARGISNULL(0) || is_null(&present))
		{
			if (PG_ARGISNULL(0))
				PG_RETURN_NULL();
			PG_RETURN_DATUM(PG_GETARG_DATUM(0));
		}
		if (PG_GETARG_BOOL(4))
			PG_RETURN_NULL();
		PG_RETURN_TEXT_P(cstring_to_text("null"));
	}
	value = whole_milliseconds(getBaseType(get_fn_expr_argtype(fcinfo->flinfo, 1)), PG_GETARG_DATUM(1));
	if (!PG_ARGISNULL(0) && same_value(writer, &present, PG_GETARG_DATUM(1), value))
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	PG_RETURN_DATUM(encode_first(writer, value, PG_ARGISNULL(0) ? BSON_TYPE_EOD : bson_iter_type(&present)));
}

/* Appends a field for a value at a path below it: documents around it, as deep as the path is long. */
static void
append_below(bson_t *out, const char *name, ListCell *cell, List *path, const bson_iter_t *value)
{
	bson_t		inner;

	if (cell == NULL)
	{
		bson_append_iter(out, name, -1, value);
		return;
	}
	bson_append_document_begin(out, name, -1, &inner);
	append_below(&inner, lfirst(cell), lnext(path, cell), path, value);
	bson_append_document_end(out, &inner);
}

/*
 * Copies the fields of a document or array, with that at a path set to a value,
 * or without it (NULL).
 */
static void
copy_with(bson_t *out, bson_iter_t *fields, ListCell *cell, List *path, const bson_iter_t *value)
{
	const char *name = lfirst(cell);
	ListCell   *next = lnext(path, cell);
	bool		found = false;

	while (bson_iter_next(fields))
	{
		const char *key = bson_iter_key(fields);
		bson_iter_t below;
		bson_t		inner;

		if (found || strcmp(key, name) != 0)
		{
			bson_append_iter(out, key, -1, fields);
			continue;
		}
		found = true;
		if (next == NULL)
		{
			if (value != NULL)
				bson_append_iter(out, key, -1, value);
		}
		else if (BSON_ITER_HOLDS_DOCUMENT(fields) || BSON_ITER_HOLDS_ARRAY(fields))
		{
			bool		array = BSON_ITER_HOLDS_ARRAY(fields);

			if (array)
				bson_append_array_begin(out, key, -1, &inner);
			else
				bson_append_document_begin(out, key, -1, &inner);
			bson_iter_recurse(fields, &below);
			copy_with(&inner, &below, next, path, value);
			if (array)
				bson_append_array_end(out, &inner);
			else
				bson_append_document_end(out, &inner);
		}
		else if (value == NULL)
			bson_append_iter(out, key, -1, fields);
		else if (is_null(fields))
			append_below(out, key, next, path, value);
		else
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("field \"%s\" is no document, and cannot get a field \"%s\"",
							key, (char *) lfirst(next))));
	}
	if (!found && value != NULL)
		append_below(out, name, next, path, value);
}

/* Whether a document has just this at a path; value NULL: nothing. */
static bool
has_at(const bson_t *document, List *path, const bson_iter_t *value)
{
	bson_iter_t iter;
	bson_t		left = BSON_INITIALIZER;
	bson_t		right = BSON_INITIALIZER;
	ListCell   *cell;
	bool		same;

	bson_iter_init(&iter, document);
	foreach(cell, path)
	{
		bson_iter_t below;

		if (!bson_iter_find(&iter, lfirst(cell)))
			return value == NULL;
		if (lnext(path, cell) == NULL)
			break;
		if (!bson_iter_recurse(&iter, &below))
			return value == NULL;
		iter = below;
	}
	if (value == NULL)
		return false;
	bson_append_iter(&left, "v", 1, &iter);
	bson_append_iter(&right, "v", 1, value);
	same = bson_equal(&left, &right);
	bson_destroy(&left);
	bson_destroy(&right);
	return same;
}

/* A json argument's document in BSON, NULL or what is no document: an empty one. */
static bson_t *
document_argument(FunctionCallInfo fcinfo)
{
	bson_t	   *result = owned_bson_new(CurrentMemoryContext);
	bson_iter_t value;
	const uint8_t *bytes;
	uint32_t	length;
	bson_t		document;

	if (PG_ARGISNULL(0))
		return result;
	read_value(PG_GETARG_TEXT_PP(0), &value);
	if (!BSON_ITER_HOLDS_DOCUMENT(&value))
		return result;
	bson_iter_document(&value, &length, &bytes);
	if (!bson_init_static(&document, bytes, length) || !bson_concat(result, &document))
		elog(ERROR, "a document made from JSON is no BSON");
	return result;
}

/* A document as json. */
static Datum
document_datum(const bson_t *document)
{
	StringInfoData json;

	initStringInfo(&json);
	if (json_append_document(&json, document, JSON_CANONICAL) != CONVERT_OK)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("the document is nested too deep")));
	return PointerGetDatum(cstring_to_text_with_len(json.data, json.len));
}

/* Two arrays of one length: names or paths, and values. */
static int
array_arguments(FunctionCallInfo fcinfo, Datum **names, Datum **values, bool **nulls)
{
	int			nnames;
	int			nvalues;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, names, NULL, &nnames);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(2), JSONOID, -1, false, TYPALIGN_INT, values, nulls, &nvalues);
	if (nnames != nvalues)
		elog(ERROR, "%d names for %d values", nnames, nvalues);
	return nnames;
}

/* set_fields(document json, paths text[], "values" json[]) returns json */
Datum
mm_set_fields(PG_FUNCTION_ARGS)
{
	Datum	   *paths;
	Datum	   *values;
	bool	   *nulls;
	int			count = array_arguments(fcinfo, &paths, &values, &nulls);
	bson_t	   *before = document_argument(fcinfo);
	bson_t	   *document = before;

	for (int i = 0; i < count; i++)
	{
		List	   *path = document_path_split(TextDatumGetCString(paths[i]));
		bson_t	   *changed = owned_bson_new(CurrentMemoryContext);
		bson_iter_t fields;
		bson_iter_t value;

		if (!nulls[i])
			read_value(DatumGetTextPP(values[i]), &value);

		/*
		 * Another column of the same field, or around it, may have another
		 * value for it.
		 */
		if (has_at(before, path, nulls[i] ? NULL : &value))
			continue;
		bson_iter_init(&fields, document);
		copy_with(changed, &fields, list_head(path), path, nulls[i] ? NULL : &value);
		document = changed;
	}
	/* Also an element that is null, or a number, among documents. */
	if (document == before && !PG_ARGISNULL(0))
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	PG_RETURN_DATUM(document_datum(document));
}

/* set_map(document json, names text[], "values" json[]) returns json */
Datum
mm_set_map(PG_FUNCTION_ARGS)
{
	Datum	   *names;
	Datum	   *values;
	bool	   *nulls;
	int			count = array_arguments(fcinfo, &names, &values, &nulls);
	bson_t	   *document = document_argument(fcinfo);
	bson_t	   *result = owned_bson_new(CurrentMemoryContext);
	char	  **keys = palloc(count * sizeof(char *));
	bool	   *done = palloc0(count * sizeof(bool));
	bson_iter_t fields;
	bson_iter_t value;

	for (int i = 0; i < count; i++)
	{
		char	   *name = TextDatumGetCString(names[i]);

		keys[i] = pg_server_to_any(name, strlen(name), PG_UTF8);
	}
	/* Those there are in their order, then the new ones. */
	bson_iter_init(&fields, document);
	while (bson_iter_next(&fields))
	{
		for (int i = 0; i < count; i++)
		{
			if (done[i] || nulls[i] || strcmp(keys[i], bson_iter_key(&fields)) != 0)
				continue;
			read_value(DatumGetTextPP(values[i]), &value);
			bson_append_iter(result, keys[i], -1, &value);
			done[i] = true;
			break;
		}
	}
	for (int i = 0; i < count; i++)
	{
		if (done[i] || nulls[i])
			continue;
		read_value(DatumGetTextPP(values[i]), &value);
		bson_append_iter(result, keys[i], -1, &value);
	}
	PG_RETURN_DATUM(document_datum(result));
}

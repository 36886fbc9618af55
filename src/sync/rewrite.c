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

#include "access/transam.h"
#include "bson/document_path.h"
#include "bson/encode.h"
#include "bson/field.h"
#include "bson/json.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "owned.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(mm_written_value);
PG_FUNCTION_INFO_V1(mm_set_fields);
PG_FUNCTION_INFO_V1(mm_set_map);

/* What a call of written_value() with a column of a type needs; lives as long as the statement. */
typedef struct ValueWriter ValueWriter;
struct ValueWriter
{
	Oid			type;			/* under a domain */
	const char *column;			/* whose values they are, for errors, or NULL */
	JsonMode	mode;
	Converter  *converter;		/* from the document's value to the column's */
	FmgrInfo	equals;			/* of the column's type; fn_oid invalid: its
								 * image counts */
	Encoder   **encoders;		/* to the BSON types that the field has had,
								 * and last the usual one */
	int			nencoders;
	int16		typlen;
	bool		typbyval;
	char		typalign;
	ValueWriter *element;		/* of arrays */
};

/* Whether a column's NULL means it. */
static bool
is_null(const bson_iter_t *value)
{
	return BSON_ITER_HOLDS_NULL(value) || BSON_ITER_HOLDS_UNDEFINED(value);
}

/* Whether values that are equal may differ all the same: 1 month and 30 days, words of citext. */
static bool
equality_is_loose(Oid type)
{
	return type == INTERVALOID || type >= FirstNormalObjectId;
}

/* Makes the writer of values of a type, whose fields have had such BSON types. */
static ValueWriter *
create_writer(Oid type, int32 typmod, JsonMode mode, ArrayType *bson_types, const char *column)
{
	ValueWriter *writer = palloc0(sizeof(ValueWriter));
	Oid			element;
	Oid			encoded = getBaseType(type) == FLOAT4OID ? FLOAT8OID : type;
	Oid			equals = lookup_type_cache(type, TYPECACHE_EQ_OPR_FINFO)->eq_opr_finfo.fn_oid;
	Datum	   *words;
	int			nwords;

	writer->type = getBaseType(type);
	writer->column = column;
	writer->mode = mode;
	/* Values that a migration has rounded stay in the document as they are. */
	writer->converter = converter_create(type, typmod, mode, true);
	element = get_typlen(writer->type) == -1 ? get_element_type(writer->type) : InvalidOid;
	if (OidIsValid(equals) && !equality_is_loose(writer->type) &&
		!(OidIsValid(element) && equality_is_loose(getBaseType(element))))
		fmgr_info(equals, &writer->equals);
	get_typlenbyvalalign(type, &writer->typlen, &writer->typbyval, &writer->typalign);

	deconstruct_array(bson_types, TEXTOID, -1, false, TYPALIGN_INT, &words, NULL, &nwords);
	writer->encoders = palloc((nwords + 1) * sizeof(Encoder *));
	for (int i = 0; i < nwords; i++)
	{
		char	   *word = TextDatumGetCString(words[i]);

		if (encoder_takes(encoded, word))
			writer->encoders[writer->nencoders++] = encoder_create(encoded, word);
	}
	writer->encoders[writer->nencoders++] = encoder_create(encoded, NULL);
	if (OidIsValid(element))
	{
		getBaseTypeAndTypmod(type, &typmod);
		writer->element = create_writer(element, typmod, mode, bson_types, column);
	}
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

/*
 * What encoders are given for a value.  A real is the double that is written as
 * it is, 0.1 and not 0.10000000149011612, and which becomes it again.
 */
static Datum
encoded_value(const ValueWriter *writer, Datum value, Datum whole)
{
	char		text[FLOAT_SHORTEST_DECIMAL_LEN];

	if (writer->type != FLOAT4OID)
		return whole;
	float_to_shortest_decimal_buf(DatumGetFloat4(value), text);
	return DirectFunctionCall1(float8in, CStringGetDatum(text));
}

/* Whether a field would become the column's value, or that to the millisecond. */
static bool
same_value(ValueWriter *writer, const bson_iter_t *field, Datum value, Datum whole)
{
	Datum		converted;

	if (is_null(field) ||
		writer->converter->convert(writer->converter, field, &converted) != CONVERT_OK)
		return false;
	if (!OidIsValid(writer->equals.fn_oid))
		return datum_image_eq(converted, value, writer->typbyval, writer->typlen);
	return DatumGetBool(FunctionCall2Coll(&writer->equals, C_COLLATION_OID, converted, value)) ||
		DatumGetBool(FunctionCall2Coll(&writer->equals, C_COLLATION_OID, converted, whole));
}

/* Whether a column has JSON, of which several spellings mean a field. */
static bool
is_json(const ValueWriter *writer)
{
	return writer->type == JSONOID || writer->type == JSONBOID;
}

/*
 * Gives a binary the subtype of the one that is there (NULL: none), if it is read
 * back as the value then.  Of subtype 7 are columns of MongoDB's own.
 */
static void
keep_subtype(ValueWriter *writer, Datum value, Datum whole, const bson_iter_t *present, bson_iter_t *field)
{
	bson_subtype_t subtype;
	bson_subtype_t usual;
	uint32_t	length;
	const uint8_t *bytes;
	bson_t	   *document;
	bson_iter_t kept;

	if (present == NULL || !BSON_ITER_HOLDS_BINARY(present) || !BSON_ITER_HOLDS_BINARY(field))
		return;
	bson_iter_binary(present, &subtype, &length, &bytes);
	bson_iter_binary(field, &usual, &length, &bytes);
	if (subtype == usual || subtype == BSON_SUBTYPE_COLUMN)
		return;
	document = owned_bson_new(CurrentMemoryContext);
	if (bson_append_binary(document, "v", 1, subtype, bytes, length) &&
		bson_iter_init_find(&kept, document, "v") && same_value(writer, &kept, value, whole))
		*field = kept;
}

/*
 * Encodes a value as the first of the BSON types that hold it exactly and are
 * read back as it: that of the field that is there (NULL: none), if it has had it
 * when the plan was made, and then the others.  The field v of a document.
 */
static void
encode_first(ValueWriter *writer, Datum value, Datum whole, const bson_iter_t *present, bson_iter_t *field)
{
	bson_type_t preferred = present == NULL ? BSON_TYPE_EOD : bson_iter_type(present);
	Datum		encoded = encoded_value(writer, value, whole);
	ConvertStatus status = CONVERT_OK;
	Encoder    *encoder = NULL;
	const char *message;

	for (int i = 0; i < 2 * writer->nencoders; i++)
	{
		bson_t	   *document;

		encoder = writer->encoders[i % writer->nencoders];
		if (i < writer->nencoders && encoder->target != preferred)
			continue;
		document = owned_bson_new(CurrentMemoryContext);
		status = encoder->encode(encoder, encoded, document, "v", 1);
		if (status != CONVERT_OK || !bson_iter_init_find(field, document, "v"))
			continue;
		if (is_json(writer))
			return;
		if (same_value(writer, field, value, whole))
		{
			keep_subtype(writer, value, whole, present, field);
			return;
		}
		status = CONVERT_INEXACT;
	}
	message = encode_message(status, encoder, writer->type == FLOAT4OID ? encoded : value);
	ereport(ERROR,
			(errcode(status == CONVERT_WRONG_TYPE ? ERRCODE_DATA_EXCEPTION : convert_sqlstate(status)),
			 writer->column == NULL ? errmsg("%s", message) : errmsg("%s: %s", writer->column, message),
			 errhint("Change the value in the row, and its document is written.")));
}

/* Whether two fields are the same in a column of JSON. */
static bool
same_json(ValueWriter *writer, const bson_iter_t *left, const bson_iter_t *right)
{
	Jsonb	   *of_left;
	Jsonb	   *of_right;

	return jsonb_from_value(left, writer->mode, &of_left) == CONVERT_OK &&
		jsonb_from_value(right, writer->mode, &of_right) == CONVERT_OK &&
		compareJsonbContainers(&of_left->root, &of_right->root) == 0;
}

static void append_merged(ValueWriter *writer, bson_t *out, const char *key, int key_length,
						  const bson_iter_t *present, const bson_iter_t *field);

/*
 * The fields of a document, in the order of the one that is there, then what is
 * new.  Each is merged with that which is there; without a writer it is as it is.
 */
static void
merge_documents(ValueWriter *writer, bson_t *out, const bson_t *present, const bson_t *document)
{
	FieldNames *there = field_names_create(present);
	FieldNames *fields = field_names_create(document);
	bson_iter_t iter;
	bson_iter_t other;

	bson_iter_init(&iter, present);
	while (bson_iter_next(&iter))
	{
		const char *key = bson_iter_key(&iter);

		CHECK_FOR_INTERRUPTS();
		if (!field_names_find(fields, key, &other))
			continue;
		if (writer == NULL)
			bson_append_iter(out, key, -1, &other);
		else
			append_merged(writer, out, key, -1, &iter, &other);
	}
	bson_iter_init(&iter, document);
	while (bson_iter_next(&iter))
	{
		if (!field_names_find(there, bson_iter_key(&iter), &other))
			bson_append_iter(out, bson_iter_key(&iter), -1, &iter);
	}
}

/*
 * Appends a field of JSON, with whatever means the same in the field that is
 * there as it is: JSON says nothing of some BSON types, and jsonb has its own
 * order of fields.
 */
static void
append_merged(ValueWriter *writer, bson_t *out, const char *key, int key_length,
			  const bson_iter_t *present, const bson_iter_t *field)
{
	bson_t		inner;

	check_stack_depth();
	if (same_json(writer, present, field))
		bson_append_iter(out, key, key_length, present);
	else if (BSON_ITER_HOLDS_DOCUMENT(present) && BSON_ITER_HOLDS_DOCUMENT(field))
	{
		bson_t		of_present;
		bson_t		of_field;

		field_lend(present, &of_present);
		field_lend(field, &of_field);
		bson_append_document_begin(out, key, key_length, &inner);
		merge_documents(writer, &inner, &of_present, &of_field);
		bson_append_document_end(out, &inner);
	}
	else if (BSON_ITER_HOLDS_ARRAY(present) && BSON_ITER_HOLDS_ARRAY(field))
	{
		bson_iter_t elements;
		bson_iter_t others;

		bson_iter_recurse(present, &others);
		bson_iter_recurse(field, &elements);
		bson_append_array_begin(out, key, key_length, &inner);
		while (bson_iter_next(&elements))
		{
			if (bson_iter_next(&others))
				append_merged(writer, &inner, bson_iter_key(&elements), -1, &others, &elements);
			else
				bson_append_iter(&inner, bson_iter_key(&elements), -1, &elements);
		}
		bson_append_array_end(out, &inner);
	}
	else
		bson_append_iter(out, key, key_length, field);
}

static void append_value(ValueWriter *writer, bson_t *out, const char *key, int key_length,
						 const bson_iter_t *present, Datum value);

/* The elements of an array of one dimension, each beside the one that is there. */
static void
append_elements(ValueWriter *writer, bson_t *out, const char *key, int key_length,
				const bson_iter_t *present, ArrayType *array)
{
	ValueWriter *element = writer->element;
	bool		more = present != NULL && BSON_ITER_HOLDS_ARRAY(present);
	bson_iter_t there;
	bson_t		inner;
	Datum	   *values;
	bool	   *nulls;
	int			count;

	deconstruct_array(array, ARR_ELEMTYPE(array), element->typlen, element->typbyval,
					  element->typalign, &values, &nulls, &count);
	if (more)
		bson_iter_recurse(present, &there);
	bson_append_array_begin(out, key, key_length, &inner);
	for (int i = 0; i < count; i++)
	{
		char		buffer[16];
		const char *position;
		int			length = bson_uint32_to_string(i, &position, buffer, sizeof(buffer));

		more = more && bson_iter_next(&there);
		if (!nulls[i])
			append_value(element, &inner, position, length, more ? &there : NULL, values[i]);
		else if (more && is_null(&there))
			bson_append_iter(&inner, position, length, &there);
		else
			bson_append_null(&inner, position, length);
	}
	bson_append_array_end(out, &inner);
}

/* Appends a field with a value: that which is there (NULL: none), if it means the value. */
static void
append_value(ValueWriter *writer, bson_t *out, const char *key, int key_length,
			 const bson_iter_t *present, Datum value)
{
	Datum		whole = whole_milliseconds(writer->type, value);
	bson_iter_t field;

	if (present != NULL && same_value(writer, present, value, whole))
	{
		bson_append_iter(out, key, key_length, present);
		return;
	}
	if (writer->element != NULL)
	{
		ArrayType  *array = DatumGetArrayTypeP(value);

		if (ARR_NDIM(array) == 1 && ARR_LBOUND(array)[0] == 1)
		{
			append_elements(writer, out, key, key_length, present, array);
			return;
		}
	}
	encode_first(writer, value, whole, present, &field);
	if (present != NULL && is_json(writer))
		append_merged(writer, out, key, key_length, present, &field);
	else
		bson_append_iter(out, key, key_length, &field);
}

/*
 * written_value(present json, stored anyelement, bson_types text[], mode text,
 * absent boolean, of_column text) returns json
 */
Datum
mm_written_value(PG_FUNCTION_ARGS)
{
	ValueWriter *writer = fcinfo->flinfo->fn_extra;
	bson_t	   *document;
	bson_iter_t present;
	bson_iter_t field;

	if (PG_ARGISNULL(2) || PG_ARGISNULL(3) || PG_ARGISNULL(4))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("bson_types, mode and absent must not be null")));
	if (writer == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
		Node	   *call = (Node *) fcinfo->flinfo->fn_expr;

		fcinfo->flinfo->fn_extra = writer =
			create_writer(get_fn_expr_argtype(fcinfo->flinfo, 1),
						  call != NULL && IsA(call, FuncExpr) ?
						  exprTypmod(list_nth(((FuncExpr *) call)->args, 1)) : -1,
						  json_mode_parse(text_to_cstring(PG_GETARG_TEXT_PP(3))),
						  PG_GETARG_ARRAYTYPE_P(2),
						  PG_ARGISNULL(5) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(5)));
		MemoryContextSwitchTo(old);
	}
	if (!PG_ARGISNULL(0))
		field_read_argument(PG_GETARG_TEXT_PP(0), &present);
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
	document = owned_bson_new(CurrentMemoryContext);
	append_value(writer, document, "v", 1, PG_ARGISNULL(0) ? NULL : &present, PG_GETARG_DATUM(1));
	if (!bson_iter_init_find(&field, document, "v"))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("a value is larger than BSON can have")));
	PG_RETURN_DATUM(field_json(&field));
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
copy_with(bson_t *out, bson_iter_t *fields, bool array, ListCell *cell, List *path, const bson_iter_t *value)
{
	const char *name = lfirst(cell);
	ListCell   *next = lnext(path, cell);
	bool		found = false;
	int			count = 0;

	while (bson_iter_next(fields))
	{
		const char *key = bson_iter_key(fields);
		bson_iter_t below;
		bson_t		inner;

		count++;
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
			else if (array)
				bson_append_null(out, key, -1); /* others keep their positions */
		}
		else if (BSON_ITER_HOLDS_DOCUMENT(fields) || BSON_ITER_HOLDS_ARRAY(fields))
		{
			bool		is_array = BSON_ITER_HOLDS_ARRAY(fields);

			if (is_array)
				bson_append_array_begin(out, key, -1, &inner);
			else
				bson_append_document_begin(out, key, -1, &inner);
			bson_iter_recurse(fields, &below);
			copy_with(&inner, &below, is_array, next, path, value);
			if (is_array)
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
					(errcode(ERRCODE_DATA_EXCEPTION),
					 errmsg("field \"%s\" is no document, and cannot get a field \"%s\"",
							key, (char *) lfirst(next))));
	}
	if (!found && value != NULL && array && document_path_position(name) != count)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("an array of %d elements cannot get one at \"%s\"", count, name)));
	if (!found && value != NULL)
		append_below(out, name, next, path, value);
}

/* Whether a document has just this at a path; value NULL: nothing. */
static bool
has_at(const FieldNames *document, List *path, const bson_iter_t *value)
{
	bson_iter_t field;
	ListCell   *cell;

	foreach(cell, path)
	{
		if (!field_step(cell == list_head(path) ? document : NULL, lfirst(cell), &field))
			return value == NULL;
	}
	return value != NULL && field_equals(&field, value);
}

/* A json argument's document in BSON, NULL or what is no document: an empty one. */
static bson_t *
document_argument(FunctionCallInfo fcinfo)
{
	bson_iter_t value;

	if (!PG_ARGISNULL(0))
	{
		field_read_argument(PG_GETARG_TEXT_PP(0), &value);
		if (BSON_ITER_HOLDS_DOCUMENT(&value))
			return field_document(&value);
	}
	return owned_bson_new(CurrentMemoryContext);
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

	if (PG_ARGISNULL(1) || PG_ARGISNULL(2))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("names and values of fields must not be null")));
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
	bson_t	   *changed = owned_bson_new(CurrentMemoryContext);
	bson_t	   *spare = owned_bson_new(CurrentMemoryContext);
	FieldNames *names = field_names_create(before);

	for (int i = 0; i < count; i++)
	{
		List	   *path = document_path_split(TextDatumGetCString(paths[i]));
		bson_iter_t fields;
		bson_iter_t value;

		if (path == NIL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("path \"$\" is not that of a field")));
		if (!nulls[i])
			field_read_argument(DatumGetTextPP(values[i]), &value);

		/*
		 * Another column of the same field, or around it, may have another
		 * value for it.
		 */
		if (has_at(names, path, nulls[i] ? NULL : &value))
			continue;
		CHECK_FOR_INTERRUPTS();
		bson_reinit(changed);
		bson_iter_init(&fields, document);
		copy_with(changed, &fields, false, list_head(path), path, nulls[i] ? NULL : &value);
		document = changed;
		changed = spare;
		spare = document;
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
	bson_t	   *map = owned_bson_new(CurrentMemoryContext);
	bson_t	   *result = owned_bson_new(CurrentMemoryContext);

	for (int i = 0; i < count; i++)
	{
		char	   *name = TextDatumGetCString(names[i]);
		bson_iter_t value;

		if (nulls[i])
			continue;
		field_read_argument(DatumGetTextPP(values[i]), &value);
		bson_append_iter(map, pg_server_to_any(name, strlen(name), PG_UTF8), -1, &value);
	}
	merge_documents(NULL, result, document_argument(fcinfo), map);
	PG_RETURN_DATUM(document_datum(result));
}

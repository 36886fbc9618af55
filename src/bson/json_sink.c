/*
 * json_sink.c
 *	  The shape of Extended JSON, apart from where it is written to.
 *
 * Modes: canonical keeps every BSON type; relaxed writes int32, int64 and
 * finite doubles as JSON numbers and dates of the years 1970 to 9999 in ISO
 * form; plain writes what has a usual form in JSON in that form and keeps
 * the wrappers only for types that have none.
 *
 * https://github.com/mongodb/specifications/blob/master/source/extended-json.md
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "bson/json_sink.h"
#include "bson/number.h"
#include "bson/text.h"
#include "bson/walk.h"
#include "common/base64.h"
#include "common/shortest_dec.h"
#include "utils/builtins.h"

/* 9999-12-31T23:59:59.999Z */
#define LAST_ISO_DATE INT64CONST(253402300799999)

static ConvertStatus emit_value(JsonSink *sink, const bson_iter_t *value, JsonMode mode, int depth);

/* A key of ours. */
static void
emit_name(JsonSink *sink, const char *name)
{
	sink->wrapping = true;
	(void) sink->key(sink, name, strlen(name));
	sink->wrapping = false;
}

/* Text, as {name: text} unless name is NULL. */
static void
emit_text(JsonSink *sink, const char *name, const char *text, int length)
{
	if (name == NULL)
	{
		sink->ascii(sink, text, length);
		return;
	}
	sink->open(sink, false);
	emit_name(sink, name);
	sink->ascii(sink, text, length);
	(void) sink->close(sink, false);
}

/* {name: true} or {name: 1} */
static void
emit_marker(JsonSink *sink, const char *name, bool number)
{
	sink->open(sink, false);
	emit_name(sink, name);
	if (number)
		sink->integer(sink, 1);
	else
		sink->literal(sink, false, true);
	(void) sink->close(sink, false);
}

/* A string, symbol or code, as {name: string} unless name is NULL. */
static ConvertStatus
emit_string(JsonSink *sink, const char *name, const bson_iter_t *value)
{
	const char *utf8 = NULL;
	size_t		length = 0;
	ConvertStatus status;

	text_string(value, &utf8, &length);
	if (name == NULL)
		return sink->string(sink, utf8, length);
	sink->open(sink, false);
	emit_name(sink, name);
	status = sink->string(sink, utf8, length);
	return status == CONVERT_OK ? sink->close(sink, false) : status;
}

/* A double: a JSON number where it is finite and the mode allows. */
static void
emit_double(JsonSink *sink, const bson_iter_t *value, JsonMode mode)
{
	double		real = bson_iter_double_unsafe(value);
	char		buffer[TEXT_SCALAR_SIZE];
	int			length;

	if (mode != JSON_CANONICAL && !isnan(real) && !isinf(real))
		sink->number(sink, value);
	else
	{
		length = number_double_text(real, buffer);
		emit_text(sink, mode == JSON_PLAIN ? NULL : "$numberDouble", buffer, length);
	}
}

/* A decimal128. */
static void
emit_decimal(JsonSink *sink, const bson_iter_t *value, JsonMode mode)
{
	char		buffer[TEXT_SCALAR_SIZE];
	int			length = number_value_text(value, buffer);
	Number		number;

	if (mode != JSON_PLAIN)
		emit_text(sink, "$numberDecimal", buffer, length);
	else if (number_from_value(&number, value) && number.kind == NUMBER_FINITE)
		sink->number(sink, value);
	else
		emit_text(sink, NULL, buffer, length);
}

/* A date: in ISO form, or as milliseconds. */
static void
emit_date(JsonSink *sink, int64 date, JsonMode mode)
{
	char		buffer[TEXT_SCALAR_SIZE];

	if (mode == JSON_PLAIN || (mode == JSON_RELAXED && date >= 0 && date <= LAST_ISO_DATE))
	{
		emit_text(sink, mode == JSON_PLAIN ? NULL : "$date", buffer, text_date(date, buffer));
		return;
	}
	sink->open(sink, false);
	emit_name(sink, "$date");
	emit_text(sink, "$numberLong", buffer, pg_lltoa(date, buffer));
	(void) sink->close(sink, false);
}

/* A timestamp of the oplog: seconds and increment. */
static void
emit_timestamp(JsonSink *sink, const bson_iter_t *value)
{
	uint32_t	seconds;
	uint32_t	increment;

	bson_iter_timestamp(value, &seconds, &increment);
	sink->open(sink, false);
	emit_name(sink, "$timestamp");
	sink->open(sink, false);
	emit_name(sink, "t");
	sink->integer(sink, seconds);
	emit_name(sink, "i");
	sink->integer(sink, increment);
	(void) sink->close(sink, false);
	(void) sink->close(sink, false);
}

/* A binary in base64, or a UUID in its usual form. */
static void
emit_binary(JsonSink *sink, const bson_iter_t *value, JsonMode mode)
{
	bson_subtype_t subtype;
	uint32_t	length;
	const uint8_t *bytes;
	char		buffer[TEXT_SCALAR_SIZE];
	char	   *base64;
	int			base64_length;

	if (mode == JSON_PLAIN && text_is_uuid(value, &bytes))
	{
		emit_text(sink, NULL, buffer, text_uuid(bytes, buffer));
		return;
	}
	bson_iter_binary(value, &subtype, &length, &bytes);
	base64_length = pg_b64_enc_len(length);
	base64 = palloc(base64_length + 1);
	base64_length = pg_b64_encode((const void *) bytes, length, base64, base64_length);
	if (mode == JSON_PLAIN)
		emit_text(sink, NULL, base64, base64_length);
	else
	{
		snprintf(buffer, sizeof(buffer), "%02x", subtype);
		sink->open(sink, false);
		emit_name(sink, "$binary");
		sink->open(sink, false);
		emit_name(sink, "base64");
		sink->ascii(sink, base64, base64_length);
		emit_name(sink, "subType");
		sink->ascii(sink, buffer, 2);
		(void) sink->close(sink, false);
		(void) sink->close(sink, false);
	}
	pfree(base64);
}

/* A regular expression. */
static ConvertStatus
emit_regex(JsonSink *sink, const bson_iter_t *value, JsonMode mode)
{
	const char *options;
	const char *pattern = bson_iter_regex(value, &options);
	ConvertStatus status;

	if (mode == JSON_PLAIN)
	{
		char	   *buffer = psprintf("/%s/%s", pattern, options);

		return sink->string(sink, buffer, strlen(buffer));
	}
	sink->open(sink, false);
	emit_name(sink, "$regularExpression");
	sink->open(sink, false);
	emit_name(sink, "pattern");
	if ((status = sink->string(sink, pattern, strlen(pattern))) != CONVERT_OK)
		return status;
	emit_name(sink, "options");
	if ((status = sink->string(sink, options, strlen(options))) != CONVERT_OK)
		return status;
	(void) sink->close(sink, false);
	return sink->close(sink, false);
}

/* A DBPointer. */
static ConvertStatus
emit_dbpointer(JsonSink *sink, const bson_iter_t *value, JsonMode mode)
{
	uint32_t	length;
	const char *collection;
	const bson_oid_t *oid;
	char		buffer[TEXT_SCALAR_SIZE];
	ConvertStatus status;

	bson_iter_dbpointer(value, &length, &collection, &oid);
	sink->open(sink, false);
	if (mode != JSON_PLAIN)
	{
		emit_name(sink, "$dbPointer");
		sink->open(sink, false);
	}
	emit_name(sink, "$ref");
	if ((status = sink->string(sink, collection, length)) != CONVERT_OK)
		return status;
	emit_name(sink, "$id");
	emit_text(sink, mode == JSON_PLAIN ? NULL : "$oid", buffer, text_objectid(oid, buffer));
	if (mode != JSON_PLAIN)
		(void) sink->close(sink, false);
	return sink->close(sink, false);
}

/* The fields of a document or the elements of an array. */
static ConvertStatus
emit_fields(JsonSink *sink, Walk *walk, bool array, JsonMode mode, int depth)
{
	ConvertStatus status;

	if (depth > WALK_MAX_DEPTH)
		return CONVERT_TOO_DEEP;
	sink->open(sink, array);
	while (bson_iter_next(&walk->iter))
	{
		if (!array)
		{
			status = sink->key(sink, bson_iter_key_unsafe(&walk->iter),
							   walk_key_length(&walk->iter));
			if (status != CONVERT_OK)
				return status;
		}
		status = emit_value(sink, &walk->iter, mode, depth);
		if (status != CONVERT_OK)
			return status;
	}
	return walk_ended_well(walk) ? sink->close(sink, array) : CONVERT_CORRUPT;
}

/* Code with a scope, in every mode as an object. */
static ConvertStatus
emit_code_with_scope(JsonSink *sink, const bson_iter_t *value, JsonMode mode, int depth)
{
	uint32_t	length;
	uint32_t	scope_length;
	const uint8_t *scope;
	const char *code = bson_iter_codewscope(value, &length, &scope_length, &scope);
	Walk		walk;
	ConvertStatus status;

	if (!walk_start(&walk, scope, scope_length))
		return CONVERT_CORRUPT;
	sink->open(sink, false);
	emit_name(sink, "$code");
	if ((status = sink->string(sink, code, length)) != CONVERT_OK)
		return status;
	emit_name(sink, "$scope");
	if ((status = emit_fields(sink, &walk, false, mode, depth + 1)) != CONVERT_OK)
		return status;
	return sink->close(sink, false);
}

/* Any value. */
static ConvertStatus
emit_value(JsonSink *sink, const bson_iter_t *value, JsonMode mode, int depth)
{
	bool		plain = mode == JSON_PLAIN;
	char		buffer[TEXT_SCALAR_SIZE];
	Walk		walk;

	switch (bson_iter_type_unsafe(value))
	{
		case BSON_TYPE_UTF8:
			return emit_string(sink, NULL, value);
		case BSON_TYPE_SYMBOL:
			return emit_string(sink, plain ? NULL : "$symbol", value);
		case BSON_TYPE_CODE:
			return emit_string(sink, plain ? NULL : "$code", value);
		case BSON_TYPE_CODEWSCOPE:
			return emit_code_with_scope(sink, value, mode, depth);
		case BSON_TYPE_REGEX:
			return emit_regex(sink, value, mode);
		case BSON_TYPE_DBPOINTER:
			return emit_dbpointer(sink, value, mode);
		case BSON_TYPE_DOCUMENT:
		case BSON_TYPE_ARRAY:
			if (!walk_enter(&walk, value))
				return CONVERT_CORRUPT;
			return emit_fields(sink, &walk, bson_iter_type_unsafe(value) == BSON_TYPE_ARRAY,
							   mode, depth + 1);
		case BSON_TYPE_INT32:
		case BSON_TYPE_INT64:
			if (mode != JSON_CANONICAL)
				sink->number(sink, value);
			else
				emit_text(sink, bson_iter_type_unsafe(value) == BSON_TYPE_INT32 ?
						  "$numberInt" : "$numberLong", buffer, number_value_text(value, buffer));
			return CONVERT_OK;
		case BSON_TYPE_DOUBLE:
			emit_double(sink, value, mode);
			return CONVERT_OK;
		case BSON_TYPE_DECIMAL128:
			emit_decimal(sink, value, mode);
			return CONVERT_OK;
		case BSON_TYPE_OID:
			emit_text(sink, plain ? NULL : "$oid", buffer,
					  text_objectid(bson_iter_oid_unsafe(value), buffer));
			return CONVERT_OK;
		case BSON_TYPE_BOOL:
			sink->literal(sink, false, bson_iter_bool_unsafe(value));
			return CONVERT_OK;
		case BSON_TYPE_NULL:
			sink->literal(sink, true, false);
			return CONVERT_OK;
		case BSON_TYPE_UNDEFINED:
			if (plain)
				sink->literal(sink, true, false);
			else
				emit_marker(sink, "$undefined", false);
			return CONVERT_OK;
		case BSON_TYPE_MINKEY:
			emit_marker(sink, "$minKey", true);
			return CONVERT_OK;
		case BSON_TYPE_MAXKEY:
			emit_marker(sink, "$maxKey", true);
			return CONVERT_OK;
		case BSON_TYPE_DATE_TIME:
			emit_date(sink, bson_iter_int64_unsafe(value), mode);
			return CONVERT_OK;
		case BSON_TYPE_TIMESTAMP:
			emit_timestamp(sink, value);
			return CONVERT_OK;
		case BSON_TYPE_BINARY:
			emit_binary(sink, value, mode);
			return CONVERT_OK;
		default:
			return CONVERT_CORRUPT;
	}
}

/* Writes a value. */
ConvertStatus
json_emit_value(JsonSink *sink, const bson_iter_t *value, JsonMode mode)
{
	return emit_value(sink, value, mode, 0);
}

/* Writes a document. */
ConvertStatus
json_emit_document(JsonSink *sink, const bson_t *document, JsonMode mode)
{
	Walk		walk;

	if (!walk_start(&walk, bson_get_data(document), document->len))
		return CONVERT_CORRUPT;
	return emit_fields(sink, &walk, false, mode, 1);
}

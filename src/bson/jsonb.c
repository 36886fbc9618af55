/*
 * jsonb.c
 *	  Extended JSON as jsonb, built from JsonbValues rather than from text.
 *
 * jsonb holds neither U+0000 nor one key twice: both are a status.  The tree of
 * JsonbValues is made in CurrentMemoryContext; the converter gives a context
 * of its own for it.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/json.h"
#include "bson/json_sink.h"
#include "bson/number.h"
#include "bson/text.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

/*
 * What a tree of JsonbValues may take, which can be 300 times its BSON.  What
 * needs more is full of Extended JSON's objects, of a kilobyte each here; with
 * less no document of MongoDB makes the 256 MB that jsonb would throw for.
 */
#define TREE_MAX MaxAllocSize

typedef struct JsonbSink
{
	JsonSink	sink;
	JsonbParseState *state;		/* open objects and arrays; NULL outside of
								 * them */
	JsonbValue	root;
	int			depth;
	int			pairs_size;
	int		   *pairs;			/* keys given to each open object */
} JsonbSink;

/* A scalar, into the open object or array, or as the whole value. */
static void
push_scalar(JsonbSink *jsonb, JsonbValue *scalar)
{
	if (jsonb->state == NULL)
		jsonb->root = *scalar;
	else
		pushJsonbValue(&jsonb->state,
					   jsonb->state->contVal.type == jbvArray ? WJB_ELEM : WJB_VALUE, scalar);
}

/* An object or array begins. */
static void
jsonb_open(JsonSink *sink, bool array)
{
	JsonbSink  *jsonb = (JsonbSink *) sink;

	if (jsonb->depth == jsonb->pairs_size)
	{
		jsonb->pairs_size = Max(16, jsonb->pairs_size * 2);
		jsonb->pairs = jsonb->pairs == NULL ?
			palloc(jsonb->pairs_size * sizeof(int)) :
			repalloc(jsonb->pairs, jsonb->pairs_size * sizeof(int));
	}
	jsonb->pairs[jsonb->depth++] = 0;
	pushJsonbValue(&jsonb->state, array ? WJB_BEGIN_ARRAY : WJB_BEGIN_OBJECT, NULL);
}

/*
 * Ends an object or array.  jsonb has dropped duplicate keys by then; the count
 * shows it.  A tree that has grown beyond its limit is given up.
 */
static ConvertStatus
jsonb_close(JsonSink *sink, bool array)
{
	JsonbSink  *jsonb = (JsonbSink *) sink;
	int			pairs = jsonb->pairs[--jsonb->depth];
	JsonbValue *closed = pushJsonbValue(&jsonb->state, array ? WJB_END_ARRAY : WJB_END_OBJECT,
										NULL);

	if (!array && closed->val.object.nPairs != pairs)
		return CONVERT_DUPLICATE_KEY;
	if (MemoryContextMemAllocated(CurrentMemoryContext, false) > TREE_MAX)
		return CONVERT_TOO_LONG;
	if (jsonb->depth == 0)
		jsonb->root = *closed;
	return CONVERT_OK;
}

/* Makes a string value that points into the document where it can. */
static ConvertStatus
string_value(JsonbValue *string, const char *utf8, size_t length)
{
	const char *text;
	ConvertStatus status = text_to_server(utf8, length, &text, &length);

	string->type = jbvString;
	string->val.string.val = unconstify(char *, text);
	string->val.string.len = length;
	return status;
}

/* A key of the document. */
static ConvertStatus
jsonb_key(JsonSink *sink, const char *utf8, size_t length)
{
	JsonbSink  *jsonb = (JsonbSink *) sink;
	JsonbValue	key;
	ConvertStatus status = string_value(&key, utf8, length);

	if (status != CONVERT_OK)
		return status;
	jsonb->pairs[jsonb->depth - 1]++;
	pushJsonbValue(&jsonb->state, WJB_KEY, &key);
	return CONVERT_OK;
}

/* A string of the document. */
static ConvertStatus
jsonb_string(JsonSink *sink, const char *utf8, size_t length)
{
	JsonbValue	string;
	ConvertStatus status = string_value(&string, utf8, length);

	if (status == CONVERT_OK)
		push_scalar((JsonbSink *) sink, &string);
	return status;
}

/* A string of ours, which is lent. */
static void
jsonb_ascii(JsonSink *sink, const char *text, int length)
{
	JsonbValue	string;

	string.type = jbvString;
	string.val.string.val = pnstrdup(text, length);
	string.val.string.len = length;
	push_scalar((JsonbSink *) sink, &string);
}

/* A number with the digits that json text has: a whole double keeps its ".0". */
static void
jsonb_number(JsonSink *sink, const bson_iter_t *value)
{
	JsonbValue	number;
	Number		exact;
	bool		rounded;
	Datum		numeric = 0;

	number_from_value(&exact, value);
	if (bson_iter_type_unsafe(value) == BSON_TYPE_DOUBLE && exact.exponent == 0 &&
		exact.coefficient < NUMBER_POINT_LIMIT)
	{
		exact.coefficient *= 10;
		exact.exponent = -1;
	}
	number_to_numeric(&exact, -1, false, &rounded, &numeric);
	number.type = jbvNumeric;
	number.val.numeric = DatumGetNumeric(numeric);
	push_scalar((JsonbSink *) sink, &number);
}

/* An integer of ours. */
static void
jsonb_integer(JsonSink *sink, int64 value)
{
	JsonbValue	number;

	number.type = jbvNumeric;
	number.val.numeric = int64_to_numeric(value);
	push_scalar((JsonbSink *) sink, &number);
}

/* null, true or false. */
static void
jsonb_literal(JsonSink *sink, bool null, bool value)
{
	JsonbValue	literal;

	literal.type = null ? jbvNull : jbvBool;
	literal.val.boolean = value;
	push_scalar((JsonbSink *) sink, &literal);
}

/* A sink with an empty tree. */
static void
jsonb_sink_init(JsonbSink *jsonb)
{
	static const JsonSink events = {
		.open = jsonb_open,
		.close = jsonb_close,
		.key = jsonb_key,
		.string = jsonb_string,
		.ascii = jsonb_ascii,
		.number = jsonb_number,
		.integer = jsonb_integer,
		.literal = jsonb_literal
	};

	memset(jsonb, 0, sizeof(*jsonb));
	jsonb->sink = events;
}

/* A value as jsonb. */
ConvertStatus
jsonb_from_value(const bson_iter_t *value, JsonMode mode, Jsonb **result)
{
	JsonbSink	jsonb;
	ConvertStatus status;

	jsonb_sink_init(&jsonb);
	status = json_emit_value(&jsonb.sink, value, mode);
	if (status == CONVERT_OK)
		*result = JsonbValueToJsonb(&jsonb.root);
	return status;
}

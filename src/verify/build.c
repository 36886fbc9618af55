/*
 * build.c
 *	  jsonb from its values, in little memory.
 *
 * A document of 16 MB may have four million values, most of which are objects
 * in canonical Extended JSON, such as {"$numberInt": "1"}.  pushJsonbValue(),
 * and the cast from json by it, takes more than a kilobyte for each, and this a
 * tenth of that.  Everything is allocated in the current memory context, and left to it.
 */
#include "postgres.h"
#include "compat.h"

#include "common/jsonapi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/jsonfuncs.h"
#include "utils/memutils.h"
#include "utils/numeric.h"
#include "verify/build.h"

PG_FUNCTION_INFO_V1(mm_verify_jsonb);

#define ROOM_SIZE (64 * 1024)

/* Memory without a header of its own, which is not freed by itself. */
static void *
take_room(JsonbBuild *build, Size size)
{
	char	   *room;

	size = MAXALIGN(size);
	if (size > ROOM_SIZE / 8)
		return MemoryContextAllocHuge(CurrentMemoryContext, size);
	if (build->room == NULL || size > build->room_left)
	{
		build->room = palloc(ROOM_SIZE);
		build->room_left = ROOM_SIZE;
	}
	room = build->room;
	build->room += size;
	build->room_left -= size;
	return room;
}

/* Keys are in the order that jsonb has them in, and equal ones in that of the document. */
static int
compare_pairs(const void *a, const void *b)
{
	const JsonbPair *one = a;
	const JsonbPair *other = b;
	int			difference = one->key.val.string.len - other->key.val.string.len;

	if (difference == 0)
		difference = memcmp(one->key.val.string.val, other->key.val.string.val, one->key.val.string.len);
	return difference != 0 ? difference : (one->order > other->order) - (one->order < other->order);
}

/* An object of names and values by turns.  Of equal names the last one counts. */
static JsonbValue
make_object(JsonbBuild *build, const JsonbValue *values, int count)
{
	JsonbValue	object = {.type = jbvObject};
	JsonbPair  *pairs = take_room(build, count / 2 * sizeof(JsonbPair));
	int			npairs = 0;

	for (int i = 0; i < count / 2; i++)
	{
		pairs[i].key = values[2 * i];
		pairs[i].value = values[2 * i + 1];
		pairs[i].order = i;
	}
	qsort(pairs, count / 2, sizeof(JsonbPair), compare_pairs);
	for (int i = 0; i < count / 2; i++)
	{
		if (npairs > 0 && pairs[npairs - 1].key.val.string.len == pairs[i].key.val.string.len &&
			memcmp(pairs[npairs - 1].key.val.string.val, pairs[i].key.val.string.val,
				   pairs[i].key.val.string.len) == 0)
			npairs--;
		pairs[npairs++] = pairs[i];
	}
	object.val.object.nPairs = npairs;
	object.val.object.pairs = pairs;
	return object;
}

/* An array of some values. */
static JsonbValue
make_array(JsonbBuild *build, const JsonbValue *values, int count)
{
	JsonbValue	array = {.type = jbvArray};

	array.val.array.nElems = count;
	array.val.array.elems = take_room(build, count * sizeof(JsonbValue));
	if (count > 0)
		memcpy(array.val.array.elems, values, count * sizeof(JsonbValue));
	return array;
}

/* Adds a value, or a name, to what is open. */
static void
add_value(JsonbBuild *build, const JsonbValue *value)
{
	if (build->nvalues == build->size)
	{
		build->size = Max(64, 2 * build->size);
		build->values = build->values == NULL ? palloc(build->size * sizeof(JsonbValue)) :
			repalloc_huge(build->values, build->size * sizeof(JsonbValue));
	}
	build->values[build->nvalues++] = *value;
}

/*
 * Adds what pushJsonbValue() would add; a string is not copied.  WJB_KEY,
 * WJB_VALUE and WJB_ELEM are all one.
 */
void
jsonb_build_add(JsonbBuild *build, JsonbIteratorToken token, const JsonbValue *value)
{
	JsonbValue	closed;
	int			first;

	switch (token)
	{
		case WJB_BEGIN_ARRAY:
		case WJB_BEGIN_OBJECT:
			if (build->nopen == build->open_size)
			{
				build->open_size = Max(64, 2 * build->open_size);
				build->open = build->open == NULL ? palloc(build->open_size * sizeof(int)) :
					repalloc(build->open, build->open_size * sizeof(int));
			}
			build->open[build->nopen++] = build->nvalues;
			break;
		case WJB_END_ARRAY:
		case WJB_END_OBJECT:
			first = build->open[--build->nopen];
			closed = (token == WJB_END_ARRAY ? make_array : make_object)
				(build, build->values + first, build->nvalues - first);
			build->nvalues = first;
			add_value(build, &closed);
			break;
		default:
			if (value->type == jbvBinary)
			{
				JsonbIterator *iterator = JsonbIteratorInit(value->val.binary.data);
				JsonbValue	part;

				while ((token = JsonbIteratorNext(&iterator, &part, false)) != WJB_DONE)
					jsonb_build_add(build, token, &part);
			}
			else
				add_value(build, value);
	}
}

/* Adds a string, and frees the text. */
void
jsonb_build_text(JsonbBuild *build, JsonbIteratorToken token, char *text)
{
	JsonbValue	string = {.type = jbvString};

	string.val.string.len = strlen(text);
	string.val.string.val = take_room(build, string.val.string.len);
	memcpy(string.val.string.val, text, string.val.string.len);
	pfree(text);
	jsonb_build_add(build, token, &string);
}

/* What was added, in the current memory context. */
Jsonb *
jsonb_build_finish(JsonbBuild *build)
{
	Assert(build->nvalues == 1 && build->nopen == 0);
	return JsonbValueToJsonb(build->values);
}

/* What pg_parse_json() calls, which leaves texts to the callee. */
static MM_JSON_ACTION
parse_object_start(void *build)
{
	jsonb_build_add(build, WJB_BEGIN_OBJECT, NULL);
	MM_JSON_ACTION_RETURN;
}

static MM_JSON_ACTION
parse_object_end(void *build)
{
	jsonb_build_add(build, WJB_END_OBJECT, NULL);
	MM_JSON_ACTION_RETURN;
}

static MM_JSON_ACTION
parse_array_start(void *build)
{
	jsonb_build_add(build, WJB_BEGIN_ARRAY, NULL);
	MM_JSON_ACTION_RETURN;
}

static MM_JSON_ACTION
parse_array_end(void *build)
{
	jsonb_build_add(build, WJB_END_ARRAY, NULL);
	MM_JSON_ACTION_RETURN;
}

static MM_JSON_ACTION
parse_field_start(void *build, char *name, bool is_null)
{
	jsonb_build_text(build, WJB_KEY, name);
	MM_JSON_ACTION_RETURN;
}

/* The same for a value that is neither object nor array. */
static MM_JSON_ACTION
parse_scalar(void *build, char *token, JsonTokenType type)
{
	JsonbValue	value = {.type = jbvNull};

	if (type == JSON_TOKEN_STRING)
	{
		jsonb_build_text(build, WJB_VALUE, token);
		MM_JSON_ACTION_RETURN;
	}
	if (type == JSON_TOKEN_NUMBER)
	{
		value.type = jbvNumeric;
		value.val.numeric = DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(token),
																ObjectIdGetDatum(InvalidOid),
																Int32GetDatum(-1)));
	}
	else if (type != JSON_TOKEN_NULL)
	{
		value.type = jbvBool;
		value.val.boolean = type == JSON_TOKEN_TRUE;
	}
	jsonb_build_add(build, WJB_VALUE, &value);
	MM_JSON_ACTION_RETURN;
}

/* verify_jsonb(document json) returns jsonb */
Datum
mm_verify_jsonb(PG_FUNCTION_ARGS)
{
	JsonbBuild	build = {0};
	JsonSemAction actions = {
		.semstate = &build,
		.object_start = parse_object_start,
		.object_end = parse_object_end,
		.array_start = parse_array_start,
		.array_end = parse_array_end,
		.object_field_start = parse_field_start,
		.scalar = parse_scalar,
	};

	pg_parse_json_or_ereport(MM_JSON_LEX_CONTEXT(PG_GETARG_TEXT_PP(0)), &actions);
	PG_RETURN_JSONB_P(jsonb_build_finish(&build));
}

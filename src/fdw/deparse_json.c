/*
 * deparse_json.c
 *	  Conditions on jsonb as match documents.
 *
 * A jsonb is made of a document by one of three modes of Extended JSON (see
 * doc/types.md), and its keys are the document's but for those within values
 * that JSON has no form for, which all begin with a dollar.  Here such keys are
 * left out of conditions, but for "$oid".
 *
 * All that is said is a superset.  MongoDB looks into the arrays on a path, and
 * compares a number or string with each element of an array: that is the
 * containment of jsonb, and for other operators more than they want.  Hence
 * nothing that is negative is asked of a field but that it exists.
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fdw/deparse.h"
#include "fdw/match.h"
#include "fdw/path.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"

/*
 * How deep a jsonb is looked into.  A segment is one of a path, of which MongoDB
 * has a limit, and may be two levels of the match document, which has 200.
 */
#define MAX_DEPTH 50

/* Decimals have 34 digits; a number of more digits may have been written with an exponent. */
#define MAX_DIGITS 34

/* All types but string and symbol, which regular expressions look at. */
static const char *const other_types[] = {
	"number", "object", "array", "binData", "objectId", "bool", "date", "regex", "javascript",
	"javascriptWithScope", "timestamp", "dbPointer", "minKey", "maxKey", "undefined"
};

static bson_t *match_json_container(const Filter *filter, const char *path,
									JsonbContainer *container, int depth);

/* {path: {$exists: true}}; an empty document, which matches all, for the whole document */
static bson_t *
match_exists(const char *path)
{
	return *path == '\0' ? match_new() : match_operator(path, "$exists", value_boolean(true));
}

/* There is a value of a type that regular expressions do not look at. */
bson_t *
match_no_string(const char *path)
{
	List	   *names = NIL;

	for (int i = 0; i < lengthof(other_types); i++)
		names = lappend(names, value_string(other_types[i]));
	return match_list(path, "$type", names);
}

/* What a value of JSON may be in BSON: values, and types whose values are not listed. */
typedef struct Origins
{
	List	   *candidates;
	List	   *types;
} Origins;

static void
add_type(Origins *origins, const char *name)
{
	origins->types = lappend(origins->types, value_string(name));
}

/* A string; in plain mode values of many types are one. */
static void
add_string(Origins *origins, const Filter *filter, const char *string)
{
	origins->candidates = lappend(origins->candidates, value_string(string));
	if (filter->json_mode != JSON_PLAIN)
		return;
	origins->candidates = list_concat(origins->candidates, objectid_candidates(string));
	if (is_number_text(string))
		origins->candidates = list_concat(origins->candidates, number_candidates(string));
	add_type(origins, "javascript");
	if (is_date_text(string))
		add_type(origins, "date");
	if (*string == '/')
		add_type(origins, "regex");
	/* Base64, or a UUID. */
	if (strlen(string) % 4 == 0)
		add_type(origins, "binData");
}

static bson_t *
match_origins(const char *path, const Origins *origins)
{
	return match_one_of(list_make2(match_any(path, origins->candidates),
								   origins->types == NIL ? NULL :
								   match_list(path, "$type", origins->types)));
}

/* A JSON string. */
static bson_t *
match_json_string(const Filter *filter, const char *path, const char *string)
{
	Origins		origins = {NIL, NIL};

	add_string(&origins, filter, string);
	return match_origins(path, &origins);
}

/* column ->> 'a' = string */
bson_t *
match_json_text(const Filter *filter, const char *string)
{
	Origins		origins = {NIL, NIL};

	/* An object or an array, which is printed. */
	if (*string == '{' || *string == '[')
		return match_exists(filter->path);
	add_string(&origins, filter, string);
	if (is_number_text(string) && filter->json_mode != JSON_PLAIN)
		origins.candidates = list_concat(origins.candidates, number_candidates(string));
	if (strcmp(string, "true") == 0 || strcmp(string, "false") == 0)
		origins.candidates = lappend(origins.candidates, value_boolean(*string == 't'));
	return match_origins(filter->path, &origins);
}

/* Doubles that relaxed mode writes as objects. */
static bson_t *
match_not_finite(const char *path)
{
	return match_list(path, "$in", list_make3(value_double(NAN), value_double(INFINITY),
											  value_double(-INFINITY)));
}

/*
 * Text that is cast to a number: what matches by numbers that it is certain
 * about, and all else, which is cast, or raises an error, here.
 */
bson_t *
match_json_cast(const Filter *filter, bson_t *match)
{
	static const char *const never_certain[] = {
		"decimal", "string", "symbol", "object", "array", "binData", "objectId", "bool", "date",
		"regex", "javascript", "javascriptWithScope", "timestamp", "dbPointer", "minKey", "maxKey",
		"undefined"
	};
	bool		integer = filter->form == FORM_INTEGER;
	List	   *names = NIL;

	for (int i = 0; i < lengthof(never_certain); i++)
		names = lappend(names, value_string(never_certain[i]));
	/* A double prints with a point. */
	if (integer)
		names = lappend(names, value_string("double"));
	if (filter->cast_type == INT4OID)
		names = lappend(names, value_string("long"));
	return match_one_of(list_make3(match, match_list(filter->path, "$type", names),
								   integer || filter->json_mode == JSON_PLAIN ? NULL :
								   match_not_finite(filter->path)));
}

/* A null in jsonb, or no field. */
static bson_t *
match_json_null(const Filter *filter, const char *path)
{
	bson_t	   *match = match_value(path, value_new(BSON_TYPE_NULL));

	if (filter->json_mode != JSON_PLAIN)
		return match;
	return match_one_of(list_make2(match, match_type(path, "undefined")));
}

/* A value that contains another, at a path that is not the whole document's. */
static bson_t *
match_json_value(const Filter *filter, const char *path, const JsonbValue *value, int depth)
{
	switch (value->type)
	{
		case jbvNull:
			return match_json_null(filter, path);
		case jbvString:
			return match_json_string(filter, path,
									 pnstrdup(value->val.string.val, value->val.string.len));
		case jbvNumeric:
			return match_any(path, number_candidates(numeric_text(NumericGetDatum(value->val.numeric))));
		case jbvBool:
			return match_value(path, value_boolean(value->val.boolean));
		case jbvBinary:
			return match_json_container(filter, path, value->val.binary.data, depth);
		default:
			elog(ERROR, "unexpected type %d of jsonb", (int) value->type);
	}
}

/* An ObjectId, or an object that only looks like one. */
static bson_t *
match_json_oid(const char *path, const char *string)
{
	return match_one_of(list_make2(match_any(path, objectid_candidates(string)),
								   match_type(path, "object")));
}

/* The condition of one key of an object, or NULL for none. */
static bson_t *
match_json_pair(const Filter *filter, const char *path, const char *key, const JsonbValue *value,
				int depth)
{
	char	   *below = path_below(path, key);

	if (below != NULL)
		return match_json_value(filter, below, value, depth);
	if (strcmp(key, "$oid") == 0 && value->type == jbvString && *path != '\0')
		return match_json_oid(path, pnstrdup(value->val.string.val, value->val.string.len));
	return match_exists(path);
}

/* An object or an array that contains another. */
static bson_t *
match_json_container(const Filter *filter, const char *path, JsonbContainer *container, int depth)
{
	JsonbIterator *iterator = JsonbIteratorInit(container);
	JsonbIteratorToken token;
	JsonbValue	value;
	const char *key = NULL;
	bool		in_array = JsonContainerIsArray(container) && !JsonContainerIsScalar(container);
	List	   *matches = NIL;

	check_stack_depth();
	if (depth >= MAX_DEPTH)
		return match_exists(path);
	while ((token = JsonbIteratorNext(&iterator, &value, true)) != WJB_DONE)
	{
		if (token == WJB_KEY)
			key = pnstrdup(value.val.string.val, value.val.string.len);
		else if (token == WJB_VALUE)
			matches = lappend(matches, match_json_pair(filter, path, key, &value, depth + 1));
		else if (token == WJB_ELEM &&
				 !(in_array && value.type == jbvBinary &&
				   JsonContainerIsArray(value.val.binary.data)))
			matches = lappend(matches, match_json_value(filter, path, &value, depth + 1));
	}
	return matches == NIL ? match_exists(path) : match_all_of(matches);
}

/* column @> jsonb.  The whole document is an object, and contains nothing else. */
bson_t *
match_json_contains(const Filter *filter, Jsonb *jsonb)
{
	if (*filter->path == '\0' && !JB_ROOT_IS_OBJECT(jsonb))
		return NULL;
	return match_json_container(filter, filter->path, &jsonb->root, 0);
}

/* column ? key: a field of an object, an element of an array, or the string itself. */
bson_t *
match_json_key(const Filter *filter, const char *key)
{
	char	   *below = path_below(filter->path, key);
	bson_t	   *field = below == NULL ? match_exists(filter->path) : match_exists(below);

	if (*filter->path == '\0')
		return field;
	return match_one_of(list_make2(field, match_json_string(filter, filter->path, key)));
}

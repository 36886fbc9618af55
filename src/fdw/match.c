/*
 * match.c
 *	  Building blocks of match documents.
 *
 * Values and lists of them are palloc'd, documents are owned by the current
 * memory context: whoever builds a filter does it in a context that ends soon.
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "fdw/match.h"
#include "owned.h"
#include "utils/uuid.h"

/* libbson says no to a document of more than 2 GiB. */
static void
must(bool ok)
{
	if (!ok)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("condition is too large for MongoDB")));
}

bson_t *
match_new(void)
{
	return owned_bson_new(CurrentMemoryContext);
}

/* A zeroed value of a type. */
bson_value_t *
value_new(bson_type_t type)
{
	bson_value_t *value = palloc0(sizeof(bson_value_t));

	value->value_type = type;
	return value;
}

/* A double. */
bson_value_t *
value_double(double number)
{
	bson_value_t *value = value_new(BSON_TYPE_DOUBLE);

	value->value.v_double = number;
	return value;
}

/* The smaller integer type that holds the number. */
bson_value_t *
value_integer(int64 number)
{
	bson_value_t *value;

	if (number >= PG_INT32_MIN && number <= PG_INT32_MAX)
	{
		value = value_new(BSON_TYPE_INT32);
		value->value.v_int32 = (int32) number;
	}
	else
	{
		value = value_new(BSON_TYPE_INT64);
		value->value.v_int64 = number;
	}
	return value;
}

/* A number, as an integer where it is a whole one and not so large that this matters. */
bson_value_t *
value_number(double number)
{
	if (number == rint(number) && fabs(number) < (double) (INT64CONST(1) << 53))
		return value_integer((int64) number);
	return value_double(number);
}

/* A date, in milliseconds since 1970. */
bson_value_t *
value_date(int64 milliseconds)
{
	bson_value_t *value = value_new(BSON_TYPE_DATE_TIME);

	value->value.v_datetime = milliseconds;
	return value;
}

/* A boolean. */
bson_value_t *
value_boolean(bool boolean)
{
	bson_value_t *value = value_new(BSON_TYPE_BOOL);

	value->value.v_bool = boolean;
	return value;
}

/* A string, which the value points to. */
bson_value_t *
value_string(const char *string)
{
	bson_value_t *value = value_new(BSON_TYPE_UTF8);

	value->value.v_utf8.str = unconstify(char *, string);
	value->value.v_utf8.len = strlen(string);
	return value;
}

/* A regular expression, which the value points to. */
bson_value_t *
value_regex(const char *pattern)
{
	const char *options = "s";
	bson_value_t *value = value_new(BSON_TYPE_REGEX);

	value->value.v_regex.regex = unconstify(char *, pattern);
	value->value.v_regex.options = unconstify(char *, options);
	return value;
}

/* An ObjectId. */
bson_value_t *
value_objectid(const uint8 *bytes)
{
	bson_value_t *value = value_new(BSON_TYPE_OID);

	memcpy(value->value.v_oid.bytes, bytes, sizeof(value->value.v_oid.bytes));
	return value;
}

/* A binary of 16 bytes, which the value points to. */
bson_value_t *
value_uuid(const uint8 *bytes, bson_subtype_t subtype)
{
	bson_value_t *value = value_new(BSON_TYPE_BINARY);

	value->value.v_binary.subtype = subtype;
	value->value.v_binary.data = unconstify(uint8 *, bytes);
	value->value.v_binary.data_len = UUID_LEN;
	return value;
}

/* A document, which the value points to. */
bson_value_t *
value_document(const bson_t *document)
{
	bson_value_t *value = value_new(BSON_TYPE_DOCUMENT);

	value->value.v_doc.data = unconstify(uint8_t *, bson_get_data(document));
	value->value.v_doc.data_len = document->len;
	return value;
}

/* {path: value} */
bson_t *
match_value(const char *path, const bson_value_t *value)
{
	bson_t	   *match = match_new();

	must(bson_append_value(match, path, -1, value));
	return match;
}

/* {path: {operator: value}}, or with a second operator {path: {...: ..., ...: ...}} */
bson_t *
match_operators(const char *path, const char *operator, const bson_value_t *value,
				const char *second, const bson_value_t *second_value)
{
	bson_t	   *match = match_new();
	bson_t		inner;

	must(bson_append_document_begin(match, path, -1, &inner));
	must(bson_append_value(&inner, operator, -1, value));
	if (second != NULL)
		must(bson_append_value(&inner, second, -1, second_value));
	must(bson_append_document_end(match, &inner));
	return match;
}

bson_t *
match_operator(const char *path, const char *operator, const bson_value_t *value)
{
	return match_operators(path, operator, value, NULL, NULL);
}

/* {path: {$lt: value}}, and the like */
bson_t *
match_range(const char *path, int strategy, const bson_value_t *value)
{
	static const char *const operators[] = {NULL, "$lt", "$lte", NULL, "$gte", "$gt"};

	return match_operator(path, operators[strategy], value);
}

/* {path: {$regex: pattern, $options: "s"}} */
bson_t *
match_regex(const char *path, const char *pattern)
{
	return match_operators(path, "$regex", value_string(pattern), "$options", value_string("s"));
}

/* Appends key: [values]. */
static void
append_values(bson_t *document, const char *key, List *values)
{
	bson_t		array;
	ListCell   *lc;

	must(bson_append_array_begin(document, key, -1, &array));
	foreach(lc, values)
	{
		char		buffer[16];
		const char *position;

		bson_uint32_to_string(foreach_current_index(lc), &position, buffer, sizeof(buffer));
		must(bson_append_value(&array, position, -1, lfirst(lc)));
	}
	must(bson_append_array_end(document, &array));
}

/* {operator: [values]} */
bson_t *
match_values(const char *operator, List *values)
{
	bson_t	   *match = match_new();

	append_values(match, operator, values);
	return match;
}

/* {path: {operator: [values]}} */
bson_t *
match_list(const char *path, const char *operator, List *values)
{
	bson_t	   *match = match_new();
	bson_t		inner;

	must(bson_append_document_begin(match, path, -1, &inner));
	append_values(&inner, operator, values);
	must(bson_append_document_end(match, &inner));
	return match;
}

/* {path: value}, {path: {$in: [values]}}, or nothing. */
bson_t *
match_any(const char *path, List *values)
{
	if (values == NIL)
		return NULL;
	if (list_length(values) == 1)
		return match_value(path, linitial(values));
	return match_list(path, "$in", values);
}

/* Not null, and none of the values: {path: {$nin: [values, null]}}. */
bson_t *
match_none(const char *path, List *values)
{
	bson_value_t *null = value_new(BSON_TYPE_NULL);

	if (values == NIL)
		return match_operator(path, "$ne", null);
	return match_list(path, "$nin", lappend(values, null));
}

/* {path: {$type: name}} */
bson_t *
match_type(const char *path, const char *name)
{
	return match_operator(path, "$type", value_string(name));
}

/* Has one of other's keys a place in match? */
static bool
have_same_key(const bson_t *match, const bson_t *other)
{
	bson_iter_t found;
	bson_iter_t iter;

	must(bson_iter_init(&iter, other));
	while (bson_iter_next(&iter))
	{
		if (bson_iter_init_find(&found, match, bson_iter_key(&iter)))
			return true;
	}
	return false;
}

/* {operator: [matches]} */
bson_t *
match_combine(const char *operator, List *matches)
{
	List	   *values = NIL;
	ListCell   *lc;

	foreach(lc, matches)
		values = lappend(values, value_document(lfirst(lc)));
	return match_values(operator, values);
}

/* What matches all of the match documents. */
bson_t *
match_all_of(List *matches)
{
	bson_t	   *merged = match_new();
	bool		conflict = false;
	List	   *some = NIL;
	ListCell   *lc;

	foreach(lc, matches)
	{
		bson_t	   *match = lfirst(lc);

		if (match == NULL)
			return NULL;
		if (bson_empty(match))
			continue;
		some = lappend(some, match);
		if (!conflict)
			conflict = have_same_key(merged, match);
		if (!conflict)
			must(bson_concat(merged, match));
	}
	return conflict ? match_combine("$and", some) : merged;
}

/* What matches one of the match documents. */
bson_t *
match_one_of(List *matches)
{
	List	   *some = NIL;
	ListCell   *lc;

	foreach(lc, matches)
	{
		bson_t	   *match = lfirst(lc);

		if (match == NULL)
			continue;
		if (bson_empty(match))
			return match;
		some = lappend(some, match);
	}
	if (list_length(some) <= 1)
		return some == NIL ? NULL : linitial(some);
	return match_combine("$or", some);
}

/* What matches none of the match documents. */
bson_t *
match_none_of(List *matches)
{
	return match_combine("$nor", matches);
}

/* Stages with one more, unless everything matches. */
List *
match_add_stage(List *stages, const bson_t *match)
{
	return bson_empty(match) ? stages :
		lappend(stages, match_value("$match", value_document(match)));
}

/* Appends the option of commands by which strings are compared byte by byte. */
void
match_append_simple_collation(bson_t *options)
{
	BCON_APPEND(options, "collation", "{", "locale", "simple", "}");
}

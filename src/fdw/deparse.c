/*
 * deparse.c
 *	  Filters to match documents of MongoDB.
 *
 * The contract.  Let a condition hold for a document when PostgreSQL would
 * find it true of the row that the document decodes to.
 *
 * 1. The match document matches every document for which the condition holds.
 * 2. A filter that is called exact matches no other document, except one whose
 *    row cannot be decoded at all, which is an error with or without us.  The
 *    plan keeps the column of an exact filter among those it decodes, so that
 *    the error comes.  Whatever is not exact is checked again by PostgreSQL.
 * 3. A document whose column cannot be decoded may be left out, and then the
 *    error that a scan of the whole collection raises is not raised, just as
 *    an index scan does not look at rows that it need not.
 *
 * Why it takes thought:
 *
 * - MongoDB compares within a type.  {a: "5"} does not match the number 5,
 *   but a text column makes '5' of it.  So a text column is compared with each
 *   BSON value that would become that text (number, ObjectId, boolean, UUID),
 *   and where these cannot be listed, values of the other types are let
 *   through: {$type: [...]}.
 * - Numbers compare across types by exact value, as in PostgreSQL.  But we
 *   take a double into numeric by its shortest decimal form: 0.1 equals
 *   numeric 0.1 here, and not in MongoDB, where the double is a little more.
 *   And a float column rounds a decimal.  Bounds that are not the same number
 *   in both worlds are widened by one double.
 * - NaN is PostgreSQL's greatest number and matches no range of MongoDB's.
 * - Comparison with NULL is never true here, whereas {a: {$ne: 5}} matches
 *   missing fields.  {a: null} matches missing, null and, before MongoDB 8,
 *   undefined; all three are NULL here.
 * - An array matches by any of its elements.  A scalar column cannot hold an
 *   array: an error, by rules 2 and 3.  In the middle of a path, an array makes
 *   our column NULL, while MongoDB looks into its documents; so nested paths
 *   are never exact, and IS NULL lets documents with such arrays through.
 *   A position in an array may be a field of its elements to MongoDB: no
 *   condition that is negative can be asked of it.
 * - Strings are compared by the collection's collation.  Equality of bytes
 *   implies equality under any; all else asks for the simple collation.
 * - Dates have milliseconds, timestamps microseconds.
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "fdw/filter.h"
#include "fdw/match.h"
#include "fdw/path.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* Milliseconds from 1970 to 2000. */
#define EPOCH_MS \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (SECS_PER_DAY * INT64CONST(1000)))

/* Types other than string whose values a text column takes; see doc/types.md. */
static const char *const textual_types[] = {
	"objectId", "number", "bool", "date", "binData"
};

/*
 * Numbers
 */

/* Is the text a number such as BSON's numbers are printed? */
static bool
is_number_text(const char *string)
{
	if (strcmp(string, "NaN") == 0 || strcmp(string, "Infinity") == 0 || strcmp(string, "-Infinity") == 0)
		return true;
	if (*string == '-')
		string++;
	if (!isdigit((unsigned char) *string))
		return false;
	string += strspn(string, "0123456789");
	if (*string == '.')
		string += 1 + strspn(string + 1, "0123456789");
	if (*string == 'e' || *string == 'E')
	{
		size_t		digits;

		string++;
		if (*string == '+' || *string == '-')
			string++;
		digits = strspn(string, "0123456789");
		if (digits == 0 || digits > 4)
			return false;
		string += digits;
	}
	return *string == '\0';
}

static Numeric
numeric_from_text(const char *string)
{
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(string),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static bool
numeric_equals_text(Numeric number, const char *string)
{
	return DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(number),
											NumericGetDatum(numeric_from_text(string))));
}

/*
 * Is the number a double that has the same value by its shortest decimal form
 * and in binary?  Then MongoDB and we agree about it.  Said only of doubles of
 * moderate size, which have an exact form of at most ten digits after the point.
 */
static bool
is_plain_number(const char *string, double number)
{
	char		buffer[64];
	Numeric		numeric;

	if (!(fabs(number) < (double) (INT64CONST(1) << 43)) || number * 1024 != rint(number * 1024))
		return false;
	numeric = numeric_from_text(string);
	snprintf(buffer, sizeof(buffer), "%.10f", number);
	if (!numeric_equals_text(numeric, buffer))
		return false;
	double_to_shortest_decimal_buf(number, buffer);
	return numeric_equals_text(numeric, buffer);
}

/* The numbers in BSON that convert to the number that text is, and perhaps a few more. */
static List *
number_candidates(const char *string)
{
	double		number = strtod(string, NULL);
	List	   *candidates = NIL;
	bson_decimal128_t decimal;

	if (is_plain_number(string, number))
		return list_make1(value_number(number));
	if (!isnan(number) && bson_decimal128_from_string(string, &decimal))
	{
		bson_value_t *value = value_new(BSON_TYPE_DECIMAL128);

		value->value.v_decimal128 = decimal;
		candidates = lappend(candidates, value);
	}
	return lappend(candidates, value_double(number));
}

/* The next double, or float4, in a direction. */
static double
next_number(FilterForm form, double number, double direction)
{
	if (form == FORM_FLOAT4)
		return nextafterf((float) number, (float) direction);
	return nextafter(number, direction);
}

/*
 * A range of numbers.  plain says that the bound is the same number to MongoDB
 * as to us; else the range is widened.
 */
static bson_t *
match_number_range(const Filter *filter, int strategy, double bound, bool plain)
{
	const char *path = filter->path;
	bool		less = strategy == BTLessStrategyNumber || strategy == BTLessEqualStrategyNumber;
	bool		equal = strategy == BTLessEqualStrategyNumber ||
		strategy == BTGreaterEqualStrategyNumber;
	const char *operator;
	bson_value_t *value;

	if (isnan(bound))
	{
		if (less)
			return match_type(path, "number");
		return equal ? match_value(path, value_double(bound)) : NULL;
	}

	if (!plain)
	{
		bound = next_number(filter->form, bound, less ? INFINITY : -INFINITY);
		equal = true;
	}
	operator = less ? (equal ? "$lte" : "$lt") : (equal ? "$gte" : "$gt");
	value = value_number(bound);
	if (less)
		return match_operator(path, operator, value);
	return match_one_of(list_make2(match_operator(path, operator, value),
								   match_value(path, value_double(NAN))));
}

static const char *
numeric_text(Datum datum)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, datum));
}

/* column < number, ..., for numeric columns */
static bson_t *
match_numeric_range(const Filter *filter, int strategy, Datum datum)
{
	const char *string = numeric_text(datum);
	double		number = strtod(string, NULL);

	return match_number_range(filter, strategy, number, is_plain_number(string, number));
}

/* column = number, for float columns: a decimal that is rounded to it may lie on either side. */
static bson_t *
match_float_equal(const Filter *filter, double number)
{
	if (isnan(number))
		return match_value(filter->path, value_double(number));
	return match_operators(filter->path,
						   "$gte", value_double(next_number(filter->form, number, -INFINITY)),
						   "$lte", value_double(next_number(filter->form, number, INFINITY)));
}

/*
 * column < number, ..., for float columns.  Rounding keeps the order: what is
 * rounded to less than a double is less.
 */
static bson_t *
match_float_range(const Filter *filter, int strategy, double number)
{
	return match_number_range(filter, strategy, number,
							  filter->form == FORM_FLOAT8 &&
							  (strategy == BTLessStrategyNumber ||
							   strategy == BTGreaterStrategyNumber));
}

static double
float_comparand(const Filter *filter, Datum datum)
{
	return filter->comparand_type == FLOAT4OID ? DatumGetFloat4(datum) : DatumGetFloat8(datum);
}

/*
 * Dates
 */

/* A timestamp in milliseconds since 1970, rounded down; *rest is what was cut. */
static int64
timestamp_to_ms(Timestamp timestamp, int *rest)
{
	int64		ms;

	*rest = 0;
	if (TIMESTAMP_IS_NOBEGIN(timestamp))
		return PG_INT64_MIN;
	if (TIMESTAMP_IS_NOEND(timestamp))
		return PG_INT64_MAX;
	ms = timestamp / 1000;
	*rest = timestamp % 1000;
	if (*rest < 0)
	{
		*rest += 1000;
		ms--;
	}
	return ms + EPOCH_MS;
}

/*
 * A comparand of a timestamp or date column as a timestamp of the column's
 * kind; a date column has midnights, UTC.  What is out of range becomes
 * infinite, as the operators of PostgreSQL have it.
 */
static Timestamp
timestamp_comparand(const Filter *filter, Datum datum)
{
	int			overflow;

	switch (filter->comparand_type)
	{
		case DATEOID:
			return filter->form == FORM_TIMESTAMPTZ ?
				date2timestamptz_opt_overflow(DatumGetDateADT(datum), &overflow) :
				date2timestamp_opt_overflow(DatumGetDateADT(datum), &overflow);
		case TIMESTAMPOID:
			return filter->form == FORM_TIMESTAMPTZ ?
				timestamp2timestamptz_opt_overflow(DatumGetTimestamp(datum), &overflow) :
				DatumGetTimestamp(datum);
		default:
			return DatumGetTimestampTz(datum);
	}
}

/* column < timestamp, ... */
static bson_t *
match_timestamp_range(const Filter *filter, int strategy, Datum datum)
{
	const char *path = filter->path;
	int			rest;
	bson_value_t *value = value_date(timestamp_to_ms(timestamp_comparand(filter, datum), &rest));

	switch (strategy)
	{
		case BTLessStrategyNumber:
			return match_operator(path, rest == 0 ? "$lt" : "$lte", value);
		case BTLessEqualStrategyNumber:
			return match_operator(path, "$lte", value);
		case BTGreaterEqualStrategyNumber:
			return match_operator(path, rest == 0 ? "$gte" : "$gt", value);
		default:
			return match_operator(path, "$gt", value);
	}
}

/* The date that a timestamp is, or none when it has microseconds. */
static List *
timestamp_candidates(const Filter *filter, Datum datum)
{
	int			rest;
	int64		ms = timestamp_to_ms(timestamp_comparand(filter, datum), &rest);

	return rest == 0 ? list_make1(value_date(ms)) : NIL;
}

/*
 * Text
 */

/* A UUID is binary of subtype 4, and of 3 where an old driver wrote it. */
static List *
uuid_candidates(const uint8 *bytes)
{
	return list_make2(value_uuid(bytes, BSON_SUBTYPE_UUID),
					  value_uuid(bytes, BSON_SUBTYPE_UUID_DEPRECATED));
}

/* Is the text 24 lower-case hex digits, the text form of an ObjectId? */
static bool
is_objectid_text(const char *string)
{
	return strlen(string) == 24 && strspn(string, "0123456789abcdef") == 24;
}

/* Is the text as long and punctuated as a uuid's? */
static bool
is_uuid_text(const char *string)
{
	return strlen(string) == 36 && strspn(string, "0123456789abcdef-") == 36 &&
		string[8] == '-' && string[13] == '-' && string[18] == '-' && string[23] == '-';
}

/* Might the text be a date's: 2024-02-29T12:00:00.123Z? */
static bool
is_date_text(const char *string)
{
	size_t		length = strlen(string);

	return length >= 20 && string[length - 1] == 'Z' && strspn(string, "+-0123456789T:.Z") == length;
}

/* The values that convert to the text, dates excepted, and perhaps a few more. */
static List *
text_candidates(const char *string)
{
	List	   *candidates = list_make1(value_string(string));

	if (is_objectid_text(string))
	{
		bson_oid_t	oid;

		bson_oid_init_from_string(&oid, string);
		candidates = lappend(candidates, value_objectid(oid.bytes));
	}
	if (is_uuid_text(string))
	{
		pg_uuid_t  *uuid = DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(string)));

		candidates = list_concat(candidates, uuid_candidates(uuid->data));
	}
	if (is_number_text(string))
		candidates = list_concat(candidates, number_candidates(string));
	if (strcmp(string, "true") == 0 || strcmp(string, "false") == 0)
		candidates = lappend(candidates, value_boolean(*string == 't'));
	return candidates;
}

/* column < text, ...: strings in the range, and all that is no string but converts to text */
static bson_t *
match_text_range(const Filter *filter, int strategy, const char *string)
{
	static const char *const operators[] = {NULL, "$lt", "$lte", NULL, "$gte", "$gt"};
	List	   *names = NIL;

	for (int i = 0; i < lengthof(textual_types); i++)
		names = lappend(names, value_string(textual_types[i]));
	return match_one_of(list_make2(match_operator(filter->path, operators[strategy], value_string(string)),
								   match_list(filter->path, "$type", names)));
}

/*
 * Types whose values are one or two values of BSON, and are ordered as there
 */

static int64
integer_comparand(const Filter *filter, Datum datum)
{
	switch (filter->comparand_type)
	{
		case INT2OID:
			return DatumGetInt16(datum);
		case INT4OID:
			return DatumGetInt32(datum);
		default:
			return DatumGetInt64(datum);
	}
}

/* column < datum, ... */
static bson_t *
match_range(const Filter *filter, int strategy, const bson_value_t *value)
{
	static const char *const operators[] = {NULL, "$lt", "$lte", NULL, "$gte", "$gt"};

	return match_operator(filter->path, operators[strategy], value);
}

/*
 * Filters
 */

/*
 * The values of BSON that convert to the datum, and perhaps a few more.  False
 * when there are too many to list.
 */
static bool
candidates_for(const Filter *filter, Datum datum, List **candidates)
{
	switch (filter->form)
	{
		case FORM_BOOLEAN:
			*candidates = list_make1(value_boolean(DatumGetBool(datum)));
			return true;
		case FORM_INTEGER:
			*candidates = list_make1(value_integer(integer_comparand(filter, datum)));
			return true;
		case FORM_NUMERIC:
			*candidates = number_candidates(numeric_text(datum));
			return true;
		case FORM_TEXT:
			*candidates = text_candidates(TextDatumGetCString(datum));
			return !is_date_text(TextDatumGetCString(datum));
		case FORM_OBJECTID:
			*candidates = list_make1(value_objectid((uint8 *) DatumGetPointer(datum)));
			return true;
		case FORM_UUID:
			*candidates = uuid_candidates(DatumGetUUIDP(datum)->data);
			return true;
		case FORM_DATE:
		case FORM_TIMESTAMP:
		case FORM_TIMESTAMPTZ:
			*candidates = timestamp_candidates(filter, datum);
			return true;
		default:
			*candidates = NIL;
			return false;
	}
}

/* Of the values of BSON, those that convert to the datum and are equal to no value that does not. */
static List *
exclusions_for(const Filter *filter, Datum datum)
{
	List	   *candidates;
	const char *string;
	double		number;

	switch (filter->form)
	{
		case FORM_TEXT:
			string = TextDatumGetCString(datum);
			return list_make1(value_string(string));
		case FORM_NUMERIC:
			string = numeric_text(datum);
			number = strtod(string, NULL);
			return isnan(number) || is_plain_number(string, number) ?
				list_make1(value_number(number)) : NIL;
		default:
			return candidates_for(filter, datum, &candidates) ? candidates : NIL;
	}
}

/* column = datum, where the candidates are not all there is */
static bson_t *
match_other_equal(const Filter *filter, Datum datum)
{
	switch (filter->form)
	{
		case FORM_TEXT:
			return match_type(filter->path, "date");
		default:
			return match_float_equal(filter, float_comparand(filter, datum));
	}
}

/* column < datum, ... */
static bson_t *
match_inequality(const Filter *filter, Datum datum)
{
	int			strategy = filter->strategy;

	switch (filter->form)
	{
		case FORM_INTEGER:
			return match_range(filter, strategy, value_integer(integer_comparand(filter, datum)));
		case FORM_NUMERIC:
			return match_numeric_range(filter, strategy, datum);
		case FORM_FLOAT4:
		case FORM_FLOAT8:
			return match_float_range(filter, strategy, float_comparand(filter, datum));
		case FORM_TEXT:
			return match_text_range(filter, strategy, TextDatumGetCString(datum));
		case FORM_OBJECTID:
			return match_range(filter, strategy, value_objectid((uint8 *) DatumGetPointer(datum)));
		case FORM_DATE:
		case FORM_TIMESTAMP:
		case FORM_TIMESTAMPTZ:
			return match_timestamp_range(filter, strategy, datum);
		default:
			elog(ERROR, "unexpected form %d", (int) filter->form);
	}
}

/* column = ANY (datums) */
static bson_t *
match_equal(const Filter *filter, const Datum *datums, const bool *nulls, int ndatums)
{
	List	   *candidates = NIL;
	List	   *matches = NIL;

	for (int i = 0; i < ndatums; i++)
	{
		List	   *more;

		if (nulls[i])
			continue;
		if (!candidates_for(filter, datums[i], &more))
			matches = lappend(matches, match_other_equal(filter, datums[i]));
		candidates = list_concat(candidates, more);
	}
	return match_one_of(lcons(match_any(filter->path, candidates), matches));
}

/*
 * column IS NOT NULL.  $ne looks for nulls in the arrays that the column may
 * hold, and takes a position in an array for a field of its elements as well,
 * which these mostly do not have.
 */
static bson_t *
match_not_null(const Filter *filter)
{
	if (filter->form == FORM_NONE || path_has_position(filter->path))
		return match_operator(filter->path, "$exists", value_boolean(true));
	return match_operator(filter->path, "$ne", value_new(BSON_TYPE_NULL));
}

/* column <> ALL (datums): never true with a null among them, always with none at all. */
static bson_t *
match_not_equal(const Filter *filter, const Datum *datums, const bool *nulls, int ndatums)
{
	List	   *exclusions = NIL;

	if (ndatums == 0)
		return match_new();
	if (path_has_position(filter->path))
		return match_not_null(filter);
	for (int i = 0; i < ndatums; i++)
	{
		if (nulls[i])
			return NULL;
		exclusions = list_concat(exclusions, exclusions_for(filter, datums[i]));
	}
	return match_none(filter->path, exclusions);
}

/* column <operator> comparand */
static bson_t *
match_comparison(const Filter *filter, const FilterValue *value)
{
	if (value->isnull)
		return NULL;
	switch (filter->strategy)
	{
		case BTEqualStrategyNumber:
			return match_equal(filter, &value->value, &value->isnull, 1);
		case STRATEGY_NOT_EQUAL:
			return match_not_equal(filter, &value->value, &value->isnull, 1);
		default:
			return match_inequality(filter, value->value);
	}
}

/* column = ANY (comparand), column <> ALL (comparand) */
static bson_t *
match_array(const Filter *filter, const FilterValue *value)
{
	ArrayType  *array;
	Datum	   *datums;
	bool	   *nulls;
	int			ndatums;
	int16		typlen;
	bool		typbyval;
	char		typalign;

	if (value->isnull)
		return NULL;
	array = DatumGetArrayTypeP(value->value);
	get_typlenbyvalalign(ARR_ELEMTYPE(array), &typlen, &typbyval, &typalign);
	deconstruct_array(array, ARR_ELEMTYPE(array), typlen, typbyval, typalign,
					  &datums, &nulls, &ndatums);
	return filter->kind == FILTER_ANY ?
		match_equal(filter, datums, nulls, ndatums) :
		match_not_equal(filter, datums, nulls, ndatums);
}

/* column IS NULL */
static bson_t *
match_null(const Filter *filter)
{
	List	   *matches = list_make2(match_value(filter->path, value_new(BSON_TYPE_NULL)),
									 match_type(filter->path, "undefined"));

	for (const char *dot = strchr(filter->path, '.'); dot != NULL; dot = strchr(dot + 1, '.'))
		matches = lappend(matches,
						  match_type(pnstrdup(filter->path, dot - filter->path), "array"));
	return match_one_of(matches);
}

/* A condition whose comparand is not known: its operator and a placeholder. */
static bson_t *
match_placeholder(const Filter *filter, int number)
{
	static const char *const operators[] = {NULL, "$lt", "$lte", "$eq", "$gte", "$gt", "$ne"};
	const char *operator = filter->kind == FILTER_ANY ? "$in" :
		filter->kind == FILTER_ALL ? "$nin" : operators[filter->strategy];

	return match_operator(filter->path, operator,
						  value_string(psprintf("$%d", number)));
}

/* Any filter. */
static bson_t *
match_filter(const Filter *filter, const FilterValue *values)
{
	List	   *arms = NIL;
	ListCell   *lc;

	check_stack_depth();
	switch (filter->kind)
	{
		case FILTER_AND:
		case FILTER_OR:
			foreach(lc, filter->arms)
				arms = lappend(arms, match_filter(lfirst(lc), values));
			return filter->kind == FILTER_AND ? match_all_of(arms) : match_one_of(arms);
		case FILTER_NULL:
			return match_null(filter);
		case FILTER_NOT_NULL:
			return match_not_null(filter);
		default:
			if (!values[filter->comparand].known)
				return match_placeholder(filter, values[filter->comparand].number);
			return filter->kind == FILTER_COMPARE ?
				match_comparison(filter, &values[filter->comparand]) :
				match_array(filter, &values[filter->comparand]);
	}
}

/* The match document of a filter; NULL when no document can match. */
bson_t *
filter_to_bson(const Filter *filter, const FilterValue *values)
{
	return filter == NULL ? match_new() : match_filter(filter, values);
}

/* True when strings must be compared byte by byte. */
bool
filter_needs_simple_collation(const Filter *filter)
{
	ListCell   *lc;

	foreach(lc, filter->arms)
	{
		if (filter_needs_simple_collation(lfirst(lc)))
			return true;
	}
	return filter->form == FORM_TEXT &&
		(filter->kind == FILTER_COMPARE || filter->kind == FILTER_ALL) &&
		filter->strategy != BTEqualStrategyNumber;
}

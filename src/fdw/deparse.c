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
 *   Regular expressions look at no collation; deparse_pattern.c tells which
 *   of them mean the same on both sides.
 * - Dates have milliseconds, timestamps microseconds.
 * - A column of arrays holds nothing else.  Arrays within the array become
 *   dimensions; MongoDB looks at elements one level deep, so that such documents
 *   are let through.
 * - deparse_json.c tells how a jsonb says less than the document.
 * - The text of an ObjectId is equal to a text, and its time compares with a
 *   time, where the ObjectId is in a range: exact, as the column takes no
 *   other type.
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fdw/deparse.h"
#include "fdw/match.h"
#include "fdw/path.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/uuid.h"

/* What an integer column is compared with. */
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
		case FORM_OBJECTID_TEXT:
			*candidates = objectid_candidates(TextDatumGetCString(datum));
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

	switch (filter->form)
	{
		case FORM_TEXT:
			return list_make1(value_string(TextDatumGetCString(datum)));
		case FORM_NUMERIC:
			return number_exclusions(numeric_text(datum));
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
		case FORM_OBJECTID_TIME:
			return match_objectid_time(filter, BTEqualStrategyNumber, datum);
		case FORM_JSON_TEXT:
			return match_json_text(filter, TextDatumGetCString(datum));
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
			return match_range(filter->path, strategy, value_integer(integer_comparand(filter, datum)));
		case FORM_NUMERIC:
			return match_numeric_range(filter, strategy, datum);
		case FORM_FLOAT4:
		case FORM_FLOAT8:
			return match_float_range(filter, strategy, float_comparand(filter, datum));
		case FORM_TEXT:
			return match_text_range(filter, strategy, TextDatumGetCString(datum));
		case FORM_OBJECTID:
			return match_range(filter->path, strategy, value_objectid((uint8 *) DatumGetPointer(datum)));
		case FORM_DATE:
		case FORM_TIMESTAMP:
		case FORM_TIMESTAMPTZ:
			return match_timestamp_range(filter, strategy, datum);
		case FORM_OBJECTID_TIME:
			return match_objectid_time(filter, strategy, datum);
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

/* May the value be an array? */
static bool
form_is_many(const Filter *filter)
{
	switch (filter->form)
	{
		case FORM_NONE:
		case FORM_JSON:
		case FORM_JSON_TEXT:
			return true;
		default:
			return filter->kind >= FILTER_ELEMENT || OidIsValid(filter->cast_type);
	}
}

/*
 * column IS NOT NULL.  $ne looks for nulls in the arrays that the column may
 * hold, and takes a position in an array for a field of its elements as well,
 * which these mostly do not have.
 */
static bson_t *
match_not_null(const Filter *filter)
{
	if (form_is_many(filter) || path_has_position(filter->path))
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
	if (path_has_position(filter->path) || filter->form == FORM_JSON_TEXT ||
		OidIsValid(filter->cast_type))
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

/* The elements of an array. */
static ArrayType *
array_elements(const FilterValue *value, Datum **datums, bool **nulls, int *ndatums)
{
	ArrayType  *array = DatumGetArrayTypeP(value->value);
	int16		typlen;
	bool		typbyval;
	char		typalign;

	get_typlenbyvalalign(ARR_ELEMTYPE(array), &typlen, &typbyval, &typalign);
	deconstruct_array(array, ARR_ELEMTYPE(array), typlen, typbyval, typalign,
					  datums, nulls, ndatums);
	return array;
}

/* column = ANY (comparand), column <> ALL (comparand) */
static bson_t *
match_array(const Filter *filter, const FilterValue *value)
{
	Datum	   *datums;
	bool	   *nulls;
	int			ndatums;

	if (value->isnull)
		return NULL;
	array_elements(value, &datums, &nulls, &ndatums);
	return filter->kind == FILTER_ANY ?
		match_equal(filter, datums, nulls, ndatums) :
		match_not_equal(filter, datums, nulls, ndatums);
}

/* The least of the values of BSON that those of a form mostly are. */
static bson_value_t *
least_value(FilterForm form)
{
	static const uint8 zeros[UUID_LEN] = {0};

	switch (form)
	{
		case FORM_BOOLEAN:
			return value_boolean(false);
		case FORM_TEXT:
			return value_string("");
		case FORM_OBJECTID:
			return value_objectid(zeros);
		case FORM_UUID:
			return value_uuid(zeros, BSON_SUBTYPE_UUID_DEPRECATED);
		case FORM_DATE:
		case FORM_TIMESTAMP:
		case FORM_TIMESTAMPTZ:
			return value_date(PG_INT64_MIN);
		default:
			return value_double(-INFINITY);
	}
}

/*
 * What matches by the elements of the column, or may do so by those of arrays
 * within it, which become dimensions, and which MongoDB does not look into.
 * They are of one length, so that the first tells.  That is nothing for an
 * index, which has them as values among the others; so it is asked as well for
 * what elements mostly are not.
 */
static bson_t *
match_or_dimensions(const Filter *filter, bson_t *match)
{
	bson_t	   *other;
	bson_t	   *dimensions;

	if (match == NULL)
		return NULL;
	other = match_operators("$elemMatch",
							"$not", value_document(match_value("$gte", least_value(filter->form))),
							"$ne", value_new(BSON_TYPE_NULL));
	dimensions = match_all_of(list_make2(match_value(filter->path, value_document(other)),
										 match_type(psprintf("%s.0", filter->path), "array")));
	return match_one_of(list_make2(match, dimensions));
}

/* comparand = ANY (column), comparand <> ALL (column) */
static bson_t *
match_element(const Filter *filter, const FilterValue *value)
{
	if (filter->kind == FILTER_NO_ELEMENT)
		/* NULL differs from no element of an empty array. */
		return value->isnull ? match_not_null(filter) :
			match_not_equal(filter, &value->value, &value->isnull, 1);
	if (value->isnull)
		return NULL;
	return match_or_dimensions(filter, match_equal(filter, &value->value, &value->isnull, 1));
}

/* Each of the datums that are not NULL is an element of the column. */
static bson_t *
match_each(const Filter *filter, const Datum *datums, const bool *nulls, int ndatums)
{
	List	   *matches = NIL;

	for (int i = 0; i < ndatums; i++)
	{
		if (!nulls[i])
			matches = lappend(matches, match_equal(filter, &datums[i], &nulls[i], 1));
	}
	return match_all_of(matches);
}

/* column = comparand, of arrays: as many elements, and these; dimensions are only counted. */
static bson_t *
match_same_elements(const Filter *filter, const ArrayType *array,
					const Datum *datums, const bool *nulls, int ndatums)
{
	bson_value_t *size = value_integer(ARR_NDIM(array) == 0 ? 0 : ARR_DIMS(array)[0]);

	return match_all_of(list_make2(match_operator(filter->path, "$size", size),
								   ARR_NDIM(array) > 1 ? match_new() :
								   match_each(filter, datums, nulls, ndatums)));
}

/* column && comparand, column @> comparand, column = comparand, of arrays */
static bson_t *
match_elements(const Filter *filter, const FilterValue *value)
{
	ArrayType  *array;
	Datum	   *datums;
	bool	   *nulls;
	int			ndatums;

	if (value->isnull)
		return NULL;
	array = array_elements(value, &datums, &nulls, &ndatums);
	if (filter->kind == FILTER_SAME_ELEMENTS)
		return match_same_elements(filter, array, datums, nulls, ndatums);
	if (filter->kind == FILTER_OVERLAPS)
		return match_or_dimensions(filter, match_equal(filter, datums, nulls, ndatums));

	/* Every array contains nothing, and none a NULL. */
	if (ndatums == 0)
		return match_not_null(filter);
	for (int i = 0; i < ndatums; i++)
	{
		if (nulls[i])
			return NULL;
	}
	return match_or_dimensions(filter, match_each(filter, datums, nulls, ndatums));
}

/* column ? comparand, column ?| comparand, column ?& comparand: NULLs are no keys. */
static bson_t *
match_keys(const Filter *filter, const FilterValue *value)
{
	Datum	   *datums;
	bool	   *nulls;
	int			ndatums;
	List	   *matches = NIL;

	if (value->isnull)
		return NULL;
	if (filter->kind == FILTER_KEY)
		return match_json_key(filter, TextDatumGetCString(value->value));
	array_elements(value, &datums, &nulls, &ndatums);
	for (int i = 0; i < ndatums; i++)
	{
		if (!nulls[i])
			matches = lappend(matches, match_json_key(filter, TextDatumGetCString(datums[i])));
	}
	return filter->kind == FILTER_ANY_KEY ? match_one_of(matches) : match_all_of(matches);
}

/* column LIKE comparand, and the like */
static bson_t *
match_like(const Filter *filter, const FilterValue *value)
{
	Pattern		pattern;
	Datum		equal;
	bool		null = false;

	if (value->isnull)
		return NULL;
	pattern_read(&pattern, filter, TextDatumGetCString(value->value));
	if (pattern.pieces == NIL)
		return match_not_null(filter);
	if (filter->negated)
		return pattern.exact && filter->form == FORM_TEXT && !path_has_position(filter->path) ?
			match_not_pattern(filter->path, &pattern) : match_not_null(filter);
	if (pattern.equal != NULL)
	{
		equal = CStringGetTextDatum(pattern.equal);
		return match_equal(filter, &equal, &null, 1);
	}
	return match_pattern(filter->path, &pattern, filter->form == FORM_JSON_TEXT ?
						 match_no_string(filter->path) :
						 match_other_text(filter->path, pattern.literals, pattern.fold));
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

/* The operator that stands for a condition whose comparand is not known. */
static const char *
placeholder_operator(const Filter *filter)
{
	static const char *const operators[] = {NULL, "$lt", "$lte", "$eq", "$gte", "$gt", "$ne"};

	switch (filter->kind)
	{
		case FILTER_COMPARE:
			return operators[filter->strategy];
		case FILTER_PATTERN:
			return filter->negated ? "$not" : "$regex";
		case FILTER_ALL:
			return "$nin";
		case FILTER_NO_ELEMENT:
			return "$ne";
		case FILTER_ELEMENT:
		case FILTER_SAME_ELEMENTS:
			return "$eq";
		case FILTER_CONTAINS:
			return "$all";
		case FILTER_KEY:
		case FILTER_ANY_KEY:
		case FILTER_ALL_KEYS:
			return "$exists";
		default:
			return "$in";
	}
}

/* A condition whose comparand is not known: its operator and a placeholder. */
static bson_t *
match_placeholder(const Filter *filter, int number)
{
	bson_value_t *placeholder = value_string(psprintf("$%d", number));

	if (*filter->path == '\0')
		return match_value(placeholder_operator(filter), placeholder);
	return match_operator(filter->path, placeholder_operator(filter), placeholder);
}

/* A condition whose comparand is known. */
static bson_t *
match_known(const Filter *filter, const FilterValue *value)
{
	switch (filter->kind)
	{
		case FILTER_COMPARE:
			return match_comparison(filter, value);
		case FILTER_PATTERN:
			return match_like(filter, value);
		case FILTER_ANY:
		case FILTER_ALL:
			return match_array(filter, value);
		case FILTER_ELEMENT:
		case FILTER_NO_ELEMENT:
			return match_element(filter, value);
		case FILTER_CONTAINS:
			if (filter->form == FORM_JSON)
				return value->isnull ? NULL :
					match_json_contains(filter, DatumGetJsonbP(value->value));
			return match_elements(filter, value);
		case FILTER_OVERLAPS:
		case FILTER_SAME_ELEMENTS:
			return match_elements(filter, value);
		case FILTER_KEY:
		case FILTER_ANY_KEY:
		case FILTER_ALL_KEYS:
			return match_keys(filter, value);
		default:
			elog(ERROR, "unexpected kind %d of filter", (int) filter->kind);
	}
}

/*
 * The same, of what may have to be cast.  Into an array that stands at a position
 * in another MongoDB does not look.
 */
static bson_t *
match_with_comparand(const Filter *filter, const FilterValue *value)
{
	bson_t	   *match = match_known(filter, value);

	if (match != NULL && filter->kind >= FILTER_ELEMENT && path_ends_in_position(filter->path))
		return match_one_of(list_make2(match, match_type(filter->path, "array")));
	/* What is negative says no more than that there is a value. */
	if (!OidIsValid(filter->cast_type) || value->isnull || filter->kind == FILTER_ALL ||
		filter->strategy == STRATEGY_NOT_EQUAL)
		return match;
	return match_json_cast(filter, match);
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
			return match_with_comparand(filter, &values[filter->comparand]);
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

	if (filter == NULL)
		return false;
	foreach(lc, filter->arms)
	{
		if (filter_needs_simple_collation(lfirst(lc)))
			return true;
	}
	return filter->form == FORM_TEXT &&
		(filter->kind == FILTER_COMPARE || filter->kind == FILTER_ALL ||
		 filter->kind == FILTER_NO_ELEMENT) &&
		filter->strategy != BTEqualStrategyNumber;
}

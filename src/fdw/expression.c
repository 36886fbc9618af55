/*
 * expression.c
 *	  Filters as expressions of MongoDB's aggregation, for values that decode.
 *
 * A match document and an expression say different things.  An expression
 * compares across types, all in one order with null and what is missing at its
 * low end, and takes an array for one value; a match document compares within a
 * type, and looks into arrays.  So an expression is the same as a Filter only
 * where all values of its columns are known to be of the columns' types, which
 * the facts about a group tell (see group.c); then just null and missing are
 * to be kept apart, from what is less.
 *
 * The values to compare with are those of the match document, so that
 * deparse.c alone knows them; a range of numbers may be a little too wide, as
 * there.
 */
#include "postgres.h"
#include "compat.h"

#include "fdw/expression.h"
#include "fdw/match.h"
#include "miscadmin.h"

/* Can the expression be the filter's? */
bool
filter_is_expressible(const Filter *filter)
{
	ListCell   *lc;

	switch (filter->kind)
	{
		case FILTER_AND:
		case FILTER_OR:
			foreach(lc, filter->arms)
			{
				if (!filter_is_expressible(lfirst(lc)))
					return false;
			}
			return !filter->partial;
		case FILTER_NULL:
		case FILTER_NOT_NULL:
			return true;
		case FILTER_COMPARE:
		case FILTER_ANY:
		case FILTER_ALL:
			break;
		default:
			return false;
	}
	if (OidIsValid(filter->cast_type))
		return false;
	switch (filter->form)
	{
		case FORM_BOOLEAN:
		case FORM_INTEGER:
		case FORM_OBJECTID:
		case FORM_OBJECTID_TEXT:
		case FORM_OBJECTID_TIME:
		case FORM_UUID:
		case FORM_TIMESTAMP:
		case FORM_TIMESTAMPTZ:
			return true;
		default:
			return false;
	}
}

/* {operator: ["$path", value]} */
static bson_t *
compare(const char *path, const char *operator, const bson_value_t *value)
{
	return match_values(operator, list_make2(value_string(psprintf("$%s", path)),
											 unconstify(bson_value_t *, value)));
}

/* The field has a value: what is missing, undefined or null is not above null. */
static bson_t *
is_not_null(const char *path)
{
	return compare(path, "$gt", value_new(BSON_TYPE_NULL));
}

/* The field has a value, and it is not what the expression says. */
static bson_t *
is_other(const char *path, bson_t *expression)
{
	return match_combine("$and", list_make2(is_not_null(path),
											match_combine("$not", list_make1(expression))));
}

/* path: {operator: value} of a match document */
static bson_t *
expression_from_operator(const char *path, const char *operator, const bson_value_t *value)
{
	if (strcmp(operator, "$ne") == 0)
		return value->value_type == BSON_TYPE_NULL ? is_not_null(path) :
			is_other(path, compare(path, "$eq", value));
	/* What is less than NaN. */
	if (strcmp(operator, "$type") == 0)
		return match_value("$isNumber", value_string(psprintf("$%s", path)));
	if (strcmp(operator, "$nin") == 0)
		return is_other(path, compare(path, "$in", value));
	if (strcmp(operator, "$lt") == 0 || strcmp(operator, "$lte") == 0)
		return match_combine("$and", list_make2(is_not_null(path), compare(path, operator, value)));
	return compare(path, operator, value);
}

/* path: value, or path: {operator: value, ...}, of a match document */
static bson_t *
expression_from_field(const bson_iter_t *field)
{
	const char *path = bson_iter_key(field);
	List	   *expressions = NIL;
	bson_iter_t iter;

	if (!BSON_ITER_HOLDS_DOCUMENT(field))
		return compare(path, "$eq", bson_iter_value(unconstify(bson_iter_t *, field)));
	if (!bson_iter_recurse(field, &iter))
		elog(ERROR, "cannot read a condition");
	while (bson_iter_next(&iter))
		expressions = lappend(expressions,
							  expression_from_operator(path, bson_iter_key(&iter),
													   bson_iter_value(&iter)));
	return list_length(expressions) == 1 ? linitial(expressions) :
		match_combine("$and", expressions);
}

/* $or: [...] of a match document */
static bson_t *
expression_from_list(const bson_iter_t *field)
{
	List	   *expressions = NIL;
	bson_iter_t iter;

	if (!bson_iter_recurse(field, &iter))
		elog(ERROR, "cannot read a condition");
	while (bson_iter_next(&iter))
	{
		const bson_value_t *match = bson_iter_value(&iter);
		bson_iter_t inner;

		if (!bson_iter_init_from_data(&inner, match->value.v_doc.data, match->value.v_doc.data_len) ||
			!bson_iter_next(&inner))
			elog(ERROR, "cannot read a condition");
		expressions = lappend(expressions, expression_from_field(&inner));
	}
	return match_combine(bson_iter_key(field), expressions);
}

/* The match document of one condition; NULL is one that is never true. */
static bson_t *
expression_from_match(const bson_t *match)
{
	List	   *expressions = NIL;
	bson_iter_t iter;

	if (match == NULL)
		return match_combine("$or", NIL);
	if (!bson_iter_init(&iter, match))
		elog(ERROR, "cannot read a condition");
	while (bson_iter_next(&iter))
		expressions = lappend(expressions, *bson_iter_key(&iter) == '$' ?
							  expression_from_list(&iter) : expression_from_field(&iter));
	return list_length(expressions) == 1 ? linitial(expressions) :
		match_combine("$and", expressions);
}

/* The expression that is true where the filter is. */
bson_t *
filter_to_expression(const Filter *filter, const FilterValue *values)
{
	List	   *arms = NIL;
	ListCell   *lc;

	check_stack_depth();
	switch (filter->kind)
	{
		case FILTER_AND:
		case FILTER_OR:
			foreach(lc, filter->arms)
				arms = lappend(arms, filter_to_expression(lfirst(lc), values));
			return match_combine(filter->kind == FILTER_AND ? "$and" : "$or", arms);
		case FILTER_NULL:
			return match_combine("$not", list_make1(is_not_null(filter->path)));
		default:
			return expression_from_match(filter_to_bson(filter, values));
	}
}

/*
 * filter.c
 *	  Filters as values: joined, asked about, and carried by a plan.
 */
#include "postgres.h"
#include "compat.h"

#include "executor/executor.h"
#include "fdw/filter.h"
#include "fdw/path.h"

/* The filter that all of the given ones make together; NULL for an empty list. */
Filter *
filter_all_of(List *filters)
{
	Filter	   *filter;
	ListCell   *lc;

	if (list_length(filters) <= 1)
		return filters == NIL ? NULL : linitial(filters);
	filter = palloc0(sizeof(Filter));
	filter->kind = FILTER_AND;
	filter->arms = filters;
	filter->exact = true;
	foreach(lc, filters)
		filter->exact &= ((Filter *) lfirst(lc))->exact;
	return filter;
}

/* The bounds that one condition gives its path. */
static FilterBounds
condition_bounds(const Filter *filter)
{
	switch (filter->kind)
	{
		case FILTER_COMPARE:
			if (filter->strategy == STRATEGY_NOT_EQUAL)
				return BOUNDS_NONE;
			return filter->strategy == BTEqualStrategyNumber && filter->form != FORM_OBJECTID_TIME ?
				BOUNDS_POINT : BOUNDS_RANGE;
		case FILTER_ANY:
			return BOUNDS_POINTS;
		case FILTER_PATTERN:
			return filter->strategy == PATTERN_PREFIX && !filter->negated ?
				BOUNDS_RANGE : BOUNDS_NONE;
		default:
			return BOUNDS_NONE;
	}
}

/* How a filter bounds the values of a path. */
FilterBounds
filter_bounds(const Filter *filter, const char *path)
{
	return filter->path != NULL && strcmp(filter->path, path) == 0 ?
		condition_bounds(filter) : BOUNDS_NONE;
}

/* Does a condition leave its column one value, or none?  Or some strings that are valid? */
bool
filter_pins(const Filter *filter)
{
	return filter->kind == FILTER_NULL ||
		(filter->kind == FILTER_ANY && filter->form == FORM_TEXT) ||
		(filter->kind == FILTER_COMPARE && filter->strategy == BTEqualStrategyNumber);
}

/*
 * Is the condition exact for documents whose columns are known to decode,
 * although shippable.c may not call it so?  Those have no arrays, nor undefined
 * where the condition is that there is a value, or another one.
 */
bool
filter_is_exact_of_decoded(const Filter *filter)
{
	switch (filter->kind)
	{
		case FILTER_NULL:
		case FILTER_NOT_NULL:
			return true;
		case FILTER_COMPARE:
		case FILTER_ANY:
			break;
		default:
			return filter->exact;
	}
	switch (filter->form)
	{
		case FORM_BOOLEAN:
		case FORM_INTEGER:
		case FORM_OBJECTID:
		case FORM_UUID:
		case FORM_DATE:
		case FORM_TIMESTAMP:
		case FORM_TIMESTAMPTZ:
			return !OidIsValid(filter->cast_type);
		case FORM_TEXT:
			return filter_pins(filter) && !OidIsValid(filter->cast_type);
		default:
			return filter->exact;
	}
}

/* A filter as a list that a plan can carry; NIL for none. */
List *
filter_save(const Filter *filter)
{
	List	   *arms = NIL;
	List	   *saved;
	ListCell   *lc;

	if (filter == NULL)
		return NIL;
	foreach(lc, filter->arms)
		arms = lappend(arms, filter_save(lfirst(lc)));
	saved = list_make5(makeInteger(filter->kind), arms,
					   makeString(filter->path == NULL ? "" : filter->path),
					   makeInteger(filter->form), makeInteger(filter->strategy));
	saved = lappend(saved, makeBoolean(filter->negated));
	saved = lappend(saved, makeInteger((int) filter->collation));
	saved = lappend(saved, makeInteger(filter->json_mode));
	saved = lappend(saved, makeInteger((int) filter->cast_type));
	saved = lappend(saved, makeInteger(filter->comparand));
	saved = lappend(saved, makeInteger((int) filter->comparand_type));
	return saved;
}

/* The filter from such a list. */
Filter *
filter_load(List *saved)
{
	Filter	   *filter;
	ListCell   *lc;

	if (saved == NIL)
		return NULL;
	filter = palloc0(sizeof(Filter));
	filter->kind = intVal(linitial(saved));
	foreach(lc, (List *) lsecond(saved))
		filter->arms = lappend(filter->arms, filter_load(lfirst(lc)));
	filter->path = strVal(lthird(saved));
	filter->form = intVal(lfourth(saved));
	filter->strategy = intVal(list_nth(saved, 4));
	filter->negated = boolVal(list_nth(saved, 5));
	filter->collation = (Oid) intVal(list_nth(saved, 6));
	filter->json_mode = intVal(list_nth(saved, 7));
	filter->cast_type = (Oid) intVal(list_nth(saved, 8));
	filter->comparand = intVal(list_nth(saved, 9));
	filter->comparand_type = (Oid) intVal(list_nth(saved, 10));
	return filter;
}

/* The values of comparands that are constants, and numbers for the others. */
FilterValue *
filter_values_known(List *comparands)
{
	FilterValue *values = palloc0(Max(list_length(comparands), 1) * sizeof(FilterValue));
	int			unknown = 0;
	ListCell   *lc;

	foreach(lc, comparands)
	{
		FilterValue *value = &values[foreach_current_index(lc)];
		Const	   *constant = lfirst(lc);

		value->known = IsA(constant, Const);
		if (value->known)
		{
			value->isnull = constant->constisnull;
			value->value = constant->constvalue;
		}
		else
			value->number = ++unknown;
	}
	return values;
}

/* Evaluates comparands from one index up to another. */
void
filter_values_evaluate(FilterValue *values, List *comparands, int first, int end,
					   ExprContext *econtext)
{
	for (int i = first; i < end; i++)
	{
		values[i].value = ExecEvalExpr((ExprState *) list_nth(comparands, i), econtext,
									   &values[i].isnull);
		values[i].known = true;
	}
}

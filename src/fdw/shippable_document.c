/*
 * shippable_document.c
 *	  Which conditions on arrays and jsonb MongoDB can evaluate.
 *
 * None of these is exact: an array in BSON may be of several dimensions, into
 * which MongoDB does not look, and jsonb has lost the types of BSON.
 */
#include "postgres.h"
#include "compat.h"

#include "catalog/pg_type.h"
#include "fdw/shippable.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

/* Can elements of the form be compared with others of the type for equality? */
static bool
elements_are_shippable(const Filter *filter, Oid comparand_type, Oid collation)
{
	return comparison_is_shippable(filter->form, BTEqualStrategyNumber, comparand_type, collation);
}

/* column @> comparand, column && comparand, column = comparand, of arrays */
static Filter *
filter_from_array(ClauseContext *context, FilterKind kind, Node *column, Node *comparand,
				  Oid collation)
{
	Filter	   *filter = array_operand_filter(context, kind, column);
	Oid			element = filter == NULL ? InvalidOid :
		getBaseType(get_element_type(getBaseType(exprType(comparand))));

	if (filter == NULL || !elements_are_shippable(filter, element, collation))
		return NULL;
	filter->comparand_type = element;
	return filter;
}

/* A condition on a column, by the operator's function; not yet with its comparand. */
static Filter *
filter_from_column_and_comparand(ClauseContext *context, Oid function, Node *column,
								 Node *comparand, Oid collation)
{
	switch (function)
	{
		case F_ARRAYCONTAINS:
			return filter_from_array(context, FILTER_CONTAINS, column, comparand, collation);
		case F_ARRAYOVERLAP:
			return filter_from_array(context, FILTER_OVERLAPS, column, comparand, collation);
		case F_ARRAY_EQ:
			return filter_from_array(context, FILTER_SAME_ELEMENTS, column, comparand, collation);
		case F_JSONB_CONTAINS:
		case F_JSONB_EQ:
			/* What is equal contains. */
			return json_operand_filter(context, FILTER_CONTAINS, column);
		case F_JSONB_EXISTS:
			return json_operand_filter(context, FILTER_KEY, column);
		case F_JSONB_EXISTS_ANY:
			return json_operand_filter(context, FILTER_ANY_KEY, column);
		case F_JSONB_EXISTS_ALL:
			return json_operand_filter(context, FILTER_ALL_KEYS, column);
		default:
			return NULL;
	}
}

/* left <operator> right, of which left has the column */
Filter *
filter_from_containment(ClauseContext *context, Oid operator, Node *left, Node *right,
						Oid collation)
{
	Filter	   *filter;

	if (!is_comparand(context, right))
		return NULL;
	filter = filter_from_column_and_comparand(context, get_opcode(operator), left, right, collation);
	if (filter != NULL)
		filter->comparand = add_comparand(context, right);
	return filter;
}

/* comparand = ANY (column), comparand <> ALL (column) */
Filter *
filter_from_element(ClauseContext *context, ScalarArrayOpExpr *clause)
{
	Node	   *left = linitial(clause->args);
	Node	   *right = lsecond(clause->args);
	Oid			operator = get_commutator(clause->opno);
	Oid			element;
	Oid			comparand;
	Filter	   *filter;

	if (!OidIsValid(operator) || !is_comparand(context, left))
		return NULL;
	filter = array_operand_filter(context, clause->useOr ? FILTER_ELEMENT : FILTER_NO_ELEMENT, right);
	if (filter == NULL)
		return NULL;
	op_input_types(operator, &element, &comparand);
	if (filter_type_form(element) != filter->form ||
		operator_strategy(operator, element) !=
		(clause->useOr ? BTEqualStrategyNumber : STRATEGY_NOT_EQUAL) ||
		!elements_are_shippable(filter, comparand, clause->inputcollid))
		return NULL;
	filter->comparand_type = comparand;
	filter->comparand = add_comparand(context, left);
	return filter;
}

/*
 * shippable.c
 *	  Which conditions MongoDB can evaluate: expressions to Filters.
 *
 * Shipped are comparisons of a column with something that the scan can
 * evaluate beforehand (a constant, a parameter, a column of another table in a
 * parameterised path, any expression of these that is not volatile), by the
 * operators of the column type's own btree family; = ANY and <> ALL with such
 * an array; LIKE, ^@ and regular expressions; what is in an array or a jsonb;
 * boolean columns; IS [NOT] NULL; and AND and OR of these.  A NOT before most
 * conditions never reaches us: the planner has moved it into them.
 *
 * What each means remotely, and when it is exact, is told in deparse.c.
 */
#include "postgres.h"
#include "compat.h"

#include "catalog/pg_type.h"
#include "fdw/fdw.h"
#include "fdw/path.h"
#include "fdw/shippable.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/pg_locale.h"
#include "utils/typcache.h"

/*
 * How many ANDs and ORs may be within each other.  Each is two levels of a
 * document, of which MongoDB takes 200.
 */
#define MAX_NESTING 30

static Filter *filter_from_node(ClauseContext *context, Node *node);

/* Can the scan evaluate the expression beforehand, once? */
bool
is_comparand(ClauseContext *context, Node *node)
{
	return !bms_is_member(context->rel->relid, pull_varnos(context->root, node)) &&
		!contain_volatile_functions(node) &&
		!contain_subplans(node);
}

/* Remembers a comparand; returns its index. */
int
add_comparand(ClauseContext *context, Node *node)
{
	*context->comparands = lappend(*context->comparands, node);
	return list_length(*context->comparands) - 1;
}

/*
 * The operator's strategy in the btree family of its left type, or
 * InvalidStrategy.  The equality's negator counts as a strategy too.
 */
int
operator_strategy(Oid operator, Oid lefttype)
{
	Oid			family = lookup_type_cache(lefttype, TYPECACHE_BTREE_OPFAMILY)->btree_opf;
	int			strategy;
	Oid			negator;

	if (!OidIsValid(family))
		return InvalidStrategy;
	strategy = get_op_opfamily_strategy(operator, family);
	if (strategy != InvalidStrategy)
		return strategy;
	negator = get_negator(operator);
	if (OidIsValid(negator) &&
		get_op_opfamily_strategy(negator, family) == BTEqualStrategyNumber)
		return STRATEGY_NOT_EQUAL;
	return InvalidStrategy;
}

/*
 * Do strings compare as bytes, as they do in MongoDB by the simple collation?
 * Only UTF-8 has the same order of bytes on both sides.
 */
static bool
text_is_shippable(int strategy, Oid collation)
{
	if (GetDatabaseEncoding() != PG_UTF8 || !OidIsValid(collation))
		return false;
	if (strategy == BTEqualStrategyNumber || strategy == STRATEGY_NOT_EQUAL)
		return get_collation_isdeterministic(collation);
	return MM_COLLATION_IS_C(collation);
}

/* Can a column of the form be compared with a value of the type, under the collation? */
bool
comparison_is_shippable(FilterForm form, int strategy, Oid comparand_type, Oid collation)
{
	FilterForm	other = filter_type_form(comparand_type);

	switch (form)
	{
		case FORM_NONE:
		case FORM_JSON:
			return false;
		case FORM_BOOLEAN:
		case FORM_UUID:
			/* MongoDB orders binaries by their subtype first. */
			return other == form &&
				(strategy == BTEqualStrategyNumber || strategy == STRATEGY_NOT_EQUAL);
		case FORM_FLOAT4:
		case FORM_FLOAT8:
			return other == FORM_FLOAT4 || other == FORM_FLOAT8;
		case FORM_TEXT:
			return other == FORM_TEXT && text_is_shippable(strategy, collation);
		case FORM_OBJECTID_TEXT:
		case FORM_JSON_TEXT:
			return other == FORM_TEXT &&
				(strategy == BTEqualStrategyNumber || strategy == STRATEGY_NOT_EQUAL) &&
				text_is_shippable(strategy, collation);
		case FORM_DATE:
		case FORM_TIMESTAMP:
			return other == FORM_TIMESTAMP || other == FORM_DATE;
		case FORM_TIMESTAMPTZ:
		case FORM_OBJECTID_TIME:
			return other == FORM_TIMESTAMPTZ || other == FORM_TIMESTAMP || other == FORM_DATE;
		default:
			return other == form;
	}
}

/* Does MongoDB return just the rows that PostgreSQL would keep? */
static bool
comparison_is_exact(const Filter *filter)
{
	if (OidIsValid(filter->cast_type) || PATH_IS_NESTED(filter->path) ||
		filter->strategy == STRATEGY_NOT_EQUAL)
		return false;
	switch (filter->form)
	{
		case FORM_NUMERIC:
		case FORM_FLOAT4:
		case FORM_FLOAT8:
		case FORM_TEXT:
		case FORM_JSON_TEXT:
			return false;
		default:
			return true;
	}
}

/* How a function that compares with a pattern reads it, and whether it says no; false for any other. */
static bool
pattern_kind(Oid function, int *kind, bool *negated)
{
	static const struct
	{
		Oid			function;
		PatternKind kind;
		bool		negated;
	}			patterns[] =
	{
		{F_TEXTLIKE, PATTERN_LIKE, false},
		{F_TEXTNLIKE, PATTERN_LIKE, true},
		{F_TEXTICLIKE, PATTERN_ILIKE, false},
		{F_TEXTICNLIKE, PATTERN_ILIKE, true},
		{F_STARTS_WITH, PATTERN_PREFIX, false},
		{F_TEXTREGEXEQ, PATTERN_REGEX, false},
		{F_TEXTREGEXNE, PATTERN_REGEX, true},
		{F_TEXTICREGEXEQ, PATTERN_IREGEX, false},
		{F_TEXTICREGEXNE, PATTERN_IREGEX, true}
	};

	for (int i = 0; i < lengthof(patterns); i++)
	{
		if (patterns[i].function != function)
			continue;
		*kind = patterns[i].kind;
		*negated = patterns[i].negated;
		return true;
	}
	return false;
}

/* column LIKE comparand, and the like: the function of an operator, or one that is called. */
static Filter *
filter_from_pattern(ClauseContext *context, Oid function, List *args, Oid collation)
{
	int			kind;
	bool		negated;
	Filter	   *filter;

	if (!pattern_kind(function, &kind, &negated))
		return NULL;
	filter = operand_filter(context, FILTER_PATTERN, linitial(args));
	if (filter == NULL || operand_compared_form(filter->form) != FORM_TEXT ||
		filter->form == FORM_OBJECTID_TEXT || !is_comparand(context, lsecond(args)) ||
		!text_is_shippable(BTEqualStrategyNumber, collation))
		return NULL;
	filter->strategy = kind;
	filter->negated = negated;
	filter->collation = collation;
	filter->comparand_type = TEXTOID;
	filter->comparand = add_comparand(context, lsecond(args));
	return filter;
}

/* A function that is called: starts_with(). */
static Filter *
filter_from_function(ClauseContext *context, FuncExpr *call)
{
	return filter_from_pattern(context, call->funcid, call->args, call->inputcollid);
}

/* Fills in how the operand of a filter is compared; false where MongoDB compares otherwise. */
static bool
set_comparison(Filter *filter, Oid operator, Oid collation)
{
	Oid			lefttype;

	op_input_types(operator, &lefttype, &filter->comparand_type);
	if (filter_type_form(lefttype) != operand_compared_form(filter->form))
		return false;
	filter->strategy = operator_strategy(operator, lefttype);
	filter->exact = comparison_is_exact(filter);
	return filter->strategy != InvalidStrategy &&
		comparison_is_shippable(filter->form, filter->strategy, filter->comparand_type, collation);
}

/* column <operator> comparand, or the other way round. */
static Filter *
filter_from_operator(ClauseContext *context, OpExpr *clause)
{
	Oid			operator = clause->opno;
	Node	   *left;
	Node	   *right;
	Filter	   *filter;

	if (list_length(clause->args) != 2)
		return NULL;
	filter = filter_from_pattern(context, get_opcode(operator), clause->args, clause->inputcollid);
	if (filter != NULL)
		return filter;
	left = linitial(clause->args);
	right = lsecond(clause->args);
	if (!bms_is_member(context->rel->relid, pull_varnos(context->root, left)))
	{
		Node	   *swap = left;

		left = right;
		right = swap;
		operator = get_commutator(operator);
		if (!OidIsValid(operator))
			return NULL;
	}

	filter = filter_from_containment(context, operator, left, right, clause->inputcollid);
	if (filter != NULL)
		return filter;
	filter = operand_filter(context, FILTER_COMPARE, left);
	if (filter == NULL || !is_comparand(context, right) ||
		!set_comparison(filter, operator, clause->inputcollid))
		return NULL;
	filter->comparand = add_comparand(context, right);
	return filter;
}

/* column = ANY (comparand), column <> ALL (comparand) */
static Filter *
filter_from_array_operator(ClauseContext *context, ScalarArrayOpExpr *clause)
{
	Node	   *left = linitial(clause->args);
	Node	   *right = lsecond(clause->args);
	Filter	   *filter = filter_from_element(context, clause);

	if (filter != NULL)
		return filter;
	filter = operand_filter(context, clause->useOr ? FILTER_ANY : FILTER_ALL, left);
	if (filter == NULL || !is_comparand(context, right) ||
		!set_comparison(filter, clause->opno, clause->inputcollid) ||
		filter->strategy != (clause->useOr ? BTEqualStrategyNumber : STRATEGY_NOT_EQUAL))
		return NULL;
	filter->comparand = add_comparand(context, right);
	return filter;
}

/* A boolean column that must be true, or false. */
static Filter *
filter_from_boolean(ClauseContext *context, Node *column, bool value)
{
	Filter	   *filter = operand_filter(context, FILTER_COMPARE, column);

	if (filter == NULL || filter->form != FORM_BOOLEAN)
		return NULL;
	filter->strategy = BTEqualStrategyNumber;
	filter->comparand_type = BOOLOID;
	filter->exact = comparison_is_exact(filter);
	filter->comparand = add_comparand(context, makeBoolConst(value, false));
	return filter;
}

/* column IS [NOT] NULL */
static Filter *
filter_from_null_test(ClauseContext *context, NullTest *clause)
{
	bool		is_null = clause->nulltesttype == IS_NULL;
	Filter	   *filter;

	if (clause->argisrow)
		return NULL;
	filter = operand_filter(context, is_null ? FILTER_NULL : FILTER_NOT_NULL, (Node *) clause->arg);
	if (filter == NULL)
		return NULL;
	/* A cast that fails is an error. */
	if (is_null && (path_has_position(filter->path) || OidIsValid(filter->cast_type)))
		return NULL;
	filter->exact = is_null && filter->form != FORM_NONE && filter->form != FORM_JSON &&
		filter->form != FORM_JSON_TEXT && !PATH_IS_NESTED(filter->path);
	return filter;
}

/* NOT before a condition that has no negator: the others never come here. */
static Filter *
filter_from_not(ClauseContext *context, Node *node)
{
	Filter	   *filter;

	if (!IsA(node, FuncExpr))
		return filter_from_boolean(context, node, false);
	filter = filter_from_function(context, (FuncExpr *) node);
	if (filter != NULL)
		filter->negated = !filter->negated;
	return filter;
}

/*
 * AND or OR.  Arms of an AND that cannot be shipped are left out, which makes
 * it a superset; an OR needs all of its arms.  So what is nested too deep is
 * left out of the AND around it.
 */
static Filter *
filter_from_bool(ClauseContext *context, BoolExpr *clause)
{
	Filter	   *filter = palloc0(sizeof(Filter));
	ListCell   *lc;

	filter->kind = clause->boolop == AND_EXPR ? FILTER_AND : FILTER_OR;
	filter->exact = true;
	foreach(lc, clause->args)
	{
		int			ncomparands = list_length(*context->comparands);
		Filter	   *arm = filter_from_node(context, lfirst(lc));

		if (arm == NULL)
		{
			*context->comparands = list_truncate(*context->comparands, ncomparands);
			if (filter->kind == FILTER_OR)
				return NULL;
			filter->exact = false;
			filter->partial = true;
			continue;
		}
		filter->arms = lappend(filter->arms, arm);
		filter->exact &= arm->exact;
	}
	return filter->arms == NIL ? NULL : filter;
}

/* AND, OR or NOT. */
static Filter *
filter_from_bool_or_not(ClauseContext *context, BoolExpr *clause)
{
	Filter	   *filter = NULL;

	if (clause->boolop == NOT_EXPR)
		return filter_from_not(context, linitial(clause->args));
	if (context->depth++ < MAX_NESTING)
		filter = filter_from_bool(context, clause);
	context->depth--;
	return filter;
}

/* Any condition. */
static Filter *
filter_from_node(ClauseContext *context, Node *node)
{
	switch (nodeTag(node))
	{
		case T_OpExpr:
			return filter_from_operator(context, (OpExpr *) node);
		case T_FuncExpr:
			return filter_from_function(context, (FuncExpr *) node);
		case T_ScalarArrayOpExpr:
			return filter_from_array_operator(context, (ScalarArrayOpExpr *) node);
		case T_NullTest:
			return filter_from_null_test(context, (NullTest *) node);
		case T_BoolExpr:
			return filter_from_bool_or_not(context, (BoolExpr *) node);
		case T_BooleanTest:
			{
				BooleanTest *test = (BooleanTest *) node;

				if (test->booltesttype != IS_TRUE && test->booltesttype != IS_FALSE)
					return NULL;
				return filter_from_boolean(context, (Node *) test->arg,
										   test->booltesttype == IS_TRUE);
			}
		case T_Var:
			return filter_from_boolean(context, node, true);
		default:
			return NULL;
	}
}

/* The filter for a clause over a base relation, or NULL. */
Filter *
filter_from_clause(PlannerInfo *root, RelOptInfo *rel, Expr *clause, List **comparands)
{
	ClauseContext context = {root, rel, rel->fdw_private, comparands};
	int			ncomparands = list_length(*comparands);
	Filter	   *filter;

	if (!fdw_enable_pushdown)
		return NULL;
	filter = filter_from_node(&context, (Node *) clause);
	if (filter == NULL)
		*comparands = list_truncate(*comparands, ncomparands);
	return filter;
}

/* The filter for all of the RestrictInfos that it can be made for, and which of them are left. */
Filter *
filter_from_clauses(PlannerInfo *root, RelOptInfo *rel, List *clauses, List **comparands,
					List **exact, List **local)
{
	List	   *filters = NIL;
	ListCell   *lc;

	foreach(lc, clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		Filter	   *filter;

		if (rinfo->pseudoconstant)
			continue;
		filter = filter_from_clause(root, rel, rinfo->clause, comparands);
		if (filter != NULL)
			filters = lappend(filters, filter);
		if (filter != NULL && filter->exact)
			*exact = lappend(*exact, rinfo->clause);
		else
			*local = lappend(*local, rinfo->clause);
	}
	return filter_all_of(filters);
}

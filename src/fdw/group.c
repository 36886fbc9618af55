/*
 * group.c
 *	  Which aggregates and groups MongoDB can make: a query to a Grouping.
 *
 * The contract.  What is shipped returns what PostgreSQL would have returned on
 * the same documents, or is not believed: the plan has the same aggregation
 * by PostgreSQL below it, and takes that.
 *
 * 1. A value that its column cannot hold must not be counted, nor lost: it is
 *    an error, which the local plan raises.  MongoDB does not check values, but
 *    it has one order for all of them, in which each type is a range.  So the
 *    least and the greatest value of a column tell that all others are of its
 *    type and within its range; and the sum of numbers is an int or a long only
 *    where each of them was one.  These facts come with each group, for every
 *    column that an aggregate or a condition looks at; facts.c judges them.
 * 2. The keys of a group are values of a document, and each comes back and is
 *    decoded.  MongoDB's groups are PostgreSQL's where equal values of BSON are
 *    equal rows, and no others are: see key_is_plain() in facts.c.
 * 3. A condition must be exact, for values that rule 1 has looked at.  There is
 *    no one to check it again; but if the least and the greatest value are
 *    within a range, all others are, so that the range that MongoDB is asked for
 *    may be a little too wide.
 * 4. Strings may have U+0000 or bytes that are not UTF-8, which no fact would
 *    tell.  So a text column is a key, which comes back, or is compared for
 *    equality, and nothing else.
 * 5. Sums are of integers, and of numerics where they are exact: decimals and
 *    whole numbers, of no more digits than a decimal has; or any numbers in
 *    numeric(p,s) that are no more than s digits after the point, and so few
 *    that doubles come near enough to be rounded.  Floating-point numbers add up
 *    otherwise in another order, and a double in a numeric column is a decimal
 *    fraction to us.
 * 6. FILTER is an expression of MongoDB's, exact for values that rule 1 has
 *    looked at (see expression.c); and it looks at those of every document, as
 *    PostgreSQL decodes them before it filters.
 * 7. DISTINCT is a $group by the column's values as well, and another of these
 *    groups.  The facts tell that what is equal there is equal here.
 * 8. A key may be computed from a time (see groupkey.c), which is then a column
 *    that is looked at, as only the key comes back.
 *
 * HAVING, and expressions of keys and aggregates, are PostgreSQL's.  So are ORDER
 * BY and LIMIT: the facts of groups that are cut off are needed as well.
 */
#include "postgres.h"
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_aggregate.h"
#include "fdw/estimate.h"
#include "fdw/expression.h"
#include "fdw/fdw.h"
#include "fdw/group.h"
#include "fdw/path.h"
#include "fdw/relation.h"
#include "mb/pg_wchar.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/tlist.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* A new column, or NULL where an expression of MongoDB cannot name it or it has no form. */
static GroupColumn *
make_column(GroupQuery *query, Var *var)
{
	char	   *path = path_for_match(fdw_relation_path(query->rel->fdw_private, var->varattno));
	FilterForm	form = filter_type_form(var->vartype);
	GroupColumn *column;

	/* To an expression, a number is a field, and no position. */
	if (path == NULL || path_has_position(path) || form == FORM_NONE)
		return NULL;
	column = palloc0(sizeof(GroupColumn));
	column->path = path;
	column->type = var->vartype;
	column->typmod = var->vartypmod;
	column->condition = EVERY_DOCUMENT;
	column->operator = column->unit = "";
	column->form = form;
	return column;
}

/* Do the least and the greatest value prove that all can be decoded? */
static bool
extremes_are_proof(const GroupColumn *column)
{
	switch (column->form)
	{
		case FORM_BOOLEAN:
		case FORM_INTEGER:
		case FORM_FLOAT8:
		case FORM_OBJECTID:
		case FORM_UUID:
			return true;
		case FORM_NUMERIC:
			return column->typmod < 0 || group_column_scale(column) >= 0;
		case FORM_TIMESTAMP:
		case FORM_TIMESTAMPTZ:
			/* Not the digits: dates have milliseconds. */
			return column->typmod < 0 || column->typmod >= 3;
		default:
			return false;
	}
}

/* Adds a column, or finds it among those that are there; its index. */
static int
find_column(Grouping *group, GroupColumn *column)
{
	ListCell   *lc;

	foreach(lc, group->columns)
	{
		GroupColumn *other = lfirst(lc);

		if (strcmp(other->path, column->path) == 0 && other->type == column->type &&
			other->typmod == column->typmod && other->condition == column->condition)
			return foreach_current_index(lc);
	}
	group->columns = lappend(group->columns, column);
	return list_length(group->columns) - 1;
}

/* Has a column's values proven, or what is in them told. */
static void
need_extremes(GroupColumn *column)
{
	column->facts |= FACT_LOW | FACT_HIGH;
	if (column->form == FORM_INTEGER || column->form == FORM_FLOAT8)
		column->facts |= FACT_SUM;
	if (group_column_scale(column) >= 0 && column->condition == EVERY_DOCUMENT)
		column->facts |= FACT_INEXACT;
}

/*
 * Adds a column whose values are looked at, or finds it; its index, or -1.  All
 * its values are equal where pinned.
 */
static int
add_column(GroupQuery *query, Var *var, bool pinned)
{
	GroupColumn *column = make_column(query, var);
	int			index;

	if (column == NULL || !(pinned || extremes_are_proof(column)))
		return -1;
	index = find_column(query->group, column);
	need_extremes(list_nth(query->group->columns, index));
	return index;
}

/* Has MongoDB's order of a column's values proven to be ours. */
static void
need_order(GroupColumn *column)
{
	column->ordered = true;
	/* It tells whether there are decimals among doubles. */
	if (column->form == FORM_NUMERIC)
		column->facts |= FACT_SUM | FACT_DOUBLES;
}

/*
 * Conditions
 */

/* Does MongoDB 8, which does not take undefined for null, find it true of that? */
static bool
filter_takes_undefined(const Filter *filter)
{
	return filter->kind == FILTER_NOT_NULL ||
		(filter->kind == FILTER_COMPARE && filter->strategy == STRATEGY_NOT_EQUAL);
}

/* Is it a range of numbers, of which MongoDB is asked for a superset? */
static bool
filter_is_range(const Filter *filter)
{
	return filter->kind == FILTER_COMPARE && filter->strategy != STRATEGY_NOT_EQUAL &&
		(filter->form == FORM_NUMERIC || filter->form == FORM_FLOAT8);
}

/* Has the ends of the range looked at, where an operator is such a condition. */
static void
add_range(GroupQuery *query, const Filter *filter, OpExpr *clause, int column)
{
	GroupRange *range = palloc(sizeof(GroupRange));
	Node	   *left = linitial(clause->args);
	bool		commuted = !bms_is_member(query->rel->relid, pull_varnos(query->root, left));

	range->column = column;
	range->function = get_opcode(commuted ? get_commutator(clause->opno) : clause->opno);
	range->comparand = filter->comparand;
	need_order(list_nth(query->group->columns, column));
	query->group->ranges = lappend(query->group->ranges, range);
}

/* Adds a condition of the query; false when it must stay here. */
static bool
add_condition(GroupQuery *query, RestrictInfo *rinfo, List **filters)
{
	Filter	   *filter;
	List	   *vars;
	ListCell   *lc;

	if (rinfo->pseudoconstant)
		return false;
	filter = filter_from_clause(query->root, query->rel, rinfo->clause, &query->comparands);
	if (filter == NULL ||
		!(filter_is_exact_of_decoded(filter) || filter_is_range(filter)))
		return false;

	vars = pull_var_clause((Node *) rinfo->clause, PVC_RECURSE_PLACEHOLDERS);
	foreach(lc, vars)
	{
		Var		   *var = lfirst(lc);

		/* The types of a varchar(n)'s strings say nothing of their lengths. */
		bool		pinned = filter_pins(filter) &&
			(filter->kind != FILTER_ANY || var->vartypmod < 0);
		int			column = var->varattno <= 0 ? -1 : add_column(query, var, pinned);

		if (column < 0)
			return false;
		if (filter_is_range(filter))
			add_range(query, filter, castNode(OpExpr, rinfo->clause), column);
	}
	if (filter_takes_undefined(filter))
		query->group->defined = list_append_unique(query->group->defined,
												   makeString(filter->path));
	*filters = lappend(*filters, filter);
	return true;
}

/*
 * Keys
 */

/* Are rows with equal values of the column one group to MongoDB? */
static bool
form_is_groupable(FilterForm form, Var *var)
{
	switch (form)
	{
		case FORM_TEXT:
			return GetDatabaseEncoding() == PG_UTF8 && OidIsValid(var->varcollid) &&
				get_collation_isdeterministic(var->varcollid);
		case FORM_FLOAT4:
			return false;
		default:
			return true;
	}
}

/* The key that an expression of a column is, or NULL. */
static GroupColumn *
make_computed_key(GroupQuery *query, Node *node)
{
	GroupKey	how;
	Node	   *argument = group_key_argument(node, &how);
	Var		   *var = argument == NULL ? NULL : filter_column(query->rel, argument);
	GroupColumn *key = var == NULL ? NULL : make_column(query, var);
	FdwRelation *relation = query->rel->fdw_private;
	int			index;

	if (key == NULL || (key->form != FORM_TIMESTAMP && key->form != FORM_TIMESTAMPTZ) ||
		(how.utc && !group_session_is_utc()))
		return NULL;
	if (*how.unit != '\0' && !estimate_server_support(relation->relid, relation->userid).date_trunc)
		return NULL;
	/* The key comes back, but not the values that it is made of. */
	index = add_column(query, var, false);
	if (index < 0)
		return NULL;
	((GroupColumn *) list_nth(query->group->columns, index))->calendar = true;
	query->group->utc |= how.utc;
	key->type = exprType(node);
	key->typmod = -1;
	key->form = filter_type_form(key->type);
	query->computed *= how.groups;
	key->operator = how.operator;
	key->unit = how.unit;
	return key;
}

/* The key that a column is, or NULL. */
static GroupColumn *
make_plain_key(GroupQuery *query, Node *node)
{
	GroupColumn *key;

	/* Not a RelabelType: the row has the expression as it is. */
	if (filter_column(query->rel, node) == NULL)
		return NULL;
	key = make_column(query, (Var *) node);
	if (key == NULL || !form_is_groupable(key->form, (Var *) node))
		return NULL;
	query->plain_keys = lappend(query->plain_keys, node);
	return key;
}

/* Adds an expression of the target that is grouped by; false when it cannot be a key. */
static bool
add_key(GroupQuery *query, Node *node, SortGroupClause *clause)
{
	GroupColumn *key = IsA(node, Var) ? make_plain_key(query, node) :
		make_computed_key(query, node);

	if (key == NULL || clause->eqop != lookup_type_cache(key->type, TYPECACHE_EQ_OPR)->eq_opr)
		return false;
	query->group->keys = lappend(query->group->keys, key);
	add_column_to_pathtarget(query->row, (Expr *) node, clause->tleSortGroupRef);
	return true;
}

/*
 * Aggregates
 */

/*
 * MIN or MAX, by the aggregate's sort operator, of values in their type's usual
 * order.  That an integer is taken for an oid, and the like, has another one.
 */
static bool
is_extreme(Aggref *aggref, AggregateKind *kind)
{
	HeapTuple	tuple = SearchSysCache1(AGGFNOID, ObjectIdGetDatum(aggref->aggfnoid));
	Oid			type = exprType((Node *) ((TargetEntry *) linitial(aggref->args))->expr);
	Oid			operator;
	TypeCacheEntry *cache;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for aggregate %u", aggref->aggfnoid);
	operator = ((Form_pg_aggregate) GETSTRUCT(tuple))->aggsortop;
	ReleaseSysCache(tuple);

	cache = lookup_type_cache(type, TYPECACHE_LT_OPR | TYPECACHE_GT_OPR);
	if (!OidIsValid(operator) || filter_type_form(type) == FORM_NONE ||
		(operator != cache->lt_opr && operator != cache->gt_opr))
		return false;
	*kind = operator == cache->lt_opr ? AGGREGATE_MIN : AGGREGATE_MAX;
	return true;
}

/* What an aggregate of one argument is; false when it is none of ours. */
static bool
aggregate_kind(Aggref *aggref, AggregateKind *kind)
{
	switch (aggref->aggfnoid)
	{
		case F_COUNT_ANY:
			*kind = AGGREGATE_COUNT;
			return true;
		case F_SUM_INT2:
		case F_SUM_INT4:
		case F_SUM_INT8:
		case F_SUM_NUMERIC:
			*kind = AGGREGATE_SUM;
			return true;
		case F_AVG_INT2:
		case F_AVG_INT4:
		case F_AVG_INT8:
		case F_AVG_NUMERIC:
			*kind = AGGREGATE_AVG;
			return true;
		default:
			return is_extreme(aggref, kind);
	}
}

/* Adds the facts that an aggregate is made of. */
static void
need_facts(Grouping *group, const GroupAggregate *aggregate)
{
	GroupColumn *column = list_nth(group->columns, aggregate->column);

	if (aggregate->kind == AGGREGATE_COUNT)
	{
		column->facts |= FACT_COUNT;
		return;
	}
	need_extremes(column);
	switch (aggregate->kind)
	{
		case AGGREGATE_MIN:
		case AGGREGATE_MAX:
			need_order(column);
			break;
		case AGGREGATE_AVG:
			column->facts |= FACT_COUNT;
			/* fallthrough */
		default:

			/*
			 * Whether the sum of many large numbers is exact depends on how
			 * many.
			 */
			group->rows |= column->type == INT8OID || column->form == FORM_NUMERIC;
			column->summed = true;
			if (column->form == FORM_NUMERIC)
				column->facts |= FACT_SUM | FACT_DOUBLES;
			break;
	}
}

/* Adds the columns that a part of a FILTER looks at; false when it must stay here. */
static bool
add_filter_part(GroupQuery *query, Expr *part, int condition, List **filters)
{
	Filter	   *filter = filter_from_clause(query->root, query->rel, part, &query->comparands);
	bool		is_range = filter != NULL && filter_is_range(filter);
	ListCell   *lc;

	if (filter == NULL || !(is_range || filter_is_expressible(filter)))
		return false;
	foreach(lc, pull_var_clause((Node *) part, PVC_RECURSE_PLACEHOLDERS))
	{
		Var		   *var = lfirst(lc);
		int			index = var->varattno <= 0 ? -1 : add_column(query, var, false);
		GroupColumn *column;

		if (index < 0)
			return false;
		if (!is_range)
			continue;
		need_order(list_nth(query->group->columns, index));
		column = make_column(query, var);
		column->condition = condition;
		index = find_column(query->group, column);
		need_extremes(list_nth(query->group->columns, index));
		add_range(query, filter, castNode(OpExpr, part), index);
	}
	*filters = lappend(*filters, filter);
	return true;
}

/* Adds the condition that an aggregate's FILTER is, or finds it: its index, EVERY_DOCUMENT for none. */
static bool
add_filter(GroupQuery *query, Expr *expression, int *condition)
{
	List	   *parts = make_ands_implicit(expression);
	List	   *filters = NIL;
	ListCell   *lc;

	*condition = EVERY_DOCUMENT;
	if (parts == NIL)
		return true;
	foreach(lc, query->filters)
	{
		*condition = foreach_current_index(lc);
		if (equal(lfirst(lc), expression))
			return true;
	}
	*condition = list_length(query->filters);
	foreach(lc, parts)
	{
		if (!add_filter_part(query, lfirst(lc), *condition, &filters))
			return false;
	}
	query->filters = lappend(query->filters, expression);
	query->group->conditions = lappend(query->group->conditions, filter_all_of(filters));
	return true;
}

/* Adds the column that an aggregate is of, in the documents that the condition takes; its index, or -1. */
static int
add_argument(GroupQuery *query, Node *argument, int condition)
{
	Grouping   *group = query->group;
	Var		   *var = filter_column(query->rel, argument);
	int			index = var == NULL ? -1 : add_column(query, var, false);
	GroupColumn *column;

	if (index < 0 || condition == EVERY_DOCUMENT)
		return index;
	if (condition == EACH_VALUE)
	{
		column = list_nth(group->columns, index);
		need_order(column);
		column->distinct = true;
	}
	column = make_column(query, var);
	column->condition = condition;
	index = find_column(group, column);
	/* A pipeline can do this for one column. */
	if (condition == EACH_VALUE && group_each_value(group) != list_nth(group->columns, index))
		return -1;
	return index;
}

/* Adds the documents as what is counted; the index. */
static int
add_documents(GroupQuery *query, int condition)
{
	GroupColumn *column = palloc0(sizeof(GroupColumn));

	column->path = "";
	column->condition = condition;
	return find_column(query->group, column);
}

/* What the aggregate is, and of which argument, NULL for the documents; false when none of ours. */
static bool
classify_aggregate(Aggref *aggref, AggregateKind *kind, Node **argument)
{
	*argument = NULL;
	if (aggref->aggfnoid == F_COUNT_)
	{
		*kind = AGGREGATE_COUNT_ROWS;
		return true;
	}
	if (list_length(aggref->args) != 1 || !aggregate_kind(aggref, kind))
		return false;
	*argument = (Node *) ((TargetEntry *) linitial(aggref->args))->expr;
	if (*kind == AGGREGATE_COUNT && aggref->aggdistinct == NIL &&
		IsA(*argument, Const) && !((Const *) *argument)->constisnull)
	{
		*kind = AGGREGATE_COUNT_ROWS;
		*argument = NULL;
	}
	return true;
}

/* Adds what says of which documents an aggregate is; false when MongoDB cannot tell. */
static bool
add_documents_of(GroupQuery *query, Aggref *aggref, AggregateKind kind, int *condition)
{
	Node	   *argument;

	/* The least of some values is the least of each of them. */
	if (aggref->aggdistinct == NIL || kind == AGGREGATE_MIN || kind == AGGREGATE_MAX)
		return add_filter(query, aggref->aggfilter, condition);
	*condition = EACH_VALUE;
	if (aggref->aggfilter != NULL)
		return false;
	/* How many digits a sum has depends on which of 1.0 and 1.00 is taken. */
	argument = (Node *) ((TargetEntry *) linitial(aggref->args))->expr;
	return kind == AGGREGATE_COUNT || exprType(argument) != NUMERICOID || exprTypmod(argument) >= 0;
}

/* Adds an aggregate to the row; false when MongoDB cannot compute it. */
static bool
add_aggregate(GroupQuery *query, Aggref *aggref)
{
	GroupAggregate *aggregate = palloc0(sizeof(GroupAggregate));
	Node	   *argument;
	int			condition;

	if (aggref->aggsplit != AGGSPLIT_SIMPLE || aggref->aggkind != AGGKIND_NORMAL ||
		aggref->aggorder != NIL || aggref->agglevelsup != 0 ||
		!classify_aggregate(aggref, &aggregate->kind, &argument) ||
		!add_documents_of(query, aggref, aggregate->kind, &condition))
		return false;
	if (argument != NULL)
		aggregate->column = add_argument(query, argument, condition);
	else if (condition != EVERY_DOCUMENT)
	{
		aggregate->kind = AGGREGATE_COUNT;
		aggregate->column = add_documents(query, condition);
	}
	if (aggregate->column < 0)
		return false;
	if (aggregate->kind == AGGREGATE_COUNT_ROWS)
		query->group->rows = true;
	else
		need_facts(query->group, aggregate);
	query->group->aggregates = lappend(query->group->aggregates, aggregate);
	add_column_to_pathtarget(query->row, (Expr *) aggref, 0);
	return true;
}

/*
 * expression_tree_walker: adds the aggregates; true where there is a column that is no key, or the
 * like, and for GROUPING(), which only PostgreSQL's own plan can evaluate.
 */
static bool
add_aggregates_walker(Node *node, GroupQuery *query)
{
	if (node == NULL || list_member(query->row->exprs, node))
		return false;
	if (IsA(node, Var) || IsA(node, PlaceHolderVar) || IsA(node, GroupingFunc))
		return true;
	if (IsA(node, Aggref))
		return !add_aggregate(query, (Aggref *) node);
	return expression_tree_walker(node, add_aggregates_walker, query);
}

/* Adds the aggregates in an expression; other columns in it must be keys. */
static bool
add_aggregates(GroupQuery *query, Node *expression)
{
	return !contain_subplans(expression) && !add_aggregates_walker(expression, query);
}

/* Finds out whether MongoDB can do it, and how. */
bool
group_from_query(GroupQuery *query)
{
	List	   *filters = NIL;
	ListCell   *lc;

	query->group = palloc0(sizeof(Grouping));
	query->row = create_empty_pathtarget();
	query->computed = 1;
	foreach(lc, query->target->exprs)
	{
		Index		ref = get_pathtarget_sortgroupref(query->target, foreach_current_index(lc));
		SortGroupClause *clause = ref == 0 ? NULL :
			get_sortgroupref_clause_noerr(ref, query->clauses);

		if (clause != NULL && !add_key(query, lfirst(lc), clause))
			return false;
	}
	if (list_length(query->group->keys) != list_length(query->clauses))
		return false;
	foreach(lc, query->target->exprs)
	{
		if (!add_aggregates(query, lfirst(lc)))
			return false;
	}
	if (!add_aggregates(query, (Node *) query->having) || query->row->exprs == NIL)
		return false;
	foreach(lc, query->rel->baserestrictinfo)
	{
		if (!add_condition(query, lfirst_node(RestrictInfo, lc), &filters))
			return false;
	}
	query->filter = filter_all_of(filters);
	set_pathtarget_cost_width(query->root, query->row);
	return true;
}

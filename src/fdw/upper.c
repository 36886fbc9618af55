/*
 * upper.c
 *	  Planning aggregates, GROUP BY and DISTINCT as MongoDB's work.
 *
 * The plan is a foreign scan of no relation, whose rows are keys and
 * aggregates; HAVING and expressions of these are evaluated by it, as
 * conditions and targets of any scan are.  Below it is the same aggregation by
 * PostgreSQL, which it executes where the facts prove nothing (see group.c).
 */
#include "postgres.h"
#include "compat.h"

#include "fdw/fdw.h"
#include "fdw/group.h"
#include "fdw/groupscan.h"
#include "fdw/relation.h"
#include "nodes/makefuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/prep.h"
#include "optimizer/tlist.h"
#include "utils/selfuncs.h"

/* A document that MongoDB looks at and puts into a group, a fact that it keeps of it, and a group. */
#define COST_GROUPED	0.07
#define COST_FACT		0.005
#define COST_GROUP		0.25

/* In fdw_private of our paths. */
enum PathPrivate
{
	PATH_SCAN,					/* the plan's fdw_private */
	PATH_COMPARANDS,
	PATH_HAVING,
	PATH_ROW					/* expressions of the scan's rows */
};

/* The base relation that an upper relation is made from, when it is one of ours alone; or NULL. */
static RelOptInfo *
single_table(PlannerInfo *root, RelOptInfo *input)
{
	FdwRelation *relation = input->fdw_private;

	if (!fdw_enable_pushdown || input->reloptkind != RELOPT_BASEREL || relation == NULL ||
		!relation->options->aggregate_pushdown || root->parse->hasTargetSRFs ||
		root->parse->groupingSets != NIL || root->parse->rowMarks != NIL ||
		!bms_is_empty(input->lateral_relids))
		return NULL;
	return input;
}

/* The same rows, made by PostgreSQL from the table's.  The types of all keys can be hashed. */
static Path *
local_path(GroupQuery *query, RelOptInfo *upper, double groups)
{
	PlannerInfo *root = query->root;
	Path	   *input = query->rel->cheapest_total_path;
	AggStrategy strategy = query->clauses == NIL ? AGG_PLAIN : AGG_HASHED;
	AggClauseCosts costs = {0};
	List	   *pathkeys = NIL;

	if (root->parse->hasAggs)
		get_agg_clause_costs(root, AGGSPLIT_SIMPLE, &costs);
	if (root->numOrderedAggs > 0)
	{
		/*
		 * From PostgreSQL 16 on, DISTINCT may count on values that come in
		 * this order.
		 */
		pathkeys = root->group_pathkeys;
		strategy = query->clauses == NIL ? AGG_PLAIN : AGG_SORTED;
	}
	if (!pathkeys_contained_in(pathkeys, input->pathkeys))
		input = (Path *) create_sort_path(root, upper, input, pathkeys, -1);
	return (Path *) create_agg_path(root, upper, input, query->row, strategy, AGGSPLIT_SIMPLE,
									query->clauses, NIL, &costs, groups);
}

/* How many facts MongoDB keeps of a document. */
static int
count_facts(const Grouping *group)
{
	int			facts = list_length(group->keys) + (group->rows ? 1 : 0);
	ListCell   *lc;

	foreach(lc, group->columns)
		facts += pg_popcount32(((GroupColumn *) lfirst(lc))->facts);
	return facts;
}

/* How many groups there may be. */
static double
count_groups(const GroupQuery *query)
{
	double		rows = query->rel->rows;
	double		groups = query->computed;

	if (query->plain_keys != NIL)
		groups *= estimate_num_groups(query->root, query->plain_keys, rows, NULL, NULL);
	return clamp_row_est(Min(groups, rows));
}

/* Adds the path of an upper relation that MongoDB can make. */
static void
add_group_path(GroupQuery *query, RelOptInfo *upper)
{
	PlannerInfo *root = query->root;
	FdwRelation *relation = query->rel->fdw_private;
	double		groups = query->clauses == NIL ? 1 : count_groups(query);
	double		rows;
	Cost		startup;
	List	   *scan;

	rows = clamp_row_est(groups * clauselist_selectivity(root, query->having, 0, JOIN_INNER, NULL));

	/* All groups are there before the first row. */
	startup = relation->startup_cost +
		relation->examined * COST_GROUPED * (group_each_value(query->group) == NULL ? 1 : 2) +
		relation->retrieved * count_facts(query->group) * COST_FACT +
		groups * (relation->tuple_cost + COST_GROUP);
	scan = list_make2(group_save(query->group), filter_save(query->filter));
	add_path(upper, (Path *)
			 MM_FOREIGN_UPPER_PATH(root, upper, query->target, rows, startup,
								   startup + groups * cpu_tuple_cost, local_path(query, upper, groups),
								   list_make4(scan, query->comparands, query->having, query->row->exprs)));
}

/* GetForeignUpperPaths: adds a path for aggregates, GROUP BY or DISTINCT. */
void
fdw_get_upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input,
					RelOptInfo *output, void *extra)
{
	GroupQuery	query = {.root = root,.rel = single_table(root, input)};
	Query	   *parse = root->parse;

	if (query.rel == NULL)
		return;
	if (stage == UPPERREL_GROUP_AGG && (parse->hasAggs || parse->groupClause != NIL))
	{
		query.clauses = parse->groupClause;
		query.having = (List *) ((GroupPathExtraData *) extra)->havingQual;
		query.target = output->reltarget;
		if (list_length(MM_PROCESSED_GROUP_CLAUSE(root)) != list_length(query.clauses))
			return;
	}
	else if (stage == UPPERREL_DISTINCT && !parse->hasDistinctOn)
	{
		query.clauses = parse->distinctClause;
		query.target = input->cheapest_total_path->pathtarget;
		if (list_length(MM_PROCESSED_DISTINCT_CLAUSE(root)) != list_length(query.clauses))
			return;
	}
	else
		return;
	if (group_from_query(&query))
		add_group_path(&query, output);
}

/* Makes the plan node of such a path. */
ForeignScan *
fdw_get_upper_plan(ForeignPath *path, List *tlist, Plan *local)
{
	List	   *rows = NIL;
	ListCell   *lc;

	foreach(lc, (List *) list_nth(path->fdw_private, PATH_ROW))
		rows = lappend(rows, makeTargetEntry(lfirst(lc), foreach_current_index(lc) + 1, NULL, false));
	return make_foreignscan(tlist, list_nth(path->fdw_private, PATH_HAVING), 0,
							list_nth(path->fdw_private, PATH_COMPARANDS),
							list_nth(path->fdw_private, PATH_SCAN), rows, NIL, local);
}

/*
 * join_path.c
 *	  Planning joins as MongoDB's work: paths and plan.
 *
 * The plan is a foreign scan of no relation, whose rows are the columns that
 * are needed of both tables.  It competes with PostgreSQL's own joins by cost: a
 * look-up is cheaper than a find of its own, as in a nested loop that fetches
 * by keys, but dearer than a document more in a scan, as in a hash join.
 */
#include "postgres.h"
#include "compat.h"

#include "fdw/access.h"
#include "fdw/estimate.h"
#include "fdw/fdw.h"
#include "fdw/join.h"
#include "fdw/joinscan.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"

/* A look-up by an index, beside the documents that it finds. */
#define COST_LOOKUP		10.0

/* A batch has at least so many documents, however few are wanted. */
#define LEAST_BATCH		100

/* In fdw_private of our paths. */
enum PathPrivate
{
	PATH_JOIN,					/* from join_save() */
	PATH_EXPRESSIONS,			/* the plan's fdw_exprs, of the tables'
								 * columns */
	PATH_LOCAL,
	PATH_ROW
};

/* The fraction of all pairs of documents that the key joins. */
static Selectivity
key_selectivity(JoinQuery *query)
{
	SpecialJoinInfo *plain = makeNode(SpecialJoinInfo);
	Selectivity selectivity;
	ListCell   *lc;

	plain->min_lefthand = plain->syn_lefthand = query->outer->relids;
	plain->min_righthand = plain->syn_righthand = query->inner->relids;
	plain->jointype = JOIN_INNER;
	selectivity = clauselist_selectivity(query->root, list_make1(query->key), 0, JOIN_INNER, plain);
	foreach(lc, query->indexes)
	{
		CollectionIndex *index = lfirst(lc);

		/* Then a look-up finds one document at most. */
		if (index->unique && index->whole && list_length(index->fields) == 1 &&
			strcmp(linitial(index->fields), query->join->key.foreign) == 0)
			selectivity = Min(selectivity, 1 / Max(query->inner->tuples, 1));
	}
	return selectivity;
}

/* The path of a join. */
static ForeignPath *
join_path(JoinQuery *query)
{
	FdwJoin    *join = query->join;
	RelOptInfo *joinrel = query->joinrel;
	FdwRelation *outer = query->outer->fdw_private;
	FdwRelation *inner = query->inner->fdw_private;
	double		pairs = outer->retrieved * key_selectivity(query);
	double		examined = pairs * query->inner->tuples;
	double		returned = pairs * inner->retrieved;
	QualCost	matching;
	QualCost	local;
	Cost		startup;
	Cost		run;

	if (join->one)
		returned = Min(returned, outer->retrieved);
	if (JOIN_KEEPS_UNMATCHED(join))
		returned = Max(returned, outer->retrieved);
	cost_qual_eval(&matching, query->matching, query->root);
	cost_qual_eval(&local, query->local, query->root);
	/* One more command looks for what may be missed. */
	startup = outer->startup_cost * (KEY_ASKS(&join->key) ? 2 : 1) + matching.startup + local.startup +
		joinrel->reltarget->cost.startup;
	run = outer->examined * COST_EXAMINED + outer->retrieved * COST_LOOKUP +
		examined * COST_EXAMINED +
		returned * (outer->tuple_cost + cpu_tuple_cost + matching.per_tuple + local.per_tuple) +
		joinrel->rows * joinrel->reltarget->cost.per_tuple;
	return MM_FOREIGN_JOIN_PATH(query->root, joinrel, joinrel->rows, startup, startup + run, NIL,
								list_make4(join_save(join),
										   list_make3(query->comparands, query->matching, query->asked),
										   query->local, query->row));
}

/* About how many rows of a path in an order the query wants; 0 for all. */
static int
wanted_rows(JoinQuery *query, List *pathkeys)
{
	PlannerInfo *root = query->root;

	if (root->limit_tuples <= 0 || root->limit_tuples > PG_INT32_MAX ||
		!bms_is_subset(root->all_baserels, query->joinrel->relids) ||
		!pathkeys_contained_in(root->sort_pathkeys, pathkeys))
		return 0;
	return Max((int) root->limit_tuples, LEAST_BATCH);
}

/* Adds a path in the order that the query asks for, or the beginning of it. */
static void
add_sorted_path(JoinQuery *query)
{
	List	   *pathkeys = query->root->query_pathkeys;
	Sorting    *sorting = sorting_from_pathkeys(query->root, query->outer, pathkeys);
	ForeignPath *path;

	if (sorting == NULL || sorting_parts(sorting) > 1)
		return;
	pathkeys = list_copy_head(pathkeys, list_length(sorting->keys));
	query->join->sorting = sorting;
	query->join->rows = wanted_rows(query, pathkeys);
	path = join_path(query);
	path->path.pathkeys = pathkeys;
	access_add_sort(query->outer->fdw_private, sorting, (Path *) path);
	add_path(query->joinrel, (Path *) path);
}

/* GetForeignJoinPaths: adds the paths of a join of two tables. */
void
fdw_get_join_paths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outer, RelOptInfo *inner,
				   JoinType type, JoinPathExtraData *extra)
{
	JoinQuery	query = {
		.root = root,.joinrel = joinrel,.outer = outer,.inner = inner,
		.clauses = extra->restrictlist
	};
	FdwRelation *relation;
	JoinSupport support;

	if (!bms_is_empty(joinrel->lateral_relids) || !join_from_query(&query, type))
		return;
	relation = outer->fdw_private;
	support = estimate_server_support(relation->relid, relation->userid).joins;
	if (support == JOINS_NOT_AT_ALL ||
		(support == JOINS_IN_PIECES && type != JOIN_INNER && !query.join->one))
		return;
	query.join->rows = wanted_rows(&query, NIL);
	add_path(joinrel, (Path *) join_path(&query));
	add_sorted_path(&query);
}

/* expression_tree_mutator: has the columns be those of the row. */
static Node *
use_row(Node *node, void *row)
{
	ListCell   *lc;

	if (node == NULL)
		return NULL;
	if (!IsA(node, Var))
		return expression_tree_mutator(node, use_row, row);
	foreach(lc, (List *) row)
	{
		Var		   *var = lfirst(lc);

		if (var->varno == ((Var *) node)->varno && var->varattno == ((Var *) node)->varattno)
			return copyObject((Node *) var);
	}
	elog(ERROR, "column %d of relation %d is not in the row of a join",
		 ((Var *) node)->varattno, (int) ((Var *) node)->varno);
}

/* Makes the plan node of such a path. */
ForeignScan *
fdw_get_join_plan(ForeignPath *path, List *tlist)
{
	List	   *row = list_nth(path->fdw_private, PATH_ROW);
	List	   *expressions = list_nth(path->fdw_private, PATH_EXPRESSIONS);
	List	   *local = list_nth(path->fdw_private, PATH_LOCAL);
	List	   *entries = NIL;
	ListCell   *lc;

	foreach(lc, row)
		entries = lappend(entries, makeTargetEntry(lfirst(lc), foreach_current_index(lc) + 1, NULL,
												   false));
	return make_foreignscan(tlist, (List *) use_row((Node *) local, row), 0,
							(List *) use_row((Node *) expressions, row),
							list_nth(path->fdw_private, PATH_JOIN), entries, NIL, NULL);
}

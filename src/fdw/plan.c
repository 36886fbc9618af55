/*
 * plan.c
 *	  Planning the scan of a foreign table: size, paths, plan.
 *
 * A clause is shipped when shippable.c can make a filter of it; unless that is
 * exact, PostgreSQL checks the clause as well.  Besides the scan of the whole
 * collection there are paths parameterised by the first field of an index that
 * is known (access.c): a nested loop that fetches documents by their keys.
 *
 * Costs are in PostgreSQL's units, as measured against its own sequential scan
 * on one machine, with a round trip of a fraction of a millisecond.
 */
#include "postgres.h"
#include "compat.h"

#include "access/sysattr.h"
#include "access/transam.h"
#include "fdw/access.h"
#include "fdw/fdw.h"
#include "fdw/filter.h"
#include "fdw/groupscan.h"
#include "fdw/joinscan.h"
#include "fdw/path.h"
#include "fdw/relation.h"
#include "fdw/scan.h"
#include "fdw/sort.h"
#include "nodes/makefuncs.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "optimizer/paths.h"
#include "optimizer/planmain.h"
#include "optimizer/restrictinfo.h"
#include "utils/lsyscache.h"

/* Columns that make up more of a document than this are not worth a projection. */
#define PROJECTED_PART	0.75

bool		fdw_enable_pushdown = true;

/* Estimates how many rows the base restrictions leave. */
void
fdw_get_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	rel->fdw_private = fdw_relation_create(root, rel, relid);
	access_set_size(root, rel);
}

/* A path that retrieves so many documents of so many that are examined. */
static ForeignPath *
scan_path(PlannerInfo *root, RelOptInfo *rel, double rows, double examined, double retrieved,
		  Relids required_outer)
{
	FdwRelation *relation = rel->fdw_private;
	Cost		startup = relation->startup_cost + rel->baserestrictcost.startup +
		rel->reltarget->cost.startup;
	Cost		run = examined * COST_EXAMINED +
		retrieved * (relation->tuple_cost + rel->baserestrictcost.per_tuple) +
		rows * rel->reltarget->cost.per_tuple;

	return MM_FOREIGNSCAN_PATH(root, rel, rows, startup, startup + run, required_outer);
}

/* Adds a path, whose rows are kept where starting it again would read what the statement has written. */
static void
add_scan_path(PlannerInfo *root, RelOptInfo *rel, ForeignPath *path)
{
	add_path(rel, fdw_relation_is_written(root, rel) ?
			 (Path *) create_material_path(rel, (Path *) path) : (Path *) path);
}

/* Adds a path in the order that the query asks for, or the beginning of it. */
static void
add_sorted_path(PlannerInfo *root, RelOptInfo *rel)
{
	FdwRelation *relation = rel->fdw_private;
	Sorting    *sorting = sorting_from_pathkeys(root, rel, root->query_pathkeys);
	ForeignPath *path;

	if (sorting == NULL)
		return;
	path = scan_path(root, rel, rel->rows, relation->examined, relation->retrieved,
					 rel->lateral_relids);
	path->path.pathkeys = list_copy_head(root->query_pathkeys, list_length(sorting->keys));
	path->fdw_private = sorting_save(sorting);
	access_add_sort(relation, sorting, (Path *) path);
	add_scan_path(root, rel, path);
}

/* The parameterisation by which a join clause fetches documents by an index, or NULL. */
static ParamPathInfo *
index_parameters(PlannerInfo *root, RelOptInfo *rel, RestrictInfo *rinfo)
{
	Relids		required_outer;

	if (!join_clause_is_movable_to(rinfo, rel) || !access_by_clause(root, rel, rinfo))
		return NULL;
	required_outer = bms_union(rinfo->clause_relids, rel->lateral_relids);
	required_outer = bms_del_member(required_outer, rel->relid);
	if (bms_is_empty(required_outer))
		return NULL;
	return get_baserel_parampathinfo(root, rel, required_outer);
}

/* ec_matches_callback_type: is the member about the first field of an index? */
static bool
is_indexed(PlannerInfo *root, RelOptInfo *rel, EquivalenceClass *ec, EquivalenceMember *em,
		   void *arg)
{
	const char *path = filter_operand_path(root, rel, (Node *) em->em_expr);

	return path != NULL && access_has_index(((FdwRelation *) arg)->indexes, path);
}

/* Adds the path of a nested loop that fetches documents by an index, for each outer row. */
static void
add_parameterized_path(PlannerInfo *root, RelOptInfo *rel, ParamPathInfo *ppi)
{
	FdwRelation *relation = rel->fdw_private;
	List	   *shipped = access_shipped(root, rel, ppi->ppi_clauses);
	double		retrieved = relation->retrieved *
		clauselist_selectivity(root, shipped, rel->relid, JOIN_INNER, NULL);
	bool		one;
	double		examined = access_examined(root, rel,
										   list_concat(access_shipped(root, rel, rel->baserestrictinfo),
													   shipped), &one);

	if (one)
		ppi->ppi_rows = retrieved = 1;
	add_path(rel, (Path *) scan_path(root, rel, ppi->ppi_rows, examined, clamp_row_est(retrieved),
									 ppi->ppi_req_outer));
}

/* Adds the paths of a foreign table. */
void
fdw_get_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	FdwRelation *relation = rel->fdw_private;
	List	   *clauses = list_copy(rel->joininfo);
	List	   *parameters = NIL;
	ListCell   *lc;

	add_scan_path(root, rel, scan_path(root, rel, rel->rows, relation->examined,
									   relation->retrieved, rel->lateral_relids));
	add_sorted_path(root, rel);

	if (fdw_relation_is_written(root, rel))
		return;
	if (rel->has_eclass_joins)
		clauses = list_concat(clauses,
							  generate_implied_equalities_for_column(root, rel, is_indexed, relation,
																	 rel->lateral_referencers));
	foreach(lc, clauses)
	{
		ParamPathInfo *ppi = index_parameters(root, rel, lfirst_node(RestrictInfo, lc));

		if (ppi != NULL)
			parameters = list_append_unique_ptr(parameters, ppi);
	}
	foreach(lc, parameters)
		add_parameterized_path(root, rel, lfirst(lc));
}

/* The columns that a scan must decode: what is asked for, and what clauses look at. */
static List *
needed_columns(RelOptInfo *rel, List *clauses)
{
	Bitmapset  *attributes = NULL;
	FdwRelation *relation = rel->fdw_private;
	bool		whole_row;
	List	   *columns = NIL;

	pull_varattnos((Node *) rel->reltarget->exprs, rel->relid, &attributes);
	pull_varattnos((Node *) clauses, rel->relid, &attributes);
	whole_row = bms_is_member(-FirstLowInvalidHeapAttributeNumber, attributes);
	for (int attnum = 1; attnum <= rel->max_attr; attnum++)
	{
		if (bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, attributes) ||
			(whole_row && OidIsValid(get_atttype(relation->relid, attnum))))
			columns = lappend_int(columns, attnum);
	}
	return columns;
}

/*
 * Does it pay to have MongoDB leave fields out?  That costs it a fifth of its
 * time for a document, so not when the columns make up most of the documents
 * anyway.  Where the width of strings and the like is not known, they are taken
 * for short, so that a projection is sent rather than not.
 */
static bool
scan_projects(RelOptInfo *rel, List *columns)
{
	FdwRelation *relation = rel->fdw_private;
	double		needed = 22;	/* a document with an ObjectId in _id */
	List	   *names = list_make1("_id");
	ListCell   *lc;

	if (rel->tuples < 1 || rel->pages < 1)
		return true;
	foreach(lc, columns)
	{
		AttrNumber	attnum = lfirst_int(lc);
		char	   *name = path_for_projection(fdw_relation_path(relation, attnum));
		bool		covered = false;
		ListCell   *lc2;

		if (name == NULL)
			return false;
		foreach(lc2, names)
			covered |= path_covers(lfirst(lc2), name);
		if (covered)
			continue;
		names = lappend(names, name);
		/* type, name, value */
		needed += 2 + strlen(name) + fdw_relation_width(relation, attnum);
	}
	return needed < PROJECTED_PART * rel->pages * BLCKSZ / rel->tuples;
}

/*
 * How many rows of the scan the query can use at most, 0 when that is not
 * known.  Said only when nothing between the scan and the LIMIT takes rows
 * away or puts them in order.
 */
static int
scan_limit(PlannerInfo *root, RelOptInfo *rel, List *pathkeys, List *local_clauses)
{
	Query	   *parse = root->parse;

	if (!fdw_enable_pushdown || local_clauses != NIL ||
		root->limit_tuples < 0 || root->limit_tuples > PG_INT32_MAX ||
		parse->commandType != CMD_SELECT || parse->limitOption != LIMIT_OPTION_COUNT ||
		!pathkeys_contained_in(root->sort_pathkeys, pathkeys) ||
		parse->rowMarks != NIL || root->rowMarks != NIL ||
		!bms_equal(root->all_baserels, rel->relids))
		return 0;

	/* Otherwise the planner's figure is an estimate. */
	if (parse->limitCount == NULL || !IsA(parse->limitCount, Const) ||
		(parse->limitOffset != NULL && !IsA(parse->limitOffset, Const)))
		return 0;
	return (int) root->limit_tuples;
}

/* Makes the plan node of a path. */
ForeignScan *
fdw_get_plan(PlannerInfo *root, RelOptInfo *rel, Oid relid, ForeignPath *path, List *tlist,
			 List *clauses, Plan *outer_plan)
{
	List	   *comparands = NIL;
	List	   *exact = NIL;
	List	   *local = NIL;
	Filter	   *filter;
	List	   *columns;

	if (IS_UPPER_REL(rel))
		return fdw_get_upper_plan(path, tlist, outer_plan);
	if (IS_JOIN_REL(rel))
		return fdw_get_join_plan(path, tlist);

	filter = filter_from_clauses(root, rel, clauses, &comparands, &exact, &local);
	columns = needed_columns(rel, list_concat_copy(exact, local));
	return make_foreignscan(tlist, local, rel->relid, comparands,
							list_make5(filter_save(filter), columns,
									   makeBoolean(scan_projects(rel, columns)),
									   makeInteger(scan_limit(root, rel, path->path.pathkeys, local)),
									   path->fdw_private),
							NIL, exact, outer_plan);
}

/*
 * access.c
 *	  How many documents MongoDB looks at and returns, for costs.
 *
 * By the selectivities that PostgreSQL has, from ANALYZE, and the indexes that
 * are known: that of _id, and with the option use_remote_estimate all of them.
 * With that option MongoDB is also asked how many documents match the
 * conditions whose comparands are constants.
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "access/htup_details.h"
#include "fdw/access.h"
#include "fdw/estimate.h"
#include "fdw/filter.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/memutils.h"

/* A comparison of two documents when MongoDB sorts: half of what PostgreSQL takes for its own. */
#define COST_COMPARISON	0.0025

/* The filter of a clause for estimates, or NULL. */
static Filter *
clause_filter(PlannerInfo *root, RelOptInfo *rel, RestrictInfo *rinfo, List **comparands)
{
	if (rinfo->pseudoconstant)
		return NULL;
	return filter_from_clause(root, rel, rinfo->clause, comparands);
}

/* The clauses for which there is a filter. */
List *
access_shipped(PlannerInfo *root, RelOptInfo *rel, List *clauses)
{
	List	   *shipped = NIL;
	List	   *comparands = NIL;
	ListCell   *lc;

	foreach(lc, clauses)
	{
		if (clause_filter(root, rel, lfirst(lc), &comparands) != NULL)
			shipped = lappend(shipped, lfirst(lc));
	}
	return shipped;
}

/* The best bounds of a path by shipped clauses; those that have bounds for it are added to *used. */
static FilterBounds
path_bounds(PlannerInfo *root, RelOptInfo *rel, List *clauses, const char *path, List **used)
{
	FilterBounds best = BOUNDS_NONE;
	List	   *comparands = NIL;
	ListCell   *lc;

	foreach(lc, clauses)
	{
		FilterBounds bounds = filter_bounds(clause_filter(root, rel, lfirst(lc), &comparands), path);

		if (bounds != BOUNDS_NONE)
			*used = list_append_unique_ptr(*used, lfirst(lc));
		best = Max(best, bounds);
	}
	return best;
}

/* The clauses that bound an index: those on its fields, up to the first without equality. */
static List *
clauses_of_index(PlannerInfo *root, RelOptInfo *rel, CollectionIndex *index, List *clauses,
				 bool *one)
{
	List	   *used = NIL;
	ListCell   *lc;

	*one = index->unique && index->whole;
	foreach(lc, index->fields)
	{
		List	   *of_field = NIL;
		FilterBounds bounds = path_bounds(root, rel, clauses, lfirst(lc), &of_field);

		if (bounds != BOUNDS_POINT)
			*one = false;
		if (bounds == BOUNDS_NONE || (index->hashed && bounds == BOUNDS_RANGE))
			break;
		used = list_concat_unique_ptr(used, of_field);
		if (bounds == BOUNDS_RANGE)
			break;
	}
	return used;
}

/* The number of documents that MongoDB looks at for shipped clauses. */
double
access_examined(PlannerInfo *root, RelOptInfo *rel, List *clauses, bool *one)
{
	FdwRelation *relation = rel->fdw_private;
	double		examined = rel->tuples;
	ListCell   *lc;

	*one = false;
	foreach(lc, relation->indexes)
	{
		List	   *used = clauses_of_index(root, rel, lfirst(lc), clauses, one);

		if (*one)
			return 1;
		if (used != NIL)
			examined = Min(examined, rel->tuples * clauselist_selectivity(root, used, rel->relid,
																		  JOIN_INNER, NULL));
	}
	return examined;
}

/* Is a path the first of one of the indexes? */
bool
access_has_index(List *indexes, const char *path)
{
	ListCell   *lc;

	foreach(lc, indexes)
	{
		if (strcmp(linitial(((CollectionIndex *) lfirst(lc))->fields), path) == 0)
			return true;
	}
	return false;
}

/* Does a join clause select documents by an index? */
bool
access_by_clause(PlannerInfo *root, RelOptInfo *rel, RestrictInfo *rinfo)
{
	FdwRelation *relation = rel->fdw_private;
	List	   *comparands = NIL;
	Filter	   *filter = clause_filter(root, rel, rinfo, &comparands);
	ListCell   *lc;

	if (filter == NULL)
		return false;
	foreach(lc, relation->indexes)
	{
		if (filter_bounds(filter, linitial(((CollectionIndex *) lfirst(lc))->fields)) >= BOUNDS_POINTS)
			return true;
	}
	return false;
}

/* Sets the size of the collection where PostgreSQL does not know it, or shall ask. */
static void
set_collection_size(RelOptInfo *rel, FdwRelation *relation)
{
	double		documents;
	double		bytes;

	if (rel->tuples >= 0 && !relation->remote_estimate)
		return;
	if (estimate_collection(relation->relid, relation->userid, false, &documents, &bytes))
	{
		rel->tuples = documents;
		rel->pages = Min(ceil(bytes / BLCKSZ), MaxBlockNumber);
		relation->counted = true;
	}
	else if (rel->tuples < 0)
	{
		/* As for a table that was never analyzed. */
		rel->pages = 10;
		rel->tuples = 10 * BLCKSZ / (rel->reltarget->width + MAXALIGN(SizeofHeapTupleHeader));
	}
}

/* Are all of the comparands from a position on constants? */
static bool
are_constants(List *comparands, int from)
{
	ListCell   *lc;

	for_each_from(lc, comparands, from)
	{
		if (!IsA(lfirst(lc), Const))
			return false;
	}
	return true;
}

/* The filter of those shipped clauses whose comparands are constants, and these; they are added to *known. */
static Filter *
known_filter(PlannerInfo *root, RelOptInfo *rel, List *clauses, List **known, FilterValue **values)
{
	List	   *comparands = NIL;
	List	   *filters = NIL;
	ListCell   *lc;

	foreach(lc, clauses)
	{
		int			ncomparands = list_length(comparands);
		Filter	   *filter = clause_filter(root, rel, lfirst(lc), &comparands);

		if (!are_constants(comparands, ncomparands))
		{
			comparands = list_truncate(comparands, ncomparands);
			continue;
		}
		filters = lappend(filters, filter);
		*known = lappend(*known, lfirst(lc));
	}
	*values = filter_values_known(comparands);
	return filter_all_of(filters);
}

/* Asks MongoDB how many documents match a filter; false for no answer. */
static bool
count_matches(RelOptInfo *rel, Filter *filter, const FilterValue *values, bool indexed,
			  double *matches)
{
	FdwRelation *relation = rel->fdw_private;
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "count of matches",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	bson_t	   *match = filter_to_bson(filter, values);
	bool		counted = match == NULL;

	*matches = 0;
	if (match != NULL && !bson_empty(match))
		counted = estimate_matches(relation->relid, relation->userid, match,
								   filter_needs_simple_collation(filter), indexed, rel->tuples,
								   matches);
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return counted;
}

/* Corrects the estimates of a relation by a count; what is not counted keeps its selectivity. */
static void
set_counted_size(PlannerInfo *root, RelOptInfo *rel, List *shipped)
{
	FdwRelation *relation = rel->fdw_private;
	bool		indexed = relation->examined < rel->tuples;
	List	   *known = NIL;
	FilterValue *values;
	Filter	   *filter = known_filter(root, rel, shipped, &known, &values);
	double		matches;

	if (filter == NULL || !count_matches(rel, filter, values, indexed, &matches))
		return;
	matches = Min(matches, rel->tuples);
	rel->rows = clamp_row_est(matches *
							  clauselist_selectivity(root,
													 list_difference_ptr(rel->baserestrictinfo, known),
													 0, JOIN_INNER, NULL));
	relation->retrieved = clamp_row_est(matches *
										clauselist_selectivity(root,
															   list_difference_ptr(shipped, known),
															   0, JOIN_INNER, NULL));
	if (indexed)
		relation->examined = clamp_row_est(matches);
}

/* Estimates what the restrictions of the relation leave. */
void
access_set_size(PlannerInfo *root, RelOptInfo *rel)
{
	FdwRelation *relation = rel->fdw_private;
	List	   *shipped = access_shipped(root, rel, rel->baserestrictinfo);
	bool		one;

	set_collection_size(rel, relation);
	set_baserel_size_estimates(root, rel);
	relation->examined = access_examined(root, rel, shipped, &one);
	relation->retrieved = clamp_row_est(rel->tuples *
										clauselist_selectivity(root, shipped, 0, JOIN_INNER, NULL));
	if (one)
		rel->rows = relation->examined = relation->retrieved = 1;
	else if (relation->remote_estimate && relation->counted)
		set_counted_size(root, rel, shipped);
}

/*
 * Adds what MongoDB takes to sort.  Unless the order is that of an index, it
 * must look at all documents before it returns the first.
 */
void
access_add_sort(FdwRelation *relation, const Sorting *sorting, Path *path)
{
	Cost		sort;

	if (sorting_is_by_index(sorting, relation->indexes))
		return;
	sort = relation->retrieved * log2(Max(relation->retrieved, 2)) * COST_COMPARISON;
	path->startup_cost += relation->examined * COST_EXAMINED + sort;
	path->total_cost += sort;
}

/*
 * access.h
 *	  How many documents MongoDB looks at and returns, for costs.
 */
#ifndef MM_ACCESS_H
#define MM_ACCESS_H

#include "fdw/relation.h"
#include "fdw/sort.h"

/* A document that MongoDB looks at. */
#define COST_EXAMINED	0.05

/* The clauses of a list of RestrictInfos for which there is a filter. */
extern List *access_shipped(PlannerInfo *root, RelOptInfo *rel, List *clauses);

/*
 * The number of documents that MongoDB looks at for shipped clauses, by the
 * index that leaves fewest; *one says that these select one document at most.
 */
extern double access_examined(PlannerInfo *root, RelOptInfo *rel, List *clauses, bool *one);

/* Is a path the first of one of the CollectionIndexes? */
extern bool access_has_index(List *indexes, const char *path);

/* Does a join clause select documents by an index? */
extern bool access_by_clause(PlannerInfo *root, RelOptInfo *rel, RestrictInfo *rinfo);

/* Estimates what the restrictions of the relation leave, in rel and its FdwRelation. */
extern void access_set_size(PlannerInfo *root, RelOptInfo *rel);

/* Adds to the cost of a path what MongoDB takes to sort the documents of the relation for it. */
extern void access_add_sort(FdwRelation *relation, const Sorting *sorting, Path *path);

#endif							/* MM_ACCESS_H */

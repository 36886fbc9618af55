/*
 * sort.h
 *	  The order in which MongoDB returns a scan's documents.
 */
#ifndef MM_SORT_H
#define MM_SORT_H

#include "nodes/pathnodes.h"

/* Where the documents without the first key go. */
typedef enum SortingNulls
{
	NULLS_TOGETHER,				/* one command: there are none, or they are in
								 * place */
	NULLS_FIRST,				/* a command of their own before the others'
								 * ... */
	NULLS_LAST					/* ... or after it */
} SortingNulls;

/* Find commands that a scan takes at most. */
#define SORTING_MAX_PARTS 2

typedef struct Sorting
{
	List	   *keys;			/* lists of path and, boolean, descending */
	SortingNulls nulls;
} Sorting;

/*
 * The sort that serves as many of the pathkeys as can be, from the first on;
 * NULL when that is none.
 */
extern Sorting *sorting_from_pathkeys(PlannerInfo *root, RelOptInfo *rel, List *pathkeys);

/* Is it the order of one of the CollectionIndexes? */
extern bool sorting_is_by_index(const Sorting *sorting, List *indexes);

/* A sort as a list that a plan can carry, and back; NIL and NULL for none. */
extern List *sorting_save(const Sorting *sorting);
extern Sorting *sorting_load(List *saved);

/* How many find commands the scan takes; 1 for no sort. */
extern int	sorting_parts(const Sorting *sorting);

/* The match document of one of them, from the scan's, which may be NULL: nothing matches. */
extern bson_t *sorting_match(const Sorting *sorting, int part, bson_t *match);

/* Appends the keys, as "sort" or "$sort", from one of them on. */
extern void sorting_append_keys(bson_t *document, const char *name, const Sorting *sorting,
								int first);

/* Appends its options "sort" and "allowDiskUse". */
extern void sorting_append(bson_t *options, const Sorting *sorting, int part);

#endif							/* MM_SORT_H */

/*
 * guard.h
 *	  Which documents can surely be decoded, as MongoDB can tell.
 */
#ifndef MM_GUARD_H
#define MM_GUARD_H

#include "fdw/filter.h"
#include "fdw/relation.h"

/* What the conditions say of a column. */
typedef enum GuardKind
{
	GUARD_ANY,					/* it may be NULL, or any value */
	GUARD_VALUE,				/* it has a value */
	GUARD_EQUAL,				/* it equals a comparand */
	GUARD_NULL					/* it is NULL */
} GuardKind;

/* A column that is to be decoded. */
typedef struct Guard
{
	GuardKind	kind;
	char	   *path;			/* for match documents */
	Oid			type;
} Guard;

/*
 * The Guards for the columns of the restrictions on a base relation, and for
 * the column of the _id.  False when MongoDB cannot tell for one of them, or
 * cannot evaluate a restriction by itself for documents that pass the guards.
 */
extern bool guards_for_restrictions(PlannerInfo *root, RelOptInfo *rel, AttrNumber id_column,
									List **guards);

/* Must strings be compared byte by byte, whatever the collection's collation? */
extern bool guards_need_simple_collation(List *guards);

/*
 * Of the documents that match: *safe matches those that pass the guards, *odd
 * the others.  Owned by the current memory context.
 */
extern void guards_to_bson(List *guards, bson_t *match, bson_t **safe, bson_t **odd);

/* Guards as a list that a plan can carry, and back. */
extern List *guards_save(List *guards);
extern List *guards_load(List *saved);

#endif							/* MM_GUARD_H */

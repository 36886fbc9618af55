/*
 * relation.h
 *	  What the planner knows of a foreign table.
 */
#ifndef MM_RELATION_H
#define MM_RELATION_H

#include "mongo/options.h"
#include "nodes/pathnodes.h"

/* In RelOptInfo.fdw_private of a base relation. */
typedef struct FdwRelation
{
	Oid			relid;
	Oid			userid;			/* whose user mapping is used */
	MongoTableOptions *options;
	MongoColumnOptions **columns;	/* by attnum - 1; NULL until asked for */
	MemoryContext context;		/* of all this */

	bool		remote_estimate;	/* option use_remote_estimate */
	Cost		startup_cost;	/* options fdw_startup_cost and fdw_tuple_cost */
	Cost		tuple_cost;
	bool		counted;		/* does MongoDB say how many documents there
								 * are? */
	List	   *indexes;		/* CollectionIndex: that of _id, and what
								 * MongoDB tells if asked */
	double		examined;		/* documents that MongoDB looks at, and ... */
	double		retrieved;		/* ... returns, for the base restrictions */
} FdwRelation;

extern FdwRelation *fdw_relation_create(PlannerInfo *root, RelOptInfo *rel, Oid relid);

/* The path of a column. */
extern const char *fdw_relation_path(FdwRelation *relation, AttrNumber attnum);

/* How a jsonb column writes its values. */
extern JsonMode fdw_relation_json_mode(FdwRelation *relation, AttrNumber attnum);

/* About how many bytes a value of a column has. */
extern int	fdw_relation_width(FdwRelation *relation, AttrNumber attnum);

/*
 * Is the relation joined, and its collection written by another reference in the
 * statement?  Then what is looked up row by row, or read again, would be as it is
 * written by then.  The rows to be written themselves come to no harm: each is
 * written once.
 */
extern bool fdw_relation_is_written(PlannerInfo *root, RelOptInfo *rel);

#endif							/* MM_RELATION_H */

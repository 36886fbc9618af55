/*
 * scanstate.h
 *	  A scan in execution, for scan.c and explain.c.
 */
#ifndef MM_SCANSTATE_H
#define MM_SCANSTATE_H

#include "fdw/scan.h"
#include "nodes/execnodes.h"

/* In ForeignScanState.fdw_state. */
typedef struct FdwScanState
{
	Find		find;
	RowReader  *reader;
	MongoConnection *connection;
	List	   *comparands;		/* ExprStates */
	int			ncomparands;
	FilterValue *values;		/* of the comparands */
	MemoryContext context;		/* cursor and what it was made from */
	MongoCursor *cursors[SORTING_MAX_PARTS];	/* NULL before and after the
												 * rows */
	int			part;			/* which of them is read */
	bool		started;
} FdwScanState;

/* scan.c: evaluates comparands, from one index up to another, in the current memory context. */
extern void scan_evaluate(FdwScanState *state, ExprContext *econtext, int first, int end);

#endif							/* MM_SCANSTATE_H */

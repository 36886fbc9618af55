/*
 * scanstate.h
 *	  A scan in execution, for scan.c and explain.c.
 */
#ifndef MM_SCANSTATE_H
#define MM_SCANSTATE_H

#include "fdw/scan.h"

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
	MongoCursor *cursor;		/* NULL before and after the rows */
	int			part;			/* the command to be sent next, see sort.h */
} FdwScanState;

#endif							/* MM_SCANSTATE_H */

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
	MemoryContext context;		/* cursor, match document, values of comparands */
	MongoCursor *cursor;		/* NULL before the first row and after the last */
	bool		started;
} FdwScanState;

#endif							/* MM_SCANSTATE_H */

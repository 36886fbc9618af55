/*
 * scanstate.h
 *	  A scan in execution, for scan.c and explain.c.
 */
#ifndef MM_SCANSTATE_H
#define MM_SCANSTATE_H

#include "fdw/early.h"
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
	bool		unread;			/* it was started early, and nothing is read */
	EarlyScan  *early;
} FdwScanState;

/* scan.c: starts a scan before its first row is asked for */
extern void fdw_start_scan_early(ForeignScanState *node);

#endif							/* MM_SCANSTATE_H */

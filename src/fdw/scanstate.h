/*
 * scanstate.h
 *	  Scans in execution: of what, and the state of one of a table.
 */
#ifndef MM_SCANSTATE_H
#define MM_SCANSTATE_H

#include "fdw/early.h"
#include "fdw/scan.h"
#include "nodes/execnodes.h"

/* What a scan has the rows of. */
typedef enum ScanKind
{
	SCAN_OF_TABLE,				/* scan.c */
	SCAN_OF_JOIN,				/* joinscan.c */
	SCAN_OF_GROUPS				/* groupscan.c */
} ScanKind;

static inline ScanKind
scan_kind(ForeignScanState *node)
{
	/* One of groups has the local plan below. */
	if (outerPlan(node->ss.ps.plan) != NULL)
		return SCAN_OF_GROUPS;
	return castNode(ForeignScan, node->ss.ps.plan)->scan.scanrelid == 0 ? SCAN_OF_JOIN : SCAN_OF_TABLE;
}

/* In ForeignScanState.fdw_state of a table's scan. */
typedef struct FdwScanState
{
	Find		find;
	RowReader  *reader;
	MongoConnection *connection;
	List	   *comparands;		/* ExprStates */
	FilterValue *values;		/* of the comparands */
	MemoryContext context;		/* cursor and what it was made from */
	MongoCursor *cursors[SORTING_MAX_PARTS];	/* NULL before and after the
												 * rows */
	int			part;			/* which of them is read */
	bool		started;
	bool		unread;			/* it was started early, and nothing is read */
	EarlyScan  *early;
} FdwScanState;

/* scan.c: the phases of a table's scan */
extern void table_scan_begin(ForeignScanState *node, int eflags);
extern TupleTableSlot *table_scan_next(ForeignScanState *node);
extern void table_scan_restart(ForeignScanState *node);
extern void table_scan_end(ForeignScanState *node);

/* Starts a scan before its first row is asked for. */
extern void table_scan_start_early(ForeignScanState *node);

#endif							/* MM_SCANSTATE_H */

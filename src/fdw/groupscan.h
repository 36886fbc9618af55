/*
 * groupscan.h
 *	  The scan of groups that MongoDB makes.
 */
#ifndef MM_GROUPSCAN_H
#define MM_GROUPSCAN_H

#include "fdw/filter.h"
#include "foreign/fdwapi.h"

/* What a ForeignScan's fdw_private holds; its fdw_exprs are the comparands. */
enum GroupPrivate
{
	GROUP_GROUP,				/* from group_save() */
	GROUP_FILTER				/* from filter_save(); NIL: every document */
};

/* upper.c */
extern ForeignScan *fdw_get_upper_plan(ForeignPath *path, List *tlist, Plan *local);

/* groupscan.c: the phases of such a scan */
extern void group_scan_begin(ForeignScanState *node, int eflags);
extern TupleTableSlot *group_scan_next(ForeignScanState *node);
extern void group_scan_restart(ForeignScanState *node);
extern void group_scan_end(ForeignScanState *node);

/* The command, with values for its comparands; NULL when no document can match. */
extern bson_t *group_scan_command(ForeignScanState *node, const FilterValue *values);

#endif							/* MM_GROUPSCAN_H */

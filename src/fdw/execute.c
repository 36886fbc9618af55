/*
 * execute.c
 *	  Execution of a foreign scan, by what it has the rows of.
 */
#include "postgres.h"
#include "compat.h"

#include "fdw/fdw.h"
#include "fdw/groupscan.h"
#include "fdw/joinscan.h"
#include "fdw/scanstate.h"

static const struct
{
	void		(*begin) (ForeignScanState *node, int eflags);
	TupleTableSlot *(*next) (ForeignScanState *node);
	void		(*restart) (ForeignScanState *node);
	void		(*end) (ForeignScanState *node);
}			phases[] = {
	[SCAN_OF_TABLE] = {table_scan_begin, table_scan_next, table_scan_restart, table_scan_end},
	[SCAN_OF_JOIN] = {join_scan_begin, join_scan_next, join_scan_restart, join_scan_end},
	[SCAN_OF_GROUPS] = {group_scan_begin, group_scan_next, group_scan_restart, group_scan_end}
};

/* Sets a scan up; nothing is sent before the first row is asked for. */
void
fdw_begin_scan(ForeignScanState *node, int eflags)
{
	phases[scan_kind(node)].begin(node, eflags);
}

/* The next row in the scan's slot, which is empty at the end. */
TupleTableSlot *
fdw_iterate_scan(ForeignScanState *node)
{
	return phases[scan_kind(node)].next(node);
}

/* Starts again, with parameters that may have changed. */
void
fdw_rescan(ForeignScanState *node)
{
	phases[scan_kind(node)].restart(node);
}

/* Ends a scan, whether or not it came to the last row. */
void
fdw_end_scan(ForeignScanState *node)
{
	phases[scan_kind(node)].end(node);
}

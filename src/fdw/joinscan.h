/*
 * joinscan.h
 *	  The scan of a join that MongoDB makes.
 */
#ifndef MM_JOINSCAN_H
#define MM_JOINSCAN_H

#include "fdw/filter.h"
#include "foreign/fdwapi.h"

/* What a ForeignScan's fdw_exprs hold; its fdw_private is from join_save(). */
enum JoinExpressions
{
	JOIN_COMPARANDS,			/* a list */
	JOIN_MATCHING,				/* a list: conditions of a match */
	JOIN_ASKED					/* a list: the comparand of a find for one
								 * outer row, or NIL */
};

/* join_path.c */
extern ForeignScan *fdw_get_join_plan(ForeignPath *path, List *tlist);

/* joinscan.c: the phases of such a scan */
extern void join_scan_begin(ForeignScanState *node, int eflags);
extern TupleTableSlot *join_scan_next(ForeignScanState *node);
extern void join_scan_restart(ForeignScanState *node);
extern void join_scan_end(ForeignScanState *node);

/* The command, with values for its comparands; NULL when no document of the outer table can match. */
extern bson_t *join_scan_command(ForeignScanState *node, const FilterValue *values);

/* "outer LEFT JOIN inner", by the names of an EXPLAIN. */
extern const char *join_scan_tables(ForeignScanState *node, List *names);

#endif							/* MM_JOINSCAN_H */

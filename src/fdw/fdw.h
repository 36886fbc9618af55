/*
 * fdw.h
 *	  The wrapper's callbacks, by the phase that they belong to.
 */
#ifndef MM_FDW_H
#define MM_FDW_H

#include "foreign/fdwapi.h"

/* GUC mongo_migrate.enable_pushdown: MongoDB filters and limits.  Registered in init.c. */
extern bool fdw_enable_pushdown;

/* plan.c */
extern void fdw_get_rel_size(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern void fdw_get_paths(PlannerInfo *root, RelOptInfo *rel, Oid relid);
extern ForeignScan *fdw_get_plan(PlannerInfo *root, RelOptInfo *rel, Oid relid,
								 ForeignPath *path, List *tlist, List *clauses,
								 Plan *outer_plan);

/* scan.c */
extern void fdw_begin_scan(ForeignScanState *node, int eflags);
extern TupleTableSlot *fdw_iterate_scan(ForeignScanState *node);
extern void fdw_rescan(ForeignScanState *node);
extern void fdw_end_scan(ForeignScanState *node);

/* explain.c */
extern void fdw_explain_scan(ForeignScanState *node, struct ExplainState *es);

/* analyze.c */
extern bool fdw_analyze(Relation relation, AcquireSampleRowsFunc *func, BlockNumber *totalpages);

/* import.c */
extern List *fdw_import_schema(ImportForeignSchemaStmt *stmt, Oid serverid);

#endif							/* MM_FDW_H */

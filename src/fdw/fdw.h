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

/* join_path.c */
extern void fdw_get_join_paths(PlannerInfo *root, RelOptInfo *joinrel, RelOptInfo *outer,
							   RelOptInfo *inner, JoinType type, JoinPathExtraData *extra);

/* upper.c */
extern void fdw_get_upper_paths(PlannerInfo *root, UpperRelationKind stage, RelOptInfo *input,
								RelOptInfo *output, void *extra);

/* execute.c */
extern void fdw_begin_scan(ForeignScanState *node, int eflags);
extern TupleTableSlot *fdw_iterate_scan(ForeignScanState *node);
extern void fdw_rescan(ForeignScanState *node);
extern void fdw_end_scan(ForeignScanState *node);

/* explain.c */
extern void fdw_explain_scan(ForeignScanState *node, struct ExplainState *es);
extern void fdw_explain_direct_modify(ForeignScanState *node, struct ExplainState *es);

/* analyze.c */
extern bool fdw_analyze(Relation relation, AcquireSampleRowsFunc *func, BlockNumber *totalpages);

/* import.c */
extern List *fdw_import_schema(ImportForeignSchemaStmt *stmt, Oid serverid);

/* modify_plan.c */
extern void fdw_add_update_targets(PlannerInfo *root, Index rtindex, RangeTblEntry *target_rte,
								   Relation target_relation);
extern List *fdw_plan_modify(PlannerInfo *root, ModifyTable *plan, Index rtindex,
							 int subplan_index);
extern int	fdw_is_updatable(Relation relation);
extern void fdw_explain_modify(ModifyTableState *mtstate, ResultRelInfo *resultRelInfo,
							   List *private, int subplan_index, struct ExplainState *es);

/* modify.c */
extern void fdw_begin_modify(ModifyTableState *mtstate, ResultRelInfo *resultRelInfo,
							 List *private, int subplan_index, int eflags);
extern void fdw_begin_insert(ModifyTableState *mtstate, ResultRelInfo *resultRelInfo);
extern int	fdw_modify_batch_size(ResultRelInfo *resultRelInfo);
extern TupleTableSlot *fdw_insert(EState *estate, ResultRelInfo *resultRelInfo,
								  TupleTableSlot *slot, TupleTableSlot *plan_slot);
extern TupleTableSlot **fdw_insert_batch(EState *estate, ResultRelInfo *resultRelInfo,
										 TupleTableSlot **slots, TupleTableSlot **plan_slots,
										 int *count);
extern TupleTableSlot *fdw_update(EState *estate, ResultRelInfo *resultRelInfo,
								  TupleTableSlot *slot, TupleTableSlot *plan_slot);
extern TupleTableSlot *fdw_delete(EState *estate, ResultRelInfo *resultRelInfo,
								  TupleTableSlot *slot, TupleTableSlot *plan_slot);
extern void fdw_end_modify(EState *estate, ResultRelInfo *resultRelInfo);
extern void fdw_truncate(List *relations, DropBehavior behavior, bool restart_sequences);

/* direct.c */
extern bool fdw_plan_direct_modify(PlannerInfo *root, ModifyTable *plan, Index rtindex,
								   int subplan_index);
extern void fdw_begin_direct_modify(ForeignScanState *node, int eflags);
extern TupleTableSlot *fdw_iterate_direct_modify(ForeignScanState *node);
extern void fdw_end_direct_modify(ForeignScanState *node);

#endif							/* MM_FDW_H */

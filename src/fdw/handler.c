/*
 * handler.c
 *	  The entry point of the foreign data wrapper.
 *
 * The callbacks, by the phase that they belong to; see fdw.h.
 */
#include "postgres.h"
#include "compat.h"

#include "fdw/fdw.h"
#include "fmgr.h"

PG_FUNCTION_INFO_V1(mm_handler);

/* handler() returns fdw_handler */
Datum
mm_handler(PG_FUNCTION_ARGS)
{
	FdwRoutine *routine = makeNode(FdwRoutine);

	routine->GetForeignRelSize = fdw_get_rel_size;
	routine->GetForeignPaths = fdw_get_paths;
	routine->GetForeignJoinPaths = fdw_get_join_paths;
	routine->GetForeignUpperPaths = fdw_get_upper_paths;
	routine->GetForeignPlan = fdw_get_plan;
	routine->BeginForeignScan = fdw_begin_scan;
	routine->IterateForeignScan = fdw_iterate_scan;
	routine->ReScanForeignScan = fdw_rescan;
	routine->EndForeignScan = fdw_end_scan;
	routine->ExplainForeignScan = fdw_explain_scan;
	routine->AnalyzeForeignTable = fdw_analyze;
	routine->ImportForeignSchema = fdw_import_schema;

	routine->IsForeignRelUpdatable = fdw_is_updatable;
	routine->AddForeignUpdateTargets = fdw_add_update_targets;
	routine->PlanForeignModify = fdw_plan_modify;
	routine->BeginForeignModify = fdw_begin_modify;
	routine->BeginForeignInsert = fdw_begin_insert;
	routine->GetForeignModifyBatchSize = fdw_modify_batch_size;
	routine->ExecForeignInsert = fdw_insert;
	routine->ExecForeignBatchInsert = fdw_insert_batch;
	routine->ExecForeignUpdate = fdw_update;
	routine->ExecForeignDelete = fdw_delete;
	routine->EndForeignModify = fdw_end_modify;
	routine->EndForeignInsert = fdw_end_modify;
	routine->ExecForeignTruncate = fdw_truncate;
	routine->ExplainForeignModify = fdw_explain_modify;

	routine->PlanDirectModify = fdw_plan_direct_modify;
	routine->BeginDirectModify = fdw_begin_direct_modify;
	routine->IterateDirectModify = fdw_iterate_direct_modify;
	routine->EndDirectModify = fdw_end_direct_modify;
	routine->ExplainDirectModify = fdw_explain_direct_modify;
	PG_RETURN_POINTER(routine);
}

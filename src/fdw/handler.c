/*
 * handler.c
 *	  The entry point of the foreign data wrapper.
 *
 * The wrapper reads.  A statement that would write to a foreign table finds no
 * callback for it, and PostgreSQL says so.
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
	routine->GetForeignPlan = fdw_get_plan;
	routine->BeginForeignScan = fdw_begin_scan;
	routine->IterateForeignScan = fdw_iterate_scan;
	routine->ReScanForeignScan = fdw_rescan;
	routine->EndForeignScan = fdw_end_scan;
	routine->ExplainForeignScan = fdw_explain_scan;
	routine->AnalyzeForeignTable = fdw_analyze;
	routine->ImportForeignSchema = fdw_import_schema;
	PG_RETURN_POINTER(routine);
}

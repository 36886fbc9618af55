/*
 * rest.c
 *	  A wait that holds no snapshot.
 *
 * A worker that spares the source rests between batches, for seconds.  Any
 * query would keep its snapshot meanwhile, and with it the dead rows of the
 * whole database.  A procedure that may control transactions has one from its
 * call, too, until it commits; then only the catalog's is left.
 */
#include "postgres.h"
#include "compat.h"

#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/latch.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"
#include "wait_events.h"

/* The longest wait at a time, so that a clock that is set is noticed. */
#define REST_MS 1000

PG_FUNCTION_INFO_V1(mm_rest_until);

/* Commits, and keeps no snapshot, where a procedure may. */
static void
let_snapshots_go(FunctionCallInfo fcinfo)
{
	if (fcinfo->context == NULL || !IsA(fcinfo->context, CallContext) ||
		castNode(CallContext, fcinfo->context)->atomic)
		return;
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	SPI_commit();
	SPI_finish();
	InvalidateCatalogSnapshotConditionally();
}

/* rest_until(due timestamptz): waits until then; NULL, or a time that is past: not at all */
Datum
mm_rest_until(PG_FUNCTION_ARGS)
{
	TimestampTz due = PG_ARGISNULL(0) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(0);
	TimestampTz now = GetCurrentTimestamp();

	wait_names_register();
	if (now < due)
		let_snapshots_go(fcinfo);
	for (; now < due; now = GetCurrentTimestamp())
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(TimestampDifferenceMilliseconds(now, due), REST_MS),
						 wait_event(MONGO_WAIT_REST));
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	PG_RETURN_VOID();
}

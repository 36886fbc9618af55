/*
 * session_lock.c
 *	  Advisory locks that last over commits, but over no rollback.
 *
 * A procedure that commits keeps a chunk, or the changes of a server, from
 * other sessions for longer than a transaction.  A lock of its session would
 * stay behind an error, where the session lives on: nothing in a procedure
 * that commits can catch one.  So these are let go as the transaction, or the
 * subtransaction that took them, is rolled back.
 */
#include "postgres.h"
#include "compat.h"

#include "access/xact.h"
#include "fmgr.h"
#include "nodes/pg_list.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"

/* A lock that the session has, and the subtransaction that took it. */
typedef struct SessionLock
{
	int64		key;
	SubTransactionId taken_by;
} SessionLock;

static List *held = NIL;		/* of SessionLock, in TopMemoryContext */

PG_FUNCTION_INFO_V1(mm_try_session_lock);
PG_FUNCTION_INFO_V1(mm_release_session_lock);

/* Lets the lock at a cell of held go. */
static void
release(ListCell *cell)
{
	SessionLock *lock = lfirst(cell);

	DirectFunctionCall1(pg_advisory_unlock_int8, Int64GetDatum(lock->key));
	held = list_delete_cell(held, cell);
	pfree(lock);
}

/* Transaction callback. */
static void
transaction_ended(XactEvent event, void *arg)
{
	while (event == XACT_EVENT_ABORT && held != NIL)
		release(list_tail(held));
}

/* Subtransaction callback: what one has taken is its parent's as it commits. */
static void
subtransaction_ended(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	for (int i = list_length(held) - 1; i >= 0; i--)
	{
		ListCell   *cell = list_nth_cell(held, i);
		SessionLock *lock = lfirst(cell);

		if (lock->taken_by != id)
			continue;
		if (event == SUBXACT_EVENT_COMMIT_SUB)
			lock->taken_by = parent;
		else if (event == SUBXACT_EVENT_ABORT_SUB)
			release(cell);
	}
}

/* try_session_lock(key bigint) returns boolean */
Datum
mm_try_session_lock(PG_FUNCTION_ARGS)
{
	static bool watching = false;
	MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);
	SessionLock *lock = palloc(sizeof(SessionLock));
	bool		taken;

	if (!watching)
	{
		RegisterXactCallback(transaction_ended, NULL);
		RegisterSubXactCallback(subtransaction_ended, NULL);
		watching = true;
	}
	lock->key = PG_GETARG_INT64(0);
	lock->taken_by = GetCurrentSubTransactionId();
	taken = DatumGetBool(DirectFunctionCall1(pg_try_advisory_lock_int8, Int64GetDatum(lock->key)));
	if (taken)
		held = lappend(held, lock);
	else
		pfree(lock);
	MemoryContextSwitchTo(old);
	PG_RETURN_BOOL(taken);
}

/* release_session_lock(key bigint) returns void: one that it took */
Datum
mm_release_session_lock(PG_FUNCTION_ARGS)
{
	for (int i = list_length(held) - 1; i >= 0; i--)
	{
		ListCell   *cell = list_nth_cell(held, i);

		if (((SessionLock *) lfirst(cell))->key == PG_GETARG_INT64(0))
		{
			release(cell);
			break;
		}
	}
	PG_RETURN_VOID();
}

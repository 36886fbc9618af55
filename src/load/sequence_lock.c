/*
 * sequence_lock.c
 *	  Keeping others from taking values of a sequence for a moment.
 *
 * nextval() holds RowExclusiveLock to the end of its transaction.  What
 * conflicts with that waits for all who have taken values, and lets nobody take
 * one; no command of SQL has it for a sequence but ALTER SEQUENCE, which would
 * hold it to the end of the transaction, too.
 */
#include "postgres.h"
#include "compat.h"

#include "fmgr.h"
#include "storage/lmgr.h"

PG_FUNCTION_INFO_V1(mm_lock_sequence);
PG_FUNCTION_INFO_V1(mm_unlock_sequence);

/* lock_sequence(sequence regclass) returns void */
Datum
mm_lock_sequence(PG_FUNCTION_ARGS)
{
	LockRelationOid(PG_GETARG_OID(0), ShareRowExclusiveLock);
	PG_RETURN_VOID();
}

/* unlock_sequence(sequence regclass) returns void: one that it has locked */
Datum
mm_unlock_sequence(PG_FUNCTION_ARGS)
{
	UnlockRelationOid(PG_GETARG_OID(0), ShareRowExclusiveLock);
	PG_RETURN_VOID();
}

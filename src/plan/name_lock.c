/*
 * name_lock.c
 *	  A lock on the name of a table that may not be there yet.
 */
#include "postgres.h"
#include "compat.h"

#include "common/hashfn.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/inval.h"

PG_FUNCTION_INFO_V1(mm_lock_name);

/*
 * lock_name(target text)
 *
 * An advisory lock for the transaction.  Whoever had it may have made the table;
 * a name that was looked up before and not found is looked up anew from now on,
 * which only a lock of a relation does otherwise.
 */
Datum
mm_lock_name(PG_FUNCTION_ARGS)
{
	char	   *key = psprintf("mongo_migrate_target_%s", text_to_cstring(PG_GETARG_TEXT_PP(0)));

	DirectFunctionCall1(pg_advisory_xact_lock_int8,
						Int64GetDatum((int64) hash_bytes_extended((unsigned char *) key, strlen(key), 0)));
	AcceptInvalidationMessages();
	PG_RETURN_VOID();
}

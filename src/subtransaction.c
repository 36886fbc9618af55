/*
 * subtransaction.c
 *	  A call in a subtransaction, whose errors come back as values.
 *
 * As PL/pgSQL does it for a block with EXCEPTION.
 */
#include "postgres.h"
#include "compat.h"

#include "access/xact.h"
#include "subtransaction.h"
#include "utils/resowner.h"

/* Calls a function in a subtransaction; see subtransaction.h. */
ErrorData *
subtransaction_call(void (*function) (void *arg), void *arg, bool keep)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		function(arg);
		if (keep)
			ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	if (error != NULL || !keep)
		RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return error;
}

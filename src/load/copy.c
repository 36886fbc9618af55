/*
 * copy.c
 *	  A batch of a chunk, from its documents to its checkpoint.
 */
#include "postgres.h"
#include "compat.h"

#include "fmgr.h"
#include "load/load.h"
#include "utils/builtins.h"
#include "utils/guc.h"

PG_FUNCTION_INFO_V1(mm_copy_batch);

/* Throws for an argument that must not be null. */
static void
check_arguments(FunctionCallInfo fcinfo, int n)
{
	for (int i = 0; i < n; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("argument %d must not be null", i + 1)));
}

/* The argument on_error: whether bad documents go into quarantine. */
static bool
on_error_argument(text *argument)
{
	char	   *on_error = text_to_cstring(argument);

	if (strcmp(on_error, "quarantine") == 0)
		return true;
	if (strcmp(on_error, "stop") == 0)
		return false;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("on_error is \"%s\", and must be quarantine or stop", on_error)));
}

/* copy_batch(server, collection, chunk, batch_size, on_error, run_id) */
Datum
mm_copy_batch(PG_FUNCTION_ARGS)
{
	MemoryContext caller = CurrentMemoryContext;
	char	   *collection;
	Checkpoint *checkpoint;
	LoadSession *session;
	LoadCounts	counts = {0};
	bytea	   *last_id = NULL;
	bson_t		bson;
	bool		complete = false;
	int			settings;

	check_arguments(fcinfo, 5);
	collection = text_to_cstring(PG_GETARG_TEXT_PP(1));
	if (PG_GETARG_INT32(3) < 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("batch_size must be at least 1")));
	checkpoint = checkpoint_lock(PG_GETARG_NAME(0), collection, PG_GETARG_INT32(2));
	if (checkpoint->complete)
		return load_counts_row(fcinfo, &counts, BoolGetDatum(true));
	settings = load_settings_begin(PG_GETARG_NAME(0), collection);
	session = load_session_begin(PG_GETARG_NAME(0), collection, PG_GETARG_INT32(2), checkpoint);
	MemoryContextSwitchTo(session->batch_context);

	while (!complete && !batch_full(session, PG_GETARG_INT32(3)))
	{
		const bson_t *document = source_next(session->source);

		complete = document == NULL;
		if (!complete)
			batch_add_document(session, document);
	}
	batch_load(session, checkpoint->catching_up ? LOAD_CATCHING_UP : LOAD_FIRST,
			   on_error_argument(PG_GETARG_TEXT_PP(4)), fcinfo->args[5]);
	drift_count(session);
	batch_count(session, &counts);
	if (session->ndocuments > 0)
		last_id = document_id(document_bson(&session->documents[session->ndocuments - 1], &bson));
	checkpoint_move(session, &counts, last_id, complete);
	MemoryContextSwitchTo(caller);
	load_session_end(session, last_id, complete);
	AtEOXact_GUC(false, settings);
	return load_counts_row(fcinfo, &counts, BoolGetDatum(complete));
}

/*
 * documents.c
 *	  Single documents, asked for by their _id.
 *
 * copy_documents() brings documents that have no rows, which is what a retry
 * of those in quarantine does.  replace_documents() makes the rows of
 * documents what they would be now.
 *
 * In the table of a root, a document's row stays where it is and is updated,
 * so that what refers to it holds, and columns that the plan does not know
 * keep what they have.  Rows of child tables have no ids of their own: they
 * are deleted and inserted anew.  A document that cannot become rows keeps
 * those that it has, and one without goes into quarantine.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/json.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "funcapi.h"
#include "load/load.h"
#include "miscadmin.h"
#include "owned.h"
#include "subtransaction.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/rls.h"

PG_FUNCTION_INFO_V1(mm_copy_documents);
PG_FUNCTION_INFO_V1(mm_replace_documents);
PG_FUNCTION_INFO_V1(mm_bson_id);

/* As many ids are asked for by one find, or as many bytes of them. */
#define ASK_IDS 1000
#define ASK_BYTES (1024 * 1024)

/* A document that is asked for: {"_id": ...}, and the key of that. */
typedef struct AskedDocument
{
	bytea	   *bytes;
	bytea	   *key;
	bool		found;
} AskedDocument;

/* What is asked for. */
typedef struct Request
{
	MemoryContext context;		/* the caller's */
	LoadSession *session;
	AskedDocument *asked;		/* in the order of their keys, each once */
	int			nasked;
	void		(*write_batch) (struct Request *request);
	void		(*not_found) (struct Request *request, const bson_t *asked);
	bool		delete_gone;	/* replace: documents that are not in the
								 * source lose their rows */
	bool		retry_dangling; /* replace: what a foreign key refuses will be
								 * tried again; else references that dangle
								 * are null where they may */
	LoadCounts	counts;
	int64		gone;
	int64		replaced;
	int64		deleted;
	ArrayBuildState *written;	/* replace: documents whose rows changed */
	ArrayBuildState *refused;	/* replace: those whose rows stay as they were */
	ArrayBuildState *reasons;
	int64		after;			/* the time of the cluster to read at or after */
	ArrayBuildState *dangling;	/* replace: those that a foreign key refused,
								 * and new ones whose unique value a row has
								 * that a foreign key may hold, and that are
								 * to be tried again */
	ArrayBuildState *held;		/* the same of those that are gone, and
								 * referred to */
	ArrayBuildState *moved;		/* the same of those that are referred to by a
								 * value that they have no longer */
} Request;

/* Lends what is asked for, and its _id. */
static void
asked_bson(const AskedDocument *asked, bson_t *document, bson_iter_t *id)
{
	if (!bson_init_static(document, (uint8_t *) VARDATA_ANY(asked->bytes), VARSIZE_ANY_EXHDR(asked->bytes)) ||
		!bson_iter_init_find(id, document, "_id"))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an element of ids is not BSON with a field _id")));
}

static int
compare_asked(const void *a, const void *b)
{
	return key_compare(((const AskedDocument *) a)->key, ((const AskedDocument *) b)->key);
}

/*
 * Reads the argument ids, without nulls, and each document once: a batch does
 * not look for rows among its own.
 */
static void
read_ids(Request *request, ArrayType *ids)
{
	Datum	   *elements;
	bool	   *nulls;
	int			nelements;
	int			kept = 0;
	AskedDocument *asked;

	deconstruct_array(ids, BYTEAOID, -1, false, TYPALIGN_INT, &elements, &nulls, &nelements);
	asked = MemoryContextAllocHuge(CurrentMemoryContext, Max(nelements, 1) * sizeof(AskedDocument));
	for (int i = 0; i < nelements; i++)
	{
		bson_t		document;
		bson_iter_t id;

		if (nulls[i])
			continue;
		asked[kept].found = false;
		asked[kept].bytes = DatumGetByteaPP(elements[i]);
		asked_bson(&asked[kept], &document, &id);
		asked[kept++].key = document_key(&document);
	}
	qsort(asked, kept, sizeof(AskedDocument), compare_asked);
	request->asked = asked;
	request->nasked = 0;
	for (int i = 0; i < kept; i++)
		if (i == 0 || compare_asked(&asked[i - 1], &asked[i]) != 0)
			asked[request->nasked++] = asked[i];
}

/* Has the documents of the batch written, and begins the next batch. */
static void
end_batch(Request *request)
{
	MemoryContext old = MemoryContextSwitchTo(request->session->batch_context);

	request->write_batch(request);
	MemoryContextSwitchTo(old);
	batch_start(request->session);
}

/* Reads documents asked for, from and up to, not with, to, by one find. */
static void
read_range(Request *request, int from, int to)
{
	LoadSession *session = request->session;
	bson_t	   *ids = owned_bson_new(CurrentMemoryContext);
	MongoCursor *cursor;
	const bson_t *document;
	bson_t		bson;
	bson_iter_t id;

	for (int i = from; i < to; i++)
	{
		asked_bson(&request->asked[i], &bson, &id);
		bson_append_iter(ids, psprintf("%d", i - from), -1, &id);
	}
	cursor = source_find(session, ids, session->filter, false);
	while ((document = mongo_cursor_next(cursor)) != NULL)
	{
		AskedDocument wanted = {.key = document_key(document)};
		AskedDocument *asked = wanted.key == NULL ? NULL :
			bsearch(&wanted, request->asked + from, to - from, sizeof(AskedDocument), compare_asked);

		/* By the collection's collation another string may be equal. */
		if (asked == NULL)
			continue;
		asked->found = true;
		batch_add_document(session, document);
		if (batch_full(session, ASK_IDS))
			end_batch(request);
	}
	mongo_cursor_close(cursor);
	for (int i = from; i < to; i++)
	{
		if (request->asked[i].found)
			continue;
		asked_bson(&request->asked[i], &bson, &id);
		request->not_found(request, &bson);
	}
	end_batch(request);
}

/*
 * Parts the ids that maps give from those of new rows of the tables, which may
 * have come since a migration.
 */
static void
synchronize_ids(LoadSession *session)
{
	SPI_connect();
	collection_query(session, session->collection, "SELECT mongo_migrate.synchronize_sequences($1, $2, false)");
	SPI_finish();
}

/* Reads all that is asked for, in batches, which are written. */
static void
run_request(Request *request, FunctionCallInfo fcinfo)
{
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext range = AllocSetContextCreate(caller, "documents asked for", ALLOCSET_DEFAULT_SIZES);
	char	   *collection = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int			settings = load_settings_begin(PG_GETARG_NAME(0), collection);
	int			from = 0;

	request->context = caller;
	read_ids(request, PG_GETARG_ARRAYTYPE_P(2));
	request->session = load_session_create(PG_GETARG_NAME(0), collection, -1, caller);
	request->session->after = Max(request->session->after, request->after);
	synchronize_ids(request->session);
	batch_start(request->session);
	MemoryContextSwitchTo(range);
	while (from < request->nasked)
	{
		int			to = from;
		Size		bytes = 0;

		for (; to < request->nasked && to - from < ASK_IDS && bytes < ASK_BYTES; to++)
			bytes += VARSIZE_ANY(request->asked[to].bytes);
		read_range(request, from, to);
		MemoryContextReset(range);
		from = to;
	}
	MemoryContextSwitchTo(caller);
	synchronize_ids(request->session);
	MemoryContextDelete(request->session->context);
	MemoryContextDelete(range);
	AtEOXact_GUC(false, settings);
}

/* Whether every document of the batch, none of which has been looked at, is in quarantine. */
static bool
batch_in_quarantine(LoadSession *session)
{
	bool		all = true;

	quarantine_mark_present(session);
	for (int i = 0; i < session->ndocuments; i++)
	{
		session->documents[i].quarantined = session->documents[i].state == DOCUMENT_SKIPPED;
		all &= session->documents[i].quarantined;
		session->documents[i].state = DOCUMENT_READ;
	}
	return all;
}

/*
 * Loads the batch of a retry and removes the entries of documents whose rows
 * are in.  What is in quarantine no chunk meets again; others may be ahead.
 */
static void
copy_asked(Request *request)
{
	LoadSession *session = request->session;
	NullableDatum no_run = {.isnull = true};
	bson_t		bson;

	if (!batch_in_quarantine(session))
		checkpoints_catch_up(session);
	batch_load(session, LOAD_RETRYING, true, no_run);
	drift_count(session);
	batch_count(session, &request->counts);
	for (int i = 0; i < session->ndocuments; i++)
		if (session->documents[i].state != DOCUMENT_REJECTED)
			quarantine_remove(session, document_bson(&session->documents[i], &bson));
}

/* A document that was to be copied is not in the source. */
static void
tell_gone(Request *request, const bson_t *asked)
{
	LoadSession *session = request->session;

	ereport(NOTICE,
			(errmsg("document %s of collection \"%s\" is not in the source any more",
					json_preview_id(asked), session->collection),
			 session->filter == NULL ? 0 : errdetail("Or the plan's filter leaves it out now.")));
	quarantine_remove(session, asked);
	request->gone++;
}

/* copy_documents(server, collection, ids bytea[]) */
Datum
mm_copy_documents(PG_FUNCTION_ARGS)
{
	Request		request = {.write_batch = copy_asked,.not_found = tell_gone};

	run_request(&request, fcinfo);
	return load_counts_row(fcinfo, &request.counts, Int64GetDatum(request.gone));
}

/* The column of a table's rows that has the id of their document; throws where there is none. */
static LoadColumn *
document_column(LoadSession *session, LoadTarget *target)
{
	LoadTarget *root = target_root(target);

	for (int i = 0; root->id != NULL && i < target->ncolumns; i++)
		if (column_origin(target->columns[i]) == root->id)
			return target->columns[i];
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("table %s, of collection \"%s\" of server \"%s\", has no planned column with the id of the document",
					target->name, session->collection, NameStr(session->server)),
			 errdetail("By it the rows of a document are known.")));
}

/* Has all constraints that wait for the commit checked. */
static void
check_waiting(void *arg)
{
	AfterTriggerSetState(makeNode(ConstraintsSetStmt));
}

/*
 * The same, those of partitions and of what triggers have written, too: what
 * one document violates shall not keep others out.  It is rolled back, so that
 * they wait as before, and no other constraint waits that did not.
 */
static void
check_deferred(void)
{
	ErrorData  *error = subtransaction_call(check_waiting, NULL, false);

	if (error != NULL)
		ReThrowError(error);
}

/*
 * Makes the rows of a range of documents what the batch has.  Child rows go
 * and come anew: while their parents are there.
 */
static void
replace_rows(Attempt *attempt)
{
	LoadSession *session = attempt->session;

	for (int i = 0; i < session->ntargets; i++)
	{
		LoadTarget *target = session->targets[i];

		attempt->target = target;
		if (target->included && target->parent == NULL && document_column(session, target) != NULL)
			target_write(attempt, target);
	}
	for (int i = session->ntargets - 1; i >= 0; i--)
	{
		LoadTarget *target = session->targets[i];

		CHECK_FOR_INTERRUPTS();
		attempt->target = target;
		if (target->included)
			target_run_delete(session, target, document_column(session, target), attempt->from, attempt->to);
	}
	for (int i = 0; i < session->ntargets; i++)
		if (session->targets[i]->included && session->targets[i]->parent != NULL)
			target_insert(attempt, session->targets[i]);
	check_deferred();
}

/* Tells of a document that stays as it was. */
static void
warn_rejected(Request *request, LoadDocument *document)
{
	Rejection  *rejection = document->rejection;
	bson_t		bson;

	document_bson(document, &bson);
	ereport(WARNING,
			(errcode(rejection->sqlstate),
			 errmsg("the rows of document %s of collection \"%s\" stay as they were: %s",
					json_preview_id(&bson), request->session->collection, rejection->reason),
			 rejection_detail(rejection),
			 rejection->hint == NULL ? 0 : errhint("%s", rejection->hint)));
}

/* Adds the {"_id": ...} of a document to an array of the result. */
static void
take_id(ArrayBuildState **array, Request *request, const bson_t *document)
{
	*array = accumArrayResult(*array, PointerGetDatum(document_id(document)), false, BYTEAOID,
							  request->context);
}

static Datum
finish_array(ArrayBuildState *array, Oid type)
{
	return array == NULL ? PointerGetDatum(construct_empty_array(type)) :
		makeArrayResult(array, CurrentMemoryContext);
}

/* What becomes of a document that could not be replaced. */
static void
settle_rejected(Request *request, LoadDocument *document)
{
	NullableDatum no_run = {.isnull = true};
	bson_t		bson;

	if (request->retry_dangling &&
		(document->rejection->sqlstate == ERRCODE_FOREIGN_KEY_VIOLATION ||
		 (document->rejection->sqlstate == ERRCODE_UNIQUE_VIOLATION && !document->present)))
		take_id(document->gone ? &request->held :
				document->rejection->referred ? &request->moved : &request->dangling, request,
				document_bson(document, &bson));
	else if (document->present)
	{
		take_id(&request->refused, request, document_bson(document, &bson));
		request->reasons = accumArrayResult(request->reasons,
											CStringGetTextDatum(document->rejection->reason), false,
											TEXTOID, request->context);
		warn_rejected(request, document);
	}
	else
		quarantine_put(request->session, document, no_run);
}

/*
 * A unique value may go from one document of the batch to another: tries those
 * again that met it, as long as that helps.
 */
static void
retry_doubles(LoadSession *session)
{
	int			before = session->ndocuments;
	int			doubles = 0;

	for (;;)
	{
		for (int i = 0; i < session->ndocuments; i++)
		{
			LoadDocument *document = &session->documents[i];

			if (document->state != DOCUMENT_REJECTED || document->quarantined ||
				document->rejection->sqlstate != ERRCODE_UNIQUE_VIOLATION)
				continue;
			document->state = DOCUMENT_READ;
			doubles++;
		}
		if (doubles == 0)
			return;
		batch_write(session, replace_rows);
		if (doubles == before)
			return;
		before = doubles;
		doubles = 0;
	}
}

/* Throws where row security applies to a table: a row that is not seen would stay. */
static void
check_row_security(LoadSession *session)
{
	for (int i = 0; i < session->ntargets; i++)
		if (session->targets[i]->included &&
			check_enable_rls(session->targets[i]->relid, InvalidOid, true) == RLS_ENABLED)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("rows of table %s cannot be replaced: its row security may hide some from role \"%s\"",
							session->targets[i]->name, GetUserNameFromId(GetUserId(), false)),
					 errhint("Let its owner do it, or a role with BYPASSRLS.")));
}

/*
 * Replaces the documents of the batch.  A document in quarantine has no rows:
 * the loader's check that a row with its id is another's holds here, too.
 */
static void
replace_asked(Request *request)
{
	LoadSession *session = request->session;
	List	   *nulled = NIL;
	bson_t		bson;

	check_row_security(session);
	batch_in_quarantine(session);
	for (int i = 0; i < session->ndocuments; i++)
		if (session->documents[i].gone && session->documents[i].quarantined)
			session->documents[i].state = DOCUMENT_INSERTED;
	checkpoints_catch_up(session);
	batch_skip_present(session, LOAD_RETRYING);
	for (int i = 0; i < session->ndocuments; i++)
	{
		LoadDocument *document = &session->documents[i];

		document->present = document->state == DOCUMENT_SKIPPED;
		if (document->present)
			document->state = DOCUMENT_READ;
	}
	batch_decode(session);
	if (!request->retry_dangling)
		nulled = dangling_find(session);
	batch_write(session, replace_rows);
	retry_doubles(session);
	dangling_record(session, nulled);
	drift_count(session);
	for (int i = 0; i < session->ndocuments; i++)
	{
		LoadDocument *document = &session->documents[i];

		request->counts.documents++;
		if (document->state == DOCUMENT_REJECTED)
		{
			request->counts.rejected++;
			settle_rejected(request, document);
			continue;
		}
		document_bson(document, &bson);
		if (document->quarantined)
			quarantine_remove(session, &bson);
		if (!document->gone || document->present)
			take_id(&request->written, request, &bson);
		request->counts.rounded += document->rounded;
		request->counts.inserted += !document->gone && !document->present;
		request->replaced += !document->gone && document->present;
		request->deleted += document->gone && document->present;
		request->gone += document->gone && !document->present;
	}
}

/* A document that was to be replaced is not in the source. */
static void
take_gone(Request *request, const bson_t *asked)
{
	LoadSession *session = request->session;

	if (!request->delete_gone)
	{
		request->counts.documents++;
		request->gone++;
		return;
	}
	batch_add_document(session, asked);
	session->documents[session->ndocuments - 1].gone = true;
}

/*
 * replace_documents(server, collection, ids bytea[], delete_gone boolean,
 *					 retry_dangling boolean, after bigint)
 */
Datum
mm_replace_documents(PG_FUNCTION_ARGS)
{
	Request		request = {
		.write_batch = replace_asked,.not_found = take_gone,
		.delete_gone = PG_GETARG_BOOL(3),.retry_dangling = PG_GETARG_BOOL(4),
		.after = PG_GETARG_INT64(5)
	};
	TupleDesc	desc;
	Datum		values[13];
	bool		nulls[13] = {false};

	run_request(&request, fcinfo);
	values[0] = Int64GetDatum(request.counts.documents);
	values[1] = Int64GetDatum(request.counts.inserted);
	values[2] = Int64GetDatum(request.replaced);
	values[3] = Int64GetDatum(request.deleted);
	values[4] = Int64GetDatum(request.counts.rejected);
	values[5] = Int64GetDatum(request.counts.rounded);
	values[6] = Int64GetDatum(request.gone);
	values[7] = finish_array(request.written, BYTEAOID);
	values[8] = finish_array(request.dangling, BYTEAOID);
	values[9] = finish_array(request.held, BYTEAOID);
	values[10] = finish_array(request.moved, BYTEAOID);
	values[11] = finish_array(request.refused, BYTEAOID);
	values[12] = finish_array(request.reasons, TEXTOID);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/* bson_id(document bytea): {"_id": ...} of a document */
Datum
mm_bson_id(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	bson_t		document;

	if (!bson_init_static(&document, (uint8_t *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("not a BSON document")));
	PG_RETURN_BYTEA_P(document_id(&document));
}

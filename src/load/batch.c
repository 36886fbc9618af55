/*
 * batch.c
 *	  A batch: documents are decoded, given their ids, and inserted.
 *
 * The batch belongs to the session's batch context, which is reset before the
 * next one.  A document is kept as BSON beside its rows until the end, so that
 * a row that its table refuses can still send the document into quarantine.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/json.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "load/load.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* How many rows ahead the memory of a look-up in an id map's cache is asked for. */
#define ROWS_AHEAD 8

/* Starts an empty batch; what the last one left is freed. */
void
batch_start(LoadSession *session)
{
	MemoryContextReset(session->batch_context);
	session->ndocuments = session->maxdocuments = 0;
	session->documents = NULL;
	session->size = 0;
	id_maps_reset(session);
	for (int i = 0; i < session->ntargets; i++)
	{
		LoadTarget *target = session->targets[i];

		target->nrows = target->maxrows = 0;
		target->values = NULL;
		target->nulls = NULL;
		target->documents = target->parents = NULL;
	}
}

/* An array in the batch's context, new or grown to hold n elements. */
static void *
batch_array(LoadSession *session, void *array, Size n, Size size)
{
	return array == NULL ? MemoryContextAllocHuge(session->batch_context, n * size) :
		repalloc_huge(array, n * size);
}

/* Adds a copy of a document to the batch. */
void
batch_add_document(LoadSession *session, const bson_t *document)
{
	uint8_t    *bytes = MemoryContextAlloc(session->batch_context, document->len);
	LoadDocument *added;

	if (session->ndocuments == session->maxdocuments)
	{
		session->maxdocuments = Max(256, session->maxdocuments * 2);
		session->documents = batch_array(session, session->documents, session->maxdocuments,
										 sizeof(LoadDocument));
	}
	memcpy(bytes, bson_get_data(document), document->len);
	added = &session->documents[session->ndocuments++];
	*added = (LoadDocument)
	{
		.bytes = bytes,.length = document->len
	};
	session->size += document->len;
}

/* Whether the batch has its number of documents, or as many bytes as a batch may have. */
bool
batch_full(LoadSession *session, int documents)
{
	return session->ndocuments >= documents || session->size >= LOAD_BATCH_BYTES;
}

/* Adds a decoded row to a target. */
static void
add_row(LoadSession *session, LoadTarget *target, const Datum *values, const bool *nulls)
{
	Size		at;

	if (target->nrows == target->maxrows)
	{
		target->maxrows = Max(1024, target->maxrows * 2);
		at = (Size) target->maxrows * target->ncolumns;
		target->values = batch_array(session, target->values, at, sizeof(Datum));
		target->nulls = batch_array(session, target->nulls, at, sizeof(bool));
		target->documents = batch_array(session, target->documents, target->maxrows, sizeof(int));
		target->parents = batch_array(session, target->parents, target->maxrows, sizeof(int));
	}
	at = (Size) target->nrows * target->ncolumns;
	memcpy(target->values + at, values + target->first, target->ndecoded * sizeof(Datum));
	memcpy(target->nulls + at, nulls + target->first, target->ndecoded * sizeof(bool));
	target->documents[target->nrows] = session->current;
	target->parents[target->nrows] = target->parent == NULL ? -1 : target->parent->nrows - 1;
	target->nrows++;
}

/* Callback of decode: a row of a table of a branch's plan. */
static void
take_row(void *arg, int table, Datum *values, bool *nulls)
{
	LoadBranch *branch = arg;
	LoadSession *session = branch->session;

	for (LoadTarget *target = branch->by_table[table]; target != NULL; target = target->next_of_table)
		add_row(session, target, values, nulls);
}

/* Values that were rounded so far. */
static uint64
total_rounded(LoadSession *session)
{
	uint64		total = 0;
	ListCell   *cell;

	foreach(cell, session->rounding)
		total += ((Converter *) lfirst(cell))->rounded;
	return total;
}

/* The target that an error of decode is about, or NULL. */
static LoadTarget *
find_target(LoadBranch *branch, const DocumentError *error)
{
	if (error->table < 0)
		return NULL;
	for (LoadTarget *target = branch->by_table[error->table]; target != NULL; target = target->next_of_table)
		if (error->column < 0 ||
			(error->column >= target->first && error->column < target->first + target->ndecoded))
			return target;
	return NULL;
}

/* Decodes the session's current document into the rows of a branch. */
static void
decode_document(LoadBranch *branch)
{
	LoadSession *session = branch->session;
	int			i = session->current;
	LoadDocument *document = &session->documents[i];
	uint64		rounded = total_rounded(session);
	DocumentError error;
	LoadTarget *target;
	bson_t		bson;

	if (document->state != DOCUMENT_READ || document->gone || (branch->filter != NULL && !branch->matches[i]))
		return;
	if (document_decode(branch->plan, document_bson(document, &bson), take_row, branch, &error))
	{
		document->rounded += total_rounded(session) - rounded;
		return;
	}
	for (int t = 0; t < session->ntargets; t++)
		session->targets[t]->nrows = target_first_row(session->targets[t], i);
	target = find_target(branch, &error);
	document_reject(session, document, target == NULL ? NULL : target->name, error.path,
					convert_sqlstate(error.status), error.message, error.hint);
}

/*
 * Where in its document a value of a row stands, from the top, with the
 * positions of arrays: items.3.sku.  An asterisk stands for a key of a map, and
 * for the way to an element of a tree.
 */
static const char *
value_path(LoadTarget *target, int row, const char *path)
{
	int			first = row;
	const char *array;

	if (target->parent == NULL || path == NULL)
		return path;
	while (first > 0 && target->parents[first - 1] == target->parents[row])
		first--;
	array = value_path(target->parent, target->parents[row], target->path);
	if (target->is_map || target->nested_path != NULL)
		return strcmp(path, "$") == 0 || strcmp(path, "$key") == 0 ? psprintf("%s.*", array) :
			psprintf("%s.*.%s", array, path);
	return strcmp(path, "$") == 0 ? psprintf("%s.%d", array, row - first) :
		psprintf("%s.%d.%s", array, row - first, path);
}

/*
 * A column is null where its field is, but in an id map null is a key: MongoDB
 * takes it for an _id like any other.  Returns whether the document has it.
 */
static bool
null_id(const LoadDocument *document, Datum *key)
{
	bson_t		bson;

	*key = PointerGetDatum(document_key(document_bson(document, &bson)));
	return DatumGetPointer(*key) != NULL;
}

/* The key in a column of a row; NULL where there is none, or no such row. */
static const bytea *
row_key(LoadTarget *target, int row, int field)
{
	Size		at = (Size) row * target->ncolumns + field;

	return row >= target->nrows || target->nulls[at] ? NULL :
		(const bytea *) DatumGetPointer(target->values[at]);
}

/* Has the keys of a column's rows replaced by ids. */
static void
want_ids(LoadSession *session, LoadTarget *target, int field)
{
	LoadColumn *column = target->columns[field];

	for (int row = 0; row < target->nrows; row++)
	{
		Size		at = (Size) row * target->ncolumns + field;
		LoadDocument *document = &session->documents[target->documents[row]];

		if (column->role == COLUMN_REFERENCE)
			id_map_prefetch(column->map, row_key(target, row + 2 * ROWS_AHEAD, field),
							row_key(target, row + ROWS_AHEAD, field));
		if (document->state != DOCUMENT_READ)
			continue;
		if (target->nulls[at] && column->role == COLUMN_ID)
			target->nulls[at] = !null_id(document, &target->values[at]);
		if (target->nulls[at])
			continue;
		if (VARSIZE_ANY_EXHDR(DatumGetPointer(target->values[at])) > LOAD_KEY_MAX)
			document_reject(session, document, target->name, value_path(target, row, column->path),
							ERRCODE_PROGRAM_LIMIT_EXCEEDED,
							psprintf("the key of the value takes %zu bytes, and the id map holds at most %d",
									 (Size) VARSIZE_ANY_EXHDR(DatumGetPointer(target->values[at])),
									 LOAD_KEY_MAX),
							"Planned with id_type => 'source', a collection keeps its own _id and has no map.");
		else
			id_map_want(column->map, &target->values[at], &target->nulls[at],
						column->role == COLUMN_REFERENCE);
	}
}

/* Gives ids to the batch's rows, a map at a time. */
static void
resolve_ids(LoadSession *session)
{
	ListCell   *cell;

	for (int i = 0; i < session->ntargets; i++)
		for (int field = 0; field < session->targets[i]->ndecoded; field++)
			if (session->targets[i]->columns[field]->map != NULL)
				want_ids(session, session->targets[i], field);
	foreach(cell, session->maps)
		id_map_resolve(lfirst(cell), true);
}

/* Copies what child rows have of their parent's. */
static void
fill_parents(LoadTarget *target)
{
	LoadTarget *parent = target->parent;

	for (int field = target->ndecoded; field < target->ncolumns; field++)
	{
		int			parent_field = column_number(parent, target->columns[field]->parent);

		for (int row = 0; row < target->nrows; row++)
		{
			Size		at = (Size) row * target->ncolumns + field;
			Size		from = (Size) target->parents[row] * parent->ncolumns + parent_field;

			target->values[at] = parent->values[from];
			target->nulls[at] = parent->nulls[from];
		}
	}
}

/*
 * Rejects documents with a null where a column takes none.  What expressions
 * make of a null is seen by the table.
 */
static void
check_nulls(LoadSession *session, LoadTarget *target)
{
	for (int field = 0; field < target->ncolumns; field++)
	{
		LoadColumn *column = target->columns[field];

		if (!column->not_null || column_origin(column)->expression != NULL)
			continue;
		for (int row = 0; row < target->nrows; row++)
		{
			LoadDocument *document = &session->documents[target->documents[row]];

			if (target->nulls[(Size) row * target->ncolumns + field] &&
				document->state == DOCUMENT_READ)
				document_reject(session, document, target->name, value_path(target, row, column->path),
								ERRCODE_NOT_NULL_VIOLATION,
								psprintf("null or missing, and column \"%s\" is not null", column->name),
								column->role != COLUMN_VALUE && column->role != COLUMN_REFERENCE ? NULL :
								psprintf("%s or mend the document.", drop_not_null(target, column)));
		}
	}
}

/*
 * Rejects documents whose ids rows of others have.  A document in quarantine
 * has no rows; where its id is one that the map gave it, a row of that id is
 * another's, and must not be taken for it.
 */
static void
reject_taken(LoadSession *session, LoadTarget *target)
{
	for (int i = 0; i < session->ndocuments; i++)
	{
		LoadDocument *document = &session->documents[i];

		if (document->state == DOCUMENT_SKIPPED && document->quarantined)
			document_reject(session, document, target->name, target->id->path, ERRCODE_UNIQUE_VIOLATION,
							"the id of the document is that of a row that was there before it",
							"Give that row another id; or, if it is the document's, delete the entry in mongo_migrate.quarantine.");
	}
}

/* Marks the documents that need not be loaded again. */
void
batch_skip_present(LoadSession *session, LoadMode mode)
{
	bool		known = false;

	if (mode == LOAD_CATCHING_UP)
		quarantine_mark_present(session);
	for (int i = 0; i < session->ntargets; i++)
	{
		LoadTarget *target = session->targets[i];

		if (target->id != NULL && target->included)
		{
			batch_mark_present(session, target);
			if (mode == LOAD_RETRYING && target->id->map != NULL && target->id->expression == NULL)
				reject_taken(session, target);
			known = true;
		}
	}
	if (!known)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no table of collection \"%s\" of server \"%s\" has a planned column of role id, by which loaded documents could be known",
						session->collection, NameStr(session->server)),
				 errhint("Without one, of a type whose values can be compared, a collection can be loaded once only, into empty tables.")));
}

/* Throws the first rejection, if there is one. */
static void
throw_rejection(LoadSession *session)
{
	for (int i = 0; i < session->ndocuments; i++)
	{
		LoadDocument *document = &session->documents[i];
		Rejection  *rejection = document->rejection;
		bson_t		bson;

		if (document->state != DOCUMENT_REJECTED)
			continue;
		ereport(ERROR,
				(errcode(rejection->sqlstate),
				 errmsg("document %s of collection \"%s\" cannot be loaded: %s",
						json_preview_id(document_bson(document, &bson)), session->collection,
						rejection->reason),
				 rejection_detail(rejection),
				 rejection->hint == NULL ? 0 : errhint("%s", rejection->hint)));
	}
}

/* Error-context callback: names the document being decoded, for errors that are not its fault. */
static void
document_context(void *arg)
{
	LoadSession *session = arg;
	bson_t		bson;

	errcontext("document %s of collection \"%s\"",
			   json_preview_id(document_bson(&session->documents[session->current], &bson)),
			   session->collection);
}

/*
 * Makes rows of the documents of the batch that are still read; those that
 * cannot become rows are rejected.
 */
void
batch_decode(LoadSession *session)
{
	ErrorContextCallback callback = {error_context_stack, document_context, session};

	for (int b = 0; b < session->nbranches; b++)
		if (session->branches[b]->filter != NULL)
			source_match(session->branches[b]);
	error_context_stack = &callback;
	for (session->current = 0; session->current < session->ndocuments; session->current++)
	{
		CHECK_FOR_INTERRUPTS();
		for (int b = 0; b < session->nbranches; b++)
			decode_document(session->branches[b]);
	}
	error_context_stack = callback.previous;
	resolve_ids(session);
	for (int i = 0; i < session->ntargets; i++)
	{
		if (session->targets[i]->parent != NULL)
			fill_parents(session->targets[i]);
		check_nulls(session, session->targets[i]);
	}
}

/*
 * Loads the documents of the batch.  Each ends as inserted, skipped or
 * rejected; rejected ones are put into quarantine, or the first is thrown.
 */
void
batch_load(LoadSession *session, LoadMode mode, bool quarantine, NullableDatum run_id)
{
	if (mode != LOAD_FIRST)
		batch_skip_present(session, mode);
	batch_decode(session);
	batch_insert(session);
	if (!quarantine)
		throw_rejection(session);
	for (int i = 0; i < session->ndocuments; i++)
		if (session->documents[i].state == DOCUMENT_REJECTED)
			quarantine_put(session, &session->documents[i], run_id);
}

/* Adds what became of the batch's documents. */
void
batch_count(LoadSession *session, LoadCounts *counts)
{
	counts->documents += session->ndocuments;
	counts->bytes += session->size;
	for (int i = 0; i < session->ndocuments; i++)
	{
		LoadDocument *document = &session->documents[i];

		counts->inserted += document->state == DOCUMENT_INSERTED;
		counts->skipped += document->state == DOCUMENT_SKIPPED;
		counts->rejected += document->state == DOCUMENT_REJECTED;
		if (document->state == DOCUMENT_INSERTED)
			counts->rounded += document->rounded;
	}
	for (int i = 0; i < session->ntargets; i++)
	{
		LoadTarget *target = session->targets[i];
		int64		rows = 0;

		for (int row = 0; target->included && row < target->nrows; row++)
			rows += session->documents[target->documents[row]].state == DOCUMENT_INSERTED;
		counts->rows += rows;
		if (rows > 0 && !target->filled)
			counts->filled = lappend(counts->filled, target);
	}
}

/* A row of counts, and one more column. */
Datum
load_counts_row(FunctionCallInfo fcinfo, const LoadCounts *counts, Datum last)
{
	TupleDesc	desc;
	bool		nulls[6] = {false};
	Datum		values[6] = {
		Int64GetDatum(counts->documents), Int64GetDatum(counts->inserted),
		Int64GetDatum(counts->skipped), Int64GetDatum(counts->rejected),
		Int64GetDatum(counts->rounded), last
	};

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	return HeapTupleGetDatum(heap_form_tuple(desc, values, nulls));
}

/*
 * insert.c
 *	  The rows of a batch into their tables, all or all but the bad documents'.
 *
 * The batch goes in within one subtransaction.  When an error says that the
 * data is at fault, it is rolled back and its two halves are tried, and so on
 * down to the documents that fail on their own.  These are rejected with the
 * error's text; every other error ends the call.
 */
#include "postgres.h"
#include "compat.h"

#include <ctype.h>

#include "access/sysattr.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_constraint.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "load/load.h"
#include "miscadmin.h"
#include "subtransaction.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(mm_may_be_data);

/*
 * Whether an SQLSTATE blames the data, so that its document may go into
 * quarantine:
 *
 *	20, 21		no case found; a sub-query with more than one row
 *	22, 23, 44	data exceptions, constraints, a view's check option
 *	38			an external function's exception (38000, PL/Python and the like)
 *	54000		a value too large for an index
 *	P0			PL/pgSQL: raise_exception, no data, too many rows, assertion
 *
 * All others are not: rights, missing objects, resources, cancellation,
 * serialization, connections and internal errors would hit every document, or
 * not this one the next time.
 */
bool
sqlstate_is_data(int sqlstate)
{
	switch (ERRCODE_TO_CATEGORY(sqlstate))
	{
		case ERRCODE_CASE_NOT_FOUND:
		case ERRCODE_CARDINALITY_VIOLATION:
		case ERRCODE_DATA_EXCEPTION:
		case ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION:
		case ERRCODE_WITH_CHECK_OPTION_VIOLATION:
		case ERRCODE_EXTERNAL_ROUTINE_EXCEPTION:
		case ERRCODE_PLPGSQL_ERROR:
			return true;
		default:
			return sqlstate == ERRCODE_PROGRAM_LIMIT_EXCEEDED;
	}
}

/* Whether a row of the batch is to be written; skip as in an Attempt. */
bool
row_due(LoadSession *session, LoadTarget *target, int row, const bool *skip)
{
	int			document = target->documents[row];

	return session->documents[document].state == DOCUMENT_READ && (skip == NULL || !skip[document]);
}

/* Inserts a target's rows of an attempt, as they were decoded, through the access method. */
static void
insert_decoded(Attempt *attempt, LoadTarget *target, Relation relation)
{
	DirectInsert *insert = direct_begin(relation);

	for (int row = target_first_row(target, attempt->from);
		 row < target->nrows && target->documents[row] < attempt->to; row++)
	{
		Datum	   *values = target->values + (Size) row * target->ncolumns;
		bool	   *nulls = target->nulls + (Size) row * target->ncolumns;
		TupleTableSlot *slot;

		if (!row_due(attempt->session, target, row, attempt->skip))
			continue;
		slot = direct_slot(insert);
		for (int i = 0; i < target->ncolumns; i++)
		{
			slot->tts_values[target->columns[i]->attnum - 1] = values[i];
			slot->tts_isnull[target->columns[i]->attnum - 1] = nulls[i];
		}
		direct_put(insert);
	}
	direct_end(insert);
}

/* Inserts a target's rows of an attempt through the access method. */
static void
insert_direct(Attempt *attempt, LoadTarget *target)
{
	Relation	relation = table_open(target->relid, RowExclusiveLock);

	if (target->statement != NULL)
		target_run_select(attempt, target, relation);
	else
		insert_decoded(attempt, target, relation);
	table_close(relation, NoLock);
	CommandCounterIncrement();
}

/* Inserts the rows of an attempt into a table. */
void
target_insert(Attempt *attempt, LoadTarget *target)
{
	int			row = target_first_row(target, attempt->from);

	CHECK_FOR_INTERRUPTS();
	while (row < target->nrows && target->documents[row] < attempt->to &&
		   !row_due(attempt->session, target, row, attempt->skip))
		row++;
	if (row >= target->nrows || target->documents[row] >= attempt->to)
		return;
	attempt->target = target;
	if (target->direct)
		insert_direct(attempt, target);
	else if (target->distributed && attempt->to - attempt->from == 1)
		target_run_insert_values(attempt, target);
	else
		target_run_insert(attempt, target);
}

/* Inserts the rows of a range of documents, parents before children. */
static void
insert_rows(Attempt *attempt)
{
	for (int i = 0; i < attempt->session->ntargets; i++)
		if (attempt->session->targets[i]->included)
			target_insert(attempt, attempt->session->targets[i]);
}

/* Evaluates one expression for one document. */
static void
evaluate(Attempt *attempt)
{
	target_evaluate(attempt->session, attempt->target, attempt->field, attempt->from);
}

/* Errors that blame the data by their place alone: the SQLSTATE, and the file of the source. */
static const struct
{
	int			sqlstate;
	const char *filename;
}			errors_of_data[] = {

	/* NaN or infinity to an integer type */
	{ERRCODE_FEATURE_NOT_SUPPORTED, "numeric.c"},
	/* a unit that the type does not have */
	{ERRCODE_FEATURE_NOT_SUPPORTED, "timestamp.c"},
	{ERRCODE_FEATURE_NOT_SUPPORTED, "date.c"},
	/* an array of several dimensions */
	{ERRCODE_FEATURE_NOT_SUPPORTED, "array_userfuncs.c"},
	{ERRCODE_FEATURE_NOT_SUPPORTED, "arrayfuncs.c"},
	/* PostGIS has no other SQLSTATE for what is no geometry */
	{ERRCODE_INTERNAL_ERROR, "lwgeom_pg.c"}
};

/*
 * Whether an error may be the data's fault.  What Citus tells of a COPY to
 * another node is an internal error, whatever it was there; it shows when the
 * documents are tried one by one.
 */
static bool
data_at_fault(Attempt *attempt, const ErrorData *error)
{
	for (int i = 0; i < lengthof(errors_of_data); i++)
		if (error->sqlerrcode == errors_of_data[i].sqlstate && error->filename != NULL &&
			strcmp(error->filename, errors_of_data[i].filename) == 0)
			return true;

	/*
	 * Text that a type's input function refuses, as tsvector does.  An error
	 * in SQL has the SQL.
	 */
	if (error->sqlerrcode == ERRCODE_SYNTAX_ERROR && error->internalquery == NULL)
		return true;
	return sqlstate_is_data(error->sqlerrcode) ||
		(error->sqlerrcode == ERRCODE_INTERNAL_ERROR && attempt->to - attempt->from > 1 &&
		 attempt->target != NULL && attempt->target->distributed);
}

/*
 * may_be_data(sqlstate text) returns boolean
 *
 * Where data_at_fault() looks at more than the SQLSTATE, it may.
 */
Datum
mm_may_be_data(PG_FUNCTION_ARGS)
{
	const char *code = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int			sqlstate;
	bool		may;

	if (strlen(code) != 5)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not an SQLSTATE", code)));
	sqlstate = MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4]);
	may = sqlstate_is_data(sqlstate) || sqlstate == ERRCODE_SYNTAX_ERROR;
	for (int i = 0; i < lengthof(errors_of_data); i++)
		may |= sqlstate == errors_of_data[i].sqlstate;
	PG_RETURN_BOOL(may);
}

/* Calls an attempt's function in its memory context. */
static void
run_attempt(void *arg)
{
	Attempt    *attempt = arg;
	MemoryContext context = MemoryContextSwitchTo(attempt->scratch);

	attempt->function(attempt);
	MemoryContextSwitchTo(context);
}

/*
 * Tries something in a subtransaction and in a memory context of its own: a
 * batch may have as many attempts as documents.  NULL when it is done; the error
 * when the data may be at fault, and then nothing is.
 */
static ErrorData *
try(Attempt *attempt)
{
	ErrorData  *error;

	attempt->scratch = AllocSetContextCreate(CurrentMemoryContext, "load attempt", ALLOCSET_DEFAULT_SIZES);
	error = subtransaction_call(run_attempt, attempt, true);
	if (error != NULL && !data_at_fault(attempt, error))
		ReThrowError(error);
	if (error != NULL)
		id_maps_reset(attempt->session);	/* what it wanted of them is gone
											 * with its memory */
	MemoryContextDelete(attempt->scratch);
	return error;
}

/* The only column of a constraint, or of a domain, that an error names; NULL: there are more or none. */
static LoadColumn *
constrained_column(LoadTarget *target, const ErrorData *error)
{
	LoadColumn *found = NULL;
	Oid			constraint;
	Bitmapset  *attnums;

	if (error->constraint_name == NULL)
		return NULL;
	attnums = get_relation_constraint_attnos(target->relid, error->constraint_name, true, &constraint);
	for (int i = 0; i < target->ncolumns; i++)
	{
		LoadColumn *column = target->columns[i];
		Oid			type = get_atttype(target->relid, column->attnum);
		Oid			element = get_element_type(type);

		if (!bms_is_member(column->attnum - FirstLowInvalidHeapAttributeNumber, attnums) &&
			!OidIsValid(get_domain_constraint_oid(OidIsValid(element) ? element : type,
												  error->constraint_name, true)))
			continue;
		if (found != NULL)
			return NULL;
		found = column;
	}
	return found;
}

/*
 * The column that an error of inserting one document is about: the one that
 * the error names, or its constraint, or the one whose expression alone gives
 * the same error.
 */
static LoadColumn *
find_column(Attempt *attempt, const ErrorData *error)
{
	LoadTarget *target = attempt->target;
	Attempt		evaluation = *attempt;
	LoadColumn *constrained;

	evaluation.function = evaluate;
	for (int i = 0; i < target->ncolumns; i++)
		if (error->column_name != NULL && strcmp(target->columns[i]->name, error->column_name) == 0)
			return target->columns[i];
	constrained = constrained_column(target, error);
	if (constrained != NULL && constrained->expression == NULL)
		return constrained;
	for (int i = 0; i < target->ndecoded; i++)
	{
		ErrorData  *again;

		if (target->columns[i]->expression == NULL)
			continue;
		evaluation.field = i;
		again = try(&evaluation);
		if (again != NULL && again->sqlerrcode == error->sqlerrcode)
			return target->columns[i];
	}
	return NULL;
}

/* The path of a target's rows from the document's top, as infer_schema has it; the root's is empty. */
static const char *
row_path(LoadTarget *target)
{
	const char *parent;

	if (target->parent == NULL)
		return "";
	parent = row_path(target->parent);
	return psprintf("%s%s%s%s", parent,
					parent[0] == '\0' || strcmp(target->path, "$") == 0 ? "" : ".",
					strcmp(target->path, "$") == 0 ? "" : target->path,
					target->is_map ? "{}" : "[]");
}

/* A path of a target's rows from the document's top. */
const char *
target_path(LoadTarget *target, const char *path)
{
	const char *row = row_path(target);

	if (row[0] == '\0')
		return path;
	return strcmp(path, "$") == 0 ? row : psprintf("%s.%s", row, path);
}

/*
 * A node's message with the first name of a shard, or of a shard's key, as the
 * table has it: one reason is one, on whatever shard it was.
 */
static const char *
without_shard(LoadTarget *target, const char *message)
{
	const char *name = strstr(message, psprintf("\"%s_", get_rel_name(target->relid)));
	const char *end = name == NULL ? NULL : strchr(name + 1, '"');
	const char *digits = end;

	if (end == NULL)
		return message;
	while (isdigit((unsigned char) digits[-1]))
		digits--;
	if (digits == end || digits[-1] != '_')
		return message;
	return psprintf("%.*s%s", (int) (digits - 1 - message), message, end);
}

/*
 * Whether an error is that of RI_FKey_noaction_upd() or RI_FKey_noaction_del():
 * the table and constraint that it names are those of the other error, too.
 */
static bool
is_referred(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_FOREIGN_KEY_VIOLATION && error->message_id != NULL &&
		strncmp(error->message_id, "update or delete", strlen("update or delete")) == 0;
}

/*
 * Rejects the document that an error is about.  Of a date that cannot be read
 * PostgreSQL says to set another datestyle, but that of a session is of no
 * effect here.
 */
static void
reject_for_error(Attempt *attempt, const ErrorData *error)
{
	LoadColumn *column = find_column(attempt, error);
	const char *reason = error->message;
	const char *hint = error->hint;

	/* "Failing row contains ..." says nothing that the document does not. */
	if (error->detail != NULL && error->sqlerrcode != ERRCODE_NOT_NULL_VIOLATION &&
		error->sqlerrcode != ERRCODE_CHECK_VIOLATION)
		reason = psprintf("%s: %s", error->message, error->detail);
	if (attempt->target->distributed)
		reason = without_shard(attempt->target, reason);
	if (column != NULL && column->expression != NULL)
	{
		reason = psprintf("expression %s of column \"%s\": %s", column->expression, column->name, reason);
		if (error->sqlerrcode == ERRCODE_NOT_NULL_VIOLATION && column->not_null)
			hint = psprintf("%s or mend the document, or the expression.", drop_not_null(attempt->target, column));
		else if (hint == NULL || error->sqlerrcode == ERRCODE_DATETIME_FIELD_OVERFLOW)
			hint = psprintf("Correct the plan: %s",
							column_update(attempt->session, attempt->target, column, "expression = '...'"));
	}
	document_reject(attempt->session, &attempt->session->documents[attempt->from],
					attempt->target->name, column == NULL || column->path == NULL ? NULL :
					target_path(attempt->target, column->path),
					error->sqlerrcode, reason, hint);
	attempt->session->documents[attempt->from].rejection->referred = is_referred(error);
}

/* Writes a range of documents as far as they can be. */
static void
write_range(LoadSession *session, AttemptFunction function, int from, int to)
{
	Attempt		attempt = {.session = session,.function = function,.from = from,.to = to};
	ErrorData  *error = try(&attempt);

	if (error == NULL)
	{
		for (int i = from; i < to; i++)
			if (session->documents[i].state == DOCUMENT_READ)
				session->documents[i].state = DOCUMENT_INSERTED;
	}
	else if (to - from == 1)
		reject_for_error(&attempt, error);
	else
	{
		int			middle = from + (to - from) / 2;

		FreeErrorData(error);
		write_range(session, function, from, middle);
		write_range(session, function, middle, to);
	}
}

/* Marks the documents of a range that have their row. */
static void
mark_present(Attempt *attempt)
{
	target_mark_present(attempt->session, attempt->target, attempt->from, attempt->to);
}

/*
 * The same for a range of which some documents may have no id, because the
 * plan's expression or type fails for them.  They have no row, then.
 */
static void
mark_range(LoadSession *session, LoadTarget *target, int from, int to)
{
	Attempt		attempt = {
		.session = session,.function = mark_present,.target = target,.from = from,.to = to
	};

	if (try(&attempt) != NULL && to - from > 1)
	{
		int			middle = from + (to - from) / 2;

		mark_range(session, target, from, middle);
		mark_range(session, target, middle, to);
	}
}

/* Marks the documents of the batch that have their row in a root's table as skipped. */
void
batch_mark_present(LoadSession *session, LoadTarget *target)
{
	if (session->ndocuments > 0)
		mark_range(session, target, 0, session->ndocuments);
}

/*
 * Has a function write the batch, which it is called with as a whole and, where
 * data is at fault, in parts; each document that is still read becomes inserted
 * or rejected.
 */
void
batch_write(LoadSession *session, AttemptFunction function)
{
	if (session->ndocuments > 0)
		write_range(session, function, 0, session->ndocuments);
}

/* Inserts the batch. */
void
batch_insert(LoadSession *session)
{
	batch_write(session, insert_rows);
}

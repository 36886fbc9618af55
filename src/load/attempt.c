/*
 * attempt.c
 *	  A batch is written, all of it or all but the bad documents.
 *
 * It is written within one subtransaction.  When an error says that the data is
 * at fault, that is rolled back and its two halves are tried, and so on down to
 * the documents that fail on their own.  These are rejected with the error's
 * text; every other error ends the call.
 */
#include "postgres.h"
#include "compat.h"

#include <ctype.h>

#include "access/sysattr.h"
#include "catalog/pg_constraint.h"
#include "load/load.h"
#include "subtransaction.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

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
ErrorData *
attempt_try(Attempt *attempt)
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

/* Evaluates one expression for one document. */
static void
evaluate(Attempt *attempt)
{
	target_evaluate(attempt->session, attempt->target, attempt->field, attempt->from);
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
		again = attempt_try(&evaluation);
		if (again != NULL && again->sqlerrcode == error->sqlerrcode)
			return target->columns[i];
	}
	return NULL;
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
	ErrorData  *error = attempt_try(&attempt);

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

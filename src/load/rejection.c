/*
 * rejection.c
 *	  Which errors are the fault of a document, and what is said of one that is
 *	  rejected.
 */
#include "postgres.h"
#include "compat.h"

#include "fmgr.h"
#include "load/load.h"
#include "utils/builtins.h"

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
bool
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

/* Rejects a document; the strings must live as long as the batch. */
void
document_reject(LoadSession *session, LoadDocument *document, const char *target,
				const char *path, int sqlstate, const char *reason, const char *hint)
{
	document->state = DOCUMENT_REJECTED;
	document->rejection = MemoryContextAllocZero(session->batch_context, sizeof(Rejection));
	document->rejection->target = target;
	document->rejection->path = path;
	document->rejection->sqlstate = sqlstate;
	document->rejection->reason = reason;
	document->rejection->hint = hint;
}

/* errdetail: what a rejection is about. */
int
rejection_detail(const Rejection *rejection)
{
	if (rejection->path != NULL && rejection->target != NULL)
		return errdetail("It is about path \"%s\" and table %s.", rejection->path, rejection->target);
	if (rejection->target != NULL)
		return errdetail("It is about table %s.", rejection->target);
	if (rejection->path != NULL)
		return errdetail("It is about path \"%s\".", rejection->path);
	return 0;
}

/* "Let it be null: ALTER TABLE ...;", for a hint. */
char *
drop_not_null(LoadTarget *target, LoadColumn *column)
{
	return psprintf("Let it be null: ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL;",
					target->name, quote_identifier(column->name));
}

/* "UPDATE mongo_migrate.plan_column SET ... WHERE ...", for a hint. */
char *
column_update(LoadSession *session, LoadTarget *target, LoadColumn *column, const char *set)
{
	return psprintf("UPDATE mongo_migrate.plan_column SET %s WHERE server = %s AND collection = %s AND target = %s AND column_name = %s;",
					set,
					quote_literal_cstr(NameStr(session->server)),
					quote_literal_cstr(session->collection),
					quote_literal_cstr(target->name),
					quote_literal_cstr(column->name));
}

/* errhint: mend the column's row of the plan. */
int
column_hint(LoadSession *session, LoadTarget *target, LoadColumn *column, const char *set)
{
	return errhint("Correct the plan: %s", column_update(session, target, column, set));
}

/*
 * statement.c
 *	  Rows of a batch as a relation that SQL statements can read.
 *
 * A target that cannot be filled directly gets its rows by one statement a
 * batch, INSERT INTO target SELECT ... FROM the batch: triggers, defaults,
 * partitions, row security and foreign tables are then PostgreSQL's business,
 * with the rights of the caller.  An expression of the plan becomes a lateral
 * sub-select over a row (value, doc), which the planner flattens.  doc is a
 * function of the document's number, batch_document(), which lends the batch's
 * own copy: a document of megabytes is not copied for each of its child rows.
 *
 * For a table that Citus distributes the batch is the result of a function
 * too, batch_rows(): Citus runs a part of a statement in an executor of its
 * own, which does not see what SPI knows by a name.  Such a statement sends the
 * rows on by COPY, and what another node finds wrong with one comes back as an
 * internal error.  Single documents are inserted by their values, which keeps
 * the SQLSTATE.  replace.c has the statements that change what is there.
 */
#include "postgres.h"
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "load/load.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "owned.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/queryenvironment.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(mm_batch_document);
PG_FUNCTION_INFO_V1(mm_batch_rows);

/* The session whose statement is running, for batch_document(), and its rows, for batch_rows(). */
static LoadSession *running = NULL;
static Tuplestorestate *running_rows = NULL;
static TupleDesc running_desc = NULL;

/* SPI has no name for a plan's freeing in the form that owned.h wants. */
static void
free_plan(void *plan)
{
	SPI_freeplan((SPIPlanPtr) plan);
}

/*
 * Makes rows visible under a name to the statements of the current SPI
 * connection, until SPI_finish().  rows may be NULL where a statement is only
 * prepared.
 */
void
statement_show_rows(const char *name, TupleDesc desc, Tuplestorestate *rows)
{
	EphemeralNamedRelation relation = palloc0(sizeof(EphemeralNamedRelationData));

	relation->md.name = pstrdup(name);
	relation->md.tupdesc = desc;
	relation->md.enrtype = ENR_NAMED_TUPLESTORE;
	relation->md.enrtuples = rows == NULL ? 1000 : tuplestore_tuple_count(rows);
	relation->reldata = rows;
	if (SPI_register_relation(relation) != SPI_OK_REL_REGISTER)
		elog(ERROR, "cannot register relation \"%s\"", name);
}

/* Runs sql, whose parameters are the values of a row. */
static void
run_with_row(const char *sql, HeapTuple row, TupleDesc desc)
{
	Oid		   *types = palloc(desc->natts * sizeof(Oid));
	Datum	   *values = palloc(desc->natts * sizeof(Datum));
	bool	   *isnull = palloc(desc->natts * sizeof(bool));
	char	   *nulls = palloc(desc->natts * sizeof(char));

	heap_deform_tuple(row, desc, values, isnull);
	for (int i = 0; i < desc->natts; i++)
	{
		types[i] = TupleDescAttr(desc, i)->atttypid;
		nulls[i] = isnull[i] ? 'n' : ' ';
	}
	if (SPI_execute_with_args(sql, desc->natts, types, values, nulls, false, 0) < 0)
		elog(ERROR, "cannot run a batch's statement: %s", SPI_result_code_string(SPI_result));
}

/*
 * Runs a statement of the session over rows in an SPI connection of its own,
 * which the caller ends by statement_finish(): plan, whose rows go to receiver
 * where there is one, or else sql.  distributed: Citus has a table of it, so
 * that the rows are those of batch_rows().
 */
void
statement_run(LoadSession *session, bool distributed, TupleDesc desc, Tuplestorestate *rows,
			  SPIPlanPtr plan, const char *sql, DestReceiver *receiver)
{
	SPIExecuteOptions options = {.dest = receiver};
	LoadSession *outer = running;
	Tuplestorestate *outer_rows = running_rows;
	TupleDesc	outer_desc = running_desc;
	int			result;

	SPI_connect();
	if (!distributed)
		statement_show_rows(BATCH, desc, rows);
	running = session;
	running_rows = distributed ? rows : NULL;
	running_desc = desc;
	PG_TRY();
	{
		result = plan != NULL ? SPI_execute_plan_extended(plan, &options) :
			SPI_execute(sql, false, 0);
		if (result < 0)
			elog(ERROR, "cannot run a batch's statement: %s", SPI_result_code_string(result));
	}
	PG_FINALLY();
	{
		running = outer;
		running_rows = outer_rows;
		running_desc = outer_desc;
	}
	PG_END_TRY();
}

/*
 * The same for a query that gives one row, of arrays, with which sql, a
 * statement that has them as its parameters, is run then.
 */
void
statement_run_over_arrays(LoadSession *session, bool distributed, TupleDesc desc, Tuplestorestate *rows,
						  const char *query, const char *sql)
{
	statement_run(session, distributed, desc, rows, NULL, query, NULL);
	run_with_row(sql, SPI_tuptable->vals[0], SPI_tuptable->tupdesc);
}

/* Ends what statement_run() began.  Rows of batch_rows() are the executor's to end. */
void
statement_finish(bool distributed, Tuplestorestate *rows)
{
	SPI_finish();
	if (!distributed)
		tuplestore_end(rows);
}

/*
 * batch_rows(): the rows of the running statement.  They go over to the
 * executor, so that a statement can ask for them once.
 */
Datum
mm_batch_rows(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	if (running_rows == NULL || result == NULL || !IsA(result, ReturnSetInfo) ||
		(result->allowedModes & SFRM_Materialize) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("batch_rows() can be called by the statements of a batch only")));
	result->returnMode = SFRM_Materialize;
	result->setResult = running_rows;
	result->setDesc = CreateTupleDescCopy(running_desc);
	running_rows = NULL;
	return (Datum) 0;
}

/* batch_document(document integer): a document of the running batch as jsonb */
Datum
mm_batch_document(PG_FUNCTION_ARGS)
{
	int			number = PG_GETARG_INT32(0);
	LoadDocument *document;
	DocumentError error;
	MemoryContext old;
	bson_t		bson;
	bool		isnull;

	if (running == NULL || number < 0 || number >= running->ndocuments)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("batch_document() can be called by the statements of a batch only")));
	document = &running->documents[number];
	if (DatumGetPointer(document->doc) == NULL)
	{
		old = MemoryContextSwitchTo(running->batch_context);
		if (!document_decode_row(running->doc_plan, document_bson(document, &bson),
								 &document->doc, &isnull, &error))
		{
			int			sqlstate = convert_sqlstate(error.status);

			document->doc = (Datum) 0;
			ereport(ERROR,
					(errcode(sqlstate_is_data(sqlstate) ? sqlstate : ERRCODE_DATA_EXCEPTION),
					 errmsg("doc: %s", error.message)));
		}
		MemoryContextSwitchTo(old);
	}
	PG_RETURN_DATUM(document->doc);
}

/* Sets what the numbers in the current SPI result's first column stand for. */
void
statement_mark(bool *marks)
{
	for (uint64 i = 0; i < SPI_processed; i++)
	{
		bool		isnull;
		Datum		number = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);

		marks[DatumGetInt32(number)] = true;
	}
}

/* A type's full name, whatever the search_path. */
char *
full_type_name(Oid type, int32 typmod)
{
	return format_type_extended(type, typmod, FORMAT_TYPE_TYPEMOD_GIVEN | FORMAT_TYPE_FORCE_QUALIFY);
}

/* An operator's full name. */
char *
full_operator_name(Oid operator)
{
	HeapTuple	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	Form_pg_operator form;
	char	   *name;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for operator %u", operator);
	form = (Form_pg_operator) GETSTRUCT(tuple);
	name = psprintf("OPERATOR(%s.%s)", quote_identifier(get_namespace_name(form->oprnamespace)),
					NameStr(form->oprname));
	ReleaseSysCache(tuple);
	return name;
}

/* A table's full name. */
char *
full_table_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

/* The batch as a relation b, whose columns are those of desc, for statement_run(). */
void
append_batch(StringInfo sql, bool distributed, TupleDesc desc)
{
	if (!distributed)
	{
		appendStringInfoString(sql, BATCH_NAME " AS b");
		return;
	}
	appendStringInfoString(sql, "mongo_migrate.batch_rows() AS b (");
	for (int i = 0; i < desc->natts; i++)
		appendStringInfo(sql, "%s\"%s\" %s", i == 0 ? "" : ", ", NameStr(TupleDescAttr(desc, i)->attname),
						 full_type_name(TupleDescAttr(desc, i)->atttypid,
										TupleDescAttr(desc, i)->atttypmod));
	appendStringInfoChar(sql, ')');
}

/* An expression over a value of the batch b as one more relation, alias (v). */
void
append_lateral(StringInfo sql, const char *expression, int field, const char *alias)
{
	appendStringInfo(sql, " CROSS JOIN LATERAL (SELECT (%s\n) AS v FROM (SELECT b.\"%d\" AS value,"
					 " mongo_migrate.batch_document(b.document) AS doc) AS source) AS %s",
					 expression, field + 1, alias);
}

/*
 * The rows of a target from the batch: appends a SELECT with the target's
 * columns in order.  desc: the table's, to whose types results of expressions
 * are cast; or NULL where an assignment follows.
 */
void
append_select(StringInfo sql, LoadTarget *target, TupleDesc desc)
{
	StringInfoData from;

	initStringInfo(&from);
	append_batch(&from, target->distributed, target->desc);
	appendStringInfoString(sql, "SELECT ");
	for (int i = 0; i < target->ncolumns; i++)
	{
		LoadColumn *column = column_origin(target->columns[i]);
		int			at = target->columns[i]->attnum - 1;
		const char *cast = desc == NULL ? column->cast :
			full_type_name(TupleDescAttr(desc, at)->atttypid, TupleDescAttr(desc, at)->atttypmod);

		if (i > 0)
			appendStringInfoString(sql, ", ");
		if (column->expression == NULL)
		{
			appendStringInfo(sql, "b.\"%d\"", i + 1);
			continue;
		}
		appendStringInfo(sql, cast == NULL ? "e%d.v" : "CAST(e%d.v AS %s)", i + 1, cast);
		append_lateral(&from, column->expression, i, psprintf("e%d", i + 1));
	}
	appendStringInfo(sql, " FROM %s", from.data);
}

/* Prepares the statement of a target.  Needs an SPI connection; the plan belongs to the session. */
static void
prepare_statement(LoadSession *session, LoadTarget *target, const char *sql)
{
	MemoryContext context = CurrentMemoryContext;

	statement_show_rows(BATCH, target->desc, NULL);
	target->statement = SPI_prepare(sql, 0, NULL);
	MemoryContextSwitchTo(context); /* SPI leaves its own */
	SPI_unregister_relation(BATCH);
	SPI_keepplan(target->statement);
	owned_register(session->context, target->statement, free_plan);
}

/* Prepares the statement that fills a target from the batch. */
void
target_prepare_insert(LoadSession *session, LoadTarget *target)
{
	StringInfoData insert;
	StringInfoData select;

	initStringInfo(&insert);
	initStringInfo(&select);
	appendStringInfo(&insert, "INSERT INTO %s (", full_table_name(target->relid));
	for (int i = 0; i < target->ncolumns; i++)
		appendStringInfo(&insert, "%s%s", i == 0 ? "" : ", ", quote_identifier(target->columns[i]->name));
	appendStringInfoString(&insert, ") OVERRIDING SYSTEM VALUE");
	append_select(&select, target, NULL);
	prepare_statement(session, target, psprintf("%s %s", insert.data, select.data));
	if (target->distributed)
	{
		target->insert_into = MemoryContextStrdup(session->context, insert.data);
		target->select = MemoryContextStrdup(session->context, select.data);
	}
}

/*
 * Prepares the statement that makes rows of the batch for a table, whose
 * descriptor is desc, and which can be filled directly.
 */
void
target_prepare_select(LoadSession *session, LoadTarget *target, TupleDesc desc)
{
	StringInfoData select;

	initStringInfo(&select);
	append_select(&select, target, desc);
	prepare_statement(session, target, select.data);
}

/*
 * A target's rows of a range of documents as its statements see them, for
 * statement_run(); skip as in an Attempt.
 */
Tuplestorestate *
target_rows(LoadSession *session, LoadTarget *target, int from, int to, const bool *skip)
{
	Tuplestorestate *rows = tuplestore_begin_heap(true, false, work_mem);
	Datum	   *values = palloc((target->ncolumns + 1) * sizeof(Datum));
	bool	   *nulls = palloc((target->ncolumns + 1) * sizeof(bool));

	for (int row = target_first_row(target, from);
		 row < target->nrows && target->documents[row] < to; row++)
	{
		Size		at = (Size) row * target->ncolumns;

		if (!row_due(session, target, row, skip))
			continue;
		memcpy(values, target->values + at, target->ncolumns * sizeof(Datum));
		memcpy(nulls, target->nulls + at, target->ncolumns * sizeof(bool));
		values[target->ncolumns] = Int32GetDatum(target->documents[row]);
		nulls[target->ncolumns] = false;
		tuplestore_putvalues(rows, target->desc, values, nulls);
	}
	return rows;
}

/* Fills a target with its rows of the documents of an attempt. */
void
target_run_insert(Attempt *attempt, LoadTarget *target)
{
	Tuplestorestate *rows = target_rows(attempt->session, target, attempt->from, attempt->to, attempt->skip);

	statement_run(attempt->session, target->distributed, target->desc, rows, target->statement, NULL, NULL);
	statement_finish(target->distributed, rows);
}

/* Where the rows of a SELECT go: into a table, by its access method. */
typedef struct TableReceiver
{
	DestReceiver pub;
	LoadTarget *target;
	Relation	relation;
	MemoryContext context;		/* longer than the executor's */
	DirectInsert *insert;
} TableReceiver;

/*
 * Callback of the executor.  The command of the rows is that of the SELECT,
 * whose snapshot does not see them.
 */
static void
receiver_start(DestReceiver *self, int operation, TupleDesc desc)
{
	TableReceiver *receiver = (TableReceiver *) self;
	MemoryContext old = MemoryContextSwitchTo(receiver->context);

	receiver->insert = direct_begin(receiver->relation);
	MemoryContextSwitchTo(old);
}

/* Callback of the executor. */
static bool
receiver_take(TupleTableSlot *slot, DestReceiver *self)
{
	TableReceiver *receiver = (TableReceiver *) self;
	LoadTarget *target = receiver->target;
	MemoryContext old = MemoryContextSwitchTo(receiver->context);
	TupleTableSlot *row = direct_slot(receiver->insert);

	slot_getallattrs(slot);
	for (int i = 0; i < target->ncolumns; i++)
	{
		row->tts_values[target->columns[i]->attnum - 1] = slot->tts_values[i];
		row->tts_isnull[target->columns[i]->attnum - 1] = slot->tts_isnull[i];
	}
	direct_put(receiver->insert);
	MemoryContextSwitchTo(old);
	return true;
}

/* Callback of the executor. */
static void
receiver_end(DestReceiver *self)
{
	direct_end(((TableReceiver *) self)->insert);
}

/* Callback of the executor: the receiver is on the stack. */
static void
receiver_destroy(DestReceiver *self)
{
}

/*
 * Fills a target's table, which is open, with its rows of the documents of an
 * attempt, past the executor but for the expressions.
 */
void
target_run_select(Attempt *attempt, LoadTarget *target, Relation relation)
{
	Tuplestorestate *rows = target_rows(attempt->session, target, attempt->from, attempt->to, attempt->skip);
	TableReceiver receiver = {
		.pub = {receiver_take, receiver_start, receiver_end, receiver_destroy, DestNone},
		.target = target,.relation = relation,.context = CurrentMemoryContext
	};

	statement_run(attempt->session, target->distributed, target->desc, rows, target->statement, NULL,
				  &receiver.pub);
	statement_finish(target->distributed, rows);
}

/* The same for a distributed target, a row at a time. */
void
target_run_insert_values(Attempt *attempt, LoadTarget *target)
{
	Tuplestorestate *rows = target_rows(attempt->session, target, attempt->from, attempt->to, attempt->skip);
	SPITupleTable *found;
	StringInfoData sql;

	statement_run(attempt->session, target->distributed, target->desc, rows, NULL, target->select, NULL);
	found = SPI_tuptable;
	initStringInfo(&sql);
	appendStringInfo(&sql, "%s VALUES (", target->insert_into);
	for (int i = 0; i < found->tupdesc->natts; i++)
		appendStringInfo(&sql, "%s$%d", i == 0 ? "" : ", ", i + 1);
	appendStringInfoChar(&sql, ')');
	for (uint64 row = 0; row < found->numvals; row++)
		run_with_row(sql.data, found->vals[row], found->tupdesc);
	statement_finish(target->distributed, rows);
}

/*
 * Evaluates the expression of a column for one document and makes the results
 * values of the column, as an assignment does, and throws where that fails.
 */
void
target_evaluate(LoadSession *session, LoadTarget *target, int field, int document)
{
	Tuplestorestate *rows = target_rows(session, target, document, document + 1, NULL);
	Oid			type;
	int32		typmod;
	Oid			collation;
	Oid			length_function;
	StringInfoData sql;

	get_atttypetypmodcoll(target->relid, target->columns[field]->attnum, &type, &typmod, &collation);
	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT CAST(e.v AS %s) FROM ", full_type_name(type, -1));
	append_batch(&sql, target->distributed, target->desc);
	append_lateral(&sql, target->columns[field]->expression, field, "e");
	statement_run(session, target->distributed, target->desc, rows, NULL, sql.data, NULL);
	/* A cast to a length would cut where an assignment refuses. */
	if (typmod >= 0 && find_typmod_coercion_function(type, &length_function) == COERCION_PATH_FUNC)
		for (uint64 i = 0; i < SPI_processed; i++)
		{
			bool		isnull;
			Datum		value = SPI_getbinval(SPI_tuptable->vals[i], SPI_tuptable->tupdesc, 1, &isnull);

			if (!isnull)
				OidFunctionCall3(length_function, value, Int32GetDatum(typmod), BoolGetDatum(false));
		}
	statement_finish(target->distributed, rows);
}

/*
 * scan.c
 *	  Executing the scan of a foreign table.
 *
 * A scan is one find command, or two for the sake of its order (sort.c), one
 * after the other.  Its cursors, their match documents and the values
 * of its comparands live in the scan context, which is reset when the scan
 * starts again and deleted at its end; an error deletes it with the query's
 * context.  Either way the server's cursors are closed.
 */
#include "postgres.h"
#include "compat.h"

#include "executor/executor.h"
#include "fdw/scan.h"
#include "fdw/scanstate.h"
#include "miscadmin.h"
#include "mongo/transaction.h"
#include "utils/memutils.h"

/*
 * Is it a scan FOR UPDATE, or the like?  There are no such locks in MongoDB.  But
 * where the rows are read in the transaction that is to change them, a change by
 * another in the meantime is a conflict, and not lost.
 */
static bool
scan_locks(ForeignScanState *node)
{
	Index		relid = castNode(ForeignScan, node->ss.ps.plan)->scan.scanrelid;
	ExecRowMark *mark = ExecFindRowMark(node->ss.ps.state, relid, true);

	return mark != NULL && mark->strength != LCS_NONE;
}

/* The connection of the user that a scan is run as. */
MongoConnection *
scan_connect(ForeignScanState *node, Oid relid)
{
	Oid			userid = MM_SCAN_CHECK_AS_USER(castNode(ForeignScan, node->ss.ps.plan),
											   node->ss.ps.state);

	return mongo_connect(GetForeignTable(relid)->serverid,
						 OidIsValid(userid) ? userid : GetUserId());
}

/* Sets a scan up; nothing is sent before the first row is asked for. */
void
table_scan_begin(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = castNode(ForeignScan, node->ss.ps.plan);
	EState	   *estate = node->ss.ps.state;
	Relation	relation = node->ss.ss_currentRelation;
	FdwScanState *state;

	node->fdw_state = state = palloc0(sizeof(FdwScanState));
	state->find.table = mongo_table_options(RelationGetRelid(relation));
	state->find.filter = filter_load(list_nth(plan->fdw_private, SCAN_FILTER));
	state->find.projects = boolVal(list_nth(plan->fdw_private, SCAN_PROJECTS));
	state->find.sorting = sorting_load(list_nth(plan->fdw_private, SCAN_SORTING));
	state->find.limit = intVal(list_nth(plan->fdw_private, SCAN_LIMIT));
	state->reader = row_reader_create(relation, list_nth(plan->fdw_private, SCAN_COLUMNS),
									  state->find.table);
	state->find.paths = state->reader->paths;
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	state->connection = scan_connect(node, RelationGetRelid(relation));
	state->comparands = ExecInitExprList(plan->fdw_exprs, (PlanState *) node);
	state->values = palloc0(Max(list_length(plan->fdw_exprs), 1) * sizeof(FilterValue));
	state->context = AllocSetContextCreate(estate->es_query_cxt, "mongo scan",
										   ALLOCSET_SMALL_SIZES);
	if (scan_locks(node))
		mongo_transaction_begin_reading(state->connection);
	if (plan->operation == CMD_SELECT)
		state->early = early_scan_add(node, table_scan_start_early);
}

/*
 * Evaluates the comparands and makes the cursors, none when nothing can match.
 * Each sends its command when it is first read, or before the session writes:
 * so all of them must be there from the start, lest a later one see the write.
 */
static void
start_scan(ForeignScanState *node)
{
	FdwScanState *state = node->fdw_state;
	Find	   *find = &state->find;
	MemoryContext old = MemoryContextSwitchTo(state->context);
	bson_t	   *filter;

	early_scan_remove(state->early);
	filter_values_evaluate(state->values, state->comparands, 0, list_length(state->comparands),
						   node->ss.ps.ps_ExprContext);
	filter = filter_to_bson(find->filter, state->values);
	for (int part = 0; filter != NULL && part < sorting_parts(find->sorting); part++)
		state->cursors[part] = mongo_find(state->connection, find->table->collection,
										  sorting_match(find->sorting, part, filter),
										  find_options(find, part), state->context);
	state->started = true;
	MemoryContextSwitchTo(old);
}

/* Starts a scan before its first row is asked for. */
void
table_scan_start_early(ForeignScanState *node)
{
	FdwScanState *state = node->fdw_state;

	start_scan(node);
	state->unread = true;
}

/* The next document of the scan, NULL at its end. */
static const bson_t *
next_document(FdwScanState *state)
{
	for (; state->part < SORTING_MAX_PARTS; state->part++)
	{
		MongoCursor **cursor = &state->cursors[state->part];
		const bson_t *document;

		if (*cursor == NULL)
			continue;
		document = mongo_cursor_next(*cursor);
		if (document != NULL)
			return document;
		mongo_cursor_close(*cursor);
		*cursor = NULL;
	}
	return NULL;
}

/* The next row in the scan's slot, which is empty at the end. */
TupleTableSlot *
table_scan_next(ForeignScanState *node)
{
	FdwScanState *state = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	const bson_t *document;

	if (!state->started)
		start_scan(node);
	state->unread = false;
	ExecClearTuple(slot);
	document = next_document(state);
	if (document == NULL)
		return slot;
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	row_reader_read(state->reader, document, slot->tts_values, slot->tts_isnull);
	return ExecStoreVirtualTuple(slot);
}

/* Starts again, with parameters that may have changed. */
void
table_scan_restart(ForeignScanState *node)
{
	FdwScanState *state = node->fdw_state;

	/* A nested loop begins with a restart. */
	if (state->unread && node->ss.ps.chgParam == NULL)
		return;
	memset(state->cursors, 0, sizeof(state->cursors));
	state->part = 0;
	state->started = false;
	state->unread = false;
	MemoryContextReset(state->context);
}

/* Ends a scan, whether or not it came to the last row. */
void
table_scan_end(ForeignScanState *node)
{
	FdwScanState *state = node->fdw_state;

	if (state != NULL && state->context != NULL)
	{
		early_scan_remove(state->early);
		MemoryContextDelete(state->context);
	}
}

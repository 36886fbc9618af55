/*
 * scan.c
 *	  Executing the scan of a foreign table.
 *
 * A scan is one find command, or two for the sake of its order (sort.c), one
 * after the other.  Its cursor, its match document and the values
 * of its comparands live in the scan context, which is reset when the scan
 * starts again and deleted at its end; an error deletes it with the query's
 * context.  Either way the server's cursor is closed.
 */
#include "postgres.h"
#include "compat.h"

#include "executor/executor.h"
#include "fdw/fdw.h"
#include "fdw/scan.h"
#include "fdw/scanstate.h"
#include "miscadmin.h"
#include "utils/memutils.h"

/* Sets a scan up; nothing is sent before the first row is asked for. */
void
fdw_begin_scan(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = castNode(ForeignScan, node->ss.ps.plan);
	EState	   *estate = node->ss.ps.state;
	Relation	relation = node->ss.ss_currentRelation;
	List	   *filter = list_nth(plan->fdw_private, SCAN_FILTER);
	FdwScanState *state = palloc0(sizeof(FdwScanState));
	Oid			userid;

	node->fdw_state = state;
	state->find.table = mongo_table_options(RelationGetRelid(relation));
	state->find.filter = filter == NIL ? NULL : filter_load(filter);
	state->find.projects = boolVal(list_nth(plan->fdw_private, SCAN_PROJECTS));
	state->find.sorting = sorting_load(list_nth(plan->fdw_private, SCAN_SORTING));
	state->find.limit = intVal(list_nth(plan->fdw_private, SCAN_LIMIT));
	state->reader = row_reader_create(relation, list_nth(plan->fdw_private, SCAN_COLUMNS),
									  state->find.table);
	state->find.paths = state->reader->paths;
	state->ncomparands = list_length(plan->fdw_exprs);
	state->values = palloc0(Max(state->ncomparands, 1) * sizeof(FilterValue));
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	userid = MM_SCAN_CHECK_AS_USER(plan, estate);
	state->connection = mongo_connect(GetForeignTable(RelationGetRelid(relation))->serverid,
									  OidIsValid(userid) ? userid : GetUserId());
	state->comparands = ExecInitExprList(plan->fdw_exprs, (PlanState *) node);
	state->context = AllocSetContextCreate(estate->es_query_cxt, "mongo scan",
										   ALLOCSET_SMALL_SIZES);
}

/* Evaluates the comparands and sends the next command; no cursor when nothing can match. */
static void
start_part(ForeignScanState *node)
{
	FdwScanState *state = node->fdw_state;
	MemoryContext old = MemoryContextSwitchTo(state->context);
	bson_t	   *filter;
	ListCell   *lc;

	foreach(lc, state->comparands)
	{
		FilterValue *value = &state->values[foreach_current_index(lc)];

		value->value = ExecEvalExpr((ExprState *) lfirst(lc), node->ss.ps.ps_ExprContext,
									&value->isnull);
		value->known = true;
	}
	filter = sorting_match(state->find.sorting, state->part,
						   filter_to_bson(state->find.filter, state->values));
	if (filter != NULL)
		state->cursor = mongo_find(state->connection, state->find.table->collection, filter,
								   find_options(&state->find, state->part), state->context);
	state->part++;
	MemoryContextSwitchTo(old);
}

/* The next document of the scan, NULL at its end. */
static const bson_t *
next_document(ForeignScanState *node)
{
	FdwScanState *state = node->fdw_state;

	for (;;)
	{
		const bson_t *document;

		if (state->cursor == NULL)
		{
			if (state->part == sorting_parts(state->find.sorting))
				return NULL;
			start_part(node);
			if (state->cursor == NULL)
				continue;
		}
		document = mongo_cursor_next(state->cursor);
		if (document != NULL)
			return document;
		mongo_cursor_close(state->cursor);
		state->cursor = NULL;
	}
}

/* The next row in the scan's slot, which is empty at the end. */
TupleTableSlot *
fdw_iterate_scan(ForeignScanState *node)
{
	FdwScanState *state = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	const bson_t *document;
	DocumentError error;

	ExecClearTuple(slot);
	document = next_document(node);
	if (document == NULL)
		return slot;
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	if (!row_reader_read(state->reader, document, slot->tts_values, slot->tts_isnull, &error))
		document_error_throw(&error, state->find.table->collection, document);
	return ExecStoreVirtualTuple(slot);
}

/* Starts again, with parameters that may have changed. */
void
fdw_rescan(ForeignScanState *node)
{
	FdwScanState *state = node->fdw_state;

	state->cursor = NULL;
	state->part = 0;
	MemoryContextReset(state->context);
}

/* Ends a scan, whether or not it came to the last row. */
void
fdw_end_scan(ForeignScanState *node)
{
	FdwScanState *state = node->fdw_state;

	if (state != NULL && state->context != NULL)
		MemoryContextDelete(state->context);
}

/*
 * groupscan.c
 *	  Executing aggregates and groups by MongoDB, or by the local plan.
 *
 * The first row is asked for: the aggregate command runs, and all that it
 * returns is read into a tuplestore.  Where one of its documents proves
 * nothing (see group.c), that is thrown away, and the rows come from the local
 * plan, errors included.  So nothing was returned before everything was known.
 */
#include "postgres.h"
#include "compat.h"

#include "executor/executor.h"
#include "fdw/early.h"
#include "fdw/group.h"
#include "fdw/groupscan.h"
#include "fdw/match.h"
#include "fdw/scanstate.h"
#include "miscadmin.h"
#include "mongo/cursor.h"
#include "mongo/options.h"
#include "owned.h"
#include "utils/memutils.h"
#include "utils/tuplestore.h"

/* In ForeignScanState.fdw_state. */
typedef struct GroupScanState
{
	const MongoTableOptions *table;
	Grouping   *group;
	Filter	   *filter;			/* NULL: every document */
	FactReader *reader;
	MongoConnection *connection;
	List	   *comparands;		/* ExprStates */
	FilterValue *values;		/* of the comparands */
	MemoryContext context;		/* the cursor and what it was made from */
	MemoryContext row;			/* a row's values */
	Tuplestorestate *rows;		/* NULL until they were read */
	TupleTableSlot *stored;		/* for a row of the tuplestore */
	bool		local;			/* the local plan's rows are taken */
	EarlyScan  *early;
} GroupScanState;

static void start_early(ForeignScanState *node);

/* The scan of the table, below the local plan; NULL when something else reads it. */
static ForeignScanState *
local_scan(ForeignScanState *node)
{
	PlanState  *plan = outerPlanState(node);

	while (plan != NULL && !IsA(plan, ForeignScanState))
		plan = outerPlanState(plan);
	return (ForeignScanState *) plan;
}

/* Sets a scan up; nothing is sent before the first row is asked for. */
void
group_scan_begin(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = castNode(ForeignScan, node->ss.ps.plan);
	EState	   *estate = node->ss.ps.state;
	Oid			relid = exec_rt_fetch(MM_SCAN_RTINDEX(plan), estate)->relid;
	GroupScanState *state = palloc0(sizeof(GroupScanState));

	node->fdw_state = state;
	state->table = mongo_table_options(relid);
	state->group = group_load(list_nth(plan->fdw_private, GROUP_GROUP));
	state->filter = filter_load(list_nth(plan->fdw_private, GROUP_FILTER));
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	state->connection = scan_connect(node, relid);
	state->reader = fact_reader_create(state->group);
	state->comparands = ExecInitExprList(plan->fdw_exprs, (PlanState *) node);
	state->values = palloc0(Max(list_length(plan->fdw_exprs), 1) * sizeof(FilterValue));
	state->stored = ExecInitExtraTupleSlot(estate, node->ss.ss_ScanTupleSlot->tts_tupleDescriptor,
										   &TTSOpsMinimalTuple);
	state->context = AllocSetContextCreate(estate->es_query_cxt, "mongo groups",
										   ALLOCSET_SMALL_SIZES);
	state->row = AllocSetContextCreate(estate->es_query_cxt, "mongo group",
									   ALLOCSET_SMALL_SIZES);

	/* The local plan mostly is not executed. */
	if (local_scan(node) != NULL)
		early_scan_remove(((FdwScanState *) local_scan(node)->fdw_state)->early);
	state->early = early_scan_add(node, start_early);
}

/* The match document, from the values of the comparands. */
static bson_t *
evaluate_match(ForeignScanState *node)
{
	GroupScanState *state = node->fdw_state;

	filter_values_evaluate(state->values, state->comparands, 0, list_length(state->comparands),
						   node->ss.ps.ps_ExprContext);
	return filter_to_bson(state->filter, state->values);
}

/* Puts a row into the tuplestore; false when it proves nothing. */
static bool
store_row(ForeignScanState *node, const bson_t *document)
{
	GroupScanState *state = node->fdw_state;
	TupleDesc	descriptor = node->ss.ss_ScanTupleSlot->tts_tupleDescriptor;
	MemoryContext old = MemoryContextSwitchTo(state->row);
	Datum	   *values = palloc0(descriptor->natts * sizeof(Datum));
	bool	   *nulls = palloc0(descriptor->natts * sizeof(bool));
	bool		proven = true;

	if (document == NULL)
		fact_reader_nothing(state->reader, values, nulls);
	else
		proven = fact_reader_read(state->reader, document, state->values, values, nulls);
	if (proven)
		tuplestore_putvalues(state->rows, descriptor, values, nulls);
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->row);
	return proven;
}

/* An aggregate command, whose cursor lives as long as the groups are read. */
static MongoCursor *
start_command(const GroupScanState *state, const bson_t *pipeline)
{
	return mongo_aggregate(state->connection, state->table->collection, pipeline,
						   group_options(state->group, state->filter, state->table->fetch_size),
						   state->context);
}

/* Do the first documents tell that all of them will prove nothing? */
static bool
is_hopeless(const GroupScanState *state, const bson_t *match)
{
	bson_t	   *probe = group_probe(state->group, match);
	MongoCursor *cursor;
	bool		found;

	if (probe == NULL)
		return false;
	cursor = start_command(state, probe);
	found = mongo_cursor_next(cursor) != NULL;
	mongo_cursor_close(cursor);
	return found;
}

/* Reads all groups; false when one proves nothing. */
static bool
read_groups(ForeignScanState *node)
{
	GroupScanState *state = node->fdw_state;
	MemoryContext old = MemoryContextSwitchTo(state->context);
	bson_t	   *match = evaluate_match(node);
	MongoCursor *cursor = NULL;
	const bson_t *document = NULL;
	bool		any = false;
	bool		proven = !state->group->utc || group_session_is_utc();

	if (match != NULL && proven)
		proven = !is_hopeless(state, match);
	if (match != NULL && proven)
		cursor = start_command(state, group_pipeline(state->group, match, state->values));
	while (proven && cursor != NULL && (document = mongo_cursor_next(cursor)) != NULL)
	{
		CHECK_FOR_INTERRUPTS();
		any = true;
		proven = store_row(node, document);
	}
	if (proven && !any && state->group->keys == NIL)
		store_row(node, NULL);
	MemoryContextSwitchTo(old);
	MemoryContextReset(state->context);
	return proven;
}

/* Has the rows there, or finds that the local plan must make them. */
static void
start_scan(ForeignScanState *node)
{
	GroupScanState *state = node->fdw_state;
	MemoryContext old = MemoryContextSwitchTo(node->ss.ps.state->es_query_cxt);

	early_scan_remove(state->early);
	state->rows = tuplestore_begin_heap(false, false, work_mem);
	tuplestore_set_eflags(state->rows, EXEC_FLAG_REWIND);
	MemoryContextSwitchTo(old);
	state->local = !read_groups(node);
	if (state->local)
		tuplestore_clear(state->rows);
}

/* The same, before the first row is asked for. */
static void
start_early(ForeignScanState *node)
{
	GroupScanState *state = node->fdw_state;

	start_scan(node);
	if (state->local && local_scan(node) != NULL)
		table_scan_start_early(local_scan(node));
}

/*
 * The next row of the local plan.  We are called in the memory of a row, which
 * a plan node must not be: it keeps what it allocates there.
 */
static TupleTableSlot *
next_local_row(ForeignScanState *node)
{
	MemoryContext old = MemoryContextSwitchTo(node->ss.ps.state->es_query_cxt);
	TupleTableSlot *row = ExecProcNode(outerPlanState(node));

	MemoryContextSwitchTo(old);
	return row;
}

/*
 * The next row of the store, in its slot.  One that comes from a file is the
 * slot's own, and lives longer than the memory of a row.
 */
static void
next_stored_row(ForeignScanState *node)
{
	GroupScanState *state = node->fdw_state;
	MemoryContext old = MemoryContextSwitchTo(node->ss.ps.state->es_query_cxt);

	tuplestore_gettupleslot(state->rows, true, false, state->stored);
	MemoryContextSwitchTo(old);
}

/* The next row in the scan's slot, which is empty at the end. */
TupleTableSlot *
group_scan_next(ForeignScanState *node)
{
	GroupScanState *state = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	TupleTableSlot *row = state->stored;
	int			natts = slot->tts_tupleDescriptor->natts;

	if (state->rows == NULL)
		start_scan(node);
	ExecClearTuple(slot);
	if (state->local)
		row = next_local_row(node);
	else
		next_stored_row(node);
	if (TupIsNull(row))
		return slot;
	slot_getallattrs(row);
	memcpy(slot->tts_values, row->tts_values, natts * sizeof(Datum));
	memcpy(slot->tts_isnull, row->tts_isnull, natts * sizeof(bool));
	return ExecStoreVirtualTuple(slot);
}

/*
 * Starts again: with the same rows, unless a parameter has changed.  The local
 * plan is the executor's to start again.
 */
void
group_scan_restart(ForeignScanState *node)
{
	GroupScanState *state = node->fdw_state;

	if (state->rows == NULL)
		return;
	if (node->ss.ps.chgParam == NULL)
	{
		tuplestore_rescan(state->rows);
		return;
	}
	tuplestore_end(state->rows);
	state->rows = NULL;
	state->local = false;
}

/* Ends a scan, whether or not it came to the last row. */
void
group_scan_end(ForeignScanState *node)
{
	GroupScanState *state = node->fdw_state;

	if (state == NULL || state->context == NULL)
		return;
	early_scan_remove(state->early);
	if (state->rows != NULL)
		tuplestore_end(state->rows);
	MemoryContextDelete(state->context);
	MemoryContextDelete(state->row);
}

/* The command, with values for its comparands; NULL when no document can match. */
bson_t *
group_scan_command(ForeignScanState *node, const FilterValue *values)
{
	GroupScanState *state = node->fdw_state;
	bson_t	   *match = filter_to_bson(state->filter, values);
	bson_t	   *command = owned_bson_new(CurrentMemoryContext);

	if (match == NULL)
		return NULL;
	bson_append_utf8(command, "aggregate", -1, mongo_utf8(state->table->collection), -1);
	bson_concat(command, group_pipeline(state->group, match, values));
	bson_concat(command, group_options(state->group, state->filter, state->table->fetch_size));
	return command;
}

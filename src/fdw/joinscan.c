/*
 * joinscan.c
 *	  Executing a join by MongoDB.
 *
 * A document of the cursor is one of the outer table with one match, or none.
 * The matches of one come one after the other; each is decoded and checked.  An
 * outer document whose matches all fail has none: that is known when the next
 * one comes, so that it is kept until then.
 */
#include "postgres.h"
#include "compat.h"

#include "access/table.h"
#include "executor/executor.h"
#include "fdw/early.h"
#include "fdw/join.h"
#include "fdw/joinscan.h"
#include "fdw/match.h"
#include "fdw/scan.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "mongo/cursor.h"
#include "owned.h"
#include "parser/parsetree.h"
#include "utils/memutils.h"
#include "utils/rel.h"

/* In ForeignScanState.fdw_state. */
typedef struct JoinScanState
{
	FdwJoin    *join;
	const MongoTableOptions *outer;
	const MongoTableOptions *inner;
	RowReader  *outer_reader;
	RowReader  *inner_reader;
	MongoConnection *connection;
	List	   *comparands;		/* ExprStates */
	FilterValue *values;		/* of the comparands, and of that asked by */
	ExprState  *matching;		/* the conditions of a match */
	MemoryContext context;		/* the cursor and what it was made from */
	MongoCursor *cursor;		/* NULL before and after the rows */
	bool		started;
	bool		unread;			/* it was started early, and nothing is read */
	EarlyScan  *early;

	/* the find for the matches of one outer document */
	ExprState  *asked_by;		/* its comparand, or NULL */
	MemoryContext asked_context;	/* its cursor, and what that was made from */
	MongoCursor *asked;			/* NULL before and after its documents */
	bool		ask_all;		/* there is one for each */

	/* the document that was read last */
	bool		held;			/* it is still to be looked at; none at the
								 * end */
	const bson_t *document;
	bson_t	   *of_outer;		/* within it */
	bson_t	   *of_inner;		/* the same, or one that was asked for */
	bool		has_inner;
	int64		number;			/* of the match, from 0; 0 for none too */

	/* its outer document */
	bool		matched;		/* it has a match that passed */
	StringInfoData unmatched;	/* a copy, as long as it has none; or empty */
} JoinScanState;

static void start_early(ForeignScanState *node);

/* Makes the reader of one side, whose columns begin at a position of the row. */
static RowReader *
make_reader(const JoinSide *side, const MongoTableOptions *table, int first)
{
	/* The executor has locked it. */
	Relation	relation = table_open(side->relid, NoLock);
	RowReader  *reader = row_reader_create(relation, side->columns, table);

	table_close(relation, NoLock);
	row_reader_place(reader, first);
	return reader;
}

/* Sets a scan up; nothing is sent before the first row is asked for. */
void
join_scan_begin(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = castNode(ForeignScan, node->ss.ps.plan);
	EState	   *estate = node->ss.ps.state;
	List	   *comparands = list_nth(plan->fdw_exprs, JOIN_COMPARANDS);
	List	   *asked = list_nth(plan->fdw_exprs, JOIN_ASKED);
	JoinScanState *state = palloc0(sizeof(JoinScanState));

	node->fdw_state = state;
	state->join = join_load(plan->fdw_private);
	state->outer = mongo_table_options(state->join->outer.relid);
	state->inner = mongo_table_options(state->join->inner.relid);
	state->outer_reader = make_reader(&state->join->outer, state->outer, 0);
	state->inner_reader = make_reader(&state->join->inner, state->inner,
									  list_length(state->join->outer.columns));
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;

	state->connection = scan_connect(node, state->join->outer.relid);
	state->comparands = ExecInitExprList(comparands, (PlanState *) node);
	state->values = palloc0((list_length(comparands) + 1) * sizeof(FilterValue));
	if (asked != NIL)
		state->asked_by = ExecInitExpr(linitial(asked), (PlanState *) node);
	state->matching = ExecInitQual(list_nth(plan->fdw_exprs, JOIN_MATCHING), (PlanState *) node);
	state->context = AllocSetContextCreate(estate->es_query_cxt, "mongo join",
										   ALLOCSET_SMALL_SIZES);
	state->asked_context = AllocSetContextCreate(estate->es_query_cxt, "mongo join asked",
												 ALLOCSET_SMALL_SIZES);
	state->of_outer = owned_bson_lent(estate->es_query_cxt);
	state->of_inner = owned_bson_lent(estate->es_query_cxt);
	initStringInfo(&state->unmatched);
	state->early = early_scan_add(node, start_early);
}

/* The pipeline, for values of the comparands; NULL when there can be no row. */
static bson_t *
make_pipeline(JoinScanState *state, const FilterValue *values)
{
	bson_t	   *outer = filter_to_bson(state->join->outer.filter, values);
	bson_t	   *inner = filter_to_bson(state->join->inner.filter, values);

	if (outer == NULL)
		return NULL;
	if (inner == NULL)
	{
		if (!JOIN_KEEPS_UNMATCHED(state->join))
			return NULL;
		inner = match_new();
		BCON_APPEND(inner, "_id", "{", "$in", "[", "]", "}");
	}
	return lookup_pipeline(state->join, outer, inner, state->outer_reader->paths,
						   state->inner_reader->paths, state->inner, state->ask_all);
}

/* Evaluates the comparands and makes the cursor, none when nothing can match. */
static void
start_scan(ForeignScanState *node)
{
	JoinScanState *state = node->fdw_state;
	MemoryContext old = MemoryContextSwitchTo(state->context);
	bson_t	   *pipeline;

	early_scan_remove(state->early);
	filter_values_evaluate(state->values, state->comparands, 0, list_length(state->comparands),
						   node->ss.ps.ps_ExprContext);
	state->ask_all = state->asked_by != NULL &&
		find_any(state->connection, state->inner->collection, lookup_missed(&state->join->key), false);
	pipeline = make_pipeline(state, state->values);
	if (pipeline != NULL)
		state->cursor = mongo_aggregate(state->connection, state->outer->collection, pipeline,
										lookup_options(state->join, state->outer->fetch_size),
										state->context);
	state->started = true;
	MemoryContextSwitchTo(old);
}

/* The same, before the first row is asked for. */
static void
start_early(ForeignScanState *node)
{
	JoinScanState *state = node->fdw_state;

	start_scan(node);
	state->unread = true;
}

/* Points to a document within another. */
static void
point_to(bson_t *inner, const bson_iter_t *iter)
{
	const uint8_t *data;
	uint32_t	length;

	bson_iter_document(iter, &length, &data);
	if (data == NULL || !bson_init_static(inner, data, length))
		elog(ERROR, "a joined document is not valid");
}

/* Makes a row of an outer document and, unless it is NULL, an inner one. */
static void
store_row(ForeignScanState *node, const bson_t *outer, const bson_t *inner)
{
	JoinScanState *state = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	row_reader_read(state->outer_reader, outer, slot->tts_values, slot->tts_isnull);
	if (inner != NULL)
		row_reader_read(state->inner_reader, inner, slot->tts_values, slot->tts_isnull);
	ExecStoreVirtualTuple(slot);
}

/* Reads the next document that was asked for, if there is one. */
static bool
read_asked(JoinScanState *state)
{
	const bson_t *document = state->asked == NULL ? NULL : mongo_cursor_next(state->asked);

	if (document == NULL)
	{
		if (state->asked != NULL)
			mongo_cursor_close(state->asked);
		state->asked = NULL;
		return false;
	}
	return bson_init_static(state->of_inner, bson_get_data(document), document->len);
}

/* Asks for the matches of the outer document, and reads the first. */
static void
ask_matches(ForeignScanState *node)
{
	JoinScanState *state = node->fdw_state;
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	FilterValue *value = &state->values[list_length(state->comparands)];
	MemoryContext old;
	bson_t	   *match;
	Find		find = {
		.table = state->inner,.filter = state->join->asked,.projects = true,
		.paths = state->inner_reader->paths
	};

	store_row(node, state->of_outer, NULL);
	econtext->ecxt_scantuple = node->ss.ss_ScanTupleSlot;
	MemoryContextReset(state->asked_context);
	old = MemoryContextSwitchTo(state->asked_context);
	value->value = ExecEvalExpr(state->asked_by, econtext, &value->isnull);
	value->known = true;
	match = filter_to_bson(state->join->asked, state->values);
	if (match != NULL)
		state->asked = mongo_find(state->connection, state->inner->collection, match,
								  find_options(&find, 0), state->asked_context);
	MemoryContextSwitchTo(old);
	state->has_inner = read_asked(state);
	state->number = 0;
}

/* Reads the next match, or an outer document without one; false at the end. */
static bool
read_document(ForeignScanState *node)
{
	JoinScanState *state = node->fdw_state;
	bson_iter_t iter;
	int64		number;
	bool		ask = false;

	if (read_asked(state))
	{
		state->number++;
		return true;
	}
	state->document = state->cursor == NULL ? NULL : mongo_cursor_next(state->cursor);
	if (state->document == NULL)
	{
		if (state->cursor != NULL)
			mongo_cursor_close(state->cursor);
		state->cursor = NULL;
		return false;
	}
	state->has_inner = false;
	number = state->number;
	if (!bson_iter_init(&iter, state->document))
		elog(ERROR, "a joined document is not valid");
	while (bson_iter_next(&iter))
	{
		const char *name = bson_iter_key(&iter);

		if (strcmp(name, LOOKUP_OUTER) == 0)
			point_to(state->of_outer, &iter);
		else if (strcmp(name, LOOKUP_INNER) == 0)
		{
			point_to(state->of_inner, &iter);
			state->has_inner = true;
		}
		else if (strcmp(name, LOOKUP_NUMBER) == 0)
			/* null for no match */
			state->number = bson_iter_as_int64(&iter);
		else if (strcmp(name, LOOKUP_ASK) == 0)
			ask = bson_iter_as_bool(&iter);
	}
	if (ask)
	{
		ask_matches(node);
		return true;
	}
	if (state->number != 0 && state->number != number + 1 && state->join->type != JOIN_INNER)
		elog(ERROR, "matches of documents of collection \"%s\" come mixed", state->outer->collection);
	return true;
}

/* Does the row pass as a match? */
static bool
row_matches(ForeignScanState *node)
{
	JoinScanState *state = node->fdw_state;
	ExprContext *econtext = node->ss.ps.ps_ExprContext;

	econtext->ecxt_scantuple = node->ss.ss_ScanTupleSlot;
	return ExecQual(state->matching, econtext);
}

/* Looks at the document; true when the scan's slot has a row of the join. */
static bool
join_document(ForeignScanState *node)
{
	JoinScanState *state = node->fdw_state;
	JoinType	type = state->join->type;
	bool		keeps_unmatched = JOIN_KEEPS_UNMATCHED(state->join);

	if (state->number == 0)
		state->matched = false;
	/* One match is enough. */
	if (state->matched && (type == JOIN_SEMI || type == JOIN_ANTI))
		return false;
	store_row(node, state->of_outer, state->has_inner ? state->of_inner : NULL);
	if (!state->has_inner)
		return keeps_unmatched;
	if (row_matches(node))
	{
		state->matched = true;
		resetStringInfo(&state->unmatched);
		return type != JOIN_ANTI;
	}
	if (keeps_unmatched && !state->matched && state->unmatched.len == 0)
		appendBinaryStringInfo(&state->unmatched, (const char *) bson_get_data(state->of_outer),
							   state->of_outer->len);
	return false;
}

/* Makes the row of the outer document that has no match. */
static void
store_unmatched(ForeignScanState *node)
{
	JoinScanState *state = node->fdw_state;
	bson_t		outer;

	if (!bson_init_static(&outer, (const uint8_t *) state->unmatched.data, state->unmatched.len))
		elog(ERROR, "a joined document is not valid");
	store_row(node, &outer, NULL);
	resetStringInfo(&state->unmatched);
}

/* The next row in the scan's slot, which is empty at the end. */
TupleTableSlot *
join_scan_next(ForeignScanState *node)
{
	JoinScanState *state = node->fdw_state;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;

	if (!state->started)
		start_scan(node);
	state->unread = false;
	for (;;)
	{
		bool		more = state->held ? state->document != NULL : read_document(node);

		state->held = false;
		if (state->unmatched.len > 0 && (!more || state->number == 0))
		{
			state->held = true;
			store_unmatched(node);
			return slot;
		}
		if (!more)
			return ExecClearTuple(slot);
		if (join_document(node))
			return slot;
		/* What failed has left its values in the memory of a row. */
		ResetExprContext(node->ss.ps.ps_ExprContext);
		CHECK_FOR_INTERRUPTS();
	}
}

/* Starts again, with parameters that may have changed. */
void
join_scan_restart(ForeignScanState *node)
{
	JoinScanState *state = node->fdw_state;

	if (state->unread && node->ss.ps.chgParam == NULL)
		return;
	state->cursor = NULL;
	state->asked = NULL;
	state->started = false;
	state->unread = false;
	state->held = false;
	resetStringInfo(&state->unmatched);
	MemoryContextReset(state->context);
	MemoryContextReset(state->asked_context);
}

/* Ends a scan, whether or not it came to the last row. */
void
join_scan_end(ForeignScanState *node)
{
	JoinScanState *state = node->fdw_state;

	if (state == NULL || state->context == NULL)
		return;
	early_scan_remove(state->early);
	MemoryContextDelete(state->context);
	MemoryContextDelete(state->asked_context);
}

/* The command, with values for its comparands; NULL when nothing can match. */
bson_t *
join_scan_command(ForeignScanState *node, const FilterValue *values)
{
	JoinScanState *state = node->fdw_state;
	bson_t	   *pipeline = make_pipeline(state, values);
	bson_t	   *command = owned_bson_new(CurrentMemoryContext);

	if (pipeline == NULL)
		return NULL;
	bson_append_utf8(command, "aggregate", -1, mongo_utf8(state->outer->collection), -1);
	bson_concat(command, pipeline);
	bson_concat(command, lookup_options(state->join, state->outer->fetch_size));
	return command;
}

/* "outer LEFT JOIN inner", by the names of an EXPLAIN. */
const char *
join_scan_tables(ForeignScanState *node, List *names)
{
	const ForeignScan *plan = castNode(ForeignScan, node->ss.ps.plan);
	const FdwJoin *join = ((JoinScanState *) node->fdw_state)->join;
	int			one = bms_next_member(MM_SCAN_BASE_RELIDS(plan), -1);
	int			other = bms_next_member(MM_SCAN_BASE_RELIDS(plan), one);
	const char *type = join->type == JOIN_INNER ? "INNER" : join->type == JOIN_LEFT ? "LEFT" :
		join->type == JOIN_SEMI ? "SEMI" : "ANTI";

	return psprintf("%s %s JOIN %s",
					(char *) list_nth(names, (join->swapped ? other : one) - 1), type,
					(char *) list_nth(names, (join->swapped ? one : other) - 1));
}

/*
 * direct.c
 *	  UPDATE and DELETE as one command of MongoDB, where nothing is left for
 *	  PostgreSQL to do.
 *
 * That is so when MongoDB evaluates all conditions, the new values are the same
 * for all rows, and no row is wanted back.  The command must do what reading
 * the rows and writing them one by one would have done, errors included.  So
 * it takes up to three: a look whether there is a document that may not decode
 * (guard.c); for an UPDATE, one whether there is any, since new values are
 * evaluated for a row only; and the command.  In MongoDB's transaction, which
 * begins before, all see the same documents; without transactions too, nothing
 * but what surely decodes is touched.
 *
 * Where a document may not decode, all that match are read here, and written
 * by their _id.  Reading raises the error that there is.
 */
#include "postgres.h"
#include "compat.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "executor/executor.h"
#include "fdw/direct.h"
#include "fdw/early.h"
#include "fdw/fdw.h"
#include "fdw/guard.h"
#include "fdw/path.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/appendinfo.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/pathnode.h"
#include "owned.h"
#include "parser/parsetree.h"
#include "utils/memutils.h"
#include "utils/partcache.h"
#include "utils/rel.h"

/*
 * Planning
 */

/*
 * Can a column be set by $set or $unset, whatever the document?  Below the top
 * it may be that a document has no place for it, and MongoDB would not say which.
 */
static bool
column_is_settable(FdwRelation *relation, AttrNumber attnum)
{
	char	   *path = path_for_match(fdw_relation_path(relation, attnum));

	return path != NULL && !PATH_IS_ID(path) && !PATH_IS_NESTED(path);
}

/*
 * expression_tree_walker: is there a value of SET (a, b) = (SELECT ...)?  It is a
 * parameter that the scan of the row sets, by a subquery that may look at the row.
 */
static bool
has_row_of_subquery(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param))
		return ((Param *) node)->paramkind == PARAM_MULTIEXPR;
	return expression_tree_walker(node, has_row_of_subquery, context);
}

/* Is the table a partition that one of the columns decides about?  Then rows are looked at. */
static bool
is_partitioned_by(Relation relation, List *columns)
{
	Bitmapset  *keys = NULL;
	ListCell   *lc;

	if (!relation->rd_rel->relispartition)
		return false;
	pull_varattnos((Node *) RelationGetPartitionQual(relation), 1, &keys);
	foreach(lc, columns)
	{
		if (bms_is_member(lfirst_int(lc) - FirstLowInvalidHeapAttributeNumber, keys))
			return true;
	}
	return false;
}

/* The columns of SET and their new values; false unless those are the same for all rows. */
static bool
plan_set(PlannerInfo *root, RelOptInfo *rel, List **columns, List **values)
{
	List	   *targets;
	List	   *attnums;
	ListCell   *lc;
	ListCell   *lc2;

	get_translated_update_targetlist(root, rel->relid, &targets, &attnums);
	forboth(lc, targets, lc2, attnums)
	{
		Expr	   *value = lfirst_node(TargetEntry, lc)->expr;
		AttrNumber	attnum = lfirst_int(lc2);

		if (!column_is_settable(rel->fdw_private, attnum) ||
			contain_var_clause((Node *) value) || contain_subplans((Node *) value) ||
			has_row_of_subquery((Node *) value, NULL) || contain_volatile_functions((Node *) value))
			return false;
		*columns = lappend_int(*columns, attnum);
		*values = lappend(*values, value);
	}
	return true;
}

/* Does a condition leave one document at most?  Then one by one is as good. */
static bool
is_one_document(PlannerInfo *root, RelOptInfo *rel)
{
	List	   *comparands = NIL;
	ListCell   *lc;

	foreach(lc, rel->baserestrictinfo)
	{
		Filter	   *filter = filter_from_clause(root, rel, lfirst_node(RestrictInfo, lc)->clause,
												&comparands);

		if (filter != NULL && filter_bounds(filter, "_id") == BOUNDS_POINT)
			return true;
	}
	return false;
}

/* The scan of a table below a ModifyTable: its plan, or one of those that it appends; or NULL. */
static ForeignScan *
find_scan(Plan *plan, Index rtindex)
{
	ListCell   *lc;

	if (IsA(plan, Result) && outerPlan(plan) != NULL)
		plan = outerPlan(plan);
	if (IsA(plan, ForeignScan) && ((ForeignScan *) plan)->scan.scanrelid == rtindex)
		return (ForeignScan *) plan;
	if (!IsA(plan, Append))
		return NULL;
	foreach(lc, ((Append *) plan)->appendplans)
	{
		ForeignScan *scan = lfirst(lc);

		if (IsA(scan, ForeignScan) && scan->scan.scanrelid == rtindex)
			return scan;
	}
	return NULL;
}

/* Turns the scan of an UPDATE or DELETE into the command, where that can be. */
bool
fdw_plan_direct_modify(PlannerInfo *root, ModifyTable *plan, Index rtindex, int subplan_index)
{
	ForeignScan *scan = find_scan(outerPlan(plan), rtindex);
	RelOptInfo *rel;
	Relation	relation;
	AttrNumber	id_column;
	List	   *guards;
	List	   *columns = NIL;
	List	   *values = NIL;
	bool		possible;

	if (!fdw_enable_pushdown ||
		(plan->operation != CMD_UPDATE && plan->operation != CMD_DELETE) ||
		plan->returningLists != NIL ||
		root->parent_root != NULL || root->parse->hasModifyingCTE ||
		scan == NULL)
		return false;

	rel = find_base_rel(root, rtindex);
	relation = table_open(planner_rt_fetch(rtindex, root)->relid, NoLock);
	id_column = modify_id_column(relation, mongo_table_options(RelationGetRelid(relation)));
	possible = !is_one_document(root, rel) &&
		guards_for_restrictions(root, rel, id_column, &guards) &&
		(plan->operation == CMD_DELETE ||
		 (plan_set(root, rel, &columns, &values) && !is_partitioned_by(relation, columns)));
	table_close(relation, NoLock);
	if (!possible)
		return false;

	scan->operation = plan->operation;
	scan->resultRelation = rtindex;
	scan->fdw_exprs = list_concat(scan->fdw_exprs, values);
	scan->fdw_private = lappend(scan->fdw_private,
								list_make3(guards_save(guards), columns, makeBoolean(plan->canSetTag)));
	return true;
}

/*
 * Execution
 */

/* Sets the command up, and begins the transaction. */
void
fdw_begin_direct_modify(ForeignScanState *node, int eflags)
{
	ForeignScan *plan = castNode(ForeignScan, node->ss.ps.plan);
	List	   *private = llast(plan->fdw_private);
	FdwDirectState *state = palloc0(sizeof(FdwDirectState));

	table_scan_begin(node, eflags);
	state->scan = node->fdw_state;
	state->operation = plan->operation;
	state->counts = boolVal(list_nth(private, DIRECT_COUNTS));
	state->guards = guards_load(list_nth(private, DIRECT_GUARDS));
	state->set = list_nth(private, DIRECT_SET_COLUMNS);
	state->nfilter = list_length(plan->fdw_exprs) - list_length(state->set);
	node->fdw_state = state;
	if (eflags & EXEC_FLAG_EXPLAIN_ONLY)
		return;
	mongo_pending_flush();
	mongo_transaction_begin(state->scan->connection);
}

/* Is there a document that matches? */
static bool
exists(FdwDirectState *state, const bson_t *match)
{
	return find_any(state->scan->connection, state->scan->find.table->collection, match,
					guards_need_simple_collation(state->guards));
}

/* Evaluates the new values and makes the update of them. */
static void
make_update(ForeignScanState *node)
{
	FdwDirectState *state = node->fdw_state;
	FdwScanState *scan = state->scan;
	Relation	relation = node->ss.ss_currentRelation;
	TupleTableSlot *slot = MakeSingleTupleTableSlot(RelationGetDescr(relation), &TTSOpsVirtual);
	Writer	   *writer = writer_create(relation, state->set, scan->find.table);
	WriterUpdate update;
	ListCell   *lc;

	filter_values_evaluate(scan->values, scan->comparands, state->nfilter, list_length(scan->comparands),
						   node->ss.ps.ps_ExprContext);
	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	foreach(lc, state->set)
	{
		FilterValue *value = &scan->values[state->nfilter + foreach_current_index(lc)];
		int			i = lfirst_int(lc) - 1;

		slot->tts_values[i] = value->value;
		slot->tts_isnull[i] = value->isnull;
	}
	ExecStoreVirtualTuple(slot);
	writer_update(writer, slot, NULL, &update);
	state->update = update.update;
	ExecDropSingleTupleTableSlot(slot);
}

static WriteBatch *
create_batch(FdwDirectState *state)
{
	return write_batch_create(state->scan->connection, state->scan->find.table->collection,
							  state->operation, CurrentMemoryContext);
}

/* Decodes a document into the scan's slot, and says whether its row meets the conditions. */
static bool
row_qualifies(ForeignScanState *node, const bson_t *document)
{
	FdwScanState *scan = ((FdwDirectState *) node->fdw_state)->scan;
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	TupleTableSlot *slot = node->ss.ss_ScanTupleSlot;
	MemoryContext old = MemoryContextSwitchTo(econtext->ecxt_per_tuple_memory);

	ExecClearTuple(slot);
	memset(slot->tts_isnull, true, slot->tts_tupleDescriptor->natts * sizeof(bool));
	row_reader_read(scan->reader, document, slot->tts_values, slot->tts_isnull);
	econtext->ecxt_scantuple = ExecStoreVirtualTuple(slot);
	MemoryContextSwitchTo(old);
	return ExecQual(node->ss.ps.qual, econtext);
}

/* Reads the documents that match, and writes those whose rows meet the conditions by their _id. */
static int64
modify_each(ForeignScanState *node, const bson_t *match)
{
	FdwDirectState *state = node->fdw_state;
	FdwScanState *scan = state->scan;
	ExprContext *econtext = node->ss.ps.ps_ExprContext;
	WriteBatch *batch = create_batch(state);
	MongoCursor *cursor = mongo_find(scan->connection, scan->find.table->collection, match,
									 find_options(&scan->find, 0), CurrentMemoryContext);
	int64		result = 0;
	const bson_t *document;

	while ((document = mongo_cursor_next(cursor)) != NULL)
	{
		bson_t	   *selector;
		bson_iter_t id;

		CHECK_FOR_INTERRUPTS();
		ResetExprContext(econtext);
		if (!row_qualifies(node, document) || !bson_iter_init_find(&id, document, "_id"))
			continue;
		if (state->operation == CMD_UPDATE && state->update == NULL)
			make_update(node);
		selector = owned_bson_new(econtext->ecxt_per_tuple_memory);
		bson_append_iter(selector, "_id", -1, &id);
		write_batch_add(batch, selector, state->update, false);
		if (write_batch_is_full(batch, scan->find.table->batch_size))
			result += write_batch_send(batch);
	}
	mongo_cursor_close(cursor);
	return result + write_batch_send(batch);
}

/* Does the whole; returns how many documents were updated or deleted. */
static int64
modify_all(ForeignScanState *node)
{
	FdwDirectState *state = node->fdw_state;
	FdwScanState *scan = state->scan;
	WriteBatch *batch;
	bson_t	   *match;
	bson_t	   *safe;
	bson_t	   *odd;

	filter_values_evaluate(scan->values, scan->comparands, 0, state->nfilter,
						   node->ss.ps.ps_ExprContext);
	match = filter_to_bson(scan->find.filter, scan->values);
	if (match == NULL)
		return 0;
	guards_to_bson(state->guards, match, &safe, &odd);
	if (odd != NULL && exists(state, odd))
		return modify_each(node, match);
	if (state->operation == CMD_UPDATE)
	{
		if (!exists(state, safe))
			return 0;
		make_update(node);
	}
	batch = create_batch(state);
	write_batch_many(batch, guards_need_simple_collation(state->guards));
	write_batch_add(batch, safe, state->update, false);
	return write_batch_send(batch);
}

/* Runs the command; there is no row to return. */
TupleTableSlot *
fdw_iterate_direct_modify(ForeignScanState *node)
{
	FdwDirectState *state = node->fdw_state;

	if (!state->done)
	{
		MemoryContext old;
		int64		count;

		early_scans_start(node->ss.ps.state);
		old = MemoryContextSwitchTo(state->scan->context);
		count = modify_all(node);

		MemoryContextSwitchTo(old);
		state->done = true;
		if (state->counts)
			node->ss.ps.state->es_processed += count;
		if (node->ss.ps.instrument != NULL)
			node->ss.ps.instrument->tuplecount += count;
	}
	return ExecClearTuple(node->ss.ss_ScanTupleSlot);
}

/* Ends it. */
void
fdw_end_direct_modify(ForeignScanState *node)
{
	FdwDirectState *state = node->fdw_state;

	if (state == NULL)
		return;
	node->fdw_state = state->scan;
	table_scan_end(node);
}

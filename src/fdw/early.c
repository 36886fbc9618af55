/*
 * early.c
 *	  Scans that start before their statement writes.
 *
 * A scan sends its command when its first row is asked for.  By then the
 * statement may have written, and the scan, of the second part of a UNION ALL or
 * of a subquery in a CASE, must not see that.  So the first write has all scans
 * started that still wait for this; what they have to read is then put aside
 * with what others have (see cursor.c).  A scan that depends on the row of another
 * cannot be started: it sees what is written, as one that starts again does.
 *
 * Nor are the scans of statements around this one, and of cursors, to see the
 * write.  Their comparands may be functions, which must not run with the rights
 * of another who writes: then only those are started that compare with constants
 * and the parameters of their query.
 */
#include "postgres.h"
#include "compat.h"

#include "fdw/early.h"
#include "fdw/joinscan.h"
#include "fdw/scanstate.h"
#include "lib/ilist.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

struct EarlyScan
{
	dlist_node	node;			/* in waiting */
	bool		waits;
	ForeignScanState *scan;
	void		(*start) (ForeignScanState *scan);
	Oid			userid;			/* who runs its statement, and how */
	int			security;
	ResourceOwner owner;		/* of its statement */
	MemoryContextCallback callback;
};

static dlist_head waiting = DLIST_STATIC_INIT(waiting);

/* Forgets a scan. */
void
early_scan_remove(EarlyScan *early)
{
	if (early == NULL || !early->waits)
		return;
	dlist_delete(&early->node);
	early->waits = false;
}

/* Memory-context callback */
static void
forget(void *arg)
{
	early_scan_remove(arg);
}

/* Notes a scan; see early.h. */
EarlyScan *
early_scan_add(ForeignScanState *scan, void (*start) (ForeignScanState *scan))
{
	MemoryContext context = scan->ss.ps.state->es_query_cxt;
	EarlyScan  *early = MemoryContextAllocZero(context, sizeof(EarlyScan));

	early->scan = scan;
	early->start = start;
	GetUserIdAndSecContext(&early->userid, &early->security);
	early->owner = CurrentResourceOwner;
	early->callback.func = forget;
	early->callback.arg = early;
	MemoryContextRegisterResetCallback(context, &early->callback);
	dlist_push_tail(&waiting, &early->node);
	early->waits = true;
	return early;
}

/* A statement that writes. */
typedef struct Writing
{
	EState	   *estate;
	Bitmapset  *once;			/* parameters that subqueries set which are
								 * run once */
} Writing;

/* Adds the parameters that subqueries of a plan set which are run once. */
static Bitmapset *
add_once(Bitmapset *once, const Plan *plan)
{
	List	   *children = NIL;
	ListCell   *lc;
	ListCell   *lc2;

	if (plan == NULL)
		return once;
	foreach(lc, plan->initPlan)
	{
		foreach(lc2, lfirst_node(SubPlan, lc)->setParam)
			once = bms_add_member(once, lfirst_int(lc2));
	}
	if (IsA(plan, Append))
		children = ((const Append *) plan)->appendplans;
	else if (IsA(plan, MergeAppend))
		children = ((const MergeAppend *) plan)->mergeplans;
	else if (IsA(plan, SubqueryScan))
		once = add_once(once, ((const SubqueryScan *) plan)->subplan);
	foreach(lc, children)
		once = add_once(once, lfirst(lc));
	once = add_once(once, outerPlan(plan));
	return add_once(once, innerPlan(plan));
}

/* Is it the parameter of a subquery that was run, or is still to be and can? */
static bool
is_known(const Writing *writing, int paramid)
{
	SubPlanState *subplan = writing->estate->es_param_exec_vals[paramid].execPlan;
	int			outer = -1;

	if (subplan == NULL)
		return bms_is_member(paramid, writing->once);
	while ((outer = bms_next_member(subplan->planstate->plan->extParam, outer)) >= 0)
	{
		if (!is_known(writing, outer))
			return false;
	}
	return true;
}

/*
 * expression_tree_walker: is there a parameter of another node of the plan that
 * may not be set?  To a statement that does not write none is known.
 */
static bool
has_unknown(Node *node, void *writing)
{
	if (node == NULL)
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXEC)
		return writing == NULL || !is_known(writing, ((Param *) node)->paramid);
	return expression_tree_walker(node, has_unknown, writing);
}

/* Are all of the comparands constants, or parameters of the query? */
static bool
has_constants(ForeignScanState *scan)
{
	List	   *comparands = castNode(ForeignScan, scan->ss.ps.plan)->fdw_exprs;
	ListCell   *lc;

	if (scan_kind(scan) == SCAN_OF_JOIN)
		comparands = list_nth(comparands, JOIN_COMPARANDS);
	foreach(lc, comparands)
	{
		Node	   *comparand = filter_strip_casts(lfirst(lc));

		if (!IsA(comparand, Const) &&
			!(IsA(comparand, Param) && ((Param *) comparand)->paramkind == PARAM_EXTERN))
			return false;
	}
	return true;
}

/* Is the statement of a scan run by the same user, and in the same way? */
static bool
is_of_same_user(const EarlyScan *early)
{
	Oid			userid;
	int			security;

	GetUserIdAndSecContext(&userid, &security);
	return userid == early->userid && security == early->security;
}

/* Can the scan be started by a write of a statement? */
static bool
can_start(const EarlyScan *early, Writing *writing)
{
	ForeignScan *plan = castNode(ForeignScan, early->scan->ss.ps.plan);

	if (early->scan->ss.ps.state == writing->estate)
		return !has_unknown((Node *) plan->fdw_exprs, writing);
	return has_constants(early->scan) ||
		(is_of_same_user(early) && !has_unknown((Node *) plan->fdw_exprs, NULL));
}

/* A scan that can be started, or NULL. */
static EarlyScan *
next_to_start(Writing *writing)
{
	dlist_iter	iter;

	dlist_foreach(iter, &waiting)
	{
		EarlyScan  *early = dlist_container(EarlyScan, node, iter.cur);

		if (can_start(early, writing))
			return early;
	}
	return NULL;
}

/* Starts what can be; see early.h. */
void
early_scans_start(EState *estate)
{
	Writing		writing = {.estate = estate};
	ResourceOwner owner = CurrentResourceOwner;
	EarlyScan  *early;
	ListCell   *lc;

	if (dlist_is_empty(&waiting))
		return;
	/* COPY has no plan. */
	if (estate->es_plannedstmt != NULL)
	{
		writing.once = add_once(NULL, estate->es_plannedstmt->planTree);
		foreach(lc, estate->es_plannedstmt->subplans)
			writing.once = add_once(writing.once, lfirst(lc));
	}

	/*
	 * To start one may be to run a subquery, which starts others.  What it
	 * opens is its own statement's: the write may be in a subtransaction.
	 */
	while ((early = next_to_start(&writing)) != NULL)
	{
		early_scan_remove(early);
		CurrentResourceOwner = early->owner;
		early->start(early->scan);
		CurrentResourceOwner = owner;
	}
}

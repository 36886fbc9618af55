/*
 * relation.c
 *	  What the planner knows of a foreign table.
 *
 * Made once for a base relation of a query, in the planner's memory.  Options
 * of columns are looked up when they are asked for: a wide table pays only for
 * the columns that a query names.
 */
#include "postgres.h"
#include "compat.h"

#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "fdw/estimate.h"
#include "fdw/relation.h"
#include "miscadmin.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* A command and the first batch of its reply. */
#define COST_COMMAND	50.0

/* A document that is sent and decoded. */
#define COST_RETRIEVED	0.2

/* An option that is a cost. */
static Cost
cost_option(ForeignServer *server, const char *name, Cost otherwise)
{
	const char *value = option_value(server->options, name);

	return value == NULL ? otherwise : strtod(value, NULL);
}

/* Reads the table's options and finds out whose mapping is to be used. */
FdwRelation *
fdw_relation_create(PlannerInfo *root, RelOptInfo *rel, Oid relid)
{
	FdwRelation *relation = palloc0(sizeof(FdwRelation));
	ForeignServer *server = GetForeignServer(rel->serverid);

	relation->context = CurrentMemoryContext;
	relation->relid = relid;
	relation->userid = MM_REL_CHECK_AS_USER(root, rel);
	if (!OidIsValid(relation->userid))
		relation->userid = GetUserId();
	relation->options = mongo_table_options(relid);
	relation->remote_estimate =
		option_boolean(GetForeignTable(relid)->options, "use_remote_estimate",
					   option_boolean(server->options, "use_remote_estimate", false));
	relation->startup_cost = cost_option(server, "fdw_startup_cost", COST_COMMAND);
	relation->tuple_cost = cost_option(server, "fdw_tuple_cost", COST_RETRIEVED);
	if (relation->remote_estimate)
		relation->indexes = estimate_indexes(relid, relation->userid);
	if (relation->indexes == NIL)
		relation->indexes = list_make1(index_of_id());
	relation->columns = palloc0(Max(rel->max_attr, 1) * sizeof(MongoColumnOptions *));
	return relation;
}

/* The options of a column. */
static const MongoColumnOptions *
column_options(FdwRelation *relation, AttrNumber attnum)
{
	MongoColumnOptions **column = &relation->columns[attnum - 1];

	Assert(attnum > 0);
	if (*column == NULL)
	{
		/* The genetic search for joins looks in a memory of its own. */
		MemoryContext old = MemoryContextSwitchTo(relation->context);

		*column = mongo_column_options(relation->relid, attnum, relation->options);
		MemoryContextSwitchTo(old);
	}
	return *column;
}

/* The path of a column. */
const char *
fdw_relation_path(FdwRelation *relation, AttrNumber attnum)
{
	return column_options(relation, attnum)->path;
}

/* How a jsonb column writes its values. */
JsonMode
fdw_relation_json_mode(FdwRelation *relation, AttrNumber attnum)
{
	return column_options(relation, attnum)->json_mode;
}

/* About how many bytes a value of a column has; ten where nothing is known. */
int
fdw_relation_width(FdwRelation *relation, AttrNumber attnum)
{
	int			width = get_attavgwidth(relation->relid, attnum);

	if (width <= 0)
		width = get_typlen(get_atttype(relation->relid, attnum));
	return width > 0 ? width : 10;
}

/* Is the relation's collection that of a table, or of a part of it? */
static bool
is_collection_of(const RangeTblEntry *rte, RelOptInfo *rel)
{
	FdwRelation *relation = rel->fdw_private;
	List	   *tables = rte->inh || rte->relkind == RELKIND_PARTITIONED_TABLE ?
		find_all_inheritors(rte->relid, NoLock, NULL) : list_make1_oid(rte->relid);
	ListCell   *lc;

	foreach(lc, tables)
	{
		Oid			table = lfirst_oid(lc);

		if (get_rel_relkind(table) == RELKIND_FOREIGN_TABLE &&
			GetForeignTable(table)->serverid == rel->serverid &&
			strcmp(mongo_table_options(table)->collection, relation->options->collection) == 0)
			return true;
	}
	return false;
}

/* Is there a join in a query or one around it? */
static bool
is_joined(PlannerInfo *root)
{
	while (root != NULL && bms_membership(root->all_baserels) != BMS_MULTIPLE)
		root = root->parent_root;
	return root != NULL;
}

/* Does the statement write to the relation's collection by another reference; see relation.h. */
bool
fdw_relation_is_written(PlannerInfo *root, RelOptInfo *rel)
{
	if (bms_is_member(rel->relid, root->all_result_relids) || !is_joined(root))
		return false;
	for (; root != NULL; root = root->parent_root)
	{
		int			rti = -1;
		ListCell   *lc;

		while ((rti = bms_next_member(root->all_result_relids, rti)) >= 0)
		{
			if (is_collection_of(planner_rt_fetch(rti, root), rel))
				return true;
		}
		foreach(lc, root->parse->cteList)
		{
			Query	   *query = castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery);

			if (query->resultRelation > 0 &&
				is_collection_of(rt_fetch(query->resultRelation, query->rtable), rel))
				return true;
		}
	}
	return false;
}

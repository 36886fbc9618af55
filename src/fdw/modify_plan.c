/*
 * modify_plan.c
 *	  Planning writes to a foreign table, and EXPLAIN of them.
 *
 * Rows are found again by their _id, which is a column of the table: the row
 * identity.  Its type must be one that MongoDB can be asked for by equality.
 */
#include "postgres.h"
#include "compat.h"

#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_type.h"
#include "commands/explain.h"
#include "fdw/fdw.h"
#include "fdw/modify.h"
#include "fdw/path.h"
#include "nodes/makefuncs.h"
#include "optimizer/appendinfo.h"
#include "optimizer/inherit.h"
#include "optimizer/pathnode.h"
#include "parser/parsetree.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* Is a column one that holds values of its own? */
static bool
is_stored(Form_pg_attribute attribute)
{
	return !attribute->attisdropped &&
		(attribute->attgenerated == '\0' || attribute->attgenerated == ATTRIBUTE_GENERATED_STORED);
}

/* Can MongoDB be asked for a value of the type by equality?  Plain JSON has lost BSON's types. */
static bool
is_identity_type(Oid type, JsonMode json_mode)
{
	type = getBaseType(type);
	return type == JSONOID ? json_mode != JSON_PLAIN : filter_type_form(type) != FORM_NONE;
}

/* The column by which rows are found again; see modify.h. */
AttrNumber
modify_id_column(Relation relation, const MongoTableOptions *table)
{
	TupleDesc	tupdesc = RelationGetDescr(relation);
	AttrNumber	found = InvalidAttrNumber;
	AttrNumber	text = InvalidAttrNumber;
	bool		any = false;

	for (int i = 0; i < tupdesc->natts && found == InvalidAttrNumber; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(tupdesc, i);
		MongoColumnOptions *column;

		if (!is_stored(attribute))
			continue;
		column = mongo_column_options(RelationGetRelid(relation), i + 1, table);
		if (!PATH_IS_ID(column->path))
			continue;
		any = true;
		if (!is_identity_type(attribute->atttypid, column->json_mode))
			continue;

		/* Values of several BSON types can have one text. */
		if (filter_type_form(getBaseType(attribute->atttypid)) == FORM_TEXT)
			text = i + 1;
		else
			found = i + 1;
	}
	if (found == InvalidAttrNumber)
		found = text;
	if (found == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_COLUMN_NAME_NOT_FOUND),
				 any ?
				 errmsg("rows of foreign table \"%s\" cannot be found again by the type of column \"_id\"",
						RelationGetRelationName(relation)) :
				 errmsg("foreign table \"%s\" has no column \"_id\", by which rows are found again",
						RelationGetRelationName(relation)),
				 errhint("ALTER FOREIGN TABLE %s ADD COLUMN %s; the type is that of the documents' _id: mongo_migrate.objectid, a number, text, uuid, a date, or json for any other.",
						 quote_identifier(RelationGetRelationName(relation)),
						 any ? "id json OPTIONS (path '_id', extended_json 'relaxed')" : "_id mongo_migrate.objectid")));
	return found;
}

/* The name of the row identity: columns that differ in a partitioned table have different ones. */
char *
modify_id_name(Form_pg_attribute attribute)
{
	return psprintf("mongo_id_%d_%u_%d", attribute->attnum, attribute->atttypid, attribute->atttypmod);
}

/* All columns that an insert can write. */
List *
modify_all_columns(Relation relation)
{
	TupleDesc	tupdesc = RelationGetDescr(relation);
	List	   *columns = NIL;

	for (int i = 0; i < tupdesc->natts; i++)
		if (is_stored(TupleDescAttr(tupdesc, i)))
			columns = lappend_int(columns, i + 1);
	return columns;
}

/* Has the scan return _id along with the rows. */
void
fdw_add_update_targets(PlannerInfo *root, Index rtindex, RangeTblEntry *target_rte,
					   Relation target_relation)
{
	MongoTableOptions *table = mongo_table_options(RelationGetRelid(target_relation));
	AttrNumber	attnum = modify_id_column(target_relation, table);
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(target_relation), attnum - 1);

	add_row_identity_var(root,
						 makeVar(rtindex, attnum, attribute->atttypid, attribute->atttypmod,
								 attribute->attcollation, 0),
						 rtindex, modify_id_name(attribute));
}

/* The columns of SET and the generated ones that follow from them. */
static List *
set_columns(PlannerInfo *root, Index rtindex, Relation relation)
{
	Bitmapset  *updated = get_rel_all_updated_cols(root, find_base_rel(root, rtindex));
	List	   *columns = NIL;
	int			member = -1;

	while ((member = bms_next_member(updated, member)) >= 0)
	{
		AttrNumber	attnum = member + FirstLowInvalidHeapAttributeNumber;

		if (attnum > 0 && is_stored(TupleDescAttr(RelationGetDescr(relation), attnum - 1)))
			columns = lappend_int(columns, attnum);
	}
	return columns;
}

/* Says what a statement writes; see ModifyPrivate. */
List *
fdw_plan_modify(PlannerInfo *root, ModifyTable *plan, Index rtindex, int subplan_index)
{
	Relation	relation = table_open(planner_rt_fetch(rtindex, root)->relid, NoLock);
	List	   *set = NIL;
	List	   *columns = NIL;

	if (plan->onConflictAction != ONCONFLICT_NONE && plan->onConflictAction != ONCONFLICT_NOTHING)
		elog(ERROR, "unexpected ON CONFLICT specification: %d", (int) plan->onConflictAction);
	if (plan->operation == CMD_INSERT)
		columns = modify_all_columns(relation);
	else if (plan->operation == CMD_UPDATE)
	{
		set = set_columns(root, rtindex, relation);
		columns = relation->trigdesc != NULL && relation->trigdesc->trig_update_before_row ?
			modify_all_columns(relation) : set;
	}
	table_close(relation, NoLock);
	return list_make3(columns, makeBoolean(plan->onConflictAction == ONCONFLICT_NOTHING), set);
}

/* INSERT, UPDATE and DELETE, unless option updatable says no. */
int
fdw_is_updatable(Relation relation)
{
	return !mongo_table_options(RelationGetRelid(relation))->updatable ? 0 :
		(1 << CMD_INSERT) | (1 << CMD_UPDATE) | (1 << CMD_DELETE);
}

/* Must the row be written, and read again, at once? */
bool
modify_is_immediate(ResultRelInfo *resultRelInfo, CmdType operation)
{
	TriggerDesc *triggers = resultRelInfo->ri_TrigDesc;

	return resultRelInfo->ri_projectReturning != NULL ||
		resultRelInfo->ri_returningList != NIL ||
		resultRelInfo->ri_WithCheckOptions != NIL ||
		(triggers != NULL &&
		 (operation == CMD_INSERT ?
		  triggers->trig_insert_before_row || triggers->trig_insert_after_row :
		  operation == CMD_UPDATE ?
		  triggers->trig_update_before_row || triggers->trig_update_after_row :
		  triggers->trig_delete_before_row || triggers->trig_delete_after_row));
}

/* Adds a line such as "MongoDB insert: orders", and with VERBOSE the size of the batches. */
void
fdw_explain_modify(ModifyTableState *mtstate, ResultRelInfo *resultRelInfo, List *private,
				   int subplan_index, struct ExplainState *es)
{
	MongoTableOptions *table = mongo_table_options(RelationGetRelid(resultRelInfo->ri_RelationDesc));

	ExplainPropertyText(mtstate->operation == CMD_INSERT ? "MongoDB insert" :
						mtstate->operation == CMD_UPDATE ? "MongoDB update" : "MongoDB delete",
						table->collection, es);
	if (es->verbose)
		ExplainPropertyInteger("Batch Size", NULL,
							   modify_is_immediate(resultRelInfo, mtstate->operation) ? 1 :
							   table->batch_size, es);
}

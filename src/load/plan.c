/*
 * plan.c
 *	  The rows of plan_target, with their columns, become a compiled plan.
 *
 * What a person may have got wrong in a plan is found here, before a document
 * is read: each error names the row of the plan and the statement that mends
 * it.  Everything that is made lives in the session's context.  Columns are
 * compiled by plan_column.c.
 */
#include "postgres.h"
#include "compat.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "error.h"
#include "load/load.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "owned.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/typcache.h"
#include "utils/varlena.h"

/* Finds a target among those read so far. */
static LoadTarget *
target_by_name(LoadSession *session, const char *name)
{
	for (int i = 0; i < session->ntargets; i++)
		if (strcmp(session->targets[i]->name, name) == 0)
			return session->targets[i];
	return NULL;
}

/* Extended JSON of a filter as a document owned by the session. */
static bson_t *
parse_filter(LoadSession *session, LoadTarget *target, const char *json)
{
	bson_error_t error;
	char	   *utf8 = pg_server_to_any(json, strlen(json), PG_UTF8);
	bson_t	   *filter = bson_new_from_json((const uint8_t *) utf8, -1, &error);

	if (filter == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the filter in the plan of table %s is not Extended JSON", target->name),
				 errdetail("%s", mongo_error_text(error.message))));
	return owned_bson(session->context, filter);
}

/* Reads plan_target. */
static void
read_targets(LoadSession *session)
{
	SPITupleTable *rows = collection_query(session, session->collection,
										   "SELECT target, parent, path, included, filter, nested_path,"
										   "       kind OPERATOR(pg_catalog.=) 'map'"
										   "  FROM mongo_migrate.plan_target"
										   " WHERE server OPERATOR(pg_catalog.=) $1"
										   "   AND collection OPERATOR(pg_catalog.=) $2"
										   " ORDER BY ordinal, target");
	int			nrows = rows->numvals;

	if (nrows == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("collection \"%s\" of server \"%s\" has no plan",
						session->collection, NameStr(session->server)),
				 errhint("Make one: SELECT mongo_migrate.plan_collection(%1$s, %2$s); and before it, where all its tables were deleted: "
						 "DELETE FROM mongo_migrate.plan WHERE (server, collection) = (%1$s, %2$s);",
						 quote_literal_cstr(NameStr(session->server)),
						 quote_literal_cstr(session->collection))));
	session->targets = MemoryContextAllocZero(session->context, nrows * sizeof(LoadTarget *));
	for (int row = 0; row < nrows; row++)
	{
		LoadTarget *target = MemoryContextAllocZero(session->context, sizeof(LoadTarget));
		char	   *parent = plan_value(session, rows, row, 2);
		char	   *filter = plan_value(session, rows, row, 5);

		target->name = plan_value(session, rows, row, 1);
		target->path = plan_value(session, rows, row, 3);
		target->included = plan_value(session, rows, row, 4)[0] == 't';
		target->nested_path = plan_value(session, rows, row, 6);
		target->is_map = plan_value(session, rows, row, 7)[0] == 't';
		if (parent != NULL)
		{
			target->parent = target_by_name(session, parent);
			if (target->parent == NULL)
				ereport(ERROR,
						(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						 errmsg("table %s stands before its parent %s in the plan", target->name, parent),
						 errhint("Give the parent the lower ordinal in mongo_migrate.plan_target.")));
		}
		else if (filter != NULL)
			target->filter = parse_filter(session, target, filter);
		session->targets[session->ntargets++] = target;
	}
}

/*
 * A target is of use when its rows are wanted or those of a child's.  Drops
 * the others.
 */
static void
drop_unused_targets(LoadSession *session)
{
	int			kept = 0;

	for (int i = 0; i < session->ntargets; i++)
	{
		bool		used = session->targets[i]->included;

		for (int j = i + 1; j < session->ntargets && !used; j++)
			for (LoadTarget *up = session->targets[j]->parent; up != NULL; up = up->parent)
				if (up == session->targets[i] && session->targets[j]->included)
					used = true;
		if (used)
			session->targets[kept++] = session->targets[i];
	}
	session->ntargets = kept;
	if (kept == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the plan of collection \"%s\" of server \"%s\" includes no table",
						session->collection, NameStr(session->server)),
				 errhint("UPDATE mongo_migrate.plan_target SET included = true WHERE (server, collection) = (%s, %s);",
						 quote_literal_cstr(NameStr(session->server)),
						 quote_literal_cstr(session->collection))));
}

/* Adds the target to the document plan; columns that it fills come first afterwards. */
static void
add_to_document_plan(LoadSession *session, LoadTarget *target)
{
	LoadColumn **columns = MemoryContextAlloc(session->context,
											  Max(target->ncolumns, 1) * sizeof(LoadColumn *));
	int			first = -1;

	if (target->parent != NULL)
	{
		target->table = document_plan_add_table(target->branch->plan, target->parent->table, target->path);
		if (target->is_map)
			document_plan_set_map(target->branch->plan, target->table);
	}
	for (int i = 0; i < target->ncolumns; i++)
	{
		LoadColumn *column = target->columns[i];
		int			number;

		if (column->role == COLUMN_PARENT)
			continue;
		number = column->role == COLUMN_POSITION || column->role == COLUMN_PARENT_POSITION ?
			document_plan_add_position(target->branch->plan, target->table,
									   column->role == COLUMN_PARENT_POSITION) :
			column->role == COLUMN_EXTRA ?
			document_plan_add_extra(target->branch->plan, target->table, column->converter) :
			document_plan_add_column(target->branch->plan, target->table, column->path,
									 column->converter);
		if (first < 0)
			first = number;
		columns[target->ndecoded++] = column;
	}
	target->first = Max(first, 0);
	for (int i = 0, next = target->ndecoded; i < target->ncolumns; i++)
		if (target->columns[i]->role == COLUMN_PARENT)
			columns[next++] = target->columns[i];
	target->columns = columns;
}

/* Opens the target's table, or says what is wrong with its name. */
static Relation
open_target(LoadSession *session, LoadTarget *target)
{
	RangeVar   *name = makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(target->name)));
	Relation	relation;

	target->relid = RangeVarGetRelid(name, RowExclusiveLock, true);
	if (!OidIsValid(target->relid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table %s, which the plan of collection \"%s\" of server \"%s\" fills, does not exist",
						target->name, session->collection, NameStr(session->server)),
				 errhint("Create it: SELECT mongo_migrate.apply_ddl(%s, %s);  or, if it has another name now: UPDATE mongo_migrate.plan_target SET target = '...' WHERE server = %s AND collection = %s AND target = %s;  or leave it out, with included = false there.",
						 quote_literal_cstr(NameStr(session->server)),
						 quote_literal_cstr(session->collection),
						 quote_literal_cstr(NameStr(session->server)),
						 quote_literal_cstr(session->collection),
						 quote_literal_cstr(target->name))));
	relation = table_open(target->relid, NoLock);
	switch (RelationGetForm(relation)->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_PARTITIONED_TABLE:
		case RELKIND_FOREIGN_TABLE:
		case RELKIND_VIEW:
			return relation;
		default:
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("%s, which the plan of collection \"%s\" of server \"%s\" fills, is not a table",
							target->name, session->collection, NameStr(session->server))));
	}
}

/*
 * A column of the table that the plan does not fill must be able to stay
 * empty.  Returns whether one of them has a default to be evaluated.
 */
static bool
check_unplanned(LoadTarget *target, Relation relation)
{
	TupleDesc	desc = RelationGetDescr(relation);
	bool		defaults = false;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		bool		planned = false;

		if (attribute->attisdropped)
			continue;
		for (int j = 0; j < target->ncolumns; j++)
			planned |= target->columns[j]->attnum == i + 1;
		if (planned)
			continue;
		if (attribute->atthasdef || attribute->attidentity || attribute->attgenerated ||
			get_typtype(attribute->atttypid) == TYPTYPE_DOMAIN)
			defaults = true;
		else if (attribute->attnotnull && relation->trigdesc == NULL &&
				 RelationGetForm(relation)->relkind != RELKIND_FOREIGN_TABLE)
			ereport(ERROR,
					(errcode(ERRCODE_NOT_NULL_VIOLATION),
					 errmsg("column \"%s\" of table %s is not null, has no default, and is not in the plan",
							NameStr(attribute->attname), target->name),
					 errhint("Plan it in mongo_migrate.plan_column, or give it a default: ALTER TABLE %s ALTER COLUMN %s SET DEFAULT ...;",
							 target->name, quote_identifier(NameStr(attribute->attname)))));
	}
	return defaults;
}

/*
 * Whether a cast to a column's type does what an assignment does.  It does not
 * where the function that fits a value to the length of the type asks which of
 * the two it is: a cast to varchar(10) cuts.
 */
static bool
cast_assigns(Form_pg_attribute attribute)
{
	Oid			function;

	return attribute->atttypmod < 0 ||
		find_typmod_coercion_function(attribute->atttypid, &function) != COERCION_PATH_FUNC ||
		get_func_nargs(function) < 3;
}

/*
 * Chooses the way in: straight through the table access method where nothing
 * but constraints and indexes stands between a row and its table, and every
 * value is of its column's very type, or a cast makes it so; an INSERT
 * statement otherwise.
 */
static bool
choose_direct(LoadTarget *target, Relation relation)
{
	if (target->distributed || !direct_possible(relation) ||
		pg_class_aclcheck(target->relid, GetUserId(), ACL_INSERT) != ACLCHECK_OK ||
		check_enable_rls(target->relid, InvalidOid, true) != RLS_NONE)
		return false;
	for (int i = 0; i < target->ncolumns; i++)
	{
		LoadColumn *column = target->columns[i];
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), column->attnum - 1);

		if (column_origin(column)->expression != NULL ?
			get_typtype(attribute->atttypid) == TYPTYPE_DOMAIN || !cast_assigns(attribute) :
			attribute->atttypid != column->type || attribute->atttypmod != column->typmod)
			return false;
	}
	return true;
}

/* Whether a value of a target's rows is the result of an expression. */
static bool
has_expression(LoadTarget *target)
{
	for (int i = 0; i < target->ncolumns; i++)
		if (column_origin(target->columns[i])->expression != NULL)
			return true;
	return false;
}

/* Describes the batch's rows of a target: the columns, then the document's number. */
static void
describe_rows(LoadSession *session, LoadTarget *target)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);

	target->desc = CreateTemplateTupleDesc(target->ncolumns + 1);
	for (int i = 0; i < target->ncolumns; i++)
		TupleDescInitEntry(target->desc, i + 1, psprintf("%d", i + 1),
						   target->columns[i]->type, target->columns[i]->typmod, 0);
	TupleDescInitEntry(target->desc, target->ncolumns + 1, "document", INT4OID, -1, 0);
	MemoryContextSwitchTo(old);
}

/*
 * Prepares a root for the question which documents have their row: by its
 * column of role id, if values of that can be compared.
 */
static void
compile_id(LoadSession *session, LoadTarget *target)
{
	for (int i = 0; i < target->ndecoded; i++)
		if (target->columns[i]->role == COLUMN_ID && target->id == NULL &&
			OidIsValid(lookup_type_cache(target->columns[i]->type, TYPECACHE_EQ_OPR)->eq_opr))
			target->id = target->columns[i];
	if (target->id == NULL || target->id->map != NULL)
		return;
	target->id_plan = document_plan_create(session->context, true);
	document_plan_add_table(target->id_plan, -1, NULL);
	document_plan_add_column(target->id_plan, 0, target->id->path, target->id->converter);
	document_plan_finish(target->id_plan);
}

/* The column by which Citus distributes a root, where that is another than its id. */
static LoadColumn *
find_place(LoadTarget *target)
{
	Oid			type = REGCLASSOID;
	Datum		value = ObjectIdGetDatum(target->relid);
	MemoryContext context = CurrentMemoryContext;
	char	   *name;

	SPI_execute_with_args("SELECT (mongo_migrate.citus_distribution($1)).column_name", 1, &type, &value, NULL, false, 0);
	MemoryContextSwitchTo(context); /* SPI leaves its own */
	name = SPI_getvalue(SPI_tuptable->vals[0], SPI_tuptable->tupdesc, 1);
	for (int i = 0; name != NULL && i < target->ncolumns; i++)
		if (strcmp(target->columns[i]->name, name) == 0 && target->columns[i] != target->id)
			return target->columns[i];
	return NULL;
}

/* Compiles a target with its columns. */
static void
compile_target(LoadSession *session, LoadTarget *target, SPITupleTable *rows)
{
	Relation	relation = target->included ? open_target(session, target) : NULL;
	bool		defaults;

	target_read_columns(session, target, relation, rows);
	add_to_document_plan(session, target);
	describe_rows(session, target);
	if (target->parent == NULL)
		compile_id(session, target);
	if (relation == NULL)
		return;
	defaults = check_unplanned(target, relation);
	target->distributed = table_distributed(target->relid);
	if (target->distributed && target->parent == NULL)
		target->place = find_place(target);
	target->direct = !defaults && choose_direct(target, relation);
	if (!target->direct)
		target_prepare_insert(session, target);
	else if (has_expression(target))
		target_prepare_select(session, target, RelationGetDescr(relation));
	table_close(relation, NoLock);
}

/*
 * Sorts the targets into branches by their roots' filters.  The only branch's
 * filter is the find's; of several, the find gives what any of them matches.
 */
static void
make_branches(LoadSession *session)
{
	bool		every = true;
	bson_t		any;

	session->branches = palloc(session->ntargets * sizeof(LoadBranch *));
	for (int i = 0; i < session->ntargets; i++)
	{
		LoadTarget *target = session->targets[i];
		LoadBranch *branch = target->parent != NULL ? target->parent->branch : NULL;

		for (int b = 0; b < session->nbranches && branch == NULL; b++)
			if (target->filter == NULL ? session->branches[b]->filter == NULL :
				session->branches[b]->filter != NULL &&
				bson_equal(target->filter, session->branches[b]->filter))
				branch = session->branches[b];
		if (branch == NULL)
		{
			branch = palloc0(sizeof(LoadBranch));
			branch->session = session;
			branch->filter = target->filter;
			branch->plan = document_plan_create(session->context, true);
			document_plan_add_table(branch->plan, -1, NULL);
			branch->by_table = palloc0((session->ntargets + 1) * sizeof(LoadTarget *));
			session->branches[session->nbranches++] = branch;
			every &= branch->filter != NULL;
		}
		target->branch = branch;
	}
	if (session->nbranches == 1)
	{
		session->filter = session->branches[0]->filter;
		session->branches[0]->filter = NULL;
	}
	else if (every)
	{
		session->filter = owned_bson_new(session->context);
		BSON_APPEND_ARRAY_BEGIN(session->filter, "$or", &any);
		for (int b = 0; b < session->nbranches; b++)
			bson_append_document(&any, psprintf("%d", b), -1, session->branches[b]->filter);
		bson_append_array_end(session->filter, &any);
	}
}

/* Compiles the session's plan; needs its server, collection and contexts. */
void
load_plan_compile(LoadSession *session)
{
	MemoryContext caller = CurrentMemoryContext;
	SPITupleTable *rows;

	SPI_connect();
	read_targets(session);
	drop_unused_targets(session);
	MemoryContextSwitchTo(session->context);
	make_branches(session);
	rows = plan_column_rows(session);
	for (int i = 0; i < session->ntargets; i++)
		compile_target(session, session->targets[i], rows);
	for (int i = 0; i < session->ntargets; i++)
	{
		LoadTarget *target = session->targets[i];
		LoadBranch *branch = target->branch;

		target->next_of_table = branch->by_table[target->table];
		branch->by_table[target->table] = target;
	}
	for (int i = 0; i < session->ntargets; i++)
		if (session->targets[i]->nested_path != NULL)
			document_plan_set_tree(session->targets[i]->branch->plan, session->targets[i]->table,
								   session->targets[i]->nested_path);
	drift_know_plan(session);
	for (int b = 0; b < session->nbranches; b++)
		document_plan_finish(session->branches[b]->plan);
	session->doc_plan = document_plan_create(session->context, true);
	document_plan_add_table(session->doc_plan, -1, NULL);
	document_plan_add_column(session->doc_plan, 0, "$",
							 converter_create(JSONBOID, -1, JSON_RELAXED, false));
	document_plan_finish(session->doc_plan);
	MemoryContextSwitchTo(caller);
	SPI_finish();
}

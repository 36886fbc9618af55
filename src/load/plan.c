/*
 * plan.c
 *	  The rows of plan_target and plan_column become a compiled plan.
 *
 * What a person may have got wrong in a plan is found here, before a document
 * is read: each error names the row of the plan and the statement that mends
 * it.  Everything that is made lives in the session's context.
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
#include "parser/parse_type.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/typcache.h"
#include "utils/varlena.h"

/* The columns of the query on plan_column. */
enum
{
	PLAN_TARGET = 1,
	PLAN_NAME,
	PLAN_ROLE,
	PLAN_PATH,
	PLAN_TYPE,
	PLAN_SOURCE_TYPE,
	PLAN_EXPRESSION,
	PLAN_PARENT_COLUMN,
	PLAN_REFERS_TO,
	PLAN_REFERS_KEY,
	PLAN_KEY_FORM,
	PLAN_ON_DANGLING
};

/* A value of a row in the session's context; NULL for null. */
static char *
plan_value(LoadSession *session, SPITupleTable *rows, int row, int column)
{
	char	   *value = SPI_getvalue(rows->vals[row], rows->tupdesc, column);

	return value == NULL ? NULL : MemoryContextStrdup(session->context, value);
}

/* "Let it be null: ALTER TABLE ...;", for a hint. */
char *
drop_not_null(LoadTarget *target, LoadColumn *column)
{
	return psprintf("Let it be null: ALTER TABLE %s ALTER COLUMN %s DROP NOT NULL;",
					target->name, quote_identifier(column->name));
}

/* "UPDATE mongo_migrate.plan_column SET ... WHERE ...", for a hint. */
char *
column_update(LoadSession *session, LoadTarget *target, LoadColumn *column, const char *set)
{
	return psprintf("UPDATE mongo_migrate.plan_column SET %s WHERE server = %s AND collection = %s AND target = %s AND column_name = %s;",
					set,
					quote_literal_cstr(NameStr(session->server)),
					quote_literal_cstr(session->collection),
					quote_literal_cstr(target->name),
					quote_literal_cstr(column->name));
}

/* errhint: mend the column's row of the plan. */
int
column_hint(LoadSession *session, LoadTarget *target, LoadColumn *column, const char *set)
{
	return errhint("Correct the plan: %s", column_update(session, target, column, set));
}

/* Reads a type's name from the plan; throws, naming the row, when there is no such type. */
static void
parse_type(LoadSession *session, LoadTarget *target, LoadColumn *column, const char *field,
		   const char *text, Oid *type, int32 *typmod)
{
	if (!MM_PARSE_TYPE(text, type, typmod))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type \"%s\" of column \"%s\" in the plan of table %s does not exist",
						text, column->name, target->name),
				 column_hint(session, target, column, psprintf("%s = '...'", field))));
}

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

/* The role as the plan spells it. */
static ColumnRole
parse_role(const char *role)
{
	static const char *const roles[] = {
		"id", "parent", "position", "parent_position", "key", "reference", "value", "extra"
	};

	for (int i = 0; i < lengthof(roles); i++)
		if (strcmp(role, roles[i]) == 0)
			return (ColumnRole) i;
	elog(ERROR, "unrecognized role \"%s\"", role);
}

/*
 * Chooses how the field of an id or of a reference becomes an id: through a
 * map, or as it is.  A reference by another field than _id has that field's
 * value.  type is the column's.
 */
static void
compile_key(LoadSession *session, LoadTarget *target, LoadColumn *column,
			const char *collection, const char *refers_key, const char *form, Oid type, int32 typmod)
{
	KeyForm		key_form = strcmp(form, "objectid_text") == 0 ? KEY_OBJECTID_TEXT :
		strcmp(form, "number_text") == 0 ? KEY_NUMBER_TEXT : KEY_EXACT;
	bool		by_id = strcmp(column->role == COLUMN_ID ? column->path : refers_key, "_id") == 0;
	JsonMode	json_mode = mongo_server_json_mode(session->serverid);

	if (by_id || column->role == COLUMN_ID)
		column->map = id_map_open(session, collection, column->role == COLUMN_REFERENCE);
	if (!by_id && column->map != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of table %s is planned by field \"%s\" of collection \"%s\", and ids are known by \"_id\" only",
						column->name, target->name, column->path, collection),
				 column_hint(session, target, column, "role = 'value'")));
	if (column->map != NULL)
	{
		column->type = id_map_type(column->map);
		column->typmod = -1;
		column->converter = converter_create_key(key_form);
		return;
	}
	column->type = getBaseTypeAndTypmod(type, &typmod);
	column->typmod = typmod;
	column->converter = converter_create(column->type, typmod, json_mode, !by_id);
	if (key_form != KEY_EXACT)
		column->converter = converter_create_from_text(key_form, column->converter);
}

/*
 * A type without domains, also as elements of an array: their constraints may
 * throw, which decode must not.  The table sees to them.
 */
static Oid
without_domains(Oid type, int32 *typmod)
{
	Oid			base = getBaseTypeAndTypmod(type, typmod);
	Oid			element = get_element_type(base);
	Oid			array = InvalidOid;

	if (OidIsValid(element) && get_typtype(element) == TYPTYPE_DOMAIN)
		array = get_array_type(getBaseTypeAndTypmod(element, typmod));
	return OidIsValid(array) ? array : base;
}

/* Reads row of plan_column's query; type is the column's in the table. */
static void
compile_column(LoadSession *session, LoadTarget *target, LoadColumn *column,
			   SPITupleTable *rows, int row, Oid type, int32 typmod)
{
	char	   *source_type = plan_value(session, rows, row, PLAN_SOURCE_TYPE);
	char	   *refers_to = plan_value(session, rows, row, PLAN_REFERS_TO);
	char	   *parent = plan_value(session, rows, row, PLAN_PARENT_COLUMN);
	JsonMode	json_mode = mongo_server_json_mode(session->serverid);

	if (column->expression != NULL && column->role != COLUMN_VALUE && column->role != COLUMN_ID)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of table %s has an expression, which only fields and ids can have",
						column->name, target->name),
				 column_hint(session, target, column, "expression = NULL")));

	switch (column->role)
	{
		case COLUMN_PARENT:
			for (int i = 0; i < target->parent->ncolumns; i++)
				if (strcmp(target->parent->columns[i]->name, parent) == 0)
					column->parent = target->parent->columns[i];
			if (column->parent == NULL)
				ereport(ERROR,
						(errcode(ERRCODE_UNDEFINED_COLUMN),
						 errmsg("the plan of table %s has no column \"%s\", which column \"%s\" of table %s takes its values from",
								target->parent->name, parent, column->name, target->name),
						 column_hint(session, target, column, "parent_column = '...'")));
			column->type = column->parent->type;
			column->typmod = column->parent->typmod;
			return;
		case COLUMN_POSITION:
		case COLUMN_PARENT_POSITION:
			column->type = INT4OID;
			column->typmod = -1;
			return;
		case COLUMN_EXTRA:
			column->type = getBaseTypeAndTypmod(type, &typmod);
			column->typmod = typmod;
			if (column->type != JSONBOID)
				ereport(ERROR,
						(errcode(ERRCODE_DATATYPE_MISMATCH),
						 errmsg("column \"%s\" of table %s, for fields that the plan does not know, must be of type jsonb",
								column->name, target->name),
						 column_hint(session, target, column, "type = 'jsonb'")));
			column->converter = converter_create(column->type, typmod, json_mode, true);
			return;
		case COLUMN_REFERENCE:
			column->refers_to = refers_to;
			column->refers_key = plan_value(session, rows, row, PLAN_REFERS_KEY);
			column->null_dangling = !column->not_null &&
				strcmp(plan_value(session, rows, row, PLAN_ON_DANGLING), "null") == 0;
			compile_key(session, target, column, refers_to, column->refers_key,
						plan_value(session, rows, row, PLAN_KEY_FORM), type, typmod);
			return;
		case COLUMN_ID:
		case COLUMN_KEY:
		case COLUMN_VALUE:
			if (column->expression != NULL && source_type != NULL)
				parse_type(session, target, column, "source_type", source_type, &type, &typmod);
			if (column->role == COLUMN_ID)
				compile_key(session, target, column, session->collection, "_id", "exact", type, typmod);
			else
			{
				column->type = without_domains(type, &typmod);
				column->typmod = typmod;
				column->converter = converter_create(column->type, typmod, json_mode, true);
				if (column->type == NUMERICOID || column->converter->element != NULL)
					session->rounding = lappend(session->rounding, column->converter);
			}
			return;
	}
}

/* Finds the attribute that a column of the plan fills; throws when there is none. */
static void
find_attribute(LoadSession *session, LoadTarget *target, LoadColumn *column, Relation relation,
			   Oid type, int32 typmod)
{
	char		relkind = RelationGetForm(relation)->relkind;
	Form_pg_attribute attribute;
	char	   *actual;
	char	   *planned;

	column->attnum = get_attnum(target->relid, column->name);
	if (column->attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("table %s has no column \"%s\", which the plan fills", target->name, column->name),
				 relkind == RELKIND_VIEW ? column_hint(session, target, column, "included = false") :
				 errhint("Add it: ALTER TABLE %s ADD COLUMN %s %s; or leave it out: %s",
						 target->name, quote_identifier(column->name),
						 format_type_with_typemod(type, typmod),
						 column_update(session, target, column, "included = false"))));
	attribute = TupleDescAttr(RelationGetDescr(relation), column->attnum - 1);
	if (attribute->attgenerated)
		ereport(ERROR,
				(errcode(ERRCODE_GENERATED_ALWAYS),
				 errmsg("column \"%s\" of table %s is generated and cannot be filled",
						column->name, target->name),
				 column_hint(session, target, column, "included = false")));
	actual = format_type_with_typemod(attribute->atttypid, attribute->atttypmod);
	planned = format_type_with_typemod(type, typmod);
	if (strcmp(actual, planned) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of table %s is of type %s, and the plan says %s",
						column->name, target->name, actual, planned),
				 relkind == RELKIND_VIEW || relkind == RELKIND_FOREIGN_TABLE ?
				 column_hint(session, target, column, psprintf("type = %s", quote_literal_cstr(actual))) :
				 errhint("Change the table: ALTER TABLE %s ALTER COLUMN %s TYPE %s USING %s::%s; or the plan: %s",
						 target->name, quote_identifier(column->name), planned,
						 quote_identifier(column->name),
						 format_type_with_typemod(type, -1),	/* a cast to a length
																 * cuts */
						 column_update(session, target, column,
									   psprintf("type = %s", quote_literal_cstr(actual))))));
	column->not_null = attribute->attnotnull;
}

typedef struct ColumnContext
{
	LoadTarget *target;
	LoadColumn *column;
} ColumnContext;

/* Error-context callback: names the column, for errors that cannot know it. */
static void
column_context(void *arg)
{
	ColumnContext *context = arg;

	errcontext("column \"%s\" in the plan of table %s", context->column->name, context->target->name);
}

/* Compiles the columns of a target from the rows of plan_column's query. */
static void
read_columns(LoadSession *session, LoadTarget *target, Relation relation, SPITupleTable *rows)
{
	target->columns = palloc0((rows->numvals + 1) * sizeof(LoadColumn *));
	for (int row = 0; row < rows->numvals; row++)
	{
		ErrorContextCallback callback;
		ColumnContext context;
		LoadColumn *column;
		char	   *text;
		Oid			type;
		int32		typmod;

		if (strcmp(plan_value(session, rows, row, PLAN_TARGET), target->name) != 0)
			continue;
		column = MemoryContextAllocZero(session->context, sizeof(LoadColumn));
		column->name = plan_value(session, rows, row, PLAN_NAME);
		column->role = parse_role(plan_value(session, rows, row, PLAN_ROLE));
		column->path = plan_value(session, rows, row, PLAN_PATH);
		column->expression = plan_value(session, rows, row, PLAN_EXPRESSION);
		text = plan_value(session, rows, row, PLAN_TYPE);

		parse_type(session, target, column, "type", text, &type, &typmod);
		if (relation != NULL)
			find_attribute(session, target, column, relation, type, typmod);
		if (target->parent == NULL &&
			(column->role == COLUMN_PARENT || column->role == COLUMN_POSITION ||
			 column->role == COLUMN_PARENT_POSITION || column->role == COLUMN_KEY))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("column \"%s\" of table %s has a role that only tables with a parent have",
							column->name, target->name),
					 column_hint(session, target, column, "role = 'value', path = '...'")));
		context.target = target;
		context.column = column;
		callback.arg = &context;
		callback.callback = column_context;
		callback.previous = error_context_stack;
		error_context_stack = &callback;
		compile_column(session, target, column, rows, row, type, typmod);
		error_context_stack = callback.previous;
		if (column->expression != NULL && relation != NULL)
			expression_check(session, target, column, type, typmod);
		target->columns[target->ncolumns++] = column;
	}
	if (target->ncolumns == 0 && target->included)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the plan of table %s has no columns", target->name)));
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
		number = column->role == COLUMN_POSITION ?
			document_plan_add_position(target->branch->plan, target->table) :
			column->role == COLUMN_PARENT_POSITION ?
			document_plan_add_parent_position(target->branch->plan, target->table) :
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
				 errhint("Create it: SELECT mongo_migrate.apply_ddl(%s, %s);  or leave it out: UPDATE mongo_migrate.plan_target SET included = false WHERE server = %s AND collection = %s AND target = %s;",
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

/* The column whose value stands in a column of a target: a parent's, where that is one. */
LoadColumn *
column_origin(LoadColumn *column)
{
	while (column->role == COLUMN_PARENT)
		column = column->parent;
	return column;
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

	read_columns(session, target, relation, rows);
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
	rows = collection_query(session, session->collection,
							"SELECT target, column_name, role, path, type, source_type, expression,"
							"       parent_column, refers_to, refers_key, key_form, on_dangling"
							"  FROM mongo_migrate.plan_column AS c"
							" WHERE server OPERATOR(pg_catalog.=) $1"
							"   AND collection OPERATOR(pg_catalog.=) $2 AND included"
	/* mongo_migrate.holds_ids(): such a reference is looked up after the load */
							"   AND NOT (role OPERATOR(pg_catalog.=) 'reference' AND refers_key OPERATOR(pg_catalog.<>) '_id' AND EXISTS ("
							"       SELECT FROM mongo_migrate.plan_column AS o"
							"        WHERE o.server OPERATOR(pg_catalog.=) c.server"
							"          AND o.collection OPERATOR(pg_catalog.=) c.collection"
							"          AND o.target OPERATOR(pg_catalog.=) c.target"
							"          AND o.path OPERATOR(pg_catalog.=) c.path AND o.included"
							"          AND o.role OPERATOR(pg_catalog.=) 'value' AND o.expression IS NULL))"
							" ORDER BY target, ordinal");
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

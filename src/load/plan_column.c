/*
 * plan_column.c
 *	  The rows of plan_column become compiled columns.
 *
 * What a person may have got wrong in one is found here, before a document is
 * read: each error names the row and the statement that mends it.
 */
#include "postgres.h"
#include "compat.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "load/load.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

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

/* The rows of plan_column that the load fills, those of a target in their order.  Needs an SPI connection. */
SPITupleTable *
plan_column_rows(LoadSession *session)
{
	return collection_query(session, session->collection,
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
}

/* A value of a row in the session's context; NULL for null. */
char *
plan_value(LoadSession *session, SPITupleTable *rows, int row, int column)
{
	char	   *value = SPI_getvalue(rows->vals[row], rows->tupdesc, column);

	return value == NULL ? NULL : MemoryContextStrdup(session->context, value);
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

/* Compiles the columns of a target from plan_column_rows(); relation: its table, or NULL. */
void
target_read_columns(LoadSession *session, LoadTarget *target, Relation relation, SPITupleTable *rows)
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

		if (strcmp(SPI_getvalue(rows->vals[row], rows->tupdesc, PLAN_TARGET), target->name) != 0)
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

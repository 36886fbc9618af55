/*
 * shippable_operand.c
 *	  What a condition is about: a column, or an expression of one column whose
 *	  values MongoDB can be asked for by the column's path.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/document_path.h"
#include "bson/objectid.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fdw/path.h"
#include "fdw/shippable.h"
#include "mb/pg_wchar.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

/* How values of a type compare. */
FilterForm
filter_type_form(Oid type)
{
	switch (type)
	{
		case BOOLOID:
			return FORM_BOOLEAN;
		case INT2OID:
		case INT4OID:
		case INT8OID:
			return FORM_INTEGER;
		case NUMERICOID:
			return FORM_NUMERIC;
		case FLOAT4OID:
			return FORM_FLOAT4;
		case FLOAT8OID:
			return FORM_FLOAT8;
		case TEXTOID:
		case VARCHAROID:
			return FORM_TEXT;
		case UUIDOID:
			return FORM_UUID;
		case DATEOID:
			return FORM_DATE;
		case TIMESTAMPOID:
			return FORM_TIMESTAMP;
		case TIMESTAMPTZOID:
			return FORM_TIMESTAMPTZ;
		default:
			return type == objectid_type() ? FORM_OBJECTID : FORM_NONE;
	}
}

/* An expression without the casts that leave its value as it is. */
Node *
filter_strip_casts(Node *node)
{
	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	return node;
}

/* The column of the relation that an expression is, or NULL. */
Var *
filter_column(RelOptInfo *rel, Node *node)
{
	Var		   *var = (Var *) filter_strip_casts(node);

	return IsA(var, Var) && var->varno == rel->relid && var->varlevelsup == 0 && var->varattno > 0 ?
		var : NULL;
}

/* Is it the function mongo_migrate.objectid_timestamp(mongo_migrate.objectid)? */
static bool
is_objectid_timestamp(Oid function)
{
	char	   *name = get_func_name(function);

	return name != NULL && strcmp(name, "objectid_timestamp") == 0 &&
		get_func_namespace(function) == get_namespace_oid("mongo_migrate", true);
}

/*
 * The argument of an expression that has a form of its own, and that form;
 * node itself, and FORM_NONE, for any other.
 */
static Node *
operand_argument(Node *node, FilterForm *form)
{
	node = filter_strip_casts(node);
	*form = FORM_NONE;
	if (IsA(node, CoerceViaIO))
	{
		CoerceViaIO *cast = (CoerceViaIO *) node;

		if (filter_type_form(cast->resulttype) != FORM_TEXT)
			return node;
		*form = FORM_OBJECTID_TEXT;
		return (Node *) cast->arg;
	}
	if (IsA(node, FuncExpr))
	{
		FuncExpr   *call = (FuncExpr *) node;

		if (!is_objectid_timestamp(call->funcid))
			return node;
		*form = FORM_OBJECTID_TIME;
		return linitial(call->args);
	}
	return node;
}

/* A constant that is not NULL, or NULL. */
static Const *
known_constant(Node *node)
{
	return IsA(node, Const) && !((Const *) node)->constisnull ? (Const *) node : NULL;
}

/*
 * Puts a key of a path in front of others.  A path of text takes what looks
 * like a number for a position in an array, in more ways than MongoDB knows.
 */
static bool
prepend_key(List **keys, const char *key, bool may_be_position)
{
	if (may_be_position && (isdigit((unsigned char) *key) || isspace((unsigned char) *key) ||
							*key == '-' || *key == '+') &&
		document_path_position(key) < 0)
		return false;
	*keys = lcons(unconstify(char *, key), *keys);
	return true;
}

/* Puts the keys of a text[] in front of others. */
static bool
prepend_path(List **keys, Const *path)
{
	Datum	   *datums;
	bool	   *nulls;
	int			ndatums;

	deconstruct_array(DatumGetArrayTypeP(path->constvalue), TEXTOID, -1, false, TYPALIGN_INT,
					  &datums, &nulls, &ndatums);
	for (int i = ndatums - 1; i >= 0; i--)
	{
		if (nulls[i] || !prepend_key(keys, TextDatumGetCString(datums[i]), true))
			return false;
	}
	return true;
}

/*
 * One step into a jsonb: an expression like column -> 'a', whose keys are put
 * in front of others.  NULL when it is none, or the key not known.
 */
static Node *
json_step(Node *node, List **keys, bool *as_text)
{
	Oid			function;
	List	   *args;
	Const	   *key;

	if (IsA(node, OpExpr))
	{
		function = get_opcode(((OpExpr *) node)->opno);
		args = ((OpExpr *) node)->args;
	}
	else if (IsA(node, FuncExpr))
	{
		function = ((FuncExpr *) node)->funcid;
		args = ((FuncExpr *) node)->args;
	}
	else
		return NULL;
	if (list_length(args) != 2 || (key = known_constant(lsecond(args))) == NULL)
		return NULL;

	*as_text = false;
	switch (function)
	{
		case F_JSONB_OBJECT_FIELD_TEXT:
			*as_text = true;
			/* FALLTHROUGH */
		case F_JSONB_OBJECT_FIELD:
			return prepend_key(keys, TextDatumGetCString(key->constvalue), false) ?
				linitial(args) : NULL;
		case F_JSONB_ARRAY_ELEMENT_TEXT:
			*as_text = true;
			/* FALLTHROUGH */
		case F_JSONB_ARRAY_ELEMENT:
			/* Position 0 of a scalar is the scalar itself. */
			return DatumGetInt32(key->constvalue) > 0 &&
				prepend_key(keys, psprintf("%d", DatumGetInt32(key->constvalue)), true) ?
				linitial(args) : NULL;
		case F_JSONB_EXTRACT_PATH_TEXT:
			*as_text = true;
			/* FALLTHROUGH */
		case F_JSONB_EXTRACT_PATH:
			return prepend_path(keys, key) ? linitial(args) : NULL;
		default:
			return NULL;
	}
}

/*
 * A new filter on a jsonb column, or on what is in it by constant keys; NULL
 * for another expression, and for a path that a match document cannot name.
 */
Filter *
json_operand_filter(ClauseContext *context, FilterKind kind, Node *node)
{
	List	   *keys = NIL;
	bool		as_text = false;
	Filter	   *filter;
	char	   *path;
	Var		   *var;
	Node	   *argument;
	bool		step_is_text;

	if (GetDatabaseEncoding() != PG_UTF8)
		return NULL;
	while ((argument = json_step(node, &keys, &step_is_text)) != NULL)
	{
		/* Text has no fields. */
		as_text |= step_is_text;
		node = argument;
	}
	var = filter_column(context->rel, node);
	if (var == NULL || getBaseType(var->vartype) != JSONBOID)
		return NULL;
	path = path_for_match_below(fdw_relation_path(context->relation, var->varattno), keys);
	if (path == NULL)
		return NULL;

	filter = palloc0(sizeof(Filter));
	filter->kind = kind;
	filter->path = path;
	filter->form = as_text ? FORM_JSON_TEXT : FORM_JSON;
	filter->json_mode = fdw_relation_json_mode(context->relation, var->varattno);
	return filter;
}

/*
 * A new filter on text in jsonb that is cast to a number, or NULL.  A cast
 * raises an error for values out of its range, which small types have many of,
 * and in canonical mode for every number.
 */
static Filter *
json_cast_filter(ClauseContext *context, FilterKind kind, Node *node)
{
	CoerceViaIO *cast = (CoerceViaIO *) node;
	Filter	   *filter;

	if (!IsA(node, CoerceViaIO) ||
		(cast->resulttype != INT4OID && cast->resulttype != INT8OID &&
		 cast->resulttype != NUMERICOID && cast->resulttype != FLOAT8OID))
		return NULL;
	filter = json_operand_filter(context, kind, (Node *) cast->arg);
	if (filter == NULL || filter->form != FORM_JSON_TEXT || filter->json_mode == JSON_CANONICAL)
		return NULL;
	filter->form = filter_type_form(cast->resulttype);
	filter->cast_type = cast->resulttype;
	return filter;
}

/* A new filter on an array column, with the form of its elements; or NULL. */
Filter *
array_operand_filter(ClauseContext *context, FilterKind kind, Node *node)
{
	Var		   *var = filter_column(context->rel, node);
	Oid			element = var == NULL ? InvalidOid : get_element_type(getBaseType(var->vartype));
	Filter	   *filter = OidIsValid(element) ? operand_filter(context, kind, node) : NULL;

	if (filter == NULL)
		return NULL;
	filter->form = filter_type_form(getBaseType(element));
	return filter->form == FORM_NONE ? NULL : filter;
}

/* A new filter on what node computes from a column, or NULL; see shippable.h. */
Filter *
operand_filter(ClauseContext *context, FilterKind kind, Node *node)
{
	FilterForm	form;
	FilterForm	column_form;
	Filter	   *filter;
	char	   *path;
	Var		   *var = filter_column(context->rel, operand_argument(node, &form));

	if (var == NULL)
	{
		filter = json_cast_filter(context, kind, node);
		if (filter == NULL)
			filter = json_operand_filter(context, kind, node);
		return filter == NULL || *filter->path == '\0' ? NULL : filter;
	}
	column_form = filter_type_form(getBaseType(var->vartype));
	if (form != FORM_NONE && column_form != FORM_OBJECTID)
		return NULL;
	path = path_for_match(fdw_relation_path(context->relation, var->varattno));
	if (path == NULL)
		return NULL;

	filter = palloc0(sizeof(Filter));
	filter->kind = kind;
	filter->path = path;
	filter->form = form == FORM_NONE ? column_form : form;
	return filter;
}

/* The path that an expression of a column is about, or NULL. */
const char *
filter_operand_path(PlannerInfo *root, RelOptInfo *rel, Node *node)
{
	List	   *comparands = NIL;
	ClauseContext context = {root, rel, rel->fdw_private, &comparands};
	Filter	   *filter = operand_filter(&context, FILTER_COMPARE, node);

	return filter == NULL ? NULL : filter->path;
}

/* As what a form is compared. */
FilterForm
operand_compared_form(FilterForm form)
{
	switch (form)
	{
		case FORM_OBJECTID_TEXT:
		case FORM_JSON_TEXT:
			return FORM_TEXT;
		case FORM_OBJECTID_TIME:
			return FORM_TIMESTAMPTZ;
		default:
			return form;
	}
}

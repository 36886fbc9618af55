/*
 * shippable_operand.c
 *	  What a condition is about: a column, or an expression of one column whose
 *	  values MongoDB can be asked for by the column's path.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/objectid.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "fdw/path.h"
#include "fdw/shippable.h"
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

/* The column of our relation that node is, or NULL. */
static Var *
operand_column(ClauseContext *context, Node *node)
{
	Var		   *var;

	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
	if (!IsA(node, Var))
		return NULL;
	var = (Var *) node;
	return var->varno == context->rel->relid && var->varlevelsup == 0 && var->varattno > 0 ?
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
	while (IsA(node, RelabelType))
		node = (Node *) ((RelabelType *) node)->arg;
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

/* A new filter on what node computes from a column, or NULL; see shippable.h. */
Filter *
operand_filter(ClauseContext *context, FilterKind kind, Node *node)
{
	FilterForm	form;
	FilterForm	column_form;
	Filter	   *filter;
	char	   *path;
	Var		   *var = operand_column(context, operand_argument(node, &form));

	if (var == NULL)
		return NULL;
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

/* As what a form is compared. */
FilterForm
operand_compared_form(FilterForm form)
{
	switch (form)
	{
		case FORM_OBJECTID_TEXT:
			return FORM_TEXT;
		case FORM_OBJECTID_TIME:
			return FORM_TIMESTAMPTZ;
		default:
			return form;
	}
}

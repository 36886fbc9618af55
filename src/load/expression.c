/*
 * expression.c
 *	  Whether an expression of the plan can be evaluated, before a document is.
 *
 * How it is evaluated is in statement.c.
 */
#include "postgres.h"
#include "compat.h"

#include "executor/spi.h"
#include "load/load.h"
#include "nodes/parsenodes.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/plancache.h"

/* Throws an error of parsing an expression as one of the plan. */
static void
throw_bad_expression(LoadSession *session, LoadTarget *target, LoadColumn *column,
					 ErrorData *error)
{
	ereport(ERROR,
			(errcode(error->sqlerrcode),
			 errmsg("the expression of column \"%s\" in the plan of table %s cannot be used: %s",
					column->name, target->name, error->message),
			 error->detail == NULL ? 0 : errdetail("%s", error->detail),
			 column_hint(session, target, column, "expression = '...'")));
}

/*
 * Checks that an expression parses and gives one value of a type that the
 * column can take; type and typmod are the column's.  What an assignment
 * would refuse is cast, because a cast to such a type fails rather than cuts.
 */
void
expression_check(LoadSession *session, LoadTarget *target, LoadColumn *column,
				 Oid type, int32 typmod)
{
	MemoryContext context = CurrentMemoryContext;
	SPIPlanPtr volatile plan = NULL;
	StringInfoData sql;
	CachedPlanSource *source;
	Oid			result;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT (%s\n) FROM (SELECT NULL::%s AS value, NULL::pg_catalog.jsonb AS doc) AS source",
					 column->expression, full_type_name(column->type, column->typmod));
	PG_TRY();
	{
		plan = SPI_prepare(sql.data, 0, NULL);
		MemoryContextSwitchTo(context); /* SPI leaves its own */
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION &&
			ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_FEATURE_NOT_SUPPORTED &&
			ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		FlushErrorState();
		throw_bad_expression(session, target, column, error);
	}
	PG_END_TRY();

	source = linitial(SPI_plan_get_plan_sources(plan));
	if (list_length(SPI_plan_get_plan_sources(plan)) != 1 || source->resultDesc == NULL ||
		source->resultDesc->natts != 1 ||
		linitial_node(Query, source->query_list)->hasTargetSRFs)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("the expression of column \"%s\" in the plan of table %s is not one value",
						column->name, target->name),
				 column_hint(session, target, column, "expression = '...'")));
	result = TupleDescAttr(source->resultDesc, 0)->atttypid;
	SPI_freeplan(plan);
	if (!can_coerce_type(1, &result, &type, COERCION_ASSIGNMENT))
	{
		if (!can_coerce_type(1, &result, &type, COERCION_EXPLICIT))
			ereport(ERROR,
					(errcode(ERRCODE_CANNOT_COERCE),
					 errmsg("the expression of column \"%s\" in the plan of table %s is of type %s, which cannot become %s",
							column->name, target->name, format_type_be(result),
							format_type_with_typemod(type, typmod)),
					 column_hint(session, target, column, "expression = '...'")));
		column->cast = MemoryContextStrdup(session->context, full_type_name(type, typmod));
	}
}

/*
 * check.c
 *	  Whether what a person wrote into a plan means something to PostgreSQL.
 *
 * Types and expressions of a plan are text.  They are parsed and analysed here,
 * never run.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/convert.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(mm_canonical_type);
PG_FUNCTION_INFO_V1(mm_check_bson_type);
PG_FUNCTION_INFO_V1(mm_is_hashable);
PG_FUNCTION_INFO_V1(mm_check_expression);

/* Parses an argument that is a type. */
static Oid
parse_type_argument(text *argument, int32 *typmod)
{
	char	   *name = text_to_cstring(argument);
	Oid			type;

	if (!MM_PARSE_TYPE(name, &type, typmod))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type \"%s\" does not exist", name)));
	return type;
}

/* The name of a type that is an argument, the full one if so asked. */
static char *
type_argument(text *argument, bool full)
{
	int32		typmod;
	Oid			type = parse_type_argument(argument, &typmod);

	return format_type_extended(type, typmod, FORMAT_TYPE_TYPEMOD_GIVEN |
								(full ? FORMAT_TYPE_FORCE_QUALIFY : 0));
}

/* canonical_type(type text) returns text: as format_type() prints it */
Datum
mm_canonical_type(PG_FUNCTION_ARGS)
{
	PG_RETURN_TEXT_P(cstring_to_text(type_argument(PG_GETARG_TEXT_PP(0), false)));
}

/* check_bson_type(type text): throws for a type that no BSON value can become. */
Datum
mm_check_bson_type(PG_FUNCTION_ARGS)
{
	int32		typmod;
	Oid			type = parse_type_argument(PG_GETARG_TEXT_PP(0), &typmod);

	converter_create(type, typmod, JSON_RELAXED, false);
	PG_RETURN_VOID();
}

/*
 * is_hashable(type text) returns boolean: whether values of the type have a hash
 * that is the same in all databases.  That of an enum's is of the OID of a label.
 */
Datum
mm_is_hashable(PG_FUNCTION_ARGS)
{
	int32		typmod;
	Oid			type = parse_type_argument(PG_GETARG_TEXT_PP(0), &typmod);
	Oid			element = get_base_element_type(type);

	PG_RETURN_BOOL(OidIsValid(lookup_type_cache(type, TYPECACHE_HASH_PROC)->hash_proc) &&
				   get_typtype(getBaseType(OidIsValid(element) ? element : type)) != TYPTYPE_ENUM);
}

/*
 * check_expression(expression, source_type, type, has_doc, of_column): throws
 * what PostgreSQL says of an expression over value, of the source type, and maybe
 * doc, whose result has to become type.  Without a source type there is no value,
 * as in a default.  What is of a column, its default or check, names that instead
 * of value, and has no subquery.
 */
Datum
mm_check_expression(PG_FUNCTION_ARGS)
{
	char	   *expression;
	char	   *type;
	StringInfoData sql;
	SPIPlanPtr	plan;
	CachedPlanSource *source;
	Query	   *query;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(2))
		PG_RETURN_VOID();
	expression = text_to_cstring(PG_GETARG_TEXT_PP(0));
	type = type_argument(PG_GETARG_TEXT_PP(2), true);

	initStringInfo(&sql);
	/* A comment at its end would take what follows in the DDL of a table. */
	appendStringInfo(&sql, "SELECT CAST((%s%s) AS %s)", expression, PG_ARGISNULL(4) ? "\n" : "", type);
	if (!PG_ARGISNULL(1))
		appendStringInfo(&sql, " FROM (SELECT NULL::%s AS %s%s) AS source",
						 type_argument(PG_GETARG_TEXT_PP(1), true),
						 PG_ARGISNULL(4) ? "value" : quote_identifier(NameStr(*PG_GETARG_NAME(4))),
						 PG_GETARG_BOOL(3) ? ", NULL::pg_catalog.jsonb AS doc" : "");
	SPI_connect();
	plan = SPI_prepare(sql.data, 0, NULL);
	if (plan == NULL)
		elog(ERROR, "SPI_prepare failed: %s", SPI_result_code_string(SPI_result));
	source = linitial(SPI_plan_get_plan_sources(plan));
	query = list_length(SPI_plan_get_plan_sources(plan)) != 1 || source->resultDesc == NULL ||
		source->resultDesc->natts != 1 ? NULL : linitial_node(Query, source->query_list);
	if (query == NULL || query->hasTargetSRFs)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("it is not one value")));
	if (!PG_ARGISNULL(4) && (query->hasSubLinks || query->hasAggs || query->hasWindowFuncs))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("it has a subquery, an aggregate or a window function, which a table cannot have here")));
	SPI_finish();
	PG_RETURN_VOID();
}

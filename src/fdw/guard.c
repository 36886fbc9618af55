/*
 * guard.c
 *	  Which documents can surely be decoded, as MongoDB can tell.
 *
 * A scan raises an error for a document whose column cannot be decoded, though
 * a filter may match it: [7] matches {$gt: 5}, and so does 7.5.  A command that
 * MongoDB carries out by itself must not touch such a document, nor pass it
 * over in silence.  So the documents that match are split in two: those that
 * pass a guard for each column, and the odd ones.  Where there is an odd one,
 * it is for the caller to have a look at all of them.
 *
 * A guard lets through what surely decodes, not all that does: 7.0 decodes as
 * an integer, but MongoDB cannot tell it from 7.5.
 *
 * With guards, equality of text is exact, too.  What is not a string but becomes
 * that text is either an ObjectId, of which there is just one, or odd.
 */
#include "postgres.h"
#include "compat.h"

#include "access/sysattr.h"
#include "bson/convert.h"
#include "catalog/pg_type.h"
#include "fdw/guard.h"
#include "fdw/match.h"
#include "fdw/path.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#define MAX_TYPES 4

/* Types of BSON whose values a column takes, or some of them. */
typedef struct GuardType
{
	FilterForm	form;
	bool		only_equal;		/* not all values: only known ones */
	const char *types[MAX_TYPES];
} GuardType;

static const GuardType guard_types[] = {
	{FORM_BOOLEAN, false, {"bool"}},
	{FORM_INTEGER, false, {"int", "long"}},
	{FORM_NUMERIC, false, {"int", "long", "double", "decimal"}},
	{FORM_OBJECTID, false, {"objectId"}},
	{FORM_TIMESTAMP, false, {"date"}},
	{FORM_TIMESTAMPTZ, false, {"date"}},
	{FORM_DATE, true, {"date"}},
	{FORM_TEXT, true, {"string", "objectId"}},
	{FORM_UUID, true, {"binData"}},
};

static const GuardType *
find_type(Oid type)
{
	for (int i = 0; i < lengthof(guard_types); i++)
	{
		if (guard_types[i].form == filter_type_form(type))
			return &guard_types[i];
	}
	return NULL;
}

/* Milliseconds since 1970 of a timestamp of whole milliseconds. */
static int64
timestamp_ms(Timestamp timestamp)
{
	return timestamp / 1000 + BSON_EPOCH_MS;
}

/* The least and the greatest value of a type, where BSON's are beyond; else false. */
static bool
type_bounds(Oid type, bson_value_t **least, bson_value_t **greatest)
{
	switch (type)
	{
		case INT2OID:
			*least = value_integer(PG_INT16_MIN);
			*greatest = value_integer(PG_INT16_MAX);
			return true;
		case INT4OID:
			*least = value_integer(PG_INT32_MIN);
			*greatest = value_integer(PG_INT32_MAX);
			return true;
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			*least = value_date(timestamp_ms(MIN_TIMESTAMP));
			*greatest = value_date(timestamp_ms(END_TIMESTAMP - 1000));
			return true;
		default:
			return false;
	}
}

/*
 * Does a condition leave values that the column takes?  A date takes midnights,
 * and may be equal to a timestamp that is none.
 */
static bool
is_equality(const Filter *filter)
{
	if (filter->kind != FILTER_ANY &&
		!(filter->kind == FILTER_COMPARE && filter->strategy == BTEqualStrategyNumber))
		return false;
	return filter->form != FORM_DATE || filter->comparand_type == DATEOID;
}

/* What a condition that all documents must meet says of its column, if it does. */
static void
note_condition(const Filter *filter, List *guards)
{
	ListCell   *lc;

	foreach(lc, guards)
	{
		Guard	   *guard = lfirst(lc);
		GuardKind	kind = GUARD_ANY;

		if (filter->path == NULL || strcmp(guard->path, filter->path) != 0)
			continue;
		if (filter->kind == FILTER_NULL)
			kind = GUARD_NULL;
		else if (is_equality(filter))
			kind = GUARD_EQUAL;
		else if (filter->kind == FILTER_COMPARE && filter->strategy != STRATEGY_NOT_EQUAL)
			kind = GUARD_VALUE;
		guard->kind = Max(guard->kind, kind);
	}
}

/* A guard for a column; NULL where its type is not as plain as those of guard_types. */
static Guard *
guard_for_column(FdwRelation *relation, AttrNumber attnum)
{
	Guard	   *guard = palloc0(sizeof(Guard));
	int32		typmod;
	Oid			collation;

	guard->path = path_for_match(fdw_relation_path(relation, attnum));
	get_atttypetypmodcoll(relation->relid, attnum, &guard->type, &typmod, &collation);
	if (guard->path == NULL || PATH_IS_NESTED(guard->path) || typmod >= 0 ||
		find_type(guard->type) == NULL)
		return NULL;
	return guard;
}

/* The guards for restrictions; see guard.h. */
bool
guards_for_restrictions(PlannerInfo *root, RelOptInfo *rel, AttrNumber id_column, List **guards)
{
	Bitmapset  *columns = bms_make_singleton(id_column - FirstLowInvalidHeapAttributeNumber);
	List	   *filters = NIL;
	List	   *comparands = NIL;
	int			member = -1;
	ListCell   *lc;

	foreach(lc, rel->baserestrictinfo)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		Filter	   *filter = filter_from_clause(root, rel, rinfo->clause, &comparands);

		if (rinfo->pseudoconstant || filter == NULL || !filter_is_exact_of_decoded(filter))
			return false;
		filters = lappend(filters, filter);
		pull_varattnos((Node *) rinfo->clause, rel->relid, &columns);
	}

	*guards = NIL;
	while ((member = bms_next_member(columns, member)) >= 0)
	{
		AttrNumber	attnum = member + FirstLowInvalidHeapAttributeNumber;
		Guard	   *guard = attnum <= 0 ? NULL : guard_for_column(rel->fdw_private, attnum);

		if (guard == NULL)
			return false;
		*guards = lappend(*guards, guard);
	}
	foreach(lc, filters)
		note_condition(lfirst(lc), *guards);
	foreach(lc, *guards)
	{
		Guard	   *guard = lfirst(lc);

		if (find_type(guard->type)->only_equal && guard->kind < GUARD_EQUAL)
			return false;
	}
	return true;
}

/* Must strings be compared byte by byte? */
bool
guards_need_simple_collation(List *guards)
{
	ListCell   *lc;

	foreach(lc, guards)
	{
		if (filter_type_form(((Guard *) lfirst(lc))->type) == FORM_TEXT)
			return true;
	}
	return false;
}

/* Adds what a document has to match to pass a guard, and what it must not match. */
static void
add_conditions(const Guard *guard, List **positive, List **negative)
{
	const GuardType *type = find_type(guard->type);
	bool		is_id = PATH_IS_ID(guard->path);
	List	   *names = NIL;
	bson_value_t *least;
	bson_value_t *greatest;
	bson_t	   *match;

	/* Arrays match by their elements; an _id is none. */
	if (!is_id)
		*negative = lappend(*negative, match_type(guard->path, "array"));
	if (guard->kind == GUARD_NULL)
		return;

	for (int i = 0; i < MAX_TYPES && type->types[i] != NULL; i++)
		names = lappend(names, value_string(type->types[i]));
	if (guard->kind == GUARD_ANY)
		names = lappend(names, value_string("null"));
	match = match_list(guard->path, "$type", names);
	if (guard->kind == GUARD_ANY && !is_id)
		match = match_one_of(list_make2(match_operator(guard->path, "$exists", value_boolean(false)),
										match));
	*positive = lappend(*positive, match);
	if (type_bounds(guard->type, &least, &greatest))
	{
		*negative = lappend(*negative, match_operator(guard->path, "$lt", least));
		*negative = lappend(*negative, match_operator(guard->path, "$gt", greatest));
	}
}

/* The documents that match, in two; see guard.h. */
void
guards_to_bson(List *guards, bson_t *match, bson_t **safe, bson_t **odd)
{
	List	   *positive = NIL;
	List	   *negative = NIL;
	List	   *failures;
	ListCell   *lc;

	foreach(lc, guards)
		add_conditions(lfirst(lc), &positive, &negative);
	failures = list_copy(negative);
	if (positive != NIL)
		failures = lappend(failures, match_none_of(list_make1(match_all_of(positive))));
	*odd = match_all_of(list_make2(match, match_one_of(failures)));
	if (negative != NIL)
		positive = lappend(positive, match_none_of(negative));
	*safe = match_all_of(lcons(match, positive));
}

/* Guards as a list that a plan can carry. */
List *
guards_save(List *guards)
{
	List	   *saved = NIL;
	ListCell   *lc;

	foreach(lc, guards)
	{
		Guard	   *guard = lfirst(lc);

		saved = lappend(saved, list_make3(makeInteger(guard->kind), makeString(guard->path),
										  makeInteger((int) guard->type)));
	}
	return saved;
}

/* The guards from such a list. */
List *
guards_load(List *saved)
{
	List	   *guards = NIL;
	ListCell   *lc;

	foreach(lc, saved)
	{
		List	   *fields = lfirst(lc);
		Guard	   *guard = palloc0(sizeof(Guard));

		guard->kind = intVal(linitial(fields));
		guard->path = strVal(lsecond(fields));
		guard->type = (Oid) intVal(lthird(fields));
		guards = lappend(guards, guard);
	}
	return guards;
}

/*
 * groupkey.c
 *	  Expressions of a column that groups are by, and as MongoDB computes them.
 *
 * These are date_trunc(), extract(), date_part() and a cast to date of a
 * timestamp, or of a timestamptz where times are UTC: by a constant time zone, or
 * by that of the session, which is looked at again when the query is executed.
 * For years from 1 to 9999 both worlds have the same calendar.
 */
#include "postgres.h"
#include "compat.h"

#include "catalog/pg_type.h"
#include "fdw/group.h"
#include "fdw/match.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/timestamp.h"

/* How a key is computed, by the first argument of the function. */
typedef struct NamedKey
{
	const char *name;
	GroupKey	key;
} NamedKey;

/* Units of date_trunc() and $dateTrunc; the planner counts on twenty years of them. */
static const NamedKey units[] = {
	{"second", {"$dateTrunc", "second", false, 6e8}},
	{"minute", {"$dateTrunc", "minute", false, 1e7}},
	{"hour", {"$dateTrunc", "hour", false, 175000}},
	{"day", {"$dateTrunc", "day", false, 7300}},
	{"week", {"$dateTrunc", "week", false, 1040}},
	{"month", {"$dateTrunc", "month", false, 240}},
	{"quarter", {"$dateTrunc", "quarter", false, 80}},
	{"year", {"$dateTrunc", "year", false, 20}},
	{NULL}
};

/* Fields of extract(), where they are whole numbers. */
static const NamedKey parts[] = {
	{"year", {"$year", "", false, 20}},
	{"month", {"$month", "", false, 12}},
	{"day", {"$dayOfMonth", "", false, 31}},
	{"hour", {"$hour", "", false, 24}},
	{"minute", {"$minute", "", false, 60}},
	{"isodow", {"$isoDayOfWeek", "", false, 7}},
	{"doy", {"$dayOfYear", "", false, 366}},
	{"week", {"$isoWeek", "", false, 53}},
	{NULL}
};

/* Is it a name of UTC? */
static bool
zone_is_utc(const char *zone)
{
	return pg_strcasecmp(zone, "UTC") == 0 || pg_strcasecmp(zone, "GMT") == 0 ||
		pg_strcasecmp(zone, "Etc/UTC") == 0;
}

/* Are the session's times UTC? */
bool
group_session_is_utc(void)
{
	return zone_is_utc(pg_get_timezone_name(session_timezone));
}

/* The text that a constant is, or NULL. */
static const char *
constant_text(Node *node)
{
	Const	   *constant = (Const *) node;

	return IsA(node, Const) && constant->consttype == TEXTOID && !constant->constisnull ?
		TextDatumGetCString(constant->constvalue) : NULL;
}

/* Is it a constant that names UTC? */
static bool
is_utc(Node *node)
{
	const char *zone = constant_text(node);

	return zone != NULL && zone_is_utc(zone);
}

/* Takes a unit of date_trunc(), or a field of extract(); false where there is no such. */
static bool
take_named(GroupKey *key, const NamedKey *named, const char *name)
{
	for (; name != NULL && named->name != NULL; named++)
	{
		if (strcmp(named->name, name) != 0)
			continue;
		*key = named->key;
		return true;
	}
	return false;
}

/* The column of a time, or what is computed from one in UTC without changing it. */
static Node *
time_argument(Node *node, GroupKey *key, bool zoned)
{
	FuncExpr   *call = (FuncExpr *) node;

	if (IsA(node, FuncExpr) && call->funcid == F_TIMEZONE_TEXT_TIMESTAMPTZ)
		return is_utc(linitial(call->args)) ? lsecond(call->args) : NULL;
	key->utc = zoned;
	return node;
}

/*
 * What a key is computed from: a time, for an expression that MongoDB can
 * compute; else NULL.
 */
Node *
group_key_argument(Node *node, GroupKey *key)
{
	FuncExpr   *call = (FuncExpr *) node;

	if (!IsA(node, FuncExpr))
		return NULL;
	switch (call->funcid)
	{
		case F_DATE_TRUNC_TEXT_TIMESTAMP:
		case F_DATE_TRUNC_TEXT_TIMESTAMPTZ:
			return take_named(key, units, constant_text(linitial(call->args))) ?
				time_argument(lsecond(call->args), key,
							  call->funcid == F_DATE_TRUNC_TEXT_TIMESTAMPTZ) : NULL;
		case F_DATE_TRUNC_TEXT_TIMESTAMPTZ_TEXT:
			return take_named(key, units, constant_text(linitial(call->args))) &&
				is_utc(lthird(call->args)) ? lsecond(call->args) : NULL;
		case F_EXTRACT_TEXT_TIMESTAMP:
		case F_EXTRACT_TEXT_TIMESTAMPTZ:
		case F_DATE_PART_TEXT_TIMESTAMP:
		case F_DATE_PART_TEXT_TIMESTAMPTZ:
			return take_named(key, parts, constant_text(linitial(call->args))) ?
				time_argument(lsecond(call->args), key,
							  call->funcid == F_EXTRACT_TEXT_TIMESTAMPTZ ||
							  call->funcid == F_DATE_PART_TEXT_TIMESTAMPTZ) : NULL;
		case F_DATE_TIMESTAMP:
		case F_DATE_TIMESTAMPTZ:
			take_named(key, units, "day");
			return time_argument(linitial(call->args), key, call->funcid == F_DATE_TIMESTAMPTZ);
		default:
			return NULL;
	}
}

/* A date whose calendar is the same in both worlds? */
bool
group_date_is_plain(int64 milliseconds)
{
	return milliseconds >= FIRST_PLAIN_DATE && milliseconds < LAST_PLAIN_DATE;
}

/*
 * The expression for a key.  It is null for what is no date, which the facts
 * about the column tell.
 */
bson_value_t *
group_key_value(const GroupColumn *key)
{
	bson_value_t *field = value_string(psprintf("$%s", key->path));
	bson_t	   *plain;
	bson_t	   *call;

	if (*key->operator == '\0')
		return field;
	plain = match_combine("$and", list_make2(match_values("$gte", list_make2(field, value_date(FIRST_PLAIN_DATE))),
											 match_values("$lt", list_make2(field, value_date(LAST_PLAIN_DATE)))));
	if (*key->unit == '\0')
		call = match_value(key->operator, field);
	else
	{
		bson_t	   *arguments = match_value("date", field);

		BCON_APPEND(arguments, "unit", BCON_UTF8(key->unit));
		/* As the weeks of ISO 8601; other units have no such start. */
		if (strcmp(key->unit, "week") == 0)
			BCON_APPEND(arguments, "startOfWeek", "monday");
		call = match_value(key->operator, value_document(arguments));
	}
	return value_document(match_values("$cond", list_make3(value_document(plain), value_document(call),
														   value_new(BSON_TYPE_NULL))));
}

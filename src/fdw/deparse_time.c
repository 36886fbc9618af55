/*
 * deparse_time.c
 *	  Comparisons with dates and times as match documents.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/convert.h"
#include "catalog/pg_type.h"
#include "fdw/deparse.h"
#include "fdw/match.h"
#include "utils/date.h"
#include "utils/timestamp.h"

/* A timestamp in milliseconds since 1970, rounded down; *rest is what was cut. */
static int64
timestamp_to_ms(Timestamp timestamp, int *rest)
{
	int64		ms;

	*rest = 0;
	if (TIMESTAMP_IS_NOBEGIN(timestamp))
		return PG_INT64_MIN;
	if (TIMESTAMP_IS_NOEND(timestamp))
		return PG_INT64_MAX;
	ms = timestamp / 1000;
	*rest = timestamp % 1000;
	if (*rest < 0)
	{
		*rest += 1000;
		ms--;
	}
	return ms + BSON_EPOCH_MS;
}

/* Is the column's time that of a time zone? */
static bool
has_time_zone(const Filter *filter)
{
	return filter->form == FORM_TIMESTAMPTZ || filter->form == FORM_OBJECTID_TIME;
}

/*
 * A comparand of a timestamp or date column as a timestamp of the column's
 * kind; a date column has midnights, UTC.  What is out of range becomes
 * infinite, as the operators of PostgreSQL have it.
 */
static Timestamp
timestamp_comparand(const Filter *filter, Datum datum)
{
	int			overflow;

	switch (filter->comparand_type)
	{
		case DATEOID:
			return has_time_zone(filter) ?
				date2timestamptz_opt_overflow(DatumGetDateADT(datum), &overflow) :
				date2timestamp_opt_overflow(DatumGetDateADT(datum), &overflow);
		case TIMESTAMPOID:
			return has_time_zone(filter) ?
				timestamp2timestamptz_opt_overflow(DatumGetTimestamp(datum), &overflow) :
				DatumGetTimestamp(datum);
		default:
			return DatumGetTimestampTz(datum);
	}
}

/* column < timestamp, ... */
bson_t *
match_timestamp_range(const Filter *filter, int strategy, Datum datum)
{
	int			rest;
	bson_value_t *value = value_date(timestamp_to_ms(timestamp_comparand(filter, datum), &rest));

	/* It is between two milliseconds. */
	if (rest != 0)
		strategy = strategy == BTLessStrategyNumber || strategy == BTLessEqualStrategyNumber ?
			BTLessEqualStrategyNumber : BTGreaterStrategyNumber;
	return match_range(filter->path, strategy, value);
}

/* The date that a timestamp is, or none when it has microseconds. */
List *
timestamp_candidates(const Filter *filter, Datum datum)
{
	int			rest;
	int64		ms = timestamp_to_ms(timestamp_comparand(filter, datum), &rest);

	return rest == 0 ? list_make1(value_date(ms)) : NIL;
}

/* The smallest ObjectId of a second since 1970, which must be in range. */
static bson_value_t *
value_objectid_of_second(int64 second)
{
	uint8		bytes[12] = {second >> 24, second >> 16, second >> 8, second};

	return value_objectid(bytes);
}

/* The ObjectIds of the seconds from one to before another, as far as they are within 1970 to 2106. */
static bson_t *
match_seconds(const char *path, int64 from, int64 to)
{
	if (from > PG_UINT32_MAX || to <= 0 || from >= to)
		return NULL;
	if (to > PG_UINT32_MAX)
		return match_operator(path, "$gte", value_objectid_of_second(Max(from, 0)));
	if (from <= 0)
		return match_operator(path, "$lt", value_objectid_of_second(to));
	return match_operators(path, "$gte", value_objectid_of_second(from),
						   "$lt", value_objectid_of_second(to));
}

/* objectid_timestamp(column) = timestamp, objectid_timestamp(column) < timestamp, ... */
bson_t *
match_objectid_time(const Filter *filter, int strategy, Datum datum)
{
	const char *path = filter->path;
	int			rest;
	int64		ms = timestamp_to_ms(timestamp_comparand(filter, datum), &rest);
	int64		second = ms / 1000;
	int64		next;

	if (ms % 1000 < 0)
		second--;
	/* The second of the timestamp, or the first one after it. */
	next = rest == 0 && ms % 1000 == 0 ? second : second + 1;
	switch (strategy)
	{
		case BTLessStrategyNumber:
			return match_seconds(path, 0, next);
		case BTLessEqualStrategyNumber:
			return match_seconds(path, 0, second + 1);
		case BTGreaterEqualStrategyNumber:
			return match_seconds(path, next, PG_INT64_MAX);
		case BTGreaterStrategyNumber:
			return match_seconds(path, second + 1, PG_INT64_MAX);
		default:
			return next == second ? match_seconds(path, second, second + 1) : NULL;
	}
}

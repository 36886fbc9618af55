/*
 * deparse_time.c
 *	  Comparisons with dates and times as match documents.
 */
#include "postgres.h"
#include "compat.h"

#include "catalog/pg_type.h"
#include "fdw/deparse.h"
#include "fdw/match.h"
#include "utils/date.h"
#include "utils/timestamp.h"

/* Milliseconds from 1970 to 2000. */
#define EPOCH_MS \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (SECS_PER_DAY * INT64CONST(1000)))

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
	return ms + EPOCH_MS;
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
			return filter->form == FORM_TIMESTAMPTZ ?
				date2timestamptz_opt_overflow(DatumGetDateADT(datum), &overflow) :
				date2timestamp_opt_overflow(DatumGetDateADT(datum), &overflow);
		case TIMESTAMPOID:
			return filter->form == FORM_TIMESTAMPTZ ?
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
	const char *path = filter->path;
	int			rest;
	bson_value_t *value = value_date(timestamp_to_ms(timestamp_comparand(filter, datum), &rest));

	switch (strategy)
	{
		case BTLessStrategyNumber:
			return match_operator(path, rest == 0 ? "$lt" : "$lte", value);
		case BTLessEqualStrategyNumber:
			return match_operator(path, "$lte", value);
		case BTGreaterEqualStrategyNumber:
			return match_operator(path, rest == 0 ? "$gte" : "$gt", value);
		default:
			return match_operator(path, "$gt", value);
	}
}

/* The date that a timestamp is, or none when it has microseconds. */
List *
timestamp_candidates(const Filter *filter, Datum datum)
{
	int			rest;
	int64		ms = timestamp_to_ms(timestamp_comparand(filter, datum), &rest);

	return rest == 0 ? list_make1(value_date(ms)) : NIL;
}

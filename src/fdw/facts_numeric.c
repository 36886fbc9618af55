/*
 * facts_numeric.c
 *	  What the facts about a numeric column prove.
 *
 * A double is a decimal fraction to us, and a little more or less than that to
 * MongoDB.  So numbers compare and add up there as they do here where none of
 * them is a double; or where all are multiples of a power of ten, numeric(p,s),
 * with so few digits that those little differences are far below one of it.
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "fdw/facts.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

/* Decimals of 34 digits have this many before and after the point, and one to spare. */
#define DECIMAL_DIGITS	32

/* Rows times the largest value: below this no sum of longs is a double on the way. */
#define LONG_LIMIT		9223372036854775807.0

/*
 * Rows times the largest value, in units of the last digit.  A double is off
 * by 2^-53 of its value, a sum of some and a sum of these by as much; so all
 * together are off by less than a tenth of a unit.
 */
#define UNIT_LIMIT		281474976710656.0	/* 2^48 */

/* Is the least value, and so any, NaN? */
static bool
has_nan(const ColumnFacts *facts)
{
	return numeric_is_nan(DatumGetNumeric(facts->facts[LOW].value));
}

/* Are the values in MongoDB's order in ours? */
bool
numeric_order_is_ours(const ColumnFacts *facts)
{
	if (has_nan(facts))
		return false;
	if (facts->column->typmod >= 0 || facts->facts[DOUBLES].number == 0)
		return true;

	/*
	 * Shortest decimal forms are in the order of the doubles, but not among
	 * decimals.
	 */
	return facts->facts[SUM].type != BSON_TYPE_DECIMAL128 &&
		facts->facts[LOW].small && facts->facts[HIGH].small;
}

/* Are values that are equal there, and no others, equal here? */
bool
numeric_equality_is_ours(const ColumnFacts *facts)
{
	return numeric_order_is_ours(facts) &&
		(facts->facts[DOUBLES].number == 0 || facts->facts[SUM].type != BSON_TYPE_DECIMAL128);
}

/* The distance from 0 of the value that is farthest; infinity where there is NaN. */
static double
largest(const ColumnFacts *facts)
{
	double		low;
	double		high;

	if (has_nan(facts))
		return INFINITY;
	low = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, facts->facts[LOW].value));
	high = DatumGetFloat8(DirectFunctionCall1(numeric_float8_no_overflow, facts->facts[HIGH].value));
	return Max(fabs(low), fabs(high));
}

/* The sum of numbers none of which is a double, with the digits of the one that has the most. */
static bool
sum_of_decimals(const ColumnFacts *facts, double rows, Datum *sum)
{
	const Fact *fact = &facts->facts[SUM];
	double		bound = rows * largest(facts);
	int			scale;

	if (facts->facts[DOUBLES].number > 0 || rows * bound >= SUM_LIMIT)
		return false;
	switch (fact->type)
	{
		case BSON_TYPE_INT32:
		case BSON_TYPE_INT64:
			*sum = NumericGetDatum(int64_to_numeric(fact->number));
			return true;
		case BSON_TYPE_DECIMAL128:

			/*
			 * Never were there more digits than a decimal has: it was not
			 * rounded.
			 */
			*sum = fact->value;
			scale = DatumGetInt32(DirectFunctionCall1(numeric_scale, fact->value));
			return bound < LONG_LIMIT && bound < pow(10, DECIMAL_DIGITS - scale);
		default:
			return false;
	}
}

/* The sum of multiples of a power of ten. */
static bool
sum_of_units(const ColumnFacts *facts, double rows, Datum *sum)
{
	const Fact *fact = &facts->facts[SUM];
	int			scale = group_column_scale(facts->column);
	double		unit = pow(10, scale);

	if (rows * largest(facts) * unit >= UNIT_LIMIT)
		return false;
	switch (fact->type)
	{
		case BSON_TYPE_INT32:
		case BSON_TYPE_INT64:
			*sum = NumericGetDatum(int64_to_numeric(fact->number));
			break;
		case BSON_TYPE_DOUBLE:
			*sum = NumericGetDatum(int64_div_fast_to_numeric((int64) rint(fact->real * unit), scale));
			break;
		case BSON_TYPE_DECIMAL128:
			*sum = fact->value;
			break;
		default:
			return false;
	}
	*sum = DirectFunctionCall2(numeric_round, *sum, Int32GetDatum(scale));
	return true;
}

/* The sum of up to so many values; false when it may not be exact. */
bool
numeric_exact_sum(const ColumnFacts *facts, int64 rows, Datum *sum)
{
	return facts->column->typmod < 0 ? sum_of_decimals(facts, rows, sum) :
		sum_of_units(facts, rows, sum);
}

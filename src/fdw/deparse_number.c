/*
 * deparse_number.c
 *	  Comparisons with numbers as match documents; the head of deparse.c tells why.
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "fdw/deparse.h"
#include "fdw/match.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

/*
 * The longest text of a number of BSON is that of the decimal -1E-6176 in jsonb,
 * and numeric has room for it with four digits of an exponent behind.
 */
#define MAX_NUMBER_TEXT	6200

/* Is the text a number such as BSON's numbers are printed? */
bool
is_number_text(const char *string)
{
	if (strlen(string) > MAX_NUMBER_TEXT)
		return false;
	if (strcmp(string, "NaN") == 0 || strcmp(string, "Infinity") == 0 || strcmp(string, "-Infinity") == 0)
		return true;
	if (*string == '-')
		string++;
	if (!isdigit((unsigned char) *string))
		return false;
	string += strspn(string, "0123456789");
	if (*string == '.')
		string += 1 + strspn(string + 1, "0123456789");
	if (*string == 'e' || *string == 'E')
	{
		size_t		digits;

		string++;
		if (*string == '+' || *string == '-')
			string++;
		digits = strspn(string, "0123456789");
		if (digits == 0 || digits > 4)
			return false;
		string += digits;
	}
	return *string == '\0';
}

static Numeric
numeric_from_text(const char *string)
{
	return DatumGetNumeric(DirectFunctionCall3(numeric_in, CStringGetDatum(string),
											   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
}

static bool
numeric_equals_text(Numeric number, const char *string)
{
	return DatumGetBool(DirectFunctionCall2(numeric_eq, NumericGetDatum(number),
											NumericGetDatum(numeric_from_text(string))));
}

/* Is the number that text is what the double is to us: its shortest decimal form? */
static bool
is_number_of_double(const char *string, double number)
{
	char		buffer[64];

	/* 1E+400 is none. */
	if (isnan(number) || isinf(number))
		return strpbrk(string, "0123456789") == NULL;
	double_to_shortest_decimal_buf(number, buffer);
	return numeric_equals_text(numeric_from_text(string), buffer);
}

/*
 * Is the number a double that has the same value by its shortest decimal form
 * and in binary?  Then MongoDB and we agree about it.  Said only of doubles of
 * moderate size, which have an exact form of at most ten digits after the point.
 */
static bool
is_plain_number(const char *string, double number)
{
	char		buffer[64];
	Numeric		numeric;

	if (!(fabs(number) < (double) (INT64CONST(1) << 43)) || number * 1024 != rint(number * 1024))
		return false;
	numeric = numeric_from_text(string);
	snprintf(buffer, sizeof(buffer), "%.10f", number);
	if (!numeric_equals_text(numeric, buffer))
		return false;
	double_to_shortest_decimal_buf(number, buffer);
	return numeric_equals_text(numeric, buffer);
}

/* The numbers in BSON that convert to the number that text is, and perhaps a few more. */
List *
number_candidates(const char *string)
{
	double		number = strtod(string, NULL);
	List	   *candidates = NIL;
	bson_decimal128_t decimal;

	if (is_plain_number(string, number))
		return list_make1(value_number(number));
	if (!isnan(number) && bson_decimal128_from_string(string, &decimal))
	{
		bson_value_t *value = value_new(BSON_TYPE_DECIMAL128);

		value->value.v_decimal128 = decimal;
		candidates = lappend(candidates, value);
	}
	return is_number_of_double(string, number) ?
		lappend(candidates, value_double(number)) : candidates;
}

/* Of them, those that are equal to no other number in MongoDB than in PostgreSQL. */
List *
number_exclusions(const char *string)
{
	double		number = strtod(string, NULL);

	return isnan(number) || is_plain_number(string, number) ?
		list_make1(value_number(number)) : NIL;
}

/* The next double, or float4, in a direction. */
static double
next_number(FilterForm form, double number, double direction)
{
	if (form == FORM_FLOAT4)
		return nextafterf((float) number, (float) direction);
	return nextafter(number, direction);
}

/*
 * A range of numbers.  plain says that the bound is the same number to MongoDB
 * as to us; else the range is widened.
 */
static bson_t *
match_number_range(const Filter *filter, int strategy, double bound, bool plain)
{
	const char *path = filter->path;
	bool		less = strategy == BTLessStrategyNumber || strategy == BTLessEqualStrategyNumber;
	bool		equal = strategy == BTLessEqualStrategyNumber ||
		strategy == BTGreaterEqualStrategyNumber;
	const char *operator;
	bson_value_t *value;

	if (isnan(bound))
	{
		if (less)
			return match_type(path, "number");
		return equal ? match_value(path, value_double(bound)) : NULL;
	}

	if (!plain)
	{
		bound = next_number(filter->form, bound, less ? INFINITY : -INFINITY);
		equal = true;
	}
	operator = less ? (equal ? "$lte" : "$lt") : (equal ? "$gte" : "$gt");
	value = value_number(bound);
	if (less)
		return match_operator(path, operator, value);
	return match_one_of(list_make2(match_operator(path, operator, value),
								   match_value(path, value_double(NAN))));
}

const char *
numeric_text(Datum datum)
{
	return DatumGetCString(DirectFunctionCall1(numeric_out, datum));
}

/* column < number, ..., for numeric columns */
bson_t *
match_numeric_range(const Filter *filter, int strategy, Datum datum)
{
	const char *string = numeric_text(datum);
	double		number = strtod(string, NULL);

	return match_number_range(filter, strategy, number, is_plain_number(string, number));
}

/*
 * column = number, for float columns: a decimal that is rounded to it may lie on
 * either side, but not as far as the next number.
 */
bson_t *
match_float_equal(const Filter *filter, double number)
{
	double		below = next_number(filter->form, number, -INFINITY);
	double		above = next_number(filter->form, number, INFINITY);

	if (isnan(number))
		return match_value(filter->path, value_double(number));
	/* There is none beyond infinity. */
	return match_operators(filter->path, below < number ? "$gt" : "$gte", value_double(below),
						   above > number ? "$lt" : "$lte", value_double(above));
}

/*
 * column < number, ..., for float columns.  Rounding keeps the order: what is
 * rounded to less than a double is less.
 */
bson_t *
match_float_range(const Filter *filter, int strategy, double number)
{
	return match_number_range(filter, strategy, number,
							  filter->form == FORM_FLOAT8 &&
							  (strategy == BTLessStrategyNumber ||
							   strategy == BTGreaterStrategyNumber));
}

double
float_comparand(const Filter *filter, Datum datum)
{
	return filter->comparand_type == FLOAT4OID ? DatumGetFloat4(datum) : DatumGetFloat8(datum);
}

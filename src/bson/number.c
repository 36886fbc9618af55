/*
 * number.c
 *	  Numbers of BSON's four types, exactly.
 *
 * int32, int64, double and decimal128 meet in a sign, a coefficient of at most
 * 128 bits and a decimal exponent, so that fitting a number into a PostgreSQL
 * type is integer arithmetic, and a number that does not fit is a status
 * rather than an error thrown by numeric.c.
 *
 * The layout of decimal128 is the binary integer decimal form of IEEE 754-2008:
 * https://github.com/mongodb/specifications/blob/master/source/bson-decimal128/decimal128.md
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "bson/number.h"
#include "common/shortest_dec.h"
#include "fmgr.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/numeric.h"

/* Parses what double_to_shortest_decimal() writes for a finite number. */
static void
number_from_shortest(Number *number, double value)
{
	char		text[DOUBLE_SHORTEST_DECIMAL_LEN];
	int			length = double_to_shortest_decimal_bufn(value, text);
	uint64		digits = 0;
	int			fraction = 0;
	bool		point = false;
	int			i = number->negative ? 1 : 0;

	number->exponent = 0;
	for (; i < length && text[i] != 'e'; i++)
	{
		if (text[i] == '.')
			point = true;
		else
		{
			digits = digits * 10 + (text[i] - '0');
			fraction += point;
		}
	}
	if (i < length)
	{
		text[length] = '\0';

		number->exponent = atoi(text + i + 1);
	}
	number->coefficient = digits;
	number->exponent -= fraction;
}

/*
 * A double that is the nearest one to a decimal of at most 15 digits, few of
 * them behind the point, as amounts of money are.  No other decimal of so few
 * digits has the same nearest double, so that this one is the shortest form;
 * and the quotient of two whole doubles is the nearest one to the true quotient.
 */
static bool
number_from_short_fraction(Number *number, double value)
{
	static const double powers[] = {10, 100, 1000, 10000};

	for (int i = 0; i < lengthof(powers); i++)
	{
		double		scaled = rint(fabs(value) * powers[i]);

		if (scaled >= 1e15)
			return false;
		if (scaled / powers[i] == fabs(value))
		{
			number->coefficient = (uint64) scaled;
			number->exponent = -(i + 1);
			return true;
		}
	}
	return false;
}

/* A double: by its value where that is whole, else by its shortest form. */
void
number_from_double(Number *number, double value)
{
	number->negative = signbit(value) != 0;
	number->kind = isnan(value) ? NUMBER_NAN : isinf(value) ? NUMBER_INFINITE : NUMBER_FINITE;
	if (number->kind != NUMBER_FINITE)
		return;

	/* Below 2^53 the shortest form of a whole number is all of its digits. */
	if (fabs(value) < NUMBER_WHOLE_LIMIT && value == (double) (int64) value)
	{
		number->coefficient = (uint64) fabs(value);
		number->exponent = 0;
	}
	else if (!number_from_short_fraction(number, value))
		number_from_shortest(number, value);
}

/* An integer. */
void
number_from_int64(Number *number, int64 value)
{
	number->kind = NUMBER_FINITE;
	number->negative = value < 0;
	number->coefficient = value < 0 ? -(uint64) value : (uint64) value;
	number->exponent = 0;
}

/* A decimal128; a coefficient that is not canonical counts as zero, as IEEE 754 has it. */
static void
number_from_decimal128(Number *number, const bson_decimal128_t *decimal)
{
	uint32		combination = (decimal->high >> 58) & 0x1f;

	number->negative = (decimal->high >> 63) != 0;
	number->kind = combination == 0x1f ? NUMBER_NAN :
		combination == 0x1e ? NUMBER_INFINITE : NUMBER_FINITE;
	if (number->kind != NUMBER_FINITE)
		return;

	if ((combination >> 3) == 3)
	{
		number->exponent = ((decimal->high >> 47) & 0x3fff) - DECIMAL128_BIAS;
		number->coefficient = 0;	/* at least 2^113: never canonical */
	}
	else
	{
		number->exponent = ((decimal->high >> 49) & 0x3fff) - DECIMAL128_BIAS;
		number->coefficient = ((uint128) (decimal->high & UINT64CONST(0x1ffffffffffff)) << 64) |
			decimal->low;
		if (number->coefficient > DECIMAL128_MAX_COEFFICIENT)
			number->coefficient = 0;
	}
}

/* The number under the iterator; false when it is none. */
bool
number_from_value(Number *number, const bson_iter_t *value)
{
	bson_decimal128_t decimal;

	switch (bson_iter_type_unsafe(value))
	{
		case BSON_TYPE_INT32:
			number_from_int64(number, bson_iter_int32_unsafe(value));
			return true;
		case BSON_TYPE_INT64:
			number_from_int64(number, bson_iter_int64_unsafe(value));
			return true;
		case BSON_TYPE_DOUBLE:
			number_from_double(number, bson_iter_double_unsafe(value));
			return true;
		case BSON_TYPE_DECIMAL128:
			bson_iter_decimal128_unsafe(value, &decimal);
			number_from_decimal128(number, &decimal);
			return true;
		default:
			return false;
	}
}

/* Takes zeros off the coefficient's end; zero gets exponent 0. */
void
number_strip(Number *number)
{
	if (number->coefficient == 0)
		number->exponent = 0;
	else
	{
		while (number->coefficient % 10 == 0)
		{
			number->coefficient /= 10;
			number->exponent++;
		}
	}
}

/* As an int64, when it is one. */
ConvertStatus
number_to_int64(Number number, int64 *result)
{
	uint128		limit;

	if (number.kind != NUMBER_FINITE)
		return CONVERT_OUT_OF_RANGE;
	number_strip(&number);
	if (number.exponent < 0)
		return CONVERT_INEXACT;

	limit = (uint128) PG_INT64_MAX + (number.negative ? 1 : 0);
	for (; number.exponent > 0; number.exponent--)
	{
		if (number.coefficient > limit / 10)
			return CONVERT_OUT_OF_RANGE;
		number.coefficient *= 10;
	}
	if (number.coefficient > limit)
		return CONVERT_OUT_OF_RANGE;
	*result = number.negative ? (int64) -(uint64) number.coefficient : (int64) number.coefficient;
	return CONVERT_OK;
}

/* A number as an int64, from a double's exact value. */
ConvertStatus
number_value_to_int64(const bson_iter_t *value, int64 *result)
{
	double		real;
	Number		number;

	switch (bson_iter_type_unsafe(value))
	{
		case BSON_TYPE_INT32:
			*result = bson_iter_int32_unsafe(value);
			return CONVERT_OK;
		case BSON_TYPE_INT64:
			*result = bson_iter_int64_unsafe(value);
			return CONVERT_OK;
		case BSON_TYPE_DOUBLE:
			real = bson_iter_double_unsafe(value);
			if (isnan(real) || !FLOAT8_FITS_IN_INT64(real))
				return CONVERT_OUT_OF_RANGE;
			if (real != rint(real))
				return CONVERT_INEXACT;
			*result = (int64) real;
			return CONVERT_OK;
		default:
			if (!number_from_value(&number, value))
				return CONVERT_WRONG_TYPE;
			return number_to_int64(number, result);
	}
}

/* Writes an integer's digits at buffer's end and returns where they start. */
char *
number_digits(uint128 value, char buffer[NUMBER_TEXT_SIZE])
{
	char	   *start = buffer + NUMBER_TEXT_SIZE - 1;

	*start = '\0';
	do
	{
		*--start = '0' + (int) (value % 10);
		value /= 10;
	} while (value != 0);
	return start;
}

static Datum
numeric_from_text(const char *text)
{
	return DirectFunctionCall3(numeric_in, CStringGetDatum(text),
							   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
}

/*
 * Builds a numeric with a display scale of at least the number's own.  The
 * short way is not taken where older int64_div_fast_to_numeric() sets a wrong
 * display scale, for multiples of four (mended in PostgreSQL 16).
 */
static Datum
numeric_build(const Number *number, int dscale)
{
	uint128		coefficient = number->coefficient;
	int			zeros = number->exponent + dscale;
	char		digits[NUMBER_TEXT_SIZE];
	StringInfoData text;
	Datum		result;

	if (coefficient == 0)
		zeros = 0;
	for (; zeros > 0 && coefficient <= PG_INT64_MAX / 10; zeros--)
		coefficient *= 10;

	if (zeros == 0 && coefficient <= PG_INT64_MAX)
	{
		int64		value = number->negative ? -(int64) coefficient : (int64) coefficient;

		if (dscale == 0)
			return NumericGetDatum(int64_to_numeric(value));
		if (dscale % 4 != 0 && dscale < 18)
			return NumericGetDatum(int64_div_fast_to_numeric(value, dscale));
	}

	initStringInfo(&text);
	appendStringInfo(&text, "%s%s", number->negative ? "-" : "", number_digits(coefficient, digits));
	for (; zeros > 0; zeros--)
		appendStringInfoChar(&text, '0');
	appendStringInfo(&text, "e-%d", dscale);
	result = numeric_from_text(text.data);
	pfree(text.data);
	return result;
}

/* Drops digits off the coefficient, rounding half away from zero; true when they were not all 0. */
static bool
number_round(Number *number, int drop)
{
	uint128		divisor = 1;
	uint128		rest;

	if (drop > 38)				/* 10^38 is the largest power that fits:
								 * nothing stays */
	{
		rest = number->coefficient;
		number->coefficient = 0;
		number->exponent += drop;
		return rest != 0;
	}
	for (int i = 0; i < drop; i++)
		divisor *= 10;
	rest = number->coefficient % divisor;
	number->coefficient /= divisor;
	if (rest >= divisor - rest)
		number->coefficient++;
	number->exponent += drop;
	return rest != 0;
}

/* The layout of numeric's type modifier is numerictypmodin()'s. */
void
number_typmod(int32 typmod, int *precision, int *scale)
{
	*precision = ((typmod - VARHDRSZ) >> 16) & 0xffff;
	*scale = (((typmod - VARHDRSZ) & 0x7ff) ^ 1024) - 1024;
}

/* As a numeric of the type modifier; see number.h. */
ConvertStatus
number_to_numeric(const Number *number, int32 typmod, bool round, bool *rounded, Datum *result)
{
	Number		value = *number;
	int			precision;
	int			scale;
	int			digits = 0;

	*rounded = false;
	if (value.kind == NUMBER_NAN)
	{
		*result = numeric_from_text("NaN");
		return CONVERT_OK;
	}
	if (value.kind == NUMBER_INFINITE)
	{
		if (typmod >= (int32) VARHDRSZ)
			return CONVERT_OUT_OF_RANGE;
		*result = numeric_from_text(value.negative ? "-Infinity" : "Infinity");
		return CONVERT_OK;
	}
	if (typmod < (int32) VARHDRSZ)
	{
		*result = numeric_build(&value, Max(-value.exponent, 0));
		return CONVERT_OK;
	}

	number_typmod(typmod, &precision, &scale);
	if (-value.exponent > scale && number_round(&value, -value.exponent - scale))
	{
		if (!round)
			return CONVERT_INEXACT;
		*rounded = true;
	}
	for (uint128 rest = value.coefficient; rest != 0; rest /= 10)
		digits++;
	if (digits > 0 && digits + value.exponent + scale > precision)
		return CONVERT_OUT_OF_RANGE;
	*result = numeric_build(&value, Max(scale, 0));
	return CONVERT_OK;
}

/*
 * A decimal is a double when its odd part has at most 53 bits and the power of
 * two is in range; ten's exponent is taken apart into fives, which belong to
 * the odd part, and twos.
 */
bool
number_is_double(const Number *number, double *result)
{
	uint128		odd = number->coefficient;
	int			twos = number->exponent;

	if (odd == 0)
	{
		*result = 0;
		return true;
	}
	for (int i = number->exponent; i < 0; i++)
	{
		if (odd % 5 != 0)
			return false;
		odd /= 5;
	}
	for (; (odd & 1) == 0; odd >>= 1)
		twos++;
	for (int i = number->exponent; i > 0; i--)
	{
		if (odd >= ((uint128) 1 << 53))
			return false;
		odd *= 5;
	}
	if (odd >= ((uint128) 1 << 53))
		return false;
	*result = ldexp((double) (uint64) odd, twos);
	if (isinf(*result) || *result == 0 || ldexp(*result, -twos) != (double) (uint64) odd)
		return false;
	if (number->negative)
		*result = -*result;
	return true;
}

/* The number under the iterator in its canonical text form. */
int
number_value_text(const bson_iter_t *value, char buffer[NUMBER_TEXT_SIZE])
{
	bson_decimal128_t decimal;
	Number		number;

	switch (bson_iter_type_unsafe(value))
	{
		case BSON_TYPE_INT32:
			return pg_ltoa(bson_iter_int32_unsafe(value), buffer);
		case BSON_TYPE_INT64:
			return pg_lltoa(bson_iter_int64_unsafe(value), buffer);
		case BSON_TYPE_DOUBLE:
			return double_to_shortest_decimal_buf(bson_iter_double_unsafe(value), buffer);
		case BSON_TYPE_DECIMAL128:
			bson_iter_decimal128_unsafe(value, &decimal);
			number_from_decimal128(&number, &decimal);
			if (number.kind == NUMBER_FINITE && number.coefficient == 0)
			{
				/* libbson prints the digits of some that are not canonical */
				decimal.low = 0;
				decimal.high = ((uint64) number.negative << 63) |
					((uint64) (number.exponent + DECIMAL128_BIAS) << 49);
			}
			bson_decimal128_to_string(&decimal, buffer);
			return strlen(buffer);
		default:
			buffer[0] = '\0';
			return 0;
	}
}

/* A double with a point or an exponent, so that JSON shows it apart from an integer. */
int
number_double_text(double value, char buffer[NUMBER_TEXT_SIZE])
{
	int			length = double_to_shortest_decimal_buf(value, buffer);

	char	   *exponent = strchr(buffer, 'e');

	if (isnan(value) || isinf(value))
		return length;
	if (exponent != NULL)
		*exponent = 'E';
	else if (strchr(buffer, '.') == NULL)
		length += strlcpy(buffer + length, ".0", NUMBER_TEXT_SIZE - length);
	return length;
}

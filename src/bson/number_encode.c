/*
 * number_encode.c
 *	  Numbers to BSON: from text, to decimal128 and to double.
 *
 * The reverse of number.c, by the same rule: a double stands for its shortest
 * decimal form, and what would lose a digit is a status.
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "bson/number.h"
#include "utils/float.h"

/* Beyond this an exponent is out of every range; it bounds what is read of one. */
#define EXPONENT_LIMIT 100000

/* NaN and the infinities, as numeric and JSON modes print them. */
static bool
special_from_text(Number *number, const char *text, size_t length)
{
	number->negative = length > 0 && text[0] == '-';
	number->coefficient = 0;
	number->exponent = 0;
	if (length == 3 && strncmp(text, "NaN", 3) == 0)
		number->kind = NUMBER_NAN;
	else if (length - number->negative == 8 && strncmp(text + number->negative, "Infinity", 8) == 0)
		number->kind = NUMBER_INFINITE;
	else
		return false;
	return true;
}

/* Reads e+12 at the end of a text into *exponent. */
static bool
exponent_from_text(const char *text, const char *end, int *exponent)
{
	bool		negative;

	if (text == end)
		return true;
	if (*text != 'e' && *text != 'E')
		return false;
	text++;
	negative = text < end && *text == '-';
	if (text < end && (*text == '-' || *text == '+'))
		text++;
	if (text == end)
		return false;
	for (; text < end; text++)
	{
		if (!isdigit((unsigned char) *text))
			return false;
		*exponent = Min(*exponent * 10 + (*text - '0'), EXPONENT_LIMIT);
	}
	if (negative)
		*exponent = -*exponent;
	return true;
}

/* The number that a text is; see number.h. */
ConvertStatus
number_from_text(Number *number, const char *text, size_t length)
{
	const uint128 limit = ~(uint128) 0 / 10 - 1;
	const char *end = text + length;
	int			zeros = 0;		/* seen, and not yet in the coefficient */
	int			fraction = 0;
	int			digits = 0;
	int			exponent = 0;
	bool		point = false;

	if (special_from_text(number, text, length))
		return CONVERT_OK;
	number->kind = NUMBER_FINITE;
	number->coefficient = 0;
	if (number->negative)
		text++;
	for (; text < end && (isdigit((unsigned char) *text) || (*text == '.' && !point)); text++)
	{
		if (*text == '.')
		{
			point = true;
			continue;
		}
		digits++;
		fraction += point;
		zeros++;
		if (*text == '0' && number->coefficient > limit / 1000)
			continue;
		for (; zeros > 0; zeros--)
		{
			if (number->coefficient > limit)
				return CONVERT_INEXACT;
			number->coefficient *= 10;
		}
		number->coefficient += *text - '0';
	}
	if (digits == 0 || !exponent_from_text(text, end, &exponent))
		return CONVERT_BAD_SYNTAX;
	number->exponent = exponent - fraction + zeros;
	return CONVERT_OK;
}

/* The decimal128 with all of the number's digits. */
ConvertStatus
number_to_decimal128(Number number, bson_decimal128_t *result)
{
	uint64		sign = number.kind != NUMBER_NAN && number.negative ? UINT64CONST(1) << 63 : 0;

	result->low = 0;
	if (number.kind != NUMBER_FINITE)
	{
		result->high = sign | (number.kind == NUMBER_NAN ? UINT64CONST(0x7c) : UINT64CONST(0x78)) << 56;
		return CONVERT_OK;
	}
	if (number.coefficient == 0)
		number.exponent = Max(Min(number.exponent, DECIMAL128_BIAS - 65), -DECIMAL128_BIAS);

	/* Zeros at the end go where there is no room for them. */
	while ((number.coefficient > DECIMAL128_MAX_COEFFICIENT || number.exponent < -DECIMAL128_BIAS) &&
		   number.coefficient % 10 == 0)
	{
		number.coefficient /= 10;
		number.exponent++;
	}
	while (number.exponent > DECIMAL128_BIAS - 65 &&
		   number.coefficient <= DECIMAL128_MAX_COEFFICIENT / 10)
	{
		number.coefficient *= 10;
		number.exponent--;
	}
	if (number.coefficient > DECIMAL128_MAX_COEFFICIENT || number.exponent < -DECIMAL128_BIAS)
		return CONVERT_INEXACT;
	if (number.exponent > DECIMAL128_BIAS - 65)
		return CONVERT_OUT_OF_RANGE;
	result->low = (uint64) number.coefficient;
	result->high = sign | (uint64) (number.exponent + DECIMAL128_BIAS) << 49 |
		(uint64) (number.coefficient >> 64);
	return CONVERT_OK;
}

/* The double whose shortest decimal form is the number. */
ConvertStatus
number_to_double(Number number, double *result)
{
	char		digits[NUMBER_TEXT_SIZE];
	char		text[2 * NUMBER_TEXT_SIZE];
	Number		shortest;

	if (number.kind != NUMBER_FINITE)
	{
		*result = number.kind == NUMBER_NAN ? get_float8_nan() :
			number.negative ? -get_float8_infinity() : get_float8_infinity();
		return CONVERT_OK;
	}
	snprintf(text, sizeof(text), "%s%se%d", number.negative ? "-" : "",
			 number_digits(number.coefficient, digits), number.exponent);
	*result = strtod(text, NULL);
	if (isinf(*result))
		return CONVERT_OUT_OF_RANGE;
	number_from_double(&shortest, *result);
	number_strip(&shortest);
	number_strip(&number);
	return shortest.coefficient == number.coefficient && shortest.exponent == number.exponent ?
		CONVERT_OK : CONVERT_INEXACT;
}

/* Appends a number as a type of BSON; see number.h. */
ConvertStatus
number_append(const Number *number, bson_type_t type, bson_t *document, const char *key, int key_length)
{
	bson_decimal128_t decimal;
	ConvertStatus status;
	double		real;
	int64		whole;

	switch (type)
	{
		case BSON_TYPE_DOUBLE:
			status = number_to_double(*number, &real);
			return status != CONVERT_OK ? status :
				appended(bson_append_double(document, key, key_length, real));
		case BSON_TYPE_DECIMAL128:
			status = number_to_decimal128(*number, &decimal);
			return status != CONVERT_OK ? status :
				appended(bson_append_decimal128(document, key, key_length, &decimal));
		default:
			status = number_to_int64(*number, &whole);
			if (status != CONVERT_OK)
				return status;
			if (type == BSON_TYPE_INT64)
				return appended(bson_append_int64(document, key, key_length, whole));
			if (whole < PG_INT32_MIN || whole > PG_INT32_MAX)
				return CONVERT_OUT_OF_RANGE;
			return appended(bson_append_int32(document, key, key_length, (int32) whole));
	}
}

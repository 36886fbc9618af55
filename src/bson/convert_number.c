/*
 * convert_number.c
 *	  BSON numbers to the number types of PostgreSQL.
 *
 * Integer and numeric columns take a number only when it is exactly theirs;
 * float columns take the nearest value, as a double is one itself.
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "bson/convert_private.h"
#include "bson/number.h"
#include "utils/float.h"
#include "utils/numeric.h"

/* A whole number to smallint. */
ConvertStatus
convert_int2(Converter *self, const bson_iter_t *value, Datum *result)
{
	int64		number;
	ConvertStatus status = number_value_to_int64(value, &number);

	if (status != CONVERT_OK)
		return status;
	if (number < PG_INT16_MIN || number > PG_INT16_MAX)
		return CONVERT_OUT_OF_RANGE;
	*result = Int16GetDatum((int16) number);
	return CONVERT_OK;
}

/* A whole number to integer. */
ConvertStatus
convert_int4(Converter *self, const bson_iter_t *value, Datum *result)
{
	int64		number;
	ConvertStatus status = number_value_to_int64(value, &number);

	if (status != CONVERT_OK)
		return status;
	if (number < PG_INT32_MIN || number > PG_INT32_MAX)
		return CONVERT_OUT_OF_RANGE;
	*result = Int32GetDatum((int32) number);
	return CONVERT_OK;
}

/* A whole number to bigint. */
ConvertStatus
convert_int8(Converter *self, const bson_iter_t *value, Datum *result)
{
	int64		number;
	ConvertStatus status = number_value_to_int64(value, &number);

	if (status == CONVERT_OK)
		*result = Int64GetDatum(number);
	return status;
}

/* The double nearest to a number. */
static ConvertStatus
nearest_double(const bson_iter_t *value, double *result)
{
	char		digits[NUMBER_TEXT_SIZE];
	Number		number;

	switch (bson_iter_type_unsafe(value))
	{
		case BSON_TYPE_DOUBLE:
			*result = bson_iter_double_unsafe(value);
			return CONVERT_OK;
		case BSON_TYPE_INT32:
			*result = bson_iter_int32_unsafe(value);
			return CONVERT_OK;
		case BSON_TYPE_INT64:
			*result = (double) bson_iter_int64_unsafe(value);
			return CONVERT_OK;
		case BSON_TYPE_DECIMAL128:
			number_value_text(value, digits);
			number_from_value(&number, value);
			*result = number.kind == NUMBER_NAN ? get_float8_nan() : strtod(digits, NULL);
			if (number.kind == NUMBER_FINITE &&
				(isinf(*result) || (*result == 0 && number.coefficient != 0)))
				return CONVERT_OUT_OF_RANGE;
			return CONVERT_OK;
		default:
			return CONVERT_WRONG_TYPE;
	}
}

/* The nearest double precision. */
ConvertStatus
convert_float8(Converter *self, const bson_iter_t *value, Datum *result)
{
	double		number;
	ConvertStatus status = nearest_double(value, &number);

	if (status == CONVERT_OK)
		*result = Float8GetDatum(number);
	return status;
}

/* Out of range where PostgreSQL's own cast of double precision to real throws. */
ConvertStatus
convert_float4(Converter *self, const bson_iter_t *value, Datum *result)
{
	char		digits[NUMBER_TEXT_SIZE];
	double		number;
	float4		narrow;
	ConvertStatus status = nearest_double(value, &number);

	if (status != CONVERT_OK)
		return status;
	narrow = (float4) number;

	/* Rounded twice, what is no double may not be the nearest one. */
	if (bson_iter_type_unsafe(value) == BSON_TYPE_INT64)
		narrow = (float4) bson_iter_int64_unsafe(value);
	else if (bson_iter_type_unsafe(value) == BSON_TYPE_DECIMAL128 && isfinite(number))
	{
		number_value_text(value, digits);
		narrow = strtof(digits, NULL);
	}
	if ((isinf(narrow) && !isinf(number)) || (narrow == 0 && number != 0))
		return CONVERT_OUT_OF_RANGE;
	*result = Float4GetDatum(narrow);
	return CONVERT_OK;
}

/* Any number to numeric, and to numeric(p,s) where it fits or may be rounded. */
ConvertStatus
convert_numeric(Converter *self, const bson_iter_t *value, Datum *result)
{
	Number		number;
	bool		rounded;
	ConvertStatus status;

	if (self->typmod < 0 && bson_iter_type_unsafe(value) == BSON_TYPE_INT32)
	{
		*result = NumericGetDatum(int64_to_numeric(bson_iter_int32_unsafe(value)));
		return CONVERT_OK;
	}
	if (!number_from_value(&number, value))
		return CONVERT_WRONG_TYPE;
	status = number_to_numeric(&number, self->typmod, self->round, &rounded, result);
	if (status == CONVERT_OK && rounded)
		self->rounded++;
	return status;
}

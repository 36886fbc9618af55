/*
 * number.h
 *	  Numbers of BSON's four types, exactly.  Private to bson/.
 */
#ifndef MM_NUMBER_H
#define MM_NUMBER_H

#include "bson/convert_status.h"

#ifndef PG_INT128_TYPE
#error "mongo_migrate needs a compiler with 128-bit integers"
#endif

typedef enum NumberKind
{
	NUMBER_FINITE,
	NUMBER_INFINITE,
	NUMBER_NAN
} NumberKind;

/* (-1)^negative * coefficient * 10^exponent */
typedef struct Number
{
	NumberKind	kind;
	bool		negative;
	int			exponent;
	uint128		coefficient;
} Number;

/* A double below this that is whole has all of its digits in its shortest form, 2^53. */
#define NUMBER_WHOLE_LIMIT UINT64CONST(9007199254740992)

/* A whole double from this on is printed with an exponent. */
#define NUMBER_POINT_LIMIT UINT64CONST(1000000000000000)

/* What is added to the exponent in a decimal128. */
#define DECIMAL128_BIAS 6176

/* 10^34 - 1, the largest coefficient of a decimal128. */
#define DECIMAL128_MAX_COEFFICIENT \
	((uint128) UINT64CONST(10000000000000000) * UINT64CONST(1000000000000000000) - 1)

/* Room for any number as text. */
#define NUMBER_TEXT_SIZE 64

/*
 * The number under the iterator; false when it is none.  A double becomes its
 * shortest decimal form.
 */
extern bool number_from_value(Number *number, const bson_iter_t *value);

extern void number_from_double(Number *number, double value);
extern void number_from_int64(Number *number, int64 value);

extern ConvertStatus number_to_int64(Number number, int64 *result);

/* As an int64; a double by its exact value. */
extern ConvertStatus number_value_to_int64(const bson_iter_t *value, int64 *result);

/* The parts of a type modifier of numeric, which must not be -1. */
extern void number_typmod(int32 typmod, int *precision, int *scale);

/*
 * As a numeric of the type modifier (-1: none).  When digits must go, they are
 * rounded half away from zero and *rounded is set, or, unless round,
 * CONVERT_INEXACT is returned.
 */
extern ConvertStatus number_to_numeric(const Number *number, int32 typmod, bool round,
									   bool *rounded, Datum *result);

/* Takes zeros off the coefficient's end. */
extern void number_strip(Number *number);

/* Is the number exactly a double?  Finite numbers only. */
extern bool number_is_double(const Number *number, double *result);

/* Writes an integer's digits at buffer's end and returns where they start. */
extern char *number_digits(uint128 value, char buffer[NUMBER_TEXT_SIZE]);

/* The number under the iterator in its canonical text form: 12, 0.1, 1.5e+20, NaN.
 * Doubles as PostgreSQL prints them, decimals as MongoDB does.  Returns the length. */
extern int	number_value_text(const bson_iter_t *value, char buffer[NUMBER_TEXT_SIZE]);

/* A double as Extended JSON has it: 1.0, -0.0, 1.5E+20.  Returns the length. */
extern int	number_double_text(double value, char buffer[NUMBER_TEXT_SIZE]);

/* number_encode.c */

/*
 * The number that a text is: digits with a point and an exponent, NaN, or an
 * infinity.  CONVERT_BAD_SYNTAX for another text, CONVERT_INEXACT for more
 * digits than a Number has.
 */
extern ConvertStatus number_from_text(Number *number, const char *text, size_t length);

/* The decimal128 with all of the number's digits, trailing zeros included where they fit. */
extern ConvertStatus number_to_decimal128(Number number, bson_decimal128_t *result);

/* The double whose shortest decimal form is the number, else CONVERT_INEXACT. */
extern ConvertStatus number_to_double(Number number, double *result);

/* Appends the number as an int, long, double or decimal to a document. */
extern ConvertStatus number_append(const Number *number, bson_type_t type, bson_t *document,
								   const char *key, int key_length);

/* What libbson says of an append: it refuses what is larger than a document can be. */
static inline ConvertStatus
appended(bool ok)
{
	return ok ? CONVERT_OK : CONVERT_TOO_LONG;
}

#endif							/* MM_NUMBER_H */

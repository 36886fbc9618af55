/*
 * lattice.c
 *	  From the BSON values seen in a field to the PostgreSQL type that holds them.
 *
 * Import of foreign tables and the profile of a collection both propose types
 * from a sample.  They count on their own, and decide here, so that they agree.
 *
 * A field of one BSON type has that type's natural column type.  Numbers of
 * several BSON types meet in bigint or numeric, scalars of several kinds in
 * text, and whatever has documents or arrays in it in jsonb.  Null and
 * undefined do not count: they are NULL in every type.
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "bson/lattice.h"
#include "bson/text.h"
#include "datatype/timestamp.h"
#include "lib/stringinfo.h"

#define NULLS		(LATTICE_BIT(BSON_TYPE_NULL) | LATTICE_BIT(BSON_TYPE_UNDEFINED))
#define WHOLES		(LATTICE_BIT(BSON_TYPE_INT32) | LATTICE_BIT(BSON_TYPE_INT64))
#define DOUBLES		LATTICE_BIT(BSON_TYPE_DOUBLE)
#define DECIMALS	LATTICE_BIT(BSON_TYPE_DECIMAL128)
#define NUMBERS		(WHOLES | DOUBLES | DECIMALS)
#define STRINGS		(LATTICE_BIT(BSON_TYPE_UTF8) | LATTICE_BIT(BSON_TYPE_SYMBOL))
#define OBJECTIDS	LATTICE_BIT(BSON_TYPE_OID)
#define BOOLEANS	LATTICE_BIT(BSON_TYPE_BOOL)
#define DATES		LATTICE_BIT(BSON_TYPE_DATE_TIME)
#define BINARIES	LATTICE_BIT(BSON_TYPE_BINARY)

/* What has a plain text form. */
#define TEXTUAL		(NUMBERS | STRINGS | OBJECTIDS | BOOLEANS | DATES)

/* Milliseconds since 1970 of timestamptz's first instant, and of the one after its last. */
#define UNIX_MS(julian_day) \
	(((int64) (julian_day) - UNIX_EPOCH_JDATE) * (SECS_PER_DAY * INT64CONST(1000)))
#define DATE_FIRST	UNIX_MS(DATETIME_MIN_JULIAN)
#define DATE_END	UNIX_MS(TIMESTAMP_END_JULIAN)

typedef struct BsonTypeName
{
	bson_type_t type;
	const char *name;
} BsonTypeName;

static const BsonTypeName type_names[] = {
	{BSON_TYPE_DOUBLE, "double"},
	{BSON_TYPE_UTF8, "string"},
	{BSON_TYPE_DOCUMENT, "object"},
	{BSON_TYPE_ARRAY, "array"},
	{BSON_TYPE_BINARY, "binData"},
	{BSON_TYPE_UNDEFINED, "undefined"},
	{BSON_TYPE_OID, "objectId"},
	{BSON_TYPE_BOOL, "bool"},
	{BSON_TYPE_DATE_TIME, "date"},
	{BSON_TYPE_NULL, "null"},
	{BSON_TYPE_REGEX, "regex"},
	{BSON_TYPE_DBPOINTER, "dbPointer"},
	{BSON_TYPE_CODE, "javascript"},
	{BSON_TYPE_SYMBOL, "symbol"},
	{BSON_TYPE_CODEWSCOPE, "javascriptWithScope"},
	{BSON_TYPE_INT32, "int"},
	{BSON_TYPE_TIMESTAMP, "timestamp"},
	{BSON_TYPE_INT64, "long"},
	{BSON_TYPE_DECIMAL128, "decimal"},
	{BSON_TYPE_MINKEY, "minKey"},
	{BSON_TYPE_MAXKEY, "maxKey"},
};

/* MongoDB's name of a BSON type. */
const char *
lattice_type_name(bson_type_t type)
{
	for (int i = 0; i < lengthof(type_names); i++)
	{
		if (type_names[i].type == type)
			return type_names[i].name;
	}
	return "unknown";
}

/* Counts a whole number in. */
static void
add_whole(LatticeSeen *seen, int64 value)
{
	if (!seen->whole_numbers || value < seen->whole_min)
		seen->whole_min = value;
	if (!seen->whole_numbers || value > seen->whole_max)
		seen->whole_max = value;
	seen->whole_numbers = true;
}

/* Counts a double in, as the whole number that it is where it is one. */
static void
add_double(LatticeSeen *seen, double value)
{
	if (isnan(value) || isinf(value))
		seen->not_finite = true;
	else if (value != rint(value))
		seen->fractions = true;
	else if (FLOAT8_FITS_IN_INT64(value))
		add_whole(seen, (int64) value);
	else
		seen->huge = true;
}

/* Counts the digits in libbson's text form: -?digits[.digits][E[+-]exponent]. */
static void
add_decimal(LatticeSeen *seen, const bson_iter_t *value)
{
	bson_decimal128_t decimal;
	char		decimal_text[BSON_DECIMAL128_STRING];
	char		digits[BSON_DECIMAL128_STRING];
	int			ndigits = 0;
	int			point = -1;
	int			exponent = 0;
	int			before;
	int			after;

	if (!bson_iter_decimal128(value, &decimal))
		return;
	bson_decimal128_to_string(&decimal, decimal_text);

	for (const char *c = decimal_text; *c != '\0'; c++)
	{
		if (*c >= '0' && *c <= '9')
		{
			if (ndigits > 0 || *c != '0' || point >= 0)
				digits[ndigits++] = *c;
		}
		else if (*c == '.')
			point = ndigits;
		else if (*c == 'E')
		{
			exponent = atoi(c + 1);
			break;
		}
		else if (*c != '-')
		{
			seen->not_finite = true;	/* NaN or Infinity */
			return;
		}
	}

	before = (point < 0 ? ndigits : point) + exponent;
	after = ndigits - before;
	seen->decimal_integer_digits = Max(seen->decimal_integer_digits, before);
	seen->decimal_fraction_digits = Max(seen->decimal_fraction_digits, after);

	/* Zeros after the point leave a number whole. */
	while (ndigits > 0 && ndigits > before && digits[ndigits - 1] == '0')
		ndigits--;
	if (ndigits == 0)
		add_whole(seen, 0);
	else if (ndigits > before)
		seen->fractions = true;
	else if (before > 19)
		seen->huge = true;
	else
	{
		uint64		whole = 0;
		uint64		limit = (uint64) PG_INT64_MAX + (decimal_text[0] == '-' ? 1 : 0);

		for (int i = 0; i < before; i++)
			whole = whole * 10 + (i < ndigits ? digits[i] - '0' : 0);
		if (whole > limit)
			seen->huge = true;
		else
			add_whole(seen, decimal_text[0] == '-' ? (int64) (0 - whole) : (int64) whole);
	}
}

/* Counts a string in: its length in characters, and what it may be read as. */
static void
add_string(LatticeSeen *seen, const char *string, uint32 length)
{
	uint32		characters = 0;
	bool		hex = (length == 24);
	bool		ascii = true;

	for (uint32 i = 0; i < length; i++)
	{
		unsigned char c = (unsigned char) string[i];

		if ((c & 0xC0) != 0x80)
			characters++;
		if (c == '\0')
			seen->strings_with_nul = true;
		ascii &= !IS_HIGHBIT_SET(c);
		if (hex && !isxdigit(c))
			hex = false;
	}
	if (!hex)
		seen->strings_not_hex24 = true;
	if (!ascii && !seen->strings_not_text)
		seen->strings_not_text = !text_is_representable(string, length);
	seen->string_max = Max(seen->string_max, characters);
}

/* Adds a value. */
void
lattice_add(LatticeSeen *seen, const bson_iter_t *value)
{
	bson_type_t type = bson_iter_type(value);
	uint32		length;

	seen->types |= LATTICE_BIT(type);

	switch (type)
	{
		case BSON_TYPE_INT32:
			add_whole(seen, bson_iter_int32(value));
			break;
		case BSON_TYPE_INT64:
			add_whole(seen, bson_iter_int64(value));
			break;
		case BSON_TYPE_DOUBLE:
			add_double(seen, bson_iter_double(value));
			break;
		case BSON_TYPE_DECIMAL128:
			add_decimal(seen, value);
			break;
		case BSON_TYPE_UTF8:
			{
				const char *string = bson_iter_utf8(value, &length);

				add_string(seen, string, length);
			}
			break;
		case BSON_TYPE_SYMBOL:
			{
				const char *string = bson_iter_symbol(value, &length);

				add_string(seen, string, length);
			}
			break;
		case BSON_TYPE_BINARY:
			{
				bson_subtype_t subtype;
				const uint8_t *data;

				bson_iter_binary(value, &subtype, &length, &data);
				if (length != 16 ||
					(subtype != BSON_SUBTYPE_UUID && subtype != BSON_SUBTYPE_UUID_DEPRECATED))
					seen->binaries_not_uuid = true;
			}
			break;
		case BSON_TYPE_DATE_TIME:
			{
				int64		date = bson_iter_date_time(value);

				if (date < DATE_FIRST || date >= DATE_END)
					seen->dates_out_of_range = true;
			}
			break;
		default:
			break;
	}
}

/* Adds all that other has seen. */
void
lattice_merge(LatticeSeen *seen, const LatticeSeen *other)
{
	seen->types |= other->types;
	seen->fractions |= other->fractions;
	seen->huge |= other->huge;
	seen->not_finite |= other->not_finite;
	if (other->whole_numbers)
	{
		add_whole(seen, other->whole_min);
		add_whole(seen, other->whole_max);
	}
	seen->decimal_integer_digits = Max(seen->decimal_integer_digits, other->decimal_integer_digits);
	seen->decimal_fraction_digits = Max(seen->decimal_fraction_digits, other->decimal_fraction_digits);
	seen->strings_not_hex24 |= other->strings_not_hex24;
	seen->strings_with_nul |= other->strings_with_nul;
	seen->strings_not_text |= other->strings_not_text;
	seen->string_max = Max(seen->string_max, other->string_max);
	seen->binaries_not_uuid |= other->binaries_not_uuid;
	seen->dates_out_of_range |= other->dates_out_of_range;
}

/* The type for a field in which all values are numbers. */
static const char *
number_type(const LatticeSeen *seen, uint32 types, bool whole_doubles)
{
	bool		whole = !seen->fractions && !seen->huge && !seen->not_finite;

	if (types == DOUBLES && !(whole && whole_doubles))
		return "double precision";
	if ((types & DECIMALS) || !whole || ((types & DOUBLES) && !whole_doubles))
		return "numeric";
	if ((types & LATTICE_BIT(BSON_TYPE_INT64)) ||
		seen->whole_min < PG_INT32_MIN || seen->whole_max > PG_INT32_MAX)
		return "bigint";
	return "integer";
}

/* What a person should know of the values, or NULL. */
static char *
describe(const LatticeSeen *seen, uint32 types)
{
	StringInfoData note;

	initStringInfo(&note);
	if (types == 0)
		appendStringInfoString(&note, "; no value seen");
	else if (types & (types - 1))
	{
		const char *separator = "; values of types ";

		for (int i = 0; i < lengthof(type_names); i++)
		{
			if (types & LATTICE_BIT(type_names[i].type))
			{
				appendStringInfo(&note, "%s%s", separator, type_names[i].name);
				separator = ", ";
			}
		}
	}
	if ((types & DOUBLES) && !(types & DECIMALS) &&
		!seen->fractions && !seen->huge && !seen->not_finite)
		appendStringInfoString(&note, "; every number is whole");
	if (seen->not_finite)
		appendStringInfoString(&note, "; NaN or infinity seen");
	if ((types & STRINGS) == types && types != 0 && !seen->strings_not_hex24)
		appendStringInfoString(&note, "; every string is 24 hex digits");
	if (seen->strings_with_nul)
		appendStringInfoString(&note, "; strings with U+0000, which no text type holds");
	if (seen->strings_not_text)
		appendStringInfo(&note, "; strings that are not valid UTF-8%s, which no type holds",
						 text_server_takes_utf8() ? "" : " or not in the database's encoding");
	if (seen->dates_out_of_range)
		appendStringInfoString(&note, "; dates beyond the range of timestamptz");

	return note.len == 0 ? NULL : note.data + 2;
}

/* The narrowest PostgreSQL type that holds every value seen. */
const char *
lattice_type(const LatticeSeen *seen, bool whole_doubles, char **note)
{
	uint32		types = seen->types & ~NULLS;

	*note = describe(seen, types);

	if (types == 0 || (types & ~STRINGS) == 0)
		return "text";
	if ((types & ~NUMBERS) == 0)
		return number_type(seen, types, whole_doubles);
	if (types == OBJECTIDS)
		return "mongo_migrate.objectid";
	if (types == BOOLEANS)
		return "boolean";
	if (types == DATES)
		return seen->dates_out_of_range ? "text" : "timestamp with time zone";
	if (types == BINARIES)
		return seen->binaries_not_uuid ? "bytea" : "uuid";
	if ((types & ~TEXTUAL) == 0)
		return "text";
	return "jsonb";
}

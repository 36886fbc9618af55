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

#include "bson/lattice.h"
#include "bson/number.h"
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

/* Counts a number in, as the whole number that it is where it is one. */
static void
add_number(LatticeSeen *seen, const bson_iter_t *value)
{
	int64		whole;
	Number		number;

	switch (number_value_to_int64(value, &whole))
	{
		case CONVERT_OK:
			add_whole(seen, whole);
			break;
		case CONVERT_INEXACT:
			seen->fractions = true;
			break;
		default:
			number_from_value(&number, value);
			if (number.kind == NUMBER_FINITE)
				seen->huge = true;
			else
				seen->not_finite = true;
	}
}

/* Counts a string in: its length in characters, and what it may be read as. */
static void
add_string(LatticeSeen *seen, const char *string, size_t length)
{
	uint32		characters = 0;
	bool		hex = (length == 24);
	bool		ascii = true;

	for (size_t i = 0; i < length; i++)
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
	const char *string;
	size_t		length;
	const uint8_t *bytes;
	int64		date;

	seen->types |= LATTICE_BIT(type);

	switch (type)
	{
		case BSON_TYPE_INT32:
		case BSON_TYPE_INT64:
		case BSON_TYPE_DOUBLE:
		case BSON_TYPE_DECIMAL128:
			add_number(seen, value);
			break;
		case BSON_TYPE_UTF8:
		case BSON_TYPE_SYMBOL:
			text_string(value, &string, &length);
			add_string(seen, string, length);
			break;
		case BSON_TYPE_BINARY:
			if (!text_is_uuid(value, &bytes))
				seen->binaries_not_uuid = true;
			break;
		case BSON_TYPE_DATE_TIME:
			date = bson_iter_date_time(value);
			if (date < DATE_FIRST || date >= DATE_END)
				seen->dates_out_of_range = true;
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

/*
 * text.c
 *	  Strings of BSON in the database's encoding, and scalars as text.
 *
 * BSON strings are UTF-8 and may hold U+0000.  Nothing here throws for a
 * string that is invalid or has no form in the database's encoding.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/number.h"
#include "bson/text.h"
#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#define MS_PER_DAY INT64CONST(86400000)

/* Is it ASCII, which is the same in every encoding, and without U+0000? */
static inline bool
is_plain_ascii(const char *utf8, size_t length)
{
	const uint64 high = UINT64CONST(0x8080808080808080);
	const uint64 low = UINT64CONST(0x0101010101010101);
	uint64		chunk;

	for (; length >= sizeof(chunk); length -= sizeof(chunk), utf8 += sizeof(chunk))
	{
		memcpy(&chunk, utf8, sizeof(chunk));
		if (((chunk - low) | chunk) & high)
			return false;
	}
	for (; length > 0; length--, utf8++)
	{
		if (*utf8 == '\0' || IS_HIGHBIT_SET(*utf8))
			return false;
	}
	return true;
}

/* Looks at the bytes of a string. */
ConvertStatus
text_check(const char *utf8, size_t length)
{
	if (pg_verify_mbstr(PG_UTF8, utf8, length, true))
		return CONVERT_OK;
	return memchr(utf8, 0, length) != NULL ? CONVERT_NUL_BYTE : CONVERT_BAD_ENCODING;
}

/* Is no conversion needed? */
bool
text_server_takes_utf8(void)
{
	int			encoding = GetDatabaseEncoding();

	return encoding == PG_UTF8 || encoding == PG_SQL_ASCII;
}

/* Converts to a database encoding other than UTF-8. */
static ConvertStatus
recode(const char *utf8, size_t length, const char **result, size_t *result_length)
{
	static Oid	conversion = InvalidOid;
	int			size = length * MAX_CONVERSION_GROWTH + 1;
	char	   *buffer;

	if (length >= MaxAllocSize / MAX_CONVERSION_GROWTH)
		return CONVERT_TOO_LONG;
	if (!OidIsValid(conversion))
		conversion = FindDefaultConversionProc(PG_UTF8, GetDatabaseEncoding());
	if (!OidIsValid(conversion))
		return CONVERT_BAD_ENCODING;

	buffer = palloc(size);
	if (pg_do_encoding_conversion_buf(conversion, PG_UTF8, GetDatabaseEncoding(),
									  (unsigned char *) unconstify(char *, utf8), length,
									  (unsigned char *) buffer, size, true) != length)
	{
		pfree(buffer);
		return CONVERT_BAD_ENCODING;
	}
	*result = buffer;
	*result_length = strlen(buffer);
	return CONVERT_OK;
}

/* A checked string in the database's encoding. */
ConvertStatus
text_to_server(const char *utf8, size_t length, const char **result, size_t *result_length)
{
	ConvertStatus status;

	*result = utf8;
	*result_length = length;
	if (is_plain_ascii(utf8, length))
		return CONVERT_OK;
	status = text_check(utf8, length);
	if (status != CONVERT_OK || text_server_takes_utf8())
		return status;
	return recode(utf8, length, result, result_length);
}

/* Is it a string, maybe with U+0000, that the database's encoding can hold? */
bool
text_is_representable(const char *utf8, size_t length)
{
	const char *text;
	size_t		text_length;
	ConvertStatus status = text_to_server(utf8, length, &text, &text_length);

	if (text != utf8)
		pfree(unconstify(char *, text));
	return status != CONVERT_BAD_ENCODING;
}

/*
 * Year, month and day of a day counted from 1970-01-01 in the proleptic
 * Gregorian calendar; j2date() does not reach as far as BSON dates.  Years are
 * taken to begin in March, so that the leap day is the last.
 */
static void
civil_from_day(int64 day, int64 *year, int *month, int *mday)
{
	int64		shifted = day + 719468; /* from 0000-03-01 */
	int64		era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	int			day_of_era = shifted - era * 146097;
	int			year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
							   day_of_era / 146096) / 365;
	int			day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 -
											year_of_era / 100);
	int			march_month = (5 * day_of_year + 2) / 153;

	*mday = day_of_year - (153 * march_month + 2) / 5 + 1;
	*month = march_month < 10 ? march_month + 3 : march_month - 9;
	*year = era * 400 + year_of_era + (*month <= 2 ? 1 : 0);
}

/* A date in ISO 8601 form, UTC. */
int
text_date(int64 milliseconds, char buffer[TEXT_SCALAR_SIZE])
{
	int64		day = milliseconds / MS_PER_DAY;
	int			rest = milliseconds % MS_PER_DAY;
	int64		year;
	int			month;
	int			mday;
	char	   *out = buffer;

	if (rest < 0)
	{
		rest += MS_PER_DAY;
		day--;
	}
	civil_from_day(day, &year, &month, &mday);

	if (year < 0 || year > 9999)
		*out++ = year < 0 ? '-' : '+';
	out = pg_ultostr_zeropad(out, (uint32) (year < 0 ? -year : year),
							 year < 0 || year > 9999 ? 6 : 4);
	*out++ = '-';
	out = pg_ultostr_zeropad(out, month, 2);
	*out++ = '-';
	out = pg_ultostr_zeropad(out, mday, 2);
	*out++ = 'T';
	out = pg_ultostr_zeropad(out, rest / 3600000, 2);
	*out++ = ':';
	out = pg_ultostr_zeropad(out, rest / 60000 % 60, 2);
	*out++ = ':';
	out = pg_ultostr_zeropad(out, rest / 1000 % 60, 2);
	if (rest % 1000 != 0)
	{
		*out++ = '.';
		out = pg_ultostr_zeropad(out, rest % 1000, 3);
	}
	*out++ = 'Z';
	*out = '\0';
	return out - buffer;
}

/* Is the value a UUID? */
bool
text_is_uuid(const bson_iter_t *value, const uint8_t **bytes)
{
	bson_subtype_t subtype;
	uint32_t	length;

	if (bson_iter_type_unsafe(value) != BSON_TYPE_BINARY)
		return false;
	bson_iter_binary(value, &subtype, &length, bytes);
	return length == 16 &&
		(subtype == BSON_SUBTYPE_UUID || subtype == BSON_SUBTYPE_UUID_DEPRECATED);
}

/* Writes bytes as lower-case hex and returns the end; no NUL. */
static char *
put_hex(char *out, const uint8_t *bytes, int count)
{
	static const char digits[] = "0123456789abcdef";

	for (int i = 0; i < count; i++)
	{
		*out++ = digits[bytes[i] >> 4];
		*out++ = digits[bytes[i] & 15];
	}
	return out;
}

/* A UUID in its usual form. */
int
text_uuid(const uint8_t *bytes, char buffer[TEXT_SCALAR_SIZE])
{
	static const int groups[] = {4, 2, 2, 2, 6};
	char	   *out = buffer;

	for (int i = 0; i < lengthof(groups); i++)
	{
		if (i > 0)
			*out++ = '-';
		out = put_hex(out, bytes, groups[i]);
		bytes += groups[i];
	}
	*out = '\0';
	return out - buffer;
}

/* 24 hexadecimal digits. */
int
text_objectid(const bson_oid_t *oid, char buffer[TEXT_SCALAR_SIZE])
{
	*put_hex(buffer, oid->bytes, 12) = '\0';
	return 24;
}

/* A scalar in canonical text form. */
int
text_scalar(const bson_iter_t *value, char buffer[TEXT_SCALAR_SIZE])
{
	const uint8_t *bytes;

	switch (bson_iter_type_unsafe(value))
	{
		case BSON_TYPE_OID:
			return text_objectid(bson_iter_oid_unsafe(value), buffer);
		case BSON_TYPE_INT32:
		case BSON_TYPE_INT64:
		case BSON_TYPE_DOUBLE:
		case BSON_TYPE_DECIMAL128:
			return number_value_text(value, buffer);
		case BSON_TYPE_BOOL:
			return strlcpy(buffer, bson_iter_bool_unsafe(value) ? "true" : "false",
						   TEXT_SCALAR_SIZE);
		case BSON_TYPE_DATE_TIME:
			return text_date(bson_iter_int64_unsafe(value), buffer);
		case BSON_TYPE_BINARY:
			return text_is_uuid(value, &bytes) ? text_uuid(bytes, buffer) : -1;
		default:
			return -1;
	}
}

/* The bytes of a string, symbol or code. */
bool
text_string(const bson_iter_t *value, const char **utf8, size_t *length)
{
	switch (bson_iter_type_unsafe(value))
	{
		case BSON_TYPE_UTF8:
		case BSON_TYPE_SYMBOL:
		case BSON_TYPE_CODE:
			*utf8 = (const char *) value->raw + value->d2;
			*length = bson_iter_utf8_len_unsafe(value);
			return true;
		default:
			return false;
	}
}

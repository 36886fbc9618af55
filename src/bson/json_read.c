/*
 * json_read.c
 *	  Extended JSON v2 to BSON, number by number exactly.
 *
 * The text comes out of a json or jsonb value, so that its syntax is right.
 * libbson's reader takes a number that is not an integer for a double; this one
 * keeps its digits, as a decimal where a double does not have them.  Objects
 * that stand for a value of BSON, such as {"$oid": ...}, are known by their
 * first key, and are left to libbson but for the most frequent.
 *
 * Nothing is owned but strings in CurrentMemoryContext; nothing throws for data.
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "bson/json_read.h"
#include "bson/number.h"
#include "bson/walk.h"
#include "error.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/datetime.h"

/* The text that is left to read. */
typedef struct JsonReader
{
	const char *at;
	const char *end;
	const char **detail;
} JsonReader;

/* First keys of objects that stand for a value; in jsonb too they come first. */
static const char *const special_keys[] = {
	"$oid", "$date", "$numberInt", "$numberLong", "$numberDouble", "$numberDecimal", "$binary",
	"$uuid", "$regularExpression", "$code", "$symbol", "$dbPointer", "$timestamp", "$minKey",
	"$maxKey", "$undefined"
};

static ConvertStatus read_value(JsonReader *reader, bson_t *document, const char *key,
								int key_length, int depth);

static void
skip_space(JsonReader *reader)
{
	while (reader->at < reader->end && strchr(" \t\r\n", *reader->at) != NULL)
		reader->at++;
}

/* Takes the character if it is the next one. */
static bool
take(JsonReader *reader, char c)
{
	skip_space(reader);
	if (reader->at >= reader->end || *reader->at != c)
		return false;
	reader->at++;
	return true;
}

/* Four hexadecimal digits. */
static uint32
read_hex4(JsonReader *reader)
{
	uint32		value = 0;

	for (int i = 0; i < 4 && reader->at < reader->end; i++, reader->at++)
	{
		char		c = *reader->at;

		value = value * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
	}
	return value;
}

/* What follows a backslash. */
static ConvertStatus
read_escape(JsonReader *reader, StringInfo out)
{
	static const char from[] = "bfnrt";
	static const char to[] = "\b\f\n\r\t";
	char		c = *reader->at++;
	const char *found = strchr(from, c);
	unsigned char utf8[8];
	uint32		codepoint;

	if (c != 'u')
	{
		appendStringInfoChar(out, found != NULL ? to[found - from] : c);
		return CONVERT_OK;
	}
	codepoint = read_hex4(reader);
	if (is_utf16_surrogate_first(codepoint) && reader->end - reader->at >= 6 &&
		reader->at[0] == '\\' && reader->at[1] == 'u')
	{
		uint32		second;

		reader->at += 2;
		second = read_hex4(reader);
		if (!is_utf16_surrogate_second(second))
			return CONVERT_BAD_ENCODING;
		codepoint = surrogate_pair_to_codepoint(codepoint, second);
	}
	if (is_utf16_surrogate_first(codepoint) || is_utf16_surrogate_second(codepoint))
		return CONVERT_BAD_ENCODING;
	unicode_to_utf8(codepoint, utf8);
	appendBinaryStringInfo(out, (char *) utf8, pg_utf_mblen(utf8));
	return CONVERT_OK;
}

/* A string, the opening quote of which is taken already. */
static ConvertStatus
read_string(JsonReader *reader, StringInfo out)
{
	initStringInfo(out);
	while (reader->at < reader->end && *reader->at != '"')
	{
		ConvertStatus status;

		if (*reader->at != '\\')
		{
			const char *run = reader->at;

			while (reader->at < reader->end && *reader->at != '"' && *reader->at != '\\')
				reader->at++;
			appendBinaryStringInfo(out, run, reader->at - run);
			continue;
		}
		reader->at++;
		status = read_escape(reader, out);
		if (status != CONVERT_OK)
			return status;
	}
	reader->at++;
	return CONVERT_OK;
}

/* A number: the first type that holds its digits. */
static ConvertStatus
read_number(JsonReader *reader, bson_t *document, const char *key, int key_length)
{
	const char *text = reader->at;
	bool		integer = true;
	ConvertStatus status;
	Number		number;
	double		real;
	int64		whole;

	for (; reader->at < reader->end && strchr("+-.0123456789eE", *reader->at) != NULL; reader->at++)
		integer &= strchr(".eE", *reader->at) == NULL;
	status = number_from_text(&number, text, reader->at - text);
	if (status != CONVERT_OK)
		return status;
	if (integer && number_to_int64(number, &whole) == CONVERT_OK)
		return appended(whole >= PG_INT32_MIN && whole <= PG_INT32_MAX ?
						bson_append_int32(document, key, key_length, (int32) whole) :
						bson_append_int64(document, key, key_length, whole));
	return number_append(&number, number_to_double(number, &real) == CONVERT_OK ? BSON_TYPE_DOUBLE :
						 BSON_TYPE_DECIMAL128, document, key, key_length);
}

/* Goes to the end of the object or array that begins here. */
static void
skip_container(JsonReader *reader)
{
	int			level = 0;

	while (reader->at < reader->end)
	{
		char		c = *reader->at++;

		if (c == '"')
		{
			for (; reader->at < reader->end && *reader->at != '"'; reader->at++)
				reader->at += *reader->at == '\\';
			reader->at++;
		}
		else if (c == '{' || c == '[')
			level++;
		else if ((c == '}' || c == ']') && --level == 0)
			return;
	}
}

/* The key that the object has first, if it is one of special_keys, else NULL. */
static const char *
find_special(JsonReader reader)
{
	if (!take(&reader, '{') || !take(&reader, '"') || *reader.at != '$')
		return NULL;
	for (int i = 0; i < lengthof(special_keys); i++)
	{
		size_t		length = strlen(special_keys[i]);

		if (reader.end - reader.at > length && strncmp(reader.at, special_keys[i], length) == 0 &&
			reader.at[length] == '"')
			return special_keys[i];
	}
	return NULL;
}

/* Whether a key, first in an object, makes it stand for a value. */
bool
json_key_is_special(const char *key, size_t length)
{
	for (int i = 0; i < lengthof(special_keys); i++)
		if (strlen(special_keys[i]) == length && memcmp(special_keys[i], key, length) == 0)
			return true;
	return false;
}

/* Sixteen bytes from a UUID's text. */
bool
json_read_uuid(const char *text, size_t length, uint8 *bytes)
{
	if (length != 36)
		return false;
	for (int i = 0, n = 0; i < 36; i++)
	{
		int			digit;

		if (i == 8 || i == 13 || i == 18 || i == 23)
		{
			if (text[i] != '-')
				return false;
			continue;
		}
		if (!isxdigit((unsigned char) text[i]))
			return false;
		digit = text[i] <= '9' ? text[i] - '0' : (text[i] | 0x20) - 'a' + 10;
		bytes[n / 2] = n % 2 == 0 ? digit << 4 : bytes[n / 2] | digit;
		n++;
	}
	return true;
}

/* Goes to the value of the first key of an object; false when there is none. */
static bool
take_key(JsonReader *reader)
{
	StringInfoData name;
	bool		taken = take(reader, '{') && take(reader, '"') &&
		read_string(reader, &name) == CONVERT_OK && take(reader, ':');

	skip_space(reader);
	return taken;
}

/* The string of {"$oid": "..."} and the like, which have nothing else; false when it is not so. */
static bool
read_special_string(JsonReader reader, StringInfo string)
{
	return take_key(&reader) && take(&reader, '"') && read_string(&reader, string) == CONVERT_OK &&
		take(&reader, '}');
}

/* Is there an object with a special key first, and that one? */
static bool
is_special(JsonReader reader, const char *key)
{
	const char *special = find_special(reader);

	return special != NULL && strcmp(special, key) == 0;
}

/* The milliseconds of {"$date": {"$numberLong": "..."}}; false when it is not so. */
static bool
read_special_date(JsonReader reader, StringInfo string)
{
	if (!take_key(&reader) || !is_special(reader, "$numberLong") ||
		!read_special_string(reader, string))
		return false;
	skip_container(&reader);
	return take(&reader, '}');
}

/* A string of digits, with a sign maybe. */
static bool
is_integer(StringInfo string, int64 *whole)
{
	char	   *end;

	if (string->len == 0 || strspn(string->data, "-0123456789") != string->len)
		return false;
	errno = 0;
	*whole = strtoll(string->data, &end, 10);
	return errno == 0 && *end == '\0';
}

/* A string that is a finite double. */
static bool
is_double(StringInfo string, double *real)
{
	char	   *end;

	if (string->len == 0 || strspn(string->data, "+-.0123456789eE") != string->len)
		return false;
	errno = 0;
	*real = strtod(string->data, &end);

	/* A subnormal one is found to be out of range, too. */
	return *end == '\0' && (errno == 0 || (*real != 0 && !isinf(*real)));
}

/*
 * The numbers and dates that nearly all documents are full of; false: what it
 * is is for libbson to say.
 */
static bool
read_frequent(JsonReader reader, const char *name, bson_t *document, const char *key, int key_length,
			  ConvertStatus *status)
{
	StringInfoData string;
	int64		whole;
	double		real;

	if (strcmp(name, "$date") == 0)
	{
		if (!read_special_date(reader, &string) || !is_integer(&string, &whole))
			return false;
		*status = appended(bson_append_date_time(document, key, key_length, whole));
		return true;
	}
	if (strncmp(name, "$number", 7) != 0 || !read_special_string(reader, &string))
		return false;
	if (strcmp(name, "$numberLong") == 0 && is_integer(&string, &whole))
		*status = appended(bson_append_int64(document, key, key_length, whole));
	else if (strcmp(name, "$numberInt") == 0 && is_integer(&string, &whole) &&
			 whole >= PG_INT32_MIN && whole <= PG_INT32_MAX)
		*status = appended(bson_append_int32(document, key, key_length, (int32) whole));
	else if (strcmp(name, "$numberDouble") == 0 && is_double(&string, &real))
		*status = appended(bson_append_double(document, key, key_length, real));
	else
		return false;
	return true;
}

/* The string that a field has in {"$binary": {...}} and the like; false where it is none. */
static bool
find_inner_string(JsonReader reader, const char *field, StringInfo value)
{
	StringInfoData name;

	if (!take_key(&reader) || !take(&reader, '{'))
		return false;
	while (take(&reader, '"') && read_string(&reader, &name) == CONVERT_OK && take(&reader, ':') &&
		   take(&reader, '"') && read_string(&reader, value) == CONVERT_OK)
	{
		if (strcmp(name.data, field) == 0)
			return true;
		take(&reader, ',');
	}
	return false;
}

/* Is it {"$date": {}}, or another object that does not say when? */
static bool
is_no_time(JsonReader reader)
{
	return take_key(&reader) && *reader.at == '{' && !is_special(reader, "$numberLong");
}

/* Has {"$date": "2024-02-30T00:00:00Z"} a day that its month does not have? */
static bool
is_no_day(JsonReader reader)
{
	StringInfoData string;
	int			year;
	int			month;
	int			day;

	return read_special_string(reader, &string) &&
		sscanf(string.data, "%4d-%2d-%2d", &year, &month, &day) == 3 &&
		month >= 1 && month <= 12 && day > day_tab[isleap(year)][month - 1];
}

/* Is there a number in a text that has more than 32 bits? */
static bool
has_large_number(const char *text, const char *end)
{
	while (text < end)
	{
		char	   *rest = unconstify(char *, text) + 1;

		if (isdigit((unsigned char) *text) && strtoull(text, &rest, 10) > PG_UINT32_MAX)
			return true;
		text = rest;
	}
	return false;
}

/* Why libbson would not read the object at hand as what it says, without a word; or NULL. */
static const char *
find_loss(JsonReader reader, const char *name, const char *end)
{
	StringInfoData string;

	if ((strcmp(name, "$code") == 0 || strcmp(name, "$dbPointer") == 0) &&
		strstr(pnstrdup(reader.at, end - reader.at), "\\u0000") != NULL)
		return psprintf("%s with \\u0000 cannot be read", name);
	if (strcmp(name, "$regularExpression") == 0 && find_inner_string(reader, "options", &string) &&
		strspn(string.data, "ilmsux") != string.len)
		return "a regular expression has the options i, l, m, s, u and x";
	if (strcmp(name, "$binary") == 0 && find_inner_string(reader, "subType", &string) && string.len > 2)
		return "a subtype has two hexadecimal digits";
	if (strcmp(name, "$date") == 0 && is_no_time(reader))
		return "a date that is an object has $numberLong";
	if (strcmp(name, "$date") == 0 && is_no_day(reader))
		return "the month has no such day";
	if (strcmp(name, "$timestamp") == 0 && has_large_number(reader.at, end))
		return "a timestamp has numbers of 32 bits";
	return NULL;
}

/* An object that stands for a value, by libbson. */
static ConvertStatus
read_by_driver(JsonReader *reader, const char *text, int length, bson_t *document,
			   const char *key, int key_length)
{
	char	   *wrapped = psprintf("{\"v\": %.*s}", length, text);
	bson_error_t error;
	bson_t	   *read = bson_new_from_json((const uint8_t *) wrapped, -1, &error);
	bson_iter_t iter;
	ConvertStatus status = CONVERT_BAD_SYNTAX;

	pfree(wrapped);
	if (read == NULL)
	{
		*reader->detail = mongo_error_text(error.message);
		return CONVERT_BAD_SYNTAX;
	}
	if (bson_iter_init_find(&iter, read, "v") && !BSON_ITER_HOLDS_DOCUMENT(&iter))
		status = appended(bson_append_iter(document, key, key_length, &iter));
	bson_destroy(read);
	return status;
}

/* An object that stands for a value. */
static ConvertStatus
read_special(JsonReader *reader, const char *name, bson_t *document, const char *key,
			 int key_length)
{
	const char *text = reader->at;
	JsonReader	copy = *reader;
	StringInfoData string;
	bson_oid_t	oid;
	uint8		uuid[16];
	Number		number;
	ConvertStatus status;

	skip_container(reader);
	if (read_frequent(copy, name, document, key, key_length, &status))
		return status;
	if (strcmp(name, "$oid") == 0)
	{
		if (!read_special_string(copy, &string) || !bson_oid_is_valid(string.data, string.len) ||
			string.len != 24)
			return CONVERT_BAD_SYNTAX;
		bson_oid_init_from_string(&oid, string.data);
		return appended(bson_append_oid(document, key, key_length, &oid));
	}
	if (strcmp(name, "$uuid") == 0)
	{
		if (!read_special_string(copy, &string) || !json_read_uuid(string.data, string.len, uuid))
			return CONVERT_BAD_SYNTAX;
		return appended(bson_append_binary(document, key, key_length, BSON_SUBTYPE_UUID, uuid,
										   sizeof(uuid)));
	}

	/* libbson makes NaN or 0 of what it cannot read. */
	if (strcmp(name, "$numberDecimal") == 0 || strcmp(name, "$numberDouble") == 0)
	{
		if (!read_special_string(copy, &string))
			return CONVERT_BAD_SYNTAX;
		status = number_from_text(&number, string.data, string.len);
		return status != CONVERT_OK ? status :
			number_append(&number, strcmp(name, "$numberDouble") == 0 ? BSON_TYPE_DOUBLE :
						  BSON_TYPE_DECIMAL128, document, key, key_length);
	}
	*reader->detail = find_loss(copy, name, reader->at);
	if (*reader->detail != NULL)
		return CONVERT_BAD_SYNTAX;
	return read_by_driver(reader, text, reader->at - text, document, key, key_length);
}

/* The elements of an object or array, the opening of which is taken already. */
static ConvertStatus
read_elements(JsonReader *reader, bool array, bson_t *document, int depth)
{
	char		close = array ? ']' : '}';
	uint32		position = 0;
	ConvertStatus status;

	if (take(reader, close))
		return CONVERT_OK;
	do
	{
		char		buffer[16];
		const char *key;
		StringInfoData name;
		int			length;

		CHECK_FOR_INTERRUPTS();
		if (array)
			length = bson_uint32_to_string(position++, &key, buffer, sizeof(buffer));
		else
		{
			if (!take(reader, '"'))
				return CONVERT_BAD_SYNTAX;
			status = read_string(reader, &name);
			if (status != CONVERT_OK)
				return status;
			if (memchr(name.data, 0, name.len) != NULL)
				return CONVERT_NUL_BYTE;
			key = name.data;
			length = name.len;
			take(reader, ':');
		}
		status = read_value(reader, document, key, length, depth);
		if (!array)
			pfree(name.data);
		if (status != CONVERT_OK)
			return status;
	} while (take(reader, ','));
	return take(reader, close) ? CONVERT_OK : CONVERT_BAD_SYNTAX;
}

/* An object or array. */
static ConvertStatus
read_container(JsonReader *reader, bson_t *document, const char *key, int key_length, int depth)
{
	bool		array = *reader->at == '[';
	bson_t		child;
	ConvertStatus status;

	if (depth >= WALK_MAX_DEPTH)
		return CONVERT_TOO_DEEP;
	reader->at++;
	if (!(array ? bson_append_array_begin(document, key, key_length, &child) :
		  bson_append_document_begin(document, key, key_length, &child)))
		return CONVERT_TOO_LONG;
	status = read_elements(reader, array, &child, depth + 1);
	if (!(array ? bson_append_array_end(document, &child) :
		  bson_append_document_end(document, &child)) && status == CONVERT_OK)
		return CONVERT_TOO_LONG;
	return status;
}

/* Any value. */
static ConvertStatus
read_value(JsonReader *reader, bson_t *document, const char *key, int key_length, int depth)
{
	const char *special;
	StringInfoData string;
	ConvertStatus status;

	skip_space(reader);
	if (reader->at >= reader->end)
		return CONVERT_BAD_SYNTAX;
	switch (*reader->at)
	{
		case '{':
			special = find_special(*reader);
			if (special != NULL)
				return read_special(reader, special, document, key, key_length);
			return read_container(reader, document, key, key_length, depth);
		case '[':
			return read_container(reader, document, key, key_length, depth);
		case '"':
			reader->at++;
			status = read_string(reader, &string);
			if (status == CONVERT_OK)
				status = appended(bson_append_utf8(document, key, key_length, string.data, string.len));
			pfree(string.data);
			return status;
		case 't':
			reader->at += 4;
			return appended(bson_append_bool(document, key, key_length, true));
		case 'f':
			reader->at += 5;
			return appended(bson_append_bool(document, key, key_length, false));
		case 'n':
			reader->at += 4;
			return appended(bson_append_null(document, key, key_length));
		default:
			return read_number(reader, document, key, key_length);
	}
}

/* Appends a value in JSON as a field; see json_read.h. */
ConvertStatus
json_read_value(const char *utf8, size_t length, bson_t *document, const char *key,
				int key_length, const char **detail)
{
	JsonReader	reader = {.at = utf8,.end = utf8 + length,.detail = detail};

	*detail = NULL;
	return read_value(&reader, document, key, key_length, 0);
}

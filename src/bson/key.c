/*
 * key.c
 *	  Keys: equal bytes exactly where MongoDB says that two values are equal.
 *
 * A key begins with a BSON type byte, and is followed by the value:
 *
 *	int32, int64	big-endian; int64 only for what int32 cannot hold
 *	double			big-endian; only for what no int64 equals
 *	decimal128		text, NUL; only for what no double equals
 *	string, code	length, bytes; a symbol is a string
 *	document		for each field 1, name, NUL, the value's key; at the end 0
 *	array			for each element 1, its key; at the end 0
 *	the others		their bytes, lengths before what has no other end
 *
 * MongoDB compares numbers by their exact values (a double 0.1 is not the
 * decimal 0.1), so each number takes the first of these forms that equals it.
 * All NaNs are one, and so are 0, -0.0 and 0E+3.  Lengths are in seven bits a
 * byte, low ones first.  A collection's collation is not looked at: its _id
 * values are compared as bytes.
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "bson/convert_private.h"
#include "bson/key.h"
#include "bson/number.h"
#include "bson/text.h"
#include "bson/walk.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "owned.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/float.h"

#define KEY_END		0
#define KEY_FIELD	1

static ConvertStatus append_key(StringInfo key, const bson_iter_t *value, int depth);

/* A length, seven bits a byte. */
static void
append_length(StringInfo key, uint32 length)
{
	for (; length >= 0x80; length >>= 7)
		appendStringInfoCharMacro(key, (char) (0x80 | (length & 0x7f)));
	appendStringInfoCharMacro(key, (char) length);
}

/* A length and that many bytes. */
static void
append_bytes(StringInfo key, const void *bytes, uint32 length)
{
	append_length(key, length);
	appendBinaryStringInfo(key, bytes, length);
}

/* Eight bytes, big-endian. */
static void
append_int64(StringInfo key, int64 value)
{
	uint64		big_endian = pg_hton64((uint64) value);

	appendBinaryStringInfo(key, (const char *) &big_endian, sizeof(big_endian));
}

/* A whole number within int64. */
static void
append_whole(StringInfo key, int64 value)
{
	uint32		big_endian;

	if (value < PG_INT32_MIN || value > PG_INT32_MAX)
	{
		appendStringInfoCharMacro(key, BSON_TYPE_INT64);
		append_int64(key, value);
		return;
	}
	big_endian = pg_hton32((uint32) value);
	appendStringInfoCharMacro(key, BSON_TYPE_INT32);
	appendBinaryStringInfo(key, (const char *) &big_endian, sizeof(big_endian));
}

/* A double that no int64 equals. */
static void
append_double(StringInfo key, double value)
{
	int64		bits;

	if (isnan(value))
		value = get_float8_nan();
	memcpy(&bits, &value, sizeof(bits));
	appendStringInfoCharMacro(key, BSON_TYPE_DOUBLE);
	append_int64(key, bits);
}

/* A decimal128 that no int64 equals. */
static void
append_decimal(StringInfo key, const bson_iter_t *value)
{
	Number		number;
	double		real;
	char		digits[NUMBER_TEXT_SIZE];

	number_from_value(&number, value);
	if (number.kind == NUMBER_NAN)
		append_double(key, get_float8_nan());
	else if (number.kind == NUMBER_INFINITE)
		append_double(key, number.negative ? -get_float8_infinity() : get_float8_infinity());
	else if (number_is_double(&number, &real))
		append_double(key, real);
	else
	{
		number_strip(&number);
		appendStringInfoCharMacro(key, BSON_TYPE_DECIMAL128);
		appendStringInfo(key, "%s%sE%d", number.negative ? "-" : "",
						 number_digits(number.coefficient, digits), number.exponent);
		appendStringInfoCharMacro(key, '\0');
	}
}

/* A number in the first form that equals it. */
static void
append_number(StringInfo key, const bson_iter_t *value)
{
	int64		whole;

	if (number_value_to_int64(value, &whole) == CONVERT_OK)
		append_whole(key, whole);
	else if (bson_iter_type_unsafe(value) == BSON_TYPE_DOUBLE)
		append_double(key, bson_iter_double_unsafe(value));
	else
		append_decimal(key, value);
}

/* The fields of a document, or without names the elements of an array. */
static ConvertStatus
append_fields(StringInfo key, Walk *walk, bool array, int depth)
{
	ConvertStatus status;

	if (depth > WALK_MAX_DEPTH)
		return CONVERT_TOO_DEEP;
	while (bson_iter_next(&walk->iter))
	{
		appendStringInfoCharMacro(key, KEY_FIELD);
		if (!array)
			appendBinaryStringInfo(key, bson_iter_key_unsafe(&walk->iter),
								   walk_key_length(&walk->iter) + 1);
		status = append_key(key, &walk->iter, depth);
		if (status != CONVERT_OK)
			return status;
	}
	appendStringInfoCharMacro(key, KEY_END);
	return walk_ended_well(walk) ? CONVERT_OK : CONVERT_CORRUPT;
}

/* Types that keep their type byte and are not nested. */
static ConvertStatus
append_other(StringInfo key, const bson_iter_t *value)
{
	bson_type_t type = bson_iter_type_unsafe(value);
	bson_subtype_t subtype;
	uint32_t	length;
	uint32_t	increment;
	const uint8_t *bytes;
	const char *text;
	const char *options;
	const bson_oid_t *oid;

	appendStringInfoCharMacro(key, type);
	switch (type)
	{
		case BSON_TYPE_MINKEY:
		case BSON_TYPE_MAXKEY:
		case BSON_TYPE_NULL:
		case BSON_TYPE_UNDEFINED:
			return CONVERT_OK;
		case BSON_TYPE_OID:
			appendBinaryStringInfo(key, (const char *) bson_iter_oid_unsafe(value),
								   sizeof(bson_oid_t));
			return CONVERT_OK;
		case BSON_TYPE_BOOL:
			appendStringInfoCharMacro(key, bson_iter_bool_unsafe(value) ? 1 : 0);
			return CONVERT_OK;
		case BSON_TYPE_DATE_TIME:
			append_int64(key, bson_iter_int64_unsafe(value));
			return CONVERT_OK;
		case BSON_TYPE_TIMESTAMP:
			bson_iter_timestamp(value, &length, &increment);
			append_int64(key, (int64) (((uint64) length << 32) | increment));
			return CONVERT_OK;
		case BSON_TYPE_BINARY:
			bson_iter_binary(value, &subtype, &length, &bytes);
			appendStringInfoCharMacro(key, (char) subtype);
			append_bytes(key, bytes, length);
			return CONVERT_OK;
		case BSON_TYPE_REGEX:
			text = bson_iter_regex(value, &options);

			appendBinaryStringInfo(key, text, strlen(text) + 1);
			appendBinaryStringInfo(key, options, strlen(options) + 1);
			return CONVERT_OK;
		case BSON_TYPE_DBPOINTER:
			bson_iter_dbpointer(value, &length, &text, &oid);
			append_bytes(key, text, length);
			appendBinaryStringInfo(key, (const char *) oid, sizeof(bson_oid_t));
			return CONVERT_OK;
		default:
			return CONVERT_CORRUPT;
	}
}

/* Appends the key of a value. */
static ConvertStatus
append_key(StringInfo key, const bson_iter_t *value, int depth)
{
	bson_type_t type = bson_iter_type_unsafe(value);
	uint32_t	length;
	uint32_t	scope_length;
	const uint8_t *scope;
	const char *text;
	Walk		walk;

	switch (type)
	{
		case BSON_TYPE_INT32:
		case BSON_TYPE_INT64:
		case BSON_TYPE_DOUBLE:
		case BSON_TYPE_DECIMAL128:
			append_number(key, value);
			return CONVERT_OK;
		case BSON_TYPE_UTF8:
		case BSON_TYPE_SYMBOL:
		case BSON_TYPE_CODE:
			appendStringInfoCharMacro(key, type == BSON_TYPE_CODE ? BSON_TYPE_CODE : BSON_TYPE_UTF8);
			append_bytes(key, value->raw + value->d2, bson_iter_utf8_len_unsafe(value));
			return CONVERT_OK;
		case BSON_TYPE_DOCUMENT:
		case BSON_TYPE_ARRAY:
			if (!walk_enter(&walk, value))
				return CONVERT_CORRUPT;
			appendStringInfoCharMacro(key, type);
			return append_fields(key, &walk, type == BSON_TYPE_ARRAY, depth + 1);
		case BSON_TYPE_CODEWSCOPE:
			text = bson_iter_codewscope(value, &length, &scope_length, &scope);

			if (!walk_start(&walk, scope, scope_length))
				return CONVERT_CORRUPT;
			appendStringInfoCharMacro(key, BSON_TYPE_CODEWSCOPE);
			append_bytes(key, text, length);
			return append_fields(key, &walk, false, depth + 1);
		default:
			return append_other(key, value);
	}
}

/* Appends the key of a value; a status other than CONVERT_OK leaves half a key. */
ConvertStatus
key_try_append(StringInfo key, const bson_iter_t *value)
{
	return append_key(key, value, 0);
}

/* Appends the key of a value, or throws. */
void
key_append(StringInfo key, const bson_iter_t *value)
{
	ConvertStatus status = key_try_append(key, value);

	if (status != CONVERT_OK)
		ereport(ERROR,
				(errcode(convert_sqlstate(status)),
				 errmsg("%s", convert_message(status, NULL, value))));
}

/* The key of a value. */
bytea *
key_bytes(const bson_iter_t *value)
{
	StringInfoData key;

	initStringInfo(&key);
	appendStringInfoSpaces(&key, VARHDRSZ);
	key_append(&key, value);
	SET_VARSIZE(key.data, key.len);
	return (bytea *) key.data;
}

/* A key being read. */
typedef struct KeyReader
{
	const char *next;
	const char *end;
	int			depth;			/* of documents and arrays */
} KeyReader;

/* Throws. */
static void
bad_key(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATA_CORRUPTED),
			 errmsg("these bytes are no key of a MongoDB value")));
}

/* The next bytes of a key. */
static const char *
read_bytes(KeyReader *reader, size_t length)
{
	const char *bytes = reader->next;

	if ((size_t) (reader->end - reader->next) < length)
		bad_key();
	reader->next += length;
	return bytes;
}

/* The next byte. */
static uint8
read_byte(KeyReader *reader)
{
	return (uint8) *read_bytes(reader, 1);
}

/* A length, as append_length() writes it. */
static uint32
read_length(KeyReader *reader)
{
	uint32		length = 0;

	for (int shift = 0; shift < 32; shift += 7)
	{
		uint8		byte = read_byte(reader);

		length |= (uint32) (byte & 0x7f) << shift;
		if (byte < 0x80)
			return length;
	}
	bad_key();
	return 0;
}

/* Text with its length, as a C string; libbson takes some kinds of text as that alone. */
static const char *
read_text(KeyReader *reader)
{
	uint32		length = read_length(reader);
	const char *bytes = read_bytes(reader, length);

	if (memchr(bytes, '\0', length) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("code or a pointer with U+0000 cannot be made from its key")));
	return pnstrdup(bytes, length);
}

/* Does libbson append a regular expression's options as they are?  It sorts them, and drops others. */
static bool
regex_options_kept(const char *options)
{
	const char *known = "ilmsux";

	for (; *options != '\0'; options++, known++)
	{
		known = strchr(known, *options);
		if (known == NULL)
			return false;
	}
	return true;
}

/* Eight bytes, big-endian. */
static int64
read_int64(KeyReader *reader)
{
	uint64		big_endian;

	memcpy(&big_endian, read_bytes(reader, sizeof(big_endian)), sizeof(big_endian));
	return (int64) pg_ntoh64(big_endian);
}

/* Text up to a NUL. */
static const char *
read_cstring(KeyReader *reader)
{
	const char *end = memchr(reader->next, '\0', reader->end - reader->next);

	if (end == NULL)
		bad_key();
	return read_bytes(reader, end - reader->next + 1);
}

static void read_value(KeyReader *reader, bson_t *document, const char *field, int field_length);

/* Reads the fields of a document, or the elements of an array, up to the end. */
static void
read_fields(KeyReader *reader, bool array, bson_t *document)
{
	char		buffer[16];
	const char *name;
	uint8		mark;

	if (++reader->depth > WALK_MAX_DEPTH)
		bad_key();
	for (uint32 i = 0; (mark = read_byte(reader)) != KEY_END; i++)
	{
		if (mark != KEY_FIELD)
			bad_key();
		if (array)
			bson_uint32_to_string(i, &name, buffer, sizeof(buffer));
		else
			name = read_cstring(reader);
		read_value(reader, document, name, -1);
	}
	reader->depth--;
}

/* A document or array. */
static void
read_nested(KeyReader *reader, bool array, bson_t *document, const char *field, int field_length)
{
	bson_t		child;

	if (array)
		bson_append_array_begin(document, field, field_length, &child);
	else
		bson_append_document_begin(document, field, field_length, &child);
	read_fields(reader, array, &child);
	if (array)
		bson_append_array_end(document, &child);
	else
		bson_append_document_end(document, &child);
}

/* A number of the type, whose byte is read. */
static void
read_number(KeyReader *reader, uint8 type, bson_t *document, const char *field, int field_length)
{
	uint32		big_endian;
	int64		bits;
	double		real;
	bson_decimal128_t decimal;

	switch (type)
	{
		case BSON_TYPE_INT32:
			memcpy(&big_endian, read_bytes(reader, sizeof(big_endian)), sizeof(big_endian));
			bson_append_int32(document, field, field_length, (int32) pg_ntoh32(big_endian));
			break;
		case BSON_TYPE_INT64:
			bson_append_int64(document, field, field_length, read_int64(reader));
			break;
		case BSON_TYPE_DOUBLE:
			bits = read_int64(reader);
			memcpy(&real, &bits, sizeof(real));
			bson_append_double(document, field, field_length, real);
			break;
		default:
			if (!bson_decimal128_from_string(read_cstring(reader), &decimal))
				bad_key();
			bson_append_decimal128(document, field, field_length, &decimal);
			break;
	}
}

/* Reads a value of a type, whose byte is read, that append_other() writes. */
static void
read_other(KeyReader *reader, uint8 type, bson_t *document, const char *field, int field_length)
{
	uint32		length;
	uint64		timestamp;
	bson_subtype_t subtype;
	const char *bytes;
	const char *options;
	bson_oid_t	oid;

	switch (type)
	{
		case (uint8) BSON_TYPE_MINKEY:
			bson_append_minkey(document, field, field_length);
			return;
		case BSON_TYPE_MAXKEY:
			bson_append_maxkey(document, field, field_length);
			return;
		case BSON_TYPE_NULL:
			bson_append_null(document, field, field_length);
			return;
		case BSON_TYPE_UNDEFINED:
			bson_append_undefined(document, field, field_length);
			return;
		case BSON_TYPE_OID:
			memcpy(&oid, read_bytes(reader, sizeof(oid)), sizeof(oid));
			bson_append_oid(document, field, field_length, &oid);
			return;
		case BSON_TYPE_BOOL:
			bson_append_bool(document, field, field_length, read_byte(reader) != 0);
			return;
		case BSON_TYPE_DATE_TIME:
			bson_append_date_time(document, field, field_length, read_int64(reader));
			return;
		case BSON_TYPE_TIMESTAMP:
			timestamp = (uint64) read_int64(reader);
			bson_append_timestamp(document, field, field_length, timestamp >> 32,
								  (uint32) timestamp);
			return;
		case BSON_TYPE_BINARY:
			subtype = read_byte(reader);
			length = read_length(reader);
			bson_append_binary(document, field, field_length, subtype,
							   (const uint8_t *) read_bytes(reader, length), length);
			return;
		case BSON_TYPE_REGEX:
			bytes = read_cstring(reader);
			options = read_cstring(reader);
			if (!regex_options_kept(options))
				ereport(ERROR,
						(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
						 errmsg("a regular expression with such options cannot be made from its key")));
			bson_append_regex(document, field, field_length, bytes, options);
			return;
		case BSON_TYPE_DBPOINTER:
			bytes = read_text(reader);
			memcpy(&oid, read_bytes(reader, sizeof(oid)), sizeof(oid));
			bson_append_dbpointer(document, field, field_length, bytes, &oid);
			return;
		default:
			bad_key();
	}
}

/* Reads a value and appends it as a field. */
static void
read_value(KeyReader *reader, bson_t *document, const char *field, int field_length)
{
	uint8		type = read_byte(reader);
	uint32		length;
	const char *bytes;
	bson_t	   *scope;

	switch (type)
	{
		case BSON_TYPE_INT32:
		case BSON_TYPE_INT64:
		case BSON_TYPE_DOUBLE:
		case BSON_TYPE_DECIMAL128:
			read_number(reader, type, document, field, field_length);
			return;
		case BSON_TYPE_UTF8:
			length = read_length(reader);
			bson_append_utf8(document, field, field_length, read_bytes(reader, length), length);
			return;
		case BSON_TYPE_CODE:
			bytes = read_text(reader);
			bson_append_code(document, field, field_length, bytes);
			return;
		case BSON_TYPE_CODEWSCOPE:
			bytes = read_text(reader);
			scope = owned_bson_new(CurrentMemoryContext);
			read_fields(reader, false, scope);
			bson_append_code_with_scope(document, field, field_length, bytes, scope);
			return;
		case BSON_TYPE_DOCUMENT:
		case BSON_TYPE_ARRAY:
			read_nested(reader, type == BSON_TYPE_ARRAY, document, field, field_length);
			return;
		default:
			read_other(reader, type, document, field, field_length);
	}
}

/* A key's hash. */
uint64
key_hash(const char *key, size_t length)
{
	return hash_bytes_extended((const unsigned char *) key, length, 0);
}

/* Appends a field with the key's value; throws for bytes that are no key. */
void
key_append_to_bson(bson_t *document, const char *field, const char *key, size_t length)
{
	KeyReader	reader = {key, key + length, 0};

	read_value(&reader, document, field, -1);
	if (reader.next != reader.end)
		bad_key();
}

/* A value whose key is another value's, by its KeyForm. */
typedef struct KeyConverter
{
	Converter	base;
	KeyForm		form;
	StringInfoData key;			/* the key being made */
	Converter  *meant;			/* what makes a value of it; or NULL */
} KeyConverter;

/* Appends the key that a string stands for under the converter's form; false when it is none. */
static bool
append_text_key(StringInfo key, KeyForm form, const char *utf8, size_t length)
{
	bson_t		holder = BSON_INITIALIZER;
	bson_decimal128_t decimal;
	bson_oid_t	oid;
	bson_iter_t iter;
	const char *exponent;

	if (form == KEY_OBJECTID_TEXT)
	{
		if (length != 24 || !bson_oid_is_valid(utf8, length))
			return false;
		bson_oid_init_from_string(&oid, utf8);
		appendStringInfoCharMacro(key, BSON_TYPE_OID);
		appendBinaryStringInfo(key, (const char *) &oid, sizeof(oid));
		return true;
	}

	/*
	 * No spaces, signs of infinity or hexadecimal: only what JSON would call
	 * a number.  An exponent of more than four digits is beyond all that
	 * there are; libbson 2 takes one that is far too small for the smallest.
	 */
	exponent = strpbrk(utf8, "eE");
	if (length == 0 || length > NUMBER_TEXT_SIZE || strspn(utf8, "+-.0123456789eE") != length ||
		(exponent != NULL && strlen(exponent + 1) > strspn(exponent + 1, "+-") + 4) ||
		!bson_decimal128_from_string_w_len(utf8, length, &decimal))
		return false;
	bson_append_decimal128(&holder, "", 0, &decimal);
	bson_iter_init(&iter, &holder);
	bson_iter_next(&iter);
	append_number(key, &iter);
	bson_destroy(&holder);
	return true;
}

/* Appends the key of a number, or of what a string stands for; false, and nothing done, for other values. */
static bool
append_meant_key(KeyConverter *converter, const bson_iter_t *value)
{
	const char *utf8;
	size_t		length;

	switch (bson_iter_type_unsafe(value))
	{
		case BSON_TYPE_INT32:
		case BSON_TYPE_INT64:
		case BSON_TYPE_DOUBLE:
		case BSON_TYPE_DECIMAL128:
			append_number(&converter->key, value);
			return true;
		case BSON_TYPE_UTF8:
			return converter->form != KEY_EXACT && text_string(value, &utf8, &length) &&
				append_text_key(&converter->key, converter->form, utf8, length);
		default:
			return false;
	}
}

/* A value to its key. */
static ConvertStatus
convert_key(Converter *self, const bson_iter_t *value, Datum *result)
{
	KeyConverter *converter = (KeyConverter *) self;
	StringInfo	key = &converter->key;

	resetStringInfo(key);
	if (!append_meant_key(converter, value))
	{
		ConvertStatus status = append_key(key, value, 0);

		if (status != CONVERT_OK)
			return status;
	}
	*result = PointerGetDatum(cstring_to_text_with_len(key->data, key->len));
	return CONVERT_OK;
}

/*
 * A value, or what its text stands for, to the type of another converter.  A
 * number is what its key says, as one in text is: 5.0 and "5" become one value.
 */
static ConvertStatus
convert_from_text(Converter *self, const bson_iter_t *value, Datum *result)
{
	KeyConverter *converter = (KeyConverter *) self;
	bson_t		holder = BSON_INITIALIZER;
	bson_iter_t iter = *value;
	ConvertStatus status;

	resetStringInfo(&converter->key);
	if (append_meant_key(converter, value))
	{
		key_append_to_bson(&holder, "", converter->key.data, converter->key.len);
		bson_iter_init(&iter, &holder);
		bson_iter_next(&iter);
	}
	status = converter->meant->convert(converter->meant, &iter, result);
	bson_destroy(&holder);
	return status;
}

/* A converter that makes keys, for its result or on the way to it. */
static KeyConverter *
create_key_converter(ConvertFunction convert, KeyForm form, Oid type, int32 typmod)
{
	KeyConverter *converter = converter_alloc(sizeof(KeyConverter), convert, type, typmod);

	converter->form = form;
	initStringInfo(&converter->key);
	return converter;
}

/* A converter to bytea: the value's key. */
Converter *
converter_create_key(KeyForm form)
{
	return &create_key_converter(convert_key, form, BYTEAOID, -1)->base;
}

/* Another converter, for which a string is what it stands for. */
Converter *
converter_create_from_text(KeyForm form, Converter *meant)
{
	KeyConverter *converter = create_key_converter(convert_from_text, form, meant->type, meant->typmod);

	converter->meant = meant;
	return &converter->base;
}

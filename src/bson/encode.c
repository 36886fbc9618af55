/*
 * encode.c
 *	  Datums to BSON values.
 *
 * The rule is that of convert.c the other way round: a BSON type takes a value
 * only when it holds all of it, and only BSON types are to be had that the
 * column's converter reads back as the same value.
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "bson/encode.h"
#include "bson/json_read.h"
#include "bson/lattice.h"
#include "bson/number.h"
#include "bson/objectid.h"
#include "bson/text.h"
#include "catalog/pg_type.h"
#include "common/shortest_dec.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/jsonb.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* Bytes of a value in a message. */
#define PREVIEW_SIZE 60

/* The words of option bson_type. */
static const struct
{
	const char *word;
	bson_type_t type;
}			bson_types[] = {
	{"int", BSON_TYPE_INT32},
	{"long", BSON_TYPE_INT64},
	{"double", BSON_TYPE_DOUBLE},
	{"decimal", BSON_TYPE_DECIMAL128},
	{"string", BSON_TYPE_UTF8},
	{"date", BSON_TYPE_DATE_TIME},
	{"objectId", BSON_TYPE_OID},
	{"binData", BSON_TYPE_BINARY},
	{"uuid", BSON_TYPE_BINARY},
	{"bool", BSON_TYPE_BOOL},
	{"object", BSON_TYPE_DOCUMENT},
	{"array", BSON_TYPE_ARRAY},
};

/* Types of BSON that values of one kind can become, as bits. */
#define NUMBERS \
	(LATTICE_BIT(BSON_TYPE_INT32) | LATTICE_BIT(BSON_TYPE_INT64) | \
	 LATTICE_BIT(BSON_TYPE_DOUBLE) | LATTICE_BIT(BSON_TYPE_DECIMAL128))
#define SCALARS_AS_TEXT \
	(NUMBERS | LATTICE_BIT(BSON_TYPE_UTF8) | LATTICE_BIT(BSON_TYPE_OID) | \
	 LATTICE_BIT(BSON_TYPE_BINARY) | LATTICE_BIT(BSON_TYPE_BOOL))

/* smallint, integer, bigint. */
static ConvertStatus
encode_integer(Encoder *self, Datum value, bson_t *document, const char *key, int key_length)
{
	Number		number;

	number_from_int64(&number, self->type == INT2OID ? DatumGetInt16(value) :
					  self->type == INT4OID ? DatumGetInt32(value) : DatumGetInt64(value));
	return number_append(&number, self->target, document, key, key_length);
}

/* real and double precision; a double is written as it is, with all of its bits. */
static ConvertStatus
encode_float(Encoder *self, Datum value, bson_t *document, const char *key, int key_length)
{
	double		real = self->type == FLOAT4OID ? DatumGetFloat4(value) : DatumGetFloat8(value);
	char		text[FLOAT_SHORTEST_DECIMAL_LEN];
	Number		number;

	if (self->target == BSON_TYPE_DOUBLE)
		return appended(bson_append_double(document, key, key_length, real));
	if (self->type == FLOAT4OID && self->target == BSON_TYPE_DECIMAL128)
		number_from_text(&number, text,
						 float_to_shortest_decimal_buf(DatumGetFloat4(value), text));
	else
		number_from_double(&number, real);
	if (number.kind == NUMBER_FINITE && number.coefficient == 0 && number.negative &&
		self->target != BSON_TYPE_DECIMAL128)
		return CONVERT_INEXACT;
	return number_append(&number, self->target, document, key, key_length);
}

/* numeric, by its digits. */
static ConvertStatus
encode_numeric(Encoder *self, Datum value, bson_t *document, const char *key, int key_length)
{
	char	   *text = DatumGetCString(DirectFunctionCall1(numeric_out, value));
	Number		number;
	ConvertStatus status = number_from_text(&number, text, strlen(text));

	pfree(text);
	return status != CONVERT_OK ? status :
		number_append(&number, self->target, document, key, key_length);
}

/* A scalar of another type than string from its canonical text. */
static ConvertStatus
append_scalar(Encoder *self, const char *text, size_t length, bson_t *document, const char *key,
			  int key_length)
{
	ConvertStatus status;
	Number		number;
	bson_oid_t	oid;
	uint8		uuid[UUID_LEN];

	switch (self->target)
	{
		case BSON_TYPE_OID:
			if (length != 24 || !bson_oid_is_valid(text, length))
				return CONVERT_BAD_SYNTAX;
			bson_oid_init_from_string(&oid, text);
			return appended(bson_append_oid(document, key, key_length, &oid));
		case BSON_TYPE_BINARY:
			if (!json_read_uuid(text, length, uuid))
				return CONVERT_BAD_SYNTAX;
			return appended(bson_append_binary(document, key, key_length, BSON_SUBTYPE_UUID,
											   uuid, sizeof(uuid)));
		case BSON_TYPE_BOOL:
			return appended(bson_append_bool(document, key, key_length, strcmp(text, "true") == 0));
		default:
			status = number_from_text(&number, text, length);
			return status != CONVERT_OK ? status :
				number_append(&number, self->target, document, key, key_length);
	}
}

/*
 * Text and what is text to the byte, and labels of enums.  Where another type
 * than string is wanted, the text must be the one that the value is read as:
 * "007" is none of 7.
 */
static ConvertStatus
encode_text(Encoder *self, Datum value, bson_t *document, const char *key, int key_length)
{
	char	   *text = OutputFunctionCall(&self->output, value);
	size_t		length = strlen(text);
	const char *utf8;
	char		canonical[TEXT_SCALAR_SIZE];
	bson_t		scratch;
	bson_iter_t iter;
	ConvertStatus status;

	if (self->type == BPCHAROID)
		length = bpchartruelen(text, length);
	text[length] = '\0';
	if (self->target == BSON_TYPE_UTF8)
	{
		utf8 = text_server_takes_utf8() ? text : pg_server_to_any(text, length, PG_UTF8);
		length = strlen(utf8);
		status = text_check(utf8, length);
		return status != CONVERT_OK ? status :
			appended(bson_append_utf8(document, key, key_length, utf8, length));
	}

	bson_init(&scratch);
	status = append_scalar(self, text, length, &scratch, "v", 1);
	if (status == CONVERT_OK)
	{
		if (!bson_iter_init_find(&iter, &scratch, "v") ||
			text_scalar(&iter, canonical) < 0 || strcmp(canonical, text) != 0)
			status = CONVERT_BAD_SYNTAX;
		else
			status = appended(bson_append_iter(document, key, key_length, &iter));
	}
	bson_destroy(&scratch);
	return status;
}

static ConvertStatus
encode_bool(Encoder *self, Datum value, bson_t *document, const char *key, int key_length)
{
	return appended(bson_append_bool(document, key, key_length, DatumGetBool(value)));
}

/*
 * timestamptz, timestamp (in UTC) and date, in milliseconds.  A date reaches
 * further than a timestamp, but is not read back from there.
 */
static ConvertStatus
encode_time(Encoder *self, Datum value, bson_t *document, const char *key, int key_length)
{
	int64		milliseconds;

	if (self->type == DATEOID)
	{
		DateADT		date = DatumGetDateADT(value);

		if (DATE_NOT_FINITE(date) || date >= TIMESTAMP_END_JULIAN - POSTGRES_EPOCH_JDATE)
			return CONVERT_OUT_OF_RANGE;
		milliseconds = (int64) date * SECS_PER_DAY * 1000;
	}
	else
	{
		Timestamp	timestamp = DatumGetTimestamp(value);

		if (TIMESTAMP_NOT_FINITE(timestamp))
			return CONVERT_OUT_OF_RANGE;
		if (timestamp % 1000 != 0)
			return CONVERT_INEXACT;
		milliseconds = timestamp / 1000;
	}
	return appended(bson_append_date_time(document, key, key_length,
										  milliseconds + BSON_EPOCH_MS));
}

static ConvertStatus
encode_objectid(Encoder *self, Datum value, bson_t *document, const char *key, int key_length)
{
	return appended(bson_append_oid(document, key, key_length, DatumGetObjectidP(value)));
}

static ConvertStatus
encode_uuid(Encoder *self, Datum value, bson_t *document, const char *key, int key_length)
{
	return appended(bson_append_binary(document, key, key_length, BSON_SUBTYPE_UUID,
									   DatumGetUUIDP(value)->data, UUID_LEN));
}

/* bytea as a binary of subtype 0, or as a UUID or ObjectId of as many bytes. */
static ConvertStatus
encode_bytea(Encoder *self, Datum value, bson_t *document, const char *key, int key_length)
{
	bytea	   *bytes = DatumGetByteaPP(value);
	const uint8 *data = (const uint8 *) VARDATA_ANY(bytes);
	size_t		length = VARSIZE_ANY_EXHDR(bytes);
	bson_oid_t	oid;

	if (self->target == BSON_TYPE_OID)
	{
		if (length != sizeof(oid.bytes))
			return CONVERT_BAD_SYNTAX;
		memcpy(oid.bytes, data, sizeof(oid.bytes));
		return appended(bson_append_oid(document, key, key_length, &oid));
	}
	if (self->uuid && length != UUID_LEN)
		return CONVERT_BAD_SYNTAX;
	return appended(bson_append_binary(document, key, key_length,
									   self->uuid ? BSON_SUBTYPE_UUID : BSON_SUBTYPE_BINARY,
									   data, length));
}

/* json and jsonb, which are Extended JSON. */
static ConvertStatus
encode_json(Encoder *self, Datum value, bson_t *document, const char *key, int key_length)
{
	char	   *string;
	const char *utf8;
	char		first;

	if (self->type == JSONBOID)
	{
		Jsonb	   *jsonb = DatumGetJsonbP(value);

		string = JsonbToCString(NULL, &jsonb->root, VARSIZE(jsonb));
	}
	else
		string = TextDatumGetCString(value);
	first = string[strspn(string, " \t\r\n")];
	self->detail = NULL;
	if ((self->target == BSON_TYPE_DOCUMENT && first != '{') ||
		(self->target == BSON_TYPE_ARRAY && first != '['))
		return CONVERT_WRONG_TYPE;
	utf8 = pg_server_to_any(string, strlen(string), PG_UTF8);
	return json_read_value(utf8, strlen(utf8), document, key, key_length, &self->detail);
}

/* The elements of one dimension; *next is the first of them in values and nulls. */
static ConvertStatus
append_elements(Encoder *self, int ndims, const int *dims, Datum *values, bool *nulls, int *next,
				bson_t *document, const char *key, int key_length)
{
	Encoder    *element = self->element;
	bson_t		array;
	ConvertStatus status = CONVERT_OK;

	if (!bson_append_array_begin(document, key, key_length, &array))
		return CONVERT_TOO_LONG;
	for (int i = 0; i < dims[0] && status == CONVERT_OK; i++)
	{
		char		buffer[16];
		const char *position;
		int			length = bson_uint32_to_string(i, &position, buffer, sizeof(buffer));

		if (ndims > 1)
			status = append_elements(self, ndims - 1, dims + 1, values, nulls, next, &array,
									 position, length);
		else
		{
			int			at = (*next)++;

			status = nulls[at] ? appended(bson_append_null(&array, position, length)) :
				element->encode(element, values[at], &array, position, length);
		}
	}
	if (!bson_append_array_end(document, &array) && status == CONVERT_OK)
		return CONVERT_TOO_LONG;
	return status;
}

/* Arrays, dimensions as arrays within arrays.  BSON has no lower bounds. */
static ConvertStatus
encode_array(Encoder *self, Datum value, bson_t *document, const char *key, int key_length)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	static const int empty[] = {0};
	Datum	   *values;
	bool	   *nulls;
	int			count;
	int			next = 0;

	self->element->detail = NULL;
	for (int i = 0; i < ARR_NDIM(array); i++)
	{
		if (ARR_LBOUND(array)[i] != 1)
			return CONVERT_INEXACT;
	}
	deconstruct_array(array, ARR_ELEMTYPE(array), self->typlen, self->typbyval, self->typalign,
					  &values, &nulls, &count);
	return append_elements(self, Max(ARR_NDIM(array), 1), ARR_NDIM(array) > 0 ? ARR_DIMS(array) : empty,
						   values, nulls, &next, document, key, key_length);
}

/* The function for a base type, the BSON type it has where none is named, and the others. */
static EncodeFunction
choose(Oid type, bson_type_t *usual, uint32 *others)
{
	*others = 0;
	switch (type)
	{
		case INT2OID:
		case INT4OID:
			*usual = BSON_TYPE_INT32;
			*others = NUMBERS;
			return encode_integer;
		case INT8OID:
			*usual = BSON_TYPE_INT64;
			*others = NUMBERS;
			return encode_integer;
		case FLOAT4OID:
		case FLOAT8OID:
			*usual = BSON_TYPE_DOUBLE;
			*others = NUMBERS;
			return encode_float;
		case NUMERICOID:
			*usual = BSON_TYPE_DECIMAL128;
			*others = NUMBERS;
			return encode_numeric;
		case BOOLOID:
			*usual = BSON_TYPE_BOOL;
			return encode_bool;
		case TIMESTAMPTZOID:
		case TIMESTAMPOID:
		case DATEOID:
			*usual = BSON_TYPE_DATE_TIME;
			return encode_time;
		case UUIDOID:
			*usual = BSON_TYPE_BINARY;
			return encode_uuid;
		case BYTEAOID:
			*usual = BSON_TYPE_BINARY;
			*others = LATTICE_BIT(BSON_TYPE_OID);
			return encode_bytea;
		case JSONOID:
		case JSONBOID:
			*usual = BSON_TYPE_EOD;
			*others = LATTICE_BIT(BSON_TYPE_DOCUMENT) | LATTICE_BIT(BSON_TYPE_ARRAY);
			return encode_json;
		case NAMEOID:
		case BPCHAROID:
			*usual = BSON_TYPE_UTF8;
			return encode_text;
		default:
			if (type == objectid_type())
			{
				*usual = BSON_TYPE_OID;
				return encode_objectid;
			}
			*usual = BSON_TYPE_UTF8;
			if (type_is_enum(type))
				return encode_text;
			*others = SCALARS_AS_TEXT;
			return type == TEXTOID || type == VARCHAROID || IsBinaryCoercible(type, TEXTOID) ?
				encode_text : NULL;
	}
}

/* The BSON type that a word of option bson_type names, or BSON_TYPE_EOD. */
static bson_type_t
word_type(const char *word)
{
	for (int i = 0; i < lengthof(bson_types); i++)
		if (strcmp(bson_types[i].word, word) == 0)
			return bson_types[i].type;
	return BSON_TYPE_EOD;
}

/* Whether a function encodes as a BSON type, by what choose() says of it. */
static bool
is_choice(EncodeFunction encode, bson_type_t usual, uint32 others, bson_type_t wanted, bool uuid)
{
	if (wanted == BSON_TYPE_EOD || (wanted != usual && !(others & LATTICE_BIT(wanted))))
		return false;
	return wanted != BSON_TYPE_BINARY || uuid || encode != encode_text;
}

/* Whether values of a type become a BSON type; see encode.h. */
bool
encoder_takes(Oid type, const char *bson_type)
{
	Oid			base = getBaseType(type);
	Oid			element = get_element_type(base);
	bson_type_t usual;
	uint32		others;
	EncodeFunction encode;

	if (OidIsValid(element) && get_typlen(base) == -1)
		return encoder_takes(element, bson_type);
	encode = choose(base, &usual, &others);
	return encode != NULL &&
		is_choice(encode, usual, others, word_type(bson_type), strcmp(bson_type, "uuid") == 0);
}

/* The encoder of an array type, whose elements have the BSON type that is named. */
static Encoder *
create_array(Encoder *self, Oid element, const char *bson_type)
{
	self->encode = encode_array;
	self->target = BSON_TYPE_ARRAY;
	self->element = encoder_create(element,
								   bson_type != NULL && strcmp(bson_type, "array") == 0 ? NULL : bson_type);
	get_typlenbyvalalign(element, &self->typlen, &self->typbyval, &self->typalign);
	return self;
}

/* The encoder of a type; see encode.h. */
Encoder *
encoder_create(Oid type, const char *bson_type)
{
	Encoder    *self = palloc0(sizeof(Encoder));
	Oid			element;
	Oid			output;
	bool		varlena;
	uint32		others;
	bson_type_t wanted;

	self->type = getBaseType(type);
	getTypeOutputInfo(self->type, &output, &varlena);
	fmgr_info(output, &self->output);
	element = get_element_type(self->type);
	if (OidIsValid(element) && get_typlen(self->type) == -1)
		return create_array(self, element, bson_type);

	self->encode = choose(self->type, &self->target, &others);
	if (self->encode == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("no value of type %s can become a BSON value", format_type_be(type)),
				 errhint("Use a number, text, boolean, date, uuid, bytea, json or jsonb type, mongo_migrate.objectid, an enum, or an array or domain of these.")));
	if (bson_type == NULL)
		return self;

	self->uuid = strcmp(bson_type, "uuid") == 0;
	wanted = word_type(bson_type);
	if (!is_choice(self->encode, self->target, others, wanted, self->uuid))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("values of type %s cannot be written as BSON type %s",
						format_type_be(type), bson_type),
				 errdetail("A column of the type would not read them back.")));
	self->target = wanted;
	return self;
}

/* A value in a message. */
static char *
preview(const Encoder *encoder, Datum value)
{
	FmgrInfo	output = encoder->output;
	char	   *text = OutputFunctionCall(&output, value);
	int			length = strlen(text);

	if (length <= PREVIEW_SIZE)
		return text;
	return psprintf("%.*s...", pg_mbcliplen(text, length, PREVIEW_SIZE), text);
}

/* A primary message for a failure; see encode.h. */
char *
encode_message(ConvertStatus status, const Encoder *encoder, Datum value)
{
	const Encoder *element = encoder->element != NULL ? encoder->element : encoder;
	char	   *text = preview(encoder, value);
	const char *type = format_type_be(encoder->type);
	const char *bson_type = element->uuid ? "uuid" : lattice_type_name(element->target);

	if (element->encode == encode_json &&
		(status == CONVERT_INEXACT || status == CONVERT_OUT_OF_RANGE))
		return psprintf("value %s of type %s has a number that no BSON type holds exactly", text, type);
	switch (status)
	{
		case CONVERT_OUT_OF_RANGE:
			return psprintf("value %s of type %s is out of range for BSON type %s", text, type, bson_type);
		case CONVERT_INEXACT:
			return psprintf("value %s of type %s cannot be held exactly by BSON type %s", text, type,
							encoder->element != NULL ? "array" : bson_type);
		case CONVERT_NUL_BYTE:
			return psprintf("value %s of type %s has a key with U+0000", text, type);
		case CONVERT_BAD_ENCODING:
			return psprintf("value of type %s is not valid UTF-8", type);
		case CONVERT_BAD_SYNTAX:
			if (element->encode == encode_json)
				return psprintf("value %s of type %s is not valid Extended JSON%s%s", text, type,
								element->detail != NULL ? ": " : "",
								element->detail != NULL ? element->detail : "");
			return psprintf("value %s of type %s is no value of BSON type %s", text, type, bson_type);
		case CONVERT_TOO_DEEP:
			return psprintf("value of type %s is nested deeper than MongoDB takes", type);
		case CONVERT_TOO_LONG:
			return psprintf("value of type %s is too large for BSON", type);
		default:
			return psprintf("value %s of type %s is no BSON %s", text, type, bson_type);
	}
}

/* What mends a failure; see encode.h. */
const char *
encode_hint(ConvertStatus status, const Encoder *encoder)
{
	const Encoder *element = encoder->element != NULL ? encoder->element : encoder;

	if (status == CONVERT_INEXACT && element->encode == encode_time)
		return "BSON dates have milliseconds: give the column the type timestamptz(3) or timestamp(3), which rounds, or round the value.";
	if (element->encode != encode_json &&
		(status == CONVERT_INEXACT || status == CONVERT_OUT_OF_RANGE))
		return "Choose another BSON type by the column's option bson_type, or another value.";
	return NULL;
}

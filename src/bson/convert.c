/*
 * convert.c
 *	  BSON values to Datums: the choice of a converter, and messages.
 *
 * A converter lives in the context in which it was made and is used by one
 * plan.  The conversions themselves are here, in convert_number.c,
 * convert_text.c, array.c and key.c.
 */
#include "postgres.h"
#include "compat.h"

#include "access/xact.h"
#include "bson/convert_private.h"
#include "bson/document_path.h"
#include "bson/json.h"
#include "bson/lattice.h"
#include "bson/objectid.h"
#include "bson/text.h"
#include "bson/walk.h"
#include "catalog/pg_type.h"
#include "common/int.h"
#include "mb/pg_wchar.h"
#include "parser/parse_coerce.h"
#include "subtransaction.h"
#include "utils/builtins.h"
#include "utils/date.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"
#include "utils/uuid.h"

/* json and jsonb: what is built on the way to a value is in a context of its own. */
typedef struct JsonConverter
{
	Converter	base;
	MemoryContext scratch;
} JsonConverter;

/* A domain: the base type's converter, then the domain's constraints. */
typedef struct DomainConverter
{
	Converter	base;
	MemoryContext context;
	void	   *constraints;	/* domain_check()'s */
} DomainConverter;

/* The part of a converter that every kind has; see convert_private.h. */
void *
converter_alloc(size_t size, ConvertFunction convert, Oid type, int32 typmod)
{
	Converter  *converter = palloc0(size);

	converter->convert = convert;
	converter->type = type;
	converter->typmod = typmod;
	return converter;
}

/* Booleans only: 0 and 1 are numbers. */
static ConvertStatus
convert_bool(Converter *self, const bson_iter_t *value, Datum *result)
{
	if (bson_iter_type_unsafe(value) != BSON_TYPE_BOOL)
		return CONVERT_WRONG_TYPE;
	*result = BoolGetDatum(bson_iter_bool_unsafe(value));
	return CONVERT_OK;
}

/*
 * ObjectIds only.  A string of 24 hex digits is not one to MongoDB either: a
 * foreign table's condition on the column would then mean two things there.
 */
static ConvertStatus
convert_objectid(Converter *self, const bson_iter_t *value, Datum *result)
{
	bson_oid_t *oid;

	if (bson_iter_type_unsafe(value) != BSON_TYPE_OID)
		return CONVERT_WRONG_TYPE;
	oid = palloc(sizeof(bson_oid_t));
	*oid = *bson_iter_oid_unsafe(value);
	*result = PointerGetDatum(oid);
	return CONVERT_OK;
}

/* Binaries of any subtype, which is not kept, and ObjectIds. */
static ConvertStatus
convert_bytea(Converter *self, const bson_iter_t *value, Datum *result)
{
	bson_subtype_t subtype;
	uint32_t	length;
	const uint8_t *bytes;

	switch (bson_iter_type_unsafe(value))
	{
		case BSON_TYPE_BINARY:
			bson_iter_binary(value, &subtype, &length, &bytes);
			break;
		case BSON_TYPE_OID:
			bytes = bson_iter_oid_unsafe(value)->bytes;
			length = sizeof(bson_oid_t);
			break;
		default:
			return CONVERT_WRONG_TYPE;
	}
	*result = PointerGetDatum(cstring_to_text_with_len((const char *) bytes, length));
	return CONVERT_OK;
}

/* Binaries of subtype 3 and 4, whose bytes are taken in their order. */
static ConvertStatus
convert_uuid(Converter *self, const bson_iter_t *value, Datum *result)
{
	const uint8_t *bytes;
	pg_uuid_t  *uuid;

	if (!text_is_uuid(value, &bytes))
		return CONVERT_WRONG_TYPE;
	uuid = palloc(sizeof(pg_uuid_t));
	memcpy(uuid->data, bytes, UUID_LEN);
	*result = UUIDPGetDatum(uuid);
	return CONVERT_OK;
}

/* A date as PostgreSQL counts it, which has microseconds where BSON has milliseconds. */
static ConvertStatus
date_to_timestamp(const bson_iter_t *value, Timestamp *result)
{
	int64		milliseconds;

	if (bson_iter_type_unsafe(value) != BSON_TYPE_DATE_TIME)
		return CONVERT_WRONG_TYPE;
	if (pg_sub_s64_overflow(bson_iter_int64_unsafe(value), BSON_EPOCH_MS, &milliseconds) ||
		pg_mul_s64_overflow(milliseconds, 1000, result) ||
		!IS_VALID_TIMESTAMP(*result))
		return CONVERT_OUT_OF_RANGE;
	return CONVERT_OK;
}

/* timestamptz, and timestamp, which is UTC. */
static ConvertStatus
convert_timestamp(Converter *self, const bson_iter_t *value, Datum *result)
{
	static const int64 units[] = {1000000, 100000, 10000};
	Timestamp	timestamp;
	ConvertStatus status = date_to_timestamp(value, &timestamp);

	if (status != CONVERT_OK)
		return status;
	if (self->typmod >= 0 && self->typmod < lengthof(units) &&
		timestamp % units[self->typmod] != 0)
		return CONVERT_INEXACT;
	*result = TimestampGetDatum(timestamp);
	return CONVERT_OK;
}

/* date takes midnights only: another time of day would be lost. */
static ConvertStatus
convert_date(Converter *self, const bson_iter_t *value, Datum *result)
{
	Timestamp	timestamp;
	ConvertStatus status = date_to_timestamp(value, &timestamp);

	if (status != CONVERT_OK)
		return status;
	if (timestamp % USECS_PER_DAY != 0)
		return CONVERT_INEXACT;
	*result = DateADTGetDatum((DateADT) (timestamp / USECS_PER_DAY));
	return CONVERT_OK;
}

/* Any value to jsonb. */
static ConvertStatus
convert_jsonb(Converter *self, const bson_iter_t *value, Datum *result)
{
	JsonConverter *converter = (JsonConverter *) self;
	MemoryContext caller = MemoryContextSwitchTo(converter->scratch);
	Jsonb	   *jsonb;
	ConvertStatus status = jsonb_from_value(value, self->json_mode, &jsonb);

	MemoryContextSwitchTo(caller);
	if (status == CONVERT_OK)
	{
		void	   *copy = palloc(VARSIZE(jsonb));

		memcpy(copy, jsonb, VARSIZE(jsonb));
		*result = PointerGetDatum(copy);
	}
	MemoryContextReset(converter->scratch);
	return status;
}

/* Any value to json text. */
static ConvertStatus
convert_json(Converter *self, const bson_iter_t *value, Datum *result)
{
	JsonConverter *converter = (JsonConverter *) self;
	MemoryContext caller = MemoryContextSwitchTo(converter->scratch);
	StringInfoData json;
	ConvertStatus status;

	initStringInfo(&json);
	status = json_append_value(&json, value, self->json_mode);
	MemoryContextSwitchTo(caller);
	if (status == CONVERT_OK)
		*result = PointerGetDatum(cstring_to_text_with_len(json.data, json.len));
	MemoryContextReset(converter->scratch);
	return status;
}

#if MM_HAS_DOMAIN_CHECK_SAFE

/* Do the constraints of a domain take a value? */
static bool
domain_takes(DomainConverter *domain, Datum value, bool null)
{
	ErrorSaveContext context = {T_ErrorSaveContext};

	return domain_check_safe(value, null, domain->base.type, &domain->constraints,
							 domain->context, (Node *) &context);
}

#else

/* What a domain is asked. */
typedef struct DomainQuestion
{
	DomainConverter *domain;
	Datum		value;
	bool		null;
} DomainQuestion;

/* Throws where a domain does not take a value. */
static void
ask_domain(void *arg)
{
	DomainQuestion *question = arg;
	DomainConverter *domain = question->domain;

	domain_check(question->value, question->null, domain->base.type, &domain->constraints, domain->context);
}

/*
 * The same in a subtransaction, for want of a soft error; other errors are
 * thrown on, and this one too in a parallel query, which has no subtransactions.
 */
static bool
domain_takes(DomainConverter *domain, Datum value, bool null)
{
	DomainQuestion question = {domain, value, null};
	ErrorData  *error = NULL;

	if (IsInParallelMode())
		ask_domain(&question);
	else
		error = subtransaction_call(ask_domain, &question, true);
	if (error == NULL)
		return true;
	if (error->sqlerrcode != ERRCODE_CHECK_VIOLATION && error->sqlerrcode != ERRCODE_NOT_NULL_VIOLATION)
		ReThrowError(error);
	FreeErrorData(error);
	return false;
}

#endif

/* A value of the base type, if the domain takes it. */
static ConvertStatus
convert_domain(Converter *self, const bson_iter_t *value, Datum *result)
{
	ConvertStatus status = self->element->convert(self->element, value, result);

	self->rounded = self->element->rounded;
	if (status == CONVERT_OK && !domain_takes((DomainConverter *) self, *result, false))
		return CONVERT_DOMAIN_CHECK;
	return status;
}

/* NULL, for a domain. */
ConvertStatus
convert_null(Converter *converter)
{
	return converter_is_domain(converter) &&
		!domain_takes((DomainConverter *) converter, (Datum) 0, true) ?
		CONVERT_DOMAIN_CHECK : CONVERT_OK;
}

/* Is the column's type a domain? */
bool
converter_is_domain(const Converter *converter)
{
	return converter->convert == convert_domain;
}

/* A converter to json or jsonb. */
static Converter *
create_json(ConvertFunction convert, Oid type)
{
	JsonConverter *converter = converter_alloc(sizeof(JsonConverter), convert, type, -1);

	converter->scratch = AllocSetContextCreate(CurrentMemoryContext, "bson to json",
											   ALLOCSET_DEFAULT_SIZES);
	return &converter->base;
}

/* A converter to a domain over the element's type. */
static Converter *
create_domain(Oid type, Converter *element)
{
	DomainConverter *converter = converter_alloc(sizeof(DomainConverter), convert_domain,
												 type, element->typmod);

	converter->context = CurrentMemoryContext;
	converter->base.element = element;
	return &converter->base;
}

/* The converter to a base type that has no parts; NULL when there is none. */
static Converter *
create_scalar(Oid type, int32 typmod)
{
	ConvertFunction convert = NULL;

	switch (type)
	{
		case INT2OID:
			convert = convert_int2;
			break;
		case INT4OID:
			convert = convert_int4;
			break;
		case INT8OID:
			convert = convert_int8;
			break;
		case FLOAT4OID:
			convert = convert_float4;
			break;
		case FLOAT8OID:
			convert = convert_float8;
			break;
		case NUMERICOID:
			convert = convert_numeric;
			break;
		case BOOLOID:
			convert = convert_bool;
			break;
		case VARCHAROID:
			convert = typmod < (int32) VARHDRSZ ? convert_text : convert_varchar;
			break;
		case BPCHAROID:
			convert = typmod < (int32) VARHDRSZ ? convert_text : convert_char;
			break;
		case NAMEOID:
			convert = convert_name;
			break;
		case BYTEAOID:
			convert = convert_bytea;
			break;
		case UUIDOID:
			convert = convert_uuid;
			break;
		case TIMESTAMPTZOID:
		case TIMESTAMPOID:
			convert = convert_timestamp;
			break;
		case DATEOID:
			convert = convert_date;
			break;
		case JSONOID:
			return create_json(convert_json, type);
		case JSONBOID:
			return create_json(convert_jsonb, type);
		default:
			if (type_is_enum(type))
				return converter_create_enum(type);
			if (type == objectid_type())
				convert = convert_objectid;
			else if (type == TEXTOID || IsBinaryCoercible(type, TEXTOID))
				convert = convert_text; /* citext is text to the byte */
	}
	return convert == NULL ? NULL : converter_alloc(sizeof(Converter), convert, type, typmod);
}

/* The converter to a PostgreSQL type. */
Converter *
converter_create(Oid type, int32 typmod, JsonMode json_mode, bool round)
{
	Oid			base = getBaseTypeAndTypmod(type, &typmod);
	Oid			element = get_element_type(base);
	Converter  *converter;

	if (base != type)
		converter = create_domain(type, converter_create(base, typmod, json_mode, round));
	else if (OidIsValid(element) && get_typlen(base) == -1)
		converter = converter_create_array(base, element, typmod, json_mode, round);
	else
		converter = create_scalar(base, typmod);

	if (converter == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_DATA_TYPE),
				 errmsg("no BSON value can become a value of type %s", format_type_be(type)),
				 errhint("Use a number, text, boolean, date, uuid, bytea, json or jsonb type, mongo_migrate.objectid, an enum, or an array or domain of these.")));
	converter->json_mode = json_mode;
	converter->round = round;
	return converter;
}

/* The SQLSTATE of a status. */
int
convert_sqlstate(ConvertStatus status)
{
	switch (status)
	{
		case CONVERT_OK:
			return ERRCODE_SUCCESSFUL_COMPLETION;
		case CONVERT_WRONG_TYPE:
		case CONVERT_NOT_DOCUMENT:
		case CONVERT_NOT_ARRAY:
			return ERRCODE_DATATYPE_MISMATCH;
		case CONVERT_OUT_OF_RANGE:
			return ERRCODE_NUMERIC_VALUE_OUT_OF_RANGE;
		case CONVERT_INEXACT:
			return ERRCODE_DATA_EXCEPTION;
		case CONVERT_TOO_LONG:
			return ERRCODE_STRING_DATA_RIGHT_TRUNCATION;
		case CONVERT_NUL_BYTE:
			return ERRCODE_UNTRANSLATABLE_CHARACTER;
		case CONVERT_BAD_ENCODING:
			return ERRCODE_CHARACTER_NOT_IN_REPERTOIRE;
		case CONVERT_BAD_SYNTAX:
			return ERRCODE_INVALID_TEXT_REPRESENTATION;
		case CONVERT_DUPLICATE_KEY:
			return ERRCODE_DUPLICATE_JSON_OBJECT_KEY_VALUE;
		case CONVERT_DOMAIN_CHECK:
			return ERRCODE_CHECK_VIOLATION;
		case CONVERT_TOO_DEEP:
			return ERRCODE_PROGRAM_LIMIT_EXCEEDED;
		case CONVERT_CORRUPT:
			return ERRCODE_DATA_CORRUPTED;
	}
	return ERRCODE_INTERNAL_ERROR;
}

/* What mends a failure, or NULL; a constant. */
const char *
convert_hint(ConvertStatus status)
{
	switch (status)
	{
		case CONVERT_WRONG_TYPE:
			return "Give the column a type that holds every type of the field, such as text for scalars or jsonb for any, or mend the document.";
		case CONVERT_OUT_OF_RANGE:
			return "Give the column a wider type, or mend the document.";
		case CONVERT_INEXACT:
			return "Give the column a type with more digits, or an expression that rounds.";
		case CONVERT_TOO_LONG:
			return "Give the column a longer type (json, where it is jsonb), or an expression that cuts the value.";
		case CONVERT_NUL_BYTE:
			return "Only a column of type json takes U+0000; or mend the document.";
		case CONVERT_BAD_ENCODING:
			return text_server_takes_utf8() ? "Mend the document; a string in MongoDB should be UTF-8." :
				"Migrate into a database whose encoding is UTF8, or mend the document.";
		case CONVERT_BAD_SYNTAX:
			return "Give the column type text, or an expression, or mend the document.";
		case CONVERT_DUPLICATE_KEY:
			return "Only a column of type json takes a key twice; or mend the document.";
		case CONVERT_DOMAIN_CHECK:
			return "Give the column another type, or mend the document.";
		case CONVERT_NOT_DOCUMENT:
		case CONVERT_NOT_ARRAY:
			return "Plan the field as one jsonb column, or mend the document.";
		default:
			return NULL;
	}
}

/* What mends the failure of a converter; see convert.h. */
const char *
convert_value_hint(ConvertStatus status, const Converter *converter, const bson_iter_t *value)
{
	const char *hint = status == CONVERT_BAD_SYNTAX ? convert_enum_hint(converter, value) : NULL;

	return hint != NULL ? hint : convert_hint(status);
}

/* list_sort_comparator: by the bytes of keys. */
static int
compare_keys(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/* A key that stands twice in a document, at any depth; NULL when there is none. */
static const char *
find_duplicate(const bson_iter_t *value, int depth)
{
	bool		array = bson_iter_type_unsafe(value) == BSON_TYPE_ARRAY;
	List	   *keys = NIL;
	const char *found = NULL;
	const char *last = NULL;
	Walk		walk;
	ListCell   *cell;

	if (!(array || bson_iter_type_unsafe(value) == BSON_TYPE_DOCUMENT) ||
		depth > WALK_MAX_DEPTH || !walk_enter(&walk, value))
		return NULL;
	while (found == NULL && bson_iter_next(&walk.iter))
	{
		if (!array)
			keys = lappend(keys, unconstify(char *, bson_iter_key_unsafe(&walk.iter)));
		found = find_duplicate(&walk.iter, depth + 1);
	}
	list_sort(keys, compare_keys);
	foreach(cell, keys)
	{
		if (found == NULL && last != NULL && strcmp(last, lfirst(cell)) == 0)
			found = last;
		last = lfirst(cell);
	}
	list_free(keys);
	return found;
}

/* A value in a message, which names its BSON type. */
static char *
message_value(const bson_iter_t *value)
{
	char		buffer[TEXT_SCALAR_SIZE];

	return text_scalar(value, buffer) >= 0 ? pstrdup(buffer) : json_preview(value);
}

/* The same when a domain says no; value may be NULL, for NULL. */
static char *
domain_message(const Converter *converter, const bson_iter_t *value)
{
	const int  *positions;

	if (convert_failed_at(converter, &positions) > 0)
		return convert_message(CONVERT_DOMAIN_CHECK, converter->element, value);
	if (value == NULL)
		return psprintf("NULL violates a constraint of domain %s", format_type_be(converter->type));
	return psprintf("value %s of BSON type %s violates a constraint of domain %s",
					message_value(value), lattice_type_name(bson_iter_type_unsafe(value)),
					format_type_be(converter->type));
}

/* A primary message without path, palloc'd; see convert.h. */
char *
convert_message(ConvertStatus status, const Converter *converter, const bson_iter_t *value)
{
	const char *bson_type;
	char	   *type;
	const char *key;

	if (converter != NULL && converter_is_domain(converter))
		return status == CONVERT_DOMAIN_CHECK ? domain_message(converter, value) :
			convert_message(status, converter->element, value);
	if (converter != NULL && converter->element != NULL)
		return convert_array_message(status, converter, value);

	bson_type = lattice_type_name(bson_iter_type_unsafe(value));
	type = converter == NULL ? "" : format_type_with_typemod(converter->type, converter->typmod);
	switch (status)
	{
		case CONVERT_OUT_OF_RANGE:
			return psprintf("value %s of BSON type %s is out of range for type %s",
							message_value(value), bson_type, type);
		case CONVERT_INEXACT:
			return psprintf("value %s of BSON type %s cannot be held exactly by type %s",
							message_value(value), bson_type, type);
		case CONVERT_TOO_LONG:
			return psprintf("value %s of BSON type %s is too long for type %s",
							message_value(value), bson_type, type);
		case CONVERT_NUL_BYTE:
			return psprintf("value %s of BSON type %s has U+0000, which type %s cannot hold",
							message_value(value), bson_type, type);
		case CONVERT_BAD_ENCODING:
			return psprintf("value %s of BSON type %s is not valid UTF-8%s%s", message_value(value), bson_type,
							text_server_takes_utf8() ? "" : ", or has characters that are not in encoding ",
							text_server_takes_utf8() ? "" : GetDatabaseEncodingName());
		case CONVERT_BAD_SYNTAX:
			return psprintf("value %s of BSON type %s is no value of type %s",
							message_value(value), bson_type, type);
		case CONVERT_DUPLICATE_KEY:
			key = find_duplicate(value, 0);
			return psprintf("key \"%s\" stands twice in a document, which type %s cannot hold",
							key == NULL ? "" : document_path_escape(key), type);
		case CONVERT_NOT_DOCUMENT:
			return psprintf("value %s of BSON type %s stands where a document should be",
							message_value(value), bson_type);
		case CONVERT_NOT_ARRAY:
			return psprintf("value %s of BSON type %s stands where an array should be",
							message_value(value), bson_type);
		case CONVERT_TOO_DEEP:
			return psprintf("value of BSON type %s is nested deeper than %d levels",
							bson_type, WALK_MAX_DEPTH);
		case CONVERT_CORRUPT:
			return psprintf("value of BSON type %s is not well-formed BSON", bson_type);
		default:
			return psprintf("value %s of BSON type %s has no exact form in type %s",
							message_value(value), bson_type, type);
	}
}

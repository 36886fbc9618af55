/*
 * convert_text.c
 *	  BSON strings and scalars to the text types of PostgreSQL, and to enums.
 *
 * A text column takes strings and symbols as they are, and scalars in their
 * canonical text form, so that a field of several scalar types has a column.
 * Nothing is cut: a string too long for its column is CONVERT_TOO_LONG even
 * when only spaces would go, but char(n), for which trailing spaces mean
 * nothing, is padded and loses them.
 */
#include "postgres.h"
#include "compat.h"

#include "access/htup_details.h"
#include "bson/convert_private.h"
#include "bson/text.h"
#include "catalog/pg_enum.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* The text of a value: in the document, in buffer, or recoded in CurrentMemoryContext. */
static ConvertStatus
value_text(const bson_iter_t *value, char buffer[TEXT_SCALAR_SIZE],
		   const char **text, size_t *length)
{
	const char *utf8;
	int			scalar_length;

	if (bson_iter_type_unsafe(value) != BSON_TYPE_CODE &&
		text_string(value, &utf8, length))
		return text_to_server(utf8, *length, text, length);

	scalar_length = text_scalar(value, buffer);
	if (scalar_length < 0)
		return CONVERT_WRONG_TYPE;
	*text = buffer;
	*length = scalar_length;
	return CONVERT_OK;
}

static Datum
text_datum(const char *text, size_t length)
{
	return PointerGetDatum(cstring_to_text_with_len(text, length));
}

/* text, and varchar without a length. */
ConvertStatus
convert_text(Converter *self, const bson_iter_t *value, Datum *result)
{
	char		buffer[TEXT_SCALAR_SIZE];
	const char *text;
	size_t		length;
	ConvertStatus status = value_text(value, buffer, &text, &length);

	if (status == CONVERT_OK)
		*result = text_datum(text, length);
	return status;
}

/* varchar(n). */
ConvertStatus
convert_varchar(Converter *self, const bson_iter_t *value, Datum *result)
{
	char		buffer[TEXT_SCALAR_SIZE];
	const char *text;
	size_t		length;
	size_t		limit = self->typmod - VARHDRSZ;
	ConvertStatus status = value_text(value, buffer, &text, &length);

	if (status != CONVERT_OK)
		return status;
	if (length > limit && pg_mbstrlen_with_len(text, length) > limit)
		return CONVERT_TOO_LONG;
	*result = text_datum(text, length);
	return CONVERT_OK;
}

/* char(n): padded with spaces, and trailing spaces beyond n are dropped. */
ConvertStatus
convert_char(Converter *self, const bson_iter_t *value, Datum *result)
{
	char		buffer[TEXT_SCALAR_SIZE];
	const char *text;
	size_t		length;
	size_t		limit = self->typmod - VARHDRSZ;
	size_t		characters;
	BpChar	   *padded;
	ConvertStatus status = value_text(value, buffer, &text, &length);

	if (status != CONVERT_OK)
		return status;
	characters = pg_mbstrlen_with_len(text, length);
	while (characters > limit && text[length - 1] == ' ')
	{
		length--;
		characters--;
	}
	if (characters > limit)
		return CONVERT_TOO_LONG;

	padded = palloc(VARHDRSZ + length + limit - characters);
	SET_VARSIZE(padded, VARHDRSZ + length + limit - characters);
	memcpy(VARDATA(padded), text, length);
	memset(VARDATA(padded) + length, ' ', limit - characters);
	*result = PointerGetDatum(padded);
	return CONVERT_OK;
}

/* name: up to 63 bytes. */
ConvertStatus
convert_name(Converter *self, const bson_iter_t *value, Datum *result)
{
	char		buffer[TEXT_SCALAR_SIZE];
	const char *text;
	size_t		length;
	Name		name;
	ConvertStatus status = value_text(value, buffer, &text, &length);

	if (status != CONVERT_OK)
		return status;
	if (length >= NAMEDATALEN)
		return CONVERT_TOO_LONG;
	name = palloc0(NAMEDATALEN);
	memcpy(NameStr(*name), text, length);
	*result = NameGetDatum(name);
	return CONVERT_OK;
}

/* A converter with the labels of its enum, sorted, so that no row looks into the catalog. */
typedef struct EnumLabel
{
	Oid			value;
	NameData	label;
} EnumLabel;

typedef struct EnumConverter
{
	Converter	base;
	int			count;
	EnumLabel	labels[FLEXIBLE_ARRAY_MEMBER];
} EnumConverter;

static int
compare_labels(const void *a, const void *b)
{
	return strcmp(NameStr(((const EnumLabel *) a)->label), NameStr(((const EnumLabel *) b)->label));
}

/* A string to the enum value whose label it is. */
static ConvertStatus
convert_enum(Converter *self, const bson_iter_t *value, Datum *result)
{
	EnumConverter *converter = (EnumConverter *) self;
	const char *utf8;
	const char *text;
	size_t		length;
	EnumLabel	wanted;
	EnumLabel  *found;
	ConvertStatus status;

	if (bson_iter_type_unsafe(value) == BSON_TYPE_CODE || !text_string(value, &utf8, &length))
		return CONVERT_WRONG_TYPE;
	status = text_to_server(utf8, length, &text, &length);
	if (status != CONVERT_OK)
		return status;
	if (length >= NAMEDATALEN)
		return CONVERT_BAD_SYNTAX;

	memcpy(NameStr(wanted.label), text, length);
	NameStr(wanted.label)[length] = '\0';
	found = bsearch(&wanted, converter->labels, converter->count, sizeof(EnumLabel),
					compare_labels);
	if (found == NULL)
		return CONVERT_BAD_SYNTAX;

	/*
	 * As in enum_in(): an index that has met it could not be read after a
	 * rollback.
	 */
	if (EnumUncommitted(found->value))
		ereport(ERROR,
				(errcode(ERRCODE_UNSAFE_NEW_ENUM_VALUE_USAGE),
				 errmsg("unsafe use of new value \"%s\" of enum type %s",
						NameStr(found->label), format_type_be(self->type)),
				 errhint("New enum values must be committed before they can be used.")));
	*result = ObjectIdGetDatum(found->value);
	return CONVERT_OK;
}

/*
 * The statement that gives an enum the label that a value is, palloc'd; NULL
 * where the converter is to no enum, or the value can be no label.
 */
char *
convert_enum_hint(const Converter *converter, const bson_iter_t *value)
{
	const char *utf8;
	const char *text;
	size_t		length;

	if (!type_is_enum(converter->type) || bson_iter_type_unsafe(value) == BSON_TYPE_CODE ||
		!text_string(value, &utf8, &length) ||
		text_to_server(utf8, length, &text, &length) != CONVERT_OK || length >= NAMEDATALEN)
		return NULL;
	return psprintf("ALTER TYPE %s ADD VALUE %s; or mend the document.",
					format_type_be_qualified(converter->type),
					quote_literal_cstr(pnstrdup(text, length)));
}

/* A converter to an enum. */
Converter *
converter_create_enum(Oid type)
{
	CatCList   *list = SearchSysCacheList1(ENUMTYPOIDNAME, ObjectIdGetDatum(type));
	EnumConverter *converter = converter_alloc(offsetof(EnumConverter, labels) +
											   list->n_members * sizeof(EnumLabel),
											   convert_enum, type, -1);

	for (int i = 0; i < list->n_members; i++)
	{
		Form_pg_enum label = (Form_pg_enum) GETSTRUCT(&list->members[i]->tuple);

		converter->labels[i].value = label->oid;
		converter->labels[i].label = label->enumlabel;
	}
	converter->count = list->n_members;
	ReleaseCatCacheList(list);
	qsort(converter->labels, converter->count, sizeof(EnumLabel), compare_labels);
	return &converter->base;
}

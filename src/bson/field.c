/*
 * field.c
 *	  Fields of documents that SQL has as JSON; see field.h.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/convert.h"
#include "bson/field.h"
#include "bson/json.h"
#include "bson/json_read.h"
#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "owned.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/memutils.h"

PG_FUNCTION_INFO_V1(mm_field_at);

/* Where a document has the field of a name. */
typedef struct FieldPlace
{
	const char *name;			/* in the document */
	uint32		offset;
	char		status;
} FieldPlace;

#define SH_PREFIX fieldplaces
#define SH_ELEMENT_TYPE FieldPlace
#define SH_KEY_TYPE const char *
#define SH_KEY name
#define SH_HASH_KEY(table, key) hash_bytes((const unsigned char *) (key), strlen(key))
#define SH_EQUAL(table, a, b) (strcmp(a, b) == 0)
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

struct FieldNames
{
	const bson_t *document;
	fieldplaces_hash *places;
};

ConvertStatus
field_read(text *json, bson_iter_t *field, const char **detail)
{
	bson_t	   *document = owned_bson_new(CurrentMemoryContext);
	char	   *string = text_to_cstring(json);
	const char *utf8 = pg_server_to_any(string, strlen(string), PG_UTF8);
	ConvertStatus status;

	*detail = NULL;
	status = json_read_value(utf8, strlen(utf8), document, "v", 1, detail);
	if (status == CONVERT_OK && !bson_iter_init_find(field, document, "v"))
		return CONVERT_CORRUPT;
	return status;
}

void
field_read_argument(text *json, bson_iter_t *value)
{
	const char *detail;

	if (field_read(json, value, &detail) != CONVERT_OK)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_EXCEPTION),
				 errmsg("a value is no Extended JSON"),
				 detail == NULL ? 0 : errdetail("%s", detail)));
}

Datum
field_json(const bson_iter_t *value)
{
	StringInfoData json;
	ConvertStatus status;

	initStringInfo(&json);
	status = json_append_value(&json, value, JSON_CANONICAL);
	if (status != CONVERT_OK)
		ereport(ERROR,
				(errcode(convert_sqlstate(status)),
				 errmsg("a value has no Extended JSON")));
	return PointerGetDatum(cstring_to_text_with_len(json.data, json.len));
}

void
field_lend(const bson_iter_t *field, bson_t *document)
{
	const uint8_t *bytes;
	uint32_t	length;

	if (BSON_ITER_HOLDS_ARRAY(field))
		bson_iter_array(field, &length, &bytes);
	else
		bson_iter_document(field, &length, &bytes);
	if (!bson_init_static(document, bytes, length))
		elog(ERROR, "a document made from JSON is no BSON");
}

bson_t *
field_document(const bson_iter_t *field)
{
	bson_t	   *result = owned_bson_new(CurrentMemoryContext);
	bson_t		document;

	field_lend(field, &document);
	if (!bson_concat(result, &document))
		elog(ERROR, "a document made from JSON is no BSON");
	return result;
}

/* A pass over the document; of fields of one name the first counts. */
FieldNames *
field_names_create(const bson_t *document)
{
	FieldNames *names = palloc(sizeof(FieldNames));
	bson_iter_t field;

	names->document = document;
	names->places = fieldplaces_create(CurrentMemoryContext, bson_count_keys(document), NULL);
	bson_iter_init(&field, document);
	while (bson_iter_next(&field))
	{
		bool		found;
		FieldPlace *place = fieldplaces_insert(names->places, bson_iter_key(&field), &found);

		if (!found)
			place->offset = bson_iter_offset(&field);
	}
	return names;
}

bool
field_names_find(const FieldNames *names, const char *name, bson_iter_t *field)
{
	FieldPlace *place = fieldplaces_lookup(names->places, name);

	return place != NULL &&
		bson_iter_init_from_data_at_offset(field, bson_get_data(names->document), names->document->len,
										   place->offset, strlen(name));
}

bool
field_equals(const bson_iter_t *left, const bson_iter_t *right)
{
	bson_t		of_left = BSON_INITIALIZER;
	bson_t		of_right = BSON_INITIALIZER;
	bool		same;

	bson_append_iter(&of_left, "v", 1, left);
	bson_append_iter(&of_right, "v", 1, right);
	same = bson_equal(&of_left, &of_right);
	bson_destroy(&of_left);
	bson_destroy(&of_right);
	return same;
}

bool
field_step(const FieldNames *names, const char *name, bson_iter_t *field)
{
	bson_iter_t below;

	if (names != NULL ? !field_names_find(names, name, &below) :
		!bson_iter_recurse(field, &below) || !bson_iter_find(&below, name))
		return false;
	*field = below;
	return true;
}

/*
 * The document that field_at() read last, and its fields: the columns of a row
 * look up one after the other.  It ends with the transaction.
 */
static struct
{
	MemoryContext context;		/* NULL: none */
	text	   *json;
	bson_t		document;
	FieldNames *names;			/* NULL: it is no document or array */
}			last_read;

static void
forget_last_read(void *unused)
{
	last_read.context = NULL;
}

/* The fields of a document or array in a json argument; NULL: it is neither. */
static FieldNames *
read_fields(text *json)
{
	MemoryContext context;
	MemoryContext old;
	MemoryContextCallback *forget;
	bson_iter_t value;

	if (last_read.context != NULL && VARSIZE_ANY_EXHDR(json) == VARSIZE_ANY_EXHDR(last_read.json) &&
		memcmp(VARDATA_ANY(json), VARDATA_ANY(last_read.json), VARSIZE_ANY_EXHDR(json)) == 0)
		return last_read.names;
	if (last_read.context != NULL)
		MemoryContextDelete(last_read.context);
	context = AllocSetContextCreate(TopTransactionContext, "fields of a document", ALLOCSET_DEFAULT_SIZES);
	old = MemoryContextSwitchTo(context);
	forget = palloc0(sizeof(MemoryContextCallback));
	forget->func = forget_last_read;
	MemoryContextRegisterResetCallback(context, forget);
	last_read.json = (text *) DatumGetPointer(datumCopy(PointerGetDatum(json), false, -1));
	field_read_argument(json, &value);
	last_read.names = NULL;
	if (BSON_ITER_HOLDS_DOCUMENT(&value) || BSON_ITER_HOLDS_ARRAY(&value))
	{
		field_lend(&value, &last_read.document);
		last_read.names = field_names_create(&last_read.document);
	}
	MemoryContextSwitchTo(old);
	last_read.context = context;
	return last_read.names;
}

/*
 * field_at(document json, steps text[]) returns json: as the operator #> does,
 * but for U+0000, which that does not take.
 */
Datum
mm_field_at(PG_FUNCTION_ARGS)
{
	FieldNames *names;
	bson_iter_t field;
	Datum	   *steps;
	int			nsteps;

	deconstruct_array(PG_GETARG_ARRAYTYPE_P(1), TEXTOID, -1, false, TYPALIGN_INT, &steps, NULL, &nsteps);
	if (nsteps == 0)
		PG_RETURN_DATUM(PG_GETARG_DATUM(0));
	names = read_fields(PG_GETARG_TEXT_PP(0));
	if (names == NULL)
		PG_RETURN_NULL();
	for (int i = 0; i < nsteps; i++)
	{
		char	   *name = TextDatumGetCString(steps[i]);

		if (!field_step(i == 0 ? names : NULL, pg_server_to_any(name, strlen(name), PG_UTF8), &field))
			PG_RETURN_NULL();
	}
	PG_RETURN_DATUM(field_json(&field));
}

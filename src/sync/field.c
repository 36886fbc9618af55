/*
 * field.c
 *	  Fields of documents that write-back has as JSON; see field.h.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/json_read.h"
#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "owned.h"
#include "sync/field.h"
#include "utils/builtins.h"

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

/*
 * field.c
 *	  Fields of documents that write-back has as JSON; see field.h.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/json_read.h"
#include "mb/pg_wchar.h"
#include "owned.h"
#include "sync/field.h"
#include "utils/builtins.h"

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

bson_t *
field_document(const bson_iter_t *field)
{
	bson_t	   *result = owned_bson_new(CurrentMemoryContext);
	const uint8_t *bytes;
	uint32_t	length;
	bson_t		document;

	bson_iter_document(field, &length, &bytes);
	if (!bson_init_static(&document, bytes, length) || !bson_concat(result, &document))
		elog(ERROR, "a document made from JSON is no BSON");
	return result;
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

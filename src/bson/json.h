/*
 * json.h
 *	  BSON as Extended JSON v2, in jsonb and in text.
 *	  https://github.com/mongodb/specifications/blob/master/source/extended-json.md
 */
#ifndef MM_JSON_H
#define MM_JSON_H

#include "bson/convert_status.h"
#include "lib/stringinfo.h"
#include "mongo/options.h"
#include "utils/jsonb.h"

/* A value as jsonb in CurrentMemoryContext. */
extern ConvertStatus jsonb_from_value(const bson_iter_t *value, JsonMode mode, Jsonb **result);

/* The same as JSON text, key order, duplicates and \u0000 kept. */
extern ConvertStatus json_append_value(StringInfo out, const bson_iter_t *value, JsonMode mode);
extern ConvertStatus json_append_document(StringInfo out, const bson_t *document, JsonMode mode);

/* A short form of a value for messages: at most 60 bytes or so, palloc'd. */
extern char *json_preview(const bson_iter_t *value);

/* "_id" of a document as such a preview, or "(none)". */
extern char *json_preview_id(const bson_t *document);

#endif							/* MM_JSON_H */

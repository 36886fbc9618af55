/*
 * field.h
 *	  Fields of documents that write-back has as JSON.
 */
#ifndef MM_SYNC_FIELD_H
#define MM_SYNC_FIELD_H

#include "bson/convert.h"

/*
 * Reads a value in canonical Extended JSON as the field v of a document that
 * the current context owns.  When it fails, *detail may be a reason.
 */
extern ConvertStatus field_read(text *json, bson_iter_t *field, const char **detail);

/* A copy of the document that a field is, which the current context owns. */
extern bson_t *field_document(const bson_iter_t *field);

/* Whether two fields have the same value, to the byte, whatever they are called. */
extern bool field_equals(const bson_iter_t *left, const bson_iter_t *right);

#endif							/* MM_SYNC_FIELD_H */

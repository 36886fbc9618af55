/*
 * field.h
 *	  Fields of documents that SQL has as JSON.
 */
#ifndef MM_BSON_FIELD_H
#define MM_BSON_FIELD_H

#include "bson/convert_status.h"

/*
 * Reads a value in canonical Extended JSON as the field v of a document that
 * the current context owns.  When it fails, *detail may be a reason.
 */
extern ConvertStatus field_read(text *json, bson_iter_t *field, const char **detail);

/* The same for a json argument of SQL; what is no Extended JSON is an error. */
extern void field_read_argument(text *json, bson_iter_t *value);

/* A value as canonical Extended JSON, which the current context owns; an error where it has none. */
extern Datum field_json(const bson_iter_t *value);

/* Lends the document or array that a field is, as long as the field is there. */
extern void field_lend(const bson_iter_t *field, bson_t *document);

/* A copy of the document that a field is, which the current context owns. */
extern bson_t *field_document(const bson_iter_t *field);

/* The fields of a document by their names, for documents of many. */
typedef struct FieldNames FieldNames;

/* Of a document that stays as it is; in the current context. */
extern FieldNames *field_names_create(const bson_t *document);

/* The first field of a name; false: there is none. */
extern bool field_names_find(const FieldNames *names, const char *name, bson_iter_t *field);

/*
 * Goes to a field by its name: of a document whose fields are known by name, or
 * (names NULL) of the one that *field is.  False: there is none.
 */
extern bool field_step(const FieldNames *names, const char *name, bson_iter_t *field);

/* Whether two fields have the same value, to the byte, whatever they are called. */
extern bool field_equals(const bson_iter_t *left, const bson_iter_t *right);

#endif							/* MM_BSON_FIELD_H */

/*
 * json_read.h
 *	  Extended JSON v2 to BSON, number by number exactly.
 */
#ifndef MM_JSON_READ_H
#define MM_JSON_READ_H

#include "bson/convert_status.h"

/*
 * Appends a value in JSON, whose syntax the caller knows to be right, as a
 * field.  Numbers that are not marked become int, long, double or decimal, the
 * first that holds all of their digits.  When it fails, the document is of no
 * more use, and *detail may be a reason.
 */
extern ConvertStatus json_read_value(const char *utf8, size_t length, bson_t *document,
									 const char *key, int key_length, const char **detail);

/*
 * Whether a key makes the object that has it first stand for a value.  A field
 * that is called so is written as \u0024oid and the like, and read as a field.
 */
extern bool json_key_is_special(const char *key, size_t length);

/* Sixteen bytes from 00112233-4455-6677-8899-aabbccddeeff. */
extern bool json_read_uuid(const char *text, size_t length, uint8 *bytes);

#endif							/* MM_JSON_READ_H */

/*
 * key.h
 *	  Keys: equal bytes exactly where MongoDB says that two values are equal.
 *
 * 1, 1.0 and NumberDecimal("1.00") are one key; -0.0 is 0; NaNs are one key.
 * Sub-documents are compared field by field, in order, as MongoDB does.  A key
 * can be turned back into a BSON value that MongoDB finds equal to the first.
 */
#ifndef MM_KEY_H
#define MM_KEY_H

#include "bson/convert_status.h"
#include "lib/stringinfo.h"

/* Appends the key of the value under the iterator; throws for a value that is
 * nested too deep or is not well-formed. */
extern void key_append(StringInfo key, const bson_iter_t *value);

/* The key alone, in CurrentMemoryContext. */
extern bytea *key_bytes(const bson_iter_t *value);

/* The same as key_append() with a status; after a failure what was appended is of no use. */
extern ConvertStatus key_try_append(StringInfo key, const bson_iter_t *value);

/* A hash of 64 bits, so that different keys are taken for different ones. */
extern uint64 key_hash(const char *key, size_t length);

/* Appends a field with the key's value; throws ERRCODE_DATA_CORRUPTED for
 * bytes that are no key. */
extern void key_append_to_bson(bson_t *document, const char *field,
							   const char *key, size_t length);

#endif							/* MM_KEY_H */

/*
 * text.h
 *	  Strings of BSON in the database's encoding, and scalars as text.
 *	  Private to bson/.
 */
#ifndef MM_TEXT_H
#define MM_TEXT_H

#include "bson/convert_status.h"

/* Room for the text form of any scalar but a string. */
#define TEXT_SCALAR_SIZE 64

/* CONVERT_OK, CONVERT_NUL_BYTE or CONVERT_BAD_ENCODING. */
extern ConvertStatus text_check(const char *utf8, size_t length);

/*
 * A checked string in the database's encoding: the same bytes where that is
 * UTF-8, else a copy in CurrentMemoryContext.
 */
extern ConvertStatus text_to_server(const char *utf8, size_t length,
									const char **result, size_t *result_length);

/* Is it a string, maybe with U+0000, that the database's encoding can hold? */
extern bool text_is_representable(const char *utf8, size_t length);

/* May the database's encoding hold any UTF-8 string as it is? */
extern bool text_server_takes_utf8(void);

/* A date in milliseconds since 1970 as 2024-02-29T12:00:00.123Z; years beyond
 * 0 to 9999 with a sign and at least six digits.  Returns the length. */
extern int	text_date(int64 milliseconds, char buffer[TEXT_SCALAR_SIZE]);

/* Is it a binary of subtype 3 or 4 with 16 bytes? */
extern bool text_is_uuid(const bson_iter_t *value, const uint8_t **bytes);

extern int	text_uuid(const uint8_t *bytes, char buffer[TEXT_SCALAR_SIZE]);

extern int	text_objectid(const bson_oid_t *oid, char buffer[TEXT_SCALAR_SIZE]);

/*
 * ObjectId, number, boolean, date or UUID in canonical text form, and its
 * length; -1 for other types.
 */
extern int	text_scalar(const bson_iter_t *value, char buffer[TEXT_SCALAR_SIZE]);

/* The bytes of a string, symbol or code; false for other types. */
extern bool text_string(const bson_iter_t *value, const char **utf8, size_t *length);

#endif							/* MM_TEXT_H */

/*
 * convert_private.h
 *	  Converters among themselves.  Private to bson/.
 */
#ifndef MM_CONVERT_PRIVATE_H
#define MM_CONVERT_PRIVATE_H

#include "bson/convert.h"

/* The conversion functions, by file. */

/* convert_number.c */
extern ConvertStatus convert_int2(Converter *self, const bson_iter_t *value, Datum *result);
extern ConvertStatus convert_int4(Converter *self, const bson_iter_t *value, Datum *result);
extern ConvertStatus convert_int8(Converter *self, const bson_iter_t *value, Datum *result);
extern ConvertStatus convert_float4(Converter *self, const bson_iter_t *value, Datum *result);
extern ConvertStatus convert_float8(Converter *self, const bson_iter_t *value, Datum *result);
extern ConvertStatus convert_numeric(Converter *self, const bson_iter_t *value, Datum *result);

/* convert_text.c */
extern ConvertStatus convert_text(Converter *self, const bson_iter_t *value, Datum *result);
extern ConvertStatus convert_varchar(Converter *self, const bson_iter_t *value, Datum *result);
extern ConvertStatus convert_char(Converter *self, const bson_iter_t *value, Datum *result);
extern ConvertStatus convert_name(Converter *self, const bson_iter_t *value, Datum *result);
extern Converter *converter_create_enum(Oid type);
extern char *convert_enum_hint(const Converter *converter, const bson_iter_t *value);

/* array.c */
extern Converter *converter_create_array(Oid type, Oid element_type, int32 typmod,
										 JsonMode json_mode, bool round);
extern char *convert_array_message(ConvertStatus status, const Converter *converter,
								   const bson_iter_t *value);

/*
 * Sets *self's part that every kind has; size is that of the kind's own
 * struct, which begins with Converter.  Zeroed, in CurrentMemoryContext.
 */
extern void *converter_alloc(size_t size, ConvertFunction convert, Oid type, int32 typmod);

#endif							/* MM_CONVERT_PRIVATE_H */

/*
 * encode.h
 *	  Datums to BSON values: the reverse of convert.h.
 *
 * An encoder is chosen once for a column, by its type and by the BSON type that
 * is wanted, and is then a function pointer.  It returns a status and never
 * throws for data.  What it writes, the column's converter reads back as the
 * same value.  doc/types.md has the table.
 */
#ifndef MM_ENCODE_H
#define MM_ENCODE_H

#include "bson/convert.h"
#include "fmgr.h"

typedef struct Encoder Encoder;

/* Appends a value that is not NULL as a field.  After a failure the document is of no more use. */
typedef ConvertStatus (*EncodeFunction) (Encoder *self, Datum value, bson_t *document,
										 const char *key, int key_length);

struct Encoder
{
	EncodeFunction encode;
	Oid			type;			/* of the value; of domains their base type */
	bson_type_t target;			/* BSON_TYPE_EOD: whatever the value is */
	bool		uuid;			/* binaries have subtype 4 */
	FmgrInfo	output;			/* of the type */
	Encoder    *element;		/* of arrays */
	int16		typlen;			/* of the element type */
	bool		typbyval;
	char		typalign;
	const char *detail;			/* of the last failure, or NULL */
};

/*
 * The encoder of a PostgreSQL type to the BSON type that bson_type names, NULL
 * for the usual one, allocated in CurrentMemoryContext.  Throws, with advice,
 * where the column could not read such values back.
 */
extern Encoder *encoder_create(Oid type, const char *bson_type);

/* Whether encoder_create() takes a type, or the elements of an array type, with such a word. */
extern bool encoder_takes(Oid type, const char *bson_type);

/* A primary message for a failure, palloc'd, such as
 * "value 1.23 of type numeric cannot be held exactly by BSON type int". */
extern char *encode_message(ConvertStatus status, const Encoder *encoder, Datum value);

/* What mends a failure, for errhint; a constant, or NULL. */
extern const char *encode_hint(ConvertStatus status, const Encoder *encoder);

#endif							/* MM_ENCODE_H */

/*
 * convert.h
 *	  BSON values to Datums.
 *
 * A converter is chosen once for a column and is then a function pointer.  It
 * returns a status and never throws for data, so that a loader can put a
 * document aside without a subtransaction.  doc/types.md has the table of
 * outcomes.
 */
#ifndef MM_CONVERT_H
#define MM_CONVERT_H

#include "bson/convert_status.h"
#include "datatype/timestamp.h"
#include "mongo/options.h"

/* Milliseconds from 1970, from which dates of BSON count, to 2000, from which those of PostgreSQL do. */
#define BSON_EPOCH_MS \
	((int64) (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * SECS_PER_DAY * 1000)

typedef struct Converter Converter;

/* value is on the element; never BSON null or undefined: the caller makes those NULL.
 * The result, where by reference, is allocated in CurrentMemoryContext. */
typedef ConvertStatus (*ConvertFunction) (Converter *self, const bson_iter_t *value,
										  Datum *result);

struct Converter
{
	ConvertFunction convert;
	Oid			type;			/* type of the result */
	int32		typmod;
	JsonMode	json_mode;
	bool		round;			/* round to a numeric scale and count, rather
								 * than CONVERT_INEXACT */
	uint64		rounded;		/* values that rounding changed, so far */
	Converter  *element;		/* of arrays */
	int16		typlen;			/* of the element type, for arrays */
	bool		typbyval;
	char		typalign;
};

/*
 * The converter to a PostgreSQL type, domains included, allocated in
 * CurrentMemoryContext.  Throws ERRCODE_FDW_INVALID_DATA_TYPE, with advice,
 * for a type that no BSON value can become.
 */
extern Converter *converter_create(Oid type, int32 typmod, JsonMode json_mode, bool round);

/* How a value becomes the key of an id map (see key.h). */
typedef enum KeyForm
{
	KEY_EXACT,					/* the value as it is */
	KEY_OBJECTID_TEXT,			/* a string of 24 hex digits stands for that
								 * ObjectId */
	KEY_NUMBER_TEXT				/* a string that is a number stands for that
								 * number */
} KeyForm;

/* A converter to bytea: the value's key. */
extern Converter *converter_create_key(KeyForm form);

/* Another converter, for which a string is what it stands for by a KeyForm. */
extern Converter *converter_create_from_text(KeyForm form, Converter *meant);

extern int	convert_sqlstate(ConvertStatus status);

/* What mends a failure, for errhint; a constant, or NULL. */
extern const char *convert_hint(ConvertStatus status);

/* The same for the failure of a converter: for a string that is no label of an
 * enum the statement that adds it, palloc'd. */
extern const char *convert_value_hint(ConvertStatus status, const Converter *converter,
									  const bson_iter_t *value);

/*
 * Where in an array the converter's last conversion failed: returns how many
 * positions there are, outermost first; 0 when it was the value itself.
 */
extern int	convert_failed_at(const Converter *converter, const int **positions);

extern bool converter_is_domain(const Converter *converter);

/* NULL never reaches a converter, but a domain may refuse it: CONVERT_OK or
 * CONVERT_DOMAIN_CHECK. */
extern ConvertStatus convert_null(Converter *converter);

/* A primary message without path (value NULL: for convert_null()), such as
 * "value 12345678901 of BSON type long is out of range for type integer"; palloc'd. */
extern char *convert_message(ConvertStatus status, const Converter *converter,
							 const bson_iter_t *value);

#endif							/* MM_CONVERT_H */

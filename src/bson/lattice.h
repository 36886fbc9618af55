/*
 * lattice.h
 *	  From the BSON values seen in a field to the PostgreSQL type that holds them.
 */
#ifndef MM_LATTICE_H
#define MM_LATTICE_H

/* The bit of a BSON type in LatticeSeen.types: 1 to 19 as in BSON, then MaxKey and MinKey. */
#define LATTICE_BIT(type) \
	((uint32) 1 << ((type) == BSON_TYPE_MAXKEY ? 30 : (type) == BSON_TYPE_MINKEY ? 31 : (int) (type)))

/* What is known of the values seen; all zero bytes is "none yet". */
typedef struct LatticeSeen
{
	uint32		types;			/* LATTICE_BIT of each type, null too */

	/* int32, int64, double, decimal128 */
	bool		fractions;		/* a finite number that is not whole */
	bool		huge;			/* a whole number beyond bigint */
	bool		not_finite;		/* a NaN or an infinity */
	bool		whole_numbers;	/* one within bigint: of whole_min ... */
	int64		whole_min;
	int64		whole_max;		/* ... to whole_max */

	/* string and symbol */
	bool		strings_not_hex24;	/* one that is not 24 hex digits */
	bool		strings_with_nul;	/* one that holds U+0000 */
	bool		strings_not_text;	/* one that is not UTF-8, or not in the
									 * database's encoding */
	uint32		string_max;		/* length of the longest, in characters */

	/* binary, date */
	bool		binaries_not_uuid;	/* other than 16 bytes, subtype 3 or 4 */
	bool		dates_out_of_range; /* one beyond timestamptz */
} LatticeSeen;

/* Adds a value. */
extern void lattice_add(LatticeSeen *seen, const bson_iter_t *value);

/* Adds all that other has seen. */
extern void lattice_merge(LatticeSeen *seen, const LatticeSeen *other);

/*
 * The narrowest PostgreSQL type that holds every value seen, such as "numeric"
 * or "mongo_migrate.objectid" (a constant; "text" when there was no value).
 * Doubles stay double precision though all of them are whole, unless
 * whole_doubles says that they become integer or bigint then.  *note is NULL
 * or what a person should know, palloc'd.
 */
extern const char *lattice_type(const LatticeSeen *seen, bool whole_doubles, char **note);

/* MongoDB's own name of a BSON type, as in $type: "int", "double", "objectId". */
extern const char *lattice_type_name(bson_type_t type);

#endif							/* MM_LATTICE_H */

/*
 * keyprobe.h
 *	  The keys of a database's collections, and which values are among them.
 */
#ifndef MM_KEYPROBE_H
#define MM_KEYPROBE_H

#include "mongo/connection.h"
#include "nodes/pg_list.h"
#include "utils/hsearch.h"

/* Kinds of keys, in MongoDB's order of types. */
typedef enum KeyKind
{
	KEY_BEFORE,					/* MinKey, null */
	KEY_NUMBER,
	KEY_STRING,
	KEY_DOCUMENT,
	KEY_BINARY,
	KEY_OBJECTID,
	KEY_AFTER					/* booleans, dates and the rest */
} KeyKind;

/* A field with a unique index, that a reference may point to. */
typedef struct KeyProbe
{
	const char *collection;
	const char *key;			/* the field, _id or another, in UTF-8 */
	KeyKind		low;			/* kinds of the first and the last key */
	KeyKind		high;
	double		spread;			/* of numbers: their span for each key, or 0 */
} KeyProbe;

/*
 * KeyProbes of all collections that have documents.  MongoDB is asked once a
 * transaction; they live as long as that.
 */
extern List *key_probes(MongoConnection *connection);

/* A set of keys as in bson/key.h: of their hashes. */
extern HTAB *key_set_create(MemoryContext context);

/*
 * Looking keys up, in many collections by one command.  What key_lookup_add()
 * is given is in found after key_lookup_end(), if the probe's collection has it.
 * Keys of one probe come one after the other.
 */
typedef struct KeyLookup KeyLookup;
extern KeyLookup *key_lookup_begin(MongoConnection *connection);
extern void key_lookup_add(KeyLookup *lookup, const KeyProbe *probe, HTAB *found, const char *key,
						   uint32 length);
extern void key_lookup_end(KeyLookup *lookup);

#endif							/* MM_KEYPROBE_H */

/*
 * walk.h
 *	  Steps over untrusted BSON.  Private to bson/.
 *
 * libbson's iterator never reads outside its buffer, but it takes a document
 * whose terminator is missing or stands early.  walk_ended_well() sees both.
 */
#ifndef MM_WALK_H
#define MM_WALK_H

/* MongoDB itself refuses documents nested deeper than this. */
#define WALK_MAX_DEPTH 200

/* An iterator, and the length of the document that it walks. */
typedef struct Walk
{
	bson_iter_t iter;
	uint32		length;
} Walk;

/* Starts on bytes that should be a document; false when they cannot be. */
static inline bool
walk_start(Walk *walk, const uint8_t *data, uint32 length)
{
	uint32		stated;

	if (length < 5 || data[length - 1] != 0)
		return false;
	memcpy(&stated, data, sizeof(stated));
	if (BSON_UINT32_FROM_LE(stated) != length)
		return false;
	walk->length = length;
	return bson_iter_init_from_data(&walk->iter, data, length);
}

/* Starts on the document or array under an iterator. */
static inline bool
walk_enter(Walk *walk, const bson_iter_t *value)
{
	return walk_start(walk, value->raw + value->d1, value->next_off - value->d1);
}

/* Was the end of the document reached, after bson_iter_next() returned false? */
static inline bool
walk_ended_well(const Walk *walk)
{
	return walk->iter.err_off == 0 && walk->iter.off == walk->length - 1;
}

static inline uint32
walk_key_length(const bson_iter_t *iter)
{
	return iter->d1 - iter->key - 1;
}

#endif							/* MM_WALK_H */

/*
 * profile.h
 *	  What the documents of a collection look like: a tree of paths with counts.
 */
#ifndef MM_PROFILE_H
#define MM_PROFILE_H

#include "bson/lattice.h"
#include "lib/stringinfo.h"
#include "utils/palloc.h"

#define PROFILE_TYPES		22	/* BSON types 1 to 19, MaxKey, MinKey */
#define PROFILE_VALUES		256 /* distinct values kept of a path */
#define PROFILE_MAX_CHILDREN 250	/* keys of a sub-document */

/* A number as it was, with an approximation to compare by. */
typedef struct ProfileNumber
{
	double		order;
	bson_type_t type;
	union
	{
		int64		whole;
		double		real;
		bson_decimal128_t decimal;
	}			value;
} ProfileNumber;

/*
 * A uniform sample of a path's distinct values: those with the smallest hashes,
 * in order of hash.  values are keys as in bson/key.h.
 */
typedef struct ProfileValues
{
	int			count;
	bool		full;			/* there were more than PROFILE_VALUES */
	uint64		hashes[PROFILE_VALUES];
	char	   *keys[PROFILE_VALUES];
	uint32		lengths[PROFILE_VALUES];
} ProfileValues;

/* Where the values of a path are keys of a collection. */
typedef struct ProfileReference
{
	const char *collection;		/* all in the database's encoding */
	const char *key;			/* _id, or the field of a unique index */
	const char *key_form;		/* as in plan_column.key_form */
	int			sampled;		/* distinct values looked up */
	int			found;			/* of which are keys there */
	char	   *others;			/* other collections that would do, or NULL */
} ProfileReference;

/*
 * A path.  The children of a document are its fields, in the order that the
 * documents show; the single child of an array stands for its elements, and
 * that of a map for its values.
 */
typedef struct ProfileNode ProfileNode;
struct ProfileNode
{
	ProfileNode *parent;		/* NULL: the document itself */
	ProfileNode *next;			/* sibling */
	ProfileNode *children;
	ProfileNode *element;		/* of arrays */
	ProfileNode *value;			/* of maps, by profile_merge_maps() */
	char	   *key;			/* NULL for elements, values and the document
								 * itself */
	uint32		key_length;
	int			depth;

	uint64		counts[PROFILE_TYPES];
	uint64		duplicates;		/* times the key stood twice in a document */
	uint64		instance;		/* the document or element that had it last */
	int			nchildren;
	int			keys_like_data; /* children named by ids, numbers, dates */
	bool		overflow;		/* what is beyond the limits was left out */

	LatticeSeen seen;
	bool		numbers;		/* number_min, number_max are set */
	ProfileNumber number_min;
	ProfileNumber number_max;
	bool		dates;			/* date_min, date_max are set; ms since 1970 */
	int64		date_min;
	int64		date_max;
	bool		lengths;		/* length_min, length_max are set */
	uint32		length_min;		/* characters, bytes of binary, or elements */
	uint32		length_max;
	uint64		empty_strings;
	uint64		strings;		/* that are not empty; of these */
	uint64		iso_date_strings;
	uint64		number_strings;
	uint64		uuid_strings;
	int			double_digits;	/* after the point, in the shortest form */
	ProfileValues *values;
	bool		values_left_out;	/* some were too long to sample */
	uint64		own_ids;		/* values that are the _id of their document */
	ProfileReference *reference;
	char	   *divided;		/* the collections that have the values as
								 * keys between them, or NULL */
	char	   *namesake;		/* the collection that has the field's name,
								 * and its small numbers as keys, or NULL */
	bool		unique;			/* has a unique index of its own */
};

typedef struct Profile
{
	MemoryContext context;		/* of the tree; one reset frees all */
	ProfileNode *root;
	struct nodehash_hash *nodes;
	uint64		documents;
	uint64		instances;		/* documents and elements walked so far */
	int			npaths;
	bool		complete;		/* every document was read */
	Size		value_bytes;	/* spent on sampled values */
	uint64		own_id;			/* hash of the key of the document's _id, or 0 */
	char		own_oid[25];	/* its digits if it is an ObjectId, or "" */
	StringInfoData key;			/* work space */
} Profile;

/* Makes an empty profile in a context of its own below parent. */
extern Profile *profile_create(MemoryContext parent);

/* Adds a document.  Nothing of it is kept by reference. */
extern void profile_add(Profile *profile, const bson_t *document);

/* Sums up the values of each map in one node, once all documents are there. */
extern void profile_merge_maps(Profile *profile);

/* The place of a BSON type in ProfileNode.counts, and the way back. */
extern int	profile_type_index(bson_type_t type);
extern bson_type_t profile_index_type(int index);

/* Values of any type that the node had, null and undefined included or not. */
extern uint64 profile_occurrences(const ProfileNode *node);
extern uint64 profile_nulls(const ProfileNode *node);

/* Whether each value, three at least, is the _id of its document once more, or that ObjectId as text. */
extern bool profile_is_own_id(const ProfileNode *node);

/* Whether the keys of this sub-document are data rather than field names, or
 * too many or too deep to tell. */
extern bool profile_is_map(const ProfileNode *node);

#endif							/* MM_PROFILE_H */

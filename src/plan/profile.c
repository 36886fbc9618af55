/*
 * profile.c
 *	  What the documents of a collection look like: a tree of paths with counts.
 *
 * Each document is walked once.  A field is found by guessing that it follows
 * the field that it followed in the document before, and by a hash table when
 * the guess fails.  All memory belongs to the profile's context and is bounded
 * by the number of paths, whatever the number of documents: a sub-document
 * whose keys are data (a map) stops growing at PROFILE_MAX_CHILDREN keys.
 *
 * Values are sampled by keeping those with the smallest hashes: a uniform
 * choice among the distinct values, the same for the same documents in any
 * order, and an estimate of how many distinct values there are.
 */
#include "postgres.h"
#include "compat.h"

#include <ctype.h>
#include <math.h>

#include "bson/key.h"
#include "common/hashfn.h"
#include "common/shortest_dec.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "plan/profile.h"
#include "utils/datetime.h"
#include "utils/memutils.h"

#define MAX_PATHS		5000
#define MAX_DEPTH		32
#define MAX_VALUE		64		/* bytes of a value worth sampling */
#define MAX_VALUE_BYTES (32 * 1024 * 1024)
#define MAX_DIGITS		6		/* after a double's point */

/* A field of a node, to be looked up. */
typedef struct NodeKey
{
	ProfileNode *parent;
	const char *key;
	uint32		key_length;
} NodeKey;

typedef struct NodeSlot
{
	NodeKey		field;
	ProfileNode *node;
	uint32		hash;
	char		status;
} NodeSlot;

static inline uint32
node_hash(NodeKey field)
{
	return hash_combine(murmurhash32((uint32) ((uintptr_t) field.parent >> 4)),
						hash_bytes((const unsigned char *) field.key, field.key_length));
}

static inline bool
node_equal(NodeKey a, NodeKey b)
{
	return a.parent == b.parent && a.key_length == b.key_length &&
		memcmp(a.key, b.key, a.key_length) == 0;
}

#define SH_PREFIX nodehash
#define SH_ELEMENT_TYPE NodeSlot
#define SH_KEY_TYPE NodeKey
#define SH_KEY field
#define SH_HASH_KEY(table, key) node_hash(key)
#define SH_EQUAL(table, a, b) node_equal(a, b)
#define SH_SCOPE static inline
#define SH_STORE_HASH
#define SH_GET_HASH(table, slot) (slot)->hash
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

static void profile_add_value(Profile *profile, ProfileNode *node, const bson_iter_t *value);

/* Makes an empty profile in a context of its own below parent. */
Profile *
profile_create(MemoryContext parent)
{
	MemoryContext context = AllocSetContextCreate(parent, "collection profile",
												  ALLOCSET_DEFAULT_SIZES);
	Profile    *profile = MemoryContextAllocZero(context, sizeof(Profile));
	MemoryContext old = MemoryContextSwitchTo(context);

	profile->context = context;
	profile->root = palloc0(sizeof(ProfileNode));
	profile->nodes = nodehash_create(context, 256, NULL);
	initStringInfo(&profile->key);
	MemoryContextSwitchTo(old);
	return profile;
}

/* BSON types 1 to 19 have places 0 to 18. */
int
profile_type_index(bson_type_t type)
{
	return type == BSON_TYPE_MAXKEY ? 19 : type == BSON_TYPE_MINKEY ? 20 :
		(int) type >= 1 && (int) type <= 19 ? (int) type - 1 : 21;
}

bson_type_t
profile_index_type(int index)
{
	return index == 19 ? BSON_TYPE_MAXKEY : index == 20 ? BSON_TYPE_MINKEY :
		index == 21 ? BSON_TYPE_EOD : (bson_type_t) (index + 1);
}

/* Nulls, and the deprecated undefined, which becomes NULL too. */
uint64
profile_nulls(const ProfileNode *node)
{
	return node->counts[profile_type_index(BSON_TYPE_NULL)] +
		node->counts[profile_type_index(BSON_TYPE_UNDEFINED)];
}

/* Values of any type. */
uint64
profile_occurrences(const ProfileNode *node)
{
	uint64		total = 0;

	for (int i = 0; i < PROFILE_TYPES; i++)
		total += node->counts[i];
	return total;
}

/* Whether each value is the document's _id again, in enough documents that it is no chance. */
bool
profile_is_own_id(const ProfileNode *node)
{
	return node->own_ids >= 3 && node->own_ids == profile_occurrences(node) - profile_nulls(node);
}

/*
 * A map has keys that are data: too many, all of them ids, numbers or dates, or
 * many that a small part of the sub-documents has each.  What could not be
 * followed to its end is taken for one.
 */
bool
profile_is_map(const ProfileNode *node)
{
	uint64		documents = node->counts[profile_type_index(BSON_TYPE_DOCUMENT)];
	uint64		fields = 0;

	if (node->parent == NULL)
		return false;
	if (node->overflow ||
		(node->nchildren >= 2 && node->keys_like_data == node->nchildren))
		return true;
	if (node->nchildren < 30)
		return false;
	for (ProfileNode *child = node->children; child != NULL; child = child->next)
		fields += profile_occurrences(child);
	return fields < documents * node->nchildren / 5;
}

/* Whether string[from..to - 1] is digits, and not empty. */
static bool
all_digits(const char *string, int from, int to)
{
	for (int i = from; i < to; i++)
	{
		if (!isdigit((unsigned char) string[i]))
			return false;
	}
	return to > from;
}

/* 8-4-4-4-12 hex digits. */
static bool
is_uuid(const char *string, uint32 length)
{
	if (length != 36)
		return false;
	for (int i = 0; i < 36; i++)
	{
		if (i == 8 || i == 13 || i == 18 || i == 23 ? string[i] != '-' :
			!isxdigit((unsigned char) string[i]))
			return false;
	}
	return true;
}

/* yyyy-mm-dd, a day of the calendar, with or without a time: [T ]hh:mm[:ss[.fraction]][Z|+hh[:]mm] */
static bool
is_iso_date(const char *string, uint32 length)
{
	uint32		at;
	int			year;
	int			month;
	int			day;

	if (length < 10 || length > 40 || !all_digits(string, 0, 4) || string[4] != '-' ||
		!all_digits(string, 5, 7) || string[7] != '-' || !all_digits(string, 8, 10))
		return false;
	year = atoi(string);
	month = atoi(string + 5);
	day = atoi(string + 8);
	if (month < 1 || month > MONTHS_PER_YEAR || day < 1 || day > day_tab[isleap(year)][month - 1])
		return false;
	if (length == 10)
		return true;
	if (length < 16 || (string[10] != 'T' && string[10] != ' ') || !all_digits(string, 11, 13) ||
		string[13] != ':' || !all_digits(string, 14, 16))
		return false;
	for (at = 16; at < length; at++)
	{
		if (!isdigit((unsigned char) string[at]) && strchr(":.+-Z ", string[at]) == NULL)
			return false;
	}
	return true;
}

/* A number that would be the same text again: no leading zeros. */
static bool
is_number(const char *string, uint32 length)
{
	uint32		at = (length > 0 && string[0] == '-') ? 1 : 0;
	uint32		begin = at;

	while (at < length && isdigit((unsigned char) string[at]))
		at++;
	if (at == begin || (string[begin] == '0' && at > begin + 1))
		return false;
	return at == length ||
		(string[at] == '.' && at + 1 < length && length < 40 && all_digits(string, at + 1, length));
}

/* Whether a key is rather an id, a number or a date than a field's name. */
static bool
key_like_data(const char *key, uint32 length)
{
	uint32		i;

	if (all_digits(key, 0, length) || is_uuid(key, length) || is_iso_date(key, length))
		return true;
	for (i = 0; i < length && isxdigit((unsigned char) key[i]); i++)
		;
	return length == 24 && i == length;
}

/* Makes a node below parent, after the given sibling. */
static ProfileNode *
node_create(Profile *profile, ProfileNode *parent, ProfileNode *after,
			const char *key, uint32 key_length)
{
	ProfileNode *node = MemoryContextAllocZero(profile->context, sizeof(ProfileNode));

	node->parent = parent;
	node->depth = parent->depth + 1;
	profile->npaths++;
	if (key == NULL)
		return node;

	node->key = MemoryContextAlloc(profile->context, key_length + 1);
	memcpy(node->key, key, key_length);
	node->key[key_length] = '\0';
	node->key_length = key_length;
	parent->nchildren++;
	if (key_like_data(key, key_length))
		parent->keys_like_data++;
	if (after == NULL)
	{
		node->next = parent->children;
		parent->children = node;
	}
	else
	{
		node->next = after->next;
		after->next = node;
	}
	return node;
}

/* The node of a field, made when it is new; NULL beyond the limits. */
static ProfileNode *
find_child(Profile *profile, ProfileNode *parent, ProfileNode *previous,
		   const char *key, uint32 key_length)
{
	ProfileNode *guess = previous == NULL ? parent->children : previous->next;
	NodeKey		field = {parent, key, key_length};
	NodeSlot   *slot;
	bool		found;

	if (guess != NULL && guess->key_length == key_length &&
		memcmp(guess->key, key, key_length) == 0)
		return guess;
	slot = nodehash_lookup(profile->nodes, field);
	if (slot != NULL)
		return slot->node;

	if ((parent->parent != NULL && parent->nchildren >= PROFILE_MAX_CHILDREN) ||
		profile->npaths >= MAX_PATHS || parent->depth >= MAX_DEPTH)
	{
		parent->overflow = true;
		return NULL;
	}
	guess = node_create(profile, parent, previous, key, key_length);
	field.key = guess->key;
	nodehash_insert(profile->nodes, field, &found)->node = guess;
	return guess;
}

/* Adds the fields of a document or sub-document. */
static void
add_fields(Profile *profile, ProfileNode *parent, bson_iter_t *fields)
{
	uint64		instance = ++profile->instances;
	ProfileNode *previous = NULL;

	while (bson_iter_next(fields))
	{
		ProfileNode *node = find_child(profile, parent, previous, bson_iter_key(fields),
									   bson_iter_key_len(fields));

		if (node == NULL)
		{
			/* Its key is data perhaps; its value counts for the map's. */
			if (parent->value == NULL && profile->npaths < MAX_PATHS && parent->depth < MAX_DEPTH)
				parent->value = node_create(profile, parent, NULL, NULL, 0);
			if (parent->value != NULL)
				profile_add_value(profile, parent->value, fields);
			continue;
		}
		previous = node;
		if (node->instance == instance)
			node->duplicates++;
		else
		{
			node->instance = instance;
			profile_add_value(profile, node, fields);
		}
	}
}

/* Widens the range of lengths. */
static void
add_length(ProfileNode *node, uint32 length)
{
	if (!node->lengths || length < node->length_min)
		node->length_min = length;
	if (!node->lengths || length > node->length_max)
		node->length_max = length;
	node->lengths = true;
}

/* Adds the elements of an array. */
static void
add_elements(Profile *profile, ProfileNode *array, bson_iter_t *elements)
{
	uint32		length = 0;

	for (; bson_iter_next(elements); length++)
	{
		if (array->element == NULL)
		{
			if (profile->npaths >= MAX_PATHS || array->depth >= MAX_DEPTH)
			{
				array->overflow = true;
				continue;
			}
			array->element = node_create(profile, array, NULL, NULL, 0);
		}
		profile_add_value(profile, array->element, elements);
	}
	add_length(array, length);
}

/* Adds what a string looks like. */
static void
add_string(ProfileNode *node, const char *string, uint32 length)
{
	uint32		characters = 0;

	for (uint32 i = 0; i < length; i++)
		characters += ((unsigned char) string[i] & 0xC0) != 0x80;
	add_length(node, characters);
	if (length == 0)
	{
		node->empty_strings++;
		return;
	}
	node->strings++;
	node->iso_date_strings += is_iso_date(string, length);
	node->number_strings += is_number(string, length);
	node->uuid_strings += is_uuid(string, length);
}

/* Digits after the point of the shortest decimal form; MAX_DIGITS + 1: more. */
static int
digits_after_point(double value)
{
	char		string[DOUBLE_SHORTEST_DECIMAL_LEN];
	int			length = double_to_shortest_decimal_buf(value, string);
	char	   *point = memchr(string, '.', length);

	if (memchr(string, 'e', length) != NULL)
		return fabs(value) < 1 ? MAX_DIGITS + 1 : 0;
	return point == NULL ? 0 : Min(length - (int) (point - string) - 1, MAX_DIGITS + 1);
}

/* Widens the range of numbers; NaN and infinities are in none. */
static void
add_number(ProfileNode *node, const bson_iter_t *value)
{
	ProfileNumber number = {.type = bson_iter_type(value)};
	char		string[BSON_DECIMAL128_STRING];

	switch (number.type)
	{
		case BSON_TYPE_DOUBLE:
			number.order = number.value.real = bson_iter_double(value);
			if (isnan(number.order) || isinf(number.order))
				return;
			if (node->double_digits <= MAX_DIGITS && number.order != rint(number.order))
				node->double_digits = Max(node->double_digits, digits_after_point(number.order));
			break;
		case BSON_TYPE_DECIMAL128:
			bson_iter_decimal128(value, &number.value.decimal);
			bson_decimal128_to_string(&number.value.decimal, string);
			number.order = strtod(string, NULL);
			if (isnan(number.order) || isinf(number.order))
				return;
			break;
		default:
			number.value.whole = bson_iter_as_int64(value);
			number.order = (double) number.value.whole;
			break;
	}
	if (!node->numbers || number.order < node->number_min.order)
		node->number_min = number;
	if (!node->numbers || number.order > node->number_max.order)
		node->number_max = number;
	node->numbers = true;
}

/* Keeps the key of a value if it is among the PROFILE_VALUES with the smallest hashes. */
static void
sample_key(Profile *profile, ProfileNode *node, const char *key, uint32 length, uint64 hash)
{
	ProfileValues *values = node->values;
	int			low = 0;
	int			high;
	char	   *copy;

	if (values == NULL)
		values = node->values = MemoryContextAllocZero(profile->context, sizeof(ProfileValues));
	if (values->count == PROFILE_VALUES && hash > values->hashes[PROFILE_VALUES - 1])
	{
		values->full = true;
		return;
	}
	for (high = values->count; low < high;)
	{
		int			middle = (low + high) / 2;

		if (values->hashes[middle] < hash)
			low = middle + 1;
		else
			high = middle;
	}
	if (low < values->count && values->hashes[low] == hash)
		return;

	if (values->count == PROFILE_VALUES)
	{
		values->full = true;
		values->count--;
		profile->value_bytes -= GetMemoryChunkSpace(values->keys[values->count]);
		pfree(values->keys[values->count]);
	}
	copy = MemoryContextAlloc(profile->context, Max(length, 1));
	memcpy(copy, key, length);
	profile->value_bytes += GetMemoryChunkSpace(copy);
	memmove(&values->hashes[low + 1], &values->hashes[low],
			(values->count - low) * sizeof(values->hashes[0]));
	memmove(&values->keys[low + 1], &values->keys[low],
			(values->count - low) * sizeof(values->keys[0]));
	memmove(&values->lengths[low + 1], &values->lengths[low],
			(values->count - low) * sizeof(values->lengths[0]));
	values->hashes[low] = hash;
	values->keys[low] = copy;
	values->lengths[low] = length;
	values->count++;
}

/* Takes note of a document's _id, and counts the values that are the same. */
static void
compare_to_id(Profile *profile, ProfileNode *node, const bson_iter_t *value, uint64 hash)
{
	if (node->parent == profile->root && strcmp(node->key, "_id") == 0)
	{
		profile->own_id = hash;
		if (BSON_ITER_HOLDS_OID(value))
			bson_oid_to_string(bson_iter_oid(value), profile->own_oid);
	}
	else if (hash == profile->own_id ||
			 (BSON_ITER_HOLDS_UTF8(value) && profile->own_oid[0] != '\0' &&
			  strcmp(bson_iter_utf8(value, NULL), profile->own_oid) == 0))
		node->own_ids++;
}

/* Samples a value. */
static void
sample_value(Profile *profile, ProfileNode *node, const bson_iter_t *value)
{
	StringInfo	key = &profile->key;
	uint64		hash;

	resetStringInfo(key);
	key_append(key, value);
	hash = key_hash(key->data, key->len);
	compare_to_id(profile, node, value, hash);
	sample_key(profile, node, key->data, key->len, hash);
}

/* Adds one value of a node, and what is in it. */
static void
profile_add_value(Profile *profile, ProfileNode *node, const bson_iter_t *value)
{
	bson_type_t type = bson_iter_type(value);
	bson_subtype_t subtype;
	const uint8_t *bytes;
	const char *string;
	uint32		length = 0;
	bson_iter_t inner;

	check_stack_depth();
	node->counts[profile_type_index(type)]++;
	lattice_add(&node->seen, value);

	switch (type)
	{
		case BSON_TYPE_DOCUMENT:
			if (bson_iter_recurse(value, &inner))
				add_fields(profile, node, &inner);
			return;
		case BSON_TYPE_ARRAY:
			if (bson_iter_recurse(value, &inner))
				add_elements(profile, node, &inner);
			return;
		case BSON_TYPE_INT32:
		case BSON_TYPE_INT64:
		case BSON_TYPE_DOUBLE:
		case BSON_TYPE_DECIMAL128:
			add_number(node, value);
			break;
		case BSON_TYPE_UTF8:
			string = bson_iter_utf8(value, &length);
			add_string(node, string, length);
			break;
		case BSON_TYPE_BINARY:
			bson_iter_binary(value, &subtype, &length, &bytes);
			add_length(node, length);
			break;
		case BSON_TYPE_DATE_TIME:
			if (!node->dates || bson_iter_date_time(value) < node->date_min)
				node->date_min = bson_iter_date_time(value);
			if (!node->dates || bson_iter_date_time(value) > node->date_max)
				node->date_max = bson_iter_date_time(value);
			node->dates = true;
			return;
		case BSON_TYPE_OID:
			break;
		default:
			return;
	}
	if (length <= MAX_VALUE && profile->value_bytes < MAX_VALUE_BYTES)
		sample_value(profile, node, value);
	else
		node->values_left_out = true;
}

/* Adds a document. */
void
profile_add(Profile *profile, const bson_t *document)
{
	bson_iter_t fields;

	profile->documents++;
	profile->own_id = 0;
	profile->own_oid[0] = '\0';
	profile->root->counts[profile_type_index(BSON_TYPE_DOCUMENT)]++;
	if (bson_iter_init(&fields, document))
		add_fields(profile, profile->root, &fields);
}

/* Adds the ranges of a node to another's. */
static void
merge_ranges(ProfileNode *into, const ProfileNode *from)
{
	if (from->numbers && (!into->numbers || from->number_min.order < into->number_min.order))
		into->number_min = from->number_min;
	if (from->numbers && (!into->numbers || from->number_max.order > into->number_max.order))
		into->number_max = from->number_max;
	into->numbers |= from->numbers;
	if (from->dates && (!into->dates || from->date_min < into->date_min))
		into->date_min = from->date_min;
	if (from->dates && (!into->dates || from->date_max > into->date_max))
		into->date_max = from->date_max;
	into->dates |= from->dates;
	if (from->lengths)
	{
		add_length(into, from->length_min);
		add_length(into, from->length_max);
	}
}

/* Adds all that is known of a node, and of what is below it, to another. */
static void
merge_node(Profile *profile, ProfileNode *into, const ProfileNode *from)
{
	ProfileNode *previous = NULL;

	check_stack_depth();
	for (int i = 0; i < PROFILE_TYPES; i++)
		into->counts[i] += from->counts[i];
	into->duplicates += from->duplicates;
	into->overflow |= from->overflow;
	lattice_merge(&into->seen, &from->seen);
	merge_ranges(into, from);
	into->empty_strings += from->empty_strings;
	into->strings += from->strings;
	into->iso_date_strings += from->iso_date_strings;
	into->number_strings += from->number_strings;
	into->uuid_strings += from->uuid_strings;
	into->own_ids += from->own_ids;
	into->double_digits = Max(into->double_digits, from->double_digits);
	into->values_left_out |= from->values_left_out;
	if (from->values != NULL)
	{
		for (int i = 0; i < from->values->count; i++)
			sample_key(profile, into, from->values->keys[i], from->values->lengths[i],
					   from->values->hashes[i]);
		into->values->full |= from->values->full;
	}
	for (ProfileNode *child = from->children; child != NULL; child = child->next)
	{
		ProfileNode *twin = find_child(profile, into, previous, child->key, child->key_length);

		if (twin == NULL)
			continue;
		merge_node(profile, twin, child);
		previous = twin;
	}
	if (from->element != NULL)
	{
		if (into->element == NULL)
			into->element = node_create(profile, into, NULL, NULL, 0);
		merge_node(profile, into->element, from->element);
	}
}

/* Sums up the values of the maps at a node and below. */
static void
merge_maps(Profile *profile, ProfileNode *node)
{
	bool		is_map = profile_is_map(node);

	for (ProfileNode *child = node->children; is_map && child != NULL; child = child->next)
	{
		if (node->value == NULL)
			node->value = node_create(profile, node, NULL, NULL, 0);
		merge_node(profile, node->value, child);
	}
	for (ProfileNode *child = node->children; !is_map && child != NULL; child = child->next)
		merge_maps(profile, child);
	if (node->element != NULL)
		merge_maps(profile, node->element);
	if (is_map && node->value != NULL)
		merge_maps(profile, node->value);
}

/* Sums up the values of each map. */
void
profile_merge_maps(Profile *profile)
{
	merge_maps(profile, profile->root);
}

/*
 * keymatch.c
 *	  Which collections have a profile's values as keys.
 *
 * A path refers to a collection when nearly all of its sampled distinct values
 * exist there, as _id or in a unique index.  They are looked up by value, as
 * MongoDB compares: 1 finds 1.0.  What chance would match proves nothing:
 * small whole numbers are keys of every collection that is numbered from one,
 * so for them the names must agree too.
 */
#include "postgres.h"
#include "compat.h"

#include <ctype.h>

#include "bson/key.h"
#include "common/hashfn.h"
#include "lib/stringinfo.h"
#include "migrate/collections.h"
#include "migrate/keymatch.h"
#include "miscadmin.h"
#include "mongo/cursor.h"
#include "owned.h"
#include "utils/memutils.h"

#define QUICK_VALUES	24		/* values tried before all are */
#define LOOKUP_VALUES	1000	/* values in one $in */
#define MAX_WORDS		16		/* words of a name */
#define MAX_CANDIDATES	1000	/* paths that are looked up */

/* The values of a path in one form, as they may stand in another collection. */
typedef struct Candidate
{
	ProfileNode *node;
	const char *form;			/* as in plan_column.key_form */
	int			rank;			/* of the keys: one of the KEY_* below */
	int			count;
	uint64		hashes[PROFILE_VALUES];
	char	   *keys[PROFILE_VALUES];	/* NULL: has no such form */
	uint32		lengths[PROFILE_VALUES];
	bool		found[PROFILE_VALUES];	/* is the _id of a document somewhere */
	char	   *where;			/* the collections that have such documents, or NULL */
} Candidate;

/* Kinds of keys, in MongoDB's order of types. */
enum
{
	KEY_BEFORE,					/* MinKey, null */
	KEY_NUMBER,
	KEY_STRING,
	KEY_DOCUMENT,
	KEY_BINARY,
	KEY_OBJECTID,
	KEY_AFTER					/* booleans, dates and the rest */
};

/* Something that a reference may point to: a field with a unique index. */
typedef struct Probe
{
	const char *collection;
	const char *key;
	bson_t	   *index;			/* the index's key, for the hint */
	int			low;			/* kinds of the first and the last key */
	int			high;
	double		spread;			/* of numbers: their span for each key, or 0 */
} Probe;

/* The keys found by a lookup. */
typedef struct FoundEntry
{
	uint64		hash;
	char		status;
} FoundEntry;

#define SH_PREFIX found
#define SH_ELEMENT_TYPE FoundEntry
#define SH_KEY_TYPE uint64
#define SH_KEY hash
#define SH_HASH_KEY(table, key) ((uint32) (key))
#define SH_EQUAL(table, a, b) ((a) == (b))
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/*
 * Splits a name into lower-case words, at changes of case and at everything
 * that is no letter or digit; plural endings go.  Returns how many there are.
 */
static int
split_words(const char *name, char *words[MAX_WORDS])
{
	int			count = 0;
	StringInfoData word;

	initStringInfo(&word);
	for (const char *c = name;; c++)
	{
		bool		upper = isupper((unsigned char) *c);
		bool		inside = isalnum((unsigned char) *c) || IS_HIGHBIT_SET(*c);

		if (word.len > 0 &&
			(!inside ||
			 (upper && (!isupper((unsigned char) c[-1]) || islower((unsigned char) c[1])))))
		{
			if (word.len > 3 && strcmp(word.data + word.len - 3, "ies") == 0)
			{
				word.len -= 3;
				appendStringInfoChar(&word, 'y');
			}
			else if (word.len > 2 && word.data[word.len - 1] == 's' && word.data[word.len - 2] != 's')
				word.data[--word.len] = '\0';
			if (count < MAX_WORDS)
				words[count++] = pstrdup(word.data);
			resetStringInfo(&word);
		}
		if (inside)
			appendStringInfoChar(&word, pg_ascii_tolower((unsigned char) *c));
		if (*c == '\0')
			break;
	}
	return count;
}

/* Whether a field's name says that it refers to a collection. */
bool
names_agree(const char *field, const char *collection, bool *suffix)
{
	char	   *words[MAX_WORDS];
	char	   *other[MAX_WORDS];
	int			count = split_words(field, words);
	int			others = split_words(collection, other);

	*suffix = count > 0 && (strcmp(words[count - 1], "id") == 0 ||
							strcmp(words[count - 1], "oid") == 0 ||
							strcmp(words[count - 1], "ref") == 0);
	if (*suffix)
		count--;
	return count > 0 && others > 0 && strcmp(words[count - 1], other[others - 1]) == 0;
}

/* The name that speaks for a path: that of user in user._id and users[]. */
static const char *
telling_name(const ProfileNode *node)
{
	StringInfoData name;
	bool		id = false;

	while (node->key == NULL || strcmp(node->key, "_id") == 0 || strcmp(node->key, "id") == 0)
	{
		if (node->parent == NULL || node->parent->parent == NULL)
			return "";
		id |= node->key != NULL;
		node = node->parent;
	}
	initStringInfo(&name);
	appendStringInfo(&name, "%s%s", node->key, id ? "_id" : "");
	return name.data;
}

/* Whether the field's name agrees with a probe of some collection. */
static bool
probe_agrees(const Candidate *candidate, const Probe *probe, const char *self, bool *suffix)
{
	const char *name = telling_name(candidate->node);

	return names_agree(name, probe->collection, suffix) ||
		(strcmp(probe->collection, self) == 0 && names_agree(name, "parent", suffix));
}

/* A key's value, in holder; returns its type. */
static bson_type_t
key_value(const char *key, uint32 length, bson_t *holder, bson_iter_t *value)
{
	bson_reinit(holder);
	key_append_to_bson(holder, "v", key, length);
	return bson_iter_init_find(value, holder, "v") ? bson_iter_type(value) : BSON_TYPE_EOD;
}

/*
 * Sets what value a string stands for, in holder: an ObjectId for 24 hex digits,
 * or a number.  False when it stands for none.
 */
static bool
string_stands_for(const char *string, uint32 length, bool objectid, bson_t *holder, bson_iter_t *value)
{
	bson_oid_t	oid;
	bson_decimal128_t decimal;

	if (length == 0 || memchr(string, '\0', length) != NULL)
		return false;
	if (objectid)
	{
		if (!bson_oid_is_valid(string, length) || length != 24)
			return false;
		bson_oid_init_from_string(&oid, string);
		bson_reinit(holder);
		BSON_APPEND_OID(holder, "v", &oid);
	}
	else
	{
		if (strspn(string, "-.0123456789") != length ||
			!bson_decimal128_from_string(string, &decimal))
			return false;
		bson_reinit(holder);
		BSON_APPEND_DECIMAL128(holder, "v", &decimal);
	}
	return bson_iter_init_find(value, holder, "v");
}

/* Makes a candidate: the node's values as they are, or what its strings stand for. */
static Candidate *
candidate_create(ProfileNode *node, const char *form, int rank)
{
	Candidate  *candidate = palloc0(sizeof(Candidate));
	ProfileValues *values = node->values;
	bson_t	   *holder = owned_bson_new(CurrentMemoryContext);
	bson_t	   *meaning = owned_bson_new(CurrentMemoryContext);
	StringInfoData key;

	initStringInfo(&key);
	candidate->node = node;
	candidate->form = form;
	candidate->rank = rank;
	candidate->count = values->count;
	for (int i = 0; i < values->count; i++)
	{
		bson_iter_t value;
		bson_iter_t stands_for;

		candidate->hashes[i] = values->hashes[i];
		candidate->keys[i] = values->keys[i];
		candidate->lengths[i] = values->lengths[i];
		if (strcmp(form, "exact") == 0 ||
			key_value(values->keys[i], values->lengths[i], holder, &value) != BSON_TYPE_UTF8)
			continue;
		candidate->keys[i] = NULL;
		if (string_stands_for(bson_iter_utf8(&value, NULL), bson_iter_utf8_len_unsafe(&value),
							  rank == KEY_OBJECTID, meaning, &stands_for))
		{
			resetStringInfo(&key);
			key_append(&key, &stands_for);
			candidate->keys[i] = palloc(key.len);
			memcpy(candidate->keys[i], key.data, key.len);
			candidate->lengths[i] = key.len;
			candidate->hashes[i] = hash_bytes_extended((unsigned char *) key.data, key.len, 0);
		}
	}
	return candidate;
}

/* Adds the candidates of a path and of what is below it. */
static List *
add_candidates(List *list, ProfileNode *node)
{
	const uint32 strings = LATTICE_BIT(BSON_TYPE_UTF8);
	const uint32 oids = LATTICE_BIT(BSON_TYPE_OID);
	const uint32 binaries = LATTICE_BIT(BSON_TYPE_BINARY);
	const uint32 numbers = LATTICE_BIT(BSON_TYPE_INT32) | LATTICE_BIT(BSON_TYPE_INT64) |
		LATTICE_BIT(BSON_TYPE_DOUBLE) | LATTICE_BIT(BSON_TYPE_DECIMAL128);
	uint32		types = node->seen.types &
		~(LATTICE_BIT(BSON_TYPE_NULL) | LATTICE_BIT(BSON_TYPE_UNDEFINED));
	bool		own_id = node->depth == 1 && node->key != NULL && strcmp(node->key, "_id") == 0;

	if (list_length(list) >= MAX_CANDIDATES)
		return list;
	if (node->values != NULL && !own_id)
	{
		if (types == oids || types == binaries || (types & ~numbers) == 0)
			list = lappend(list, candidate_create(node, "exact",
												  types == oids ? KEY_OBJECTID :
												  types == binaries ? KEY_BINARY : KEY_NUMBER));
		else if (types == strings && node->length_max <= 64)
			list = lappend(list, candidate_create(node, "exact", KEY_STRING));
		if ((types & strings) && (types & ~(strings | oids)) == 0)
			list = lappend(list, candidate_create(node, "objectid_text", KEY_OBJECTID));
		if ((types & strings) && (types & ~(strings | numbers)) == 0 && !node->strings_not_number)
			list = lappend(list, candidate_create(node, "number_text", KEY_NUMBER));
	}
	if (profile_is_map(node))
		return node->value == NULL ? list : add_candidates(list, node->value);
	for (ProfileNode *child = node->children; child != NULL; child = child->next)
		list = add_candidates(list, child);
	if (node->element != NULL)
		list = add_candidates(list, node->element);
	return list;
}

/* The kind of a key, and of a number its value. */
static int
key_kind(const bson_iter_t *value, double *number)
{
	switch (bson_iter_type(value))
	{
		case BSON_TYPE_INT32:
		case BSON_TYPE_INT64:
		case BSON_TYPE_DOUBLE:
			*number = bson_iter_as_double(value);
			return KEY_NUMBER;
		case BSON_TYPE_DECIMAL128:
			*number = 0;
			return KEY_NUMBER;
		case BSON_TYPE_SYMBOL:
		case BSON_TYPE_UTF8:
			return KEY_STRING;
		case BSON_TYPE_DOCUMENT:
		case BSON_TYPE_ARRAY:
			return KEY_DOCUMENT;
		case BSON_TYPE_BINARY:
			return KEY_BINARY;
		case BSON_TYPE_OID:
			return KEY_OBJECTID;
		case BSON_TYPE_MINKEY:
		case BSON_TYPE_UNDEFINED:
		case BSON_TYPE_NULL:
			return KEY_BEFORE;
		default:
			return KEY_AFTER;
	}
}

/* Options of a find by a probe's index that returns its field alone. */
static bson_t *
probe_options(const Probe *probe, int direction)
{
	bson_t	   *options = owned_bson_new(CurrentMemoryContext);
	bson_t		child;

	BSON_APPEND_DOCUMENT_BEGIN(options, "projection", &child);
	bson_append_int32(&child, probe->key, -1, 1);
	if (strcmp(probe->key, "_id") != 0)
		BSON_APPEND_INT32(&child, "_id", 0);
	bson_append_document_end(options, &child);
	BSON_APPEND_DOCUMENT(options, "hint", probe->index);
	if (direction != 0)
	{
		BSON_APPEND_DOCUMENT_BEGIN(options, "sort", &child);
		bson_append_int32(&child, probe->key, -1, direction);
		bson_append_document_end(options, &child);
		BSON_APPEND_INT64(options, "limit", 1);
	}
	return options;
}

/* Looks at the first and the last key.  False when there are none. */
static bool
probe_range(MongoConnection *connection, Probe *probe)
{
	double		ends[2] = {0, 0};
	int			kinds[2];

	for (int end = 0; end < 2; end++)
	{
		bson_t	   *filter = owned_bson_new(CurrentMemoryContext);
		MongoCursor *cursor = mongo_find(connection, probe->collection, filter,
										 probe_options(probe, end == 0 ? 1 : -1),
										 CurrentMemoryContext);
		const bson_t *document = mongo_cursor_next(cursor);
		bson_iter_t iter;
		bson_iter_t value;

		if (document == NULL)
			return false;
		kinds[end] = bson_iter_init(&iter, document) &&
			bson_iter_find_descendant(&iter, probe->key, &value) ?
			key_kind(&value, &ends[end]) : KEY_BEFORE;
		mongo_cursor_close(cursor);
	}
	probe->low = kinds[0];
	probe->high = kinds[1];
	if (probe->low == KEY_NUMBER && probe->high == KEY_NUMBER)
		probe->spread = (ends[1] - ends[0] + 1) /
			Max((double) collection_count(connection, probe->collection), 1);
	return true;
}

/* Adds a probe for each unique key of a collection that has documents. */
static List *
add_probes(List *list, MongoConnection *connection, const char *collection)
{
	ListCell   *cell;

	foreach(cell, collection_unique_keys(connection, collection))
	{
		UniqueKey  *key = (UniqueKey *) lfirst(cell);
		Probe	   *probe = palloc0(sizeof(Probe));

		probe->collection = collection;
		probe->key = key->field;
		probe->index = key->index;
		if (probe_range(connection, probe))
			list = lappend(list, probe);
	}
	return list;
}

/* Looks the first values of each candidate up in a probe's index. */
static void
lookup(MongoConnection *connection, const Probe *probe, List *candidates, int limit, found_hash *found)
{
	found_hash *asked = found_create(CurrentMemoryContext, 1024, NULL);
	StringInfoData key;
	ListCell   *cell = list_head(candidates);
	int			at = 0;

	initStringInfo(&key);
	while (cell != NULL)
	{
		bson_t	   *filter = owned_bson_new(CurrentMemoryContext);
		bson_t		field;
		bson_t		in;
		int			count = 0;
		MongoCursor *cursor;
		const bson_t *document;

		bson_append_document_begin(filter, probe->key, -1, &field);
		BSON_APPEND_ARRAY_BEGIN(&field, "$in", &in);
		while (cell != NULL && count < LOOKUP_VALUES)
		{
			Candidate  *candidate = (Candidate *) lfirst(cell);
			bool		known;

			if (at == Min(limit, candidate->count))
			{
				cell = lnext(candidates, cell);
				at = 0;
				continue;
			}
			if (candidate->keys[at] != NULL)
			{
				found_insert(asked, candidate->hashes[at], &known);
				if (!known)
					key_append_to_bson(&in, psprintf("%d", count++), candidate->keys[at],
									   candidate->lengths[at]);
			}
			at++;
		}
		bson_append_array_end(&field, &in);
		bson_append_document_end(filter, &field);
		if (count == 0)
			break;

		cursor = mongo_find(connection, probe->collection, filter, probe_options(probe, 0),
							CurrentMemoryContext);
		while ((document = mongo_cursor_next(cursor)) != NULL)
		{
			bson_iter_t iter;
			bson_iter_t value;
			bool		known;

			if (!bson_iter_init(&iter, document) ||
				!bson_iter_find_descendant(&iter, probe->key, &value))
				continue;
			resetStringInfo(&key);
			key_append(&key, &value);
			found_insert(found, hash_bytes_extended((unsigned char *) key.data, key.len, 0), &known);
			CHECK_FOR_INTERRUPTS();
		}
		mongo_cursor_close(cursor);
	}
}

/* How many of a candidate's first values were found. */
static int
count_found(const Candidate *candidate, int limit, found_hash *found)
{
	int			count = 0;

	for (int i = 0; i < Min(limit, candidate->count); i++)
	{
		if (candidate->keys[i] != NULL && found_lookup(found, candidate->hashes[i]) != NULL)
			count++;
	}
	return count;
}

/* Whether the values are ObjectIds, or 16 random bytes, which are nowhere by chance. */
static bool
has_random_keys(const Candidate *candidate)
{
	return candidate->rank == KEY_OBJECTID || candidate->rank == KEY_BINARY;
}

/* Notes which of a candidate's values are _ids of the probe's collection. */
static void
mark_found(Candidate *candidate, const Probe *probe, found_hash *found, MemoryContext context)
{
	MemoryContext old = MemoryContextSwitchTo(context);

	for (int i = 0; i < candidate->count; i++)
		candidate->found[i] |= candidate->keys[i] != NULL &&
			found_lookup(found, candidate->hashes[i]) != NULL;
	candidate->where = candidate->where == NULL ? pstrdup(probe->collection) :
		psprintf("%s, %s", candidate->where, probe->collection);
	MemoryContextSwitchTo(old);
}

/*
 * Takes a candidate's reference back where a tenth of its values or more are
 * not in the collection but in others: a foreign key would have those dangle
 * whose documents exist.
 */
static void
drop_if_divided(Profile *profile, const Candidate *candidate)
{
	ProfileNode *node = candidate->node;
	int			found = 0;

	if (node->reference == NULL || candidate->where == NULL ||
		strcmp(node->reference->key_form, candidate->form) != 0 ||
		strcmp(node->reference->key, "_id") != 0)
		return;
	for (int i = 0; i < candidate->count; i++)
		found += candidate->found[i];
	if ((found - node->reference->found) * 10 < candidate->count)
		return;
	node->reference = NULL;
	node->divided = MemoryContextStrdup(profile->context, candidate->where);
}

/* Whether a probe is the index of the candidate's own field. */
static bool
is_own_index(const Candidate *candidate, const Probe *probe, const char *self)
{
	char	   *path = NULL;

	if (strcmp(probe->collection, self) != 0)
		return false;
	for (ProfileNode *node = candidate->node; node->parent != NULL; node = node->parent)
	{
		if (node->key != NULL)
			path = path == NULL ? node->key : psprintf("%s.%s", node->key, path);
	}
	return path != NULL && strcmp(path, probe->key) == 0;
}

/*
 * Whether so many values found are a reference.  Of random keys half is
 * enough, the rest are dangling.  Small numbers, as text or not, are
 * everywhere: the field must say what it means.
 */
static bool
is_reference(const Candidate *candidate, const Probe *probe, int found, const char *self)
{
	bool		suffix;
	bool		agrees = probe_agrees(candidate, probe, self, &suffix);

	switch (candidate->rank)
	{
		case KEY_OBJECTID:
		case KEY_BINARY:
			return found * 2 >= candidate->count && found > 0;
		case KEY_STRING:
			if (!candidate->node->strings_not_number || candidate->node->length_max < 2)
				return found * 10 >= candidate->count * 9 && found > 0 && agrees && suffix;
			return found * 10 >= candidate->count * 9 && (found >= 3 || (agrees && found > 0));
		default:
			return found * 10 >= candidate->count * 9 && found > 0 &&
				((agrees && suffix) || (probe->spread > 100 && found >= 3));
	}
}

/* Orders two references of a path, the better one first: _id before other
 * keys, then names that agree, then more values found. */
static bool
is_better(const Candidate *candidate, const Probe *probe, int found, const char *self)
{
	ProfileReference *old = candidate->node->reference;
	Probe		other = {.collection = old->collection};
	bool		suffix;
	int			id = strcmp(probe->key, "_id") == 0;
	int			old_id = strcmp(old->key, "_id") == 0;
	int			agrees = probe_agrees(candidate, probe, self, &suffix);
	int			old_agrees = probe_agrees(candidate, &other, self, &suffix);

	if (id != old_id)
		return id > old_id;
	if (agrees != old_agrees)
		return agrees > old_agrees;
	return found > old->found;
}

/* Notes that a candidate's values are keys of a probe. */
static void
add_reference(Profile *profile, const Candidate *candidate, const Probe *probe, int found,
			  const char *self)
{
	ProfileNode *node = candidate->node;
	ProfileReference *old = node->reference;
	MemoryContext caller = MemoryContextSwitchTo(profile->context);
	ProfileReference *reference = palloc0(sizeof(ProfileReference));

	reference->collection = pstrdup(probe->collection);
	reference->key = pstrdup(probe->key);
	reference->key_form = candidate->form;
	reference->sampled = candidate->count;
	reference->found = found;
	if (old == NULL)
		node->reference = reference;
	else
	{
		bool		better = is_better(candidate, probe, found, self);
		ProfileReference *loser = better ? old : reference;

		if (better)
			node->reference = reference;
		node->reference->others = psprintf("%s%s%s.%s", old->others ? old->others : "",
										   old->others ? ", " : "", loser->collection, loser->key);
	}
	MemoryContextSwitchTo(caller);
}

/* Sets node->reference of every path whose values are keys somewhere. */
void
profile_find_references(Profile *profile, MongoConnection *connection, const char *collection)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "key match",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext per_probe = AllocSetContextCreate(context, "key match probe",
													ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *candidates = add_candidates(NIL, profile->root);
	List	   *probes = NIL;
	ListCell   *cell;

	if (candidates != NIL)
	{
		foreach(cell, collections_list(connection))
		{
			CollectionInfo *info = (CollectionInfo *) lfirst(cell);

			if (strcmp(info->kind, "collection") == 0)
				probes = add_probes(probes, connection, info->name);
			CHECK_FOR_INTERRUPTS();
		}
	}

	foreach(cell, probes)
	{
		Probe	   *probe = (Probe *) lfirst(cell);
		List	   *likely = NIL;
		found_hash *found;
		ListCell   *c;

		MemoryContextSwitchTo(per_probe);
		foreach(c, candidates)
		{
			Candidate  *candidate = (Candidate *) lfirst(c);

			if (candidate->rank >= probe->low && candidate->rank <= probe->high &&
				!is_own_index(candidate, probe, collection))
				likely = lappend(likely, candidate);
		}
		found = found_create(per_probe, 1024, NULL);
		lookup(connection, probe, likely, QUICK_VALUES, found);
		foreach(c, likely)
		{
			Candidate  *candidate = (Candidate *) lfirst(c);
			int			hits = count_found(candidate, QUICK_VALUES, found);

			if (hits == 0 || (!has_random_keys(candidate) &&
							  hits * 3 < Min(candidate->count, QUICK_VALUES)))
				likely = foreach_delete_current(likely, c);
		}
		lookup(connection, probe, likely, PROFILE_VALUES, found);
		foreach(c, likely)
		{
			Candidate  *candidate = (Candidate *) lfirst(c);
			int			hits = count_found(candidate, PROFILE_VALUES, found);

			if (is_reference(candidate, probe, hits, collection))
				add_reference(profile, candidate, probe, hits, collection);
			if (hits > 0 && has_random_keys(candidate) && strcmp(probe->key, "_id") == 0)
				mark_found(candidate, probe, found, context);
		}
		MemoryContextSwitchTo(context);
		MemoryContextReset(per_probe);
	}
	foreach(cell, candidates)
		drop_if_divided(profile, lfirst(cell));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

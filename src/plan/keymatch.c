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

#include "bson/document_path.h"
#include "bson/key.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "owned.h"
#include "plan/keymatch.h"
#include "plan/keyprobe.h"
#include "utils/memutils.h"

#define QUICK_VALUES	24		/* values tried before all are */
#define MAX_WORDS		16		/* words of a name */
#define MAX_CANDIDATES	1000	/* paths that are looked up */

/* The values of a path in one form, as they may stand in another collection. */
typedef struct Candidate
{
	ProfileNode *node;
	const char *form;			/* as in plan_column.key_form */
	KeyKind		rank;			/* of the keys */
	int			count;
	uint64		hashes[PROFILE_VALUES];
	char	   *keys[PROFILE_VALUES];	/* NULL: has no such form */
	uint32		lengths[PROFILE_VALUES];
	bool		found[PROFILE_VALUES];	/* is the _id of a document somewhere */
	char	   *where;			/* the collections that have such documents,
								 * or NULL */
} Candidate;

/* A probe, and the candidates that may have its keys. */
typedef struct Match
{
	const KeyProbe *probe;
	List	   *candidates;
	HTAB	   *found;			/* those of their values that are keys */
} Match;

/*
 * Splits a name into lower-case words, at changes of case and at everything
 * that is no letter or digit, without what one and many differ by at their ends:
 * branch and branches, movie and movies, company, status.  Returns how many
 * there are.
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
			while (word.len > 2 && strchr("eisy", word.data[word.len - 1]) != NULL)
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

/*
 * Whether a field's name says that it refers to a collection: filmId to
 * Sakila_films.  *suffix: whether the name ends in id or the like.
 */
static bool
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
	if (!document_path_can_name(node->key))
		return "";
	initStringInfo(&name);
	appendStringInfo(&name, "%s%s", pg_any_to_server(node->key, strlen(node->key), PG_UTF8), id ? "_id" : "");
	return name.data;
}

/* Whether the field's name agrees with a probe of some collection. */
static bool
probe_agrees(const Candidate *candidate, const KeyProbe *probe, const char *self, bool *suffix)
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
candidate_create(ProfileNode *node, const char *form, KeyKind rank)
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
			candidate->hashes[i] = key_hash(key.data, key.len);
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
		if ((types & strings) && (types & ~(strings | numbers)) == 0 && node->number_strings == node->strings)
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

/* Whether a probe is the index of the candidate's own field, or of an _id that the field repeats. */
static bool
is_own_index(const Candidate *candidate, const KeyProbe *probe, const char *self)
{
	char	   *path = NULL;

	if (strcmp(probe->collection, self) != 0)
		return false;
	if (strcmp(probe->key, "_id") == 0 && profile_is_own_id(candidate->node))
		return true;
	for (ProfileNode *node = candidate->node; node->parent != NULL; node = node->parent)
	{
		if (node->key != NULL)
			path = path == NULL ? node->key : psprintf("%s.%s", node->key, path);
	}
	return path != NULL && strcmp(path, probe->key) == 0;
}

/* Whether the values are ObjectIds, or 16 random bytes, which are nowhere by chance. */
static bool
has_random_keys(const Candidate *candidate)
{
	return candidate->rank == KEY_OBJECTID || candidate->rank == KEY_BINARY;
}

/*
 * How many of the values must be found for a reference; more than there are,
 * where none would prove it.  Small numbers, as text or not, are everywhere:
 * the field must say what it means.
 */
static int
values_needed(const Candidate *candidate, const KeyProbe *probe, const char *self)
{
	bool		agrees;
	bool		suffix;

	if (has_random_keys(candidate))
		return 1;
	agrees = probe_agrees(candidate, probe, self, &suffix);
	if (agrees && suffix)
		return 1;
	if (candidate->rank != KEY_STRING)
		return probe->spread > 100 ? 3 : INT_MAX;
	if (candidate->node->number_strings == candidate->node->strings || candidate->node->length_max < 2)
		return INT_MAX;
	return agrees ? 1 : 3;
}

/* Whether so many values found are a reference.  Of random keys half is enough, the rest are dangling. */
static bool
is_reference(const Candidate *candidate, const KeyProbe *probe, int found, const char *self)
{
	return found >= values_needed(candidate, probe, self) &&
		(has_random_keys(candidate) ? found * 2 >= candidate->count : found * 10 >= candidate->count * 9);
}

/* Whether a field with small numbers, which prove nothing, has the name of the collection: films, or film. */
static bool
is_namesake(const Candidate *candidate, const KeyProbe *probe, const char *self)
{
	bool		suffix;

	return candidate->rank == KEY_NUMBER && strcmp(probe->key, "_id") == 0 &&
		probe_agrees(candidate, probe, self, &suffix);
}

/* Could the candidate's values prove, or seem, to be keys of the probe, that are not its own? */
static bool
is_likely(const Candidate *candidate, const KeyProbe *probe, const char *self)
{
	return candidate->rank >= probe->low && candidate->rank <= probe->high &&
		!is_own_index(candidate, probe, self) &&
		(values_needed(candidate, probe, self) <= candidate->count || is_namesake(candidate, probe, self));
}

/* Has the first values of the candidates of each match looked up. */
static void
look_up(MongoConnection *connection, List *matches, int limit)
{
	KeyLookup  *lookup = key_lookup_begin(connection);
	ListCell   *cell;

	foreach(cell, matches)
	{
		Match	   *match = (Match *) lfirst(cell);
		ListCell   *c;

		foreach(c, match->candidates)
		{
			Candidate  *candidate = (Candidate *) lfirst(c);

			for (int i = 0; i < Min(limit, candidate->count); i++)
			{
				if (candidate->keys[i] != NULL)
					key_lookup_add(lookup, match->probe, match->found, candidate->keys[i],
								   candidate->lengths[i]);
			}
		}
	}
	key_lookup_end(lookup);
}

/* Whether a candidate's value was found. */
static bool
has_key(HTAB *found, const Candidate *candidate, int i)
{
	return candidate->keys[i] != NULL &&
		hash_search(found, &candidate->hashes[i], HASH_FIND, NULL) != NULL;
}

/* How many of a candidate's first values were found. */
static int
count_found(const Candidate *candidate, int limit, HTAB *found)
{
	int			count = 0;

	for (int i = 0; i < Min(limit, candidate->count); i++)
		count += has_key(found, candidate, i);
	return count;
}

/* Notes which of a candidate's values are _ids of the match's collection. */
static void
mark_found(Candidate *candidate, const Match *match)
{
	for (int i = 0; i < candidate->count; i++)
		candidate->found[i] |= has_key(match->found, candidate, i);
	candidate->where = candidate->where == NULL ? pstrdup(match->probe->collection) :
		psprintf("%s, %s", candidate->where, match->probe->collection);
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

/* Orders two references of a path, the better one first: _id before other
 * keys, then names that agree, then more values found. */
static bool
is_better(const Candidate *candidate, const KeyProbe *probe, int found, const char *self)
{
	ProfileReference *old = candidate->node->reference;
	KeyProbe	other = {.collection = old->collection};
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
add_reference(Profile *profile, const Candidate *candidate, const KeyProbe *probe, int found,
			  const char *self)
{
	ProfileNode *node = candidate->node;
	ProfileReference *old = node->reference;
	MemoryContext caller = MemoryContextSwitchTo(profile->context);
	ProfileReference *reference = palloc0(sizeof(ProfileReference));

	reference->collection = pstrdup(probe->collection);
	reference->key = pstrdup(pg_any_to_server(probe->key, strlen(probe->key), PG_UTF8));
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

/* Drops the candidates of which hardly any first value was found, and the matches that have no others. */
static List *
drop_unlikely(List *matches)
{
	ListCell   *cell;

	foreach(cell, matches)
	{
		Match	   *match = (Match *) lfirst(cell);
		ListCell   *c;

		foreach(c, match->candidates)
		{
			Candidate  *candidate = (Candidate *) lfirst(c);
			int			hits = count_found(candidate, QUICK_VALUES, match->found);

			if (hits == 0 || (!has_random_keys(candidate) &&
							  hits * 3 < Min(candidate->count, QUICK_VALUES)))
				match->candidates = foreach_delete_current(match->candidates, c);
		}
		if (match->candidates == NIL)
			matches = foreach_delete_current(matches, cell);
	}
	return matches;
}

/* What the candidates may be keys of. */
static List *
make_matches(List *candidates, List *probes, const char *self)
{
	List	   *matches = NIL;
	MemoryContext names = AllocSetContextCreate(CurrentMemoryContext, "names of keys", ALLOCSET_SMALL_SIZES);
	ListCell   *cell;

	foreach(cell, probes)
	{
		const KeyProbe *probe = (const KeyProbe *) lfirst(cell);
		List	   *likely = NIL;
		Match	   *match;
		ListCell   *c;

		foreach(c, candidates)
		{
			MemoryContext old = MemoryContextSwitchTo(names);
			bool		can_be = is_likely((Candidate *) lfirst(c), probe, self);

			MemoryContextSwitchTo(old);
			if (can_be)
				likely = lappend(likely, lfirst(c));
		}
		MemoryContextReset(names);
		if (likely == NIL)
			continue;
		match = palloc(sizeof(Match));
		match->probe = probe;
		match->candidates = likely;
		match->found = key_set_create(CurrentMemoryContext);
		matches = lappend(matches, match);
	}
	MemoryContextDelete(names);
	return matches;
}

/* Sets node->reference of every path whose values are keys somewhere. */
void
profile_find_references(Profile *profile, MongoConnection *connection, const char *collection)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "key match",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	List	   *candidates = add_candidates(NIL, profile->root);
	List	   *matches = NIL;
	ListCell   *cell;

	if (candidates != NIL)
		matches = make_matches(candidates, key_probes(connection), collection);
	look_up(connection, matches, QUICK_VALUES);
	matches = drop_unlikely(matches);
	look_up(connection, matches, PROFILE_VALUES);
	foreach(cell, matches)
	{
		Match	   *match = (Match *) lfirst(cell);
		ListCell   *c;

		foreach(c, match->candidates)
		{
			Candidate  *candidate = (Candidate *) lfirst(c);
			int			hits = count_found(candidate, PROFILE_VALUES, match->found);

			if (is_reference(candidate, match->probe, hits, collection))
				add_reference(profile, candidate, match->probe, hits, collection);
			else if (hits >= 3 && hits * 10 >= candidate->count * 9)
				candidate->node->namesake = MemoryContextStrdup(profile->context, match->probe->collection);
			if (hits > 0 && has_random_keys(candidate) && strcmp(match->probe->key, "_id") == 0)
				mark_found(candidate, match);
		}
	}
	foreach(cell, candidates)
		drop_if_divided(profile, (Candidate *) lfirst(cell));
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
}

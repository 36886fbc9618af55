/*
 * lookup.c
 *	  An FdwJoin as MongoDB's aggregate command.
 *
 * The outer table's documents are filtered, sorted, stripped of what is not
 * needed, and put below a field, so that no name of theirs can meet another.
 * Beside them stands the value that $lookup finds the inner table's by.
 * $unwind behind a $lookup is one stage with it to MongoDB, which never makes an
 * array of all the matches.
 */
#include "postgres.h"
#include "compat.h"

#include "fdw/join.h"
#include "fdw/match.h"
#include "fdw/scan.h"
#include "owned.h"
#include "utils/uuid.h"

/* The field of the value that is looked up. */
#define LOOKUP_KEY "k"

/* The ends of all UUIDs of one subtype. */
static const uint8 least_uuid[UUID_LEN] = {0};
static const uint8 greatest_uuid[UUID_LEN] = {
	0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff
};

/* Appends the names of the BSON types by which a column of the form is looked up. */
static void
append_types(bson_t *array, FilterForm form)
{
	switch (form)
	{
		case FORM_TEXT:
			BCON_APPEND(array, "0", "string", "1", "symbol");
			break;
		case FORM_INTEGER:
			BCON_APPEND(array, "0", "int", "1", "long", "2", "double", "3", "decimal");
			break;
		case FORM_BOOLEAN:
			BCON_APPEND(array, "0", "bool");
			break;
		case FORM_OBJECTID:
			BCON_APPEND(array, "0", "objectId");
			break;
		default:
			BCON_APPEND(array, "0", "date");
			break;
	}
}

/* Appends the ObjectId of which a text, to us, is the text form. */
static void
append_objectid_of_text(bson_t *key, const char *field)
{
	/* $substrCP takes a symbol and a decimal for what they look like. */
	BCON_APPEND(key, LOOKUP_KEY, "{", "$switch", "{", "branches", "[",
				"{", "case", "{", "$eq", "[", "{", "$type", BCON_UTF8(field), "}", "objectId", "]", "}",
				"then", BCON_UTF8(field), "}",
				"{", "case", "{", "$in", "[", "{", "$type", BCON_UTF8(field), "}",
				"[", "string", "symbol", "decimal", "]", "]", "}",
				"then", "{", "$convert", "{", "input", "{", "$substrCP", "[", BCON_UTF8(field),
				BCON_INT32(0), BCON_INT32(25), "]", "}", "to", "objectId", "onError", BCON_MINKEY, "}", "}", "}",
				"]", "default", BCON_MINKEY, "}", "}");
}

/* Appends what has the text form of an ObjectId. */
static void
append_texts_of_objectid(bson_t *key, const char *field)
{
	BCON_APPEND(key, LOOKUP_KEY, "{", "$cond", "[",
				"{", "$eq", "[", "{", "$type", BCON_UTF8(field), "}", "objectId", "]", "}",
				"[", BCON_UTF8(field), "{", "$toString", BCON_UTF8(field), "}",
				"{", "$convert", "{", "input", "{", "$toString", BCON_UTF8(field), "}",
				"to", "decimal", "onError", BCON_MINKEY, "}", "}", "]",
				BCON_MINKEY, "]", "}");
}

/* Appends the other types that a text column takes, as $type has them of a value. */
static void
append_other_types(bson_t *array)
{
	BCON_APPEND(array, "0", "objectId", "1", "bool", "2", "date", "3", "binData",
				"4", "int", "5", "long", "6", "double", "7", "decimal");
}

/* Appends a condition by its name: is the field a UUID of a subtype? */
static void
append_is_uuid(bson_t *document, const char *name, const char *field, bson_subtype_t subtype)
{
	BCON_APPEND(document, name, "{", "$and", "[",
				"{", "$gte", "[", BCON_UTF8(field), BCON_BIN(subtype, least_uuid, UUID_LEN), "]", "}",
				"{", "$lte", "[", BCON_UTF8(field), BCON_BIN(subtype, greatest_uuid, UUID_LEN), "]", "}",
				"]", "}");
}

/* Appends the key of a UUID, and whether its matches must be asked for. */
static void
append_uuid(bson_t *document, const char *field)
{
	bson_t		key;
	bson_t		choice;

	bson_append_document_begin(document, LOOKUP_KEY, -1, &key);
	bson_append_document_begin(&key, "$cond", -1, &choice);
	append_is_uuid(&choice, "if", field, BSON_SUBTYPE_UUID);
	BCON_APPEND(&choice, "then", BCON_UTF8(field), "else", BCON_MINKEY);
	bson_append_document_end(&key, &choice);
	bson_append_document_end(document, &key);
	append_is_uuid(document, LOOKUP_ASK, field, BSON_SUBTYPE_UUID_DEPRECATED);
}

/* Appends the key's expression: what a document is looked up by, or what nothing has. */
static void
append_key(bson_t *document, const JoinKey *key)
{
	const char *field = psprintf("$%s", key->local);
	bson_t	   *types = owned_bson_new(CurrentMemoryContext);
	bson_t	   *others = owned_bson_new(CurrentMemoryContext);

	switch (key->kind)
	{
		case KEY_TEXT:
			append_other_types(others);
			BCON_APPEND(document, LOOKUP_ASK, "{", "$in", "[", "{", "$type", BCON_UTF8(field), "}",
						BCON_ARRAY(others), "]", "}");
			/* FALLTHROUGH */
		case KEY_SAME:
			append_types(types, key->form);
			BCON_APPEND(document, LOOKUP_KEY, "{", "$cond", "[",
						"{", "$in", "[", "{", "$type", BCON_UTF8(field), "}", BCON_ARRAY(types), "]", "}",
						BCON_UTF8(field), BCON_MINKEY, "]", "}");
			break;
		case KEY_TEXT_OF_OBJECTID:
			append_objectid_of_text(document, field);
			break;
		case KEY_OBJECTID_AS_TEXT:
			append_texts_of_objectid(document, field);
			break;
		case KEY_UUID:
			append_uuid(document, field);
			break;
	}
}

/* The stage that puts a document and its key side by side. */
static bson_t *
replace_with_sides(const JoinKey *key, bool ask_all)
{
	bson_t	   *sides = match_value(LOOKUP_OUTER, value_string("$$ROOT"));

	if (ask_all)
		BCON_APPEND(sides, LOOKUP_KEY, BCON_MINKEY, LOOKUP_ASK, BCON_BOOL(true));
	else
		append_key(sides, key);
	return match_value("$replaceWith", value_document(sides));
}

/* Adds $lookup and $unwind. */
static List *
add_lookup(List *stages, const FdwJoin *join, const bson_t *match, List *paths,
		   const MongoTableOptions *inner)
{
	List	   *of_inner = match_add_stage(NIL, match);
	bool		unmatched = JOIN_KEEPS_UNMATCHED(join);
	bson_t	   *lookup = match_new();
	bson_t	   *unwind = match_new();
	bson_t	   *found = match_new();

	if (join->one)
		of_inner = lappend(of_inner, match_value("$limit", value_integer(1)));
	BCON_APPEND(lookup, "from", BCON_UTF8(mongo_utf8(inner->collection)),
				"localField", LOOKUP_KEY, "foreignField", BCON_UTF8(join->key.foreign));
	bson_concat(lookup, match_combine("pipeline", find_add_projection(of_inner, paths)));
	BCON_APPEND(lookup, "as", LOOKUP_INNER);
	BCON_APPEND(unwind, "path", "$" LOOKUP_INNER, "includeArrayIndex", LOOKUP_NUMBER,
				"preserveNullAndEmptyArrays", BCON_BOOL(unmatched || KEY_ASKS(&join->key)));
	if (!unmatched && KEY_ASKS(&join->key))
		BCON_APPEND(found, "$or", "[", "{", LOOKUP_NUMBER, "{", "$ne", BCON_NULL, "}", "}",
					"{", LOOKUP_ASK, BCON_BOOL(true), "}", "]");
	stages = lappend(stages, match_value("$lookup", value_document(lookup)));
	stages = lappend(stages, match_value("$unwind", value_document(unwind)));
	return match_add_stage(stages, found);
}

/* What matches the documents that a look-up by a key may miss. */
bson_t *
lookup_missed(const JoinKey *key)
{
	bson_t	   *match = owned_bson_new(CurrentMemoryContext);

	if (key->kind == KEY_UUID)
		BCON_APPEND(match, key->foreign, "{",
					"$gte", BCON_BIN(BSON_SUBTYPE_UUID_DEPRECATED, least_uuid, UUID_LEN),
					"$lte", BCON_BIN(BSON_SUBTYPE_UUID_DEPRECATED, greatest_uuid, UUID_LEN), "}");
	else
		BCON_APPEND(match, key->foreign, "{", "$type", "[", "number", "objectId", "bool", "date", "binData",
					"]", "}");
	return match;
}

/* The pipeline on the outer table's collection. */
bson_t *
lookup_pipeline(const FdwJoin *join, bson_t *outer_match, bson_t *inner_match,
				List *outer_paths, List *inner_paths, const MongoTableOptions *inner, bool ask_all)
{
	List	   *stages = match_add_stage(NIL, outer_match);

	if (join->sorting != NULL)
	{
		stages = lappend(stages, match_new());
		sorting_append_keys(llast(stages), "$sort", join->sorting, 0);
	}
	stages = find_add_projection(stages, outer_paths);
	stages = lappend(stages, replace_with_sides(&join->key, ask_all));
	return match_combine("pipeline", add_lookup(stages, join, inner_match, inner_paths, inner));
}

/*
 * The options: where strings are looked up, they are compared byte by byte,
 * which is how most indexes have them.
 */
bson_t *
lookup_options(const FdwJoin *join, int fetch_size)
{
	bson_t	   *options = owned_bson_new(CurrentMemoryContext);

	bson_append_bool(options, "allowDiskUse", -1, true);
	bson_append_int32(options, "batchSize", -1,
					  join->rows > 0 ? Min(fetch_size, join->rows) : fetch_size);
	if (join->key.kind == KEY_OBJECTID_AS_TEXT || join->key.kind == KEY_TEXT ||
		filter_needs_simple_collation(join->outer.filter) ||
		filter_needs_simple_collation(join->inner.filter))
		match_append_simple_collation(options);
	return options;
}

/*
 * deparse_text.c
 *	  Comparisons with text as match documents; the head of deparse.c tells why.
 */
#include "postgres.h"
#include "compat.h"

#include "fdw/deparse.h"
#include "fdw/match.h"
#include "utils/builtins.h"
#include "utils/uuid.h"

/*
 * Types other than string whose values a text column takes, and the characters
 * of their text; see doc/types.md.
 */
static const struct
{
	const char *name;
	const char *characters;
}			textual_types[] =

{
	{"objectId", "0123456789abcdef"},
	{"number", "0123456789+-.eENaInfity"},
	{"bool", "truefals"},
	{"date", "0123456789+-T:.Z"},
	{"binData", "0123456789abcdef-"}
};

/* A UUID is binary of subtype 4, and of 3 where an old driver wrote it. */
List *
uuid_candidates(const uint8 *bytes)
{
	return list_make2(value_uuid(bytes, BSON_SUBTYPE_UUID),
					  value_uuid(bytes, BSON_SUBTYPE_UUID_DEPRECATED));
}

/* The ObjectId whose text form the text is: 24 lower-case hex digits. */
List *
objectid_candidates(const char *string)
{
	bson_oid_t	oid;

	if (strlen(string) != 24 || strspn(string, "0123456789abcdef") != 24)
		return NIL;
	bson_oid_init_from_string(&oid, string);
	return list_make1(value_objectid(oid.bytes));
}

/* Is the text as long and punctuated as a uuid's? */
static bool
is_uuid_text(const char *string)
{
	return strlen(string) == 36 && strspn(string, "0123456789abcdef-") == 36 &&
		string[8] == '-' && string[13] == '-' && string[18] == '-' && string[23] == '-';
}

/* Might the text be a date's: 2024-02-29T12:00:00.123Z? */
bool
is_date_text(const char *string)
{
	size_t		length = strlen(string);

	return length >= 20 && string[length - 1] == 'Z' && strspn(string, "+-0123456789T:.Z") == length;
}

/* The values that convert to the text, dates excepted, and perhaps a few more. */
List *
text_candidates(const char *string)
{
	List	   *candidates = list_make1(value_string(string));

	candidates = list_concat(candidates, objectid_candidates(string));
	if (is_uuid_text(string))
	{
		pg_uuid_t  *uuid = DatumGetUUIDP(DirectFunctionCall1(uuid_in, CStringGetDatum(string)));

		candidates = list_concat(candidates, uuid_candidates(uuid->data));
	}
	if (is_number_text(string))
		candidates = list_concat(candidates, number_candidates(string));
	if (strcmp(string, "true") == 0 || strcmp(string, "false") == 0)
		candidates = lappend(candidates, value_boolean(*string == 't'));
	return candidates;
}

/* Are all of the characters among the others?  With fold, one case of each is enough. */
static bool
can_spell(const char *others, const char *characters, bool fold)
{
	for (const char *c = characters; *c != '\0'; c++)
	{
		if (strchr(others, *c) == NULL &&
			!(fold && (strchr(others, pg_ascii_tolower(*c)) != NULL ||
					   strchr(others, pg_ascii_toupper(*c)) != NULL)))
			return false;
	}
	return true;
}

/* Values of the other types that a text column takes, if their text can have all of the characters. */
bson_t *
match_other_text(const char *path, const char *characters, bool fold)
{
	List	   *names = NIL;

	for (int i = 0; i < lengthof(textual_types); i++)
	{
		if (can_spell(textual_types[i].characters, characters, fold))
			names = lappend(names, value_string(textual_types[i].name));
	}
	return names == NIL ? NULL : match_list(path, "$type", names);
}

/* column < text, ...: strings in the range, and all that is no string but converts to text */
bson_t *
match_text_range(const Filter *filter, int strategy, const char *string)
{
	return match_one_of(list_make2(match_range(filter->path, strategy, value_string(string)),
								   match_other_text(filter->path, "", false)));
}

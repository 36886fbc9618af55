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

/* Types other than string whose values a text column takes; see doc/types.md. */
static const char *const textual_types[] = {
	"objectId", "number", "bool", "date", "binData"
};

/* A UUID is binary of subtype 4, and of 3 where an old driver wrote it. */
List *
uuid_candidates(const uint8 *bytes)
{
	return list_make2(value_uuid(bytes, BSON_SUBTYPE_UUID),
					  value_uuid(bytes, BSON_SUBTYPE_UUID_DEPRECATED));
}

/* Is the text 24 lower-case hex digits, the text form of an ObjectId? */
static bool
is_objectid_text(const char *string)
{
	return strlen(string) == 24 && strspn(string, "0123456789abcdef") == 24;
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

	if (is_objectid_text(string))
	{
		bson_oid_t	oid;

		bson_oid_init_from_string(&oid, string);
		candidates = lappend(candidates, value_objectid(oid.bytes));
	}
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

/* column < text, ...: strings in the range, and all that is no string but converts to text */
bson_t *
match_text_range(const Filter *filter, int strategy, const char *string)
{
	static const char *const operators[] = {NULL, "$lt", "$lte", NULL, "$gte", "$gt"};
	List	   *names = NIL;

	for (int i = 0; i < lengthof(textual_types); i++)
		names = lappend(names, value_string(textual_types[i]));
	return match_one_of(list_make2(match_operator(filter->path, operators[strategy], value_string(string)),
								   match_list(filter->path, "$type", names)));
}

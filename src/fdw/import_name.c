/*
 * import_name.c
 *	  Names of imported tables and columns.
 */
#include "postgres.h"
#include "compat.h"

#include "fdw/import.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

static inline bool
is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static inline bool
is_lower_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/*
 * A name in snake case.  A word begins with a capital after a small letter or
 * digit, and with the last of several capitals before a small letter; what is
 * neither letter nor digit becomes one underscore.  Underscores at the
 * beginning stay, as in _id; letters beyond ASCII stay as they are.
 */
char *
import_snake_case(const char *name)
{
	StringInfoData result;

	initStringInfo(&result);
	for (const char *c = name; *c != '\0'; c++)
	{
		bool		letter = is_upper(*c) || is_lower_or_digit(*c) || IS_HIGHBIT_SET(*c);
		bool		begins_word = c > name && is_upper(*c) &&
			(is_lower_or_digit(c[-1]) || (is_upper(c[-1]) && c[1] >= 'a' && c[1] <= 'z'));

		if ((begins_word || !letter) && result.len > 0 && result.data[result.len - 1] != '_')
			appendStringInfoChar(&result, '_');
		if (letter)
			appendStringInfoChar(&result, pg_ascii_tolower(*c));
		else if (*c == '_' && strspn(name, "_") > c - name)
			appendStringInfoChar(&result, '_');
	}
	while (result.len > 1 && result.data[result.len - 1] == '_')
		result.data[--result.len] = '\0';
	if (result.len == 0)
		appendStringInfoChar(&result, '_');
	return result.data;
}

/* Is the name in the list? */
static bool
is_taken(const char *name, List *taken)
{
	ListCell   *lc;

	foreach(lc, taken)
	{
		if (strcmp(lfirst(lc), name) == 0)
			return true;
	}
	return false;
}

/* A name that is not taken: cut to 63 bytes, with a number where need be. */
char *
import_unique_name(const char *name, List **taken)
{
	int			length = pg_mbcliplen(name, strlen(name), NAMEDATALEN - 1);
	char	   *result = length == 0 ? pstrdup("_") : pnstrdup(name, length);

	for (int number = 2; is_taken(result, *taken); number++)
	{
		char		suffix[16];
		int			suffix_length = snprintf(suffix, sizeof(suffix), "_%d", number);

		length = pg_mbcliplen(name, strlen(name), NAMEDATALEN - 1 - suffix_length);
		result = psprintf("%.*s%s", length, name, suffix);
	}
	*taken = lappend(*taken, result);
	return result;
}

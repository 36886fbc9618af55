/*
 * deparse_pattern.c
 *	  LIKE, ^@ and regular expressions as regular expressions of MongoDB.
 *
 * What is sent are pieces without anything that repeats: literal characters,
 * and a dot for LIKE's underscore.  MongoDB's PCRE finds these in a time and
 * depth that does not depend on the string, so that it cannot give up on a
 * long one, which would look like no match.  LIKE 'a%b%c' becomes three pieces
 * that all must be found, in any place: a superset.  A pattern with one piece is the
 * same thing in both worlds, and can be negated.
 *
 * PCRE runs with UTF here, so that a dot is one character; option s has it
 * match a newline, and \z is the end, where $ would also match before a last
 * newline.  Regular expressions do not look at collations, and neither do these
 * operators of PostgreSQL, but for upper and lower case.  There a character
 * may have counterparts that are none of ASCII (the Kelvin sign is an
 * upper-case k), and only letters of ASCII are compared.
 */
#include "postgres.h"
#include "compat.h"

#include "fdw/deparse.h"
#include "fdw/match.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"

/* Longer patterns are not sent; MongoDB has a limit at 32 kB. */
#define MAX_PATTERN 1000

/* The characters that mean something to PCRE, or to a regular expression of PostgreSQL. */
#define SPECIAL_CHARACTERS "\\^$.[]()|*+?{}"

/* What is collected from a pattern, while it is read. */
typedef struct PatternReader
{
	Pattern    *pattern;
	bool		anchored;		/* the piece is at the beginning of the string */
	StringInfoData piece;		/* the regular expression so far */
	StringInfoData literals;	/* all literal characters */
	StringInfoData text;		/* what the pattern is without wildcards */
} PatternReader;

static void
reader_init(PatternReader *reader, Pattern *pattern, bool fold)
{
	memset(pattern, 0, sizeof(Pattern));
	pattern->exact = !fold;
	pattern->fold = fold;
	reader->pattern = pattern;
	reader->anchored = true;
	initStringInfo(&reader->piece);
	initStringInfo(&reader->literals);
	initStringInfo(&reader->text);
}

/* Ends a piece, at the end of the string or not. */
static void
end_piece(PatternReader *reader, bool at_end)
{
	Pattern    *pattern = reader->pattern;

	if (reader->piece.len > 0 || (reader->anchored && at_end))
	{
		if (pattern->pieces != NIL)
			pattern->exact = false;
		pattern->pieces = lappend(pattern->pieces,
								  psprintf("%s%s%s", reader->anchored ? "^" : "",
										   reader->piece.data, at_end ? "\\z" : ""));
	}
	resetStringInfo(&reader->piece);
	reader->anchored = false;
}

/* Appends a literal character of so many bytes. */
static void
append_literal(PatternReader *reader, const char *character, int length)
{
	bool		letter = isascii((unsigned char) *character) && isalpha((unsigned char) *character);

	if (reader->pattern->fold && length > 1)
	{
		/* What its other case is depends on the locale. */
		end_piece(reader, false);
		return;
	}
	if (reader->pattern->fold && letter)
	{
		appendStringInfo(&reader->piece, "[%c%c\\x{80}-\\x{10ffff}]",
						 pg_ascii_tolower(*character), pg_ascii_toupper(*character));
		appendStringInfoChar(&reader->literals, *character);
		return;
	}
	if (strchr(SPECIAL_CHARACTERS, *character) != NULL)
		appendStringInfoChar(&reader->piece, '\\');
	appendBinaryStringInfo(&reader->piece, character, length);
	appendBinaryStringInfo(&reader->literals, character, length);
	appendBinaryStringInfo(&reader->text, character, length);
}

/* What can be said of a pattern that is not sent: nothing but that there is a text. */
static void
any_text(Pattern *pattern)
{
	memset(pattern, 0, sizeof(Pattern));
	pattern->literals = "";
}

/* Ends the reading; whole says that there were no wildcards. */
static void
reader_finish(PatternReader *reader, bool whole)
{
	Pattern    *pattern = reader->pattern;

	pattern->literals = reader->literals.data;
	if (whole && !pattern->fold)
		pattern->equal = reader->text.data;
}

/* LIKE and ILIKE.  A pattern that ends in its escape character is PostgreSQL's to complain about. */
static void
read_like(Pattern *pattern, const char *string, bool fold)
{
	PatternReader reader;
	bool		whole = true;

	reader_init(&reader, pattern, fold);
	for (const char *c = string; *c != '\0'; c += pg_mblen(c))
	{
		if (*c == '%')
		{
			whole = false;
			end_piece(&reader, false);
			continue;
		}
		if (*c == '_')
		{
			whole = false;
			if (fold)
				end_piece(&reader, false);
			else
				appendStringInfoChar(&reader.piece, '.');
			continue;
		}
		if (*c == '\\' && *++c == '\0')
		{
			any_text(pattern);
			return;
		}
		append_literal(&reader, c, pg_mblen(c));
	}
	end_piece(&reader, true);
	reader_finish(&reader, whole);
}

/* Literal characters at the beginning of the string, or anywhere; up to its end, or not. */
static void
read_literals(Pattern *pattern, const char *string, size_t length, bool anchored, bool at_end,
			  bool fold)
{
	PatternReader reader;

	reader_init(&reader, pattern, fold);
	reader.anchored = anchored;
	for (const char *c = string; c < string + length; c += pg_mblen(c))
		append_literal(&reader, c, pg_mblen(c));
	end_piece(&reader, at_end);
	reader_finish(&reader, anchored && at_end);
}

/*
 * A regular expression: literal characters between optional anchors, or what
 * PostgreSQL says all strings that match begin with.
 */
static void
read_regex(Pattern *pattern, const char *string, bool fold, Oid collation)
{
	bool		anchored = *string == '^';
	const char *literals = string + (anchored ? 1 : 0);
	size_t		length = strcspn(literals, SPECIAL_CHARACTERS);
	bool		exact;
	char	   *prefix;

	if (literals[length] == '\0' || strcmp(literals + length, "$") == 0)
	{
		read_literals(pattern, literals, length, anchored, literals[length] != '\0', fold);
		return;
	}
	any_text(pattern);
	if (!anchored)
		return;
	prefix = regexp_fixed_prefix(cstring_to_text(string), fold, collation, &exact);
	if (prefix == NULL || *prefix == '\0')
		return;
	read_literals(pattern, prefix, strlen(prefix), true, exact, false);
	pattern->exact = exact;
}

/* Reads the pattern that a filter's comparand is. */
void
pattern_read(Pattern *pattern, const Filter *filter, const char *string)
{
	if (strlen(string) > MAX_PATTERN)
	{
		any_text(pattern);
		return;
	}
	switch ((PatternKind) filter->strategy)
	{
		case PATTERN_LIKE:
		case PATTERN_ILIKE:
			read_like(pattern, string, filter->strategy == PATTERN_ILIKE);
			break;
		case PATTERN_PREFIX:
			read_literals(pattern, string, strlen(string), true, false, false);
			break;
		case PATTERN_REGEX:
		case PATTERN_IREGEX:
			read_regex(pattern, string, filter->strategy == PATTERN_IREGEX, filter->collation);
			break;
	}
}

/* The text matches the pattern: all pieces are found in a string, or it is none. */
bson_t *
match_pattern(const char *path, const Pattern *pattern, bson_t *others)
{
	List	   *matches = NIL;
	ListCell   *lc;

	foreach(lc, pattern->pieces)
		matches = lappend(matches, match_regex(path, lfirst(lc)));
	return match_one_of(list_make2(match_all_of(matches), others));
}

/* The text does not match the pattern, which is exact and has one piece. */
bson_t *
match_not_pattern(const char *path, const Pattern *pattern)
{
	return match_operators(path, "$not", value_regex(linitial(pattern->pieces)),
						   "$ne", value_new(BSON_TYPE_NULL));
}

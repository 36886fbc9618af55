/*
 * deparse.h
 *	  Parts of deparse.c, by the kind of what a column is compared with.
 *
 * Candidates are the values of BSON that convert to a comparand, and perhaps a
 * few more: bson_value_t, palloc'd.  Match documents are owned by the current
 * memory context, and NULL when they can match nothing.
 */
#ifndef MM_DEPARSE_H
#define MM_DEPARSE_H

#include "fdw/filter.h"
#include "utils/jsonb.h"

/* deparse_number.c */

/* Is the text a number such as BSON's numbers are printed? */
extern bool is_number_text(const char *string);
extern const char *numeric_text(Datum datum);
extern List *number_candidates(const char *string);

/* Of the candidates, those that are equal to no other number in MongoDB than in PostgreSQL. */
extern List *number_exclusions(const char *string);

/* column < number, ..., for numeric columns */
extern bson_t *match_numeric_range(const Filter *filter, int strategy, Datum datum);

/* column = number and column < number, ..., for float columns */
extern double float_comparand(const Filter *filter, Datum datum);
extern bson_t *match_float_equal(const Filter *filter, double number);
extern bson_t *match_float_range(const Filter *filter, int strategy, double number);

/* deparse_text.c */

/* The ObjectId of which the text is the text form, or none. */
extern List *objectid_candidates(const char *string);
extern List *uuid_candidates(const uint8 *bytes);

/* Might the text be a date's?  Then dates are candidates too, which are not listed. */
extern bool is_date_text(const char *string);
extern List *text_candidates(const char *string);

/* column < text, ... */
extern bson_t *match_text_range(const Filter *filter, int strategy, const char *string);

/*
 * Values of the other types that a text column takes, if their text can have
 * all of the characters, with fold in upper or lower case; NULL for no such type.
 */
extern bson_t *match_other_text(const char *path, const char *characters, bool fold);

/* deparse_pattern.c */

typedef struct Pattern
{
	List	   *pieces;			/* regular expressions, all of which must
								 * match; NIL: any text */
	bool		exact;			/* there is one piece, and it says the same as
								 * the pattern */
	const char *literals;		/* characters that a text must have to match
								 * ... */
	bool		fold;			/* ... in upper or lower case */
	const char *equal;			/* the only text that matches, or NULL */
} Pattern;

extern void pattern_read(Pattern *pattern, const Filter *filter, const char *string);
extern bson_t *match_pattern(const char *path, const Pattern *pattern, bson_t *others);
extern bson_t *match_not_pattern(const char *path, const Pattern *pattern);

/* deparse_time.c */

extern List *timestamp_candidates(const Filter *filter, Datum datum);

/* column < timestamp, ... */
extern bson_t *match_timestamp_range(const Filter *filter, int strategy, Datum datum);

/* objectid_timestamp(column) = timestamp, objectid_timestamp(column) < timestamp, ... */
extern bson_t *match_objectid_time(const Filter *filter, int strategy, Datum datum);

/* deparse_json.c */

/* column ->> 'a' = string */
extern bson_t *match_json_text(const Filter *filter, const char *string);

/* There is a value of a type that regular expressions do not look at. */
extern bson_t *match_no_string(const char *path);

/* What matches by numbers, or has text that may be cast to one, or raises an error then. */
extern bson_t *match_json_cast(const Filter *filter, bson_t *match);

/* column @> jsonb, column ? key */
extern bson_t *match_json_contains(const Filter *filter, Jsonb *jsonb);
extern bson_t *match_json_key(const Filter *filter, const char *key);

#endif							/* MM_DEPARSE_H */

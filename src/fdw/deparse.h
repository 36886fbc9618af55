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

extern List *uuid_candidates(const uint8 *bytes);

/* Might the text be a date's?  Then dates are candidates too, which are not listed. */
extern bool is_date_text(const char *string);
extern List *text_candidates(const char *string);

/* column < text, ... */
extern bson_t *match_text_range(const Filter *filter, int strategy, const char *string);

/* deparse_time.c */

extern List *timestamp_candidates(const Filter *filter, Datum datum);

/* column < timestamp, ... */
extern bson_t *match_timestamp_range(const Filter *filter, int strategy, Datum datum);

#endif							/* MM_DEPARSE_H */

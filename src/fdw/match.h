/*
 * match.h
 *	  Building blocks of match documents.
 *
 * A match document is NULL when it can match nothing, and empty when it
 * matches everything.  Lists are of bson_value_t, or of match documents.
 */
#ifndef MM_MATCH_H
#define MM_MATCH_H

#include "nodes/pg_list.h"

/* Values, palloc'd; what they point to is the caller's. */
extern bson_value_t *value_new(bson_type_t type);
extern bson_value_t *value_boolean(bool boolean);
extern bson_value_t *value_integer(int64 number);	/* int32 where it fits */
extern bson_value_t *value_double(double number);
extern bson_value_t *value_number(double number);	/* whole ones as integers */
extern bson_value_t *value_date(int64 milliseconds);
extern bson_value_t *value_string(const char *string);
extern bson_value_t *value_regex(const char *pattern);	/* a dot matches a
														 * newline too */
extern bson_value_t *value_objectid(const uint8 *bytes);
extern bson_value_t *value_uuid(const uint8 *bytes, bson_subtype_t subtype);
extern bson_value_t *value_document(const bson_t *document);

/* {}, owned by the current memory context, as all of the following. */
extern bson_t *match_new(void);

/* {path: value} */
extern bson_t *match_value(const char *path, const bson_value_t *value);

/* {path: {operator: value}}, and {path: {operator: value, second: second_value}} */
extern bson_t *match_operator(const char *path, const char *operator, const bson_value_t *value);
extern bson_t *match_operators(const char *path,
							   const char *operator, const bson_value_t *value,
							   const char *second, const bson_value_t *second_value);

/* {path: {$lt: value}}, and the like, by the strategy of a btree */
extern bson_t *match_range(const char *path, int strategy, const bson_value_t *value);

/* {path: {$regex: pattern, $options: "s"}} */
extern bson_t *match_regex(const char *path, const char *pattern);

/* {path: {operator: [values]}} */
extern bson_t *match_list(const char *path, const char *operator, List *values);

/* {operator: [values]} and {operator: [matches]} */
extern bson_t *match_values(const char *operator, List *values);
extern bson_t *match_combine(const char *operator, List *matches);

/* {path: {$type: name}} */
extern bson_t *match_type(const char *path, const char *name);

/* One of the values: {path: value}, {path: {$in: [values]}}, or nothing. */
extern bson_t *match_any(const char *path, List *values);

/* Not null, and none of the values: {path: {$nin: [values, null]}}. */
extern bson_t *match_none(const char *path, List *values);

/* What matches all of the match documents, or one of them. */
extern bson_t *match_all_of(List *matches);
extern bson_t *match_one_of(List *matches);

/* The stages of a pipeline with one more: a $match, unless everything matches. */
extern List *match_add_stage(List *stages, const bson_t *match);

/* Appends the option of commands by which strings are compared byte by byte. */
extern void match_append_simple_collation(bson_t *options);

/* What matches none of them; at least one is given. */
extern bson_t *match_none_of(List *matches);

#endif							/* MM_MATCH_H */

/*
 * path.h
 *	  Paths of columns as MongoDB's find takes them.
 *
 * A column's path (see bson/document_path.h) may name what MongoDB's dotted
 * notation cannot: fields whose names are empty, have dots, or begin with a
 * dollar.
 */
#ifndef MM_PATH_H
#define MM_PATH_H

#include "nodes/pg_list.h"

#define PATH_IS_ID(path)		(strcmp(path, "_id") == 0)
#define PATH_IS_NESTED(path)	(strchr(path, '.') != NULL)

/* A column's path for a match document, palloc'd; NULL when that cannot name it. */
extern char *path_for_match(const char *path);

/*
 * The same of what lies below a column by the keys (strings in the database's
 * encoding); "" for the whole document.
 */
extern char *path_for_match_below(const char *path, List *keys);

/* The path of a field, or position, below a match document's path; NULL when it has none. */
extern char *path_below(const char *path, const char *key);

/*
 * The longest beginning of a column's path that a projection can name and that
 * includes all the path leads to, palloc'd; NULL when only the whole document
 * will do.
 */
extern char *path_for_projection(const char *path);

/* Is the first the beginning of the second, or the same?  Of projections' paths. */
extern bool path_covers(const char *path, const char *other);

/* Is a segment of a match document's path a number, which may be a position in an array? */
extern bool path_has_position(const char *path);

/* Is the last one? */
extern bool path_ends_in_position(const char *path);

#endif							/* MM_PATH_H */

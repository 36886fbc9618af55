/*
 * document_path.h
 *	  Paths as text: "address.city", "items.0.sku", "$".
 *
 * Segments are field names or positions in arrays, with dots between.  A
 * backslash takes the next character as it is: "a\.b" is the one field "a.b",
 * and "\$" a field named "$".  "$" alone is the document or array element
 * itself; elsewhere a dollar is a character like others: "user.$id".
 */
#ifndef MM_DOCUMENT_PATH_H
#define MM_DOCUMENT_PATH_H

#include "nodes/pg_list.h"

/* The segments as a List of char * in UTF-8, unescaped; NIL for "$".  Throws
 * for a path that ends in a backslash or has too many segments. */
extern List *document_path_split(const char *path);

/* A field name (UTF-8) as a segment of a path, in the database's encoding; palloc'd. */
extern char *document_path_escape(const char *name);

/* Can a path name this field (UTF-8), in the database's encoding? */
extern bool document_path_can_name(const char *name);

/* The position that a segment names, or -1: digits without a leading zero. */
extern int	document_path_position(const char *segment);

#endif							/* MM_DOCUMENT_PATH_H */

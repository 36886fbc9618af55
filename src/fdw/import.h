/*
 * import.h
 *	  Names and fields for IMPORT FOREIGN SCHEMA.
 */
#ifndef MM_IMPORT_H
#define MM_IMPORT_H

#include "bson/lattice.h"
#include "nodes/pg_list.h"

/* import_field.c */

/* A field of the sampled documents, or, without a name, the document itself. */
typedef struct ImportField ImportField;
struct ImportField
{
	char	   *name;			/* as in the document, UTF-8 */
	LatticeSeen seen;
	LatticeSeen elements;		/* of arrays */
	ImportField **fields;		/* of sub-documents, as first seen */
	int			nfields;
	int			next;			/* the field to be expected next */
	bool		truncated;		/* it has more than are kept */
};

/* Adds a document's fields; those of sub-documents only when nested is set. */
extern void import_field_add(ImportField *root, const bson_t *document, bool nested);

/* import_name.c */

/* userId, "First Name" and HTMLBody as user_id, first_name and html_body; palloc'd. */
extern char *import_snake_case(const char *name);

/*
 * A name of at most 63 bytes that is not in *taken, made from the given one,
 * palloc'd and added to *taken (a List of strings).
 */
extern char *import_unique_name(const char *name, List **taken);

#endif							/* MM_IMPORT_H */

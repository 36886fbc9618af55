/*
 * document_private.h
 *	  The compiled document plan, as document_plan.c makes it and document.c walks it.
 */
#ifndef MM_DOCUMENT_PRIVATE_H
#define MM_DOCUMENT_PRIVATE_H

#include "bson/document.h"
#include "common/hashfn.h"

/* Unwanted fields remembered for each node; beyond, they are looked up each time. */
#define MAX_UNWANTED_FIELDS 256

typedef struct PathNode PathNode;
typedef struct Field Field;

/* A field known by name: a node's, or one to skip. */
struct Field
{
	const char *name;			/* UTF-8, not terminated */
	uint32		length;
	PathNode   *node;			/* NULL: not wanted */
	Field	   *next;			/* the field that came after it last time, or
								 * NULL */
	uint64		document;		/* no node: number of the last document that
								 * had it */
	int64		documents;		/* documents that had it since the last report */
};

typedef struct Column
{
	int			number;			/* in its table */
	Converter  *converter;		/* the caller's */
	const char *path;
} Column;

/* A place that paths lead to or through. */
struct PathNode
{
	Field		field;			/* its own name, in its parent */
	int			position;		/* the name as a position in an array, or -1 */
	uint64		seen;			/* generation of the document that had it last */
	Column	   *columns;
	int			ncolumns;
	int		   *tables;			/* numbers of the child tables with this array */
	int			ntables;
	PathNode  **children;
	int			nchildren;
	bool		has_names;		/* some child's name is no position, or
								 * unknown names are wanted */
	bool		walked;			/* there is something below to look for */
	Field	  **fields;			/* open-addressed table of the known fields */
	uint32		fields_mask;
	int			unwanted;		/* fields in it that have no node */
	Field		first;			/* stands before a document's first field */
	Field		unknown;		/* stands for any unwanted field beyond the
								 * limit */
};

typedef struct Table
{
	char	   *path;			/* UTF-8, as error paths show it; NULL for the
								 * document or element itself */
	PathNode   *root;
	int			ncolumns;
	Column	   *domains;		/* columns that may not take NULL */
	int			ndomains;
	int		   *positions;		/* columns with the element's position */
	int			npositions;
	int		   *parent_positions;	/* tree: columns with the position of the
									 * element that this one is within */
	int			nparent_positions;
	bool		is_map;			/* of a document's fields */
	Column	   *keys;			/* map: columns with the field's name */
	int			nkeys;
	const char **names;			/* map: of the fields met, to be compared */
	int			maxnames;
	char	   *nested_path;	/* tree: of the array in an element, as path;
								 * else NULL */
	int			position;		/* tree: of the next element */
	Column	   *extras;			/* columns with the row's unknown fields */
	int			nextras;
	bson_t	   *unknown;		/* these fields; NULL without such a column */
	int		   *children;		/* child tables */
	int			nchildren;
	Datum	   *values;
	bool	   *nulls;
	const uint8_t *array;		/* the array in the row at hand, or NULL */
	uint32		array_length;
} Table;

struct DocumentPlan
{
	MemoryContext context;
	bool		strict;
	bool		finished;
	Table	  **tables;
	int			ntables;
	uint64		generation;		/* of the document or sub-document being
								 * walked */
	uint64		document;		/* number of the document being decoded */
	bool		met_unknown;	/* an unknown field, since the last report */
	uint8_t    *wrapper;		/* a document as a field of another, for
								 * columns of path $ */
	uint32		wrapper_size;
	bson_t	   *name;			/* a field's name as a value */
};

/* The slot of the table of known fields where a name is or would be. */
static inline Field **
field_slot(PathNode *node, const char *name, uint32 length)
{
	uint32		slot = hash_bytes((const unsigned char *) name, length);

	for (;; slot++)
	{
		Field	  **field = &node->fields[slot & node->fields_mask];

		if (*field == NULL ||
			((*field)->length == length && memcmp((*field)->name, name, length) == 0))
			return field;
	}
}

#endif							/* MM_DOCUMENT_PRIVATE_H */

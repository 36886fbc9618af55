/*
 * import_field.c
 *	  The fields of sampled documents.
 *
 * Fields are kept in the order in which they were seen first.  As documents of
 * a collection are alike, the field after the last one found is tried first.
 */
#include "postgres.h"
#include "compat.h"

#include "access/htup_details.h"
#include "fdw/import.h"
#include "miscadmin.h"

/* The field of a name in its parent, added where it is new; NULL when there are too many. */
static ImportField *
find_field(ImportField *parent, const char *name)
{
	ImportField *field;

	for (int i = 0; i < parent->nfields; i++)
	{
		int			at = (parent->next + i) % parent->nfields;

		if (strcmp(parent->fields[at]->name, name) == 0)
		{
			parent->next = at + 1;
			return parent->fields[at];
		}
	}
	if (parent->nfields == MaxHeapAttributeNumber)
	{
		parent->truncated = true;
		return NULL;
	}

	field = palloc0(sizeof(ImportField));
	field->name = pstrdup(name);
	if (parent->fields == NULL)
		parent->fields = palloc(MaxHeapAttributeNumber * sizeof(ImportField *));
	parent->fields[parent->nfields++] = field;
	parent->next = parent->nfields;
	return field;
}

/* Adds the elements of an array. */
static void
add_elements(ImportField *field, const bson_iter_t *array)
{
	bson_iter_t element;

	if (!bson_iter_recurse(array, &element))
		return;
	while (bson_iter_next(&element))
		lattice_add(&field->elements, &element);
}

/* Adds the fields under the iterator. */
static void
add_fields(ImportField *parent, bson_iter_t *iter, bool nested)
{
	check_stack_depth();
	parent->next = 0;
	while (bson_iter_next(iter))
	{
		ImportField *field = find_field(parent, bson_iter_key(iter));
		bson_iter_t child;

		if (field == NULL)
			continue;
		lattice_add(&field->seen, iter);
		if (BSON_ITER_HOLDS_ARRAY(iter))
			add_elements(field, iter);
		if (nested && BSON_ITER_HOLDS_DOCUMENT(iter) && bson_iter_recurse(iter, &child))
			add_fields(field, &child, true);
	}
}

/* Adds a document's fields. */
void
import_field_add(ImportField *root, const bson_t *document, bool nested)
{
	bson_iter_t iter;

	if (bson_iter_init(&iter, document))
		add_fields(root, &iter, nested);
}

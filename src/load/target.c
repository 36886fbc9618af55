/*
 * target.c
 *	  What targets and columns of a compiled plan say of themselves.
 */
#include "postgres.h"
#include "compat.h"

#include "load/load.h"

/* The target that has the row of a document itself. */
LoadTarget *
target_root(LoadTarget *target)
{
	while (target->parent != NULL)
		target = target->parent;
	return target;
}

/* The place of a column among those of its target, from 0. */
int
column_number(LoadTarget *target, LoadColumn *column)
{
	int			number = 0;

	while (target->columns[number] != column)
		number++;
	return number;
}

/* The column whose value stands in a column of a target: a parent's, where that is one. */
LoadColumn *
column_origin(LoadColumn *column)
{
	while (column->role == COLUMN_PARENT)
		column = column->parent;
	return column;
}

/* The first row of a target that is of a document, or of a later one. */
int
target_first_row(LoadTarget *target, int document)
{
	int			low = 0;
	int			high = target->nrows;

	while (low < high)
	{
		int			middle = low + (high - low) / 2;

		if (target->documents[middle] < document)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The path of a target's rows from the document's top, as infer_schema has it; the root's is empty. */
static const char *
row_path(LoadTarget *target)
{
	const char *parent;

	if (target->parent == NULL)
		return "";
	parent = row_path(target->parent);
	return psprintf("%s%s%s%s", parent,
					parent[0] == '\0' || strcmp(target->path, "$") == 0 ? "" : ".",
					strcmp(target->path, "$") == 0 ? "" : target->path,
					target->is_map ? "{}" : "[]");
}

/* A path of a target's rows from the document's top. */
const char *
target_path(LoadTarget *target, const char *path)
{
	const char *row = row_path(target);

	if (row[0] == '\0')
		return path;
	return strcmp(path, "$") == 0 ? row : psprintf("%s.%s", row, path);
}

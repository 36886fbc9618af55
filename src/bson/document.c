/*
 * document.c
 *	  Decode: one walk of a document, by a compiled plan, to rows.
 *
 * The paths of a table are a tree of nodes.  A walk goes through a document's
 * fields in their order and down the tree at once.  As documents of a
 * collection have mostly the same fields in the same order, each known field,
 * wanted or not, remembers which came after it last time, so that finding a
 * field's node is one memcmp; a hash table finds the others.
 *
 * Arrays that are child tables are remembered during the walk of the parent's
 * row, and walked when that row is complete.  The plan's memory does not grow
 * with the documents, but for a bounded number of unwanted field names.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/document_path.h"
#include "bson/document_private.h"
#include "bson/json.h"
#include "bson/walk.h"
#include "utils/memutils.h"

/* A decode in progress. */
typedef struct Decode
{
	DocumentPlan *plan;
	DocumentRow row;
	void	   *arg;
	DocumentError *error;
	int			depth;			/* of arrays and maps that are tables, which a
								 * tree has as many of as its document */
} Decode;

static bool visit(Decode *decode, Table *table, PathNode *node, const bson_iter_t *value);

/* Puts a segment before the error's path. */
static void
error_prepend(DocumentError *error, const char *segment)
{
	error->path = error->path == NULL ? pstrdup(segment) :
		psprintf("%s.%s", segment, error->path);
}

/* The same for a position in an array. */
static void
error_prepend_position(DocumentError *error, int position)
{
	char		text[16];

	snprintf(text, sizeof(text), "%d", position);
	error_prepend(error, text);
}

/* Fills the error; the path is put before it on the way out.  Returns false. */
static bool
fail(Decode *decode, Table *table, const Column *column, ConvertStatus status, char *message)
{
	DocumentError *error = decode->error;

	error->status = status;
	error->table = -1;
	error->column = column == NULL ? -1 : column->number;
	error->path = NULL;
	error->message = message;
	error->hint = convert_hint(status);
	for (int i = 0; i < decode->plan->ntables; i++)
	{
		if (decode->plan->tables[i] == table)
			error->table = i;
	}
	if (column != NULL)
	{
		const int  *positions;

		for (int i = convert_failed_at(column->converter, &positions); i > 0; i--)
			error_prepend_position(error, positions[i - 1]);
	}
	return false;
}

/* BSON that breaks off or makes no sense. */
static bool
fail_corrupt(Decode *decode, Table *table)
{
	return fail(decode, table, NULL, CONVERT_CORRUPT,
				pstrdup("the document is not well-formed BSON"));
}

/* The known field of a name that was not predicted; an unwanted one is remembered if there is room. */
static Field *
find_field(DocumentPlan *plan, PathNode *node, const char *name, uint32 length)
{
	Field	  **slot = field_slot(node, name, length);
	Field	   *field;

	if (*slot != NULL)
		return *slot;
	if (node->unwanted == MAX_UNWANTED_FIELDS || length > 64)
		return &node->unknown;

	field = MemoryContextAllocZero(plan->context, sizeof(Field) + length + 1);
	memcpy((char *) (field + 1), name, length);
	field->name = (char *) (field + 1);
	field->length = length;
	node->unwanted++;
	*slot = field;
	return field;
}

/* Counts the document being decoded for a field that it has. */
static inline void
count_unknown(DocumentPlan *plan, Field *field)
{
	if (field->document == plan->document)
		return;
	field->document = plan->document;
	field->documents++;
	plan->met_unknown = true;
}

/* Takes a field that no column or table is for. */
static bool
take_unknown(Decode *decode, Table *table, PathNode *node, Field *field, const bson_iter_t *value)
{
	count_unknown(decode->plan, field);
	return node != table->root || table->unknown == NULL ||
		bson_append_iter(table->unknown, NULL, 0, value);
}

/* Does a column or table need what is at a node, or is it only known? */
static inline bool
is_wanted(PathNode *node)
{
	return node->ncolumns > 0 || node->ntables > 0 || node->walked;
}

/* Walks a document or sub-document whose fields are a node's children. */
static bool
walk_document(Decode *decode, Table *table, PathNode *node, Walk *walk)
{
	DocumentPlan *plan = decode->plan;
	uint64		generation = ++plan->generation;
	Field	   *previous = &node->first;

	while (bson_iter_next(&walk->iter))
	{
		const char *name = bson_iter_key_unsafe(&walk->iter);
		uint32		length = walk_key_length(&walk->iter);
		Field	   *field = previous->next;
		PathNode   *child;

		if (field == NULL || field->length != length || memcmp(field->name, name, length) != 0)
		{
			field = find_field(plan, node, name, length);
			previous->next = field;
		}
		previous = field;
		child = field->node;
		if (child == NULL)
		{
			if (take_unknown(decode, table, node, field, &walk->iter))
				continue;
			return fail_corrupt(decode, table);
		}
		if (child->seen == generation && is_wanted(child))
			fail(decode, table, NULL, CONVERT_DUPLICATE_KEY,
				 psprintf("field \"%s\" stands twice in its document", document_path_escape(name)));
		else
		{
			child->seen = generation;
			if (visit(decode, table, child, &walk->iter))
				continue;
		}
		error_prepend(decode->error, document_path_escape(name));
		return false;
	}
	return walk_ended_well(walk) ? true : fail_corrupt(decode, table);
}

/* Walks the elements of an array that are a node's children by position. */
static bool
walk_positions(Decode *decode, Table *table, PathNode *node, const bson_iter_t *value)
{
	Walk		walk;

	if (!walk_enter(&walk, value))
		return fail_corrupt(decode, table);
	for (int position = 0; bson_iter_next(&walk.iter); position++)
	{
		for (int i = 0; i < node->nchildren; i++)
		{
			if (node->children[i]->position == position &&
				!visit(decode, table, node->children[i], &walk.iter))
			{
				error_prepend_position(decode->error, position);
				return false;
			}
		}
	}
	return walk_ended_well(&walk) ? true : fail_corrupt(decode, table);
}

/*
 * A value that is neither the sub-document nor the array that the plan has at
 * a node.  Where a column takes the value as a whole nothing is lost.
 */
static bool
fail_shape(Decode *decode, Table *table, PathNode *node, ConvertStatus status, const bson_iter_t *value)
{
	if (!decode->plan->strict || node->ncolumns > 0)
		return true;
	return fail(decode, table, NULL, status, convert_message(status, NULL, value));
}

/*
 * Has the child tables of a node take an array, or else a document.  Returns
 * whether each is for what it is.
 */
static bool
take_elements(Decode *decode, PathNode *node, const bson_iter_t *value, bool is_map)
{
	bool		taken = true;

	for (int i = 0; i < node->ntables; i++)
	{
		Table	   *child = decode->plan->tables[node->tables[i]];

		taken &= child->is_map == is_map;
		if (child->is_map == is_map)
		{
			child->array = value->raw + value->d1;
			child->array_length = value->next_off - value->d1;
		}
	}
	return taken;
}

/* What a value should have been that the tables of a node are not for. */
static ConvertStatus
wanted_shape(Decode *decode, PathNode *node)
{
	for (int i = 0; i < node->ntables; i++)
		if (decode->plan->tables[node->tables[i]]->is_map)
			return CONVERT_NOT_DOCUMENT;
	return CONVERT_NOT_ARRAY;
}

/* What lies at a node, apart from its columns. */
static bool
visit_below(Decode *decode, Table *table, PathNode *node, const bson_iter_t *value)
{
	bson_type_t type = bson_iter_type_unsafe(value);
	Walk		walk;

	if (type == BSON_TYPE_ARRAY)
	{
		if (!take_elements(decode, node, value, false) &&
			!fail_shape(decode, table, node, CONVERT_NOT_DOCUMENT, value))
			return false;
		if (node->has_names && !fail_shape(decode, table, node, CONVERT_NOT_DOCUMENT, value))
			return false;
		return !node->walked || walk_positions(decode, table, node, value);
	}
	if (node->ntables > 0 &&
		!(type == BSON_TYPE_DOCUMENT && take_elements(decode, node, value, true)) &&
		!fail_shape(decode, table, node, wanted_shape(decode, node), value))
		return false;
	if (!node->walked)
		return true;
	if (type != BSON_TYPE_DOCUMENT)
		return fail_shape(decode, table, node,
						  node->has_names ? CONVERT_NOT_DOCUMENT : CONVERT_NOT_ARRAY, value);
	if (!walk_enter(&walk, value))
		return fail_corrupt(decode, table);
	return walk_document(decode, table, node, &walk);
}

/* Converts a value for each of some columns. */
static bool
convert_columns(Decode *decode, Table *table, Column *columns, int ncolumns, const bson_iter_t *value)
{
	for (int i = 0; i < ncolumns; i++)
	{
		Column	   *column = &columns[i];
		Converter  *converter = column->converter;
		ConvertStatus status = converter->convert(converter, value,
												  &table->values[column->number]);

		if (status != CONVERT_OK)
		{
			fail(decode, table, column, status, convert_message(status, converter, value));
			decode->error->hint = convert_value_hint(status, converter, value);
			return false;
		}
		table->nulls[column->number] = false;
	}
	return true;
}

/* A value that has a node: its columns, and what lies below.  Null is nothing at all. */
static bool
visit(Decode *decode, Table *table, PathNode *node, const bson_iter_t *value)
{
	bson_type_t type = bson_iter_type_unsafe(value);

	if (type == BSON_TYPE_NULL || type == BSON_TYPE_UNDEFINED)
		return true;
	if (!convert_columns(decode, table, node->columns, node->ncolumns, value))
		return false;
	return (!node->walked && node->ntables == 0) ||
		visit_below(decode, table, node, value);
}

/* Makes a table's row all NULL. */
static void
row_begin(Decode *decode, Table *table)
{
	memset(table->nulls, true, table->ncolumns);
	if (table->unknown != NULL && !bson_empty(table->unknown))
		bson_reinit(table->unknown);
	for (int i = 0; i < table->nchildren; i++)
		decode->plan->tables[table->children[i]]->array = NULL;
}

/* Fails when a column is NULL whose domain does not take it. */
static bool
check_domains(Decode *decode, Table *table)
{
	for (int i = 0; i < table->ndomains; i++)
	{
		Column	   *column = &table->domains[i];
		ConvertStatus status;

		if (!table->nulls[column->number])
			continue;
		status = convert_null(column->converter);
		if (status != CONVERT_OK)
		{
			fail(decode, table, NULL, status, convert_message(status, column->converter, NULL));
			decode->error->column = column->number;
			error_prepend(decode->error, column->path);
			return false;
		}
	}
	return true;
}

/*
 * A document as the only field of another one, which the plan keeps until the
 * next call: converters take an iterator on a field.
 */
static bool
wrap_document(DocumentPlan *plan, const bson_t *document, bson_iter_t *iter)
{
	uint32		size = document->len + 7;	/* length, type, empty name,
											 * document, 0 */
	uint32		size_le = BSON_UINT32_TO_LE(size);

	if (size > plan->wrapper_size)
	{
		if (plan->wrapper != NULL)
			pfree(plan->wrapper);
		plan->wrapper = NULL;
		plan->wrapper = MemoryContextAllocHuge(plan->context, size);
		plan->wrapper_size = size;
	}
	memcpy(plan->wrapper, &size_le, sizeof(size_le));
	plan->wrapper[4] = BSON_TYPE_DOCUMENT;
	plan->wrapper[5] = 0;
	memcpy(plan->wrapper + 6, bson_get_data(document), document->len);
	plan->wrapper[size - 1] = 0;
	return bson_iter_init_from_data(iter, plan->wrapper, size) && bson_iter_next(iter);
}

/* Converts the unknown fields of a row for the columns that take them. */
static bool
fill_extras(Decode *decode, Table *table)
{
	bson_iter_t iter;

	if (table->unknown == NULL || bson_empty(table->unknown))
		return true;
	if (!wrap_document(decode->plan, table->unknown, &iter))
		return fail_corrupt(decode, table);
	return convert_columns(decode, table, table->extras, table->nextras, &iter);
}

static int
compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Fails where two of a map's fields have one name: they would have one key. */
static bool
check_names(Decode *decode, Table *table, int n)
{
	const char **names = table->names;

	qsort(names, n, sizeof(*names), compare_names);
	for (int i = 1; i < n; i++)
	{
		if (strcmp(names[i - 1], names[i]) != 0)
			continue;
		fail(decode, table, NULL, CONVERT_DUPLICATE_KEY,
			 psprintf("field \"%s\" stands twice in its document", document_path_escape(names[i])));
		error_prepend(decode->error, document_path_escape(names[i]));
		return false;
	}
	return true;
}

/* Remembers the n-th name of a map's fields. */
static void
remember_name(DocumentPlan *plan, Table *table, int n, const char *name)
{
	if (n == table->maxnames)
	{
		table->maxnames = Max(64, 2 * n);
		table->names = n == 0 ?
			MemoryContextAlloc(plan->context, table->maxnames * sizeof(*table->names)) :
			repalloc_huge(table->names, table->maxnames * sizeof(*table->names));
	}
	table->names[n] = name;
}

/* Sets an int4 in some columns. */
static void
set_positions(Table *table, const int *columns, int n, int position)
{
	for (int i = 0; i < n; i++)
	{
		table->values[columns[i]] = Int32GetDatum(position);
		table->nulls[columns[i]] = false;
	}
}

/* Converts a field's name for the columns of path $key. */
static bool
fill_keys(Decode *decode, Table *table, const char *name)
{
	bson_t	   *holder = decode->plan->name;
	bson_iter_t iter;

	if (table->nkeys == 0)
		return true;
	bson_reinit(holder);
	BSON_APPEND_UTF8(holder, "$key", name);
	return bson_iter_init_find(&iter, holder, "$key") &&
		convert_columns(decode, table, table->keys, table->nkeys, &iter);
}

static bool row_end(Decode *decode, int number);

/* Gives the row of an element away: the n-th of its array, or the field under the iterator. */
static bool
take_element(Decode *decode, int number, int n, int parent_position, const bson_iter_t *value)
{
	Table	   *table = decode->plan->tables[number];

	row_begin(decode, table);
	set_positions(table, table->positions, table->npositions,
				  table->nested_path == NULL ? n : table->position++);
	if (parent_position >= 0)
		set_positions(table, table->parent_positions, table->nparent_positions, parent_position);
	return (!table->is_map || fill_keys(decode, table, bson_iter_key_unsafe(value))) &&
		visit(decode, table, table->root, value) && row_end(decode, number);
}

/*
 * Gives the rows of a child table away, from the array or map that its parent's
 * row has.  above: in a tree, the position of the element that these are
 * within, or -1.
 */
static bool
walk_elements(Decode *decode, int number, int above)
{
	Table	   *table = decode->plan->tables[number];
	const char *path = above < 0 ? table->path : table->nested_path;
	Walk		walk;
	int			n = 0;

	if (decode->depth == WALK_MAX_DEPTH)
		return fail(decode, table, NULL, CONVERT_TOO_DEEP,
					psprintf("the document is nested deeper than %d levels", WALK_MAX_DEPTH));
	if (!walk_start(&walk, table->array, table->array_length))
		return fail_corrupt(decode, table);
	decode->depth++;
	for (; bson_iter_next(&walk.iter); n++)
	{
		if (table->is_map)
			remember_name(decode->plan, table, n, bson_iter_key_unsafe(&walk.iter));
		if (!take_element(decode, number, n, above, &walk.iter))
		{
			if (table->is_map)
				error_prepend(decode->error, document_path_escape(bson_iter_key_unsafe(&walk.iter)));
			else
				error_prepend_position(decode->error, n);
			if (path != NULL)
				error_prepend(decode->error, path);
			return false;
		}
	}
	decode->depth--;
	if (!walk_ended_well(&walk))
		return fail_corrupt(decode, table);
	if (!table->is_map || check_names(decode, table, n))
		return true;
	if (path != NULL)
		error_prepend(decode->error, path);
	return false;
}

/* Gives a complete row away, then the rows of its child tables. */
static bool
row_end(Decode *decode, int number)
{
	Table	   *table = decode->plan->tables[number];
	int			position;		/* tree: this row's */

	if (!fill_extras(decode, table) || !check_domains(decode, table))
		return false;
	if (decode->row != NULL)
		decode->row(decode->arg, number, table->values, table->nulls);

	position = table->position - 1;
	for (int i = 0; i < table->nchildren; i++)
	{
		int			child = table->children[i];

		if (decode->plan->tables[child]->array == NULL)
			continue;
		if (child != number)
			decode->plan->tables[child]->position = 0;
		if (!walk_elements(decode, child, child == number ? position : -1))
			return false;
	}
	return true;
}

/* Converts the document itself for the columns of path $. */
static bool
visit_whole(Decode *decode, Table *table, const bson_t *document)
{
	bson_iter_t iter;

	if (!wrap_document(decode->plan, document, &iter))
		return fail_corrupt(decode, table);
	return convert_columns(decode, table, table->root->columns, table->root->ncolumns, &iter);
}

/* Decodes a document, whose error path is $ when it is not a part's. */
static bool
decode_document(Decode *decode, const bson_t *document)
{
	Table	   *table = decode->plan->tables[0];
	Walk		walk;
	bool		ok;

	Assert(decode->plan->finished);
	decode->plan->document++;
	row_begin(decode, table);
	if (!walk_start(&walk, bson_get_data(document), document->len))
		ok = fail_corrupt(decode, table);
	else
		ok = (table->root->ncolumns == 0 || visit_whole(decode, table, document)) &&
			(!table->root->walked ||
			 walk_document(decode, table, table->root, &walk)) &&
			row_end(decode, 0);
	if (!ok && decode->error->path == NULL)
		decode->error->path = pstrdup("$");
	return ok;
}

/* Decodes a document; see document.h. */
bool
document_decode(DocumentPlan *plan, const bson_t *document, DocumentRow row, void *arg,
				DocumentError *error)
{
	Decode		decode = {plan, row, arg, error};

	return decode_document(&decode, document);
}

/* The same for a plan of table 0 alone, into the caller's arrays. */
bool
document_decode_row(DocumentPlan *plan, const bson_t *document, Datum *values, bool *nulls,
					DocumentError *error)
{
	Decode		decode = {plan, NULL, NULL, error};

	plan->tables[0]->values = values;
	plan->tables[0]->nulls = nulls;
	return decode_document(&decode, document);
}

/* Tells of a field, if documents had it, and forgets them. */
static void
report_field(Field *field, int table, const char *path, DocumentUnknown report, void *arg)
{
	if (field->documents > 0)
		report(arg, table, path, field->documents);
	field->documents = 0;
}

/* Tells of the unknown fields of a node at a path, and of those below. */
static void
report_node(PathNode *node, int table, const char *path, DocumentUnknown report, void *arg)
{
	const char *prefix = path[0] == '\0' ? "" : psprintf("%s.", path);

	if (node->fields == NULL)
		return;
	for (uint32 i = 0; i <= node->fields_mask; i++)
	{
		Field	   *field = node->fields[i];
		char	   *name;

		if (field == NULL || (field->node == NULL ? field->documents == 0 : field->node->fields == NULL))
			continue;
		name = psprintf("%s%s", prefix, document_path_escape(field->name));
		if (field->node != NULL)
			report_node(field->node, table, name, report, arg);
		else
			report_field(field, table, name, report, arg);
	}
	report_field(&node->unknown, table, psprintf("%s*", prefix), report, arg);
}

/* Tells of the unknown fields since the last call; see document.h. */
void
document_plan_report_unknown(DocumentPlan *plan, DocumentUnknown report, void *arg)
{
	if (!plan->met_unknown)
		return;
	plan->met_unknown = false;
	for (int i = 0; i < plan->ntables; i++)
		report_node(plan->tables[i]->root, i, "", report, arg);
}

/* Throws a decode error. */
void
document_error_throw(const DocumentError *error, const char *collection, const bson_t *document)
{
	ereport(ERROR,
			(errcode(convert_sqlstate(error->status)),
			 errmsg("%s", error->message),
			 errdetail("Field \"%s\" of the document with _id %s in collection \"%s\".",
					   error->path, json_preview_id(document), collection),
			 error->hint == NULL ? 0 : errhint("%s", error->hint)));
}

/*
 * document_plan.c
 *	  Compiles the paths of tables' columns to trees of nodes.
 *
 * A plan is made a table and a column at a time, and is finished before the
 * first decode.  All of it lives in a context of its own.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/document_path.h"
#include "bson/document_private.h"
#include "owned.h"
#include "utils/memutils.h"

/* Returns array with room for one more of size bytes; grows by powers of two. */
static void *
grow(void *array, int count, size_t size)
{
	if (count == 0)
		return palloc(size);
	return (count & (count - 1)) == 0 ? repalloc(array, 2 * count * size) : array;
}

/* A node for a name, which it keeps. */
static PathNode *
node_create(const char *name)
{
	PathNode   *node = palloc0(sizeof(PathNode));

	node->field.name = name;
	node->field.length = strlen(name);
	node->field.node = node;
	node->position = document_path_position(name);
	return node;
}

/* The child of a name, or NULL. */
static PathNode *
node_child(PathNode *node, const char *name)
{
	for (int i = 0; i < node->nchildren; i++)
	{
		if (strcmp(node->children[i]->field.name, name) == 0)
			return node->children[i];
	}
	return NULL;
}

/* Adds a child with a name, which it keeps. */
static PathNode *
node_add_child(PathNode *node, const char *name)
{
	PathNode   *child = node_create(name);

	node->children = grow(node->children, node->nchildren, sizeof(PathNode *));
	node->children[node->nchildren++] = child;
	node->has_names |= child->position < 0;
	return child;
}

/* The node at a path below root, made where it is missing. */
static PathNode *
node_at(PathNode *root, const char *path)
{
	PathNode   *node = root;
	ListCell   *cell;

	foreach(cell, document_path_split(path))
	{
		PathNode   *child = node_child(node, lfirst(cell));

		node = child != NULL ? child : node_add_child(node, lfirst(cell));
	}
	return node;
}

/* Makes an empty plan with a context of its own below parent. */
DocumentPlan *
document_plan_create(MemoryContext parent, bool strict)
{
	MemoryContext context = AllocSetContextCreate(parent, "document plan", ALLOCSET_SMALL_SIZES);
	DocumentPlan *plan = MemoryContextAllocZero(context, sizeof(DocumentPlan));

	plan->context = context;
	plan->strict = strict;
	return plan;
}

/* Adds a table and returns its number. */
int
document_plan_add_table(DocumentPlan *plan, int parent, const char *path)
{
	MemoryContext caller = MemoryContextSwitchTo(plan->context);
	Table	   *table = palloc0(sizeof(Table));
	int			number = plan->ntables;

	Assert((parent < 0) == (number == 0) && parent < number && !plan->finished);
	table->root = node_create("");
	plan->tables = grow(plan->tables, plan->ntables, sizeof(Table *));
	plan->tables[plan->ntables++] = table;
	if (parent >= 0)
	{
		Table	   *parent_table = plan->tables[parent];
		PathNode   *node = node_at(parent_table->root, path);

		table->path = node == parent_table->root ? NULL : pstrdup(path);
		parent_table->children = grow(parent_table->children, parent_table->nchildren, sizeof(int));
		parent_table->children[parent_table->nchildren++] = number;
		node->tables = grow(node->tables, node->ntables, sizeof(int));
		node->tables[node->ntables++] = number;
	}
	MemoryContextSwitchTo(caller);
	return number;
}

/* Has a table take the fields of a map. */
void
document_plan_set_map(DocumentPlan *plan, int table)
{
	Assert(!plan->finished && table > 0);
	plan->tables[table]->is_map = true;
	if (plan->name == NULL)
		plan->name = owned_bson_new(plan->context);
}

/* Has a table take the elements of arrays in its own elements: it is the last of its children. */
void
document_plan_set_tree(DocumentPlan *plan, int number, const char *path)
{
	MemoryContext caller = MemoryContextSwitchTo(plan->context);
	Table	   *table = plan->tables[number];
	PathNode   *node = node_at(table->root, path);

	Assert(!plan->finished && number > 0 && !table->is_map);
	table->nested_path = pstrdup(path);
	table->children = grow(table->children, table->nchildren, sizeof(int));
	table->children[table->nchildren++] = number;
	node->tables = grow(node->tables, node->ntables, sizeof(int));
	node->tables[node->ntables++] = number;
	MemoryContextSwitchTo(caller);
}

/* Adds a column with its converter and returns its number in its table. */
int
document_plan_add_column(DocumentPlan *plan, int table_number, const char *path,
						 Converter *converter)
{
	MemoryContext caller = MemoryContextSwitchTo(plan->context);
	Table	   *table = plan->tables[table_number];
	Column		column = {table->ncolumns++, converter, pstrdup(path)};

	Assert(!plan->finished);
	if (table->is_map && strcmp(path, "$key") == 0)
	{
		table->keys = grow(table->keys, table->nkeys, sizeof(Column));
		table->keys[table->nkeys++] = column;
	}
	else
	{
		PathNode   *node = node_at(table->root, path);

		node->columns = grow(node->columns, node->ncolumns, sizeof(Column));
		node->columns[node->ncolumns++] = column;
	}
	if (converter_is_domain(converter))
	{
		table->domains = grow(table->domains, table->ndomains, sizeof(Column));
		table->domains[table->ndomains++] = column;
	}
	MemoryContextSwitchTo(caller);
	return column.number;
}

/* Adds an int4 column with the element's position, or that of the one which a tree's is within. */
int
document_plan_add_position(DocumentPlan *plan, int table_number, bool of_parent)
{
	MemoryContext caller = MemoryContextSwitchTo(plan->context);
	Table	   *table = plan->tables[table_number];
	int		  **positions = of_parent ? &table->parent_positions : &table->positions;
	int		   *count = of_parent ? &table->nparent_positions : &table->npositions;

	Assert(!plan->finished);
	*positions = grow(*positions, *count, sizeof(int));
	(*positions)[(*count)++] = table->ncolumns;
	MemoryContextSwitchTo(caller);
	return table->ncolumns++;
}

/* Adds a column for unknown fields. */
int
document_plan_add_extra(DocumentPlan *plan, int table_number, Converter *converter)
{
	MemoryContext caller = MemoryContextSwitchTo(plan->context);
	Table	   *table = plan->tables[table_number];
	Column		column = {table->ncolumns++, converter, "$"};

	Assert(!plan->finished);
	if (table->unknown == NULL)
		table->unknown = owned_bson_new(plan->context);
	table->root->has_names = true;
	table->extras = grow(table->extras, table->nextras, sizeof(Column));
	table->extras[table->nextras++] = column;
	MemoryContextSwitchTo(caller);
	return column.number;
}

/*
 * Has a table, and those below it, know paths from the n-th on.  A node that
 * takes nothing is made where the walk comes by for others' sake; elsewhere it
 * would ask for a sub-document.
 */
static void
table_ignore(DocumentPlan *plan, int number, List *paths, int n)
{
	PathNode   *root = plan->tables[number]->root;
	PathNode   *node = root;
	ListCell   *cell;

	foreach(cell, document_path_split(list_nth(paths, n)))
	{
		PathNode   *child = node_child(node, lfirst(cell));

		if (child == NULL)
		{
			if (node->has_names || (number == 0 && node == root))
				node_add_child(node, lfirst(cell));
			return;
		}
		node = child;
	}
	if (n + 1 < list_length(paths))
	{
		for (int i = 0; i < node->ntables; i++)
			table_ignore(plan, node->tables[i], paths, n + 1);
	}
}

/* Has decode know what it need not take. */
void
document_plan_ignore(DocumentPlan *plan, List *paths)
{
	MemoryContext caller = MemoryContextSwitchTo(plan->context);

	Assert(!plan->finished && paths != NIL);
	table_ignore(plan, 0, paths, 0);
	MemoryContextSwitchTo(caller);
}

/* Makes the tables of known fields of a node and of those below it. */
static void
node_finish(PathNode *node)
{
	uint32		size = 8;

	node->unknown.length = PG_UINT32_MAX;
	node->walked = node->nchildren > 0 || node->has_names;
	if (!node->walked)
		return;
	while (size < 2 * (node->nchildren + MAX_UNWANTED_FIELDS))
		size *= 2;
	node->fields = palloc0(size * sizeof(Field *));
	node->fields_mask = size - 1;
	for (int i = 0; i < node->nchildren; i++)
	{
		Field	   *field = &node->children[i]->field;

		*field_slot(node, field->name, field->length) = field;
		node_finish(node->children[i]);
	}
}

/* Ends the making of a plan. */
void
document_plan_finish(DocumentPlan *plan)
{
	MemoryContext caller = MemoryContextSwitchTo(plan->context);

	for (int i = 0; i < plan->ntables; i++)
	{
		Table	   *table = plan->tables[i];

		node_finish(table->root);
		table->values = palloc0(Max(table->ncolumns, 1) * sizeof(Datum));
		table->nulls = palloc0(Max(table->ncolumns, 1) * sizeof(bool));
	}
	plan->finished = true;
	MemoryContextSwitchTo(caller);
}

/*
 * sort.c
 *	  ORDER BY as MongoDB's sort.
 *
 * A key is shipped only where MongoDB's order of the values that the column
 * can hold is PostgreSQL's: integers, booleans, dates and ObjectIds.  Not so
 * numbers with fractions (NaN is lowest there and greatest here; a double is a
 * numeric by its shortest decimal form), strings (a text column takes values
 * of other types, which MongoDB sorts apart), UUIDs (sorted by subtype), and
 * paths with dots (an array in their middle makes our column NULL).  A value
 * that the column cannot hold is an error when its document is read; beyond a
 * LIMIT it may stay unread, by rule 3 at the head of deparse.c.
 *
 * NULL is null, missing or undefined to MongoDB, which sorts these below all
 * values of ours, and undefined apart.  So the native order serves for the last
 * key alone, and only if it puts NULLs on the right side.  The first key need
 * not rely on it: the scan can be two find commands, one of the documents that
 * have a value and one of those that have none.
 */
#include "postgres.h"
#include "compat.h"

#include "fdw/estimate.h"
#include "fdw/fdw.h"
#include "fdw/filter.h"
#include "fdw/match.h"
#include "fdw/path.h"
#include "fdw/relation.h"
#include "fdw/sort.h"
#include "nodes/makefuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/restrictinfo.h"
#include "owned.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

/* Does MongoDB sort all values that a column of the form can hold as we do? */
static bool
form_is_sortable(FilterForm form)
{
	switch (form)
	{
		case FORM_BOOLEAN:
		case FORM_INTEGER:
		case FORM_OBJECTID:
		case FORM_DATE:
		case FORM_TIMESTAMP:
		case FORM_TIMESTAMPTZ:
			return true;
		default:
			return false;
	}
}

/* The column of the relation that an equivalence class is about, or NULL. */
static Var *
class_column(RelOptInfo *rel, EquivalenceClass *class)
{
	ListCell   *lc;

	if (class->ec_has_volatile)
		return NULL;
	foreach(lc, MM_CLASS_MEMBERS(class, rel))
	{
		Var		   *column = filter_column(rel, (Node *) ((EquivalenceMember *) lfirst(lc))->em_expr);

		if (column != NULL)
			return column;
	}
	return NULL;
}

/* The path by which MongoDB sorts as a pathkey says, NULLs aside; or NULL. */
static char *
sort_path(RelOptInfo *rel, PathKey *pathkey, Var *column)
{
	Oid			type = getBaseType(column->vartype);
	const char *path = fdw_relation_path(rel->fdw_private, column->varattno);

	if (!form_is_sortable(filter_type_form(type)) || PATH_IS_NESTED(path) ||
		pathkey->pk_opfamily != lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY)->btree_opf)
		return NULL;
	return path_for_match(path);
}

/* Is the path among those of the keys? */
static bool
sorts_by(List *keys, const char *path)
{
	ListCell   *lc;

	foreach(lc, keys)
	{
		if (strcmp(strVal(linitial((List *) lfirst(lc))), path) == 0)
			return true;
	}
	return false;
}

/*
 * The sort that serves as many of the pathkeys as can be, from the first on;
 * NULL when that is none.
 */
Sorting *
sorting_from_pathkeys(PlannerInfo *root, RelOptInfo *rel, List *pathkeys)
{
	Oid			relid = planner_rt_fetch(rel->relid, root)->relid;
	Sorting    *sorting = palloc0(sizeof(Sorting));
	List	   *nonnullable;
	ListCell   *lc;

	if (!fdw_enable_pushdown || pathkeys == NIL)
		return NULL;
	/* Rows that a restriction takes away cannot be in the wrong place. */
	nonnullable = find_nonnullable_vars((Node *) extract_actual_clauses(rel->baserestrictinfo, false));
	foreach(lc, pathkeys)
	{
		PathKey    *pathkey = lfirst_node(PathKey, lc);
		Var		   *column = class_column(rel, pathkey->pk_eclass);
		bool		descending = MM_PATHKEY_DESCENDING(pathkey);
		bool		native = pathkey->pk_nulls_first != descending;
		char	   *path;

		if (column == NULL)
			break;
		path = sort_path(rel, pathkey, column);
		if (path == NULL || sorts_by(sorting->keys, path))
			break;
		sorting->keys = lappend(sorting->keys,
								list_make2(makeString(path), makeBoolean(descending)));
		if (MM_COLUMN_IS_NOT_NULL(rel, relid, column->varattno) ||
			MM_IS_NONNULLABLE_VAR(column, nonnullable))
			continue;

		if (list_length(sorting->keys) > 1 || (native && list_length(pathkeys) == 1))
		{
			if (!native)
				sorting->keys = list_delete_last(sorting->keys);
			break;
		}
		sorting->nulls = pathkey->pk_nulls_first ? NULLS_FIRST : NULLS_LAST;
	}
	return sorting->keys == NIL ? NULL : sorting;
}

/* Is it the order of one of the indexes?  _id is unique, so that further keys do not matter. */
bool
sorting_is_by_index(const Sorting *sorting, List *indexes)
{
	const char *path = strVal(linitial(linitial(sorting->keys)));
	ListCell   *lc;

	if (PATH_IS_ID(path))
		return true;
	if (list_length(sorting->keys) > 1)
		return false;
	foreach(lc, indexes)
	{
		CollectionIndex *index = lfirst(lc);

		if (!index->hashed && strcmp(linitial(index->fields), path) == 0)
			return true;
	}
	return false;
}

/* A sort as a list that a plan can carry; NIL for none. */
List *
sorting_save(const Sorting *sorting)
{
	return sorting == NULL ? NIL : list_make2(sorting->keys, makeInteger(sorting->nulls));
}

/* The sort from such a list. */
Sorting *
sorting_load(List *saved)
{
	Sorting    *sorting;

	if (saved == NIL)
		return NULL;
	sorting = palloc(sizeof(Sorting));
	sorting->keys = linitial(saved);
	sorting->nulls = intVal(lsecond(saved));
	return sorting;
}

/* How many find commands it takes. */
int
sorting_parts(const Sorting *sorting)
{
	return sorting == NULL || sorting->nulls == NULLS_TOGETHER ? 1 : 2;
}

/* Is the part of the scan that of the documents without the first key? */
static bool
part_is_null(const Sorting *sorting, int part)
{
	return sorting->nulls == (part == 0 ? NULLS_FIRST : NULLS_LAST);
}

/*
 * The match document of a part of the scan: the scan's own, and that there is
 * a value in the first key, or none.  An array is an error to the column, so
 * that it does not matter on which side it comes.
 */
bson_t *
sorting_match(const Sorting *sorting, int part, bson_t *match)
{
	const char *path;
	bson_t	   *own;

	if (match == NULL || sorting_parts(sorting) == 1)
		return match;
	path = strVal(linitial(linitial(sorting->keys)));
	own = owned_bson_new(CurrentMemoryContext);
	if (part_is_null(sorting, part))
		BCON_APPEND(own, "$or", "[", "{", path, BCON_NULL, "}",
					"{", path, "{", "$type", "undefined", "}", "}", "]");
	else
		BCON_APPEND(own, path, "{", "$ne", BCON_NULL,
					"$not", "{", "$type", "undefined", "}", "}");
	return bson_empty(match) ? own : match_all_of(list_make2(match, own));
}

/* Appends the keys of a sort by a name, from one of them on. */
void
sorting_append_keys(bson_t *document, const char *name, const Sorting *sorting, int first)
{
	bson_t		keys;
	ListCell   *lc;

	bson_append_document_begin(document, name, -1, &keys);
	for_each_from(lc, sorting->keys, first)
	{
		List	   *key = lfirst(lc);

		bson_append_int32(&keys, strVal(linitial(key)), -1, boolVal(lsecond(key)) ? -1 : 1);
	}
	bson_append_document_end(document, &keys);
}

/* Appends the options "sort" and "allowDiskUse" of a part of the scan. */
void
sorting_append(bson_t *options, const Sorting *sorting, int part)
{
	int			first;

	if (sorting == NULL)
		return;
	first = sorting_parts(sorting) == 2 && part_is_null(sorting, part) ? 1 : 0;
	if (first == list_length(sorting->keys))
		return;
	sorting_append_keys(options, "sort", sorting, first);
	bson_append_bool(options, "allowDiskUse", -1, true);
}

/*
 * join.c
 *	  Which joins MongoDB can make: two foreign tables to an FdwJoin.
 *
 * The contract.  For each document of the outer table, $lookup finds those of
 * the inner one by an equality of the join.  It finds at least those for which
 * PostgreSQL would find the join's conditions true; and whatever it finds is
 * decoded and checked again, by all of them.  So all that must be proved of an
 * equality is that MongoDB misses nothing:
 *
 * 1. MongoDB compares within a type, numbers as one.  So the values of BSON
 *    that both columns take for equal ones must be of one type: ObjectIds,
 *    whole numbers, booleans, dates.  The columns take nothing else.  Not so
 *    numeric and floating-point numbers (see deparse.c).
 * 2. The text of an ObjectId is equal to a text.  The value that is looked up
 *    by is computed: of a text, the ObjectId that it may be; of an ObjectId,
 *    itself, its text, and the decimal whose digits are the same.
 * 3. Text takes values of other types beside strings, and UUIDs are of two
 *    subtypes.  Where such a value is in the outer document, MongoDB is asked for
 *    its matches by a find, as a scan of the inner table with this condition is;
 *    where one is anywhere in the inner collection, which its index tells before,
 *    for the matches of every document.
 * 4. NULL is equal to nothing here, and to null and missing there; an array is
 *    equal to each of its elements there.  So a value that is not of the
 *    column's type is replaced by one that nothing has (MinKey).
 * 5. A document that its table cannot hold is an error when it is returned, and
 *    may be left out where it has no match, as by rule 3 of deparse.c.
 *
 * The matches of an outer document come one after the other and are numbered,
 * so that joinscan.c knows for each whether any of them has passed: that makes
 * left, semi and anti joins.  Only where nothing but the equality decides is
 * MongoDB told to stop at the first match.
 *
 * MongoDB must have an index for the look-up, which is made for each document.
 */
#include "postgres.h"
#include "compat.h"

#include "fdw/access.h"
#include "fdw/estimate.h"
#include "fdw/fdw.h"
#include "fdw/join.h"
#include "fdw/path.h"
#include "fdw/shippable.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/restrictinfo.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

/* MongoDB returns no document of more than 16 MiB, nor two joined ones together: so none that come near. */
#define MAX_WIDTH (1024 * 1024)

/* Is it a foreign table that joins may be made of? */
static bool
is_joinable(RelOptInfo *rel)
{
	FdwRelation *relation = rel->fdw_private;
	ListCell   *lc;

	if (rel->reloptkind != RELOPT_BASEREL || relation == NULL ||
		!relation->options->join_pushdown || !bms_is_empty(rel->lateral_relids) ||
		rel->reltarget->width > MAX_WIDTH)
		return false;
	foreach(lc, rel->baserestrictinfo)
	{
		if (lfirst_node(RestrictInfo, lc)->pseudoconstant)
			return false;
	}
	return true;
}

/*
 * May the query, or one around it, lock rows or find them again after a change
 * by others?  Then a row must be known by its table's.
 */
static bool
query_locks_rows(PlannerInfo *root)
{
	for (; root != NULL; root = root->parent_root)
	{
		if (root->rowMarks != NIL ||
			(root->parse->commandType != CMD_SELECT && root->parse->commandType != CMD_INSERT))
			return true;
	}
	return false;
}

/* Can a scan evaluate the conditions on joined rows as well as those before it could? */
static bool
conditions_are_plain(List *conditions)
{
	return !contain_volatile_functions((Node *) conditions) &&
		!contain_subplans((Node *) conditions);
}

/* Finds out what the two sides of an equality are to a lookup. */
static bool
set_key(JoinKey *key, const Filter *local, const Filter *foreign, Oid foreign_type, Oid collation)
{
	FilterForm	form = operand_compared_form(local->form);

	/*
	 * Expressions take a number for a field, match documents for a position
	 * as well.
	 */
	if (OidIsValid(local->cast_type) || OidIsValid(foreign->cast_type) ||
		path_has_position(local->path) || path_has_position(foreign->path) ||
		form != operand_compared_form(foreign->form))
		return false;
	key->local = local->path;
	key->foreign = foreign->path;
	key->kind = KEY_SAME;
	key->form = local->form;
	switch (local->form)
	{
		case FORM_BOOLEAN:
		case FORM_INTEGER:
		case FORM_OBJECTID:
		case FORM_DATE:
		case FORM_TIMESTAMP:
		case FORM_TIMESTAMPTZ:
			return foreign->form == local->form;
		case FORM_OBJECTID_TEXT:
			key->form = FORM_OBJECTID;
			if (foreign->form == FORM_OBJECTID_TEXT)
				return true;
			key->kind = KEY_OBJECTID_AS_TEXT;
			return foreign->form == FORM_TEXT &&
				comparison_is_shippable(local->form, BTEqualStrategyNumber, foreign_type, collation);
		case FORM_TEXT:
			key->kind = foreign->form == FORM_TEXT ? KEY_TEXT : KEY_TEXT_OF_OBJECTID;
			return comparison_is_shippable(foreign->form, BTEqualStrategyNumber, foreign_type, collation) &&
				(foreign->form == FORM_TEXT || foreign->form == FORM_OBJECTID_TEXT);
		case FORM_UUID:
			key->kind = KEY_UUID;
			return true;
		default:
			return false;
	}
}

/* The key of a condition, an equality of the tables' columns; false for another. */
static bool
key_from_condition(JoinQuery *query, Expr *condition, JoinKey *key)
{
	List	   *none = NIL;
	ClauseContext outer = {query->root, query->outer, query->outer->fdw_private, &none};
	ClauseContext inner = {query->root, query->inner, query->inner->fdw_private, &none};
	OpExpr	   *clause = (OpExpr *) condition;
	Filter	   *local = NULL;
	Filter	   *foreign = NULL;
	Oid			types[2];

	if (!IsA(condition, OpExpr) || list_length(clause->args) != 2)
		return false;
	op_input_types(clause->opno, &types[0], &types[1]);
	if (operator_strategy(clause->opno, types[0]) != BTEqualStrategyNumber)
		return false;
	for (int side = 0; side < 2; side++)
	{
		Node	   *argument = list_nth(clause->args, side);
		Filter	   *of_outer = operand_filter(&outer, FILTER_COMPARE, argument);
		Filter	   *of_inner = operand_filter(&inner, FILTER_COMPARE, argument);
		Filter	   *operand = of_outer != NULL ? of_outer : of_inner;

		if (operand == NULL ||
			filter_type_form(types[side]) != operand_compared_form(operand->form))
			return false;
		if (of_outer != NULL)
			local = of_outer;
		else
			foreign = of_inner;
	}
	return local != NULL && foreign != NULL &&
		set_key(key, local, foreign, types[1], clause->inputcollid);
}

/* Is there an index for a key?  Strings are compared byte by byte; what is missed is a range. */
static bool
have_index(List *indexes, const JoinKey *key)
{
	bool		strings = key->kind == KEY_OBJECTID_AS_TEXT || key->kind == KEY_TEXT;
	ListCell   *lc;

	foreach(lc, indexes)
	{
		CollectionIndex *index = lfirst(lc);

		if (strcmp(linitial(index->fields), key->foreign) == 0 &&
			!(strings && index->collated) && !(KEY_ASKS(key) && index->hashed))
			return true;
	}
	return false;
}

/*
 * Chooses the equality that documents are looked up by; false when there is none.
 * MongoDB is asked for its indexes, once a minute: to believe in one that a view
 * has not would cost a scan for each document.
 */
static bool
choose_key(JoinQuery *query)
{
	FdwRelation *inner = query->inner->fdw_private;
	bool		asked = false;
	ListCell   *lc;

	foreach(lc, query->clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);
		JoinKey		key;

		if (!list_member_ptr(query->matching, rinfo->clause) ||
			!key_from_condition(query, rinfo->clause, &key))
			continue;
		if (!asked)
			query->indexes = estimate_indexes(inner->relid, inner->userid);
		asked = true;
		if (!have_index(query->indexes, &key))
			continue;
		/* One document at most has an _id; what asks may be slow. */
		if (query->key == NULL || (KEY_ASKS(&query->join->key) && !KEY_ASKS(&key)) ||
			(PATH_IS_ID(key.foreign) && !KEY_ASKS(&key)))
		{
			query->key = rinfo;
			query->join->key = key;
		}
	}
	return query->key != NULL;
}

/* Divides the join's clauses into what makes a match, and what is asked of the join's rows. */
static bool
divide_clauses(JoinQuery *query)
{
	bool		outer_join = IS_OUTER_JOIN(query->join->type);
	ListCell   *lc;

	foreach(lc, query->clauses)
	{
		RestrictInfo *rinfo = lfirst_node(RestrictInfo, lc);

		if (rinfo->pseudoconstant)
			return false;
		if (outer_join && RINFO_IS_PUSHED_DOWN(rinfo, query->joinrel->relids))
			query->local = lappend(query->local, rinfo->clause);
		else
			query->matching = lappend(query->matching, rinfo->clause);
	}
	return true;
}

/* Adds the columns in expressions to the row, each once; false for what is no column. */
static bool
add_columns(JoinQuery *query, List *expressions)
{
	List	   *vars = pull_var_clause((Node *) expressions,
									   PVC_RECURSE_AGGREGATES | PVC_RECURSE_WINDOWFUNCS |
									   PVC_INCLUDE_PLACEHOLDERS);
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, vars)
	{
		Var		   *var = lfirst(lc);
		bool		found = false;

		/* Not a whole row, nor a system column. */
		if (!IsA(var, Var) || var->varattno <= 0 ||
			(var->varno != query->outer->relid && var->varno != query->inner->relid))
			return false;
		foreach(lc2, query->row)
		{
			Var		   *other = lfirst(lc2);

			found |= other->varno == var->varno && other->varattno == var->varattno;
		}
		if (!found)
			query->row = lappend(query->row, var);
	}
	return true;
}

/* list_sort_comparator: by column. */
static int
compare_columns(const ListCell *one, const ListCell *other)
{
	return ((Var *) lfirst(one))->varattno - ((Var *) lfirst(other))->varattno;
}

/* The row's columns of one table, by their numbers, which are added to *columns. */
static List *
columns_of_side(JoinQuery *query, RelOptInfo *rel, List **columns)
{
	List	   *vars = NIL;
	ListCell   *lc;

	foreach(lc, query->row)
	{
		if (((Var *) lfirst(lc))->varno == rel->relid)
			vars = lappend(vars, lfirst(lc));
	}
	list_sort(vars, compare_columns);
	foreach(lc, vars)
		* columns = lappend_int(*columns, ((Var *) lfirst(lc))->varattno);
	return vars;
}

/*
 * The columns that are decoded: what is asked for, and what conditions look at,
 * those of exact filters too.
 */
static bool
set_row(JoinQuery *query, List *exact)
{
	List	   *outer;

	/*
	 * What is asked for comes first: a column of a left join's inner table is
	 * not the same Var before and after the join.
	 */
	if (!add_columns(query, query->joinrel->reltarget->exprs) ||
		!add_columns(query, query->local) || !add_columns(query, query->matching) ||
		!add_columns(query, exact))
		return false;
	outer = columns_of_side(query, query->outer, &query->join->outer.columns);
	query->row = list_concat(outer, columns_of_side(query, query->inner,
													&query->join->inner.columns));
	return true;
}

/* A filter that keeps documents out that have no value for the key. */
static Filter *
filter_not_null(const JoinKey *key)
{
	Filter	   *filter = palloc0(sizeof(Filter));

	filter->kind = FILTER_NOT_NULL;
	filter->path = key->local;
	filter->form = key->form;
	return filter;
}

/*
 * Makes the filter by which the matches of one row are asked for.  Its comparand
 * comes after those of the scan, as it is another for each row.
 */
static void
set_asked(JoinQuery *query)
{
	List	   *comparands = list_copy(query->comparands);
	Filter	   *filter = filter_from_clause(query->root, query->inner, query->key->clause, &comparands);

	Assert(filter != NULL && list_length(comparands) == list_length(query->comparands) + 1);
	query->asked = list_make1(llast(comparands));
	query->join->asked = query->join->inner.filter == NULL ? filter :
		filter_all_of(list_make2(query->join->inner.filter, filter));
}

/* Finds out whether MongoDB can and may do it, and how. */
bool
join_from_query(JoinQuery *query, JoinType type)
{
	PlannerInfo *root = query->root;
	FdwJoin    *join = palloc0(sizeof(FdwJoin));
	List	   *exact = NIL;
	List	   *inner_local = NIL;

	query->join = join;
	join->type = type;
	join->swapped = query->inner->relid < query->outer->relid;
	if (!fdw_enable_pushdown ||
		(type != JOIN_INNER && type != JOIN_LEFT && type != JOIN_SEMI && type != JOIN_ANTI) ||
		!is_joinable(query->outer) || !is_joinable(query->inner) ||
		root->qual_security_level > 0 || query_locks_rows(root) ||
		!divide_clauses(query) || !choose_key(query) ||
		(KEY_ASKS(&join->key) && fdw_relation_is_written(root, query->inner)))
		return false;

	join->outer.relid = planner_rt_fetch(query->outer->relid, root)->relid;
	join->inner.relid = planner_rt_fetch(query->inner->relid, root)->relid;
	join->outer.filter = filter_from_clauses(root, query->outer, query->outer->baserestrictinfo,
											 &query->comparands, &exact, &query->local);
	join->inner.filter = filter_from_clauses(root, query->inner, query->inner->baserestrictinfo,
											 &query->comparands, &exact, &inner_local);
	if (KEY_ASKS(&join->key))
		set_asked(query);
	join->one = (type == JOIN_SEMI || type == JOIN_ANTI) &&
		(join->key.kind == KEY_SAME || KEY_ASKS(&join->key)) &&
		list_length(query->matching) == 1 && inner_local == NIL &&
		!PATH_IS_NESTED(join->key.foreign);
	if (!JOIN_KEEPS_UNMATCHED(join))
		join->outer.filter =
			filter_all_of(join->outer.filter == NULL ? list_make1(filter_not_null(&join->key)) :
						  list_make2(join->outer.filter, filter_not_null(&join->key)));
	query->matching = list_concat(query->matching, inner_local);
	if (type == JOIN_INNER)
	{
		query->local = list_concat(query->matching, query->local);
		query->matching = NIL;
	}
	return conditions_are_plain(query->local) && conditions_are_plain(query->matching) &&
		set_row(query, exact);
}

/*
 * Saving
 */

static List *
save_side(const JoinSide *side)
{
	return list_make3(makeInteger((int) side->relid), filter_save(side->filter), side->columns);
}

static void
load_side(JoinSide *side, List *saved)
{
	side->relid = (Oid) intVal(linitial(saved));
	side->filter = filter_load(lsecond(saved));
	side->columns = lthird(saved);
}

/* An FdwJoin as a list that a plan can carry. */
List *
join_save(const FdwJoin *join)
{
	List	   *saved = list_make5(makeInteger(join->type), save_side(&join->outer),
								   save_side(&join->inner), sorting_save(join->sorting),
								   makeInteger(join->rows));

	saved = lappend(saved, filter_save(join->asked));
	saved = lappend(saved, makeBoolean(join->one));
	saved = lappend(saved, makeBoolean(join->swapped));
	saved = lappend(saved, makeInteger(join->key.kind));
	saved = lappend(saved, makeInteger(join->key.form));
	saved = lappend(saved, makeString(join->key.local));
	return lappend(saved, makeString(join->key.foreign));
}

/* The FdwJoin from such a list. */
FdwJoin *
join_load(List *saved)
{
	FdwJoin    *join = palloc0(sizeof(FdwJoin));

	join->type = intVal(linitial(saved));
	load_side(&join->outer, lsecond(saved));
	load_side(&join->inner, lthird(saved));
	join->sorting = sorting_load(lfourth(saved));
	join->rows = intVal(list_nth(saved, 4));
	join->asked = filter_load(list_nth(saved, 5));
	join->one = boolVal(list_nth(saved, 6));
	join->swapped = boolVal(list_nth(saved, 7));
	join->key.kind = intVal(list_nth(saved, 8));
	join->key.form = intVal(list_nth(saved, 9));
	join->key.local = strVal(list_nth(saved, 10));
	join->key.foreign = strVal(list_nth(saved, 11));
	return join;
}

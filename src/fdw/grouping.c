/*
 * grouping.c
 *	  Groupings as values: asked about, and carried by a plan.
 */
#include "postgres.h"
#include "compat.h"

#include <float.h>

#include "bson/number.h"
#include "fdw/group.h"

/* The digits after the point of a column of numeric(p,s) whose values doubles have; -1 for any other. */
int
group_column_scale(const GroupColumn *column)
{
	int			precision;
	int			scale;

	if (column->form != FORM_NUMERIC || column->typmod < (int32) VARHDRSZ)
		return -1;
	number_typmod(column->typmod, &precision, &scale);
	return scale >= 0 && scale <= precision && precision <= DBL_DIG ? scale : -1;
}

/* The column of which each value is taken once, or NULL. */
GroupColumn *
group_each_value(const Grouping *group)
{
	ListCell   *lc;

	foreach(lc, group->columns)
	{
		GroupColumn *column = lfirst(lc);

		if (column->condition == EACH_VALUE)
			return column;
	}
	return NULL;
}

/* Columns as lists. */
static List *
save_columns(List *columns)
{
	List	   *saved = NIL;
	ListCell   *lc;

	foreach(lc, columns)
	{
		GroupColumn *column = lfirst(lc);
		List	   *one = list_make5(makeString(column->path), makeInteger((int) column->type),
									 makeInteger(column->typmod), makeInteger(column->form),
									 makeInteger(column->facts));

		one = lappend(one, makeBoolean(column->ordered));
		one = lappend(one, makeBoolean(column->distinct));
		one = lappend(one, makeBoolean(column->summed));
		one = lappend(one, makeBoolean(column->calendar));
		one = lappend(one, makeString(unconstify(char *, column->operator)));
		one = lappend(one, makeString(unconstify(char *, column->unit)));
		saved = lappend(saved, lappend(one, makeInteger(column->condition)));
	}
	return saved;
}

/* The columns from such lists. */
static List *
load_columns(List *saved)
{
	List	   *columns = NIL;
	ListCell   *lc;

	foreach(lc, saved)
	{
		List	   *one = lfirst(lc);
		GroupColumn *column = palloc(sizeof(GroupColumn));

		column->path = strVal(linitial(one));
		column->type = (Oid) intVal(lsecond(one));
		column->typmod = intVal(lthird(one));
		column->form = intVal(lfourth(one));
		column->facts = intVal(list_nth(one, 4));
		column->ordered = boolVal(list_nth(one, 5));
		column->distinct = boolVal(list_nth(one, 6));
		column->summed = boolVal(list_nth(one, 7));
		column->calendar = boolVal(list_nth(one, 8));
		column->operator = strVal(list_nth(one, 9));
		column->unit = strVal(list_nth(one, 10));
		column->condition = intVal(list_nth(one, 11));
		columns = lappend(columns, column);
	}
	return columns;
}

/* A Grouping as a list that a plan can carry. */
List *
group_save(const Grouping *group)
{
	List	   *aggregates = NIL;
	List	   *conditions = NIL;
	List	   *ranges = NIL;
	List	   *saved;
	ListCell   *lc;

	foreach(lc, group->aggregates)
	{
		GroupAggregate *aggregate = lfirst(lc);

		aggregates = lappend(aggregates, list_make2_int(aggregate->kind, aggregate->column));
	}
	foreach(lc, group->conditions)
		conditions = lappend(conditions, filter_save(lfirst(lc)));
	foreach(lc, group->ranges)
	{
		GroupRange *range = lfirst(lc);

		ranges = lappend(ranges, list_make3(makeInteger(range->column), makeInteger((int) range->function),
											makeInteger(range->comparand)));
	}
	saved = list_make5(save_columns(group->keys), aggregates, save_columns(group->columns),
					   ranges, group->defined);
	saved = lappend(saved, makeBoolean(group->rows));
	saved = lappend(saved, makeBoolean(group->utc));
	return lappend(saved, conditions);
}

/* The Grouping from such a list. */
Grouping *
group_load(List *saved)
{
	Grouping   *group = palloc0(sizeof(Grouping));
	ListCell   *lc;

	group->keys = load_columns(linitial(saved));
	foreach(lc, (List *) lsecond(saved))
	{
		GroupAggregate *aggregate = palloc(sizeof(GroupAggregate));

		aggregate->kind = linitial_int((List *) lfirst(lc));
		aggregate->column = lsecond_int((List *) lfirst(lc));
		group->aggregates = lappend(group->aggregates, aggregate);
	}
	group->columns = load_columns(lthird(saved));
	foreach(lc, (List *) lfourth(saved))
	{
		GroupRange *range = palloc(sizeof(GroupRange));

		range->column = intVal(linitial((List *) lfirst(lc)));
		range->function = (Oid) intVal(lsecond((List *) lfirst(lc)));
		range->comparand = intVal(lthird((List *) lfirst(lc)));
		group->ranges = lappend(group->ranges, range);
	}
	group->defined = list_nth(saved, 4);
	group->rows = boolVal(list_nth(saved, 5));
	group->utc = boolVal(list_nth(saved, 6));
	foreach(lc, (List *) list_nth(saved, 7))
		group->conditions = lappend(group->conditions, filter_load(lfirst(lc)));
	return group;
}

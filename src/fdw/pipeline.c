/*
 * pipeline.c
 *	  A Grouping as MongoDB's aggregate command.
 *
 * One $group behind one $match; another behind that where DISTINCT takes each
 * value of a column once, which is then one of the first one's keys.  The
 * fields are a letter and the number of a column: l0 and h0 for the least and
 * the greatest value, s0 for the sum, n0 for how many there are, d0 for how many
 * of these are doubles, r0 for how many would be rounded; c is the number of
 * documents.  Where an aggregate has a FILTER, the values of other
 * documents are null.
 *
 * A key that is missing is null to $group where it is the only one, or in an
 * array.
 */
#include "postgres.h"
#include "compat.h"

#include "fdw/expression.h"
#include "fdw/group.h"
#include "fdw/match.h"
#include "fdw/scan.h"
#include "owned.h"

/* How many documents are looked at beforehand. */
#define PROBED_DOCUMENTS	100

/* "$path" */
static const char *
field(const GroupColumn *column)
{
	return psprintf("$%s", column->path);
}

/* The facts: their letters, and how $group finds them out. */
static const struct
{
	int			fact;
	char		letter;
	const char *operator;
}			facts[] =

{
	{FACT_LOW, 'l', "$min"},
	{FACT_HIGH, 'h', "$max"},
	{FACT_SUM, 's', "$sum"},
	{FACT_COUNT, 'n', "$sum"},
	{FACT_DOUBLES, 'd', "$sum"},
	{FACT_INEXACT, 'r', "$sum"}
};

/* Appends "_id": nothing, one value, or an array. */
static void
append_keys(bson_t *fields, List *values, bool as_array)
{
	if (as_array || list_length(values) > 1)
		bson_concat(fields, match_values("_id", values));
	else if (values == NIL)
		bson_append_null(fields, "_id", -1);
	else
		bson_append_value(fields, "_id", -1, linitial(values));
}

/* {$cond: [condition, value, otherwise]} */
static bson_value_t *
value_if(bson_t *condition, bson_value_t *value, bson_value_t *otherwise)
{
	return value_document(match_values("$cond", list_make3(value_document(condition), value,
														   otherwise)));
}

/* A column's value in a document, which may be the document itself; null where FILTER is not true. */
static bson_value_t *
column_value(const Grouping *group, const GroupColumn *column, const FilterValue *values)
{
	bson_value_t *value = *column->path == '\0' ? value_boolean(true) : value_string(field(column));
	const Filter *condition;

	if (column->condition == EVERY_DOCUMENT)
		return value;
	condition = list_nth(group->conditions, column->condition);
	return value_if(filter_to_expression(condition, values), value, value_new(BSON_TYPE_NULL));
}

/* {operator: [value, other]} */
static bson_t *
expression(const char *operator, bson_value_t *value, bson_value_t *other)
{
	return match_values(operator, list_make2(value, other));
}

/* 1 where the condition is true, else 0 */
static bson_value_t *
value_count(bson_t *condition)
{
	return value_if(condition, value_integer(1), value_integer(0));
}

/* 1 where it is a number that loses digits by rounding, else 0 */
static bson_value_t *
value_inexact(bson_value_t *value, int scale)
{
	bson_t	   *rounded = expression("$round", value, value_integer(scale));

	/* What is no number cannot be rounded. */
	return value_if(match_value("$isNumber", value),
					value_count(expression("$ne", value_document(rounded), value)),
					value_integer(0));
}

/* What makes up a fact: a column's value in a document, or 1 or 0 for it. */
static bson_value_t *
value_for_fact(const GroupColumn *column, int fact, bson_value_t *value)
{
	switch (fact)
	{
		case FACT_COUNT:
			return value_count(expression("$gt", value, value_new(BSON_TYPE_NULL)));
		case FACT_DOUBLES:
			return value_count(expression("$eq", value_document(match_value("$type", value)),
										  value_string("double")));
		case FACT_INEXACT:
			return value_inexact(value, group_column_scale(column));
		default:
			return value;
	}
}

/* Appends the facts about a column, which has the value in a document. */
static void
append_facts(bson_t *fields, const GroupColumn *column, int number, bson_value_t *value)
{
	for (int i = 0; i < lengthof(facts); i++)
	{
		if (column->facts & facts[i].fact)
			bson_append_document(fields, psprintf("%c%d", facts[i].letter, number), -1,
								 match_value(facts[i].operator,
											 value_for_fact(column, facts[i].fact, value)));
	}
}

/* Appends the facts about a column in many groups. */
static void
append_facts_of_groups(bson_t *fields, const GroupColumn *column, int number)
{
	for (int i = 0; i < lengthof(facts); i++)
	{
		char	   *name = psprintf("$%c%d", facts[i].letter, number);

		if (column->facts & facts[i].fact)
			bson_append_document(fields, name + 1, -1,
								 match_value(facts[i].operator, value_string(name)));
	}
}

/* The $group of documents. */
static bson_t *
group_documents(const Grouping *group, const FilterValue *values)
{
	const GroupColumn *each = group_each_value(group);
	bson_t	   *fields = match_new();
	List	   *keys = NIL;
	ListCell   *lc;

	foreach(lc, group->keys)
		keys = lappend(keys, group_key_value(lfirst(lc)));
	if (each != NULL)
		keys = lappend(keys, value_string(field(each)));
	append_keys(fields, keys, each != NULL);
	if (group->rows)
		BCON_APPEND(fields, "c", "{", "$sum", BCON_INT32(1), "}");
	foreach(lc, group->columns)
	{
		if (lfirst(lc) != each)
			append_facts(fields, lfirst(lc), foreach_current_index(lc),
						 column_value(group, lfirst(lc), values));
	}
	return match_value("$group", value_document(fields));
}

/* An element of the groups' "_id". */
static bson_value_t *
value_of_key(int position)
{
	return value_document(match_values("$arrayElemAt", list_make2(value_string("$_id"),
																  value_integer(position))));
}

/* The $group of groups by a column's values. */
static bson_t *
group_groups(const Grouping *group)
{
	const GroupColumn *each = group_each_value(group);
	int			nkeys = list_length(group->keys);
	bson_t	   *fields = match_new();
	List	   *keys = NIL;
	ListCell   *lc;

	for (int i = 0; i < nkeys; i++)
		keys = lappend(keys, value_of_key(i));
	append_keys(fields, keys, false);
	if (group->rows)
		BCON_APPEND(fields, "c", "{", "$sum", "$c", "}");
	foreach(lc, group->columns)
	{
		if (lfirst(lc) == each)
			append_facts(fields, each, foreach_current_index(lc), value_of_key(nkeys));
		else
			append_facts_of_groups(fields, lfirst(lc), foreach_current_index(lc));
	}
	return match_value("$group", value_document(fields));
}

/* The match document, with what must not be undefined. */
static bson_t *
match_defined(const Grouping *group, bson_t *match)
{
	List	   *matches = list_make1(match);
	ListCell   *lc;

	foreach(lc, group->defined)
	{
		bson_t	   *defined = match_new();

		BCON_APPEND(defined, strVal(lfirst(lc)), "{", "$not", "{", "$type", "undefined", "}", "}");
		matches = lappend(matches, defined);
	}
	return match_all_of(matches);
}

/* The pipeline on the documents that match. */
bson_t *
group_pipeline(const Grouping *group, bson_t *match, const FilterValue *values)
{
	List	   *stages = match_add_stage(NIL, match_defined(group, match));

	stages = lappend(stages, group_documents(group, values));
	if (group_each_value(group) != NULL)
		stages = lappend(stages, group_groups(group));
	return match_combine("pipeline", stages);
}

/*
 * A pipeline that finds a document among the first ones for which that proves
 * nothing: doubles where sums are to be exact.  Where there are any, there
 * mostly are many.
 */
bson_t *
group_probe(const Grouping *group, const bson_t *match)
{
	List	   *stages;
	List	   *doubles = NIL;
	ListCell   *lc;

	foreach(lc, group->columns)
	{
		GroupColumn *column = lfirst(lc);

		if (column->summed && column->form == FORM_NUMERIC && column->typmod < 0)
			doubles = lappend(doubles, match_type(column->path, "double"));
	}
	if (doubles == NIL)
		return NULL;
	stages = match_add_stage(NIL, match);
	stages = lappend(stages, match_value("$limit", value_integer(PROBED_DOCUMENTS)));
	stages = lappend(stages, match_value("$match", value_document(match_one_of(doubles))));
	stages = lappend(stages, match_value("$limit", value_integer(1)));
	return match_combine("pipeline", stages);
}

/* Is a string among the columns? */
static bool
has_text(List *columns)
{
	ListCell   *lc;

	foreach(lc, columns)
	{
		if (((GroupColumn *) lfirst(lc))->form == FORM_TEXT)
			return true;
	}
	return false;
}

/* The options: strings are compared byte by byte, and large groups may go to the disk. */
bson_t *
group_options(const Grouping *group, const Filter *filter, int fetch_size)
{
	bson_t	   *options = owned_bson_new(CurrentMemoryContext);

	bson_append_bool(options, "allowDiskUse", -1, true);
	bson_append_int32(options, "batchSize", -1, fetch_size);
	if (has_text(group->keys) || has_text(group->columns) || filter_needs_simple_collation(filter))
		match_append_simple_collation(options);
	return options;
}

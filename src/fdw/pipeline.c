/*
 * pipeline.c
 *	  A Grouping as MongoDB's aggregate command.
 *
 * One $group behind one $match.  Its fields are a letter and the number of a
 * column: l0 and h0 for the least and the greatest value, s0 for the sum, n0
 * for how many there are; c is the number of documents.  Where an aggregate has
 * a FILTER, the values of other documents are null.
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

/* "$path" */
static const char *
field(const GroupColumn *column)
{
	return psprintf("$%s", column->path);
}

/* Appends "_id". */
static void
append_keys(bson_t *stage, List *keys)
{
	bson_t		array;
	ListCell   *lc;

	if (keys == NIL)
		bson_append_null(stage, "_id", -1);
	else if (list_length(keys) == 1)
		bson_append_utf8(stage, "_id", -1, field(linitial(keys)), -1);
	else
	{
		bson_append_array_begin(stage, "_id", -1, &array);
		foreach(lc, keys)
		{
			char		buffer[16];
			const char *key;

			bson_uint32_to_string(foreach_current_index(lc), &key, buffer, sizeof(buffer));
			bson_append_utf8(&array, key, -1, field(lfirst(lc)), -1);
		}
		bson_append_array_end(stage, &array);
	}
}

/* Appends {operator: value} for a fact about a column. */
static void
append_fact(bson_t *stage, char letter, int number, const char *operator,
			const bson_value_t *value)
{
	bson_append_document(stage, psprintf("%c%d", letter, number), -1, match_value(operator, value));
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

/* Appends the facts about a column, which has the value in a document. */
static void
append_facts(bson_t *stage, const GroupColumn *column, int number, bson_value_t *value)
{
	bson_t	   *is_there;

	if (column->facts & FACT_LOW)
		append_fact(stage, 'l', number, "$min", value);
	if (column->facts & FACT_HIGH)
		append_fact(stage, 'h', number, "$max", value);
	if (column->facts & FACT_SUM)
		append_fact(stage, 's', number, "$sum", value);
	if (column->facts & FACT_COUNT)
	{
		is_there = match_values("$gt", list_make2(value, value_new(BSON_TYPE_NULL)));
		append_fact(stage, 'n', number, "$sum",
					value_if(is_there, value_integer(1), value_integer(0)));
	}
}

/* The pipeline on the documents that match. */
bson_t *
group_pipeline(const Grouping *group, bson_t *match, const FilterValue *values)
{
	bson_t	   *pipeline = owned_bson_new(CurrentMemoryContext);
	List	   *matches = list_make1(match);
	bson_t		stages;
	bson_t		stage;
	bson_t		fields;
	ListCell   *lc;

	foreach(lc, group->defined)
	{
		bson_t	   *defined = owned_bson_new(CurrentMemoryContext);

		BCON_APPEND(defined, strVal(lfirst(lc)), "{", "$not", "{", "$type", "undefined", "}", "}");
		matches = lappend(matches, defined);
	}
	match = match_all_of(matches);

	bson_append_array_begin(pipeline, "pipeline", -1, &stages);
	if (!bson_empty(match))
		BCON_APPEND(&stages, "0", "{", "$match", BCON_DOCUMENT(match), "}");
	bson_append_document_begin(&stages, bson_empty(match) ? "0" : "1", -1, &stage);
	bson_append_document_begin(&stage, "$group", -1, &fields);
	append_keys(&fields, group->keys);
	if (group->rows)
		BCON_APPEND(&fields, "c", "{", "$sum", BCON_INT32(1), "}");
	foreach(lc, group->columns)
		append_facts(&fields, lfirst(lc), foreach_current_index(lc),
					 column_value(group, lfirst(lc), values));
	bson_append_document_end(&stage, &fields);
	bson_append_document_end(&stages, &stage);
	bson_append_array_end(pipeline, &stages);
	return pipeline;
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
	bson_append_int32(options, "batchSize", -1, fetch_size > 0 ? fetch_size : DEFAULT_FETCH_SIZE);
	if (has_text(group->keys) || has_text(group->columns) ||
		(filter != NULL && filter_needs_simple_collation(filter)))
		BCON_APPEND(options, "collation", "{", "locale", "simple", "}");
	return options;
}

/*
 * facts.c
 *	  What $group returned to rows of PostgreSQL, where it proves them.
 *
 * MongoDB orders all values by type first: null, numbers (NaN below all
 * others), strings, objects, arrays, binaries (by length, then subtype),
 * ObjectIds, booleans, dates, ...  What lies between two values of a type is of
 * that type, and within every range that both are in.  $min and $max leave
 * null, missing and undefined out, as PostgreSQL does NULL.
 *
 * $sum adds ints, longs and doubles with some 106 bits, decimals with 34
 * digits; its result is of the widest type among the numbers, and a double
 * where a long overflows.  It leaves other types out.
 */
#include "postgres.h"
#include "compat.h"

#include <math.h>

#include "catalog/pg_type.h"
#include "fdw/facts.h"
#include "utils/fmgrprotos.h"
#include "utils/numeric.h"

static const char fact_letters[] = "lhsndr";

struct FactReader
{
	const Grouping *group;
	int			nkeys;
	ColumnFacts *keys;
	int			ncolumns;
	ColumnFacts *columns;
	Converter  *numeric;		/* of sums that are decimals */
	FmgrInfo   *ranges;			/* the operators of the group's */
	int64		rows;
};

/* Readers of the columns of a list. */
static ColumnFacts *
make_facts(List *columns)
{
	ColumnFacts *facts = palloc0(Max(list_length(columns), 1) * sizeof(ColumnFacts));
	ListCell   *lc;

	foreach(lc, columns)
	{
		ColumnFacts *one = &facts[foreach_current_index(lc)];

		one->column = lfirst(lc);
		/* Documents are counted.  None of the types is JSON. */
		if (*one->column->path != '\0')
			one->converter = converter_create(one->column->type, one->column->typmod, JSON_RELAXED,
											  false);
	}
	return facts;
}

/* A reader, with its converters. */
FactReader *
fact_reader_create(const Grouping *group)
{
	FactReader *reader = palloc0(sizeof(FactReader));
	ListCell   *lc;

	reader->group = group;
	reader->nkeys = list_length(group->keys);
	reader->keys = make_facts(group->keys);
	reader->ncolumns = list_length(group->columns);
	reader->columns = make_facts(group->columns);
	reader->numeric = converter_create(NUMERICOID, -1, JSON_RELAXED, false);
	reader->ranges = palloc0(Max(list_length(group->ranges), 1) * sizeof(FmgrInfo));
	foreach(lc, group->ranges)
		fmgr_info(((GroupRange *) lfirst(lc))->function,
				  &reader->ranges[foreach_current_index(lc)]);
	return reader;
}

/* Is it a UUID of the subtype that says in which order its bytes are? */
static bool
is_plain_uuid(const bson_iter_t *iter)
{
	bson_subtype_t subtype;
	uint32_t	length;
	const uint8_t *bytes;

	bson_iter_binary(iter, &subtype, &length, &bytes);
	return subtype == BSON_SUBTYPE_UUID && length == 16;
}

/* Is the numeric a whole number that is the same in every type of BSON? */
static bool
is_small_whole(Datum numeric)
{
	Datum		limit = NumericGetDatum(int64_to_numeric(WHOLE_LIMIT));
	Datum		lower = NumericGetDatum(int64_to_numeric(-WHOLE_LIMIT));

	return DatumGetBool(DirectFunctionCall2(numeric_lt, numeric, limit)) &&
		DatumGetBool(DirectFunctionCall2(numeric_gt, numeric, lower)) &&
		DatumGetBool(DirectFunctionCall2(numeric_eq, numeric,
										 DirectFunctionCall2(numeric_trunc, numeric,
															 Int32GetDatum(0))));
}

/* Is the value a number below the limit on either side? */
static bool
is_small(const bson_iter_t *iter)
{
	return BSON_ITER_HOLDS_NUMBER(iter) && fabs(bson_iter_as_double(iter)) < WHOLE_LIMIT;
}

/*
 * Are the documents whose key is equal to this one, to MongoDB, those whose
 * column is equal?  The key has been decoded, so that each of them can be:
 * equal numbers decode to equal ones, but for doubles in numeric, which
 * are decimal fractions there; so those must be whole.
 */
static bool
key_is_plain(FilterForm form, const bson_iter_t *iter, Datum key)
{
	switch (form)
	{
		case FORM_TEXT:
			/* No number, ObjectId, ..., which is equal to its text here. */
			return BSON_ITER_HOLDS_UTF8(iter);
		case FORM_UUID:
			return is_plain_uuid(iter);
		case FORM_FLOAT8:
			return BSON_ITER_HOLDS_INT32(iter) ||
				(BSON_ITER_HOLDS_DOUBLE(iter) && !isnan(DatumGetFloat8(key)));
		case FORM_NUMERIC:
			return is_small_whole(key);
		default:
			return true;
	}
}

/* Does a least or greatest value say what it should of those in between? */
static bool
extreme_is_plain(const GroupColumn *column, const bson_iter_t *iter, Datum value)
{
	switch (column->form)
	{
		case FORM_TEXT:
			return BSON_ITER_HOLDS_UTF8(iter);
		case FORM_UUID:
			return is_plain_uuid(iter);
		case FORM_TIMESTAMP:
		case FORM_TIMESTAMPTZ:
			return !column->calendar || group_date_is_plain(bson_iter_date_time(iter));
		case FORM_FLOAT8:

			/*
			 * NaN is lowest there; large longs are equal to us, but not
			 * there.
			 */
			return (!column->ordered || !isnan(DatumGetFloat8(value))) &&
				(!column->distinct || is_small(iter));
		default:
			return true;
	}
}

/* Decodes a key or extreme. */
static void
read_value(ColumnFacts *facts, Fact *fact, const bson_iter_t *iter, bool is_key)
{
	const GroupColumn *column = facts->column;

	fact->type = bson_iter_type(iter);
	fact->plain = fact->type == BSON_TYPE_NULL;
	fact->small = is_small(iter);
	/* Undefined is no extreme, and as a key it is a group beside null. */
	if (fact->type == BSON_TYPE_NULL || fact->type == BSON_TYPE_UNDEFINED ||
		facts->converter->convert(facts->converter, iter, &fact->value) != CONVERT_OK)
		return;
	fact->plain = is_key ? key_is_plain(column->form, iter, fact->value) :
		extreme_is_plain(column, iter, fact->value);
}

/* Reads the keys; false when they are not what was asked for. */
static bool
read_keys(FactReader *reader, const bson_iter_t *id)
{
	bson_iter_t iter = *id;

	if (reader->nkeys > 1 && (!BSON_ITER_HOLDS_ARRAY(id) || !bson_iter_recurse(id, &iter)))
		return false;
	for (int i = 0; i < reader->nkeys; i++)
	{
		if (reader->nkeys > 1 && !bson_iter_next(&iter))
			return false;
		read_value(&reader->keys[i], &reader->keys[i].facts[LOW], &iter, true);
	}
	return true;
}

/* Reads a fact that is a number: a sum, or how many. */
static void
read_number(FactReader *reader, Fact *fact, const bson_iter_t *iter)
{
	fact->type = bson_iter_type(iter);
	if (fact->type == BSON_TYPE_DECIMAL128)
	{
		if (reader->numeric->convert(reader->numeric, iter, &fact->value) != CONVERT_OK)
			fact->type = BSON_TYPE_EOD;
	}
	else if (fact->type == BSON_TYPE_DOUBLE)
		fact->real = bson_iter_double(iter);
	else
		fact->number = bson_iter_as_int64(iter);
}

/* Puts the keys and facts of a document where they belong. */
static bool
read_document(FactReader *reader, const bson_t *document)
{
	bson_iter_t iter;

	if (!bson_iter_init(&iter, document))
		return false;
	while (bson_iter_next(&iter))
	{
		const char *name = bson_iter_key(&iter);
		const char *letter = *name == '\0' ? NULL : strchr(fact_letters, *name);
		int			column = letter == NULL ? -1 : atoi(name + 1);
		Fact	   *fact;

		if (*name == '_')
		{
			if (!read_keys(reader, &iter))
				return false;
		}
		else if (*name == 'c')
			reader->rows = bson_iter_as_int64(&iter);
		else if (column >= 0 && column < reader->ncolumns)
		{
			fact = &reader->columns[column].facts[letter - fact_letters];
			if (letter - fact_letters <= HIGH)
				read_value(&reader->columns[column], fact, &iter, false);
			else
				read_number(reader, fact, &iter);
		}
	}
	return true;
}

/* Has the column values?  Asked where the least one is known. */
static bool
has_values(const ColumnFacts *facts)
{
	return facts->facts[LOW].type != BSON_TYPE_NULL;
}

/*
 * Can all values of the column be decoded, and is their order ours, where that
 * matters?
 */
static bool
column_is_provable(const ColumnFacts *facts)
{
	const GroupColumn *column = facts->column;
	bson_type_t sum = facts->facts[SUM].type;

	/* It is counted where a FILTER is true; as a whole it is another column. */
	if ((column->facts & FACT_LOW) == 0)
		return true;
	if (!facts->facts[LOW].plain || !facts->facts[HIGH].plain)
		return false;
	if (!has_values(facts))
		return true;
	switch (column->form)
	{
		case FORM_INTEGER:
			/* Whole ones only, and the sum is theirs. */
			return sum == BSON_TYPE_INT32 || sum == BSON_TYPE_INT64;
		case FORM_FLOAT8:
			/* Decimals may be beyond its range. */
			return sum != BSON_TYPE_DECIMAL128;
		case FORM_NUMERIC:
			return facts->facts[INEXACT].number == 0 &&
				(!column->ordered || numeric_order_is_ours(facts)) &&
				(!column->distinct || numeric_equality_is_ours(facts));
		default:
			return true;
	}
}

/*
 * Are the least and the greatest value within the ranges that the conditions
 * ask for?  Then those in between are.
 */
static bool
ranges_hold(FactReader *reader, const FilterValue *comparands)
{
	ListCell   *lc;

	foreach(lc, reader->group->ranges)
	{
		GroupRange *range = lfirst(lc);
		FmgrInfo   *operator = &reader->ranges[foreach_current_index(lc)];
		ColumnFacts *facts = &reader->columns[range->column];
		Datum		comparand = comparands[range->comparand].value;

		/*
		 * Nothing is in the range of a FILTER; in that of the query,
		 * something is.
		 */
		if (!has_values(facts) && facts->column->condition != EVERY_DOCUMENT)
			continue;
		if (!has_values(facts) ||
			!DatumGetBool(FunctionCall2(operator, facts->facts[LOW].value, comparand)) ||
			!DatumGetBool(FunctionCall2(operator, facts->facts[HIGH].value, comparand)))
			return false;
	}
	return true;
}

/*
 * Had $sum enough bits for all sums of integers on the way?  integer and
 * smallint never come near.
 */
static bool
sum_is_exact(const FactReader *reader, const ColumnFacts *facts)
{
	double		rows = reader->rows;
	double		low;
	double		high;

	if (facts->column->type != INT8OID)
		return true;
	low = DatumGetInt64(facts->facts[LOW].value);
	high = DatumGetInt64(facts->facts[HIGH].value);
	return rows * rows * Max(fabs(low), fabs(high)) < SUM_LIMIT;
}

/* The sum as a numeric; false when it may not be exact. */
static bool
read_sum(const FactReader *reader, const ColumnFacts *facts, Datum *sum)
{
	if (facts->column->form == FORM_NUMERIC)
		return numeric_exact_sum(facts, reader->rows, sum);
	*sum = NumericGetDatum(int64_to_numeric(facts->facts[SUM].number));
	return sum_is_exact(reader, facts);
}

/* An aggregate's value from the facts; false when it may not be exact. */
static bool
read_aggregate(const FactReader *reader, const GroupAggregate *aggregate, Datum *value,
			   bool *isnull)
{
	const ColumnFacts *facts = &reader->columns[aggregate->column];
	Datum		sum;

	*isnull = aggregate->kind != AGGREGATE_COUNT_ROWS && aggregate->kind != AGGREGATE_COUNT &&
		!has_values(facts);
	if (*isnull)
		return true;
	switch (aggregate->kind)
	{
		case AGGREGATE_COUNT_ROWS:
			*value = Int64GetDatum(reader->rows);
			return true;
		case AGGREGATE_COUNT:
			*value = Int64GetDatum(facts->facts[COUNT].number);
			return true;
		case AGGREGATE_MIN:
			*value = facts->facts[LOW].value;
			return true;
		case AGGREGATE_MAX:
			*value = facts->facts[HIGH].value;
			return true;
		case AGGREGATE_SUM:
			if (!read_sum(reader, facts, &sum))
				return false;
			*value = facts->column->form == FORM_NUMERIC || facts->column->type == INT8OID ? sum :
				Int64GetDatum(facts->facts[SUM].number);
			return true;
		case AGGREGATE_AVG:
			if (!read_sum(reader, facts, &sum))
				return false;
			/* As PostgreSQL has it from sum and count. */
			*value = DirectFunctionCall2(numeric_div, sum,
										 NumericGetDatum(int64_to_numeric(facts->facts[COUNT].number)));
			return true;
	}
	pg_unreachable();
}

/* Forgets the last document. */
static void
forget_facts(ColumnFacts *facts, int count)
{
	for (int i = 0; i < count; i++)
		memset(facts[i].facts, 0, sizeof(facts[i].facts));
}

/* Makes a row of what $group returned, or finds that it proves nothing. */
bool
fact_reader_read(FactReader *reader, const bson_t *document, const FilterValue *comparands,
				 Datum *values, bool *nulls)
{
	ListCell   *lc;

	forget_facts(reader->keys, reader->nkeys);
	forget_facts(reader->columns, reader->ncolumns);
	if (!read_document(reader, document))
		return false;
	for (int i = 0; i < reader->nkeys; i++)
	{
		Fact	   *key = &reader->keys[i].facts[LOW];

		if (!key->plain)
			return false;
		values[i] = key->value;
		nulls[i] = key->type == BSON_TYPE_NULL;
	}
	for (int i = 0; i < reader->ncolumns; i++)
	{
		if (!column_is_provable(&reader->columns[i]))
			return false;
	}
	if (!ranges_hold(reader, comparands))
		return false;
	foreach(lc, reader->group->aggregates)
	{
		int			position = reader->nkeys + foreach_current_index(lc);

		if (!read_aggregate(reader, lfirst(lc), &values[position], &nulls[position]))
			return false;
	}
	return true;
}

/* The row of no documents at all, without GROUP BY. */
void
fact_reader_nothing(const FactReader *reader, Datum *values, bool *nulls)
{
	ListCell   *lc;

	foreach(lc, reader->group->aggregates)
	{
		AggregateKind kind = ((GroupAggregate *) lfirst(lc))->kind;
		int			position = foreach_current_index(lc);

		nulls[position] = kind != AGGREGATE_COUNT_ROWS && kind != AGGREGATE_COUNT;
		values[position] = Int64GetDatum(0);
	}
}

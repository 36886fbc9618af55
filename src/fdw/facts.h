/*
 * facts.h
 *	  What $group told about the columns of a group, for facts.c and facts_numeric.c.
 */
#ifndef MM_FACTS_H
#define MM_FACTS_H

#include "bson/convert.h"
#include "fdw/group.h"

/* Facts by the positions of their bits. */
enum
{
	LOW,
	HIGH,
	SUM,
	COUNT,
	DOUBLES,
	INEXACT
};

typedef struct Fact
{
	bson_type_t type;			/* BSON_TYPE_EOD: not there */
	Datum		value;			/* of LOW and HIGH, and of keys; of SUM, where
								 * it is a decimal */
	bool		plain;			/* it was decoded, and is no odd one */
	bool		small;			/* below 2^53, and no decimal */
	int64		number;			/* of the others */
	double		real;			/* of SUM, where it is a double */
} Fact;

typedef struct ColumnFacts
{
	const GroupColumn *column;
	Converter  *converter;
	Fact		facts[FACTS];	/* in one document; of a key, LOW */
} ColumnFacts;

/* Whole numbers below 2^53 are the same in every type of BSON, and in their shortest form. */
#define WHOLE_LIMIT (INT64CONST(1) << 53)

/* Rows times the largest value, times rows: below this the bits of $sum suffice. */
#define SUM_LIMIT 20282409603651670423947251286016.0	/* 2^104 */

/* facts_numeric.c: all of a numeric column that has values, whose extremes are decoded. */

/* Are the values in MongoDB's order in ours?  Are those that are equal there, and no others, equal here? */
extern bool numeric_order_is_ours(const ColumnFacts *facts);
extern bool numeric_equality_is_ours(const ColumnFacts *facts);

/* The sum of up to so many values; false when it may not be exact. */
extern bool numeric_exact_sum(const ColumnFacts *facts, int64 rows, Datum *sum);

#endif							/* MM_FACTS_H */

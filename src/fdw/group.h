/*
 * group.h
 *	  Aggregates and groups of a foreign table as MongoDB makes them.
 *
 * A Grouping is what a plan carries: group.c makes it out of a query, or says that
 * it cannot be; pipeline.c turns it into an aggregate command; facts.c makes
 * rows of what that returns, or finds that only PostgreSQL can.  The head of
 * group.c has the contract.
 */
#ifndef MM_GROUP_H
#define MM_GROUP_H

#include "fdw/filter.h"
#include "nodes/pathnodes.h"

/* What $group finds out about a column's values in a group; a set. */
#define FACT_LOW	0x01		/* the least, null where there are none */
#define FACT_HIGH	0x02		/* the greatest */
#define FACT_SUM	0x04		/* the sum of those that are numbers */
#define FACT_COUNT	0x08		/* how many are not null */
#define FACT_DOUBLES	0x10	/* how many are doubles */
#define FACT_INEXACT	0x20	/* how many numbers have more digits after the
								 * point than numeric(p,s) */
#define FACTS		6

/* Of which documents a column is, if not of those that a FILTER takes. */
#define EVERY_DOCUMENT	(-1)
#define EACH_VALUE		(-2)	/* one for each value that is not null:
								 * DISTINCT */

typedef struct GroupColumn
{
	char	   *path;			/* as "$path" names it; "" for the documents
								 * themselves, which are only counted */
	Oid			type;			/* no domain */
	int32		typmod;
	FilterForm	form;			/* of the type */
	int			facts;			/* of columns, not of keys */
	int			condition;		/* index: of the documents that FILTER takes;
								 * or one of the above */
	bool		ordered;		/* MongoDB's order of the values must be ours */
	bool		distinct;		/* and what is equal there must be equal here */
	bool		summed;			/* a sum of the values must be exact */
	bool		calendar;		/* dates must be of the years 1 to 9999 */

	/* of keys that are computed from the field, and then have the type above */
	const char *operator;		/* of MongoDB; "" for the field itself */
	const char *unit;			/* of $dateTrunc, else "" */
} GroupColumn;

typedef enum AggregateKind
{
	AGGREGATE_COUNT_ROWS,
	AGGREGATE_COUNT,
	AGGREGATE_MIN,
	AGGREGATE_MAX,
	AGGREGATE_SUM,
	AGGREGATE_AVG
} AggregateKind;

typedef struct GroupAggregate
{
	AggregateKind kind;
	int			column;			/* index; not of COUNT_ROWS */
} GroupAggregate;

/* A condition of which MongoDB knows only a superset: <column> operator <comparand>, a range. */
typedef struct GroupRange
{
	int			column;			/* index */
	Oid			function;		/* the operator's */
	int			comparand;		/* index */
} GroupRange;

typedef struct Grouping
{
	List	   *keys;			/* GroupColumns, in the order of the row; none
								 * for one row, of nothing too */
	List	   *aggregates;		/* GroupAggregates, which follow them */
	List	   *columns;		/* GroupColumns that aggregates or conditions
								 * look at */
	List	   *conditions;		/* Filters: of aggregates' FILTERs */
	List	   *ranges;			/* GroupRanges */
	List	   *defined;		/* paths, strings: not undefined */
	bool		rows;			/* is the number of documents needed? */
	bool		utc;			/* keys depend on that the session's times are
								 * UTC */
} Grouping;

/* group.c */

/* What a query's upper relation is made from. */
typedef struct GroupQuery
{
	PlannerInfo *root;
	RelOptInfo *rel;			/* the foreign table's */
	List	   *clauses;		/* SortGroupClauses: of GROUP BY, or DISTINCT */
	PathTarget *target;			/* what the upper relation returns */
	List	   *having;			/* conditions on that */
	List	   *filters;		/* for us: expressions of FILTERs, by the
								 * index of the condition */

	/* results */
	Grouping   *group;
	Filter	   *filter;
	List	   *comparands;		/* of the filter and of conditions */
	PathTarget *row;			/* the keys and aggregates, in the row's order */
	List	   *plain_keys;		/* expressions: of keys that are columns */
	double		computed;		/* how many groups the other keys make, each
								 * of those */
} GroupQuery;

/* Fills in the results; false when MongoDB cannot do it exactly. */
extern bool group_from_query(GroupQuery *query);

/* groupkey.c */

/* How a key is computed. */
typedef struct GroupKey
{
	const char *operator;
	const char *unit;
	bool		utc;			/* if the session's times are UTC */
	double		groups;			/* how many there may be */
} GroupKey;

/* What a key is computed from, or NULL; fills in how. */
extern Node *group_key_argument(Node *node, GroupKey *key);

/* Are the session's times UTC? */
extern bool group_session_is_utc(void);

/* Milliseconds of the first date whose calendar is the same in both worlds, and of the first after these. */
#define FIRST_PLAIN_DATE	(-INT64CONST(62135596800000))
#define LAST_PLAIN_DATE		INT64CONST(253402300800000)

extern bool group_date_is_plain(int64 milliseconds);

/* The expression for a key. */
extern bson_value_t *group_key_value(const GroupColumn *key);

/* grouping.c */

/*
 * The digits after the point of a column of numeric(p,s) whose values are the
 * same in a decimal and in the nearest double: fifteen digits.  -1 for any other.
 */
extern int	group_column_scale(const GroupColumn *column);

/* The column of which each value is taken once, or NULL. */
extern GroupColumn *group_each_value(const Grouping *group);

/* A Grouping as a list that a plan can carry, and back. */
extern List *group_save(const Grouping *group);
extern Grouping *group_load(List *saved);

/* pipeline.c */

/*
 * The pipeline on the documents that match; owned by the current memory
 * context.  The values are those of the comparands.
 */
extern bson_t *group_pipeline(const Grouping *group, bson_t *match, const FilterValue *values);

/*
 * A pipeline that finds a document among the first ones for which that proves
 * nothing, as far as that is usual; or NULL.
 */
extern bson_t *group_probe(const Grouping *group, const bson_t *match);

/* Its options. */
extern bson_t *group_options(const Grouping *group, const Filter *filter, int fetch_size);

/* facts.c */

typedef struct FactReader FactReader;

/* Owned by the current memory context. */
extern FactReader *fact_reader_create(const Grouping *group);

/*
 * Makes a row of what $group returned, in the current memory context.  False
 * when it does not prove that every document could be decoded, and that the
 * result is PostgreSQL's.  comparands are the filter's, and known.
 */
extern bool fact_reader_read(FactReader *reader, const bson_t *document,
							 const FilterValue *comparands, Datum *values, bool *nulls);

/* The row of no documents at all, without GROUP BY. */
extern void fact_reader_nothing(const FactReader *reader, Datum *values, bool *nulls);

#endif							/* MM_GROUP_H */

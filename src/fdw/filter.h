/*
 * filter.h
 *	  Conditions of a query as MongoDB evaluates them.
 *
 * shippable.c turns an expression into a Filter, or says that it cannot be;
 * deparse.c turns a Filter and the values of its comparands into a match
 * document.  The head of deparse.c has the contract.
 */
#ifndef MM_FILTER_H
#define MM_FILTER_H

#include "access/stratnum.h"
#include "mongo/options.h"
#include "nodes/execnodes.h"
#include "nodes/pathnodes.h"

/* What a column's type is for comparisons. */
typedef enum FilterForm
{
	FORM_NONE,					/* not comparable by MongoDB */
	FORM_BOOLEAN,
	FORM_INTEGER,
	FORM_NUMERIC,
	FORM_FLOAT4,
	FORM_FLOAT8,
	FORM_TEXT,
	FORM_OBJECTID,
	FORM_UUID,
	FORM_DATE,
	FORM_TIMESTAMP,
	FORM_TIMESTAMPTZ,

	/* Expressions of one column; the path is the column's. */
	FORM_OBJECTID_TEXT,			/* column::text, of an ObjectId */
	FORM_OBJECTID_TIME,			/* objectid_timestamp(column) */

	/* A jsonb column, or what is in it; the path is that of the field. */
	FORM_JSON,					/* column, column -> 'a' */
	FORM_JSON_TEXT				/* column ->> 'a' */
} FilterForm;

typedef enum FilterKind
{
	FILTER_AND,
	FILTER_OR,
	FILTER_COMPARE,				/* column <operator> comparand */
	FILTER_ANY,					/* column = ANY (comparand) */
	FILTER_ALL,					/* column <> ALL (comparand) */
	FILTER_PATTERN,				/* column LIKE comparand, and the like */
	FILTER_NULL,
	FILTER_NOT_NULL,

	/* Of an array column; the form is that of its elements. */
	FILTER_ELEMENT,				/* comparand = ANY (column) */
	FILTER_NO_ELEMENT,			/* comparand <> ALL (column) */
	FILTER_OVERLAPS,			/* column && comparand */
	FILTER_CONTAINS,			/* column @> comparand; of jsonb too, and =
								 * there */
	FILTER_SAME_ELEMENTS,		/* column = comparand */

	/* Of jsonb. */
	FILTER_KEY,					/* column ? comparand */
	FILTER_ANY_KEY,				/* column ?| comparand */
	FILTER_ALL_KEYS				/* column ?& comparand */
} FilterKind;

/* Operators are btree strategies, and one more. */
#define STRATEGY_NOT_EQUAL	(BTMaxStrategyNumber + 1)

/* How a comparand of PATTERN is to be read. */
typedef enum PatternKind
{
	PATTERN_LIKE,
	PATTERN_ILIKE,
	PATTERN_PREFIX,				/* ^@ and starts_with() */
	PATTERN_REGEX,				/* ~ */
	PATTERN_IREGEX				/* ~* */
} PatternKind;

typedef struct Filter
{
	FilterKind	kind;
	List	   *arms;			/* of AND and OR: Filters */
	char	   *path;			/* of the others: the path of a column or
								 * below one, "" for the whole document ... */
	FilterForm	form;			/* ... and form */
	int			strategy;		/* of COMPARE; of PATTERN, a PatternKind */
	bool		negated;		/* of PATTERN: NOT LIKE, and the like */
	Oid			collation;		/* of PATTERN */
	JsonMode	json_mode;		/* of what is in jsonb: how it writes values */
	Oid			cast_type;		/* of text in jsonb that is cast to a number:
								 * its type, of which the form is; else 0 */
	int			comparand;		/* of those that have one: its index */
	Oid			comparand_type; /* its type; of an array, its elements' */

	/* not carried by a plan */
	bool		exact;			/* else what MongoDB returns is checked */
	bool		partial;		/* of AND: arms were left out */
} Filter;

/* A comparand's value; not known in an EXPLAIN without execution. */
typedef struct FilterValue
{
	bool		known;
	bool		isnull;
	Datum		value;
	int			number;			/* of its placeholder, when it is not known */
} FilterValue;

/* shippable_operand.c */

/* What a base type is for comparisons. */
extern FilterForm filter_type_form(Oid type);

/* An expression without the casts that leave its value as it is. */
extern Node *filter_strip_casts(Node *node);

/* The column of the relation that an expression is, or NULL. */
extern Var *filter_column(RelOptInfo *rel, Node *node);

/* The path that an expression of a column is about, as a filter has it, or NULL. */
extern const char *filter_operand_path(PlannerInfo *root, RelOptInfo *rel, Node *node);

/* shippable.c */

/*
 * The filter for a clause over the given base relation, or NULL when the
 * clause is for PostgreSQL alone.  Expressions that it compares with are
 * appended to *comparands; each is to be evaluated once a scan.
 */
extern Filter *filter_from_clause(PlannerInfo *root, RelOptInfo *rel, Expr *clause,
								  List **comparands);

/*
 * The filter for all of the RestrictInfos that it can be made for; NULL for none.
 * The clauses that it is exact for are added to *exact, the others to *local.
 */
extern Filter *filter_from_clauses(PlannerInfo *root, RelOptInfo *rel, List *clauses,
								   List **comparands, List **exact, List **local);

/* filter.c */

/* The filter that all of the given ones make together; NULL for an empty list. */
extern Filter *filter_all_of(List *filters);

/* Does it leave its column one value, or none, or some strings that are valid? */
extern bool filter_pins(const Filter *filter);

/*
 * Is it exact for documents whose columns are known to decode, and in which
 * undefined does not stand where a value must?
 */
extern bool filter_is_exact_of_decoded(const Filter *filter);

/* How the filter of a clause, which is no AND, bounds the values of a path, and so of an index on it. */
typedef enum FilterBounds
{
	BOUNDS_NONE,
	BOUNDS_RANGE,
	BOUNDS_POINTS,				/* one of some values */
	BOUNDS_POINT				/* one value */
} FilterBounds;

extern FilterBounds filter_bounds(const Filter *filter, const char *path);

/* A filter as a list that a plan can carry, and back; NIL and NULL for none. */
extern List *filter_save(const Filter *filter);
extern Filter *filter_load(List *saved);

/* The values of comparands that are constants, and numbers for the others; palloc'd. */
extern FilterValue *filter_values_known(List *comparands);

/* Evaluates comparands (ExprStates), from one index up to another, in the current memory context. */
extern void filter_values_evaluate(FilterValue *values, List *comparands, int first, int end,
								   ExprContext *econtext);

/* deparse.c */

/*
 * The match document of a filter (NULL: every document), owned by the current
 * memory context; NULL when no document can match.  Comparands that are not
 * known appear as "$1", "$2", ...
 */
extern bson_t *filter_to_bson(const Filter *filter, const FilterValue *values);

/* True when strings must be compared byte by byte, whatever the collection's collation; not for NULL. */
extern bool filter_needs_simple_collation(const Filter *filter);

#endif							/* MM_FILTER_H */

/*
 * join.h
 *	  Joins of two foreign tables as MongoDB makes them.
 *
 * An FdwJoin is what a plan carries: join.c makes it out of a query, or says that it
 * cannot be; join_path.c plans with it; lookup.c turns it into an aggregate
 * command; joinscan.c makes rows of what that returns.  The head of join.c has
 * the contract.
 */
#ifndef MM_JOIN_H
#define MM_JOIN_H

#include "fdw/filter.h"
#include "fdw/sort.h"
#include "foreign/fdwapi.h"
#include "mongo/options.h"

/* How the value of the outer table's column becomes what the inner one's is looked up by. */
typedef enum JoinKeyKind
{
	KEY_SAME,					/* as it is, if it is of the form */
	KEY_TEXT_OF_OBJECTID,		/* text = objectid::text: as an ObjectId */
	KEY_OBJECTID_AS_TEXT,		/* objectid::text = text: as both */

	/* Types whose equal values may differ in MongoDB, and rarely do. */
	KEY_TEXT,					/* a string, as it is */
	KEY_UUID					/* a UUID of subtype 4, as it is */
} JoinKeyKind;

/* Has the join rows of outer documents without a match? */
#define JOIN_KEEPS_UNMATCHED(join) ((join)->type == JOIN_LEFT || (join)->type == JOIN_ANTI)

/* Are there values for which MongoDB must be asked by a find? */
#define KEY_ASKS(key) ((key)->kind >= KEY_TEXT)

typedef struct JoinKey
{
	JoinKeyKind kind;
	FilterForm	form;			/* of KEY_SAME */
	char	   *local;			/* path in the outer table's documents */
	char	   *foreign;		/* path in the inner one's */
} JoinKey;

typedef struct JoinSide
{
	Oid			relid;
	Filter	   *filter;			/* NULL: every document */
	List	   *columns;		/* attribute numbers to decode, ascending */
} JoinSide;

typedef struct FdwJoin
{
	JoinType	type;			/* INNER, LEFT, SEMI or ANTI */
	JoinSide	outer;
	JoinSide	inner;
	JoinKey		key;
	bool		one;			/* the first match tells all there is to know */
	Filter	   *asked;			/* of KEY_ASKS, the find for one outer row:
								 * its comparand, the last, is of that row */
	Sorting    *sorting;		/* of the outer table; NULL: in any order */
	int			rows;			/* about as many are wanted; 0: all */
	bool		swapped;		/* the inner table comes first in the query */
} FdwJoin;

/* join.c */

/* What a join is made from. */
typedef struct JoinQuery
{
	PlannerInfo *root;
	RelOptInfo *joinrel;
	RelOptInfo *outer;
	RelOptInfo *inner;
	List	   *clauses;		/* RestrictInfos */

	/* results */
	FdwJoin    *join;
	RestrictInfo *key;			/* the clause of the join's key */
	List	   *indexes;		/* CollectionIndexes of the inner table */
	List	   *comparands;		/* of the filters */
	List	   *asked;			/* of join->asked alone */
	List	   *matching;		/* conditions of a match: expressions ... */
	List	   *local;			/* ... and of the join's rows */
	List	   *row;			/* Vars: the columns, the outer table's first */
} JoinQuery;

/* Fills in the results; false when MongoDB is not to do it. */
extern bool join_from_query(JoinQuery *query, JoinType type);

/* An FdwJoin as a list that a plan can carry, and back. */
extern List *join_save(const FdwJoin *join);
extern FdwJoin *join_load(List *saved);

/* lookup.c */

/* Fields of what the pipeline returns. */
#define LOOKUP_OUTER	"o"		/* the outer table's document */
#define LOOKUP_INNER	"i"		/* the inner one's, if there is a match */
#define LOOKUP_NUMBER	"n"		/* of the match, from 0 */
#define LOOKUP_ASK		"a"		/* true: the matches must be asked for */

/*
 * What matches the inner table's documents that a look-up by a key may miss,
 * where KEY_ASKS.
 */
extern bson_t *lookup_missed(const JoinKey *key);

/*
 * The pipeline on the outer table's collection, owned by the current memory
 * context; paths are what is needed of the documents.  With ask_all, the matches
 * of all documents are left to be asked for.
 */
extern bson_t *lookup_pipeline(const FdwJoin *join, bson_t *outer_match, bson_t *inner_match,
							   List *outer_paths, List *inner_paths,
							   const MongoTableOptions *inner, bool ask_all);

/* Its options. */
extern bson_t *lookup_options(const FdwJoin *join, int fetch_size);

#endif							/* MM_JOIN_H */

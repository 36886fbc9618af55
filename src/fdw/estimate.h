/*
 * estimate.h
 *	  What MongoDB is asked for the planner's sake.
 *
 * A plan must neither cost a round trip each time nor fail because the server
 * is down: answers are remembered for a minute, but for counts, and no answer is not an
 * error.
 */
#ifndef MM_ESTIMATE_H
#define MM_ESTIMATE_H

#include "mongo/connection.h"
#include "nodes/pg_list.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

/* How long an answer is believed, in milliseconds. */
#define ESTIMATE_AGE 60000

/* estimate.c */

/* What is remembered of a foreign table begins with this. */
typedef struct Remembered
{
	Oid			relid;			/* hash key, must be first */
	TimestampTz taken_at;		/* 0: no longer to be believed */
} Remembered;

/*
 * A hash table of entries that begin with Remembered, for the session.  They are
 * no longer believed when the options of their table, or of any server or user
 * mapping, may have changed.
 */
extern HTAB *estimate_memory_create(const char *name, Size entry_size);

/* Changes so far; what was asked for before one is not to be believed for longer. */
extern uint64 estimate_invalidations(void);

/* Is an entry still to be believed? */
extern bool estimate_is_fresh(const Remembered *entry, TimestampTz now);

/*
 * The number of documents in a foreign table's collection as the server's
 * metadata has it, and their total size in bytes; remembered unless fresh ones
 * are wanted.  False when the server cannot say: it is down, or the collection
 * is a view.
 */
extern bool estimate_collection(Oid relid, Oid userid, bool fresh,
								double *documents, double *bytes);

/*
 * How many of so many documents match, by a count of a few thousand or, if
 * they are many and no index helps, by a sample.  False when the server does not say.
 */
extern bool estimate_matches(Oid relid, Oid userid, const bson_t *match, bool simple_collation,
							 bool indexed, double documents, double *matches);

/* A connection, or NULL when there is nobody to connect to. */
extern MongoConnection *estimate_connect(Oid relid, Oid userid);

/*
 * The reply to a command, owned by the current memory context; NULL, with error
 * filled, for none.  Throws only for an interrupt.
 */
extern const bson_t *estimate_ask(MongoConnection *connection, const bson_t *command,
								  bson_error_t *error);

/* Puts iter before the first document of a cursor's reply, which may be NULL; false where there is none. */
extern bool estimate_first_batch(const bson_t *reply, bson_iter_t *iter);

/* How MongoDB makes joins. */
typedef enum JoinSupport
{
	JOINS_NOT_AT_ALL,			/* or that is not known */
	JOINS_IN_PIECES,			/* several shards may, and return what they
								 * have in any order */
	JOINS_IN_ORDER				/* all matches of a document one after the
								 * other */
} JoinSupport;

/* What the server of a table can do, by its version. */
typedef struct ServerSupport
{
	JoinSupport joins;
	bool		date_trunc;		/* $dateTrunc, for groups */
} ServerSupport;

extern ServerSupport estimate_server_support(Oid relid, Oid userid);

/* indexes.c */

/* An index that serves comparisons of its first fields. */
typedef struct CollectionIndex
{
	List	   *fields;			/* paths: those before a text or geographical
								 * one */
	bool		whole;			/* are these all? */
	bool		unique;
	bool		hashed;			/* for equality alone */
	bool		collated;		/* not for strings byte by byte */
} CollectionIndex;

/* The index that every collection has. */
extern CollectionIndex *index_of_id(void);

/* The indexes of a foreign table's collection that every query can use; copied. */
extern List *estimate_indexes(Oid relid, Oid userid);

#endif							/* MM_ESTIMATE_H */

/*
 * collections.h
 *	  The collections of a server's database.
 */
#ifndef MM_COLLECTIONS_H
#define MM_COLLECTIONS_H

#include "mongo/connection.h"
#include "nodes/pg_list.h"

typedef struct CollectionInfo
{
	char	   *name;			/* in the database's encoding, as in all
								 * functions here */
	char	   *kind;			/* collection, view or timeseries */
} CollectionInfo;

/* A field with a unique index of its own. */
typedef struct UniqueKey
{
	char	   *field;			/* in UTF-8 */
	bson_t	   *index;			/* the index's key, as a hint takes it, unless */
	bool		hidden;			/* from MongoDB's queries */
} UniqueKey;

/*
 * CollectionInfos in order of name, system collections left out; palloc'd.
 * *unnamed: how many are not in it since the database's encoding lacks their names.
 */
extern List *collections_list(MongoConnection *connection, int *unnamed);

/* The kind of a collection; throws, with near names, when there is none. */
extern const char *collection_require(MongoConnection *connection, const char *name);

/*
 * UniqueKeys of a collection (not of a view), _id included; palloc'd, their
 * indexes owned by the current context.  Indexes with a filter or a collation
 * of their own do not count.
 */
extern List *collection_unique_keys(MongoConnection *connection, const char *name);

/* The number of documents of a collection or view, as MongoDB counts without a query. */
extern int64 collection_count(MongoConnection *connection, const char *name);

#endif							/* MM_COLLECTIONS_H */

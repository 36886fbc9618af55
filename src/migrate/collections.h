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
	char	   *name;
	char	   *kind;			/* collection, view or timeseries */
} CollectionInfo;

/* CollectionInfos in order of name, system collections left out; palloc'd. */
extern List *collections_list(MongoConnection *connection);

/* The kind of a collection; throws, with near names, when there is none. */
extern const char *collection_require(MongoConnection *connection, const char *name);

#endif							/* MM_COLLECTIONS_H */

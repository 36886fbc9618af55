/*
 * compat.h
 *	  The only place that tests PG_VERSION_NUM or the version of libmongoc.
 *
 * Every source file of the extension includes this header right after
 * postgres.h.  A shim names the upstream change that it stands for.
 */
#ifndef MM_COMPAT_H
#define MM_COMPAT_H

#include <bson/bson.h>
#include <mongoc/mongoc.h>

#if PG_VERSION_NUM < 150000
#error "mongo_migrate needs PostgreSQL 15 or later"
#endif

#if !MONGOC_CHECK_VERSION(1, 23, 0)
#error "mongo_migrate needs libmongoc 1.23 or later"
#endif

#endif							/* MM_COMPAT_H */

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

/* PostgreSQL 18 has pg_noreturn, before a declaration, and no pg_attribute_noreturn(). */
#ifndef pg_noreturn
#define pg_noreturn pg_attribute_noreturn()
#endif

/* PostgreSQL 18 (commit 3eea7a0c97e) took the argument run_once away. */
#if PG_VERSION_NUM >= 180000
#define MM_PORTAL_RUN(portal, receiver, completion) \
	PortalRun(portal, FETCH_ALL, true, receiver, receiver, completion)
#else
#define MM_PORTAL_RUN(portal, receiver, completion) \
	PortalRun(portal, FETCH_ALL, true, true, receiver, receiver, completion)
#endif

/* PostgreSQL 17 (commit e7689190b3d) lets a worker be a role without LOGIN. */
#if PG_VERSION_NUM >= 170000
#define MM_WORKER_CONNECTION_FLAGS BGWORKER_BYPASS_ROLELOGINCHECK
#else
#define MM_WORKER_CONNECTION_FLAGS 0
#endif

/* PostgreSQL 16 (commit afbfc02983f) has one function for every kind of object. */
#if PG_VERSION_NUM >= 160000
#define foreign_server_aclcheck(serverid, roleid, mode) \
	object_aclcheck(ForeignServerRelationId, serverid, roleid, mode)
#else
#define foreign_server_aclcheck(serverid, roleid, mode) \
	pg_foreign_server_aclcheck(serverid, roleid, mode)
#endif

/* Soft errors of input functions: PostgreSQL 16, d9f7f5d32f2. */
#if PG_VERSION_NUM < 160000
#define ereturn(context, dummy_value, ...) ereport(ERROR, __VA_ARGS__)
#endif

/*
 * Whether text names a type.  PostgreSQL 16 (commit 858e776c84f) reports all
 * errors softly; before, bad syntax throws.
 */
#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#define MM_PARSE_TYPE(text, type, typmod) \
	parseTypeString(text, type, typmod, (Node *) &(ErrorSaveContext) {T_ErrorSaveContext})
#else
#define MM_PARSE_TYPE(text, type, typmod) \
	(parseTypeString(text, type, typmod, true), OidIsValid(*(type)))
#endif

#endif							/* MM_COMPAT_H */

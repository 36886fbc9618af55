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

/* PostgreSQL 16 (commit d952373a987) took the varlena macros out of postgres.h. */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

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

/* PostgreSQL 17 lets extensions name their wait events. */
#include "pgstat.h"
#if PG_VERSION_NUM >= 170000
#define MM_WAIT_EVENT(name) WaitEventExtensionNew(name)
#else
#define MM_WAIT_EVENT(name) PG_WAIT_EXTENSION
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

/* PostgreSQL 17 (commit 6185c9737cf) checks a domain without throwing. */
#define MM_HAS_DOMAIN_CHECK_SAFE (PG_VERSION_NUM >= 170000)

/* Soft errors of input functions: PostgreSQL 16, d9f7f5d32f2. */
#if PG_VERSION_NUM < 160000
#define ereturn(context, dummy_value, ...) ereport(ERROR, __VA_ARGS__)
#else
#include "nodes/miscnodes.h"
#endif

/* PostgreSQL 16 (commit 19d8e2308bc) added onlySummarizing. */
#if PG_VERSION_NUM >= 160000
#define MM_INSERT_INDEX_TUPLES(result, slot, estate) \
	ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL, false)
#else
#define MM_INSERT_INDEX_TUPLES(result, slot, estate) \
	ExecInsertIndexTuples(result, slot, estate, false, false, NULL, NIL)
#endif

/* PostgreSQL 18 (commit 0fbceae841c) added the instrumentation. */
#if PG_VERSION_NUM >= 180000
#define MM_INDEX_BEGINSCAN(relation, index, snapshot, nkeys) \
	index_beginscan(relation, index, snapshot, NULL, nkeys, 0)
#else
#define MM_INDEX_BEGINSCAN(relation, index, snapshot, nkeys) \
	index_beginscan(relation, index, snapshot, nkeys, 0)
#endif

/*
 * Whether text names a type.  PostgreSQL 16 (commit 858e776c84f) reports all
 * errors softly; before, bad syntax throws.
 */
#if PG_VERSION_NUM >= 160000
#define MM_PARSE_TYPE(text, type, typmod) \
	parseTypeString(text, type, typmod, (Node *) &(ErrorSaveContext) {T_ErrorSaveContext})
#else
#define MM_PARSE_TYPE(text, type, typmod) \
	(parseTypeString(text, type, typmod, true), OidIsValid(*(type)))
#endif

/*
 * The user as whom a foreign table is read, InvalidOid for the current one.
 * PostgreSQL 16 (commit a61b1f74823) moved it out of the range table.
 */
#if PG_VERSION_NUM >= 160000
#define MM_REL_CHECK_AS_USER(root, rel) ((rel)->userid)
#define MM_SCAN_CHECK_AS_USER(plan, estate) ((plan)->checkAsUser)
#else
#define MM_REL_CHECK_AS_USER(root, rel) (planner_rt_fetch((rel)->relid, root)->checkAsUser)
#define MM_SCAN_CHECK_AS_USER(plan, estate) \
	(exec_rt_fetch(MM_SCAN_RTINDEX(plan), estate)->checkAsUser)
#endif

/* The table that a scan is of, or what it returns is made from. */
#define MM_SCAN_RTINDEX(plan) \
	((plan)->scan.scanrelid > 0 ? (plan)->scan.scanrelid : bms_next_member((plan)->fs_relids, -1))

/* Of GROUP BY and DISTINCT, the clauses that are not redundant: PostgreSQL 16 (commit 8d83a5d0a26). */
#if PG_VERSION_NUM >= 160000
#define MM_PROCESSED_GROUP_CLAUSE(root) ((root)->processed_groupClause)
#define MM_PROCESSED_DISTINCT_CLAUSE(root) ((root)->processed_distinctClause)
#else
#define MM_PROCESSED_GROUP_CLAUSE(root) ((root)->parse->groupClause)
#define MM_PROCESSED_DISTINCT_CLAUSE(root) ((root)->parse->distinctClause)
#endif

/* The same for a table that is written; the same commit. */
#if PG_VERSION_NUM >= 160000
#define MM_RESULT_CHECK_AS_USER(result, estate) ExecGetResultRelCheckAsUser(result, estate)
#else
#define MM_RESULT_CHECK_AS_USER(result, estate) \
	(exec_rt_fetch((result)->ri_RangeTableIndex != 0 ? (result)->ri_RangeTableIndex : \
				   (result)->ri_RootResultRelInfo->ri_RangeTableIndex, estate)->checkAsUser)
#endif

/*
 * A plain path that scans a foreign table.  PostgreSQL 17 (commit 9e9931d2bf4)
 * added restrictions of joins, 18 (commit e2225346794) disabled nodes.
 */
#if PG_VERSION_NUM >= 180000
#define MM_FOREIGNSCAN_PATH(root, rel, rows, startup, total, required_outer) \
	create_foreignscan_path(root, rel, NULL, rows, 0, startup, total, NIL, required_outer, NULL, NIL, NIL)
#elif PG_VERSION_NUM >= 170000
#define MM_FOREIGNSCAN_PATH(root, rel, rows, startup, total, required_outer) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, NIL, required_outer, NULL, NIL, NIL)
#else
#define MM_FOREIGNSCAN_PATH(root, rel, rows, startup, total, required_outer) \
	create_foreignscan_path(root, rel, NULL, rows, startup, total, NIL, required_outer, NULL, NIL)
#endif

/* The path of an upper relation, with the same changes. */
#if PG_VERSION_NUM >= 180000
#define MM_FOREIGN_UPPER_PATH(root, rel, target, rows, startup, total, outer, private) \
	create_foreign_upper_path(root, rel, target, rows, 0, startup, total, NIL, outer, NIL, private)
#elif PG_VERSION_NUM >= 170000
#define MM_FOREIGN_UPPER_PATH(root, rel, target, rows, startup, total, outer, private) \
	create_foreign_upper_path(root, rel, target, rows, startup, total, NIL, outer, NIL, private)
#else
#define MM_FOREIGN_UPPER_PATH(root, rel, target, rows, startup, total, outer, private) \
	create_foreign_upper_path(root, rel, target, rows, startup, total, NIL, outer, private)
#endif

/* The path of a join, with the same changes. */
#if PG_VERSION_NUM >= 180000
#define MM_FOREIGN_JOIN_PATH(root, rel, rows, startup, total, pathkeys, private) \
	create_foreign_join_path(root, rel, NULL, rows, 0, startup, total, pathkeys, NULL, NULL, NIL, private)
#elif PG_VERSION_NUM >= 170000
#define MM_FOREIGN_JOIN_PATH(root, rel, rows, startup, total, pathkeys, private) \
	create_foreign_join_path(root, rel, NULL, rows, startup, total, pathkeys, NULL, NULL, NIL, private)
#else
#define MM_FOREIGN_JOIN_PATH(root, rel, rows, startup, total, pathkeys, private) \
	create_foreign_join_path(root, rel, NULL, rows, startup, total, pathkeys, NULL, NULL, private)
#endif

/* The tables that a scan is made from; PostgreSQL 16 (commit 2489d76c490) has outer joins among fs_relids. */
#if PG_VERSION_NUM >= 160000
#define MM_SCAN_BASE_RELIDS(plan) ((plan)->fs_base_relids)
#else
#define MM_SCAN_BASE_RELIDS(plan) ((plan)->fs_relids)
#endif

/* PostgreSQL 18 (commits c65bc2e1d14 and 9173e8b6046) split commands/explain.h. */
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#endif

/* PostgreSQL 18 (commit 06421b08436) keeps this in the locale. */
#if PG_VERSION_NUM >= 180000
#define MM_COLLATION_IS_C(collation) (pg_newlocale_from_collation(collation)->collate_is_c)
#else
#define MM_COLLATION_IS_C(collation) lc_collate_is_c(collation)
#endif

/* PostgreSQL 18 (commit 8123e91f5ae) has comparison types in pathkeys, not strategies. */
#if PG_VERSION_NUM >= 180000
#define MM_PATHKEY_DESCENDING(pathkey) ((pathkey)->pk_cmptype == COMPARE_GT)
#else
#define MM_PATHKEY_DESCENDING(pathkey) ((pathkey)->pk_strategy == BTGreaterStrategyNumber)
#endif

/*
 * The members of an equivalence class, a base relation's among them: PostgreSQL
 * 18 (commit d69d45a5a95) has those of partitions and the like apart.
 */
#if PG_VERSION_NUM >= 180000
#define MM_CLASS_MEMBERS(class, rel) \
	((class)->ec_childmembers != NULL && (rel)->relid < (Index) (class)->ec_childmembers_size && \
	 (class)->ec_childmembers[(rel)->relid] != NIL ? \
	 (class)->ec_childmembers[(rel)->relid] : (class)->ec_members)
#else
#define MM_CLASS_MEMBERS(class, rel) ((class)->ec_members)
#endif

/* PostgreSQL 17 (commit b262ad440ed) tells the planner; 18 has NOT NULL NOT VALID, too. */
#if PG_VERSION_NUM >= 170000
#define MM_COLUMN_IS_NOT_NULL(rel, relid, attnum) \
	((void) (relid), bms_is_member(attnum, (rel)->notnullattnums))
#else
#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "utils/syscache.h"
#define MM_COLUMN_IS_NOT_NULL(rel, relid, attnum) mm_column_is_not_null(relid, attnum)

static inline bool
mm_column_is_not_null(Oid relid, AttrNumber attnum)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attnum));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for attribute %d of relation %u", attnum, relid);
	result = ((Form_pg_attribute) GETSTRUCT(tuple))->attnotnull;
	ReleaseSysCache(tuple);
	return result;
}
#endif

/* Among what find_nonnullable_vars() found?  A list of sets since PostgreSQL 16 (commit ff8fa0bf7ee). */
#if PG_VERSION_NUM >= 160000
#include "access/sysattr.h"
#include "nodes/multibitmapset.h"
#define MM_IS_NONNULLABLE_VAR(var, vars) \
	mbms_is_member((var)->varno, (var)->varattno - FirstLowInvalidHeapAttributeNumber, vars)
#else
#define MM_IS_NONNULLABLE_VAR(var, vars) list_member(vars, var)
#endif

/*
 * What a parser of JSON calls returns a code since PostgreSQL 16.  17 takes a
 * context that is there.
 */
#if PG_VERSION_NUM >= 160000
#define MM_JSON_ACTION JsonParseErrorType
#define MM_JSON_ACTION_RETURN return JSON_SUCCESS
#else
#define MM_JSON_ACTION void
#define MM_JSON_ACTION_RETURN return
#endif
#if PG_VERSION_NUM >= 170000
#define MM_JSON_LEX_CONTEXT(json) makeJsonLexContext(NULL, json, true)
#else
#define MM_JSON_LEX_CONTEXT(json) makeJsonLexContext(json, true)
#endif

/*
 * Before 1.24.3, libmongoc that looks at the members of a set, of which it knew one
 * or hears of one, waits for its own lock where there is no stream for that (CDRIVER-4666).
 */
#define MONGOC_NEEDS_STREAMS (!MONGOC_CHECK_VERSION(1, 24, 3))

/* libbson 2.3 has another name for the function that leaves the keys to the caller. */
#if MONGOC_CHECK_VERSION(2, 3, 0)
#define bson_append_array_begin bson_append_array_unsafe_begin
#endif

#endif							/* MM_COMPAT_H */

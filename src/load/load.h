/*
 * load.h
 *	  The batch engine: documents of a range of _id become rows of tables.
 *
 * A session holds what batches of a collection share: the compiled plan, the
 * targets, the id maps with their caches, and the open cursor of a chunk.  It
 * lives over transactions, to the first rollback or change of what it knows.
 * A batch is what one call works on.  doc/loading.md tells of both.
 */
#ifndef MM_LOAD_H
#define MM_LOAD_H

#include "access/tupdesc.h"
#include "bson/document.h"
#include "executor/spi.h"
#include "mongo/cursor.h"
#include "nodes/pg_list.h"
#include "utils/rel.h"

/* The longest key that an id map takes: an index row must fit a third of a page. */
#define LOAD_KEY_MAX 2000

/*
 * Documents end a batch at this many bytes, whatever its number of documents;
 * their decoded rows take about as much again.
 */
#define LOAD_BATCH_BYTES (8 * 1024 * 1024)

typedef struct IdMap IdMap;
typedef struct LoadBranch LoadBranch;
typedef struct LoadSession LoadSession;
typedef struct LoadSource LoadSource;
typedef struct LoadTarget LoadTarget;

typedef enum ColumnRole
{
	COLUMN_ID,
	COLUMN_PARENT,
	COLUMN_POSITION,
	COLUMN_PARENT_POSITION,
	COLUMN_KEY,
	COLUMN_REFERENCE,
	COLUMN_VALUE,
	COLUMN_EXTRA
} ColumnRole;

/* The order of keys in a map and its index: that of type bytea. */
static inline int
key_compare(const bytea *a, const bytea *b)
{
	Size		a_length = VARSIZE_ANY_EXHDR(a);
	Size		b_length = VARSIZE_ANY_EXHDR(b);
	int			result = memcmp(VARDATA_ANY(a), VARDATA_ANY(b), Min(a_length, b_length));

	return result != 0 ? result : (a_length > b_length) - (a_length < b_length);
}

/* A column of a target: a row of plan_column, compiled. */
typedef struct LoadColumn
{
	char	   *name;
	ColumnRole	role;
	char	   *path;			/* NULL: parent, position, parent_position */
	AttrNumber	attnum;			/* in the table */
	bool		not_null;		/* in the table */
	Oid			type;			/* of the batch's value; domains are their
								 * base type here */
	int32		typmod;
	Converter  *converter;		/* NULL as path is */
	IdMap	   *map;			/* the value is a key until this map resolves
								 * it; or NULL */
	struct LoadColumn *parent;	/* parent: the column of the parent's target */
	char	   *refers_to;		/* reference: the collection */
	char	   *refers_key;		/* reference: the field there */
	bool		null_dangling;	/* reference: null, where it dangles */
	char	   *expression;		/* SQL over value and doc, or NULL */
	char	   *cast;			/* the type that its result has to be cast to,
								 * or NULL */
} LoadColumn;

/* A table and the rows that the batch has for it. */
struct LoadTarget
{
	char	   *name;			/* as in the plan: qualified, quoted where
								 * needed */
	char	   *path;			/* root: NULL */
	char	   *nested_path;	/* tree: of the array in an element; or NULL */
	bool		is_map;
	bool		included;		/* false: only on the way to a child's rows */
	LoadTarget *parent;			/* root: NULL */
	LoadBranch *branch;
	LoadTarget *next_of_table;	/* another target fed by the same table of the
								 * document plan */
	int			table;			/* in the document plan */
	int			first;			/* its first column there */
	Oid			relid;
	bool		direct;			/* rows go in through the table access method */
	bool		distributed;	/* by Citus: rows go there by statements alone */
	bool		filled;			/* the chunk has put rows into it */
	bson_t	   *filter;			/* root: its match document, or NULL */

	/* Columns in the order of a row's values: first those that decode fills. */
	int			ncolumns;
	int			ndecoded;
	LoadColumn **columns;
	TupleDesc	desc;			/* of the batch's rows, as statements see them */
	SPIPlanPtr	statement;		/* fills the table; direct: gives the rows, or
								 * NULL where no column has an expression */
	char	   *insert_into;	/* distributed: its parts */
	char	   *select;
	LoadColumn *id;				/* root: its column of role id, or NULL */
	LoadColumn *place;			/* root that Citus distributes by another
								 * column: that; or NULL */
	DocumentPlan *id_plan;		/* that column alone, where it has no map */

	/* The batch's rows, in the order of documents. */
	int			nrows;
	int			maxrows;
	Datum	   *values;			/* nrows * ncolumns */
	bool	   *nulls;
	int		   *documents;		/* a row's document in the batch */
	int		   *parents;		/* a row's row in the parent's target */
};

/*
 * The tables whose roots have the same filter.  Each branch decodes documents
 * by a plan of its own, so that what one of them cannot take does not keep a
 * document out of another.
 */
struct LoadBranch
{
	LoadSession *session;
	bson_t	   *filter;			/* NULL: the find's filter says all */
	bool	   *matches;		/* documents of the batch that it matches,
								 * where there is one */
	DocumentPlan *plan;
	LoadTarget **by_table;		/* first target of a table of the plan */
};

typedef enum DocumentState
{
	DOCUMENT_READ,				/* on its way */
	DOCUMENT_INSERTED,
	DOCUMENT_SKIPPED,			/* has its rows already, or is in quarantine */
	DOCUMENT_REJECTED			/* cannot become rows */
} DocumentState;

/* Why a document was rejected. */
typedef struct Rejection
{
	const char *target;			/* or NULL */
	const char *path;			/* or NULL */
	const char *reason;
	const char *hint;			/* or NULL */
	int			sqlstate;
	bool		referred;		/* other rows refer to what would go */
} Rejection;

typedef struct LoadDocument
{
	const uint8_t *bytes;		/* a bson_t asks for more alignment than
								 * palloc gives */
	uint32		length;
	DocumentState state;
	bool		quarantined;	/* asked for by _id: it is in quarantine, and
								 * so has no rows */
	bool		present;		/* to be replaced: it has rows */
	bool		gone;			/* to be replaced: not in the source, {"_id":
								 * ...} alone */
	Datum		doc;			/* jsonb, once an expression has asked for it;
								 * or 0 */
	uint64		rounded;		/* values that were rounded to a numeric scale */
	Rejection  *rejection;		/* DOCUMENT_REJECTED */
} LoadDocument;

/* A document of the batch as a bson_t that lends its bytes. */
static inline const bson_t *
document_bson(const LoadDocument *document, bson_t *bson)
{
	if (!bson_init_static(bson, document->bytes, document->length))
		elog(ERROR, "document is not valid BSON");
	return bson;
}

struct LoadSession
{
	MemoryContext context;
	MemoryContext batch_context;	/* reset at the start of each batch */
	NameData	server;
	char	   *collection;
	int			chunk;			/* -1: no chunk; documents are asked for by
								 * _id */
	Oid			serverid;
	Oid			userid;
	MongoConnection *connection;
	uint64		plan_version;	/* see session.c */
	bool		stale;			/* a target or map changed: compile anew */

	int			ntargets;
	LoadTarget **targets;		/* parents before children */
	int			nbranches;
	LoadBranch **branches;
	bson_t	   *filter;			/* the find's, or NULL */
	DocumentPlan *doc_plan;		/* the whole document as jsonb */
	List	   *rounding;		/* Converters that may round */
	List	   *maps;			/* IdMaps in one order for every session */
	LoadSource *source;			/* NULL: the chunk is complete */
	bytea	   *last_id;		/* where the source stands, as the chunk has
								 * it; or NULL */
	int64		after;			/* reads see what was there at that time of
								 * the cluster; 0: any */

	/* The batch. */
	int			ndocuments;
	int			maxdocuments;
	Size		size;			/* of its documents, in bytes */
	LoadDocument *documents;
	int			current;		/* the document being decoded */
};

/* Whether a row of the batch is to be written; skip as in an Attempt. */
static inline bool
row_due(LoadSession *session, LoadTarget *target, int row, const bool *skip)
{
	int			document = target->documents[row];

	return session->documents[document].state == DOCUMENT_READ && (skip == NULL || !skip[document]);
}

/* A row of mongo_migrate.chunk, and what a batch adds to it. */
typedef struct Checkpoint
{
	bytea	   *lower_id;		/* each NULL where the column is */
	bytea	   *upper_id;
	bytea	   *last_id;
	bool		catching_up;
	bool		complete;
	List	   *filled;			/* of String: targets that have had rows */
} Checkpoint;

typedef struct LoadCounts
{
	int64		documents;
	int64		inserted;
	int64		skipped;
	int64		rejected;
	int64		rounded;
	int64		rows;			/* of the documents inserted */
	int64		bytes;			/* of the documents */
	List	   *filled;			/* targets that have had the chunk's first
								 * rows */
} LoadCounts;

/* What becomes of a range of documents in a subtransaction. */
typedef struct Attempt Attempt;
typedef void (*AttemptFunction) (Attempt *attempt);
struct Attempt
{
	LoadSession *session;
	AttemptFunction function;
	MemoryContext scratch;		/* its own, until it ends */
	int			from;
	int			to;
	LoadTarget *target;			/* the table that is being filled */
	int			field;			/* the column whose expression is evaluated */
	const bool *skip;			/* by document: its row is not to be inserted;
								 * or NULL */
};

/* target.c */
extern LoadTarget *target_root(LoadTarget *target);
extern const char *target_path(LoadTarget *target, const char *path);
extern int	target_first_row(LoadTarget *target, int document);
extern int	column_number(LoadTarget *target, LoadColumn *column);
extern LoadColumn *column_origin(LoadColumn *column);

/* rejection.c */
extern bool sqlstate_is_data(int sqlstate);
extern bool data_at_fault(Attempt *attempt, const ErrorData *error);
extern void document_reject(LoadSession *session, LoadDocument *document, const char *target,
							const char *path, int sqlstate, const char *reason,
							const char *hint);
extern int	rejection_detail(const Rejection *rejection);
extern char *drop_not_null(LoadTarget *target, LoadColumn *column);
extern char *column_update(LoadSession *session, LoadTarget *target, LoadColumn *column,
						   const char *set);
extern int	column_hint(LoadSession *session, LoadTarget *target, LoadColumn *column,
						const char *set);

/* plan.c */
extern void load_plan_compile(LoadSession *session);

/* plan_column.c */
extern SPITupleTable *plan_column_rows(LoadSession *session);
extern void target_read_columns(LoadSession *session, LoadTarget *target, Relation relation,
								SPITupleTable *rows);
extern char *plan_value(LoadSession *session, SPITupleTable *rows, int row, int column);

/* expression.c */
extern void expression_check(LoadSession *session, LoadTarget *target, LoadColumn *column,
							 Oid type, int32 typmod);

/* statement.c */

/* What statements know the batch as; no table and no expression's sub-query has that name by accident. */
#define BATCH "mongo_migrate batch"
#define BATCH_NAME "\"" BATCH "\""
extern char *full_type_name(Oid type, int32 typmod);
extern char *full_operator_name(Oid operator);
extern char *full_table_name(Oid relid);
extern void append_batch(StringInfo sql, bool distributed, TupleDesc desc);
extern void append_lateral(StringInfo sql, const char *expression, int field, const char *alias);
extern void append_select(StringInfo sql, LoadTarget *target, TupleDesc desc);
extern void statement_show_rows(const char *name, TupleDesc desc, Tuplestorestate *rows);
extern void target_prepare_insert(LoadSession *session, LoadTarget *target);
extern void target_prepare_select(LoadSession *session, LoadTarget *target, TupleDesc desc);
extern Tuplestorestate *target_rows(LoadSession *session, LoadTarget *target, int from, int to,
									const bool *skip);
extern void target_run_insert(Attempt *attempt, LoadTarget *target);
extern void target_run_select(Attempt *attempt, LoadTarget *target, Relation relation);
extern void target_run_insert_values(Attempt *attempt, LoadTarget *target);
extern void target_evaluate(LoadSession *session, LoadTarget *target, int field, int document);
extern void statement_run(LoadSession *session, bool distributed, TupleDesc desc, Tuplestorestate *rows,
						  SPIPlanPtr plan, const char *sql, DestReceiver *receiver);
extern void statement_run_over_arrays(LoadSession *session, bool distributed, TupleDesc desc,
									  Tuplestorestate *rows, const char *query, const char *sql);
extern void statement_finish(bool distributed, Tuplestorestate *rows);
extern void statement_mark(bool *marks);

/* replace.c */
extern char *target_list_ids(LoadSession *session, LoadTarget *target, bool without);
extern void batch_mark_present(LoadSession *session, LoadTarget *target);
extern void target_write(Attempt *attempt, LoadTarget *target);
extern void target_run_delete(LoadSession *session, LoadTarget *target, LoadColumn *column, int from, int to);

/* session.c */
extern LoadSession *load_session_create(Name server, const char *collection, int chunk,
										MemoryContext parent);
extern LoadSession *load_session_begin(Name server, const char *collection, int chunk,
									   const Checkpoint *checkpoint);
extern int	load_settings_begin(Name server, const char *collection);
extern void load_session_end(LoadSession *session, const bytea *last_id, bool complete);

/* source.c */
extern bytea *document_key(const bson_t *document);
extern bytea *document_id(const bson_t *document);
extern bytea *bytes_copy(const bytea *bytes, MemoryContext context);
extern LoadSource *source_open(LoadSession *session, const Checkpoint *checkpoint);
extern void source_close(LoadSource *source);
extern const bson_t *source_next(LoadSource *source);
extern MongoCursor *source_find(LoadSession *session, const bson_t *ids, const bson_t *filter,
								bool id_alone);
extern void source_match(LoadBranch *branch);

/* batch.c */
typedef enum LoadMode
{
	LOAD_FIRST,					/* no document has been here before */
	LOAD_CATCHING_UP,			/* those with rows or in quarantine are
								 * skipped */
	LOAD_RETRYING				/* those with rows are skipped */
} LoadMode;

extern void batch_start(LoadSession *session);
extern void batch_add_document(LoadSession *session, const bson_t *document);
extern bool batch_full(LoadSession *session, int documents);
extern void batch_skip_present(LoadSession *session, LoadMode mode);
extern void batch_decode(LoadSession *session);
extern void batch_load(LoadSession *session, LoadMode mode, bool quarantine, NullableDatum run_id);
extern void batch_count(LoadSession *session, LoadCounts *counts);
extern Datum load_counts_row(FunctionCallInfo fcinfo, const LoadCounts *counts, Datum last);

/* attempt.c */
extern ErrorData *attempt_try(Attempt *attempt);
extern void batch_write(LoadSession *session, AttemptFunction function);

/* insert.c */
extern void target_insert(Attempt *attempt, LoadTarget *target);
extern void batch_insert(LoadSession *session);

/* dangling.c */
extern List *dangling_find(LoadSession *session);
extern void dangling_record(LoadSession *session, List *columns);

/* direct.c */
typedef struct DirectInsert DirectInsert;
extern bool direct_possible(Relation relation);
extern bool table_distributed(Oid relid);
extern DirectInsert *direct_begin(Relation relation);
extern TupleTableSlot *direct_slot(DirectInsert *insert);
extern void direct_put(DirectInsert *insert);
extern void direct_end(DirectInsert *insert);

/* idmap.c */
extern IdMap *id_map_open(LoadSession *session, const char *collection, bool reference);
extern Oid	id_map_type(IdMap *map);
extern Oid	id_map_relid(IdMap *map);
extern bool id_map_depends(IdMap *map, Oid relid);
extern void id_map_prefetch(IdMap *map, const bytea *later, const bytea *soon);
extern void id_map_want(IdMap *map, Datum *value, bool *null, bool reference);
extern void id_map_resolve(IdMap *map, bool allocate);
extern void id_maps_reset(LoadSession *session);

/* drift.c */
extern void drift_know_plan(LoadSession *session);
extern void drift_count(LoadSession *session);

/* quarantine.c */
extern void quarantine_put(LoadSession *session, LoadDocument *document, NullableDatum run_id);
extern void quarantine_remove(LoadSession *session, const bson_t *document);
extern void quarantine_mark_present(LoadSession *session);

/* checkpoint.c */
extern void statement_execute(SPIPlanPtr *plan, const char *query, int nargs, Oid *types, Datum *values,
							  const char *nulls);
extern SPITupleTable *collection_query(LoadSession *session, const char *collection, const char *query);
extern Checkpoint *checkpoint_lock(Name server, const char *collection, int chunk);
extern void checkpoints_catch_up(LoadSession *session);
extern void checkpoint_move(LoadSession *session, const LoadCounts *counts, const bytea *last_id,
							bool complete);

#endif							/* MM_LOAD_H */

/*
 * idmap.c
 *	  The id map: from the keys of a collection's _id values to ids.
 *
 * A map is a table (key bytea PRIMARY KEY, id bigint or uuid).  A key gets its
 * id at first sight, from the document itself or from a reference to it.  The
 * keys of a batch are collected first and then resolved a map at a time:
 * sorted, looked up by a walk along the index, and those that nobody has seen
 * yet are inserted.
 *
 * A first load goes without the index, which costs less when it is made
 * afterwards, and without the look-up.  prepare_id_maps() (idmap.sql) takes
 * the index of an empty map away when no reference needs it; from then on each
 * document brings a new key, because ranges are disjoint, and a range's
 * checkpoint and the ids of its documents are committed together.  Whoever has
 * to look something up has the index made before.  Sessions see that by the
 * relation cache at the start of their next batch.
 *
 * Ids come from the map's own sequence, by the hundred, until a load of the
 * collection is complete; from then on an application may insert rows into its
 * table, so they come from the table's sequence, one by one, as the
 * application's do (table_sequence() in run.sql).
 *
 * Concurrent sessions.  Every session inserts in the order (map, key), so two
 * of them cannot wait for each other.  Keys that the batch's own documents
 * bring are rarely contended, because chunks are disjoint: they go in by
 * multi-insert, and a unique violation sends the batch to the second way.
 * That one is INSERT ... ON CONFLICT DO NOTHING, which waits for the other
 * transaction, and then a fresh look.
 *
 * Keys of references, which come again and again, are kept in a cache of
 * bounded size.  Cache and maps live in the session, which does not survive a
 * rollback: an id that was never committed cannot stay behind.
 */
#include "postgres.h"
#include "compat.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_sequence.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "common/hashfn.h"
#include "executor/tuptable.h"
#include "load/load.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/bufmgr.h"
#include "subtransaction.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/tuplestore.h"
#include "utils/uuid.h"
#include "utils/varlena.h"

/* What the caches of a session's maps may hold together, before they start anew. */
#define CACHE_BYTES (32 * 1024 * 1024)

/* To look keys up so many times costs about as much as to read a page of a map. */
#define LOOK_UPS_A_PAGE 10

/* After so many steps along the index in vain, keys are looked up one by one. */
#define MAX_ASTRAY 8

typedef struct CacheEntry
{
	bytea	   *key;
	uint32		hash;
	char		status;
	Datum		id;
} CacheEntry;

static inline uint32
hash_key(const bytea *key)
{
	return hash_bytes((const unsigned char *) VARDATA_ANY(key), VARSIZE_ANY_EXHDR(key));
}

#define SH_PREFIX cache
#define SH_ELEMENT_TYPE CacheEntry
#define SH_KEY_TYPE bytea *
#define SH_KEY key
#define SH_HASH_KEY(tb, key) hash_key(key)
#define SH_EQUAL(tb, a, b) (key_compare(a, b) == 0)
#define SH_STORE_HASH
#define SH_GET_HASH(tb, entry) (entry)->hash
#define SH_SCOPE static inline
#define SH_DECLARE
#define SH_DEFINE
#include "lib/simplehash.h"

/* A key that a row of the batch waits for. */
typedef struct WantedKey
{
	bytea	   *key;
	Datum	   *value;			/* where the id goes */
	bool	   *null;			/* set when there is none */
	bool		reference;
	int			distinct;		/* its number among the distinct keys */
} WantedKey;

/* A key of the batch, once. */
typedef struct DistinctKey
{
	bytea	   *key;
	Datum		id;
	bool		found;
} DistinctKey;

struct IdMap
{
	LoadSession *session;
	Oid			relid;
	char	   *collection;
	Oid			indexid;		/* the primary key's; or invalid: keys are
								 * never met again */
	Oid			sequenceid;		/* of bigint ids */
	int64		block;			/* how many ids one of its values stands for:
								 * 1 for that of the collection's table */
	int64		next_id;		/* those of the last block that are left */
	int64		ids_left;
	Oid			type;			/* of ids */
	MemoryContext cache_context;
	cache_hash *cache;
	int64		looked_up;		/* keys of references, till the cache is
								 * filled */
	bool		filled;			/* the map is in the cache, or too large */
	WantedKey  *wanted;			/* in the batch's context */
	int			nwanted;
	int			maxwanted;
};

/* What the cache of a map may hold. */
static Size
cache_limit(IdMap *map)
{
	return CACHE_BYTES / list_length(map->session->maps);
}

/* Starts the cache anew. */
static void
cache_clear(IdMap *map)
{
	MemoryContextReset(map->cache_context);
	map->cache = cache_create(map->cache_context, 1024, NULL);
}

/* Copies an id. */
static Datum
copy_id(IdMap *map, Datum id)
{
	return datumCopy(id, map->type == INT8OID, map->type == INT8OID ? sizeof(int64) : UUID_LEN);
}

/* Remembers an id. */
static void
cache_put(IdMap *map, bytea *key, Datum id)
{
	bool		found;
	CacheEntry *entry = cache_insert(map->cache, key, &found);
	MemoryContext old;

	if (found)
		return;
	old = MemoryContextSwitchTo(map->cache_context);
	entry->key = (bytea *) DatumGetPointer(datumCopy(PointerGetDatum(key), false, -1));
	entry->id = copy_id(map, id);
	MemoryContextSwitchTo(old);
}

/* The primary key's index of a map's table, or InvalidOid. */
static Oid
primary_key(Relation relation)
{
	List	   *indexes = RelationGetIndexList(relation);
	ListCell   *cell;

	foreach(cell, indexes)
	{
		Relation	index = index_open(lfirst_oid(cell), AccessShareLock);
		bool		primary = index->rd_index->indisprimary && index->rd_index->indisvalid;

		index_close(index, NoLock);
		if (primary)
			return lfirst_oid(cell);
	}
	return InvalidOid;
}

/* Throws where ids cannot be looked up in the map. */
static void
require_index(IdMap *map)
{
	if (!OidIsValid(map->indexid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the id map of collection \"%s\" of server \"%s\" has no primary key",
						map->collection, NameStr(map->session->server)),
				 errdetail("It gets one when the first load of the collection ends."),
				 errhint("To have it now: SELECT mongo_migrate.key_id_map(%s, %s);",
						 quote_literal_cstr(NameStr(map->session->server)),
						 quote_literal_cstr(map->collection))));
}

/* The increment of a sequence, which is positive. */
static int64
sequence_increment(Oid sequenceid)
{
	HeapTuple	tuple = SearchSysCache1(SEQRELID, ObjectIdGetDatum(sequenceid));
	int64		increment;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for sequence %u", sequenceid);
	increment = ((Form_pg_sequence) GETSTRUCT(tuple))->seqincrement;
	ReleaseSysCache(tuple);
	if (increment < 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("sequence %s of an id map counts downwards", get_rel_name(sequenceid)),
				 errhint("ALTER SEQUENCE mongo_migrate.%s INCREMENT 100;", get_rel_name(sequenceid))));
	return increment;
}

/* The sequence of the collection's table where ids come from that, or InvalidOid. */
static Oid
table_sequence(LoadSession *session, const char *collection)
{
	SPITupleTable *row = collection_query(session, collection, "SELECT mongo_migrate.table_sequence($1, $2)::oid");
	bool		isnull;
	Datum		sequence = SPI_getbinval(row->vals[0], row->tupdesc, 1, &isnull);

	return isnull ? InvalidOid : DatumGetObjectId(sequence);
}

/* Describes the map in the table relation, which is locked. */
static IdMap *
id_map_describe(LoadSession *session, const char *collection, Relation relation)
{
	IdMap	   *map = MemoryContextAllocZero(session->context, sizeof(IdMap));
	AttrNumber	attnum = get_attnum(RelationGetRelid(relation), "id");
	AclResult	acl = pg_class_aclcheck(RelationGetRelid(relation), GetUserId(), ACL_SELECT);

	if (acl == ACLCHECK_OK)
		acl = pg_class_aclcheck(RelationGetRelid(relation), GetUserId(), ACL_INSERT);
	if (acl != ACLCHECK_OK)
		aclcheck_error(acl, OBJECT_TABLE, RelationGetRelationName(relation));
	map->session = session;
	map->collection = MemoryContextStrdup(session->context, collection);
	map->relid = RelationGetRelid(relation);
	map->indexid = primary_key(relation);
	map->type = get_atttype(map->relid, attnum);
	if (map->type == INT8OID)
	{
		List	   *sequences = getOwnedSequences(map->relid);

		/* Not before the lock: a load that is completed meanwhile changes it. */
		Oid			sequenceid = table_sequence(session, collection);

		if (sequences == NIL)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("id map %s has no sequence", RelationGetRelationName(relation))));
		map->sequenceid = OidIsValid(sequenceid) ? sequenceid : linitial_oid(sequences);
		map->block = OidIsValid(sequenceid) ? 1 : sequence_increment(map->sequenceid);
	}
	else if (map->type != UUIDOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("ids of map %s are neither bigint nor uuid", RelationGetRelationName(relation))));
	map->cache_context = AllocSetContextCreate(session->context, "id map cache",
											   ALLOCSET_DEFAULT_SIZES);
	cache_clear(map);
	return map;
}

/* Adds a map at its place in the order that all sessions share. */
static void
add_map(LoadSession *session, IdMap *map)
{
	MemoryContext old = MemoryContextSwitchTo(session->context);
	int			place = 0;

	while (place < list_length(session->maps) &&
		   ((IdMap *) list_nth(session->maps, place))->relid < map->relid)
		place++;
	session->maps = list_insert_nth(session->maps, place, map);
	MemoryContextSwitchTo(old);
}

/*
 * The map of a collection, shared within the session; NULL when the source's
 * ids are kept.  Needs an SPI connection.  Throws when the collection has no
 * map yet, and for references when ids cannot be looked up in it.
 */
IdMap *
id_map_open(LoadSession *session, const char *collection, bool reference)
{
	SPITupleTable *rows = collection_query(session, collection,
										   "SELECT id_type, relation FROM mongo_migrate.id_map"
										   " WHERE server OPERATOR(pg_catalog.=) $1"
										   "   AND collection OPERATOR(pg_catalog.=) $2");
	char	   *id_type = rows->numvals == 0 ? NULL : SPI_getvalue(rows->vals[0], rows->tupdesc, 1);
	char	   *name = rows->numvals == 0 ? NULL : SPI_getvalue(rows->vals[0], rows->tupdesc, 2);
	Relation	relation;
	IdMap	   *map = NULL;
	ListCell   *cell;

	if (id_type != NULL && strcmp(id_type, "source") == 0)
		return NULL;
	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("collection \"%s\" of server \"%s\" has no id map",
						collection, NameStr(session->server)),
				 errhint("Make it: SELECT mongo_migrate.create_id_map(%s, %s);",
						 quote_literal_cstr(NameStr(session->server)),
						 quote_literal_cstr(collection))));
	relation = table_openrv(makeRangeVarFromNameList(textToQualifiedNameList(cstring_to_text(name))),
							RowExclusiveLock);
	foreach(cell, session->maps)
	{
		if (((IdMap *) lfirst(cell))->relid == RelationGetRelid(relation))
			map = lfirst(cell);
	}
	if (map == NULL)
	{
		map = id_map_describe(session, collection, relation);
		add_map(session, map);
	}
	table_close(relation, NoLock);
	if (reference)
		require_index(map);
	return map;
}

/* The type of the map's ids. */
Oid
id_map_type(IdMap *map)
{
	return map->type;
}

/* Whether what is known of the map may change with a relation. */
bool
id_map_depends(IdMap *map, Oid relid)
{
	return relid == map->relid || relid == map->sequenceid;
}

/* The map's table. */
Oid
id_map_relid(IdMap *map)
{
	return map->relid;
}

/*
 * Has the processor fetch what a look-up of keys in the cache will touch:
 * for the key of later the entry, for that of soon, whose entry is here, the
 * entry's key.  Each NULL where there is none.  The cache is larger than the
 * processor's own, and keys come in no order: waiting for memory twice a key
 * would be most of the look-up.
 */
void
id_map_prefetch(IdMap *map, const bytea *later, const bytea *soon)
{
	cache_hash *cache = map->cache;

	if (later != NULL)
		__builtin_prefetch(&cache->data[hash_key(later) & cache->sizemask]);
	if (soon != NULL)
	{
		uint32		hash = hash_key(soon);
		uint32		at = hash & cache->sizemask;

		while (cache->data[at].status == cache_SH_IN_USE && cache->data[at].hash != hash)
			at = (at + 1) & cache->sizemask;
		__builtin_prefetch(cache->data[at].key);
	}
}

/*
 * Has *value, a key (type bytea), replaced by its id: at once when the cache
 * knows it, else by the next id_map_resolve().  Both must stay where they are
 * till then.
 */
void
id_map_want(IdMap *map, Datum *value, bool *null, bool reference)
{
	bytea	   *key = (bytea *) DatumGetPointer(*value);

	if (reference)
	{
		CacheEntry *entry = cache_lookup(map->cache, key);

		if (entry != NULL)
		{
			*value = entry->id;
			return;
		}
	}
	if (map->nwanted == map->maxwanted)
	{
		map->maxwanted = Max(1024, map->maxwanted * 2);
		map->wanted = map->wanted == NULL ?
			MemoryContextAllocHuge(map->session->batch_context, map->maxwanted * sizeof(WantedKey)) :
			repalloc_huge(map->wanted, map->maxwanted * sizeof(WantedKey));
	}
	map->wanted[map->nwanted++] = (WantedKey)
	{
		.key = key,.value = value,.null = null,.reference = reference
	};
}

/* Forgets what is wanted. */
static void
forget_wanted(IdMap *map)
{
	map->wanted = NULL;
	map->nwanted = map->maxwanted = 0;
}

static int
compare_wanted(const void *a, const void *b)
{
	return key_compare(((const WantedKey *) a)->key, ((const WantedKey *) b)->key);
}

/*
 * Looks sorted keys up.  Begins at the first key; each row of the index that
 * is met rules out all keys below it, so a range of new keys costs one
 * descent, and neighbours in the index cost one step each.  Where wanted keys
 * turn out to be no neighbours, as with references, each gets its descent.
 */
static void
look_up(IdMap *map, DistinctKey *keys, int nkeys)
{
	Relation	relation = table_open(map->relid, RowExclusiveLock);
	Relation	index = index_open(map->indexid, RowExclusiveLock);
	TupleTableSlot *slot = table_slot_create(relation, NULL);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	IndexScanDesc scan = MM_INDEX_BEGINSCAN(relation, index, snapshot, 1);
	bool		step = false;	/* go on from the last row found */
	int			astray = 0;		/* steps in a row that met no wanted key */
	int			next = 0;

	while (next < nkeys)
	{
		bool		single = astray >= MAX_ASTRAY;
		bool		stepped = step;
		bytea	   *key;
		bool		isnull;
		int			order = -1;

		CHECK_FOR_INTERRUPTS();
		if (!step)
		{
			ScanKeyData scankey;

			ScanKeyInit(&scankey, 1, single ? BTEqualStrategyNumber : BTGreaterEqualStrategyNumber,
						single ? F_BYTEAEQ : F_BYTEAGE, PointerGetDatum(keys[next].key));
			index_rescan(scan, &scankey, 1, NULL, 0);
		}
		if (!index_getnext_slot(scan, ForwardScanDirection, slot))
		{
			if (!single)
				break;
			next++;
			continue;
		}
		key = DatumGetByteaPP(slot_getattr(slot, 1, &isnull));
		while (next < nkeys && (order = key_compare(keys[next].key, key)) < 0)
			next++;
		if (stepped)
			astray = order == 0 ? 0 : astray + 1;
		step = next < nkeys && order == 0;
		if (step)
		{
			keys[next].id = copy_id(map, slot_getattr(slot, 2, &isnull));
			keys[next++].found = true;
		}
		step &= astray < MAX_ASTRAY;
	}
	index_endscan(scan);
	UnregisterSnapshot(snapshot);
	ExecDropSingleTupleTableSlot(slot);
	index_close(index, NoLock);
	table_close(relation, NoLock);
}

/*
 * Takes the whole map into the cache, once as many keys were looked up as it
 * costs to read it, if it fits.
 */
static void
cache_fill(IdMap *map, int looked_up)
{
	Relation	relation;
	BlockNumber pages;
	Size		bytes;
	TupleTableSlot *slot;
	TableScanDesc scan;
	Snapshot	snapshot;

	map->looked_up += looked_up;
	if (map->filled)
		return;
	relation = table_open(map->relid, AccessShareLock);
	pages = RelationGetNumberOfBlocks(relation);
	bytes = 2 * (Size) pages * BLCKSZ;	/* a row takes about twice its size */
	map->filled = pages == 0 || map->looked_up / LOOK_UPS_A_PAGE >= pages;
	if (map->filled && bytes <= cache_limit(map))
	{
		slot = table_slot_create(relation, NULL);
		snapshot = RegisterSnapshot(GetLatestSnapshot());
		scan = table_beginscan(relation, snapshot, 0, NULL);
		while (table_scan_getnextslot(scan, ForwardScanDirection, slot))
		{
			bool		isnull;
			Datum		key = slot_getattr(slot, 1, &isnull);

			cache_put(map, DatumGetByteaPP(key), slot_getattr(slot, 2, &isnull));
		}
		table_endscan(scan);
		UnregisterSnapshot(snapshot);
		ExecDropSingleTupleTableSlot(slot);
	}
	table_close(relation, AccessShareLock);
}

/*
 * A new id.  Bigint ids come in blocks: a value of the sequence is the first
 * of as many as its increment.
 */
static Datum
new_id(IdMap *map)
{
	if (map->type != INT8OID)
		return DirectFunctionCall1(gen_random_uuid, (Datum) 0);
	if (map->ids_left == 0)
	{
		map->next_id = nextval_internal(map->sequenceid, true);
		map->ids_left = map->block;
	}
	map->ids_left--;
	return Int64GetDatum(map->next_id++);
}

/* The keys of a batch, some of which the map does not have. */
typedef struct MissingKeys
{
	IdMap	   *map;
	DistinctKey *keys;
	int			nkeys;
} MissingKeys;

/* Inserts the keys that were not found, with their new ids, by multi-insert. */
static void
insert_missing(void *arg)
{
	MissingKeys *missing = arg;
	Relation	relation = table_open(missing->map->relid, RowExclusiveLock);
	DirectInsert *insert = direct_begin(relation);

	for (int i = 0; i < missing->nkeys; i++)
	{
		DistinctKey *key = &missing->keys[i];
		TupleTableSlot *slot;

		if (key->found)
			continue;
		slot = direct_slot(insert);
		slot->tts_values[0] = PointerGetDatum(key->key);
		slot->tts_isnull[0] = false;
		slot->tts_values[1] = key->id;
		slot->tts_isnull[1] = false;
		direct_put(insert);
	}
	direct_end(insert);
	table_close(relation, NoLock);
}

/*
 * The same, but false, and nothing done, when another session had one of the
 * keys first.
 */
static bool
insert_uncontended(MissingKeys *missing)
{
	ErrorData  *error = subtransaction_call(insert_missing, missing, true);

	if (error != NULL && error->sqlerrcode != ERRCODE_UNIQUE_VIOLATION)
		ReThrowError(error);
	return error == NULL;
}

/*
 * Inserts the keys that were not found where no other session has: its rows
 * are waited for.
 */
static void
insert_contended(IdMap *map, DistinctKey *keys, int nkeys)
{
	TupleDesc	desc = CreateTemplateTupleDesc(2);
	Tuplestorestate *rows = tuplestore_begin_heap(false, false, work_mem);

	TupleDescInitEntry(desc, 1, "key", BYTEAOID, -1, 0);
	TupleDescInitEntry(desc, 2, "id", map->type, -1, 0);
	for (int i = 0; i < nkeys; i++)
	{
		Datum		values[2] = {PointerGetDatum(keys[i].key), keys[i].id};
		bool		nulls[2] = {false, false};

		if (!keys[i].found)
			tuplestore_putvalues(rows, desc, values, nulls);
	}
	SPI_connect();
	statement_show_rows("mongo_migrate keys", desc, rows);
	SPI_execute(psprintf("INSERT INTO %s (key, id) SELECT key, id FROM \"mongo_migrate keys\""
						 " ON CONFLICT (key) DO NOTHING", full_table_name(map->relid)), false, 0);
	SPI_finish();
	tuplestore_end(rows);
}

/* Gives ids to the keys that were not found. */
static void
add_missing(IdMap *map, DistinctKey *keys, int nkeys, bool contended)
{
	MissingKeys missing = {map, keys, nkeys};

	for (int i = 0; i < nkeys; i++)
		if (!keys[i].found)
			keys[i].id = new_id(map);
	if (!OidIsValid(map->indexid))
		insert_missing(&missing);
	else if (contended || !insert_uncontended(&missing))
	{
		insert_contended(map, keys, nkeys);
		look_up(map, keys, nkeys);
		for (int i = 0; i < nkeys; i++)
			if (!keys[i].found)
				elog(ERROR, "a key vanished from id map %s", get_rel_name(map->relid));
	}
	CommandCounterIncrement();
}

/*
 * Gives every key that id_map_want() collected its id.  Without allocate, keys
 * that the map does not have become null.
 */
void
id_map_resolve(IdMap *map, bool allocate)
{
	DistinctKey *keys;
	int			nkeys = 0;
	int			nreferences = 0;
	bool		missing = false;
	bool		contended = true;

	if (map->nwanted == 0)
		return;
	qsort(map->wanted, map->nwanted, sizeof(WantedKey), compare_wanted);
	keys = MemoryContextAllocHuge(map->session->batch_context, map->nwanted * sizeof(DistinctKey));
	for (int i = 0; i < map->nwanted; i++)
	{
		WantedKey  *wanted = &map->wanted[i];

		if (nkeys == 0 || key_compare(keys[nkeys - 1].key, wanted->key) != 0)
		{
			keys[nkeys].key = wanted->key;
			keys[nkeys++].found = false;
		}
		wanted->distinct = nkeys - 1;
	}
	if (OidIsValid(map->indexid))
		look_up(map, keys, nkeys);
	else if (!allocate)
		require_index(map);

	for (int i = 0; i < map->nwanted; i++)
	{
		bool		found = keys[map->wanted[i].distinct].found;

		missing |= !found;
		nreferences += map->wanted[i].reference;
		contended &= found || map->wanted[i].reference;
	}
	if (missing && allocate)
		add_missing(map, keys, nkeys, contended);

	if (MemoryContextMemAllocated(map->cache_context, true) > cache_limit(map))
		cache_clear(map);
	if (nreferences > 0)
		cache_fill(map, nreferences);
	for (int i = 0; i < map->nwanted; i++)
	{
		WantedKey  *wanted = &map->wanted[i];
		DistinctKey *key = &keys[wanted->distinct];

		*wanted->null = !key->found && !allocate;
		*wanted->value = *wanted->null ? (Datum) 0 : key->id;
		if (wanted->reference && !*wanted->null)
			cache_put(map, wanted->key, key->id);
	}
	pfree(keys);
	forget_wanted(map);
}

/* Forgets what the batch wants: the memory that it is in is gone. */
void
id_maps_reset(LoadSession *session)
{
	ListCell   *cell;

	foreach(cell, session->maps)
		forget_wanted(lfirst(cell));
}

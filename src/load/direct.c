/*
 * direct.c
 *	  Rows into a table by its access method, many at a time, as COPY does.
 *
 * For tables where only constraints and indexes stand between a row and its
 * table: no triggers, rules, row security or partitions.  direct_possible()
 * says which those are.
 */
#include "postgres.h"
#include "compat.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_namespace.h"
#include "executor/executor.h"
#include "load/load.h"
#include "nodes/execnodes.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

/* Rows that are kept back, and their bytes, before they are inserted. */
#define DIRECT_ROWS 64
#define DIRECT_BYTES (64 * 1024)

struct DirectInsert
{
	Relation	relation;
	EState	   *estate;
	ResultRelInfo *result;
	BulkInsertState bulk;
	CommandId	command;
	TupleTableSlot *slots[DIRECT_ROWS]; /* made when first used */
	int			nslots;
	Size		size;
};

/* Whether rows may go into the table this way, if every column is given its value. */
bool
direct_possible(Relation relation)
{
	Form_pg_class form = RelationGetForm(relation);

	return form->relkind == RELKIND_RELATION && !form->relispartition &&
		relation->trigdesc == NULL && relation->rd_rules == NULL;
}

/*
 * Whether Citus has a table's rows in shards elsewhere.  A row that is put
 * into such a table past the planner is in no shard, and nobody sees it.
 */
bool
table_distributed(Oid relid)
{
	Oid			catalog = get_relname_relid("pg_dist_partition", PG_CATALOG_NAMESPACE);
	Relation	relation;
	ScanKeyData key;
	SysScanDesc scan;
	bool		found;

	if (!OidIsValid(catalog))
		return false;
	relation = table_open(catalog, AccessShareLock);
	ScanKeyInit(&key, 1, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(relation, InvalidOid, false, NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(relation, AccessShareLock);
	return found;
}

/* Begins inserting into an open relation; belongs to CurrentMemoryContext. */
DirectInsert *
direct_begin(Relation relation)
{
	DirectInsert *insert = palloc0(sizeof(DirectInsert));

	insert->relation = relation;
	insert->estate = CreateExecutorState();
	insert->result = makeNode(ResultRelInfo);
	InitResultRelInfo(insert->result, relation, 0, NULL, 0);
	ExecOpenIndices(insert->result, false);
	insert->bulk = GetBulkInsertState();
	insert->command = GetCurrentCommandId(true);
	return insert;
}

/* Inserts the rows that were kept back. */
static void
direct_flush(DirectInsert *insert)
{
	MemoryContext old;

	if (insert->nslots == 0)
		return;
	old = MemoryContextSwitchTo(GetPerTupleMemoryContext(insert->estate));
	table_multi_insert(insert->relation, insert->slots, insert->nslots, insert->command, 0,
					   insert->bulk);
	MemoryContextSwitchTo(old);
	for (int i = 0; i < insert->nslots; i++)
	{
		if (insert->result->ri_NumIndices > 0)
			MM_INSERT_INDEX_TUPLES(insert->result, insert->slots[i], insert->estate);
		ExecClearTuple(insert->slots[i]);
	}
	ResetPerTupleExprContext(insert->estate);
	insert->nslots = 0;
	insert->size = 0;
}

/*
 * A slot for the next row, all null; to be filled in tts_values and
 * tts_isnull, which are lent until direct_put().
 */
TupleTableSlot *
direct_slot(DirectInsert *insert)
{
	TupleTableSlot **slot = &insert->slots[insert->nslots];

	if (*slot == NULL)
		*slot = table_slot_create(insert->relation, NULL);
	else
		ExecClearTuple(*slot);
	memset((*slot)->tts_isnull, true, (*slot)->tts_tupleDescriptor->natts);
	return *slot;
}

/*
 * Takes the row that direct_slot()'s slot was filled with.  What its values
 * point to is copied.  Throws where the row breaks a constraint, and for rows
 * before it where one breaks a unique index.
 */
void
direct_put(DirectInsert *insert)
{
	TupleTableSlot *slot = insert->slots[insert->nslots];

	ExecStoreVirtualTuple(slot);
	slot->tts_tableOid = RelationGetRelid(insert->relation);
	if (RelationGetDescr(insert->relation)->constr != NULL)
		ExecConstraints(insert->result, slot, insert->estate);
	insert->size += ExecFetchSlotHeapTuple(slot, true, NULL)->t_len;
	insert->nslots++;
	if (insert->nslots == DIRECT_ROWS || insert->size >= DIRECT_BYTES)
		direct_flush(insert);
}

/* Inserts what was kept back and lets everything go; the relation stays open. */
void
direct_end(DirectInsert *insert)
{
	direct_flush(insert);
	FreeBulkInsertState(insert->bulk);
	table_finish_bulk_insert(insert->relation, 0);
	for (int i = 0; i < DIRECT_ROWS && insert->slots[i] != NULL; i++)
		ExecDropSingleTupleTableSlot(insert->slots[i]);
	ExecCloseIndices(insert->result);
	FreeExecutorState(insert->estate);
	pfree(insert);
}

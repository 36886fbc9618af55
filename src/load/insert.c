/*
 * insert.c
 *	  The rows of a batch into their tables.
 */
#include "postgres.h"
#include "compat.h"

#include "access/table.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "load/load.h"
#include "miscadmin.h"

/* Inserts a target's rows of an attempt, as they were decoded, through the access method. */
static void
insert_decoded(Attempt *attempt, LoadTarget *target, Relation relation)
{
	DirectInsert *insert = direct_begin(relation);

	for (int row = target_first_row(target, attempt->from);
		 row < target->nrows && target->documents[row] < attempt->to; row++)
	{
		Datum	   *values = target->values + (Size) row * target->ncolumns;
		bool	   *nulls = target->nulls + (Size) row * target->ncolumns;
		TupleTableSlot *slot;

		if (!row_due(attempt->session, target, row, attempt->skip))
			continue;
		slot = direct_slot(insert);
		for (int i = 0; i < target->ncolumns; i++)
		{
			slot->tts_values[target->columns[i]->attnum - 1] = values[i];
			slot->tts_isnull[target->columns[i]->attnum - 1] = nulls[i];
		}
		direct_put(insert);
	}
	direct_end(insert);
}

/* Inserts a target's rows of an attempt through the access method. */
static void
insert_direct(Attempt *attempt, LoadTarget *target)
{
	Relation	relation = table_open(target->relid, RowExclusiveLock);

	if (target->statement != NULL)
		target_run_select(attempt, target, relation);
	else
		insert_decoded(attempt, target, relation);
	table_close(relation, NoLock);
	CommandCounterIncrement();
}

/* Inserts the rows of an attempt into a table. */
void
target_insert(Attempt *attempt, LoadTarget *target)
{
	int			row = target_first_row(target, attempt->from);

	CHECK_FOR_INTERRUPTS();
	while (row < target->nrows && target->documents[row] < attempt->to &&
		   !row_due(attempt->session, target, row, attempt->skip))
		row++;
	if (row >= target->nrows || target->documents[row] >= attempt->to)
		return;
	attempt->target = target;
	if (target->direct)
		insert_direct(attempt, target);
	else if (target->distributed && attempt->to - attempt->from == 1)
		target_run_insert_values(attempt, target);
	else
		target_run_insert(attempt, target);
}

/* Inserts the rows of a range of documents, parents before children. */
static void
insert_rows(Attempt *attempt)
{
	for (int i = 0; i < attempt->session->ntargets; i++)
		if (attempt->session->targets[i]->included)
			target_insert(attempt, attempt->session->targets[i]);
}

/* Inserts the batch. */
void
batch_insert(LoadSession *session)
{
	batch_write(session, insert_rows);
}

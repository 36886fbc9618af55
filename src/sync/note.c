/*
 * note.c
 *	  The trigger that notes which rows an application has changed.
 *
 * After a cutover each table of a plan has it.  A note says whose document has
 * changed, and not how: write-back makes the document of the rows as they are
 * by then.  Notes commit with the application's transaction.
 */
#include "postgres.h"
#include "compat.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(mm_note_row);

/* The trigger's arguments. */
enum
{
	NOTE_SERVER,
	NOTE_COLLECTION,
	NOTE_COLUMN,				/* of the table: the id of the document's row */
	NOTE_ARGUMENTS
};

/* Rows that are read at a time of a table that is truncated. */
#define NOTED_ROWS 1000

static SPIPlanPtr insert_note;	/* (server, collection, id) */

/*
 * Adds a note.  A column that is there no more has no id: a note of NULL, which
 * write-back complains of, rather than an error in the application's statement.
 */
static void
note(char **arguments, const char *id)
{
	Oid			types[NOTE_ARGUMENTS] = {NAMEOID, TEXTOID, TEXTOID};
	Datum		values[NOTE_ARGUMENTS];
	char		nulls[NOTE_ARGUMENTS] = {' ', ' ', ' '};

	if (insert_note == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare("INSERT INTO mongo_migrate.row_change (server, collection, id) VALUES ($1, $2, $3)",
											 NOTE_ARGUMENTS, types);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "cannot prepare a note of a changed row");
		insert_note = plan;
	}
	values[NOTE_SERVER] = DirectFunctionCall1(namein, CStringGetDatum(arguments[NOTE_SERVER]));
	values[NOTE_COLLECTION] = CStringGetTextDatum(arguments[NOTE_COLLECTION]);
	values[NOTE_COLUMN] = id == NULL ? (Datum) 0 : CStringGetTextDatum(id);
	if (id == NULL)
		nulls[NOTE_COLUMN] = 'n';
	if (SPI_execute_plan(insert_note, values, nulls, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "cannot note a changed row");
}

/* The id that a row has, as text; NULL: none. */
static char *
row_id(Relation relation, HeapTuple row, const char *column)
{
	int			number = SPI_fnumber(RelationGetDescr(relation), column);

	return number <= 0 ? NULL : SPI_getvalue(row, RelationGetDescr(relation), number);
}

/*
 * Notes all rows of a table that is about to be truncated.  Their ids become
 * text by the type's output function: a cast may be somebody else's function.
 */
static void
note_all(Relation relation, char **arguments)
{
	char	   *table = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
												   RelationGetRelationName(relation));
	Portal		portal;

	if (SPI_fnumber(RelationGetDescr(relation), arguments[NOTE_COLUMN]) <= 0)
	{
		note(arguments, NULL);
		return;
	}
	portal = SPI_cursor_open_with_args(NULL, psprintf("SELECT t.%s FROM %s AS t",
													  quote_identifier(arguments[NOTE_COLUMN]), table),
									   0, NULL, NULL, NULL, true, 0);
	for (;;)
	{
		SPITupleTable *rows;

		SPI_cursor_fetch(portal, true, NOTED_ROWS);
		rows = SPI_tuptable;
		if (SPI_processed == 0)
			break;
		for (uint64 i = 0, count = SPI_processed; i < count; i++)
			note(arguments, SPI_getvalue(rows->vals[i], rows->tupdesc, 1));
		SPI_freetuptable(rows);
	}
	SPI_cursor_close(portal);
}

/* note_row() returns trigger; arguments: server, collection, column */
Datum
mm_note_row(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	char	  **arguments;
	char	   *id;

	if (!CALLED_AS_TRIGGER(fcinfo) || data->tg_trigger->tgnargs != NOTE_ARGUMENTS)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("mongo_migrate.note_row() is a trigger of mongo_migrate.cutover()")));
	arguments = data->tg_trigger->tgargs;
	SPI_connect();
	if (TRIGGER_FIRED_BY_TRUNCATE(data->tg_event))
		note_all(data->tg_relation, arguments);
	else
	{
		id = row_id(data->tg_relation, data->tg_trigtuple, arguments[NOTE_COLUMN]);
		note(arguments, id);
		if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
		{
			char	   *after = row_id(data->tg_relation, data->tg_newtuple, arguments[NOTE_COLUMN]);

			if (after != NULL && (id == NULL || strcmp(id, after) != 0))
				note(arguments, after);
		}
	}
	SPI_finish();
	return PointerGetDatum(NULL);
}

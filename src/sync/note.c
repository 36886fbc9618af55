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

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

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

/* What adds notes; parameters: server, collection, and one id or an array of them. */
typedef struct NoteStatement
{
	const char *query;
	Oid			ids_type;
	SPIPlanPtr	plan;			/* NULL: not yet */
} NoteStatement;

static NoteStatement insert_note = {
	"INSERT INTO mongo_migrate.row_change (server, collection, id) VALUES ($1, $2, $3)", TEXTOID
};
static NoteStatement insert_notes = {
	"INSERT INTO mongo_migrate.row_change (server, collection, id) "
	"SELECT $1, $2, i.id FROM pg_catalog.unnest($3) AS i (id)", TEXTARRAYOID
};

/*
 * The last note and the subtransaction that made it, which it ends with.  Rows of
 * one document mostly come together, and one note is enough for them.
 */
static struct
{
	TransactionId transaction;
	SubTransactionId subtransaction;
	StringInfoData words;		/* server, collection, id, each with its end */
}			last_note;

/* The owner of a table. */
static Oid
owner_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for relation %u", relid);
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* What a note says, in the current context. */
static StringInfo
note_words(char **arguments, const char *id)
{
	StringInfo	words = makeStringInfo();

	appendBinaryStringInfo(words, arguments[NOTE_SERVER], strlen(arguments[NOTE_SERVER]) + 1);
	appendBinaryStringInfo(words, arguments[NOTE_COLLECTION], strlen(arguments[NOTE_COLLECTION]) + 1);
	if (id != NULL)
		appendBinaryStringInfo(words, id, strlen(id) + 1);
	return words;
}

/* Whether the last note says this, and lasts as long as one made now would. */
static bool
is_last_note(StringInfo words)
{
	return last_note.transaction == GetTopTransactionId() &&
		last_note.subtransaction == GetCurrentSubTransactionId() &&
		last_note.words.len == words->len && memcmp(last_note.words.data, words->data, words->len) == 0;
}

/* This is the last note from now on. */
static void
set_last_note(StringInfo words)
{
	if (last_note.words.data == NULL)
	{
		MemoryContext old = MemoryContextSwitchTo(TopMemoryContext);

		initStringInfo(&last_note.words);
		MemoryContextSwitchTo(old);
	}
	last_note.transaction = InvalidTransactionId;
	resetStringInfo(&last_note.words);
	appendBinaryStringInfo(&last_note.words, words->data, words->len);
	last_note.transaction = GetTopTransactionId();
	last_note.subtransaction = GetCurrentSubTransactionId();
}

/*
 * Adds notes, with the rights of who owns them: the application has none here, as
 * with the look-ups of a foreign key.
 */
static void
add_notes(NoteStatement *statement, char **arguments, Datum ids, bool isnull)
{
	Oid			types[NOTE_ARGUMENTS] = {NAMEOID, TEXTOID, statement->ids_type};
	Datum		values[NOTE_ARGUMENTS];
	char		nulls[NOTE_ARGUMENTS] = {' ', ' ', isnull ? 'n' : ' '};
	Oid			user;
	int			context;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(owner_of(get_relname_relid("row_change",
													  get_namespace_oid("mongo_migrate", false))),
						   context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_NOFORCE_RLS);
	if (statement->plan == NULL)
	{
		SPIPlanPtr	plan = SPI_prepare(statement->query, NOTE_ARGUMENTS, types);

		if (plan == NULL || SPI_keepplan(plan) != 0)
			elog(ERROR, "cannot prepare a note of a changed row");
		statement->plan = plan;
	}
	values[NOTE_SERVER] = DirectFunctionCall1(namein, CStringGetDatum(arguments[NOTE_SERVER]));
	values[NOTE_COLLECTION] = CStringGetTextDatum(arguments[NOTE_COLLECTION]);
	values[NOTE_COLUMN] = ids;
	if (SPI_execute_plan(statement->plan, values, nulls, false, 0) != SPI_OK_INSERT)
		elog(ERROR, "cannot note a changed row");
	SetUserIdAndSecContext(user, context);
}

/*
 * Adds a note.  A column that is there no more has no id: a note of NULL, which
 * write-back complains of, rather than an error in the application's statement.
 */
static void
note(char **arguments, const char *id)
{
	StringInfo	words = note_words(arguments, id);

	if (is_last_note(words))
		return;
	add_notes(&insert_note, arguments, id == NULL ? (Datum) 0 : CStringGetTextDatum(id), id == NULL);
	set_last_note(words);
}

/*
 * A value as text that reads back the same anywhere, whatever the settings of
 * the application's session.
 */
static char *
portable_text(HeapTuple row, TupleDesc desc, int number)
{
	int			level;
	char	   *result;

	switch (getBaseType(SPI_gettypeid(desc, number)))
	{
		case FLOAT4OID:
		case FLOAT8OID:
		case DATEOID:
		case TIMESTAMPOID:
		case TIMESTAMPTZOID:
			break;
		default:
			return SPI_getvalue(row, desc, number);
	}
	level = NewGUCNestLevel();
	set_config_option("datestyle", "ISO, YMD", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	set_config_option("extra_float_digits", "1", PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
	result = SPI_getvalue(row, desc, number);
	AtEOXact_GUC(true, level);
	return result;
}

/* The id that a row has; NULL: none. */
static char *
row_id(Relation relation, HeapTuple row, const char *column)
{
	int			number = SPI_fnumber(RelationGetDescr(relation), column);

	return number <= 0 ? NULL : portable_text(row, RelationGetDescr(relation), number);
}

/*
 * Whether the rows of a table are noted.  A partition that is detached keeps
 * its trigger for TRUNCATE, and loses that of its rows: they are not the
 * table's any more.
 */
static bool
rows_are_noted(const TriggerData *data)
{
	const TriggerDesc *triggers = data->tg_relation->trigdesc;

	for (int i = 0; i < triggers->numtriggers; i++)
	{
		const Trigger *trigger = &triggers->triggers[i];

		if (trigger->tgfoid == data->tg_trigger->tgfoid && TRIGGER_FOR_ROW(trigger->tgtype))
			return true;
	}
	return false;
}

/* Adds notes of rows whose only column has their id, in the current context. */
static void
note_rows(char **arguments, SPITupleTable *rows, uint64 count)
{
	Datum	   *ids = palloc(count * sizeof(Datum));
	char	   *last = NULL;
	int			nids = 0;

	for (uint64 i = 0; i < count; i++)
	{
		char	   *id = portable_text(rows->vals[i], rows->tupdesc, 1);

		if (id == NULL)
			note(arguments, NULL);
		else if (last == NULL || strcmp(id, last) != 0)
			ids[nids++] = CStringGetTextDatum(last = id);
	}
	if (nids > 0)
		add_notes(&insert_notes, arguments,
				  PointerGetDatum(construct_array(ids, nids, TEXTOID, -1, false, TYPALIGN_INT)), false);
}

/*
 * Notes all rows of a table that is about to be truncated, read with the rights
 * of its owner: who may truncate it need not see them.  Their ids become text
 * by the type's output function: a cast may be somebody else's function.
 */
static void
note_all(Relation relation, char **arguments)
{
	char	   *table = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(relation)),
												   RelationGetRelationName(relation));
	MemoryContext per_fetch;
	Portal		portal;
	Oid			user;
	int			context;

	if (SPI_fnumber(RelationGetDescr(relation), arguments[NOTE_COLUMN]) <= 0)
	{
		note(arguments, NULL);
		return;
	}
	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(relation->rd_rel->relowner,
						   context | SECURITY_LOCAL_USERID_CHANGE | SECURITY_RESTRICTED_OPERATION |
						   SECURITY_NOFORCE_RLS);
	/* A transaction's own snapshot may lack rows, which go all the same. */
	PushActiveSnapshot(GetLatestSnapshot());
	portal = SPI_cursor_open_with_args(NULL, psprintf("SELECT t.%s FROM %s AS t",
													  quote_identifier(arguments[NOTE_COLUMN]), table),
									   0, NULL, NULL, NULL, true, 0);
	PopActiveSnapshot();
	per_fetch = AllocSetContextCreate(CurrentMemoryContext, "noted rows", ALLOCSET_DEFAULT_SIZES);
	for (;;)
	{
		SPITupleTable *rows;
		MemoryContext old;
		uint64		count;

		SPI_cursor_fetch(portal, true, NOTED_ROWS);
		rows = SPI_tuptable;
		count = SPI_processed;
		if (count == 0)
			break;
		old = MemoryContextSwitchTo(per_fetch);
		note_rows(arguments, rows, count);
		MemoryContextSwitchTo(old);
		MemoryContextReset(per_fetch);
		SPI_freetuptable(rows);
	}
	MemoryContextDelete(per_fetch);
	SPI_cursor_close(portal);
	SetUserIdAndSecContext(user, context);
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
	{
		if (rows_are_noted(data))
			note_all(data->tg_relation, arguments);
	}
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

/*
 * quarantine.c
 *	  Documents that cannot become rows: mongo_migrate.quarantine.
 *
 * An entry holds the document as it was read, byte for byte, and why it was
 * refused.  It is written in the transaction of the batch.
 */
#include "postgres.h"
#include "compat.h"

#include "bson/json.h"
#include "catalog/pg_type.h"
#include "load/load.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

/* Where a longer key is cut and ended by a digest: the entry's key is indexed. */
#define KEY_HEAD 1000

/*
 * The key that an entry has for a document's _id: the id map's, but for very
 * long ones.  mongo_migrate.quarantine_key() is the same in SQL.
 */
static bytea *
entry_key(const bson_t *document)
{
	bytea	   *key = document_key(document);
	Datum		head;
	Datum		digest;

	if (key == NULL)
		elog(ERROR, "document has no _id");
	if (VARSIZE_ANY_EXHDR(key) <= LOAD_KEY_MAX)
		return key;
	head = DirectFunctionCall3(bytea_substr, PointerGetDatum(key), Int32GetDatum(1),
							   Int32GetDatum(KEY_HEAD));
	digest = DirectFunctionCall1(sha256_bytea, PointerGetDatum(key));
	return DatumGetByteaP(DirectFunctionCall2(byteacat, head, digest));
}

/* A document's _id as Extended JSON. */
static char *
id_as_json(const bson_t *document)
{
	StringInfoData json;
	bson_iter_t id;

	initStringInfo(&json);
	if (!bson_iter_init_find(&id, document, "_id") ||
		json_append_value(&json, &id, JSON_RELAXED) != CONVERT_OK)
		return json_preview_id(document);
	return json.data;
}

/* Writes the entry of a rejected document, or writes it anew. */
void
quarantine_put(LoadSession *session, LoadDocument *document, NullableDatum run_id)
{
	static SPIPlanPtr plan = NULL;
	static Oid	types[] = {
		NAMEOID, TEXTOID, BYTEAOID, TEXTOID, BYTEAOID,
		TEXTOID, TEXTOID, TEXTOID, TEXTOID, TEXTOID, INT8OID
	};
	Rejection  *rejection = document->rejection;
	bytea	   *bytes = palloc(VARHDRSZ + document->length);
	bson_t		bson;
	Datum		values[lengthof(types)];
	char		nulls[lengthof(types) + 1] = "           ";
	const char *texts[] = {
		rejection->target, rejection->path, rejection->reason,
		unpack_sql_state(rejection->sqlstate), rejection->hint
	};

	document_bson(document, &bson);
	SET_VARSIZE(bytes, VARHDRSZ + document->length);
	memcpy(VARDATA(bytes), document->bytes, document->length);
	values[0] = NameGetDatum(&session->server);
	values[1] = CStringGetTextDatum(session->collection);
	values[2] = PointerGetDatum(entry_key(&bson));
	values[3] = CStringGetTextDatum(id_as_json(&bson));
	values[4] = PointerGetDatum(bytes);
	for (int i = 0; i < lengthof(texts); i++)
	{
		if (texts[i] == NULL)
			nulls[5 + i] = 'n';
		else
			values[5 + i] = CStringGetTextDatum(texts[i]);
	}
	values[10] = run_id.value;
	if (run_id.isnull)
		nulls[10] = 'n';
	SPI_connect();
	statement_execute(&plan,
					  "INSERT INTO mongo_migrate.quarantine AS q"
					  " (server, collection, key, source_id, document, target, path, reason, sqlstate, hint, run_id)"
					  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
					  " ON CONFLICT (server, collection, key) DO UPDATE SET"
					  " source_id = excluded.source_id, document = excluded.document,"
					  " target = excluded.target, path = excluded.path, reason = excluded.reason,"
					  " sqlstate = excluded.sqlstate, hint = excluded.hint,"
					  " run_id = coalesce(excluded.run_id, q.run_id), at = pg_catalog.clock_timestamp()",
					  lengthof(types), types, values, nulls);
	SPI_finish();
}

/* Removes the entry of the document with an _id, if there is one. */
void
quarantine_remove(LoadSession *session, const bson_t *document)
{
	static SPIPlanPtr plan = NULL;
	static Oid	types[] = {NAMEOID, TEXTOID, BYTEAOID};
	Datum		values[] = {
		NameGetDatum(&session->server), CStringGetTextDatum(session->collection),
		PointerGetDatum(entry_key(document))
	};

	SPI_connect();
	statement_execute(&plan,
					  "DELETE FROM mongo_migrate.quarantine"
					  " WHERE server OPERATOR(pg_catalog.=) $1"
					  "   AND collection OPERATOR(pg_catalog.=) $2"
					  "   AND key OPERATOR(pg_catalog.=) $3", lengthof(types), types, values, NULL);
	SPI_finish();
}

/* Marks the documents of the batch that are in quarantine as skipped. */
void
quarantine_mark_present(LoadSession *session)
{
	Oid			types[] = {NAMEOID, TEXTOID};
	Datum		values[] = {
		NameGetDatum(&session->server), CStringGetTextDatum(session->collection)
	};
	Tuplestorestate *rows = tuplestore_begin_heap(false, false, work_mem);
	TupleDesc	desc = CreateTemplateTupleDesc(2);
	bool	   *present = palloc0(session->ndocuments * sizeof(bool));

	TupleDescInitEntry(desc, 1, "key", BYTEAOID, -1, 0);
	TupleDescInitEntry(desc, 2, "document", INT4OID, -1, 0);
	for (int i = 0; i < session->ndocuments; i++)
	{
		Datum		row[2];
		bson_t		bson;
		bool		nulls[2] = {false, false};

		if (session->documents[i].state != DOCUMENT_READ)
			continue;
		row[0] = PointerGetDatum(entry_key(document_bson(&session->documents[i], &bson)));
		row[1] = Int32GetDatum(i);
		tuplestore_putvalues(rows, desc, row, nulls);
	}
	SPI_connect();
	statement_show_rows(BATCH, desc, rows);
	SPI_execute_with_args("SELECT b.document FROM " BATCH_NAME " AS b"
						  " WHERE EXISTS (SELECT FROM mongo_migrate.quarantine AS q"
						  "   WHERE q.server OPERATOR(pg_catalog.=) $1"
						  "     AND q.collection OPERATOR(pg_catalog.=) $2"
						  "     AND q.key OPERATOR(pg_catalog.=) b.key)",
						  lengthof(types), types, values, NULL, false, 0);
	statement_mark(present);
	SPI_finish();
	tuplestore_end(rows);
	for (int i = 0; i < session->ndocuments; i++)
		if (present[i])
			session->documents[i].state = DOCUMENT_SKIPPED;
}

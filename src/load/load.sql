-- load.sql: batches and the quarantine.

-- Sessions keep what they have compiled from a plan from batch to batch.
CREATE FUNCTION mongo_migrate.plan_changed() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'mm_plan_changed';
COMMENT ON FUNCTION mongo_migrate.plan_changed() IS
    'has every session that copies documents read the plan again before its next batch';

CREATE TRIGGER plan_changed AFTER UPDATE OF time_zone, date_style, interval_style ON mongo_migrate.plan
    FOR EACH STATEMENT EXECUTE FUNCTION mongo_migrate.plan_changed();
CREATE TRIGGER plan_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON mongo_migrate.plan_target
    FOR EACH STATEMENT EXECUTE FUNCTION mongo_migrate.plan_changed();
CREATE TRIGGER plan_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON mongo_migrate.plan_column
    FOR EACH STATEMENT EXECUTE FUNCTION mongo_migrate.plan_changed();
CREATE TRIGGER plan_changed AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON mongo_migrate.id_map
    FOR EACH STATEMENT EXECUTE FUNCTION mongo_migrate.plan_changed();

CREATE FUNCTION mongo_migrate.may_be_data(sqlstate text) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'mm_may_be_data';
COMMENT ON FUNCTION mongo_migrate.may_be_data(text) IS
    'whether a load takes an error of an SQLSTATE for the fault of the document that it was at, and sets that aside';

CREATE FUNCTION mongo_migrate.copy_batch(server name, collection text, chunk integer,
        batch_size integer DEFAULT 5000, on_error text DEFAULT 'quarantine', run_id bigint DEFAULT NULL,
        OUT documents bigint, OUT inserted bigint, OUT skipped bigint, OUT rejected bigint,
        OUT rounded bigint, OUT complete boolean)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mm_copy_batch';
COMMENT ON FUNCTION mongo_migrate.copy_batch(name, text, integer, integer, text, bigint) IS
    'copies the next batch_size documents of a chunk into the tables of the plan and moves the chunk''s checkpoint, in the current transaction; on_error: quarantine, or stop at the first bad document; returns what became of the documents, the number of values rounded to a numeric scale, and whether the chunk is complete; error 55P03 where another transaction has the chunk';

CREATE FUNCTION mongo_migrate.batch_document(document integer) RETURNS jsonb
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED COST 1
    AS 'MODULE_PATHNAME', 'mm_batch_document';
COMMENT ON FUNCTION mongo_migrate.batch_document(integer) IS
    'for the statements of a batch: its document of that number, which expressions of a plan know as doc';

CREATE FUNCTION mongo_migrate.batch_rows() RETURNS SETOF record
    LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED COST 1 ROWS 1000
    AS 'MODULE_PATHNAME', 'mm_batch_rows';
COMMENT ON FUNCTION mongo_migrate.batch_rows() IS
    'for the statements of a batch: its rows for one table, which can be read once';

CREATE FUNCTION mongo_migrate.bson_id(document bytea) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'mm_bson_id';
COMMENT ON FUNCTION mongo_migrate.bson_id(bytea) IS
    'the BSON {"_id": ...} of a BSON document; error 22023 for what is none';

CREATE FUNCTION mongo_migrate.copy_documents(server name, collection text, ids bytea[],
        OUT documents bigint, OUT inserted bigint, OUT skipped bigint, OUT rejected bigint,
        OUT rounded bigint, OUT gone bigint)
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mm_copy_documents';
COMMENT ON FUNCTION mongo_migrate.copy_documents(name, text, bytea[]) IS
    'reads single documents anew from the source and copies them; ids: BSON documents with the _id of each, as in mongo_migrate.quarantine; documents whose rows are there are skipped, unless they are in quarantine with an id of the map, those that cannot be copied go into quarantine, and those that could leave it; gone: documents that the source has no longer';

CREATE FUNCTION mongo_migrate.replace_documents(server name, collection text, ids bytea[], delete_gone boolean, retry_dangling boolean,
        after bigint DEFAULT 0,
        OUT documents bigint, OUT inserted bigint, OUT replaced bigint, OUT deleted bigint, OUT rejected bigint,
        OUT rounded bigint, OUT gone bigint, OUT written bytea[], OUT dangling bytea[], OUT held bytea[], OUT moved bytea[], OUT refused bytea[], OUT reasons text[])
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    SET enable_seqscan = off    -- a batch looks its rows up, rather than read the tables
    SET random_page_cost = 0.1
    SET jit = off
    AS 'MODULE_PATHNAME', 'mm_replace_documents';
COMMENT ON FUNCTION mongo_migrate.replace_documents(name, text, bytea[], boolean, boolean, bigint) IS
    'reads single documents anew from the source and makes their rows what they would be now; ids: BSON documents with the _id of each; rows of tables of documents are updated, child rows deleted and inserted; delete_gone: documents that the source has no longer, or that the filter leaves out, lose their rows; rejected: documents that cannot become rows, which keep those that they have, with a warning, or else go into quarantine; gone: not in the source, and nothing was done; written: the ids of documents whose rows changed; dangling: with retry_dangling, of those rejected ones that a foreign key refused, of which nothing is told, held: of those that are gone and referred to, and moved: of those that are referred to by a value that they have no longer; without, references that dangle are made NULL where the plan says so, and recorded; refused: of those whose rows stay as they were, and why; after: a time of the cluster (seconds << 31, and a number) that the source must have reached, 0: any';

CREATE FUNCTION mongo_migrate.quarantine_key(key bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN pg_catalog.length(key) <= 2000 THEN key
        ELSE pg_catalog.substr(key, 1, 1000) || pg_catalog.sha256(key) END;
COMMENT ON FUNCTION mongo_migrate.quarantine_key(bytea) IS
    'the key that mongo_migrate.quarantine has for the document of that key: the same, but for very long ones, which no index takes';

CREATE FUNCTION mongo_migrate.is_quarantined(server name, collection text, key bytea) RETURNS boolean
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM mongo_migrate.quarantine AS q
                    WHERE (q.server, q.collection, q.key) = ($1, $2, mongo_migrate.quarantine_key($3)))
$$;
COMMENT ON FUNCTION mongo_migrate.is_quarantined(name, text, bytea) IS
    'whether the document with an _id, as bson_key() has it, is in quarantine';

CREATE FUNCTION mongo_migrate.name_dangling(server name, collection text) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE mongo_migrate.quarantine AS q
       SET reason = format('%s.%I refers to a document of %s that does not exist', c.target, c.column_name, c.refers_to),
           hint = 'When the missing document has come, call mongo_migrate.retry_quarantine.'
      FROM mongo_migrate.plan_column AS c
     WHERE (q.server, q.collection) = ($1, $2) AND q.sqlstate = '23503' AND q.hint IS NULL
       AND (c.server, c.collection, c.target) = (q.server, q.collection, q.target)
       AND c.role = 'reference' AND c.on_dangling = 'quarantine' AND c.included
       AND strpos(q.reason, format('(%s)=(', c.column_name)) > 0
$$;
COMMENT ON FUNCTION mongo_migrate.name_dangling(name, text) IS
    'what a foreign key has refused, where the plan wants that in quarantine, has the plan''s reason and not an id';


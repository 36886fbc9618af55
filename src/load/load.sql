-- load.sql: batches, id maps and the quarantine.

CREATE FUNCTION mongo_migrate.create_id_map(server name, collection text) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    map mongo_migrate.id_map;
BEGIN
    PERFORM mongo_migrate.require_source(server, collection);
    INSERT INTO mongo_migrate.id_map (server, collection)
        VALUES (create_id_map.server, create_id_map.collection)
        ON CONFLICT DO NOTHING;
    SELECT * INTO STRICT map FROM mongo_migrate.id_map AS m
        WHERE m.server = create_id_map.server AND m.collection = create_id_map.collection
        FOR UPDATE;
    IF map.id_type = 'source' THEN
        RETURN NULL;
    END IF;
    IF map.relation IS NOT NULL AND to_regclass(map.relation) IS NOT NULL THEN
        RETURN map.relation;
    END IF;
    -- A table of that name may be left from before the extension was dropped and created anew.
    map.relation := format('mongo_migrate.id_map_%s', map.map_number);
    WHILE to_regclass(map.relation) IS NOT NULL LOOP
        UPDATE mongo_migrate.id_map AS m SET map_number = DEFAULT
            WHERE m.server = create_id_map.server AND m.collection = create_id_map.collection
            RETURNING format('mongo_migrate.id_map_%s', m.map_number) INTO map.relation;
    END LOOP;
    IF map.id_type = 'bigint' THEN
        EXECUTE format('CREATE TABLE %s (key bytea PRIMARY KEY, id bigint NOT NULL)', map.relation);
        -- Sessions take ids by the hundred: one by one, they are a tenth of a load.
        EXECUTE format('CREATE SEQUENCE %s_id_seq CACHE 100 OWNED BY %1$s.id', map.relation);
    ELSE
        EXECUTE format('CREATE TABLE %s (key bytea PRIMARY KEY, id uuid NOT NULL)', map.relation);
    END IF;
    EXECUTE format('COMMENT ON TABLE %s IS %L', map.relation,
                   format('ids of the documents of collection "%s" of server "%s"', collection, server));
    UPDATE mongo_migrate.id_map AS m SET relation = map.relation
        WHERE m.server = create_id_map.server AND m.collection = create_id_map.collection;
    RETURN map.relation;
END
$$;
COMMENT ON FUNCTION mongo_migrate.create_id_map(name, text) IS
    'makes the id map of a collection, where there is none: a table (key bytea, id), by the id_type in mongo_migrate.id_map (bigint where the collection has no row there); returns its name, or NULL for id_type source, which needs none';
REVOKE ALL ON FUNCTION mongo_migrate.create_id_map(name, text) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.id_map_of(server name, collection text) RETURNS mongo_migrate.id_map
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    map mongo_migrate.id_map;
BEGIN
    SELECT m.* INTO map FROM mongo_migrate.id_map AS m
        WHERE m.server = id_map_of.server AND m.collection = id_map_of.collection;
    IF NOT FOUND OR (map.relation IS NULL AND map.id_type <> 'source') THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('collection "%s" of server "%s" has no id map', collection, server),
            HINT = format('Make it: SELECT mongo_migrate.create_id_map(%L, %L);', server, collection);
    END IF;
    RETURN map;
END
$$;
COMMENT ON FUNCTION mongo_migrate.id_map_of(name, text) IS
    'the row of mongo_migrate.id_map of a collection; error 55000 where there is none or its table has not been made';
REVOKE ALL ON FUNCTION mongo_migrate.id_map_of(name, text) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.finish_id_map(server name, collection text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    map regclass;
BEGIN
    SELECT to_regclass(m.relation) INTO map FROM mongo_migrate.id_map AS m
        WHERE m.server = finish_id_map.server AND m.collection = finish_id_map.collection;
    IF map IS NOT NULL AND NOT EXISTS (
        SELECT FROM pg_constraint AS c WHERE c.conrelid = map AND c.contype = 'u')
    THEN
        EXECUTE format('ALTER TABLE %s ADD UNIQUE (id)', map);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.finish_id_map(name, text) IS
    'makes the ids of a collection''s id map unique, which is also the index for mongo_migrate.source_id(); to be called after the load, because it is cheaper then';
REVOKE ALL ON FUNCTION mongo_migrate.finish_id_map(name, text) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.copy_batch(server name, collection text, chunk integer,
        batch_size integer DEFAULT 1000, on_error text DEFAULT 'quarantine', run_id bigint DEFAULT NULL,
        OUT documents bigint, OUT inserted bigint, OUT skipped bigint, OUT rejected bigint,
        OUT rounded bigint, OUT complete boolean)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mm_copy_batch';
COMMENT ON FUNCTION mongo_migrate.copy_batch(name, text, integer, integer, text, bigint) IS
    'copies the next batch_size documents of a chunk into the tables of the plan and moves the chunk''s checkpoint, in the current transaction; on_error: quarantine, or stop at the first bad document; returns what became of the documents, the number of values rounded to a numeric scale, and whether the chunk is complete; error 55P03 where another transaction has the chunk';
REVOKE ALL ON FUNCTION mongo_migrate.copy_batch(name, text, integer, integer, text, bigint) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.batch_document(document integer) RETURNS jsonb
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED COST 1
    AS 'MODULE_PATHNAME', 'mm_batch_document';
COMMENT ON FUNCTION mongo_migrate.batch_document(integer) IS
    'for the statements of a batch: its document of that number, which expressions of a plan know as doc';
REVOKE ALL ON FUNCTION mongo_migrate.batch_document(integer) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.batch_rows() RETURNS SETOF record
    LANGUAGE c STABLE STRICT PARALLEL RESTRICTED COST 1 ROWS 1000
    AS 'MODULE_PATHNAME', 'mm_batch_rows';
COMMENT ON FUNCTION mongo_migrate.batch_rows() IS
    'for the statements of a batch: its rows for one table, which can be read once';
REVOKE ALL ON FUNCTION mongo_migrate.batch_rows() FROM PUBLIC;

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
    'reads single documents anew from the source and copies them; ids: BSON documents with the _id of each, as in mongo_migrate.quarantine; documents whose rows are there are skipped, those that cannot be copied go into quarantine, and those that could leave it; gone: documents that the source has no longer';
REVOKE ALL ON FUNCTION mongo_migrate.copy_documents(name, text, bytea[]) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.quarantine_key(key bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN pg_catalog.length(key) <= 2000 THEN key
        ELSE pg_catalog.substr(key, 1, 1000) || pg_catalog.sha256(key) END;
COMMENT ON FUNCTION mongo_migrate.quarantine_key(bytea) IS
    'the key that mongo_migrate.quarantine has for the document of that key: the same, but for very long ones, which no index takes';

CREATE FUNCTION mongo_migrate.retry_quarantine(server name, collection text DEFAULT NULL,
        OUT documents bigint, OUT inserted bigint, OUT skipped bigint, OUT rejected bigint,
        OUT rounded bigint, OUT gone bigint)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_collection text;
    ids bytea[];
    counts record;
    -- Entries that fail again are written anew, with the same number.
    last_entry CONSTANT bigint := (SELECT max(q.quarantine_id) FROM mongo_migrate.quarantine AS q);
    entry bigint;
BEGIN
    PERFORM mongo_migrate.require_plan(server, collection);
    documents := 0; inserted := 0; skipped := 0; rejected := 0; rounded := 0; gone := 0;
    FOR of_collection IN
        SELECT DISTINCT q.collection FROM mongo_migrate.quarantine AS q
            WHERE q.server = retry_quarantine.server
              AND q.collection = coalesce(retry_quarantine.collection, q.collection)
            ORDER BY 1
    LOOP
        entry := 0;
        LOOP
            SELECT max(e.quarantine_id), array_agg(mongo_migrate.bson_id(e.document))
                INTO entry, ids
                FROM (SELECT q.quarantine_id, q.document
                          FROM mongo_migrate.quarantine AS q
                          WHERE q.server = retry_quarantine.server
                            AND q.collection = of_collection
                            AND q.quarantine_id > entry
                            AND q.quarantine_id <= last_entry
                          ORDER BY q.quarantine_id LIMIT 1000
                          FOR UPDATE) AS e;
            EXIT WHEN entry IS NULL;
            SELECT * INTO counts
                FROM mongo_migrate.copy_documents(retry_quarantine.server, of_collection, ids);
            documents := documents + counts.documents;
            inserted := inserted + counts.inserted;
            skipped := skipped + counts.skipped;
            rejected := rejected + counts.rejected;
            rounded := rounded + counts.rounded;
            gone := gone + counts.gone;
        END LOOP;

        -- A reference that leads nowhere may be NULL by the plan: such foreign
        -- keys come after the rows, as in a migration.
        ids := ARRAY(SELECT mongo_migrate.bson_id(q.document) FROM mongo_migrate.quarantine AS q
                     WHERE q.server = retry_quarantine.server AND q.collection = of_collection
                       AND q.quarantine_id <= last_entry AND q.sqlstate = '23503');
        IF ids <> '{}' AND EXISTS (
            SELECT FROM mongo_migrate.plan_column AS c
            WHERE c.server = retry_quarantine.server AND c.collection = of_collection
              AND c.role = 'reference' AND c.on_dangling = 'null' AND c.included)
        THEN
            PERFORM mongo_migrate.drop_foreign_keys(retry_quarantine.server, of_collection, NULL, 'null');
            SELECT * INTO counts
                FROM mongo_migrate.copy_documents(retry_quarantine.server, of_collection, ids);
            PERFORM mongo_migrate.apply_references(retry_quarantine.server, of_collection);
            inserted := inserted + counts.inserted;
            skipped := skipped + counts.skipped;
            rejected := rejected - counts.documents + counts.rejected;
            rounded := rounded + counts.rounded;
            gone := gone + counts.gone;
        ELSIF EXISTS (
            SELECT FROM mongo_migrate.plan_column AS c
            WHERE c.server = retry_quarantine.server AND c.collection = of_collection
              AND c.included AND mongo_migrate.value_column(c) IS NOT NULL)
        THEN
            PERFORM mongo_migrate.apply_references(retry_quarantine.server, of_collection);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.retry_quarantine(name, text) IS
    'tries the documents in quarantine again, of one collection or of all, each as the source has it now; returns what became of them: rejected ones stay, with the new reason; gone ones are not in the source any more and leave quarantine with a notice';
REVOKE ALL ON FUNCTION mongo_migrate.retry_quarantine(name, text) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.target_id(server name, collection text, source_id json) RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    map mongo_migrate.id_map := mongo_migrate.id_map_of(server, collection);
    result text;
BEGIN
    IF map.id_type = 'source' THEN
        SELECT d."values"[1] INTO result
            FROM mongo_migrate.decode_document(
                mongo_migrate.bson_from_json(json_build_object('_id', source_id)), ARRAY['_id'],
                ARRAY[(SELECT coalesce(min(c.type), 'text') FROM mongo_migrate.plan_column AS c
                           WHERE c.server = target_id.server AND c.collection = target_id.collection
                             AND c.role = 'id')]) AS d;
    ELSE
        EXECUTE format('SELECT id::text FROM %s WHERE key = $1', map.relation::regclass)
            INTO result USING mongo_migrate.bson_key(source_id);
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION mongo_migrate.target_id(name, text, json) IS
    'the id in PostgreSQL of the document with this _id (Extended JSON), as text; NULL where it has none';
REVOKE ALL ON FUNCTION mongo_migrate.target_id(name, text, json) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.source_id(server name, collection text, id text) RETURNS json
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    map mongo_migrate.id_map := mongo_migrate.id_map_of(server, collection);
    result json;
BEGIN
    IF map.id_type = 'source' THEN
        RETURN CASE WHEN id ~ '^-?[0-9]+$' THEN id::json
                    WHEN id ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' THEN json_build_object('$uuid', id)
                    ELSE to_json(id) END;
    END IF;
    EXECUTE format('SELECT mongo_migrate.key_to_json(key) FROM %s WHERE id = $1::%s',
                   map.relation::regclass, map.id_type)
        INTO result USING id;
    RETURN result;
END
$$;
COMMENT ON FUNCTION mongo_migrate.source_id(name, text, text) IS
    'the _id (canonical Extended JSON) of the document that has this id in PostgreSQL; NULL where there is none';
REVOKE ALL ON FUNCTION mongo_migrate.source_id(name, text, text) FROM PUBLIC;

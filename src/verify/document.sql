-- document.sql: one document and its rows, side by side.

-- The documents that an id means: by _id, or else the id of a row.
CREATE FUNCTION mongo_migrate.verify_find(server name, collection text, id text) RETURNS SETOF json
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    map     text := (SELECT m.relation FROM mongo_migrate.id_map AS m WHERE (m.server, m.collection) = ($1, $2));
    key     bytea;
BEGIN
    RETURN QUERY SELECT d FROM mongo_migrate.find_documents(server, collection, mongo_migrate.verify_filter('{}',
        (SELECT json_agg(c) FROM mongo_migrate.verify_candidates(id) AS c)), '{"projection": {"_id": 1}}', 'canonical') AS d;
    IF NOT FOUND AND map IS NOT NULL THEN
        EXECUTE format('SELECT key FROM %s WHERE id::text = $1', map) INTO key USING id;
        RETURN QUERY SELECT d FROM mongo_migrate.find_documents(server, collection, mongo_migrate.verify_filter('{}',
            json_build_array(mongo_migrate.key_to_json(key))), '{"projection": {"_id": 1}}', 'canonical') AS d WHERE key IS NOT NULL;
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_find(name, text, text) IS
    'the documents, in canonical Extended JSON and of them the _id alone, whose _id a text means, or else the document of the row with that id';

-- The ids of rows that an id may mean: its own, or the one of an _id.
CREATE FUNCTION mongo_migrate.verify_row_ids(job mongo_migrate.verify_job, id text) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type    oid := (SELECT r.key_type FROM mongo_migrate.verify_root(job.server, job.collection, job.root) AS r);
    ident   record;
    ids     text[];
BEGIN
    SELECT * INTO ident FROM mongo_migrate.verify_id(job.server, job.collection, type, '(c::jsonb)');
    EXECUTE CASE WHEN ident.map IS NULL THEN
        format('SELECT array_agg(DISTINCT (%s)::text) FROM mongo_migrate.verify_candidates($1) AS c', ident.id)
    ELSE
        format('SELECT array_agg(m.id::text) FROM %s AS m WHERE m.id::text = $1 '
               'OR m.key IN (SELECT mongo_migrate.bson_key(c) FROM mongo_migrate.verify_candidates($1) AS c)', ident.map)
    END INTO ids USING id;
    RETURN ids;
EXCEPTION WHEN numeric_value_out_of_range THEN
    RETURN NULL;    -- more than the column's type holds
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_row_ids(mongo_migrate.verify_job, text) IS
    'ids of rows of a job''s root that a text means; NULL: of none';

-- A statement's rows in the order of the document: by positions in arrays, then as they come.
CREATE FUNCTION mongo_migrate.verify_in_order(statement text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(
        'SELECT s.source_id, s.target, s.column_name, s.kind, s.source_value, s.target_value, s.element '
        'FROM (SELECT v.*, row_number() OVER () AS n FROM (%s) AS v) AS s '
        'ORDER BY s.source_id, (SELECT array_agg(m[1]::bigint ORDER BY k) '
        'FROM regexp_matches(s.element, ''\.([0-9]+)(?=\.|$)'', ''g'') WITH ORDINALITY AS r(m, k)), s.n', statement)
$$;
COMMENT ON FUNCTION mongo_migrate.verify_in_order(text) IS
    'a statement of a verification with its rows ordered by array positions';

CREATE FUNCTION mongo_migrate.verify_side_by_side(server name, collection text, id text)
    RETURNS TABLE (source_id text, target text, column_name text, kind text, source_value text, target_value text,
                   element text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET row_security = off      -- as in verify_collection()
AS $$
DECLARE
    documents json[] := ARRAY(SELECT mongo_migrate.verify_find(server, collection, id));
    ids     json := (SELECT json_agg(mongo_migrate.key_to_json(mongo_migrate.verify_document_key(d))) FROM unnest(documents) AS d);
    -- That says it, below, where it cannot be compared.
    quarantined constant boolean := EXISTS (
        SELECT FROM mongo_migrate.quarantine AS q
        WHERE (q.server, q.collection) = ($1, $2)
          AND q.key IN (SELECT mongo_migrate.quarantine_key(mongo_migrate.bson_key(c)) FROM json_array_elements(ids) AS c));
    nothing boolean := true;
    batch   record;
    job     mongo_migrate.verify_job;
BEGIN
    PERFORM mongo_migrate.set_plan_settings(server, collection);
    FOR job IN SELECT * FROM mongo_migrate.verify_jobs(NULL, server, collection, true, false) LOOP
        BEGIN
            batch := mongo_migrate.verify_batch(ARRAY(SELECT d FROM mongo_migrate.find_documents(server, collection,
                mongo_migrate.verify_filter(job.filter, ids), '{}', 'canonical') AS d));
        EXCEPTION WHEN data_corrupted OR untranslatable_character THEN
            RETURN QUERY SELECT id, job.root, NULL, 'mismatch', NULL, 'cannot be compared: ' || SQLERRM, NULL WHERE NOT quarantined;
            nothing := false;
            CONTINUE;
        END;
        FOR n IN 1 .. cardinality(job.targets) LOOP
            BEGIN
                RETURN QUERY EXECUTE mongo_migrate.verify_in_order(job.statements[n])
                    USING coalesce(batch.keys, '{}'), batch.documents, coalesce(batch.ids, '{}');
                nothing := nothing AND NOT FOUND;
            EXCEPTION WHEN OTHERS OR assert_failure THEN
                IF NOT mongo_migrate.may_be_data(SQLSTATE) THEN
                    RAISE;
                END IF;
                RETURN QUERY SELECT id, job.targets[n], NULL, 'mismatch', left(batch.documents[1]::text, 1000),
                                    'cannot be compared: ' || SQLERRM, NULL WHERE NOT quarantined;
                nothing := false;
            END;
        END LOOP;
        -- By ids of some types rows are not looked for.
        IF batch.keys IS NULL AND job.root = ANY (job.targets) AND mongo_migrate.verify_rows_statement(job) IS NOT NULL THEN
            RETURN QUERY EXECUTE mongo_migrate.verify_in_order(mongo_migrate.verify_rows_statement(job))
                USING mongo_migrate.verify_row_ids(job, id);
            nothing := nothing AND NOT FOUND;
        END IF;
    END LOOP;

    RETURN QUERY
        SELECT q.source_id, q.target, q.path, 'quarantined', NULL, q.reason, NULL
        FROM mongo_migrate.quarantine AS q
        WHERE (q.server, q.collection) = ($1, $2)
            AND q.key IN (SELECT mongo_migrate.quarantine_key(mongo_migrate.bson_key(c)) FROM mongo_migrate.verify_candidates($3) AS c);
    IF nothing AND NOT FOUND THEN
        RAISE no_data_found USING
            MESSAGE = format('collection "%s" has no document with _id %s, and its tables no such row', collection, coalesce(id, 'NULL')),
            HINT = 'An id may be 24 hex digits, a number, a UUID, a time, text, Extended JSON such as {"$oid": "..."}, or the id of a row.';
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_side_by_side(name, text, text) IS
    'the work of compare_document()';

CREATE FUNCTION mongo_migrate.compare_document(server name, collection text, id text)
    RETURNS TABLE (source_id text, target text, element text, column_name text, source_value text, target_value text,
                   kind text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM mongo_migrate.require_source(server, collection);
    PERFORM mongo_migrate.verify_require_plan(server, collection);
    RETURN QUERY
        SELECT v.source_id, v.target, v.element, v.column_name, v.source_value, v.target_value, v.kind
        FROM mongo_migrate.verify_side_by_side(server, collection, id) AS v;
END
$$;
COMMENT ON FUNCTION mongo_migrate.compare_document(name, text, text) IS
    'shows a document and its rows side by side, a row for each value; id: _id as 24 hex digits, a number, a UUID, a time, text or Extended JSON, or the id of a row where there is no such _id. Result: kind is equal, or a difference as in verify_sample(), or quarantined with the reason in target_value. Errors: no plan; P0002 where neither document nor row is found';

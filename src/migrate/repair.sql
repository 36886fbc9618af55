-- repair.sql: the rows of documents, made anew where a verification found differences.

CREATE FUNCTION mongo_migrate.forget_references(server name, collection text, ids bytea[], before timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r record;
    l mongo_migrate.loaded_reference;
    row_ids text[];
BEGIN
    FOR r IN
        SELECT t.target, t.kind, c.column_name, d.column_name AS document_column, d.type, mongo_migrate.value_column(c) IS NOT NULL AS looked_up
          FROM mongo_migrate.plan_target AS t
          JOIN mongo_migrate.plan_column AS c USING (server, collection, target)
         CROSS JOIN LATERAL mongo_migrate.document_column(server, collection, t.target) AS d
         WHERE (t.server, t.collection) = (server, collection) AND t.included AND c.included AND c.role = 'reference'
    LOOP
        CONTINUE WHEN NOT (r.looked_up AND r.kind = 'root') AND NOT EXISTS (
            SELECT FROM mongo_migrate.dangling_reference AS d
             WHERE (d.server, d.collection, d.target, d.column_name) = (server, collection, r.target, r.column_name));
        row_ids := coalesce(row_ids, mongo_migrate.target_ids(server, collection, ids));
        EXECUTE (SELECT format('DELETE FROM mongo_migrate.dangling_reference AS d'
                               ' WHERE (d.server, d.collection, d.target, d.column_name) = ($1, $2, $3, $4) AND d.at < $5 AND %s = ANY ($6::%s[])',
                               mongo_migrate.row_key_value('d.row_key', r.document_column, f.type), f.type)
                   FROM mongo_migrate.column_type_without_typmod(to_regclass(r.target), r.document_column) AS f (type))
          USING server, collection, r.target, r.column_name, before, row_ids;
        -- Child rows are new.
        IF r.looked_up AND r.kind = 'root' THEN
            EXECUTE format('UPDATE %1$s AS t SET %2$I = NULL WHERE t.%3$I = ANY ($1::%4$s[]) AND t.%2$I IS NOT NULL',
                           r.target, r.column_name, r.document_column, r.type) USING row_ids;
        END IF;
    END LOOP;
    IF NOT EXISTS (SELECT FROM mongo_migrate.plan_column AS c
                    WHERE (c.server, c.refers_to) = (server, collection) AND c.role = 'reference' AND c.included
                      AND mongo_migrate.value_column(c) IS NOT NULL) THEN
        RETURN;
    END IF;
    -- Others may refer to these documents by a value that they have no longer.
    FOR l IN
        SELECT * FROM mongo_migrate.loaded_references(server, ARRAY[collection]) AS o
         WHERE o.refers_to = collection AND o.value_column <> o.column_name
    LOOP
        row_ids := coalesce(row_ids, mongo_migrate.target_ids(server, collection, ids));
        EXECUTE format('UPDATE %1$s AS t SET %2$I = NULL WHERE t.%2$I = ANY ($1::%3$s[]) AND t.%4$I IS NOT NULL', l.target, l.column_name,
                       mongo_migrate.column_type_without_typmod(to_regclass(l.target), l.column_name),
                       l.value_column)
            -- Citus does not compare rows that lie apart: all of these are looked up anew.
            || (SELECT coalesce(string_agg(CASE WHEN mongo_migrate.verify_is_elsewhere(l.target) OR mongo_migrate.verify_is_elsewhere(k.target) THEN ''
                                                ELSE format(' AND NOT EXISTS (SELECT FROM %s AS k WHERE k.%I = t.%I AND %s)', k.target, k.id, l.column_name, k.matches) END, ''),
                                ' AND false')
                  FROM mongo_migrate.reference_keys(server, l) AS k)
          USING row_ids;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.forget_references(name, text, bytea[], timestamptz) IS
    'what was recorded before then of dangling references of documents whose rows were replaced, and the ids of references that were looked up, go: apply_references() finds both anew; ids: BSON documents with the _id of each';

CREATE FUNCTION mongo_migrate.release_references(server name, collection text, gone bytea[], moved bytea[])
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    gone_ids constant text[] := mongo_migrate.target_ids(server, collection, gone);
    moved_ids constant text[] := mongo_migrate.target_ids(server, collection, moved);
    r mongo_migrate.loaded_reference;
    keys text[];            -- what is referred to of them
    condition text;
    count bigint;
    released boolean := false;
BEGIN
    IF gone_ids || moved_ids = '{}' THEN
        RETURN false;
    END IF;
    FOR r IN
        SELECT * FROM mongo_migrate.loaded_references(server, ARRAY[collection]) AS l
         WHERE l.refers_to = collection AND l.foreign_key IS NOT NULL
    LOOP
        CONTINUE WHEN r.by_id AND gone_ids = '{}';
        IF r.value_column <> r.column_name THEN
            -- It is looked up anew, and what dangles is settled, when they are gone.
            EXECUTE format('UPDATE %1$s AS t SET %2$I = NULL WHERE t.%2$I = ANY ($1::%3$s[])', r.target, r.column_name,
                           mongo_migrate.column_type_without_typmod(to_regclass(r.target), r.column_name)) USING gone_ids;
        ELSIF r.policy = 'null' THEN
            keys := gone_ids;
            IF NOT r.by_id THEN
                EXECUTE (SELECT format('SELECT array_agg(k.%I::text) FROM %s AS k WHERE k.%I = ANY ($1::%s[])', r.refers_column, r.refers_target,
                                       o.column_name, mongo_migrate.column_type_without_typmod(to_regclass(o.relation), o.column_name))
                           FROM mongo_migrate.referred_rows(server, collection, '_id') AS o)
                   INTO keys USING gone_ids || moved_ids;
            END IF;
            condition := format('t.%I = ANY (%L::%s[])', r.column_name, keys,
                mongo_migrate.column_type_without_typmod(to_regclass(r.target), r.column_name));
            count := mongo_migrate.record_dangling(server, r, condition);
            IF count > 0 THEN
                PERFORM mongo_migrate.allow_null(server, r);
                EXECUTE format('UPDATE %s AS t SET %I = NULL WHERE %s', r.target, r.column_name, condition);
                RAISE NOTICE '%.%: references to missing documents of % set to NULL: %', r.target, quote_ident(r.column_name), collection, count;
            END IF;
        ELSIF r.policy = 'quarantine' THEN
            PERFORM mongo_migrate.drop_foreign_keys(server, NULL, collection, 'quarantine');
            released := true;
        END IF;
    END LOOP;
    RETURN released;
END
$$;
COMMENT ON FUNCTION mongo_migrate.release_references(name, text, bytea[], bytea[]) IS
    'before documents of a collection lose their rows (gone), or the values by which they are referred to (moved): references to them become NULL and are recorded where the plan says so; where it says quarantine, their foreign keys are dropped, and apply_references() is to follow (true)';

CREATE FUNCTION mongo_migrate.replace_and_refer(server name, collection text, ids bytea[], delete_gone boolean, after bigint DEFAULT 0,
        OUT inserted bigint, OUT replaced bigint, OUT deleted bigint, OUT rejected bigint, OUT rounded bigint,
        OUT refused bytea[], OUT reasons text[], OUT released boolean)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    begun timestamptz := clock_timestamp();
    first record;
    again record;
BEGIN
    first := mongo_migrate.replace_documents(server, collection, ids, delete_gone, true, after);
    PERFORM mongo_migrate.forget_references(server, collection, first.written, begun);
    inserted := first.inserted;
    replaced := first.replaced;
    deleted := first.deleted;
    rejected := first.rejected;
    rounded := first.rounded;
    refused := first.refused;
    reasons := first.reasons;
    released := false;
    -- The plan says what becomes of a reference that leads nowhere.
    IF first.dangling || first.held || first.moved <> '{}' THEN
        released := mongo_migrate.release_references(server, collection, first.held, first.moved);
        begun := clock_timestamp();     -- what that has recorded of documents that are replaced now goes, too
        again := mongo_migrate.replace_documents(server, collection, first.dangling || first.held || first.moved, delete_gone, false, after);
        PERFORM mongo_migrate.forget_references(server, collection, again.written, begun);
        inserted := inserted + again.inserted;
        replaced := replaced + again.replaced;
        deleted := deleted + again.deleted;
        rejected := rejected - cardinality(first.dangling || first.held || first.moved) + again.rejected;
        rounded := rounded + again.rounded;
        refused := refused || again.refused;
        reasons := reasons || again.reasons;
    END IF;
    PERFORM mongo_migrate.name_dangling(server, collection);
END
$$;
COMMENT ON FUNCTION mongo_migrate.replace_and_refer(name, text, bytea[], boolean, bigint) IS
    'replace_documents(), and for documents that a foreign key refuses once more, with references as the plan has them where they dangle; released: apply_references() is to follow';

CREATE FUNCTION mongo_migrate.repair(server name, collection text, delete_extra boolean DEFAULT false,
        INOUT verification_id bigint DEFAULT NULL,
        OUT documents bigint, OUT inserted bigint, OUT replaced bigint, OUT deleted bigint, OUT rejected bigint,
        OUT rounded bigint, OUT unrepaired bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    sources record;         -- documents as findings have them, some at a time: keys of their _id, or where none is known ids
    ids bytea[];            -- BSON documents with the _id of each
    gone bytea[];           -- what may be those of documents that are not in the source
    left_out bigint;        -- number of these
    counts record;
BEGIN
    PERFORM mongo_migrate.require_source(server, collection);
    PERFORM mongo_migrate.require_plan(server, collection);
    PERFORM mongo_migrate.require_schemas(server, NULL);    -- references of all collections are settled
    verification_id := (
        SELECT max(v.verification_id) FROM mongo_migrate.verification AS v
         WHERE (v.server, v.collection) = (server, collection) AND v.kind IN ('sample', 'full') AND v.ended_at IS NOT NULL
           AND v.verification_id = coalesce(repair.verification_id, v.verification_id));
    IF verification_id IS NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('collection "%s" of server "%s" has no such verification', collection, server),
            DETAIL = 'What it found is what is repaired.',
            HINT = format('SELECT count(*) FROM mongo_migrate.verify_full(%L, %L);', server, collection);
    END IF;
    PERFORM mongo_migrate.lock_collection(server, collection);
    -- For apply_references(), in the order of lock.sql.
    PERFORM mongo_migrate.await_lock(mongo_migrate.run_lock(server, ''));
    -- Its documents would all be gone.
    PERFORM mongo_migrate.require_collection(server, collection);
    PERFORM mongo_migrate.reach_shards();
    PERFORM mongo_migrate.prepare_id_maps(server, collection);

    documents := 0; inserted := 0; replaced := 0; deleted := 0; rejected := 0; rounded := 0;
    unrepaired := (SELECT count(*) FROM mongo_migrate.finding AS f
                    WHERE (f.verification_id, f.collection) = (verification_id, collection)
                      AND f.kind IN ('missing', 'extra', 'mismatch') AND f.source_id IS NULL
                      -- The rows that a sum is wrong by are findings of their own.
                      AND NOT coalesce(starts_with(f.source_value, 'sum '), false));
    FOR sources IN
        SELECT array_agg(s.key) AS keys, array_agg(s.id) AS ids
          FROM (SELECT f.source_key AS key, f.id, row_number() OVER (ORDER BY f.source_key, f.id) / 1000 AS part
                  FROM (SELECT DISTINCT f.source_key, CASE WHEN f.source_key IS NULL THEN f.source_id END COLLATE "C" AS id
                          FROM mongo_migrate.finding AS f
                         WHERE (f.verification_id, f.collection) = (verification_id, collection)
                           AND f.kind IN ('missing', 'extra', 'mismatch') AND f.source_id IS NOT NULL) AS f) AS s
         GROUP BY s.part ORDER BY s.part
    LOOP
        WITH candidate AS MATERIALIZED (
            SELECT s.n, c.id, mongo_migrate.bson_key(c.id) AS key
              FROM unnest(sources.keys, sources.ids) WITH ORDINALITY AS s (key, id, n)
             CROSS JOIN LATERAL (SELECT mongo_migrate.key_to_json(s.key) AS id WHERE s.key IS NOT NULL
                                 UNION ALL
                                 SELECT o FROM mongo_migrate.verify_candidates(s.id) AS o
                                  WHERE coalesce(mongo_migrate.verify_text(mongo_migrate.without_nul(o)::jsonb), o::text) = s.id) AS c
        ), document AS MATERIALIZED (
            SELECT mongo_migrate.bson_from_json(d) AS id, mongo_migrate.verify_document_key(d) AS key
              FROM mongo_migrate.find_documents(server, collection,
                       mongo_migrate.verify_filter('{}', (SELECT json_agg(c.id) FROM candidate AS c)), '{"projection": {"_id": 1}}', 'canonical') AS d
        ), gone AS (
            SELECT c.n, c.id FROM candidate AS c
             WHERE c.n NOT IN (SELECT o.n FROM candidate AS o JOIN document USING (key))
        )
        SELECT ARRAY(SELECT d.id FROM document AS d),
               -- All that an id means lead to the same row, but for a string in a column of another type, and null.
               ARRAY(SELECT DISTINCT ON (g.n) mongo_migrate.bson_from_json(json_build_object('_id', g.id))
                       FROM gone AS g ORDER BY g.n, array_position(ARRAY['string', 'null'], json_typeof(g.id)) NULLS FIRST),
               (SELECT count(DISTINCT g.n) FROM gone AS g)
          INTO ids, gone, left_out;
        IF delete_extra THEN
            ids := ids || gone;
        ELSE
            unrepaired := unrepaired + left_out;
        END IF;
        counts := mongo_migrate.replace_and_refer(server, collection, ids, delete_extra);
        inserted := inserted + counts.inserted;
        replaced := replaced + counts.replaced;
        deleted := deleted + counts.deleted;
        rejected := rejected + counts.rejected;
        rounded := rounded + counts.rounded;
    END LOOP;
    documents := inserted + replaced + deleted + rejected;
    PERFORM mongo_migrate.apply_references(server, collection);
END
$$;
COMMENT ON FUNCTION mongo_migrate.repair(name, text, boolean, bigint) IS
    'reads the documents in which a verification has found missing, extra or mismatch anew, and makes their rows what they would be now; verification_id: the one to go by, by default the last of verify_sample() or verify_full() of the collection; delete_extra: rows of documents that are not in the source any more, or that the filter leaves out, are deleted. Result: the documents that were written, those rejected, which keep their rows, with a warning, or go into quarantine, values rounded, and unrepaired, findings that were left: of such rows, unless delete_extra, and of rows that lead to no document. Errors: no plan; 55000 where there is no verification; 55006 while the collection is being migrated';

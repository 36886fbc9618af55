-- quarantine.sql: documents that were put aside, once more.

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
    PERFORM mongo_migrate.reach_shards();
    -- A sync would lock the same documents' rows and entries; a migration may go on.
    PERFORM mongo_migrate.hold_collection(server, c.collection)
       FROM (SELECT DISTINCT q.collection FROM mongo_migrate.quarantine AS q
              WHERE q.server = retry_quarantine.server AND q.collection = coalesce(retry_quarantine.collection, q.collection)
              ORDER BY 1) AS c;
    -- For apply_references(), in the order of lock.sql.
    PERFORM mongo_migrate.await_lock(mongo_migrate.run_lock(server, ''));
    documents := 0; inserted := 0; skipped := 0; rejected := 0; rounded := 0; gone := 0;
    FOR of_collection IN
        SELECT DISTINCT q.collection FROM mongo_migrate.quarantine AS q
            WHERE q.server = retry_quarantine.server
              AND q.collection = coalesce(retry_quarantine.collection, q.collection)
            ORDER BY 1
    LOOP
        -- Its documents would all count as gone, and quarantine may have them as the last.
        PERFORM mongo_migrate.require_collection(server, of_collection);
        PERFORM mongo_migrate.prepare_id_maps(server, of_collection);
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
          OR EXISTS (
            SELECT FROM mongo_migrate.dangling_reference AS d
            WHERE d.server = retry_quarantine.server AND d.refers_to = of_collection)
        THEN
            -- By other keys references are looked up, and those that dangled may have their document now.
            PERFORM mongo_migrate.apply_references(retry_quarantine.server, of_collection);
        END IF;

        PERFORM mongo_migrate.name_dangling(retry_quarantine.server, of_collection);
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.retry_quarantine(name, text) IS
    'tries the documents in quarantine again, of one collection or of all, each as the source has it now; returns what became of them: rejected ones stay, with the new reason; gone ones are not in the source any more and leave quarantine with a notice';

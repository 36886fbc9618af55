-- rehearse.sql: a migration of a sample that is rolled back, and what it tells of the whole.

-- A table and what is in it, or what a sample would add to it.
CREATE TYPE mongo_migrate.target_size AS (
    target      text,
    rows        bigint,
    table_bytes bigint,
    index_bytes bigint
);
COMMENT ON TYPE mongo_migrate.target_size IS 'a table''s rows, and the bytes of the table (TOAST included) and of its indexes';

CREATE TYPE mongo_migrate.rehearsal AS (
    result      mongo_migrate.migration_result, -- of the sample
    total       bigint,                         -- documents in the source
    reasons     text,                           -- why documents were rejected
    added       mongo_migrate.target_size[],    -- by the sample
    copy_time   interval,
    key_time    interval
);
COMMENT ON TYPE mongo_migrate.rehearsal IS 'what a migration of a sample did before it was rolled back';

CREATE FUNCTION mongo_migrate.target_sizes(server name, collection text)
    RETURNS SETOF mongo_migrate.target_size
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    size mongo_migrate.target_size;
    relation regclass;
BEGIN
    FOR size.target, relation IN
        SELECT r.target, r.relation
          FROM (SELECT t.ordinal, t.target, to_regclass(t.target) AS relation FROM mongo_migrate.plan_target t
                 WHERE (t.server, t.collection) = (server, collection) AND t.included
                 UNION ALL
                SELECT NULL, 'id map', to_regclass(m.relation) FROM mongo_migrate.id_map m
                 WHERE (m.server, m.collection) = (server, collection)) r
         WHERE r.relation IS NOT NULL
         ORDER BY r.ordinal
    LOOP
        EXECUTE format('SELECT count(*) FROM %s', relation) INTO size.rows;
        -- Maps of free space and visibility do not grow with the rows of a sample.
        SELECT sum(pg_relation_size(c.oid) + CASE WHEN c.reltoastrelid = 0 THEN 0 ELSE pg_total_relation_size(c.reltoastrelid) END),
               sum(pg_indexes_size(c.oid))
          INTO size.table_bytes, size.index_bytes
          FROM pg_class c
         WHERE (c.oid = relation OR c.oid IN (SELECT relid FROM pg_partition_tree(relation)))
           AND (mongo_migrate.citus_distribution(relation)).kind IS NULL;    -- it has them on other nodes
        RETURN NEXT size;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.target_sizes(name, text) IS
    'the tables of a collection that exist, and last its id map, with their rows and bytes; bytes NULL where Citus has them on other nodes';

CREATE FUNCTION mongo_migrate.rehearse(server name, collection text, batch_size integer, on_error text,
        sample_size bigint)
    RETURNS mongo_migrate.rehearsal
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    started constant timestamptz := clock_timestamp();
    begun timestamptz;
    ranges bigint := 1;                 -- that documents are taken from
    migrated boolean;                   -- some of it, or its tables had rows
    range integer;
    batch record;
    key record;
    before mongo_migrate.target_size[];
    result mongo_migrate.migration_result;
    done mongo_migrate.rehearsal;
BEGIN
    PERFORM mongo_migrate.prepare_targets(server, collection);
    PERFORM mongo_migrate.drop_foreign_keys(server, collection, NULL);
    done.total := mongo_migrate.count_documents(server, collection);
    IF done.total > sample_size THEN
        ranges := least(10, sample_size);
    END IF;
    migrated := EXISTS (SELECT FROM mongo_migrate.chunk
        WHERE server = rehearse.server AND collection = rehearse.collection) OR mongo_migrate.has_rows(server, collection);
    DELETE FROM mongo_migrate.quarantine
     WHERE server = rehearse.server AND collection = rehearse.collection;
    DELETE FROM mongo_migrate.chunk
     WHERE server = rehearse.server AND collection = rehearse.collection;
    PERFORM mongo_migrate.create_chunks(server, collection, ranges);
    UPDATE mongo_migrate.chunk SET catching_up = migrated
     WHERE server = rehearse.server AND collection = rehearse.collection;
    -- A small collection has fewer.
    SELECT count(*) INTO ranges FROM mongo_migrate.chunk
     WHERE server = rehearse.server AND collection = rehearse.collection;
    PERFORM mongo_migrate.prepare_id_maps(server, collection, migrated);
    before := ARRAY(SELECT s FROM mongo_migrate.target_sizes(server, collection) s);

    begun := clock_timestamp();
    FOR range IN
        SELECT chunk FROM mongo_migrate.chunk
         WHERE server = rehearse.server AND collection = rehearse.collection
    LOOP
        LOOP
            SELECT * INTO batch
              FROM mongo_migrate.copy_batch(server, collection, range,
                       least(batch_size, sample_size / ranges)::integer, on_error, NULL);
            EXIT WHEN batch.complete OR (
                SELECT documents >= sample_size / ranges FROM mongo_migrate.chunk
                 WHERE server = rehearse.server AND collection = rehearse.collection
                   AND chunk = range);
        END LOOP;
    END LOOP;
    done.copy_time := clock_timestamp() - begun;

    begun := clock_timestamp();
    FOR key IN SELECT * FROM mongo_migrate.plan_keys(server, collection) k WHERE NOT k.done LOOP
        PERFORM mongo_migrate.make_key(key.statement, key.remedy);
    END LOOP;
    IF done.total <= sample_size THEN
        SET CONSTRAINTS ALL IMMEDIATE;      -- which commits would check
    END IF;
    PERFORM mongo_migrate.finish_id_map(server, collection);
    done.key_time := clock_timestamp() - begun;

    done.added := ARRAY(
        SELECT (a.target, a.rows - coalesce(b.rows, 0), a.table_bytes - coalesce(b.table_bytes, 0),
                a.index_bytes - coalesce(b.index_bytes, 0))::mongo_migrate.target_size
          FROM mongo_migrate.target_sizes(server, collection) WITH ORDINALITY a (target, rows, table_bytes, index_bytes, n)
          LEFT JOIN unnest(before) b ON b.target = a.target
         ORDER BY a.n);
    SELECT rehearse.collection, documents, inserted, skipped, rejected, batches,
           clock_timestamp() - started, round(documents / nullif(extract(epoch FROM done.copy_time), 0)),
           false, rounded, NULL INTO result
      FROM mongo_migrate.chunk_sum
     WHERE server = rehearse.server AND collection = rehearse.collection;
    done.result := result;
    done.reasons := mongo_migrate.quarantine_reasons(server, collection);
    PERFORM mongo_migrate.report_drift(server, collection, started);
    RAISE EXCEPTION USING ERRCODE = 'MM000', MESSAGE = 'the rehearsal is over';
EXCEPTION WHEN SQLSTATE 'MM000' THEN
    RETURN done;
END
$$;
COMMENT ON FUNCTION mongo_migrate.rehearse(name, text, integer, text, bigint) IS
    'migrates about so many documents of a collection, keys included, measures, and rolls all of it back';

CREATE FUNCTION mongo_migrate.rehearse_run(server name, collection text, batch_size integer, on_error text)
    RETURNS mongo_migrate.migration_result
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    did constant mongo_migrate.rehearsal := mongo_migrate.rehearse(server, collection, batch_size, on_error, 10000);
    scale constant numeric := did.total / nullif((did.result).documents, 0)::numeric;
    size mongo_migrate.target_size;
BEGIN
    RAISE NOTICE 'dry run of %: % of % documents read, % inserted, % skipped, % rejected; all rolled back',
        collection, (did.result).documents, did.total, (did.result).inserted, (did.result).skipped, (did.result).rejected;
    IF did.reasons IS NOT NULL THEN
        RAISE NOTICE 'rejected: %', did.reasons;
    END IF;
    PERFORM mongo_migrate.tell_unmatched_filters(server, collection);
    IF (did.result).inserted > 0 THEN
        FOREACH size IN ARRAY did.added LOOP
            RAISE NOTICE '%: % rows, of all documents about %, % and % of indexes', size.target, size.rows,
                round(size.rows * scale), coalesce(pg_size_pretty(round(size.table_bytes * scale)), 'an unknown size'),
                coalesce(pg_size_pretty(round(size.index_bytes * scale)), 'an unknown size');
        END LOOP;
        RAISE NOTICE 'all of % would take about % s of one worker, and % s for the keys', collection,
            ceil(extract(epoch FROM did.copy_time) * scale), ceil(extract(epoch FROM did.key_time) * scale);
    END IF;
    RETURN did.result;
END
$$;
COMMENT ON FUNCTION mongo_migrate.rehearse_run(name, text, integer, text) IS
    'migrates a sample of a collection''s documents, reports, and rolls all of it back';

CREATE FUNCTION mongo_migrate.estimate(server name, collection text, sample_size bigint DEFAULT 10000)
    RETURNS TABLE (target text, rows bigint, table_bytes bigint, index_bytes bigint,
                   documents bigint, sampled bigint, rejected bigint, copy_time interval, key_time interval)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    did mongo_migrate.rehearsal;
    scale numeric;
BEGIN
    IF sample_size IS NULL OR sample_size < 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'sample_size must be at least 1';
    END IF;
    PERFORM mongo_migrate.require_source(server, collection);
    PERFORM mongo_migrate.lock_collection(server, collection);
    did := mongo_migrate.rehearse(server, collection, 1000, 'quarantine', sample_size);
    scale := did.total / nullif((did.result).documents, 0)::numeric;
    RETURN QUERY
        SELECT a.target, round(sum(a.rows) * scale)::bigint,
               CASE WHEN bool_and(a.table_bytes IS NOT NULL) THEN round(sum(a.table_bytes) * scale)::bigint END,
               CASE WHEN bool_and(a.index_bytes IS NOT NULL) THEN round(sum(a.index_bytes) * scale)::bigint END,
               CASE WHEN a.target IS NULL THEN did.total END,
               CASE WHEN a.target IS NULL THEN (did.result).documents END,
               CASE WHEN a.target IS NULL THEN round((did.result).rejected * scale)::bigint END,
               CASE WHEN a.target IS NULL THEN did.copy_time * scale::double precision END,
               CASE WHEN a.target IS NULL THEN did.key_time * scale::double precision END
          FROM unnest(did.added) WITH ORDINALITY a (target, rows, table_bytes, index_bytes, n)
         GROUP BY GROUPING SETS ((a.target, a.n), ())
         ORDER BY a.n NULLS LAST;
END
$$;
COMMENT ON FUNCTION mongo_migrate.estimate(name, text, bigint) IS
'Estimates what a migration of a collection would take, from a sample of about sample_size documents out of ten places of the collection that is migrated, keys included, and rolled back; where there is no plan, by the one that would be made.
Result: a row for each table and the id map, with the rows, bytes of the table and of its indexes that all documents would add; last, with target NULL, all together: documents in the source, sampled of them, rejected that would go into quarantine, copy_time of one worker, key_time for keys and indexes. Foreign keys and planning are not in it; bytes are NULL where Citus has them on other nodes.
Errors: as of migrate_collection with dry_run.';


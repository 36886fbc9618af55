-- keys.sql: the indexes of a run, built several at a time.
--
-- Sessions that call build_keys() build the indexes that the keys need, under
-- names of their own: what PostgreSQL would call two keys of two tables may be
-- the same, cut to 63 bytes, and it chooses such names in one session only.
-- attach_keys(), in the one session that finishes the run, gives them their
-- names and makes constraints of them.  What was not built is made by
-- add_keys() and complete_run() (finish.sql), so each step can be left out, or
-- done again.  Foreign keys do not need the keys of the id map: those are
-- built beside a table's, whose pages two scans would contend for, and beside
-- the foreign keys.

CREATE FUNCTION mongo_migrate.index_name(index regclass, label text) RETURNS name
    LANGUAGE c VOLATILE STRICT
    AS 'MODULE_PATHNAME', 'mm_index_name';
COMMENT ON FUNCTION mongo_migrate.index_name(regclass, text) IS
    'the name that PostgreSQL would choose now for an index of the columns of this one; label: pkey, key or idx';

CREATE FUNCTION mongo_migrate.run_keys(server name, collection text)
    RETURNS TABLE (place bigint, relation regclass, label text, clause text, done boolean, index_name name, built regclass,
                   of_map boolean)
    LANGUAGE plpgsql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH keys AS (
        SELECT k.ordinality AS place, k.target, k.statement, k.done, false AS of_map
          FROM mongo_migrate.plan_keys($1, $2) WITH ORDINALITY AS k
         WHERE k.kind IN ('primary key', 'unique', 'index on a reference', 'unique index', 'index')
         UNION ALL
        SELECT m.ordinality, m.relation::text, m.statement, m.done, true
          FROM mongo_migrate.id_map_keys($1, $2) WITH ORDINALITY AS m
    ), clauses AS (
        SELECT k.place, k.of_map, k.target, to_regclass(k.target) AS relation, k.done, k.statement,
               CASE WHEN starts_with(k.statement, 'CREATE ') THEN k.statement
                    ELSE substr(k.statement, length(format('ALTER TABLE %s ADD ', k.target)) + 1) END AS clause
          FROM keys k
    ), named AS (
        SELECT c.*, format('mongo_migrate_key_%s_%s', c.relation::oid, left(md5(c.statement), 8))::name AS index_name
          FROM clauses c
         WHERE c.relation IS NOT NULL
    )
    SELECT n.place, n.relation,
           CASE WHEN starts_with(n.clause, 'PRIMARY KEY ') THEN 'pkey'
                WHEN starts_with(n.clause, 'UNIQUE ') THEN 'key' ELSE 'idx' END,
           n.clause, n.done, n.index_name,
           (SELECT x.indexrelid::regclass FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
             WHERE x.indrelid = n.relation AND i.relname = n.index_name AND x.indisvalid),
           n.of_map
      FROM named n;
END
$$;
COMMENT ON FUNCTION mongo_migrate.run_keys(name, text) IS
    'the keys and indexes of a collection''s new tables and of its id map; clause: PRIMARY KEY (...) or UNIQUE (...), or the whole statement of another index; done: it exists, maybe as an index built; index_name: its name until attach_keys() has been called; built: that index, if it is there; of_map: it is one of the id map';

CREATE FUNCTION mongo_migrate.keys_to_build(server name, collection text)
    RETURNS TABLE (place bigint, relation regclass, label text, clause text, index_name name, of_map boolean, bytes bigint)
    LANGUAGE plpgsql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    -- Apart, so that no size is asked of a table whose keys another session is making: it has that locked.
    WITH missing AS MATERIALIZED (
        SELECT * FROM mongo_migrate.run_keys($1, $2) k WHERE NOT k.done AND k.built IS NULL
    ), sized AS (
        SELECT m.*, pg_relation_size(m.relation) AS bytes FROM missing m
    )
    SELECT s.place, s.relation, s.label, s.clause, s.index_name, s.of_map, s.bytes FROM sized s
     WHERE s.bytes >= pg_size_bytes(current_setting('min_parallel_table_scan_size'));
END
$$;
COMMENT ON FUNCTION mongo_migrate.keys_to_build(name, text) IS
    'the rows of run_keys() that are worth building apart: not there yet, and of a table from min_parallel_table_scan_size on; the indexes of smaller ones are made sooner than a worker has started';

CREATE FUNCTION mongo_migrate.key_workers(workers integer)
    RETURNS integer
    LANGUAGE sql STABLE
    RETURN greatest(workers, least(pg_catalog.current_setting('max_parallel_maintenance_workers')::integer OPERATOR(pg_catalog.+) 1, 2));
COMMENT ON FUNCTION mongo_migrate.key_workers(integer) IS
    'how many workers build the keys of a run that so many copied: two at least, if that many processes may build one index';

CREATE FUNCTION mongo_migrate.index_ddl(key record) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN CASE WHEN key.label = 'idx'
        THEN regexp_replace(key.clause, ' INDEX ON ', format(' INDEX %I ON ', key.index_name))
        ELSE format('CREATE UNIQUE INDEX %I ON %s %s', key.index_name, key.relation,
                    substr(key.clause, position('(' IN key.clause))) END;
END
$$;
COMMENT ON FUNCTION mongo_migrate.index_ddl(record) IS
    'the statement that builds the index of a row of run_keys() under its passing name';

CREATE FUNCTION mongo_migrate.build_key(run_id bigint, tried name[], of_maps boolean DEFAULT true)
    RETURNS name
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r constant mongo_migrate.run := mongo_migrate.require_run(run_id);
    key record;
BEGIN
    -- Citus makes no constraint of an index that exists.
    IF mongo_migrate.has_citus() OR (r.phase IN ('keys', 'references') AND mongo_migrate.is_to_stop(r)) THEN
        RETURN NULL;
    END IF;
    LOOP
        SELECT k.* INTO key
          FROM (SELECT o.*, h.held, count(*) OVER () AS remaining,
                       bool_or(h.held) OVER (PARTITION BY o.relation) AS read_by_others,
                       bool_or(h.held AND NOT o.of_map) OVER () AS others_build
                  FROM mongo_migrate.keys_to_build(r.server, r.collection) o,
                       LATERAL (SELECT hashtextextended(o.index_name, 0) IN (SELECT l.lock FROM mongo_migrate.run_lock_held l) AS held) h) k
         WHERE NOT k.held AND k.index_name <> ALL (tried) AND (of_maps OR NOT k.of_map OR k.others_build)
         -- Two scans of a table at a time contend for its pages.
         ORDER BY k.read_by_others, k.of_map, k.bytes DESC, k.place
         LIMIT 1;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
        CONTINUE WHEN NOT pg_try_advisory_xact_lock(hashtextextended(key.index_name, 0));
        -- It may have been built before it was locked.
        CONTINUE WHEN EXISTS (SELECT FROM mongo_migrate.run_keys(r.server, r.collection) k
                               WHERE k.index_name = key.index_name AND (k.done OR k.built IS NOT NULL));
        -- All who build take together as many processes as one CREATE INDEX may: an index that a process sorts
        -- alone has all of maintenance_work_mem. The last index is nobody else's to wait for.
        PERFORM set_config('max_parallel_maintenance_workers',
            greatest((current_setting('max_parallel_maintenance_workers')::integer + 1)
                     / least(mongo_migrate.key_workers((r.options ->> 'workers')::integer), key.remaining) - 1, 0)::text, true);
        BEGIN
            EXECUTE mongo_migrate.index_ddl(key);
        EXCEPTION WHEN unique_violation OR program_limit_exceeded THEN
            NULL;       -- who makes the key meets it too, and names it
        END;
        RETURN key.index_name;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.build_key(bigint, name[], boolean) IS
    'builds an index of keys_to_build(), first of a table of which no other session builds one, and those of the id map only if of_maps or while others build those of tables, under a passing name that it returns, locked for the transaction (advisory); NULL: no other session leaves one, but those that were tried';

CREATE FUNCTION mongo_migrate.begin_keys(run_id bigint)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r constant mongo_migrate.run := mongo_migrate.require_run(run_id);
BEGIN
    RETURN r.state = 'running' AND (r.phase <> 'copy' OR mongo_migrate.end_copy(run_id));
END
$$;
COMMENT ON FUNCTION mongo_migrate.begin_keys(bigint) IS
    'whether the keys of a run may be built: it goes on, and is past the copy, which ends by this where it is complete';

CREATE PROCEDURE mongo_migrate.build_keys(run_id bigint, of_maps boolean DEFAULT true)
    LANGUAGE plpgsql
AS $$
DECLARE
    built pg_catalog.name;
    tried pg_catalog.name[] := '{}';
BEGIN
    IF NOT mongo_migrate.begin_keys(run_id) THEN
        RETURN;
    END IF;
    COMMIT;
    LOOP
        built := mongo_migrate.build_key(run_id, tried, of_maps);
        COMMIT;
        EXIT WHEN built IS NULL;
        tried := pg_catalog.array_append(tried, built);
    END LOOP;
END
$$;
COMMENT ON PROCEDURE mongo_migrate.build_keys(bigint, boolean) IS
    'when every chunk is complete: builds indexes of a run, each in a transaction of its own, until none is left for this session; others may build at the same time, and finish_run() makes keys of them';

CREATE FUNCTION mongo_migrate.await_keys(server name, collection text, of_map boolean)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT * FROM mongo_migrate.run_keys(server, collection) k WHERE k.of_map = await_keys.of_map AND NOT k.done
    LOOP
        PERFORM mongo_migrate.await_lock(hashtextextended(key.index_name, 0));
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.await_keys(name, text, boolean) IS
    'waits for the indexes of a collection''s tables, or of its id map (of_map true), that build_keys() builds; until the transaction ends no session begins another of them';

CREATE FUNCTION mongo_migrate.passing_indexes(relations regclass[])
    RETURNS TABLE (relation regclass, index regclass)
    LANGUAGE sql STABLE STRICT
    BEGIN ATOMIC
        SELECT x.indrelid::regclass, x.indexrelid::regclass
          FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
         WHERE x.indrelid = ANY (relations) AND pg_catalog.starts_with(i.relname, 'mongo_migrate_key_');
    END;
COMMENT ON FUNCTION mongo_migrate.passing_indexes(regclass[]) IS
    'the indexes of tables that have the passing names of run_keys()';

CREATE FUNCTION mongo_migrate.attach_keys(server name, collection text, of_map boolean)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relations constant regclass[] := CASE WHEN of_map
        THEN ARRAY(SELECT to_regclass(m.relation) FROM mongo_migrate.id_map m WHERE (m.server, m.collection) = (server, collection))
        ELSE ARRAY(SELECT to_regclass(t.target) FROM mongo_migrate.plan_target t WHERE (t.server, t.collection) = (server, collection)) END;
    key record;
    chosen name;
    leftover regclass;
    locked regclass;
BEGIN
    -- Before any of its indexes: VACUUM, which has the table, waits for an index that was renamed.
    FOR locked IN SELECT DISTINCT p.relation FROM mongo_migrate.passing_indexes(relations) p ORDER BY p.relation LOOP
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', locked);
    END LOOP;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    FOR key IN
        SELECT * FROM mongo_migrate.run_keys(server, collection) k
         WHERE k.of_map = of_map AND k.built IS NOT NULL AND NOT ((k.label = 'pkey' OR k.of_map) AND k.done)
         ORDER BY k.place
    LOOP
        chosen := mongo_migrate.index_name(key.built, key.label);
        EXECUTE format('ALTER INDEX %s RENAME TO %I', key.built, chosen);
        IF key.label <> 'idx' THEN
            EXECUTE format('ALTER TABLE %s ADD %s USING INDEX %I', key.relation,
                           CASE key.label WHEN 'pkey' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END, chosen);
        END IF;
    END LOOP;
    -- Those of a plan that was changed meanwhile, or of tables that were restored from a dump.
    FOR leftover IN SELECT p.index FROM mongo_migrate.passing_indexes(relations) p LOOP
        EXECUTE format('DROP INDEX %s', leftover);
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.attach_keys(name, text, boolean) IS
    'gives the indexes of a collection''s tables, or of its id map (of_map true), that build_keys() has left the names that they would have had from the start, and makes the primary keys and unique constraints of them';

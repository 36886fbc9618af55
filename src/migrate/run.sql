-- run.sql: the steps of a migration of a collection.
--
-- Each step commits, in a background worker that the caller waits for:
--
--   prepare_run    plan and tables where there are none, chunks, a row in run
--   copy_chunks    in each worker: take a chunk, then a batch and a commit at a time (copy.sql)
--   finish_run     keys, then foreign keys, then the run is complete (finish.sql)
--   help_finish    beside it in other workers, where tables are large
--
-- migrate.sql has the caller's side.

CREATE FUNCTION mongo_migrate.require_run(run_id bigint)
    RETURNS mongo_migrate.run
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    result mongo_migrate.run;
BEGIN
    SELECT * INTO result FROM mongo_migrate.run AS r WHERE r.run_id = require_run.run_id;
    IF NOT FOUND THEN
        RAISE no_data_found USING
            MESSAGE = format('there is no run %s', coalesce(run_id::text, 'NULL')),
            HINT = 'mongo_migrate.prepare_run() begins one and returns its number; mongo_migrate.run_report has all.';
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION mongo_migrate.require_run(bigint) IS
    'the run of a number; error P0002 where there is none';

CREATE FUNCTION mongo_migrate.count_documents(server name, collection text)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    filters jsonb;
    query json := '{}';
BEGIN
    SELECT jsonb_agg(filter) INTO filters
      FROM mongo_migrate.plan_target
     WHERE server = count_documents.server AND collection = count_documents.collection
       AND kind = 'root' AND included
    HAVING bool_and(filter IS NOT NULL);
    IF filters IS NOT NULL THEN
        query := json_build_object('$or', filters);
    END IF;
    RETURN (mongo_migrate.run_command(server,
        json_build_object('count', collection, 'query', query)) ->> 'n')::bigint;
END
$$;
COMMENT ON FUNCTION mongo_migrate.count_documents(name, text) IS
    'documents that a migration of the collection would read';

CREATE FUNCTION mongo_migrate.prepare_targets(server name, collection text)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM mongo_migrate.reach_shards();
    IF NOT EXISTS (SELECT FROM mongo_migrate.plan
                    WHERE server = prepare_targets.server AND collection = prepare_targets.collection) THEN
        BEGIN
            PERFORM mongo_migrate.plan_collection(server, collection);
        EXCEPTION WHEN duplicate_object THEN
            -- By another session, meanwhile.
            IF NOT EXISTS (SELECT FROM mongo_migrate.plan
                            WHERE server = prepare_targets.server AND collection = prepare_targets.collection) THEN
                RAISE;
            END IF;
        END;
    ELSE
        PERFORM mongo_migrate.require_collection(server, collection);
    END IF;
    PERFORM mongo_migrate.apply_ddl(server, collection);
    PERFORM mongo_migrate.synchronize_sequences(server, collection);
END
$$;
COMMENT ON FUNCTION mongo_migrate.prepare_targets(name, text) IS
    'plans a collection that has no plan, creates the tables that do not exist, and checks that they fit the plan';

CREATE FUNCTION mongo_migrate.has_rows(server name, collection text)
    RETURNS boolean
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    target text;
BEGIN
    FOR target IN
        SELECT t.target FROM mongo_migrate.plan_target t
         WHERE (t.server, t.collection) = (server, collection) AND t.kind = 'root' AND t.included
    LOOP
        IF mongo_migrate.is_filled(target) OR row_security_active(target) THEN
            RETURN true;
        END IF;
    END LOOP;
    RETURN false;
END
$$;
COMMENT ON FUNCTION mongo_migrate.has_rows(name, text) IS
    'whether a table that a collection''s documents go to has rows, or may have some that the caller does not see';

CREATE FUNCTION mongo_migrate.require_filled(server name, collection text)
    RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    relation text;
BEGIN
    FOR relation IN
        WITH used AS (
            SELECT DISTINCT f.target FROM mongo_migrate.chunk k, unnest(k.filled) AS f (target)
              JOIN mongo_migrate.plan_target t ON (t.server, t.collection, t.target) = ($1, $2, f.target) AND t.included
             WHERE (k.server, k.collection) = ($1, $2) AND k.last_id IS NOT NULL
        )
        SELECT r.relation
          FROM (SELECT u.target FROM used u
                 UNION ALL
                SELECT m.relation FROM mongo_migrate.id_map m
                 WHERE (m.server, m.collection) = ($1, $2)
                   AND EXISTS (SELECT FROM used u JOIN mongo_migrate.plan_column c ON (c.server, c.collection, c.target) = ($1, $2, u.target)
                                WHERE c.role = 'id' AND c.included)) AS r (relation)
         WHERE to_regclass(r.relation) IS NOT NULL
    LOOP
        -- What the caller may not see may be there.
        CONTINUE WHEN row_security_active(relation) OR NOT has_any_column_privilege(relation, 'SELECT');
        IF NOT mongo_migrate.is_filled(relation) THEN
            RAISE object_not_in_prerequisite_state USING
                MESSAGE = format('table %s is empty, and documents of collection %s were copied into it', relation, collection),
                HINT = format('To copy them anew: SELECT mongo_migrate.reset_collection(%L, %L, truncate => true);', server, collection);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.require_filled(name, text) IS
    'throws where a table, or the id map, has no rows any more that documents of the collection were copied into: the next ones would be taken for all';

CREATE FUNCTION mongo_migrate.paced(options jsonb, max_docs_per_second integer)
    RETURNS jsonb
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    -- With a limit, a worker's batch takes about a second.
    RETURN options || jsonb_build_object('max_docs_per_second', max_docs_per_second, 'batch_size',
        least((options ->> 'largest_batch')::integer,
              ceil(max_docs_per_second::numeric / greatest((options ->> 'workers')::integer, 1))::integer));
COMMENT ON FUNCTION mongo_migrate.paced(jsonb, integer) IS
    'the options of a run with max_docs_per_second, and with the batch_size that it leaves';

CREATE FUNCTION mongo_migrate.plan_version(server name, collection text)
    RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- Without names and their order: a table or column may be renamed.
    SELECT md5(string_agg(v.part, E'\n' ORDER BY v.part COLLATE "C"))
      FROM (SELECT json_build_array(t.kind, t.path, t.nested_path, t.filter, c.role, c.path, c.type, c.source_type, c.expression,
                                    c.refers_to, c.refers_key, c.key_form)::text AS part
              FROM mongo_migrate.plan_target t JOIN mongo_migrate.plan_column c USING (server, collection, target)
             WHERE (t.server, t.collection) = ($1, $2) AND t.included AND c.included) v
$$;
COMMENT ON FUNCTION mongo_migrate.plan_version(name, text) IS
    'a text that changes with what a collection''s plan makes of its documents';

CREATE FUNCTION mongo_migrate.tell_changed_plan(server name, collection text, version text)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF version <> mongo_migrate.plan_version(server, collection) THEN
        RAISE WARNING 'the plan of collection % was changed after documents had been copied', collection USING
            DETAIL = 'They are as the plan was then.',
            HINT = format('verify_full() shows what differs. To have all as the plan is now: SELECT mongo_migrate.reset_collection(%L, %L, truncate => true);',
                          server, collection);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.tell_changed_plan(name, text, text) IS
    'warns where a collection''s plan is another than the version by which documents were copied; version NULL: it is not known';

CREATE FUNCTION mongo_migrate.require_own_ids(server name, collection text)
    RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    found boolean;
    source record;
    remedy constant text := mongo_migrate.reset_statements(server, collection);
BEGIN
    IF remedy IS NULL THEN
        RETURN;
    END IF;
    FOR source IN
        SELECT t.target, c.column_name, m.relation
          FROM mongo_migrate.plan_target t
          JOIN mongo_migrate.plan_column c USING (server, collection, target)
          JOIN mongo_migrate.id_map m USING (server, collection)
         WHERE (t.server, t.collection) = (server, collection) AND t.kind = 'root' AND t.included AND t.existing
           AND c.role = 'id' AND c.included AND c.expression IS NULL AND m.id_type = 'bigint' AND to_regclass(m.relation) IS NOT NULL
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s AS m JOIN %s AS t ON t.%I = m.id)', source.relation, source.target, source.column_name)
           INTO found;
        IF found THEN
            RAISE object_not_in_prerequisite_state USING
                MESSAGE = format('rows of table %s have ids that references to documents of collection %s were given', source.target, collection),
                DETAIL = 'The references were copied before the collection was planned, and lead to rows that are not of its documents.',
                HINT = format('To have both copied anew: %s TRUNCATE %s;', remedy, source.relation);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.require_own_ids(name, text) IS
    'throws where a table that was there before has rows with ids that references were given, to a collection of which no document has been copied';

CREATE FUNCTION mongo_migrate.prepare_run(server name, collection text, batch_size integer,
        workers integer, on_error text, max_errors bigint, max_duration interval,
        max_docs_per_second integer DEFAULT NULL, asked_at timestamptz DEFAULT statement_timestamp())
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    total bigint;
    sums mongo_migrate.chunk_sum;
    last_phase text;
    last_version text;
    result bigint;
BEGIN
    PERFORM mongo_migrate.check_run_options(batch_size, workers, on_error, max_errors, max_duration, false, '0', max_docs_per_second);
    PERFORM mongo_migrate.refuse_cut_over(server, collection);
    PERFORM mongo_migrate.prepare_targets(server, collection);
    total := mongo_migrate.count_documents(server, collection);

    -- The caller has the lock: what is still called running has no session.
    UPDATE mongo_migrate.run
       SET state = 'stopped', error = 'the session ended',
           ended_at = (SELECT greatest(started_at, copied_at, keyed_at, max(updated_at)) FROM mongo_migrate.chunk
                        WHERE server = prepare_run.server AND collection = prepare_run.collection)
     WHERE server = prepare_run.server AND collection = prepare_run.collection AND state = 'running';
    -- The chunks go on counting for this run.
    UPDATE mongo_migrate.run
       SET (documents, inserted, skipped, rejected, rounded, batches, rows, bytes) =
           (SELECT coalesce(documents, 0), inserted, skipped, rejected, rounded, batches, rows, bytes
              FROM mongo_migrate.run_report d WHERE d.run_id = run.run_id)
     WHERE server = prepare_run.server AND collection = prepare_run.collection AND documents IS NULL;

    SELECT phase, options ->> 'plan_version' INTO last_phase, last_version FROM mongo_migrate.run
     WHERE server = prepare_run.server AND collection = prepare_run.collection
     ORDER BY run_id DESC LIMIT 1;
    SELECT * INTO sums FROM mongo_migrate.chunk_sum
     WHERE server = prepare_run.server AND collection = prepare_run.collection;
    PERFORM mongo_migrate.tell_changed_plan(server, collection, last_version) WHERE sums.inserted + sums.skipped > 0;
    PERFORM mongo_migrate.require_own_ids(server, collection) WHERE sums.chunks IS NULL AND last_phase IS NULL;
    -- While documents come, references may lead nowhere yet, or never.
    IF sums.chunks IS NULL OR (sums.incomplete = 0 AND last_phase = 'done') THEN
        PERFORM mongo_migrate.drop_foreign_keys(server, collection, NULL);
    END IF;
    IF sums.chunks IS NULL THEN
        -- One range will do for 50,000 documents.  Many documents make many
        -- ranges: the caller's snapshot keeps each version of a range's row.
        PERFORM mongo_migrate.create_chunks(server, collection,
            CASE WHEN total > 50000 THEN greatest(workers::bigint * 8, total / 500000) ELSE 1 END);
        UPDATE mongo_migrate.chunk SET catching_up = true
         WHERE server = prepare_run.server AND collection = prepare_run.collection
           AND mongo_migrate.has_rows(server, collection);
    ELSIF sums.incomplete = 0 AND last_phase = 'done' THEN
        -- All of it was done: once more, for what is new in the source.
        UPDATE mongo_migrate.chunk
           SET catching_up = true, complete = false, last_id = NULL, documents = 0, inserted = 0,
               skipped = 0, rejected = 0, rounded = 0, batches = 0, rows = 0, bytes = 0, filled = '{}',
               updated_at = clock_timestamp()
         WHERE server = prepare_run.server AND collection = prepare_run.collection;
    END IF;
    -- Later on, all documents of a table may have gone into quarantine.
    PERFORM mongo_migrate.require_filled(server, collection) WHERE last_phase IS DISTINCT FROM 'references';
    PERFORM mongo_migrate.prepare_id_maps(server, collection,
        (SELECT bool_or(catching_up) FROM mongo_migrate.chunk
          WHERE server = prepare_run.server AND collection = prepare_run.collection));
    PERFORM mongo_migrate.hand_ids_over(server, collection) WHERE sums.chunks IS NULL;

    PERFORM mongo_migrate.pass_numbers('run', 'run_id'), mongo_migrate.pass_numbers('quarantine', 'quarantine_id');
    INSERT INTO mongo_migrate.run (server, collection, total, catching_up, options)
    SELECT prepare_run.server, prepare_run.collection, total, bool_or(catching_up),
           mongo_migrate.paced(
               jsonb_build_object('largest_batch', batch_size, 'workers', workers, 'on_error', on_error,
                                  'max_errors', max_errors, 'max_duration', max_duration,
                                  'deadline', clock_timestamp() + max_duration, 'asked_at', asked_at,
                                  'plan_version', mongo_migrate.plan_version(prepare_run.server, prepare_run.collection),
                                  'documents', coalesce(sum(documents), 0),
                                  'inserted', coalesce(sum(inserted), 0), 'skipped', coalesce(sum(skipped), 0),
                                  'rejected', coalesce(sum(rejected), 0), 'rounded', coalesce(sum(rounded), 0),
                                  'batches', coalesce(sum(batches), 0),
                                  'rows', coalesce(sum(rows), 0), 'bytes', coalesce(sum(bytes), 0)),
               max_docs_per_second)
      FROM mongo_migrate.chunk
     WHERE server = prepare_run.server AND collection = prepare_run.collection
    RETURNING run_id INTO result;
    RETURN result;
END
$$;
COMMENT ON FUNCTION mongo_migrate.prepare_run(name, text, integer, integer, text, bigint, interval, integer, timestamptz) IS
    'makes a collection ready to be copied, and a row in mongo_migrate.run, whose run_id it returns; options has the counters that the run began with; asked_at: calls of stop_migration() after that end it; the other arguments are those of migrate_collection(). Errors: wrong values of them; 55000 while the server is cut over; what is wrong with the plan';

CREATE FUNCTION mongo_migrate.end_run(run_id bigint, state text, error text DEFAULT NULL)
    RETURNS void
    LANGUAGE sql VOLATILE
    BEGIN ATOMIC
        UPDATE mongo_migrate.run
           SET state = end_run.state, error = end_run.error, ended_at = pg_catalog.clock_timestamp()
         WHERE run_id = end_run.run_id AND state = 'running';
    END;
COMMENT ON FUNCTION mongo_migrate.end_run(bigint, text, text) IS
    'ends a running run with a state and the reason';

CREATE FUNCTION mongo_migrate.stop_requested(server name, collection text, since timestamptz)
    RETURNS boolean
    LANGUAGE plpgsql STABLE     -- which keeps its plan: a batch begins with it
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    RETURN EXISTS (SELECT FROM mongo_migrate.stop_request s
                    WHERE s.server = server AND (s.collection IS NULL OR s.collection = collection)
                      AND s.requested_at > since);
END
$$;
COMMENT ON FUNCTION mongo_migrate.stop_requested(name, text, timestamptz) IS
    'whether stop_migration() was called since a time, for the collection or for all; collection NULL: for all';

CREATE FUNCTION mongo_migrate.is_to_stop(r mongo_migrate.run)
    RETURNS boolean
    LANGUAGE sql STABLE
    RETURN mongo_migrate.stop_requested(r.server, r.collection, (r.options ->> 'asked_at')::timestamptz);
COMMENT ON FUNCTION mongo_migrate.is_to_stop(mongo_migrate.run) IS
    'whether stop_migration() was called since a run was asked for';

CREATE FUNCTION mongo_migrate.run_may_go_on(r mongo_migrate.run)
    RETURNS boolean
    LANGUAGE sql VOLATILE
    RETURN r.state = 'running' AND coalesce(pg_catalog.clock_timestamp() < (r.options ->> 'deadline')::timestamptz, true)
       AND NOT mongo_migrate.is_to_stop(r);
COMMENT ON FUNCTION mongo_migrate.run_may_go_on(mongo_migrate.run) IS
    'whether a run may go on with another batch: it has not been stopped, and its time is not over';

-- finish.sql: the end of a run, after the copy: keys, then foreign keys, then the id map's keys.
--
-- Each step can be done again after a failure: it makes what is not there yet.

CREATE FUNCTION mongo_migrate.end_copy(run_id bigint)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r mongo_migrate.run;
BEGIN
    SELECT * INTO r FROM mongo_migrate.run WHERE run_id = end_copy.run_id FOR UPDATE;
    IF r.state <> 'running' THEN
        RETURN false;
    END IF;
    IF mongo_migrate.stop_requested(r.server, r.collection, (r.options ->> 'asked_at')::timestamptz) THEN
        PERFORM mongo_migrate.end_run(run_id, 'stopped', 'stop_migration was called');
        RETURN false;
    ELSIF EXISTS (SELECT FROM mongo_migrate.chunk
                WHERE server = r.server AND collection = r.collection AND NOT complete) THEN
        PERFORM mongo_migrate.end_run(run_id, 'stopped',
            CASE WHEN mongo_migrate.run_may_go_on(r) THEN 'other sessions copy a part of it'
                 ELSE 'max_duration is over' END);
        RETURN false;
    END IF;
    UPDATE mongo_migrate.run SET phase = 'keys', copied_at = clock_timestamp()
     WHERE run_id = end_copy.run_id AND phase = 'copy';
    RETURN true;
END
$$;
COMMENT ON FUNCTION mongo_migrate.end_copy(bigint) IS
    'ends the copy of a run: true on to the keys; false when something is left, and the run has stopped';

CREATE FUNCTION mongo_migrate.add_keys(run_id bigint)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r mongo_migrate.run;
    statement text;
BEGIN
    SELECT * INTO r FROM mongo_migrate.run WHERE run_id = add_keys.run_id;
    PERFORM mongo_migrate.reach_shards();
    PERFORM mongo_migrate.await_keys(r.server, r.collection, false);
    PERFORM mongo_migrate.attach_keys(r.server, r.collection, false);
    FOR statement IN SELECT mongo_migrate.key_ddl(r.server, r.collection) LOOP
        EXECUTE statement;
    END LOOP;
    FOR statement IN
        SELECT format('ANALYZE %s', target) FROM mongo_migrate.plan_target
         WHERE server = r.server AND collection = r.collection AND included
         ORDER BY ordinal
    LOOP
        EXECUTE statement;
    END LOOP;
    PERFORM mongo_migrate.synchronize_sequences(r.server, r.collection);
    UPDATE mongo_migrate.run SET phase = 'references', keyed_at = clock_timestamp() WHERE run_id = add_keys.run_id;
END
$$;
COMMENT ON FUNCTION mongo_migrate.add_keys(bigint) IS
    'adds the keys and indexes of a run''s tables that are not there, analyzes the tables and synchronizes their sequences';

CREATE FUNCTION mongo_migrate.add_references(run_id bigint)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r mongo_migrate.run;
BEGIN
    SELECT * INTO r FROM mongo_migrate.run WHERE run_id = add_references.run_id;
    PERFORM mongo_migrate.reach_shards();
    PERFORM mongo_migrate.apply_references(r.server, r.collection);
END
$$;
COMMENT ON FUNCTION mongo_migrate.add_references(bigint) IS
    'adds the foreign keys from and to a run''s collection';

CREATE FUNCTION mongo_migrate.complete_run(run_id bigint)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r mongo_migrate.run;
BEGIN
    SELECT * INTO r FROM mongo_migrate.run WHERE run_id = complete_run.run_id;
    PERFORM mongo_migrate.await_keys(r.server, r.collection, true);
    PERFORM mongo_migrate.attach_keys(r.server, r.collection, true);
    PERFORM mongo_migrate.finish_id_map(r.server, r.collection);
    UPDATE mongo_migrate.run SET phase = 'done' WHERE run_id = complete_run.run_id;
    PERFORM mongo_migrate.end_run(run_id, 'complete');
END
$$;
COMMENT ON FUNCTION mongo_migrate.complete_run(bigint) IS
    'makes the keys of a run''s id map that are not there, waiting for those that build_keys() builds, and completes the run';

CREATE PROCEDURE mongo_migrate.finish_run(run_id bigint)
    LANGUAGE plpgsql
AS $$
BEGIN
    CALL mongo_migrate.build_keys(run_id, false);
    IF mongo_migrate.end_copy(run_id) THEN
        COMMIT;
        PERFORM mongo_migrate.add_keys(run_id);
        COMMIT;
        PERFORM mongo_migrate.add_references(run_id);
        COMMIT;
        CALL mongo_migrate.build_keys(run_id, true);
        PERFORM mongo_migrate.complete_run(run_id);
    END IF;
END
$$;
COMMENT ON PROCEDURE mongo_migrate.finish_run(bigint) IS
    'when every chunk is complete: adds keys, analyzes, synchronizes identity sequences, adds the foreign keys whose two sides are complete, makes the keys of the id map, and completes the run';

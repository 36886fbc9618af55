-- finish.sql: the end of a run, after the copy.
--
--   add_keys         keys, indexes and checks; foreign keys of child tables, not validated
--   add_references   foreign keys between collections, not validated
--   finish_table     in each worker: takes a table, validates its foreign keys and analyzes it
--   complete_run     what is left, and the id map's keys
--
-- A foreign key holds from the moment it is made. That locks both tables, but
-- for a moment; it is validated in a transaction of its own, in which others
-- may write to them. Each step can be done again after a failure: it makes
-- what is not there yet.

CREATE FUNCTION mongo_migrate.obey_stop(run_id bigint)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r mongo_migrate.run;
BEGIN
    SELECT * INTO r FROM mongo_migrate.run WHERE run_id = obey_stop.run_id FOR UPDATE;
    IF r.state = 'running' AND mongo_migrate.is_to_stop(r) THEN
        PERFORM mongo_migrate.end_run(run_id, 'stopped', 'stop_migration was called');
        RETURN true;
    END IF;
    RETURN r.state <> 'running';
END
$$;
COMMENT ON FUNCTION mongo_migrate.obey_stop(bigint) IS
    'ends a run that stop_migration() was called for; true: it has ended';

CREATE FUNCTION mongo_migrate.end_copy(run_id bigint)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r constant mongo_migrate.run := mongo_migrate.require_run(run_id);
BEGIN
    IF mongo_migrate.obey_stop(run_id) THEN
        RETURN false;
    END IF;
    IF EXISTS (SELECT FROM mongo_migrate.chunk
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

CREATE FUNCTION mongo_migrate.make_key(statement text, remedy text)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    detail text;
    hint text;
BEGIN
    EXECUTE statement;
EXCEPTION WHEN unique_violation OR check_violation OR foreign_key_violation OR program_limit_exceeded THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RAISE EXCEPTION USING ERRCODE = SQLSTATE, MESSAGE = SQLERRM,
        DETAIL = concat_ws(E'\n', nullif(detail, ''), format('The statement is: %s', statement)),
        HINT = concat_ws(E'\n', nullif(hint, ''), coalesce('Mend the rows; or leave it out: ' || remedy, 'Mend the rows.'));
END
$$;
COMMENT ON FUNCTION mongo_migrate.make_key(text, text) IS
    'executes the statement of a row of plan_keys(); where rows stand in the way, the error has the statement, and the edit of the plan that leaves it out';

CREATE FUNCTION mongo_migrate.add_keys(run_id bigint)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r constant mongo_migrate.run := mongo_migrate.require_run(run_id);
    key record;
BEGIN
    PERFORM mongo_migrate.reach_shards();
    PERFORM mongo_migrate.await_keys(r.server, r.collection, false);
    PERFORM mongo_migrate.attach_keys(r.server, r.collection, false);
    FOR key IN
        SELECT * FROM mongo_migrate.plan_keys(r.server, r.collection) k WHERE NOT k.done AND k.foreign_key IS NULL
    LOOP
        PERFORM mongo_migrate.make_key(CASE WHEN starts_with(key.kind, 'foreign key')
            THEN mongo_migrate.unvalidated_ddl(key.target, key.statement) ELSE key.statement END, key.remedy);
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.add_keys(bigint) IS
    'adds the keys and indexes of a run''s tables that are not there; foreign keys are not validated';

CREATE FUNCTION mongo_migrate.add_references(run_id bigint)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r mongo_migrate.run;
BEGIN
    UPDATE mongo_migrate.run SET phase = 'references', keyed_at = clock_timestamp()
     WHERE run_id = add_references.run_id
    RETURNING * INTO r;
    PERFORM mongo_migrate.require_seen(r.server, r.collection);
    PERFORM mongo_migrate.add_foreign_keys(r.server, r.collection);
END
$$;
COMMENT ON FUNCTION mongo_migrate.add_references(bigint) IS
    'adds the foreign keys from and to a run''s collection, which are not validated';

CREATE FUNCTION mongo_migrate.finish_table(run_id bigint, tried text[])
    RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r mongo_migrate.run;
    next record;
    key record;
BEGIN
    SELECT * INTO r FROM mongo_migrate.run WHERE run_id = finish_table.run_id AND phase = 'references';
    IF NOT FOUND OR mongo_migrate.is_to_stop(r) THEN
        RETURN NULL;
    END IF;
    PERFORM mongo_migrate.reach_shards();
    -- Not while a run of the server makes foreign keys, or takes documents away that are referred to.
    PERFORM mongo_migrate.await_lock(mongo_migrate.run_lock(r.server, ''), shared => true);
    FOR next IN
        SELECT t.target, to_regclass(t.target) AS relation FROM mongo_migrate.plan_target t
         WHERE t.server = r.server AND t.collection = r.collection AND t.included AND t.target <> ALL (tried)
           AND coalesce(pg_stat_get_last_analyze_time(to_regclass(t.target)) < r.keyed_at, true)
         ORDER BY pg_relation_size(to_regclass(t.target)) DESC, t.ordinal
    LOOP
        CONTINUE WHEN NOT pg_try_advisory_xact_lock(hashtextextended(format('mongo_migrate_table_%s', next.relation::oid), 0));
        FOR key IN
            SELECT k.foreign_key, mongo_migrate.key_statement(k.target, NULL, k.foreign_key) AS statement
              FROM mongo_migrate.plan_keys(r.server, r.collection, next.target) k
             WHERE NOT k.done AND k.foreign_key IS NOT NULL
             UNION ALL
            SELECT l.foreign_key, mongo_migrate.key_statement(l.target, NULL, l.foreign_key)
              FROM mongo_migrate.loaded_references(r.server, ARRAY[r.collection]) l
             WHERE l.target = next.target AND NOT l.done AND l.foreign_key IS NOT NULL
        LOOP
            BEGIN
                PERFORM mongo_migrate.make_reference(next.target, key.foreign_key, key.statement);
            EXCEPTION WHEN foreign_key_violation THEN
                NULL;       -- validate_references() meets it too, and settles or tells it
            END;
        END LOOP;
        EXECUTE format('ANALYZE %s', next.target);
        RETURN next.target;
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mongo_migrate.finish_table(bigint, text[]) IS
    'validates the foreign keys of a table of a run and analyzes it, and returns its name: the largest table that no other session has or has done, but those that were tried; NULL: there is none, the run is not there yet, or is to stop';

CREATE PROCEDURE mongo_migrate.finish_tables(run_id bigint)
    LANGUAGE plpgsql
AS $$
DECLARE
    finished pg_catalog.text;
    tried pg_catalog.text[] := '{}';
BEGIN
    LOOP
        finished := mongo_migrate.finish_table(run_id, tried);
        COMMIT;
        EXIT WHEN finished IS NULL;
        tried := pg_catalog.array_append(tried, finished);
    END LOOP;
END
$$;
COMMENT ON PROCEDURE mongo_migrate.finish_tables(bigint) IS
    'finish_table() for each table of a run that is left for this session, with a commit after each';

CREATE FUNCTION mongo_migrate.validate_references(run_id bigint)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r constant mongo_migrate.run := mongo_migrate.require_run(run_id);
    statement text;
BEGIN
    PERFORM mongo_migrate.reach_shards();
    -- It waits for those who are at a table of the run.
    PERFORM mongo_migrate.validate_foreign_keys(r.server);
    FOR statement IN SELECT mongo_migrate.key_ddl(r.server, r.collection) LOOP
        PERFORM mongo_migrate.make_key(statement, NULL);
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.validate_references(bigint) IS
    'validates what finish_table() has left: foreign keys of other collections, and of a run''s own where references dangle, which are settled first';

CREATE FUNCTION mongo_migrate.complete_run(run_id bigint)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r constant mongo_migrate.run := mongo_migrate.require_run(run_id);
BEGIN
    -- Who adds foreign keys locks tables before id maps, and may make the same keys.
    PERFORM mongo_migrate.await_lock(mongo_migrate.run_lock(r.server, ''));
    PERFORM mongo_migrate.await_keys(r.server, r.collection, true);
    PERFORM mongo_migrate.attach_keys(r.server, r.collection, true);
    PERFORM mongo_migrate.finish_id_map(r.server, r.collection);
    -- From now on ids come from the tables' sequences (table_sequence()), past those that references were given meanwhile.
    PERFORM mongo_migrate.synchronize_sequences(r.server, r.collection);
    PERFORM mongo_migrate.advance_sequences(r.server, r.collection);
    PERFORM mongo_migrate.tell_changed_plan(r.server, r.collection, r.options ->> 'plan_version');
    UPDATE mongo_migrate.run
       SET phase = 'done', options = options || jsonb_build_object('plan_version', mongo_migrate.plan_version(r.server, r.collection))
     WHERE run_id = complete_run.run_id;
    PERFORM mongo_migrate.end_run(run_id, 'complete');
END
$$;
COMMENT ON FUNCTION mongo_migrate.complete_run(bigint) IS
    'makes the keys of a run''s id map that are not there, waiting for those that build_keys() builds, and completes the run';

CREATE PROCEDURE mongo_migrate.finish_run(run_id bigint)
    LANGUAGE plpgsql
AS $$
BEGIN
    -- Foreign keys need no index of an id map: this session does not begin one when those of the tables are there.
    CALL mongo_migrate.build_keys(run_id, of_maps => false);
    IF NOT mongo_migrate.end_copy(run_id) THEN
        RETURN;
    END IF;
    COMMIT;
    PERFORM mongo_migrate.add_keys(run_id);
    COMMIT;
    -- Not while the keys have the tables locked: it reads those of other collections, whose runs may be here, too.
    PERFORM mongo_migrate.synchronize_sequences(r.server, r.collection) FROM mongo_migrate.require_run(run_id) AS r;
    COMMIT;
    PERFORM mongo_migrate.add_references(run_id);
    COMMIT;
    CALL mongo_migrate.finish_tables(run_id);
    CALL mongo_migrate.build_keys(run_id);
    IF mongo_migrate.obey_stop(run_id) THEN
        RETURN;
    END IF;
    PERFORM mongo_migrate.validate_references(run_id);
    COMMIT;
    PERFORM mongo_migrate.complete_run(run_id);
END
$$;
COMMENT ON PROCEDURE mongo_migrate.finish_run(bigint) IS
    'when every chunk is complete: adds keys, synchronizes identity sequences, adds the foreign keys whose two sides are complete, validates them, analyzes, makes the keys of the id map, and completes the run. Errors: P0002 where there is no such run';

CREATE FUNCTION mongo_migrate.keys_are_made(run_id bigint)
    RETURNS boolean
    LANGUAGE sql VOLATILE
    BEGIN ATOMIC
        SELECT EXISTS (SELECT FROM mongo_migrate.run r JOIN mongo_migrate.run_lock_held h ON h.lock = mongo_migrate.run_lock(r.server, r.collection)
                        WHERE r.run_id = keys_are_made.run_id AND r.state = 'running' AND r.phase = 'keys');
    END;
COMMENT ON FUNCTION mongo_migrate.keys_are_made(bigint) IS
    'whether a run is at its keys, and in a migration, in which a session goes on with them';

CREATE PROCEDURE mongo_migrate.help_finish(run_id bigint)
    LANGUAGE plpgsql
AS $$
BEGIN
    CALL mongo_migrate.build_keys(run_id);
    -- By hand, without a migration, there is nothing to wait for.
    WHILE mongo_migrate.keys_are_made(run_id) LOOP
        CALL mongo_migrate.rest_until(pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) interval '20 milliseconds');
    END LOOP;
    CALL mongo_migrate.finish_tables(run_id);
END
$$;
COMMENT ON PROCEDURE mongo_migrate.help_finish(bigint) IS
    'when every chunk is complete: builds indexes and finishes tables of a run beside the session that calls finish_run(), as far as there is something to do. Errors: P0002 where there is no such run';

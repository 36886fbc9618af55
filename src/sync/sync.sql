-- sync.sql: the tables follow the source.
--
--   read_changes      a change stream from a position on (capture.c)
--   capture_changes   its events become rows of mongo_migrate.change, with the new position
--   apply_changes     documents of one collection that have changed are read anew, and their rows replaced
--   follow_changes    both, for ever, in the worker that start_sync() starts
--
-- A row of mongo_migrate.change says that a document has changed since its rows
-- were made, and not how: what is applied is the document as it is by then.  So
-- events may come twice, or late, or for documents that a copy is about to read,
-- and all ends in what the source has.  Each step is a transaction: the events
-- and the position, the rows and the changes that they are of.

CREATE FUNCTION mongo_migrate.cluster_timestamp(cluster_time bigint)
    RETURNS timestamptz
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN pg_catalog.to_timestamp((cluster_time >> 31)::double precision);
COMMENT ON FUNCTION mongo_migrate.cluster_timestamp(bigint) IS
    'a time of the cluster, in whole seconds';

CREATE FUNCTION mongo_migrate.cluster_time_to_json(cluster_time bigint)
    RETURNS json
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN pg_catalog.json_build_object('$timestamp', pg_catalog.json_build_object('t', cluster_time >> 31, 'i', cluster_time & 2147483647));
COMMENT ON FUNCTION mongo_migrate.cluster_time_to_json(bigint) IS
    'a time of the cluster as a timestamp in Extended JSON';

CREATE FUNCTION mongo_migrate.operation_time(server name)
    RETURNS bigint
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT (p.time ->> 't')::bigint << 31 | (p.time ->> 'i')::bigint
      FROM (SELECT mongo_migrate.run_command($1, '{"ping": 1}') -> 'operationTime' -> '$timestamp' AS time) AS p
$$;
COMMENT ON FUNCTION mongo_migrate.operation_time(name) IS
    'the time of the cluster of the last write that the primary has';

CREATE FUNCTION mongo_migrate.read_changes(server name, after bytea, wait_ms integer, most integer)
    RETURNS TABLE (operation text, collection text, id bytea, cluster_time bigint, "position" bytea)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mm_read_changes';
COMMENT ON FUNCTION mongo_migrate.read_changes(name, bytea, integer, integer) IS
    'the events of the server''s database after a position in its change stream (NULL: from now on), at least most if there are as many, in their order; where there is none, waits so many milliseconds for one; id: BSON with the _id of the document; the last row has no operation and says where the stream stands';

CREATE FUNCTION mongo_migrate.stream_end(server name, OUT "position" bytea, OUT cluster_time bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    SELECT c."position", c.cluster_time INTO STRICT stream_end."position", stream_end.cluster_time
      FROM mongo_migrate.read_changes(server, NULL, 0, 1) AS c WHERE c.operation IS NULL;
END
$$;
COMMENT ON FUNCTION mongo_migrate.stream_end(name) IS
    'where the change stream of a server''s database stands now, and the time of the cluster';

CREATE FUNCTION mongo_migrate.retry_delay(attempts integer)
    RETURNS interval
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT least(interval '1 second' * 2 ^ least($1, 20), interval '10 minutes')
$$;
COMMENT ON FUNCTION mongo_migrate.retry_delay(integer) IS
    'how long a change that was refused waits after so many attempts';

CREATE FUNCTION mongo_migrate.stop_for(server name, problem text)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE mongo_migrate.sync AS s SET running = false, error = problem || '; the rows stay', error_at = clock_timestamp()
     WHERE s.server = server;
    RAISE WARNING '%', format('sync of server "%s" has stopped: %s', server, problem)
        USING DETAIL = 'The rows stay.',
              HINT = format('Look what has happened; then SELECT mongo_migrate.start_sync(%L) goes on after it. What the source has then is brought by verify_full() and repair().', server);
    PERFORM pg_notify('mongo_migrate', json_build_object('alert', 'sync', 'server', server, 'error', left(problem, 1000))::text);
END
$$;
COMMENT ON FUNCTION mongo_migrate.stop_for(name, text) IS
    'ends the sync of a server for what somebody has to look at, and tells of it in the log, in sync_status and by a notification';

CREATE FUNCTION mongo_migrate.capture_changes(server name, wait_ms integer DEFAULT 1000)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '10s'
AS $$
#variable_conflict use_variable
DECLARE
    s mongo_migrate.sync;
    operations text[];
    collections text[];
    ids bytea[];
    times bigint[];
    positions bytea[];
    events bigint;
    ended text[];           -- collections that are not what they were; NULL: all
    ended_at bigint[];      -- by which event
    problem text;
BEGIN
    -- An older snapshot would not have the plans that are there when events are read.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE feature_not_supported USING
            MESSAGE = 'changes are followed in READ COMMITTED transactions only',
            HINT = 'SET default_transaction_isolation = ''read committed''; and call it again.';
    END IF;
    SELECT * INTO s FROM mongo_migrate.sync AS y WHERE y.server = server;
    SELECT array_agg(c.operation), array_agg(c.collection), array_agg(c.id), array_agg(c.cluster_time), array_agg(c."position")
      INTO operations, collections, ids, times, positions
      FROM mongo_migrate.read_changes(server, s."position", wait_ms, 10000) AS c;
    events := cardinality(operations) - 1;

    -- Not documents that were deleted, for all that is known: what was noted of them goes, and their rows stay.
    SELECT array_agg(e.collection), array_agg(e.n) INTO ended, ended_at
      FROM unnest(operations, collections) WITH ORDINALITY AS e (operation, collection, n)
     WHERE e.operation IN ('drop', 'rename', 'dropDatabase');
    DELETE FROM mongo_migrate.change AS c USING unnest(ended) AS d (collection)
     WHERE c.server = server AND c.collection = coalesce(d.collection, c.collection);
    -- A transaction that has planned a collection, and is not committed yet, may have copied it already.
    IF EXISTS (SELECT FROM unnest(operations, collections) AS e (operation, collection)
                WHERE e.operation IN ('insert', 'update', 'replace', 'delete')
                  AND NOT EXISTS (SELECT FROM mongo_migrate.plan AS p WHERE (p.server, p.collection) = (server, e.collection))) THEN
        LOCK TABLE mongo_migrate.plan IN SHARE MODE;
    END IF;
    -- A statement of its own: what is planned by now counts.  A collection that is planned later is copied later, too.
    INSERT INTO mongo_migrate.change AS c (server, collection, key, id, changed_at)
    SELECT DISTINCT ON (e.collection, k.key) server, e.collection, k.key, e.id, mongo_migrate.cluster_timestamp(e.cluster_time)
      FROM unnest(operations, collections, ids, times) WITH ORDINALITY AS e (operation, collection, id, cluster_time, n)
     CROSS JOIN LATERAL (SELECT mongo_migrate.quarantine_key(mongo_migrate.document_key(e.id)) AS key) AS k
     WHERE e.operation IN ('insert', 'update', 'replace', 'delete')
       AND EXISTS (SELECT FROM mongo_migrate.plan AS p WHERE (p.server, p.collection) = (server, e.collection))
       AND NOT EXISTS (SELECT FROM unnest(ended, ended_at) AS d (collection, n)
                        WHERE d.n > e.n AND coalesce(d.collection, e.collection) = e.collection)
     ORDER BY e.collection, k.key, e.n DESC
        ON CONFLICT ON CONSTRAINT change_pkey DO UPDATE
       SET changed_at = excluded.changed_at, due_at = excluded.due_at, attempts = 0, reason = NULL;

    IF events > 0 OR s.captured_at NOT BETWEEN clock_timestamp() - interval '5 seconds' AND clock_timestamp() OR s.error IS NOT NULL THEN
        -- What waited for the copy of a collection that is planned no more.
        DELETE FROM mongo_migrate.change AS c
         WHERE c.server = server AND NOT EXISTS (SELECT FROM mongo_migrate.plan AS p WHERE (p.server, p.collection) = (server, c.collection));
        UPDATE mongo_migrate.sync AS y
           SET "position" = positions[events + 1], cluster_time = greatest(y.cluster_time, times[events + 1]),
               captured_at = clock_timestamp(), events = y.events + events
         WHERE y.server = server;
    END IF;
    SELECT string_agg(CASE WHEN e.collection IS NULL THEN 'the database was dropped in the source'
                           WHEN e.operation = 'rename' THEN format('collection "%s" was renamed in the source, or replaced by another', e.collection)
                           ELSE format('collection "%s" was dropped in the source', e.collection) END, ', ' ORDER BY e.n) INTO problem
      FROM unnest(operations, collections) WITH ORDINALITY AS e (operation, collection, n)
     WHERE e.operation IN ('drop', 'rename', 'dropDatabase')
       AND EXISTS (SELECT FROM mongo_migrate.plan AS p WHERE (p.server, p.collection) = (server, coalesce(e.collection, p.collection)));
    IF problem IS NOT NULL THEN
        PERFORM mongo_migrate.stop_for(server, problem);
    END IF;
    RETURN events;
END
$$;
COMMENT ON FUNCTION mongo_migrate.capture_changes(name, integer) IS
    'notes the documents of planned collections that have changed after the position of the sync in mongo_migrate.change, and moves the position; waits so many milliseconds where there is nothing; returns the number of events of the database';

CREATE FUNCTION mongo_migrate.refer_anew(server name, collection text, ids bytea[])
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r mongo_migrate.loaded_reference;
    row_ids text[];
    document record;
BEGIN
    IF NOT EXISTS (SELECT FROM mongo_migrate.plan_column AS c
                    WHERE c.server = server AND c.role = 'reference' AND c.included AND (c.refers_to = collection OR c.collection = collection)) THEN
        RETURN;
    END IF;
    FOR r IN SELECT * FROM mongo_migrate.loaded_references(server, ARRAY[collection]) AS l LOOP
        IF r.value_column <> r.column_name THEN
            PERFORM mongo_migrate.settle_dangling(server, r);
            CONTINUE;
        ELSIF r.policy <> 'null' THEN
            CONTINUE;
        END IF;
        -- Where several tables share the documents that are referred to, no foreign key tells.
        IF (mongo_migrate.referred_rows(server, r.refers_to, CASE WHEN r.by_id THEN '_id' ELSE r.refers_key END)).several THEN
            row_ids := coalesce(row_ids, mongo_migrate.target_ids(server, collection, ids));
            document := mongo_migrate.document_column(server, r.collection, r.target);
            PERFORM mongo_migrate.settle_dangling(server, r, CASE WHEN r.by_id OR r.refers_to <> collection THEN
                (SELECT format('(%s)', string_agg(format('t.%I = ANY (%L::%s[])', c.name, row_ids,
                                                         mongo_migrate.column_type_without_typmod(to_regclass(r.target), c.name)), ' OR '))
                   FROM (VALUES (r.column_name, r.refers_to), (document.column_name, r.collection)) AS c (name, collection)
                  WHERE c.collection = collection) END);
        END IF;
        IF r.refers_to = collection AND EXISTS (
                SELECT FROM mongo_migrate.dangling_reference AS d
                 WHERE (d.server, d.collection, d.target, d.column_name) = (server, r.collection, r.target, r.column_name)) THEN
            PERFORM mongo_migrate.mend_dangling(server, r);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.refer_anew(name, text, bytea[]) IS
    'after documents of a collection were written: references that dangled and do no more, those that dangle now and have no foreign key, and those that are looked up by another field; ids: BSON documents with the _id of each';

CREATE FUNCTION mongo_migrate.document_keys(ids bytea[])
    RETURNS bytea[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY(SELECT mongo_migrate.quarantine_key(mongo_migrate.document_key(i.id)) FROM unnest($1) WITH ORDINALITY AS i (id, n) ORDER BY i.n)
$$;
COMMENT ON FUNCTION mongo_migrate.document_keys(bytea[]) IS
    'the keys that mongo_migrate.change has for documents; ids: BSON documents with the _id of each';

CREATE FUNCTION mongo_migrate.apply_changes(server name, collection text, most integer DEFAULT 1000)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '10s'
AS $$
#variable_conflict use_variable
DECLARE
    begun constant timestamptz := clock_timestamp();
    changes mongo_migrate.change[];
    first record;
    again record;
    waiting bytea[];        -- keys of those that a foreign key refuses
    hopeless bytea[];       -- ids of those of them whose documents should have come by now
    refused bytea[];
    reasons text[];
    inserted bigint;
    replaced bigint;
    deleted bigint;
    cluster_time bigint;    -- what is read is of then, or later
BEGIN
    IF NOT mongo_migrate.is_loaded(server, collection)
       OR NOT pg_try_advisory_xact_lock(mongo_migrate.run_lock(server, collection)) THEN
        RETURN 0;
    END IF;
    WITH taken AS (
        DELETE FROM mongo_migrate.change AS c
         WHERE c.ctid = ANY (ARRAY(
                   SELECT d.ctid FROM mongo_migrate.change AS d
                    WHERE (d.server, d.collection) = (server, collection) AND d.due_at <= clock_timestamp()
                    ORDER BY d.due_at LIMIT most
                      FOR UPDATE))
        RETURNING c.*)
    SELECT array_agg(t::mongo_migrate.change) INTO changes FROM taken AS t;
    IF changes IS NULL THEN
        RETURN 0;
    END IF;

    SELECT y.cluster_time INTO cluster_time FROM mongo_migrate.sync AS y WHERE y.server = server;
    PERFORM mongo_migrate.reach_shards();
    PERFORM mongo_migrate.prepare_id_maps(server, collection);
    first := mongo_migrate.replace_documents(server, collection, ARRAY(SELECT c.id FROM unnest(changes) AS c), true, true,
                cluster_time);
    PERFORM mongo_migrate.forget_references(server, collection, first.written, begun);
    refused := first.refused;
    reasons := first.reasons;
    inserted := first.inserted;
    replaced := first.replaced;
    deleted := first.deleted;
    waiting := mongo_migrate.document_keys(first.dangling || first.held || first.moved);
    hopeless := ARRAY(SELECT c.id FROM unnest(changes) AS c WHERE c.attempts >= 2 AND c.key = ANY (waiting));
    IF hopeless <> '{}' THEN
        again := mongo_migrate.replace_and_refer(server, collection, hopeless, true, cluster_time);
        IF again.released THEN
            PERFORM mongo_migrate.apply_references(server, collection);
        END IF;
        refused := refused || again.refused;
        reasons := reasons || again.reasons;
        inserted := inserted + again.inserted;
        replaced := replaced + again.replaced;
        deleted := deleted + again.deleted;
    END IF;
    -- What is told by an event that has not been read yet: they were not deleted one by one.
    IF deleted > 0 THEN
        PERFORM mongo_migrate.require_collection(server, collection);
    END IF;
    PERFORM mongo_migrate.refer_anew(server, collection, first.written || hopeless);

    INSERT INTO mongo_migrate.change AS n (server, collection, key, id, changed_at, due_at, attempts, reason)
    SELECT c.server, c.collection, c.key, c.id, c.changed_at,
           clock_timestamp() + mongo_migrate.retry_delay(c.attempts), c.attempts + 1, u.reason
      FROM unnest(changes) AS c
      LEFT JOIN unnest(mongo_migrate.document_keys(refused), reasons) AS u (key, reason) USING (key)
     WHERE u.key IS NOT NULL OR (c.key = ANY (waiting) AND c.id <> ALL (hopeless));
    UPDATE mongo_migrate.sync AS y
       SET inserted = y.inserted + inserted, replaced = y.replaced + replaced, deleted = y.deleted + deleted
     WHERE y.server = server AND inserted + replaced + deleted > 0;
    RETURN cardinality(changes);
END
$$;
COMMENT ON FUNCTION mongo_migrate.apply_changes(name, text, integer) IS
    'replaces the rows of the documents of a collection that are due in mongo_migrate.change, of so many at most; returns their number: 0 also while the collection is being copied, or is not complete. What a foreign key refuses is tried again when others have come, and settled as the plan says at the third time; what cannot become rows stays there, with the reason, and is tried again ever more seldom';

CREATE FUNCTION mongo_migrate.try_step(step text, server name, collection text, wait_ms integer DEFAULT NULL, OUT count bigint, OUT problem text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    detail  text;
    hint    text;
BEGIN
    -- Who changes the direction has the lock alone.
    PERFORM pg_advisory_xact_lock_shared(mongo_migrate.sync_step_lock(server));
    IF mongo_migrate.is_cut_over(server) <> (step IN ('tables', 'assign', 'write')) THEN
        count := 0;
        RETURN;
    END IF;
    PERFORM mongo_migrate.require_writer(server);
    IF collection IS NOT NULL THEN
        PERFORM mongo_migrate.require_plan(server, collection);
        PERFORM mongo_migrate.set_plan_settings(server, collection);
    END IF;
    count := CASE step WHEN 'capture' THEN mongo_migrate.capture_changes(server, wait_ms)
                       WHEN 'apply' THEN mongo_migrate.apply_changes(server, collection)
                       WHEN 'triggers' THEN mongo_migrate.drop_note_triggers(server, wait => true)
                       WHEN 'tables' THEN mongo_migrate.adopt_tables(server)
                       WHEN 'assign' THEN mongo_migrate.assign_documents(server, collection)
                       WHEN 'write' THEN mongo_migrate.write_changes(server, collection) END;
    SET CONSTRAINTS ALL IMMEDIATE;      -- a commit that fails would end all
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    problem := concat_ws(E'\n', concat_ws(': ', collection, SQLERRM), nullif(detail, ''), nullif(hint, ''));
END
$$;
COMMENT ON FUNCTION mongo_migrate.try_step(text, name, text, integer) IS
    'a step of a sync, capture, apply, triggers, or after a cutover tables, assign or write: what capture_changes(), apply_changes(), drop_note_triggers(), adopt_tables(), assign_documents() or write_changes() returns, or what it fails with; 0 where the sync goes the other way';

CREATE FUNCTION mongo_migrate.note_problem(server name, problem text)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE mongo_migrate.sync AS s SET error = problem, error_at = CASE WHEN problem IS NOT NULL THEN clock_timestamp() END
     WHERE s.server = server AND s.running AND s.error IS DISTINCT FROM problem;
    IF FOUND AND problem IS NOT NULL THEN
        RAISE LOG 'sync of server "%": %', server, problem;
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.note_problem(name, text) IS
    'keeps what rounds of a sync fail with, NULL: nothing, where sync_status shows it, and tells the log of it once';

CREATE FUNCTION mongo_migrate.changed_collections(server name)
    RETURNS text[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    cut_over constant boolean := mongo_migrate.is_cut_over(server);
    result text[];
BEGIN
    -- From one collection to the next by the index, however many notes there are.  Where a plan is gone, try_step() tells of rows.
    EXECUTE format(
        'WITH RECURSIVE noted (collection) AS ('
        'SELECT min(c.collection) FROM mongo_migrate.%1$I AS c WHERE c.server = $1 UNION ALL '
        'SELECT (SELECT min(c.collection) FROM mongo_migrate.%1$I AS c WHERE c.server = $1 AND c.collection > n.collection) '
        'FROM noted AS n WHERE n.collection IS NOT NULL) '
        'SELECT ARRAY(SELECT n.collection FROM noted AS n '
        'WHERE EXISTS (SELECT FROM mongo_migrate.%1$I AS c WHERE (c.server, c.collection) = ($1, n.collection) AND c.due_at <= clock_timestamp()) '
        'AND ($2 OR EXISTS (SELECT FROM mongo_migrate.plan AS p WHERE (p.server, p.collection) = ($1, n.collection))))',
        CASE WHEN cut_over THEN 'row_change' ELSE 'change' END) INTO result USING server, cut_over;
    IF cardinality(result) > 1 THEN
        result := ARRAY(SELECT r.collection FROM unnest(result) AS r (collection)
                          LEFT JOIN mongo_migrate.migration_order(server) WITH ORDINALITY AS o (collection, n) USING (collection)
                         ORDER BY o.n);
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION mongo_migrate.changed_collections(name) IS
    'the collections of which changes are due, of documents or after a cutover of rows, those first that others refer to';

CREATE FUNCTION mongo_migrate.sync_is_wanted(server name, began mongo_migrate.sync)
    RETURNS boolean
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM mongo_migrate.sync AS s
                    WHERE s.server = $1 AND (s.running OR (s.server = began.server AND s.error_at IS NOT DISTINCT FROM began.error_at)))
$$;
COMMENT ON FUNCTION mongo_migrate.sync_is_wanted(name, mongo_migrate.sync) IS
    'whether follow_changes() is to go on; began: the sync when a person had it follow once though it is stopped, which holds until it stops itself';

CREATE PROCEDURE mongo_migrate.follow_changes(server name, once boolean DEFAULT false, max_duration interval DEFAULT NULL)
    LANGUAGE plpgsql
AS $$
DECLARE
    collection pg_catalog.text;
    taken bigint;           -- events
    applied bigint;
    problem pg_catalog.text;
    step pg_catalog.text;
    result pg_catalog.record;
    wait_ms integer := 0;
    round_ pg_catalog.timestamptz;      -- when it began
    noted pg_catalog.timestamptz;       -- when it had seen what there is
    due constant pg_catalog.timestamptz := pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) max_duration;
    by_hand constant boolean := once OR max_duration IS NULL;   -- the worker, which has one, just ends
    began mongo_migrate.sync;   -- once, though it is stopped
BEGIN
    IF by_hand THEN
        began := mongo_migrate.sync_of(server);
    END IF;
    -- One that has been told to stop may be at its last step.
    FOR i IN 1 .. 50 LOOP
        EXIT WHEN mongo_migrate.try_session_lock(mongo_migrate.sync_lock(server));
        IF i OPERATOR(pg_catalog.=) 50 THEN
            IF by_hand THEN
                RAISE NOTICE 'changes of server "%" are followed by another session', server;
            END IF;
            RETURN;
        END IF;
        CALL mongo_migrate.rest_until(pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) interval '100 milliseconds');
    END LOOP;
    began := CASE WHEN once AND NOT began.running THEN began END;
    WHILE mongo_migrate.sync_is_wanted(server, began) LOOP
        round_ := pg_catalog.clock_timestamp();
        result := mongo_migrate.try_step(CASE WHEN mongo_migrate.is_cut_over(server) THEN 'tables' ELSE 'capture' END, server, NULL, wait_ms);
        problem := result.problem;
        taken := coalesce(result.count, 0);
        COMMIT;
        noted := pg_catalog.clock_timestamp();
        EXIT WHEN NOT mongo_migrate.sync_is_wanted(server, began);
        applied := 0;
        -- The _id of all that is new first: documents refer to each other.
        FOREACH step IN ARRAY CASE WHEN mongo_migrate.is_cut_over(server) THEN ARRAY['assign', 'write'] ELSE ARRAY['apply'] END LOOP
            FOREACH collection IN ARRAY mongo_migrate.changed_collections(server) LOOP
                result := mongo_migrate.try_step(step, server, collection);
                problem := coalesce(problem, result.problem);
                applied := applied OPERATOR(pg_catalog.+) coalesce(result.count, 0);
                COMMIT;
            END LOOP;
        END LOOP;
        PERFORM mongo_migrate.note_problem(server, problem);
        PERFORM mongo_migrate.try_step('triggers', server, NULL);
        COMMIT;
        IF once AND problem IS NOT NULL THEN
            RAISE WARNING '%', problem;
        END IF;
        EXIT WHEN (once AND (applied OPERATOR(pg_catalog.=) 0 OR problem IS NOT NULL)) OR pg_catalog.clock_timestamp() OPERATOR(pg_catalog.>=) due;
        wait_ms := CASE WHEN once OR applied OPERATOR(pg_catalog.>) 0 THEN 0 ELSE 1000 END;
        -- Nothing tells of a new note; and a few changes are not worth a round each, nor most of a processor where the plans are large.
        IF NOT once AND (taken OPERATOR(pg_catalog.+) applied OPERATOR(pg_catalog.>) 0 OR mongo_migrate.is_cut_over(server))
           AND taken OPERATOR(pg_catalog.+) applied OPERATOR(pg_catalog.<) 1000 THEN
            CALL mongo_migrate.rest_until(GREATEST(round_ OPERATOR(pg_catalog.+) interval '200 milliseconds',
                pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+)
                LEAST((pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) noted) OPERATOR(pg_catalog.*) 3::pg_catalog.float8, interval '1 second')));
        END IF;
        IF problem IS NOT NULL AND applied OPERATOR(pg_catalog.=) 0 THEN
            CALL mongo_migrate.rest_until(pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) interval '5 seconds');
        END IF;
    END LOOP;
    -- What finalize() could not drop.
    FOR i IN 1 .. 100 LOOP
        EXIT WHEN mongo_migrate.is_cut_over(server) OR NOT EXISTS (SELECT FROM mongo_migrate.note_triggers(server));
        PERFORM mongo_migrate.try_step('triggers', server, NULL);
        COMMIT;
        CALL mongo_migrate.rest_until(pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) interval '300 milliseconds');
    END LOOP;
    PERFORM mongo_migrate.release_session_lock(mongo_migrate.sync_lock(server));
END
$$;
COMMENT ON PROCEDURE mongo_migrate.follow_changes(name, boolean, interval) IS
    'captures and applies changes, or after a cutover writes changed rows back, with commits, until stop_sync() is called, or max_duration is over; once: until there is nothing due any more, after stop_sync() too, or until something fails, which is a WARNING. It is what the worker of start_sync() runs; one session follows a server at a time, another ends after five seconds. Errors: 55000 where start_sync() has never been called';

CREATE FUNCTION mongo_migrate.sync_goes_on(server name)
    RETURNS boolean
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM mongo_migrate.sync AS s WHERE s.server = $1 AND s.running)
       AND NOT EXISTS (SELECT FROM mongo_migrate.run_lock_held AS h WHERE h.lock = mongo_migrate.sync_lock($1) AND h.pid IS DISTINCT FROM pg_backend_pid())
$$;
COMMENT ON FUNCTION mongo_migrate.sync_goes_on(name) IS
    'whether changes of a server are to be followed, and no other session does it';

CREATE FUNCTION mongo_migrate.start_sync_worker(server name)
    RETURNS text[]
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mm_start_sync_worker';
COMMENT ON FUNCTION mongo_migrate.start_sync_worker(name) IS
    'starts a background worker that runs follow_changes() when the present transaction has ended, with the rights of the caller; it is started again after an error or a crash, but not after a restart of the server, nor when its database or role was dropped; returns the roles that it has: its session''s, and its own. Errors: 53400 without a free slot (max_worker_processes)';

CREATE FUNCTION mongo_migrate.start_sync(server name, from_now boolean DEFAULT false)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s mongo_migrate.sync;
    begun record;
    copied text;
BEGIN
    PERFORM mongo_migrate.require_source(server);
    -- Of two that begin, the second goes on from where the first does: that may have copied since.
    PERFORM pg_advisory_xact_lock(mongo_migrate.sync_step_lock(server))
      WHERE NOT EXISTS (SELECT FROM mongo_migrate.sync AS y WHERE y.server = server);
    SELECT * INTO s FROM mongo_migrate.sync AS y WHERE y.server = server FOR UPDATE;
    IF from_now AND s.cut_over_at IS NOT NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('server "%s" is cut over: its changes are not followed', server),
            HINT = format('SELECT mongo_migrate.start_sync(%L) has its rows written back; mongo_migrate.rollback_cutover(%1$L) goes back.', server);
    END IF;
    PERFORM mongo_migrate.require_writer(server);
    IF s.server IS NULL OR from_now THEN
        begun := mongo_migrate.stream_end(server);
        INSERT INTO mongo_migrate.sync AS y (server, running, "position", cluster_time)
        VALUES (server, true, begun."position", begun.cluster_time)
            ON CONFLICT ON CONSTRAINT sync_pkey DO UPDATE
           SET running = true, "position" = excluded."position", cluster_time = excluded.cluster_time,
               started_at = excluded.started_at, captured_at = excluded.captured_at, error = NULL, error_at = NULL;
        SELECT string_agg(DISTINCT k.collection, ', ') INTO copied FROM mongo_migrate.chunk AS k
         WHERE k.server = server
           AND (k.documents > 0 OR EXISTS (SELECT FROM mongo_migrate.run_lock_held AS h WHERE h.lock = mongo_migrate.run_lock(server, k.collection)));
        IF copied IS NOT NULL THEN
            RAISE NOTICE 'what has changed before now is not followed, and documents of these collections were copied before: %', copied
                USING HINT = 'To bring that: SELECT count(*) FROM mongo_migrate.verify_full(server, collection), and mongo_migrate.repair(server, collection, delete_extra => true), of each.';
        END IF;
    ELSE
        UPDATE mongo_migrate.sync AS y SET running = true, error = NULL, error_at = NULL
         WHERE y.server = server AND NOT y.running;
    END IF;
    IF s.running IS NOT TRUE OR mongo_migrate.sync_goes_on(server) THEN
        PERFORM mongo_migrate.pass_numbers('quarantine', 'quarantine_id');
        PERFORM mongo_migrate.synchronize_sequences(server, p.collection, false) FROM mongo_migrate.plan AS p
         WHERE p.server = server AND s.cut_over_at IS NULL AND mongo_migrate.is_loaded(server, p.collection);
        UPDATE mongo_migrate.sync AS y SET roles = mongo_migrate.start_sync_worker(server) WHERE y.server = server;
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.start_sync(name, boolean) IS
    'has a background worker follow the changes of a server''s database, from the position where it was stopped, else from now on: documents of planned collections that change have their rows replaced, once the collection has been copied. To be called before the copy; may be called again, and then starts the worker if it is not there. from_now: changes until now are not followed. Errors: HV000 on a server without a replica set; 53400 without a free slot (max_worker_processes); 55000 in a copy of a database that is cut over, and after a recovery or a promotion, until take_over()';

CREATE FUNCTION mongo_migrate.sync_of(server name)
    RETURNS mongo_migrate.sync
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    s mongo_migrate.sync;
BEGIN
    SELECT * INTO s FROM mongo_migrate.sync AS y WHERE y.server = server;
    IF NOT FOUND THEN
        PERFORM mongo_migrate.require_source(server);
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('changes of server "%s" are not followed', server),
            HINT = format('SELECT mongo_migrate.start_sync(%L) begins; mongo_migrate.sync_status has the servers that are followed.', server);
    END IF;
    RETURN s;
END
$$;
COMMENT ON FUNCTION mongo_migrate.sync_of(name) IS
    'the sync of a server; error 55000 where start_sync() has not been called, or finalize() has ended it';

CREATE FUNCTION mongo_migrate.stop_sync(server name)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    UPDATE mongo_migrate.sync AS s SET running = false WHERE s.server = server;
    IF NOT FOUND THEN
        PERFORM mongo_migrate.sync_of(server);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.stop_sync(name) IS
    'has the worker of start_sync() end after its present step, when the transaction has committed; the position stays, for start_sync() to go on from. Errors: 55000 where there is none';

CREATE VIEW mongo_migrate.sync_status AS
    SELECT s.server, CASE WHEN NOT s.running THEN 'stopped' WHEN h.pid IS NULL THEN 'lost' ELSE 'running' END AS state, h.pid,
           mongo_migrate.cluster_timestamp(s.cluster_time) AS captured_until,
           greatest(clock_timestamp() - CASE WHEN s.cut_over_at IS NULL THEN mongo_migrate.cluster_timestamp(s.cluster_time) ELSE c.oldest END, interval '0') AS lag,
           s.events, s.inserted, s.replaced, s.deleted,
           coalesce(c.pending, 0) AS pending, coalesce(c.refused, 0) AS refused, c.oldest,
           coalesce(g.problem, s.error) AS error, s.error_at, s.started_at, s.captured_at, s.cut_over_at, s.written
      FROM mongo_migrate.sync AS s
      LEFT JOIN mongo_migrate.run_lock_held AS h ON h.lock = mongo_migrate.sync_lock(s.server)
      LEFT JOIN LATERAL (
            SELECT format('role "%s", whose rights the worker had, does not exist any more; SELECT mongo_migrate.start_sync(%L) starts it with those of another', r.role, s.server) AS problem
              FROM unnest(s.roles) AS r (role)
             WHERE s.running AND h.pid IS NULL AND r.role <> ALL (SELECT p.rolname::text FROM pg_roles AS p) LIMIT 1) AS g ON true
      LEFT JOIN LATERAL (
            SELECT count(*) FILTER (WHERE n.reason IS NULL) AS pending, count(*) FILTER (WHERE n.reason IS NOT NULL) AS refused,
                   min(n.changed_at) FILTER (WHERE n.reason IS NULL) AS oldest
              FROM (SELECT c.changed_at, c.reason FROM mongo_migrate.change AS c WHERE c.server = s.server AND s.cut_over_at IS NULL
                     UNION ALL
                    SELECT r.changed_at, r.reason FROM mongo_migrate.row_change AS r WHERE r.server = s.server AND s.cut_over_at IS NOT NULL) AS n) AS c ON true;
COMMENT ON VIEW mongo_migrate.sync_status IS
    'the sync of each server: state (running; stopped; lost: it should run, and no session does it: start_sync() starts it again); captured_until, by MongoDB''s clock: all changes until then are noted; lag: how long ago that is; events of the database that were read; documents inserted, replaced and deleted; pending: documents whose change is noted and not applied yet, the oldest since; refused: those that cannot become rows, with the reason in mongo_migrate.change; error: what rounds fail with, since error_at; cut_over_at: since then it goes the other way: pending, oldest, refused and lag are of rows to be written back (mongo_migrate.row_change), and written counts documents that were written in the source';

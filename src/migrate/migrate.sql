-- migrate.sql: migrations of a collection and of a whole database.
--
-- The caller's session decides and waits; background workers do the work, so
-- that each batch is committed.  With workers => 0 the same steps run in the
-- caller's own transaction.

CREATE TYPE mongo_migrate.migration_result AS (
    collection  text,
    documents   bigint,
    inserted    bigint,
    skipped     bigint,
    rejected    bigint,
    batches     bigint,
    elapsed     interval,
    docs_per_second bigint,
    complete    boolean,
    rounded     bigint,
    run_id      bigint
);
COMMENT ON TYPE mongo_migrate.migration_result IS
    'what a call of migrate_collection did: documents read, of which inserted, skipped (they had their rows already) and rejected (they are in quarantine); rounded counts values';

CREATE FUNCTION mongo_migrate.check_run_options(batch_size integer, workers integer, on_error text,
        max_errors bigint, max_duration interval, dry_run boolean, retry_for interval, max_docs_per_second integer)
    RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    CASE
        WHEN batch_size IS NULL OR batch_size < 1 THEN
            RAISE invalid_parameter_value USING MESSAGE = 'batch_size must be at least 1';
        WHEN workers IS NULL OR workers < 0 THEN
            RAISE invalid_parameter_value USING MESSAGE = 'workers must not be negative',
                HINT = 'workers => 0 does all in the calling transaction.';
        WHEN on_error IS NULL OR on_error NOT IN ('quarantine', 'stop') THEN
            RAISE invalid_parameter_value USING
                MESSAGE = format('on_error must be quarantine or stop, not %L', on_error);
        WHEN max_errors < 0 THEN
            RAISE invalid_parameter_value USING MESSAGE = 'max_errors must not be negative';
        WHEN max_duration <= interval '0' THEN
            RAISE invalid_parameter_value USING MESSAGE = 'max_duration must be positive';
        WHEN dry_run IS NULL THEN
            RAISE invalid_parameter_value USING MESSAGE = 'dry_run must not be null';
        WHEN retry_for IS NULL OR retry_for < interval '0' THEN
            RAISE invalid_parameter_value USING MESSAGE = 'retry_for must not be negative',
                HINT = 'retry_for => ''0'' ends a migration at the first lost connection.';
        WHEN max_docs_per_second < 1 THEN
            RAISE invalid_parameter_value USING MESSAGE = 'max_docs_per_second must be at least 1';
        ELSE
            NULL;
    END CASE;
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_run_options(integer, integer, text, bigint, interval, boolean, interval, integer) IS
    'an error for arguments that migrate_collection and migrate_all cannot work with';

CREATE FUNCTION mongo_migrate.refuse_cut_over(server name, collection text DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF mongo_migrate.is_cut_over(server) THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('server "%s" is cut over: the rows%s are right, and the documents follow them', server, ' of collection ' || collection),
            HINT = format('SELECT mongo_migrate.rollback_cutover(%L) goes back; SELECT mongo_migrate.finalize(%1$L) ends it.', server);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.refuse_cut_over(name, text) IS
    'error 55000 where the documents of a server follow the rows, which nothing that writes rows of documents may change';

CREATE FUNCTION mongo_migrate.lock_collection(server name, collection text)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    worker bigint;          -- the lock of a chunk
BEGIN
    IF NOT mongo_migrate.hold_collection(server, collection) THEN
        RAISE object_in_use USING
            MESSAGE = format('collection %s is being migrated by another session', collection),
            DETAIL = mongo_migrate.run_lock_holder(mongo_migrate.run_lock(server, collection)),
            HINT = format('See mongo_migrate.progress; mongo_migrate.stop_migration(%L, %L) ends it after its present batches.',
                          server, collection);
    END IF;
    -- cutover() has had the lock.
    PERFORM mongo_migrate.refuse_cut_over(server, collection);
    FOR worker IN
        SELECT mongo_migrate.run_lock(server, collection, chunk) FROM mongo_migrate.chunk
         WHERE server = lock_collection.server AND collection = lock_collection.collection AND NOT complete
    LOOP
        PERFORM pg_advisory_lock(worker), pg_advisory_unlock(worker);
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.lock_collection(name, text) IS
    'locks a collection for the transaction, so that no other session migrates it, and waits for workers that a session which is gone has left; error 55006 while another session has it';

CREATE FUNCTION mongo_migrate.run_result(run_id bigint, started timestamptz)
    RETURNS mongo_migrate.migration_result
    LANGUAGE sql VOLATILE
    BEGIN ATOMIC
        SELECT ROW(r.collection, r.documents, r.inserted, r.skipped, r.rejected, r.batches, e.elapsed,
                   pg_catalog.round(r.documents / nullif(extract(epoch FROM e.elapsed), 0))::bigint,
                   r.state = 'complete', r.rounded, r.run_id)::mongo_migrate.migration_result
          FROM mongo_migrate.run_report r
         CROSS JOIN LATERAL (SELECT pg_catalog.clock_timestamp() - started AS elapsed) e
         WHERE r.run_id = run_result.run_id;
    END;
COMMENT ON FUNCTION mongo_migrate.run_result(bigint, timestamptz) IS
    'what a run has done, and the time since it was started';

CREATE FUNCTION mongo_migrate.run_patiently(server name, collection text, commands text[], heartbeat text,
        retry_for interval)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    shortest constant interval := '1 second';
    longest constant interval := '10 seconds';
    before bigint;          -- documents, when the connection was lost last
    done bigint;
    lost_at timestamptz;    -- since when none was copied
    pause interval;
    message text; detail text;
BEGIN
    LOOP
        BEGIN
            PERFORM mongo_migrate.run_workers(commands, heartbeat);
            RETURN;
        EXCEPTION WHEN connection_exception OR io_error OR internal_error OR deadlock_detected THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
            -- That a worker waits for the calling session is of the same class: run_workers() says it, and no pause helps.
            -- Where a node goes away, Citus tells what libpq says, as an internal error, or an I/O error where a COPY sends.
            IF NOT SQLSTATE LIKE '08%' AND NOT (SQLSTATE = '40P01' AND message !~ '^background worker') AND NOT (mongo_migrate.has_citus()
                    AND (SQLSTATE = '58030' OR message ~ '(server|connection|socket)')) THEN
                RAISE;
            END IF;
            -- What a worker had not committed is undone; the next one begins after that.
            before := done;
            done := coalesce((SELECT documents FROM mongo_migrate.chunk_sum
                               WHERE server = run_patiently.server AND collection = run_patiently.collection), 0);
            IF lost_at IS NULL OR done <> before THEN
                lost_at := clock_timestamp();
                pause := shortest;
            ELSE
                pause := least(2 * pause, longest);
            END IF;
            IF clock_timestamp() + pause > lost_at + retry_for THEN
                RAISE;
            END IF;
        END;
        RAISE WARNING '% is interrupted: %', coalesce('migration of collection ' || collection, format('planning of server "%s"', server)), message USING
            DETAIL = concat_ws(E'\n', nullif(detail, ''), CASE WHEN collection IS NOT NULL THEN format('%s documents are done.', done) END),
            HINT = format('It is tried again after %s s, until %s.', extract(epoch FROM pause)::integer,
                          to_char(lost_at + retry_for, 'HH24:MI:SS'));
        PERFORM pg_sleep(extract(epoch FROM pause));
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.run_patiently(name, text, text[], text, interval) IS
    'runs steps of a collection''s migration (collection NULL: the planning of a server''s) in background workers, as run_workers() does; where the connection to MongoDB is lost, runs all of them again, after pauses that double up to 10 s, until nothing was copied for retry_for';

CREATE FUNCTION mongo_migrate.run_with_workers(server name, collection text, batch_size integer,
        workers integer, on_error text, max_errors bigint, max_duration interval, retry_for interval,
        max_docs_per_second integer)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    this_run bigint;
    heartbeat text;
    useful integer;         -- workers
    state text; message text; detail text; hint text;
    done mongo_migrate.chunk_sum;
BEGIN
    PERFORM mongo_migrate.run_patiently(server, collection, ARRAY[
        format('SELECT mongo_migrate.prepare_run(%L, %L, %L, %L, %L, %L, %L, %L, %L)', server, collection,
               batch_size, workers, on_error, max_errors, max_duration, max_docs_per_second,
               to_json(statement_timestamp()) #>> '{}')], NULL, retry_for);     -- in ISO format, whatever DateStyle is
    SELECT max(run_id) INTO STRICT this_run FROM mongo_migrate.run
     WHERE server = run_with_workers.server AND collection = run_with_workers.collection;
    heartbeat := format('SELECT mongo_migrate.report_progress(%s)', this_run);

    SELECT least(workers, incomplete) INTO STRICT useful FROM mongo_migrate.chunk_sum
     WHERE server = run_with_workers.server AND collection = run_with_workers.collection;
    PERFORM mongo_migrate.run_patiently(server, collection,
        array_fill(format('CALL mongo_migrate.copy_chunks(%s)', this_run), ARRAY[useful]), heartbeat, retry_for);
    -- Of the workers one finishes the run; the others help it where a table is large.
    SELECT CASE WHEN count(*) > 0 THEN mongo_migrate.key_workers(workers) ELSE 1 END INTO STRICT useful
      FROM mongo_migrate.plan_target t
     WHERE (t.server, t.collection) = (run_with_workers.server, run_with_workers.collection) AND t.included
       AND pg_relation_size(to_regclass(t.target)) >= pg_size_bytes(current_setting('min_parallel_table_scan_size'));
    PERFORM mongo_migrate.run_patiently(server, collection,
        format('CALL mongo_migrate.finish_run(%s)', this_run)
        || array_fill(format('CALL mongo_migrate.help_finish(%s)', this_run), ARRAY[useful - 1]), heartbeat, retry_for);
    RETURN this_run;
EXCEPTION WHEN query_canceled OR OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    IF this_run IS NULL THEN
        RAISE;
    END IF;
    BEGIN
        PERFORM mongo_migrate.run_workers(ARRAY[
            format('SELECT mongo_migrate.end_run(%s, %L, %L)', this_run,
                   CASE WHEN state IN ('57014', '57P01') THEN 'stopped' ELSE 'failed' END, message)]);
    EXCEPTION WHEN OTHERS THEN
        NULL;   -- the first error is the one to tell; the next call sees that nobody is at work
    END;
    SELECT * INTO done FROM mongo_migrate.chunk_sum
     WHERE server = run_with_workers.server AND collection = run_with_workers.collection;
    RAISE EXCEPTION USING ERRCODE = state,
        MESSAGE = format('migration of collection %s stopped: %s', collection, message),
        DETAIL = concat_ws(E'\n', nullif(detail, ''),
            format('%s documents in %s batches are committed.', done.documents, done.batches)),
        HINT = concat_ws(E'\n', nullif(hint, ''),
            'Call migrate_collection again: it continues after the last committed batch.');
END
$$;
COMMENT ON FUNCTION mongo_migrate.run_with_workers(name, text, integer, integer, text, bigint, interval, interval, integer) IS
    'migrates a collection in background workers and returns the run';

CREATE FUNCTION mongo_migrate.run_in_transaction(server name, collection text, batch_size integer,
        on_error text, max_errors bigint, max_duration interval, max_docs_per_second integer)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    this_run bigint;
    range integer;
    size integer;
    step record;
    finished text;
    tried text[] := '{}';
    pause interval;         -- between two reports of progress
    reported timestamptz := clock_timestamp();
BEGIN
    this_run := mongo_migrate.prepare_run(server, collection, batch_size, 0, on_error, max_errors, max_duration,
        max_docs_per_second);
    size := (SELECT mongo_migrate.run_batch_size(r) FROM mongo_migrate.run r WHERE r.run_id = this_run);
    pause := current_setting('mongo_migrate.progress_interval');   -- there since the library is loaded
    FOR range IN
        SELECT chunk FROM mongo_migrate.chunk
         WHERE server = run_in_transaction.server AND collection = run_in_transaction.collection
           AND NOT complete
         ORDER BY chunk
    LOOP
        LOOP
            step := mongo_migrate.copy_step(this_run, range, size);
            CALL mongo_migrate.rest_until(step.due);
            EXIT WHEN NOT step.more;
            size := step.batch_size;
            IF pause > interval '0' AND clock_timestamp() > reported + pause THEN
                PERFORM mongo_migrate.report_progress(this_run);
                reported := clock_timestamp();
            END IF;
        END LOOP;
    END LOOP;
    IF mongo_migrate.end_copy(this_run) THEN
        PERFORM mongo_migrate.add_keys(this_run);
        PERFORM mongo_migrate.add_references(this_run);
        LOOP
            finished := mongo_migrate.finish_table(this_run, tried);
            EXIT WHEN finished IS NULL;
            tried := tried || finished;
        END LOOP;
        PERFORM mongo_migrate.validate_references(this_run);
        PERFORM mongo_migrate.complete_run(this_run);
    END IF;
    RETURN this_run;
END
$$;
COMMENT ON FUNCTION mongo_migrate.run_in_transaction(name, text, integer, text, bigint, interval, integer) IS
    'migrates a collection in the current transaction and returns the run';

CREATE FUNCTION mongo_migrate.quarantine_reasons(server name, collection text)
    RETURNS text
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        SELECT pg_catalog.string_agg(pg_catalog.format('%s (%s, such as _id %s)', reason, mongo_migrate.counted(n, 'document'), id), E'\n')
          FROM (SELECT reason, count(*) AS n, min(source_id) AS id
                  FROM mongo_migrate.quarantine q
                 WHERE q.server = quarantine_reasons.server AND q.collection = quarantine_reasons.collection
                 GROUP BY reason
                 ORDER BY n DESC, reason
                 LIMIT 3) r;
    END;
COMMENT ON FUNCTION mongo_migrate.quarantine_reasons(name, text) IS
    'the commonest reasons of a collection''s quarantine, for a message';

CREATE FUNCTION mongo_migrate.report_drift(server name, collection text, since timestamptz)
    RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    shown constant integer := 20;
    fields text[] := ARRAY(
        SELECT format('%s (%s)', d.path, mongo_migrate.counted(d.documents, 'document'))
          FROM mongo_migrate.drift d
         WHERE (d.server, d.collection) = ($1, $2) AND d.last_seen >= since
         ORDER BY d.documents DESC, d.path COLLATE "C");
BEGIN
    IF fields <> '{}' THEN
        RAISE NOTICE '%: fields that the plan does not know: %', collection,
            concat_ws(', ', array_to_string(fields[:shown], ', '),
                CASE WHEN cardinality(fields) > shown THEN format('and %s more', cardinality(fields) - shown) END)
            USING HINT = 'Fields of a row itself are in its column of role extra, where there is one; others are not copied. A row in mongo_migrate.plan_column makes a field known, also with included = false.';
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.report_drift(name, text, timestamptz) IS
    'raises a NOTICE that names the fields unknown to the plan that documents had since a time';

CREATE FUNCTION mongo_migrate.tell_unmatched_filters(server name, collection text)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    t mongo_migrate.plan_target;
BEGIN
    FOR t IN
        SELECT o.* FROM mongo_migrate.plan_target o
         WHERE (o.server, o.collection) = (server, collection) AND o.included AND o.filter IS NOT NULL
         ORDER BY o.ordinal
    LOOP
        IF NOT coalesce(mongo_migrate.is_filled(to_regclass(t.target)::text), false) AND mongo_migrate.run_command(server, json_build_object('count', collection, 'query', t.filter, 'limit', 1)) ->> 'n' = '0'
           AND mongo_migrate.run_command(server, json_build_object('count', collection, 'limit', 1)) ->> 'n' <> '0' THEN
            RAISE WARNING '%: no document of collection % matches the filter', t.target, collection USING
                DETAIL = format('The filter is %s.', t.filter),
                HINT = 'A number does not match a string, nor an ObjectId its digits. Correct the plan: ' || mongo_migrate.mend_target(t, 'filter = ''{...}''');
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.tell_unmatched_filters(name, text) IS
    'warns of tables of a collection that are empty because no document matches their filter, though there are some';

CREATE FUNCTION mongo_migrate.migrate_collection(server name, collection text,
        batch_size integer DEFAULT 5000, workers integer DEFAULT 2,
        on_error text DEFAULT 'quarantine', max_errors bigint DEFAULT NULL,
        max_duration interval DEFAULT NULL, dry_run boolean DEFAULT false,
        retry_for interval DEFAULT '5 minutes', max_docs_per_second integer DEFAULT NULL)
    RETURNS mongo_migrate.migration_result
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    started constant timestamptz := clock_timestamp();
    this_run bigint;
    ended mongo_migrate.run;
BEGIN
    PERFORM mongo_migrate.check_run_options(batch_size, workers, on_error, max_errors, max_duration, dry_run,
        retry_for, max_docs_per_second);
    PERFORM mongo_migrate.require_source(server, collection);
    PERFORM mongo_migrate.lock_collection(server, collection);
    IF dry_run THEN
        RETURN mongo_migrate.rehearse_run(server, collection, batch_size, on_error);
    END IF;

    IF workers = 0 THEN
        -- For the foreign keys at its end, in the order of lock.sql.
        PERFORM mongo_migrate.await_lock(mongo_migrate.run_lock(server, ''));
        this_run := mongo_migrate.run_in_transaction(server, collection, batch_size,
            on_error, max_errors, max_duration, max_docs_per_second);
    ELSE
        -- A connection that was lost is made again; one that cannot be made to begin with is an error at once.
        PERFORM mongo_migrate.run_command(server, '{"ping": 1}');
        this_run := mongo_migrate.run_with_workers(server, collection, batch_size, workers,
            on_error, max_errors, max_duration, retry_for, max_docs_per_second);
    END IF;
    SELECT * INTO ended FROM mongo_migrate.run WHERE run_id = this_run;
    IF ended.state = 'failed' THEN
        RAISE data_exception USING MESSAGE = ended.error,
            DETAIL = coalesce(mongo_migrate.quarantine_reasons(server, collection), ''),
            HINT = concat('mongo_migrate.quarantine_report shows the documents. Mend the plan and call ',
                'mongo_migrate.retry_quarantine, or raise max_errors; then call migrate_collection again',
                CASE WHEN workers > 0 THEN ': it continues after the last committed batch' END, '.');
    ELSIF ended.state = 'stopped' THEN
        RAISE NOTICE 'migration of collection % stopped: %', collection, ended.error
            USING HINT = concat_ws(E'\n', 'Call migrate_collection again: it continues after the last batch.',
                (SELECT format('Until it is complete, the collection is without %s.', mongo_migrate.counted(count(*), 'foreign key'))
                   FROM mongo_migrate.reference_ddl(server) r
                  WHERE r.collection = migrate_collection.collection AND ended.catching_up HAVING count(*) > 0));
    ELSE
        PERFORM mongo_migrate.tell_unmatched_filters(server, collection);
    END IF;
    PERFORM mongo_migrate.report_drift(server, collection, started);
    RETURN mongo_migrate.run_result(this_run, started);
END
$$;
COMMENT ON FUNCTION mongo_migrate.migrate_collection(name, text, integer, integer, text, bigint, interval, boolean, interval, integer) IS
'Migrates a MongoDB collection into its tables, which are planned and created where there is no plan; called again, continues where it ended, and after the end catches up with new documents.
batch_size: documents a commit, at most: batches end at 8 MB of documents, and become smaller while one takes longer than mongo_migrate.batch_time. workers: background workers; 0: all in the calling transaction, all or nothing. on_error: quarantine sets a document that cannot become rows aside, stop ends the migration at it. max_errors: documents in quarantine that are borne. max_duration: stops after the batch at that time. dry_run: migrates a sample, reports, and rolls it back. retry_for: how long a lost connection to MongoDB is tried again, with a WARNING each time, while nothing can be copied, planning and keys included; not with workers => 0, where an error undoes the transaction. max_docs_per_second: documents that all workers together read in a second, to spare the source; batches become small enough for it.
Result: what this call did; complete: every document that was there has its rows or is in quarantine, and keys and foreign keys stand.
Errors: 25001 in a transaction that has changed data, 55006 while another session migrates the collection, 53400 without a free background worker, 22000 for more than max_errors, and whatever a batch meets; what is committed stays.';

CREATE FUNCTION mongo_migrate.migration_order(server name)
    RETURNS SETOF text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    remaining text[] := ARRAY(SELECT collection FROM mongo_migrate.plan
                               WHERE server = migration_order.server ORDER BY collection);
    free text[];
BEGIN
    WHILE remaining <> '{}' LOOP
        free := ARRAY(SELECT r.collection FROM unnest(remaining) WITH ORDINALITY AS r (collection, n)
                       WHERE NOT EXISTS (
                             SELECT FROM mongo_migrate.plan_column c
                              WHERE (c.server, c.collection) = (migration_order.server, r.collection)
                                AND c.included AND c.refers_to <> r.collection AND c.refers_to = ANY (remaining))
                       ORDER BY r.n);
        IF free = '{}' THEN
            free := remaining[1:1];     -- of a circle
        END IF;
        RETURN QUERY SELECT unnest(free);
        remaining := ARRAY(SELECT r.collection FROM unnest(remaining) WITH ORDINALITY AS r (collection, n)
                            WHERE r.collection <> ALL (free) ORDER BY r.n);
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.migration_order(name) IS
    'the planned collections, those that others refer to first as far as there is such an order';

CREATE FUNCTION mongo_migrate.plan_collections(server name, collections text[], asked_at timestamptz, deadline timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    collection text;
BEGIN
    FOREACH collection IN ARRAY collections LOOP
        EXIT WHEN mongo_migrate.stop_requested(server, NULL, asked_at) OR clock_timestamp() >= deadline;
        BEGIN
            PERFORM mongo_migrate.plan_collection(server, collection);
        EXCEPTION
            WHEN connection_exception THEN
                RAISE;
            WHEN OTHERS THEN
                NULL;
        END;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_collections(name, text[], timestamptz, timestamptz) IS
    'plans collections as far as that can be done; what keeps one from being planned is told when it is migrated; calls of stop_migration() after asked_at, and the deadline, end it';

CREATE FUNCTION mongo_migrate.migrate_all(server name,
        batch_size integer DEFAULT 5000, workers integer DEFAULT 2,
        on_error text DEFAULT 'quarantine', max_errors bigint DEFAULT NULL,
        max_duration interval DEFAULT NULL, dry_run boolean DEFAULT false,
        retry_for interval DEFAULT '5 minutes', max_docs_per_second integer DEFAULT NULL)
    RETURNS SETOF mongo_migrate.migration_result
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    slice constant integer := 50;
    begun constant timestamptz := statement_timestamp();
    deadline constant timestamptz := clock_timestamp() + max_duration;
    source record;
    unplanned text[] := '{}';
    next text;
    result mongo_migrate.migration_result;
    message text; detail text; hint text;
BEGIN
    PERFORM mongo_migrate.check_run_options(batch_size, workers, on_error, max_errors, max_duration, dry_run,
        retry_for, max_docs_per_second);
    PERFORM mongo_migrate.refuse_cut_over(server);
    PERFORM mongo_migrate.require_source(server);
    FOR source IN
        SELECT collection, kind FROM mongo_migrate.list_collections(server)
         WHERE collection NOT IN (SELECT collection FROM mongo_migrate.plan WHERE server = migrate_all.server)
    LOOP
        IF source.kind = 'view' THEN
            RAISE NOTICE 'view % is not migrated', source.collection
                USING HINT = format('To migrate it too, plan it: SELECT mongo_migrate.plan_collection(%L, %L);',
                                    server, source.collection);
        ELSE
            unplanned := unplanned || source.collection;
        END IF;
    END LOOP;
    IF unplanned <> '{}' AND NOT dry_run THEN
        IF workers = 0 THEN
            PERFORM mongo_migrate.plan_collection(server, collection) FROM unnest(unplanned) AS collection
              WHERE coalesce(clock_timestamp() < deadline, true);
        ELSE
            -- Each slice is a transaction, which asks once what keys there are for references to lead to.
            FOR n IN 1 .. cardinality(unplanned) BY slice LOOP
                BEGIN
                    PERFORM mongo_migrate.run_patiently(server, NULL, ARRAY[
                        format('SELECT mongo_migrate.plan_collections(%L, %L, %L, %L)', server,
                               unplanned[n : n + slice - 1], to_json(begun) #>> '{}', to_json(deadline) #>> '{}')], NULL, retry_for);
                EXCEPTION
                    WHEN connection_exception THEN
                        EXIT;
                    WHEN OTHERS THEN
                        NULL;       -- each is told of in its turn
                END;
            END LOOP;
        END IF;
    END IF;

    -- All at once before any table, in the order of lock.sql, where all is one transaction.
    PERFORM mongo_migrate.lock_collection(server, o) FROM mongo_migrate.migration_order(server) AS o
      WHERE workers = 0 AND NOT dry_run;
    FOR next IN
        -- Another session may have planned what here could not be.
        SELECT mongo_migrate.migration_order(server) UNION ALL
        SELECT u FROM unnest(unplanned) AS u
         WHERE u NOT IN (SELECT collection FROM mongo_migrate.plan WHERE server = migrate_all.server)
    LOOP
        EXIT WHEN clock_timestamp() >= deadline;
        IF mongo_migrate.stop_requested(server, NULL, begun) THEN
            RAISE NOTICE 'migration of server "%" stopped: stop_migration was called', server
                USING HINT = 'Call migrate_all again: it continues where it has stopped.';
            EXIT;
        END IF;
        BEGIN
            result := mongo_migrate.migrate_collection(server, next, batch_size, workers, on_error,
                max_errors, deadline - clock_timestamp(), dry_run, retry_for, max_docs_per_second);
        EXCEPTION WHEN OTHERS THEN
            IF workers = 0 AND NOT dry_run THEN
                RAISE;
            END IF;
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL,
                hint = PG_EXCEPTION_HINT;
            RAISE WARNING '%', message USING
                DETAIL = concat_ws(E'\n', nullif(detail, ''), format('Collection %s is not complete. The others are migrated all the same.', next)),
                HINT = coalesce(nullif(hint, ''), format('SELECT * FROM mongo_migrate.migrate_collection(%L, %L) tries it again.', server, next));
            result := (next, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, NULL, NULL);
        END;
        RETURN NEXT result;
    END LOOP;
    IF NOT FOUND THEN
        RAISE NOTICE 'server "%" has no collection to migrate', server
            USING HINT = format('SELECT * FROM mongo_migrate.preflight(%L) looks at the server and its database.', server);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.migrate_all(name, integer, integer, text, bigint, interval, boolean, interval, integer) IS
'Migrates every collection of a server''s database, those that others refer to first, planning those that have no plan; views only when they are planned. Arguments as of migrate_collection, max_errors for each collection, max_duration for all.
A collection that fails is a WARNING and a row whose complete is false and counters are NULL; the others go on. With workers => 0 it is an error.';

CREATE FUNCTION mongo_migrate.stop_migration(server name, collection text DEFAULT NULL)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF collection IS NULL THEN
        PERFORM mongo_migrate.require_source(server);
    ELSE
        PERFORM mongo_migrate.require_source(server, collection);
        PERFORM mongo_migrate.require_plan(server, collection);
    END IF;
    INSERT INTO mongo_migrate.stop_request AS s VALUES (server, collection, clock_timestamp())
        ON CONFLICT ON CONSTRAINT stop_request_server_collection_key DO UPDATE SET requested_at = excluded.requested_at;
    RETURN EXISTS (
        SELECT FROM mongo_migrate.progress p
         WHERE p.server = stop_migration.server AND p.collection = coalesce(stop_migration.collection, p.collection)
           AND p.state = 'running' AND p.phase IN ('copy', 'keys', 'references'));
END
$$;
COMMENT ON FUNCTION mongo_migrate.stop_migration(name, text) IS
    'has migrations of the collection (NULL: of all of the server, migrate_all included) that were begun before stop, once this is committed: after their present batches, or after the indexes and tables that they are at; false: none is running';

CREATE FUNCTION mongo_migrate.set_pace(server name, collection text, max_docs_per_second integer)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    PERFORM mongo_migrate.require_source(server, collection);
    PERFORM mongo_migrate.require_plan(server, collection);
    IF max_docs_per_second < 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'max_docs_per_second must be at least 1';
    END IF;
    UPDATE mongo_migrate.run
       SET options = mongo_migrate.paced(options, max_docs_per_second)
     WHERE server = set_pace.server AND collection = set_pace.collection AND state = 'running' AND phase = 'copy';
    RETURN FOUND;
END
$$;
COMMENT ON FUNCTION mongo_migrate.set_pace(name, text, integer) IS
    'changes max_docs_per_second (NULL: no limit) of a running migration of the collection, from the batches after the present ones on, once this is committed; false: none is copying';

CREATE FUNCTION mongo_migrate.empty_tables(targets text[])
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    detail text;
    hint text;
    referring text;
BEGIN
    EXECUTE format('TRUNCATE %s', array_to_string(targets, ', '));
EXCEPTION WHEN feature_not_supported THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    SELECT string_agg(format('ALTER TABLE %s DROP CONSTRAINT %I;', k.conrelid::regclass, k.conname), ' '
                      ORDER BY k.conrelid::regclass::text COLLATE "C", k.conname) INTO referring
      FROM pg_constraint k
     WHERE k.contype = 'f' AND k.conparentid = 0
       AND k.confrelid = ANY (targets::regclass[]) AND k.conrelid <> ALL (targets::regclass[]);
    RAISE feature_not_supported USING
        MESSAGE = SQLERRM, DETAIL = detail,
        HINT = coalesce('To empty it, drop the foreign keys of tables that are no targets of the collection, or not included any more: ' || referring, hint);
END
$$;
COMMENT ON FUNCTION mongo_migrate.empty_tables(text[]) IS
    'empties the tables of a collection; where a foreign key of another table stands in the way, the error has the statement that drops it';

CREATE FUNCTION mongo_migrate.ids_held_by(server name, collection text)
    RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT min(c.collection)
      FROM mongo_migrate.plan_column c
      JOIN mongo_migrate.chunk k USING (server, collection)
     WHERE c.server = $1 AND c.collection <> $2 AND c.refers_to = $2 AND c.included
       AND mongo_migrate.holds_ids(c)
$$;
COMMENT ON FUNCTION mongo_migrate.ids_held_by(name, text) IS
    'another collection, copied or being copied, whose rows have ids of this one''s documents; NULL: none';

CREATE FUNCTION mongo_migrate.reset_collection(server name, collection text, truncate boolean DEFAULT false)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET row_security = off      -- a row that is hidden from the caller is an error, not an empty table
AS $$
#variable_conflict use_variable
DECLARE
    targets text[];
    target text;
    map text;
    referring text;
BEGIN
    PERFORM mongo_migrate.require_source(server, collection);
    PERFORM mongo_migrate.require_plan(server, collection);
    PERFORM mongo_migrate.lock_collection(server, collection);
    PERFORM mongo_migrate.reach_shards();
    targets := ARRAY(
        SELECT t.target FROM mongo_migrate.plan_target t
         WHERE (t.server, t.collection) = (server, collection) AND t.included
           AND to_regclass(t.target) IS NOT NULL
         ORDER BY t.ordinal);
    FOREACH target IN ARRAY targets LOOP
        EXIT WHEN truncate;
        IF mongo_migrate.is_filled(target) THEN
            RAISE object_not_in_prerequisite_state USING
                MESSAGE = format('table %s is not empty', target),
                DETAIL = 'Without its checkpoints, a migration would not know what the table has already.',
                HINT = format('To empty the tables of the collection too: SELECT mongo_migrate.reset_collection(%L, %L, truncate => true);',
                              server, collection);
        END IF;
    END LOOP;
    SELECT m.relation INTO map FROM mongo_migrate.id_map m
     WHERE (m.server, m.collection) = (server, collection);
    PERFORM mongo_migrate.lock_tables(ARRAY(
        SELECT to_regclass(t) FROM unnest(targets) AS t WHERE truncate
         UNION ALL
        SELECT unnest(ARRAY[k.target, k.referred_target]) FROM mongo_migrate.passing_foreign_keys(server, NULL, collection) AS k
         UNION ALL
        SELECT to_regclass(map) WHERE mongo_migrate.ids_held_by(server, collection) IS NULL), 'ACCESS EXCLUSIVE');
    PERFORM mongo_migrate.drop_foreign_keys(server, NULL, collection);
    IF truncate AND targets <> '{}' THEN
        PERFORM mongo_migrate.empty_tables(targets);
    END IF;

    -- Ids that rows of other collections refer to are kept: the documents get them again.
    referring := mongo_migrate.ids_held_by(server, collection);
    IF to_regclass(map) IS NOT NULL THEN
        IF referring IS NULL THEN
            EXECUTE format('TRUNCATE %s RESTART IDENTITY', map);
        ELSE
            RAISE NOTICE 'the id map of collection % is kept, because collection % refers to it',
                collection, referring;
        END IF;
    END IF;

    DELETE FROM mongo_migrate.chunk d WHERE (d.server, d.collection) = (server, collection);
    DELETE FROM mongo_migrate.quarantine d WHERE (d.server, d.collection) = (server, collection);
    DELETE FROM mongo_migrate.dangling_reference d WHERE (d.server, d.collection) = (server, collection);
    DELETE FROM mongo_migrate.drift d WHERE (d.server, d.collection) = (server, collection);
    DELETE FROM mongo_migrate.run d WHERE (d.server, d.collection) = (server, collection);
END
$$;
COMMENT ON FUNCTION mongo_migrate.reset_collection(name, text, boolean) IS
    'forgets how far a collection''s migration is, its quarantine and its ids, so that the next call begins anew with the same plan; truncate: empties its tables, which otherwise must be empty; ids to which other migrated collections refer are kept';

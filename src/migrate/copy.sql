-- copy.sql: the copy of a run: ranges, batch by batch.

CREATE FUNCTION mongo_migrate.take_chunk(run_id bigint)
    RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r constant mongo_migrate.run := mongo_migrate.require_run(run_id);
    candidate integer;
    lock bigint;
BEGIN
    IF NOT mongo_migrate.run_may_go_on(r) THEN
        RETURN NULL;
    END IF;
    FOR candidate IN
        SELECT chunk FROM mongo_migrate.chunk
         WHERE server = r.server AND collection = r.collection AND NOT complete
         ORDER BY chunk
    LOOP
        lock := mongo_migrate.run_lock(r.server, r.collection, candidate);
        CONTINUE WHEN NOT mongo_migrate.try_session_lock(lock);
        -- It may have been done before it was locked.
        IF EXISTS (SELECT FROM mongo_migrate.chunk
                    WHERE server = r.server AND collection = r.collection AND chunk = candidate
                      AND NOT complete) THEN
            RETURN candidate;
        END IF;
        PERFORM mongo_migrate.release_session_lock(lock);
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mongo_migrate.take_chunk(bigint) IS
    'a chunk that is not complete, locked for this session (try_session_lock(), until release_chunk()); NULL: there is none, or the run is to stop';

CREATE FUNCTION mongo_migrate.release_chunk(run_id bigint, chunk integer)
    RETURNS void
    LANGUAGE sql VOLATILE
    BEGIN ATOMIC
        SELECT mongo_migrate.release_session_lock(mongo_migrate.run_lock(server, collection, release_chunk.chunk))
          FROM mongo_migrate.run
         WHERE run_id = release_chunk.run_id;
    END;
COMMENT ON FUNCTION mongo_migrate.release_chunk(bigint, integer) IS
    'unlocks a chunk that take_chunk has locked';

-- How many documents the batch after one is to have.
CREATE FUNCTION mongo_migrate.next_batch_size(batch_size integer, most integer, documents bigint,
        elapsed interval, batch_time interval)
    RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN batch_time = interval '0' THEN most
        WHEN elapsed > batch_time THEN greatest(least(batch_size, documents) / 2, 1)
        WHEN elapsed < batch_time / 4 THEN least(batch_size::bigint * 2, most)
        ELSE least(batch_size, most)
    END;
COMMENT ON FUNCTION mongo_migrate.next_batch_size(integer, integer, bigint, interval, interval) IS
    'the batch size after a batch of so many documents that took so long: half where that was more than batch_time, twice the size, but most at most, where it was less than a quarter of it; batch_time 0: always most';

CREATE FUNCTION mongo_migrate.run_batch_size(r mongo_migrate.run)
    RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (r.options ->> 'batch_size')::integer;
COMMENT ON FUNCTION mongo_migrate.run_batch_size(mongo_migrate.run) IS
    'how many documents a batch of a run has at most';

CREATE FUNCTION mongo_migrate.pace(r mongo_migrate.run, INOUT batch_size integer, documents bigint, begun timestamptz,
        OUT due timestamptz)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    -- In variables, what next_batch_size() uses more than once: else it is not inlined, but planned for each batch.
    most constant integer := mongo_migrate.run_batch_size(r);
    elapsed constant interval := clock_timestamp() - begun;
    batch_time interval;
    documents_per_second constant numeric := r.options ->> 'max_docs_per_second';
BEGIN
    IF documents = 0 THEN
        RETURN;     -- of no batch; the settings may not be there yet
    END IF;
    batch_time := current_setting('mongo_migrate.batch_time');
    batch_size := mongo_migrate.next_batch_size(batch_size, most, documents, elapsed, batch_time);
    IF documents_per_second IS NOT NULL THEN
        SELECT begun + interval '1 second'
                   * (documents * greatest(least((r.options ->> 'workers')::integer, c.incomplete), 1) / documents_per_second)
          INTO due
          FROM mongo_migrate.chunk_sum c
         WHERE c.server = r.server AND c.collection = r.collection;
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.pace(mongo_migrate.run, integer, bigint, timestamptz) IS
    'after a batch of so many documents that was begun then: the size of the next one, and when it may begin by max_docs_per_second; due NULL: at once';

CREATE FUNCTION mongo_migrate.copy_step(run_id bigint, chunk integer, INOUT batch_size integer,
        OUT documents bigint, OUT more boolean, OUT due timestamptz)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r mongo_migrate.run;
    batch record;
    errors bigint;
    pace record;
    begun constant timestamptz := clock_timestamp();
BEGIN
    -- A batch of 1000 small documents takes 2 ms: what is done here for each is to be expressions that need no executor.
    documents := 0;
    more := false;
    SELECT * INTO r FROM mongo_migrate.run WHERE run_id = copy_step.run_id;
    IF NOT mongo_migrate.run_may_go_on(r) THEN
        RETURN;
    END IF;

    batch := mongo_migrate.copy_batch(r.server, r.collection, chunk, batch_size, r.options ->> 'on_error', run_id);
    RAISE DEBUG '%, range %: % documents, of which % inserted, % skipped, % rejected, in % ms', r.collection, chunk,
        batch.documents, batch.inserted, batch.skipped, batch.rejected,
        round(extract(epoch FROM clock_timestamp() - begun) * 1000);
    documents := batch.documents;
    IF batch.rejected > 0 AND r.options ->> 'max_errors' IS NOT NULL THEN
        SELECT count(*) INTO errors FROM mongo_migrate.quarantine
         WHERE server = r.server AND collection = r.collection;
        IF errors > (r.options ->> 'max_errors')::bigint THEN
            PERFORM mongo_migrate.end_run(run_id, 'failed',
                format('%s documents of collection %s are in quarantine, more than max_errors => %s',
                       errors, r.collection, r.options ->> 'max_errors'));
            RETURN;
        END IF;
    END IF;
    more := NOT batch.complete;
    pace := mongo_migrate.pace(r, batch_size, documents, begun);
    batch_size := pace.batch_size;
    due := pace.due;
END
$$;
COMMENT ON FUNCTION mongo_migrate.copy_step(bigint, integer, integer) IS
    'copies a batch of so many documents, or of 8 MB of them, of a chunk in the current transaction; more false: the chunk is complete, or the run is to stop; batch_size and due: what pace() says';

CREATE PROCEDURE mongo_migrate.rest_until(due timestamptz)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'mm_rest_until';
COMMENT ON PROCEDURE mongo_migrate.rest_until(timestamptz) IS
    'waits until then; NULL: not at all. Where it may, which is outside of functions and transaction blocks, it commits first, and holds no snapshot meanwhile';

CREATE PROCEDURE mongo_migrate.copy_chunks(run_id bigint)
    LANGUAGE plpgsql
AS $$
DECLARE
    chunk integer;
    size integer := mongo_migrate.run_batch_size(mongo_migrate.require_run(run_id));
    step pg_catalog.record;
    synchronous_commit pg_catalog.text;
BEGIN
    LOOP
        chunk := mongo_migrate.take_chunk(run_id);
        EXIT WHEN chunk IS NULL;
        LOOP
            -- Rows and checkpoint are one transaction, in which there is nothing else: a crash loses both or none.
            -- Citus makes what it commits on other nodes durable at once: there this node must not lose its part.
            synchronous_commit := pg_catalog.set_config('synchronous_commit',
                CASE WHEN mongo_migrate.has_citus() THEN 'on' ELSE 'off' END, true);
            step := mongo_migrate.copy_step(run_id, chunk, size);
            COMMIT;
            -- A rest is about a second, and may be long when the pace was set anew.
            WHILE pg_catalog.clock_timestamp() OPERATOR(pg_catalog.<) step.due LOOP
                CALL mongo_migrate.rest_until(least(step.due, pg_catalog.clock_timestamp() OPERATOR(pg_catalog.+) interval '5 seconds'));
                EXIT WHEN NOT mongo_migrate.run_may_go_on(mongo_migrate.require_run(run_id));
            END LOOP;
            EXIT WHEN NOT step.more;
            size := step.batch_size;
        END LOOP;
        PERFORM mongo_migrate.release_chunk(run_id, chunk);
    END LOOP;
END
$$;
COMMENT ON PROCEDURE mongo_migrate.copy_chunks(bigint) IS
    'takes chunks of a run and copies them, with a commit after each batch, until none is left or the run is to stop. Errors: P0002 where there is no such run';

-- copy.sql: the copy of a run: ranges, batch by batch.

CREATE FUNCTION mongo_migrate.take_chunk(run_id bigint)
    RETURNS integer
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r mongo_migrate.run;
    candidate integer;
    lock bigint;
BEGIN
    IF NOT mongo_migrate.run_may_go_on(run_id) THEN
        RETURN NULL;
    END IF;
    SELECT * INTO r FROM mongo_migrate.run WHERE run_id = take_chunk.run_id;
    FOR candidate IN
        SELECT chunk FROM mongo_migrate.chunk
         WHERE server = r.server AND collection = r.collection AND NOT complete
         ORDER BY chunk
    LOOP
        lock := mongo_migrate.run_lock(r.server, r.collection, candidate);
        CONTINUE WHEN NOT pg_try_advisory_lock(lock);
        -- It may have been done before it was locked.
        IF EXISTS (SELECT FROM mongo_migrate.chunk
                    WHERE server = r.server AND collection = r.collection AND chunk = candidate
                      AND NOT complete) THEN
            RETURN candidate;
        END IF;
        PERFORM pg_advisory_unlock(lock);
    END LOOP;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mongo_migrate.take_chunk(bigint) IS
    'a chunk that is not complete, locked for this session (advisory, until release_chunk); NULL: there is none, or the run is to stop';

CREATE FUNCTION mongo_migrate.release_chunk(run_id bigint, chunk integer)
    RETURNS void
    LANGUAGE sql VOLATILE
    BEGIN ATOMIC
        SELECT pg_catalog.pg_advisory_unlock(mongo_migrate.run_lock(server, collection, release_chunk.chunk))
          FROM mongo_migrate.run
         WHERE run_id = release_chunk.run_id;
    END;
COMMENT ON FUNCTION mongo_migrate.release_chunk(bigint, integer) IS
    'unlocks a chunk that take_chunk has locked';

CREATE FUNCTION mongo_migrate.copy_step(run_id bigint, chunk integer)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    r mongo_migrate.run;
    batch record;
    errors bigint;
    begun constant timestamptz := clock_timestamp();
BEGIN
    IF NOT mongo_migrate.run_may_go_on(run_id) THEN
        RETURN false;
    END IF;
    SELECT * INTO r FROM mongo_migrate.run WHERE run_id = copy_step.run_id;

    -- Rows and checkpoint are one transaction: a crash loses both or none.
    -- Citus makes what it commits on other nodes durable at once: there this node must not lose its part.
    PERFORM set_config('synchronous_commit',
        CASE WHEN EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN 'on' ELSE 'off' END, true);
    SELECT * INTO batch
      FROM mongo_migrate.copy_batch(r.server, r.collection, chunk, (r.options ->> 'batch_size')::integer,
                                    r.options ->> 'on_error', run_id);
    RAISE DEBUG '%, range %: % documents, of which % inserted, % skipped, % rejected, in % ms', r.collection, chunk,
        batch.documents, batch.inserted, batch.skipped, batch.rejected,
        round(extract(epoch FROM clock_timestamp() - begun) * 1000);
    IF batch.rejected > 0 AND r.options ->> 'max_errors' IS NOT NULL THEN
        SELECT count(*) INTO errors FROM mongo_migrate.quarantine
         WHERE server = r.server AND collection = r.collection;
        IF errors > (r.options ->> 'max_errors')::bigint THEN
            PERFORM mongo_migrate.end_run(run_id, 'failed',
                format('%s documents of collection %s are in quarantine, more than max_errors => %s',
                       errors, r.collection, r.options ->> 'max_errors'));
            RETURN false;
        END IF;
    END IF;
    RETURN NOT batch.complete;
END
$$;
COMMENT ON FUNCTION mongo_migrate.copy_step(bigint, integer) IS
    'copies one batch of a chunk in the current transaction; false: the chunk is complete, or the run is to stop';

CREATE FUNCTION mongo_migrate.hold_rate(run_id bigint, begun timestamptz)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    due timestamptz;
BEGIN
    SELECT begun + interval '1 second' * ((r.options ->> 'batch_size')::numeric
               * greatest(least((r.options ->> 'workers')::integer, c.incomplete), 1)
               / (r.options ->> 'max_docs_per_second')::numeric)
      INTO due
      FROM mongo_migrate.run r
      JOIN mongo_migrate.chunk_sum c USING (server, collection)
     WHERE r.run_id = hold_rate.run_id AND r.options ->> 'max_docs_per_second' IS NOT NULL;
    IF due > clock_timestamp() THEN
        PERFORM pg_sleep(extract(epoch FROM due - clock_timestamp()));
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.hold_rate(bigint, timestamptz) IS
    'after a batch that was begun then, waits as long as max_docs_per_second of the run asks for';

CREATE PROCEDURE mongo_migrate.copy_chunks(run_id bigint)
    LANGUAGE plpgsql
AS $$
DECLARE
    chunk integer;
    more boolean;
    begun timestamptz;
BEGIN
    LOOP
        chunk := mongo_migrate.take_chunk(run_id);
        EXIT WHEN chunk IS NULL;
        LOOP
            begun := pg_catalog.clock_timestamp();
            more := mongo_migrate.copy_step(run_id, chunk);
            COMMIT;
            EXIT WHEN NOT more;
            PERFORM mongo_migrate.hold_rate(run_id, begun);
        END LOOP;
        PERFORM mongo_migrate.release_chunk(run_id, chunk);
    END LOOP;
END
$$;
COMMENT ON PROCEDURE mongo_migrate.copy_chunks(bigint) IS
    'takes chunks of a run and copies them, with a commit after each batch, until none is left or the run is to stop';

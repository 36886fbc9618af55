-- workers.sql: a verification by several background workers, each of which takes ranges of _id.
--
-- What a worker finds it commits with the range, so that the verification is
-- not one transaction of the caller.  Ranges only have to join each other: where
-- their bounds come from is nothing that a result depends on.

-- Ranges of _id, from before the first bound to after the last.
CREATE FUNCTION mongo_migrate.verify_bounds(server name, collection text, parts integer) RETURNS SETOF bytea
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- Some documents for each range, in MongoDB's order; MaxKey is no bound.
    SELECT b.key
    FROM (SELECT DISTINCT ON (s.key) s.key, s.place
          FROM (SELECT mongo_migrate.verify_document_key(d) AS key, row_number() OVER () AS place
                FROM mongo_migrate.aggregate_documents($1, $2,
                    json_build_array(json_build_object('$sample', json_build_object('size', 20 * parts)),
                                     '{"$project": {"_id": 1}}'::json, '{"$sort": {"_id": 1}}'::json),
                    '{"allowDiskUse": true}', 'canonical') AS d) AS s
          WHERE s.place % 20 = 0 AND s.place < 20 * parts AND s.key <> mongo_migrate.bson_key('{"$maxKey": 1}')
          ORDER BY s.key, s.place) AS b
    WHERE parts > 1 ORDER BY b.place
$$;
COMMENT ON FUNCTION mongo_migrate.verify_bounds(name, text, integer) IS
    'keys of _id, in MongoDB''s order, between which there are about so many ranges of about as many documents';

-- Begins such a verification.
CREATE FUNCTION mongo_migrate.verify_prepare(server name, collection text, options jsonb, parts integer) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    verification constant bigint := mongo_migrate.verify_begin(server, collection, 'full', options);
BEGIN
    -- What a session that was killed could not take away.
    DELETE FROM mongo_migrate.verification AS v
    WHERE (v.server, v.collection) = ($1, $2) AND v.ended_at IS NULL
      AND (v.options ->> 'caller')::integer NOT IN (SELECT a.pid FROM pg_stat_activity AS a);
    IF NOT mongo_migrate.verify_has_id_index(server, collection) THEN
        parts := 1;
    END IF;
    WITH bound AS (
        SELECT NULL::bytea AS key, 0::bigint AS place
        UNION ALL
        SELECT b.key, b.place FROM mongo_migrate.verify_bounds(server, collection, parts) WITH ORDINALITY AS b (key, place)
    )
    INSERT INTO mongo_migrate.verification_part (verification_id, root, part, lower_key, upper_key)
    SELECT j.verification, j.root, b.place + 1, b.key, lead(b.key) OVER (PARTITION BY j.root ORDER BY b.place)
    FROM mongo_migrate.verify_jobs(verification, server, collection, false, false) AS j, bound AS b;
    RETURN verification;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_prepare(name, text, jsonb, integer) IS
    'begins a full verification by workers, in about so many parts for each root of the collection''s plan; returns its number';

-- The jobs of a verification by workers.
CREATE FUNCTION mongo_migrate.verify_jobs_of(verification bigint) RETURNS SETOF mongo_migrate.verify_job
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT j.* FROM mongo_migrate.verification AS v,
        mongo_migrate.verify_jobs(v.verification_id, v.server, v.collection, false, true) AS j
    WHERE v.verification_id = $1
$$;
COMMENT ON FUNCTION mongo_migrate.verify_jobs_of(bigint) IS 'what a verification has to do, as verify_jobs()';

CREATE FUNCTION mongo_migrate.verify_next_part(verification bigint) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET row_security = off      -- as in verify_collection()
AS $$
DECLARE
    part    mongo_migrate.verification_part;
    job     mongo_migrate.verify_job;
    tally   mongo_migrate.verify_tally;
BEGIN
    SELECT p.* INTO part FROM mongo_migrate.verification_part AS p
    WHERE p.verification_id = verification AND p.documents IS NULL
    ORDER BY p.root, p.part LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    SELECT j.* INTO job FROM mongo_migrate.verify_jobs_of(verification) AS j WHERE j.root = part.root;
    PERFORM mongo_migrate.set_plan_settings(job.server, job.collection);
    tally := mongo_migrate.verify_range(job, part.lower_key, part.upper_key);
    UPDATE mongo_migrate.verification_part AS p
    SET documents = coalesce(tally.documents, 0), present = tally.present, sums = tally.sums
    WHERE (p.verification_id, p.root, p.part) = (part.verification_id, part.root, part.part);
    RETURN true;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_next_part(bigint) IS
    'compares the documents of a part of a verification that no other session has taken; false: there is none';

CREATE PROCEDURE mongo_migrate.verify_parts(verification bigint)
    LANGUAGE plpgsql
AS $$
BEGIN
    WHILE mongo_migrate.verify_next_part(verification) LOOP
        COMMIT;
    END LOOP;
END
$$;
COMMENT ON PROCEDURE mongo_migrate.verify_parts(bigint) IS
    'compares the documents of parts of a verification, each in a transaction of its own, until other sessions have taken the rest';

-- After all parts: what takes the whole, and the end.
CREATE FUNCTION mongo_migrate.verify_finish(verification bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET row_security = off      -- as in verify_collection()
AS $$
DECLARE
    job     mongo_migrate.verify_job;
    part    mongo_migrate.verification_part;
    tally   mongo_migrate.verify_tally;
    checked bigint := 0;
BEGIN
    FOR job IN SELECT * FROM mongo_migrate.verify_jobs_of(verification) LOOP
        tally := NULL;
        FOR part IN SELECT p.* FROM mongo_migrate.verification_part AS p WHERE p.verification_id = verification AND p.root = job.root LOOP
            tally.present := coalesce(tally.present + part.present, tally.present, part.present);
            tally.sums := mongo_migrate.verify_add(tally.sums, part.sums);
            checked := checked + part.documents;
        END LOOP;
        PERFORM mongo_migrate.set_plan_settings(job.server, job.collection);
        PERFORM mongo_migrate.verify_whole(job, tally, true);
    END LOOP;
    DELETE FROM mongo_migrate.verification_part AS p WHERE p.verification_id = verification;
    PERFORM mongo_migrate.verify_end(verification, checked);
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_finish(bigint) IS
    'ends a verification by workers: looks for rows without a document, and compares sums';

CREATE FUNCTION mongo_migrate.verify_by_workers(server name, collection text, options jsonb, workers integer)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    -- So many that all workers end at about the same time, and none that is over sooner than it has begun.
    parts   constant bigint := least(8 * workers, 1 + (mongo_migrate.run_command(server, json_build_object('count', collection))
                                                      ->> 'n')::bigint / 10000);
    mine    constant jsonb := options || jsonb_build_object('workers', workers, 'caller', pg_backend_pid());
    verification bigint;
BEGIN
    PERFORM mongo_migrate.run_workers(ARRAY[
        format('SELECT mongo_migrate.verify_prepare(%L, %L, %L, %s)', server, collection, mine, parts)]);
    SELECT max(v.verification_id) INTO STRICT verification FROM mongo_migrate.verification AS v
    WHERE v.server = $1 AND v.collection = $2 AND v.options = mine AND v.ended_at IS NULL;
    PERFORM mongo_migrate.run_workers(array_fill(format('CALL mongo_migrate.verify_parts(%s)', verification), ARRAY[
        least(workers, (SELECT count(*) FROM mongo_migrate.verification_part AS p WHERE p.verification_id = verification)::integer)]));
    PERFORM mongo_migrate.run_workers(ARRAY[format('SELECT mongo_migrate.verify_finish(%s)', verification)]);
    RETURN verification;
EXCEPTION WHEN query_canceled OR OTHERS THEN
    -- As one in the caller's transaction, it leaves nothing behind.
    BEGIN
        PERFORM mongo_migrate.run_workers(ARRAY[
            format('DELETE FROM mongo_migrate.verification WHERE verification_id = %s', verification)])
        WHERE verification IS NOT NULL;
    EXCEPTION WHEN OTHERS THEN
        NULL;   -- the first error is the one to tell
    END;
    RAISE;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_by_workers(name, text, jsonb, integer) IS
    'verifies every document of a collection in background workers; returns the verification';

-- schedule.sql: everything verified at night, and an alert where it fails.

-- An alert: a warning for the log, and a notification for whoever listens.
CREATE FUNCTION mongo_migrate.verify_alert(server name, collection text, verification bigint, error text)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kinds   jsonb := (SELECT jsonb_object_agg(f.kind, f.n)
                      FROM (SELECT kind, count(*) AS n FROM mongo_migrate.finding AS f
                            WHERE f.verification_id = verification AND f.collection = $2
                                AND kind NOT IN ('rounded', 'orphan') GROUP BY kind) AS f);
BEGIN
    IF kinds IS NULL AND error IS NULL THEN
        RETURN false;
    END IF;
    RAISE WARNING USING
        MESSAGE = format('verification of collection "%s" of server "%s" failed: %s', collection, server,
            coalesce(error, (SELECT string_agg(format('%s %s', n, kind), ', ' ORDER BY kind)
                             FROM jsonb_each_text(kinds) AS e(kind, n)))),
        HINT = CASE WHEN verification IS NULL THEN format('SELECT * FROM mongo_migrate.verify_sample(%L, %L); tries it again.', server, collection)
                    ELSE format('SELECT * FROM mongo_migrate.finding WHERE verification_id = %s AND collection = %L;',
                                verification, collection) END;
    PERFORM pg_notify('mongo_migrate', json_strip_nulls(json_build_object('alert', 'verification', 'server', server,
        'collection', collection, 'verification_id', verification, 'findings', kinds, 'error', left(error, 1000)))::text);
    RETURN true;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_alert(name, text, bigint, text) IS
    'warns, and notifies channel mongo_migrate, of the error of a verification of a collection, or of its findings beside roundings and orphans; whether there was any';

-- The planned collections that have a table, or whose table is gone.
CREATE FUNCTION mongo_migrate.verify_migrated(server name) RETURNS SETOF text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT DISTINCT t.collection FROM mongo_migrate.plan_target AS t
    WHERE t.server = $1 AND t.included AND (
        -- What is in a schema that one may not use cannot be asked for; to verify it tells so.
        CASE WHEN NOT EXISTS (SELECT FROM parse_ident(t.target) AS n, mongo_migrate.lacking_schema_rights(n[1], n[2]) AS l WHERE l.lacking ~ 'USAGE')
             THEN to_regclass(t.target) IS NOT NULL ELSE true END
        OR EXISTS (SELECT FROM mongo_migrate.chunk AS k WHERE (k.server, k.collection) = (t.server, t.collection) AND k.documents > 0))
    ORDER BY 1
$$;
COMMENT ON FUNCTION mongo_migrate.verify_migrated(name) IS 'the planned collections whose tables are there, or were when their documents were copied';

CREATE FUNCTION mongo_migrate.verify_all(server name, tolerance bigint DEFAULT 0, sample_size bigint DEFAULT 1000)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    of_collection text;
    counts  bigint;
    counted bigint;
    documents bigint := 0;
    sample  bigint;
    migrated text[] := ARRAY(SELECT mongo_migrate.verify_migrated(server));
    alerts  boolean[] := '{}';
    detail  text;
    problem text;
BEGIN
    PERFORM mongo_migrate.verify_check_numbers(tolerance, sample_size);
    counts := mongo_migrate.verify_begin(server, NULL, 'counts', pg_catalog.jsonb_build_object('tolerance', tolerance));
    FOR of_collection IN SELECT p.collection FROM mongo_migrate.plan AS p WHERE p.server = $1 ORDER BY 1 LOOP
        BEGIN
            SELECT coalesce(sum(c.source_count) FILTER (WHERE c.kind = 'root'), 0) INTO counted
            FROM mongo_migrate.verify_counts_of(counts, server, of_collection, tolerance) AS c;
            documents := documents + counted;
            CONTINUE WHEN of_collection <> ALL (migrated);
            alerts := alerts || mongo_migrate.verify_alert(server, of_collection, counts, NULL);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
            problem := concat_ws(': ', SQLERRM, nullif(detail, ''));
            INSERT INTO mongo_migrate.finding (verification_id, collection, target, kind, target_value)
            SELECT counts, of_collection, min(t.target), 'count', 'cannot be counted: ' || problem
            FROM mongo_migrate.plan_target AS t WHERE (t.server, t.collection) = ($1, of_collection) AND t.included HAVING count(*) > 0;
            alerts := alerts || mongo_migrate.verify_alert(server, of_collection, counts, problem);
        END;
    END LOOP;
    PERFORM mongo_migrate.verify_end(counts, documents);

    FOREACH of_collection IN ARRAY migrated LOOP
        BEGIN
            sample := mongo_migrate.verify_here(server, of_collection, 'sample',
                pg_catalog.jsonb_build_object('sample_size', sample_size, 'retry_for', '5 minutes'), sample_size);
            alerts := alerts || mongo_migrate.verify_alert(server, of_collection, sample, NULL);
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
            alerts := alerts || mongo_migrate.verify_alert(server, of_collection, NULL, concat_ws(': ', SQLERRM, nullif(detail, '')));
        END;
    END LOOP;
    RETURN NOT true OPERATOR(pg_catalog.=) ANY (alerts);
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_all(name, bigint, bigint) IS
    'verify_counts() and verify_sample() of every planned collection that has a table or was migrated; what fails is a WARNING and a notification of channel mongo_migrate, {"alert": "verification", "server", "collection", "verification_id", "findings": {kind: number}, "error"}. Result: whether all is well. An error in one collection does not keep the others from being verified';

CREATE FUNCTION mongo_migrate.schedule_verification(server name, cron text, tolerance bigint DEFAULT 0,
    sample_size bigint DEFAULT 1000) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name    text := format('mongo_migrate verification of %s', server);
    command text := format('SELECT mongo_migrate.verify_all(%L, %s, %s)', server, tolerance, sample_size);
    job     bigint;
BEGIN
    PERFORM mongo_migrate.verify_check_numbers(tolerance, sample_size);
    PERFORM mongo_migrate.verify_require_plan(server, NULL);
    -- A function of that name may be anybody's.
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        RAISE undefined_function USING
            MESSAGE = 'extension "pg_cron" is not in this database',
            DETAIL = 'It runs what is scheduled.',
            HINT = format('Install it (Debian: postgresql-%s-cron), set shared_preload_libraries = ''pg_cron'', cron.database_name = %L '
                'and cron.use_background_workers = on, restart PostgreSQL, and CREATE EXTENSION pg_cron; or have another scheduler run: %s;',
                current_setting('server_version_num')::integer / 10000, current_database(), command);
    END IF;
    IF cron IS NULL THEN
        EXECUTE 'SELECT cron.unschedule(jobid) FROM cron.job WHERE jobname = $1' USING name;
    ELSE
        EXECUTE 'SELECT cron.schedule($1, $2, $3)' INTO job USING name, cron, command;
    END IF;
    RETURN job;
END
$$;
COMMENT ON FUNCTION mongo_migrate.schedule_verification(name, text, bigint, bigint) IS
    'has pg_cron run verify_all() for a server; cron: when, as in crontab; NULL: no more. Result: the number of pg_cron''s job. Errors: no plan, 42883 without pg_cron';

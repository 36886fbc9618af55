-- preflight.sql: what a migration will meet, on both sides, before it begins.

CREATE FUNCTION mongo_migrate.try_command(server name, command json, OUT reply json, OUT problem text, OUT code text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    message text;
    detail  text;
    hint    text;
BEGIN
    reply := mongo_migrate.run_command(server, command);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT,
        code = RETURNED_SQLSTATE;
    problem := concat_ws(E'\n', message, nullif(detail, ''), nullif(hint, ''));
END
$$;
COMMENT ON FUNCTION mongo_migrate.try_command(name, json) IS
    'run_command() whose failure is a result: reply, or the problem as text, and its SQLSTATE';

CREATE FUNCTION mongo_migrate.preflight_target()
    RETURNS TABLE ("check" text, status text, detail text)
    LANGUAGE sql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'driver', 'ok', 'libmongoc ' || mongo_migrate.driver_version()
    UNION ALL
    SELECT 'encoding', CASE getdatabaseencoding() WHEN 'UTF8' THEN 'ok' ELSE 'warn' END,
           CASE getdatabaseencoding()
               WHEN 'UTF8' THEN 'UTF8'
               WHEN 'SQL_ASCII' THEN 'the database''s encoding is SQL_ASCII: strings become the bytes that they are in UTF-8'
               ELSE format('the database''s encoding is %s: documents with other characters will be rejected',
                           getdatabaseencoding())
           END
    UNION ALL
    SELECT 'workers', CASE WHEN w.allowed - w.used >= 2 THEN 'ok' ELSE 'warn' END,
           format('max_worker_processes is %s, %s%s in use', w.allowed, w.least, w.used)
           || CASE WHEN w.allowed - w.used >= 2 THEN '' ELSE ': raise it, or migrate with workers => 0' END
    FROM (SELECT current_setting('max_worker_processes')::integer AS allowed,
                 -- Whoever may not see other roles' processes sees none of theirs.
                 CASE WHEN pg_has_role('pg_read_all_stats', 'USAGE') THEN '' ELSE 'at least ' END AS least,
                 (SELECT count(*) FROM pg_stat_activity
                  WHERE backend_type NOT IN ('client backend', 'autovacuum launcher', 'autovacuum worker',
                        'background writer', 'checkpointer', 'startup', 'walwriter', 'walreceiver',
                        'walsender', 'walsummarizer', 'archiver', 'logger', 'slotsync worker', 'io worker')) AS used) w
    UNION ALL
    SELECT 'pg_cron', CASE WHEN e.there THEN 'ok' ELSE 'warn' END,
           CASE WHEN e.there THEN 'installed'
                ELSE 'not installed in this database: schedule_verification() needs it' END
    FROM (SELECT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') AS there) e
$$;
COMMENT ON FUNCTION mongo_migrate.preflight_target() IS
    'the rows of preflight() that speak of this database';

CREATE FUNCTION mongo_migrate.preflight_tables(server name)
    RETURNS TABLE ("check" text, status text, detail text)
    LANGUAGE sql STABLE PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH wanted AS (
        SELECT t.target, t.existing, parse_ident(t.target) AS name FROM mongo_migrate.plan_target AS t
         WHERE t.server = $1 AND t.included AND cardinality(parse_ident(t.target)) = 2
         UNION ALL
        SELECT NULL, false, '{public,NULL}' WHERE NOT EXISTS (SELECT FROM mongo_migrate.plan AS p WHERE p.server = $1)
    ), planned AS MATERIALIZED (
        -- Not by to_regclass(), which is an error where a schema may not be used.
        SELECT w.*, c.oid AS relation, c.relowner AS owner
          FROM wanted AS w LEFT JOIN pg_namespace AS n ON n.nspname = w.name[1]
          LEFT JOIN pg_class AS c ON (c.relnamespace, c.relname) = (n.oid, w.name[2])
    ), rights AS (
        SELECT 'schemas' AS "check", CASE WHEN p.target IS NULL THEN 'warn' ELSE 'fail' END AS status, r.object, r.lacking,
               CASE WHEN p.target IS NULL THEN ' or plan into another schema: schema => ''...''' END AS otherwise
          FROM planned AS p CROSS JOIN mongo_migrate.lacking_schema_rights(p.name[1], p.name[2]) AS r
         UNION
        SELECT 'tables', CASE WHEN r.name IN ('SELECT', 'INSERT') THEN 'fail' ELSE 'warn' END, p.target, r.name, NULL
          FROM planned AS p CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) AS r (name)
         WHERE NOT CASE r.name WHEN 'DELETE' THEN has_table_privilege(p.relation, r.name) ELSE has_any_column_privilege(p.relation, r.name) END
    ), problems AS (
        SELECT r."check", min(r.status) AS status, format('a right is lacking: GRANT %s ON %s TO %I;%s', string_agg(r.lacking, ', ' ORDER BY r.lacking DESC),
                                                          r.object, current_user, max(r.otherwise)) AS detail
          FROM rights AS r GROUP BY r."check", r.object
         UNION ALL
        SELECT 'tables', 'fail', format('the owner makes the keys: migrate as role %I, or ALTER TABLE %s OWNER TO %I;', o.rolname, p.target, current_user)
          FROM planned AS p JOIN pg_roles AS o ON o.oid = p.owner WHERE NOT p.existing AND NOT pg_has_role(p.owner, 'USAGE')
         UNION ALL
        SELECT 'tables', 'fail', format('%s, which was there when it was planned, does not exist: see check_plan()', p.target)
          FROM planned AS p WHERE p.existing AND p.relation IS NULL
    )
    SELECT c.name, coalesce(min(p.status), 'ok'), coalesce(string_agg(p.detail, E'\n' ORDER BY p.detail COLLATE "C"), c.fine)
      FROM (SELECT 1, 'schemas', coalesce(string_agg(DISTINCT quote_ident(o.name[1]), ', '), 'none') || ': every right that is needed' FROM planned AS o
             UNION ALL SELECT 2, 'tables', format('%s planned, %s there', count(o.target), count(o.relation)) FROM planned AS o) AS c (n, name, fine)
      LEFT JOIN problems AS p ON p."check" = c.name
     GROUP BY c.n, c.name, c.fine ORDER BY c.n
$$;
COMMENT ON FUNCTION mongo_migrate.preflight_tables(name) IS
    'the rows of preflight() that speak of the tables that are planned, or of where they would be by default';

CREATE FUNCTION mongo_migrate.preflight_source(server name)
    RETURNS TABLE ("check" text, status text, detail text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    hello   json;
    info    json;
    problem text;
    is_old  boolean;
    skew    interval;
    window_ interval;
BEGIN
    SELECT t.reply, t.problem INTO info, problem FROM mongo_migrate.try_command(server, '{"buildInfo": 1}') t;
    is_old := string_to_array(substring(info->>'version' FROM '^\d+\.\d+'), '.')::integer[] < ARRAY[4, 4];
    RETURN QUERY SELECT 'server version',
        CASE WHEN problem IS NOT NULL OR is_old THEN 'warn' ELSE 'ok' END,
        coalesce(problem, 'MongoDB ' || (info->>'version') || CASE WHEN is_old THEN ': what mongo_migrate asks for came with MongoDB 4.4' ELSE '' END);

    SELECT t.reply, t.problem INTO info, problem FROM mongo_migrate.try_command(server, '{"connectionStatus": 1}') t;
    RETURN QUERY SELECT 'authentication', CASE WHEN problem IS NULL THEN 'ok' ELSE 'warn' END,
        coalesce(problem,
                 (SELECT 'as ' || string_agg(format('%s of %s', u->>'user', u->>'db'), ', ')
                  FROM json_array_elements(info->'authInfo'->'authenticatedUsers') u),
                 'none');

    SELECT t.reply, t.problem INTO hello, problem FROM mongo_migrate.try_command(server, '{"hello": 1}') t;
    RETURN QUERY SELECT 'replica set',
        CASE WHEN hello->>'setName' IS NOT NULL OR hello->>'msg' = 'isdbgrid' THEN 'ok' ELSE 'warn' END,
        CASE
            WHEN problem IS NOT NULL THEN problem
            WHEN hello->>'msg' = 'isdbgrid' THEN 'sharded cluster'
            WHEN hello->>'setName' IS NOT NULL THEN format('%s of %s members', hello->>'setName',
                json_array_length(hello->'hosts'))
            ELSE 'no replica set: the data can be migrated, but following changes needs change streams; '
                 'start mongod with --replSet rs0 and run rs.initiate()'
        END;

    skew := (hello->'localTime'->>'$date')::timestamptz - clock_timestamp();
    RETURN QUERY SELECT 'clock', CASE WHEN abs(extract(epoch FROM skew)) < 5 THEN 'ok' ELSE 'warn' END,
        CASE WHEN abs(extract(epoch FROM skew)) < 5 THEN 'the two servers'' clocks agree'
             ELSE format('MongoDB''s clock differs by %s', coalesce(skew::text, 'an unknown time')) END;

    IF hello->>'setName' IS NOT NULL THEN
        SELECT t.reply->'oplog', CASE t.code
                   WHEN '42501' THEN 'how far it reaches back is not known: the MongoDB user has no right to run serverStatus, '
                                     'which a migration does without; role clusterMonitor has it, or see rs.printReplicationInfo() in mongosh'
                   ELSE t.problem END INTO info, problem
        FROM mongo_migrate.try_command(server,
            '{"serverStatus": 1, "oplog": 1, "metrics": 0, "wiredTiger": 0, "locks": 0, "tcmalloc": 0}') t;
        window_ := make_interval(secs => (info->'latestOptime'->'$timestamp'->>'t')::float8
                                         - (info->'earliestOptime'->'$timestamp'->>'t')::float8);
        RETURN QUERY SELECT 'oplog',
            CASE WHEN problem IS NOT NULL OR window_ IS NULL OR window_ < interval '24 hours' THEN 'warn' ELSE 'ok' END,
            CASE
                WHEN problem IS NOT NULL THEN problem
                WHEN window_ IS NULL THEN 'its length is unknown'
                WHEN window_ < interval '24 hours' THEN
                    format('it reaches back %s: changes older than that can no longer be followed; see replSetResizeOplog',
                           date_trunc('second', window_))
                ELSE format('it reaches back %s', date_trunc('hour', justify_hours(window_)))
            END;
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.preflight_source(name) IS
    'the rows of preflight() that speak of the MongoDB deployment';

CREATE FUNCTION mongo_migrate.preflight_database(server name)
    RETURNS TABLE ("check" text, status text, detail text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    collections json;
    stats       json;
    problem     text;
    names       text;
BEGIN
    SELECT mongo_migrate.without_nul(t.reply)->'cursor'->'firstBatch', t.problem INTO collections, problem
    FROM mongo_migrate.try_command(server, '{"listCollections": 1, "authorizedCollections": true}') t;
    IF problem IS NOT NULL THEN
        RETURN QUERY VALUES ('read', 'fail', problem);
        RETURN;
    END IF;
    collections := (SELECT json_agg(c) FROM json_array_elements(collections) c WHERE c->>'name' NOT LIKE 'system.%');

    stats := (SELECT t.reply FROM mongo_migrate.try_command(server, '{"dbStats": 1}') t);
    RETURN QUERY SELECT 'collections', CASE WHEN collections IS NULL THEN 'warn' ELSE 'ok' END,
        CASE
            WHEN collections IS NULL THEN
                'the database has no collection: see option database of the server (upper and lower case differ)'
            ELSE format('%s collections, %s documents, %s', json_array_length(collections),
                        coalesce(stats->>'objects', 'unknown'),
                        coalesce(pg_size_pretty((stats->>'dataSize')::numeric), 'of unknown size'))
        END;

    SELECT string_agg(format('%s: %s', c->>'name', t.problem), E'\n') INTO problem
    FROM json_array_elements(collections) c,
         mongo_migrate.try_command(server, json_build_object('find', c->'name', 'limit', 1)) t
    WHERE t.problem IS NOT NULL;
    RETURN QUERY SELECT 'read', CASE WHEN problem IS NULL THEN 'ok' ELSE 'fail' END,
        coalesce(problem, 'every collection can be read');

    FOR "check", names IN
        SELECT k.kind, string_agg(c->>'name', ', ' ORDER BY c->>'name')
        FROM json_array_elements(collections) c,
             LATERAL (SELECT CASE WHEN c->>'type' = 'view' THEN 'views'
                                  WHEN c->>'type' = 'timeseries' THEN 'time series' END
                      UNION ALL SELECT 'capped' WHERE (c->'options'->>'capped')::boolean
                      UNION ALL SELECT 'collations'
                                WHERE coalesce(c->'options'->'collation'->>'locale', 'simple') <> 'simple') k(kind)
        WHERE k.kind IS NOT NULL
        GROUP BY k.kind
        ORDER BY k.kind
    LOOP
        status := 'warn';
        detail := names || CASE "check"
            WHEN 'views' THEN ': read through their definitions; plan the collections below them'
            WHEN 'time series' THEN ': read as documents, one a measurement'
            WHEN 'capped' THEN ': old documents vanish when new ones come'
            ELSE ': MongoDB compares their strings by a collation of its own, PostgreSQL by its column''s'
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.preflight_database(name) IS
    'the rows of preflight() that speak of the database and its collections';

CREATE FUNCTION mongo_migrate.preflight(server name)
    RETURNS TABLE ("check" text, status text, detail text)
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    problem text;
BEGIN
    RETURN QUERY SELECT * FROM mongo_migrate.preflight_target();
    RETURN QUERY SELECT * FROM mongo_migrate.preflight_tables(server);
    problem := (SELECT t.problem FROM mongo_migrate.try_command(server, '{"ping": 1}') t);
    RETURN QUERY SELECT 'connection', CASE WHEN problem IS NULL THEN 'ok' ELSE 'fail' END,
        coalesce(problem, 'established');
    IF problem IS NULL THEN
        RETURN QUERY SELECT * FROM mongo_migrate.preflight_source(server);
        RETURN QUERY SELECT * FROM mongo_migrate.preflight_database(server);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.preflight(name) IS
    'what a migration from the server will meet: a row for each check, with status ok, warn (it can be done, but) or fail, and a detail that names the remedy';

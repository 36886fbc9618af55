-- cutover.sql: the application changes over to PostgreSQL, and back if it has to.
--
-- Before a cutover the documents are right and the rows follow them; after it
-- the rows are right and the documents follow.  sync.cut_over_at says which.
-- Both ways the change is one transaction, in which nothing is under way:
-- neither a step of the sync, nor a write that is still to be followed.

CREATE FUNCTION mongo_migrate.sync_step_lock(server name)
    RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN pg_catalog.hashtextextended(pg_catalog.format('mongo_migrate sync step %L', server), 0);
COMMENT ON FUNCTION mongo_migrate.sync_step_lock(name) IS
    'key of the advisory lock that each step of a sync shares, and who changes its direction has alone';

CREATE FUNCTION mongo_migrate.require_sync(server name, cut_over boolean)
    RETURNS mongo_migrate.sync
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s mongo_migrate.sync;
BEGIN
    PERFORM mongo_migrate.require_source(server);
    SELECT y.* INTO s FROM mongo_migrate.sync AS y WHERE y.server = require_sync.server;
    IF cut_over AND s.cut_over_at IS NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('server "%s" is not cut over', server),
            HINT = 'There is nothing to go back from, or to end: mongo_migrate.sync_status has the servers, with cut_over_at.';
    ELSIF s.cut_over_at IS NOT NULL AND NOT cut_over THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('server "%s" is cut over', server),
            DETAIL = 'The rows are right, and the documents follow them.',
            HINT = format('SELECT mongo_migrate.rollback_cutover(%L) goes back; SELECT mongo_migrate.finalize(%1$L) ends it.', server);
    ELSIF s.running IS NOT TRUE THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('changes of server "%s" are not followed: %s', server,
                             CASE WHEN s.running IS NULL THEN 'there is no sync' ELSE concat_ws(': ', 'the sync has been stopped', s.error) END),
            HINT = format('SELECT mongo_migrate.start_sync(%L); it is to run from before the copy on.', server);
    ELSIF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE feature_not_supported USING
            MESSAGE = 'a cutover is for READ COMMITTED transactions only',
            DETAIL = 'Another would not see what the sync does meanwhile.',
            HINT = 'SET default_transaction_isolation = ''read committed'';';
    END IF;
    RETURN s;
END
$$;
COMMENT ON FUNCTION mongo_migrate.require_sync(name, boolean) IS
    'the sync of a server, or an error where it does not run, or is cut over and should not be, or the other way round';

CREATE FUNCTION mongo_migrate.this_database()
    RETURNS text
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'mm_this_database';
COMMENT ON FUNCTION mongo_migrate.this_database() IS
    'what tells a database from its copies, and from itself before a recovery: the identifier of its cluster, its oid there, and the timeline; a copy of the whole cluster that was not recovered or promoted has the same';

CREATE FUNCTION mongo_migrate.require_writer(server name)
    RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    this constant text := mongo_migrate.this_database();
    writer constant text := (SELECT coalesce(y.written_by, '') FROM mongo_migrate.sync AS y WHERE y.server = $1 AND y.cut_over_at IS NOT NULL);
BEGIN
    IF regexp_replace(writer, ' \d+$', '') <> regexp_replace(this, ' \d+$', '') THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('server "%s" was cut over in another database, of which this is a copy', server),
            DETAIL = 'Its rows are not written back: what the other one writes would be overwritten.',
            HINT = format('If the other one is gone, as after an upgrade: SELECT mongo_migrate.take_over(%L);', server);
    ELSIF writer <> this THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('PostgreSQL was recovered, or promoted, after server "%s" was cut over', server),
            DETAIL = 'Its rows are not written back: documents of transactions that were lost would be overwritten, and what an old primary still writes.',
            HINT = format('mongo_migrate.verify_full(%1$L, collection) shows what was lost, if anything. Then: SELECT mongo_migrate.take_over(%1$L);', server);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.require_writer(name) IS
    'error 55000 in a copy of the database in which a server was cut over, and in that database when it was recovered or promoted since';

CREATE FUNCTION mongo_migrate.take_over(server name)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM mongo_migrate.require_source(server);
    UPDATE mongo_migrate.sync AS y SET written_by = mongo_migrate.this_database() WHERE y.server = $1 AND y.cut_over_at IS NOT NULL;
    IF NOT FOUND THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('server "%s" is not cut over', server);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.take_over(name) IS
    'has this database write its rows back, which is a copy of the one in which the server was cut over: after pg_upgrade, or where it was restored in its place; or that database, recovered or promoted since. To be called when the other one, or the old primary, does not run any more; then start_sync(). Errors: 55000 where the server is not cut over';

CREATE FUNCTION mongo_migrate.path_beginnings(path text)
    RETURNS SETOF text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT left($1, n - 1) FROM generate_series(2, length($1) + 1) AS n WHERE substr($1, n, 1) IN ('', '.', '[', '{')
$$;
COMMENT ON FUNCTION mongo_migrate.path_beginnings(text) IS
    'a path of plan_path or drift, and those of the documents, arrays and maps that it is in';

CREATE FUNCTION mongo_migrate.fields_without_column(server name)
    RETURNS TABLE (collection text, path text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
    WITH target AS MATERIALIZED (
        SELECT t.collection, t.target, t.kind, t.nested_path, mongo_migrate.target_base($1, t.collection, t.target) AS base
          FROM mongo_migrate.plan_target AS t WHERE t.server = $1 AND t.included
    ), part AS MATERIALIZED (
        SELECT t.collection, c.role, t.base, mongo_migrate.full_path(t.base, c.path) AS path
          FROM target AS t JOIN mongo_migrate.plan_column AS c USING (collection, target)
         WHERE c.server = $1 AND c.included AND c.path IS NOT NULL AND NOT (t.kind = 'root' AND c.path = '$' AND c.role <> 'extra')
    ), field AS MATERIALIZED (
        SELECT p.collection, p.path FROM mongo_migrate.plan_path AS p WHERE p.server = $1 AND p.path <> '_id' AND p.key IS NOT NULL
         UNION
        SELECT d.collection, d.path FROM mongo_migrate.drift AS d WHERE d.server = $1
    ), beginning AS MATERIALIZED (
        SELECT f.*, b.beginning FROM field AS f CROSS JOIN LATERAL mongo_migrate.path_beginnings(f.path) AS b (beginning)
    ), whole AS (
        -- A map's table has all of the fields in the map, and a tree's table all levels.
        SELECT p.collection, regexp_replace(p.path, '\{\}.*', '') AS path FROM part AS p WHERE p.role <> 'extra'
         UNION
        SELECT t.collection, mongo_migrate.full_path(t.base, t.nested_path) FROM target AS t WHERE t.nested_path IS NOT NULL
    )
    SELECT f.collection, f.path FROM field AS f
    EXCEPT
    SELECT p.collection, b.path FROM part AS p CROSS JOIN LATERAL mongo_migrate.path_beginnings(p.path) AS b (path) WHERE p.role <> 'extra'
    EXCEPT
    SELECT b.collection, b.path FROM beginning AS b JOIN whole AS w ON (w.collection, w.path) = (b.collection, b.beginning)
    EXCEPT
    SELECT f.collection, f.path FROM field AS f
     WHERE (SELECT EXISTS (SELECT FROM part AS p WHERE (p.collection, p.base, p.role) = (t.collection, t.base, 'extra'))
              FROM target AS t WHERE t.collection = f.collection AND starts_with(f.path, t.base) ORDER BY length(t.base) DESC LIMIT 1)
    ORDER BY collection, path
$$;
COMMENT ON FUNCTION mongo_migrate.fields_without_column(name) IS
    'paths of plan_path and drift that the plans of a server have nothing for: no column of the field, within it or around it, no map or tree, and no column extra of the row that it is in';

CREATE FUNCTION mongo_migrate.may_write(server name, collections text[])
    RETURNS TABLE (collection text, action text, may boolean)
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH status AS (
        SELECT (mongo_migrate.run_command($1, '{"connectionStatus": 1, "showPrivileges": true}') -> 'authInfo')::jsonb AS info
    )
    SELECT c.collection, a.action,
           -- Without authentication there is no user, and nothing is forbidden.
           jsonb_array_length(s.info -> 'authenticatedUsers') = 0 OR EXISTS (
               SELECT FROM jsonb_array_elements(s.info -> 'authenticatedUserPrivileges') AS p (privilege), jsonb_extract_path(p.privilege, 'resource') AS r (resource)
                WHERE p.privilege -> 'actions' ? a.action
                  AND (r.resource ? 'anyResource'
                       OR (r.resource ->> 'db' IN ('', d.name) AND r.resource ->> 'collection' IN ('', c.collection))))
      FROM status AS s, unnest($2) AS c (collection), unnest(ARRAY['insert', 'update', 'remove']) AS a (action),
           (SELECT mongo_migrate.run_command($1, '{"dbStats": 1}') ->> 'db') AS d (name)
$$;
COMMENT ON FUNCTION mongo_migrate.may_write(name, text[]) IS
    'whether the user of the connection may insert, update and remove documents of collections';

CREATE FUNCTION mongo_migrate.check_write_back(server name)
    RETURNS TABLE (collection text, target text, column_name name, severity text, problem text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
#variable_conflict use_column
DECLARE
    c record;
    written text;       -- the type that becomes a field
    seen text;          -- BSON types of the field
BEGIN
    PERFORM mongo_migrate.require_plan(server, NULL);
    -- Tables whose changes cannot be noted, or whose documents cannot be found.
    RETURN QUERY
        SELECT t.collection, t.target, NULL::name, 'error', p.problem
          FROM mongo_migrate.plan_target AS t
         CROSS JOIN LATERAL (SELECT to_regclass(t.target) AS relation) AS r
         CROSS JOIN LATERAL (
            SELECT CASE WHEN r.relation IS NULL THEN 'the table does not exist'
                        WHEN (mongo_migrate.citus_distribution(r.relation)).kind IS NOT NULL THEN 'Citus has no triggers on tables that it distributes'
                        WHEN NOT EXISTS (SELECT FROM mongo_migrate.document_column(server, t.collection, t.target) AS d
                                          WHERE d.included) THEN 'no column has the id of the document''s row' END AS problem) AS p
         WHERE t.server = check_write_back.server AND t.included AND p.problem IS NOT NULL
         UNION ALL
        SELECT t.collection, t.target, NULL, 'incomplete', format('changes of rows in tables that inherit from it are not noted: %s', string_agg(i.inhrelid::regclass::text, ', ' ORDER BY i.inhrelid))
          FROM mongo_migrate.plan_target AS t JOIN pg_class AS c ON c.oid = to_regclass(t.target) JOIN pg_inherits AS i ON i.inhparent = c.oid
         WHERE t.server = check_write_back.server AND t.included AND c.relkind <> 'p'
         GROUP BY t.collection, t.target
         UNION ALL
        SELECT t.collection, t.target, c.column_name, 'error', 'the id of the document''s row is made by an expression'
          FROM mongo_migrate.plan_target AS t JOIN mongo_migrate.plan_column AS c USING (server, collection, target)
         WHERE t.server = check_write_back.server AND t.included AND c.role = 'id' AND c.expression IS NOT NULL
         UNION ALL
        SELECT t.collection, t.target, c.column_name, 'error', format('by an id of type %s the document cannot be found: it does not say in which order the fields of _id are', c.type)
          FROM mongo_migrate.plan_target AS t JOIN mongo_migrate.plan_column AS c USING (server, collection, target)
          JOIN mongo_migrate.id_map AS m USING (server, collection)
         WHERE t.server = check_write_back.server AND t.included AND t.kind = 'root' AND c.role = 'id' AND m.id_type = 'source' AND c.type IN ('json', 'jsonb')
         UNION ALL
        SELECT t.collection, t.target, NULL, 'error', format('table %s, to whose rows these belong, is left out of the plan', t.parent)
          FROM mongo_migrate.plan_target AS t JOIN mongo_migrate.plan_target AS u ON (u.server, u.collection, u.target) = (t.server, t.collection, t.parent)
         WHERE t.server = check_write_back.server AND t.included AND NOT u.included
         UNION ALL
        SELECT t.collection, t.target, NULL, 'error', format('it has no column of role %s, by which its rows are put together', k.role)
          FROM mongo_migrate.plan_target AS t
         CROSS JOIN LATERAL unnest(CASE WHEN t.kind = 'map' THEN '{key}'::text[] WHEN t.nested_path IS NOT NULL THEN '{position,parent_position}' END) AS k (role)
         WHERE t.server = check_write_back.server AND t.included
           AND NOT EXISTS (SELECT FROM mongo_migrate.plan_column AS c
                            WHERE (c.server, c.collection, c.target, c.role) = (t.server, t.collection, t.target, k.role) AND c.included)
         UNION ALL
        SELECT p.collection, NULL, NULL, 'error', format('the source is a %s, which cannot be written to; to change over without it: DELETE FROM mongo_migrate.plan WHERE (server, collection) = (%L, %L);',
                                                             l.kind, p.server, p.collection)
          FROM mongo_migrate.plan AS p JOIN mongo_migrate.list_collections(server) AS l ON l.collection = p.collection
         WHERE p.server = check_write_back.server AND l.kind <> 'collection'
         UNION ALL
        SELECT m.collection, NULL, NULL, 'error', format('the user in MongoDB must not do this: %s', string_agg(m.action, ', ' ORDER BY m.action))
          FROM mongo_migrate.may_write(server, ARRAY(SELECT p.collection FROM mongo_migrate.plan AS p WHERE p.server = check_write_back.server)) AS m
         WHERE NOT m.may GROUP BY m.collection
         UNION ALL
        SELECT q.collection, NULL, NULL, 'incomplete', format('documents in quarantine, which have no rows: %s', count(*))
          FROM mongo_migrate.quarantine AS q WHERE q.server = check_write_back.server GROUP BY q.collection;
    IF EXISTS (SELECT FROM mongo_migrate.plan_target AS t WHERE t.server = check_write_back.server AND t.included AND to_regclass(t.target) IS NULL) THEN
        RETURN;
    END IF;
    -- Columns whose values cannot become fields.
    FOR c IN
        SELECT t.collection, t.target, v.*, o AS planned, o.reverse_expression
          FROM mongo_migrate.plan_target AS t CROSS JOIN LATERAL mongo_migrate.verify_columns(server, t.collection, t.target) AS v
          JOIN mongo_migrate.plan_column AS o ON (o.server, o.collection, o.target, o.column_name) = (t.server, t.collection, t.target, v.column_name)
         WHERE t.server = check_write_back.server AND t.included AND o.included
           AND v.role = 'value' AND v.source IS NULL AND NOT (v.path = '$' AND t.kind = 'root')
         ORDER BY t.collection, t.ordinal, o.ordinal
    LOOP
        IF c.expression IS NOT NULL AND c.reverse_expression IS NULL THEN
            RETURN QUERY SELECT c.collection, c.target, c.column_name, 'incomplete',
                                format('its expression has no reverse_expression: field "%s" is not written. Where it is to get the column''s value as it is: %s',
                                       c.path, mongo_migrate.mend_column(c.planned, 'reverse_expression = ''value'''));
            CONTINUE;
        END IF;
        BEGIN
            EXECUTE format('SELECT pg_typeof(v.v) FROM (SELECT %s AS v) AS v WHERE mongo_migrate.written_value(NULL, v.v, ''{}'', ''relaxed'', true) IS NULL',
                CASE WHEN c.expression IS NULL THEN format('NULL::%s', format_type(c.type, c.typmod))
                     ELSE format('(SELECT (%s' || chr(10) || ') FROM (SELECT NULL::%s AS value) AS x)', c.reverse_expression,
                                 format_type(c.type, c.typmod)) END) INTO written;
            seen := mongo_migrate.refused_values(server, c.collection,
                mongo_migrate.full_path(mongo_migrate.target_base(server, c.collection, c.target), c.path), written);
            IF c.expression IS NOT NULL AND seen IS NOT NULL THEN
                RETURN QUERY SELECT c.collection, c.target, c.column_name, 'note',
                    format('field "%s" was of type %s, and gets another one where its value changes: reverse_expression gives %s', c.path, seen, written);
            END IF;
        EXCEPTION WHEN OTHERS THEN
            RETURN QUERY SELECT c.collection, c.target, c.column_name, 'incomplete', SQLERRM;
        END;
    END LOOP;
    RETURN QUERY
        SELECT f.collection, NULL::text, NULL::name, 'note', format('field "%s" has no column: documents keep it, new ones have none', f.path)
          FROM mongo_migrate.fields_without_column(server) AS f;
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_write_back(name) IS
    'what cutover() would find wrong with the plans of a server, read backwards; severity: error: cannot be; incomplete: is possible with incomplete => true; note: to be known';

CREATE FUNCTION mongo_migrate.await_sync(server name, what text, until timestamptz, cluster_time bigint DEFAULT NULL, before timestamptz DEFAULT 'infinity')
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    s record;
    unnoted text;
BEGIN
    LOOP
        SELECT v.state, v.pending, v.oldest, v.error, y.cluster_time INTO s
          FROM mongo_migrate.sync_status AS v JOIN mongo_migrate.sync AS y USING (server) WHERE v.server = await_sync.server;
        unnoted := CASE WHEN mongo_migrate.is_cut_over(server) THEN (SELECT n.target FROM mongo_migrate.unnoted_tables(server) AS n LIMIT 1) END;
        EXIT WHEN (s.pending = 0 OR s.oldest > before) AND s.cluster_time >= coalesce(await_sync.cluster_time, 0) AND unnoted IS NULL;
        IF clock_timestamp() > until OR s.state IS NULL OR s.state = 'stopped' THEN
            RAISE object_not_in_prerequisite_state USING
                MESSAGE = format('%s: %s', what, CASE WHEN s.pending > 0 THEN format('%s are still to be followed', s.pending)
                                                      WHEN unnoted IS NOT NULL THEN format('the rows of %s are not noted yet', unnoted)
                                                      ELSE 'the sync does not come to the present' END),
                DETAIL = concat_ws('; ', 'The sync is ' || s.state, s.error),
                HINT = 'Look at mongo_migrate.sync_status, and call it again, with a larger timeout if need be.'
                       || CASE WHEN mongo_migrate.is_cut_over(server) THEN format(' Where MongoDB is gone for good: SELECT mongo_migrate.finalize(%L, incomplete => true);', server) ELSE '' END;
        END IF;
        PERFORM pg_sleep(0.1);
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.await_sync(name, text, timestamptz, bigint, timestamptz) IS
    'waits until nothing is pending that was noted before a time, and the source was read up to a time of the cluster; error 55000 when the time is over, or the sync has ended';

CREATE FUNCTION mongo_migrate.execute_each(statements text[])
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    statement text;
BEGIN
    FOREACH statement IN ARRAY statements LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.execute_each(text[]) IS
    'executes statements, each by itself: Citus sends its nodes the whole text of one, where they prepare it';

CREATE FUNCTION mongo_migrate.write_back_triggers(server name)
    RETURNS TABLE (target text, trigger name, definition text[], collection text, column_name name)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    SET jit = off
AS $$
    SELECT r.target, k.name,
           ARRAY[format('CREATE OR REPLACE TRIGGER %I %s ON %s FOR EACH %s EXECUTE FUNCTION mongo_migrate.note_row(%L, %L, %L)',
                        k.name, k.event, r.target, k.each, $1, t.collection, d.column_name),
                 format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', r.target, k.name)],      -- for writes by replication, too
           t.collection, d.column_name
      FROM mongo_migrate.plan_target AS t
     CROSS JOIN LATERAL mongo_migrate.document_column($1, t.collection, t.target) AS d
     -- Partitions get triggers for rows from the table, but none for statements.
     CROSS JOIN LATERAL (
            SELECT c.oid, t.target FROM pg_class AS c WHERE c.oid = to_regclass(t.target)
             UNION ALL
            SELECT p.relid, p.relid::regclass::text FROM pg_partition_tree(to_regclass(t.target)) AS p WHERE p.level > 0) AS r
      JOIN pg_class AS c USING (oid)
     CROSS JOIN (VALUES ('mongo_migrate_write_back', 'AFTER INSERT OR UPDATE OR DELETE', 'ROW'),
                        ('mongo_migrate_write_back_all', 'BEFORE TRUNCATE', 'STATEMENT')) AS k (name, event, each)
     WHERE t.server = $1 AND t.included
       AND CASE k.each WHEN 'ROW' THEN r.target = t.target ELSE c.relkind <> 'f' END
     ORDER BY r.target COLLATE "C", k.name
$$;
COMMENT ON FUNCTION mongo_migrate.write_back_triggers(name) IS
    'the triggers that tables have while a server is cut over, with the statements that make them';

CREATE FUNCTION mongo_migrate.note_triggers(server name)
    RETURNS TABLE (target regclass, trigger name)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- Those of the rows of partitions go with that of their table, and those of shards that Citus has here, which are called otherwise.
    SELECT g.tgrelid, g.tgname FROM pg_trigger AS g
     CROSS JOIN LATERAL (SELECT convert_to($1, getdatabaseencoding()) || '\x00' AS bytes) AS a
     WHERE g.tgfoid = 'mongo_migrate.note_row()'::regprocedure AND g.tgparentid = 0 AND substr(g.tgargs, 1, length(a.bytes)) = a.bytes
       AND g.tgname IN ('mongo_migrate_write_back', 'mongo_migrate_write_back_all')
     ORDER BY g.tgrelid::regclass::text COLLATE "C", g.tgname
$$;
COMMENT ON FUNCTION mongo_migrate.note_triggers(name) IS
    'the triggers that note changed rows for a server, whatever the plan says by now: a table may have another name, or be no partition any more';

CREATE FUNCTION mongo_migrate.unnoted_tables(server name)
    RETURNS TABLE (target text, trigger name, definition text[], collection text, column_name name, has_rows boolean, is_partition boolean)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT w.*, CASE WHEN c.relispartition THEN c.relkind <> 'p' ELSE w.trigger = 'mongo_migrate_write_back' END, c.relispartition
      FROM mongo_migrate.write_back_triggers($1) AS w JOIN pg_class AS c ON c.oid = to_regclass(w.target)
      LEFT JOIN pg_trigger AS g ON (g.tgrelid, g.tgname) = (c.oid, w.trigger)
           -- A partition that was detached meanwhile has that of its rows anew.
     WHERE (g.tgenabled IS DISTINCT FROM 'A' OR (c.relispartition AND NOT EXISTS (
                SELECT FROM pg_trigger AS r WHERE (r.tgrelid, r.tgname) = (c.oid, 'mongo_migrate_write_back') AND r.oid < g.oid)))
       AND mongo_migrate.is_loaded($1, w.collection)
       -- Asked some times a second: where tables have theirs, and no partitions, that is all to be looked at.
       AND EXISTS (SELECT FROM mongo_migrate.plan_target AS t JOIN pg_class AS p ON p.oid = to_regclass(t.target)
                    WHERE t.server = $1 AND t.included
                      AND (p.relkind = 'p' OR (SELECT count(*) FROM pg_trigger AS k
                                                WHERE k.tgrelid = p.oid AND k.tgfoid = 'mongo_migrate.note_row()'::regprocedure AND k.tgenabled = 'A') < 2))
$$;
COMMENT ON FUNCTION mongo_migrate.unnoted_tables(name) IS
    'of write_back_triggers(), those that tables of a server that is cut over lack since adopt_tables() was called: partitions that have come, or come back; tables that were made anew, or whose triggers were disabled (ENABLE TRIGGER ALL does not make them what they were); has_rows: which are to be noted';

CREATE FUNCTION mongo_migrate.adopt_tables(server name)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET row_security = off
    SET datestyle = 'ISO, YMD'
    SET extra_float_digits = 1
    SET lock_timeout = 0
AS $$
#variable_conflict use_variable
DECLARE
    p record;
    what text;
    note text;
    problem text;
    adopted bigint := 0;
BEGIN
    FOR p IN SELECT * FROM mongo_migrate.unnoted_tables(server) LOOP
        what := format(CASE WHEN p.is_partition THEN 'partition %s is new' ELSE 'table %s has lost its triggers' END, p.target);
        BEGIN
            note := format('INSERT INTO mongo_migrate.row_change (server, collection, id) SELECT $1, $2, t.%I::text FROM %s AS t', p.column_name, p.target);
            -- What it had when it was attached, for what comes is noted; before the lock, because that may take its time.
            IF p.has_rows AND p.is_partition THEN
                EXECUTE note USING server, p.collection;
            END IF;
            PERFORM mongo_migrate.limit_locks(clock_timestamp() + mongo_migrate.short_wait(adopted::integer + 1));
            IF p.is_partition THEN
                EXECUTE format('DROP TRIGGER IF EXISTS %I ON %s', p.trigger, p.target);
            END IF;
            PERFORM mongo_migrate.execute_each(p.definition);
            -- What it has when nobody can write to it without a trigger any more.
            IF p.has_rows AND NOT p.is_partition THEN
                EXECUTE note USING server, p.collection;
            END IF;
            IF NOT p.is_partition THEN
                RAISE WARNING 'table % was without trigger %', p.target, p.trigger
                    USING DETAIL = 'All of its rows are written to the source; documents of rows that were deleted meanwhile are still there.',
                          HINT = format('SELECT * FROM mongo_migrate.verify_full(%L, %L) shows them.', server, p.collection);
            END IF;
            adopted := adopted + 1;
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected THEN
                problem := what || ', and transactions that write to it do not end';
            WHEN OTHERS THEN
                problem := format('%s, and its rows cannot be noted: %s', what, SQLERRM);
        END;
    END LOOP;
    -- What has succeeded stays.
    IF adopted = 0 AND problem IS NOT NULL THEN
        RAISE object_not_in_prerequisite_state USING MESSAGE = problem;
    END IF;
    RETURN adopted;
END
$$;
COMMENT ON FUNCTION mongo_migrate.adopt_tables(name) IS
    'notes the rows of unnoted_tables(), and makes their triggers; returns how many there were';

CREATE FUNCTION mongo_migrate.cutover(server name, timeout interval DEFAULT '1 minute', incomplete boolean DEFAULT false)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = 0
AS $$
#variable_conflict use_variable
DECLARE
    until constant timestamptz := clock_timestamp() + timeout;
    s mongo_migrate.sync;
    problem record;
    written text;
    t record;
BEGIN
    s := mongo_migrate.require_sync(server, false);
    SELECT string_agg(p.collection, ', ' ORDER BY p.collection) INTO written FROM mongo_migrate.plan AS p
     WHERE p.server = server AND NOT mongo_migrate.is_loaded(server, p.collection);
    IF written IS NOT NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('collections of server "%s" are not migrated yet: %s', server, written),
            HINT = format('SELECT * FROM mongo_migrate.migrate_all(%L);', server);
    END IF;
    FOR problem IN SELECT * FROM mongo_migrate.check_write_back(server) AS c
                    WHERE c.severity = 'error' OR (c.severity = 'incomplete' AND NOT incomplete) ORDER BY c.severity, c.collection, c.target LIMIT 1 LOOP
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('documents of collection "%s" cannot be made of their rows: %s', problem.collection,
                             concat_ws(': ', nullif(concat_ws('.', problem.target, quote_ident(problem.column_name)), ''), problem.problem)),
            HINT = format('SELECT * FROM mongo_migrate.check_write_back(%L) has all%s', server,
                          CASE problem.severity WHEN 'incomplete' THEN '; incomplete => true goes on, and leaves such fields as they are.' ELSE '.' END);
    END LOOP;

    -- Everything that was written until now.
    PERFORM mongo_migrate.await_sync(server, 'documents that have changed', until, (mongo_migrate.stream_end(server)).cluster_time);
    PERFORM mongo_migrate.limit_locks(until);
    PERFORM pg_advisory_xact_lock(mongo_migrate.sync_step_lock(server));
    -- Another may have changed it meanwhile.
    PERFORM mongo_migrate.require_sync(server, false);
    SELECT * INTO s FROM mongo_migrate.sync AS y WHERE y.server = server FOR UPDATE;
    PERFORM mongo_migrate.lock_collection(server, p.collection) FROM mongo_migrate.plan AS p WHERE p.server = server;
    IF NOT incomplete AND EXISTS (SELECT FROM mongo_migrate.change AS c WHERE c.server = server AND c.reason IS NOT NULL) THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('documents of server "%s" have changed and cannot become rows', server),
            DETAIL = (SELECT format('%s of collection "%s", and %s in all: %s', mongo_migrate.bson_to_json(c.id), c.collection, count(*) OVER (), c.reason)
                        FROM mongo_migrate.change AS c WHERE c.server = server AND c.reason IS NOT NULL ORDER BY c.changed_at LIMIT 1),
            HINT = 'mongo_migrate.change has them, with the reasons; incomplete => true leaves them behind.';
    END IF;
    SELECT string_agg(DISTINCT p.collection, ', ') INTO written
      FROM mongo_migrate.plan AS p
     WHERE p.server = server AND p.collection IN (
           SELECT c.collection FROM mongo_migrate.change AS c WHERE c.server = server AND c.reason IS NULL
            UNION ALL
           -- Not some thousands of them alone: collections without a plan may still be written to.
           SELECT c.collection FROM mongo_migrate.read_changes(server, s."position", 0, 2147483647) AS c);
    IF written IS NOT NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('collections of server "%s" are still being written to: %s', server, written),
            HINT = 'Stop whatever writes to them, and call it again.';
    END IF;

    PERFORM mongo_migrate.lock_tables(ARRAY(SELECT to_regclass(w.target) FROM mongo_migrate.write_back_triggers(server) AS w), 'SHARE ROW EXCLUSIVE', until);
    UPDATE mongo_migrate.sync AS y SET cut_over_at = clock_timestamp(), written_by = mongo_migrate.this_database() WHERE y.server = server;
    PERFORM mongo_migrate.commit_durably();
    FOR t IN SELECT * FROM mongo_migrate.write_back_triggers(server) LOOP
        PERFORM mongo_migrate.execute_each(t.definition);
    END LOOP;
    PERFORM mongo_migrate.synchronize_sequences(server, p.collection) FROM mongo_migrate.plan AS p WHERE p.server = server;
END
$$;
COMMENT ON FUNCTION mongo_migrate.cutover(name, interval, boolean) IS
    'the application changes over to PostgreSQL: waits, for timeout at most, until all that was written to the source has come, and has the documents follow the rows from then on, by triggers and the worker of start_sync(). To be called after the application has stopped writing to MongoDB, and before it writes to PostgreSQL. incomplete: also where columns cannot be written back, or changed documents could not become rows. Errors: 55000 where the sync does not run, the source is still written to, collections are not migrated, or check_write_back() has something';

CREATE FUNCTION mongo_migrate.drop_note_triggers(server name, wait boolean)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = 0
AS $$
#variable_conflict use_variable
DECLARE
    t record;
    dropped bigint := 0;
BEGIN
    FOR t IN SELECT n.target, array_agg(n.trigger) AS triggers FROM mongo_migrate.note_triggers(server) AS n GROUP BY n.target ORDER BY n.target::text COLLATE "C" LOOP
        BEGIN
            -- Whoever reads another table and waits for this one waits for those that we have locked already.
            IF wait THEN
                PERFORM mongo_migrate.limit_locks(clock_timestamp() + mongo_migrate.short_wait(1));
            END IF;
            EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE %s', t.target, CASE WHEN NOT wait THEN 'NOWAIT' END);
            PERFORM mongo_migrate.execute_each(ARRAY(SELECT format('DROP TRIGGER %I ON %s', g, t.target) FROM unnest(t.triggers) AS g));
            dropped := dropped + 1;
            EXIT WHEN wait;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            NULL;
        END;
    END LOOP;
    RETURN dropped;
END
$$;
COMMENT ON FUNCTION mongo_migrate.drop_note_triggers(name, boolean) IS
    'drops the triggers of the tables of a server that nobody reads just now; wait: of one of them, which others wait for meanwhile; returns of how many';

CREATE FUNCTION mongo_migrate.end_write_back(server name, timeout interval, incomplete boolean, for_good boolean DEFAULT false)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = 0
AS $$
#variable_conflict use_variable
DECLARE
    until timestamptz := clock_timestamp() + timeout;
    what constant text := 'rows that have changed';
    given_up boolean := false;
    t record;
    refused bigint;
BEGIN
    PERFORM mongo_migrate.require_sync(server, true);
    -- While an application writes there is always something.
    BEGIN
        PERFORM mongo_migrate.await_sync(server, what, until, before => clock_timestamp());
    EXCEPTION WHEN object_not_in_prerequisite_state THEN
        -- MongoDB may be gone for good.
        IF NOT (for_good AND incomplete) THEN
            RAISE;
        END IF;
        given_up := true;
        until := clock_timestamp() + timeout;
    END;
    -- Who writes now waits for the end of the transaction; what was written is read by the worker.
    PERFORM mongo_migrate.lock_tables(ARRAY(SELECT n.target FROM mongo_migrate.note_triggers(server) AS n), 'SHARE ROW EXCLUSIVE', until);
    PERFORM mongo_migrate.require_sync(server, true);
    PERFORM mongo_migrate.await_sync(server, what, until) WHERE NOT given_up;
    PERFORM mongo_migrate.limit_locks(until);
    PERFORM pg_advisory_xact_lock(mongo_migrate.sync_step_lock(server));
    PERFORM mongo_migrate.require_sync(server, true);
    PERFORM mongo_migrate.commit_durably();
    DELETE FROM mongo_migrate.row_change AS c WHERE c.server = server AND incomplete;
    GET DIAGNOSTICS refused = ROW_COUNT;
    IF refused > 0 THEN
        RAISE WARNING 'documents of server "%" that could not be written stay as they are: %', server, refused;
    ELSIF EXISTS (SELECT FROM mongo_migrate.row_change AS c WHERE c.server = server) THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('rows of server "%s" have changed and cannot become documents', server),
            DETAIL = (SELECT format('Collection "%s", row %s, and %s in all: %s', c.collection, c.id, count(*) OVER (), coalesce(c.reason, 'not tried yet'))
                        FROM mongo_migrate.row_change AS c WHERE c.server = server ORDER BY c.changed_at LIMIT 1),
            HINT = 'mongo_migrate.row_change has them, with the reasons; incomplete => true leaves them behind.';
    END IF;
    FOR t IN SELECT * FROM mongo_migrate.note_triggers(server) LOOP
        EXECUTE format('ALTER TABLE %s DISABLE TRIGGER %I', t.target, t.trigger);
    END LOOP;
    -- Whoever has read a table, and waits to write, waits for us.
    FOR i IN 1 .. 5 LOOP
        PERFORM mongo_migrate.drop_note_triggers(server, wait => false);
        EXIT WHEN NOT EXISTS (SELECT FROM mongo_migrate.note_triggers(server));
        PERFORM pg_sleep(0.05);
    END LOOP;
    IF EXISTS (SELECT FROM mongo_migrate.note_triggers(server)) THEN
        RAISE NOTICE 'triggers mongo_migrate_write_back of these tables are disabled, and not dropped yet, because they are being read: %',
            (SELECT string_agg(DISTINCT n.target::text, ', ') FROM mongo_migrate.note_triggers(server) AS n)
            USING HINT = 'The worker drops them.';
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.end_write_back(name, interval, boolean, boolean) IS
    'waits until all rows that have changed are documents, and takes the triggers away; for_good, incomplete: also where they do not become documents in time';

CREATE FUNCTION mongo_migrate.rollback_cutover(server name, timeout interval DEFAULT '1 minute', incomplete boolean DEFAULT false)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    begun record;
BEGIN
    PERFORM mongo_migrate.end_write_back(server, timeout, incomplete);
    begun := mongo_migrate.stream_end(server);
    UPDATE mongo_migrate.sync AS y SET cut_over_at = NULL, "position" = begun."position", cluster_time = begun.cluster_time
     WHERE y.server = server;
    PERFORM mongo_migrate.synchronize_sequences(server, p.collection) FROM mongo_migrate.plan AS p WHERE p.server = server;
END
$$;
COMMENT ON FUNCTION mongo_migrate.rollback_cutover(name, interval, boolean) IS
    'the application goes back to MongoDB: waits, for timeout at most, until all rows that have changed are documents, and has the rows follow the documents again. To be called after the application has stopped writing to PostgreSQL, and before it writes to MongoDB. incomplete: also where rows could not become documents. Errors: 55000 where the server is not cut over, the worker does not run, or rows are left';

CREATE FUNCTION mongo_migrate.finalize(server name, timeout interval DEFAULT '1 minute', incomplete boolean DEFAULT false)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    PERFORM mongo_migrate.end_write_back(server, timeout, incomplete, for_good => true);
    DELETE FROM mongo_migrate.change AS c WHERE c.server = server;
    DELETE FROM mongo_migrate.sync AS y WHERE y.server = server;
END
$$;
COMMENT ON FUNCTION mongo_migrate.finalize(name, interval, boolean) IS
    'ends what a cutover has begun: the last changed rows become documents, then nothing is written to MongoDB any more, and there is no way back. The plan, the id maps and the findings stay until the extension is dropped. incomplete: also where rows could not become documents, or do not in time, as where MongoDB is gone; errors: as of rollback_cutover()';

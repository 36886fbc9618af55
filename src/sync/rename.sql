-- rename.sql: what is known of a server goes with its name.
--
-- Plans, checkpoints and positions have the name of their server, which ALTER
-- SERVER does not know.

CREATE FUNCTION mongo_migrate.lock_followed(server name)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(mongo_migrate.sync_lock(server)) THEN
        RAISE object_in_use USING
            MESSAGE = format('changes of server "%s" are followed by another session', server),
            DETAIL = mongo_migrate.run_lock_holder(mongo_migrate.sync_lock(server)),
            HINT = format('SELECT mongo_migrate.stop_sync(%L); it ends after its present step.', server);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.lock_followed(name) IS
    'keeps the changes of a server from being followed until the transaction ends; error 55006 while another session does';

CREATE FUNCTION mongo_migrate.rename_server(server name, new_name name)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    renamed constant boolean := NOT EXISTS (SELECT FROM pg_foreign_server AS f WHERE f.srvname = server);
    migrated text;
    relation regclass;
BEGIN
    IF server = new_name OR new_name IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'new_name must be another name';
    END IF;
    PERFORM mongo_migrate.require_source(CASE WHEN renamed THEN new_name ELSE server END);
    IF renamed AND NOT EXISTS (SELECT FROM mongo_migrate.plan AS p WHERE p.server = server) AND NOT EXISTS (SELECT FROM mongo_migrate.id_map AS m WHERE m.server = server)
           AND NOT EXISTS (SELECT FROM mongo_migrate.sync AS s WHERE s.server = server) THEN
        RAISE undefined_object USING
            MESSAGE = format('server "%s" does not exist, and nothing was migrated by that name', server);
    END IF;
    IF mongo_migrate.is_cut_over(server) THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('server "%s" is cut over, and cannot be renamed', server),
            DETAIL = 'The triggers of its tables have its name.',
            HINT = concat_ws(' ', 'That is for before cutover(), or after rollback_cutover() or finalize().',
                             CASE WHEN renamed THEN format('Until then: ALTER SERVER %I RENAME TO %I;', new_name, server) END);
    END IF;
    PERFORM mongo_migrate.lock_followed(server), mongo_migrate.lock_followed(new_name);
    PERFORM mongo_migrate.lock_collection(server, p.collection) FROM mongo_migrate.plan AS p WHERE p.server = server;
    SELECT string_agg(DISTINCT o.collection, ', ') INTO migrated
      FROM (SELECT p.server, p.collection FROM mongo_migrate.plan AS p UNION ALL SELECT m.server, m.collection FROM mongo_migrate.id_map AS m) AS o
     WHERE o.server = new_name;
    IF migrated IS NOT NULL THEN
        RAISE duplicate_object USING
            MESSAGE = format('server "%s" has plans or id maps of its own: %s', new_name, migrated),
            HINT = format('Forget what was migrated by that name: %s', (
                SELECT string_agg(format('DELETE FROM mongo_migrate.%s WHERE server = %L;', r, new_name), ' ')
                  FROM unnest(ARRAY['plan', 'id_map', 'chunk', 'run', 'quarantine', 'dangling_reference', 'drift']) AS r));
    END IF;
    -- What was followed by the new name meanwhile began later.
    IF EXISTS (SELECT FROM mongo_migrate.sync AS s WHERE s.server = server) THEN
        DELETE FROM mongo_migrate.sync AS s WHERE s.server = new_name;
        DELETE FROM mongo_migrate.change AS c WHERE c.server = new_name;
    END IF;
    DELETE FROM mongo_migrate.stop_request AS s WHERE s.server = new_name;
    -- The plan's other tables follow it.
    FOR relation IN
        SELECT c.oid FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid
         WHERE c.relnamespace = 'mongo_migrate'::regnamespace AND c.relkind = 'r' AND a.attname = 'server'
           AND EXISTS (SELECT FROM pg_depend AS d
                        WHERE (d.classid, d.objid, d.deptype) = ('pg_class'::regclass, c.oid, 'e'))
         ORDER BY c.relname <> 'plan'
    LOOP
        EXECUTE format('UPDATE %s SET server = $2 WHERE server = $1', relation) USING server, new_name;
    END LOOP;
    IF NOT renamed THEN
        EXECUTE format('ALTER SERVER %I RENAME TO %I', server, new_name);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.rename_server(name, name) IS
    'renames a server with all that is known of it: plans, id maps, checkpoints, quarantine, findings, the position of its sync; or, where ALTER SERVER has renamed it already, has them follow. Migrations and the sync of the server must have been stopped; start_sync() goes on by the new name, and what is scheduled by the old one is to be scheduled anew. Errors: 55006 while one of them runs; 55000 while the server is cut over; 42704 where nobody knows the name; 42710 where the new name has plans of its own';

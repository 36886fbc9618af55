-- grants.sql: who may use the extension.

CREATE FUNCTION mongo_migrate.grant_usage(role name)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- GRANT itself only warns of what is not ours to give.
    IF NOT pg_has_role((SELECT extowner FROM pg_extension WHERE extname = 'mongo_migrate'), 'USAGE') THEN
        RAISE insufficient_privilege USING
            MESSAGE = 'must be owner of extension mongo_migrate';
    END IF;
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA mongo_migrate TO %I', role);
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA mongo_migrate TO %I', role);
    EXECUTE format('GRANT USAGE, SELECT, UPDATE ON ALL SEQUENCES IN SCHEMA mongo_migrate TO %I', role);
    EXECUTE format('GRANT EXECUTE ON ALL ROUTINES IN SCHEMA mongo_migrate TO %I', role);
END
$$;
COMMENT ON FUNCTION mongo_migrate.grant_usage(name) IS
    'lets a role plan, migrate and verify; it also needs USAGE of the server, a user mapping, and CREATE in the schema of the tables. The role becomes able to create objects in the schema of the extension: grant it to whom you trust with the migration of everybody else, too';

-- PUBLIC may call what only looks at its arguments.  Everything else that could
-- be granted by a default is taken back here, whatever file it stands in.
DO $$
DECLARE
    routine regprocedure;
BEGIN
    FOR routine IN
        SELECT p.oid FROM pg_catalog.pg_proc p
         WHERE p.pronamespace = 'mongo_migrate'::pg_catalog.regnamespace AND p.provolatile <> 'i'
           AND p.prorettype <> 'pg_catalog.fdw_handler'::pg_catalog.regtype
           AND p.proname NOT IN ('validator', 'objectid_generate')
    LOOP
        EXECUTE pg_catalog.format('REVOKE ALL ON ROUTINE %s FROM PUBLIC', routine);
    END LOOP;
END
$$;

-- grants.sql: who may use the extension.

-- Who owns the schema can put functions beside ours, for others to step into.
DO $$
DECLARE
    owner name := (SELECT r.rolname FROM pg_catalog.pg_namespace n JOIN pg_catalog.pg_roles r ON r.oid = n.nspowner
                    WHERE n.nspname = 'mongo_migrate' AND NOT r.rolsuper AND r.rolname <> current_user);
BEGIN
    IF owner IS NOT NULL THEN
        RAISE insufficient_privilege USING
            MESSAGE = pg_catalog.format('schema mongo_migrate belongs to role %I, which is no superuser', owner),
            DETAIL = 'Whoever owns the schema could run code of its own as whoever uses the extension.',
            HINT = 'Look at what is in the schema and drop it, then: CREATE EXTENSION mongo_migrate;';
    END IF;
END
$$;

CREATE FUNCTION mongo_migrate.grant_usage(role name)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF role IS NULL THEN
        RAISE null_value_not_allowed USING MESSAGE = 'role must not be null';
    -- GRANT itself only warns of what is not ours to give.
    ELSIF NOT pg_has_role((SELECT extowner FROM pg_extension WHERE extname = 'mongo_migrate'), 'USAGE') THEN
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

-- settings.sql: what a setting of the caller's must not change.

-- Bodies in SQL and PL/pgSQL, and expressions of a plan, are parsed where they are
-- called, and a backslash in a literal of theirs stands for itself.  Names that a
-- plan has, of types and tables, are compared as texts.  Machine code for statements
-- that are many and short takes longer than they do, and where a kind of join or scan
-- is disabled, the planner has all of them for expensive.
DO $$
DECLARE
    routine regprocedure;
BEGIN
    FOR routine IN
        SELECT p.oid FROM pg_catalog.pg_proc p
         WHERE p.pronamespace = 'mongo_migrate'::pg_catalog.regnamespace AND pg_catalog.array_to_string(p.proconfig, ',') LIKE '%search_path=%'
    LOOP
        EXECUTE pg_catalog.format('ALTER ROUTINE %s SET standard_conforming_strings = on SET quote_all_identifiers = off SET jit = off', routine);
    END LOOP;
    -- What a function's SET names is the caller's again when it ends.
    FOR routine IN
        SELECT p.oid FROM pg_catalog.pg_proc p
         WHERE p.pronamespace = 'mongo_migrate'::pg_catalog.regnamespace AND p.prosrc LIKE '%PERFORM mongo_migrate.set_plan_settings(%'
    LOOP
        EXECUTE pg_catalog.format('ALTER ROUTINE %s SET TimeZone = ''UTC'' SET DateStyle = ''ISO'' SET IntervalStyle = postgres'
                                  ' SET extra_float_digits = 1 SET bytea_output = hex', routine);
    END LOOP;
END
$$;

-- A schema full of traps, first in the search_path: a function and an operator
-- for each of pg_catalog that can be copied, more exact ones for functions that
-- take any arguments, catalogs and types.  Whoever steps into one gets an error.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
\pset format unaligned
SET client_min_messages = warning;
CREATE SERVER search_path FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_search_path');
SELECT mongo_migrate.run_command('search_path', '{"dropDatabase": 1}') \g /dev/null
SELECT mongo_migrate.run_command('search_path', '{"insert": "users", "documents": [
    {"_id": {"$oid": "65a000000000000000000001"}, "name": "a", "at": {"$date": "2024-01-01T00:00:00Z"}, "n": 1.5, "d": {"$numberDecimal": "1.25"}},
    {"_id": {"$oid": "65a000000000000000000002"}, "name": "b", "n": "x"}]}') \g /dev/null
SELECT mongo_migrate.run_command('search_path', '{"insert": "orders", "documents": [
    {"_id": 1, "user": {"$oid": "65a000000000000000000001"}, "items": [{"sku": "a", "qty": 1}], "tags": ["x"]},
    {"_id": 2, "user": {"$oid": "65a0000000000000000000ff"}, "amount": "12.345"}]}') \g /dev/null
CREATE SCHEMA traps;
DO $$
DECLARE
    p record;
    body text;
    made integer := 0;
BEGIN
    FOR p IN
        SELECT proname::text AS name, pg_get_function_identity_arguments(oid) AS arguments, pg_get_function_result(oid) AS result,
               NULL AS operator
          FROM pg_proc WHERE pronamespace = 'pg_catalog'::regnamespace AND prokind = 'f'
         UNION ALL
        SELECT 'operator_' || oid, concat_ws(', ', format_type(nullif(oprleft, 0), NULL), format_type(oprright, NULL)), format_type(oprresult, NULL),
               format('CREATE OPERATOR traps.%s (%s RIGHTARG = %s, FUNCTION = traps.operator_%s)', oprname,
                      'LEFTARG = ' || format_type(nullif(oprleft, 0), NULL) || ', ', format_type(oprright, NULL), oid)
          FROM pg_operator WHERE oprnamespace = 'pg_catalog'::regnamespace
         UNION ALL
        SELECT name, arguments, result, NULL
          FROM (VALUES ('format', 'text'), ('concat', 'text'), ('concat_ws', 'text'), ('json_build_object', 'json'), ('json_build_array', 'json'),
                       ('jsonb_build_object', 'jsonb'), ('num_nonnulls', 'integer')) AS f (name, result),
               unnest(ARRAY['text', 'text, text', 'text, json', 'text, text, text', 'text, name, text', 'text, name, text, integer', 'text, bigint']) AS arguments
    LOOP
        body := format('BEGIN RAISE EXCEPTION ''stepped into %s(%s) %s''; END', p.name, replace(p.arguments, '''', ''), split_part(p.operator, ' ', 3));
        BEGIN
            EXECUTE format('CREATE FUNCTION traps.%I(%s) RETURNS %s LANGUAGE plpgsql IMMUTABLE AS %L', p.name, p.arguments, p.result, body);
            EXECUTE coalesce(p.operator, 'SELECT');
            made := made + 1;
        EXCEPTION WHEN OTHERS THEN
            NULL;   -- of types or a syntax that PL/pgSQL has not
        END;
    END LOOP;
    FOR p IN SELECT relname AS name FROM pg_class WHERE relnamespace = 'pg_catalog'::regnamespace AND relkind IN ('r', 'v') LOOP
        EXECUTE format('CREATE VIEW traps.%I AS SELECT 1 AS trap', p.name);
    END LOOP;
    FOREACH body IN ARRAY ARRAY['text', 'int8', 'int4', 'numeric', 'json', 'jsonb', 'name', 'bytea', 'regclass', 'timestamptz', 'bool', 'oid'] LOOP
        EXECUTE format('CREATE DOMAIN traps.%I AS pg_catalog.%1$I CHECK (false)', body);
    END LOOP;
    CREATE TYPE traps.record AS (trap integer);
    IF made < 2000 THEN
        RAISE EXCEPTION 'only % traps', made;
    END IF;
END
$$;
SET search_path = traps, pg_catalog, public;
RESET client_min_messages;
SELECT lower('A');
SELECT 1 OPERATOR(traps.+) 1;

SELECT count(*) FROM mongo_migrate.preflight('search_path') WHERE status OPERATOR(pg_catalog.=) 'fail';
SELECT path, proposed_type FROM mongo_migrate.infer_schema('search_path', 'users');
SELECT mongo_migrate.plan_collection('search_path', 'users');
SELECT mongo_migrate.plan_collection('search_path', 'orders');
UPDATE mongo_migrate.plan_column SET type = 'numeric(10,2)', expression = 'round(value::numeric, 2)' WHERE column_name OPERATOR(pg_catalog.=) 'amount';
UPDATE mongo_migrate.plan_column SET type = 'numeric', source_type = 'numeric' WHERE column_name OPERATOR(pg_catalog.=) 'n';
SELECT * FROM mongo_migrate.check_plan('search_path');
SELECT mongo_migrate.draft_ddl('search_path') \g /dev/null
SELECT * FROM mongo_migrate.apply_ddl('search_path');
SELECT documents, inserted, rejected FROM mongo_migrate.migrate_collection('search_path', 'orders', workers => 0);
SELECT collection, documents, inserted, skipped, rejected, complete FROM mongo_migrate.migrate_all('search_path');
SELECT collection, state, documents FROM mongo_migrate.progress WHERE server OPERATOR(pg_catalog.=) 'search_path' ORDER BY 1;
SELECT source_id, target, path, reason FROM mongo_migrate.quarantine_report WHERE server OPERATOR(pg_catalog.=) 'search_path';
SELECT mongo_migrate.run_command('search_path', '{"update": "users", "updates": [{"q": {"n": "x"}, "u": {"$set": {"n": 2}}}]}') \g /dev/null
SELECT * FROM mongo_migrate.retry_quarantine('search_path');
SELECT collection, target, ok FROM mongo_migrate.verify_counts('search_path');
SELECT * FROM mongo_migrate.verify_sample('search_path', 'users');
SELECT * FROM mongo_migrate.verify_sample('search_path', 'orders', 0);
SELECT * FROM mongo_migrate.verify_full('search_path', 'users');
SELECT * FROM mongo_migrate.verify_full('search_path', 'orders');
SELECT target, column_name, kind FROM mongo_migrate.compare_document('search_path', 'orders', '2');
SELECT mongo_migrate.target_id('search_path', 'users', '{"$oid": "65a000000000000000000001"}') IS NOT NULL AS has_id;
SELECT mongo_migrate.apply_references('search_path');
SELECT collection, kind, ok FROM mongo_migrate.verification_report WHERE server OPERATOR(pg_catalog.=) 'search_path';
SELECT mongo_migrate.stop_migration('search_path', 'orders');
SELECT mongo_migrate.reset_collection('search_path', 'orders', truncate => true);
SELECT * FROM mongo_migrate.list_collections('search_path');
-- By hand, where no caller's function sets the path.
SELECT mongo_migrate.prepare_run('search_path', 'orders', 1, 1, 'quarantine', NULL, NULL, 1000) AS run \gset
CALL mongo_migrate.copy_chunks(:run);
CALL mongo_migrate.help_finish(:run);
CALL mongo_migrate.finish_run(:run);
SELECT state, phase FROM mongo_migrate.run WHERE run_id OPERATOR(pg_catalog.=) :run;
SELECT mongo_migrate.start_sync('search_path');
SELECT mongo_migrate.stop_sync('search_path');
SELECT mongo_migrate.run_command('search_path', '{"update": "orders", "updates": [{"q": {"_id": 1}, "u": {"$set": {"amount": "7"}}}]}') \g /dev/null
CALL mongo_migrate.follow_changes('search_path', once => true);
SELECT amount FROM public.orders;

-- What is made here goes.
RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA traps CASCADE;
DROP TABLE public.orders, public.orders_items, public.users;
SELECT mongo_migrate.run_command('search_path', '{"dropDatabase": 1}') \g /dev/null
DO $$
BEGIN
    EXECUTE (SELECT 'DROP TABLE ' || string_agg(relation, ', ') FROM mongo_migrate.id_map WHERE server = 'search_path' AND relation IS NOT NULL);
END
$$;
DELETE FROM mongo_migrate.plan WHERE server = 'search_path';
DELETE FROM mongo_migrate.id_map WHERE server = 'search_path';
DELETE FROM mongo_migrate.chunk WHERE server = 'search_path';
DELETE FROM mongo_migrate.run WHERE server = 'search_path';
DELETE FROM mongo_migrate.quarantine WHERE server = 'search_path';
DELETE FROM mongo_migrate.dangling_reference WHERE server = 'search_path';
DELETE FROM mongo_migrate.sync WHERE server = 'search_path';
DELETE FROM mongo_migrate.verification WHERE server = 'search_path';
DROP SERVER search_path;

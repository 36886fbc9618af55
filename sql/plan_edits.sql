-- Edits of a plan that contradict each other, or that DDL would not take: check_plan() says so before anything is made.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
\set VERBOSITY terse
\pset format unaligned
SET client_min_messages = error;
CREATE SERVER edited FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_edited');
CREATE USER MAPPING FOR CURRENT_USER SERVER edited;
CREATE FUNCTION run(command json) RETURNS text LANGUAGE sql AS $$ SELECT mongo_migrate.run_command('edited', command) ->> 'ok' $$;
SELECT run('{"dropDatabase": 1}');
SELECT run('{"insert": "orders", "documents": [
    {"_id": {"$oid": "65a000000000000000000001"}, "n": 1, "state": "new", "at": {"$date": "2024-01-01T00:00:00Z"}, "ok": true, "prices": {"2023": 1.5, "2024": 2},
     "items": [{"sku": "a", "subs": [{"x": 1}]}, {"sku": "b", "subs": [{"x": 2}, {"x": 3}]}]}]}');
SELECT mongo_migrate.plan_collection('edited', 'orders');
SELECT mongo_migrate.plan_table('edited', 'orders', 'prices');

-- What check_plan() says once a plan is edited, and what apply_ddl() does; the edit is taken back.
CREATE FUNCTION trouble(edit text) RETURNS TABLE (place text, problem text, hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE edit;
    RETURN QUERY SELECT concat_ws('.', c.target, c.column_name), c.severity || ': ' || c.problem, c.hint FROM mongo_migrate.check_plan('edited') AS c;
    PERFORM mongo_migrate.apply_ddl('edited');
    RAISE 'back' USING ERRCODE = 'MM001';
EXCEPTION
    WHEN SQLSTATE 'MM001' THEN
        NULL;
    WHEN OTHERS THEN
        IF NOT starts_with(SQLERRM, 'the plan of collection') THEN
            RETURN QUERY SELECT 'apply_ddl()', SQLERRM, NULL;
        END IF;
END $$;
CREATE FUNCTION with_column(of_target text, role text, path text, type text, parent_column name DEFAULT NULL)
RETURNS TABLE (place text, problem text, hint text) LANGUAGE sql AS $$
    SELECT * FROM trouble(format('INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, parent_column) '
                                 'VALUES (''edited'', ''orders'', %L, ''more'', 50, %L, %L, %L, %L)', of_target, role, path, type, parent_column))
$$;

-- Roles that do not go with a table, or that it has already.
SELECT * FROM with_column('public.orders', 'id', '_id', 'bigint');
SELECT * FROM with_column('public.orders_items', 'id', '_id', 'bigint');
SELECT * FROM with_column('public.orders', 'position', NULL, 'integer');
SELECT * FROM with_column('public.orders', 'parent_position', NULL, 'integer');
SELECT * FROM with_column('public.orders', 'key', '$key', 'text');
SELECT * FROM with_column('public.orders', 'parent', NULL, 'bigint', 'id');
SELECT * FROM with_column('public.orders_items', 'parent_position', NULL, 'integer');
SELECT * FROM with_column('public.orders_items', 'position', NULL, 'integer');
SELECT * FROM with_column('public.orders_items', 'parent', NULL, 'bigint', 'id');
SELECT * FROM with_column('public.orders_items', 'parent', NULL, 'integer', 'n');
SELECT * FROM with_column('public.orders_items', 'key', '$key', 'text');
SELECT * FROM with_column('public.orders_prices', 'position', NULL, 'integer');
SELECT * FROM with_column('public.orders_prices', 'key', '$key', 'text');
SELECT * FROM trouble('UPDATE mongo_migrate.plan_column SET type = ''integer'' WHERE role = ''key''');
SELECT * FROM trouble('UPDATE mongo_migrate.plan_target SET kind = ''child'' WHERE target = ''public.orders_prices''');

-- Defaults and checks are any expressions, but for a comment at their end.
SELECT * FROM trouble($$UPDATE mongo_migrate.plan_column SET default_value = 'now() AT TIME ZONE ''UTC''' WHERE column_name = 'at'$$);
SELECT * FROM trouble($$UPDATE mongo_migrate.plan_column SET default_value = 'true AND NOT false' WHERE column_name = 'ok'$$);
SELECT * FROM trouble($$UPDATE mongo_migrate.plan_column SET default_value = '''new'' -- at first' WHERE column_name = 'state'$$);
SELECT * FROM trouble($$UPDATE mongo_migrate.plan_column SET check_rule = '> 0 -- positive' WHERE column_name = 'n'$$);

-- Validators and indexes with U+0000.
SELECT run('{"create": "nul", "validator": {"$jsonSchema": {"properties": {"a": {"enum": ["x\u0000\u0000y", "b"]}, "b": {"description": "\\u0000"}}}}}');
SELECT run('{"insert": "nul", "documents": [{"_id": 1, "a": "b", "b": 1}]}');
SELECT run('{"createIndexes": "nul", "indexes": [{"key": {"a": 1}, "name": "a_1", "partialFilterExpression": {"a": "x\u0000y"}}, {"key": {"b": 1}, "name": "b\\u0000"}]}');
SELECT mongo_migrate.plan_collection('edited', 'nul');
SELECT column_name, replace(proposed_check, E'\x1a', '<1>') AS proposed_check, description FROM mongo_migrate.plan_column WHERE collection = 'nul' AND role = 'value' ORDER BY ordinal;
SELECT replace(k, E'\x1a', '<1>') AS key_ddl FROM mongo_migrate.key_ddl('edited', 'nul') AS k;
SELECT status, detail FROM mongo_migrate.preflight('edited') WHERE "check" = 'read';
DELETE FROM mongo_migrate.plan WHERE collection = 'nul';

-- Names.
SELECT * FROM trouble($$UPDATE mongo_migrate.plan_target SET target = 'user.orders' WHERE target = 'public.orders'$$);
SELECT * FROM trouble($$UPDATE mongo_migrate.plan_target SET target = '"user".order' WHERE target = 'public.orders'$$);
SELECT mongo_migrate.plan_collection('edited', 'orders', target => 'my-orders', replan => true);
SELECT mongo_migrate.plan_collection('edited', 'orders', target => '', replan => true);
SELECT mongo_migrate.plan_collection('edited', 'orders', schema => '', replan => true);

-- An enum and a lookup table have names that nothing else has.
SELECT * FROM trouble($$SELECT mongo_migrate.plan_enumeration('edited', 'orders', 'state', 'enum', '{new}', 'word'),
                               mongo_migrate.plan_enumeration('edited', 'orders', 'items[].sku', 'lookup', '{a,b}', 'word')$$);
CREATE TYPE public.word AS ENUM ('a', 'b');
SELECT * FROM trouble($$SELECT mongo_migrate.plan_enumeration('edited', 'orders', 'items[].sku', 'lookup', '{a,b}', 'word')$$);
SELECT * FROM trouble($$SELECT mongo_migrate.plan_enumeration('edited', 'orders', 'items[].sku', 'enum', '{a,b}', 'word')$$);
DROP TYPE public.word;
SELECT * FROM trouble($$SELECT mongo_migrate.plan_enumeration('edited', 'orders', 'state', 'enum', '{{new},{old}}')$$);

-- Filters of indexes that say nothing, or not in columns.
SELECT f AS filter, t.* FROM unnest(ARRAY['{"n": {"$gt": 0}}', '{"$and": []}', '{"$and": 5}', '{"$and": {}}', '{"$and": [1]}', '{"$and": [{}, {"n": 1}]}', '{"n": {}}', '{}']) AS f,
    trouble(format('INSERT INTO mongo_migrate.plan_index (server, collection, target, index_name, ordinal, keys, filter) '
                   'VALUES (''edited'', ''orders'', ''public.orders'', ''more'', 9, ''{"n": 1}'', %L)', f)) AS t;

-- A remark in the DDL is one line.
UPDATE mongo_migrate.plan_target SET target = E'public."or\nders"', existing = true WHERE target = 'public.orders';
SELECT substring(mongo_migrate.draft_ddl('edited', 'orders', 'tables') FROM '-- table[^;]*exists');

-- What is made here goes.
SELECT run('{"dropDatabase": 1}') \g /dev/null
DELETE FROM mongo_migrate.plan WHERE server = 'edited';
DELETE FROM mongo_migrate.id_map WHERE server = 'edited';
DROP FUNCTION with_column, trouble, run;
DROP SERVER edited CASCADE;

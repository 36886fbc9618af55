-- Checks, proposed from validators and from few values; defaults and comments.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
\pset format unaligned
CREATE SERVER checked FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_checked');
CREATE FUNCTION run(command json) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(r ->> 'n', r ->> 'ok') FROM mongo_migrate.run_command('checked', command) AS r
$$;
SELECT run('{"dropDatabase": 1}') \g /dev/null
SELECT run('{"create": "orders", "validator": {"$and": [{"$jsonSchema": {"bsonType": "object", "required": ["state"], "properties": {
        "state": {"enum": ["new", "it''s paid", "sent", null], "description": "where the order stands; it''s never empty"},
        "priority": {"bsonType": "int", "minimum": 1, "maximum": 5}, "discount": {"bsonType": "number", "minimum": 0, "exclusiveMinimum": true, "maximum": 100},
        "size": {"enum": [1, 2, 3]}, "mixed": {"enum": [1, "a"]}, "name": {"minimum": 3, "description": "no number"},
        "address": {"bsonType": "object", "properties": {"zip.code": {"maximum": 99999}}},
        "items": {"bsonType": "array", "items": {"bsonType": "object", "properties": {"qty": {"bsonType": "int", "minimum": 1, "description": "pieces"}}}}}}},
    {"weight": {"$gt": 0}}]}}');
SELECT run(json_build_object('insert', 'orders', 'documents', (SELECT json_agg(json_build_object('_id', n, 'state', CASE n % 2 WHEN 0 THEN 'new' ELSE 'sent' END,
    'priority', n % 5 + 1, 'discount', n, 'size', n % 3 + 1, 'mixed', 1, 'name', 'name ' || n, 'weight', n, 'color', CASE n % 3 WHEN 0 THEN 'red' WHEN 1 THEN 'o''green' ELSE 'blå' END,
    'maybe', CASE n % 4 WHEN 0 THEN 'yes' WHEN 1 THEN 'no' END, 'rare', CASE WHEN n < 10 THEN 'v' || n % 2 END, 'constant', 'same',
    'address', json_build_object('zip.code', n), 'items', json_build_array(json_build_object('qty', n, 'unit', CASE n % 2 WHEN 0 THEN 'kg' ELSE 'l' END)))) FROM generate_series(1, 60) AS n)));
SELECT path, few_values FROM mongo_migrate.infer_schema('checked', 'orders') WHERE few_values IS NOT NULL;
SELECT mongo_migrate.plan_collection('checked', 'orders');
SELECT column_name, type, proposed_check, check_rule, description FROM mongo_migrate.plan_column WHERE proposed_check IS NOT NULL OR description IS NOT NULL ORDER BY target, ordinal;
-- Nothing is made unless it is asked for.
SELECT mongo_migrate.draft_ddl('checked', 'orders', 'keys');
UPDATE mongo_migrate.plan_column SET check_rule = proposed_check WHERE proposed_check IS NOT NULL;
UPDATE mongo_migrate.plan_column SET check_rule = '> 100' WHERE column_name = 'weight';
UPDATE mongo_migrate.plan_column SET default_value = '''new''' WHERE column_name = 'state';
UPDATE mongo_migrate.plan_column SET default_value = '1 + 1', description = 'edited' WHERE column_name = 'priority';
UPDATE mongo_migrate.plan_column SET check_rule = 'IN (' WHERE column_name = 'color';
UPDATE mongo_migrate.plan_column SET default_value = 'now(' WHERE column_name = 'maybe';
SELECT column_name, problem, hint FROM mongo_migrate.check_plan('checked', 'orders');
UPDATE mongo_migrate.plan_column SET check_rule = NULL, default_value = NULL WHERE column_name IN ('color', 'maybe');
SELECT mongo_migrate.plan_collection('checked', 'orders', replan => true);
SELECT mongo_migrate.draft_ddl('checked', 'orders');
-- A check that documents do not meet ends the run after the copy; mended, the next call goes on from there.
SELECT inserted, complete FROM mongo_migrate.migrate_collection('checked', 'orders', workers => 1);
SELECT state, phase, error FROM mongo_migrate.run WHERE server = 'checked';
UPDATE mongo_migrate.plan_column SET check_rule = '> 0' WHERE column_name = 'weight';
SELECT inserted, complete FROM mongo_migrate.migrate_collection('checked', 'orders', workers => 1);
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' AND conrelid IN ('public.orders'::regclass, 'public.orders_items'::regclass) ORDER BY conname;
SELECT * FROM mongo_migrate.key_ddl('checked', 'orders');
INSERT INTO public.orders (id, discount, size, mixed, name, weight, color, constant, address_zip_code) VALUES (100, 5, 1, 1, 'x', 1, 'red', 'same', 1) RETURNING state, priority;
SELECT col_description('public.orders_items'::regclass, 3) AS comment;
SELECT count(*) FROM mongo_migrate.verify_full('checked', 'orders') WHERE kind <> 'extra';

-- What is made here goes.
SET client_min_messages = warning;
SELECT run('{"dropDatabase": 1}') \g /dev/null
DROP TABLE public.orders, public.orders_items;
DELETE FROM mongo_migrate.plan WHERE server = 'checked';
DELETE FROM mongo_migrate.id_map WHERE server = 'checked';
DELETE FROM mongo_migrate.chunk WHERE server = 'checked';
DELETE FROM mongo_migrate.run WHERE server = 'checked';
DELETE FROM mongo_migrate.verification WHERE server = 'checked';
DROP FUNCTION run;
DROP SERVER checked;

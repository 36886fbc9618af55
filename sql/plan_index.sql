-- Indexes of the source become indexes of the tables.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
\pset format unaligned
CREATE SERVER indexed FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_indexed');
CREATE FUNCTION run(command json) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(r ->> 'n', r ->> 'ok') FROM mongo_migrate.run_command('indexed', command) AS r
$$;
SELECT run('{"dropDatabase": 1}') \g /dev/null
SELECT run(json_build_object('insert', 'users', 'documents', '[{"_id": 1}, {"_id": 2}, {"_id": 3}]'::json)) \g /dev/null
SELECT run(json_build_object('insert', 'orders', 'documents', (SELECT json_agg(json_build_object('_id', 10 * n, 'userId', n % 3 + 1,
    'number', n, 'state', CASE n % 2 WHEN 0 THEN 'open' ELSE 'done' END, 'paid', n % 2 = 1, 'long', repeat('x', 3000), 'mixed', CASE n % 2 WHEN 0 THEN '1'::json ELSE '"1"' END,
    'tags', json_build_array('a', 'b'), 'spec', json_build_object('250', 1, '251', 2), 'address', json_build_object('city', 'c' || n),
    'items', json_build_array(json_build_object('sku', 's' || n, 'qty', n)), 'Odd Name', n)) FROM generate_series(1, 20) AS n))) \g /dev/null
SELECT run('{"createIndexes": "orders", "indexes": [
    {"key": {"number": 1}, "name": "alone", "unique": true},
    {"key": {"userId": 1}, "name": "reference"},
    {"key": {"userId": 1, "number": -1}, "name": "several", "unique": true},
    {"key": {"mixed": 1, "number": 1}, "name": "mixed", "unique": true},
    {"key": {"address.city": 1, "_id": -1}, "name": "nested"},
    {"key": {"items.sku": 1}, "name": "child", "unique": true},
    {"key": {"items.sku": 1, "number": 1}, "name": "two tables"},
    {"key": {"tags": 1}, "name": "array"},
    {"key": {"spec": 1}, "name": "map"},
    {"key": {"long": 1}, "name": "long"},
    {"key": {"Odd Name": 1}, "name": "Odd \"index\""},
    {"key": {"state": "hashed"}, "name": "hashed"},
    {"key": {"state": "text"}, "name": "words"},
    {"key": {"absent": 1}, "name": "absent"},
    {"key": {"state": 1}, "name": "expires", "expireAfterSeconds": 3600, "collation": {"locale": "en", "strength": 2}},
    {"key": {"number": 1, "state": 1}, "name": "partial", "partialFilterExpression": {"state": "open", "number": {"$gte": 5}, "address.city": {"$exists": true}}},
    {"key": {"number": 1, "paid": 1}, "name": "partial unique", "unique": true, "partialFilterExpression": {"$and": [{"paid": true}, {"number": {"$lt": 100}}]}},
    {"key": {"paid": 1}, "name": "partial odd", "partialFilterExpression": {"mixed": {"$type": "string"}}}]}') \g /dev/null
SELECT mongo_migrate.plan_collection('indexed', 'orders', sample_size => 0);
SELECT target, index_name, keys, is_unique, method, included, note FROM mongo_migrate.plan_index ORDER BY ordinal;

-- Edits: kept when planned anew, and names of columns may change.
UPDATE mongo_migrate.plan_index SET included = false WHERE index_name = 'child';
UPDATE mongo_migrate.plan_index SET keys = '{"number": 1, "userId": 1}' WHERE index_name = 'several';
INSERT INTO mongo_migrate.plan_index (server, collection, target, index_name, ordinal, keys) VALUES
    ('indexed', 'orders', 'public.orders', 'mine', 30, '{"paid": 1, "state": -1}'), ('indexed', 'orders', 'public.orders', 'wrong', 31, '{"nowhere": 1}');
UPDATE mongo_migrate.plan_column SET column_name = 'town' WHERE target = 'public.orders' AND path = 'address.city';
SELECT mongo_migrate.plan_collection('indexed', 'orders', sample_size => 0, replan => true);
SELECT index_name, keys, included FROM mongo_migrate.plan_index WHERE index_name IN ('child', 'several', 'mine', 'wrong', 'nested') ORDER BY 1;
SELECT target, problem, hint FROM mongo_migrate.check_plan('indexed', 'orders');
DELETE FROM mongo_migrate.plan_index WHERE index_name = 'wrong';
SELECT mongo_migrate.draft_ddl('indexed', 'orders', 'keys');
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('indexed', 'orders', workers => 0);
SELECT indrelid::regclass, regexp_replace(pg_get_indexdef(indexrelid), 'INDEX .* ON', 'INDEX ON') AS definition FROM pg_index
WHERE indrelid IN ('public.orders'::regclass, 'public.orders_items'::regclass) ORDER BY indrelid::regclass::text, regexp_replace(pg_get_indexdef(indexrelid), 'INDEX .* ON', 'INDEX ON') COLLATE "C";
-- Nothing is left to make.
SELECT * FROM mongo_migrate.key_ddl('indexed', 'orders');
SELECT count(*) FROM mongo_migrate.verify_full('indexed', 'orders');

-- Rows that no index can be made of.
UPDATE mongo_migrate.plan_index SET keys = '{}' WHERE index_name = 'mine';
UPDATE mongo_migrate.plan_index SET filter = '[]' WHERE index_name = 'mine';

-- Filters of what is no column, or has another test than those of columns: MongoDB takes a type's number, too.
SELECT run(json_build_object('insert', 'odd', 'documents', '[{"_id": 1, "a": 1, "n": 2, "parts": [{"x": 1}]}]'::json)) \g /dev/null
SELECT run('{"createIndexes": "odd", "indexes": [{"key": {"a": 1}, "name": "with parts", "partialFilterExpression": {"parts": {"$exists": true}}},
    {"key": {"n": 1}, "name": "with a", "partialFilterExpression": {"a": {"$gt": 0}}}]}') \g /dev/null
SELECT mongo_migrate.plan_collection('indexed', 'odd');
SELECT index_name, included, note FROM mongo_migrate.plan_index WHERE collection = 'odd' ORDER BY 1;
UPDATE mongo_migrate.plan_index SET filter = '{"a": {"$type": 16}}' WHERE index_name = 'with a';
SELECT index_name, mongo_migrate.index_statement(i) FROM mongo_migrate.plan_index AS i WHERE index_name = 'with a';

-- What a person made not unique, or an expression may make so, is planned anew without UNIQUE.
SELECT run(json_build_object('insert', 'edits', 'documents', '[{"_id": 1, "a": 1, "b": "x"}, {"_id": 2, "a": 2, "b": "X"}]'::json)) \g /dev/null
SELECT run('{"createIndexes": "edits", "indexes": [{"key": {"a": 1}, "name": "alone", "unique": true}, {"key": {"_id": 1, "b": 1}, "name": "both", "unique": true}]}') \g /dev/null
SELECT mongo_migrate.plan_collection('indexed', 'edits');
SELECT index_name, keys, is_unique, included, note FROM mongo_migrate.plan_index WHERE collection = 'edits' ORDER BY ordinal;
UPDATE mongo_migrate.plan_column SET is_unique = false WHERE (server, collection, path) = ('indexed', 'edits', 'a');
UPDATE mongo_migrate.plan_column SET expression = 'lower(value)' WHERE (server, collection, path) = ('indexed', 'edits', 'b');
SELECT mongo_migrate.plan_collection('indexed', 'edits', replan => true);
SELECT index_name, keys, is_unique, included, note FROM mongo_migrate.plan_index WHERE collection = 'edits' ORDER BY ordinal;
SELECT target, problem FROM mongo_migrate.check_plan('indexed', 'edits');

-- What is made here goes.
SET client_min_messages = warning;
SELECT run('{"dropDatabase": 1}') \g /dev/null
DROP TABLE public.orders, public.orders_items;
DELETE FROM mongo_migrate.plan WHERE server = 'indexed';
DELETE FROM mongo_migrate.id_map WHERE server = 'indexed';
DELETE FROM mongo_migrate.chunk WHERE server = 'indexed';
DELETE FROM mongo_migrate.run WHERE server = 'indexed';
DELETE FROM mongo_migrate.verification WHERE server = 'indexed';
DROP FUNCTION run;
DROP SERVER indexed;

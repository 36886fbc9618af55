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

-- Lengths in characters, patterns, and what is always there.
SELECT run('{"create": "people", "validator": {"$jsonSchema": {"required": ["code", "name", "maybe", "any", "address", "tags"], "properties": {
    "code": {"bsonType": "string", "minLength": 2, "maxLength": 3}, "name": {"bsonType": "string", "minLength": 1}, "maybe": {"bsonType": ["string", "null"], "maxLength": 5}, "any": {"maxLength": 0},
    "zip": {"bsonType": "string", "pattern": "^[0-9]{5}$", "maxLength": 20}, "odd": {"pattern": "\\d+"}, "n": {"bsonType": ["int", "long"], "maxLength": 4},
    "address": {"bsonType": "object", "required": ["city"], "properties": {"city": {"bsonType": "string"}, "street": {"bsonType": "string"}}},
    "home": {"bsonType": "object", "required": ["city"], "properties": {"city": {"bsonType": "string", "maxLength": 10485761}}},
    "tags": {"bsonType": "array", "items": {"bsonType": "object", "required": ["t"], "properties": {"t": {"bsonType": "string", "maxLength": 1e2}, "u": {}}}}}}}}');
SELECT run('{"insert": "people", "documents": [
    {"_id": 1, "code": "😀é", "name": "a", "maybe": "x", "any": null, "zip": "12345", "odd": "1", "n": 1, "address": {"city": "c", "street": "s"}, "tags": [{"t": "x", "u": "y"}]},
    {"_id": 2, "code": "😀é字", "name": "\n", "maybe": null, "any": "", "zip": "12345\n", "address": {"city": "c"}, "home": {"city": "h"}, "tags": []}]}');
SELECT run('{"insert": "people", "documents": [{"_id": 3, "code": "😀é字x", "name": "a", "maybe": "x", "any": null, "address": {"city": "c"}, "tags": []}]}');
SELECT mongo_migrate.plan_collection('checked', 'people');
SELECT target, column_name, type, proposed_type, required, proposed_check FROM mongo_migrate.plan_column WHERE collection = 'people' AND role = 'value' ORDER BY target, ordinal;
UPDATE mongo_migrate.plan_column SET type = proposed_type WHERE collection = 'people' AND proposed_type IS NOT NULL;
UPDATE mongo_migrate.plan_column SET nullable = false WHERE collection = 'people' AND required;
UPDATE mongo_migrate.plan_column SET check_rule = proposed_check WHERE collection = 'people';
SELECT * FROM mongo_migrate.check_plan('checked', 'people');
SELECT run('{"insert": "people", "bypassDocumentValidation": true, "documents": [
    {"_id": 4, "code": "😀é字x", "name": "a", "maybe": "x", "any": null, "address": {"city": "c"}, "tags": []}, {"_id": 5, "code": "ab", "name": "a", "address": {}, "tags": [{"t": null}]}]}');
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('checked', 'people', workers => 0);
SELECT source_id, path, reason FROM mongo_migrate.quarantine WHERE server = 'checked' ORDER BY 1;
SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'c' AND conrelid = 'public.people'::regclass ORDER BY conname COLLATE "C";
SELECT count(*) FROM mongo_migrate.verify_full('checked', 'people');

-- A pattern is used where both sides match the same strings, and not where this is not certain.
SELECT run(json_build_object('insert', 'texts', 'documents', (SELECT json_agg(json_build_object('_id', n, 's', s)) FROM unnest(ARRAY[
    '', 'a', 'A', 'abc', 'abc' || chr(10), 'xabc', 'abcx', chr(10), 'a' || chr(10) || 'b', 'a.b', 'a+b', 'a-b', '1', '12', '123', '12345', '٣', 'é', 'É', 'a b', 'ab-12', 'AB-123', 'x@y.org', 'x@@y.org', '$', 'a$', '^a', '(a)', '{2}', 'a|b', '_', '\', ']', '[a]',
    'aaa', 'aaaa', repeat('a', 300), '😀', 'a😀', '😀😀', 'ß', 'ſ', 'K', 'İ', ' a', 'a ', '#', 'a#b', '/a/', '~', '"', '''', 'a''b', chr(9), '-', '--', 'a,b', '1.5', '+49 (30) 123', 'de-DE', 'DE']) WITH ORDINALITY AS t (s, n))));
CREATE TEMP TABLE texts AS SELECT d ->> 's' AS s FROM mongo_migrate.find_documents('checked', 'texts', '{}') AS d;
WITH patterns AS (
    SELECT pattern, place, mongo_migrate.same_pattern(pattern) AS same FROM unnest(ARRAY['abc', '^abc$', '^abc', 'abc$', '^$', '$', '^', '', '^[0-9]{5}$', '^[0-9]+$', '^[A-Z]{2}-[0-9]{2,3}$', '^[a-z0-9_.+-]+@[a-z-]+\.[a-z]{2,}$',
        'a\.b', 'a\+b', '\$', '\$$', '\\', '\]', '\(a\)', '\{2\}', '^a|b$', '^(a|b|xabc)+$', 'a?b', 'a*?b', '^a{3}$', '^a{2,}$', '^a{255}', '[^a-z]', '^[^a]$', '[-a]', '[a-]', '[.]', '[$]', '[(){}|*+?]', '^[A-Za-z ]+$', '#', ' a', '^de-DE$|^DE$', 'a "|''|~', '^\+[0-9]+ \([0-9]+\) [0-9]+$', '/', ',',
        'a.b', '\d', '\w+', '[\d]', '[[:alpha:]]', '(?i)abc', '(?=a)', 'a++', '(a)\1', '\bab', '\n', '^a{256}$', 'a{,3}', 'é', '[A-z]', '(^a)', 'a$b', '(*UTF)a', '\x41', '[]a]', 'a{2}{3}', '***:a']) WITH ORDINALITY AS p (pattern, place))
SELECT m.pattern, m.same, m.matched, m.matched = (SELECT count(*) FROM texts WHERE s ~ m.same) AS alike
FROM (SELECT p.*, CASE WHEN p.same IS NOT NULL THEN (mongo_migrate.run_command('checked', json_build_object('count', 'texts', 'query',
          json_build_object('$jsonSchema', json_build_object('properties', json_build_object('s', json_build_object('pattern', p.pattern)))))) ->> 'n')::bigint END AS matched
      FROM patterns AS p) AS m ORDER BY m.place;

-- What is made here goes.
SET client_min_messages = warning;
SELECT run('{"dropDatabase": 1}') \g /dev/null
DROP TABLE public.orders, public.orders_items, public.people, public.people_tags;
DELETE FROM mongo_migrate.quarantine WHERE server = 'checked';
DELETE FROM mongo_migrate.plan WHERE server = 'checked';
DELETE FROM mongo_migrate.id_map WHERE server = 'checked';
DELETE FROM mongo_migrate.chunk WHERE server = 'checked';
DELETE FROM mongo_migrate.run WHERE server = 'checked';
DELETE FROM mongo_migrate.verification WHERE server = 'checked';
DROP FUNCTION run;
DROP SERVER checked;

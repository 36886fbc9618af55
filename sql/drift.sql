-- Fields that came after the plan.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
CREATE SERVER drift FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_drift');
SELECT mongo_migrate.run_command('drift', '{"dropDatabase": 1}') -> 'ok' AS ok;
CREATE SCHEMA drift;
CREATE FUNCTION pg_temp.load(collection text, documents json) RETURNS json LANGUAGE sql AS $$
    SELECT mongo_migrate.run_command('drift', json_build_object('insert', collection, 'documents', documents)) -> 'n'
$$;
SELECT pg_temp.load('orders', '[
    {"_id": 1, "name": "a", "secret": 1, "odd": {"x": 1}, "address": {"city": "Rome", "zip": "1"}, "prefs": {"2020": 1, "2021": 2},
     "items": [{"sku": "a", "parts": [{"n": 1}]}], "notes": [{"text": "x"}], "labels": ["a"]}]');
SELECT mongo_migrate.plan_collection('drift', 'orders', schema => 'drift');
-- What the plan leaves out it knows; what was deleted from it it does not.
UPDATE mongo_migrate.plan_column SET included = false WHERE server = 'drift' AND column_name IN ('secret', 'odd_x', 'address_zip');
UPDATE mongo_migrate.plan_target SET included = false WHERE server = 'drift' AND path = 'notes';
DELETE FROM mongo_migrate.plan_column WHERE server = 'drift' AND column_name = 'labels';
SELECT pg_temp.load('orders', '[
    {"_id": 2, "coupon": "X", "name": "b", "address": {"city": "Oslo", "geo": {"lat": 1}}, "a.b": 1, "prefs": {"2022": 1},
     "items": [{"sku": "b", "gift": true, "parts": [{"n": 1, "new": 1}, {"n": 2, "new": 1}]}, {"sku": "c", "gift": true}], "notes": [{"new": 1}], "labels": ["a"]},
    {"_id": 3, "coupon": {"code": "X"}, "name": "c", "address": {"city": "Bonn"}, "prefs": {}, "items": [], "labels": []},
    {"_id": 4, "coupon": null, "name": "d", "secret": 2, "odd": "x", "address": {"city": "Bern"}, "prefs": {}, "items": [{"sku": "d", "gift": false, "parts": []}], "labels": []},
    {"_id": 5, "coupon": "Y", "name": "e", "address": "no document", "prefs": {}, "items": [], "labels": []}]');
-- Two documents a batch.  The last one goes into quarantine, and is counted.
SELECT (r).documents, (r).inserted, (r).rejected FROM mongo_migrate.migrate_collection('drift', 'orders', batch_size => 2, workers => 0) AS r;
SELECT collection, path, documents FROM mongo_migrate.drift WHERE server = 'drift' ORDER BY path COLLATE "C";
SELECT * FROM drift.orders ORDER BY id;
-- Called again, only what is new is counted.
SELECT pg_temp.load('orders', '[{"_id": 6, "coupon": "Z", "name": "f", "address": {"city": "Rome"}, "prefs": {}, "items": [], "labels": []}]');
SELECT (r).documents, (r).inserted, (r).skipped FROM mongo_migrate.migrate_collection('drift', 'orders', workers => 0) AS r;
SELECT documents, last_seen > first_seen AS later FROM mongo_migrate.drift WHERE server = 'drift' AND path = 'coupon';
-- A row of the plan makes a field known; a reset forgets what was met.
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type)
    VALUES ('drift', 'orders', 'drift.orders', 'coupon', 20, 'value', 'coupon', 'jsonb');
ALTER TABLE drift.orders ADD COLUMN coupon jsonb;
SELECT mongo_migrate.reset_collection('drift', 'orders', truncate => true);
SELECT count(*) FROM mongo_migrate.drift WHERE server = 'drift';
SELECT (r).documents, (r).inserted, (r).rejected FROM mongo_migrate.migrate_collection('drift', 'orders', workers => 0) AS r;
SELECT id, coupon FROM drift.orders ORDER BY id;
-- A dry run leaves nothing.
SELECT mongo_migrate.reset_collection('drift', 'orders', truncate => true);
SET client_min_messages = error;
SELECT (r).documents, (r).inserted, (r).rejected FROM mongo_migrate.migrate_collection('drift', 'orders', dry_run => true) AS r;
RESET client_min_messages;
SELECT count(*) FROM mongo_migrate.drift WHERE server = 'drift';

-- Many names, and long ones: the first 256 that are short are told apart.
SELECT pg_temp.load('wide', '[{"_id": 0, "n": 1}]');
SELECT mongo_migrate.plan_collection('drift', 'wide', schema => 'drift');
SELECT pg_temp.load('wide', json_agg(json_build_object('_id', i, 'n', i, 'f' || i, i, repeat('long', 20), 1))) FROM generate_series(1, 300) AS i;
SELECT (r).inserted FROM mongo_migrate.migrate_collection('drift', 'wide', workers => 0) AS r;
SELECT count(*), count(*) FILTER (WHERE documents = 1), max(documents) FILTER (WHERE path = '*') AS others FROM mongo_migrate.drift
    WHERE (server, collection) = ('drift', 'wide');

SELECT mongo_migrate.run_command('drift', '{"dropDatabase": 1}') -> 'ok' AS ok;
\set VERBOSITY terse
SET client_min_messages = error;
SELECT mongo_migrate.reset_collection('drift', collection, truncate => true) FROM mongo_migrate.plan WHERE server = 'drift';
DELETE FROM mongo_migrate.plan WHERE server = 'drift';
SELECT format('DROP TABLE %s', relation) FROM mongo_migrate.id_map WHERE server = 'drift' AND relation IS NOT NULL \gexec
DELETE FROM mongo_migrate.id_map WHERE server = 'drift';
DROP SCHEMA drift CASCADE;
DROP SERVER drift;

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
    {"_id": 4, "coupon": null, "name": "d", "secret": 2, "odd": "x", "secret": 3, "address": {"city": "Bern"}, "prefs": {}, "items": [{"sku": "d", "gift": false, "parts": []}], "labels": []},
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

-- On request they are kept, with their names, in a column of each table that has rows of documents.
SELECT pg_temp.load('kept', '[{"_id": 1, "name": "a", "secret": 1, "items": [{"sku": "a", "seats": [{"n": 1}]}, null], "tags": [1], "shape": {"w": 1}}]');
SELECT mongo_migrate.plan_collection('drift', 'kept', schema => 'drift', extra => true);
UPDATE mongo_migrate.plan_column SET included = false WHERE server = 'drift' AND collection = 'kept' AND column_name = 'secret';
SELECT mongo_migrate.plan_collection('drift', 'kept', schema => 'drift', replan => true);
SELECT target, column_name, role, type, included, note FROM mongo_migrate.plan_column WHERE (server, collection, role) = ('drift', 'kept', 'extra') ORDER BY target;
SELECT mongo_migrate.draft_ddl('drift', 'kept');
SELECT pg_temp.load('kept', '[
    {"_id": 2, "name": "b", "a.b": {"$date": {"$numberLong": "0"}}, "$x": null, "secret": 5, "items": [{"sku": "b", "gift": [1, {"y": 2.5}]}, null, {"seats": [{"n": 2, "row": "A"}], "sku": "c"}],
     "id": {"$oid": "0123456789abcdef01234567"}, "tags": [], "shape": {"w": 2, "h": 1}},
    {"_id": 3, "name": "c", "items": [], "tags": [], "shape": {"w": 2}},
    {"_id": 4, "name": "d", "items": [5], "tags": [], "shape": {"w": 2}}]');
SELECT (r).inserted, (r).rejected FROM mongo_migrate.migrate_collection('drift', 'kept', workers => 0) AS r;
SELECT id, name, shape_w, extra FROM drift.kept ORDER BY id;
SELECT kept_id, position, sku, extra FROM drift.kept_items ORDER BY 1, 2;
SELECT * FROM drift.kept_items_seats ORDER BY 1, 2, 3;
SELECT path, reason FROM mongo_migrate.quarantine WHERE (server, collection) = ('drift', 'kept');
SELECT source_id, target, column_name, kind, source_value, target_value FROM mongo_migrate.verify_full('drift', 'kept');
UPDATE drift.kept SET extra = jsonb_set(extra, '{$x}', '1') WHERE id = 2;
UPDATE drift.kept_items SET extra = NULL WHERE kept_id = 2;
SELECT source_id, target, column_name, kind, source_value, target_value FROM mongo_migrate.verify_full('drift', 'kept') ORDER BY target COLLATE "C";
UPDATE mongo_migrate.plan_column SET type = 'text' WHERE (server, collection, target, role) = ('drift', 'kept', 'drift.kept', 'extra');
SELECT target, column_name, problem, hint FROM mongo_migrate.check_plan('drift', 'kept');
-- A table that exists takes them where it has such a column.
CREATE TABLE drift.mine (id bigint PRIMARY KEY, name text, extra jsonb);
CREATE TABLE drift.mine_items (mine_id bigint, position integer, sku text, extra text, PRIMARY KEY (mine_id, position));
SELECT pg_temp.load('mine', '[{"_id": 1, "name": "a", "items": [{"sku": "a"}]}]');
\set VERBOSITY terse
SELECT mongo_migrate.plan_collection('drift', 'mine', schema => 'drift', extra => true);
\set VERBOSITY default
SELECT target, column_name, included, note FROM mongo_migrate.plan_column WHERE (server, collection, role) = ('drift', 'mine', 'extra') ORDER BY target;
SELECT pg_temp.load('mine', '[{"_id": 2, "name": "b", "new": 1, "items": []}]');
SELECT (r).inserted FROM mongo_migrate.migrate_collection('drift', 'mine', workers => 0) AS r;
TABLE drift.mine;

SELECT mongo_migrate.run_command('drift', '{"dropDatabase": 1}') -> 'ok' AS ok;
\set VERBOSITY terse
SET client_min_messages = error;
SELECT mongo_migrate.reset_collection('drift', collection, truncate => true) FROM mongo_migrate.plan WHERE server = 'drift';
DELETE FROM mongo_migrate.plan WHERE server = 'drift';
\set ECHO none
SELECT format('DROP TABLE %s', relation) FROM mongo_migrate.id_map WHERE server = 'drift' AND relation IS NOT NULL \gexec
\set ECHO all
DELETE FROM mongo_migrate.id_map WHERE server = 'drift';
DROP SCHEMA drift CASCADE;
DROP SERVER drift;

-- Several tables for the documents of one collection: by filters, and side by side.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
CREATE SERVER roots FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_roots');
SELECT mongo_migrate.run_command('roots', '{"dropDatabase": 1}') -> 'ok' AS ok;
CREATE SCHEMA roots;
CREATE FUNCTION pg_temp.load(collection text, documents json) RETURNS json LANGUAGE sql AS $$
    SELECT mongo_migrate.run_command('roots', json_build_object('insert', collection, 'documents', documents)) -> 'n'
$$;
SELECT pg_temp.load('parties', '[
    {"_id": "a", "kind": "person", "name": "Ada", "born": 1815, "phones": [{"n": "1"}, {"n": "2"}]},
    {"_id": "b", "kind": "firm", "name": "Acme", "seats": 3, "phones": [{"n": "3"}]},
    {"_id": "c", "kind": "person", "name": "Cy", "born": 1900, "deleted": true, "phones": []},
    {"_id": "d", "kind": "robot", "name": "R2", "phones": [{"n": "4"}]},
    {"_id": "e", "kind": "firm", "name": "Bolt", "seats": 5, "phones": []}]');
SELECT pg_temp.load('orders', '[{"_id": 1, "party": "a"}, {"_id": 2, "party": "b"}, {"_id": 3, "party": "e"}, {"_id": 4, "party": "d"},
    {"_id": 5, "party": "c"}, {"_id": 6, "party": "nobody"}, {"_id": 7, "party": "a"}, {"_id": 8, "party": "b"}, {"_id": 9, "party": "e"},
    {"_id": 10, "party": "a"}, {"_id": 11, "party": "b"}, {"_id": 12, "party": "e"}, {"_id": 13, "party": "e"}]');
SELECT mongo_migrate.plan_collection('roots', 'parties', schema => 'roots', target => 'persons');
SELECT mongo_migrate.plan_collection('roots', 'orders', schema => 'roots');
UPDATE mongo_migrate.plan_column SET role = 'reference', column_name = 'party_id', refers_to = 'parties', type = 'bigint', nullable = true
    WHERE (server, collection, path) = ('roots', 'orders', 'party');
-- A second table with the columns of the first, by hand.
INSERT INTO mongo_migrate.plan_target (server, collection, target, kind, ordinal) VALUES ('roots', 'parties', 'roots.firms', 'root', 10);
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, nullable, source_type)
    SELECT server, collection, 'roots.firms', column_name, ordinal, role, path, type, nullable, source_type FROM mongo_migrate.plan_column
    WHERE (server, target) = ('roots', 'roots.persons') AND path IN ('_id', 'name', 'seats');
UPDATE mongo_migrate.plan_target SET filter = '{"kind": "person", "deleted": {"$ne": true}}' WHERE target = 'roots.persons';
UPDATE mongo_migrate.plan_target SET filter = '{"kind": "firm"}' WHERE target = 'roots.firms';
UPDATE mongo_migrate.plan_column SET included = false WHERE target = 'roots.persons' AND path IN ('seats', 'deleted');
SELECT * FROM mongo_migrate.check_plan('roots', 'parties');
-- No foreign key: no one table has every party.  What is in neither is dangling.
SELECT (r).collection, (r).documents, (r).inserted, (r).rejected FROM mongo_migrate.migrate_all('roots', workers => 0) AS r;
SELECT name, kind, born FROM roots.persons;
SELECT name, seats FROM roots.firms ORDER BY name;
SELECT position, n FROM roots.persons_phones ORDER BY 1;
SELECT o.id, p.name AS person, f.name AS firm FROM roots.orders AS o LEFT JOIN roots.persons AS p ON p.id = party_id
    LEFT JOIN roots.firms AS f ON f.id = party_id ORDER BY 1;
CREATE VIEW pg_temp.keys AS SELECT conrelid::regclass AS relation, pg_get_constraintdef(oid) AS key FROM pg_constraint
    WHERE connamespace = 'roots'::regnamespace AND contype = 'f' ORDER BY conrelid::regclass::text, 2;
SELECT * FROM pg_temp.keys;
CREATE VIEW pg_temp.dangling AS SELECT column_name, row_key, source_value, policy FROM mongo_migrate.dangling_reference
    WHERE server = 'roots' ORDER BY policy, row_key;
SELECT * FROM pg_temp.dangling;
SELECT collection, documents, total, percent, state FROM mongo_migrate.progress WHERE server = 'roots' ORDER BY 1;
SELECT collection, target, source_count, target_count, ok FROM mongo_migrate.verify_counts('roots', tolerance => 0) ORDER BY target COLLATE "C";
SELECT * FROM mongo_migrate.verify_full('roots', 'parties');
SELECT source_id, column_name, kind, target_value FROM mongo_migrate.verify_full('roots', 'orders') ORDER BY source_id;
-- A row that is missing in either table is found, and so is one too many.
DELETE FROM roots.firms WHERE name = 'Bolt';
INSERT INTO roots.persons SELECT id + 1, kind, 'Eve', born FROM roots.persons;
SELECT source_id, target, kind FROM mongo_migrate.verify_full('roots', 'parties') ORDER BY target COLLATE "C";
DELETE FROM roots.persons WHERE name = 'Eve';
-- Called again: the missing firm comes again, and so do documents that a filter matches by now, with the references to them.
SELECT mongo_migrate.run_command('roots', '{"update": "parties", "updates": [{"q": {"_id": "d"}, "u": {"$set": {"kind": "firm", "seats": 1}}}]}') -> 'n' AS n;
SELECT pg_temp.load('parties', '[{"_id": "f", "kind": "firm", "name": "Crux", "seats": "many", "phones": []}]');
SELECT (r).collection, (r).documents, (r).inserted, (r).skipped, (r).rejected FROM mongo_migrate.migrate_collection('roots', 'parties', workers => 0) AS r;
SELECT name FROM roots.firms ORDER BY name;
SELECT orders.id, name FROM roots.orders JOIN roots.firms ON firms.id = party_id WHERE orders.id = 4;
SELECT * FROM pg_temp.dangling;
-- A document of one table's filter in quarantine, and out of it.
SELECT target, path, reason FROM mongo_migrate.quarantine WHERE server = 'roots';
SELECT collection, target, source_count, target_count, quarantined, ok FROM mongo_migrate.verify_counts('roots', tolerance => 0) ORDER BY target COLLATE "C";
SELECT mongo_migrate.run_command('roots', '{"update": "parties", "updates": [{"q": {"_id": "f"}, "u": {"$set": {"seats": 9}}}]}') -> 'n' AS n;
SELECT documents, inserted, rejected FROM mongo_migrate.retry_quarantine('roots', 'parties');
SELECT name, seats FROM roots.firms ORDER BY name;
-- References that are kept, or whose documents must not be without.
SELECT mongo_migrate.reset_collection('roots', 'orders', truncate => true);
UPDATE mongo_migrate.plan_column SET on_dangling = 'keep' WHERE (server, collection, role) = ('roots', 'orders', 'reference');
SELECT (r).documents, (r).inserted, (r).rejected FROM mongo_migrate.migrate_collection('roots', 'orders', workers => 0) AS r;
SELECT row_key, source_value, policy FROM pg_temp.dangling;
SELECT source_id, column_name, kind FROM mongo_migrate.verify_full('roots', 'orders') ORDER BY 1;
-- An id that was to be kept is not there.
UPDATE roots.orders SET party_id = NULL;
SELECT source_id, column_name, kind FROM mongo_migrate.verify_full('roots', 'orders') ORDER BY 1;
SELECT mongo_migrate.reset_collection('roots', 'orders', truncate => true);
UPDATE mongo_migrate.plan_column SET on_dangling = 'quarantine' WHERE (server, collection, role) = ('roots', 'orders', 'reference');
SELECT (r).documents, (r).inserted FROM mongo_migrate.migrate_collection('roots', 'orders', workers => 0) AS r;
SELECT source_id, reason FROM mongo_migrate.quarantine WHERE server = 'roots' ORDER BY source_id;
SELECT count(*) FROM roots.orders;

-- One document in two tables: both have all of them, and the first is what references refer to.
SELECT mongo_migrate.reset_collection('roots', 'orders', truncate => true), mongo_migrate.reset_collection('roots', 'parties', truncate => true);
UPDATE mongo_migrate.plan_column SET on_dangling = 'null' WHERE (server, collection, role) = ('roots', 'orders', 'reference');
UPDATE mongo_migrate.plan_target SET filter = NULL WHERE server = 'roots';
UPDATE mongo_migrate.plan_column SET type = 'text', source_type = 'text' WHERE (server, path) = ('roots', 'seats');
ALTER TABLE roots.firms ALTER seats TYPE text;
SELECT (r).collection, (r).documents, (r).inserted, (r).rejected FROM mongo_migrate.migrate_all('roots', workers => 0) AS r;
SELECT p.name, f.name, p.born, f.seats FROM roots.persons AS p FULL JOIN roots.firms AS f USING (id) ORDER BY 1;
SELECT * FROM pg_temp.keys;
SELECT * FROM pg_temp.dangling;
SELECT collection, target, source_count, target_count, ok FROM mongo_migrate.verify_counts('roots', tolerance => 0) ORDER BY target COLLATE "C";
SELECT * FROM mongo_migrate.verify_full('roots', 'parties');
-- What one of the tables refuses is in neither.
SELECT pg_temp.load('parties', '[{"_id": "g", "kind": "firm", "name": "Dyne", "seats": {"n": 1}, "phones": []}]');
SELECT (r).inserted, (r).skipped, (r).rejected FROM mongo_migrate.migrate_collection('roots', 'parties', workers => 0) AS r;
SELECT (SELECT count(*) FROM roots.persons), (SELECT count(*) FROM roots.firms);

-- Child tables alone, stopped and resumed.
SELECT pg_temp.load('calls', '[{"_id": 1, "l": [{"n": 1}, {"n": 2}]}, {"_id": 2, "l": []}, {"_id": 3, "l": [{"n": 3}]}]');
SELECT mongo_migrate.plan_collection('roots', 'calls', schema => 'roots');
UPDATE mongo_migrate.plan_target SET included = false WHERE target = 'roots.calls';
SELECT mongo_migrate.prepare_run('roots', 'calls', 1, 0, 'quarantine', NULL, NULL) AS run \gset
SELECT documents, more FROM mongo_migrate.copy_step(:run, 1, 1);
SELECT documents, complete FROM mongo_migrate.migrate_collection('roots', 'calls');
SELECT * FROM roots.calls_l ORDER BY 1, 2;
UPDATE roots.calls_l SET n = 4 WHERE n = 3;
SELECT * FROM mongo_migrate.verify_full('roots', 'calls') ORDER BY source_id;
SELECT count(*) < 2 AS found FROM mongo_migrate.verify_sample('roots', 'calls', 2);
SELECT source_id, kind FROM mongo_migrate.verify_full('roots', 'calls', workers => 1) ORDER BY source_id;

-- Filters that match nothing are told of, but for those of a collection that has nothing.
SELECT pg_temp.load('votes', '[{"_id": 1, "n": "1"}, {"_id": 2, "n": "2"}]');
SELECT mongo_migrate.plan_collection('roots', 'votes', schema => 'roots');
UPDATE mongo_migrate.plan_target SET filter = '{"n": 1}' WHERE target = 'roots.votes';
SELECT documents, inserted FROM mongo_migrate.migrate_collection('roots', 'votes', dry_run => true);
SELECT documents, inserted, complete FROM mongo_migrate.migrate_collection('roots', 'votes');
UPDATE mongo_migrate.plan_target SET filter = '{"n": "1"}' WHERE target = 'roots.votes';
SELECT documents, inserted, complete FROM mongo_migrate.migrate_collection('roots', 'votes', workers => 0);
SELECT mongo_migrate.run_command('roots', '{"delete": "votes", "deletes": [{"q": {}, "limit": 0}]}') -> 'n' AS n;
SELECT mongo_migrate.reset_collection('roots', 'votes', truncate => true);
SELECT documents, inserted, complete FROM mongo_migrate.migrate_collection('roots', 'votes', workers => 0);

-- Two collections in one table, by an edit: their ids are different, and what does not know of it is told.
CREATE TABLE roots.all_years (id bigint PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY, n integer);
SELECT pg_temp.load(c, '[{"_id": "a", "n": 1}, {"_id": "b", "n": 2}]') FROM unnest(ARRAY['year1', 'year2']) AS c;
SELECT mongo_migrate.plan_collection('roots', 'year1', target => 'roots.all_years'), mongo_migrate.plan_collection('roots', 'year2', schema => 'roots');
UPDATE mongo_migrate.plan_target SET target = 'roots.all_years', existing = true WHERE target = 'roots.year2';
SELECT documents, inserted, complete FROM mongo_migrate.migrate_collection('roots', 'year1', workers => 0);
SELECT documents, inserted, complete FROM mongo_migrate.migrate_collection('roots', 'year2', workers => 0);
SELECT count(*), count(DISTINCT id) FROM roots.all_years;

SELECT mongo_migrate.run_command('roots', '{"dropDatabase": 1}') -> 'ok' AS ok;
\set VERBOSITY terse
SET client_min_messages = error;
SELECT mongo_migrate.reset_collection('roots', collection, truncate => true) FROM mongo_migrate.plan WHERE server = 'roots';
DELETE FROM mongo_migrate.plan WHERE server = 'roots';
DO $$ BEGIN EXECUTE (SELECT 'DROP TABLE ' || string_agg(relation, ', ') FROM mongo_migrate.id_map WHERE server = 'roots'); END $$;
DELETE FROM mongo_migrate.id_map WHERE server = 'roots';
DROP SCHEMA roots CASCADE;
DROP SERVER roots CASCADE;

-- The keys of id maps: a first load goes without them, whoever looks an id up has them made before.
\getenv mongo_uri MONGO_URI
CREATE SERVER load_maps FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_load_maps');
SELECT mongo_migrate.run_command('load_maps', '{"dropDatabase": 1}')->'ok' AS ok;
CREATE SCHEMA load_maps;
SET search_path = load_maps, public;
SELECT mongo_migrate.run_command('load_maps', '{"insert": "users", "documents": [
    {"_id": "u1", "n": 1}, {"_id": "u2", "n": 2}, {"_id": "u3", "n": 3}, {"_id": "u4", "n": 4}, {"_id": "u5", "n": 5}, {"_id": "u6", "n": 6}]}')->'n' AS n;
SELECT mongo_migrate.run_command('load_maps', '{"insert": "orders", "documents": [
    {"_id": "o1", "user": "u5"}, {"_id": "o2", "user": "u1"}, {"_id": "o3", "user": "u5"}, {"_id": "o4", "user": "u6"}]}')->'n' AS n;
SELECT mongo_migrate.run_command('load_maps', '{"insert": "people", "documents": [
    {"_id": "p1", "boss": "p3"}, {"_id": "p2", "boss": "p1"}, {"_id": "p3", "boss": null}]}')->'n' AS n;
SELECT mongo_migrate.run_command('load_maps', '{"insert": "left", "documents": [{"_id": "l1", "other": "r2"}, {"_id": "l2", "other": "r1"}]}')->'n' AS n;
SELECT mongo_migrate.run_command('load_maps', '{"insert": "right", "documents": [{"_id": "r1", "other": "l1"}, {"_id": "r2", "other": "l2"}]}')->'n' AS n;
DO $$ BEGIN PERFORM mongo_migrate.plan_collection('load_maps', c, 'load_maps.' || quote_ident(c)) FROM unnest(ARRAY['users', 'orders', 'people', 'left', 'right']) AS c; END $$;
UPDATE mongo_migrate.plan_column SET role = 'reference', column_name = path || '_id', type = 'bigint', expression = NULL,
        refers_to = CASE collection WHEN 'orders' THEN 'users' WHEN 'people' THEN 'people' WHEN 'left' THEN 'right' ELSE 'left' END
    WHERE server = 'load_maps' AND path IN ('user', 'boss', 'other');

-- The keys that the map of a collection has, its rows, and whether each key and each id is there once.
CREATE FUNCTION pg_temp.map(collection text, OUT keys text, OUT rows bigint, OUT exact boolean) LANGUAGE plpgsql AS $$
DECLARE
    map regclass := (SELECT m.relation FROM mongo_migrate.id_map AS m WHERE (m.server, m.collection) = ('load_maps', $1));
BEGIN
    keys := (SELECT string_agg(pg_get_constraintdef(oid), ', ' ORDER BY contype) FROM pg_constraint WHERE conrelid = map AND contype IN ('p', 'u'));
    EXECUTE format('SELECT count(*), count(*) = count(DISTINCT key) AND count(*) = count(DISTINCT id) FROM %s', map) INTO rows, exact;
END $$;
-- Begins a run, and copies one batch.
CREATE FUNCTION pg_temp.begin(collection text) RETURNS bigint LANGUAGE sql AS
    $$ SELECT mongo_migrate.prepare_run('load_maps', collection, 2, 0, 'quarantine', NULL, NULL) $$;
CREATE FUNCTION pg_temp.batch(collection text) RETURNS record LANGUAGE sql AS
    $$ SELECT (documents, inserted, skipped, rejected, complete) FROM mongo_migrate.copy_batch('load_maps', collection, 1, 2) $$;

-- A first load gives ids without looking any up.
SELECT pg_temp.begin('users') AS run \gset
SELECT * FROM pg_temp.map('users');
SELECT pg_temp.batch('users');
-- Called again, it goes on as it began.
SELECT pg_temp.begin('users') AS run \gset
SELECT pg_temp.batch('users');
SELECT * FROM pg_temp.map('users');
-- By hand, nothing looks an id up without the key.
SELECT mongo_migrate.copy_documents('load_maps', 'users', ARRAY[mongo_migrate.bson_id(mongo_migrate.bson_from_json('{"_id": "u1"}'))]);
UPDATE mongo_migrate.chunk SET catching_up = true WHERE (server, collection) = ('load_maps', 'users');
SELECT pg_temp.batch('users');
UPDATE mongo_migrate.chunk SET catching_up = false WHERE (server, collection) = ('load_maps', 'users');
-- A dry run in between leaves all as it is.
SET client_min_messages = warning;
SELECT documents, inserted, skipped FROM mongo_migrate.migrate_collection('load_maps', 'users', dry_run => true);
RESET client_min_messages;
SELECT * FROM pg_temp.map('users');
-- References need it: the load of users goes on with look-ups, and finds the ids that orders gave.
SELECT pg_temp.begin('orders') AS orders_run \gset
SELECT * FROM pg_temp.map('users');
SELECT * FROM pg_temp.map('orders');
SELECT pg_temp.batch('orders');
SELECT * FROM pg_temp.map('users');
SELECT pg_temp.batch('users');
SELECT pg_temp.batch('users');
CALL mongo_migrate.finish_run(:run);
CALL mongo_migrate.copy_chunks(:orders_run);
CALL mongo_migrate.finish_run(:orders_run);
SELECT * FROM pg_temp.map('users');
SELECT * FROM pg_temp.map('orders');
SELECT mongo_migrate.source_id('load_maps', 'orders', o.id::text) AS "order", u.n FROM orders AS o JOIN users AS u ON u.id = o.user_id ORDER BY o.id;
-- A catch-up finds all of them.
SELECT mongo_migrate.run_command('load_maps', '{"insert": "users", "documents": [{"_id": "u7", "n": 7}]}')->'n' AS n;
SELECT documents, inserted, skipped, complete FROM mongo_migrate.migrate_collection('load_maps', 'users', workers => 0);
SELECT * FROM pg_temp.map('users');

-- Begun anew: ids that others refer to are kept, and looked up.
SELECT mongo_migrate.reset_collection('load_maps', 'users', true);
SELECT pg_temp.begin('users') AS run \gset
SELECT * FROM pg_temp.map('users');
CALL mongo_migrate.copy_chunks(:run);
CALL mongo_migrate.finish_run(:run);
SELECT mongo_migrate.source_id('load_maps', 'orders', o.id::text) AS "order", u.n FROM orders AS o JOIN users AS u ON u.id = o.user_id ORDER BY o.id;
-- Where nothing refers to them, the map is empty, and its keys wait for the end again.
SELECT mongo_migrate.reset_collection('load_maps', 'orders', true);
SELECT pg_temp.begin('orders') AS run \gset
SELECT * FROM pg_temp.map('orders');
CALL mongo_migrate.copy_chunks(:run);
SELECT * FROM pg_temp.map('orders');
-- Reset in the middle, and the keys that another collection needs are there.
SELECT mongo_migrate.reset_collection('load_maps', 'users', true);
SELECT pg_temp.begin('users') AS users_run \gset
SELECT * FROM pg_temp.map('users');
CALL mongo_migrate.finish_run(:run);
SELECT * FROM pg_temp.map('orders');

-- Quarantine: the document has its id since it was read first.
UPDATE mongo_migrate.plan_column SET expression = '1 / (value <> ''u5'')::integer', source_type = 'text', path = '_id'
    WHERE (server, collection, target, column_name) = ('load_maps', 'users', 'load_maps.users', 'n');
SELECT mongo_migrate.reset_collection('load_maps', 'orders', true);
SELECT mongo_migrate.reset_collection('load_maps', 'users', true);
SELECT pg_temp.begin('users') AS run \gset
CALL mongo_migrate.copy_chunks(:run);
SELECT * FROM pg_temp.map('users');
UPDATE mongo_migrate.plan_column SET expression = NULL, source_type = NULL, path = 'n'
    WHERE (server, collection, target, column_name) = ('load_maps', 'users', 'load_maps.users', 'n');
SELECT * FROM mongo_migrate.retry_quarantine('load_maps', 'users');
SELECT * FROM pg_temp.map('users');
CALL mongo_migrate.finish_run(:run);
SELECT count(*), count(DISTINCT id) FROM users;

-- A collection that refers to itself, and two that refer to each other: the second is begun while the first is copied.
SELECT pg_temp.begin('people') AS run \gset
SELECT * FROM pg_temp.map('people');
CALL mongo_migrate.copy_chunks(:run);
CALL mongo_migrate.finish_run(:run);
SELECT * FROM pg_temp.map('people');
SELECT pg_temp.begin('left') AS left_run \gset
SELECT * FROM pg_temp.map('left');
SELECT pg_temp.begin('right') AS right_run \gset
SELECT * FROM pg_temp.map('left');
SELECT * FROM pg_temp.map('right');
CALL mongo_migrate.copy_chunks(:left_run);
CALL mongo_migrate.copy_chunks(:right_run);
CALL mongo_migrate.finish_run(:left_run);
CALL mongo_migrate.finish_run(:right_run);
SELECT * FROM pg_temp.map('left');
SELECT * FROM pg_temp.map('right');
SELECT mongo_migrate.source_id('load_maps', 'left', l.id::text) AS "left", mongo_migrate.source_id('load_maps', 'right', r.id::text) AS "right"
    FROM "left" AS l JOIN "right" AS r ON r.id = l.other_id ORDER BY l.id;

-- Documents that are named by hand, one of them twice, in the midst of a first load that looks nothing up.
SELECT mongo_migrate.run_command('load_maps', '{"insert": "ahead", "documents": [{"_id": 1}, {"_id": 2}, {"_id": 3}, {"_id": 4}, {"_id": 5}]}')->'n' AS n;
SELECT mongo_migrate.plan_collection('load_maps', 'ahead', 'load_maps.ahead');
SELECT pg_temp.begin('ahead') AS run \gset
SELECT pg_temp.batch('ahead');
SELECT documents, inserted, skipped, rejected FROM mongo_migrate.copy_documents('load_maps', 'ahead', ARRAY(
    SELECT mongo_migrate.bson_from_json(d) FROM unnest(ARRAY['{"_id": 4}', '{"_id": 1}', NULL, '{"_id": {"$numberDouble": "4"}}', '{"_id": 4}']::json[]) AS d));
SELECT id, count(*) FROM ahead GROUP BY id ORDER BY id;
CALL mongo_migrate.copy_chunks(:run);
SELECT id, count(*) FROM ahead GROUP BY id ORDER BY id;
CALL mongo_migrate.finish_run(:run);
SELECT state, documents, inserted, skipped, rejected FROM mongo_migrate.run_report WHERE run_id = :run;

-- Ids that references give are beyond those of new rows of the table that they refer to, and new rows beyond them.
SELECT mongo_migrate.run_command('load_maps', '{"insert": "owners", "documents": [{"_id": "a-1", "n": "a"}, {"_id": "b-2", "n": "b"}]}')->'n' AS n;
SELECT mongo_migrate.run_command('load_maps', '{"insert": "things", "documents": [{"_id": 1, "owner": "a-1"}, {"_id": 2, "owner": "c-3"}]}')->'n' AS n;
SELECT mongo_migrate.plan_collection('load_maps', c, 'load_maps.' || c) FROM unnest('{owners,things}'::text[]) AS c;
UPDATE mongo_migrate.plan_column SET role = 'reference', refers_to = 'owners', type = 'bigint', nullable = true
    WHERE (server, collection, path) = ('load_maps', 'things', 'owner');
SELECT documents, complete FROM mongo_migrate.migrate_collection('load_maps', 'owners');
INSERT INTO owners (n) SELECT 'new ' || i FROM generate_series(1, 150) AS i;
SELECT documents, complete FROM mongo_migrate.migrate_collection('load_maps', 'things');
INSERT INTO owners (n) SELECT 'newer ' || i FROM generate_series(1, 150) AS i;
SELECT mongo_migrate.run_command('load_maps', '{"insert": "owners", "documents": [{"_id": "c-3", "n": "c"}, {"_id": "d-4", "n": "d"}]}')->'n' AS n;
SELECT documents, inserted, skipped FROM mongo_migrate.migrate_collection('load_maps', 'owners');
SELECT t.id, o.n FROM things AS t LEFT JOIN owners AS o ON o.id = t.owner ORDER BY 1;
SELECT count(*), count(DISTINCT id) FROM owners;

-- So are those that a run gives after rows were inserted in its midst: to a reference, to a document, and to one of a table that was there before.
SELECT mongo_migrate.run_command('load_maps', '{"insert": "things", "documents": [{"_id": 3, "owner": "e-5"}]}')->'n' AS n;
SELECT pg_temp.begin('things') AS run \gset
INSERT INTO owners (n) SELECT 'in between ' || i FROM generate_series(1, 150) AS i;
CALL mongo_migrate.copy_chunks(:run);
INSERT INTO owners (n) SELECT 'after ' || i FROM generate_series(1, 150) AS i;
CALL mongo_migrate.finish_run(:run);
SELECT mongo_migrate.run_command('load_maps', '{"insert": "owners", "documents": [{"_id": "e-5", "n": "e"}, {"_id": "f-6", "n": "f"}]}')->'n' AS n;
SELECT pg_temp.begin('owners') AS run \gset
INSERT INTO owners (n) SELECT 'in between ' || i FROM generate_series(1, 150) AS i;
CALL mongo_migrate.copy_chunks(:run);
CALL mongo_migrate.finish_run(:run);
SELECT state, inserted, skipped, rejected FROM mongo_migrate.run_report WHERE run_id = :run;
SELECT t.id, o.n FROM things AS t LEFT JOIN owners AS o ON o.id = t.owner ORDER BY 1;
SELECT count(*), count(DISTINCT id) FROM owners;
SELECT mongo_migrate.run_command('load_maps', '{"insert": "there", "documents": [{"_id": "a-1", "n": "a"}, {"_id": "b-2", "n": "b"}]}')->'n' AS n;
CREATE TABLE there (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY, n text);
SELECT mongo_migrate.plan_collection('load_maps', 'there', 'load_maps.there');
SELECT pg_temp.begin('there') AS run \gset
INSERT INTO there (n) SELECT 'in between ' || i FROM generate_series(1, 150) AS i;
CALL mongo_migrate.copy_chunks(:run);
INSERT INTO there (n) SELECT 'after ' || i FROM generate_series(1, 150) AS i;
CALL mongo_migrate.finish_run(:run);
SELECT state, inserted, skipped, rejected FROM mongo_migrate.run_report WHERE run_id = :run;
SELECT count(*), count(DISTINCT id) FROM there;

-- What is wrong with the table of a collection that has not been migrated is no matter to those that refer to it.
SELECT mongo_migrate.run_command('load_maps', '{"insert": "later", "documents": [{"_id": "a-1"}, {"_id": "b-2"}]}')->'n' AS n;
SELECT mongo_migrate.run_command('load_maps', '{"insert": "books", "documents": [{"_id": 1, "later": "a-1"}]}')->'n' AS n;
SELECT mongo_migrate.plan_collection('load_maps', c, 'load_maps.' || c) FROM unnest('{later,books}'::text[]) AS c;
UPDATE mongo_migrate.plan_column SET role = 'reference', refers_to = 'later', type = 'bigint' WHERE (server, collection, path) = ('load_maps', 'books', 'later');
CREATE TABLE later (nope text);
SELECT documents, complete FROM mongo_migrate.migrate_collection('load_maps', 'books');

-- Documents that leave quarantine after new rows were inserted get ids of their own.
SELECT mongo_migrate.run_command('load_maps', '{"insert": "late", "documents": [{"_id": "a-1", "n": 1}, {"_id": "b-2", "n": "two"}]}')->'n' AS n;
SELECT mongo_migrate.plan_collection('load_maps', 'late', 'load_maps.late');
UPDATE mongo_migrate.plan_column SET type = 'integer' WHERE (server, collection, path) = ('load_maps', 'late', 'n');
SELECT inserted, rejected FROM mongo_migrate.migrate_collection('load_maps', 'late');
INSERT INTO late (n) SELECT 100 FROM generate_series(1, 150);
SELECT mongo_migrate.run_command('load_maps', '{"update": "late", "updates": [{"q": {"_id": "b-2"}, "u": {"$set": {"n": 2}}}]}')->'n' AS n;
SELECT inserted, skipped, rejected FROM mongo_migrate.retry_quarantine('load_maps', 'late');
SELECT n, count(*), count(DISTINCT id) FROM late GROUP BY n ORDER BY n;
INSERT INTO late (n) SELECT 100 FROM generate_series(1, 150);
SELECT count(*), count(DISTINCT id) FROM late;
-- And one whose id another row has stays there.
SELECT mongo_migrate.run_command('load_maps', '{"insert": "late", "documents": [{"_id": "c-3", "n": "three"}]}')->'n' AS n;
SELECT inserted, rejected FROM mongo_migrate.migrate_collection('load_maps', 'late');
SELECT relation AS map FROM mongo_migrate.id_map WHERE (server, collection) = ('load_maps', 'late') \gset
INSERT INTO :map SELECT mongo_migrate.bson_key('"c-3"'), max(id) + 1 FROM late;
INSERT INTO late SELECT max(id) + 1, 100 FROM late;
SELECT mongo_migrate.run_command('load_maps', '{"update": "late", "updates": [{"q": {"_id": "c-3"}, "u": {"$set": {"n": 3}}}]}')->'n' AS n;
SELECT inserted, skipped, rejected FROM mongo_migrate.retry_quarantine('load_maps', 'late');
SELECT source_id, target, path, reason, sqlstate, hint FROM mongo_migrate.quarantine WHERE server = 'load_maps';

-- While a run ends, ids come from the table's sequence from a step on: past those that references were given before it.
SELECT mongo_migrate.run_command('load_maps', json_build_object('insert', name, 'documents', docs))->'n' AS n FROM (
    SELECT 'rooms', json_agg(json_build_object('_id', 'room-' || g)) FROM generate_series(1, 9) AS g UNION ALL
    SELECT 'bells', json_agg(json_build_object('_id', g, 'room', 'room-' || g)) FROM generate_series(1, 10) AS g UNION ALL
    SELECT 'lamps', json_agg(json_build_object('_id', g, 'room', 'room-' || g)) FROM generate_series(1, 210) AS g) AS c (name, docs);
SELECT mongo_migrate.plan_collection('load_maps', c, 'load_maps.' || c) FROM unnest('{rooms,bells,lamps}'::text[]) AS c;
UPDATE mongo_migrate.plan_column SET on_dangling = 'keep', role = 'reference', refers_to = 'rooms', type = 'bigint'
 WHERE server = 'load_maps' AND collection IN ('bells', 'lamps') AND path = 'room';
SELECT inserted, complete FROM mongo_migrate.migrate_collection('load_maps', 'bells');
SELECT mongo_migrate.prepare_run('load_maps', 'rooms', 100, 0, 'quarantine', NULL, NULL) AS rooms \gset
CALL mongo_migrate.copy_chunks(:rooms);
SELECT mongo_migrate.prepare_run('load_maps', 'lamps', 100, 0, 'quarantine', NULL, NULL) AS lamps \gset
SELECT mongo_migrate.end_copy(:rooms), mongo_migrate.add_keys(:rooms);
SELECT inserted FROM mongo_migrate.copy_batch('load_maps', 'lamps', 1, 200);
SELECT mongo_migrate.add_references(:rooms);
INSERT INTO rooms SELECT FROM generate_series(1, 300);
CALL mongo_migrate.copy_chunks(:lamps);
CALL mongo_migrate.finish_run(:rooms);
CALL mongo_migrate.finish_run(:lamps);
SELECT collection, state, phase FROM mongo_migrate.run WHERE run_id IN (:rooms, :lamps) ORDER BY collection DESC;
SELECT count(*) FROM lamps JOIN rooms ON rooms.id = lamps.room;

-- A table that was there before is planned while references to its collection are copied: no id is given twice.
CREATE TABLE halls (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, n integer);
SELECT mongo_migrate.run_command('load_maps', json_build_object('insert', name, 'documents', docs))->'n' AS n FROM (
    SELECT 'halls', json_agg(json_build_object('_id', 'hall-' || g, 'n', g)) FROM generate_series(1, 9) AS g UNION ALL
    SELECT 'doors', json_agg(json_build_object('_id', g, 'hall', 'hall-' || g)) FROM generate_series(1, 250) AS g) AS c (name, docs);
SELECT mongo_migrate.plan_collection('load_maps', 'doors', 'load_maps.doors');
UPDATE mongo_migrate.plan_column SET on_dangling = 'keep', role = 'reference', refers_to = 'halls', type = 'bigint'
 WHERE (server, collection, path) = ('load_maps', 'doors', 'hall');
SELECT mongo_migrate.prepare_run('load_maps', 'doors', 100, 0, 'quarantine', NULL, NULL) AS doors \gset
SELECT inserted FROM mongo_migrate.copy_batch('load_maps', 'doors', 1, 50);
SELECT mongo_migrate.plan_collection('load_maps', 'halls', 'load_maps.halls');
SELECT inserted FROM mongo_migrate.copy_batch('load_maps', 'doors', 1, 20);
SELECT mongo_migrate.prepare_run('load_maps', 'halls', 100, 0, 'quarantine', NULL, NULL) AS halls \gset
SELECT inserted FROM mongo_migrate.copy_batch('load_maps', 'doors', 1, 20);
INSERT INTO halls (n) SELECT 100 FROM generate_series(1, 200);
CALL mongo_migrate.copy_chunks(:halls);
CALL mongo_migrate.copy_chunks(:doors);
INSERT INTO halls (n) SELECT 100 FROM generate_series(1, 200);
CALL mongo_migrate.finish_run(:halls);
CALL mongo_migrate.finish_run(:doors);
SELECT collection, state, phase FROM mongo_migrate.run WHERE run_id IN (:halls, :doors) ORDER BY collection;
SELECT count(*), count(DISTINCT id) FROM halls;
SELECT h.n, count(*) FROM doors d JOIN halls h ON h.id = d.hall GROUP BY h.n ORDER BY h.n;

-- References were copied before their collection is planned for a table that has rows of its own with the same ids.
CREATE TABLE gates (id bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, n integer);
INSERT INTO gates (n) SELECT 100 FROM generate_series(1, 20);
SELECT mongo_migrate.run_command('load_maps', json_build_object('insert', name, 'documents', docs))->'n' AS n FROM (
    SELECT 'gates', json_agg(json_build_object('_id', 'gate-' || g, 'n', g)) FROM generate_series(1, 9) AS g UNION ALL
    SELECT 'bolts', json_agg(json_build_object('_id', g, 'gate', 'gate-' || g)) FROM generate_series(1, 9) AS g) AS c (name, docs);
SELECT mongo_migrate.plan_collection('load_maps', 'bolts', 'load_maps.bolts');
SELECT inserted FROM mongo_migrate.migrate_collection('load_maps', 'bolts');
SELECT mongo_migrate.plan_collection('load_maps', 'gates', 'load_maps.gates');
SELECT relation AS map FROM mongo_migrate.id_map WHERE (server, collection) = ('load_maps', 'gates') \gset
DO $$
DECLARE
    detail text;
    hint text;
BEGIN
    PERFORM mongo_migrate.migrate_collection('load_maps', 'gates', workers => 0);
EXCEPTION WHEN object_not_in_prerequisite_state THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
    RAISE NOTICE E'%\n%\n%', SQLERRM, detail, regexp_replace(hint, 'id_map_\d+', 'id_map_N');
END $$;
SELECT mongo_migrate.reset_collection('load_maps', 'bolts', truncate => true);
TRUNCATE :map;
SELECT inserted FROM mongo_migrate.migrate_collection('load_maps', 'gates');
SELECT inserted FROM mongo_migrate.migrate_collection('load_maps', 'bolts');
SELECT g.n, count(b.id) FROM bolts b JOIN gates g ON g.id = b.gate_id GROUP BY g.n ORDER BY g.n;

-- A map that is gone: no document gets another id.
\set SHOW_CONTEXT never
SELECT relation AS map FROM mongo_migrate.id_map WHERE (server, collection) = ('load_maps', 'owners') \gset
UPDATE mongo_migrate.id_map SET relation = 'mongo_migrate.gone' WHERE (server, collection) = ('load_maps', 'owners');
SELECT mongo_migrate.migrate_collection('load_maps', 'owners');
SELECT mongo_migrate.migrate_collection('load_maps', 'things', workers => 0);
UPDATE mongo_migrate.id_map SET relation = :'map' WHERE (server, collection) = ('load_maps', 'owners');
SELECT documents, inserted, skipped FROM mongo_migrate.migrate_collection('load_maps', 'owners');

-- In one transaction, and with uuids, which a reset makes room for.
SELECT mongo_migrate.reset_collection('load_maps', 'orders', truncate => true);
DROP TABLE orders;
DELETE FROM mongo_migrate.plan WHERE (server, collection) = ('load_maps', 'orders');
SELECT mongo_migrate.plan_collection('load_maps', 'orders', 'load_maps.orders', id_type => 'uuid');
SELECT documents, inserted, complete FROM mongo_migrate.migrate_collection('load_maps', 'orders', workers => 0);
SELECT * FROM pg_temp.map('orders');

SELECT mongo_migrate.run_command('load_maps', '{"dropDatabase": 1}')->'ok' AS ok;
SET client_min_messages = warning;
DO $$
DECLARE
    map text;
BEGIN
    FOR map IN SELECT relation FROM mongo_migrate.id_map WHERE server = 'load_maps' AND relation IS NOT NULL LOOP
        EXECUTE 'DROP TABLE ' || map;
    END LOOP;
END $$;
DELETE FROM mongo_migrate.plan WHERE server = 'load_maps';
DELETE FROM mongo_migrate.id_map WHERE server = 'load_maps';
DELETE FROM mongo_migrate.chunk WHERE server = 'load_maps';
DELETE FROM mongo_migrate.run WHERE server = 'load_maps';
DELETE FROM mongo_migrate.quarantine WHERE server = 'load_maps';
DROP SERVER load_maps;
DROP SCHEMA load_maps CASCADE;

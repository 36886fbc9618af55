-- Migrating collections, whole.
\set SHOW_CONTEXT never
\getenv mongo_uri MONGO_URI
-- Batches have the size that is asked for, on a slow machine too.
SET mongo_migrate.batch_time = 0;
CREATE SERVER migrate_test FOREIGN DATA WRAPPER mongo_migrate
    OPTIONS (uri :'mongo_uri', database 'mm_test_migrate');
SELECT mongo_migrate.run_command('migrate_test', '{"dropDatabase": 1}') -> 'ok' AS ok;
-- What a migration returns, without its times.
CREATE FUNCTION result(r mongo_migrate.migration_result) RETURNS text LANGUAGE sql AS $$
    SELECT format('%s: %s documents, %s inserted, %s skipped, %s rejected, %s batches, %s',
                  r.collection, r.documents, r.inserted, r.skipped, r.rejected, r.batches,
                  CASE WHEN r.complete THEN 'complete' ELSE 'not complete' END) $$;
CREATE FUNCTION foreign_keys() RETURNS TABLE (key text) LANGUAGE sql AS $$
    SELECT conrelid::regclass || ': ' || pg_get_constraintdef(oid) FROM pg_constraint
     WHERE contype = 'f' AND connamespace = 'public'::regnamespace ORDER BY 1 $$;
CREATE FUNCTION oid_of(prefix text, n integer) RETURNS json LANGUAGE sql AS $$
    SELECT json_build_object('$oid', rpad(prefix, 20, '0') || to_char(n, 'FM0000')) $$;

-- Users; tags; orders with the hex text of a user's id, an array of documents, and one of tags' ids.
SELECT mongo_migrate.run_command('migrate_test', json_build_object('insert', 'users', 'documents', json_agg(
        json_build_object('_id', oid_of('a', n), 'name', 'user ' || n, 'createdAt', '{"$date": "2024-01-01T00:00:00Z"}'::json)
        ORDER BY n))) -> 'n' AS users
  FROM generate_series(1, 50) n;
SELECT mongo_migrate.run_command('migrate_test', json_build_object('insert', 'tags', 'documents', json_agg(
        json_build_object('_id', oid_of('b', n), 'label', 'tag ' || n) ORDER BY n))) -> 'n' AS tags
  FROM generate_series(1, 5) n;
SELECT mongo_migrate.run_command('migrate_test', json_build_object('insert', 'orders', 'documents', json_agg(
        json_build_object('_id', oid_of('c', n), 'userId', oid_of('a', n % 50 + 1) ->> '$oid', 'amount', n * 1.25,
            'items', (SELECT coalesce(json_agg(json_build_object('sku', 's' || i, 'qty', i) ORDER BY i), '[]')
                        FROM generate_series(1, n % 3) i),
            'tags', (SELECT coalesce(json_agg(oid_of('b', i) ORDER BY i), '[]') FROM generate_series(1, n % 4) i))
        ORDER BY n))) -> 'n' AS orders
  FROM generate_series(1, 300) n;

-- What is refused before anything is done.
SELECT mongo_migrate.migrate_collection('migrate_tst', 'orders');
SELECT mongo_migrate.migrate_collection('migrate_test', 'order');
SELECT mongo_migrate.migrate_collection('migrate_test', 'orders', on_error => 'quarantin');
SELECT mongo_migrate.migrate_collection('migrate_test', 'orders', batch_size => 0);
SELECT mongo_migrate.migrate_collection('migrate_test', 'orders', workers => -1);
SELECT mongo_migrate.migrate_collection('migrate_test', 'orders', max_errors => -1);
SELECT mongo_migrate.migrate_collection('migrate_test', 'orders', max_duration => '0 s');
BEGIN;
CREATE TABLE written_before ();
SELECT mongo_migrate.migrate_collection('migrate_test', 'orders');
ROLLBACK;
SELECT count(*) AS plans FROM mongo_migrate.plan WHERE server = 'migrate_test';

-- A dry run leaves nothing.
SET client_min_messages = warning;
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'orders', dry_run => true));
SELECT result(r) FROM mongo_migrate.migrate_all('migrate_test', dry_run => true) r ORDER BY 1;
-- Nor does one that has no time to plan.
SELECT count(*) FROM mongo_migrate.migrate_all('migrate_test', max_duration => '1 us');
SELECT count(*) FROM mongo_migrate.migrate_all('migrate_test', max_duration => '1 us', workers => 0);
RESET client_min_messages;
SELECT (SELECT count(*) FROM mongo_migrate.plan WHERE server = 'migrate_test') AS plans,
       (SELECT count(*) FROM mongo_migrate.id_map WHERE server = 'migrate_test') AS maps,
       (SELECT count(*) FROM mongo_migrate.chunk WHERE server = 'migrate_test') AS chunks,
       (SELECT count(*) FROM mongo_migrate.run WHERE server = 'migrate_test') AS runs,
       to_regclass('public.orders') AS orders;

-- The five-statement promise, though nothing of what orders refer to is there.
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'orders', batch_size => 100));
\d orders
SELECT count(*), count(DISTINCT id), count(DISTINCT user_id), sum(amount) FROM orders;
SELECT count(*), sum(qty) FROM orders_items;
SELECT count(*), count(DISTINCT tag_id) FROM orders_tags;
SELECT * FROM foreign_keys();
-- The other side comes, and with it the foreign key.
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'users'));
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'tags'));
SELECT * FROM foreign_keys();
SELECT o.id, o.amount, u.name, array_agg(t.label ORDER BY p.position) AS tags
  FROM orders o JOIN users u ON u.id = o.user_id
  LEFT JOIN orders_tags p ON p.order_id = o.id LEFT JOIN tags t ON t.id = p.tag_id
 WHERE mongo_migrate.source_id('migrate_test', 'orders', o.id::text) ->> '$oid' = oid_of('c', 7) ->> '$oid'
 GROUP BY o.id, u.name;
-- New rows get ids beyond those that were given.
INSERT INTO tags (label) VALUES ('born here') RETURNING id > 5 AS beyond, label;
DELETE FROM tags WHERE label = 'born here';

-- Again: what is new is added, what is there stays; a reference that leads nowhere becomes NULL.
SELECT mongo_migrate.run_command('migrate_test', json_build_object('insert', 'orders', 'documents', json_build_array(
        json_build_object('_id', oid_of('c', 301), 'userId', oid_of('a', 1) ->> '$oid', 'amount', 5,
                          'items', json_build_array(json_build_object('sku', 'x', 'qty', 1))),
        json_build_object('_id', oid_of('c', 302), 'userId', oid_of('a', 51) ->> '$oid', 'amount', 6)))) -> 'n' AS n;
UPDATE orders SET amount = 0 WHERE id = 1;
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'orders', batch_size => 100));
SELECT count(*), count(user_id), min(amount) FROM orders;
SELECT * FROM foreign_keys();
SELECT target, column_name, row_key, refers_to, source_value, policy FROM mongo_migrate.dangling_reference WHERE server = 'migrate_test';
-- Its document comes later: so does the reference.
SELECT mongo_migrate.run_command('migrate_test', json_build_object('insert', 'users', 'documents', json_build_array(
        json_build_object('_id', oid_of('a', 51), 'name', 'late', 'createdAt', '{"$date": "2024-02-01T00:00:00Z"}'::json)))) -> 'n' AS n;
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'users'));
SELECT u.name, o.amount FROM orders o JOIN users u ON u.id = o.user_id WHERE u.name = 'late';
SELECT count(*) FROM mongo_migrate.dangling_reference WHERE server = 'migrate_test';
SELECT collection, state, phase, documents, total, percent, eta, rejected, workers, inserted, skipped
  FROM mongo_migrate.progress WHERE server = 'migrate_test' ORDER BY collection COLLATE "C";

-- Begun anew, and again from quarantine: the foreign keys that are there keep no reference from becoming NULL.
SELECT mongo_migrate.run_command('migrate_test', json_build_object('insert', 'orders', 'documents', json_build_array(
        json_build_object('_id', oid_of('c', 303), 'userId', oid_of('a', 77) ->> '$oid', 'amount', 7),
        json_build_object('_id', oid_of('c', 304), 'userId', oid_of('a', 78) ->> '$oid', 'amount', '"much"'::json)))) -> 'n' AS n;
SELECT mongo_migrate.reset_collection('migrate_test', 'orders', truncate => true);
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'orders'));
SELECT mongo_migrate.run_command('migrate_test', json_build_object('update', 'orders', 'updates', json_build_array(
        json_build_object('q', json_build_object('_id', oid_of('c', 304)), 'u', '{"$set": {"amount": 8}}'::json)))) -> 'nModified' AS n;
SELECT * FROM mongo_migrate.retry_quarantine('migrate_test', 'orders');
SELECT amount, user_id FROM orders WHERE user_id IS NULL ORDER BY amount;
SELECT * FROM foreign_keys();
SELECT mongo_migrate.run_command('migrate_test', json_build_object('delete', 'orders', 'deletes', json_build_array(
        json_build_object('q', '{"amount": {"$in": [7, 8]}}'::json, 'limit', 0)))) -> 'n' AS n;
DELETE FROM orders WHERE user_id IS NULL;
DELETE FROM mongo_migrate.dangling_reference WHERE server = 'migrate_test';

-- References in a circle, to oneself, and the other policies.
SELECT mongo_migrate.run_command('migrate_test', json_build_object('insert', 'people', 'documents', json_build_array(
        json_build_object('_id', oid_of('d', 1), 'name', 'Ada', 'team', oid_of('e', 1)),
        json_build_object('_id', oid_of('d', 2), 'name', 'Bob', 'team', oid_of('e', 2), 'boss', oid_of('d', 1)),
        json_build_object('_id', oid_of('d', 3), 'name', 'Cy', 'team', oid_of('e', 1), 'boss', oid_of('d', 4)),
        json_build_object('_id', oid_of('d', 4), 'name', 'Di', 'team', oid_of('e', 9), 'boss', oid_of('d', 2))))) -> 'n' AS n;
SELECT mongo_migrate.run_command('migrate_test', json_build_object('insert', 'teams', 'documents', json_build_array(
        json_build_object('_id', oid_of('e', 1), 'lead', oid_of('d', 1), 'members', json_build_array(oid_of('d', 1), oid_of('d', 3))),
        json_build_object('_id', oid_of('e', 2), 'lead', oid_of('d', 4), 'members', json_build_array(oid_of('d', 2), oid_of('d', 8)))))) -> 'n' AS n;
SELECT mongo_migrate.plan_collection('migrate_test', 'people');
SELECT mongo_migrate.plan_collection('migrate_test', 'teams');
UPDATE mongo_migrate.plan_column SET refers_to = CASE path WHEN 'team' THEN 'teams' ELSE 'people' END, role = 'reference',
       key_form = 'exact', type = 'bigint'
 WHERE server = 'migrate_test' AND collection IN ('people', 'teams') AND path IN ('team', 'boss', 'lead', '$');
SELECT target, column_name, role, path, type, nullable, refers_to FROM mongo_migrate.plan_column
 WHERE server = 'migrate_test' AND collection IN ('people', 'teams') ORDER BY target, ordinal;
-- Di's team is missing: Di goes; so Cy's boss and team 2's lead are missing.
UPDATE mongo_migrate.plan_column SET on_dangling = 'quarantine'
 WHERE server = 'migrate_test' AND path = 'team';
UPDATE mongo_migrate.plan_column SET on_dangling = 'keep'
 WHERE server = 'migrate_test' AND collection = 'teams' AND path = '$';
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'people'));
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'teams'));
SELECT * FROM people ORDER BY id;
SELECT * FROM teams ORDER BY id;
SELECT * FROM teams_members ORDER BY team_id, position;
SELECT * FROM foreign_keys() WHERE key LIKE 'people%' OR key LIKE 'teams%';
SELECT collection, column_name, row_key, refers_to, source_value, policy FROM mongo_migrate.dangling_reference
 WHERE server = 'migrate_test' ORDER BY 1, 2, 5;
SELECT collection, source_id, target, reason, sqlstate, document FROM mongo_migrate.quarantine_report WHERE server = 'migrate_test';
-- The team comes: Di comes back, and with Di the references to her.
SELECT mongo_migrate.run_command('migrate_test', json_build_object('insert', 'teams', 'documents', json_build_array(
        json_build_object('_id', oid_of('e', 9), 'lead', oid_of('d', 4))))) -> 'n' AS n;
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'teams'));
SELECT * FROM mongo_migrate.retry_quarantine('migrate_test', 'people');
SELECT mongo_migrate.apply_references('migrate_test');
SELECT * FROM foreign_keys() WHERE key LIKE 'people%' OR key LIKE 'teams%';
SELECT p.name, b.name AS boss, l.name AS leads FROM people p LEFT JOIN people b ON b.id = p.boss_id
  LEFT JOIN teams t ON t.id = p.team_id LEFT JOIN people l ON l.id = t.lead_id ORDER BY 1;
SELECT collection, column_name, policy FROM mongo_migrate.dangling_reference
 WHERE server = 'migrate_test' ORDER BY 1, 2;

-- Documents that cannot become rows.
SELECT mongo_migrate.run_command('migrate_test', json_build_object('insert', 'readings', 'documents', json_agg(
        json_build_object('_id', n, 'value', CASE WHEN n % 10 = 5 THEN '"broken"'::json ELSE to_json(n * 0.5) END)
        ORDER BY n))) -> 'n' AS readings
  FROM generate_series(1, 50) n;
SELECT mongo_migrate.plan_collection('migrate_test', 'readings');
UPDATE mongo_migrate.plan_column SET type = 'numeric', source_type = 'numeric'
 WHERE server = 'migrate_test' AND collection = 'readings' AND path = 'value';
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'readings', on_error => 'stop', batch_size => 4));
SELECT state, phase, documents, percent, error FROM mongo_migrate.progress WHERE server = 'migrate_test' AND collection = 'readings';
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'readings', max_errors => 2, batch_size => 4));
SELECT state, phase, documents, rejected FROM mongo_migrate.progress WHERE server = 'migrate_test' AND collection = 'readings';
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'readings', max_duration => '1 us'));
BEGIN;
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'readings', max_errors => 4, workers => 0));
ROLLBACK;
SELECT documents, rejected FROM mongo_migrate.progress WHERE server = 'migrate_test' AND collection = 'readings';
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'readings', max_errors => 5));
SELECT count(*), count(DISTINCT id) FROM readings;
-- The next pass does not try them again.
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'readings'));

-- All in the caller's transaction, in a session that has not loaded the library yet.
\c -
SET mongo_migrate.batch_time = 0;
BEGIN;
CREATE TABLE written_before ();
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'readings', workers => 0));
SELECT mongo_migrate.reset_collection('migrate_test', 'readings');
ROLLBACK;
BEGIN;
SELECT mongo_migrate.reset_collection('migrate_test', 'readings', truncate => true);
SELECT count(*) FROM readings;
SET LOCAL synchronous_commit = 'remote_write';
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'readings', workers => 0, batch_size => 20));
SHOW synchronous_commit;    -- it is the caller's transaction that commits
ROLLBACK;
SELECT count(*) FROM readings;

-- Ids to which others refer survive a reset.
SELECT md5(string_agg(mongo_migrate.source_id('migrate_test', 'users', id::text) || id::text, ',' ORDER BY id)) AS before FROM users \gset
SELECT mongo_migrate.reset_collection('migrate_test', 'users', truncate => true);
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'users'));
SELECT md5(string_agg(mongo_migrate.source_id('migrate_test', 'users', id::text) || id::text, ',' ORDER BY id)) = :'before' AS same FROM users;
SELECT * FROM foreign_keys() WHERE key LIKE 'orders: %';

-- A child table that is left out afterwards still refers to what is to be emptied.
BEGIN;
UPDATE mongo_migrate.plan_target SET included = false
 WHERE (server, collection, target) = ('migrate_test', 'orders', 'public.orders_tags');
SAVEPOINT before;
SELECT mongo_migrate.reset_collection('migrate_test', 'tags', truncate => true);
ROLLBACK TO before;
SELECT mongo_migrate.reset_collection('migrate_test', 'orders', truncate => true);
ROLLBACK TO before;
ALTER TABLE public.orders_tags DROP CONSTRAINT orders_tags_order_id_fkey;
SELECT mongo_migrate.reset_collection('migrate_test', 'orders', truncate => true);
ROLLBACK;

-- A table that was there before, with rows of its own.
SELECT mongo_migrate.run_command('migrate_test', json_build_object('insert', 'cities', 'documents', json_agg(
        json_build_object('_id', oid_of('f', n), 'cityName', 'city ' || n, 'zip', n, 'extra', true) ORDER BY n))) -> 'n' AS cities
  FROM generate_series(1, 3) n;
CREATE TABLE cities (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, city_name text NOT NULL, zip text);
INSERT INTO cities (city_name) VALUES ('here before'), ('and this');
SELECT result(mongo_migrate.migrate_collection('migrate_test', 'cities'));
SELECT * FROM cities ORDER BY id;

-- Everything; a collection that fails does not keep the others.
SELECT mongo_migrate.run_command('migrate_test', '{"create": "fine_orders", "viewOn": "orders", "pipeline": []}') -> 'ok' AS ok;
SELECT mongo_migrate.run_command('migrate_test', '{"insert": "more", "documents": [{"_id": 1, "city": {"$oid": "f00000000000000000000001"}}]}') -> 'n' AS n;
SELECT mongo_migrate.run_command('migrate_test', '{"insert": "strange", "documents": [{"_id": 1}]}') -> 'n' AS n;
CREATE TABLE strange (name text);
UPDATE mongo_migrate.plan_column SET type = 'nonesuch'
 WHERE server = 'migrate_test' AND collection = 'readings' AND path = 'value';
SELECT result(r) FROM mongo_migrate.migrate_all('migrate_test') r;
SELECT result(r) FROM mongo_migrate.migrate_all('migrate_test', workers => 0) r;
DROP TABLE strange;
SELECT mongo_migrate.stop_migration('migrate_test', 'orders');
-- A collection that is gone is not taken for an empty one.
SELECT mongo_migrate.run_command('migrate_test', '{"drop": "more"}') -> 'ok' AS ok;
SELECT mongo_migrate.migrate_collection('migrate_test', 'more');

-- No faster than was said, by workers and in the caller's transaction
SELECT mongo_migrate.run_command('migrate_test', json_build_object('insert', 'slow', 'documents', json_agg(json_build_object('_id', n)))) -> 'n' AS n
  FROM generate_series(1, 60) n;
SELECT documents, batches >= 3 AS small, elapsed > interval '0.9 s' AS held
  FROM mongo_migrate.migrate_collection('migrate_test', 'slow', max_docs_per_second => 40);
SELECT documents, batches >= 2 AS small, elapsed > interval '0.9 s' AS held
  FROM mongo_migrate.migrate_collection('migrate_test', 'slow', workers => 0, max_docs_per_second => 40);
SELECT mongo_migrate.migrate_collection('migrate_test', 'slow', max_docs_per_second => 0);
SELECT mongo_migrate.migrate_collection('migrate_test', 'slow', retry_for => '-1 s');

DROP FUNCTION result, foreign_keys, oid_of;
DROP TABLE orders, orders_items, orders_tags, users, tags, people, teams, teams_members, readings, cities, more, slow;
DELETE FROM mongo_migrate.plan WHERE server = 'migrate_test';
DELETE FROM mongo_migrate.chunk WHERE server = 'migrate_test';
DELETE FROM mongo_migrate.run WHERE server = 'migrate_test';
DELETE FROM mongo_migrate.quarantine WHERE server = 'migrate_test';
DELETE FROM mongo_migrate.dangling_reference WHERE server = 'migrate_test';
SELECT mongo_migrate.run_command('migrate_test', '{"dropDatabase": 1}') -> 'ok' AS ok;
DROP SERVER migrate_test;

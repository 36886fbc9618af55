-- What each call of a migration did stays, beside what is done now.
\set SHOW_CONTEXT never
\getenv mongo_uri MONGO_URI
-- Batches have the size that is asked for, on a slow machine too.
SET mongo_migrate.batch_time = 0;
SET client_min_messages = warning;
CREATE SERVER runs FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_runs');
SELECT mongo_migrate.run_command('runs', '{"dropDatabase": 1}') -> 'ok' AS ok;
-- A document {_id: int, price: double or text, items: [{n: int}, {n: int}]} has 71 bytes; every tenth price is text, of 2 bytes less.
SELECT mongo_migrate.run_command('runs', json_build_object('insert', 'orders', 'documents', json_agg(json_build_object(
        '_id', n, 'price', CASE WHEN n % 10 = 0 THEN '"?"'::json ELSE to_json(n + 0.5) END,
        'items', json_build_array(json_build_object('n', 1), json_build_object('n', 2))) ORDER BY n))) -> 'n' AS n
  FROM generate_series(1, 40) n;
SELECT mongo_migrate.plan_collection('runs', 'orders');
UPDATE mongo_migrate.plan_column SET type = 'numeric(10,0)' WHERE server = 'runs' AND column_name = 'price';

CREATE VIEW runs AS
    SELECT state, phase, catching_up, documents, inserted, skipped, rejected, rounded, batches, rows, bytes, workers, total,
           copy_time >= '0' AS copied, key_time >= '0' AS keyed, reference_time >= '0' AS referred, error
      FROM mongo_migrate.run_report WHERE server = 'runs' AND collection = 'orders' ORDER BY run_id;
-- Two errors are too many; then it goes on; then a catch-up, which counts anew.
SELECT documents, rejected, rounded, batches FROM mongo_migrate.migrate_collection('runs', 'orders', batch_size => 5, workers => 1, max_errors => 1);
SELECT * FROM runs;
SELECT documents, rejected, rounded, batches FROM mongo_migrate.migrate_collection('runs', 'orders', batch_size => 10);
SELECT * FROM runs;
SELECT mongo_migrate.run_command('runs', '{"insert": "orders", "documents": [{"_id": 41, "price": 1, "items": []}]}') -> 'n' AS n;
SELECT documents, rejected, rounded, batches FROM mongo_migrate.migrate_collection('runs', 'orders', workers => 0);
SELECT * FROM runs;
-- A session that ended without a word: the last that was seen of it is its end.
SELECT mongo_migrate.prepare_run('runs', 'orders', 10, 1, 'quarantine', NULL, NULL) AS run \gset
SELECT documents, more FROM mongo_migrate.copy_step(:run, 1, 10);
SELECT state, documents FROM mongo_migrate.progress WHERE server = 'runs';
SELECT updated_at AS seen FROM mongo_migrate.chunk WHERE server = 'runs' \gset
SELECT documents, complete FROM mongo_migrate.migrate_collection('runs', 'orders');
SELECT * FROM runs;
SELECT ended_at = :'seen' AS seen FROM mongo_migrate.run WHERE run_id = :run;
-- What an edit of the plan finds copied stays as it was; that is told once, in the run that it comes into, or by the next.
SELECT mongo_migrate.prepare_run('runs', 'orders', 10, 0, 'quarantine', NULL, NULL) AS run \gset
UPDATE mongo_migrate.plan_column SET expression = 'value + 1', source_type = 'numeric' WHERE server = 'runs' AND column_name = 'price';
CALL mongo_migrate.copy_chunks(:run);
CALL mongo_migrate.finish_run(:run);
SELECT complete FROM mongo_migrate.migrate_collection('runs', 'orders');
UPDATE mongo_migrate.plan_column SET expression = 'value', ordinal = ordinal + 10 WHERE server = 'runs' AND column_name = 'price';
SELECT complete FROM mongo_migrate.migrate_collection('runs', 'orders');
UPDATE mongo_migrate.plan_column SET column_name = 'amount' WHERE server = 'runs' AND column_name = 'price';
ALTER TABLE orders RENAME price TO amount;
SELECT complete FROM mongo_migrate.migrate_collection('runs', 'orders');
-- It is forgotten with everything else.
SELECT mongo_migrate.reset_collection('runs', 'orders', truncate => true);
SELECT count(*) FROM runs;

-- By hand, in a session that lives on: what fails keeps no chunk from others.
SELECT mongo_migrate.prepare_run('runs', 'orders', 10, 1, 'stop', NULL, NULL) AS run \gset
\set VERBOSITY terse
CALL mongo_migrate.copy_chunks(:run);
\set VERBOSITY default
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
DO $$
DECLARE
    run bigint := (SELECT max(run_id) FROM mongo_migrate.run);
BEGIN
    CALL mongo_migrate.copy_chunks(run);
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING '%', SQLSTATE;
END
$$;
SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid();
SELECT documents, rejected, complete FROM mongo_migrate.migrate_collection('runs', 'orders', workers => 1);
-- Constraints that are checked before the commit wait for it as they did, and others do not.
CREATE FUNCTION pg_temp.check() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE CONSTRAINT TRIGGER c AFTER UPDATE ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION pg_temp.check();
CREATE TEMPORARY TABLE single (n integer UNIQUE DEFERRABLE);
UPDATE orders SET amount = 0 WHERE id = 41;
BEGIN;
SELECT replaced FROM mongo_migrate.replace_documents('runs', 'orders', ARRAY[mongo_migrate.bson_from_json('{"_id": 41}')], false, false);
INSERT INTO single VALUES (1), (1);
ROLLBACK;
DROP TRIGGER c ON orders;

-- Without the id map that was emptied, documents would get other ids.
SELECT mongo_migrate.run_command('runs', '{"insert": "words", "documents": [{"_id": "a"}, {"_id": "b"}, {"_id": "c"}]}') -> 'n' AS n;
SELECT mongo_migrate.prepare_run('runs', 'words', 1, 0, 'stop', NULL, NULL) \g /dev/null
SELECT inserted FROM mongo_migrate.copy_batch('runs', 'words', 1, 1);
DO $$ BEGIN EXECUTE 'TRUNCATE ' || (SELECT relation FROM mongo_migrate.id_map WHERE (server, collection) = ('runs', 'words')); END $$;
\set VERBOSITY sqlstate
SELECT inserted FROM mongo_migrate.copy_batch('runs', 'words', 1, 1);
SELECT mongo_migrate.prepare_run('runs', 'words', 1, 0, 'stop', NULL, NULL);
\set VERBOSITY default
SELECT mongo_migrate.reset_collection('runs', 'words', truncate => true);
SELECT inserted, complete FROM mongo_migrate.migrate_collection('runs', 'words', workers => 0);

DROP VIEW runs;
DROP TABLE orders, orders_items, words;
DELETE FROM mongo_migrate.plan WHERE server = 'runs';
DELETE FROM mongo_migrate.quarantine WHERE server = 'runs';
SELECT mongo_migrate.run_command('runs', '{"dropDatabase": 1}') -> 'ok' AS ok;
DROP SERVER runs CASCADE;

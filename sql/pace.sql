-- How many documents a batch has, and when the next one may begin.
\set SHOW_CONTEXT never
\getenv mongo_uri MONGO_URI
SET client_min_messages = warning;
CREATE SERVER pace FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_pace');
SELECT mongo_migrate.run_command('pace', '{"dropDatabase": 1}') -> 'ok' AS ok;
SELECT mongo_migrate.run_command('pace', json_build_object('insert', 'logs', 'documents', json_agg(json_build_object('_id', n, 'n', n)))) -> 'n' AS n
  FROM generate_series(1, 40) n;
SHOW mongo_migrate.batch_time;

-- Slow batches halve, fast ones double, never beyond what was asked for.
SELECT size, documents, elapsed, mongo_migrate.next_batch_size(size, 1000, documents, elapsed, '5 s') AS next
  FROM (VALUES (1000, 1000, interval '5.1 s'), (1000, 30, '5.1 s'), (1, 1, '1 h'),     -- slow; slow with fewer than it might have had
               (1000, 1000, '5 s'), (1000, 1000, '1.25 s'),                             -- neither
               (250, 250, '1.2 s'), (700, 700, '1.2 s'), (1000, 1000, '0')) v (size, documents, elapsed);
SELECT mongo_migrate.next_batch_size(8, 1000, 8, '1 h', '0') AS without_limit,
       mongo_migrate.next_batch_size(2147483647, 2147483647, 1, '0', '5 s') AS biggest;
-- Each batch sleeps for longer than it may take: 16, 8, 4, 2, ten of one, and the end.
SELECT mongo_migrate.plan_collection('pace', 'logs');
SELECT * FROM mongo_migrate.apply_ddl('pace', 'logs');
CREATE FUNCTION nap() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_catalog.pg_sleep(0.02); RETURN NULL; END';
CREATE TRIGGER nap AFTER INSERT ON logs FOR EACH STATEMENT EXECUTE FUNCTION nap();
SET mongo_migrate.batch_time = '10ms';
SELECT documents, batches, complete FROM mongo_migrate.migrate_collection('pace', 'logs', batch_size => 16, workers => 1);
SELECT mongo_migrate.reset_collection('pace', 'logs', truncate => true);
SELECT documents, batches, complete FROM mongo_migrate.migrate_collection('pace', 'logs', batch_size => 16, workers => 0);
SET mongo_migrate.batch_time = 0;
SELECT mongo_migrate.reset_collection('pace', 'logs', truncate => true);
SELECT documents, batches, complete FROM mongo_migrate.migrate_collection('pace', 'logs', batch_size => 16, workers => 1);
RESET mongo_migrate.batch_time;

-- With a limit, a batch has what a worker may read in a second, and the next one begins when its documents' time is over.
SELECT mongo_migrate.reset_collection('pace', 'logs', truncate => true);
SELECT mongo_migrate.prepare_run('pace', 'logs', 1000, 4, 'quarantine', NULL, NULL, 50) AS run \gset
SELECT mongo_migrate.run_batch_size(r) FROM mongo_migrate.run r WHERE r.run_id = :run;
SELECT p.batch_size, p.due - '2024-01-01' AS due FROM mongo_migrate.run r, mongo_migrate.pace(r, 13, 13, '2024-01-01') p WHERE r.run_id = :run; -- one range, one worker
UPDATE mongo_migrate.chunk SET upper_id = mongo_migrate.bson_from_json('{"_id": 20}') WHERE server = 'pace';
INSERT INTO mongo_migrate.chunk (server, collection, chunk, lower_id) VALUES ('pace', 'logs', 2, mongo_migrate.bson_from_json('{"_id": 20}'));
SELECT p.batch_size, p.due - '2024-01-01' AS due FROM mongo_migrate.run r, mongo_migrate.pace(r, 13, 13, '2024-01-01') p WHERE r.run_id = :run; -- two of each
SELECT p.batch_size, p.due FROM mongo_migrate.run r, mongo_migrate.pace(r, 13, 0, '2024-01-01') p WHERE r.run_id = :run;
-- The time that is left is that of the pace, however soon the first batch was there.
BEGIN;
UPDATE mongo_migrate.run SET total = 1020, started_at = '2024-01-01 00:00:00' WHERE run_id = :run;
UPDATE mongo_migrate.chunk SET documents = 10, updated_at = '2024-01-01 00:00:00.1' WHERE server = 'pace';
SELECT mongo_migrate.try_session_lock(mongo_migrate.run_lock('pace', 'logs')) AS held;
SELECT state, documents, total, docs_per_second, eta FROM mongo_migrate.progress WHERE server = 'pace';
ROLLBACK;
CALL mongo_migrate.rest_until(NULL);
CALL mongo_migrate.rest_until('2024-01-01');
CALL mongo_migrate.rest_until('-infinity');
SET statement_timeout = '500ms';
CALL mongo_migrate.rest_until('infinity');
RESET statement_timeout;

DROP TABLE logs;
DROP FUNCTION nap();
SELECT mongo_migrate.reset_collection('pace', 'logs');
SELECT mongo_migrate.run_command('pace', '{"dropDatabase": 1}') -> 'ok' AS ok;
DELETE FROM mongo_migrate.plan WHERE server = 'pace';
DELETE FROM mongo_migrate.id_map WHERE server = 'pace';
DROP SERVER pace;

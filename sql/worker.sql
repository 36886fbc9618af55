-- Background workers that run SQL for a caller.
CREATE TABLE worker_log (n integer, note text);
CREATE PROCEDURE worker_commit(n integer, note text) LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1..n LOOP
        INSERT INTO worker_log VALUES (i, note);
        COMMIT;
        RAISE NOTICE 'committed %', i;
    END LOOP;
    INSERT INTO worker_log VALUES (n + 1, note);
    IF note = 'fail' THEN
        RAISE EXCEPTION 'no more' USING ERRCODE = 'MM001', DETAIL = 'A detail.', HINT = 'A hint.';
    END IF;
END
$$;

-- A procedure commits; its messages arrive.
SELECT mongo_migrate.run_workers(ARRAY['CALL worker_commit(2, ''done'')']);
-- An error arrives whole; what was committed before it stays.
DO $$
DECLARE
    state text; message text; detail text; hint text; context text;
BEGIN
    PERFORM mongo_migrate.run_workers(ARRAY['CALL worker_commit(1, ''fail'')']);
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT, context = PG_EXCEPTION_CONTEXT;
    RAISE INFO '% | % | % | %', state, message, detail, hint;
    RAISE INFO '%', split_part(context, E'\n', 2);
END
$$;
SELECT * FROM worker_log ORDER BY note, n;

-- Anything that a client could run.
SELECT mongo_migrate.run_workers(ARRAY['VACUUM worker_log']);
SELECT mongo_migrate.run_workers('{}');
SELECT mongo_migrate.run_workers(ARRAY['SELECT 1 FROM', NULL]);
SELECT mongo_migrate.run_workers(NULL);
SELECT mongo_migrate.run_workers(ARRAY['SELECT 1 FROM']);
SELECT mongo_migrate.run_workers(ARRAY['SELECT 1; SELECT 2']);

-- More commands than slots: each is run all the same.
TRUNCATE worker_log;
SET client_min_messages = warning;
SELECT mongo_migrate.run_workers(array_agg(format('INSERT INTO worker_log VALUES (%s)', n)))
  FROM generate_series(1, 40) n;
RESET client_min_messages;
SELECT count(*), sum(n) FROM worker_log;

-- An error ends the other workers too, and at once.
SELECT mongo_migrate.run_workers(ARRAY['SELECT pg_sleep(1000)', 'SELECT 1/0']);
SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mongo_migrate worker';
-- So does a cancel.
SET statement_timeout = '500ms';
SELECT mongo_migrate.run_workers(ARRAY['SELECT pg_sleep(1000)', 'SELECT pg_sleep(1000)']);
RESET statement_timeout;
SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mongo_migrate worker';
-- A worker that is ended from outside.
SELECT mongo_migrate.run_workers(ARRAY['SELECT pg_terminate_backend(pg_backend_pid())']);

-- The caller's settings and role, no more and no less.
CREATE ROLE regress_worker_owner LOGIN;
CREATE ROLE regress_worker_user LOGIN;
GRANT regress_worker_owner TO regress_worker_user;
GRANT USAGE ON SCHEMA mongo_migrate TO regress_worker_owner, regress_worker_user;
CREATE FUNCTION worker_state() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '% as %, %, %, %', session_user, current_user, current_setting('work_mem'),
        current_setting('worker.test', true),
        regexp_replace(current_setting('application_name'), '\d+$', 'N');
END
$$;
GRANT EXECUTE ON FUNCTION mongo_migrate.run_workers TO regress_worker_owner;
SET work_mem = '7MB';
SET worker.test = 'it''s';
SET SESSION AUTHORIZATION regress_worker_user;
SELECT mongo_migrate.run_workers(ARRAY['SELECT worker_state()']);
SET ROLE regress_worker_owner;
SELECT mongo_migrate.run_workers(ARRAY['SELECT worker_state()']);
RESET SESSION AUTHORIZATION;
CREATE FUNCTION worker_definer() RETURNS void LANGUAGE sql SECURITY DEFINER AS
$$ SELECT mongo_migrate.run_workers(ARRAY['SELECT worker_state()']) $$;
ALTER FUNCTION worker_definer() OWNER TO regress_worker_owner;
SELECT worker_definer();
-- Not the role that it has when it logs in.
GRANT pg_monitor TO regress_worker_owner;
ALTER ROLE regress_worker_owner SET role = pg_monitor;
SELECT worker_definer();
RESET work_mem;

-- A query of the caller's while it waits.
SET mongo_migrate.progress_interval = '100ms';
CREATE FUNCTION worker_heartbeat() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'heard by the caller: %', current_setting('application_name') NOT LIKE 'mongo%';
END
$$;
SELECT mongo_migrate.run_workers(ARRAY['SELECT pg_sleep(1000)'], 'SELECT worker_heartbeat()');
RESET mongo_migrate.progress_interval;
SET mongo_migrate.progres_interval = 0;

-- Workers stay for the next call of the transaction, as many as it needs, and where it is the same user with the same settings.
CREATE TABLE worker_pid (call integer, pid integer DEFAULT pg_backend_pid());
BEGIN;
SELECT mongo_migrate.run_workers(array_fill('INSERT INTO worker_pid VALUES (1)'::text, ARRAY[2]));
SELECT mongo_migrate.run_workers(array_fill('INSERT INTO worker_pid VALUES (2)'::text, ARRAY[3]));
SELECT mongo_migrate.run_workers(array_fill('INSERT INTO worker_pid VALUES (3)'::text, ARRAY[1]));
SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mongo_migrate worker';
SAVEPOINT s;
SET work_mem = '5MB';
SELECT mongo_migrate.run_workers(ARRAY['INSERT INTO worker_pid VALUES (4)']);
ROLLBACK TO s;
SELECT mongo_migrate.run_workers(ARRAY['INSERT INTO worker_pid VALUES (5)']);
-- What one command locks, it locks no longer than a session of its own would.
SELECT mongo_migrate.run_workers(ARRAY['INSERT INTO worker_pid SELECT 6 FROM pg_advisory_lock(4711)']);
SELECT pg_try_advisory_xact_lock(4711);
COMMIT;
SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'mongo_migrate worker';
SELECT call, count(*), count(*) FILTER (WHERE pid IN (SELECT p.pid FROM worker_pid p WHERE p.call < w.call)) AS known
  FROM worker_pid w GROUP BY call ORDER BY call;
BEGIN;
SELECT mongo_migrate.run_workers(ARRAY['SELECT 1']);
SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE backend_type = 'mongo_migrate worker';
SELECT mongo_migrate.run_workers(ARRAY['SELECT 1']);
ROLLBACK;
SET mongo_migrate.progress_interval = '100ms';
SELECT mongo_migrate.run_workers(ARRAY['SELECT pg_sleep(1000)'], 'SELECT mongo_migrate.run_workers(''{SELECT 1}'')');
RESET mongo_migrate.progress_interval;
DROP TABLE worker_pid;

-- Transactions of workers are like the caller's, whatever the default is.
BEGIN ISOLATION LEVEL READ COMMITTED;
SET default_transaction_isolation = 'serializable';
SET default_transaction_read_only = on;
SELECT mongo_migrate.run_workers(ARRAY['DO $$ BEGIN RAISE NOTICE ''%, %'', current_setting(''transaction_isolation''), current_setting(''transaction_read_only''); END $$']);
ROLLBACK;

-- Transactions in which workers could not do their work.
BEGIN;
INSERT INTO worker_log VALUES (0);
SELECT mongo_migrate.run_workers(ARRAY['SELECT 1']);
ROLLBACK;
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT mongo_migrate.run_workers(ARRAY['SELECT 1']);
ROLLBACK;
BEGIN READ ONLY;
SELECT mongo_migrate.run_workers(ARRAY['SELECT 1']);
ROLLBACK;
BEGIN;
LOCK TABLE worker_log IN ACCESS SHARE MODE;
SELECT mongo_migrate.run_workers(ARRAY['TRUNCATE worker_log']);
ROLLBACK;
BEGIN;
SELECT mongo_migrate.run_workers(ARRAY['INSERT INTO worker_log VALUES (1)']);
ROLLBACK;
SELECT count(*) FROM worker_log;

DROP FUNCTION worker_definer(), worker_state(), worker_heartbeat();
DROP PROCEDURE worker_commit;
DROP TABLE worker_log;
REVOKE ALL ON FUNCTION mongo_migrate.run_workers FROM regress_worker_owner;
REVOKE ALL ON SCHEMA mongo_migrate FROM regress_worker_owner, regress_worker_user;
DROP ROLE regress_worker_owner, regress_worker_user;

-- Writes to MongoDB follow the local transaction.
\getenv mongo_uri MONGO_URI
CREATE SERVER fdw_transaction FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_fdw_transaction');
SELECT mongo_migrate.run_command('fdw_transaction', '{"dropDatabase": 1}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE t (_id integer, n integer) SERVER fdw_transaction;
CREATE FOREIGN TABLE u (_id integer, n integer) SERVER fdw_transaction;
-- What others see
CREATE FUNCTION outside() RETURNS bigint LANGUAGE sql
    RETURN (SELECT (mongo_migrate.run_command('fdw_transaction', '{"count": "t", "query": {"_id": {"$gt": 0}}}') ->> 'n')::bigint);
INSERT INTO t VALUES (1, 1), (2, 2);

-- Seen within, not outside, and gone with ROLLBACK
BEGIN;
INSERT INTO t VALUES (3, 3);
UPDATE t SET n = n + 10 WHERE _id = 1;
INSERT INTO u SELECT * FROM t;
SELECT outside(), count(*), sum(n) FROM t;
SELECT count(*) FROM u;
ROLLBACK;
SELECT outside(), count(*), sum(n) FROM t;
BEGIN;
INSERT INTO t VALUES (3, 3);
DELETE FROM t WHERE _id = 2;
COMMIT;
SELECT outside(), count(*), sum(n) FROM t;
-- An error later in the transaction undoes all
BEGIN;
INSERT INTO t VALUES (4, 4);
SELECT 1 / 0;
COMMIT;
INSERT INTO t SELECT i, 1000 / (i - 2000) FROM generate_series(5, 2000) i;
SELECT outside(), count(*) FROM t;
-- A cursor opened before the first write goes on with what was there
BEGIN;
DECLARE c CURSOR FOR SELECT _id FROM t ORDER BY _id;
DECLARE d CURSOR FOR SELECT _id FROM t;
FETCH 1 FROM d;
UPDATE t SET n = 0;
INSERT INTO t VALUES (9, 9);
FETCH ALL FROM d;
SELECT count(*) FROM t;
ROLLBACK;
-- A cursor of the transaction that outlives it
BEGIN;
INSERT INTO t VALUES (4, 4);
DECLARE h CURSOR WITH HOLD FOR SELECT _id FROM t;
COMMIT;
FETCH ALL FROM h;
CLOSE h;
DELETE FROM t WHERE _id = 4;

-- Savepoints: what is released stays; what is rolled back without a write to MongoDB is no matter
BEGIN;
SAVEPOINT a;
INSERT INTO t VALUES (4, 4);
RELEASE a;
SAVEPOINT b;
SELECT count(*) FROM t;
ROLLBACK TO b;
SELECT count(*) FROM t;
COMMIT;
SELECT outside();
-- A rolled back write takes all with it
BEGIN;
INSERT INTO t VALUES (5, 5);
SAVEPOINT a;
SAVEPOINT b;
INSERT INTO t VALUES (6, 6);
RELEASE b;
ROLLBACK TO a;
SAVEPOINT c;
SELECT count(*) FROM t;
ROLLBACK TO c;
INSERT INTO t VALUES (7, 7);
ROLLBACK TO c;
COMMIT;
SELECT outside();
-- An exception block around a write that fails
DO $$
BEGIN
    INSERT INTO t VALUES (8, 8);
    BEGIN
        INSERT INTO t VALUES (1, 1);
    EXCEPTION WHEN unique_violation THEN
        RAISE NOTICE 'caught';
    END;
END
$$;
SELECT outside();
DO $$
BEGIN
    BEGIN
        PERFORM 1 / 0 FROM t;
    EXCEPTION WHEN division_by_zero THEN
        INSERT INTO t VALUES (8, 8);
    END;
END
$$;
SELECT outside();

-- A function that reads in a block with an exception, called by an UPDATE that holds rows back; and one that writes there
CREATE FUNCTION reads(integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    PERFORM 1 / (n - n) FROM t;
    RETURN 0;
EXCEPTION WHEN division_by_zero THEN
    RETURN $1 + 1;
END
$$;
CREATE FUNCTION writes(integer) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM u;
    RETURN 1 / ($1 - $1);
EXCEPTION WHEN division_by_zero THEN
    RETURN $1 + 1;
END
$$;
SELECT sum(n) FROM t;
UPDATE t SET n = reads(n);
SELECT sum(n) FROM t;
UPDATE t SET n = n - 1;
INSERT INTO u VALUES (1, 1);
UPDATE t SET n = writes(n);
DELETE FROM u;
SELECT sum(n) FROM t;
DROP FUNCTION reads, writes;

-- TRUNCATE rolls back too
BEGIN;
TRUNCATE t;
SELECT outside(), count(*) FROM t;
ROLLBACK;
SELECT count(*) FROM t;

-- No two-phase commit
BEGIN;
INSERT INTO t VALUES (9, 9);
PREPARE TRANSACTION 'x';
SELECT outside();

-- Two transactions that write one document: one of them ends with an error that says to try again
CREATE SERVER fdw_transaction_2 FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_fdw_transaction');
CREATE FOREIGN TABLE t2 (_id integer, n integer) SERVER fdw_transaction_2 OPTIONS (collection 't');
\set VERBOSITY sqlstate
BEGIN;
UPDATE t SET n = 100 WHERE _id = 1;
UPDATE t2 SET n = 200 WHERE _id = 1;
ROLLBACK;
\set VERBOSITY default

-- What is read FOR UPDATE is read in the transaction, so that a change by another in the meantime is not lost.
CREATE FUNCTION change_outside() RETURNS text LANGUAGE sql
    RETURN mongo_migrate.run_command('fdw_transaction', '{"update": "t", "updates": [{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}]}') ->> 'nModified';
\set VERBOSITY sqlstate
BEGIN;
SELECT _id FROM t WHERE _id = 1 FOR UPDATE;
SELECT change_outside();
UPDATE t SET n = 0 WHERE _id = 1;
ROLLBACK;
BEGIN;
SELECT _id FROM (SELECT _id FROM t WHERE _id = 1 FOR SHARE) AS q;
SELECT change_outside();
UPDATE t SET n = 0 WHERE _id = 1;
ROLLBACK;
\set VERBOSITY default
DROP FUNCTION change_outside;

-- With two servers, neither commits where one of them cannot, as far as that is known before.
BEGIN;
INSERT INTO t VALUES (30, 30);
SAVEPOINT a;
INSERT INTO t2 VALUES (31, 31);
ROLLBACK TO a;
COMMIT;
SELECT count(*) FROM t WHERE _id >= 30;
ALTER SERVER fdw_transaction_2 OPTIONS (ADD write_concern 'nonesuch');
\set VERBOSITY terse
BEGIN;
INSERT INTO t VALUES (30, 30);
INSERT INTO t2 VALUES (31, 31);
COMMIT;
\set VERBOSITY default
ALTER SERVER fdw_transaction_2 OPTIONS (DROP write_concern);
DELETE FROM t WHERE _id >= 30;

-- What a cursor reads in a transaction of MongoDB is lost with that
SELECT mongo_migrate.run_command('fdw_transaction', '{"insert": "few", "documents": [{"_id": 1}, {"_id": 2}, {"_id": 3}, {"_id": 4}]}') ->> 'n' AS n;
CREATE FOREIGN TABLE few (_id integer) SERVER fdw_transaction OPTIONS (fetch_size '1');
BEGIN;
DECLARE c CURSOR FOR SELECT g, _id FROM generate_series(1, 2) AS g, LATERAL (SELECT _id FROM few WHERE _id > g OFFSET 0) AS b;
SAVEPOINT a;
INSERT INTO t VALUES (30, 30);
FETCH 1 FROM c;
ROLLBACK TO a;
MOVE ALL FROM c;
ROLLBACK;
-- A change of the server, or a cancel that a savepoint takes back, in the midst of a transaction: it has one of MongoDB's, which goes on or is lost.
BEGIN;
INSERT INTO t VALUES (9, 9);
ALTER SERVER fdw_transaction OPTIONS (ADD fdw_tuple_cost '0.3');
UPDATE t SET n = 10 WHERE _id = 9;
SELECT count(*) FROM t WHERE _id = 9;
SELECT mongo_migrate.disconnect('fdw_transaction');
SELECT n FROM t WHERE _id = 9;
INSERT INTO u VALUES (9, 9);
SELECT count(*) FROM mongo_migrate.connections();
ROLLBACK;
SELECT count(*) FROM mongo_migrate.connections();
SELECT count(*) FROM t WHERE _id = 9;
SELECT mongo_migrate.run_command('fdw_transaction', '{"create": "slow", "viewOn": "t", "pipeline": [{"$match": {"$expr":
    {"$function": {"body": "function() { sleep(60000); return true; }", "args": [], "lang": "js"}}}}]}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE slow (_id integer) SERVER fdw_transaction;
BEGIN;
INSERT INTO t VALUES (9, 9);
SAVEPOINT a;
SET LOCAL statement_timeout = '200ms';
SELECT * FROM slow;
ROLLBACK TO a;
SELECT count(*) FROM t WHERE _id = 9;
COMMIT;
SELECT count(*) FROM t WHERE _id = 9;

-- A write concern that the replica set does not have: MongoDB has committed when it says so.
ALTER SERVER fdw_transaction OPTIONS (ADD write_concern 'nonesuch');
\set VERBOSITY terse
INSERT INTO t VALUES (9, 9);
\set VERBOSITY default
ALTER SERVER fdw_transaction OPTIONS (DROP write_concern);
SELECT n FROM t WHERE _id = 9;
DELETE FROM t WHERE _id = 9;

-- Without transactions each write stays
ALTER SERVER fdw_transaction OPTIONS (ADD transactions 'off');
BEGIN;
INSERT INTO t VALUES (20, 20);
SELECT outside();
ROLLBACK;
BEGIN;
SAVEPOINT a;
INSERT INTO t VALUES (21, 21);
ROLLBACK TO a;
COMMIT;
SELECT _id FROM t WHERE _id >= 20 ORDER BY _id;
INSERT INTO t VALUES (22, 22), (20, 20), (23, 23);
INSERT INTO t VALUES (22, 22), (20, 20), (23, 23) ON CONFLICT DO NOTHING;
UPDATE t SET n = n + 1 WHERE _id >= 20 RETURNING *;
DELETE FROM t WHERE _id >= 20;
SELECT outside();

-- What a cursor has still to read is put aside before a write.  Where that fails, the cursor is lost, and says so
-- (several replies' worth of documents, and temporary files may have 64 kB).
SELECT mongo_migrate.run_command('fdw_transaction', json_build_object('insert', 'big', 'documents',
    json_agg(json_build_object('_id', n, 'text', repeat('x', 1000))))) ->> 'n' AS n FROM generate_series(1, 200) AS n;
CREATE FOREIGN TABLE big (_id integer, text text) SERVER fdw_transaction OPTIONS (fetch_size '10');
BEGIN;
DECLARE c CURSOR FOR SELECT _id, length(text) FROM big;
FETCH 1 FROM c;
SAVEPOINT a;
SET LOCAL temp_file_limit = '64kB';
\set VERBOSITY sqlstate
UPDATE t SET n = 0;
\set VERBOSITY default
ROLLBACK TO a;
SAVEPOINT b;
UPDATE t SET n = 1;
ROLLBACK TO b;
FETCH 1 FROM c;
ROLLBACK TO b;
CLOSE c;
UPDATE t SET n = 2 RETURNING n;
ROLLBACK;
-- To roll all back writes nothing more
BEGIN;
DECLARE c CURSOR FOR SELECT _id, length(text) FROM big;
FETCH 1 FROM c;
SET LOCAL temp_file_limit = '64kB';
\set VERBOSITY sqlstate
UPDATE t SET n = 0;
\set VERBOSITY default
ROLLBACK;
SELECT cursors FROM mongo_migrate.connections() WHERE server = 'fdw_transaction';
-- Groups that a write in a savepoint has read for a cursor, into a temporary file, outlive the savepoint
SELECT mongo_migrate.run_command('fdw_transaction', json_build_object('insert', 'many', 'documents',
    json_agg(json_build_object('_id', n)))) ->> 'n' AS n FROM generate_series(1, 5000) AS n;
CREATE FOREIGN TABLE many (_id integer) SERVER fdw_transaction;
BEGIN;
SET LOCAL work_mem = '64kB';
SET LOCAL cursor_tuple_fraction = 1;
DECLARE c CURSOR FOR SELECT _id, count(*) FROM many GROUP BY _id;
SAVEPOINT a;
UPDATE t SET n = 0;
RELEASE a;
MOVE ALL FROM c;
ROLLBACK;

SELECT mongo_migrate.run_command('fdw_transaction', '{"dropDatabase": 1}') ->> 'ok' AS ok;
SET client_min_messages = warning;
DROP SERVER fdw_transaction, fdw_transaction_2 CASCADE;
DROP FUNCTION outside;

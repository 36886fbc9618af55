-- What goes wrong in foreign tables, and what a person is told.
\getenv mongo_uri MONGO_URI
CREATE SERVER fdw_errors FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_fdw_errors');
SELECT mongo_migrate.run_command('fdw_errors', '{"dropDatabase": 1}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_errors', '{"insert": "c", "documents": [
    {"_id": 1, "n": 1, "a": {"b": 1}, "t": "one", "items": [{"q": 1}, {"q": "two"}], "list": [1, 2]},
    {"_id": {"$oid": "5f0000000000000000000001"}, "n": {"$numberLong": "3000000000"}, "a": [1], "t": ["x"], "d": {"$date": {"$numberLong": "9223372036854775807"}}},
    {"_id": "three", "n": 1.5, "list": [1, "x"]},
    {"_id": {"k": 4}, "n": "four"}]}') ->> 'n' AS inserted;
\set VERBOSITY verbose
\set SHOW_CONTEXT never
CREATE FUNCTION attempt(command text, OUT state text, OUT message text, OUT detail text, OUT hint text)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE command;
    message := 'success';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT,
        detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
END
$$;
\set VERBOSITY default
\x on

-- Values that their columns cannot hold.
CREATE FOREIGN TABLE c (n integer, t text, q integer OPTIONS (path 'items.1.q'), list integer[], d timestamptz) SERVER fdw_errors;
SELECT * FROM attempt('SELECT n FROM c');
SELECT * FROM attempt('SELECT t FROM c');
SELECT * FROM attempt('SELECT q FROM c');
SELECT * FROM attempt('SELECT list FROM c');
SELECT * FROM attempt('SELECT d FROM c');
-- Columns that a query does not need do not trouble it.
SELECT count(*) FROM c;
-- A condition may spare a query the documents that its columns cannot hold ...
SELECT n FROM c WHERE n = 1;
-- ... but what matches by an element of an array is an error, needed or not.
SELECT * FROM attempt('SELECT count(*) FROM c WHERE t = ''x''');
CREATE FOREIGN TABLE c_n (a integer) SERVER fdw_errors OPTIONS (collection 'c');
SELECT * FROM attempt('SELECT count(*) FROM c_n WHERE a = 1');
SELECT * FROM attempt('SELECT count(*) FROM c_n WHERE a IS NULL');

-- Options and types.
SELECT * FROM attempt('CREATE FOREIGN TABLE x (a integer OPTIONS (paht ''b'')) SERVER fdw_errors');
SELECT * FROM attempt('CREATE FOREIGN TABLE x (a integer) SERVER fdw_errors OPTIONS (colection ''c'')');
SELECT * FROM attempt('CREATE FOREIGN TABLE x (a integer) SERVER fdw_errors OPTIONS (fetch_size ''0'')');
CREATE FOREIGN TABLE wrong_type (_id integer, p point OPTIONS (path 'n')) SERVER fdw_errors OPTIONS (collection 'c');
SELECT * FROM attempt('SELECT p FROM wrong_type');
EXPLAIN (COSTS OFF) SELECT count(*) FROM wrong_type;

-- What MongoDB refuses.
SELECT mongo_migrate.run_command('fdw_errors', '{"create": "broken", "viewOn": "c",
    "pipeline": [{"$project": {"x": {"$divide": [1, {"$subtract": [1, 1]}]}}}]}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE broken (x integer) SERVER fdw_errors;
SELECT * FROM attempt('SELECT * FROM broken');
CREATE FOREIGN TABLE "bad..name" (x integer) SERVER fdw_errors OPTIONS (collection '$bad');
SELECT * FROM attempt('SELECT * FROM "bad..name"');

-- A condition that is larger than what MongoDB takes
SELECT state, message, hint FROM attempt('SELECT * FROM c WHERE n = ANY ((SELECT array_agg(g) FROM generate_series(1, 1500000) g)::bigint[])');

-- A server that is down: a plan can be made, a query fails.
CREATE SERVER fdw_down FOREIGN DATA WRAPPER mongo_migrate
    OPTIONS (uri 'mongodb://127.0.0.1:1/', database 'x', server_selection_timeout_ms '1');
CREATE FOREIGN TABLE down (_id bigint) SERVER fdw_down;
\x off
EXPLAIN (COSTS OFF) SELECT * FROM down WHERE _id = 1;
\x on
SELECT state, message FROM attempt('SELECT * FROM down');

-- Rights: the mapping of the view's owner is used for a view's table.
CREATE ROLE regress_fdw_owner;
CREATE ROLE regress_fdw_reader;
GRANT USAGE ON FOREIGN SERVER fdw_errors TO regress_fdw_owner;
CREATE VIEW c_view AS SELECT n FROM c WHERE n = 1;
GRANT SELECT ON c TO regress_fdw_owner;
ALTER VIEW c_view OWNER TO regress_fdw_owner;
GRANT SELECT ON c_view TO regress_fdw_reader;
CREATE USER MAPPING FOR regress_fdw_reader SERVER fdw_errors OPTIONS (username 'nobody', password 'wrong');
SET ROLE regress_fdw_reader;
SELECT * FROM c_view;
SELECT state, message FROM attempt('SELECT n FROM c');
RESET ROLE;
GRANT SELECT ON c TO regress_fdw_reader;
SET ROLE regress_fdw_reader;
SELECT state, message FROM attempt('SELECT n FROM c WHERE n = 1');
RESET ROLE;

-- A type that no value has: which column of which table is it?
\set SHOW_CONTEXT errors
CREATE FOREIGN TABLE c_span (_id integer, n interval) SERVER fdw_errors OPTIONS (collection 'c');
SELECT * FROM c_span;
INSERT INTO c_span VALUES (1, '1 day');
\set SHOW_CONTEXT never

\x off
SELECT mongo_migrate.run_command('fdw_errors', '{"dropDatabase": 1}') ->> 'ok' AS ok;
SET client_min_messages = warning;
DROP VIEW c_view;
DROP SERVER fdw_errors CASCADE;
DROP SERVER fdw_down CASCADE;
DROP FUNCTION attempt;
DROP ROLE regress_fdw_owner, regress_fdw_reader;

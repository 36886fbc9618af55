-- Connections: commands and queries, the session's cache, who may connect, what goes wrong.
\getenv mongo_uri MONGO_URI
CREATE SERVER conn FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_connection');

-- What a statement fails with; the driver's own words differ between its versions.
CREATE FUNCTION attempt(statement text, OUT state text, OUT message text, OUT hint text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    message := 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS state = RETURNED_SQLSTATE, message = MESSAGE_TEXT, hint = PG_EXCEPTION_HINT;
END
$$;

-- Commands.
SELECT mongo_migrate.run_command('conn', '{"dropDatabase": 1}')->'ok';
SELECT mongo_migrate.run_command('conn', '{"insert": "c", "documents": [
    {"_id": 1, "b": "x", "a": {"$numberLong": "2"}}, {"_id": 2, "price": 1.5}, {"_id": 3, "tags": ["ä", "\u0000", null]}]}')->'n';
SELECT * FROM mongo_migrate.find_documents('conn', 'c');
SELECT * FROM mongo_migrate.find_documents('conn', 'c', '{"_id": {"$lt": 3}}', '{"sort": {"_id": -1}}', 'canonical');
SELECT * FROM mongo_migrate.find_documents('conn', 'c', options => '{"projection": {"price": 1}, "limit": 1, "skip": 1}');
SELECT d -> '_id' AS _id FROM mongo_migrate.find_documents('conn', 'c', max_bytes => 1) AS d;
SELECT * FROM mongo_migrate.find_documents('conn', 'none');
SELECT * FROM mongo_migrate.aggregate_documents('conn', 'c', '[{"$group": {"_id": null, "n": {"$sum": 1}}}]');
SELECT mongo_migrate.find_documents(NULL, 'c');
SELECT count(*) FROM (SELECT mongo_migrate.find_documents('conn', 'c')) s;

-- More than a batch.
SELECT mongo_migrate.run_command('conn', (SELECT json_build_object('insert', 'many', 'documents',
    json_agg(json_build_object('_id', i))) FROM generate_series(1, 1000) i))->'n';
SELECT count(*), sum((d->>'_id')::int) FROM mongo_migrate.find_documents('conn', 'many', options => '{"batchSize": 7}') d;

-- A pipeline that writes; a cursor without an end, of which what is there is read.
SELECT mongo_migrate.aggregate_documents('conn', 'many', '[{"$limit": 3}, {"$out": "written"}]');
SELECT mongo_migrate.aggregate_documents('conn', 'many', '[{"$match": {"_id": {"$in": [7, 8]}}}, {"$merge": {"into": "written"}}]');
SELECT count(*) FROM mongo_migrate.find_documents('conn', 'written');
SELECT mongo_migrate.run_command('conn', '{"create": "capped", "capped": true, "size": 10000}') -> 'ok';
SELECT mongo_migrate.run_command('conn', '{"insert": "capped", "documents": [{"_id": 1}, {"_id": 2}, {"_id": 3}]}') -> 'n';
SELECT mongo_migrate.find_documents('conn', 'capped', options => '{"tailable": true, "batchSize": 2}');

-- The database of the connection string, and a number of members to write to.
SELECT regexp_replace(:'mongo_uri', '^([a-z+]+://[^/]*)/?', '\1/mm_test_connection') AS uri_with_database \gset
CREATE SERVER conn_uri FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'uri_with_database', write_concern '1');
SELECT mongo_migrate.find_documents('conn_uri', 'capped');
CREATE FOREIGN TABLE written (_id integer) SERVER conn_uri;
INSERT INTO written VALUES (-1) RETURNING _id;
SELECT mongo_migrate.disconnect('conn_uri');
DROP SERVER conn_uri CASCADE;

-- What the server refuses.
SELECT a.* FROM (VALUES
    ($$SELECT mongo_migrate.run_command('conn', '{"nope": 1}')$$),
    ($$SELECT mongo_migrate.run_command('conn', '{}')$$),
    ($$SELECT mongo_migrate.run_command('conn', '{"insert": "c", "documents": [{"_id": 1}]}')$$),
    ($$SELECT mongo_migrate.run_command('conn', '{"collMod": "none"}')$$),
    ($$SELECT mongo_migrate.run_command('conn', '[1]')$$),
    ($$SELECT mongo_migrate.run_command('conn', '{"find": "c", "filter": {"_id": {"$oid": "6b06"}}}')$$),
    ($$SELECT mongo_migrate.run_command('conn', '{"find": "c", "$db": "admin"}')$$),
    ($$SELECT mongo_migrate.find_documents('conn', 'c', '{"$nope": 1}')$$),
    ($$SELECT mongo_migrate.find_documents('conn', 'c', options => '{"nope": 1}')$$),
    ($$SELECT mongo_migrate.find_documents('conn', 'c', options => '{"maxTimeMS": -1}')$$),
    ($$SELECT mongo_migrate.find_documents('conn', 'c', options => '{"limit": -1}')$$),
    ($$SELECT mongo_migrate.find_documents('conn', 'c', mode => 'plain')$$),
    ($$SELECT mongo_migrate.find_documents('conn', 'c', mode => 'fancy')$$),
    ($$SELECT mongo_migrate.find_documents('conn', '')$$),
    ($$SELECT mongo_migrate.find_documents('conn', 'c', '[1]')$$),
    ($$SELECT mongo_migrate.find_documents('conn', 'c', '7')$$),
    ($$SELECT mongo_migrate.aggregate_documents('conn', 'c', '[{"$nope": 1}]')$$),
    ($$SELECT mongo_migrate.aggregate_documents('conn', 'c', '{"$match": {}}')$$)) v(s), attempt(s) a;

-- The session holds one connection to a server and role.
SELECT server, user_name = current_user AS own, valid, cursors FROM mongo_migrate.connections();
BEGIN;
SELECT mongo_migrate.run_command('conn', '{"ping": 1}')->'ok';
SELECT mongo_migrate.disconnect('conn');    -- in use: later
SELECT server, user_name = current_user AS own, valid, cursors FROM mongo_migrate.connections();
COMMIT;
SELECT server, user_name = current_user AS own, valid, cursors FROM mongo_migrate.connections();
SELECT mongo_migrate.run_command('conn', '{"ping": 1}')->'ok';
SELECT mongo_migrate.disconnect('conn');
SELECT mongo_migrate.disconnect('conn');
SELECT mongo_migrate.disconnect_all();
SELECT server, user_name = current_user AS own, valid, cursors FROM mongo_migrate.connections();

-- Options that change are obeyed at once, in the same transaction too.
BEGIN;
SELECT count(*) FROM mongo_migrate.find_documents('conn', 'c');
ALTER SERVER conn OPTIONS (SET database 'mm_test_connection_2');
SELECT count(*) FROM mongo_migrate.find_documents('conn', 'c');
ROLLBACK;
SELECT count(*) FROM mongo_migrate.find_documents('conn', 'c');
CREATE USER MAPPING FOR CURRENT_USER SERVER conn OPTIONS (username 'nobody', password 'wrong-secret');
SELECT * FROM attempt($$SELECT mongo_migrate.run_command('conn', '{"ping": 1}')$$);
DROP USER MAPPING FOR CURRENT_USER SERVER conn;
CREATE USER MAPPING FOR PUBLIC SERVER conn OPTIONS (username 'nobody', password 'wrong-secret');
SELECT * FROM attempt($$SELECT mongo_migrate.run_command('conn', '{"ping": 1}')$$);
DROP USER MAPPING FOR PUBLIC SERVER conn;
SELECT mongo_migrate.run_command('conn', '{"ping": 1}')->'ok';
ALTER SERVER conn OPTIONS (ADD keep_connections 'false');
SELECT mongo_migrate.run_command('conn', '{"ping": 1}')->'ok';
SELECT server, user_name = current_user AS own, valid, cursors FROM mongo_migrate.connections();
ALTER SERVER conn OPTIONS (DROP keep_connections);

-- The other options of a server work.
ALTER SERVER conn OPTIONS (ADD read_preference 'nearest', ADD read_concern 'majority', ADD compressors 'zlib',
    ADD app_name 'mm test', ADD server_selection_timeout_ms '5000', ADD connect_timeout_ms '5000');
SELECT count(*) FROM mongo_migrate.find_documents('conn', 'c');

-- What does not connect.
CREATE SERVER conn_bad FOREIGN DATA WRAPPER mongo_migrate;
SELECT * FROM attempt($$SELECT mongo_migrate.run_command('conn_bad', '{"ping": 1}')$$);
ALTER SERVER conn_bad OPTIONS (ADD uri 'mongodb://127.0.0.1:1/');
SELECT * FROM attempt($$SELECT mongo_migrate.run_command('conn_bad', '{"ping": 1}')$$);
ALTER SERVER conn_bad OPTIONS (SET uri 'mongodb://host.invalid/');
SELECT * FROM attempt($$SELECT mongo_migrate.run_command('conn_bad', '{"ping": 1}')$$);
ALTER SERVER conn_bad OPTIONS (SET uri 'mongodb+srv://cluster.name.invalid/');
SELECT * FROM attempt($$SELECT mongo_migrate.run_command('conn_bad', '{"ping": 1}')$$);
ALTER SERVER conn_bad OPTIONS (SET uri :'mongo_uri');
SELECT * FROM attempt($$SELECT mongo_migrate.run_command('conn_bad', '{"ping": 1}')$$);
ALTER SERVER conn_bad OPTIONS (ADD database 'mm_test_connection', ADD replica_set 'other');
SELECT * FROM attempt($$SELECT mongo_migrate.run_command('conn_bad', '{"ping": 1}')$$);
ALTER SERVER conn_bad OPTIONS (DROP replica_set, ADD tls 'true');
SELECT * FROM attempt($$SELECT mongo_migrate.run_command('conn_bad', '{"ping": 1}')$$);
ALTER SERVER conn_bad OPTIONS (DROP tls, ADD auth_mechanism 'PLAIN');
CREATE USER MAPPING FOR CURRENT_USER SERVER conn_bad OPTIONS (username 'u', password 'wrong-secret');
SELECT * FROM attempt($$SELECT mongo_migrate.run_command('conn_bad', '{"ping": 1}')$$);
SELECT * FROM attempt($$SELECT mongo_migrate.run_command('conn_bat', '{"ping": 1}')$$);
SELECT * FROM attempt($$SELECT mongo_migrate.run_command('nothing like it', '{"ping": 1}')$$);
CREATE FOREIGN DATA WRAPPER regress_mm_other;
CREATE SERVER conn_other FOREIGN DATA WRAPPER regress_mm_other;
SELECT * FROM attempt($$SELECT mongo_migrate.run_command('conn_other', '{"ping": 1}')$$);
DROP FOREIGN DATA WRAPPER regress_mm_other CASCADE;

-- Who may connect: without credentials, to a superuser's server with USAGE on it.
CREATE ROLE regress_mm_conn;
GRANT USAGE ON SCHEMA mongo_migrate TO regress_mm_conn;
GRANT EXECUTE ON FUNCTION mongo_migrate.run_command, mongo_migrate.connections TO regress_mm_conn;
SET ROLE regress_mm_conn;
SELECT * FROM attempt($$SELECT mongo_migrate.run_command('conn', '{"ping": 1}')$$);
RESET ROLE;
GRANT USAGE ON FOREIGN SERVER conn TO regress_mm_conn;
SET ROLE regress_mm_conn;
SELECT mongo_migrate.run_command('conn', '{"ping": 1}')->'ok';
SELECT server, user_name = current_user AS own, valid, cursors FROM mongo_migrate.connections() ORDER BY 2;
RESET ROLE;
-- ... but not to a server of its own choice,
GRANT USAGE ON FOREIGN DATA WRAPPER mongo_migrate TO regress_mm_conn;
SET ROLE regress_mm_conn;
CREATE SERVER conn_own FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_connection');
SELECT * FROM attempt($$SELECT mongo_migrate.run_command('conn_own', '{"ping": 1}')$$);
CREATE USER MAPPING FOR CURRENT_USER SERVER conn_own OPTIONS (username 'nobody');
SELECT * FROM attempt($$SELECT mongo_migrate.run_command('conn_own', '{"ping": 1}')$$);
ALTER USER MAPPING FOR CURRENT_USER SERVER conn_own OPTIONS (ADD password 'wrong-secret');
SELECT * FROM attempt($$SELECT mongo_migrate.run_command('conn_own', '{"ping": 1}')$$);
-- ... nor with the server's certificate,
ALTER SERVER conn_own OPTIONS (ADD auth_mechanism 'MONGODB-X509');
SELECT * FROM attempt($$SELECT mongo_migrate.run_command('conn_own', '{"ping": 1}')$$);
ALTER SERVER conn_own OPTIONS (DROP auth_mechanism);
DROP USER MAPPING FOR CURRENT_USER SERVER conn_own;
RESET ROLE;
-- ... unless a superuser lets it.
CREATE USER MAPPING FOR regress_mm_conn SERVER conn_own OPTIONS (password_required 'false');
SET ROLE regress_mm_conn;
SELECT mongo_migrate.run_command('conn_own', '{"ping": 1}')->'ok';
RESET ROLE;

SELECT mongo_migrate.run_command('conn', '{"dropDatabase": 1}')->'ok';
SELECT mongo_migrate.disconnect_all();
SET client_min_messages = warning;
DROP OWNED BY regress_mm_conn CASCADE;
DROP ROLE regress_mm_conn;
DROP SERVER conn, conn_bad CASCADE;
DROP FUNCTION attempt;

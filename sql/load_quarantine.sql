-- Documents that cannot become rows go into quarantine, with the reason; the others go in.
\getenv mongo_uri MONGO_URI
CREATE SERVER load_quarantine FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_load_quarantine');
SET load.server = 'load_quarantine';
SELECT mongo_migrate.run_command('load_quarantine', '{"dropDatabase": 1}')->'ok' AS ok;
CREATE SCHEMA load_quarantine;
SET search_path = load_quarantine;
\getenv abs_srcdir PG_ABS_SRCDIR
\set file :abs_srcdir '/sql/include/plan_by_hand.sql'
\i :file

CREATE VIEW entries AS
    SELECT source_id, target, path, reason, sqlstate, hint FROM mongo_migrate.quarantine
    WHERE server = 'load_quarantine' ORDER BY quarantine_id;

-- Values that their columns cannot hold, at every depth.
SELECT mongo_migrate.run_command('load_quarantine', '{"insert": "values", "documents": [
    {"_id": 1, "n": 1, "t": "ok", "address": {"city": "Rome"}, "items": [{"sku": "a", "price": 1}]},
    {"_id": 2, "n": {"$numberLong": "3000000000"}, "t": "ok"},
    {"_id": 3, "n": "3", "t": "ok"},
    {"_id": 4, "n": 4.5, "t": "ok"},
    {"_id": 5, "n": 5, "t": "a\u0000b"},
    {"_id": 6, "n": 6, "t": "longer than ten"},
    {"_id": 7, "n": 7, "t": null},
    {"_id": 8, "n": 8},
    {"_id": 9, "n": 9, "t": "ok", "address": "Rome"},
    {"_id": 10, "n": 10, "t": "ok", "items": {"sku": "a"}},
    {"_id": 11, "n": 11, "t": "ok", "items": [{"sku": "a", "price": 1}, {"sku": "b", "price": "much"}]},
    {"_id": 12, "n": 12, "t": "ok", "items": [{"sku": "a", "price": 1}, "b"]},
    {"_id": 13, "n": -1, "t": "ok", "items": [{"sku": "a", "price": 1}]},
    {"_id": 14, "n": 14, "t": "ok", "items": [{"sku": "a", "price": 1}, {"sku": "a", "price": 1}]},
    {"_id": 15, "n": 15, "t": "ok", "items": [{"sku": null, "price": 1}]},
    {"_id": 16, "n": 16, "t": "ok", "address": null, "items": null}]}')->'n' AS n;
CREATE TABLE things (id bigint NOT NULL, n integer CHECK (n > 0), t varchar(10) NOT NULL, city text);
CREATE TABLE thing_items (thing_id bigint NOT NULL, position integer NOT NULL, sku text NOT NULL, price numeric,
    UNIQUE (thing_id, sku));
SELECT pg_temp.plan('values', 'load_quarantine.things', '{"id": "id _id bigint", "n": "value n integer", "t": "value t varchar(10)", "city": "value address.city text"}');
SELECT pg_temp.plan('values', 'load_quarantine.thing_items', '{"thing_id": "parent id bigint", "position": "position - integer", "sku": "value sku text", "price": "value price numeric"}',
    'load_quarantine.things', 'items');
SELECT * FROM mongo_migrate.copy_batch('load_quarantine', 'values', 1, 10, run_id => 42);
SELECT * FROM mongo_migrate.copy_batch('load_quarantine', 'values', 1, 10, run_id => 42);
SELECT n, t, city FROM things ORDER BY n;
SELECT t.n, i.position, i.sku, i.price FROM thing_items AS i JOIN things AS t ON t.id = i.thing_id;
\x on
TABLE entries;
\x off
SELECT count(*) FROM mongo_migrate.quarantine WHERE server = 'load_quarantine' AND run_id = 42;
-- An entry is the document, byte for byte.
SELECT source_id, mongo_migrate.bson_to_json(document, 'relaxed') AS document FROM mongo_migrate.quarantine
    WHERE server = 'load_quarantine' AND source_id IN ('5', '12') ORDER BY source_id::integer;

-- Nothing changes, nothing happens; then documents, table and plan are mended.
SELECT * FROM mongo_migrate.retry_quarantine('load_quarantine', 'values');
SELECT count(*) FROM entries;
-- Another database, where nothing of it is, does not make them gone.
ALTER SERVER load_quarantine OPTIONS (SET database 'mm_test_load_quarantine_other');
\set SHOW_CONTEXT never
SELECT * FROM mongo_migrate.retry_quarantine('load_quarantine', 'values');
\set SHOW_CONTEXT errors
ALTER SERVER load_quarantine OPTIONS (SET database 'mm_test_load_quarantine');
SELECT count(*) FROM entries;
SELECT mongo_migrate.run_command('load_quarantine', '{"update": "values", "updates": [
    {"q": {"_id": 3}, "u": {"$set": {"n": 3}}}, {"q": {"_id": 8}, "u": {"$set": {"t": "eight"}}},
    {"q": {"_id": 11}, "u": {"$set": {"items.1.price": 2}}}, {"q": {"_id": 12}, "u": {"$set": {"items.1": 12}}}]}')->'nModified' AS modified;
SELECT mongo_migrate.run_command('load_quarantine', '{"delete": "values", "deletes": [{"q": {"_id": 5}, "limit": 1}]}')->'n' AS deleted;
ALTER TABLE thing_items DROP CONSTRAINT thing_items_thing_id_sku_key, ALTER sku DROP NOT NULL;
SELECT * FROM mongo_migrate.retry_quarantine('load_quarantine');
SELECT source_id, path, reason FROM entries;
SELECT t.n, t.t, i.position, i.sku, i.price FROM thing_items AS i JOIN things AS t ON t.id = i.thing_id ORDER BY 1, 3;
-- A document in quarantine has no rows: one with its id is not taken for its own.
UPDATE mongo_migrate.quarantine SET document = mongo_migrate.bson_from_json('{"_id": 1}'), key = mongo_migrate.bson_key('1'), source_id = '1'
    WHERE server = 'load_quarantine' AND source_id = '2';
SELECT * FROM mongo_migrate.retry_quarantine('load_quarantine');
SELECT count(*) FROM things WHERE n = 1;
SELECT count(*) FROM entries;

-- A catch-up pass skips what is there, or in quarantine, and takes what is new.
SELECT mongo_migrate.run_command('load_quarantine', '{"insert": "values", "documents": [{"_id": 2.5, "n": 25, "t": "new", "items": []}]}')->'n' AS n;
UPDATE mongo_migrate.chunk SET complete = false, last_id = NULL, catching_up = true WHERE server = 'load_quarantine' AND collection = 'values';
SELECT * FROM mongo_migrate.copy_batch('load_quarantine', 'values', 1, 10);
SELECT * FROM mongo_migrate.copy_batch('load_quarantine', 'values', 1, 10);
SELECT count(*), count(DISTINCT id) FROM things;

-- on_error => 'stop' names the document, and nothing stays.
SELECT mongo_migrate.run_command('load_quarantine', '{"insert": "stops", "documents": [{"_id": "a", "n": 1}, {"_id": "b", "n": 2}, {"_id": "c", "n": -3}, {"_id": "d", "n": "four"}]}')->'n' AS n;
CREATE TABLE stops (id bigint NOT NULL, n integer CHECK (n > 0));
SELECT pg_temp.plan('stops', 'load_quarantine.stops', '{"id": "id _id bigint", "n": "value n integer"}');
SELECT mongo_migrate.copy_batch('load_quarantine', 'stops', 1, 3, 'stop');
SELECT mongo_migrate.copy_batch('load_quarantine', 'stops', 1, 4, 'stop');
SELECT count(*) FROM stops;
SELECT mongo_migrate.copy_batch('load_quarantine', 'stops', 1, 2, 'stop');
SELECT mongo_migrate.copy_batch('load_quarantine', 'stops', 1, 2, 'whatever');
SELECT mongo_migrate.copy_batch('load_quarantine', 'stops', 1, 2, 'quarantine');

-- A table that had rows before: a conflict is the document's, and the rows stay as they were.
SELECT mongo_migrate.run_command('load_quarantine', '{"insert": "existing", "documents": [{"_id": 1, "name": "new one"}, {"_id": 2, "name": "new two"}, {"_id": 3, "name": "taken"}]}')->'n' AS n;
INSERT INTO mongo_migrate.id_map (server, collection, id_type) VALUES ('load_quarantine', 'existing', 'source');
CREATE TABLE existing (id integer PRIMARY KEY, name text UNIQUE);
INSERT INTO existing VALUES (1, 'old one'), (9, 'taken');
SELECT pg_temp.plan('existing', 'load_quarantine.existing', '{"id": "id _id integer", "name": "value name text"}');
SELECT * FROM mongo_migrate.copy_batch('load_quarantine', 'existing', 1);
TABLE existing;
SELECT source_id, reason, sqlstate FROM entries WHERE target = 'load_quarantine.existing';

-- PostgreSQL says of NaN that its cast to an integer is not supported.
SELECT mongo_migrate.run_command('load_quarantine', '{"insert": "nans", "documents": [
    {"_id": 1, "n": 1}, {"_id": 2, "n": {"$numberDouble": "NaN"}}, {"_id": 3, "n": {"$numberDouble": "-Infinity"}}, {"_id": 4, "n": 4}]}') -> 'n' AS n;
CREATE TABLE nans (id integer PRIMARY KEY, n bigint);
SELECT pg_temp.plan('nans', 'load_quarantine.nans', '{"id": "id _id integer", "n": "value n bigint"}');
UPDATE mongo_migrate.plan_column SET expression = 'value', source_type = 'numeric' WHERE (server, collection, column_name) = ('load_quarantine', 'nans', 'n');
SELECT * FROM mongo_migrate.copy_batch('load_quarantine', 'nans', 1);
SELECT source_id, path, reason, sqlstate FROM entries WHERE target = 'load_quarantine.nans';
TABLE nans;
-- So it does of a unit that a type does not have, and of some arrays.
SELECT mongo_migrate.run_command('load_quarantine', '{"insert": "units", "documents": [
    {"_id": 1, "unit": "day", "list": [1, 2]}, {"_id": 2, "unit": "timezone", "list": [1]}, {"_id": 3, "unit": "year", "list": [[1], [2]]}]}') -> 'n' AS n;
CREATE TABLE units (id integer PRIMARY KEY, unit timestamp, list integer[]);
SELECT pg_temp.plan('units', 'load_quarantine.units', '{"id": "id _id integer", "unit": "value unit timestamp", "list": "value list integer[]"}');
UPDATE mongo_migrate.plan_column SET expression = 'date_trunc(value, timestamp ''2026-11-30 15:01'')', source_type = 'text' WHERE (server, collection, column_name) = ('load_quarantine', 'units', 'unit');
UPDATE mongo_migrate.plan_column SET expression = 'array_remove(value, 1)' WHERE (server, collection, column_name) = ('load_quarantine', 'units', 'list');
SELECT * FROM mongo_migrate.copy_batch('load_quarantine', 'units', 1);
SELECT source_id, path, reason, sqlstate FROM entries WHERE target = 'load_quarantine.units';
TABLE units;

-- A label that an enum gets between two batches, as the hint has it, is known to the next.
SELECT mongo_migrate.run_command('load_quarantine', '{"insert": "paints", "documents": [
    {"_id": 1, "colour": "red"}, {"_id": 2, "colour": "blue"}, {"_id": 3, "colour": "blue"}]}') -> 'n' AS n;
CREATE TYPE colour AS ENUM ('red');
CREATE TABLE paints (id integer PRIMARY KEY, colour colour);
SELECT pg_temp.plan('paints', 'load_quarantine.paints', '{"id": "id _id integer", "colour": "value colour load_quarantine.colour"}');
SELECT inserted, rejected FROM mongo_migrate.copy_batch('load_quarantine', 'paints', 1, 2);
SELECT hint FROM entries WHERE target = 'load_quarantine.paints';
ALTER TYPE colour ADD VALUE 'blue';
SELECT inserted, rejected FROM mongo_migrate.copy_batch('load_quarantine', 'paints', 1, 2);
-- But not before that is committed: an index with it could not be read after a rollback.
SELECT mongo_migrate.run_command('load_quarantine', '{"insert": "paints", "documents": [{"_id": 4, "colour": "green"}]}') -> 'n' AS n;
UPDATE mongo_migrate.chunk SET complete = false WHERE (server, collection) = ('load_quarantine', 'paints');
BEGIN;
ALTER TYPE colour ADD VALUE 'green';
SELECT inserted, rejected FROM mongo_migrate.copy_batch('load_quarantine', 'paints', 1, 2);
ROLLBACK;

-- Elements of an array whose domain refuses them, or throws for them.
SELECT mongo_migrate.run_command('load_quarantine', '{"insert": "shares", "documents": [
    {"_id": 1, "parts": [1, 2]}, {"_id": 2, "parts": [2, 0]}, {"_id": 3, "parts": [[5], [99]]}, {"_id": 4, "parts": [[3], [4]]}]}') -> 'n' AS n;
CREATE DOMAIN part AS numeric(5,2) CHECK (50 / value >= 1);
CREATE TABLE shares (id integer PRIMARY KEY, parts part[]);
SELECT pg_temp.plan('shares', 'load_quarantine.shares', '{"id": "id _id integer", "parts": "value parts load_quarantine.part[]"}');
SELECT inserted, rejected FROM mongo_migrate.copy_batch('load_quarantine', 'shares', 1);
SELECT source_id, path, reason, sqlstate FROM entries WHERE target = 'load_quarantine.shares';
TABLE shares;

-- An id by which no row can be found again.
SELECT mongo_migrate.run_command('load_quarantine', '{"insert": "places", "documents": [{"_id": {"x": 1}}]}') -> 'n' AS n;
INSERT INTO mongo_migrate.id_map (server, collection, id_type) VALUES ('load_quarantine', 'places', 'source');
CREATE TABLE places (id json);
SELECT pg_temp.plan('places', 'load_quarantine.places', '{"id": "id _id json"}');
SELECT inserted, rejected FROM mongo_migrate.copy_batch('load_quarantine', 'places', 1);
UPDATE mongo_migrate.chunk SET complete = false, last_id = NULL, catching_up = true WHERE (server, collection) = ('load_quarantine', 'places');
SELECT inserted, rejected FROM mongo_migrate.copy_batch('load_quarantine', 'places', 1);

-- What an attempt to insert takes is freed as it ends, however many documents of a batch fail.  A sequence keeps the
-- most memory that was measured, which a rollback of the attempt would take back.
CREATE SEQUENCE memory;
CREATE FUNCTION measure() RETURNS boolean LANGUAGE sql AS $$
    SELECT setval('load_quarantine.memory', greatest(last_value, sum(total_bytes)::bigint)) < 0
    FROM pg_backend_memory_contexts, load_quarantine.memory GROUP BY last_value $$;
SELECT measure();
SELECT last_value AS before FROM memory \gset
SELECT mongo_migrate.run_command('load_quarantine', json_build_object('insert', 'refused', 'documents',
    json_agg(json_build_object('_id', n)))) ->> 'n' AS n FROM generate_series(1, 500) AS n;
CREATE TABLE refused (id integer PRIMARY KEY, CHECK (load_quarantine.measure()));
SELECT pg_temp.plan('refused', 'load_quarantine.refused', '{"id": "id _id integer"}');
SELECT rejected FROM mongo_migrate.copy_batch('load_quarantine', 'refused', 1);
SELECT (last_value - :before) / 500 < 20000 AS less_than_20_kb_a_document FROM memory;

\set file :abs_srcdir '/sql/include/forget_server.sql'
\i :file
\set VERBOSITY terse
SET client_min_messages = error;
DROP SCHEMA load_quarantine CASCADE;
DROP SERVER load_quarantine;

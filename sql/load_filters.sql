-- A filter for each table: one collection feeds two, or only its live documents.
\getenv mongo_uri MONGO_URI
CREATE SERVER load_filters FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_load_filters');
SET load.server = 'load_filters';
SELECT mongo_migrate.run_command('load_filters', '{"dropDatabase": 1}')->'ok' AS ok;
CREATE SCHEMA load_filters;
SET search_path = load_filters;
\getenv abs_srcdir PG_ABS_SRCDIR
\set file :abs_srcdir '/sql/include/plan_by_hand.sql'
\i :file

SELECT mongo_migrate.run_command('load_filters', '{"insert": "parties", "documents": [
    {"_id": 1, "kind": "person", "name": "Ada", "phones": ["1", "2"]},
    {"_id": 2, "kind": "firm", "name": "Acme", "phones": ["3"], "seats": ["Rome"]},
    {"_id": "three", "kind": "person", "name": "Cy", "deleted": true, "phones": ["4"]},
    {"_id": 4, "kind": "robot", "name": "R2"},
    {"_id": 5, "kind": "firm", "name": "Bolt", "seats": ["Oslo", "Bonn"]},
    {"_id": null, "kind": "person", "name": "Di", "seats": "of no firm"}]}')->'n' AS n;

-- The same filter of all: the server applies it.
CREATE TABLE live (id bigint NOT NULL, name text);
CREATE TABLE live_kinds (id bigint NOT NULL, kind text);
SELECT pg_temp.plan('parties', 'load_filters.live', '{"id": "id _id bigint", "name": "value name text"}');
SELECT pg_temp.plan('parties', 'load_filters.live_kinds', '{"id": "id _id bigint", "kind": "value kind text"}');
UPDATE mongo_migrate.plan_target SET filter = '{"deleted": {"$ne": true}, "kind": {"$in": ["person", "firm"]}}' WHERE server = 'load_filters';
SELECT * FROM mongo_migrate.copy_batch('load_filters', 'parties', 1, 2);
SELECT * FROM mongo_migrate.copy_batch('load_filters', 'parties', 1, 10);
SELECT name, kind FROM live JOIN live_kinds USING (id) ORDER BY 1;
SELECT gone FROM mongo_migrate.copy_documents('load_filters', 'parties', ARRAY[mongo_migrate.bson_from_json('{"_id": "three"}')]);

-- A filter of each: documents go where they match, with their children, and those that match nowhere are not read.
DELETE FROM mongo_migrate.plan_target WHERE server = 'load_filters';
CREATE TABLE persons (id bigint NOT NULL, name text);
CREATE TABLE firms (id bigint NOT NULL, name text NOT NULL);
CREATE TABLE person_phones (person_id bigint NOT NULL, n int NOT NULL, phone text);
CREATE TABLE firm_phones (firm_id bigint NOT NULL, n int NOT NULL, phone text);
CREATE TABLE seats (firm_id bigint NOT NULL, n int NOT NULL, city text);
SELECT pg_temp.plan('parties', 'load_filters.persons', '{"id": "id _id bigint", "name": "value name text"}');
SELECT pg_temp.plan('parties', 'load_filters.firms', '{"id": "id _id bigint", "name": "value name text"}');
SELECT pg_temp.plan('parties', 'load_filters.person_phones', '{"person_id": "parent id bigint", "n": "position - int", "phone": "value $ text"}', 'load_filters.persons', 'phones');
SELECT pg_temp.plan('parties', 'load_filters.firm_phones', '{"firm_id": "parent id bigint", "n": "position - int", "phone": "value $ text"}', 'load_filters.firms', 'phones');
SELECT pg_temp.plan('parties', 'load_filters.seats', '{"firm_id": "parent id bigint", "n": "position - int", "city": "value $ text"}', 'load_filters.firms', 'seats');
UPDATE mongo_migrate.plan_target SET filter = '{"kind": "person"}' WHERE server = 'load_filters' AND target = 'load_filters.persons';
UPDATE mongo_migrate.plan_target SET filter = '{"kind": "firm"}' WHERE server = 'load_filters' AND target = 'load_filters.firms';
UPDATE mongo_migrate.chunk SET complete = false, last_id = NULL WHERE server = 'load_filters';
SELECT * FROM mongo_migrate.copy_batch('load_filters', 'parties', 1, 2);
SELECT * FROM mongo_migrate.copy_batch('load_filters', 'parties', 1, 10);
SELECT p.name, f.n, f.phone FROM persons AS p LEFT JOIN person_phones AS f ON f.person_id = p.id ORDER BY 1, 2;
SELECT p.name, f.n, f.phone, s.n, s.city FROM firms AS p LEFT JOIN firm_phones AS f ON f.firm_id = p.id
    LEFT JOIN seats AS s ON s.firm_id = p.id ORDER BY 1, 2, 4;
-- A catch-up pass knows them in either table.
UPDATE mongo_migrate.chunk SET complete = false, last_id = NULL, catching_up = true WHERE server = 'load_filters';
SELECT * FROM mongo_migrate.copy_batch('load_filters', 'parties', 1, 10);

-- A parent that is not loaded still gives its children their key.
DELETE FROM mongo_migrate.plan_target WHERE server = 'load_filters' AND target LIKE '%person%';
UPDATE mongo_migrate.plan_target SET included = false WHERE server = 'load_filters' AND target = 'load_filters.firms';
UPDATE mongo_migrate.chunk SET complete = false, last_id = NULL, catching_up = false WHERE server = 'load_filters';
TRUNCATE seats, firms;
SELECT * FROM mongo_migrate.copy_batch('load_filters', 'parties', 1, 10);
SELECT count(*) FROM firms;
SELECT mongo_migrate.source_id('load_filters', 'parties', firm_id::text) AS firm, n, city FROM seats ORDER BY city;
UPDATE mongo_migrate.chunk SET complete = false, last_id = NULL, catching_up = true WHERE server = 'load_filters';
SELECT * FROM mongo_migrate.copy_batch('load_filters', 'parties', 1, 10);
UPDATE mongo_migrate.plan_target SET included = true, filter = '{"kind": {"$nonsense": 1}}' WHERE server = 'load_filters' AND target = 'load_filters.firms';
SELECT * FROM mongo_migrate.copy_batch('load_filters', 'parties', 1, 10);

\set file :abs_srcdir '/sql/include/forget_server.sql'
\i :file
\set VERBOSITY terse
SET client_min_messages = error;
DROP SCHEMA load_filters CASCADE;
DROP SERVER load_filters;

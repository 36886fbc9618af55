-- What plan_collection makes of a collection.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
CREATE SERVER plan FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_plan');
CREATE USER MAPPING FOR CURRENT_USER SERVER plan;
SELECT mongo_migrate.run_command('plan', '{"dropDatabase": 1}') ->> 'ok' AS ok;

CREATE FUNCTION load(collection text, VARIADIC documents json[]) RETURNS json LANGUAGE sql AS $$
    SELECT mongo_migrate.run_command('plan', json_build_object('insert', collection, 'documents', documents)) -> 'n'
$$;
CREATE FUNCTION oid_json(i integer) RETURNS json LANGUAGE sql AS $$
    SELECT json_build_object('$oid', lpad(to_hex(i), 24, '5'))
$$;
CREATE VIEW targets AS
    SELECT collection, target, parent, kind, path, existing, included, note
    FROM mongo_migrate.plan_target WHERE server = 'plan' ORDER BY collection, ordinal;
CREATE VIEW columns AS
    SELECT c.collection, c.target, c.column_name, c.role, c.path, c.type, c.nullable, c.source_type, c.expression,
           c.parent_column, c.refers_to, c.key_form, c.included, c.note
    FROM mongo_migrate.plan_column AS c JOIN mongo_migrate.plan_target AS t USING (server, collection, target)
    WHERE server = 'plan' ORDER BY c.collection, t.ordinal, c.ordinal;

-- Names.
SELECT name, mongo_migrate.snake_case(name), mongo_migrate.singular(mongo_migrate.snake_case(name))
FROM unnest(ARRAY['First Name', 'createdAt', 'HTTPServer', 'userIDs', 'userID', '_id', '__v', 'a.b', '$ref', 'line1Text', 'Sakila_films',
    'addresses', 'categories', 'status', 'boxes', 'movies', 'tvSeries', 'orderStatuses', 'houses', 'caches', 'branches', 'Straße', 'ÄrgerIndex', '', '$$', '2fa', 'order', 'xmin', '"; DROP TABLE x; --']) AS name;
SELECT mongo_migrate.free_name('a', '{a,a_2}'), mongo_migrate.free_name(repeat('x', 70), ARRAY[repeat('x', 63)]),
       octet_length(mongo_migrate.free_name(repeat('ä', 40), ARRAY[repeat('ä', 31)]));

-- Sub-documents, arrays, pivots, references, a map, mixed types.
SELECT load('users', VARIADIC (SELECT array_agg(json_build_object('_id', oid_json(i), 'name', 'u' || i)) FROM generate_series(1, 9) AS i));
SELECT load('tags', VARIADIC (SELECT array_agg(json_build_object('_id', oid_json(100 + i), 'name', 't' || i)) FROM generate_series(1, 9) AS i));
SELECT load('orders',
    ('{"_id": ' || oid_json(200) || ', "userId": "' || lpad('1', 24, '5') || '", "buyer": ' || oid_json(2) || ',
      "amount": 12.5, "createdAt": {"$date": "2024-01-01T00:00:00Z"}, "order": 1, "user": "x",
      "address": {"city": "Rome", "geo": {"lat": 41.902783, "lon": 12.496366}, "phones": ["1", "2"]},
      "items": [{"sku": "a", "qty": 1, "position": 7, "discounts": [{"code": "x"}]}, {"sku": "b", "qty": 2}],
      "tagIds": [' || oid_json(101) || ', ' || oid_json(102) || '], "labels": ["a", "b"], "odd": [1, {"a": 1}],
      "empty": [], "grid": [[1]], "prefs": {"2020": 1, "2021": 2}, "loose": 5, "id": 17}')::json,
    ('{"_id": ' || oid_json(201) || ', "userId": "' || lpad('2', 24, '5') || '", "buyer": ' || oid_json(999) || ',
      "amount": "13", "createdAt": {"$date": "2024-01-02T00:00:00Z"}, "order": 2, "user": "y",
      "address": {"city": "Oslo"}, "items": [], "loose": {"a": 1}}')::json,
    ('{"_id": ' || oid_json(202) || ', "userId": "' || lpad('3', 24, '5') || '", "buyer": ' || oid_json(3) || ', "order": null}')::json);
SELECT mongo_migrate.plan_collection('plan', 'orders');
SELECT * FROM targets WHERE collection = 'orders';
SELECT target, column_name, role, path, type, nullable, source_type FROM columns WHERE collection = 'orders';
SELECT column_name, parent_column, refers_to, key_form, note FROM columns WHERE collection = 'orders' AND (refers_to IS NOT NULL OR role = 'parent');
SELECT collection, id_type, column_type FROM mongo_migrate.id_map WHERE server = 'plan' ORDER BY collection COLLATE "C";

-- The same documents, the same plan.
CREATE TABLE before AS SELECT * FROM columns;
SELECT mongo_migrate.plan_collection('plan', 'orders');
SELECT mongo_migrate.plan_collection('plan', 'orders', replan => true);
(SELECT * FROM columns EXCEPT SELECT * FROM before) UNION ALL (SELECT * FROM before EXCEPT SELECT * FROM columns);
DROP TABLE before;

-- Planned anew, the plan keeps what a person changed in it, and tells what the documents changed.
SELECT load('edits', ('{"_id": 1, "amount": 1.5, "name": "a", "code": 1, "rare": true, "odd": 1, "user": "' || lpad('1', 24, '5') || '",
    "items": [{"sku": "a", "qty": 1}], "notes": [{"text": "x"}], "logs": [{"at": 1}]}')::json);
SELECT mongo_migrate.plan_collection('plan', 'edits');
SELECT mongo_migrate.plan_collection('plan', 'edits', replan => true);
CREATE VIEW edited AS SELECT t.target, c.ordinal, c.column_name, c.role, c.path, c.type, c.nullable, c.expression, c.parent_column, c.refers_to,
        c.on_dangling, c.included
    FROM mongo_migrate.plan_column AS c JOIN mongo_migrate.plan_target AS t USING (server, collection, target)
    WHERE (c.server, c.collection) = ('plan', 'edits') ORDER BY t.ordinal, c.ordinal;
CREATE FUNCTION edit(name text, path text, change text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UPDATE mongo_migrate.plan_column SET %s WHERE server = ''plan'' AND collection = ''edits'' AND target LIKE ''%%'' || %L AND path = %L',
                   change, name, path);
END
$$;
SELECT edit('edits', 'amount', $$type = 'numeric(10,2)', expression = 'round(value::numeric, 2)', column_name = 'total'$$),
       edit('edits', 'rare', $$type = 'text'$$), edit('edits', 'user', $$on_dangling = 'keep'$$), edit('items', 'qty', $$included = false$$),
       edit('notes', 'text', $$column_name = 'body'$$), edit('edits', '_id', $$column_name = 'edit_id'$$);
UPDATE mongo_migrate.plan_column SET parent_column = 'edit_id'
    WHERE (server, collection, role) = ('plan', 'edits', 'parent') AND target <> 'public.edits_logs';
UPDATE mongo_migrate.plan_target SET target = 'public.edit_lines', note = 'mine' WHERE server = 'plan' AND target = 'public.edits_items';
DELETE FROM mongo_migrate.plan_target WHERE server = 'plan' AND target = 'public.edits_logs';
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type)
    VALUES ('plan', 'edits', 'public.edits', 'logs', 20, 'value', 'logs', 'jsonb');
-- Both a table and its child renamed, in the transaction that wrote the rows, whichever of the two is read first.
BEGIN;
UPDATE mongo_migrate.plan_target SET target = replace(target, 'public', 'other') WHERE (server, collection) = ('plan', 'edits') AND kind = 'child';
UPDATE mongo_migrate.plan_target SET target = replace(target, 'public', 'other') WHERE (server, collection) = ('plan', 'edits') AND kind = 'root';
UPDATE mongo_migrate.plan_target SET target = replace(target, 'other', 'shop') WHERE (server, collection) = ('plan', 'edits');
SET CONSTRAINTS ALL IMMEDIATE;
SELECT target, parent FROM mongo_migrate.plan_target WHERE (server, collection) = ('plan', 'edits') ORDER BY ordinal;
ROLLBACK;
-- Nothing new in the source.
CREATE TABLE before AS SELECT * FROM edited;
SELECT mongo_migrate.plan_collection('plan', 'edits', replan => true);
(SELECT 'now', * FROM edited EXCEPT SELECT 'now', * FROM before) UNION ALL (SELECT 'before', * FROM before EXCEPT SELECT 'before', * FROM edited)
    ORDER BY 1 DESC, 3;
-- Fields that came, went, and changed; a new field wants a name that a person gave.
SELECT mongo_migrate.run_command('plan', '{"delete": "edits", "deletes": [{"q": {}, "limit": 0}]}') ->> 'n' AS n;
SELECT load('edits', ('{"_id": 1, "amount": "1.5", "name": "a", "code": "x", "total": 3, "user": "' || lpad('1', 24, '5') || '",
    "items": [{"sku": "a", "qty": 1, "price": 2}], "parts": [{"n": 1}], "lines": [{"n": 1}]}')::json);
SELECT mongo_migrate.plan_collection('plan', 'edits', replan => true);
SELECT * FROM edited;
SELECT target, parent, path, ordinal FROM mongo_migrate.plan_target WHERE (server, collection) = ('plan', 'edits') ORDER BY ordinal;
SELECT severity, target, column_name, problem FROM mongo_migrate.check_plan('plan', 'edits');
-- And once more: the edits are edits still.
DROP TABLE before;
CREATE TABLE before AS SELECT * FROM edited;
SELECT mongo_migrate.plan_collection('plan', 'edits', replan => true);
(SELECT * FROM edited EXCEPT SELECT * FROM before) UNION ALL (SELECT * FROM before EXCEPT SELECT * FROM edited);
-- Tables and columns for the same paths that were added before those that were proposed: what belongs to these stays with them.
INSERT INTO mongo_migrate.plan_target (server, collection, target, kind, ordinal, filter)
    VALUES ('plan', 'edits', 'public.big_edits', 'root', 0, '{"total": {"$gt": 2}}');
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type)
    VALUES ('plan', 'edits', 'public.big_edits', 'id', 1, 'id', '_id', 'bigint'), ('plan', 'edits', 'public.big_edits', 'name', 2, 'value', 'name', 'text'),
        ('plan', 'edits', 'public.edits', 'name_too', 0, 'value', 'name', 'text');
UPDATE mongo_migrate.plan_column SET expression = 'lower(value)' WHERE server = 'plan' AND column_name = 'name_too';
SELECT load('edits', '{"_id": 2, "name": 2}');
DROP TABLE before;
CREATE TABLE before AS SELECT * FROM edited;
SELECT mongo_migrate.plan_collection('plan', 'edits', replan => true);
SELECT target, parent, path, filter FROM mongo_migrate.plan_target WHERE (server, collection) = ('plan', 'edits') ORDER BY target;
(SELECT 'now', target, column_name, type, expression FROM edited EXCEPT SELECT 'now', target, column_name, type, expression FROM before)
UNION ALL (SELECT 'before', target, column_name, type, expression FROM before EXCEPT SELECT 'before', target, column_name, type, expression FROM edited)
    ORDER BY 1 DESC, 2, 3;
-- Without its plan there is nothing to keep.
DELETE FROM mongo_migrate.plan WHERE (server, collection) = ('plan', 'edits');
SELECT mongo_migrate.plan_collection('plan', 'edits');
SELECT count(*) FROM edited WHERE expression IS NOT NULL;
DROP TABLE before;
DROP VIEW edited;
DELETE FROM mongo_migrate.plan WHERE (server, collection) = ('plan', 'edits');
DROP FUNCTION edit;

-- Names that collide, are reserved, too long or hostile.
SELECT load('names', (SELECT ('{"_id": 1, "a b": 1, "a_b": 2, "aB": 3, "user": 4, "ctid": 5, "select": 6, "' || repeat('long', 20) || 'a": 7, "' ||
    repeat('long', 20) || 'b": 8, "x\"; DROP TABLE y; --": 9, "a": {"b": 10}, "line\nbreak": 11, "": 12}')::json));
SELECT mongo_migrate.plan_collection('plan', 'names', target => 'my schema.x');
SELECT mongo_migrate.plan_collection('plan', 'names', target => '"my schema"."select"');
SELECT target, column_name, path FROM columns WHERE collection = 'names';

-- Planned anew without a table being named, it is for the table that was named.
SELECT mongo_migrate.plan_collection('plan', 'names', replan => true);
SELECT DISTINCT target FROM columns WHERE collection = 'names';

-- Two collections with one name in snake_case; a name that something else than a table has.
SELECT load('Names', '{"_id": 1}');
CREATE VIEW public.my_names AS SELECT 1;
SELECT load('myNames', '{"_id": 1}');
SELECT mongo_migrate.plan_collection('plan', 'Names', schema => 'my schema');
SELECT mongo_migrate.plan_collection('plan', 'names', replan => true, schema => 'my schema');
SELECT mongo_migrate.plan_collection('plan', 'myNames');
SELECT mongo_migrate.plan_collection('plan', 'myNames', replan => true, target => 'public.my_names');
SELECT mongo_migrate.plan_collection('plan', 'myNames', replan => true, target => '"my schema".names');
SELECT collection, target FROM targets WHERE collection ILIKE '%names';
DROP VIEW public.my_names;

-- Ids.
SELECT load('u', '{"_id": {"$uuid": "00112233-4455-6677-8899-aabbccddeeff"}}');
SELECT load('s', '{"_id": "a"}', '{"_id": "b"}');
SELECT mongo_migrate.plan_collection('plan', 'u');
SELECT mongo_migrate.plan_collection('plan', 's', id_type => 'source');
SELECT mongo_migrate.plan_collection('plan', 'users', id_type => 'uuid');
SELECT collection, column_name, type, source_type FROM columns WHERE role = 'id' AND collection IN ('u', 's', 'users');
SELECT collection, id_type, column_type FROM mongo_migrate.id_map WHERE server = 'plan' AND collection IN ('u', 's', 'users') ORDER BY 1;
-- What referred to users follows.
SELECT column_name, type FROM columns WHERE refers_to = 'users';
SELECT mongo_migrate.plan_collection('plan', 'tags', id_type => 'serial');

-- A table that exists: its columns decide.
CREATE TYPE public.mood AS ENUM ('good', 'bad');
CREATE TABLE public.people ("personId" integer PRIMARY KEY, "createdAt" timestamptz, full_name varchar(20), score numeric(10,2),
    born date, mood public.mood, address jsonb, tags text[], keys uuid[], boss_id bigint, city_name text, address_zip text,
    needed text NOT NULL, extra text, twice integer GENERATED ALWAYS AS (1) STORED);
SELECT load('people', ('{"_id": ' || oid_json(301) || ', "createdAt": {"$date": "2024-01-01T00:00:00Z"}, "fullName": "A", "score": "1.5",
    "born": "2000-01-31", "mood": "good", "address": {"zip": "1"}, "tags": ["a"], "keys": ["00112233-4455-6677-8899-aabbccddeeff"], "bossId": ' || oid_json(301) || ', "city": {"name": "Rome", "size": 3},
    "unknown": 1, "pets": [{"name": "x"}], "twice": 3}')::json);
SELECT mongo_migrate.plan_collection('plan', 'people');
SELECT target, existing, included, note FROM targets WHERE collection = 'people';
SELECT target, column_name, role, path, type, nullable, source_type, expression, included FROM columns WHERE collection = 'people';
SELECT id_type, column_type FROM mongo_migrate.id_map WHERE server = 'plan' AND collection = 'people';
-- A cast to bit alone would cut to bit(1).
SELECT t, mongo_migrate.implicit_cast('{"string": 1}', CASE WHEN t LIKE '%[]' THEN 'text[]' ELSE 'text' END, t::regtype) FROM unnest(ARRAY['bit(3)', 'bit(3)[]', 'varbit', 'integer[]']) AS t;
-- Child tables that exist, the first without a column for the parent's key.
CREATE TABLE public.people_pets (name text);
SELECT mongo_migrate.plan_collection('plan', 'people', replan => true);
SELECT target, included, note FROM targets WHERE target = 'public.people_pets';
DROP TABLE public.people_pets;
CREATE TABLE public.people_pets (id serial PRIMARY KEY, people_person_id integer NOT NULL REFERENCES public.people, name text);
SELECT mongo_migrate.plan_collection('plan', 'people', replan => true);
DROP TABLE public.people_pets;
CREATE TABLE public.people_pets (id serial PRIMARY KEY, "personId" integer NOT NULL REFERENCES public.people, idx smallint, name text);
SELECT mongo_migrate.plan_collection('plan', 'people', replan => true);
SELECT target, column_name, role, path, type, included FROM columns WHERE target = 'public.people_pets';
-- No column for the id.
CREATE TABLE public.bare (name text);
SELECT mongo_migrate.plan_collection('plan', 'people', replan => true, target => 'bare');
-- An id that the column cannot hold.
SELECT mongo_migrate.plan_collection('plan', 'people', replan => true, id_type => 'uuid');
DROP TABLE public.bare, public.people_pets, public.people;
DROP TYPE public.mood;
-- A type that no BSON value becomes, but by a cast.
CREATE TABLE public.priced (id integer PRIMARY KEY, price money);
SELECT load('priced', '{"_id": 1, "price": 2.5}');
SELECT mongo_migrate.plan_collection('plan', 'priced');
SELECT problem, hint FROM mongo_migrate.check_plan('plan', 'priced');
SELECT hint FROM mongo_migrate.check_plan('plan', 'priced') \gexec
SELECT * FROM mongo_migrate.check_plan('plan', 'priced');
DROP TABLE public.priced;

-- Tables that were created for a plan are not somebody's own for the next one: they get their keys.
SELECT load('made', '{"_id": 1, "a b": 1, "a_b": 2, "parts": [{"n": 1}]}');
SELECT mongo_migrate.plan_collection('plan', 'made');
SELECT * FROM mongo_migrate.apply_ddl('plan', 'made');
SELECT mongo_migrate.plan_collection('plan', 'made', replan => true);
SELECT target, existing FROM targets WHERE collection = 'made';
SELECT column_name, path FROM columns WHERE target = 'public.made';
SELECT * FROM mongo_migrate.apply_ddl('plan', 'made');
SELECT mongo_migrate.key_ddl('plan', 'made');
DROP TABLE public.made, public.made_parts;
-- Beside a table to be created, a child table that exists is somebody else's, also when planned anew.
DELETE FROM mongo_migrate.plan WHERE (server, collection) = ('plan', 'made');
CREATE TABLE public.made_parts (id serial PRIMARY KEY, n text);
SELECT mongo_migrate.plan_collection('plan', 'made');
SELECT * FROM mongo_migrate.apply_ddl('plan', 'made');
SELECT mongo_migrate.plan_collection('plan', 'made', replan => true);
SELECT target, existing, included FROM targets WHERE collection = 'made';
DROP TABLE public.made, public.made_parts, public.made_parts_2;

-- A plan that was deleted after the migration.
SELECT load('deleted', '{"_id": 1, "a": 1}');
SELECT inserted, complete FROM mongo_migrate.migrate_collection('plan', 'deleted', workers => 0);
DELETE FROM mongo_migrate.plan WHERE server = 'plan' AND collection = 'deleted';
SELECT mongo_migrate.plan_collection('plan', 'deleted');
DROP TABLE public.deleted;
DELETE FROM mongo_migrate.chunk WHERE (server, collection) = ('plan', 'deleted');
SELECT inserted, complete FROM mongo_migrate.migrate_collection('plan', 'deleted', workers => 0);
SELECT mongo_migrate.reset_collection('plan', 'deleted', truncate => true);
DROP TABLE public.deleted;

-- An array within an array of its own name.
SELECT load('folders', '{"_id": 1, "name": "a", "children": [{"name": "b", "children": [{"name": "c", "children": []}]}, null]}');
SELECT mongo_migrate.plan_collection('plan', 'folders');
SELECT target, column_name, path, type, nullable FROM columns WHERE collection = 'folders';

-- A sub-document becomes columns to the fourth level.
SELECT load('deep', '{"_id": 1, "a": {"b": {"c": {"d": {"e": {"f": 1}}, "x": 1}}}}');
SELECT mongo_migrate.plan_collection('plan', 'deep');
SELECT column_name, path, type FROM columns WHERE collection = 'deep';

-- Nothing there, or not yet.
SELECT mongo_migrate.run_command('plan', '{"create": "void"}') ->> 'ok' AS ok;
SELECT mongo_migrate.plan_collection('plan', 'void');
SELECT p.note, c.column_name, c.type FROM mongo_migrate.plan AS p JOIN mongo_migrate.plan_column AS c USING (server, collection) WHERE p.collection = 'void';
SELECT mongo_migrate.plan_collection('plan', 'oders');
SELECT mongo_migrate.plan_collection('nowhere', 'orders');
SELECT mongo_migrate.plan_collection('plan', 'tags', target => 'a.b.c');

-- A plan from a sample does not say NOT NULL.
SELECT load('many', VARIADIC (SELECT array_agg(json_build_object('_id', i, 'n', i)) FROM generate_series(1, 200) AS i));
SELECT mongo_migrate.plan_collection('plan', 'many', sample_size => 20);
SELECT column_name, type, nullable FROM columns WHERE collection = 'many';
SELECT mongo_migrate.plan_collection('plan', 'many', sample_size => 0, replan => true);
SELECT column_name, type, nullable FROM columns WHERE collection = 'many';

-- A view without _id.
SELECT mongo_migrate.run_command('plan', '{"create": "no_id", "viewOn": "many", "pipeline": [{"$project": {"_id": 0}}]}') ->> 'ok' AS ok;
SELECT mongo_migrate.plan_collection('plan', 'no_id');

-- Many tables: each asks for its own, and not for all that there are.
SELECT load('arrays', ('{"_id": 1' || (SELECT string_agg(format(', "a%s": [{"b": 1}]', n), '') FROM generate_series(1, 40) AS n) || '}')::json);
BEGIN;
SET LOCAL track_functions = 'all';
SELECT mongo_migrate.plan_collection('plan', 'arrays');
SELECT funcname, calls < 500 AS few FROM pg_stat_xact_user_functions
WHERE funcname IN ('target_distribution', 'target_chain', 'add_plan_column', 'only_type') ORDER BY 1;
SELECT inserted FROM mongo_migrate.migrate_collection('plan', 'arrays', workers => 0);
SELECT funcname, calls < 500 AS few FROM pg_stat_xact_user_functions
WHERE funcname = 'find_foreign_key';
ROLLBACK;
EXPLAIN (COSTS OFF) SELECT p.note FROM mongo_migrate.plan_path AS p WHERE (p.server, p.collection, p.path) = ('plan', 'arrays', 'a1');

SELECT mongo_migrate.run_command('plan', '{"dropDatabase": 1}') ->> 'ok' AS ok;
DELETE FROM mongo_migrate.plan WHERE server = 'plan';
DELETE FROM mongo_migrate.id_map WHERE server = 'plan';
DROP VIEW targets, columns;
DROP FUNCTION load, oid_json;
DROP USER MAPPING FOR CURRENT_USER SERVER plan;
DROP SERVER plan;

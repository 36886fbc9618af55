-- Text of few values as an enum, as ids in a lookup table, with a check.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
\pset format unaligned
CREATE SERVER enumerations FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_enumerations');
CREATE FUNCTION run(command json) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(r ->> 'n', r ->> 'ok') FROM mongo_migrate.run_command('enumerations', command) AS r
$$;
SELECT run('{"dropDatabase": 1}') \g /dev/null
SELECT run('{"create": "orders", "validationLevel": "off", "validator": {"$jsonSchema": {"properties": {"state": {"enum": ["new", "it''s paid", "sent", null]}, "level": {"enum": [1, "a"]}}},
    "kind": {"$in": ["b", "a"]}}}');
SELECT run(json_build_object('insert', 'orders', 'documents', (SELECT json_agg(json_build_object('_id', n, 'state', CASE n % 3 WHEN 0 THEN 'new' WHEN 1 THEN 'sent' ELSE 'lost' END,
    'channel', CASE n % 3 WHEN 0 THEN NULL WHEN 1 THEN 'web' ELSE 'shop' END, 'color', CASE n % 2 WHEN 0 THEN 'red' ELSE 'blå' END, 'level', 1, 'kind', CASE n % 2 WHEN 0 THEN 'a' ELSE 'b' END,
    'name', 'name ' || n, 'n', n % 2, 'items', json_build_array(json_build_object('unit', 'kg'), json_build_object('unit', CASE n % 2 WHEN 0 THEN 'l' ELSE 'kg' END)))) FROM generate_series(1, 60) AS n)));
SELECT run('{"createIndexes": "orders", "indexes": [{"key": {"state": 1, "n": 1}, "name": "sent", "partialFilterExpression": {"state": "sent"}}, {"key": {"channel": 1}, "name": "channel"}]}');
SELECT mongo_migrate.plan_collection('enumerations', 'orders', schema => 'Enumerations');

-- Proposed, and not made.
SELECT * FROM mongo_migrate.propose_enumerations('enumerations');
SELECT count(*) FROM mongo_migrate.plan_column WHERE server = 'enumerations' AND labels IS NOT NULL;

-- What cannot be.
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'state', 'enumeration');
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'nothing', labels => '{a}');
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'nothing');
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'n', labels => '{a}');
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'name');
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'name', labels => '{}');
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'name', labels => '{a,b,a}');
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'name', labels => '{a,NULL}');
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'name', labels => ARRAY[repeat('ü', 32)]);
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'state', name => 'pg_catalog.state');
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'state', name => 'a.b.c');
SELECT mongo_migrate.plan_enumeration('enumerations', 'nothing', 'state');
UPDATE mongo_migrate.plan_column SET labels = '{new}', type = 'text[]' WHERE (server, path) = ('enumerations', 'state');
UPDATE mongo_migrate.plan_column SET labels = '{new}', type = 'enumerations.' WHERE (server, path) = ('enumerations', 'state');

-- Each kind; once more with other labels; back to text; to another kind; named; a name that is taken.
CREATE SCHEMA "Enumerations";
CREATE TYPE "Enumerations".order_state AS ENUM ('other');
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'state');
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'channel', 'lookup');
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'channel', 'lookup', labels => '{web,shop,"it''s by phone"}');
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'color', 'check');
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'kind', 'lookup', name => 'kinds."Kind"');
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'kind', 'text');
SELECT column_name, type, expression, labels, lookup_table FROM mongo_migrate.plan_column WHERE server = 'enumerations' AND path = 'kind';
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'kind', 'lookup', name => 'kinds."Kind"');
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'kind', 'enum', name => 'kind');
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'items[].unit', 'lookup', name => '"Units"');
UPDATE mongo_migrate.plan_column SET default_value = '''new''' WHERE server = 'enumerations' AND path = 'state';
SELECT path, column_name, labels FROM mongo_migrate.propose_enumerations('enumerations', 'orders');
SELECT * FROM mongo_migrate.check_plan('enumerations', 'orders');
SELECT mongo_migrate.draft_ddl('enumerations', 'orders');

-- Planned anew, edits stay; a value that has come since is told.
SELECT run('{"insert": "orders", "documents": [{"_id": 61, "state": "gone", "channel": "mail", "kind": "a", "color": "red", "items": [{"unit": "m"}]}]}');
SELECT mongo_migrate.plan_collection('enumerations', 'orders', schema => 'Enumerations', replan => true);
SELECT column_name, type, labels, lookup_table, check_rule FROM mongo_migrate.plan_column WHERE server = 'enumerations' AND (labels IS NOT NULL OR check_rule IS NOT NULL) ORDER BY target, ordinal;
SELECT column_name, problem, hint, severity FROM mongo_migrate.check_plan('enumerations', 'orders');
-- An expression may make labels of other values.
BEGIN;
UPDATE mongo_migrate.plan_column SET expression = $$CASE value WHEN 'gone' THEN 'lost' ELSE value END$$ WHERE server = 'enumerations' AND path = 'state';
SELECT column_name, problem, hint, severity FROM mongo_migrate.check_plan('enumerations', 'orders');
ROLLBACK;

-- A rehearsal leaves nothing; then the whole way, with what is in no enumeration in quarantine until it is.
SET client_min_messages = warning;
SELECT documents, inserted, rejected FROM mongo_migrate.migrate_collection('enumerations', 'orders', dry_run => true);
SELECT to_regtype('"Enumerations".kind') AS type, to_regclass('"Enumerations"."Units"') AS lookup;
SELECT documents, inserted, rejected, complete FROM mongo_migrate.migrate_collection('enumerations', 'orders', workers => 2, batch_size => 10);
RESET client_min_messages;
SELECT source_id, path, reason, sqlstate, hint FROM mongo_migrate.quarantine WHERE server = 'enumerations';
SELECT * FROM "Enumerations".orders WHERE id IN (1, 2, 3) ORDER BY id;
SELECT o.order_id, o.position, u.name FROM "Enumerations".orders_items AS o JOIN "Enumerations"."Units" AS u ON u.id = o.unit_id WHERE o.order_id IN (1, 2) ORDER BY 1, 2;
SELECT conrelid::regclass, conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype IN ('c', 'f') AND connamespace = '"Enumerations"'::regnamespace ORDER BY conname COLLATE "C";
SELECT indexdef FROM pg_indexes WHERE schemaname = 'Enumerations' AND indexdef ~ 'state|channel_id' ORDER BY indexname COLLATE "C";
SELECT count(*) FROM mongo_migrate.verify_full('enumerations', 'orders');
SELECT hint FROM mongo_migrate.quarantine WHERE server = 'enumerations' \gset
SELECT split_part(:'hint', '; or', 1) AS mend \gset
:mend;
SELECT * FROM mongo_migrate.retry_quarantine('enumerations', 'orders');
SELECT split_part(hint, '; or', 1) AS mend, reason, hint FROM mongo_migrate.quarantine WHERE server = 'enumerations' \gset
\echo :reason :hint
:mend;
SELECT * FROM mongo_migrate.retry_quarantine('enumerations', 'orders');
SELECT split_part(hint, '; or', 1) AS mend, reason, path FROM mongo_migrate.quarantine WHERE server = 'enumerations' \gset
\echo :path :reason
:mend;
SELECT * FROM mongo_migrate.retry_quarantine('enumerations', 'orders');
SELECT state, c.name FROM "Enumerations".orders AS o JOIN "Enumerations".order_channel AS c ON c.id = o.channel_id WHERE o.id = 61;
-- A value that can be no label.
SELECT run(json_build_object('insert', 'orders', 'documents', json_build_array(json_build_object('_id', 62, 'state', repeat('x', 64)), json_build_object('_id', 63, 'state', 1))));
SELECT documents, inserted, rejected FROM mongo_migrate.migrate_collection('enumerations', 'orders', workers => 0);
SELECT column_name, problem FROM mongo_migrate.check_plan('enumerations', 'orders');
SELECT source_id, reason, hint FROM mongo_migrate.quarantine WHERE server = 'enumerations' ORDER BY 1;

-- Verification looks at each.
SELECT count(*) FROM mongo_migrate.verify_full('enumerations', 'orders');
UPDATE "Enumerations".orders SET state = 'new' WHERE id = 1;
UPDATE "Enumerations".orders SET channel_id = 2 WHERE id = 1;
UPDATE "Enumerations".orders SET channel_id = NULL WHERE id = 2;
UPDATE "Enumerations".orders_items SET unit_id = 2 WHERE (order_id, position) = (1, 0);
SELECT source_id, target, column_name, kind, source_value, target_value, element FROM mongo_migrate.verify_full('enumerations', 'orders') ORDER BY 1, 2, 3;
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'kind', 'text');

-- Types and tables that are there already: with what they lack, and of the wrong kind.
SELECT mongo_migrate.reset_collection('enumerations', 'orders', truncate => true);
SET client_min_messages = warning;
DROP TABLE "Enumerations".orders_items, "Enumerations".orders;
RESET client_min_messages;
UPDATE mongo_migrate.plan_column SET labels = '{a,b,c}' WHERE server = 'enumerations' AND path = 'kind';
SELECT column_name, problem, hint FROM mongo_migrate.check_plan('enumerations', 'orders');
UPDATE mongo_migrate.plan_column SET type = 'public.objects' WHERE server = 'enumerations' AND path = 'kind';
CREATE DOMAIN public.objects AS text;
SELECT column_name, problem, hint FROM mongo_migrate.check_plan('enumerations', 'orders');
UPDATE mongo_migrate.plan_column SET type = '"Enumerations".orders' WHERE server = 'enumerations' AND path = 'kind';
SELECT column_name, problem, hint FROM mongo_migrate.check_plan('enumerations', 'orders');
UPDATE mongo_migrate.plan_column SET type = 'objects' WHERE server = 'enumerations' AND path = 'kind';
SELECT column_name, problem, hint FROM mongo_migrate.check_plan('enumerations', 'orders');
UPDATE mongo_migrate.plan_column SET type = '"Enumerations".kind', labels = '{a,b}' WHERE server = 'enumerations' AND path = 'kind';
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'channel', 'lookup', labels => '{web,fax}', name => 'order_channel');
SELECT * FROM mongo_migrate.apply_ddl('enumerations', 'orders');
SELECT name FROM "Enumerations".order_channel ORDER BY name COLLATE "C";
UPDATE mongo_migrate.plan_target SET existing = true WHERE server = 'enumerations' AND kind = 'root';
SELECT mongo_migrate.plan_enumeration('enumerations', 'orders', 'color', 'text');

-- A table of one's own whose ids have no default, and whose names no key: nothing is inserted where it has them all.
CREATE TABLE "Enumerations".fruit (id integer PRIMARY KEY, name varchar(10));
INSERT INTO "Enumerations".fruit VALUES (7, 'plum'), (3, 'apple');
SELECT run('{"insert": "baskets", "documents": [{"_id": 1, "fruit": "apple"}, {"_id": 2, "fruit": "plum"}]}') \g /dev/null
SELECT mongo_migrate.plan_collection('enumerations', 'baskets', schema => 'Enumerations');
SELECT mongo_migrate.plan_enumeration('enumerations', 'baskets', 'fruit', 'lookup', labels => '{apple,plum}', name => 'fruit');
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('enumerations', 'baskets', workers => 0);
SELECT * FROM "Enumerations".baskets ORDER BY id;
SELECT * FROM mongo_migrate.verify_full('enumerations', 'baskets');

-- What is made here goes.
SET client_min_messages = warning;
SELECT run('{"dropDatabase": 1}') \g /dev/null
DROP SCHEMA "Enumerations" CASCADE;
DROP DOMAIN public.objects;
DELETE FROM mongo_migrate.plan WHERE server = 'enumerations';
DELETE FROM mongo_migrate.id_map WHERE server = 'enumerations';
DELETE FROM mongo_migrate.quarantine WHERE server = 'enumerations';
DELETE FROM mongo_migrate.chunk WHERE server = 'enumerations';
DELETE FROM mongo_migrate.run WHERE server = 'enumerations';
DELETE FROM mongo_migrate.verification WHERE server = 'enumerations';
DROP FUNCTION run;
DROP SERVER enumerations;

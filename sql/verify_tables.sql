-- Verification of rows: missing and extra ones, children, references, ids of
-- every kind, filters, expressions, quarantine, hostile names.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
CREATE SERVER "ve ri'fy" FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_verify_tables');
CREATE USER MAPPING FOR CURRENT_USER SERVER "ve ri'fy";
SELECT mongo_migrate.run_command('ve ri''fy', '{"dropDatabase": 1}') ->> 'ok' AS ok;
CREATE SCHEMA "ta.rget ""x""";
SET search_path = "ta.rget ""x""", public;

CREATE FUNCTION load(collection text, documents json) RETURNS json LANGUAGE sql AS $$
    SELECT mongo_migrate.run_command('ve ri''fy', json_build_object('insert', collection, 'documents', documents)) -> 'n'
$$;
CREATE FUNCTION change(collection text, id json, change json) RETURNS json LANGUAGE sql AS $$
    SELECT mongo_migrate.run_command('ve ri''fy', json_build_object('update', collection, 'updates', json_build_array(
        json_build_object('q', json_build_object('_id', id), 'u', change)))) -> 'n'
$$;
-- Plans, id maps and rows are made by hand: what the loader does is tested elsewhere.
CREATE PROCEDURE plan(collection text, target text, parent text, path text, VARIADIC columns json[]) LANGUAGE sql AS $$
    INSERT INTO mongo_migrate.plan (server, collection) VALUES ('ve ri''fy', $1) ON CONFLICT DO NOTHING;
    INSERT INTO mongo_migrate.plan_target (server, collection, target, parent, kind, path, ordinal)
    VALUES ('ve ri''fy', $1, $2, $3, CASE WHEN $3 IS NULL THEN 'root' ELSE 'child' END, $4,
            (SELECT count(*) FROM mongo_migrate.plan_target AS t WHERE t.collection = $1));
    INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, parent_column,
        refers_to, key_form, expression, source_type)
    SELECT 've ri''fy', $1, $2, c ->> 'name', n, coalesce(c ->> 'role', 'value'), c ->> 'path', 'text', c ->> 'parent', c ->> 'refers_to',
           coalesce(c ->> 'form', 'exact'), c ->> 'expression', c ->> 'source_type'
    FROM unnest($5) WITH ORDINALITY AS u(c, n);
$$;
CREATE PROCEDURE map(collection text, id_type text, ids json DEFAULT NULL) LANGUAGE plpgsql AS $$
DECLARE
    relation text := format('mongo_migrate.%I', 'test_map ' || collection);
BEGIN
    INSERT INTO mongo_migrate.id_map (server, collection, id_type, relation)
    VALUES ('ve ri''fy', collection, id_type, CASE WHEN id_type <> 'source' THEN relation END);
    IF id_type <> 'source' THEN
        EXECUTE format('CREATE TABLE %s (key bytea PRIMARY KEY, id %s UNIQUE)', relation, id_type);
        EXECUTE format('INSERT INTO %s SELECT mongo_migrate.bson_key(e), CASE %L WHEN ''bigint'' THEN n::text ELSE md5(n::text) END::%s '
                       'FROM json_array_elements($1) WITH ORDINALITY AS u(e, n)', relation, id_type, id_type) USING ids;
    END IF;
END
$$;
CREATE FUNCTION differences(collection text, sample_size bigint DEFAULT 0)
    RETURNS TABLE (source_id text, target text, element text, column_name text, kind text, source_value text, target_value text)
    LANGUAGE sql AS $$
    SELECT source_id, replace(target, '"ta.rget ""x""".', ''), element, column_name, kind, source_value, target_value
    FROM mongo_migrate.verify_sample('ve ri''fy', collection, sample_size)
    ORDER BY source_id COLLATE "C", target COLLATE "C", element COLLATE "C", column_name COLLATE "C", target_value COLLATE "C"
$$;

-- Users have ObjectIds; orders, in a collection and tables of hostile names, refer to them by ObjectId and by its text.
SELECT load('users', '[{"_id": {"$oid": "65a000000000000000000001"}, "name": "a"}, {"_id": {"$oid": "65a000000000000000000002"}, "name": "b"}]');
SELECT load('o''r "d', '[
    {"_id": {"$oid": "65b000000000000000000001"}, "us er": {"$oid": "65a000000000000000000001"}, "by": "65A000000000000000000002", "sel''ect": {"a.b": "x"},
     "it\"ems": [{"sku": "a", "tags": [{"t": 1}, {"t": 2}]}, {"sku": "b"}, null, {"sku": "d", "tags": []}]},
    {"_id": {"a": 1, "b": {"$numberDouble": "2"}}, "us er": null, "by": "65a0000000000000000000ff", "it\"ems": []},
    {"_id": {"b": 2, "a": 1}, "us er": {"$oid": "65a000000000000000000002"}, "by": "nobody"},
    {"_id": "s\u0000", "us er": {"$oid": "65a0000000000000000000ff"}, "it\"ems": null},
    {"_id": null, "by": {"$oid": "65a000000000000000000001"}, "it\"ems": [{"sku": "e"}]},
    {"_id": {"$numberDouble": "NaN"}, "it\"ems": "no array: in quarantine"},
    {"_id": {"$numberDecimal": "7.0"}, "sel''ect": {"a.b": "seven"}}
]');
CALL map('users', 'bigint', '[{"$oid": "65a000000000000000000001"}, {"$oid": "65a000000000000000000002"}]');
CALL map('o''r "d', 'bigint', '[{"$oid": "65b000000000000000000001"}, {"a": 1, "b": 2}, {"b": 2, "a": 1}, "s\u0000", null, {"$numberDouble": "NaN"}, 7, "gone"]');
CREATE TABLE users (id bigint PRIMARY KEY, name text);
INSERT INTO users VALUES (1, 'a'), (2, 'b');
CREATE TABLE "or d" ("i d" bigint PRIMARY KEY, "us er id" bigint, by_id bigint, "select" text);
CREATE TABLE "or d it""ems" ("or d" bigint, "Pos" integer, sku text, PRIMARY KEY ("or d", "Pos"));
CREATE TABLE tags ("order" bigint, item integer, position integer, t integer, PRIMARY KEY ("order", item, position));
INSERT INTO "or d" VALUES (1, 1, 2, 'x'), (2, NULL, NULL, NULL), (3, 2, NULL, NULL), (4, NULL, NULL, NULL), (5, NULL, 1, NULL), (7, NULL, NULL, 'seven');
INSERT INTO "or d it""ems" VALUES (1, 0, 'a'), (1, 1, 'b'), (1, 2, NULL), (1, 3, 'd'), (5, 0, 'e');
INSERT INTO tags VALUES (1, 0, 0, 1), (1, 0, 1, 2);
CALL plan('users', '"ta.rget ""x""".users', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}', '{"name": "name", "path": "name"}');
CALL plan('o''r "d', '"ta.rget ""x"""."or d"', NULL, NULL, '{"name": "i d", "role": "id", "path": "_id"}',
    '{"name": "us er id", "role": "reference", "path": "us er", "refers_to": "users"}',
    '{"name": "by_id", "role": "reference", "path": "by", "refers_to": "users", "form": "objectid_text"}',
    '{"name": "select", "path": "sel''ect.a\\.b"}');
CALL plan('o''r "d', '"ta.rget ""x"""."or d it""ems"', '"ta.rget ""x"""."or d"', 'it"ems', '{"name": "or d", "role": "parent", "parent": "i d"}',
    '{"name": "Pos", "role": "position"}', '{"name": "sku", "path": "sku"}');
CALL plan('o''r "d', '"ta.rget ""x""".tags', '"ta.rget ""x"""."or d it""ems"', 'tags', '{"name": "order", "role": "parent", "parent": "or d"}',
    '{"name": "item", "role": "parent", "parent": "Pos"}', '{"name": "position", "role": "position"}', '{"name": "t", "path": "t"}');
INSERT INTO mongo_migrate.quarantine (server, collection, key, source_id, document, reason, sqlstate)
VALUES ('ve ri''fy', 'o''r "d', mongo_migrate.bson_key('{"$numberDouble": "NaN"}'), 'NaN', '', 'not an array', '42804');

-- Clean: orphans alone, which are the source's own.
SELECT * FROM mongo_migrate.verify_counts('ve ri''fy');
SELECT * FROM differences('users');
SELECT * FROM differences('o''r "d');

-- Planted: a deleted row with its children, another whose children stayed, an
-- extra row, child rows missing, extra and changed, wrong references.
BEGIN;
DELETE FROM "or d" WHERE "i d" IN (1, 7);
DELETE FROM "or d it""ems" WHERE "or d" = 1;
INSERT INTO "or d" VALUES (8, NULL, NULL, 'deleted in the source'), (99, 1, 1, 'never there');
INSERT INTO "or d it""ems" VALUES (3, 0, 'extra'), (98, 0, 'without a parent');
DELETE FROM "or d it""ems" WHERE "or d" = 5;
UPDATE "or d" SET "us er id" = 1 WHERE "i d" = 2;
UPDATE "or d" SET "us er id" = 1 WHERE "i d" = 3;
UPDATE "or d" SET by_id = NULL WHERE "i d" = 5;
UPDATE "or d" SET "us er id" = 2 WHERE "i d" = 4;
SELECT * FROM mongo_migrate.verify_counts('ve ri''fy', tolerance => 1);
-- One collection's differences are not another's, and one that is planned later has not been counted.
INSERT INTO mongo_migrate.plan (server, collection, planned_at) VALUES ('ve ri''fy', 'later', clock_timestamp());
SELECT collection, kind, documents, ok, count FROM mongo_migrate.verification_report WHERE server = 've ri''fy' AND kind = 'counts';
SELECT * FROM differences('o''r "d');
ROLLBACK;
BEGIN;
UPDATE tags SET t = 3 WHERE position = 1;
UPDATE "or d it""ems" SET sku = NULL WHERE "Pos" = 1;
UPDATE "or d it""ems" SET "Pos" = 9 WHERE "Pos" = 3;
INSERT INTO tags VALUES (1, 1, 0, 5);
SELECT * FROM differences('o''r "d');
ROLLBACK;

-- A reference to a document that is not there is kept with the id that the map has for it, and no other.
BEGIN;
INSERT INTO mongo_migrate."test_map users" VALUES (mongo_migrate.bson_key('{"$oid": "65a0000000000000000000ff"}'), 66);
UPDATE "or d" SET "us er id" = 66, by_id = 67 WHERE "i d" = 4;
UPDATE "or d" SET by_id = 66 WHERE "i d" = 2;
UPDATE "or d" SET by_id = 67 WHERE "i d" = 3;
SELECT * FROM differences('o''r "d');
-- One that was looked up by another key has the id of a document that is gone.
UPDATE mongo_migrate.plan_column SET path = 'by' WHERE target = '"ta.rget ""x"""."or d"' AND column_name = 'select';
UPDATE mongo_migrate.plan_column SET refers_key = 'name', key_form = 'exact' WHERE target = '"ta.rget ""x"""."or d"' AND column_name = 'by_id';
SELECT source_id, kind, target_value FROM differences('o''r "d') WHERE column_name = 'by_id';
ROLLBACK;

-- A sample of documents, and one of rows.
BEGIN;
UPDATE users SET name = 'wrong';
INSERT INTO users SELECT n, 'extra' FROM generate_series(3, 5) AS n;
SELECT kind, count(*) FROM mongo_migrate.verify_sample('ve ri''fy', 'users', 1) WHERE kind = 'mismatch' GROUP BY kind;
SELECT options, documents FROM mongo_migrate.verification ORDER BY verification_id DESC LIMIT 1;
DELETE FROM users WHERE id < 3;
SELECT kind, count(*) FROM mongo_migrate.verify_sample('ve ri''fy', 'users', 1) GROUP BY kind ORDER BY kind;
ROLLBACK;
SELECT * FROM mongo_migrate.verify_sample('ve ri''fy', 'users', -1);
SELECT mongo_migrate.verify_counts('ve ri''fy', NULL);
SELECT mongo_migrate.schedule_verification('ve ri''fy', '0 2 * * *', NULL);
SELECT mongo_migrate.verify_all('ve ri''fy', sample_size => -1);
SELECT * FROM mongo_migrate.verify_sample('ve ri''fy', 'nobody');

-- Ids of every kind: the source's own, through a map of uuids, by an expression.
SELECT load(c, '[{"_id": {"$binary": {"base64": "ASNFZ4mrze8BI0VniavN7w==", "subType": "04"}}, "a": 1}, {"_id": {"$binary": {"base64": "ASNFZ4mrze8BI0VniavN7g==", "subType": "03"}}, "a": 2}]')
FROM unnest(ARRAY['uuids', 'mapped']) AS c;
SELECT load('objectids', '[{"_id": {"$oid": "65a000000000000000000001"}, "a": 1}, {"_id": {"$oid": "65a000000000000000000002"}, "a": 2},
    {"_id": {"$oid": "65e000000000000000000400"}, "a": 5}]');     -- looks like a number that no double is
SELECT load('strings', '[{"_id": "x''\\", "a": 1}, {"_id": "7", "a": 2}, {"_id": "{", "a": 3}, {"_id": "1e400", "a": 5}]');
SELECT load('numbers', '[{"_id": {"$numberDouble": "1.0"}, "a": {"$oid": "65a000000000000000000001"}}, {"_id": {"$numberLong": "2"}, "a": "7"}]');
CALL map('uuids', 'source');
CALL map('objectids', 'source');
CALL map('strings', 'source');
CALL map('numbers', 'source');
CALL map('mapped', 'uuid', '[{"$binary": {"base64": "ASNFZ4mrze8BI0VniavN7w==", "subType": "04"}}, {"$binary": {"base64": "ASNFZ4mrze8BI0VniavN7g==", "subType": "03"}}]');
CREATE TABLE uuids (id uuid PRIMARY KEY, a integer);
CREATE TABLE objectids (id mongo_migrate.objectid PRIMARY KEY, a integer);
CREATE TABLE strings (id text PRIMARY KEY, a integer);
CREATE TABLE numbers (id integer PRIMARY KEY, a_id mongo_migrate.objectid);
CREATE TABLE mapped (id uuid PRIMARY KEY, a integer);
INSERT INTO uuids VALUES ('01234567-89ab-cdef-0123-456789abcdef', 1), ('01234567-89ab-cdef-0123-456789abcdee', 2);
INSERT INTO objectids VALUES ('65a000000000000000000001', 1), ('65a000000000000000000002', 2), ('65e000000000000000000400', 5);
INSERT INTO strings VALUES (E'x''\\', 1), ('7', 2), ('{', 3), ('1e400', 5);
INSERT INTO numbers VALUES (1, '65a000000000000000000001'), (2, NULL);
INSERT INTO mapped VALUES (md5('1')::uuid, 1), (md5('2')::uuid, 2);
CALL plan('uuids', 'uuids', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}', '{"name": "a", "path": "a"}');
CALL plan('objectids', 'objectids', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}', '{"name": "a", "path": "a"}');
CALL plan('strings', 'strings', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}', '{"name": "a", "path": "a"}');
CALL plan('mapped', 'mapped', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}', '{"name": "a", "path": "a"}');
CALL plan('numbers', 'numbers', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}',
    '{"name": "a_id", "role": "reference", "path": "a", "refers_to": "objectids"}');
UPDATE mongo_migrate.plan_target SET target = '"ta.rget ""x""".' || target WHERE target !~ '\.';
SELECT c, d.* FROM unnest(ARRAY['uuids', 'objectids', 'strings', 'mapped', 'numbers']) AS c, differences(c) AS d;
INSERT INTO uuids VALUES (md5('3')::uuid, 3);
INSERT INTO objectids VALUES ('65a000000000000000000003', 3);
INSERT INTO strings VALUES ('1', 3);
INSERT INTO numbers VALUES (3, '65a000000000000000000003');
INSERT INTO mapped VALUES (md5('3')::uuid, 3);
UPDATE uuids SET a = 3 WHERE a = 1;
UPDATE objectids SET a = 3 WHERE a = 1;
UPDATE strings SET a = 4 WHERE a = 1;
UPDATE mapped SET a = 3 WHERE a = 1;
UPDATE numbers SET a_id = '65a000000000000000000002' WHERE id = 1;
SELECT c, d.* FROM unnest(ARRAY['uuids', 'objectids', 'strings', 'mapped', 'numbers']) AS c, differences(c) AS d;

-- One collection in two tables by filters; expressions over value and doc; a
-- document that has changed into what the expression fails on.
SELECT load('events', '[{"_id": 1, "kind": "a", "amount": "12.345", "meta": {"n": {"$numberLong": "5"}}},
    {"_id": 2, "kind": "b", "amount": 7.5, "meta": {"n": 6}}, {"_id": 3, "kind": "a", "amount": null}]');
CREATE FUNCTION cents(numeric) RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT round($1 * 100)::bigint';
CREATE TABLE a (id integer PRIMARY KEY, cents bigint, n integer);
CREATE TABLE b (id integer PRIMARY KEY, amount numeric(4,0), n integer);
INSERT INTO a VALUES (1, 1235, 5), (3, 0, NULL);
INSERT INTO b VALUES (2, 8, 6);
CALL map('events', 'source');
CALL plan('events', '"ta.rget ""x""".a', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}',
    '{"name": "cents", "path": "amount", "source_type": "text", "expression": "coalesce(\"ta.rget \"\"x\"\"\".cents(value::numeric), 0)"}',
    '{"name": "n", "path": "kind", "expression": "(doc #>> ''{meta,n}'')::integer"}');
CALL plan('events', '"ta.rget ""x""".b', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}', '{"name": "amount", "path": "amount"}', '{"name": "n", "path": "meta.n"}');
UPDATE mongo_migrate.plan_target SET filter = format('{"kind": "%s"}', right(target, 1))::jsonb WHERE collection = 'events';
SELECT * FROM mongo_migrate.verify_counts('ve ri''fy') WHERE collection = 'events';
SELECT * FROM differences('events');
UPDATE a SET cents = 1234, n = 6 WHERE id = 1;
INSERT INTO a VALUES (2, 750, 6);
SELECT change('events', '3', '{"$set": {"amount": "much"}}');
SELECT source_id, target, column_name, kind, left(target_value, 60) AS target_value FROM differences('events');

-- One document, side by side: by its _id in several spellings, by the id of its row.
SELECT * FROM mongo_migrate.compare_document('ve ri''fy', 'o''r "d', '65b000000000000000000001');
SELECT count(*) FROM mongo_migrate.compare_document('ve ri''fy', 'o''r "d', '{"$oid": "65b000000000000000000001"}');
SELECT count(*) FROM mongo_migrate.compare_document('ve ri''fy', 'o''r "d', '1');
SELECT * FROM mongo_migrate.compare_document('ve ri''fy', 'o''r "d', '7.00');
SELECT source_id, column_name, target_value, kind FROM mongo_migrate.compare_document('ve ri''fy', 'o''r "d', 'NaN');
SELECT source_id, target, target_value, kind FROM mongo_migrate.compare_document('ve ri''fy', 'uuids', md5('3')::uuid::text);
SELECT source_id, target, column_name, target_value, kind FROM mongo_migrate.compare_document('ve ri''fy', 'events', '2');
SELECT * FROM mongo_migrate.compare_document('ve ri''fy', 'o''r "d', '{nobody');

-- All of a collection, with sums: rows that are there twice show in those alone.
SELECT load('sums', '[{"_id": 1, "d": 0.1, "n": {"$numberDecimal": "1.005"}, "i": 1, "a": [{"x": 0.1}, {"x": {"$numberDouble": "0.2"}}]}, {"_id": 2, "d": 0.2, "n": 2, "i": null}, {"_id": 3}]');
CREATE TABLE sums (id integer, d double precision, n numeric(5,2), i integer);
CREATE TABLE sums_a (id integer, position integer, x double precision);
INSERT INTO sums VALUES (1, 0.1, 1.01, 1), (2, 0.2, 2, NULL), (3, NULL, NULL, NULL);
INSERT INTO sums_a VALUES (1, 0, 0.1), (1, 1, 0.2);
CALL map('sums', 'source');
CALL plan('sums', '"ta.rget ""x""".sums', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}', '{"name": "d", "path": "d"}', '{"name": "n", "path": "n"}', '{"name": "i", "path": "i"}');
CALL plan('sums', '"ta.rget ""x""".sums_a', '"ta.rget ""x""".sums', 'a', '{"name": "id", "role": "parent", "parent": "id"}', '{"name": "position", "role": "position"}', '{"name": "x", "path": "x"}');
SELECT * FROM mongo_migrate.verify_full('ve ri''fy', 'sums') ORDER BY source_id, target, column_name COLLATE "C";
INSERT INTO sums SELECT * FROM sums WHERE id = 2;
INSERT INTO sums_a VALUES (4, 0, 0);
UPDATE sums_a SET x = 0.30000000000000004 WHERE position = 0;
SELECT * FROM mongo_migrate.verify_full('ve ri''fy', 'sums') ORDER BY source_id, target, column_name COLLATE "C";
SELECT kind, documents, findings, ok FROM mongo_migrate.verification ORDER BY verification_id DESC LIMIT 1;

-- A table without positions has sets.
SELECT load('tagged', '[{"_id": 1, "t": [{"$oid": "65a000000000000000000001"}, {"$oid": "65a000000000000000000002"}]}, {"_id": 2, "t": ["nobody"]}, {"_id": 3, "t": []}]');
CREATE TABLE tagged (id integer PRIMARY KEY);
CREATE TABLE tagged_t (tagged_id integer, user_id bigint);
INSERT INTO tagged VALUES (1), (2), (3);
INSERT INTO tagged_t VALUES (1, 2), (1, 1);
CALL map('tagged', 'source');
CALL plan('tagged', '"ta.rget ""x""".tagged', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}');
CALL plan('tagged', '"ta.rget ""x""".tagged_t', '"ta.rget ""x""".tagged', 't', '{"name": "tagged_id", "role": "parent", "parent": "id"}',
    '{"name": "user_id", "role": "reference", "path": "$", "refers_to": "users"}');
SELECT * FROM differences('tagged');
UPDATE tagged_t SET tagged_id = 3 WHERE user_id = 1;
SELECT * FROM differences('tagged');

-- An id by an expression; a value that its source type rounds; a comment in an expression.
SELECT load('prefixed', '[{"_id": "u-5", "a": 1.25}, {"_id": "u-6", "a": 2.25}, {"_id": "u-7", "a": null}]');
CREATE TABLE prefixed (id bigint PRIMARY KEY, a numeric);
INSERT INTO prefixed VALUES (5, 2.6), (6, 4.5);
CALL map('prefixed', 'source');
CALL plan('prefixed', '"ta.rget ""x""".prefixed', NULL, NULL,
    '{"name": "id", "role": "id", "path": "_id", "source_type": "text", "expression": "substr(value, 3)::bigint"}',
    '{"name": "a", "path": "a", "source_type": "numeric(5,1)", "expression": "2 * value -- twice"}');
SELECT * FROM differences('prefixed');

-- An id by an expression of the one in the map, whatever the type of _id.
SELECT load('coded', '[{"_id": {"$oid": "65c000000000000000000001"}, "l": [{"t": "x"}]}, {"_id": {"$oid": "65c000000000000000000002"}, "l": [{"t": "y"}]}]');
CREATE TABLE coded (id text PRIMARY KEY);
CREATE TABLE coded_l (coded_id text, position integer, t text);
INSERT INTO coded VALUES ('C1001'), ('C1002');
INSERT INTO coded_l VALUES ('C1001', 0, 'x'), ('C1002', 0, 'z');
CALL map('coded', 'bigint', '[{"$oid": "65c000000000000000000001"}, {"$oid": "65c000000000000000000002"}]');
CALL plan('coded', '"ta.rget ""x""".coded', NULL, NULL,
    '{"name": "id", "role": "id", "path": "_id", "source_type": "mongo_migrate.objectid", "expression": "''C'' || value + 1000"}');
CALL plan('coded', '"ta.rget ""x""".coded_l', '"ta.rget ""x""".coded', 'l', '{"name": "coded_id", "role": "parent", "parent": "id"}',
    '{"name": "position", "role": "position"}', '{"name": "t", "path": "t"}');
SELECT * FROM differences('coded');

-- Documents in expressions, as the load has them: a whole double is 120.0.
SELECT load('doubles', '[{"_id": 1, "d": {"$numberDouble": "120"}, "o": {"e": {"$numberDouble": "1e+20"}, "n": {"$numberDouble": "-0.0"}}}]');
CREATE TABLE doubles (id bigint PRIMARY KEY, d text, o text);
CALL map('doubles', 'source');
CALL plan('doubles', '"ta.rget ""x""".doubles', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}',
    '{"name": "d", "path": "d", "source_type": "jsonb", "expression": "doc->>''d''"}',
    '{"name": "o", "path": "o", "source_type": "jsonb", "expression": "value::text"}');
UPDATE mongo_migrate.plan_column SET type = 'bigint' WHERE (collection, column_name) = ('doubles', 'id');
SELECT documents, inserted FROM mongo_migrate.copy_documents('ve ri''fy', 'doubles', ARRAY[mongo_migrate.bson_from_json('{"_id": 1}')]);
SELECT * FROM doubles;
SELECT * FROM differences('doubles');
-- In another mode of the server it is that of value, and of ids; doc is relaxed.
ALTER SERVER "ve ri'fy" OPTIONS (ADD extended_json 'plain');
SELECT load('doubles', '[{"_id": 2, "d": {"$numberDecimal": "1.50"}, "o": {"$numberDecimal": "1.50"}}]');
SELECT documents, inserted FROM mongo_migrate.copy_documents('ve ri''fy', 'doubles', ARRAY[mongo_migrate.bson_from_json('{"_id": 2}')]);
SELECT * FROM doubles WHERE id = 2;
SELECT * FROM differences('doubles');
SELECT load('named', '[{"_id": {"d": {"$date": "2024-01-01T00:00:00Z"}}, "a": 1}]');
CREATE TABLE named (id jsonb PRIMARY KEY, a integer);
CALL map('named', 'source');
CALL plan('named', '"ta.rget ""x""".named', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}', '{"name": "a", "path": "a"}');
UPDATE mongo_migrate.plan_column SET type = 'jsonb' WHERE (collection, column_name) = ('named', 'id');
UPDATE mongo_migrate.plan_column SET type = 'integer' WHERE (collection, column_name) = ('named', 'a');
SELECT documents, inserted FROM mongo_migrate.copy_documents('ve ri''fy', 'named',
    ARRAY[mongo_migrate.bson_from_json('{"_id": {"d": {"$date": "2024-01-01T00:00:00Z"}}}')]);
SELECT * FROM named;
SELECT * FROM differences('named');
ALTER SERVER "ve ri'fy" OPTIONS (DROP extended_json);

-- A map that is undefined has no fields.
SELECT load('maps', '[{"_id": 1, "m": {"a": 1}}, {"_id": 2, "m": {"$undefined": true}}, {"_id": 3, "m": null}]');
CREATE TABLE maps (id bigint PRIMARY KEY);
CREATE TABLE maps_m (maps_id bigint, key text, value integer, PRIMARY KEY (maps_id, key));
INSERT INTO maps VALUES (1), (2), (3);
INSERT INTO maps_m VALUES (1, 'a', 1);
CALL map('maps', 'source');
CALL plan('maps', '"ta.rget ""x""".maps', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}');
CALL plan('maps', '"ta.rget ""x""".maps_m', '"ta.rget ""x""".maps', 'm', '{"name": "maps_id", "role": "parent", "parent": "id"}',
    '{"name": "key", "role": "key", "path": "$key"}', '{"name": "value", "path": "$"}');
UPDATE mongo_migrate.plan_target SET kind = 'map' WHERE (collection, path) = ('maps', 'm');
SELECT * FROM differences('maps');

-- More than a page, over every type bracket of _id.
SELECT load('brackets', (SELECT json_agg(json_build_object('_id', id, 'a', n)) FROM (
    SELECT id, row_number() OVER () AS n FROM (
        SELECT to_json(i) FROM generate_series(1, 700) AS i
        UNION ALL SELECT to_json('s' || i) FROM generate_series(1, 700) AS i
        UNION ALL SELECT json_build_object('$date', json_build_object('$numberLong', i::text)) FROM generate_series(1, 700) AS i
        UNION ALL VALUES ('{"$minKey": 1}'::json), ('{"$maxKey": 1}'), ('null'), ('true'), ('{"a": 1}')) AS ids(id)) AS u));
CREATE TABLE brackets (id bigint PRIMARY KEY, a integer);
SELECT json_agg(d -> '_id') AS ids FROM mongo_migrate.find_documents('ve ri''fy', 'brackets', options => '{"sort": {"a": 1}}', mode => 'canonical') AS d \gset
CALL map('brackets', 'bigint', :'ids');
INSERT INTO brackets SELECT i, i FROM generate_series(1, 2105) AS i;
CALL plan('brackets', '"ta.rget ""x""".brackets', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}', '{"name": "a", "path": "a"}');
UPDATE brackets SET a = 0 WHERE id IN (1, 700, 701, 1400, 1401, 2100, 2101, 2102, 2103, 2104, 2105);
SELECT source_id, kind, source_value FROM differences('brackets') ORDER BY source_value::integer;
SELECT documents FROM mongo_migrate.verification ORDER BY verification_id DESC LIMIT 1;

-- Arrays in columns whose names format() would take for its own.
SELECT load('discounts', '[{"_id": 1, "off": ["a", "b"], "n": [[1, 2]]}, {"_id": 2, "off": ["c"], "n": [[3, 4]]}]');
CALL map('discounts', 'source');
CREATE TABLE discounts (id bigint PRIMARY KEY, "50% off" text[], "%s" integer[]);
INSERT INTO discounts VALUES (1, '{a,b}', '{{1,2}}'), (2, '{d}', '{{3,5}}');
CALL plan('discounts', '"ta.rget ""x""".discounts', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}', '{"name": "50% off", "path": "off"}',
    '{"name": "%s", "path": "n"}');
SELECT * FROM differences('discounts');

-- Blanks that an assignment has cut.
SELECT load('codes', '[{"_id": 1, "c": "ab "}, {"_id": 2, "c": "abc "}, {"_id": 3}]');
CALL map('codes', 'source');
CREATE TABLE codes (id bigint PRIMARY KEY, c varchar(3));
CALL plan('codes', '"ta.rget ""x""".codes', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}',
    '{"name": "c", "path": "c", "source_type": "text", "expression": "value || ''''"}');
INSERT INTO codes SELECT id, c FROM (VALUES (1, 'ab '), (2, 'abc '), (3, NULL)) AS v (id, c);
SELECT * FROM differences('codes');

-- Numbers that an assignment has rounded.
SELECT load('cents', '[{"_id": 1, "a": 12.345, "t": "12.345"}, {"_id": 2, "a": 12.5, "t": "12.50"}, {"_id": 3, "a": {"$numberDecimal": "NaN"}, "t": "NaN"}, {"_id": 4}]');
CALL map('cents', 'source');
CREATE TABLE cents (id bigint PRIMARY KEY, a numeric(10,2), t numeric(10,2), n integer);
CALL plan('cents', '"ta.rget ""x""".cents', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}',
    '{"name": "a", "path": "a", "source_type": "numeric", "expression": "value"}', '{"name": "t", "path": "t", "source_type": "text", "expression": "value::numeric"}',
    '{"name": "n", "path": "a", "source_type": "numeric", "expression": "nullif(value, ''NaN'') * 100"}');
INSERT INTO cents VALUES (1, 12.345, 12.345, 1234.5), (2, 12.5, 12.5, 1250), (3, 'NaN', 'NaN', NULL), (4, NULL, NULL, NULL);
SELECT * FROM differences('cents');
UPDATE cents SET a = 12.34, n = 1234 WHERE id = 1;
SELECT * FROM differences('cents');

-- numeric takes 15 digits of a double.
SELECT load('thirds', '[{"_id": 1, "a": 1.0}, {"_id": 2, "a": 1.5}, {"_id": 3, "a": {"$numberDouble": "NaN"}}]');
CALL map('thirds', 'source');
CREATE TABLE thirds (id bigint PRIMARY KEY, a numeric);
CALL plan('thirds', '"ta.rget ""x""".thirds', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}',
    '{"name": "a", "path": "a", "source_type": "double precision", "expression": "value / 3"}');
INSERT INTO thirds VALUES (1, 1::double precision / 3), (2, 0.5), (3, 'NaN');
SELECT * FROM differences('thirds');

-- And times.
SELECT load('times', '[{"_id": 1, "at": {"$date": "2024-05-01T10:00:00.500Z"}, "t": "10:00:00.6"}, {"_id": 2, "at": {"$date": "2024-05-01T10:00:00Z"}, "t": "10:00:00"}, {"_id": 3}]');
CALL map('times', 'source');
CREATE TABLE times (id bigint PRIMARY KEY, at timestamptz(0), t time(0), d date, s timestamp(0));
CALL plan('times', '"ta.rget ""x""".times', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}',
    '{"name": "at", "path": "at", "source_type": "timestamptz", "expression": "value"}', '{"name": "t", "path": "t", "source_type": "text", "expression": "value::time"}',
    '{"name": "d", "path": "at", "source_type": "timestamptz", "expression": "value"}', '{"name": "s", "path": "at", "source_type": "timestamptz", "expression": "value::timestamp(0)"}');
INSERT INTO times SELECT i, d, CASE i WHEN 1 THEN '10:00:00.6'::time WHEN 2 THEN '10:00:00' END, d, d FROM (VALUES (1, '2024-05-01 10:00:00.5+00'::timestamptz), (2, '2024-05-01 10:00:00+00'), (3, NULL)) AS v (i, d);
SELECT * FROM differences('times');

-- Documents that are there twice, with their child rows, where no key rules that out and there is nothing to sum.
SELECT load('twice', '[{"_id": 1, "t": "a", "l": [{"t": "x"}, {"t": "y"}]}, {"_id": 2, "t": "b", "l": [{"t": "z"}]}]');
CALL map('twice', 'source');
CREATE TABLE twice (id bigint, t text);
CREATE TABLE twice_l (count bigint, rows integer, t text);
INSERT INTO twice VALUES (1, 'a'), (2, 'b'), (1, 'a'), (NULL, 'no document'), (NULL, 'no document');
INSERT INTO twice_l VALUES (1, 0, 'x'), (1, 1, 'y'), (2, 0, 'z'), (1, 0, 'x'), (1, 1, 'y');
CALL plan('twice', '"ta.rget ""x""".twice', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}', '{"name": "t", "path": "t"}');
CALL plan('twice', '"ta.rget ""x""".twice_l', '"ta.rget ""x""".twice', 'l', '{"name": "count", "role": "parent", "parent": "id"}',
    '{"name": "rows", "role": "position"}', '{"name": "t", "path": "t"}');
SELECT * FROM differences('twice');
-- An index that could not be made is none.
CREATE UNIQUE INDEX CONCURRENTLY ON twice (id);
SELECT * FROM differences('twice') WHERE target = 'twice';
DELETE FROM twice_l WHERE ctid IN (SELECT max(ctid) FROM twice_l GROUP BY count, rows HAVING count(*) > 1);
DELETE FROM twice WHERE ctid IN (SELECT max(ctid) FROM twice GROUP BY id HAVING count(*) > 1);
SELECT * FROM differences('twice');

-- A table without a position: equal rows are counted.
SELECT load('bags', '[{"_id": 1, "l": ["a", "a", "b"]}, {"_id": 2, "l": ["a", "c"]}]');
CALL map('bags', 'source');
CREATE TABLE bags (id bigint PRIMARY KEY);
CREATE TABLE bags_l (bag bigint, v text);
INSERT INTO bags VALUES (1), (2);
INSERT INTO bags_l VALUES (1, 'b'), (1, 'a'), (1, 'a'), (2, 'a'), (2, 'c');
CALL plan('bags', '"ta.rget ""x""".bags', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}');
CALL plan('bags', '"ta.rget ""x""".bags_l', '"ta.rget ""x""".bags', 'l', '{"name": "bag", "role": "parent", "parent": "id"}', '{"name": "v", "path": "$"}');
SELECT * FROM differences('bags');
-- As many rows as elements do not say that each is there as often.
UPDATE bags_l SET v = 'b' WHERE ctid = (SELECT max(ctid) FROM bags_l WHERE bag = 1 AND v = 'a');
SELECT * FROM differences('bags');
DELETE FROM bags_l WHERE ctid = (SELECT max(ctid) FROM bags_l WHERE bag = 1 AND v = 'b');
INSERT INTO bags_l VALUES (2, 'c');
SELECT * FROM differences('bags');
DELETE FROM bags WHERE id = 1;
DELETE FROM bags_l WHERE bag = 2 AND v = 'a';
SELECT * FROM differences('bags');

-- An id that the column's type does not hold is that of no row; by ids of some types no row is looked for.
SELECT load(c, '[{"_id": 0.5}]') FROM unnest('{floats,reals}'::text[]) AS c;
CALL map('floats', 'source');
CALL map('reals', 'source');
CREATE TABLE floats (id double precision PRIMARY KEY);
CREATE TABLE reals (id real PRIMARY KEY);
INSERT INTO floats VALUES (0.5), (1.5);
INSERT INTO reals VALUES (0.5), (1.5);
CALL plan('floats', '"ta.rget ""x""".floats', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}');
CALL plan('reals', '"ta.rget ""x""".reals', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}');
SELECT c.source_id, c.target, c.target_value, c.kind FROM (VALUES ('floats', '0.5'), ('floats', '1.5'), ('reals', '0.5')) AS i (collection, id),
    mongo_migrate.compare_document('ve ri''fy', i.collection, i.id) AS c ORDER BY 2, 1;
SELECT mongo_migrate.compare_document('ve ri''fy', 'floats', '1e309');
SELECT mongo_migrate.compare_document('ve ri''fy', 'reals', '1.5');

-- Ids that are times, or times as text.
SELECT load('moments', '[{"_id": {"$date": {"$numberLong": "1700000000123"}}}, {"_id": {"$date": {"$numberLong": "-1"}}}]');
CALL map('moments', 'source');
CREATE TABLE moments (id timestamptz PRIMARY KEY);
INSERT INTO moments VALUES ('2023-11-14 22:13:20.123+00'), ('1969-12-31 23:59:59.999+00');
CALL plan('moments', '"ta.rget ""x""".moments', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}');
SELECT * FROM differences('moments');
INSERT INTO moments VALUES ('2023-11-14 22:13:20.123001+00'), ('infinity');
SELECT source_id, kind, target_value FROM differences('moments');
DELETE FROM moments WHERE id = 'infinity' OR id > '2023-11-14 22:13:20.123+00';
ALTER TABLE moments ALTER COLUMN id TYPE timestamp USING id AT TIME ZONE 'UTC';
SELECT * FROM differences('moments');
INSERT INTO moments VALUES ('2000-01-01');
SELECT source_id, kind, target_value FROM differences('moments');
SELECT source_id, kind, target_value FROM mongo_migrate.compare_document('ve ri''fy', 'moments', '2000-01-01T00:00:00Z');
ALTER TABLE moments ALTER COLUMN id TYPE text USING to_char(id, 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"');
INSERT INTO moments VALUES ('2000-13-01T00:00:00Z');
SELECT source_id, kind, target_value FROM differences('moments');
SELECT column_name, source_value, kind FROM mongo_migrate.compare_document('ve ri''fy', 'moments', '1969-12-31T23:59:59.999Z');

-- Ids of a type with a length, and of a domain.
SELECT load('lengths', '[{"_id": {"$oid": "65a000000000000000000001"}, "l": [{"v": 1}]}, {"_id": {"$oid": "65a000000000000000000002"}, "up": {"$oid": "65a000000000000000000001"}}]');
CALL map('lengths', 'source');
CREATE TABLE lengths (id char(24) PRIMARY KEY, up char(24));
CREATE TABLE lengths_l (id char(24), position integer, v integer, PRIMARY KEY (id, position));
INSERT INTO lengths VALUES ('65a000000000000000000001', NULL), ('65a000000000000000000002', '65a000000000000000000001');
INSERT INTO lengths_l VALUES ('65a000000000000000000001', 0, 1);
CALL plan('lengths', '"ta.rget ""x""".lengths', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}',
    '{"name": "up", "role": "reference", "path": "up", "refers_to": "lengths"}');
CALL plan('lengths', '"ta.rget ""x""".lengths_l', '"ta.rget ""x""".lengths', 'l', '{"name": "id", "role": "parent", "parent": "id"}',
    '{"name": "position", "role": "position"}', '{"name": "v", "path": "v"}');
SELECT * FROM differences('lengths');
INSERT INTO lengths VALUES ('65a000000000000000000003', NULL);
UPDATE lengths SET up = id WHERE up IS NOT NULL;
SELECT * FROM differences('lengths');
CREATE DOMAIN ident AS char(24);
ALTER TABLE lengths ALTER COLUMN id TYPE ident, ALTER COLUMN up TYPE ident;
ALTER TABLE lengths_l ALTER COLUMN id TYPE ident;
SELECT source_id, target, column_name, kind FROM differences('lengths');
SELECT target, column_name, kind FROM mongo_migrate.compare_document('ve ri''fy', 'lengths', '65a000000000000000000001');

-- What a document alone is to blame for is a finding of its own, and nothing where it is in quarantine.
SELECT load('blamed', '[{"_id": 1, "n": "1", "z": {"$numberDecimal": "-0.0"}}, {"_id": 2, "n": "-2"}, {"_id": 3, "n": "none"}, {"_id": 4, "n": "4"}, {"_id": 5, "n": "5", "q": {"$numberDouble": "NaN"}}]');
CALL map('blamed', 'source');
CREATE DOMAIN above AS integer CHECK (value > 0);
CREATE TABLE blamed (id bigint PRIMARY KEY, n above, z double precision, o integer, q integer);
INSERT INTO blamed VALUES (11, 1, '-0', 1), (12, 2, NULL, 1), (14, 4, NULL, 1), (15, 5, NULL, 1);
CALL plan('blamed', '"ta.rget ""x""".blamed', NULL, NULL, '{"name": "id", "role": "id", "path": "_id", "expression": "value + CASE doc ->> ''n'' WHEN ''none'' THEN 1 / (value - 3) ELSE 10 END", "source_type": "bigint"}',
    '{"name": "n", "path": "n", "expression": "value::integer", "source_type": "text"}', '{"name": "z", "path": "z", "expression": "value", "source_type": "double precision"}',
    '{"name": "o", "path": "n", "expression": "(SELECT 1 FROM generate_series(1, CASE value WHEN ''4'' THEN 2 ELSE 1 END))", "source_type": "text"}',
    '{"name": "q", "path": "q", "expression": "value", "source_type": "numeric"}');
INSERT INTO mongo_migrate.quarantine (server, collection, key, source_id, document, reason, sqlstate)
VALUES ('ve ri''fy', 'blamed', mongo_migrate.bson_key('3'), '3', '', 'division by zero', '22012');
SELECT * FROM differences('blamed');
SELECT target_value, kind FROM mongo_migrate.compare_document('ve ri''fy', 'blamed', '2');
SELECT target_value, kind FROM mongo_migrate.compare_document('ve ri''fy', 'blamed', '3');

-- What rows repeat of parents.
SELECT load('legs', '[{"_id": 1, "cur": "EUR", "l": [{"acc": "x", "p": [{"n": "1"}, {"n": "2"}]}, {"acc": "y", "p": [{"n": "3"}]}]}]');
CALL map('legs', 'source');
CREATE TABLE legs (id bigint PRIMARY KEY, cur text);
CREATE TABLE legs_l (leg bigint, position integer, acc text, cur text, PRIMARY KEY (leg, position));
CREATE TABLE legs_l_p (leg bigint, l integer, position integer, n text, acc text, cur text, PRIMARY KEY (leg, l, position));
INSERT INTO legs VALUES (1, 'EUR');
INSERT INTO legs_l VALUES (1, 0, 'x', 'EUR'), (1, 1, 'y', 'EUR');
INSERT INTO legs_l_p VALUES (1, 0, 0, '1', 'x', 'EUR'), (1, 0, 1, '2', 'x', 'EUR'), (1, 1, 0, '3', 'y', 'EUR');
CALL plan('legs', '"ta.rget ""x""".legs', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}', '{"name": "cur", "path": "cur"}');
CALL plan('legs', '"ta.rget ""x""".legs_l', '"ta.rget ""x""".legs', 'l', '{"name": "leg", "role": "parent", "parent": "id"}',
    '{"name": "position", "role": "position"}', '{"name": "acc", "path": "acc"}', '{"name": "cur", "role": "parent", "parent": "cur"}');
CALL plan('legs', '"ta.rget ""x""".legs_l_p', '"ta.rget ""x""".legs_l', 'p', '{"name": "leg", "role": "parent", "parent": "leg"}',
    '{"name": "l", "role": "parent", "parent": "position"}', '{"name": "position", "role": "position"}', '{"name": "n", "path": "n"}',
    '{"name": "acc", "role": "parent", "parent": "acc"}', '{"name": "cur", "role": "parent", "parent": "cur"}');
SELECT * FROM differences('legs');
UPDATE legs_l_p SET acc = 'z' WHERE n = '2';
UPDATE legs_l_p SET cur = 'USD' WHERE n = '1';
SELECT * FROM differences('legs') WHERE kind = 'mismatch';

-- A row that is there twice has its children once.
SELECT load('pairs', '[{"_id": 1, "l": [{"n": 1}, {"n": 2}]}, {"_id": 2, "l": [{"n": 3}]}]');
CALL map('pairs', 'source');
CREATE TABLE pairs (id bigint);
CREATE TABLE pairs_l (pair bigint, position integer, n numeric);
INSERT INTO pairs VALUES (1), (1), (2);
INSERT INTO pairs_l VALUES (1, 0, 1), (2, 0, 3);
CALL plan('pairs', '"ta.rget ""x""".pairs', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}');
CALL plan('pairs', '"ta.rget ""x""".pairs_l', '"ta.rget ""x""".pairs', 'l', '{"name": "pair", "role": "parent", "parent": "id"}', '{"name": "position", "role": "position"}', '{"name": "n", "path": "n"}');
SELECT source_id, element, column_name, kind, source_value, target_value FROM mongo_migrate.verify_full('ve ri''fy', 'pairs') ORDER BY target, kind, source_value;

-- A row without an id, and arrays that count from elsewhere.
SELECT load('loose', '[{"_id": 1, "a": [1, 2], "m": [[1, 2], [3, 4]], "t": [{"$date": "2024-02-29T00:00:00Z"}]}, {"_id": 2, "a": [3], "m": [], "t": []}]');
CALL map('loose', 'source');
CREATE TABLE loose (id bigint, a integer[], m integer[], t timestamptz[]);
INSERT INTO loose VALUES (1, '{1,2}', '{{1,2},{3,4}}', '{2024-02-29 00:00:00+00}'), (2, '{3}', '{}', '{}');
CALL plan('loose', '"ta.rget ""x""".loose', NULL, NULL, '{"name": "id", "role": "id", "path": "_id"}', '{"name": "a", "path": "a"}', '{"name": "m", "path": "m"}', '{"name": "t", "path": "t"}');
SELECT * FROM differences('loose');
INSERT INTO loose VALUES (NULL, '{5}');
UPDATE loose SET a = '[0:1]={1,2}', m = '[1:2][2:3]={{1,2},{3,4}}', t = '[-1:-1]={2024-02-29 00:00:00+00}' WHERE id = 1;
SELECT * FROM differences('loose');

-- A view, and a source that is gone.
SELECT mongo_migrate.run_command('ve ri''fy', '{"create": "strings2", "viewOn": "strings", "pipeline": [{"$match": {"a": {"$lt": 3}}}]}') ->> 'ok' AS ok;
UPDATE mongo_migrate.plan SET collection = 'strings2' WHERE collection = 'strings';
UPDATE mongo_migrate.id_map SET collection = 'strings2' WHERE collection = 'strings';
SELECT * FROM differences('strings2');
UPDATE mongo_migrate.plan SET collection = 'none' WHERE collection = 'mapped';
UPDATE mongo_migrate.id_map SET collection = 'none' WHERE collection = 'mapped';
SELECT * FROM differences('none');

-- Plans that do not fit the tables.
UPDATE mongo_migrate.plan_column SET column_name = 'nope' WHERE collection = 'uuids' AND column_name = 'a';
SELECT * FROM differences('uuids');
UPDATE mongo_migrate.plan_target SET target = 'public.nope' WHERE collection = 'uuids';
SELECT * FROM differences('uuids');
UPDATE mongo_migrate.plan_column SET role = 'value' WHERE collection = 'objectids';
SELECT * FROM differences('objectids');
SELECT target_count, difference, ok FROM mongo_migrate.verify_counts('ve ri''fy') WHERE collection = 'uuids';

RESET search_path;
DELETE FROM mongo_migrate.plan WHERE server = 've ri''fy';
DELETE FROM mongo_migrate.id_map WHERE server = 've ri''fy';
DELETE FROM mongo_migrate.quarantine WHERE server = 've ri''fy';
DELETE FROM mongo_migrate.verification WHERE server = 've ri''fy';
\set VERBOSITY terse
SET client_min_messages = warning;
DROP SCHEMA "ta.rget ""x""" CASCADE;
DROP TABLE mongo_migrate."test_map users", mongo_migrate."test_map o'r ""d", mongo_migrate."test_map mapped", mongo_migrate."test_map brackets";
DROP SERVER "ve ri'fy" CASCADE;

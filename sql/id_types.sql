-- _id of every BSON type, together in one collection and each in one of its
-- own: every document exactly once, whatever the ranges that it is read by.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
\pset format unaligned
SET client_min_messages = warning;
CREATE SERVER id_types FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_id_types');
SELECT mongo_migrate.run_command('id_types', '{"dropDatabase": 1}') \g /dev/null
CREATE TABLE ids (n integer GENERATED ALWAYS AS IDENTITY, kind text, id json);
INSERT INTO ids (kind, id) VALUES
    ('minkey', '{"$minKey": 1}'),
    ('null', 'null'),
    ('int', '1'), ('int', '-5'), ('int', '2147483647'),
    ('long', '{"$numberLong": "9223372036854775807"}'), ('long', '{"$numberLong": "-9223372036854775808"}'), ('long', '{"$numberLong": "9007199254740993"}'),
    ('double', '{"$numberDouble": "1.5"}'), ('double', '{"$numberDouble": "NaN"}'), ('double', '{"$numberDouble": "Infinity"}'),
    ('double', '{"$numberDouble": "-Infinity"}'), ('double', '{"$numberDouble": "-0.0"}'), ('double', '{"$numberDouble": "1e300"}'), ('double', '{"$numberDouble": "5e-324"}'),
    ('decimal', '{"$numberDecimal": "2.50"}'), ('decimal', '{"$numberDecimal": "1E+6144"}'), ('decimal', '{"$numberDecimal": "-1E-6176"}'),
    ('decimal', '{"$numberDecimal": "1234567890123456789012345678901.234"}'),
    ('symbol', '{"$symbol": "sym"}'),
    ('string', '""'), ('string', '"a"'), ('string', '"A"'), ('string', '"a\u0000b"'), ('string', '"é😀"'), ('string', '"1"'), ('string', to_json(repeat('k', 900))),
    ('object', '{}'), ('object', '{"a": 1}'), ('object', '{"a": {"b": null}, "c": [1, null, {"$oid": "65a000000000000000000001"}]}'),
    ('object', '{"b": 1, "a": 2}'), ('object', '{"a": 2, "b": 1}'),
    ('binary', '{"$binary": {"base64": "", "subType": "00"}}'), ('binary', '{"$binary": {"base64": "AQID", "subType": "00"}}'),
    ('binary', '{"$binary": {"base64": "AQID", "subType": "80"}}'),
    ('uuid', '{"$binary": {"base64": "c//SZESzTGmQ6OfR38A11A==", "subType": "04"}}'),
    ('legacy_uuid', '{"$binary": {"base64": "c//SZESzTGmQ6OfR38A11A==", "subType": "03"}}'),
    ('objectid', '{"$oid": "65a000000000000000000001"}'), ('objectid', '{"$oid": "000000000000000000000000"}'), ('objectid', '{"$oid": "ffffffffffffffffffffffff"}'),
    ('bool', 'false'), ('bool', 'true'),
    ('date', '{"$date": {"$numberLong": "0"}}'), ('date', '{"$date": {"$numberLong": "-1"}}'), ('date', '{"$date": {"$numberLong": "9223372036854775807"}}'),
    ('date', '{"$date": "2024-01-01T00:00:00.123Z"}'),
    ('timestamp', '{"$timestamp": {"t": 1, "i": 2}}'), ('timestamp', '{"$timestamp": {"t": 4294967295, "i": 4294967295}}'),
    ('dbpointer', '{"$dbPointer": {"$ref": "b", "$id": {"$oid": "56e1fc72e0c917e9c4714161"}}}'),
    ('code', '{"$code": "x"}'), ('code', '{"$code": "x", "$scope": {"a": 1}}'),
    ('dbref', '{"$ref": "c", "$id": 1}'),
    ('maxkey', '{"$maxKey": 1}');
SELECT sum((mongo_migrate.run_command('id_types', json_build_object('insert', c.name, 'documents', json_build_array(
           json_build_object('_id', i.id, 'kind', i.kind, 'parts', '[{"n": 1}, {"n": 2}]'::json)))) ->> 'n')::integer) AS documents
  FROM (SELECT * FROM ids ORDER BY md5(n::text)) AS i, LATERAL (VALUES ('mixed'), ('of_' || i.kind)) AS c (name);
CREATE VIEW sums AS SELECT sum(documents) AS documents, sum(inserted) AS inserted, sum(skipped) AS skipped, sum(rejected) AS rejected,
        bool_and(complete) AS complete FROM mongo_migrate.chunk WHERE server = 'id_types' AND collection = 'mixed';
RESET client_min_messages;

-- Each type by itself, and all; then once more.
SELECT collection, documents, inserted, rejected, complete FROM mongo_migrate.migrate_all('id_types', workers => 0);
SELECT collection, id_type, column_type FROM mongo_migrate.id_map WHERE server = 'id_types' ORDER BY 1;
SELECT p.collection, v.* FROM mongo_migrate.plan AS p, mongo_migrate.verify_full(p.server, p.collection) AS v WHERE p.server = 'id_types';
SELECT * FROM mongo_migrate.verify_counts('id_types') WHERE NOT ok;
SELECT sum(skipped) AS skipped, sum(inserted) AS inserted, bool_and(complete) AS complete FROM mongo_migrate.migrate_all('id_types', workers => 0);
-- The map goes both ways.
SELECT count(*) AS lost FROM ids
 WHERE mongo_migrate.bson_key(mongo_migrate.source_id('id_types', 'mixed', mongo_migrate.target_id('id_types', 'mixed', id))) <> mongo_migrate.bson_key(id);
SELECT count(*), count(DISTINCT id) FROM mixed;

-- A document a batch, in workers, each batch a commit; then what has come since.
SELECT mongo_migrate.reset_collection('id_types', 'mixed', truncate => true);
SELECT documents, inserted, complete FROM mongo_migrate.migrate_collection('id_types', 'mixed', batch_size => 1);
SELECT mongo_migrate.run_command('id_types', '{"insert": "mixed", "documents": [
    {"_id": "late", "kind": "string", "parts": [{"n": 1}]}, {"_id": 7.5, "kind": "double", "parts": []}, {"_id": {"z": 1}, "kind": "object", "parts": []}]}') ->> 'n' AS n;
SELECT documents, inserted, skipped, complete FROM mongo_migrate.migrate_collection('id_types', 'mixed', batch_size => 7);
SELECT * FROM mongo_migrate.verify_full('id_types', 'mixed');

-- A range a document, and a range a few; a resume at each document.
CREATE FUNCTION split(every integer) RETURNS bigint LANGUAGE sql AS $$
    SELECT mongo_migrate.reset_collection('id_types', 'mixed', truncate => true);
    WITH bound AS (
        SELECT mongo_migrate.bson_from_json(d) AS id, n, row_number() OVER (ORDER BY n) AS chunk
          FROM mongo_migrate.find_documents('id_types', 'mixed', '{}', '{"projection": {"_id": 1}, "sort": {"_id": 1}}', 'canonical')
                 WITH ORDINALITY AS f (d, n)
         WHERE (n - 1) % every = 0)
    INSERT INTO mongo_migrate.chunk (server, collection, chunk, lower_id, upper_id)
    SELECT 'id_types', 'mixed', chunk, CASE WHEN n > 1 THEN id END, lead(id) OVER (ORDER BY n) FROM bound;
    SELECT count(*) FROM mongo_migrate.chunk WHERE server = 'id_types' AND collection = 'mixed';
$$;
SELECT split(1);
SELECT documents, inserted, complete FROM mongo_migrate.migrate_collection('id_types', 'mixed');
SELECT count(*) AS not_one FROM mongo_migrate.chunk WHERE server = 'id_types' AND collection = 'mixed' AND documents <> 1;
SELECT * FROM mongo_migrate.verify_full('id_types', 'mixed');
SELECT split(10);
DO $$
BEGIN
    -- A new session of the loader for each batch, as after a crash.
    WHILE EXISTS (SELECT FROM mongo_migrate.chunk WHERE server = 'id_types' AND NOT complete) LOOP
        PERFORM mongo_migrate.copy_batch(server, collection, chunk, 1)
           FROM mongo_migrate.chunk WHERE server = 'id_types' AND NOT complete ORDER BY md5(documents::text || chunk) LIMIT 1;
    END LOOP;
END
$$;
TABLE sums;
SELECT * FROM mongo_migrate.verify_full('id_types', 'mixed');

-- An _id that is too long for the index of the map.
SELECT mongo_migrate.run_command('id_types', json_build_object('insert', 'long_ids', 'documents', json_build_array(
    json_build_object('_id', repeat('x', 1990), 'n', 1), json_build_object('_id', repeat('x', 3000), 'n', 2), '{"_id": 1, "n": 3}'::json))) ->> 'n' AS n;
SELECT documents, inserted, rejected FROM mongo_migrate.migrate_collection('id_types', 'long_ids', workers => 0);
SELECT length(source_id), path, reason, hint FROM mongo_migrate.quarantine WHERE server = 'id_types';
SELECT documents, skipped, rejected FROM mongo_migrate.migrate_collection('id_types', 'long_ids', workers => 0);
SELECT count(*) FROM mongo_migrate.verify_full('id_types', 'long_ids');
SELECT column_name, kind, target_value FROM mongo_migrate.compare_document('id_types', 'long_ids', repeat('x', 3000));

-- ObjectIds, UUIDs and texts as they are, and references to what is not there: set to NULL, kept, and with their documents in
-- quarantine, by the right _id, whatever the search_path has.
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.equal(mongo_migrate.objectid, mongo_migrate.objectid) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE FUNCTION hostile.equal(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE OPERATOR hostile.= (LEFTARG = mongo_migrate.objectid, RIGHTARG = mongo_migrate.objectid, FUNCTION = hostile.equal);
CREATE OPERATOR hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.equal);
CREATE FUNCTION kept(n integer) RETURNS TABLE (kind text, id json) LANGUAGE sql AS $$
    VALUES ('oid', json_build_object('$oid', lpad(n::text, 24, '0'))), ('text', to_json(n::text)), ('hex', to_json(lpad(n::text, 24, 'a'))),
           ('uuid', json_build_object('$uuid', lpad(n::text, 8, '0') || '-0000-4000-8000-000000000000')),
           ('old_uuid', json_build_object('$binary', json_build_object('base64', encode(decode(lpad(n::text, 32, '0'), 'hex'), 'base64'), 'subType', '03')))
$$;
SELECT sum((mongo_migrate.run_command('id_types', json_build_object('insert', c.name, 'documents', c.documents)) ->> 'n')::integer) AS documents
FROM (SELECT 'user_' || k.kind AS name, json_agg(json_build_object('_id', k.id, 'n', n)) AS documents FROM generate_series(10, 29) AS n, kept(n) AS k GROUP BY 1
      UNION ALL
      SELECT 'order_' || k.kind, json_agg(json_build_object('_id', k.id, 'gone', k.id, 'stays', k.id, 'boss', CASE WHEN n < 32 THEN k.id END)) FROM generate_series(20, 35) AS n, kept(n) AS k GROUP BY 1) AS c;
SET client_min_messages = warning;
SELECT mongo_migrate.plan_collection('id_types', c.kind || '_' || k.kind, id_type => 'source') FROM unnest('{user,order}'::text[]) AS c (kind), kept(1) AS k \g /dev/null
UPDATE mongo_migrate.id_map AS m SET column_type = t.type FROM (VALUES ('oid', 'mongo_migrate.objectid'), ('text', 'text'), ('hex', 'text'), ('uuid', 'uuid'), ('old_uuid', 'uuid')) AS t (kind, type)
 WHERE m.server = 'id_types' AND m.collection IN ('user_' || t.kind, 'order_' || t.kind);
SELECT collection, id_type, column_type FROM mongo_migrate.id_map WHERE server = 'id_types' AND collection ~ '^(user|order)_' ORDER BY collection COLLATE "C";
UPDATE mongo_migrate.plan_column AS c SET role = 'reference', refers_to = replace(c.collection, 'order_', 'user_'), type = i.type, nullable = true,
       on_dangling = CASE c.path WHEN 'gone' THEN 'null' WHEN 'stays' THEN 'keep' ELSE 'quarantine' END
  FROM mongo_migrate.plan_column AS i
 WHERE (i.server, i.collection, i.role) = (c.server, c.collection, 'id') AND c.collection LIKE 'order_%' AND c.path IN ('gone', 'stays', 'boss');
SELECT target, column_name, problem FROM mongo_migrate.check_plan('id_types') WHERE target ~ '(user|order)_';
SET search_path = hostile, public, pg_catalog;
SELECT m.collection, m.inserted, m.rejected, m.complete FROM unnest('{user,order}'::text[]) AS c (kind), kept(1) AS k, mongo_migrate.migrate_collection('id_types', c.kind || '_' || k.kind, workers => 0) AS m;
RESET search_path;
SELECT collection, count(*), min(source_id::jsonb::text), max(reason) FROM mongo_migrate.quarantine WHERE server = 'id_types' AND target ~ 'order_' GROUP BY 1 ORDER BY collection COLLATE "C";
SELECT collection, column_name, policy, count(*), min(source_value) FROM mongo_migrate.dangling_reference WHERE server = 'id_types' GROUP BY 1, 2, 3 ORDER BY collection COLLATE "C", 2;
SELECT collection, source_count, target_count, quarantined, ok FROM mongo_migrate.verify_counts('id_types') WHERE target ~ '(user|order)_' ORDER BY collection COLLATE "C";
SET search_path = hostile, public, pg_catalog;
SELECT c.kind || '_' || k.kind AS collection, v.kind, v.column_name, pg_catalog.count(*) FROM unnest('{user,order}'::text[]) AS c (kind), kept(1) AS k, mongo_migrate.verify_full('id_types', c.kind || '_' || k.kind) AS v GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;
RESET search_path;
-- The missing documents come.
SELECT sum((mongo_migrate.run_command('id_types', json_build_object('insert', c.name, 'documents', c.documents)) ->> 'n')::integer) AS documents
FROM (SELECT 'user_' || k.kind AS name, json_agg(json_build_object('_id', k.id, 'n', n)) AS documents FROM generate_series(30, 35) AS n, kept(n) AS k GROUP BY 1) AS c;
SELECT m.collection, m.inserted, m.complete FROM kept(1) AS k, mongo_migrate.migrate_collection('id_types', 'user_' || k.kind, workers => 0) AS m;
SELECT * FROM mongo_migrate.retry_quarantine('id_types');
SELECT c.kind || '_' || k.kind AS collection, v.* FROM unnest('{user,order}'::text[]) AS c (kind), kept(1) AS k, mongo_migrate.verify_full('id_types', c.kind || '_' || k.kind) AS v;
SET client_min_messages = warning;
DROP SCHEMA hostile CASCADE;
DROP FUNCTION kept;
RESET client_min_messages;

-- Rows without a document, by ids of the source: as many as there are documents without a row, and beside a string that is the same id.
SELECT mongo_migrate.verify_all_objectids('id_types', 'user_oid'), mongo_migrate.verify_all_objectids('id_types', 'mixed');
DELETE FROM public.order_oid WHERE id = '000000000000000000000020';
INSERT INTO public.order_oid (id) VALUES ('0000000000000000000000ff');
SELECT v.source_id, v.target, v.kind FROM mongo_migrate.verify_full('id_types', 'order_oid') AS v ORDER BY v.kind;
DELETE FROM public.order_oid WHERE id = '0000000000000000000000ff';
INSERT INTO public.order_oid (id) VALUES ('0000000000000000000000fe');
SELECT mongo_migrate.run_command('id_types', '{"insert": "order_oid", "documents": [{"_id": "000000000000000000000021"}]}') ->> 'n' AS n;
DELETE FROM mongo_migrate.quarantine WHERE server = 'id_types' AND collection = 'order_oid';
SELECT mongo_migrate.verify_all_objectids('id_types', 'order_oid');
SELECT v.source_id, v.target, v.kind, count(*) FROM mongo_migrate.verify_full('id_types', 'order_oid') AS v GROUP BY 1, 2, 3 ORDER BY v.kind, v.source_id COLLATE "C";

-- The _id as it was in a column beside the new id.
SELECT mongo_migrate.run_command('id_types', '{"insert": "assorted", "documents": [{"_id": "s-1", "n": 1}, {"_id": {"$oid": "65a000000000000000000001"}, "n": 2}, {"_id": {"b": 1, "a": [2]}, "n": 3}, {"_id": 4.5, "n": 4}, {"_id": null, "n": 5}]}') ->> 'n' AS n;
SELECT mongo_migrate.run_command('id_types', json_build_object('insert', 'strings', 'documents', json_agg(json_build_object('_id', 's-' || n)))) ->> 'n' AS n FROM generate_series(1, 20) AS n;
SELECT mongo_migrate.plan_collection('id_types', 'assorted'), mongo_migrate.plan_collection('id_types', 'strings');
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, nullable, source_type, is_unique)
VALUES ('id_types', 'assorted', 'public.assorted', 'source_id', 90, 'value', '_id', 'jsonb', true, 'jsonb', false),
       ('id_types', 'strings', 'public.strings', 'source_id', 90, 'value', '_id', 'text', false, 'text', true);
SELECT target, column_name, problem FROM mongo_migrate.check_plan('id_types') WHERE target IN ('public.assorted', 'public.strings');
SELECT mongo_migrate.plan_collection('id_types', 'strings', replan => true);
SELECT collection, inserted, rejected, complete FROM unnest('{assorted,strings}'::text[]) AS c, mongo_migrate.migrate_collection('id_types', c, workers => 0);
SELECT * FROM public.assorted ORDER BY n;
SELECT count(*), count(DISTINCT source_id), min(source_id), max(id) FROM public.strings;
SELECT indexdef FROM pg_indexes WHERE tablename = 'strings' ORDER BY 1;
SELECT c, v.* FROM unnest('{assorted,strings}'::text[]) AS c, mongo_migrate.verify_full('id_types', c) AS v;
UPDATE public.strings SET source_id = 's-x' WHERE source_id = 's-9';
SELECT v.* FROM mongo_migrate.verify_full('id_types', 'strings') AS v;

-- What is made here goes.
DELETE FROM mongo_migrate.quarantine WHERE server = 'id_types';
SET client_min_messages = warning;
DO $$
BEGIN
    EXECUTE (SELECT 'DROP TABLE ' || string_agg(target, ', ') FROM mongo_migrate.plan_target WHERE server = 'id_types');
    EXECUTE (SELECT 'DROP TABLE ' || string_agg(relation, ', ') FROM mongo_migrate.id_map WHERE server = 'id_types' AND relation IS NOT NULL);
END
$$;
SELECT mongo_migrate.run_command('id_types', '{"dropDatabase": 1}') \g /dev/null
DELETE FROM mongo_migrate.plan WHERE server = 'id_types';
DELETE FROM mongo_migrate.id_map WHERE server = 'id_types';
DELETE FROM mongo_migrate.chunk WHERE server = 'id_types';
DELETE FROM mongo_migrate.run WHERE server = 'id_types';
DELETE FROM mongo_migrate.verification WHERE server = 'id_types';
DROP FUNCTION split;
DROP VIEW sums;
DROP TABLE ids;
DROP SERVER id_types;

-- After a cutover: what a row says nothing of stays in its document to the byte, and what cannot be written holds up nothing else.
\getenv mongo_uri MONGO_URI
CREATE SERVER back_types FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_write_back_types');
SELECT mongo_migrate.run_command('back_types', '{"dropDatabase": 1}')->'ok' AS ok;
CREATE SCHEMA back_types;
SET search_path = back_types;
SET timezone = 'UTC';
\pset format unaligned
\set SHOW_CONTEXT never
CREATE FUNCTION pg_temp.insert(collection text, VARIADIC documents json[]) RETURNS bigint LANGUAGE sql AS $$
    SELECT written FROM mongo_migrate.send_writes('back_types', collection, 'insert', array_fill(NULL::json, ARRAY[cardinality(documents)]), documents)
$$;
CREATE FUNCTION pg_temp.documents(collection text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT d.document::text FROM mongo_migrate.read_documents('back_types', collection, '{}', '{"sort": {"_id": 1}}', 0) AS d
$$;
CREATE TABLE before (collection text, document text);
CREATE FUNCTION pg_temp.changed(collection text) RETURNS TABLE (was text, "is" text) LANGUAGE sql AS $$
    SELECT b.document, d FROM (SELECT document FROM before AS b WHERE b.collection = changed.collection) AS b
      FULL JOIN pg_temp.documents(collection) AS d ON d = b.document WHERE d IS NULL OR b IS NULL ORDER BY coalesce(b.document, d) COLLATE "C"
$$;
CREATE PROCEDURE pg_temp.settle() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 1800 LOOP
        COMMIT;
        IF NOT EXISTS (SELECT FROM mongo_migrate.unnoted_tables('back_types'))
           AND NOT EXISTS (SELECT FROM mongo_migrate.sync_status WHERE server LIKE 'back\_%' AND (pending > 0 OR error IS NOT NULL)) THEN
            RETURN;
        END IF;
        PERFORM pg_sleep(0.1);
    END LOOP;
    RAISE 'it has not settled: %', (SELECT string_agg(s::text, ' ') FROM mongo_migrate.sync_status AS s WHERE server LIKE 'back\_%');
END
$$;

-- Documents that look like Extended JSON, U+0000, names that begin with $, a timestamp that the server would set.
SELECT pg_temp.insert('odd',
    '{"_id": 1, "i": 1, "x": {"\u0024oid": "507f1f77bcf86cd799439011"}}', '{"_id": 2, "i": 1, "x": [{"\u0024date": "2020-01-01T00:00:00Z"}]}',
    '{"_id": 3, "i": 1, "x": {"\u0024numberDecimal": "1.50"}}', '{"_id": 4, "i": 1, "x": {"$ref": "a", "$id": {"$oid": "507f1f77bcf86cd799439011"}, "$db": "b"}}',
    '{"_id": 5, "i": 1, "x": {"\u0024undefined": true}, "y": {"$undefined": true}}', '{"_id": 6, "i": 1, "x": "a\u0000b", "y": {"z": "\u0000"}}',
    '{"_id": 7, "i": 1, "$z": 1}', '{"_id": 8, "i": 1, "x": {"$set": {"a": 1}, "$type": 5}}', '{"_id": 9, "i": 1, "x": {"\u0024minKey": {"a": 1}}}',
    '{"_id": 10, "i": 1, "x": {"\u0024code": "a", "$scope": {}}, "y": {"$code": "a", "$scope": {"b": 5}}}',
    '{"_id": 11, "i": 1, "x": {"\u0024uuid": "00112233-4455-6677-8899-aabbccddeeff"}, "y": {"$regularExpression": {"pattern": "a.b", "options": "ix"}}}',
    '{"_id": 12, "i": 1, "x.y": 2, "": 3, "t": {"$timestamp": {"t": 1, "i": 1}}, "n": {"$numberDouble": "-0.0"}, "d": {"$numberDecimal": "NaN"}}');
SELECT written FROM mongo_migrate.send_writes('back_types', 'odd', 'update', ARRAY['{"_id": 12}']::json[],
    ARRAY['{"_id": 12, "i": 1, "x.y": 2, "": 3, "t": {"$timestamp": {"t": 0, "i": 0}}, "n": {"$numberDouble": "-0.0"}, "d": {"$numberDecimal": "NaN"}}']::json[]);
-- Values in JSON and in arrays; a field that is a document or not; elements by position; what an index refuses.
SELECT pg_temp.insert('mixed',
    '{"_id": 1, "j": {"z": {"$numberLong": "1"}, "a": {"$oid": "507f1f77bcf86cd799439011"}, "l": [1, {"$numberLong": "2"}, {"c": 1, "b": 2}]}, "a": [1, 2.5, {"$numberLong": "3"}, null], "seen": [{"$date": "2020-01-01T00:00:00Z"}], "e": {"city": "Ulm"}, "pair": [1, 2], "place": {"type": "Point", "coordinates": [1, 2]}, "word": "abc", "hex": {"$oid": "507f1f77bcf86cd799439011"}}',
    '{"_id": 2, "j": {"z": 5}, "a": [], "e": {"city": "Bonn"}, "pair": [3, 4], "word": {"$symbol": "abc"}, "hex": "x"}',
    '{"_id": 3, "j": {}, "a": [7], "e": {"city": "Rom"}, "pair": [5], "hex": {"$oid": "507f1f77bcf86cd799439012"}, "ratio": 0.7}');
SELECT mongo_migrate.run_command('back_types', '{"createIndexes": "mixed", "indexes": [{"key": {"place": "2dsphere"}, "name": "place"}]}') -> 'ok' AS ok;
-- Ids that are those of the documents.
SELECT pg_temp.insert('dates', '{"_id": {"$date": "2020-01-01T00:00:00.123Z"}, "i": 1}', '{"_id": {"$date": "2021-01-01T00:00:00Z"}, "i": 2}');
SELECT pg_temp.insert('words', '{"_id": "a", "i": 1}', '{"_id": "b", "i": 2}', '{"_id": "c", "i": 3}', '{"_id": 5, "i": 4}', '{"_id": {"$oid": "507f1f77bcf86cd799439011"}, "i": 5}', '{"_id": "x\u00e9\"\\", "i": 6}',
    '{"_id": {"$oid": "734e17380000000000000152"}, "i": 7}', '{"_id": "1e9999", "i": 8}', '{"_id": "12345678901234567890123456789012345678901", "i": 9}',
    '{"_id": "{\"$ref\": \"a\"}", "i": 10}', '{"_id": "{\"$numberDecimal\": \"734e17380000000000000152\"}", "i": 11}', '{"_id": "{\"$code\": \"\\u0000\"}", "i": 12}');
SELECT pg_temp.insert('bytes', '{"_id": {"$binary": {"base64": "YQ==", "subType": "00"}}, "i": 1, "b": {"$binary": {"base64": "AQI=", "subType": "80"}}, "u": {"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "03"}}, "l": [{"$binary": {"base64": "AQI=", "subType": "02"}}]}', '{"_id": {"$binary": {"base64": "Yg==", "subType": "05"}}, "i": 2}');
SELECT mongo_migrate.run_command('back_types', '{"create": "names", "collation": {"locale": "en", "strength": 2}}') -> 'ok' AS ok;
SELECT pg_temp.insert('names', '{"_id": "b", "i": 2}', '{"_id": "c", "i": 3}');
SELECT pg_temp.insert('compound', '{"_id": {"z": 1, "a": 2}, "i": 1}', '{"_id": {"a": 1, "z": 2}, "i": 2}');
-- Elements without positions and with others; a table in partitions.
SELECT pg_temp.insert('lists', '{"_id": 1, "sets": [{"b": 1, "a": {"$numberLong": "2"}, "c": null, "hidden": 1}, {"a": 3, "b": null}, {"b": 1, "a": 2}], "lines": [{"n": 1, "hidden": 1}, {"n": 2, "hidden": 2}, {"n": 3, "hidden": 3}]}');
SELECT pg_temp.insert('parts', '{"_id": 1, "n": 1}', '{"_id": 2, "n": 2}', '{"_id": 11, "n": 11}');
CREATE TABLE parts (id bigint PRIMARY KEY, n integer) PARTITION BY RANGE (id);
CREATE TABLE parts_low PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parts_high PARTITION OF parts FOR VALUES FROM (10) TO (100);

SELECT mongo_migrate.start_sync('back_types');
SELECT mongo_migrate.plan_collection('back_types', c, target => 'back_types.' || c, id_type => CASE WHEN c NOT IN ('odd', 'compound') THEN 'source' END)
  FROM unnest('{odd,mixed,dates,words,bytes,names,compound,lists,parts}'::text[]) AS c;
DELETE FROM mongo_migrate.plan_column WHERE server = 'back_types' AND (collection = 'odd' AND column_name NOT IN ('id', 'i') OR column_name = 'hidden' OR collection = 'mixed' AND column_name NOT IN ('id', 'word', 'hex'));
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type) VALUES
    ('back_types', 'mixed', 'back_types.mixed', 'j', 20, 'value', 'j', 'jsonb'), ('back_types', 'mixed', 'back_types.mixed', 'a', 21, 'value', 'a', 'numeric[]'),
    ('back_types', 'mixed', 'back_types.mixed', 'seen', 22, 'value', 'seen', 'timestamptz[]'), ('back_types', 'mixed', 'back_types.mixed', 'city', 23, 'value', 'e.city', 'text'),
    ('back_types', 'mixed', 'back_types.mixed', 'first', 24, 'value', 'pair.0', 'integer'), ('back_types', 'mixed', 'back_types.mixed', 'second', 25, 'value', 'pair.1', 'integer'),
    ('back_types', 'mixed', 'back_types.mixed', 'place', 26, 'value', 'place', 'jsonb'), ('back_types', 'mixed', 'back_types.mixed', 'ratio', 27, 'value', 'ratio', 'real');
SELECT target, column_name, role, path, type FROM mongo_migrate.plan_column WHERE server = 'back_types' AND included ORDER BY collection, target, ordinal;
SET client_min_messages = warning;
SELECT collection, inserted, rejected, complete FROM mongo_migrate.migrate_all('back_types');
RESET client_min_messages;
ALTER TABLE lists_sets DROP COLUMN position;
DELETE FROM mongo_migrate.plan_column WHERE server = 'back_types' AND target = 'back_types.lists_sets' AND role = 'position';
CREATE TABLE heir () INHERITS (odd);
SELECT * FROM mongo_migrate.check_write_back('back_types') WHERE severity <> 'note';
DROP TABLE heir;
SELECT mongo_migrate.cutover('back_types');
SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE tgname LIKE 'mongo_migrate%' AND tgrelid::regclass::text LIKE 'parts%' ORDER BY 1, 2;
INSERT INTO before SELECT p.collection, d FROM mongo_migrate.plan AS p, pg_temp.documents(p.collection) AS d WHERE p.server = 'back_types';

-- Rows that are touched.
UPDATE odd SET i = i;
UPDATE mixed SET word = word;
UPDATE dates SET i = i;
UPDATE words SET i = i;
UPDATE bytes SET i = i;
UPDATE compound SET i = i;
UPDATE lists_sets SET a = a;
UPDATE lists_lines SET n = n;
CALL pg_temp.settle();
SELECT collection, id, reason FROM mongo_migrate.row_change WHERE server = 'back_types';
SELECT written FROM mongo_migrate.sync_status WHERE server = 'back_types';
SELECT p.collection, c.* FROM mongo_migrate.plan AS p, pg_temp.changed(p.collection) AS c WHERE p.server = 'back_types';
-- Binaries keep their subtype; new ones have the usual one.
UPDATE bytes SET b = '\x0304', u = '00112233-4455-6677-8899-aabbccddee00', l = '{"\\x0304","\\x05"}' WHERE i = 1;
CALL pg_temp.settle();
SELECT d FROM pg_temp.documents('bytes') AS d LIMIT 1;
-- One column of each.
UPDATE odd SET i = 2;
UPDATE words SET i = i + 10;
UPDATE bytes SET i = i + 10;
UPDATE compound SET i = i + 10;
CALL pg_temp.settle();
SELECT count(*) AS changed, count(*) FILTER (WHERE d = replace(b.document, '"i":{"$numberInt":"1"}', '"i":{"$numberInt":"2"}')) AS by_it_alone
  FROM before AS b JOIN pg_temp.documents('odd') AS d ON b.collection = 'odd' AND left(d, 28) = left(b.document, 28);
SELECT pg_temp.documents(c) FROM unnest('{words,bytes,compound}'::text[]) AS c;
-- Parts of JSON and of arrays; words that would come back otherwise.
UPDATE mixed SET j = jsonb_set(j, '{l,2,c}', '9') || '{"new": 1.5}', a = a || 4, seen = seen || '2021-02-03 04:05:06.789123+00'::timestamptz, word = '507F1F77BCF86CD799439011', hex = '507F1F77BCF86CD799439013', ratio = 0.1 WHERE id = 1;
UPDATE mixed SET second = NULL WHERE id = 2;
UPDATE mixed SET first = NULL, city = 'Bonn' WHERE id = 3;
CALL pg_temp.settle();
SELECT * FROM pg_temp.changed('mixed');
-- What is refused, alone: no document for a field, no element for a position, no place on earth.
SELECT mongo_migrate.run_command('back_types', '{"update": "mixed", "updates": [{"q": {"_id": 2}, "u": {"$set": {"e": "none"}}}]}') ->> 'n' AS n;
UPDATE mixed SET city = 'Ulm' WHERE id = 2;
UPDATE mixed SET place = '{"type": "Point", "coordinates": [1000, 2]}' WHERE id = 1;
UPDATE mixed SET word = 'written' WHERE id = 3;
INSERT INTO mixed (id, place, hex) VALUES (4, '5', 'x'), (5, NULL, 'y');
CALL pg_temp.settle();
SELECT id, regexp_replace(reason, E'\n.*', '', 'g') AS reason FROM mongo_migrate.row_change WHERE server = 'back_types' ORDER BY id COLLATE "C";
SELECT pg_temp.documents('mixed') OFFSET 2;
UPDATE mixed SET second = 6 WHERE id = 5;
CALL pg_temp.settle();
SELECT id, reason FROM mongo_migrate.row_change WHERE server = 'back_types' AND id = '5';
UPDATE mixed SET second = NULL, seen = '{infinity}' WHERE id = 5;
CALL pg_temp.settle();
SELECT id, reason FROM mongo_migrate.row_change WHERE server = 'back_types' AND id = '5';
UPDATE mixed SET seen = NULL WHERE id = 5;
UPDATE mixed SET city = NULL WHERE id = 2;
UPDATE mixed SET place = NULL WHERE id IN (1, 4);
CALL pg_temp.settle();
SELECT collection, id, reason FROM mongo_migrate.row_change WHERE server = 'back_types';
-- Ids that are no _id: never another row's document.
INSERT INTO dates VALUES ('2020-01-01 00:00:00.123456+00', 99), ('2030-01-01 00:00:00.5+00', 3);
UPDATE compound SET id_z = 7 WHERE i = 11;
INSERT INTO compound (id_z, i) VALUES (1, 5);
CALL pg_temp.settle();
SELECT id, reason FROM mongo_migrate.row_change WHERE server = 'back_types' ORDER BY id COLLATE "C";
SELECT pg_temp.documents(c) FROM unnest('{dates,compound}'::text[]) AS c;
DELETE FROM dates WHERE i = 99;
DELETE FROM compound WHERE i = 5;
UPDATE compound SET id_z = 1 WHERE i = 11;
CALL pg_temp.settle();
-- Ids that a collation takes for each other, and others do not: one after the other.
INSERT INTO names VALUES ('B', 1);
UPDATE names SET id = 'C' WHERE id = 'c';
CALL pg_temp.settle();
SELECT id, regexp_replace(reason, E'\n.*', '') AS reason FROM mongo_migrate.row_change WHERE server = 'back_types';
DELETE FROM names WHERE id = 'b';
UPDATE names SET i = 2 WHERE id = 'B';
CALL pg_temp.settle();
SELECT id, reason FROM mongo_migrate.row_change WHERE server = 'back_types';
SELECT pg_temp.documents('names');
-- Elements: one new, one gone; before the first.
DELETE FROM lists_sets WHERE a = 3;
INSERT INTO lists_sets (list_id, a, b) VALUES (1, 4, 5);
UPDATE lists_lines SET position = -1 WHERE position = 1;
CALL pg_temp.settle();
SELECT pg_temp.documents('lists');
-- All rows of a partition.
TRUNCATE parts_low;
UPDATE parts_high SET n = 12;
CALL pg_temp.settle();
SELECT pg_temp.documents('parts');
-- Partitions that are new, with rows or without, and come back with others; one that goes keeps its documents.
CREATE TABLE parts_empty PARTITION OF parts FOR VALUES FROM (100) TO (200);
CREATE TABLE parts_full (id bigint PRIMARY KEY, n integer);
INSERT INTO parts_full VALUES (200, 1), (201, 1);
ALTER TABLE parts ATTACH PARTITION parts_full FOR VALUES FROM (200) TO (300);
INSERT INTO parts VALUES (100, 1), (202, 1);
CALL pg_temp.settle();
SELECT pg_temp.documents('parts');
TRUNCATE parts_empty;
BEGIN;
ALTER TABLE parts DETACH PARTITION parts_full;
UPDATE parts_full SET n = 2 WHERE id = 201;
INSERT INTO parts_full VALUES (203, 2);
ALTER TABLE parts ATTACH PARTITION parts_full FOR VALUES FROM (200) TO (300);
COMMIT;
CALL pg_temp.settle();
SELECT pg_temp.documents('parts');
ALTER TABLE parts DETACH PARTITION parts_full;
DELETE FROM parts_full WHERE id = 201;
TRUNCATE parts_full;
CALL pg_temp.settle();
SELECT pg_temp.documents('parts');
-- A table whose triggers were disabled, and one that was made anew.
ALTER TABLE parts DISABLE TRIGGER ALL;
UPDATE parts SET n = 13 WHERE id = 11;
CALL pg_temp.settle();
SELECT pg_temp.documents('parts');
ALTER TABLE dates DISABLE TRIGGER ALL;
UPDATE dates SET i = 7 WHERE i = 1;
ALTER TABLE dates ENABLE TRIGGER ALL;
CREATE TABLE new_words (LIKE words INCLUDING ALL);
INSERT INTO new_words SELECT id, i + 100 FROM words;
DROP TABLE words;
ALTER TABLE new_words RENAME TO words;
CALL pg_temp.settle();
SELECT pg_temp.documents(c) FROM unnest('{words,dates}'::text[]) AS c;
SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE tgname LIKE 'mongo_migrate%' AND tgrelid::regclass::text IN ('words', 'dates', 'parts') ORDER BY 1, 2;
-- JSON's null and NULL are one in a document.
UPDATE mixed SET j = 'null' WHERE id = 3;
CALL pg_temp.settle();
SELECT * FROM pg_temp.documents('mixed') AS d WHERE d LIKE '{"_id":{"$numberInt":"3"}%';
SELECT p.collection, f.* FROM mongo_migrate.plan AS p, mongo_migrate.verify_full('back_types', p.collection) AS f WHERE p.server = 'back_types' ORDER BY 1, 2;

-- A map that is undefined stays so; an expression over a value in the mode of its server.
CREATE SERVER back_plain FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_write_back_plain', extended_json 'plain');
SELECT mongo_migrate.run_command('back_plain', '{"dropDatabase": 1}')->'ok' AS ok;
SELECT mongo_migrate.run_command('back_plain', '{"insert": "maps", "documents": [
    {"_id": 1, "i": 1, "m": {"2020-01-01": 1, "2020-01-02": 2}, "price": {"$numberDecimal": "1.50"}},
    {"_id": 2, "i": 1, "m": {"$undefined": true}, "price": {"$numberDecimal": "2.50"}}]}') -> 'n' AS n;
SELECT mongo_migrate.start_sync('back_plain');
SELECT mongo_migrate.plan_collection('back_plain', 'maps', target => 'back_types.maps');
SELECT mongo_migrate.plan_table('back_plain', 'maps', 'm');
UPDATE mongo_migrate.plan_column SET type = 'text', source_type = 'jsonb', expression = 'value::text', reverse_expression = '0'
 WHERE (server, path) = ('back_plain', 'price');
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_all('back_plain');
SELECT i, price FROM maps ORDER BY id;
SELECT mongo_migrate.cutover('back_plain');
UPDATE maps SET i = 2;
CALL pg_temp.settle();
SELECT id, reason FROM mongo_migrate.row_change WHERE server = 'back_plain' ORDER BY id COLLATE "C";
SELECT d.document::text FROM mongo_migrate.read_documents('back_plain', 'maps', '{}', '{"sort": {"_id": 1}}', 0) AS d;
INSERT INTO maps_m SELECT id, 'new', 3 FROM maps;
CALL pg_temp.settle();
SELECT d.document::text FROM mongo_migrate.read_documents('back_plain', 'maps', '{}', '{"sort": {"_id": 1}}', 0) AS d;
SELECT * FROM mongo_migrate.verify_full('back_plain', 'maps');
SELECT mongo_migrate.finalize('back_plain');

-- A document that was in quarantine becomes a row still, and is that row's.
SELECT pg_temp.insert('parts', '{"_id": 62, "n": 62, "more": true}');
INSERT INTO mongo_migrate.quarantine (server, collection, key, source_id, document, reason, sqlstate)
VALUES ('back_types', 'parts', mongo_migrate.bson_key('62'), '62', mongo_migrate.bson_from_json('{"_id": 62, "n": "sixty-two"}'), 'no number', '42804');
SELECT documents, inserted, rejected FROM mongo_migrate.retry_quarantine('back_types', 'parts');
CALL pg_temp.settle();
UPDATE parts SET n = 63 WHERE id = 62;
CALL pg_temp.settle();
SELECT * FROM pg_temp.documents('parts') AS d WHERE d LIKE '%62%';
DELETE FROM parts WHERE id = 62;
CALL pg_temp.settle();
SELECT * FROM pg_temp.documents('parts') AS d WHERE d LIKE '%62%';

-- A row that has the id of a document in quarantine is not that document: neither changes nor deletes it.
SELECT pg_temp.insert('parts', '{"_id": 60, "n": "sixty"}');
INSERT INTO mongo_migrate.quarantine (server, collection, key, source_id, document, reason, sqlstate)
VALUES ('back_types', 'parts', mongo_migrate.bson_key('60'), '60', mongo_migrate.bson_from_json('{"_id": 60, "n": "sixty"}'), 'no number', '42804');
INSERT INTO parts VALUES (60, 60), (61, 61);
CALL pg_temp.settle();
SELECT id, regexp_replace(reason, E'\nE11000[^\n]*', E'\n...') AS reason FROM mongo_migrate.row_change WHERE server = 'back_types';
DELETE FROM parts WHERE id IN (60, 61);
CALL pg_temp.settle();
SELECT id, reason FROM mongo_migrate.row_change WHERE server = 'back_types';
SELECT pg_temp.documents('parts');
INSERT INTO parts VALUES (60, 60);
CALL pg_temp.settle();
DELETE FROM mongo_migrate.quarantine WHERE server = 'back_types';
UPDATE parts SET n = n WHERE id = 60;
CALL pg_temp.settle();
SELECT id, reason FROM mongo_migrate.row_change WHERE server = 'back_types';
SELECT pg_temp.documents('parts');

-- To the end, once.
ALTER TABLE odd RENAME TO odder;
SELECT mongo_migrate.finalize('back_types');
SELECT tgrelid::regclass, tgname FROM pg_trigger WHERE tgname LIKE 'mongo_migrate%';
DROP SERVER back_types, back_plain CASCADE;
SET client_min_messages = warning;
DO $$
BEGIN
    EXECUTE (SELECT 'DROP TABLE ' || string_agg(relation, ', ') FROM mongo_migrate.id_map WHERE server LIKE 'back\_%' AND relation IS NOT NULL);
END
$$;
DELETE FROM mongo_migrate.plan WHERE server LIKE 'back\_%';
DELETE FROM mongo_migrate.id_map WHERE server LIKE 'back\_%';
DELETE FROM mongo_migrate.chunk WHERE server LIKE 'back\_%';
DELETE FROM mongo_migrate.run WHERE server LIKE 'back\_%';
DELETE FROM mongo_migrate.verification WHERE server LIKE 'back\_%';
DROP SCHEMA back_types CASCADE;

-- Verification: clean data of every type, then one planted error of each kind.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
CREATE SERVER verify FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_verify');
CREATE USER MAPPING FOR CURRENT_USER SERVER verify;
SELECT mongo_migrate.run_command('verify', '{"dropDatabase": 1}') ->> 'ok' AS ok;
CREATE FUNCTION load(collection text, documents json) RETURNS json LANGUAGE sql AS $$
    SELECT mongo_migrate.run_command('verify', json_build_object('insert', collection, 'documents', documents)) -> 'n'
$$;
-- The rows and plans are made by hand here: what the loader does is tested elsewhere.
CREATE PROCEDURE plan(collection text, target text, parent text, path text, columns text) LANGUAGE plpgsql AS $$
DECLARE
    c   text[];
    n   integer := 0;
BEGIN
    INSERT INTO mongo_migrate.plan (server, collection) VALUES ('verify', collection) ON CONFLICT DO NOTHING;
    INSERT INTO mongo_migrate.plan_target (server, collection, target, parent, kind, path, ordinal)
    VALUES ('verify', collection, target, parent, CASE WHEN parent IS NULL THEN 'root' ELSE 'child' END, path, 1 + (parent IS NOT NULL)::integer);
    FOREACH c SLICE 1 IN ARRAY columns::text[] LOOP
        n := n + 1;
        INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, parent_column, refers_to)
        VALUES ('verify', collection, target, c[1], n, c[2], CASE WHEN c[2] NOT IN ('parent', 'position') THEN c[3] END, 'text',
                CASE WHEN c[2] = 'parent' THEN c[3] END, c[4]);
    END LOOP;
END
$$;
CREATE FUNCTION differences(collection text, sample_size bigint DEFAULT 0)
    RETURNS TABLE (source_id text, target text, element text, column_name text, kind text, source_value text, target_value text)
    LANGUAGE sql AS $$
    SELECT source_id, target, element, column_name, kind, source_value, target_value
    FROM mongo_migrate.verify_sample('verify', collection, sample_size)
    ORDER BY source_id COLLATE "C", target COLLATE "C", element COLLATE "C", column_name COLLATE "C"
$$;

-- Values of every type.
SELECT load('types', $$[
    {"_id": 1, "i2": 7, "i4": {"$numberDouble": "1.0"}, "i8": {"$numberDecimal": "9.223372036854775807E+18"},
     "f8": {"$numberDouble": "5.989999771118164"}, "f4": 0.1, "num": {"$numberDouble": "5.989999771118164"}, "num2": {"$numberDecimal": "1.0E+3"},
     "txt": "trailing ", "vc": "ü", "ch": "ab ", "bool": true, "oid": {"$oid": "65a000000000000000000001"},
     "bytes": {"$binary": {"base64": "AP8=", "subType": "00"}}, "uid": {"$binary": {"base64": "ASNFZ4mrze8BI0VniavN7w==", "subType": "04"}},
     "tz": {"$date": {"$numberLong": "1700000000123"}}, "ts": {"$date": {"$numberLong": "-1"}}, "day": {"$date": {"$numberLong": "86400000"}},
     "js": {"b": [1, {"$numberDouble": "2.5"}, null, {"$date": {"$numberLong": "1"}}, {"$date": {"$numberLong": "-1"}}], "a": {"$oid": "65a000000000000000000001"}},
     "jt": {"z": "\u0000", "d": {"$numberDecimal": "1.50"}}, "arr": [1, null, {"$numberLong": "3"}], "grid": [["a", "b"], ["c", null]],
     "mixed": {"$date": {"$numberLong": "253402300800000"}}, "deep": {"a": [{"b.c": 5}]}, "unplanned": "\u0000", "en": "good", "dom": 5},
    {"_id": 2, "i2": null, "f8": {"$numberDouble": "NaN"}, "f4": {"$numberDouble": "-Infinity"}, "num": {"$numberDouble": "NaN"},
     "num2": {"$numberDecimal": "NaN"}, "txt": {"$symbol": "s"}, "arr": [], "js": [], "mixed": {"$numberDouble": "-0.0"}, "bool": {"$undefined": true}},
    {"_id": 3, "i4": {"$numberDouble": "-0.0"}, "f8": {"$numberLong": "9007199254740993"}, "f4": {"$numberDouble": "16777217"}, "num": {"$numberDecimal": "-0E-10"},
     "num2": {"$numberDecimal": "12E-1"}, "txt": {"$code": "f()"}, "js": {"$numberDouble": "NaN"}, "mixed": {"$binary": {"base64": "ASNFZ4mrze8BI0VniavN7w==", "subType": "03"}}},
    {"_id": 4, "js": {"r": {"$regularExpression": {"pattern": "a", "options": "i"}}, "t": {"$timestamp": {"t": 1, "i": 2}}, "m": {"$minKey": 1},
     "u": {"$undefined": true}, "c": {"$code": "f", "$scope": {"x": 1}}, "p": {"$dbPointer": {"$ref": "a.b", "$id": {"$oid": "65a000000000000000000001"}}}, "n": {"$numberDouble": "-Infinity"}}, "mixed": true}
]$$);
CREATE TYPE mood AS ENUM ('good', 'bad');
CREATE DOMAIN small AS integer CHECK (value < 10);
CREATE TABLE types (id bigint PRIMARY KEY, i2 smallint, i4 integer, i8 bigint, f8 double precision, f4 real, num numeric, num2 numeric(10,1),
    txt text, vc varchar(5), ch char(5), bool boolean, oid mongo_migrate.objectid, bytes bytea, uid uuid, tz timestamptz, ts timestamp, day date,
    js jsonb, jt json, arr integer[], grid text[], mixed text, deep integer, en mood, dom small, elem jsonb, whole jsonb);
INSERT INTO types (id, i2, i4, i8, f8, f4, num, num2, txt, vc, ch, bool, oid, bytes, uid, tz, ts, day, js, jt, arr, grid, mixed, deep, en, dom, elem)
VALUES
    (1, 7, 1, 9223372036854775807, 5.989999771118164, 0.1, 5.989999771118164, 1000, 'trailing ', 'ü', 'ab', true, '65a000000000000000000001',
     '\x00ff', '01234567-89ab-cdef-0123-456789abcdef', '2023-11-14 22:13:20.123+00', '1969-12-31 23:59:59.999', '1970-01-02',
     '{"b": [1, 2.5, null, {"$date": "1970-01-01T00:00:00.001Z"}, {"$date": {"$numberLong": "-1"}}], "a": {"$oid": "65a000000000000000000001"}}',
     '{"z": "\u0000", "d": {"$numberDecimal": "1.50"}}', '{1,NULL,3}', '{{a,b},{c,NULL}}', '+010000-01-01T00:00:00Z', 5, 'good', 5,
     '{"b.c": 5}'),
    (2, NULL, NULL, NULL, 'NaN', '-Infinity', 'NaN', 'NaN', 's', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '[]', NULL, '{}', NULL, '-0', NULL, NULL, NULL, NULL),
    (3, NULL, 0, NULL, 9007199254740992, 16777216, 0, 1.2, 'f()', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, '{"$numberDouble": "NaN"}', NULL, NULL, NULL,
     '01234567-89ab-cdef-0123-456789abcdef', NULL, NULL, NULL, NULL),
    (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
     '{"r": {"$regularExpression": {"pattern": "a", "options": "i"}}, "t": {"$timestamp": {"t": 1, "i": 2}}, "m": {"$minKey": 1}, "u": {"$undefined": true},
       "c": {"$code": "f", "$scope": {"x": 1}}, "p": {"$dbPointer": {"$ref": "a.b", "$id": {"$oid": "65a000000000000000000001"}}}, "n": {"$numberDouble": "-Infinity"}}',
     NULL, NULL, NULL, 'true', NULL, NULL, NULL, NULL);
INSERT INTO mongo_migrate.id_map (server, collection, id_type) VALUES ('verify', 'types', 'source');
CALL plan('types', 'public.types', NULL, NULL, '{{id,id,_id},{i2,value,i2},{i4,value,i4},{i8,value,i8},{f8,value,f8},{f4,value,f4},{num,value,num},{num2,value,num2},
    {txt,value,txt},{vc,value,vc},{ch,value,ch},{bool,value,bool},{oid,value,oid},{bytes,value,bytes},{uid,value,uid},{tz,value,tz},{ts,value,ts},{day,value,day},
    {js,value,js},{jt,value,jt},{arr,value,arr},{grid,value,grid},{mixed,value,mixed},{deep,value,"deep.a.0.b\\.c"},{en,value,en},{dom,value,dom},{elem,value,"deep.a.0"}}');
-- Nothing, but for what float columns cannot hold.
SELECT * FROM differences('types');
UPDATE mongo_migrate.plan_column SET included = false WHERE server = 'verify' AND column_name IN ('f4', 'f8');
SELECT * FROM differences('types');

-- Each of these is one error; the values are spelled for people.
UPDATE types SET i2 = 8, i4 = NULL, i8 = i8 - 1, num = num + 0.000000000000001, num2 = 1000.1, txt = 'trailing', vc = 'u', ch = 'a', bool = false,
    oid = '65a000000000000000000002', bytes = '\x00fe', uid = '01234567-89ab-cdef-0123-456789abcdee', tz = tz + interval '1 ms', ts = ts - interval '1 ms',
    day = day + 1, js = jsonb_set(js, '{b,0}', '2'), jt = '{"z": "", "d": {"$numberDecimal": "1.50"}}', arr = '{1,0,3}', grid = '{{a,b},{c,d}}',
    mixed = '+010000-01-01T00:00:00.001Z', deep = 6, en = 'bad', dom = 6, elem = '{"b.c": 5, "x": null}'
WHERE id = 1;
UPDATE types SET i2 = 0, arr = '{NULL}', mixed = '0', js = '{}', num = 'Infinity', bool = false WHERE id = 2;
UPDATE types SET js = jsonb_set(js, '{t,$timestamp,i}', '3'), mixed = 'false' WHERE id = 4;
SELECT column_name, kind, source_value, target_value FROM differences('types');

-- The same with documents in other modes.
ALTER SERVER verify OPTIONS (ADD extended_json 'plain');
UPDATE types SET elem = NULL, js = '{"r": "/a/i", "t": {"$timestamp": {"t": 1, "i": 2}}, "m": {"$minKey": 1}, "u": null,
       "c": {"$code": "f", "$scope": {"x": 1}}, "p": {"$ref": "a.b", "$id": "65a000000000000000000001"}, "n": "-Infinity"}' WHERE id = 4;
UPDATE types SET js = '"NaN"' WHERE id = 3;
UPDATE types SET js = '{"b": [1, 2.5, null, "1970-01-01T00:00:00.001Z", "1969-12-31T23:59:59.999Z"], "a": "65a000000000000000000001"}' WHERE id = 1;
SELECT source_id, column_name, kind, source_value, target_value FROM differences('types') WHERE column_name = 'js';
ALTER SERVER verify OPTIONS (SET extended_json 'canonical');
UPDATE types SET js = '{"b": [{"$numberInt": "1"}, {"$numberDouble": "2.50"}, null, {"$date": {"$numberLong": "1"}}, {"$date": {"$numberLong": "-1"}}], "a": {"$oid": "65a000000000000000000001"}}' WHERE id = 1;
SELECT source_id, column_name, kind, source_value, target_value FROM differences('types') WHERE column_name = 'js' AND source_id = '1';
ALTER SERVER verify OPTIONS (DROP extended_json);

-- What is recorded.
SELECT kind, options, documents, findings, ok, ended_at >= started_at AS ended FROM mongo_migrate.verification WHERE server = 'verify' ORDER BY verification_id;
SELECT collection, kind, documents, ok, missing, extra, mismatch, rounded, orphan, count FROM mongo_migrate.verification_report WHERE server = 'verify';

-- A double becomes an integer by its exact value, although its shortest form has other digits from 2^53 on: as a value, in an array, as an id.
SELECT load('large', $$[{"_id": {"$numberDouble": "591983838563303424"}, "n": {"$numberDouble": "-9223372036854775808"}, "a": [{"$numberDouble": "9223372036854774784"}]},
    {"_id": 9007199254740994.0, "n": 9007199254740992.0, "a": [591983838563303424.0, 1.0]}]$$);
SELECT documents, complete FROM mongo_migrate.migrate_collection('verify', 'large');
SELECT * FROM large ORDER BY id;
SELECT * FROM differences('large');
SELECT * FROM mongo_migrate.verify_full('verify', 'large');
SELECT column_name, source_value, target_value, kind FROM mongo_migrate.compare_document('verify', 'large', '591983838563303424');
UPDATE large SET n = n + 1, a[1] = a[1] - 1;
SELECT source_id, element, column_name, kind, source_value, target_value FROM mongo_migrate.verify_full('verify', 'large') ORDER BY 1, 3;
SELECT replaced, unrepaired FROM mongo_migrate.repair('verify', 'large');
SELECT * FROM mongo_migrate.verify_full('verify', 'large');
DROP TABLE large;

DROP TABLE types;
DROP DOMAIN small;
DROP TYPE mood;
DROP PROCEDURE plan(text, text, text, text, text);
DROP FUNCTION differences(text, bigint), load(text, json);
DELETE FROM mongo_migrate.plan WHERE server = 'verify';
DELETE FROM mongo_migrate.id_map WHERE server = 'verify';
DELETE FROM mongo_migrate.verification WHERE server = 'verify';
SET client_min_messages = warning;
-- A batch is bounded by its bytes, whatever the first documents are like: they are small, and the last ones of 1 MB each.
\c -
SET client_min_messages = warning;
SELECT mongo_migrate.run_command('verify', json_build_object('insert', 'growing', 'documents',
    (SELECT json_agg(json_build_object('_id', n, 't', 'x')) FROM generate_series(1, 1000) AS n))) -> 'n' AS n;
SELECT count(mongo_migrate.run_command('verify', json_build_object('insert', 'growing', 'documents',
    json_build_array(json_build_object('_id', n, 't', repeat('x', 1000000)))))) FROM generate_series(1001, 1040) AS n;
SELECT mongo_migrate.run_command('verify', '{"create": "growing_too", "viewOn": "growing", "pipeline": []}') -> 'ok' AS ok;
SELECT documents, complete FROM mongo_migrate.migrate_collection('verify', 'growing');
SELECT documents, complete FROM mongo_migrate.migrate_collection('verify', 'growing_too');
UPDATE growing SET t = 'y' WHERE id IN (1, 1001, 1040);
UPDATE growing_too SET t = 'y' WHERE id IN (1, 1001, 1040);
SELECT source_id, kind FROM mongo_migrate.verify_full('verify', 'growing') WHERE source_id IS NOT NULL ORDER BY source_id::integer;
SELECT source_id, kind FROM mongo_migrate.verify_full('verify', 'growing_too') WHERE source_id IS NOT NULL ORDER BY source_id::integer;
SELECT count(*) <= 3 FROM mongo_migrate.verify_sample('verify', 'growing', 1000);
SELECT documents FROM mongo_migrate.verification WHERE collection LIKE 'growing%' ORDER BY verification_id;
SELECT pg_size_pretty(hwm * 1024) FROM substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\s+(\d+)') AS s, CAST(s AS bigint) AS hwm WHERE hwm > 350 * 1024;

DROP TABLE growing, growing_too;
DELETE FROM mongo_migrate.plan WHERE server = 'verify';
DELETE FROM mongo_migrate.id_map WHERE server = 'verify';
DELETE FROM mongo_migrate.chunk WHERE server = 'verify';
DELETE FROM mongo_migrate.run WHERE server = 'verify';
DELETE FROM mongo_migrate.verification WHERE server = 'verify';
DROP SERVER verify CASCADE;

-- The type objectid: input and output, order, indexes, joins, casts, times.

-- text in and out
SELECT '6B0489AA00000000000000ff'::mongo_migrate.objectid;
SELECT ''::mongo_migrate.objectid;
SELECT '6b0489'::mongo_migrate.objectid;
SELECT '6b0489aa00000000000000zz'::mongo_migrate.objectid;
SELECT ' 6b0489aa00000000000000ff'::mongo_migrate.objectid;
SELECT '6b0489aa00000000000000ff0'::mongo_migrate.objectid;
SELECT typlen, typbyval, typalign, typstorage FROM pg_type WHERE oid = 'mongo_migrate.objectid'::regtype;

-- order is that of the bytes
CREATE TEMPORARY TABLE ids (id mongo_migrate.objectid PRIMARY KEY, n integer);
INSERT INTO ids
SELECT substr(md5(i::text), 1, 24)::mongo_migrate.objectid, i FROM generate_series(1, 3000) i;
INSERT INTO ids VALUES ('c4ca4238a0b923820dcc509a', 0);
ANALYZE ids;
SELECT bool_and(id::text COLLATE "C" > before::text COLLATE "C") AS sorted
FROM (SELECT id, lag(id) OVER (ORDER BY id) AS before FROM ids) s WHERE before IS NOT NULL;
SELECT min(id) = (SELECT id FROM ids ORDER BY id LIMIT 1) AS min,
       max(id) = (SELECT id FROM ids ORDER BY id DESC LIMIT 1) AS max FROM ids;
SELECT count(*) FILTER (WHERE a.id < b.id) + count(*) FILTER (WHERE a.id > b.id)
       + count(*) FILTER (WHERE a.id = b.id) = count(*) AS trichotomy,
       count(*) FILTER (WHERE a.id <= b.id) - count(*) FILTER (WHERE a.id < b.id) AS equal,
       count(*) FILTER (WHERE a.id <> b.id) AS different,
       count(*) FILTER (WHERE a.id >= b.id AND b.id >= a.id) AS both
FROM (SELECT id FROM ids WHERE n <= 100) a, (SELECT id FROM ids WHERE n <= 100) b;

-- ids of one second and process differ in their last bytes alone
SELECT id FROM (VALUES ('6b0489aa1122334455000003'::mongo_migrate.objectid), ('6b0489aa1122334455000001'),
    ('6b0489aa1122334455000002')) v(id) ORDER BY id;

-- indexes and joins
SET enable_seqscan = off;
SET enable_bitmapscan = off;
EXPLAIN (COSTS OFF) SELECT n FROM ids WHERE id = 'c4ca4238a0b923820dcc509a';
SELECT n FROM ids WHERE id = 'c4ca4238a0b923820dcc509a';
EXPLAIN (COSTS OFF) SELECT id FROM ids WHERE id >= 'c40000000000000000000000' ORDER BY id LIMIT 1;
-- an operator is found with no search_path to it
SET search_path = pg_catalog, pg_temp;
SELECT count(*) FROM ids WHERE id < 'c4ca4238a0b923820dcc509a'::mongo_migrate.objectid;
RESET search_path;
CREATE INDEX ids_hash ON ids USING hash (id);
DROP INDEX ids_hash;
RESET enable_seqscan;
RESET enable_bitmapscan;
SET enable_mergejoin = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM ids a FULL JOIN ids b USING (id);
SELECT count(*) FROM ids a FULL JOIN ids b USING (id);
RESET enable_mergejoin;
RESET enable_nestloop;
SELECT count(DISTINCT id), count(*) FROM (SELECT id FROM ids UNION ALL SELECT id FROM ids) u;
CREATE TEMPORARY TABLE parts (id mongo_migrate.objectid) PARTITION BY HASH (id);
CREATE TEMPORARY TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TEMPORARY TABLE parts_1 PARTITION OF parts FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO parts SELECT id FROM ids;
SELECT count(*) > 1000 AS spread FROM parts_0;

-- casts
SELECT '6b0489aa00000000000000ff'::text::mongo_migrate.objectid;
SELECT 'no'::text::mongo_migrate.objectid;
SELECT '6b0489aa00000000000000ff'::mongo_migrate.objectid::text;
SELECT '6b0489aa00000000000000ff'::mongo_migrate.objectid::bytea;
SELECT '\x6b0489aa00000000000000ff'::bytea::mongo_migrate.objectid;
SELECT '\x6b0489aa'::bytea::mongo_migrate.objectid;
CREATE TEMPORARY TABLE texts (t text);
INSERT INTO texts SELECT '6b0489aa00000000000000ff'::mongo_migrate.objectid;
INSERT INTO ids SELECT t FROM texts;
SELECT mongo_migrate.objectid_send('6b0489aa00000000000000ff');

-- binary input and output, through COPY
\set copy_file `echo /tmp/mongo_migrate_objectid.$$`
COPY (SELECT id FROM ids ORDER BY id LIMIT 10) TO :'copy_file' (FORMAT binary);
CREATE TEMPORARY TABLE copied (id mongo_migrate.objectid);
COPY copied FROM :'copy_file' (FORMAT binary);
\setenv copy_file :copy_file
\! rm -f "$copy_file"
SELECT count(*) FROM copied JOIN ids USING (id);

-- times
SET timezone = 'UTC';
SELECT mongo_migrate.objectid_timestamp('000000000000000000000000'),
       mongo_migrate.objectid_timestamp('7fffffff0000000000000000'),
       mongo_migrate.objectid_timestamp('ffffffffffffffffffffffff');
SELECT mongo_migrate.objectid_from_timestamp('2024-02-29 12:00:00.999Z'),
       mongo_migrate.objectid_from_timestamp('1970-01-01Z'),
       mongo_migrate.objectid_from_timestamp('2106-02-07 06:28:15.5Z');
SELECT mongo_migrate.objectid_from_timestamp('1969-12-31 23:59:59.5Z');
SELECT mongo_migrate.objectid_from_timestamp('2106-02-07 06:28:16Z');
SELECT mongo_migrate.objectid_from_timestamp('infinity');

-- new ones
SELECT count(DISTINCT mongo_migrate.objectid_generate()) FROM generate_series(1, 1000);
SELECT mongo_migrate.objectid_timestamp(mongo_migrate.objectid_generate())
       BETWEEN now() - interval '2 seconds' AND now() + interval '1 minute' AS now;
RESET timezone;
DROP TABLE ids, parts, texts, copied;

-- UPDATE and DELETE as one command of MongoDB: what goes there, and what a document that cannot be decoded does to it.
SET timezone = 'UTC';
\getenv mongo_uri MONGO_URI
CREATE SERVER fdw_direct FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_fdw_direct');
SELECT mongo_migrate.run_command('fdw_direct', '{"dropDatabase": 1}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_direct', '{"create": "docs", "collation": {"locale": "en", "strength": 1}}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE docs
(
    _id    integer,
    i      integer,
    s      smallint,
    b      boolean,
    t      text,
    n      numeric,
    o      mongo_migrate.objectid,
    u      uuid,
    at     timestamptz,
    day    date,
    nested text OPTIONS (path 'sub.t'),
    place  text OPTIONS (path 'list.0'),
    short  varchar(3)
) SERVER fdw_direct;
CREATE FOREIGN TABLE raw (_id json, doc json OPTIONS (path '$')) SERVER fdw_direct OPTIONS (collection 'docs');
CREATE VIEW changed AS SELECT array_agg(_id ORDER BY _id) AS ids FROM docs WHERE t = 'changed';

-- What is one command
EXPLAIN (VERBOSE, COSTS OFF) DELETE FROM docs;
EXPLAIN (COSTS OFF) DELETE FROM docs WHERE i > 5 AND b;
EXPLAIN (COSTS OFF) DELETE FROM docs WHERE i > 5 OR at IS NULL;
EXPLAIN (COSTS OFF) DELETE FROM docs WHERE i = ANY ('{}'::integer[]);
EXPLAIN (COSTS OFF) UPDATE docs SET t = 'changed', n = NULL WHERE s IN (1, 2) AND i <= 5;
EXPLAIN (COSTS OFF) UPDATE docs SET at = now() WHERE t = 'x' AND u = '00112233-4455-6677-8899-aabbccddeeff';
EXPLAIN (COSTS OFF) DELETE FROM docs WHERE day = '2024-02-29' AND t IS NULL AND n IS NULL;
EXPLAIN (COSTS OFF) DELETE FROM docs WHERE o < '5f0000000000000000000001' AND _id IN (1, 2);

CREATE TABLE events (gone integer, n integer, kind text, _id integer) PARTITION BY LIST (kind);
ALTER TABLE events DROP COLUMN gone;
CREATE TABLE events_here PARTITION OF events FOR VALUES IN ('here');
CREATE FOREIGN TABLE events_there PARTITION OF events FOR VALUES IN ('there') SERVER fdw_direct OPTIONS (collection 'events');
INSERT INTO events (_id, n, kind) SELECT g, g, CASE g % 2 WHEN 0 THEN 'here' ELSE 'there' END FROM generate_series(1, 8) g;
EXPLAIN (COSTS OFF) UPDATE events SET n = 100 WHERE n > 3;
UPDATE events SET n = 100 WHERE n > 3;
EXPLAIN (COSTS OFF) DELETE FROM events WHERE kind = 'there' AND n < 3;
WITH d AS (DELETE FROM events WHERE kind = 'there' AND n < 3 RETURNING _id) SELECT count(*) FROM d;
DELETE FROM events WHERE kind = 'there' AND n < 4;
SELECT tableoid::regclass, n, kind, _id FROM events ORDER BY _id;
DROP TABLE events;

-- What is not: one document, what PostgreSQL has to check, what MongoDB cannot tell, new values by row, rows that are wanted back
CREATE FUNCTION is_direct(statement text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    line text;
    found boolean := false;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN ' || statement LOOP
        found := found OR line ~ 'Foreign (Update|Delete)';
    END LOOP;
    RETURN found;
END
$$;
SELECT statement, is_direct(statement) FROM unnest(ARRAY[
    'DELETE FROM docs WHERE i > 5',
    'DELETE FROM docs WHERE _id = 5',
    'DELETE FROM docs WHERE i + 1 > 5',
    'DELETE FROM docs WHERE i > 5 AND n > 5',
    'DELETE FROM docs WHERE t > ''x'' COLLATE "C"',
    'DELETE FROM docs WHERE t = ''x'' OR t IS NULL',
    'DELETE FROM docs WHERE u = ''00112233-4455-6677-8899-aabbccddeeff'' OR b',
    'DELETE FROM docs WHERE short = ''x''',
    'DELETE FROM docs WHERE nested = ''x''',
    'DELETE FROM docs WHERE place = ''x''',
    'DELETE FROM docs WHERE i IS NOT NULL AND s <> 1',
    'DELETE FROM docs WHERE t <> ''x''',
    'DELETE FROM docs WHERE day = timestamp ''2024-02-29 10:00''',
    'DELETE FROM docs WHERE i > 5 RETURNING _id',
    'DELETE FROM docs USING generate_series(1, 2) g WHERE i = g',
    'DELETE FROM raw',
    'UPDATE docs SET t = ''x'' WHERE i > 5',
    'UPDATE docs SET t = t || ''x'' WHERE i > 5',
    'UPDATE docs SET n = random() WHERE i > 5',
    'UPDATE docs SET (s, n) = (SELECT docs.s + 1, 2) WHERE i > 5',
    'UPDATE docs SET (s, n) = (SELECT 1, 2) WHERE i > 5',
    'UPDATE docs SET s = (SELECT 1) WHERE i > 5',
    'UPDATE docs SET nested = ''x'' WHERE i > 5',
    'UPDATE docs SET place = ''x'' WHERE i > 5',
    'UPDATE docs SET _id = 5 WHERE i > 5',
    'WITH d AS (DELETE FROM docs WHERE i > 5) SELECT 1']) AS statement;
SET mongo_migrate.enable_pushdown = off;
SELECT is_direct('DELETE FROM docs');
RESET mongo_migrate.enable_pushdown;

-- All that match decode.
INSERT INTO docs (_id, i, s, b, t, at, o, nested) SELECT g, g, g % 3, g % 2 = 0, chr(96 + g), timestamptz '2024-01-01' + g * interval '1 day',
    lpad(to_hex(g), 24, '0')::mongo_migrate.objectid, 'n' FROM generate_series(1, 10) g;
INSERT INTO docs (_id) VALUES (11), (12);
UPDATE docs SET t = 'changed' WHERE i > 5 AND b;
SELECT * FROM changed;
UPDATE docs SET t = NULL, n = 1.5 WHERE t = 'changed';
UPDATE docs SET t = 'changed' WHERE n IS NULL AND (i IS NULL OR at < '2024-01-03');
SELECT * FROM changed;
UPDATE docs SET t = 'changed' WHERE i IS NOT NULL AND s <> 1 AND b IS NOT NULL;
SELECT * FROM changed;
UPDATE docs SET at = '2024-01-01' WHERE t = 'nothing has this';
PREPARE change(text, integer) AS UPDATE docs SET t = $1 WHERE s = $2;
EXECUTE change('Changed', 0);
SET plan_cache_mode = force_generic_plan;
EXECUTE change('changed', 2);
EXPLAIN (COSTS OFF) EXECUTE change('changed', 2);
RESET plan_cache_mode;
-- The collection takes 'Changed' for 'changed', PostgreSQL does not.
SELECT * FROM changed;
DELETE FROM docs WHERE t IN ('changed', 'b');
SELECT _id, t, n, nested FROM docs ORDER BY _id;
BEGIN;
DELETE FROM docs;
SELECT count(*) FROM docs;
ROLLBACK;
SELECT count(*) FROM docs;

-- New values by a subquery that looks at the row
BEGIN;
UPDATE docs SET (s, n) = (SELECT docs.s + 100, max(g) FROM generate_series(1, docs.i) g) WHERE i > 2;
SELECT _id, i, s, n FROM docs ORDER BY _id;
ROLLBACK;

-- Values that decode although MongoDB cannot tell: whole doubles and decimals, numbers and dates as text. One by one then.
INSERT INTO raw (doc) VALUES ('{"_id": 20, "i": {"$numberDouble": "7.0"}, "t": 5}'), ('{"_id": {"$numberDouble": "21.0"}, "i": {"$numberDecimal": "8.00"}, "t": "5"}'),
    ('{"_id": 22, "i": 9, "t": {"$numberDouble": "5.0"}}'), ('{"_id": 23, "i": 10, "t": {"$date": "2024-01-01T00:00:00Z"}}');
UPDATE docs SET s = 77 WHERE i > 6;
SELECT _id, i, s FROM docs WHERE s = 77 ORDER BY _id;
UPDATE docs SET s = 78 WHERE t = '5';
SELECT _id, i, t, s FROM docs WHERE s = 78 ORDER BY _id;
DELETE FROM docs WHERE t = '2024-01-01T00:00:00Z';
DELETE FROM docs WHERE i IN (7, 8, 9);
SELECT _id, i FROM docs ORDER BY _id;

-- What does not decode is an error, and nothing is written.
CREATE FUNCTION try(doc json, statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    result text := 'no error';
BEGIN
    PERFORM mongo_migrate.run_command('fdw_direct', json_build_object('insert', 'docs', 'documents', json_build_array(doc)));
    BEGIN
        EXECUTE statement;
    EXCEPTION WHEN OTHERS THEN
        result := SQLERRM;
    END;
    PERFORM mongo_migrate.run_command('fdw_direct', json_build_object('delete', 'docs', 'deletes', json_build_array(json_build_object('q', json_build_object('odd', true), 'limit', 0))));
    RETURN result;
END
$$;
SELECT try('{"_id": 30, "odd": true, "i": 7.5}', 'DELETE FROM docs WHERE i > 5');
SELECT try('{"_id": 30, "odd": true, "i": [7]}', 'DELETE FROM docs WHERE i > 5');
SELECT try('{"_id": 30, "odd": true, "i": [null]}', 'DELETE FROM docs WHERE i IS NULL');
SELECT try('{"_id": 30, "odd": true, "i": 5000000000}', 'DELETE FROM docs WHERE i > 5');
SELECT try('{"_id": 30, "odd": true, "i": 3, "s": 40000}', 'DELETE FROM docs WHERE s > 5 OR i = 3');
SELECT try('{"_id": 30, "odd": true, "i": 3, "b": "yes"}', 'DELETE FROM docs WHERE b OR i = 3');
SELECT try('{"_id": "thirty", "odd": true, "i": 7}', 'DELETE FROM docs WHERE i > 5');
SELECT try('{"_id": 30, "odd": true, "t": ["x"]}', 'UPDATE docs SET i = 1 WHERE t = ''x''');
SELECT try('{"_id": 30, "odd": true, "at": {"$date": {"$numberLong": "9224318016000000"}}}', 'UPDATE docs SET i = 1 WHERE at > ''2024-01-01''');
SELECT try('{"_id": 30, "odd": true, "day": [{"$date": "2024-02-29T00:00:00Z"}]}', 'UPDATE docs SET i = 1 WHERE day = ''2024-02-29''');
SELECT try('{"_id": 30, "odd": true, "day": {"$date": "2024-02-29T10:00:00Z"}}', 'DELETE FROM docs WHERE day = timestamp ''2024-02-29 10:00''');
SELECT try('{"_id": 30, "odd": true, "day": {"$date": {"$numberLong": "9223372036854775807"}}}', 'DELETE FROM docs WHERE day = ''infinity''');
SELECT count(*) FROM docs;
-- New values that cannot be written are an error where there is a row for them, as is a division by zero.
UPDATE docs SET at = '2024-01-01 00:00:00.000001' WHERE s = 99;
UPDATE docs SET at = '2024-01-01 00:00:00.000001' WHERE i > 3;
PREPARE divide(integer, integer) AS UPDATE docs SET n = 1 / $1 WHERE s = $2;
SET plan_cache_mode = force_generic_plan;
EXECUTE divide(0, 99);
EXECUTE divide(0, 1);
RESET plan_cache_mode;

-- A validator's error names the document.
SELECT mongo_migrate.run_command('fdw_direct', '{"collMod": "docs", "validator": {"s": {"$ne": 0}}}') ->> 'ok' AS ok;
UPDATE docs SET s = 0 WHERE i = 4;

-- Without transactions
ALTER SERVER fdw_direct OPTIONS (ADD transactions 'off');
BEGIN;
UPDATE docs SET t = 'stays' WHERE s = 1;
ROLLBACK;
SELECT count(*) FROM docs WHERE t = 'stays';

SELECT mongo_migrate.run_command('fdw_direct', '{"dropDatabase": 1}') ->> 'ok' AS ok;
SET client_min_messages = warning;
DROP SERVER fdw_direct CASCADE;
DROP FUNCTION is_direct, try;
DEALLOCATE ALL;

-- Aggregates, GROUP BY and DISTINCT of foreign tables: what MongoDB makes, and that it is what PostgreSQL would.
\getenv mongo_uri MONGO_URI
CREATE SERVER fdw_aggregate FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_fdw_aggregate', fdw_tuple_cost '10');
SELECT mongo_migrate.run_command('fdw_aggregate', '{"dropDatabase": 1}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_aggregate', '{"create": "empty"}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_aggregate', '{"insert": "items", "documents": [
    {"_id": 1, "i": 5, "b": {"$numberLong": "9007199254740993"}, "t": "b", "ok": true, "at": {"$date": "2024-02-29T12:00:00.001Z"}, "sub": {"x": 1}},
    {"_id": 2, "i": 7, "b": {"$numberLong": "-1"}, "t": "a", "ok": true, "n": {"$numberDouble": "2.5"}, "f": 0.5},
    {"_id": 3, "i": null, "b": 3, "t": "a", "ok": false, "n": 1, "f": -1},
    {"_id": 4, "i": 2147483647, "t": null, "sub": {"x": null}, "n": {"$numberLong": "4"}},
    {"_id": 5, "i": 2147483647, "ok": false, "sub": {"x": 3}, "f": 2}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE items
(
    _id bigint, i integer, b bigint, t text, ok boolean, at timestamptz, n numeric, f double precision,
    x integer OPTIONS (path 'sub.x'), d date OPTIONS (path 'at')
) SERVER fdw_aggregate;
CREATE FOREIGN TABLE empty (_id bigint, i integer, t text) SERVER fdw_aggregate;
ANALYZE items;

-- What is sent to MongoDB.
CREATE FUNCTION pg_temp.sent(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        RETURN QUERY SELECT trim(line) WHERE line LIKE '%MongoDB aggregate%';
    END LOOP;
END
$$;

-- Without GROUP BY.  Below is PostgreSQL's own way, for documents that it must look at.
EXPLAIN (COSTS OFF) SELECT count(*) FROM items;
SELECT count(*) FROM items;
EXPLAIN (VERBOSE, COSTS OFF) SELECT count(i), min(i), max(i), sum(i), avg(i) FROM items;
SELECT count(i), min(i), max(i), sum(i), avg(i) FROM items;
SELECT count(1), count(b), sum(b), avg(b), min(b), max(b), pg_typeof(sum(b)) FROM items;
SELECT count(at), min(at), max(n), min(n), min(f), max(f), count(ok), count(x), sum(x) FROM items;
SELECT sum(i) / count(*) + 1 AS expression, CASE WHEN bool(count(*) > 3) THEN max(i) END AS other FROM items;

-- Of nothing.
SELECT count(*), count(i), min(i), max(i), sum(i), avg(i) FROM empty;
SELECT count(*), count(i), min(i), max(i), sum(i), avg(i) FROM items WHERE i < 0;
EXPLAIN (COSTS OFF) SELECT count(*), sum(i) FROM items WHERE i = NULL::integer;
SELECT count(*), sum(i) FROM items WHERE i = (SELECT NULL::integer);
SELECT t, count(*) FROM empty GROUP BY t;
SELECT sum(i) FROM items WHERE i IS NULL;

-- Groups: NULL and missing are one.
EXPLAIN (COSTS OFF) SELECT t, count(*), sum(i) FROM items GROUP BY t;
SELECT t, count(*), sum(i) FROM items GROUP BY t ORDER BY t;
EXPLAIN (COSTS OFF) SELECT t, ok, count(*) FROM items GROUP BY t, ok;
SELECT t, ok, count(*) FROM items GROUP BY t, ok ORDER BY t, ok;
SELECT x, max(i) FROM items GROUP BY x ORDER BY x;
SELECT at, d, count(*) FROM items WHERE at IS NULL GROUP BY at, d;
SELECT DISTINCT ok FROM items ORDER BY ok;
EXPLAIN (COSTS OFF) SELECT DISTINCT t, ok FROM items;
SELECT DISTINCT t, ok FROM items ORDER BY t, ok;

-- Conditions that no value meets, and that all do.
SELECT count(*) FROM items WHERE i = ANY ('{}'::integer[]);
SELECT count(*) FILTER (WHERE i = ANY ('{}'::integer[])) AS of_none, count(*) FILTER (WHERE i <> ALL ('{}'::integer[])) AS of_any,
       count(*) FILTER (WHERE i = ANY ('{}'::integer[]) OR i <> ALL ('{}'::integer[])) AS of_either FROM items;

-- Groups that are gone through once more.
SET enable_material = off;
SELECT n, t, count FROM generate_series(0, 2) n LEFT JOIN (SELECT t, count(*) FROM items GROUP BY t) g ON count > n ORDER BY 1, 2;
RESET enable_material;

-- FILTER, of what MongoDB's expressions compare as PostgreSQL does.
EXPLAIN (COSTS OFF) SELECT count(*) FILTER (WHERE ok), sum(i) FILTER (WHERE x < 3 OR b <> -1) FROM items;
SELECT count(*) FILTER (WHERE ok), count(*) FILTER (WHERE NOT ok), count(*) FILTER (WHERE ok IS NULL), sum(i) FILTER (WHERE x < 3 OR b <> -1) FROM items;
SELECT count(b) FILTER (WHERE i IN (5, 7)), max(b) FILTER (WHERE i > 6 AND i IS NOT NULL), avg(i) FILTER (WHERE i < 10), min(i) FILTER (WHERE at IS NULL) FROM items;
SELECT count(*) FILTER (WHERE x NOT IN (3, 4)), count(*) FILTER (WHERE x = NULL), sum(x) FILTER (WHERE i IS NULL), count(1) FILTER (WHERE at < '2024-02-29 12:00:00.0015Z') FROM items;
SELECT t, count(*) FILTER (WHERE ok), count(*) FROM items GROUP BY t HAVING count(*) FILTER (WHERE i > 6) > 0 ORDER BY t;
-- Of a range of numbers MongoDB takes a little too much; its ends are looked at.
SELECT * FROM pg_temp.sent('SELECT count(*) FILTER (WHERE n >= 2.5) FROM items');
SELECT count(*) FILTER (WHERE n >= 2.5), count(*) FILTER (WHERE n < 2.5), sum(i) FILTER (WHERE n = 4 AND x IS NULL), max(f) FILTER (WHERE f < 0.5 AND _id > 2),
    count(*) FILTER (WHERE n > 1000), count(*) FILTER (WHERE n < 'NaN'), count(*) FILTER (WHERE n > NULL) FROM items;
SELECT * FROM pg_temp.sent('SELECT count(*) FILTER (WHERE n >= 2.5 OR ok) FROM items');
SELECT count(*) FILTER (WHERE i > 0) FROM empty;
SELECT i.ok, (SELECT count(*) FILTER (WHERE _id > i._id) FROM items) FROM items i WHERE i.t = 'a' ORDER BY i._id;

-- DISTINCT, of the values of one column.
SELECT * FROM pg_temp.sent('SELECT ok, count(DISTINCT i), sum(b) FROM items GROUP BY ok');
SELECT ok, count(DISTINCT i), sum(b), count(*) FROM items GROUP BY ok ORDER BY ok;
SELECT count(DISTINCT i), sum(DISTINCT i), avg(DISTINCT i), min(DISTINCT i), max(DISTINCT b), count(*), count(*) FILTER (WHERE ok) FROM items;
SELECT ok, x, count(DISTINCT t IS NULL), count(DISTINCT i) FROM items GROUP BY ok, x ORDER BY ok, x;
SELECT count(DISTINCT n), sum(i) FROM items;
SELECT count(DISTINCT f), count(f) FROM items HAVING count(DISTINCT f) > 1;
SELECT count(DISTINCT at), count(DISTINCT at) + 1 AS one_more FROM items;
SELECT count(DISTINCT i), sum(DISTINCT i) FROM empty;
SELECT * FROM pg_temp.sent('SELECT count(DISTINCT i), count(DISTINCT b) FROM items');
SELECT * FROM pg_temp.sent('SELECT count(DISTINCT t) FROM items');
SELECT * FROM pg_temp.sent('SELECT count(DISTINCT i) FILTER (WHERE ok) FROM items');

-- Sums of numerics: of decimals and whole numbers, and of any numbers in numeric(p,s).
SELECT mongo_migrate.run_command('fdw_aggregate', '{"insert": "money", "documents": [
    {"_id": 1, "k": "a", "m": {"$numberDecimal": "19.99"}, "p": 19.99}, {"_id": 2, "k": "a", "m": {"$numberDecimal": "0.1"}, "p": {"$numberDecimal": "0.10"}},
    {"_id": 3, "k": "a", "m": 3, "p": 0.2}, {"_id": 4, "k": "b", "m": {"$numberDecimal": "1E+3"}, "p": {"$numberLong": "12345678901"}},
    {"_id": 5, "k": "b", "m": {"$numberDecimal": "-0.30"}, "p": -0.3}, {"_id": 6, "k": "c", "p": null}, {"_id": 7, "k": "d", "m": 7, "p": 8.0}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE money (_id bigint, k text, m numeric, p numeric(14,2), narrow numeric(3,1) OPTIONS (path 'p'), wide numeric(20,2) OPTIONS (path 'p'))
    SERVER fdw_aggregate;
ANALYZE money;
-- Who aggregated.
CREATE FUNCTION pg_temp.made_by(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    result text := 'MongoDB';
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF, SUMMARY OFF) ' || query LOOP
        IF line LIKE '%Aggregate%' AND line NOT LIKE '%never executed%' THEN
            result := 'PostgreSQL';
        END IF;
    END LOOP;
    RETURN result;
END
$$;
SELECT * FROM pg_temp.sent('SELECT sum(m), sum(p) FROM money');
\set sums 'SELECT k, sum(m), avg(m), min(m), max(m), sum(p), avg(p), min(p), max(p) FROM money GROUP BY k'
SELECT pg_temp.made_by(:'sums');
:sums ORDER BY k;
\set sums 'SELECT sum(m) FILTER (WHERE _id > 2), sum(p) FILTER (WHERE _id > 2), count(DISTINCT m), sum(p) FROM money WHERE m > 0.05'
SELECT pg_temp.made_by(:'sums');
:sums;
SELECT sum(DISTINCT p), count(DISTINCT p) FROM money WHERE k = 'b';
SELECT count(narrow) FROM money WHERE _id <> 4;
SELECT sum(narrow) FROM money WHERE _id IN (3, 5);
SELECT * FROM pg_temp.sent('SELECT sum(wide) FROM money');
SELECT * FROM pg_temp.sent('SELECT sum(DISTINCT m) FROM money');
-- A double in a column of any scale, NaN, more digits than a decimal has: PostgreSQL adds.
SELECT mongo_migrate.run_command('fdw_aggregate', '{"insert": "money", "documents": [{"_id": 10, "k": "double", "m": 0.5, "p": {"$numberDouble": "NaN"}},
    {"_id": 11, "k": "NaN", "m": {"$numberDecimal": "NaN"}}, {"_id": 12, "k": "digits", "m": {"$numberDecimal": "1E+33"}}, {"_id": 13, "k": "digits", "m": {"$numberDecimal": "0.01"}}]}') ->> 'n' AS inserted;
SELECT k, sum(m), sum(p) FROM money WHERE _id >= 10 GROUP BY k ORDER BY k COLLATE "C";
SELECT k, pg_temp.made_by(format($$SELECT sum(m) FROM money WHERE k IN ('a', 'b', 'd', %L)$$, k)) FROM unnest('{c,double,NaN,digits}'::text[]) AS k;

-- Keys that are computed from a time, where that is UTC.
SELECT mongo_migrate.run_command('fdw_aggregate', '{"insert": "events", "documents": [{}]}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_aggregate', '{"aggregate": "events", "cursor": {}, "pipeline": [{"$project": {"_id": 0, "n": {"$range": [0, 2000]}}}, {"$unwind": "$n"},
    {"$project": {"_id": "$n", "at": {"$add": [{"$date": "2023-12-25T12:34:56.789Z"}, {"$multiply": ["$n", 1111111]}]}}}, {"$out": "events"}]}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE events (_id bigint, at timestamptz, plain timestamp OPTIONS (path 'at')) SERVER fdw_aggregate;
ANALYZE events;
SET timezone = 'UTC';
\set months 'SELECT date_trunc(''month'', at) AS month, count(*), min(at) FROM events GROUP BY 1'
SELECT * FROM pg_temp.sent(:'months');
SELECT pg_temp.made_by(:'months');
:months ORDER BY month;
\set weeks 'SELECT date_trunc(''week'', plain) AS week, count(*) FROM events GROUP BY 1 HAVING count(*) > 400'
SELECT pg_temp.made_by(:'weeks');
:weeks ORDER BY week;
SELECT plain::date AS day, extract(week FROM plain) AS week, count(*) FROM events GROUP BY 1, 2 ORDER BY 1 LIMIT 2;
SELECT * FROM pg_temp.sent('SELECT date_part(''hour'', plain), count(*) FROM events GROUP BY 1');
SELECT DISTINCT extract(isodow FROM at) + 10 AS day FROM events WHERE at < '2024-01-01' ORDER BY 1;
PREPARE by_quarter AS SELECT date_trunc('quarter', at), count(*) FROM events GROUP BY 1 ORDER BY 1;
EXECUTE by_quarter;
-- The plan is that of UTC.
SET plan_cache_mode = force_generic_plan;
SET timezone = 'Asia/Tokyo';
EXECUTE by_quarter;
RESET plan_cache_mode;
SELECT * FROM pg_temp.sent(:'months');
SELECT date_trunc('quarter', at, 'UTC'), count(*) FROM events GROUP BY 1 ORDER BY 1;
SELECT * FROM pg_temp.sent('SELECT date_trunc(''month'', at AT TIME ZONE ''UTC''), count(*) FROM events GROUP BY 1');
SELECT * FROM pg_temp.sent('SELECT date_trunc(''month'', at AT TIME ZONE ''Asia/Tokyo''), count(*) FROM events GROUP BY 1');
SELECT * FROM pg_temp.sent('SELECT date_trunc(''century'', plain), count(*) FROM events GROUP BY 1');
SELECT * FROM pg_temp.sent('SELECT date_trunc(''month'', plain), plain FROM events GROUP BY 1, 2');
RESET timezone;
-- A year of another calendar, and what is no time.
SELECT mongo_migrate.run_command('fdw_aggregate', '{"insert": "events", "documents": [{"_id": 5000, "at": {"$date": {"$numberLong": "-62135596800001"}}}]}') ->> 'n' AS inserted;
SELECT date_trunc('year', plain), extract(year FROM plain), count(*) FROM events GROUP BY 1, 2 ORDER BY 1;
SELECT mongo_migrate.run_command('fdw_aggregate', '{"insert": "events", "documents": [{"_id": 5001, "at": "2024"}]}') ->> 'n' AS inserted;
SELECT date_trunc('year', plain), count(*) FROM events GROUP BY 1 ORDER BY 1;

-- HAVING is PostgreSQL's.
EXPLAIN (COSTS OFF) SELECT ok FROM items GROUP BY ok HAVING sum(i) > 10 AND ok IS NOT NULL;
SELECT ok FROM items GROUP BY ok HAVING sum(i) > 10 AND ok IS NOT NULL ORDER BY ok;
SELECT t, count(*) FROM items GROUP BY t HAVING count(*) > 1 ORDER BY count(*), t LIMIT 1;

-- Conditions, where they are exact.
EXPLAIN (COSTS OFF) SELECT count(*) FROM items WHERE i > 5;
EXPLAIN (COSTS OFF) SELECT count(*) FROM items WHERE t IN ('a', 'b') AND x <> 1;
SELECT count(*) FROM items WHERE i > 5 AND t = 'a' AND ok AND x IS NULL;
SELECT count(*) FROM items WHERE t IN ('a', 'b') AND i IS NOT NULL;
SELECT count(*) FROM items WHERE x <> 1;
SELECT count(*) FROM items WHERE i = 5 OR ok IS NULL;
-- A range of numbers is made a little too wide for MongoDB, and its ends are looked at.
SELECT mongo_migrate.run_command('fdw_aggregate', '{"insert": "prices", "documents": [
    {"_id": 1, "p": 0.1}, {"_id": 2, "p": 0.3}, {"_id": 3, "p": 0.30000000000000004}, {"_id": 4, "p": 1}, {"_id": 5, "p": 2}, {"_id": 6, "p": null},
    {"_id": 7, "p": 99.99}, {"_id": 8, "p": {"$numberLong": "100"}}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE prices (_id bigint, p numeric, f double precision OPTIONS (path 'p')) SERVER fdw_aggregate;
ANALYZE prices;
EXPLAIN (COSTS OFF) SELECT count(*), min(f), max(f) FROM prices WHERE f >= 0.3;
SELECT count(*), min(f), max(f) FROM prices WHERE f >= 0.3;
SELECT count(*), min(f), max(f) FROM prices WHERE f > 0.3 AND f <= 99.99;
SELECT count(*), min(f) FROM prices WHERE 0.3 = f;
EXPLAIN (COSTS OFF) SELECT count(*), min(p), max(p) FROM prices WHERE 99.99 >= p;
SELECT count(*), min(p), max(p) FROM prices WHERE 99.99 >= p;
SELECT count(*), min(p), max(p) FROM prices WHERE p < 99.99 AND p > 0.1;
SELECT count(*), min(p), max(p) FROM prices WHERE p BETWEEN 0.3 AND 100;
SELECT p > 1, count(*) FROM prices WHERE p IS NOT NULL GROUP BY 1 ORDER BY 1;

PREPARE larger(integer) AS SELECT count(*), sum(i) FROM items WHERE i > $1;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE larger(5);
EXECUTE larger(5);
EXECUTE larger(7);
EXECUTE larger(NULL);
RESET plan_cache_mode;
-- Started again, with another parameter.
SELECT i.ok, (SELECT count(*) FROM items WHERE _id > i._id) FROM items i WHERE i.t = 'a' ORDER BY i._id;

-- What stays here.
EXPLAIN (COSTS OFF) SELECT avg(f) FROM items;
EXPLAIN (COSTS OFF) SELECT count(t) FROM items;
EXPLAIN (COSTS OFF) SELECT max(t) FROM items WHERE i > 1;
EXPLAIN (COSTS OFF) SELECT count(*) FILTER (WHERE t = 'a') FROM items;
EXPLAIN (COSTS OFF) SELECT count(*) FILTER (WHERE ok AND i % 2 = 1) FROM items;
EXPLAIN (COSTS OFF) SELECT count(*) FILTER (WHERE at::date = '2024-02-29') FROM items;
EXPLAIN (COSTS OFF) SELECT count(*) FROM items WHERE t <> 'a';
EXPLAIN (COSTS OFF) SELECT sum(i + 1) FROM items;
EXPLAIN (COSTS OFF) SELECT array_agg(i) FROM items;
EXPLAIN (COSTS OFF) SELECT count(d) FROM items;
EXPLAIN (COSTS OFF) SELECT count(*) FROM items GROUP BY GROUPING SETS ((t), ());
SELECT t, grouping(t), count(*) FROM items GROUP BY t HAVING grouping(t) = 0 ORDER BY t COLLATE "C";
CREATE FOREIGN TABLE off (_id bigint) SERVER fdw_aggregate OPTIONS (collection 'items', enable_aggregate_pushdown 'false');
EXPLAIN (COSTS OFF) SELECT count(*) FROM off;
SET mongo_migrate.enable_pushdown = off;
EXPLAIN (COSTS OFF) SELECT count(*) FROM items;
RESET mongo_migrate.enable_pushdown;

-- Values that a column cannot hold are never counted: the error is PostgreSQL's.
CREATE FOREIGN TABLE refused (_id bigint, v integer) SERVER fdw_aggregate;
CREATE FUNCTION pg_temp.refused(value text, OUT query text, OUT outcome text) RETURNS SETOF record LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mongo_migrate.run_command('fdw_aggregate', format('{"insert": "refused", "documents": [
        {"_id": 1, "v": 6}, {"_id": 2, "v": 6}, {"_id": 3, "v": 6}, {"_id": 4, "v": 6}, {"_id": 5, "v": %s}]}', value)::json);
    ANALYZE refused;
    FOREACH query IN ARRAY ARRAY['SELECT count(v) FROM refused', 'SELECT sum(v) FROM refused WHERE v > 5', 'SELECT count(*) FILTER (WHERE v < 7) FROM refused', 'SELECT count(DISTINCT v) FROM refused',
        'SELECT array_agg(v ORDER BY v) FROM (SELECT v FROM refused GROUP BY v) q', 'SELECT count(*) FROM refused WHERE v IS NOT NULL'] LOOP
        BEGIN
            EXECUTE query INTO outcome;
        EXCEPTION WHEN data_exception OR datatype_mismatch THEN
            outcome := sqlerrm;
        END;
        RETURN NEXT;
    END LOOP;
    PERFORM mongo_migrate.run_command('fdw_aggregate', '{"drop": "refused"}');
END
$$;
SELECT * FROM pg_temp.refused('7.5');
SELECT * FROM pg_temp.refused('[7]');
SELECT * FROM pg_temp.refused('"x"');
SELECT * FROM pg_temp.refused('{"$numberLong": "9000000000"}');
SELECT * FROM pg_temp.refused('{"$numberDouble": "NaN"}');
SELECT * FROM pg_temp.refused('{"$minKey": 1}');
SELECT mongo_migrate.run_command('fdw_aggregate', '{"insert": "refused", "documents": [
    {"_id": 1, "v": 6}, {"_id": 2, "v": 6}, {"_id": 3, "v": 6}, {"_id": 4, "v": 6}]}') ->> 'n' AS inserted;
ANALYZE refused;
EXPLAIN (COSTS OFF) SELECT sum(v) FROM refused WHERE v > 5;
SELECT mongo_migrate.run_command('fdw_aggregate', '{"drop": "refused"}') ->> 'ok' AS ok;
-- These it can.
SELECT * FROM pg_temp.refused('{"$numberDouble": "6.0"}');
SELECT * FROM pg_temp.refused('{"$numberDecimal": "7.00"}');
SELECT * FROM pg_temp.refused('{"$undefined": true}');

-- A sum beyond bigint, and what looks equal here but not to MongoDB.
SELECT mongo_migrate.run_command('fdw_aggregate', '{"insert": "odd", "documents": [
    {"_id": 1, "b": {"$numberLong": "9223372036854775807"}, "t": "5", "n": {"$numberDecimal": "0.1"}, "f": {"$numberDouble": "NaN"}, "s": [{"x": 1}]},
    {"_id": 2, "b": {"$numberLong": "9223372036854775807"}, "t": 5, "n": 0.1, "f": {"$numberLong": "9007199254740993"}, "s": 5},
    {"_id": 3, "n": {"$numberDecimal": "1.0"}, "t": {"$symbol": "5"}, "f": 9007199254740992.0},
    {"_id": 4, "n": 1, "u": {"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAAAA==", "subType": "03"}}},
    {"_id": 5, "n": 1.0, "u": {"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAAAA==", "subType": "04"}}}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE odd (_id bigint, b bigint, t text, n numeric, f double precision, u uuid, x integer OPTIONS (path 's.x')) SERVER fdw_aggregate;
ANALYZE odd;
EXPLAIN (COSTS OFF) SELECT trim_scale(n), count(*) FROM odd GROUP BY n;
SELECT sum(b), avg(b), min(b) FROM odd;
SELECT t, count(*) FROM odd GROUP BY t ORDER BY t;
SELECT trim_scale(n), count(*) FROM odd GROUP BY n ORDER BY n;
SELECT trim_scale(min(n)), max(f) FROM odd;
SELECT count(DISTINCT n), count(*) FROM odd;
SELECT count(DISTINCT f), count(*) FROM odd;
SELECT count(DISTINCT u), count(*) FROM odd;
SELECT u, count(*) FROM odd GROUP BY u ORDER BY u;
SELECT x, count(*) FROM odd GROUP BY x ORDER BY x;
SELECT count(*) FROM odd WHERE x = 1;
SELECT count(*) FROM odd WHERE t = '5';

-- A collation of the collection's own is not PostgreSQL's.
SELECT mongo_migrate.run_command('fdw_aggregate', '{"create": "loose", "collation": {"locale": "en", "strength": 1}}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_aggregate', '{"insert": "loose", "documents": [
    {"_id": 1, "t": "a"}, {"_id": 2, "t": "A"}, {"_id": 3, "t": "a"}, {"_id": 4, "t": "a"}, {"_id": 5, "t": "a"}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE loose (_id bigint, t text) SERVER fdw_aggregate;
ANALYZE loose;
SELECT t, count(*) FROM loose GROUP BY t ORDER BY t COLLATE "C";
EXPLAIN (COSTS OFF) SELECT count(*) FROM loose WHERE t = 'a';
SELECT count(*) FROM loose WHERE t = 'a';

-- A view's owner reads, not who reads the view.
CREATE ROLE fdw_aggregate_reader;
CREATE VIEW counted AS SELECT t, count(*) FROM items GROUP BY t;
GRANT SELECT ON counted TO fdw_aggregate_reader;
SET ROLE fdw_aggregate_reader;
SELECT * FROM counted ORDER BY t;
SELECT count(*) FROM items;
RESET ROLE;

-- In a transaction, what it wrote is counted.
BEGIN;
INSERT INTO items (_id, i) VALUES (6, 1);
SELECT count(*), count(i) FROM items;
ROLLBACK;
SELECT count(*), count(i) FROM items;

-- An integer that is taken for an oid has another order.
SELECT mongo_migrate.run_command('fdw_aggregate', '{"insert": "signs", "documents": [{"n": -1}, {"n": 1}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE signs (n integer) SERVER fdw_aggregate;
SELECT min(n::oid), max(n::oid), count(DISTINCT n::oid) FROM signs;

-- More groups than memory holds: they come back from a file.
SELECT mongo_migrate.run_command('fdw_aggregate', '{"insert": "many", "documents": [{}]}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_aggregate', '{"aggregate": "many", "cursor": {}, "pipeline": [{"$project": {"_id": 0, "n": {"$range": [0, 10000]}}},
    {"$unwind": "$n"}, {"$project": {"_id": "$n", "i": {"$subtract": ["$n", {"$mod": ["$n", 2]}]}, "t": {"$toString": "$n"}}}, {"$out": "many"}]}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE many (_id bigint, i integer, t text) SERVER fdw_aggregate;
SET work_mem = '64kB';
EXPLAIN (COSTS OFF) SELECT i, count(*), min(_id) FROM many GROUP BY i;
SELECT count(*), sum(n), sum(least) FROM (SELECT i, count(*) AS n, min(_id) AS least FROM many GROUP BY i) AS g;
RESET work_mem;

SELECT mongo_migrate.run_command('fdw_aggregate', '{"dropDatabase": 1}') ->> 'ok' AS ok;
DROP SERVER fdw_aggregate CASCADE;
DROP ROLE fdw_aggregate_reader;

-- ORDER BY of foreign tables: what MongoDB sorts, and that its order is PostgreSQL's.
\getenv mongo_uri MONGO_URI
CREATE SERVER fdw_sort FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_fdw_sort');
SELECT mongo_migrate.run_command('fdw_sort', '{"dropDatabase": 1}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_sort', '{"insert": "items", "documents": [
    {"_id": 1, "i": 5, "b": true, "n": 1, "t": "b"},
    {"_id": 2, "i": {"$numberDouble": "-3.0"}, "b": false, "n": 2, "t": "a"},
    {"_id": 3, "i": null, "b": true, "n": 3, "t": "c"},
    {"_id": 4, "i": {"$numberDecimal": "4.0"}, "n": 4},
    {"_id": 5, "i": {"$undefined": true}, "b": false, "n": 5},
    {"_id": 6, "b": true, "n": 6},
    {"_id": null, "i": {"$numberLong": "7"}, "b": {"$undefined": true}, "n": 7}]}') ->> 'n' AS inserted;
SELECT mongo_migrate.run_command('fdw_sort', '{"insert": "mixed", "documents": [
    {"_id": 1, "i": 5}, {"_id": 2, "i": "4"}, {"_id": 3, "i": [3, null]}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE items
(
    _id bigint, i integer, b boolean, n integer NOT NULL, t text COLLATE "C", f double precision OPTIONS (path 'n'),
    same bigint OPTIONS (path 'i'), nested integer OPTIONS (path 'sub.i')
) SERVER fdw_sort;
CREATE FOREIGN TABLE mixed (_id bigint, i integer) SERVER fdw_sort;

-- NULLs are where PostgreSQL puts them, by a command of their own where MongoDB puts them elsewhere.
EXPLAIN (COSTS OFF) SELECT _id, i FROM items ORDER BY i;
SELECT i FROM items ORDER BY i;
EXPLAIN (COSTS OFF) SELECT _id, i FROM items WHERE n > 1 ORDER BY i DESC;
SELECT i FROM items WHERE n > 1 ORDER BY i DESC;
SELECT i FROM items ORDER BY i NULLS FIRST;
SELECT i FROM items ORDER BY i DESC NULLS LAST;
EXPLAIN (COSTS OFF) SELECT n FROM items ORDER BY n;
SELECT _id FROM items ORDER BY _id;

-- Several keys: a second one with NULLs only where MongoDB puts them right, and as the last.
EXPLAIN (COSTS OFF) SELECT b, n FROM items ORDER BY b DESC, n;
SELECT b, n FROM items ORDER BY b DESC, n;
EXPLAIN (COSTS OFF) SELECT b, i FROM items ORDER BY b, i NULLS FIRST;
SELECT b, i FROM items ORDER BY b, i NULLS FIRST;
EXPLAIN (COSTS OFF) SELECT b, i FROM items ORDER BY b, i;
SELECT b, i FROM items ORDER BY b, i;
EXPLAIN (COSTS OFF) SELECT b, i, n FROM items ORDER BY b, i NULLS FIRST, n;
SELECT b, i, n FROM items ORDER BY b, i NULLS FIRST, n;
EXPLAIN (COSTS OFF) SELECT i FROM items ORDER BY i, same DESC;

-- Partitions, each by itself.
CREATE TABLE parts (n integer NOT NULL, part integer) PARTITION BY LIST (part);
CREATE FOREIGN TABLE part_1 PARTITION OF parts FOR VALUES IN (1) SERVER fdw_sort OPTIONS (collection 'items');
CREATE FOREIGN TABLE part_2 PARTITION OF parts FOR VALUES IN (2) SERVER fdw_sort OPTIONS (collection 'mixed');
EXPLAIN (COSTS OFF) SELECT n FROM parts ORDER BY n LIMIT 2;
DROP TABLE parts;

-- Not sorted by MongoDB.
EXPLAIN (COSTS OFF) SELECT t FROM items ORDER BY t;
EXPLAIN (COSTS OFF) SELECT f FROM items ORDER BY f;
EXPLAIN (COSTS OFF) SELECT nested FROM items ORDER BY nested;
EXPLAIN (COSTS OFF) SELECT i FROM items ORDER BY i + 1;

-- LIMIT and OFFSET go along with the whole of the order, and with nothing less.
EXPLAIN (COSTS OFF) SELECT n FROM items ORDER BY n DESC LIMIT 2 OFFSET 1;
SELECT n FROM items ORDER BY n DESC LIMIT 2 OFFSET 1;
EXPLAIN (COSTS OFF) SELECT i FROM items WHERE n < 7 ORDER BY i LIMIT 4 OFFSET 1;
SELECT i FROM items WHERE n < 7 ORDER BY i LIMIT 4 OFFSET 1;
EXPLAIN (COSTS OFF) SELECT b, t FROM items ORDER BY b, t LIMIT 2;
SELECT b, t FROM items ORDER BY b, t LIMIT 2;
EXPLAIN (COSTS OFF) SELECT b FROM items ORDER BY b DESC NULLS LAST FETCH FIRST 2 ROWS WITH TIES;
SELECT b FROM items ORDER BY b DESC NULLS LAST FETCH FIRST 2 ROWS WITH TIES;
EXPLAIN (COSTS OFF) SELECT n FROM items WHERE t > 'a' ORDER BY n LIMIT 2;

-- Started again, for each outer row.
SELECT k, (SELECT array_agg(i) FROM (SELECT i FROM items WHERE n <> k ORDER BY i LIMIT 3) q) FROM generate_series(1, 4, 3) k;

-- Neither command sees what is written while the rows are read: not in a statement, nor in a loop.
CREATE FOREIGN TABLE written (_id bigint NOT NULL, i integer) SERVER fdw_sort OPTIONS (batch_size '1');
INSERT INTO written VALUES (1, NULL), (2, 2), (3, 1);
EXPLAIN (COSTS OFF) INSERT INTO written SELECT _id + 10, NULL FROM written ORDER BY i;
INSERT INTO written SELECT _id + 10, NULL FROM written ORDER BY i;
SELECT * FROM written ORDER BY _id;
DO $$
DECLARE
    rows CURSOR FOR SELECT _id, i FROM written ORDER BY i DESC, _id;
    r record;
BEGIN
    OPEN rows;
    LOOP
        FETCH rows INTO r;
        EXIT WHEN NOT FOUND;
        RAISE NOTICE '_id %: %', r._id, r.i;
        UPDATE written SET i = 100 + _id WHERE _id = r._id AND i IS NULL;
    END LOOP;
END
$$;

-- A value that the column cannot hold is an error, unless a LIMIT comes before it.
SELECT i FROM mixed ORDER BY i;
SELECT i FROM mixed ORDER BY i DESC;
SELECT _id FROM mixed ORDER BY _id LIMIT 1;

SET mongo_migrate.enable_pushdown = off;
EXPLAIN (COSTS OFF) SELECT n FROM items ORDER BY n LIMIT 2;
RESET mongo_migrate.enable_pushdown;

SELECT mongo_migrate.run_command('fdw_sort', '{"dropDatabase": 1}') ->> 'ok' AS ok;
DROP SERVER fdw_sort CASCADE;

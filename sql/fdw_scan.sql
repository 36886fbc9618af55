-- Scans of foreign tables: what is asked of MongoDB, and how scans start again and end.
\getenv mongo_uri MONGO_URI
CREATE SERVER fdw_scan FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_fdw_scan');
SELECT mongo_migrate.run_command('fdw_scan', '{"dropDatabase": 1}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_scan', '{"insert": "people", "documents": [
    {"_id": 1, "name": "Ada",   "age": 36, "address": {"city": "London", "zip": "W1"}, "tags": ["math", "code"]},
    {"_id": 2, "name": "Blaise","age": 39, "address": {"city": "Paris"}},
    {"_id": 3, "name": "Carl",  "age": 77, "address": null, "friends": [{"name": "Sophie"}, {"name": "Wilhelm"}]},
    {"_id": 4, "name": "Dora",  "address": "unknown"},
    {"_id": 5, "age": 51, "odd name": true, "a.b": 1}]}') ->> 'n' AS inserted;

CREATE FOREIGN TABLE people
(
    _id       bigint,
    name      text,
    age       integer,
    city      text OPTIONS (path 'address.city'),
    address   jsonb,
    friend    text OPTIONS (path 'friends.1.name'),
    friends   jsonb,
    "odd name" boolean,
    dotted    integer OPTIONS (path 'a\.b'),
    doc       jsonb OPTIONS (path '$')
) SERVER fdw_scan;

-- Only what is needed is asked for: beginnings of paths where one covers another, no array
-- positions, the whole document where a path has no name in a projection.
EXPLAIN (COSTS OFF) SELECT name FROM people;
EXPLAIN (COSTS OFF) SELECT city FROM people;
EXPLAIN (COSTS OFF) SELECT city, address FROM people;
EXPLAIN (COSTS OFF) SELECT address, city FROM people;
EXPLAIN (COSTS OFF) SELECT friend, "odd name" FROM people;
EXPLAIN (COSTS OFF) SELECT dotted FROM people;
EXPLAIN (COSTS OFF) SELECT name, doc FROM people;
EXPLAIN (COSTS OFF) SELECT _id FROM people;
EXPLAIN (COSTS OFF) SELECT count(*) FROM people;
EXPLAIN (COSTS OFF) SELECT 1 FROM people WHERE age > 40;
EXPLAIN (COSTS OFF) SELECT people FROM people;
EXPLAIN (COSTS OFF, VERBOSE) SELECT lower(name) AS name FROM people;

SELECT _id, name, age, city, friend, "odd name", dotted FROM people ORDER BY _id;
SELECT _id, address, friends FROM people ORDER BY _id;
SELECT doc FROM people WHERE _id = 5;
SELECT count(*), count(age), sum(age), min(city) FROM people;
SELECT people FROM people WHERE _id = 4;
SELECT tableoid::regclass, _id FROM people WHERE _id = 1;

-- LIMIT goes along where nothing else is to be done in between.
EXPLAIN (COSTS OFF) SELECT _id FROM people LIMIT 2;
EXPLAIN (COSTS OFF) SELECT _id FROM people LIMIT 2 OFFSET 1;
EXPLAIN (COSTS OFF) SELECT _id FROM people WHERE age > 36 LIMIT 2;
EXPLAIN (COSTS OFF) SELECT _id FROM people WHERE name > 'B' LIMIT 2;
EXPLAIN (COSTS OFF) SELECT _id FROM people ORDER BY name LIMIT 2;
EXPLAIN (COSTS OFF) SELECT DISTINCT age FROM people LIMIT 2;
EXPLAIN (COSTS OFF) SELECT count(*) FROM people LIMIT 2;
EXPLAIN (COSTS OFF) SELECT generate_series(1, _id) FROM people LIMIT 2;
EXPLAIN (COSTS OFF) SELECT p._id FROM people p CROSS JOIN generate_series(1, 2) LIMIT 2;
EXPLAIN (COSTS OFF) SELECT _id FROM people LIMIT 2 + random();
EXPLAIN (COSTS OFF) SELECT _id FROM people FOR UPDATE LIMIT 2;
EXPLAIN (COSTS OFF) SELECT * FROM (SELECT _id FROM people WHERE age > 36 LIMIT 2) q WHERE _id > 2;
SELECT _id FROM people LIMIT 2;
SELECT _id FROM people LIMIT 0;
SELECT _id FROM people LIMIT 2 OFFSET 1;
SELECT count(*) FROM (SELECT _id FROM people LIMIT 3) q;
SELECT * FROM (SELECT _id FROM people WHERE age > 36 LIMIT 2) q WHERE _id > 2;

-- A scan starts again: with new parameters, and with none.
CREATE TABLE wanted (id bigint, lower_age integer);
INSERT INTO wanted VALUES (3, 40), (1, 70), (9, 0), (NULL, 50), (2, NULL);
ANALYZE wanted;
SELECT w.id, w.lower_age, p.names
  FROM wanted w, LATERAL (SELECT string_agg(name, ',' ORDER BY name) AS names
                            FROM people WHERE age > w.lower_age) p
 ORDER BY w.id;
SELECT w.id, (SELECT name FROM people WHERE _id = w.id) FROM wanted w ORDER BY w.id;
SELECT w.id, EXISTS (SELECT FROM people WHERE age > w.lower_age) FROM wanted w ORDER BY w.id;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SELECT w.id, p.name FROM wanted w JOIN people p ON p._id = w.id ORDER BY 1;
SELECT w.id, p.name FROM wanted w LEFT JOIN people p ON p._id = w.id ORDER BY 1;
SET enable_material = off;
SELECT w.id, count(p.name) FROM wanted w JOIN people p ON p.age > w.id * 20 GROUP BY w.id ORDER BY 1;
RESET enable_material;
RESET enable_hashjoin;
RESET enable_mergejoin;

-- Documents of a large collection are fetched by their _id where few are wanted.
SELECT mongo_migrate.run_command('fdw_scan', '{"aggregate": "people", "cursor": {}, "pipeline": [
    {"$match": {"_id": 1}}, {"$project": {"_id": {"$range": [0, 20000]}}}, {"$unwind": "$_id"},
    {"$project": {"square": {"$multiply": ["$_id", "$_id"]}}}, {"$out": "many"}]}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE many (_id bigint, square bigint) SERVER fdw_scan;
-- (A projection that would leave little out is not sent.)
EXPLAIN (COSTS OFF) SELECT _id FROM many;
EXPLAIN (COSTS OFF) SELECT _id, square FROM many;
EXPLAIN (COSTS OFF) SELECT w.id, m.square FROM wanted w JOIN many m ON m._id = w.id;
SELECT w.id, m.square FROM wanted w JOIN many m ON m._id = w.id ORDER BY 1;
EXPLAIN (COSTS OFF) SELECT w.id, m.square FROM wanted w LEFT JOIN many m ON w.id + 1 = m._id AND m.square > 10;
SELECT w.id, m.square FROM wanted w LEFT JOIN many m ON w.id + 1 = m._id AND m.square > 10 ORDER BY 1;
EXPLAIN (COSTS OFF) SELECT count(*) FROM many a JOIN many b USING (_id);
SELECT count(*), sum(a.square) FROM many a JOIN many b USING (_id);

-- Prepared: a plan for known values, a plan for any.
PREPARE by_id(bigint) AS SELECT name FROM people WHERE _id = $1;
SET plan_cache_mode = force_custom_plan;
EXPLAIN (COSTS OFF) EXECUTE by_id(2);
EXECUTE by_id(2);
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE by_id(2);
EXECUTE by_id(2);
EXECUTE by_id(NULL);
PREPARE by_ids(bigint[]) AS SELECT name FROM people WHERE _id = ANY ($1) ORDER BY _id;
EXPLAIN (COSTS OFF) EXECUTE by_ids('{1,3}');
EXECUTE by_ids('{1,3}');
EXECUTE by_ids('{}');
EXECUTE by_ids('{NULL,3}');
EXECUTE by_ids(NULL);
DEALLOCATE ALL;
RESET plan_cache_mode;

-- Cursors: two scans at once, one left early.
BEGIN;
DECLARE one CURSOR FOR SELECT _id FROM people;
DECLARE two CURSOR FOR SELECT name FROM people WHERE age > 36;
FETCH 2 FROM one;
FETCH 1 FROM two;
FETCH 1 FROM one;
CLOSE two;
FETCH ALL FROM one;
FETCH 1 FROM one;
COMMIT;
BEGIN;
DECLARE held SCROLL CURSOR WITH HOLD FOR SELECT _id FROM people;
FETCH 2 FROM held;
COMMIT;
FETCH BACKWARD 1 FROM held;
FETCH ALL FROM held;
CLOSE held;

-- Batches of any size.
ALTER FOREIGN TABLE people OPTIONS (ADD fetch_size '2');
EXPLAIN (COSTS OFF) SELECT _id FROM people;
SELECT sum(_id) FROM people;
ALTER FOREIGN TABLE people OPTIONS (DROP fetch_size);

-- With tables of PostgreSQL: joined, locked, in a partitioned table, copied.
SELECT p.name, w.lower_age FROM people p JOIN wanted w ON w.id = p._id ORDER BY 1;
SELECT w.id FROM wanted w, people p WHERE w.id = p._id ORDER BY w.id FOR UPDATE OF w;
SELECT w.id FROM wanted w, people p WHERE w.id = p._id ORDER BY w.id FOR UPDATE;
UPDATE wanted w SET lower_age = p.age FROM people p WHERE p._id = w.id;
SELECT * FROM wanted ORDER BY id;
CREATE TABLE parts (_id bigint, name text) PARTITION BY RANGE (_id);
CREATE FOREIGN TABLE part1 PARTITION OF parts FOR VALUES FROM (1) TO (100)
    SERVER fdw_scan OPTIONS (collection 'people');
CREATE TABLE part2 PARTITION OF parts FOR VALUES FROM (100) TO (200);
INSERT INTO part2 VALUES (100, 'Zoe');
SELECT * FROM parts WHERE _id > 3 ORDER BY _id;
SELECT count(*) FROM (SELECT * FROM parts LIMIT 3) q;
DROP TABLE parts;
CREATE TABLE copied AS SELECT _id, name FROM people;
SELECT count(*) FROM copied;
DROP TABLE copied;

-- Columns that were dropped and added.
ALTER FOREIGN TABLE people DROP COLUMN age;
ALTER FOREIGN TABLE people ADD COLUMN years integer OPTIONS (path 'age');
SELECT people.* FROM people WHERE _id = 1;
SELECT sum(years) FROM people;

-- A view of MongoDB, a collection that is not there, a table without columns.
SELECT mongo_migrate.run_command('fdw_scan', '{"create": "adults", "viewOn": "people",
    "pipeline": [{"$match": {"age": {"$gt": 50}}}]}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE adults (_id bigint, name text) SERVER fdw_scan;
SELECT * FROM adults ORDER BY _id;
CREATE FOREIGN TABLE nowhere (_id bigint) SERVER fdw_scan;
SELECT * FROM nowhere;
CREATE FOREIGN TABLE nothing () SERVER fdw_scan OPTIONS (collection 'people');
SELECT FROM nothing;

-- ANALYZE samples through MongoDB, and leaves out what the columns cannot hold.
ANALYZE people;
SELECT reltuples FROM pg_class WHERE oid = 'people'::regclass;
SELECT attname, null_frac > 0 AS has_nulls, n_distinct FROM pg_stats
 WHERE tablename = 'people' AND attname IN ('_id', 'name', 'years') ORDER BY attname;
SELECT mongo_migrate.run_command('fdw_scan', '{"insert": "people", "documents": [{"_id": 6}]}') ->> 'n' AS inserted;
CREATE FUNCTION estimated_rows(query text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END
$$;
SELECT estimated_rows('SELECT * FROM people'), estimated_rows('SELECT * FROM people WHERE _id = 3');
CREATE FOREIGN TABLE fresh (_id bigint) SERVER fdw_scan OPTIONS (collection 'people', use_remote_estimate 'true');
ANALYZE fresh;
SELECT estimated_rows('SELECT * FROM fresh');
SELECT mongo_migrate.run_command('fdw_scan', '{"insert": "people", "documents": [{"_id": 7}]}') ->> 'n' AS inserted;
ANALYZE people;
SELECT estimated_rows('SELECT * FROM people');
ALTER FOREIGN TABLE fresh OPTIONS (SET collection 'many');
SELECT estimated_rows('SELECT * FROM fresh');
SELECT mongo_migrate.run_command('fdw_scan', '{"delete": "people", "deletes": [{"q": {"_id": {"$gt": 5}}, "limit": 0}]}') ->> 'n' AS deleted;
ANALYZE adults;
SELECT reltuples FROM pg_class WHERE oid = 'adults'::regclass;
CREATE FOREIGN TABLE strict (_id bigint, city text OPTIONS (path 'address')) SERVER fdw_scan OPTIONS (collection 'people');
ANALYZE strict;
SELECT reltuples FROM pg_class WHERE oid = 'strict'::regclass;
SELECT attname, most_common_vals, histogram_bounds FROM pg_stats WHERE tablename = 'strict' AND attname = '_id';

SELECT mongo_migrate.run_command('fdw_scan', '{"dropDatabase": 1}') ->> 'ok' AS ok;
DROP TABLE wanted;
DROP FUNCTION estimated_rows;
DROP SERVER fdw_scan CASCADE;

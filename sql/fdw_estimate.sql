-- What the planner knows of a collection: indexes and counts by use_remote_estimate, and the nested loops that these make.
\getenv mongo_uri MONGO_URI
CREATE SERVER fdw_estimate FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_fdw_estimate');
SELECT mongo_migrate.run_command('fdw_estimate', '{"dropDatabase": 1}') ->> 'ok' AS ok;

-- 20,000 orders of 2,000 customers.
SELECT mongo_migrate.run_command('fdw_estimate', (SELECT '{"insert": "numbers", "documents": [' || string_agg(format('{"_id": %s}', n), ', ') || ']}'
    FROM generate_series(0, 199) n)::json) ->> 'n' AS inserted;
SELECT mongo_migrate.run_command('fdw_estimate', '{"aggregate": "numbers", "cursor": {}, "pipeline": [
    {"$lookup": {"from": "numbers", "pipeline": [{"$match": {"_id": {"$lt": 100}}}], "as": "other"}}, {"$unwind": "$other"},
    {"$project": {"_id": {"$add": [{"$multiply": ["$_id", 100]}, "$other._id"]}}},
    {"$project": {"customer": {"$mod": ["$_id", 2000]}, "number": "$_id", "code": {"$concat": ["c", {"$toString": "$_id"}]},
                  "state": {"$cond": [{"$lt": ["$_id", 50]}, "open", "closed"]}, "ref": {"key": {"$mod": ["$_id", 2000]}}}},
    {"$out": "orders"}]}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_estimate', '{"createIndexes": "orders", "indexes": [
    {"key": {"customer": 1, "number": 1}, "name": "customer"}, {"key": {"code": 1}, "name": "code", "unique": true}, {"key": {"ref.key": "hashed"}, "name": "ref"},
    {"key": {"state": 1}, "name": "state", "partialFilterExpression": {"state": "open"}}, {"key": {"number": "2d"}, "name": "place"}]}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE orders
(
    _id bigint, customer integer, number integer, code text, state text, key integer OPTIONS (path 'ref.key'), doc jsonb OPTIONS (path '$')
) SERVER fdw_estimate OPTIONS (use_remote_estimate 'true');
CREATE FOREIGN TABLE unasked (_id bigint, customer integer, code text, state text) SERVER fdw_estimate OPTIONS (collection 'orders');
CREATE TABLE customers (id integer PRIMARY KEY, code text);
INSERT INTO customers SELECT n, 'c' || n FROM generate_series(1, 3) n;
ANALYZE customers;

-- How many rows are expected.
CREATE FUNCTION expected(query text) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    plan json;
BEGIN
    EXECUTE 'EXPLAIN (FORMAT JSON) ' || query INTO plan;
    RETURN plan -> 0 -> 'Plan' ->> 'Plan Rows';
END
$$;
SELECT expected('SELECT FROM orders') AS everything,
       expected('SELECT FROM orders WHERE _id = 5') AS by_id,
       expected('SELECT FROM orders WHERE code = ''c5''') AS by_unique_key,
       expected('SELECT FROM orders WHERE customer = 5') AS by_index,
       expected('SELECT FROM orders WHERE customer < 100') AS by_range,
       expected('SELECT FROM orders WHERE customer = -1') AS nobody,
       expected('SELECT FROM orders WHERE customer = 5 AND number = 2005') AS by_both,
       expected('SELECT FROM orders WHERE _id < 30') AS by_ids;
-- Without an index, and not few, it is a sample, which is given up where the server is busy: so more than once.
SELECT (SELECT max(expected('SELECT FROM orders WHERE state = ''closed''')) > 15000 FROM generate_series(1, 5)) AS most,
       expected('SELECT FROM orders WHERE state = ''none''') < 100 AS none,
       expected('SELECT FROM orders WHERE number % 2 = 0') AS unknown,
       expected('SELECT FROM orders WHERE customer = 5 AND number % 2 = 0') AS of_ten;

-- An _id is of one document, which MongoDB does not say of its index; and so is a field with a unique one.
SET plan_cache_mode = force_generic_plan;
PREPARE by_id AS SELECT FROM orders WHERE _id = $1;
PREPARE by_unique_key AS SELECT FROM orders WHERE code = $1;
SELECT expected('EXECUTE by_id(5)') AS by_id, expected('EXECUTE by_unique_key(''c5'')') AS by_unique_key;
DEALLOCATE ALL;
RESET plan_cache_mode;

-- Ranges of strings, byte by byte.
SELECT expected('SELECT FROM orders WHERE code < ''c10'' COLLATE "C"') AS by_order, expected('SELECT FROM orders WHERE code ^@ ''c1999''') AS by_beginning;

-- A plan without its local filters, whose sides versions of PostgreSQL put in different order.
CREATE FUNCTION plan(query text) RETURNS TABLE (line text)
LANGUAGE plpgsql AS $$
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query
    LOOP
        CONTINUE WHEN line LIKE '%Filter:%';
        RETURN NEXT;
    END LOOP;
END
$$;
-- Nested loops by an index, by its first field, by a unique one, by a hashed one, by what is in a document.
EXPLAIN (COSTS OFF) SELECT o.number FROM customers c JOIN orders o ON o.customer = c.id;
SELECT c.id, count(*), sum(o.number) FROM customers c JOIN orders o ON o.customer = c.id GROUP BY 1 ORDER BY 1;
SELECT plan('SELECT o.number FROM customers c JOIN orders o ON o.code = c.code');
SELECT o.number FROM customers c JOIN orders o ON o.code = c.code ORDER BY 1;
SELECT plan('SELECT o.number FROM customers c JOIN orders o ON o.key = c.id');
SELECT c.id, count(*) FROM customers c JOIN orders o ON o.key = c.id GROUP BY 1 ORDER BY 1;
SELECT plan('SELECT o.number FROM customers c JOIN orders o ON o.doc ->> ''code'' = c.code');
SELECT o.number FROM customers c JOIN orders o ON o.doc ->> 'code' = c.code ORDER BY 1;
EXPLAIN (COSTS OFF) SELECT c.id, o.number FROM customers c LEFT JOIN orders o ON o.customer = c.id AND o.number > 18000;
SELECT c.id, o.number FROM customers c LEFT JOIN orders o ON o.customer = c.id AND o.number > 18000 ORDER BY 1, 2;
EXPLAIN (COSTS OFF) SELECT c.id, o.* FROM customers c, LATERAL (SELECT number FROM orders WHERE customer = c.id ORDER BY number DESC LIMIT 1) o;
SELECT c.id, o.* FROM customers c, LATERAL (SELECT number FROM orders WHERE customer = c.id ORDER BY number DESC LIMIT 1) o;

-- Not by a partial index, nor by the second field of one, nor unasked.
EXPLAIN (COSTS OFF) SELECT o.number FROM customers c JOIN orders o ON o.state = c.code;
EXPLAIN (COSTS OFF) SELECT o.customer FROM customers c JOIN orders o ON o.number = c.id;
EXPLAIN (COSTS OFF) SELECT o.customer FROM customers c JOIN unasked o ON o.customer = c.id;
EXPLAIN (COSTS OFF) SELECT o.customer FROM customers c JOIN unasked o ON o._id = c.id;

-- What is asked is remembered, until the options change.
SELECT mongo_migrate.run_command('fdw_estimate', '{"dropIndexes": "orders", "index": "customer"}') ->> 'ok' AS ok;
EXPLAIN (COSTS OFF) SELECT o.number FROM customers c JOIN orders o ON o.customer = c.id;
ALTER FOREIGN TABLE orders OPTIONS (ADD fetch_size '100');
EXPLAIN (COSTS OFF) SELECT o.number FROM customers c JOIN orders o ON o.customer = c.id;
-- Those of the server are options too.
SELECT mongo_migrate.run_command('fdw_estimate', '{"createIndexes": "orders", "indexes": [{"key": {"customer": 1}, "name": "customer"}]}') ->> 'ok' AS ok;
EXPLAIN (COSTS OFF) SELECT o.number FROM customers c JOIN orders o ON o.customer = c.id;
ALTER SERVER fdw_estimate OPTIONS (ADD app_name 'another');
EXPLAIN (COSTS OFF) SELECT o.number FROM customers c JOIN orders o ON o.customer = c.id;

-- ObjectIds by their text, which needs nobody to be asked.
SELECT mongo_migrate.run_command('fdw_estimate', '{"aggregate": "orders", "cursor": {}, "pipeline": [
    {"$project": {"_id": {"$toObjectId": {"$concat": ["5f", {"$substrCP": [{"$toString": {"$add": [{"$toLong": 1000000000000000}, "$_id"]}}, 0, 16]}, "000000"]}}, "n": "$_id"}},
    {"$out": "ids"}]}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE ids (_id mongo_migrate.objectid, n integer) SERVER fdw_estimate;
CREATE TABLE wanted (hex text);
INSERT INTO wanted VALUES ('5f1000000000000005000000'), ('5f1000000000000006000000'), ('x');
ANALYZE wanted;
EXPLAIN (COSTS OFF) SELECT n FROM wanted JOIN ids ON _id::text = hex;
SELECT n FROM wanted JOIN ids ON _id::text = hex ORDER BY 1;

-- A view has no indexes, and nobody may be there.
SELECT mongo_migrate.run_command('fdw_estimate', '{"create": "few", "viewOn": "orders", "pipeline": [{"$match": {"customer": {"$lt": 10}}}]}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE few (_id bigint, customer integer) SERVER fdw_estimate OPTIONS (use_remote_estimate 'true');
EXPLAIN (COSTS OFF) SELECT FROM few WHERE customer = 5;
SELECT count(*) FROM few WHERE customer = 5;
CREATE SERVER fdw_estimate_nobody FOREIGN DATA WRAPPER mongo_migrate
    OPTIONS (uri 'mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=200', database 'x', use_remote_estimate 'true');
CREATE FOREIGN TABLE nobody (_id bigint, customer integer) SERVER fdw_estimate_nobody;
EXPLAIN (COSTS OFF) SELECT FROM nobody WHERE customer = 5;

-- The metadata of a time-series collection has no number of documents: ANALYZE counts them.
SELECT mongo_migrate.run_command('fdw_estimate', '{"create": "readings", "timeseries": {"timeField": "at", "metaField": "sensor"}}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_estimate', (SELECT '{"insert": "readings", "documents": [' ||
    string_agg(format('{"at": {"$date": {"$numberLong": "%s"}}, "sensor": 1}', n), ', ') || ']}' FROM generate_series(1, 100) n)::json) ->> 'n' AS inserted;
CREATE FOREIGN TABLE readings (at timestamptz, sensor integer) SERVER fdw_estimate;
ANALYZE readings;
SELECT reltuples FROM pg_class WHERE oid = 'readings'::regclass;

-- A sample of large documents has fewer of them.
SELECT mongo_migrate.run_command('fdw_estimate', json_build_object('insert', 'wide', 'documents', json_agg(json_build_object('_id', n, 'n', n,
    't', repeat('x', 100000))))) ->> 'n' AS inserted FROM generate_series(1, 40) AS n;
CREATE FOREIGN TABLE wide (_id integer, n integer, t text) SERVER fdw_estimate;
SET maintenance_work_mem = '1MB';
ANALYZE wide;
RESET maintenance_work_mem;
SELECT reltuples FROM pg_class WHERE oid = 'wide'::regclass;
SELECT attname, avg_width, array_length(histogram_bounds::text::text[], 1) AS rows FROM pg_stats WHERE tablename = 'wide' AND attname IN ('n', 't') ORDER BY attname;

SELECT mongo_migrate.run_command('fdw_estimate', '{"dropDatabase": 1}') ->> 'ok' AS ok;
DROP FUNCTION expected, plan;
DROP TABLE customers, wanted;
DROP SERVER fdw_estimate CASCADE;
DROP SERVER fdw_estimate_nobody CASCADE;

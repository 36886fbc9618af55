-- Joins of foreign tables: what MongoDB makes, and that it is what PostgreSQL would.
\getenv mongo_uri MONGO_URI
CREATE SERVER fdw_join FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_fdw_join', fdw_startup_cost '1000');
SELECT mongo_migrate.run_command('fdw_join', '{"dropDatabase": 1}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_join', '{"insert": "users", "documents": [
    {"_id": {"$oid": "5f0000000000000000000001"}, "name": "Ann", "n": 1, "at": {"$date": "2024-02-29T12:00:00.001Z"}, "home": {"city": "Paris"}},
    {"_id": {"$oid": "5f0000000000000000000002"}, "name": "Bob", "n": 2, "ok": true},
    {"_id": {"$oid": "5f0000000000000000000003"}, "name": null, "n": {"$numberLong": "3"}, "ok": false},
    {"_id": {"$oid": "123456789012345678901234"}, "n": null}]}') ->> 'n' AS inserted;
SELECT mongo_migrate.run_command('fdw_join', '{"insert": "orders", "documents": [
    {"_id": 1, "user": {"$oid": "5f0000000000000000000001"}, "by": "5f0000000000000000000001", "total": 10, "n": 1.0, "at": {"$date": "2024-02-29T12:00:00.001Z"}, "ref": {"user": {"$oid": "5f0000000000000000000001"}}},
    {"_id": 2, "user": {"$oid": "5f0000000000000000000001"}, "by": {"$oid": "5f0000000000000000000002"}, "total": 20, "n": {"$numberDecimal": "1.00"}, "ref": [{"user": {"$oid": "5f0000000000000000000001"}}]},
    {"_id": 3, "user": {"$oid": "5f0000000000000000000002"}, "by": {"$numberDecimal": "123456789012345678901234"}, "total": 30, "n": null},
    {"_id": 4, "user": {"$oid": "5f00000000000000000000ff"}, "by": "5F0000000000000000000001", "total": 40},
    {"_id": 5, "user": null, "by": "Ann", "total": 50, "n": {"$numberLong": "3"}},
    {"_id": 6, "by": null, "total": 60, "n": 2}]}') ->> 'n' AS inserted;
SELECT mongo_migrate.run_command('fdw_join', '{"createIndexes": "users", "indexes": [{"key": {"n": 1}, "name": "n"}, {"key": {"at": 1}, "name": "at"}]}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_join', '{"createIndexes": "orders", "indexes": [{"key": {"user": 1, "n": 1}, "name": "user"}, {"key": {"by": "hashed"}, "name": "by"}, {"key": {"ref.user": 1}, "name": "ref"}]}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE users
    (_id mongo_migrate.objectid, name text, n bigint, ok boolean, at timestamptz, city text OPTIONS (path 'home.city')) SERVER fdw_join;
CREATE FOREIGN TABLE orders
    (_id integer NOT NULL, "user" mongo_migrate.objectid, by text, total integer, n integer, at timestamptz,
     ref_user mongo_migrate.objectid OPTIONS (path 'ref.user')) SERVER fdw_join;
ANALYZE users, orders;

-- What a query returns, after a look at whether it is the same without pushdown; and whether there was a join to push down.
CREATE FUNCTION both_ways(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
    pushed boolean := false;
    there text[];
    here text[];
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        pushed := pushed OR line LIKE '%$lookup%';
    END LOOP;
    EXECUTE format('SELECT array_agg(q::text ORDER BY q::text COLLATE "C") FROM (%s) q', query) INTO there;
    PERFORM set_config('mongo_migrate.enable_pushdown', 'off', true);
    EXECUTE format('SELECT array_agg(q::text ORDER BY q::text COLLATE "C") FROM (%s) q', query) INTO here;
    PERFORM set_config('mongo_migrate.enable_pushdown', 'on', true);
    IF here IS DISTINCT FROM there THEN
        RAISE EXCEPTION 'with MongoDB %, without %', there, here;
    ELSIF NOT pushed THEN
        RAISE EXCEPTION 'the join is not pushed down';
    END IF;
    RETURN QUERY SELECT * FROM unnest(here);
END
$$;

-- A plan without its filters, in which PostgreSQL's versions have the sides of an equality this way and that.
CREATE FUNCTION plan_of(query text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        IF line NOT LIKE '%Filter:%' THEN
            RETURN NEXT line;
        END IF;
    END LOOP;
END
$$;

-- Inner joins.
SELECT plan_of('SELECT o._id, u.name FROM orders o JOIN users u ON u._id = o."user"');
SELECT o._id, u.name FROM orders o JOIN users u ON u._id = o."user" ORDER BY 1;
SELECT both_ways('SELECT o._id, u.name FROM orders o JOIN users u ON u._id = o."user"');
SELECT plan_of('SELECT o._id, u.name FROM orders o JOIN users u ON u._id = o."user" WHERE o.total > 10 AND u.name = ''Ann''');
SELECT both_ways('SELECT o._id, u.name FROM orders o JOIN users u ON u._id = o."user" WHERE o.total > 10 AND u.name = ''Ann''');
SELECT both_ways('SELECT count(*) FROM orders o JOIN users u ON u._id = o."user"');
SELECT both_ways('SELECT o._id FROM orders o, users u WHERE u._id = o."user" AND u.n + o.n = 2 AND length(u.name) = 3');
-- The table that is looked up in is the one that has an index; both have here.
EXPLAIN (COSTS OFF) SELECT o._id FROM orders o JOIN users u ON u._id = o."user" WHERE u._id = '5f0000000000000000000001';
SELECT plan_of('SELECT o._id, u.n FROM users u JOIN orders o ON u._id = o."user" WHERE u.n = 1');
SELECT both_ways('SELECT o._id, u.n FROM users u JOIN orders o ON u._id = o."user" WHERE u.n = 1');

-- Left joins: a row for every order, once without a match.
EXPLAIN (VERBOSE, COSTS OFF) SELECT o._id, u.name FROM orders o LEFT JOIN users u ON u._id = o."user" AND u.n < 2 AND u.n < o.total;
SELECT both_ways('SELECT o._id, u.name FROM orders o LEFT JOIN users u ON u._id = o."user" AND u.n < 2 AND u.n < o.total');
SELECT both_ways('SELECT o._id, u.name FROM orders o LEFT JOIN users u ON u._id = o."user" AND o.total = 20');
SELECT both_ways('SELECT o._id, u.name FROM orders o LEFT JOIN users u ON u._id = o."user" WHERE u.name IS NULL AND u.n IS DISTINCT FROM o.n');
SELECT both_ways('SELECT u._id, o._id FROM users u LEFT JOIN orders o ON u._id = o."user"');
SELECT both_ways('SELECT u._id, o._id FROM users u LEFT JOIN orders o ON u._id = o."user" AND o.total > 15 AND u.name || o.total <> ''Ann20''');
EXPLAIN (COSTS OFF) SELECT u._id, o._id FROM users u LEFT JOIN orders o ON u._id = o."user" AND o.n = NULL::integer;
SELECT both_ways('SELECT u._id, o._id FROM users u LEFT JOIN orders o ON u._id = o."user" AND o.n = (SELECT NULL::integer)');

-- Semi and anti joins: each row once.
SELECT plan_of('SELECT name FROM users u WHERE EXISTS (SELECT FROM orders o WHERE o."user" = u._id AND total > 5)');
SELECT both_ways('SELECT name FROM users u WHERE EXISTS (SELECT FROM orders o WHERE o."user" = u._id AND total > 5)');
SELECT plan_of('SELECT name FROM users u WHERE EXISTS (SELECT FROM orders o WHERE o."user" = u._id AND o.total > u.n * 15)');
SELECT both_ways('SELECT name FROM users u WHERE EXISTS (SELECT FROM orders o WHERE o."user" = u._id AND o.total > u.n * 15)');
SELECT plan_of('SELECT _id, n FROM users u WHERE NOT EXISTS (SELECT FROM orders o WHERE o."user" = u._id)');
SELECT both_ways('SELECT _id, n FROM users u WHERE NOT EXISTS (SELECT FROM orders o WHERE o."user" = u._id)');
SELECT both_ways('SELECT _id, n FROM users u WHERE NOT EXISTS (SELECT FROM orders o WHERE o."user" = u._id AND o.total > u.n * 15)');
SELECT both_ways('SELECT _id FROM orders WHERE "user" IN (SELECT _id FROM users WHERE name LIKE ''A%'')');

-- Keys of other types: numbers of any type of BSON, dates, and the text of an ObjectId.
SELECT both_ways('SELECT o._id, u._id FROM orders o JOIN users u ON u.n = o.n');
SELECT both_ways('SELECT o._id, u._id FROM orders o LEFT JOIN users u USING (at)');
SELECT plan_of('SELECT o._id, u._id FROM orders o JOIN users u ON u._id::text = o.by');
SELECT both_ways('SELECT o._id, u._id FROM orders o JOIN users u ON u._id::text = o.by');
SELECT both_ways('SELECT o._id, u._id FROM orders o LEFT JOIN users u ON u._id::text = o.by');
EXPLAIN (COSTS OFF) SELECT u._id, o._id FROM users u LEFT JOIN orders o ON u._id::text = o.by;
SELECT both_ways('SELECT u._id, o._id FROM users u LEFT JOIN orders o ON u._id::text = o.by');
-- Text and UUIDs: what is no string, or of subtype 3, is asked for by a find; all is where the inner collection has such values.
SELECT mongo_migrate.run_command('fdw_join', '{"insert": "codes", "documents": [{"_id": "5", "n": 1}, {"_id": "5f0000000000000000000001", "n": 2}, {"_id": "a", "n": 3},
    {"_id": "00112233-4455-6677-8899-aabbccddeeff", "n": 4}]}') ->> 'n' AS inserted;
SELECT mongo_migrate.run_command('fdw_join', '{"insert": "uses", "documents": [{"_id": 1, "code": "a"}, {"_id": 2, "code": 5}, {"_id": 3, "code": {"$oid": "5f0000000000000000000001"}}, {"_id": 4, "code": "A"},
    {"_id": 5, "code": null}, {"_id": 6, "code": {"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "03"}}}, {"_id": 7, "code": {"$numberDecimal": "5.0"}}]}') ->> 'n' AS inserted;
SELECT mongo_migrate.run_command('fdw_join', '{"createIndexes": "uses", "indexes": [{"key": {"code": 1}, "name": "code"}]}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE codes (_id text, n integer) SERVER fdw_join;
SELECT mongo_migrate.run_command('fdw_join', '{"insert": "ids", "documents": [
    {"_id": 1, "four": {"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "04"}}, "any": {"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "03"}}},
    {"_id": 2, "four": {"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAAAA==", "subType": "04"}}, "any": {"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "04"}}}, {"_id": 3}]}') ->> 'n' AS inserted;
SELECT mongo_migrate.run_command('fdw_join', '{"createIndexes": "ids", "indexes": [{"key": {"four": 1}, "name": "four"}, {"key": {"any": 1}, "name": "any"}]}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE uses (_id integer, code text) SERVER fdw_join;
CREATE FOREIGN TABLE ids (_id integer, four uuid, "any" uuid) SERVER fdw_join;
ANALYZE codes, uses, ids;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_nestloop = off;
EXPLAIN (COSTS OFF) SELECT u._id, c.n FROM uses u LEFT JOIN codes c ON c._id = u.code;
SELECT both_ways('SELECT u._id, c.n FROM uses u LEFT JOIN codes c ON c._id = u.code');
SELECT plan_of('SELECT u._id, c.n FROM uses u JOIN codes c ON c._id = u.code AND u.code < c._id || c.n');
SELECT both_ways('SELECT u._id, c.n FROM uses u JOIN codes c ON c._id = u.code AND u.code < c._id || c.n');
SELECT both_ways('SELECT u._id FROM uses u WHERE EXISTS (SELECT FROM codes c WHERE c._id = u.code AND c.n > 1)');
SELECT both_ways('SELECT u._id FROM uses u WHERE NOT EXISTS (SELECT FROM codes c WHERE c._id = u.code)');
SELECT both_ways('SELECT c.n, u._id FROM codes c LEFT JOIN uses u ON c._id = u.code');
EXPLAIN (COSTS OFF) SELECT a._id, b._id FROM ids a LEFT JOIN ids b ON b.four = a."any";
SELECT both_ways('SELECT a._id, b._id FROM ids a LEFT JOIN ids b ON b.four = a."any"');
SELECT both_ways('SELECT a._id, b._id FROM ids a LEFT JOIN ids b ON b."any" = a.four');
RESET enable_hashjoin;
RESET enable_mergejoin;
RESET enable_nestloop;
-- Of several equalities, one is looked up by.
SELECT plan_of('SELECT o._id FROM orders o JOIN users u ON u.n = o.n AND u._id = o."user" AND u.at = o.at');
SELECT both_ways('SELECT o._id FROM orders o JOIN users u ON u.n = o.n AND u._id = o."user" AND u.at = o.at');
-- Paths with an array in their middle are NULL.
SELECT both_ways('SELECT o._id, u._id FROM orders o LEFT JOIN users u ON u._id = o.ref_user');
SELECT plan_of('SELECT u._id FROM users u WHERE EXISTS (SELECT FROM orders o WHERE u._id = o.ref_user)');
SELECT both_ways('SELECT u._id, o._id FROM users u LEFT JOIN orders o ON u._id = o.ref_user');

-- Order and limit are the outer table's.
EXPLAIN (COSTS OFF) SELECT o._id, u.name FROM orders o LEFT JOIN users u ON u._id = o."user" ORDER BY o._id DESC LIMIT 3;
SELECT o._id, u.name FROM orders o LEFT JOIN users u ON u._id = o."user" ORDER BY o._id DESC LIMIT 3;

-- More tables, more levels.
SELECT both_ways('SELECT o._id, u.name, p._id FROM orders o JOIN users u ON u._id = o."user" LEFT JOIN orders p ON p._id = o._id + 1');
SELECT both_ways('SELECT u.name, sum(total) FROM orders o JOIN users u ON u._id = o."user" GROUP BY u.name');
SELECT both_ways('SELECT g, (SELECT count(*) FROM orders o JOIN users u ON u._id = o."user" WHERE o.total > g) FROM generate_series(5, 25, 10) g');
SELECT both_ways('WITH q AS MATERIALIZED (SELECT o._id, u.name FROM orders o LEFT JOIN users u ON u._id = o."user") SELECT * FROM q a JOIN q b USING (name)');
PREPARE of_total(integer) AS SELECT o._id, u.name FROM orders o LEFT JOIN users u ON u._id = o."user" AND u.n < $1 WHERE o.total > $1;
SET plan_cache_mode = force_generic_plan;
EXPLAIN (COSTS OFF) EXECUTE of_total(20);
EXECUTE of_total(20);
EXECUTE of_total(2);
EXECUTE of_total(NULL);
RESET plan_cache_mode;
BEGIN;
DECLARE joined CURSOR FOR SELECT o._id, u.name FROM orders o LEFT JOIN users u ON u._id = o."user" AND u.n > 5;
FETCH 2 FROM joined;
-- What is written meanwhile is not seen.
INSERT INTO orders (_id, "user", total) VALUES (7, '5f0000000000000000000002', 70);
FETCH ALL FROM joined;
SELECT o._id, u.name FROM orders o JOIN users u ON u._id = o."user" WHERE o.total > 20;
ROLLBACK;
INSERT INTO orders (_id, total) SELECT o._id + 100, u.n FROM orders o JOIN users u ON u._id = o."user";
DELETE FROM orders WHERE _id > 100;

-- Not pushed down: types that are equal in more ways than MongoDB knows, and whatever needs rows of the tables.
CREATE FUNCTION pushed_down(query text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    line text;
    pushed boolean := false;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP
        pushed := pushed OR line LIKE '%$lookup%';
    END LOOP;
    RETURN pushed;
END
$$;
CREATE FOREIGN TABLE others (_id uuid, n numeric, name text, at timestamp) SERVER fdw_join OPTIONS (collection 'users');
CREATE FOREIGN TABLE off (_id mongo_migrate.objectid) SERVER fdw_join OPTIONS (collection 'users', enable_join_pushdown 'false');
CREATE VIEW guarded WITH (security_barrier) AS SELECT * FROM users WHERE ok;
SELECT query, pushed_down(query) FROM unnest(ARRAY[
    'SELECT 1 FROM orders o JOIN users u ON u._id = o."user"',
    'SELECT 1 FROM orders o JOIN others u ON u.n = o.n',
    'SELECT 1 FROM users o JOIN others u ON u.at = o.at',
    'SELECT 1 FROM orders o JOIN users u ON u.name = o.by',
    'SELECT 1 FROM orders o JOIN users u ON u.n < o.n',
    'SELECT 1 FROM orders o JOIN users u ON u.ok = (o.n = 1)',
    'SELECT 1 FROM orders o FULL JOIN users u ON u._id = o."user"',
    'SELECT u FROM orders o JOIN users u ON u._id = o."user"',
    'SELECT u.tableoid FROM orders o JOIN users u ON u._id = o."user"',
    'SELECT 1 FROM orders o JOIN users u ON u._id = o."user" AND random() < o.n',
    'SELECT 1 FROM orders o JOIN users u ON u._id = o."user" WHERE (SELECT now() > ''2000-01-01'')',
    'SELECT 1 FROM orders o JOIN users u ON u._id = o."user" FOR UPDATE OF o',
    'UPDATE orders o SET n = 5 FROM users u WHERE u._id = o."user"',
    'SELECT 1 FROM orders o JOIN off u ON u._id = o."user"',
    'SELECT 1 FROM orders o JOIN guarded u ON u._id = o."user"']) AS query;
-- Not where there is no index that serves: nobody has one of ok, a view has none, and one with a collation is none for strings.
SELECT mongo_migrate.run_command('fdw_join', '{"create": "all_users", "viewOn": "users", "pipeline": []}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE all_users (_id mongo_migrate.objectid, ok boolean) SERVER fdw_join;
ANALYZE all_users;
SELECT pushed_down('SELECT 1 FROM orders o LEFT JOIN users u ON u._id = o."user"') AS to_users, pushed_down('SELECT 1 FROM orders o LEFT JOIN all_users u ON u._id = o."user"') AS to_view,
       pushed_down('SELECT 1 FROM users o LEFT JOIN users u ON u.ok = o.ok') AS without;
SELECT mongo_migrate.run_command('fdw_join', '{"createIndexes": "loose", "indexes": [{"key": {"t": 1}, "name": "t", "collation": {"locale": "en"}}, {"key": {"u": "hashed"}, "name": "u"}, {"key": {"n": "hashed"}, "name": "n"}]}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE loose (t text, u uuid, n integer) SERVER fdw_join;
SELECT pushed_down('SELECT 1 FROM loose o LEFT JOIN loose u ON u.t = o.t') AS collated, pushed_down('SELECT 1 FROM loose o LEFT JOIN loose u ON u.u = o.u') AS hashed,
       pushed_down('SELECT 1 FROM loose o LEFT JOIN loose u ON u.n = o.n') AS hashed_integers;
SELECT both_ways('SELECT u._id, o._id FROM all_users u LEFT JOIN orders o ON u._id = o."user"');
SET mongo_migrate.enable_pushdown = off;
SELECT pushed_down('SELECT 1 FROM orders o JOIN users u ON u._id = o."user"');
RESET mongo_migrate.enable_pushdown;
ALTER SERVER fdw_join OPTIONS (ADD enable_join_pushdown 'false');
SELECT pushed_down('SELECT 1 FROM orders o JOIN users u ON u._id = o."user"');
ALTER SERVER fdw_join OPTIONS (SET enable_join_pushdown 'true');

-- Tables that are read as different users are not joined by MongoDB.
CREATE ROLE mm_test_fdw_join;
CREATE USER MAPPING FOR mm_test_fdw_join SERVER fdw_join OPTIONS (password_required 'false');
CREATE VIEW users_of_other AS SELECT * FROM users;
ALTER VIEW users_of_other OWNER TO mm_test_fdw_join;
GRANT SELECT ON users TO mm_test_fdw_join;
SELECT pushed_down('SELECT 1 FROM orders o JOIN users_of_other u ON u._id = o."user"');
SELECT pushed_down('SELECT 1 FROM users_of_other o JOIN users_of_other u ON u._id = o._id');
SELECT count(*) FROM users_of_other o JOIN users_of_other u ON u._id = o._id;
DROP VIEW users_of_other;
REVOKE SELECT ON users FROM mm_test_fdw_join;
DROP USER MAPPING FOR mm_test_fdw_join SERVER fdw_join;
DROP ROLE mm_test_fdw_join;

-- Documents that a table cannot hold are errors that name it, on either side, unless they are left out.
SELECT mongo_migrate.run_command('fdw_join', '{"insert": "bad", "documents": [
    {"_id": 1, "user": {"$oid": "5f0000000000000000000001"}, "n": 1}, {"_id": 2, "user": {"$oid": "5f0000000000000000000002"}, "n": "x"},
    {"_id": 3, "user": [{"$oid": "5f0000000000000000000003"}], "n": 3}, {"_id": 4, "user": {"$minKey": 1}}]}') ->> 'n' AS inserted;
SELECT mongo_migrate.run_command('fdw_join', '{"createIndexes": "bad", "indexes": [{"key": {"user": 1}, "name": "user"}]}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE bad (_id integer, "user" mongo_migrate.objectid, n integer) SERVER fdw_join;
ANALYZE bad;
SELECT b._id, u.name FROM bad b JOIN users u ON u._id = b."user" ORDER BY b._id;
SELECT b._id, b.n FROM bad b JOIN users u ON u._id = b."user" ORDER BY b._id;
SELECT b._id FROM bad b LEFT JOIN users u ON u._id = b."user" WHERE b._id > 2;
SELECT u.name, b.n FROM users u JOIN bad b ON u._id = b."user" WHERE u.n = 1;
SELECT u.name, b.n FROM users u JOIN bad b ON u._id = b."user" WHERE u.n = 2;
SELECT u.name, b._id FROM users u LEFT JOIN bad b ON u._id = b."user" WHERE u.n = 3;

-- A write between two rows of a cursor, which has the rest read ahead: the next outer document is known by then, or has matches that are still to come.
SELECT mongo_migrate.run_command('fdw_join', '{"insert": "kept", "documents": [{"_id": 1, "t": 5}, {"_id": 2, "t": 5}, {"_id": 3, "t": "5"}]}') ->> 'n' AS inserted;
SELECT mongo_migrate.run_command('fdw_join', '{"createIndexes": "kept", "indexes": [{"key": {"t": 1}, "name": "t"}]}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE kept (_id integer, t text) SERVER fdw_join;
ANALYZE kept;
BEGIN;
DECLARE unmatched CURSOR FOR SELECT a._id, b._id FROM kept a LEFT JOIN kept b ON b._id = a._id AND b.t || '' = '6';
DECLARE asked CURSOR FOR SELECT a._id, b._id FROM kept a JOIN kept b ON b.t = a.t;
FETCH 1 FROM unmatched;
FETCH 1 FROM asked;
INSERT INTO kept VALUES (4, '7');
SELECT count(*) FROM kept WHERE _id > 3;
FETCH ALL FROM unmatched;
FETCH ALL FROM asked;
ROLLBACK;
INSERT INTO kept SELECT 10 * a._id + b._id FROM kept a JOIN kept b ON b.t = a.t;
SELECT array_agg(_id ORDER BY _id) FROM kept;

-- Two documents that are too large for one: an error, unless the statistics show it before.
CREATE FOREIGN TABLE large (_id integer, other integer, t text) SERVER fdw_join;
INSERT INTO large SELECT i, i % 2 + 1, repeat('x', 9000000) FROM generate_series(1, 2) i;
SELECT both_ways('SELECT a._id, length(a.t), b._id FROM large a LEFT JOIN large b ON b._id = a.other');
\set VERBOSITY terse
SELECT length(a.t), length(b.t) FROM large a LEFT JOIN large b ON b._id = a.other;
\set VERBOSITY default
ANALYZE large;
SELECT length(a.t), length(b.t) FROM large a LEFT JOIN large b ON b._id = a.other;

-- The genetic search for an order of joins has a memory of its own, which what is known of the tables outlives.
BEGIN;
SET LOCAL geqo_threshold = 2;
SELECT o._id, u.name, u.city, v.n, w.total FROM orders o LEFT JOIN users u ON u._id = o."user" LEFT JOIN users v ON v._id = u._id AND v.ok IS NULL JOIN orders w ON w._id = o._id
 WHERE o.total < 50 AND w.n IS DISTINCT FROM 7 ORDER BY o._id;
SELECT o._id, u.name FROM orders o JOIN users u ON u._id = o.ref_user AND u.at = o.at WHERE u.city = 'Paris' ORDER BY o._id;
ROLLBACK;

SELECT mongo_migrate.run_command('fdw_join', '{"dropDatabase": 1}') ->> 'ok' AS ok;
DROP SERVER fdw_join CASCADE;
DROP FUNCTION both_ways, plan_of, pushed_down;

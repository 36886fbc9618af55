-- What another wrapper of MongoDB is known to get wrong, a section for each area, with the right result here.
SET timezone = 'UTC';
\getenv mongo_uri MONGO_URI
\set VERBOSITY terse
CREATE SERVER fdw_peers FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_fdw_peers');
SELECT mongo_migrate.run_command('fdw_peers', '{"dropDatabase": 1}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_peers', '{"insert": "v", "documents": [
    {"_id": 1, "g": "a", "n": {"$numberInt": "1"}, "t": "b", "address": {"city": "Paris", "zip": "75"}},
    {"_id": 2, "g": "a", "n": null, "t": "B", "address": {"city": "Rome"}},
    {"_id": 3, "g": null, "n": null, "t": "a"},
    {"_id": 4, "t": "Z"},
    {"_id": 5, "g": "b", "n": {"$numberInt": "5"}, "t": "ä", "list": [{"x": 1}, {"x": 2}]}]}') ->> 'n' AS inserted;
SELECT mongo_migrate.run_command('fdw_peers', '{"insert": "types", "documents": [
    {"_id": 1, "d": {"$numberDecimal": "12345678901234567890.123456789"}, "l": {"$numberLong": "9007199254740993"}, "f": {"$numberDouble": "0.1"}},
    {"_id": 2, "big": {"$numberInt": "40000"}, "s": "40000", "i": {"$numberInt": "7"}},
    {"_id": 3, "nul": "a\u0000b", "nan": {"$numberDouble": "NaN"}, "array": ["a", 1, null, "b"]}]}') ->> 'n' AS inserted;
SELECT mongo_migrate.run_command('fdw_peers', '{"create": "empty"}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE v (_id integer, g text, n integer, t text, city text OPTIONS (path 'address.city'), address jsonb,
    second integer OPTIONS (path 'list.1.x'), doc jsonb OPTIONS (path '$')) SERVER fdw_peers;
CREATE FOREIGN TABLE empty (_id integer, n integer) SERVER fdw_peers;

-- Options: unknown ones and a bad uri are refused at once.
ALTER SERVER fdw_peers OPTIONS (ADD app_name_ 'x');
CREATE SERVER fdw_peers_bad FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri 'mongodb://', database 'x');

-- WHERE: IN, LIKE, IS NULL and _id are asked of MongoDB, as conditions that its indexes serve; so are parameters of joins.
EXPLAIN (COSTS OFF) SELECT t FROM v WHERE _id = 3;
EXPLAIN (COSTS OFF) SELECT t FROM v WHERE _id IN (1, 3);
SELECT t FROM v WHERE _id IN (1, 3) ORDER BY _id;
EXPLAIN (COSTS OFF) SELECT _id FROM v WHERE g IS NULL;
SELECT _id FROM v WHERE g IS NULL ORDER BY _id;
SELECT _id FROM v WHERE t LIKE 'a%';
SELECT mongo_migrate.run_command('fdw_peers', '{"explain": {"find": "v", "filter": {"_id": 3}}}')::text ~ 'IDHACK|IXSCAN' AS by_index;
CREATE TEMPORARY TABLE wanted (id integer);
INSERT INTO wanted VALUES (2), (5), (9);
ANALYZE wanted;
EXPLAIN (COSTS OFF) SELECT w.id, x.t FROM wanted w, LATERAL (SELECT t FROM v WHERE v._id = w.id LIMIT 1) x;
SELECT w.id, x.t FROM wanted w, LATERAL (SELECT t FROM v WHERE v._id = w.id LIMIT 1) x;
SELECT w.id, v.t FROM wanted w LEFT JOIN v ON v._id = w.id ORDER BY w.id;

-- ORDER BY, LIMIT: PostgreSQL's order of NULLs, its collations, LIMIT 0
SELECT _id, n FROM v ORDER BY n, _id;
SELECT _id, n FROM v ORDER BY n DESC, _id;
SELECT t FROM v ORDER BY t COLLATE "C";
SELECT t FROM v ORDER BY t COLLATE "en-x-icu";
SELECT _id FROM v LIMIT 0;
SELECT _id FROM v ORDER BY _id LIMIT 2 OFFSET 1;

-- Aggregates: of nothing, of NULLs; null and missing are one group
SELECT count(*), sum(n), max(n) FROM empty;
SELECT count(*) FROM v WHERE _id > 100;
SELECT count(*), count(n), sum(n), sum(n) FILTER (WHERE g = 'a'), count(DISTINCT g) FROM v;
SELECT sum(n), count(n) FROM v WHERE _id IN (2, 3, 4);
SELECT g, count(*), sum(n) FROM v GROUP BY g ORDER BY g;
SELECT g FROM v GROUP BY g HAVING count(*) > 1 ORDER BY g;

-- Joins
SELECT a._id, b._id FROM v a JOIN v b ON a.g = b.g ORDER BY 1, 2;
SELECT a._id, b._id FROM v a LEFT JOIN v b ON a.n = b._id ORDER BY 1, 2;
SELECT a._id FROM v a WHERE EXISTS (SELECT FROM v b WHERE b.n = a._id) ORDER BY 1;
SELECT a._id, x.n FROM v a LEFT JOIN LATERAL (SELECT max(b.n) AS n FROM v b WHERE b._id < a._id) x ON true ORDER BY 1;

-- Writes: an _id of one's own, RETURNING, COPY, ON CONFLICT, TRUNCATE; numbers are kept digit by digit
CREATE FOREIGN TABLE w (_id integer, j json, n numeric, l bigint) SERVER fdw_peers;
INSERT INTO w VALUES (7, '{"big": 12345678901, "exact": 0.12345678901234567890}', 1234567890123456789.0123456789, 9007199254740993) RETURNING _id, n;
INSERT INTO w VALUES (7, NULL, 0, 0) ON CONFLICT DO NOTHING;
COPY w (_id, n) FROM STDIN;
8	0.1
9	\N
\.
SELECT * FROM w ORDER BY _id;
SELECT mongo_migrate.find_documents('fdw_peers', 'w', '{}', '{"sort": {"_id": 1}}', 'canonical');
TRUNCATE w;
SELECT count(*) FROM w;

-- Types: exact, or an error
CREATE FOREIGN TABLE types (_id integer, d numeric, l numeric, f numeric, i integer) SERVER fdw_peers;
SELECT * FROM types ORDER BY _id;
CREATE FOREIGN TABLE short (_id integer, big smallint) SERVER fdw_peers OPTIONS (collection 'types');
SELECT big FROM short;
CREATE FOREIGN TABLE other (_id integer, s integer) SERVER fdw_peers OPTIONS (collection 'types');
SELECT s FROM other;
CREATE FOREIGN TABLE as_text (_id integer, i text, d text, nul text) SERVER fdw_peers OPTIONS (collection 'types');
SELECT i, d FROM as_text ORDER BY _id;
SELECT nul FROM as_text;
CREATE FOREIGN TABLE elements (_id integer, "array" text[], as_json jsonb OPTIONS (path 'array')) SERVER fdw_peers OPTIONS (collection 'types');
SELECT "array" FROM elements;
SELECT as_json FROM elements WHERE _id = 3;
CREATE FOREIGN TABLE integers (_id integer, "array" integer[]) SERVER fdw_peers OPTIONS (collection 'types');
SELECT "array" FROM integers;
CREATE FOREIGN TABLE nans (_id integer, nan jsonb, plain jsonb OPTIONS (path 'nan', extended_json 'plain'), f float8 OPTIONS (path 'nan'),
    n numeric OPTIONS (path 'nan'), i integer OPTIONS (path 'nan')) SERVER fdw_peers OPTIONS (collection 'types');
SELECT nan, plain, f, n FROM nans WHERE _id = 3;
SELECT i FROM nans;

-- Nested: array positions, and columns beside the whole document
SELECT second FROM v WHERE second IS NOT NULL;
SELECT _id, city, address, doc -> 'address' = address AS same, doc ->> 't' = t AS also FROM v WHERE _id <= 2 ORDER BY _id;

-- Schema: import
CREATE SCHEMA fdw_peers_imported;
IMPORT FOREIGN SCHEMA mm_test_fdw_peers LIMIT TO (v) FROM SERVER fdw_peers INTO fdw_peers_imported;
SELECT _id, n FROM fdw_peers_imported.v ORDER BY _id LIMIT 1;

-- EXPLAIN: the command; scan: the fields that are needed, and no others
EXPLAIN (COSTS OFF) SELECT g FROM v WHERE n > 1;

SET client_min_messages = warning;
DROP SCHEMA fdw_peers_imported CASCADE;
DROP SERVER fdw_peers CASCADE;
DROP TABLE wanted;

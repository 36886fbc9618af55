-- Columns of foreign tables: paths through documents and arrays, whole documents, arrays, modes of Extended JSON.
-- What each BSON type becomes is the converters' test.
\getenv mongo_uri MONGO_URI
CREATE SERVER fdw_types FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_fdw_types');
SELECT mongo_migrate.run_command('fdw_types', '{"dropDatabase": 1}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_types', '{"insert": "docs", "documents": [
    {"_id": {"shop": 1, "no": 7}, "customer": {"name": {"first": "Ada", "last": "L"}, "$ref": "x", "0": "zero"},
     "items": [{"sku": "a", "qty": 2, "tags": ["x", "y"]}, {"sku": "b", "qty": 3}], "grid": [[1, 2], [3, 4]],
     "at": {"$date": "2024-02-29T12:00:00.123Z"}, "price": {"$numberDecimal": "12.50"}, "scores": [1, null, 3]},
    {"_id": {"shop": 1, "no": 8}, "customer": [{"name": {"first": "in an array"}}], "items": {"0": {"sku": "by key"}},
     "grid": [], "price": 12.5, "scores": []},
    {"_id": {"shop": 2, "no": 1}, "customer": "no document", "items": [], "grid": null, "price": 12, "": "empty", "scores": null},
    {"_id": {"shop": 2, "no": 2}, "customer": {"name": null}, "items": [null, {"sku": "second"}], "a.b": {"c.d": 1}, "$": "dollar",
     "price": {"$numberLong": "9223372036854775807"}}]}') ->> 'n' AS inserted;

CREATE FOREIGN TABLE docs
(
    _id      jsonb,
    no       integer OPTIONS (path '_id.no'),
    first    text OPTIONS (path 'customer.name.first'),
    zero     jsonb OPTIONS (path 'customer.0'),
    ref      text OPTIONS (path 'customer.$ref'),
    sku0     text OPTIONS (path 'items.0.sku'),
    sku1     text OPTIONS (path 'items.1.sku'),
    tag      text OPTIONS (path 'items.0.tags.1'),
    cell     integer OPTIONS (path 'grid.1.0'),
    dotted   integer OPTIONS (path 'a\.b.c\.d'),
    dollar   text OPTIONS (path '\$'),
    price    numeric,
    at       timestamptz
) SERVER fdw_types;
SELECT no, first, zero, ref, sku0, sku1, tag, cell, dotted, dollar, price FROM docs ORDER BY _id;
SELECT _id FROM docs WHERE no = 8 AND (_id ->> 'shop')::integer = 1;
-- Positions in arrays, and field names that MongoDB cannot name, are left to PostgreSQL.
EXPLAIN (COSTS OFF) SELECT no FROM docs WHERE sku0 = 'a' AND dotted = 1 AND dollar = 'dollar' AND ref = 'x';
SELECT no FROM docs WHERE sku0 = 'a';
SELECT no FROM docs WHERE sku1 = 'second';
SELECT no FROM docs WHERE sku0 IS NULL ORDER BY no;
SELECT no FROM docs WHERE cell = 3;
SELECT no FROM docs WHERE dotted = 1;
SELECT no FROM docs WHERE dollar = 'dollar';
SELECT no FROM docs WHERE ref = 'x';
SELECT no FROM docs WHERE first IS NULL ORDER BY no;

-- Whole values: documents and arrays as jsonb and json, arrays as arrays.
CREATE FOREIGN TABLE whole
(
    no       integer OPTIONS (path '_id.no'),
    customer jsonb,
    items    json,
    grid     integer[],
    scores   integer[],
    at       json,
    price    jsonb
) SERVER fdw_types OPTIONS (collection 'docs');
SELECT no, customer FROM whole ORDER BY no;
SELECT no, items FROM whole ORDER BY no;
SELECT no, grid, scores FROM whole ORDER BY no;
SELECT no, at, price FROM whole ORDER BY no;
-- Of an array, MongoDB is asked for its length and its elements.
EXPLAIN (COSTS OFF) SELECT no FROM whole WHERE scores IS NOT NULL AND scores = '{1,NULL,3}';
SELECT no FROM whole WHERE scores IS NOT NULL ORDER BY no;
SELECT no FROM whole WHERE scores IS NULL ORDER BY no;
SELECT no FROM whole WHERE 3 = ANY (scores);

-- Modes of Extended JSON: of the server, of the table, of a column.
CREATE FOREIGN TABLE modes
(
    relaxed   jsonb OPTIONS (path '$'),
    canonical jsonb OPTIONS (path '$', extended_json 'canonical'),
    plain     jsonb OPTIONS (path '$', extended_json 'plain')
) SERVER fdw_types OPTIONS (collection 'docs');
SELECT relaxed -> 'at' AS relaxed, canonical -> 'at' AS canonical, plain -> 'at' AS plain FROM modes LIMIT 1;
SELECT relaxed -> 'price' AS relaxed, canonical -> 'price' AS canonical, plain -> 'price' AS plain FROM modes;
ALTER FOREIGN TABLE modes OPTIONS (ADD extended_json 'plain');
SELECT relaxed -> 'price' AS table_is_plain FROM modes LIMIT 1;
ALTER FOREIGN TABLE modes OPTIONS (DROP extended_json);
ALTER SERVER fdw_types OPTIONS (ADD extended_json 'canonical');
SELECT relaxed -> 'price' AS server_is_canonical FROM modes LIMIT 1;
ALTER SERVER fdw_types OPTIONS (DROP extended_json);

-- Domains, enums, varchar(n) and numeric(p,s): values that fit.
CREATE DOMAIN regress_sku AS text CHECK (value ~ '^[a-z ]+$');
CREATE TYPE regress_first AS ENUM ('Ada', 'Grace');
CREATE FOREIGN TABLE checked
(
    no     integer OPTIONS (path '_id.no'),
    sku    regress_sku OPTIONS (path 'items.0.sku'),
    first  regress_first OPTIONS (path 'customer.name.first'),
    short  varchar(6) OPTIONS (path 'items.0.sku'),
    price  numeric(21,2)
) SERVER fdw_types OPTIONS (collection 'docs');
SELECT * FROM checked ORDER BY no, sku;
EXPLAIN (COSTS OFF) SELECT no FROM checked WHERE sku = 'a' AND first = 'Ada' AND short = 'a' AND price = 12.50;
SELECT no FROM checked WHERE sku = 'a' AND first = 'Ada' AND short = 'a' AND price = 12.50;

-- A domain whose check fails with an error of its own: that is the query's, and the transaction is as it should be.
SELECT mongo_migrate.run_command('fdw_types', '{"insert": "divisors", "documents": [{"_id": 1, "d": 2}, {"_id": 2, "d": 0}]}') ->> 'n' AS inserted;
CREATE DOMAIN regress_divisor AS integer CHECK (100 / VALUE > 0);
CREATE FOREIGN TABLE divisors (_id integer, d regress_divisor) SERVER fdw_types;
SELECT * FROM divisors;
SELECT * FROM divisors WHERE _id = 1;
CREATE TABLE caught (text text);
BEGIN;
DO $$
BEGIN
    INSERT INTO caught VALUES ('before');
    BEGIN
        INSERT INTO caught VALUES ('undone');
        PERFORM * FROM divisors;
    EXCEPTION WHEN division_by_zero THEN
        INSERT INTO caught VALUES (SQLERRM);
    END;
END
$$;
COMMIT;
SELECT text FROM caught;
DROP TABLE caught;

-- A domain whose check writes to MongoDB, in the midst of a document.
CREATE FOREIGN TABLE noted (_id integer, t text) SERVER fdw_types;
CREATE FUNCTION regress_note(integer) RETURNS boolean LANGUAGE plpgsql AS
    'BEGIN IF $1 = 2 THEN INSERT INTO noted VALUES ($1, ''seen''); END IF; RETURN true; END';
CREATE DOMAIN regress_noted AS integer CHECK (regress_note(VALUE));
CREATE FOREIGN TABLE noting (_id integer, n regress_noted, t text) SERVER fdw_types OPTIONS (fetch_size '3');
INSERT INTO noting SELECT i, NULL, repeat('x', 30) || i FROM generate_series(1, 5) i;
SELECT mongo_migrate.run_command('fdw_types', '{"update": "noting", "updates": [{"q": {}, "u": [{"$set": {"n": "$_id"}}, {"$set": {"t": "$t"}}], "multi": true}]}') ->> 'nModified' AS modified;
SELECT * FROM noting;
SELECT * FROM noted;

SELECT mongo_migrate.run_command('fdw_types', '{"dropDatabase": 1}') ->> 'ok' AS ok;
DROP SERVER fdw_types CASCADE;
DROP DOMAIN regress_sku, regress_divisor, regress_noted;
DROP FUNCTION regress_note;
DROP TYPE regress_first;

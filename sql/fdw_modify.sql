-- Writing to foreign tables: what is written, what comes back, what is refused.
SET timezone = 'UTC';
\getenv mongo_uri MONGO_URI
CREATE SERVER fdw_modify FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_fdw_modify');
SELECT mongo_migrate.run_command('fdw_modify', '{"dropDatabase": 1}') ->> 'ok' AS ok;
-- The documents of a collection as they are, by libbson's own printer
CREATE FUNCTION documents(collection text, filter json DEFAULT '{}') RETURNS SETOF json LANGUAGE sql
    AS $$ SELECT mongo_migrate.find_documents('fdw_modify', collection, filter, '{"sort": {"n": 1, "_id": 1}}', 'canonical') $$;

CREATE FOREIGN TABLE people
(
    _id    mongo_migrate.objectid,
    n      integer,
    name   text,
    city   text OPTIONS (path 'address.city'),
    zip    text OPTIONS (path 'address.zip'),
    phone  text OPTIONS (null_as 'null'),
    amount numeric(10,2),
    owner  text OPTIONS (bson_type 'objectId'),
    at     timestamptz(3),
    tags   text[],
    friend text OPTIONS (path 'friends.1.name'),
    address json,
    friends jsonb,
    doc    json OPTIONS (path '$', extended_json 'canonical')
) SERVER fdw_modify;

-- INSERT: the given _id or a new ObjectId, sub-documents, NULL left out or null
INSERT INTO people (_id, n, name, city, zip, amount, owner, at, tags) VALUES
    ('6b0489aa0000000000000001', 1, 'Ada', 'London', 'W1', 12.3, '6b0489aa00000000000000ff', '2024-02-29 12:34:56.7894+00', '{a,NULL,b}');
INSERT INTO people (_id, n, name, phone) VALUES ('6b0489aa0000000000000002', 2, 'Blaise', '555');
SELECT documents('people');
INSERT INTO people (n, name) VALUES (3, 'Carl'), (4, 'Dora') RETURNING n, length(_id::text), name, phone, amount;
INSERT INTO people (_id, n, friends) VALUES ('6b0489aa0000000000000005', 5, '[{"name": "Sophie"}, {"name": "Wilhelm"}]') RETURNING friend, doc;
INSERT INTO people (doc) VALUES ('{"_id": {"$oid": "6b0489aa0000000000000006"}, "n": 6, "x": {"$numberLong": "1"}, "ø": 1.0}') RETURNING n, doc;
INSERT INTO people (doc) VALUES ('{"n": 7}') RETURNING length(_id::text);
SELECT documents('people', '{"n": {"$gte": 5, "$lt": 7}}');
-- What is refused
INSERT INTO people (doc, name) VALUES ('{"n": 7}', 'x');
INSERT INTO people (address, zip) VALUES ('{"city": "x"}', 'z');
INSERT INTO people (friend) VALUES ('x');
INSERT INTO people (doc) VALUES ('[1]');
INSERT INTO people (owner) VALUES ('nobody');
INSERT INTO people (doc) VALUES ('{"x": {"$oid": "1"}}');
INSERT INTO people (_id, name) VALUES ('6b0489aa0000000000000001', 'Ada again');
CREATE FOREIGN TABLE numbered (_id integer, n integer, doc json OPTIONS (path '$')) SERVER fdw_modify;
INSERT INTO numbered (n) VALUES (1);
INSERT INTO numbered (doc) VALUES ('{"n": 1}');
INSERT INTO people (n, name) SELECT 100, 'many' UNION ALL SELECT 100, 'x' UNION ALL SELECT 1 / 0, 'y';
SELECT count(*) FROM people WHERE n >= 100 OR name LIKE '%again';

-- ON CONFLICT DO NOTHING: by _id, within the statement too
INSERT INTO people (_id, n) VALUES ('6b0489aa0000000000000001', 200), ('6b0489aa00000000000000c8', 200), ('6b0489aa00000000000000c8', 201), (NULL, 200)
    ON CONFLICT DO NOTHING;
INSERT INTO people (_id, n) VALUES ('6b0489aa00000000000000c8', 200) ON CONFLICT DO NOTHING RETURNING n;
INSERT INTO people (_id, n) VALUES ('6b0489aa00000000000000c9', 200) ON CONFLICT DO NOTHING RETURNING n;
INSERT INTO people (_id, n) VALUES ('6b0489aa00000000000000c8', 200) ON CONFLICT (_id) DO NOTHING;
INSERT INTO people (_id, n) VALUES ('6b0489aa00000000000000c8', 200) ON CONFLICT (_id) DO UPDATE SET n = 1;
SELECT n, count(*) FROM people WHERE n >= 200 GROUP BY n;
DELETE FROM people WHERE n >= 200;

-- UPDATE: what is set and no other, in its sub-document, in its place
EXPLAIN (VERBOSE, COSTS OFF) UPDATE people SET name = upper(name) WHERE n = 1;
UPDATE people SET name = upper(name), zip = NULL, phone = NULL WHERE n = 1;
UPDATE people SET city = 'Paris' WHERE n = 2;
UPDATE people SET friend = 'Bill' WHERE n = 5 RETURNING friends;
UPDATE people SET friend = NULL WHERE n IN (1, 5) RETURNING n, friends;
UPDATE people SET friend = 'Bill' WHERE n = 1;
UPDATE people SET doc = '{"n": 6, "y": {"$numberDecimal": "1.50"}}' WHERE n = 6;
UPDATE people p SET amount = v.amount FROM (VALUES (3, 1.5), (4, 2.5)) v (n, amount) WHERE p.n = v.n RETURNING p.n, p.amount, v.amount;
SELECT n, name, doc::jsonb - '_id' AS doc FROM people ORDER BY n, name;
UPDATE people SET address = '{"city": {"$symbol": "x"}}' WHERE n = 2;
SELECT documents('people', '{"n": 2}');
-- What is refused
UPDATE people SET _id = '6b0489aa0000000000000009' WHERE n = 1;
UPDATE people SET address = '{}', city = 'x' WHERE n = 1;
UPDATE people SET doc = '{}', name = 'x' WHERE n = 1;
UPDATE people SET doc = NULL WHERE n = 1;
UPDATE people SET doc = '{"$set": {"a": 1}}' WHERE n = 1;
UPDATE people SET doc = '{"_id": 5}' WHERE n = 1;
UPDATE people SET owner = 'nobody' WHERE n = 1;
UPDATE people SET address = '5' WHERE n = 1;
UPDATE people SET city = 'nowhere' WHERE n = 1;
SELECT n, address FROM people WHERE n = 1;

-- DELETE
DELETE FROM people WHERE n = 6 RETURNING n, doc::jsonb - '_id' AS doc;
DELETE FROM people WHERE n > 3;
DELETE FROM people WHERE false;
SELECT n, name FROM people ORDER BY n;

-- A statement does not see what it writes: documents that move in the index that is read, copies of themselves
SELECT mongo_migrate.run_command('fdw_modify', '{"createIndexes": "numbers", "indexes": [{"key": {"n": 1}, "name": "n"}]}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE numbers (_id bigint, n bigint, t text) SERVER fdw_modify OPTIONS (fetch_size '10', batch_size '7');
INSERT INTO numbers SELECT i, i, 'x' FROM generate_series(1, 100) i;
UPDATE numbers SET n = n + 10 WHERE n > 0;
SELECT count(*), sum(n) FROM numbers;
INSERT INTO numbers SELECT _id + 100, n FROM numbers;
SELECT count(*), sum(n) FROM numbers;
DELETE FROM numbers a USING numbers b WHERE a._id = b._id + 100;
SELECT count(*), sum(n) FROM numbers;
DO $$
DECLARE
    r record;
BEGIN
    FOR r IN SELECT _id FROM numbers WHERE n > 0 ORDER BY _id LOOP
        UPDATE numbers SET n = n + 1000 WHERE _id = r._id AND n < 1000;
    END LOOP;
END
$$;
SELECT count(*), sum(n) FROM numbers;
-- Later statements, and functions, see what was written before
WITH w AS (UPDATE numbers SET n = 0 WHERE _id <= 3 RETURNING _id) SELECT count(*) FROM w;
SELECT count(*) FROM numbers WHERE n = 0;
CREATE FUNCTION zeros() RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT count(*) FROM numbers WHERE n = -1); END $$;
UPDATE numbers SET n = -1 WHERE _id <= 3 AND zeros() < 100;
SELECT zeros();

-- The row identity, by type: numbers that are equal, text that stands for ObjectIds, compound keys
SELECT mongo_migrate.run_command('fdw_modify', '{"insert": "keys", "documents": [{"_id": 1, "v": 1}, {"_id": 2.0, "v": 1}, {"_id": 3.5, "v": 1},
    {"_id": {"$numberDecimal": "4.50"}, "v": 1}, {"_id": {"$oid": "6b0489aa0000000000000001"}, "v": 2}, {"_id": "text", "v": 2},
    {"_id": {"$date": "2024-02-29T00:00:00Z"}, "v": 3}, {"_id": {"b": 1, "a": [1, 2]}, "v": 4}, {"_id": {"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "03"}}, "v": 5}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE key_numbers (_id numeric, v integer) SERVER fdw_modify OPTIONS (collection 'keys');
CREATE FOREIGN TABLE key_texts (_id text, v integer) SERVER fdw_modify OPTIONS (collection 'keys');
CREATE FOREIGN TABLE key_dates (_id timestamptz, v integer) SERVER fdw_modify OPTIONS (collection 'keys');
CREATE FOREIGN TABLE key_json (_id json, v integer) SERVER fdw_modify OPTIONS (collection 'keys');
CREATE FOREIGN TABLE key_jsonb (_id jsonb, v integer) SERVER fdw_modify OPTIONS (collection 'keys');
CREATE FOREIGN TABLE key_plain (_id json OPTIONS (extended_json 'plain'), v integer) SERVER fdw_modify OPTIONS (collection 'keys');
CREATE FOREIGN TABLE key_uuids (_id uuid, v integer) SERVER fdw_modify OPTIONS (collection 'keys');
CREATE FOREIGN TABLE key_none (v integer) SERVER fdw_modify OPTIONS (collection 'keys');
UPDATE key_numbers SET v = 10 WHERE v = 1;
UPDATE key_texts SET v = 20 WHERE v = 2;
UPDATE key_dates SET v = 30 WHERE v = 3;
UPDATE key_json SET v = 40 WHERE v = 4;
UPDATE key_uuids SET v = 50 WHERE v = 5 RETURNING *;
UPDATE key_jsonb SET v = 60 WHERE v = 40;
UPDATE key_plain SET v = 60 WHERE v = 40;
DELETE FROM key_plain WHERE v = 20;
UPDATE key_none SET v = 60;
DELETE FROM key_none;
INSERT INTO key_none VALUES (70) RETURNING v;
SELECT v, count(*) FROM key_none GROUP BY v ORDER BY v;
-- Two documents with one text
INSERT INTO key_texts VALUES ('6b0489aa0000000000000001', 21);
UPDATE key_texts SET v = 22 WHERE v = 21;
UPDATE key_texts SET v = 22 WHERE v = 20 RETURNING v;
DELETE FROM key_texts WHERE v = 20 RETURNING v;
CREATE FOREIGN TABLE key_documents (_id text, v integer, first integer OPTIONS (path 'a.0'), doc json OPTIONS (path '$')) SERVER fdw_modify OPTIONS (collection 'keys');
UPDATE key_documents SET doc = '{"v": 22}' WHERE v = 20;
UPDATE key_documents SET first = 22 WHERE v = 20;
-- An _id that is null, a field that is two columns, and one that $set cannot name.
SELECT mongo_migrate.run_command('fdw_modify', '{"insert": "keys", "documents": [{"_id": null, "v": 8}]}') ->> 'n' AS inserted;
UPDATE key_numbers SET v = 9 WHERE v = 8 RETURNING *;
DELETE FROM key_texts WHERE v = 9;
CREATE FOREIGN TABLE twins (_id integer, a integer OPTIONS (path 'n'), b integer OPTIONS (path 'n'), dotted integer OPTIONS (path 'x\.y')) SERVER fdw_modify;
INSERT INTO twins VALUES (1, 2, 3);
INSERT INTO twins (_id, b, dotted) VALUES (1, 3, 4) RETURNING *;
UPDATE twins SET dotted = 5;
SELECT v, count(*) FROM key_none GROUP BY v ORDER BY v;

-- COPY, partitions, triggers, generated columns, defaults, checks of views
COPY people (n, name, city) FROM stdin;
10	Emmy	Erlangen
11	Fermat	\N
\.
SELECT n, name, city FROM people WHERE n >= 10 ORDER BY n;
CREATE TABLE events (_id bigint, kind text) PARTITION BY LIST (kind);
CREATE TABLE events_local PARTITION OF events FOR VALUES IN ('local');
CREATE FOREIGN TABLE events_mongo PARTITION OF events FOR VALUES IN ('mongo') SERVER fdw_modify OPTIONS (collection 'events', batch_size '2');
INSERT INTO events SELECT i, CASE i % 2 WHEN 0 THEN 'local' ELSE 'mongo' END FROM generate_series(1, 7) i;
INSERT INTO events VALUES (8, 'mongo') RETURNING tableoid::regclass, *;
UPDATE events SET _id = _id + 10 WHERE kind = 'local';
UPDATE events SET kind = 'mongo' WHERE _id = 12;
UPDATE events SET kind = 'mongo' WHERE _id > 3;
DELETE FROM events WHERE _id IN (1, 14);
SELECT tableoid::regclass, array_agg(_id ORDER BY _id) FROM events GROUP BY 1 ORDER BY 1::text;
CREATE FOREIGN TABLE events_other PARTITION OF events FOR VALUES IN ('other') SERVER fdw_modify OPTIONS (batch_size '1');
INSERT INTO events VALUES (20, 'mongo'), (21, 'other');
INSERT INTO events SELECT _id + 100, 'other' FROM events WHERE _id > (SELECT 10);
SELECT tableoid::regclass, array_agg(_id ORDER BY _id) FROM events WHERE _id > 10 GROUP BY 1 ORDER BY 1;
CREATE FOREIGN TABLE events_read (_id bigint, kind text) SERVER fdw_modify OPTIONS (collection 'events_other');
INSERT INTO events SELECT g, 'other' FROM generate_series(1001, 3000) g;
ANALYZE events_read;
CREATE TABLE wanted AS SELECT g AS id FROM generate_series(1, 6) g;
ANALYZE wanted;
BEGIN;
INSERT INTO events SELECT 3000 + id, 'other' FROM wanted JOIN events_read ON _id = 2999 + id;
SELECT count(*) FROM events WHERE _id > 3000;
WITH d AS (DELETE FROM events WHERE _id > 2995 RETURNING _id) SELECT count(*), count(events_read._id) FROM d LEFT JOIN events_read USING (_id);
ROLLBACK;
DROP TABLE wanted;
-- A row that would belong to another partition would be found there only.
BEGIN;
INSERT INTO events VALUES (40, 'mongo'), (41, 'local');
SAVEPOINT a;
UPDATE events SET kind = 'other' WHERE kind = 'mongo';
ROLLBACK TO a;
UPDATE events SET kind = 'local' WHERE _id = 40;
ROLLBACK TO a;
UPDATE events_mongo SET kind = 'other' WHERE _id = 40 RETURNING *;
ROLLBACK TO a;
INSERT INTO events_mongo VALUES (42, 'other');
ROLLBACK TO a;
COPY events_mongo FROM stdin;
42	other
\.
ROLLBACK TO a;
UPDATE events SET kind = 'mongo' WHERE kind = 'mongo';
INSERT INTO events_mongo VALUES (42, 'mongo');
SELECT tableoid::regclass, kind FROM events WHERE _id >= 40 AND _id < 50 ORDER BY _id;
ROLLBACK;
-- Row security of the partitioned table says what may be written, too.
CREATE ROLE regress_mm_policed;
GRANT ALL ON events TO regress_mm_policed;
CREATE USER MAPPING FOR regress_mm_policed SERVER fdw_modify OPTIONS (password_required 'false');
ALTER TABLE events ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON events USING (_id >= 40) WITH CHECK (_id < 50);
INSERT INTO events VALUES (40, 'mongo'), (60, 'mongo'), (61, 'local');
SET ROLE regress_mm_policed;
INSERT INTO events VALUES (50, 'mongo');
INSERT INTO events VALUES (50, 'mongo') ON CONFLICT DO NOTHING;
UPDATE events SET kind = 'mongo' WHERE kind = 'mongo';
UPDATE events SET kind = 'mongo' WHERE kind = 'local' AND _id = 61;
BEGIN;
UPDATE events SET kind = 'mongo' WHERE _id = 40 RETURNING *;
INSERT INTO events VALUES (41, 'mongo');
DELETE FROM events WHERE kind = 'mongo';
ROLLBACK;
RESET ROLE;
DELETE FROM events WHERE _id IN (40, 60, 61);
DROP USER MAPPING FOR regress_mm_policed SERVER fdw_modify;
DROP POLICY seen ON events;
ALTER TABLE events DISABLE ROW LEVEL SECURITY;
REVOKE ALL ON events FROM regress_mm_policed;
DROP ROLE regress_mm_policed;
CREATE FUNCTION change_kind() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.kind := ''other''; RETURN NEW; END';
CREATE TRIGGER change_kind BEFORE INSERT OR UPDATE ON events_mongo FOR EACH ROW EXECUTE FUNCTION change_kind();
INSERT INTO events VALUES (43, 'mongo');
UPDATE events SET kind = 'mongo' WHERE kind = 'mongo';
DROP TABLE events;
DROP FUNCTION change_kind;

CREATE FOREIGN TABLE items (_id integer, price numeric NOT NULL DEFAULT 1, quantity integer, total numeric GENERATED ALWAYS AS (price * quantity) STORED, note text) SERVER fdw_modify;
INSERT INTO items (_id, quantity) VALUES (1, 3), (2, 5);
UPDATE items SET quantity = 4 WHERE _id = 1 RETURNING total, xmin, xmax, cmin, tableoid::regclass;
SELECT documents('items');
CREATE FUNCTION item_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE NOTICE '% % old % new %', TG_WHEN, TG_OP, CASE WHEN TG_OP <> 'INSERT' THEN OLD END, CASE WHEN TG_OP <> 'DELETE' THEN NEW END;
    IF TG_WHEN = 'AFTER' THEN RETURN NULL; END IF;
    IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
    NEW.note := 'by trigger';
    RETURN NEW;
END
$$;
CREATE TRIGGER b BEFORE INSERT OR UPDATE OR DELETE ON items FOR EACH ROW EXECUTE FUNCTION item_trigger();
CREATE TRIGGER a AFTER INSERT OR UPDATE OR DELETE ON items FOR EACH ROW EXECUTE FUNCTION item_trigger();
INSERT INTO items (_id, quantity) VALUES (3, 1);
UPDATE items SET quantity = 6 WHERE _id = 2;
DELETE FROM items WHERE _id = 2;
SELECT documents('items');
DROP TRIGGER a ON items;
DROP TRIGGER b ON items;
-- Parts of a statement that hold rows back write one after the other.
CREATE FOREIGN TABLE parts (_id integer, n integer) SERVER fdw_modify;
INSERT INTO parts VALUES (1, 1), (2, 2);
\set VERBOSITY terse
WITH d AS (DELETE FROM parts WHERE n + 0 = 1) INSERT INTO parts VALUES (1, 3);
\set VERBOSITY default
WITH i AS (INSERT INTO parts VALUES (3, 3)) UPDATE parts SET n = n + 1 WHERE n + 0 > 0;
SELECT * FROM parts ORDER BY _id;
DROP FOREIGN TABLE parts;
-- A path through what is no document
SELECT mongo_migrate.run_command('fdw_modify', '{"insert": "shapes", "documents": [{"_id": 1, "a": null}, {"_id": 2, "a": {}}, {"_id": 3}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE shapes (_id integer, b integer OPTIONS (path 'a.b')) SERVER fdw_modify;
UPDATE shapes SET b = 1;
UPDATE shapes SET b = NULL;
UPDATE shapes SET b = _id WHERE _id > 1;
SELECT documents('shapes');
-- What a trigger of a statement writes comes after what that wrote.
CREATE FOREIGN TABLE kept (_id integer, n integer) SERVER fdw_modify;
INSERT INTO kept VALUES (1, 1), (2, 2);
CREATE FUNCTION insert_again() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO kept VALUES (1, 10); RETURN NULL; END';
CREATE TRIGGER insert_again AFTER DELETE ON kept FOR EACH STATEMENT EXECUTE FUNCTION insert_again();
DELETE FROM kept USING (VALUES (1), (2)) AS v (id) WHERE _id = id;
SELECT * FROM kept;
DROP FOREIGN TABLE kept;
DROP FUNCTION insert_again;
CREATE VIEW cheap AS SELECT _id, price, quantity FROM items WHERE price < 10 WITH CHECK OPTION;
INSERT INTO cheap VALUES (4, 5, 1);
INSERT INTO cheap VALUES (5, 50, 1);
UPDATE cheap SET price = 20 WHERE _id = 4;
UPDATE cheap SET price = 6 WHERE _id = 4;
SELECT * FROM cheap ORDER BY _id;

-- TRUNCATE, and options that refuse
TRUNCATE items;
SELECT count(*) FROM items;
ALTER FOREIGN TABLE items OPTIONS (ADD truncatable 'false', ADD updatable 'false');
TRUNCATE items;
INSERT INTO items (_id, quantity) VALUES (1, 3);
UPDATE items SET quantity = 3;
DELETE FROM items;
SELECT is_insertable_into FROM information_schema.tables WHERE table_name = 'items';
ALTER FOREIGN TABLE people OPTIONS (ADD batch_size '0');
ALTER FOREIGN TABLE people ALTER COLUMN n OPTIONS (ADD bson_type 'number');
ALTER FOREIGN TABLE people ALTER COLUMN n OPTIONS (ADD bson_type 'bool');
INSERT INTO people (n) VALUES (1);
ALTER FOREIGN TABLE people ALTER COLUMN n OPTIONS (SET bson_type 'long');
INSERT INTO people (_id, n) VALUES ('6b0489aa000000000000000a', 12);
SELECT documents('people', '{"n": 12}');
ALTER SERVER fdw_modify OPTIONS (ADD write_concern '0');
ALTER SERVER fdw_modify OPTIONS (ADD write_concern '4294967297');
ALTER SERVER fdw_modify OPTIONS (ADD write_concern 'majority');
DELETE FROM people;
SELECT count(*) FROM people;
-- NULL by the option of the column, else the table's, else the server's; in sub-documents and direct updates too
CREATE FOREIGN TABLE nulls (_id integer, n integer, a text, b text OPTIONS (null_as 'unset'), c text OPTIONS (path 'sub.c'), d text OPTIONS (path 'sub.d', null_as 'null')) SERVER fdw_modify;
INSERT INTO nulls VALUES (1, 1);
ALTER SERVER fdw_modify OPTIONS (ADD null_as 'null');
INSERT INTO nulls VALUES (2, 2);
ALTER FOREIGN TABLE nulls OPTIONS (ADD null_as 'unset');
INSERT INTO nulls VALUES (3, 3);
INSERT INTO nulls VALUES (4, 4, 'a', 'b', 'c', 'd');
UPDATE nulls SET a = NULL, b = NULL, c = NULL, d = NULL WHERE n = 4;
SELECT documents('nulls');
ALTER FOREIGN TABLE nulls OPTIONS (SET null_as 'null');
UPDATE nulls SET a = NULL, b = NULL WHERE n >= 3;
SELECT documents('nulls');
ALTER FOREIGN TABLE nulls OPTIONS (SET null_as 'none');
ALTER SERVER fdw_modify OPTIONS (DROP null_as);
-- A validator of the collection says no
SELECT mongo_migrate.run_command('fdw_modify', '{"collMod": "people", "validator": {"name": {"$type": "string"}}}') ->> 'ok' AS ok;
INSERT INTO people (_id, n) VALUES ('6b0489aa0000000000000001', 12);

-- So does a view of MongoDB
SELECT mongo_migrate.run_command('fdw_modify', '{"create": "people_view", "viewOn": "people", "pipeline": []}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE people_view (_id mongo_migrate.objectid, n integer) SERVER fdw_modify;
INSERT INTO people_view VALUES ('6b0489aa0000000000000001', 12);
DELETE FROM people_view;
TRUNCATE people_view;

-- Rows of floating-point _id that are next to each other
CREATE FOREIGN TABLE floats (_id double precision, n integer) SERVER fdw_modify;
INSERT INTO floats VALUES (0.1, 1), (0.10000000000000002, 2), (0.09999999999999999, 3), ('Infinity', 4), ('-Infinity', 5), (1.7976931348623157e308, 6), ('NaN', 7), (0, 8), (5e-324, 9);
UPDATE floats SET n = 10 WHERE n = 1;
UPDATE floats SET n = 20 WHERE _id = 0.10000000000000002 RETURNING *;
DELETE FROM floats WHERE n = 3 RETURNING *;
UPDATE floats SET n = n * 10 WHERE n BETWEEN 4 AND 9;
SELECT * FROM floats ORDER BY _id;
UPDATE floats SET n = n + 1 RETURNING *;

-- A decimal that is next to a double
CREATE FOREIGN TABLE decimals (_id numeric, n integer) SERVER fdw_modify;
SELECT mongo_migrate.run_command('fdw_modify', '{"insert": "decimals", "documents": [{"_id": 0.1, "n": 1}, {"_id": {"$numberDecimal": "0.10000000000000000555"}, "n": 2},
    {"_id": {"$numberDouble": "1e23"}, "n": 3}, {"_id": {"$numberDouble": "Infinity"}, "n": 4}, {"_id": {"$numberDecimal": "NaN"}, "n": 5}]}') ->> 'n' AS n;
UPDATE decimals SET n = n * 10;
UPDATE decimals SET n = n + 1 WHERE _id > 0.1 RETURNING *;
SELECT * FROM decimals ORDER BY _id;
-- Infinity is not what is beyond all doubles.
SELECT mongo_migrate.run_command('fdw_modify', '{"insert": "beyond", "documents": [{"_id": {"$numberDouble": "Infinity"}}, {"_id": {"$numberDecimal": "1E+400"}}, {"_id": {"$numberDecimal": "-1E+400"}}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE beyond (_id numeric, n integer) SERVER fdw_modify;
UPDATE beyond SET n = CASE WHEN _id > 0 THEN 1 END;
SELECT documents('beyond');

-- What a statement reads later is as it was before its first write, as in PostgreSQL: the second part of a UNION ALL, the inner side of a join,
-- subqueries that are run late, groups, cursors that were not read.
CREATE FOREIGN TABLE there (_id integer, n integer) SERVER fdw_modify OPTIONS (batch_size '10');
INSERT INTO there SELECT g, 0 FROM generate_series(1, 40) g;
CREATE TABLE here AS TABLE there;
CREATE FUNCTION both_write(statement text, OUT here text, OUT there text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE statement;
    SELECT format('%s rows, %s, %s', count(*), sum(_id), sum(n)) INTO there FROM there;
    EXECUTE replace(statement, 'there', 'here');
    SELECT format('%s rows, %s, %s', count(*), sum(_id), sum(n)) INTO here FROM here;
END
$$;
BEGIN;
SELECT * FROM both_write('INSERT INTO there SELECT _id + 100, n FROM there UNION ALL SELECT _id + 1000, n FROM there');
ROLLBACK;
BEGIN;
SELECT * FROM both_write('INSERT INTO there SELECT _id + 100, n FROM there UNION ALL SELECT 1000, count(*) FROM there WHERE n IS NOT NULL');
ROLLBACK;
BEGIN;
SELECT * FROM both_write('INSERT INTO there SELECT _id + 100, n FROM there UNION ALL SELECT 1000 + there._id + g, n FROM generate_series(1, 1) g LEFT JOIN there ON there._id <> g');
ROLLBACK;
BEGIN;
SELECT * FROM both_write('INSERT INTO there SELECT _id + 100, CASE WHEN _id > 20 THEN (SELECT count(*) FROM there) END FROM there');
ROLLBACK;
BEGIN;
SELECT * FROM both_write('INSERT INTO there SELECT _id + 100, CASE WHEN _id > 20 THEN (SELECT count(*) FROM there WHERE _id <= (SELECT max(_id) FROM there)) END FROM there');
ROLLBACK;
BEGIN;
SELECT * FROM both_write('INSERT INTO there SELECT g + 100, CASE WHEN g > 20 THEN (SELECT count(*) FROM there a WHERE a._id < (SELECT max(b._id) FROM there b WHERE b._id < least(g, 30))) END FROM generate_series(1, 40) g');
ROLLBACK;
BEGIN;
SELECT * FROM both_write('UPDATE there SET n = CASE WHEN _id > 20 THEN (SELECT sum(n) FROM there) ELSE 1 END');
ROLLBACK;
BEGIN;
DECLARE d CURSOR FOR SELECT _id FROM there WHERE n = 1;
UPDATE there SET n = 1 WHERE _id < 5;
FETCH ALL FROM d;
SELECT count(*) FROM there WHERE n = 1;
ROLLBACK;
-- A cursor of PL/pgSQL neither, whether its plan knows the value of the variable or not.
CREATE FUNCTION rows_of_cursor(value integer) RETURNS integer LANGUAGE plpgsql AS $$
DECLARE
    rows CURSOR FOR SELECT _id FROM there WHERE n = value;
    id integer;
    result integer := 0;
BEGIN
    OPEN rows;
    UPDATE there SET n = value + 1 WHERE n = value;
    LOOP
        FETCH rows INTO id;
        EXIT WHEN NOT FOUND;
        result := result + 1;
    END LOOP;
    CLOSE rows;
    RETURN result;
END
$$;
-- Nor one of a join, or of groups, that MongoDB makes.
ANALYZE there;
BEGIN;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_nestloop = off;
SET LOCAL cursor_tuple_fraction = 1;
DECLARE joined CURSOR FOR SELECT a._id FROM there a JOIN there b ON a._id = b._id WHERE a._id < 4;
DECLARE grouped CURSOR FOR SELECT n, count(*) FROM there GROUP BY n;
DELETE FROM there WHERE _id < 3;
FETCH ALL FROM joined;
FETCH ALL FROM grouped;
ROLLBACK;
-- Nor one that compares with what is known only when it is read.
BEGIN;
DECLARE a CURSOR FOR SELECT count(*) FROM there WHERE _id < extract(year FROM now()) AND n + 0 = 0;
DECLARE b CURSOR FOR SELECT _id FROM there WHERE _id < length(current_user) ORDER BY _id LIMIT 1;
DELETE FROM there;
FETCH ALL FROM a;
FETCH ALL FROM b;
ROLLBACK;
BEGIN;
DECLARE a CURSOR FOR SELECT count(*) FROM there;
COPY there FROM stdin;
101	0
\.
FETCH ALL FROM a;
SELECT count(*) FROM there;
ROLLBACK;
-- What an INSERT reads for each row sends nothing.
CREATE FUNCTION count_of_there() RETURNS bigint LANGUAGE sql STABLE AS 'SELECT count(*) FROM there';
BEGIN;
INSERT INTO there SELECT 100 + g, count_of_there() FROM generate_series(1, 9) g;
SELECT n, count(*) FROM there WHERE _id > 100 GROUP BY n;
ROLLBACK;
DROP FUNCTION count_of_there;
BEGIN;
SELECT rows_of_cursor(0);
SET LOCAL plan_cache_mode = force_generic_plan;
SELECT rows_of_cursor(1);
ROLLBACK;
DROP FUNCTION rows_of_cursor;
-- Nor does a join that could fetch by keys see what is written.
CREATE FOREIGN TABLE tree (_id integer, parent integer) SERVER fdw_modify;
INSERT INTO tree SELECT g, g - 1 FROM generate_series(1, 2000) g;
ANALYZE tree;
BEGIN;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
DELETE FROM tree c USING tree p WHERE c.parent = p._id AND c._id <= 10;
DELETE FROM tree c WHERE c._id BETWEEN 101 AND 110 AND EXISTS (SELECT FROM tree p WHERE c.parent = p._id) RETURNING *;
SELECT count(*) FROM tree;
WITH d AS (DELETE FROM tree WHERE _id > 1990 RETURNING _id) SELECT count(*), count(tree._id) FROM d JOIN tree ON tree._id = d._id;
ROLLBACK;
-- Nor is what a join reads again, for each of what is expected to be one row.
BEGIN;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
WITH u AS (UPDATE tree SET parent = -1 WHERE abs(_id % 10) = 0 AND abs(_id / 40) = 0 AND abs(_id) = _id RETURNING _id) SELECT tree.* FROM u JOIN tree ON tree._id = u._id ORDER BY 1;
ROLLBACK;
CREATE FOREIGN TABLE texts (_id integer, t text) SERVER fdw_modify OPTIONS (batch_size '1');
INSERT INTO texts VALUES (1, '5');
SELECT mongo_migrate.run_command('fdw_modify', '{"createIndexes": "texts", "indexes": [{"key": {"t": 1}, "name": "t"}]}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_modify', '{"insert": "integers", "documents": [{"_id": 1, "t": 5}, {"_id": 2, "t": 5}, {"_id": 3, "t": 5}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE integers (_id integer, t text) SERVER fdw_modify;
BEGIN;
SET LOCAL enable_hashjoin = off;
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_nestloop = off;
INSERT INTO texts SELECT 10 * i._id, i.t FROM integers i JOIN texts t ON i.t = t.t;
ROLLBACK;
-- A row that a join finds twice is written once, and returned once.
CREATE FUNCTION rows_of(statement text) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    n bigint;
BEGIN
    EXECUTE statement;
    GET DIAGNOSTICS n = ROW_COUNT;
    RETURN n;
END
$$;
CREATE TABLE twice AS SELECT * FROM (VALUES (1, 10), (1, 10), (2, 5)) v(id, k);
BEGIN;
SELECT rows_of('UPDATE there SET n = there.n + k FROM twice WHERE _id = id');
SELECT * FROM there WHERE n > 0 ORDER BY _id;
WITH u AS (UPDATE there SET n = there.n + k FROM twice WHERE _id = id RETURNING _id, n, k) SELECT * FROM u ORDER BY _id;
SELECT rows_of('DELETE FROM there USING twice WHERE _id = id');
SELECT count(*) FROM there;
WITH d AS (DELETE FROM there USING twice, generate_series(1, 3) WHERE _id = id + 10 RETURNING _id) SELECT * FROM d ORDER BY _id;
SELECT count(*) FROM there;
ROLLBACK;
DROP TABLE twice;
DROP FUNCTION rows_of;
DROP TABLE here;
DROP FUNCTION both_write;

-- What a statement holds does not grow with the rows that it returns.
CREATE FUNCTION memory() RETURNS numeric LANGUAGE sql VOLATILE AS $$ SELECT sum(used_bytes) FROM pg_backend_memory_contexts $$;
CREATE FOREIGN TABLE large (_id integer, t text) SERVER fdw_modify;
WITH w AS (INSERT INTO large SELECT g, repeat('x', 100000) FROM generate_series(1, 100) g RETURNING memory())
    SELECT count(*), max(memory) - min(memory) < 1000000 AS bounded FROM w;
WITH w AS (UPDATE large SET t = t || 'y' RETURNING memory()) SELECT count(*), max(memory) - min(memory) < 1000000 AS bounded FROM w;
WITH w AS (DELETE FROM large RETURNING memory()) SELECT count(*), max(memory) - min(memory) < 1000000 AS bounded FROM w;
DROP FUNCTION memory;

-- Fields without a name.
CREATE FOREIGN TABLE nameless (_id integer, own text OPTIONS (path ''), sub text OPTIONS (path 'sub.'), d json OPTIONS (path 'd'))
    SERVER fdw_modify;
CREATE FOREIGN TABLE nameless_documents (_id integer, doc json OPTIONS (path '$', extended_json 'canonical')) SERVER fdw_modify OPTIONS (collection 'nameless');
INSERT INTO nameless VALUES (1, 'x', NULL, NULL), (2, NULL, 'y', NULL), (3, NULL, NULL, '{"": 1, "": 2, "a.b": {"": null}, "$c": 3}'), (4, NULL, NULL, '{"q": 1}');
UPDATE nameless SET d = '{"": 5}' WHERE _id = 4;
SELECT doc FROM nameless_documents ORDER BY _id;
UPDATE nameless_documents SET doc = '{"_id": 4, "": 5, "x": {"": 5}}' WHERE _id = 4;
INSERT INTO nameless_documents (doc) VALUES ('{"_id": {"$numberInt": "5"}, "": {"$numberInt": "6"}}');
DELETE FROM nameless WHERE own = 'x';
SELECT doc FROM nameless_documents ORDER BY _id;

SELECT mongo_migrate.run_command('fdw_modify', '{"dropDatabase": 1}') ->> 'ok' AS ok;
SET client_min_messages = warning;
DROP SERVER fdw_modify CASCADE;
DROP FUNCTION documents, item_trigger, zeros;

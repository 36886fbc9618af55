-- Every kind of table is filled, and every expression that SQL has.
\getenv mongo_uri MONGO_URI
CREATE SERVER load_targets FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_load_targets');
SET load.server = 'load_targets';
SELECT mongo_migrate.run_command('load_targets', '{"dropDatabase": 1}')->'ok' AS ok;
CREATE SCHEMA load_targets;
SET search_path = load_targets;
\getenv abs_srcdir PG_ABS_SRCDIR
\set file :abs_srcdir '/sql/include/plan_by_hand.sql'
\i :file
CREATE FUNCTION pg_temp.expression(target text, column_name text, source_type text, expression text) RETURNS void
LANGUAGE sql BEGIN ATOMIC
    UPDATE mongo_migrate.plan_column AS c SET source_type = $3, expression = $4
        WHERE c.server = current_setting('load.server') AND c.target = $1 AND c.column_name = $2;
END;
CREATE FUNCTION pg_temp.again(collection text) RETURNS void
LANGUAGE sql BEGIN ATOMIC
    UPDATE mongo_migrate.chunk AS c SET last_id = NULL, complete = false
        WHERE c.server = current_setting('load.server') AND c.collection = $1;
END;
CREATE VIEW entries AS
    SELECT source_id, target, path, reason, sqlstate FROM mongo_migrate.quarantine
    WHERE server = 'load_targets' ORDER BY quarantine_id;

SELECT mongo_migrate.run_command('load_targets', '{"insert": "people", "documents": [
    {"_id": 1, "name": "Ada", "born": {"$date": "1985-12-10T00:00:00Z"}, "score": 1.5, "kind": "staff", "tags": ["x", "y"], "address": {"city": "Rome", "zip": "00100"}},
    {"_id": 2, "name": "Bob", "born": {"$date": "1999-01-01T00:00:00Z"}, "score": 0, "kind": "guest", "tags": []},
    {"_id": 3, "name": "Cy", "born": {"$date": "2005-06-07T00:00:00Z"}, "score": -2, "kind": "alien", "tags": ["z"], "address": {"city": "Oslo"}},
    {"_id": 4, "name": "Di", "born": null, "kind": "staff"}]}')->'n' AS n;
INSERT INTO mongo_migrate.id_map (server, collection, id_type) VALUES ('load_targets', 'people', 'source');

-- Partitions; a document without a partition is the document's fault.
CREATE TABLE partitioned (id bigint NOT NULL, name text, born timestamptz) PARTITION BY RANGE (born);
CREATE TABLE partitioned_1980 PARTITION OF partitioned FOR VALUES FROM ('1980-01-01Z') TO ('1990-01-01Z');
CREATE TABLE partitioned_1990 PARTITION OF partitioned FOR VALUES FROM ('1990-01-01Z') TO ('2000-01-01Z');
-- A partition by itself.
CREATE TABLE partition_of (id bigint NOT NULL, score double precision) PARTITION BY RANGE (id);
CREATE TABLE partition_low PARTITION OF partition_of FOR VALUES FROM (0) TO (3);
-- Triggers, defaults, identities, generated columns, domains.
CREATE TABLE log (entry text);
CREATE DOMAIN positive AS double precision CHECK (value >= 0);
CREATE TABLE busy (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text, score positive, made_by text DEFAULT 'the load',
    upper_name text GENERATED ALWAYS AS (upper(name)) STORED, stamp text NOT NULL);
CREATE FUNCTION busy_before() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF new.name = 'Di' THEN
        RAISE EXCEPTION 'no % here', new.name USING HINT = 'Ask Di.';
    END IF;
    new.stamp := 'stamped';
    RETURN new;
END $$;
CREATE TRIGGER before BEFORE INSERT ON busy FOR EACH ROW EXECUTE FUNCTION busy_before();
CREATE FUNCTION busy_after() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO log SELECT 'rows: ' || string_agg(name, ', ' ORDER BY id) FROM fresh;
    RETURN NULL;
END $$;
CREATE TRIGGER after AFTER INSERT ON busy REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION busy_after();
-- Children of a parent by foreign key, in an order of theirs.
CREATE TABLE busy_tags (person_id bigint REFERENCES busy, n smallint, tag text NOT NULL, PRIMARY KEY (person_id, n));
-- A view, and an unlogged and a temporary table.
CREATE TABLE below (id bigint, name text);
CREATE VIEW seen AS SELECT id, name FROM below WHERE id < 4 WITH CHECK OPTION;
CREATE UNLOGGED TABLE unlogged (id bigint PRIMARY KEY, name varchar(3));
CREATE TEMPORARY TABLE temporary (id bigint, name text COLLATE "C");
-- Dropped columns, and columns in another order than the plan's.
CREATE TABLE reordered (gone1 int, name text, gone2 text, id bigint, spare text);
ALTER TABLE reordered DROP COLUMN gone1, DROP COLUMN gone2;
-- Another schema, another spelling.
CREATE TABLE "Odd ""Table" ("The id" bigint, "select" text);

SELECT pg_temp.plan('people', 'load_targets.partitioned', '{"id": "id _id bigint", "name": "value name text", "born": "value born timestamptz"}');
SELECT pg_temp.plan('people', 'load_targets.partition_low', '{"id": "id _id bigint", "score": "value score double precision"}');
SELECT documents, inserted, rejected FROM mongo_migrate.copy_batch('load_targets', 'people', 1);
SELECT tableoid::regclass, id, name FROM partitioned;
SELECT * FROM entries;
DELETE FROM mongo_migrate.quarantine WHERE server = 'load_targets';
DELETE FROM mongo_migrate.plan_target WHERE server = 'load_targets';
SELECT pg_temp.again('people');

SELECT pg_temp.plan('people', 'load_targets.busy', '{"id": "id _id bigint", "name": "value name text", "score": "value score load_targets.positive"}');
SELECT pg_temp.plan('people', 'load_targets.busy_tags', '{"person_id": "parent id bigint", "n": "position - smallint", "tag": "value $ text"}', 'load_targets.busy', 'tags');
SELECT documents, inserted, rejected FROM mongo_migrate.copy_batch('load_targets', 'people', 1);
TABLE busy;
TABLE busy_tags;
TABLE log;
SELECT * FROM entries;
DELETE FROM mongo_migrate.quarantine WHERE server = 'load_targets';
DELETE FROM mongo_migrate.plan_target WHERE server = 'load_targets';
SELECT pg_temp.again('people');

SELECT pg_temp.plan('people', 'load_targets.seen', '{"id": "id _id bigint", "name": "value name text"}');
SELECT pg_temp.plan('people', 'load_targets.unlogged', '{"id": "id _id bigint", "name": "value name varchar(3)"}');
SELECT pg_temp.plan('people', 'temporary', '{"id": "id _id bigint", "name": "value name text"}');
SELECT pg_temp.plan('people', 'load_targets.reordered', '{"id": "id _id bigint", "name": "value name text"}');
SELECT pg_temp.plan('people', 'load_targets."Odd ""Table"', '{"select": "value name text", "The id": "id _id bigint"}');
SELECT documents, inserted, rejected FROM mongo_migrate.copy_batch('load_targets', 'people', 1);
TABLE seen;
SELECT * FROM unlogged, temporary, reordered, "Odd ""Table" WHERE unlogged.id = temporary.id AND reordered.id = temporary.id AND "The id" = temporary.id;
SELECT * FROM entries;
DELETE FROM mongo_migrate.quarantine WHERE server = 'load_targets';
DELETE FROM mongo_migrate.plan_target WHERE server = 'load_targets';
SELECT pg_temp.again('people');

-- Expressions see value and doc, run as the caller, and fail for their document alone.
CREATE TYPE kind AS ENUM ('staff', 'guest');
CREATE TABLE cities (id int, name text);
INSERT INTO cities VALUES (10, 'Rome'), (20, 'Oslo');
CREATE FUNCTION half(x numeric) RETURNS numeric LANGUAGE sql IMMUTABLE RETURN x / 2;
CREATE TABLE expressions (id bigint NOT NULL, name varchar(4), half numeric(4,1), kind kind, city_id int, path text, tags text, share numeric, n int);
SELECT pg_temp.plan('people', 'load_targets.expressions', '{"id": "id _id bigint", "name": "value name varchar(4)", "half": "value score numeric(4,1)",
    "kind": "value kind load_targets.kind", "city_id": "value address.city int", "path": "value $ text", "tags": "value tags text", "share": "value score numeric", "n": "value score int"}');
SELECT pg_temp.expression('load_targets.expressions', 'name', 'text', 'upper(value) -- a comment');
SELECT pg_temp.expression('load_targets.expressions', 'half', 'double precision', 'load_targets.half(value::numeric)');
SELECT pg_temp.expression('load_targets.expressions', 'kind', 'text', $$CASE value WHEN 'alien' THEN 'guest' ELSE value END$$);
SELECT pg_temp.expression('load_targets.expressions', 'city_id', 'text', '(SELECT c.id FROM load_targets.cities AS c WHERE c.name = value)');
SELECT pg_temp.expression('load_targets.expressions', 'path', 'jsonb', $$doc #>> '{address,zip}'$$);
SELECT pg_temp.expression('load_targets.expressions', 'tags', 'text[]', $$array_to_string(value, '+') || (doc->>'name')$$);
SELECT pg_temp.expression('load_targets.expressions', 'share', 'double precision', '100 / value');
SELECT pg_temp.expression('load_targets.expressions', 'n', 'double precision', '(SELECT max(x)::int FROM generate_series(1, 3) AS x)');
SELECT documents, inserted, rejected FROM mongo_migrate.copy_batch('load_targets', 'people', 1);
TABLE expressions;
SELECT * FROM entries;
-- What an expression gives has to fit: assignment never cuts.
SELECT pg_temp.expression('load_targets.expressions', 'share', 'double precision', 'value');
SELECT pg_temp.expression('load_targets.expressions', 'name', 'text', $$value || '-long'$$);
UPDATE mongo_migrate.quarantine SET document = mongo_migrate.bson_from_json('{"_id": 4}') WHERE server = 'load_targets';
TRUNCATE expressions;
SELECT documents, inserted, rejected FROM mongo_migrate.retry_quarantine('load_targets');
SELECT * FROM entries;
DELETE FROM mongo_migrate.quarantine WHERE server = 'load_targets';
DELETE FROM mongo_migrate.plan_target WHERE server = 'load_targets';
SELECT pg_temp.again('people');

-- What is null or missing may be none when an expression has seen it, and the other way round; past the executor, and by a statement.
CREATE TABLE filled (id bigint NOT NULL, n int NOT NULL, t text NOT NULL);
CREATE TABLE filled_too (id bigint NOT NULL, n int NOT NULL, t varchar(9) NOT NULL);
SELECT pg_temp.plan('people', 'load_targets.' || t, '{"id": "id _id bigint", "n": "value nope int"}') FROM unnest('{filled,filled_too}'::text[]) AS t;
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type)
    VALUES ('load_targets', 'people', 'load_targets.filled', 't', 3, 'value', 'name', 'text'), ('load_targets', 'people', 'load_targets.filled_too', 't', 3, 'value', 'name', 'varchar(9)');
SELECT pg_temp.expression('load_targets.' || t, 'n', 'int', 'coalesce(value, 7)'), pg_temp.expression('load_targets.' || t, 't', 'text', $$nullif(value, 'Cy')$$)
    FROM unnest('{filled,filled_too}'::text[]) AS t;
SELECT documents, inserted, rejected FROM mongo_migrate.copy_batch('load_targets', 'people', 1);
SELECT * FROM filled JOIN filled_too USING (id) ORDER BY id;
SELECT * FROM entries;
SELECT hint FROM mongo_migrate.quarantine WHERE server = 'load_targets';
DELETE FROM mongo_migrate.quarantine WHERE server = 'load_targets';
DELETE FROM mongo_migrate.plan_target WHERE server = 'load_targets';
SELECT pg_temp.again('people');

-- A key by an expression is its children's too.
CREATE TABLE keyed (key text PRIMARY KEY);
CREATE TABLE keyed_tags (key text REFERENCES keyed, n int, tag text);
SELECT pg_temp.plan('people', 'load_targets.keyed', '{"key": "id _id text"}');
SELECT pg_temp.plan('people', 'load_targets.keyed_tags', '{"key": "parent key text", "n": "position - int", "tag": "value $ text"}', 'load_targets.keyed', 'tags');
SELECT pg_temp.expression('load_targets.keyed', 'key', 'bigint', $$format('%s-%s', doc->>'name', value)$$);
SELECT pg_temp.expression('load_targets.keyed_tags', 'tag', 'text', $$value || '@' || (doc->>'kind')$$);
SELECT documents, inserted, rejected FROM mongo_migrate.copy_batch('load_targets', 'people', 1);
TABLE keyed_tags;
-- A catch-up pass knows it; a document that cannot become doc is left out, and doc is nobody else's.
SELECT mongo_migrate.run_command('load_targets', '{"insert": "people", "documents": [{"_id": 5, "name": "Ed", "note": "a\u0000b"}, {"_id": 6, "name": "Flo"}]}')->'n' AS n;
SELECT pg_temp.again('people');
UPDATE mongo_migrate.chunk SET catching_up = true WHERE server = 'load_targets';
SELECT documents, inserted, skipped, rejected FROM mongo_migrate.copy_batch('load_targets', 'people', 1);
SELECT * FROM entries;
SELECT mongo_migrate.batch_document(0);
DELETE FROM mongo_migrate.quarantine WHERE server = 'load_targets';
DELETE FROM mongo_migrate.plan_target WHERE server = 'load_targets';
-- So do many documents, over several batches and halves of them.
SELECT mongo_migrate.run_command('load_targets', '{"insert": "many", "documents": [{}]}')->'ok' AS ok;
SELECT mongo_migrate.run_command('load_targets', '{"aggregate": "many", "cursor": {}, "pipeline": [{"$project": {"_id": 0, "n": {"$range": [0, 1000]}}},
    {"$unwind": "$n"}, {"$project": {"_id": "$n", "n": {"$toString": "$n"}}}, {"$out": "many"}]}')->'ok' AS ok;
INSERT INTO mongo_migrate.id_map (server, collection, id_type) VALUES ('load_targets', 'many', 'source');
CREATE TABLE many (id bigint PRIMARY KEY);
SELECT pg_temp.plan('many', 'load_targets.many', '{"id": "id _id bigint"}');
SELECT pg_temp.expression('load_targets.many', 'id', 'bigint', $$value + 0 / ((doc->>'n')::int % 7)$$);
SELECT documents, inserted, skipped, rejected FROM mongo_migrate.copy_batch('load_targets', 'many', 1);
DELETE FROM many WHERE id % 5 = 0;
SELECT pg_temp.again('many');
UPDATE mongo_migrate.chunk SET catching_up = true WHERE server = 'load_targets';
SELECT documents, inserted, skipped, rejected FROM mongo_migrate.copy_batch('load_targets', 'many', 1, 300);
SELECT documents, inserted, skipped, rejected FROM mongo_migrate.copy_batch('load_targets', 'many', 1, 300);
SELECT documents, inserted, skipped, rejected FROM mongo_migrate.copy_batch('load_targets', 'many', 1, 1000);
DELETE FROM mongo_migrate.quarantine WHERE server = 'load_targets';
DELETE FROM mongo_migrate.plan_target WHERE server = 'load_targets';
UPDATE mongo_migrate.chunk SET catching_up = false WHERE server = 'load_targets';
SELECT pg_temp.again('people');

-- Row security and rights are the caller's; neither is the document's fault.
CREATE TABLE secured (id bigint, name text);
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY staff ON secured FOR INSERT WITH CHECK (name <> 'Bob');
CREATE ROLE load_targets_user;
GRANT USAGE ON SCHEMA mongo_migrate, load_targets TO load_targets_user;
GRANT SELECT ON ALL TABLES IN SCHEMA mongo_migrate TO load_targets_user;
GRANT UPDATE ON mongo_migrate.chunk TO load_targets_user;
GRANT INSERT, UPDATE ON mongo_migrate.drift TO load_targets_user;
GRANT EXECUTE ON FUNCTION mongo_migrate.copy_batch, mongo_migrate.set_plan_settings, mongo_migrate.batch_document, mongo_migrate.table_sequence, mongo_migrate.id_sequences, mongo_migrate.column_sequence, mongo_migrate.require_filled, mongo_migrate.is_filled TO load_targets_user;
GRANT USAGE ON FOREIGN SERVER load_targets TO load_targets_user;
CREATE USER MAPPING FOR load_targets_user SERVER load_targets OPTIONS (password_required 'false');
SELECT pg_temp.plan('people', 'load_targets.secured', '{"id": "id _id bigint", "name": "value name text"}');
SET ROLE load_targets_user;
SELECT documents, inserted, rejected FROM mongo_migrate.copy_batch('load_targets', 'people', 1);
RESET ROLE;
GRANT INSERT ON secured TO load_targets_user;
SET ROLE load_targets_user;
SELECT documents, inserted, rejected FROM mongo_migrate.copy_batch('load_targets', 'people', 1, 1);
SELECT documents, inserted, rejected FROM mongo_migrate.copy_batch('load_targets', 'people', 1, 1);
RESET ROLE;
ALTER POLICY staff ON secured WITH CHECK (true);
SET ROLE load_targets_user;
SELECT documents, inserted, rejected FROM mongo_migrate.copy_batch('load_targets', 'people', 1);
RESET ROLE;
TABLE secured;

-- Results of expressions are assigned as by INSERT, also past the executor: cast, rounded, never cut; a table does not see its batch.
SELECT mongo_migrate.run_command('load_targets', '{"insert": "assigned", "documents": [{"_id": 1, "n": 1.26, "t": "abc"}, {"_id": 2, "n": 99.94, "t": "ab  "},
    {"_id": 3, "n": 2, "t": "abcd"}, {"_id": 4, "n": 99.96, "t": "d"}, {"_id": 5, "t": "12"}, {"_id": 6, "n": 7.5, "t": "-3"}]}')->'n' AS n;
CREATE TABLE fitted (id bigint PRIMARY KEY, tenths numeric(3, 1), small integer, seen bigint);
CREATE TABLE cut (id bigint PRIMARY KEY, three varchar(3) CHECK (three <> '-3'));
CREATE TABLE checked (id bigint PRIMARY KEY, n positive);
SELECT pg_temp.plan('assigned', 'load_targets.' || t, c) FROM (VALUES
    ('fitted', '{"id": "id _id bigint", "tenths": "value n numeric(3,1)", "small": "value n integer", "seen": "value n bigint"}'::json),
    ('cut', '{"id": "id _id bigint", "three": "value t varchar(3)"}'), ('checked', '{"id": "id _id bigint", "n": "value n load_targets.positive"}')) AS v (t, c);
UPDATE mongo_migrate.plan_column SET source_type = 'double precision', expression = CASE column_name
    WHEN 'tenths' THEN 'value' WHEN 'small' THEN 'value' WHEN 'n' THEN 'value - 2' ELSE '(SELECT count(*) FROM load_targets.fitted)' END
    WHERE server = 'load_targets' AND collection = 'assigned' AND path = 'n';
UPDATE mongo_migrate.plan_column SET source_type = 'text', expression = 'value' WHERE server = 'load_targets' AND collection = 'assigned' AND path = 't';
SELECT documents, inserted, rejected FROM mongo_migrate.copy_batch('load_targets', 'assigned', 1, 3);
SELECT documents, inserted, rejected FROM mongo_migrate.copy_batch('load_targets', 'assigned', 1, 3);
TABLE fitted;
SELECT id, three || '.' AS three FROM cut;
TABLE checked;
SELECT source_id, target, path, reason FROM mongo_migrate.quarantine WHERE server = 'load_targets' AND collection = 'assigned' ORDER BY quarantine_id;

\set file :abs_srcdir '/sql/include/forget_server.sql'
\i :file
\set VERBOSITY terse
SET client_min_messages = error;
DROP USER MAPPING FOR load_targets_user SERVER load_targets;
DROP OWNED BY load_targets_user;
DROP ROLE load_targets_user;
DROP SCHEMA load_targets CASCADE;
DROP SERVER load_targets;

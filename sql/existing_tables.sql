-- Tables that exist.
-- Fields of several types and columns of one type: the cast that the plan has
-- must not change values unseen, and a verification sees what the column's
-- type does to them.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
\pset format unaligned
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE EXTENSION citext;
CREATE SERVER existing_tables FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_existing_tables');
SELECT mongo_migrate.run_command('existing_tables', '{"dropDatabase": 1}') \g /dev/null
SELECT mongo_migrate.run_command('existing_tables', '{"insert": "mixed", "documents": [
    {"_id": 1, "v": "7"}, {"_id": 2, "v": 3.5}, {"_id": 3, "v": {"a": 1}}, {"_id": 4, "v": "12.345"}, {"_id": 5, "v": [1, 2]},
    {"_id": 6, "v": {"$date": "2024-02-29T00:00:00Z"}}, {"_id": 7, "v": {"$date": "2024-02-29T12:34:56.789Z"}}, {"_id": 8, "v": "2024-02-29T12:00:00Z"},
    {"_id": 9, "v": {"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "04"}}}, {"_id": 10, "v": {"$symbol": "new"}}, {"_id": 11, "v": "new"},
    {"_id": 12, "v": true}, {"_id": 13, "v": {"$oid": "65a000000000000000000001"}}, {"_id": 14, "v": ["1.5", "x"]}, {"_id": 15, "v": "a:x"}]}') \g /dev/null
SELECT mongo_migrate.run_command('existing_tables', '{"insert": "arrays", "documents": [
    {"_id": 1, "v": ["1", "2.5"]}, {"_id": 2, "v": ["2024-02-29"]}, {"_id": 3, "v": ["2024-02-29T12:00"]}]}') \g /dev/null
CREATE TYPE existing_state AS ENUM ('new', 'old');
CREATE DOMAIN existing_amount AS numeric(10,2);
RESET client_min_messages;

-- What a field becomes in a column of the type: the plan, the rows, those in quarantine, what a verification finds.
CREATE FUNCTION pg_temp.fill(type text, collection text DEFAULT 'mixed',
        OUT plan text, OUT rows text, OUT quarantined text, OUT differences text) LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE %I (id integer PRIMARY KEY, v %s)', collection, type);
    PERFORM mongo_migrate.plan_collection('existing_tables', collection);
    SELECT concat_ws(' ', source_type, expression) INTO plan FROM mongo_migrate.plan_column WHERE column_name = 'v';
    PERFORM mongo_migrate.migrate_collection('existing_tables', collection, workers => 0);
    EXECUTE format('SELECT string_agg(id || ''='' || v::text, ''; '' ORDER BY id) FROM %I', collection) INTO rows;
    SELECT string_agg(source_id, ' ' ORDER BY source_id::integer) INTO quarantined FROM mongo_migrate.quarantine;
    SELECT string_agg(concat_ws(' ', source_id, kind, source_value, target_value), '; ' ORDER BY source_id::integer) INTO differences
      FROM mongo_migrate.verify_full('existing_tables', collection);
    PERFORM mongo_migrate.reset_collection('existing_tables', collection, truncate => true);
    DELETE FROM mongo_migrate.plan WHERE server = 'existing_tables';
    EXECUTE format('DROP TABLE %I', collection);
END
$$;
SELECT type, f.* FROM unnest(ARRAY['integer', 'numeric(10,2)', 'existing_amount', 'date', 'timestamptz(0)', 'uuid', 'bytea', 'boolean', 'tsvector', 'money',
                                   'mongo_migrate.objectid', 'citext', 'name', 'existing_state', 'numeric(5,1)[]', 'text[]']) AS type,
    LATERAL pg_temp.fill(type) AS f;
SELECT type, f.* FROM unnest(ARRAY['numeric(5,0)[]', 'date[]', 'text[]']) AS type, LATERAL pg_temp.fill(type, 'arrays') AS f;
-- A cast to it cuts.
SELECT pg_temp.fill('"char"');

-- What is checked at the commit only is told before, and a dry run meets it.
SELECT mongo_migrate.run_command('existing_tables', '{"insert": "deferred", "documents": [{"_id": 1, "u": 1, "n": 1}, {"_id": 2, "u": 1}]}') \g /dev/null
CREATE TABLE deferred (id integer PRIMARY KEY, u integer UNIQUE DEFERRABLE INITIALLY DEFERRED, n integer NOT NULL,
                       parent integer REFERENCES deferred DEFERRABLE INITIALLY DEFERRED);
SELECT mongo_migrate.plan_collection('existing_tables', 'deferred');
ALTER TABLE deferred ADD needed integer NOT NULL, ADD given integer NOT NULL DEFAULT 1;
SELECT target, column_name, problem, hint, severity FROM mongo_migrate.check_plan('existing_tables', 'deferred');
CREATE FUNCTION pg_temp.fill_needed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.needed := 1; RETURN NEW; END';
CREATE TRIGGER fill_needed BEFORE INSERT ON deferred FOR EACH ROW EXECUTE FUNCTION pg_temp.fill_needed();
SELECT target, column_name, problem, severity FROM mongo_migrate.check_plan('existing_tables', 'deferred');
DROP TRIGGER fill_needed ON deferred;
ALTER TABLE deferred DROP needed, DROP given;
SELECT target, column_name, problem, hint, severity FROM mongo_migrate.check_plan('existing_tables', 'deferred');
SET client_min_messages = error;
ALTER TABLE deferred ALTER COLUMN n DROP NOT NULL;
SELECT * FROM mongo_migrate.migrate_collection('existing_tables', 'deferred', dry_run => true);
DROP TABLE deferred;

-- What cannot be updated later is told before it is copied.
SELECT mongo_migrate.run_command('existing_tables', '{"insert": "counted", "documents": [{"_id": 1, "n": 5}]}') \g /dev/null
CREATE TABLE counted (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n integer GENERATED ALWAYS AS IDENTITY);
SELECT mongo_migrate.plan_collection('existing_tables', 'counted');
SELECT target, column_name, problem, hint, severity FROM mongo_migrate.check_plan('existing_tables', 'counted');
SELECT inserted FROM mongo_migrate.migrate_collection('existing_tables', 'counted');
TABLE counted;
ALTER TABLE public.counted ALTER COLUMN n SET GENERATED BY DEFAULT;
SELECT count(*) FROM mongo_migrate.check_plan('existing_tables', 'counted');
DROP TABLE counted;

-- What may lose or change rows is told before; verification finds it after.
SELECT mongo_migrate.run_command('existing_tables', '{"insert": "touched", "documents": [{"_id": 1, "n": 1}, {"_id": 2, "n": 2}, {"_id": 3, "n": 3}]}') \g /dev/null
CREATE UNLOGGED TABLE touched (id integer PRIMARY KEY, n integer);
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.id = 1 THEN RETURN NULL; END IF; NEW.n := NEW.n * 10; RETURN NEW; END';
CREATE TRIGGER touch BEFORE INSERT ON touched FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER asleep BEFORE INSERT ON touched FOR EACH ROW EXECUTE FUNCTION touch();
ALTER TABLE touched DISABLE TRIGGER asleep;
CREATE TRIGGER after AFTER INSERT ON touched FOR EACH ROW EXECUTE FUNCTION touch();
CREATE TRIGGER updated BEFORE UPDATE ON touched FOR EACH ROW EXECUTE FUNCTION touch();
CREATE RULE "leave out" AS ON INSERT TO touched WHERE NEW.id = 3 DO INSTEAD NOTHING;
SELECT mongo_migrate.plan_collection('existing_tables', 'touched');
SELECT target, column_name, problem, hint, severity FROM mongo_migrate.check_plan('existing_tables', 'touched');
SELECT inserted FROM mongo_migrate.migrate_collection('existing_tables', 'touched');
TABLE touched;
SELECT source_id, column_name, kind FROM mongo_migrate.verify_full('existing_tables', 'touched');
-- Of partitions, too.
CREATE TABLE parted (id integer PRIMARY KEY, n integer) PARTITION BY RANGE (id);
CREATE TRIGGER touch BEFORE INSERT ON parted FOR EACH ROW EXECUTE FUNCTION touch();
CREATE UNLOGGED TABLE "Low" PARTITION OF parted FOR VALUES FROM (0) TO (2);
CREATE TABLE high PARTITION OF parted FOR VALUES FROM (2) TO (9);
CREATE TRIGGER touch_high BEFORE INSERT ON high FOR EACH ROW EXECUTE FUNCTION touch();
SELECT problem, hint FROM mongo_migrate.check_table('public.parted', 'public.parted');
DROP TABLE parted;
DROP TABLE touched;
DROP FUNCTION touch;

-- What a child table lacks of its parent's key is told, and what it has is found.
SELECT mongo_migrate.run_command('existing_tables', '{"insert": "carts", "documents": [{"_id": 1, "lines": [{"sku": "a", "parts": [{"n": 1, "screws": [{"m": 1}]}]}]}]}') \g /dev/null
CREATE TABLE carts (id integer PRIMARY KEY);
CREATE TABLE carts_lines (cart_id integer, position integer, sku text);
CREATE TABLE carts_lines_parts (line_position integer, position integer, n integer);
CREATE TABLE carts_lines_parts_screws (line_position integer, part_position integer, position integer, m integer);
SELECT mongo_migrate.plan_collection('existing_tables', 'carts');
SELECT target, column_name, role, included, note FROM mongo_migrate.plan_column WHERE (server, collection, role) = ('existing_tables', 'carts', 'parent') ORDER BY target COLLATE "C", ordinal;
SELECT target, existing, included, note FROM mongo_migrate.plan_target WHERE (server, collection) = ('existing_tables', 'carts') ORDER BY ordinal;
DROP TABLE carts, carts_lines, carts_lines_parts, carts_lines_parts_screws;

RESET client_min_messages;

-- Ids that are of the column's type as text get new ones, or are kept by an expression.
SELECT mongo_migrate.run_command('existing_tables', '{"insert": "texts", "documents": [{"_id": "10"}, {"_id": "20"}]}') \g /dev/null
CREATE TABLE texts (id integer PRIMARY KEY);
SELECT mongo_migrate.plan_collection('existing_tables', 'texts');
SELECT mongo_migrate.plan_collection('existing_tables', 'texts', id_type => 'source', replan => true);
UPDATE mongo_migrate.plan_column SET expression = 'value::integer' WHERE (server, collection, target, column_name) = ('existing_tables', 'texts', 'public.texts', 'id');
SELECT inserted, rejected FROM mongo_migrate.migrate_collection('existing_tables', 'texts', workers => 0);
SELECT * FROM mongo_migrate.verify_full('existing_tables', 'texts');
TABLE texts;
DROP TABLE texts;

-- A value of an array that is rounded counts once.
SELECT mongo_migrate.run_command('existing_tables', '{"insert": "prices", "documents": [{"_id": 1, "a": [1.25, 2.5], "b": [0.005]}, {"_id": 2, "a": [3], "b": []}]}') \g /dev/null
CREATE TABLE prices (id integer PRIMARY KEY, a numeric(5,1)[], b existing_amount[]);
SELECT mongo_migrate.plan_collection('existing_tables', 'prices');
SELECT inserted, rounded FROM mongo_migrate.migrate_collection('existing_tables', 'prices', workers => 0);
SELECT source_id, column_name, kind, source_value, target_value FROM mongo_migrate.verify_full('existing_tables', 'prices') ORDER BY column_name;
DROP TABLE prices;

-- The next row takes a number that no document has.
SELECT mongo_migrate.run_command('existing_tables', '{"insert": "numbered", "documents": [{"_id": 1, "n": 100, "m": 7}, {"_id": 2, "n": 102, "m": 8}]}') \g /dev/null
CREATE TABLE numbered (id integer PRIMARY KEY, n serial UNIQUE, m smallint GENERATED ALWAYS AS IDENTITY (START -1 INCREMENT -1));
SELECT mongo_migrate.plan_collection('existing_tables', 'numbered');
SELECT mongo_migrate.migrate_collection('existing_tables', 'numbered') \g /dev/null
INSERT INTO numbered (id) VALUES (3) RETURNING n, m;
SELECT inserted, skipped FROM mongo_migrate.migrate_collection('existing_tables', 'numbered');
INSERT INTO numbered (id) VALUES (4) RETURNING n, m;
DROP TABLE numbered;
-- Ids are those of the sequence of a default, whoever owns it, but not what a default makes of one, nor those of a sequence that counts down.
SELECT mongo_migrate.run_command('existing_tables', '{"insert": "owned", "documents": [{"_id": "a"}, {"_id": "b"}]}') \g /dev/null
CREATE SEQUENCE "it's" START 100;
CREATE TABLE owned (id bigint DEFAULT nextval('"it''s"') PRIMARY KEY);
SELECT mongo_migrate.plan_collection('existing_tables', 'owned');
SELECT mongo_migrate.migrate_collection('existing_tables', 'owned') \g /dev/null
INSERT INTO owned DEFAULT VALUES;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM owned;
SELECT mongo_migrate.reset_collection('existing_tables', 'owned', truncate => true);
ALTER TABLE owned ALTER id SET DEFAULT -nextval('"it''s"');
SELECT mongo_migrate.migrate_collection('existing_tables', 'owned') \g /dev/null
INSERT INTO owned DEFAULT VALUES;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM owned;
SELECT mongo_migrate.reset_collection('existing_tables', 'owned', truncate => true);
ALTER TABLE owned ALTER id DROP DEFAULT, ALTER id ADD GENERATED BY DEFAULT AS IDENTITY (INCREMENT -1);
SELECT mongo_migrate.migrate_collection('existing_tables', 'owned') \g /dev/null
INSERT INTO owned DEFAULT VALUES;
SELECT string_agg(id::text, ' ' ORDER BY id) FROM owned;
DROP TABLE owned;
DROP SEQUENCE "it's";

\set VERBOSITY terse
SET client_min_messages = warning;
SELECT mongo_migrate.run_command('existing_tables', '{"dropDatabase": 1}') \g /dev/null
DELETE FROM mongo_migrate.plan WHERE server = 'existing_tables';
DROP SERVER existing_tables CASCADE;
DROP DOMAIN existing_amount;
DROP TYPE existing_state;
DROP EXTENSION citext;

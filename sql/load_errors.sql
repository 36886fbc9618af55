-- What is wrong with a plan or its tables is said before a document is read, with the statement that mends it.
\getenv mongo_uri MONGO_URI
CREATE SERVER load_errors FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_load_errors');
SET load.server = 'load_errors';
SELECT mongo_migrate.run_command('load_errors', '{"dropDatabase": 1}')->'ok' AS ok;
CREATE SCHEMA load_errors;
SET search_path = load_errors;
\getenv abs_srcdir PG_ABS_SRCDIR
\set file :abs_srcdir '/sql/include/plan_by_hand.sql'
\i :file
SELECT mongo_migrate.run_command('load_errors', '{"insert": "things", "documents": [{"_id": 1, "n": 1, "s": "x", "items": [1, 2]}]}')->'n' AS n;
CREATE TABLE things (id bigint NOT NULL, n integer, s text, g integer GENERATED ALWAYS AS (n + 1) STORED);
CREATE TABLE items (thing_id bigint, position integer, item integer);

-- No plan, nothing included, no table, no map.
INSERT INTO mongo_migrate.chunk (server, collection, chunk) VALUES ('load_errors', 'things', 1);
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
SELECT pg_temp.plan('things', 'load_errors.things', '{"id": "id _id bigint", "n": "value n integer", "s": "value s text"}');
UPDATE mongo_migrate.plan_target SET included = false WHERE server = 'load_errors';
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
UPDATE mongo_migrate.plan_target SET included = true WHERE server = 'load_errors';
ALTER TABLE things RENAME TO elsewhere;
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
CREATE SEQUENCE things;
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
DROP SEQUENCE things;
ALTER TABLE elsewhere RENAME TO things;
SELECT relation AS map FROM mongo_migrate.id_map WHERE server = 'load_errors' \gset
UPDATE mongo_migrate.id_map SET relation = NULL WHERE server = 'load_errors';
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
UPDATE mongo_migrate.id_map SET relation = :'map' WHERE server = 'load_errors';

-- Columns: missing, generated, of another type, of no type, not null and not planned.
ALTER TABLE things DROP COLUMN s;
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
ALTER TABLE things ADD COLUMN s text;
UPDATE mongo_migrate.plan_column SET type = 'citext_or_so' WHERE server = 'load_errors' AND column_name = 's';
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
UPDATE mongo_migrate.plan_column SET type = 'numeric(10,2)' WHERE server = 'load_errors' AND column_name = 's';
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
UPDATE mongo_migrate.plan_column SET type = 'char(3)' WHERE server = 'load_errors' AND column_name = 's';
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
SELECT hint FROM mongo_migrate.check_plan('load_errors', 'things') WHERE column_name = 's';
UPDATE mongo_migrate.plan_column SET type = 'text' WHERE server = 'load_errors' AND column_name = 's';
UPDATE mongo_migrate.plan_column SET column_name = 'g' WHERE server = 'load_errors' AND column_name = 'n';
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
UPDATE mongo_migrate.plan_column SET column_name = 'n' WHERE server = 'load_errors' AND column_name = 'g';
ALTER TABLE things ADD COLUMN required text NOT NULL;
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
ALTER TABLE things DROP COLUMN required;

-- Expressions: syntax, names, types, sets; a place where there is none.
UPDATE mongo_migrate.plan_column SET expression = 'upper(' WHERE server = 'load_errors' AND column_name = 's';
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
UPDATE mongo_migrate.plan_column SET expression = 'no_such(value)' WHERE server = 'load_errors' AND column_name = 's';
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
UPDATE mongo_migrate.plan_column SET expression = 'city' WHERE server = 'load_errors' AND column_name = 's';
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
UPDATE mongo_migrate.plan_column SET expression = 'generate_series(1, 2)' WHERE server = 'load_errors' AND column_name = 's';
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
UPDATE mongo_migrate.plan_column SET expression = '1), (2' WHERE server = 'load_errors' AND column_name = 's';
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
UPDATE mongo_migrate.plan_column SET expression = NULL WHERE server = 'load_errors' AND column_name = 's';
UPDATE mongo_migrate.plan_column SET expression = 'now()' WHERE server = 'load_errors' AND column_name = 'n';
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
UPDATE mongo_migrate.plan_column SET expression = NULL WHERE server = 'load_errors' AND column_name = 'n';
UPDATE mongo_migrate.plan_column SET role = 'reference', refers_to = 'things', expression = 'value' WHERE server = 'load_errors' AND column_name = 'n';
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
UPDATE mongo_migrate.plan_column SET expression = NULL, refers_to = 'unplanned' WHERE server = 'load_errors' AND column_name = 'n';
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
UPDATE mongo_migrate.plan_column SET role = 'position', refers_to = NULL, path = NULL WHERE server = 'load_errors' AND column_name = 'n';
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
UPDATE mongo_migrate.plan_column SET role = 'value', path = 'n' WHERE server = 'load_errors' AND column_name = 'n';

-- Children: a parent's column that is not there, a type that no value becomes.
SELECT pg_temp.plan('things', 'load_errors.items', '{"thing_id": "parent key bigint", "position": "position - integer", "item": "value $ integer"}', 'load_errors.things', 'items');
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
UPDATE mongo_migrate.plan_column SET parent_column = 'id' WHERE server = 'load_errors' AND column_name = 'thing_id';
ALTER TABLE items ALTER item TYPE int4range USING NULL;
UPDATE mongo_migrate.plan_column SET type = 'int4range' WHERE server = 'load_errors' AND column_name = 'item';
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1);
ALTER TABLE items ALTER item TYPE integer USING NULL;
UPDATE mongo_migrate.plan_column SET type = 'integer' WHERE server = 'load_errors' AND column_name = 'item';
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1, 1);
TABLE items;

-- A plan or table that changes between two batches is read anew.
SELECT mongo_migrate.run_command('load_errors', '{"insert": "things", "documents": [{"_id": 2, "n": 2, "s": "y"}, {"_id": 3, "n": 3, "s": "z"}, {"_id": 4, "n": 4, "s": "w"}]}')->'n' AS n;
UPDATE mongo_migrate.plan_column SET expression = 'upper(value)' WHERE server = 'load_errors' AND column_name = 's';
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1, 1);
ALTER TABLE things RENAME COLUMN s TO t;
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1, 1);
UPDATE mongo_migrate.plan_column SET column_name = 't' WHERE server = 'load_errors' AND column_name = 's';
CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN new.t := new.t || '!'; RETURN new; END $$;
UPDATE mongo_migrate.plan_column SET expression = NULL WHERE server = 'load_errors' AND column_name = 't';
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1, 1);
CREATE TRIGGER loud BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION loud();
SELECT mongo_migrate.copy_batch('load_errors', 'things', 1, 1);
SELECT n, t FROM things ORDER BY n;

\set file :abs_srcdir '/sql/include/forget_server.sql'
\i :file
\set VERBOSITY terse
SET client_min_messages = error;
DROP SCHEMA load_errors CASCADE;
DROP SERVER load_errors;

-- Who may migrate.
\set SHOW_CONTEXT never
\getenv mongo_uri MONGO_URI
CREATE SERVER grants_test FOREIGN DATA WRAPPER mongo_migrate
    OPTIONS (uri :'mongo_uri', database 'mm_test_grants');
SELECT mongo_migrate.run_command('grants_test', '{"dropDatabase": 1}') -> 'ok' AS ok;
SELECT mongo_migrate.run_command('grants_test', '{"insert": "things", "documents": [
    {"_id": {"$oid": "65a000000000000000000001"}, "name": "one", "parts": [{"n": 1}, {"n": 2}]},
    {"_id": {"$oid": "65a000000000000000000002"}, "name": "two", "next": {"$oid": "65a000000000000000000001"}}]}') -> 'n' AS n;
SELECT mongo_migrate.run_command('grants_test', '{"insert": "others", "documents": [{"_id": {"$oid": "65a000000000000000000003"}, "n": 1}]}') -> 'n' AS n;
CREATE ROLE regress_grants_migrator LOGIN;
CREATE ROLE regress_grants_nobody LOGIN;
CREATE SCHEMA grants_test;
GRANT ALL ON SCHEMA grants_test TO regress_grants_migrator;
GRANT USAGE ON FOREIGN SERVER grants_test TO regress_grants_migrator;
SELECT mongo_migrate.grant_usage('regress_grants_migrator');
-- It may use the id maps of others, also those made from now on.
SELECT mongo_migrate.plan_collection('grants_test', 'others', target => 'grants_test.others');
SELECT inserted, complete FROM mongo_migrate.migrate_collection('grants_test', 'others');
GRANT SELECT ON grants_test.others TO regress_grants_migrator;
SET SESSION AUTHORIZATION regress_grants_migrator;
SELECT * FROM mongo_migrate.verify_full('grants_test', 'others');
RESET SESSION AUTHORIZATION;

-- A right that comes by a role ends with the membership, between two batches, too.
SELECT mongo_migrate.run_command('grants_test', '{"insert": "shared", "documents": [{"_id": 1}, {"_id": 2}]}') -> 'n' AS n;
SELECT mongo_migrate.plan_collection('grants_test', 'shared', target => 'grants_test.shared', id_type => 'source');
SELECT action FROM mongo_migrate.apply_ddl('grants_test', 'shared');
INSERT INTO mongo_migrate.chunk (server, collection, chunk) VALUES ('grants_test', 'shared', 1);
CREATE ROLE regress_grants_filler;
GRANT SELECT, INSERT ON grants_test.shared TO regress_grants_filler;
GRANT regress_grants_filler TO regress_grants_migrator;
SET ROLE regress_grants_migrator;
SELECT inserted FROM mongo_migrate.copy_batch('grants_test', 'shared', 1, 1);
RESET ROLE;
REVOKE regress_grants_filler FROM regress_grants_migrator;
SET ROLE regress_grants_migrator;
SELECT inserted FROM mongo_migrate.copy_batch('grants_test', 'shared', 1, 1);
RESET ROLE;
DROP TABLE grants_test.shared;
DELETE FROM mongo_migrate.plan WHERE (server, collection) = ('grants_test', 'shared');
DELETE FROM mongo_migrate.chunk WHERE (server, collection) = ('grants_test', 'shared');
DROP ROLE regress_grants_filler;

-- Who cannot make the keys of an id map is told so before a document is copied.
SELECT mongo_migrate.run_command('grants_test', '{"insert": "owned", "documents": [{"_id": "a"}, {"_id": "b"}]}') -> 'n' AS n;
SELECT mongo_migrate.plan_collection('grants_test', 'owned', target => 'grants_test.owned');
SELECT action FROM mongo_migrate.apply_ddl('grants_test', 'owned');
ALTER TABLE grants_test.owned OWNER TO regress_grants_migrator;
SET SESSION AUTHORIZATION regress_grants_migrator;
\set VERBOSITY sqlstate
SELECT inserted, complete FROM mongo_migrate.migrate_collection('grants_test', 'owned');
\set VERBOSITY default
SELECT count(*) FROM grants_test.owned;
RESET SESSION AUTHORIZATION;
DO $$ BEGIN EXECUTE format('ALTER TABLE %s OWNER TO regress_grants_migrator', (SELECT relation FROM mongo_migrate.id_map WHERE (server, collection) = ('grants_test', 'owned'))); END $$;
SET SESSION AUTHORIZATION regress_grants_migrator;
SELECT inserted, complete FROM mongo_migrate.migrate_collection('grants_test', 'owned');
DELETE FROM mongo_migrate.plan WHERE (server, collection) = ('grants_test', 'owned');
DROP TABLE grants_test.owned;
RESET SESSION AUTHORIZATION;

SET SESSION AUTHORIZATION regress_grants_nobody;
SELECT mongo_migrate.migrate_collection('grants_test', 'things');
SELECT * FROM mongo_migrate.progress;
RESET SESSION AUTHORIZATION;
GRANT USAGE ON SCHEMA mongo_migrate TO regress_grants_nobody;
SET SESSION AUTHORIZATION regress_grants_nobody;
SELECT mongo_migrate.migrate_collection('grants_test', 'things');
SELECT mongo_migrate.run_command('grants_test', '{"ping": 1}');
SELECT mongo_migrate.run_workers(ARRAY['SELECT 1']);
SELECT * FROM mongo_migrate.progress;

SET SESSION AUTHORIZATION regress_grants_migrator;
CREATE USER MAPPING FOR regress_grants_migrator SERVER grants_test;
SELECT mongo_migrate.plan_collection('grants_test', 'things', target => 'grants_test.things');
SELECT inserted, complete FROM mongo_migrate.migrate_collection('grants_test', 'things');
SELECT inserted, skipped, complete FROM mongo_migrate.migrate_collection('grants_test', 'things', workers => 0);
SELECT * FROM mongo_migrate.verify_sample('grants_test', 'things');
SELECT collection, state, documents FROM mongo_migrate.progress WHERE server = 'grants_test' ORDER BY 1;
SELECT relname, relowner::regrole FROM pg_class WHERE relnamespace = 'grants_test'::regnamespace AND relkind = 'r' ORDER BY 1;
-- What one may do, one may not give.
SELECT mongo_migrate.grant_usage('regress_grants_nobody');
SELECT mongo_migrate.reset_collection('grants_test', 'things', truncate => true);
-- Rows that one does not see are rows all the same.
RESET SESSION AUTHORIZATION;
CREATE TABLE grants_test.policed (id bigint PRIMARY KEY, name text);
INSERT INTO grants_test.policed VALUES (1, 'hidden');
ALTER TABLE grants_test.policed ENABLE ROW LEVEL SECURITY;
CREATE POLICY seen ON grants_test.policed USING (name <> 'hidden');
GRANT ALL ON grants_test.policed TO regress_grants_migrator;
INSERT INTO mongo_migrate.plan_target (server, collection, target, kind, ordinal) VALUES ('grants_test', 'things', 'grants_test.policed', 'root', 9);
SET SESSION AUTHORIZATION regress_grants_migrator;
SELECT mongo_migrate.reset_collection('grants_test', 'things');
BEGIN;
UPDATE mongo_migrate.plan_target SET included = false WHERE target <> 'grants_test.policed';
SELECT mongo_migrate.has_rows('grants_test', 'things');
SELECT problem, hint, severity FROM mongo_migrate.check_plan('grants_test', 'things') WHERE target = 'grants_test.policed' AND column_name IS NULL;
ROLLBACK;
RESET SESSION AUTHORIZATION;
SELECT count(*) FROM grants_test.policed;
-- What a role may not do shows before the first document.
REVOKE SELECT, INSERT ON grants_test.policed FROM regress_grants_migrator;
SET SESSION AUTHORIZATION regress_grants_migrator;
SELECT problem, hint, severity FROM mongo_migrate.check_plan('grants_test', 'things') WHERE target = 'grants_test.policed' AND problem ~ 'right';
RESET SESSION AUTHORIZATION;
DELETE FROM mongo_migrate.plan_target WHERE target = 'grants_test.policed';
-- Others may have plans in schemas that a role cannot use.
CREATE SCHEMA grants_others;
CREATE TABLE grants_others.theirs (id integer);
INSERT INTO mongo_migrate.plan (server, collection) VALUES ('grants_others', 'theirs');
INSERT INTO mongo_migrate.plan_target (server, collection, target, kind, ordinal) VALUES ('grants_others', 'theirs', 'grants_others.theirs', 'root', 1);
SET SESSION AUTHORIZATION regress_grants_migrator;
SELECT severity, problem FROM mongo_migrate.check_plan('grants_test');
-- Or a role itself.
BEGIN;
UPDATE mongo_migrate.plan_target SET target = replace(target, 'grants_test', 'grants_others') WHERE (server, collection) = ('grants_test', 'things');
SELECT target, problem, severity FROM mongo_migrate.check_plan('grants_test', 'things');
ROLLBACK;
-- Or create no tables in.
RESET SESSION AUTHORIZATION;
GRANT USAGE ON SCHEMA grants_others TO regress_grants_migrator;
SET SESSION AUTHORIZATION regress_grants_migrator;
BEGIN;
UPDATE mongo_migrate.plan_target SET target = replace(target, 'grants_test', 'grants_others') WHERE (server, collection) = ('grants_test', 'things');
SELECT problem, hint, severity FROM mongo_migrate.check_plan('grants_test', 'things');
SAVEPOINT s;
SELECT * FROM mongo_migrate.apply_ddl('grants_test', 'things');
ROLLBACK TO s;
UPDATE mongo_migrate.plan_target SET target = replace(target, 'grants_others', 'grants_nowhere') WHERE (server, collection) = ('grants_test', 'things');
SELECT replace(problem, quote_ident(current_database()), 'DBNAME') AS problem, replace(hint, quote_ident(current_database()), 'DBNAME') AS hint, severity FROM mongo_migrate.check_plan('grants_test', 'things');
ROLLBACK;
-- Neither is verified: no row is told to be missing that one may not see, nor is it an error without a word of the right that lacks.
RESET SESSION AUTHORIZATION;
ALTER TABLE grants_test.others ENABLE ROW LEVEL SECURITY;
SET SESSION AUTHORIZATION regress_grants_migrator;
SELECT * FROM mongo_migrate.verify_counts('grants_test');
SELECT * FROM mongo_migrate.verify_sample('grants_test', 'others');
SELECT * FROM mongo_migrate.verify_full('grants_test', 'others', workers => 1);
SELECT * FROM mongo_migrate.compare_document('grants_test', 'others', '65a000000000000000000003');
RESET SESSION AUTHORIZATION;
ALTER TABLE grants_test.others DISABLE ROW LEVEL SECURITY;
BEGIN;
CREATE SCHEMA grants_closed;
ALTER TABLE grants_test.others SET SCHEMA grants_closed;
UPDATE mongo_migrate.plan_target SET target = 'grants_closed.others' WHERE (server, collection) = ('grants_test', 'others');
SET LOCAL SESSION AUTHORIZATION regress_grants_migrator;
SAVEPOINT s;
SELECT * FROM mongo_migrate.verify_counts('grants_test');
ROLLBACK TO s;
SELECT * FROM mongo_migrate.verify_sample('grants_test', 'others');
ROLLBACK TO s;
SELECT mongo_migrate.draft_ddl('grants_test');
ROLLBACK TO s;
SELECT mongo_migrate.repair('grants_test', 'things');
ROLLBACK TO s;
SET LOCAL client_min_messages = error;
SELECT mongo_migrate.verify_all('grants_test');
ROLLBACK;
SET SESSION AUTHORIZATION regress_grants_migrator;
SELECT * FROM mongo_migrate.verify_sample('grants_test', 'thing');
-- An expression has the rights of whoever runs it, and no others.
UPDATE mongo_migrate.plan_column SET expression = '(SELECT rolpassword FROM pg_authid LIMIT 1)' WHERE server = 'grants_test' AND column_name = 'name';
SELECT inserted, complete FROM mongo_migrate.migrate_collection('grants_test', 'things');
SELECT inserted, complete FROM mongo_migrate.migrate_collection('grants_test', 'things', workers => 0);
DELETE FROM mongo_migrate.plan WHERE server = 'grants_test';
RESET SESSION AUTHORIZATION;

SET client_min_messages = warning;
SELECT relation AS map FROM mongo_migrate.id_map WHERE (server, collection) = ('grants_test', 'others') \gset
DROP TABLE :map;
DELETE FROM mongo_migrate.plan WHERE server = 'grants_others';
DROP SCHEMA grants_test, grants_others CASCADE;
RESET client_min_messages;
SELECT mongo_migrate.run_command('grants_test', '{"dropDatabase": 1}') -> 'ok' AS ok;
DROP USER MAPPING FOR regress_grants_migrator SERVER grants_test;
DROP SERVER grants_test CASCADE;
DROP OWNED BY regress_grants_migrator, regress_grants_nobody;
DROP ROLE regress_grants_migrator, regress_grants_nobody;

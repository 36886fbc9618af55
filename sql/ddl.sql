-- A plan as DDL, checked and applied.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
CREATE SERVER ddl FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_ddl');
CREATE USER MAPPING FOR CURRENT_USER SERVER ddl;
SELECT mongo_migrate.run_command('ddl', '{"dropDatabase": 1}') ->> 'ok' AS ok;

CREATE FUNCTION load(collection text, VARIADIC documents json[]) RETURNS json LANGUAGE sql AS $$
    SELECT mongo_migrate.run_command('ddl', json_build_object('insert', collection, 'documents', documents)) -> 'n'
$$;
CREATE PROCEDURE run_keys(collection text) LANGUAGE plpgsql AS $$
DECLARE
    statement text;
BEGIN
    FOR statement IN SELECT mongo_migrate.key_ddl('ddl', collection) LOOP
        EXECUTE statement;
    END LOOP;
END
$$;

SELECT mongo_migrate.draft_ddl('ddl');
SELECT mongo_migrate.apply_ddl('ddl', 'users');

-- Fields with hostile names are quoted in names and kept to one line in remarks.
SELECT load('teams', '{"_id": 1, "name": "a"}', '{"_id": 2, "name": "b"}');
SELECT load('users', '{"_id": 1, "email": "a@example.com", "teamId": 1, "order": 1, "x\n); DROP TABLE users; --": 1, "roles": [{"name": "admin", "teamId": 2}], "teamIds": [1, 2]}',
    '{"_id": 2, "email": "b@example.com", "teamId": 2, "order": 2.5, "roles": [], "teamIds": []}');
SELECT mongo_migrate.run_command('ddl',
    '{"createIndexes": "users", "indexes": [{"key": {"email": 1}, "name": "email", "unique": true}, {"key": {"order": 1}, "name": "order", "unique": true}]}') ->> 'ok' AS ok;
SELECT mongo_migrate.plan_collection('ddl', 'users', schema => 'My App');
\pset format unaligned
\pset tuples_only on
SELECT mongo_migrate.draft_ddl('ddl');
-- A reference gets its foreign key when both sides are planned.
SELECT mongo_migrate.draft_ddl('ddl', section => 'references');
SELECT mongo_migrate.plan_collection('ddl', 'teams', target => '"My App".teams', id_type => 'uuid');
SELECT mongo_migrate.draft_ddl('ddl', section => 'references');
SELECT mongo_migrate.draft_ddl('ddl', 'teams');
SELECT mongo_migrate.draft_ddl('ddl') = mongo_migrate.draft_ddl('ddl') AS same;
\pset format aligned
\pset tuples_only off
SELECT mongo_migrate.draft_ddl('ddl', section => 'index');
SELECT mongo_migrate.draft_ddl('ddl', 'orders');
SELECT mongo_migrate.draft_ddl('nowhere');

-- Applied, and applied again.
SELECT * FROM mongo_migrate.apply_ddl('ddl');
SELECT * FROM mongo_migrate.apply_ddl('ddl', 'users');
\d "My App".users
SELECT obj_description('"My App".users_roles'::regclass) AS comment;

-- Keys and foreign keys are left out where they exist.
SELECT * FROM mongo_migrate.key_ddl('ddl', 'users');
CALL run_keys('users');
SELECT * FROM mongo_migrate.key_ddl('ddl', 'users');
CALL run_keys('teams');
SELECT target, column_name, refers_to, refers_target, statement FROM mongo_migrate.reference_ddl('ddl');
ALTER TABLE "My App".users ADD FOREIGN KEY (team_id) REFERENCES "My App".teams (id);
SELECT target, column_name FROM mongo_migrate.reference_ddl('ddl');
\d "My App".users_team_ids

-- What can be wrong with a plan.
CREATE TEMP TABLE good AS SELECT * FROM mongo_migrate.plan_column WHERE server = 'ddl';
CREATE FUNCTION trouble(change text) RETURNS TABLE (target text, column_name name, problem text, hint text, severity text)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('UPDATE mongo_migrate.plan_column SET %s WHERE server = ''ddl'' AND collection = ''users'' AND column_name = ''email''', change);
    RETURN QUERY SELECT * FROM mongo_migrate.check_plan('ddl', 'users');
    UPDATE mongo_migrate.plan_column AS c
       SET role = g.role, path = g.path, type = g.type, nullable = g.nullable, source_type = g.source_type,
           expression = g.expression, refers_to = g.refers_to
      FROM good AS g WHERE (c.server, c.collection, c.target, c.column_name) = (g.server, g.collection, g.target, g.column_name);
END
$$;
CREATE SCHEMA other;
CREATE DOMAIN other.mail AS text;
\x on
SELECT * FROM trouble('type = ''txt''');
SELECT * FROM trouble('type = ''mail''');
SELECT * FROM trouble('source_type = ''jsn''');
SELECT * FROM trouble('expression = ''lower(valu)''');
SELECT * FROM trouble('expression = ''lower(value''');
SELECT * FROM trouble('expression = ''value); DROP TABLE good; SELECT (1''');
SELECT * FROM trouble('expression = ''(doc ->> ''''email'''') || value''');
SELECT * FROM trouble('type = ''bigint'', role = ''reference'', refers_to = ''team''');
SELECT * FROM trouble('path = ''emial''');
SELECT * FROM trouble('type = ''varchar(100)''');
\x off
SELECT count(*) FROM good;
UPDATE mongo_migrate.plan_column SET type = 'nonsense' WHERE server = 'ddl' AND collection = 'users' AND column_name = 'email';
SELECT mongo_migrate.apply_ddl('ddl');
UPDATE mongo_migrate.plan_column SET type = 'text' WHERE server = 'ddl' AND collection = 'users' AND column_name = 'email';

-- NOT NULL where documents have no value; a table that the plan takes for existing and is not there.
ALTER TABLE "My App".users ALTER COLUMN x_drop_table_users SET NOT NULL;
UPDATE mongo_migrate.plan_target SET existing = true, target = '"My App".roles' WHERE server = 'ddl' AND target LIKE '%users_roles';
SELECT target, column_name, severity, problem FROM mongo_migrate.check_plan('ddl', 'users');
SELECT mongo_migrate.apply_ddl('ddl', 'users');
UPDATE mongo_migrate.plan_target SET existing = false WHERE server = 'ddl' AND target LIKE '%roles';
SELECT * FROM mongo_migrate.apply_ddl('ddl', 'users');
-- A table without the column, or with another type.
ALTER TABLE "My App".roles DROP COLUMN name;
SELECT mongo_migrate.apply_ddl('ddl', 'users');
ALTER TABLE "My App".roles ADD COLUMN name integer;
SELECT mongo_migrate.apply_ddl('ddl', 'users');

SET client_min_messages = warning;
DROP SCHEMA "My App", other CASCADE;
SELECT mongo_migrate.run_command('ddl', '{"dropDatabase": 1}') ->> 'ok' AS ok;
DELETE FROM mongo_migrate.plan WHERE server = 'ddl';
DROP FUNCTION load, trouble;
DROP PROCEDURE run_keys;
DO $$
DECLARE
    map text;
BEGIN
    FOR map IN SELECT relation FROM mongo_migrate.id_map WHERE server = 'ddl' AND relation IS NOT NULL LOOP
        EXECUTE format('DROP TABLE %s', map);
    END LOOP;
END
$$;
DELETE FROM mongo_migrate.id_map WHERE server = 'ddl';
DROP USER MAPPING FOR CURRENT_USER SERVER ddl;
DROP SERVER ddl;

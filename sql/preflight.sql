-- preflight(): what it finds.
\getenv mongo_uri MONGO_URI
CREATE SERVER pre FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_preflight');
SELECT mongo_migrate.run_command('pre', '{"dropDatabase": 1}')->'ok';

-- An empty database.
SELECT "check", status FROM mongo_migrate.preflight('pre')
WHERE "check" NOT IN ('workers', 'pg_cron', 'oplog', 'server version');
SELECT "check", status, detail FROM mongo_migrate.preflight('pre') WHERE "check" = 'collections';

-- One with all kinds of collections.
SELECT mongo_migrate.run_command('pre', c::json)->'ok' FROM (VALUES
    ('{"insert": "plain", "documents": [{"_id": 1}, {"_id": 2}]}'),
    ('{"create": "a view", "viewOn": "plain", "pipeline": []}'),
    ('{"create": "capped", "capped": true, "size": 4096}'),
    ('{"create": "german", "collation": {"locale": "de"}}'),
    ('{"create": "swedish", "collation": {"locale": "sv"}}'),
    ('{"create": "measurements", "timeseries": {"timeField": "at"}}')) v(c);
SELECT "check", status, regexp_replace(detail, ', [0-9.]+ bytes', ', ... bytes') AS detail FROM mongo_migrate.preflight('pre')
WHERE "check" IN ('collections', 'read', 'views', 'capped', 'collations', 'time series');

-- Every row says something.
SELECT count(*) FROM mongo_migrate.preflight('pre')
WHERE "check" IS NULL OR status IS NULL OR status NOT IN ('ok', 'warn', 'fail') OR detail IS NULL OR detail = '';

-- No server there; none of that name.
CREATE SERVER pre_bad FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri 'mongodb://127.0.0.1:1/', database 'x');
SELECT "check", status FROM mongo_migrate.preflight('pre_bad') WHERE status = 'fail';
SELECT "check", status, detail FROM mongo_migrate.preflight('pro') WHERE status = 'fail';

-- A view whose collection's pipeline fails cannot be read.
SELECT mongo_migrate.run_command('pre', '{"create": "broken", "viewOn": "plain", "pipeline": [{"$project": {"x": {"$divide": [1, {"$subtract": ["$_id", "$_id"]}]}}}]}')->'ok';
SELECT "check", status, split_part(detail, ':', 1) AS collection FROM mongo_migrate.preflight('pre') WHERE "check" = 'read';

-- What a role may do with the tables that are planned, and where they would be by default.
CREATE ROLE regress_preflight;
SELECT mongo_migrate.grant_usage('regress_preflight');
GRANT USAGE ON FOREIGN SERVER pre TO regress_preflight;
CREATE USER MAPPING FOR regress_preflight SERVER pre;
SELECT * FROM mongo_migrate.preflight('pre') WHERE "check" IN ('schemas', 'tables');
SET ROLE regress_preflight;
SELECT * FROM mongo_migrate.preflight_tables('pre');
SELECT detail ~ '^max_worker_processes is [0-9]+, at least [0-9]+ in use' AS unseen FROM mongo_migrate.preflight('pre') WHERE "check" = 'workers';
RESET ROLE;
CREATE SCHEMA pre_tables;
SELECT mongo_migrate.plan_collection('pre', 'plain', schema => 'pre_tables');
SELECT mongo_migrate.plan_collection('pre', 'german', schema => 'pre_new');
SELECT mongo_migrate.plan_collection('pre', 'swedish', schema => 'pre_tables');
UPDATE mongo_migrate.plan_target SET existing = true WHERE target = 'pre_tables.swedish';
SET ROLE regress_preflight;
SELECT "check", status, replace(detail, quote_ident(current_database()), 'DBNAME') AS detail FROM mongo_migrate.preflight_tables('pre');
RESET ROLE;
CREATE TABLE pre_tables.swedish (id bigint);
GRANT SELECT ON pre_tables.swedish TO regress_preflight;
GRANT CREATE ON DATABASE :"DBNAME" TO regress_preflight;
SELECT target, action FROM mongo_migrate.apply_ddl('pre', 'plain');
SET ROLE regress_preflight;
SELECT * FROM mongo_migrate.preflight_tables('pre');
RESET ROLE;
GRANT USAGE ON SCHEMA pre_tables TO regress_preflight;
GRANT ALL ON pre_tables.plain TO regress_preflight;
SET ROLE regress_preflight;
SELECT * FROM mongo_migrate.preflight_tables('pre');
RESET ROLE;
ALTER TABLE pre_tables.plain OWNER TO regress_preflight;
GRANT SELECT, INSERT ON pre_tables.swedish TO regress_preflight;
SET ROLE regress_preflight;
SELECT * FROM mongo_migrate.preflight_tables('pre');
RESET ROLE;

SELECT mongo_migrate.run_command('pre', '{"dropDatabase": 1}')->'ok';
DELETE FROM mongo_migrate.plan WHERE server = 'pre';
DELETE FROM mongo_migrate.id_map WHERE server = 'pre';
DROP TABLE pre_tables.plain, pre_tables.swedish;
DROP SCHEMA pre_tables;
DROP USER MAPPING FOR regress_preflight SERVER pre;
DROP OWNED BY regress_preflight;
DROP ROLE regress_preflight;
DROP SERVER pre, pre_bad;

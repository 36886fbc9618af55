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
SELECT "check", status, detail FROM mongo_migrate.preflight('pre')
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

SELECT mongo_migrate.run_command('pre', '{"dropDatabase": 1}')->'ok';
DROP SERVER pre, pre_bad;

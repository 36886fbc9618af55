-- Keys that several workers build at a time: the same as those of one.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
CREATE SERVER build_keys FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_build_keys');
SELECT mongo_migrate.run_command('build_keys', '{"dropDatabase": 1}')->'ok' AS ok;
CREATE SCHEMA build_keys;
-- Tables and columns whose keys have the same names, when cut; a unique field, and an index on two.
SELECT mongo_migrate.run_command('build_keys', json_build_object('insert', 'long', 'documents', json_agg(json_build_object(
    '_id', n, 'n', n, 'tag', 't' || n, repeat('k', 70) || 'a', json_build_array(json_build_object('x', n)), repeat('k', 70) || 'b', json_build_array(json_build_object('x', n))))))->'n' AS n
    FROM generate_series(1, 20) AS n;
SELECT mongo_migrate.run_command('build_keys', '{"createIndexes": "long", "indexes": [
    {"key": {"tag": 1}, "name": "tag", "unique": true}, {"key": {"n": 1, "tag": -1}, "name": "n_tag"}]}')->'ok' AS ok;
SELECT mongo_migrate.plan_collection('build_keys', 'long', target => 'build_keys.' || repeat('l', 60), id_type => 'bigint');
UPDATE mongo_migrate.plan_column SET check_rule = '> 0' WHERE server = 'build_keys' AND column_name = 'n';
CREATE VIEW pg_temp.keys AS
    SELECT i.indrelid::regclass AS relation, regexp_replace(c.relname, '^id_map_\d+', 'id_map') AS name, k.contype, i.indisprimary,
           regexp_replace(pg_get_indexdef(i.indexrelid), '^.*USING', '') AS definition
      FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid LEFT JOIN pg_constraint AS k ON k.conindid = i.indexrelid AND k.conrelid = i.indrelid
     WHERE c.relnamespace = 'build_keys'::regnamespace
        OR i.indrelid = (SELECT m.relation::regclass FROM mongo_migrate.id_map AS m WHERE m.server = 'build_keys' AND m.collection = 'long');

-- By one.
SELECT documents, inserted, complete FROM mongo_migrate.migrate_collection('build_keys', 'long', workers => 1);
CREATE TEMP TABLE by_one AS TABLE pg_temp.keys;
SELECT name, contype, definition FROM by_one ORDER BY name COLLATE "C";

-- By three, where PostgreSQL would take several processes for an index: here, always.
CREATE FUNCTION pg_temp.forget() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    relation text;
BEGIN
    FOR relation IN SELECT m.relation FROM mongo_migrate.id_map AS m WHERE m.server = 'build_keys' AND m.relation IS NOT NULL
        UNION ALL SELECT oid::regclass::text FROM pg_class WHERE relnamespace = 'build_keys'::regnamespace AND relkind = 'r' LOOP
        EXECUTE format('DROP TABLE %s CASCADE', relation);
    END LOOP;
    DELETE FROM mongo_migrate.chunk WHERE server = 'build_keys';
    DELETE FROM mongo_migrate.run WHERE server = 'build_keys';
    DELETE FROM mongo_migrate.quarantine WHERE server = 'build_keys';
END $$;
SET client_min_messages = warning;
SELECT pg_temp.forget();
RESET client_min_messages;
SET min_parallel_table_scan_size = 0;
SELECT documents, inserted, complete FROM mongo_migrate.migrate_collection('build_keys', 'long', workers => 3);
SELECT count(*) FROM pg_temp.keys;
SELECT name, contype, indisprimary, definition FROM by_one EXCEPT SELECT name, contype, indisprimary, definition FROM pg_temp.keys;

-- By hand, one at a time; then the plan changes, and what was built for it is in the way no more.
SET client_min_messages = warning;
SELECT pg_temp.forget();
RESET client_min_messages;
SELECT mongo_migrate.prepare_run('build_keys', 'long', 100, 0, 'quarantine', NULL, NULL) AS run \gset
SELECT mongo_migrate.build_key(:run, '{}') IS NOT NULL AS built, pg_advisory_unlock_all();
CALL mongo_migrate.copy_chunks(:run);
CALL mongo_migrate.build_keys(:run);
SELECT phase, state FROM mongo_migrate.run WHERE run_id = :run;
SELECT count(*), count(*) FILTER (WHERE name ~ '^mongo_migrate_key_\d+_[0-9a-f]{8}$') AS passing FROM pg_temp.keys;
UPDATE mongo_migrate.plan_column SET is_unique = false WHERE server = 'build_keys' AND column_name = 'tag';
DELETE FROM mongo_migrate.plan_index WHERE server = 'build_keys';
CALL mongo_migrate.finish_run(:run);
SELECT phase, state FROM mongo_migrate.run WHERE run_id = :run;
SELECT name, contype, definition FROM pg_temp.keys WHERE definition ~ 'tag';
SELECT count(*) FROM pg_temp.keys;
UPDATE mongo_migrate.plan_column SET is_unique = true WHERE server = 'build_keys' AND column_name = 'tag';

-- All who build, two at least, share the processes that one CREATE INDEX may take; the last index gets them all.
SET client_min_messages = warning;
SELECT pg_temp.forget();
RESET client_min_messages;
SET max_parallel_maintenance_workers = 3;
SELECT mongo_migrate.prepare_run('build_keys', 'long', 100, 1, 'quarantine', NULL, NULL) AS run \gset
CALL mongo_migrate.copy_chunks(:run);
SELECT count(*) FROM mongo_migrate.keys_to_build('build_keys', 'long');
BEGIN;
SELECT mongo_migrate.build_key(:run, '{}') IS NOT NULL AS built;
SHOW max_parallel_maintenance_workers;
COMMIT;
SELECT count(mongo_migrate.build_key(:run, '{}')) FROM generate_series(1, 3);
SELECT count(*) FROM mongo_migrate.keys_to_build('build_keys', 'long');
BEGIN;
SELECT mongo_migrate.build_key(:run, '{}') IS NOT NULL AS built;
SHOW max_parallel_maintenance_workers;
COMMIT;
BEGIN;
SELECT mongo_migrate.build_key(:run, '{}') IS NOT NULL AS built;
SHOW max_parallel_maintenance_workers;
COMMIT;
RESET max_parallel_maintenance_workers;
SELECT pg_advisory_unlock_all();

-- A run that is to stop begins no other index; the next one goes on with those that are there.
SET client_min_messages = warning;
SELECT pg_temp.forget();
RESET client_min_messages;
SELECT mongo_migrate.prepare_run('build_keys', 'long', 100, 0, 'quarantine', NULL, NULL) AS run \gset
CALL mongo_migrate.copy_chunks(:run);
SELECT mongo_migrate.end_copy(:run), mongo_migrate.build_key(:run, '{}') IS NOT NULL AS built, pg_advisory_unlock_all();
SELECT mongo_migrate.stop_migration('build_keys');
CALL mongo_migrate.build_keys(:run);
SELECT count(*) FROM pg_temp.keys;
CALL mongo_migrate.finish_run(:run);
SELECT phase, state, error FROM mongo_migrate.run WHERE run_id = :run;
SELECT documents, inserted, complete FROM mongo_migrate.migrate_collection('build_keys', 'long', workers => 3);
SELECT name, contype, indisprimary, definition FROM by_one WHERE definition !~ 'tag' EXCEPT SELECT name, contype, indisprimary, definition FROM pg_temp.keys;

-- A key that the data breaks is told by its name, once; mended, the run ends with it.
SET client_min_messages = warning;
SELECT pg_temp.forget();
RESET client_min_messages;
SELECT mongo_migrate.run_command('build_keys', '{"dropIndexes": "long", "index": "tag"}')->'ok' AS ok;
SELECT mongo_migrate.run_command('build_keys', '{"update": "long", "updates": [{"q": {"_id": 7}, "u": {"$set": {"tag": "t8"}}}]}')->'n' AS n;
SELECT mongo_migrate.migrate_collection('build_keys', 'long', workers => 3);
SELECT count(*) FROM pg_temp.keys WHERE definition ~ '\(tag\)';
SELECT format('UPDATE %s SET tag = ''t7'' WHERE n = 7', target) FROM mongo_migrate.plan_target WHERE server = 'build_keys' AND kind = 'root' \gexec
SELECT documents, inserted, complete FROM mongo_migrate.migrate_collection('build_keys', 'long', workers => 3);
SELECT name, contype, indisprimary, definition FROM pg_temp.keys WHERE definition ~ '\(tag\)';
SELECT count(*) FROM pg_temp.keys WHERE name ~ '^mongo_migrate_key';

-- Values that no index takes: the error has the index, and what to do.
SET client_min_messages = warning;
SELECT pg_temp.forget();
RESET client_min_messages;
SELECT mongo_migrate.run_command('build_keys', json_build_object('update', 'long', 'updates', json_build_array(json_build_object('q', json_build_object('_id', 7),
    'u', json_build_object('$set', json_build_object('tag', string_agg(md5(n::text), '')))))))->'n' AS n FROM generate_series(1, 300) AS n;
SELECT mongo_migrate.migrate_collection('build_keys', 'long', workers => 3);
UPDATE mongo_migrate.plan_column SET is_unique = false WHERE server = 'build_keys' AND column_name = 'tag';
INSERT INTO mongo_migrate.plan_index (server, collection, target, index_name, ordinal, keys)
    SELECT server, collection, target, 'n_tag', 1, '{"n": 1, "tag": -1}' FROM mongo_migrate.plan_target WHERE server = 'build_keys' AND kind = 'root';
SELECT mongo_migrate.migrate_collection('build_keys', 'long', workers => 3);
SELECT mongo_migrate.reset_collection('build_keys', 'long', truncate => true);
SELECT mongo_migrate.migrate_collection('build_keys', 'long', dry_run => true);
UPDATE mongo_migrate.plan_index SET included = false WHERE server = 'build_keys';
SELECT documents, inserted, complete FROM mongo_migrate.migrate_collection('build_keys', 'long', workers => 3);
RESET min_parallel_table_scan_size;
SELECT mongo_migrate.run_command('build_keys', '{"dropDatabase": 1}')->'ok' AS ok;
SET client_min_messages = warning;
SELECT pg_temp.forget();
DELETE FROM mongo_migrate.plan WHERE server = 'build_keys';
DELETE FROM mongo_migrate.id_map WHERE server = 'build_keys';
DROP SERVER build_keys;
DROP SCHEMA build_keys CASCADE;

-- What a migration would take, from a sample that is rolled back.
\set SHOW_CONTEXT never
\getenv mongo_uri MONGO_URI
SET client_min_messages = warning;
CREATE SERVER estimate FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_estimate');
SELECT mongo_migrate.run_command('estimate', '{"dropDatabase": 1}') -> 'ok' AS ok;
SELECT mongo_migrate.run_command('estimate', '{"insert": "visits", "documents": [{}]}') -> 'ok' AS ok;
SELECT mongo_migrate.run_command('estimate', '{"aggregate": "visits", "cursor": {}, "pipeline": [
    {"$project": {"_id": 0, "n": {"$range": [0, 20000]}}}, {"$unwind": "$n"},
    {"$project": {"n": 1, "text": "a text of some length", "items": [{"sku": "a"}, {"sku": "b"}]}}, {"$out": "visits"}]}') -> 'ok' AS ok;
-- A tenth of the documents cannot become rows.
SELECT mongo_migrate.plan_collection('estimate', 'visits');
UPDATE mongo_migrate.plan_column SET expression = '10 / (value % 10) * 0 + value', nullable = true
 WHERE server = 'estimate' AND collection = 'visits' AND column_name = 'n';

CREATE TEMP TABLE estimated AS SELECT * FROM mongo_migrate.estimate('estimate', 'visits', sample_size => 5000);
SELECT target, documents, sampled, rejected, rows, table_bytes > 0 AS has_table, index_bytes > 0 AS has_indexes,
       copy_time > '0' AS copied, key_time > '0' AS keys FROM estimated;
SELECT * FROM mongo_migrate.estimate('estimate', 'visits', sample_size => 0);
SELECT * FROM mongo_migrate.estimate('estimate', 'visit');
SELECT * FROM mongo_migrate.estimate('estimat', 'visits');

-- Nothing is left of it.
SELECT to_regclass('public.visits') AS visits,
       (SELECT count(*) FROM mongo_migrate.chunk WHERE server = 'estimate') AS chunks,
       (SELECT count(*) FROM mongo_migrate.quarantine WHERE server = 'estimate') AS quarantine;

-- What the migration does.
SELECT documents, inserted, rejected, complete FROM mongo_migrate.migrate_collection('estimate', 'visits');
SELECT m.target, m.rows, e.rows = m.rows AS rows_as_estimated,
       e.table_bytes BETWEEN 0.75 * m.table_bytes AND 1.25 * m.table_bytes AS table_as_estimated,
       e.index_bytes BETWEEN 0.75 * m.index_bytes AND 1.25 * m.index_bytes AS indexes_as_estimated
  FROM mongo_migrate.target_sizes('estimate', 'visits') m JOIN estimated e USING (target);
-- Of a collection with few ranges as many documents as of one with ten.
SELECT mongo_migrate.run_command('estimate', '{"aggregate": "visits", "cursor": {}, "pipeline": [{"$match": {"n": {"$lt": 100}}}, {"$project": {"n": 1}}, {"$out": "hundred"}]}') -> 'ok' AS ok;
SELECT documents, sampled, rejected FROM mongo_migrate.estimate('estimate', 'hundred', sample_size => 50) WHERE target IS NULL;
-- It is there: nothing to add.
SELECT target, rows, documents, sampled, rejected FROM mongo_migrate.estimate('estimate', 'visits', sample_size => 100);
SELECT count(*) FROM visits;

-- A table with rows that somebody else put there: a migration skips the documents that have theirs.
SELECT mongo_migrate.run_command('estimate', '{"insert": "few", "documents": [{"_id": 1, "a": "x"}, {"_id": 2, "a": "y"}, {"_id": 3, "a": "z"}]}') -> 'n' AS n;
SELECT mongo_migrate.plan_collection('estimate', 'few', id_type => 'source');
SELECT action FROM mongo_migrate.apply_ddl('estimate', 'few');
ALTER TABLE few ADD PRIMARY KEY (id);
INSERT INTO few VALUES (2, 'y');
SELECT target, rows, documents, sampled, rejected FROM mongo_migrate.estimate('estimate', 'few');
SELECT inserted, skipped, rejected FROM mongo_migrate.migrate_collection('estimate', 'few', dry_run => true);
SELECT inserted, skipped, rejected FROM mongo_migrate.migrate_collection('estimate', 'few');
DROP TABLE few;

-- An empty collection.
SELECT mongo_migrate.run_command('estimate', '{"create": "nothing"}') -> 'ok' AS ok;
SELECT * FROM mongo_migrate.estimate('estimate', 'nothing');

SELECT mongo_migrate.reset_collection('estimate', 'visits', truncate => true);
DROP TABLE visits_items, visits;
SELECT mongo_migrate.run_command('estimate', '{"dropDatabase": 1}') -> 'ok' AS ok;
DELETE FROM mongo_migrate.plan WHERE server = 'estimate';
DELETE FROM mongo_migrate.id_map WHERE server = 'estimate';
DROP SERVER estimate;

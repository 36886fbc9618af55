-- A verification by several workers: the same findings, whatever the ranges.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
\pset format unaligned
CREATE SERVER parts FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_parts');
CREATE FUNCTION run(command json) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(r ->> 'n', r ->> 'ok') FROM mongo_migrate.run_command('parts', command) AS r
$$;
SELECT run('{"dropDatabase": 1}') \g /dev/null
-- _id of all types, the last MaxKey; two tables, one of them with children.
SELECT run('{"insert": "things", "documents": [{"_id": {"$minKey": 1}, "n": 1}, {"_id": null, "n": 2}, {"_id": "a", "n": 3}, {"_id": {"b": 1, "a": 2}, "n": 4}, {"_id": {"a": 2, "b": 1}, "n": 5},
    {"_id": {"long": {"z": 1, "y": [1, {"x": 1}]}, "a": 0}, "n": 6}, {"_id": true, "n": 7}, {"_id": {"$date": "2024-01-01T00:00:00Z"}, "n": 8}, {"_id": {"$maxKey": 1}, "n": 9}]}');
SELECT run(json_build_object('insert', 'things', 'documents', (SELECT json_agg(json_build_object('_id', n, 'n', n, 'items', json_build_array(json_build_object('q', n), json_build_object('q', n / 2.0))))
    FROM generate_series(10, 300) AS n)));
SELECT mongo_migrate.plan_collection('parts', 'things', sample_size => 0);
INSERT INTO mongo_migrate.plan_target (server, collection, target, kind, ordinal, filter) VALUES ('parts', 'things', 'public.small_things', 'root', 10, '{"n": {"$lt": 100}}');
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, nullable, source_type)
    SELECT server, collection, 'public.small_things', column_name, ordinal, role, path, type, nullable, source_type
    FROM mongo_migrate.plan_column WHERE (server, target) = ('parts', 'public.things') AND path IN ('_id', 'n');
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('parts', 'things', workers => 0);

CREATE TEMP TABLE by_one (LIKE mongo_migrate.finding);
CREATE TEMP TABLE by_parts (LIKE mongo_migrate.finding);
-- So many parts, by hand.
CREATE FUNCTION by_parts(parts integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    job bigint := mongo_migrate.verify_prepare('parts', 'things', '{"retry_for": "0"}', parts);
BEGIN
    ASSERT (SELECT count(*) BETWEEN 2 AND 2 * parts AND count(*) FILTER (WHERE lower_key IS NULL) = 2 AND count(*) FILTER (WHERE upper_key IS NULL) = 2
            FROM mongo_migrate.verification_part WHERE verification_id = job);
    WHILE mongo_migrate.verify_next_part(job) LOOP NULL; END LOOP;
    PERFORM mongo_migrate.verify_finish(job);
    ASSERT NOT EXISTS (SELECT FROM mongo_migrate.verification_part WHERE verification_id = job);
    ASSERT (SELECT documents = 300 + 99 FROM mongo_migrate.verification WHERE verification_id = job);
    DELETE FROM by_parts;
    INSERT INTO by_parts SELECT * FROM mongo_migrate.finding WHERE verification_id = job;
END $$;
CREATE FUNCTION unlike() RETURNS TABLE (differences json) LANGUAGE sql AS $$
    (SELECT to_json(o) FROM (SELECT source_id, target, column_name, kind, source_value, target_value, element FROM by_one
                             EXCEPT ALL SELECT source_id, target, column_name, kind, source_value, target_value, element FROM by_parts) AS o)
    UNION ALL
    (SELECT to_json(o) FROM (SELECT source_id, target, column_name, kind, source_value, target_value, element FROM by_parts
                             EXCEPT ALL SELECT source_id, target, column_name, kind, source_value, target_value, element FROM by_one) AS o)
$$;
SELECT * FROM mongo_migrate.verify_full('parts', 'things');
SELECT by_parts(n) FROM generate_series(1, 16, 5) AS n;
TABLE by_parts;
-- Now with something to find: changed, gone, without a document, and as many rows as there are documents.
UPDATE public.things SET n = n + 1 WHERE n % 50 = 9;
DELETE FROM public.things_items WHERE q = 20;
DELETE FROM public.things_items WHERE thing_id = (SELECT id FROM public.things WHERE n = 30);
DELETE FROM public.things WHERE n = 30;
INSERT INTO public.things (id, n) VALUES (1000000, 30);
DELETE FROM public.small_things WHERE n IN (9, 50);
INSERT INTO by_one SELECT 0, 'things', v.source_id, v.target, v.column_name, v.kind, v.source_value, v.target_value, v.element FROM mongo_migrate.verify_full('parts', 'things') AS v;
SELECT target, kind, count(*) FROM by_one GROUP BY 1, 2 ORDER BY target COLLATE "C", kind;
SELECT by_parts(n) FROM generate_series(2, 20, 6) AS n;
SELECT * FROM unlike();
DELETE FROM by_parts;
-- And by workers.
INSERT INTO by_parts SELECT 0, 'things', v.source_id, v.target, v.column_name, v.kind, v.source_value, v.target_value, v.element FROM mongo_migrate.verify_full('parts', 'things', workers => 2) AS v;
SELECT count(*) > 5 AS some FROM by_parts;
SELECT * FROM unlike();
SELECT kind, options - 'caller' AS options, documents, findings, ok FROM mongo_migrate.verification ORDER BY verification_id DESC LIMIT 1;

-- A view is one part; what fails leaves nothing behind.
SELECT run('{"create": "late", "viewOn": "things", "pipeline": [{"$match": {"n": {"$gt": 250}}}]}');
SELECT inserted, rejected FROM mongo_migrate.migrate_collection('parts', 'late', workers => 0);
-- What is left of one whose session was killed goes.
INSERT INTO mongo_migrate.verification (server, collection, kind, options) VALUES ('parts', 'late', 'full', '{"caller": 0}'), ('parts', 'things', 'full', '{"caller": 0}');
SELECT * FROM mongo_migrate.verify_full('parts', 'late', workers => 3);
SELECT collection, ended_at IS NULL AS unfinished FROM mongo_migrate.verification WHERE server = 'parts' AND (options ->> 'caller') = '0' OR collection = 'late' ORDER BY 1, 2;
-- Where PostgreSQL makes parallel plans of all that says that it can be in one, and this process has to carry them out.
SELECT set_config(name, 'regress', false) FROM pg_settings WHERE name IN ('force_parallel_mode', 'debug_parallel_query');
SET max_parallel_workers = 0;
SELECT count(*) FROM mongo_migrate.verify_full('parts', 'late', workers => 2);
RESET ALL;
SELECT count(*) AS before FROM mongo_migrate.verification \gset
SELECT mongo_migrate.verify_full('parts', 'late', workers => -1);
SELECT mongo_migrate.verify_full('parts', 'nothing', workers => 2);
BEGIN;
UPDATE public.late SET n = 0 WHERE n = 300;
SELECT mongo_migrate.verify_full('parts', 'late', workers => 2);
ROLLBACK;
CREATE FUNCTION public.fails(numeric) RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'it fails' USING ERRCODE = 'object_in_use'; END $$;
UPDATE mongo_migrate.plan_column SET expression = 'public.fails(value)' WHERE target = 'public.late' AND path = 'n';
SELECT mongo_migrate.verify_full('parts', 'late', workers => 2);
SELECT count(*) - :before AS more, (SELECT count(*) FROM mongo_migrate.verification_part) AS parts FROM mongo_migrate.verification;

-- What is made here goes.
SET client_min_messages = warning;
SELECT run('{"dropDatabase": 1}') \g /dev/null
DO $$
BEGIN
    EXECUTE (SELECT 'DROP TABLE ' || string_agg(target, ', ') FROM mongo_migrate.plan_target WHERE server = 'parts');
    EXECUTE (SELECT 'DROP TABLE ' || string_agg(relation, ', ') FROM mongo_migrate.id_map WHERE server = 'parts' AND relation IS NOT NULL);
END
$$;
DELETE FROM mongo_migrate.plan WHERE server = 'parts';
DELETE FROM mongo_migrate.id_map WHERE server = 'parts';
DELETE FROM mongo_migrate.chunk WHERE server = 'parts';
DELETE FROM mongo_migrate.run WHERE server = 'parts';
DELETE FROM mongo_migrate.verification WHERE server = 'parts';
DROP FUNCTION by_parts, unlike, run, public.fails;
DROP SERVER parts;

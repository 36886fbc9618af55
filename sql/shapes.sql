-- Collections and documents of every shape, each the whole way: planned,
-- migrated twice and verified.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
\pset format unaligned
SET client_min_messages = warning;
CREATE SERVER shapes FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_shapes');
CREATE FUNCTION run(command json) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(r ->> 'n', r ->> 'ok') FROM mongo_migrate.run_command('shapes', command) AS r
$$;
CREATE FUNCTION insert(collection text, documents json) RETURNS text LANGUAGE sql AS $$
    SELECT run(json_build_object('insert', collection, 'documents', documents))
$$;
SELECT run('{"dropDatabase": 1}') \g /dev/null
CREATE FUNCTION way(collection text, OUT documents bigint, OUT inserted bigint, OUT rejected bigint, OUT skipped_then bigint,
                    OUT differences bigint, OUT counts boolean)
    LANGUAGE plpgsql AS $$
BEGIN
    SELECT m.documents, m.inserted, m.rejected INTO documents, inserted, rejected
      FROM mongo_migrate.migrate_collection('shapes', collection, workers => 0) AS m;
    SELECT m.skipped INTO skipped_then FROM mongo_migrate.migrate_collection('shapes', collection, workers => 0) AS m;
    SELECT count(*) INTO differences FROM mongo_migrate.verify_sample('shapes', collection, 0);
    SELECT bool_and(ok) INTO counts FROM mongo_migrate.verify_counts('shapes') AS v WHERE v.collection = way.collection;
END
$$;
RESET client_min_messages;

-- Empty, capped, of a time series, and with a collation that takes a for A.
SELECT run('{"create": "empty"}');
SELECT * FROM way('empty');
SELECT insert('empty', '[{"_id": 1, "later": 1}]');
SELECT inserted FROM mongo_migrate.migrate_collection('shapes', 'empty', workers => 0);
SELECT run('{"create": "capped", "capped": true, "size": 100000}');
SELECT insert('capped', (SELECT json_agg(json_build_object('_id', 100 - n, 'n', n)) FROM generate_series(1, 50) AS n));
SELECT * FROM way('capped');
SELECT run('{"create": "times", "timeseries": {"timeField": "at", "metaField": "of"}}');
SELECT insert('times', (SELECT json_agg(json_build_object('_id', n, 'at', json_build_object('$date', json_build_object('$numberLong', (n * 1000)::text)),
                                                          'of', json_build_object('s', n % 3), 'v', n)) FROM generate_series(1, 100) AS n));
SELECT * FROM way('times');
SELECT run('{"create": "collated", "collation": {"locale": "en", "strength": 1}}');
SELECT insert('collated', '[{"_id": "a", "r": "B"}, {"_id": "B", "r": "É"}, {"_id": "É", "r": "e"}, {"_id": "Ü", "r": "a"}, {"_id": 1, "r": "1"}]');
SELECT * FROM way('collated');
TABLE public.collated ORDER BY r COLLATE "C";

-- Views are migrated when they are asked for; _id must identify their documents.
SELECT insert('base', (SELECT json_agg(json_build_object('_id', n, 'a', n, 'tags', json_build_array(n, n + 1))) FROM generate_series(1, 40) AS n));
SELECT run('{"create": "half", "viewOn": "base", "pipeline": [{"$match": {"a": {"$gt": 20}}}, {"$project": {"b": {"$multiply": ["$a", 2]}}}]}');
SELECT run('{"create": "twice", "viewOn": "base", "pipeline": [{"$unwind": "$tags"}]}');
SELECT run('{"create": "no_id", "viewOn": "base", "pipeline": [{"$project": {"_id": 0}}]}');
SELECT run('{"create": "some_id", "viewOn": "base", "pipeline": [{"$project": {"a": 1, "_id": {"$cond": [{"$lt": ["$a", 20]}, "$a", "$$REMOVE"]}}}]}');
SELECT * FROM way('half');
SELECT * FROM way('twice');
SELECT * FROM way('no_id');
SELECT * FROM way('some_id');

-- A document of nearly 16 MB, one of long arrays, and with an expression over doc.
SELECT insert('large', json_build_array(json_build_object('_id', 1, 's', repeat('x', 16 * 1024 * 1024 - 100)), json_build_object('_id', 2, 's', 'y')));
SELECT * FROM way('large');
SELECT length(s) FROM public.large ORDER BY id;
SELECT insert('long', json_build_array(json_build_object('_id', 1, 'numbers', (SELECT json_agg(n) FROM generate_series(1, 50000) AS n),
           'pad', repeat('z', 300000), 'parts', (SELECT json_agg(json_build_object('n', n)) FROM generate_series(1, 500) AS n))));
-- A copy of the document for each part would be 500 MB.
SET temp_file_limit = '100MB';
SELECT * FROM way('long');
SELECT mongo_migrate.reset_collection('shapes', 'long', truncate => true);
UPDATE mongo_migrate.plan_column SET expression = 'value + length(doc ->> ''pad'')' WHERE target = 'public.long_parts' AND column_name = 'n';
SELECT * FROM way('long');
SELECT count(*), min(n), max(n) FROM public.long_parts;
RESET temp_file_limit;

-- Nearly as deep as MongoDB takes it, and wider than a table.
SELECT insert('deep', ('[{"_id": 1, "a": ' || repeat('{"k": ', 94) || '1' || repeat('}', 94) || ', "b": ' || repeat('[', 94) || '1' || repeat(']', 94) || '}]')::json);
SELECT * FROM way('deep');
SELECT left(d::text, 40) AS start, length(d::text) FROM public.deep AS d;
SELECT insert('wide', (SELECT json_agg(d) FROM (SELECT json_object_agg(CASE n WHEN 0 THEN '_id' ELSE 'f' || n END, CASE n WHEN 0 THEN k ELSE n END) AS d
                         FROM generate_series(0, 5000) AS n, generate_series(1, 2) AS k GROUP BY k) AS s));
SELECT mongo_migrate.plan_collection('shapes', 'wide');
SELECT count(*), max(role) FILTER (WHERE column_name = 'extra') AS extra FROM mongo_migrate.plan_column WHERE target = 'public.wide';
SET client_min_messages = warning;
SELECT * FROM way('wide');
RESET client_min_messages;
SELECT f1, f1399, extra -> 'f1400' AS f1400, extra -> 'f5000' AS f5000 FROM public.wide ORDER BY id;

-- Fields that a row has no room for are in extra, as a whole; those that few documents have take little of it.
SELECT insert('full', (SELECT json_agg(('{"_id": ' || k || ', ' || (SELECT string_agg(format('"f%s": {"$date": "2024-01-01T00:00:00Z"}', n), ', ' ORDER BY n)
    FROM generate_series(1, 900) AS n) || ', "s": {"a": 1, "b": "x"}, "l": [{"n": 1}], "t": {"a": 1, "l": [{"n": 2}]}}')::json) FROM generate_series(1, 2) AS k));
SELECT insert('sparse', (SELECT json_agg(('{"_id": ' || k || ', ' || (SELECT string_agg(format('"f%s_%s": "some longer text"', k, n), ', ' ORDER BY n)
    FROM generate_series(1, 20) AS n) || '}')::json) FROM generate_series(1, 40) AS k));
SET client_min_messages = warning;
SELECT * FROM way('full');
SELECT * FROM way('sparse');
RESET client_min_messages;
SELECT target, count(*), count(*) FILTER (WHERE role = 'extra') AS extra FROM mongo_migrate.plan_column WHERE target ~ 'full|sparse' GROUP BY target ORDER BY 1;
SELECT extra -> 'f900' AS f900, extra -> 's' AS s, t_a FROM public.full ORDER BY id;

-- What is made here goes.
SET client_min_messages = warning;
SELECT run('{"dropDatabase": 1}') \g /dev/null
DO $$
BEGIN
    EXECUTE (SELECT 'DROP TABLE IF EXISTS ' || string_agg(target, ', ') FROM mongo_migrate.plan_target WHERE server = 'shapes');
    EXECUTE (SELECT 'DROP TABLE ' || string_agg(relation, ', ') FROM mongo_migrate.id_map WHERE server = 'shapes' AND relation IS NOT NULL);
END
$$;
DELETE FROM mongo_migrate.plan WHERE server = 'shapes';
DELETE FROM mongo_migrate.id_map WHERE server = 'shapes';
DELETE FROM mongo_migrate.chunk WHERE server = 'shapes';
DELETE FROM mongo_migrate.run WHERE server = 'shapes';
DELETE FROM mongo_migrate.verification WHERE server = 'shapes';
DROP FUNCTION way, insert, run;
DROP SERVER shapes;

-- Names that MongoDB allows and SQL would rather not see: of servers,
-- databases, collections and fields.  Each goes the whole way: planned,
-- migrated, verified, imported and printed as DDL.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
\pset format unaligned
SET client_min_messages = warning;
CREATE SERVER "it's ""my"" server" FOREIGN DATA WRAPPER mongo_migrate
    OPTIONS (uri :'mongo_uri', database 'mm_test-hostile-names');
\set server '''it''''s "my" server'''
SELECT mongo_migrate.run_command(:server, '{"dropDatabase": 1}') \g /dev/null

-- Collections, each with a child table.
CREATE FUNCTION insert(collection text, VARIADIC documents json[]) RETURNS text LANGUAGE sql AS $$
    SELECT mongo_migrate.run_command('it''s "my" server', json_build_object('insert', collection, 'documents', to_json(documents))) ->> 'n'
$$;
SELECT sum(insert(c, '{"_id": {"$oid": "65a000000000000000000001"}, "n": 1, "kids": [{"a": 1}, {"a": 2}]}',
                     '{"_id": "two", "n": 2, "kids": []}')::integer) AS documents
  FROM unnest(ARRAY['a"b', 'a''b', 'a\b', 'a.b', ' ', E'new\nline', 'x[]', '-- x', '日本', repeat('n', 120), repeat('é', 60), 'systemx',
      'plan', 'Plan', 'select', 'pg_class', 'orders', 'orders_kids']) AS c;

-- Fields, at the top and in arrays.
SELECT insert('fields', ('{"_id": 1, "id": 10, "ID": 11, "position": "p", "value": "v", "doc": {"a": 1}, "": "empty", " ": "space",
    "a b": 1, "a.b": 2, "a_b": 3, "aB": 4, "A_B": 5, "a": {"b": 6, "": 7, "c.d": 8}, "a..b": 9, "..": 10, "\\": 11, "\\.": 12, "x\\y": 13,
    "$": 14, "$x": 15, "x$": 16, "x\"y": 17, "x''y": 18, "x\ny": 19, "\t": 20, "\ufeffbom": 21, "é": 22, "日本": 23, "\ud83d\ude00": 24,
    "[]": 25, "x[]": 26, "-- c": 27, "*/ c": 28, "0": 29, "%s": 30, "__proto__": 31, "_": 32, "._": 33,
    "select": 34, "user": 35, "order": 36, "table": 37, "oid": 38, "ctid": 39, "xmin": 40, "tableoid": 41, "C": 42, "c": 43,
    "document": 44, "place": 45, "row": 46, "key": 47, "source": 48, "b": 49, "d": 50, "e1": 51, "v": 52, "field": 53,
    "' || repeat('x', 200) || '": 54, "' || repeat('x', 200) || 'y": 55, "' || repeat('é', 100) || '": 56}')::json);
SELECT insert('kids', ('{"_id": {"$oid": "65a000000000000000000001"}, "pos": [1, 2],
    "items": [{"_id": 1, "id": 2, "position": 3, "kid_id": 4, "value": 5, "doc": 6, "parent_id": 7}, {"id": 3, "position": 5}],
    "": [{"": 1}], "a b": [{"c d": 1}], "a.b": [{"c.d": [{"e.f": 1}]}], "$": [{"$": 1}], "x[]": [{"y[]": [{"z": 1}]}], "select": [{"table": 1}],
    "' || repeat('y', 120) || '": [{"' || repeat('z', 200) || '": 1, "' || repeat('z', 201) || '": [{"q": 1}]}]}')::json);
RESET client_min_messages;

SELECT count(*), sum(documents) AS documents, sum(inserted) AS inserted, sum(rejected) AS rejected, bool_and(complete) AS complete
  FROM mongo_migrate.migrate_all(:server);
SELECT column_name, path, type FROM mongo_migrate.plan_column WHERE server = :server AND collection = 'fields' AND length(path) < 60 ORDER BY ordinal;
SELECT target, column_name, role, c.path FROM mongo_migrate.plan_column AS c JOIN mongo_migrate.plan_target AS t USING (server, collection, target)
 WHERE server = :server AND collection = 'kids' ORDER BY t.ordinal, c.ordinal;
SELECT target, collection FROM mongo_migrate.plan_target WHERE server = :server AND kind = 'root' ORDER BY target COLLATE "C";
SELECT "id", id_2, id_3, field, a_b, a_b_2, a_b_3, a_b_4, a_b_5, a_b_6, a_b_7, a_field, a_c_d FROM public.fields;

-- Nothing is lost, whoever looks.
SELECT * FROM mongo_migrate.check_plan(:server);
SELECT * FROM mongo_migrate.verify_counts(:server) WHERE NOT ok;
SELECT p.collection, v.* FROM mongo_migrate.plan AS p, mongo_migrate.verify_full(p.server, p.collection) AS v WHERE p.server = :server;
SELECT count(*), count(*) FILTER (WHERE kind <> 'equal') AS differences
  FROM mongo_migrate.plan AS p,
       mongo_migrate.compare_document(p.server, p.collection, CASE collection WHEN 'fields' THEN '1' ELSE '65a000000000000000000001' END)
 WHERE p.server = :server;
-- Once more, the documents are there already.
SELECT sum(documents) AS documents, sum(skipped) AS skipped, bool_and(complete) AS complete FROM mongo_migrate.migrate_all(:server);
SELECT bool_and(state = 'complete') FROM mongo_migrate.progress WHERE server = :server;

-- The DDL says the same as what was created.
CREATE TEMP TABLE before AS
SELECT attrelid::regclass::text AS relation, attname, format_type(atttypid, atttypmod), attnotnull
  FROM pg_attribute WHERE attnum > 0 AND attrelid IN (SELECT target::regclass FROM mongo_migrate.plan_target WHERE server = :server);
CREATE TEMP TABLE keys AS
SELECT conrelid::regclass::text AS relation, conname, pg_get_constraintdef(oid)
  FROM pg_constraint WHERE contype IN ('p', 'f') AND conrelid IN (SELECT target::regclass FROM mongo_migrate.plan_target WHERE server = :server);
CREATE PROCEDURE drop_tables() LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE (SELECT 'DROP TABLE ' || string_agg(target, ', ') FROM mongo_migrate.plan_target WHERE server LIKE 'it''s%');
END
$$;
CALL drop_tables();
DO $$
BEGIN
    EXECUTE mongo_migrate.draft_ddl('it''s "my" server');
END
$$;
TABLE before EXCEPT
SELECT attrelid::regclass::text AS relation, attname, format_type(atttypid, atttypmod), attnotnull
  FROM pg_attribute WHERE attnum > 0 AND attrelid IN (SELECT target::regclass FROM mongo_migrate.plan_target WHERE server = :server);
TABLE keys EXCEPT
SELECT conrelid::regclass::text AS relation, conname, pg_get_constraintdef(oid)
  FROM pg_constraint WHERE contype IN ('p', 'f') AND conrelid IN (SELECT target::regclass FROM mongo_migrate.plan_target WHERE server = :server);
-- And again in the caller's transaction, into these tables.
SELECT count(mongo_migrate.reset_collection(server, collection, truncate => true)) FROM mongo_migrate.plan WHERE server = :server;
SELECT sum(inserted) AS inserted, sum(rejected) AS rejected, bool_and(complete) AS complete FROM mongo_migrate.migrate_all(:server, workers => 0);
SELECT p.collection, v.* FROM mongo_migrate.plan AS p, mongo_migrate.verify_sample(p.server, p.collection, 0) AS v WHERE p.server = :server;

-- A document that cannot be loaded, in a collection, a table and a field with such names.
SELECT insert('a"b', '{"_id": "bad", "n": "x''\\", "kids": []}');
SELECT rejected FROM mongo_migrate.migrate_collection(:server, 'a"b');
SELECT collection, source_id, target, path, reason FROM mongo_migrate.quarantine_report;
SELECT mongo_migrate.run_command(:server, '{"update": "a\"b", "updates": [{"q": {"_id": "bad"}, "u": {"$set": {"n": 3}}}]}') ->> 'nModified' AS modified;
SELECT inserted, rejected FROM mongo_migrate.retry_quarantine(:server, 'a"b');

-- Foreign tables of all of them.
CREATE SCHEMA hostile_names;
IMPORT FOREIGN SCHEMA "mm_test-hostile-names" FROM SERVER "it's ""my"" server" INTO hostile_names;
SELECT count(*) FROM pg_class WHERE relnamespace = 'hostile_names'::regnamespace;
\x on
SELECT json_strip_nulls(row_to_json(f)) FROM (SELECT * FROM hostile_names.fields) AS f;
\x off
SELECT _id, n FROM hostile_names."a""b" WHERE _id = 'two';
SELECT _id FROM hostile_names.fields WHERE "a.b" = 2 AND " " = 'space' AND "$x" = 15 AND _ = 'empty';

-- What was made here goes.
SET client_min_messages = warning;
DROP SCHEMA hostile_names CASCADE;
CALL drop_tables();
DROP PROCEDURE drop_tables;
DO $$
BEGIN
    EXECUTE (SELECT 'DROP TABLE ' || string_agg(relation, ', ') FROM mongo_migrate.id_map WHERE server LIKE 'it''s%');
END
$$;
SELECT mongo_migrate.run_command(:server, '{"dropDatabase": 1}') \g /dev/null
DELETE FROM mongo_migrate.plan WHERE server = :server;
DELETE FROM mongo_migrate.id_map WHERE server = :server;
DELETE FROM mongo_migrate.chunk WHERE server = :server;
DELETE FROM mongo_migrate.run WHERE server = :server;
DELETE FROM mongo_migrate.verification WHERE server = :server;
DROP FUNCTION insert;
DROP SERVER "it's ""my"" server";

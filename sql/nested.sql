-- Maps, arrays in arrays and trees as tables.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
\pset format unaligned
CREATE SERVER nested FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_nested');
CREATE FUNCTION run(command json) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(r ->> 'n', r ->> 'ok') FROM mongo_migrate.run_command('nested', command) AS r
$$;
SELECT run('{"dropDatabase": 1}') \g /dev/null
SELECT run('{"insert": "things", "documents": [
 {"_id": 1, "stock": {"2020-01-01": 5, "2020-01-02": 6}, "byUser": {"aaaaaaaaaaaaaaaaaaaaaaa1": {"n": 1, "tags": ["x"]}, "aaaaaaaaaaaaaaaaaaaaaaa2": {"n": 2}}, "matrix": [[1,2],[3]], "labels": {"en": "a", "de": "b"},
  "mixed": [1, "a", {"x": 1}, null], "grid": [[{"v": 1}, {"v": 2}], []],
  "comments": [{"by": "a", "replies": [{"by": "b", "n": 1, "replies": [{"by": "c", "n": 2, "replies": []}, {"by": "d", "n": 3}]}, {"by": "e", "n": 4}]}, {"by": "z"}],
  "children": [{"name": "a", "children": [{"name": "b", "odd": 1}, {"name": "c", "children": [{"name": "d", "marks": [1,2]}]}]}, {"name": "e", "marks": [3]}]},
 {"_id": 2, "stock": {}, "byUser": {"aaaaaaaaaaaaaaaaaaaaaaa9": {"n": 3, "tags": []}}, "matrix": [], "labels": {"fr": "c"}, "children": []},
 {"_id": 3}]}') \g /dev/null
SELECT run('{"insert": "users", "documents": [{"_id": {"$oid": "aaaaaaaaaaaaaaaaaaaaaaa1"}, "name": "u1"}, {"_id": {"$oid": "aaaaaaaaaaaaaaaaaaaaaaa2"}, "name": "u2"}]}') \g /dev/null
SELECT path, types, proposed_type, is_map, note FROM mongo_migrate.infer_schema('nested', 'things') WHERE path LIKE '%{}%' OR path LIKE '%[][]%' OR is_map;
SELECT mongo_migrate.plan_collection('nested', 'things', sample_size => 0);
SELECT mongo_migrate.plan_table('nested', 'things', p) FROM unnest(ARRAY['stock', 'byUser', 'matrix', 'labels', 'mixed', 'grid',
    'comments[].replies[].replies', 'children[].children', 'children[].marks', 'byUser{}.tags']) AS p;
-- The keys of a map are ids of users.
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, refers_to, key_form)
    VALUES ('nested', 'things', 'public.things_by_user', 'user_id', 9, 'reference', '$key', 'bigint', 'users', 'objectid_text');
SELECT mongo_migrate.plan_table('nested', 'things', 'nowhere');
SELECT mongo_migrate.plan_table('nested', 'things', '_id');
-- The id stays where a compound _id becomes a table, too; a field may be without a name.
SELECT run('{"insert": "places", "documents": [{"_id": {"country": "DE", "n": 1}, "": {"a": 1}}]}') \g /dev/null
SELECT mongo_migrate.plan_collection('nested', 'places', extra => true);
SELECT mongo_migrate.plan_table('nested', 'places', '_id');
SELECT mongo_migrate.plan_table('nested', 'places', '');
SELECT target, column_name, role, path FROM mongo_migrate.plan_column WHERE collection = 'places' ORDER BY target, ordinal;
SELECT * FROM mongo_migrate.check_plan('nested', 'places');
SELECT run('{"drop": "places"}') \g /dev/null
DELETE FROM mongo_migrate.plan WHERE (server, collection) = ('nested', 'places');
-- Not always an array: what is to be done is said.
SELECT run('{"insert": "carts", "documents": [{"_id": 1, "items": [{"a": 1}]}, {"_id": 2, "items": {"a": 2}}]}') \g /dev/null
SELECT mongo_migrate.plan_collection('nested', 'carts');
SELECT mongo_migrate.plan_table('nested', 'carts', 'items');
SELECT run('{"update": "carts", "updates": [{"q": {"_id": 2}, "u": [{"$set": {"items": ["$items"]}}]}]}') \g /dev/null
SELECT mongo_migrate.plan_collection('nested', 'carts', replan => true);
-- Mostly: the others go into quarantine. So it is with maps; planned anew, the tables stay.
SELECT run('{"insert": "carts", "documents": [{"_id": 3, "items": {"a": 3}, "codes": {"x1": 1}}, {"_id": 4, "items": null, "codes": {"x1": 2, "x2": 3}}, {"_id": 5, "codes": "x3"}]}') \g /dev/null
SELECT mongo_migrate.plan_collection('nested', 'carts', replan => true);
SELECT mongo_migrate.plan_table('nested', 'carts', 'items');
SELECT mongo_migrate.plan_table('nested', 'carts', 'codes');
SELECT target, column_name, role, path, type, nullable FROM mongo_migrate.plan_column WHERE collection = 'carts' ORDER BY target COLLATE "C", ordinal;
SELECT mongo_migrate.plan_collection('nested', 'carts', replan => true);
SELECT * FROM mongo_migrate.check_plan('nested', 'carts');
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('nested', 'carts', workers => 0);
SELECT source_id, target, path, reason FROM mongo_migrate.quarantine WHERE collection = 'carts' ORDER BY quarantine_id;
SELECT * FROM public.carts_items ORDER BY 1, 2;
SELECT * FROM public.carts_codes ORDER BY 1, 2;
SELECT target, ok FROM mongo_migrate.verify_counts('nested') WHERE collection = 'carts' ORDER BY target COLLATE "C";
SELECT * FROM mongo_migrate.verify_full('nested', 'carts');
SELECT mongo_migrate.reset_collection('nested', 'carts', truncate => true);
SELECT run('{"drop": "carts"}') \g /dev/null
DELETE FROM mongo_migrate.plan WHERE (server, collection) = ('nested', 'carts');
DROP TABLE public.carts, public.carts_items, public.carts_codes;
SELECT mongo_migrate.draft_ddl('nested', 'things');
SELECT * FROM mongo_migrate.check_plan('nested', 'things');
-- Planned anew, the tables stay.
SELECT mongo_migrate.plan_collection('nested', 'things', sample_size => 0, replan => true);
SELECT target, parent, kind, path, nested_path FROM mongo_migrate.plan_target WHERE collection = 'things' ORDER BY target COLLATE "C";

SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('nested', 'things', workers => 0);
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('nested', 'users', workers => 0);
SELECT * FROM public.things_stock ORDER BY 1, 2;
SELECT * FROM public.things_by_user ORDER BY 1, 2;
SELECT * FROM public.things_by_user_tags ORDER BY 1, 2, 3;
SELECT * FROM public.things_labels ORDER BY 1, 2;
SELECT * FROM public.things_matrix ORDER BY 1, 2;
SELECT * FROM public.things_matrix_elements ORDER BY 1, 2, 3;
SELECT * FROM public.things_mixed ORDER BY 1, 2;
SELECT * FROM public.things_grid ORDER BY 1, 2;
SELECT * FROM public.things_grid_elements ORDER BY 1, 2, 3;
SELECT * FROM public.things_comments ORDER BY 1, 2;
SELECT * FROM public.things_comments_replies ORDER BY 1, 2, 3;
SELECT * FROM public.things_children ORDER BY 1, 2;
SELECT * FROM public.things_children_marks ORDER BY 1, 2, 3;
SELECT target, source_count, target_count, ok FROM mongo_migrate.verify_counts('nested') ORDER BY target COLLATE "C";
SELECT * FROM mongo_migrate.verify_full('nested', 'things');
SELECT source_id, target, element, column_name, source_value, target_value, kind FROM mongo_migrate.compare_document('nested', 'things', '2') ORDER BY target COLLATE "C", element, column_name;

-- Changes are found.
UPDATE public.things_stock SET value = 7 WHERE key = '2020-01-01';
DELETE FROM public.things_stock WHERE key = '2020-01-02';
INSERT INTO public.things_labels VALUES (1, 'it', 'x');
UPDATE public.things_by_user SET user_id = NULL WHERE key = 'aaaaaaaaaaaaaaaaaaaaaaa2';
UPDATE public.things_children SET parent_position = 1 WHERE position = 2;
DELETE FROM public.things_children_marks WHERE value = 2;
UPDATE public.things_comments_replies SET position = 9 WHERE position = 3;
UPDATE public.things_matrix_elements SET value = 4 WHERE value = 3;
SELECT source_id, target, element, column_name, source_value, target_value, kind FROM mongo_migrate.verify_full('nested', 'things') ORDER BY target COLLATE "C", element COLLATE "C", column_name;

-- What is no map, no array, or twice there; long and odd names; more depth, more keys, more fields.
SELECT mongo_migrate.reset_collection('nested', 'things', truncate => true);
SELECT run('{"insert": "things", "documents": [{"_id": 4, "stock": 5}, {"_id": 5, "stock": [1]}, {"_id": 6, "matrix": [[1], 2]}, {"_id": 7, "children": [{"children": 1}]},
    {"_id": 8, "byUser": {"x": 1}}, {"_id": 12, "stock": {"x": 1, "y": 2, "x": 3}}, {"_id": 9, "children": [{"name": "a", "children": [{"name": ["b"]}]}]},
    {"_id": 10, "stock": {"": 1, "a.b": 2, "$c": 3, "$key": 4, "é\"": 5}, "labels": {"x": "y"}, "children": null, "matrix": [null, []]}]}') \g /dev/null
SELECT run(json_build_object('insert', 'things', 'documents', json_build_array(json_build_object('_id', 11,
    'children', ('[' || repeat('{"name": "n", "children": [', 40) || '{"name": "last"}' || repeat(']}', 40) || ', {"name": "sibling"}]')::json,
    'stock', (SELECT json_object_agg('k' || n, n) FROM generate_series(1, 5000) AS n))))) \g /dev/null
SET client_min_messages = warning;
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('nested', 'things', workers => 0);
RESET client_min_messages;
SELECT source_id, target, path, reason FROM mongo_migrate.quarantine WHERE server = 'nested' ORDER BY quarantine_id;
SELECT key, value FROM public.things_stock WHERE thing_id = 10 ORDER BY value;
SELECT count(*), max(value) FROM public.things_stock WHERE thing_id = 11;
SELECT position, name, parent_position FROM public.things_children WHERE thing_id = 11 AND (position < 3 OR position > 38) ORDER BY position;
SELECT target, ok, quarantined FROM mongo_migrate.verify_counts('nested') WHERE NOT ok OR quarantined > 0 ORDER BY target COLLATE "C";
SELECT * FROM mongo_migrate.verify_full('nested', 'things');

-- What only deeper levels have, or have in other types: columns, references and tables for all of a tree.
SELECT run('{"insert": "forest", "documents": [
 {"_id": 1, "nodes": [{"n": 1, "same": "x", "at": {"$date": "2024-01-01T00:00:00Z"}, "pos": {"x": 1}, "owner": 5, "marks": [{"v": 1}], "bits": [1], "meta": {"children": []},
   "nodes": [{"n": 2.5, "same": "y", "at": "soon", "pos": {"y": 2, "z": {"deep": true}}, "owner": "nobody", "marks": [{"v": "a", "w": 1}, {"w": null}], "bits": [5000000000], "user": {"$oid": "aaaaaaaaaaaaaaaaaaaaaaa1"},
     "nodes": [{"n": {"$numberLong": "7"}, "pos": 3, "lists": [{"k": 1}, {"k": 2}], "user": {"$oid": "aaaaaaaaaaaaaaaaaaaaaaa2"}, "only": {"here": "z"}, "nodes": []}]}]}]},
 {"_id": 2, "nodes": [{"n": 3, "same": "x", "nodes": [{"same": "z", "user": {"$oid": "aaaaaaaaaaaaaaaaaaaaaaa1"}}]}]}]}') \g /dev/null
SELECT mongo_migrate.plan_collection('nested', 'forest', sample_size => 0);
UPDATE mongo_migrate.plan_column SET column_name = 'number' WHERE server = 'nested' AND target = 'public.forest_nodes' AND path = 'n';
SELECT mongo_migrate.plan_table('nested', 'forest', 'nodes[].nodes');
SELECT target, column_name, role, path, type, nullable, refers_to, note FROM mongo_migrate.plan_column WHERE collection = 'forest' AND role IN ('value', 'reference', 'extra') ORDER BY target COLLATE "C", ordinal;
SELECT path, parent, types, present, nulls, missing FROM mongo_migrate.plan_path WHERE collection = 'forest' AND path ~ '^nodes\[\][.](n$|pos|user|marks|lists)' ORDER BY path COLLATE "C";
SELECT * FROM mongo_migrate.check_plan('nested', 'forest');
SELECT mongo_migrate.plan_collection('nested', 'forest', sample_size => 0, replan => true);
SELECT * FROM mongo_migrate.check_plan('nested', 'forest');
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('nested', 'forest', workers => 0);
SELECT * FROM public.forest_nodes ORDER BY 1, 2;
SELECT * FROM public.forest_nodes_marks ORDER BY 1, 2, 3;
SELECT * FROM public.forest_nodes_lists ORDER BY 1, 2, 3;
SELECT * FROM mongo_migrate.verify_full('nested', 'forest');
SELECT path, documents FROM mongo_migrate.drift WHERE collection = 'forest';

-- The fields of a compound _id are columns; another _id that comes later has none.
SELECT run('{"insert": "compound", "documents": [{"_id": {"k": 1, "r": "a"}, "n": 1}, {"_id": {"k": 2, "r": "b"}, "n": 2}]}') \g /dev/null
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('nested', 'compound', workers => 0);
SELECT run('{"insert": "compound", "documents": [{"_id": "text", "n": 3}, {"_id": {"k": "x"}, "n": 4}]}') \g /dev/null
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('nested', 'compound', workers => 0);
SELECT id_k, id_r, n FROM public.compound ORDER BY n;
SELECT source_id, path, reason FROM mongo_migrate.quarantine WHERE collection = 'compound';
SELECT * FROM mongo_migrate.verify_full('nested', 'compound');

-- The elements of an array, which have columns, taken for maps.
SELECT run('{"insert": "titles", "documents": [{"_id": 1, "names": [{"en": "a", "de": "b"}, {"en": "c"}]}, {"_id": 2, "names": [{"de": "x"}]}]}') \g /dev/null
SELECT mongo_migrate.plan_collection('nested', 'titles');
SELECT mongo_migrate.plan_table('nested', 'titles', 'names[]');
SELECT target, column_name, role, path FROM mongo_migrate.plan_column WHERE (server, collection) = ('nested', 'titles') ORDER BY target, ordinal;
SELECT * FROM mongo_migrate.check_plan('nested', 'titles');
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('nested', 'titles', workers => 0);
SELECT * FROM public.titles_names_field ORDER BY 1, 2, 3;
SELECT * FROM mongo_migrate.verify_full('nested', 'titles');

-- What is made here goes.
SET client_min_messages = warning;
SELECT run('{"dropDatabase": 1}') \g /dev/null
DO $$
BEGIN
    EXECUTE (SELECT 'DROP TABLE ' || string_agg(target, ', ') FROM mongo_migrate.plan_target WHERE server = 'nested');
    EXECUTE (SELECT 'DROP TABLE ' || string_agg(relation, ', ') FROM mongo_migrate.id_map WHERE server = 'nested' AND relation IS NOT NULL);
END
$$;
DELETE FROM mongo_migrate.plan WHERE server = 'nested';
DELETE FROM mongo_migrate.id_map WHERE server = 'nested';
DELETE FROM mongo_migrate.chunk WHERE server = 'nested';
DELETE FROM mongo_migrate.run WHERE server = 'nested';
DELETE FROM mongo_migrate.quarantine WHERE server = 'nested';
DELETE FROM mongo_migrate.drift WHERE server = 'nested';
DELETE FROM mongo_migrate.dangling_reference WHERE server = 'nested';
DELETE FROM mongo_migrate.verification WHERE server = 'nested';
DROP FUNCTION run;
DROP SERVER nested;

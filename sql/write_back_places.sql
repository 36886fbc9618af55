-- After a cutover: rows of a tree that are not in its order, and what an application takes away.
\getenv mongo_uri MONGO_URI
CREATE SERVER places FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_write_back_places');
SELECT mongo_migrate.run_command('places', '{"dropDatabase": 1}')->'ok' AS ok;
CREATE SCHEMA places;
SET search_path = places;
\pset format unaligned
\set SHOW_CONTEXT never
CREATE FUNCTION pg_temp.run(command json) RETURNS text LANGUAGE sql AS $$SELECT mongo_migrate.run_command('places', command) ->> 'n'$$;
CREATE FUNCTION pg_temp.documents(collection text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT regexp_replace(d::text, '\s+', ' ', 'g') FROM mongo_migrate.find_documents('places', collection, '{}', '{"sort": {"_id": 1}}') AS d
$$;
CREATE FUNCTION pg_temp.differences() RETURNS TABLE (source_id text, target text, element text, column_name text, kind text, source_value text, target_value text)
LANGUAGE sql AS $$
    SELECT f.source_id, f.target, f.element, f.column_name, f.kind, f.source_value, f.target_value
      FROM mongo_migrate.plan AS p, mongo_migrate.verify_full('places', p.collection) AS f WHERE p.server = 'places' ORDER BY 1, 2, 3, 4
$$;
CREATE PROCEDURE pg_temp.settle() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 1800 LOOP
        COMMIT;
        IF NOT EXISTS (SELECT FROM mongo_migrate.row_change WHERE server = 'places' AND reason IS NULL)
            AND EXISTS (SELECT FROM mongo_migrate.sync_status WHERE server = 'places' AND error IS NULL) THEN
            RETURN;
        END IF;
        PERFORM pg_sleep(0.1);
    END LOOP;
    RAISE 'it has not settled: %', (SELECT s FROM mongo_migrate.sync_status AS s WHERE server = 'places');
END
$$;

SELECT pg_temp.run('{"insert": "users", "documents": [{"_id": "u1", "n": 1}, {"_id": "u2", "n": 2}, {"_id": "u3", "n": 3}]}');
SELECT pg_temp.run('{"insert": "posts", "documents": [
    {"_id": 1, "by": "u1", "more": 1, "replies": [{"text": "a", "odd": 1, "replies": [{"text": "aa", "odd": 2, "marks": [{"m": 1}]}]}, {"text": "b", "odd": 3, "replies": [], "marks": [{"m": 2, "odd": 4}]}]},
    {"_id": 2, "by": "gone", "more": 2, "replies": []},
    {"_id": 3, "by": "u3", "more": 3, "replies": [{"text": "c", "odd": 5, "replies": []}, {"text": "d", "odd": 6, "replies": [{"text": "dd", "odd": 7}]}]}]}');
SELECT pg_temp.run('{"insert": "tasks", "documents": [{"_id": 1, "state": "open", "n": 1, "name": "a"}, {"_id": 2, "state": "done", "n": 2, "name": "b"}]}');
SELECT pg_temp.run('{"insert": "owners", "documents": [{"_id": {"$oid": "00000000000000000000000a"}, "n": 1}, {"_id": {"$oid": "00000000000000000000000b"}, "n": 2}]}');
SELECT pg_temp.run('{"insert": "cards", "documents": [{"_id": 1, "n": 1, "owner": "00000000000000000000000A", "task": "01"}, {"_id": 2, "n": 2, "owner": "00000000000000000000000b", "task": "2"},
    {"_id": 3, "n": 3, "owner": "00000000000000000000000a", "task": "1"}, {"_id": 4, "n": 4, "owner": "0000000000000000000000ff", "task": "77"}]}');
SELECT pg_temp.run('{"insert": "orders", "documents": [{"_id": 1, "items": [{"sku": "a", "n": 1, "odd": 1}, {"sku": "b", "n": 2, "odd": 2, "parts": [{"p": 1, "odd": 3}, {"p": 2, "odd": 4}]}, {"sku": "c", "n": 3, "odd": 5}, {"sku": "d", "n": 4, "odd": 6}]}]}');
SELECT mongo_migrate.start_sync('places');
SELECT mongo_migrate.plan_collection('places', 'orders', target => 'places.orders');
SELECT mongo_migrate.plan_collection('places', 'users', target => 'places.users');
SELECT mongo_migrate.plan_collection('places', 'posts', target => 'places.posts', extra => true);
SELECT mongo_migrate.plan_table('places', 'posts', 'replies[].replies');
DELETE FROM mongo_migrate.plan_column WHERE server = 'places' AND (path IN ('odd', 'more') OR role = 'extra' AND target <> 'places.posts');
UPDATE mongo_migrate.plan_column SET role = 'reference', refers_to = 'users', type = 'bigint', nullable = true, on_dangling = 'keep' WHERE server = 'places' AND path = 'by';
-- Two tables have the documents of one state each, and a third one has the state.
SELECT mongo_migrate.plan_collection('places', 'tasks', target => 'places.open');
UPDATE mongo_migrate.plan_target SET filter = '{"state": "open"}' WHERE (server, target) = ('places', 'places.open');
DELETE FROM mongo_migrate.plan_column WHERE (server, target) = ('places', 'places.open') AND path IN ('state', 'name');
INSERT INTO mongo_migrate.plan_target (server, collection, target, kind, filter, ordinal)
    VALUES ('places', 'tasks', 'places.done', 'root', '{"state": "done"}', 10), ('places', 'tasks', 'places.tasks', 'root', NULL, 11);
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type) VALUES
    ('places', 'tasks', 'places.done', 'id', 1, 'id', '_id', 'bigint'), ('places', 'tasks', 'places.done', 'n', 2, 'value', 'n', 'integer'),
    ('places', 'tasks', 'places.tasks', 'id', 1, 'id', '_id', 'bigint'), ('places', 'tasks', 'places.tasks', 'name', 2, 'value', 'name', 'text'),
    ('places', 'tasks', 'places.tasks', 'state', 3, 'value', 'state', 'text');
-- References by text to ids that are those of documents.
SELECT mongo_migrate.plan_collection('places', 'owners', target => 'places.owners', id_type => 'source');
SELECT mongo_migrate.plan_collection('places', 'cards', target => 'places.cards');
UPDATE mongo_migrate.plan_column AS c SET role = 'reference', column_name = r.path || '_id', refers_to = r.refers_to, type = r.type, key_form = r.form, nullable = true
  FROM (VALUES ('owner', 'owners', 'mongo_migrate.objectid', 'objectid_text'), ('task', 'tasks', 'bigint', 'number_text')) AS r (path, refers_to, type, form)
 WHERE (c.server, c.collection, c.path) = ('places', 'cards', r.path);
SELECT target, kind, path, nested_path FROM mongo_migrate.plan_target WHERE server = 'places' ORDER BY collection, ordinal;
SET client_min_messages = warning;
SELECT collection, inserted, complete FROM mongo_migrate.migrate_all('places');
RESET client_min_messages;
SELECT mongo_migrate.cutover('places', incomplete => true);

-- An element that comes last in the table, and not in the tree; then its document is written once more.
INSERT INTO posts_replies (post_id, position, parent_position, text) VALUES (1, 3, 0, 'ab'), (3, 3, 0, 'cc');
INSERT INTO posts_replies_marks (post_id, reply_position, position, m) VALUES (1, 3, 0, 3), (3, 3, 0, 4);
CALL pg_temp.settle();
SELECT pg_temp.documents('posts');
SELECT * FROM pg_temp.differences();
UPDATE posts_replies SET text = upper(text);
UPDATE posts_replies_marks SET m = m + 10;
CALL pg_temp.settle();
SELECT pg_temp.documents('posts');
SELECT * FROM pg_temp.differences();
-- One that is moved to where a later one is.
UPDATE posts_replies SET parent_position = 2 WHERE post_id = 1 AND position = 0;
CALL pg_temp.settle();
SELECT pg_temp.documents('posts') LIMIT 1;
SELECT * FROM pg_temp.differences();
-- Within itself there is no place.
UPDATE posts_replies SET parent_position = 0 WHERE post_id = 1 AND position = 2;
CALL pg_temp.settle();
SELECT id, reason FROM mongo_migrate.row_change WHERE server = 'places';
UPDATE posts_replies SET parent_position = NULL WHERE post_id = 1;
CALL pg_temp.settle();
SELECT pg_temp.documents('posts') LIMIT 1;
SELECT * FROM pg_temp.differences();

-- Rows that go leave gaps. What the plan does not know stays with elements whose places are known, or whose rows say what is there.
BEGIN;
DELETE FROM orders_items WHERE position = 0;
DELETE FROM orders_items_parts WHERE position = 0;
UPDATE orders_items SET n = n + 10 WHERE position = 2;
UPDATE orders_items_parts SET p = p + 10;
COMMIT;
CALL pg_temp.settle();
SELECT pg_temp.documents('orders');
UPDATE orders_items SET n = n;
UPDATE orders_items_parts SET p = p;
CALL pg_temp.settle();
SELECT pg_temp.documents('orders');
UPDATE orders_items SET n = n + 10 WHERE position = 1;
CALL pg_temp.settle();
SELECT pg_temp.documents('orders');
INSERT INTO orders_items (order_id, position, sku, n) VALUES (1, 9, 'e', 5);
UPDATE orders_items SET n = n + 10 WHERE position = 3;
CALL pg_temp.settle();
SELECT pg_temp.documents('orders');
DELETE FROM orders_items WHERE position = 2;
CALL pg_temp.settle();
SELECT pg_temp.documents('orders');
SELECT * FROM pg_temp.differences();

-- The last field of extra is taken away; and a reference, which leads nowhere and has an id all the same.
UPDATE posts SET extra = extra - 'more' WHERE id < 3;
UPDATE posts SET by = NULL WHERE id > 1;
CALL pg_temp.settle();
SELECT d -> 'more' AS more, d -> 'by' AS by FROM mongo_migrate.find_documents('places', 'posts', '{}', '{"sort": {"_id": 1}}') AS d;
SELECT * FROM pg_temp.differences();

-- What is touched stays as it is; another reference is text as well, and one that goes goes.
UPDATE cards SET n = n + 10;
CALL pg_temp.settle();
SELECT pg_temp.documents('cards');
INSERT INTO owners VALUES ('00000000000000000000000c', 3);
UPDATE cards SET owner_id = '00000000000000000000000c', task_id = 2 WHERE id IN (1, 4);
UPDATE cards SET owner_id = NULL, task_id = NULL WHERE id = 3;
CALL pg_temp.settle();
SELECT pg_temp.documents('cards');
SELECT * FROM pg_temp.differences();

-- A document that goes from one table to the other, and a new one.
BEGIN;
UPDATE tasks SET state = 'done' WHERE id = 1;
WITH gone AS (DELETE FROM open WHERE id = 1 RETURNING *) INSERT INTO done SELECT id, n + 10 FROM gone;
INSERT INTO tasks VALUES (3, 'c', 'open');
INSERT INTO open VALUES (3, 3);
COMMIT;
-- One that does not say that it does; one that is nowhere.
BEGIN;
UPDATE tasks SET state = 'open' WHERE id = 2;
INSERT INTO tasks VALUES (4, 'd', 'done');
COMMIT;
CALL pg_temp.settle();
SELECT pg_temp.documents('tasks');
SELECT id, reason FROM mongo_migrate.row_change WHERE server = 'places' ORDER BY id;
WITH gone AS (DELETE FROM done WHERE id = 2 RETURNING *) INSERT INTO open SELECT * FROM gone;
INSERT INTO done VALUES (4, 4);
CALL pg_temp.settle();
SELECT pg_temp.documents('tasks');
SELECT * FROM pg_temp.differences();
SELECT mongo_migrate.finalize('places');
DROP SERVER places CASCADE;
SET client_min_messages = warning;
DO $$
BEGIN
    EXECUTE (SELECT 'DROP TABLE ' || string_agg(relation, ', ') FROM mongo_migrate.id_map WHERE server = 'places' AND relation IS NOT NULL);
END
$$;
DELETE FROM mongo_migrate.plan WHERE server = 'places';
DELETE FROM mongo_migrate.id_map WHERE server = 'places';
DELETE FROM mongo_migrate.chunk WHERE server = 'places';
DELETE FROM mongo_migrate.run WHERE server = 'places';
DELETE FROM mongo_migrate.drift WHERE server = 'places';
DELETE FROM mongo_migrate.dangling_reference WHERE server = 'places';
DELETE FROM mongo_migrate.verification WHERE server = 'places';
DROP SCHEMA places CASCADE;

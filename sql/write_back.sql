-- After a cutover the documents follow the rows: each shape of a plan, read backwards.
\getenv mongo_uri MONGO_URI
CREATE SERVER back FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_write_back');
SELECT mongo_migrate.run_command('back', '{"dropDatabase": 1}')->'ok' AS ok;
CREATE SCHEMA back;
SET search_path = back;
SET timezone = 'UTC';
\pset format unaligned
\set SHOW_CONTEXT never
CREATE FUNCTION pg_temp.run(command json) RETURNS text LANGUAGE sql AS $$SELECT mongo_migrate.run_command('back', command) ->> 'n'$$;
CREATE FUNCTION pg_temp.documents(collection text) RETURNS SETOF text LANGUAGE sql AS $$
    SELECT regexp_replace(regexp_replace(d::text, '{ "[$]oid" : "(?!0{8})[0-9a-f]{24}" }', 'new', 'g'), '\s+', ' ', 'g')
      FROM mongo_migrate.find_documents('back', collection, '{}', '{"sort": {"_id": 1}}', 'canonical') AS d
$$;
CREATE FUNCTION pg_temp.differences() RETURNS TABLE (collection text, source_id text, target text, element text, column_name text, kind text, source_value text, target_value text)
LANGUAGE sql AS $$
    SELECT p.collection, f.source_id, f.target, f.element, f.column_name, f.kind, left(f.source_value, 60), left(f.target_value, 60)
      FROM mongo_migrate.plan AS p, mongo_migrate.verify_full('back', p.collection) AS f
     WHERE p.server = 'back' ORDER BY 1, 2, 3, 4, 5
$$;
-- Until nothing is to be written; what is refused is.
CREATE PROCEDURE pg_temp.settle() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 1800 LOOP
        COMMIT;
        IF NOT EXISTS (SELECT FROM mongo_migrate.sync_status WHERE server = 'back' AND (pending > 0 OR error IS NOT NULL)) THEN
            RETURN;
        END IF;
        PERFORM pg_sleep(0.1);
    END LOOP;
    RAISE 'it has not settled: %', (SELECT s FROM mongo_migrate.sync_status AS s WHERE server = 'back');
END
$$;

-- References, sub-documents, arrays in arrays, values of several types.
SELECT pg_temp.run('{"insert": "users", "documents": [
    {"_id": {"$oid": "00000000000000000000000a"}, "email": "ann@x.org", "address": {"zip": "1", "city": "Ulm"}, "age": 30, "tags": ["a", "b"], "seen": {"$date": "2020-01-01T00:00:00Z"}, "score": 1.5, "nick": null, "file": {"$uuid": "00112233-4455-6677-8899-aabbccddeeff"}},
    {"_id": {"$oid": "00000000000000000000000b"}, "email": "ben@x.org", "address": {"zip": "2", "city": "Bonn"}, "age": 31, "tags": [], "seen": {"$date": "2020-01-02T00:00:00Z"}, "score": 2, "nick": null, "file": {"$uuid": "00112233-4455-6677-8899-aabbccddeefe"}},
    {"_id": {"$oid": "00000000000000000000000c"}, "email": "cid@x.org", "address": {"zip": "3", "city": "Rom", "planet": "Mars"}, "age": 32, "tags": ["c"], "seen": {"$date": "2020-01-03T00:00:00Z"}, "score": {"$numberDecimal": "3.50"}, "nick": "c", "phone": 7}]}');
SELECT pg_temp.run('{"insert": "orders", "documents": [
    {"_id": 1, "user": {"$oid": "00000000000000000000000a"}, "email": "ann@x.org", "total": 1.5, "items": [{"sku": "a", "hidden": 1, "parts": [{"n": 1}, {"n": 2}]}, {"sku": "b", "parts": []}, {"sku": "c", "hidden": 3, "parts": [{"n": 3}]}]},
    {"_id": {"$numberLong": "2"}, "user": {"$oid": "00000000000000000000000b"}, "email": "ben@x.org", "total": 2.5, "items": [{"sku": "c", "parts": [{"n": 3}]}]},
    {"_id": 3, "user": {"$oid": "00000000000000000000000c"}, "email": "cid@x.org", "total": 3, "items": []},
    {"_id": 4, "user": {"$oid": "000000000000000000000001"}, "email": "gone@x.org", "total": 4.5, "items": [{"sku": "d", "parts": [{"n": 4}]}]}]}');
-- A tree, a map, an array of scalars in a table without positions, an array of references, fields that nobody knows.
SELECT pg_temp.run('{"insert": "posts", "documents": [
    {"_id": "p1", "title": "one", "extra1": [1, {"b": 1, "a": 2}], "likes": {"de": 1, "en": {"$numberLong": "2"}}, "labels": ["x", "y", "x"], "by": [{"$oid": "00000000000000000000000a"}, {"$oid": "00000000000000000000000b"}],
     "comments": [{"text": "a", "odd": 1, "replies": [{"text": "aa", "replies": [{"text": "aaa", "replies": [{"text": "aaaa"}]}]}, {"text": "ab"}]}, {"text": "b", "replies": []}]},
    {"_id": "p2", "title": "two", "extra2": true, "likes": {}, "labels": [], "by": [], "comments": []},
    {"_id": "p3", "title": "three", "likes": {"fr": 3}, "labels": ["z"], "by": [{"$oid": "00000000000000000000000c"}], "comments": [{"text": "c"}]}]}');
-- One collection to two tables; one document in two tables.
SELECT pg_temp.run('{"insert": "things", "documents": [
    {"_id": 1, "state": "open", "n": 1, "name": "a"}, {"_id": 2, "state": "open", "n": 2, "name": "b"}, {"_id": 3, "state": "done", "n": 3, "name": "c"}]}');


-- Elements of several types, in a column each.
SELECT pg_temp.run('{"insert": "mixed", "documents": [{"_id": 1, "l": [1, "a", 2.5, "b", null]}]}');

SELECT mongo_migrate.cutover('back');
SELECT mongo_migrate.start_sync('back');
SELECT mongo_migrate.plan_collection('back', 'users', target => 'back.users');
SELECT mongo_migrate.plan_collection('back', 'orders', target => 'back.orders');
SELECT mongo_migrate.plan_collection('back', 'posts', target => 'back.posts', extra => true);
SELECT mongo_migrate.plan_collection('back', 'things', target => 'back.things');
SELECT mongo_migrate.plan_table('back', 'posts', p) FROM unnest(ARRAY['likes', 'labels', 'comments[].replies[].replies']) AS p;
DELETE FROM mongo_migrate.plan_column WHERE server = 'back' AND (column_name IN ('hidden', 'planet', 'odd') OR path LIKE 'extra_');
UPDATE mongo_migrate.plan_column SET expression = 'value * 100', reverse_expression = 'value / 100', type = 'numeric(12,0)', source_type = 'numeric'
    WHERE server = 'back' AND (target, column_name) = ('back.orders', 'total');
UPDATE mongo_migrate.plan_column SET expression = 'upper(value)' WHERE server = 'back' AND (target, column_name) = ('back.users', 'nick');
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, refers_to, refers_key)
    VALUES ('back', 'orders', 'back.orders', 'email_id', 20, 'reference', 'email', 'bigint', 'users', 'email');
INSERT INTO mongo_migrate.plan_target (server, collection, target, kind, filter, ordinal)
    VALUES ('back', 'things', 'back.done', 'root', '{"state": "done"}', 10), ('back', 'things', 'back.names', 'root', NULL, 11);
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type) VALUES
    ('back', 'things', 'back.done', 'id', 1, 'id', '_id', 'integer'), ('back', 'things', 'back.done', 'n', 2, 'value', 'n', 'integer'),
    ('back', 'things', 'back.names', 'id', 1, 'id', '_id', 'integer'), ('back', 'things', 'back.names', 'name', 2, 'value', 'name', 'text');
UPDATE mongo_migrate.plan_target SET filter = '{"state": "open"}' WHERE server = 'back' AND target = 'back.things';
DELETE FROM mongo_migrate.plan_column WHERE server = 'back' AND target = 'back.things' AND column_name IN ('name', 'state');
SELECT mongo_migrate.plan_collection('back', 'mixed', target => 'back.mixed');
SELECT mongo_migrate.plan_table('back', 'mixed', 'l');
UPDATE mongo_migrate.plan_column SET column_name = 'number', type = 'numeric', source_type = 'jsonb', reverse_expression = 'value',
       expression = 'CASE WHEN jsonb_typeof(value) = ''number'' THEN (value #>> ''{}'')::numeric END'
    WHERE server = 'back' AND target = 'back.mixed_l' AND role = 'value';
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, source_type, reverse_expression, expression)
    VALUES ('back', 'mixed', 'back.mixed_l', 'string', 9, 'value', '$', 'text', 'jsonb', 'value', 'CASE WHEN jsonb_typeof(value) = ''string'' THEN value #>> ''{}'' END');
SELECT target, kind, path, nested_path FROM mongo_migrate.plan_target WHERE server = 'back' ORDER BY collection, ordinal;
SELECT target, column_name, role, path, type FROM mongo_migrate.plan_column WHERE server = 'back' AND included ORDER BY collection, target, ordinal;
SELECT mongo_migrate.cutover('back');
SELECT pg_temp.run('{"insert": "things", "documents": [{"_id": 9, "state": "open", "n": "none", "name": "x"}]}');
SET client_min_messages = warning;
SELECT collection, inserted, complete FROM mongo_migrate.migrate_all('back');
RESET client_min_messages;
ALTER TABLE posts_labels DROP COLUMN position;
DELETE FROM mongo_migrate.plan_column WHERE server = 'back' AND target = 'back.posts_labels' AND role = 'position';
BEGIN;
UPDATE mongo_migrate.plan_column SET included = false WHERE server = 'back' AND role IN ('key', 'parent_position');
SELECT collection, target, problem FROM mongo_migrate.check_write_back('back') WHERE severity = 'error' ORDER BY 1, 2, 3;
ROLLBACK;
SELECT * FROM mongo_migrate.check_write_back('back') ORDER BY 1, 2, 3, 5;
SELECT mongo_migrate.cutover('back');
SELECT mongo_migrate.cutover('back', incomplete => true);
SELECT mongo_migrate.cutover('back', incomplete => true);
SELECT state, cut_over_at IS NOT NULL AS cut_over, pending, refused, written FROM mongo_migrate.sync_status WHERE server = 'back';
SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE tgname LIKE 'mongo_migrate%' ORDER BY tgrelid::regclass::text COLLATE "C", tgname;
-- The source follows: what would read it for rows is refused.
SELECT mongo_migrate.migrate_collection('back', 'users');
SELECT mongo_migrate.prepare_run('back', 'users', 100, 0, 'quarantine', NULL, NULL);
SELECT count(*) FROM mongo_migrate.verify_full('back', 'things');
SELECT mongo_migrate.repair('back', 'things');
SELECT mongo_migrate.start_sync('back', from_now => true);

-- Rows that are touched, and say what they did: nothing is written.
UPDATE users SET email = email;
UPDATE orders SET total = total;
UPDATE orders_items SET sku = sku;
UPDATE posts SET title = title;
UPDATE posts_comments SET text = text;
UPDATE names SET name = name;
CALL pg_temp.settle();
SELECT written, refused FROM mongo_migrate.sync_status WHERE server = 'back';

-- Values: of the type that the field has had; what has no column, and its place, stays.
UPDATE users SET email = 'ann@y.org', address_city = 'Köln', age = 31, tags = '{a,c}', seen = '2021-02-03 04:05:06.789123+00', score = 7, phone = 12 WHERE email = 'ann@x.org';
UPDATE users SET score = 2.125, tags = '{}', phone = 5, file = '11111111-2222-3333-4444-555555555555' WHERE email = 'ben@x.org';
UPDATE users SET score = 12345678901234567890.12, phone = NULL, address_city = 'Ulm' WHERE email = 'cid@x.org';
CALL pg_temp.settle();
SELECT pg_temp.documents('users');
-- Elements: changed, added, deleted at the end and in the middle.
UPDATE orders SET total = 1234 WHERE id = 1;
UPDATE orders_items SET sku = 'A' WHERE order_id = 1 AND position = 0;
INSERT INTO orders_items (order_id, position, sku) VALUES (1, 3, 'new'), (3, 0, 'first');
INSERT INTO orders_items_parts (order_id, item_position, position, n) VALUES (1, 3, 0, 9), (1, 1, 0, 8);
DELETE FROM orders_items_parts WHERE order_id = 2;
DELETE FROM orders_items WHERE order_id = 2;
CALL pg_temp.settle();
SELECT pg_temp.documents('orders');
DELETE FROM orders_items_parts WHERE order_id = 1 AND item_position = 1;
DELETE FROM orders_items WHERE order_id = 1 AND position = 1;
CALL pg_temp.settle();
SELECT pg_temp.documents('orders') LIMIT 1;
UPDATE orders_items_parts SET n = 4 WHERE order_id = 1 AND item_position = 2;
CALL pg_temp.settle();
SELECT pg_temp.documents('orders') LIMIT 1;
SELECT * FROM pg_temp.differences();
-- A tree, a map, elements without positions, references, unknown fields.
UPDATE posts_comments_replies SET text = 'AAA' WHERE text = 'aaa';
INSERT INTO posts_likes SELECT p.id, l.* FROM posts AS p, (VALUES ('en.gb', 5), ('$it', 1)) AS l WHERE title <> 'three';
DELETE FROM posts_likes WHERE key IN ('de', 'fr');
INSERT INTO posts_labels SELECT id, 'new' FROM posts WHERE title <> 'three';
DELETE FROM posts_labels WHERE value = 'y';
INSERT INTO posts_by SELECT p.id, 2, u.id FROM posts AS p, users AS u WHERE p.title = 'one' AND u.email = 'cid@x.org';
UPDATE posts SET extra = extra - 'extra1' || '{"more": 5}' WHERE title = 'one';
CALL pg_temp.settle();
SELECT pg_temp.documents('posts');
DELETE FROM posts_comments_replies WHERE text = 'aaaa';
INSERT INTO posts_comments (post_id, position, text) SELECT id, 2, 'c' FROM posts WHERE title = 'one';
CALL pg_temp.settle();
SELECT pg_temp.documents('posts') LIMIT 1;
SELECT * FROM pg_temp.differences();

UPDATE mixed_l SET number = 7 WHERE position = 0;
UPDATE mixed_l SET number = 8, string = NULL WHERE position = 1;
UPDATE mixed_l SET string = 'B' WHERE position = 3;
INSERT INTO mixed_l VALUES (1, 5, NULL, 'new');
CALL pg_temp.settle();
SELECT pg_temp.documents('mixed');
SELECT count(*) FROM mongo_migrate.verify_full('back', 'mixed');

-- References: by _id and by another key, to a new row, to nothing; the one that dangles stays as it is.
INSERT INTO users (email, age, tags, address_city, address_zip, score, seen, file) VALUES ('dan@x.org', 20, '{}', 'Rom', '9', 1, '2022-01-01', '11111111-2222-3333-4444-555555555556');
UPDATE orders SET user_id = (SELECT id FROM users WHERE email = 'dan@x.org'), email_id = (SELECT id FROM users WHERE email = 'dan@x.org') WHERE id = 1;
UPDATE orders SET user_id = NULL WHERE id = 3;
UPDATE orders SET total = 500 WHERE id = 4;
INSERT INTO orders (id, user_id, email, total) SELECT 50, id, email, 5 FROM users WHERE email = 'ben@x.org';
CALL pg_temp.settle();
SELECT regexp_replace(d::text, '"[0-9a-f]{24}"', '"id"') FROM mongo_migrate.find_documents('back', 'orders', '{}', '{"sort": {"_id": 1}, "projection": {"items": 0}}') AS d;
SELECT o.d ->> '_id' AS _id, u.d ->> 'email' AS user
  FROM mongo_migrate.find_documents('back', 'orders') AS o (d) LEFT JOIN mongo_migrate.find_documents('back', 'users') AS u (d) ON (u.d -> '_id')::text = (o.d -> 'user')::text ORDER BY 1;
SELECT pg_temp.documents('users') OFFSET 3;
SELECT * FROM pg_temp.differences();

-- Documents of two tables; a new one, one that is deleted, one that changes its id.
UPDATE things SET n = 10 WHERE id = 1;
UPDATE names SET name = 'A' WHERE id = 1;
INSERT INTO things (id, n) VALUES (7, 7);
INSERT INTO names (id, name) VALUES (7, 'g');
BEGIN;
DELETE FROM done WHERE id = 3;
DELETE FROM names WHERE id = 3;
COMMIT;
BEGIN;
UPDATE things SET id = 20 WHERE id = 2;
UPDATE names SET id = 20 WHERE id = 2;
COMMIT;
CALL pg_temp.settle();
SELECT pg_temp.documents('things');
-- A row without its like in the other table; one that would belong to another table.
DELETE FROM things WHERE id = 20;
INSERT INTO done (id, n) VALUES (1, 1);
CALL pg_temp.settle();
SELECT id, reason FROM mongo_migrate.row_change WHERE server = 'back' ORDER BY id COLLATE "C";
DELETE FROM done WHERE id = 1;
DELETE FROM names WHERE id = 20;
CALL pg_temp.settle();
SELECT pg_temp.documents('things');
SELECT * FROM pg_temp.differences();
-- New ones of many megabytes are made a few at a time.
BEGIN;
INSERT INTO names SELECT n, repeat(chr(1), 1050000) FROM generate_series(101, 102) AS n;
SELECT mongo_migrate.rebuild_documents(mongo_migrate.write_job('back', 'things'), '{101,102}', '{101,102}', '{NULL,NULL}');
ROLLBACK;

-- What MongoDB does not take, or BSON has not, is refused, and tried again; others are written.
SELECT mongo_migrate.run_command('back', '{"createIndexes": "users", "indexes": [{"key": {"phone": 1}, "name": "phone", "unique": true, "sparse": true}]}') -> 'ok' AS ok;
UPDATE users SET phone = 12 WHERE email = 'ben@x.org';
UPDATE users SET score = 'NaN', age = 99 WHERE email = 'cid@x.org';
UPDATE orders SET total = 100000000000 WHERE id = 3;
UPDATE users SET age = 100 WHERE email = 'ann@y.org';
CALL pg_temp.settle();
SELECT collection, regexp_replace(reason, 'Server.*', '...') AS reason FROM mongo_migrate.row_change WHERE server = 'back' ORDER BY 1;
SELECT pending, refused FROM mongo_migrate.sync_status WHERE server = 'back';
-- What a command has written before it fails is read from then on.
SELECT cluster_time AS before FROM mongo_migrate.sync WHERE server = 'back' \gset
UPDATE users SET phone = 12, age = CASE email WHEN 'ann@y.org' THEN 101 ELSE age END WHERE email IN ('ann@y.org', 'ben@x.org');
CALL pg_temp.settle();
SELECT cluster_time > :before AS later FROM mongo_migrate.sync WHERE server = 'back';
SELECT mongo_migrate.rollback_cutover('back');
UPDATE users SET phone = 13 WHERE email = 'ben@x.org';
UPDATE orders SET total = 7 WHERE id = 3;
CALL pg_temp.settle();
SELECT count(*) FROM mongo_migrate.row_change WHERE server = 'back';
SELECT * FROM pg_temp.differences();
-- A column that is called otherwise now, until the plan says so.
ALTER TABLE users RENAME age TO years;
UPDATE users SET years = 5 WHERE email = 'ann@y.org';
CREATE PROCEDURE pg_temp.fails() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 1800 LOOP
        COMMIT;
        EXIT WHEN EXISTS (SELECT FROM mongo_migrate.sync_status WHERE server = 'back' AND error IS NOT NULL);
        PERFORM pg_sleep(0.1);
    END LOOP;
END
$$;
CALL pg_temp.fails();
SELECT pending, error FROM mongo_migrate.sync_status WHERE server = 'back';
UPDATE mongo_migrate.plan_column SET column_name = 'years' WHERE server = 'back' AND column_name = 'age';
CALL pg_temp.settle();
SELECT * FROM pg_temp.differences();
-- All rows of a table.
TRUNCATE orders_items_parts;
CALL pg_temp.settle();
SELECT pg_temp.documents('orders');
TRUNCATE names, things, done;
CALL pg_temp.settle();
SELECT pg_temp.documents('things');
-- An application's role needs no rights but those on its tables.
CREATE ROLE regress_write_back;
GRANT USAGE ON SCHEMA back TO regress_write_back;
GRANT ALL ON ALL TABLES IN SCHEMA back TO regress_write_back;
SET ROLE regress_write_back;
UPDATE users SET years = 6 WHERE email = 'ann@y.org';
SELECT mongo_migrate.rollback_cutover('back');
RESET ROLE;
CALL pg_temp.settle();
SELECT d -> 'age' AS age FROM mongo_migrate.find_documents('back', 'users') AS d LIMIT 1;
DROP OWNED BY regress_write_back;
DROP ROLE regress_write_back;
-- One note for rows of a document that a transaction changes one after the other; one that is rolled back is none.
BEGIN;
UPDATE orders_items SET sku = sku;
SELECT count(*) < (SELECT count(*) FROM orders_items) AS fewer FROM mongo_migrate.row_change WHERE changed_at >= now();
SAVEPOINT before;
UPDATE users SET years = 7 WHERE email = 'ann@y.org';
ROLLBACK TO before;
UPDATE users SET years = 8 WHERE email = 'ann@y.org';
COMMIT;
CALL pg_temp.settle();
SELECT d -> 'age' AS age FROM mongo_migrate.find_documents('back', 'users') AS d LIMIT 1;

-- Back: the rows follow again.
SELECT mongo_migrate.rollback_cutover('back');
SELECT mongo_migrate.rollback_cutover('back');
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'mongo_migrate%';
SELECT pg_temp.run('{"update": "users", "updates": [{"q": {"email": "ann@y.org"}, "u": {"$set": {"age": 1}}}]}');
SELECT pg_temp.run('{"insert": "users", "documents": [{"email": "eve@x.org", "address": {"city": "Rom", "zip": "1"}, "age": 1, "tags": [], "seen": {"$date": "2020-01-01T00:00:00Z"}, "score": 1}]}');
CREATE PROCEDURE pg_temp.follow() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 1800 LOOP
        COMMIT;
        EXIT WHEN EXISTS (SELECT FROM users WHERE email = 'eve@x.org');
        PERFORM pg_sleep(0.1);
    END LOOP;
END
$$;
CALL pg_temp.follow();
SELECT email, years FROM users ORDER BY id;
-- A document that is written meanwhile; and to the end.
SELECT mongo_migrate.cutover('back', incomplete => true);
UPDATE users SET years = 2 WHERE email = 'ann@y.org';
-- References to a collection whose plan was taken away.
BEGIN;
DELETE FROM mongo_migrate.plan WHERE (server, collection) = ('back', 'users');
UPDATE orders SET total = total;
SELECT mongo_migrate.write_changes('back', 'orders') > 0 AS written;
SELECT id, reason FROM mongo_migrate.row_change WHERE server = 'back' AND collection = 'orders';
ROLLBACK;
SELECT mongo_migrate.finalize('back');
SELECT d ->> 'email' AS email, d ->> 'age' AS age FROM mongo_migrate.find_documents('back', 'users') AS d ORDER BY 1;
SELECT count(*) FROM mongo_migrate.sync_status WHERE server = 'back';
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'mongo_migrate%';
SELECT mongo_migrate.finalize('back');

-- A date that was text stays text if the plan says so.
SELECT pg_temp.run('{"insert": "days", "documents": [{"_id": 1, "day": "2024-01-02"}, {"_id": 2, "day": "2024-01-03"}]}');
SELECT mongo_migrate.plan_collection('back', 'days', target => 'back.days');
UPDATE mongo_migrate.plan_column SET type = 'date', expression = 'value::date' WHERE server = 'back' AND (target, path) = ('back.days', 'day');
SELECT inserted, complete FROM mongo_migrate.migrate_collection('back', 'days');
SELECT column_name, severity, problem FROM mongo_migrate.check_write_back('back') WHERE collection = 'days';
UPDATE mongo_migrate.plan_column SET reverse_expression = 'value' WHERE server = 'back' AND (target, path) = ('back.days', 'day');
SELECT column_name, severity, problem FROM mongo_migrate.check_write_back('back') WHERE collection = 'days';
UPDATE mongo_migrate.plan_column SET reverse_expression = $$to_char(value, 'YYYY-MM-DD')$$ WHERE server = 'back' AND (target, path) = ('back.days', 'day');
SELECT column_name, severity, problem FROM mongo_migrate.check_write_back('back') WHERE collection = 'days';
DELETE FROM mongo_migrate.plan WHERE (server, collection) = ('back', 'days');

-- A plan that no documents can be made by says why.
BEGIN;
INSERT INTO mongo_migrate.row_change (server, collection, id) VALUES ('back', 'orders', '1');
SAVEPOINT s;
UPDATE mongo_migrate.plan_column SET reverse_expression = 'valu / 100' WHERE server = 'back' AND (target, column_name) = ('back.orders', 'total');
SELECT mongo_migrate.write_changes('back', 'orders');
ROLLBACK TO s;
UPDATE mongo_migrate.plan_target SET included = false WHERE server = 'back' AND collection = 'orders' AND kind = 'root';
SELECT mongo_migrate.write_changes('back', 'orders');
ROLLBACK;

-- What cannot be written to is left out by taking its plan away.
SELECT pg_temp.run('{"create": "ticks", "timeseries": {"timeField": "t"}}');
SELECT pg_temp.run('{"insert": "ticks", "documents": [{"_id": 1, "t": {"$date": "2024-01-01T00:00:00Z"}}]}');
SELECT mongo_migrate.plan_collection('back', 'ticks');
SELECT severity, problem FROM mongo_migrate.check_write_back('back') WHERE collection = 'ticks' AND target IS NULL;
DROP SERVER back CASCADE;
SET client_min_messages = warning;
DO $$
BEGIN
    EXECUTE (SELECT 'DROP TABLE ' || string_agg(relation, ', ') FROM mongo_migrate.id_map WHERE server = 'back' AND relation IS NOT NULL);
END
$$;
DELETE FROM mongo_migrate.plan WHERE server = 'back';
DELETE FROM mongo_migrate.id_map WHERE server = 'back';
DELETE FROM mongo_migrate.chunk WHERE server = 'back';
DELETE FROM mongo_migrate.run WHERE server = 'back';
DELETE FROM mongo_migrate.quarantine WHERE server = 'back';
DELETE FROM mongo_migrate.drift WHERE server = 'back';
DELETE FROM mongo_migrate.dangling_reference WHERE server = 'back';
DELETE FROM mongo_migrate.verification WHERE server = 'back';
DROP SCHEMA back CASCADE;

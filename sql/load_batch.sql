-- A batch: documents become rows, child rows and ids, and the checkpoint moves.
\getenv mongo_uri MONGO_URI
CREATE SERVER load_batch FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_load_batch');
SELECT mongo_migrate.run_command('load_batch', '{"dropDatabase": 1}')->'ok' AS ok;
SELECT mongo_migrate.run_command('load_batch', '{"insert": "users", "documents": [
    {"_id": {"$oid": "65a000000000000000000001"}, "name": "Ada", "manager": null},
    {"_id": {"$oid": "65a000000000000000000002"}, "name": "Bob", "manager": {"$oid": "65a000000000000000000001"}},
    {"_id": {"$oid": "65a000000000000000000003"}, "name": "Cy", "manager": {"$oid": "65a000000000000000000004"}},
    {"_id": {"$oid": "65a000000000000000000004"}, "name": "Di"}]}')->'n' AS n;
SELECT mongo_migrate.run_command('load_batch', '{"insert": "orders", "documents": [
    {"_id": 1, "userId": "65a000000000000000000002", "amount": 5.989999771118164,
     "items": [{"sku": "x", "n": 1, "tags": ["a", "b"]}, {"sku": "y", "n": 2, "tags": []}]},
    {"_id": 2, "userId": "65a000000000000000000002", "amount": 3, "items": []},
    {"_id": 3, "userId": "65a0000000000000000000ff", "amount": {"$numberDecimal": "7.125"}, "items": [{"sku": "z", "n": null}]},
    {"_id": 4, "userId": null, "amount": null},
    {"_id": 5, "amount": 9, "items": [{"sku": "v", "n": 3, "tags": ["c"]}]}]}')->'n' AS n;
CREATE SCHEMA load_batch;
SET search_path = load_batch;
CREATE TABLE users (id bigint NOT NULL, name text NOT NULL, manager_id bigint);
CREATE TABLE orders (id bigint NOT NULL, user_id bigint, amount numeric(10,2));
CREATE TABLE order_items (order_id bigint NOT NULL, position integer NOT NULL, sku text, n integer);
CREATE TABLE order_item_tags (order_id bigint NOT NULL, item integer NOT NULL, position integer NOT NULL, tag text);
INSERT INTO mongo_migrate.plan (server, collection) VALUES ('load_batch', 'users'), ('load_batch', 'orders');
INSERT INTO mongo_migrate.plan_target (server, collection, target, parent, kind, path, ordinal) VALUES
    ('load_batch', 'users', 'load_batch.users', NULL, 'root', NULL, 1),
    ('load_batch', 'orders', 'load_batch.orders', NULL, 'root', NULL, 1),
    ('load_batch', 'orders', 'load_batch.order_items', 'load_batch.orders', 'child', 'items', 2),
    ('load_batch', 'orders', 'load_batch.order_item_tags', 'load_batch.order_items', 'child', 'tags', 3);
INSERT INTO mongo_migrate.plan_column
    (server, collection, target, column_name, ordinal, role, path, type, parent_column, refers_to, key_form) VALUES
    ('load_batch', 'users', 'load_batch.users', 'id', 1, 'id', '_id', 'bigint', NULL, NULL, 'exact'),
    ('load_batch', 'users', 'load_batch.users', 'name', 2, 'value', 'name', 'text', NULL, NULL, 'exact'),
    ('load_batch', 'users', 'load_batch.users', 'manager_id', 3, 'reference', 'manager', 'bigint', NULL, 'users', 'exact'),
    ('load_batch', 'orders', 'load_batch.orders', 'id', 1, 'id', '_id', 'bigint', NULL, NULL, 'exact'),
    ('load_batch', 'orders', 'load_batch.orders', 'user_id', 2, 'reference', 'userId', 'bigint', NULL, 'users', 'objectid_text'),
    ('load_batch', 'orders', 'load_batch.orders', 'amount', 3, 'value', 'amount', 'numeric(10,2)', NULL, NULL, 'exact'),
    ('load_batch', 'orders', 'load_batch.order_items', 'order_id', 1, 'parent', NULL, 'bigint', 'id', NULL, 'exact'),
    ('load_batch', 'orders', 'load_batch.order_items', 'position', 2, 'position', NULL, 'integer', NULL, NULL, 'exact'),
    ('load_batch', 'orders', 'load_batch.order_items', 'sku', 3, 'value', 'sku', 'text', NULL, NULL, 'exact'),
    ('load_batch', 'orders', 'load_batch.order_items', 'n', 4, 'value', 'n', 'integer', NULL, NULL, 'exact'),
    ('load_batch', 'orders', 'load_batch.order_item_tags', 'order_id', 1, 'parent', NULL, 'bigint', 'order_id', NULL, 'exact'),
    ('load_batch', 'orders', 'load_batch.order_item_tags', 'item', 2, 'parent', NULL, 'integer', 'position', NULL, 'exact'),
    ('load_batch', 'orders', 'load_batch.order_item_tags', 'position', 3, 'position', NULL, 'integer', NULL, NULL, 'exact'),
    ('load_batch', 'orders', 'load_batch.order_item_tags', 'tag', 4, 'value', '$', 'text', NULL, NULL, 'exact');
-- Orders keep their own ids.
INSERT INTO mongo_migrate.id_map (server, collection, id_type) VALUES ('load_batch', 'orders', 'source');
SELECT mongo_migrate.create_id_map('load_batch', 'orders');
SELECT mongo_migrate.create_id_map('load_batch', 'users') AS map \gset
SELECT mongo_migrate.create_id_map('load_batch', 'users') = :'map' AS same;
INSERT INTO mongo_migrate.chunk (server, collection, chunk) VALUES ('load_batch', 'users', 1), ('load_batch', 'orders', 1);

-- Orders first: their users get ids at first sight.
SELECT * FROM mongo_migrate.copy_batch('load_batch', 'orders', 1, 2);
SELECT documents, inserted, rounded, batches, complete FROM mongo_migrate.chunk WHERE server = 'load_batch' AND collection = 'orders';
SELECT * FROM mongo_migrate.copy_batch('load_batch', 'orders', 1, 2);
SELECT * FROM mongo_migrate.copy_batch('load_batch', 'orders', 1, 2);
SELECT * FROM mongo_migrate.copy_batch('load_batch', 'orders', 1, 2);
SELECT * FROM mongo_migrate.copy_batch('load_batch', 'users', 1);
SELECT o.*, u.name FROM orders AS o LEFT JOIN users AS u ON u.id = o.user_id ORDER BY o.id;
TABLE order_items;
TABLE order_item_tags;
SELECT u.name, m.name AS manager FROM users AS u LEFT JOIN users AS m ON m.id = u.manager_id ORDER BY 1;
SELECT count(*), count(DISTINCT id) FROM :map;
SELECT documents, inserted, skipped, rejected, rounded, batches, complete,
       mongo_migrate.bson_to_json(last_id) AS last_id
    FROM mongo_migrate.chunk WHERE server = 'load_batch' AND collection = 'orders';

-- Ids can be asked for in both directions.
SELECT mongo_migrate.finish_id_map('load_batch', 'users'), mongo_migrate.finish_id_map('load_batch', 'orders');
SELECT name, mongo_migrate.source_id('load_batch', 'users', id::text) AS source_id,
       mongo_migrate.target_id('load_batch', 'users', mongo_migrate.source_id('load_batch', 'users', id::text)) = id::text AS same
    FROM users ORDER BY name;
SELECT mongo_migrate.target_id('load_batch', 'users', '"nobody"') AS map_nobody,
       mongo_migrate.target_id('load_batch', 'orders', '{"$numberDecimal": "4.0"}') AS source_number,
       mongo_migrate.source_id('load_batch', 'orders', '4') AS source_4;
SELECT mongo_migrate.target_id('load_batch', 'elsewhere', '1');

-- A batch is of the transaction that it runs in.
TRUNCATE orders, order_items, order_item_tags;
UPDATE mongo_migrate.chunk SET last_id = NULL, complete = false, filled = '{}' WHERE server = 'load_batch' AND collection = 'orders';
BEGIN;
SELECT documents, complete FROM mongo_migrate.copy_batch('load_batch', 'orders', 1, 2);
SAVEPOINT one;
SELECT documents, complete FROM mongo_migrate.copy_batch('load_batch', 'orders', 1, 2);
ROLLBACK TO one;
SELECT documents, complete FROM mongo_migrate.copy_batch('load_batch', 'orders', 1, 1);
COMMIT;
BEGIN;
SELECT documents, complete FROM mongo_migrate.copy_batch('load_batch', 'orders', 1, 2);
ROLLBACK;
SELECT id FROM orders ORDER BY id;
SELECT documents, complete FROM mongo_migrate.copy_batch('load_batch', 'orders', 1, 100);
SELECT id FROM orders ORDER BY id;

-- The source goes on from a document that is gone, and ranges end before their upper boundary.
TRUNCATE orders, order_items, order_item_tags;
UPDATE mongo_migrate.chunk SET last_id = mongo_migrate.bson_from_json('{"_id": 2.5}'), complete = false, filled = '{}'
    WHERE server = 'load_batch' AND collection = 'orders';
SELECT documents, complete FROM mongo_migrate.copy_batch('load_batch', 'orders', 1);
UPDATE mongo_migrate.chunk SET last_id = NULL, complete = false,
        lower_id = mongo_migrate.bson_from_json('{"_id": 1}'), upper_id = mongo_migrate.bson_from_json('{"_id": {"$numberLong": "3"}}')
    WHERE server = 'load_batch' AND collection = 'orders';
SELECT documents, complete FROM mongo_migrate.copy_batch('load_batch', 'orders', 1);
SELECT id FROM orders ORDER BY id;

-- What is wrong is said.
SELECT mongo_migrate.copy_batch('load_batch', 'orders', 7);
SELECT mongo_migrate.copy_batch('load_batch', 'orders', NULL);
SELECT mongo_migrate.copy_batch('load_batch', 'orders', 1, 0);
SELECT mongo_migrate.create_id_map('load_nowhere', 'orders');

SELECT mongo_migrate.run_command('load_batch', '{"dropDatabase": 1}')->'ok' AS ok;
DELETE FROM mongo_migrate.plan WHERE server = 'load_batch';
DELETE FROM mongo_migrate.id_map WHERE server = 'load_batch';
DELETE FROM mongo_migrate.chunk WHERE server = 'load_batch';
DROP TABLE :map;
\set VERBOSITY terse
DROP SCHEMA load_batch CASCADE;
DROP SERVER load_batch;

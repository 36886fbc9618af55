-- Foreign keys hold for new rows first, and are validated afterwards, table by table, while others write.
\set SHOW_CONTEXT never
\getenv mongo_uri MONGO_URI
SET client_min_messages = warning;
CREATE SERVER foreign_keys FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_foreign_keys');
SELECT mongo_migrate.run_command('foreign_keys', '{"dropDatabase": 1}') -> 'ok' AS ok;
SELECT mongo_migrate.run_command('foreign_keys', '{"insert": "users", "documents": [
    {"_id": {"$oid": "000000000000000000000001"}, "name": "Ada"}, {"_id": {"$oid": "000000000000000000000002"}, "name": "Bob"}]}') -> 'n' AS n;
SELECT mongo_migrate.run_command('foreign_keys', '{"insert": "orders", "documents": [
    {"_id": 1, "userId": {"$oid": "000000000000000000000001"}, "items": [{"n": 1}, {"n": 2}]},
    {"_id": 2, "userId": {"$oid": "000000000000000000000009"}, "items": [{"n": 3}]}]}') -> 'n' AS n;
SELECT mongo_migrate.plan_collection('foreign_keys', 'users');
SELECT mongo_migrate.plan_collection('foreign_keys', 'orders');
UPDATE mongo_migrate.plan_column SET refers_to = 'users', role = 'reference', type = 'bigint'
 WHERE server = 'foreign_keys' AND collection = 'orders' AND path = 'userId';
CREATE VIEW foreign_keys AS
    SELECT conrelid::regclass AS relation, confrelid::regclass AS refers_to, convalidated AS valid FROM pg_constraint
     WHERE contype = 'f' AND conrelid IN (SELECT to_regclass(target) FROM mongo_migrate.plan_target WHERE server = 'foreign_keys') ORDER BY 1, 2;
SELECT documents, complete FROM mongo_migrate.migrate_collection('foreign_keys', 'users');

-- The steps by hand, up to the keys that nobody has looked at yet.
SELECT mongo_migrate.prepare_run('foreign_keys', 'orders', 100, 0, 'quarantine', NULL, NULL) AS run \gset
CALL mongo_migrate.copy_chunks(:run);
SELECT mongo_migrate.end_copy(:run);
SELECT mongo_migrate.finish_table(:run, '{}') IS NULL AS not_there_yet;
SELECT mongo_migrate.add_keys(:run);
SELECT mongo_migrate.add_references(:run);
TABLE foreign_keys;
SELECT key_ddl FROM mongo_migrate.key_ddl('foreign_keys', 'orders');
SELECT statement FROM mongo_migrate.reference_ddl('foreign_keys');
SELECT mongo_migrate.draft_ddl('foreign_keys', 'orders', 'references');
\set VERBOSITY terse
INSERT INTO orders_items VALUES (99, 1, 1);
INSERT INTO orders VALUES (99, 99);
\set VERBOSITY default

-- What it locks lets others write, to the table and to those that it refers to.
BEGIN;
SELECT mongo_migrate.finish_table(:run, ARRAY['public.orders']);
SELECT relation::regclass, mode FROM pg_locks
 WHERE pid = pg_backend_pid() AND relation IN ('users'::regclass, 'orders'::regclass, 'orders_items'::regclass)
   AND mode NOT IN ('AccessShareLock', 'RowShareLock') ORDER BY 1, 2;
COMMIT;
-- That table is done; of the other, a reference dangles.
CALL mongo_migrate.finish_tables(:run);
SELECT mongo_migrate.finish_table(:run, '{}') IS NULL AS all_done;
TABLE foreign_keys;
SELECT relname, reltuples FROM pg_class WHERE oid IN ('orders'::regclass, 'orders_items'::regclass) ORDER BY 1;

-- Here the session ends. The next call goes on, and says what dangles.
RESET client_min_messages;
SELECT documents, complete FROM mongo_migrate.migrate_collection('foreign_keys', 'orders');
TABLE foreign_keys;
SELECT id, user_id FROM orders ORDER BY id;
-- So does apply_references().
SET client_min_messages = warning;
SELECT mongo_migrate.drop_foreign_keys('foreign_keys', 'orders', NULL);
SELECT mongo_migrate.add_foreign_keys('foreign_keys', 'orders');
TABLE foreign_keys;
SELECT mongo_migrate.apply_references('foreign_keys');
TABLE foreign_keys;
SELECT count(*) FROM mongo_migrate.key_ddl('foreign_keys', 'orders');
-- A child row without a parent is told of by each call, until it is mended.
ALTER TABLE orders_items DROP CONSTRAINT orders_items_order_id_fkey;
INSERT INTO orders_items VALUES (99, 1, 1);
SELECT mongo_migrate.migrate_collection('foreign_keys', 'orders', workers => 0);
SELECT mongo_migrate.migrate_collection('foreign_keys', 'orders');
TABLE foreign_keys;
SELECT mongo_migrate.migrate_collection('foreign_keys', 'orders');
DELETE FROM orders_items WHERE order_id = 99;
SELECT documents, complete FROM mongo_migrate.migrate_collection('foreign_keys', 'orders');
TABLE foreign_keys;
-- What child rows repeat of their parent is no part of the key that they refer to.
SELECT mongo_migrate.run_command('foreign_keys', '{"insert": "carts", "documents": [
    {"_id": 1, "cur": "EUR", "items": [{"n": 1}]}, {"_id": 2, "cur": "USD", "items": [{"n": 2}, {"n": 3}]}]}') -> 'n' AS n;
SELECT mongo_migrate.plan_collection('foreign_keys', 'carts');
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, type, nullable, parent_column)
    VALUES ('foreign_keys', 'carts', 'public.carts_items', 'cur', 99, 'parent', 'text', false, 'cur');
SELECT documents, complete FROM mongo_migrate.migrate_collection('foreign_keys', 'carts');
SELECT * FROM carts_items ORDER BY 1, 2;
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'carts_items'::regclass AND contype IN ('f', 'p') ORDER BY 1;
DROP TABLE carts_items, carts;
-- Nothing is postponed for a table that is partitioned.
CREATE TABLE parted (id bigint, user_id bigint) PARTITION BY RANGE (id);
SELECT mongo_migrate.unvalidated_ddl('public.parted', 'ALTER TABLE public.parted ADD FOREIGN KEY (user_id) REFERENCES public.users (id)');
DROP TABLE parted;

DROP VIEW foreign_keys;
DROP TABLE orders_items, orders, users;
DELETE FROM mongo_migrate.plan WHERE server = 'foreign_keys';
SELECT mongo_migrate.run_command('foreign_keys', '{"dropDatabase": 1}') -> 'ok' AS ok;
DROP SERVER foreign_keys CASCADE;

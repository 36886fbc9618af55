-- References by another unique field than _id: as that field's value, or as the id that is looked up by it.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
\pset format unaligned
CREATE SERVER keyed FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_keyed');
CREATE FUNCTION run(command json) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(r ->> 'n', r ->> 'ok') FROM mongo_migrate.run_command('keyed', command) AS r
$$;
SELECT run('{"dropDatabase": 1}') \g /dev/null
SELECT run(json_build_object('insert', 'users', 'documents', (SELECT json_agg(json_build_object(
    '_id', json_build_object('$oid', lpad(n::text, 24, '0')), 'email', 'u' || n || '@x', 'number', n * 1000,
    'badge', json_build_object('$oid', lpad(n::text, 24, 'a')))) FROM generate_series(1, 20) AS n)));
SELECT run('{"createIndexes": "users", "indexes": [{"key": {"email": 1}, "name": "email", "unique": true},
    {"key": {"number": 1}, "name": "number", "unique": true}, {"key": {"badge": 1}, "name": "badge", "unique": true}]}');
SELECT run(json_build_object('insert', 'orders', 'documents', (SELECT json_agg(json_build_object('_id', n,
    'userEmail', 'u' || n || '@x', 'userNumber', (n * 1000)::text, 'badge', lpad(n::text, 24, 'a'), 'payer', n * 1000,
    'watchers', json_build_array(json_build_object('email', 'u1@x'), json_build_object('email', 'u' || n || '@x'))))
    FROM generate_series(1, 10) AS n)));
SELECT path, refers_to, refers_key, key_form FROM mongo_migrate.infer_schema('keyed', 'orders') WHERE refers_to IS NOT NULL ORDER BY path;

-- The value itself: a foreign key to the unique column.
SELECT mongo_migrate.plan_collection('keyed', 'users');
SELECT mongo_migrate.plan_collection('keyed', 'orders');
UPDATE mongo_migrate.plan_column SET role = 'reference', refers_to = 'users', refers_key = 'email' WHERE target = 'public.orders' AND path = 'userEmail';
UPDATE mongo_migrate.plan_column SET role = 'reference', refers_to = 'users', refers_key = 'number', key_form = 'number_text' WHERE target = 'public.orders' AND path = 'userNumber';
UPDATE mongo_migrate.plan_column SET role = 'reference', refers_to = 'users', refers_key = 'badge', key_form = 'objectid_text' WHERE target = 'public.orders' AND path = 'badge';
UPDATE mongo_migrate.plan_column SET role = 'reference', refers_to = 'users', refers_key = 'phone' WHERE target = 'public.orders' AND path = 'payer';
SELECT column_name, problem, hint FROM mongo_migrate.check_plan('keyed', 'orders');
UPDATE mongo_migrate.plan_column SET type = 'integer' WHERE target = 'public.orders' AND path = 'userNumber';
UPDATE mongo_migrate.plan_column SET type = 'mongo_migrate.objectid' WHERE target = 'public.orders' AND path = 'badge';
-- The id, beside the value.
UPDATE mongo_migrate.plan_column SET role = 'value', refers_to = NULL, refers_key = '_id' WHERE target = 'public.orders' AND path = 'payer';
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, refers_to, refers_key)
    VALUES ('keyed', 'orders', 'public.orders', 'payer_id', 20, 'reference', 'payer', 'bigint', 'users', 'number'),
           ('keyed', 'orders', 'public.orders_watchers', 'user_id', 20, 'reference', 'email', 'bigint', 'users', 'email');
SELECT column_name, problem, hint FROM mongo_migrate.check_plan('keyed', 'orders');
SELECT mongo_migrate.draft_ddl('keyed', 'orders', 'references');

-- The collection referred to comes later.
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('keyed', 'orders', workers => 0);
SELECT id, user_email, user_number, badge, payer, payer_id FROM public.orders ORDER BY id LIMIT 2;
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('keyed', 'users', workers => 0);
SELECT o.id, user_email, user_number, o.badge, payer, payer_id = u.id AS looked_up FROM public.orders o JOIN public.users u ON u.number = o.payer ORDER BY o.id LIMIT 2;
SELECT bool_and(w.user_id = u.id) AS looked_up, count(*) FROM public.orders_watchers w JOIN public.users u USING (email);
SELECT conrelid::regclass, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'f' AND confrelid = 'public.users'::regclass ORDER BY 1, 2;
SELECT * FROM mongo_migrate.verify_full('keyed', 'orders');
SELECT collection, difference, ok FROM mongo_migrate.verify_counts('keyed') ORDER BY target;
-- Changes are found, of each kind.
ALTER TABLE public.orders DISABLE TRIGGER ALL;
UPDATE public.orders SET user_email = 'u3@x' WHERE id = 1;
UPDATE public.orders SET user_number = 7 WHERE id = 2;
UPDATE public.orders SET payer_id = payer_id + 1 WHERE id = 3;
UPDATE public.orders_watchers SET user_id = NULL WHERE orders_watchers.order_id = 4 AND position = 0;
SELECT source_id, target, column_name, kind, source_value, target_value FROM mongo_migrate.verify_full('keyed', 'orders') ORDER BY source_id;

-- Dangling references: NULL, kept, and into quarantine.
SELECT mongo_migrate.reset_collection('keyed', 'orders', truncate => true);
SELECT run('{"insert": "orders", "documents": [
    {"_id": 11, "userEmail": "gone@x", "userNumber": "1000", "badge": "aaaaaaaaaaaaaaaaaaaaaaa1", "payer": 5, "watchers": [{"email": "gone@x"}]},
    {"_id": 12, "userEmail": "u1@x", "userNumber": "77", "badge": "aaaaaaaaaaaaaaaaaaaaaaa1", "payer": 1000},
    {"_id": 13, "userEmail": "u1@x", "userNumber": "1000", "badge": "bbbbbbbbbbbbbbbbbbbbbbbb", "payer": 1000}]}');
UPDATE mongo_migrate.plan_column SET on_dangling = 'keep' WHERE target = 'public.orders' AND path = 'userNumber';
ALTER TABLE public.orders DROP CONSTRAINT orders_user_number_fkey;
UPDATE mongo_migrate.plan_column SET on_dangling = 'quarantine' WHERE target = 'public.orders' AND path = 'badge';
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('keyed', 'orders', workers => 0);
SELECT id, user_email, user_number, badge, payer, payer_id IS NULL AS no_payer FROM public.orders WHERE id > 10 ORDER BY id;
SELECT target, column_name, row_key, source_value, policy FROM mongo_migrate.dangling_reference WHERE server = 'keyed' ORDER BY target, column_name;
SELECT source_id, path, reason, hint FROM mongo_migrate.quarantine WHERE server = 'keyed';
SELECT source_id, target, column_name, kind, source_value, target_value FROM mongo_migrate.verify_full('keyed', 'orders') ORDER BY target, column_name;
-- What was missing comes.
SELECT run('{"insert": "users", "documents": [{"_id": {"$oid": "00000000000000000000ffff"}, "email": "gone@x", "number": 5, "badge": {"$oid": "bbbbbbbbbbbbbbbbbbbbbbbb"}}]}');
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('keyed', 'users', workers => 0);
SELECT documents, inserted, rejected FROM mongo_migrate.retry_quarantine('keyed');
SELECT o.id, o.user_email, o.payer, u.email AS payer_email FROM public.orders o LEFT JOIN public.users u ON u.id = o.payer_id WHERE o.id > 10 ORDER BY o.id;
SELECT column_name, row_key, source_value, policy FROM mongo_migrate.dangling_reference WHERE server = 'keyed' ORDER BY column_name;
SELECT source_id, target, column_name, kind, source_value, target_value FROM mongo_migrate.verify_full('keyed', 'orders');

-- Repaired, documents that refer to nothing by another field, and those that are referred to by it and gone, are what the plan says.
SELECT run('{"insert": "bosses", "documents": [{"_id": 1, "code": 3, "boss": 2}, {"_id": 2, "code": 2, "boss": 2}, {"_id": 3, "code": 1, "boss": 3}]}');
SELECT run('{"createIndexes": "bosses", "indexes": [{"key": {"code": 1}, "name": "code", "unique": true}]}');
SELECT run('{"insert": "teams", "documents": [{"_id": 1, "boss": 1}, {"_id": 2, "boss": 2}, {"_id": 3, "boss": 3}]}');
SELECT mongo_migrate.plan_collection('keyed', c) FROM unnest('{bosses,teams}'::text[]) AS c;
UPDATE mongo_migrate.plan_column SET role = 'reference', refers_to = 'bosses', refers_key = 'code', nullable = true WHERE server = 'keyed' AND path = 'boss';
SELECT inserted, complete FROM mongo_migrate.migrate_collection('keyed', 'bosses', workers => 0);
SELECT inserted, complete FROM mongo_migrate.migrate_collection('keyed', 'teams', workers => 0);
SELECT run('{"delete": "bosses", "deletes": [{"q": {"_id": 3}, "limit": 1}]}');
SELECT run('{"insert": "bosses", "documents": [{"_id": 4, "code": 4, "boss": 99}, {"_id": 5, "code": 5, "boss": 6}, {"_id": 6, "code": 6, "boss": 98}]}');
SELECT run('{"update": "bosses", "updates": [{"q": {"_id": 1}, "u": {"$set": {"boss": 97}}}]}');
SELECT count(*) FROM mongo_migrate.verify_full('keyed', 'bosses');
SELECT inserted, replaced, deleted, rejected FROM mongo_migrate.repair('keyed', 'bosses', delete_extra => true);
SELECT run('{"insert": "teams", "documents": [{"_id": 4, "boss": 96}, {"_id": 5, "boss": 6}]}');
SELECT count(*) FROM mongo_migrate.verify_full('keyed', 'teams');
SELECT inserted, replaced, deleted, rejected FROM mongo_migrate.repair('keyed', 'teams');
SELECT * FROM public.bosses ORDER BY id;
SELECT * FROM public.teams ORDER BY id;
SELECT target, row_key, source_value, policy FROM mongo_migrate.dangling_reference WHERE server = 'keyed' AND refers_to = 'bosses' ORDER BY target, row_key;
SELECT source_id, target, column_name, kind FROM unnest('{bosses,teams}'::text[]) AS c, mongo_migrate.verify_full('keyed', c) ORDER BY target, source_id;
-- It comes.
SELECT run('{"insert": "bosses", "documents": [{"_id": 7, "code": 96, "boss": 96}]}');
SELECT inserted, complete FROM mongo_migrate.migrate_collection('keyed', 'bosses', workers => 0);
SELECT * FROM public.teams WHERE id = 4;

-- Looked up by a text: what is compared has to have an equality, and a text need be no number that there is.
SELECT run('{"insert": "callers", "documents": [{"_id": 1, "phone": "1000"}, {"_id": 2, "phone": "1e999999"}, {"_id": 3, "phone": "1e-99999"}, {"_id": 4, "phone": "2e3"}, {"_id": 5, "phone": "none"}]}');
SELECT mongo_migrate.plan_collection('keyed', 'callers');
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, refers_to, refers_key)
    VALUES ('keyed', 'callers', 'public.callers', 'user_id', 20, 'reference', 'phone', 'bigint', 'users', 'number');
SELECT column_name, problem, hint FROM mongo_migrate.check_plan('keyed', 'callers');
UPDATE mongo_migrate.plan_column SET key_form = 'objectid_text' WHERE target = 'public.callers' AND column_name = 'user_id';
SELECT column_name, problem, hint FROM mongo_migrate.check_plan('keyed', 'callers');
UPDATE mongo_migrate.plan_column SET refers_key = 'badge', key_form = 'exact' WHERE target = 'public.callers' AND column_name = 'user_id';
SELECT column_name, problem, hint FROM mongo_migrate.check_plan('keyed', 'callers');
UPDATE mongo_migrate.plan_column SET refers_key = 'number', key_form = 'number_text' WHERE target = 'public.callers' AND column_name = 'user_id';
UPDATE mongo_migrate.plan_column SET type = 'jsonb' WHERE target = 'public.callers' AND column_name = 'phone';
SELECT column_name, problem, hint FROM mongo_migrate.check_plan('keyed', 'callers');
UPDATE mongo_migrate.plan_column SET type = 'text' WHERE target = 'public.callers' AND column_name = 'phone';
SELECT inserted, complete FROM mongo_migrate.migrate_collection('keyed', 'callers', workers => 0);
SELECT c.id, c.phone, u.number FROM public.callers AS c LEFT JOIN public.users AS u ON u.id = c.user_id ORDER BY c.id;
SELECT source_id, column_name, kind FROM mongo_migrate.verify_full('keyed', 'callers') ORDER BY source_id;

-- What is made here goes.
SET client_min_messages = warning;
SELECT run('{"dropDatabase": 1}') \g /dev/null
DROP TABLE public.bosses, public.callers, public.orders, public.orders_watchers, public.teams, public.users;
DO $$
BEGIN
    EXECUTE (SELECT 'DROP TABLE ' || string_agg(relation, ', ') FROM mongo_migrate.id_map WHERE server = 'keyed' AND relation IS NOT NULL);
END
$$;
DELETE FROM mongo_migrate.plan WHERE server = 'keyed';
DELETE FROM mongo_migrate.id_map WHERE server = 'keyed';
DELETE FROM mongo_migrate.chunk WHERE server = 'keyed';
DELETE FROM mongo_migrate.run WHERE server = 'keyed';
DELETE FROM mongo_migrate.quarantine WHERE server = 'keyed';
DELETE FROM mongo_migrate.dangling_reference WHERE server = 'keyed';
DELETE FROM mongo_migrate.verification WHERE server = 'keyed';
DROP FUNCTION run;
DROP SERVER keyed;

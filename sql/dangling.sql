-- Rows with several references that lead nowhere.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
\pset format unaligned
CREATE SERVER dangle FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_dangle');
CREATE FUNCTION run(command json) RETURNS text LANGUAGE sql AS $$
    SELECT coalesce(r ->> 'n', r ->> 'ok') FROM mongo_migrate.run_command('dangle', command) AS r
$$;
SELECT run('{"dropDatabase": 1}') \g /dev/null
SELECT run(json_build_object('insert', 'users', 'documents', (SELECT json_agg(json_build_object(
    '_id', json_build_object('$oid', lpad(n::text, 24, '0')), 'email', 'u' || n || '@x', 'number', n * 1000)) FROM generate_series(1, 20) AS n)));
SELECT run('{"createIndexes": "users", "indexes": [{"key": {"email": 1}, "name": "email", "unique": true},
    {"key": {"number": 1}, "name": "number", "unique": true}]}');
SELECT run(json_build_object('insert', 'orders', 'documents', (SELECT json_agg(json_build_object('_id', n,
    'buyer', json_build_object('$oid', lpad(n::text, 24, '0')), 'payer', json_build_object('$oid', lpad(n::text, 24, '0')),
    'seller', json_build_object('$oid', lpad(n::text, 24, '0')), 'email', 'u' || n || '@x', 'number', n * 1000))
    FROM generate_series(1, 20) AS n)));
SELECT run('{"insert": "orders", "documents": [
    {"_id": 21, "buyer": {"$oid": "ffffffffffffffffffffffff"}, "payer": {"$oid": "ffffffffffffffffffffffff"},
     "seller": {"$oid": "ffffffffffffffffffffffff"}, "email": "u1@x", "number": 2000},
    {"_id": 22, "buyer": {"$oid": "ffffffffffffffffffffffff"}, "payer": {"$oid": "ffffffffffffffffffffffff"},
     "seller": {"$oid": "ffffffffffffffffffffffff"}, "email": "gone@x", "number": 7}]}');
SELECT mongo_migrate.plan_collection('dangle', 'users');
SELECT mongo_migrate.plan_collection('dangle', 'orders');
-- Ids that are looked up, among the others by name.
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, refers_to, refers_key)
    VALUES ('dangle', 'orders', 'public.orders', 'email_id', 20, 'reference', 'email', 'bigint', 'users', 'email'),
           ('dangle', 'orders', 'public.orders', 'rank_id', 21, 'reference', 'number', 'bigint', 'users', 'number');
SELECT collection, inserted, rejected, complete FROM mongo_migrate.migrate_all('dangle');
SELECT id, buyer_id, payer_id, seller_id, email_id, rank_id FROM public.orders WHERE id > 19 ORDER BY id;
SELECT column_name, count(*) FROM mongo_migrate.dangling_reference WHERE server = 'dangle' GROUP BY 1 ORDER BY 1;
SELECT conname, convalidated FROM pg_constraint WHERE conrelid = 'public.orders'::regclass AND contype = 'f' ORDER BY 1;
-- A foreign key that an edit of the plan has no use for any more is told of.
UPDATE mongo_migrate.plan_column SET on_dangling = 'keep' WHERE (server, column_name) = ('dangle', 'buyer_id');
SELECT target, column_name, problem, hint, severity FROM mongo_migrate.check_plan('dangle', 'orders');
UPDATE mongo_migrate.plan_column SET on_dangling = 'null' WHERE (server, column_name) = ('dangle', 'buyer_id');

-- In one transaction.
SELECT mongo_migrate.reset_collection('dangle', 'orders', truncate => true);
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('dangle', 'orders', workers => 0);
SELECT id, buyer_id, payer_id, seller_id, email_id, rank_id FROM public.orders WHERE id > 19 ORDER BY id;

-- Out of quarantine.
SELECT run('{"insert": "orders", "documents": [
    {"_id": 23, "buyer": {"$oid": "ffffffffffffffffffffffff"}, "payer": {"$oid": "ffffffffffffffffffffffff"},
     "seller": {"$oid": "ffffffffffffffffffffffff"}, "email": "u1@x", "number": "many"}]}');
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('dangle', 'orders');
SELECT run('{"update": "orders", "updates": [{"q": {"_id": 23}, "u": {"$set": {"number": 2000}}}]}');
SELECT documents, inserted, rejected FROM mongo_migrate.retry_quarantine('dangle');
SELECT id, buyer_id, payer_id, seller_id, email_id, rank_id FROM public.orders WHERE id > 19 ORDER BY id;
SELECT column_name, count(*) FROM mongo_migrate.dangling_reference WHERE server = 'dangle' GROUP BY 1 ORDER BY 1;
SELECT source_id, column_name, kind FROM mongo_migrate.verify_full('dangle', 'orders') WHERE kind <> 'orphan' ORDER BY 1, 2;

-- What was missing comes.
SELECT run('{"insert": "users", "documents": [{"_id": {"$oid": "ffffffffffffffffffffffff"}, "email": "gone@x", "number": 7}]}');
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('dangle', 'users');
SELECT orders.id, buyer_id = u.id AND payer_id = u.id AND seller_id = u.id AS mended, email_id = u.id AS email, rank_id = u.id AS rank
  FROM public.orders, (SELECT id FROM public.users WHERE number = 7) AS u (id) WHERE orders.id > 20 ORDER BY 1;
SELECT column_name, count(*) FROM mongo_migrate.dangling_reference WHERE server = 'dangle' GROUP BY 1 ORDER BY 1;
SELECT source_id, column_name, kind FROM mongo_migrate.verify_full('dangle', 'orders') ORDER BY 1, 2;

-- Or comes out of quarantine.
SELECT run('{"insert": "users", "documents": [{"_id": {"$oid": "abababababababababababab"}, "email": "d@x", "number": "9"}]}');
SELECT run('{"insert": "orders", "documents": [{"_id": 24, "buyer": {"$oid": "abababababababababababab"}, "payer": {"$oid": "000000000000000000000001"},
    "seller": {"$oid": "000000000000000000000001"}, "email": "d@x", "number": 1000}]}');
SELECT collection, inserted, rejected, complete FROM mongo_migrate.migrate_all('dangle');
SELECT column_name, count(*) FROM mongo_migrate.dangling_reference WHERE server = 'dangle' GROUP BY 1 ORDER BY 1;
SELECT run('{"update": "users", "updates": [{"q": {"email": "d@x"}, "u": {"$set": {"number": 9}}}]}');
SELECT documents, inserted, rejected FROM mongo_migrate.retry_quarantine('dangle', 'users');
SELECT buyer_id = u.id AS buyer, email_id = u.id AS email FROM public.orders, public.users AS u WHERE orders.id = 24 AND u.number = 9;
SELECT column_name, count(*) FROM mongo_migrate.dangling_reference WHERE server = 'dangle' GROUP BY 1 ORDER BY 1;

-- Tried again in vain, a document is in quarantine for the same reason.
SELECT run('{"insert": "bills", "documents": [{"_id": 1, "user": {"$oid": "000000000000000000000001"}}, {"_id": 2, "user": {"$oid": "eeeeeeeeeeeeeeeeeeeeeeee"}}]}');
SELECT mongo_migrate.plan_collection('dangle', 'bills');
UPDATE mongo_migrate.plan_column SET on_dangling = 'quarantine' WHERE (target, path) = ('public.bills', 'user');
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('dangle', 'bills');
SELECT documents, inserted, rejected FROM mongo_migrate.retry_quarantine('dangle', 'bills');
SELECT source_id, target, reason, hint FROM mongo_migrate.quarantine WHERE server = 'dangle';
SELECT run('{"insert": "users", "documents": [{"_id": {"$oid": "eeeeeeeeeeeeeeeeeeeeeeee"}, "email": "late@x", "number": 8}]}');
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('dangle', 'users');
SELECT documents, inserted, rejected FROM mongo_migrate.retry_quarantine('dangle', 'bills');

-- A catch-up that stops leaves foreign keys to be made; a row that an application adds meanwhile is no document that could go into quarantine.
SELECT documents, complete FROM mongo_migrate.migrate_collection('dangle', 'bills', max_duration => '1 microsecond');
INSERT INTO public.bills VALUES (99, 99999);
SELECT complete FROM mongo_migrate.migrate_collection('dangle', 'bills');
SELECT count(*) FROM public.bills;
DELETE FROM public.bills WHERE id = 99;
SELECT documents, complete FROM mongo_migrate.migrate_collection('dangle', 'bills');

-- Documents whose own _id is a date, or bytes.
SELECT run('{"insert": "days", "documents": [{"_id": {"$date": "2024-01-02T03:04:05.678Z"}, "user": {"$oid": "cccccccccccccccccccccccc"}}, {"_id": {"$date": "2024-01-02T00:00:00Z"}, "user": {"$oid": "000000000000000000000001"}}]}');
SELECT run('{"insert": "bytes", "documents": [{"_id": {"$binary": {"base64": "AQI=", "subType": "00"}}, "user": {"$oid": "cccccccccccccccccccccccc"}}, {"_id": {"$binary": {"base64": "AQM=", "subType": "00"}}, "user": {"$oid": "000000000000000000000001"}}]}');
SELECT mongo_migrate.plan_collection('dangle', c, id_type => 'source') FROM unnest(ARRAY['days', 'bytes']) AS c;
UPDATE mongo_migrate.plan_column SET on_dangling = 'quarantine' WHERE target IN ('public.days', 'public.bytes') AND path = 'user';
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('dangle', 'days');
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('dangle', 'bytes');
SELECT collection, document FROM mongo_migrate.quarantine_report WHERE target IN ('public.days', 'public.bytes') ORDER BY 1;
SELECT (SELECT count(*) FROM public.days) AS days, (SELECT count(*) FROM public.bytes) AS bytes;

-- In a table that existed, what dangles is kept and recorded, as the rows are that were there before.
CREATE TABLE public.notes (id bigint PRIMARY KEY, user_id bigint);
INSERT INTO public.notes VALUES (1000, 99999);
SELECT run('{"insert": "notes", "documents": [{"_id": "n-1", "user": {"$oid": "000000000000000000000001"}}, {"_id": "n-2", "user": {"$oid": "dddddddddddddddddddddddd"}}]}');
SELECT mongo_migrate.plan_collection('dangle', 'notes');
SELECT column_name, role, on_dangling FROM mongo_migrate.plan_column WHERE target = 'public.notes' AND path = 'user';
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('dangle', 'notes');
SELECT row_key, source_value, policy FROM mongo_migrate.dangling_reference WHERE target = 'public.notes' ORDER BY 1;
SELECT count(*), count(user_id) FROM public.notes;

-- Documents with U+0000, in an _id or elsewhere, go into quarantine as others do, as a whole.
SELECT run('{"insert": "nuls", "documents": [{"_id": "a\u0000b", "user": {"$oid": "cccccccccccccccccccccccc"}},
    {"_id": "c", "user": {"$oid": "cccccccccccccccccccccccc"}, "note": "x\u0000y"}, {"_id": "d", "user": {"$oid": "000000000000000000000001"}, "note": "z"}]}');
SELECT mongo_migrate.plan_collection('dangle', 'nuls');
UPDATE mongo_migrate.plan_column SET role = 'reference', refers_to = 'users', refers_key = '_id', type = 'bigint', on_dangling = 'quarantine' WHERE (target, path) = ('public.nuls', 'user');
UPDATE mongo_migrate.plan_column SET included = false WHERE (target, path) = ('public.nuls', 'note');
SELECT inserted, complete FROM mongo_migrate.migrate_collection('dangle', 'nuls');
SELECT count(*) FROM public.nuls;
SELECT source_id, mongo_migrate.bson_to_json(document) AS document, reason FROM mongo_migrate.quarantine WHERE (server, collection) = ('dangle', 'nuls') ORDER BY 1;

-- An expression over json may take it out, and is evaluated again to verify.
SELECT run('{"insert": "spelled", "documents": [{"_id": 1, "name": "x\u0000y"}, {"_id": 2, "name": "z"}]}');
SELECT mongo_migrate.plan_collection('dangle', 'spelled');
UPDATE mongo_migrate.plan_column SET source_type = 'json', expression = $$replace(value::text, '\u0000', '')::json #>> '{}'$$ WHERE (target, path) = ('public.spelled', 'name');
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('dangle', 'spelled');
SELECT * FROM public.spelled ORDER BY id;
SELECT * FROM mongo_migrate.verify_full('dangle', 'spelled');
UPDATE public.spelled SET name = 'xy ' WHERE id = 1;
SELECT * FROM mongo_migrate.verify_full('dangle', 'spelled');

-- Columns of type integer refer to ids of type bigint, of another collection and of their own.
SELECT run('{"insert": "accounts", "documents": [{"_id": {"$numberLong": "4294967297"}, "rank": 1}, {"_id": {"$numberLong": "2"}, "rank": 2, "parentId": 2}]}');
SELECT run('{"insert": "cards", "documents": [{"_id": 1, "rank": 1, "accountId": 2}]}');
SELECT mongo_migrate.plan_collection('dangle', c) FROM unnest(ARRAY['accounts', 'cards']) AS c;
UPDATE mongo_migrate.plan_column SET role = 'reference', refers_to = 'accounts', type = 'integer' WHERE (server, path) IN (('dangle', 'parentId'), ('dangle', 'accountId'));
SELECT target, column_name, problem FROM mongo_migrate.check_plan('dangle') WHERE target ~ 'accounts|cards';
SELECT complete FROM unnest(ARRAY['accounts', 'cards']) AS c, mongo_migrate.migrate_collection('dangle', c);
SELECT run('{"insert": "accounts", "documents": [{"_id": 3, "rank": "x", "parentId": 4}, {"_id": 4, "rank": "x", "parentId": 1}]}');
SELECT run('{"insert": "cards", "documents": [{"_id": 2, "rank": "x", "accountId": 1}, {"_id": 3, "rank": "x", "accountId": 2}]}');
SELECT rejected, complete FROM unnest(ARRAY['accounts', 'cards']) AS c, mongo_migrate.migrate_collection('dangle', c);
SELECT run('{"update": "accounts", "updates": [{"q": {"rank": "x"}, "u": {"$set": {"rank": 3}}, "multi": true}]}');
SELECT run('{"update": "cards", "updates": [{"q": {"rank": "x"}, "u": {"$set": {"rank": 3}}, "multi": true}]}');
SELECT inserted, rejected FROM unnest(ARRAY['accounts', 'cards']) AS c, mongo_migrate.retry_quarantine('dangle', c);
SELECT * FROM public.accounts ORDER BY id;
SELECT * FROM public.cards ORDER BY id;

-- What is made here goes.
SET client_min_messages = warning;
SELECT run('{"dropDatabase": 1}') \g /dev/null
DROP TABLE public.accounts, public.bills, public.bytes, public.cards, public.days, public.notes, public.nuls, public.orders, public.users;
DO $$
BEGIN
    EXECUTE (SELECT 'DROP TABLE ' || string_agg(relation, ', ') FROM mongo_migrate.id_map WHERE server = 'dangle' AND relation IS NOT NULL);
END
$$;
DELETE FROM mongo_migrate.plan WHERE server = 'dangle';
DELETE FROM mongo_migrate.id_map WHERE server = 'dangle';
DELETE FROM mongo_migrate.chunk WHERE server = 'dangle';
DELETE FROM mongo_migrate.run WHERE server = 'dangle';
DELETE FROM mongo_migrate.quarantine WHERE server = 'dangle';
DELETE FROM mongo_migrate.dangling_reference WHERE server = 'dangle';
DELETE FROM mongo_migrate.verification WHERE server = 'dangle';
DROP FUNCTION run;
DROP SERVER dangle;

-- What a verification has found is repaired: documents are read anew, and their rows become what they would be now.
\set SHOW_CONTEXT never
\getenv mongo_uri MONGO_URI
CREATE SERVER repair FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_repair');
SELECT mongo_migrate.run_command('repair', '{"dropDatabase": 1}')->'ok' AS ok;
CREATE SCHEMA repair;
SET search_path = repair;
CREATE VIEW report AS SELECT collection, kind, missing, extra, mismatch, rounded, orphan, ok FROM mongo_migrate.verification_report
    WHERE server = 'repair' AND kind = 'full' ORDER BY collection;
CREATE FUNCTION pg_temp.verify(collection text) RETURNS TABLE (source_id text, target text, element text, column_name text, kind text, source_value text, target_value text)
LANGUAGE sql AS $$
    SELECT f.source_id, f.target, f.element, f.column_name, f.kind, left(f.source_value, 60), left(f.target_value, 60)
      FROM mongo_migrate.verify_full('repair', collection) AS f ORDER BY f.source_id COLLATE "C", f.target, f.element, f.column_name
$$;

-- Documents with child tables in child tables, that refer to others and to their like.
SELECT mongo_migrate.run_command('repair', '{"insert": "users", "documents": [
    {"_id": {"$oid": "00000000000000000000000a"}, "email": "ann@x.org"}, {"_id": {"$oid": "00000000000000000000000b"}, "email": "ben@x.org"}, {"_id": {"$oid": "00000000000000000000000c"}, "email": "cid@x.org"}, {"_id": {"$oid": "00000000000000000000000d"}, "email": "dan@x.org"}]}') -> 'n' AS n;
SELECT mongo_migrate.run_command('repair', '{"insert": "orders", "documents": [
    {"_id": 1, "user": {"$oid": "00000000000000000000000a"}, "email": "ann@x.org", "total": 1.5, "items": [{"sku": "a", "parts": [{"n": 1}, {"n": 2}]}, {"sku": "b", "parts": []}]},
    {"_id": 2, "user": {"$oid": "00000000000000000000000b"}, "email": "ben@x.org", "total": 2.5, "items": [{"sku": "c", "parts": [{"n": 3}]}]},
    {"_id": 3, "user": {"$oid": "00000000000000000000000c"}, "email": "cid@x.org", "total": 3.5, "items": []},
    {"_id": 4, "user": {"$oid": "00000000000000000000000d"}, "email": "dan@x.org", "total": 4.5, "items": [{"sku": "d", "parts": [{"n": 4}]}]},
    {"_id": 5, "user": {"$oid": "000000000000000000000001"}, "email": "gone@x.org", "total": 5.5, "items": []}]}') -> 'n' AS n;
SELECT mongo_migrate.plan_collection('repair', 'users', target => 'repair.users');
SELECT mongo_migrate.plan_collection('repair', 'orders', target => 'repair.orders');
SELECT target, column_name, role, type, refers_to, refers_key, on_dangling FROM mongo_migrate.plan_column
    WHERE server = 'repair' AND collection = 'orders' ORDER BY target, ordinal;
UPDATE mongo_migrate.plan_column SET nullable = true WHERE server = 'repair' AND role = 'reference';
UPDATE mongo_migrate.plan_column SET expression = 'value * 2' WHERE server = 'repair' AND column_name = 'total';
SELECT collection, inserted, complete FROM mongo_migrate.migrate_all('repair');
-- An application's own column, and its table with a foreign key of its own.
ALTER TABLE users ADD seen integer DEFAULT 0;
UPDATE users SET seen = 7;
CREATE TABLE notes (user_id bigint REFERENCES users ON DELETE CASCADE, note text);
INSERT INTO notes SELECT id, 'of ' || email FROM users;
CREATE TABLE ids AS SELECT id, email FROM users;

SELECT mongo_migrate.repair('repair', 'orders');
SELECT * FROM pg_temp.verify('users');
SELECT verification_id > 0 AS new, documents, inserted, replaced, deleted, rejected, rounded, unrepaired
  FROM mongo_migrate.repair('repair', 'users');

-- Changed, new and deleted documents, and rows that somebody has changed.
SELECT mongo_migrate.run_command('repair', '{"update": "users", "updates": [
    {"q": {"_id": {"$oid": "00000000000000000000000a"}}, "u": {"$set": {"email": "ann@y.org"}}}, {"q": {"_id": {"$oid": "00000000000000000000000e"}}, "u": {"email": "eve@x.org"}, "upsert": true}]}') -> 'n' AS n;
SELECT mongo_migrate.run_command('repair', '{"delete": "users", "deletes": [{"q": {"_id": {"$oid": "00000000000000000000000b"}}, "limit": 1}]}') -> 'n' AS n;
SELECT mongo_migrate.run_command('repair', '{"update": "orders", "updates": [
    {"q": {"_id": 1}, "u": {"$set": {"items": [{"sku": "z", "parts": [{"n": 9}]}], "total": 10}}},
    {"q": {"_id": 3}, "u": {"$set": {"user": {"$oid": "00000000000000000000000e"}, "items": [{"sku": "y", "parts": [{"n": 8}]}]}}},
    {"q": {"_id": 5}, "u": {"$unset": {"user": 1}}},
    {"q": {"_id": 6}, "u": {"user": {"$oid": "000000000000000000000002"}, "email": "none", "total": 6, "items": [{"sku": "x", "parts": [{"n": 7}]}]}, "upsert": true}]}') -> 'n' AS n;
SELECT mongo_migrate.run_command('repair', '{"delete": "orders", "deletes": [{"q": {"_id": 4}, "limit": 1}]}') -> 'n' AS n;
UPDATE orders SET total = 0 WHERE id = 2;
DELETE FROM orders_items WHERE order_id = 2;
SELECT * FROM pg_temp.verify('users');
SELECT * FROM pg_temp.verify('orders');
-- What is not in the source any more stays, unless it is asked for.
SELECT documents, inserted, replaced, deleted, rejected, unrepaired FROM mongo_migrate.repair('repair', 'users');
SELECT documents, inserted, replaced, deleted, rejected, unrepaired FROM mongo_migrate.repair('repair', 'orders');
SELECT * FROM pg_temp.verify('users');
SELECT * FROM pg_temp.verify('orders');
SELECT documents, inserted, replaced, deleted, rejected, unrepaired FROM mongo_migrate.repair('repair', 'users', delete_extra => true);
SELECT documents, inserted, replaced, deleted, rejected, unrepaired FROM mongo_migrate.repair('repair', 'orders', delete_extra => true);
SELECT * FROM pg_temp.verify('users');
SELECT * FROM pg_temp.verify('orders');
SELECT * FROM orders ORDER BY id;
SELECT * FROM orders_items ORDER BY 1, 2;
SELECT * FROM orders_items_parts ORDER BY 1, 2, 3;
SELECT column_name, row_key, refers_to, source_value, policy FROM mongo_migrate.dangling_reference WHERE server = 'repair' ORDER BY row_key::text;
-- Who has been there keeps the id, the application's column and what refers to it.
SELECT u.*, i.email AS was FROM users AS u LEFT JOIN ids AS i USING (id) ORDER BY id;
SELECT * FROM notes ORDER BY 1;
SELECT conrelid::regclass, conname, convalidated FROM pg_constraint WHERE contype = 'f' AND connamespace = 'repair'::regnamespace ORDER BY 1, 2;

-- A document that was deleted is there again: it has the id that it had, and what referred to it does again.
SELECT mongo_migrate.run_command('repair', '{"insert": "users", "documents": [{"_id": {"$oid": "00000000000000000000000b"}, "email": "ben@z.org"}]}') -> 'n' AS n;
SELECT * FROM pg_temp.verify('users');
SELECT documents, inserted FROM mongo_migrate.repair('repair', 'users');
SELECT (SELECT id FROM users WHERE email = 'ben@z.org') = (SELECT id FROM ids WHERE email = 'ben@x.org') AS same_id,
       (SELECT user_id FROM orders WHERE id = 2) = (SELECT id FROM users WHERE email = 'ben@z.org') AS refers_again;
SELECT * FROM pg_temp.verify('orders');

-- What cannot become rows: those there are stay; without, it goes into quarantine, and out of it when it has been mended.
SELECT mongo_migrate.run_command('repair', '{"update": "orders", "updates": [
    {"q": {"_id": 2}, "u": {"$set": {"total": "much"}}},
    {"q": {"_id": 7}, "u": {"user": {"$oid": "00000000000000000000000a"}, "email": "x", "total": "more", "items": []}, "upsert": true}]}') -> 'n' AS n;
SELECT * FROM pg_temp.verify('orders');
SELECT documents, inserted, replaced, rejected FROM mongo_migrate.repair('repair', 'orders');
SELECT source_id, target, path, reason FROM mongo_migrate.quarantine WHERE server = 'repair';
SELECT id, total FROM orders WHERE id IN (2, 7);
SELECT mongo_migrate.run_command('repair', '{"update": "orders", "updates": [{"q": {"total": {"$type": "string"}}, "u": {"$set": {"total": 8}}, "multi": true}]}') -> 'n' AS n;
SELECT documents, inserted, replaced, rejected FROM mongo_migrate.repair('repair', 'orders');
SELECT count(*) FROM mongo_migrate.quarantine WHERE server = 'repair';
SELECT id, total FROM orders WHERE id IN (2, 7) ORDER BY id;
SELECT * FROM pg_temp.verify('orders');
-- By an older verification.
UPDATE orders SET total = 1 WHERE id = 7;
SELECT count(*) FROM pg_temp.verify('orders');
UPDATE orders SET total = 2 WHERE id = 2;
SELECT count(*) FROM mongo_migrate.verify_full('repair', 'orders');
SELECT max(verification_id) - 1 AS before_last FROM mongo_migrate.verification WHERE server = 'repair' \gset
SELECT documents, verification_id = :before_last AS asked FROM mongo_migrate.repair('repair', 'orders', verification_id => :before_last);
SELECT id, total FROM orders WHERE id IN (2, 7) ORDER BY id;
SELECT documents FROM mongo_migrate.repair('repair', 'orders');
SELECT * FROM report;

-- One collection to two tables by a filter: a document moves from one to the other, or out of both.
SELECT mongo_migrate.run_command('repair', '{"insert": "things", "documents": [
    {"_id": 1, "state": "open", "n": 1, "tags": [{"t": "a"}]}, {"_id": 2, "state": "open", "n": 2, "tags": [{"t": "b"}]},
    {"_id": 3, "state": "done", "n": 3, "tags": [{"t": "c"}]}, {"_id": 4, "state": "done", "n": 4, "tags": []}]}') -> 'n' AS n;
SELECT mongo_migrate.plan_collection('repair', 'things', target => 'repair.things');
INSERT INTO mongo_migrate.plan_target (server, collection, target, kind, filter, ordinal) VALUES ('repair', 'things', 'repair.done', 'root', '{"state": "done"}', 10);
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type)
    VALUES ('repair', 'things', 'repair.done', 'id', 1, 'id', '_id', 'integer'), ('repair', 'things', 'repair.done', 'n', 2, 'value', 'n', 'integer');
UPDATE mongo_migrate.plan_target SET filter = '{"state": "open"}' WHERE server = 'repair' AND target = 'repair.things';
SELECT inserted, complete FROM mongo_migrate.migrate_collection('repair', 'things');
SELECT mongo_migrate.run_command('repair', '{"update": "things", "updates": [
    {"q": {"_id": 1}, "u": {"$set": {"state": "done", "n": 10}}}, {"q": {"_id": 3}, "u": {"$set": {"state": "open"}}},
    {"q": {"_id": 4}, "u": {"$set": {"state": "lost"}}}]}') -> 'n' AS n;
SELECT * FROM pg_temp.verify('things');
SELECT documents, inserted, replaced, deleted, unrepaired FROM mongo_migrate.repair('repair', 'things');
SELECT documents, inserted, replaced, deleted, unrepaired FROM mongo_migrate.repair('repair', 'things', delete_extra => true);
SELECT * FROM pg_temp.verify('things');
SELECT * FROM things ORDER BY 1;
SELECT * FROM things_tags ORDER BY 1, 2;
SELECT * FROM done ORDER BY 1;

-- A unique value that one document has given up is another's.
ALTER TABLE things ADD UNIQUE (n);
SELECT mongo_migrate.run_command('repair', '{"update": "things", "updates": [
    {"q": {"_id": 3}, "u": {"$set": {"n": 30}}}, {"q": {"_id": 2}, "u": {"$set": {"n": 3}}}, {"q": {"_id": 20}, "u": {"state": "open", "n": 2}, "upsert": true}]}') -> 'n' AS n;
SELECT count(*) FROM pg_temp.verify('things');
SELECT documents, inserted, replaced, rejected FROM mongo_migrate.repair('repair', 'things');
SELECT * FROM pg_temp.verify('things');

-- References by another key, which are looked up, and documents that the plan wants in quarantine for a reference.
SELECT mongo_migrate.run_command('repair', '{"insert": "visits", "documents": [
    {"_id": 1, "who": "ann@y.org", "user": {"$oid": "00000000000000000000000a"}}, {"_id": 2, "who": "cid@x.org", "user": {"$oid": "00000000000000000000000c"}}, {"_id": 3, "who": "no@x.org", "user": {"$oid": "00000000000000000000000c"}}]}') -> 'n' AS n;
SELECT mongo_migrate.plan_collection('repair', 'visits', target => 'repair.visits');
UPDATE mongo_migrate.plan_column SET on_dangling = 'quarantine' WHERE server = 'repair' AND target = 'repair.visits' AND path = 'user';
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, refers_to, refers_key)
    VALUES ('repair', 'visits', 'repair.visits', 'who_id', 20, 'reference', 'who', 'bigint', 'users', 'email');
SELECT inserted, complete FROM mongo_migrate.migrate_collection('repair', 'visits');
SELECT v.id, v.who, u.email, r.email AS refers FROM visits AS v LEFT JOIN users AS u ON u.id = who_id LEFT JOIN users AS r ON r.id = user_id ORDER BY 1;
SELECT mongo_migrate.run_command('repair', '{"update": "visits", "updates": [
    {"q": {"_id": 1}, "u": {"$set": {"who": "cid@x.org"}}}, {"q": {"_id": 2}, "u": {"$set": {"who": "nobody"}}}, {"q": {"_id": 3}, "u": {"$set": {"user": {"$oid": "000000000000000000000002"}}}},
    {"q": {"_id": 4}, "u": {"who": "dan@x.org", "user": {"$oid": "000000000000000000000002"}}, "upsert": true}]}') -> 'n' AS n;
SELECT count(*) FROM pg_temp.verify('visits');
SELECT documents, inserted, replaced, rejected FROM mongo_migrate.repair('repair', 'visits');
SELECT v.id, v.who, u.email, r.email AS refers FROM visits AS v LEFT JOIN users AS u ON u.id = who_id LEFT JOIN users AS r ON r.id = user_id ORDER BY 1;
SELECT source_id, reason, hint FROM mongo_migrate.quarantine WHERE server = 'repair';
SELECT column_name, row_key, source_value, policy FROM mongo_migrate.dangling_reference WHERE server = 'repair' AND collection = 'visits' ORDER BY row_key::text;

-- Ids of type char(n), which a cast to its name alone would cut.
SELECT mongo_migrate.run_command('repair', '{"insert": "lands", "documents": [{"_id": "de", "code": "49"}, {"_id": "fr", "code": "33"}]}') -> 'n' AS n;
SELECT mongo_migrate.run_command('repair', '{"insert": "towns", "documents": [{"_id": 1, "land": "de", "code": "49"}, {"_id": 2, "land": "fr", "code": "33"}]}') -> 'n' AS n;
SELECT mongo_migrate.plan_collection('repair', c, target => 'repair.' || c, id_type => 'source') FROM unnest(ARRAY['lands', 'towns']) AS c;
UPDATE mongo_migrate.plan_column SET type = 'char(2)' WHERE server = 'repair' AND (collection, path) IN (('lands', '_id'), ('towns', 'land'));
UPDATE mongo_migrate.plan_column SET nullable = true, on_dangling = 'null' WHERE server = 'repair' AND (collection, path) = ('towns', 'land');
SELECT collection, inserted, complete FROM mongo_migrate.migrate_all('repair') WHERE collection IN ('lands', 'towns');
SELECT mongo_migrate.run_command('repair', '{"delete": "lands", "deletes": [{"q": {"_id": "fr"}, "limit": 1}]}') -> 'n' AS n;
SELECT * FROM pg_temp.verify('lands');
SELECT documents, deleted, rejected FROM mongo_migrate.repair('repair', 'lands', delete_extra => true);
SELECT * FROM towns ORDER BY id;

-- A table that has become a view.
SELECT mongo_migrate.run_command('repair', '{"insert": "seen", "documents": [{"_id": 1, "n": 1}, {"_id": 2, "n": 2}, {"_id": 3, "n": 3}]}') -> 'n' AS n;
SELECT mongo_migrate.plan_collection('repair', 'seen', target => 'repair.seen');
SELECT inserted FROM mongo_migrate.migrate_collection('repair', 'seen');
ALTER TABLE seen RENAME TO stored;
CREATE VIEW seen AS SELECT * FROM stored;
UPDATE stored SET n = 4 WHERE id = 1;
DELETE FROM stored WHERE id = 2;
INSERT INTO stored VALUES (5, 5);
SELECT * FROM pg_temp.verify('seen');
SELECT documents, inserted, replaced, deleted, unrepaired FROM mongo_migrate.repair('repair', 'seen', delete_extra => true);
SELECT * FROM stored ORDER BY id;

-- Rows that a role does not see it cannot replace.
CREATE ROLE regress_repair_towns;
SELECT mongo_migrate.grant_usage('regress_repair_towns');
GRANT USAGE ON FOREIGN SERVER repair TO regress_repair_towns;
CREATE USER MAPPING FOR regress_repair_towns SERVER repair;
GRANT ALL ON SCHEMA repair TO regress_repair_towns;
GRANT ALL ON ALL TABLES IN SCHEMA repair TO regress_repair_towns;
SELECT mongo_migrate.run_command('repair', '{"delete": "towns", "deletes": [{"q": {"_id": 1}, "limit": 1}]}') -> 'n' AS n;
SELECT count(*) FROM pg_temp.verify('towns');
ALTER TABLE towns ENABLE ROW LEVEL SECURITY;
CREATE POLICY german ON towns USING (land_id <> 'de');
SET ROLE regress_repair_towns;
SELECT deleted FROM mongo_migrate.repair('repair', 'towns', delete_extra => true);
RESET ROLE;
SELECT deleted FROM mongo_migrate.repair('repair', 'towns', delete_extra => true);
DROP OWNED BY regress_repair_towns;
DROP ROLE regress_repair_towns;

-- Documents that refer to their like: to one that is gone, and to one that never was.
SELECT mongo_migrate.run_command('repair', '{"insert": "kin", "documents": [{"_id": 1, "a": 2, "b": 3}, {"_id": 2}, {"_id": 3}, {"_id": 4, "a": 2, "b": 3}]}') -> 'n' AS n;
SELECT mongo_migrate.plan_collection('repair', 'kin', target => 'repair.kin');
UPDATE mongo_migrate.plan_column SET role = 'reference', refers_to = 'kin', type = 'bigint', nullable = true WHERE server = 'repair' AND collection = 'kin' AND path IN ('a', 'b');
SELECT inserted, complete FROM mongo_migrate.migrate_collection('repair', 'kin');
SELECT mongo_migrate.run_command('repair', '{"update": "kin", "updates": [{"q": {"a": 2}, "u": {"$set": {"b": 9}}, "multi": true}]}') -> 'n' AS n;
SELECT mongo_migrate.run_command('repair', '{"delete": "kin", "deletes": [{"q": {"_id": 2}, "limit": 1}]}') -> 'n' AS n;
SELECT count(*) FROM pg_temp.verify('kin');
SELECT replaced, deleted, rejected FROM mongo_migrate.repair('repair', 'kin', delete_extra => true);
SELECT * FROM kin ORDER BY id;
SELECT * FROM pg_temp.verify('kin');

-- Ids in jsonb, of strings and of numbers.
SELECT mongo_migrate.run_command('repair', '{"insert": "pets", "documents": [
    {"_id": "a\"b", "owner": {"$oid": "0000000000000000000000fa"}}, {"_id": {"x": {"$numberDecimal": "1.50"}}, "owner": {"$oid": "0000000000000000000000fa"}}]}') -> 'n' AS n;
SELECT mongo_migrate.plan_collection('repair', 'pets', target => 'repair.pets', id_type => 'source');
UPDATE mongo_migrate.plan_column SET role = 'reference', refers_to = 'users', type = 'bigint', nullable = true WHERE server = 'repair' AND collection = 'pets' AND path = 'owner';
SELECT inserted, complete FROM mongo_migrate.migrate_collection('repair', 'pets');
SELECT id, pg_typeof(id) FROM pets WHERE owner IS NULL ORDER BY id;
SELECT mongo_migrate.run_command('repair', '{"insert": "users", "documents": [{"_id": {"$oid": "0000000000000000000000fa"}, "email": "ivy@x.org"}]}') -> 'n' AS n;
SELECT inserted, complete FROM mongo_migrate.migrate_collection('repair', 'users');
SELECT p.id, u.email FROM pets AS p JOIN users AS u ON u.id = p.owner ORDER BY p.id;
SELECT p.id FROM pets AS p
 WHERE p.id::text = ANY (mongo_migrate.target_ids('repair', 'pets', ARRAY[mongo_migrate.bson_from_json('{"_id": "a\"b"}'), mongo_migrate.bson_from_json('{"_id": {"x": {"$numberDecimal": "1.50"}}}')]))
 ORDER BY p.id;
SELECT mongo_migrate.run_command('repair', '{"delete": "users", "deletes": [{"q": {"email": "ivy@x.org"}, "limit": 1}]}') -> 'n' AS n;
SELECT count(*) FROM pg_temp.verify('users');
SELECT deleted, rejected FROM mongo_migrate.repair('repair', 'users', delete_extra => true);
SELECT mongo_migrate.run_command('repair', '{"update": "pets", "updates": [{"q": {}, "u": {"$set": {"owner": null, "n": 1}}, "multi": true}]}') -> 'n' AS n;
SELECT count(*) FROM mongo_migrate.dangling_reference WHERE server = 'repair' AND collection = 'pets';
SELECT replaced FROM mongo_migrate.replace_documents('repair', 'pets', ARRAY[mongo_migrate.bson_from_json('{"_id": "a\"b"}'), mongo_migrate.bson_from_json('{"_id": {"x": {"$numberDecimal": "1.50"}}}')], true, true) AS r,
       mongo_migrate.forget_references('repair', 'pets', r.written, clock_timestamp());
SELECT count(*) FROM mongo_migrate.dangling_reference WHERE server = 'repair' AND collection = 'pets';

-- A constraint that waits for the commit, of a partition or of what a trigger writes, keeps out the document that violates it, and no other.
SELECT mongo_migrate.run_command('repair', '{"insert": "bets", "documents": [{"_id": 1, "n": 1}, {"_id": 2, "n": 1}, {"_id": 3, "n": 1}]}') -> 'n' AS n;
CREATE TABLE allowed (n integer PRIMARY KEY);
INSERT INTO allowed VALUES (1), (2);
CREATE TABLE bets (id integer PRIMARY KEY, n integer REFERENCES allowed DEFERRABLE INITIALLY DEFERRED) PARTITION BY RANGE (id);
CREATE TABLE bets_low PARTITION OF bets FOR VALUES FROM (0) TO (9);
SELECT mongo_migrate.plan_collection('repair', 'bets', target => 'repair.bets', id_type => 'source');
SELECT inserted, complete FROM mongo_migrate.migrate_collection('repair', 'bets');
CREATE FUNCTION pg_temp.replace(ids integer[]) RETURNS TABLE (replaced bigint, rejected bigint, reasons text[]) LANGUAGE sql AS $$
    SELECT replaced, rejected, reasons FROM mongo_migrate.replace_documents('repair', 'bets', ARRAY(SELECT mongo_migrate.bson_from_json(json_build_object('_id', i)) FROM unnest(ids) AS i), true, false)
$$;
SELECT mongo_migrate.run_command('repair', '{"update": "bets", "updates": [{"q": {"_id": 1}, "u": {"$set": {"n": 7}}}, {"q": {"_id": 2}, "u": {"$set": {"n": 2}}}]}') -> 'n' AS n;
SELECT * FROM pg_temp.replace(ARRAY[1, 2]);
ALTER TABLE bets DROP CONSTRAINT bets_n_fkey;
CREATE TABLE bets_log (n integer REFERENCES allowed DEFERRABLE INITIALLY DEFERRED);
CREATE FUNCTION log_bet() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO bets_log VALUES (NEW.n); RETURN NULL; END';
CREATE TRIGGER log_bet AFTER UPDATE ON bets FOR EACH ROW EXECUTE FUNCTION log_bet();
SELECT mongo_migrate.run_command('repair', '{"update": "bets", "updates": [{"q": {"_id": 3}, "u": {"$set": {"n": 2}}}]}') -> 'n' AS n;
SELECT * FROM pg_temp.replace(ARRAY[1, 3]);
SELECT * FROM bets ORDER BY id;
TABLE bets_log;

-- Ids that findings do not tell apart, cut or spell in their way, and texts that look like something else: each is its own document.
SELECT mongo_migrate.run_command('repair', $$ {"insert": "odd_ids", "documents": [
    {"_id": 1, "n": 1}, {"_id": "1", "n": 2}, {"_id": {"$numberDecimal": "2.50"}, "n": 3}, {"_id": "{\"$gt\": \"\"}", "n": 4}, {"_id": "a\u0000b", "n": 5}, {"_id": {"$numberDouble": "-0.0"}, "n": 6},
    {"_id": "{\"$regularExpression\": {\"pattern\": \".\", \"options\": \"\"}}", "n": 7}, {"_id": "{\"$oid\": \"zz\"}", "n": 8}, {"_id": "\"1\"", "n": 9}]} $$) -> 'n' AS n;
SELECT mongo_migrate.run_command('repair', format('{"insert": "odd_ids", "documents": [{"_id": "%1$sa", "n": 10}, {"_id": "%1$sb", "n": 11}]}', repeat('x', 1000))::json) -> 'n' AS n;
SELECT mongo_migrate.plan_collection('repair', 'odd_ids', target => 'repair.odd_ids');
SELECT inserted FROM mongo_migrate.migrate_collection('repair', 'odd_ids');
UPDATE odd_ids SET n = n + 100 WHERE n NOT IN (2, 10);
CREATE TABLE stay AS SELECT ctid AS place, n FROM odd_ids WHERE n IN (2, 10);
SELECT count(*) FROM pg_temp.verify('odd_ids') WHERE source_id IS NOT NULL;
SELECT documents, replaced, unrepaired FROM mongo_migrate.repair('repair', 'odd_ids');
SELECT * FROM pg_temp.verify('odd_ids');
SELECT count(*) FROM stay JOIN odd_ids AS o ON o.ctid = place;
-- An application's row has an id from far away: those of the map go past it at once.
INSERT INTO odd_ids (id, n) VALUES (1000000000000000, -1);
SELECT mongo_migrate.run_command('repair', '{"insert": "odd_ids", "documents": [{"_id": "new", "n": 20}]}') -> 'n' AS n;
SET statement_timeout = '60s';
SELECT count(*) FROM pg_temp.verify('odd_ids') WHERE source_id IS NOT NULL;
SELECT documents, inserted FROM mongo_migrate.repair('repair', 'odd_ids');
RESET statement_timeout;
SELECT n, id > 1000000000000000 AS past FROM odd_ids WHERE n IN (2, 20) ORDER BY n;
DELETE FROM odd_ids WHERE n = -1;
SELECT mongo_migrate.run_command('repair', '{"delete": "odd_ids", "deletes": [{"q": {"n": {"$nin": [2, 10]}}, "limit": 0}]}') -> 'n' AS n;
SELECT count(*) FROM pg_temp.verify('odd_ids') WHERE source_id IS NOT NULL;
SELECT documents, deleted, unrepaired FROM mongo_migrate.repair('repair', 'odd_ids');
SELECT documents, deleted, unrepaired FROM mongo_migrate.repair('repair', 'odd_ids', delete_extra => true);
SELECT n FROM odd_ids ORDER BY n;
SELECT count(*) FROM stay JOIN odd_ids AS o ON o.ctid = place;
-- The same texts as ids in the table, and times.
SELECT mongo_migrate.run_command('repair', $$ {"insert": "text_ids", "documents": [
    {"_id": "a", "n": 1}, {"_id": "\"a\"", "n": 2}, {"_id": "{\"$gt\": \"\"}", "n": 3}, {"_id": "{\"$oid\": \"zz\"}", "n": 4}]} $$) -> 'n' AS n;
SELECT mongo_migrate.run_command('repair', '{"insert": "times", "documents": [{"_id": {"$date": "2024-02-29T12:00:00.001Z"}, "n": 1}, {"_id": {"$date": "1960-02-29T12:00:00Z"}, "n": 2}]}') -> 'n' AS n;
SELECT mongo_migrate.plan_collection('repair', c, target => 'repair.' || c, id_type => 'source') FROM unnest(ARRAY['text_ids', 'times']) AS c;
SELECT inserted FROM unnest(ARRAY['text_ids', 'times']) AS c, mongo_migrate.migrate_collection('repair', c);
INSERT INTO text_ids VALUES ('{"$lt": 1}', 7), ('"2"', 7), (repeat('x', 2000), 7), ('7', 7), ('null', 7);
SELECT mongo_migrate.run_command('repair', format('{"delete": "%s", "deletes": [{"q": {"n": 1}, "limit": 1}]}', c)::json) -> 'n' AS n FROM unnest(ARRAY['text_ids', 'times']) AS c;
SELECT left(source_id, 30) AS source_id, target, kind FROM pg_temp.verify('text_ids') WHERE source_id IS NOT NULL;
SELECT documents, deleted, unrepaired FROM mongo_migrate.repair('repair', 'text_ids', delete_extra => true);
SELECT * FROM text_ids ORDER BY n;
SELECT kind, target_value FROM pg_temp.verify('times') WHERE source_id IS NOT NULL;
SELECT documents, deleted, unrepaired FROM mongo_migrate.repair('repair', 'times', delete_extra => true);
SELECT n FROM times;
SELECT mongo_migrate.compare_document('repair', 'text_ids', '{"$gt": 1}');

-- Values where the plan has a sub-document, an array or a map: no row tells of them.
SELECT mongo_migrate.run_command('repair', '{"insert": "shapes", "documents": [
    {"_id": 1, "at": {"city": "x", "geo": {"lat": 1}}, "l": [{"k": 1, "p": [{"n": 1}]}], "m": {"a": 1}, "t": [{"v": 1, "t": [{"v": 2}]}], "w": [{"k": 1}], "g": [[1], [2]]},
    {"_id": 2, "at": {}, "l": [], "m": {}, "t": [], "w": [], "g": []}, {"_id": 3, "at": null, "m": null, "l": null}]}') -> 'n' AS n;
SELECT mongo_migrate.plan_collection('repair', 'shapes', target => 'repair.shapes');
SELECT mongo_migrate.plan_table('repair', 'shapes', p) FROM unnest(ARRAY['m', 't[].t', 'g']) AS p;
UPDATE mongo_migrate.plan_column SET nullable = true WHERE (server, collection) = ('repair', 'shapes') AND role = 'value';
-- A column for the whole value takes it as it is.
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type) VALUES ('repair', 'shapes', 'repair.shapes', 'w', 30, 'value', 'w', 'jsonb');
SELECT inserted FROM mongo_migrate.migrate_collection('repair', 'shapes');
SELECT * FROM pg_temp.verify('shapes');
SELECT mongo_migrate.run_command('repair', '{"update": "shapes", "updates": [
    {"q": {"_id": 2}, "u": {"$set": {"at": 5, "l": {"k": 1}, "m": {"$date": "2024-02-29T12:00:00Z"}, "t": "lost", "w": "kept", "g": [1, [2]]}}},
    {"q": {"_id": 3}, "u": {"$set": {"at": {"geo": [1]}, "m": ["lost"], "l": [{"p": 7}, "lost", null], "t": [{"t": {"v": 1}}], "g": 1}}}]}') -> 'n' AS n;
SELECT source_id, target, element, column_name, kind, source_value, target_value FROM pg_temp.verify('shapes') ORDER BY source_id, target, element, kind;
SELECT target, element, kind, source_value FROM mongo_migrate.compare_document('repair', 'shapes', '2') WHERE kind <> 'equal' ORDER BY 1, 2, 3;
SET client_min_messages = error;
SELECT documents, replaced, rejected FROM mongo_migrate.repair('repair', 'shapes');
RESET client_min_messages;

-- A document is gone that others refer to, and another has come with its unique value.
SELECT mongo_migrate.run_command('repair', '{"insert": "hosts", "documents": [{"_id": {"$oid": "0000000000000000000000a1"}, "name": "a"}, {"_id": {"$oid": "0000000000000000000000a2"}, "name": "b"}]}') -> 'n' AS n;
SELECT mongo_migrate.run_command('repair', '{"insert": "stays", "documents": [{"_id": 1, "host": "a"}, {"_id": 2, "host": "b"}]}') -> 'n' AS n;
SELECT mongo_migrate.plan_collection('repair', c, target => 'repair.' || c) FROM unnest(ARRAY['hosts', 'stays']) AS c;
UPDATE mongo_migrate.plan_column SET is_unique = true WHERE (server, target, column_name) = ('repair', 'repair.hosts', 'name');
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, refers_to, refers_key)
    VALUES ('repair', 'stays', 'repair.stays', 'host_id', 20, 'reference', 'host', 'bigint', 'hosts', 'name');
SELECT inserted FROM unnest(ARRAY['hosts', 'stays']) AS c, mongo_migrate.migrate_collection('repair', c);
SELECT mongo_migrate.run_command('repair', '{"delete": "hosts", "deletes": [{"q": {"name": "a"}, "limit": 1}]}') -> 'n' AS n;
SELECT mongo_migrate.run_command('repair', '{"insert": "hosts", "documents": [{"_id": {"$oid": "0000000000000000000000a3"}, "name": "a"}, {"_id": {"$oid": "0000000000000000000000a4"}, "name": "c"}]}') -> 'n' AS n;
SELECT kind, source_value, target_value FROM pg_temp.verify('hosts');
SELECT documents, inserted, deleted, rejected FROM mongo_migrate.repair('repair', 'hosts', delete_extra => true);
SELECT * FROM pg_temp.verify('hosts');
SELECT s.id, h.name FROM stays AS s LEFT JOIN hosts AS h ON h.id = host_id ORDER BY 1;
SELECT count(*) FROM mongo_migrate.quarantine WHERE (server, collection) = ('repair', 'hosts');

-- Errors.
SELECT mongo_migrate.repair('repair', 'nothing');
SELECT mongo_migrate.repair('repair', 'visits', verification_id => 0);
BEGIN;
SELECT mongo_migrate.run_command('repair', '{"drop": "things"}') -> 'ok' AS ok;
SELECT mongo_migrate.repair('repair', 'things', delete_extra => true);
ROLLBACK;
SELECT count(*) FROM things;
CREATE ROLE regress_repair_nobody;
SET ROLE regress_repair_nobody;
SELECT mongo_migrate.repair('repair', 'visits');
RESET ROLE;
DROP ROLE regress_repair_nobody;

DROP SERVER repair CASCADE;
SET client_min_messages = warning;
DO $$
BEGIN
    EXECUTE (SELECT 'DROP TABLE ' || string_agg(relation, ', ') FROM mongo_migrate.id_map WHERE server = 'repair' AND relation IS NOT NULL);
END
$$;
DELETE FROM mongo_migrate.plan WHERE server = 'repair';
DELETE FROM mongo_migrate.id_map WHERE server = 'repair';
DELETE FROM mongo_migrate.chunk WHERE server = 'repair';
DELETE FROM mongo_migrate.run WHERE server = 'repair';
DELETE FROM mongo_migrate.quarantine WHERE server = 'repair';
DELETE FROM mongo_migrate.dangling_reference WHERE server = 'repair';
DELETE FROM mongo_migrate.verification WHERE server = 'repair';
DROP SCHEMA repair CASCADE;

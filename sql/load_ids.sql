-- _id of every BSON type: read in one order, resumed anywhere, mapped one to one.
\getenv mongo_uri MONGO_URI
CREATE SERVER load_ids FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_load_ids');
SET load.server = 'load_ids';
SELECT mongo_migrate.run_command('load_ids', '{"dropDatabase": 1}')->'ok' AS ok;
CREATE SCHEMA load_ids;
\getenv abs_srcdir PG_ABS_SRCDIR
\set file :abs_srcdir '/sql/include/plan_by_hand.sql'
\i :file

\set ids '[{"_id": {"$minKey": 1}}, {"_id": null}, {"_id": {"$numberDouble": "NaN"}}, {"_id": {"$numberDouble": "-Infinity"}}, {"_id": -3}, {"_id": 0}, {"_id": {"$numberDouble": "2.5"}}, {"_id": {"$numberLong": "7"}}, {"_id": {"$numberDecimal": "9.75"}}, {"_id": {"$numberDecimal": "1E+30"}}, {"_id": ""}, {"_id": "B"}, {"_id": "a"}, {"_id": {"$symbol": "s"}}, {"_id": {}}, {"_id": {"a": 1}}, {"_id": {"a": 1, "b": 2}}, {"_id": {"a": "x"}}, {"_id": {"b": 1}}, {"_id": {"$binary": {"base64": "eA==", "subType": "00"}}}, {"_id": {"$uuid": "ee7c9665-31cf-4633-a1a0-56752dc691c3"}}, {"_id": {"$oid": "65a000000000000000000001"}}, {"_id": {"$oid": "65a000000000000000000002"}}, {"_id": false}, {"_id": true}, {"_id": {"$date": "2020-01-01T00:00:00Z"}}, {"_id": {"$timestamp": {"t": 5, "i": 1}}}, {"_id": {"$code": "x"}}, {"_id": {"$code": "x", "$scope": {"a": 1}}}, {"_id": {"$maxKey": 1}}]'
SELECT mongo_migrate.run_command('load_ids', json_build_object('insert', 'plain', 'documents', (:'ids')::json))->'n' AS n;
-- A collection whose _id index has a collation, one that is clustered by _id, and a view.
SELECT mongo_migrate.run_command('load_ids', '{"create": "collated", "collation": {"locale": "en", "strength": 2}}')->'ok' AS ok;
SELECT mongo_migrate.run_command('load_ids', json_build_object('insert', 'collated', 'documents', replace(:'ids', '{"_id": {"$symbol": "s"}}, ', '')::json))->'n' AS n;
SELECT mongo_migrate.run_command('load_ids', CASE WHEN (mongo_migrate.run_command('load_ids', '{"hello": 1}') ->> 'maxWireVersion')::integer < 16     -- before 5.3
    THEN '{"create": "clustered"}' ELSE '{"create": "clustered", "clusteredIndex": {"key": {"_id": 1}, "unique": true}}' END::json)->'ok' AS ok;
SELECT mongo_migrate.run_command('load_ids', json_build_object('insert', 'clustered', 'documents', (:'ids')::json))->'n' AS n;
SELECT mongo_migrate.run_command('load_ids', '{"create": "seen", "viewOn": "plain", "pipeline": []}')->'ok' AS ok;

CREATE TABLE load_ids.rows (collection text DEFAULT current_setting('load.collection'), id bigint NOT NULL, source jsonb);
SELECT pg_temp.plan(c, 'load_ids.rows', '{"id": "id _id bigint", "source": "value _id jsonb"}')
    FROM unnest(ARRAY['plain', 'collated', 'clustered', 'seen']) AS c;

-- Copies a collection with a new cursor for each batch, or with one.
CREATE PROCEDURE pg_temp.copy_all(collection text, batch_size integer, reopen boolean) LANGUAGE plpgsql AS $$
DECLARE
    complete boolean := false;
    state mongo_migrate.chunk;
BEGIN
    DELETE FROM load_ids.rows AS r WHERE r.collection = $1;
    UPDATE mongo_migrate.chunk AS c SET complete = false, last_id = NULL WHERE (c.server, c.collection) = ('load_ids', $1);
    PERFORM set_config('load.collection', $1, false);
    WHILE NOT complete LOOP
        SELECT b.complete INTO complete FROM mongo_migrate.copy_batch('load_ids', collection, 1, batch_size) AS b;
        IF reopen THEN
            BEGIN
                RAISE EXCEPTION 'a rollback drops the session';
            EXCEPTION WHEN raise_exception THEN
            END;
        END IF;
        COMMIT;
    END LOOP;
    SELECT * INTO state FROM mongo_migrate.chunk AS c WHERE (c.server, c.collection) = ('load_ids', $1);
    RAISE NOTICE '%: % rows, % ids, % documents of MaxKey', collection,
        (SELECT count(*) FROM load_ids.rows AS r WHERE r.collection = $1),
        (SELECT count(DISTINCT id) FROM load_ids.rows AS r WHERE r.collection = $1),
        (SELECT count(*) FROM load_ids.rows AS r WHERE r.collection = $1 AND source ? '$maxKey');
END $$;
CALL pg_temp.copy_all('plain', 1, true);
CALL pg_temp.copy_all('plain', 1, false);
CALL pg_temp.copy_all('plain', 7, true);
CALL pg_temp.copy_all('plain', 100, false);
CALL pg_temp.copy_all('collated', 1, true);
CALL pg_temp.copy_all('collated', 1, false);
CALL pg_temp.copy_all('clustered', 1, true);
CALL pg_temp.copy_all('clustered', 1, false);
CALL pg_temp.copy_all('seen', 1, true);
CALL pg_temp.copy_all('seen', 1, false);
SELECT relation AS map FROM mongo_migrate.id_map WHERE server = 'load_ids' AND collection = 'plain' \gset
SELECT count(*), count(DISTINCT id) FROM :map;
-- Every id leads back to its _id.
SELECT source, mongo_migrate.source_id('load_ids', 'plain', id::text) AS source_id
    FROM load_ids.rows WHERE collection = 'plain' ORDER BY ctid;
SELECT count(*) AS same FROM load_ids.rows WHERE collection = 'plain'
    AND mongo_migrate.target_id('load_ids', 'plain', mongo_migrate.source_id('load_ids', 'plain', id::text)) = id::text;

-- References are equal where MongoDB says so, whatever the numeric type.
SELECT mongo_migrate.run_command('load_ids', '{"insert": "films", "documents": [
    {"_id": 1, "actor": {"$numberLong": "7"}}, {"_id": 2, "actor": {"$numberDecimal": "7.0"}}, {"_id": 3, "actor": {"$numberDouble": "7"}},
    {"_id": 4, "actor": {"b": 1}}, {"_id": 5, "actor": {"b": {"$numberDouble": "1.0"}}}, {"_id": 6, "actor": "7"},
    {"_id": 7, "actor": "65A000000000000000000001"}, {"_id": 8, "actor": null}, {"_id": 9}]}')->'n' AS n;
CREATE TABLE load_ids.films (id bigint NOT NULL, exact bigint, hex bigint, number bigint);
SELECT pg_temp.plan('films', 'load_ids.films', '{"id": "id _id bigint", "exact": "reference:plain actor bigint",
    "hex": "reference:plain:objectid_text actor bigint", "number": "reference:plain:number_text actor bigint"}');
SELECT documents, inserted FROM mongo_migrate.copy_batch('load_ids', 'films', 1);
SELECT f.id, e.source AS exact, h.source AS hex, n.source AS number
    FROM (SELECT row_number() OVER (ORDER BY ctid) AS n, * FROM load_ids.films) AS f
    LEFT JOIN load_ids.rows AS e ON e.id = f.exact AND e.collection = 'plain'
    LEFT JOIN load_ids.rows AS h ON h.id = f.hex AND h.collection = 'plain'
    LEFT JOIN load_ids.rows AS n ON n.id = f.number AND n.collection = 'plain'
    ORDER BY f.n;

-- New ids may be uuids, and the source's own may be kept.
INSERT INTO mongo_migrate.id_map (server, collection, id_type) VALUES ('load_ids', 'tokens', 'uuid'), ('load_ids', 'numbers', 'source');
SELECT mongo_migrate.run_command('load_ids', '{"insert": "tokens", "documents": [{"_id": "a", "next": "b", "number": 1},
    {"_id": "b", "next": "a", "number": "2"}, {"_id": "c", "next": "c", "number": {"$numberDouble": "1.0"}}, {"_id": "d", "number": "x"}]}')->'n' AS n;
SELECT mongo_migrate.run_command('load_ids', '{"insert": "numbers", "documents": [{"_id": 1}, {"_id": {"$numberDouble": "2.0"}},
    {"_id": {"$numberDouble": "2.5"}}, {"_id": "three"}]}')->'n' AS n;
CREATE TABLE load_ids.tokens (id uuid NOT NULL, name text, next_id uuid, number_id bigint);
CREATE TABLE load_ids.numbers (id bigint NOT NULL);
SELECT pg_temp.plan('tokens', 'load_ids.tokens', '{"id": "id _id uuid", "name": "value _id text", "next_id": "reference:tokens next uuid",
    "number_id": "reference:numbers:number_text number bigint"}');
SELECT pg_temp.plan('numbers', 'load_ids.numbers', '{"id": "id _id bigint"}');
SELECT documents, inserted, rejected FROM mongo_migrate.copy_batch('load_ids', 'tokens', 1);
SELECT documents, inserted, rejected FROM mongo_migrate.copy_batch('load_ids', 'numbers', 1);
SELECT t.name, n.name AS next, t.number_id, mongo_migrate.source_id('load_ids', 'tokens', t.id::text) AS source_id
    FROM load_ids.tokens AS t LEFT JOIN load_ids.tokens AS n ON n.id = t.next_id ORDER BY 1;
TABLE load_ids.numbers;
SELECT source_id, target, path, reason, sqlstate FROM mongo_migrate.quarantine WHERE server = 'load_ids' ORDER BY quarantine_id;

-- A view must say what _id is.
SELECT mongo_migrate.run_command('load_ids', '{"create": "twice", "viewOn": "films", "pipeline": [{"$set": {"_id": {"$min": ["$_id", 5]}}}]}')->'ok' AS ok;
SELECT mongo_migrate.run_command('load_ids', '{"create": "nameless", "viewOn": "films", "pipeline": [{"$unset": "_id"}]}')->'ok' AS ok;
CREATE TABLE load_ids.twice (id bigint);
SELECT pg_temp.plan(c, 'load_ids.twice', '{"id": "id _id bigint"}') FROM unnest(ARRAY['twice', 'nameless', 'missing']) AS c;
SELECT mongo_migrate.copy_batch('load_ids', 'twice', 1, 5);
SELECT mongo_migrate.copy_batch('load_ids', 'twice', 1, 5);
SELECT mongo_migrate.copy_batch('load_ids', 'nameless', 1);
SELECT mongo_migrate.copy_batch('load_ids', 'missing', 1);

-- A key that no index could hold.
SELECT mongo_migrate.run_command('load_ids', json_build_object('insert', 'long', 'documents',
    json_build_array(json_build_object('_id', repeat('k', 5000)), json_build_object('_id', repeat('k', 5001)), json_build_object('_id', 'k'))))->'n' AS n;
SELECT pg_temp.plan('long', 'load_ids.twice', '{"id": "id _id bigint"}');
SELECT documents, inserted, rejected FROM mongo_migrate.copy_batch('load_ids', 'long', 1);
SELECT length(source_id), length(key), reason FROM mongo_migrate.quarantine WHERE server = 'load_ids' AND collection = 'long' ORDER BY 1;

-- Ids are taken by the hundred, none twice, and what a session leaves is lost.  A batch after an edit of the plan is of the new plan, in a session made anew.
SELECT mongo_migrate.run_command('load_ids', json_build_object('insert', 'many', 'documents', json_agg(json_build_object('_id', n, 'n', n))))->'n' AS n
    FROM generate_series(1, 250) AS n;
CREATE TABLE load_ids.many (id bigint PRIMARY KEY, n bigint);
SELECT pg_temp.plan('many', 'load_ids.many', '{"id": "id _id bigint", "n": "value n bigint"}');
SELECT documents, inserted FROM mongo_migrate.copy_batch('load_ids', 'many', 1, 70);
UPDATE mongo_migrate.plan_column SET expression = '-value' WHERE server = 'load_ids' AND collection = 'many' AND column_name = 'n';
SELECT documents, inserted FROM mongo_migrate.copy_batch('load_ids', 'many', 1, 70);
SELECT documents, inserted FROM mongo_migrate.copy_batch('load_ids', 'many', 1, 500);
SELECT min(id), max(id), count(*), min(n) AS last, max(n) AS last_before FROM load_ids.many;

-- The expression of an id that comes from a map sees the id, whatever the column's type: so says check_plan(), too.
SELECT mongo_migrate.run_command('load_ids', '{"insert": "coded", "documents": [{"_id": "a"}, {"_id": "b"}]}')->'n' AS n;
CREATE TABLE load_ids.coded (id text PRIMARY KEY);
SELECT pg_temp.plan('coded', 'load_ids.coded', '{"id": "id _id text"}');
UPDATE mongo_migrate.plan_column SET expression = 'lower(value)' WHERE server = 'load_ids' AND collection = 'coded';
SELECT column_name, problem FROM mongo_migrate.check_plan('load_ids', 'coded');
SELECT documents, inserted FROM mongo_migrate.copy_batch('load_ids', 'coded', 1, 70);
UPDATE mongo_migrate.plan_column SET expression = '''C'' || value + 1000' WHERE server = 'load_ids' AND collection = 'coded';
SELECT column_name, problem FROM mongo_migrate.check_plan('load_ids', 'coded');
SELECT documents, inserted FROM mongo_migrate.copy_batch('load_ids', 'coded', 1, 70);
SELECT * FROM load_ids.coded ORDER BY id;

\set file :abs_srcdir '/sql/include/forget_server.sql'
\i :file
\set VERBOSITY terse
SET client_min_messages = error;
DROP SCHEMA load_ids CASCADE;
DROP SERVER load_ids;

-- What a person meets who mistypes, or whose documents are not as the plan has
-- it: the message says what, where and why, and the statement that mends it.
\getenv mongo_uri MONGO_URI
\set VERBOSITY default
\set SHOW_CONTEXT never
\pset format unaligned
SET client_min_messages = warning;
CREATE SERVER bad_input FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_bad_input');
SELECT mongo_migrate.run_command('bad_input', '{"dropDatabase": 1}') \g /dev/null
SELECT mongo_migrate.run_command('bad_input', '{"insert": "orders", "documents": [
    {"_id": 1, "amount": "12.5", "name": "a"},
    {"_id": 2, "amount": "x", "name": "b"},
    {"_id": 5, "amount": "1", "name": "much too long"},
    {"_id": 3, "amount": "3.25", "address": {"city": "c"}, "items": [{"sku": "a", "n": "1"}]},
    {"_id": 4, "items": [{"sku": "b", "n": "two"}]}]}') \g /dev/null
RESET client_min_messages;

-- A server that is not there, or is another wrapper's.
SELECT * FROM mongo_migrate.infer_schema('bad_inptu', 'orders');
SELECT mongo_migrate.plan_collection('nonesuch', 'orders');
SELECT mongo_migrate.draft_ddl('nonesuch');
SELECT mongo_migrate.apply_ddl('nonesuch');
SELECT mongo_migrate.check_plan('nonesuch', 'orders');
SELECT mongo_migrate.migrate_collection('nonesuch', 'orders');
SELECT mongo_migrate.migrate_collection('nonesuch', 'orders', workers => 0);
SELECT mongo_migrate.migrate_all('nonesuch');
SELECT mongo_migrate.verify_counts('nonesuch');
SELECT mongo_migrate.verify_sample('nonesuch', 'orders');
SELECT mongo_migrate.verify_full('nonesuch', 'orders');
SELECT mongo_migrate.compare_document('nonesuch', 'orders', '1');
SELECT mongo_migrate.retry_quarantine('nonesuch');
SELECT mongo_migrate.reset_collection('nonesuch', 'orders');
SELECT mongo_migrate.stop_migration('nonesuch', 'orders');
SELECT mongo_migrate.create_id_map('nonesuch', 'orders');
SELECT mongo_migrate.target_id('nonesuch', 'orders', '1');
SELECT mongo_migrate.source_id('nonesuch', 'orders', '1');
SELECT mongo_migrate.key_ddl('nonesuch', 'orders');
SELECT mongo_migrate.reference_ddl('nonesuch');
SELECT mongo_migrate.apply_references('nonesuch');
SELECT mongo_migrate.stop_sync('nonesuch');
CALL mongo_migrate.follow_changes('nonesuch', once => true);
CREATE FOREIGN DATA WRAPPER bad_input_other;
CREATE SERVER bad_input_other FOREIGN DATA WRAPPER bad_input_other;
SELECT mongo_migrate.migrate_collection('bad_input_other', 'orders');
SELECT mongo_migrate.verify_counts('bad_input_other');
DROP FOREIGN DATA WRAPPER bad_input_other CASCADE;

-- A database that is not there.
CREATE SERVER bad_input_empty FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'MM_test_bad_input_empty');
SELECT * FROM mongo_migrate.migrate_all('bad_input_empty');
DROP SERVER bad_input_empty;

-- A collection that is not there, or has no plan.
SELECT * FROM mongo_migrate.infer_schema('bad_input', 'ordres');
SELECT mongo_migrate.plan_collection('bad_input', 'invoices');
SELECT mongo_migrate.migrate_collection('bad_input', 'ordres');
SELECT mongo_migrate.migrate_collection('bad_input', 'ordres', workers => 0);
SELECT mongo_migrate.migrate_collection('bad_input', 'ordres', dry_run => true);
SELECT mongo_migrate.draft_ddl('bad_input', 'orders');
SELECT mongo_migrate.apply_ddl('bad_input');
SELECT mongo_migrate.check_plan('bad_input', 'orders');
SELECT mongo_migrate.verify_counts('bad_input');
SELECT mongo_migrate.verify_sample('bad_input', 'orders');
SELECT mongo_migrate.verify_full('bad_input', 'orders');
SELECT mongo_migrate.compare_document('bad_input', 'orders', '1');
SELECT mongo_migrate.retry_quarantine('bad_input', 'orders');
SELECT mongo_migrate.reset_collection('bad_input', 'orders');
SELECT mongo_migrate.stop_migration('bad_input', 'orders');
SELECT mongo_migrate.target_id('bad_input', 'orders', '1');
SELECT mongo_migrate.source_id('bad_input', 'orders', '1');
SELECT mongo_migrate.key_ddl('bad_input', 'orders');
SELECT mongo_migrate.reference_ddl('bad_input');
SELECT mongo_migrate.apply_references('bad_input', 'orders');
SELECT mongo_migrate.stop_sync('bad_input');
CALL mongo_migrate.follow_changes('bad_input', once => true);
-- A run that is not there.
CALL mongo_migrate.copy_chunks(-1);
CALL mongo_migrate.help_finish(-1);
CALL mongo_migrate.finish_run(NULL);
-- Nor one with values that migrate_collection() would refuse.
SELECT mongo_migrate.prepare_run('bad_input', 'orders', 0, 0, 'quarantine', NULL, NULL);
SELECT mongo_migrate.prepare_run('bad_input', 'orders', 10, 0, 'ignore', NULL, NULL);
SELECT mongo_migrate.prepare_run('bad_input', 'orders', 10, 0, 'stop', NULL, NULL, 0);

CREATE FOREIGN TABLE ordres (_id int, amount text) SERVER bad_input;
SELECT * FROM ordres;
ALTER FOREIGN TABLE ordres OPTIONS (ADD collection 'oders');
SELECT * FROM ordres;
ALTER FOREIGN TABLE ordres OPTIONS (SET collection 'orders');
SELECT amount FROM ordres WHERE _id = 1;
DROP FOREIGN TABLE ordres;
IMPORT FOREIGN SCHEMA mm_test_bad_input LIMIT TO (ordres) FROM SERVER bad_input INTO public;
IMPORT FOREIGN SCHEMA bad_input FROM SERVER bad_input INTO public;
IMPORT FOREIGN SCHEMA mm_test_bad_input FROM SERVER bad_input INTO public OPTIONS (sampel_size '3');

-- Nothing where something must be.
SELECT mongo_migrate.plan_collection(NULL, 'orders');
SELECT mongo_migrate.plan_collection('bad_input', NULL);
SELECT mongo_migrate.plan_collection('bad_input', 'orders', sample_size => NULL);
SELECT mongo_migrate.migrate_collection(NULL, 'orders');
SELECT mongo_migrate.migrate_collection('bad_input', NULL);
SELECT mongo_migrate.migrate_all(NULL);
SELECT mongo_migrate.verify_sample('bad_input', NULL);
SELECT mongo_migrate.compare_document('bad_input', NULL, '1');
SELECT mongo_migrate.reset_collection('bad_input', NULL);
SELECT mongo_migrate.grant_usage(NULL);

-- A plan that cannot be made.
SELECT mongo_migrate.plan_collection('bad_input', 'orders', target => 'a.b.c');
SELECT mongo_migrate.plan_collection('bad_input', 'orders', target => 'a..b');
SELECT mongo_migrate.plan_collection('bad_input', 'orders', target => 'pg_catalog.pg_class');
SELECT mongo_migrate.plan_collection('bad_input', 'orders', target => 'mongo_migrate.orders');
SELECT mongo_migrate.plan_collection('bad_input', 'orders', schema => 'pg_temp');
SELECT mongo_migrate.plan_collection('bad_input', 'orders', id_type => 'serial');
SELECT mongo_migrate.plan_collection('bad_input', 'orders', sample_size => -1);
SELECT mongo_migrate.plan_collection('bad_input', 'orders');
SELECT mongo_migrate.plan_collection('bad_input', 'orders');
-- A plan made anew does not keep the id type of a table that was given up.
CREATE TABLE public.other_orders (id text);
SELECT mongo_migrate.plan_collection('bad_input', 'orders', target => 'other_orders', replan => true);
SELECT mongo_migrate.plan_collection('bad_input', 'orders', target => 'orders', replan => true);
SELECT column_name, type FROM mongo_migrate.plan_column WHERE server = 'bad_input' AND role IN ('id', 'parent') ORDER BY 1;
DROP TABLE public.other_orders;

-- A plan that is wrong: each change by itself.
CREATE FUNCTION pg_temp.trouble(change text, of text DEFAULT 'amount')
    RETURNS TABLE (place text, problem text, hint text, severity text) LANGUAGE plpgsql AS $$
BEGIN
    IF of LIKE 'public.%' THEN
        EXECUTE format('UPDATE mongo_migrate.plan_target SET %s WHERE target = %L', change, of);
    ELSE
        EXECUTE format('UPDATE mongo_migrate.plan_column SET %s WHERE column_name = %L', change, of);
    END IF;
    RETURN QUERY SELECT concat_ws('.', c.target, c.column_name), c.problem, c.hint, c.severity
                   FROM mongo_migrate.check_plan('bad_input') AS c;
    RAISE EXCEPTION 'undo' USING ERRCODE = 'P9999';
EXCEPTION WHEN SQLSTATE 'P9999' THEN
    NULL;
END
$$;
SELECT * FROM pg_temp.trouble('type = ''nmeric(10,2)''');
SELECT * FROM pg_temp.trouble('type = ''numeric(10,2''');
SELECT * FROM pg_temp.trouble('type = ''text; DROP TABLE x''');
SELECT * FROM pg_temp.trouble('type = ''nonesuch.money''');
SELECT * FROM pg_temp.trouble('type = ''point''');
SELECT * FROM pg_temp.trouble('type = ''record''');
SELECT * FROM pg_temp.trouble('type = ''point'', expression = ''point(1, 2)''');
SELECT * FROM pg_temp.trouble('source_type = ''txt''');
SELECT * FROM pg_temp.trouble('source_type = ''point'', expression = ''value''');
SELECT * FROM pg_temp.trouble('expression = ''value:numeric''');
SELECT * FROM pg_temp.trouble('expression = ''val''');
SELECT * FROM pg_temp.trouble('expression = ''nonesuch(value)''');
SELECT * FROM pg_temp.trouble('expression = ''now()'', type = ''numeric''');
SELECT * FROM pg_temp.trouble('expression = ''generate_series(1, 2)'', type = ''integer''');
SELECT * FROM pg_temp.trouble('expression = ''value -- and a remark''');
SELECT * FROM pg_temp.trouble('column_name = ''''');
SELECT * FROM pg_temp.trouble('column_name = ''ctid''');
SELECT * FROM pg_temp.trouble('role = ''reference''');
SELECT * FROM pg_temp.trouble('refers_to = ''users''');
SELECT * FROM pg_temp.trouble('path = NULL');
SELECT * FROM pg_temp.trouble('labels = ''{a,NULL}''');
SELECT * FROM pg_temp.trouble('lookup_table = ''public.unit''');
SELECT * FROM pg_temp.trouble('path = ''items''', 'public.orders');
-- A type that would put every document into quarantine.
SELECT * FROM pg_temp.trouble('type = ''integer''');
SELECT * FROM pg_temp.trouble('type = ''numeric(5,1)''');
SELECT * FROM pg_temp.trouble('source_type = ''integer'', expression = ''value''');
SELECT * FROM pg_temp.trouble('type = ''boolean''', 'sku');
SELECT * FROM pg_temp.trouble('type = ''text[]''');
SELECT * FROM pg_temp.trouble('path = ''amuont''');
SELECT * FROM pg_temp.trouble('type = ''varchar(12)''', 'name');
SELECT * FROM pg_temp.trouble('type = ''varchar(13)''', 'name');
-- A table that there is already.
SELECT mongo_migrate.plan_table('bad_input', 'orders', 'items');
SELECT * FROM pg_temp.trouble('path = ''address.ctiy''');
SELECT * FROM pg_temp.trouble('path = ''name.first''');
SELECT * FROM pg_temp.trouble('path = ''items.0.sku''');
SELECT * FROM pg_temp.trouble('path = ''items.0.suk''');
SELECT * FROM pg_temp.trouble('path = ''items[].sku''');
SELECT * FROM pg_temp.trouble('path = ''name\''');
SELECT * FROM pg_temp.trouble('expression = ''value || ''''!'''''', reverse_expression = ''rtrim(valu, ''''!'''')''');
SELECT * FROM pg_temp.trouble('expression = ''value || ''''!'''''', reverse_expression = ''doc''');
SELECT * FROM pg_temp.trouble('expression = ''value || ''''!'''''', reverse_expression = ''rtrim(value, ''''!'''') -- as it was''');
SELECT * FROM pg_temp.trouble('check_rule = ''<> doc::text''');
SELECT * FROM pg_temp.trouble('check_rule = ''= value''');
SELECT * FROM pg_temp.trouble('check_rule = ''IN (SELECT ''''1'''')''');
SELECT * FROM pg_temp.trouble('default_value = ''(SELECT ''''1'''')''');
SELECT * FROM pg_temp.trouble('default_value = ''value''');
SELECT * FROM pg_temp.trouble('default_value = ''upper(''''x'''')''');
SELECT * FROM pg_temp.trouble('path = ''sky''', 'sku');
-- What is advised fits what the target is.
CREATE VIEW public.in_view AS SELECT 1::bigint AS id, '1'::bytea AS amount;
CREATE FOREIGN TABLE public.in_foreign_table (id bigint, amount bytea) SERVER bad_input;
CREATE MATERIALIZED VIEW public.in_matview AS SELECT * FROM public.in_view;
SELECT t.* FROM unnest(ARRAY['view', 'foreign_table', 'matview']) AS kind,
    pg_temp.trouble(format('target = ''public.in_%s'', existing = true', kind), 'public.orders') AS t WHERE t.place ~ '^public[.]in_';
DROP FOREIGN TABLE public.in_foreign_table;
DROP MATERIALIZED VIEW public.in_matview;
DROP VIEW public.in_view;
SELECT * FROM pg_temp.trouble('parent_column = ''order''', 'order_id');
SELECT * FROM pg_temp.trouble('included = false', 'order_id');
SELECT * FROM pg_temp.trouble('included = false', 'position');
SELECT * FROM pg_temp.trouble('type = ''text''', 'position');
SELECT * FROM pg_temp.trouble('type = ''bigint''', 'position');
SELECT * FROM pg_temp.trouble('path = ''name''', 'id');
SELECT * FROM pg_temp.trouble('expression = ''value + 1''', 'position');
SELECT * FROM pg_temp.trouble('path = ''itms''', 'public.orders_items');
SELECT * FROM pg_temp.trouble('path = ''name''', 'public.orders_items');
SELECT * FROM pg_temp.trouble('filter = ''{"amount": {"$nonesuch": 1}}''', 'public.orders');
SELECT * FROM pg_temp.trouble('filter = ''[1]''', 'public.orders');
SELECT * FROM pg_temp.trouble('filter = ''{"amount": {"$gt": "3"}}''', 'public.orders');
-- The order of fields counts in MongoDB, and is lost in jsonb.
SELECT * FROM pg_temp.trouble('filter = ''{"address": {"street": "x", "no": 1}}''', 'public.orders');
SELECT f, mongo_migrate.filter_document(f) FROM unnest(ARRAY[
    '{"$or": [{"a": 1}, {"a": {"$in": [1, {"y": 1, "x": 2}]}}]}', '{"a": {"$not": {"$eq": {"y": 1, "x": 2}}}}', '{"a": {"$elemMatch": {"b": {"y": 1, "x": 2}}}}',
    '{"a": [{"b": {"y": 1, "x": 2}}]}', '{"a": {"$all": [{"$elemMatch": {"y": 1, "x": 2}}]}}', '{"a": {"$all": [{"y": 1, "x": 2}]}}',
    '{"a": {"x": 1}, "b": {"$gt": 1, "$lt": 2}, "c": {"$oid": "65a000000000000000000001"}, "d": {"$date": {"$numberLong": "1"}}}',
    '{"a": {"$binary": {"base64": "", "subType": "00"}}, "$jsonSchema": {"required": ["a"], "properties": {"a": {"bsonType": "int"}, "b": {"minimum": 1}}}}',
    '{"a": {"$elemMatch": {"y": 1, "x": 2}}, "b": {"$elemMatch": {"$gt": 1, "$lt": 2}}, "c": {"$regex": "x", "$options": "i"}}', '{}']::jsonb[]) AS f;
SELECT * FROM pg_temp.trouble('filter = ''{}''', 'public.orders_items');
SELECT * FROM pg_temp.trouble('ordinal = 0', 'public.orders_items');
SELECT * FROM pg_temp.trouble('target = ''pg_catalog.orders''', 'public.orders');
SELECT * FROM pg_temp.trouble('target = ''orders''', 'public.orders');
-- What is no name would be in the way of other collections, too.
UPDATE mongo_migrate.plan_target SET target = 'public.my orders' WHERE target = 'public.orders';
UPDATE mongo_migrate.plan_target SET target = 'a.b.c' WHERE target = 'public.orders';
-- Nor is a table among its own parents, with which no walk up them would end.
UPDATE mongo_migrate.plan_target SET parent = target WHERE target = 'public.orders_items';
SELECT * FROM pg_temp.trouble(format('target = ''public.%s''', repeat('x', 64)), 'public.orders');
SELECT * FROM pg_temp.trouble('target = ''PUBLIC."orders"''', 'public.orders_items');
SELECT mongo_migrate.plan_collection('bad_input', 'orders', replan => true, target => repeat('x', 64));
SELECT mongo_migrate.plan_collection('bad_input', 'orders', replan => true, schema => repeat('x', 64));
SELECT * FROM pg_temp.trouble('existing = true', 'public.orders');
-- Nothing is done by such a plan, whoever asks.
UPDATE mongo_migrate.plan_column SET type = 'nmeric' WHERE column_name = 'amount';
SELECT mongo_migrate.apply_ddl('bad_input');
SELECT mongo_migrate.migrate_collection('bad_input', 'orders');
SELECT mongo_migrate.migrate_collection('bad_input', 'orders', workers => 0);
SELECT mongo_migrate.migrate_collection('bad_input', 'orders', dry_run => true);
SELECT collection, complete FROM mongo_migrate.migrate_all('bad_input');
UPDATE mongo_migrate.plan_column SET type = 'text' WHERE column_name = 'amount';

-- Nor by one without tables.
BEGIN;
UPDATE mongo_migrate.plan_target SET included = false WHERE (server, collection) = ('bad_input', 'orders');
SELECT * FROM mongo_migrate.check_plan('bad_input', 'orders');
SELECT mongo_migrate.apply_ddl('bad_input', 'orders');
SAVEPOINT s;
SELECT mongo_migrate.migrate_collection('bad_input', 'orders', workers => 0);
ROLLBACK TO s;
DELETE FROM mongo_migrate.plan_target WHERE (server, collection) = ('bad_input', 'orders');
SELECT * FROM mongo_migrate.check_plan('bad_input', 'orders');
SELECT mongo_migrate.migrate_collection('bad_input', 'orders', workers => 0);
ROLLBACK;

-- What could not be made after the load is told before it.
UPDATE mongo_migrate.plan_column SET check_rule = '> value' WHERE column_name = 'position';
SELECT mongo_migrate.apply_ddl('bad_input', 'orders');
UPDATE mongo_migrate.plan_column SET check_rule = NULL WHERE column_name = 'position';
INSERT INTO mongo_migrate.plan_index (server, collection, target, index_name, ordinal, keys, method)
    VALUES ('bad_input', 'orders', 'public.orders', 'mine', 9, '{"name": 1}', 'btree (id); DROP TABLE public.orders; --');
SELECT mongo_migrate.migrate_collection('bad_input', 'orders');
UPDATE mongo_migrate.plan_index SET method = 'gin' WHERE index_name = 'mine';
SELECT mongo_migrate.apply_ddl('bad_input', 'orders');
DELETE FROM mongo_migrate.plan_index WHERE index_name = 'mine';
UPDATE mongo_migrate.plan_column SET type = 'json', expression = 'to_json(value)' WHERE target = 'public.orders' AND role = 'id';
UPDATE mongo_migrate.plan_column SET type = 'json' WHERE target = 'public.orders_items' AND column_name = 'order_id';
SELECT mongo_migrate.apply_ddl('bad_input', 'orders');
UPDATE mongo_migrate.plan_column SET type = 'integer', expression = NULL WHERE column_name IN ('id', 'order_id');
BEGIN;
SELECT * FROM mongo_migrate.apply_ddl('bad_input', 'orders');
SELECT count(*) FROM pg_index WHERE indrelid = 'public.orders'::regclass;
ROLLBACK;

-- An expression that fails on some rows.
UPDATE mongo_migrate.plan_column SET type = 'numeric', expression = 'value::numeric' WHERE column_name = 'amount';
UPDATE mongo_migrate.plan_column SET type = 'integer', expression = 'value::integer' WHERE column_name = 'n';
UPDATE mongo_migrate.plan_column SET type = 'varchar(5)', expression = 'upper(value)' WHERE column_name = 'name';
SELECT * FROM mongo_migrate.check_plan('bad_input', 'orders');
SELECT documents FROM mongo_migrate.migrate_collection('bad_input', 'orders', on_error => 'stop', workers => 0);
SELECT documents FROM mongo_migrate.migrate_collection('bad_input', 'orders', on_error => 'stop');
SELECT documents, inserted, rejected FROM mongo_migrate.migrate_collection('bad_input', 'orders');
SELECT source_id, target, path, reason, sqlstate, hint FROM mongo_migrate.quarantine_report WHERE server = 'bad_input' ORDER BY source_id;
UPDATE mongo_migrate.plan_column SET expression = 'CASE WHEN value ~ ''^[0-9]+$'' THEN value::integer ELSE 2 END' WHERE column_name = 'n';
SELECT documents, inserted, rejected FROM mongo_migrate.retry_quarantine('bad_input', 'orders');
UPDATE mongo_migrate.plan_column SET expression = 'left(upper(value), 5)' WHERE column_name = 'name';
UPDATE mongo_migrate.plan_column SET expression = 'nullif(value, ''x'')::numeric' WHERE column_name = 'amount';
SELECT documents, inserted, rejected FROM mongo_migrate.retry_quarantine('bad_input', 'orders');
SELECT count(*) FROM mongo_migrate.quarantine WHERE server = 'bad_input';
SELECT * FROM public.orders ORDER BY id;
SELECT * FROM public.orders_items ORDER BY order_id;
SELECT * FROM mongo_migrate.verify_sample('bad_input', 'orders', 0);

-- An expression that was broken since.
UPDATE mongo_migrate.plan_column SET expression = 'uper(value)' WHERE column_name = 'name';
SELECT mongo_migrate.verify_sample('bad_input', 'orders');
SELECT mongo_migrate.compare_document('bad_input', 'orders', '1');
UPDATE mongo_migrate.plan_column SET expression = 'left(upper(value), 5)' WHERE column_name = 'name';
SELECT mongo_migrate.compare_document('bad_input', 'orders', NULL);

-- A table without a column, or without a table, that documents were loaded into.
ALTER TABLE public.orders RENAME COLUMN name TO title;
SELECT mongo_migrate.migrate_collection('bad_input', 'orders');
SELECT mongo_migrate.migrate_collection('bad_input', 'orders', workers => 0);
SELECT mongo_migrate.verify_sample('bad_input', 'orders');
ALTER TABLE public.orders RENAME COLUMN title TO name;
ALTER TABLE public.orders_items RENAME TO items;
SELECT mongo_migrate.migrate_collection('bad_input', 'orders');
SELECT mongo_migrate.migrate_collection('bad_input', 'orders', dry_run => true);
SELECT mongo_migrate.verify_sample('bad_input', 'orders');
SELECT mongo_migrate.verify_counts('bad_input');
ALTER TABLE public.items RENAME TO orders_items;
SELECT documents, skipped, complete FROM mongo_migrate.migrate_collection('bad_input', 'orders');

-- A plan does not change under the documents that were migrated by it.
SELECT mongo_migrate.plan_collection('bad_input', 'orders', replan => true);

-- Ids that an expression makes are not those of references by _id; these, and child tables, have the type of the key that they lead to.
SELECT mongo_migrate.run_command('bad_input', '{"insert": "users", "documents": [{"_id": {"$oid": "65a000000000000000000001"}, "items": [{"n": 1}]}]}') \g /dev/null
SELECT mongo_migrate.run_command('bad_input', '{"insert": "notes", "documents": [{"_id": 1, "by": {"$oid": "65a000000000000000000001"}, "teamId": 1}]}') \g /dev/null
SELECT mongo_migrate.run_command('bad_input', '{"insert": "teams", "documents": [{"_id": 1}, {"_id": 2}]}') \g /dev/null
SELECT mongo_migrate.plan_collection('bad_input', 'users');
SELECT mongo_migrate.plan_collection('bad_input', 'notes');
SELECT mongo_migrate.plan_collection('bad_input', 'teams');
UPDATE mongo_migrate.plan_column SET type = 'text' WHERE target = 'public.teams' AND role = 'id';
-- A wrong type of an id that a map gives is told there alone.
UPDATE mongo_migrate.plan_column SET type = 'bytea' WHERE target = 'public.users' AND role = 'id';
SELECT concat_ws('.', target, column_name) AS place, problem, hint FROM mongo_migrate.check_plan('bad_input') WHERE target IN ('public.users', 'public.notes');
UPDATE mongo_migrate.plan_column SET expression = '''U'' || value', type = 'text' WHERE target = 'public.users' AND role = 'id';
SELECT concat_ws('.', target, column_name) AS place, problem, hint FROM mongo_migrate.check_plan('bad_input') WHERE target <> 'public.orders';
SELECT mongo_migrate.migrate_collection('bad_input', 'users', workers => 0);
UPDATE mongo_migrate.plan_column SET role = 'value', refers_to = NULL, type = source_type WHERE target = 'public.notes' AND path = 'by';
UPDATE mongo_migrate.plan_column SET type = 'text' WHERE target = 'public.notes' AND path = 'teamId';
UPDATE mongo_migrate.plan_column SET type = 'varchar(9)' WHERE target = 'public.users_items' AND role = 'parent';
SELECT concat_ws('.', target, column_name) AS place, problem, hint FROM mongo_migrate.check_plan('bad_input') WHERE target <> 'public.orders';
SELECT inserted, complete FROM mongo_migrate.migrate_collection('bad_input', 'users', workers => 0);
SELECT * FROM public.users_items;
DROP TABLE public.users_items, public.users;

-- What statements of a verification and of write-back never give the functions that they call.
SELECT mongo_migrate.verify_json('{"a": {"$binary": {}}, "b": {"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAAAA=="}}, "c": {"$regularExpression": {"pattern": "x"}}}', 'plain');
-- jsonb that is made in little memory is the same.
SELECT left(d::text, 100) FROM unnest(ARRAY['1', '"x"', 'null', '[]', '{}', '{"": {"": []}, "b": 1, "a": {"c": [1, [2.50, {"d": -0.0}], true]}, "b": {"e": 1e400}, "B": false}',
    '{"aa": 1, "b": 2, "ab": 3, "aa": null, "ä": "\u00e4\ud83d\ude00\n\"\\", "aa": []}', '[{"k": 1, "k": {"k": 2, "k": 3}}, [[[]]], "", {"$numberInt": "1"}]']::json[]
    || (SELECT json_agg(json_build_object('n', n, 'text', repeat(n::text, n), 'list', ARRAY[n, n + 1], 'o', json_build_object(n, n))) FROM generate_series(1, 500) AS n)
    || (SELECT json_object_agg(n % 600, repeat('x', n)) FROM generate_series(1, 1000) AS n)) AS d
WHERE mongo_migrate.verify_jsonb(d)::text IS DISTINCT FROM d::jsonb::text;
SELECT mongo_migrate.written_value('1', 1, NULL, 'relaxed', true);
SELECT mongo_migrate.written_value('1', 1, '{}', NULL, true);
SELECT mongo_migrate.written_value('1', 1, '{}', 'relaxed', NULL);
SELECT mongo_migrate.set_fields('{}', NULL, '{}');
SELECT mongo_migrate.set_fields('{}', '{$}', '{1}');
SELECT mongo_migrate.set_map('{}', '{}', NULL);
SELECT mongo_migrate.send_writes('bad_input', 'orders', 'insert', ARRAY[NULL]::json[], ARRAY[NULL]::json[]);

-- What is made here goes.
DROP TABLE public.orders_items, public.orders;
SELECT mongo_migrate.run_command('bad_input', '{"dropDatabase": 1}') \g /dev/null
DELETE FROM mongo_migrate.plan WHERE server = 'bad_input';
DELETE FROM mongo_migrate.id_map WHERE server = 'bad_input';
DELETE FROM mongo_migrate.chunk WHERE server = 'bad_input';
DELETE FROM mongo_migrate.run WHERE server = 'bad_input';
DELETE FROM mongo_migrate.verification WHERE server = 'bad_input';
DROP SERVER bad_input;

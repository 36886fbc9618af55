-- Settings of the session that change how literals are read and values are written.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
\pset format unaligned
CREATE SERVER settings FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_settings');
SELECT mongo_migrate.run_command('settings', '{"dropDatabase": 1}') \g /dev/null
SELECT mongo_migrate.run_command('settings', '{"insert": "userOrders", "documents": [
    {"_id": 1, "orderId": "a\\b", "HTTPCode": 1.5, "at": {"$date": "2024-01-31T23:59:59.123Z"}, "raw": {"$binary": {"base64": "AFwn/w==", "subType": "00"}},
     "a.b": {"c\\d": 1}, "n": "1.5", "tags": ["NULL", "a\"b\\c", null], "lineItems": [{"skuCode": "x", "at": {"$date": "1850-02-01T00:00:00Z"}}]},
    {"_id": 2, "orderId": "c''d", "n": "1x5", "nul": "a\u0000b"}]}') ->> 'n' AS n;
SELECT mongo_migrate.run_lock('settings', 'userOrders', 1) AS run_lock, mongo_migrate.sync_lock('settings') AS sync_lock, mongo_migrate.sync_step_lock('settings') AS step_lock \gset
SET quote_all_identifiers = on;
-- Who has other settings takes the same locks.
SELECT mongo_migrate.run_lock('settings', 'userOrders', 1) = :run_lock AS run, mongo_migrate.sync_lock('settings') = :sync_lock AS sync, mongo_migrate.sync_step_lock('settings') = :step_lock AS step;
-- Names of types and tables in a plan are the same, too.
CREATE TABLE public.user_orders (id bigint PRIMARY KEY, order_id text, n text, raw bytea);
SELECT mongo_migrate.plan_collection('settings', 'userOrders', extra => true);
SELECT target, column_name, type FROM mongo_migrate.plan_column WHERE server = 'settings' ORDER BY target, ordinal;
UPDATE mongo_migrate.plan_target SET included = true, existing = false WHERE server = 'settings' AND parent IS NOT NULL;
SELECT target, column_name, problem, severity FROM mongo_migrate.check_plan('settings', 'userOrders');
DELETE FROM mongo_migrate.plan WHERE server = 'settings';
DROP TABLE public.user_orders;
RESET quote_all_identifiers;
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = sql_standard;
SET TimeZone = 'Asia/Kolkata';
SET bytea_output = escape;
SET extra_float_digits = -15;
SET array_nulls = off;
SET transform_null_equals = on;
SET session_replication_role = replica;
SET enable_nestloop = off;
SELECT mongo_migrate.plan_collection('settings', 'userOrders');
UPDATE mongo_migrate.plan_column SET type = 'text', source_type = 'text', expression = E'regexp_replace(value, ''\\d'', ''#'')'
 WHERE (server, collection, path) = ('settings', 'userOrders', 'n');
SELECT target, column_name, path, type FROM mongo_migrate.plan_column WHERE server = 'settings' ORDER BY target, ordinal;
SELECT documents, inserted, rejected, complete FROM mongo_migrate.migrate_collection('settings', 'userOrders');
SELECT (options ->> 'asked_at')::timestamptz BETWEEN started_at - interval '1 hour' AND started_at AS asked_in_time FROM mongo_migrate.run WHERE server = 'settings';
SELECT source_id, reason FROM mongo_migrate.quarantine_report WHERE server = 'settings';
SELECT * FROM mongo_migrate.verify_full('settings', 'userOrders');
SELECT * FROM mongo_migrate.verify_full('settings', 'userOrders', workers => 2);
SELECT target, column_name, kind FROM mongo_migrate.compare_document('settings', 'userOrders', '1') WHERE kind <> 'equal';
SELECT mongo_migrate.reset_collection('settings', 'userOrders', truncate => true);
SELECT documents, inserted, rejected, complete FROM mongo_migrate.migrate_collection('settings', 'userOrders', workers => 0);
SELECT * FROM mongo_migrate.verify_full('settings', 'userOrders');
RESET ALL;
\x on
SET TimeZone = 'UTC';
SET extra_float_digits = 0;
SELECT * FROM public.user_orders;
SELECT * FROM public.user_orders_line_items;
\x off

-- What casts and expressions make of texts is the same in every session: as in the one that planned.
SELECT mongo_migrate.run_command('settings', '{"insert": "stamps", "documents": [
    {"_id": 1, "due": "01/02/2024 12:00", "rate": 0.1234567890123456, "held": "1 2:03"}, {"_id": 2, "due": "31/12/2023 00:30", "rate": 1.5, "held": "x"}]}') ->> 'n' AS n;
SET TimeZone = 'Asia/Kolkata';
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = sql_standard;
SET extra_float_digits = -3;
SELECT mongo_migrate.plan_collection('settings', 'stamps');
RESET ALL;
SET TimeZone = 'America/New_York';
SET bytea_output = escape;
UPDATE mongo_migrate.plan_column SET type = 'timestamptz', expression = 'value::timestamptz + interval ''0''' WHERE server = 'settings' AND column_name = 'due';
UPDATE mongo_migrate.plan_column SET type = 'interval', expression = 'value::interval' WHERE server = 'settings' AND column_name = 'held';
UPDATE mongo_migrate.plan_column SET type = 'text', source_type = 'double precision',
       expression = 'value::text || sha256(''a'')::text || (value > 1 AND ''31/12/2023''::date IS NULL)' WHERE server = 'settings' AND column_name = 'rate';
SELECT time_zone, date_style, interval_style FROM mongo_migrate.plan WHERE (server, collection) = ('settings', 'stamps');
SELECT mongo_migrate.plan_collection('settings', 'stamps', replan => true);
SELECT time_zone, date_style, interval_style FROM mongo_migrate.plan WHERE (server, collection) = ('settings', 'stamps');
SELECT * FROM mongo_migrate.check_plan('settings', 'stamps');
SELECT documents, inserted, rejected, complete FROM mongo_migrate.migrate_collection('settings', 'stamps');
SELECT id, due AT TIME ZONE 'UTC' AS due, left(rate, 25) AS rate, held FROM public.stamps;
SELECT mongo_migrate.run_command('settings', '{"update": "stamps", "updates": [{"q": {"_id": 2}, "u": {"$set": {"held": "0:30"}}}]}') ->> 'n' AS n;
SELECT inserted, rejected FROM mongo_migrate.retry_quarantine('settings', 'stamps');
SELECT * FROM mongo_migrate.verify_full('settings', 'stamps');
SELECT * FROM mongo_migrate.verify_full('settings', 'stamps', workers => 2);
SELECT * FROM mongo_migrate.verify_sample('settings', 'stamps', 1);
SELECT column_name, kind FROM mongo_migrate.compare_document('settings', 'stamps', '1') WHERE kind <> 'equal';
UPDATE public.stamps SET due = now(), held = '1 day';
SELECT source_id, column_name, kind FROM mongo_migrate.verify_full('settings', 'stamps') ORDER BY 1, 2;
SELECT replaced FROM mongo_migrate.repair('settings', 'stamps');
SELECT id, due AT TIME ZONE 'UTC' AS due, left(rate, 25) AS rate, held FROM public.stamps;
-- The plan's settings can be changed, and not to what PostgreSQL does not know; the session's stay.
UPDATE mongo_migrate.plan SET time_zone = 'Nowhere/Else' WHERE (server, collection) = ('settings', 'stamps');
\set VERBOSITY terse
UPDATE mongo_migrate.plan SET date_style = 'ISO, MDY, DMY' WHERE (server, collection) = ('settings', 'stamps');
\set VERBOSITY default
UPDATE mongo_migrate.plan SET time_zone = 'UTC' WHERE (server, collection) = ('settings', 'stamps');
SELECT source_id, column_name, kind FROM mongo_migrate.verify_full('settings', 'stamps') ORDER BY 1, 2;
SELECT replaced FROM mongo_migrate.repair('settings', 'stamps');
SELECT id, due AT TIME ZONE 'UTC' AS due FROM public.stamps;
SELECT current_setting('TimeZone') AS zone, current_setting('DateStyle') AS style, current_setting('bytea_output') AS output;
RESET ALL;

-- What is made here goes.
SET client_min_messages = warning;
DROP TABLE public.user_orders, public.user_orders_line_items, public.stamps;
SELECT mongo_migrate.run_command('settings', '{"dropDatabase": 1}') \g /dev/null
DELETE FROM mongo_migrate.plan WHERE server = 'settings';
DELETE FROM mongo_migrate.id_map WHERE server = 'settings';
DELETE FROM mongo_migrate.chunk WHERE server = 'settings';
DELETE FROM mongo_migrate.run WHERE server = 'settings';
DELETE FROM mongo_migrate.quarantine WHERE server = 'settings';
DELETE FROM mongo_migrate.verification WHERE server = 'settings';
DROP SERVER settings;

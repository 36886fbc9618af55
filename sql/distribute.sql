-- Plans for Citus, which need none: what is planned, drafted and refused.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SERVER distribute FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_distribute');
SELECT mongo_migrate.run_command('distribute', '{"dropDatabase": 1}')->'ok' AS ok;
SELECT mongo_migrate.run_command('distribute', '{"insert": "accounts", "documents": [
    {"_id": "a1", "tenant": 1, "email": "x", "devices": [{"name": "d", "logins": [{"at": 1}]}]},
    {"_id": "a2", "tenant": 2, "email": "y", "devices": []}]}')->'n' AS n;
SELECT mongo_migrate.run_command('distribute', '{"createIndexes": "accounts", "indexes": [{"key": {"email": 1}, "name": "email", "unique": true}]}')->'ok' AS ok;
SELECT mongo_migrate.run_command('distribute', '{"insert": "orders", "documents": [
    {"_id": 1, "accountId": "a1", "accountIds": ["a1", "a2"]}, {"_id": 2, "accountId": "a2"}, {"_id": 3, "accountId": "a1"}]}')->'n' AS n;
CREATE VIEW planned AS
    SELECT t.target, t.distribute_by, t.reference_table, c.column_name, c.role, c.parent_column, c.nullable, c.on_dangling, c.is_unique
    FROM mongo_migrate.plan_target AS t JOIN mongo_migrate.plan_column AS c USING (server, collection, target)
    WHERE server = 'distribute' ORDER BY t.collection, t.ordinal, c.ordinal;

SET client_min_messages = notice;
SELECT mongo_migrate.plan_collection('distribute', 'accounts', distribute_by => 'nowhere');
SELECT mongo_migrate.plan_collection('distribute', 'accounts', distribute_by => 'tenant', reference_table => true);
SELECT mongo_migrate.plan_collection('distribute', 'accounts', distribute_by => 'tenant');
SELECT mongo_migrate.plan_collection('distribute', 'orders', distribute_by => 'accountId');
TABLE planned;
SELECT mongo_migrate.draft_ddl('distribute', section => 'keys');
SELECT mongo_migrate.draft_ddl('distribute', section => 'references');
SELECT target, statement, done FROM mongo_migrate.plan_distributions('distribute', 'accounts');
SELECT target, column_name, problem, hint, severity FROM mongo_migrate.check_plan('distribute', 'orders') LIMIT 1;
SELECT * FROM mongo_migrate.apply_ddl('distribute', 'accounts');
-- The column by which Citus distributes is never NULL.
SELECT mongo_migrate.run_command('distribute', '{"insert": "visits", "documents": [{"_id": 1, "tenant": 1}, {"_id": 2}]}')->'n' AS n;
SELECT mongo_migrate.plan_collection('distribute', 'visits', distribute_by => 'tenant');
SELECT column_name, problem, hint, severity FROM mongo_migrate.check_plan('distribute', 'visits') WHERE column_name IS NOT NULL;
DELETE FROM mongo_migrate.plan WHERE (server, collection) = ('distribute', 'visits');
-- Made anew it stays; NULL in the plan ends it.
SELECT mongo_migrate.plan_collection('distribute', 'accounts', replan => true);
SELECT DISTINCT target, distribute_by FROM planned WHERE target LIKE '%accounts%' ORDER BY 1;
UPDATE mongo_migrate.plan_column SET column_name = 'tenant_id' WHERE (server, target, column_name) = ('distribute', 'public.accounts', 'tenant');
UPDATE mongo_migrate.plan_target SET distribute_by = 'tenant_id' WHERE (server, target) = ('distribute', 'public.accounts');
SELECT mongo_migrate.plan_collection('distribute', 'accounts', replan => true);
SELECT target, column_name, role, parent_column FROM planned WHERE distribute_by IS NOT NULL OR role = 'parent';
SELECT mongo_migrate.plan_collection('distribute', 'accounts', replan => true, distribute_by => '_id');
SELECT DISTINCT target, distribute_by FROM planned WHERE target LIKE '%accounts%' ORDER BY 1;
UPDATE mongo_migrate.plan_target SET distribute_by = NULL WHERE (server, target) = ('distribute', 'public.accounts');
SELECT mongo_migrate.plan_collection('distribute', 'accounts', replan => true);
SELECT DISTINCT target, distribute_by FROM planned WHERE target LIKE '%accounts%' ORDER BY 1;
SELECT mongo_migrate.draft_ddl('distribute', section => 'references');
SELECT mongo_migrate.plan_collection('distribute', 'accounts', replan => true, reference_table => true);
SELECT DISTINCT target, distribute_by, reference_table FROM planned WHERE target LIKE '%accounts%' ORDER BY 1;
SELECT target, statement, done FROM mongo_migrate.plan_distributions('distribute', 'accounts');
SELECT mongo_migrate.draft_ddl('distribute', section => 'references');
-- Only a root says how.
\set VERBOSITY terse
UPDATE mongo_migrate.plan_target SET distribute_by = 'name' WHERE (server, target) = ('distribute', 'public.accounts_devices');
UPDATE mongo_migrate.plan_target SET distribute_by = 'id' WHERE (server, target) = ('distribute', 'public.accounts');
\set VERBOSITY default
-- What Citus would refuse, each with what mends it.
UPDATE mongo_migrate.plan_target SET reference_table = false, distribute_by = 'tenants' WHERE (server, target) = ('distribute', 'public.accounts');
UPDATE mongo_migrate.plan_column SET is_unique = true WHERE (server, target, column_name) = ('distribute', 'public.accounts', 'email');
UPDATE mongo_migrate.plan_column SET nullable = true, on_dangling = 'null' WHERE (server, target, column_name) = ('distribute', 'public.orders', 'account_id');
SELECT target, column_name, problem, hint FROM mongo_migrate.check_plan('distribute') WHERE severity = 'error' AND problem !~ 'citus is not';
UPDATE mongo_migrate.plan_target SET distribute_by = 'tenant_id' WHERE (server, target) = ('distribute', 'public.accounts');
SELECT target, column_name, problem, hint FROM mongo_migrate.check_plan('distribute', 'accounts') WHERE problem !~ 'citus is not';
UPDATE mongo_migrate.plan_column SET is_unique = false WHERE (server, target, column_name) = ('distribute', 'public.accounts', 'email');
INSERT INTO mongo_migrate.plan_index (server, collection, target, index_name, ordinal, keys, is_unique)
    VALUES ('distribute', 'accounts', 'public.accounts', 'mail', 1, '{"email": 1}', true);
SELECT target, column_name, problem, hint FROM mongo_migrate.check_plan('distribute', 'accounts') WHERE problem ~ 'unique';
-- By a column that was added; tables that are planned later, and planning anew, follow.
SELECT mongo_migrate.run_command('distribute', '{"update": "orders", "updates": [{"q": {"_id": 1}, "u": {"$set": {"flags": {"a": true, "b": false}}}}]}')->'n' AS n;
SELECT mongo_migrate.plan_collection('distribute', 'orders', replan => true, distribute_by => '');
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, nullable, source_type)
    VALUES ('distribute', 'orders', 'public.orders', 'place', 20, 'value', 'accountId', 'text', false, 'text');
UPDATE mongo_migrate.plan_target SET distribute_by = 'place' WHERE (server, target) = ('distribute', 'public.orders');
SELECT mongo_migrate.plan_collection('distribute', 'orders', replan => true);
SELECT target, distribute_by, column_name, role, parent_column FROM planned WHERE target LIKE '%orders%' AND (distribute_by IS NOT NULL OR role = 'parent');
SELECT mongo_migrate.plan_table('distribute', 'orders', 'flags');
SELECT target, column_name, role, parent_column FROM planned WHERE target LIKE '%flags' AND role = 'parent';
SELECT target, column_name, problem FROM mongo_migrate.check_plan('distribute') WHERE severity = 'error' AND problem !~ 'citus is not|unique';
-- By what is looked up after the load.
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, refers_to, refers_key)
    VALUES ('distribute', 'orders', 'public.orders', 'payer_id', 21, 'reference', 'accountId', 'bigint', 'accounts', 'email');
UPDATE mongo_migrate.plan_target SET distribute_by = 'payer_id' WHERE (server, target) = ('distribute', 'public.orders');
SELECT column_name, problem, hint FROM mongo_migrate.check_plan('distribute') WHERE column_name = 'payer_id' AND severity = 'error';
-- By types: one without a hash; an enumeration; another in a child table; what child tables had.
UPDATE mongo_migrate.plan_target SET distribute_by = 'place' WHERE (server, target) = ('distribute', 'public.orders');
UPDATE mongo_migrate.plan_column SET type = 'json' WHERE (server, target, column_name) = ('distribute', 'public.orders', 'place');
SELECT target, column_name, problem, hint FROM mongo_migrate.check_plan('distribute', 'orders') WHERE severity = 'error' AND problem !~ 'citus is not';
UPDATE mongo_migrate.plan_column SET type = 'text' WHERE (server, target, column_name) = ('distribute', 'public.orders', 'place');
SELECT mongo_migrate.plan_enumeration('distribute', 'orders', 'accountId', 'enum', labels => '{1,2}');
SELECT target, column_name, problem, hint FROM mongo_migrate.check_plan('distribute', 'orders') WHERE severity = 'error' AND problem !~ 'citus is not';
SELECT mongo_migrate.plan_enumeration('distribute', 'orders', 'accountId', 'check', labels => '{1,2}');
UPDATE mongo_migrate.plan_column SET type = 'varchar(9)' WHERE (server, target, column_name) = ('distribute', 'public.orders_flags', 'place');
SELECT target, column_name, problem, hint FROM mongo_migrate.check_plan('distribute', 'orders') WHERE severity = 'error' AND problem !~ 'citus is not';
SELECT mongo_migrate.plan_collection('distribute', 'orders', replan => true);
SELECT target, type, check_rule FROM mongo_migrate.plan_column WHERE (server, column_name) = ('distribute', 'place') ORDER BY target;
SET client_min_messages = warning;
DROP VIEW planned;
DELETE FROM mongo_migrate.plan WHERE server = 'distribute';
DELETE FROM mongo_migrate.id_map WHERE server = 'distribute';
SELECT mongo_migrate.run_command('distribute', '{"dropDatabase": 1}')->'ok' AS ok;
DROP SERVER distribute;

\echo
\echo == 3. Plan. The plan is rows in tables: read it, edit it with UPDATE.
SELECT mongo_migrate.plan_collection('shop', 'tags');
SELECT mongo_migrate.plan_collection('shop', 'users');
SELECT mongo_migrate.plan_collection('shop', 'transactions');
SELECT mongo_migrate.plan_collection('shop', 'orders');

SELECT column_name, role, path, type, refers_to, note
FROM mongo_migrate.plan_column
WHERE server = 'shop' AND collection = 'transactions' ORDER BY ordinal;

\echo -- The user of a transaction is the hex text of an ObjectId: make it an integer that refers to the users' id.
UPDATE mongo_migrate.plan_column
SET role = 'reference', column_name = 'user_id', type = 'bigint', refers_to = 'users', key_form = 'objectid_text'
WHERE server = 'shop' AND collection = 'transactions' AND path = 'userId';

\echo -- Amounts are double, int and text: make them numeric(10,2). value is the field's value.
UPDATE mongo_migrate.plan_column
SET type = 'numeric(10,2)', expression = 'round(value::numeric, 2)'
WHERE server = 'shop' AND collection = 'transactions' AND path = 'amount';

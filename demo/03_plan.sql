\echo
\echo == 3. Plan. The plan is rows in tables: read it, edit it with UPDATE.
SELECT mongo_migrate.plan_collection('shop', 'tags');
SELECT mongo_migrate.plan_collection('shop', 'users', sample_size => 0);
SELECT mongo_migrate.plan_collection('shop', 'transactions', sample_size => 0);
SELECT mongo_migrate.plan_collection('shop', 'orders', sample_size => 0);

SELECT column_name, role, path, type, refers_to, note
FROM mongo_migrate.plan_column
WHERE server = 'shop' AND collection = 'transactions' ORDER BY ordinal;

\echo -- userId holds ObjectIds as hex text. The plan found that they are keys of users, and makes them integers
\echo -- that refer to users.id. Had it not, this would say so:
UPDATE mongo_migrate.plan_column
SET role = 'reference', column_name = 'user_id', type = 'bigint', refers_to = 'users', key_form = 'objectid_text'
WHERE server = 'shop' AND collection = 'transactions' AND path = 'userId';

\echo -- Amounts are double, int and text. They are money: numeric(10,2). In an expression, value is the value of the field.
UPDATE mongo_migrate.plan_column
SET type = 'numeric(10,2)', expression = 'round(value::numeric, 2)'
WHERE server = 'shop' AND collection = 'transactions' AND path = 'amount';

\echo -- One date is beyond the range of timestamptz, so text was proposed. One bad document shall not decide that.
UPDATE mongo_migrate.plan_column
SET type = 'timestamptz'
WHERE server = 'shop' AND collection = 'transactions' AND path = 'createdAt';

\echo -- What is wrong with the plan now?
SELECT * FROM mongo_migrate.check_plan('shop', 'transactions');

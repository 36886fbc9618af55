\echo
\echo == 10. Change over, with a way back. The 43 rows are made good, and the sync started (before the copy, in real life).
SELECT documents, replaced FROM mongo_migrate.repair('shop', 'transactions');
SELECT mongo_migrate.start_sync('shop');

\echo -- Can documents be made of the rows? Amounts are rounded on their way here; back they go as they are.
UPDATE mongo_migrate.plan_column SET reverse_expression = 'value'
WHERE server = 'shop' AND collection = 'transactions' AND path = 'amount';
SELECT * FROM mongo_migrate.check_write_back('shop');

\echo -- The application has stopped writing to MongoDB. What is in quarantine stays behind, which has to be said.
SELECT mongo_migrate.cutover('shop', incomplete => true);

\echo -- The application writes to PostgreSQL.
BEGIN;
UPDATE public.transactions SET amount = amount + 0.01 WHERE id = (SELECT min(id) FROM public.transactions);
WITH o AS (INSERT INTO public.orders (order_no, user_id, total, created_at)
           SELECT 1000000, min(id), 12.34, now() FROM public.users RETURNING id)
INSERT INTO public.orders_items (order_id, position, sku, qty, price) SELECT id, 0, 'NEW-1', 1, 12.34 FROM o;
COMMIT;

\echo -- It has to go back: that waits until the rows are documents.
SELECT mongo_migrate.rollback_cutover('shop');
SELECT d AS "the new document in MongoDB"
FROM mongo_migrate.find_documents('shop', 'orders', '{"items.sku": "NEW-1"}') AS d;
SELECT count(*) AS differences
FROM mongo_migrate.verify_sample('shop', 'transactions', sample_size => 1000) WHERE kind <> 'orphan';
SELECT state, written, pending FROM mongo_migrate.sync_status;
SELECT mongo_migrate.stop_sync('shop');

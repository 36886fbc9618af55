\echo
\echo == 9. The tables and the figures.
\d public.orders
\d public.orders_items
\d public.transactions
SELECT 'users' AS "table", count(*) FROM public.users
UNION ALL SELECT 'transactions', count(*) FROM public.transactions
UNION ALL SELECT 'orders', count(*) FROM public.orders
UNION ALL SELECT 'orders_items', count(*) FROM public.orders_items
UNION ALL SELECT 'orders_tag_ids', count(*) FROM public.orders_tag_ids
UNION ALL SELECT 'tags', count(*) FROM public.tags;

\echo -- What is relational now: money that adds up, by joins that no code has to make.
SELECT t.currency, sum(t.amount) AS amount, count(DISTINCT u.id) AS users
FROM public.transactions t JOIN public.users u ON u.id = t.user_id
GROUP BY t.currency ORDER BY t.currency;

\echo
\echo == 9. The tables and the figures.
\d public.orders
\d public.transactions
SELECT collection, sum(documents) AS documents, sum(inserted) AS inserted, sum(rejected) AS rejected,
       sum(rounded) AS rounded
FROM mongo_migrate.chunk GROUP BY collection ORDER BY collection;

SELECT t.currency, sum(t.amount) AS amount, count(DISTINCT u.id) AS users
FROM public.transactions t JOIN public.users u ON u.id = t.user_id
GROUP BY t.currency ORDER BY t.currency;

\echo
\echo == 8. A planted bug: 43 amounts lose their last digit, as a rounding bug would have it.
UPDATE public.transactions SET amount = trunc(amount, 1)
WHERE id IN (SELECT id FROM public.transactions WHERE amount <> trunc(amount, 1) ORDER BY created_at LIMIT 43);

\echo -- sample_size 0 compares every document and every row.
SELECT source_id, column_name, kind, source_value, target_value
FROM mongo_migrate.verify_sample('shop', 'transactions', sample_size => 0)
WHERE kind <> 'orphan' LIMIT 5;
SELECT kind, count(*)
FROM mongo_migrate.finding
WHERE verification_id = (SELECT max(verification_id) FROM mongo_migrate.verification)
GROUP BY kind ORDER BY kind;

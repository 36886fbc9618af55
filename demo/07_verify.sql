\echo
\echo == 7. Verify. Counts, and a thousand documents of each collection compared field by field.
SELECT * FROM mongo_migrate.verify_counts('shop', tolerance => 100);

SELECT count(*) AS findings FROM mongo_migrate.verify_sample('shop', 'users', sample_size => 1000);
SELECT count(*) AS findings FROM mongo_migrate.verify_sample('shop', 'transactions', sample_size => 1000);
SELECT count(*) AS findings FROM mongo_migrate.verify_sample('shop', 'orders', sample_size => 1000);

\echo
\echo == 7. Verify. Counts, and a thousand documents of each collection compared field by field.
\echo -- No row is no difference; orphans are the references to nothing from above, as far as the sample met them.
SELECT * FROM mongo_migrate.verify_counts('shop', tolerance => 100);

SELECT * FROM mongo_migrate.verify_sample('shop', 'users', sample_size => 1000);
SELECT * FROM mongo_migrate.verify_sample('shop', 'transactions', sample_size => 1000);
SELECT * FROM mongo_migrate.verify_sample('shop', 'orders', sample_size => 1000);

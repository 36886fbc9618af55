\echo
\echo == 2. Look. What is in the transactions? Every BSON type is counted, null and missing apart.
SELECT path, types, nulls, missing, proposed_type, refers_to
FROM mongo_migrate.infer_schema('shop', 'transactions', sample_size => 0);

\echo -- Both databases in one query: the collections as foreign tables.
CREATE SCHEMA mongo;
IMPORT FOREIGN SCHEMA mm_shop FROM SERVER shop INTO mongo;
SELECT status, count(*) FROM mongo.transactions GROUP BY status ORDER BY status;

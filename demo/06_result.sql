\echo
\echo == 6. What came of it.
SELECT collection, state, documents, total, percent, docs_per_second, rejected
FROM mongo_migrate.progress ORDER BY collection;

\echo -- Documents that could not become rows are kept, each with the reason.
SELECT collection, source_id, path, left(reason, 70) AS reason, sqlstate
FROM mongo_migrate.quarantine ORDER BY collection, source_id;

\echo -- References to documents that do not exist became NULL, and are listed.
SELECT collection, column_name, refers_to, count(*)
FROM mongo_migrate.dangling_reference GROUP BY 1, 2, 3 ORDER BY 1, 2, 3;

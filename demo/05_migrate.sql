SELECT collection, documents, inserted, skipped, rejected, batches, complete
FROM mongo_migrate.migrate_all('shop', workers => 2);

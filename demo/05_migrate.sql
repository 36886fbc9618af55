SELECT collection, documents, inserted, skipped, rejected, batches, complete
FROM mongo_migrate.migrate_all('shop', batch_size => 1000, workers => 2);

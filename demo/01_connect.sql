\echo
\echo == 1. Connect. A foreign server is one MongoDB deployment with its database.
\getenv mongo_uri MONGO_URI
CREATE EXTENSION mongo_migrate;
CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate
    OPTIONS (uri :'mongo_uri', database 'mm_shop');
-- With authentication:
-- CREATE USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (username '...', password '...');

\echo -- What could stand in the way?
SELECT * FROM mongo_migrate.preflight('shop');

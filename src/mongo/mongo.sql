-- mongo.sql: the wrapper with its options, commands and queries on a server.

CREATE FUNCTION mongo_migrate.validator(options text[], catalog oid) RETURNS void
    LANGUAGE c STRICT STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'mm_validator';
COMMENT ON FUNCTION mongo_migrate.validator(text[], oid) IS
    'checks the options of servers, user mappings, foreign tables and columns';

CREATE FOREIGN DATA WRAPPER mongo_migrate VALIDATOR mongo_migrate.validator;
COMMENT ON FOREIGN DATA WRAPPER mongo_migrate IS 'MongoDB';

CREATE FUNCTION mongo_migrate.run_command(server name, command json, mode text DEFAULT 'relaxed')
    RETURNS json
    LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'mm_run_command';
COMMENT ON FUNCTION mongo_migrate.run_command(name, json, text) IS
    'runs one MongoDB command (Extended JSON) on the server''s database and returns the reply; mode: relaxed or canonical Extended JSON; every failure that the reply tells of is an error';
REVOKE ALL ON FUNCTION mongo_migrate.run_command(name, json, text) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.find_documents(server name, collection text,
        filter json DEFAULT '{}', options json DEFAULT '{}', mode text DEFAULT 'relaxed')
    RETURNS SETOF json
    LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'mm_find_documents';
COMMENT ON FUNCTION mongo_migrate.find_documents(name, text, json, json, text) IS
    'documents of a collection that match the filter; options: projection, sort, limit, skip, hint, ... of a MongoDB find; mode: relaxed or canonical Extended JSON';
REVOKE ALL ON FUNCTION mongo_migrate.find_documents(name, text, json, json, text) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.aggregate_documents(server name, collection text,
        pipeline json, options json DEFAULT '{}', mode text DEFAULT 'relaxed')
    RETURNS SETOF json
    LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'mm_aggregate_documents';
COMMENT ON FUNCTION mongo_migrate.aggregate_documents(name, text, json, json, text) IS
    'documents that a MongoDB aggregation pipeline yields; options: allowDiskUse, hint, batchSize, ...; mode: relaxed or canonical Extended JSON';
REVOKE ALL ON FUNCTION mongo_migrate.aggregate_documents(name, text, json, json, text) FROM PUBLIC;

-- mongo.sql: the options, commands and queries on a server.

CREATE FUNCTION mongo_migrate.validator(options text[], catalog oid) RETURNS void
    LANGUAGE c STRICT STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'mm_validator';
COMMENT ON FUNCTION mongo_migrate.validator(text[], oid) IS
    'checks the options of servers, user mappings, foreign tables and columns';

CREATE FUNCTION mongo_migrate.require_source(server name) RETURNS void
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'mm_require_source';
COMMENT ON FUNCTION mongo_migrate.require_source(name) IS
    'an error where the server is none of mongo_migrate''s that the user may use';

CREATE FUNCTION mongo_migrate.require_source(server name, collection text) RETURNS void
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'mm_require_source';
COMMENT ON FUNCTION mongo_migrate.require_source(name, text) IS
    'an error where the server is none of mongo_migrate''s that the user may use, or where no collection is named';

CREATE FUNCTION mongo_migrate.run_command(server name, command json, mode text DEFAULT 'relaxed')
    RETURNS json
    LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'mm_run_command';
COMMENT ON FUNCTION mongo_migrate.run_command(name, json, text) IS
    'runs one MongoDB command (Extended JSON) on the server''s database and returns the reply; mode: relaxed or canonical Extended JSON; every failure that the reply tells of is an error';

CREATE FUNCTION mongo_migrate.find_documents(server name, collection text,
        filter json DEFAULT '{}', options json DEFAULT '{}', mode text DEFAULT 'relaxed', max_bytes bigint DEFAULT 0)
    RETURNS SETOF json
    LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'mm_find_documents';
COMMENT ON FUNCTION mongo_migrate.find_documents(name, text, json, json, text, bigint) IS
    'documents of a collection that match the filter; options: projection, sort, limit, skip, hint, ... of a MongoDB find; mode: relaxed or canonical Extended JSON; max_bytes: the last document is the one that makes so many bytes of BSON, the second one at the earliest; 0: all';

CREATE FUNCTION mongo_migrate.aggregate_documents(server name, collection text,
        pipeline json, options json DEFAULT '{}', mode text DEFAULT 'relaxed')
    RETURNS SETOF json
    LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'mm_aggregate_documents';
COMMENT ON FUNCTION mongo_migrate.aggregate_documents(name, text, json, json, text) IS
    'documents that a MongoDB aggregation pipeline yields; options: allowDiskUse, hint, batchSize, ...; mode: relaxed or canonical Extended JSON';

CREATE FUNCTION mongo_migrate.connections(OUT server name, OUT user_name name, OUT valid boolean,
        OUT cursors integer)
    RETURNS SETOF record
    LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'mm_connections';
COMMENT ON FUNCTION mongo_migrate.connections() IS
    'the connections to MongoDB that this session holds: their server, the role that they act for, whether they will be used again, and how many cursors are open';

CREATE FUNCTION mongo_migrate.disconnect(server name) RETURNS boolean
    LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'mm_disconnect';
COMMENT ON FUNCTION mongo_migrate.disconnect(name) IS
    'closes this session''s connections to a server, those in use as soon as they no longer are; true when there was any';

CREATE FUNCTION mongo_migrate.disconnect_all() RETURNS boolean
    LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'mm_disconnect_all';
COMMENT ON FUNCTION mongo_migrate.disconnect_all() IS
    'closes all of this session''s connections to MongoDB, those in use as soon as they no longer are; true when there was any';

-- How documents look in jsonb columns.
CREATE FUNCTION mongo_migrate.extended_json_mode(server name) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((SELECT o.option_value FROM pg_foreign_server AS s, pg_options_to_table(s.srvoptions) AS o
                     WHERE s.srvname = server AND o.option_name = 'extended_json'), 'relaxed')
$$;
COMMENT ON FUNCTION mongo_migrate.extended_json_mode(name) IS
    'option extended_json of a server, relaxed where it has none';

CREATE FUNCTION mongo_migrate.driver_version() RETURNS text
    LANGUAGE c STRICT STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'mm_driver_version';
COMMENT ON FUNCTION mongo_migrate.driver_version() IS 'version of libmongoc that is loaded';


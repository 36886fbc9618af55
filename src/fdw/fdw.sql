-- fdw.sql: the foreign data wrapper.

CREATE FUNCTION mongo_migrate.handler() RETURNS fdw_handler
    LANGUAGE c STRICT VOLATILE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'mm_handler';
COMMENT ON FUNCTION mongo_migrate.handler() IS
    'handler of the foreign data wrapper mongo_migrate';
REVOKE ALL ON FUNCTION mongo_migrate.handler() FROM PUBLIC;

CREATE FOREIGN DATA WRAPPER mongo_migrate
    HANDLER mongo_migrate.handler VALIDATOR mongo_migrate.validator;
COMMENT ON FOREIGN DATA WRAPPER mongo_migrate IS 'MongoDB';

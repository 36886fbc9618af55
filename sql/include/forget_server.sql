\set ECHO none
-- Takes away what the server load.server has: its database, its id maps, and what the catalog has of it.
SELECT mongo_migrate.run_command(current_setting('load.server'), '{"dropDatabase": 1}') \g /dev/null
DO $$
DECLARE
    s CONSTANT name := current_setting('load.server');
    map text;
BEGIN
    FOR map IN SELECT relation FROM mongo_migrate.id_map WHERE server = s AND relation IS NOT NULL LOOP
        EXECUTE 'DROP TABLE ' || map;
    END LOOP;
    DELETE FROM mongo_migrate.plan WHERE server = s;
    DELETE FROM mongo_migrate.id_map WHERE server = s;
    DELETE FROM mongo_migrate.chunk WHERE server = s;
    DELETE FROM mongo_migrate.quarantine WHERE server = s;
END $$;
\set ECHO all

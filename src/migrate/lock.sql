-- lock.sql: the locks of sessions that migrate, verify and follow, and their order.
--
-- A session takes, of those that it needs, first
--
--   sync_lock(server)               who follows the changes of a server
--   sync_step_lock(server)          its steps share it; who changes the direction has it alone (cutover.sql)
--   run_lock(server, collection)    hold_collection(): who migrates, resets or repairs a collection, applies its changes,
--                                   or retries its quarantine
--   run_lock(server, '')            who makes the foreign keys between collections; who validates those of a table shares it
--
-- and then tables and id maps.  Of these there is no order: batches have the
-- maps before the tables, keys and foreign keys the tables before the maps,
-- verifications and applications an order of their own.  So who needs several
-- tables alone has none while it waits for another: lock_tables().  Workers of
-- a run need one at a time; one that gives way in a deadlock is started again
-- (run_patiently()).

-- A session that copies a collection, or one of its chunks, holds the advisory lock of this key.
CREATE FUNCTION mongo_migrate.run_lock(server name, collection text, chunk integer DEFAULT NULL)
    RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN pg_catalog.hashtextextended(
        pg_catalog.format('mongo_migrate %L %L %s', server, collection, chunk), 0);
COMMENT ON FUNCTION mongo_migrate.run_lock(name, text, integer) IS
    'key of the advisory lock of a migration of a collection (chunk NULL), or of one of its chunks';

CREATE FUNCTION mongo_migrate.sync_lock(server name)
    RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN pg_catalog.hashtextextended(pg_catalog.format('mongo_migrate sync %L', server), 0);
COMMENT ON FUNCTION mongo_migrate.sync_lock(name) IS
    'key of the advisory lock that whoever follows the changes of a server holds';

CREATE FUNCTION mongo_migrate.await_lock(key bigint, shared boolean DEFAULT false)
    RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = 0
AS $$
    SELECT CASE WHEN shared THEN pg_advisory_xact_lock_shared(key) ELSE pg_advisory_xact_lock(key) END
$$;
COMMENT ON FUNCTION mongo_migrate.await_lock(bigint, boolean) IS
    'takes an advisory lock until the transaction ends, from sessions of migrations that have it for as long as an index or a foreign key takes; lock_timeout, which is for tables, does not count';

CREATE FUNCTION mongo_migrate.try_session_lock(key bigint) RETURNS boolean
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mm_try_session_lock';
COMMENT ON FUNCTION mongo_migrate.try_session_lock(bigint) IS
    'takes an advisory lock, as pg_try_advisory_lock() does, which is let go by release_session_lock(), or as the transaction that took it or any later one of the session is rolled back';

CREATE FUNCTION mongo_migrate.release_session_lock(key bigint) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mm_release_session_lock';
COMMENT ON FUNCTION mongo_migrate.release_session_lock(bigint) IS
    'lets a lock go that try_session_lock() has taken';

CREATE VIEW mongo_migrate.run_lock_held AS
    SELECT l.classid::bigint << 32 | l.objid::bigint AS lock, l.pid
      FROM pg_locks l
      JOIN pg_database d ON d.oid = l.database
     WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.granted AND d.datname = current_database();
COMMENT ON VIEW mongo_migrate.run_lock_held IS 'the advisory locks of this database that are held, and the processes that hold them';

CREATE FUNCTION mongo_migrate.run_lock_holder(lock bigint)
    RETURNS text
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('The process of that session is %s.', coalesce(
               string_agg(coalesce(h.pid::text, 'gone: its transaction is prepared, see pg_prepared_xacts'), ', '), 'gone meanwhile'))
      FROM mongo_migrate.run_lock_held h WHERE h.lock = $1
$$;
COMMENT ON FUNCTION mongo_migrate.run_lock_holder(bigint) IS
    'the sentence of an error that tells who holds an advisory lock';

CREATE FUNCTION mongo_migrate.limit_locks(until timestamptz)
    RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT set_config('lock_timeout', greatest(1, ceil(extract(epoch FROM $1 - clock_timestamp()) * 1000))::integer::text, true)
$$;
COMMENT ON FUNCTION mongo_migrate.limit_locks(timestamptz) IS
    'has whoever waits for a lock from now on wait until then at most; to the end of the calling function, if that sets lock_timeout';

CREATE FUNCTION mongo_migrate.short_wait(attempt integer)
    RETURNS interval
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT current_setting('deadlock_timeout')::interval * CASE WHEN $1 % 10 = 0 THEN 1.3 ELSE 0.3 END
$$;
COMMENT ON FUNCTION mongo_migrate.short_wait(integer) IS
    'how long a lock is waited for before it is tried anew: so shortly that in a deadlock with an application it is not that which fails, and at every tenth attempt until autovacuum gives way';

CREATE FUNCTION mongo_migrate.await_step(key bigint)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = 0
AS $$
BEGIN
    -- Long enough for a deadlock to be seen: a step may wait for foreign keys that this transaction makes.
    PERFORM mongo_migrate.limit_locks(clock_timestamp() + mongo_migrate.short_wait(10));
    PERFORM pg_advisory_xact_lock(key);
EXCEPTION WHEN lock_not_available THEN
    NULL;
END
$$;
COMMENT ON FUNCTION mongo_migrate.await_step(bigint) IS
    'waits a while for an advisory lock that a sync has for the moment of a step; whether it has come is to be asked';

CREATE FUNCTION mongo_migrate.hold_collection(server name, collection text)
    RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wanted constant bigint := mongo_migrate.run_lock(server, collection);
BEGIN
    WHILE NOT pg_try_advisory_xact_lock(wanted) LOOP
        -- A sync has it for the moment of a step.
        IF EXISTS (SELECT FROM mongo_migrate.run_lock_held k
                    WHERE k.lock = wanted AND (k.pid IS NULL OR k.pid NOT IN (
                          SELECT s.pid FROM mongo_migrate.run_lock_held s WHERE s.lock = mongo_migrate.sync_lock(server) AND s.pid IS NOT NULL))) THEN
            RETURN false;
        END IF;
        PERFORM mongo_migrate.await_step(wanted);
    END LOOP;
    RETURN true;
END
$$;
COMMENT ON FUNCTION mongo_migrate.hold_collection(name, text) IS
    'locks a collection for the transaction, against those that migrate it or apply its changes; false: another session migrates, resets or repairs it';

CREATE FUNCTION mongo_migrate.lock_deadline()
    RETURNS timestamptz
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN t.longest > interval '0' THEN clock_timestamp() + t.longest ELSE 'infinity' END
      FROM (SELECT current_setting('lock_timeout')::interval) AS t (longest)
$$;
COMMENT ON FUNCTION mongo_migrate.lock_deadline() IS
    'until when lock_timeout has one wait that begins now';

CREATE FUNCTION mongo_migrate.lock_tables(tables regclass[], mode text, until timestamptz DEFAULT mongo_migrate.lock_deadline())
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = 0
AS $$
DECLARE
    alone constant boolean := mode = 'ACCESS EXCLUSIVE';
    -- What the caller may not lock is locked as it is used; and Citus locks its tables on all nodes.
    names text[] := ARRAY(SELECT c.oid::regclass::text FROM pg_class AS c
                           WHERE c.oid = ANY (tables) AND c.relkind IN ('r', 'p') AND has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE')
                             AND mongo_migrate.citus_place(c.oid::regclass::text) IS NULL
                           ORDER BY c.oid::regclass::text COLLATE "C");
    name text;
    attempt_until timestamptz;
    holders text;
BEGIN
    FOR attempt IN 1 .. 2147483647 LOOP
        BEGIN
            attempt_until := least(until, clock_timestamp() + mongo_migrate.short_wait(attempt));
            FOREACH name IN ARRAY names LOOP
                PERFORM mongo_migrate.limit_locks(attempt_until);
                EXECUTE format('LOCK TABLE %s IN %s MODE', name, mode);
            END LOOP;
            RETURN;
        EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
            IF SQLSTATE = '40P01' AND name = names[1] THEN
                RAISE;      -- for a lock that the transaction had before
            ELSIF clock_timestamp() >= until THEN
                SELECT string_agg(DISTINCT CASE WHEN l.pid IS NULL THEN format('prepared transaction %L', p.gid)
                                                ELSE concat_ws(', ', format('process %s', l.pid), a.state) END, '; ')
                  INTO holders
                  FROM pg_locks AS l LEFT JOIN pg_stat_activity AS a USING (pid)
                  LEFT JOIN pg_locks AS x ON x.locktype = 'transactionid' AND x.granted AND x.pid IS NULL AND x.virtualtransaction = l.virtualtransaction
                  LEFT JOIN pg_prepared_xacts AS p ON p.transaction = x.transactionid
                 WHERE l.locktype = 'relation' AND l.granted AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
                   AND l.relation IN (SELECT name::regclass UNION SELECT p.relid FROM pg_partition_tree(name) AS p)
                   AND (alone OR l.mode NOT IN ('AccessShareLock', 'RowShareLock')) AND l.pid IS DISTINCT FROM pg_backend_pid();
                RAISE object_not_in_prerequisite_state USING
                    MESSAGE = format('transactions that %s table %s do not end', CASE WHEN alone THEN 'use' ELSE 'have written to' END, name),
                    DETAIL = coalesce(holders, 'They have ended meanwhile.'),
                    HINT = 'End them, and call it again, with a larger timeout, or lock_timeout, if need be.';
            END IF;
            -- Others have this one, and may wait for one before it: in time it becomes their order.
            names := name || array_remove(names, name);
        END;
        PERFORM pg_sleep(extract(epoch FROM mongo_migrate.short_wait(1)));
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.lock_tables(regclass[], text, timestamptz) IS
    'locks tables in a mode, all at once, as soon as no transaction has a lock that is in the way: ACCESS EXCLUSIVE, or SHARE ROW EXCLUSIVE, against writes; error 55000 when the time is over, which is lock_timeout by default';

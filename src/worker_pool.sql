-- worker_pool.sql: background workers that run SQL for a caller.

CREATE FUNCTION mongo_migrate.run_workers(commands text[], heartbeat text DEFAULT NULL)
    RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mm_run_workers';

COMMENT ON FUNCTION mongo_migrate.run_workers(text[], text) IS
'Has commands, each one SQL statement, run by background workers at the same time, with the rights and settings of the caller, and waits for them all.
A command runs as from a client: what it commits stays. The workers stay for the next call in the transaction that needs as many, and end with it at the latest; what a command sets for its session may be met by a later one. NOTICEs and errors of the workers become the caller''s; the first error, a cancel, or the end of the session terminates all workers, and their open transactions roll back.
heartbeat: a query that the caller runs every mongo_migrate.progress_interval while it waits.
With fewer free slots (max_worker_processes) than commands, the others wait for one; with none, SQLSTATE 53400.
Errors: 25001 in a transaction that has changed data or is not READ COMMITTED, 25006 on a standby, 40P01 when a worker waits for a lock of the caller.';


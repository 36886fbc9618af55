-- progress.sql: who migrates what, and how far it is.

CREATE VIEW mongo_migrate.chunk_sum AS
    SELECT server, collection,
           sum(documents)::bigint AS documents, sum(inserted)::bigint AS inserted,
           sum(skipped)::bigint AS skipped, sum(rejected)::bigint AS rejected,
           sum(rounded)::bigint AS rounded, sum(batches)::bigint AS batches,
           sum(rows)::bigint AS rows, sum(bytes)::bigint AS bytes,
           count(*) AS chunks, count(*) FILTER (WHERE NOT complete) AS incomplete,
           bool_or(catching_up) AS catching_up, max(updated_at) AS updated_at
      FROM mongo_migrate.chunk
     GROUP BY server, collection;
COMMENT ON VIEW mongo_migrate.chunk_sum IS 'the present pass over each collection, all chunks together';

CREATE VIEW mongo_migrate.workers AS
    WITH running AS (
        SELECT r.server, r.collection, r.run_id, r.phase, k.pid AS leader
          FROM mongo_migrate.run r
          LEFT JOIN mongo_migrate.run_lock_held k ON k.lock = mongo_migrate.run_lock(r.server, r.collection)
         WHERE r.state = 'running'
    ), copying AS (
        SELECT k.pid, r.run_id, c.chunk, c.documents
          FROM mongo_migrate.chunk c
          JOIN mongo_migrate.run_lock_held k ON k.lock = mongo_migrate.run_lock(c.server, c.collection, c.chunk)
          JOIN running r USING (server, collection)
         WHERE NOT c.complete
    ), helping AS (     -- start_worker() in worker.c gives them their names
        SELECT a.pid, r.run_id
          FROM pg_stat_activity a
          JOIN running r ON a.application_name ~ format('^mongo_migrate worker \d+ of session %s$', r.leader)
         WHERE a.backend_type = 'mongo_migrate worker'
    )
    SELECT r.server, r.collection, r.run_id, w.pid, r.phase, w.chunk, w.documents,
           coalesce(i.relid, n.relid)::regclass AS relation, coalesce(i.phase, n.phase) AS step,
           round(100.0 * CASE WHEN i.blocks_total > 0 THEN i.blocks_done WHEN i.tuples_total > 0 THEN i.tuples_done
                         ELSE n.sample_blks_scanned END
                 / nullif(CASE WHEN i.blocks_total > 0 THEN i.blocks_total WHEN i.tuples_total > 0 THEN i.tuples_total
                          ELSE n.sample_blks_total END, 0), 1) AS percent,
           a.xact_start AS since, a.wait_event_type, a.wait_event
      FROM (SELECT pid, coalesce(c.run_id, h.run_id) AS run_id, c.chunk, c.documents
              FROM copying c FULL JOIN helping h USING (pid)) w
      JOIN running r USING (run_id)
      LEFT JOIN pg_stat_activity a USING (pid)
      LEFT JOIN pg_stat_progress_create_index i USING (pid)
      LEFT JOIN pg_stat_progress_analyze n USING (pid);
COMMENT ON VIEW mongo_migrate.workers IS
    'the processes that work for migrations now: the phase of the run; copying: the range and the documents of it that are done; with an index or ANALYZE: the table, the step as PostgreSQL names it and how far that is; since when the batch or step is under way, and what is waited for';

CREATE VIEW mongo_migrate.progress AS
    SELECT p.server, p.collection,
           CASE WHEN r.run_id IS NULL THEN 'planned'
                WHEN r.state = 'running' AND NOT l.live THEN 'stopped'  -- its session ended without a word
                ELSE r.state END AS state,
           r.phase,
           coalesce(c.documents, 0) AS documents,
           coalesce(r.total, p.documents) AS total,
           CASE WHEN r.state = 'complete' THEN 100.0
                WHEN coalesce(r.total, p.documents) > 0
                THEN least(round(100.0 * coalesce(c.documents, 0) / coalesce(r.total, p.documents), 1), 100.0)
           END AS percent,
           s.docs_per_second,
           CASE WHEN r.state = 'running' AND l.live AND r.phase = 'copy' AND s.docs_per_second > 0
                -- Of a pace that was asked for, the first batch does not show much.
                THEN make_interval(secs => round((greatest(r.total - c.documents, 0)
                         / least(s.docs_per_second, (r.options ->> 'max_docs_per_second')::bigint))::numeric)::double precision)
           END AS eta,
           coalesce(c.rejected, 0) AS rejected,
           coalesce(w.workers, 0) AS workers,
           r.started_at,
           u.updated_at,
           coalesce(c.inserted, 0) AS inserted, coalesce(c.skipped, 0) AS skipped,
           coalesce(c.rounded, 0) AS rounded, c.catching_up, r.run_id, r.error
      FROM mongo_migrate.plan p
      LEFT JOIN LATERAL (
            SELECT * FROM mongo_migrate.run
             WHERE run.server = p.server AND run.collection = p.collection
             ORDER BY run.run_id DESC LIMIT 1) r ON true
      LEFT JOIN mongo_migrate.chunk_sum c ON c.server = p.server AND c.collection = p.collection
      LEFT JOIN (SELECT run_id, count(*) AS workers FROM mongo_migrate.workers GROUP BY run_id) w USING (run_id)
      CROSS JOIN LATERAL (
            SELECT coalesce(w.workers, 0) > 0 OR EXISTS (
                        SELECT FROM mongo_migrate.run_lock_held k
                         WHERE k.lock = mongo_migrate.run_lock(p.server, p.collection)) AS live) l
      CROSS JOIN LATERAL (
            SELECT greatest(c.updated_at, r.ended_at, r.started_at) AS updated_at) u
      CROSS JOIN LATERAL (
            SELECT round((c.documents - (r.options ->> 'documents')::bigint)
                         / nullif(extract(epoch FROM coalesce(r.copied_at, u.updated_at) - r.started_at), 0))::bigint
                   AS docs_per_second) s;
COMMENT ON VIEW mongo_migrate.progress IS
    'a row for each planned collection: state (planned, running, stopped, failed, complete), phase (copy, keys, references, done), documents done and total, rate, time left, live while workers commit';

CREATE VIEW mongo_migrate.run_report AS
    SELECT r.run_id, r.server, r.collection, r.state, r.phase, r.catching_up,
           coalesce(r.documents, c.documents - (r.options ->> 'documents')::bigint) AS documents,
           coalesce(r.inserted, c.inserted - (r.options ->> 'inserted')::bigint) AS inserted,
           coalesce(r.skipped, c.skipped - (r.options ->> 'skipped')::bigint) AS skipped,
           coalesce(r.rejected, c.rejected - (r.options ->> 'rejected')::bigint) AS rejected,
           coalesce(r.rounded, c.rounded - (r.options ->> 'rounded')::bigint) AS rounded,
           coalesce(r.batches, c.batches - (r.options ->> 'batches')::bigint) AS batches,
           coalesce(r.rows, c.rows - (r.options ->> 'rows')::bigint) AS rows,
           coalesce(r.bytes, c.bytes - (r.options ->> 'bytes')::bigint) AS bytes,
           round(coalesce(r.documents, c.documents - (r.options ->> 'documents')::bigint)
                 / nullif(extract(epoch FROM t.copied_at - r.started_at), 0))::bigint AS docs_per_second,
           t.copied_at - r.started_at AS copy_time, t.keyed_at - t.copied_at AS key_time,
           r.ended_at - r.keyed_at AS reference_time,
           r.started_at, r.ended_at, (r.options ->> 'workers')::integer AS workers, r.total, r.error
      FROM mongo_migrate.run r
      LEFT JOIN mongo_migrate.chunk_sum c ON r.documents IS NULL AND (c.server, c.collection) = (r.server, r.collection)
      CROSS JOIN LATERAL (
            SELECT greatest(coalesce(r.copied_at, c.updated_at, r.ended_at), r.started_at) AS copied_at,
                   coalesce(r.keyed_at, CASE WHEN r.copied_at IS NOT NULL THEN r.ended_at END) AS keyed_at) t;
COMMENT ON VIEW mongo_migrate.run_report IS
    'what each call of a migration of a collection did: documents read, of which inserted, skipped, rejected; values rounded, batches, rows of all tables, bytes of the documents as BSON; the rate of the copy, and the times of copy, keys and references';

CREATE VIEW mongo_migrate.quarantine_report AS
    SELECT server, collection, source_id, target, path, reason, sqlstate, hint,
           mongo_migrate.printable_document(document) AS document, at, run_id, quarantine_id
      FROM mongo_migrate.quarantine;
COMMENT ON VIEW mongo_migrate.quarantine_report IS
    'the documents that could not become rows, with the reason, as Extended JSON; document is NULL where it has none, as with a string that is not UTF-8';

CREATE FUNCTION mongo_migrate.report_progress(run_id bigint)
    RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    p mongo_migrate.progress;
    eta text;
BEGIN
    SELECT * INTO p FROM mongo_migrate.progress WHERE run_id = report_progress.run_id;
    IF NOT FOUND THEN
        RETURN;
    ELSIF p.phase <> 'copy' THEN
        RAISE NOTICE '%: % documents copied, adding %', p.collection, p.documents,
            CASE p.phase WHEN 'keys' THEN 'keys' ELSE 'foreign keys' END;
        RETURN;
    END IF;
    eta := CASE WHEN p.eta < interval '100 s' THEN format('%s s', extract(epoch FROM p.eta)::integer)
                ELSE p.eta::text END;
    RAISE NOTICE '%: %/% documents (% %%), % docs/s, ETA %', p.collection, p.documents,
        coalesce(p.total::text, '?'), coalesce(p.percent::text, '?'), coalesce(p.docs_per_second::text, '?'),
        coalesce(eta, '?');
END
$$;
COMMENT ON FUNCTION mongo_migrate.report_progress(bigint) IS 'raises a NOTICE that says how far a run is';

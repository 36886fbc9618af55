-- verify.sql: documents held against rows, both ways, and what was found.
--
-- Work goes in batches: some documents, one statement a table.  A verification
-- and its findings are ordinary rows and commit with the caller.

-- One job a root of the collection's plan.
CREATE FUNCTION mongo_migrate.verify_jobs(verification bigint, server name, collection text, every boolean,
    sums boolean)
    RETURNS SETOF mongo_migrate.verify_job
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT verification, server, collection, r.target, coalesce(r.filter, '{}'),
           t.targets, ARRAY(SELECT CASE WHEN every THEN mongo_migrate.verify_statement(server, collection, u, true)
                                        ELSE mongo_migrate.verify_batch_statement(server, collection, u, sums) END
                            FROM unnest(t.targets) WITH ORDINALITY AS s(u, n) ORDER BY n)
    FROM mongo_migrate.plan_target AS r,
         LATERAL (SELECT array_agg(c.target ORDER BY c.ordinal, c.target) AS targets
                  FROM mongo_migrate.plan_target AS c
                  WHERE (c.server, c.collection) = ($2, $3) AND c.included
                      AND EXISTS (SELECT FROM mongo_migrate.target_chain($2, $3, c.target) AS k
                                  WHERE k.target = r.target)) AS t
    WHERE (r.server, r.collection) = ($2, $3) AND r.kind = 'root' AND t.targets IS NOT NULL
    ORDER BY r.ordinal, r.target
$$;
COMMENT ON FUNCTION mongo_migrate.verify_jobs(bigint, name, text, boolean, boolean) IS
    'what a verification of a collection has to do, a row for each root of its plan; every: statements yield equal values too; sums: numeric columns are summed';

-- ---------- documents to rows ----------

-- Runs a target's statement on a batch.  An error of the data, such as an
-- expression that fails on a document that has changed, is narrowed down to its
-- document and is a finding.
CREATE FUNCTION mongo_migrate.verify_target(job mongo_migrate.verify_job, n integer, keys bytea[], documents json[], ids json[],
    OUT present bigint, OUT sums numeric[])
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off    -- a batch looks its rows up, rather than read the table,
    SET random_page_cost = 0.1  -- which costs as much as to read some three times as many
    SET cpu_tuple_cost = 0.1
AS $$
DECLARE
    half    integer := cardinality(keys) / 2;
    part    record;
    problem text;
    detail  text;
    lost    timestamptz;    -- since when there is no connection, to what references refer to
BEGIN
    LOOP BEGIN
        EXECUTE job.statements[n] INTO present, sums USING keys, documents, ids, job.verification, job.collection;
        RETURN;
    EXCEPTION
        WHEN connection_exception THEN
            lost := coalesce(lost, clock_timestamp());
            GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
            IF NOT mongo_migrate.verify_wait(job, lost, SQLERRM, detail) THEN
                RAISE;
            END IF;
        WHEN OTHERS OR assert_failure THEN
            IF NOT mongo_migrate.may_be_data(SQLSTATE) THEN
                RAISE;
            END IF;
            problem := SQLERRM;
            EXIT;
    END; END LOOP;
    IF half = 0 THEN
        -- What keeps a document from having a row may keep it from being compared.
        INSERT INTO mongo_migrate.finding
            (verification_id, collection, source_id, target, kind, source_value, target_value, source_key)
        SELECT job.verification, job.collection, mongo_migrate.verify_source_id(ids[1]),
               job.targets[n], 'mismatch', left(documents[1]::text, 1000), 'cannot be compared: ' || problem, keys[1]
        WHERE NOT mongo_migrate.is_quarantined(job.server, job.collection, keys[1]);
        present := 0;
        sums := mongo_migrate.verify_sum_alone(job, job.targets[n], keys, documents, ids);
    ELSE
        SELECT * INTO part FROM mongo_migrate.verify_target(job, n, keys[:half], documents[:half], ids[:half]);
        SELECT part.present + o.present, mongo_migrate.verify_add(part.sums, o.sums) INTO present, sums
        FROM mongo_migrate.verify_target(job, n, keys[half + 1:], documents[half + 1:], ids[half + 1:]) AS o;
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_target(mongo_migrate.verify_job, integer, bytea[], json[], json[]) IS
    'holds a batch of documents against the rows of the job''s n-th target; returns how many rows should be there, and where the job wants them, sums';

-- Holds a batch against all targets.
CREATE FUNCTION mongo_migrate.verify_documents(job mongo_migrate.verify_job, documents json[],
    INOUT tally mongo_migrate.verify_tally)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET work_mem = '64MB'       -- as in verify_read(); as it becomes jsonb, too
AS $$
DECLARE
    keys    bytea[];        -- arrays that are variables go to functions without a copy, unlike those of a record
    ids     json[];
    part    record;
    sums    numeric[];
BEGIN
    IF cardinality(documents) = 0 THEN
        RETURN;
    END IF;
    SELECT b.documents, b.keys, b.ids INTO documents, keys, ids FROM mongo_migrate.verify_batch(documents) AS b;
    FOR n IN 1 .. cardinality(job.targets) LOOP
        part := mongo_migrate.verify_target(job, n, keys, documents, ids);
        sums := sums || part.sums;
        IF job.targets[n] = job.root THEN
            tally.present := coalesce(tally.present, 0) + part.present;
        END IF;
    END LOOP;
    tally.documents := coalesce(tally.documents, 0) + cardinality(documents);
    tally.sums := mongo_migrate.verify_add(tally.sums, sums);
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_documents(mongo_migrate.verify_job, json[], mongo_migrate.verify_tally) IS
    'holds a batch of documents in canonical Extended JSON against their rows; returns the tally with theirs';

-- About 4 MB of documents keep memory bounded; many make for few statements.
CREATE FUNCTION mongo_migrate.verify_batch_bytes() RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN 4194304;
COMMENT ON FUNCTION mongo_migrate.verify_batch_bytes() IS
    'bytes of documents, as BSON, that end a batch of a verification';

CREATE FUNCTION mongo_migrate.verify_batch_size(server name, collection text) RETURNS integer
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $body$
    SELECT least(10000, greatest(1, mongo_migrate.verify_batch_bytes() / greatest(1, max((s ->> 'size')::numeric))))::integer
    FROM mongo_migrate.aggregate_documents(server, collection,
        '[{"$limit": 1000}, {"$group": {"_id": null, "size": {"$avg": {"$bsonSize": "$$ROOT"}}}}]') AS s
$body$;
COMMENT ON FUNCTION mongo_migrate.verify_batch_size(name, text) IS
    'documents that a verification asks for to begin with: about 4 MB by the size of some, at most 10000';

-- How long a verification waits for the source, in its options.
CREATE FUNCTION mongo_migrate.verify_check_retry(retry_for interval) RETURNS interval
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF retry_for IS NULL OR retry_for < interval '0' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'retry_for must not be negative',
            HINT = 'retry_for => ''0'' ends a verification at the first lost connection.';
    END IF;
    RETURN retry_for;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_check_retry(interval) IS
    'the argument retry_for of a verification, or an error';

-- After a lost connection: waits a while, and says so, or throws the error
-- again once the connection has been lost for too long.
CREATE FUNCTION mongo_migrate.verify_wait(job mongo_migrate.verify_job, lost timestamptz, problem text, detail text) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    pause constant interval := '2 seconds';
    until constant timestamptz := lost + coalesce((SELECT v.options ->> 'retry_for' FROM mongo_migrate.verification AS v
                                                   WHERE v.verification_id = job.verification), '0')::interval;
BEGIN
    IF clock_timestamp() + pause > until THEN
        RETURN false;
    END IF;
    RAISE WARNING 'verification of collection % is interrupted: %', job.collection, concat_ws(': ', problem, nullif(detail, ''))
        USING HINT = format('It is tried again every %s s, until %s.', extract(epoch FROM pause)::integer,
                            to_char(until, 'HH24:MI:SS'));
    PERFORM pg_sleep(extract(epoch FROM pause));
    RETURN true;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_wait(mongo_migrate.verify_job, timestamptz, text, text) IS
    'waits before a verification tries again to read from a source that was lost then, with a WARNING; false: it has been gone for the verification''s retry_for';

-- Reads documents in canonical Extended JSON.  What libbson does not print,
-- because a string in it is not UTF-8, is a finding; its neighbours are read
-- one by one.  done: the key of the _id of a document that may come
-- first and is left out.  max_bytes ends the documents before all are read; 0:
-- does not.  last: the key of the last one's.
CREATE FUNCTION mongo_migrate.verify_read(job mongo_migrate.verify_job, filter json, options json, done bytea, max_bytes integer,
    OUT documents json[], OUT last bytea)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET work_mem = '64MB'       -- a batch stays off the disk
AS $$
DECLARE
    id      json;
    ids     json[];
    part    json[];
    lost    timestamptz;    -- since when there is no connection
    detail  text;
    bytes   bigint := 0;
BEGIN
    LOOP BEGIN
        documents := ARRAY(
            SELECT d FROM mongo_migrate.find_documents(job.server, job.collection, filter, options, 'canonical', max_bytes) AS d);
        last := mongo_migrate.verify_document_key(documents[cardinality(documents)]);
        IF mongo_migrate.verify_document_key(documents[1]) = done THEN
            documents := documents[2:];
        END IF;
        RETURN;
    EXCEPTION
        WHEN data_corrupted OR untranslatable_character THEN
            documents := '{}';
            EXIT;
        WHEN connection_exception THEN
            lost := coalesce(lost, clock_timestamp());
            GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
            IF NOT mongo_migrate.verify_wait(job, lost, SQLERRM, detail) THEN
                RAISE;
            END IF;
    END; END LOOP;
    -- Some at a time: one in ten thousand shall not have all the others asked for one by one.
    FOR ids IN
        SELECT array_agg(k.id ORDER BY k.n)
        FROM (SELECT mongo_migrate.key_to_json(mongo_migrate.verify_document_key(f.d)) AS id, f.n
              FROM mongo_migrate.find_documents(job.server, job.collection, filter,
                  CASE WHEN options::text = '{}' THEN '{"projection": {"_id": 1}}'
                       ELSE regexp_replace(options::text, '\}\s*$', ', "projection": {"_id": 1}}') END::json, 'canonical')
                  WITH ORDINALITY AS f(d, n)) AS k
        WHERE mongo_migrate.bson_key(k.id) IS DISTINCT FROM done
        GROUP BY k.n / greatest((options ->> 'limit')::integer / 100, 1) ORDER BY min(k.n)
    LOOP
        BEGIN
            part := ARRAY(
                SELECT d FROM mongo_migrate.find_documents(job.server, job.collection,
                    mongo_migrate.verify_filter('{}', array_to_json(ids)), '{}', 'canonical', max_bytes) AS d);
        EXCEPTION WHEN data_corrupted OR untranslatable_character THEN
            part := '{}';
        END;
        IF cardinality(part) = cardinality(ids) THEN
            documents := documents || part;
            bytes := bytes + (SELECT sum(octet_length(p::text)) FROM unnest(part) AS p);
            last := mongo_migrate.bson_key(ids[cardinality(ids)]);
        ELSE
            FOREACH id IN ARRAY ids LOOP
                last := mongo_migrate.bson_key(id);
                BEGIN
                    part := ARRAY(
                        SELECT d FROM mongo_migrate.find_documents(job.server, job.collection,
                            mongo_migrate.verify_filter('{}', json_build_array(id)), '{}', 'canonical') AS d);
                    documents := documents || part;
                    bytes := bytes + coalesce(octet_length(part[1]::text), 0);
                EXCEPTION WHEN data_corrupted OR untranslatable_character THEN
                    INSERT INTO mongo_migrate.finding (verification_id, collection, source_id, target, kind, target_value, source_key)
                    SELECT job.verification, job.collection, mongo_migrate.verify_source_id(id), job.root, 'mismatch',
                           'cannot be compared: ' || SQLERRM, last
                    WHERE NOT mongo_migrate.is_quarantined(job.server, job.collection, last);
                END;
                EXIT WHEN max_bytes > 0 AND bytes >= max_bytes;
            END LOOP;
        END IF;
        EXIT WHEN max_bytes > 0 AND bytes >= max_bytes;
    END LOOP;
EXCEPTION WHEN data_corrupted OR untranslatable_character THEN
    RAISE EXCEPTION USING ERRCODE = SQLSTATE,
        MESSAGE = format('an _id of collection "%s" cannot be read: %s', job.collection, SQLERRM),
        DETAIL = 'Documents of which one cannot be read are asked for by their _id.',
        HINT = 'Replace its document in MongoDB by one with another _id, and migrate that.';
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_read(mongo_migrate.verify_job, json, json, bytea, integer) IS
    'the documents of a job that a filter matches, by the options of find_documents(), and the key of the last _id; documents that cannot be read are findings';

-- Every document of a range of _id, by their keys (NULL: from the first, to the last), a page at a time in the order of _id.
CREATE FUNCTION mongo_migrate.verify_every_document(job mongo_migrate.verify_job, lower_key bytea, upper_key bytea,
    OUT tally mongo_migrate.verify_tally)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    size    integer := mongo_migrate.verify_batch_size(job.server, job.collection);
    -- Not by jsonb, since the order of the fields of a compound _id counts.
    options constant text := format('{"hint": {"_id": 1}, "sort": {"_id": 1}%s', ', "max": {"_id": ' || mongo_migrate.key_to_json(upper_key) || '}');
    bound   text := ', "min": {"_id": ' || mongo_migrate.key_to_json(lower_key) || '}';
    documents json[];
    last    bytea;      -- key of the last document's _id
    reached bytea;      -- of the page's last one
BEGIN
    LOOP
        -- The document of the lower bound is read again, but for the first page.
        SELECT r.documents, r.last INTO documents, reached
        FROM mongo_migrate.verify_read(job, job.filter::json,
            format('%s, "limit": %s%s}', options, size + (last IS NOT NULL)::integer, bound)::json, last,
            mongo_migrate.verify_batch_bytes()) AS r;
        EXIT WHEN reached IS NULL OR reached = last;
        -- Not many more are asked for than a batch takes.
        size := CASE WHEN cardinality(documents) < size THEN greatest(cardinality(documents), 1)
                     ELSE least(size + size / 4 + 1, 10000) END;
        tally := mongo_migrate.verify_documents(job, documents, tally);
        last := reached;
        -- MaxKey is no minimum: nothing is above.  The lower bound is inclusive.
        EXIT WHEN last = mongo_migrate.bson_key('{"$maxKey": 1}');
        bound := ', "min": {"_id": ' || mongo_migrate.key_to_json(last) || '}';
    END LOOP;

    -- A minimum without a maximum ends before MaxKey.
    IF upper_key IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT r.documents INTO documents
    FROM mongo_migrate.verify_read(job,
        json_build_object('$and', json_build_array(job.filter, '{"_id": {"$type": "maxKey"}}'::json)), '{}', last, 0) AS r;
    tally := mongo_migrate.verify_documents(job, documents, tally);
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_every_document(mongo_migrate.verify_job, bytea, bytea) IS
    'holds every document of a range of _id of a job''s collection against its rows; returns their tally';

-- The same for a view, which has no index on _id to page by: PostgreSQL keeps
-- what it yields, on disk where it is much.
CREATE FUNCTION mongo_migrate.verify_every_of_view(job mongo_migrate.verify_job, OUT tally mongo_migrate.verify_tally)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    size        integer := mongo_migrate.verify_batch_size(job.server, job.collection);
    documents   json[] := '{}';
    document    json;
    bytes       bigint := 0;
BEGIN
    FOR document IN
        SELECT d FROM mongo_migrate.find_documents(job.server, job.collection, job.filter::json, '{}', 'canonical') AS d
        UNION ALL SELECT NULL
    LOOP
        IF document IS NOT NULL THEN
            documents := documents || document;
            bytes := bytes + octet_length(document::text);
            CONTINUE WHEN cardinality(documents) < size AND bytes < mongo_migrate.verify_batch_bytes();
        END IF;
        tally := mongo_migrate.verify_documents(job, documents, tally);
        documents := '{}';
        bytes := 0;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_every_of_view(mongo_migrate.verify_job) IS
    'holds every document of a job''s view against its rows; returns their tally';

-- Random documents: the server draws their _id, and they are read in batches.
CREATE FUNCTION mongo_migrate.verify_some_documents(job mongo_migrate.verify_job, sample_size bigint) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    tally   mongo_migrate.verify_tally;
    ids     json;
    documents json[];
BEGIN
    FOR ids IN
        SELECT json_agg(mongo_migrate.key_to_json(k.key))
        FROM (SELECT s.key, greatest((row_number() OVER in_order - 1) / 10000,
                                     floor((sum(s.size) OVER in_order - s.size) / mongo_migrate.verify_batch_bytes())) AS part
              FROM (SELECT DISTINCT ON (key) mongo_migrate.verify_document_key(d) AS key, (mongo_migrate.without_nul(d) -> 'size' ->> '$numberInt')::bigint AS size
                    FROM mongo_migrate.aggregate_documents(job.server, job.collection,
                        json_build_array(json_build_object('$match', job.filter),
                                         json_build_object('$sample', json_build_object('size', sample_size)),
                                         '{"$project": {"_id": 1, "size": {"$bsonSize": "$$ROOT"}}}'::json),
                        '{"allowDiskUse": true}', 'canonical') AS d ORDER BY key) AS s
              WINDOW in_order AS (ORDER BY s.key)) AS k
        GROUP BY k.part ORDER BY k.part
    LOOP
        SELECT r.documents INTO documents FROM mongo_migrate.verify_read(job, mongo_migrate.verify_filter(job.filter, ids), '{}', NULL, 0) AS r;
        tally := mongo_migrate.verify_documents(job, documents, tally);
    END LOOP;
    RETURN coalesce(tally.documents, 0);
END
$body$;
COMMENT ON FUNCTION mongo_migrate.verify_some_documents(mongo_migrate.verify_job, bigint) IS
    'holds random documents of a job against their rows; returns their number';

-- Whether a collection can be paged by its index on _id: it is no view and no time series.
CREATE FUNCTION mongo_migrate.verify_has_id_index(server name, collection text) RETURNS boolean
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(mongo_migrate.run_command(server,
            json_build_object('listCollections', 1, 'filter', json_build_object('name', collection)))
        #>> '{cursor,firstBatch,0,type}', 'collection') = 'collection'
$$;
COMMENT ON FUNCTION mongo_migrate.verify_has_id_index(name, text) IS
    'whether a collection has an index on _id: it is neither a view nor a time series';

-- ---------- what a person calls ----------

-- An error where there is no plan; collection NULL: none at all.
CREATE FUNCTION mongo_migrate.verify_require_plan(server name, collection text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    col     mongo_migrate.plan_column;
    wrong   record;
BEGIN
    PERFORM mongo_migrate.require_source(server);
    IF NOT EXISTS (SELECT FROM mongo_migrate.plan AS p
                   WHERE p.server = $1 AND p.collection = coalesce($2, p.collection)) THEN
        PERFORM mongo_migrate.require_collection(server, collection) WHERE collection IS NOT NULL;
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = CASE WHEN collection IS NULL THEN format('server "%s" has no plan', server)
                      ELSE format('collection "%s" of server "%s" has no plan', collection, server) END,
            DETAIL = 'A verification compares the tables that a plan names with the source.',
            HINT = format('SELECT * FROM mongo_migrate.migrate_collection(%L, %L);', server, coalesce(collection, '...'));
    END IF;
    PERFORM mongo_migrate.require_schemas(server, collection) WHERE collection IS NOT NULL;
    -- In the statement of a verification, an error in an expression would be hard to find.
    FOR col IN
        SELECT c.* FROM mongo_migrate.plan_column AS c JOIN mongo_migrate.plan_target AS t USING (server, collection, target)
        WHERE (c.server, c.collection) = ($1, $2) AND c.expression IS NOT NULL AND c.included AND t.included
    LOOP
        SELECT * INTO wrong FROM mongo_migrate.check_column(col, NULL);
        IF wrong.problem IS NOT NULL THEN
            RAISE invalid_object_definition USING
                MESSAGE = format('the plan of collection "%s" is wrong at %s.%I: %s', collection, col.target, col.column_name, wrong.problem),
                HINT = wrong.hint;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_require_plan(name, text) IS
    'an error where a collection, or with NULL a server, has no plan, or an expression of it cannot be used';

CREATE FUNCTION mongo_migrate.verify_check_numbers(tolerance bigint, sample_size bigint) RETURNS void
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF tolerance < 0 OR tolerance IS NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'tolerance must not be negative';
    ELSIF sample_size < 0 OR sample_size IS NULL THEN
        RAISE invalid_parameter_value USING
            MESSAGE = 'sample_size must not be negative',
            HINT = 'sample_size => 0 compares every document.';
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_check_numbers(bigint, bigint) IS 'an error for a tolerance or sample_size that is NULL or negative';

-- Begins a verification: a row, whose findings follow.
CREATE FUNCTION mongo_migrate.verify_begin(server name, collection text, kind text, options jsonb) RETURNS bigint
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT mongo_migrate.require_source($1, $2) WHERE $3 <> 'counts';
    SELECT mongo_migrate.verify_require_plan($1, $2);
    SELECT mongo_migrate.pass_numbers('verification', 'verification_id');
    INSERT INTO mongo_migrate.verification (server, collection, kind, options)
    VALUES ($1, $2, $3, $4) RETURNING verification_id;
$$;
COMMENT ON FUNCTION mongo_migrate.verify_begin(name, text, text, jsonb) IS
    'records the beginning of a verification and returns its number; an error where there is no plan';

-- Ends it.  What a plan or the source itself explains (rounding to the column's
-- scale, references to nothing) is a finding, and is not a failure.
CREATE FUNCTION mongo_migrate.verify_end(verification bigint, documents bigint) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE mongo_migrate.verification AS v
    SET ended_at = clock_timestamp(), documents = $2, findings = f.findings, ok = f.ok
    FROM (SELECT count(*) AS findings, count(*) FILTER (WHERE kind NOT IN ('rounded', 'orphan')) = 0 AS ok
          FROM mongo_migrate.finding WHERE verification_id = $1) AS f
    WHERE v.verification_id = $1
$$;
COMMENT ON FUNCTION mongo_migrate.verify_end(bigint, bigint) IS
    'records the end of a verification of so many documents; ok: no finding but of kinds rounded and orphan';

-- Every document of a range; a view has one range.
CREATE FUNCTION mongo_migrate.verify_range(job mongo_migrate.verify_job, lower_key bytea, upper_key bytea)
    RETURNS mongo_migrate.verify_tally
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.* FROM (SELECT mongo_migrate.verify_has_id_index(job.server, job.collection) AS paged OFFSET 0) AS p,
        LATERAL (SELECT * FROM mongo_migrate.verify_every_document(job, lower_key, upper_key) WHERE p.paged
                 UNION ALL SELECT * FROM mongo_migrate.verify_every_of_view(job) WHERE NOT p.paged) AS t
$$;
COMMENT ON FUNCTION mongo_migrate.verify_range(mongo_migrate.verify_job, bytea, bytea) IS
    'holds every document of a range of _id (both NULL: all; views have no others) against its rows; returns their tally';

-- After every document: the other way, from rows to documents, and sums.
CREATE FUNCTION mongo_migrate.verify_whole(job mongo_migrate.verify_job, tally mongo_migrate.verify_tally, sums boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF mongo_migrate.verify_has_root(job) THEN
        IF NOT (mongo_migrate.verify_has_id_index(job.server, job.collection) AND mongo_migrate.verify_accounts(job, tally)) THEN
            PERFORM mongo_migrate.verify_rows(job, 0);
        END IF;
        PERFORM mongo_migrate.verify_unowned_rows(job);
        PERFORM mongo_migrate.verify_repeated(job);
    END IF;
    PERFORM mongo_migrate.verify_doubled(job);
    IF sums THEN
        PERFORM mongo_migrate.verify_sums(job, tally.sums);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_whole(mongo_migrate.verify_job, mongo_migrate.verify_tally, boolean) IS
    'looks for rows of a job without document and, if sums is true, compares sums; tally: of all documents';

-- A collection's documents against its rows and back; returns the number of documents.
CREATE FUNCTION mongo_migrate.verify_collection(verification bigint, server name, collection text, sample_size bigint,
    sums boolean) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET row_security = off      -- a row that is hidden from the caller is an error, not missing
AS $$
DECLARE
    job     mongo_migrate.verify_job;
    tally   mongo_migrate.verify_tally;
    checked bigint := 0;
BEGIN
    PERFORM mongo_migrate.set_plan_settings(server, collection);
    FOR job IN SELECT * FROM mongo_migrate.verify_jobs(verification, server, collection, false, sums) LOOP
        IF sample_size > 0 AND sample_size < mongo_migrate.verify_count(server, collection, job.filter::json) THEN
            checked := checked + mongo_migrate.verify_some_documents(job, sample_size);
            PERFORM mongo_migrate.verify_rows(job, sample_size) WHERE mongo_migrate.verify_has_root(job);
            CONTINUE;
        END IF;
        tally := mongo_migrate.verify_range(job, NULL, NULL);
        checked := checked + coalesce(tally.documents, 0);
        PERFORM mongo_migrate.verify_whole(job, tally, sums);
    END LOOP;
    RETURN checked;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_collection(bigint, name, text, bigint, boolean) IS
    'compares a sample of a collection (0: all of it) with its tables, both ways; returns the number of documents compared';

-- A verification in the caller's transaction.
CREATE FUNCTION mongo_migrate.verify_here(server name, collection text, kind text, options jsonb, sample_size bigint) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    verification constant bigint := mongo_migrate.verify_begin(server, collection, kind, options);
BEGIN
    PERFORM mongo_migrate.verify_end(verification,
        mongo_migrate.verify_collection(verification, server, collection, sample_size, kind = 'full'));
    RETURN verification;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_here(name, text, text, jsonb, bigint) IS
    'verifies a sample of a collection''s documents and rows (0: all) in the current transaction, with sums where the kind is full; returns the verification';

-- The findings of a verification.
CREATE FUNCTION mongo_migrate.verify_findings(verification bigint)
    RETURNS TABLE (source_id text, target text, column_name text, kind text, source_value text, target_value text,
                   element text)
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT f.source_id, f.target, f.column_name, f.kind, f.source_value, f.target_value, f.element
    FROM mongo_migrate.finding AS f WHERE f.verification_id = verification
$$;
COMMENT ON FUNCTION mongo_migrate.verify_findings(bigint) IS 'the findings of a verification';

CREATE FUNCTION mongo_migrate.verify_sample(server name, collection text, sample_size bigint DEFAULT 1000,
    retry_for interval DEFAULT '5 minutes')
    RETURNS TABLE (source_id text, target text, column_name text, kind text, source_value text, target_value text,
                   element text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM mongo_migrate.verify_check_numbers(0, sample_size);
    RETURN QUERY SELECT f.* FROM mongo_migrate.verify_findings(mongo_migrate.verify_here(server, collection, 'sample',
        pg_catalog.jsonb_build_object('sample_size', sample_size, 'retry_for', mongo_migrate.verify_check_retry(retry_for)),
        sample_size)) AS f;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_sample(name, text, bigint, interval) IS
    'compares random documents with their rows, field by field, and looks for as many random rows whose document is gone; sample_size 0, or as many as there are: every document and row. Result: a row for each difference, none where all is equal; kind is missing (no row), extra (no document or array element), mismatch, rounded (to what the column''s type holds) or orphan (a reference to nothing); element is the array element of a child row, as items.3. retry_for: how long documents are tried to be read again, with a WARNING each time, where the connection to MongoDB is lost. Recorded in mongo_migrate.verification and mongo_migrate.finding. Errors: no plan; a table or column of the plan that does not exist';

CREATE FUNCTION mongo_migrate.verify_full(server name, collection text, retry_for interval DEFAULT '5 minutes',
    workers integer DEFAULT 0)
    RETURNS TABLE (source_id text, target text, column_name text, kind text, source_value text, target_value text,
                   element text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    options jsonb := pg_catalog.jsonb_build_object('retry_for', mongo_migrate.verify_check_retry(retry_for));
    verification bigint;
BEGIN
    IF workers OPERATOR(pg_catalog.<) 0 OR workers IS NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'workers must not be negative',
            HINT = 'workers => 0 verifies in the calling transaction.';
    ELSIF workers OPERATOR(pg_catalog.=) 0 THEN
        verification := mongo_migrate.verify_here(server, collection, 'full', options, 0);
    ELSE
        PERFORM mongo_migrate.require_source(server, collection), mongo_migrate.verify_require_plan(server, collection);
        verification := mongo_migrate.verify_by_workers(server, collection, options, workers);
    END IF;
    RETURN QUERY SELECT * FROM mongo_migrate.verify_findings(verification);
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_full(name, text, interval, integer) IS
    'compares every document of a collection with its rows, looks for rows whose document is gone, and compares the exact sums of numeric columns; workers: background workers that do it, in ranges of _id, and commit what they find; 0: in the calling transaction. Result and errors as of verify_sample(), with workers also those of run_workers(); a sum that differs has neither source_id nor element';

CREATE VIEW mongo_migrate.verification_report AS
    SELECT DISTINCT ON (v.server, c.collection, v.kind)
           v.server, c.collection, v.kind, v.ended_at, CASE WHEN v.collection IS NOT NULL THEN v.documents END AS documents,
           f.missing + f.extra + f.mismatch + f.count = 0 AS ok,
           f.missing, f.extra, f.mismatch, f.rounded, f.orphan, f.count, v.verification_id
    FROM mongo_migrate.verification AS v
         JOIN mongo_migrate.plan AS c ON c.server = v.server
              AND (c.collection = v.collection OR v.collection IS NULL AND c.planned_at <= v.started_at)
         CROSS JOIN LATERAL (
             SELECT count(*) FILTER (WHERE kind = 'missing') AS missing,
                    count(*) FILTER (WHERE kind = 'extra') AS extra,
                    count(*) FILTER (WHERE kind = 'mismatch') AS mismatch,
                    count(*) FILTER (WHERE kind = 'rounded') AS rounded,
                    count(*) FILTER (WHERE kind = 'orphan') AS orphan,
                    count(*) FILTER (WHERE kind = 'count') AS count
             FROM mongo_migrate.finding AS f
             WHERE f.verification_id = v.verification_id AND f.collection = c.collection) AS f
    WHERE v.ended_at IS NOT NULL
    ORDER BY v.server, c.collection, v.kind, v.verification_id DESC;
COMMENT ON VIEW mongo_migrate.verification_report IS
    'the last verification of each kind of each planned collection, with the number of its findings there by kind; ok: none but of kinds rounded and orphan; documents compared: NULL for counts';

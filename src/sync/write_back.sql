-- write_back.sql: after a cutover the documents follow the rows.
--
--   note_row          a trigger: a row has changed (note.c)
--   assign_documents  new rows get the _id of the documents that they will be
--   write_changes     documents of one collection whose rows have changed are made anew, and written
--
-- A note says whose rows have changed, and not how: what is written is the
-- document that the rows are by then.  So notes may come twice, and a crash
-- between a write and the commit writes the same document again.

CREATE FUNCTION mongo_migrate.note_row()
    RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'mm_note_row';
COMMENT ON FUNCTION mongo_migrate.note_row() IS
    'trigger of a table of a plan after a cutover: notes in mongo_migrate.row_change whose document has changed; arguments: server, collection, the column with the id of the document''s row';

-- Where each document of a collection has its rows.
CREATE FUNCTION mongo_migrate.written_roots(server name, collection text)
    RETURNS TABLE (target text, filter jsonb, key name, key_type text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.target, t.filter, r.key, format_type(r.key_type, -1)
      FROM mongo_migrate.plan_target AS t CROSS JOIN LATERAL mongo_migrate.verify_root($1, $2, t.target) AS r
     WHERE (t.server, t.collection) = ($1, $2) AND t.kind = 'root' AND t.included
     ORDER BY t.ordinal, t.target
$$;
COMMENT ON FUNCTION mongo_migrate.written_roots(name, text) IS
    'the roots of a plan, with the column of their rows'' ids';

CREATE FUNCTION mongo_migrate.require_written(server name, collection text)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    wrong record;
BEGIN
    IF NOT EXISTS (SELECT FROM mongo_migrate.written_roots(server, collection)) THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('the plan of collection "%s" includes no table with the rows of its documents', collection),
            HINT = format('UPDATE mongo_migrate.plan_target SET included = true WHERE (server, collection, kind) = (%L, %L, ''root'');', server, collection);
    END IF;
    -- In the statement that makes documents, an error in an expression would be hard to find.
    SELECT c.target, c.column_name, k.* INTO wrong
      FROM mongo_migrate.plan_column AS c JOIN mongo_migrate.plan_target AS t USING (server, collection, target)
     CROSS JOIN LATERAL mongo_migrate.check_column(c, NULL) AS k
     WHERE (c.server, c.collection) = ($1, $2) AND c.reverse_expression IS NOT NULL AND c.included AND t.included AND k.problem IS NOT NULL
     LIMIT 1;
    IF FOUND THEN
        RAISE invalid_object_definition USING
            MESSAGE = format('the plan is wrong at %s.%I: %s', wrong.target, wrong.column_name, wrong.problem),
            HINT = wrong.hint;
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.require_written(name, text) IS
    'an error where no documents can be made of the rows of a collection: its plan includes no table of them, or has a reverse_expression that cannot be used';

CREATE FUNCTION mongo_migrate.rows_there(server name, collection text, ids text[])
    RETURNS text[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET row_security = off      -- rows that are not to be seen are not gone: an error
AS $$
DECLARE
    there text[];
BEGIN
    EXECUTE (SELECT 'SELECT ARRAY(SELECT i.id FROM unnest($1) AS i (id) WHERE '
                    || string_agg(format('EXISTS (SELECT FROM %s AS t WHERE t.%I = i.id::%s)', r.target, r.key, r.key_type), ' OR ') || ')'
               FROM mongo_migrate.written_roots(server, collection) AS r) INTO there USING ids;
    RETURN there;
END
$$;
COMMENT ON FUNCTION mongo_migrate.rows_there(name, text, text[]) IS
    'those of some ids that a row of a root of the collection has';

CREATE FUNCTION mongo_migrate.commit_durably()
    RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') = 'off'
$$;
COMMENT ON FUNCTION mongo_migrate.commit_durably() IS
    'has the commit of the transaction wait for the disk, whatever the role and the database say: what MongoDB is told, or a person, a crash must not take back';

CREATE FUNCTION mongo_migrate.assign_keys(map mongo_migrate.id_map, ids text[])
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    assigned bigint;
BEGIN
    EXECUTE format('INSERT INTO %s (key, id) SELECT mongo_migrate.bson_key(json_build_object(''$oid'', mongo_migrate.objectid_generate()::text)), i.id::%s '
                   'FROM unnest($1) AS i (id) ON CONFLICT DO NOTHING', map.relation, map.id_type)
      USING mongo_migrate.rows_there(map.server, map.collection, ids);
    GET DIAGNOSTICS assigned = ROW_COUNT;
    PERFORM mongo_migrate.commit_durably();
    RETURN assigned;
END
$$;
COMMENT ON FUNCTION mongo_migrate.assign_keys(mongo_migrate.id_map, text[]) IS
    'gives those of some rows that have no _id in the id map a new ObjectId there';

CREATE FUNCTION mongo_migrate.assign_documents(server name, collection text, most integer DEFAULT 1000)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    map constant mongo_migrate.id_map := mongo_migrate.id_map_of(server, collection);
    ids text[];
BEGIN
    IF map.id_type = 'source' THEN
        RETURN 0;
    END IF;
    EXECUTE format('SELECT ARRAY(SELECT DISTINCT c.id FROM (SELECT r.id FROM mongo_migrate.row_change AS r '
                   'WHERE (r.server, r.collection) = ($1, $2) AND r.due_at <= clock_timestamp() ORDER BY r.due_at LIMIT $3) AS c '
                   'WHERE c.id IS NOT NULL AND NOT EXISTS (SELECT FROM %s AS m WHERE m.id = c.id::%s))', map.relation, map.id_type)
       INTO ids USING server, collection, most;
    RETURN mongo_migrate.assign_keys(map, ids);
END
$$;
COMMENT ON FUNCTION mongo_migrate.assign_documents(name, text, integer) IS
    'gives those rows of a collection that are new, of so many notes, an _id each, in the id map; to be committed before they are written, so that a crash does not write two documents';

CREATE FUNCTION mongo_migrate.read_documents(server name, collection text, filter json, options json, max_bytes bigint)
    RETURNS TABLE (id json, document json, problem text)
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mm_read_documents';
COMMENT ON FUNCTION mongo_migrate.read_documents(name, text, json, json, bigint) IS
    'documents in canonical Extended JSON, as find_documents(), of which all comes back as it was: fields that only look like Extended JSON are written \u0024oid and the like; problem: why a document cannot be written so, which is NULL then';

CREATE FUNCTION mongo_migrate.send_writes(server name, collection text, kind text, present json[], wanted json[],
        OUT written bigint, OUT cluster_time bigint)
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mm_send_writes';
COMMENT ON FUNCTION mongo_migrate.send_writes(name, text, text, json[], json[]) IS
    'inserts, updates or deletes documents (kind) in as many commands as their size needs: present are there now, and wanted replace them; NULL: none; waits until a majority has them; returns how many the server has found, and the time of the cluster then';

-- The equalities of a filter, as fields.
CREATE FUNCTION mongo_migrate.set_filter(document json, filter jsonb)
    RETURNS json
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT mongo_migrate.set_fields($1, coalesce(array_agg(f.path), '{}'), coalesce(array_agg(f.value::json), '{}'))
      FROM (SELECT e.key AS path, CASE WHEN e.value ? '$eq' THEN e.value -> '$eq' ELSE e.value END AS value
              FROM jsonb_each(coalesce($2, '{}')) AS e
             WHERE e.key !~ '^[$]') AS f
     WHERE (SELECT bool_and(k !~ '^[$]' OR k IN ('$oid', '$numberInt', '$numberLong', '$numberDouble', '$numberDecimal', '$date', '$uuid', '$binary'))
              FROM jsonb_object_keys(CASE WHEN jsonb_typeof(f.value) = 'object' THEN f.value ELSE '{"": 0}' END) AS k)
       AND mongo_migrate.field_at($1, string_to_array(f.path, '.')) IS NULL
$$;
COMMENT ON FUNCTION mongo_migrate.set_filter(json, jsonb) IS
    'a new document with the values that the filter of its table wants, where it has none';

CREATE FUNCTION mongo_migrate.require_match(server name, collection text, target text, filter jsonb, documents json[], rows_there boolean)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    matching bigint := cardinality(documents);
BEGIN
    IF matching = 0 THEN
        RETURN;
    END IF;
    IF filter IS NOT NULL THEN
        -- $collStats yields one document, even of an empty collection.
        SELECT count(*) INTO matching
          FROM mongo_migrate.aggregate_documents(server, collection,
                   format('[{"$collStats": {}}, {"$limit": 1}, {"$project": {"_id": 0, "d": {"$literal": [%s]}}}, {"$unwind": "$d"}, {"$replaceRoot": {"newRoot": "$d"}}, {"$match": %s}, {"$project": {"_id": 1}}]',
                          array_to_string(documents, ', '), filter)::json);
    END IF;
    IF rows_there AND matching < cardinality(documents) THEN
        RAISE check_violation USING
            MESSAGE = format('the document would not match the filter of table %s', target),
            DETAIL = format('The filter is %s.', filter),
            HINT = 'A row whose document belongs to another table is to be moved there.';
    ELSIF NOT rows_there AND matching > 0 THEN
        RAISE check_violation USING
            MESSAGE = format('the document would have a row in table %s, and there is none', target),
            DETAIL = 'It has one in another table of the plan.',
            HINT = 'The rows of a document are to be inserted and deleted together.';
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.require_match(name, text, text, jsonb, json[], boolean) IS
    'an error unless all documents match the filter of their table (rows_there), or none does';

-- What documents of a collection are made by.
CREATE TYPE mongo_migrate.write_job AS (
    server      name,
    collection  text,
    roots       text[],
    filters     jsonb[],    -- of the roots
    statements  text[]      -- of the roots, from written_statement()
);
COMMENT ON TYPE mongo_migrate.write_job IS 'a collection whose documents are written back';

CREATE FUNCTION mongo_migrate.write_job(server name, collection text)
    RETURNS mongo_migrate.write_job
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ROW ($1, $2, array_agg(r.target ORDER BY r.n), array_agg(r.filter ORDER BY r.n),
                array_agg(mongo_migrate.written_statement($1, $2, r.target) ORDER BY r.n))::mongo_migrate.write_job
      FROM mongo_migrate.written_roots($1, $2) WITH ORDINALITY AS r (target, filter, key, key_type, n)
$$;
COMMENT ON FUNCTION mongo_migrate.write_job(name, text) IS
    'what documents of a collection are made by';

CREATE FUNCTION mongo_migrate.rebuild_documents(job mongo_migrate.write_job, ids text[], sources json[], INOUT documents json[])
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET row_security = off      -- as above
    SET extra_float_digits = 1
    SET enable_seqscan = off    -- a few documents look their rows up
    SET jit = off
AS $$
DECLARE
    new constant boolean[] := ARRAY(SELECT d.document IS NULL FROM unnest(documents) WITH ORDINALITY AS d (document, n) ORDER BY d.n);
    found boolean[] := array_fill(false, ARRAY[cardinality(ids)]);     -- which have a row
    has integer[] := '{}';      -- numbers of root and document
    bytes bigint := 0;
    part record;
BEGIN
    documents := ARRAY(SELECT coalesce(d.document, json_build_object('_id', s.source))
                         FROM unnest(documents) WITH ORDINALITY AS d (document, n)
                         JOIN unnest(sources) WITH ORDINALITY AS s (source, n) USING (n) ORDER BY n);
    FOR i IN 1 .. cardinality(job.roots) LOOP
        FOR part IN EXECUTE job.statements[i] USING ids, documents LOOP
            -- How large new ones are shows here only: fewer are tried then.
            bytes := bytes + octet_length(part.document::text);
            IF bytes > 3 * mongo_migrate.verify_batch_bytes() AND cardinality(ids) > 1 THEN
                RAISE program_limit_exceeded USING MESSAGE = 'the documents are too large to be made at once';
            END IF;
            IF mongo_migrate.field_at(part.document, '{_id}')::text <> mongo_migrate.field_at(documents[part.n], '{_id}')::text THEN
                RAISE check_violation USING
                    MESSAGE = format('columns of table %s say otherwise of the _id than the row''s id', job.roots[i]);
            END IF;
            documents[part.n] := CASE WHEN new[part.n] THEN mongo_migrate.set_filter(part.document, job.filters[i]) ELSE part.document END;
            found[part.n] := true;
            has := has || ((i - 1) * cardinality(ids) + part.n::integer);
        END LOOP;
    END LOOP;
    -- What a filter asks for may be a column of another table. With a row in one table the document goes on, and without one
    -- in another it should not have that.
    FOR i IN 1 .. cardinality(job.roots) LOOP
        PERFORM mongo_migrate.require_match(job.server, job.collection, job.roots[i], job.filters[i],
                    array_agg(documents[h.n]), h.rows_there)
           FROM (SELECT n, (i - 1) * cardinality(ids) + n = ANY (has) AS rows_there
                   FROM generate_series(1, cardinality(ids)) AS n WHERE found[n]) AS h
          GROUP BY h.rows_there ORDER BY h.rows_there DESC;
    END LOOP;
    FOR n IN 1 .. cardinality(ids) LOOP
        IF NOT found[n] THEN
            documents[n] := NULL;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.rebuild_documents(mongo_migrate.write_job, text[], json[], json[]) IS
    'what the rows with some ids make of their documents as they are (NULL: none); sources: the _id of each; NULL where there is no row; error 54000 where several together are large';

CREATE FUNCTION mongo_migrate.find_present(server name, collection text, filter json, projection json, max_bytes bigint)
    RETURNS TABLE (id json, document json, problem text)
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- Not what a member has that has not heard of the last writes.
    SELECT d.* FROM mongo_migrate.sync AS s CROSS JOIN LATERAL mongo_migrate.read_documents($1, $2, $3,
        json_build_object('projection', $4, 'readConcern', json_build_object('level', 'majority', 'afterClusterTime', mongo_migrate.cluster_time_to_json(s.cluster_time))), $5) AS d
     WHERE s.server = $1
$$;
COMMENT ON FUNCTION mongo_migrate.find_present(name, text, json, json, bigint) IS
    'documents of a collection as the last write has left them, whole (projection ''{}'') or in part';

CREATE FUNCTION mongo_migrate.write_documents(job mongo_migrate.write_job, ids text[], sources json[], documents json[],
        OUT written bigint, OUT deleted bigint, OUT refused text[], OUT reasons text[], OUT cluster_time bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    half constant integer := cardinality(ids) / 2;
    made json[];
    sending boolean := false;
    sent record;
    part record;
    detail text;
    hint text;
BEGIN
    written := 0; deleted := 0; refused := '{}'; reasons := '{}'; cluster_time := 0;
    IF ids IS NULL THEN
        RETURN;
    END IF;
    BEGIN
        made := mongo_migrate.rebuild_documents(job, ids, sources, documents);
        FOR part IN
            SELECT k.kind, array_agg(d.old) AS present, array_agg(d.new) AS wanted
              FROM unnest(documents, made) AS d (old, new)
             -- What is deleted may have a unique value that another is to have.
             CROSS JOIN (VALUES (1, 'delete'), (2, 'update'), (3, 'insert')) AS k (n, kind)
             WHERE k.kind = CASE WHEN d.old IS NULL AND d.new IS NOT NULL THEN 'insert'
                                 WHEN d.old IS NOT NULL AND d.new IS NULL THEN 'delete'
                                 WHEN d.new::text <> d.old::text THEN 'update' END
             GROUP BY k.n, k.kind ORDER BY k.n
        LOOP
            sending := true;
            sent := mongo_migrate.send_writes(job.server, job.collection, part.kind, part.present, part.wanted);
            cluster_time := greatest(cluster_time, sent.cluster_time);
            IF part.kind = 'delete' THEN
                deleted := cardinality(part.present);
            ELSIF sent.written < cardinality(part.wanted) THEN
                RAISE no_data_found USING
                    MESSAGE = format('a document of collection "%s" is not in the source any more', job.collection);
            ELSE
                written := written + cardinality(part.wanted);
            END IF;
        END LOOP;
        RETURN;
    EXCEPTION WHEN OTHERS OR assert_failure THEN
        -- An internal error is the data's in a load alone.
        IF NOT mongo_migrate.may_be_data(SQLSTATE) OR SQLSTATE = 'XX000' THEN
            RAISE;
        END IF;
        GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL, hint = PG_EXCEPTION_HINT;
        -- A part of it may have been written: that is what find_present() is to find.
        UPDATE mongo_migrate.sync AS y SET cluster_time = greatest(y.cluster_time, mongo_migrate.operation_time(job.server))
         WHERE y.server = job.server AND sending;
        IF half = 0 THEN
            refused := ids;
            reasons := ARRAY[concat_ws(E'\n', SQLERRM, nullif(detail, ''), nullif(hint, ''),
                CASE WHEN mongo_migrate.is_quarantined(job.server, job.collection, mongo_migrate.bson_key(sources[1])) THEN
                    'A document with this _id is in quarantine, and is not this row''s: give the row another id, or delete the entry of mongo_migrate.quarantine to have the row replace the document.' END)];
            RETURN;
        END IF;
    END;
    -- What was written is found to be there, and written no more.
    FOR part IN
        SELECT w.* FROM (VALUES (1, half), (half + 1, cardinality(ids))) AS h (low, high)
         CROSS JOIN LATERAL mongo_migrate.write_present(job, ids[h.low:h.high], sources[h.low:h.high]) AS w
    LOOP
        written := written + part.written;
        deleted := deleted + part.deleted;
        refused := refused || part.refused;
        reasons := reasons || part.reasons;
        cluster_time := greatest(cluster_time, part.cluster_time);
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.write_documents(mongo_migrate.write_job, text[], json[], json[]) IS
    'writes the documents of rows with some ids, whose _id are sources, and which are documents now (NULL: none); those that cannot be written are refused, with reasons, and the others are written';

CREATE FUNCTION mongo_migrate.write_present(job mongo_migrate.write_job, ids text[], sources json[],
        OUT written bigint, OUT deleted bigint, OUT refused text[], OUT reasons text[], OUT cluster_time bigint)
    RETURNS SETOF record
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    max_bytes constant integer := mongo_migrate.verify_batch_bytes();
    present record;
    part record;
    last boolean := false;
    -- Mostly none: then not each is asked for.
    some_quarantined constant boolean := EXISTS (SELECT FROM mongo_migrate.quarantine AS q
                                                  WHERE (q.server, q.collection) = (job.server, job.collection));
BEGIN
    WHILE NOT last LOOP
        SELECT array_agg(mongo_migrate.bson_key(f.id)) AS keys, array_agg(f.document) AS documents, array_agg(f.problem) AS problems INTO present
          FROM mongo_migrate.find_present(job.server, job.collection,
                   mongo_migrate.verify_filter('{}', (SELECT json_agg(s) FROM unnest(sources) AS s)), '{}', max_bytes) AS f
         -- A collation may take others for them.
         WHERE mongo_migrate.bson_key(f.id) IN (SELECT mongo_migrate.bson_key(s) FROM unnest(sources) AS s);
        last := present.keys IS NULL OR cardinality(present.keys) = cardinality(sources);
        -- Some that there are; at last all, and those that there are not. One in quarantine is no row's: as if it was not
        -- there, so that it is not changed or deleted, and the row's own cannot be inserted.
        SELECT array_agg(i.id ORDER BY i.n) FILTER (WHERE r.ready) AS ids,
               array_agg(i.source ORDER BY i.n) FILTER (WHERE r.ready) AS sources,
               array_agg(CASE WHEN NOT r.quarantined THEN f.document END ORDER BY i.n) FILTER (WHERE r.ready) AS documents,
               array_agg(i.id ORDER BY i.n) FILTER (WHERE f.key IS NULL) AS other_ids,
               array_agg(i.source ORDER BY i.n) FILTER (WHERE f.key IS NULL) AS other_sources,
               array_agg(i.id ORDER BY i.n) FILTER (WHERE f.problem IS NOT NULL) AS refused,
               array_agg(f.problem ORDER BY i.n) FILTER (WHERE f.problem IS NOT NULL) AS reasons INTO part
          FROM unnest(ids, sources) WITH ORDINALITY AS i (id, source, n)
          LEFT JOIN unnest(present.keys, present.documents, present.problems) AS f (key, document, problem)
            ON f.key = mongo_migrate.bson_key(i.source)
         CROSS JOIN LATERAL (SELECT f.document IS NOT NULL OR (f.key IS NULL AND last) AS ready,
                                    some_quarantined AND mongo_migrate.is_quarantined(job.server, job.collection, f.key) AS quarantined) AS r;
        ids := part.other_ids;
        sources := part.other_sources;
        RETURN QUERY SELECT 0::bigint, 0::bigint, part.refused, part.reasons, 0::bigint WHERE part.refused IS NOT NULL;
        RETURN QUERY SELECT w.* FROM mongo_migrate.write_documents(job, part.ids, part.sources, part.documents) AS w;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.write_present(mongo_migrate.write_job, text[], json[]) IS
    'reads the documents with some _id, which belong to rows with some ids, a few megabytes at a time, and writes them; result as of write_documents(), in parts';

CREATE FUNCTION mongo_migrate.written_candidates(id text, type text)
    RETURNS SETOF json
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c FROM mongo_migrate.verify_candidates($1) AS c WHERE $2 <> 'bytea'
     UNION ALL      -- The bytes say nothing of the subtype. Not 07, MongoDB's own for compressed columns: it takes no other bytes for that.
    SELECT json_build_object('$binary', json_build_object('base64', translate(encode($1::bytea, 'base64'), chr(10), ''), 'subType', s))
      FROM unnest('{00,01,02,03,04,05,06,08,09,80}'::text[]) AS s WHERE $2 = 'bytea'
     UNION ALL
    SELECT json_build_object('$oid', encode($1::bytea, 'hex')) WHERE $2 = 'bytea' AND length($1::bytea) = 12
$$;
COMMENT ON FUNCTION mongo_migrate.written_candidates(text, text) IS
    'values of _id that the id of a row, of a type, may stand for, where they are not the only one of the type';

CREATE FUNCTION mongo_migrate.written_id(server name, collection text, id text, type text, equals text, bson_types text[])
    RETURNS json
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    source json;
    same boolean;
BEGIN
    EXECUTE format('SELECT mongo_migrate.written_value(NULL, $1::%s, $2, ''relaxed'', false)', type) INTO source USING id, bson_types;
    EXECUTE format('SELECT $1::%1$s %2$s $2::%1$s', type, equals)
       INTO same USING mongo_migrate.target_id(server, collection, source), id;
    RETURN CASE WHEN same THEN source END;
EXCEPTION WHEN data_exception THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mongo_migrate.written_id(name, text, text, text, text, text[]) IS
    'the _id of a new document whose row has an id, where ids are those of documents; NULL: none would become that id';

CREATE FUNCTION mongo_migrate.source_ids(server name, collection text, ids text[])
    RETURNS json[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    map constant mongo_migrate.id_map := mongo_migrate.id_map_of(server, collection);
    types constant text[] := (mongo_migrate.written_types(server, collection, '_id')).types;
    type constant text := (SELECT min(r.key_type) FROM mongo_migrate.written_roots(server, collection) AS r);
    equals constant text := mongo_migrate.verify_equals(to_regtype(type));
    there json[];
    sources json[];
BEGIN
    IF map.id_type <> 'source' THEN
        EXECUTE format('SELECT ARRAY(SELECT (SELECT mongo_migrate.key_to_json(m.key) FROM %s AS m WHERE m.id = i.id::%s) '
                       'FROM unnest($1) WITH ORDINALITY AS i (id, n) ORDER BY i.n)', map.relation, map.id_type) INTO sources USING ids;
        RETURN sources;
    END IF;
    -- Of those that a column's value may stand for the one that is there; a new one is of the type that they had.
    there := ARRAY(SELECT f.id FROM mongo_migrate.find_present(server, collection,
        mongo_migrate.verify_filter('{}', (SELECT json_agg(c) FROM unnest(ids) AS i, mongo_migrate.written_candidates(i, type) AS c)), '{"_id": 1}', 0) AS f
         WHERE f.id IS NOT NULL);
    SELECT array_agg(coalesce(f.source, mongo_migrate.written_id(server, collection, i.id, type, equals, types)) ORDER BY i.n) INTO sources
      FROM unnest(ids) WITH ORDINALITY AS i (id, n)
      LEFT JOIN (SELECT DISTINCT ON (d.id) d.id, d.source
                   FROM unnest(mongo_migrate.target_ids(server, collection, ARRAY(
                                   SELECT mongo_migrate.bson_from_json(json_build_object('_id', t.source))
                                     FROM unnest(there) WITH ORDINALITY AS t (source, n) ORDER BY t.n)), there) AS d (id, source)) AS f ON f.id = i.id;
    RETURN sources;
END
$$;
COMMENT ON FUNCTION mongo_migrate.source_ids(name, text, text[]) IS
    'the _id, in canonical Extended JSON, of the documents whose rows have some ids; NULL: not known, or where ids are those of documents, none';

CREATE FUNCTION mongo_migrate.write_changes(server name, collection text, most integer DEFAULT 1000)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '10s'
AS $$
#variable_conflict use_variable
DECLARE
    taken bigint;
    changes mongo_migrate.row_change[];     -- one for each document
    ids text[];
    sources json[];
    there text[];
    part record;
    written bigint := 0;
    refused text[];
    reasons text[];
    cluster_time bigint := 0;
BEGIN
    WITH due AS (
        DELETE FROM mongo_migrate.row_change AS c
         WHERE c.ctid = ANY (ARRAY(
                   SELECT d.ctid FROM mongo_migrate.row_change AS d
                    WHERE (d.server, d.collection) = (server, collection) AND d.due_at <= clock_timestamp()
                    ORDER BY d.due_at LIMIT most
                      FOR UPDATE))
        RETURNING c.*)
    SELECT count(*), array_agg(ROW (server, collection, d.id, d.changed_at, d.due_at, d.attempts, d.reason)::mongo_migrate.row_change)
               FILTER (WHERE d.n = 1)
      INTO taken, changes
      FROM (SELECT due.id, due.changed_at, due.due_at, due.reason, min(due.attempts) OVER (PARTITION BY due.id) AS attempts,
                   row_number() OVER (PARTITION BY due.id ORDER BY due.changed_at) AS n FROM due) AS d;
    IF taken = 0 THEN
        RETURN 0;
    END IF;
    PERFORM mongo_migrate.require_written(server, collection);
    DELETE FROM mongo_migrate.row_change AS c
     WHERE (c.server, c.collection) = (server, collection) AND c.attempts > 0 AND c.id IN (SELECT h.id FROM unnest(changes) AS h);

    ids := ARRAY(SELECT h.id FROM unnest(changes) AS h WHERE h.id IS NOT NULL);
    sources := mongo_migrate.source_ids(server, collection, ids);
    -- New ones of which assign_documents() has not heard; rows that came and went are nothing.
    there := mongo_migrate.rows_there(server, collection,
                 ARRAY(SELECT i.id FROM unnest(ids, sources) AS i (id, source) WHERE i.source IS NULL));
    FOR part IN
        SELECT w.* FROM (SELECT array_agg(i.id) AS ids, array_agg(i.source) AS sources FROM unnest(ids, sources) AS i (id, source)
                          WHERE i.source IS NOT NULL HAVING count(*) > 0) AS k
         CROSS JOIN LATERAL mongo_migrate.write_present(mongo_migrate.write_job(server, collection), k.ids, k.sources) AS w
    LOOP
        written := written + part.written + part.deleted;
        refused := refused || part.refused;
        reasons := reasons || part.reasons;
        cluster_time := greatest(cluster_time, part.cluster_time);
    END LOOP;

    INSERT INTO mongo_migrate.row_change AS n (server, collection, id, changed_at, due_at, attempts, reason)
    SELECT h.server, h.collection, h.id, h.changed_at,
           clock_timestamp() + CASE WHEN p.reason IS NULL THEN interval '0' ELSE mongo_migrate.retry_delay(h.attempts) END,
           h.attempts + CASE WHEN p.reason IS NULL THEN 0 ELSE 1 END, p.reason
      FROM (SELECT r.id, r.reason FROM unnest(refused, reasons) AS r (id, reason)
             UNION ALL SELECT t.id, CASE WHEN (mongo_migrate.id_map_of(server, collection)).id_type = 'source' THEN
                                        'the id of the row cannot be the _id of a document: it is none of the type that the plan has, or BSON has not all of it, such as microseconds' END
                         FROM unnest(there) AS t (id)
             UNION ALL SELECT NULL, 'a table of the collection has no longer the column with the id of the document''s row') AS p
      JOIN unnest(changes) AS h ON h.id IS NOT DISTINCT FROM p.id;
    UPDATE mongo_migrate.sync AS y
       SET written = y.written + written, cluster_time = greatest(y.cluster_time, cluster_time)
     WHERE y.server = server AND written > 0;
    RETURN taken;
END
$$;
COMMENT ON FUNCTION mongo_migrate.write_changes(name, text, integer) IS
    'writes the documents of a collection whose rows have changed, by so many notes of mongo_migrate.row_change at most; returns their number. A document that cannot be written stays there, with the reason, and is tried again ever more seldom';

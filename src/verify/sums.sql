-- sums.sql: sums of numeric columns, which also tell of rows that a
-- comparison by id cannot see, such as one that is there twice.
--
-- MongoDB's own sums of doubles are not exact, nor is its way from double to
-- decimal (15 digits): the documents are summed here, as they pass by.

-- The numeric columns of some targets, in one order, with the SQL for a value
-- over e.content (the row's document): as it is, and the nearest that the column's type has.
CREATE FUNCTION mongo_migrate.verify_sum_columns(server name, collection text, targets text[])
    RETURNS TABLE (n bigint, target text, column_name name, exact text, nearest text)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT row_number() OVER (ORDER BY t.n, c.number), t.target, c.column_name, v.exact,
           CASE WHEN b.type IN ('float4'::regtype, 'float8'::regtype)
                THEN format('(%s)::text::numeric', (mongo_migrate.verify_fragments(b.type, -1, v.value, 'NULL', 'relaxed')).typed)
                WHEN b.type = 'numeric'::regtype AND b.typmod >= 0
                THEN format('round(%s, %s)', v.exact, mongo_migrate.verify_scale(b.typmod))
                ELSE v.exact END
    FROM unnest(targets) WITH ORDINALITY AS t(target, n),
         mongo_migrate.verify_columns(server, collection, t.target) AS c,
         mongo_migrate.verify_base_type(c.type, c.typmod) AS b,
         LATERAL (SELECT w.value, mongo_migrate.verify_number_in(b.type, w.value) AS exact
                  FROM (SELECT format('(e.content #> %L)', mongo_migrate.verify_steps(c.path)) AS value) AS w) AS v
    WHERE c.role = 'value' AND c.path <> '$key' AND c.expression IS NULL
        AND b.type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype, 'float4'::regtype, 'float8'::regtype)
    ORDER BY 1
$$;
COMMENT ON FUNCTION mongo_migrate.verify_sum_columns(name, text, text[]) IS
    'the numeric columns of targets whose sums a full verification compares, with SQL for their values';

-- SQL over expected AS e for the sums of a target: two a column, in the order of verify_sum_columns().
CREATE FUNCTION mongo_migrate.verify_summing(server name, collection text, target text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    RETURN (SELECT format('ARRAY[%s]', string_agg(format('coalesce(sum(%s), 0), coalesce(sum(%s), 0)', c.exact, c.nearest), ', ' ORDER BY c.n))
            FROM mongo_migrate.verify_sum_columns(server, collection, ARRAY[target]) AS c HAVING count(*) > 0);
COMMENT ON FUNCTION mongo_migrate.verify_summing(name, text, text) IS
    'SQL that sums the numeric columns of the rows that a target should have, expected AS e of a verification, as numeric[]; NULL for no such column';

-- A batch of documents against a target in one statement, since to read them is most of the work: the differences
-- become findings ($4: verification, $5: collection), and it returns the number of rows that should be, and their sums.
CREATE FUNCTION mongo_migrate.verify_batch_statement(server name, collection text, target text, sums boolean) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    RETURN (SELECT format('%s, finding AS (INSERT INTO mongo_migrate.finding (verification_id, collection, source_id, target, column_name, kind, '
                          'source_value, target_value, element, source_key) SELECT $4, $5, f.* FROM (%s) AS f) '
                          'SELECT count(*), %s::numeric[] FROM expected AS e WHERE e.present',
                          h.start, h.differences, coalesce(CASE WHEN sums THEN mongo_migrate.verify_summing(server, collection, target) END, 'NULL'))
            FROM mongo_migrate.verify_halves(server, collection, target, false) AS h);
COMMENT ON FUNCTION mongo_migrate.verify_batch_statement(name, text, text, boolean) IS
    'the statement that holds a batch of documents ($1 to $3 as of verify_statement()) against a table, records findings ($4 verification, $5 collection) and returns how many rows should be there, and their sums';

-- The sums of one document that cannot be compared; what cannot be summed either is nothing.
CREATE FUNCTION mongo_migrate.verify_sum_alone(job mongo_migrate.verify_job, target text, keys bytea[], documents json[], ids json[]) RETURNS numeric[]
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sums    numeric[];
BEGIN
    EXECUTE format('%s SELECT %s FROM (SELECT mongo_migrate.verify_jsonb(l.document) AS content FROM level%s AS l WHERE l.present OFFSET 0) AS e',
                   mongo_migrate.verify_levels(job.server, job.collection, target),
                   mongo_migrate.verify_summing(job.server, job.collection, target),
                   (SELECT max(c.depth) FROM mongo_migrate.target_chain(job.server, job.collection, target) AS c))
        INTO sums USING keys, documents, ids;
    RETURN sums;
EXCEPTION WHEN OTHERS OR assert_failure THEN
    IF NOT mongo_migrate.may_be_data(SQLSTATE) THEN
        RAISE;
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_sum_alone(mongo_migrate.verify_job, text, bytea[], json[], json[]) IS
    'the sums of a document that could not be compared';

-- The sums of two batches in one.
CREATE FUNCTION mongo_migrate.verify_add(a numeric[], b numeric[]) RETURNS numeric[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN a IS NULL THEN b WHEN b IS NULL THEN a
        ELSE ARRAY(SELECT x + y FROM ROWS FROM (pg_catalog.unnest(a), pg_catalog.unnest(b)) WITH ORDINALITY AS u(x, y, n) ORDER BY n)
        END;
COMMENT ON FUNCTION mongo_migrate.verify_add(numeric[], numeric[]) IS
    'adds the numbers of two arrays, one by one; NULL is nothing';

-- Compares the sums over all documents with those of the tables.
CREATE FUNCTION mongo_migrate.verify_sums(job mongo_migrate.verify_job, sums numeric[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    col     record;
    stored  numeric;
BEGIN
    FOR col IN SELECT * FROM mongo_migrate.verify_sum_columns(job.server, job.collection, job.targets) LOOP
        EXECUTE format('SELECT coalesce(sum(%I::text::numeric), 0) FROM %s', col.column_name, col.target) INTO stored;
        INSERT INTO mongo_migrate.finding (verification_id, collection, target, column_name, kind, source_value, target_value)
        SELECT job.verification, job.collection, col.target, col.column_name,
               CASE WHEN stored = coalesce(sums[2 * col.n], 0) THEN 'rounded' ELSE 'mismatch' END,
               'sum ' || coalesce(sums[2 * col.n - 1], 0), 'sum ' || stored
        WHERE stored <> coalesce(sums[2 * col.n - 1], 0);
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_sums(mongo_migrate.verify_job, numeric[]) IS
    'compares sums over documents, as of verify_summing(), with those of the tables';

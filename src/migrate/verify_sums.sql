-- verify_sums.sql: sums of numeric columns, which also tell of rows that a
-- comparison by id cannot see, such as one that is there twice.
--
-- MongoDB's own sums of doubles are not exact, nor is its way from double to
-- decimal (15 digits): the documents are summed here, as they pass by.

-- The numeric columns of some targets, in one order, with the SQL for a value
-- over content (the row's document): as it is, and the nearest that the column's type has.
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
         LATERAL (SELECT w.value, format('mongo_migrate.verify_number(%s)', w.value) AS exact
                  FROM (SELECT format('(l.content #> %L)', mongo_migrate.verify_steps(c.path)) AS value) AS w) AS v
    WHERE c.role = 'value' AND c.path <> '$key' AND c.expression IS NULL
        AND b.type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype, 'float4'::regtype, 'float8'::regtype)
    ORDER BY 1
$$;
COMMENT ON FUNCTION mongo_migrate.verify_sum_columns(name, text, text[]) IS
    'the numeric columns of targets whose sums a full verification compares, with SQL for their values';

-- The statement that sums a batch: two sums a column, in the order of verify_sum_columns().
CREATE FUNCTION mongo_migrate.verify_sum_statement(server name, collection text, targets text[]) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'SELECT ' || string_agg(format(
        '(%s SELECT ARRAY[%s] FROM (SELECT l.document::jsonb AS content FROM level%s AS l WHERE l.present OFFSET 0) AS l)',
        mongo_migrate.verify_levels(server, collection, t.target), t.sums,
        (SELECT max(c.depth) FROM mongo_migrate.verify_chain(server, collection, t.target) AS c)),
        ' || ' ORDER BY t.n)
    FROM (SELECT c.target, min(c.n) AS n,
                 string_agg(format('coalesce(sum(%s), 0), coalesce(sum(%s), 0)', c.exact, c.nearest), ', ' ORDER BY c.n) AS sums
          FROM mongo_migrate.verify_sum_columns(server, collection, targets) AS c GROUP BY c.target) AS t
$$;
COMMENT ON FUNCTION mongo_migrate.verify_sum_statement(name, text, text[]) IS
    'the statement that sums the numeric columns of a batch ($1 keys bytea[], $2 documents json[]) as numeric[]; NULL for no such column';

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
    SET extra_float_digits = 1
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
    'compares sums over documents, as of verify_sum_statement(), with those of the tables';
REVOKE ALL ON FUNCTION mongo_migrate.verify_sums(mongo_migrate.verify_job, numeric[]) FROM PUBLIC;

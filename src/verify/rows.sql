-- rows.sql: rows held against the source: each must have its document.

-- What may stand in _id for an id as a person or a column writes it.
CREATE FUNCTION mongo_migrate.verify_candidates(id text) RETURNS SETOF json
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    kind text;
    value json;
BEGIN
    RETURN NEXT to_json(id);
    IF id ~ '^[0-9a-fA-F]{24}$' THEN
        RETURN NEXT json_build_object('$oid', lower(id));
    END IF;
    IF id ~ '^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$' OR id IN ('NaN', 'Infinity', '-Infinity') THEN
        -- Not each is both, or either: some ObjectIds look like a number with an exponent.
        FOREACH kind IN ARRAY '{$numberDecimal,$numberDouble}'::text[] LOOP
            BEGIN
                RETURN NEXT mongo_migrate.field_at(json_build_object('v', json_build_object(kind, id)), '{v}');
            EXCEPTION WHEN data_exception THEN
                NULL;
            END;
        END LOOP;
    ELSIF id ~ '^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$' THEN
        RETURN QUERY SELECT json_build_object('$binary', json_build_object('subType', subtype,
                'base64', encode(decode(replace(id, '-', ''), 'hex'), 'base64')))
            FROM unnest(ARRAY['03', '04']) AS subtype;
    ELSIF id ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{3})?Z$' THEN
        RETURN NEXT mongo_migrate.date_to_json(id::timestamptz);
    ELSIF id IN ('true', 'false', 'null') OR id ~ '^[{"]' THEN
        value := mongo_migrate.field_at(json_build_object('v', id::json), '{v}');
        PERFORM mongo_migrate.bson_key(value);      -- which libbson can read, too
        -- MongoDB would take these for operators or patterns; no _id is one.
        IF value::text !~ '^[{]"(\\u0024|[$](?!(oid|number(Int|Long|Double|Decimal)|date|binary|symbol|code|timestamp|minKey|maxKey|dbPointer)"|ref":"([^"\\]|\\.)*","[$]id"))' THEN
            RETURN NEXT value;
        END IF;
    END IF;
EXCEPTION WHEN data_exception OR feature_not_supported THEN
    RETURN;     -- looks like Extended JSON or a date, and is none
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_candidates(text) IS
    'values of _id that an id written as text may mean: the text, an ObjectId, a number, a UUID, a date, Extended JSON';

-- A root that is left out has no rows, and nothing tells to which document those of its children belong but the documents.
CREATE FUNCTION mongo_migrate.verify_has_root(job mongo_migrate.verify_job) RETURNS boolean
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF job.root = ANY (job.targets) THEN
        RETURN true;
    END IF;
    RAISE NOTICE 'rows of % without a document are not looked for: table % is left out of the plan', array_to_string(job.targets, ', '), job.root;
    RETURN false;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_has_root(mongo_migrate.verify_job) IS
    'whether a job''s root is loaded, with a NOTICE where it is not';

-- The statement that takes $1 text[], ids of rows, and yields a row for each
-- one that no document of the source stands behind.  NULL where documents
-- cannot be found by the rows' ids.
CREATE FUNCTION mongo_migrate.verify_rows_statement(job mongo_migrate.verify_job) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    root    record;
    ident   record;
    rows_   text;
    ids     text;
    found_  text;
    source_id text;
    source_key text;
BEGIN
    SELECT * INTO root FROM mongo_migrate.verify_root(job.server, job.collection, job.root);
    root.key_type := (mongo_migrate.verify_base_type(root.key_type, -1)).type;
    SELECT * INTO ident
    FROM mongo_migrate.verify_id(job.server, job.collection, root.key_type,
        '((mongo_migrate.without_nul(d.document) -> ''_id'')::jsonb)');
    IF root.expression IS NOT NULL THEN
        RETURN NULL;
    ELSIF ident.map IS NOT NULL THEN
        rows_ := format('SELECT i.id, m.key FROM unnest($1) AS i(id) LEFT JOIN %s AS m ON m.id = i.id::%s',
                        ident.map, ident.map_type);
        ids := 'SELECT json_agg(mongo_migrate.key_to_json(r.key)) FROM rows AS r WHERE r.key IS NOT NULL';
        found_ := 'mongo_migrate.verify_document_key(d.document)';
        source_id := 'mongo_migrate.verify_source_id(mongo_migrate.key_to_json(r.key))';
        source_key := 'r.key';
    ELSIF root.key_type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype, 'float8'::regtype,
            'text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'uuid'::regtype, 'bool'::regtype, 'mongo_migrate.objectid'::regtype) THEN
        rows_ := format('SELECT i.id, i.id::%s AS key FROM unnest($1) AS i(id)', format_type(root.key_type, -1));
        ids := 'SELECT json_agg(c) FROM rows AS r, mongo_migrate.verify_candidates(r.id) AS c';
        found_ := ident.id;
        source_id := 'r.id';
        source_key := 'NULL::bytea';
    ELSIF root.key_type IN ('timestamptz'::regtype, 'timestamp'::regtype) THEN
        rows_ := format('SELECT i.id, i.key, CASE WHEN date_trunc(''milliseconds'', i.key) = i.key THEN mongo_migrate.date_to_json(i.key%s) END AS source_id '
                        'FROM (SELECT u.id, u.id::%s AS key FROM unnest($1) AS u(id)) AS i',
                        CASE root.key_type WHEN 'timestamp'::regtype THEN ' AT TIME ZONE ''UTC''' END, format_type(root.key_type, -1));
        ids := 'SELECT json_agg(r.source_id) FROM rows AS r WHERE r.source_id IS NOT NULL';
        found_ := ident.id;
        source_id := 'mongo_migrate.verify_source_id(r.source_id)';
        source_key := 'mongo_migrate.bson_key(r.source_id)';
    ELSE
        RETURN NULL;
    END IF;

    RETURN format(
        'WITH rows AS MATERIALIZED (%s), found AS MATERIALIZED (SELECT %s AS key '
        'FROM mongo_migrate.find_documents(%L, %L, mongo_migrate.verify_filter(%L, (%s)), '
        '''{"projection": {"_id": 1}}'', ''canonical'') AS d(document)) '
        'SELECT %s AS source_id, %L AS target, NULL AS column_name, ''extra'' AS kind, NULL AS source_value, '
        'left(to_json(t.*)::text, 1000) AS target_value, NULL AS element, %s AS source_key '
        'FROM rows AS r JOIN %s AS t ON t.%I %s r.id::%s '
        'WHERE NOT EXISTS (SELECT FROM found AS f WHERE f.key %s r.key)',
        rows_, found_, job.server, job.collection, job.filter, ids, source_id, job.root, source_key,
        job.root, root.key, mongo_migrate.verify_equals(root.key_type), format_type(root.key_type, -1),
        mongo_migrate.verify_equals(CASE WHEN ident.map IS NULL THEN root.key_type ELSE 'bytea'::regtype END));
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_rows_statement(mongo_migrate.verify_job) IS
    'the statement that looks for rows ($1 text[], their ids) without document; NULL where documents cannot be found by id';

-- A query for ids of rows; sample_size 0: of every row.  Of a big table random
-- pages are read, more than enough, and rows drawn from those.
CREATE FUNCTION mongo_migrate.verify_rows_query(target text, key name, sample_size bigint) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('SELECT t.%I::text FROM %s AS t', key, target)
           || CASE WHEN sample_size > 0 THEN
                  CASE WHEN c.relkind IN ('r', 'm') AND c.relpages > 4 * sample_size
                       THEN format(' TABLESAMPLE SYSTEM (%s)', 200.0 * sample_size / c.relpages) ELSE '' END
                  || format(' ORDER BY random() LIMIT %s', sample_size)
              ELSE '' END
    FROM pg_class AS c WHERE c.oid = to_regclass(target)
$$;
COMMENT ON FUNCTION mongo_migrate.verify_rows_query(text, name, bigint) IS
    'a query for the ids, as text, of random rows of a table, or with sample size 0 of every row';

-- Holds some rows, by their ids, against the source.
CREATE FUNCTION mongo_migrate.verify_these_rows(job mongo_migrate.verify_job, statement text, ids text[]) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET enable_seqscan = off    -- as in verify_target()
    SET random_page_cost = 0.1
    SET cpu_tuple_cost = 0.1
    SET work_mem = '64MB'
AS $$
DECLARE
    lost    timestamptz;    -- since when there is no connection
    detail  text;
BEGIN
    LOOP BEGIN
        EXECUTE statement USING ids, job.verification, job.collection;
        RETURN;
    EXCEPTION WHEN connection_exception THEN
        lost := coalesce(lost, clock_timestamp());
        GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
        IF NOT mongo_migrate.verify_wait(job, lost, SQLERRM, detail) THEN
            RAISE;
        END IF;
    END; END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_these_rows(mongo_migrate.verify_job, text, text[]) IS
    'runs the statement of verify_rows() for the rows of these ids';

-- Looks for rows without document: sample_size of them, 0 for all.
CREATE FUNCTION mongo_migrate.verify_rows(job mongo_migrate.verify_job, sample_size bigint) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    statement   text := mongo_migrate.verify_rows_statement(job);
    key         name := (SELECT r.key FROM mongo_migrate.verify_root(job.server, job.collection, job.root) AS r);
    ids         text[] := '{}';
    id          text;
BEGIN
    IF statement IS NULL THEN
        RAISE NOTICE 'rows of % without a document are not looked for: their ids do not lead back to _id', job.root;
        RETURN;
    END IF;
    statement := 'INSERT INTO mongo_migrate.finding (verification_id, collection, source_id, target, column_name, kind, '
        'source_value, target_value, element, source_key) SELECT $2, $3, f.* FROM (' || statement || ') AS f';
    FOR id IN EXECUTE mongo_migrate.verify_rows_query(job.root, key, sample_size) LOOP
        ids := ids || id;
        IF cardinality(ids) = 5000 THEN
            PERFORM mongo_migrate.verify_these_rows(job, statement, ids);
            ids := '{}';
        END IF;
    END LOOP;
    PERFORM mongo_migrate.verify_these_rows(job, statement, ids);
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_rows(mongo_migrate.verify_job, bigint) IS
    'looks for rows of a job''s root that have no document in the source';

-- Whether every _id is an ObjectId: values of a type stand together in their order.
CREATE FUNCTION mongo_migrate.verify_all_objectids(server name, collection text) RETURNS boolean
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT bool_and(mongo_migrate.without_nul(d.document)::jsonb -> '_id' ? '$oid')
    FROM (VALUES (1), (-1)) AS w (way), LATERAL mongo_migrate.find_documents($1, $2, '{}', json_build_object(
        'sort', json_build_object('_id', w.way), 'limit', 1, 'projection', '{"_id": 1}'::json), 'canonical') AS d (document)
$$;
COMMENT ON FUNCTION mongo_migrate.verify_all_objectids(name, text) IS
    'whether the first and the last _id of a collection are ObjectIds, and so all of them; NULL where there is none';

-- Whether the documents read account for every row of the root's table: as many rows as documents that have one,
-- each found by the id of one document.  Then none is without.
CREATE FUNCTION mongo_migrate.verify_accounts(job mongo_migrate.verify_job, tally mongo_migrate.verify_tally) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    missing constant bigint := (SELECT count(*) FROM mongo_migrate.finding AS f WHERE f.verification_id = job.verification
                                AND (f.collection, f.target, f.kind) = (job.collection, job.root, 'missing'));
    root    record;
    rows_   bigint;
BEGIN
    SELECT * INTO root FROM mongo_migrate.verify_root(job.server, job.collection, job.root);
    root.key_type := (mongo_migrate.verify_base_type(root.key_type, -1)).type;
    -- Where an id can be that of several documents, by an expression or by its type, numbers tell nothing.
    IF root.loaded AND root.expression IS NULL AND (
            root.key_type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'timestamptz'::regtype, 'timestamp'::regtype)
            OR (root.key_type = 'mongo_migrate.objectid'::regtype AND mongo_migrate.verify_all_objectids(job.server, job.collection))
            OR (mongo_migrate.verify_id(job.server, job.collection, root.key_type, 'NULL')).map IS NOT NULL) THEN
        EXECUTE format('SELECT count(*) FROM %s', job.root) INTO rows_;
    END IF;
    RETURN coalesce(rows_ = coalesce(tally.present, 0) - missing, false);
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_accounts(mongo_migrate.verify_job, mongo_migrate.verify_tally) IS
    'whether each row of a job''s root belongs to one of the documents that were compared, by their numbers';

-- Looks for child rows whose root row is gone, which no document leads to, and for root rows without an id.
CREATE FUNCTION mongo_migrate.verify_unowned_rows(job mongo_migrate.verify_job) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    root    record;
    child   record;
BEGIN
    SELECT * INTO root FROM mongo_migrate.verify_root(job.server, job.collection, job.root);
    FOR child IN
        SELECT t.target, c.column_name,
               -- Where they are distributed by another column than the key, Citus compares that, too.
               (SELECT coalesce(string_agg(format(' AND r.%I %s t.%I', k.root_column, mongo_migrate.verify_equals(o.type), o.column_name), ''), '')
                FROM mongo_migrate.verify_carried(job.server, job.collection, t.target) AS k
                     JOIN mongo_migrate.verify_columns(job.server, job.collection, t.target) AS o USING (number)) AS carried
        FROM unnest(job.targets) AS t(target),
             mongo_migrate.verify_columns(job.server, job.collection, t.target) AS c
        WHERE t.target <> job.root AND c.source = 'id'
    LOOP
        EXECUTE format(
            'INSERT INTO mongo_migrate.finding (verification_id, collection, target, kind, target_value) '
            'SELECT $1, $2, %L, ''extra'', left(to_json(t.*)::text, 1000) FROM %s AS t '
            'WHERE NOT EXISTS (SELECT 1 FROM %s AS r WHERE r.%I %s t.%I%s)',
            child.target, child.target, root.root, root.key, mongo_migrate.verify_equals(root.key_type), child.column_name,
            child.carried)
            USING job.verification, job.collection;
    END LOOP;
    -- Nor is there a document for a row without an id, which a table that existed may have.
    IF EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = to_regclass(root.root) AND a.attname = root.key AND NOT a.attnotnull) THEN
        EXECUTE format(
            'INSERT INTO mongo_migrate.finding (verification_id, collection, target, kind, target_value) '
            'SELECT $1, $2, %1$L, ''extra'', left(to_json(t.*)::text, 1000) FROM %1$s AS t WHERE t.%2$I IS NULL', root.root, root.key)
            USING job.verification, job.collection;
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_unowned_rows(mongo_migrate.verify_job) IS
    'looks for child rows of a job that have no row in the root''s table, and for rows there without an id';

-- Compares what rows repeat of a parent that is no root; what they repeat of the root, or of a key, is compared with the documents.
CREATE FUNCTION mongo_migrate.verify_repeated(job mongo_migrate.verify_job) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    repeated record;
BEGIN
    FOR repeated IN
        SELECT t.target, p.target AS parent, c.column_name, o.parent_column,
               (SELECT string_agg(format('p.%I %s t.%I', l.parent_column, mongo_migrate.verify_equals(k.type), k.column_name), ' AND ')
                FROM mongo_migrate.verify_columns(t.server, t.collection, t.target) AS k
                     JOIN mongo_migrate.plan_column AS l ON (l.server, l.collection, l.target, l.column_name) = (t.server, t.collection, t.target, k.column_name)
                WHERE k.role = 'parent' AND k.source IS NOT NULL) AS pairs
        FROM mongo_migrate.plan_target AS t
             JOIN mongo_migrate.plan_target AS p ON (p.server, p.collection, p.target) = (t.server, t.collection, t.parent)
             CROSS JOIN LATERAL mongo_migrate.verify_columns(t.server, t.collection, t.target) AS c
             JOIN mongo_migrate.plan_column AS o ON (o.server, o.collection, o.target, o.column_name) = (t.server, t.collection, t.target, c.column_name)
        WHERE (t.server, t.collection) = (job.server, job.collection) AND t.target = ANY (job.targets) AND p.target <> job.root AND p.included
            AND c.role = 'parent' AND c.source IS NULL
            AND c.number NOT IN (SELECT k.number FROM mongo_migrate.verify_carried(t.server, t.collection, t.target) AS k)
    LOOP
        EXECUTE format(
            'INSERT INTO mongo_migrate.finding (verification_id, collection, target, column_name, kind, source_value, target_value) '
            'SELECT $1, $2, %1$L, %2$L, ''mismatch'', left(p.%3$I::text, 1000), left(t.%2$I::text, 1000) FROM %1$s AS t JOIN %4$s AS p ON %5$s '
            'WHERE t.%2$I::text COLLATE "C" IS DISTINCT FROM p.%3$I::text',
            repeated.target, repeated.column_name, repeated.parent_column, repeated.parent, repeated.pairs)
            USING job.verification, job.collection;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_repeated(mongo_migrate.verify_job) IS
    'compares columns of a job''s child tables with those that they repeat of a parent that is a child table itself';

-- Looks for rows that are there more than once.  No comparison by key sees them, nor do sums where there is nothing to sum.
CREATE FUNCTION mongo_migrate.verify_doubled(job mongo_migrate.verify_job) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    doubled record;
BEGIN
    FOR doubled IN
        SELECT t.target, k.columns, k.shown
        FROM unnest(job.targets) AS t(target),
             LATERAL (SELECT array_agg(c.column_name) AS columns, string_agg(format('%L, t.%I', c.column_name, c.column_name), ', ') AS shown
                      FROM mongo_migrate.verify_columns(job.server, job.collection, t.target) AS c WHERE c.source IS NOT NULL) AS k
        -- Without a column for each position, verify_as_bags() counts them.
        WHERE cardinality(k.columns) > (SELECT max(c.depth) FROM mongo_migrate.target_chain(job.server, job.collection, t.target) AS c)
          AND NOT mongo_migrate.has_unique(to_regclass(t.target), k.columns)
    LOOP
        EXECUTE format(
            'INSERT INTO mongo_migrate.finding (verification_id, collection, target, kind, target_value) '
            'SELECT $1, $2, %1$L, ''extra'', left(json_build_object(%2$s)::text, 950) || '' is there '' || count(*) || '' times'' '
            'FROM %1$s AS t WHERE (%3$s) IS NOT NULL GROUP BY %3$s HAVING count(*) > 1',
            doubled.target, doubled.shown, mongo_migrate.column_list(doubled.columns))
            USING job.verification, job.collection;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_doubled(mongo_migrate.verify_job) IS
    'looks for rows of a job that have the key of another one, in tables where no unique index rules that out';

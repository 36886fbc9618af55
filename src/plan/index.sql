-- index.sql: indexes of a plan, proposed from those of the source.
--
-- A unique index on one field is its column's is_unique, and references are
-- indexed as such; what else a collection has is a row in plan_index.  Keys are
-- paths, as MongoDB has them: they follow columns whose names a person changes.

CREATE FUNCTION mongo_migrate.index_columns(i mongo_migrate.plan_index) RETURNS name[]
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT ARRAY(SELECT (SELECT c.column_name FROM mongo_migrate.plan_column AS c
                         WHERE (c.server, c.collection, c.target, c.path) = (i.server, i.collection, i.target, k.key)
                           AND c.included AND c.role <> 'extra' AND CASE WHEN i.is_unique THEN c.expression IS NULL ELSE true END
                         ORDER BY c.role <> 'value', c.ordinal LIMIT 1)
                 FROM json_each_text(i.keys) WITH ORDINALITY AS k (key, value, place) ORDER BY k.place)
$$;
COMMENT ON FUNCTION mongo_migrate.index_columns(mongo_migrate.plan_index) IS
    'the columns of the keys of a planned index, in their order; NULL for a key that no column is for';

CREATE FUNCTION mongo_migrate.index_condition(i mongo_migrate.plan_index, filter jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    operators constant jsonb := '{"$eq": "=", "$gt": ">", "$gte": ">=", "$lt": "<", "$lte": "<="}';
    conditions text[] := '{}';
    field record;
    test record;
    c mongo_migrate.plan_column;
    part jsonb;
BEGIN
    IF jsonb_typeof(filter) <> 'object' THEN
        RETURN NULL;
    END IF;
    FOR field IN SELECT * FROM jsonb_each(filter) ORDER BY key COLLATE "C" LOOP
        IF field.key = '$and' AND jsonb_typeof(field.value) = 'array' THEN
            FOR part IN SELECT * FROM jsonb_array_elements(field.value) LOOP
                conditions := conditions || nullif(mongo_migrate.index_condition(i, part), '');
            END LOOP;
            CONTINUE;
        END IF;
        SELECT o.* INTO c FROM mongo_migrate.plan_column AS o
        WHERE (o.server, o.collection, o.target, o.path) = (i.server, i.collection, i.target, field.key)
          AND o.included AND o.role = 'value' AND o.expression IS NULL
        ORDER BY o.ordinal LIMIT 1;
        IF jsonb_typeof(field.value) <> 'object' OR field.value = '{}' THEN
            field.value := jsonb_build_object('$eq', field.value);
        END IF;
        FOR test IN SELECT * FROM jsonb_each(field.value) ORDER BY key COLLATE "C" LOOP
            conditions := conditions || CASE
                WHEN c.column_name IS NULL THEN NULL
                WHEN test.key = '$exists' AND test.value IN ('true', '1') THEN format('%I IS NOT NULL', c.column_name)
                -- Only what both sides understand alike.
                WHEN CASE jsonb_typeof(test.value)
                         WHEN 'string' THEN test.key = '$eq' AND (c.type = 'text' OR c.labels @> ARRAY[test.value #>> '{}'])
                         WHEN 'number' THEN operators ? test.key AND c.type ~ '^(smallint|integer|bigint|numeric|double precision)'
                         WHEN 'boolean' THEN c.type = 'boolean' AND test.key = '$eq' END
                THEN format('%I %s %s', c.column_name, operators ->> test.key,
                            CASE jsonb_typeof(test.value) WHEN 'string' THEN quote_literal(test.value #>> '{}') ELSE test.value::text END) END;
        END LOOP;
    END LOOP;
    RETURN CASE WHEN array_position(conditions, NULL) IS NULL THEN array_to_string(conditions, ' AND ') END;
END
$$;
COMMENT ON FUNCTION mongo_migrate.index_condition(mongo_migrate.plan_index, jsonb) IS
    'the partial filter of an index as an SQL condition; NULL where columns cannot say the same';

CREATE FUNCTION mongo_migrate.index_statement(i mongo_migrate.plan_index) RETURNS text
    LANGUAGE plpgsql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    columns name[] := mongo_migrate.index_columns(i);
    condition text := mongo_migrate.index_condition(i, i.filter);
BEGIN
    IF array_position(columns, NULL) IS NOT NULL OR (i.filter IS NOT NULL AND condition IS NULL) THEN
        RETURN NULL;
    END IF;
    RETURN format('CREATE %sINDEX ON %s %s(%s)%s', CASE WHEN i.is_unique THEN 'UNIQUE ' ELSE '' END, i.target,
                  'USING ' || quote_ident(nullif(i.method, 'btree')) || ' ',
                  (SELECT string_agg(quote_ident(columns[k.place]) ||
                                     CASE WHEN i.method = 'btree' AND k.value ~ '^-' THEN ' DESC' ELSE '' END,
                                     ', ' ORDER BY k.place)
                   FROM json_each_text(i.keys) WITH ORDINALITY AS k (key, value, place)),
                  ' WHERE ' || nullif(condition, ''));
END
$$;
COMMENT ON FUNCTION mongo_migrate.index_statement(mongo_migrate.plan_index) IS
    'CREATE INDEX for a planned index; NULL where columns of the plan do not have what it needs';

CREATE FUNCTION mongo_migrate.has_index(i mongo_migrate.plan_index) RETURNS boolean
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT EXISTS (
        SELECT FROM pg_index AS x JOIN pg_class AS r ON r.oid = x.indexrelid JOIN pg_am AS m ON m.oid = r.relam
        WHERE x.indrelid = to_regclass(i.target) AND m.amname = i.method
          AND (x.indisunique OR NOT i.is_unique) AND (x.indpred IS NULL OR i.filter IS NOT NULL)
          AND ARRAY(SELECT a.attname FROM generate_series(0, x.indnkeyatts - 1) AS n
                    LEFT JOIN pg_attribute AS a ON a.attrelid = x.indrelid AND a.attnum = x.indkey[n]
                    ORDER BY n) = mongo_migrate.index_columns(i))
$$;
COMMENT ON FUNCTION mongo_migrate.has_index(mongo_migrate.plan_index) IS
    'whether a table has an index that does for a planned one: on the same columns in the same order';

CREATE FUNCTION mongo_migrate.is_indexed(i mongo_migrate.plan_index) RETURNS boolean
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT i.filter IS NULL AND EXISTS (
        SELECT FROM mongo_migrate.plan_target AS t JOIN mongo_migrate.plan_column AS c USING (server, collection, target)
        WHERE (c.server, c.collection, c.target) = (i.server, i.collection, i.target)
          AND c.included AND ARRAY[c.column_name] = mongo_migrate.index_columns(i)
          AND (c.is_unique OR (c.role = 'reference' AND NOT i.is_unique) OR (c.role = 'id' AND t.kind = 'root')))
$$;
COMMENT ON FUNCTION mongo_migrate.is_indexed(mongo_migrate.plan_index) IS
    'whether a planned index is on one column that has an index anyhow: it is unique, a reference, or the id';

-- Proposals ----------------------------------------------------------------

CREATE FUNCTION mongo_migrate.place_index(server name, collection text, keys json, OUT target text, OUT paths json)
    LANGUAGE plpgsql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    -- MongoDB's path has no [] for the arrays on the way.
    SELECT t.target, json_object_agg(f.path, k.value ORDER BY k.place) INTO target, paths
    FROM mongo_migrate.plan_target AS t
        CROSS JOIN mongo_migrate.target_base(t.server, t.collection, t.target) AS b (base)
        CROSS JOIN json_each(keys) WITH ORDINALITY AS k (key, value, place)
        CROSS JOIN LATERAL (
            SELECT c.path FROM mongo_migrate.plan_column AS c
            WHERE (c.server, c.collection, c.target) = (t.server, t.collection, t.target)
              AND c.included AND c.path IS NOT NULL AND c.role <> 'extra'
              AND regexp_replace(mongo_migrate.full_path(b.base, c.path), '(?<!\\)\[\]', '', 'g') = k.key
            ORDER BY c.role <> 'value', c.ordinal LIMIT 1) AS f
    WHERE (t.server, t.collection) = ($1, $2) AND t.included AND NOT t.existing
    GROUP BY t.target, t.ordinal
    HAVING count(*) = (SELECT count(*) FROM json_object_keys(keys))
    ORDER BY t.ordinal LIMIT 1;
END
$$;
COMMENT ON FUNCTION mongo_migrate.place_index(name, text, json) IS
    'the table of a plan that has a column for each key of an index, and the keys by the paths of these columns; NULL: there is none';

CREATE FUNCTION mongo_migrate.judge_index(i mongo_migrate.plan_index, source json) RETURNS mongo_migrate.plan_index
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    remarks text[] := '{}';
    against text;       -- why it is left out
    kinds text[] := ARRAY(SELECT DISTINCT k.value FROM json_each_text(source -> 'key') AS k
                          WHERE k.value !~ '^-?[0-9.]+$' ORDER BY 1);
    several boolean := (SELECT count(*) > 1 FROM json_object_keys(i.keys));
    child boolean := EXISTS (SELECT FROM mongo_migrate.plan_target AS t
                             WHERE (t.server, t.collection, t.target) = (i.server, i.collection, i.target) AND t.kind <> 'root');
    c record;
BEGIN
    IF kinds = '{hashed}' AND NOT several THEN
        i.method := 'hash';
    ELSIF kinds <> '{}' THEN
        against := format('an index of type %s', array_to_string(kinds, ', '));
    END IF;
    -- A key has only a column with an expression.
    IF i.is_unique AND array_position(mongo_migrate.index_columns(i), NULL) IS NOT NULL THEN
        i.is_unique := false;
        remarks := ARRAY['unique in MongoDB'];
    END IF;
    FOR c IN
        SELECT o.column_name, o.role, o.type, o.key_form, p.types, p.proposed_type, p.max_length,
               p.is_unique AND NOT o.is_unique AND NOT several AND i.filter IS NULL AS not_wanted   -- by a person
        FROM unnest(mongo_migrate.index_columns(i)) AS n (name)
            JOIN mongo_migrate.plan_column AS o
                ON (o.server, o.collection, o.target, o.column_name) = (i.server, i.collection, i.target, n.name)
            LEFT JOIN mongo_migrate.plan_path AS p ON (p.server, p.collection, p.path) = (i.server, i.collection,
                mongo_migrate.full_path(mongo_migrate.target_base(i.server, i.collection, i.target), o.path))
    LOOP
        IF c.type ~ '\[\]$' AND NOT several AND against IS NULL THEN
            i.method := 'gin';
        ELSIF c.type ~ '\[\]$|^jsonb?$' THEN
            against := coalesce(against, format('column %I is %s', c.column_name, c.type));
        ELSIF c.type IN ('text', 'bytea') AND c.max_length > 2000 THEN
            against := coalesce(against, format('values of up to %s in column %I are too long for it', c.max_length, c.column_name));
        END IF;
        -- Different values in MongoDB, different ones here: not so for 1 and "1" as text.
        IF i.is_unique AND (child OR c.not_wanted OR c.type ~ '\[\]$|^jsonb?$' OR c.key_form <> 'exact' OR
                c.role <> 'id' AND mongo_migrate.only_type(c.types) IS NULL AND c.proposed_type NOT IN ('integer', 'bigint', 'numeric')) THEN
            i.is_unique := false;
            remarks := ARRAY['unique in MongoDB'];
        END IF;
    END LOOP;
    IF i.is_unique AND mongo_migrate.lacks_distribution(i) THEN
        i.is_unique := false;
        remarks := ARRAY['unique in MongoDB'];
    END IF;
    IF i.filter IS NOT NULL AND mongo_migrate.index_condition(i, i.filter) IS NULL THEN
        against := coalesce(against, 'its filter has no equivalent in the columns');
    END IF;
    IF (source ->> 'hidden')::boolean THEN
        against := coalesce(against, 'it is hidden');
    END IF;
    IF source ->> 'expireAfterSeconds' IS NOT NULL THEN
        remarks := remarks || format('MongoDB deletes documents after %s seconds, PostgreSQL does not', source ->> 'expireAfterSeconds');
    END IF;
    IF source -> 'collation' ->> 'locale' <> 'simple' THEN
        remarks := remarks || format('by collation %s, strength %s', source -> 'collation' ->> 'locale', source -> 'collation' ->> 'strength');
    END IF;
    i.included := against IS NULL;
    i.note := nullif(concat_ws('; ', 'left out: ' || against, nullif(array_to_string(remarks, '; '), '')), '');
    RETURN i;
END
$$;
COMMENT ON FUNCTION mongo_migrate.judge_index(mongo_migrate.plan_index, json) IS
    'what an index of the source becomes in its table: its method, whether it is unique there, and whether it is made at all; source: as listIndexes has it';

CREATE FUNCTION mongo_migrate.plan_indexes(server name, collection text, edits jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    source json;
    new mongo_migrate.plan_index;
    edit mongo_migrate.plan_index;
BEGIN
    IF EXISTS (SELECT FROM mongo_migrate.list_collections(server) AS l WHERE l.collection = collection AND l.kind = 'collection') THEN
        FOR source IN
            SELECT value FROM json_array_elements(mongo_migrate.without_nul(mongo_migrate.run_command(server,
                json_build_object('listIndexes', collection))) -> 'cursor' -> 'firstBatch')
            WHERE value ->> 'name' <> '_id_'
        LOOP
            new := NULL;
            SELECT p.target, p.paths INTO new.target, new.keys FROM mongo_migrate.place_index(server, collection, source -> 'key') AS p;
            CONTINUE WHEN new.target IS NULL;
            new.server := server;
            new.collection := collection;
            new.index_name := source ->> 'name';
            new.ordinal := (SELECT count(*) + 1 FROM mongo_migrate.plan_index AS i WHERE (i.server, i.collection) = ($1, $2));
            new.is_unique := coalesce((source ->> 'unique')::boolean, false);
            new.method := 'btree';
            new.filter := source -> 'partialFilterExpression';
            new := mongo_migrate.judge_index(new, source);
            CONTINUE WHEN mongo_migrate.is_indexed(new);
            new.proposed := to_jsonb(new);
            INSERT INTO mongo_migrate.plan_index SELECT new.*;
        END LOOP;
    END IF;
    FOR edit IN SELECT * FROM jsonb_populate_recordset(NULL::mongo_migrate.plan_index, edits) LOOP
        CONTINUE WHEN NOT EXISTS (SELECT FROM mongo_migrate.plan_target AS t
                                  WHERE (t.server, t.collection, t.target) = (server, collection, edit.target));
        INSERT INTO mongo_migrate.plan_index AS i SELECT edit.*
            ON CONFLICT ON CONSTRAINT plan_index_pkey DO UPDATE
            SET keys = edit.keys, is_unique = edit.is_unique, method = edit.method, filter = edit.filter, included = edit.included;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_indexes(name, text, jsonb) IS
    'plans the indexes of a collection that its new tables have columns for; edits: rows of plan_index as a person changed or added them';

CREATE FUNCTION mongo_migrate.index_edits(server name, collection text) RETURNS jsonb
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT coalesce(jsonb_agg(to_jsonb(i) || jsonb_build_object('proposed', NULL)), '[]')
    FROM mongo_migrate.plan_index AS i
    WHERE (i.server, i.collection) = ($1, $2)
      AND to_jsonb(i) - '{proposed,target,ordinal,note}'::text[] IS DISTINCT FROM i.proposed - '{proposed,target,ordinal,note}'::text[]
$$;
COMMENT ON FUNCTION mongo_migrate.index_edits(name, text) IS
    'the rows of plan_index that a person changed or added';

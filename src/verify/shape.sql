-- shape.sql: values that stand where the plan has a sub-document, an
-- array or a map, of which no row tells.

CREATE FUNCTION mongo_migrate.verify_misfit(value jsonb, shape text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN mongo_migrate.verify_is_null(value) THEN false
        WHEN pg_catalog.jsonb_typeof(value) = 'array' THEN shape = 'a document'
        WHEN pg_catalog.jsonb_typeof(value) = 'object' AND NOT mongo_migrate.verify_is_wrapper(value) THEN shape = 'an array'
        ELSE true
        END;
COMMENT ON FUNCTION mongo_migrate.verify_misfit(jsonb, text) IS
    'whether a value in canonical Extended JSON is something else than a shape of verify_shapes(), and not null';

-- A column for the value as a whole takes it as it is.
CREATE FUNCTION mongo_migrate.verify_shapes(server name, collection text, target text)
    RETURNS TABLE (path text, steps text[], shape text)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH target AS (
        SELECT t.* FROM mongo_migrate.plan_target AS t WHERE (t.server, t.collection, t.target) = ($1, $2, $3)
    ), columns AS (
        SELECT mongo_migrate.verify_steps(c.path) AS steps
        FROM mongo_migrate.plan_column AS c JOIN target AS t USING (server, collection, target)
        WHERE c.included AND c.path IS NOT NULL AND c.role IN ('id', 'value', 'reference') AND NOT (t.kind = 'map' AND c.path = '$key')
    ), tables AS (          -- with rows of its own, or below it
        SELECT k.path, mongo_migrate.verify_steps(k.path) AS steps, k.kind = 'map' AS is_map FROM mongo_migrate.plan_target AS k
        WHERE (k.server, k.collection, k.parent) = ($1, $2, $3)
          AND EXISTS (SELECT FROM mongo_migrate.plan_target AS o, mongo_migrate.target_chain($1, $2, o.target) AS c
                      WHERE (o.server, o.collection) = ($1, $2) AND o.included AND c.target = k.target)
        UNION ALL
        SELECT t.nested_path, mongo_migrate.verify_steps(t.nested_path), false FROM target AS t WHERE t.nested_path IS NOT NULL
    ), way AS (
        SELECT steps FROM columns UNION ALL SELECT steps FROM tables
    ), place AS (
        SELECT w.steps[:n] AS steps, CASE WHEN bool_and(w.steps[n + 1] ~ '^[0-9]+$') THEN 'an array or a document' ELSE 'a document' END AS shape
        FROM way AS w, generate_series(0, cardinality(w.steps) - 1) AS n GROUP BY 1
        UNION
        SELECT t.steps, CASE WHEN t.is_map THEN 'a document' ELSE 'an array' END FROM tables AS t
    )
    SELECT nullif(array_to_string(p.steps, '.'), ''), p.steps, p.shape
    FROM place AS p WHERE p.steps NOT IN (SELECT c.steps FROM columns AS c) AND (p.steps <> '{}' OR (SELECT t.parent IS NOT NULL FROM target AS t))
    ORDER BY p.steps, p.shape
$$;
COMMENT ON FUNCTION mongo_migrate.verify_shapes(name, text, text) IS
    'the places in the documents of a target''s rows, where its plan has ''a document'', ''an array'' (or both) and no column';

CREATE FUNCTION mongo_migrate.verify_misfits(server name, collection text, target text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((SELECT format(
        ' UNION ALL SELECT mongo_migrate.verify_source_id(e.source_id), %L, NULL, ''mismatch'', mongo_migrate.verify_readable(mongo_migrate.verify_show(s.value)), '
        '''cannot be compared: it stands where '' || s.shape || '' should be'', concat_ws(''.'', e.element, s.path), ($1)[e.number] '
        'FROM expected AS e CROSS JOIN LATERAL (VALUES %s) AS s(path, value, shape) WHERE e.present AND mongo_migrate.verify_misfit(s.value, s.shape)',
        $3, string_agg(format('(%L, e.content #> %L, %L)', s.path, s.steps, s.shape), ', '))
        FROM mongo_migrate.verify_shapes($1, $2, $3) AS s HAVING count(*) > 0), '')
$$;
COMMENT ON FUNCTION mongo_migrate.verify_misfits(name, text, text) IS
    'the end of a statement of a verification, over expected AS e: values of another shape than the plan of a target has; empty where it has none';

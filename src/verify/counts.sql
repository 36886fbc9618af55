-- counts.sql: how many rows a target should have, and how many it has.
--
-- The source counts, in one aggregation a target: a root's rows are documents,
-- a child's the elements of arrays.

-- The aggregation expression for the value at a path in $$v; missing where a
-- step does not lead on.  A digit is a position in an array, else a field.
CREATE FUNCTION mongo_migrate.verify_count_get(steps text[]) RETURNS json
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    expression  json := to_json('$$v'::text);
    field       json;
    step        text;
BEGIN
    FOREACH step IN ARRAY steps LOOP
        field := CASE WHEN step ~ '^[A-Za-z_][A-Za-z0-9_]*$' THEN to_json('$$v.' || step)
                 -- $getField would say it, but came with MongoDB 5.0.
                 ELSE format('{"$let": {"vars": {"field": {"$arrayElemAt": [{"$filter": {"input": {"$objectToArray": "$$v"}, "as": "f",'
                             '"cond": {"$eq": ["$$f.k", {"$literal": %s}]}}}, 0]}}, "in": "$$field.v"}}', to_json(step))::json END;
        field := json_build_object('$cond', json_build_array(
            '{"$eq": [{"$type": "$$v"}, "object"]}'::json, field, '$$REMOVE'));
        IF step ~ '^(0|[1-9][0-9]{0,8})$' THEN
            field := json_build_object('$cond', json_build_array(
                '{"$isArray": "$$v"}'::json,
                json_build_object('$arrayElemAt', json_build_array('$$v', step::integer)), field));
        END IF;
        expression := json_build_object('$let', json_build_object('vars', json_build_object('v', expression), 'in', field));
    END LOOP;
    RETURN expression;
END
$body$;
COMMENT ON FUNCTION mongo_migrate.verify_count_get(text[]) IS
    'a MongoDB aggregation expression for the value at a path in $$v';

-- The aggregation expression for the number of elements in the innermost of
-- nested arrays and maps in $$v; what is neither has none.
CREATE FUNCTION mongo_migrate.verify_count_elements(levels jsonb) RETURNS json
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    expression  json;
    elements    json;
BEGIN
    FOR i IN REVERSE jsonb_array_length(levels) - 1 .. 0 LOOP
        expression := CASE WHEN expression IS NULL THEN '{"$size": "$$a"}'::json
            ELSE json_build_object('$sum', json_build_object('$map', json_build_object(
                'input', '$$a', 'as', 'v', 'in', expression))) END;
        elements := mongo_migrate.verify_count_get(mongo_migrate.verify_steps(levels -> i ->> 'path'));
        IF (levels -> i ->> 'map')::boolean THEN
            -- The elements are values here.
            elements := json_build_object('$let', json_build_object('vars', json_build_object('m', elements), 'in',
                json_build_object('$cond', json_build_array('{"$eq": [{"$type": "$$m"}, "object"]}'::json,
                    '{"$map": {"input": {"$objectToArray": "$$m"}, "as": "f", "in": "$$f.v"}}'::json, NULL))));
        END IF;
        expression := json_build_object('$let', json_build_object(
            'vars', json_build_object('a', elements),
            'in', json_build_object('$cond', json_build_array('{"$isArray": "$$a"}'::json, expression, 0))));
    END LOOP;
    RETURN coalesce(expression, '1'::json);
END
$body$;
COMMENT ON FUNCTION mongo_migrate.verify_count_elements(jsonb) IS
    'a MongoDB aggregation expression for the number of elements of nested arrays and maps in $$v; 1 for no level';

-- The same for a document: MongoDB's expressions cannot follow a tree.
CREATE FUNCTION mongo_migrate.verify_count_within(value jsonb, levels jsonb, nested text DEFAULT NULL) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    elements    jsonb := value #> mongo_migrate.verify_steps(coalesce(nested, levels -> 0 ->> 'path'));
    deeper      text := levels -> 0 ->> 'nested';
BEGIN
    IF levels = '[]' THEN
        RETURN 1;
    ELSIF (levels -> 0 ->> 'map')::boolean AND jsonb_typeof(elements) = 'object' AND NOT mongo_migrate.verify_is_wrapper(elements) THEN
        RETURN (SELECT coalesce(sum(mongo_migrate.verify_count_within(e.value, levels - 0)), 0) FROM jsonb_each(elements) AS e);
    ELSIF jsonb_typeof(elements) = 'array' THEN
        RETURN (SELECT coalesce(sum(mongo_migrate.verify_count_within(e, levels - 0)
                                    + CASE WHEN deeper IS NULL THEN 0
                                      ELSE mongo_migrate.verify_count_within(e, levels, deeper) END), 0)
                FROM jsonb_array_elements(elements) AS e);
    END IF;
    RETURN 0;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_count_within(jsonb, jsonb, text) IS
    'the number of elements of nested arrays, maps and trees in a value in canonical Extended JSON; nested: the path of the array within an element of the first level';

-- Documents that a filter matches, or the elements of their nested arrays and maps.
CREATE FUNCTION mongo_migrate.verify_count(server name, collection text, filter json, levels jsonb DEFAULT '[]')
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF jsonb_path_exists(levels, '$[*].nested ? (@ != null)') THEN
        RETURN (SELECT coalesce(sum(mongo_migrate.verify_count_within(mongo_migrate.verify_jsonb(mongo_migrate.without_nul(d)), levels)), 0)
                FROM mongo_migrate.find_documents(server, collection, filter, '{}', 'canonical') AS d);
    END IF;
    RETURN (SELECT coalesce(max((d ->> 'n')::bigint), 0)
    FROM mongo_migrate.aggregate_documents(server, collection, json_build_array(
        json_build_object('$match', filter),
        json_build_object('$group', json_build_object('_id', NULL, 'n', json_build_object('$sum',
            json_build_object('$let', json_build_object('vars', '{"v": "$$ROOT"}'::json,
                                                        'in', mongo_migrate.verify_count_elements(levels)))))))) AS d);
END
$body$;
COMMENT ON FUNCTION mongo_migrate.verify_count(name, text, json, jsonb) IS
    'the number of documents of a collection that a filter matches, or of the elements of arrays and maps in them; levels: these, each with its path relative to the elements of the one before, map, and for a tree nested';

-- The same for documents that are in quarantine and still in the source.
CREATE FUNCTION mongo_migrate.verify_count_quarantined(server name, collection text, filter jsonb, levels jsonb)
    RETURNS bigint
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(sum(mongo_migrate.verify_count($1, $2, mongo_migrate.verify_filter($3, q.ids), $4)), 0)
    FROM (SELECT json_agg(mongo_migrate.key_to_json(k.key)) AS ids
          -- A key of that length may have a digest in it (quarantine_key()); the document has its _id.
          FROM (SELECT CASE WHEN length(q.key) = 1032 THEN mongo_migrate.document_key(q.document) ELSE q.key END AS key,
                       row_number() OVER () / 1000 AS part FROM mongo_migrate.quarantine AS q
                WHERE (q.server, q.collection) = ($1, $2)) AS k
          GROUP BY k.part) AS q
$$;
COMMENT ON FUNCTION mongo_migrate.verify_count_quarantined(name, text, jsonb, jsonb) IS
    'the number of rows that documents in quarantine would have made';

-- Rows of a table; NULL where there is none.
CREATE FUNCTION mongo_migrate.verify_count_rows(target text) RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    rows_   bigint;
BEGIN
    IF to_regclass(target) IS NOT NULL THEN
        EXECUTE format('SELECT count(*) FROM %s', to_regclass(target)) INTO rows_;
    END IF;
    RETURN rows_;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_count_rows(text) IS
    'the number of rows of a table; NULL when it does not exist';

-- The tables of one collection, or with NULL of all.
CREATE FUNCTION mongo_migrate.verify_counts_of(verification bigint, server name, collection text, tolerance bigint)
    RETURNS TABLE (of_collection text, target text, source_count bigint, target_count bigint, difference bigint, ok boolean,
                   quarantined bigint, kind text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET row_security = off      -- a row that is hidden from the caller is an error, not missing
AS $$
DECLARE
    t           record;
    problem     text;
    advice      text;
BEGIN
    FOR t IN
        SELECT p.collection, p.target, p.kind, c.filter, c.levels
        FROM mongo_migrate.plan_target AS p,
             LATERAL (SELECT coalesce(min(r.filter::text), '{}')::jsonb AS filter,
                             coalesce(jsonb_agg(jsonb_build_object('path', k.path, 'map', k.kind = 'map', 'nested', k.nested_path)
                                                ORDER BY k.depth) FILTER (WHERE k.depth > 0), '[]') AS levels
                      FROM mongo_migrate.target_chain(p.server, p.collection, p.target) AS k
                           LEFT JOIN mongo_migrate.plan_target AS r
                           ON k.depth = 0 AND (r.server, r.collection, r.target) = (p.server, p.collection, k.target)) AS c
        WHERE p.server = $2 AND p.collection = coalesce($3, p.collection) AND p.included
        ORDER BY p.collection, p.ordinal, p.target
    LOOP
        problem := NULL;
        of_collection := t.collection;
        target := t.target;
        kind := t.kind;
        BEGIN
            source_count := mongo_migrate.verify_count(server, t.collection, t.filter::json, t.levels);
            quarantined := mongo_migrate.verify_count_quarantined(server, t.collection, t.filter, t.levels);
        EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character OR data_corrupted THEN
            -- A tree with a document that has no JSON here, or one in quarantine that cannot be asked for.
            problem := SQLERRM;
            GET STACKED DIAGNOSTICS advice = PG_EXCEPTION_HINT;
            RAISE WARNING USING ERRCODE = SQLSTATE,
                MESSAGE = format('rows for table %s cannot be counted in collection "%s": %s', t.target, t.collection, problem), HINT = advice;
            source_count := NULL;
            quarantined := NULL;
        END;
        target_count := mongo_migrate.verify_count_rows(t.target);
        difference := source_count - quarantined - target_count;
        ok := coalesce(abs(difference) <= tolerance, false);
        INSERT INTO mongo_migrate.finding (verification_id, collection, target, kind, source_value, target_value)
        SELECT verification, t.collection, t.target, 'count', (source_count - quarantined)::text, coalesce('cannot be counted: ' || problem, target_count::text)
        WHERE NOT ok;
        RETURN NEXT;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_counts_of(bigint, name, text, bigint) IS
    'the work of verify_counts() for one collection (NULL: all); kind: of the target';

CREATE FUNCTION mongo_migrate.verify_counts(server name, tolerance bigint DEFAULT 0)
    RETURNS TABLE (collection text, target text, source_count bigint, target_count bigint, difference bigint, ok boolean,
                   quarantined bigint)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    verification bigint;
    documents   bigint := 0;
    t           record;
BEGIN
    PERFORM mongo_migrate.verify_check_numbers(tolerance, 0);
    PERFORM mongo_migrate.require_schemas(server, NULL);
    verification := mongo_migrate.verify_begin(server, NULL, 'counts', jsonb_build_object('tolerance', tolerance));
    FOR t IN SELECT * FROM mongo_migrate.verify_counts_of(verification, server, NULL, tolerance) LOOP
        documents := documents + CASE WHEN t.kind = 'root' THEN coalesce(t.source_count, 0) ELSE 0 END;
        RETURN QUERY SELECT t.of_collection, t.target, t.source_count, t.target_count, t.difference, t.ok, t.quarantined;
    END LOOP;
    PERFORM mongo_migrate.verify_end(verification, documents);
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_counts(name, bigint) IS
    'compares the number of rows of each planned table with the source, which counts documents, or elements of arrays. Result: source_count (NULL: a document that is not valid UTF-8, or has characters that the encoding of the database lacks, is in the way, which a WARNING tells) and, of those, what is in quarantine; target_count (NULL: no such table); difference is source_count - quarantined - target_count, above zero for missing rows; ok says whether it is within tolerance. Recorded in mongo_migrate.verification and mongo_migrate.finding';

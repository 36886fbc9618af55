-- table.sql: tables for what is nested and was planned as one column: maps, arrays in arrays, trees.

CREATE FUNCTION mongo_migrate.common_type(types text[]) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT CASE WHEN count(DISTINCT t) < 2 THEN min(t)
                WHEN bool_and(t IN ('integer', 'bigint')) THEN 'bigint'
                WHEN bool_and(t IN ('integer', 'bigint', 'numeric', 'double precision')) THEN 'numeric'
                WHEN bool_or(t IN ('jsonb', 'bytea') OR t ~ '\[\]$') THEN 'jsonb'
                ELSE 'text' END
    FROM unnest(types) AS t
$$;
COMMENT ON FUNCTION mongo_migrate.common_type(text[]) IS
    'a type, of those that infer_schema proposes, for the values of several paths';

CREATE FUNCTION mongo_migrate.merge_levels(server name, collection text, base text, nested text) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
    WITH RECURSIVE levels AS (
        SELECT base AS path
        UNION ALL
        SELECT p.path FROM levels AS l JOIN mongo_migrate.plan_path AS p
            ON (p.server, p.collection, p.path) = ($1, $2, l.path || '.' || nested || '[]')
    ), fields AS (
        SELECT p, substr(p.path, length(l.path) + 1) AS place, substr(p.parent, length(l.path) + 1) AS parent_place,
               l.path = base AS top, p.present > 0 AS seen, coalesce((p.types ->> 'object')::bigint, 0) AS documents
        FROM levels AS l JOIN mongo_migrate.plan_path AS p
            ON (p.server, p.collection) = ($1, $2) AND (p.path = l.path OR starts_with(p.path, l.path || '.'))
        WHERE p.path <> l.path || '.' || nested AND NOT starts_with(p.path, l.path || '.' || nested || '[]')
    ), parents AS (
        SELECT f.place, sum(f.documents) AS documents FROM fields AS f GROUP BY f.place
    ), merged AS (
        SELECT f.place, f.parent_place, min((f.p).ordinal) AS ordinal, min((f.p).key) AS key,
               sum((f.p).present) AS present, sum((f.p).nulls) AS nulls, bool_or((f.p).is_map) AS is_map,
               coalesce(mongo_migrate.common_type(array_agg((f.p).proposed_type) FILTER (WHERE f.seen)), min((f.p).proposed_type)) AS type,
               max((f.p).max_length) AS max_length,
               -- A reference at one level is one at the others, unless these say otherwise.
               (array_agg(f.p ORDER BY (f.p).refers_to IS NULL, f.top DESC, (f.p).path))[1] AS first,
               count(DISTINCT (f.p).refers_to) < 2 AND count(DISTINCT (f.p).proposed_type) FILTER (WHERE f.seen) = 1 AS alike,
               CASE WHEN bool_and((f.p).few_values IS NOT NULL) FILTER (WHERE f.seen) THEN (
                   SELECT array_agg(DISTINCT v COLLATE "C" ORDER BY v COLLATE "C") FROM fields AS o, unnest((o.p).few_values) AS v WHERE o.place = f.place) END AS few_values,
               array_agg(f.p ORDER BY f.top DESC, (f.p).path) AS rows
        FROM fields AS f WHERE f.place <> '' GROUP BY f.place, f.parent_place
    )
    INSERT INTO mongo_migrate.plan_path AS p (server, collection, path, ordinal, parent, key, types, present, nulls, missing, is_map,
            is_unique, proposed_type, proposed_nullable, max_length, refers_to, refers_key, key_form, note, proposed_check, description,
            few_values, allowed_values)
        SELECT $1, $2, base || m.place, m.ordinal, base || m.parent_place, m.key,
            (SELECT jsonb_object_agg(t.key, t.n) FROM (
                SELECT e.key, sum(e.value::bigint) AS n FROM unnest(m.rows) AS r, jsonb_each_text(r.types) AS e GROUP BY e.key) AS t),
            m.present, m.nulls, greatest(0, coalesce(CASE WHEN m.key IS NOT NULL THEN o.documents - m.present - m.nulls END, 0)), m.is_map,
            false, m.type, m.nulls > 0 OR o.documents > m.present + m.nulls, m.max_length,
            CASE WHEN m.alike THEN (m.first).refers_to END, CASE WHEN m.alike THEN (m.first).refers_key END,
            CASE WHEN m.alike THEN (m.first).key_form END, (m.rows[1]).note,
            CASE WHEN m.few_values IS NULL THEN (SELECT min(r.proposed_check) FROM unnest(m.rows) AS r
                                                 HAVING count(r.proposed_check) = count(*) AND count(DISTINCT r.proposed_check) = 1)
                 ELSE (SELECT format('IN (%s)', string_agg(quote_literal(v), ', ' ORDER BY v COLLATE "C")) FROM unnest(m.few_values) AS v) END,
            (m.rows[1]).description, m.few_values, (m.rows[1]).allowed_values
        FROM merged AS m JOIN parents AS o ON o.place = m.parent_place
    ON CONFLICT ON CONSTRAINT plan_path_pkey DO UPDATE SET types = excluded.types, present = excluded.present, nulls = excluded.nulls,
        missing = excluded.missing, is_map = excluded.is_map, proposed_type = excluded.proposed_type,
        proposed_nullable = excluded.proposed_nullable, max_length = excluded.max_length, refers_to = excluded.refers_to,
        refers_key = excluded.refers_key, key_form = excluded.key_form, proposed_check = excluded.proposed_check,
        few_values = excluded.few_values
$$;
COMMENT ON FUNCTION mongo_migrate.merge_levels(name, text, text, text) IS
    'has plan_path show, for the elements of a tree at its first level (base), what those of all levels have; nested: the path of the next level''s array in an element';

CREATE FUNCTION mongo_migrate.plan_levels(server name, collection text, target text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    base constant text := mongo_migrate.target_base(server, collection, target);
    inner_target text;
    inner_base text;
BEGIN
    -- Wider types for what has columns, in child tables too; where a reference is none at another level, values.
    UPDATE mongo_migrate.plan_column AS c
    SET type = p.proposed_type, source_type = p.proposed_type, nullable = true,
        role = 'value', refers_to = NULL, refers_key = '_id', key_form = 'exact',
        proposed_check = CASE WHEN p.few_values IS NULL OR p.proposed_type = 'text' THEN p.proposed_check END,
        note = mongo_migrate.evidence(p.types, p.nulls, p.missing, p.note)
    FROM mongo_migrate.plan_path AS p
    WHERE (c.server, c.collection) = ($1, $2) AND c.role IN ('value', 'reference') AND c.expression IS NULL
      AND (p.server, p.collection, p.path) = ($1, $2,
            mongo_migrate.full_path(mongo_migrate.target_base(c.server, c.collection, c.target), c.path))
      AND starts_with(p.path, base || '.')
      AND CASE c.role WHEN 'value' THEN c.type <> p.proposed_type AND c.labels IS NULL ELSE p.refers_to IS NULL END;
    UPDATE mongo_migrate.plan_column AS c SET nullable = true
    WHERE (c.server, c.collection) = ($1, $2) AND c.role IN ('value', 'reference') AND (c.target = $3 OR EXISTS (
        SELECT FROM mongo_migrate.plan_path AS p
        WHERE (p.server, p.collection, p.path) = ($1, $2,
                mongo_migrate.full_path(mongo_migrate.target_base(c.server, c.collection, c.target), c.path))
          AND starts_with(p.path, base || '.') AND p.proposed_nullable));
    FOR inner_target, inner_base IN
        SELECT t.target, b.base FROM mongo_migrate.plan_target AS t,
            mongo_migrate.target_base(t.server, t.collection, t.target) AS b (base)
        WHERE (t.server, t.collection) = ($1, $2) AND t.kind = 'child' AND (b.base = base OR starts_with(b.base, base || '.'))
        ORDER BY t.ordinal
    LOOP
        PERFORM mongo_migrate.plan_fields(server, collection, inner_target, NULL, inner_base, inner_base, '', true, true);
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_levels(name, text, text) IS
    'plans what the deeper levels of a tree have beyond its first one: columns and tables for fields, wider types';

CREATE FUNCTION mongo_migrate.plan_tree(nested mongo_migrate.plan_column) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    new mongo_migrate.plan_column := nested;
BEGIN
    UPDATE mongo_migrate.plan_target AS t SET nested_path = nested.path
    WHERE (t.server, t.collection, t.target) = (nested.server, nested.collection, nested.target);
    UPDATE mongo_migrate.plan_column AS c SET note = 'position in the tree, from 0, each element before those within it'
    WHERE (c.server, c.collection, c.target, c.role) = (nested.server, nested.collection, nested.target, 'position');
    new.role := 'parent_position';
    new.path := NULL;
    new.column_name := 'parent_position';
    new.type := 'integer';
    new.source_type := NULL;
    new.expression := NULL;
    new.nullable := true;
    new.is_unique := false;
    new.note := 'position of the element that this one is within';
    PERFORM mongo_migrate.add_plan_column(new, NULL);
    PERFORM mongo_migrate.merge_levels(nested.server, nested.collection,
        mongo_migrate.target_base(nested.server, nested.collection, nested.target), nested.path);
    PERFORM mongo_migrate.plan_levels(nested.server, nested.collection, nested.target);
    -- Documents that were not read, or levels that were not followed, may have more.
    PERFORM mongo_migrate.plan_extra(nested.server, nested.collection, nested.target);
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_tree(mongo_migrate.plan_column) IS
    'has a table take the elements of an array in its own elements, too: nested was the column of that array';

CREATE FUNCTION mongo_migrate.take_for_map(field mongo_migrate.plan_path) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
    UPDATE mongo_migrate.plan_path AS p SET is_map = true
    WHERE (p.server, p.collection, p.path) = (field.server, field.collection, field.path);
    WITH values AS (
        SELECT p.* FROM mongo_migrate.plan_path AS p
        WHERE (p.server, p.collection, p.parent) = (field.server, field.collection, field.path) AND p.key IS NOT NULL
    )
    INSERT INTO mongo_migrate.plan_path (server, collection, path, ordinal, parent, types, present, nulls, missing,
                                         is_map, is_unique, proposed_type, proposed_nullable, note)
    SELECT field.server, field.collection, field.path || '{}', field.ordinal, field.path,
           (SELECT jsonb_object_agg(t.key, t.n)
            FROM (SELECT e.key, sum(e.value::bigint) AS n FROM values AS v, jsonb_each_text(v.types) AS e GROUP BY e.key) AS t),
           sum(v.present), sum(v.nulls), 0, false, false,
           mongo_migrate.common_type(array_agg(v.proposed_type)),
           bool_or(v.nulls > 0), 'fields taken for a map'
    FROM values AS v HAVING count(*) > 0
    ON CONFLICT DO NOTHING;
$$;
COMMENT ON FUNCTION mongo_migrate.take_for_map(mongo_migrate.plan_path) IS
    'has plan_path show a sub-document as a map whose keys are data';

CREATE FUNCTION mongo_migrate.plan_table(server name, collection text, path text) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    field mongo_migrate.plan_path;
    element mongo_migrate.plan_path;
    present mongo_migrate.plan_column;
    target mongo_migrate.plan_target;
    base text;
    seen jsonb;
BEGIN
    PERFORM mongo_migrate.require_plan(server, collection);
    IF EXISTS (SELECT FROM mongo_migrate.chunk AS k WHERE (k.server, k.collection) = ($1, $2) AND k.documents > 0) THEN
        RAISE EXCEPTION USING ERRCODE = 'object_in_use',
            MESSAGE = format('collection "%s" of server "%s" has been migrated', collection, server),
            HINT = format('To begin anew, first: SELECT mongo_migrate.reset_collection(%L, %L, truncate => true);', server, collection);
    END IF;
    SELECT p.* INTO field FROM mongo_migrate.plan_path AS p WHERE (p.server, p.collection, p.path) = ($1, $2, $3);
    -- Its own column, or the first of a sub-document's.
    SELECT c.* INTO present
    FROM mongo_migrate.plan_column AS c, mongo_migrate.target_base(c.server, c.collection, c.target) AS b (base),
        mongo_migrate.full_path(b.base, c.path) AS f (path)
    WHERE (c.server, c.collection) = ($1, $2) AND (f.path = $3 OR starts_with(f.path, $3 || '.')) AND c.role <> 'key'
      AND NOT (b.base = '' AND c.path = '$')    -- the whole document, not a field without a name
    ORDER BY c.role = 'id', f.path <> $3, c.included DESC, c.ordinal LIMIT 1;
    IF present.target IS NULL THEN
        SELECT t.* INTO target FROM mongo_migrate.plan_target AS t
        WHERE (t.server, t.collection) = ($1, $2) AND mongo_migrate.target_base(t.server, t.collection, t.target) IN ($3 || '[]', $3 || '{}')
        ORDER BY t.ordinal LIMIT 1;
        IF FOUND THEN
            RAISE EXCEPTION USING ERRCODE = 'duplicate_object',
                MESSAGE = format('the plan of collection "%s" has a table for path "%s" already: %s', collection, path, target.target),
                HINT = CASE WHEN target.included THEN 'What is nested within it is planned by a path of its own, as in mongo_migrate.plan_path: items[].prices.'
                            ELSE mongo_migrate.mend_target(target, 'included = true') END;
        END IF;
    END IF;
    IF present.target IS NULL OR field.path IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_column',
            MESSAGE = format('the plan of collection "%s" has no column for path "%s"', collection, path),
            HINT = 'A path is as in mongo_migrate.plan_path: items[].prices.';
    END IF;
    SELECT t.* INTO target FROM mongo_migrate.plan_target AS t WHERE (t.server, t.collection, t.target) = ($1, $2, present.target);
    base := mongo_migrate.target_base(server, collection, present.target);
    IF mongo_migrate.full_path(base, present.path) <> path THEN
        present.path := CASE WHEN path = nullif(base, '') THEN '$' ELSE substr(path, coalesce(length(nullif(base, '')) + 2, 1)) END;
        present.column_name := mongo_migrate.snake_case(present.path);
    END IF;
    -- What more than half of the values are.
    seen := field.types;
    field.types := (SELECT jsonb_build_object(t.key, t.value) FROM jsonb_each(seen) AS t
                    WHERE t.key NOT IN ('null', 'undefined') AND t.value::bigint > field.present / 2);
    IF mongo_migrate.only_type(field.types) = 'object' AND NOT field.is_map THEN
        PERFORM mongo_migrate.take_for_map(field);
        field.is_map := true;
    END IF;
    element := mongo_migrate.element_of(field);
    IF element.path IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
            MESSAGE = format('path "%s" of collection "%s" is no array or map, or not mostly, or always empty', path, collection),
            DETAIL = format('It was seen as %s.', seen),
            HINT = CASE WHEN seen ?| ARRAY['array', 'object'] THEN
                format('Mend the documents that have something else in MongoDB, and plan anew: SELECT mongo_migrate.plan_collection(%L, %L, replan => true);',
                       server, collection)
                ELSE 'mongo_migrate.plan_path shows what each path was seen as.' END;
    END IF;
    IF seen - ARRAY['null', 'undefined'] <> field.types THEN
        RAISE NOTICE 'path "%" of collection "%" was seen as %: documents in which it is something else than % go into quarantine',
            path, collection, seen, mongo_migrate.only_type(field.types);
    END IF;

    DELETE FROM mongo_migrate.plan_column AS c
    WHERE (c.server, c.collection, c.target) = ($1, $2, present.target) AND c.role <> 'id'
      AND (c.path = present.path OR starts_with(c.path, present.path || '.') OR (present.path = '$' AND c.role IN ('value', 'reference')));
    IF target.kind = 'child' AND NOT target.existing AND target.nested_path IS NULL
       AND mongo_migrate.nests_itself(field, base) THEN
        PERFORM mongo_migrate.plan_tree(present);
        RETURN present.target;
    END IF;
    PERFORM mongo_migrate.plan_array(field, element, present.target, present.path, present.column_name);
    RETURN (SELECT t.target FROM mongo_migrate.plan_target AS t
            WHERE (t.server, t.collection, t.parent, t.path) = ($1, $2, present.target, present.path)
            ORDER BY t.ordinal DESC LIMIT 1);
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_table(name, text, text) IS
    'plans a table for an array or a map that is one column so far, or for a sub-document as a map, by its path as in mongo_migrate.plan_path: a row for each element or field, a table in that for an array in an array; a tree where an array is within one of its own name. Returns the table. Errors: no such column; values of other types; documents were copied';

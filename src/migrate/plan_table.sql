-- plan_table.sql: tables for what is nested and was planned as one column: maps, arrays in arrays, trees.

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
    -- Deeper elements may have other fields than those at the top.
    UPDATE mongo_migrate.plan_column AS c SET nullable = true
    WHERE (c.server, c.collection, c.target) = (nested.server, nested.collection, nested.target) AND c.role IN ('value', 'reference');
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
    PERFORM mongo_migrate.plan_extra(nested.server, nested.collection, nested.target);
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_tree(mongo_migrate.plan_column) IS
    'has a table take the elements of an array in its own elements, too: nested was the column of that array';
REVOKE ALL ON FUNCTION mongo_migrate.plan_tree(mongo_migrate.plan_column) FROM PUBLIC;

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
           CASE WHEN count(DISTINCT v.proposed_type) = 1 THEN min(v.proposed_type)
                WHEN bool_and(v.proposed_type IN ('integer', 'bigint')) THEN 'bigint'
                WHEN bool_and(v.proposed_type IN ('integer', 'bigint', 'numeric')) THEN 'numeric'
                ELSE 'jsonb' END,
           bool_or(v.nulls > 0), 'fields taken for a map'
    FROM values AS v HAVING count(*) > 0
    ON CONFLICT DO NOTHING;
$$;
COMMENT ON FUNCTION mongo_migrate.take_for_map(mongo_migrate.plan_path) IS
    'has plan_path show a sub-document as a map whose keys are data';
REVOKE ALL ON FUNCTION mongo_migrate.take_for_map(mongo_migrate.plan_path) FROM PUBLIC;

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
    ORDER BY f.path <> $3, c.included DESC, c.ordinal LIMIT 1;
    IF present.target IS NULL OR field.path IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'undefined_column',
            MESSAGE = format('the plan of collection "%s" has no column for path "%s"', collection, path),
            HINT = 'A path is as in mongo_migrate.plan_path: items[].prices.';
    END IF;
    SELECT t.* INTO target FROM mongo_migrate.plan_target AS t WHERE (t.server, t.collection, t.target) = ($1, $2, present.target);
    base := mongo_migrate.target_base(server, collection, present.target);
    IF mongo_migrate.full_path(base, present.path) <> path THEN
        present.path := substr(path, coalesce(length(nullif(base, '')) + 2, 1));
        present.column_name := mongo_migrate.snake_case(present.path);
    END IF;
    IF mongo_migrate.only_type(field.types) = 'object' AND NOT field.is_map THEN
        PERFORM mongo_migrate.take_for_map(field);
        field.is_map := true;
    END IF;
    element := mongo_migrate.element_of(field);
    IF element.path IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
            MESSAGE = format('path "%s" of collection "%s" is no array or map, or not always, or always empty', path, collection),
            DETAIL = format('It was seen as %s.', field.types);
    END IF;

    DELETE FROM mongo_migrate.plan_column AS c
    WHERE (c.server, c.collection, c.target) = ($1, $2, present.target)
      AND (c.path = present.path OR starts_with(c.path, present.path || '.'));
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
REVOKE ALL ON FUNCTION mongo_migrate.plan_table(name, text, text) FROM PUBLIC;

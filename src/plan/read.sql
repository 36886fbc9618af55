-- read.sql: what a plan says, and the statements that edit it.

CREATE FUNCTION mongo_migrate.canonical_type(type text) RETURNS text
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'mm_canonical_type';
COMMENT ON FUNCTION mongo_migrate.canonical_type(text) IS
    'a type''s name as PostgreSQL prints it; an error when there is no such type';

CREATE FUNCTION mongo_migrate.check_bson_type(type text) RETURNS void
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'mm_check_bson_type';
COMMENT ON FUNCTION mongo_migrate.check_bson_type(text) IS
    'an error where no BSON value can become a value of the type';

CREATE FUNCTION mongo_migrate.is_hashable(type text) RETURNS boolean
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'mm_is_hashable';
COMMENT ON FUNCTION mongo_migrate.is_hashable(text) IS
    'whether values of a type have a hash that is the same on all nodes, by which Citus can distribute rows; an error when there is no such type';

CREATE FUNCTION mongo_migrate.check_expression(expression text, source_type text, type text, has_doc boolean DEFAULT false,
    of_column name DEFAULT NULL) RETURNS void
    LANGUAGE c STABLE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'mm_check_expression';
COMMENT ON FUNCTION mongo_migrate.check_expression(text, text, text, boolean, name) IS
    'parses an expression over value (of type source_type; NULL: there is none) and, with has_doc, doc, whose result becomes type, without running it; of_column: it is the default or the check of a column, and has that instead of value; an error when it cannot be used';

CREATE FUNCTION mongo_migrate.full_path(base text, path text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT CASE WHEN path = '$' THEN base WHEN base = '' THEN path ELSE base || '.' || path END
$$;
COMMENT ON FUNCTION mongo_migrate.full_path(text, text) IS
    'a column''s path from the document''s top, from its row''s';

CREATE FUNCTION mongo_migrate.source_path(server name, collection text, target text, path text) RETURNS text
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT concat_ws('.', collection, nullif(mongo_migrate.full_path(mongo_migrate.target_base($1, $2, $3), path), ''))
$$;
COMMENT ON FUNCTION mongo_migrate.source_path(name, text, text, text) IS
    'where a column of a target comes from, with the collection: orders.items[].sku';

CREATE FUNCTION mongo_migrate.one_line(remark text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT trim(regexp_replace(remark, '[\x01-\x1f\x7f]+', ' ', 'g'))
$$;
COMMENT ON FUNCTION mongo_migrate.one_line(text) IS
    'a remark without line breaks and other control characters: it goes after --';

CREATE FUNCTION mongo_migrate.mend_column(c mongo_migrate.plan_column, change text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT format('UPDATE mongo_migrate.plan_column SET %s WHERE (server, collection, target, column_name) = (%L, %L, %L, %L);',
                  change, c.server, c.collection, c.target, c.column_name)
$$;
COMMENT ON FUNCTION mongo_migrate.mend_column(mongo_migrate.plan_column, text) IS
    'the statement that changes one column of a plan, for hints';

CREATE FUNCTION mongo_migrate.mend_target(t mongo_migrate.plan_target, change text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT format('UPDATE mongo_migrate.plan_target SET %s WHERE (server, collection, target) = (%L, %L, %L);',
                  change, t.server, t.collection, t.target)
$$;
COMMENT ON FUNCTION mongo_migrate.mend_target(mongo_migrate.plan_target, text) IS
    'the statement that changes one target of a plan, for hints';

CREATE FUNCTION mongo_migrate.mend_index(i mongo_migrate.plan_index, change text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT format('UPDATE mongo_migrate.plan_index SET %s WHERE (server, collection, target, index_name) = (%L, %L, %L, %L);',
                  change, i.server, i.collection, i.target, i.index_name)
$$;
COMMENT ON FUNCTION mongo_migrate.mend_index(mongo_migrate.plan_index, text) IS
    'the statement that changes one index of a plan, for hints';

-- Where a target stands: its root, and the arrays on the way from there.
CREATE FUNCTION mongo_migrate.target_chain(server name, collection text, of_target text)
    RETURNS TABLE (depth integer, target text, kind text, path text, nested_path text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE   -- which keeps the plan, as key_source() does: statements ask for each of their columns
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off    -- however few plans there are as it is made
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH RECURSIVE up AS (
        SELECT t.target, t.parent, t.kind, t.path, t.nested_path, 0 AS height
        FROM mongo_migrate.plan_target AS t
        WHERE (t.server, t.collection, t.target) = ($1, $2, $3)
        UNION ALL
        SELECT t.target, t.parent, t.kind, t.path, t.nested_path, up.height + 1
        FROM up JOIN mongo_migrate.plan_target AS t
             ON (t.server, t.collection, t.target) = ($1, $2, up.parent)
    )
    SELECT (max(up.height) OVER () - up.height)::integer, up.target, up.kind, up.path, up.nested_path
    FROM up ORDER BY 1;
END
$$;
COMMENT ON FUNCTION mongo_migrate.target_chain(name, text, text) IS
    'a target of a plan and its parents, the root (depth 0) first';

CREATE FUNCTION mongo_migrate.target_base(server name, collection text, target text) RETURNS text
    LANGUAGE plpgsql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    base text;
    level record;
BEGIN
    FOR level IN SELECT * FROM mongo_migrate.target_chain(server, collection, target) LOOP
        base := CASE WHEN level.depth = 0 THEN ''
                ELSE mongo_migrate.full_path(base, level.path) || CASE level.kind WHEN 'map' THEN '{}' ELSE '[]' END END;
    END LOOP;
    RETURN base;
END
$$;
COMMENT ON FUNCTION mongo_migrate.target_base(name, text, text) IS
    'the path of a target''s rows from the document''s top, as infer_schema has it; the root''s is empty';

-- What a key column of a target is worth: 'id', or 'p2' for the position in
-- the second array, or the name in that map.
CREATE FUNCTION mongo_migrate.key_source(server name, collection text, target text, column_name name)
    RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
    SET enable_seqscan = off
AS $$
#variable_conflict use_column
BEGIN
    RETURN (
        WITH RECURSIVE up AS (
            SELECT c.target, c.role, c.parent_column, c.column_name
            FROM mongo_migrate.plan_column AS c
            WHERE (c.server, c.collection, c.target, c.column_name) = ($1, $2, $3, $4)
            UNION ALL
            SELECT c.target, c.role, c.parent_column, c.column_name
            FROM up
                 JOIN mongo_migrate.plan_target AS t ON (t.server, t.collection, t.target) = ($1, $2, up.target)
                 JOIN mongo_migrate.plan_column AS c
                 ON (c.server, c.collection, c.target, c.column_name) = ($1, $2, t.parent, up.parent_column)
            WHERE up.role = 'parent'
        )
        SELECT CASE up.role WHEN 'id' THEN 'id'
               ELSE 'p' || (SELECT max(c.depth) FROM mongo_migrate.target_chain($1, $2, up.target) AS c)
               END
        FROM up WHERE up.role IN ('id', 'position', 'key'));
END
$$;
COMMENT ON FUNCTION mongo_migrate.key_source(name, text, text, name) IS
    'where a key column of a target comes from: id, or p<n>, the position in the array, or the name in the map, at depth n; NULL for neither';

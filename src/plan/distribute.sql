-- distribute.sql: plans whose tables Citus distributes over several machines.
--
-- A root of a plan says how: by a column (plan_target.distribute_by) or copied
-- to every node (reference_table).  Child tables follow their root: they are
-- distributed by the same value, in a column of role parent, and co-located.
-- Citus wants that column in every primary and unique key, never empty and
-- never changed, and foreign keys only between rows that lie together.

-- What Citus has ------------------------------------------------------------

CREATE FUNCTION mongo_migrate.has_citus() RETURNS boolean
    LANGUAGE sql STABLE
    RETURN pg_catalog.to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL;
COMMENT ON FUNCTION mongo_migrate.has_citus() IS
    'whether the extension citus is installed in this database';

CREATE FUNCTION mongo_migrate.citus_distribution(relation regclass,
        OUT kind text, OUT column_name name, OUT colocation integer)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF relation IS NULL OR NOT mongo_migrate.has_citus() THEN
        RETURN;
    END IF;
    EXECUTE 'SELECT CASE WHEN p.partmethod <> ''n'' THEN ''hash'' WHEN p.repmodel = ''t'' THEN ''reference'''
            '            WHEN p.colocationid > 0 THEN ''single'' END,'
            '       column_to_column_name(p.logicalrelid, p.partkey), p.colocationid'
            '  FROM pg_dist_partition AS p WHERE p.logicalrelid = $1'
        INTO kind, column_name, colocation USING relation;
END
$$;
COMMENT ON FUNCTION mongo_migrate.citus_distribution(regclass) IS
    'how Citus has a table: kind hash with its distribution column, reference, or single (a table without one, such as those of a distributed schema, is whole on some node); NULL for a table of this node; colocation: NULL where Citus does not know it either, or there is no Citus';

CREATE FUNCTION mongo_migrate.citus_place(target text) RETURNS integer
    LANGUAGE plpgsql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    place integer := (mongo_migrate.citus_distribution(to_regclass(target))).colocation;
BEGIN
    IF to_regclass(target) IS NULL AND to_regclass('pg_catalog.pg_dist_schema') IS NOT NULL THEN
        EXECUTE 'SELECT s.colocationid FROM pg_dist_schema AS s WHERE s.schemaid = to_regnamespace(quote_ident((parse_ident($1))[1]))'
            INTO place USING target;
    END IF;
    RETURN place;
END
$$;
COMMENT ON FUNCTION mongo_migrate.citus_place(text) IS
    'with which tables Citus has a table lie together (pg_dist_colocation; 0: a table of the coordinator that it knows), or would have one that is still to be created in a schema that it distributes; NULL: it does not know it';

CREATE FUNCTION mongo_migrate.reach_shards()
    RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT set_config('citus.enable_local_execution', 'off', true),
           set_config('citus.multi_shard_modify_mode', 'sequential', true)
$$;
COMMENT ON FUNCTION mongo_migrate.reach_shards() IS
    'lets one transaction read, change and redefine Citus tables: their shards are reached by connections only, one at a time; without Citus it changes nothing';

CREATE FUNCTION mongo_migrate.target_distribution(server name, collection text, target text,
        OUT kind text, OUT column_name name, OUT root text)
    LANGUAGE plpgsql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
    AS $$
#variable_conflict use_column
BEGIN
    WITH RECURSIVE chain AS MATERIALIZED (
        SELECT c.depth, c.target FROM mongo_migrate.target_chain($1, $2, $3) AS c
    ), down AS (
        SELECT 0 AS depth, t.target, t.target AS root,
               CASE WHEN c.kind IS NOT NULL THEN c.kind WHEN t.reference_table THEN 'reference' WHEN t.distribute_by IS NOT NULL THEN 'hash'
                    WHEN to_regclass(t.target) IS NULL AND mongo_migrate.citus_place(t.target) > 0 THEN 'single' END AS kind,
               CASE WHEN c.kind IS NULL THEN t.distribute_by ELSE c.column_name END AS column_name
        FROM chain AS r JOIN mongo_migrate.plan_target AS t ON (t.server, t.collection, t.target) = ($1, $2, r.target),
            mongo_migrate.citus_distribution(to_regclass(t.target)) AS c
        WHERE r.depth = 0
        UNION ALL
        SELECT r.depth, r.target, down.root, down.kind,
               (SELECT c.column_name FROM mongo_migrate.plan_column AS c
                WHERE (c.server, c.collection, c.target) = ($1, $2, r.target) AND c.role = 'parent'
                  AND c.parent_column = down.column_name AND c.included ORDER BY c.ordinal LIMIT 1)
        FROM down JOIN chain AS r ON r.depth = down.depth + 1)
    SELECT coalesce(c.kind, down.kind), CASE WHEN c.kind IS NULL THEN down.column_name ELSE c.column_name END, down.root
    INTO kind, column_name, root
    FROM down, mongo_migrate.citus_distribution(to_regclass(down.target)) AS c WHERE down.target = $3;
END
$$;
COMMENT ON FUNCTION mongo_migrate.target_distribution(name, text, text) IS
    'how a target is distributed, or is to be: kind hash with its column (NULL: the plan has none for it), reference or single, as of citus_distribution(); NULL: not at all';

CREATE FUNCTION mongo_migrate.is_distributed(server name, collection text) RETURNS boolean
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT EXISTS (SELECT FROM mongo_migrate.plan_target AS t, mongo_migrate.citus_distribution(to_regclass(t.target)) AS d
                   WHERE (t.server, t.collection) = ($1, $2)
                     AND CASE WHEN d.kind IS NULL THEN t.distribute_by ELSE d.column_name END IS NOT NULL)
$$;
COMMENT ON FUNCTION mongo_migrate.is_distributed(name, text) IS
    'whether rows of a collection are distributed by a column: asked once, before each of its tables is';

CREATE FUNCTION mongo_migrate.foreign_key_problem(server name, collection text, target text, column_name name,
        refers_to text, refers_target text, refers_column name) RETURNS text
    LANGUAGE plpgsql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    own record;
    other record;
    own_place integer;
    other_place integer;
    of_citus boolean;
    other_of_citus boolean;
    -- Citus would make it one itself, which it cannot in every transaction.
    unknown constant text := '%1$s is not a table of Citus; SELECT citus_add_local_table_to_metadata(%1$L); makes it one';
BEGIN
    IF NOT mongo_migrate.has_citus() AND NOT EXISTS (
            SELECT FROM mongo_migrate.plan_target AS t
            WHERE t.server = server AND (t.distribute_by IS NOT NULL OR t.reference_table)) THEN
        RETURN NULL;
    END IF;
    own := mongo_migrate.target_distribution(server, collection, target);
    other := mongo_migrate.target_distribution(server, refers_to, refers_target);
    own_place := mongo_migrate.citus_place(target);
    other_place := mongo_migrate.citus_place(refers_target);
    of_citus := own.kind IS NOT NULL OR own_place IS NOT NULL;
    other_of_citus := other.kind IS NOT NULL OR other_place IS NOT NULL;
    IF NOT of_citus AND NOT other_of_citus THEN
        RETURN NULL;
    ELSIF NOT of_citus AND (other.kind = 'reference' OR other.kind IS NULL) THEN
        RETURN format(unknown, target);
    ELSIF NOT other_of_citus AND (own.kind = 'reference' OR own.kind IS NULL) THEN
        RETURN format(unknown, refers_target);
    ELSIF other.kind = 'reference' OR (other.kind IS NULL AND (own.kind = 'reference' OR own.kind IS NULL)) THEN
        RETURN NULL;
    ELSIF other.kind IS NULL THEN
        RETURN format('%s is on the coordinator, and the rows of %s are not', refers_target, target);
    ELSIF other.kind = 'hash' AND own.kind IS DISTINCT FROM 'hash' THEN
        RETURN format('the rows of %s lie apart, by "%s"', refers_target, other.column_name);
    ELSIF other.kind = 'hash' AND (own.column_name, other.column_name) IS DISTINCT FROM (column_name, refers_column) THEN
        RETURN format('%s is distributed by "%s" and %s by "%s"', target, own.column_name, refers_target, other.column_name);
    ELSIF own.kind IS DISTINCT FROM other.kind OR own_place <> other_place THEN
        RETURN format('%s and %s are not co-located', target, refers_target);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mongo_migrate.foreign_key_problem(name, text, text, name, text, text, name) IS
    'why Citus would refuse a foreign key from a column of a target to a column of another; NULL: it does not';

-- Planning ------------------------------------------------------------------

CREATE FUNCTION mongo_migrate.add_distribution_column(child mongo_migrate.plan_target, wanted name, own name) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    new mongo_migrate.plan_column;
    place integer;
    added name;
BEGIN
    SELECT c.* INTO new FROM mongo_migrate.plan_column AS c
    WHERE (c.server, c.collection, c.target, c.column_name) = (child.server, child.collection, child.parent, wanted);
    SELECT max(c.ordinal) INTO place FROM mongo_migrate.plan_column AS c
    WHERE (c.server, c.collection, c.target) = (child.server, child.collection, child.target) AND c.role = 'parent';
    new.target := child.target;
    new.column_name := own;
    new.role := 'parent';
    new.parent_column := wanted;
    new.path := NULL;
    new.source_type := NULL;
    new.expression := NULL;
    new.reverse_expression := NULL;
    new.refers_to := NULL;
    new.refers_key := '_id';
    new.key_form := 'exact';
    new.on_dangling := 'null';
    new.is_unique := false;
    new.default_value := NULL;
    new.check_rule := NULL;
    new.labels := NULL;
    new.lookup_table := NULL;
    new.note := format('%s of %s, by which the rows are distributed', wanted, child.parent);
    added := mongo_migrate.add_plan_column(new, NULL);
    UPDATE mongo_migrate.plan_column AS c
    SET ordinal = CASE WHEN c.column_name = added THEN place + 1 ELSE c.ordinal + 1 END
    WHERE (c.server, c.collection, c.target) = (child.server, child.collection, child.target) AND c.ordinal > place;
END
$$;
COMMENT ON FUNCTION mongo_migrate.add_distribution_column(mongo_migrate.plan_target, name, name) IS
    'plans a column of a child table, of a name, for one of its parent''s, after the other columns of the parent''s key';

CREATE FUNCTION mongo_migrate.plan_places(server name, collection text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    child mongo_migrate.plan_target;
    wanted name;
    own name;
BEGIN
    IF NOT mongo_migrate.is_distributed(server, collection) THEN
        RETURN;
    END IF;
    FOR child IN
        SELECT t.* FROM mongo_migrate.plan_target AS t
        WHERE (t.server, t.collection) = (server, collection) AND t.parent IS NOT NULL ORDER BY t.ordinal
    LOOP
        wanted := (mongo_migrate.target_distribution(server, collection, child.parent)).column_name;
        own := (mongo_migrate.target_distribution(server, collection, child.target)).column_name;
        -- A child table that exists has the column, if it has one.
        IF wanted IS NOT NULL AND (own IS NULL) <> child.existing AND NOT EXISTS (
                SELECT FROM mongo_migrate.plan_column AS c
                WHERE (c.server, c.collection, c.target, c.column_name) = (server, collection, child.target, own)) THEN
            PERFORM mongo_migrate.add_distribution_column(child, wanted, coalesce(own, wanted));
        END IF;
        -- Citus has only tables lie together that are distributed by one type, and none by an enum.
        UPDATE mongo_migrate.plan_column AS c SET type = CASE WHEN p.labels IS NULL THEN p.type ELSE 'text' END
        FROM mongo_migrate.plan_column AS p
        WHERE (c.server, c.collection, c.target, c.column_name) = (child.server, child.collection, child.target,
                  (mongo_migrate.target_distribution(server, collection, child.target)).column_name)
          AND (p.server, p.collection, p.target, p.column_name) = (child.server, child.collection, child.parent, wanted)
          AND NOT child.existing;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_places(name, text) IS
    'plans the columns that a collection''s child tables lack for the value by which their parent''s rows are distributed, all of its type';

CREATE FUNCTION mongo_migrate.plan_distribution(server name, collection text, target text, wanted text, everywhere boolean)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    chosen mongo_migrate.plan_column;
    not_unique text;
BEGIN
    IF everywhere THEN
        UPDATE mongo_migrate.plan_target AS t SET reference_table = true
        WHERE (t.server, t.collection, t.target) = (server, collection, target);
        RETURN;
    END IF;
    SELECT c.* INTO chosen FROM mongo_migrate.plan_column AS c
    WHERE (c.server, c.collection, c.target) = (server, collection, target) AND c.included AND c.role <> 'extra'
      AND wanted IN (c.column_name, c.path)
    ORDER BY c.column_name <> wanted LIMIT 1;
    IF NOT FOUND THEN
        RAISE undefined_column USING
            MESSAGE = format('the plan of table %s has no column "%s" to distribute it by', target, wanted),
            HINT = format('Columns are: %s.', (
                SELECT string_agg(c.column_name, ', ' ORDER BY c.ordinal) FROM mongo_migrate.plan_column AS c
                WHERE (c.server, c.collection, c.target) = (server, collection, target) AND c.included AND c.role <> 'extra'));
    END IF;
    UPDATE mongo_migrate.plan_target AS t SET distribute_by = chosen.column_name
    WHERE (t.server, t.collection, t.target) = (server, collection, target);
    UPDATE mongo_migrate.plan_column AS c
    SET nullable = false, on_dangling = CASE WHEN c.role = 'reference' THEN 'quarantine' ELSE c.on_dangling END
    WHERE (c.server, c.collection, c.target, c.column_name) = (server, collection, target, chosen.column_name);

    PERFORM mongo_migrate.plan_places(server, collection);

    WITH lost AS (
        UPDATE mongo_migrate.plan_column AS c
        SET is_unique = false, note = concat_ws('; ', c.note, 'unique in MongoDB')
        FROM mongo_migrate.plan_target AS t
        WHERE (t.server, t.collection, t.target) = (c.server, c.collection, c.target)
          AND (c.server, c.collection) = (server, collection) AND c.is_unique AND NOT t.existing
          AND c.column_name IS DISTINCT FROM (mongo_migrate.target_distribution(server, collection, c.target)).column_name
        RETURNING c.target, c.column_name, c.ordinal)
    SELECT string_agg(format('%s.%I', l.target, l.column_name), ', ' ORDER BY l.target, l.ordinal) INTO not_unique FROM lost AS l;
    IF not_unique IS NOT NULL THEN
        RAISE NOTICE '%: unique in MongoDB, and not to be kept so by Citus: %', collection, not_unique
            USING DETAIL = 'A unique key of a distributed table has the distribution column in it.';
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_distribution(name, text, text, text, boolean) IS
    'has a plan just made be distributed by a column (its name or path), with the columns that its child tables need for it, or as reference tables';

CREATE FUNCTION mongo_migrate.keep_distribution(before jsonb, INOUT edited jsonb, INOUT distribute_by text,
        INOUT reference_table boolean)
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    root constant text := '#1';
BEGIN
    IF distribute_by IS NULL AND reference_table IS NULL THEN
        reference_table := edited -> root ->> 'reference_table';
        -- A column that was added is an edit, as is distribute_by then.
        SELECT coalesce(e.value ->> 'path', e.value ->> 'column_name') INTO distribute_by
        FROM jsonb_each(edited) AS e
        WHERE e.value ->> 'target_key' = root AND before ? e.key AND e.value -> 'column_name' = edited -> root -> 'distribute_by';
    ELSIF edited ? root AND before ? root THEN
        edited := jsonb_set(edited, ARRAY[root], edited -> root || jsonb_build_object(
            'distribute_by', before -> root -> 'distribute_by', 'reference_table', before -> root -> 'reference_table'));
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.keep_distribution(jsonb, jsonb, text, boolean) IS
    'how a plan made anew is distributed: as it was, where nothing is said, the column by its path; what is said goes before what was edited';

-- DDL -----------------------------------------------------------------------

CREATE FUNCTION mongo_migrate.plan_distributions(server name, collection text)
    RETURNS TABLE (target text, statement text, done boolean)
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT t.target,
           CASE d.kind WHEN 'reference' THEN format('SELECT create_reference_table(%L)', t.target)
               ELSE format('SELECT create_distributed_table(%L, %L%s)', t.target, d.column_name,
                           CASE WHEN t.parent IS NOT NULL AND r.included THEN format(', colocate_with => %L', d.root) ELSE '' END) END,
           (mongo_migrate.citus_distribution(to_regclass(t.target))).kind IS NOT NULL
    FROM mongo_migrate.plan_target AS t
        CROSS JOIN LATERAL mongo_migrate.target_distribution(t.server, t.collection, t.target) AS d
        JOIN mongo_migrate.plan_target AS r ON (r.server, r.collection, r.target) = (t.server, t.collection, d.root)
    WHERE (t.server, t.collection) = ($1, $2) AND t.included AND NOT t.existing
      AND (r.reference_table OR r.distribute_by IS NOT NULL OR (mongo_migrate.citus_distribution(to_regclass(r.target))).kind IS NOT NULL)
      AND (d.kind <> 'hash' OR d.column_name IS NOT NULL)
    ORDER BY t.ordinal
$$;
COMMENT ON FUNCTION mongo_migrate.plan_distributions(name, text) IS
    'the statements by which Citus distributes a collection''s new tables, parents first; done: Citus has the table';

CREATE FUNCTION mongo_migrate.lacks_distribution(i mongo_migrate.plan_index) RETURNS boolean
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT d.kind = 'hash' AND d.column_name <> ALL (mongo_migrate.index_columns(i))
    FROM mongo_migrate.target_distribution(i.server, i.collection, i.target) AS d
$$;
COMMENT ON FUNCTION mongo_migrate.lacks_distribution(mongo_migrate.plan_index) IS
    'whether an index is without the column by which its table is distributed, so that Citus cannot have it unique';

-- Checks --------------------------------------------------------------------

CREATE FUNCTION mongo_migrate.distribute_beside(child mongo_migrate.plan_target) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT CASE d.kind
        WHEN 'reference' THEN format('SELECT create_reference_table(%L);', child.target)
        WHEN 'single' THEN format('SELECT create_distributed_table(%L, NULL, colocate_with => %L);', child.target, child.parent)
        WHEN 'hash' THEN format('SELECT create_distributed_table(%L, %L, colocate_with => %L);', child.target, coalesce((
            SELECT c.column_name FROM mongo_migrate.plan_column AS c
            WHERE (c.server, c.collection, c.target) = (child.server, child.collection, child.target)
              AND c.role = 'parent' AND c.parent_column = d.column_name AND c.included ORDER BY c.ordinal LIMIT 1), '...'), child.parent)
        ELSE '' END
    FROM mongo_migrate.citus_distribution(to_regclass(child.parent)) AS d
$$;
COMMENT ON FUNCTION mongo_migrate.distribute_beside(mongo_migrate.plan_target) IS
    'the statement by which Citus has the rows of a child table that exists lie with those of its parent';

CREATE FUNCTION mongo_migrate.check_reference_table(t mongo_migrate.plan_target)
    RETURNS TABLE (column_name name, problem text, hint text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT c.column_name, format('what dangles in it cannot be settled: Citus changes no reference table by rows of %s, which is %s', o.target,
               CASE d.kind WHEN 'single' THEN 'whole on one node' ELSE 'a table of the coordinator' END),
           CASE WHEN d.kind = 'single' AND mongo_migrate.value_column(c) IS NULL THEN mongo_migrate.mend_column(c, 'on_dangling = ''keep''')
                WHEN d.kind = 'single' THEN mongo_migrate.mend_column(c, 'included = false')
                ELSE concat(CASE WHEN to_regclass(o.target) IS NULL
                                 THEN format('SELECT mongo_migrate.apply_ddl(%L, %L); ', o.server, o.collection) END,
                            format('SELECT citus_add_local_table_to_metadata(%L);', o.target)) END
    FROM mongo_migrate.plan_column AS c
        JOIN mongo_migrate.plan_target AS o ON (o.server, o.collection) = (c.server, c.refers_to) AND o.kind = 'root' AND o.included
        CROSS JOIN LATERAL mongo_migrate.target_distribution(o.server, o.collection, o.target) AS d
    WHERE (c.server, c.collection, c.target) = (t.server, t.collection, t.target) AND c.included
      AND (c.on_dangling <> 'keep' OR mongo_migrate.value_column(c) IS NOT NULL)
      AND (d.kind = 'single' OR (d.kind IS NULL AND mongo_migrate.citus_place(o.target) IS NULL))
    ORDER BY c.ordinal, o.ordinal
$$;
COMMENT ON FUNCTION mongo_migrate.check_reference_table(mongo_migrate.plan_target) IS
    'which references of a reference table could not be settled, and the statements that mend it';

CREATE FUNCTION mongo_migrate.check_distribution_type(c mongo_migrate.plan_column, OUT problem text, OUT hint text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    t mongo_migrate.plan_target := (SELECT o FROM mongo_migrate.plan_target AS o
                                    WHERE (o.server, o.collection, o.target) = (c.server, c.collection, c.target));
    d record := mongo_migrate.target_distribution(c.server, c.collection, c.target);
BEGIN
    IF d.kind IS DISTINCT FROM 'hash' OR d.column_name <> c.column_name THEN
        RETURN;
    ELSIF c.role = 'parent' THEN
        SELECT format('rows of %s are to lie beside those of %s, and have %s where these have %s to be distributed by', t.target, t.parent, c.type, o.type),
               mongo_migrate.mend_column(c, format('type = %L', o.type)) INTO problem, hint
        FROM mongo_migrate.plan_column AS o
        WHERE (o.server, o.collection, o.target, o.column_name) = (c.server, c.collection, t.parent, c.parent_column)
          AND o.labels IS NULL AND to_regtype(c.type) IS DISTINCT FROM to_regtype(o.type) AND NOT t.existing;
    ELSIF c.labels IS NOT NULL OR NOT mongo_migrate.is_hashable(c.type) THEN
        problem := format('rows of %s are distributed by it, and values of %s have no hash that is the same on all nodes', t.target,
                          CASE WHEN c.labels IS NULL THEN c.type ELSE 'an enum' END);
        hint := CASE WHEN c.labels IS NOT NULL THEN format('SELECT mongo_migrate.plan_enumeration(%L, %L, %L, ''check'', %L);', c.server, c.collection, c.path, c.labels)
            WHEN (mongo_migrate.citus_distribution(to_regclass(t.target))).kind = 'hash'
            THEN format('SELECT alter_distributed_table(%L, distribution_column => ''...'');', t.target)
            ELSE mongo_migrate.mend_target(t, format('distribute_by = %L', (
                SELECT i.column_name FROM mongo_migrate.plan_column AS i
                WHERE (i.server, i.collection, i.target) = (t.server, t.collection, t.target)
                  AND i.included AND i.role = 'id' AND i.column_name <> c.column_name))) END;
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_distribution_type(mongo_migrate.plan_column) IS
    'why Citus would not distribute rows by a column of its type, and the statement that mends it; NULL: it would, or does not by this column';

CREATE FUNCTION mongo_migrate.check_child_place(t mongo_migrate.plan_target, present record, OUT problem text, OUT hint text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF t.parent IS NOT NULL AND to_regclass(t.target) IS NOT NULL AND to_regclass(t.parent) IS NOT NULL
       AND (mongo_migrate.citus_place(t.target) IS DISTINCT FROM mongo_migrate.citus_place(t.parent)
            OR (present.kind = 'hash' AND NOT EXISTS (
                    SELECT FROM mongo_migrate.plan_column AS o
                    WHERE (o.server, o.collection, o.target, o.column_name) = (t.server, t.collection, t.target, present.column_name)
                      AND o.parent_column = (mongo_migrate.citus_distribution(to_regclass(t.parent))).column_name))) THEN
        problem := format('its rows do not lie with those of %s', t.parent);
        hint := concat(CASE WHEN present.kind IS NOT NULL THEN format('SELECT undistribute_table(%L); ', t.target) END,
                       mongo_migrate.distribute_beside(t));
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_child_place(mongo_migrate.plan_target, record) IS
    'whether a child table that is there, as present (of citus_distribution()), lies with its parent, and the statements that mend it; NULL: it does';

CREATE FUNCTION mongo_migrate.check_citus_styles(server name, collection text) RETURNS TABLE (problem text, hint text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT format('Citus sends values as text to its nodes, which do not read them by %s %L', s.name, s.value),
           format('UPDATE mongo_migrate.plan SET %I = %L WHERE (server, collection) = (%L, %L);', s.name, s.legible, p.server, p.collection)
    FROM mongo_migrate.plan AS p CROSS JOIN LATERAL (VALUES
        ('date_style', p.date_style, regexp_replace(p.date_style, '^\w+', 'ISO')),
        ('interval_style', p.interval_style, replace(p.interval_style, 'sql_standard', 'postgres'))) AS s (name, value, legible)
    WHERE (p.server, p.collection) = ($1, $2) AND s.legible <> s.value
$$;
COMMENT ON FUNCTION mongo_migrate.check_citus_styles(name, text) IS
    'which settings of a plan have values look as Citus does not read them on its nodes, and the statements that mend it';

CREATE FUNCTION mongo_migrate.check_place(t mongo_migrate.plan_target, planned record, present record, OUT problem text, OUT hint text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    root constant mongo_migrate.plan_target := (SELECT r FROM mongo_migrate.plan_target AS r
                                                WHERE (r.server, r.collection, r.target) = (t.server, t.collection, planned.root));
    undistributed constant text := mongo_migrate.mend_target(root, 'distribute_by = NULL, reference_table = false');
BEGIN
    IF NOT mongo_migrate.has_citus() THEN
        problem := 'the plan distributes it, and extension citus is not installed in this database';
        hint := 'CREATE EXTENSION citus; or: ' || undistributed;
    ELSIF t.existing AND present.kind IS NULL THEN
        problem := 'the plan distributes it, and it exists and is not distributed';
        hint := format('SELECT create_distributed_table(%L, %L); or: %s', t.target, planned.column_name, undistributed);
    ELSIF to_regclass(t.target) IS NULL AND mongo_migrate.citus_place(t.target) > 0 THEN
        IF planned.kind = 'single' THEN
            problem := 'Citus distributes its schema, and takes only tables that are created there by hand';
            hint := format('SELECT mongo_migrate.draft_ddl(%L, %L, ''tables'') \gexec in psql creates them.', t.server, t.collection);
        ELSE
            problem := 'Citus distributes its schema, whose tables lie together, and the plan says otherwise';
            hint := undistributed;
        END IF;
    ELSIF t.parent IS NULL AND present.kind IS NOT NULL
          AND ((root.reference_table AND present.kind <> 'reference') OR root.distribute_by <> present.column_name
               OR (root.distribute_by IS NOT NULL AND present.kind <> 'hash')) THEN
        problem := CASE present.kind WHEN 'hash' THEN format('Citus has it distributed by "%s", and the plan says otherwise', present.column_name)
            WHEN 'reference' THEN 'Citus has it as a reference table, and the plan says otherwise'
            ELSE 'Citus has it whole on one node, and the plan says otherwise' END;
        hint := mongo_migrate.mend_target(root, format('distribute_by = %L, reference_table = %L', present.column_name,
                                                       present.kind = 'reference'));
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_place(mongo_migrate.plan_target, record, record) IS
    'why Citus has a target not as it is planned (of target_distribution()), but as it is present (of citus_distribution()), and the statements that mend it; NULL: it has, or can make it so';

CREATE FUNCTION mongo_migrate.check_distribution_column(t mongo_migrate.plan_target, c mongo_migrate.plan_column)
    RETURNS TABLE (problem text, hint text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF c.nullable AND c.role <> 'parent' THEN
        problem := format('rows of %s are distributed by it, and it may be null', t.target);
        hint := mongo_migrate.mend_column(c, 'nullable = false')
            || ' Documents without a value go into quarantine then.';
        RETURN NEXT;
    END IF;
    IF c.role = 'reference' AND c.on_dangling = 'null' THEN
        problem := format('rows of %s are distributed by it, and a dangling reference in it would become null', t.target);
        hint := mongo_migrate.mend_column(c, 'on_dangling = ''quarantine''');
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_distribution_column(mongo_migrate.plan_target, mongo_migrate.plan_column) IS
    'why rows of a target cannot be distributed by a column, but for its type, and the statements that mend it';

CREATE FUNCTION mongo_migrate.check_distribution_keys(t mongo_migrate.plan_target, distribute_by name)
    RETURNS TABLE (column_name name, problem text, hint text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
    (SELECT c.column_name, format('Citus cannot keep it unique: rows of %s are distributed by "%s"', t.target, distribute_by),
            mongo_migrate.mend_column(c, 'is_unique = false')
     FROM mongo_migrate.plan_column AS c
     WHERE (c.server, c.collection, c.target) = (t.server, t.collection, t.target) AND c.included AND c.is_unique
       AND c.column_name <> distribute_by AND NOT t.existing
     ORDER BY c.ordinal)
    UNION ALL
    (SELECT NULL, format('Citus cannot keep index %s unique: rows of %s are distributed by "%s"', i.index_name, t.target, distribute_by),
            mongo_migrate.mend_index(i, 'is_unique = false')
     FROM mongo_migrate.plan_index AS i
     WHERE (i.server, i.collection, i.target) = (t.server, t.collection, t.target) AND i.included AND i.is_unique
       AND mongo_migrate.lacks_distribution(i) AND NOT t.existing
     ORDER BY i.ordinal)
$$;
COMMENT ON FUNCTION mongo_migrate.check_distribution_keys(mongo_migrate.plan_target, name) IS
    'which keys of a target Citus cannot keep unique, because its rows are distributed by another column, and the statements that mend it';

CREATE FUNCTION mongo_migrate.check_distribution(t mongo_migrate.plan_target)
    RETURNS TABLE (column_name name, problem text, hint text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    planned record := mongo_migrate.target_distribution(t.server, t.collection, t.target);
    present record := mongo_migrate.citus_distribution(to_regclass(t.target));
    of_parent name := (mongo_migrate.target_distribution(t.server, t.collection, t.parent)).column_name;
    c mongo_migrate.plan_column;
    told boolean;
BEGIN
    RETURN QUERY SELECT NULL::name, k.problem, k.hint FROM mongo_migrate.check_child_place(t, present) AS k WHERE k.problem IS NOT NULL;
    told := FOUND;
    IF t.parent IS NULL AND mongo_migrate.has_citus() AND (planned.kind IS NOT NULL OR mongo_migrate.citus_place(t.target) IS NOT NULL) THEN
        RETURN QUERY SELECT NULL::name, k.problem, k.hint FROM mongo_migrate.check_citus_styles(t.server, t.collection) AS k;
    END IF;
    IF planned.kind IS NULL THEN
        RETURN;
    ELSIF NOT told THEN
        RETURN QUERY SELECT NULL::name, k.problem, k.hint FROM mongo_migrate.check_place(t, planned, present) AS k WHERE k.problem IS NOT NULL;
    END IF;
    IF planned.kind = 'reference' THEN
        RETURN QUERY SELECT r.* FROM mongo_migrate.check_reference_table(t) AS r;
    END IF;
    IF planned.kind <> 'hash' THEN
        RETURN;
    END IF;

    SELECT o.* INTO c FROM mongo_migrate.plan_column AS o
    WHERE (o.server, o.collection, o.target, o.column_name) = (t.server, t.collection, t.target, planned.column_name) AND o.included;
    column_name := c.column_name;
    IF c.role = 'reference' AND c.refers_key <> '_id' AND mongo_migrate.holds_ids(c) THEN
        problem := format('rows of %s are distributed by it, and it is looked up after the load', t.target);
        hint := CASE WHEN t.existing THEN format('SELECT alter_distributed_table(%L, distribution_column => %L);', t.target,
                                                 mongo_migrate.value_column(c))
                ELSE mongo_migrate.mend_target(t, format('distribute_by = %L', mongo_migrate.value_column(c))) END;
        RETURN NEXT;
    ELSIF c.column_name IS NOT NULL THEN
        RETURN QUERY SELECT c.column_name, k.problem, k.hint FROM mongo_migrate.check_distribution_column(t, c) AS k;
        RETURN QUERY SELECT k.* FROM mongo_migrate.check_distribution_keys(t, c.column_name) AS k;
    ELSIF t.parent IS NULL THEN
        problem := format('it is to be distributed by "%s", which is no column of its plan', planned.column_name);
        hint := mongo_migrate.mend_target(t, 'distribute_by = ''...''');
        RETURN NEXT;
    ELSIF of_parent IS NOT NULL THEN       -- else it is told of the parent
        problem := format('it has no column for "%s" of %s, by which its rows are to lie with their parents', of_parent, t.parent);
        hint := CASE WHEN t.existing THEN 'To leave it out: ' || mongo_migrate.mend_target(t, 'included = false')
            ELSE format('SELECT mongo_migrate.plan_collection(%L, %L, replan => true); keeps the edits and plans one.', t.server, t.collection) END;
        RETURN NEXT;
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_distribution(mongo_migrate.plan_target) IS
    'why Citus would not have a target as it is planned, and the statements that mend it; no row: it would';

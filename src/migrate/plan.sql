-- plan.sql: from what the documents show to tables, columns and references.
--
-- plan_collection() is the only writer.  It keeps what it saw in plan_path and
-- walks that from the top: a field becomes a column; the fields of a regular
-- sub-document become columns of the same row; an array of documents becomes a
-- child table, one of references a pivot table.  Where the table exists, the
-- table's columns decide instead.

-- Names ------------------------------------------------------------------

-- A byte-order mark goes.  Only UTF-8 has one; a constant would be an error elsewhere.
CREATE FUNCTION mongo_migrate.snake_case(name text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT coalesce(nullif(trim(BOTH '_' FROM
               regexp_replace(
                   lower(regexp_replace(regexp_replace(regexp_replace(
                       regexp_replace(name, '\uFEFF', '', 'g'),
                       'IDs(?![a-z])', 'Ids', 'g'),
                       '([A-Z]+)([A-Z][a-z])', '\1_\2', 'g'),
                       '([a-z0-9])([A-Z])', '\1_\2', 'g') COLLATE "C"),
                   '[\x01-\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+', '_', 'g')), ''), 'field')
$$;
COMMENT ON FUNCTION mongo_migrate.snake_case(text) IS
    'a field or collection name as a column or table name: First Name, firstName -> first_name';

CREATE FUNCTION mongo_migrate.singular(name text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT CASE
        WHEN name ~ '[a-z]{2}ies$' THEN regexp_replace(name, 'ies$', 'y')
        WHEN name ~ '(ss|x|ch|sh)es$' THEN regexp_replace(name, 'es$', '')
        WHEN name ~ '[a-z]{2}s$' AND name !~ '(ss|us|is)$' THEN regexp_replace(name, 's$', '')
        ELSE name
    END
$$;
COMMENT ON FUNCTION mongo_migrate.singular(text) IS
    'an English plural''s singular, well enough for column names: orders -> order, addresses -> address';

CREATE FUNCTION mongo_migrate.free_name(wanted text, taken text[]) RETURNS name
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    base text := wanted::name;
    candidate text := base;
    n integer := 1;
BEGIN
    WHILE candidate = ANY (taken) LOOP
        n := n + 1;
        WHILE octet_length(base || '_' || n) > 63 LOOP
            base := left(base, -1);
        END LOOP;
        candidate := base || '_' || n;
    END LOOP;
    RETURN candidate;
END
$$;
COMMENT ON FUNCTION mongo_migrate.free_name(text, text[]) IS
    'the wanted name cut to 63 bytes, with _2, _3, ... when it is taken';

-- What is known of fields and tables ---------------------------------------

CREATE FUNCTION mongo_migrate.only_type(types jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT min(key) FROM jsonb_object_keys(types) AS key
    WHERE key NOT IN ('null', 'undefined') HAVING count(*) = 1
$$;
COMMENT ON FUNCTION mongo_migrate.only_type(jsonb) IS
    'the BSON type of a path whose values, nulls aside, are all of one; NULL when there are several or none';

CREATE FUNCTION mongo_migrate.evidence(types jsonb, nulls bigint, missing bigint, note text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT concat_ws('; ',
        (SELECT string_agg(key || ' ' || to_char(value::bigint, 'FM999,999,999,999'), ', '
                           ORDER BY value::bigint DESC, key)
         FROM jsonb_each_text(types) WHERE key NOT IN ('null', 'undefined')),
        CASE WHEN nulls > 0 THEN 'null ' || to_char(nulls, 'FM999,999,999,999') END,
        CASE WHEN missing > 0 THEN 'missing ' || to_char(missing, 'FM999,999,999,999') END,
        -- The types are there already, with their counts.
        nullif(regexp_replace(note, '^values of types [^;]*(; )?', ''), ''))
$$;
COMMENT ON FUNCTION mongo_migrate.evidence(jsonb, bigint, bigint, text) IS
    'what the documents showed of a path, in a line: double 9,801, string 12; null 3';

CREATE FUNCTION mongo_migrate.find_column(relation regclass, wanted text[], used text[]) RETURNS name
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT a.attname
    FROM pg_attribute AS a, unnest(wanted) WITH ORDINALITY AS w (name, place)
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
      AND a.attname <> ALL (used)
      AND (a.attname = w.name OR replace(mongo_migrate.snake_case(a.attname), '_', '') =
                                 replace(mongo_migrate.snake_case(w.name), '_', ''))
    ORDER BY w.place, a.attname <> w.name, a.attname <> mongo_migrate.snake_case(w.name), a.attnum
    LIMIT 1
$$;
COMMENT ON FUNCTION mongo_migrate.find_column(regclass, text[], text[]) IS
    'the column of a table that bears one of the wanted names, letter case and underscores aside, and is not used yet';
REVOKE ALL ON FUNCTION mongo_migrate.find_column(regclass, text[], text[]) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.column_type(relation regclass, name name) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a
    WHERE a.attrelid = relation AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped
$$;
COMMENT ON FUNCTION mongo_migrate.column_type(regclass, name) IS
    'the type of a table''s column, NULL when there is no such column';
REVOKE ALL ON FUNCTION mongo_migrate.column_type(regclass, name) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.implicit_cast(types jsonb, source_type text, column_type regtype) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    -- Strings get into other types than text and json through their input
    -- function only, which is a cast; a typmod would make the cast cut or round.
    SELECT CASE WHEN types ?| ARRAY['string', 'symbol'] OR (source_type = 'text[]' AND t.typcategory = 'A')
        THEN 'value::' || format_type(column_type, NULL) END
    FROM pg_type AS t, pg_type AS e
    WHERE t.oid = (WITH RECURSIVE base AS (
              SELECT oid, typbasetype FROM pg_type WHERE oid = column_type
              UNION ALL
              SELECT p.oid, p.typbasetype FROM base JOIN pg_type AS p ON p.oid = base.typbasetype)
          SELECT oid FROM base WHERE typbasetype = 0)
      AND e.oid = CASE WHEN t.typcategory = 'A' AND source_type = 'text[]' THEN t.typelem ELSE t.oid END
      AND e.typcategory <> 'S' AND e.typtype <> 'e'
      AND e.oid NOT IN ('json'::regtype, 'jsonb'::regtype)
$$;
COMMENT ON FUNCTION mongo_migrate.implicit_cast(jsonb, text, regtype) IS
    'the expression by which a field of these BSON types gets into a column of that type, NULL when none is needed';
REVOKE ALL ON FUNCTION mongo_migrate.implicit_cast(jsonb, text, regtype) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.counted(n bigint, noun text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$ SELECT n || ' ' || noun || CASE WHEN n = 1 THEN '' ELSE 's' END $$;
COMMENT ON FUNCTION mongo_migrate.counted(bigint, text) IS 'a number with its noun: 1 table, 2 tables';

CREATE FUNCTION mongo_migrate.id_family(type text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT CASE WHEN type IN ('bigint', 'integer', 'smallint') THEN 'bigint' ELSE type END
$$;
COMMENT ON FUNCTION mongo_migrate.id_family(text) IS
    'integer types of any width are one family of id types';

-- Ids --------------------------------------------------------------------

CREATE FUNCTION mongo_migrate.has_ids(server name, collection text) RETURNS boolean
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT EXISTS (SELECT FROM mongo_migrate.id_map AS m
                   WHERE (m.server, m.collection) = ($1, $2) AND m.relation IS NOT NULL)
        OR EXISTS (SELECT FROM mongo_migrate.chunk AS k
                   WHERE k.server = $1 AND k.documents > 0 AND (k.collection = $2 OR k.collection IN (
                       SELECT c.collection FROM mongo_migrate.plan_column AS c
                       WHERE c.server = $1 AND c.refers_to = $2)))
$$;
COMMENT ON FUNCTION mongo_migrate.has_ids(name, text) IS
    'whether documents of a collection may have ids already: its map has been made, or documents that have or refer to ids were migrated';
REVOKE ALL ON FUNCTION mongo_migrate.has_ids(name, text) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.ensure_id_map(server name, collection text, id_type text DEFAULT NULL,
        column_type text DEFAULT NULL) RETURNS mongo_migrate.id_map
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    before mongo_migrate.id_map;
    result mongo_migrate.id_map;
    proposal record;
BEGIN
    SELECT * INTO before FROM mongo_migrate.id_map AS m
    WHERE m.server = server AND m.collection = collection;
    IF FOUND AND (id_type IS NULL OR (id_type = before.id_type AND
                  coalesce(column_type, before.column_type) = before.column_type)) THEN
        RETURN before;
    END IF;
    IF id_type <> before.id_type AND mongo_migrate.has_ids(server, collection) THEN
        RAISE EXCEPTION USING ERRCODE = 'object_in_use',
            MESSAGE = format('ids of collection "%s" are of type %s already', collection, before.id_type),
            DETAIL = 'Documents that have or refer to these ids were migrated, or are about to be.',
            HINT = format('Plan it with id_type => %L.', before.id_type);
    END IF;

    IF id_type IS NULL OR (id_type = 'source' AND column_type IS NULL) THEN
        SELECT * INTO proposal FROM mongo_migrate.propose_id(server, collection);
        column_type := CASE WHEN id_type IS NULL THEN proposal.column_type ELSE proposal.source_type END;
        id_type := coalesce(id_type, proposal.id_type);
    END IF;
    INSERT INTO mongo_migrate.id_map AS m (server, collection, id_type, column_type)
    VALUES (server, collection, id_type,
            coalesce(column_type, id_type))
    ON CONFLICT ON CONSTRAINT id_map_pkey
        DO UPDATE SET id_type = excluded.id_type, column_type = excluded.column_type
    RETURNING * INTO result;

    -- Tables that are still to be created follow.
    UPDATE mongo_migrate.plan_column AS c SET type = result.column_type
    FROM mongo_migrate.plan_target AS t
    WHERE (t.server, t.collection, t.target) = (c.server, c.collection, c.target)
      AND NOT t.existing AND c.role = 'reference' AND c.type = before.column_type
      AND c.server = server AND c.refers_to = collection;
    RETURN result;
END
$$;
COMMENT ON FUNCTION mongo_migrate.ensure_id_map(name, text, text, text) IS
    'the id_map row of a collection, made when there is none; id_type NULL: by its _id values, column_type NULL: by id_type';
REVOKE ALL ON FUNCTION mongo_migrate.ensure_id_map(name, text, text, text) FROM PUBLIC;

-- Writing a plan -----------------------------------------------------------

CREATE FUNCTION mongo_migrate.is_system_schema(schema text) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$ SELECT schema ~ '^pg_' OR schema IN ('information_schema', 'mongo_migrate') $$;
COMMENT ON FUNCTION mongo_migrate.is_system_schema(text) IS
    'whether a schema is PostgreSQL''s, a session''s own or the extension''s, where no table of documents belongs';

CREATE FUNCTION mongo_migrate.plan_relation(server name, collection text, target text, explicit boolean)
    RETURNS regclass
    LANGUAGE plpgsql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    relation regclass := to_regclass(target);
    kind "char" := (SELECT relkind FROM pg_class WHERE oid = relation);
BEGIN
    -- What was created for a plan is created for the one that follows it, too, and gets its keys.
    IF relation IS NULL OR EXISTS (SELECT FROM mongo_migrate.plan AS p
                                   WHERE (p.server, p.collection) = ($1, $2) AND target = ANY (p.created)) THEN
        RETURN NULL;
    ELSIF kind IN ('r', 'p') THEN
        RETURN relation;
    END IF;
    IF explicit THEN
        RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
            MESSAGE = format('%s is not a table', target),
            HINT = 'Name another target.';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_relation(name, text, text, boolean) IS
    'the existing table of that qualified name; NULL: there is none, or it was made for an earlier plan of the collection';
REVOKE ALL ON FUNCTION mongo_migrate.plan_relation(name, text, text, boolean) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.free_target(schema text, wanted text) RETURNS text
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT format('%I.%I', schema, mongo_migrate.free_name(wanted, ARRAY(
        SELECT c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = schema AND c.relkind NOT IN ('r', 'p')
        UNION ALL
        SELECT (parse_ident(t.target))[2] FROM mongo_migrate.plan_target AS t
        WHERE (parse_ident(t.target))[1] = schema)))
$$;
COMMENT ON FUNCTION mongo_migrate.free_target(text, text) IS
    'a qualified table name that no plan uses; an existing table may bear it';
REVOKE ALL ON FUNCTION mongo_migrate.free_target(text, text) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.add_plan_column(new mongo_migrate.plan_column, relation regclass) RETURNS name
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
BEGIN
    -- A name that is in the table already was matched, and is meant.
    IF (relation IS NULL OR NOT new.included) AND (
            EXISTS (SELECT FROM mongo_migrate.plan_column AS c
                    WHERE (c.server, c.collection, c.target, c.column_name) =
                          (new.server, new.collection, new.target, new.column_name))
            OR EXISTS (SELECT FROM pg_attribute AS a
                       WHERE a.attrelid IN (relation, 'pg_class'::regclass) AND a.attname = new.column_name
                         AND (a.attrelid = relation OR a.attnum < 0))) THEN
        new.column_name := mongo_migrate.free_name(new.column_name, ARRAY(
            SELECT c.column_name::text FROM mongo_migrate.plan_column AS c
            WHERE (c.server, c.collection, c.target) = (new.server, new.collection, new.target)
            UNION ALL
            SELECT attname::text FROM pg_attribute WHERE attrelid = relation
            UNION ALL
            SELECT attname::text FROM pg_attribute WHERE attrelid = 'pg_class'::regclass AND attnum < 0));
    END IF;
    new.ordinal := (SELECT count(*) + 1 FROM mongo_migrate.plan_column AS c
                    WHERE (c.server, c.collection, c.target) = (new.server, new.collection, new.target));
    INSERT INTO mongo_migrate.plan_column SELECT new.*;
    RETURN new.column_name;
END
$$;
COMMENT ON FUNCTION mongo_migrate.add_plan_column(mongo_migrate.plan_column, regclass) IS
    'adds a column to a plan, last, under a name that is free';
REVOKE ALL ON FUNCTION mongo_migrate.add_plan_column(mongo_migrate.plan_column, regclass) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.used_columns(server name, collection text, target text) RETURNS text[]
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT ARRAY(SELECT c.column_name::text FROM mongo_migrate.plan_column AS c
                 WHERE (c.server, c.collection, c.target) = ($1, $2, $3))
$$;
COMMENT ON FUNCTION mongo_migrate.used_columns(name, text, text) IS
    'the names of the columns that a plan has for a target';
REVOKE ALL ON FUNCTION mongo_migrate.used_columns(name, text, text) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.plan_field(field mongo_migrate.plan_path, target text, relation regclass,
        wanted text, path text, nullable boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    new mongo_migrate.plan_column;
    map mongo_migrate.id_map;
    refers boolean := field.refers_to IS NOT NULL AND field.refers_key = '_id';
    reference_name text := CASE WHEN wanted ~ 'id$' THEN wanted ELSE wanted || '_id' END;
    found_column name;
    found_type regtype;
    type_text text;
BEGIN
    new.server := field.server;
    new.collection := field.collection;
    new.target := target;
    new.path := path;
    new.role := 'value';
    new.type := field.proposed_type;
    new.nullable := nullable;
    new.source_type := field.proposed_type;
    new.refers_key := '_id';
    new.key_form := 'exact';
    new.on_dangling := 'null';
    new.is_unique := false;
    new.included := true;
    new.note := mongo_migrate.evidence(field.types, field.nulls, field.missing, field.note);
    new.column_name := wanted::name;

    IF refers THEN
        map := mongo_migrate.ensure_id_map(field.server, field.refers_to);
    END IF;
    IF relation IS NOT NULL THEN
        found_column := mongo_migrate.find_column(relation,
            CASE WHEN refers THEN ARRAY[wanted, reference_name] ELSE ARRAY[wanted] END,
            mongo_migrate.used_columns(field.server, field.collection, target));
        SELECT a.atttypid, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull
            INTO found_type, type_text, new.nullable
            FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attname = found_column;
    END IF;

    IF refers AND (relation IS NULL OR found_column IS NULL OR
                   mongo_migrate.id_family(type_text) = map.column_type) THEN
        new.role := 'reference';
        new.column_name := coalesce(found_column, reference_name::name);
        new.type := coalesce(type_text, map.column_type);
        new.refers_to := field.refers_to;
        new.key_form := field.key_form;
        new.nullable := found_column IS NULL OR new.nullable;
    ELSIF found_column IS NOT NULL THEN
        new.column_name := found_column;
        new.type := type_text;
        new.expression := mongo_migrate.implicit_cast(field.types, field.proposed_type, found_type);
    END IF;
    IF relation IS NOT NULL AND found_column IS NULL THEN
        new.included := false;
        new.nullable := true;
        new.note := concat_ws('; ', format('no column in %s', target), new.note);
    ELSIF field.refers_to IS NOT NULL AND NOT refers THEN
        new.note := concat_ws('; ', new.note, format('values are keys in %s', field.refers_to));
    END IF;
    -- Different values in MongoDB, different ones here: not so for 1 and "1" as text.
    new.is_unique := field.is_unique AND new.included AND new.expression IS NULL AND new.key_form = 'exact'
        AND (mongo_migrate.only_type(field.types) IS NOT NULL OR field.proposed_type IN ('integer', 'bigint', 'numeric'))
        AND field.proposed_type <> 'jsonb';
    PERFORM mongo_migrate.add_plan_column(new, relation);
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_field(mongo_migrate.plan_path, text, regclass, text, text, boolean) IS
    'plans the column of one field: the table''s where it exists, else by the proposed type';
REVOKE ALL ON FUNCTION mongo_migrate.plan_field(mongo_migrate.plan_path, text, regclass, text, text, boolean) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.plan_fields(server name, collection text, target text, relation regclass,
        base text, row_base text, prefix text, nullable boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    field mongo_migrate.plan_path;
    element mongo_migrate.plan_path;
    kind text;
    wanted text;
    path text;
    has_column boolean;
    nests_itself boolean;
    fields bigint;
    crowded boolean;         -- the table has hardly room for more columns
    left_out boolean := false;
BEGIN
    FOR field IN
        SELECT p.* FROM mongo_migrate.plan_path AS p
        WHERE p.server = server AND p.collection = collection
          AND p.parent IS NOT DISTINCT FROM base AND p.key IS NOT NULL
          AND NOT (base IS NULL AND p.key = '_id')
        ORDER BY p.ordinal
    LOOP
        -- A table has 1600 columns at most; a level of a sub-document may add 60.
        crowded := relation IS NULL AND field.ordinal > 1400 AND
            cardinality(mongo_migrate.used_columns(server, collection, target)) >= 1400;
        IF crowded AND base IS NOT DISTINCT FROM row_base THEN
            left_out := true;
            CONTINUE;
        END IF;
        kind := mongo_migrate.only_type(field.types);
        wanted := prefix || mongo_migrate.snake_case(field.key);
        path := substr(field.path, coalesce(length(row_base) + 2, 1));
        has_column := relation IS NOT NULL AND mongo_migrate.find_column(relation, ARRAY[wanted],
                mongo_migrate.used_columns(server, collection, target)) IS NOT NULL;
        -- An array within an array of its own name goes on to any depth: children[].children[].
        nests_itself := coalesce(position('.' || substr(field.path, length(field.parent) + 2) || '[]'
                                          IN '.' || row_base) > 0, false);
        element := NULL;
        IF NOT has_column AND kind = 'array' THEN
            SELECT p.* INTO element FROM mongo_migrate.plan_path AS p
            WHERE p.server = server AND p.collection = collection
              AND p.parent = field.path AND p.key IS NULL;
        END IF;
        SELECT count(*) INTO fields FROM mongo_migrate.plan_path AS p
        WHERE p.server = server AND p.collection = collection
          AND p.parent = coalesce(element.path, field.path) AND p.key IS NOT NULL;

        IF NOT has_column AND NOT crowded AND kind = 'object' AND fields BETWEEN 1 AND 60
           AND NOT field.is_map AND cardinality(mongo_migrate.path_segments(path)) <= 4 THEN
            PERFORM mongo_migrate.plan_fields(server, collection, target, relation, field.path,
                    row_base, wanted || '_', nullable OR field.proposed_nullable);
        ELSIF element.path IS NOT NULL AND NOT nests_itself AND
              ((mongo_migrate.only_type(element.types) = 'object' AND fields > 0 AND NOT element.is_map)
               OR element.refers_key = '_id') THEN
            PERFORM mongo_migrate.plan_array(field, element, target, path, wanted);
        ELSE
            PERFORM mongo_migrate.plan_field(field, target, relation, wanted, path,
                    nullable OR field.proposed_nullable);
        END IF;
    END LOOP;
    IF left_out THEN
        PERFORM mongo_migrate.plan_extra(server, collection, target);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_fields(name, text, text, regclass, text, text, text, boolean) IS
    'plans the fields of a document or sub-document: base is its path, row_base the path of the row that they go to';
REVOKE ALL ON FUNCTION mongo_migrate.plan_fields(name, text, text, regclass, text, text, text, boolean) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.plan_array(field mongo_migrate.plan_path, element mongo_migrate.plan_path,
        parent text, path text, wanted text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    parent_target mongo_migrate.plan_target;
    parent_table text := (parse_ident(parent))[2];
    target text := mongo_migrate.free_target((parse_ident(parent))[1], parent_table || '_' || wanted);
    relation regclass := mongo_migrate.plan_relation(field.server, field.collection, target, false);
    pivot boolean := mongo_migrate.only_type(element.types) IS DISTINCT FROM 'object';
    complete boolean := (SELECT p.sampled >= p.documents FROM mongo_migrate.plan AS p
                         WHERE (p.server, p.collection) = (field.server, field.collection));
    key_column mongo_migrate.plan_column;
    new mongo_migrate.plan_column;
    own_name text;
    matched name;
BEGIN
    SELECT t.* INTO parent_target FROM mongo_migrate.plan_target AS t
    WHERE (t.server, t.collection, t.target) = (field.server, field.collection, parent);
    INSERT INTO mongo_migrate.plan_target (server, collection, target, parent, kind, path, ordinal,
                                           existing, included, note)
    VALUES (field.server, field.collection, target, parent,
            CASE WHEN pivot THEN 'pivot' ELSE 'child' END, path,
            (SELECT count(*) + 1 FROM mongo_migrate.plan_target AS t
             WHERE (t.server, t.collection) = (field.server, field.collection)),
            relation IS NOT NULL,
            parent_target.included AND (relation IS NOT NULL OR NOT parent_target.existing),
            mongo_migrate.evidence(field.types, field.nulls, field.missing, field.note));

    -- The key: the parent's, and the position.
    new.server := field.server;
    new.collection := field.collection;
    new.target := target;
    new.nullable := false;
    new.refers_key := '_id';
    new.key_form := 'exact';
    new.on_dangling := 'null';
    new.is_unique := false;
    new.included := true;
    FOR key_column IN
        SELECT c.* FROM mongo_migrate.plan_column AS c
        WHERE (c.server, c.collection, c.target) = (field.server, field.collection, parent)
          AND c.role IN ('id', 'parent', 'position') ORDER BY c.ordinal
    LOOP
        own_name := CASE
            WHEN key_column.role = 'parent' THEN key_column.column_name
            WHEN key_column.role = 'position' THEN mongo_migrate.singular(
                mongo_migrate.snake_case(regexp_replace(parent_target.path, '^.*\.', ''))) || '_position'
            WHEN key_column.column_name IN ('id', '_id') THEN mongo_migrate.singular(parent_table) || '_id'
            ELSE key_column.column_name END;
        new.role := 'parent';
        new.type := key_column.type;
        new.parent_column := key_column.column_name;
        new.column_name := own_name::name;
        new.note := format('%s of %s', key_column.column_name, parent);
        IF relation IS NOT NULL THEN
            matched := mongo_migrate.find_column(relation,
                ARRAY[own_name, parent_table || '_' || key_column.column_name, 'parent_id'],
                mongo_migrate.used_columns(field.server, field.collection, target));
            IF matched IS NULL THEN
                new.included := false;
                new.note := format('no column in %s; %s', target, new.note);
            ELSE
                new.column_name := matched;
                new.type := mongo_migrate.column_type(relation, matched);
            END IF;
        END IF;
        PERFORM mongo_migrate.add_plan_column(new, relation);
    END LOOP;
    IF NOT new.included THEN
        UPDATE mongo_migrate.plan_target AS t SET included = false,
            note = concat_ws('; ', format('no column for the key of %s', parent), t.note)
        WHERE (t.server, t.collection, t.target) = (field.server, field.collection, target);
        new.included := true;
    END IF;
    new.role := 'position';
    new.type := 'integer';
    new.parent_column := NULL;
    new.column_name := 'position';
    new.note := 'position in the array, from 0';
    IF relation IS NOT NULL THEN
        new.column_name := mongo_migrate.find_column(relation,
            ARRAY['position', 'idx', 'index', 'ordinal', 'sort_order', 'array_index'],
            mongo_migrate.used_columns(field.server, field.collection, target));
        new.type := mongo_migrate.column_type(relation, new.column_name);
    END IF;
    IF new.column_name IS NOT NULL THEN
        PERFORM mongo_migrate.add_plan_column(new, relation);
    END IF;

    IF pivot THEN
        PERFORM mongo_migrate.plan_field(element, target, relation,
            mongo_migrate.singular(mongo_migrate.snake_case(field.key)), '$', element.nulls > 0 OR NOT complete);
    ELSE
        PERFORM mongo_migrate.plan_fields(field.server, field.collection, target, relation,
            element.path, element.path, '', element.nulls > 0 OR NOT complete);
    END IF;
    PERFORM mongo_migrate.report_unmatched(field.server, field.collection, target, relation);
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_array(mongo_migrate.plan_path, mongo_migrate.plan_path, text, text, text) IS
    'plans a child or pivot table for the elements of an array';
REVOKE ALL ON FUNCTION mongo_migrate.plan_array(mongo_migrate.plan_path, mongo_migrate.plan_path, text, text, text) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.report_unmatched(server name, collection text, target text, relation regclass)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    fields text;
    columns text;
    required text;
    arrays text;
BEGIN
    IF relation IS NULL THEN
        RETURN;
    END IF;
    SELECT string_agg(format('%s (%s)', t.path, t.target), ', ' ORDER BY t.ordinal) INTO arrays
    FROM mongo_migrate.plan_target AS t
    WHERE (t.server, t.collection, t.parent) = ($1, $2, $3) AND NOT t.included;
    SELECT string_agg(c.path, ', ' ORDER BY c.ordinal) INTO fields
    FROM mongo_migrate.plan_column AS c
    WHERE (c.server, c.collection, c.target) = ($1, $2, $3) AND NOT c.included;
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE NOT needed),
           string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FILTER (WHERE needed)
        INTO columns, required
    FROM (SELECT *, attnotnull AND NOT atthasdef AND attidentity = '' AS needed FROM pg_attribute) AS a
    WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
      AND a.attname <> ALL (mongo_migrate.used_columns($1, $2, $3));

    IF fields IS NOT NULL THEN
        RAISE NOTICE '%: no column for fields: %', target, fields;
    END IF;
    IF columns IS NOT NULL THEN
        RAISE NOTICE '%: no field for columns: %', target, columns;
    END IF;
    IF arrays IS NOT NULL THEN
        RAISE NOTICE '%: no table for arrays: %', target, arrays
            USING HINT = 'To have it created: UPDATE mongo_migrate.plan_target SET included = true, existing = false WHERE ...';
    END IF;
    IF required IS NOT NULL THEN
        RAISE WARNING '%: no field for NOT NULL columns: %', target, required
            USING HINT = 'Give them a default, or a plan_column with a path and an expression.';
    END IF;
    UPDATE mongo_migrate.plan_target AS t
    SET note = concat_ws('; ', t.note, 'no column for fields: ' || fields,
                         'no field for columns: ' || nullif(concat_ws(', ', required, columns), ''),
                         'no table for arrays: ' || arrays)
    WHERE (t.server, t.collection, t.target) = ($1, $2, $3);
END
$$;
COMMENT ON FUNCTION mongo_migrate.report_unmatched(name, text, text, regclass) IS
    'tells which fields have no column in an existing table, and which columns no field';
REVOKE ALL ON FUNCTION mongo_migrate.report_unmatched(name, text, text, regclass) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.plan_root_id(server name, collection text, target text, relation regclass,
        id_type text, note text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    new mongo_migrate.plan_column;
    map mongo_migrate.id_map;
    proposal record;
    type_text text;
BEGIN
    new.server := server;
    new.collection := collection;
    new.target := target;
    new.column_name := 'id';
    new.role := 'id';
    new.path := '_id';
    new.nullable := false;
    new.refers_key := '_id';
    new.key_form := 'exact';
    new.on_dangling := 'null';
    new.is_unique := false;
    new.included := true;
    new.note := note;
    SELECT * INTO proposal FROM mongo_migrate.propose_id(server, collection);
    IF relation IS NULL THEN
        map := mongo_migrate.ensure_id_map(server, collection, id_type);
        IF id_type IS NULL AND NOT mongo_migrate.has_ids(server, collection) THEN
            -- An earlier plan may have chosen otherwise.
            map := mongo_migrate.ensure_id_map(server, collection, proposal.id_type, proposal.column_type);
        END IF;
    ELSE
        new.column_name := coalesce(
            mongo_migrate.find_column(relation, ARRAY['_id', 'id'], '{}'),
            (SELECT a.attname FROM pg_index AS i JOIN pg_attribute AS a
                 ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
             WHERE i.indrelid = relation AND i.indisprimary AND i.indnkeyatts = 1),
            mongo_migrate.find_column(relation,
                ARRAY[mongo_migrate.singular(mongo_migrate.snake_case(collection)) || '_id'], '{}'));
        IF new.column_name IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'undefined_column',
                MESSAGE = format('table %s has no column for _id', target),
                HINT = format('ALTER TABLE %s ADD COLUMN id bigint GENERATED BY DEFAULT AS IDENTITY;', target);
        END IF;
        type_text := mongo_migrate.column_type(relation, new.column_name);
        id_type := coalesce(id_type, CASE
            WHEN mongo_migrate.id_family(type_text) IN ('bigint', 'uuid')
             AND mongo_migrate.id_family(type_text) <> mongo_migrate.id_family(proposal.source_type)
            THEN mongo_migrate.id_family(type_text) ELSE 'source' END);
        IF id_type <> 'source' AND id_type <> mongo_migrate.id_family(type_text) THEN
            RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch',
                MESSAGE = format('column "%s" of %s is %s and cannot hold ids of type %s',
                                 new.column_name, target, type_text, id_type);
        END IF;
        map := mongo_migrate.ensure_id_map(server, collection, id_type, mongo_migrate.id_family(type_text));
    END IF;
    new.type := coalesce(type_text, map.column_type);
    new.source_type := proposal.source_type;
    PERFORM mongo_migrate.add_plan_column(new, relation);
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_root_id(name, text, text, regclass, text, text) IS
    'plans the id column of a collection''s own table, and its id map';
REVOKE ALL ON FUNCTION mongo_migrate.plan_root_id(name, text, text, regclass, text, text) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.plan_extra(server name, collection text, only_target text DEFAULT NULL) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    target mongo_migrate.plan_target;
    new mongo_migrate.plan_column;
    relation regclass;
BEGIN
    new.server := server;
    new.collection := collection;
    new.role := 'extra';
    new.path := '$';
    new.type := 'jsonb';
    new.nullable := true;
    new.refers_key := '_id';
    new.key_form := 'exact';
    new.on_dangling := 'null';
    new.is_unique := false;
    FOR target IN
        SELECT t.* FROM mongo_migrate.plan_target AS t
        WHERE (t.server, t.collection) = (server, collection) AND t.kind IN ('root', 'child')
          AND t.target = coalesce(only_target, t.target)
          AND NOT EXISTS (SELECT FROM mongo_migrate.plan_column AS c
                          WHERE (c.server, c.collection, c.target) = (server, collection, t.target) AND c.role = 'extra')
        ORDER BY t.ordinal
    LOOP
        new.target := target.target;
        new.column_name := 'extra';
        new.included := true;
        new.note := 'fields that the plan does not know';
        IF target.existing THEN
            relation := to_regclass(target.target);
            new.included := mongo_migrate.column_type(relation, 'extra') IS NOT DISTINCT FROM 'jsonb'
                AND 'extra' <> ALL (mongo_migrate.used_columns(server, collection, target.target));
            new.note := CASE WHEN new.included THEN new.note
                ELSE format('no column extra of type jsonb in %s; %s', target.target, new.note) END;
        ELSE
            relation := NULL;
        END IF;
        PERFORM mongo_migrate.add_plan_column(new, relation);
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_extra(name, text, text) IS
    'plans a column extra for the fields that the plan does not know, in each table that has rows of documents, or in one';
REVOKE ALL ON FUNCTION mongo_migrate.plan_extra(name, text, text) FROM PUBLIC;

CREATE FUNCTION mongo_migrate.plan_collection(server name, collection text, target text DEFAULT NULL,
        sample_size bigint DEFAULT 10000, id_type text DEFAULT NULL, schema text DEFAULT 'public',
        replan boolean DEFAULT false, extra boolean DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    names text[] := parse_ident(target);
    created text[];
    relation regclass;
    read bigint;
    total bigint;
    id_note text;
    before jsonb;
    edited jsonb;
    result text;
BEGIN
    PERFORM mongo_migrate.require_source(server, collection);
    IF sample_size IS NULL OR schema IS NULL OR replan IS NULL THEN
        RAISE null_value_not_allowed USING
            MESSAGE = format('%s must not be null', CASE WHEN sample_size IS NULL THEN 'sample_size'
                                                         WHEN schema IS NULL THEN 'schema' ELSE 'replan' END);
    END IF;
    IF id_type NOT IN ('bigint', 'uuid', 'source') THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('invalid id_type "%s"', id_type),
            HINT = 'Id types are bigint, uuid and source.';
    END IF;
    IF cardinality(names) > 2 THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_name', MESSAGE = format('invalid target "%s"', target),
            HINT = 'A target is a table name, or schema.table.';
    END IF;
    schema := CASE WHEN cardinality(names) = 2 THEN names[1] ELSE schema END;
    IF mongo_migrate.is_system_schema(schema) THEN
        RAISE EXCEPTION USING ERRCODE = 'reserved_name',
            MESSAGE = format('schema "%s" belongs to the system', schema),
            HINT = 'Name a schema of your own; it is created where there is none.';
    END IF;
    IF EXISTS (SELECT FROM mongo_migrate.plan AS p
               WHERE (p.server, p.collection) = ($1, $2)) AND NOT replan THEN
        RAISE EXCEPTION USING ERRCODE = 'duplicate_object',
            MESSAGE = format('collection "%s" of server "%s" is planned already', collection, server),
            HINT = format('SELECT mongo_migrate.plan_collection(%L, %L, replan => true) makes its plan anew and keeps the edits of it.',
                          server, collection);
    END IF;
    IF EXISTS (SELECT FROM mongo_migrate.chunk AS c
               WHERE (c.server, c.collection) = ($1, $2) AND c.documents > 0) THEN
        RAISE EXCEPTION USING ERRCODE = 'object_in_use',
            MESSAGE = format('collection "%s" of server "%s" has been migrated', collection, server),
            HINT = CASE WHEN EXISTS (SELECT FROM mongo_migrate.plan AS p WHERE (p.server, p.collection) = ($1, $2))
                THEN format('Edit the plan. Or, to begin anew, first: SELECT mongo_migrate.reset_collection(%L, %L, truncate => true);',
                            server, collection)
                ELSE 'First remove the rows of the tables that it was migrated to, and its rows in mongo_migrate.chunk.' END;
    END IF;
    SELECT p.proposed, mongo_migrate.plan_entries(server, collection) INTO before, edited
        FROM mongo_migrate.plan AS p WHERE (p.server, p.collection) = ($1, $2);
    created := ARRAY(SELECT t.target FROM mongo_migrate.plan_target AS t
                     WHERE (t.server, t.collection) = ($1, $2) AND NOT t.existing
                       AND starts_with(obj_description(to_regclass(t.target), 'pg_class'), 'MongoDB: ' || collection));
    DELETE FROM mongo_migrate.plan AS p WHERE (p.server, p.collection) = ($1, $2);

    -- What the documents show.
    INSERT INTO mongo_migrate.plan (server, collection, created) VALUES (server, collection, created);
    INSERT INTO mongo_migrate.plan_path (server, collection, path, ordinal, parent, key, types, present,
            nulls, missing, is_map, is_unique, proposed_type, proposed_nullable, refers_to, refers_key, key_form, note)
        SELECT $1, $2, i.path, i.ordinal, i.parent, i.key, i.types, i.present,
            i.nulls, i.missing, i.is_map, i.is_unique, i.proposed_type, i.proposed_nullable, i.refers_to, i.refers_key,
            i.key_form, i.note
        FROM mongo_migrate.infer_schema(server, collection, sample_size) AS i;
    SELECT coalesce(max(p.present + p.nulls + p.missing), 0),
           min(mongo_migrate.evidence(p.types, p.nulls, p.missing, p.note)) FILTER (WHERE p.path = '_id')
        INTO read, id_note
        FROM mongo_migrate.plan_path AS p WHERE (p.server, p.collection) = ($1, $2) AND p.parent IS NULL;
    IF read > 0 AND id_note IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = 'feature_not_supported',
            MESSAGE = format('documents of "%s" have no _id', collection),
            HINT = 'A view must yield _id to be migrated.';
    END IF;
    total := CASE WHEN sample_size = 0 OR read < sample_size THEN read ELSE greatest(read,
        (mongo_migrate.run_command(server, json_build_object('count', collection)) ->> 'n')::bigint) END;
    UPDATE mongo_migrate.plan AS p SET documents = total, sampled = read,
        note = CASE WHEN read = 0 THEN 'the collection is empty: only its id is planned' END
        WHERE (p.server, p.collection) = ($1, $2);

    -- The collection's own table, and from there all others.
    IF target IS NULL THEN
        target := mongo_migrate.free_target(schema, mongo_migrate.snake_case(collection));
    ELSE
        target := format('%I.%I', schema, names[cardinality(names)]);
        IF EXISTS (SELECT FROM mongo_migrate.plan_target AS t WHERE t.target = target) THEN
            RAISE EXCEPTION USING ERRCODE = 'duplicate_table',
                MESSAGE = format('table %s is the target of another plan', target),
                HINT = 'Name another target.';
        END IF;
    END IF;
    relation := mongo_migrate.plan_relation(server, collection, target, true);
    INSERT INTO mongo_migrate.plan_target (server, collection, target, kind, ordinal, existing)
    VALUES (server, collection, target, 'root', 1, relation IS NOT NULL);
    PERFORM mongo_migrate.plan_root_id(server, collection, target, relation, id_type,
                                       coalesce(id_note, 'no document'));
    PERFORM mongo_migrate.plan_fields(server, collection, target, relation, NULL, NULL, '', read < total);
    PERFORM mongo_migrate.report_unmatched(server, collection, target, relation);
    -- infer_schema() shows 5000 paths at most: there may be more.
    IF coalesce(extra, jsonb_path_exists(before, '$.*.role ? (@ == "extra")')
                       OR 5000 <= (SELECT count(*) FROM mongo_migrate.plan_path AS p
                                   WHERE (p.server, p.collection) = ($1, $2))) THEN
        PERFORM mongo_migrate.plan_extra(server, collection);
    END IF;
    UPDATE mongo_migrate.plan AS p SET proposed = mongo_migrate.plan_entries(server, collection)
        WHERE (p.server, p.collection) = ($1, $2);
    PERFORM mongo_migrate.merge_plan(server, collection, before, edited);

    SELECT format('%s: %s, %s, %s, from %s of %s', collection,
                  mongo_migrate.counted(count(DISTINCT t.target), 'table'),
                  mongo_migrate.counted(count(c.column_name), 'column'),
                  mongo_migrate.counted(count(c.refers_to), 'reference'),
                  read, mongo_migrate.counted(total, 'document'))
        INTO result
        FROM mongo_migrate.plan_target AS t JOIN mongo_migrate.plan_column AS c USING (server, collection, target)
        WHERE (t.server, t.collection) = ($1, $2) AND t.included AND c.included;
    RETURN result;
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_collection(name, text, text, bigint, text, text, boolean, boolean) IS
    'plans a collection''s tables in plan, plan_target and plan_column, to be edited there; target: its table, else by its name in schema; sample_size: documents to read, 0 for all; id_type: bigint, uuid or source, else by the _id values; replan: make the plan that there is anew, with the edits of it; what is new, gone or of another type is told in notices; extra: with columns for the fields that the plan does not know, NULL: as before, else without';
REVOKE ALL ON FUNCTION mongo_migrate.plan_collection(name, text, text, bigint, text, text, boolean, boolean) FROM PUBLIC;

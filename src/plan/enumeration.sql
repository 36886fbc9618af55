-- enumeration.sql: text columns of few values as enum types, lookup tables or checks.
--
-- A plan has such columns as text.  What a person makes of one stands in its
-- row of plan_column: labels are the values; of an enum, type is its name; with
-- a lookup table the column has the id of the value's row there, by an
-- expression.  Types and lookup tables are made by apply_ddl().

CREATE FUNCTION mongo_migrate.proposed_labels(field mongo_migrate.plan_path) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT array_agg(v.label ORDER BY v.place)
    FROM (SELECT label, min(place) AS place FROM unnest(field.allowed_values || field.few_values) WITH ORDINALITY AS u (label, place)
          GROUP BY label) AS v
$$;
COMMENT ON FUNCTION mongo_migrate.proposed_labels(mongo_migrate.plan_path) IS
    'the strings that a field may be an enumeration of: those of the source''s validator, in its order, then others that documents have; NULL: none';

CREATE FUNCTION mongo_migrate.propose_enumerations(server name, collection text DEFAULT NULL)
    RETURNS TABLE (target text, column_name name, path text, labels text[], statement text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_column
BEGIN
    PERFORM mongo_migrate.require_plan($1, $2);
    RETURN QUERY
        SELECT c.target, c.column_name, p.path, l.labels,
               format('SELECT mongo_migrate.plan_enumeration(%L, %L, %L, ''enum'');', c.server, c.collection, p.path)
        FROM mongo_migrate.plan_column AS c
            JOIN mongo_migrate.plan_target AS t USING (server, collection, target)
            JOIN mongo_migrate.plan_path AS p ON (p.server, p.collection, p.path) = (c.server, c.collection,
                mongo_migrate.full_path(mongo_migrate.target_base(c.server, c.collection, c.target), c.path))
            CROSS JOIN LATERAL mongo_migrate.proposed_labels(p) AS l (labels)
        WHERE c.server = $1 AND c.collection = coalesce($2, c.collection) AND l.labels IS NOT NULL
          AND c.role = 'value' AND c.type = 'text' AND c.expression IS NULL AND c.check_rule IS NULL
          AND c.included AND t.included AND NOT t.existing
        ORDER BY c.collection COLLATE "C", t.ordinal, c.ordinal;
END
$$;
COMMENT ON FUNCTION mongo_migrate.propose_enumerations(name, text) IS
    'the text columns of a plan (collection NULL: of every plan of the server) whose values are few strings, or which a validator allows few strings in; labels: these; statement: the one that plans an enum type';

CREATE FUNCTION mongo_migrate.unknown_label(lookup_table text, value text) RETURNS integer
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    RAISE invalid_text_representation USING
        MESSAGE = format('table %s has no row for %s', lookup_table, quote_literal(left(value, 100))),
        HINT = format('INSERT INTO %s (name) VALUES (%s); or mend the document.', lookup_table, quote_literal(left(value, 1000)));
END
$$;
COMMENT ON FUNCTION mongo_migrate.unknown_label(text, text) IS
    'the error that a lookup table has no row for a value; NULL for NULL';

CREATE FUNCTION mongo_migrate.free_enumeration(c mongo_migrate.plan_column) RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
    -- A table has a type of its own, so that names of both are among types.
    SELECT format('%I.%I', t.name[1], mongo_migrate.free_name(mongo_migrate.singular(t.name[2]) || '_' || c.column_name, ARRAY(
        SELECT y.typname::text FROM pg_type AS y JOIN pg_namespace AS n ON n.oid = y.typnamespace WHERE n.nspname = t.name[1]
        UNION ALL
        SELECT (parse_ident(o.target))[2] FROM mongo_migrate.plan_target AS o WHERE (parse_ident(o.target))[1] = t.name[1]
        UNION ALL
        SELECT (parse_ident(coalesce(o.lookup_table, o.type)))[2] FROM mongo_migrate.plan_column AS o WHERE o.labels IS NOT NULL)))
    FROM parse_ident(c.target) AS t (name)
$$;
COMMENT ON FUNCTION mongo_migrate.free_enumeration(mongo_migrate.plan_column) IS
    'a name, not taken, for an enum type or a lookup table of a column: public.order_state';

CREATE FUNCTION mongo_migrate.set_enumeration(c mongo_migrate.plan_column, kind text, labels text[], name text) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    new mongo_migrate.plan_column := c;
    quoted text := (SELECT string_agg(quote_literal(l), ', ' ORDER BY n) FROM unnest(labels) WITH ORDINALITY AS u (l, n));
BEGIN
    -- As it was, and from there on.
    new.type := 'text';
    new.source_type := 'text';
    new.labels := NULL;
    IF c.lookup_table IS NOT NULL THEN
        new.lookup_table := NULL;
        new.expression := NULL;
        new.reverse_expression := NULL;
        new.column_name := regexp_replace(c.column_name, '_id$', '');
    END IF;
    IF c.check_rule ~ '^IN \(''' THEN
        new.check_rule := NULL;
    END IF;
    CASE kind
        WHEN 'enum' THEN
            new.type := name;
            new.labels := labels;
        WHEN 'lookup' THEN
            new.type := 'integer';
            new.labels := labels;
            new.lookup_table := name;
            new.expression := format('coalesce((SELECT l.id FROM %s AS l WHERE l.name = value), mongo_migrate.unknown_label(%L, value))',
                                     name, name);
            new.reverse_expression := format('(SELECT l.name FROM %s AS l WHERE l.id = value)', name);
            new.column_name := new.column_name || CASE WHEN new.column_name ~ '_id$' THEN '' ELSE '_id' END;
            new.default_value := NULL;
        WHEN 'check' THEN
            new.check_rule := format('IN (%s)', quoted);
        ELSE NULL;
    END CASE;
    IF new.column_name <> c.column_name THEN
        new.column_name := mongo_migrate.free_name(new.column_name, mongo_migrate.used_columns(c.server, c.collection, c.target));
    END IF;
    UPDATE mongo_migrate.plan_column AS o
    SET column_name = new.column_name, type = new.type, source_type = new.source_type, labels = new.labels,
        lookup_table = new.lookup_table, expression = new.expression, reverse_expression = new.reverse_expression,
        check_rule = new.check_rule, default_value = new.default_value
    WHERE (o.server, o.collection, o.target, o.column_name) = (c.server, c.collection, c.target, c.column_name);
    RETURN coalesce(new.lookup_table, new.check_rule, new.type);
END
$$;
COMMENT ON FUNCTION mongo_migrate.set_enumeration(mongo_migrate.plan_column, text, text[], text) IS
    'has a column of a plan be an enum, an id in a lookup table, text with a check, or text';

CREATE FUNCTION mongo_migrate.plan_enumeration(server name, collection text, path text, kind text DEFAULT 'enum',
        labels text[] DEFAULT NULL, name text DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    names text[] := parse_ident(name);
    c mongo_migrate.plan_column;
    result text;
BEGIN
    PERFORM mongo_migrate.require_plan(server, collection);
    IF kind IS NULL OR kind NOT IN ('enum', 'lookup', 'check', 'text') THEN
        RAISE invalid_parameter_value USING MESSAGE = format('invalid kind %s', quote_nullable(kind)),
            HINT = 'Kinds are enum, lookup, check, and text for none of these.';
    ELSIF cardinality(names) > 2 OR mongo_migrate.is_system_schema(names[1]) THEN
        RAISE invalid_name USING MESSAGE = format('invalid name "%s"', name),
            HINT = 'A type or table is schema.name, in a schema of your own.';
    END IF;
    IF EXISTS (SELECT FROM mongo_migrate.chunk AS k WHERE (k.server, k.collection) = ($1, $2) AND k.documents > 0) THEN
        RAISE object_in_use USING
            MESSAGE = format('collection "%s" of server "%s" has been migrated', collection, server),
            HINT = format('To begin anew, first: SELECT mongo_migrate.reset_collection(%L, %L, truncate => true);', server, collection);
    END IF;
    labels := coalesce(labels, (SELECT mongo_migrate.proposed_labels(p) FROM mongo_migrate.plan_path AS p
                                WHERE (p.server, p.collection, p.path) = ($1, $2, $3)));
    IF kind <> 'text' AND (array_ndims(labels) > 1 OR cardinality(labels) <> (SELECT count(DISTINCT l) FROM unnest(labels) AS l)) THEN
        RAISE invalid_parameter_value USING MESSAGE = 'labels must be a list, different and not null';
    ELSIF kind = 'enum' AND EXISTS (SELECT FROM unnest(labels) AS l WHERE octet_length(l) > 63) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('"%s" is too long for a label of an enum', (SELECT l FROM unnest(labels) AS l WHERE octet_length(l) > 63 LIMIT 1)),
            HINT = 'It may have 63 bytes. kind => ''lookup'' or ''check'' takes longer ones.';
    END IF;

    FOR c IN
        SELECT o.* FROM mongo_migrate.plan_column AS o JOIN mongo_migrate.plan_target AS t USING (server, collection, target)
        WHERE (o.server, o.collection) = ($1, $2) AND o.role = 'value' AND NOT t.existing
          AND mongo_migrate.full_path(mongo_migrate.target_base(o.server, o.collection, o.target), o.path) = $3
          AND (o.labels IS NOT NULL OR (o.type = 'text' AND o.expression IS NULL))
        ORDER BY t.ordinal, o.ordinal
    LOOP
        IF kind <> 'text' AND coalesce(cardinality(labels), 0) = 0 THEN
            RAISE invalid_parameter_value USING
                MESSAGE = format('the values of path "%s" of collection "%s" are not known to be few strings', path, collection),
                HINT = 'Name them: labels => ARRAY[''...''].';
        END IF;
        IF names IS NULL THEN
            -- Of one name from call to call, and for several tables of the collection.
            name := CASE WHEN c.labels IS NOT NULL AND (c.lookup_table IS NOT NULL) = (kind = 'lookup')
                         THEN coalesce(c.lookup_table, c.type) ELSE mongo_migrate.free_enumeration(c) END;
        ELSE
            name := format('%I.%I', CASE cardinality(names) WHEN 2 THEN names[1] ELSE (parse_ident(c.target))[1] END,
                           names[cardinality(names)]);
        END IF;
        names := parse_ident(name);
        result := mongo_migrate.set_enumeration(c, kind, labels, name);
    END LOOP;
    IF result IS NULL THEN
        RAISE undefined_column USING
            MESSAGE = format('the plan of collection "%s" has no column of type text for path "%s"', collection, path),
            HINT = 'A path is as in mongo_migrate.plan_path: items[].unit. Columns with an expression, and of a table that exists, are left as they are.';
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_enumeration(name, text, text, text, text[], text) IS
    'plans a text column, by its path as in mongo_migrate.plan_path, as an enumeration; kind: enum (a type), lookup (a table (id, name), whose ids the column has), check (text, with a constraint after the load) or text (none of these again); labels: the values, NULL: those of the validator and those seen; name: of the type or table, which may exist, NULL: by table and column. Result: the type, the table or the check. Errors: no such column; values not known, not different, or too long for an enum; documents were copied';

CREATE FUNCTION mongo_migrate.enumeration_ddl(server name, collection text)
    RETURNS TABLE (name text, statement text, done boolean)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
    WITH labels AS (
        SELECT coalesce(c.lookup_table, c.type) AS name, c.lookup_table IS NOT NULL AS is_table, u.label,
               row_number() OVER (ORDER BY c.collection COLLATE "C", t.ordinal, c.ordinal, u.place) AS place
        FROM mongo_migrate.plan_column AS c JOIN mongo_migrate.plan_target AS t USING (server, collection, target),
            unnest(c.labels) WITH ORDINALITY AS u (label, place)
        WHERE c.server = $1 AND c.collection = coalesce($2, c.collection) AND c.labels IS NOT NULL AND c.included AND t.included AND NOT t.existing
    ), enumerations AS (
        SELECT l.name, l.is_table, array_agg(quote_literal(l.label) ORDER BY l.place) AS labels, min(l.place) AS place
        FROM (SELECT name, is_table, label, min(place) AS place FROM labels GROUP BY 1, 2, 3) AS l
        GROUP BY 1, 2
    )
    SELECT e.name, s.statement, s.done
    FROM enumerations AS e CROSS JOIN LATERAL (VALUES
        (1, NOT e.is_table, to_regtype(e.name) IS NOT NULL,
         format('CREATE TYPE %s AS ENUM (%s)', e.name, array_to_string(e.labels, ', '))),
        (1, e.is_table, to_regclass(e.name) IS NOT NULL,
         format('CREATE TABLE %s (id integer GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE)', e.name)),
        (2, e.is_table, false,
         format('INSERT INTO %1$s (name) SELECT u.label FROM unnest(ARRAY[%2$s]) WITH ORDINALITY AS u (label, place) '
                'WHERE NOT EXISTS (SELECT FROM %1$s AS l WHERE l.name = u.label) ORDER BY u.place ON CONFLICT DO NOTHING',
                e.name, array_to_string(e.labels, ', ')))
        ) AS s (step, wanted, done, statement)
    WHERE s.wanted ORDER BY e.place, s.step
$$;
COMMENT ON FUNCTION mongo_migrate.enumeration_ddl(name, text) IS
    'the statements that make the enum types and fill the lookup tables of a plan (collection NULL: of all of the server), in order; done: it exists';

CREATE FUNCTION mongo_migrate.known_labels(c mongo_migrate.plan_column) RETURNS text[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    result text[] := c.labels || ARRAY(SELECT e.enumlabel::text FROM pg_enum AS e
                                       WHERE c.lookup_table IS NULL AND e.enumtypid = to_regtype(c.type));
BEGIN
    IF to_regclass(c.lookup_table) IS NOT NULL THEN
        EXECUTE format('SELECT $1 || ARRAY(SELECT l.name::text FROM %s AS l)', c.lookup_table) INTO result USING result;
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION mongo_migrate.known_labels(mongo_migrate.plan_column) IS
    'the labels of an enumeration: those of the plan, and those that its type or lookup table has by now; NULL: the column is none';

CREATE FUNCTION mongo_migrate.check_enumeration(c mongo_migrate.plan_column, OUT problem text, OUT hint text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    name constant text := coalesce(c.lookup_table, c.type);
    names constant text[] := parse_ident(name);
    taken constant text := CASE
        WHEN to_regclass(name) IS NULL AND EXISTS (SELECT FROM mongo_migrate.plan_target AS t WHERE t.included AND parse_ident(t.target) = names)
        THEN 'a table that a collection is to go to'
        WHEN EXISTS (SELECT FROM mongo_migrate.plan_column AS o JOIN mongo_migrate.plan_target AS t USING (server, collection, target)
                     WHERE o.labels IS NOT NULL AND o.included AND t.included AND (o.lookup_table IS NULL) <> (c.lookup_table IS NULL)
                       AND parse_ident(coalesce(o.lookup_table, o.type)) = names)
        THEN 'an enum and of a lookup table'
        WHEN c.lookup_table IS NOT NULL AND to_regclass(name) IS NULL AND to_regtype(name) IS NOT NULL THEN 'a type that is no table''s' END;
    missing text;
BEGIN
    IF cardinality(names) <> 2 OR mongo_migrate.is_system_schema(names[1]) THEN
        problem := format('"%s" is no name of a type or table in a schema of your own', name);
        hint := mongo_migrate.mend_column(c, CASE WHEN c.lookup_table IS NULL THEN 'type' ELSE 'lookup_table' END || ' = ''schema.name''');
    ELSIF taken IS NOT NULL THEN
        problem := format('%s is the name of %s', name, taken);
        hint := format('SELECT mongo_migrate.plan_enumeration(%L, %L, %L, %L, name => ''schema.name'');', c.server, c.collection,
                       mongo_migrate.full_path(mongo_migrate.target_base(c.server, c.collection, c.target), c.path),
                       CASE WHEN c.lookup_table IS NULL THEN 'enum' ELSE 'lookup' END);
    ELSIF c.lookup_table IS NULL THEN
        SELECT l INTO missing FROM unnest(c.labels) WITH ORDINALITY AS u (l, n)
        WHERE to_regtype(name) IS NOT NULL
          AND NOT EXISTS (SELECT FROM pg_enum AS e WHERE e.enumtypid = to_regtype(name) AND e.enumlabel = l) ORDER BY n LIMIT 1;
        IF FOUND AND (SELECT typtype FROM pg_type WHERE oid = to_regtype(name)) = 'e' THEN
            problem := format('enum %s has no label %L', name, missing);
            hint := format('ALTER TYPE %s ADD VALUE %L;', name, missing);
        ELSIF FOUND THEN
            problem := format('type %s is no enum, and the plan has labels for it', name);
            hint := mongo_migrate.mend_column(c, 'labels = NULL');
        END IF;
    ELSIF (mongo_migrate.target_distribution(c.server, c.collection, c.target)).kind IS NOT NULL THEN
        problem := 'Citus has the table on other nodes, which have no lookup table';
        hint := format('SELECT mongo_migrate.plan_enumeration(%L, %L, %L, ''enum'');', c.server, c.collection,
                       mongo_migrate.full_path(mongo_migrate.target_base(c.server, c.collection, c.target), c.path));
    ELSIF mongo_migrate.citus_place(c.target) IS NOT NULL AND to_regclass(name) IS NOT NULL AND mongo_migrate.citus_place(name) IS NULL THEN
        -- It would make it one of its own with the foreign key, which it cannot after it has been to the table.
        problem := format('Citus has the table, and has no foreign key from it to %s, which it does not know', name);
        hint := format('SELECT citus_add_local_table_to_metadata(%L);', name);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_enumeration(mongo_migrate.plan_column) IS
    'what is wrong with the enum type or lookup table of a column, and the statement that mends it; NULL: nothing';

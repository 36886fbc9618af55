-- check_column.sql: what is wrong with a column of a plan, by itself and by the documents that were read.

CREATE FUNCTION mongo_migrate.check_key_role(c mongo_migrate.plan_column, OUT problem text, OUT hint text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    t constant mongo_migrate.plan_target := (SELECT o FROM mongo_migrate.plan_target AS o
                                             WHERE (o.server, o.collection, o.target) = (c.server, c.collection, c.target));
    twin name;
BEGIN
    SELECT o.column_name INTO twin FROM mongo_migrate.plan_column AS o
    WHERE (o.server, o.collection, o.target, o.role) = (c.server, c.collection, c.target, c.role) AND o.included AND NOT t.existing
      AND o.parent_column IS NOT DISTINCT FROM c.parent_column AND (o.ordinal, o.column_name) < (c.ordinal, c.column_name)
    ORDER BY o.ordinal, o.column_name LIMIT 1;
    problem := CASE
        WHEN t.parent IS NULL AND c.role <> 'id' THEN format('only tables with a parent have columns of role %s', c.role)
        WHEN t.parent IS NOT NULL AND c.role = 'id' THEN 'only tables of kind root have columns of role id'
        WHEN t.kind = 'map' AND c.role = 'position' THEN 'rows of a map have no position, but a key'
        WHEN t.kind <> 'map' AND c.role = 'key' THEN 'only rows of a map have a key; those of an array have a position'
        WHEN t.nested_path IS NULL AND c.role = 'parent_position' THEN 'only rows of a tree have the position of another, and the table has no nested_path'
        WHEN twin IS NOT NULL THEN format('column %I is the same part of the key', twin) END;
    hint := mongo_migrate.mend_column(c, CASE
        WHEN twin IS NOT NULL OR c.role = 'parent_position' THEN 'included = false'
        WHEN t.parent IS NULL THEN 'role = ''value'', parent_column = NULL, path = ''...'''
        WHEN c.role = 'position' THEN 'role = ''key'', path = ''$key'', type = ''text'''
        WHEN c.role = 'key' THEN 'role = ''position'', path = NULL, type = ''integer'''
        ELSE 'role = ''value''' END);
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_key_role(mongo_migrate.plan_column) IS
    'why a column of a role that makes keys cannot be in the key of its table, and the statement that mends it; problem NULL: it can';

CREATE FUNCTION mongo_migrate.check_role(c mongo_migrate.plan_column, canonical text, OUT problem text, OUT hint text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF c.role IN ('id', 'parent', 'position', 'parent_position', 'key') THEN
        SELECT k.problem, k.hint INTO problem, hint FROM mongo_migrate.check_key_role(c) AS k;
    END IF;
    IF problem IS NOT NULL THEN
        RETURN;
    ELSIF c.role = 'extra' AND canonical <> 'jsonb' THEN
        problem := format('fields that the plan does not know go to jsonb, and the column is %s', canonical);
        hint := mongo_migrate.mend_column(c, 'type = ''jsonb''');
    ELSIF c.role IN ('position', 'parent_position') AND NOT mongo_migrate.can_refer('integer', c.type) THEN
        problem := format('positions are integers, and the column is %s', canonical);
        hint := mongo_migrate.mend_column(c, 'type = ''integer''');
    ELSIF c.role = 'key' AND NOT mongo_migrate.takes_bson_type(c.type, 'string') THEN
        problem := format('the names of a map are strings, and the column is %s', canonical);
        hint := mongo_migrate.mend_column(c, 'type = ''text''');
    ELSIF c.expression IS NOT NULL AND c.role NOT IN ('id', 'value') THEN
        problem := format('only columns of role id and value can have an expression, and it is of role %s', c.role);
        hint := mongo_migrate.mend_column(c, 'expression = NULL');
    ELSIF c.role = 'id' AND c.path <> '_id' THEN
        problem := format('rows are known by the id of their document''s _id, and the path is "%s"', c.path);
        hint := mongo_migrate.mend_column(c, 'path = ''_id''');
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_role(mongo_migrate.plan_column, text) IS
    'what a column of a plan, whose type is canonical, has that does not go with its role, and the statement that mends it; NULL: nothing';

CREATE FUNCTION mongo_migrate.check_relation_column(c mongo_migrate.plan_column, relation regclass, canonical text,
        OUT problem text, OUT hint text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    found_type constant text := mongo_migrate.column_type(relation, c.column_name);
    kind constant "char" := (SELECT r.relkind FROM pg_class AS r WHERE r.oid = relation);
BEGIN
    IF found_type IS NULL THEN
        problem := format('table %s has no such column', c.target);
        hint := CASE kind WHEN 'v' THEN format('Make the view anew with column %I of type %s', c.column_name, c.type)
                          ELSE format('ALTER TABLE %s ADD COLUMN %I %s', c.target, c.column_name, c.type) END
                || '; or leave it out: ' || mongo_migrate.mend_column(c, 'included = false');
    ELSIF found_type <> canonical THEN
        problem := format('it is %s in table %s, and the plan says %s', found_type, c.target, canonical);
        hint := CASE kind WHEN 'v' THEN format('Make the view anew with column %I of type %s', c.column_name, canonical)
                          WHEN 'f' THEN format('ALTER FOREIGN TABLE %s ALTER COLUMN %I TYPE %s', c.target, c.column_name, canonical)
                          -- A cast to a length cuts.
                          ELSE format('ALTER TABLE %1$s ALTER COLUMN %2$I TYPE %3$s USING %2$I::%4$s', c.target, c.column_name, canonical,
                                      format_type(to_regtype(canonical), -1)) END
                || '; or: ' || mongo_migrate.mend_column(c, format('type = %L', found_type));
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_relation_column(mongo_migrate.plan_column, regclass, text) IS
    'whether a table has a column of a plan, of the type canonical, and the statements that mend it; NULL: it has';

CREATE FUNCTION mongo_migrate.qualified_type(type text) RETURNS text
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT quote_literal(format('%I.%I', n.nspname, t.typname))
    FROM pg_type AS t JOIN pg_namespace AS n ON n.oid = t.typnamespace
    WHERE n.nspname <> 'pg_catalog' AND t.typname = lower(regexp_replace($1, '[( ].*$', ''))
    ORDER BY n.nspname <> 'public', n.nspname LIMIT 1
$$;
COMMENT ON FUNCTION mongo_migrate.qualified_type(text) IS
    'a literal of the qualified name of a type that was named without its schema; NULL: there is none';

CREATE FUNCTION mongo_migrate.check_column(c mongo_migrate.plan_column, relation regclass,
        OUT problem text, OUT hint text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    map mongo_migrate.id_map;
    canonical text;
    step text := 'type';
BEGIN
    PERFORM mongo_migrate.set_plan_settings(c.server, c.collection);
    IF c.column_name = '' OR EXISTS (SELECT FROM pg_attribute AS a
                                     WHERE a.attrelid = 'pg_class'::regclass AND a.attnum < 0 AND a.attname = c.column_name) THEN
        problem := format('a column cannot be called "%s"', c.column_name);
        hint := mongo_migrate.mend_column(c, 'column_name = ''...''');
        RETURN;
    END IF;
    IF c.labels IS NOT NULL THEN
        SELECT k.problem, k.hint INTO problem, hint FROM mongo_migrate.check_enumeration(c) AS k;
        IF problem IS NOT NULL THEN
            RETURN;
        END IF;
        -- What is still to be created takes what text takes.
        IF c.lookup_table IS NULL AND to_regtype(c.type) IS NULL THEN
            c.type := 'text';
        ELSIF c.lookup_table IS NOT NULL AND to_regclass(c.lookup_table) IS NULL THEN
            c.expression := 'NULL::integer';
            c.reverse_expression := 'NULL::text';
        END IF;
    END IF;
    canonical := mongo_migrate.canonical_type(c.type);
    step := 'source_type';
    IF c.source_type IS NOT NULL THEN
        PERFORM mongo_migrate.canonical_type(c.source_type);
    END IF;
    IF c.path IS NOT NULL THEN
        step := CASE WHEN c.expression IS NOT NULL AND c.source_type IS NOT NULL THEN 'source_type' ELSE 'type' END;
        PERFORM mongo_migrate.check_bson_type(CASE step WHEN 'type' THEN c.type ELSE c.source_type END);
        step := 'path';
        PERFORM mongo_migrate.path_segments(c.path);
    END IF;
    IF mongo_migrate.holds_ids(c) THEN
        step := 'refers_to';
        map := mongo_migrate.ensure_id_map(c.server, c.refers_to);
    ELSIF c.role = 'id' THEN
        map := mongo_migrate.ensure_id_map(c.server, c.collection);
    END IF;
    step := 'expression';
    -- What comes from a map has the map's type.
    PERFORM mongo_migrate.check_expression(c.expression,
        coalesce(nullif(map.id_type, 'source'), c.source_type, c.type), c.type, has_doc => true);
    step := 'reverse_expression';
    PERFORM mongo_migrate.check_expression('(' || c.reverse_expression || chr(10) || ') IS NULL', c.type, 'boolean');
    step := 'check_rule';
    PERFORM mongo_migrate.check_expression(quote_ident(c.column_name) || ' ' || c.check_rule, c.type, 'boolean', of_column => c.column_name);
    step := 'default_value';
    PERFORM mongo_migrate.check_expression(c.default_value, NULL, c.type, of_column => c.column_name);

    SELECT k.problem, k.hint INTO problem, hint FROM mongo_migrate.check_role(c, canonical) AS k;
    IF problem IS NULL AND relation IS NOT NULL THEN
        SELECT k.problem, k.hint INTO problem, hint FROM mongo_migrate.check_relation_column(c, relation, canonical) AS k;
    END IF;
    IF problem IS NULL AND map.id_type IS NOT NULL AND map.id_type <> 'source' AND c.expression IS NULL
       AND mongo_migrate.id_family(canonical) <> map.id_type THEN
        problem := format('ids of collection "%s" are %s, and the column is %s', map.collection, map.id_type, canonical);
        hint := mongo_migrate.mend_column(c, format('type = %L', map.column_type));
    END IF;
    IF problem IS NULL AND c.role = 'reference' AND c.refers_key <> '_id' THEN
        SELECT k.problem, k.hint INTO problem, hint FROM mongo_migrate.check_key_reference(c) AS k;
    ELSIF problem IS NULL AND c.role IN ('id', 'reference') THEN
        SELECT k.problem, k.hint INTO problem, hint FROM mongo_migrate.check_id_reference(c) AS k;
    ELSIF problem IS NULL AND c.role = 'parent' THEN
        step := 'parent_column';
        SELECT k.problem, k.hint INTO problem, hint FROM mongo_migrate.check_parent(c) AS k;
    END IF;
    IF problem IS NULL THEN
        step := 'type';
        SELECT k.problem, k.hint INTO problem, hint FROM mongo_migrate.check_distribution_type(c) AS k;
    END IF;
EXCEPTION WHEN syntax_error_or_access_rule_violation OR invalid_parameter_value OR fdw_table_not_found
              OR fdw_invalid_data_type OR data_exception THEN
    GET STACKED DIAGNOSTICS hint = PG_EXCEPTION_HINT;
    problem := format('%s: %s', step, SQLERRM);
    IF step = 'type' AND canonical = mongo_migrate.column_type(relation, c.column_name) THEN
        hint := mongo_migrate.mend_column(c, format('expression = %L', coalesce(
            mongo_migrate.implicit_cast('{"string": 1}', 'text', to_regtype(canonical)), 'value::' || to_regtype(canonical))));
        RETURN;
    END IF;
    hint := concat_ws(' ', nullif(hint, ''), mongo_migrate.mend_column(c, format('%s = %s', step, coalesce(
        mongo_migrate.qualified_type(CASE step WHEN 'type' THEN c.type WHEN 'source_type' THEN c.source_type END), '''...'''))));
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_column(mongo_migrate.plan_column, regclass) IS
    'what is wrong with a column of a plan, and the statement that mends it; NULL: nothing';

CREATE FUNCTION mongo_migrate.find_path(server name, collection text, base text, path text,
        OUT known text, OUT problem text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    here mongo_migrate.plan_path;
    next mongo_migrate.plan_path;
    segment text;
BEGIN
    known := nullif(base, '');
    FOREACH segment IN ARRAY mongo_migrate.path_segments(path) LOOP
        SELECT p.* INTO here FROM mongo_migrate.plan_path AS p
        WHERE (p.server, p.collection, p.path) = ($1, $2, known);
        SELECT p.* INTO next FROM mongo_migrate.plan_path AS p
        WHERE (p.server, p.collection) = ($1, $2) AND p.parent IS NOT DISTINCT FROM known
          AND (p.key = segment OR (p.key IS NULL AND segment ~ '^[0-9]{1,9}$'))
        ORDER BY p.key LIMIT 1;
        IF next.path IS NOT NULL THEN
            known := next.path;
            CONTINUE;
        END IF;

        -- What was not followed, or has data for keys, may have more than was seen.
        IF NOT coalesce(here.is_map, false) AND (
                (here.path IS NOT NULL AND NOT here.types ?| ARRAY['object', 'array'])
                OR EXISTS (SELECT FROM mongo_migrate.plan_path AS p
                           WHERE (p.server, p.collection) = ($1, $2) AND p.parent IS NOT DISTINCT FROM known)) THEN
            problem := format('no document read has path "%s"', mongo_migrate.full_path(base, path));
            IF EXISTS (SELECT FROM mongo_migrate.plan_path AS p
                       WHERE (p.server, p.collection) = ($1, $2) AND p.parent IS NOT DISTINCT FROM known
                         AND p.key || '[]' = segment AND p.types ? 'array') THEN
                problem := problem || ': [] stands for every element of an array, and a column takes one value';
            END IF;
        END IF;
        known := NULL;
        RETURN;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.find_path(name, text, text, text) IS
    'the plan_path of a path that begins at base (as target_base has it), or why documents cannot have it; both NULL: not known';

CREATE FUNCTION mongo_migrate.takes_bson_type(type text, bson_type text) RETURNS boolean
    LANGUAGE plpgsql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    -- Of values that a type takes under a condition, one that meets it.
    sample constant text := CASE bson_type
        WHEN 'int' THEN '1' WHEN 'long' THEN '{"$numberLong": "1"}' WHEN 'double' THEN '1.0' WHEN 'decimal' THEN '{"$numberDecimal": "1"}'
        WHEN 'string' THEN '"1"' WHEN 'symbol' THEN '{"$symbol": "1"}' WHEN 'bool' THEN 'true' WHEN 'date' THEN '{"$date": {"$numberLong": "0"}}'
        WHEN 'objectId' THEN '{"$oid": "000000000000000000000000"}' WHEN 'object' THEN '{}' WHEN 'array' THEN '[]'
        WHEN 'binData' THEN '{"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAAAA==", "subType": "04"}}'
        WHEN 'null' THEN 'null' WHEN 'undefined' THEN 'null'
        ELSE '{"$minKey": 1}' END;      -- the others all go to json and jsonb alone
BEGIN
    PERFORM FROM mongo_migrate.decode_document(mongo_migrate.bson_from_json(format('{"v": %s}', sample)::json), ARRAY['v'], ARRAY[type]);
    RETURN true;
EXCEPTION WHEN datatype_mismatch THEN
    RETURN false;
WHEN data_exception OR check_violation THEN
    RETURN true;        -- another value may do
END
$$;
COMMENT ON FUNCTION mongo_migrate.takes_bson_type(text, text) IS
    'whether a column of a type takes values of a BSON type, some at least';

CREATE FUNCTION mongo_migrate.refused_values(server name, collection text, path text, type text) RETURNS text
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT string_agg(v.key, ', ' ORDER BY v.value::bigint DESC, v.key COLLATE "C")
    FROM mongo_migrate.plan_path AS p, jsonb_each_text(p.types) AS v
    WHERE (p.server, p.collection, p.path) = ($1, $2, $3) AND p.proposed_type <> $4 AND v.key NOT IN ('null', 'undefined')
    HAVING NOT bool_or(mongo_migrate.takes_bson_type($4, v.key))
$$;
COMMENT ON FUNCTION mongo_migrate.refused_values(name, text, text, text) IS
    'the BSON types of the values that were seen at a path, where a column of a type takes none of them; else NULL';

CREATE FUNCTION mongo_migrate.check_values(c mongo_migrate.plan_column, path text, OUT problem text, OUT hint text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    type constant text := CASE WHEN c.expression IS NULL THEN c.type ELSE coalesce(c.source_type, c.type) END;
    proposed constant text := (SELECT p.proposed_type FROM mongo_migrate.plan_path AS p
                               WHERE (p.server, p.collection, p.path) = (c.server, c.collection, check_values.path));
    refused text;
    length bigint;
    most bigint;
BEGIN
    IF c.role <> 'value' OR to_regtype(type) IS NULL THEN
        RETURN;     -- an enum may be still to be made
    END IF;
    refused := coalesce(mongo_migrate.refused_values(c.server, c.collection, path, type),
                        mongo_migrate.refused_values(c.server, c.collection, path || '[]', substring(type FROM '^(.*)\[\]$')));
    IF refused IS NOT NULL THEN
        problem := format('no value of the documents read can become %s: they are of BSON type %s', type, refused);
        hint := mongo_migrate.mend_column(c, CASE WHEN c.expression IS NOT NULL THEN format('source_type = %L', proposed)
                    -- A cast to a length would cut or round unseen.
                    ELSE format('source_type = %L, expression = %L', proposed, coalesce(mongo_migrate.implicit_cast('{"string": 1}', proposed, to_regtype(type)),
                                                                                        'value::' || format_type(to_regtype(type), -1))) END);
    ELSIF c.expression IS NULL THEN
        length := (SELECT p.max_length FROM mongo_migrate.plan_path AS p
                   WHERE (p.server, p.collection, p.path) = (c.server, c.collection, check_values.path)
                     AND p.types ? 'string' AND p.types - ARRAY['string', 'null', 'undefined'] = '{}');
        most := substring(mongo_migrate.canonical_type(type) FROM '^character(?: varying)?\((\d+)\)$')::bigint;
        IF length > most THEN
            problem := format('documents read have strings of up to %s characters: those of more than %s go into quarantine', length, most);
            hint := mongo_migrate.mend_column(c, 'type = ''...''') || ' And the table, where it is there.';
        END IF;
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_values(mongo_migrate.plan_column, text) IS
    'that a column''s type takes none of the values that were seen at its path, so that all their documents go into quarantine, or not the longest strings, and the statement that mends it; NULL: it takes them';

CREATE FUNCTION mongo_migrate.check_documents(c mongo_migrate.plan_column, relation regclass, base text,
        OUT problem text, OUT hint text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    known text;             -- the path in plan_path
    empty bigint;
    stranger text;          -- a value that is no label
    proposed text;          -- type
BEGIN
    SELECT f.known, f.problem INTO known, problem FROM mongo_migrate.find_path(c.server, c.collection, base, c.path) AS f;
    hint := mongo_migrate.mend_column(c, 'path = ''...''');
    IF problem IS NOT NULL THEN
        RETURN;
    END IF;
    SELECT p.nulls + p.missing, p.proposed_type, (SELECT min(v) FROM unnest(p.few_values) AS v
                                                  WHERE c.labels IS NOT NULL AND (c.expression IS NULL OR c.lookup_table IS NOT NULL)
                                                    AND v <> ALL (mongo_migrate.known_labels(c)))
    INTO empty, proposed, stranger
    FROM mongo_migrate.plan_path AS p WHERE (p.server, p.collection, p.path) = (c.server, c.collection, known);
    IF c.expression IS NULL AND empty > 0 AND
        coalesce((SELECT a.attnotnull FROM pg_attribute AS a WHERE a.attrelid = relation AND a.attname = c.column_name), NOT c.nullable) THEN
        problem := format('it is NOT NULL, and %s of the documents read have no value', empty);
        hint := CASE WHEN (mongo_migrate.target_distribution(c.server, c.collection, c.target)).column_name = c.column_name
                THEN 'Citus distributes by it, and such documents go into quarantine. Distribute by another column, or give them a value.'
                WHEN relation IS NULL THEN mongo_migrate.mend_column(c, 'nullable = true')
                ELSE format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL;', c.target, c.column_name) END;
    ELSIF stranger IS NOT NULL THEN
        problem := format('its labels are without %L, which documents read have', stranger);
        hint := mongo_migrate.mend_column(c, format('labels = labels || %L::text', stranger));
    ELSIF c.type <> proposed OR c.expression IS NOT NULL THEN
        SELECT v.problem, v.hint INTO problem, hint FROM mongo_migrate.check_values(c, known) AS v;
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_documents(mongo_migrate.plan_column, regclass, text) IS
    'what the documents that the plan was made from say against a column, whose row''s path is base (as target_base has it), and the statement that mends it; NULL: nothing';

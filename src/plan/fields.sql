-- fields.sql: the walk over the fields of documents, from the top, that plans columns and tables.
--
-- A field becomes a column; the fields of a regular sub-document become columns
-- of the same row; an array of documents becomes a child table, one of
-- references a pivot table.  Where the table exists, its columns decide instead.

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
    new.key_form := 'exact';
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
        IF new.expression IS NOT NULL AND new.source_type = 'jsonb' THEN
            new.source_type := 'text';      -- which every scalar has; jsonb is cast to few types, and rounds
        END IF;
    END IF;
    IF relation IS NOT NULL AND found_column IS NULL THEN
        new.included := false;
        new.nullable := true;
        new.note := concat_ws('; ', format('no column in %s', target), new.note);
    ELSIF field.refers_to IS NOT NULL AND NOT refers THEN
        new.note := concat_ws('; ', new.note, format('values are keys in %s', field.refers_to));
    END IF;
    new.description := field.description;
    new.proposed_check := CASE WHEN new.role = 'value' AND new.expression IS NULL AND relation IS NULL AND
        CASE WHEN field.proposed_check ~ '^(IN \(''|~ |<> '''')' THEN new.type = 'text'
             ELSE new.type IN ('integer', 'bigint', 'numeric', 'double precision') END THEN field.proposed_check END;
    new.proposed_type := CASE WHEN field.allowed_length > 0 AND new.role = 'value' AND new.type = 'text' AND new.expression IS NULL
                                   AND relation IS NULL THEN format('varchar(%s)', field.allowed_length) END;
    new.required := field.required AND relation IS NULL AND new.role = 'value';
    -- Different values in MongoDB, different ones here: not so for 1 and "1" as text.
    new.is_unique := field.is_unique AND new.included AND new.expression IS NULL AND new.key_form = 'exact'
        AND (mongo_migrate.only_type(field.types) IS NOT NULL OR field.proposed_type IN ('integer', 'bigint', 'numeric'))
        AND field.proposed_type <> 'jsonb';
    PERFORM mongo_migrate.add_plan_column(new, relation);
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_field(mongo_migrate.plan_path, text, regclass, text, text, boolean) IS
    'plans the column of one field: the table''s where it exists, else by the proposed type';

CREATE FUNCTION mongo_migrate.nests_itself(field mongo_migrate.plan_path, row_base text) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT coalesce(position('.' || substr(field.path, length(field.parent) + 2) || '[]' IN '.' || row_base) > 0, false)
$$;
COMMENT ON FUNCTION mongo_migrate.nests_itself(mongo_migrate.plan_path, text) IS
    'whether a field is an array within one of its own name, which may go on to any depth: children[].children[]; row_base: the path of its row';

CREATE FUNCTION mongo_migrate.is_planned(server name, collection text, target text, path text) RETURNS boolean
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT EXISTS (SELECT FROM mongo_migrate.plan_column AS c WHERE (c.server, c.collection, c.target, c.path) = ($1, $2, $3, $4))
        OR EXISTS (SELECT FROM mongo_migrate.plan_target AS t
                   WHERE (t.server, t.collection) = ($1, $2) AND ((t.parent, t.path) = ($3, $4) OR (t.target, t.nested_path) = ($3, $4)))
$$;
COMMENT ON FUNCTION mongo_migrate.is_planned(name, text, text, text) IS
    'whether a target of a plan has a column or a table for a path of its rows';

CREATE FUNCTION mongo_migrate.plan_fields(server name, collection text, target text, relation regclass,
        base text, row_base text, prefix text, nullable boolean, unplanned boolean DEFAULT false) RETURNS void
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
        nests_itself := mongo_migrate.nests_itself(field, row_base);
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
                    row_base, wanted || '_', nullable OR field.proposed_nullable, unplanned);
        ELSIF unplanned AND mongo_migrate.is_planned(server, collection, target, path) THEN
            CONTINUE;
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
COMMENT ON FUNCTION mongo_migrate.plan_fields(name, text, text, regclass, text, text, text, boolean, boolean) IS
    'plans the fields of a document or sub-document: base is its path, row_base the path of the row that they go to; unplanned: only those that the target has nothing for';

CREATE FUNCTION mongo_migrate.element_of(field mongo_migrate.plan_path) RETURNS mongo_migrate.plan_path
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT p.* FROM mongo_migrate.plan_path AS p
    WHERE (p.server, p.collection, p.path) = (field.server, field.collection, field.path ||
        CASE WHEN mongo_migrate.only_type(field.types) = 'array' THEN '[]'
             WHEN mongo_migrate.only_type(field.types) = 'object' AND field.is_map THEN '{}' END)
$$;
COMMENT ON FUNCTION mongo_migrate.element_of(mongo_migrate.plan_path) IS
    'the path of the elements of an array, or of the values of a map; NULL for other fields, and where none was seen';

CREATE FUNCTION mongo_migrate.plan_parent_key(parent mongo_migrate.plan_target, target text, relation regclass) RETURNS boolean
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    parent_table constant text := (parse_ident(parent.target))[2];
    key_column mongo_migrate.plan_column;
    new mongo_migrate.plan_column;
    own_name text;
    matched name;
    complete boolean := true;
BEGIN
    new.server := parent.server;
    new.collection := parent.collection;
    new.target := target;
    new.role := 'parent';
    new.nullable := false;
    FOR key_column IN
        SELECT c.* FROM mongo_migrate.plan_column AS c
        WHERE (c.server, c.collection, c.target) = (parent.server, parent.collection, parent.target)
          AND c.role IN ('id', 'parent', 'position', 'key') ORDER BY c.ordinal
    LOOP
        own_name := CASE
            WHEN key_column.role = 'parent' THEN key_column.column_name
            WHEN key_column.role IN ('position', 'key') THEN mongo_migrate.singular(CASE parent.path WHEN '$' THEN 'outer'
                ELSE mongo_migrate.snake_case(regexp_replace(parent.path, '^.*\.', '')) END) || '_' || key_column.role
            WHEN key_column.column_name IN ('id', '_id') THEN mongo_migrate.singular(parent_table) || '_id'
            ELSE key_column.column_name END;
        new.type := key_column.type;
        new.parent_column := key_column.column_name;
        new.column_name := own_name::name;
        new.note := format('%s of %s', key_column.column_name, parent.target);
        new.included := true;
        IF relation IS NOT NULL THEN
            matched := mongo_migrate.find_column(relation,
                ARRAY[own_name, parent_table || '_' || key_column.column_name, 'parent_id'],
                mongo_migrate.used_columns(parent.server, parent.collection, target));
            IF matched IS NULL THEN
                complete := false;
                new.included := false;
                new.note := format('no column in %s; %s', target, new.note);
            ELSE
                new.column_name := matched;
                new.type := mongo_migrate.column_type(relation, matched);
            END IF;
        END IF;
        PERFORM mongo_migrate.add_plan_column(new, relation);
    END LOOP;
    RETURN complete;
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_parent_key(mongo_migrate.plan_target, text, regclass) IS
    'plans the columns of a child table for the key of its parent''s rows; false: the table is there, and lacks some of them';

CREATE FUNCTION mongo_migrate.plan_position(server name, collection text, target text, relation regclass, map boolean) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    new mongo_migrate.plan_column;
BEGIN
    new.server := server;
    new.collection := collection;
    new.target := target;
    new.role := CASE WHEN map THEN 'key' ELSE 'position' END;
    new.path := CASE WHEN map THEN '$key' END;
    new.type := CASE WHEN map THEN 'text' ELSE 'integer' END;
    new.column_name := new.role;
    new.nullable := false;
    new.included := true;
    new.note := CASE WHEN map THEN 'the name in the map' ELSE 'position in the array, from 0' END;
    IF relation IS NOT NULL THEN
        new.column_name := mongo_migrate.find_column(relation,
            CASE WHEN map THEN ARRAY['key', 'name'] ELSE ARRAY['position', 'idx', 'index', 'ordinal', 'sort_order', 'array_index'] END,
            mongo_migrate.used_columns(server, collection, target));
        new.type := mongo_migrate.column_type(relation, new.column_name);
    END IF;
    IF new.column_name IS NOT NULL THEN
        PERFORM mongo_migrate.add_plan_column(new, relation);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_position(name, text, text, regclass, boolean) IS
    'plans the column of a child table for the place of an element in its array, or for the name of a field in its map; an existing table may have none';

CREATE FUNCTION mongo_migrate.plan_array(field mongo_migrate.plan_path, element mongo_migrate.plan_path,
        parent text, path text, wanted text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    parent_target mongo_migrate.plan_target;
    parent_table text := (parse_ident(parent))[2];
    target text;
    relation regclass;
    map boolean := element.path = field.path || '{}';
    kind text := mongo_migrate.only_type(element.types);
    inner_element mongo_migrate.plan_path := mongo_migrate.element_of(element);
    whole boolean := element.refers_key = '_id' OR kind IS DISTINCT FROM 'object' OR element.is_map OR NOT EXISTS (
        SELECT FROM mongo_migrate.plan_path AS p
        WHERE (p.server, p.collection, p.parent) = (element.server, element.collection, element.path));
    complete boolean := (SELECT p.sampled >= p.documents FROM mongo_migrate.plan AS p
                         WHERE (p.server, p.collection) = (field.server, field.collection));
BEGIN
    SELECT t.* INTO parent_target FROM mongo_migrate.plan_target AS t
    WHERE (t.server, t.collection, t.target) = (field.server, field.collection, parent);
    -- Beside a table that is still to be created, one that exists is somebody else's.
    target := mongo_migrate.free_target((parse_ident(parent))[1], parent_table || '_' || wanted,
        (SELECT p.created FROM mongo_migrate.plan AS p
         WHERE (p.server, p.collection) = (field.server, field.collection) AND NOT parent_target.existing));
    relation := mongo_migrate.plan_relation(field.server, field.collection, target, false);
    INSERT INTO mongo_migrate.plan_target (server, collection, target, parent, kind, path, ordinal,
                                           existing, included, note)
    VALUES (field.server, field.collection, target, parent,
            CASE WHEN map THEN 'map' WHEN coalesce(element.refers_key = '_id', false) THEN 'pivot' ELSE 'child' END, path,
            (SELECT count(*) + 1 FROM mongo_migrate.plan_target AS t
             WHERE (t.server, t.collection) = (field.server, field.collection)),
            relation IS NOT NULL,
            parent_target.included AND (relation IS NOT NULL OR NOT parent_target.existing),
            mongo_migrate.evidence(field.types, field.nulls, field.missing, field.note));

    IF NOT mongo_migrate.plan_parent_key(parent_target, target, relation) THEN
        UPDATE mongo_migrate.plan_target AS t SET included = false,
            note = concat_ws('; ', format('no column for the key of %s', parent), t.note)
        WHERE (t.server, t.collection, t.target) = (field.server, field.collection, target);
    END IF;
    PERFORM mongo_migrate.plan_position(field.server, field.collection, target, relation, map);

    IF inner_element.path IS NOT NULL AND (kind = 'array' OR element.is_map) THEN
        PERFORM mongo_migrate.plan_array(element, inner_element, target, '$', 'elements');
    ELSIF whole THEN
        PERFORM mongo_migrate.plan_field(element, target, relation,
            CASE WHEN element.refers_key = '_id' THEN mongo_migrate.singular(mongo_migrate.snake_case(coalesce(field.key, 'value')))
                 ELSE 'value' END, '$', element.nulls > 0 OR NOT complete);
    ELSE
        PERFORM mongo_migrate.plan_fields(field.server, field.collection, target, relation,
            element.path, element.path, '', element.nulls > 0 OR NOT complete);
    END IF;
    PERFORM mongo_migrate.plan_places(field.server, field.collection);
    PERFORM mongo_migrate.report_unmatched(field.server, field.collection, target, relation);
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_array(mongo_migrate.plan_path, mongo_migrate.plan_path, text, text, text) IS
    'plans a table for the elements of an array, or for the fields of a map';

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

CREATE FUNCTION mongo_migrate.column_width(type text, max_length bigint) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT CASE type WHEN 'boolean' THEN 1 WHEN 'integer' THEN 4 WHEN 'bigint' THEN 8 WHEN 'double precision' THEN 8
                     WHEN 'timestamptz' THEN 8 WHEN 'mongo_migrate.objectid' THEN 12 WHEN 'numeric' THEN 12 WHEN 'uuid' THEN 16
                     WHEN 'text' THEN least(max_length + 1, 18) ELSE 18 END
$$;
COMMENT ON FUNCTION mongo_migrate.column_width(text, bigint) IS
    'the bytes of a value in its row, as planned: what is longer than 18 can lie apart from it (TOAST)';

-- PostgreSQL's rows have 8160 bytes at most, apart from what is in TOAST tables.
-- How much of that the gaps between columns take, and documents with more fields
-- than the average, is not known.
CREATE FUNCTION mongo_migrate.fit_rows(server name, collection text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    planned text;
    base text;
    surplus text[];
BEGIN
    FOR planned, base IN
        SELECT t.target, mongo_migrate.target_base(server, collection, t.target) FROM mongo_migrate.plan_target AS t
        WHERE (t.server, t.collection) = (server, collection) AND t.kind IN ('root', 'child') AND NOT t.existing
          AND cardinality(mongo_migrate.used_columns(server, collection, t.target)) > 350
    LOOP
        SELECT array_agg(f.field) INTO surplus
        FROM (
            SELECT s.field, sum(sum(mongo_migrate.column_width(c.type, p.max_length) *
                                    least(1, 2.0 * p.present / greatest(1, p.present + p.nulls + p.missing)))) OVER (ORDER BY min(c.ordinal)) AS width
            FROM mongo_migrate.plan_column AS c,
                LATERAL (SELECT mongo_migrate.full_path(base, c.path) AS path OFFSET 0) AS q,
                -- One by one: nothing is known yet of how many there are.
                LATERAL (SELECT * FROM mongo_migrate.plan_path AS o
                         WHERE (o.server, o.collection, o.path) = (server, collection, q.path) LIMIT 1) AS p,
                LATERAL (SELECT (mongo_migrate.path_segments(c.path))[1] AS field) AS s
            WHERE (c.server, c.collection, c.target) = (server, collection, planned) AND c.role IN ('value', 'reference')
            GROUP BY s.field) AS f
        -- A column extra has whole fields, and of _id nothing.
        WHERE f.width > 6500 AND f.field <> '_id' AND NOT EXISTS (
            SELECT FROM mongo_migrate.plan_target AS t
            WHERE (t.server, t.collection, t.parent) = (server, collection, planned)
              AND (mongo_migrate.path_segments(t.path))[1] = f.field);
        CONTINUE WHEN surplus IS NULL;
        DELETE FROM mongo_migrate.plan_column AS c
        WHERE (c.server, c.collection, c.target) = (server, collection, planned) AND c.role IN ('value', 'reference')
          AND (mongo_migrate.path_segments(c.path))[1] = ANY (surplus);
        PERFORM mongo_migrate.plan_extra(server, collection, planned);
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.fit_rows(name, text) IS
    'takes fields that a row would have no room for out of the plan of new tables, which get a column extra for them';

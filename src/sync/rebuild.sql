-- rebuild.sql: documents made of the rows of a plan's tables.
--
-- The plan is read backwards.  written_statement() writes a statement for each
-- root: it takes documents as the source has them ($1 text[], the ids of their
-- rows, $2 json[]), and yields what their rows make of them.  A value that
-- means what the row's column has stays as it is, and so does everything that
-- the plan does not know.

CREATE FUNCTION mongo_migrate.written_value(present json, stored anyelement, bson_types text[], mode text, absent boolean, of_column text DEFAULT NULL)
    RETURNS json
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'mm_written_value';
COMMENT ON FUNCTION mongo_migrate.written_value(json, anyelement, text[], text, boolean, text) IS
    'a field as canonical Extended JSON, from the column''s value: as it is (present) where a migration makes the same of it, else of the first of the BSON types that holds the value exactly, times to the millisecond; NULL: no such field; absent: a NULL takes the field away, rather than set it to null; of_column: whose value it is, for errors';

CREATE FUNCTION mongo_migrate.set_fields(document json, paths text[], "values" json[])
    RETURNS json
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'mm_set_fields';
COMMENT ON FUNCTION mongo_migrate.set_fields(json, text[], json[]) IS
    'a document with fields at paths of a plan set to values, or without them (NULL); those that have the value stay, in their place, new ones come last';

CREATE FUNCTION mongo_migrate.set_map(document json, names text[], "values" json[])
    RETURNS json
    LANGUAGE c STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'mm_set_map';
COMMENT ON FUNCTION mongo_migrate.set_map(json, text[], json[]) IS
    'a document with these fields and no others; those there are in their order, new ones come last';

CREATE FUNCTION mongo_migrate.written_types(server name, collection text, path text, OUT types text[], OUT absent boolean)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY(SELECT t.key FROM mongo_migrate.plan_path AS p, jsonb_each_text(p.types) AS t
                  WHERE (p.server, p.collection) = ($1, $2) AND p.path IN ($3, $3 || '[]') AND t.key NOT IN ('null', 'undefined')
                  ORDER BY length(p.path), t.value::bigint DESC, t.key),
           coalesce((SELECT p.nulls = 0 OR p.missing > p.nulls FROM mongo_migrate.plan_path AS p
                      WHERE (p.server, p.collection, p.path) = ($1, $2, $3)), true)
$$;
COMMENT ON FUNCTION mongo_migrate.written_types(name, text, text) IS
    'the BSON types that a field, or the elements of an array, had when the plan was made, the most frequent first; absent: it is missing, rather than null, where it has no value';

CREATE FUNCTION mongo_migrate.written_reference(present json, key bytea, form text, types text[], server name, refers_to text, id text)
    RETURNS json
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    value json;
BEGIN
    -- A row that is new itself.  Should this be rolled back, it refers to another _id the next time.
    IF key IS NULL THEN
        PERFORM mongo_migrate.assign_keys(mongo_migrate.id_map_of(server, refers_to), ARRAY[id]);
        value := mongo_migrate.source_id(server, refers_to, id);
        IF value IS NULL THEN
            RAISE foreign_key_violation USING
                MESSAGE = format('the row refers to row %s of collection "%s", which does not exist', id, refers_to);
        END IF;
    ELSIF mongo_migrate.verify_reference(present, mongo_migrate.without_nul(present)::jsonb, form) = key THEN
        RETURN present;
    ELSE
        value := mongo_migrate.key_to_json(key);
    END IF;
    RETURN CASE WHEN form <> 'exact' AND types[1] = 'string' THEN to_json(mongo_migrate.verify_text(value::jsonb)) ELSE value END;
END
$$;
COMMENT ON FUNCTION mongo_migrate.written_reference(json, bytea, text, text[], name, text, text) IS
    'a field that refers to the document with a key, whose row has an id: as it is where it does, else by the key_form of the plan, as text where the field was text';

CREATE FUNCTION mongo_migrate.written_element(present json, "values" json[])
    RETURNS json
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce((SELECT v.value FROM unnest($2) WITH ORDINALITY AS v (value, n)
                      WHERE v.value::text <> coalesce($1::text, 'null') ORDER BY v.value::text = 'null', v.n LIMIT 1), $1)
$$;
COMMENT ON FUNCTION mongo_migrate.written_element(json, json[]) IS
    'an element that several columns are of, by type: what the one says that says something else than is there';

CREATE FUNCTION mongo_migrate.array_elements(present json)
    RETURNS json[]
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY(SELECT e.element
                   FROM json_array_elements(CASE WHEN json_typeof($1) = 'array' THEN $1 END) WITH ORDINALITY AS e (element, n) ORDER BY e.n)
$$;
COMMENT ON FUNCTION mongo_migrate.array_elements(json) IS
    'the elements of an array; none of what is no array';

CREATE FUNCTION mongo_migrate.element_keys(present json)
    RETURNS bytea[]
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT ARRAY(SELECT mongo_migrate.bson_key(e.element)
                   FROM unnest(mongo_migrate.array_elements($1)) WITH ORDINALITY AS e (element, n) ORDER BY e.n)
$$;
COMMENT ON FUNCTION mongo_migrate.element_keys(json) IS
    'the keys of an array''s elements; none of what is no array';

CREATE FUNCTION mongo_migrate.written_set(present json, elements json[], means bigint[])
    RETURNS json
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    there constant json[] := mongo_migrate.array_elements(present);
    taken boolean[] := array_fill(false, ARRAY[cardinality(there)]);
    places integer[];       -- of the elements in the array that is there
    place integer;
BEGIN
    IF elements IS NULL THEN
        RETURN CASE WHEN json_typeof(present) = 'array' THEN '[]'::json ELSE present END;
    END IF;
    -- Those that are there just so, as often as they are.
    places := ARRAY(
        WITH new AS (
            SELECT k.key, e.n, row_number() OVER (PARTITION BY k.key ORDER BY e.n) AS copy
              FROM unnest(elements) WITH ORDINALITY AS e (element, n) CROSS JOIN LATERAL (SELECT mongo_migrate.bson_key(e.element) AS key) AS k
        ), old AS (
            SELECT k.key, k.n, row_number() OVER (PARTITION BY k.key ORDER BY k.n) AS copy
              FROM unnest(mongo_migrate.element_keys(present)) WITH ORDINALITY AS k (key, n)
        )
        SELECT o.n FROM new AS n LEFT JOIN old AS o USING (key, copy) ORDER BY n.n);
    FOREACH place IN ARRAY places LOOP
        IF place IS NOT NULL THEN
            taken[place] := true;
        END IF;
    END LOOP;
    -- Then those that mean the same.
    FOR i IN 1 .. cardinality(elements) LOOP
        IF places[i] IS NULL THEN
            place := means[i];
            IF NOT taken[place] THEN
                places[i] := place;
                taken[place] := true;
            END IF;
        END IF;
    END LOOP;
    RETURN (SELECT json_agg(coalesce(there[p.place], p.element) ORDER BY p.place, p.n)
              FROM unnest(elements, places) WITH ORDINALITY AS p (element, place, n));
END
$$;
COMMENT ON FUNCTION mongo_migrate.written_set(json, json[], bigint[]) IS
    'an array of elements that have no position: those there are in their order, new ones come last; means: the place of an element of present that the row of each means, where none is equal to it';

CREATE FUNCTION mongo_migrate.tree_elements(present json, nested_path text, positions integer[], parents integer[])
    RETURNS json[]
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE walk AS (
        SELECT e.element, ARRAY[e.n] AS path
          FROM json_array_elements(CASE WHEN json_typeof($1) = 'array' THEN $1 END) WITH ORDINALITY AS e (element, n)
         UNION ALL
        SELECT e.element, w.path || e.n
          FROM walk AS w CROSS JOIN LATERAL (SELECT mongo_migrate.field_at(w.element, mongo_migrate.verify_steps($2)) AS nested) AS a
         CROSS JOIN LATERAL json_array_elements(CASE WHEN json_typeof(a.nested) = 'array' THEN a.nested END) WITH ORDINALITY AS e (element, n)
    )
    SELECT ARRAY(SELECT w.element FROM generate_subscripts($3, 1) AS i (n) LEFT JOIN mongo_migrate.tree_paths($3, $4) AS p USING (n)
                   LEFT JOIN walk AS w USING (path) ORDER BY i.n)
$$;
COMMENT ON FUNCTION mongo_migrate.tree_elements(json, text, integer[], integer[]) IS
    'of rows of a tree, by their positions and those that they are within, the elements that are where they are; NULL where none is';

CREATE FUNCTION mongo_migrate.written_tree(present json, nested_path text, positions integer[], parents integer[], elements json[])
    RETURNS json
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    steps constant text[] := mongo_migrate.verify_steps(nested_path);
    -- From the last one on, so that what is within an element is there before it.
    places constant integer[] := ARRAY(SELECT p.n FROM mongo_migrate.tree_paths(positions, parents) AS p ORDER BY p.path DESC);
    within json[] := array_fill(NULL::json, ARRAY[coalesce(cardinality(elements), 0)]);
    nested json;
    roots json[] := '{}';
    above integer;
    i integer;
BEGIN
    IF elements IS NULL THEN
        RETURN CASE WHEN json_typeof(present) = 'array' THEN '[]'::json ELSE present END;
    END IF;
    IF cardinality(places) < cardinality(elements) THEN
        SELECT min(e.parent) FILTER (WHERE e.parent <> ALL (positions)) INTO above FROM unnest(parents) AS e (parent);
        RAISE foreign_key_violation USING
            MESSAGE = CASE WHEN above IS NULL THEN 'rows of a tree are within each other'
                ELSE format('a row of a tree is within one at position %s, which is not there', above) END;
    END IF;
    FOREACH i IN ARRAY places LOOP
        nested := mongo_migrate.field_at(elements[i], steps);
        IF within[i] IS NOT NULL OR json_typeof(nested) = 'array' THEN
            elements[i] := mongo_migrate.set_fields(elements[i], ARRAY[nested_path], ARRAY[coalesce(within[i], '[]')]);
        END IF;
        IF parents[i] IS NULL THEN
            roots := elements[i] || roots;
        ELSE
            above := array_position(positions, parents[i]);
            within[above] := (SELECT json_agg(e.element ORDER BY e.n) FROM (
                SELECT elements[i] AS element, 0 AS n UNION ALL
                SELECT o.element, o.n FROM json_array_elements(within[above]) WITH ORDINALITY AS o (element, n)) AS e);
        END IF;
    END LOOP;
    RETURN array_to_json(roots);
END
$$;
COMMENT ON FUNCTION mongo_migrate.written_tree(json, text, integer[], integer[], json[]) IS
    'a tree from its elements; positions, parents: of each, and of the element that it is within';

CREATE FUNCTION mongo_migrate.set_extra(document json, stored jsonb, known text[], mode text)
    RETURNS json
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- The column may be large, and is taken apart once.
    SELECT mongo_migrate.set_fields($1,
               coalesce(array_agg(regexp_replace(name, '([.\\])', '\\\1', 'g')), '{}'),
               coalesce(array_agg(CASE WHEN s.value IS NOT NULL THEN
                   coalesce(mongo_migrate.written_value(mongo_migrate.field_at($1, ARRAY[name]), s.value, '{}', $4, false), 'null') END), '{}'))
      FROM (SELECT DISTINCT o.name FROM json_object_keys(CASE WHEN json_typeof($1) = 'object' THEN $1 END) AS o (name)) AS d
      FULL JOIN jsonb_each(CASE WHEN jsonb_typeof($2) = 'object' THEN $2 END) AS s (name, value) USING (name)
     WHERE name <> ALL ($3) AND name <> '_id'
$$;
COMMENT ON FUNCTION mongo_migrate.set_extra(json, jsonb, text[], text) IS
    'a document with those of its fields that a plan does not know as a column of the role extra has them';

-- SQL for the values of columns.  a<depth> is the row, p<depth>.document what is there now.

CREATE FUNCTION mongo_migrate.written_by_id(server name, mode text, col record, stored text, present text, types text[], absent boolean)
    RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    map constant mongo_migrate.id_map := mongo_migrate.id_map_of(server, col.refers_to);
    plain constant text := format('mongo_migrate.without_nul(%s)::jsonb', present);
    key constant text := format('mongo_migrate.verify_reference(%s, %s, %L)', present, plain, col.key_form);
    -- The _id that is referred to now, which a field may have as text.
    id constant text := CASE col.key_form WHEN 'exact' THEN plain ELSE format('mongo_migrate.key_to_json(%s)::jsonb', key) END;
    referred record := mongo_migrate.referred_rows(server, col.refers_to, '_id');
    exists_ text;       -- whether the document that is referred to now has a row
BEGIN
    -- A reference that dangles is NULL in the row, unless it is kept.
    exists_ := CASE
        WHEN col.on_dangling = 'keep' THEN 'true'
        WHEN referred.relation IS NULL THEN 'false'
        WHEN map.id_type = 'source' THEN
            format('EXISTS (SELECT FROM %s AS k WHERE k.%I = (%s)::%s)', referred.relation, referred.column_name,
                   (mongo_migrate.verify_fragments(col.type, -1, '(' || id || ')', 'NULL', mode)).typed, format_type(col.type, -1))
        ELSE
            format('EXISTS (SELECT FROM %s AS m JOIN %s AS k ON k.%I = m.id WHERE m.key = %s)',
                   map.relation, referred.relation, referred.column_name, key) END;
    RETURN format('CASE WHEN %1$s IS NULL AND NOT %2$s THEN %3$s WHEN %1$s IS NULL THEN mongo_migrate.written_value(%3$s, NULL::text, ''{}'', %4$L, %5$L) ELSE %6$s END',
                  stored, exists_, present, mode, absent,
                  CASE WHEN map.id_type = 'source' AND col.key_form = 'exact' THEN
                      format('mongo_migrate.written_value(%s, %s, %L, %L, %L)', present, stored, types, mode, absent)
                  ELSE
                      format('mongo_migrate.written_reference(%s, %s, %L, %L, %L, %L, %s::text)', present,
                             CASE map.id_type WHEN 'source' THEN format('mongo_migrate.bson_key(mongo_migrate.source_id(%L, %L, %s::text))', server, col.refers_to, stored)
                                  ELSE format('(SELECT m.key FROM %s AS m WHERE m.id = %s)', map.relation, stored) END,
                             col.key_form, types, server, col.refers_to, stored) END);
END
$$;
COMMENT ON FUNCTION mongo_migrate.written_by_id(name, text, record, text, text, text[], boolean) IS
    'SQL for the field of a reference by _id; col: of verify_columns()';

CREATE FUNCTION mongo_migrate.written_by_key(server name, collection text, target text, column_name name, row_ text)
    RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('coalesce(%s, %s.%I)', string_agg(
               format('(SELECT CASE WHEN %1$s THEN t.%2$I ELSE k.%3$I::%4$s END FROM (SELECT %5$s.*) AS t JOIN %6$s AS k ON k.%7$I = t.%8$I)',
                      k.matches, r.value_column, k.key, mongo_migrate.column_type_without_typmod(to_regclass($3), r.value_column),
                      $5, k.target, k.id, r.column_name), ', '), $5, min(r.value_column))
      FROM mongo_migrate.loaded_references($1, ARRAY[$2]) AS r, mongo_migrate.reference_keys($1, r) AS k
     WHERE (r.collection, r.target, r.column_name) = ($2, $3, $4)
$$;
COMMENT ON FUNCTION mongo_migrate.written_by_key(name, text, text, name, text) IS
    'SQL for the value of a reference by another field than _id, by the row that the column refers to, of the type of the column with the value; NULL where nothing is referred to';

CREATE FUNCTION mongo_migrate.written_column(server name, collection text, target text, base text, mode text, col record, depth integer)
    RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    row_ constant text := 'a' || depth;
    name constant text := format('column %I of %s', col.column_name, target);
    stored text := format('%s.%I', row_, col.column_name);
    present constant text := format('mongo_migrate.field_at(p%s.document, %L)', depth, mongo_migrate.verify_steps(col.path));
    field record;
    source oid;
    value text;
BEGIN
    field := mongo_migrate.written_types(server, collection, mongo_migrate.full_path(base, col.path));
    -- An element of an array is never missing.
    field.absent := field.absent AND col.path <> '$';
    IF col.expression IS NOT NULL THEN
        source := coalesce(to_regtype(col.source_type), col.type);
        value := format('mongo_migrate.without_nul(%s)::jsonb', present);
        RETURN format('CASE WHEN (SELECT (%1$s' || chr(10) || ') FROM (SELECT CASE WHEN NOT mongo_migrate.verify_is_null(%2$s) THEN %3$s END AS value, '
                      'mongo_migrate.verify_json(mongo_migrate.without_nul(p0.document)::jsonb, ''relaxed'') AS doc) AS x)::%4$s IS NOT DISTINCT FROM %5$s THEN %6$s '
                      'ELSE mongo_migrate.written_value(%6$s, (SELECT (%7$s' || chr(10) || ') FROM (SELECT %5$s AS value) AS x), %8$L, %9$L, %10$L, %11$L) END',
                      col.expression, value, (mongo_migrate.verify_fragments(source, -1, '(' || value || ')', 'NULL', mode)).typed,
                      format_type(col.type, col.typmod), stored, present, col.reverse_expression, field.types, mode, field.absent, name);
    ELSIF col.role = 'reference' AND col.holds_ids AND col.refers_key = '_id' THEN
        RETURN mongo_migrate.written_by_id(server, mode, col, stored, present, field.types, field.absent);
    ELSIF col.role = 'reference' AND col.holds_ids THEN
        stored := mongo_migrate.written_by_key(server, collection, target, col.column_name, row_);
    END IF;
    RETURN format('mongo_migrate.written_value(%s, %s, %L, %L, %L, %L)', present, stored, field.types, mode, field.absent, name);
END
$$;
COMMENT ON FUNCTION mongo_migrate.written_column(name, text, text, text, text, record, integer) IS
    'SQL for the field that a column of a target has, over its row a<depth> and the document or element p<depth>; base: target_base(), col: of verify_columns(), with reverse_expression';

CREATE FUNCTION mongo_migrate.written_child(server name, collection text, child mongo_migrate.plan_target, depth integer)
    RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    array_ constant text := format('mongo_migrate.field_at(p%s.document, %L)', depth - 1, mongo_migrate.verify_steps(child.path));
    element constant text := format('coalesce(%s, ''null'')', mongo_migrate.written_row(server, collection, child.target, depth));
    keys text;
    place record;       -- names of columns
    rows_ text;
BEGIN
    SELECT string_agg(format('c.%I = a%s.%I', c.column_name, depth - 1, c.parent_column), ' AND ' ORDER BY c.ordinal) INTO keys
      FROM mongo_migrate.plan_column AS c
     WHERE (c.server, c.collection, c.target) = (child.server, child.collection, child.target) AND c.role = 'parent' AND c.included
       AND mongo_migrate.key_source(c.server, c.collection, c.target, c.column_name) IS NOT NULL;
    SELECT min(c.column_name) FILTER (WHERE c.role = 'position') AS position, min(c.column_name) FILTER (WHERE c.role = 'key') AS name,
           min(c.column_name) FILTER (WHERE c.role = 'parent_position') AS parent INTO place
      FROM mongo_migrate.plan_column AS c
     WHERE (c.server, c.collection, c.target) = (child.server, child.collection, child.target) AND c.included;

    IF child.kind = 'map' THEN
        RETURN format('(SELECT CASE WHEN count(*) > 0 THEN mongo_migrate.set_map(%1$s, array_agg(e.name ORDER BY e.name COLLATE "C"), array_agg(e.element ORDER BY e.name COLLATE "C")) '
                      'WHEN mongo_migrate.verify_map(%1$s) IS NOT NULL THEN ''{}''::json ELSE %1$s END '
                      'FROM (SELECT a%2$s.%3$I::text AS name, %4$s AS element FROM (SELECT c.* FROM %5$s AS c WHERE %6$s) AS a%2$s '
                      'LEFT JOIN (SELECT DISTINCT ON (m.key) m.key AS name, m.value AS document FROM (SELECT %1$s AS map OFFSET 0) AS o '
                      'CROSS JOIN json_each(mongo_migrate.verify_map(o.map)) AS m) AS p%2$s ON p%2$s.name = a%2$s.%3$I::text) AS e)',
                      array_, depth, place.name, element, child.target, keys);
    ELSIF place.position IS NULL THEN
        -- An element that a row makes nothing else of is what it means; rows that are as they were loaded find theirs at once.
        RETURN format('(SELECT mongo_migrate.written_set(%1$s, array_agg(e.element), array_agg(e.means)) FROM ('
                      'SELECT a%2$s."mm element" AS element, CASE WHEN a%2$s."mm copy" > (SELECT count(*) FROM unnest(o.keys) AS k WHERE k = a%2$s."mm key") THEN '
                      '(SELECT t.n FROM (SELECT p%2$s.n, p%2$s.document, %3$s AS element FROM (SELECT e.document, e.n '
                      'FROM json_array_elements(CASE WHEN json_typeof(%1$s) = ''array'' THEN %1$s END) '
                      'WITH ORDINALITY AS e (document, n) WHERE o.keys[e.n] <> a%2$s."mm key" ORDER BY abs(e.n - a%2$s."mm rank") OFFSET 0) AS p%2$s OFFSET 0) AS t '
                      'WHERE t.element::text = t.document::text LIMIT 1) END AS means '
                      'FROM (SELECT mongo_migrate.element_keys(%1$s) AS keys OFFSET 0) AS o CROSS JOIN ('
                      'SELECT a%2$s.*, f.element AS "mm element", k.key AS "mm key", row_number() OVER (PARTITION BY k.key) AS "mm copy", row_number() OVER () AS "mm rank" '
                      'FROM (SELECT c.* FROM %4$s AS c WHERE %5$s) AS a%2$s '
                      'CROSS JOIN LATERAL (SELECT %3$s AS element FROM (SELECT NULL::json AS document) AS p%2$s OFFSET 0) AS f '
                      'CROSS JOIN LATERAL (SELECT mongo_migrate.bson_key(f.element) AS key OFFSET 0) AS k) AS a%2$s) AS e)',
                      array_, depth, element, child.target, keys);
    END IF;
    -- Positions without a gap are those of the array's elements, and so are others until their gaps have been closed there,
    -- after which the array ends before the last of them. Then elements are where they are in the order of the rows, unless
    -- rows have come or gone since: one that its row makes something else of may be another row's, but for the only one.
    -- A full join is never a nested loop, however few rows are expected: arrays of thousands take no square of that.
    rows_ := format('(SELECT a%5$s.*, CASE WHEN a%5$s."mm sure" OR e.same OR (a%5$s."mm even" AND count(*) FILTER (WHERE e.same IS NOT TRUE) OVER () = 1) '
                    'THEN e.elements[1] ELSE e.elements[2] END AS "mm element" '
                    'FROM (SELECT %1$s AS elements OFFSET 0) AS o CROSS JOIN LATERAL (SELECT r.*, f.document AS "mm document" FROM ('
                    'SELECT c.*, row_number() OVER (ORDER BY c.%2$I) AS "mm n", %7$s AND count(*) OVER () = cardinality(o.elements) AS "mm even", '
                    'max(c.%2$I) OVER () < greatest(count(*) OVER (), cardinality(o.elements)) AND min(c.%2$I) OVER () >= 0 AS "mm sure" FROM %3$s AS c WHERE %4$s) AS r '
                    'FULL JOIN unnest(o.elements) WITH ORDINALITY AS f (document, n) ON f.n = CASE WHEN r."mm sure" THEN r.%2$I + 1 ELSE r."mm n" END OFFSET 0) AS a%5$s '
                    'CROSS JOIN LATERAL (SELECT array_agg(p.element ORDER BY p.n) AS elements, bool_or(p.element::text = p.document::text) AS same '
                    'FROM (SELECT p%5$s.document, p%5$s.n, %6$s AS element '
                    'FROM unnest(CASE WHEN a%5$s."mm sure" THEN ARRAY[a%5$s."mm document"] ELSE ARRAY[a%5$s."mm document", NULL] END) WITH ORDINALITY AS p%5$s (document, n) OFFSET 0) AS p) AS e '
                    'WHERE a%5$s."mm n" IS NOT NULL) AS e',
                    CASE WHEN child.nested_path IS NULL THEN format('mongo_migrate.array_elements(%s)', array_)
                         ELSE format('(SELECT mongo_migrate.tree_elements(%1$s, %2$L, array_agg(c.%3$I ORDER BY c.%3$I), array_agg(c.%4$I ORDER BY c.%3$I)) FROM %5$s AS c WHERE %6$s)',
                                     array_, child.nested_path, place.position, place.parent, child.target, keys) END,
                    place.position, child.target, keys, depth, element, CASE WHEN child.nested_path IS NULL THEN 'true' ELSE 'false' END);
    IF child.nested_path IS NOT NULL THEN
        RETURN format('(SELECT mongo_migrate.written_tree(%1$s, %2$L, array_agg(e.%3$I ORDER BY e."mm n"), array_agg(e.%4$I ORDER BY e."mm n"), array_agg(e."mm element" ORDER BY e."mm n")) FROM %5$s)',
                      array_, child.nested_path, place.position, place.parent, rows_);
    END IF;
    RETURN format('(SELECT CASE WHEN count(*) > 0 THEN json_agg(e."mm element" ORDER BY e."mm n") WHEN json_typeof(%1$s) = ''array'' THEN ''[]''::json ELSE %1$s END FROM %2$s)',
                  array_, rows_);
END
$$;
COMMENT ON FUNCTION mongo_migrate.written_child(name, text, mongo_migrate.plan_target, integer) IS
    'SQL for the array or map that the rows of a child table are, in the parent''s row at depth - 1';

CREATE FUNCTION mongo_migrate.written_row(server name, collection text, target text, depth integer)
    RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    element text := format('p%s.document', depth);
    base constant text := mongo_migrate.target_base(server, collection, target);
    mode constant text := mongo_migrate.extended_json_mode(server);
    col record;
    child mongo_migrate.plan_target;
    paths text[] := '{}';
    fields text[] := '{}';
    extra text;
    wholes text[] := '{}';  -- SQL for the element itself
    looked_up name[];       -- references by another field, where there are rows that they may refer to
    by_reference name[];    -- columns with their fields, of which these rows say what they are
BEGIN
    SELECT coalesce(array_agg(r.column_name), '{}'), coalesce(array_agg(r.value_column), '{}') INTO looked_up, by_reference
      FROM mongo_migrate.loaded_references(server, ARRAY[collection]) AS r
     WHERE (r.collection, r.target) = (collection, target) AND r.value_column <> r.column_name;
    FOR col IN
        SELECT v.*, c.reverse_expression
          FROM mongo_migrate.verify_columns(server, collection, target) AS v
          JOIN mongo_migrate.plan_column AS c ON (c.server, c.collection, c.target, c.column_name) = (server, collection, target, v.column_name)
         ORDER BY c.ordinal
    LOOP
        CONTINUE WHEN col.source IS NOT NULL OR col.role NOT IN ('value', 'reference', 'extra') OR col.path = '$key'
                   OR (depth = 0 AND col.path = '_id') OR (col.expression IS NOT NULL AND col.reverse_expression IS NULL) OR col.column_name = ANY (by_reference)
                   OR (col.role = 'reference' AND col.holds_ids AND col.refers_key <> '_id' AND col.column_name <> ALL (looked_up));
        IF col.role = 'extra' THEN
            extra := col.column_name;
        ELSIF col.path <> '$' THEN
            paths := paths || col.path;
            fields := fields || mongo_migrate.written_column(server, collection, target, base, mode, col, depth);
        ELSIF depth > 0 THEN
            wholes := wholes || mongo_migrate.written_column(server, collection, target, base, mode, col, depth);
        END IF;
    END LOOP;
    IF wholes <> '{}' THEN
        element := format('mongo_migrate.written_element(%s, ARRAY[%s]::json[])', element, array_to_string(wholes, ', '));
    END IF;
    FOR child IN
        SELECT * FROM mongo_migrate.plan_target AS t
         WHERE (t.server, t.collection, t.parent) = (server, collection, target) AND t.included
         ORDER BY t.ordinal, t.target
    LOOP
        IF child.path = '$' THEN
            element := mongo_migrate.written_child(server, collection, child, depth + 1);
        ELSE
            paths := paths || child.path;
            fields := fields || mongo_migrate.written_child(server, collection, child, depth + 1);
        END IF;
    END LOOP;
    IF paths <> '{}' THEN
        element := format('mongo_migrate.set_fields(%s, %L, ARRAY[%s]::json[])', element, paths, array_to_string(fields, ', '));
    END IF;
    IF extra IS NOT NULL THEN
        element := format('mongo_migrate.set_extra(%s, a%s.%I::jsonb, %L, %L)', element, depth, extra,
                          mongo_migrate.verify_known(server, collection, target), mode);
    END IF;
    RETURN element;
END
$$;
COMMENT ON FUNCTION mongo_migrate.written_row(name, text, text, integer) IS
    'SQL for what a row of a target and its child rows make of the document or element p<depth>';

CREATE FUNCTION mongo_migrate.written_statement(server name, collection text, root text)
    RETURNS text
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format('SELECT d.n, %s AS document FROM unnest($1, $2) WITH ORDINALITY AS d (id, now_, n) '
                  'JOIN %s AS a0 ON a0.%I %s d.id::%s CROSS JOIN LATERAL (SELECT d.now_ AS document) AS p0',
                  mongo_migrate.written_row($1, $2, $3, 0), $3, r.key, mongo_migrate.verify_equals(r.key_type), format_type(r.key_type, -1))
      FROM mongo_migrate.verify_root($1, $2, $3) AS r
$$;
COMMENT ON FUNCTION mongo_migrate.written_statement(name, text, text) IS
    'the statement that makes documents of the rows of a root: $1 text[], their ids, $2 json[], the documents as they are; a row (n, document) for each that has a row';

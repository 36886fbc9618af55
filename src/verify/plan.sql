-- plan.sql: the statements that hold a batch of documents against a table.
--
-- A statement takes $1 bytea[], the keys of the documents' _id, $2 json[], the
-- documents as libbson prints them, and $3 json[], their _id.  It works out the rows that they
-- should have become, joins them to the rows that are there, and yields a row
-- for each difference.  It is made anew from the plan and from the tables'
-- true column types by each verification.

-- The plan's columns of a target with their types in the table, key columns first.
CREATE FUNCTION mongo_migrate.verify_columns(server name, collection text, target text)
    RETURNS TABLE (column_name name, number integer, role text, path text, expression text, source_type text,
                   refers_to text, refers_key text, key_form text, on_dangling text, holds_ids boolean, type oid, typmod integer, source text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation    regclass := to_regclass(target);
    absent      name;
BEGIN
    IF relation IS NULL THEN
        RAISE undefined_table USING
            MESSAGE = format('table %s of the plan of collection "%s" does not exist', target, collection),
            HINT = CASE WHEN mongo_migrate.is_cut_over(server)
                        THEN (SELECT 'If it has another name now: ' || mongo_migrate.mend_target(t, 'target = ''...''') FROM mongo_migrate.plan_target AS t
                              WHERE (t.server, t.collection, t.target) = ($1, $2, $3))
                        ELSE format('SELECT * FROM mongo_migrate.migrate_collection(%L, %L);', server, collection) END;
    END IF;

    SELECT c.column_name INTO absent
    FROM mongo_migrate.plan_column AS c
    WHERE (c.server, c.collection, c.target) = ($1, $2, $3) AND c.included
        AND NOT EXISTS (SELECT FROM pg_attribute AS a
                        WHERE a.attrelid = relation AND a.attname = c.column_name AND a.attnum > 0 AND NOT a.attisdropped)
    ORDER BY c.ordinal LIMIT 1;
    IF FOUND THEN
        RAISE undefined_column USING
            MESSAGE = format('column "%s" of the plan of collection "%s" does not exist in table %s',
                             absent, collection, target),
            HINT = 'Add the column to the table, or set included = false for it in mongo_migrate.plan_column.';
    END IF;

    RETURN QUERY
        SELECT c.column_name, a.attnum::integer, c.role, c.path, c.expression, c.source_type,
               c.refers_to, c.refers_key, c.key_form, c.on_dangling, mongo_migrate.holds_ids(c), a.atttypid, a.atttypmod,
               CASE WHEN c.role IN ('id', 'parent', 'position', 'key') THEN mongo_migrate.key_source($1, $2, $3, c.column_name) END
        FROM mongo_migrate.plan_column AS c
             JOIN pg_attribute AS a ON a.attrelid = relation AND a.attname = c.column_name
        WHERE (c.server, c.collection, c.target) = ($1, $2, $3) AND c.included
            AND a.attnum > 0 AND NOT a.attisdropped
        ORDER BY 14, c.ordinal;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_columns(name, text, text) IS
    'the included columns of a target of a plan, key columns first, with their types in the table and, for a key column, key_source(); an error where the table or a column is not there';

-- What child rows have of their root's besides its key.
CREATE FUNCTION mongo_migrate.verify_carried(server name, collection text, target text)
    RETURNS TABLE (number integer, root_column name)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE up AS (
        SELECT c.number, c.column_name, $3 AS target
        FROM mongo_migrate.verify_columns($1, $2, $3) AS c WHERE c.role = 'parent' AND c.source IS NULL
        UNION ALL
        SELECT up.number, c.parent_column, t.parent
        FROM up
             JOIN mongo_migrate.plan_target AS t ON (t.server, t.collection, t.target) = ($1, $2, up.target)
             JOIN mongo_migrate.plan_column AS c
             ON (c.server, c.collection, c.target, c.column_name) = ($1, $2, up.target, up.column_name)
        WHERE c.role = 'parent'
    )
    SELECT up.number, up.column_name
    FROM up JOIN mongo_migrate.plan_target AS t ON (t.server, t.collection, t.target) = ($1, $2, up.target)
    WHERE t.kind = 'root' AND t.included
$$;
COMMENT ON FUNCTION mongo_migrate.verify_carried(name, text, text) IS
    'the columns of a child table that repeat one of its root''s which is not its key, by number, with the root''s column';

-- The document's id, from m (the id map's row) or the source's _id; and the map to join as m, if any.
CREATE FUNCTION mongo_migrate.verify_id(server name, collection text, type oid, value text,
    OUT id text, OUT map text, OUT map_type text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    type_name   text := format_type(type, -1);   -- bpchar, which has any length, and not character, which has 1
    known       mongo_migrate.id_map;
BEGIN
    SELECT i.* INTO known FROM mongo_migrate.id_map AS i WHERE (i.server, i.collection) = ($1, $2);
    PERFORM mongo_migrate.require_id_map(known, filled => false);
    map := known.relation;
    map_type := known.id_type;
    IF map_type = 'source' THEN
        map := NULL;
        id := format('(%s)::%s', (mongo_migrate.verify_fragments(type, -1, value, 'NULL', mongo_migrate.extended_json_mode(server))).typed, type_name);
    ELSE
        id := CASE WHEN map IS NULL THEN 'NULL' ELSE 'm.id' END || '::' || type_name;
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_id(name, text, oid, text) IS
    'SQL for the id in PostgreSQL of a document: id, over m, a row of the id map that map names, or over the source''s _id where map is NULL';

-- The root of a target, and the id of its rows.  A root that is not loaded, but
-- on the way to its children, has no table: its ids are of the type of a child's column.
CREATE FUNCTION mongo_migrate.verify_root(server name, collection text, target text,
    OUT root text, OUT loaded boolean, OUT key name, OUT key_type oid, OUT expression text, OUT source_type text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    SELECT c.target, t.included INTO root, loaded
    FROM mongo_migrate.target_chain(server, collection, target) AS c
         JOIN mongo_migrate.plan_target AS t ON (t.server, t.collection, t.target) = ($1, $2, c.target)
    WHERE c.depth = 0;

    IF loaded THEN
        -- The expression of an id that comes from a map sees the map's.
        SELECT c.column_name, c.type, c.expression, coalesce(nullif(m.id_type, 'source'), c.source_type)
        INTO key, key_type, expression, source_type
        FROM mongo_migrate.verify_columns(server, collection, root) AS c
             LEFT JOIN mongo_migrate.id_map AS m ON (m.server, m.collection) = ($1, $2)
        WHERE c.role = 'id';
    ELSE
        SELECT c.type INTO key_type FROM mongo_migrate.verify_columns(server, collection, target) AS c
        WHERE c.source = 'id';
    END IF;
    IF NOT FOUND THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('the plan of collection "%s" has no id column for table %s',
                             collection, CASE WHEN loaded THEN root ELSE target END),
            DETAIL = 'Documents and rows are matched by it.',
            HINT = 'Give the column that has the document''s id the role id in mongo_migrate.plan_column.';
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_root(name, text, text) IS
    'the root target of a target and its id column; an error where it has none';

-- Citus has the rows of a table on other nodes.  A batch gathers those that it
-- asks for, rather than join the table, which would gather all of it.
CREATE FUNCTION mongo_migrate.verify_is_elsewhere(target text) RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    RETURN (mongo_migrate.citus_distribution(to_regclass(target))).kind IS NOT NULL;
COMMENT ON FUNCTION mongo_migrate.verify_is_elsewhere(text) IS
    'whether Citus distributes a table';

-- The WITH clause name of the rows of a table whose key is in ids(id).
CREATE FUNCTION mongo_migrate.verify_gather(name text, target text, key name, type oid, ids text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    RETURN format(', %s AS MATERIALIZED (SELECT g.* FROM %s AS g WHERE g.%I %s ANY (SELECT i.id FROM %s AS i))',
                  name, target, key, mongo_migrate.verify_equals(type), ids);
COMMENT ON FUNCTION mongo_migrate.verify_gather(text, text, name, oid, text) IS
    'the WITH clause of a verification that gathers rows of a table by their key';

-- The WITH clause level<depth>: the elements of an array, the fields of a map or
-- the elements of a tree in the rows of the level before, whose positions are
-- in positions.  level is a row of target_chain().
CREATE FUNCTION mongo_migrate.verify_level(level record, positions text) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    elements constant text :=
        'SELECT l.number, l.source_id, l.id, e.document, l.present, concat_ws(''.'', l.element, %s, %s) AS element'
        || positions || ', %s FROM %s AS l CROSS JOIN LATERAL (SELECT l.document #> %L AS elements OFFSET 0) AS a '
        'CROSS JOIN LATERAL ';
    of_array constant text := elements ||
        'json_array_elements(CASE WHEN json_typeof(a.elements) = ''array'' THEN a.elements END) WITH ORDINALITY AS e(document, n)';
    of_map constant text := elements ||
        'json_each(mongo_migrate.verify_map(a.elements)) AS e(name, document)';
    before constant text := 'level' || level.depth - 1;
    path constant text := quote_nullable(nullif(level.path, '$'));
    steps constant text[] := mongo_migrate.verify_steps(level.path);
    outer_positions constant text := regexp_replace(positions, ', l\.k\d+', '', 'g');
BEGIN
    IF level.nested_path IS NULL THEN
        RETURN format(', level%s AS (%s)', level.depth, CASE level.kind
            WHEN 'map' THEN format(of_map, path, 'e.name', 'e.name AS p' || level.depth, before, steps)
            ELSE format(of_array, path, 'e.n - 1', '(e.n - 1)::integer AS p' || level.depth, before, steps) END);
    END IF;
    -- Elements are numbered as they come, each before those within it; above is the number of the one around.
    -- The recursion is within one clause: Citus has none in a statement over its tables.
    RETURN format(', level%1$s AS MATERIALIZED (WITH RECURSIVE walk%1$s AS (%2$s UNION ALL %3$s), ', level.depth,
                  format(of_array, path, 'e.n - 1', 'ARRAY[e.n] AS place', before, steps),
                  format(of_array, quote_literal(level.nested_path), 'e.n - 1', 'l.place || e.n', 'walk' || level.depth,
                         mongo_migrate.verify_steps(level.nested_path)))
        || format('numbered%1$s AS (SELECT l.*, (row_number() OVER (PARTITION BY l.number%2$s ORDER BY l.place) - 1)::integer AS p%1$s '
                  'FROM walk%1$s AS l) '
                  'SELECT l.number, l.source_id, l.id, l.document, l.present, l.element%2$s, l.p%1$s, above.p%1$s AS above '
                  'FROM numbered%1$s AS l LEFT JOIN numbered%1$s AS above ON (above.number%3$s) = (l.number%4$s) '
                  'AND above.place = l.place[1:cardinality(l.place) - 1])',
                  level.depth, positions, replace(outer_positions, 'l.p', 'above.p'), outer_positions);
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_level(record, text) IS
    'the WITH clause of a verification from the rows of a level to the elements in them; level is a row of target_chain()';

-- WITH clauses from the documents to level<depth>(number, source_id, id,
-- document, element, present, p1..), the rows that a target should have.
-- number: the document's in the batch.  present: the row must be there (no
-- quarantine; a child's parent has its row).
CREATE FUNCTION mongo_migrate.verify_levels(server name, collection text, target text)
    RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    root        record;
    ident       record;
    level       record;
    statement   text;
    roots       text;           -- what has the roots' rows, for those of a child
    carried     text := '';
    positions   text := '';
BEGIN
    SELECT * INTO root FROM mongo_migrate.verify_root(server, collection, target);
    SELECT * INTO ident FROM mongo_migrate.verify_id(server, collection,
        CASE WHEN root.expression IS NULL THEN root.key_type ELSE coalesce(to_regtype(root.source_type), root.key_type) END, 'd.id');
    IF root.expression IS NOT NULL THEN
        ident.id := format('(SELECT (%s' || chr(10) || ') FROM (SELECT %s AS value, '
                           'mongo_migrate.verify_json(mongo_migrate.verify_jsonb(d.document), ''relaxed'') AS doc) AS x)::%s',
                           root.expression, ident.id, format_type(root.key_type, -1));
    END IF;
    IF root.loaded AND root.root <> target THEN
        roots := CASE WHEN mongo_migrate.verify_is_elsewhere(root.root) THEN 'roots'
            WHEN mongo_migrate.has_unique(to_regclass(root.root), ARRAY[root.key]) THEN root.root
            -- A row that is there twice has its children once.
            ELSE format('(SELECT DISTINCT ON (u.%1$I) u.* FROM %2$s AS u WHERE EXISTS (SELECT FROM source AS o WHERE u.%1$I %3$s o.id) ORDER BY u.%1$I)',
                        root.key, root.root, mongo_migrate.verify_equals(root.key_type)) END;
    END IF;
    SELECT coalesce(string_agg(format(', r.%I AS k%s', c.root_column, c.number), '' ORDER BY c.number), ''),
           coalesce(string_agg(format(', l.k%s', c.number), '' ORDER BY c.number), '') INTO carried, positions
    FROM mongo_migrate.verify_carried(server, collection, target) AS c;
    statement := format(
        'WITH source AS MATERIALIZED ('
        'SELECT d.number, d.source_id, %1$s AS id, d.document, '
        -- Most collections have none in quarantine, which is found out once a batch.
        'EXISTS (SELECT FROM mongo_migrate.quarantine AS q WHERE q.server = %2$L AND q.collection = %3$L) AND '
        'EXISTS (SELECT FROM mongo_migrate.quarantine AS q '
        'WHERE q.server = %2$L AND q.collection = %3$L AND q.key = mongo_migrate.quarantine_key(d.key)) AS quarantined '
        'FROM (SELECT u.number, u.key, u.document, u.source_id, u.source_id::jsonb AS id '
        'FROM unnest($1, $2, $3) WITH ORDINALITY AS u(key, document, source_id, number) OFFSET 0) AS d %4$s)%5$s, '
        'level0 AS (SELECT s.number, s.source_id, s.id, s.document, NULL::text AS element, '
        '%6$s AS present%7$s FROM source AS s %8$s)',
        ident.id, server, collection, 'LEFT JOIN ' || ident.map || ' AS m ON m.key = d.key',
        concat(CASE WHEN mongo_migrate.verify_is_elsewhere(target) OR roots = 'roots'
                    THEN ', ids AS MATERIALIZED (SELECT s.id FROM source AS s WHERE s.id IS NOT NULL)' END,
               CASE WHEN roots = 'roots'
                    THEN mongo_migrate.verify_gather('roots', root.root, root.key, root.key_type, 'ids') END),
        CASE WHEN roots IS NOT NULL THEN format('r.%I IS NOT NULL', root.key) ELSE 'NOT s.quarantined' END,
        carried,
        CASE WHEN roots IS NOT NULL THEN
            format('LEFT JOIN %s AS r ON r.%I %s s.id', roots, root.key, mongo_migrate.verify_equals(root.key_type)) END);

    FOR level IN SELECT * FROM mongo_migrate.target_chain(server, collection, target) AS c WHERE c.depth > 0
    LOOP
        statement := statement || mongo_migrate.verify_level(level, positions);
        positions := positions || format(', l.p%s', level.depth);
    END LOOP;
    RETURN statement;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_levels(name, text, text) IS
    'the WITH clauses of a verification from documents to the rows that a target should have';

-- The WITH clause found<n>(key, id): which of the documents that expected.r<n>
-- refers to are in the source, with what the column should have: their ids in
-- PostgreSQL, or their keys.
CREATE FUNCTION mongo_migrate.verify_found(server name, refers_to text, refers_key text, holds_ids boolean,
        type oid, n integer)
    RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    ident   record;
BEGIN
    IF holds_ids THEN
        SELECT * INTO ident FROM mongo_migrate.verify_id(server, refers_to, type,
            '((mongo_migrate.without_nul(f.document) -> ''_id'')::jsonb)');
    ELSE
        SELECT format('(%s)::%s', v.typed, format_type(type, -1)) AS id, NULL AS map INTO ident
        FROM mongo_migrate.verify_fragments(type, -1, format('((mongo_migrate.without_nul(f.document) #> %L)::jsonb)',
                                                             mongo_migrate.verify_steps(refers_key)), 'NULL', mongo_migrate.extended_json_mode(server)) AS v;
    END IF;
    RETURN format(
        ', found%1$s AS MATERIALIZED (SELECT DISTINCT ON (key) f.key, %2$s AS id FROM ('
        'SELECT mongo_migrate.verify_document_key(d.document, %3$L) AS key, d.document FROM ('
        'SELECT json_agg(mongo_migrate.key_to_json(k.key)) AS keys FROM ('
        'SELECT w.key, row_number() OVER () / 5000 AS part FROM (SELECT DISTINCT r%1$s AS key FROM expected '
        'WHERE r%1$s IS NOT NULL) AS w) AS k GROUP BY k.part) AS p '
        'CROSS JOIN LATERAL mongo_migrate.find_documents(%4$L, %5$L, '
        'json_build_object(%6$L, json_build_object(''$in'', p.keys)), %7$L, ''canonical'') AS d(document) OFFSET 0) AS f %8$s '
        'ORDER BY key, id)',
        n, ident.id, refers_key, server, refers_to, refers_key,
        json_build_object('projection', CASE refers_key WHEN '_id' THEN json_build_object('_id', 1)
                                        ELSE json_build_object('_id', 1, refers_key, 1) END),
        'LEFT JOIN ' || ident.map || ' AS m ON m.key = ' ||
        CASE refers_key WHEN '_id' THEN 'f.key' ELSE 'mongo_migrate.verify_document_key(f.document)' END);
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_found(name, text, text, boolean, oid, integer) IS
    'the WITH clause of a verification that looks up in the source what a reference refers to';

-- The names of fields that a plan has something for, in the rows of a target.
CREATE FUNCTION mongo_migrate.verify_known(server name, collection text, target text) RETURNS text[]
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH same AS (
        SELECT t.target FROM mongo_migrate.plan_target AS t
        WHERE (t.server, t.collection) = ($1, $2)
          AND mongo_migrate.target_base($1, $2, t.target) = mongo_migrate.target_base($1, $2, $3)
    ), known AS (
        SELECT c.path FROM same AS s JOIN mongo_migrate.plan_column AS c
            ON (c.server, c.collection, c.target) = ($1, $2, s.target)
        WHERE c.path NOT IN ('$', '$key')
        UNION ALL
        SELECT t.nested_path FROM same AS s JOIN mongo_migrate.plan_target AS t
            ON (t.server, t.collection, t.target) = ($1, $2, s.target)
        WHERE t.nested_path IS NOT NULL
        UNION ALL
        SELECT t.path FROM same AS s JOIN mongo_migrate.plan_target AS t
            ON (t.server, t.collection, t.parent) = ($1, $2, s.target)
        WHERE t.path <> '$'
    )
    SELECT coalesce(array_agg(DISTINCT (mongo_migrate.verify_steps(k.path))[1]), '{}') FROM known AS k
$$;
COMMENT ON FUNCTION mongo_migrate.verify_known(name, text, text) IS
    'the fields of a target''s rows that its plan knows, in columns or tables, included or not';

-- Where the rows of a tree are in it: an application adds an element at the
-- end of its table, wherever in the tree it is.
CREATE FUNCTION mongo_migrate.tree_paths(positions integer[], parents integer[])
    RETURNS TABLE (n bigint, path bigint[])
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH RECURSIVE element AS (
        SELECT e.n, e.position, e.parent, row_number() OVER (PARTITION BY e.parent ORDER BY e.position) AS rank
          FROM unnest($1, $2) WITH ORDINALITY AS e (position, parent, n)
    ), walk AS (
        SELECT e.n, e.position, ARRAY[e.rank] AS path FROM element AS e WHERE e.parent IS NULL
         UNION ALL
        SELECT e.n, e.position, w.path || e.rank FROM walk AS w JOIN element AS e ON e.parent = w.position
    )
    SELECT w.n, w.path FROM walk AS w
$$;
COMMENT ON FUNCTION mongo_migrate.tree_paths(integer[], integer[]) IS
    'the paths of a tree''s elements, numbers from 1 on at each level, by their positions and those of the elements that they are within; none of those that are within none that is there, or within themselves';

-- After a cutover positions may have gaps, where an application has deleted
-- rows; an array has none. Those of a tree need not be in its order.
CREATE FUNCTION mongo_migrate.verify_dense(name text, server name, collection text, target text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH chain AS (
        SELECT c.* FROM mongo_migrate.target_chain($2, $3, $4) AS c
    ), key AS (         -- of the table and those above it, but maps
        SELECT chain.depth, chain.target, k.column_name, k.number, k.source, k.type, k.role
          FROM chain CROSS JOIN LATERAL mongo_migrate.verify_columns($2, $3, chain.target) AS k
         WHERE k.source IS NOT NULL OR (k.role = 'parent_position' AND chain.target = $4)
    ), id AS (
        SELECT k.target, k.column_name, mongo_migrate.verify_equals(k.type) AS equals FROM key AS k WHERE k.source = 'id'
    ), place AS (       -- a position in the table, and the table that counts it
        SELECT o.column_name, o.type, c.target, p.column_name AS counted, w.within, w.alias, k.*
          FROM key AS o
          JOIN chain AS c ON c.depth = CASE o.role WHEN 'parent_position' THEN o.depth ELSE nullif(substr(o.source, 2), 'd')::integer END
          JOIN key AS p ON p.target = c.target AND p.source = 'p' || c.depth
         CROSS JOIN LATERAL (    -- in a tree, the column with the position that it is within there
               SELECT min(t.column_name) AS within, CASE WHEN count(*) = 0 THEN 'u' ELSE 'w' || o.number END AS alias
                 FROM mongo_migrate.verify_columns($2, $3, c.target) AS t WHERE t.role = 'parent_position') AS w
         CROSS JOIN LATERAL (    -- the other keys there
               SELECT string_agg(format('%I.%I %s g.%I', w.alias, u.column_name, mongo_migrate.verify_equals(u.type), g.column_name), ' AND ') AS same,
                      string_agg(format('u.%I', u.column_name), ', ') AS columns
                 FROM key AS u JOIN key AS g USING (source)
                WHERE u.target = c.target AND g.target = $4 AND u.source <> 'p' || c.depth) AS k
         WHERE o.target = $4 AND o.source IS DISTINCT FROM 'id' AND c.kind <> 'map'
    )
    SELECT format(', %s AS MATERIALIZED (SELECT %s FROM %s AS g%s WHERE EXISTS (SELECT FROM source AS o WHERE g.%I %s o.id))', $1,
               string_agg(CASE WHEN place.column_name IS NULL THEN format('g.%I', a.attname)
                   WHEN place.within IS NOT NULL THEN format('%I.place::%s AS %I', place.alias, format_type(place.type, -1), a.attname)
                   ELSE format('CASE WHEN g.%1$I IS NOT NULL THEN (SELECT count(*) FROM %2$s AS u WHERE %3$s AND u.%4$I < g.%1$I)::%5$s END AS %1$I',
                       a.attname, place.target, place.same, place.counted, format_type(place.type, -1)) END, ', ' ORDER BY a.attnum),
               $4,
               string_agg(format(' LEFT JOIN (SELECT u.*, e.position AS "mm position", row_number() OVER (PARTITION BY %1$s ORDER BY p.path) - 1 AS place '
                   'FROM (SELECT %1$s, array_agg(u.%2$I ORDER BY u.%2$I) AS "mm positions", array_agg(u.%3$I ORDER BY u.%2$I) AS "mm parents" '
                   'FROM %4$s AS u WHERE EXISTS (SELECT FROM source AS o WHERE u.%5$I %6$s o.id) GROUP BY %1$s) AS u '
                   'CROSS JOIN LATERAL unnest(u."mm positions") WITH ORDINALITY AS e (position, n) '
                   'JOIN LATERAL mongo_migrate.tree_paths(u."mm positions", u."mm parents") AS p USING (n)) AS %7$I ON %8$s AND %7$I."mm position" = g.%9$I',
                   place.columns, place.counted, place.within, place.target, within.column_name, within.equals,
                   place.alias, place.same, place.column_name), '')
                   FILTER (WHERE place.within IS NOT NULL),
               min(id.column_name), min(id.equals))
      FROM id CROSS JOIN pg_attribute AS a LEFT JOIN place ON place.column_name = a.attname
      LEFT JOIN id AS within ON within.target = place.target
     WHERE id.target = $4 AND a.attrelid = to_regclass($4) AND a.attnum > 0 AND NOT a.attisdropped
$$;
COMMENT ON FUNCTION mongo_migrate.verify_dense(text, name, text, text) IS
    'the WITH clause of a verification that has the rows of a child table with positions counted anew, without gaps';

-- What a statement for one target is made of.
CREATE FUNCTION mongo_migrate.verify_clauses(server name, collection text, target text, every boolean,
    OUT relation text,      -- what has the table's rows, as t
    OUT fields text[],      -- of expected: v<n>, a value; r<n>, the key of what is referred to
    OUT lookups text,       -- WITH clauses found<n>: what references refer to; docs: documents for expressions
    OUT joins text,         -- of found<n> AS f<n>, and docs
    OUT owner text,         -- the table's column with the document's id; NULL where there is no row
    OUT same_owner text,    -- condition: a row of the table AS t is of a document of source AS o
    OUT pairs text[],       -- conditions that pair expected AS e and the table AS t
    OUT kinds text[],       -- for each column, the kind of difference, or NULL
    OUT cells text[])       -- for each column, a row (column_name, kind, source_value, target_value)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    mode    text := mongo_migrate.extended_json_mode(server);
    col     record;
    stored  text;
    steps   text[];
    is_name boolean;        -- the value is the name of a map's field
    content text;
    kind    text;
    depth   integer;
    test    record;
    uses_doc boolean := false;
    cut_over constant boolean := mongo_migrate.is_cut_over(server);
BEGIN
    SELECT c.kind, c.depth INTO kind, depth FROM mongo_migrate.target_chain(server, collection, target) AS c
    ORDER BY c.depth DESC LIMIT 1;
    relation := target;
    fields := '{}';
    kinds := '{}';
    cells := '{}';
    FOR col IN SELECT * FROM mongo_migrate.verify_columns(server, collection, target) LOOP
        stored := mongo_migrate.verify_stored(server, col);
        steps := mongo_migrate.verify_steps(col.path);
        is_name := kind = 'map' AND col.path = '$key';
        content := CASE WHEN is_name THEN format('to_jsonb(l.p%s)', depth) ELSE format('l.content #> %L', steps) END;
        IF col.source IS NOT NULL THEN
            pairs := pairs || CASE WHEN EXISTS (SELECT FROM mongo_migrate.target_chain(server, collection, target) AS c
                                                WHERE c.kind = 'map' AND col.source = 'p' || c.depth)
                              THEN format('%s::text = e.%s', stored, col.source)
                              ELSE format('%s %s e.%s', stored, mongo_migrate.verify_equals(col.type), col.source) END;
            IF col.source = 'id' THEN
                owner := stored;
                same_owner := format('%s %s o.id', stored, mongo_migrate.verify_equals(col.type));
                IF mongo_migrate.verify_is_elsewhere(target) THEN
                    relation := 'stored';
                    lookups := mongo_migrate.verify_gather(relation, target, col.column_name, col.type, 'ids');
                ELSIF cut_over AND depth > 0 THEN
                    relation := 'dense';
                    lookups := mongo_migrate.verify_dense(relation, server, collection, target);
                END IF;
            END IF;
            IF every THEN
                cells := cells || format('(%L, NULL, %s::text, %s::text)', col.column_name,
                                         CASE col.source WHEN 'id' THEN 'mongo_migrate.verify_source_id(e.source_id)'
                                         ELSE 'e.' || col.source END, stored);
            END IF;
            CONTINUE;
        END IF;

        IF col.role = 'parent' THEN
            CONTINUE WHEN col.number NOT IN (SELECT c.number FROM mongo_migrate.verify_carried(server, collection, target) AS c);
            fields := fields || format('l.k%1$s AS v%1$s', col.number);
            kinds := kinds || format('CASE WHEN e.source_id IS NOT NULL AND %s IS NOT NULL AND NOT coalesce(%s %s e.v%s, false)'
                                     ' THEN ''mismatch'' END', owner, stored, mongo_migrate.verify_equals(col.type), col.number);
            cells := cells || format('(%L, %s, e.v%s::text, %s::text)', col.column_name, kinds[cardinality(kinds)], col.number, stored);
            CONTINUE;
        END IF;
        fields := fields || CASE col.role
            WHEN 'extra' THEN format('CASE WHEN jsonb_typeof(l.content) = ''object'' AND NOT mongo_migrate.verify_is_wrapper(l.content) THEN nullif(l.content - %L::text[], ''{}'') END AS v%s',
                                     mongo_migrate.verify_known(server, collection, target), col.number)
            WHEN 'parent_position' THEN format('l.above AS v%s', col.number)
            ELSE format('%s AS v%s', content, col.number) END;
        IF col.role = 'reference' THEN
            fields := fields || format('mongo_migrate.verify_reference(%s, %s, %L) AS r%s',
                                       CASE WHEN is_name THEN format('to_json(l.p%s)', depth) ELSE format('l.document #> %L', steps) END,
                                       content, col.key_form, col.number);
            lookups := concat(lookups, mongo_migrate.verify_found(server, col.refers_to, col.refers_key, col.holds_ids,
                                                                     col.type, col.number));
            lookups := concat(lookups, mongo_migrate.verify_gather_referred(server, col.refers_to,
                CASE WHEN col.holds_ids THEN '_id' ELSE col.refers_key END, col.number,
                format('SELECT %s FROM %s AS t WHERE EXISTS (SELECT FROM source AS o WHERE %s)', stored, relation, same_owner)));
            joins := concat(joins, format(' LEFT JOIN found%1$s AS f%1$s ON f%1$s.key = e.r%1$s', col.number));
        ELSIF col.expression ~* '\mdoc\M' AND NOT uses_doc THEN
            -- Once a document, however many elements it has.
            lookups := concat(lookups, ', docs AS MATERIALIZED (SELECT o.number, '
                              'mongo_migrate.verify_json(mongo_migrate.verify_jsonb(o.document), ''relaxed'') AS doc FROM source AS o)');
            joins := concat(joins, ' LEFT JOIN docs ON docs.number = e.number');
            uses_doc := true;
        END IF;
        SELECT * INTO test FROM mongo_migrate.verify_column(server, mode, col, stored);
        kinds := kinds || format('CASE WHEN e.source_id IS NOT NULL AND %s IS NOT NULL THEN %s END', owner, test.kind);
        cells := cells || format('(%L, %s, %s, %s::text)', col.column_name, kinds[cardinality(kinds)], test.shown, stored);
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_clauses(name, text, text, boolean) IS
    'parts of the statement that holds documents against a table; every: with cells for key columns too';

-- The end of the statement for a child table that has no column for the
-- position: its rows are compared with the array's elements as bags.  Elements
-- that have the same content, and rows that are the same, are held against each
-- other once.
CREATE FUNCTION mongo_migrate.verify_as_bags(target text, part record) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    same    text := array_to_string(part.pairs, ' AND ')
        || format(' AND NOT coalesce(''mismatch'' = ANY (ARRAY[NULL%s]), false)', array_to_string('{""}' || part.kinds, ', '));
    -- Positions in arrays around, for which there are columns.
    places  text := (SELECT string_agg(', ' || substring(p FROM '\me\.p[0-9]+$'), '') FROM unnest(part.pairs) AS p);
BEGIN
    RETURN format(
        'SELECT mongo_migrate.verify_source_id(d.source_id) AS source_id, %1$L AS target, NULL AS column_name, d.kind, '
        'd.source_value, d.target_value, d.element, ($1)[d.number] AS source_key FROM (WITH wanted AS MATERIALIZED ('
        'SELECT e.*, dense_rank() OVER (ORDER BY e.number, e.content%6$s) AS bag, count(*) OVER alike AS copies, row_number() OVER alike AS copy '
        'FROM expected AS e WINDOW alike AS (PARTITION BY e.number, e.content%6$s)'
        '), there AS MATERIALIZED ('
        'SELECT o.number AS "mm number", o.source_id AS "mm source", j.row AS "mm row", dense_rank() OVER (ORDER BY o.number, j.row) AS "mm bag", '
        'count(*) OVER alike AS "mm copies", row_number() OVER alike AS "mm copy", t.* '
        'FROM source AS o JOIN %5$s AS t ON %4$s CROSS JOIN LATERAL (SELECT to_json(t.*)::text COLLATE "C" AS row) AS j '
        'WINDOW alike AS (PARTITION BY o.number, j.row)'
        '), pair AS MATERIALIZED ('
        'SELECT e.bag, t."mm bag" AS rows, e.copies, t."mm copies" AS row_copies '
        'FROM wanted AS e %2$s JOIN there AS t ON t."mm number" = e.number AND %3$s WHERE e.copy = 1 AND t."mm copy" = 1) '
        'SELECT e.number, e.source_id, ''missing'' AS kind, '
        'mongo_migrate.verify_readable(mongo_migrate.verify_json(e.content, ''relaxed'')::text) AS source_value, '
        'NULL AS target_value, e.element FROM wanted AS e WHERE e.present AND e.bag NOT IN (SELECT p.bag FROM pair AS p) '
        'UNION ALL '
        'SELECT t."mm number", t."mm source", ''extra'', NULL, left(t."mm row", 1000), NULL '
        'FROM there AS t WHERE t."mm bag" NOT IN (SELECT p.rows FROM pair AS p) '
        'UNION ALL '
        -- Of equal ones there are too many or too few.
        'SELECT e.number, e.source_id, CASE WHEN b.copies > b.row_copies THEN ''missing'' ELSE ''extra'' END, '
        'mongo_migrate.counted(b.copies::bigint, ''element''), mongo_migrate.counted(b.row_copies::bigint, ''row''), e.element '
        'FROM (SELECT min(s.bag) AS bag, s.copies, s.row_copies FROM ('
        'SELECT min(p.bag) OVER of_rows AS bag, sum(p.copies) OVER of_rows AS copies, sum(p.row_copies) OVER (PARTITION BY p.bag) AS row_copies '
        'FROM pair AS p WINDOW of_rows AS (PARTITION BY p.rows)) AS s WHERE s.copies <> s.row_copies GROUP BY s.bag, s.copies, s.row_copies) AS b '
        'JOIN wanted AS e ON e.bag = b.bag AND e.copy = 1 AND e.present) AS d',
        target, part.joins, same, part.same_owner, part.relation, places);
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_as_bags(text, record) IS
    'the end of a statement of a verification, for a child table without positions; part is of verify_clauses()';

-- The statement for one target in two halves: the WITH clauses up to expected
-- and what its references refer to; and the SELECT of the differences.
CREATE FUNCTION mongo_migrate.verify_halves(server name, collection text, target text, every boolean,
    OUT start text, OUT differences text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    depth   integer := (SELECT max(c.depth) FROM mongo_migrate.target_chain(server, collection, target) AS c);
    part    record;
    row_kind text;
    stored  text;
BEGIN
    SELECT * INTO part FROM mongo_migrate.verify_clauses(server, collection, target, every);
    start := mongo_migrate.verify_levels(server, collection, target) || format(
        ', expected AS MATERIALIZED (SELECT %s FROM ('
        'SELECT l.*, mongo_migrate.verify_jsonb(l.document) AS content FROM level%s AS l OFFSET 0) AS l)%s ',
        array_to_string('{l.number, l.source_id, l.id, l.present, l.element, l.content}'
                        || ARRAY(SELECT 'l.p' || n FROM generate_series(1, depth) AS n) || part.fields, ', '),
        depth, part.lookups);
    IF cardinality(part.pairs) <= depth THEN
        differences := mongo_migrate.verify_as_bags(target, part) || mongo_migrate.verify_misfits(server, collection, target);
        RETURN;
    END IF;

    row_kind := format('CASE WHEN %s IS NULL AND e.present THEN ''missing'' WHEN e.source_id IS NULL THEN ''extra'' END',
                       part.owner);
    stored := CASE WHEN depth = 0 THEN format('LEFT JOIN %s', part.relation)
        ELSE format('FULL JOIN (SELECT t.* FROM %s AS t WHERE EXISTS (SELECT FROM source AS o WHERE %s))',
                    part.relation, part.same_owner) END;
    differences := format('SELECT mongo_migrate.verify_source_id(coalesce(e.source_id, o.source_id)) AS source_id, %L AS target, f.column_name, %s AS kind, '
                  'mongo_migrate.verify_readable(f.source_value) AS source_value, '
                  'left(f.target_value, 1000) AS target_value, e.element, ($1)[coalesce(e.number, o.number)] AS source_key ',
                  target, CASE WHEN every THEN 'coalesce(f.kind, ''equal'')' ELSE 'f.kind' END)
        || format('FROM expected AS e %s AS t ON %s LEFT JOIN source AS o ON e.source_id IS NULL AND %s%s ',
                  stored, array_to_string(part.pairs, ' AND '), part.same_owner, part.joins)
        || format('CROSS JOIN LATERAL (VALUES (NULL, %s, mongo_migrate.verify_json(e.content, ''relaxed'')::text, CASE WHEN e.source_id IS NULL THEN to_json(t.*)::text END)',
                  row_kind)
        || array_to_string('{""}' || part.cells, ', ') || ') AS f(column_name, kind, source_value, target_value) WHERE '
        || CASE WHEN every THEN
               format('f.kind IS NOT NULL OR (f.column_name IS NOT NULL AND e.source_id IS NOT NULL AND %s IS NOT NULL)',
                      part.owner)
           ELSE
               format('coalesce(%s) IS NOT NULL AND f.kind IS NOT NULL',
                      array_to_string(row_kind || part.kinds, ', '))
           END || mongo_migrate.verify_misfits(server, collection, target);
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_halves(name, text, text, boolean) IS
    'the statement of a verification for one target: its WITH clauses, and the SELECT of the differences';

CREATE FUNCTION mongo_migrate.verify_statement(server name, collection text, target text, every boolean) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    RETURN (SELECT h.start || h.differences FROM mongo_migrate.verify_halves(server, collection, target, every) AS h);
COMMENT ON FUNCTION mongo_migrate.verify_statement(name, text, text, boolean) IS
    'the statement that holds documents ($1 keys bytea[], $2 documents json[], $3 their _id json[]) against a table: a row for each difference; with every, for each value';

-- What a verification of one root with its children goes by.
CREATE TYPE mongo_migrate.verify_job AS (
    verification bigint,
    server      name,
    collection  text,
    root        text,
    filter      jsonb,      -- the root's; never NULL
    targets     text[],
    statements  text[]      -- by target, from verify_batch_statement(), or with every value from verify_statement()
);
COMMENT ON TYPE mongo_migrate.verify_job IS 'a root of a plan in the course of a verification';

-- What documents came to.
CREATE TYPE mongo_migrate.verify_tally AS (
    documents   bigint,     -- NULL: none
    present     bigint,     -- rows of the root's table that should be there; NULL: none, or the root is not loaded
    sums        numeric[]   -- in the order of verify_sum_columns(); NULL: not wanted
);
COMMENT ON TYPE mongo_migrate.verify_tally IS 'what a verification has counted and summed of documents';

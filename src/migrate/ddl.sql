-- ddl.sql: a plan as DDL, to read and to execute.

-- Reading a plan ---------------------------------------------------------

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

CREATE FUNCTION mongo_migrate.target_base(server name, collection text, target text) RETURNS text
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    WITH RECURSIVE down AS (
        SELECT t.target, '' AS base FROM mongo_migrate.plan_target AS t
        WHERE (t.server, t.collection) = ($1, $2) AND t.parent IS NULL
        UNION ALL
        SELECT t.target, mongo_migrate.full_path(down.base, t.path) || CASE t.kind WHEN 'map' THEN '{}' ELSE '[]' END
        FROM down JOIN mongo_migrate.plan_target AS t
            ON (t.server, t.collection, t.parent) = ($1, $2, down.target))
    SELECT d.base FROM down AS d WHERE d.target = $3
$$;
COMMENT ON FUNCTION mongo_migrate.target_base(name, text, text) IS
    'the path of a target''s rows from the document''s top, as infer_schema has it; the root''s is empty';

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

-- Tables -----------------------------------------------------------------

CREATE FUNCTION mongo_migrate.table_ddl(server name, collection text, target text) RETURNS text
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    WITH columns AS (
        SELECT c.ordinal,
               quote_ident(c.column_name) AS name,
               c.type,
               concat_ws(' ',
                   CASE WHEN c.role = 'id' AND c.type = 'bigint' THEN 'GENERATED BY DEFAULT AS IDENTITY'
                        WHEN c.role = 'id' AND c.type = 'uuid' THEN 'DEFAULT gen_random_uuid()'
                        WHEN c.role = 'id' AND c.type = 'mongo_migrate.objectid'
                        THEN 'DEFAULT mongo_migrate.objectid_generate()'
                        ELSE 'DEFAULT ' || c.default_value END,
                   CASE WHEN NOT c.nullable THEN 'NOT NULL' END) AS "constraint",
               concat_ws('; ',
                   CASE WHEN c.path IS NULL OR c.role = 'extra' THEN c.note
                        ELSE mongo_migrate.source_path($1, $2, $3, c.path) || coalesce(': ' || c.note, '') END,
                   'refers to ' || c.refers_to || coalesce('.' || nullif(c.refers_key, '_id'), ''),
                   CASE WHEN c.lookup_table IS NULL THEN 'as ' || c.expression ELSE 'by name in ' || c.lookup_table END) AS remark,
               count(*) OVER () = row_number() OVER (ORDER BY c.ordinal, c.column_name) AS last
        FROM mongo_migrate.plan_column AS c
        WHERE (c.server, c.collection, c.target) = ($1, $2, $3) AND c.included
    ), padded AS (
        SELECT ordinal, name, remark, last,
               '    ' || rpad(name, max(length(name)) OVER ()) || '  ' ||
               CASE WHEN "constraint" = '' THEN type
                    ELSE rpad(type, max(length(type)) OVER ()) || '  ' || "constraint" END ||
               CASE WHEN last THEN '' ELSE ',' END AS line
        FROM columns
    )
    SELECT format(E'CREATE TABLE %s\n(\n%s\n)', target,
                  string_agg(rpad(line, width) || '  -- ' || mongo_migrate.one_line(remark), E'\n'
                             ORDER BY ordinal, name))
    FROM (SELECT *, max(length(line)) OVER () AS width FROM padded) AS p
$$;
COMMENT ON FUNCTION mongo_migrate.table_ddl(name, text, text) IS
    'CREATE TABLE for a target, without keys, with a remark where each column came from';

CREATE FUNCTION mongo_migrate.comment_ddl(server name, collection text, target text) RETURNS SETOF text
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT format('COMMENT ON TABLE %s IS %L', target, 'MongoDB: ' || mongo_migrate.source_path($1, $2, $3, '$'))
    UNION ALL
    (SELECT format('COMMENT ON COLUMN %s.%I IS %L', target, c.column_name,
                   'MongoDB: ' || CASE WHEN c.role = 'extra' THEN 'other fields of ' ELSE '' END ||
                   mongo_migrate.source_path($1, $2, $3, c.path) || coalesce(': ' || c.description, ''))
     FROM mongo_migrate.plan_column AS c
     WHERE (c.server, c.collection, c.target) = ($1, $2, $3) AND c.included AND c.path IS NOT NULL
     ORDER BY c.ordinal, c.column_name)
$$;
COMMENT ON FUNCTION mongo_migrate.comment_ddl(name, text, text) IS
    'COMMENT ON for a target and its columns';

-- Keys -------------------------------------------------------------------

CREATE FUNCTION mongo_migrate.column_list(columns name[]) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT string_agg(quote_ident(name), ', ' ORDER BY place) FROM unnest(columns) WITH ORDINALITY AS c (name, place)
$$;
COMMENT ON FUNCTION mongo_migrate.column_list(name[]) IS 'names, quoted where needed, with commas between';

CREATE FUNCTION mongo_migrate.has_unique(relation regclass, columns name[]) RETURNS boolean
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT EXISTS (
        SELECT FROM pg_index AS i
        WHERE i.indrelid = relation AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
          AND (SELECT array_agg(a.attname ORDER BY a.attname) FROM pg_attribute AS a
               WHERE a.attrelid = relation AND a.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1])) =
              ARRAY(SELECT c FROM unnest(columns) AS c ORDER BY c))
$$;
COMMENT ON FUNCTION mongo_migrate.has_unique(regclass, name[]) IS
    'whether a table has a unique index on just these columns';

CREATE FUNCTION mongo_migrate.find_foreign_key(relation regclass, columns name[], other regclass)
    RETURNS TABLE (constraint_name name, valid boolean)
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
    AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT k.conname, k.convalidated
    FROM pg_constraint AS k
    WHERE k.contype = 'f' AND k.conrelid = relation AND k.confrelid = other
      AND (SELECT array_agg(a.attname ORDER BY a.attname) FROM pg_attribute AS a
           WHERE a.attrelid = relation AND a.attnum = ANY (k.conkey)) =
          ARRAY(SELECT c FROM unnest(columns) AS c ORDER BY c)
    ORDER BY k.convalidated DESC, k.conname COLLATE "C" LIMIT 1;
END
$$;
COMMENT ON FUNCTION mongo_migrate.find_foreign_key(regclass, name[], regclass) IS
    'a table''s foreign key from just these columns to another table, and whether it is valid; no row: there is none';

-- Citus does not look at the rows that are there when it chooses the name (measured with 13.2), and has the key valid.
CREATE FUNCTION mongo_migrate.foreign_key_from(target text, columns name[]) RETURNS text
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT format('ALTER TABLE %s ADD %sFOREIGN KEY (%s)', target,
                  CASE WHEN mongo_migrate.has_citus() THEN format('CONSTRAINT %I ',
                      CASE WHEN octet_length(n.name) > 58 THEN left(n.name, 12) || '_' || left(md5(n.name), 8) ELSE n.name END || '_fkey') END,
                  mongo_migrate.column_list(columns))
    FROM concat_ws('_', (parse_ident(target))[2], array_to_string(columns, '_')) AS n (name)
$$;
COMMENT ON FUNCTION mongo_migrate.foreign_key_from(text, name[]) IS
    'the beginning of the statement that makes a foreign key, before REFERENCES; with Citus it has a name';

CREATE FUNCTION mongo_migrate.key_columns(server name, collection text) RETURNS TABLE (target text, column_name name)
    LANGUAGE plpgsql STABLE STRICT ROWS 10
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
    AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH RECURSIVE targets AS MATERIALIZED (
        SELECT t.target, t.parent, (mongo_migrate.target_distribution($1, $2, t.target)).column_name AS distribution
        FROM mongo_migrate.plan_target AS t WHERE (t.server, t.collection) = ($1, $2)
    ), included AS (
        SELECT c.target, c.column_name, c.role, c.parent_column, c.ordinal, t.parent, t.distribution
        FROM mongo_migrate.plan_column AS c JOIN targets AS t USING (target)
        WHERE (c.server, c.collection) = ($1, $2) AND c.included
    ), keys AS (
        SELECT i.* FROM included AS i
        WHERE i.role IN ('id', 'position', 'key') OR i.column_name = i.distribution
        UNION
        SELECT i.* FROM keys AS k JOIN included AS i
            ON i.parent = k.target AND i.role = 'parent' AND i.parent_column = k.column_name
    )
    SELECT k.target, k.column_name FROM keys AS k
    ORDER BY k.target, k.role IN ('id', 'parent', 'position', 'key') DESC, k.ordinal;
END
$$;
COMMENT ON FUNCTION mongo_migrate.key_columns(name, text) IS
    'the columns of the keys of a collection''s tables, in order: of the row''s own id, or of the parent''s key and the position or key in it, and the one by which Citus distributes the table; what a child row repeats of its parent besides is none';

CREATE FUNCTION mongo_migrate.plan_keys(server name, collection text)
    RETURNS TABLE (target text, kind text, statement text, done boolean, foreign_key name, remedy text)
    LANGUAGE plpgsql STABLE STRICT      -- which keeps the plan: a run asks twenty times, and planning takes the most of it
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
    AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH key_columns AS MATERIALIZED (
        SELECT c.*, k.place FROM mongo_migrate.key_columns($1, $2) WITH ORDINALITY AS k (target, column_name, place)
            JOIN mongo_migrate.plan_column AS c ON (c.server, c.collection, c.target, c.column_name) = ($1, $2, k.target, k.column_name)
    ), targets AS (
        SELECT t.*, to_regclass(t.target) AS relation, to_regclass(t.parent) AS parent_relation,
               ARRAY(SELECT k.column_name FROM key_columns AS k WHERE k.target = t.target ORDER BY k.place) AS keys,
               ARRAY(SELECT k.column_name FROM key_columns AS k WHERE k.target = t.target AND k.role = 'parent' ORDER BY k.ordinal) AS parent_keys,
               ARRAY(SELECT k.parent_column FROM key_columns AS k WHERE k.target = t.target AND k.role = 'parent' ORDER BY k.ordinal) AS parent_columns
        FROM mongo_migrate.plan_target AS t
        WHERE (t.server, t.collection) = ($1, $2) AND t.included
    ), keys AS (
        SELECT 1 AS step, t.ordinal, 0 AS place, t.target, 'primary key' AS kind,
               format('ALTER TABLE %s ADD PRIMARY KEY (%s)', t.target, mongo_migrate.column_list(t.keys)) AS statement,
               coalesce((SELECT true FROM pg_constraint AS k
                         WHERE k.conrelid = t.relation AND k.contype = 'p'), false) AS done,
               t.relation, NULL::name[] AS columns, NULL::regclass AS other, NULL AS remedy
        FROM targets AS t WHERE NOT t.existing AND cardinality(t.keys) > 0
        UNION ALL
        SELECT 2, t.ordinal, c.ordinal, t.target, 'unique',
               format('ALTER TABLE %s ADD UNIQUE (%I)', t.target, c.column_name),
               coalesce(mongo_migrate.has_unique(t.relation, ARRAY[c.column_name]), false), NULL, NULL, NULL,
               mongo_migrate.mend_column(c, 'is_unique = false')
        FROM targets AS t JOIN mongo_migrate.plan_column AS c
            ON (c.server, c.collection, c.target) = ($1, $2, t.target)
        WHERE NOT t.existing AND c.included AND c.is_unique
        UNION ALL
        SELECT 3, t.ordinal, 0, t.target, 'foreign key to the parent',
               format('%s REFERENCES %s (%s) ON DELETE CASCADE', mongo_migrate.foreign_key_from(t.target, t.parent_keys),
                      t.parent, mongo_migrate.column_list(t.parent_columns)),
               NULL, t.relation, t.parent_keys, t.parent_relation, NULL
        FROM targets AS t JOIN targets AS p ON p.target = t.parent
        WHERE NOT t.existing AND cardinality(t.parent_keys) > 0
          AND (NOT p.existing OR mongo_migrate.has_unique(p.relation, t.parent_columns))
        UNION ALL
        SELECT 3, t.ordinal, c.ordinal, t.target, 'foreign key to the element above',
               format('%s REFERENCES %s (%s)', mongo_migrate.foreign_key_from(t.target, t.parent_keys || c.column_name),
                      t.target, mongo_migrate.column_list(t.keys)),
               NULL, t.relation, t.parent_keys || c.column_name, t.relation, NULL
        FROM targets AS t JOIN mongo_migrate.plan_column AS c
            ON (c.server, c.collection, c.target) = ($1, $2, t.target)
        WHERE NOT t.existing AND c.included AND c.role = 'parent_position'
          AND cardinality(t.keys) = cardinality(t.parent_keys) + 1
        UNION ALL
        SELECT 3, t.ordinal, c.ordinal, t.target, 'foreign key to the lookup table',
               format('%s REFERENCES %s (id)', mongo_migrate.foreign_key_from(t.target, ARRAY[c.column_name]), c.lookup_table),
               NULL, t.relation, ARRAY[c.column_name], to_regclass(c.lookup_table), NULL
        FROM targets AS t JOIN mongo_migrate.plan_column AS c
            ON (c.server, c.collection, c.target) = ($1, $2, t.target)
        WHERE NOT t.existing AND c.included AND c.lookup_table IS NOT NULL
        UNION ALL
        SELECT 4, t.ordinal, c.ordinal, t.target, 'index on a reference',
               format('CREATE INDEX ON %s (%I)', t.target, c.column_name),
               EXISTS (SELECT FROM pg_index AS i JOIN pg_attribute AS a
                           ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
                       WHERE i.indrelid = t.relation AND a.attname = c.column_name), NULL, NULL, NULL, NULL
        FROM targets AS t JOIN mongo_migrate.plan_column AS c
            ON (c.server, c.collection, c.target) = ($1, $2, t.target)
        WHERE NOT t.existing AND c.included AND c.role = 'reference' AND NOT c.is_unique
        UNION ALL
        SELECT 5, t.ordinal, i.ordinal, t.target, CASE WHEN i.is_unique THEN 'unique index' ELSE 'index' END,
               mongo_migrate.index_statement(i), mongo_migrate.has_index(i), NULL, NULL, NULL,
               mongo_migrate.mend_index(i, 'included = false')
        FROM targets AS t JOIN mongo_migrate.plan_index AS i
            ON (i.server, i.collection, i.target) = ($1, $2, t.target)
        WHERE NOT t.existing AND i.included AND mongo_migrate.index_statement(i) IS NOT NULL
          AND NOT mongo_migrate.is_indexed(i)
        UNION ALL
        SELECT 6, t.ordinal, c.ordinal, t.target, 'check',
               format('ALTER TABLE %s ADD CHECK (%I %s)', t.target, c.column_name, c.check_rule),
               EXISTS (SELECT FROM pg_constraint AS k JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND k.conkey = ARRAY[a.attnum]
                       WHERE k.conrelid = t.relation AND k.contype = 'c' AND a.attname = c.column_name), NULL, NULL, NULL,
               mongo_migrate.mend_column(c, 'check_rule = NULL')
        FROM targets AS t JOIN mongo_migrate.plan_column AS c
            ON (c.server, c.collection, c.target) = ($1, $2, t.target)
        WHERE NOT t.existing AND c.included AND c.check_rule IS NOT NULL
    )
    SELECT k.target, k.kind, k.statement, coalesce(k.done, f.valid, false), f.constraint_name, k.remedy
    FROM keys AS k LEFT JOIN LATERAL mongo_migrate.find_foreign_key(k.relation, k.columns, k.other) AS f ON true
    ORDER BY k.step, k.ordinal, k.place;
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_keys(name, text) IS
    'the primary keys, the unique constraints, the foreign keys of child tables, the indexes and the checks of a collection''s new tables; done: it exists, and is valid; foreign_key: its name where it exists; remedy: the edit of the plan that leaves it out';

CREATE FUNCTION mongo_migrate.key_statement(target text, statement text, foreign_key name) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$ SELECT coalesce(format('ALTER TABLE %s VALIDATE CONSTRAINT ', target) || quote_ident(foreign_key), statement) $$;
COMMENT ON FUNCTION mongo_migrate.key_statement(text, text, name) IS
    'what is left to be executed for a key: the statement that makes it, or, of a foreign key that exists, the one that validates it';

CREATE FUNCTION mongo_migrate.unvalidated_ddl(target text, statement text) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT statement || CASE WHEN mongo_migrate.has_citus() OR (SELECT relkind FROM pg_class WHERE oid = to_regclass(target)) <> 'r'
                             THEN '' ELSE ' NOT VALID' END
$$;
COMMENT ON FUNCTION mongo_migrate.unvalidated_ddl(text, text) IS
    'the statement that makes a foreign key without looking at the rows that are there; with Citus, and for partitioned tables, it looks at them all the same';

CREATE FUNCTION mongo_migrate.key_ddl(server name, collection text) RETURNS SETOF text
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT mongo_migrate.require_plan($1, $2);
    SELECT mongo_migrate.key_statement(k.target, k.statement, k.foreign_key)
    FROM mongo_migrate.plan_keys($1, $2) AS k WHERE NOT k.done
$$;
COMMENT ON FUNCTION mongo_migrate.key_ddl(name, text) IS
    'the statements that give a loaded collection''s tables their keys and indexes, in order, without those that exist. Errors: no plan';

CREATE FUNCTION mongo_migrate.plan_references(server name, collections text[] DEFAULT NULL)
    RETURNS TABLE (collection text, target text, column_name name, refers_to text, refers_target text,
                   refers_column name, statement text, done boolean, problem text, foreign_key name)
    LANGUAGE plpgsql STABLE ROWS 10
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
    AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT c.collection, c.target, c.column_name, c.refers_to, r.target, r.column_name,
           CASE WHEN p.problem IS NULL THEN format('%s REFERENCES %s (%I)', mongo_migrate.foreign_key_from(c.target, ARRAY[c.column_name]),
                                                   r.target, r.column_name) END,
           coalesce(f.valid, false), p.problem, f.constraint_name
    FROM mongo_migrate.plan_column AS c
        JOIN mongo_migrate.plan_target AS t USING (server, collection, target)
        CROSS JOIN LATERAL (
            SELECT o.target, i.column_name
            FROM mongo_migrate.plan_target AS o JOIN mongo_migrate.plan_column AS i USING (server, collection, target)
            WHERE o.server = c.server AND o.collection = c.refers_to AND o.kind = 'root' AND o.included
              AND i.included AND CASE WHEN mongo_migrate.holds_ids(c) THEN i.role = 'id' AND (i.expression IS NULL OR c.refers_key <> '_id')
                                      ELSE i.role = 'value' AND i.path = c.refers_key AND i.expression IS NULL END
              -- A foreign key leads to one table: it has to have every document that there is.
              AND (o.filter IS NULL OR NOT EXISTS (
                       SELECT FROM mongo_migrate.plan_target AS other
                       WHERE (other.server, other.collection) = (o.server, o.collection) AND other.kind = 'root'
                         AND other.included AND other.target <> o.target))
              AND CASE WHEN o.existing THEN mongo_migrate.has_unique(to_regclass(o.target), ARRAY[i.column_name])
                       ELSE i.role = 'id' OR i.is_unique END
            ORDER BY o.filter IS NOT NULL, o.ordinal LIMIT 1) AS r
        CROSS JOIN LATERAL mongo_migrate.foreign_key_problem(c.server, c.collection, c.target, c.column_name,
                                                             c.refers_to, r.target, r.column_name) AS p (problem)
        LEFT JOIN LATERAL mongo_migrate.find_foreign_key(to_regclass(c.target), ARRAY[c.column_name],
                                                         to_regclass(r.target)) AS f ON true
    WHERE c.server = $1 AND ($2 IS NULL OR c.collection = ANY ($2) OR c.refers_to = ANY ($2))
      AND c.refers_to IS NOT NULL AND c.on_dangling <> 'keep'
      AND c.included AND t.included AND NOT t.existing
    ORDER BY c.collection, t.ordinal, c.ordinal;
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_references(name, text[]) IS
    'the foreign keys between collections, from or to some of them (NULL: all): for each planned reference to a collection that has a plan too and one table with all its documents; done: it exists, and is valid; foreign_key: its name where it exists; problem: why Citus would refuse it, and there is no statement';

CREATE FUNCTION mongo_migrate.reference_ddl(server name)
    RETURNS TABLE (collection text, target text, column_name name, refers_to text, refers_target text,
                   refers_column name, statement text)
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT mongo_migrate.require_plan($1, NULL);
    SELECT r.collection, r.target, r.column_name, r.refers_to, r.refers_target, r.refers_column,
           mongo_migrate.key_statement(r.target, r.statement, r.foreign_key)
    FROM mongo_migrate.plan_references($1) AS r WHERE NOT r.done AND r.problem IS NULL
$$;
COMMENT ON FUNCTION mongo_migrate.reference_ddl(name) IS
    'the statements that create the foreign keys between collections, to be executed when both sides are loaded, without those that exist. Errors: no plan';

-- The whole draft ----------------------------------------------------------

CREATE FUNCTION mongo_migrate.draft_ddl(server name, collection text DEFAULT NULL, section text DEFAULT NULL)
    RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    planned mongo_migrate.plan;
    parts text[] := '{}';
    part text;
BEGIN
    IF section NOT IN ('tables', 'keys', 'references', 'comments') THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value',
            MESSAGE = format('invalid section "%s"', section),
            HINT = 'Sections are tables, keys, references and comments.';
    END IF;
    PERFORM mongo_migrate.require_plan(server, collection), mongo_migrate.require_schemas(server, collection);

    IF section IS NULL OR section = 'tables' THEN
        parts := parts || ARRAY(
            SELECT DISTINCT format('CREATE SCHEMA IF NOT EXISTS %I;', (parse_ident(n.name))[1])
            FROM (SELECT t.target FROM mongo_migrate.plan_target AS t
                  WHERE t.server = server AND t.collection = coalesce(collection, t.collection) AND t.included AND NOT t.existing
                  UNION ALL
                  SELECT e.name FROM mongo_migrate.enumeration_ddl(server, collection) AS e) AS n (name)
            WHERE (parse_ident(n.name))[1] <> 'public'
            ORDER BY 1);
        SELECT string_agg(e.statement || ';', E'\n' ORDER BY e.ordinality) INTO part
        FROM mongo_migrate.enumeration_ddl(server, collection) WITH ORDINALITY AS e;
        parts := parts || part;
        FOR planned IN SELECT * FROM mongo_migrate.plan AS p
                 WHERE p.server = server AND p.collection = coalesce(collection, p.collection)
                 ORDER BY p.collection COLLATE "C"
        LOOP
            parts := parts || mongo_migrate.one_line(concat_ws('; ',
                format('-- collection %s: %s of %s documents read', planned.collection, planned.sampled, planned.documents), planned.note));
            parts := parts || ARRAY(
                SELECT CASE WHEN t.existing
                    THEN format('-- table %s exists', t.target) || coalesce(': ' || mongo_migrate.one_line(t.note), '')
                    ELSE mongo_migrate.table_ddl(server, planned.collection, t.target) || ';' END
                FROM mongo_migrate.plan_target AS t
                WHERE (t.server, t.collection) = (server, planned.collection) AND t.included ORDER BY t.ordinal);
            SELECT string_agg(d.statement || ';', E'\n' ORDER BY d.ordinality) INTO part
            FROM mongo_migrate.plan_distributions(server, planned.collection) WITH ORDINALITY AS d;
            parts := parts || (E'-- with Citus:\n' || part);
        END LOOP;
    END IF;
    IF section IS NULL OR section = 'keys' THEN
        SELECT string_agg(k.statement || ';', E'\n' ORDER BY p.collection COLLATE "C", k.ordinality) INTO part
        FROM mongo_migrate.plan AS p,
            mongo_migrate.plan_keys(p.server, p.collection) WITH ORDINALITY AS k
        WHERE p.server = server AND p.collection = coalesce(collection, p.collection);
        parts := parts || (E'-- after the load:\n' || part);
    END IF;
    IF section IS NULL OR section = 'references' THEN
        SELECT string_agg(coalesce(r.statement || ';', format('-- no foreign key from %s (%I) to %s (%I): %s', r.target,
                                   r.column_name, r.refers_target, r.refers_column, r.problem)), E'\n' ORDER BY r.ordinality) INTO part
        FROM mongo_migrate.plan_references(server, CASE WHEN collection IS NOT NULL THEN ARRAY[collection] END) WITH ORDINALITY AS r
        WHERE r.collection = coalesce(collection, r.collection);
        parts := parts || (E'-- after the load of both sides:\n' || part);
    END IF;
    IF section IS NULL OR section = 'comments' THEN
        SELECT string_agg(c.statement || ';', E'\n' ORDER BY t.collection COLLATE "C", t.ordinal, c.ordinality) INTO part
        FROM mongo_migrate.plan_target AS t,
            mongo_migrate.comment_ddl(t.server, t.collection, t.target) WITH ORDINALITY AS c (statement, ordinality)
        WHERE t.server = server AND t.collection = coalesce(collection, t.collection)
          AND t.included AND NOT t.existing;
        parts := parts || part;
    END IF;
    RETURN array_to_string(parts, E'\n\n') || E'\n';
END
$$;
COMMENT ON FUNCTION mongo_migrate.draft_ddl(name, text, text) IS
    'the DDL of a plan, to review and to commit: tables, keys, references and comments, or one section of these; collection NULL: every planned one';

-- Executing it -------------------------------------------------------------

CREATE FUNCTION mongo_migrate.make_shared(statement text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    EXECUTE statement;
EXCEPTION WHEN duplicate_schema OR duplicate_object OR duplicate_table OR unique_violation THEN
    NULL;   -- another session was making it, and has committed
END
$$;
COMMENT ON FUNCTION mongo_migrate.make_shared(text) IS
    'executes a statement that creates what other plans need too, unless another session has done so meanwhile';

CREATE FUNCTION mongo_migrate.make_schema(name text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF to_regnamespace(quote_ident((parse_ident(name))[1])) IS NULL THEN
        PERFORM mongo_migrate.make_shared(format('CREATE SCHEMA %I', (parse_ident(name))[1]));
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.make_schema(text) IS
    'creates the schema of a qualified name if it is not there';

CREATE FUNCTION mongo_migrate.make_enumerations(server name, collection text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    e record;
BEGIN
    FOR e IN SELECT * FROM mongo_migrate.enumeration_ddl(server, collection) AS d WHERE NOT d.done LOOP
        PERFORM mongo_migrate.make_schema(e.name);
        PERFORM mongo_migrate.make_shared(e.statement);
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.make_enumerations(name, text) IS
    'makes the enum types of a collection''s plan that do not exist, and its lookup tables, with a row for each label';

CREATE FUNCTION mongo_migrate.try_keys(server name, collection text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '1s'
    AS $$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT * FROM mongo_migrate.plan_keys(server, collection) AS k
        WHERE NOT k.done AND NOT starts_with(k.kind, 'foreign key')
          AND (mongo_migrate.citus_distribution(to_regclass(k.target))).kind IS NULL     -- Citus would make them on every node
    LOOP
        EXECUTE key.statement;
    END LOOP;
    RAISE EXCEPTION USING ERRCODE = 'MM000', MESSAGE = 'the keys can be made';
EXCEPTION
    WHEN SQLSTATE 'MM000' OR integrity_constraint_violation THEN
        NULL;       -- of rows that are there already, the run tells
    WHEN lock_not_available THEN
        NULL;       -- others write to them
    WHEN insufficient_privilege THEN
        RAISE;      -- not the plan's fault
    WHEN syntax_error_or_access_rule_violation OR feature_not_supported OR data_exception OR program_limit_exceeded THEN
        RAISE EXCEPTION USING ERRCODE = 'invalid_object_definition',
            MESSAGE = format('the plan of collection "%s" is wrong at %s: %s', collection, key.target, SQLERRM),
            DETAIL = format('The statement is: %s', key.statement),
            HINT = coalesce('To leave it out: ' || key.remedy, 'Correct the types of its columns in mongo_migrate.plan_column.');
END
$$;
COMMENT ON FUNCTION mongo_migrate.try_keys(name, text) IS
    'makes the primary keys, unique constraints, indexes and checks of a collection''s tables while these are empty, and takes them back: an error for what could not be made after the load either, with the edit of the plan that leaves it out; nothing is tried where others have them locked, nor for tables that Citus has distributed already';

CREATE FUNCTION mongo_migrate.apply_ddl(server name, collection text DEFAULT NULL)
    RETURNS TABLE (target text, action text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    planned mongo_migrate.plan;
    table_plan mongo_migrate.plan_target;
    trouble record;
    map mongo_migrate.id_map;
    statement text;
    copied boolean;         -- whether documents were
    created text[];         -- tables
BEGIN
    PERFORM mongo_migrate.require_plan(server, collection);
    FOR planned IN SELECT * FROM mongo_migrate.plan AS p
             WHERE p.server = server AND p.collection = coalesce(collection, p.collection)
             ORDER BY p.collection COLLATE "C"
    LOOP
        FOR trouble IN SELECT * FROM mongo_migrate.check_plan(server, planned.collection) LOOP
            IF trouble.severity = 'error' THEN
                RAISE EXCEPTION USING ERRCODE = 'invalid_object_definition',
                    MESSAGE = format('the plan of collection "%s" is wrong at %s%s: %s', planned.collection, trouble.target,
                                     coalesce('.' || quote_ident(trouble.column_name), ''), trouble.problem),
                    HINT = trouble.hint;
            END IF;
            RAISE WARNING '%', concat_ws(': ', trouble.target || coalesce('.' || quote_ident(trouble.column_name), ''), trouble.problem)
                USING HINT = trouble.hint;
        END LOOP;

        PERFORM mongo_migrate.set_plan_settings(server, planned.collection);
        copied := EXISTS (SELECT FROM mongo_migrate.chunk AS k
                          WHERE (k.server, k.collection) = (server, planned.collection) AND k.documents > 0);
        PERFORM mongo_migrate.make_enumerations(server, planned.collection);
        created := '{}';
        FOR table_plan IN SELECT * FROM mongo_migrate.plan_target AS t
                 WHERE (t.server, t.collection) = (server, planned.collection) AND t.included
                   AND to_regclass(t.target) IS NULL ORDER BY t.ordinal
        LOOP
            IF copied THEN
                RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
                    MESSAGE = format('table %s does not exist, and documents of collection "%s" were migrated',
                                     table_plan.target, planned.collection),
                    DETAIL = 'They would be taken to have their rows in it.',
                    HINT = format('To migrate them anew: SELECT mongo_migrate.reset_collection(%L, %L, truncate => true); or without that table: %s',
                                  server, planned.collection, mongo_migrate.mend_target(table_plan, 'included = false'));
            END IF;
            PERFORM mongo_migrate.make_schema(table_plan.target);
            EXECUTE mongo_migrate.table_ddl(server, planned.collection, table_plan.target);
            FOR statement IN SELECT mongo_migrate.comment_ddl(server, planned.collection, table_plan.target) LOOP
                EXECUTE statement;
            END LOOP;
            created := created || table_plan.target;
        END LOOP;
        IF NOT copied THEN
            PERFORM mongo_migrate.try_keys(server, planned.collection);
        END IF;
        FOR target, statement IN
            SELECT t.target, d.statement
            FROM mongo_migrate.plan_target AS t
                LEFT JOIN mongo_migrate.plan_distributions(server, planned.collection) AS d ON d.target = t.target AND NOT d.done
            WHERE (t.server, t.collection) = (server, planned.collection) AND t.included ORDER BY t.ordinal
        LOOP
            IF statement IS NOT NULL THEN
                PERFORM mongo_migrate.reach_shards();
                EXECUTE statement;
            END IF;
            action := coalesce(nullif(concat_ws(', ', CASE WHEN target = ANY (created) THEN 'created' END,
                                                CASE WHEN statement IS NOT NULL THEN 'distributed' END), ''), 'exists');
            RETURN NEXT;
        END LOOP;

        FOR map IN
            SELECT m.* FROM mongo_migrate.id_map AS m
            WHERE m.server = server AND m.id_type <> 'source'
              AND (m.collection = planned.collection OR m.collection IN (
                       SELECT c.refers_to FROM mongo_migrate.plan_column AS c
                       WHERE (c.server, c.collection) = (server, planned.collection) AND c.included
                         AND mongo_migrate.holds_ids(c)))
            ORDER BY m.collection COLLATE "C"
        LOOP
            PERFORM mongo_migrate.create_id_map(server, map.collection);
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.apply_ddl(name, text) IS
    'creates the planned tables, enum types and lookup tables that do not exist, without keys, distributes those that the plan says, and makes the id maps; collection NULL: of every planned one; an error where the plan or an existing table does not fit';

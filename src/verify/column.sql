-- column.sql: SQL that holds one column of a table against its field, for the statements of plan.sql.

-- What the table AS t has in a column.  After a cutover that is what is written back: times to the
-- millisecond, JSON's null as NULL, and so is extra without fields.
CREATE FUNCTION mongo_migrate.verify_stored(server name, col record) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    stored  constant text := format('t.%I', col.column_name);
    type    constant oid := (mongo_migrate.verify_base_type(col.type, -1)).type;
BEGIN
    RETURN CASE
        WHEN NOT mongo_migrate.is_cut_over(server) THEN stored
        WHEN type IN ('timestamptz'::regtype, 'timestamp'::regtype) THEN format('date_trunc(''milliseconds'', %s)', stored)
        WHEN type IN ('timestamptz[]'::regtype, 'timestamp[]'::regtype) THEN
            format('CASE WHEN array_ndims(%1$s) = 1 THEN ARRAY(SELECT date_trunc(''milliseconds'', e.t) '
                   'FROM unnest(%1$s) WITH ORDINALITY AS e (t, n) ORDER BY e.n) ELSE %1$s END', stored)
        WHEN col.role = 'extra' THEN format('CASE WHEN %s::text NOT IN (''null'', ''{}'') THEN %1$s END', stored)
        WHEN type IN ('jsonb'::regtype, 'json'::regtype) THEN format('CASE WHEN %s::text <> ''null'' THEN %1$s END', stored)
        ELSE stored END;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_stored(name, record) IS
    'SQL for the value of a column in the table AS t, as a verification compares it: col is a row of verify_columns()';

-- The tables that have a collection's documents, each with the column of a key.
CREATE FUNCTION mongo_migrate.verify_key_columns(server name, collection text, key text)
    RETURNS TABLE (place bigint, target text, column_name name, type oid)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT row_number() OVER (ORDER BY t.ordinal, t.target, c.ordinal), t.target, c.column_name, a.atttypid
    FROM mongo_migrate.plan_target AS t
         JOIN mongo_migrate.plan_column AS c USING (server, collection, target)
         JOIN pg_attribute AS a ON a.attrelid = to_regclass(t.target) AND a.attname = c.column_name
    WHERE (t.server, t.collection) = ($1, $2) AND t.kind = 'root' AND t.included AND c.included
      AND CASE key WHEN '_id' THEN c.role = 'id' ELSE c.role = 'value' AND c.path = key AND c.expression IS NULL END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_key_columns(name, text, text) IS
    'the tables that a reference to a collection may refer to, with the column of its ids or of another key';

-- SQL for rows of the collection's table that a reference may refer to, by an
-- SQL expression for the id, or for the value of another key.
CREATE FUNCTION mongo_migrate.verify_referred(server name, collection text, key text, id text, n integer) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(string_agg(format('SELECT FROM %s AS r WHERE r.%I %s %s',
                                      CASE WHEN mongo_migrate.verify_is_elsewhere(k.target)
                                           THEN format('referred%s_%s', n, k.place) ELSE k.target END,
                                      k.column_name, mongo_migrate.verify_equals(k.type), id),
                               ' UNION ALL '), 'SELECT WHERE false')
    FROM mongo_migrate.verify_key_columns(server, collection, key) AS k
$$;
COMMENT ON FUNCTION mongo_migrate.verify_referred(name, text, text, text, integer) IS
    'SQL for the rows that a reference to a collection may refer to, by SQL for an id or for another key; n: the referring column''s number';

-- The WITH clauses referred<n>_<place> for those of them that are elsewhere: rows of what the reference
-- should refer to and does refer to.
CREATE FUNCTION mongo_migrate.verify_gather_referred(server name, collection text, key text, n integer, stored text)
    RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT format(', wanted%1$s AS MATERIALIZED (SELECT f.id FROM found%1$s AS f WHERE f.id IS NOT NULL UNION %2$s)', n, stored)
           || string_agg(mongo_migrate.verify_gather(format('referred%s_%s', n, k.place), k.target, k.column_name, k.type,
                                                     'wanted' || n), '' ORDER BY k.place)
    FROM mongo_migrate.verify_key_columns(server, collection, key) AS k
    WHERE mongo_migrate.verify_is_elsewhere(k.target)
$$;
COMMENT ON FUNCTION mongo_migrate.verify_gather_referred(name, text, text, integer, text) IS
    'WITH clauses of a verification that gather rows which a reference refers to; stored: SQL for the references in the table; NULL: none is elsewhere';

-- verify_column() for a reference, over found<n> AS f<n>.
CREATE FUNCTION mongo_migrate.verify_reference_column(server name, mode text, col record, stored text,
    OUT kind text, OUT shown text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    value   constant text := 'e.v' || col.number;
    found_  constant text := 'f' || col.number;
    refers_key constant text := CASE WHEN col.holds_ids THEN '_id' ELSE col.refers_key END;
    equals  constant text := mongo_migrate.verify_equals(col.type);
    ident   record;
    kept    text;       -- whether stored is what a reference to no document has, before that is settled or by its policy
BEGIN
    SELECT * INTO ident FROM mongo_migrate.verify_id(server, col.refers_to, col.type, value);
    IF col.holds_ids AND col.refers_key <> '_id' AND ident.map IS NOT NULL THEN
        -- It was looked up when the document was there.
        kept := format('EXISTS (SELECT FROM %s AS m WHERE %s %s %s)', ident.map, ident.id, equals, stored);
    ELSIF col.holds_ids AND ident.map IS NOT NULL THEN
        kept := format('%s %s (SELECT %s FROM %s AS m WHERE m.key = e.r%s)', stored, equals, ident.id, ident.map, col.number);
    ELSIF col.key_form = 'exact' AND (col.refers_key = '_id' OR NOT col.holds_ids) THEN
        kept := (mongo_migrate.verify_fragments(col.type, col.typmod, value, stored, mode)).exact;
    ELSE
        kept := 'true';     -- text may be written otherwise than the key
    END IF;
    -- An orphan refers to nothing: what is stored is NULL, unless the plan keeps the id that it has, or an id of its own that no row has.
    kind := format(
        'CASE WHEN %2$s %6$s %3$s.id THEN NULL '
        'WHEN mongo_migrate.verify_is_null(%1$s) THEN CASE WHEN %2$s IS NOT NULL THEN ''mismatch'' END '
        'WHEN %2$s IS NULL THEN CASE WHEN (%3$s.key IS NULL OR NOT EXISTS (%4$s)) AND %8$s THEN ''orphan'' ELSE ''mismatch'' END '
        'WHEN %3$s.key IS NULL AND %7$s AND NOT EXISTS (%5$s) THEN ''orphan'' ELSE ''mismatch'' END',
        value, stored, found_, mongo_migrate.verify_referred(server, col.refers_to, refers_key, found_ || '.id', col.number),
        mongo_migrate.verify_referred(server, col.refers_to, refers_key, stored, col.number), equals, kept,
        CASE WHEN col.on_dangling = 'keep' AND col.holds_ids AND col.refers_key = '_id' THEN format('e.r%s IS NULL', col.number) ELSE 'true' END);
    shown := format('concat(mongo_migrate.verify_show(%1$s), '
                    ''' (id '' || nullif(%2$s.id::text, mongo_migrate.verify_show(%1$s)) || '')'')', value, found_);
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_reference_column(name, text, record, text) IS
    'SQL that holds a column with a reference against its field, as verify_column()';

-- verify_column() for a column with an expression, over docs where that sees the document.
CREATE FUNCTION mongo_migrate.verify_expression_column(server name, mode text, col record, stored text,
    OUT kind text, OUT shown text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    value   constant text := 'e.v' || col.number;
    part    record;
    base    record;
    comparable text;    -- whether what an expression gives, y.v, can be rounded
    exact   text := format('to_jsonb(y.v) = to_jsonb(y.v::%s)', format_type(col.type, col.typmod));    -- whether it was not
    rounds  text;           -- whether it is
    assigned text;          -- as the column takes it
    given   text;           -- the FROM clause for y
    result  text;           -- of an expression
BEGIN
    SELECT * INTO part FROM mongo_migrate.verify_fragments(
        coalesce(to_regtype(col.source_type), col.type), -1, value, 'NULL', mode);
    -- json is the one type that has U+0000, which an expression may take out.
    result := format('(SELECT (%s' || chr(10) || ') FROM (SELECT CASE WHEN NOT mongo_migrate.verify_is_null(%s) '
                     'THEN (%s)::%s END AS value%s) AS x)',
                     col.expression, value, CASE WHEN col.source_type = 'json' THEN format('replace((%s)::text, ''\u001a'', ''\u0000'')', part.typed)
                                                 ELSE part.typed END, coalesce(col.source_type, format_type(col.type, col.typmod)),
                     CASE WHEN col.expression ~* '\mdoc\M' THEN ', docs.doc' END);
    -- A cast to a length would cut as the assignment does, which lets blanks at the end go.
    shown := format('%s::%s::text', result,
                    format_type(col.type, CASE WHEN col.type NOT IN ('varchar'::regtype, 'varchar[]'::regtype) THEN col.typmod END));
    kind := format('CASE WHEN %s::text COLLATE "C" IS DISTINCT FROM %s THEN ''mismatch'' END', stored, shown);
    SELECT * INTO base FROM mongo_migrate.verify_base_type(col.type, col.typmod);
    IF base.type IN ('float8'::regtype, 'float4'::regtype) THEN
        kind := format('CASE WHEN %s IS DISTINCT FROM %s::%s THEN ''mismatch'' END', stored, result, format_type(col.type, col.typmod));    -- -0 is 0
    ELSIF base.type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype) THEN     -- a double becomes numeric by 15 digits
        comparable := 'jsonb_typeof(to_jsonb(y.v)) = ''number''';
    ELSIF base.type IN ('timestamp'::regtype, 'timestamptz'::regtype, 'time'::regtype, 'timetz'::regtype, 'interval'::regtype,
                        'numeric[]'::regtype, 'timestamp[]'::regtype, 'timestamptz[]'::regtype) AND base.typmod >= 0 THEN
        comparable := format('pg_typeof(y.v) = %L::regtype', base.type::regtype);
    ELSIF base.type IN ('date'::regtype, 'date[]'::regtype) THEN
        comparable := 'pg_typeof(y.v)::text LIKE ''timestamp %''';
        exact := format('y.v::%1$s = y.v::%2$s::%1$s', replace(base.type::regtype::text, 'date', 'timestamp'), base.type::regtype);
    ELSIF base.type = 'money'::regtype THEN
        comparable := 'jsonb_typeof(to_jsonb(y.v)) = ''number''';
        exact := 'y.v::numeric = y.v::money::numeric';
    END IF;
    IF comparable IS NOT NULL THEN
        -- An assignment rounds numbers and times.  What is neither, such as text that is cast, is not looked at.
        rounds := format('%s AND NOT (%s)', comparable, exact);
        assigned := 'y.v::' || format_type(col.type, col.typmod);
        given := format('FROM (SELECT %s AS v OFFSET 0) AS y', result);     -- evaluated once
        kind := format('(SELECT CASE WHEN %s THEN ''mismatch'' WHEN %s THEN ''rounded'' END %s)',
                       -- What is written back may be a double, which has no zeros at the end.
                       CASE WHEN base.type = 'numeric'::regtype AND mongo_migrate.is_cut_over(server)
                            THEN format('%s IS DISTINCT FROM %s', stored, assigned)
                            ELSE format('%s::text COLLATE "C" IS DISTINCT FROM %s::text', stored, assigned) END,
                       rounds, given);
        shown := format('(SELECT CASE WHEN %s THEN y.v::text ELSE %s::text END %s)', rounds, assigned, given);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_expression_column(name, text, record, text) IS
    'SQL that holds a column with an expression against what this gives, as verify_column()';

-- SQL for the kind of difference of one column (NULL: none) and for the
-- source's value to show, over expected AS e and the table AS t.
CREATE FUNCTION mongo_migrate.verify_column(server name, mode text, col record, stored text,
    OUT kind text, OUT shown text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    value   constant text := 'e.v' || col.number;
    part    record;
BEGIN
    IF col.role = 'reference' THEN
        SELECT * INTO kind, shown FROM mongo_migrate.verify_reference_column(server, mode, col, stored);
    ELSIF col.role = 'parent_position' THEN
        kind := format('CASE WHEN %s IS DISTINCT FROM %s THEN ''mismatch'' END', stored, value);
        shown := value || '::text';
    ELSIF col.expression IS NOT NULL THEN
        SELECT * INTO kind, shown FROM mongo_migrate.verify_expression_column(server, mode, col, stored);
    ELSE
        SELECT * INTO part FROM mongo_migrate.verify_fragments(col.type, col.typmod, value, stored, mode);
        kind := mongo_migrate.verify_kind(value, stored, part.exact, part.rounded, part.first);
        shown := format('CASE WHEN NOT mongo_migrate.verify_is_null(%s) THEN %s END', value, part.shown);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_column(name, text, record, text) IS
    'SQL that holds one column of a target against its field: col is a row of verify_columns()';

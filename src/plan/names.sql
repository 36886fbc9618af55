-- names.sql: the names of a plan, and what can be said of a field or a table.

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
        WHEN name ~ '(^|_)(series|species|news)$' THEN name
        WHEN name ~ '(^|_)(movi|cooki|calori|zombi|selfi|rooki|browni|hoodi|cach|nich|headach)es$' THEN regexp_replace(name, 's$', '')
        WHEN name ~ '[a-z]{2}ies$' THEN regexp_replace(name, 'ies$', 'y')
        WHEN name ~ '(ss|x|ch|sh|(stat|bon|vir|camp|(^|_)b)us)es$' THEN regexp_replace(name, 'es$', '')
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

-- parse_ident() tells, but takes its time where there are thousands of targets.
CREATE FUNCTION mongo_migrate.may_be_named(target text, name text) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN pg_catalog.strpos(pg_catalog.lower(target COLLATE "C"), pg_catalog.lower(pg_catalog.replace(name, '"', '""') COLLATE "C")) > 0;
COMMENT ON FUNCTION mongo_migrate.may_be_named(text, text) IS
    'whether a target, quoted as in SQL or not, may have a name, or one that contains it: false is sure';

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

CREATE FUNCTION mongo_migrate.column_type(relation regclass, name name) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a
    WHERE a.attrelid = relation AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped
$$;
COMMENT ON FUNCTION mongo_migrate.column_type(regclass, name) IS
    'the type of a table''s column, NULL when there is no such column';

CREATE FUNCTION mongo_migrate.column_type_without_typmod(relation regclass, name name) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT format_type(a.atttypid, -1) FROM pg_attribute AS a
    WHERE a.attrelid = relation AND a.attname = $2 AND a.attnum > 0 AND NOT a.attisdropped
$$;
COMMENT ON FUNCTION mongo_migrate.column_type_without_typmod(regclass, name) IS
    'the type of a table''s column without a length or a scale, to which a cast neither cuts nor rounds; NULL when there is no such column';

CREATE FUNCTION mongo_migrate.implicit_cast(types jsonb, source_type text, column_type regtype) RETURNS text
    LANGUAGE sql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    -- Strings get into other types than text and json through their input
    -- function only, which is a cast; a typmod, of a domain's too, would make the
    -- cast cut or round, and so would date and money.  The assignment then does, which verification sees.
    SELECT CASE WHEN source_type = 'text[]' AND t.typcategory = 'A'
                     OR types ?| ARRAY['string', 'symbol']
                        -- What gets in as it is must not go by way of text.
                        AND NOT (types ? 'array' AND t.typcategory = 'A')
                        AND NOT (types ?| ARRAY['binData', 'objectId'] AND t.oid = 'bytea'::regtype)
        THEN 'value::' || format_type(CASE t.oid WHEN 'date'::regtype THEN 'timestamp'::regtype
                                                 WHEN 'date[]'::regtype THEN 'timestamp[]'::regtype
                                                 WHEN 'money'::regtype THEN 'numeric'::regtype ELSE t.oid END, -1) END
    FROM pg_type AS t, pg_type AS e
    WHERE t.oid = (WITH RECURSIVE base AS (
              SELECT oid, typbasetype FROM pg_type WHERE oid = column_type
              UNION ALL
              SELECT p.oid, p.typbasetype FROM base JOIN pg_type AS p ON p.oid = base.typbasetype)
          SELECT oid FROM base WHERE typbasetype = 0)
      AND e.oid = CASE WHEN t.typcategory = 'A' AND source_type = 'text[]' THEN t.typelem ELSE t.oid END
      AND e.typcategory <> 'S' AND e.typtype <> 'e'
      AND e.oid NOT IN ('json'::regtype, 'jsonb'::regtype, '"char"'::regtype)  -- a cast to "char" cuts
$$;
COMMENT ON FUNCTION mongo_migrate.implicit_cast(jsonb, text, regtype) IS
    'the expression by which a field of these BSON types gets into a column of that type, NULL when none is needed';

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

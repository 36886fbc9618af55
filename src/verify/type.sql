-- type.sql: how a stored value is held against the source's, by type.

-- The type under a domain, with its modifier.
CREATE FUNCTION mongo_migrate.verify_base_type(INOUT type oid, INOUT typmod integer)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    base    record;
BEGIN
    LOOP
        SELECT typbasetype, typtypmod INTO base FROM pg_type WHERE pg_type.oid = type AND typtype = 'd';
        EXIT WHEN NOT FOUND;
        type := base.typbasetype;
        typmod := base.typtypmod;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_base_type(oid, integer) IS
    'the type under a domain with its modifier; another type as it is';

-- The modifier of numeric holds precision and scale, an 11-bit number with sign.
CREATE FUNCTION mongo_migrate.verify_scale(typmod integer) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((typmod - 4) & 2047) # 1024) - 1024;
COMMENT ON FUNCTION mongo_migrate.verify_scale(integer) IS 'the scale in a type modifier of numeric';

-- The equality of a type, wherever the search_path leads: ids may be of type objectid.
CREATE FUNCTION mongo_migrate.verify_equals(type oid) RETURNS text
    LANGUAGE plpgsql STABLE PARALLEL SAFE   -- which keeps the plan
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN (
        SELECT format('OPERATOR(%I.%s)', n.nspname, o.oprname)
        FROM pg_type AS y, pg_opclass AS c, pg_amop AS a, pg_operator AS o, pg_namespace AS n
        WHERE y.oid = (mongo_migrate.verify_base_type(type, -1)).type
            AND c.opcmethod = (SELECT oid FROM pg_am WHERE amname = 'btree') AND c.opcdefault
            AND c.opcintype = CASE WHEN y.oid = 'varchar'::regtype THEN 'text'::regtype WHEN y.typtype = 'e' THEN 'anyenum'::regtype
                                   WHEN y.typelem <> 0 AND y.typlen = -1 THEN 'anyarray'::regtype ELSE y.oid END
            AND a.amopfamily = c.opcfamily AND a.amoplefttype = c.opcintype AND a.amoprighttype = c.opcintype
            AND a.amopstrategy = 3 AND o.oid = a.amopopr AND n.oid = o.oprnamespace);
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_equals(oid) IS
    'the equality operator of a type''s default btree operator class, qualified';

-- The scalars of an array of arrays in one array, for arrays of several dimensions.
CREATE FUNCTION mongo_migrate.verify_leaves(value jsonb, lengths integer[]) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF jsonb_typeof(value) <> 'array' OR jsonb_array_length(value) <> lengths[1] THEN
        RETURN NULL;
    END IF;
    FOR i IN 2 .. cardinality(lengths) LOOP
        IF EXISTS (SELECT FROM jsonb_array_elements(value) AS a
                   WHERE CASE WHEN jsonb_typeof(a) = 'array' THEN jsonb_array_length(a) <> lengths[i] ELSE true END) THEN
            RETURN NULL;
        END IF;
        value := (SELECT jsonb_agg(b ORDER BY m, n)
                  FROM jsonb_array_elements(value) WITH ORDINALITY AS x(a, m),
                       jsonb_array_elements(a) WITH ORDINALITY AS y(b, n));
    END LOOP;
    RETURN value;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_leaves(jsonb, integer[]) IS
    'the scalars of nested arrays as one array; NULL where the arrays are not of the given lengths, a level each';

CREATE FUNCTION mongo_migrate.verify_number_in(type oid, value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    RETURN format('mongo_migrate.%s(%s)', CASE WHEN type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)
                                               THEN 'verify_integer' ELSE 'verify_number' END, value);
COMMENT ON FUNCTION mongo_migrate.verify_number_in(oid, text) IS
    'SQL for the number that a column of a type should have of a value in canonical Extended JSON';

-- SQL fragments over value (jsonb, neither null nor missing) and stored (the
-- column's type, not NULL):
--   exact    whether stored is the source's value; NULL counts as no
--   first    whether exact can be asked before null is ruled out: of null it is not true, and no error
--   rounded  whether stored is the nearest value that the type has; NULL: such a type has none
--   typed    the source's value in the type, as an expression of a plan sees it, or NULL
--   shown    the source's value as text, in the spelling of the type where there is one
CREATE FUNCTION mongo_migrate.verify_fragments(type oid, typmod integer, value text, stored text, mode text,
    OUT exact text, OUT rounded text, OUT typed text, OUT shown text, OUT first boolean)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    number  text;
    instant text := format('mongo_migrate.verify_timestamp(%s)', value);
    string  text := format('COALESCE(%1$s ->> ''$symbol'', %1$s #>> ''{}'')', value);
    name    text;
    bits    integer;        -- of an integer, without its sign
    element oid;
BEGIN
    SELECT b.type, b.typmod INTO type, typmod FROM mongo_migrate.verify_base_type(type, typmod) AS b;
    name := format_type(type, NULL);
    number := mongo_migrate.verify_number_in(type, value);
    shown := format('mongo_migrate.verify_show(%s)', value);
    first := type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype, 'float8'::regtype, 'float4'::regtype,
        'bool'::regtype, 'text'::regtype, 'varchar'::regtype, 'bpchar'::regtype, 'mongo_migrate.objectid'::regtype, 'bytea'::regtype,
        'uuid'::regtype, 'timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype);
    SELECT 8 * typlen - 1 INTO bits FROM pg_type WHERE oid = type;
    SELECT typelem INTO element FROM pg_type WHERE oid = type AND typsubscript = 'array_subscript_handler'::regproc;

    IF type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype) THEN
        exact := format('%s::numeric = %s', stored, number);
        typed := format('CASE WHEN %1$s = trunc(%1$s) AND %1$s BETWEEN %2$s AND %3$s THEN %1$s::%4$s END', number,
                        -(2::numeric ^ bits), 2::numeric ^ bits - 1, name);

    ELSIF type = 'numeric'::regtype THEN
        exact := format('%s = %s', stored, number);
        typed := number;
        IF typmod >= 0 THEN
            rounded := format('%s = round(%s, %s)', stored, number, mongo_migrate.verify_scale(typmod));
        END IF;

    ELSIF type IN ('float8'::regtype, 'float4'::regtype) THEN
        typed := format('COALESCE((%s ->> ''$numberDouble'')::double precision::%2$s, %3$s::%2$s)',
                        value, name, number);
        exact := format('%s::text::numeric = %s', stored, number);
        rounded := format('%s = %s', stored, typed);

    ELSIF type = 'bool'::regtype THEN
        exact := format('to_jsonb(%s) = %s', stored, value);
        typed := format('CASE WHEN jsonb_typeof(%1$s) = ''boolean'' THEN %1$s::boolean END', value);

    ELSIF type IN ('text'::regtype, 'varchar'::regtype, 'name'::regtype)
        OR EXISTS (SELECT FROM pg_cast      -- text to the byte, such as citext
                   WHERE castsource = type AND casttarget = 'text'::regtype AND castmethod = 'b' AND castcontext = 'i') THEN
        typed := format('mongo_migrate.verify_text(%s)', value);
        exact := format('%s::text COLLATE "C" = %s', stored, typed);
        shown := typed;

    ELSIF type = 'bpchar'::regtype THEN
        typed := format('mongo_migrate.verify_text(%s)', value);
        exact := format('%s::text COLLATE "C" = rtrim(%s, '' '')', stored, typed);
        shown := typed;

    ELSIF type = 'mongo_migrate.objectid'::regtype THEN
        exact := format('COALESCE(%1$s ->> ''$oid'', lower(%2$s))', value, string);
        typed := format('CASE WHEN %1$s ~ ''^[0-9a-f]{24}$'' THEN %1$s END::mongo_migrate.objectid', exact);
        exact := format('%1$s::text = %2$s', stored, exact);

    ELSIF type = 'bytea'::regtype THEN
        typed := format('mongo_migrate.verify_bytes(%s)', value);
        exact := format('%s = %s', stored, typed);

    ELSIF type = 'uuid'::regtype THEN
        typed := format('CASE WHEN %1$s -> ''$binary'' ->> ''subType'' IN (''03'', ''04'') '
                        'THEN encode(mongo_migrate.verify_bytes(%1$s), ''hex'')::uuid END', value);
        exact := format('%s = %s', stored, typed);
        shown := format('COALESCE((%s)::text, %s)', typed, shown);

    ELSIF type IN ('timestamptz'::regtype, 'timestamp'::regtype) THEN
        exact := format('extract(epoch FROM %s) * 1000 = mongo_migrate.verify_milliseconds(%s)', stored, value);
        typed := CASE WHEN type = 'timestamptz'::regtype THEN format('(%s AT TIME ZONE ''UTC'')', instant)
                 ELSE instant END;
        IF typmod >= 0 THEN
            rounded := format('%s = %s::%s', stored, typed, format_type(type, typmod));
        END IF;
        shown := format('COALESCE(%s::text, %s)', typed, shown);

    ELSIF type = 'date'::regtype THEN
        exact := format('%s::timestamp = %s', stored, instant);
        rounded := format('%s = %s::date', stored, instant);
        typed := format('%s::date', instant);

    ELSIF type IN ('jsonb'::regtype, 'json'::regtype) THEN
        typed := format('mongo_migrate.verify_json(%s, %L)', value, mode);
        exact := CASE WHEN type = 'json'::regtype THEN format('mongo_migrate.without_nul(%s)::jsonb', stored)
                 ELSE stored END;
        exact := format(CASE mode WHEN 'canonical' THEN 'mongo_migrate.verify_json(%s, ''canonical'') = %s' ELSE '%s = %s' END,
                        exact, typed);
        shown := format('(%s)::text', typed);
        IF type = 'json'::regtype THEN
            typed := format('(%s)::json', typed);
        END IF;

    ELSIF element IS NOT NULL THEN
        SELECT f.exact, f.rounded, f.typed INTO exact, rounded, typed
        FROM mongo_migrate.verify_array_fragments(element, typmod, value, stored, mode) AS f;

    ELSE
        -- Another type has its values from text, where the plan asks for it.
        exact := format('CASE WHEN %1$s::text = %2$s THEN true ELSE %1$s::text = (%2$s)::%3$s::text END',
                        stored, string, name);
        typed := format('(%s)::%s', string, format_type(type, typmod));
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_fragments(oid, integer, text, text, text) IS
    'SQL fragments that hold a stored value of a type against a value in canonical Extended JSON';

-- The same of an array.  Elements are held against each other by position.
CREATE FUNCTION mongo_migrate.verify_array_fragments(element oid, typmod integer, value text, stored text, mode text,
    OUT exact text, OUT rounded text, OUT typed text)
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    item    record;
    leaves  text;
    pattern text;
BEGIN
    SELECT * INTO item FROM mongo_migrate.verify_fragments(element, typmod, 'x.v', 'y.s', mode);
    leaves := format('CASE WHEN array_dims(%2$s) ~ ''[[](?!1:)'' THEN NULL '     -- an element is not at its position
                     'WHEN coalesce(array_ndims(%2$s), 1) > 1 '
                     'THEN mongo_migrate.verify_leaves(%1$s, ARRAY(SELECT array_length(%2$s, d) '
                     'FROM generate_series(1, array_ndims(%2$s)) AS d)) '
                     'WHEN jsonb_typeof(%1$s) = ''array'' THEN %1$s END', value, stored);
    pattern := format('(SELECT jsonb_array_length(l.leaves) = cardinality(%2$s) AND NOT EXISTS (SELECT '
                      'FROM jsonb_array_elements(l.leaves) WITH ORDINALITY AS x(v, n) '
                      'JOIN unnest(%2$s) WITH ORDINALITY AS y(s, n) USING (n) WHERE %3$s) '
                      'FROM (SELECT %1$s AS leaves) AS l)', replace(leaves, '%', '%%'), replace(stored, '%', '%%'), '%s');
    exact := format(pattern, mongo_migrate.verify_kind('x.v', 'y.s', item.exact, NULL, item.first) || ' IS NOT NULL');
    IF item.rounded IS NOT NULL THEN
        rounded := format(pattern, mongo_migrate.verify_kind('x.v', 'y.s', item.exact, item.rounded, item.first) || ' = ''mismatch''');
    END IF;
    typed := format('CASE WHEN jsonb_typeof(%1$s) = ''array'' THEN ARRAY('
                    'SELECT CASE WHEN NOT mongo_migrate.verify_is_null(x.v) THEN %2$s END '
                    'FROM jsonb_array_elements(%1$s) WITH ORDINALITY AS x(v, n) ORDER BY n) END',
                    value, item.typed);
END
$$;
COMMENT ON FUNCTION mongo_migrate.verify_array_fragments(oid, integer, text, text, text) IS
    'the fragments of verify_fragments() for an array of such elements, each of which is held against the value at its position';

-- SQL for what is wrong with a stored value: NULL, 'mismatch' or 'rounded'.
-- Nearly every value is exact, so that is asked first where it can be.
CREATE FUNCTION mongo_migrate.verify_kind(value text, stored text, exact text, rounded text, first boolean) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT 'CASE ' || CASE WHEN first THEN format('WHEN %s THEN NULL ', exact) ELSE '' END ||
           format('WHEN mongo_migrate.verify_is_null(%1$s) OR %2$s IS NULL '
                  'THEN CASE WHEN NOT (mongo_migrate.verify_is_null(%1$s) AND %2$s IS NULL) THEN ''mismatch'' END '
                  '%3$s %4$s ELSE ''mismatch'' END', value, stored,
                  CASE WHEN NOT first THEN format('WHEN %s THEN NULL', exact) END, 'WHEN ' || rounded || ' THEN ''rounded''')
$$;
COMMENT ON FUNCTION mongo_migrate.verify_kind(text, text, text, text, boolean) IS
    'an SQL expression for the kind of a difference between a value in canonical Extended JSON and a stored one, NULL for none';

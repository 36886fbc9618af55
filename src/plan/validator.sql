-- validator.sql: CHECK constraints of a plan, proposed from the source's validator.
--
-- A check is what follows a column's name: IN ('new', 'paid'), >= 0.  What is
-- proposed is not made: documents may have been there before their validator,
-- and a value that no document has yet may come tomorrow.

-- Of the dialects of PCRE and PostgreSQL the part in which a pattern means the
-- same, whether a string matches being all that counts: ASCII as it is, escaped
-- punctuation, sets without classes, quantifiers, groups, alternatives, ^ at the
-- beginning and $ at the end, before which PCRE also passes over a line feed.
CREATE FUNCTION mongo_migrate.same_pattern(pattern text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $body$
    SELECT CASE
        WHEN EXISTS (SELECT FROM regexp_matches(pattern, '[{,]([0-9]+)', 'g') AS m WHERE m[1]::numeric > 255) THEN NULL
        WHEN pattern ~ format('^\^?%s$', t.tokens) THEN pattern
        WHEN pattern ~ format('^\^?%s\$$', t.tokens) THEN left(pattern, -1) || '\n?$' END
    FROM (SELECT format('(?:(?:[A-Za-z0-9 _@:/,;=<>!#%%&"''~`-]|\\[!-/:-@[-`{-~]|\[\^?-?(?:%s)+-?\]|\))(?:(?:[*+?]|\{[0-9]+(?:,[0-9]*)?\})\??)?|\((?![?*])|\|)*',
                        '[A-Z]-[A-Z]|[a-z]-[a-z]|[0-9]-[0-9]|[A-Za-z0-9 _@:/,;=<>!#%&"''~`.+*?(){}|$]')) AS t (tokens)
$body$;
COMMENT ON FUNCTION mongo_migrate.same_pattern(text) IS
    'a regular expression of PostgreSQL that matches the same strings as one of MongoDB; NULL where that is not certain';

CREATE FUNCTION mongo_migrate.schema_types(property jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT array_agg(t #>> '{}')
    FROM jsonb_array_elements(CASE jsonb_typeof(coalesce(property -> 'bsonType', property -> 'type'))
        WHEN 'array' THEN coalesce(property -> 'bsonType', property -> 'type')
        WHEN 'string' THEN jsonb_build_array(coalesce(property -> 'bsonType', property -> 'type')) END) AS t
$$;
COMMENT ON FUNCTION mongo_migrate.schema_types(jsonb) IS
    'the types that a property of a $jsonSchema may have; NULL: any';

CREATE FUNCTION mongo_migrate.schema_number(property jsonb, keyword text) RETURNS integer
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT CASE WHEN jsonb_typeof(property -> keyword) = 'number' AND (property ->> keyword)::numeric BETWEEN 0 AND 10485760
                THEN (property ->> keyword)::numeric::integer END
$$;
COMMENT ON FUNCTION mongo_migrate.schema_number(jsonb, text) IS
    'a length in a property of a $jsonSchema; NULL: none, or beyond what a type takes';

CREATE FUNCTION mongo_migrate.schema_check(property jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    kinds text[];
    pattern text := mongo_migrate.same_pattern(CASE jsonb_typeof(property -> 'pattern') WHEN 'string' THEN property ->> 'pattern' END);
    shortest integer := mongo_migrate.schema_number(property, 'minLength');
    low text := CASE jsonb_typeof(property -> 'minimum') WHEN 'number' THEN property ->> 'minimum' END;
    high text := CASE jsonb_typeof(property -> 'maximum') WHEN 'number' THEN property ->> 'maximum' END;
    above text := CASE WHEN (property -> 'exclusiveMinimum') = 'true' THEN '>' ELSE '>=' END;
    below text := CASE WHEN (property -> 'exclusiveMaximum') = 'true' THEN '<' ELSE '<=' END;
BEGIN
    IF jsonb_typeof(property -> 'enum') = 'array' THEN
        kinds := ARRAY(SELECT DISTINCT jsonb_typeof(v) FROM jsonb_array_elements(property -> 'enum') AS v
                       WHERE jsonb_typeof(v) <> 'null');
        RETURN CASE WHEN kinds IN ('{string}', '{number}') THEN (
            SELECT format('IN (%s)', string_agg(CASE jsonb_typeof(v) WHEN 'string' THEN quote_literal(v #>> '{}') ELSE v::text END, ', ' ORDER BY n))
            FROM jsonb_array_elements(property -> 'enum') WITH ORDINALITY AS e (v, n) WHERE jsonb_typeof(v) <> 'null') END;
    END IF;
    RETURN CASE WHEN pattern IS NOT NULL THEN '~ ' || quote_literal(pattern)
                WHEN shortest = 1 THEN '<> '''''
                WHEN shortest BETWEEN 2 AND 255 THEN format('~ ''^.{%s}''', shortest)
                WHEN low IS NULL THEN below || ' ' || high
                WHEN high IS NULL THEN above || ' ' || low
                WHEN above = '>=' AND below = '<=' THEN format('BETWEEN %s AND %s', low, high)
                -- One of the two, since the column is named but once.
                ELSE above || ' ' || low END;
END
$$;
COMMENT ON FUNCTION mongo_migrate.schema_check(jsonb) IS
    'the check that a property of a $jsonSchema amounts to: its enum, pattern, least length or bounds; NULL for none';

CREATE FUNCTION mongo_migrate.schema_labels(property jsonb) RETURNS text[]
    LANGUAGE sql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT array_agg(v #>> '{}' ORDER BY n)
    FROM jsonb_array_elements(CASE jsonb_typeof(property -> 'enum') WHEN 'array' THEN property -> 'enum' END) WITH ORDINALITY AS e (v, n)
    WHERE jsonb_typeof(v) <> 'null' HAVING bool_and(jsonb_typeof(v) = 'string')
$$;
COMMENT ON FUNCTION mongo_migrate.schema_labels(jsonb) IS
    'the strings that the enum of a property of a $jsonSchema has, null aside; NULL: it has none, or others';

CREATE FUNCTION mongo_migrate.schema_checks(schema jsonb, base text, present boolean DEFAULT true)
    RETURNS TABLE (path text, condition text, description text, labels text[], length integer, required boolean)
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    property record;
BEGIN
    FOR property IN
        SELECT mongo_migrate.full_path(base, regexp_replace(p.key, '([.\\])', '\\\1', 'g')) AS place, p.value,
               present AND coalesce(schema -> 'required' @> jsonb_build_array(p.key), false) AS always
        FROM jsonb_each(CASE jsonb_typeof(schema -> 'properties') WHEN 'object' THEN schema -> 'properties' END) AS p
        UNION ALL
        SELECT base || '[]', schema -> 'items', true WHERE jsonb_typeof(schema -> 'items') = 'object'
    LOOP
        path := property.place;
        condition := mongo_migrate.schema_check(property.value);
        description := property.value ->> 'description';
        labels := mongo_migrate.schema_labels(property.value);
        length := mongo_migrate.schema_number(property.value, 'maxLength');
        -- Of a type that null is not of; a property without type may be null.
        required := property.always AND coalesce(NOT mongo_migrate.schema_types(property.value) && '{"null",undefined}', false);
        RETURN NEXT;
        RETURN QUERY SELECT * FROM mongo_migrate.schema_checks(property.value, property.place,
            required AND mongo_migrate.schema_types(property.value) = '{object}');
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.schema_checks(jsonb, text, boolean) IS
    'what a $jsonSchema says of fields, by path as infer_schema has it: checks, descriptions, labels of enumerations, the greatest length, whether there is always a value; base: the path of the document that it describes, present: which is always there';

CREATE FUNCTION mongo_migrate.validator_checks(validator jsonb)
    RETURNS TABLE (path text, condition text, description text, labels text[], length integer, required boolean)
    LANGUAGE plpgsql IMMUTABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    term record;
BEGIN
    FOR term IN SELECT * FROM jsonb_each(CASE jsonb_typeof(validator) WHEN 'object' THEN validator END) ORDER BY key LOOP
        IF term.key = '$jsonSchema' THEN
            RETURN QUERY SELECT * FROM mongo_migrate.schema_checks(term.value, '');
        ELSIF term.key = '$and' AND jsonb_typeof(term.value) = 'array' THEN
            RETURN QUERY SELECT c.* FROM jsonb_array_elements(term.value) AS part, mongo_migrate.validator_checks(part) AS c;
        ELSIF term.key !~ '^\$' AND jsonb_typeof(term.value) = 'object' THEN
            path := term.key;
            labels := mongo_migrate.schema_labels(jsonb_build_object('enum', term.value -> '$in'));
            condition := mongo_migrate.schema_check(jsonb_strip_nulls(jsonb_build_object('enum', term.value -> '$in',
                'minimum', coalesce(term.value -> '$gte', term.value -> '$gt'), 'exclusiveMinimum', term.value ? '$gt',
                'maximum', coalesce(term.value -> '$lte', term.value -> '$lt'), 'exclusiveMaximum', term.value ? '$lt')));
            required := false;
            RETURN NEXT;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.validator_checks(jsonb) IS
    'what a collection''s validator says of fields, by path, as schema_checks() has it';

CREATE FUNCTION mongo_migrate.propose_checks(server name, collection text) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    validator jsonb;
BEGIN
    validator := mongo_migrate.without_nul(mongo_migrate.run_command(server, json_build_object('listCollections', 1,
        'filter', json_build_object('name', collection))))::jsonb #> '{cursor,firstBatch,0,options,validator}';
    UPDATE mongo_migrate.plan_path AS p
    SET proposed_check = coalesce(c.condition, p.proposed_check), description = c.description, allowed_values = c.labels,
        allowed_length = c.length, required = c.required
    FROM (SELECT v.path, min(v.condition) AS condition, min(v.description) AS description, min(v.labels) AS labels,
                 min(v.length) AS length, bool_or(v.required) AS required
          FROM mongo_migrate.validator_checks(validator) AS v GROUP BY v.path) AS c
    WHERE (p.server, p.collection, p.path) = ($1, $2, c.path);
EXCEPTION WHEN insufficient_privilege OR fdw_error THEN
    RETURN;     -- who may read documents may not always read validators
END
$$;
COMMENT ON FUNCTION mongo_migrate.propose_checks(name, text) IS
    'puts into plan_path what the validator of a collection says of its fields';

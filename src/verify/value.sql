-- value.sql: the source's values, read out of canonical Extended JSON.
--
-- Verification shares no code with what it checks.  Documents come as libbson
-- prints them, and SQL alone reads them here: none of the converters that
-- wrote the tables has a part in the expected side.  The functions of a single
-- expression are inlined into the statements that verify_statement() writes.

-- Steps of a plan's path: 'a.b' is {a,b}, '$' is {}; a backslash takes the
-- next character as it is.
CREATE FUNCTION mongo_migrate.verify_steps(path text) RETURNS text[]
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN path = '_id' THEN ARRAY['_id'] WHEN path = '$' THEN '{}'::text[]
        ELSE ARRAY(SELECT pg_catalog.regexp_replace(m[1], '\\(.)', '\1', 'g')
                   FROM pg_catalog.regexp_matches(path || '.', '((?:\\.|[^.\\])*)\.', 'g') WITH ORDINALITY AS s(m, n)
                   ORDER BY n)
        END;
COMMENT ON FUNCTION mongo_migrate.verify_steps(text) IS
    'the field names and positions in a path of a plan, as for the operator #>';

-- Null, undefined or missing: what a column holds as NULL.
CREATE FUNCTION mongo_migrate.verify_is_null(value jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN value IS NULL OR value = 'null'::jsonb OR value = '{"$undefined": true}'::jsonb;
COMMENT ON FUNCTION mongo_migrate.verify_is_null(jsonb) IS
    'whether a value in canonical Extended JSON is null, undefined or missing';

CREATE FUNCTION mongo_migrate.verify_is_wrapper(value jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN value ?| '{$numberInt,$numberLong,$numberDouble,$numberDecimal,$oid,$date,$binary,$regularExpression,$timestamp,$code,$symbol,$dbPointer,$minKey,$maxKey,$undefined}'::text[];
COMMENT ON FUNCTION mongo_migrate.verify_is_wrapper(jsonb) IS
    'whether an object in canonical Extended JSON stands for a value that is no document';

-- The fields of a wrapper are not those of a map.
CREATE FUNCTION mongo_migrate.verify_map(value json) RETURNS json
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN pg_catalog.json_typeof(value) = 'object'
        THEN CASE WHEN NOT (value::text ~ '^[{] *"[$]' AND mongo_migrate.verify_is_wrapper(value::jsonb)) THEN value END
        END;
COMMENT ON FUNCTION mongo_migrate.verify_map(json) IS
    'a document in canonical Extended JSON; NULL for what is none';

CREATE FUNCTION mongo_migrate.verify_number(value jsonb) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE((value ->> '$numberInt')::numeric,
                    (value ->> '$numberLong')::numeric,
                    (value ->> '$numberDouble')::double precision::text::numeric,
                    (value ->> '$numberDecimal')::numeric);
COMMENT ON FUNCTION mongo_migrate.verify_number(jsonb) IS
    'a number in canonical Extended JSON, exactly; a double by its shortest decimal form; NULL for what is no number';

-- Each double of 2^53 and more is whole, but the shortest form of such a one has zeros for its last digits.
CREATE FUNCTION mongo_migrate.verify_integer(value jsonb) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN value ? '$numberDouble' AND pg_catalog.abs((value ->> '$numberDouble')::double precision) >= 9007199254740992
            AND (value ->> '$numberDouble')::double precision BETWEEN -9223372036854775808 AND 9223372036854774784
        THEN (value ->> '$numberDouble')::double precision::bigint::numeric
        ELSE mongo_migrate.verify_number(value) END;
COMMENT ON FUNCTION mongo_migrate.verify_integer(jsonb) IS
    'a number in canonical Extended JSON as an integer column has it: as verify_number(), but for doubles so large that all are whole, exactly';

CREATE FUNCTION mongo_migrate.verify_milliseconds(value jsonb) RETURNS numeric
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (value -> '$date' ->> '$numberLong')::numeric;
COMMENT ON FUNCTION mongo_migrate.verify_milliseconds(jsonb) IS
    'milliseconds since 1970 of a date in canonical Extended JSON; NULL for what is no date';

-- Days and the rest apart, because interval arithmetic is in double precision.
CREATE FUNCTION mongo_migrate.verify_timestamp(value jsonb) RETURNS timestamp
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN '1970-01-01'::date
           + pg_catalog.floor(mongo_migrate.verify_milliseconds(value) / 86400000)::integer
           + '1 millisecond'::interval
           * (mongo_migrate.verify_milliseconds(value)
              - 86400000 * pg_catalog.floor(mongo_migrate.verify_milliseconds(value) / 86400000))::double precision;
COMMENT ON FUNCTION mongo_migrate.verify_timestamp(jsonb) IS
    'a date in canonical Extended JSON as timestamp in UTC; NULL for what is no date; an error beyond the range of timestamp';

CREATE FUNCTION mongo_migrate.verify_bytes(value jsonb) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(pg_catalog.decode(value -> '$binary' ->> 'base64', 'base64'),
                    pg_catalog.decode(value ->> '$oid', 'hex'));
COMMENT ON FUNCTION mongo_migrate.verify_bytes(jsonb) IS
    'bytes of a binary or ObjectId in canonical Extended JSON; NULL for other values';

CREATE FUNCTION mongo_migrate.verify_iso_date(milliseconds bigint) RETURNS text
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'mm_verify_iso_date';
COMMENT ON FUNCTION mongo_migrate.verify_iso_date(bigint) IS
    'a date, given in milliseconds since 1970, in ISO form; years beyond 0 to 9999 with a sign and at least six digits';

CREATE FUNCTION mongo_migrate.verify_json(value jsonb, mode text) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'mm_verify_json';
COMMENT ON FUNCTION mongo_migrate.verify_json(jsonb, text) IS
    'a value in canonical Extended JSON in another mode: relaxed or plain; canonical: doubles by their shortest form';

CREATE FUNCTION mongo_migrate.verify_jsonb(document json) RETURNS jsonb
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'mm_verify_jsonb';
COMMENT ON FUNCTION mongo_migrate.verify_jsonb(json) IS
    'JSON as jsonb, as the cast has it, in a tenth of the memory';

-- Text has strings as they are, and other scalars in one canonical spelling.
CREATE FUNCTION mongo_migrate.verify_text(value jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN pg_catalog.jsonb_typeof(value) IN ('string', 'boolean') THEN value #>> '{}'
        WHEN value ? '$oid' THEN value ->> '$oid'
        WHEN value ? '$date' THEN mongo_migrate.verify_iso_date(mongo_migrate.verify_milliseconds(value)::bigint)
        WHEN value -> '$binary' ->> 'subType' IN ('03', '04')
            AND pg_catalog.length(mongo_migrate.verify_bytes(value)) = 16 THEN
            pg_catalog.encode(mongo_migrate.verify_bytes(value), 'hex')::uuid::text
        WHEN value ? '$numberDouble' THEN (value ->> '$numberDouble')::double precision::text
        ELSE COALESCE(value ->> '$numberInt', value ->> '$numberLong', value ->> '$numberDecimal',
                      value ->> '$symbol', CASE WHEN NOT value ? '$scope' THEN value ->> '$code' END)
    END;
COMMENT ON FUNCTION mongo_migrate.verify_text(jsonb) IS
    'a scalar in canonical Extended JSON as a text column has it; NULL for what has no text form';

CREATE FUNCTION mongo_migrate.verify_show(value jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(mongo_migrate.verify_text(value),
        CASE WHEN value ? '$binary' THEN mongo_migrate.verify_bytes(value)::text
             WHEN value <> 'null'::jsonb THEN mongo_migrate.verify_json(value, 'relaxed')::text END);
COMMENT ON FUNCTION mongo_migrate.verify_show(jsonb) IS
    'a value in canonical Extended JSON as text: scalars without quotes and wrappers';

CREATE FUNCTION mongo_migrate.verify_readable(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN pg_catalog.replace(pg_catalog.replace(pg_catalog."left"(value, 1000), pg_catalog.chr(26), '\u0000'), '\u001a', '\u0000');
COMMENT ON FUNCTION mongo_migrate.verify_readable(text) IS
    'text of a finding: cut to 1000 characters, and U+0000 spelled as \u0000';

-- A compound _id is shown as it is, because the order of its fields counts.
CREATE FUNCTION mongo_migrate.verify_source_id(id json) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN mongo_migrate.verify_readable(COALESCE(
        mongo_migrate.verify_text(mongo_migrate.without_nul(id)::jsonb), mongo_migrate.key_to_json(mongo_migrate.bson_key(id))::text));
COMMENT ON FUNCTION mongo_migrate.verify_source_id(json) IS
    'an _id in canonical Extended JSON as findings have it: scalars as text, others as key_to_json() spells them';

-- The operators of json fail on any U+0000 in a document.
CREATE FUNCTION mongo_migrate.verify_document_key(document json, path text DEFAULT '_id') RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN pg_catalog.strpos(document::text, '\u0000') = 0
        THEN mongo_migrate.bson_key(document #> mongo_migrate.verify_steps(path))
        ELSE mongo_migrate.bson_key(pg_catalog.replace(
            (mongo_migrate.without_nul(document) #> mongo_migrate.verify_steps(path))::text, '\u001a', '\u0000')::json)
        END;
COMMENT ON FUNCTION mongo_migrate.verify_document_key(json, text) IS
    'the key of the value at a path of a document in canonical Extended JSON';

-- What the statements of a verification take: documents as they can become jsonb, and their _id.
CREATE FUNCTION mongo_migrate.verify_batch(INOUT documents json[], OUT keys bytea[], OUT ids json[])
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT coalesce(array_agg(u.plain), '{}'),
           array_agg(CASE WHEN strpos(u.id::text, '\u001a') = 0 THEN mongo_migrate.bson_key(u.id)
                     ELSE mongo_migrate.verify_document_key(u.document) END),
           array_agg(u.id)
    FROM (SELECT p.document, p.plain, p.plain -> '_id' AS id
          FROM (SELECT d AS document, mongo_migrate.without_nul(d) AS plain FROM unnest(documents) AS d OFFSET 0) AS p OFFSET 0) AS u
$$;
COMMENT ON FUNCTION mongo_migrate.verify_batch(json[]) IS
    'documents in canonical Extended JSON with U+001A for U+0000, the keys of their _id, and these';

-- A text of more digits, or of a larger exponent, is no number of MongoDB's.
CREATE FUNCTION mongo_migrate.verify_is_number(content text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN pg_catalog.length(content) <= 64 AND content ~ '^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?$'
        THEN pg_catalog.abs(content::numeric) < '1e6145'::numeric AND pg_catalog.scale(pg_catalog.trim_scale(content::numeric)) <= 6176
             AND pg_catalog.length(pg_catalog.btrim(pg_catalog.translate(pg_catalog.trim_scale(content::numeric)::text, '-.', ''), '0')) <= 34
        ELSE false END;
COMMENT ON FUNCTION mongo_migrate.verify_is_number(text) IS
    'whether a text is a number that a Decimal128 holds exactly';

-- The key of what a reference refers to, by the plan's key_form.  json keeps
-- the order of fields, which is part of a compound key; an ObjectId is had
-- sooner from jsonb.
CREATE FUNCTION mongo_migrate.verify_reference(value json, content jsonb, form text) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN mongo_migrate.verify_is_null(content) THEN NULL
        WHEN form = 'objectid_text' AND pg_catalog.jsonb_typeof(content) = 'string' AND content #>> '{}' ~ '^[0-9a-fA-F]{24}$' THEN
            mongo_migrate.bson_key(('{"$oid": "' || pg_catalog.lower(content #>> '{}') || '"}')::json)
        WHEN form = 'number_text' AND pg_catalog.jsonb_typeof(content) = 'string'
            AND mongo_migrate.verify_is_number(content #>> '{}') THEN
            mongo_migrate.bson_key(('{"$numberDecimal": "' || (content #>> '{}') || '"}')::json)
        WHEN content::text LIKE '{"$oid": "________________________"}' THEN mongo_migrate.bson_key(content::text::json)
        ELSE mongo_migrate.bson_key(value) END;
COMMENT ON FUNCTION mongo_migrate.verify_reference(json, jsonb, text) IS
    'the key, as in an id map, of the document that a value in canonical Extended JSON, given as json and as jsonb, refers to by a plan''s key_form; NULL for null';

-- The filter of a root, for those of a list of _id.
-- libbson's reader of Extended JSON mistakes the key of a code or a DBPointer
-- that comes after others in an array: they stand by themselves.
CREATE FUNCTION mongo_migrate.verify_filter(filter jsonb, ids json) RETURNS json
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    WITH part AS (
        SELECT json_build_object('_id', json_build_object('$in', coalesce(json_agg(id), '[]'))) AS ids
        FROM json_array_elements(ids) AS id WHERE id::text !~ '"[$](code|dbPointer)"'
        UNION ALL
        SELECT json_build_object('_id', json_build_object('$eq', id))
        FROM json_array_elements(ids) AS id WHERE id::text ~ '"[$](code|dbPointer)"')
    SELECT json_build_object('$and', json_build_array(filter,
        CASE count(*) WHEN 1 THEN (array_agg(p.ids))[1] ELSE json_build_object('$or', json_agg(p.ids)) END))
    FROM part AS p
$$;
COMMENT ON FUNCTION mongo_migrate.verify_filter(jsonb, json) IS
    'a match document for those of a list of _id that a filter matches';

-- Each BSON type in each PostgreSQL type: the outcomes of doc/types.md.
-- A document becomes rows without a server, by decode_document().

SET timezone = 'UTC';
SET datestyle = 'ISO';
SET intervalstyle = 'postgres';
CREATE TYPE types_mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN types_positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN types_required AS text NOT NULL;
CREATE DOMAIN types_short AS varchar(3)[] CHECK (cardinality(VALUE) < 3);
CREATE DOMAIN types_positives AS types_positive[];

-- The outcome of a field v as a column of a type: its text, or the status.
CREATE FUNCTION types_outcome(bson bytea, type text, mode text, round boolean) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN coalesce((SELECT "values"[1] FROM mongo_migrate.decode_document(bson, '{v}', ARRAY[type], mode, round => round)), 'NULL');
EXCEPTION WHEN OTHERS THEN
    RETURN CASE SQLSTATE WHEN '42804' THEN 'wrong type' WHEN '22003' THEN 'out of range' WHEN '22000' THEN 'inexact'
        WHEN '22001' THEN 'too long' WHEN '22P05' THEN 'NUL byte' WHEN '22021' THEN 'bad encoding' WHEN '22P02' THEN 'bad syntax'
        WHEN '22030' THEN 'duplicate key' WHEN '54000' THEN 'too deep' WHEN 'XX001' THEN 'corrupt' WHEN '23514' THEN 'domain check'
        ELSE SQLSTATE END || ': ' || SQLERRM;
END
$$;
CREATE FUNCTION types_outcome(value text, type text, mode text DEFAULT 'relaxed', round boolean DEFAULT false) RETURNS text LANGUAGE sql
    RETURN types_outcome(mongo_migrate.bson_from_json(format('{"v": %s}', value)::json), type, mode, round);

-- Every type against every type
CREATE TEMPORARY TABLE samples (n integer GENERATED ALWAYS AS IDENTITY, bson_type text, value text);
INSERT INTO samples (bson_type, value) VALUES
    ('double, whole', '3.0'), ('double', '3.5'), ('string', '"text"'), ('object', '{"a": 1}'), ('array', '[1, null]'),
    ('binData', '{"$binary": {"base64": "AQI=", "subType": "00"}}'),
    ('binData, UUID', '{"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "04"}}'),
    ('undefined', '{"$undefined": true}'), ('objectId', '{"$oid": "6b0489aa00000000000000ff"}'), ('bool', 'true'),
    ('date', '{"$date": "2024-02-29T12:34:56.789Z"}'), ('date, midnight', '{"$date": "2024-02-29T00:00:00Z"}'), ('null', 'null'),
    ('regex', '{"$regularExpression": {"pattern": "a.b", "options": "i"}}'),
    ('dbPointer', '{"$dbPointer": {"$ref": "c", "$id": {"$oid": "6b0489aa00000000000000ff"}}}'),
    ('javascript', '{"$code": "f()"}'), ('symbol', '{"$symbol": "sym"}'), ('javascriptWithScope', '{"$code": "f()", "$scope": {"x": 1}}'),
    ('int', '{"$numberInt": "42"}'), ('timestamp', '{"$timestamp": {"t": 7, "i": 9}}'), ('long', '{"$numberLong": "5000000000"}'),
    ('decimal', '{"$numberDecimal": "1.50"}'), ('minKey', '{"$minKey": 1}'), ('maxKey', '{"$maxKey": 1}');
CREATE TEMPORARY TABLE targets (n integer GENERATED ALWAYS AS IDENTITY, type text);
INSERT INTO targets (type) SELECT unnest(ARRAY['int2', 'int4', 'int8', 'numeric', 'float4', 'float8', 'bool', 'text', 'varchar', 'char(30)', 'name',
    'mongo_migrate.objectid', 'bytea', 'uuid', 'timestamptz', 'timestamp', 'date', 'types_mood', 'json', 'jsonb', 'int4[]', 'text[]', 'jsonb[]']);
SELECT bson_type, outcome, string_agg(type, ' ' ORDER BY n) AS types
FROM (SELECT s.n AS sample, t.n, s.bson_type, type,
             CASE WHEN outcome LIKE 'wrong type: value % of BSON type % has no exact form in type %' THEN 'wrong type'
                  ELSE rtrim(outcome) END AS outcome
      FROM samples s, targets t, types_outcome(s.value, t.type) outcome) o
GROUP BY sample, bson_type, outcome ORDER BY sample, min(n);

-- Extended JSON in its modes
SELECT bson_type, types_outcome(value, 'json', 'canonical') AS canonical, types_outcome(value, 'json', 'plain') AS plain
FROM samples ORDER BY n;
SELECT count(*) AS different FROM samples, unnest(ARRAY['relaxed', 'canonical', 'plain']) mode
WHERE types_outcome(value, 'json', mode) <> 'NULL' AND types_outcome(value, 'json', mode)::jsonb::text <> types_outcome(value, 'jsonb', mode);

-- Numbers
SELECT value, type, types_outcome(value, type) AS outcome FROM (VALUES
    ('32767', 'int2'), ('32768', 'int2'), ('-32768', 'int2'), ('-32769', 'int2'),
    ('2147483647', 'int4'), ('2147483648', 'int4'), ('-2147483648.0', 'int4'), ('-2147483649', 'int4'),
    ('9223372036854775807', 'int8'), ('9223372036854775808.0', 'int8'), ('-9223372036854775808.0', 'int8'),
    ('9007199254740993', 'float8'), ('9007199254740993', 'int8'), ('1e300', 'int8'), ('-0.0', 'int4'),
    ('{"$numberDouble": "NaN"}', 'int4'), ('{"$numberDouble": "-Infinity"}', 'int8'),
    ('{"$numberDecimal": "9223372036854775807"}', 'int8'), ('{"$numberDecimal": "9223372036854775808"}', 'int8'),
    ('{"$numberDecimal": "-9223372036854775808.00"}', 'int8'), ('{"$numberDecimal": "1E+3"}', 'int4'),
    ('{"$numberDecimal": "1.5"}', 'int4'), ('{"$numberDecimal": "0E+6000"}', 'int4'), ('{"$numberDecimal": "1E+6000"}', 'int8'),
    ('{"$numberDecimal": "NaN"}', 'int8'),
    ('0.1', 'numeric'), ('5.989999771118164', 'numeric'), ('1e21', 'numeric'), ('-1.7976931348623157e308', 'numeric'),
    ('5e-324', 'numeric'), ('-0.0', 'numeric'), ('123456789012345678', 'numeric'),
    ('{"$numberDouble": "NaN"}', 'numeric'), ('{"$numberDouble": "Infinity"}', 'numeric'), ('{"$numberDouble": "-Infinity"}', 'numeric'),
    ('{"$numberDecimal": "NaN"}', 'numeric'), ('{"$numberDecimal": "-Infinity"}', 'numeric'),
    ('{"$numberDecimal": "1.10"}', 'numeric'), ('{"$numberDecimal": "-0.0000"}', 'numeric'), ('{"$numberDecimal": "1E+3"}', 'numeric'),
    ('{"$numberDecimal": "1234567890123456789012345678901234"}', 'numeric'), ('{"$numberDecimal": "12345678901234567.1234"}', 'numeric'),
    ('12.34', 'numeric(10,2)'), ('12.3', 'numeric(10,2)'), ('12', 'numeric(10,2)'), ('12.345', 'numeric(10,2)'), ('5.989999771118164', 'numeric(10,2)'),
    ('99999999.99', 'numeric(10,2)'), ('100000000', 'numeric(10,2)'), ('-100000000', 'numeric(10,2)'), ('{"$numberDouble": "NaN"}', 'numeric(10,2)'),
    ('{"$numberDouble": "Infinity"}', 'numeric(10,2)'), ('{"$numberDecimal": "12.340000"}', 'numeric(10,2)'), ('{"$numberDecimal": "1E-6176"}', 'numeric(10,2)'),
    ('{"$numberDecimal": "0E-6176"}', 'numeric(10,2)'), ('1200', 'numeric(2,-2)'), ('1250', 'numeric(2,-2)'), ('12000', 'numeric(2,-2)'),
    ('0.012', 'numeric(2,3)'), ('0.12', 'numeric(2,3)'), ('7', 'numeric(60,50)'), ('{"$numberDecimal": "1234567890123456789012345678.901234"}', 'numeric(40,12)'),
    ('0.1', 'float4'), ('0.1', 'float8'), ('1e39', 'float4'), ('1e-50', 'float4'), ('{"$numberDouble": "NaN"}', 'float4'), ('{"$numberDouble": "-Infinity"}', 'float8'),
    ('{"$numberDecimal": "0.1"}', 'float8'), ('{"$numberDecimal": "1.0000000596046447753906250001"}', 'float4'), ('{"$numberLong": "1152921573326323713"}', 'float4'), ('{"$numberDecimal": "1E+400"}', 'float8'), ('{"$numberDecimal": "1E-400"}', 'float8'), ('{"$numberDecimal": "Infinity"}', 'float4'),
    ('{"$numberDecimal": "NaN"}', 'float8')) v(value, type);
SELECT length(types_outcome('{"$numberDecimal": "1E+6144"}', 'numeric')) AS digits, length(types_outcome('{"$numberDecimal": "1E-6176"}', 'numeric')) AS point_and_digits;

-- Rounding to a scale, when it is asked for: half away from zero
SELECT value, type, types_outcome(value, type, round => true) AS outcome FROM (VALUES
    ('12.345', 'numeric(10,2)'), ('-12.345', 'numeric(10,2)'), ('12.344999', 'numeric(10,2)'), ('5.989999771118164', 'numeric(10,2)'),
    ('99.995', 'numeric(4,2)'), ('99.994', 'numeric(4,2)'), ('{"$numberDecimal": "1E-6176"}', 'numeric(10,2)'),
    ('1250', 'numeric(3,-2)'), ('1249', 'numeric(3,-2)'), ('3.5', 'int4'), ('0.005', 'numeric(1,1)')) v(value, type);

-- A whole scale of numerics: what numeric's own input makes of the digits
SELECT count(*) AS wrong
FROM generate_series(0, 33) scale, unnest(ARRAY['1', '-1234567', '99999999999999999', '1000000000000', '12345678901234567890123456789012']) digits,
     LATERAL (SELECT digits || 'E-' || scale AS text) t
WHERE types_outcome(format('{"$numberDecimal": "%s"}', text), 'numeric') <> text::numeric::text;

-- Strings
SELECT value, type, types_outcome(value, type) AS outcome FROM (VALUES
    ('"abc"', 'varchar(3)'), ('"abcd"', 'varchar(3)'), ('"ab  "', 'varchar(3)'), ('"äöü"', 'varchar(3)'), ('123', 'varchar(3)'), ('1234', 'varchar(3)'),
    ('"ab"', 'char(3)'), ('"ab  "', 'char(3)'), ('"abcd"', 'char(3)'), ('"äö"', 'char(3)'), ('"happy"', 'types_mood'), ('"glad"', 'types_mood'), ('7', 'types_mood'),
    ('"a\u0000b"', 'text'), ('"a\u0000b"', 'jsonb'), ('"a\u0000b"', 'json'), ('"\u0001\b\f\n\r\t\"\\/"', 'json'), ('"\ud83d\ude00"', 'text'), ('"😀"', 'text'),
    ('"6b0489aa00000000000000ff"', 'mongo_migrate.objectid'), ('"3"', 'int4'), ('"2024-01-01"', 'date'), ('"t"', 'bool'), ('"00112233-4455-6677-8899-aabbccddeeff"', 'uuid')) v(value, type);
SELECT types_outcome(format('"%s"', repeat('x', n)), 'name') AS outcome FROM unnest(ARRAY[63, 64]) n;
-- v: "a\xff", "\xc0\x80" (an overlong U+0000), "\xed\xa0\x80" (half of a surrogate pair)
SELECT types_outcome(bson, type, 'relaxed', false) AS outcome
FROM unnest(ARRAY['\x0f0000000276000300000061ff0000', '\x0f00000002760003000000c0800000', '\x1000000002760004000000eda0800000']::bytea[]) bson,
     unnest(ARRAY['text', 'jsonb', 'json']) type;

-- v: a decimal of 10^34, one digit too many: not canonical, and so 0
SELECT type, types_outcome('\x1800000013760000000000648e8d37c087adbe09ed413000'::bytea, type, 'plain', false) AS outcome
FROM unnest(ARRAY['numeric', 'int4', 'text', 'json', 'jsonb']) type;

-- a whole double has a point in JSON, until it has an exponent
SELECT value, types_outcome(value, 'json') AS json, types_outcome(value, 'jsonb') AS jsonb
FROM unnest(ARRAY['7.0', '-0.0', '999999999999999.0', '1000000000000000.0', '9007199254740991.0', '1e15', '1e-5', '0.0001']) value;

-- Text of scalars, dates and their ranges
SELECT value, type, types_outcome(value, type) AS outcome FROM (VALUES
    ('1e20', 'text'), ('1.5e-7', 'text'), ('-0.0', 'text'), ('{"$numberDouble": "NaN"}', 'text'), ('{"$numberDecimal": "1.50"}', 'text'), ('{"$numberDecimal": "1E+3"}', 'text'),
    ('{"$numberDecimal": "-Infinity"}', 'text'), ('false', 'text'),
    ('{"$date": {"$numberLong": "0"}}', 'text'), ('{"$date": {"$numberLong": "-1"}}', 'text'), ('{"$date": {"$numberLong": "253402300800000"}}', 'text'),
    ('{"$date": {"$numberLong": "-62167219200001"}}', 'text'), ('{"$date": {"$numberLong": "9223372036854775807"}}', 'text'), ('{"$date": {"$numberLong": "-9223372036854775808"}}', 'text'),
    ('{"$date": {"$numberLong": "253402300800000"}}', 'json'), ('{"$date": {"$numberLong": "-1"}}', 'json'),
    ('{"$date": {"$numberLong": "9224318015999999"}}', 'timestamptz'), ('{"$date": {"$numberLong": "9224318016000000"}}', 'timestamptz'),
    ('{"$date": {"$numberLong": "-210866803200000"}}', 'timestamp'), ('{"$date": {"$numberLong": "-210866803200001"}}', 'timestamp'),
    ('{"$date": {"$numberLong": "9223372036854775807"}}', 'timestamptz'), ('{"$date": {"$numberLong": "-9223372036854775808"}}', 'date'),
    ('{"$date": {"$numberLong": "-86400000"}}', 'date'), ('{"$date": {"$numberLong": "-86400001"}}', 'date'),
    ('{"$date": "2024-02-29T12:34:56.780Z"}', 'timestamptz(2)'), ('{"$date": "2024-02-29T12:34:56.789Z"}', 'timestamptz(2)'), ('{"$date": "2024-02-29T12:34:56Z"}', 'timestamp(0)'),
    ('{"$date": "2024-02-29T12:34:56.5Z"}', 'timestamp(0)'), ('{"$date": "2024-02-29T12:34:56.789Z"}', 'timestamptz(3)')) v(value, type);
SET timezone = 'America/New_York';
SELECT types_outcome('{"$date": "2024-02-29T12:34:56Z"}', 'timestamptz'), types_outcome('{"$date": "2024-02-29T12:34:56Z"}', 'timestamp'), types_outcome('{"$date": "2024-02-29T00:00:00Z"}', 'date');
SET timezone = 'UTC';

-- Binaries: any subtype to bytea; 16 bytes of subtype 3 or 4 to uuid, in their order
SELECT value, type, types_outcome(format('{"$binary": %s}', value), type) AS outcome FROM (VALUES
    ('{"base64": "", "subType": "00"}', 'bytea'), ('{"base64": "AQI=", "subType": "02"}', 'bytea'), ('{"base64": "AQI=", "subType": "80"}', 'bytea'),
    ('{"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "03"}', 'uuid'), ('{"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "00"}', 'uuid'), ('{"base64": "AQI=", "subType": "04"}', 'uuid')) v(value, type);

-- Arrays: NULLs are kept, positions never shift, nested arrays are dimensions
SELECT value, type, types_outcome(value, type) AS outcome FROM (VALUES
    ('[]', 'int4[]'), ('[1, null, {"$undefined": true}, 3.0]', 'int4[]'), ('[1, "2", 3]', 'int4[]'), ('[1, 2.5]', 'int4[]'), ('[1, 3000000000]', 'int4[]'),
    ('["a", 1, true, null]', 'text[]'), ('["a", {"b": 1}]', 'text[]'), ('["a\u0000"]', 'text[]'), ('7', 'int4[]'), ('{"0": 1}', 'int4[]'),
    ('[[1, 2], [3, 4]]', 'int4[]'), ('[[1, 2], [3]]', 'int4[]'), ('[[1], 2]', 'int4[]'), ('[1, [2]]', 'int4[]'), ('[[1], null]', 'int4[]'), ('[[], []]', 'int4[]'),
    ('[[[1, null]], [[3, "x"]]]', 'int4[]'), ('[[[1, null]], [[3, 4]]]', 'int4[]'), ('[[[[[[1]]]]]]', 'int4[]'), ('[[[[[[[1]]]]]]]', 'int4[]'),
    ('[[1], {"a": [2]}, "x", null]', 'jsonb[]'), ('[{"$oid": "6b0489aa00000000000000ff"}]', 'mongo_migrate.objectid[]'), ('[1.005, 2]', 'numeric(5,2)[]'),
    ('["abcd"]', 'varchar(3)[]'), ('["ok", "sad"]', 'types_mood[]'), ('[true]', 'bool[]')) v(value, type);
SELECT types_outcome('[1.005, 2]', 'numeric(5,2)[]', round => true);

-- Domains
SELECT value, type, types_outcome(value, type) AS outcome FROM (VALUES
    ('1', 'types_positive'), ('0', 'types_positive'), ('"x"', 'types_positive'), ('null', 'types_positive'), ('"x"', 'types_required'), ('null', 'types_required'),
    ('["a", "b"]', 'types_short'), ('["a", "b", "c"]', 'types_short'), ('["a", "bcde"]', 'types_short'), ('[1, 0]', 'types_positive[]'), ('[1, 0]', 'types_positives'), ('[1, 2]', 'types_positives')) v(value, type);

-- What jsonb does not hold, json does
SELECT types_outcome('{"a": 1, "b": {"c": 1, "c": 2}}', type) AS outcome FROM unnest(ARRAY['json', 'jsonb']) type;
CREATE FUNCTION types_nested(depth integer, array_of boolean) RETURNS bytea LANGUAGE plpgsql AS $$
DECLARE
    bson bytea := '\x0500000000';
    length bytea;
BEGIN
    FOR i IN 2 .. depth LOOP
        length := int4send(length(bson) + 8);
        bson := substr(length, 4, 1) || substr(length, 3, 1) || substr(length, 2, 1) || substr(length, 1, 1)
            || CASE WHEN array_of THEN '\x047600'::bytea ELSE '\x037600' END || bson || '\x00';
    END LOOP;
    RETURN bson;
END
$$;
SELECT depth, array_of, type, left(types_outcome(types_nested(depth, array_of), type, 'relaxed', false), 60) AS outcome
FROM unnest(ARRAY[200, 201, 202, 3000]) depth, unnest(ARRAY[false, true]) array_of, unnest(ARRAY['json', 'jsonb', 'text[]', 'jsonb[]']) type;

-- Types that no BSON value becomes
SELECT type, types_outcome('1', type) AS outcome FROM unnest(ARRAY['interval', 'time', 'point', 'int4range', 'xml', 'money', 'pg_class', 'bit(3)', 'record']) type;

DROP FUNCTION types_nested, types_outcome(text, text, text, boolean), types_outcome(bytea, text, text, boolean);
DROP TYPE types_mood;
DROP DOMAIN types_positives, types_positive, types_required, types_short;
DROP TABLE samples, targets;

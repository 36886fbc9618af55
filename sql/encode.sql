-- Datums to BSON: every outcome of the second table of doc/types.md, and that what is written is read
-- back as the same value.  Values become documents without a server, by encode_value().

SET timezone = 'UTC';
SET datestyle = 'ISO';
CREATE TYPE encode_mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN encode_positive AS integer CHECK (VALUE > 0);

-- The BSON of a value, and the value that a column of its type reads from that.
CREATE FUNCTION encode_outcome(value text, type text, bson_type text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    bson bytea;
    back boolean;
BEGIN
    EXECUTE format('SELECT mongo_migrate.encode_value(CAST(%L AS %s), %L)', value, type, bson_type) INTO bson;
    IF type !~ '^json' THEN
        EXECUTE format($q$SELECT CAST("values"[1] AS %2$s) IS NOT DISTINCT FROM CAST(%1$L AS %2$s)
                          FROM mongo_migrate.decode_document(%3$L, '{v}', ARRAY[%2$L])$q$, value, type, bson)
            INTO back;
    END IF;
    RETURN (mongo_migrate.bson_to_json(bson) -> 'v')::text || CASE WHEN coalesce(back, true) THEN '' ELSE ' READ AS ANOTHER' END;
EXCEPTION WHEN OTHERS THEN
    -- without what libbson says, which differs by version
    RETURN SQLSTATE || ': ' || regexp_replace(SQLERRM, '(Extended JSON): [^$].*', '\1: ...');
END
$$;

-- Each type as it is usually written
SELECT type, value, encode_outcome(value, type, NULL) FROM (VALUES
    ('int2', '-32768'), ('int4', '2147483647'), ('int8', '9223372036854775807'), ('int8', '5'),
    ('numeric', '1.50'), ('numeric', '0'), ('numeric', '0.000'), ('numeric', '-12345678901234567890.12345678901234'), ('numeric', '1e6144'),
    ('numeric', '1e-6176'), ('numeric', 'NaN'), ('numeric', '-Infinity'), ('numeric(10,2)', '12.3'),
    ('numeric', '1234567890123456789012345678901234567890'), ('numeric', '12345678901234567890123456789012345.5'), ('numeric', '1e6145'),
    ('float4', '0.1'), ('float4', 'NaN'), ('float8', '0.1'), ('float8', '-0'), ('float8', '1e308'), ('float8', 'Infinity'),
    ('bool', 'true'), ('text', 'a"b\u'), ('text', ''), ('varchar(3)', 'abc'), ('char(5)', 'ab'), ('name', 'n'), ('encode_mood', 'ok'),
    ('timestamptz', '2024-02-29 12:34:56.789+00'), ('timestamptz', '2024-02-29 12:34:56.789123+00'), ('timestamptz', 'infinity'),
    ('timestamptz(3)', '2024-02-29 12:34:56.789523+00'), ('timestamp', '0044-03-15 12:00:00 BC'), ('date', '1969-12-31'), ('date', '-infinity'), ('date', '294276-12-31'), ('date', '294277-01-01'),
    ('mongo_migrate.objectid', '6b0489aa00000000000000ff'), ('uuid', '00112233-4455-6677-8899-aabbccddeeff'), ('bytea', '\x0102'), ('bytea', ''),
    ('int4[]', '{1,NULL,3}'), ('int4[]', '{}'), ('int4[]', '{{1,2},{3,4}}'), ('int4[]', '[0:1]={1,2}'), ('numeric[]', '{1.0,2}'),
    ('text[]', '{a,NULL,"NULL"}'), ('encode_positive', '3'), ('jsonb[]', '{"[1, 2]",NULL}'), ('interval', '1 day'), ('point', '(1,2)')) v (type, value);
SELECT mongo_migrate.bson_to_json(mongo_migrate.encode_value(NULL::integer));

-- The other types that can be asked for
SELECT type, value, bson_type, encode_outcome(value, type, bson_type) FROM (VALUES
    ('int4', '5', 'long'), ('int4', '5', 'double'), ('int4', '5', 'decimal'), ('int8', '2147483648', 'int'), ('int8', '9007199254740993', 'double'),
    ('int8', '9007199254740992', 'double'), ('numeric', '12', 'int'), ('numeric', '12.00', 'long'), ('numeric', '12.5', 'int'), ('numeric', '0.1', 'double'),
    ('numeric', '0.10000000000000001', 'double'), ('numeric', 'NaN', 'int'), ('numeric', '1e400', 'double'), ('float8', '3', 'int'), ('float8', '3.5', 'int'), ('float8', '-0', 'long'),
    ('float8', '0.1', 'decimal'), ('float4', '0.1', 'decimal'), ('text', '6b0489aa00000000000000ff', 'objectId'), ('text', '6B0489AA00000000000000FF', 'objectId'),
    ('text', 'x', 'objectId'), ('text', '12', 'int'), ('text', '007', 'int'), ('text', '1.50', 'decimal'), ('text', '0.1', 'double'), ('text', '1e+20', 'double'),
    ('text', 'twelve', 'int'), ('text', '', 'long'), ('text', '-', 'decimal'), ('text', 'true', 'bool'), ('text', 'yes', 'bool'),
    ('text', '00112233-4455-6677-8899-aabbccddeeff', 'uuid'), ('text', '00112233445566778899aabbccddeeff', 'uuid'), ('text', 'x', 'binData'), ('text', 'x', 'date'),
    ('uuid', '00112233-4455-6677-8899-aabbccddeeff', 'binData'), ('bytea', '\x000102030405060708090a0b', 'objectId'), ('bytea', '\x00', 'objectId'),
    ('bytea', '\x00112233445566778899aabbccddeeff', 'uuid'), ('bytea', '\x00', 'uuid'), ('text[]', '{6b0489aa00000000000000ff,NULL}', 'objectId'), ('int4[]', '{1}', 'array'),
    ('int4[]', '{1}', 'double'), ('text[]', '{x}', 'objectId'), ('bool', 't', 'int'), ('int4', '1', 'string'), ('date', '2024-01-01', 'string'), ('int4', '1', 'integer'),
    ('jsonb', '{"a": 1}', 'object'), ('jsonb', '[1]', 'object'), ('json', ' [1]', 'array'), ('jsonb', '"a"', 'string')) v (type, value, bson_type);

-- Extended JSON
SELECT type, value, encode_outcome(value, type, NULL) FROM (VALUES
    ('json', '{"$oid": "6b0489aa00000000000000ff"}'), ('json', '{"b": 1, "a": [true, false, null, {}]}'),
    ('json', '{"$date": {"$numberLong": "1709210096000"}}'), ('json', '{"$numberDecimal": "1.50"}'), ('json', '{"$numberDouble": "-0.0"}'),
    ('json', '{"$binary": {"base64": "AQI=", "subType": "05"}}'), ('json', '{"$regularExpression": {"pattern": "a", "options": "i"}}'),
    ('json', '{"$code": "f()", "$scope": {"x": {"$numberInt": "1"}}}'), ('json', '{"$timestamp": {"t": 7, "i": 9}}'), ('json', '{"$minKey": 1}'), ('json', '{"$undefined": true}'),
    ('jsonb', '{"$numberLong": "5"}'), ('jsonb', '{"v": {"$symbol": "s"}, "w": {"$maxKey": 1}}'),
    ('json', '{"$ref": "c", "$id": {"$oid": "6b0489aa00000000000000ff"}}'), ('json', '{"$set": {"a": true}}')) v (type, value);
SELECT type, value, (mongo_migrate.bson_to_json(mongo_migrate.encode_value(value::json)) -> 'v')::text FROM (VALUES
    ('int', '2147483647'), ('long', '2147483648'), ('long', '-9223372036854775808'), ('decimal', '9223372036854775808'), ('decimal', '9223372036854775809'), ('double', '1.0'), ('double', '-0.0'),
    ('double', '0.1'), ('double', '1E+20'), ('decimal', '0.12345678901234567890'), ('double', '100000000000000000000'), ('decimal', '123456789012345678901234'), ('decimal', '1e400'),
    ('ISO date', '{"$date": "2024-02-29T12:34:56.789Z"}'), ('uuid', '{"$uuid": "00112233-4455-6677-8899-aabbccddeeff"}'), ('dollar later', '{"a": 1, "$oid": 2}'),
    ('escapes', '"\u00e9\ud83d\ude00\n\\\"\/"'), ('space', E' { "a" : [ 1 ,\t2 ] } '), ('twice', '{"a": 1, "a": 2}'), ('empty key', '{"": 1}')) v (type, value);
SELECT value, encode_outcome(value, 'json', NULL) FROM (VALUES
    ('{"$oid": "6b04"}'), ('{"$oid": 5}'), ('{"$oid": "6b0489aa00000000000000ff", "a": 1}'), ('{"$date": "yesterday"}'), ('{"$numberInt": "99999999999"}'),
    ('{"$numberDecimal": "1.2.3"}'), ('{"$numberDecimal": "1.2345678901234567890123456789012345678"}'), ('{"$uuid": "x"}'), ('{"$code": "a\u0000b"}'), ('{"a\u0000b": 1}'), ('1234567890123456789012345678901234567890123'), ('1e7000')) v (value);
SELECT mongo_migrate.encode_value(json '"a\u0000b"');
SELECT mongo_migrate.encode_value(json '{"$dbPointer": {"$ref": "a\u0000b", "$id": {"$oid": "6b0489aa00000000000000ff"}}}');
SELECT mongo_migrate.bson_from_json('{"v": {"$dbPointer": {"$ref": "a\u0000b", "$id": {"$oid": "6b0489aa00000000000000ff"}}}}');
SELECT mongo_migrate.encode_value(json '{"$regularExpression": {"options": "xi", "pattern": "a"}}');
SELECT mongo_migrate.encode_value(json '{"$regularExpression": {"pattern": "a", "options": "ig"}}');
-- What libbson would read as something else.
SELECT value, encode_outcome(value, 'json', NULL) FROM (VALUES
    ('"\ud800\ue000"'), ('"\udbff\udb00"'), ('"\udc00"'), ('{"$numberDouble": "abc"}'), ('{"$numberDouble": "0x10"}'), ('{"$numberDouble": 5}'),
    ('{"$numberDouble": "1e400"}'), ('{"$numberDouble": "1e-400"}'), ('{"$numberDouble": "4.9406564584124654e-324"}'), ('{"$numberDouble": "-Infinity"}'), ('{"$numberDouble": "NaN"}'),
    ('{"$date": "2024-02-30T00:00:00Z"}'), ('{"$date": "2023-02-29T00:00:00Z"}'), ('{"$date": "2024-02-29T00:00:00+0100"}'), ('{"$date": {}}'), ('{"$date": {"x": "5"}}'), ('{"$timestamp": {"t": 4294967296, "i": 1}}'),
    ('{"$timestamp": {"t": 4294967295, "i": 1}}'), ('{"$binary": {"base64": "AAAA", "subType": "100"}}'), ('{"$binary": {"subType": "80", "base64": "AAAA"}}')) v (value);
SELECT mongo_migrate.encode_value(json '{"$date": "2023-02-29T00:00:00Z"}');
SELECT encode_outcome(repeat('[', 300) || repeat(']', 300), 'json', NULL);

-- What is read in canonical Extended JSON is written as it was
SELECT count(*) FILTER (WHERE mongo_migrate.encode_value("values"[1]::json) IS DISTINCT FROM bson) AS different, count(*)
FROM (SELECT mongo_migrate.bson_from_json(format('{"v": %s}', value)::json) AS bson FROM (VALUES
    ('{"$numberInt": "5"}'), ('{"$numberDouble": "5.0"}'), ('{"$numberDouble": "NaN"}'), ('{"$numberDecimal": "1E+3"}'), ('"x"'), ('{"a": {"$numberLong": "5"}, "b": [{"$oid": "6b0489aa00000000000000ff"}]}'),
    ('{"$date": {"$numberLong": "-62135596800001"}}'), ('{"$dbPointer": {"$ref": "c", "$id": {"$oid": "6b0489aa00000000000000ff"}}}')) v (value)) b,
    mongo_migrate.decode_document(bson, '{v}', '{json}', 'canonical');

-- Random values, read back as they were
SELECT setseed(0.5) IS NULL AS seeded;
CREATE FUNCTION encode_back(bson bytea, type text) RETURNS text LANGUAGE sql
    RETURN (SELECT "values"[1] FROM mongo_migrate.decode_document(bson, '{v}', ARRAY[type]));
SELECT count(*) FROM (SELECT (random() * 1e9)::numeric(38,4) * (10::numeric ^ (random() * 40 - 20)::int) AS n FROM generate_series(1, 2000)) r
WHERE length(translate(n::text, '-.', '')) < 34 AND encode_back(mongo_migrate.encode_value(n), 'numeric')::numeric <> n;
SELECT count(*) FROM (SELECT float8 '1' * (random() - 0.5) * (10::float8 ^ (random() * 600 - 300)::int) AS n FROM generate_series(1, 2000)) r
WHERE encode_back(mongo_migrate.encode_value(n), 'float8')::float8 <> n
   OR encode_back(mongo_migrate.encode_value(n, 'decimal'), 'float8')::float8 <> n
   OR encode_back(mongo_migrate.encode_value(n::text::numeric, 'double'), 'numeric')::numeric <> n::text::numeric;
SELECT count(*) FROM (SELECT (random() * 1e18)::int8 >> (random() * 60)::int AS n FROM generate_series(1, 2000)) r
WHERE encode_back(mongo_migrate.encode_value(n), 'int8')::int8 <> n OR encode_back(mongo_migrate.encode_value(n, 'decimal'), 'int8')::int8 <> n;
SELECT count(*) FROM (SELECT timestamptz 'epoch' + date_trunc('milliseconds', random() * interval '200 years' - interval '100 years') AS n FROM generate_series(1, 2000)) r
WHERE encode_back(mongo_migrate.encode_value(n), 'timestamptz')::timestamptz <> n;

DROP FUNCTION encode_outcome, encode_back;
DROP TYPE encode_mood;
DROP DOMAIN encode_positive;

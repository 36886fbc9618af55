-- Keys are equal exactly where MongoDB, asked in three ways, finds values equal.

\getenv mongo_uri MONGO_URI
CREATE SERVER keys FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_keys');
SELECT mongo_migrate.run_command('keys', '{"dropDatabase": 1}')->>'ok' AS dropped;

CREATE TEMPORARY TABLE vals (i integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, value text, key bytea);
INSERT INTO vals (value) VALUES
    -- whole numbers of four types, around the limits of each
    ('1'), ('1.0'), ('{"$numberLong": "1"}'), ('{"$numberDecimal": "1"}'), ('{"$numberDecimal": "1.00"}'), ('{"$numberDecimal": "0.1E+1"}'), ('-1'), ('-1.0'),
    ('0'), ('0.0'), ('-0.0'), ('{"$numberDecimal": "-0E+3"}'), ('{"$numberDecimal": "0E-6176"}'), ('{"$numberLong": "0"}'),
    ('2147483647'), ('2147483647.0'), ('2147483648'), ('2147483648.0'), ('{"$numberDecimal": "2147483648"}'), ('-2147483648'), ('-2147483649'),
    ('{"$numberLong": "9007199254740992"}'), ('9007199254740992.0'), ('{"$numberLong": "9007199254740993"}'), ('{"$numberDecimal": "9007199254740993"}'),
    ('{"$numberLong": "9223372036854775807"}'), ('9223372036854775808.0'), ('{"$numberDecimal": "9223372036854775807"}'), ('{"$numberDecimal": "9223372036854775808"}'),
    ('{"$numberLong": "-9223372036854775808"}'), ('-9223372036854775808.0'), ('{"$numberDecimal": "-9223372036854775809"}'), ('-9223372036854777856.0'),
    ('1e20'), ('{"$numberDecimal": "1E+20"}'), ('1e23'), ('{"$numberDecimal": "1E+23"}'), ('{"$numberDecimal": "99999999999999991611392"}'),
    ('1e40'), ('{"$numberDecimal": "1E+40"}'), ('1e300'), ('{"$numberDecimal": "1E+300"}'), ('{"$numberDecimal": "1E+6144"}'), ('{"$numberDecimal": "1.000E+6144"}'),
    ('{"$numberDecimal": "9.999999999999999999999999999999999E+6144"}'),
    -- fractions: a double is what its bits say, not what it prints as
    ('0.5'), ('{"$numberDecimal": "0.50"}'), ('0.1'), ('{"$numberDecimal": "0.1"}'), ('{"$numberDecimal": "0.10"}'), ('{"$numberDecimal": "0.1000000000000000055511151231257827"}'),
    ('123456789.123'), ('{"$numberDecimal": "123456789.1229999959468841552734375"}'), ('2.3283064365386962890625e-10'), ('{"$numberDecimal": "2.3283064365386962890625E-10"}'),
    ('8.8817841970012523e-16'), ('{"$numberDecimal": "8.881784197001252323389053344726562E-16"}'), ('5e-324'), ('{"$numberDecimal": "4.940656458412465441765687928682214E-324"}'),
    ('{"$numberDecimal": "1E-6176"}'), ('-0.5'), ('{"$numberDecimal": "-0.5"}'), ('1.7976931348623157e308'),
    -- not finite
    ('{"$numberDouble": "NaN"}'), ('{"$numberDecimal": "NaN"}'), ('{"$numberDouble": "Infinity"}'), ('{"$numberDecimal": "Infinity"}'),
    ('{"$numberDouble": "-Infinity"}'), ('{"$numberDecimal": "-Infinity"}'),
    -- strings and what looks like them
    ('""'), ('"a"'), ('{"$symbol": "a"}'), ('{"$code": "a"}'), ('{"$code": "a", "$scope": {}}'), ('{"$code": "a", "$scope": {"x": 1}}'), ('{"$code": "a", "$scope": {"x": 1.0}}'),
    ('"A"'), ('"a\u0000b"'), ('"1"'), ('"6b0489aa00000000000000ff"'), ('{"$oid": "6b0489aa00000000000000ff"}'), ('{"$oid": "6b0489aa00000000000000fe"}'),
    -- documents: field by field in their order, values compared as above, arrays without names
    ('{}'), ('[]'), ('{"a": 1}'), ('{"a": 1.0}'), ('{"a": {"$numberDecimal": "1.0"}}'), ('{"a": 1, "b": 2}'), ('{"b": 2, "a": 1}'), ('{"a": {"b": [1, null]}}'), ('{"a": {"b": [1.0, null]}}'),
    ('[1]'), ('[1.0]'), ('[[1]]'), ('{"0": 1}'), ('[1, 2]'), ('[2, 1]'), ('["a"]'), ('[{"$symbol": "a"}]'), ('[null]'), ('[{"$undefined": true}]'), ('[{}]'), ('{"": 1}'), ('{"a": null}'),
    -- the others
    ('null'), ('true'), ('false'), ('{"$date": {"$numberLong": "1"}}'), ('{"$date": {"$numberLong": "0"}}'), ('{"$timestamp": {"t": 0, "i": 1}}'), ('{"$timestamp": {"t": 1, "i": 0}}'),
    ('{"$binary": {"base64": "YQ==", "subType": "00"}}'), ('{"$binary": {"base64": "YQ==", "subType": "80"}}'), ('{"$binary": {"base64": "", "subType": "00"}}'),
    ('{"$binary": {"base64": "YQ==", "subType": "02"}}'), ('{"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "04"}}'), ('{"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "03"}}'),
    ('{"$regularExpression": {"pattern": "a", "options": ""}}'), ('{"$regularExpression": {"pattern": "a", "options": "i"}}'),
    ('{"$dbPointer": {"$ref": "a", "$id": {"$oid": "6b0489aa00000000000000ff"}}}'), ('{"$dbPointer": {"$ref": "b", "$id": {"$oid": "6b0489aa00000000000000ff"}}}'),
    ('{"$minKey": 1}'), ('{"$maxKey": 1}');
UPDATE vals SET key = mongo_migrate.bson_key(value::json);
CREATE TEMPORARY TABLE classes AS SELECT min(i) AS first, array_agg(i ORDER BY i) AS members FROM vals GROUP BY key;
SELECT count(*) AS values, (SELECT count(*) FROM classes) AS different FROM vals;

-- 1. $group puts equal values into one group
SELECT (mongo_migrate.run_command('keys', format('{"insert": "c", "documents": [%s]}',
    (SELECT string_agg(format('{"_id": %s, "v": %s}', i, value), ', ') FROM vals))::json))->>'n' AS inserted;
CREATE TEMPORARY TABLE groups AS
SELECT ARRAY(SELECT json_array_elements_text(json->'members')::int ORDER BY 1) AS members
FROM mongo_migrate.aggregate_documents('keys', 'c', '[{"$group": {"_id": "$v", "members": {"$push": "$_id"}}}, {"$project": {"_id": 0, "members": 1}}]') json;
SELECT members AS groups_of_mongodb_alone FROM groups EXCEPT SELECT members FROM classes;
SELECT (SELECT array_agg(value) FROM vals WHERE i = ANY (members)) AS classes_of_keys_alone FROM (SELECT members FROM classes EXCEPT SELECT members FROM groups) c;

-- 2. a unique index takes the first of equal values alone; _id is a document here, as it may not be an array or a regex
CREATE PROCEDURE keys_insert(document text) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM mongo_migrate.run_command('keys', format('{"insert": "u", "ordered": false, "documents": [%s]}', document)::json);
EXCEPTION WHEN unique_violation OR fdw_error THEN
    NULL;
END
$$;
DO $$
DECLARE
    v record;
BEGIN
    FOR v IN SELECT * FROM vals ORDER BY i LOOP
        CALL keys_insert(format('{"_id": {"v": %s}, "i": %s}', v.value, v.i));
    END LOOP;
END
$$;
WITH taken AS (SELECT (json->>'i')::int AS i FROM mongo_migrate.find_documents('keys', 'u', '{}', '{"projection": {"i": 1, "_id": 0}}') json)
SELECT count(*) = (SELECT count(*) FROM classes) AS as_many, count(*) FILTER (WHERE i NOT IN (SELECT first FROM classes)) AS others FROM taken;

-- 3. a value made from a key is equal to the value that the key was made from ({v: undefined} is no query, nor is an empty name in one)
SELECT i, value, mongo_migrate.key_to_json(key) AS made FROM vals
WHERE value NOT LIKE '%undefined%' AND value <> '{"": 1}' AND NOT EXISTS
    (SELECT FROM mongo_migrate.find_documents('keys', 'c', format('{"_id": %s, "v": {"$eq": %s}}', i, mongo_migrate.key_to_json(key))::json));
SELECT count(*) AS not_stable FROM vals WHERE mongo_migrate.bson_key(mongo_migrate.key_to_json(key)) <> key;

-- keys, small where it matters
SELECT value, key, mongo_migrate.key_to_json(key) AS made FROM (VALUES ('{"$oid": "6b0489aa00000000000000ff"}'), ('7'), ('7.0'), ('5000000000'), ('7.5'),
    ('{"$numberDecimal": "-7.10"}'), ('"abc"'), ('{"$date": {"$numberLong": "1"}}'), ('{"a": [true, null]}'), ('{"$binary": {"base64": "YQ==", "subType": "00"}}')) v(value),
    mongo_migrate.bson_key(value::json) key;
SELECT mongo_migrate.document_key(mongo_migrate.bson_from_json('{"_id": {"a": 1}, "b": {"c": "x"}, "n": null}'), path)
FROM unnest(ARRAY['_id', 'b.c', 'n', 'missing']) path;
SELECT mongo_migrate.document_key(mongo_migrate.bson_from_json('{"_id": 7}')) = mongo_migrate.bson_key('7') AS default_path;
SELECT mongo_migrate.document_key(mongo_migrate.bson_from_json('{"_id": null}')) = mongo_migrate.bson_key('null') AS null_id;

-- a string that stands for an ObjectId or a number has that one's key; others, and other types, keep theirs
SELECT value, form, r."values"[1]::bytea AS key, mongo_migrate.key_to_json(r."values"[1]::bytea) AS made
FROM (VALUES ('"6B0489AA00000000000000ff"', 'objectid_text'), ('"6b0489aa00000000000000f"', 'objectid_text'), ('"6b0489aa00000000000000fg"', 'objectid_text'), ('7', 'objectid_text'),
    ('{"$oid": "6b0489aa00000000000000ff"}', 'objectid_text'), ('"6b0489aa00000000000000ff"', 'exact'), ('"42"', 'exact'), ('"42"', 'number_text'), ('"-42.50"', 'number_text'), ('"1e3"', 'number_text'),
    ('"12345678901234567890"', 'number_text'), ('"0x10"', 'number_text'), ('" 1"', 'number_text'), ('"NaN"', 'number_text'), ('"Infinity"', 'number_text'), ('""', 'number_text'), ('"-"', 'number_text'),
    ('"12345678901234567890123456789012345"', 'number_text'), ('42', 'number_text')) v(value, form),
    mongo_migrate.decode_document(mongo_migrate.bson_from_json(format('{"v": %s}', value)::json), '{v}', ARRAY['key ' || form]) r;

-- a verification has the same of a text, by other means; of too many digits, or too large, it is no number
SELECT left(value, 45) AS value, mongo_migrate.verify_reference(to_json(value), to_jsonb(value), 'number_text') = r."values"[1]::bytea AS alike,
    left(mongo_migrate.key_to_json(r."values"[1]::bytea)::text, 60) AS made
FROM (VALUES ('1e6144'), ('-9.999999999999999999999999999999999E+6144'), ('1e6145'), ('0.1e6145'), ('1e-6176'), ('1e-6177'), ('15e-6177'), ('0e99'), ('0.000e-6176'),
    ('1e999999'), ('1e-999999'), ('00000000000000000000000000000000000000000000005'), ('1.00000000000000000000000000000000000000000'), ('+.5'), ('5.'), ('-0'), ('0e00099'), (repeat('0', 64) || '5'), (repeat('0', 63) || '5'),
    ('1234567890123456789012345678901234'), ('12345678901234567890123456789012345'), ('12345678901234567890123456789012340'), (repeat('9', 2000))) AS v(value),
    mongo_migrate.decode_document(mongo_migrate.bson_from_json(json_build_object('v', value)), '{v}', '{key number_text}') AS r;

-- bytes that are no key
SELECT mongo_migrate.key_to_json('');
SELECT mongo_migrate.key_to_json('\x07');
SELECT mongo_migrate.key_to_json('\x076b0489aa00000000000000ff00');
SELECT mongo_migrate.key_to_json('\x0205616263');
SELECT mongo_migrate.key_to_json('\x02ffffffffff616263');
SELECT mongo_migrate.key_to_json('\x0301610a');
SELECT mongo_migrate.key_to_json('\x03026100');
SELECT mongo_migrate.key_to_json('\x13414200');
SELECT mongo_migrate.key_to_json('\x99');
SELECT mongo_migrate.key_to_json(decode(repeat('0401', 200000), 'hex'));
-- a regular expression whose options libbson would sort or drop
SELECT mongo_migrate.key_to_json(mongo_migrate.document_key('\x0f0000000b5f696400610069780000'));
SELECT mongo_migrate.key_to_json(mongo_migrate.document_key('\x0f0000000b5f696400610078690000'));
SELECT mongo_migrate.key_to_json(mongo_migrate.document_key('\x0f0000000b5f696400610069670000'));
\set VERBOSITY terse
SELECT mongo_migrate.bson_from_json('5');
SELECT mongo_migrate.bson_from_json(' [{"_id": 1}]');
SELECT mongo_migrate.bson_key('{"$oid": "6b"}');
\set VERBOSITY default

SELECT mongo_migrate.run_command('keys', '{"dropDatabase": 1}')->>'ok' AS dropped;
DROP PROCEDURE keys_insert;
DROP TABLE vals, classes, groups;
DROP SERVER keys;

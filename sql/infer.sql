-- What infer_schema says of a collection.
\getenv mongo_uri MONGO_URI
\set SHOW_CONTEXT never
CREATE SERVER infer FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_infer');
CREATE USER MAPPING FOR CURRENT_USER SERVER infer;
SELECT mongo_migrate.run_command('infer', '{"dropDatabase": 1}') ->> 'ok' AS ok;

CREATE FUNCTION load(collection text, VARIADIC documents json[]) RETURNS json LANGUAGE sql AS $$
    SELECT mongo_migrate.run_command('infer', json_build_object('insert', collection, 'documents', documents)) -> 'n'
$$;

-- Every type; null and missing apart.
SELECT load('types',
    '{"_id": 1, "i": 1, "l": {"$numberLong": "5000000000"}, "d": 0.5, "m": {"$numberDecimal": "1.50"}, "s": "x", "b": true,
      "t": {"$date": "2020-01-02T03:04:05.678Z"}, "o": {"$oid": "5f0000000000000000000001"},
      "u": {"$uuid": "00112233-4455-6677-8899-aabbccddeeff"}, "x": {"$binary": {"base64": "AQID", "subType": "00"}},
      "r": {"$regularExpression": {"pattern": "a", "options": "i"}}, "ts": {"$timestamp": {"t": 1, "i": 2}},
      "n": null, "sub": {"a": 1, "deep": {"z": "q"}}, "empty": {}, "none": [], "min": {"$minKey": 1}}',
    '{"_id": 2, "i": 2, "l": 7, "d": 2.25, "m": {"$numberDecimal": "1000"}, "s": "äöü", "b": false,
      "t": {"$date": "1969-12-31T23:59:59Z"}, "o": {"$oid": "5f0000000000000000000002"},
      "u": {"$uuid": "ffffffff-4455-6677-8899-aabbccddeeff"}, "x": {"$binary": {"base64": "AQ==", "subType": "00"}},
      "n": 5, "sub": {"a": null, "deep": {"z": ""}}, "empty": {}, "none": []}',
    '{"_id": 3, "n": null, "sub": null}');
SELECT path, types, present, nulls, missing, proposed_type, proposed_nullable, note, min_value, max_value, min_length, max_length
FROM mongo_migrate.infer_schema('infer', 'types');

-- Mixed types, and what numbers become.
SELECT load('mixed',
    '{"int_long": 1, "int_double": 1, "whole": 1.0, "money": 5.99, "float": 0.123456789, "huge": 1e300, "nan": {"$numberDouble": "NaN"},
      "number_string": 1.5, "bool_string": true, "date_double": {"$date": "2020-01-01T00:00:00Z"}, "scalar_object": 1,
      "scalar_array": "a", "oid_string": {"$oid": "5f0000000000000000000001"}, "double_decimal": 1.5,
      "nul": "a\u0000b", "far": {"$date": {"$numberLong": "9999999999999999"}}}',
    '{"int_long": {"$numberLong": "2"}, "int_double": 2.5, "whole": 7.0, "money": 12, "float": 3.5, "huge": 1, "nan": 1.5,
      "number_string": "2", "bool_string": "no", "date_double": 1577836800000.5, "scalar_object": {"a": 1},
      "scalar_array": ["a"], "oid_string": "abc", "double_decimal": {"$numberDecimal": "1.25"}}');
SELECT path, types, proposed_type, note FROM mongo_migrate.infer_schema('infer', 'mixed') WHERE path <> '_id';

-- Strings that mean something else.
SELECT load('strings',
    '{"_id": 1, "day": "2020-01-31", "moment": "2005-06-15 00:54:12.0", "number": "12.50", "phone": "0049", "uuid": "00112233-4455-6677-8899-aabbccddeeff", "hex": "5f0000000000000000000001"}',
    '{"_id": 2, "day": "", "moment": "2005-06-15T00:54:12Z", "number": "-3", "phone": "49", "uuid": "ffffffff-4455-6677-8899-aabbccddeeff", "hex": "5f0000000000000000000002"}');
SELECT path, proposed_type, note FROM mongo_migrate.infer_schema('infer', 'strings') WHERE path <> '_id';

-- Arrays, at any depth.
SELECT load('arrays',
    '{"_id": 1, "tags": ["a", "b"], "scores": [1, 2.5], "items": [{"sku": "a", "parts": [{"n": 1}, {"n": null}]}, {"sku": "b"}],
      "grid": [[1, 2], [3]], "odd": [1, "a"], "odder": [{"a": 1}, 5], "holes": [null, 1]}',
    '{"_id": 2, "tags": [], "items": null, "odd": []}');
SELECT path, types, present, nulls, missing, proposed_type, note, min_length, max_length
FROM mongo_migrate.infer_schema('infer', 'arrays');

-- Names: spaces, dots, dollars, brackets, a BOM, an empty one.
SELECT load('names', '{"_id": 1, "First Name": 1, "a.b": 1, "a": {"b.c": 2, "$d": 3}, "$": 4, "x[]": 5, "b\\s": 6, "\ufeffbom": 7, "": {"x": 8}}');
\pset format unaligned
SELECT path, key, parent FROM mongo_migrate.infer_schema('infer', 'names');
\pset format aligned

-- A key that stands twice.
SELECT load('twice', '{"_id": 1, "a": 1, "b": 1, "a": "x"}', '{"_id": 2, "a": 2}');
SELECT path, types, note FROM mongo_migrate.infer_schema('infer', 'twice');

-- Keys that are data.
SELECT load('maps',
    '{"_id": 1, "by_id": {"5f0000000000000000000001": 1, "5f0000000000000000000002": 2}, "by_year": {"2019": {"n": 1}, "2020": {"n": 2}}, "plain": {"a": 1}}');
SELECT load('maps', (SELECT json_build_object('_id', 2, 'many', json_object_agg('key' || i, i)) FROM generate_series(1, 300) AS i));
SELECT path, types, proposed_type, is_map, note FROM mongo_migrate.infer_schema('infer', 'maps');

-- What is nested too deep is not followed.
SELECT load('deep', (repeat('{"a": ', 40) || '[1]' || repeat('}', 40))::json);
SELECT length(path), note FROM mongo_migrate.infer_schema('infer', 'deep') WHERE note IS NOT NULL;

-- Fields come in the order of the documents, whichever of them is first.
SELECT load('sequence', '{"_id": 1, "b": 1, "d": 1}', '{"_id": 2, "a": 1, "b": 1, "c": 1, "d": 1, "e": 1}');
SELECT string_agg(path, ' ' ORDER BY ordinal) FROM mongo_migrate.infer_schema('infer', 'sequence');

-- References are found by values: ObjectId, its hex text, strings, numbers, uuids.
SELECT load('users', VARIADIC (SELECT array_agg(json_build_object('_id', json_build_object('$oid', lpad(to_hex(i), 24, '5')),
    'email', 'u' || i || '@example.com', 'managerId', json_build_object('$oid', lpad(to_hex(i / 2 + 1), 24, '5')))) FROM generate_series(1, 40) AS i));
SELECT load('countries', '{"_id": "DE"}', '{"_id": "FR"}', '{"_id": "IT"}', '{"_id": "ES"}');
SELECT load('Shop_products', VARIADIC (SELECT array_agg(json_build_object('_id', i)) FROM generate_series(1, 50) AS i));
SELECT load('accounts', VARIADIC (SELECT array_agg(json_build_object('_id', i * 1000003)) FROM generate_series(1, 50) AS i));
SELECT load('devices', '{"_id": {"$uuid": "00112233-4455-6677-8899-aabbccddeeff"}}');
SELECT mongo_migrate.run_command('infer',
    '{"createIndexes": "users", "indexes": [{"key": {"email": 1}, "name": "email", "unique": true}]}') ->> 'ok' AS ok;
SELECT load('orders', VARIADIC (SELECT array_agg(json_build_object('_id', i, 'user', json_build_object('$oid', lpad(to_hex(i), 24, '5')),
    'userHex', CASE WHEN i = 3 THEN 'unknown' WHEN i = 4 THEN lpad('', 24, 'f') ELSE lpad(to_hex(i), 24, '5') END,
    'email', 'u' || i || '@example.com', 'country', (ARRAY['DE', 'FR', 'IT'])[i % 3 + 1], 'productId', i, 'productText', i::text,
    'quantity', i % 5 + 1, 'account', i * 1000003, 'productIds', json_build_array(i, 1.0),
    'lines', json_build_array(json_build_object('product_id', i::text, 'users', json_build_array(json_build_object('_id', json_build_object('$oid', lpad(to_hex(i), 24, '5')))))),
    'device', json_build_object('$uuid', '00112233-4455-6677-8899-aabbccddeeff'), 'nobody', json_build_object('$oid', lpad(to_hex(i), 24, '6')))) FROM generate_series(1, 30) AS i));
SELECT path, proposed_type, refers_to, refers_key, key_form, note
FROM mongo_migrate.infer_schema('infer', 'orders') WHERE refers_to IS NOT NULL OR path IN ('quantity', 'nobody', 'productText');
SELECT path, refers_to FROM mongo_migrate.infer_schema('infer', 'users') WHERE refers_to IS NOT NULL;
-- By the name, in whatever way its singular is made.
SELECT sum(load(name, VARIADIC (SELECT array_agg(json_build_object('_id', i)) FROM generate_series(1, 9) AS i))::text::integer)
FROM unnest('{branches,movies,companies,addresses,statuses,houses,keys}'::text[]) AS name;
SELECT load('named', VARIADIC (SELECT array_agg(json_build_object('branchId', i, 'movie_id', i, 'companyIds', json_build_array(i),
    'addressId', i, 'statusId', i, 'house_id', i, 'keyId', i, 'stationId', i, 'movie', i, 'houses', json_build_array(i), 'keys', i + 9)) FROM generate_series(1, 9) AS i));
SELECT path, refers_to FROM mongo_migrate.infer_schema('infer', 'named') WHERE path LIKE '%d%' ORDER BY path COLLATE "C";
-- The name alone, without an id in it, is no proof where numbers are small.
SELECT path, refers_to, note FROM mongo_migrate.infer_schema('infer', 'named') WHERE path ~ '^(movie|houses|keys)' ORDER BY path COLLATE "C";
SELECT count(mongo_migrate.run_command('infer', json_build_object('drop', name)))
FROM unnest('{branches,movies,companies,addresses,statuses,houses,keys,named}'::text[]) AS name;

-- What repeats the document's own _id is no reference to itself, but may be one to others.
SELECT load('profiles', VARIADIC (SELECT array_agg(json_build_object('_id', json_build_object('$oid', lpad(to_hex(i), 24, '5')), 'id', lpad(to_hex(i), 24, '5'),
    'userId', json_build_object('$oid', lpad(to_hex(i), 24, '5')), 'meta', json_build_object('profileId', json_build_object('$oid', lpad(to_hex(i), 24, '5'))),
    'mainId', json_build_object('$oid', lpad(to_hex(i - i % 2), 24, '5')), 'copies', json_build_array(json_build_object('$oid', lpad(to_hex(i), 24, '5')))))
    FROM generate_series(2, 9) AS i));
SELECT path, refers_to, note FROM mongo_migrate.infer_schema('infer', 'profiles');
SELECT load('regions', '{"_id": "DE-BE", "code": "DE-BE", "next": "DE-BB"}', '{"_id": "DE-BB", "code": "DE-BB", "next": "DE-NI"}', '{"_id": "DE-NI", "code": "DE-NI", "next": "DE-NI"}', '{"_id": "DE-HB", "code": null}');
SELECT path, refers_to, note FROM mongo_migrate.infer_schema('infer', 'regions');
SELECT count(mongo_migrate.run_command('infer', json_build_object('drop', name))) FROM unnest('{profiles,regions}'::text[]) AS name;

-- How many strings are of a form.
SELECT load('dirty', VARIADIC (SELECT array_agg(json_build_object('day', CASE i WHEN 1 THEN '' WHEN 2 THEN '2023-02-29' ELSE to_char(date '2024-02-20' + i, 'YYYY-MM-DD') END,
    'month', CASE i WHEN 1 THEN '2024-13-01' ELSE '2024-12-01' END, 'price', CASE i WHEN 1 THEN '12,50' ELSE i || '.5' END, 'half', CASE WHEN i > 4 THEN i::text ELSE 'x' END))
    FROM generate_series(1, 20) AS i));
SELECT path, note FROM mongo_migrate.infer_schema('infer', 'dirty') WHERE path <> '_id';

-- Values that are keys in several collections refer to none of them, but for a few.
SELECT load('groups', VARIADIC (SELECT array_agg(json_build_object('_id', json_build_object('$oid', lpad(to_hex(i), 24, '7')))) FROM generate_series(1, 40) AS i));
SELECT load('notes', VARIADIC (SELECT array_agg(json_build_object('_id', i,
    'on', json_build_object('$oid', lpad(to_hex(i), 24, CASE WHEN i % 3 = 0 THEN '7' ELSE '5' END)), 'onHex', lpad(to_hex(i), 24, CASE WHEN i > 27 THEN '7' ELSE '5' END),
    'by', json_build_object('$oid', lpad(to_hex(i), 24, CASE WHEN i > 28 THEN '7' WHEN i > 22 THEN '6' ELSE '5' END)))) FROM generate_series(1, 30) AS i));
SELECT path, proposed_type, refers_to, refers_key, key_form, note FROM mongo_migrate.infer_schema('infer', 'notes');
-- However many these are, and whatever their names
SELECT sum(load(name, json_build_object('_id', json_build_object('$oid', lpad(to_hex(i), 24, '8'))))::text::integer)
FROM (SELECT i, i || repeat('ö', 50) AS name FROM generate_series(1, 8) AS i) AS names;
SELECT load('long_note', VARIADIC (SELECT array_agg(json_build_object('on', json_build_object('$oid', lpad(to_hex(i), 24, CASE WHEN i < 9 THEN '8' ELSE '5' END))))
                                   FROM generate_series(1, 20) AS i));
SELECT length(note), right(note, 60) FROM mongo_migrate.infer_schema('infer', 'long_note') WHERE path = 'on';
SELECT count(mongo_migrate.run_command('infer', json_build_object('drop', i || repeat('ö', 50)))) FROM generate_series(1, 8) AS i;

-- More unique keys than one command looks values up in. One that MongoDB hides from its queries is no help, and no harm.
SELECT load('keyed', VARIADIC (SELECT array_agg(d ORDER BY i) FROM (
    SELECT i, json_object_agg('k' || k, format('key %s of %s', k, i)) AS d
    FROM generate_series(1, 3) AS i, generate_series(1, 62) AS k GROUP BY i) AS documents));
SELECT mongo_migrate.run_command('infer', json_build_object('createIndexes', 'keyed', 'indexes', json_agg(json_build_object(
    'key', json_build_object('k' || k, 1), 'name', 'k' || k, 'unique', true, 'hidden', k = 30)))) ->> 'ok' AS ok FROM generate_series(1, 62) AS k;
SELECT load('keeping', VARIADIC (SELECT array_agg(json_build_object('a', 'key 1 of ' || i, 'b', 'key 30 of ' || i, 'c', 'key 62 of ' || i)) FROM generate_series(1, 3) AS i));
SELECT path, refers_to, key_form FROM mongo_migrate.infer_schema('infer', 'keeping');
SELECT path, is_unique FROM mongo_migrate.infer_schema('infer', 'keyed') WHERE path = 'k30';

-- How ids are proposed.
SELECT load('mixed_ids', '{"_id": 1}', '{"_id": "a"}');
SELECT c AS collection, p.* FROM unnest(ARRAY['users', 'orders', 'countries', 'devices', 'mixed_ids']) AS c, mongo_migrate.propose_id('infer', c) AS p;

-- A sample.
SELECT path, present FROM mongo_migrate.infer_schema('infer', 'orders', 10) WHERE path = '_id';

-- Views, an empty collection, unknown ones, bad arguments.
SELECT mongo_migrate.run_command('infer', '{"create": "some_orders", "viewOn": "orders", "pipeline": [{"$match": {"_id": {"$lt": 3}}}]}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('infer', '{"create": "void"}') ->> 'ok' AS ok;
SELECT path, present FROM mongo_migrate.infer_schema('infer', 'some_orders') WHERE path = '_id';
SELECT path, present FROM mongo_migrate.infer_schema('infer', 'some_orders', 1) WHERE path = '_id';
SELECT * FROM mongo_migrate.infer_schema('infer', 'void');
SELECT * FROM mongo_migrate.list_collections('infer');
SELECT * FROM mongo_migrate.infer_schema('infer', 'order');
SELECT * FROM mongo_migrate.infer_schema('infer', 'Users');
SELECT * FROM mongo_migrate.infer_schema('infer', 'nothing like it');
SELECT * FROM mongo_migrate.infer_schema('infer', 'orders', -1);
SELECT * FROM mongo_migrate.infer_schema('nowhere', 'orders');

SELECT mongo_migrate.run_command('infer', '{"dropDatabase": 1}') ->> 'ok' AS ok;
DROP FUNCTION load;
DROP USER MAPPING FOR CURRENT_USER SERVER infer;
DROP SERVER infer;

-- In a database of another encoding: collections whose names are not ASCII, and one that has no name there.
\set here :DBNAME
CREATE DATABASE regress_infer_latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0;
\c regress_infer_latin1
CREATE EXTENSION mongo_migrate;
CREATE SERVER infer_latin1 FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_infer_latin1');
SET client_encoding = 'UTF8';
SELECT mongo_migrate.run_command('infer_latin1', format('{"insert": "caf%s", "documents": [{"_id": "%1$s1"}, {"_id": "%1$s2"}, {"_id": "%1$s3"}]}', chr(233))::json) ->> 'n' AS n;
SELECT mongo_migrate.run_command('infer_latin1', format('{"insert": "visits", "documents": [{"_id": 1, "caf%s": "%1$s2"}, {"_id": 2, "caf%1$s": "%1$s3"}]}', chr(233))::json) ->> 'n' AS n;
SELECT mongo_migrate.run_command('infer_latin1', '{"create": "\u0434"}') ->> 'ok' AS ok;
SELECT * FROM mongo_migrate.list_collections('infer_latin1');
SELECT path, refers_to FROM mongo_migrate.infer_schema('infer_latin1', 'visits');
CREATE SCHEMA imported;
IMPORT FOREIGN SCHEMA mm_test_infer_latin1 FROM SERVER infer_latin1 INTO imported;
SELECT relname FROM pg_class WHERE relnamespace = 'imported'::regnamespace ORDER BY 1;
SET client_min_messages = error;    -- each plan would say it again
SELECT collection, inserted, complete FROM mongo_migrate.migrate_all('infer_latin1', workers => 0);
SELECT mongo_migrate.verify_all('infer_latin1');
SELECT mongo_migrate.run_command('infer_latin1', '{"dropDatabase": 1}') ->> 'ok' AS ok;
\c :here
DROP DATABASE regress_infer_latin1;

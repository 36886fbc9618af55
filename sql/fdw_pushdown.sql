-- What is pushed down to MongoDB: each plan, and then its rows. Rows must be the
-- same with pushdown turned off; the last section sees to that.
\getenv mongo_uri MONGO_URI
CREATE SERVER fdw_pushdown FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_fdw_pushdown');
SELECT mongo_migrate.run_command('fdw_pushdown', '{"dropDatabase": 1}') ->> 'ok' AS ok;

-- Documents of every kind that a column's conversion accepts.
SELECT mongo_migrate.run_command('fdw_pushdown', '{"insert": "values", "documents": [
    {"_id": 1,  "i": 5, "n": 5, "f": 5, "t": "5", "b": true,  "d": {"$date": "2024-02-29T00:00:00Z"}, "nested": {"x": 1}},
    {"_id": 2,  "i": {"$numberLong": "5"}, "n": {"$numberDouble": "0.1"}, "f": {"$numberDouble": "0.1"}, "t": 5, "b": false, "d": {"$date": "2024-02-29T12:00:00.001Z"}, "nested": {"x": null}},
    {"_id": 3,  "i": {"$numberDouble": "5.0"}, "n": {"$numberDecimal": "0.1"}, "f": {"$numberDecimal": "0.1"}, "t": {"$numberDouble": "5.0"}, "b": null, "nested": {}},
    {"_id": 4,  "i": {"$numberDecimal": "5.00"}, "n": {"$numberDouble": "NaN"}, "f": {"$numberDouble": "NaN"}, "t": {"$numberDecimal": "5"}, "nested": null},
    {"_id": 5,  "i": null, "n": {"$numberDouble": "Infinity"}, "f": {"$numberDouble": "Infinity"}, "t": {"$oid": "5f0000000000000000000001"}, "d": null, "nested": 5},
    {"_id": 6,  "n": {"$numberDouble": "-0.0"}, "f": {"$numberDouble": "-0.0"}, "t": "5f0000000000000000000001", "nested": [{"x": 1}, {"x": null}]},
    {"_id": 7,  "i": {"$undefined": true}, "n": {"$numberDecimal": "123456789012345678901234567890.1234"}, "f": {"$numberDecimal": "0.1000000000000000055"}, "t": "true", "d": {"$date": "9999-12-31T23:59:59.999Z"}, "nested": []},
    {"_id": 8,  "i": -7, "n": {"$numberLong": "9007199254740993"}, "f": {"$numberLong": "9007199254740993"}, "t": true, "d": {"$date": {"$numberLong": "-1"}}, "nested": [{"x": null}]},
    {"_id": 9,  "i": 2147483647, "n": {"$numberDouble": "-Infinity"}, "f": {"$numberDouble": "1152921504606846976"}, "t": {"$date": "2024-02-29T12:00:00.001Z"}},
    {"_id": 10, "n": {"$numberDouble": "1152921504606846976"}, "t": {"$symbol": "sym"}},
    {"_id": 11, "n": {"$numberDecimal": "NaN"}, "f": {"$numberDecimal": "NaN"}, "t": {"$uuid": "00112233-4455-6677-8899-aabbccddeeff"}},
    {"_id": 12, "t": "Äpfel"}, {"_id": 13, "t": ""}, {"_id": 14, "t": {"$numberDouble": "NaN"}}, {"_id": 15, "t": {"$numberDouble": "1e20"}},
    {"_id": 16, "t": null}]}') ->> 'n' AS inserted;

CREATE FOREIGN TABLE "values"
(
    _id bigint, i integer, n numeric, f double precision, t text, c text OPTIONS (path 't') COLLATE "C",
    v varchar OPTIONS (path 't'), b boolean, d timestamptz, ts timestamp OPTIONS (path 'd'),
    x integer OPTIONS (path 'nested.x'), nested jsonb, doc jsonb OPTIONS (path '$')
) SERVER fdw_pushdown;
SELECT _id, i, n, f, t, b, d AT TIME ZONE 'UTC' AS d, x FROM "values" ORDER BY _id;

-- Shows the plan of a query, then its rows.
CREATE FUNCTION show(condition text) RETURNS TABLE (result text)
LANGUAGE plpgsql AS $$
BEGIN
    FOR result IN EXECUTE format('EXPLAIN (COSTS OFF) SELECT _id FROM "values" WHERE %s', condition)
    LOOP
        IF result LIKE '%MongoDB find%' THEN
            result := substring(result FROM '"filter":(.*),"projection"') || coalesce(' ' || substring(result FROM '"collation":.*'), '');
            result := coalesce(result, 'nothing is asked');
            RETURN NEXT;
        ELSIF result LIKE '%Filter:%' THEN
            result := trim(result);
            RETURN NEXT;
        END IF;
    END LOOP;
    EXECUTE format('SELECT ''_id: '' || coalesce(string_agg(_id::text, '','' ORDER BY _id), ''none'') FROM "values" WHERE %s', condition)
       INTO result;
    RETURN NEXT;
END
$$;
SET timezone = 'UTC';
\t on

-- integers: exact
SELECT show('_id = 3');
SELECT show('3 = _id');
SELECT show('i = 5');
SELECT show('i <> 5');
SELECT show('i < 5');
SELECT show('5 >= i');
SELECT show('i BETWEEN -10 AND 5');
SELECT show('i = 5::bigint');
SELECT show('i > -3000000000');
SELECT show('i IN (5, -7, NULL)');
SELECT show('i NOT IN (5, 6)');
SELECT show('i NOT IN (5, NULL)');
SELECT show('i = NULL');
SELECT show('i = ANY (''{}'')');
SELECT show('i <> ALL (''{}'')');
SELECT show('i < ANY (''{5,6}'')');
SELECT show('i IS NULL');
SELECT show('i IS NOT NULL');
SELECT show('i = 5 + length(''ab'') - 2');
SELECT show('_id + 1 = 6');
SELECT show('i = _id');
SELECT show('i = (random() * 0)::integer + 5');

-- numeric: doubles by their shortest form, NaN the greatest
SELECT show('n = 0.1');
SELECT show('n = 5');
SELECT show('n <> 5');
SELECT show('n <> 0.1');
SELECT show('n < 0.1');
SELECT show('n <= 0.1');
SELECT show('n > 0.1');
SELECT show('n >= 0.5');
SELECT show('n IN (0.1, 5, ''NaN'')');
SELECT show('n NOT IN (0.1, 5, ''NaN'')');
SELECT show('n = ''NaN''');
SELECT show('n < ''NaN''');
SELECT show('n > ''NaN''');
SELECT show('n >= ''NaN''');
SELECT show('n = ''Infinity''');
SELECT show('n > ''Infinity''');
SELECT show('n = 0');
SELECT show('n = 9007199254740993');
SELECT show('n = 1152921504606847000');
SELECT show('n = 1152921504606846976');
SELECT show('n > 1152921504606846976');
SELECT show('n = 123456789012345678901234567890.1234');
SELECT show('n < 1e400');

-- double precision: the nearest of what a decimal may be
SELECT show('f = 0.1');
SELECT show('f <> 0.1');
SELECT show('f < 0.1');
SELECT show('f <= 0.1');
SELECT show('f > 5');
SELECT show('f = ''NaN''');
SELECT show('f > ''Infinity''');
SELECT show('f = 9007199254740992');
SELECT show('f IN (0.1, 5)');
SELECT show('f = 0');

-- text: whatever becomes the text
SELECT show('t = ''x''');
SELECT show('t = ''5''');
SELECT show('t = ''5.0''');
SELECT show('t = ''NaN''');
SELECT show('t = ''1e+20''');
SELECT show('t = ''5f0000000000000000000001''');
SELECT show('t = ''true''');
SELECT show('t = ''2024-02-29T12:00:00.001Z''');
SELECT show('t = ''00112233-4455-6677-8899-aabbccddeeff''');
SELECT show('t = ''sym''');
SELECT show('t = ''Äpfel''');
SELECT show('t = ''''');
SELECT show('t <> ''5''');
SELECT show('t IN (''5'', ''x'', NULL)');
SELECT show('t NOT IN (''5'', ''x'')');
SELECT show('t < ''6''');
SELECT show('t < ''a'' COLLATE "C"');
SELECT show('c >= ''5''');
SELECT show('v = ''5''');
SELECT show('t LIKE ''5%''');
SELECT show('t IS NULL');
CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
SELECT show('t = ''TRUE'' COLLATE ci');

-- booleans
SELECT show('b');
SELECT show('NOT b');
SELECT show('b = true');
SELECT show('b <> true');
SELECT show('b IS TRUE');
SELECT show('b IS FALSE');
SELECT show('b IS NOT TRUE');
SELECT show('b IS NULL');

-- times: milliseconds there, microseconds here
SELECT show('d = ''2024-02-29 12:00:00.001''');
SELECT show('d = ''2024-02-29 12:00:00.0015''');
SELECT show('d <> ''2024-02-29 12:00:00.0015''');
SELECT show('d < ''2024-02-29 12:00:00.0015''');
SELECT show('d <= ''2024-02-29 12:00:00.0015''');
SELECT show('d > ''1969-12-31 23:59:59.9985''');
SELECT show('d > ''2024-02-29 12:00:00.0005''');
SELECT show('d >= ''2024-02-29 12:00:00.0015''');
SELECT show('d >= ''2024-02-29 12:00:00.001''');
SELECT show('d < ''1970-01-01''');
SELECT show('d < ''infinity''');
SELECT show('d > ''-infinity''');
SELECT show('d = ''infinity''');
SELECT show('d >= DATE ''2024-02-29''');
SELECT show('d >= TIMESTAMP ''2024-02-29 00:00''');
SELECT show('ts >= DATE ''2024-02-29''');
SELECT show('ts >= TIMESTAMPTZ ''2024-02-29 00:00''');
SELECT show('ts IN (''2024-02-29'', ''1969-12-31 23:59:59.999'')');

-- nested: an array on the way makes the column NULL here, and is looked into there
SELECT show('x = 1');
SELECT show('x IS NULL');
SELECT show('x IS NOT NULL');
SELECT show('nested IS NULL');
SELECT show('nested IS NOT NULL');
SELECT show('nested = ''5''');
SELECT show('doc IS NULL');

-- AND, OR, NOT
SELECT show('i = 5 AND b');
SELECT show('i = 5 AND i > 6');
SELECT show('i > 0 AND i < 6 AND _id > 1');
SELECT show('i = 5 OR b IS NULL');
SELECT show('i = 5 OR i = NULL');
SELECT show('i = 5 OR lower(t) = ''sym''');
SELECT show('i = 5 AND lower(t) = ''5''');
SELECT show('(i = 5 AND lower(t) = ''5'') OR _id = 9');
SELECT show('NOT (i = 5 OR i < 0)');
SELECT show('NOT (i = 5 AND b)');
SELECT show('i = 5 AND NULL');
SELECT show('(i = 5) IS NOT TRUE');
SELECT show('n = 0.1 OR (f > 5 AND t IN (''5'', ''true''))');
\t off

-- What is nested deeper than MongoDB's documents may be is left to PostgreSQL: all of it, or but for the outer ANDs.
SELECT string_agg(format('_id = %s OR (i <> %s AND n <> %s AND (', n, n, n), '' ORDER BY n) || '_id = 1' || repeat('))', 100) AS deep FROM generate_series(1, 100) AS n \gset
SELECT array_agg(_id ORDER BY _id) FROM "values" WHERE :deep;
SELECT array_agg(_id ORDER BY _id) FROM "values" WHERE i = 5 AND (:deep);
SELECT b, count(*) FROM "values" WHERE :deep GROUP BY b ORDER BY b;
SET mongo_migrate.enable_pushdown = off;
SELECT array_agg(_id ORDER BY _id) FROM "values" WHERE :deep;
SELECT array_agg(_id ORDER BY _id) FROM "values" WHERE i = 5 AND (:deep);
RESET mongo_migrate.enable_pushdown;

-- ids: objectid, uuid, text, dates
SELECT mongo_migrate.run_command('fdw_pushdown', '{"insert": "ids", "documents": [
    {"_id": {"$oid": "5f0000000000000000000001"}, "u": {"$uuid": "00112233-4455-6677-8899-aabbccddeeff"}, "day": {"$date": "2024-02-29T00:00:00Z"}},
    {"_id": {"$oid": "5f0000000000000000000002"}, "u": {"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "03"}}, "day": {"$date": "2024-03-01T00:00:00Z"}},
    {"_id": {"$oid": "5f0000000000000000000003"}, "u": null}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE ids (_id mongo_migrate.objectid, hex text OPTIONS (path '_id'), u uuid, day date) SERVER fdw_pushdown;
EXPLAIN (COSTS OFF) SELECT _id FROM ids WHERE _id = '5f0000000000000000000002';
SELECT _id FROM ids WHERE _id = '5f0000000000000000000002';
EXPLAIN (COSTS OFF) SELECT _id FROM ids WHERE _id > '5f0000000000000000000001' LIMIT 1;
SELECT _id FROM ids WHERE _id > '5f0000000000000000000001' LIMIT 1;
EXPLAIN (COSTS OFF) SELECT _id FROM ids WHERE _id IN ('5f0000000000000000000001', '5f0000000000000000000003');
SELECT _id FROM ids WHERE _id IN ('5f0000000000000000000001', '5f0000000000000000000003');
EXPLAIN (COSTS OFF) SELECT _id FROM ids WHERE hex = '5f0000000000000000000002';
SELECT _id FROM ids WHERE hex = '5f0000000000000000000002';
SELECT _id FROM ids WHERE hex = '5F0000000000000000000002';
EXPLAIN (COSTS OFF) SELECT _id FROM ids WHERE u = '00112233-4455-6677-8899-aabbccddeeff';
SELECT _id FROM ids WHERE u = '00112233-4455-6677-8899-aabbccddeeff';
SELECT _id FROM ids WHERE u <> '00112233-4455-6677-8899-aabbccddeeff';
EXPLAIN (COSTS OFF) SELECT _id FROM ids WHERE u > '00112233-4455-6677-8899-aabbccddeefe';
EXPLAIN (COSTS OFF) SELECT _id FROM ids WHERE day = '2024-02-29';
SELECT _id FROM ids WHERE day = '2024-02-29';
EXPLAIN (COSTS OFF) SELECT _id FROM ids WHERE day > TIMESTAMP '2024-02-29 12:00';
SELECT _id FROM ids WHERE day > TIMESTAMP '2024-02-29 12:00';

-- A collection that compares strings in its own way: bytes decide here.
SELECT mongo_migrate.run_command('fdw_pushdown', '{"create": "loose", "collation": {"locale": "en", "strength": 1}}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_pushdown', '{"insert": "loose", "documents": [
    {"_id": "a", "t": "x"}, {"_id": "b", "t": "X"}, {"_id": "c", "t": "é"}, {"_id": "d", "t": "e"}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE loose (_id text, t text COLLATE "C") SERVER fdw_pushdown;
SELECT * FROM loose WHERE t = 'x';
SELECT * FROM loose WHERE t <> 'x' ORDER BY _id;
EXPLAIN (COSTS OFF) SELECT * FROM loose WHERE t > 'f';
SELECT * FROM loose WHERE t > 'f' ORDER BY _id;
SELECT mongo_migrate.run_command('fdw_pushdown', '{"create": "loose_view", "viewOn": "loose", "collation": {"locale": "en", "strength": 1}, "pipeline": []}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE loose_view (_id text, t text COLLATE "C") SERVER fdw_pushdown;
SELECT * FROM loose_view WHERE t IN ('x', 'e') ORDER BY _id;
SELECT * FROM loose_view WHERE t > 'f' ORDER BY _id;
SET mongo_migrate.enable_pushdown = off;
SELECT * FROM loose_view WHERE t > 'f' ORDER BY _id;
RESET mongo_migrate.enable_pushdown;

-- With pushdown turned off nothing is asked but the documents, and the rows are the same.
SET mongo_migrate.enable_pushdown = off;
EXPLAIN (COSTS OFF) SELECT _id FROM "values" WHERE i = 5 AND t = '5' LIMIT 1;
\t on
SELECT show('n > 0.1');
SELECT show('t = ''5''');
SELECT show('x IS NULL');
SELECT show('NOT (i = 5 AND b)');
\t off
SELECT * FROM loose WHERE t > 'f' ORDER BY _id;
RESET mongo_migrate.enable_pushdown;

SELECT mongo_migrate.run_command('fdw_pushdown', '{"dropDatabase": 1}') ->> 'ok' AS ok;
DROP FUNCTION show;
DROP COLLATION ci;
DROP SERVER fdw_pushdown CASCADE;
RESET timezone;

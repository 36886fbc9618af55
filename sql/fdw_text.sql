-- Conditions on text that are sent to MongoDB, beyond comparisons: LIKE, ^@, regular expressions, and the text and
-- time of ObjectIds. Each plan, and then its rows, which must be those without pushdown.
\getenv mongo_uri MONGO_URI
CREATE SERVER fdw_text FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_fdw_text');
SELECT mongo_migrate.run_command('fdw_text', '{"dropDatabase": 1}') ->> 'ok' AS ok;

SELECT mongo_migrate.run_command('fdw_text', '{"insert": "texts", "documents": [
    {"_id": 1, "t": "Paris"}, {"_id": 2, "t": "paris"}, {"_id": 3, "t": "Paris\n"}, {"_id": 4, "t": "Par\nis"}, {"_id": 5, "t": "Le Paris Noir"},
    {"_id": 6, "t": ""}, {"_id": 7, "t": null}, {"_id": 8, "t": "P%ris"}, {"_id": 9, "t": "P_ris"}, {"_id": 10, "t": "P\\ris"},
    {"_id": 11, "t": "a.b*c"}, {"_id": 12, "t": "éb"}, {"_id": 13, "t": "𐍈b"}, {"_id": 14, "t": "xb"}, {"_id": 15, "t": {"$symbol": "Paris"}},
    {"_id": 16, "t": 501}, {"_id": 17, "t": {"$numberDouble": "5.5"}}, {"_id": 18, "t": {"$oid": "5f0000000000000000000001"}}, {"_id": 19, "t": true},
    {"_id": 20, "t": {"$date": "2024-02-29T12:00:00Z"}}, {"_id": 21, "t": {"$uuid": "5f112233-4455-6677-8899-aabbccddeeff"}}, {"_id": 22, "t": "5%"},
    {"_id": 23, "t": "Kelvin"}, {"_id": 24, "t": "\u212aelvin"}, {"_id": 25, "t": "PARIS"}, {"_id": 26}, {"_id": 27, "t": "a\r\nb"}, {"_id": 28, "t": "abab"},
    {"_id": 29, "t": "É"}, {"_id": 30, "t": "a/b#c d"}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE texts (_id bigint, t text, v varchar(100) OPTIONS (path 't'), c text OPTIONS (path 't') COLLATE "C") SERVER fdw_text;

-- Shows what is asked of MongoDB for a condition, and its rows.
CREATE FUNCTION show(source text, condition text) RETURNS TABLE (result text)
LANGUAGE plpgsql AS $$
DECLARE
    here text;
BEGIN
    FOR result IN EXECUTE format('EXPLAIN (COSTS OFF) SELECT _id FROM %s WHERE %s', source, condition)
    LOOP
        IF result LIKE '%MongoDB find%' THEN
            result := substring(result FROM 'MongoDB find: (.*)');
            result := CASE WHEN result LIKE '{%' THEN (result::json -> 'filter')::text || coalesce(' ' || (result::json ->> 'collation'), '') ELSE result END;
            RETURN NEXT;
        ELSIF result LIKE '%Filter:%' THEN
            result := replace(trim(result), '(InitPlan 1).col1', '$0');
            RETURN NEXT;
        END IF;
    END LOOP;
    EXECUTE format('SELECT ''_id: '' || coalesce(string_agg(_id::text, '','' ORDER BY _id), ''none'') FROM %s WHERE %s', source, condition) INTO result;
    RETURN NEXT;
    SET LOCAL mongo_migrate.enable_pushdown = off;
    EXECUTE format('SELECT ''_id: '' || coalesce(string_agg(_id::text, '','' ORDER BY _id), ''none'') FROM %s WHERE %s', source, condition) INTO here;
    SET LOCAL mongo_migrate.enable_pushdown = on;
    IF here <> result THEN
        result := 'without pushdown ' || here;
        RETURN NEXT;
    END IF;
END
$$;
SET timezone = 'UTC';
\t on

-- LIKE: a prefix, a suffix, something within, all of it; a dot is one character, a newline too
SELECT show('texts', 't LIKE ''Par%''');
SELECT show('texts', 't LIKE ''%ris''');
SELECT show('texts', 't LIKE ''%Par%''');
SELECT show('texts', 't LIKE ''Paris''');
SELECT show('texts', 't LIKE ''Paris_''');
SELECT show('texts', 't LIKE ''_b''');
SELECT show('texts', 't LIKE ''%a%b''');
SELECT show('texts', 't LIKE ''a%_b%''');
SELECT show('texts', 't LIKE ''''');
SELECT show('texts', 't LIKE ''%''');
SELECT show('texts', 't LIKE ''_%''');
SELECT show('texts', 't LIKE NULL');

-- what means something to a regular expression, or to LIKE
SELECT show('texts', 't LIKE ''a.b*%''');
SELECT show('texts', 't LIKE ''P\%%''');
SELECT show('texts', 't LIKE ''P\_ris''');
SELECT show('texts', 't LIKE ''P\\%''');
SELECT show('texts', 't LIKE ''P!%%'' ESCAPE ''!''');
SELECT show('texts', 't LIKE ''a/b#c %''');
SELECT show('texts', 't LIKE ''é%''');

-- values of other types have a text too, if it can have these characters
SELECT show('texts', 't LIKE ''5%''');
SELECT show('texts', 't LIKE ''5f%''');
SELECT show('texts', 't LIKE ''%true''');
SELECT show('texts', 't LIKE ''%T12:%''');
SELECT show('texts', 't LIKE ''501''');
SELECT show('texts', 'v LIKE ''Par%''');

-- NOT LIKE: where one piece says it all
SELECT show('texts', 't NOT LIKE ''Par%''');
SELECT show('texts', 't NOT LIKE ''%ris''');
SELECT show('texts', 't NOT LIKE ''Paris''');
SELECT show('texts', 't NOT LIKE ''%a%i%''');
SELECT show('texts', 'NOT (t LIKE ''Par%'')');
SELECT show('texts', 't NOT LIKE NULL');

-- ILIKE: characters outside ASCII are let through
SELECT show('texts', 't ILIKE ''pAr%''');
SELECT show('texts', 't ILIKE ''k%''');
SELECT show('texts', 't ILIKE ''%é%''');
SELECT show('texts', 't ILIKE ''_ARIS''');
SELECT show('texts', 't NOT ILIKE ''par%''');

-- ^@ and starts_with()
SELECT show('texts', 't ^@ ''P%''');
SELECT show('texts', 'starts_with(t, ''Par'')');
SELECT show('texts', 'NOT starts_with(t, ''Par'')');
SELECT show('texts', 't ^@ ''''');
SELECT show('texts', 'starts_with(''Paris'', t)');

-- regular expressions: literal ones, and what all matches begin with
SELECT show('texts', 't ~ ''^Par''');
SELECT show('texts', 't ~ ''ris$''');
SELECT show('texts', 't ~ ''^Paris$''');
SELECT show('texts', 't ~ ''ari''');
SELECT show('texts', 't ~ ''^Par.*s''');
SELECT show('texts', 't ~ ''^(Paris)$''');
SELECT show('texts', 't ~ ''^P(a|_)''');
SELECT show('texts', 't ~ ''^Paris|^Le''');
SELECT show('texts', 't ~ ''(?n)^is''');
SELECT show('texts', 't ~ ''[Pp]aris''');
SELECT show('texts', 't !~ ''^Par''');
SELECT show('texts', 't !~ ''^P(a|_)''');
SELECT show('texts', 't ~* ''^par''');
SELECT show('texts', 't ~* ''^k[ae]''');
SELECT show('texts', 't !~* ''ris$''');

-- known only in execution; too long; a collation that does not know LIKE as bytes
SELECT show('texts', 't LIKE (SELECT ''Par%'')');
SELECT show('texts', 't NOT LIKE (SELECT ''Par%'')');
SELECT show('texts', 't LIKE (SELECT repeat(''a'', 1001) || ''%'')');
CREATE COLLATION insensitive (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
EXPLAIN (COSTS OFF) SELECT _id FROM texts WHERE t ^@ 'Par' COLLATE insensitive;
SELECT show('texts', 't LIKE ''Par%'' AND _id < 3 OR t ~ ''^Le''');
\t off
SELECT _id FROM texts WHERE _id = 1 AND t LIKE 'Paris\';
SELECT _id FROM texts WHERE _id = 1 AND t LIKE 'Par\';
SELECT _id FROM texts WHERE t ~ '^(';

-- A collection that compares strings in its own way does not match patterns so.
SELECT mongo_migrate.run_command('fdw_text', '{"create": "loose", "collation": {"locale": "en", "strength": 1}}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_text', '{"insert": "loose", "documents": [
    {"_id": 1, "t": "Paris"}, {"_id": 2, "t": "paris"}, {"_id": 3, "t": "Páris"}]}') ->> 'n' AS inserted;
SELECT mongo_migrate.run_command('fdw_text', '{"create": "loose_view", "viewOn": "loose", "collation": {"locale": "en", "strength": 1}, "pipeline": []}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE loose (_id bigint, t text) SERVER fdw_text;
CREATE FOREIGN TABLE loose_view (_id bigint, t text) SERVER fdw_text;
\t on
SELECT show('loose', 't LIKE ''Par%''');
SELECT show('loose', 't LIKE ''Paris''');
SELECT show('loose', 't NOT LIKE ''Paris''');
SELECT show('loose_view', 't NOT LIKE ''par%''');
\t off

-- Text of digits that no number has
SELECT count(*) FROM texts WHERE t = '0.' || repeat('0', 20000);
SELECT count(*) FROM texts WHERE t = '0.' || repeat('0', 7000) || 'e-9999';
SELECT count(*) FROM texts WHERE t = '0.' || repeat('0', 6100) || 'e-9999';

-- Below the top, an array in the way makes the column NULL, whose elements MongoDB looks at.
SELECT mongo_migrate.run_command('fdw_text', '{"insert": "nested", "documents": [
    {"_id": 1, "a": {"t": "Paris"}}, {"_id": 2, "a": [{"t": "Paris"}]}, {"_id": 3, "a": {"t": "Rome"}}, {"_id": 4, "a": 5}, {"_id": 5, "b": ["Paris"]}, {"_id": 6, "b": {"0": "Parma"}}, {"_id": 7, "b": ["Rome", "Paris"]}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE nested (_id bigint, t text OPTIONS (path 'a.t'), first text OPTIONS (path 'b.0')) SERVER fdw_text;
\t on
SELECT show('nested', 't LIKE ''Par%''');
SELECT show('nested', 't NOT LIKE ''Par%''');
SELECT show('nested', 'first LIKE ''Par%''');
SELECT show('nested', 'first NOT LIKE ''Par%''');
\t off

-- ObjectIds by their text, and by their time.
SELECT mongo_migrate.run_command('fdw_text', '{"insert": "ids", "documents": [
    {"_id": {"$oid": "000000000000000000000001"}, "n": 1}, {"_id": {"$oid": "5f0000000000000000000001"}, "n": 2}, {"_id": {"$oid": "5f0000000000000000000002"}, "n": 3},
    {"_id": {"$oid": "5f0000010000000000000000"}, "n": 4}, {"_id": {"$oid": "ffffffffffffffffffffffff"}, "n": 5}, {"_id": "no ObjectId", "n": 6, "broken": true}]}') ->> 'n' AS inserted;
SELECT mongo_migrate.run_command('fdw_text', '{"create": "good", "viewOn": "ids", "pipeline": [{"$match": {"broken": null}}]}') ->> 'ok' AS ok;
CREATE FOREIGN TABLE good (_id bigint OPTIONS (path 'n'), id mongo_migrate.objectid OPTIONS (path '_id')) SERVER fdw_text;
CREATE FOREIGN TABLE ids (_id mongo_migrate.objectid, n integer) SERVER fdw_text;
\t on
SELECT show('good', 'id::text = ''5f0000000000000000000001''');
SELECT show('good', 'id::varchar = ''5f0000000000000000000001''');
SELECT show('good', 'id::text = ''5F0000000000000000000001''');
SELECT show('good', 'id::text = ''x''');
SELECT show('good', 'id::text <> ''5f0000000000000000000001''');
SELECT show('good', 'id::text IN (''5f0000000000000000000001'', ''x'', ''5f0000000000000000000002'', NULL)');
SELECT show('good', 'id::text NOT IN (''5f0000000000000000000001'', ''x'')');
SELECT show('good', 'id::text IS NULL');
SELECT show('good', 'id::text LIKE ''5f%''');
SELECT show('good', 'id::text > ''5f'' COLLATE "C"');
SELECT show('good', 'mongo_migrate.objectid_timestamp(id) = ''2020-07-04 04:05:20+00''');
SELECT show('good', 'mongo_migrate.objectid_timestamp(id) = ''2020-07-04 04:05:20.5+00''');
SELECT show('good', 'mongo_migrate.objectid_timestamp(id) <> ''2020-07-04 04:05:20+00''');
SELECT show('good', 'mongo_migrate.objectid_timestamp(id) < ''2020-07-04 04:05:21+00''');
SELECT show('good', 'mongo_migrate.objectid_timestamp(id) < ''2020-07-04 04:05:20.000001+00''');
SELECT show('good', 'mongo_migrate.objectid_timestamp(id) <= ''2020-07-04 04:05:20.000001+00''');
SELECT show('good', 'mongo_migrate.objectid_timestamp(id) > ''2020-07-04 04:05:20+00''');
SELECT show('good', 'mongo_migrate.objectid_timestamp(id) >= ''2020-07-04 04:05:20.000001+00''');
SELECT show('good', 'mongo_migrate.objectid_timestamp(id) BETWEEN ''2020-07-04'' AND ''2020-07-05''');
SELECT show('good', 'mongo_migrate.objectid_timestamp(id) >= DATE ''2020-07-05''');
SELECT show('good', 'mongo_migrate.objectid_timestamp(id) < ''1970-01-01''');
SELECT show('good', 'mongo_migrate.objectid_timestamp(id) >= ''1960-01-01''');
SELECT show('good', 'mongo_migrate.objectid_timestamp(id) > ''2106-02-07 06:28:15+00''');
SELECT show('good', 'mongo_migrate.objectid_timestamp(id) <= ''infinity''');
SELECT show('good', 'mongo_migrate.objectid_timestamp(id) > ''-infinity''');
SELECT show('good', 'mongo_migrate.objectid_timestamp(id) IN (''2020-07-04 04:05:20+00'', ''2020-07-04 04:05:21+00'', ''infinity'')');
\t off
-- What is no ObjectId is not asked for.
EXPLAIN (COSTS OFF) SELECT n FROM ids WHERE _id::text = '5f0000000000000000000002' LIMIT 1;
SELECT n FROM ids WHERE _id::text = '5f0000000000000000000002' LIMIT 1;
SELECT count(n) FROM ids WHERE mongo_migrate.objectid_timestamp(_id) > '2020-01-01';
SELECT n FROM ids WHERE _id::text <> 'x';

SELECT mongo_migrate.run_command('fdw_text', '{"dropDatabase": 1}') ->> 'ok' AS ok;
DROP FUNCTION show;
DROP COLLATION insensitive;
DROP SERVER fdw_text CASCADE;
RESET timezone;

-- In a database of another encoding, rows are found again by text that is not ASCII.
\set here :DBNAME
CREATE DATABASE regress_fdw_latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0;
\c regress_fdw_latin1
CREATE EXTENSION mongo_migrate;
CREATE SERVER fdw_latin1 FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_fdw_latin1');
CREATE FOREIGN TABLE texts (_id text, n integer) SERVER fdw_latin1;
TRUNCATE texts;
INSERT INTO texts VALUES ('a' || chr(233), 1), ('b', 2);
UPDATE texts SET n = n + 10;
UPDATE texts SET n = n + 100 WHERE _id <> 'b' RETURNING n;
DELETE FROM texts WHERE _id = 'a' || chr(233) AND n = 111;
SELECT * FROM texts;
TRUNCATE texts;
\c :here
DROP DATABASE regress_fdw_latin1;

-- Conditions on arrays and jsonb that are sent to MongoDB: each plan, and then its rows, which must be those without pushdown.
\getenv mongo_uri MONGO_URI
CREATE SERVER fdw_document FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_fdw_document');
SELECT mongo_migrate.run_command('fdw_document', '{"dropDatabase": 1}') ->> 'ok' AS ok;

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

-- Arrays.
SELECT mongo_migrate.run_command('fdw_document', '{"insert": "arrays", "documents": [
    {"_id": 1, "l": [1, 2], "t": ["a", "b"], "n": [{"$numberDouble": "0.1"}], "d": [{"$date": "2024-02-29T12:00:00Z"}], "sub": {"l": [1, 2]}},
    {"_id": 2, "l": [{"$numberLong": "2"}, {"$numberDouble": "3.0"}], "t": ["A", 5], "n": [{"$numberDecimal": "0.1"}, null], "sub": [{"l": [1, 2]}]},
    {"_id": 3, "l": [], "t": [], "n": [], "d": [], "sub": {"l": []}},
    {"_id": 4, "l": null, "t": null, "sub": null},
    {"_id": 5, "l": [null, 1], "t": [null, {"$oid": "5f0000000000000000000001"}]},
    {"_id": 6, "l": [[1, 2], [3, 4]], "t": [["a"], ["c"]], "sub": {"l": [[1, 9]]}},
    {"_id": 7},
    {"_id": 8, "l": [2, 1], "t": ["b", "a", "a"], "n": [{"$numberDouble": "NaN"}, 5]}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE arrays
(
    _id bigint, l integer[], t text[], n numeric[], d timestamptz[], sl bigint[] OPTIONS (path 'sub.l')
) SERVER fdw_document;
\t on
SELECT show('arrays', 'l @> ''{1}''');
SELECT show('arrays', 'l @> ''{1,2}''');
SELECT show('arrays', 'l @> ''{}''');
SELECT show('arrays', 'l @> ''{NULL}''');
SELECT show('arrays', 'l @> ''{{1,4}}''');
SELECT show('arrays', '''{2,3}'' <@ l');
SELECT show('arrays', 'l <@ ''{1,2}''');
SELECT show('arrays', 'l && ''{3,4,NULL}''');
SELECT show('arrays', 'l && ''{}''');
SELECT show('arrays', '1 = ANY (l)');
SELECT show('arrays', '1::bigint = ANY (l)');
SELECT show('arrays', '(SELECT NULL::integer) = ANY (l)');
SELECT show('arrays', '(SELECT 1) = ANY (l)');
SELECT show('arrays', '(SELECT NULL::integer) <> ALL (l)');
SELECT show('arrays', '1 < ANY (l)');
SELECT show('arrays', '1 <> ALL (l)');
SELECT show('arrays', 'NOT (1 = ANY (l))');
SELECT show('arrays', 'NOT (l @> ''{1}'')');
SELECT show('arrays', 'l = ''{1,2}''');
SELECT show('arrays', 'l = ''{}''');
SELECT show('arrays', 'l = ''{NULL,1}''');
SELECT show('arrays', 'l = ''{{1,2},{3,4}}''');
SELECT show('arrays', 'l <> ''{1,2}''');
SELECT show('arrays', 't @> ''{a}''');
SELECT show('arrays', 't @> ''{5}''');
SELECT show('arrays', '''5f0000000000000000000001'' = ANY (t)');
SELECT show('arrays', '''a'' <> ALL (t)');
SELECT show('arrays', 'n @> ''{0.1}''');
SELECT show('arrays', 'n && ''{0.1,NaN}''');
SELECT show('arrays', '0.1 <> ALL (n)');
SELECT show('arrays', 'd @> ''{2024-02-29 12:00:00+00}''');
SELECT show('arrays', 'd && ''{2024-02-29 12:00:00.0005+00}''');
SELECT show('arrays', 'sl @> ''{1}''');
SELECT show('arrays', '1 <> ALL (sl)');
-- An index on the elements serves, though arrays within the array have to be looked at.
SELECT mongo_migrate.run_command('fdw_document', '{"createIndexes": "arrays", "indexes": [{"key": {"l": 1}, "name": "l"}, {"key": {"t": 1}, "name": "t"},
    {"key": {"d": 1}, "name": "d"}, {"key": {"sub.l": 1}, "name": "sl"}]}') ->> 'ok' AS ok;
CREATE FUNCTION uses_index(condition text) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    line text;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) SELECT _id FROM arrays WHERE ' || condition LOOP
        IF line LIKE '%MongoDB find: %' THEN
            -- Extended JSON would take $type for a part of a binary; no index has to do with it.
            line := regexp_replace(substring(line FROM 'MongoDB find: (.*)'), ',"[a-z.]+0":{"\$type":"array"}', '', 'g');
            RETURN mongo_migrate.run_command('fdw_document', json_build_object('explain', line::json))::text !~ 'COLLSCAN';
        END IF;
    END LOOP;
END
$$;
SELECT condition, uses_index(condition) FROM unnest(ARRAY['l @> ''{1,2}''', 'l && ''{3,4}''', '3 = ANY (l)', 't @> ''{a}''', 'd @> ''{2024-02-29 12:00+00}''', 'sl && ''{9}''']) AS condition;
SELECT show('arrays', condition) FROM unnest(ARRAY['l @> ''{1,2}''', 'l && ''{3,4}''', 't && ''{a,c}''', '''a'' = ANY (t)', 'sl && ''{9}''']) AS condition;
SELECT show('arrays', 'l @> ARRAY[_id::integer]');
\t off

-- jsonb, by each mode of Extended JSON.
SELECT mongo_migrate.run_command('fdw_document', '{"insert": "docs", "documents": [
    {"_id": 1, "a": "x", "b": {"c": "y", "n": 5}, "tags": ["red", "blue"], "items": [{"sku": "A1", "qty": 2}, {"sku": "B2", "qty": 1}], "ref": {"$oid": "5f0000000000000000000001"}},
    {"_id": 2, "a": 5, "b": [{"c": "y"}], "tags": "red", "items": {"sku": "A1"}, "ref": {"oid": "5f0000000000000000000001"}},
    {"_id": 3, "a": {"$numberDouble": "5.0"}, "b": {"c": null}, "tags": [], "items": []},
    {"_id": 4, "a": {"$numberDecimal": "5"}, "b": {"c": {"d": true}}, "tags": {"red": 1}},
    {"_id": 5, "a": true, "b": 7, "tags": ["5", 5, null]},
    {"_id": 6, "a": null, "b": {}, "tags": null},
    {"_id": 7},
    {"_id": 8, "a": ["x"], "b": {"c": ["y"], "0": "zero"}, "tags": [["red"]], "items": [[{"sku": "A1"}]]},
    {"_id": 9, "a": {"$date": "2024-02-29T12:00:00Z"}, "b": {"c": {"$date": "2024-02-29T12:00:00Z"}}},
    {"_id": 10, "a": {"$oid": "5f0000000000000000000001"}, "b": {"c": {"$uuid": "00112233-4455-6677-8899-aabbccddeeff"}}},
    {"_id": 11, "a": {"$numberDouble": "NaN"}, "b": {"c": {"$code": "y"}}},
    {"_id": 12, "a": {"$symbol": "x"}, "b": {"c": {"$regularExpression": {"pattern": "y", "options": ""}}}},
    {"_id": 13, "a": {"x": 1}, "a.b": "dotted", "b": {"c": {"$undefined": true}}},
    {"_id": 14, "a": {"$numberDouble": "1e20"}, "b": {"c": {"$binary": {"base64": "AQI=", "subType": "00"}}}}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE docs (_id bigint, doc jsonb OPTIONS (path '$'), b jsonb, tags jsonb) SERVER fdw_document;
CREATE FOREIGN TABLE plain (_id bigint, doc jsonb OPTIONS (path '$'), b jsonb, tags jsonb) SERVER fdw_document OPTIONS (collection 'docs', extended_json 'plain');
CREATE FOREIGN TABLE canonical (_id bigint, doc jsonb OPTIONS (path '$'), b jsonb, tags jsonb) SERVER fdw_document OPTIONS (collection 'docs', extended_json 'canonical');
\t on
-- ->>
SELECT show('docs', 'doc ->> ''a'' = ''x''');
SELECT show('docs', 'doc ->> ''a'' = ''5''');
SELECT show('docs', 'doc ->> ''a'' = ''true''');
SELECT show('docs', 'doc ->> ''a'' = ''["x"]''');
SELECT show('docs', 'doc ->> ''a'' = ''100000000000000000000''');
SELECT show('docs', 'doc ->> ''a'' IN (''x'', ''5'', NULL)');
SELECT show('docs', 'doc ->> ''a'' <> ''x''');
SELECT show('docs', 'doc ->> ''a'' NOT IN (''x'', ''5'')');
SELECT show('docs', 'doc ->> ''a'' < ''5'' COLLATE "C"');
SELECT show('docs', 'doc ->> ''a'' LIKE ''x%''');
SELECT show('docs', 'doc ->> ''a'' LIKE ''5''');
SELECT show('docs', 'doc ->> ''a'' NOT LIKE ''x%''');
SELECT show('docs', 'doc ->> ''a'' IS NULL');
SELECT show('docs', 'doc ->> ''a'' IS NOT NULL');
SELECT show('docs', 'doc -> ''a'' IS NULL');
SELECT show('docs', 'doc -> ''a'' = ''5''');
SELECT show('docs', '(doc ->> ''a'') = (SELECT ''x'')');
SELECT show('docs', 'doc -> ''b'' ->> ''c'' = ''y''');
SELECT show('docs', 'b ->> ''c'' = ''y''');
SELECT show('docs', 'b ->> ''c'' IS NULL');
SELECT show('docs', 'b -> ''c'' IS NOT NULL');
SELECT show('docs', 'doc #>> ''{b,c}'' = ''y''');
SELECT show('docs', 'doc #>> ''{items,0,sku}'' = ''A1''');
SELECT show('docs', 'doc #>> ''{items,-1,sku}'' = ''B2''');
SELECT show('docs', 'doc #>> ''{items,01,sku}'' = ''B2''');
SELECT show('docs', 'doc #> ''{items,0}'' IS NULL');
SELECT show('docs', 'doc -> ''items'' -> 1 ->> ''sku'' = ''B2''');
SELECT show('docs', 'tags ->> 0 = ''red''');
SELECT show('docs', 'tags ->> -1 = ''blue''');
SELECT show('docs', 'b ->> ''0'' = ''zero''');
SELECT show('docs', 'doc ->> ''a.b'' = ''dotted''');
SELECT show('docs', 'doc ->> '''' = ''''');
SELECT show('docs', 'doc ->> (SELECT ''a'') = ''x''');
-- @>
SELECT show('docs', 'doc @> ''{"a": "x"}''');
SELECT show('docs', 'doc @> ''{"a": 5}''');
SELECT show('docs', 'doc @> ''{"a": "x", "b": {"c": "y", "n": 5}}''');
SELECT show('docs', 'doc @> ''{"a": null}''');
SELECT show('docs', 'doc @> ''{"a": true}''');
SELECT show('docs', 'doc @> ''{"b": {}}''');
SELECT show('docs', 'doc @> ''{}''');
SELECT show('docs', 'doc @> ''[]''');
SELECT show('docs', 'doc @> ''{"tags": ["red"]}''');
SELECT show('docs', 'doc @> ''{"tags": ["red", "blue"]}''');
SELECT show('docs', 'doc @> ''{"tags": [["red"]]}''');
SELECT show('docs', 'doc @> ''{"items": [{"sku": "A1", "qty": 2}]}''');
SELECT show('docs', 'doc @> ''{"ref": {"$oid": "5f0000000000000000000001"}}''');
SELECT show('docs', 'doc @> ''{"a": {"$date": "2024-02-29T12:00:00Z"}}''');
SELECT show('docs', 'doc @> ''{"a": {"$numberDecimal": "5"}}''');
SELECT show('docs', 'doc @> ''{"a.b": "dotted"}''');
SELECT show('docs', 'tags @> ''["red"]''');
SELECT show('docs', 'tags @> ''"red"''');
SELECT show('docs', 'tags @> ''[5, null]''');
SELECT show('docs', '''{"c": "y"}'' <@ b');
SELECT show('docs', 'b -> ''c'' @> ''"y"''');
SELECT show('docs', 'doc @> (SELECT ''{"a": "x"}''::jsonb)');
SELECT show('docs', 'doc @> NULL');
-- ?
SELECT show('docs', 'doc ? ''a''');
SELECT show('docs', 'doc ? ''a.b''');
SELECT show('docs', 'tags ? ''red''');
SELECT show('docs', 'doc -> ''b'' ? ''c''');
SELECT show('docs', 'doc ?| ''{tags,ref}''');
SELECT show('docs', 'doc ?& ''{tags,ref}''');
SELECT show('docs', 'tags ?| ''{red,5,NULL}''');
-- casts to numbers: strings and the like are cast here, and errors come
SELECT show('docs', '(b ->> ''n'')::integer = 5');
SELECT show('docs', '(b ->> ''n'')::bigint > 4');
SELECT show('docs', '(b ->> ''n'')::numeric < 5.5');
SELECT show('docs', '(b ->> ''n'')::double precision >= 5');
SELECT show('docs', '(b ->> ''n'')::numeric <> 5');
SELECT show('docs', '(b ->> ''n'')::integer IN (5, 6)');
SELECT show('docs', '(b ->> ''n'')::integer NOT IN (4, 6)');
SELECT show('docs', '(b ->> ''n'')::integer IS NULL');
SELECT show('docs', '(b ->> ''n'')::smallint = 5');
SELECT show('docs', '(b ->> ''n'')::numeric(5,1) = 5');
SELECT show('docs', '(doc ->> ''_id'')::integer BETWEEN 3 AND 5');
SELECT show('plain', '(doc ->> ''_id'')::numeric BETWEEN 3 AND 5');
-- plain mode: more types are strings
SELECT show('plain', 'doc ->> ''a'' = ''x''');
SELECT show('plain', 'doc ->> ''a'' = ''5f0000000000000000000001''');
SELECT show('plain', 'doc ->> ''a'' = ''2024-02-29T12:00:00Z''');
SELECT show('plain', 'doc ->> ''a'' = ''NaN''');
SELECT show('plain', 'doc ->> ''a'' = ''5''');
SELECT show('plain', 'b ->> ''c'' = ''y''');
SELECT show('plain', 'b ->> ''c'' = ''/y/''');
SELECT show('plain', 'b ->> ''c'' = ''AQI=''');
SELECT show('plain', 'b ->> ''c'' = ''00112233-4455-6677-8899-aabbccddeeff''');
SELECT show('plain', 'b ->> ''c'' LIKE ''0011%''');
SELECT show('plain', 'b @> ''{"c": "2024-02-29T12:00:00Z"}''');
SELECT show('plain', 'b @> ''{"c": null}''');
SELECT show('plain', 'b -> ''c'' ? ''y''');
SELECT show('plain', 'b ->> ''c'' IS NULL');
-- canonical mode: numbers are objects
SELECT show('canonical', 'doc ->> ''a'' = ''5''');
SELECT show('canonical', 'doc ->> ''a'' = ''{"$numberInt": "5"}''');
SELECT show('canonical', 'doc @> ''{"a": {"$numberInt": "5"}}''');
SELECT show('canonical', 'doc @> ''{"_id": {"$numberInt": "5"}, "a": true}''');
\t off

SELECT _id FROM docs WHERE (doc ->> 'a')::numeric > 4;

-- An array at a position in another, whose elements MongoDB does not look at.
SELECT mongo_migrate.run_command('fdw_document', '{"insert": "places", "documents": [
    {"_id": 1, "a": [[1, 2], ["x"]]}, {"_id": 2, "a": {"0": [1], "1": ["x", {"y": 1}]}}, {"_id": 3, "a": [[], [{"y": 1}]]}, {"_id": 4, "a": [[[1, 2]], "x"]}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE places (_id bigint, l integer[] OPTIONS (path 'a.0'), j jsonb OPTIONS (path 'a.1'), doc jsonb OPTIONS (path '$')) SERVER fdw_document;
SELECT show('places', '1 = ANY (l)');
SELECT show('places', 'l && ''{2}''');
SELECT show('places', 'l @> ''{2,1}''');
SELECT show('places', 'l = ''{1,2}''');
SELECT show('places', 'j ? ''x''');
SELECT show('places', 'j @> ''["x"]''');
SELECT show('places', 'doc -> ''a'' -> 1 @> ''[{"y": 1}]''');
SELECT show('places', 'doc #> ''{a,1}'' = ''["x"]''');
-- Elements of types that MongoDB orders above and below numbers, in one dimension and in two.
SELECT mongo_migrate.run_command('fdw_document', '{"insert": "typed", "documents": [
    {"_id": 1, "b": [true, false], "o": [{"$oid": "5f0000000000000000000001"}], "u": [{"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "04"}}]},
    {"_id": 2, "b": [[false], [true]], "o": [[{"$oid": "5f0000000000000000000001"}]], "u": [[{"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "03"}}]]},
    {"_id": 3, "b": [false, null], "o": [{"$oid": "000000000000000000000000"}, null], "u": [{"$binary": {"base64": "AAAAAAAAAAAAAAAAAAAAAA==", "subType": "03"}}]},
    {"_id": 4, "b": [], "o": [], "u": []}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE typed (_id integer, b boolean[], o mongo_migrate.objectid[], u uuid[]) SERVER fdw_document;
\t on
SELECT show('typed', 'true = ANY (b)');
SELECT show('typed', 'b && ''{true}''');
SELECT show('typed', '''5f0000000000000000000001'' = ANY (o)');
SELECT show('typed', 'o @> ''{000000000000000000000000}''');
SELECT show('typed', '''00112233-4455-6677-8899-aabbccddeeff'' = ANY (u)');
SELECT show('typed', 'u && ''{00000000-0000-0000-0000-000000000000}''');
\t off

-- Numbers of more digits than a decimal has, which it may have written with an exponent.
SELECT mongo_migrate.run_command('fdw_document', '{"insert": "digits", "documents": [
    {"_id": 1, "v": {"$numberDecimal": "1E+40"}}, {"_id": 2, "v": {"$numberDecimal": "-1.50E-60"}}, {"_id": 3, "v": {"$numberDouble": "1e40"}},
    {"_id": 4, "v": {"$numberDecimal": "1234567890123456789012345678901234E+6"}}]}') ->> 'n' AS inserted;
CREATE FOREIGN TABLE digits (_id integer, v jsonb) SERVER fdw_document OPTIONS (extended_json 'plain');
\t on
SELECT show('digits', 'v = ''1e40''');
SELECT show('digits', 'v @> ''-1.5e-60''');
SELECT show('digits', 'v @> ''1234567890123456789012345678901234000000''');
SELECT show('digits', 'v @> ''12345678901234567890123456789012341''');
\t off
SET plan_cache_mode = force_generic_plan;
PREPARE keys AS SELECT count(*) FROM digits WHERE v ? $1;
EXPLAIN (COSTS OFF) EXECUTE keys('a');
EXECUTE keys('a');
RESET plan_cache_mode;

-- Paths longer, and documents deeper, than MongoDB looks into are left to PostgreSQL.
SELECT repeat(' -> ''a''', 195) AS steps, repeat('a.', 195) || 'a' AS path, repeat('[1, {"a": 1}, {"a": ', 95) || '1' || repeat('}]', 95) AS json \gset
SELECT count(*) FROM docs WHERE doc :steps @> '5';
SELECT count(*) FROM docs WHERE doc :steps IS NULL;
SELECT count(*) FROM docs WHERE doc -> 'a' @> :'json';
CREATE FOREIGN TABLE deep (_id integer, a integer OPTIONS (path :'path')) SERVER fdw_document OPTIONS (collection 'docs');
SELECT count(*) FROM deep WHERE a IS NULL;
SELECT a, count(*) FROM deep GROUP BY a;

SELECT mongo_migrate.run_command('fdw_document', '{"dropDatabase": 1}') ->> 'ok' AS ok;
DROP FUNCTION show;
DROP SERVER fdw_document CASCADE;

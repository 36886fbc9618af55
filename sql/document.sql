-- The compiled document plan: paths, child tables, positions, what is refused and where.
-- "items[].sku" is column sku of the child table of items, "items[].#" the position there.

\set SHOW_CONTEXT never
CREATE FUNCTION document_rows(document text, paths text[], types text[] DEFAULT NULL, strict boolean DEFAULT true)
    RETURNS TABLE ("table" integer, "values" text[]) LANGUAGE sql
    BEGIN ATOMIC
    SELECT * FROM mongo_migrate.decode_document(mongo_migrate.bson_from_json(document::json), paths,
        coalesce(types, array_fill('text'::text, ARRAY[cardinality(paths)])), strict => strict);
    END;

-- dotted paths, positions in arrays, the whole document, several columns of one field
SELECT * FROM document_rows('{"_id": 1, "a": {"b": {"c": "deep"}}, "items": [{"sku": "x"}, {"sku": "y"}], "n": 5}',
    '{_id, a.b.c, a.b, a.missing, items.0.sku, items.1, items.2.sku, items, n, n, $}',
    '{int, text, jsonb, text, text, jsonb, text, jsonb, int, text, json}');

-- a number names a field of a document as well; -1 and 01 are names alone
SELECT * FROM document_rows('{"a": {"0": "zero", "01": "name", "-1": "minus"}, "b": ["zero", "one"]}', '{a.0, a.01, a.-1, b.0, b.01}', strict => false);

-- names with dots, backslashes, dollars, blanks, or no characters
SELECT * FROM document_rows('{"a.b": "dot", "a": {"b": "path", "": "empty"}, "$": "dollar", "c\\d": "backslash", "$set": "op", " ": "blank", "": "none",
    "r": {"$id": "id", "$": "inner"}, "ä": "umlaut"}', ARRAY['a\.b', 'a.b', 'a.', '\$', 'c\\d', '$set', ' ', '', 'r.$id', 'r.$', 'ä']);
SELECT * FROM document_rows('{}', ARRAY['a\']);
SELECT * FROM document_rows('{}', ARRAY[repeat('a.', 200) || 'a']);

-- null, missing, undefined and empty are NULL, or no rows
SELECT * FROM document_rows('{"a": null, "b": {"$undefined": true}, "c": null, "d": null, "e": {}, "f": []}',
    '{a, b, c.x, d[].#, e.x, f[].#, g.x, h[].#}', '{text, int, text, int, text, int, text, int}');

-- child tables: rows of the parent before its children's, depth first
SELECT * FROM document_rows('{"_id": 7, "orders": [{"n": 1, "lines": [{"sku": "a", "tags": ["t1", "t2"]}, {"sku": "b"}]}, {"n": 2, "lines": []}, {"n": 3}],
    "notes": ["first", null, "third"]}',
    '{_id, orders[].#, orders[].n, orders[].lines[].#, orders[].lines[].sku, orders[].lines[].tags[].#, orders[].lines[].tags[], notes[].#, notes[]}',
    '{int, int, int, int, text, int, text, int, text}');

-- an array below a sub-document; the same array as child table, as a column, and by position
SELECT * FROM document_rows('{"a": {"list": [{"x": 1}, {"x": 2}]}}', '{a.list[].x, a.list, a.list.1.x, a.list[].#, a.list[]}', '{int, jsonb, int, int, jsonb}');

-- arrays in arrays
SELECT * FROM document_rows('{"m": [[1, 2], [], [3, null]]}', '{m[].#, m[][].#, m[][]}', '{int, int, int}');

-- an element that is null, or lacks fields
SELECT * FROM document_rows('{"a": [null, {}, {"x": 1}, {"x": null}]}', '{a[].#, a[].x}', '{int, int}');

-- refused by a strict plan, missing for a lax one
CREATE FUNCTION document_both(document text, paths text[], types text[] DEFAULT NULL) RETURNS TABLE (kind text, result text) LANGUAGE plpgsql AS $$
DECLARE
    message text;
    detail text;
BEGIN
    FOREACH kind IN ARRAY ARRAY['strict', 'lax'] LOOP
        BEGIN
            SELECT string_agg(format('%s: %s', r."table", r."values"), ' ') INTO result
            FROM mongo_migrate.decode_document(mongo_migrate.bson_from_json(document::json), paths,
                coalesce(types, array_fill('text'::text, ARRAY[cardinality(paths)])), strict => kind = 'strict') r;
        EXCEPTION WHEN OTHERS THEN
            GET STACKED DIAGNOSTICS message = MESSAGE_TEXT, detail = PG_EXCEPTION_DETAIL;
            result := format('%s %s | %s', SQLSTATE, message, detail);
        END;
        RETURN NEXT;
    END LOOP;
END
$$;
SELECT * FROM document_both('{"_id": 1, "a": 5}', '{a.b}');
SELECT * FROM document_both('{"_id": 1, "a": [{"b": 1}]}', '{a.b}');
SELECT * FROM document_both('{"_id": 1, "a": "x"}', '{a.0}');
SELECT * FROM document_both('{"_id": 1, "a": {"b": 1}}', '{a[].b}');
SELECT * FROM document_both('{"_id": 1, "a": "x"}', '{a[]}');
SELECT * FROM document_both('{"_id": 1, "a": [{"b": 1}, 5]}', '{a[].#, a[].b}');
SELECT * FROM document_both('{"_id": 1, "a": [{"b": 1}, [2]]}', '{a[].#, a[].b}');
SELECT * FROM document_both('{"_id": 1, "a": [[1], 5]}', '{a[].#, a[][]}');

-- a key twice: refused where a column needs it
SELECT * FROM document_both('{"_id": 1, "a": 5, "a": 6}', '{a}');
SELECT * FROM document_both('{"_id": 1, "x": {"b": 1, "a": 5, "b": 6}}', '{x.b}');
SELECT * FROM document_both('{"_id": 1, "x": {"b": 1, "a": 5, "b": 6}}', '{x.a}');
SELECT * FROM document_both('{"_id": 1, "l": [{"b": 1}, {"b": 1, "b": 2}]}', '{l[].b}');
SELECT * FROM document_both('{"_id": 1, "a": {"b": 1}, "a": {"c": 1}}', '{a.b, a.c}');
-- of many keys, too
SELECT * FROM mongo_migrate.decode_document((SELECT mongo_migrate.bson_from_json(format('{"_id": 1, "a": {%s, "k50000": 2}}', string_agg(format('"k%s": 1', i), ', '))::json)
                                             FROM generate_series(1, 100000) i), '{a}', '{jsonb}');

-- errors name the path from the top, with positions
SELECT * FROM document_both('{"_id": {"$oid": "6b0489aa00000000000000ff"}, "o": [{"l": [{"p": 1}, {"p": "x"}]}]}', '{o[].l[].p}', '{int}');
SELECT * FROM document_both('{"o": [{"l": [{"p": [1, "x"]}]}]}', '{o[].l[].p}', '{int[]}');
SELECT * FROM document_both('{"_id": "k", "o": [[1, 2], [3, "x"]]}', '{o}', '{int[]}');
SELECT * FROM document_both('{"_id": 1, "o": [[1, 2], [3, "x"]]}', '{o[][]}', '{int}');
SELECT * FROM document_both('{"_id": 1, "a": {"b.c": {"d": "x"}}}', '{a.b\\.c.d}', '{int}');
SELECT * FROM document_both('{"_id": 1, "a": ["x", "y"]}', '{a.1}', '{int}');
SELECT * FROM document_both('{"_id": 1, "a": {"x": 1, "x": 2}}', '{$}', '{jsonb}');
SELECT * FROM document_both('{"_id": 1, "a": {"x": 1}}', '{$}', '{int}');
CREATE DOMAIN document_required AS integer NOT NULL;
SELECT * FROM document_both('{"_id": 1, "l": [{"n": 1}, {}]}', '{l[].n}', '{document_required}');
DROP DOMAIN document_required;

-- documents of one plan whose fields come, go and change places, more of them than a plan remembers, are decoded alike
CREATE TEMPORARY TABLE document_mixed AS
SELECT i, format('{%s}', string_agg(field, ', ' ORDER BY md5(field || i))) AS document
FROM generate_series(1, 1000) i,
     unnest(ARRAY['"a": "a' || i || '"', '"b": "b"', '"c": {"x": 1, "d": "' || i || '"}', '"e' || i % 400 || '": 1', '"f": null', '"' || repeat('long', 30) || '": 2']) field
WHERE get_byte(decode(md5(field || i || 'x'), 'hex'), 0) > 60 GROUP BY i ORDER BY i;
SELECT count(*) AS all, count(DISTINCT array_to_string(r."values"[2:], ',', '*')) > 500 AS various,
       count(*) FILTER (WHERE r."values"[2:] = ARRAY[m.document::json->>'a', m.document::json->>'b', m.document::json->'c'->>'d']) AS right
FROM document_rows((SELECT format('{"l": [%s]}', string_agg(document, ', ' ORDER BY i)) FROM document_mixed), '{l[].#, l[].a, l[].b, l[].c.d}', '{int, text, text, text}') r
     JOIN (SELECT row_number() OVER (ORDER BY i) - 1 AS n, document FROM document_mixed) m ON m.n = r."values"[1]::int
WHERE r."table" = 1;
DROP TABLE document_mixed;

-- bytes that are no BSON
SELECT * FROM mongo_migrate.decode_document('', '{a}', '{text}');
SELECT * FROM mongo_migrate.decode_document('\x05000000', '{a}', '{text}');
SELECT * FROM mongo_migrate.decode_document('\x0600000000', '{a}', '{text}');
SELECT * FROM mongo_migrate.decode_document('\x0500000001', '{a}', '{text}');
SELECT * FROM mongo_migrate.decode_document('\x070000000a6100', '{a}', '{text}');      -- no terminator after the last field
SELECT * FROM mongo_migrate.decode_document('\x0800000000610000', '{a}', '{text}');
SELECT * FROM mongo_migrate.decode_document('\x0d000000036100050000000000', '{a.b}', '{text}');
SELECT * FROM mongo_migrate.decode_document('\x0d000000036100050000000100', '{a.b}', '{text}');
SELECT * FROM mongo_migrate.decode_document('\x0d000000036100040000000000', '{a.b}', '{text}');
SELECT * FROM mongo_migrate.decode_document('\x0d000000026100010000000000', '{a}', '{text}');

DROP FUNCTION document_rows, document_both;

-- A query that is compiled, functions inlined where they can be, calls what the module does not export.
SET jit_above_cost = 0;
SET jit_inline_above_cost = 0;
SELECT mongo_migrate.bson_to_json(mongo_migrate.bson_from_json(format('{"n": %s}', n)::json)) FROM generate_series(1, 2) AS n;
RESET jit_above_cost;
RESET jit_inline_above_cost;

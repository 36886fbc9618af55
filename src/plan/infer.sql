-- infer.sql: what the documents of a collection look like.

CREATE FUNCTION mongo_migrate.list_collections(server name)
    RETURNS TABLE (collection text, kind text)
    LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'mm_list_collections';
COMMENT ON FUNCTION mongo_migrate.list_collections(name) IS
    'the collections of a server''s database, in order of name; kind: collection, view or timeseries';

-- jsonb has no U+0000; U+001A stands for it, "substitute", which all encodings have.
CREATE FUNCTION mongo_migrate.without_nul(document json) RETURNS json
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN pg_catalog.strpos(document::text, '\u0000') = 0 THEN document
        ELSE pg_catalog.regexp_replace(document::text, '(?<!\\)((?:\\\\)*)\\u0000', '\1\\u001a', 'g')::json
        END;
COMMENT ON FUNCTION mongo_migrate.without_nul(json) IS
    'JSON with U+001A for U+0000, so that it can become jsonb';

CREATE FUNCTION mongo_migrate.infer_schema(server name, collection text,
        sample_size bigint DEFAULT 10000)
    RETURNS TABLE (
        path text,                  -- items[].sku: a field of the documents of an array
        types jsonb,                -- MongoDB type name -> occurrences
        present bigint,             -- occurrences that are not null
        nulls bigint,
        missing bigint,             -- parents without it
        proposed_type text,
        proposed_nullable boolean,
        refers_to text,             -- collection, or collection.field of a unique index
        note text,
        min_value text,
        max_value text,
        min_length bigint,          -- characters, bytes or elements
        max_length bigint,
        distinct_values bigint,     -- beyond 256 an estimate
        refers_key text,
        key_form text,
        parent text,                -- path of the document or array that it is in; top: NULL
        key text,                   -- the field's name as it is; NULL for elements
        is_map boolean,             -- its keys are data
        is_unique boolean,          -- MongoDB has a unique index on it alone
        ordinal integer,            -- parents first, fields in the order of the documents
        few_values text[])          -- 2 to 12 strings that there are no others than, each often
    LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED ROWS 50
    AS 'MODULE_PATHNAME', 'mm_infer_schema';
COMMENT ON FUNCTION mongo_migrate.infer_schema(name, text, bigint) IS
    'a row for each path of a collection: BSON types, nulls and missing counted apart, a type that holds every value seen, and the collection whose keys the values are; sample_size: documents to read at random, 0 for all of them';

CREATE FUNCTION mongo_migrate.propose_id(server name, collection text,
        OUT id_type text, OUT column_type text, OUT source_type text)
    LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'mm_propose_id';
COMMENT ON FUNCTION mongo_migrate.propose_id(name, text) IS
    'how documents of a collection should get their ids: id_type as in id_map, the type of the id column, and the type that holds _id as it is';

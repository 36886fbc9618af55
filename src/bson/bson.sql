-- bson.sql: BSON, Extended JSON and keys from SQL.

CREATE FUNCTION mongo_migrate.bson_to_json(document bytea, mode text DEFAULT 'canonical') RETURNS json
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_bson_to_json';
COMMENT ON FUNCTION mongo_migrate.bson_to_json(bytea, text) IS
    'a BSON document as Extended JSON v2; mode: canonical, relaxed or plain; error XX001 for bytes that are no BSON';

CREATE FUNCTION mongo_migrate.printable_document(document bytea) RETURNS json
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_printable_document';
COMMENT ON FUNCTION mongo_migrate.printable_document(bytea) IS
    'a BSON document as canonical Extended JSON v2; NULL where it has none, as with a string that is not UTF-8';

CREATE FUNCTION mongo_migrate.bson_from_json(document json) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_bson_from_json';
COMMENT ON FUNCTION mongo_migrate.bson_from_json(json) IS
    'the BSON of a document in Extended JSON v2; error 22023 for what is none';

CREATE FUNCTION mongo_migrate.bson_key(value json) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_bson_key';
COMMENT ON FUNCTION mongo_migrate.bson_key(json) IS
    'the key of a value in Extended JSON: two keys are equal exactly when MongoDB finds the values equal';

CREATE FUNCTION mongo_migrate.key_to_json(key bytea) RETURNS json
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_key_to_json';
COMMENT ON FUNCTION mongo_migrate.key_to_json(bytea) IS
    'a value, in canonical Extended JSON, that MongoDB finds equal to the one that the key was made from; error XX001 for bytes that are no key';

CREATE FUNCTION mongo_migrate.date_to_json(instant timestamptz) RETURNS json
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN pg_catalog.isfinite(instant) THEN pg_catalog.json_build_object('$date', pg_catalog.json_build_object(
        '$numberLong', pg_catalog.floor(EXTRACT(epoch FROM instant) * 1000)::bigint::text)) END;
COMMENT ON FUNCTION mongo_migrate.date_to_json(timestamptz) IS
    'a time in canonical Extended JSON, in whole milliseconds; NULL for infinity';

CREATE FUNCTION mongo_migrate.document_key(document bytea, path text DEFAULT '_id') RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_document_key';
COMMENT ON FUNCTION mongo_migrate.document_key(bytea, text) IS
    'the key of the value at a path of a BSON document; NULL where there is none, or null, which is a value of _id alone';

CREATE FUNCTION mongo_migrate.field_at(document json, steps text[])
    RETURNS json
    LANGUAGE c STABLE STRICT PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'mm_field_at';
COMMENT ON FUNCTION mongo_migrate.field_at(json, text[]) IS
    'what a document in canonical Extended JSON has at a path, by the steps that verify_steps() makes of it: as the operator #> does, which takes no U+0000, and reads the document for each column; NULL: nothing';

CREATE FUNCTION mongo_migrate.path_segments(path text) RETURNS text[]
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_path_segments';
COMMENT ON FUNCTION mongo_migrate.path_segments(text) IS
    'the field names and positions that a path is made of: a.b\.c -> a, b.c; none for $';

CREATE FUNCTION mongo_migrate.decode_document(document bytea, paths text[], types text[],
        mode text DEFAULT 'relaxed', strict boolean DEFAULT true, round boolean DEFAULT false,
        OUT "table" integer, OUT "values" text[])
    RETURNS SETOF record
    LANGUAGE c STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_decode_document';
COMMENT ON FUNCTION mongo_migrate.decode_document(bytea, text[], text[], text, boolean, boolean) IS
    'for tests: decodes a BSON document by a plan made of paths and types; "items[].sku" is a column of a child table, whose position is "items[].#"';

CREATE FUNCTION mongo_migrate.encode_value(value anyelement, bson_type text DEFAULT NULL) RETURNS bytea
    LANGUAGE c STABLE PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_encode_value';
COMMENT ON FUNCTION mongo_migrate.encode_value(anyelement, text) IS
    'for tests: the document {v: value} in BSON, as a foreign table''s column with the option bson_type writes the value';

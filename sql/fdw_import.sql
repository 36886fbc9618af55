-- IMPORT FOREIGN SCHEMA: foreign tables from samples.
\getenv mongo_uri MONGO_URI
CREATE SERVER fdw_import FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri :'mongo_uri', database 'mm_test_fdw_import');
SELECT mongo_migrate.run_command('fdw_import', '{"dropDatabase": 1}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_import', '{"insert": "types", "documents": [
    {"_id": {"$oid": "5f0000000000000000000001"}, "int": 1, "long": {"$numberLong": "1"}, "big": 1, "double": 1.5, "whole": {"$numberDouble": "1.0"},
     "decimal": {"$numberDecimal": "1.50"}, "number": 1, "money": 5, "text": "x", "bool": true, "date": {"$date": "2024-01-01T00:00:00Z"},
     "uuid": {"$uuid": "00112233-4455-6677-8899-aabbccddeeff"}, "bin": {"$binary": {"base64": "AAE=", "subType": "00"}},
     "ref": {"$oid": "5f0000000000000000000001"}, "mixed": 1, "mixed_doc": 1, "doc": {"a": 1}, "list": [1, 2],
     "nothing": null, "nullable": null, "far": {"$date": {"$numberLong": "9223372036854775807"}}, "nan": {"$numberDouble": "NaN"},
     "huge": {"$numberDouble": "1e300"}, "sym": {"$symbol": "s"}, "code": {"$code": "x"}, "ts": {"$timestamp": {"t": 1, "i": 1}}, "re": {"$regularExpression": {"pattern": "x", "options": ""}}},
    {"_id": {"$oid": "5f0000000000000000000002"}, "big": {"$numberLong": "5000000000"}, "number": 1.5, "money": 2.5, "mixed": "x",
     "mixed_doc": {"a": 1}, "nullable": 5, "nan": 1, "extra": "in one document"}]}') ->> 'n' AS inserted;
SELECT mongo_migrate.run_command('fdw_import', '{"insert": "userAccounts", "documents": [
    {"_id": 1, "firstName": "Ada", "Last Name": "L", "HTMLBody": "", "address": {"street": {"name": "x", "no": 5}, "zipCode": "1"},
     "createdAt": {"$date": "2024-01-01T00:00:00Z"}, "a.b": 1, "ctid": 1, "select": 1, "doc": 1, "first_name": "clash",
     "tags": ["x"], "it''s": 1, "back\\slash": 1, "äöü": 1, "$": 1,
     "a_name_that_is_so_long_that_postgresql_would_cut_it_off_somewhere_here_one": 1,
     "a_name_that_is_so_long_that_postgresql_would_cut_it_off_somewhere_here_two": 2}]}') ->> 'n' AS inserted;
SELECT mongo_migrate.run_command('fdw_import', '{"create": "empty"}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_import', '{"create": "aView", "viewOn": "types", "pipeline": [{"$project": {"int": 1}}]}') ->> 'ok' AS ok;

CREATE SCHEMA imported;
IMPORT FOREIGN SCHEMA mm_test_fdw_import FROM SERVER fdw_import INTO imported;
SELECT relname FROM pg_class WHERE relnamespace = 'imported'::regnamespace AND relkind = 'f' ORDER BY relname COLLATE "C";
\d imported.types
\d imported."userAccounts"
\d imported.empty
\d imported."aView"
-- What was sampled can be read.
SELECT * FROM imported."aView" ORDER BY _id;
SELECT count(t) FROM imported.types t;
SELECT "firstName", "a.b", ctid_2, "it's", "back\slash", "$", doc FROM imported."userAccounts";
SELECT * FROM imported.empty;
DROP SCHEMA imported CASCADE;

-- Names in snake case, sub-documents taken apart.
CREATE SCHEMA imported;
IMPORT FOREIGN SCHEMA mm_test_fdw_import LIMIT TO (user_accounts, a_view) FROM SERVER fdw_import INTO imported
    OPTIONS (naming 'snake_case', nested 'columns', sample_size '0');
\d imported.user_accounts
SELECT address_street_no, address_zip_code, created_at AT TIME ZONE 'UTC' AS created_at FROM imported.user_accounts;
IMPORT FOREIGN SCHEMA mm_test_fdw_import EXCEPT ("userAccounts", types) FROM SERVER fdw_import INTO imported
    OPTIONS (nested 'columns', sample_size '1');
SELECT relname, ftoptions FROM pg_class JOIN pg_foreign_table ON ftrelid = pg_class.oid
 WHERE relnamespace = 'imported'::regnamespace ORDER BY relname COLLATE "C";
DROP SCHEMA imported CASCADE;

-- Arrays of scalars as arrays; those of documents or of arrays, and what is not always an array, stay as they are.
SELECT mongo_migrate.run_command('fdw_import', '{"insert": "arrays", "documents": [
    {"_id": 1, "texts": ["a", null, "b"], "ints": [1, 2], "numbers": [1, 1.5], "ids": [{"$oid": "5f0000000000000000000001"}], "dates": [{"$date": "2024-01-01T00:00:00Z"}],
     "mixed": ["a", 1, true], "documents": [{"a": 1}], "nested": [[1]], "sometimes": [1], "empty": [], "nulls": [null], "sub": {"list": [true]}},
    {"_id": 2, "texts": [], "ints": null, "sometimes": 1, "sub": {"list": []}}]}') ->> 'n' AS inserted;
CREATE SCHEMA imported;
IMPORT FOREIGN SCHEMA mm_test_fdw_import LIMIT TO (arrays) FROM SERVER fdw_import INTO imported OPTIONS (arrays 'array', nested 'columns');
\d imported.arrays
SELECT texts, ints, numbers, ids, dates[1] AT TIME ZONE 'UTC' AS dates, mixed, "sub.list" FROM imported.arrays ORDER BY _id;
DROP SCHEMA imported CASCADE;

-- Views are not written to; time-series collections are, without a transaction.
SELECT mongo_migrate.run_command('fdw_import', '{"create": "readings", "timeseries": {"timeField": "at", "metaField": "sensor"}}') ->> 'ok' AS ok;
SELECT mongo_migrate.run_command('fdw_import', '{"insert": "readings", "documents": [{"_id": 1, "at": {"$date": "2024-01-01T00:00:00Z"}, "sensor": {"room": 5}, "celsius": 20.5},
    {"_id": 2, "at": {"$date": "2024-01-01T00:01:00Z"}, "sensor": {"room": 6}, "celsius": 19.5}]}') ->> 'n' AS inserted;
CREATE SCHEMA imported;
IMPORT FOREIGN SCHEMA mm_test_fdw_import LIMIT TO (readings, "aView") FROM SERVER fdw_import INTO imported OPTIONS (nested 'columns');
SELECT relname, ftoptions FROM pg_class JOIN pg_foreign_table ON ftrelid = pg_class.oid
 WHERE relnamespace = 'imported'::regnamespace ORDER BY relname COLLATE "C";
SELECT attname, atttypid::regtype FROM pg_attribute WHERE attrelid = 'imported.readings'::regclass AND attnum > 0 ORDER BY attname;
SELECT _id, "sensor.room", celsius FROM imported.readings WHERE at > '2024-01-01 00:00:30+00' ORDER BY at DESC;
ANALYZE imported.readings;
INSERT INTO imported."aView" (int) VALUES (1);
INSERT INTO imported.readings (_id, at, "sensor.room", celsius) VALUES (3, '2024-01-01 00:02:00+00', 6, 19);
ALTER SERVER fdw_import OPTIONS (ADD transactions 'off');
INSERT INTO imported.readings (_id, at, "sensor.room", celsius) VALUES (3, '2024-01-01 00:02:00+00', 6, 19);
ALTER SERVER fdw_import OPTIONS (DROP transactions);
SELECT _id, "sensor.room", celsius FROM imported.readings WHERE celsius < 20 ORDER BY _id;
DROP SCHEMA imported CASCADE;

-- Types are what they are, whatever the search_path has of their names.
CREATE SCHEMA traps;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['text', 'jsonb', 'uuid', 'bytea', 'numeric', 'int4', 'int8', 'float8', 'bool', 'timestamptz', 'objectid'] LOOP
        EXECUTE format('CREATE DOMAIN traps.%I AS pg_catalog.int4', name);
    END LOOP;
END
$$;
CREATE SCHEMA imported;
SET search_path = traps, pg_catalog, public;
IMPORT FOREIGN SCHEMA mm_test_fdw_import FROM SERVER fdw_import INTO imported OPTIONS (arrays 'array');
RESET search_path;
SELECT DISTINCT typnamespace::regnamespace FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid JOIN pg_type t ON t.oid = atttypid
 WHERE relnamespace = 'imported'::regnamespace AND attnum > 0 ORDER BY 1;
SET client_min_messages = warning;
DROP SCHEMA imported, traps CASCADE;
RESET client_min_messages;

-- Errors.
CREATE SCHEMA imported;
IMPORT FOREIGN SCHEMA other FROM SERVER fdw_import INTO imported;
IMPORT FOREIGN SCHEMA mm_test_fdw_import LIMIT TO (types, missing) FROM SERVER fdw_import INTO imported;
IMPORT FOREIGN SCHEMA mm_test_fdw_import FROM SERVER fdw_import INTO imported OPTIONS (naming 'camel');
IMPORT FOREIGN SCHEMA mm_test_fdw_import FROM SERVER fdw_import INTO imported OPTIONS (nested 'yes');
IMPORT FOREIGN SCHEMA mm_test_fdw_import FROM SERVER fdw_import INTO imported OPTIONS (arrays 'yes');
IMPORT FOREIGN SCHEMA mm_test_fdw_import FROM SERVER fdw_import INTO imported OPTIONS (sample_size 'many');
IMPORT FOREIGN SCHEMA mm_test_fdw_import FROM SERVER fdw_import INTO imported OPTIONS (sampel_size '5');
-- A view that MongoDB cannot read keeps no other from being imported.
SELECT mongo_migrate.run_command('fdw_import', '{"create": "Broken View", "viewOn": "types", "pipeline": [{"$project": {"x": {"$divide": [1, {"$strLenCP": {"$substrCP": ["", 0, 0]}}]}}}]}') ->> 'ok' AS ok;
IMPORT FOREIGN SCHEMA mm_test_fdw_import FROM SERVER fdw_import INTO imported;
IMPORT FOREIGN SCHEMA mm_test_fdw_import EXCEPT ("Broken View") FROM SERVER fdw_import INTO imported;
SELECT count(*) > 5 AS others, bool_or(relname = 'Broken View') AS broken FROM pg_class WHERE relnamespace = 'imported'::regnamespace AND relkind = 'f';
SET client_min_messages = warning;
DROP SCHEMA imported CASCADE;
RESET client_min_messages;

SELECT mongo_migrate.run_command('fdw_import', '{"dropDatabase": 1}') ->> 'ok' AS ok;
DROP SERVER fdw_import CASCADE;

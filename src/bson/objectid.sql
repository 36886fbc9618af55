-- objectid.sql: the type mongo_migrate.objectid, MongoDB's 12-byte ObjectId.

CREATE TYPE mongo_migrate.objectid;

CREATE FUNCTION mongo_migrate.objectid_in(cstring) RETURNS mongo_migrate.objectid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_in';
COMMENT ON FUNCTION mongo_migrate.objectid_in(cstring) IS 'input: 24 hexadecimal digits';
CREATE FUNCTION mongo_migrate.objectid_out(mongo_migrate.objectid) RETURNS cstring
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_out';
COMMENT ON FUNCTION mongo_migrate.objectid_out(mongo_migrate.objectid) IS 'output: 24 lower-case hexadecimal digits';
CREATE FUNCTION mongo_migrate.objectid_recv(internal) RETURNS mongo_migrate.objectid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_recv';
COMMENT ON FUNCTION mongo_migrate.objectid_recv(internal) IS 'binary input: the 12 bytes';
CREATE FUNCTION mongo_migrate.objectid_send(mongo_migrate.objectid) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_send';
COMMENT ON FUNCTION mongo_migrate.objectid_send(mongo_migrate.objectid) IS 'binary output: the 12 bytes';

CREATE TYPE mongo_migrate.objectid
(
    INPUT = mongo_migrate.objectid_in,
    OUTPUT = mongo_migrate.objectid_out,
    RECEIVE = mongo_migrate.objectid_recv,
    SEND = mongo_migrate.objectid_send,
    INTERNALLENGTH = 12,
    ALIGNMENT = char
);
COMMENT ON TYPE mongo_migrate.objectid IS 'MongoDB ObjectId: 12 bytes, of which the first four are a time';

-- Comparison, as MongoDB's: byte by byte.

CREATE FUNCTION mongo_migrate.objectid_eq(mongo_migrate.objectid, mongo_migrate.objectid) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_eq';
COMMENT ON FUNCTION mongo_migrate.objectid_eq(mongo_migrate.objectid, mongo_migrate.objectid) IS 'implementation of operator =';
CREATE FUNCTION mongo_migrate.objectid_ne(mongo_migrate.objectid, mongo_migrate.objectid) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_ne';
COMMENT ON FUNCTION mongo_migrate.objectid_ne(mongo_migrate.objectid, mongo_migrate.objectid) IS 'implementation of operator <>';
CREATE FUNCTION mongo_migrate.objectid_lt(mongo_migrate.objectid, mongo_migrate.objectid) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_lt';
COMMENT ON FUNCTION mongo_migrate.objectid_lt(mongo_migrate.objectid, mongo_migrate.objectid) IS 'implementation of operator <';
CREATE FUNCTION mongo_migrate.objectid_le(mongo_migrate.objectid, mongo_migrate.objectid) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_le';
COMMENT ON FUNCTION mongo_migrate.objectid_le(mongo_migrate.objectid, mongo_migrate.objectid) IS 'implementation of operator <=';
CREATE FUNCTION mongo_migrate.objectid_gt(mongo_migrate.objectid, mongo_migrate.objectid) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_gt';
COMMENT ON FUNCTION mongo_migrate.objectid_gt(mongo_migrate.objectid, mongo_migrate.objectid) IS 'implementation of operator >';
CREATE FUNCTION mongo_migrate.objectid_ge(mongo_migrate.objectid, mongo_migrate.objectid) RETURNS boolean
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_ge';
COMMENT ON FUNCTION mongo_migrate.objectid_ge(mongo_migrate.objectid, mongo_migrate.objectid) IS 'implementation of operator >=';
CREATE FUNCTION mongo_migrate.objectid_cmp(mongo_migrate.objectid, mongo_migrate.objectid) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_cmp';
COMMENT ON FUNCTION mongo_migrate.objectid_cmp(mongo_migrate.objectid, mongo_migrate.objectid) IS 'less than, equal to or greater than 0, for btree';
CREATE FUNCTION mongo_migrate.objectid_sortsupport(internal) RETURNS void
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_sortsupport';
COMMENT ON FUNCTION mongo_migrate.objectid_sortsupport(internal) IS 'sort support, for btree';
CREATE FUNCTION mongo_migrate.objectid_hash(mongo_migrate.objectid) RETURNS integer
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_hash';
COMMENT ON FUNCTION mongo_migrate.objectid_hash(mongo_migrate.objectid) IS 'hash';
CREATE FUNCTION mongo_migrate.objectid_hash_extended(mongo_migrate.objectid, bigint) RETURNS bigint
    LANGUAGE c IMMUTABLE STRICT LEAKPROOF PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_hash_extended';
COMMENT ON FUNCTION mongo_migrate.objectid_hash_extended(mongo_migrate.objectid, bigint) IS 'hash with a seed';

-- Operators and aggregates are written without a schema, under any search_path,
-- locked ones included; so they are in pg_catalog.

CREATE OPERATOR pg_catalog.=
(
    LEFTARG = mongo_migrate.objectid, RIGHTARG = mongo_migrate.objectid,
    FUNCTION = mongo_migrate.objectid_eq,
    COMMUTATOR = OPERATOR(pg_catalog.=), NEGATOR = OPERATOR(pg_catalog.<>),
    RESTRICT = eqsel, JOIN = eqjoinsel, HASHES, MERGES
);
CREATE OPERATOR pg_catalog.<>
(
    LEFTARG = mongo_migrate.objectid, RIGHTARG = mongo_migrate.objectid,
    FUNCTION = mongo_migrate.objectid_ne,
    COMMUTATOR = OPERATOR(pg_catalog.<>), NEGATOR = OPERATOR(pg_catalog.=),
    RESTRICT = neqsel, JOIN = neqjoinsel
);
CREATE OPERATOR pg_catalog.<
(
    LEFTARG = mongo_migrate.objectid, RIGHTARG = mongo_migrate.objectid,
    FUNCTION = mongo_migrate.objectid_lt,
    COMMUTATOR = OPERATOR(pg_catalog.>), NEGATOR = OPERATOR(pg_catalog.>=),
    RESTRICT = scalarltsel, JOIN = scalarltjoinsel
);
CREATE OPERATOR pg_catalog.<=
(
    LEFTARG = mongo_migrate.objectid, RIGHTARG = mongo_migrate.objectid,
    FUNCTION = mongo_migrate.objectid_le,
    COMMUTATOR = OPERATOR(pg_catalog.>=), NEGATOR = OPERATOR(pg_catalog.>),
    RESTRICT = scalarlesel, JOIN = scalarlejoinsel
);
CREATE OPERATOR pg_catalog.>
(
    LEFTARG = mongo_migrate.objectid, RIGHTARG = mongo_migrate.objectid,
    FUNCTION = mongo_migrate.objectid_gt,
    COMMUTATOR = OPERATOR(pg_catalog.<), NEGATOR = OPERATOR(pg_catalog.<=),
    RESTRICT = scalargtsel, JOIN = scalargtjoinsel
);
CREATE OPERATOR pg_catalog.>=
(
    LEFTARG = mongo_migrate.objectid, RIGHTARG = mongo_migrate.objectid,
    FUNCTION = mongo_migrate.objectid_ge,
    COMMUTATOR = OPERATOR(pg_catalog.<=), NEGATOR = OPERATOR(pg_catalog.<),
    RESTRICT = scalargesel, JOIN = scalargejoinsel
);

CREATE OPERATOR CLASS mongo_migrate.objectid_ops DEFAULT FOR TYPE mongo_migrate.objectid USING btree AS
    OPERATOR 1 pg_catalog.<,
    OPERATOR 2 pg_catalog.<=,
    OPERATOR 3 pg_catalog.=,
    OPERATOR 4 pg_catalog.>=,
    OPERATOR 5 pg_catalog.>,
    FUNCTION 1 mongo_migrate.objectid_cmp(mongo_migrate.objectid, mongo_migrate.objectid),
    FUNCTION 2 mongo_migrate.objectid_sortsupport(internal),
    FUNCTION 4 pg_catalog.btequalimage(oid);
CREATE OPERATOR CLASS mongo_migrate.objectid_ops DEFAULT FOR TYPE mongo_migrate.objectid USING hash AS
    OPERATOR 1 pg_catalog.=,
    FUNCTION 1 mongo_migrate.objectid_hash(mongo_migrate.objectid),
    FUNCTION 2 mongo_migrate.objectid_hash_extended(mongo_migrate.objectid, bigint);

CREATE FUNCTION mongo_migrate.objectid_smaller(mongo_migrate.objectid, mongo_migrate.objectid)
    RETURNS mongo_migrate.objectid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_smaller';
COMMENT ON FUNCTION mongo_migrate.objectid_smaller(mongo_migrate.objectid, mongo_migrate.objectid) IS 'the smaller of two ObjectIds, for min()';
CREATE FUNCTION mongo_migrate.objectid_larger(mongo_migrate.objectid, mongo_migrate.objectid)
    RETURNS mongo_migrate.objectid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_larger';
COMMENT ON FUNCTION mongo_migrate.objectid_larger(mongo_migrate.objectid, mongo_migrate.objectid) IS 'the larger of two ObjectIds, for max()';
CREATE AGGREGATE pg_catalog.min(mongo_migrate.objectid)
(
    SFUNC = mongo_migrate.objectid_smaller, STYPE = mongo_migrate.objectid,
    COMBINEFUNC = mongo_migrate.objectid_smaller, SORTOP = OPERATOR(pg_catalog.<), PARALLEL = SAFE
);
COMMENT ON AGGREGATE pg_catalog.min(mongo_migrate.objectid) IS 'the smallest ObjectId';
CREATE AGGREGATE pg_catalog.max(mongo_migrate.objectid)
(
    SFUNC = mongo_migrate.objectid_larger, STYPE = mongo_migrate.objectid,
    COMBINEFUNC = mongo_migrate.objectid_larger, SORTOP = OPERATOR(pg_catalog.>), PARALLEL = SAFE
);
COMMENT ON AGGREGATE pg_catalog.max(mongo_migrate.objectid) IS 'the largest ObjectId';

-- Casts.  Text input is by I/O, so that its errors are those of the type.

CREATE CAST (mongo_migrate.objectid AS text) WITH INOUT AS ASSIGNMENT;
CREATE CAST (text AS mongo_migrate.objectid) WITH INOUT;
CREATE FUNCTION mongo_migrate.objectid_to_bytea(mongo_migrate.objectid) RETURNS bytea
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_send';
COMMENT ON FUNCTION mongo_migrate.objectid_to_bytea(mongo_migrate.objectid) IS 'the 12 bytes of an ObjectId';
CREATE FUNCTION mongo_migrate.objectid_from_bytea(bytea) RETURNS mongo_migrate.objectid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_from_bytea';
COMMENT ON FUNCTION mongo_migrate.objectid_from_bytea(bytea) IS
    'the ObjectId of 12 bytes; error 22P03 for another length';
CREATE CAST (mongo_migrate.objectid AS bytea) WITH FUNCTION mongo_migrate.objectid_to_bytea(mongo_migrate.objectid);
CREATE CAST (bytea AS mongo_migrate.objectid) WITH FUNCTION mongo_migrate.objectid_from_bytea(bytea);

CREATE FUNCTION mongo_migrate.objectid_timestamp(mongo_migrate.objectid) RETURNS timestamptz
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_timestamp';
COMMENT ON FUNCTION mongo_migrate.objectid_timestamp(mongo_migrate.objectid) IS
    'the time in an ObjectId, to the second; 1970 to 2106';
CREATE FUNCTION mongo_migrate.objectid_from_timestamp(timestamptz) RETURNS mongo_migrate.objectid
    LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_from_timestamp';
COMMENT ON FUNCTION mongo_migrate.objectid_from_timestamp(timestamptz) IS
    'the smallest ObjectId of a second, for range conditions such as _id >= objectid_from_timestamp(...); error 22008 before 1970 and after 2106';
CREATE FUNCTION mongo_migrate.objectid_generate() RETURNS mongo_migrate.objectid
    LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'mm_objectid_generate';
COMMENT ON FUNCTION mongo_migrate.objectid_generate() IS 'a new ObjectId, as a MongoDB client makes one';

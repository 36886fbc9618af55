-- chunk.sql: ranges of _id, the unit of work and of resuming.

CREATE FUNCTION mongo_migrate.sample_ids(server name, collection text, sample_size integer)
    RETURNS SETOF bytea
    LANGUAGE c STRICT VOLATILE PARALLEL RESTRICTED
    AS 'MODULE_PATHNAME', 'mm_sample_ids';
COMMENT ON FUNCTION mongo_migrate.sample_ids(name, text, integer) IS
    'the _id values of random documents, as BSON {"_id": ...}, in MongoDB''s order over all types';

CREATE FUNCTION mongo_migrate.create_chunks(server name, collection text, ranges bigint)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    sampled constant integer := 50;     -- documents looked at for each range
BEGIN
    WITH sample AS (
        SELECT id, row_number() OVER () - 1 AS position
          FROM mongo_migrate.sample_ids(server, collection, least(ranges, 100000)::integer * sampled) AS id
         WHERE ranges > 1
    ), bound AS (
        SELECT NULL::bytea AS id, 0::bigint AS position
         UNION ALL
        SELECT id, min(position) FROM sample WHERE position > 0 AND position % sampled = 0 GROUP BY id
    )
    INSERT INTO mongo_migrate.chunk (server, collection, chunk, lower_id, upper_id)
    SELECT create_chunks.server, create_chunks.collection,
           row_number() OVER in_order, id, lead(id) OVER in_order
      FROM bound
    WINDOW in_order AS (ORDER BY position);
END
$$;
COMMENT ON FUNCTION mongo_migrate.create_chunks(name, text, bigint) IS
    'splits a collection into about so many ranges of _id, 100,000 at most, of about equal numbers of documents: rows of mongo_migrate.chunk';

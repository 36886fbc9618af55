-- sequences.sql: the sequences that give ids, of the id maps and of the tables.

CREATE FUNCTION mongo_migrate.last_given(sequence regclass, block bigint)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    result bigint;
BEGIN
    EXECUTE format('SELECT last_value + CASE WHEN is_called THEN $1 - 1 ELSE -1 END FROM %s', sequence)
        INTO result USING block;
    RETURN result;
END
$$;
COMMENT ON FUNCTION mongo_migrate.last_given(regclass, bigint) IS
    'the greatest id that a sequence may have given, where each of its values stands for a block of so many';

CREATE FUNCTION mongo_migrate.lock_sequence(sequence regclass) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mm_lock_sequence';
COMMENT ON FUNCTION mongo_migrate.lock_sequence(regclass) IS
    'waits for the transactions that have taken values of a sequence, and keeps others from taking one until unlock_sequence(), or the end of the transaction';

CREATE FUNCTION mongo_migrate.unlock_sequence(sequence regclass) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mm_unlock_sequence';
COMMENT ON FUNCTION mongo_migrate.unlock_sequence(regclass) IS
    'lets go the lock of lock_sequence()';

CREATE FUNCTION mongo_migrate.column_sequence(target text, column_name name)
    RETURNS regclass
    LANGUAGE plpgsql STABLE STRICT     -- which keeps its plan
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
AS $$
BEGIN
    RETURN (
    SELECT q.seqrelid::regclass
      FROM (SELECT pg_get_serial_sequence($1, $2)::regclass AS sequence) own
      JOIN pg_sequence q ON q.seqrelid = coalesce(own.sequence, (
               -- Of DEFAULT nextval('...') alone: what else a default makes of it is no id of the sequence.
               SELECT d.refobjid
                 FROM pg_attribute a
                 JOIN pg_attrdef e ON (e.adrelid, e.adnum) = (a.attrelid, a.attnum)
                 JOIN pg_depend d ON (d.classid, d.objid, d.refclassid) = ('pg_attrdef'::regclass, e.oid, 'pg_class'::regclass)
                WHERE a.attrelid = to_regclass($1) AND a.attname = $2
                  AND pg_get_expr(e.adbin, e.adrelid) = format('nextval(%L::regclass)', d.refobjid::regclass)))
     WHERE q.seqincrement > 0
       AND (own.sequence IS NOT NULL OR (has_sequence_privilege(q.seqrelid, 'SELECT') AND has_sequence_privilege(q.seqrelid, 'UPDATE'))));
END
$$;
COMMENT ON FUNCTION mongo_migrate.column_sequence(text, name) IS
    'the sequence that a column takes its values from: its own, or one by its default, which the caller may set; NULL where there is none, or it counts down';

CREATE FUNCTION mongo_migrate.id_sequences(server name, collection text)
    RETURNS TABLE (sequence regclass, block bigint, target text, column_name name)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    -- Apart, so that names are looked up once, not for every sequence of the database.
    WITH of_map AS MATERIALIZED (
        SELECT to_regclass(m.relation || '_id_seq') AS sequence FROM mongo_migrate.id_map m
         WHERE (m.server, m.collection, m.id_type) = ($1, $2, 'bigint')
    ), of_tables AS MATERIALIZED (
        SELECT c.target, c.column_name, to_regclass(c.target) AS relation FROM mongo_migrate.plan_column c
          JOIN mongo_migrate.plan_target t USING (server, collection, target)
         WHERE (c.server, c.collection) = ($1, $2) AND t.kind = 'root' AND t.included
           AND c.role = 'id' AND c.included AND c.type IN ('bigint', 'integer', 'smallint')
    )
    SELECT m.sequence, s.seqincrement, NULL::text, NULL::name
      FROM of_map m JOIN pg_sequence s ON s.seqrelid = m.sequence
     UNION ALL
    SELECT mongo_migrate.column_sequence(t.target, t.column_name), 1::bigint, t.target, t.column_name
      FROM of_tables t
     WHERE EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = t.relation AND a.attname = t.column_name);
END
$$;
COMMENT ON FUNCTION mongo_migrate.id_sequences(name, text) IS
    'where a collection''s ids come from: the sequence of its id map, whose values stand for a block of so many, and the id columns of its tables, with their sequences or NULL';

CREATE FUNCTION mongo_migrate.table_sequence(server name, collection text)
    RETURNS regclass
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- The map's ids are unique once a load of the collection is complete.
    SELECT CASE WHEN count(*) = 1 THEN (array_agg(s.sequence))[1] END
      FROM mongo_migrate.id_sequences($1, $2) s
      JOIN mongo_migrate.plan_target t ON (t.server, t.collection, t.target) = ($1, $2, s.target)
      JOIN mongo_migrate.plan_column c ON (c.server, c.collection, c.target, c.column_name) = ($1, $2, s.target, s.column_name)
      JOIN mongo_migrate.id_map m ON (m.server, m.collection) = ($1, $2)
    HAVING bool_and(CASE WHEN c.expression IS NULL AND has_sequence_privilege(s.sequence, 'USAGE') THEN
               EXISTS (SELECT FROM pg_constraint k WHERE k.conrelid = to_regclass(m.relation) AND k.contype = 'u')
               -- References may have been given ids before the table was planned, which its sequence is not past yet.
               OR (t.existing AND coalesce(pg_sequence_last_value(s.sequence), (SELECT q.seqstart - 1 FROM pg_sequence q WHERE q.seqrelid = s.sequence))
                      >= coalesce((SELECT pg_sequence_last_value(o.sequence) + o.block - 1
                                     FROM mongo_migrate.id_sequences($1, $2) o WHERE o.target IS NULL), 0)) END)
$$;
COMMENT ON FUNCTION mongo_migrate.table_sequence(name, text) IS
    'the sequence of the collection''s only table, where others may insert rows meanwhile: the table was there before, and its sequence is past the id map''s, or a load of the collection is complete; NULL: ids are taken from the id map''s own';

CREATE FUNCTION mongo_migrate.hand_ids_over(server name, collection text)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    map text;
BEGIN
    SELECT m.relation INTO map FROM mongo_migrate.id_map m
     WHERE (m.server, m.collection, m.id_type) = ($1, $2, 'bigint') AND to_regclass(m.relation) IS NOT NULL
       AND EXISTS (SELECT FROM mongo_migrate.plan_target t WHERE (t.server, t.collection) = ($1, $2) AND t.kind = 'root' AND t.included AND t.existing);
    IF FOUND THEN
        EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', map);
        PERFORM mongo_migrate.synchronize_sequences(server, collection);
        -- Whoever waits for the lock chooses the sequence anew (plan_changed()).
        UPDATE mongo_migrate.id_map m SET relation = m.relation WHERE (m.server, m.collection) = ($1, $2);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.hand_ids_over(name, text) IS
    'where a collection goes to a table that was there before: has the sessions that give ids to references to it take them from the table''s sequence from the next batch on; it waits for batches that are under way';

CREATE FUNCTION mongo_migrate.synchronize_sequences(server name, collection text, alone boolean DEFAULT true)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    of_collection text;
    own boolean;
    source record;
    map regclass;
    last bigint;
    found bigint;
BEGIN
    -- References give ids of other collections, whose tables may have been loaded long ago, and had new rows since.
    FOR of_collection, own IN
        SELECT collection, alone
         UNION ALL
        SELECT DISTINCT c.refers_to, false FROM mongo_migrate.plan_column c
         WHERE (c.server, c.collection) = (server, collection) AND c.refers_to <> collection AND c.included AND mongo_migrate.holds_ids(c)
    LOOP
        last := 0;
        FOR source IN SELECT * FROM mongo_migrate.id_sequences(server, of_collection) LOOP
            -- What is another's need not be ours to read, and without an index is still being loaded.
            IF source.target IS NOT NULL AND (own OR (has_table_privilege(source.target, 'SELECT')
                    AND mongo_migrate.has_unique(source.target::regclass, ARRAY[source.column_name]))) THEN
                EXECUTE format('SELECT max(%I) FROM %s', source.column_name, source.target) INTO found;
                last := greatest(last, found);
            END IF;
            -- The map has ids that no row has: of documents that were referred to, and not there.
            map := (SELECT to_regclass(m.relation) FROM mongo_migrate.id_map m WHERE (m.server, m.collection) = (server, of_collection));
            IF source.target IS NULL AND has_table_privilege(map, 'SELECT') AND mongo_migrate.has_unique(map, ARRAY['id'::name]) THEN
                EXECUTE format('SELECT max(id) FROM %s', map) INTO found;
                last := greatest(last, found);
            END IF;
            IF own OR has_sequence_privilege(source.sequence, 'SELECT') THEN
                last := greatest(last, mongo_migrate.last_given(source.sequence, source.block));
            END IF;
        END LOOP;
        -- Others may take ids of the map meanwhile, for references: a sequence is never set back.
        <<source_>>
        FOR source IN
            SELECT * FROM mongo_migrate.id_sequences(server, of_collection) s
             WHERE CASE WHEN own OR (has_sequence_privilege(s.sequence, 'SELECT') AND has_sequence_privilege(s.sequence, 'UPDATE'))
                        THEN mongo_migrate.last_given(s.sequence, s.block) < last END
        LOOP
            IF own OR source.target IS NOT NULL THEN
                PERFORM CASE source.block WHEN 1 THEN setval(source.sequence, last) ELSE setval(source.sequence, last + 1, false) END;
            ELSE
                -- Another session may take blocks of it at this moment.  A long way is not gone a block at a time, but while none may.
                FOR n IN 1 .. 1000 LOOP
                    CONTINUE source_ WHEN mongo_migrate.last_given(source.sequence, source.block) >= last;
                    PERFORM nextval(source.sequence);
                END LOOP;
                PERFORM mongo_migrate.lock_sequence(source.sequence);
                PERFORM setval(source.sequence, last + 1, false) WHERE mongo_migrate.last_given(source.sequence, source.block) < last;
                PERFORM mongo_migrate.unlock_sequence(source.sequence);
            END IF;
        END LOOP;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.synchronize_sequences(name, text, boolean) IS
    'sets the sequences of a collection''s id map and of its tables'' id columns past every id that has been given, and those of the collections that it refers to; alone false: others may be copying documents of the collection';

CREATE FUNCTION mongo_migrate.advance_sequences(server name, collection text)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    source record;
    largest bigint;
BEGIN
    FOR source IN
        WITH filled AS MATERIALIZED (
            SELECT c.target, c.column_name, mongo_migrate.column_sequence(c.target, c.column_name) AS sequence
              FROM mongo_migrate.plan_column c
              JOIN mongo_migrate.plan_target t USING (server, collection, target)
              JOIN pg_attribute a ON a.attrelid = to_regclass(c.target) AND a.attname = c.column_name
             WHERE (c.server, c.collection) = ($1, $2) AND c.role = 'value' AND c.included AND t.included
               AND a.atttypid IN ('bigint'::regtype, 'integer'::regtype, 'smallint'::regtype)
        )
        SELECT f.target, f.column_name, f.sequence, q.seqmax
          FROM filled f JOIN pg_sequence q ON q.seqrelid = f.sequence
         WHERE has_sequence_privilege(q.seqrelid, 'SELECT') AND has_sequence_privilege(q.seqrelid, 'UPDATE')
    LOOP
        EXECUTE format('SELECT max(%I) FROM %s', source.column_name, source.target) INTO largest;
        PERFORM setval(source.sequence, largest)
          WHERE largest BETWEEN mongo_migrate.last_given(source.sequence, 1) + 1 AND source.seqmax;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.advance_sequences(name, text) IS
    'puts the sequences of columns that have values of documents past the largest of these; of those that the caller may set';

-- idmap.sql: the tables that map the _id values of collections to ids.

CREATE FUNCTION mongo_migrate.reset_statements(server name, collection text) RETURNS text
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT string_agg(DISTINCT format('SELECT mongo_migrate.reset_collection(%L, %L, truncate => true);', k.server, k.collection), ' ')
        FROM mongo_migrate.chunk AS k
        WHERE k.server = $1 AND k.documents > 0
          AND (k.collection = $2 OR k.collection IN (
              SELECT c.collection FROM mongo_migrate.plan_column AS c
                  WHERE c.server = $1 AND c.refers_to = $2 AND c.included AND mongo_migrate.holds_ids(c)))
$$;
COMMENT ON FUNCTION mongo_migrate.reset_statements(name, text) IS
    'the statements that have documents with ids of a collection''s id map copied anew, its own and those that refer to it; NULL: none were copied';

CREATE FUNCTION mongo_migrate.require_id_map(map mongo_migrate.id_map, filled boolean DEFAULT true) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    relation CONSTANT regclass := to_regclass(map.relation);
    remedy text;
BEGIN
    IF map.relation IS NULL OR (relation IS NOT NULL AND NOT filled) THEN
        RETURN;
    ELSIF relation IS NOT NULL THEN
        -- What the caller may not see may be there.
        IF row_security_active(relation) OR NOT has_table_privilege(relation, 'SELECT') OR mongo_migrate.is_filled(map.relation) THEN
            RETURN;
        END IF;
        -- Ids stay when documents are deleted.  Those in quarantine need not have one, and are skipped.
        PERFORM FROM mongo_migrate.chunk AS k
            WHERE (k.server, k.collection) = (map.server, map.collection)
              AND EXISTS (SELECT FROM mongo_migrate.plan_column AS c
                              WHERE (c.server, c.collection) = (map.server, map.collection) AND c.role = 'id' AND c.included)
            HAVING sum(k.inserted + k.skipped) > (SELECT count(*) FROM mongo_migrate.quarantine AS q
                                                      WHERE (q.server, q.collection) = (map.server, map.collection));
        IF NOT FOUND THEN
            RETURN;
        END IF;
    END IF;
    remedy := mongo_migrate.reset_statements(map.server, map.collection);
    IF remedy IS NOT NULL THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('id map %s %s, and documents with its ids were migrated', map.relation,
                             CASE WHEN relation IS NULL THEN 'does not exist' ELSE 'is empty' END),
            DETAIL = format('The documents of collection "%s" would get other ids, and be inserted again.', map.collection),
            HINT = format('Restore %s; or, to migrate them anew: %s', CASE WHEN relation IS NULL THEN 'the table' ELSE 'its rows' END, remedy);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.require_id_map(mongo_migrate.id_map, boolean) IS
    'error 55000 where an id map does not exist any more, or (filled) has no rows, though documents with its ids were migrated';

CREATE FUNCTION mongo_migrate.require_id_map_now(map mongo_migrate.id_map) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    -- Waits for a reset, which empties the map with the checkpoints: the statement after it sees both.
    PERFORM mongo_migrate.is_filled(map.relation) WHERE has_table_privilege(to_regclass(map.relation), 'SELECT');
    PERFORM mongo_migrate.require_id_map(map);
END
$$;
COMMENT ON FUNCTION mongo_migrate.require_id_map_now(mongo_migrate.id_map) IS
    'require_id_map(), where other sessions may be at work';

CREATE FUNCTION mongo_migrate.create_id_map(server name, collection text) RETURNS text
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    map mongo_migrate.id_map;
    statement text;
BEGIN
    PERFORM mongo_migrate.require_source(server, collection);
    INSERT INTO mongo_migrate.id_map (server, collection)
        VALUES (create_id_map.server, create_id_map.collection)
        ON CONFLICT DO NOTHING;
    SELECT * INTO STRICT map FROM mongo_migrate.id_map AS m
        WHERE m.server = create_id_map.server AND m.collection = create_id_map.collection
        FOR UPDATE;
    IF map.id_type = 'source' THEN
        RETURN NULL;
    END IF;
    PERFORM mongo_migrate.require_id_map_now(map);
    IF map.relation IS NOT NULL AND to_regclass(map.relation) IS NOT NULL THEN
        RETURN map.relation;
    END IF;
    -- A table of that name may be left from before the extension was dropped and created anew.
    map.relation := format('mongo_migrate.id_map_%s', map.map_number);
    WHILE to_regclass(map.relation) IS NOT NULL LOOP
        UPDATE mongo_migrate.id_map AS m SET map_number = DEFAULT
            WHERE m.server = create_id_map.server AND m.collection = create_id_map.collection
            RETURNING format('mongo_migrate.id_map_%s', m.map_number) INTO map.relation;
    END LOOP;
    IF map.id_type = 'bigint' THEN
        EXECUTE format('CREATE TABLE %s (key bytea NOT NULL PRIMARY KEY, id bigint NOT NULL)', map.relation);
        -- Sessions take ids by the hundred (the increment): a call for each is a twentieth of a load.
        EXECUTE format('CREATE SEQUENCE %s_id_seq INCREMENT 100 OWNED BY %1$s.id', map.relation);
    ELSE
        EXECUTE format('CREATE TABLE %s (key bytea NOT NULL PRIMARY KEY, id uuid NOT NULL)', map.relation);
    END IF;
    -- Whoever may use mongo_migrate.id_map may use this.
    FOR statement IN
        SELECT format('GRANT %s ON %s %s TO %s', string_agg(a.privilege_type, ', '), m.kind, m.relation,
                      CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE a.grantee::regrole::text END)
            FROM (VALUES ('TABLE', 'mongo_migrate.id_map', map.relation),
                         ('SEQUENCE', 'mongo_migrate.id_map_map_number_seq', map.relation || '_id_seq')) AS m (kind, model, relation)
            JOIN pg_class AS c ON c.oid = m.model::regclass
            CROSS JOIN aclexplode(c.relacl) AS a
            WHERE to_regclass(m.relation) IS NOT NULL
            GROUP BY m.kind, m.relation, a.grantee
    LOOP
        EXECUTE statement;
    END LOOP;
    EXECUTE format('COMMENT ON TABLE %s IS %L', map.relation,
                   format('ids of the documents of collection "%s" of server "%s"', collection, server));
    UPDATE mongo_migrate.id_map AS m SET relation = map.relation
        WHERE m.server = create_id_map.server AND m.collection = create_id_map.collection;
    RETURN map.relation;
END
$$;
COMMENT ON FUNCTION mongo_migrate.create_id_map(name, text) IS
    'makes the id map of a collection, where there is none: a table (key bytea, id), by the id_type in mongo_migrate.id_map (bigint where the collection has no row there); returns its name, or NULL for id_type source, which needs none';

CREATE FUNCTION mongo_migrate.id_map_of(server name, collection text) RETURNS mongo_migrate.id_map
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    map mongo_migrate.id_map;
BEGIN
    SELECT m.* INTO map FROM mongo_migrate.id_map AS m
        WHERE m.server = id_map_of.server AND m.collection = id_map_of.collection;
    IF NOT FOUND OR (to_regclass(map.relation) IS NULL AND map.id_type <> 'source') THEN
        PERFORM mongo_migrate.require_plan(server, collection);
        PERFORM mongo_migrate.require_id_map(map, filled => false);
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = format('collection "%s" of server "%s" has no id map', collection, server),
            HINT = format('It is made with the tables: SELECT * FROM mongo_migrate.apply_ddl(%L, %L);', server, collection);
    END IF;
    RETURN map;
END
$$;
COMMENT ON FUNCTION mongo_migrate.id_map_of(name, text) IS
    'the row of mongo_migrate.id_map of a collection; error 55000 where there is no plan, or its table has not been made or is gone';

CREATE FUNCTION mongo_migrate.id_map_keys(server name, collection text)
    RETURNS TABLE (relation regclass, statement text, done boolean)
    LANGUAGE plpgsql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT m.map, format('ALTER TABLE %s ADD %s', m.map, k.key),
           EXISTS (SELECT FROM pg_constraint AS c WHERE c.conrelid = m.map AND c.contype = k.contype)
        FROM (SELECT to_regclass(m.relation) AS map FROM mongo_migrate.id_map AS m
                  WHERE (m.server, m.collection) = ($1, $2)) AS m,
            (VALUES (1, 'p', 'PRIMARY KEY (key)'), (2, 'u', 'UNIQUE (id)')) AS k (place, contype, key)
        WHERE m.map IS NOT NULL
        ORDER BY k.place;
END
$$;
COMMENT ON FUNCTION mongo_migrate.id_map_keys(name, text) IS
    'the two keys of a collection''s id map, as statements: of its keys, by which ids are found, and of its ids, by which mongo_migrate.source_id() finds keys; done: it exists';

CREATE FUNCTION mongo_migrate.key_id_map(server name, collection text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    map text;
    key record;
BEGIN
    SELECT m.relation INTO map FROM mongo_migrate.id_map AS m
        WHERE m.server = key_id_map.server AND m.collection = key_id_map.collection;
    IF to_regclass(map) IS NULL THEN
        RETURN;
    END IF;
    -- Until the transaction ends, prepare_id_maps() cannot take the key away.
    EXECUTE format('LOCK TABLE %s IN ROW EXCLUSIVE MODE', map);
    FOR key IN SELECT * FROM mongo_migrate.id_map_keys(server, collection) LIMIT 1 LOOP
        IF NOT key.done THEN
            EXECUTE key.statement;
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.key_id_map(name, text) IS
    'gives a collection''s id map its primary key, if a first load goes on without; it waits for batches that are under way, and those after it look ids up';

CREATE FUNCTION mongo_migrate.finish_id_map(server name, collection text) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    map CONSTANT regclass := (SELECT k.relation FROM mongo_migrate.id_map_keys(server, collection) AS k WHERE NOT k.done LIMIT 1);
    statement text;
BEGIN
    IF map IS NULL THEN
        RETURN;
    END IF;
    -- A run that looks ids up may be about to make one of them (key_id_map()).
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', map);
    FOR statement IN SELECT k.statement FROM mongo_migrate.id_map_keys(server, collection) AS k WHERE NOT k.done LOOP
        EXECUTE statement;
    END LOOP;
    -- From now on ids come from the table's sequence (table_sequence()), past those that references were given meanwhile.
    PERFORM mongo_migrate.synchronize_sequences(server, collection, false);
END
$$;
COMMENT ON FUNCTION mongo_migrate.finish_id_map(name, text) IS
    'makes the keys and the ids of a collection''s id map unique, as far as they are not, and the sequences stand past its ids; to be called after the load, because it is cheaper then';

CREATE FUNCTION mongo_migrate.unkey_id_map(map mongo_migrate.id_map) RETURNS boolean
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    constraints text;
BEGIN
    IF NOT pg_has_role((SELECT c.relowner FROM pg_class AS c WHERE c.oid = map.relation::regclass), 'USAGE') THEN
        RETURN false;
    END IF;
    EXECUTE format('LOCK TABLE %s IN ACCESS EXCLUSIVE MODE', map.relation);
    IF mongo_migrate.is_filled(map.relation) OR EXISTS (
        SELECT FROM mongo_migrate.plan_column AS c JOIN mongo_migrate.chunk AS k USING (server, collection)
            WHERE c.server = map.server AND c.refers_to = map.collection AND c.refers_key = '_id' AND c.included
              AND k.collection <> map.collection AND NOT k.complete)
    THEN
        RETURN false;
    END IF;
    SELECT string_agg(format('DROP CONSTRAINT %I', c.conname), ', ') INTO constraints
        FROM pg_constraint AS c
        WHERE c.conrelid = map.relation::regclass AND c.contype IN ('p', 'u');
    IF constraints IS NOT NULL THEN
        EXECUTE format('ALTER TABLE %s %s', map.relation, constraints);
    END IF;
    RETURN true;
END
$$;
COMMENT ON FUNCTION mongo_migrate.unkey_id_map(mongo_migrate.id_map) IS
    'takes the keys of an id map away; false, and nothing done, where it has rows, or another collection that refers to it is being copied or is copied in part';

CREATE FUNCTION mongo_migrate.require_own_map(map mongo_migrate.id_map) RETURNS void
    LANGUAGE plpgsql STABLE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    owner CONSTANT regrole := (SELECT c.relowner FROM pg_class AS c WHERE c.oid = map.relation::regclass);
BEGIN
    IF NOT pg_has_role(owner, 'USAGE')
       AND EXISTS (SELECT FROM mongo_migrate.id_map_keys(map.server, map.collection) AS k WHERE NOT k.done) THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('id map %s belongs to role %s, and the owner makes its keys after the load', map.relation, owner),
            HINT = format('Migrate as role %s, or: ALTER TABLE %s OWNER TO %I;', owner, map.relation, current_user);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.require_own_map(mongo_migrate.id_map) IS
    'error 42501 where the keys of an id map are still to be made, and the caller may not';

CREATE FUNCTION mongo_migrate.prepare_id_maps(server name, collection text, look_up boolean DEFAULT true) RETURNS void
    LANGUAGE plpgsql VOLATILE PARALLEL UNSAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    map mongo_migrate.id_map;
    untouched CONSTANT boolean := NOT EXISTS (
        SELECT FROM mongo_migrate.chunk AS k WHERE (k.server, k.collection) = ($1, $2) AND k.batches > 0);
    looked_up CONSTANT text[] := ARRAY(
        SELECT c.refers_to FROM mongo_migrate.plan_column AS c
            WHERE (c.server, c.collection) = ($1, $2) AND c.included AND c.refers_to IS NOT NULL AND c.refers_key = '_id'
        UNION ALL SELECT $2 WHERE look_up);
BEGIN
    -- Of two collections that refer to each other and start at the same time,
    -- the second waits here and sees what the first has done.
    FOR map IN
        SELECT m.* FROM mongo_migrate.id_map AS m
            WHERE m.server = $1 AND (m.collection = $2 OR m.collection = ANY (looked_up))
            ORDER BY m.collection COLLATE "C"
            FOR UPDATE
    LOOP
        PERFORM mongo_migrate.require_id_map_now(map);
        CONTINUE WHEN to_regclass(map.relation) IS NULL;
        PERFORM mongo_migrate.require_own_map(map) WHERE map.collection = $2;
        IF map.collection = ANY (looked_up) OR (untouched AND NOT mongo_migrate.unkey_id_map(map)) THEN
            PERFORM mongo_migrate.key_id_map(server, map.collection);
        END IF;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.prepare_id_maps(name, text, boolean) IS
    'makes the id maps ready for a copy of documents of a collection: those in which ids are looked up have their primary key; look_up false: documents that have not been copied before, whose ids need not be looked up unless the collection refers to itself';

CREATE FUNCTION mongo_migrate.target_id(server name, collection text, source_id json) RETURNS text
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    map mongo_migrate.id_map := mongo_migrate.id_map_of(server, collection);
    result text;
BEGIN
    IF map.id_type = 'source' THEN
        result := (mongo_migrate.target_ids(server, collection, ARRAY[mongo_migrate.bson_from_json(json_build_object('_id', source_id))]))[1];
    ELSE
        EXECUTE format('SELECT id::text FROM %s WHERE key = $1', map.relation::regclass)
            INTO result USING mongo_migrate.bson_key(source_id);
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION mongo_migrate.target_id(name, text, json) IS
    'the id in PostgreSQL of the document with this _id (Extended JSON), as text; NULL where it has none';

CREATE FUNCTION mongo_migrate.target_ids(server name, collection text, ids bytea[]) RETURNS text[]
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    map mongo_migrate.id_map := mongo_migrate.id_map_of(server, collection);
    type text;
    result text[];
BEGIN
    IF map.id_type = 'source' THEN
        SELECT coalesce(min(c.type), 'text') INTO type FROM mongo_migrate.plan_column AS c
         WHERE c.server = target_ids.server AND c.collection = target_ids.collection AND c.role = 'id';
        -- Not the key of an _id: in jsonb 1 and 1.0 differ.
        SELECT array_agg(d."values"[1] ORDER BY i.n) INTO result
          FROM unnest(ids) WITH ORDINALITY AS i (id, n)
         CROSS JOIN LATERAL mongo_migrate.decode_document(i.id, ARRAY['_id'], ARRAY[type], mongo_migrate.extended_json_mode(server)) AS d;
    ELSE
        EXECUTE format('SELECT array_agg((SELECT m.id::text FROM %s AS m WHERE m.key = mongo_migrate.document_key(i.id)) ORDER BY i.n)'
                       ' FROM unnest($1) WITH ORDINALITY AS i (id, n)', map.relation::regclass)
            INTO result USING ids;
    END IF;
    RETURN coalesce(result, '{}');
END
$$;
COMMENT ON FUNCTION mongo_migrate.target_ids(name, text, bytea[]) IS
    'target_id() of each of some documents; ids: BSON documents with their _id';

CREATE FUNCTION mongo_migrate.source_id(server name, collection text, id text) RETURNS json
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    map mongo_migrate.id_map := mongo_migrate.id_map_of(server, collection);
    type regtype;
    result json;
BEGIN
    IF map.id_type = 'source' THEN
        -- The type tells what the text stands for: 12 as text is a string.
        type := to_regtype((SELECT coalesce(min(c.type), map.column_type) FROM mongo_migrate.plan_column AS c
                                WHERE c.server = source_id.server AND c.collection = source_id.collection AND c.role = 'id'));
        IF type = 'mongo_migrate.objectid'::regtype THEN
            RETURN json_build_object('$oid', id);
        ELSIF type = 'uuid'::regtype THEN
            RETURN json_build_object('$uuid', id);
        ELSIF type = 'bytea'::regtype THEN
            RETURN json_build_object('$binary', json_build_object('base64', translate(encode(id::bytea, 'base64'), E'\n', ''), 'subType', '00'));
        ELSIF type = 'timestamptz'::regtype THEN
            RETURN mongo_migrate.date_to_json(id::timestamptz);
        ELSIF type IN ('timestamp'::regtype, 'date'::regtype) THEN
            RETURN mongo_migrate.date_to_json(id::timestamp AT TIME ZONE 'UTC');
        ELSIF type IN ('text'::regtype, 'varchar'::regtype) OR id !~ '^(-?[0-9]+|true|false)$' THEN
            RETURN CASE WHEN type = 'numeric'::regtype THEN json_build_object('$numberDecimal', id) ELSE to_json(id) END;
        END IF;
        RETURN id::json;
    END IF;
    EXECUTE format('SELECT mongo_migrate.key_to_json(key) FROM %s WHERE id = $1::%s',
                   map.relation::regclass, map.id_type)
        INTO result USING id;
    RETURN result;
END
$$;
COMMENT ON FUNCTION mongo_migrate.source_id(name, text, text) IS
    'the _id (canonical Extended JSON) of the document that has this id in PostgreSQL, by the column''s type where it is the _id itself; NULL where there is none';

-- references.sql: foreign keys between collections, after the load of both.
--
-- An id is given at first sight, by the document itself or by a reference to
-- it, so a reference to a document that does not exist has an id and no row:
-- it is dangling.  The plan says what becomes of it (plan_column.on_dangling):
-- null and keep (then without a foreign key), which are recorded in
-- dangling_reference, or quarantine of the referring document.

CREATE FUNCTION mongo_migrate.is_loaded(server name, collection text)
    RETURNS boolean
    LANGUAGE sql VOLATILE
    BEGIN ATOMIC
        SELECT coalesce((SELECT bool_and(c.complete) FROM mongo_migrate.chunk c
                          WHERE c.server = is_loaded.server AND c.collection = is_loaded.collection), false)
           AND coalesce((SELECT r.phase IN ('references', 'done') FROM mongo_migrate.run r
                          WHERE r.server = is_loaded.server AND r.collection = is_loaded.collection
                          ORDER BY r.run_id DESC LIMIT 1), false);
    END;
COMMENT ON FUNCTION mongo_migrate.is_loaded(name, text) IS
    'whether every chunk of the collection is complete and its tables have their keys';

CREATE FUNCTION mongo_migrate.document_column(server name, collection text, target text)
    RETURNS mongo_migrate.plan_column
    LANGUAGE sql STABLE
    BEGIN ATOMIC
        WITH RECURSIVE key AS (
            SELECT c.target, c.column_name
              FROM mongo_migrate.plan_column c
              JOIN mongo_migrate.plan_target t USING (server, collection, target)
             WHERE c.server = document_column.server AND c.collection = document_column.collection
               AND t.kind = 'root' AND c.role = 'id'
             UNION ALL
            SELECT c.target, c.column_name
              FROM key k
              JOIN mongo_migrate.plan_target t ON t.server = document_column.server
                    AND t.collection = document_column.collection AND t.parent = k.target
              JOIN mongo_migrate.plan_column c ON c.server = t.server AND c.collection = t.collection
                    AND c.target = t.target AND c.role = 'parent' AND c.parent_column = k.column_name
        )
        SELECT c.* FROM key
          JOIN mongo_migrate.plan_column c USING (target, column_name)
         WHERE c.server = document_column.server AND c.collection = document_column.collection
           AND c.target = document_column.target;
    END;
COMMENT ON FUNCTION mongo_migrate.document_column(name, text, text) IS
    'the column of a target that has the id of the document that a row came from';

CREATE FUNCTION mongo_migrate.referred_rows(server name, collection text, refers_key text,
        OUT relation text, OUT column_name name, OUT several boolean)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN count(*) = 1 THEN min(t.target)
                ELSE '(' || string_agg(format('SELECT %I AS id FROM %s', c.column_name, t.target), ' UNION ALL ' ORDER BY t.ordinal) || ')' END,
           CASE WHEN count(*) = 1 THEN min(c.column_name) ELSE 'id' END, count(*) > 1
      FROM mongo_migrate.plan_target t
      JOIN mongo_migrate.plan_column c USING (server, collection, target)
     WHERE (t.server, t.collection) = ($1, $2) AND t.kind = 'root' AND t.included
       AND c.included AND CASE $3 WHEN '_id' THEN c.role = 'id'
                          ELSE c.role = 'value' AND c.path = $3 AND c.expression IS NULL END
$$;
COMMENT ON FUNCTION mongo_migrate.referred_rows(name, text, text) IS
    'SQL for the rows that a reference to a field of a collection may refer to, and the column of that field: the table of its documents, or a sub-query for several; NULL: the plan has none';

CREATE TYPE mongo_migrate.loaded_reference AS (
    collection      text,
    target          text,
    column_name     name,
    refers_to       text,
    refers_target   text,       -- its table, or a sub-query for several
    refers_column   name,
    statement       text,       -- the foreign key's; NULL: there can be none
    done            boolean,    -- it exists, and is valid
    policy          text,
    value_column    name,       -- by which it is looked up; else the column itself
    by_id           boolean,    -- it holds ids; else the values of refers_key
    refers_key      text,
    key_form        text,
    foreign_key     name        -- its name, where it exists
);
COMMENT ON TYPE mongo_migrate.loaded_reference IS 'a planned reference whose two collections are loaded';

CREATE FUNCTION mongo_migrate.loaded_references(server name, collections text[])
    RETURNS SETOF mongo_migrate.loaded_reference
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH reference AS (
        SELECT r.collection, r.target, r.column_name, r.refers_to, r.refers_target, r.refers_column, r.statement, r.done,
               c.on_dangling, coalesce(mongo_migrate.value_column(c), c.column_name), mongo_migrate.holds_ids(c),
               c.refers_key, c.key_form, r.foreign_key
          FROM mongo_migrate.plan_references($1, $2) r
          JOIN mongo_migrate.plan_column c
                ON (c.server, c.collection, c.target, c.column_name) = ($1, r.collection, r.target, r.column_name)
         UNION ALL
        -- A table that existed keeps what it has, be it from documents or not.
        SELECT c.collection, c.target, c.column_name, c.refers_to, o.relation, o.column_name, NULL, NULL,
               CASE WHEN t.existing THEN 'keep' ELSE c.on_dangling END,
               coalesce(mongo_migrate.value_column(c), c.column_name), mongo_migrate.holds_ids(c), c.refers_key, c.key_form, NULL
          FROM mongo_migrate.plan_column c
          JOIN mongo_migrate.plan_target t USING (server, collection, target)
         CROSS JOIN LATERAL mongo_migrate.referred_rows(c.server, c.refers_to,
                CASE WHEN mongo_migrate.holds_ids(c) THEN '_id' ELSE c.refers_key END) o
         WHERE c.server = $1 AND ($2 IS NULL OR c.collection = ANY ($2) OR c.refers_to = ANY ($2))
           AND c.refers_to IS NOT NULL AND c.included AND t.included AND o.relation IS NOT NULL
           AND (c.on_dangling = 'keep'
                OR (t.existing AND c.refers_key = '_id' AND NOT o.several AND has_table_privilege(to_regclass(o.relation), 'SELECT')
                    AND NOT EXISTS (SELECT FROM mongo_migrate.find_foreign_key(to_regclass(t.target), ARRAY[c.column_name], to_regclass(o.relation)) k
                                     WHERE k.valid))
                OR ((o.several OR c.refers_key <> '_id') AND NOT t.existing
                    AND (c.collection, c.target, c.column_name) NOT IN (
                        SELECT r.collection, r.target, r.column_name FROM mongo_migrate.plan_references($1, $2) r)))
    ), loaded AS MATERIALIZED (
        SELECT c.collection FROM (SELECT r.collection FROM reference r UNION SELECT r.refers_to FROM reference r) c
         WHERE mongo_migrate.is_loaded($1, c.collection)
    )
    SELECT * FROM reference r
     WHERE r.collection IN (SELECT l.collection FROM loaded l)
       AND r.refers_to IN (SELECT l.collection FROM loaded l)
     ORDER BY r.collection COLLATE "C", r.target COLLATE "C", r.column_name;
END
$$;
COMMENT ON FUNCTION mongo_migrate.loaded_references(name, text[]) IS
    'the references of loaded collections to loaded collections, from or to some of them (NULL: all), with their policy; statement and done as of plan_references, NULL for policy keep, where several tables share the documents referred to, and where Citus would refuse the foreign key';

CREATE FUNCTION mongo_migrate.gather(relation text, columns name[])
    RETURNS text
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    name constant text := 'mongo_migrate_' || md5(concat(relation, columns));
BEGIN
    IF to_regclass('pg_temp.' || name) IS NOT NULL THEN
        EXECUTE format('DROP TABLE pg_temp.%I', name);
    END IF;
    EXECUTE format('CREATE TEMPORARY TABLE %I ON COMMIT DROP AS SELECT %s FROM %s AS r', name, mongo_migrate.column_list(columns), relation);
    EXECUTE format('ANALYZE pg_temp.%I', name);
    RETURN 'pg_temp.' || name;
END
$$;
COMMENT ON FUNCTION mongo_migrate.gather(text, name[]) IS
    'copies columns of a table, or of a sub-query, to a table of the transaction, on this node; returns its name';

CREATE FUNCTION mongo_migrate.dangling_condition(server name, r mongo_migrate.loaded_reference)
    RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    -- Citus joins rows that do not lie together only by gathering one side: it gathers the ids.
    IF mongo_migrate.citus_place(r.target) IS NOT NULL THEN
        RETURN format('t.%1$I IN (SELECT d.%1$I FROM %2$s AS d EXCEPT SELECT r.%4$I FROM %3$s AS r)',
                      r.column_name, r.target, r.refers_target, r.refers_column);
    END IF;
    RETURN format('t.%1$I IS NOT NULL AND NOT EXISTS (SELECT FROM %2$s AS r WHERE r.%3$I = t.%1$I)', r.column_name,
        -- A statement on this node's tables and its own would be executed by another session, which does not see what this one has written.
        CASE WHEN EXISTS (SELECT FROM mongo_migrate.plan_target AS t
                           WHERE (t.server, t.collection) = (server, r.refers_to) AND t.kind = 'root' AND t.included
                             AND mongo_migrate.citus_place(t.target) IS NOT NULL)
             THEN mongo_migrate.gather(r.refers_target, ARRAY[r.refers_column]) ELSE r.refers_target END, r.refers_column);
END
$$;
COMMENT ON FUNCTION mongo_migrate.dangling_condition(name, mongo_migrate.loaded_reference) IS
    'SQL for whether the column of a row of the target, t, refers to a row that does not exist';

-- Citus has another session ask for both, once it has made keys of a table of the coordinator by one.
CREATE FUNCTION mongo_migrate.require_seen(server name, collection text)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r record;
BEGIN
    SELECT l.* INTO r FROM mongo_migrate.loaded_references($1, ARRAY[$2]) AS l
     WHERE mongo_migrate.has_citus() AND mongo_migrate.citus_place(l.target) = 0 AND mongo_migrate.citus_place(l.refers_target) IS NULL
       AND pg_stat_get_xact_tuples_inserted(to_regclass(l.refers_target)) > 0 LIMIT 1;
    IF FOUND THEN
        RAISE feature_not_supported USING
            MESSAGE = format('%s refers to %s, which this transaction has written and Citus does not know', r.target, r.refers_target),
            HINT = format('Migrate each in a transaction of its own, or with workers; or first: SELECT citus_add_local_table_to_metadata(%L);', r.refers_target);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.require_seen(name, text) IS
    'an error where a table of the coordinator that Citus knows refers to one that it does not know, and that this transaction has written: the look for what dangles would not see its rows';

CREATE FUNCTION mongo_migrate.reference_keys(server name, r mongo_migrate.loaded_reference)
    RETURNS TABLE (target text, id name, key name, matches text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.target, i.column_name, min(c.column_name)::name,
           mongo_migrate.key_match(format('k.%I', min(c.column_name)), format('t.%I', r.value_column), r.key_form)
      FROM mongo_migrate.plan_target t
      JOIN mongo_migrate.plan_column i USING (server, collection, target)
      JOIN mongo_migrate.plan_column c USING (server, collection, target)
     WHERE (t.server, t.collection) = ($1, r.refers_to) AND t.kind = 'root' AND t.included
       AND i.role = 'id' AND i.included
       AND c.role = 'value' AND c.included AND c.expression IS NULL AND c.path = r.refers_key
     GROUP BY t.target, i.column_name
$$;
COMMENT ON FUNCTION mongo_migrate.reference_keys(name, mongo_migrate.loaded_reference) IS
    'the tables in which a reference by another field than _id is looked up: k; matches: SQL for whether a row of it is what a row of the target, t, refers to';

CREATE FUNCTION mongo_migrate.look_up_references(server name, r mongo_migrate.loaded_reference)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    key_table record;
BEGIN
    EXECUTE format('UPDATE %s AS t SET %I = NULL WHERE %s', r.target, r.column_name, mongo_migrate.dangling_condition(server, r));
    FOR key_table IN SELECT * FROM mongo_migrate.reference_keys(server, r) LOOP
        EXECUTE format('UPDATE %s AS t SET %I = k.%I FROM %s AS k WHERE %s AND t.%2$I IS NULL',
            r.target, r.column_name, key_table.id,
            CASE WHEN mongo_migrate.citus_place(key_table.target) IS NULL THEN key_table.target
                 WHEN mongo_migrate.citus_place(r.target) IS NULL THEN mongo_migrate.gather(key_table.target, ARRAY[key_table.id, key_table.key])
                 -- OFFSET 0 has Citus gather the keys, wherever they lie.
                 ELSE format('(SELECT s.%I, s.%I FROM %s AS s OFFSET 0)', key_table.id, key_table.key, key_table.target) END,
            key_table.matches);
    END LOOP;
    -- Those without a document are recorded anew.
    DELETE FROM mongo_migrate.dangling_reference d
     WHERE (d.server, d.collection, d.target, d.column_name) = (server, r.collection, r.target, r.column_name);
END
$$;
COMMENT ON FUNCTION mongo_migrate.look_up_references(name, mongo_migrate.loaded_reference) IS
    'sets the ids of a reference by another field than _id, by the column with the value: where the document has come, and to NULL where it has gone';

CREATE FUNCTION mongo_migrate.record_dangling(server name, r mongo_migrate.loaded_reference, dangling text)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    settled_at constant timestamptz := clock_timestamp();
    row_key text;
    id text;
    result bigint;
BEGIN
    IF r.by_id THEN
        PERFORM mongo_migrate.finish_id_map(server, r.refers_to);
    END IF;
    SELECT string_agg(format('%L, t.%I', k.column_name, k.column_name), ', ' ORDER BY k.ordinal) INTO row_key
      FROM mongo_migrate.plan_column k
     WHERE (k.server, k.collection, k.target) = (server, r.collection, r.target) AND k.role IN ('id', 'parent', 'position', 'key')
       AND (k.target, k.column_name) IN (SELECT o.target, o.column_name FROM mongo_migrate.key_columns(server, r.collection) o);
    EXECUTE format(
        'INSERT INTO mongo_migrate.dangling_reference'
        ' (server, collection, target, column_name, row_key, refers_to, source_value, policy, at)'
        ' SELECT $1, $2, $3, $4, jsonb_build_object(%s), $5, t.%I::text, $6, $7 FROM %s AS t WHERE %s',
        row_key, r.value_column, r.target, dangling)
      USING server, r.collection, r.target, r.column_name, r.refers_to, r.policy, settled_at;
    GET DIAGNOSTICS result = ROW_COUNT;
    IF result = 0 THEN
        RETURN 0;
    END IF;
    -- Apart from the rows: Citus would look in the id map on its nodes.
    BEGIN
        UPDATE mongo_migrate.dangling_reference d
           SET source_value = CASE WHEN r.refers_key = '_id' THEN mongo_migrate.source_id(server, r.refers_to, d.source_value)
                                   ELSE to_json(d.source_value) END::text
         WHERE (d.server, d.collection, d.target, d.column_name, d.at)
             = (server, r.collection, r.target, r.column_name, settled_at);
    EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
        -- One by one; what has no form in JSON is NULL.
        FOR id IN
            SELECT DISTINCT d.source_value FROM mongo_migrate.dangling_reference d
             WHERE (d.server, d.collection, d.target, d.column_name, d.at)
                 = (server, r.collection, r.target, r.column_name, settled_at)
        LOOP
            UPDATE mongo_migrate.dangling_reference d SET source_value = mongo_migrate.source_text(server, r.refers_to, id)
             WHERE (d.server, d.collection, d.target, d.column_name, d.at, d.source_value)
                 = (server, r.collection, r.target, r.column_name, settled_at, id);
        END LOOP;
    END;
    RETURN result;
END
$$;
COMMENT ON FUNCTION mongo_migrate.record_dangling(name, mongo_migrate.loaded_reference, text) IS
    'records the rows, t, of which a condition says that their reference dangles; returns their number';

CREATE FUNCTION mongo_migrate.source_text(server name, collection text, id text)
    RETURNS text
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RETURN mongo_migrate.source_id(server, collection, id)::text;
EXCEPTION WHEN character_not_in_repertoire OR untranslatable_character THEN
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mongo_migrate.source_text(name, text, text) IS
    'source_id() as text; NULL for what has no form in JSON';

CREATE FUNCTION mongo_migrate.allow_null(server name, r mongo_migrate.loaded_reference)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
BEGIN
    IF (SELECT attnotnull FROM pg_attribute WHERE attrelid = r.target::regclass AND attname = r.column_name) THEN
        EXECUTE format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', r.target, r.column_name);
        UPDATE mongo_migrate.plan_column c SET nullable = true
         WHERE (c.server, c.collection, c.target, c.column_name) = (server, r.collection, r.target, r.column_name);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.allow_null(name, mongo_migrate.loaded_reference) IS
    'drops the NOT NULL of a reference, in table and plan';

CREATE FUNCTION mongo_migrate.settle_dangling(server name, r mongo_migrate.loaded_reference, among text DEFAULT NULL)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    document constant name := (mongo_migrate.document_column(server, r.collection, r.target)).column_name;
    field constant text := format('%s.%I', r.target, r.column_name);
    looked_up constant boolean := r.value_column <> r.column_name;
    dangling constant text := CASE WHEN looked_up THEN format('t.%I IS NOT NULL AND t.%I IS NULL', r.value_column, r.column_name)
                                   ELSE concat(among || ' AND ', mongo_migrate.dangling_condition(server, r)) END;
    assignments text := format('%I = NULL', r.column_name);
    other mongo_migrate.loaded_reference;
    also text;              -- of another column
    others bigint;
    ids text[];
    result bigint;
BEGIN
    IF looked_up THEN
        PERFORM mongo_migrate.look_up_references(server, r);
    ELSIF r.policy = 'keep' THEN
        DELETE FROM mongo_migrate.dangling_reference d
         WHERE (d.server, d.collection, d.target, d.column_name, d.policy)
             = (server, r.collection, r.target, r.column_name, r.policy);
    END IF;
    IF r.policy = 'quarantine' THEN
        EXECUTE format('SELECT array_agg(DISTINCT t.%I::text) FROM %s AS t WHERE %s', document, r.target, dangling)
           INTO ids;
        IF ids IS NOT NULL THEN
            PERFORM mongo_migrate.quarantine_documents(server, r.collection, ids, r.target,
                format('%s refers to a document of %s that does not exist', field, r.refers_to));
            RAISE NOTICE '%: documents that refer to missing documents of % moved to quarantine: %',
                field, r.refers_to, cardinality(ids);
        END IF;
        RETURN coalesce(cardinality(ids), 0);
    END IF;

    result := mongo_migrate.record_dangling(server, r, dangling);
    IF result = 0 THEN
        RETURN 0;
    END IF;
    IF r.policy = 'keep' THEN
        RAISE NOTICE '%: references to missing documents of % kept, without a foreign key: %',
            field, r.refers_to, result;
    ELSIF looked_up THEN
        RAISE NOTICE '%: references to missing documents of % stay NULL: %', field, r.refers_to, result;
    ELSE
        PERFORM mongo_migrate.allow_null(server, r);
        RAISE NOTICE '%: references to missing documents of % set to NULL: %', field, r.refers_to, result;
        -- Of a row that this transaction has written, PostgreSQL checks all foreign keys with the next change:
        -- so what dangles besides, under a foreign key that is not valid yet, goes with the same one.
        FOR other IN
            SELECT * FROM mongo_migrate.loaded_references(server, ARRAY[r.collection]) AS l
             WHERE l.target = r.target AND l.column_name <> r.column_name AND l.value_column = l.column_name
               AND l.policy = 'null' AND l.foreign_key IS NOT NULL AND NOT l.done
        LOOP
            also := mongo_migrate.dangling_condition(server, other);
            others := mongo_migrate.record_dangling(server, other, format('%s AND %s', dangling, also));
            CONTINUE WHEN others = 0;
            PERFORM mongo_migrate.allow_null(server, other);
            RAISE NOTICE '%: references to missing documents of % set to NULL: %',
                format('%s.%I', other.target, other.column_name), other.refers_to, others;
            assignments := assignments || format(', %1$I = CASE WHEN %2$s THEN NULL ELSE t.%1$I END', other.column_name, also);
        END LOOP;
        EXECUTE format('UPDATE %s AS t SET %s WHERE %s', r.target, assignments, dangling);
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION mongo_migrate.settle_dangling(name, mongo_migrate.loaded_reference, text) IS
    'does with the dangling references of a column what the policy says, and records those that are set to NULL or kept; among: SQL for the rows, t, of the column to look at; returns their number, or that of the documents moved to quarantine';

CREATE FUNCTION mongo_migrate.quarantine_documents(server name, collection text, ids text[], target text, reason text)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    id text;
    source json;
    filter json;
    document json;
    statement text;
    own_ids constant boolean := (mongo_migrate.id_map_of(server, collection)).id_type = 'source';
    strangers text[] := '{}';   -- ids of rows that no document is known to have made
    patience constant timestamptz := clock_timestamp() + interval '5 seconds';
    noted boolean;
BEGIN
    PERFORM mongo_migrate.finish_id_map(server, collection);
    FOREACH id IN ARRAY ids LOOP
        source := mongo_migrate.source_id(server, collection, id);
        -- A column of the _id itself may hold others in the same way: a UUID of the old subtype, a number as text.
        filter := json_build_object('_id', json_build_object('$in',
               CASE WHEN own_ids
                    THEN (SELECT json_agg(c) FROM (SELECT source AS c UNION ALL SELECT mongo_migrate.verify_candidates(id)) AS o)
                    ELSE json_build_array(source) END));
        BEGIN
            SELECT d INTO document FROM mongo_migrate.find_documents(server, collection, filter, '{}', 'canonical') AS d
             ORDER BY mongo_migrate.verify_document_key(d) <> mongo_migrate.bson_key(source) LIMIT 1;
        EXCEPTION WHEN data_corrupted OR untranslatable_character THEN
            -- A string in it has no form in JSON: its _id will do.
            SELECT d INTO document FROM mongo_migrate.find_documents(server, collection, filter, '{"projection": {"_id": 1}}', 'canonical') AS d
             ORDER BY mongo_migrate.verify_document_key(d) <> mongo_migrate.bson_key(source) LIMIT 1;
        END;
        IF source IS NULL OR (own_ids AND document IS NULL) THEN
            -- One that a sync has noted, or is about to, was deleted since it was copied: its rows would go with the note, and go now.
            LOOP
                noted := own_ids AND EXISTS (SELECT FROM json_array_elements(filter #> '{_id,$in}') AS i
                                   JOIN mongo_migrate.change AS c ON c.key = mongo_migrate.quarantine_key(mongo_migrate.bson_key(i))
                                  WHERE (c.server, c.collection) = (server, collection));
                EXIT WHEN noted OR NOT own_ids OR clock_timestamp() > patience
                       OR NOT EXISTS (SELECT FROM mongo_migrate.sync AS s WHERE s.server = server AND s.running);
                PERFORM pg_sleep(0.1);
            END LOOP;
            IF NOT noted THEN
                strangers := strangers || id;
            END IF;
            CONTINUE;
        END IF;
        document := coalesce(document, json_build_object('_id', source));
        IF mongo_migrate.verify_document_key(document) <> mongo_migrate.bson_key(source) THEN
            source := mongo_migrate.without_nul(document) -> '_id';    -- without U+0000, as the row's id is
        END IF;
        INSERT INTO mongo_migrate.quarantine
               (server, collection, key, source_id, document, target, reason, sqlstate, hint)
        VALUES (server, collection, mongo_migrate.quarantine_key(mongo_migrate.bson_key(source)), source::text,
                mongo_migrate.bson_from_json(document), target, reason, '23503',
                'When the missing document has come, call mongo_migrate.retry_quarantine.')
            ON CONFLICT DO NOTHING;
    END LOOP;
    IF strangers <> '{}' THEN
        SELECT format('SELECT * FROM %s WHERE %I IN (%s);', target, d.column_name,
                      array_to_string(ARRAY(SELECT quote_literal(u) FROM unnest(strangers) AS u LIMIT 10), ', ')) INTO statement
          FROM mongo_migrate.document_column(server, collection, target) d;
        RAISE foreign_key_violation USING
            MESSAGE = format('%s, in %s that the source has no document of', reason, mongo_migrate.counted(cardinality(strangers), 'row')),
            DETAIL = 'The plan has documents put into quarantine; such rows would be lost. They are an application''s, or of documents that were deleted.',
            HINT = 'Mend or delete them: ' || statement;
    END IF;

    -- What refers to these documents is dangling now, and is settled in its turn.
    PERFORM mongo_migrate.drop_foreign_keys(server, NULL, collection);
    FOR statement IN
        SELECT format('DELETE FROM %s WHERE %I = ANY ($1::%s[])', t.target, d.column_name, d.type)
          FROM mongo_migrate.plan_target t,
               mongo_migrate.document_column(server, collection, t.target) d
         WHERE (t.server, t.collection) = (server, collection) AND t.included
         ORDER BY t.ordinal DESC
    LOOP
        EXECUTE statement USING ids;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.quarantine_documents(name, text, text[], text, text) IS
    'takes documents, by their ids in PostgreSQL, out of their tables and puts them into quarantine; their rows in child tables go too';

CREATE FUNCTION mongo_migrate.passing_foreign_keys(server name, referring text, referred text, policy text DEFAULT NULL)
    RETURNS TABLE (target regclass, referred_target regclass, statement text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT k.conrelid, k.confrelid, format('ALTER TABLE %s DROP CONSTRAINT %I', r.target, k.conname)
      FROM mongo_migrate.plan_references($1, ARRAY[coalesce($2, $3)]) r
      JOIN pg_constraint k ON k.conrelid = to_regclass(r.target)
            AND k.confrelid = to_regclass(r.refers_target) AND k.contype = 'f'
      JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attname = r.column_name
            AND k.conkey = ARRAY[a.attnum]
      JOIN mongo_migrate.plan_column c
            ON (c.server, c.collection, c.target, c.column_name) = ($1, r.collection, r.target, r.column_name)
     WHERE r.collection = coalesce($2, r.collection)
       AND r.refers_to = coalesce($3, r.refers_to)
       AND c.on_dangling = coalesce($4, c.on_dangling)
       AND (k.confupdtype, k.confdeltype, k.confmatchtype, k.condeferrable) = ('a', 'a', 's', false)
$$;
COMMENT ON FUNCTION mongo_migrate.passing_foreign_keys(name, text, text, text) IS
    'the foreign keys of planned references from and to these collections, of one policy (NULL: any), that apply_references would make again, and the statements that drop them; those with actions or deferrable ones are somebody''s own';

CREATE FUNCTION mongo_migrate.drop_foreign_keys(server name, referring text, referred text, policy text DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    tables regclass[];
    locked regclass[] := '{}';
    statements text[];
    statement text;
BEGIN
    LOOP
        SELECT array_agg(k.target) || array_agg(k.referred_target), array_agg(k.statement) INTO tables, statements
          FROM mongo_migrate.passing_foreign_keys(server, referring, referred, policy) AS k;
        EXIT WHEN coalesce(tables <@ locked, true);
        PERFORM mongo_migrate.lock_tables(tables, 'ACCESS EXCLUSIVE');
        locked := tables;       -- another session may have made one before
    END LOOP;
    FOREACH statement IN ARRAY coalesce(statements, '{}') LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.drop_foreign_keys(name, text, text, text) IS
    'drops passing_foreign_keys()';

CREATE FUNCTION mongo_migrate.row_key_value(row_key text, column_name name, type text)
    RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    -- A string in jsonb is not its text.
    SELECT format('(%s %s %L)::%s', $1, CASE WHEN $3 IN ('json', 'jsonb') THEN '->' ELSE '->>' END, $2, $3)
$$;
COMMENT ON FUNCTION mongo_migrate.row_key_value(text, name, text) IS
    'SQL for the value, of a type, that a column has in dangling_reference.row_key';

CREATE FUNCTION mongo_migrate.mend_dangling(server name, r mongo_migrate.loaded_reference)
    RETURNS bigint
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    type text;
    same_row text;
    sources text[];         -- missing documents, some at a time
    ids text[];
    come text[];            -- ids of those that are there now
    keys jsonb[];           -- of the rows that refer to them
    last text := '';
    mended bigint;
    result bigint := 0;
BEGIN
    SELECT max(c.type) FILTER (WHERE c.column_name = r.column_name),
           string_agg(format('t.%I = %s', c.column_name, mongo_migrate.row_key_value('found.row_key', c.column_name, c.type)), ' AND ')
               FILTER (WHERE c.role IN ('id', 'parent', 'position', 'key') AND (c.target, c.column_name) IN (
                           SELECT o.target, o.column_name FROM mongo_migrate.key_columns(server, r.collection) o))
      INTO type, same_row
      FROM mongo_migrate.plan_column c
     WHERE (c.server, c.collection, c.target) = (server, r.collection, r.target);
    -- In steps that Citus can do: its tables and those of this node are not changed by one statement.
    LOOP
        SELECT array_agg(m.source_value), max(m.source_value),
               array_agg(CASE WHEN r.by_id THEN mongo_migrate.target_id(server, r.refers_to, m.source_value::json)
                              ELSE m.source_value::json #>> '{}' END)
          INTO sources, last, ids
          FROM (SELECT DISTINCT d.source_value COLLATE "C" AS source_value FROM mongo_migrate.dangling_reference d
                 WHERE (d.server, d.collection, d.target, d.column_name, d.policy)
                     = (server, r.collection, r.target, r.column_name, 'null') AND d.source_value COLLATE "C" > last
                 ORDER BY 1 LIMIT 10000) AS m;
        EXIT WHEN sources IS NULL;
        EXECUTE format('SELECT array_agg(o.%1$I::text) FROM %2$s AS o WHERE o.%1$I = ANY ($1::%3$s[])',
                       r.refers_column, r.refers_target, type)
           INTO come USING ids;
        CONTINUE WHEN come IS NULL;
        WITH gone AS (
            DELETE FROM mongo_migrate.dangling_reference d USING unnest(sources, ids) AS m (source_value, id)
             WHERE (d.server, d.collection, d.target, d.column_name, d.policy, d.source_value)
                 = (server, r.collection, r.target, r.column_name, 'null', m.source_value) AND m.id = ANY (come)
            RETURNING d.row_key, m.id)
        SELECT array_agg(g.row_key), array_agg(g.id) INTO keys, ids FROM gone AS g;
        EXECUTE format('UPDATE %s AS t SET %I = found.id FROM unnest($1, $2::%s[]) AS found (row_key, id)'
                       ' WHERE t.%2$I IS NULL AND %4$s', r.target, r.column_name, type, same_row)
          USING keys, ids;
        GET DIAGNOSTICS mended = ROW_COUNT;
        result := result + mended;
    END LOOP;
    IF result > 0 THEN
        RAISE NOTICE '%.%: references to documents of % that have come: %', r.target, quote_ident(r.column_name),
            r.refers_to, result;
    END IF;
    RETURN result;
END
$$;
COMMENT ON FUNCTION mongo_migrate.mend_dangling(name, mongo_migrate.loaded_reference) IS
    'sets references of a column that were dangling and are no longer; returns their number';

CREATE FUNCTION mongo_migrate.make_reference(target text, foreign_key name, statement text)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE statement;
EXCEPTION WHEN undefined_object THEN
    -- A reset, or a run that catches up, has dropped it; the run after it makes it anew.
    IF foreign_key IS NULL OR EXISTS (SELECT FROM pg_constraint AS k WHERE (k.conrelid, k.conname) = (to_regclass(target), foreign_key)) THEN
        RAISE;
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.make_reference(text, name, text) IS
    'executes a statement that makes a foreign key (foreign_key NULL), or validates it; one that another session has dropped meanwhile is none to validate';

CREATE FUNCTION mongo_migrate.execute_or_settle(server name, r mongo_migrate.loaded_reference, statement text)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM mongo_migrate.make_reference(r.target, r.foreign_key, statement);
EXCEPTION WHEN foreign_key_violation THEN
    PERFORM mongo_migrate.settle_dangling(server, r);
    PERFORM mongo_migrate.make_reference(r.target, r.foreign_key, statement);
END
$$;
COMMENT ON FUNCTION mongo_migrate.execute_or_settle(name, mongo_migrate.loaded_reference, text) IS
    'make_reference(); where references dangle, settles them first';

CREATE FUNCTION mongo_migrate.add_foreign_keys(server name, collection text DEFAULT NULL)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_variable
DECLARE
    r mongo_migrate.loaded_reference;
    touched text[] := CASE WHEN collection IS NOT NULL THEN ARRAY[collection] END;
    moved bigint;
    again boolean;
BEGIN
    PERFORM mongo_migrate.reach_shards();
    -- One at a time: of two collections that end together the second sees the first.
    PERFORM mongo_migrate.await_lock(mongo_migrate.run_lock(server, ''));

    -- A document that goes into quarantine leaves references to it dangling.
    LOOP
        again := false;
        FOR r IN SELECT * FROM mongo_migrate.loaded_references(server, touched) AS l WHERE l.policy = 'quarantine' LOOP
            moved := mongo_migrate.settle_dangling(server, r);
            IF moved > 0 THEN
                touched := CASE WHEN touched IS NOT NULL THEN touched || r.collection::text END;
                again := true;
            END IF;
        END LOOP;
        EXIT WHEN NOT again;
    END LOOP;

    FOR r IN SELECT * FROM mongo_migrate.loaded_references(server, touched) LOOP
        IF r.policy = 'keep' OR r.value_column <> r.column_name THEN
            PERFORM mongo_migrate.settle_dangling(server, r);
        ELSE
            PERFORM mongo_migrate.mend_dangling(server, r);
            IF r.statement IS NULL THEN
                PERFORM mongo_migrate.settle_dangling(server, r);
            END IF;
        END IF;
    END LOOP;
    PERFORM mongo_migrate.lock_tables(ARRAY(
        SELECT unnest(ARRAY[to_regclass(l.target), to_regclass(l.refers_target)]) FROM mongo_migrate.loaded_references(server, touched) AS l
         WHERE l.statement IS NOT NULL AND l.foreign_key IS NULL), 'SHARE ROW EXCLUSIVE');
    -- When no row changes any more: a second change of a row would have its foreign keys checked that are not valid yet.
    FOR r IN
        SELECT * FROM mongo_migrate.loaded_references(server, touched) AS l
         WHERE l.statement IS NOT NULL AND l.foreign_key IS NULL
    LOOP
        PERFORM mongo_migrate.execute_or_settle(server, r, mongo_migrate.unvalidated_ddl(r.target, r.statement));
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.add_foreign_keys(name, text) IS
    'the first half of apply_references(): the foreign keys hold for what is written from then on; validate_foreign_keys() looks at the rows that are there';

CREATE FUNCTION mongo_migrate.validate_foreign_keys(server name)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    r mongo_migrate.loaded_reference;
BEGIN
    PERFORM mongo_migrate.await_lock(mongo_migrate.run_lock(server, ''));
    FOR r IN
        SELECT l.*
          FROM mongo_migrate.loaded_references(server, ARRAY(
                   SELECT t.collection FROM mongo_migrate.plan_target t JOIN pg_constraint k ON k.conrelid = to_regclass(t.target)
                    WHERE t.server = validate_foreign_keys.server AND k.contype = 'f' AND NOT k.convalidated)) l
         WHERE l.foreign_key IS NOT NULL AND NOT l.done
    LOOP
        PERFORM mongo_migrate.execute_or_settle(server, r, mongo_migrate.key_statement(r.target, NULL, r.foreign_key));
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.validate_foreign_keys(name) IS
    'the second half of apply_references(): validates the foreign keys between collections that are not valid yet, while others write to their tables; settles what dangles';

CREATE FUNCTION mongo_migrate.apply_references(server name, collection text DEFAULT NULL)
    RETURNS void
    LANGUAGE sql VOLATILE
    BEGIN ATOMIC
        SELECT mongo_migrate.require_plan(server, collection);
        SELECT mongo_migrate.add_foreign_keys(server, collection);
        SELECT mongo_migrate.validate_foreign_keys(server);
    END;
COMMENT ON FUNCTION mongo_migrate.apply_references(name, text) IS
    'makes the foreign keys of the planned references whose two collections are loaded, from or to one collection or of all; dangling references become NULL or are kept without a foreign key, and are recorded in mongo_migrate.dangling_reference, or put their document into quarantine, as plan_column.on_dangling says; may be called again. Errors: no plan';

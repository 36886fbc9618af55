-- rows.sql: the rows of a plan: id maps, targets and columns, one at a time.

CREATE FUNCTION mongo_migrate.refuse_circle() RETURNS trigger
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF EXISTS (
        WITH RECURSIVE up AS (
            SELECT new.parent AS target
            UNION
            SELECT t.parent FROM up JOIN mongo_migrate.plan_target AS t ON (t.server, t.collection, t.target) = (new.server, new.collection, up.target))
        SELECT FROM up WHERE up.target = new.target)
    THEN
        RAISE check_violation USING
            MESSAGE = format('table %s of the plan of collection "%s" would belong to rows of its own', new.target, new.collection),
            DETAIL = format('Its parent would be %s, and the parents from there on lead back to it.', new.parent);
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mongo_migrate.refuse_circle() IS
    'an error where a target of a plan would be among its own parents, which all that walks up them takes for granted that it is not';

CREATE TRIGGER refuse_circle AFTER INSERT OR UPDATE OF parent ON mongo_migrate.plan_target
    FOR EACH ROW WHEN (new.parent IS NOT NULL) EXECUTE FUNCTION mongo_migrate.refuse_circle();

-- Settings -----------------------------------------------------------------

-- For functions whose own settings these are, which settings.sql sees to.
CREATE FUNCTION mongo_migrate.set_plan_settings(server name, collection text) RETURNS void
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT set_config('TimeZone', p.time_zone, true), set_config('DateStyle', p.date_style, true),
           set_config('IntervalStyle', p.interval_style, true),
           set_config('extra_float_digits', '1', true), set_config('bytea_output', 'hex', true)
    FROM mongo_migrate.plan AS p WHERE (p.server, p.collection) = ($1, $2)
$$;
COMMENT ON FUNCTION mongo_migrate.set_plan_settings(name, text) IS
    'sets what casts and expressions of a plan read and write texts by, until the function that calls this ends';

CREATE FUNCTION mongo_migrate.check_plan_settings() RETURNS trigger
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    PERFORM mongo_migrate.set_plan_settings(new.server, new.collection);
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_plan_settings() IS
    'an error where the settings of a plan are none that PostgreSQL knows';

CREATE TRIGGER check_plan_settings AFTER UPDATE OF time_zone, date_style, interval_style ON mongo_migrate.plan
    FOR EACH ROW EXECUTE FUNCTION mongo_migrate.check_plan_settings();

-- References ---------------------------------------------------------------

CREATE FUNCTION mongo_migrate.value_column(c mongo_migrate.plan_column) RETURNS name
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT o.column_name FROM mongo_migrate.plan_column AS o
    WHERE c.role = 'reference' AND c.refers_key <> '_id'
      AND (o.server, o.collection, o.target, o.path) = (c.server, c.collection, c.target, c.path)
      AND o.role = 'value' AND o.included AND o.expression IS NULL
    ORDER BY o.ordinal LIMIT 1
$$;
COMMENT ON FUNCTION mongo_migrate.value_column(mongo_migrate.plan_column) IS
    'the other column with the field''s value, by which a reference by another field than _id is looked up after the load; NULL: such a reference is the value itself';

CREATE FUNCTION mongo_migrate.holds_ids(c mongo_migrate.plan_column) RETURNS boolean
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT c.role = 'reference' AND (c.refers_key = '_id' OR mongo_migrate.value_column(c) IS NOT NULL)
$$;
COMMENT ON FUNCTION mongo_migrate.holds_ids(mongo_migrate.plan_column) IS
    'whether a column has ids of other documents: a reference by _id, or one that is looked up';

CREATE FUNCTION mongo_migrate.key_match(key text, value text, key_form text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT format('%s = %s', key, CASE key_form
        WHEN 'objectid_text' THEN format('CASE WHEN %1$s ~ ''^[0-9a-fA-F]{24}$'' THEN %1$s::mongo_migrate.objectid END', value)
        -- No number of MongoDB takes more, and numeric refuses some that do.
        WHEN 'number_text' THEN format('CASE WHEN length(%1$s) <= 64 AND %1$s ~ ''^[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]{1,4})?$'''
                                       ' THEN %1$s::numeric END', value)
        ELSE value END)
$$;
COMMENT ON FUNCTION mongo_migrate.key_match(text, text, text) IS
    'SQL for whether a value refers, by a plan''s key_form, to what has a key, both SQL';

-- Ids --------------------------------------------------------------------

CREATE FUNCTION mongo_migrate.is_filled(relation text) RETURNS boolean
    LANGUAGE plpgsql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    filled boolean;
BEGIN
    EXECUTE format('SELECT EXISTS (SELECT 1 FROM %s)', relation) INTO filled;     -- without the 1, Citus makes SQL that is none
    RETURN filled;
END
$$;
COMMENT ON FUNCTION mongo_migrate.is_filled(text) IS
    'whether a table has rows that the caller sees';

CREATE FUNCTION mongo_migrate.has_ids(server name, collection text) RETURNS boolean
    LANGUAGE plpgsql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    map regclass := (SELECT to_regclass(m.relation) FROM mongo_migrate.id_map AS m WHERE (m.server, m.collection) = ($1, $2));
    has boolean := EXISTS (SELECT FROM mongo_migrate.chunk AS k
        WHERE k.server = $1 AND (k.documents > 0 OR map IS NOT NULL) AND (k.collection = $2 OR k.collection IN (
            SELECT c.collection FROM mongo_migrate.plan_column AS c
            WHERE c.server = $1 AND c.refers_to = $2 AND mongo_migrate.holds_ids(c))));
BEGIN
    -- A reset leaves a map without rows.
    IF NOT has AND map IS NOT NULL THEN
        has := mongo_migrate.is_filled(map::text);
    END IF;
    RETURN has;
END
$$;
COMMENT ON FUNCTION mongo_migrate.has_ids(name, text) IS
    'whether documents of a collection may have ids already: its map has some, or documents that have or refer to ids were migrated, or are about to be';

CREATE FUNCTION mongo_migrate.ensure_id_map(server name, collection text, id_type text DEFAULT NULL,
        column_type text DEFAULT NULL) RETURNS mongo_migrate.id_map
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    before mongo_migrate.id_map;
    result mongo_migrate.id_map;
    proposal record;
BEGIN
    SELECT * INTO before FROM mongo_migrate.id_map AS m
    WHERE m.server = server AND m.collection = collection;
    IF FOUND AND (id_type IS NULL OR (id_type = before.id_type AND
                  coalesce(column_type, before.column_type) = before.column_type)) THEN
        RETURN before;
    END IF;
    IF id_type <> before.id_type AND mongo_migrate.has_ids(server, collection) THEN
        RAISE EXCEPTION USING ERRCODE = 'object_in_use',
            MESSAGE = format('ids of collection "%s" are of type %s already', collection, before.id_type),
            DETAIL = 'Documents that have or refer to these ids were migrated, or are about to be.',
            HINT = format('Plan it with id_type => %L.', before.id_type);
    END IF;
    IF id_type <> before.id_type AND to_regclass(before.relation) IS NOT NULL THEN
        EXECUTE format('DROP TABLE %s', before.relation);
    END IF;

    IF id_type IS NULL OR (id_type = 'source' AND column_type IS NULL) THEN
        SELECT * INTO proposal FROM mongo_migrate.propose_id(server, collection);
        column_type := CASE WHEN id_type IS NULL THEN proposal.column_type ELSE proposal.source_type END;
        id_type := coalesce(id_type, proposal.id_type);
    END IF;
    PERFORM mongo_migrate.pass_numbers('id_map', 'map_number');
    INSERT INTO mongo_migrate.id_map AS m (server, collection, id_type, column_type)
    VALUES (server, collection, id_type,
            coalesce(column_type, id_type))
    ON CONFLICT ON CONSTRAINT id_map_pkey
        DO UPDATE SET id_type = excluded.id_type, column_type = excluded.column_type,
            relation = CASE WHEN excluded.id_type = m.id_type THEN m.relation END
    RETURNING * INTO result;

    -- Tables that are still to be created follow.
    UPDATE mongo_migrate.plan_column AS c SET type = result.column_type
    FROM mongo_migrate.plan_target AS t
    WHERE (t.server, t.collection, t.target) = (c.server, c.collection, c.target)
      AND NOT t.existing AND c.role = 'reference' AND c.type = before.column_type
      AND c.server = server AND c.refers_to = collection AND mongo_migrate.holds_ids(c);
    RETURN result;
END
$$;
COMMENT ON FUNCTION mongo_migrate.ensure_id_map(name, text, text, text) IS
    'the id_map row of a collection, made when there is none; id_type NULL: by its _id values, column_type NULL: by id_type';

-- Writing a plan -----------------------------------------------------------

CREATE FUNCTION mongo_migrate.is_system_schema(schema text) RETURNS boolean
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$ SELECT schema ~ '^pg_' OR schema IN ('information_schema', 'mongo_migrate') $$;
COMMENT ON FUNCTION mongo_migrate.is_system_schema(text) IS
    'whether a schema is PostgreSQL''s, a session''s own or the extension''s, where no table of documents belongs';

CREATE FUNCTION mongo_migrate.plan_relation(server name, collection text, target text, explicit boolean)
    RETURNS regclass
    LANGUAGE plpgsql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    relation regclass := to_regclass(target);
    kind "char" := (SELECT relkind FROM pg_class WHERE oid = relation);
BEGIN
    -- What was created for a plan is created for the one that follows it, too, and gets its keys.
    IF relation IS NULL OR EXISTS (SELECT FROM mongo_migrate.plan AS p
                                   WHERE (p.server, p.collection) = ($1, $2) AND target = ANY (p.created)) THEN
        RETURN NULL;
    ELSIF kind IN ('r', 'p') THEN
        RETURN relation;
    END IF;
    IF explicit THEN
        RAISE EXCEPTION USING ERRCODE = 'wrong_object_type',
            MESSAGE = format('%s is not a table', target),
            HINT = 'Name another target.';
    END IF;
    RETURN NULL;
END
$$;
COMMENT ON FUNCTION mongo_migrate.plan_relation(name, text, text, boolean) IS
    'the existing table of that qualified name; NULL: there is none, or it was made for an earlier plan of the collection';

CREATE FUNCTION mongo_migrate.lock_name(target text) RETURNS void
    LANGUAGE c VOLATILE STRICT PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'mm_lock_name';
COMMENT ON FUNCTION mongo_migrate.lock_name(text) IS
    'keeps other sessions from planning or making a table of this qualified name until the transaction ends; what they have made before is seen';

CREATE FUNCTION mongo_migrate.free_target(schema text, wanted text, created text[] DEFAULT NULL) RETURNS text
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    start constant text := left(wanted, 8);     -- which free_name() keeps
    free text;
    locked text;
BEGIN
    LOOP
        free := format('%I.%I', schema, mongo_migrate.free_name(wanted, ARRAY(
            SELECT c.relname::text FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
            WHERE n.nspname = schema AND starts_with(c.relname, start)
              AND (c.relkind NOT IN ('r', 'p') OR format('%I.%I', n.nspname, c.relname) <> ALL (created))
            UNION ALL
            SELECT (parse_ident(t.target))[2] FROM mongo_migrate.plan_target AS t
            WHERE mongo_migrate.may_be_named(t.target, start) AND (parse_ident(t.target))[1] = schema)));
        EXIT WHEN free = locked;
        -- Another session may just have planned it.
        PERFORM mongo_migrate.lock_name(free);
        locked := free;
    END LOOP;
    RETURN free;
END
$$;
COMMENT ON FUNCTION mongo_migrate.free_target(text, text, text[]) IS
    'a qualified table name that no plan uses, nor one that another session makes until this transaction ends; an existing table may bear it: one of those created, NULL: any';

CREATE FUNCTION mongo_migrate.add_plan_column(new mongo_migrate.plan_column, relation regclass) RETURNS name
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
BEGIN
    new.included := coalesce(new.included, true);
    new.required := coalesce(new.required, false);
    new.is_unique := coalesce(new.is_unique, false);
    new.refers_key := coalesce(new.refers_key, '_id');
    new.key_form := coalesce(new.key_form, 'exact');
    new.on_dangling := coalesce(new.on_dangling, 'null');
    -- A name that is in the table already was matched, and is meant.
    IF (relation IS NULL OR NOT new.included) AND (
            EXISTS (SELECT FROM mongo_migrate.plan_column AS c
                    WHERE (c.server, c.collection, c.target, c.column_name) =
                          (new.server, new.collection, new.target, new.column_name))
            OR EXISTS (SELECT FROM pg_attribute AS a
                       WHERE a.attrelid IN (relation, 'pg_class'::regclass) AND a.attname = new.column_name
                         AND (a.attrelid = relation OR a.attnum < 0))) THEN
        new.column_name := mongo_migrate.free_name(new.column_name, ARRAY(
            SELECT c.column_name::text FROM mongo_migrate.plan_column AS c
            WHERE (c.server, c.collection, c.target) = (new.server, new.collection, new.target)
            UNION ALL
            SELECT attname::text FROM pg_attribute WHERE attrelid = relation
            UNION ALL
            SELECT attname::text FROM pg_attribute WHERE attrelid = 'pg_class'::regclass AND attnum < 0));
    END IF;
    new.ordinal := (SELECT coalesce(max(c.ordinal), 0) + 1 FROM mongo_migrate.plan_column AS c
                    WHERE (c.server, c.collection, c.target) = (new.server, new.collection, new.target));
    INSERT INTO mongo_migrate.plan_column SELECT new.*;
    RETURN new.column_name;
END
$$;
COMMENT ON FUNCTION mongo_migrate.add_plan_column(mongo_migrate.plan_column, regclass) IS
    'adds a column to a plan, last, under a name that is free; what says nothing of references, uniqueness and the like gets the defaults of plan_column';

CREATE FUNCTION mongo_migrate.used_columns(server name, collection text, target text) RETURNS text[]
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT ARRAY(SELECT c.column_name::text FROM mongo_migrate.plan_column AS c
                 WHERE (c.server, c.collection, c.target) = ($1, $2, $3))
$$;
COMMENT ON FUNCTION mongo_migrate.used_columns(name, text, text) IS
    'the names of the columns that a plan has for a target';

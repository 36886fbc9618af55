-- apply_ddl.sql: the tables of a plan, made.

CREATE FUNCTION mongo_migrate.make_shared(statement text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    EXECUTE statement;
EXCEPTION WHEN duplicate_schema OR duplicate_object OR duplicate_table OR unique_violation THEN
    NULL;   -- another session was making it, and has committed
END
$$;
COMMENT ON FUNCTION mongo_migrate.make_shared(text) IS
    'executes a statement that creates what other plans need too, unless another session has done so meanwhile';

CREATE FUNCTION mongo_migrate.make_schema(name text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    IF to_regnamespace(quote_ident((parse_ident(name))[1])) IS NULL THEN
        PERFORM mongo_migrate.make_shared(format('CREATE SCHEMA %I', (parse_ident(name))[1]));
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.make_schema(text) IS
    'creates the schema of a qualified name if it is not there';

CREATE FUNCTION mongo_migrate.make_enumerations(server name, collection text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    e record;
BEGIN
    FOR e IN SELECT * FROM mongo_migrate.enumeration_ddl(server, collection) AS d WHERE NOT d.done LOOP
        PERFORM mongo_migrate.make_schema(e.name);
        PERFORM mongo_migrate.make_shared(e.statement);
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.make_enumerations(name, text) IS
    'makes the enum types of a collection''s plan that do not exist, and its lookup tables, with a row for each label';

CREATE FUNCTION mongo_migrate.try_keys(server name, collection text) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path = pg_catalog, pg_temp
    SET lock_timeout = '1s'
    AS $$
DECLARE
    key record;
BEGIN
    FOR key IN
        SELECT * FROM mongo_migrate.plan_keys(server, collection) AS k
        WHERE NOT k.done AND NOT starts_with(k.kind, 'foreign key')
          AND (mongo_migrate.citus_distribution(to_regclass(k.target))).kind IS NULL     -- Citus would make them on every node
    LOOP
        EXECUTE key.statement;
    END LOOP;
    RAISE EXCEPTION USING ERRCODE = 'MM000', MESSAGE = 'the keys can be made';
EXCEPTION
    WHEN SQLSTATE 'MM000' OR integrity_constraint_violation THEN
        NULL;       -- of rows that are there already, the run tells
    WHEN lock_not_available THEN
        NULL;       -- others write to them
    WHEN insufficient_privilege THEN
        RAISE;      -- not the plan's fault
    WHEN syntax_error_or_access_rule_violation OR feature_not_supported OR data_exception OR program_limit_exceeded THEN
        IF NOT EXISTS (SELECT FROM mongo_migrate.plan_keys(server, collection) AS k
                       WHERE (k.target, k.statement) = (key.target, key.statement) AND NOT k.done) THEN
            RETURN;     -- a run has made it, while this waited for the table
        END IF;
        RAISE EXCEPTION USING ERRCODE = 'invalid_object_definition',
            MESSAGE = format('the plan of collection "%s" is wrong at %s: %s', collection, key.target, SQLERRM),
            DETAIL = format('The statement is: %s', key.statement),
            HINT = coalesce('To leave it out: ' || key.remedy, 'Correct the types of its columns in mongo_migrate.plan_column.');
END
$$;
COMMENT ON FUNCTION mongo_migrate.try_keys(name, text) IS
    'makes the primary keys, unique constraints, indexes and checks of a collection''s tables while these are empty, and takes them back: an error for what could not be made after the load either, with the edit of the plan that leaves it out; nothing is tried where others have them locked, nor for tables that Citus has distributed already';

CREATE FUNCTION mongo_migrate.apply_ddl(server name, collection text DEFAULT NULL)
    RETURNS TABLE (target text, action text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    planned mongo_migrate.plan;
    table_plan mongo_migrate.plan_target;
    trouble record;
    map mongo_migrate.id_map;
    statement text;
    copied boolean;         -- whether documents were
    created text[];         -- tables
BEGIN
    PERFORM mongo_migrate.require_plan(server, collection);
    FOR planned IN SELECT * FROM mongo_migrate.plan AS p
             WHERE p.server = server AND p.collection = coalesce(collection, p.collection)
             ORDER BY p.collection COLLATE "C"
    LOOP
        FOR trouble IN SELECT * FROM mongo_migrate.check_plan(server, planned.collection) LOOP
            IF trouble.severity = 'error' THEN
                RAISE EXCEPTION USING ERRCODE = 'invalid_object_definition',
                    MESSAGE = format('the plan of collection "%s" is wrong at %s%s: %s', planned.collection, trouble.target,
                                     coalesce('.' || quote_ident(trouble.column_name), ''), trouble.problem),
                    HINT = trouble.hint;
            END IF;
            RAISE WARNING '%', concat_ws(': ', trouble.target || coalesce('.' || quote_ident(trouble.column_name), ''), trouble.problem)
                USING HINT = trouble.hint;
        END LOOP;

        PERFORM mongo_migrate.set_plan_settings(server, planned.collection);
        copied := EXISTS (SELECT FROM mongo_migrate.chunk AS k
                          WHERE (k.server, k.collection) = (server, planned.collection) AND k.documents > 0);
        PERFORM mongo_migrate.make_enumerations(server, planned.collection);
        created := '{}';
        FOR table_plan IN SELECT * FROM mongo_migrate.plan_target AS t
                 WHERE (t.server, t.collection) = (server, planned.collection) AND t.included
                   AND to_regclass(t.target) IS NULL ORDER BY t.ordinal
        LOOP
            IF copied THEN
                RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
                    MESSAGE = format('table %s does not exist, and documents of collection "%s" were migrated',
                                     table_plan.target, planned.collection),
                    DETAIL = 'They would be taken to have their rows in it.',
                    HINT = format('If it has another name now: %s To migrate them anew: SELECT mongo_migrate.reset_collection(%L, %L, truncate => true); or without that table: %s',
                                  mongo_migrate.mend_target(table_plan, 'target = ''...'''), server, planned.collection,
                                  mongo_migrate.mend_target(table_plan, 'included = false'));
            END IF;
            PERFORM mongo_migrate.make_schema(table_plan.target);
            -- Another session may be making it.
            PERFORM mongo_migrate.lock_name(table_plan.target);
            CONTINUE WHEN to_regclass(table_plan.target) IS NOT NULL;
            EXECUTE mongo_migrate.table_ddl(server, planned.collection, table_plan.target);
            FOR statement IN SELECT mongo_migrate.comment_ddl(server, planned.collection, table_plan.target) LOOP
                EXECUTE statement;
            END LOOP;
            created := created || table_plan.target;
        END LOOP;
        IF NOT copied THEN
            PERFORM mongo_migrate.try_keys(server, planned.collection);
        END IF;
        FOR target, statement IN
            SELECT t.target, d.statement
            FROM mongo_migrate.plan_target AS t
                LEFT JOIN mongo_migrate.plan_distributions(server, planned.collection) AS d ON d.target = t.target AND NOT d.done
            WHERE (t.server, t.collection) = (server, planned.collection) AND t.included ORDER BY t.ordinal
        LOOP
            IF statement IS NOT NULL THEN
                PERFORM mongo_migrate.reach_shards();
                EXECUTE statement;
            END IF;
            action := coalesce(nullif(concat_ws(', ', CASE WHEN target = ANY (created) THEN 'created' END,
                                                CASE WHEN statement IS NOT NULL THEN 'distributed' END), ''), 'exists');
            RETURN NEXT;
        END LOOP;
    END LOOP;
    -- After all tables: a session that makes the tables of one collection has their names, and then its map.
    FOR map IN
        SELECT m.* FROM mongo_migrate.id_map AS m
        WHERE m.server = server AND m.id_type <> 'source' AND EXISTS (
            SELECT FROM mongo_migrate.plan AS p
            WHERE p.server = server AND p.collection = coalesce(collection, p.collection)
              AND (p.collection = m.collection OR EXISTS (
                       SELECT FROM mongo_migrate.plan_column AS c
                       WHERE (c.server, c.collection, c.refers_to) = (server, p.collection, m.collection) AND c.included
                         AND mongo_migrate.holds_ids(c))))
        ORDER BY m.collection COLLATE "C"
    LOOP
        PERFORM mongo_migrate.create_id_map(server, map.collection);
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.apply_ddl(name, text) IS
    'creates the planned tables, enum types and lookup tables that do not exist, without keys, distributes those that the plan says, and makes the id maps; collection NULL: of every planned one; an error where the plan or an existing table does not fit';

-- check_plan.sql: what is wrong with a plan, and the statements that mend it.

CREATE FUNCTION mongo_migrate.require_plan(server name, collection text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
BEGIN
    PERFORM mongo_migrate.require_source(server);
    IF NOT EXISTS (SELECT FROM mongo_migrate.plan AS p
                   WHERE p.server = server AND p.collection = coalesce(collection, p.collection)) THEN
        RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state',
            MESSAGE = CASE WHEN collection IS NULL THEN format('server "%s" has no plan', server)
                ELSE format('collection "%s" of server "%s" has no plan', collection, server) END,
            HINT = format('SELECT mongo_migrate.plan_collection(%L, %L);', server, coalesce(collection, '...'));
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.require_plan(name, text) IS
    'an error when the collection, or no collection of the server, is planned';

CREATE FUNCTION mongo_migrate.require_collection(server name, collection text)
    RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
BEGIN
    IF NOT EXISTS (SELECT FROM mongo_migrate.list_collections(server)
                    WHERE collection = require_collection.collection) THEN
        RAISE fdw_table_not_found USING
            MESSAGE = format('collection "%s" of server "%s" does not exist%s', collection, server,
                CASE WHEN EXISTS (SELECT FROM mongo_migrate.plan AS p WHERE (p.server, p.collection) = ($1, $2)) THEN ' any more' END),
            HINT = format('SELECT * FROM mongo_migrate.list_collections(%L) lists the collections.', server);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.require_collection(name, text) IS
    'an error where a collection is not in the source';

-- MongoDB compares documents with the order of their fields, and a filter, which is jsonb, does not keep that.
CREATE FUNCTION mongo_migrate.filter_document(part jsonb, is_value boolean DEFAULT false) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    operators constant boolean := jsonb_typeof(part) = 'object' AND EXISTS (SELECT FROM jsonb_object_keys(part) AS k WHERE starts_with(k, '$'));
BEGIN
    IF jsonb_typeof(part) = 'array' THEN
        RETURN (SELECT d FROM jsonb_array_elements(part) WITH ORDINALITY AS e (v, n), mongo_migrate.filter_document(e.v, is_value) AS d
                WHERE d IS NOT NULL ORDER BY e.n LIMIT 1);
    ELSIF jsonb_typeof(part) <> 'object' OR (is_value AND operators) THEN
        RETURN NULL;    -- a scalar, which may be a wrapper of Extended JSON
    ELSIF is_value AND (SELECT count(*) > 1 FROM jsonb_object_keys(part)) THEN
        RETURN part;
    END IF;
    RETURN (SELECT d FROM jsonb_each(part) AS e,
                LATERAL (SELECT CASE
                    WHEN is_value OR e.key IN ('$eq', '$ne', '$gt', '$gte', '$lt', '$lte', '$in', '$nin', '$all') THEN mongo_migrate.filter_document(e.value, true)
                    WHEN e.key IN ('$and', '$or', '$nor', '$not', '$elemMatch') THEN mongo_migrate.filter_document(e.value)
                    WHEN starts_with(e.key, '$') THEN NULL
                    ELSE mongo_migrate.filter_document(e.value, NOT EXISTS (
                        SELECT FROM jsonb_object_keys(CASE jsonb_typeof(e.value) WHEN 'object' THEN e.value ELSE '{}' END) AS k WHERE starts_with(k, '$')))
                    END AS d) AS f
            WHERE d IS NOT NULL LIMIT 1);
END
$$;
COMMENT ON FUNCTION mongo_migrate.filter_document(jsonb, boolean) IS
    'a document of several fields that a match document compares as a whole; NULL: there is none; is_value: part is a value to compare with';

CREATE FUNCTION mongo_migrate.check_filter(t mongo_migrate.plan_target, OUT problem text, OUT hint text, OUT severity text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    document constant jsonb := mongo_migrate.filter_document(t.filter);
    detail text;
BEGIN
    severity := 'error';
    hint := mongo_migrate.mend_target(t, 'filter = ''{...}''');
    IF t.filter IS NULL THEN
        RETURN;
    ELSIF t.kind <> 'root' THEN
        problem := 'only tables of kind root have a filter';
        RETURN;
    ELSIF jsonb_typeof(t.filter) <> 'object' THEN
        problem := 'filter: a match document is an object such as {"deleted": false}';
        RETURN;
    END IF;
    -- explain has the server parse the filter, and does not read.
    PERFORM mongo_migrate.run_command(t.server, json_build_object(
        'explain', json_build_object('find', t.collection, 'filter', t.filter), 'verbosity', 'queryPlanner'));
    IF document IS NOT NULL THEN
        severity := 'warning';
        problem := format('the filter compares with %s as a whole, which matches fields in this order alone', document);
        hint := 'Compare each of the fields: {"address.city": "Rome", "address.zip": "1"}.';
    END IF;
EXCEPTION WHEN fdw_error OR invalid_parameter_value THEN
    GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
    problem := 'filter: ' || coalesce(nullif(detail, ''), SQLERRM);
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_filter(mongo_migrate.plan_target) IS
    'what is wrong with the filter of a target, and what mends it; NULL: nothing';

CREATE FUNCTION mongo_migrate.lacking_schema_rights(schema text, relation text) RETURNS TABLE (object text, lacking text)
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT format('SCHEMA %I', n.nspname), string_agg(r.name, ', ' ORDER BY r.name DESC)
    FROM pg_namespace AS n, (VALUES ('USAGE'), ('CREATE')) AS r (name)
    WHERE n.nspname = schema AND NOT has_schema_privilege(n.oid, r.name)
      AND (r.name = 'USAGE' OR NOT EXISTS (SELECT FROM pg_class AS c WHERE (c.relnamespace, c.relname) = (n.oid, relation)))
    GROUP BY n.nspname
    UNION ALL
    SELECT format('DATABASE %I', current_database()), 'CREATE'
    WHERE NOT EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = schema) AND NOT has_database_privilege(current_database(), 'CREATE')
$$;
COMMENT ON FUNCTION mongo_migrate.lacking_schema_rights(text, text) IS
    'the rights that one has not, and needs to use a relation of a schema, or to create it where it is not there: GRANT <lacking> ON <object>';

CREATE FUNCTION mongo_migrate.require_schemas(server name, collection text) RETURNS void
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    t record;
BEGIN
    -- Of what lies in a schema that one may not use, nothing can be asked, not even whether it is there.
    SELECT p.collection, p.target, l.object INTO t
    FROM mongo_migrate.plan_target AS p, parse_ident(p.target) AS n, mongo_migrate.lacking_schema_rights(n[1], n[2]) AS l
    WHERE p.server = $1 AND p.included AND l.lacking ~ 'USAGE'
      AND ($2 IS NULL OR p.collection = $2
           OR p.collection IN (SELECT c.refers_to FROM mongo_migrate.plan_column AS c WHERE (c.server, c.collection) = ($1, $2) AND c.included))
    ORDER BY p.collection, p.ordinal LIMIT 1;
    IF FOUND THEN
        RAISE insufficient_privilege USING
            MESSAGE = format('permission denied for %s', replace(t.object, 'SCHEMA', 'schema')),
            DETAIL = format('Table %s of the plan of collection "%s" is in it.', t.target, t.collection),
            HINT = format('GRANT USAGE ON %s TO %I;', t.object, current_user);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.require_schemas(name, text) IS
    'an error where a table of the plan of a collection, or of one that it refers to, is in a schema that one may not use; NULL: of any collection';

CREATE FUNCTION mongo_migrate.check_target_name(t mongo_migrate.plan_target, OUT problem text, OUT hint text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    names constant text[] := parse_ident(t.target);
    other text;
BEGIN
    IF cardinality(names) = 1 THEN
        problem := format('target "%s" has no schema', t.target);
        hint := mongo_migrate.mend_target(t, format('target = %L', 'public.' || t.target));
    ELSIF mongo_migrate.is_system_schema(names[1]) THEN
        problem := format('schema "%s" belongs to the system', names[1]);
        hint := mongo_migrate.mend_target(t, format('target = %L', 'public.' || quote_ident(names[2])));
    ELSIF greatest(octet_length(names[1]), octet_length(names[2])) > 63 THEN
        problem := format('target "%s" has a name of more than 63 bytes, which PostgreSQL would cut', t.target);
        hint := mongo_migrate.mend_target(t, format('target = %L', format('%I.%I', names[1]::name, names[2]::name)));
    ELSIF NOT starts_with(t.target, '"') AND EXISTS (SELECT FROM pg_get_keywords() AS k WHERE k.word = names[1] AND k.catcode IN ('R', 'T')) THEN
        problem := format('"%s" is a reserved word, and the name of a schema only in quotes', names[1]);
        hint := mongo_migrate.mend_target(t, format('target = %L', format('%I.%I', names[1], names[2])));
    ELSIF NOT t.existing THEN
        SELECT o.target INTO other FROM mongo_migrate.plan_target AS o
        WHERE (o.server, o.collection) = (t.server, t.collection) AND o.included AND o.target <> t.target
          AND lower(replace(o.target, '"', '')) = lower(replace(t.target, '"', '')) AND parse_ident(o.target, false) = names
        ORDER BY o.ordinal LIMIT 1;
        IF FOUND THEN
            problem := format('target %s is the same table', other);
            hint := mongo_migrate.mend_target(t, 'target = ''schema.table''');
        END IF;
    END IF;
    IF problem IS NULL THEN
        SELECT format('%I lacks a right: %s on %s', current_user, r.lacking, r.object),
               format('GRANT %s ON %s TO %I; or in another schema: %s', r.lacking, r.object, current_user,
                      mongo_migrate.mend_target(t, 'target = ''schema.table'''))
          INTO problem, hint
        FROM mongo_migrate.lacking_schema_rights(names[1], names[2]) AS r;
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_target_name(mongo_migrate.plan_target) IS
    'what is wrong with the name of a target, and the statement that mends it; NULL: nothing';

CREATE FUNCTION mongo_migrate.check_child_key(t mongo_migrate.plan_target, OUT problem text, OUT hint text, OUT severity text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    -- id and, for each array or map on the way, the position or name: p1, p2, ...
    wanted constant text[] := ARRAY(SELECT CASE c.depth WHEN 0 THEN 'id' ELSE 'p' || c.depth END
                                    FROM mongo_migrate.target_chain(t.server, t.collection, t.target) AS c ORDER BY c.depth);
    there constant text[] := ARRAY(SELECT mongo_migrate.key_source(c.server, c.collection, c.target, c.column_name)
                                   FROM mongo_migrate.plan_column AS c
                                   WHERE (c.server, c.collection, c.target) = (t.server, t.collection, t.target) AND c.included);
BEGIN
    IF EXISTS (SELECT FROM mongo_migrate.plan_column AS c
               WHERE (c.server, c.collection, c.target, c.role) = (t.server, t.collection, t.target, 'parent') AND c.included
                 AND NOT EXISTS (SELECT FROM mongo_migrate.plan_column AS o
                                 WHERE (o.server, o.collection, o.target, o.column_name) = (t.server, t.collection, t.parent, c.parent_column)))
    THEN
        RETURN;     -- which is told of the column
    ELSIF 'id' <> ALL (there) IS NOT FALSE THEN
        severity := 'error';
        problem := 'it has no column of role parent for the id of the document';
        hint := 'Rows are known by it; plan a column of role parent with the parent''s key column as parent_column.';
    ELSIF NOT t.existing AND NOT there @> wanted THEN
        severity := 'warning';
        problem := 'its primary key is without a position, and cannot be made where a document has several rows';
        hint := 'Plan columns of role position (key, in a map) for its rows, and of role parent for those of its parents.';
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_child_key(mongo_migrate.plan_target) IS
    'what is wrong with the key of a target that has a parent, and what mends it; NULL: nothing';

CREATE FUNCTION mongo_migrate.check_table(target text, relation regclass) RETURNS TABLE (problem text, hint text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
    WITH parts AS (SELECT relation AS relid UNION SELECT p.relid FROM pg_partition_tree(relation) AS p)
    (SELECT format('constraint %I is checked at the commit, and what violates it fails its batch', k.conname),
            CASE k.contype WHEN 'f' THEN format('ALTER TABLE %s ALTER CONSTRAINT %I DEFERRABLE INITIALLY IMMEDIATE;', target, k.conname)
                ELSE 'Drop it, and make it again when all documents are copied.' END
     FROM pg_constraint AS k WHERE k.conrelid = relation AND k.condeferred ORDER BY k.conname)
    UNION ALL
    SELECT format('its row security may hide rows from %s: a second run could copy their documents again, or into quarantine', quote_ident(current_user)),
           'Migrate as its owner, or as a role with BYPASSRLS.'
    WHERE row_security_active(relation)
    UNION ALL
    (SELECT format('%s is unlogged: a crash of the server empties it, while its documents count as copied',
                   CASE p.relid WHEN relation THEN 'it' ELSE 'partition ' || p.relid::regclass END),
            format('ALTER TABLE %s SET LOGGED;', p.relid::regclass)
     FROM parts AS p WHERE (SELECT c.relpersistence = 'u' AND c.relkind <> 'p' FROM pg_class AS c WHERE c.oid = p.relid)
     ORDER BY p.relid <> relation, p.relid::regclass::text)
    UNION ALL
    (SELECT format('%s %I%s may change rows of documents, or leave them out', w.kind, w.name,
                   CASE WHEN w.relid <> relation THEN ' of partition ' || w.relid::regclass END),
            format('If it does: ALTER TABLE %s DISABLE %s %I; and ENABLE it when all documents are copied.', w.relid::regclass, upper(w.kind), w.name)
     FROM (SELECT 'trigger' AS kind, p.relid, t.tgname AS name FROM parts AS p JOIN pg_trigger AS t ON t.tgrelid = p.relid
           -- FOR EACH ROW, BEFORE, and INSERT, of its own. A view is written by INSTEAD OF, or a rule.
           WHERE NOT t.tgisinternal AND t.tgparentid = 0 AND t.tgtype & 7 = 7 AND t.tgenabled IN ('O', 'A')
           UNION ALL
           SELECT 'rule', c.oid, r.rulename FROM pg_rewrite AS r JOIN pg_class AS c ON c.oid = r.ev_class
           WHERE r.ev_class = relation AND r.ev_type = '3' AND r.ev_enabled IN ('O', 'A') AND c.relkind <> 'v') AS w
     ORDER BY w.kind DESC, w.relid <> relation, w.relid::regclass::text, w.name)
    UNION ALL
    SELECT format('%s has no right to %s there', quote_ident(current_user), string_agg(r.name, ', ')),
           format('GRANT SELECT, INSERT, UPDATE, DELETE ON %s TO %I;', target, current_user)
    FROM (VALUES ('SELECT'), ('INSERT')) AS r (name)
    WHERE NOT has_any_column_privilege(relation, r.name) HAVING count(*) > 0
$$;
COMMENT ON FUNCTION mongo_migrate.check_table(text, regclass) IS
    'what could go wrong as a table that is there is filled, and what mends it';

CREATE FUNCTION mongo_migrate.check_relation(t mongo_migrate.plan_target, relation regclass) RETURNS TABLE (problem text, hint text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT format('table %s does not exist', t.target), 'To have it created: ' || mongo_migrate.mend_target(t, 'existing = false')
    WHERE t.existing AND relation IS NULL
    UNION ALL
    SELECT 'it is not a table', mongo_migrate.mend_target(t, 'target = ''schema.table''')
    FROM pg_class AS r WHERE r.oid = relation AND r.relkind NOT IN ('r', 'p', 'f', 'v')
$$;
COMMENT ON FUNCTION mongo_migrate.check_relation(mongo_migrate.plan_target, regclass) IS
    'what is wrong with the relation that has a target''s name, or that there is none, and what mends it';

CREATE FUNCTION mongo_migrate.check_target(t mongo_migrate.plan_target, relation regclass)
    RETURNS TABLE (problem text, hint text, severity text)
    LANGUAGE sql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
    (SELECT format('collection "%s" of server "%s" has the same table: a verification of one calls the rows of the other extra, '
                   'and reset_collection(truncate => true) empties both', o.collection, o.server),
            'To have a table of its own: ' || mongo_migrate.mend_target(t, 'target = ''schema.table'', existing = false'), 'warning'
     FROM mongo_migrate.plan_target AS o
     WHERE (o.server, o.collection) <> (t.server, t.collection) AND o.included
       -- Of what lies in a schema that one may not use, to_regclass() is an error.
       AND (o.target = t.target OR mongo_migrate.may_be_named(o.target, (SELECT r.relname FROM pg_class AS r WHERE r.oid = relation)) AND CASE
               WHEN cardinality(parse_ident(o.target)) = 1 OR EXISTS (
                   SELECT FROM pg_namespace AS n WHERE n.nspname = (parse_ident(o.target))[1] AND has_schema_privilege(n.oid, 'USAGE'))
               THEN to_regclass(o.target) = relation END)
     ORDER BY o.server, o.collection LIMIT 1)
    UNION ALL
    SELECT 'it has no column of role id',
           -- Of several jobs, one may fill a table of the extension before that which it refers to.
           concat_ws(' ', 'Rows are known by their id; plan a column for path _id with role id.',
                     CASE WHEN NOT EXISTS (SELECT FROM mongo_migrate.plan_column AS c WHERE (c.server, c.collection, c.target) = (t.server, t.collection, t.target))
                          THEN 'It has no column at all: where pg_restore -j had errors, restore anew, without -j, or with session_replication_role = replica.' END), 'error'
    WHERE t.kind = 'root'
      AND NOT EXISTS (SELECT FROM mongo_migrate.plan_column AS c
                      WHERE (c.server, c.collection, c.target, c.role) = (t.server, t.collection, t.target, 'id') AND c.included)
    UNION ALL
    SELECT format('it stands before its parent %s', p.target), mongo_migrate.mend_target(t, format('ordinal = %s', p.ordinal + 1)), 'error'
    FROM mongo_migrate.plan_target AS p
    WHERE (p.server, p.collection, p.target) = (t.server, t.collection, t.parent) AND (p.ordinal, p.target) > (t.ordinal, t.target)
    UNION ALL
    (SELECT format('foreign key %I refuses documents whose reference leads nowhere, and column %I is to keep such references', k.conname, c.column_name),
            format('ALTER TABLE %s DROP CONSTRAINT %I;', t.target, k.conname), 'warning'
     FROM mongo_migrate.plan_column AS c JOIN pg_attribute AS a ON (a.attrelid, a.attname) = (relation, c.column_name)
         JOIN pg_constraint AS k ON (k.conrelid, k.contype, k.conkey) = (a.attrelid, 'f', ARRAY[a.attnum])
     WHERE (c.server, c.collection, c.target, c.on_dangling) = (t.server, t.collection, t.target, 'keep') AND c.refers_to IS NOT NULL AND c.included
     ORDER BY k.conname)
    UNION ALL
    SELECT k.problem, k.hint, k.severity FROM mongo_migrate.check_child_key(t) AS k WHERE t.kind <> 'root' AND k.problem IS NOT NULL
    UNION ALL
    SELECT 'it has more columns than PostgreSQL''s 1600',
           'Set included = false for some, or plan a sub-document as one column of type jsonb.', 'error'
    FROM mongo_migrate.plan_column AS c
    WHERE (c.server, c.collection, c.target) = (t.server, t.collection, t.target) AND c.included HAVING count(*) > 1600
    UNION ALL
    SELECT k.problem, k.hint, k.severity FROM mongo_migrate.check_filter(t) AS k WHERE k.problem IS NOT NULL
$$;
COMMENT ON FUNCTION mongo_migrate.check_target(mongo_migrate.plan_target, regclass) IS
    'what is wrong with a target of a plan as a whole, and what mends it';

CREATE FUNCTION mongo_migrate.check_columns(t mongo_migrate.plan_target, relation regclass)
    RETURNS TABLE (column_name name, problem text, hint text, severity text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_column
DECLARE
    base text := mongo_migrate.target_base(t.server, t.collection, t.target);
    field mongo_migrate.plan_column;
BEGIN
    IF t.kind <> 'root' AND NOT EXISTS (
            SELECT FROM mongo_migrate.plan_path AS p
            WHERE (p.server, p.collection, p.path) = (t.server, t.collection, base)
               OR (t.kind = 'map' AND (p.server, p.collection, p.path) = (t.server, t.collection, left(base, -2)) AND p.types ? 'object')) THEN
        RETURN QUERY
            SELECT NULL::name, format('no document read has %s at path "%s"',
                                      CASE t.kind WHEN 'map' THEN 'a sub-document' ELSE 'an array with elements' END, left(base, -2)),
                   mongo_migrate.mend_target(t, 'path = ''...'''), 'warning';
        base := NULL;
    END IF;
    FOR field IN SELECT * FROM mongo_migrate.plan_column AS c
                 WHERE (c.server, c.collection, c.target) = (t.server, t.collection, t.target) AND c.included ORDER BY c.ordinal
    LOOP
        RETURN QUERY SELECT field.column_name, k.problem, k.hint, 'error' FROM mongo_migrate.check_column(field, relation) AS k WHERE k.problem IS NOT NULL;
        CONTINUE WHEN FOUND OR base IS NULL OR field.path IS NULL OR field.role = 'id' OR (t.kind = 'map' AND field.path = '$key');
        RETURN QUERY SELECT field.column_name, k.problem, k.hint, 'warning' FROM mongo_migrate.check_documents(field, relation, base) AS k WHERE k.problem IS NOT NULL;
    END LOOP;
    RETURN QUERY
        SELECT a.attname, 'it is NOT NULL, has no default, and is not in the plan',
               format('Plan it in mongo_migrate.plan_column, or give it a default: ALTER TABLE %s ALTER COLUMN %I SET DEFAULT ...;', t.target, a.attname), 'error'
        FROM pg_attribute AS a JOIN pg_type AS y ON y.oid = a.atttypid JOIN pg_class AS r ON r.oid = a.attrelid
        WHERE a.attrelid = relation AND a.attnum > 0 AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND y.typtype <> 'd' AND r.relkind <> 'f'
          -- Unless a trigger of one's own may fill it.
          AND NOT EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = relation AND NOT g.tgisinternal AND g.tgtype & 7 = 7)
          AND NOT EXISTS (SELECT FROM mongo_migrate.plan_column AS c
                          WHERE (c.server, c.collection, c.target, c.column_name) = (t.server, t.collection, t.target, a.attname) AND c.included)
        ORDER BY a.attnum;
    -- Rows are inserted OVERRIDING SYSTEM VALUE, which an UPDATE cannot.
    RETURN QUERY
        SELECT a.attname, 'it is GENERATED ALWAYS AS IDENTITY: rows are copied into it, but none can be updated by a repair or a sync',
               format('ALTER TABLE %s ALTER COLUMN %I SET GENERATED BY DEFAULT;', t.target, a.attname), 'warning'
        FROM mongo_migrate.plan_column AS c JOIN pg_attribute AS a ON a.attrelid = relation AND a.attname = c.column_name AND a.attidentity = 'a'
        WHERE (c.server, c.collection, c.target) = (t.server, t.collection, t.target) AND c.included AND t.kind = 'root' AND c.role <> 'id'
        ORDER BY a.attnum;
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_columns(mongo_migrate.plan_target, regclass) IS
    'what is wrong with the columns of a target of a plan, or what the documents read say against them, and what mends it';

CREATE FUNCTION mongo_migrate.check_plan(server name, collection text DEFAULT NULL)
    RETURNS TABLE (target text, column_name name, problem text, hint text, severity text)
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    planned mongo_migrate.plan_target;
    relation regclass;
BEGIN
    PERFORM mongo_migrate.require_plan(server, collection);
    FOR planned IN SELECT * FROM mongo_migrate.plan_target AS t
             WHERE t.server = server AND t.collection = coalesce(collection, t.collection) AND t.included
             ORDER BY t.collection COLLATE "C", t.ordinal
    LOOP
        RETURN QUERY SELECT planned.target, NULL::name, k.problem, k.hint, 'error' FROM mongo_migrate.check_target_name(planned) AS k WHERE k.problem IS NOT NULL;
        CONTINUE WHEN FOUND;
        relation := to_regclass(planned.target);
        RETURN QUERY SELECT planned.target, NULL::name, k.problem, k.hint, 'error' FROM mongo_migrate.check_relation(planned, relation) AS k;
        CONTINUE WHEN FOUND AND relation IS NOT NULL;
        RETURN QUERY SELECT planned.target, NULL::name, k.problem, k.hint, k.severity FROM mongo_migrate.check_target(planned, relation) AS k;
        RETURN QUERY SELECT planned.target, k.column_name, k.problem, k.hint, 'error' FROM mongo_migrate.check_distribution(planned) AS k;
        RETURN QUERY SELECT planned.target, k.column_name, k.problem, k.hint, k.severity FROM mongo_migrate.check_columns(planned, relation) AS k;
        RETURN QUERY SELECT planned.target, NULL::name, k.problem, k.hint, 'warning' FROM mongo_migrate.check_table(planned.target, relation) AS k;
        RETURN QUERY
            SELECT planned.target, NULL::name, format('index %s: its keys %s%s are not all columns of the table, and it is not made',
                                                      i.index_name, i.keys, ' and filter ' || i.filter::text),
                   mongo_migrate.mend_index(i, 'included = false'), 'warning'
            FROM mongo_migrate.plan_index AS i
            WHERE (i.server, i.collection, i.target) = (server, planned.collection, planned.target)
              AND i.included AND mongo_migrate.index_statement(i) IS NULL;
    END LOOP;
    RETURN QUERY
        SELECT NULL, NULL::name, format('no table of collection "%s" is %s, and it cannot be migrated', p.collection, w.word), w.hint, 'warning'
        FROM mongo_migrate.plan AS p CROSS JOIN LATERAL (
            SELECT CASE WHEN count(*) = 0 THEN 'planned' ELSE 'included' END,
                   CASE WHEN count(*) = 0
                   THEN format('To plan it anew, without the edits, first: DELETE FROM mongo_migrate.plan WHERE (server, collection) = (%L, %L);', p.server, p.collection)
                   ELSE format('UPDATE mongo_migrate.plan_target SET included = true WHERE (server, collection) = (%L, %L);', p.server, p.collection) END
            FROM mongo_migrate.plan_target AS t WHERE (t.server, t.collection) = (p.server, p.collection)
            HAVING NOT coalesce(bool_or(t.included), false)) AS w (word, hint)
        WHERE p.server = server AND p.collection = coalesce(collection, p.collection)
        ORDER BY p.collection;
    -- Of what lies in a schema that one may not use, nothing can be asked.
    IF EXISTS (SELECT FROM (SELECT DISTINCT (parse_ident(t.target))[1] AS name FROM mongo_migrate.plan_target AS t
                            WHERE t.server = $1 AND t.included) AS s JOIN pg_namespace AS n ON n.nspname = s.name
               WHERE NOT has_schema_privilege(n.oid, 'USAGE')) THEN
        RETURN;
    END IF;
    RETURN QUERY
        SELECT r.target, r.column_name, format('Citus has no foreign key from it to %s: %s', r.refers_target, r.problem),
               concat('What dangles is looked for after the load all the same. To have it kept as it is: ',
                      mongo_migrate.mend_column(c, 'on_dangling = ''keep''')), 'warning'
        FROM mongo_migrate.plan_references(server, CASE WHEN $2 IS NOT NULL THEN ARRAY[$2] END) AS r
            JOIN mongo_migrate.plan_column AS c ON (c.server, c.collection, c.target, c.column_name) =
                                                   ($1, r.collection, r.target, r.column_name)
        WHERE r.collection = coalesce($2, r.collection) AND r.problem IS NOT NULL;
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_plan(name, text) IS
    'what is wrong with a collection''s plan (NULL: with every plan of the server), and the statement that mends it; severity error: it cannot be applied, warning: documents may be rejected, or a column may stay empty';

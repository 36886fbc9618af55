-- check_references.sql: what is wrong with the references of a plan.

CREATE FUNCTION mongo_migrate.check_key_reference(c mongo_migrate.plan_column, OUT problem text, OUT hint text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    key mongo_migrate.plan_column;
    value mongo_migrate.plan_column;    -- by which an id is looked up
    is_text boolean;
BEGIN
    -- Without a plan of its own the other collection may have anything yet.
    IF NOT EXISTS (SELECT FROM mongo_migrate.plan AS p WHERE (p.server, p.collection) = (c.server, c.refers_to)) THEN
        RETURN;
    END IF;
    SELECT i.* INTO key
    FROM mongo_migrate.plan_target AS t JOIN mongo_migrate.plan_column AS i USING (server, collection, target)
    WHERE (i.server, i.collection, i.path) = (c.server, c.refers_to, c.refers_key)
      AND t.kind = 'root' AND t.included AND i.role = 'value' AND i.included AND i.expression IS NULL
    ORDER BY i.is_unique DESC, t.ordinal, i.ordinal LIMIT 1;
    IF key.target IS NULL THEN
        problem := format('the plan of collection "%s" has no column with the value of field "%s"', c.refers_to, c.refers_key);
        hint := mongo_migrate.mend_column(c, 'refers_key = ''...''');
    ELSIF mongo_migrate.holds_ids(c) THEN
        SELECT o.* INTO value FROM mongo_migrate.plan_column AS o
        WHERE (o.server, o.collection, o.target, o.column_name) = (c.server, c.collection, c.target, mongo_migrate.value_column(c));
        IF to_regtype(value.type) IS NULL OR to_regtype(key.type) IS NULL THEN
            RETURN;     -- an enum that is still to be created
        END IF;
        BEGIN
            PERFORM mongo_migrate.check_expression(mongo_migrate.key_match(format('NULL::%s', key.type), 'value', c.key_form), value.type, 'boolean');
        EXCEPTION WHEN undefined_function THEN
            problem := format('column %I is %s, and cannot be held against column %I of %s, which is %s, by key_form %s',
                              value.column_name, value.type, key.column_name, key.target, key.type, c.key_form);
            is_text := mongo_migrate.can_refer(value.type, 'text');
            hint := CASE
                WHEN is_text AND mongo_migrate.can_refer(key.type, 'numeric') THEN mongo_migrate.mend_column(c, 'key_form = ''number_text''')
                WHEN is_text AND mongo_migrate.canonical_type(key.type) = 'mongo_migrate.objectid' THEN
                    mongo_migrate.mend_column(c, 'key_form = ''objectid_text''')
                WHEN c.key_form = 'exact' THEN mongo_migrate.mend_column(value, format('type = %L', key.type))
                WHEN is_text OR mongo_migrate.can_refer(value.type, key.type) THEN mongo_migrate.mend_column(c, 'key_form = ''exact''')
                ELSE mongo_migrate.mend_column(value, 'type = ''text''') END;
        END;
    ELSIF mongo_migrate.id_family(mongo_migrate.canonical_type(c.type)) <>
          mongo_migrate.id_family(mongo_migrate.canonical_type(key.type)) THEN
        problem := format('it is %s, and refers to column "%s" of %s, which is %s', c.type, key.column_name, key.target, key.type);
        hint := format('%s To have the id there, plan another column for path "%s", of role ''value''.',
                       mongo_migrate.mend_column(c, format('type = %L', key.type)), c.path);
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_key_reference(mongo_migrate.plan_column) IS
    'what is wrong with a reference by another field than _id, and the statement that mends it; NULL: nothing';

-- What the equality of a foreign key, and of the look-up of what dangles, asks.
CREATE FUNCTION mongo_migrate.can_refer(type text, key_type text) RETURNS boolean
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT mongo_migrate.id_family(format_type(a.oid, NULL)) = mongo_migrate.id_family(format_type(b.oid, NULL))
        OR 'd' IN (a.typtype, b.typtype)
        OR EXISTS (SELECT FROM pg_cast AS c WHERE (c.castsource, c.casttarget, c.castcontext) = (a.oid, b.oid, 'i'))
    FROM pg_type AS a, pg_type AS b WHERE (a.oid, b.oid) = (to_regtype(type)::oid, to_regtype(key_type)::oid)
$$;
COMMENT ON FUNCTION mongo_migrate.can_refer(text, text) IS
    'whether a column of a type can have a foreign key to one of another; domains are taken to; NULL: there is no such type';

-- An id made by an expression is not the one that a reference by _id has.
CREATE FUNCTION mongo_migrate.check_id_reference(c mongo_migrate.plan_column, OUT problem text, OUT hint text)
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    referred constant text := CASE c.role WHEN 'id' THEN c.collection ELSE c.refers_to END;
    id mongo_migrate.plan_column;
    reference mongo_migrate.plan_column := c;
BEGIN
    SELECT i.* INTO id
    FROM mongo_migrate.plan_target AS t JOIN mongo_migrate.plan_column AS i USING (server, collection, target)
    WHERE (t.server, t.collection) = (c.server, referred) AND t.kind = 'root' AND t.included AND i.role = 'id' AND i.included
    ORDER BY i.expression IS NOT NULL, t.ordinal LIMIT 1;
    IF c.role = 'id' THEN
        SELECT r.* INTO reference
        FROM mongo_migrate.plan_column AS r JOIN mongo_migrate.plan_target AS t USING (server, collection, target)
        WHERE (r.server, r.refers_to, r.refers_key) = (c.server, referred, '_id') AND r.included AND t.included
        ORDER BY r.collection COLLATE "C", t.ordinal, r.ordinal LIMIT 1;
    END IF;
    IF id.expression IS NOT NULL AND reference.refers_to IS NOT NULL THEN
        problem := CASE c.role WHEN 'id' THEN format('it has an expression, and column %I of %s refers to it by _id', reference.column_name, reference.target)
                   ELSE format('it refers to column %I of %s by _id, and that has an expression', id.column_name, id.target) END;
        hint := format('%s or, to keep the value there: %s', mongo_migrate.mend_column(id, 'expression = NULL'),
                       mongo_migrate.mend_column(reference, format('role = ''value'', refers_to = NULL, type = %L',
                                                                   coalesce(reference.source_type, 'text'))));
    -- What a map gives is held against the map's type, in either column.
    ELSIF c.role = 'reference' AND NOT mongo_migrate.can_refer(c.type, id.type)
          AND EXISTS (SELECT FROM mongo_migrate.id_map AS m WHERE (m.server, m.collection, m.id_type) = (c.server, c.refers_to, 'source'))
          AND NOT (SELECT t.existing FROM mongo_migrate.plan_target AS t
                   WHERE (t.server, t.collection, t.target) = (c.server, c.collection, c.target)) THEN
        problem := format('it is %s, and refers to column %I of %s, which is %s', c.type, id.column_name, id.target, id.type);
        hint := mongo_migrate.mend_column(c, format('type = %L', id.type));
    END IF;
END
$$;
COMMENT ON FUNCTION mongo_migrate.check_id_reference(mongo_migrate.plan_column) IS
    'what is wrong with a reference by _id, or with an id that is referred to, and what mends it: the id has an expression, or another type; NULL: nothing';

CREATE FUNCTION mongo_migrate.check_parent(c mongo_migrate.plan_column, OUT problem text, OUT hint text)
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
    AS $$
    SELECT CASE WHEN o.column_name IS NULL THEN format('the plan of %s has no column "%s"', t.parent, c.parent_column)
                ELSE format('it is %s, and column %I of %s is %s', c.type, o.column_name, o.target, o.type) END,
           mongo_migrate.mend_column(c, CASE WHEN o.column_name IS NULL THEN 'parent_column = ''...''' ELSE format('type = %L', o.type) END)
    FROM mongo_migrate.plan_target AS t LEFT JOIN mongo_migrate.plan_column AS o
            ON (o.server, o.collection, o.target, o.column_name) = (t.server, t.collection, t.parent, c.parent_column) AND o.included
    WHERE (t.server, t.collection, t.target) = (c.server, c.collection, c.target)
      AND (o.column_name IS NULL OR (NOT t.existing AND NOT mongo_migrate.can_refer(c.type, o.type)))
$$;
COMMENT ON FUNCTION mongo_migrate.check_parent(mongo_migrate.plan_column) IS
    'what is wrong with a column of role parent, whose parent_column is not in the plan, or of a type that no foreign key leads to, and the statement that mends it; NULL: nothing';

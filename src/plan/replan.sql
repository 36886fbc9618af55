-- replan.sql: a plan made anew keeps what a person changed in it.
--
-- plan.proposed has the plan as plan_collection() wrote it.  Planning anew
-- merges three plans: what was proposed then, what a person made of it, and
-- what is proposed now.  Rows are known by where their values come from, not
-- by their names, which a person may change.

CREATE FUNCTION mongo_migrate.plan_entries(server name, collection text) RETURNS jsonb
    LANGUAGE sql STABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    -- Of several rows for one path the first is the one that was proposed, if its name tells, and others were added.
    WITH proposed AS (
        SELECT e.value ->> 'target' AS target, coalesce(e.value ->> 'path', '') AS path, e.value ->> 'column_name' AS column_name
        FROM mongo_migrate.plan AS p, jsonb_each(p.proposed) AS e WHERE (p.server, p.collection) = ($1, $2)
    ), targets AS (
        SELECT t AS target, t.target AS name, t.ordinal, b.place,
               format('%s#%s', b.place, row_number() OVER (PARTITION BY b.place ORDER BY
                   t.target NOT IN (SELECT p.target FROM proposed AS p WHERE p.column_name IS NULL),
                   (SELECT count(*) FROM mongo_migrate.plan_target AS c WHERE (c.server, c.collection, c.parent) = ($1, $2, t.target)) DESC,
                   t.ordinal, t.target)) AS key
        FROM mongo_migrate.plan_target AS t,
            mongo_migrate.target_base(t.server, t.collection, t.target) AS b (place)
        WHERE (t.server, t.collection) = ($1, $2)
    ), entries AS (
        SELECT t.key, p.key AS target_key, t.place AS label, to_jsonb(t.target) AS entry
        FROM targets AS t LEFT JOIN targets AS p ON p.name = (t.target).parent
        UNION ALL
        SELECT format('%s %s#%s', t.key, coalesce(c.path, '(' || c.role || ')'),
                      row_number() OVER (PARTITION BY t.key, c.path, CASE WHEN c.path IS NULL THEN c.role END ORDER BY
                          (coalesce(c.path, ''), c.column_name::text) NOT IN (SELECT p.path, p.column_name FROM proposed AS p
                                                                              WHERE p.column_name IS NOT NULL),
                          c.ordinal, c.column_name)),
               t.key, coalesce(mongo_migrate.full_path(t.place, c.path), c.role), to_jsonb(c)
        FROM targets AS t JOIN mongo_migrate.plan_column AS c
            ON (c.server, c.collection, c.target) = ($1, $2, t.name)
    )
    SELECT coalesce(jsonb_object_agg(e.key, e.entry || jsonb_build_object('target_key', e.target_key, 'label', e.label)), '{}')
    FROM entries AS e
$$;
COMMENT ON FUNCTION mongo_migrate.plan_entries(name, text) IS
    'the rows of a plan, each under a key that tells where its values come from; target_key: that of the table it belongs to';

CREATE FUNCTION mongo_migrate.plan_edits(proposed jsonb, present jsonb) RETURNS jsonb
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
    AS $$
    -- What a column is filled with hangs together: of these, one edit keeps all, but for the field's own type.
    WITH settings AS (
        SELECT p.key, p.value, p.value IS DISTINCT FROM proposed -> p.key AS edited,
               p.key IN ('role', 'type', 'expression', 'reverse_expression', 'parent_column', 'refers_to',
                         'refers_key', 'key_form', 'labels', 'lookup_table') AS filling
        FROM jsonb_each(present) AS p
        WHERE p.key <> ALL (CASE WHEN present ? 'column_name' THEN '{target}'::text[] ELSE '{parent}'::text[] END ||
                            '{server,collection,ordinal,note,target_key,label}'::text[])
    )
    SELECT jsonb_object_agg(s.key, s.value)
    FROM settings AS s
    WHERE s.edited OR ((s.filling OR s.key = 'column_name') AND
                       (SELECT bool_or(f.edited) FROM settings AS f WHERE f.filling))
$$;
COMMENT ON FUNCTION mongo_migrate.plan_edits(jsonb, jsonb) IS
    'what a person changed in a row of a plan, and what has to stay with it; NULL: nothing';

CREATE FUNCTION mongo_migrate.merge_entries(before jsonb, edited jsonb, now jsonb) RETURNS jsonb
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    kept text[];
    e record;
    targets text[] := '{}';     -- keys of the tables in the result
    keys text[] := '{}';
    entries jsonb[] := '{}';
BEGIN
    -- Tables that are proposed no longer stay where a person edited something in them or in a child.
    WITH RECURSIVE up AS (
        SELECT CASE WHEN o.value ? 'column_name' THEN o.value ->> 'target_key' ELSE o.key END AS key
        FROM jsonb_each(edited) AS o
        WHERE NOT now ? o.key
          AND (NOT before ? o.key OR mongo_migrate.plan_edits(before -> o.key, o.value) IS NOT NULL)
        UNION
        SELECT edited -> up.key ->> 'target_key' FROM up WHERE edited -> up.key ->> 'target_key' IS NOT NULL)
    SELECT coalesce(array_agg(up.key), '{}') INTO kept FROM up WHERE NOT now ? up.key;

    FOR e IN
        SELECT key, b.value AS before, o.value AS edited, n.value AS now,
               mongo_migrate.plan_edits(b.value, o.value) AS edits,
               coalesce(n.value, o.value) ->> 'target_key' AS target_key
        FROM jsonb_each(now) AS n FULL JOIN jsonb_each(edited) AS o USING (key) LEFT JOIN jsonb_each(before) AS b USING (key)
        ORDER BY coalesce(n.value, o.value) ? 'column_name', n.value IS NULL,
            (coalesce(n.value, o.value) ->> 'ordinal')::integer, key
    LOOP
        CONTINUE WHEN e.edited IS NULL AND e.before IS NOT NULL;    -- a person deleted it
        CONTINUE WHEN e.target_key IS NOT NULL AND e.target_key <> ALL (targets);
        CONTINUE WHEN e.now IS NULL AND e.before IS NOT NULL AND e.edits IS NULL
            AND CASE WHEN e.edited ? 'column_name' THEN e.target_key ELSE e.key END <> ALL (kept);
        IF NOT coalesce(e.now, e.edited) ? 'column_name' THEN
            targets := targets || e.key;
        END IF;
        keys := keys || e.key;
        entries := entries || (CASE WHEN e.now IS NULL THEN e.edited
            ELSE e.now || coalesce(e.edits, '{}') END || jsonb_build_object('edits', e.edits,
            'name_is_ours', e.now IS NULL OR coalesce(e.edits ?| ARRAY['column_name', 'target'], false)));
    END LOOP;
    RETURN (SELECT coalesce(jsonb_object_agg(u.key, u.entry), '{}') FROM unnest(keys, entries) AS u (key, entry));
END
$$;
COMMENT ON FUNCTION mongo_migrate.merge_entries(jsonb, jsonb, jsonb) IS
    'three plans as plan_entries() has them become one: what is proposed now, with the edits of what was proposed before; edits: what was kept of the row';

CREATE FUNCTION mongo_migrate.write_entries(server name, collection text, entries jsonb, now jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
    AS $$
#variable_conflict use_variable
DECLARE
    names jsonb := '{}';            -- of tables, by key
    columns jsonb := '{}';          -- table key -> column as proposed -> column as written, where that is another
    e record;
    target mongo_migrate.plan_target;
    field mongo_migrate.plan_column;
    proposed text;
BEGIN
    DELETE FROM mongo_migrate.plan_target AS t WHERE (t.server, t.collection) = ($1, $2);
    -- Names that a person gave come first, and are not changed.
    FOR e IN
        SELECT key, value FROM jsonb_each(entries) WHERE NOT value ? 'column_name'
        ORDER BY (value -> 'name_is_ours')::boolean DESC, (value ->> 'ordinal')::integer
    LOOP
        proposed := e.value ->> 'target';
        IF EXISTS (SELECT FROM jsonb_each_text(names) AS n WHERE n.value = proposed) THEN
            proposed := format('%I.%I', (parse_ident(proposed))[1],
                mongo_migrate.free_name((parse_ident(proposed))[2],
                    ARRAY(SELECT (parse_ident(n.value))[2] FROM jsonb_each_text(names) AS n)));
        END IF;
        names := names || jsonb_build_object(e.key, proposed);
    END LOOP;
    FOR e IN
        SELECT key, value, row_number() OVER (ORDER BY NOT now ? key, (value ->> 'ordinal')::integer) AS place
        FROM jsonb_each(entries) WHERE NOT value ? 'column_name' ORDER BY place
    LOOP
        target := jsonb_populate_record(NULL::mongo_migrate.plan_target, e.value);
        target.target := names ->> e.key;
        target.parent := names ->> (e.value ->> 'target_key');
        target.ordinal := e.place;
        INSERT INTO mongo_migrate.plan_target SELECT target.*;
        IF NOT (e.value -> 'name_is_ours')::boolean AND target.target <> e.value ->> 'target' THEN
            now := jsonb_set(now, ARRAY[e.key, 'target'], to_jsonb(target.target));
        END IF;
    END LOOP;
    -- Parents' columns stand before their children's, which take their names over.
    FOR e IN
        SELECT key, value, t.ordinal AS target_ordinal,
               row_number() OVER (PARTITION BY t.target ORDER BY NOT now ? key, (value ->> 'ordinal')::integer) AS place
        FROM jsonb_each(entries) JOIN mongo_migrate.plan_target AS t
            ON (t.server, t.collection, t.target) = ($1, $2, names ->> (value ->> 'target_key'))
        WHERE value ? 'column_name'
        ORDER BY t.ordinal, (value -> 'name_is_ours')::boolean DESC, place
    LOOP
        field := jsonb_populate_record(NULL::mongo_migrate.plan_column, e.value);
        field.target := names ->> (e.value ->> 'target_key');
        field.ordinal := e.place;
        field.column_name := mongo_migrate.free_name(field.column_name,
            mongo_migrate.used_columns(server, collection, field.target));
        IF field.role = 'parent' AND NOT e.value -> 'edits' ? 'parent_column' THEN
            field.parent_column := coalesce(columns -> (entries -> (e.value ->> 'target_key') ->> 'target_key')
                                            ->> field.parent_column, field.parent_column);
        END IF;
        INSERT INTO mongo_migrate.plan_column SELECT field.*;
        proposed := now -> e.key ->> 'column_name';
        IF field.column_name <> proposed THEN
            columns := columns || jsonb_build_object(e.value ->> 'target_key', coalesce(columns -> (e.value ->> 'target_key'), '{}')
                                                     || jsonb_build_object(proposed, field.column_name));
        END IF;
        IF e.value -> 'edits' = 'null' AND (field.column_name <> proposed OR field.parent_column <> now -> e.key ->> 'parent_column') THEN
            now := jsonb_set(now, ARRAY[e.key], now -> e.key ||
                jsonb_build_object('column_name', field.column_name, 'parent_column', field.parent_column));
        END IF;
    END LOOP;
    UPDATE mongo_migrate.plan AS p SET proposed = now WHERE (p.server, p.collection) = ($1, $2);
END
$$;
COMMENT ON FUNCTION mongo_migrate.write_entries(name, text, jsonb, jsonb) IS
    'writes a merged plan in place of the proposed one, now; where a person took a name that is proposed, the proposal is numbered';

CREATE FUNCTION mongo_migrate.plan_differences(before jsonb, edited jsonb, now jsonb, merged jsonb)
    RETURNS TABLE (difference text, labels text)
    LANGUAGE sql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
    WITH entries AS (
        SELECT b.value AS before, o.value AS edited, n.value AS now, m.value AS merged,
               m.value -> 'edits' AS edits,
               CASE WHEN coalesce(n.value, o.value, b.value) ->> 'label' = ''
                    THEN coalesce(m.value, o.value, n.value, b.value) ->> 'target'
                    ELSE coalesce(n.value, o.value, b.value) ->> 'label' END AS label
        FROM jsonb_each(before) AS b FULL JOIN jsonb_each(edited) AS o USING (key)
            FULL JOIN jsonb_each(now) AS n USING (key) FULL JOIN jsonb_each(merged) AS m USING (key)
        WHERE coalesce(coalesce(n.value, o.value, b.value) ->> 'role', '') NOT IN ('parent', 'position', 'parent_position', 'key')
    ), told AS (
        SELECT CASE
                   WHEN before IS NULL AND edited IS NULL AND merged IS NOT NULL THEN 1
                   WHEN now IS NULL AND before IS NOT NULL AND edited IS NOT NULL AND merged IS NULL THEN 2
                   WHEN now IS NULL AND before IS NOT NULL AND merged IS NOT NULL THEN 3
                   WHEN before ->> 'type' <> now ->> 'type' AND before -> 'column_name' IS NOT NULL THEN 4
               END AS difference,
               label || CASE
                   WHEN now IS NOT NULL AND before ->> 'type' <> now ->> 'type'
                   THEN format(' (%s -> %s%s)', before ->> 'type', now ->> 'type',
                               CASE WHEN merged ->> 'type' <> now ->> 'type'
                                    THEN ', stays ' || (merged ->> 'type') ELSE '' END)
                   ELSE '' END AS label
        FROM entries
        UNION ALL
        SELECT 5, label || ' (' || (SELECT string_agg(k, ', ' ORDER BY k COLLATE "C") FROM jsonb_object_keys(edits) AS k
                                    WHERE edits -> k IS DISTINCT FROM before -> k
                                      AND edits -> k IS DISTINCT FROM now -> k) || ')'
        FROM entries WHERE jsonb_typeof(edits) = 'object'
        UNION ALL
        SELECT 6, label || CASE WHEN edited ? 'column_name' THEN ' (' || (edited ->> 'column_name') || ')' ELSE '' END
        FROM entries WHERE before IS NULL AND edited IS NOT NULL AND merged IS NOT NULL
        UNION ALL
        SELECT 7, label FROM entries WHERE edited IS NULL AND before IS NOT NULL AND now IS NOT NULL
    )
    SELECT (ARRAY['new', 'gone', 'kept, though no document read has it', 'other types',
                  'edits kept', 'additions kept', 'left out still'])[t.difference],
           string_agg(t.label, ', ' ORDER BY t.label COLLATE "C")
    FROM told AS t WHERE t.difference IS NOT NULL AND t.label IS NOT NULL     -- what is proposed now, too, is no edit
    GROUP BY t.difference ORDER BY t.difference
$$;
COMMENT ON FUNCTION mongo_migrate.plan_differences(jsonb, jsonb, jsonb, jsonb) IS
    'what planning anew found and kept, for a person: kinds of differences, with the paths of each';

CREATE FUNCTION mongo_migrate.merge_plan(server name, collection text, before jsonb, edited jsonb) RETURNS void
    LANGUAGE plpgsql VOLATILE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
DECLARE
    now jsonb := mongo_migrate.plan_entries(server, collection);
    merged jsonb := mongo_migrate.merge_entries(before, edited, now);
    found record;
BEGIN
    IF before <> edited THEN
        PERFORM mongo_migrate.write_entries(server, collection, merged, now);
    END IF;
    FOR found IN SELECT * FROM mongo_migrate.plan_differences(before, edited, now, merged) LOOP
        RAISE NOTICE '%: %: %', collection, found.difference, found.labels;
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.merge_plan(name, text, jsonb, jsonb) IS
    'puts into a plan just made what a person changed in the one before, and tells the differences; before: as it was proposed, edited: as it was';

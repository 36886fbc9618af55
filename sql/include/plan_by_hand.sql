\set ECHO none
-- plan(collection, target, {"column": "role path type", ...}): a plan by hand.
-- role may be reference:COLLECTION:KEY_FORM; the path of parent is the parent's column, of position -.
CREATE FUNCTION pg_temp.plan(collection text, target text, columns json, parent text DEFAULT NULL, path text DEFAULT NULL)
RETURNS void LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    s CONSTANT name := current_setting('load.server');
    field record;
    part text[];
    role text[];
BEGIN
    INSERT INTO mongo_migrate.plan VALUES (s, $1) ON CONFLICT DO NOTHING;
    INSERT INTO mongo_migrate.plan_target (server, collection, target, parent, kind, path, ordinal)
        SELECT s, $1, $2, $4, CASE WHEN $4 IS NULL THEN 'root' ELSE 'child' END, $5, count(*)
        FROM mongo_migrate.plan_target AS t WHERE (t.server, t.collection) = (s, $1);
    FOR field IN SELECT * FROM json_each_text(columns) WITH ORDINALITY LOOP
        part := regexp_match(field.value, '^(\S+) (\S+) (.+)$');
        role := string_to_array(part[1], ':');
        INSERT INTO mongo_migrate.plan_column
            (server, collection, target, column_name, ordinal, role, path, type, parent_column, refers_to, key_form)
            VALUES (s, $1, $2, field.key, field.ordinality, role[1],
                    CASE WHEN role[1] NOT IN ('parent', 'position') THEN part[2] END, part[3],
                    CASE WHEN role[1] = 'parent' THEN part[2] END, role[2], coalesce(role[3], 'exact'));
    END LOOP;
    PERFORM mongo_migrate.create_id_map(s, $1);
    INSERT INTO mongo_migrate.chunk (server, collection, chunk) VALUES (s, $1, 1) ON CONFLICT DO NOTHING;
END $$;
\set ECHO all

-- catalog.sql: the plan, the id maps, the checkpoints, the quarantine, the findings and what a sync has still to do.
--
-- Ordinary tables with natural keys, so that a person can read and edit a plan
-- with UPDATE, and pg_dump carries the state with the rows that it speaks of.
-- Values that must come back exactly as MongoDB has them (ids, documents) are
-- BSON in bytea; the views show them as Extended JSON.
--
-- The names that make keys have collation "C": it is what (server name,
-- collection text) has as parameters of a function, since that of the type
-- name wins; with another one the indexes would not be used.

-- One row for each collection that has a plan.
CREATE TABLE mongo_migrate.plan
(
    server      name        NOT NULL,
    collection  text COLLATE "C" NOT NULL,
    documents   bigint,                 -- the source's count when it was planned
    sampled     bigint,                 -- documents that the plan was made from
    planned_at  timestamptz NOT NULL DEFAULT pg_catalog.now(),
    id_type     text,                   -- as it was asked for; NULL: by the _id values
    note        text,
    proposed    jsonb,                  -- the rows of the plan before any edit, as plan_entries() has them
    created     text[]      NOT NULL DEFAULT '{}',  -- tables that apply_ddl() made for the plan before this one
    time_zone   text        NOT NULL DEFAULT pg_catalog.current_setting('TimeZone'),    -- how texts become dates and times
    date_style  text        NOT NULL DEFAULT pg_catalog.current_setting('DateStyle'),
    interval_style text     NOT NULL DEFAULT pg_catalog.current_setting('IntervalStyle'),
    PRIMARY KEY (server, collection)
);

-- What the documents showed when the plan was made: the rows of infer_schema().
CREATE TABLE mongo_migrate.plan_path
(
    server      name    NOT NULL,
    collection  text COLLATE "C" NOT NULL,
    path        text COLLATE "C" NOT NULL,
    ordinal     integer NOT NULL,
    parent      text COLLATE "C",   -- path of the document or array that it is in; top: NULL
    key         text,                   -- the field's name as it is; NULL: elements of an array
    types       jsonb   NOT NULL,       -- MongoDB type name -> occurrences
    present     bigint  NOT NULL,
    nulls       bigint  NOT NULL,
    missing     bigint  NOT NULL,
    is_map      boolean NOT NULL,       -- its keys are data
    is_unique   boolean NOT NULL,       -- MongoDB has a unique index on it alone
    proposed_type text  NOT NULL,
    proposed_nullable boolean NOT NULL,
    max_length  bigint,                 -- characters, bytes or elements
    refers_to   text,
    refers_key  text,
    key_form    text,
    note        text,
    proposed_check text,                -- by the source's validator, or by few values
    description text,                   -- by the validator
    few_values  text[],                 -- the strings that all values are, where these are few
    allowed_values text[],              -- the strings that the validator allows, in its order
    allowed_length integer,             -- characters of a string that the validator allows
    required    boolean NOT NULL DEFAULT false, -- the validator wants a value, which is not null
    PRIMARY KEY (server, collection, path),
    FOREIGN KEY (server, collection) REFERENCES mongo_migrate.plan ON UPDATE CASCADE ON DELETE CASCADE
);

-- Not for those at the top, so that nobody looks a path up by it: it would seem as good as the key where nothing was analyzed yet.
CREATE INDEX ON mongo_migrate.plan_path (server, collection, parent) WHERE parent IS NOT NULL;

-- One row for each table that a collection feeds.  The root's row has no
-- parent; a child or pivot table has a row for each element of an array of its
-- parent's row, a map's for each field of a sub-document.
CREATE TABLE mongo_migrate.plan_target
(
    server      name    NOT NULL,
    collection  text COLLATE "C" NOT NULL,
    target      text COLLATE "C" NOT NULL CHECK (pg_catalog.cardinality(pg_catalog.parse_ident(target)) <= 2),
    parent      text COLLATE "C",
    kind        text    NOT NULL CHECK (kind IN ('root', 'child', 'pivot', 'map')),
    path        text,
    nested_path text,
    ordinal     integer NOT NULL,
    existing    boolean NOT NULL DEFAULT false,
    included    boolean NOT NULL DEFAULT true,
    filter      jsonb,
    note        text,
    distribute_by name,
    reference_table boolean NOT NULL DEFAULT false,
    PRIMARY KEY (server, collection, target),
    FOREIGN KEY (server, collection) REFERENCES mongo_migrate.plan ON UPDATE CASCADE ON DELETE CASCADE,
    -- Deferred, as one UPDATE may rename a child before its parent.
    FOREIGN KEY (server, collection, parent) REFERENCES mongo_migrate.plan_target
        ON UPDATE CASCADE ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    -- Whoever edits a plan reads these names in the error.
    CONSTRAINT plan_target_parent_iff_not_root CHECK ((kind = 'root') = (parent IS NULL)),
    CONSTRAINT plan_target_path_iff_not_root CHECK ((kind = 'root') = (path IS NULL)),
    CONSTRAINT plan_target_nested_path_only_of_child CHECK (nested_path IS NULL OR kind = 'child'),
    CONSTRAINT plan_target_only_root_distributed CHECK (kind = 'root' OR NOT (reference_table OR distribute_by IS NOT NULL)),
    CONSTRAINT plan_target_distributed_or_reference CHECK (distribute_by IS NULL OR NOT reference_table)
);

CREATE FUNCTION mongo_migrate.is_name(name text) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE STRICT
    SET search_path = pg_catalog, pg_temp
    AS $$
BEGIN
    RETURN cardinality(parse_ident(name)) <= 2;
EXCEPTION WHEN invalid_parameter_value THEN
    RETURN false;
END
$$;
COMMENT ON FUNCTION mongo_migrate.is_name(text) IS
    'whether a text is the name of a table or type as a plan has it, with a schema or without; text[] and numeric(5) are types and no names';

-- One row for each column of a target.
CREATE TABLE mongo_migrate.plan_column
(
    server      name    NOT NULL,
    collection  text COLLATE "C" NOT NULL,
    target      text COLLATE "C" NOT NULL,
    column_name name    NOT NULL,
    ordinal     integer NOT NULL,
    role        text    NOT NULL CHECK (role IN
                ('id', 'parent', 'position', 'parent_position', 'key', 'reference', 'value', 'extra')),
    path        text,
    type        text    NOT NULL,
    nullable    boolean NOT NULL DEFAULT true,
    source_type text,
    expression  text,
    reverse_expression text,
    parent_column name,
    refers_to   text,
    refers_key  text    NOT NULL DEFAULT '_id',
    key_form    text    NOT NULL DEFAULT 'exact' CHECK (key_form IN
                ('exact', 'objectid_text', 'number_text')),
    on_dangling text    NOT NULL DEFAULT 'null' CHECK (on_dangling IN ('null', 'quarantine', 'keep')),
    is_unique   boolean NOT NULL DEFAULT false,
    included    boolean NOT NULL DEFAULT true,
    note        text,
    default_value text,
    check_rule  text,
    proposed_check text,
    description text,
    labels      text[],
    lookup_table text,
    proposed_type text,
    required    boolean NOT NULL DEFAULT false,
    PRIMARY KEY (server, collection, target, column_name),
    FOREIGN KEY (server, collection, target) REFERENCES mongo_migrate.plan_target
        ON UPDATE CASCADE ON DELETE CASCADE,
    CONSTRAINT plan_column_parent_column_iff_parent CHECK ((role = 'parent') = (parent_column IS NOT NULL)),
    CONSTRAINT plan_column_refers_to_iff_reference CHECK ((role = 'reference') = (refers_to IS NOT NULL)),
    CONSTRAINT plan_column_path_iff_not_parent_or_position CHECK ((path IS NULL) = (role IN ('parent', 'position', 'parent_position'))),
    CONSTRAINT plan_column_key_has_path_key CHECK (role <> 'key' OR path = '$key'),
    CONSTRAINT plan_column_extra_has_path_document CHECK (role <> 'extra' OR path = '$'),
    CONSTRAINT plan_column_labels_of_value_and_not_null CHECK (labels IS NULL OR (role = 'value' AND pg_catalog.array_position(labels, NULL) IS NULL AND pg_catalog.cardinality(labels) > 0)),
    CONSTRAINT plan_column_labels_need_name_of_enum_or_lookup_table CHECK (labels IS NULL OR mongo_migrate.is_name(coalesce(lookup_table, type))),
    CONSTRAINT plan_column_lookup_needs_labels_and_expression CHECK (lookup_table IS NULL OR (labels IS NOT NULL AND expression IS NOT NULL))
);
CREATE INDEX ON mongo_migrate.plan_column (server, refers_to) WHERE refers_to IS NOT NULL;
CREATE INDEX ON mongo_migrate.plan_column (server, collection) WHERE labels IS NOT NULL;

-- One row for each index of a target, beside those of its keys and references.
CREATE TABLE mongo_migrate.plan_index
(
    server      name    NOT NULL,
    collection  text COLLATE "C" NOT NULL,
    target      text COLLATE "C" NOT NULL,
    index_name  text    NOT NULL,
    ordinal     integer NOT NULL,
    keys        json    NOT NULL CHECK (pg_catalog.json_typeof(keys) = 'object' AND keys::jsonb <> '{}'),
    is_unique   boolean NOT NULL DEFAULT false,
    method      text    NOT NULL DEFAULT 'btree',
    filter      jsonb   CHECK (pg_catalog.jsonb_typeof(filter) = 'object'),
    included    boolean NOT NULL DEFAULT true,
    note        text,
    proposed    jsonb,
    PRIMARY KEY (server, collection, target, index_name),
    FOREIGN KEY (server, collection, target) REFERENCES mongo_migrate.plan_target
        ON UPDATE CASCADE ON DELETE CASCADE
);

-- One row for each collection whose documents have an id in PostgreSQL, planned
-- or only referred to.
CREATE TABLE mongo_migrate.id_map
(
    server      name    NOT NULL,
    collection  text COLLATE "C" NOT NULL,
    id_type     text    NOT NULL DEFAULT 'bigint' CHECK (id_type IN
                ('bigint',      -- new sequential numbers
                 'uuid',        -- new random uuids
                 'source')),    -- the source's own _id: there is no map table
    column_type text    NOT NULL DEFAULT 'bigint',  -- of id columns, and of references to them
    map_number  integer NOT NULL GENERATED BY DEFAULT AS IDENTITY UNIQUE,
    relation    text,           -- the map table, mongo_migrate.id_map_<map_number>; NULL until made
    PRIMARY KEY (server, collection)
);

-- One row for each call of a migration of a collection.  What the last one of a
-- collection did is what its chunks count, less what they counted when it began,
-- which options has; the next one writes that down before it begins.
CREATE TABLE mongo_migrate.run
(
    run_id      bigint      GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    server      name        NOT NULL,
    collection  text COLLATE "C" NOT NULL,
    state       text        NOT NULL DEFAULT 'running' CHECK (state IN
                ('running', 'stopped', 'failed', 'complete')),
    phase       text        NOT NULL DEFAULT 'copy' CHECK (phase IN
                ('copy', 'keys', 'references', 'done')),
    options     jsonb       NOT NULL,
    total       bigint,                 -- documents in the source when it began
    started_at  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    ended_at    timestamptz,
    error       text,
    catching_up boolean,                -- a later pass, for documents that are new
    copied_at   timestamptz,            -- every chunk was complete
    keyed_at    timestamptz,            -- keys and indexes stood
    documents   bigint,                 -- NULL: run_report has it, and those below, of the last run
    inserted    bigint,
    skipped     bigint,
    rejected    bigint,
    rounded     bigint,
    batches     bigint,
    rows        bigint,
    bytes       bigint
);

-- What stop_migration() was called for: migrations that were begun before stop.
CREATE TABLE mongo_migrate.stop_request
(
    server      name        NOT NULL,
    collection  text COLLATE "C",   -- NULL: all of the server
    requested_at timestamptz NOT NULL,
    UNIQUE NULLS NOT DISTINCT (server, collection)
);

-- One row for each range of _id of a collection: the checkpoint.  It commits
-- with the rows of the batch that moved it.
CREATE TABLE mongo_migrate.chunk
(
    server      name    NOT NULL,
    collection  text COLLATE "C" NOT NULL,
    chunk       integer NOT NULL,
    lower_id    bytea,                  -- BSON {"_id": ...}, inclusive; NULL: from the first
    upper_id    bytea,                  -- exclusive; NULL: to the last
    last_id     bytea,                  -- the last one done; NULL: none
    documents   bigint  NOT NULL DEFAULT 0,
    inserted    bigint  NOT NULL DEFAULT 0,
    skipped     bigint  NOT NULL DEFAULT 0,
    rejected    bigint  NOT NULL DEFAULT 0,
    rounded     bigint  NOT NULL DEFAULT 0,
    batches     bigint  NOT NULL DEFAULT 0,
    rows        bigint  NOT NULL DEFAULT 0, -- of the documents inserted, in every table
    bytes       bigint  NOT NULL DEFAULT 0, -- of the documents, as BSON
    catching_up boolean NOT NULL DEFAULT false, -- a later pass: documents that have their rows are skipped
    complete    boolean NOT NULL DEFAULT false,
    updated_at  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    filled      text[]  NOT NULL DEFAULT '{}',  -- targets that have had rows
    PRIMARY KEY (server, collection, chunk)
);

-- Documents that could not become rows.
CREATE TABLE mongo_migrate.quarantine
(
    quarantine_id bigint    GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    server      name        NOT NULL,
    collection  text COLLATE "C" NOT NULL,
    key         bytea       NOT NULL,   -- key of the document's _id
    source_id   text        NOT NULL,   -- _id as Extended JSON, to read
    document    bytea       NOT NULL,   -- the document as BSON; mongo_migrate.bson_to_json() shows it
    target      text COLLATE "C",
    path        text,
    reason      text        NOT NULL,
    sqlstate    text        NOT NULL,
    hint        text,
    run_id      bigint,
    at          timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    UNIQUE (server, collection, key)
);

-- References whose document does not exist, as they were found after the load.
CREATE TABLE mongo_migrate.dangling_reference
(
    server      name        NOT NULL,
    collection  text COLLATE "C" NOT NULL,
    target      text COLLATE "C" NOT NULL,
    column_name name        NOT NULL,
    row_key     jsonb       NOT NULL,   -- the row's key columns
    refers_to   text        NOT NULL,
    source_value text,                  -- the value in the source, as Extended JSON
    policy      text        NOT NULL,
    at          timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);

-- Fields that documents had in a load and the plan does not know.  It commits
-- with the batches.
CREATE TABLE mongo_migrate.drift
(
    server      name        NOT NULL,
    collection  text COLLATE "C" NOT NULL,
    path        text COLLATE "C" NOT NULL,   -- from the document's top: items[].sku
    documents   bigint      NOT NULL,   -- that had it
    first_seen  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    last_seen   timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    PRIMARY KEY (server, collection, path)
);

-- One row for each run of verification, and its findings.
CREATE TABLE mongo_migrate.verification
(
    verification_id bigint  GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    server      name        NOT NULL,
    collection  text COLLATE "C",   -- NULL: every planned collection
    kind        text        NOT NULL CHECK (kind IN ('counts', 'sample', 'full')),
    options     jsonb       NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    ended_at    timestamptz,
    documents   bigint,                 -- documents compared
    findings    bigint,
    ok          boolean
);

CREATE TABLE mongo_migrate.finding
(
    verification_id bigint  NOT NULL REFERENCES mongo_migrate.verification ON DELETE CASCADE,
    collection  text COLLATE "C" NOT NULL,
    source_id   text,
    target      text COLLATE "C" NOT NULL,
    column_name text,
    kind        text        NOT NULL CHECK (kind IN
                ('missing', 'extra', 'mismatch', 'rounded', 'orphan', 'count')),
    source_value text,
    target_value text,
    element     text,                   -- child row: the array element, items.3
    source_key  bytea                   -- of the _id, where it is known: source_id may be cut, and 1 and "1" are the same there
);
CREATE INDEX ON mongo_migrate.finding (verification_id);

-- One row for each range of _id of a verification by several workers, while it lasts.
CREATE TABLE mongo_migrate.verification_part
(
    verification_id bigint  NOT NULL REFERENCES mongo_migrate.verification ON DELETE CASCADE,
    root        text        NOT NULL,   -- target
    part        integer     NOT NULL,
    lower_key   bytea,                  -- key of _id, inclusive; NULL: from the first
    upper_key   bytea,                  -- exclusive; NULL: to the last
    documents   bigint,                 -- compared; NULL: not yet
    present     bigint,                 -- rows of root that should be there
    sums        numeric[],
    PRIMARY KEY (verification_id, root, part)
);

CREATE TABLE mongo_migrate.sync
(
    server      name        PRIMARY KEY,
    running     boolean     NOT NULL,       -- false: stop_sync() was called, or it has stopped itself
    position    bytea       NOT NULL,       -- in the change stream: a resume token
    cluster_time bigint     NOT NULL,       -- of MongoDB, up to which events were captured: seconds << 31, and a number
    cut_over_at timestamptz,                -- since then the documents follow the rows; NULL: the rows the documents
    started_at  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    captured_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    events      bigint      NOT NULL DEFAULT 0,
    inserted    bigint      NOT NULL DEFAULT 0,     -- documents
    replaced    bigint      NOT NULL DEFAULT 0,
    deleted     bigint      NOT NULL DEFAULT 0,
    written     bigint      NOT NULL DEFAULT 0,     -- documents, in the source
    error       text,                       -- of the last round
    error_at    timestamptz,
    roles       text[]      NOT NULL DEFAULT '{}',  -- that the worker has: its session's, and its own
    written_by  text                        -- cut over: this_database() that writes the documents
);

CREATE TABLE mongo_migrate.change
(
    server      name        NOT NULL,
    collection  text COLLATE "C" NOT NULL,
    key         bytea       NOT NULL,       -- as in quarantine
    id          bytea       NOT NULL,       -- BSON {"_id": ...}
    changed_at  timestamptz NOT NULL,       -- by the source's clock
    due_at      timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    attempts    integer     NOT NULL DEFAULT 0,
    reason      text,                       -- why the rows could not be replaced
    PRIMARY KEY (server, collection, key)
);
CREATE INDEX ON mongo_migrate.change (server, collection, due_at);

CREATE TABLE mongo_migrate.row_change
(
    server      name        NOT NULL,
    collection  text COLLATE "C" NOT NULL,
    id          text,                       -- of the row of the document; NULL: the table has no such column any more
    changed_at  timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    due_at      timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
    attempts    integer     NOT NULL DEFAULT 0,
    reason      text                        -- why the document could not be written
);
CREATE INDEX ON mongo_migrate.row_change (server, collection, due_at);
CREATE INDEX ON mongo_migrate.row_change (server, collection, id) WHERE attempts > 0;

-- Without a primary key, a publication FOR ALL TABLES would forbid to update them, and to delete from them.
ALTER TABLE mongo_migrate.stop_request REPLICA IDENTITY FULL;
ALTER TABLE mongo_migrate.dangling_reference REPLICA IDENTITY FULL;
ALTER TABLE mongo_migrate.finding REPLICA IDENTITY FULL;
ALTER TABLE mongo_migrate.row_change REPLICA IDENTITY FULL;

DO $$
DECLARE
    relation text;
BEGIN
    FOREACH relation IN ARRAY ARRAY['plan', 'plan_path', 'plan_target', 'plan_column', 'plan_index', 'id_map', 'run', 'chunk',
        'quarantine', 'dangling_reference', 'drift', 'verification', 'finding', 'verification_part', 'sync', 'change', 'row_change']
    LOOP
        PERFORM pg_catalog.pg_extension_config_dump('mongo_migrate.' || relation, '');
    END LOOP;
    FOREACH relation IN ARRAY ARRAY['id_map_map_number_seq', 'run_run_id_seq',
        'quarantine_quarantine_id_seq', 'verification_verification_id_seq']
    LOOP
        PERFORM pg_catalog.pg_extension_config_dump('mongo_migrate.' || relation, '');
    END LOOP;
END
$$;

CREATE FUNCTION mongo_migrate.pass_numbers(relation text, number name)
    RETURNS void
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    sequence constant regclass := pg_get_serial_sequence('mongo_migrate.' || relation, number);
    last bigint;
BEGIN
    EXECUTE format('SELECT max(%I) FROM mongo_migrate.%I', number, relation) INTO last;
    -- A sequence is never set back: others may take of it.
    WHILE coalesce(pg_sequence_last_value(sequence), 0) < last LOOP
        PERFORM nextval(sequence);
    END LOOP;
END
$$;
COMMENT ON FUNCTION mongo_migrate.pass_numbers(text, name) IS
    'has the sequence of an identity column of one of the extension''s tables stand past its numbers: a subscriber of a publication has rows, and sequences that do not know of them';

COMMENT ON TABLE mongo_migrate.plan IS 'The plan: one row for each collection that has one';
COMMENT ON TABLE mongo_migrate.plan_path IS 'What the documents showed when a plan was made: one row for each path';
COMMENT ON TABLE mongo_migrate.plan_target IS 'The plan: one row for each table that a collection feeds; edit it with UPDATE';
COMMENT ON TABLE mongo_migrate.plan_column IS 'The plan: one row for each column of a target; edit it with UPDATE';
COMMENT ON TABLE mongo_migrate.plan_index IS 'The plan: one row for each index beside those of keys and references; edit it with UPDATE';
COMMENT ON TABLE mongo_migrate.id_map IS 'How the _id values of each collection become ids, and where the map is';
COMMENT ON TABLE mongo_migrate.run IS 'One row for each call of a migration of a collection; run_report has what each did';
COMMENT ON TABLE mongo_migrate.stop_request IS 'When stop_migration() was called last: migrations that were begun before stop';
COMMENT ON TABLE mongo_migrate.chunk IS 'Checkpoints: one row for each range of _id of a collection';
COMMENT ON TABLE mongo_migrate.quarantine IS 'Documents that could not become rows, with the reason; see retry_quarantine()';
COMMENT ON TABLE mongo_migrate.dangling_reference IS 'References whose document does not exist, found after the load';
COMMENT ON TABLE mongo_migrate.drift IS 'Fields that documents had in a load and the plan does not know, with the number of documents';
COMMENT ON TABLE mongo_migrate.verification IS 'One row for each run of a verification';
COMMENT ON TABLE mongo_migrate.verification_part IS 'The ranges of _id of verifications by several workers that are under way';
COMMENT ON TABLE mongo_migrate.finding IS 'Findings of verifications, one row each';
COMMENT ON TABLE mongo_migrate.sync IS 'One row for each server whose changes are followed; see sync_status';
COMMENT ON TABLE mongo_migrate.change IS 'Documents that have changed in the source since their rows were made';
COMMENT ON TABLE mongo_migrate.row_change IS 'Rows that have changed since their documents were written, after a cutover';

-- What a person edits tells in psql's \d+ what it means.
COMMENT ON COLUMN mongo_migrate.plan.time_zone IS 'the TimeZone by which casts and expressions of the plan read texts, whatever the session has: of who planned';
COMMENT ON COLUMN mongo_migrate.plan.date_style IS 'the DateStyle of the same';
COMMENT ON COLUMN mongo_migrate.plan.interval_style IS 'the IntervalStyle of the same';
COMMENT ON COLUMN mongo_migrate.plan_target.target IS 'the table: a qualified name as text, quoted where needed: public.orders';
COMMENT ON COLUMN mongo_migrate.plan_target.parent IS 'the target to whose rows these belong; root: NULL';
COMMENT ON COLUMN mongo_migrate.plan_target.kind IS 'root: a row for a document; child, pivot: for an element of an array; map: for a field of a sub-document';
COMMENT ON COLUMN mongo_migrate.plan_target.path IS 'the array or map, relative to the parent''s row; $: the row itself; root: NULL';
COMMENT ON COLUMN mongo_migrate.plan_target.nested_path IS 'tree: the array of such elements in an element, relative to it';
COMMENT ON COLUMN mongo_migrate.plan_target.ordinal IS 'the order: parents before children';
COMMENT ON COLUMN mongo_migrate.plan_target.existing IS 'the table was there before the plan';
COMMENT ON COLUMN mongo_migrate.plan_target.included IS 'false: not created, not loaded';
COMMENT ON COLUMN mongo_migrate.plan_target.filter IS 'root only: match document (Extended JSON); NULL: every document';
COMMENT ON COLUMN mongo_migrate.plan_target.distribute_by IS 'root only: the column by which Citus distributes it and its children';
COMMENT ON COLUMN mongo_migrate.plan_target.reference_table IS 'root only: Citus copies it and its children to every node';
COMMENT ON COLUMN mongo_migrate.plan_column.role IS 'id: the row''s own id, that of the document; parent: a column of the parent''s row, of its key or besides; position: the element''s place in its array, from 0, or in the whole tree; parent_position: that of the element above in a tree; key: the field''s name in a map; reference: another document''s id; value: a field; extra: the row''s fields that the plan does not know';
COMMENT ON COLUMN mongo_migrate.plan_column.path IS 'the field, relative to the row; $: the whole document or element; $key: the field''s name in a map; parent, position, parent_position: NULL';
COMMENT ON COLUMN mongo_migrate.plan_column.source_type IS 'type in which an expression sees value; NULL: type';
COMMENT ON COLUMN mongo_migrate.plan_column.expression IS 'SQL over value and doc; NULL: the field''s value as it is';
COMMENT ON COLUMN mongo_migrate.plan_column.reverse_expression IS 'SQL over value: the field''s value from the column''s, for write-back; its type says what it may become';
COMMENT ON COLUMN mongo_migrate.plan_column.parent_column IS 'parent: the column of the parent''s table';
COMMENT ON COLUMN mongo_migrate.plan_column.refers_to IS 'reference: the collection';
COMMENT ON COLUMN mongo_migrate.plan_column.refers_key IS 'reference: the field there';
COMMENT ON COLUMN mongo_migrate.plan_column.key_form IS 'reference: exact: the value as it is; objectid_text: 24 hex digits stand for that ObjectId; number_text: a text that is a number stands for that number';
COMMENT ON COLUMN mongo_migrate.plan_column.on_dangling IS 'reference to nothing: null: becomes NULL; quarantine: its document goes there; keep: stays, without a foreign key';
COMMENT ON COLUMN mongo_migrate.plan_column.is_unique IS 'gets a unique constraint after the load';
COMMENT ON COLUMN mongo_migrate.plan_column.included IS 'false: not created, not loaded';
COMMENT ON COLUMN mongo_migrate.plan_column.note IS 'where the column came from, and what the sample showed';
COMMENT ON COLUMN mongo_migrate.plan_column.default_value IS 'SQL, for rows to come';
COMMENT ON COLUMN mongo_migrate.plan_column.check_rule IS 'SQL after the column''s name, checked after the load: IN (''new'', ''paid'')';
COMMENT ON COLUMN mongo_migrate.plan_column.proposed_check IS 'a rule that may be meant; nothing is made of it';
COMMENT ON COLUMN mongo_migrate.plan_column.description IS 'goes into the column''s comment';
COMMENT ON COLUMN mongo_migrate.plan_column.labels IS 'enumeration: its values; type is the enum''s name, or lookup_table has them';
COMMENT ON COLUMN mongo_migrate.plan_column.lookup_table IS 'table (id, name), whose ids the column has; qualified as target is';
COMMENT ON COLUMN mongo_migrate.plan_column.proposed_type IS 'a narrower type that may be meant, by the validator; nothing is made of it';
COMMENT ON COLUMN mongo_migrate.plan_column.required IS 'the validator says that it is never null';
COMMENT ON COLUMN mongo_migrate.plan_index.index_name IS 'as the source has it';
COMMENT ON COLUMN mongo_migrate.plan_index.keys IS 'path relative to the row -> 1, or -1: descending';
COMMENT ON COLUMN mongo_migrate.plan_index.filter IS 'match document of a partial index';
COMMENT ON COLUMN mongo_migrate.plan_index.proposed IS 'the row before any edit; NULL: a person added it';

CREATE FUNCTION mongo_migrate.is_cut_over(server name)
    RETURNS boolean
    LANGUAGE sql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp
AS $$
    SELECT EXISTS (SELECT FROM mongo_migrate.sync AS s WHERE s.server = $1 AND s.cut_over_at IS NOT NULL)
$$;
COMMENT ON FUNCTION mongo_migrate.is_cut_over(name) IS
    'whether the documents of a server follow the rows, and not the other way round';

\echo
\echo == 4. The schema, to review and to commit. Arrays of documents are child tables, arrays of keys are pivots.
\pset format unaligned
\pset tuples_only on
SELECT mongo_migrate.draft_ddl('shop');
\pset tuples_only off
\pset format aligned
SELECT mongo_migrate.apply_ddl('shop');

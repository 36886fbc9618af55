# The end of a migration beside what else is done with its tables: a VACUUM has the table, and then wants its indexes.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PsqlSession;
use Statement;
use Test::More;

my $mongo = MongoServer->shared;
my $node = PostgreSQL::Test::Cluster->new('finish');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nmax_worker_processes = 16");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mongo_migrate; CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate'
	  . " OPTIONS (uri '" . $mongo->uri . "', database 'mm_test_finish')");
sub query { return $node->safe_psql('postgres', $_[0]); }

$mongo->command('mm_test_finish', '{"dropDatabase": 1}');
$mongo->command('mm_test_finish', '{"insert": "orders", "documents": [{"_id": "a", "n": 1}, {"_id": "b", "n": 2}]}');
$mongo->command('mm_test_finish', '{"createIndexes": "orders", "indexes": [{"key": {"n": 1}, "name": "n", "unique": true}]}');
query("SELECT mongo_migrate.plan_collection('shop', 'orders')");
my $run = query("SELECT mongo_migrate.prepare_run('shop', 'orders', 100, 0, 'quarantine', NULL, NULL)");
query("CALL mongo_migrate.copy_chunks($run)");
query("SET min_parallel_table_scan_size = 0;\nCALL mongo_migrate.build_keys($run);");
my $index = query("SELECT built FROM mongo_migrate.run_keys('shop', 'orders') WHERE relation = 'orders'::regclass AND label = 'pkey'");
like($index, qr/^mongo_migrate_key_/, 'an index has its passing name');

my $vacuum = PsqlSession->new($node);
$vacuum->ask('BEGIN; LOCK TABLE orders IN SHARE UPDATE EXCLUSIVE MODE');
my $end = Statement->new($node, "CALL mongo_migrate.finish_run($run)");
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND relation = 'orders'::regclass") or die 'it does not wait';
is(join('', $vacuum->ask("ALTER INDEX $index SET (fillfactor = 90); COMMIT")), '', 'who has the table gets its index, too');
is($end->finish, '', 'and the end waits for both');
$vacuum->finish;
is(query('SELECT state, phase FROM mongo_migrate.run'), 'complete|done', 'before it comes');
is(query("SELECT string_agg(conname, ',' ORDER BY conname) FROM pg_constraint WHERE conrelid = 'orders'::regclass AND contype IN ('p', 'u')"),
	'orders_n_key,orders_pkey', 'with all keys');

# Whoever opens an id map while the run of its collection ends takes ids from the table's sequence, as the application does.
$mongo->command('mm_test_finish', '{"insert": "items", "documents": [{"_id": 1, "order": "a"}, {"_id": 2, "order": "b"}, {"_id": 3, "order": "gone"}]}');
$mongo->command('mm_test_finish', '{"insert": "orders", "documents": [{"_id": "c", "n": 3}]}');
query("SELECT mongo_migrate.reset_collection('shop', 'orders', truncate => true);"
	  . " SELECT mongo_migrate.plan_collection('shop', 'items');"
	  . " UPDATE mongo_migrate.plan_column SET role = 'reference', type = 'bigint', refers_to = 'orders' WHERE path = 'order'");
my %run = map { $_ => query("SELECT mongo_migrate.prepare_run('shop', '$_', 100, 0, 'quarantine', NULL, NULL)") } qw(orders items);
query("CALL mongo_migrate.copy_chunks($run{orders})");
query("SELECT mongo_migrate.$_($run{orders})") foreach qw(end_copy add_keys add_references validate_references);
my ($ending, $copying) = map { PsqlSession->new($node) } 1 .. 2;
$ending->ask("BEGIN; SELECT mongo_migrate.complete_run($run{orders})");
$copying->send("CALL mongo_migrate.copy_chunks($run{items})");
$node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM pg_locks WHERE NOT granted') or die 'it does not wait';
$ending->ask('COMMIT');
is(($copying->result)[1], '', 'references are copied when the run of their collection has ended');
query('INSERT INTO orders (n) SELECT g FROM generate_series(101, 300) g');
is(query('SELECT string_agg(n::text, \',\' ORDER BY n) FROM items JOIN orders ON orders.id = items."order"'), '1,2', 'and lead to no row of an application');
$_->finish foreach $ending, $copying;

# Two collections that refer to each other end at the same time, one of them with references to missing documents.
$mongo->command('mm_test_finish', '{"insert": "left", "documents": [{"_id": "a", "right": "a"}, {"_id": "b", "right": "gone"}]}');
$mongo->command('mm_test_finish', '{"insert": "right", "documents": [{"_id": "a", "left": "a"}, {"_id": "b", "left": "b"}]}');
query("SELECT mongo_migrate.plan_collection('shop', c) FROM unnest('{left,right}'::text[]) c;"
	  . " UPDATE mongo_migrate.plan_column SET role = 'reference', type = 'bigint', nullable = true, refers_to = path WHERE path IN ('left', 'right')");
%run = map { $_ => query("SELECT mongo_migrate.prepare_run('shop', '$_', 100, 0, 'quarantine', NULL, NULL)") } qw(left right);
query("CALL mongo_migrate.copy_chunks($run{$_})") foreach qw(left right);
query("SET min_parallel_table_scan_size = 0;\nCALL mongo_migrate.build_keys($run{$_});") foreach qw(left right);
my @both = map { PsqlSession->new($node) } qw(left right);
$both[0]->ask("BEGIN; SELECT mongo_migrate.add_keys($run{left})");
$both[1]->ask("SET lock_timeout = '5s'; BEGIN");
is(($both[1]->ask("SELECT mongo_migrate.add_keys($run{right})"))[1], '', 'neither waits for the tables of the other');
$_->ask('COMMIT') foreach @both;
query("CALL mongo_migrate.finish_run($run{$_})") foreach qw(left right);
is(query("SELECT string_agg(DISTINCT state || ' ' || phase, ',') FROM mongo_migrate.run WHERE run_id IN ($run{left}, $run{right})"), 'complete done', 'both end');
is(query("SELECT string_agg(k.keys, ' ') FROM mongo_migrate.id_map m CROSS JOIN LATERAL (SELECT string_agg(contype::text, '' ORDER BY contype) FROM pg_constraint"
		  . " WHERE conrelid = m.relation::regclass AND contype IN ('p', 'u')) k (keys) WHERE m.collection IN ('left', 'right')"), 'pu pu', 'each id map has its keys once');
$_->finish foreach @both;

# Before the load keys are tried on the empty tables, but not for as long as others write to them.
$mongo->command('mm_test_finish', '{"insert": "notes", "documents": [{"_id": "a", "n": 1}]}');
query("SELECT mongo_migrate.plan_collection('shop', 'notes'); SELECT mongo_migrate.apply_ddl('shop', 'notes')");
my $writer = PsqlSession->new($node);
$writer->ask('BEGIN; LOCK TABLE notes IN ROW EXCLUSIVE MODE');
is(query("SET statement_timeout = '1min'; SELECT action FROM mongo_migrate.apply_ddl('shop', 'notes')"), 'exists', 'nobody waits for a writer to try keys');
$writer->finish;

# Who waits for another session of a run waits as long as that takes: lock_timeout is for the tables.
$run = query("SELECT mongo_migrate.prepare_run('shop', 'notes', 100, 0, 'quarantine', NULL, NULL)");
query("CALL mongo_migrate.copy_chunks($run); SELECT mongo_migrate.begin_keys($run)");
my ($helper, $finisher) = map { PsqlSession->new($node) } 1 .. 2;
$helper->ask('SET min_parallel_table_scan_size = 0');
$finisher->ask("SET lock_timeout = '10ms'");
$helper->ask("BEGIN; SELECT mongo_migrate.build_key($run, '{}')");
is(query("SET min_parallel_table_scan_size = 0; SELECT b.name LIKE format('mongo_migrate_key_%s_%%', m.relation::regclass::oid)"
		  . " FROM mongo_migrate.id_map m, mongo_migrate.build_key($run, '{}', of_maps => false) AS b (name) WHERE m.collection = 'notes'"),
	't', 'an index of another table is built meanwhile, even by the session that is to leave those of the map');
$helper->ask('ROLLBACK');
query("SET min_parallel_table_scan_size = 0;\nCALL mongo_migrate.build_keys($run, of_maps => false);");
is(query("SET min_parallel_table_scan_size = 0; SELECT mongo_migrate.build_key($run, '{}', of_maps => false) IS NULL"), 't',
	'but not when those of the tables are there');
query("SELECT mongo_migrate.attach_keys('shop', 'notes', false); ALTER TABLE notes DROP CONSTRAINT notes_pkey");
foreach my $steps ([ "build_key($run, '{}')", "add_keys($run)" ], [ "finish_table($run, '{}')", "validate_references($run)" ],
	[ "finish_table($run, '{}')", "complete_run($run)" ])
{
	my ($helping, $finishing) = @$steps;
	$helper->ask("BEGIN; SELECT mongo_migrate.$helping");
	$finisher->send("SELECT mongo_migrate.$finishing");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory'") or die 'it does not wait';
	$helper->ask('COMMIT');
	is(($finisher->result)[1], '', "$finishing waits for $helping");
	query("SELECT mongo_migrate.add_references($run)") if $finishing =~ /add_keys/;
}
is(query("SELECT state, phase FROM mongo_migrate.run WHERE run_id = $run"), 'complete|done', 'and the run ends');
$_->finish foreach $helper, $finisher;

$mongo->command('mm_test_finish', '{"dropDatabase": 1}');
$node->stop;
done_testing();

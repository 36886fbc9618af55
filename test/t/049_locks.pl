# Functions of the extension, and an application, that lock the same tables in different orders: none of them ends with a deadlock.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PsqlSession;
use Test::More;

my $mongo = MongoServer->shared;
my $node = PostgreSQL::Test::Cluster->new('locks');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nmax_worker_processes = 16\ndeadlock_timeout = '100ms'");
$node->start;
sub query { return $node->safe_psql('postgres', $_[0]); }
query('CREATE EXTENSION mongo_migrate; CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate'
	  . " OPTIONS (uri '" . $mongo->uri . "', database 'mm_test_locks')");

$mongo->command('mm_test_locks', '{"dropDatabase": 1}');
$mongo->command('mm_test_locks', '{"insert": "orders", "documents": [{"_id": "a", "n": 1}, {"_id": "b", "n": 2}]}');
$mongo->command('mm_test_locks', '{"insert": "items", "documents": [{"_id": "1", "order": "a", "n": 1}, {"_id": "2", "order": "b", "n": 2}]}');
query("SELECT mongo_migrate.plan_collection('shop', c) FROM unnest('{orders,items}'::text[]) c;"
	  . " UPDATE mongo_migrate.plan_column SET role = 'reference', type = 'bigint', nullable = true, refers_to = 'orders' WHERE path = 'order'");

sub migrate { return query("SELECT bool_and(complete) FROM mongo_migrate.migrate_all('shop')"); }
is(migrate(), 't', 'two collections are migrated, of which one refers to the other');

sub reset_of { return sprintf "SELECT mongo_migrate.reset_collection('shop', '%s', truncate => true)", $_[0]; }

# A session has some locks already when $call asks for all, and then asks for more: $call waits, and neither ends with a deadlock.
sub give_way
{
	my ($name, $has, $call, $asks) = @_;
	my ($first, $second) = map { PsqlSession->new($node) } 1 .. 2;
	my ($pid) = $second->ask('SELECT pg_backend_pid()');
	unlike(($first->ask("BEGIN; $has"))[1], qr/ERROR/, "$name: begun");
	$second->send($call);
	$node->poll_query_until('postgres', "SELECT state = 'active' AND query_start < clock_timestamp() - interval '300 ms' FROM pg_stat_activity WHERE pid = $pid")
	  or die 'it does not wait';
	unlike(($first->ask("$asks; COMMIT"))[1], qr/ERROR/, "$name: goes on");
	unlike(($second->result)[1], qr/ERROR/, "$name: waits");
	$_->finish foreach $first, $second;
	return;
}

# A sync at a step of items, until it commits.
sub step_of_sync
{
	my $session = PsqlSession->new($node);
	$session->ask("SELECT pg_advisory_lock(mongo_migrate.sync_lock('shop')); BEGIN; SELECT pg_advisory_xact_lock(mongo_migrate.run_lock('shop', 'items'))");
	return $session;
}

# Until one session waits for an advisory lock.
sub await_waiting
{
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory'") or die 'it does not wait';
	return;
}

sub quarantine
{
	query("INSERT INTO mongo_migrate.quarantine (server, collection, key, source_id, document, reason, sqlstate)"
		  . " SELECT 'shop', 'items', mongo_migrate.quarantine_key(mongo_migrate.bson_key('\"9\"')), '\"9\"', mongo_migrate.bson_from_json('{\"_id\": \"9\"}'), 'a test', '23503'");
	return;
}

# The tables of a reset: an id map before its table, and what is referred to before what refers to it.
give_way('a verification beside a reset', q(SELECT mongo_migrate.target_id('shop', 'items', '"1"')), reset_of('items'),
	"SELECT count(*) FROM mongo_migrate.verify_sample('shop', 'items')");
is(migrate(), 't', 'all is migrated again');
give_way('reading what is referred to first', 'SELECT FROM orders', reset_of('orders'), 'SELECT FROM items');
is(migrate(), 't', 'all is migrated again');
give_way('reading what refers to it first', 'SELECT FROM items', reset_of('orders'), 'SELECT FROM orders');
is(migrate(), 't', 'all is migrated again');
give_way('an application beside a run that catches up', 'LOCK TABLE orders IN ACCESS SHARE MODE', "SELECT mongo_migrate.prepare_run('shop', 'items', 100, 0, 'quarantine', NULL, NULL)",
	'SELECT FROM items');
is(migrate(), 't', 'all is migrated again');

# A reset that waits for a worker which a session has left takes the plan as it is then.
query("UPDATE mongo_migrate.chunk SET complete = false WHERE collection = 'items'");
give_way('a table that is renamed before a reset', "SELECT pg_advisory_xact_lock(mongo_migrate.run_lock('shop', 'items', 1))", reset_of('items'),
	"ALTER TABLE items RENAME TO things; UPDATE mongo_migrate.plan_target SET target = 'public.things' WHERE target = 'public.items'");
query("ALTER TABLE things RENAME TO items; UPDATE mongo_migrate.plan_target SET target = 'public.items' WHERE target = 'public.things'");
is(migrate(), 't', 'all is migrated again');

query('ALTER TABLE items DROP CONSTRAINT items_order_fkey');
give_way('an application beside a foreign key that is made', 'LOCK TABLE orders IN ROW EXCLUSIVE MODE', "SELECT mongo_migrate.apply_references('shop')",
	'LOCK TABLE items IN ROW EXCLUSIVE MODE');

# A foreign key that is gone by the time that it would be validated is no error.
query("ALTER TABLE items DROP CONSTRAINT items_order_fkey; ALTER TABLE items ADD FOREIGN KEY (\"order\") REFERENCES orders NOT VALID");
give_way('a reset beside the validation of a foreign key', reset_of('orders'), "SELECT mongo_migrate.apply_references('shop')", 'SELECT');
is(migrate(), 't', 'all is migrated again');

# What adds foreign keys has the lock of the server before that of a table, and so have others that write to tables.
my $adds = "SELECT mongo_migrate.await_lock(mongo_migrate.run_lock('shop', ''))";
query("UPDATE items SET n = 7; SELECT count(*) FROM mongo_migrate.verify_full('shop', 'items')");
give_way('a repair beside a run that ends', $adds, "SELECT mongo_migrate.repair('shop', 'items')", 'LOCK TABLE items IN SHARE ROW EXCLUSIVE MODE');
is(query('SELECT sum(n) FROM items'), 3, 'it has repaired');
quarantine();
$mongo->command('mm_test_locks', '{"insert": "items", "documents": [{"_id": "9", "order": "gone", "n": 1}]}');
give_way('a retry beside a run that ends', $adds, "SELECT mongo_migrate.retry_quarantine('shop', 'items')", 'LOCK TABLE items IN SHARE ROW EXCLUSIVE MODE');

give_way('a migration in the calling transaction beside a run that ends', $adds, "SELECT mongo_migrate.migrate_collection('shop', 'items', workers => 0)",
	'LOCK TABLE items IN SHARE ROW EXCLUSIVE MODE');

# A run that looks ids up in a map gives it its primary key, which the run that ends does not make again then.
my $map = query("SELECT relation FROM mongo_migrate.id_map WHERE collection = 'orders'");
my ($table) = $map =~ /(\w+)$/;
query("ALTER TABLE $map DROP CONSTRAINT ${table}_pkey, DROP CONSTRAINT ${table}_id_key");
give_way('the end of a run beside one that looks ids up', "LOCK TABLE $map IN ROW EXCLUSIVE MODE", "SELECT mongo_migrate.finish_id_map('shop', 'orders')",
	"SELECT mongo_migrate.key_id_map('shop', 'orders')");
is(query("SELECT string_agg(contype, '' ORDER BY contype) FROM pg_constraint WHERE conrelid = '$map'::regclass AND contype IN ('p', 'u')"), 'pu', 'the map has both keys');

# An id map that another session empties, with the checkpoints, has not lost its rows.
quarantine();
give_way('a retry beside a reset', reset_of('items'), "SELECT mongo_migrate.retry_quarantine('shop', 'items')", 'SELECT');
is(migrate(), 't', 'all is migrated again');

# A sync leaves documents of a collection alone while its quarantine is tried again, which waits for a step of the sync.
quarantine();
query("INSERT INTO mongo_migrate.change (server, collection, key, id, changed_at, due_at) SELECT server, collection, key, mongo_migrate.bson_id(document), now(), now()"
	  . " FROM mongo_migrate.quarantine");
my ($retry, $follower) = map { PsqlSession->new($node) } 1 .. 2;
$retry->ask("BEGIN; SELECT mongo_migrate.retry_quarantine('shop', 'items')");
is(join('', $follower->ask("SET statement_timeout = '5s'; SELECT mongo_migrate.apply_changes('shop', 'items')")), '0', 'a change waits for a retry');
$retry->ask('COMMIT');
my $step = step_of_sync();
$retry->send("SELECT documents FROM mongo_migrate.retry_quarantine('shop')");
await_waiting();
$step->ask('COMMIT; SELECT pg_advisory_unlock_all()');
is(join('', $retry->result), '1', 'and a retry for a step');
$_->finish foreach $retry, $follower, $step;

# Who migrates all in one transaction waits for steps of the sync before it has what these may wait for.
my $all = PsqlSession->new($node);
$step = step_of_sync();
$all->send("SELECT bool_and(complete) FROM mongo_migrate.migrate_all('shop', workers => 0)");
await_waiting();
is(query("SELECT count(*) FROM mongo_migrate.run_lock_held WHERE lock = mongo_migrate.run_lock('shop', '')"), 0, 'it waits with nothing but locks of collections');
$step->ask('COMMIT; SELECT pg_advisory_unlock_all()');
is(($all->result)[0], 't', 'and migrates then');
$_->finish foreach $all, $step;

# Whoever waits for the step of a sync has what that waits for: it is a deadlock, and told to one of them.
my ($session, $sync) = (PsqlSession->new($node), step_of_sync());
$session->ask("BEGIN; $adds");
$sync->send($adds);
await_waiting();
$session->send("SET statement_timeout = '20s'; SELECT mongo_migrate.repair('shop', 'items'); COMMIT");
is(join('', map { ($_->result)[1] =~ /deadlock detected/ ? 1 : 0 } $session, $sync) =~ tr/1//, 1, 'one of the two has a deadlock');
$_->finish foreach $session, $sync;

$mongo->command('mm_test_locks', '{"dropDatabase": 1}');
$node->stop;
done_testing();

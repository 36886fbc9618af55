# Who works for a migration, and what it is told while it runs: workers, set_pace(), stop_migration() of all of a server.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PsqlSession;
use Test::More;

my $mongo = MongoServer->new;
foreach my $collection (qw(a b c))
{
	$mongo->generate('shop', $collection, [ 0, 60000 ], '{"_id": "$n", "n": 1}');
}

my $node = PostgreSQL::Test::Cluster->new('control');
$node->init;
$node->start;
sub query { return $node->safe_psql('postgres', $_[0]); }
query('CREATE EXTENSION mongo_migrate; CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate'
	  . " OPTIONS (uri '" . $mongo->uri . "', database 'shop')");
query("SELECT mongo_migrate.plan_collection('shop', c) FROM unnest(ARRAY['a', 'b', 'c']) c");
query("SELECT mongo_migrate.apply_ddl('shop')");

# Rows, and ANALYZE, wait for the lock that a session of the test may hold.
query('CREATE FUNCTION gate(n integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS '
	  . q('BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(1); RETURN n; END'));
query("CREATE INDEX ON $_ (gate(n))") foreach qw(a b);

# Closes the gate; opens when the session ends.
sub closed_gate
{
	my $gate = PsqlSession->new($node);
	$gate->ask('SELECT pg_advisory_lock(1)');
	return $gate;
}

sub starts
{
	my ($call) = @_;
	my $session = PsqlSession->new($node);
	$session->send($call);
	return $session;
}

sub wait_until
{
	my ($condition, $name) = @_;
	return ok($node->poll_query_until('postgres', "SELECT $condition"), $name);
}

my $waiting = "SELECT count(*) FROM mongo_migrate.workers WHERE (wait_event_type, wait_event) = ('Lock', 'advisory')";

# While it copies, then while it analyzes.
my $gate = closed_gate();
my $session = starts("SELECT complete FROM mongo_migrate.migrate_collection('shop', 'a', batch_size => 100)");
wait_until("($waiting) = 2", 'two workers wait for a lock');
is( query('SELECT server, collection, phase, count(*), count(DISTINCT pid), count(DISTINCT chunk), sum(documents), count(relation),'
		  . ' bool_and(since < clock_timestamp()), count(DISTINCT run_id) FROM mongo_migrate.workers GROUP BY 1, 2, 3'),
	'shop|a|copy|2|2|2|0|0|t|1', 'each has a range');
is(query("SELECT collection, state, workers FROM mongo_migrate.progress ORDER BY 1"), "a|running|2\nb|planned|0\nc|planned|0",
	'progress counts them');
is( query("SELECT count(*) FROM mongo_migrate.workers w JOIN pg_stat_activity a USING (pid) WHERE a.backend_type = 'mongo_migrate worker'"),
	2, 'by their processes');
is(query("SELECT mongo_migrate.stop_migration('shop', 'a')"), 't', 'stop_migration finds them');
is(query("SELECT state FROM mongo_migrate.progress WHERE collection = 'a'"), 'running', 'they are at it until their batches have ended');
$gate->finish;
my ($out, $err) = $session->result;
is($out, 'f', 'it stops');
like($err, qr/migration of collection a stopped: stop_migration was called/, 'and says why');
is(query("SELECT state, documents FROM mongo_migrate.run_report WHERE collection = 'a'"), 'stopped|200', 'after these batches');
is(query('SELECT count(*) FROM mongo_migrate.workers'), 0, 'nobody works any more');
is(query("SELECT mongo_migrate.stop_migration('shop', 'a')"), 'f', 'and stop_migration says so');

my $run = query("SELECT mongo_migrate.prepare_run('shop', 'a', 1000, 1, 'quarantine', NULL, NULL)");
query("CALL mongo_migrate.copy_chunks($run)");
$gate = closed_gate();
$session = starts("SELECT complete FROM mongo_migrate.migrate_collection('shop', 'a')");
wait_until("($waiting) = 1", 'ANALYZE waits');
is(query('SELECT collection, phase, chunk, relation, step, percent > 0 FROM mongo_migrate.workers'),
	'a|references||a|computing statistics|t', 'it is seen');
is(query("SELECT mongo_migrate.stop_migration('shop')"), 't', 'that can still be stopped');
$gate->finish;
is(($session->result)[0], 'f', 'after this table');
is(query("SELECT state, phase, error FROM mongo_migrate.run ORDER BY run_id DESC LIMIT 1"), 'stopped|references|stop_migration was called',
	'where it was');
is(query("SELECT complete FROM mongo_migrate.migrate_collection('shop', 'a')"), 't', 'the next call ends it');

# By hand, from psql.
query("SELECT mongo_migrate.reset_collection('shop', 'a', truncate => true)");
$run = query("SELECT mongo_migrate.prepare_run('shop', 'a', 1000, 1, 'quarantine', NULL, NULL)");
is(query("SELECT state FROM mongo_migrate.progress WHERE collection = 'a'"), 'stopped', 'prepared by hand, nobody is at it');
$gate = closed_gate();
$session = starts("CALL mongo_migrate.copy_chunks($run)");
wait_until("($waiting) = 1", 'a session copies by hand');
is(query("SELECT state, workers FROM mongo_migrate.progress WHERE collection = 'a'"), 'running|1', 'and is seen');
is(query("SELECT mongo_migrate.stop_migration('shop', 'a')"), 't', 'it can be stopped');
$gate->finish;
$session->result;
is(query("SELECT count(*) FROM a"), 1000, 'after its batch');
query("CALL mongo_migrate.finish_run($run)");
is(query("SELECT state, error FROM mongo_migrate.run WHERE run_id = $run"), 'stopped|stop_migration was called', 'it has stopped');

# A pace that is set while it runs.
is(query("SELECT mongo_migrate.set_pace('shop', 'a', 100)"), 'f', 'there is nothing to set');
$gate = closed_gate();
$session = starts("SELECT complete FROM mongo_migrate.migrate_collection('shop', 'a', batch_size => 400, workers => 1)");
wait_until("($waiting) = 1", 'it copies');
is(query("SELECT mongo_migrate.set_pace('shop', 'a', 500)"), 't', 'its pace is set');
$gate->finish;
# Wait events have names since PostgreSQL 17.
my $rest = query('SHOW server_version_num') >= 170000 ? 'MongoMigrateRest' : 'Extension';
wait_until("(SELECT count(*) FROM mongo_migrate.workers WHERE wait_event = '$rest') = 1", 'it rests after a batch');
is(query("SELECT options -> 'batch_size' FROM mongo_migrate.run ORDER BY run_id DESC LIMIT 1"), 400, 'of as many documents as before');
is(query("SELECT mongo_migrate.set_pace('shop', 'a', 1)"), 't', 'it shall be slow');
wait_until("(SELECT updated_at < clock_timestamp() - interval '2 s' FROM mongo_migrate.progress WHERE collection = 'a')", 'a long rest');
is(query("SELECT mongo_migrate.stop_migration('shop', 'a')"), 't', 'it is stopped');
is(($session->result)[0], 'f', 'which ends a rest');
$gate = closed_gate();
$session = starts("SELECT complete FROM mongo_migrate.migrate_collection('shop', 'a', batch_size => 400, workers => 1, max_docs_per_second => 400)");
wait_until("($waiting) = 1", 'it copies');
is(query("SELECT mongo_migrate.set_pace('shop', 'a', NULL)"), 't', 'its pace is set free');
$gate->finish;
is(($session->result)[0], 't', 'it completes');
is(query("SELECT count(*), count(DISTINCT n) FROM a"), '60000|60000', 'with every document once');

# All of a server, in the midst of it.
query("SELECT mongo_migrate.reset_collection('shop', 'a', truncate => true)");
$gate = closed_gate();
$session = starts("SELECT collection, complete FROM mongo_migrate.migrate_all('shop', batch_size => 100)");
wait_until("($waiting) = 2", 'it is at the first');
is(query("SELECT mongo_migrate.stop_migration('shop')"), 't', 'all of it shall stop');
$gate->finish;
($out, $err) = $session->result;
is($out, 'a|f', 'it does not begin with the next');
like($err, qr/NOTICE:  migration of server "shop" stopped: stop_migration was called\nHINT:  Call migrate_all again/, 'and says why');
is(query("SELECT collection, complete FROM mongo_migrate.migrate_all('shop')"), "a|t\nb|t\nc|t", 'the next call does it all');
is(query("SELECT mongo_migrate.stop_migration('shop')"), 'f', 'then there is nothing to stop');

# What the plans of two collections share, whoever makes it: a schema, an enum type, a lookup table.
query("SELECT mongo_migrate.run_command('shop', '{\"insert\": \"$_\", \"documents\": [{\"_id\": 1, \"unit\": \"kg\", \"state\": \"new\"}]}'),"
	  . " mongo_migrate.plan_collection('shop', '$_'),"
	  . " mongo_migrate.plan_enumeration('shop', '$_', 'unit', 'enum', ARRAY['kg', 'l'], 'common.unit'),"
	  . " mongo_migrate.plan_enumeration('shop', '$_', 'state', 'lookup', ARRAY['new'], 'common.state')") foreach qw(d e);
my $first = PsqlSession->new($node);
$first->ask('BEGIN');
is(($first->ask("SELECT target, action FROM mongo_migrate.apply_ddl('shop', 'd')"))[0], 'public.d|created', 'one makes it');
my $second = starts("SELECT target, action FROM mongo_migrate.apply_ddl('shop', 'e')");
wait_until("count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%apply_ddl%'", 'another waits for that');
$first->ask('COMMIT');
is_deeply([ $second->result ], [ 'public.e|created', '' ], 'and uses it');
is(query("SELECT string_agg(attrelid::regclass || '.' || attname || ' ' || atttypid::regtype, ', ' ORDER BY 1) FROM pg_attribute"
	  . " WHERE attrelid IN ('d'::regclass, 'e'::regclass) AND attname = 'unit'"), 'd.unit common.unit, e.unit common.unit', 'both have the type');
is(query("SELECT string_agg(name, ',') FROM common.state"), 'new', 'and one row is in the lookup table');

# A worker that has to give way in a deadlock comes again. It closes the circle: who does not finds none that comes later.
query("SELECT mongo_migrate.reset_collection('shop', 'a', truncate => true)");
query('CREATE OR REPLACE FUNCTION gate(n integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS '
	  . q('BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(1); PERFORM pg_catalog.pg_advisory_xact_lock_shared(2); RETURN n; END'));
$gate = closed_gate();
$first->ask("SET deadlock_timeout = '100s'; SELECT pg_advisory_lock(2)");
$session = starts("SELECT complete FROM mongo_migrate.migrate_collection('shop', 'a', workers => 1)");
wait_until("($waiting) = 1", 'it copies');
$first->send('BEGIN; LOCK TABLE a IN SHARE MODE; ROLLBACK; SELECT pg_advisory_unlock(2)');
wait_until("count(*) = 1 FROM pg_locks WHERE relation = 'a'::regclass AND NOT granted", 'another waits for its table');
$gate->finish;
$first->result;
($out, $err) = $session->result;
is($out, 't', 'it completes');
like($err, qr/WARNING:  migration of collection a is interrupted: deadlock detected/, 'and has said why it came again');
is(query('SELECT count(*), count(DISTINCT n) FROM a'), '60000|60000', 'with every document once');

# What another session plans meanwhile is migrated, once.
query("SELECT mongo_migrate.run_command('shop', '{\"insert\": \"f\", \"documents\": [{\"_id\": 1}]}')");
$first->ask("BEGIN; SELECT mongo_migrate.plan_collection('shop', 'f')");
$session = starts("SELECT collection, complete FROM mongo_migrate.migrate_all('shop') WHERE collection = 'f'");
wait_until("count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND backend_type = 'mongo_migrate worker'", 'a worker waits for its plan');
$first->ask('COMMIT');
is(($session->result)[0], 'f|t', 'migrate_all has one row for what it could not plan');

query("SELECT mongo_migrate.run_command('shop', '{\"insert\": \"h\", \"documents\": [{\"_id\": 1}]}')");
$first->ask("BEGIN; SELECT mongo_migrate.plan_collection('shop', 'h')");
$session = starts("SELECT complete FROM mongo_migrate.migrate_collection('shop', 'h')");
wait_until("count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND backend_type = 'mongo_migrate worker'", 'a worker waits for a plan');
$first->ask('COMMIT');
is_deeply([ $session->result ], [ 't', '' ], 'and goes on with it');

# What another session makes meanwhile is waited for.
query("CREATE SERVER crm FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '" . $mongo->uri . "', database 'crm')");
query("SELECT mongo_migrate.plan_collection('crm', 'i') FROM mongo_migrate.run_command('crm', '{\"insert\": \"i\", \"documents\": [{\"_id\": 1, \"a\": [{\"b\": 1}]}]}')");
$first->ask("BEGIN; SELECT mongo_migrate.apply_ddl('crm', 'i')");
$session = starts("SELECT complete FROM mongo_migrate.migrate_collection('crm', 'i')");
$second = starts("SELECT target, action FROM mongo_migrate.apply_ddl('crm')");
wait_until("count(*) = 2 FROM pg_stat_activity WHERE wait_event_type = 'Lock'", 'two wait for tables');
$first->ask('COMMIT');
is_deeply([ $session->result ], [ 't', '' ], 'one migrates to them');
is_deeply([ $second->result ], [ "public.i|exists\npublic.i_a|exists", '' ], 'the other finds them there');

query("SELECT mongo_migrate.plan_collection('crm', 'j') FROM mongo_migrate.run_command('crm', '{\"insert\": \"j\", \"documents\": [{\"_id\": 1}]}')");
query("SELECT mongo_migrate.apply_ddl('crm', 'j')");
$first->ask("BEGIN; ALTER TABLE j ADD PRIMARY KEY (id)");
$second = starts("SELECT target, action FROM mongo_migrate.apply_ddl('crm', 'j')");
wait_until("count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'", 'keys are tried while another session makes them');
$first->ask('COMMIT');
is_deeply([ $second->result ], [ 'public.j|exists', '' ], 'which is no fault of the plan');

# Two collections that are planned at the same time have two tables.
query("SELECT mongo_migrate.run_command('$_', '{\"insert\": \"g\", \"documents\": [{\"_id\": 1, \"of\": \"$_\"}]}')") foreach qw(shop crm);
$first->ask("BEGIN; SELECT mongo_migrate.plan_collection('shop', 'g')");
$session = starts("SELECT complete FROM mongo_migrate.migrate_collection('crm', 'g')");
wait_until("count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND backend_type = 'mongo_migrate worker'", 'a name is waited for');
$first->ask("COMMIT; SELECT complete FROM mongo_migrate.migrate_collection('shop', 'g')");
($out, $err) = $session->result;
is($out, 't', 'both are migrated');
like($err, qr/^NOTICE:  g: its table is planned as public.g_2: public.g is no table, or that of another plan$/, 'and it is said');
is(query("SELECT g.of, g_2.of FROM g, g_2"), 'shop|crm', 'to tables of their own');

# Loaded by the postmaster, the driver is that of all sessions; new ObjectIds are still each session's own.
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'mongo_migrate'");
$node->restart;
query("SELECT mongo_migrate.reset_collection('shop', 'a', truncate => true)");
is(query("SELECT documents, inserted, complete FROM mongo_migrate.migrate_collection('shop', 'a')"), '60000|60000|t', 'the library can be preloaded');
my ($one, $other) = map { substr query('SELECT mongo_migrate.objectid_generate()'), 8, 10 } 1, 2;
isnt($one, $other, 'ObjectIds of two sessions are apart');

$node->stop;
done_testing();

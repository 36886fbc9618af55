# Migrations that are killed, cancelled, stopped or refused: called again, they end with every document exactly
# once, child rows included. MM_KILLS: how often each of worker, cluster, mongod and network is killed (3).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use IPC::Run;
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Proxy;
use PsqlSession;
use Statement;
use Test::More;
use Time::HiRes qw(usleep);

my $kills = $ENV{MM_KILLS} || 3;
my $orders = 60000;
my $users = 1000;
my $call = "SELECT complete FROM mongo_migrate.migrate_collection('shop', 'orders', batch_size => 250)";
# Slow enough to be met while it runs, however busy the machine is.
my $slow_call = $call =~ s/250/250, max_docs_per_second => 2000/r;

my $mongo = MongoServer->new;
my $proxy = Proxy->new($mongo->port);

# The _id values of orders are numbers, strings and ObjectIds; an order has 0 to 2 items and refers to a user.
$mongo->generate('shop', 'users', [ 0, $users ], '{"_id": {"$concat": ["u", {"$toString": "$n"}]}, "n": 1}');
$mongo->generate('shop', 'orders', [ 0, $orders ], '{"_id": {"$switch": {"branches": ['
	  . '{"case": {"$eq": [{"$mod": ["$n", 3]}, 0]}, "then": "$n"},'
	  . '{"case": {"$eq": [{"$mod": ["$n", 3]}, 1]}, "then": {"$concat": ["o", {"$toString": "$n"}]}}],'
	  . '"default": {"$toObjectId": {"$substrCP": [{"$concat": ["000000000000000000000000", {"$toString": "$n"}]},'
	  . ' {"$strLenCP": {"$toString": "$n"}}, 24]}}}},'
	  . '"n": 1, "user": {"$concat": ["u", {"$toString": {"$mod": ["$n", ' . $users . ']}}]},'
	  . '"items": {"$map": {"input": {"$range": [0, {"$mod": ["$n", 3]}]}, "as": "i",'
	  . ' "in": {"sku": {"$concat": ["s", {"$toString": "$$i"}]}, "price": {"$add": ["$n", 0.5]}}}}}');

my $node = PostgreSQL::Test::Cluster->new('resume');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', 'restart_after_crash = on');
$node->append_conf('postgresql.conf', 'max_worker_processes = 16');
# Or a slow machine has messages where nothing is expected.
$node->append_conf('postgresql.conf', 'mongo_migrate.progress_interval = 0');
# Indexes of tables of any size are built by several workers.
$node->append_conf('postgresql.conf', 'min_parallel_table_scan_size = 0');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mongo_migrate');
$node->safe_psql('postgres', 'CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate'
	  . " OPTIONS (uri '" . $mongo->uri . "', database 'shop')");

sub query { return $node->safe_psql('postgres', $_[0]); }

# Forgets everything that was migrated.
sub forget
{
	my ($self) = @_;
	query("DROP TABLE IF EXISTS orders_items, orders, users; DELETE FROM mongo_migrate.plan;"
		  . ' TRUNCATE mongo_migrate.chunk, mongo_migrate.run, mongo_migrate.quarantine');
	query("DO \$\$ DECLARE map text; BEGIN FOR map IN DELETE FROM mongo_migrate.id_map RETURNING relation LOOP"
		  . " IF map IS NOT NULL THEN EXECUTE 'DROP TABLE ' || map; END IF; END LOOP; END \$\$");
	return;
}

# Documents of orders that are done, as far as the server answers: in a session that ends with it.
my $watch;

sub documents_done
{
	$watch //= PsqlSession->new($node);
	my ($out) = eval { $watch->ask("SELECT coalesce(sum(documents), 0) FROM mongo_migrate.chunk WHERE collection = 'orders'") };
	return $1 if defined $out && $out =~ /^(\d+)$/;
	undef $watch;
	return 0;
}

# Waits until the running migration has done so many documents; false when it ended before.
sub wait_for_documents
{
	my ($session, $wanted) = @_;
	while ($session->runs)
	{
		return 1 if documents_done() >= $wanted;
		usleep(5_000);
	}
	return 0;
}

# Waits until the server takes sessions again after a crash.
sub wait_for_server
{
	my $try = 0;
	# By -c: a psql that cannot connect leaves a pipe broken.
	until (IPC::Run::run([ 'psql', '-X', '-d', $node->connstr('postgres'), '-c', 'SELECT 1' ], '>', '/dev/null', '2>', '/dev/null'))
	{
		die 'the server does not come back' if ++$try > 600;
		usleep(50_000);
	}
	return;
}

sub worker_pids
{
	return split /\n/, query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'mongo_migrate worker'");
}

# What must hold in the end.
sub check_result
{
	my ($name) = @_;
	my $map = query("SELECT relation FROM mongo_migrate.id_map WHERE collection = 'orders'");
	my @expect = (
		[ 'SELECT count(*), count(DISTINCT id), count(DISTINCT n), sum(n) FROM orders',
			join('|', $orders, $orders, $orders, $orders * ($orders - 1) / 2) ],
		[ "SELECT count(*), count(DISTINCT key), count(DISTINCT id) FROM $map", "$orders|$orders|$orders" ],
		[ "SELECT count(*) FROM orders JOIN $map m USING (id)", $orders ],
		[ 'SELECT count(*) FROM orders o JOIN users u ON u.id = o.user_id WHERE u.n = o.n % ' . $users, $orders ],
		[ 'SELECT count(*), count(DISTINCT (order_id, position)) FROM orders_items', "$orders|$orders" ],
		[ 'SELECT count(*) FROM orders o WHERE n % 3 <> (SELECT count(*) FROM orders_items i WHERE i.order_id = o.id'
			  . ' AND i.price = o.n + 0.5)', 0 ],
		[ "SELECT count(*), bool_and(convalidated) FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
			  . " AND contype IN ('p', 'f')", '5|t' ],
		[ "SELECT collection, state, documents, percent FROM mongo_migrate.progress ORDER BY 1",
			"orders|complete|$orders|100.0\nusers|complete|$users|100.0" ],
		[ 'SELECT count(*) FROM mongo_migrate.quarantine', 0 ]);
	subtest $name => sub {
		is(query($_->[0]), $_->[1], $_->[0]) foreach @expect;
	};
	return;
}

# What can be killed: the way to kill it, and to have it back. True when that has hit the session.
my %victims = (
	worker => sub {
		my ($pid) = worker_pids() or return 0;
		kill 'KILL', $pid;
		usleep(10_000) while kill 0, $pid;
		wait_for_server();
		return 1;
	},
	cluster => sub {
		$node->stop('immediate');
		$node->start;
		return 1;
	},
	mongod => sub {
		$mongo->kill9;
		$mongo->start;
		return 1;
	},
	# All connections are cut somewhere in what the server sends.
	network => sub {
		my ($session) = @_;
		my $ended = $proxy->stats->{ended};
		my $hit = 0;
		$proxy->cut(int rand 200_000);
		until ($hit || !$session->runs)
		{
			usleep(2_000);
			$hit = $proxy->stats->{ended} > $ended;
		}
		$proxy->pass;
		return $hit;
	});

# Calls the migration, and kills up to so many times, until the call ends. Returns how often that hit it.
sub call_and_kill
{
	my ($victim, $wanted, $pace) = @_;
	# A connection that is lost is an error, or is tried again by the same call.
	my $retry = rand() < 0.5 ? ", retry_for => '0'" : '';
	my $session = Statement->new($node, $call =~ s/250/250, max_docs_per_second => $pace$retry/r);
	my $hits = 0;
	my $done = documents_done();
	while ($hits < $wanted)
	{
		last unless wait_for_documents($session, $done + 1 + int rand($orders - $done));
		$done = documents_done();
		last unless $victims{$victim}->($session);
		$hits++;
		last unless wait_for_documents($session, $done + 1);
	}
	my $output = $session->finish;
	if ($output =~ /^t$/m)
	{
		# It went on by itself, or the kill was too late. The driver connects again without a word where no batch waits.
		$hits = 0 if $victim ne 'network' && $output !~ /is interrupted/;
	}
	elsif ($hits)
	{
		like($output, qr/Call migrate_collection again|server closed|terminat|crash/, 'the caller is told') or note $output;
	}
	return $hits;
}

srand($ENV{MM_SEED} || time);
note 'MM_SEED=' . srand;
foreach my $victim (sort keys %victims)
{
	my $uri = $victim eq 'network' ? $proxy->uri : $mongo->uri;
	query("ALTER SERVER shop OPTIONS (SET uri '$uri')");
	my $killed = 0;
	my $pace = 1_000_000;    # as fast as it can
	while ($killed < $kills)
	{
		forget();
		query("SELECT mongo_migrate.migrate_collection('shop', 'users')");
		# Up to four kills on the way of one migration.
		my $in_round = 0;
		while ($in_round < 4 && $killed + $in_round < $kills && documents_done() < $orders)
		{
			$in_round += call_and_kill($victim, $in_round < 3 ? 2 : 1, $pace);
		}
		$killed += $in_round;
		# On a busy machine the kills may all come too late.
		if ($in_round) { $pace *= 2 if $pace < 1_000_000; }
		elsif ($pace > 1000) { $pace /= 2; }
		my $tries = 0;
		until (query($call) eq 't')
		{
			die 'does not complete' if ++$tries > 5;
		}
		check_result("$victim killed: every document exactly once ($killed of $kills)");
	}
}
query("ALTER SERVER shop OPTIONS (SET uri '" . $mongo->uri . "')");

# Killed while indexes are built: one waits for a lock that is taken while the copy is held, the others are there or not.
query('CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS '
	  . q('BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(1); RETURN new; END'));
query('CREATE TRIGGER hold BEFORE UPDATE ON mongo_migrate.chunk FOR EACH ROW WHEN (new.documents > 250) EXECUTE FUNCTION hold()');
foreach my $victim (qw(worker cluster))
{
	forget();
	query("SELECT mongo_migrate.migrate_collection('shop', 'users')");
	query("SELECT mongo_migrate.plan_collection('shop', 'orders')");
	query("SELECT mongo_migrate.apply_ddl('shop', 'orders')");
	my ($gate, $blocker) = map { PsqlSession->new($node) } 1 .. 2;
	$gate->ask('SELECT pg_advisory_lock(1)');
	my $session = Statement->new($node, $call);
	ok( $node->poll_query_until('postgres',
			"SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'mongo_migrate worker' AND wait_event = 'advisory'"),
		'the copy is held');
	$blocker->ask('BEGIN; LOCK TABLE orders_items IN ROW EXCLUSIVE MODE');
	$gate->finish;
	ok( $node->poll_query_until('postgres',
			"SELECT count(*) > 0 FROM pg_locks WHERE relation = 'orders_items'::regclass AND mode = 'ShareLock' AND NOT granted"),
		'an index waits');
	is(query("SELECT phase FROM mongo_migrate.progress WHERE collection = 'orders'"), 'keys', 'it is building keys');
	$victims{$victim}->();
	like($session->finish, qr/Call migrate_collection again|server closed|terminat|crash/, 'the caller is told');
	$blocker->finish;
	is(query($call), 't', 'the next call completes it');
	check_result("$victim killed while indexes are built: every document exactly once");
	is(query("SELECT count(*) FROM pg_class WHERE starts_with(relname, 'mongo_migrate_key_')"), 0, 'each index has its name');
}
query('DROP FUNCTION hold CASCADE');

# A cancel, and the end of the caller's session, end the workers; the next call goes on.
foreach my $function (qw(pg_cancel_backend pg_terminate_backend))
{
	forget();
	query("SELECT mongo_migrate.migrate_collection('shop', 'users')");
	my $session = Statement->new($node, $slow_call);
	ok(wait_for_documents($session, 5000), 'it runs');
	query("SELECT $function(pid) FROM pg_stat_activity WHERE backend_type = 'client backend' AND query LIKE '%migrate_collection%'"
		  . ' AND pid <> pg_backend_pid()');
	my $output = $session->finish;
	if ($function eq 'pg_cancel_backend')
	{
		like($output, qr/ERROR:  57014: migration of collection orders stopped: canceling statement due to user request/,
			'the cancel is told');
		like($output, qr/DETAIL:  \d+ documents in \d+ batches are committed\.\nHINT:  Call migrate_collection again/,
			'and how to go on');
	}
	ok( $node->poll_query_until('postgres',
			"SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mongo_migrate worker'"),
		"$function: no worker is left");
	is(query("SELECT state FROM mongo_migrate.progress WHERE collection = 'orders'"), 'stopped', 'it has stopped');
	is(query($call), 't', 'the next call completes it');
	check_result("$function: every document exactly once");
}

# Two collections at once. The first goes on without a key on its ids, until the second, which refers to it, has that made.
forget();
query("SELECT mongo_migrate.plan_collection('shop', c) FROM unnest(ARRAY['users', 'orders']) c");
query("SELECT mongo_migrate.apply_ddl('shop')");
my $map = query("SELECT relation FROM mongo_migrate.id_map WHERE collection = 'users'");
query("CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NULL; END'");
query('CREATE TRIGGER wait BEFORE INSERT ON users EXECUTE FUNCTION wait()');
my $blocker = Statement->new($node, 'SELECT pg_advisory_lock(1), pg_sleep(600)');
my $lock = "FROM pg_locks WHERE locktype = 'advisory' AND (classid, objid) = (0, 1)";
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 $lock AND granted"), 'the lock for the first is held');
my $of_users = Statement->new($node, $call =~ s/'orders', batch_size => 250/'users', batch_size => 25/r);
ok($node->poll_query_until('postgres', "SELECT count(*) > 0 $lock AND NOT granted"), 'it has given ids, and waits');
is(query("SELECT count(*) FROM pg_index WHERE indrelid = '$map'::regclass"), 0, 'its map has no keys');
my $of_orders = Statement->new($node, $call);
ok( $node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_locks WHERE relation = '$map'::regclass AND NOT granted"),
	'the second waits for the map');
query("SELECT pg_cancel_backend(pid) $lock AND granted");
$blocker->finish;
is($of_users->finish, "t\n", 'the first completes');
is($of_orders->finish, "t\n", 'the second completes');
check_result('two at once: every document exactly once');
query('DROP FUNCTION wait CASCADE');

# Two at once: the second is refused, and says who has it. The first stops when asked to.
forget();
query("SELECT mongo_migrate.migrate_collection('shop', 'users')");
my $first = Statement->new($node, $slow_call);
ok(wait_for_documents($first, 2000), 'it runs');
# A lock that its workers wait for holds it meanwhile.
my $holder = Statement->new($node, 'BEGIN; LOCK TABLE orders IN SHARE MODE; SELECT pg_sleep(600)');
ok( $node->poll_query_until('postgres',
		"SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_type = 'mongo_migrate worker' AND wait_event_type = 'Lock'"),
	'it is held');
my ($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$call");
like($err, qr/ERROR:  55006: collection orders is being migrated by another session\n.*DETAIL:  The process of that session is \d+\./s,
	'a second migration is refused');
is(query("SELECT state, workers > 0 FROM mongo_migrate.progress WHERE collection = 'orders'"), 'running|t', 'progress is live');
is(query("SELECT mongo_migrate.stop_migration('shop', 'orders')"), 't', 'stop_migration finds it');
query("SELECT pg_cancel_backend(pid) FROM pg_locks WHERE relation = 'orders'::regclass AND mode = 'ShareLock' AND granted");
$holder->finish;
my $output = $first->finish;
like($output, qr/^f$/m, 'it is not complete');
like($output, qr/NOTICE:  .*migration of collection orders stopped: stop_migration was called/, 'and says why');
is(query("SELECT state FROM mongo_migrate.progress WHERE collection = 'orders'"), 'stopped', 'stopped');

# Few worker slots; one is the logical replication launcher's. As many workers are wanted as chunks are left.
$node->append_conf('postgresql.conf', 'max_worker_processes = 3');
$node->restart;
($status, $out, $err) = $node->psql('postgres', $call =~ s/250/250, workers => 4/r);
is($out, 't', 'it completes with fewer workers');
like($err, qr/NOTICE:  started 2 of [34] background workers/, 'and says so');
check_result('few workers: every document exactly once');
$node->append_conf('postgresql.conf', 'max_worker_processes = 1');
$node->restart;
($status, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$call");
like($err, qr/ERROR:  53400: could not start a background worker\n.*HINT:  Raise max_worker_processes/s,
	'without a slot it is refused');

# A standby can be read, not migrated to.
$node->stop;
$node->append_conf('postgresql.conf', "max_worker_processes = 8");
$node->set_standby_mode;
$node->start;
($status, $out, $err) = $node->psql('postgres', $call);
like($err, qr/cannot run background workers during recovery/, 'a standby is refused');

$node->stop;
done_testing();

# A network or server that fails: every wait ends with an interrupt, every early end is an error,
# and the next statement of the same session works. Once without TLS, once with it.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Proxy;
use Test::More;
use Time::HiRes qw(time usleep);

# What "within a second" may take on a busy machine. Without an interrupt, no wait would end within this: the time to connect is set
# to ten minutes, and others have no end.
my $soon = 60;
my $documents = 20000;

my $node = PostgreSQL::Test::Cluster->new('network');
$node->init(extra => [ '--locale=C.UTF-8', '--encoding=UTF8' ]);
# When the postmaster is killed, all its processes are known.
$node->append_conf('postgresql.conf', 'autovacuum = off');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mongo_migrate');

# Runs statements in one session, whatever happens to each; returns (standard output, standard error, seconds).
sub run
{
	my ($sql) = @_;
	my $start = time;
	my ($status, $out, $err) = $node->psql('postgres', $sql, on_error_stop => 0, timeout => 180);
	return ($out, $err, time - $start);
}

# Starts a statement in a session of its own, and waits until it waits for the network, with at least the
# given number of bytes received through the proxy. Returns the session and its pid.
my $sessions = 0;

sub start_waiting
{
	my ($sql, $proxy, $bytes) = @_;
	my $session = { out => '', err => '' };
	my $name = 'victim' . ++$sessions;    # the one before may not be gone yet
	$session->{psql} = IPC::Run::start(
		[ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SET application_name = '$name'", '-c', $sql ],
		'>', \$session->{out}, '2>', \$session->{err}, IPC::Run::timeout(600));
	usleep(10_000) while $proxy->stats->{down} < $bytes;
	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = '$name' AND wait_event_type = 'Extension'")
	  or die 'the statement does not wait';
	$session->{pid} = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE application_name = '$name'");
	return $session;
}

# The same, and calls a function with its pid; returns (standard error, seconds from then on).
sub interrupt
{
	my ($function, @arguments) = @_;
	my $session = start_waiting(@arguments);
	my $start = time;
	$node->safe_psql('postgres', "SELECT $function($session->{pid})");
	$session->{psql}->finish;
	return ($session->{err}, time - $start);
}

# Has the proxy hang after so many more bytes; returns how many it has passed on by then.
sub hang_after
{
	my ($proxy, $bytes) = @_;
	my $before = $proxy->stats->{down};
	$proxy->hang($bytes);
	return $before + $bytes;
}

foreach my $tls (0, 1)
{
	my $with = $tls ? 'with TLS' : 'without TLS';
	my $mongo = MongoServer->new(tls => $tls);
	my $proxy = Proxy->new($mongo->port);
	my $options = $tls ? ", tls 'true', tls_ca_file '" . $mongo->ca_file . "'" : '';
	my $name = "net$tls";
	my $uri = $proxy->uri . '&connectTimeoutMS=600000';

	$node->safe_psql('postgres',
		"CREATE SERVER $name FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'mm_net'$options)");
	$node->safe_psql('postgres', <<"SQL");
SELECT mongo_migrate.run_command('$name', (SELECT json_build_object('insert', 'c', 'documents',
    json_agg(json_build_object('_id', i, 'text', repeat('x', 100)))) FROM generate_series(1, $documents) i))
SQL

	my $ping = "SELECT 'alive' FROM mongo_migrate.run_command('$name', '{\"ping\": 1}')";
	my $scan = "SELECT 'read ' || count(*) FROM mongo_migrate.find_documents('$name', 'c', options => '{\"batchSize\": 1000}')";
	my ($out, $err, $seconds);

	($out) = run("$ping; $scan");
	is($out, "alive\nread $documents", "$with: a scan reads everything");

	my $connected = $proxy->stats->{connections};
	run("$ping; $scan; $ping; SELECT 1/0; BEGIN; $ping; ROLLBACK; $scan");
	is($proxy->stats->{connections} - $connected, 1, "$with: a session connects once");

	# Hung in mid-scan.
	my $session = start_waiting($scan, $proxy, hang_after($proxy, 300_000));
	my $start = time;
	$node->safe_psql('postgres', 'CREATE DATABASE other STRATEGY file_copy');
	$node->safe_psql('postgres', 'DROP DATABASE other');
	cmp_ok(time - $start, '<', $soon, "$with: a hung scan serves the interrupts of others");
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($session->{pid})");
	$session->{psql}->finish;
	$proxy->pass;

	$proxy->hang(300_000);
	($out, $err, $seconds) = run("SET statement_timeout = 500; $scan");
	like($err, qr/canceling statement due to statement timeout/, "$with: statement_timeout ends a hung scan");
	cmp_ok($seconds, '<', $soon, "$with: and soon");
	$proxy->pass;

	($err, $seconds) = interrupt('pg_cancel_backend', $scan, $proxy, hang_after($proxy, 300_000));
	like($err, qr/canceling statement due to user request/, "$with: a cancel ends a hung scan");
	cmp_ok($seconds, '<', $soon, "$with: and soon");
	$proxy->pass;

	($err, $seconds) = interrupt('pg_terminate_backend', $scan, $proxy, hang_after($proxy, 300_000));
	like($err, qr/terminating connection due to administrator command/, "$with: so does a termination");
	cmp_ok($seconds, '<', $soon, "$with: and soon");
	$proxy->pass;

	# The same session goes on.
	$mongo->fail_point('{"mode": {"times": 1}, "data": {"failCommands": ["getMore"], "blockConnection": true, "blockTimeMS": 3000}}');
	($out, $err, $seconds) = run("$ping; SET statement_timeout = 500; $scan; RESET statement_timeout; $ping; $scan");
	like($err, qr/canceling statement due to statement timeout/, "$with: a server that blocks is canceled");
	is($out, "alive\nalive\nread $documents", "$with: and the session connects anew");
	$mongo->fail_point_off;

	# Hung from the handshake on.
	$proxy->hang;
	($out, $err, $seconds) = run("SET statement_timeout = 500; $ping");
	like($err, qr/canceling statement due to statement timeout/, "$with: statement_timeout ends a hung handshake");
	cmp_ok($seconds, '<', $soon, "$with: and soon");
	($err, $seconds) = interrupt('pg_cancel_backend', $ping, $proxy, 0);
	like($err, qr/canceling statement due to user request/, "$with: a cancel ends a hung handshake");
	cmp_ok($seconds, '<', $soon, "$with: and soon");
	($err, $seconds) = interrupt('pg_terminate_backend', $ping, $proxy, 0);
	like($err, qr/terminating connection due to administrator command/, "$with: so does a termination");
	cmp_ok($seconds, '<', $soon, "$with: and soon");
	$node->safe_psql('postgres', "ALTER SERVER $name OPTIONS (ADD connect_timeout_ms '500')");
	($out, $err, $seconds) = run($ping);
	like($err, qr/error while connecting to server "$name"/, "$with: connect_timeout_ms ends it too");
	cmp_ok($seconds, '<', $soon, "$with: and soon");
	$node->safe_psql('postgres', "ALTER SERVER $name OPTIONS (DROP connect_timeout_ms)");
	$proxy->pass;

	# Hung with socket_timeout_ms.
	$node->safe_psql('postgres', "ALTER SERVER $name OPTIONS (ADD socket_timeout_ms '500')");
	$proxy->hang(300_000);
	($out, $err, $seconds) = run($scan);
	is($out, '', "$with: socket_timeout_ms ends a scan without a result");
	like($err, qr/error while reading collection "mm_net.c" of server "$name"/, "$with: with an error");
	$node->safe_psql('postgres', "ALTER SERVER $name OPTIONS (DROP socket_timeout_ms)");
	$proxy->pass;

	# Cut in mid-scan: an error, never a short result.
	$proxy->cut(300_000);
	($out, $err) = run($scan);
	is($out, '', "$with: a connection cut in mid-scan gives no result");
	like($err, qr/error while reading collection "mm_net.c" of server "$name"/, "$with: but an error");
	$proxy->pass;

	# The server ends in mid-scan.
	$session = start_waiting($scan, $proxy, hang_after($proxy, 300_000));
	$mongo->kill9;
	$proxy->pass;
	$session->{psql}->finish;
	is($session->{out}, '', "$with: a mongod killed in mid-scan gives no result");
	like($session->{err}, qr/error while reading collection "mm_net.c" of server "$name"/, "$with: but an error");
	$mongo->start;

	# The server's own failures.
	$mongo->fail_point('{"mode": {"times": 1}, "data": {"failCommands": ["find"], "closeConnection": true}}');
	($out, $err) = run($scan);
	is($out, "read $documents", "$with: a find that fails on the network is tried again");
	$mongo->fail_point('{"mode": {"times": 1}, "data": {"failCommands": ["getMore"], "closeConnection": true}}');
	($out, $err) = run("$scan; $scan");
	like($err, qr/error while reading collection "mm_net.c" of server "$name"/, "$with: a getMore is not, and is an error");
	is($out, "read $documents", "$with: the next scan reads everything");
	$mongo->fail_point('{"mode": {"times": 1}, "data": {"failCommands": ["getMore"], "errorCode": 43}}');
	($out, $err) = run($scan);
	is($out, '', "$with: a cursor that the server lost gives no result");
	like($err, qr/CursorNotFound/, "$with: but an error");

	# An idle connection that was closed is replaced before anybody notices.
	my ($in, $psql_out, $psql_err) = ('', '', '');
	my $psql = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
		'<', \$in, '>', \$psql_out, '2>', \$psql_err, IPC::Run::timeout(600));
	$in .= "$ping;\n";
	$psql->pump until $psql_out =~ /alive\n/;
	$proxy->cut;
	$proxy->pass;
	$in .= "$ping;\n$scan;\n\\q\n";
	$psql->finish;
	is($psql_out, "alive\nalive\nread $documents\n", "$with: a closed idle connection is replaced");
	is($psql_err, '', "$with: without an error");

	# A statement that fails while the server is hung: the cursor's end is not waited for.
	$node->safe_psql('postgres', "CREATE FOREIGN TABLE $name (_id int) SERVER $name OPTIONS (collection 'c', fetch_size '100')");
	($in, $psql_out, $psql_err) = ('', '', '');
	$psql = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
		'<', \$in, '>', \$psql_out, '2>', \$psql_err, IPC::Run::timeout(600));
	$in .= "BEGIN; DECLARE c CURSOR FOR SELECT 'row' FROM $name; FETCH 1 FROM c;\n";
	$psql->pump until $psql_out =~ /row\n/;
	$proxy->hang;
	$start = time;
	$in .= "SELECT 1/0; ROLLBACK; SELECT 'done';\n";
	$psql->pump until $psql_out =~ /done\n/;
	cmp_ok(time - $start, '<', $soon, "$with: an abort does not wait for a hung server");
	$proxy->pass;
	$in .= "$ping;\n\\q\n";
	$psql->finish;
	is($psql_out, "row\ndone\nalive\n", "$with: and the session connects anew");

	# A server that comes late is waited for, if that is asked for.
	$node->safe_psql('postgres', "ALTER SERVER $name OPTIONS (ADD server_selection_timeout_ms '600000')");
	$mongo->stop;
	my $waiting = start_waiting($ping, $proxy, 0);
	$mongo->start;
	$waiting->{psql}->finish;
	is($waiting->{out}, "alive\n", "$with: server_selection_timeout_ms waits for a server");
	$mongo->stop;
	($err, $seconds) = interrupt('pg_cancel_backend', $ping, $proxy, 0);
	like($err, qr/canceling statement due to user request/, "$with: and can be canceled");

	# A backend whose postmaster has gone goes, too.
	$mongo->start;
	$session = start_waiting($scan, $proxy, hang_after($proxy, 300_000));
	my @processes = split /\n/, $node->safe_psql('postgres', 'SELECT pid FROM pg_stat_activity WHERE pid <> pg_backend_pid()');
	$node->kill9;
	$start = time;
	usleep(10_000) while kill(0, $session->{pid}) && time - $start < 180;
	cmp_ok(time - $start, '<', $soon, "$with: a backend without postmaster does not wait on");
	$session->{psql}->finish;
	# Another postmaster does not start while one of them has the shared memory.
	usleep(10_000) while kill(0, @processes) && time - $start < 180;
	$node->start;
	$proxy->pass;

	$node->safe_psql('postgres', "DROP FOREIGN TABLE $name");
	$node->safe_psql('postgres', "DROP SERVER $name");
	$proxy->stop;
}

$node->stop;
done_testing();

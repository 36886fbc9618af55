# Foreign scans that end early, start again, or meet a failure: no cursor stays open on the server, no memory
# grows, and there is no short result.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PsqlSession;
use Test::More;
use Time::HiRes qw(time usleep);

my $documents = 20000;
my $mongo = MongoServer->new;
my $node = PostgreSQL::Test::Cluster->new('fdw_scan');
$node->init;
$node->start;

my $uri = $mongo->uri;
$mongo->generate('mm_scan', 'c', [ 1, $documents + 1 ], '{"_id": "$n", "text": "some text that is not empty"}');
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION mongo_migrate;
CREATE SERVER s FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'mm_scan', fetch_size '500');
CREATE FOREIGN TABLE c (_id bigint, text text) SERVER s;
CREATE FOREIGN TABLE wrong (_id bigint, text integer) SERVER s OPTIONS (collection 'c');
SQL

sub open_cursors
{
	return $mongo->command('admin', '{"serverStatus": 1}')->{metrics}{cursor}{open}{total};
}

# No cursor is open, now or soon: a killed one takes its moment.
sub no_cursor_ok
{
	my ($name) = @_;
	my $open;
	foreach (1 .. 1800)
	{
		$open = open_cursors();
		last if $open == 0;
		usleep(100_000);
	}
	is($open, 0, $name);
	return;
}

my $session = PsqlSession->new($node);
my ($out, $err);

# By a socket in the file system.
my $dir = $mongo->dir;
foreach ([ "$dir/mongodb-" . $mongo->port . '.sock', qr/^$documents$/ ], [ "$dir/none.sock", qr/No such file or directory/ ],
	[ '/' . 'x' x 200 . '.sock', qr/File name too long/ ])
{
	my ($path, $expected) = @$_;
	my $name = 'local_' . length $path;
	$path =~ s{/}{%2F}g;
	$session->ask("CREATE SERVER $name FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri 'mongodb://$path/', database 'mm_scan')");
	($out, $err) = $session->ask("SELECT count(*) FROM mongo_migrate.find_documents('$name', 'c')");
	like($out . $err, $expected, "a socket: $expected");
}

# Cursors of the server.
no_cursor_ok('there is no cursor to begin with');
$session->ask('BEGIN; DECLARE k CURSOR FOR SELECT _id FROM c; FETCH 1 FROM k');
is(open_cursors(), 1, 'a scan in progress has a cursor');
$session->ask('CLOSE k');
no_cursor_ok('a scan that is closed has none');
$session->ask('DECLARE k CURSOR FOR SELECT _id FROM c; FETCH 1 FROM k; ROLLBACK');
no_cursor_ok('a transaction that rolls back leaves none');
($out, $err) = $session->ask('SELECT count(*) FROM (SELECT _id FROM c WHERE text LIKE \'some%\' LIMIT 700) q');
is($out, 700, 'a LIMIT that PostgreSQL applies');
no_cursor_ok('leaves none');
($out, $err) = $session->ask('SELECT text FROM wrong');
like($err, qr/of BSON type string has no exact form in type integer/, 'a value that does not fit');
no_cursor_ok('leaves none');
($out, $err) = $session->ask('SELECT 1 / (_id - 600) FROM c');
like($err, qr/division by zero/, 'an error of the query');
no_cursor_ok('leaves none');
($out, $err) = $session->ask('SELECT sum((SELECT count(*) FROM (SELECT FROM c WHERE _id > i AND text IS NOT NULL LIMIT 600) q)) FROM generate_series(1, 50) i');
is($out, 50 * 600, 'a scan that starts again before its end');
no_cursor_ok('leaves none');

# Cancelled while the server does not answer.
$session->ask('BEGIN; DECLARE k CURSOR FOR SELECT _id FROM c; FETCH 1 FROM k');
my ($pid) = $session->ask('SELECT pg_backend_pid()');
$mongo->pause;
my $start = time;
$session->send('MOVE ALL FROM k');
$node->poll_query_until('postgres', "SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $pid")
  or die 'the scan does not wait';
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
($out, $err) = $session->result;
like($err, qr/canceling statement due to user request/, 'a scan of a server that hangs is cancelled');
cmp_ok(time - $start, '<', 60, 'and soon');
$mongo->resume;
($out) = $session->ask('ROLLBACK; SELECT count(*) FROM c');
is($out, $documents, 'the session goes on');
no_cursor_ok('and has the cursor killed that it had to leave');
$session->ask(q{SET statement_timeout = '200ms'; SELECT * FROM mongo_migrate.read_changes('s', NULL, 5000, 1)});
is(open_cursors(), 1, 'a change stream that is cancelled as it waits leaves its cursor');
$session->ask(q{RESET statement_timeout; SELECT mongo_migrate.run_command('s', '{"ping": 1}')});
no_cursor_ok('which the next connection has killed');

# Cancelled at any moment of scans that run.
foreach my $try (1 .. 5)
{
	$session->send('SELECT count(*) FROM c, generate_series(1, 1000) WHERE pg_sleep(0.0001) IS NULL');
	$node->poll_query_until('postgres', "SELECT state = 'active' FROM pg_stat_activity WHERE pid = $pid")
	  or die 'the scan does not start';
	usleep(10_000 * $try);
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
	($out, $err) = $session->result;
	like($err, qr/canceling statement due to user request/, 'a scan is cancelled');
}
$session->ask('SELECT count(*) FROM c');
no_cursor_ok('and no cursor is left');

# The server fails, or ends.
$mongo->fail_point('{"mode": {"skip": 3}, "data": {"failCommands": ["getMore"], "errorCode": 8}}');
($out, $err) = $session->ask('CREATE TABLE copied AS SELECT * FROM c');
like($err, qr/error while reading collection "mm_scan.c"/, 'a getMore that fails is an error');
$mongo->fail_point_off;
is($node->safe_psql('postgres', "SELECT to_regclass('copied') IS NULL"), 't', 'and no short table');
$session->ask('BEGIN; DECLARE k CURSOR FOR SELECT _id FROM c; FETCH 1 FROM k');
$mongo->kill9;
($out, $err) = $session->ask('MOVE ALL FROM k');
is($out, '', 'a scan of a server that was killed gives no result');
like($err, qr/error while reading collection "mm_scan.c"/, 'but an error');
$mongo->start;
($out, $err) = $session->ask('ROLLBACK; SELECT count(*) FROM c');
is($out, $documents, 'the session connects anew');

# Memory: anonymous pages of the backend, which has the driver's too.
my $rescans = 'SELECT sum((SELECT count(text) FROM c WHERE _id BETWEEN i AND i + 700)) FROM generate_series(1, %d) i';
my $memory = q{SELECT substring(pg_read_file('/proc/self/status') FROM 'RssAnon:\s+(\d+)')::integer};
$session->ask(sprintf($rescans, 1000));
my ($before) = $session->ask($memory);
($out, $err) = $session->ask(sprintf($rescans, 1000));
is($out, 1000 * 701, 'a thousand scans');
my ($after) = $session->ask($memory);
note("anonymous memory: $before kB before, $after kB after");
cmp_ok($after - $before, '<', 2048, 'take no more memory than a thousand before');
no_cursor_ok('and leave no cursor');

# A row that another transaction changes in the meantime is checked again (EvalPlanQual), with the
# foreign table's row as it was read.
$node->safe_psql('postgres', 'CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint);'
	  . ' INSERT INTO accounts VALUES (1, 100), (2, 100), (3, 100)');
my $other = PsqlSession->new($node);
$other->ask('BEGIN; UPDATE accounts SET balance = balance + 1 WHERE id = 1; UPDATE accounts SET id = 30 WHERE id = 3');
$session->send('UPDATE accounts a SET balance = a.balance * 2 FROM c WHERE c._id = a.id AND c._id < 20'
	  . " AND c.text LIKE 'some%' RETURNING a.id, a.balance, c._id, c.text");
$node->poll_query_until('postgres', "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid")
  or die 'the update does not wait';
$other->ask('COMMIT');
($out, $err) = $session->result;
is(join("\n", sort split /\n/, $out),
	"1|202|1|some text that is not empty\n2|200|2|some text that is not empty",
	'an update waits for another and checks the changed row again');
is($err, '', 'without an error');
is($node->safe_psql('postgres', 'SELECT id, balance FROM accounts ORDER BY id'), "1|202\n2|200\n30|100", 'the rows are right');

$_->finish foreach $session, $other;
$node->stop;
$mongo->stop;
done_testing();

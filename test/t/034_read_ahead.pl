# Batches that are asked for before they are needed: when that is done, and what becomes of the reply that is still to
# come when the server or the network fails, when others use the connection, and when nobody wants it any more.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PsqlSession;
use Proxy;
use Test::More;
use Time::HiRes qw(time usleep);

my $documents = 20000;
my $batch = 500;
my $mongo = MongoServer->new;
my $proxy = Proxy->new($mongo->port);
my $node = PostgreSQL::Test::Cluster->new('read_ahead');
$node->init;
$node->start;

# Documents of one size: replies of one size.
$mongo->generate('mm_ahead', 'c', [ 1, $documents + 1 ], '{"_id": "$n", "text": "some text that is not empty"}');
my ($uri, $proxied) = ($mongo->uri, $proxy->uri);
my $busy = "$uri&heartbeatFrequencyMS=500&socketCheckIntervalMS=1";
$node->safe_psql('postgres', 'CREATE EXTENSION mongo_migrate');
$node->safe_psql('postgres', <<"SQL") foreach ([ 'c', $uri ], [ 'p', $proxied ], [ 'b', $busy ], [ 'z', "$uri&compressors=zlib" ]);
CREATE SERVER s_$_->[0] FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$_->[1]', database 'mm_ahead', fetch_size '$batch');
CREATE FOREIGN TABLE $_->[0] (_id bigint, text text) SERVER s_$_->[0] OPTIONS (collection 'c');
SQL
$node->safe_psql('postgres', "CREATE FOREIGN TABLE other (_id bigint, text text) SERVER s_c");

my $session = PsqlSession->new($node, options => []);

sub ask { return $session->ask($_[0]); }

# That statements print what is expected.
sub is_answer
{
	my ($sql, $expected, $name) = @_;
	my ($out, $err) = ask($sql);
	is($out, $expected, $name) or diag($err);
	return;
}

my ($pid) = ask('SELECT pg_backend_pid()');

# Starts a scan of a table and reads so many rows of it.
sub begin
{
	my ($table, $rows) = @_;
	my ($out, $err) = ask("ROLLBACK; BEGIN; DECLARE k CURSOR FOR SELECT _id FROM $table; MOVE $rows FROM k");
	like($out, qr/MOVE $rows\z/, "$rows rows are read");
	return;
}

my $total = "MOVE $documents";
my $rest = 'MOVE ' . ($documents - $batch - 1);

sub get_mores
{
	return $mongo->command('admin', '{"serverStatus": 1}')->{metrics}{commands}{getMore}{total};
}

# That so many getMores have come since the given count; one ahead takes its moment.
sub get_mores_ok
{
	my ($before, $expected, $name) = @_;
	foreach (1 .. 1800)
	{
		last if get_mores() - $before >= $expected;
		usleep(100_000);
	}
	is(get_mores() - $before, $expected, $name);
	return;
}

sub no_cursor_ok
{
	my ($name) = @_;
	my $open;
	foreach (1 .. 1800)
	{
		$open = $mongo->command('admin', '{"serverStatus": 1}')->{metrics}{cursor}{open}{total};
		last if $open == 0;
		usleep(100_000);
	}
	is($open, 0, $name);
	return;
}

# That the scan in progress fails, and the next one reads everything.
sub failure_ok
{
	my ($table, $message, $name) = @_;
	my ($out, $err) = ask('MOVE ALL FROM k');
	unlike($out, qr/MOVE/, "$name: no result");
	like($err, $message, "$name: but an error");
	($out, $err) = ask("ROLLBACK; SELECT count(*) FROM $table");
	is($out, "ROLLBACK\n$documents", "$name: the next scan reads everything");
	is($err, '', "$name: without an error");
	return;
}

my $failed = qr/error while reading collection "mm_ahead.c" of server "s_[a-z]"/;
my ($out, $err);

# When a batch is asked for.
my $before = get_mores();
begin('c', $batch);
get_mores_ok($before, 0, 'within the first batch nothing is asked for');
ask('MOVE 1 FROM k');
get_mores_ok($before, 2, 'with the second batch, the third is');
($out) = ask('MOVE ALL FROM k');
is($out, $rest, 'and all is read');
get_mores_ok($before, $documents / $batch, 'by no more getMores than there are batches');
ask('ROLLBACK');
$before = get_mores();
begin('z', $batch + 1);
get_mores_ok($before, 1, 'with compression, none is ahead');
is_answer('MOVE ALL FROM k', $rest, 'and all is read');
$before = get_mores();
ask("ROLLBACK; SELECT count(*) FROM (SELECT _id FROM c LIMIT $batch) q");
get_mores_ok($before, 0, 'a limit that the first batch satisfies asks for none');

# Readers that stop.
begin('c', $batch + 1);
ask('CLOSE k');
no_cursor_ok('a scan that is closed leaves no cursor');
begin('c', $batch + 1);
ask('ROLLBACK');
no_cursor_ok('nor does one that is rolled back');
is_answer("SELECT count(*) FROM (SELECT _id FROM c WHERE text LIKE 'some%' LIMIT 700) q", 700, 'a LIMIT that PostgreSQL applies');
no_cursor_ok('leaves none');

# Others on the connection, while it owes a reply.
foreach my $table (qw(c b))
{
	begin($table, $batch + 1);
	is_answer("SELECT count(*) FROM $table", $documents, "$table: another scan reads everything");
	is_answer("SELECT mongo_migrate.run_command('s_$table', '{\"ping\": 1}')->>'ok'", '1.0', "$table: a command has its own reply");
	is_answer("SELECT count(*) FROM mongo_migrate.connections() WHERE server = 's_$table'", 1, "$table: on the same connection");
	is_answer('MOVE ALL FROM k', $rest, "$table: and the first goes on");
	ask('ROLLBACK');
	is_answer(<<"SQL", "DO\n$documents", "$table: two scans in step read the same");
DO \$\$
DECLARE
    a CURSOR FOR SELECT _id, text FROM $table;
    b CURSOR FOR SELECT _id, text FROM $table;
    row_a record;
    row_b record;
    n integer := 0;
BEGIN
    OPEN a;
    OPEN b;
    LOOP
        FETCH a INTO row_a;
        FETCH b INTO row_b;
        EXIT WHEN row_a IS NULL AND row_b IS NULL;
        ASSERT row_a = row_b;
        n := n + 1;
    END LOOP;
    PERFORM set_config('test.n', n::text, false);
END
\$\$;
SELECT current_setting('test.n')
SQL
	is_answer("SELECT count(*) FROM $table a, LATERAL (SELECT FROM $table b WHERE b._id BETWEEN a._id AND a._id + 1200 OFFSET 0) q"
		  . ' WHERE a._id % 50 = 0 AND a._id <= 18000 AND a.text LIKE \'some%\'', 360 * 1201, "$table: nested loops of scans");
}
no_cursor_ok('and no cursor is left');

# A write: what is still to be read is, first.
begin('c', $batch + 1);
($out, $err) = ask("INSERT INTO c SELECT i, 'new' FROM generate_series($documents + 1, $documents + 3000) i");
is($err, '', 'a write while a batch is under way');
is_answer('MOVE ALL FROM k', $rest, 'is not seen by the scan');
is_answer('SELECT count(*) FROM c', $documents + 3000, 'and is by the next, within its transaction');
ask('ROLLBACK');
is_answer('SELECT count(*) FROM c', $documents, 'until that is rolled back');
ask('BEGIN; INSERT INTO other VALUES (1)');
$before = get_mores();
is_answer("DECLARE k CURSOR FOR SELECT _id FROM c; MOVE @{[ $batch + 1 ]} FROM k", "DECLARE CURSOR\nMOVE @{[ $batch + 1 ]}", 'a scan in a transaction');
get_mores_ok($before, 1, 'asks for nothing ahead');
is_answer('MOVE ALL FROM k', $rest, 'and reads everything');
ask('ROLLBACK');
no_cursor_ok('no cursor is left');

# The server's failures, in the getMore ahead.
foreach ([ '"errorCode": 8', $failed ], [ '"errorCode": 43', qr/CursorNotFound/ ], [ '"errorCode": 237', $failed ], [ '"closeConnection": true', $failed ])
{
	my ($what, $message) = @$_;
	begin('c', $batch);
	my $met = 1 + $mongo->fail_point(qq({"mode": {"skip": 1}, "data": {"failCommands": ["getMore"], $what}}))->{count};
	ask('MOVE 1 FROM k');
	# The one ahead has been sent, which is not to say that it has come.
	$mongo->command('admin', qq({"waitForFailPoint": "failCommand", "timesEntered": $met, "maxTimeMS": 180000}));
	$mongo->fail_point_off;
	failure_ok('c', $message, $what);
}
$before = get_mores();
begin('c', $batch + 1);
get_mores_ok($before, 2, 'a batch is ahead');
my $id;
foreach (1 .. 1800)
{
	my $idle = $mongo->command('admin', '{"aggregate": 1, "cursor": {}, "pipeline": [{"$currentOp": {"idleCursors": true}},'
		  . ' {"$match": {"type": "idleCursor"}}, {"$project": {"id": {"$toString": "$cursor.cursorId"}}}]}');
	last if defined($id = $idle->{cursor}{firstBatch}[0]{id});
	usleep(100_000);
}
$mongo->command('mm_ahead', qq({"killCursors": "c", "cursors": [{"\$numberLong": "$id"}]}));
failure_ok('c', qr/CursorNotFound/, 'a cursor that is killed');
no_cursor_ok('no cursor is left');

# The network's: the reply comes in part, or changed.

# A command reads what is owed before its own reply, and then owes nothing.
my $ping = "SELECT mongo_migrate.run_command('s_p', '{\"ping\": 1}')->>'ok'";
begin('p', $batch);
my @down = $proxy->stats->{down};
foreach my $sql ('MOVE 1 FROM k', $ping, $ping)
{
	ask($sql);
	push @down, $proxy->stats->{down};
}
my $size = ($down[2] - $down[0] - ($down[3] - $down[2])) / 2;
is($size, int $size, 'the replies to two getMores have one size');

sub hang_within_reply
{
	begin('p', $batch);
	$proxy->hang($size + int($size / 2));
	ask('MOVE 1 FROM k');
	return;
}

hang_within_reply();
$proxy->cut;
$proxy->pass;
failure_ok('p', $failed, 'a connection cut within the reply');

hang_within_reply();
$session->send('MOVE ALL FROM k');
$node->poll_query_until('postgres', "SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $pid")
  or die 'the scan does not wait';
my $start = time;
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
($out, $err) = $session->result;
like($err, qr/canceling statement due to user request/, 'a cancel ends the wait for the reply');
cmp_ok(time - $start, '<', 60, 'and soon');
$proxy->pass;
is_answer('ROLLBACK; SELECT count(*) FROM p', "ROLLBACK\n$documents", 'the session goes on');

hang_within_reply();
($out, $err) = ask("SET LOCAL statement_timeout = 500; SELECT mongo_migrate.run_command('s_p', '{\"ping\": 1}')");
like($err, qr/canceling statement due to statement timeout/, 'another command waits for the reply, and can be canceled');
$proxy->pass;
is_answer('ROLLBACK; SELECT count(*) FROM p', "ROLLBACK\n$documents", 'the session goes on');

hang_within_reply();
$start = time;
ask('ROLLBACK');
cmp_ok(time - $start, '<', 60, 'a rollback does not wait for the reply');
$proxy->pass;
is_answer('SELECT count(*) FROM p', $documents, 'the session goes on');
no_cursor_ok('and no cursor is left');

# Length, response to, operation, flags, kind of the section, length of the document.
foreach my $offset (3, 8, 12, 16, 17, 20, 24)
{
	begin('p', $batch);
	$proxy->flip($size + $offset);
	ask('MOVE 1 FROM k');
	failure_ok('p', $failed, "byte $offset of the reply is wrong");
}

$session->finish;
$proxy->stop;
$node->stop;
$mongo->stop;
done_testing();

# Writes to foreign tables when something fails: MongoDB refuses, dies between write and commit, does not answer,
# loses the answer to a commit; the session is cancelled or ends. Both sides keep the writes, or neither does.
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

# No transaction ends because it has been there for a minute.
my $mongo = MongoServer->new(options => [ '--setParameter', 'transactionLifetimeLimitSeconds=3600' ]);
my $node = PostgreSQL::Test::Cluster->new('fdw_write');
$node->init;
$node->start;

my $uri = $mongo->uri;
$mongo->command('mm_write', '{"create": "c"}');
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION mongo_migrate;
CREATE SERVER s FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'mm_write');
CREATE FOREIGN TABLE c (_id bigint, text text) SERVER s;
CREATE TABLE here (id bigint);
SQL

# The documents that MongoDB has committed.
sub documents
{
	my $reply = $mongo->command('mm_write', '{"find": "c", "sort": {"_id": 1}}');
	return join ' ', map { ref $_->{_id} ? $_->{_id}{'$numberLong'} : $_->{_id} } @{ $reply->{cursor}{firstBatch} };
}

# The rows that PostgreSQL has committed.
sub rows { return $node->safe_psql('postgres', q{SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '') FROM here}); }

# Both sides have these.
sub both_have
{
	my ($expected, $name) = @_;
	is(documents(), $expected, "$name: MongoDB");
	is(rows(), $expected, "$name: PostgreSQL");
	return;
}

# A statement on both sides in one transaction.
sub both
{
	my ($id) = @_;
	return "BEGIN; INSERT INTO here VALUES ($id); INSERT INTO c VALUES ($id); COMMIT";
}

# A fail point for some commands, so many times.
sub fail_times
{
	my ($times, $commands, $data) = @_;
	$mongo->fail_point(qq({"mode": {"times": $times}, "data": {"failCommands": $commands, $data}}));
	return;
}

my $session = PsqlSession->new($node, timeout => 600);
my ($pid) = $session->ask('SELECT pg_backend_pid()');
my ($out, $err) = $session->ask(both(1));
is($err, '', 'a transaction commits');
both_have('1', 'both have it');

# A write that MongoDB refuses, and one whose connection closes.
fail_times(1, '["insert"]', '"errorCode": 8');
($out, $err) = $session->ask(both(2));
like($err, qr/error while inserting the document with _id 2 into collection "mm_write.c"/, 'a write that fails is an error');
both_have('1', 'neither has it');
fail_times(2, '["insert"]', '"closeConnection": true');
($out, $err) = $session->ask(both(2));
like($err, qr/error while inserting/, 'a connection that closes is an error');
$mongo->fail_point_off;
both_have('1', 'neither has it');
($out, $err) = $session->ask(both(2));
is($err, '', 'the session connects anew');
both_have('1 2', 'both have it');
foreach my $command ('update', 'delete', 'findAndModify')
{
	my %statements = (
		update => q{UPDATE c SET text = 'x'},
		delete => 'DELETE FROM c',
		findAndModify => 'DELETE FROM c RETURNING *');
	fail_times(1, qq(["$command"]), '"errorCode": 8');
	($out, $err) = $session->ask($statements{$command});
	like($err, qr/error while (updating|deleting)/, "$command that fails is an error");
	both_have('1 2', 'nothing is written');
}

# The commit.
fail_times(1, '["commitTransaction"]', '"errorCode": 8');
($out, $err) = $session->ask(both(3));
like($err, qr/error while committing on server "s"/, 'a commit that fails is an error');
$mongo->fail_point_off;
both_have('1 2', 'neither has it');
fail_times(1, '["commitTransaction"]', '"closeConnection": true');
($out, $err) = $session->ask(both(3));
is($err, '', 'a commit is tried again when the connection closes');
both_have('1 2 3', 'both have it');
fail_times(2, '["commitTransaction"]', '"closeConnection": true');
($out, $err) = $session->ask(both(4));
like($err, qr/WARNING:  whether server "s" has committed is not known/, 'a commit without an answer warns');
like($err, qr/ERROR:  error while committing/, 'and is an error');
$mongo->fail_point_off;
both_have('1 2 3', 'neither has it, here');
fail_times(1, '["commitTransaction"]', '"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}');
($out, $err) = $session->ask('INSERT INTO c VALUES (4)');
like($err, qr/WARNING:  whether server "s" has committed is not known/, 'a commit that is not replicated in time warns');
$mongo->fail_point_off;
$session->ask('DELETE FROM c WHERE _id = 4');
both_have('1 2 3', 'as before');

# A transaction that cannot be serialized, which PostgreSQL finds out at its commit.
$node->safe_psql('postgres', 'CREATE TABLE account (owner integer, amount integer); INSERT INTO account VALUES (1, 1), (2, 2)');
my $other = PsqlSession->new($node, timeout => 600);
$session->ask('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(amount) FROM account WHERE owner = 1; INSERT INTO account VALUES (2, 10)');
$session->ask('INSERT INTO here VALUES (4); INSERT INTO c VALUES (4)');
$other->ask('BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(amount) FROM account WHERE owner = 2; INSERT INTO account VALUES (1, 10); COMMIT');
($out, $err) = $session->ask('COMMIT');
like($err, qr/ERROR:  could not serialize access/, 'a transaction that cannot be serialized is an error');
both_have('1 2 3', 'neither has it');

# MongoDB dies between write and commit.
$session->ask('BEGIN; INSERT INTO here VALUES (4); INSERT INTO c VALUES (4)');
$mongo->kill9;
($out, $err) = $session->ask('COMMIT');
like($err, qr/ERROR/, 'a commit on a server that was killed is an error');
$mongo->start;
both_have('1 2 3', 'neither has it');
($out, $err) = $session->ask(both(4));
is($err, '', 'the session connects anew');
both_have('1 2 3 4', 'both have it');

# A rollback while MongoDB is dead.
$session->ask('BEGIN; INSERT INTO here VALUES (5); INSERT INTO c VALUES (5)');
$mongo->kill9;
($out, $err) = $session->ask('ROLLBACK');
is($err, '', 'a rollback needs no server');
$mongo->start;
both_have('1 2 3 4', 'neither has it');

# Cancelled while MongoDB does not answer: the transaction that is left there is ended by the next connection.
($out, $err) = $session->ask('BEGIN; INSERT INTO c VALUES (6)');
is($err, '', 'the session connects anew after a rollback, too');
$mongo->pause;
my $start = time;
$session->send('INSERT INTO c VALUES (7)');
$node->poll_query_until('postgres', "SELECT wait_event_type = 'Extension' FROM pg_stat_activity WHERE pid = $pid")
  or die 'the insert does not wait';
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
($out, $err) = $session->result;
like($err, qr/canceling statement due to user request/, 'a write to a server that hangs is cancelled');
$session->ask('ROLLBACK');
cmp_ok(time - $start, '<', 60, 'and soon');
$mongo->resume;
($out, $err) = $session->ask('SELECT count(*) FROM c; INSERT INTO c VALUES (6)');
is($err, '', 'what was left stands in the way of nothing');
$session->ask('DELETE FROM c WHERE _id = 6');
is(documents(), '1 2 3 4', 'as before');

# A session that is terminated aborts in MongoDB too.
$other = PsqlSession->new($node, timeout => 600);
my ($other_pid) = $other->ask('SELECT pg_backend_pid()');
$other->ask(q{BEGIN; UPDATE c SET text = 'left' WHERE _id = 1});
($out, $err) = $session->ask(q{UPDATE c SET text = 'x' WHERE _id = 1});
like($err, qr/WriteConflict/, 'a document that another transaction has written');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($other_pid, 180000)");
# It waits a second for the answer to that, at most.
foreach (1 .. 1800)
{
	($out, $err) = $session->ask(q{UPDATE c SET text = 'x' WHERE _id = 1 RETURNING text});
	last if $err !~ /WriteConflict/;
	usleep(100_000);
}
is("$out$err", 'x', 'is free when that session has ended');

# Memory, and transactions that are left open on the server, after many failures. Each has keys of its own: mongod slows down
# where many aborted transactions have written one.
my $memory = q{SELECT substring(pg_read_file('/proc/self/status') FROM 'RssAnon:\s+(\d+)')::integer};
$node->safe_psql('postgres', q{CREATE PROCEDURE fail(n integer) LANGUAGE plpgsql AS $$
BEGIN
	FOR i IN 1 .. n LOOP
		BEGIN
			INSERT INTO c SELECT CASE WHEN g = 100 THEN 1 ELSE 1000 * i + g END, 'x' FROM generate_series(1, 100) g;
		EXCEPTION WHEN unique_violation THEN
		END;
		ROLLBACK;
	END LOOP;
END $$});
$session->ask('CALL fail(300)');
my ($before) = $session->ask($memory);
($out, $err) = $session->ask('CALL fail(1000)');
is($err, '', 'a thousand writes that fail');
my ($after) = $session->ask($memory);
note("anonymous memory: $before kB before, $after kB after");
cmp_ok($after - $before, '<', 2048, 'take no more memory');
my $open;
foreach (1 .. 1800)
{
	$open = $mongo->command('admin', '{"serverStatus": 1}')->{transactions}{currentOpen};
	last if $open == 0;
	usleep(100_000);
}
is($open, 0, 'and leave no transaction');
is(documents(), '1 2 3 4', 'and no document');

# A transaction that MongoDB has ended, as it does after a minute.
$session->ask('BEGIN; INSERT INTO c VALUES (5)');
$mongo->command('admin', '{"killAllSessions": []}');
($out, $err) = $session->ask("\\set VERBOSITY verbose\nCOMMIT;");
$session->ask('\set VERBOSITY default');
like($err, qr/ERROR: +40000: error while committing/, 'a transaction that MongoDB has ended does not commit');
like($err, qr/HINT: .*transactionLifetimeLimitSeconds/, 'with what may have ended it');
is(documents(), '1 2 3 4', 'and nothing is written');

# COPY sends rows in batches, as INSERT does.
sub inserts { return $mongo->command('admin', '{"serverStatus": 1}')->{metrics}{commands}{insert}{total}; }
my $inserts = inserts();
($out, $err) = $session->ask(q{BEGIN; COPY c (_id) FROM PROGRAM 'seq 5001 7500'; SELECT count(*) FROM c WHERE _id > 5000; ROLLBACK});
is("$out$err", '2500', 'COPY inserts all rows');
cmp_ok(inserts() - $inserts, '<', 10, 'by a few commands');

# Without a replica set.
my $standalone = MongoServer->new(standalone => 1);
my $standalone_uri = $standalone->uri;
$node->safe_psql('postgres', "CREATE SERVER single FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$standalone_uri', database 'mm_write');"
	  . ' CREATE FOREIGN TABLE single (_id bigint, text text) SERVER single');
($out, $err) = $session->ask('INSERT INTO single VALUES (1)');
like($err, qr/server "single" has no transactions, since it is no replica set/, 'a server without transactions is refused');
like($err, qr/ALTER SERVER single OPTIONS \(ADD transactions 'off'\)/, 'with the remedy');
$session->ask(q{ALTER SERVER single OPTIONS (ADD transactions 'off')});
($out, $err) = $session->ask(q{BEGIN; INSERT INTO single VALUES (1), (2); UPDATE single SET text = 'x' WHERE _id = 1; ROLLBACK; SELECT _id, text FROM single ORDER BY _id});
is("$out$err", "1|x\n2|", 'which writes at once');

# Of large rows no more than 16 MB are collected.
my $peak = q{SELECT substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\s+(\d+)')::integer};
my ($peak_before) = $session->ask($peak);
($out, $err) = $session->ask(q{INSERT INTO single SELECT 10000 + g, repeat('x', 1000000) FROM generate_series(1, 150) g; SELECT count(*) FROM single WHERE _id > 10000});
is("$out$err", '150', 'rows of 150 MB are inserted');
my ($peak_after) = $session->ask($peak);
note("memory at most: $peak_before kB before, $peak_after kB after");
cmp_ok($peak_after - $peak_before, '<', 100 * 1024, 'with less memory than they have');

$session->finish;
$node->stop;
$mongo->stop;
$standalone->stop;
done_testing();

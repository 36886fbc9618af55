# Faults that mongod makes at each command of a scan or a write, again and again: an error or the right outcome, never a
# short result or a write on one side alone; no memory, cursor, transaction or connection is left. MM_REPEATS: how often.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $repeats = $ENV{MM_REPEATS} || 8;
my $documents = 3000;
my $mongo = MongoServer->new;
my $node = PostgreSQL::Test::Cluster->new('fdw_faults');
$node->init;
$node->start;

my $uri = $mongo->uri;
$mongo->generate('mm_faults', 'c', [ 1, $documents + 1 ], '{"_id": "$n", "text": "some text that is not empty"}');
$mongo->command('mm_faults', '{"create": "w"}');
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION mongo_migrate;
CREATE SERVER s FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'mm_faults', fetch_size '500');
CREATE SERVER admin FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'admin');
CREATE FOREIGN TABLE c (_id bigint, text text) SERVER s;
CREATE FOREIGN TABLE w (_id bigint, text text) SERVER s;
CREATE TABLE here (id bigint);
ANALYZE c;
SQL

my ($in, $out, $err) = ('', '', '');
my $psql = IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres') ],
	'<', \$in, '>', \$out, '2>', \$err, IPC::Run::timeout(7200));

# Runs statements in the session; returns output and errors.
sub ask
{
	my ($sql) = @_;
	$in .= "$sql;\n\\echo done\n\\warn done\n";
	$psql->pump until $out =~ /^done\n/m && $err =~ /^done\n/m;
	my @result = map { s/done\n//r =~ s/\n\z//r } $out, $err;
	($out, $err) = ('', '');
	return @result;
}

# Sets the fail point by the session's other connection.
sub fail_point
{
	my ($json) = @_;
	my (undef, $error) = ask(qq(SELECT mongo_migrate.run_command('admin', '{"configureFailPoint": "failCommand", $json}') \\g /dev/null\n));
	die "fail point: $error" if $error ne '';
	return;
}

sub server_status { return $mongo->command('admin', '{"serverStatus": 1}'); }

# Waits until nothing is open on the server, and says what is.
sub open_on_server
{
	my $open;
	foreach (1 .. 1800)
	{
		my $status = server_status();
		$open = "$status->{metrics}{cursor}{open}{total} cursors, $status->{transactions}{currentOpen} transactions";
		last if $open eq '0 cursors, 0 transactions';
		usleep(100_000);
	}
	return $open;
}

# The faults: what they are at, the fail point (%d: a number that changes), the statement, and what may come of it.
my $scan = [ 'SELECT count(text), sum(_id) FROM c', $documents . '|' . $documents * ($documents + 1) / 2 ];
my %writes = (
	insert => 'BEGIN; INSERT INTO here VALUES (%1$d), (-%1$d); INSERT INTO w VALUES (%1$d), (-%1$d); COMMIT',
	update => q{BEGIN; INSERT INTO here VALUES (%1$d); INSERT INTO w VALUES (%1$d); UPDATE w SET text = 'x' WHERE _id > 0; COMMIT},
	delete => 'BEGIN; INSERT INTO here VALUES (%1$d); INSERT INTO w VALUES (%1$d), (0); DELETE FROM w WHERE _id = 0; COMMIT',
	findAndModify => 'BEGIN; INSERT INTO here VALUES (%1$d); INSERT INTO w VALUES (%1$d), (0); DELETE FROM w WHERE _id = 0 RETURNING NULL; COMMIT');
my @faults;
foreach my $fault (
	[ 'error', '"errorCode": 8', 'error' ],
	[ 'shutdown', '"errorCode": 91', 'either' ],
	[ 'close', '"closeConnection": true', 'either' ],
	[ 'slow', '"blockConnection": true, "blockTimeMS": 5', 'right' ])
{
	my ($name, $data, $may) = @$fault;
	my $every = $name =~ /error|slow/ ? 1 : 4;    # after others the driver waits half a second to connect
	push @faults, { name => "find, $name", mode => '{"times": 1}', commands => '"find"', data => $data, may => $may };
	push @faults, { name => "getMore, $name", mode => '{"skip": %d}', commands => '"getMore"', data => $data,
		may => $name eq 'slow' ? 'right' : 'error' };
	push @faults, { name => "$_, $name", mode => '{"times": 1}', commands => qq("$_"), data => $data, write => $_,
		may => $name eq 'slow' ? 'right' : 'error' }
	  foreach sort keys %writes;
	push @faults, { name => "commitTransaction, $name", mode => '{"times": 1}', commands => '"commitTransaction"', data => $data,
		write => 'insert', may => $may };
	push @faults, { name => "abortTransaction, $name", mode => '{"times": 1}', commands => '"abortTransaction"', data => $data,
		write => 'insert', rollback => 1, may => 'right' };
	$_->{every} //= $every foreach @faults;
}
push @faults, { name => 'getMore, cursor lost', mode => '{"skip": %d}', commands => '"getMore"', data => '"errorCode": 43', may => 'error' };
push @faults, { name => 'find, closed for good', mode => '"alwaysOn"', commands => '"find"', data => '"closeConnection": true', every => 4, may => 'error' };
# A join is an aggregate; no other statement is one, and c was analyzed, so that none asks for its size now and then.
my $join = 'SELECT count(b.text), sum(a._id) FROM c a LEFT JOIN c b ON b._id = a._id AND b.text >= a.text';
push @faults, map { { sql => $join, before => 'SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off', every => 2, %$_ } } (
	{ name => 'aggregate of a join, error', mode => '{"times": 1}', commands => '"aggregate"', data => '"errorCode": 8', may => 'error' },
	{ name => 'getMore of a join, error', mode => '{"skip": %d}', commands => '"getMore"', data => '"errorCode": 8', may => 'error' },
	{ name => 'getMore of a join, close', mode => '{"skip": %d}', commands => '"getMore"', data => '"closeConnection": true', every => 4, may => 'error' },
	{ name => 'getMore of a join, slow', mode => '{"skip": %d}', commands => '"getMore"', data => '"blockConnection": true, "blockTimeMS": 5', may => 'right' });
# The server makes a cursor after the connection has gone, whose id nobody learns.
push @faults, { name => 'find, later than statement_timeout', mode => '{"times": 1}', commands => '"find"', every => 20,
	data => '"blockConnection": true, "blockTimeMS": 400', before => q{SET statement_timeout = '100ms'}, may => 'error' };
push @faults, { name => 'insert, later than statement_timeout', mode => '{"times": 1}', commands => '"insert"', every => 20,
	data => '"blockConnection": true, "blockTimeMS": 400', before => q{SET statement_timeout = '100ms'}, write => 'insert', may => 'error' };

my $id = 0;

# Runs the statement of a fault; returns 'right', 'error', or what was wrong.
sub meet
{
	my ($fault, $round) = @_;
	my ($sql, $expected) = ($fault->{sql} // $scan->[0], $scan->[1]);

	if ($fault->{write})
	{
		$sql = sprintf $writes{ $fault->{write} }, ++$id;
		$sql =~ s/COMMIT$/ROLLBACK/ if $fault->{rollback};
	}
	my $mode = $fault->{mode} =~ s/%d/$round % 5/er;
	fail_point(qq("mode": $mode, "data": {"failCommands": [$fault->{commands}], $fault->{data}}));
	ask($fault->{before}) if $fault->{before};
	my ($result, $error) = ask($sql);
	ask('ROLLBACK');
	1 while (ask('RESET statement_timeout'))[1] =~ /ERROR/;    # which takes longer itself where the machine is busy
	fail_point('"mode": "off"');
	if ($fault->{write})
	{
		# What MongoDB has, by a scan without a fault, is what PostgreSQL has.
		my ($same) = ask('SELECT (SELECT array_agg(_id ORDER BY _id) FROM w) IS NOT DISTINCT FROM (SELECT array_agg(id ORDER BY id) FROM here)');
		return "the sides differ after: $error" if $same ne 't';
		my ($there) = ask("SELECT count(*) FROM here WHERE id = $id");
		return "committed in spite of: $error" if $there && ($error =~ /ERROR/ || $fault->{rollback});
		return 'lost without an error' unless $there || $error =~ /ERROR/ || $fault->{rollback};
		return $error =~ /ERROR/ ? 'error' : 'right';
	}
	return 'error' if $error =~ /ERROR/ && $result eq '';
	return $result eq $expected && $error !~ /ERROR/ ? 'right' : "result $result, $error";
}

my $memory = q{SELECT substring(pg_read_file('/proc/self/status') FROM 'RssAnon:\s+(\d+)')::integer};
my (%outcomes, $before, $connections);

# Some more come first, for what memory a session needs anyway.
my $warm = 5 + ($repeats > 100 ? 40 : 0);
foreach my $round (1 - $warm .. $repeats)
{
	if ($round == 1)
	{
		($before) = ask($memory);
		$connections = server_status()->{connections}{current};
	}
	foreach my $fault (@faults)
	{
		next if $round % ($fault->{every} // 1) != 0;
		$outcomes{ $fault->{name} }{ meet($fault, $round) }++;
	}
	ask('DELETE FROM here; DELETE FROM w') if $round % 10 == 0;
}
my ($after) = ask($memory);

foreach my $fault (@faults)
{
	my $seen = $outcomes{ $fault->{name} };
	my @wrong = grep { $fault->{may} eq 'either' ? !/^(error|right)$/ : $_ ne $fault->{may} } sort keys %$seen;
	is(join("\n", map { "$seen->{$_} times: $_" } @wrong), '', "$fault->{name}: " . join ', ', map { "$_ $seen->{$_} times" } sort keys %$seen);
}

# A commit that is refused ends the transaction there too, long before its minute is over.
open_on_server();     # until what the faults above have left is gone
fail_point('"mode": "alwaysOn", "data": {"failCommands": ["commitTransaction"], "errorCode": 91}');
like((ask('BEGIN; INSERT INTO w VALUES (-1); COMMIT'))[1], qr/WARNING:  whether server "s" has committed is not known.*ERROR:  error while committing/s,
	'a commit that the server refuses');
fail_point('"mode": "off"');
foreach (1 .. 100)
{
	last if server_status()->{transactions}{currentOpen} == 0;
	usleep(100_000);
}
is(server_status()->{transactions}{currentOpen}, 0, 'its transaction is not left open');
is((ask('SELECT count(*) FROM w WHERE _id = -1'))[0], 0, 'and wrote nothing');

# A new connection has the cursors killed that a closed one had to leave.
my ($end, $error) = ask($scan->[0]);
is("$end$error", $scan->[1], 'the session goes on');
is(open_on_server(), '0 cursors, 0 transactions', 'nothing is left open on the server');
my $current;
foreach (1 .. 1800)
{
	last if ($current = server_status()->{connections}{current}) <= $connections + 2;
	usleep(100_000);    # one that was closed takes its moment, that of the last look too
}
cmp_ok($current, '<=', $connections + 2, 'nor connections');
diag("anonymous memory: $before kB before $repeats rounds, $after kB after");
cmp_ok($after - $before, '<', 2048, "$repeats rounds take no more memory");

$in .= "\\q\n";
$psql->finish;
$node->stop;
$mongo->stop;
done_testing();

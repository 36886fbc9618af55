# A migration outlives a source that is gone for a while: a mongod that is killed and started again, a primary that steps
# down, while it is prepared, copied, finished or verified. Where the source stays away, the error comes after retry_for; a
# cancel ends the pause.
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
use Time::HiRes qw(usleep);

my $documents = 60000;    # more than one range of _id
my $mongo = MongoServer->new;
$mongo->generate('shop', 'orders', [ 0, $documents ], '{"n": 1, "items": [{"sku": "a"}, {"sku": "b"}]}');

my $node = PostgreSQL::Test::Cluster->new('retry');
$node->init;
$node->append_conf('postgresql.conf', 'log_min_messages = debug1');
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mongo_migrate; CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate'
	  . " OPTIONS (uri '" . $mongo->uri . "', database 'shop')");
sub query { return $node->safe_psql('postgres', $_[0]); }
query("SELECT mongo_migrate.plan_collection('shop', 'orders')");
query("SELECT mongo_migrate.apply_ddl('shop', 'orders')");

# No batch of a range that has 400 documents is committed while a session of the test holds the lock.
query('CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS '
	  . q('BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(1); RETURN new; END'));
query('CREATE TRIGGER hold BEFORE UPDATE ON mongo_migrate.chunk FOR EACH ROW WHEN (new.documents > 400) EXECUTE FUNCTION hold()');

# Starts a migration, which a lock holds in its midst while $meanwhile runs. Returns the session.
sub begin_and
{
	my ($options, $meanwhile) = @_;
	query("SELECT mongo_migrate.reset_collection('shop', 'orders', truncate => true)");
	my $holder = PsqlSession->new($node);
	$holder->ask('SELECT pg_advisory_lock(1)');
	my $session = Statement->new($node, "SELECT complete FROM mongo_migrate.migrate_collection('shop', 'orders', batch_size => 100, $options)");
	$node->poll_query_until('postgres',
		"SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'mongo_migrate worker' AND wait_event = 'advisory'")
	  or die 'no two workers that wait: ' . $session->err;
	$meanwhile->();
	$holder->finish;
	return $session;
}

# What the session has printed in the end, but for errors.
sub ended
{
	my ($session) = @_;
	$session->finish;
	return $session->out;
}

# Waits until the session has said something.
sub wait_for
{
	my ($session, $pattern) = @_;
	my $tries = 18000;
	usleep(10_000) while $session->err !~ $pattern && --$tries > 0;
	return like($session->err, $pattern, 'it says so');
}

my $warning = qr/WARNING:  01000: migration of collection orders is interrupted: .*DETAIL:  .*\d+ documents are done\.\nHINT:  It is tried again after 1 s, until/s;
my $all = "$documents|$documents|" . 2 * $documents;
my $counts = "SELECT count(*), count(DISTINCT n), (SELECT count(*) FROM orders_items) FROM orders";

my $session = begin_and("retry_for => '2 minutes'", sub { $mongo->kill9; });
wait_for($session, $warning);
$mongo->start;
is(ended($session), "t\n", 'a migration goes on when mongod has come back');
is(query($counts), $all, 'every document once, with its child rows');
is(query("SELECT count(*), min(state) FROM mongo_migrate.run WHERE collection = 'orders'"), '1|complete', 'in one run');

$session = begin_and("retry_for => '2 minutes'", sub { $mongo->command('admin', '{"replSetStepDown": 600, "force": true}'); });
wait_for($session, $warning);
$mongo->command('admin', '{"replSetFreeze": 0}');    # it is the only member, and primary at once
is(ended($session), "t\n", 'a migration goes on when the set has a primary again');
is(query($counts), $all, 'every document once');

$session = begin_and("retry_for => '2 seconds'", sub { $mongo->kill9; });
is(ended($session), '', 'a mongod that stays away is an error');
like($session->err, qr/ERROR:  08\w{3}: migration of collection orders stopped: .*documents in \d+ batches are committed\.\nHINT:  .*Call migrate_collection again/s,
	'which says how to go on');
$mongo->start;
is(query("SELECT complete FROM mongo_migrate.migrate_collection('shop', 'orders')"), 't', 'the next call goes on');
is(query($counts), $all, 'every document once');

$session = begin_and("retry_for => '1 hour'", sub { $mongo->kill9; });
wait_for($session, $warning);
query("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE '%migrate_collection%' AND backend_type = 'client backend' AND pid <> pg_backend_pid()");
$session->finish;
like($session->err, qr/ERROR:  57014: migration of collection orders stopped: canceling statement due to user request/, 'a cancel ends the pause');
is(query("SELECT state FROM mongo_migrate.progress WHERE collection = 'orders'"), 'stopped', 'and the run');

# The plan is made, and the ranges found, when the source has come back. (Where it cannot be reached to begin with, see 012.)
$mongo->start;
query("SELECT mongo_migrate.reset_collection('shop', 'orders', truncate => true)");
query('DROP TABLE orders, orders_items');
query("DELETE FROM mongo_migrate.plan");
$mongo->fail_point('{"mode": "alwaysOn", "data": {"failCommands": ["find", "aggregate", "count"], "closeConnection": true}}');
$session = Statement->new($node, "SELECT complete FROM mongo_migrate.migrate_collection('shop', 'orders')");
wait_for($session, qr/WARNING:  01000: migration of collection orders is interrupted: .*DETAIL:  .*\n0 documents are done/s);
$mongo->fail_point_off;
is(ended($session), "t\n", 'a migration whose connection is lost before the first document goes on');
is(query($counts), $all, 'every document once');

# So it is where all is planned and migrated.
query("SELECT mongo_migrate.reset_collection('shop', 'orders', truncate => true)");
query('DROP TABLE orders, orders_items');
query("DELETE FROM mongo_migrate.plan");
$mongo->fail_point('{"mode": "alwaysOn", "data": {"failCommands": ["find", "aggregate", "count"], "closeConnection": true}}');
$session = Statement->new($node, "SELECT complete FROM mongo_migrate.migrate_all('shop')");
wait_for($session, qr/WARNING:  01000: planning of server "shop" is interrupted: .*\nHINT:  It is tried again after 1 s, until/s);
$mongo->fail_point_off;
is(ended($session), "t\n", 'planning goes on, and all is migrated');
unlike($session->err, qr/documents are done/, 'it does not tell of documents');
is(query($counts), $all, 'every document once');

# When it stays away, that is found out once, and not for each slice of the collections.
query("SELECT mongo_migrate.run_command('shop', format('{\"create\": \"empty%s\"}', n)::json) FROM generate_series(1, 60) n");
$mongo->fail_point('{"mode": "alwaysOn", "data": {"failCommands": ["find", "aggregate", "count"], "closeConnection": true}}');
$session = Statement->new($node, "SELECT count(*) FROM mongo_migrate.migrate_all('shop', retry_for => '2s', max_duration => '6s') WHERE complete");
is(ended($session), "0\n", 'nothing is migrated from a source that stays away');
my @interrupted = $session->err =~ /planning of server "shop" is interrupted/g;
is(@interrupted, 1, 'it was waited for once');
$mongo->fail_point_off;
query("SELECT mongo_migrate.run_command('shop', format('{\"drop\": \"empty%s\"}', n)::json) FROM generate_series(1, 60) n");

# A step that MongoDB answers with what its drivers try again, until the fail point is over: the driver itself does once.
sub fail_some
{
	my ($command, $code, $mode) = @_;
	$mode //= '{"times": 4}';
	return $mongo->fail_point(qq({"mode": $mode, "data": {"failCommands": ["$command"], "errorCode": $code}}));
}
query("SELECT mongo_migrate.reset_collection('shop', 'orders', truncate => true)");
fail_some('count', 262);
$session = Statement->new($node, "SELECT complete FROM mongo_migrate.migrate_collection('shop', 'orders')");
is(ended($session), "t\n", 'a server that takes too long at the preparation is asked again');
like($session->err, qr/WARNING:  01000: .*\nDETAIL:  .*\(ExceededTimeLimit\)\n0 documents are done/, 'with a warning');

# So it goes for a cursor that is lost before a document of it came.
query("SELECT mongo_migrate.reset_collection('shop', 'orders', truncate => true)");
fail_some('find', 43);
$session = Statement->new($node, "SELECT complete FROM mongo_migrate.migrate_collection('shop', 'orders')");
is(ended($session), "t\n", 'a copy begins to read anew');
like($session->err, qr/WARNING:  01000: .*\nDETAIL:  .*\(CursorNotFound\)/, 'with a warning');
is(query($counts), $all, 'every document once');

# The end reads documents that go into quarantine.
$mongo->command('shop', '{"insert": "bills", "documents": [{"_id": 1, "user": 1}, {"_id": 2, "user": 2}]}');
$mongo->command('shop', '{"insert": "users", "documents": [{"_id": 1, "name": "Ada"}]}');
query("SELECT mongo_migrate.migrate_collection('shop', 'users')");
query("SELECT mongo_migrate.plan_collection('shop', 'bills')");
query("UPDATE mongo_migrate.plan_column SET role = 'reference', refers_to = 'users', on_dangling = 'quarantine', type = (SELECT type FROM"
	  . " mongo_migrate.plan_column WHERE collection = 'users' AND role = 'id') WHERE collection = 'bills' AND path = 'user'");
my $run = query("SELECT mongo_migrate.prepare_run('shop', 'bills', 1000, 1, 'quarantine', NULL, NULL)");
query("CALL mongo_migrate.copy_chunks($run)");
fail_some('find', 134);
$session = Statement->new($node, "SELECT complete FROM mongo_migrate.migrate_collection('shop', 'bills')");
is(ended($session), "t\n", 'a server that is not ready at the end is asked again');
like($session->err, qr/WARNING:  01000: .*\nDETAIL:  .*\(ReadConcernMajorityNotAvailableYet\)\n2 documents are done/, 'with a warning');
is(query('SELECT count(*), (SELECT count(*) FROM mongo_migrate.quarantine) FROM bills'), '1|1', 'a document once');

# A verification: pages of documents, then rows.
$warning = qr/WARNING:  01000: verification of collection orders is interrupted: .+: .+\nHINT:  It is tried again every 2 s, until/;
fail_some('find', 189);
$session = Statement->new($node, "SELECT count(*) FROM mongo_migrate.verify_full('shop', 'orders')");
is(ended($session), "0\n", 'a verification goes on with its documents');
like($session->err, $warning, 'with a warning');
fail_some('getMore', 43);
$session = Statement->new($node, "SELECT count(*) FROM mongo_migrate.verify_full('shop', 'orders')");
is(ended($session), "0\n", 'and with a cursor that the server lost');
like($session->err, $warning, 'with a warning');
# What references refer to is read by the statement that compares.
fail_some('find', 189, '{"skip": 1}');
$session = Statement->new($node, "SELECT count(*) FROM mongo_migrate.verify_full('shop', 'bills')");
wait_for($session, qr/WARNING:  01000: verification of collection bills is interrupted: /);
$mongo->fail_point_off;
is(ended($session), "0\n", 'and with what they refer to');
# Rows are looked up where there are more than documents.
query(q{INSERT INTO orders SELECT (jsonb_populate_record(o, '{"id": -1}')).* FROM orders AS o LIMIT 1});
my $pages = $documents / 10000 + 2;    # an empty one at the end, and one for MaxKey
fail_some('find', 189, qq({"skip": $pages}));
$session = Statement->new($node, "SELECT count(*) FROM mongo_migrate.verify_full('shop', 'orders') WHERE kind = 'extra'");
wait_for($session, $warning);
$mongo->fail_point_off;
is(ended($session), "1\n", 'and with its rows');
query('DELETE FROM orders WHERE id = -1');
is(query('SELECT documents FROM mongo_migrate.verification ORDER BY verification_id DESC LIMIT 1'), $documents, 'all of them');
fail_some('find', 189, '"alwaysOn"');
$session = Statement->new($node, "SELECT count(*) FROM mongo_migrate.verify_full('shop', 'orders', retry_for => '0')");
is(ended($session), '', 'unless it may not');
like($session->err, qr/ERROR:  08006: /, 'which is an error');
$mongo->fail_point_off;

like(slurp_file($node->logfile), qr/DEBUG:  orders, range \d+: 100 documents, of which 100 inserted, 0 skipped, 0 rejected, in \d+ ms/,
	'each batch is in the log, at DEBUG1');

$node->stop;
done_testing();

# A source behind two mongos: proxies that answer as mongos does (test/lib/mongos.py), before one mongod. Everything that asks
# MongoDB is run by them; then one of them goes away, and they tell what shards told them.
use strict;
use warnings;

use FindBin;
use IPC::Open2;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PsqlSession;
use Test::More;
use Time::HiRes qw(usleep);

my $documents = 60000;    # several ranges of _id, each of more than one reply
my $mongo = MongoServer->new;
my @ports = map { MongoServer::free_port() } 1 .. 2;
my @mongos = map { start_mongos($_) } @ports;

sub start_mongos
{
	my ($port) = @_;
	my $pid = open2(my $from, my $to, '/usr/bin/python3', "$FindBin::RealBin/../lib/mongos.py", $port, $mongo->port);
	<$from> eq "listening\n" or die "mongos.py does not listen\n";
	return { pid => $pid, to => $to, from => $from };
}

sub kill_mongos
{
	my ($n) = @_;
	kill 'KILL', $mongos[$n]{pid};
	waitpid $mongos[$n]{pid}, 0;
	return;
}

$mongo->generate('shop', 'users', [ 0, 500 ], '{"_id": "$n", "name": {"$concat": ["u", {"$toString": "$n"}]}}');
$mongo->generate('shop', 'orders', [ 0, $documents ],
	'{"n": 1, "user": {"$mod": ["$n", 500]}, "items": [{"sku": "a", "quantity": {"$mod": ["$n", 7]}}, {"sku": "b", "quantity": 1}]}');
$mongo->command('shop', '{"insert": "things", "documents": [' . join(', ', ('{"state": "new"}') x 50) . ']}');

my $node = PostgreSQL::Test::Cluster->new('mongos');
$node->init;
$node->start;
my $uri = 'mongodb://' . join(',', map { "127.0.0.1:$_" } @ports) . '/';
sub query { return $node->safe_psql('postgres', $_[0]); }
query("CREATE EXTENSION mongo_migrate; CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'shop')");

# Waits until a query gives 't'.
sub wait_until { return ok($node->poll_query_until('postgres', $_[1]), $_[0]) || diag(query('SELECT * FROM mongo_migrate.sync_status')); }

# How many cursors, and how many transactions, are open on mongod.
sub open_on_server
{
	my $status = $mongo->command('admin', '{"serverStatus": 1}');
	return "$status->{metrics}{cursor}{open}{total} cursors, $status->{transactions}{currentOpen} transactions";
}

# Waits until there is nothing open.
sub nothing_open
{
	my ($name) = @_;
	my $tries = 200;
	usleep(50_000) while open_on_server() ne '0 cursors, 0 transactions' && --$tries > 0;
	return is(open_on_server(), '0 cursors, 0 transactions', $name);
}

# A migration, followed, cut over and rolled back.
is(query(q{SELECT status, detail FROM mongo_migrate.preflight('shop') WHERE "check" IN ('replica set', 'oplog', 'read')}),
	"ok|sharded cluster\nok|every collection can be read", 'preflight knows it');
is(query(q{SELECT count(*), max(present) FROM mongo_migrate.infer_schema('shop', 'orders', 0)}), '7|' . 2 * $documents, 'every document is profiled');
query("SELECT mongo_migrate.plan_collection('shop', c) FROM unnest(ARRAY['users', 'orders', 'things']) AS c");
query("SELECT mongo_migrate.apply_ddl('shop')");
query("SELECT mongo_migrate.start_sync('shop')");
is(query(q{SELECT string_agg(collection || ' ' || inserted, ', ' ORDER BY collection) FROM mongo_migrate.migrate_all('shop', workers => 2) WHERE complete}),
	"orders $documents, things 50, users 500", 'all is migrated');
is(query(q{SELECT count(*) FROM mongo_migrate.verify_counts('shop') WHERE NOT ok}), 0, 'as many rows');
is(query(q{SELECT * FROM mongo_migrate.verify_full('shop', 'orders')}), '', 'each as its document, page by page');
is(query(q{SELECT * FROM mongo_migrate.verify_full('shop', 'orders', workers => 2)}), '', 'and by workers');
is(query(q{SELECT * FROM mongo_migrate.verify_sample('shop', 'orders')}), '', 'and of a sample');

# The stream is read to its end on the mongos that opened it.
foreach my $state ('changed', 'changed again')
{
	$mongo->command('shop', qq({"update": "things", "updates": [{"q": {}, "u": {"\$set": {"state": "$state"}}, "multi": true}]}));
	wait_until("$state is followed", "SELECT count(*) = 50 FROM things WHERE state = '$state'");
}
$mongo->command('shop', '{"insert": "things", "documents": [' . join(', ', ('{"state": "many"}') x 3000) . ']}');    # replies of 1,000 events
wait_until('many events are followed', "SELECT count(*) = 3000 FROM things WHERE state = 'many'");
query("SELECT mongo_migrate.cutover('shop')");
query("UPDATE things SET state = 'here' WHERE state = 'changed again'; DELETE FROM things WHERE state = 'many'; INSERT INTO users (id, name) VALUES (1000, 'new')");
wait_until('what is written here is written there', "SELECT pending = 0 AND written = 3051 FROM mongo_migrate.sync_status");
is($mongo->command('shop', '{"count": "things", "query": {"state": "here"}}')->{n}, 50, 'each document');
query("SELECT mongo_migrate.rollback_cutover('shop')");
is(query("SELECT error FROM mongo_migrate.sync_status"), '', 'and nothing failed on the way');
query("SELECT mongo_migrate.stop_sync('shop')");

# Foreign tables.
query('CREATE SCHEMA there; IMPORT FOREIGN SCHEMA shop FROM SERVER shop INTO there; ANALYZE there.orders');
is(query(q{SELECT reltuples FROM pg_class WHERE oid = 'there.orders'::regclass}), $documents, 'ANALYZE adds the shards up');
is(query('SELECT count(*), sum(n), count(DISTINCT "user") FROM there.orders'), "$documents|" . $documents * ($documents - 1) / 2 . '|500', 'aggregates');
is(query('SELECT n FROM there.orders WHERE n > 100 ORDER BY n LIMIT 2'), "101\n102", 'an order');
my $join = 'FROM there.orders AS o JOIN there.users AS u ON u._id = o."user"';
my $remote = 'SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off';
like(query("$remote; EXPLAIN SELECT u.name $join"), qr/Join: o INNER JOIN u/, 'a join there');
is(query("$remote; SELECT count(u.name), sum(n) $join"), "$documents|" . $documents * ($documents - 1) / 2, 'and its rows');
is(query(q{BEGIN; INSERT INTO there.users VALUES (2000, 'x'), (2001, 'y'); UPDATE there.users SET name = 'z' WHERE _id >= 2000;
		DELETE FROM there.users WHERE _id = 2001 RETURNING name; SELECT count(*) FROM there.users WHERE name = 'z'; COMMIT}), "z\n1", 'a transaction reads what it wrote');
is($mongo->command('shop', '{"count": "users", "query": {"name": "z"}}')->{n}, 1, 'and commits');
is(query(q{BEGIN; UPDATE there.users SET name = 'no'; ROLLBACK; SELECT count(*) FROM there.users WHERE name = 'no'}), 0, 'or does not');
is(query(q{BEGIN; DECLARE c CURSOR FOR SELECT n FROM there.orders; FETCH 2 FROM c \g /dev/null
		INSERT INTO there.users VALUES (2002, 'x'); MOVE ALL IN c; ROLLBACK}), '', 'a cursor is read ahead of a write');
nothing_open('nothing is left open');

# A connection that is given up: its cursor is closed on the mongos that has it, whichever the session asks next.
my $session = PsqlSession->new($node);
$mongo->fail_point('{"mode": "alwaysOn", "data": {"failCommands": ["dbStats"], "blockConnection": true, "blockTimeMS": 500}}');
foreach my $round (1 .. 6)
{
	$session->ask(q{BEGIN; DECLARE c CURSOR FOR SELECT n FROM there.orders; FETCH 6000 FROM c \g /dev/null});
	like(($session->ask(q(SET LOCAL statement_timeout = '100ms'; SELECT mongo_migrate.run_command('shop', '{"dbStats": 1}'))))[1],
		qr/canceling statement/, 'a statement is cancelled');
	$session->ask('ROLLBACK; SELECT count(*) FROM there.users');
}
$mongo->fail_point_off;
nothing_open('no cursor of its transaction is left');
$session->finish;

# One of the two goes away: in the midst of a query, of a transaction, of a commit.
sub asked
{
	my ($mongos, $line) = @_;
	print { $mongos->{to} } ($line // 'asked') . "\n";
	$mongos->{to}->flush;
	return scalar readline $mongos->{from};
}

# Which of the two has the cursor or the transaction of a session's statement.
sub asks
{
	my ($statement) = @_;
	my @before = map { asked($_) } @mongos;
	$session->ask($statement);
	my @used = grep { asked($mongos[$_]) > $before[$_] } 0, 1;
	is(@used, 1, 'it is one mongos\'s');
	return $used[0];
}
my $here = 'SELECT count(*) FROM there.users WHERE _id BETWEEN 3000 AND 3999';
foreach my $round (1 .. 3)
{
	$session = PsqlSession->new($node);
	my $used = asks('BEGIN; DECLARE c CURSOR FOR SELECT n FROM there.orders; FETCH 6000 FROM c \g /dev/null');
	kill_mongos($used);
	like(($session->ask('MOVE ALL IN c'))[1], qr/ERROR:  error while reading collection "shop.orders" of server "shop"/, 'a query ends with it');
	$session->ask('ROLLBACK');
	is(($session->ask('SELECT count(*) FROM there.orders'))[0], $documents, 'the next one asks the other');
	$mongos[$used] = start_mongos($ports[$used]);

	$session->ask('SELECT mongo_migrate.disconnect_all()');
	$used = asks('BEGIN; INSERT INTO there.users VALUES (3000)');
	kill_mongos($used);
	like(($session->ask('INSERT INTO there.users VALUES (3001)'))[1], qr/ERROR:  error while inserting/, 'so does a transaction');
	$session->ask('ROLLBACK');
	is(($session->ask($here))[0], 0, 'which wrote nothing');
	$mongos[$used] = start_mongos($ports[$used]);

	$session->ask('SELECT mongo_migrate.disconnect_all()');
	$used = asks('BEGIN; INSERT INTO there.users VALUES (3000)');
	kill_mongos($used);
	like(($session->ask('COMMIT'))[1], qr/ERROR:  error while committing on server "shop"\nDETAIL:  .*NoSuchTransaction/,
		'a transaction that cannot be committed any more');
	is(($session->ask($here))[0], 0, 'wrote nothing');
	$mongos[$used] = start_mongos($ports[$used]);

	$session->ask('SELECT mongo_migrate.disconnect_all()');
	$used = asks('BEGIN; INSERT INTO there.users VALUES (3000)');
	asked($mongos[$used], 'die');
	is(join('', $session->ask('COMMIT')), '', 'the other knows that it was committed');
	is(($session->ask($here))[0], 1, 'and so it was');
	waitpid $mongos[$used]{pid}, 0;
	$mongos[$used] = start_mongos($ports[$used]);
	$session->ask('DELETE FROM there.users WHERE _id = 3000; SELECT mongo_migrate.disconnect_all()');
	$session->finish;
}

# What mongos says of the shards is tried again by a migration, and by who runs a transaction.
foreach my $code (133, 202)
{
	query("SELECT mongo_migrate.reset_collection('shop', 'things', truncate => true)");
	$mongo->fail_point(qq({"mode": {"times": 3}, "data": {"failCommands": ["find"], "errorCode": $code}}));
	is(query("SELECT complete FROM mongo_migrate.migrate_collection('shop', 'things')"), 't', "error $code passes");
	$mongo->fail_point_off;
}
$mongo->fail_point('{"mode": {"times": 1}, "data": {"failCommands": ["insert"], "errorCode": 24, "errorLabels": ["TransientTransactionError"]}}');
like(($node->psql('postgres', "\\set VERBOSITY verbose\nINSERT INTO there.users VALUES (4000)"))[2], qr/ERROR:  40001: .*\nHINT:  Run the transaction again/s,
	'an error that it labels so says that the transaction may be run again');

# A migration goes on when one of them has gone, and comes to its end.
query("SELECT mongo_migrate.reset_collection('shop', 'orders', truncate => true)");
query('CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS '
	  . q('BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(1); RETURN new; END'));
query('CREATE TRIGGER hold BEFORE UPDATE ON mongo_migrate.chunk FOR EACH ROW WHEN (new.documents > 400) EXECUTE FUNCTION hold()');
my $holder = PsqlSession->new($node);
$holder->ask('SELECT pg_advisory_lock(1)');
$session = PsqlSession->new($node);
$session->send("SELECT complete FROM mongo_migrate.migrate_collection('shop', 'orders', batch_size => 100, workers => 2)");
wait_until('two workers are in the midst', "SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'mongo_migrate worker' AND wait_event = 'advisory'");
kill_mongos(0);
$holder->finish;
is(($session->result)[0], 't', 'a migration goes on by the other mongos');
is(query('SELECT count(*), count(DISTINCT n), (SELECT count(*) FROM orders_items) FROM orders'), "$documents|$documents|" . 2 * $documents, 'every document once');
is(query(q{SELECT * FROM mongo_migrate.verify_full('shop', 'orders')}), '', 'and as it is');
$session->finish;
$node->stop;
done_testing();

# After a cutover the documents follow the rows, whatever is killed meanwhile; and back.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use JSON::PP qw(encode_json);
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PsqlSession;
use Test::More;
use Time::HiRes qw(usleep);

my $mongo = MongoServer->new;
my $node = PostgreSQL::Test::Cluster->new('cutover');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nrestart_after_crash = on\nmax_prepared_transactions = 2\nwal_writer_delay = 10s");
$node->start;
sub query { return $node->safe_psql('postgres', $_[0]); }
sub failure { my ($ret, $out, $err) = $node->psql('postgres', $_[0]); return $err; }
query('CREATE EXTENSION mongo_migrate');
query("CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '" . $mongo->uri . "', database 'shop')");

srand(my $seed = $ENV{MM_SEED} // int(rand(1e6)));
note("MM_SEED=$seed");

sub user_id { return { '$oid' => sprintf('%024x', $_[0]) }; }

sub insert
{
	my ($collection, @documents) = @_;
	return $mongo->command('shop', qq({"insert": "$collection", "documents": ) . encode_json(\@documents) . '}');
}

sub order
{
	my ($n) = @_;
	return { _id => $n, user => user_id(1 + int(rand(40))), total => int(rand(1000)) / 4, known => 'to no plan',
		items => [ map { { sku => "s$_", count => int(rand(9)), parts => [ map { { n => $_ } } 1 .. rand(3) ] } } 0 .. rand(4) ] };
}

sub status { return query("SELECT $_[0] FROM mongo_migrate.sync_status WHERE server = 'shop'"); }

sub state_becomes
{
	my ($state) = @_;
	return ok($node->poll_query_until('postgres', "SELECT state = '$state' FROM mongo_migrate.sync_status WHERE server = 'shop'"), "the sync is $state")
	  || diag(status('*'));
}

sub written
{
	my ($what) = @_;
	return ok($node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM mongo_migrate.row_change)'), "$what: all is written")
	  || diag(status('*'), "\n", query('SELECT * FROM mongo_migrate.row_change'));
}

sub differences
{
	return query("SELECT f.* FROM unnest(ARRAY['users', 'orders']) AS c, mongo_migrate.verify_full('shop', c) AS f WHERE f.kind <> 'orphan'");
}

# Some random transactions of an application; one in ten is rolled back.
sub write_some
{
	my ($count) = @_;
	my $new = 'SELECT max(id) + 1 FROM orders';
	my $some = "SELECT id FROM orders ORDER BY md5(id::text || '%d') LIMIT 1";
	my @kinds = (
		"UPDATE orders SET total = %d WHERE id = ($some)",
		"UPDATE users SET name = 'user %d' WHERE id = (SELECT id FROM users ORDER BY md5(id::text || '%d') LIMIT 1)",
		"UPDATE orders_items SET count = %d WHERE order_id = ($some)",
		"INSERT INTO users (name) VALUES ('new %d')",
		"INSERT INTO orders (id, user_id, total) SELECT ($new), max(id), %d FROM users; INSERT INTO orders_items (order_id, position, sku, count) SELECT max(id), n, 'n', n FROM orders, generate_series(0, 2) AS n GROUP BY n",
		"DELETE FROM orders_items_parts WHERE (order_id, item_position) = ANY (SELECT order_id, min(position) FROM orders_items WHERE order_id = ($some) GROUP BY 1);"
		  . " DELETE FROM orders_items AS i WHERE order_id = ($some) AND NOT EXISTS (SELECT FROM orders_items_parts AS p WHERE (p.order_id, p.item_position) = (i.order_id, i.position))",
		"INSERT INTO orders_items (order_id, position, sku, count) SELECT id, 100 + %d, 'late', 1 FROM orders WHERE id = ($some) ON CONFLICT DO NOTHING",
		"INSERT INTO orders_items_parts (order_id, item_position, position, n) SELECT order_id, max(position), 200 + %d, 7 FROM orders_items WHERE order_id = ($some) GROUP BY 1 ON CONFLICT DO NOTHING",
		"WITH o AS ($some), p AS (DELETE FROM orders_items_parts WHERE order_id IN (SELECT id FROM o)) DELETE FROM orders_items WHERE order_id IN (SELECT id FROM o);"
		  . ' DELETE FROM orders AS o WHERE NOT EXISTS (SELECT FROM orders_items AS i WHERE i.order_id = o.id)',
		"UPDATE orders SET user_id = (SELECT id FROM users ORDER BY md5(id::text || '%d') LIMIT 1) WHERE id = ($some)",
		'DELETE FROM users AS u WHERE id = (SELECT id FROM users AS u WHERE NOT EXISTS (SELECT FROM orders AS o WHERE o.user_id = u.id) ORDER BY id LIMIT 1)');
	my $script = '';
	foreach (1 .. $count)
	{
		my $statement = $kinds[ int(rand(@kinds)) ];
		$statement =~ s/%d/int(rand(90))/ge;
		$script .= "BEGIN; $statement; " . (rand(10) < 1 ? 'ROLLBACK' : 'COMMIT') . ";\n";
	}
	query($script);
	return;
}

insert('users', map { { _id => user_id($_), name => "user $_", secret => $_ } } 1 .. 40);
insert('orders', map { order($_) } 1 .. 200);
query("SELECT mongo_migrate.start_sync('shop')");
query("SELECT mongo_migrate.plan_collection('shop', c) FROM unnest(ARRAY['users', 'orders']) AS c");
query("DELETE FROM mongo_migrate.plan_column WHERE column_name IN ('known', 'secret')");
query('SELECT count(*) FROM mongo_migrate.migrate_all(\'shop\')');

# The application still writes when all that was written before has come; others write more than is followed at a time.
my $step = PsqlSession->new($node);
$step->ask("BEGIN; SELECT pg_advisory_xact_lock_shared(mongo_migrate.sync_step_lock('shop'))");
my $early = PsqlSession->new($node);
$early->send("SELECT mongo_migrate.cutover('shop')");
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"), 'cutover and sync wait');
insert('logs', map { { _id => $_ } } 1 .. 10500);
$mongo->command('shop', '{"update": "users", "updates": [{"q": {}, "u": {"$inc": {"secret": 1}}}]}');
$step->ask('COMMIT');
like(($early->result)[1], qr/are still being written to: users/, 'no cutover while the source is written to');
is(query('SELECT count(*) FROM pg_trigger WHERE tgname ~ \'mongo_migrate\''), '0', 'and nothing is left of it');
query("BEGIN; SELECT mongo_migrate.cutover('shop'); ROLLBACK");
is(status('cut_over_at'), '', 'a cutover can be rolled back like anything else');
query("SELECT mongo_migrate.cutover('shop')");
is(differences(), '', 'documents and rows are the same');
like(failure("SELECT mongo_migrate.migrate_all('shop')"), qr/^psql:\S+ ERROR:  server "shop" is cut over: the rows are right, and the documents follow them$/m,
	'nothing is migrated any more');
query('CREATE SCHEMA app; ALTER TABLE users SET SCHEMA app');
like(failure("SELECT * FROM mongo_migrate.verify_full('shop', 'users')"), qr/does not exist\nHINT:  If it has another name now: UPDATE mongo_migrate.plan_target SET target = '...'/,
	'of a table that has another name, no verification says that it should be');
query('ALTER TABLE app.users SET SCHEMA public');
like(failure("SET default_transaction_isolation = 'serializable'; SELECT mongo_migrate.rollback_cutover('shop')"),
	qr/READ COMMITTED transactions only\n.*\nHINT:  SET default_transaction_isolation = 'read committed';/, 'how to go back is told where the setting is another');

# Random transactions.
write_some(100);
written('random transactions');
is(differences(), '', 'the documents are as the rows');
cmp_ok($mongo->command('shop', '{"count": "orders", "query": {"known": "to no plan"}}')->{n}, '>', 100, 'fields that the plan does not know are still there');
query("INSERT INTO users (name) SELECT 'many ' || n FROM generate_series(1, 5000) AS n");
written('many rows');
is(differences(), '', 'of which all are there');
query("UPDATE users SET name = name || '!'; DELETE FROM users WHERE name ~ '^many'");
written('many documents');
is(differences(), '', 'changed and deleted');

# A transaction that has not ended is not written; a prepared one is when it does.
query("BEGIN; UPDATE users SET name = 'prepared' WHERE id = (SELECT min(id) FROM users); PREPARE TRANSACTION 'p'");
is(status('pending'), '0', 'a prepared transaction is not noted yet');
like(failure("SELECT mongo_migrate.rollback_cutover('shop', timeout => '1 second')"), qr/transactions that have written to table public.users do not end\n.*prepared transaction 'p'/, 'there is no way back before it ends');
query("COMMIT PREPARED 'p'");
written('a prepared transaction');
is(differences(), '', 'the documents are as the rows');

# Killed at random places: the worker, and the cluster with it; the server; MongoDB.
foreach my $round (1 .. ($ENV{MM_KILLS} // 1))
{
	state_becomes('running');
	write_some(int(rand(30)));
	my $pid = status('pid');
	kill 'KILL', $pid;
	ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = $pid)"), 'after a crash');
	write_some(30);
	written("after crash $round");
	write_some(int(rand(30)));
	$node->stop('immediate');
	$node->start;
	write_some(30);
	state_becomes('lost');
	query("SELECT mongo_migrate.start_sync('shop')");
	written("after restart $round");
	write_some(int(rand(30)));
	$mongo->kill9;
	write_some(30);
	ok($node->poll_query_until('postgres', 'SELECT error IS NOT NULL FROM mongo_migrate.sync_status'), 'the status says that MongoDB is gone');
	$mongo->start;
	written("after MongoDB's end $round");
	ok($node->poll_query_until('postgres', 'SELECT error IS NULL FROM mongo_migrate.sync_status'), 'and that it is there again');
	is(differences(), '', "the documents are as the rows, round $round");
}
is(query("SELECT count(*) FROM mongo_migrate.find_documents('shop', 'users')"), query('SELECT count(*) FROM users'), 'no new row was written twice');

# Nor where commits do not wait for the disk.
query("SELECT mongo_migrate.stop_sync('shop'); ALTER DATABASE postgres SET synchronous_commit = off");
state_becomes('stopped');
query("SELECT mongo_migrate.start_sync('shop')");
query("INSERT INTO users (name) VALUES ('before')");
written('what has whole pages written to the log');
query("SET synchronous_commit = on; INSERT INTO users (name) VALUES ('once')");
my $once = q({"count": "users", "query": {"name": "once"}});
foreach (1 .. 1800)
{
	last if $mongo->command('shop', $once)->{n} > 0;
	usleep(100_000);
}
$node->stop('immediate');
$node->start;
query("SELECT mongo_migrate.start_sync('shop')");
written('after a crash that has lost commits');
is($mongo->command('shop', $once)->{n}, 1, 'a new document is written once');
query("SELECT mongo_migrate.stop_sync('shop'); ALTER DATABASE postgres RESET synchronous_commit");
state_becomes('stopped');
query("SELECT mongo_migrate.start_sync('shop')");

# A dump has the notes, the position and the triggers.
query("SELECT mongo_migrate.stop_sync('shop')");
state_becomes('stopped');
write_some(20);
my $notes = query('SELECT count(*) FROM mongo_migrate.row_change');
my $dump = "$PostgreSQL::Test::Utils::tmp_check/dump.sql";
$node->command_ok([ 'pg_dump', '-f', $dump, $node->connstr('postgres') ], 'a dump');
query('CREATE DATABASE restored');
$node->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $node->connstr('restored') ], 'is restored');
is($node->safe_psql('restored', 'SELECT count(*) FROM mongo_migrate.row_change'), $notes, 'with the notes');
is($node->safe_psql('restored', 'SELECT state, cut_over_at IS NOT NULL FROM mongo_migrate.sync_status'), 'stopped|t', 'cut over, and stopped');
$node->safe_psql('restored', 'UPDATE users SET name = name');
is($node->safe_psql('restored', "SELECT count(*) > $notes FROM mongo_migrate.row_change"), 't', 'and its triggers note');
query('DROP DATABASE restored');
query("SELECT mongo_migrate.start_sync('shop')");
written('the rest');

# Back, and the rows follow again; an application that still writes waits for it.
query("SELECT mongo_migrate.rollback_cutover('shop')");
insert('users', { _id => user_id(900), name => 'back' });
ok($node->poll_query_until('postgres', 'SELECT EXISTS (SELECT FROM users WHERE name = \'back\')'), 'the rows follow again');
query("SELECT count(*) FROM mongo_migrate.verify_full('shop', 'orders')");
query("SELECT mongo_migrate.repair('shop', 'orders')");
is(differences(), '', 'a repair takes the gaps between positions away');
query("SELECT mongo_migrate.cutover('shop')");
write_some(50);
written('the last');
is(differences(), '', 'to the end');

# What belongs to a plan that is gone waits, and that is told.
query("UPDATE mongo_migrate.plan SET collection = 'gone' WHERE collection = 'users'; UPDATE users SET name = 'waits' WHERE id = (SELECT min(id) FROM users)");
ok($node->poll_query_until('postgres', "SELECT error LIKE 'users: collection \"users\" % no plan%' FROM mongo_migrate.sync_status"), 'a plan is gone')
  || diag(query('SELECT * FROM mongo_migrate.sync_status'));
query("UPDATE mongo_migrate.plan SET collection = 'users' WHERE collection = 'gone'");
written('what waited for a plan');
is(differences(), '', 'is in its document');

# TRUNCATE takes rows that are newer than what its transaction sees.
my $older = PsqlSession->new($node);
$older->ask('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM users');
query("INSERT INTO orders (id, user_id, total) SELECT 90000, max(id), 1 FROM users; INSERT INTO orders_items (order_id, position, sku, count) VALUES (90000, 0, 'new', 1);"
	  . ' INSERT INTO orders_items_parts (order_id, item_position, position, n) VALUES (90000, 0, 0, 1)');
written('new rows');
is(($older->ask('TRUNCATE orders_items_parts; COMMIT'))[1], '', 'an older transaction truncates their table');
written('the truncated table');
is(differences(), '', 'and none of them is left in a document');
write_some(10);

# An application that goes on: it reads tables and writes to them, in another order than theirs.
query('CREATE TABLE no_more_writes ()');
my @applications = map { PsqlSession->new($node) } 1 .. 3;
$_->send(q(DO $$ BEGIN LOOP
    PERFORM FROM users LIMIT 1;
    PERFORM FROM orders LIMIT 1;
    UPDATE orders_items SET count = count + 1 WHERE (order_id, position) IN (SELECT order_id, position FROM orders_items ORDER BY 1, 2 LIMIT 1);
    UPDATE orders SET total = total + 1 WHERE id = 2;
    UPDATE users SET name = 'live' WHERE id = (SELECT max(id) FROM users);
    EXIT WHEN EXISTS (SELECT FROM no_more_writes);
    COMMIT;
    END LOOP; END $$)) foreach @applications;
ok($node->poll_query_until('postgres', 'SELECT EXISTS (SELECT FROM mongo_migrate.row_change)'), 'an application writes');
query("SELECT mongo_migrate.finalize('shop')");
ok($node->poll_query_until('postgres', 'SELECT NOT EXISTS (SELECT FROM pg_trigger WHERE tgname ~ \'mongo_migrate\')'), 'the triggers go while it does');
query('INSERT INTO no_more_writes DEFAULT VALUES');
is(join('', map { ($_->result)[1] } @applications), '', 'and it has no errors');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mongo_migrate sync'"), 'the worker ends');
write_some(20);
is(query('SELECT count(*) FROM mongo_migrate.row_change'), '0', 'and nothing is noted any more');
query('DROP EXTENSION mongo_migrate CASCADE');
query("INSERT INTO users (name) VALUES ('on its own')");

done_testing();

# What changes while a migration runs: tables that are altered or dropped under it, and documents that are inserted, changed
# and deleted in the source.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use IPC::Run;
use JSON::PP qw(decode_json);
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PsqlSession;
use Statement;
use Test::More;

my $documents = 51000;    # more than one range of _id
my $limit = 2 * $documents;
my $mongo = MongoServer->new;

# The even numbers; the odd ones are left for those who come later. A document has version % 3 items.
sub fill
{
	$mongo->generate('shop', 'orders', [ 0, $limit, 2 ], '{"_id": "$n", "n": 1, "version": {"$literal": 1}, "items": [{"sku": "a"}]}');
	return;
}
fill();

my $node = PostgreSQL::Test::Cluster->new('changes');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nmax_prepared_transactions = 1
# Or a slow machine has messages before the errors.
mongo_migrate.progress_interval = 0");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mongo_migrate; CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate'
	  . " OPTIONS (uri '" . $mongo->uri . "', database 'shop')");
sub query { return $node->safe_psql('postgres', $_[0]); }
query("SELECT mongo_migrate.plan_collection('shop', 'orders')");

# Empty tables, and nothing migrated.
sub begin_anew
{
	query('DROP TABLE IF EXISTS orders_items, orders');
	query("SELECT mongo_migrate.reset_collection('shop', 'orders')");
	return query("SELECT mongo_migrate.apply_ddl('shop', 'orders')");
}

# No second batch of a range is committed while a session of the test holds the lock.
query('CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS '
	  . q('BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(1); RETURN new; END'));
query('CREATE TRIGGER hold BEFORE UPDATE ON mongo_migrate.chunk FOR EACH ROW WHEN (new.documents > 100) EXECUTE FUNCTION hold()');

my $call = "SELECT complete FROM mongo_migrate.migrate_collection('shop', 'orders', batch_size => 100, workers => 2)";

# Migrates, and has a statement done when both workers have committed batches and wait for the table that it locks; then
# $meanwhile runs, and then it is committed. Returns what the migration prints.
sub migrate_while
{
	my ($statement, $meanwhile) = @_;
	begin_anew();
	my ($gate, $holder) = map { PsqlSession->new($node) } 1 .. 2;
	$gate->ask('SELECT pg_advisory_lock(1)');
	my $session = Statement->new($node, $call);
	my $workers = "SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'mongo_migrate worker' AND wait_event_type = 'Lock'";
	$node->poll_query_until('postgres', "$workers AND wait_event = 'advisory'") or die 'no two workers with a batch';
	$holder->send("BEGIN; LOCK TABLE orders IN ACCESS EXCLUSIVE MODE; $statement");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE relation = 'orders'::regclass AND NOT granted")
	  or die 'the lock does not wait';
	$gate->finish;
	$holder->result;
	$node->poll_query_until('postgres', "$workers AND wait_event = 'relation'") or die 'no two workers that wait';
	$meanwhile->();
	$holder->ask('COMMIT');
	$holder->finish;
	return $session->finish;
}

my $counts = 'SELECT count(*), count(DISTINCT id), count(DISTINCT n), (SELECT count(*) FROM orders_items) FROM orders';
my $all = join '|', ($documents) x 4;
my $state = "SELECT state, phase FROM mongo_migrate.progress WHERE collection = 'orders'";

# The tables are changed.
like(migrate_while('ALTER TABLE orders ADD COLUMN remark text', sub { }), qr/^t$/m, 'a column more keeps nothing from its end');
is(query($counts), $all, 'every document once');

like(migrate_while('ALTER TABLE orders RENAME COLUMN n TO m', sub { }),
	qr/^ERROR:  42703: migration of collection orders stopped: table public\.orders has no column "n".*\nDETAIL:  \d+ documents in \d+ batches are committed\.\nHINT:  Add it: .*\nCall migrate_collection again/s,
	'a column that is gone is an error');
is(query($state), 'failed|copy', 'the run has failed');
query('ALTER TABLE orders RENAME COLUMN m TO n');
is(query($call), 't', 'with the column it goes on');
is(query($counts), $all, 'every document once');

like(migrate_while('ALTER TABLE orders ALTER COLUMN n TYPE bigint', sub { }),
	qr/^ERROR:  42804: .*column "n" of table public\.orders is of type bigint, and the plan says integer\n/, 'a type that is not the plan\'s is an error');
query("UPDATE mongo_migrate.plan_column SET type = 'bigint' WHERE target = 'public.orders' AND column_name = 'n'");
is(query($call), 't', 'with the plan mended it goes on');
is(query($counts), $all, 'every document once');

like(migrate_while('DROP TABLE orders_items', sub { }), qr/^ERROR:  42P01: .*table public\.orders_items, .*, does not exist\n/, 'a table that is gone is an error');
my (undef, undef, $error) = $node->psql('postgres', $call);
like($error, qr/ERROR:  table public\.orders_items does not exist, and documents of collection "orders" were migrated/, 'which no empty table mends');
like($error, qr/HINT:  If it has another name now: UPDATE mongo_migrate\.plan_target SET target = .* To migrate them anew: SELECT mongo_migrate\.reset_collection\('shop', 'orders', truncate => true\)/, 'but its name, or a reset');
query("SELECT mongo_migrate.reset_collection('shop', 'orders', truncate => true)");
is(query($call), 't', 'begun anew');
is(query($counts), $all, 'every document once');

# Tables that are emptied meanwhile: the rest would be taken for all, by the next call too.
my $empty = qr/ERROR:  (?:55000: )?(?:migration of collection orders stopped: )?table (\S+) is empty, and documents of collection orders were copied into it\n.*HINT:  To copy them anew: SELECT mongo_migrate\.reset_collection\('shop', 'orders', truncate => true\);/ms;
foreach my $tables ('orders, orders_items', 'orders_items')
{
	like(migrate_while("TRUNCATE $tables", sub { }), $empty, "TRUNCATE $tables is an error");
	(undef, undef, $error) = $node->psql('postgres', $call);
	like($error, $empty, 'and stays one');
}
# Here a call ends by a key, when all is copied.
query("SELECT mongo_migrate.reset_collection('shop', 'orders', truncate => true)");
query("UPDATE mongo_migrate.plan_column SET is_unique = true WHERE target = 'public.orders' AND column_name = 'version'");
(undef, undef, $error) = $node->psql('postgres', $call);
like($error, qr/Key \(version\)=\(1\) is duplicated/, 'a key that cannot be made');
query('TRUNCATE orders, orders_items');
(undef, undef, $error) = $node->psql('postgres', $call);
like($error, $empty, 'a table that was emptied because of it');
query("UPDATE mongo_migrate.plan_column SET is_unique = false WHERE target = 'public.orders' AND column_name = 'version'");
like(migrate_while('CREATE INDEX by_id ON orders (id); CLUSTER orders USING by_id', sub { }), qr/^t$/m, 'a table that is written anew is no matter');
is(query($counts), $all, 'every document once');
query('DROP INDEX by_id');

# A table that was emptied when not all was done: what was copied would be missing.
like(migrate_while('DROP TABLE orders CASCADE', sub { }), qr/^ERROR:  42P01: /, 'the table of the documents themselves');
query('CREATE TABLE orders (id bigint NOT NULL, n bigint, version integer)');
(undef, undef, $error) = $node->psql('postgres', $call);
like($error, $empty, 'is not taken for the one that has them');

# Another session wants a lock that the caller has, and the workers wait behind it.
my $other;
like(migrate_while('SELECT', sub {
		$other = Statement->new($node, 'VACUUM FULL mongo_migrate.chunk');
		$node->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE query LIKE 'VACUUM FULL %' AND wait_event_type = 'Lock'") or die;
	}),
	qr/^ERROR:  40P01: migration of collection orders stopped: background worker \d waits for process \d+, which waits for a lock that this transaction holds\n.*HINT:  Let what process \d+ does end first\.\nCall migrate_collection again/s,
	'a circle of locks by way of another session is an error');
is($other->finish, '', 'and lets that session go on');
is(query($call), 't', 'and the next call as well');
is(query($counts), $all, 'every document once');

# The source is changed at known places. What is behind the workers is for the next call; what is ahead of them is as they find it.
my ($deleted, $changed, $new) = ($limit - 4, $limit - 2, $limit - 1);
like(migrate_while('SELECT', sub {
		$mongo->command('shop', $_) foreach
		  qq({"insert": "orders", "documents": [{"_id": -1, "n": -1, "version": 1, "items": [{"sku": "a"}]}, {"_id": 1, "n": 1, "version": 1, "items": [{"sku": "a"}]}]}),
		  qq({"insert": "orders", "documents": [{"_id": $new, "n": $new, "version": 1, "items": [{"sku": "a"}]}, {"_id": $limit, "n": $limit, "version": 1, "items": [{"sku": "a"}]}]}),
		  qq({"update": "orders", "updates": [{"q": {"_id": {"\$in": [0, $changed]}}, "u": {"\$set": {"version": 2, "items": [{"sku": "a"}, {"sku": "b"}]}}, "multi": true}]}),
		  qq({"delete": "orders", "deletes": [{"q": {"_id": {"\$in": [2, $deleted]}}, "limit": 0}]});
	}),
	qr/^t$/m, 'a source that is written to is migrated to its end');
is(query('SELECT count(*), count(DISTINCT id), count(DISTINCT n) FROM orders'), join('|', ($documents + 1) x 3), 'every document once');
is(query("SELECT n, version, (SELECT count(*) FROM orders_items i WHERE i.order_id = o.id) FROM orders o WHERE n < 4 OR n > $limit - 5 ORDER BY n"),
	join("\n", '0|1|1', '2|1|1', "$changed|2|2", "$new|1|1", "$limit|1|1"),
	'what was behind is as it was, what was ahead as it is');
is(query($call =~ s/complete/inserted, skipped, complete/r), "2|$documents|t", 'the next call adds what came later');
is(query('SELECT count(*), count(DISTINCT id), count(DISTINCT n) FROM orders'), join('|', ($documents + 3) x 3), 'every document once');

# A batch that was prepared and then rolled back has given no ids.
$mongo->command('shop', '{"insert": "users", "documents": [{"_id": "one-1", "n": 1}, {"_id": "two-2", "n": 2}, {"_id": "three-3", "n": 3}]}');
$mongo->command('shop', '{"insert": "payments", "documents": [{"_id": 1, "user": "three-3"}, {"_id": 2, "user": "two-2"}, {"_id": 3, "user": "one-1"}]}');
query("SELECT mongo_migrate.plan_collection('shop', c) FROM unnest('{payments,users}'::text[]) AS c");
query("SELECT mongo_migrate.prepare_run('shop', 'payments', 1000, 0, 'quarantine', NULL, NULL)");
my $batch = "SELECT documents FROM mongo_migrate.copy_batch('shop', 'payments', 1, 2)";
is(query("BEGIN;\n$batch;\nPREPARE TRANSACTION 'batch';\nROLLBACK PREPARED 'batch';\n$batch;"), "2\n2", 'a prepared batch is rolled back, and copied by the same session');
query("SELECT mongo_migrate.migrate_collection('shop', c) FROM unnest('{users,payments}'::text[]) AS c");
is(query('SELECT p.id, u.n FROM payments p LEFT JOIN users u ON u.id = p.user_id ORDER BY 1'), "1|3\n2|2\n3|1", 'with the ids that the documents get');

# A transaction that was prepared keeps its locks.
query("BEGIN; SELECT mongo_migrate.migrate_collection('shop', 'users'); PREPARE TRANSACTION 'migrated'");
(undef, undef, $error) = $node->psql('postgres', "SELECT mongo_migrate.migrate_collection('shop', 'users')");
like($error, qr/another session\nDETAIL:  The process of that session is gone: its transaction is prepared/, 'a prepared transaction keeps the lock');
query("COMMIT PREPARED 'migrated'");

# The source is changed everywhere, all the time.
fill();
begin_anew();
my ($input, $churned) = ('', '');
my $churn = IPC::Run::start([ '/usr/bin/python3', "$FindBin::RealBin/../lib/mongo.py", 'churn', $mongo->admin_uri, 'shop', 'orders', $limit ],
	'<', \$input, '>', \$churned, IPC::Run::timeout(600));
$churn->pump until $churned =~ /begun/;
my $session = Statement->new($node, $call);
like($session->finish, qr/^t$/m, 'a source that is never still is migrated to its end');
$input = "\n";
$churn->finish;
my $did = decode_json($churned =~ /(\{.*\})/);
cmp_ok($did->{$_}, '>', 0, "$did->{$_} $_ meanwhile") foreach qw(inserted changed deleted);
is(query('SELECT count(*) - count(DISTINCT id), count(*) - count(DISTINCT n) FROM orders'), '0|0', 'no document twice');
is(query("SELECT count(*) FROM generate_series(0, $limit - 1, 2) n WHERE n % 10 <> 0 AND n NOT IN (SELECT n FROM orders)"), 0,
	'none is missing that was there all the time');
my $torn = 'SELECT count(*) FROM orders o WHERE version % 3 <> (SELECT count(*) FROM orders_items i WHERE i.order_id = o.id)';
is(query($torn), 0, 'each has the child rows of its version');
is(query($call), 't', 'the next call');
query("CREATE FOREIGN TABLE source (n integer) SERVER shop OPTIONS (collection 'orders')");
is(query('SELECT count(*) FROM source WHERE n NOT IN (SELECT n FROM orders)'), 0, 'adds what came later');
is(query('SELECT count(*) - count(DISTINCT id), count(*) - count(DISTINCT n) FROM orders'), '0|0', 'no document twice');
is(query($torn), 0, 'each has the child rows of its version');

$node->stop;
done_testing();

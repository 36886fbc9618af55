# Targets that Citus distributes, and reference tables: every document once, on its shard, also where a process or a node is
# killed in the middle. Needs Citus in the PostgreSQL under test, and is skipped without.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use CitusCluster;
use MongoServer;
use PsqlSession;
use Statement;
use Test::More;

CitusCluster::needed();

my $orders = 12000;
my $mongo = MongoServer->new;

$mongo->generate('shop', 'users', [ 0, 100 ], '{"_id": {"$concat": ["u", {"$toString": "$n"}]}, "n": 1}');
$mongo->generate('shop', 'orders', [ 0, $orders ], '{"_id": {"$concat": ["o", {"$toString": "$n"}]}, "n": 1,'
	  . ' "user": {"$concat": ["u", {"$toString": {"$mod": ["$n", 100]}}]}, "items": {"$map": {"input": {"$range": [0, {"$mod": ["$n", 3]}]},'
	  . ' "as": "i", "in": {"sku": {"$concat": ["s", {"$toString": "$$i"}]}, "price": {"$add": ["$n", 0.5]}}}}}');

my $citus = CitusCluster->new($mongo->uri);
my %node = %$citus;
my $node = $node{coordinator};
sub query { return $citus->query($_[0]); }

query("SELECT mongo_migrate.plan_collection('shop', 'users', reference_table => true)");
query("SELECT mongo_migrate.plan_collection('shop', 'orders', distribute_by => '_id')");
is(query("SELECT * FROM mongo_migrate.apply_ddl('shop')"),
	"public.orders|created, distributed\npublic.orders_items|created, distributed\npublic.users|created, distributed", 'apply_ddl');
is(query("SELECT logicalrelid, partmethod, column_to_column_name(logicalrelid, partkey), dense_rank() OVER (ORDER BY colocationid)"
	  . " FROM pg_dist_partition ORDER BY logicalrelid::text COLLATE \"C\""),
	"orders|h|id|1\norders_items|h|order_id|1\nusers|n||2", 'tables as planned, a child beside its parent');

# Rows of the coordinator's own tables, which Citus never reads: there must be none.
sub astray
{
	return query("SELECT sum(pg_relation_size(t)) FROM unnest(ARRAY['users', 'orders', 'orders_items']::regclass[]) AS t");
}

my $counts = 'SELECT (SELECT count(*) FROM orders), (SELECT count(DISTINCT id) FROM orders),'
  . ' (SELECT count(*) FROM orders_items), (SELECT count(*) FROM users)';
my $call = "SELECT complete FROM mongo_migrate.migrate_collection('shop', 'orders', batch_size => 100, retry_for => '0')";
is(query("SELECT inserted, complete FROM mongo_migrate.migrate_collection('shop', 'users')"), '100|t', 'a reference table');

# Killed in the middle, three times: a process of the migration, a node with shards, the coordinator. The last documents wait for
# that.
query('CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS '
	  . q('BEGIN PERFORM pg_catalog.pg_advisory_xact_lock_shared(1); RETURN new; END'));
query("CREATE TRIGGER hold BEFORE UPDATE ON mongo_migrate.chunk FOR EACH ROW WHEN (new.documents > $orders - 100) EXECUTE FUNCTION hold()");
my %kill = (
	'a background worker' => sub {
		query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type LIKE 'mongo_migrate%'");
	},
	'a Citus worker node' => sub { $node{worker1}->stop('immediate'); },
	'the coordinator' => sub { $node->stop('immediate'); },
);
foreach my $victim (sort keys %kill)
{
	my $before = query('SELECT coalesce(sum(documents), 0) FROM mongo_migrate.chunk');
	my $holder = PsqlSession->new($node);
	$holder->ask('SELECT pg_advisory_lock(1)');
	my $migration = Statement->new($node, $call);
	$node->poll_query_until('postgres', "SELECT sum(documents) > $before + 500 OR (SELECT count(*) > 0 FROM pg_stat_activity"
		  . " WHERE backend_type LIKE 'mongo_migrate%' AND wait_event = 'advisory') FROM mongo_migrate.chunk") or die 'no progress';
	$kill{$victim}->();
	$holder->finish;
	$migration->finish;
	isnt($migration->err, '', "$victim: the migration ended with an error");
	foreach my $name (qw(worker1 coordinator))
	{
		$node{$name}->start if !defined $node{$name}->{_pid};
	}
	# What was prepared on a node when the other side went is committed or rolled back.
	query('SELECT recover_prepared_transactions()');
	cmp_ok(query('SELECT count(*) FROM orders'), '==', query('SELECT sum(inserted) FROM mongo_migrate.chunk WHERE collection = \'orders\''),
		"$victim: the rows are those of the checkpoint");
}
is(query($call), 't', 'called again, it ends');
is(query($counts), join('|', $orders, $orders, $orders, 100), 'every document and every element once');
is(astray(), 0, 'and none on the coordinator beside the shards');

is(query("SELECT count(*), bool_and(ok) FROM mongo_migrate.verify_counts('shop')"), '3|t', 'verify_counts');
is(query("SELECT count(*) FROM mongo_migrate.verify_full('shop', 'orders')"), 0, 'verify_full');
is(query("SELECT count(*) FROM mongo_migrate.verify_full('shop', 'users')"), 0, 'verify_full of a reference table');
is(query("SELECT count(*) FROM mongo_migrate.verify_sample('shop', 'orders', sample_size => 200)"), 0, 'verify_sample');
query("UPDATE orders_items SET price = price + 1 WHERE order_id = (SELECT min(order_id) FROM orders_items) AND position = 0");
query("DELETE FROM orders WHERE id = (SELECT max(id) FROM orders WHERE n % 3 = 0)");
is(query("SELECT target, kind, count(*) FROM mongo_migrate.verify_full('shop', 'orders') WHERE source_id IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2"),
	"public.orders|missing|1\npublic.orders_items|mismatch|1", 'a verification finds what differs');
is(query("SELECT inserted, skipped, complete FROM mongo_migrate.migrate_collection('shop', 'orders')"),
	'1|' . ($orders - 1) . '|t', 'a catch-up pass inserts what is missing');

# A node that goes away is an I/O or an internal error to Citus: it is tried again as a lost connection is.
query('CREATE SEQUENCE tries');
query(q{CREATE FUNCTION copy_to_a_lost_node() RETURNS void LANGUAGE plpgsql AS $$
BEGIN
	IF nextval('public.tries') < 2 THEN
		RAISE io_error USING MESSAGE = 'failed to COPY to shard 1';
	ELSIF currval('public.tries') < 3 THEN
		RAISE internal_error USING MESSAGE = 'server closed the connection unexpectedly';
	ELSIF currval('public.tries') < 4 THEN
		RAISE internal_error USING MESSAGE = 'something else';
	END IF;
END $$});
my (undef, undef, $tried) = $node->psql('postgres',
	q{SELECT mongo_migrate.run_patiently('shop', 'orders', ARRAY['SELECT public.copy_to_a_lost_node()'], NULL, '1 minute')});
like($tried, qr/ERROR:  something else/, 'no other error is');
is(query('SELECT last_value FROM tries'), 3, 'what a lost node gives is tried again');

done_testing();

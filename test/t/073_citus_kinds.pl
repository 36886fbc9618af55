# Tables of every kind that Citus has, and tables of the coordinator, that refer to each other: what check_plan() accepts is
# migrated, and what it refuses is mended by its hint. Schemas that Citus distributes. MM_PAIRS: how many of the 25 pairs of kinds.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use CitusCluster;
use List::Util qw(shuffle);
use MongoServer;
use Test::More;

CitusCluster::needed();
my $mongo = MongoServer->new;
my $citus = CitusCluster->new($mongo->uri);
sub query { return $citus->query($_[0]); }

srand(my $seed = $ENV{MM_SEED} // int(rand(1e6)));
note("MM_SEED=$seed");

# Of 53 users that orders refer to by _id, 3 are missing; of 52 by email, 2.
$mongo->generate('shop', 'users', [ 0, 50 ], '{"_id": {"$concat": ["u", {"$toString": "$n"}]},'
	  . ' "email": {"$concat": ["m", {"$toString": "$n"}]}}');
$mongo->generate('shop', 'orders', [ 0, 200 ], '{"_id": {"$concat": ["o", {"$toString": "$n"}]},'
	  . ' "user": {"$concat": ["u", {"$toString": {"$mod": ["$n", 53]}}]}, "payer": {"$concat": ["m", {"$toString": {"$mod": ["$n", 52]}}]},'
	  . ' "items": [{"a": 1}]}');
my $dangling = scalar grep { $_ % 53 >= 50 } 0 .. 199;
my $unpaid = scalar grep { $_ % 52 >= 50 } 0 .. 199;

my %plan = (
	'the coordinator' => '',
	'known to Citus' => '',
	'one node' => '',
	'reference' => ', reference_table => true',
	'distributed' => q(, distribute_by => '_id'));

sub plan_as
{
	my ($collection, $kind) = @_;
	query("SELECT mongo_migrate.plan_collection('shop', '$collection'$plan{$kind})");
	query("INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, refers_to, refers_key)"
		  . " VALUES ('shop', 'orders', 'public.orders', 'payer_id', 20, 'reference', 'payer', 'bigint', 'users', 'email')") if $collection eq 'orders';
	if ($kind eq 'one node' || $kind eq 'known to Citus')
	{
		my ($first, @others) = $collection eq 'orders' ? qw(orders orders_items) : ($collection);
		query(query("SELECT mongo_migrate.draft_ddl('shop', '$collection', 'tables')"));
		query($kind eq 'one node' ? "SELECT create_distributed_table('$_', NULL, colocate_with => '" . ($_ eq $first ? 'none' : $first) . "')"
			: "SELECT citus_add_local_table_to_metadata('$_')") foreach $first, @others;
	}
	return;
}

my @pairs = ([ 'the coordinator', 'known to Citus' ], shuffle map { my $users = $_; map { [ $users, $_ ] } sort keys %plan } sort keys %plan);
foreach my $pair (@pairs[ 0 .. ($ENV{MM_PAIRS} // 8) - 1 ])
{
	my ($users, $orders) = @$pair;
	my $name = "users: $users, orders: $orders";
	plan_as('users', $users);
	plan_as('orders', $orders);
	my $hints = 0;
	while (my $hint = query("SELECT hint FROM mongo_migrate.check_plan('shop') WHERE severity = 'error' LIMIT 1"))
	{
		die "$name: $hint" if ++$hints > 5;
		query($hint);
	}
	# In one transaction, where what a session has written is to be seen by itself alone.
	my $in_one = "SELECT mongo_migrate.migrate_collection('shop', c, workers => 0) FROM unnest(ARRAY['users', 'orders']) AS c";
	if ("@$pair" eq 'the coordinator known to Citus')
	{
		like($citus->complaint($in_one), qr/orders refers to public.users, which this transaction has written and Citus does not know/, "$name: not in one transaction");
		query("SELECT mongo_migrate.migrate_collection('shop', '$_', workers => 0)") foreach 'users', 'orders';
	}
	else
	{
		query($in_one);
	}
	my $column = query("SELECT included FROM mongo_migrate.plan_column WHERE (target, column_name) = ('public.orders', 'payer_id')");
	is(query("SELECT count(*) FROM orders") . ', ' . ($column eq 't' ? query('SELECT count(payer_id) FROM orders') : 200 - $unpaid), '200, ' . (200 - $unpaid),
		"$name: every reference by a field is looked up");
	my $kept = query("SELECT on_dangling FROM mongo_migrate.plan_column WHERE (target, column_name) = ('public.orders', 'user_id')") eq 'keep';
	is(query('SELECT count(user_id) FROM orders'), $kept ? 200 : 200 - $dangling, "$name: dangling ones are NULL, or kept");
	$mongo->command('shop', '{"update": "orders", "updates": [{"q": {"_id": "o1"}, "u": {"$set": {"payer": "m3"}}}]}');
	is(query("SELECT count(*) > 0 FROM mongo_migrate.verify_full('shop', 'orders') WHERE kind = 'mismatch'"), 't', "$name: a change is found");
	query("SELECT mongo_migrate.repair('shop', 'orders')");
	is(query("SELECT target, kind, count(*) FROM mongo_migrate.verify_full('shop', 'orders') WHERE kind <> 'orphan' GROUP BY 1, 2"), '', "$name: and repaired");
	$mongo->command('shop', '{"update": "orders", "updates": [{"q": {"_id": "o1"}, "u": {"$set": {"payer": "m1"}}}]}');
	query("SELECT mongo_migrate.reset_collection('shop', c, truncate => true) FROM unnest(ARRAY['orders', 'users']) AS c");
	query('DROP TABLE orders_items, orders, users CASCADE; DELETE FROM mongo_migrate.plan');
}

# A document that comes out of quarantine, under a foreign key to a reference table.
plan_as('users', 'reference');
query("SELECT mongo_migrate.plan_collection('shop', 'orders', distribute_by => '_id')");
query("UPDATE mongo_migrate.plan_column SET on_dangling = 'quarantine' WHERE (target, column_name) = ('public.orders', 'user_id')");
query("INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, refers_to)"
	  . " VALUES ('shop', 'orders', 'public.orders', 'seller_id', 20, 'reference', 'seller', 'bigint', 'users')");
query("SELECT mongo_migrate.migrate_all('shop')");
is(query("SELECT count(*) FROM mongo_migrate.quarantine"), $dangling, 'documents without their user are in quarantine');
is(query("SELECT inserted, rejected FROM mongo_migrate.retry_quarantine('shop')"), "0|$dangling", 'and stay there without it');
query("SELECT mongo_migrate.reset_collection('shop', c, truncate => true) FROM unnest(ARRAY['orders', 'users']) AS c");
query('DROP TABLE orders_items, orders, users CASCADE; DELETE FROM mongo_migrate.plan');

# Tables that exist: a child table has the column by which its parent is distributed, or it lies elsewhere, and the hint mends that.
my @existing = (
	[ "SELECT create_distributed_table('orders', 'user'), create_distributed_table('orders_items', 'place')", 0 ],
	[ "SELECT create_distributed_table('orders', 'id'), create_distributed_table('orders_items', 'order_id', colocate_with => 'none')", 1 ],
	[ "SELECT create_distributed_table('orders', 'id'), create_distributed_table('orders_items', 'position')", 1 ],
	[ "SELECT create_distributed_table('orders', 'id')", 1 ],
	[ "SELECT create_reference_table('orders'), create_distributed_table('orders_items', 'order_id')", 1 ],
	[ "SELECT create_distributed_table('orders_items', 'order_id')", 1 ]);
foreach my $case (@existing)
{
	my ($distribution, $problems) = @$case;
	my $place = $distribution =~ /place/ ? ', place text' : '';
	query('CREATE TABLE orders (id bigint, "user" text NOT NULL, payer text); CREATE TABLE orders_items (order_id bigint, position bigint, a int' . $place . ')');
	query($distribution);
	query("SELECT mongo_migrate.plan_collection('shop', 'orders')");
	my $hint = query("SELECT hint FROM mongo_migrate.check_plan('shop', 'orders') WHERE severity = 'error'");
	is($hint eq '', !$problems, "$distribution: whether it is told");
	query($hint) if $hint;
	is(query("SELECT count(*) FROM mongo_migrate.check_plan('shop', 'orders') WHERE severity = 'error'"), 0, "$distribution: and mended");
	is(query("SELECT inserted, complete FROM mongo_migrate.migrate_collection('shop', 'orders')"), '200|t', "$distribution: migrated");
	query('DELETE FROM orders WHERE id IN (SELECT id FROM orders ORDER BY id LIMIT 3)');
	is(query("SELECT target, kind, count(*) FROM mongo_migrate.verify_full('shop', 'orders') WHERE kind <> 'mismatch' GROUP BY 1, 2 ORDER BY 1, 2"),
		"public.orders|missing|3\npublic.orders_items|extra|3", "$distribution: verified");
	query("SELECT mongo_migrate.reset_collection('shop', 'orders', truncate => true); DROP TABLE orders, orders_items; DELETE FROM mongo_migrate.plan");
}

# A schema that Citus distributes takes tables that are created by hand.
query('SET citus.enable_schema_based_sharding = on; CREATE SCHEMA one; CREATE SCHEMA other');
query("SELECT mongo_migrate.plan_collection('shop', 'users', target => 'one.users'), mongo_migrate.plan_collection('shop', 'orders', target => 'other.orders', distribute_by => '_id')");
is(query("SELECT target, problem FROM mongo_migrate.check_plan('shop') WHERE severity = 'error'"),
	"other.orders|Citus distributes its schema, whose tables lie together, and the plan says otherwise\n"
	  . "other.orders_items|Citus distributes its schema, whose tables lie together, and the plan says otherwise\n"
	  . 'one.users|Citus distributes its schema, and takes only tables that are created there by hand', 'tables of a distributed schema');
query(query("SELECT DISTINCT hint FROM mongo_migrate.check_plan('shop') WHERE target LIKE 'other.%' AND severity = 'error'"));
foreach my $collection (qw(orders users))
{
	is(query("SELECT DISTINCT split_part(hint, ' in psql', 1) FROM mongo_migrate.check_plan('shop', '$collection') WHERE severity = 'error'"),
		"SELECT mongo_migrate.draft_ddl('shop', '$collection', 'tables') \\gexec", "$collection: the remedy");
	query(query("SELECT mongo_migrate.draft_ddl('shop', '$collection', 'tables')"));
}
is(query("SELECT target, problem FROM mongo_migrate.check_plan('shop')"),
	'other.orders|Citus has no foreign key from it to one.users: other.orders and one.users are not co-located', 'created, they do');
query("SELECT mongo_migrate.migrate_all('shop')");
is(query("SELECT conrelid::regclass, confrelid::regclass FROM pg_constraint WHERE contype = 'f' AND conrelid::regclass::text ~ '^o'"),
	'other.orders_items|other.orders', 'migrated, with the keys that there can be');
is(query("SELECT kind, count(*) FROM mongo_migrate.verify_full('shop', 'orders') GROUP BY 1"), "orphan|$dangling", 'verified');
is(query('SELECT count(user_id) FROM other.orders'), 200 - $dangling, 'and settled');

# Child tables that are made for a table which exists, is partitioned, and which Citus has: by a column that is not the id, and whole.
$mongo->generate('shop', 'visits', [ 0, 60 ], '{"_id": "$n", "place": {"$mod": ["$n", 7]}, "at": {"$dateAdd": {"startDate": {"$toDate": 1577836800000}, "unit": "day", "amount": "$n"}},'
	  . ' "items": [{"a": 1, "lots": [{"b": 1}]}]}');
foreach my $distribution (q('place'), 'NULL')
{
	query('CREATE TABLE visits (id integer, place integer, at timestamptz, PRIMARY KEY (id, place, at)) PARTITION BY RANGE (at);'
		  . " CREATE TABLE visits_1 PARTITION OF visits FOR VALUES FROM ('2020-01-01') TO ('2020-01-20'); CREATE TABLE visits_2 PARTITION OF visits FOR VALUES FROM ('2020-01-20') TO ('2021-01-01');"
		  . " SELECT create_distributed_table('visits', $distribution, colocate_with => 'none')");
	query("SELECT mongo_migrate.plan_collection('shop', 'visits'); UPDATE mongo_migrate.plan_target SET included = true, existing = false WHERE collection = 'visits' AND parent IS NOT NULL");
	query("SELECT mongo_migrate.plan_collection('shop', 'visits', replan => true)") foreach 1 .. 2;
	is(query("SELECT count(*) FROM mongo_migrate.plan_column WHERE target = 'public.visits_items' AND role = 'parent'"), $distribution eq 'NULL' ? 1 : 2, "$distribution: once in child tables");
	is(query("SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('shop', 'visits')"), '60|0|t', "$distribution: migrated");
	is(query("SELECT count(DISTINCT colocationid) FROM pg_dist_partition WHERE logicalrelid::text ~ '^visits'"), 1, "$distribution: all lie together");
	is(query("SELECT * FROM mongo_migrate.verify_full('shop', 'visits')"), '', "$distribution: verified");
	$mongo->command('shop', '{"update": "visits", "updates": [{"q": {"_id": {"$lt": 20}}, "u": {"$inc": {"place": 1, "at": 1728000000}}, "multi": true}]}');
	query("SELECT mongo_migrate.repair('shop', 'visits') FROM mongo_migrate.verify_full('shop', 'visits') LIMIT 1");
	is(query("SELECT * FROM mongo_migrate.verify_full('shop', 'visits')"), '', "$distribution: moved to other shards and partitions");
	is(query('SELECT count(*) FROM visits'), 60, "$distribution: and not left behind");
	query("SELECT mongo_migrate.reset_collection('shop', 'visits', truncate => true); DROP TABLE visits_items_lots, visits_items, visits; DELETE FROM mongo_migrate.plan WHERE collection = 'visits'");
}

done_testing();

# Plans for Citus: distributed by another column than the id, with children beside their parents; references that it can
# keep and that it cannot; documents that a node refuses; expressions; all of it in one transaction.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use CitusCluster;
use MongoServer;
use Test::More;

CitusCluster::needed();
my $mongo = MongoServer->new;
my $citus = CitusCluster->new($mongo->uri);
sub query { return $citus->query($_[0]); }

sub migrate
{
	my ($collection, $arguments) = @_;
	return query("SELECT inserted, skipped, rejected, complete FROM mongo_migrate.migrate_collection('shop', '$collection'"
		  . ($arguments // '') . ')');
}
sub differences
{
	return query("SELECT target, column_name, kind, count(*) FROM mongo_migrate.verify_full('shop', '$_[0]') GROUP BY 1, 2, 3 ORDER BY 1, 2, 3");
}

# Of 205 users that orders refer to there are 200. Every order has two items, and the first of these a lot.
$mongo->generate('shop', 'users', [ 0, 200 ], '{"_id": {"$concat": ["u", {"$toString": "$n"}]}, "email": {"$toString": "$n"}, "n": 1}');
$mongo->command('shop', '{"createIndexes": "users", "indexes": [{"key": {"email": 1}, "name": "email", "unique": true}]}');
my $order = '"user": {"$concat": ["u", {"$toString": {"$mod": ["$n", 205]}}]}, "n": 1,'
  . ' "items": [{"sku": {"$toString": "$n"}, "lots": [{"a": "$n"}]}, {"sku": "x", "lots": []}]';
$mongo->generate('shop', 'orders', [ 0, 2000 ], qq({"_id": {"\$concat": ["o", {"\$toString": "\$n"}]}, $order}));

# Rows of orders lie by their user, beside that user.
my $notices = $citus->complaint("SELECT mongo_migrate.plan_collection('shop', 'users', sample_size => 0, distribute_by => 'id')");
like($notices, qr/users: unique in MongoDB, and not to be kept so by Citus: public.users.email/, 'a unique key is given up');
query("SELECT mongo_migrate.plan_collection('shop', 'orders', sample_size => 0, distribute_by => 'user')");
is(query("SELECT count(*) FROM mongo_migrate.check_plan('shop')"), 0, 'a plan that Citus can have');
query("SELECT mongo_migrate.apply_ddl('shop')");
is(query("SELECT logicalrelid, column_to_column_name(logicalrelid, partkey), dense_rank() OVER (ORDER BY colocationid)"
	  . " FROM pg_dist_partition ORDER BY logicalrelid::text COLLATE \"C\""),
	"orders|user_id|1\norders_items|user_id|1\norders_items_lots|user_id|1\nusers|id|1", 'all tables are co-located');
is(migrate('users'), '200|0|0|t', 'users');
is(migrate('orders'), '2000|0|0|t', 'orders');
is(query('SELECT count(*) FROM mongo_migrate.quarantine'), 45, 'documents without their user are in quarantine: no row may lie nowhere');
is(query("SELECT conrelid::regclass, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype IN ('p', 'f') AND conrelid::regclass::text ~ '^(orders|users)' ORDER BY conrelid::regclass::text COLLATE \"C\", pg_get_constraintdef(oid) COLLATE \"C\""),
	join("\n",
		'orders|FOREIGN KEY (user_id) REFERENCES users(id)',
		'orders|PRIMARY KEY (id, user_id)',
		'orders_items|FOREIGN KEY (order_id, user_id) REFERENCES orders(id, user_id) ON DELETE CASCADE',
		'orders_items|PRIMARY KEY (order_id, user_id, "position")',
		'orders_items_lots|FOREIGN KEY (order_id, item_position, user_id) REFERENCES orders_items(order_id, "position", user_id) ON DELETE CASCADE',
		'orders_items_lots|PRIMARY KEY (order_id, item_position, user_id, "position")',
		'users|PRIMARY KEY (id)'),
	'every key has the distribution column');
is(query("SELECT sum(target_count), bool_and(ok) FROM mongo_migrate.verify_counts('shop')"), 200 + 4 * 1955 . '|t', 'verify_counts');
is(differences('orders'), '', 'verify_full');
is(query("SELECT string_agg(DISTINCT kind, ',') FROM mongo_migrate.compare_document('shop', 'orders', 'o5')"), 'equal', 'compare_document');
# A foreign key would not let a child have another user than its parent.
query("ALTER TABLE orders_items_lots DROP CONSTRAINT orders_items_lots_order_id_item_position_user_id_fkey");
query("INSERT INTO orders_items_lots SELECT order_id, item_position, user_id % 200 + 1, position, a FROM orders_items_lots ORDER BY order_id LIMIT 1");
is(query("SELECT DISTINCT target, column_name, kind FROM mongo_migrate.verify_full('shop', 'orders') ORDER BY 1, 2, 3"),
	"public.orders_items_lots|user_id|mismatch\npublic.orders_items_lots||extra", 'verify_full sees a row that lies apart from its parent');

# A plan made anew stays distributed; what is said goes before what was edited.
query("SELECT mongo_migrate.reset_collection('shop', '$_', truncate => true)") foreach qw(orders users);
query('DROP TABLE orders_items_lots, orders_items, orders, users');
query("UPDATE mongo_migrate.plan_column SET column_name = 'owner_id' WHERE target = 'public.orders' AND column_name = 'user_id'");
like($citus->complaint("SELECT mongo_migrate.apply_ddl('shop', 'orders')"),
	qr/it is to be distributed by "user_id", which is no column of its plan\nHINT:  UPDATE mongo_migrate.plan_target SET distribute_by/, 'a column that is gone');
query("UPDATE mongo_migrate.plan_target SET distribute_by = 'owner_id' WHERE target = 'public.orders'");
query("SELECT mongo_migrate.plan_collection('shop', 'orders', sample_size => 0, replan => true)");
is(query("SELECT target, statement FROM mongo_migrate.plan_distributions('shop', 'orders')"),
	"public.orders|SELECT create_distributed_table('public.orders', 'owner_id')\n"
	  . "public.orders_items|SELECT create_distributed_table('public.orders_items', 'user_id', colocate_with => 'public.orders')\n"
	  . "public.orders_items_lots|SELECT create_distributed_table('public.orders_items_lots', 'user_id', colocate_with => 'public.orders')",
	'planned anew, with the new name');
query("SELECT mongo_migrate.plan_collection('shop', 'orders', sample_size => 0, replan => true, distribute_by => '_id')");
is(query("SELECT count(*) FROM mongo_migrate.check_plan('shop') WHERE severity = 'error'"), 0, 'planned anew by another column');

# By their own ids: a foreign key is impossible, and what dangles is found all the same.
query("UPDATE mongo_migrate.plan_column SET expression = 'upper(value) || (doc ->> ''n'')' WHERE target = 'public.orders_items' AND column_name = 'sku'");
like(query("SELECT problem FROM mongo_migrate.check_plan('shop')"),
	qr/^Citus has no foreign key from it to public.users: public.orders is distributed by "id" and public.users by "id"$/, 'check_plan tells of it');
like(query("SELECT mongo_migrate.draft_ddl('shop', 'orders', 'references')"),
	qr/^-- no foreign key from public.orders \(owner_id\) to public.users \(id\)/m, 'and the draft');
like($citus->complaint("SELECT inserted, complete FROM mongo_migrate.migrate_collection('shop', 'orders', dry_run => true)"),
	qr/2000 of 2000 documents read, 2000 inserted.*an unknown size and an unknown size of indexes/s, 'a rehearsal, which does not see sizes on other nodes');
is(migrate('users', ', workers => 0'), '200|0|0|t', 'users in one transaction');
is(migrate('orders', ', workers => 0'), '2000|0|0|t', 'orders in one transaction');
is(query('SELECT count(*), count(owner_id) FROM orders'), '2000|1955', 'dangling references become null');
is(query("SELECT count(*), min(source_value), min(policy) FROM mongo_migrate.dangling_reference"), '45|"u200"|null', 'and are recorded');
is(differences('orders'), 'public.orders|owner_id|orphan|45', 'verified with expressions');
$mongo->command('shop', '{"insert": "users", "documents": [{"_id": "u200", "n": 200, "email": "a"}, {"_id": "u201", "n": 201, "email": "b"}]}');
is(migrate('users'), '2|200|0|t', 'two of them come');
is(query('SELECT count(*), count(owner_id) FROM orders') . ', ' . query('SELECT count(*) FROM mongo_migrate.dangling_reference'), '2000|1973, 27', 'and are referred to');

query("SELECT mongo_migrate.reset_collection('shop', 'orders', truncate => true)");
query("UPDATE mongo_migrate.plan_column SET on_dangling = 'keep' WHERE column_name = 'owner_id'");
is(query("SELECT count(*) FROM mongo_migrate.check_plan('shop')"), 0, 'kept references need no foreign key');
is(migrate('orders'), '2000|0|0|t', 'orders again');
is(query('SELECT count(owner_id) FROM orders') . ', ' . query("SELECT count(*) FROM mongo_migrate.dangling_reference WHERE policy = 'keep'"), '2000, 27', 'and are recorded, too');

# What a node refuses, and an expression that fails.
query("SELECT mongo_migrate.reset_collection('shop', 'orders', truncate => true)");
query("UPDATE mongo_migrate.plan_column SET on_dangling = 'quarantine' WHERE column_name = 'owner_id'");
query("UPDATE mongo_migrate.plan_column SET expression = 'value + 0 * (10 / nullif(value % 100, 99))' WHERE target = 'public.orders' AND column_name = 'n'");
is(migrate('orders'), '1960|0|40|t', 'bad documents are set aside one by one');
is(query("SELECT reason, sqlstate, count(*) FROM mongo_migrate.quarantine GROUP BY 1, 2 ORDER BY 2, 3"),
	join("\n",
		'expression value + 0 * (10 / nullif(value % 100, 99)) of column "n": division by zero|22012|20',
		'null value in column "n" of relation "orders" violates not-null constraint|23502|20',
		'public.orders.owner_id refers to a document of users that does not exist|23503|27'),
	'each with its reason');
is(query("SELECT bool_and(ok) FROM mongo_migrate.verify_counts('shop')"), 't', 'and they are counted');
query("UPDATE mongo_migrate.plan_column SET expression = NULL WHERE target = 'public.orders' AND column_name = 'n'");
$mongo->command('shop', '{"insert": "users", "documents": [{"_id": "u' . $_ . '", "n": 1, "email": "' . $_ . '"}]}') foreach 202 .. 204;
is(migrate('users'), '3|202|0|t', 'all users are there');
is(query("SELECT inserted, rejected FROM mongo_migrate.retry_quarantine('shop')"), '67|0', 'retry_quarantine');
is(differences('orders'), '', 'verified');

$mongo->generate('shop', 'events', [ 0, 1000 ], '{"_id": "$n", "n": {"$toString": "$n"}}');
query("SELECT mongo_migrate.plan_collection('shop', 'events', sample_size => 0, distribute_by => '_id')");
query("UPDATE mongo_migrate.plan_column SET expression = 'value + 0 / ((doc ->> ''n'')::int % 10)' WHERE target = 'public.events' AND role = 'id'");
is(migrate('events'), '900|0|100|t', 'an id by an expression, which fails for some');
query('DELETE FROM events WHERE id % 10 = 3');
is(migrate('events'), '100|900|0|t', 'a catch-up pass knows it');
is(query('SELECT count(*), count(DISTINCT id) FROM events'), '900|900', 'every row once');

$mongo->generate('shop', 'states', [ 0, 100 ], '{"_id": "$n", "state": {"$arrayElemAt": [["new", "paid"], {"$mod": ["$n", 2]}]}}');
query("SELECT mongo_migrate.plan_collection('shop', 'states', sample_size => 0, distribute_by => '_id')");
query("SELECT mongo_migrate.plan_enumeration('shop', 'states', 'state', 'lookup')");
like($citus->complaint("SELECT mongo_migrate.apply_ddl('shop', 'states')"),
	qr/Citus has the table on other nodes, which have no lookup table\nHINT:  SELECT mongo_migrate.plan_enumeration\('shop', 'states', 'state', 'enum'\);/, 'no lookup table');
query("SELECT mongo_migrate.plan_enumeration('shop', 'states', 'state', 'enum')");
is(migrate('states'), '100|0|0|t', 'but an enum');
is(query('SELECT state, count(*) FROM states GROUP BY 1 ORDER BY 1'), "new|50\npaid|50", 'with its values');
is(differences('states'), '', 'verified');

# A lookup table has to be known to Citus where its table is.
$mongo->generate('shop', 'kinds', [ 0, 100 ], '{"_id": "$n", "state": {"$arrayElemAt": [["new", "paid"], {"$mod": ["$n", 2]}]}}');
query("SELECT mongo_migrate.plan_collection('shop', 'kinds', sample_size => 0); SELECT mongo_migrate.plan_enumeration('shop', 'kinds', 'state', 'lookup')");
query("SELECT mongo_migrate.apply_ddl('shop', 'kinds'); SELECT citus_add_local_table_to_metadata('kinds')");
is(query("SELECT hint FROM mongo_migrate.check_plan('shop', 'kinds') WHERE severity = 'error'"),
	"SELECT citus_add_local_table_to_metadata('public.kind_state');", 'a lookup table that Citus does not know');
query("SELECT citus_add_local_table_to_metadata('public.kind_state')");
is(migrate('kinds'), '100|0|0|t', 'and that it knows');

# Child tables by a text of few values, and by an array.
$mongo->generate('shop', 'parts', [ 0, 100 ], '{"_id": "$n", "state": {"$arrayElemAt": [["new", "paid"], {"$mod": ["$n", 2]}]},'
	  . ' "tags": ["a", {"$toString": {"$mod": ["$n", 5]}}], "items": [{"a": 1}, {"a": 2}]}');
foreach my $by (qw(state tags))
{
	query("SELECT mongo_migrate.plan_collection('shop', 'parts', sample_size => 0, replan => true, distribute_by => '$by')");
	query("SELECT mongo_migrate.plan_enumeration('shop', 'parts', 'state')");
	# Its values have another hash on each node.
	query($_) foreach split /\n/, query("SELECT hint FROM mongo_migrate.check_plan('shop', 'parts') WHERE severity = 'error'");
	is(query("SELECT type FROM mongo_migrate.plan_column WHERE (target, column_name) = ('public.parts', 'state')"), $by eq 'state' ? 'text' : 'public.part_state',
		"by $by, no enum");
	is(migrate('parts'), '100|0|0|t', "by $by");
	is(differences('parts'), '', "by $by, verified");
	query("UPDATE parts_items SET a = 3 WHERE position = 0; DELETE FROM parts WHERE id % 3 = 0");
	isnt(differences('parts'), '', "by $by, damage");
	query("SELECT mongo_migrate.repair('shop', 'parts')");
	is(differences('parts'), '', "by $by, repaired");
	query("SELECT mongo_migrate.reset_collection('shop', 'parts', truncate => true); DROP TABLE parts_items, parts");
}
query("INSERT INTO mongo_migrate.plan_index (server, collection, target, index_name, ordinal, keys, method)"
	  . " VALUES ('shop', 'parts', 'public.parts', 'mine', 9, '{\"state\": 1}', 'gin')");
like($citus->complaint("SELECT mongo_migrate.apply_ddl('shop', 'parts')"), qr/parts: data type public.part_state has no default operator class for access method "gin"/,
	'a key that cannot be made is refused before the load');

# Citus writes dates as text for its nodes, which would take days for months.
$mongo->command('shop', '{"insert": "days", "documents": [{"_id": 1, "day": {"$date": "2020-02-01T00:00:00Z"}}]}');
query("SET DateStyle = 'German'; SELECT mongo_migrate.plan_collection('shop', 'days', distribute_by => 'day')");
my ($problem, $hint) = split /\|/, query("SELECT problem, hint FROM mongo_migrate.check_plan('shop', 'days') WHERE severity = 'error'");
is($problem, "Citus sends values as text to its nodes, which do not read them by date_style 'German, DMY'", 'a DateStyle');
query($hint);
is(migrate('days'), '1|0|0|t', 'another one');
$mongo->command('shop', '{"update": "days", "updates": [{"q": {}, "u": {"$set": {"day": {"$date": "2020-04-03T00:00:00Z"}}}}]}');
query("SET DateStyle = 'German'; SELECT mongo_migrate.repair('shop', 'days') FROM mongo_migrate.verify_full('shop', 'days')");
is(query('SELECT day FROM days'), '2020-04-03 00:00:00+00', 'values are what they were');
is(differences('days'), '', 'verified');

done_testing();

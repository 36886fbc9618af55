# Tables that Citus has follow the source, and are repaired: distributed by the id and by another column, with child tables, and
# reference tables; whatever is killed meanwhile.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use CitusCluster;
use JSON::PP qw(encode_json);
use MongoServer;
use Test::More;

CitusCluster::needed();
my $mongo = MongoServer->new;
my $citus = CitusCluster->new($mongo->uri);
my $node = $citus->{coordinator};
sub query { return $citus->query($_[0]); }

srand(my $seed = $ENV{MM_SEED} // int(rand(1e6)));
note("MM_SEED=$seed");

sub update
{
	my ($collection, @updates) = @_;
	return $mongo->command('shop', qq({"update": "$collection", "updates": ) . encode_json(\@updates) . '}');
}

sub put
{
	my ($collection, @documents) = @_;
	return update($collection, map { { q => { _id => $_->{_id} }, u => $_, upsert => JSON::PP::true } } @documents);
}

sub set
{
	my ($collection, $id, $fields) = @_;
	return update($collection, { q => { _id => $id }, u => { '$set' => $fields } });
}

sub remove
{
	my ($collection, @ids) = @_;
	return $mongo->command('shop', qq({"delete": "$collection", "deletes": ) . encode_json([ map { { q => { _id => $_ }, limit => 1 } } @ids ]) . '}');
}

my $version = 0;

sub user { my ($n) = @_; return { _id => "u$n", email => "m$n", version => ++$version }; }

# A product within another.
sub product { my ($n) = @_; return { _id => "p$n", within => $n > 1 ? 'p' . int($n / 2) : undef, version => ++$version }; }

sub order
{
	my ($n) = @_;
	return { _id => "o$n", user => 'u' . (1 + int(rand(40))), product => 'p' . (1 + int(rand(20))), version => ++$version,
		items => [ map { { sku => "s$_", lots => [ map { { a => $_ } } 1 .. rand(3) ] } } 0 .. rand(4) ] };
}

sub event { my ($n) = @_; return { _id => $n, user => 'u' . (1 + int(rand(40))), email => 'm' . (1 + int(rand(40))), version => ++$version }; }

sub alone { my ($n) = @_; return { _id => $n, n => ++$version }; }

sub bill { my ($n) = @_; return { _id => $n, product => 'p' . (1 + int(rand(20))), version => ++$version }; }

# Some random writes; all that is referred to stays.
sub write_some
{
	my ($count) = @_;
	my @ids = map { 1 + int(rand(100)) } 0 .. $count / 4;
	put('orders', map { order(1 + int(rand(100))) } 0 .. $count);
	remove('orders', map { "o$_" } @ids[ 0 .. $#ids / 2 ]);
	put('events', map { event(1 + int(rand(100))) } 0 .. $count);
	remove('events', @ids[ 0 .. $#ids / 2 ]);
	put('users', map { user(1 + int(rand(40))) } 0 .. $count / 10);
	put('products', map { product(1 + int(rand(20))) } 0 .. $count / 10);
	put('bills', map { bill(1 + int(rand(20))) } 0 .. $count / 10);
	put('alone', map { alone(1 + int(rand(20))) } 0 .. $count / 10);
	remove('alone', $ids[0]);
	return;
}

# The id that a document has in PostgreSQL; Citus would have a node look for it.
sub id_of { my ($collection, $id) = @_; return query(qq(SELECT mongo_migrate.target_id('shop', '$collection', '"$id"'))); }

my $marks = 0;

sub caught_up
{
	my ($what) = @_;
	put('marks', { _id => ++$marks });
	return ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM marks WHERE id = $marks)"
		  . " AND NOT EXISTS (SELECT FROM mongo_migrate.change WHERE reason IS NULL)"), "$what: all is applied")
	  || diag(query('SELECT * FROM mongo_migrate.sync_status'), "\n", query('SELECT * FROM mongo_migrate.change'));
}

my @collections = qw(users products orders events bills alone);

sub differences
{
	return query("SELECT f.* FROM unnest('{" . join(',', @collections) . "}'::text[]) AS c, mongo_migrate.verify_full('shop', c) AS f");
}

# As many rows as documents, and none of the coordinator's own beside the shards.
sub is_exact
{
	my ($what) = @_;
	is(differences(), '', "$what: the tables are as the source");
	is(query("SELECT collection, target, difference FROM mongo_migrate.verify_counts('shop') WHERE difference <> 0"), '', "$what: nothing is there twice");
	return is(query('SELECT sum(pg_relation_size(logicalrelid)) FROM pg_dist_partition WHERE partmethod = \'h\''), 0, "$what: and nothing astray");
}

put('users', map { user($_) } 1 .. 40);
put('products', map { product($_) } 1 .. 20);
put('orders', map { order($_) } 1 .. 100);
put('events', map { event($_) } 1 .. 100);
put('bills', map { bill($_) } 1 .. 20);
put('alone', map { alone($_) } 1 .. 20);
put('marks', { _id => 0 });
query("CREATE TABLE alone (id integer PRIMARY KEY, n integer); SELECT create_distributed_table('alone', 'id', shard_count => 1)");
query("SELECT mongo_migrate.start_sync('shop')");
query("SELECT mongo_migrate.plan_collection('shop', 'users', distribute_by => '_id')");
query("SELECT mongo_migrate.plan_collection('shop', 'products', reference_table => true)");
query("SELECT mongo_migrate.plan_collection('shop', 'orders', distribute_by => 'user')");
query("SELECT mongo_migrate.plan_collection('shop', 'events', distribute_by => '_id')");
query("SELECT mongo_migrate.plan_collection('shop', c) FROM unnest(ARRAY['bills', 'alone', 'marks']) AS c");
query("UPDATE mongo_migrate.plan_column SET expression = 'upper(value)', type = 'varchar(20)' WHERE (target, column_name) = ('public.orders_items', 'sku')");
query("UPDATE mongo_migrate.plan_column SET expression = 'value + 0 * length(doc::text)' WHERE (target, column_name) = ('public.orders', 'version')");
query("INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, refers_to, refers_key, nullable)"
	  . " VALUES ('shop', 'events', 'public.events', 'client_id', 50, 'reference', 'email', 'bigint', 'users', 'email', true)");
like(query("SELECT problem FROM mongo_migrate.check_plan('shop', 'bills')"), qr/^Citus has no foreign key .* SELECT citus_add_local_table_to_metadata\('public.bills'\)/,
	'a table that is not one of Citus');
query("SELECT mongo_migrate.apply_ddl('shop'); SELECT citus_add_local_table_to_metadata('public.bills')");
is(query("SELECT count(*) FROM mongo_migrate.check_plan('shop', 'bills')"), '0', 'and is');
write_some(20);
my @migrated = $node->psql('postgres', "SELECT count(*), bool_and(complete) FROM mongo_migrate.migrate_all('shop')");
is($migrated[1], '7|t', 'migrated') or diag($migrated[2]);
write_some(50);
caught_up('after the copy');
is_exact('after the copy');
is(query("SELECT inserted, complete FROM unnest(ARRAY['users', 'products', 'orders']) AS c, mongo_migrate.migrate_collection('shop', c)"), "0|t\n0|t\n0|t", 'a catch-up pass knows the rows');
is(query("SELECT format('%s %s', conrelid::regclass, confrelid::regclass) FROM pg_constraint WHERE contype = 'f'"
	  . " AND conrelid = ANY (ARRAY['products', 'orders', 'bills', 'events']::regclass[]) ORDER BY 1"),
	"bills products\norders products\norders users\nproducts products", 'the foreign keys that Citus can have');

# Each kind of change, to each kind of table.
put('users', user($_)) foreach 100 .. 101;
put('orders', { _id => 'o1000', user => 'u100', product => 'p1', version => 1, items => [ { sku => 'a', lots => [ { a => 1 } ] }, { sku => 'b', lots => [] } ] });
caught_up('new');
my $id = id_of('orders', 'o1000');
my $order = "SELECT o.note, u.email, string_agg(i.sku, '' ORDER BY i.position),"
  . ' (SELECT count(*) FROM orders_items_lots AS l WHERE l.order_id = o.id AND l.user_id = o.user_id)'
  . ' FROM orders AS o JOIN users AS u ON u.id = o.user_id JOIN orders_items AS i ON i.order_id = o.id AND i.user_id = o.user_id'
  . " WHERE o.id = $id GROUP BY o.id, o.user_id, o.note, u.email";
query("ALTER TABLE orders ADD COLUMN note text; UPDATE orders SET note = 'mine' WHERE id = $id");
is(query($order), 'mine|m100|AB|1', 'a new document');
set('orders', 'o1000', { items => [ { sku => 'c', lots => [ { a => 1 }, { a => 2 } ] } ], version => 2 });
caught_up('changed');
is(query($order), 'mine|m100|C|2', 'a changed one: what the plan does not know stays');
set('orders', 'o1000', { user => 'u101' });
caught_up('moved');
is(query($order), 'mine|m101|C|2', 'one whose rows belong to another shard');
update('orders', { q => {}, u => { '$set' => { user => 'u101' } }, multi => JSON::PP::true });
caught_up('all moved');
is_exact('all moved');
remove('orders', 'o1000');
caught_up('deleted');
is(query($order), '', 'one that is deleted');
put('products', { _id => 'p100', within => 'p101', version => 1 }, { _id => 'p101', within => undef, version => 1 });
set('products', 'p1', { within => 'p100' });
caught_up('a reference table');
is_exact('each kind of change');

# References: to what is not there, comes, and goes.
put('orders', { _id => 'o2000', user => 'u200', product => 'p200', version => 1, items => [] });
put('bills', { _id => 2000, product => 'p200', version => 1 });
caught_up('dangling');
is(query(q(SELECT source_id, sqlstate FROM mongo_migrate.quarantine)), '"o2000"|23503', 'without its user there is no place for it');
is(query('SELECT product_id IS NULL FROM bills WHERE id = 2000'), 't', 'from a local table to a reference table');
put('users', user(200));
put('products', product(200));
caught_up('come');
is(query("SELECT inserted FROM mongo_migrate.retry_quarantine('shop')"), '1', 'with its user there is');
caught_up('referred');
is_exact('references');
remove('products', 'p200');
caught_up('the product is gone');
is(query('SELECT count(product_id) FROM bills WHERE id = 2000') . query('SELECT count(product_id) FROM orders WHERE id = ' . id_of('orders', 'o2000')), '00',
	'references to what is deleted are NULL');
remove('users', 'u200');
caught_up('the user is gone');
is(query(q(SELECT source_id, sqlstate FROM mongo_migrate.quarantine)), '"o2000"|23503', 'documents whose user is deleted are set aside');
remove('orders', 'o2000');
remove('bills', 2000);
caught_up('all gone');
is_exact('references that are gone');
put('events', { _id => 3000, user => 'u1', email => 'm300', version => 1 });
put('users', user(300));
caught_up('by a field');
is(query('SELECT email FROM users WHERE id = (SELECT client_id FROM events WHERE id = 3000)'), 'm300', 'a reference by another field');
set('users', 'u300', { email => 'm301' });
set('users', 'u1', { email => 'm300' });
caught_up('another has the value');
is(query('SELECT client_id FROM events WHERE id = 3000'), id_of('users', 'u1'), 'follows its value');
set('users', 'u1', { email => 'm1' });
remove('events', 3000);
remove('users', 'u300');
caught_up('put back');
is_exact('references by a field');

put('events', { _id => 3000, user => 'u400', email => 'm1', version => 1 });
caught_up('without a foreign key');
is(differences(), '3000|public.events|user_id|orphan|u400|' . id_of('users', 'u400') . '|', 'a reference without a foreign key keeps its id');
put('users', user(400));
caught_up('its document');
is_exact('without a foreign key');

# What a node refuses.
query('ALTER TABLE events ADD CHECK (version > 0)');
set('events', 1 + int(rand(100)), { version => -1 });
put('events', { _id => 4000, user => 'u1', email => 'm1', version => -1 });
caught_up('refused');
is(query('SELECT count(*) FROM mongo_migrate.change WHERE reason ~ \'check constraint\'') . query('SELECT source_id FROM mongo_migrate.quarantine'),
	($mongo->command('shop', '{"count": "events", "query": {"version": -1, "_id": {"$ne": 4000}}}')->{n}) . '4000', 'a node refuses the rows of a document');
update('events', { q => { version => -1 }, u => { '$set' => { version => 1 } }, multi => JSON::PP::true });
caught_up('accepted');
is_exact('what was refused');

# What has been committed on the coordinator, and is prepared on a node and not seen there yet.
put('orders', { _id => 'o5000', user => 'u1', version => 1, items => [] });
caught_up('before');
my ($place, $order_id) = (id_of('users', 'u1'), id_of('orders', 'o5000'));
my %shard = map { $_ => query("SELECT get_shard_id_for_distribution_column('$_', $place)") } qw(orders orders_items);
my $port = query("SELECT nodeport FROM pg_dist_shard_placement WHERE shardid = $shard{orders}");
my ($worker) = grep { $_->port == $port } @{$citus}{qw(worker1 worker2)};
$worker->safe_psql('postgres', "BEGIN;"
	  . " UPDATE orders_$shard{orders} SET version = 2 WHERE id = $order_id;"
	  . " INSERT INTO orders_items_$shard{orders_items} (order_id, user_id, position, sku) VALUES ($order_id, $place, 0, 'A'); PREPARE TRANSACTION 'late'");
set('orders', 'o5000', { version => 3 });
ok($worker->poll_query_until('postgres', "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query ~ 'orders'"), 'a later change waits for it');
$worker->safe_psql('postgres', "COMMIT PREPARED 'late'");
caught_up('after');
is_exact('what is prepared on a node');

# Killed: the sync, the nodes.
foreach my $victim ((qw(worker worker1 coordinator)) x ($ENV{MM_KILLS} // 1))
{
	write_some(int(rand(30)));
	if ($victim eq 'worker')
	{
		query("SELECT pg_terminate_backend(pid) FROM mongo_migrate.sync_status");
		write_some(20);
	}
	else
	{
		$citus->{$victim}->stop('immediate');
		write_some(20);
		$citus->{$victim}->start;
	}
	query("SELECT mongo_migrate.start_sync('shop')");
	caught_up("without $victim");
	is_exact("without $victim");
}
$node->poll_query_until('postgres', 'SELECT error IS NULL FROM mongo_migrate.sync_status') or diag(query('SELECT * FROM mongo_migrate.sync_status'));
query("SELECT mongo_migrate.stop_sync('shop')");
$node->poll_query_until('postgres', "SELECT state = 'stopped' AND pid IS NULL FROM mongo_migrate.sync_status") or die;

# Repair.
query("UPDATE orders SET version = version + 1 WHERE id % 7 = 0");
query("DELETE FROM orders_items_lots WHERE order_id % 5 = 0");
query("DELETE FROM orders WHERE id % 11 = 0");
query("UPDATE products SET version = 0 WHERE id % 3 = 0");
query("DELETE FROM events WHERE id % 9 = 0");
query("UPDATE events SET version = 77777 WHERE id % 9 = 1");
query("INSERT INTO events (id, user_id, email, version) SELECT 5000, user_id, email, version FROM events LIMIT 1");
isnt(differences(), '', 'damage');
foreach my $collection (@collections)
{
	query("SELECT mongo_migrate.repair('shop', '$collection', delete_extra => true)");
}
is_exact('repaired');

done_testing();

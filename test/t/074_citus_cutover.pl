# A cutover where Citus has tables: those of the coordinator are written back, known to it or not; with those that it
# distributes there is none, unless their collections are left out.
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
my $node = $citus->{coordinator};
sub query { return $citus->query($_[0]); }

sub settled
{
	my ($what) = @_;
	return ok($node->poll_query_until('postgres', 'SELECT pending = 0 AND refused = 0 AND error IS NULL FROM mongo_migrate.sync_status'), "$what: followed")
	  || diag(query('SELECT * FROM mongo_migrate.sync_status'), "\n", query('SELECT * FROM mongo_migrate.row_change'));
}

my @written = qw(bills notes);
sub differences
{
	return query("SELECT f.* FROM unnest('{" . join(',', @written) . "}'::text[]) AS c, mongo_migrate.verify_full('shop', c) AS f");
}

my $document = '"product": {"$concat": ["p", {"$toString": {"$mod": ["$n", 5]}}]}, "n": 1, "items": [{"sku": "a"}, {"sku": "b"}]';
$mongo->generate('shop', 'products', [ 0, 5 ], '{"_id": {"$concat": ["p", {"$toString": "$n"}]}}');
$mongo->generate('shop', $_, [ 0, 20 ], qq({"_id": "\$n", $document})) foreach @written, 'events';
query("SELECT mongo_migrate.start_sync('shop')");
query("SELECT mongo_migrate.plan_collection('shop', 'products', reference_table => true)");
query("SELECT mongo_migrate.plan_collection('shop', 'events', distribute_by => '_id')");
query("SELECT mongo_migrate.plan_collection('shop', c, id_type => 'bigint') FROM unnest('{bills,notes}'::text[]) AS c");
query("SELECT mongo_migrate.apply_ddl('shop'); SELECT citus_add_local_table_to_metadata('bills', cascade_via_foreign_keys => true); SELECT citus_add_local_table_to_metadata('bills_items')");
is(query("SELECT count(*), bool_and(complete) FROM mongo_migrate.migrate_all('shop')"), '4|t', 'migrated');
is(query('SELECT count(product_id) FROM bills'), '20', 'with references');
like($citus->complaint("SELECT mongo_migrate.cutover('shop', incomplete => true)"), qr/"events" cannot be made of their rows: public.events: Citus has no triggers/, 'not with distributed tables');
query("DELETE FROM mongo_migrate.plan WHERE collection IN ('events', 'products')");
query("SELECT mongo_migrate.cutover('shop')");

sub write_rows
{
	query("INSERT INTO $_ (product_id, n) VALUES (2, 7); UPDATE $_ SET n = n + 1 WHERE n % 3 = 0; DELETE FROM $_ WHERE n = 11;"
		  . " UPDATE ${_}_items SET sku = 'c' WHERE position = 1; DELETE FROM ${_}_items WHERE position = 0") foreach @written;
	return settled($_[0]);
}

write_rows('written back');
is(differences(), '', 'verified');
is($mongo->command('shop', qq({"count": "$_", "query": {"product": "p1", "n": 7, "items": null}}))->{n}, 1, "$_: a new row with its references") foreach @written;
query('TRUNCATE bills CASCADE');
settled('emptied');
is($mongo->command('shop', '{"count": "bills"}')->{n}, 0, 'a table is emptied');

query("SELECT mongo_migrate.rollback_cutover('shop')");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_trigger WHERE tgfoid = 'mongo_migrate.note_row'::regproc"), 'back, without triggers');
$mongo->command('shop', '{"insert": "bills", "documents": [{"_id": 100, "product": "p1", "n": 3, "items": [{"sku": "a"}]}]}');
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM bills'), 'rows follow');
query("SELECT mongo_migrate.cutover('shop')");
write_rows('again');
is(differences(), '', 'verified again');
query("SELECT mongo_migrate.finalize('shop')");
is(query("SELECT count(*) FROM pg_trigger WHERE tgfoid = 'mongo_migrate.note_row'::regproc"), 0, 'to the end');

done_testing();

# The examples of README.md and the pages of doc/, as they are written: each page's one after the other, in a database of its own.
use strict;
use warnings;

use File::Basename;
use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mongo = MongoServer->new(auth => [ 'm', 's' ]);
my $uri = $mongo->uri;
my $node = PostgreSQL::Test::Cluster->new('examples');
$node->init;
$node->append_conf('postgresql.conf', 'max_worker_processes = 32');
$node->start;

# What the examples speak of.
sub id { return sprintf '65a0000000000000000000%02x', $_[0]; }
sub oid { return sprintf '{"$oid": "%s"}', id($_[0]); }

sub order
{
	my ($id, $n) = @_;
	return sprintf '{"_id": {"$oid": "%s"}, "userId": "%s", "userEmail": "u1@example.com", "amount": 5.99, "total": 19.99, "state": "%s", "channel": "%s",'
	  . ' "city": "Rome", "createdAt": {"$date": "2024-05-01T10:00:00Z"}, "items": [{"sku": "A-1", "unit": "%s", "qty": 2}], "tagIds": [%s]}',
	  $id, id(1), (qw(new paid sent))[ $n % 3 ], (qw(web shop))[ $n % 2 ], (qw(kg l))[ $n % 2 ], oid(0x0b);
}
my %documents = (
	users => [ map { sprintf '{"_id": %s, "email": "u%d@example.com"}', oid($_), $_ } 1 .. 3 ],
	tags => [ '{"_id": ' . oid(0x0b) . ', "name": "new"}' ],
	orders => [ (map { order(id($_), $_) } 0x65 .. 0x84), order('6b0489d2c7e1f3a5b8d90c12', 0) ],
	transactions => [ '{"userId": "' . id(1) . '", "amount": 1.5}' ],
	products => [ '{"_id": 1, "prices": {"eur": 1.5, "usd": 2}}' ],
	posts => [ sprintf '{"_id": 1, "likes": {"%s": true}, "comments": [{"text": "a", "replies": [{"text": "b", "replies": [{"text": "c"}]}]}]}', id(1) ],
	comments => [ '{"_id": 1, "on": ' . oid(0x65) . '}', '{"_id": 2, "on": 1}' ],
	parties => [ '{"_id": 1, "kind": "firm", "name": "a", "seats": 2}', '{"_id": 2, "kind": "person", "name": "b", "deleted": true}' ],
	user_accounts => [ '{"_id": 1, "userName": "a"}' ],
	currencies => [ '{"_id": "EUR"}' ]);
$mongo->command('shop', qq({"insert": "$_", "documents": [) . join(', ', @{ $documents{$_} }) . ']}') foreach sort keys %documents;

# What stands before a page's first example, and the errors that are in its nature.
my $server = "CREATE EXTENSION mongo_migrate; CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'shop');"
  . " CREATE USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (username 'm', password 's');";
my $plan = "SELECT mongo_migrate.plan_collection('shop', c) FROM unnest('{products,posts,comments,parties}'::text[]) AS c;";
my $migrated = "SELECT mongo_migrate.migrate_collection('shop', c) FROM unnest('{users,tags,orders}'::text[]) AS c;";
my $no_cron = qr/pg_cron|cron\.|schema "cron"/;
my $no_way_back = qr/server "shop" is not cut over/;
my %pages = (
	'README.md' => [ '', $no_way_back ],
	'doc/connecting.md' => ['CREATE EXTENSION mongo_migrate'],
	'doc/cutover.md' => [ "$server SELECT mongo_migrate.start_sync('shop'); $migrated", $no_way_back ],
	'doc/foreign_data_wrapper.md' => ["$server CREATE TABLE users (email text, mongo_id text)"],
	'doc/loading.md' => [ $server . $migrated ],
	'doc/migrating.md' => [$server],
	'doc/operating.md' => [ $server . $migrated, qr/changes of server "shop" are not followed/ ],
	'doc/planning.md' => [ $server . $plan, qr/collection "orders" of server "shop" is planned already/ ],
	'doc/scaling.md' => [''],
	'doc/syncing.md' => [ $server, $no_cron ],
	'doc/types.md' => ['CREATE EXTENSION mongo_migrate'],
	'doc/verification.md' => [ $server . $migrated, $no_cron ]);

my $top = "$FindBin::RealBin/../..";
is(join(' ', map { s{^\Q$top\E/}{}r } "$top/README.md", sort glob "$top/doc/*.md"), join(' ', sort keys %pages), 'every page is here');
foreach my $page (sort keys %pages)
{
	my ($before, $natural) = @{ $pages{$page} };
	my $examples = join '', slurp_file("$top/$page") =~ /^```sql\n(.*?)^```/gms;
	$examples =~ s/uri '[^']*'/uri '$uri'/g;
	$examples =~ s/username '\w+', password '[^']*'/username 'm', password 's'/g;
	my $database = lc basename($page, '.md');
	$node->safe_psql('postgres', "CREATE DATABASE $database");
	$node->safe_psql($database, $before) if $before;
	my ($status, $out, $err) = $node->psql($database, $examples, on_error_stop => 0, timeout => 180);
	my @errors = grep { !$natural || !/$natural/ } $err =~ /ERROR:\s+(.*)/g;
	is(join("\n", @errors), '', $page);
	like($err, $natural, "$page: as it says") if $natural;
}

$node->stop;
done_testing();

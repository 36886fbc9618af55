# pg_dump in the middle of a migration: the restored database goes on where the dump was taken.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mongo = MongoServer->new;
my $documents = join ',', map { qq({"_id": "d$_", "n": $_, "user": "u) . $_ % 10 . qq(", "tags": ["a", "b"]}) } 1 .. 1000;
$mongo->command('shop', qq({"insert": "things", "documents": [$documents]}));
$mongo->command('shop', '{"insert": "users", "documents": [' . join(',', map { qq({"_id": "u$_"}) } 0 .. 9) . ']}');

my $node = PostgreSQL::Test::Cluster->new('dump');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE before');
$node->safe_psql('before', "CREATE EXTENSION mongo_migrate; CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate"
	  . " OPTIONS (uri '" . $mongo->uri . "', database 'shop'); SELECT mongo_migrate.plan_collection('shop', 'things')");

# Some batches, and no more.
$node->safe_psql('before', "SELECT mongo_migrate.migrate_collection('shop', 'things', max_duration => '1 us', batch_size => 100);"
	  . " UPDATE mongo_migrate.run SET state = 'running', options = options - 'deadline';"
	  . ' SELECT mongo_migrate.copy_step(max(run_id), 1, 100) FROM mongo_migrate.run;'
	  . ' SELECT mongo_migrate.copy_step(max(run_id), 1, 100) FROM mongo_migrate.run');
is($node->safe_psql('before', 'SELECT count(*) FROM things'), 200, 'a part is there');

my $dump = PostgreSQL::Test::Utils::tempdir . '/dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('before') ], 'pg_dump');
$node->safe_psql('postgres', 'CREATE DATABASE after');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('after'), $dump ], 'pg_restore');

is($node->safe_psql('after', "SELECT inserted, skipped, complete FROM mongo_migrate.migrate_collection('shop', 'things')"),
	'800|0|t', 'the rest comes');
is($node->safe_psql('after', "SELECT inserted, skipped, complete FROM mongo_migrate.migrate_collection('shop', 'things')"),
	'0|1000|t', 'then nothing is new');
is($node->safe_psql('after', "SELECT mongo_migrate.migrate_collection('shop', 'users') IS NOT NULL"), 't', 'users too');
is($node->safe_psql('after', 'SELECT count(*), count(DISTINCT n) FROM things JOIN users u ON u.id = user_id'),
	'1000|1000', 'every document once, and its reference');
is($node->safe_psql('after', "SELECT count(*) FROM mongo_migrate.verify_sample('shop', 'things', sample_size => 1000)"),
	0, 'and as in the source');

# Everything else that the extension knows goes along, in a plain dump too: child tables, ids of type uuid, the quarantine,
# dangling references, findings, and the sequences beyond what was given.
$documents = join ',', map { qq({"_id": {"k": $_}, "n": ) . ($_ == 7 ? '"seven"' : $_) . qq(, "user": "u) . $_ % 11
	  . qq(", "items": [{"sku": "s$_"}, {"sku": "t$_", "parts": [{"n": 1}]}]}) } 1 .. 100;
$mongo->command('shop', qq({"insert": "orders", "documents": [$documents]}));
$node->safe_psql('before', "SELECT mongo_migrate.migrate_collection('shop', 'users');"
	  . " SELECT mongo_migrate.plan_collection('shop', 'orders', id_type => 'uuid');"
	  . " UPDATE mongo_migrate.plan_column SET type = 'integer', source_type = 'integer' WHERE collection = 'orders' AND column_name = 'n';"
	  . " SELECT mongo_migrate.migrate_collection('shop', 'orders');"
	  . " SELECT mongo_migrate.migrate_collection('shop', 'things');"
	  . " SELECT * FROM mongo_migrate.verify_counts('shop')");
my $state = "SELECT relation, md5(rows::text) FROM (SELECT 'plan' AS relation, (SELECT json_agg(t ORDER BY t::text) FROM mongo_migrate.plan t) AS rows"
  . join('', map { " UNION ALL SELECT '$_', (SELECT json_agg(t ORDER BY t::text) FROM mongo_migrate.$_ t)" }
	  qw(plan_path plan_target plan_column id_map run chunk quarantine dangling_reference verification finding))
  . ') s ORDER BY 1';
my $rows = "SELECT (SELECT json_agg(o ORDER BY n) FROM orders o)::text || (SELECT json_agg(i ORDER BY i::text) FROM orders_items i)"
  . " || (SELECT json_agg(i ORDER BY i::text) FROM orders_items_parts i)";
my $plain = PostgreSQL::Test::Utils::tempdir . '/dump.sql';
$node->command_ok([ 'pg_dump', '-f', $plain, $node->connstr('before') ], 'pg_dump of all');
$node->safe_psql('postgres', 'CREATE DATABASE plain');
$node->command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('plain'), '-f', $plain ], 'psql');
is($node->safe_psql('plain', $state), $node->safe_psql('before', $state), 'every table of the extension is as it was');
is($node->safe_psql('plain', $rows), $node->safe_psql('before', $rows), 'and so are the rows');

# Several jobs fill tables of the extension at the same time, whose foreign keys are there already.
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, $node->connstr('before') ], 'pg_dump for several jobs');
$node->safe_psql('postgres', 'CREATE DATABASE jobs');
{
	local $ENV{PGOPTIONS} = '-c session_replication_role=replica';
	$node->command_ok([ 'pg_restore', '-j', '4', '-d', $node->connstr('jobs'), $dump ], 'pg_restore of several jobs');
}
is($node->safe_psql('jobs', $state), $node->safe_psql('before', $state), 'every table of the extension is as it was here, too');

is($node->safe_psql('plain', "SELECT skipped, inserted, complete FROM mongo_migrate.migrate_collection('shop', 'orders')"),
	'100|0|t', 'a further pass finds all documents done, one of them in quarantine');
$mongo->command('shop', '{"update": "orders", "updates": [{"q": {"n": "seven"}, "u": {"$set": {"n": 7}}}]}');
is($node->safe_psql('plain', "SELECT inserted, rejected FROM mongo_migrate.retry_quarantine('shop')"), '1|0', 'which can be tried again');
$mongo->command('shop', '{"insert": "orders", "documents": [{"_id": "new", "n": 0, "user": "u10", "items": []}]}');
$mongo->command('shop', '{"insert": "users", "documents": [{"_id": "u10"}]}');
is($node->safe_psql('plain', "SELECT inserted FROM mongo_migrate.migrate_collection('shop', 'users')"), 1, 'a user who was missing');
is($node->safe_psql('plain', "SELECT inserted FROM mongo_migrate.migrate_collection('shop', 'orders')"), 1, 'a new order');
is($node->safe_psql('plain', 'SELECT count(*), count(DISTINCT o.id), count(u.id) FROM orders o LEFT JOIN users u ON u.id = o.user_id'),
	'101|101|101', 'and every reference');
is($node->safe_psql('plain', "SELECT count(*) FROM mongo_migrate.plan p, mongo_migrate.verify_full(p.server, p.collection)"),
	0, 'all as in the source');

# Dropped and created anew, the extension knows nothing, and leaves the rows and the old id maps alone.
$node->safe_psql('plain', 'DROP EXTENSION mongo_migrate CASCADE');
is($node->safe_psql('plain', 'SELECT count(*) FROM orders'), 101, 'rows outlive the extension');
$node->safe_psql('plain', 'CREATE EXTENSION mongo_migrate');
$node->safe_psql('plain', "CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '" . $mongo->uri . "', database 'shop')");
is($node->safe_psql('plain', "SELECT inserted, complete FROM mongo_migrate.migrate_collection('shop', 'users')"),
	'11|t', 'and it can begin again');
is($node->safe_psql('plain', 'SELECT count(*), count(DISTINCT id) FROM users'), '22|22', 'beside the rows that were there');

$node->stop;
done_testing();

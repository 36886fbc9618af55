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
	  . ' SELECT mongo_migrate.copy_step(max(run_id), 1) FROM mongo_migrate.run;'
	  . ' SELECT mongo_migrate.copy_step(max(run_id), 1) FROM mongo_migrate.run');
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

$node->stop;
done_testing();

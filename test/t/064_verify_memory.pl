# The memory of a verification is bounded by a batch: by its bytes, however many values they are, and not by the
# number of documents.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use Test::More;

plan skip_all => "memory under $ENV{MM_UNDER} is another" if $ENV{MM_UNDER};

my $mongo = MongoServer->shared;
my $node = PostgreSQL::Test::Cluster->new('verify_memory');
$node->init;
$node->start;
my $uri = $mongo->uri;
$mongo->command('mm_test_memory', '{"dropDatabase": 1}');
$node->safe_psql('postgres', <<"END");
SET client_min_messages = warning;
CREATE EXTENSION mongo_migrate;
CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'mm_test_memory');
SELECT mongo_migrate.run_command('shop', json_build_object('insert', 'numbers', 'documents',
    json_build_array(json_build_object('_id', 1, 'v', (SELECT json_agg(n) FROM generate_series(1, 500000) AS n)))));
SELECT mongo_migrate.run_command('shop', json_build_object('insert', 'ids', 'documents', json_build_array(json_build_object('_id', 1, 'v',
    (SELECT json_agg(json_build_array(n, json_build_object('\$oid', lpad(n::text, 24, '0')))) FROM generate_series(1, 200000) AS n)))));
SELECT mongo_migrate.run_command('shop', json_build_object('insert', c, 'documents',
    (SELECT json_agg(json_build_object('_id', p * 20000 + n, 'v', n, 't', md5(n::text))) FROM generate_series(1, 20000) AS n)))
FROM (VALUES ('some', 1), ('many', 5)) AS v (c, parts), generate_series(1, parts) AS p;
SELECT mongo_migrate.migrate_all('shop');
END

# Megabytes that a session has at most, to verify a collection.
sub peak
{
	my ($collection) = @_;
	my ($differences, $megabytes) = split /\n/, $node->safe_psql('postgres', <<"END");
SELECT count(*) FROM mongo_migrate.verify_full('shop', '$collection');
SELECT substring(pg_read_file('/proc/self/status') FROM 'VmHWM:\\s+(\\d+)')::integer / 1024;
END
	is($differences, 0, "$collection has no difference");
	note("$collection: $megabytes MB");
	return $megabytes;
}

cmp_ok(peak('numbers'), '<', 450, 'half a million numbers in a document');
cmp_ok(peak('ids'), '<', 450, 'a jsonb column of as many values');
my $some = peak('some');
cmp_ok(peak('many'), '<', $some + 20, 'five times as many documents');

$mongo->command('mm_test_memory', '{"dropDatabase": 1}');
$node->stop;
done_testing();

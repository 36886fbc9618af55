# A worker that may read only so many documents a second rests after each batch, and keeps no snapshot meanwhile.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Statement;
use Test::More;

my $mongo = MongoServer->new;
$mongo->command('shop', '{"insert": "orders", "documents": [{"_id": 1, "n": 1}]}');

my $node = PostgreSQL::Test::Cluster->new('rest');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mongo_migrate; CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate'
	  . " OPTIONS (uri '" . $mongo->uri . "', database 'shop')");

# Wait events have names since PostgreSQL 17.
my $event = $node->safe_psql('postgres', 'SHOW server_version_num') >= 170000 ? 'MongoMigrateRest' : 'Extension';

# One document, in a batch that is to take 1,000 seconds.
my $run = $node->safe_psql('postgres', "SELECT mongo_migrate.prepare_run('shop', 'orders', 1000, 1, 'quarantine', NULL, NULL, 1)");
$node->safe_psql('postgres', qq(UPDATE mongo_migrate.run SET options = options || '{"max_docs_per_second": 0.001}'));
my $session = Statement->new($node, "CALL mongo_migrate.copy_chunks($run)");
ok( $node->poll_query_until('postgres', "SELECT count(*) > 0 FROM mongo_migrate.chunk, pg_stat_activity"
		  . " WHERE documents = 1 AND query LIKE 'CALL mongo\\_migrate.copy_chunks%' AND wait_event = '$event' AND backend_xmin IS NULL"),
	'it rests after a batch, without a snapshot');
is($node->safe_psql('postgres', 'SELECT count(*) FROM orders'), '1', 'which is committed');
$node->safe_psql('postgres', "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL mongo\\_migrate.copy_chunks%'");
like($session->finish, qr/^ERROR:  57014: canceling statement due to user request$/m, 'a cancel ends the rest');

$node->stop;
done_testing();

# A source that is not there, is no replica set, or does not know us: what a person meets who plans, migrates and verifies.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('bad_connection');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mongo_migrate');

# Runs a statement; returns (standard output, standard error).
sub run
{
	my ($sql) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $sql, on_error_stop => 0, timeout => 180,
		extra_params => [ '-v', 'SHOW_CONTEXT=never' ]);
	return ($out, $err);
}

sub server
{
	my ($uri) = @_;
	$node->safe_psql('postgres', 'DROP SERVER IF EXISTS shop CASCADE');
	$node->safe_psql('postgres', "CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'shop')");
	return;
}

# Every way in has the same message.
sub all_say
{
	my ($expected, $what) = @_;
	foreach my $call ("infer_schema('shop', 'orders')", "plan_collection('shop', 'orders')", "migrate_collection('shop', 'orders')",
		"migrate_collection('shop', 'orders', workers => 0)", "migrate_collection('shop', 'orders', dry_run => true)",
		"migrate_all('shop')", "list_collections('shop')")
	{
		my ($out, $err) = run("SELECT mongo_migrate.$call");
		like($err, $expected, "$what: $call");
	}
	is((run("SELECT count(*) FROM mongo_migrate.plan"))[0], 0, "$what: nothing is left behind");
	return;
}

# Nobody there.
my $nobody = MongoServer::free_port();
server("mongodb://127.0.0.1:$nobody/");
all_say(qr/ERROR:  error while connecting to server "shop"\nDETAIL:  .*Connection refused.*\nHINT:  Check that MongoDB runs there/, 'nobody there');
is((run("SELECT status FROM mongo_migrate.preflight('shop') WHERE \"check\" = 'connection'"))[0], 'fail', 'preflight() says so');

# A server that is no replica set: it can be migrated, as preflight() has it, but not as a set.
my $mongo = MongoServer->new(standalone => 1);
$mongo->command('shop', '{"insert": "orders", "documents": [{"_id": 1, "n": 1, "items": [{"sku": "a"}]}, {"_id": 2, "n": 2}]}');
my $port = $mongo->port;
server("mongodb://127.0.0.1:$port/?replicaSet=rs0");
all_say(qr/ERROR:  error while connecting to server "shop"\nDETAIL:  .*\nHINT:  Check hosts and replicaSet/, 'no replica set');
server("mongodb://127.0.0.1:$port/");
like((run("SELECT status || ': ' || detail FROM mongo_migrate.preflight('shop') WHERE \"check\" = 'replica set'"))[0],
	qr/^warn: no replica set: .*rs\.initiate/, 'preflight() warns of what needs one');
is((run("SELECT inserted, complete FROM mongo_migrate.migrate_collection('shop', 'orders')"))[0], '2|t', 'migrated all the same');
is((run("SELECT count(*) FROM mongo_migrate.verify_sample('shop', 'orders')"))[0], 0, 'and verified');
my ($out, $err) = run("SELECT * FROM mongo_migrate.migrate_collection('shop', 'ordres')");
like($err, qr/ERROR:  collection "ordres" does not exist.*HINT:  Perhaps you meant "orders"/s, 'a collection that is not there');

# It goes away: a verification does not take that for an empty source.
$mongo->stop;
foreach my $call ("verify_counts('shop')", "verify_sample('shop', 'orders')", "verify_full('shop', 'orders')",
	"compare_document('shop', 'orders', '1')", "migrate_collection('shop', 'orders')")
{
	($out, $err) = run("SELECT * FROM mongo_migrate.$call");
	like($err, qr/ERROR:  .*error while (connecting to|reading|running).*server "shop".*\nDETAIL:.*Connection refused/s, "gone: $call");
	is($out, '', "gone: $call gives nothing");
}

# A password that is wrong, a user who is not known, or none at all.
$node->safe_psql('postgres', "SELECT mongo_migrate.reset_collection('shop', 'orders', truncate => true); DELETE FROM mongo_migrate.plan");
$mongo = MongoServer->new(auth => [ 'admin', 'top-secret' ]);
$mongo->command('shop', '{"insert": "orders", "documents": [{"_id": 1, "n": 1}]}');
server($mongo->uri);
all_say(qr/ERROR:  .*\nDETAIL:  .*requires authentication.*\nHINT:  CREATE USER MAPPING/, 'no user');
$node->safe_psql('postgres', "CREATE USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (username 'admin', password 'not-this-secret')");
all_say(qr/ERROR:  error while connecting to server "shop"\nDETAIL:  Authentication failed.*\nHINT:  Check username, password/, 'a wrong password');
is((run("SELECT status FROM mongo_migrate.preflight('shop') WHERE \"check\" = 'connection'"))[0], 'fail', 'preflight() says so');
$node->safe_psql('postgres', "ALTER USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (SET password 'top-secret')");
is((run("SELECT inserted, complete FROM mongo_migrate.migrate_collection('shop', 'orders', workers => 0)"))[0], '1|t', 'the right one');
$node->safe_psql('postgres', "ALTER USER MAPPING FOR CURRENT_USER SERVER shop OPTIONS (SET password 'not-this-secret')");
($out, $err) = run("SELECT * FROM mongo_migrate.verify_sample('shop', 'orders')");
like($err, qr/ERROR:  error while connecting.*HINT:  Check username, password/s, 'a password that was changed');
unlike($err, qr/secret/, 'which no message shows');

$node->stop;
done_testing();

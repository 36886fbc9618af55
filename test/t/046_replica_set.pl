# A source of several members: read from the secondaries, one of which dies in the midst; a primary that steps down.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PsqlSession;
use Test::More;
use Time::HiRes qw(usleep);

my $documents = 100000;    # several ranges of _id, each of more than one reply
my @members = MongoServer->set(3);
my $all_have = '"writeConcern": {"w": 3}';
$members[0]->generate('shop', 'orders', [ 0, $documents ], '{"n": 1, "items": [{"sku": "a"}, {"sku": "b"}]}');

my $node = PostgreSQL::Test::Cluster->new('replica_set');
$node->init;
$node->start;
sub query { return $node->safe_psql('postgres', $_[0]); }
query('CREATE EXTENSION mongo_migrate');

# A host that is not there is the first to be tried.
my $uri = $members[0]->set_uri =~ s/127/'127.0.0.1:' . MongoServer::free_port() . ',127'/er;
query("CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'shop', read_preference 'secondary')");

# How often a member was asked for documents.
sub queries
{
	my ($member) = @_;
	my $totals = $member->command('admin', '{"top": 1}')->{totals}{'shop.orders'};
	return $totals->{queries}{count} + $totals->{getmore}{count};
}

# How many cursors over the documents a member has, whether it is asked for more of them or not.
sub cursors
{
	my ($member) = @_;
	return scalar @{ $member->command('admin', '{"aggregate": 1, "cursor": {}, "pipeline": [{"$currentOp": {"idleCursors": true, "allUsers": true}},'
		  . ' {"$match": {"ns": "shop.orders", "cursor": {"$exists": true}}}]}')->{cursor}{firstBatch} };
}

# Starts a migration, which a lock holds in its midst while $meanwhile runs. Returns what psql printed.
sub migrate_and
{
	my ($meanwhile) = @_;
	my ($holder, $session) = map { PsqlSession->new($node) } 1 .. 2;
	$holder->ask('SELECT pg_advisory_lock(1)');
	$session->send("SELECT complete FROM mongo_migrate.migrate_collection('shop', 'orders', batch_size => 100, workers => 1)");
	ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM mongo_migrate.workers WHERE wait_event = 'advisory' AND documents > 0"),
		'the worker is held');
	my $done = eval { $meanwhile->(); 1 };
	my $error = $@;
	$holder->finish;
	my ($out) = $session->result;
	die $error unless $done;
	return $out;
}

my $counts = 'SELECT count(*), count(DISTINCT n), (SELECT count(*) FROM orders_items) FROM orders';
my $all = "$documents|$documents|" . 2 * $documents;

# Planning, copy and verification ask the secondaries alone.
query("SELECT mongo_migrate.plan_collection('shop', 'orders')");
query("SELECT mongo_migrate.apply_ddl('shop')");
query('CREATE FUNCTION hold(n integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS '
	  . q('BEGIN IF n % 1000 = 800 THEN PERFORM pg_catalog.pg_advisory_xact_lock_shared(1); END IF; RETURN n; END'));
query('CREATE INDEX ON orders (hold(n))');
my @before = map { queries($_) } @members;
my $victim;
my ($out) = migrate_and(sub {
	($victim) = grep { cursors($members[$_]) } 1, 2;
	die 'no secondary has a cursor' unless $victim;
	$members[$victim]->kill9;
});
is($out, 't', 'it completes when a secondary that it reads has died');
is(query($counts), $all, 'every document once, with its child rows');
is(query("SELECT count(*) FROM mongo_migrate.verify_sample('shop', 'orders')"), 0, 'and as it was');
is(queries($members[0]), $before[0], 'the primary was not asked');
cmp_ok(queries($members[ 3 - $victim ]), '>', $before[ 3 - $victim ], 'but the other secondary');

# What is written goes to the primary.
query("CREATE FOREIGN TABLE notes (_id integer, note text) SERVER shop OPTIONS (collection 'notes')");
query("INSERT INTO notes VALUES (1, 'one')");
is($members[0]->command('shop', '{"count": "notes"}')->{n}, 1, 'rows of a foreign table go to the primary');

# A sync reads documents that have changed from a secondary, which may be behind: what was noted is what it reads.
sub follow
{
	my ($member, $state) = @_;
	$member->command('shop', '{"update": "things", "updates": [{"q": {}, "u": {"$set": {"state": "' . $state . '"}}, "multi": true}]}');
	$member->command('shop', qq({"insert": "things", "documents": [{"state": "$state"}]}));
	my $count = $member->command('shop', '{"count": "things"}')->{n};
	ok($node->poll_query_until('postgres', "SELECT pending = 0 AND (SELECT count(*) FROM things) = $count FROM mongo_migrate.sync_status WHERE server = 'shop'"),
		"$state: all is applied") || diag(query('SELECT * FROM mongo_migrate.sync_status'));
	is(query("SELECT count(*) FROM things WHERE state <> '$state'"), 0, "$state: and none as it was before");
	return;
}
$members[$victim]->start;
$members[0]->command('shop', '{"insert": "things", "documents": [' . join(', ', ('{"state": "new"}') x 50) . "], $all_have}");
query("SELECT mongo_migrate.start_sync('shop')");
query("SELECT complete FROM mongo_migrate.migrate_collection('shop', 'things')");
follow($members[0], 'by a secondary');

# So does a copy: what the stream is past when it begins, no event tells.
my @secondaries = @members[ $victim, 3 - $victim ];

sub lag
{
	my ($mode, @lagging) = @_;
	$_->command('admin', qq({"configureFailPoint": "rsSyncApplyStop", "mode": "$mode"})) foreach @lagging;
	return;
}

sub change
{
	my ($collection, $concern) = @_;
	$members[0]->command('shop', qq({"update": "$collection", "updates": [{"q": {}, "u": {"\$set": {"state": "changed"}}, "multi": true}], "writeConcern": {"w": $concern}}));
	return;
}

# Copies a collection, and has its members go on when one of them waits with an answer.
sub copy_from
{
	my ($server, $collection, @lagging) = @_;
	my $session = PsqlSession->new($node);
	my $tries = 3600;
	$session->send("SELECT complete FROM mongo_migrate.migrate_collection('$server', '$collection')");
	until (query("SELECT count(*) FROM mongo_migrate.chunk WHERE collection = '$collection' AND complete")
		|| grep { @{ $_->command('admin', qq({"aggregate": 1, "cursor": {}, "pipeline": [{"\$currentOp": {"allUsers": true}}, {"\$match": {"command.find": "$collection",)
				  . ' "command.readConcern.afterClusterTime": {"$exists": true}}}]}')->{cursor}{firstBatch} } } @lagging)
	{
		die "'$collection' is not copied: " . query('SELECT * FROM mongo_migrate.chunk') if --$tries == 0;
		usleep(50_000);
	}
	lag('off', @lagging);
	is(($session->result)[0], 't', "$collection is copied");
	is(query("SELECT state, count(*) FROM $collection GROUP BY 1"), 'changed|50', "$collection as it was when the sync went past it");
	return;
}
$members[0]->command('shop', qq({"insert": "$_", "documents": [) . join(', ', ('{"state": "new"}') x 50) . "], $all_have}") foreach qw(few many);
query("CREATE SERVER anew FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'shop', read_preference 'secondary')");
query("SELECT mongo_migrate.plan_collection('anew', 'few'), mongo_migrate.plan_collection('shop', 'many')");

# A change that a majority does not have yet.
lag('alwaysOn', @secondaries);
change('few', 1);
query("SELECT mongo_migrate.start_sync('anew'); SELECT mongo_migrate.stop_sync('anew')");
copy_from('anew', 'few', @secondaries);

# One that all have but the member that is read.
query("SELECT mongo_migrate.stop_sync('shop')");
lag('alwaysOn', $secondaries[1]);
change('many', '"majority"');
query("SELECT mongo_migrate.start_sync('shop', from_now => true)");
$secondaries[0]->kill9;
copy_from('shop', 'many', $secondaries[1]);
query("SELECT mongo_migrate.stop_sync('shop')");

# The primary, asked itself, steps down for good: the migration goes on with the new one.
$members[$victim]->start;
query("ALTER SERVER shop OPTIONS (SET read_preference 'primary')");
query("SELECT mongo_migrate.reset_collection('shop', 'orders', truncate => true)");
my ($primary) = grep { $_->is_primary } @members;
my $new;
($out) = migrate_and(sub {
	my $tries = 3600;
	is(cursors($primary), 1, 'the primary is read');
	usleep(50_000) until eval { $primary->command('admin', '{"replSetStepDown": 600, "secondaryCatchUpPeriodSecs": 30}'); 1 }
	  || !$primary->is_primary || --$tries == 0;
	usleep(50_000) until (($new) = grep { $_->is_primary } @members) || --$tries <= 0;
	$primary->kill9;
});
is($out, 't', 'it completes when the primary has stepped down and is gone');
is(query($counts), $all, 'every document once');
ok($new && $new != $primary, 'there is another primary');
cmp_ok(queries($new), '>', 0, 'which was asked');
query("SELECT mongo_migrate.start_sync('shop')");
follow($new, 'by the new primary');
query("SELECT mongo_migrate.stop_sync('shop')");
query("INSERT INTO notes VALUES (2, 'two')");
is($new->command('shop', '{"count": "notes"}')->{n}, 2, 'and written to');

$node->stop;
done_testing();

# What operators do with the database between a copy and the end: what is restored or renamed goes on, or says what is missing.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $mongo = MongoServer->new;
$mongo->command('shop', '{"insert": "users", "documents": [' . join(',', map { qq({"_id": "u$_", "name": "user $_"}) } 0 .. 9) . ']}');
$mongo->command('shop', '{"insert": "orders", "documents": ['
	  . join(',', map { qq({"_id": "o$_", "n": $_, "user": "u) . $_ % 10 . '"}' } 1 .. 100) . ']}');

my $node = PostgreSQL::Test::Cluster->new('state');
$node->init(allows_streaming => 'logical');
$node->start;
my $tmp = PostgreSQL::Test::Utils::tempdir;

sub query { my ($database, $sql) = @_; return $node->safe_psql($database, $sql); }
sub failure { my ($database, $sql) = @_; my (undef, undef, $err) = $node->psql($database, $sql); return $err; }

# A database that follows the source, of which all is copied.
sub following
{
	my ($database) = @_;
	query('postgres', "CREATE DATABASE $database");
	query($database, "CREATE EXTENSION mongo_migrate; CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '" . $mongo->uri . "', database 'shop');"
		  . " SELECT mongo_migrate.start_sync('shop')");
	query($database, "SELECT count(mongo_migrate.plan_collection('shop', c)) FROM unnest(ARRAY['users', 'orders']) AS c");
	query($database, "SELECT count(*) FROM mongo_migrate.migrate_all('shop')");
	return;
}

# A copy of a database by pg_dump, with its options.
sub copied
{
	my ($from, $to, @options) = @_;
	$node->command_ok([ 'pg_dump', @options, '-f', "$tmp/$to.sql", $node->connstr($from) ], "$to: pg_dump @options");
	query('postgres', "CREATE DATABASE $to");
	$node->command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr($to), '-f', "$tmp/$to.sql" ], "$to: restored");
	return;
}

sub state_becomes
{
	my ($database, $condition, $name) = @_;
	return ok($node->poll_query_until($database, "SELECT $condition FROM mongo_migrate.sync_status"), $name)
	  || diag(query($database, 'SELECT * FROM mongo_migrate.sync_status'));
}

sub stop
{
	my ($database) = @_;
	query($database, 'SELECT mongo_migrate.stop_sync(server) FROM mongo_migrate.sync');
	ok($node->poll_query_until('postgres', "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE datname = '$database' AND backend_type = 'mongo_migrate sync')"), "nobody follows in $database");
	return;
}

sub change_orders
{
	$mongo->command('shop', '{"update": "orders", "updates": [{"q": {}, "u": {"$inc": {"n": 1000}}, "multi": true}]}');
	return;
}

my $rows = 'SELECT count(*), count(DISTINCT n), count(user_id) FROM orders';
following('whole');
is(query('whole', $rows), '100|100|100', 'all is copied');

# An id map that was not restored with the rows, or not its rows: no document gets another id, whoever writes it.
foreach my $collection ('orders', 'users')
{
	my $map = query('whole', "SELECT relation FROM mongo_migrate.id_map WHERE collection = '$collection'");
	foreach my $option ('--exclude-table', '--exclude-table-data')
	{
		my $what = $option =~ /data/ ? 'is empty' : 'does not exist';
		my $copy = "without_$collection" . ($option =~ /data/ ? '_data' : '');
		my $error = qr/id map \Q$map\E \Q$what\E, and documents with its ids were migrated\n.*Restore .*SELECT mongo_migrate\.reset_collection\('shop', '$collection', truncate => true\)/s;
		copied('whole', $copy, "$option=$map");
		like(failure($copy, "SELECT mongo_migrate.migrate_collection('shop', 'orders')"), $error, "$copy: a further pass is refused");
		query($copy, "SELECT mongo_migrate.start_sync('shop')");
		change_orders();
		state_becomes($copy, 'error IS NOT NULL', "$copy: the sync cannot go on");
		like(query($copy, 'SELECT error FROM mongo_migrate.sync_status'), $error, 'and says why');
		is(query($copy, $rows), '100|100|100', 'the rows are as they were');
		if ($option eq '--exclude-table')
		{
			like(failure($copy, "SELECT mongo_migrate.verify_full('shop', 'orders')"), $error, "$copy: no verification");
			like(failure($copy, "SELECT mongo_migrate.target_id('shop', '$collection', '1')"), $error, "$copy: no id");
		}
		stop($copy);
	}
}
# What several jobs of pg_restore may leave of a plan, where their errors were passed over.
copied('whole', 'jobs');
query('jobs', 'DELETE FROM mongo_migrate.plan_column');
like(failure('jobs', "SELECT mongo_migrate.migrate_collection('shop', 'orders')"), qr/it has no column of role id\n.*It has no column at all: where pg_restore -j had errors/s, 'a plan without columns is refused');

# It goes on when the map is there again.
my $map = query('whole', "SELECT relation FROM mongo_migrate.id_map WHERE collection = 'users'");
$node->command_ok([ 'pg_dump', '-t', $map, '--data-only', '-f', "$tmp/map.sql", $node->connstr('whole') ], 'the rows of a map');
$node->command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('without_users_data'), '-f', "$tmp/map.sql" ], 'are restored');
query('without_users_data', "SELECT mongo_migrate.start_sync('shop')");
state_becomes('without_users_data', 'error IS NULL AND pending = 0 AND replaced > 0', 'the sync goes on');
is(query('without_users_data', "SELECT count(*) FROM mongo_migrate.verify_full('shop', 'orders')"), 0, 'as in the source');
stop('without_users_data');
# Tables without rows are no wonder where all documents were deleted.
state_becomes('whole', 'pending = 0', 'the whole has followed');
$mongo->command('shop', '{"delete": "orders", "deletes": [{"q": {}, "limit": 0}]}');
ok($node->poll_query_until('whole', 'SELECT count(*) = 0 FROM orders'), 'all documents are deleted');
is(query('whole', "SELECT documents, complete FROM mongo_migrate.migrate_collection('shop', 'orders')"), '0|t', 'a further pass of nothing');

# A server that gets another name. What ALTER SERVER leaves behind is not migrated again.
following('renamed');
query('renamed', 'ALTER SERVER shop RENAME TO store');
like(failure('renamed', "SELECT mongo_migrate.migrate_collection('store', 'users')"),
	qr/ERROR:  collection "users" was migrated from server "shop", which does not exist any more\n.*HINT:  If it was renamed: SELECT mongo_migrate\.rename_server\('shop', 'store'\)/s,
	'nothing is migrated again by the new name');
like(failure('renamed', "SELECT mongo_migrate.rename_server('shop', 'store')"), qr/changes of server "shop" are followed by another session\n.*The process of that session is \d+/s,
	'a sync is to be stopped before');
stop('renamed');
query('renamed', "SELECT mongo_migrate.rename_server('shop', 'store')");
is(query('renamed', "SELECT string_agg(c.relname, ',') FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid WHERE c.relnamespace = 'mongo_migrate'::regnamespace AND c.relkind = 'r'"
		  . " AND a.attname = 'server' AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')"), '', 'every table with a name of a server is the extension\'s');
is(query('renamed', 'SELECT DISTINCT server FROM mongo_migrate.progress'), 'store', 'the plans have the new name');
query('renamed', "SELECT mongo_migrate.start_sync('store')");
$mongo->command('shop', '{"insert": "users", "documents": [{"_id": "later", "name": "later"}]}');
ok($node->poll_query_until('renamed', "SELECT EXISTS (SELECT FROM users WHERE name = 'later')"), 'the sync goes on from where it was');
is(query('renamed', "SELECT skipped, inserted FROM mongo_migrate.migrate_collection('store', 'users')"), '11|0', 'and so does the migration');
is(query('renamed', "SELECT count(*) FROM mongo_migrate.verify_full('store', 'users')"), 0, 'all as in the source');
stop('renamed');
like(failure('renamed', "SELECT mongo_migrate.rename_server('shpo', 'store')"), qr/ERROR:  server "shpo" does not exist, and nothing was migrated by that name$/m, 'a name that nobody knows is none');
query('renamed', "SELECT mongo_migrate.rename_server('store', 'shop')");
is(query('renamed', 'SELECT srvname FROM pg_foreign_server'), 'shop', 'both are renamed at once');
query('renamed', "SELECT mongo_migrate.start_sync('shop')");
state_becomes('renamed', "state = 'running'", 'the sync runs');
query('renamed', "SELECT mongo_migrate.cutover('shop')");
stop('renamed');
like(failure('renamed', "SELECT mongo_migrate.rename_server('shop', 'store')"), qr/server "shop" is cut over, and cannot be renamed\n/, 'but not while it is cut over');
query('renamed', 'ALTER SERVER shop RENAME TO store');
like(failure('renamed', "SELECT mongo_migrate.rename_server('shop', 'store')"), qr/Until then: ALTER SERVER store RENAME TO shop;/, 'where it has been, back');

# Copies of a database that is cut over do not write where it writes.
sub user { return $mongo->command('shop', '{"find": "users", "filter": {"_id": "u1"}}')->{cursor}{firstBatch}[0]{name}; }

sub user_becomes
{
	my ($name, $what) = @_;
	my $tries = 1800;
	usleep(100_000) until user() eq $name || --$tries == 0;
	return is(user(), $name, $what);
}
following('original');
query('original', "SELECT mongo_migrate.cutover('shop')");
query('original', "UPDATE users SET name = 'of the original' WHERE name = 'user 1'");
user_becomes('of the original', 'what is cut over writes');
stop('original');
query('original', "UPDATE users SET name = 'noted' WHERE name = 'of the original'");
copied('original', 'restored');
query('postgres', 'CREATE DATABASE templated TEMPLATE original');
my $refusal = qr/server "shop" was cut over in another database, of which this is a copy\n.*HINT:  .*SELECT mongo_migrate\.take_over\('shop'\)/s;
foreach my $copy ('restored', 'templated')
{
	query($copy, "UPDATE users SET name = 'of the copy' WHERE name = 'noted'");
	like(failure($copy, "SELECT mongo_migrate.start_sync('shop')"), $refusal, "$copy: no sync");
	like(failure($copy, "CALL mongo_migrate.follow_changes('shop', once => true)"), qr/server "shop" was cut over in another database/, 'nor by hand');
}
is(user(), 'of the original', 'no copy has written');
query('original', "SELECT mongo_migrate.start_sync('shop')");
user_becomes('noted', 'the original goes on');
stop('original');
query('postgres', 'ALTER DATABASE original RENAME TO other');
query('other', "SELECT mongo_migrate.start_sync('shop')");
query('other', "UPDATE users SET name = 'renamed' WHERE name = 'noted'");
user_becomes('renamed', 'by another name, too');
stop('other');

# PostgreSQL has been recovered from its WAL, as to a point in time or as a standby that is promoted.
$node->stop;
$node->append_conf('postgresql.conf', "restore_command = 'false'");
$node->set_recovery_mode;
$node->start;
$node->poll_query_until('other', 'SELECT NOT pg_is_in_recovery()') or die 'it is not recovered';
like(failure('other', "SELECT mongo_migrate.start_sync('shop')"), qr/PostgreSQL was recovered, or promoted, after server "shop" was cut over\n.*HINT:  .*SELECT mongo_migrate\.take_over\('shop'\)/s,
	'a sync that was cut over is not started after a recovery');
query('other', "SELECT mongo_migrate.take_over('shop'); SELECT mongo_migrate.start_sync('shop')");
query('other', "UPDATE users SET name = 'recovered' WHERE name = 'renamed'");
user_becomes('recovered', 'but when that is said');
stop('other');

# One of them takes its place.
query('restored', "SELECT mongo_migrate.take_over('shop'); SELECT mongo_migrate.start_sync('shop')");
user_becomes('of the copy', 'a copy that has taken over writes');
query('restored', "SELECT mongo_migrate.rollback_cutover('shop')");
like(failure('restored', "SELECT mongo_migrate.take_over('shop')"), qr/server "shop" is not cut over/, 'then there is nothing to take over');
stop('restored');

# MongoDB was switched off before finalize() was called.
query('templated', "SELECT mongo_migrate.take_over('shop'); ALTER SERVER shop OPTIONS (SET uri 'mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=500'); SELECT mongo_migrate.start_sync('shop')");
state_becomes('templated', 'error IS NOT NULL AND pending > 0', 'rows wait for a MongoDB that is gone');
like(failure('templated', "SELECT mongo_migrate.finalize('shop', timeout => '1 second')"), qr/rows that have changed: \d+ are still to be followed\n.*Where MongoDB is gone for good: SELECT mongo_migrate\.finalize\('shop', incomplete => true\);/s,
	'what is noted is not given up unasked');
like(failure('templated', "SELECT mongo_migrate.rollback_cutover('shop', timeout => '1 second', incomplete => true)"), qr/are still to be followed/, 'nor on the way back');
like(failure('templated', "SELECT mongo_migrate.finalize('shop', timeout => '10 seconds', incomplete => true)"), qr/WARNING:  documents of server "shop" that could not be written stay as they are: \d+$/, 'but for good, where that is said');
is(query('templated', 'SELECT (SELECT count(*) FROM mongo_migrate.sync), (SELECT count(*) FROM mongo_migrate.row_change)'), '0|0', 'that is the end of it');
ok($node->poll_query_until('templated', "SELECT NOT EXISTS (SELECT FROM pg_trigger WHERE tgname ~ 'mongo_migrate')"), 'and of the triggers');

# A subscriber has rows, and neither what is made later nor what sequences are at: it goes on all the same.
my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init;
$subscriber->start;
following('published');
query('published', "SELECT count(*) FROM mongo_migrate.verify_full('shop', 'users')");
query('published', 'CREATE PUBLICATION everything FOR ALL TABLES');
$node->command_ok([ 'pg_dump', '-s', '--no-publications', '-f', "$tmp/schema.sql", $node->connstr('published') ], 'the schema');
$subscriber->command_ok([ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $subscriber->connstr('postgres'), '-f', "$tmp/schema.sql" ], 'is made anew');
$subscriber->safe_psql('postgres', "CREATE SUBSCRIPTION everything CONNECTION '" . $node->connstr . " dbname=published' PUBLICATION everything");
$subscriber->wait_for_subscription_sync($node, 'everything', 'postgres');
$mongo->command('shop', '{"insert": "users", "documents": [{"_id": "published", "name": "published"}]}');
ok($subscriber->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM users WHERE name = 'published')"), 'rows come to a subscriber');
stop('published');
$node->wait_for_catchup('everything');
$subscriber->safe_psql('postgres', 'DROP SUBSCRIPTION everything');
$subscriber->safe_psql('postgres', "SELECT mongo_migrate.start_sync('shop')");
$mongo->command('shop', '{"insert": "users", "documents": [{"_id": "subscribed", "name": "subscribed"}]}');
ok($subscriber->poll_query_until('postgres', "SELECT count(*) = 1 FROM users WHERE name = 'subscribed'"), 'it follows the source from where the other was')
  || diag($subscriber->safe_psql('postgres', 'SELECT * FROM mongo_migrate.sync_status; SELECT source_id, reason FROM mongo_migrate.quarantine'));
is($subscriber->safe_psql('postgres', 'SELECT name FROM users ORDER BY id DESC LIMIT 1'), 'subscribed', 'with an id of its own');
is($subscriber->safe_psql('postgres', "SELECT skipped, inserted, complete FROM mongo_migrate.migrate_collection('shop', 'users')"), '13|0|t', 'a further pass');
is($subscriber->safe_psql('postgres', "SELECT count(*) FROM mongo_migrate.verify_full('shop', 'users')"), 0, 'all as in the source');
$mongo->command('shop', '{"insert": "later", "documents": [{"_id": 1}]}');
is($subscriber->safe_psql('postgres', "SELECT inserted, complete FROM mongo_migrate.migrate_collection('shop', 'later')"), '1|t', 'and another collection');
$subscriber->stop;

$node->stop;
done_testing();

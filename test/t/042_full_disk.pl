# A disk that fills up, in the copy and then under the keys: an error that says so, and the next call goes on.
# The disk is a tablespace on a tmpfs, in a mount namespace that this script makes for itself.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use File::Temp qw(tempdir);
use Test::More;

# Runs the script again where $MM_SMALL_DISK is a file system of 24 MB. The second namespace has our own user again: PostgreSQL
# refuses root.
BEGIN
{
	if (!$ENV{MM_SMALL_DISK})
	{
		my $dir = tempdir('disk-XXXXXX', TMPDIR => 1, CLEANUP => 1);
		my @ids = ("--map-user=$<", '--map-group=' . ($( + 0));
		my @namespace = ('unshare', '--user', '--map-root-user', '--mount', 'sh', '-c',
			'mount -t tmpfs -o size=24m,mode=0777 small "$0" && MM_SMALL_DISK=$0 exec "$@"', $dir, 'unshare', '--user', @ids);
		open my $silenced, '>&', \*STDERR or die $!;
		open STDERR, '>', '/dev/null' or die $!;
		my $possible = system(@namespace, 'true') == 0;
		open STDERR, '>&', $silenced or die $!;
		plan skip_all => 'this system lets no user mount a file system in a namespace' unless $possible;
		exit(system(@namespace, $^X, (map { "-I$_" } @INC), $0) >> 8);
	}
}

use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;

my $disk = $ENV{MM_SMALL_DISK};
my $documents = 60000;
my $mongo = MongoServer->new;
$mongo->generate('shop', 'orders', [ 0, $documents ],
	'{"n": 1, "text": "a text that is there to fill the disk", "items": [{"sku": "a"}, {"sku": "b"}]}');

my $node = PostgreSQL::Test::Cluster->new('full_disk');
$node->init;
# Nobody else takes of the disk, or gives back.
$node->append_conf('postgresql.conf', 'autovacuum = off');
$node->start;
mkdir "$disk/tablespace" or die $!;
$node->safe_psql('postgres', "CREATE TABLESPACE small LOCATION '$disk/tablespace'");
$node->safe_psql('postgres', 'CREATE EXTENSION mongo_migrate; CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate'
	  . " OPTIONS (uri '" . $mongo->uri . "', database 'shop')");
$node->safe_psql('postgres', 'ALTER DATABASE postgres SET default_tablespace = small');

sub query { return $node->safe_psql('postgres', $_[0]); }

# Takes all that is left of the disk, but for so many kB.
sub fill_disk
{
	my ($left) = @_;
	query('CHECKPOINT');
	my ($free) = `df --output=avail -k '$disk'` =~ /(\d+)\s*$/;
	system('dd', 'if=/dev/zero', "of=$disk/other", 'bs=1k', 'count=' . ($free - $left), 'status=none') == 0 or die 'dd';
	return;
}
sub empty_disk { return unlink "$disk/other"; }

sub migrate
{
	my ($out, $err) = ('', '');
	$node->psql('postgres', "\\set VERBOSITY verbose\nSELECT complete FROM mongo_migrate.migrate_collection('shop', 'orders')",
		stdout => \$out, stderr => \$err);
	return ($out, $err);
}
my $state = "SELECT state, phase FROM mongo_migrate.progress WHERE collection = 'orders'";
my $done = "SELECT coalesce(sum(documents), 0) FROM mongo_migrate.chunk WHERE collection = 'orders'";
my $full = qr/ERROR:  53100: migration of collection orders stopped: could not extend file .*No space left on device\n/;

# What must hold in the end.
sub check_result
{
	my ($name) = @_;
	is(query('SELECT count(*), count(DISTINCT id), count(DISTINCT n), (SELECT count(*) FROM orders_items) FROM orders'),
		"$documents|$documents|$documents|" . 2 * $documents, "$name: every document once, with its child rows");
	is(query("SELECT count(*), bool_and(convalidated) FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'f')"),
		'3|t', "$name: the keys stand");
	is(query('SELECT count(*) FROM mongo_migrate.quarantine'), 0, "$name: no document is blamed");
	return;
}

# The copy.
query("SELECT mongo_migrate.plan_collection('shop', 'orders')");
query("SELECT mongo_migrate.apply_ddl('shop', 'orders')");
fill_disk(4096);
my ($out, $err) = migrate();
like($err, qr/$full.*DETAIL:  [1-9]\d* documents in \d+ batches are committed\.\nHINT:  Check free disk space\.\nCall migrate_collection again/s,
	'a full disk ends the copy, and the error says what to do');
is(query($state), 'failed|copy', 'the run has failed');
my $before = query($done);
cmp_ok($before, '>', 0, "$before documents are committed");
is(query('SELECT count(*) FROM orders'), $before, 'and no others');
($out, $err) = migrate();
like($err, $full, 'as long as it is full, the next call fails as well');
empty_disk();
($out, $err) = migrate();
is($out, 't', 'with space it goes on');
check_result('in the copy');

# The keys: all is copied, and then the disk is full.
query("SELECT mongo_migrate.reset_collection('shop', 'orders', truncate => true)");
query('ALTER TABLE orders_items DROP CONSTRAINT orders_items_order_id_fkey');
query("ALTER TABLE $_ DROP CONSTRAINT ${_}_pkey") foreach qw(orders orders_items);
my $run = query("SELECT mongo_migrate.prepare_run('shop', 'orders', 1000, 1, 'quarantine', NULL, NULL)");
query("CALL mongo_migrate.copy_chunks($run)");
is(query($done), $documents, 'all is copied');
fill_disk(256);
($out, $err) = migrate();
like($err, $full, 'a full disk ends the making of keys');
is(query($state), 'failed|keys', 'the run has failed in that phase');
is(query("SELECT count(*) FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype = 'p'"), 0, 'without a key');
empty_disk();
($out, $err) = migrate();
is($out, 't', 'with space the next call makes them');
is(query('SELECT batches FROM mongo_migrate.run_report ORDER BY run_id DESC LIMIT 1'), 0, 'and copies nothing again');
check_result('under the keys');

$node->stop;
done_testing();

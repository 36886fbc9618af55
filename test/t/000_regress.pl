# The pg_regress tests of sql/schedule, one TAP test each. REGRESS_TESTS names
# some of them; default all.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my $out = $PostgreSQL::Test::Utils::tmp_check . '/regress';
my $mongo = MongoServer->shared;
my $node = PostgreSQL::Test::Cluster->new('regress');

$node->init(extra => [ '--locale=C.UTF-8', '--encoding=UTF8' ]);
$node->append_conf('postgresql.conf', "max_worker_processes = 20
# Or a slow machine, or valgrind, has messages where nothing is expected.
mongo_migrate.progress_interval = 0");
$node->start;

my @tests = split ' ', $ENV{REGRESS_TESTS} // '';
@tests = ("--schedule=$top/sql/schedule") unless @tests;
mkdir $out;
$ENV{MONGO_URI} = $mongo->uri;
my $output = '';
my $complete = IPC::Run::run(
	[
		$ENV{PG_REGRESS}, "--inputdir=$top", "--outputdir=$out", '--bindir=',
		'--load-extension=mongo_migrate', '--host=' . $node->host, '--port=' . $node->port,
		'--user=' . $ENV{USER}, @tests
	],
	'>&', \$output);

# PostgreSQL 15 prints "test NAME ... ok", later releases TAP of their own.
my $count = 0;
my $failed = 0;
foreach my $line (split /\n/, $output)
{
	my ($name, $passed);
	if ($line =~ /^test (\S+)\s+\.\.\. (ok|FAILED)/) { ($name, $passed) = ($1, $2 eq 'ok'); }
	elsif ($line =~ /^(ok|not ok)\s+\d+\s+[-+] (\S+)/) { ($name, $passed) = ($2, $1 eq 'ok'); }
	else { next; }
	$count++;
	ok($passed, "sql/$name.sql") or $failed++;
}
if (-s "$out/regression.diffs")
{
	diag(slurp_file("$out/regression.diffs"));
}
# It ends before the last test when one has no file of expected output.
elsif (!$count || (!$complete && !$failed))
{
	fail('pg_regress runs all tests');
	diag($output);
}

$node->stop;
done_testing();

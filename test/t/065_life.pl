# Whole lives of a migration at random: copied, killed, followed, changed over, written back and gone back, by a model of
# what each document becomes (../model/life.py). MM_SEED (1) is the first one's seed; MM_SECONDS (0) is for how long others
# begin after it, each with the next seed; MM_STEPS (15) is how long one is.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{MM_SEED} || 1;
my $until = time + ($ENV{MM_SECONDS} || 0);
my $mongo = MongoServer->shared;
my $node = PostgreSQL::Test::Cluster->new('life');
$node->init;
$node->append_conf('postgresql.conf', "timezone = 'UTC'\nclient_min_messages = warning\nmax_worker_processes = 16");
$node->start;

do
{
	$node->safe_psql('postgres', 'CREATE DATABASE life');
	$node->safe_psql('life', 'CREATE EXTENSION mongo_migrate; CREATE SERVER s FOREIGN DATA WRAPPER mongo_migrate'
		  . " OPTIONS (uri '" . $mongo->uri . "', database 'mm_test_life')");
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	local $ENV{PGDATABASE} = 'life';
	local $ENV{CRASH} = sprintf "pg_ctl -D '%s' -l '%s' -m immediate -w restart", $node->data_dir, $node->logfile;
	my $out = '';
	my $lived = IPC::Run::run [ '/usr/bin/python3', "$FindBin::RealBin/../model/life.py", $mongo->uri, 'mm_test_life', $seed, $ENV{MM_STEPS} || 15 ],
	  '>', \$out, '2>', \$out;
	ok($lived, "seed $seed") or diag($out);
	exit 1 unless $lived;
	$node->safe_psql('postgres', 'DROP DATABASE life WITH (FORCE)');
	$seed++;
} while (time < $until);

$node->stop;
done_testing();

# Verification by pg_cron, and its alerts.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mongo = MongoServer->shared;
my $uri = $mongo->uri;
my $node = PostgreSQL::Test::Cluster->new('schedule');
$node->init;
my $has_cron = -e $node->config_data('--pkglibdir') . '/pg_cron.so';
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_cron'\ncron.database_name = 'postgres'\n") if $has_cron;
$node->start;
$mongo->command('mm_test_schedule', $_) foreach '{"dropDatabase": 1}', '{"insert": "a", "documents": [{"_id": 1, "x": 1}, {"_id": 2, "x": 2}]}',
  '{"insert": "b", "documents": [{"_id": 1, "x": 1}]}', '{"insert": "c", "documents": [{"_id": 1}]}';
$node->safe_psql('postgres', <<"END");
SET client_min_messages = error;
CREATE EXTENSION mongo_migrate;
CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'mm_test_schedule');
CREATE USER MAPPING FOR CURRENT_USER SERVER shop;
END

# Anybody's functions of these names are not called.
$node->safe_psql('postgres', 'CREATE SCHEMA cron; CREATE FUNCTION cron.schedule(text, text, text) RETURNS bigint LANGUAGE sql AS $$ SELECT 1/0 $$');
my ($status, $out, $error) = $node->psql('postgres', "SELECT mongo_migrate.schedule_verification('shop', '0 2 * * *')");
like($error, qr/ERROR:  server "shop" has no plan\n/, 'no plan');
$node->safe_psql('postgres', <<"END");
SET client_min_messages = error;
SELECT mongo_migrate.migrate_collection('shop', 'a'), mongo_migrate.migrate_collection('shop', 'b');
SELECT mongo_migrate.plan_collection('shop', 'c');
END
($status, $out, $error) = $node->psql('postgres', "SELECT mongo_migrate.schedule_verification('shop', '0 2 * * *', tolerance => 1)");
like($error, qr/ERROR:  extension "pg_cron" is not in this database\n.*\nHINT:  .*SELECT mongo_migrate\.verify_all\('shop', 1, 1000\);/s, 'no pg_cron');
$node->safe_psql('postgres', 'DROP SCHEMA cron CASCADE');

# All is well; then a row is changed in one table, and another loses a column: the rest is verified all the same.
my $alerts = "LISTEN mongo_migrate; SELECT mongo_migrate.verify_all('shop', 0, 100)";
($status, $out, $error) = $node->psql('postgres', $alerts);
is("$out|$error", 't|', 'all is well');
$node->safe_psql('postgres', 'UPDATE b SET x = 5; ALTER TABLE a DROP COLUMN x; DELETE FROM a WHERE id = 1');
($status, $out, $error) = $node->psql('postgres', $alerts);
like($out, qr/^f\n/, 'all is not');
is(join("\n", $error =~ /^(?:psql:<stdin>:\d+: )?WARNING:  (.*)$/mg), <<'END' =~ s/\n\z//r, 'a warning for each');
verification of collection "a" of server "shop" failed: 1 count
verification of collection "a" of server "shop" failed: column "x" of the plan of collection "a" does not exist in table public.a
verification of collection "b" of server "shop" failed: 1 mismatch
END
is(join("\n", $out =~ /payload "(.*)" received/g), <<'END' =~ s/\n\z//r, 'a notification for each');
{"alert":"verification","server":"shop","collection":"a","verification_id":4,"findings":{"count":1}}
{"alert":"verification","server":"shop","collection":"a","error":"column \"x\" of the plan of collection \"a\" does not exist in table public.a"}
{"alert":"verification","server":"shop","collection":"b","verification_id":6,"findings":{"mismatch":1}}
END

# A collection that cannot even be counted.
$node->safe_psql('postgres', q(UPDATE mongo_migrate.plan_target SET filter = '{"x": {"$nonesuch": 1}}' WHERE collection = 'a'));
($status, $out, $error) = $node->psql('postgres', $alerts);
like($out, qr/^f\n/, 'all is not');
is(join("\n", $out =~ /"collection":"(.*?")[,}]/g), qq(a"\na"\nb"), 'a notification of its error, twice, and of the others');
is($node->safe_psql('postgres', "SELECT collection, ok, count FROM mongo_migrate.verification_report WHERE kind = 'counts' ORDER BY 1"),
	"a|f|1\nb|t|0\nc|f|1", 'and the report does not say that all is well');

# A table that is gone is no table that has not been made.
$node->safe_psql('postgres', 'DROP TABLE b');
($status, $out, $error) = $node->psql('postgres', "SELECT mongo_migrate.verify_all('shop', 0, 100)");
like($error, qr/failed: table public\.b of the plan of collection "b" does not exist\n/, 'a table that was dropped is missed');
unlike($error, qr/collection "c"/, 'unlike one that has not been migrated');

SKIP:
{
	skip 'no pg_cron', 3 unless $has_cron;
	$node->safe_psql('postgres', 'CREATE EXTENSION pg_cron');
	$node->safe_psql('postgres', "SELECT mongo_migrate.schedule_verification('shop', '$_', tolerance => 100, sample_size => 50)")
	  foreach '0 2 * * *', '0 3 * * *';
	is($node->safe_psql('postgres', 'SELECT jobname, schedule, command, database FROM cron.job'),
		"mongo_migrate verification of shop|0 3 * * *|SELECT mongo_migrate.verify_all('shop', 100, 50)|postgres", 'one job a server');
	is($node->safe_psql('postgres', "SELECT mongo_migrate.verify_all('shop', 100, 50)"), 'f', 'what the job runs');
	$node->safe_psql('postgres', "SELECT mongo_migrate.schedule_verification('shop', NULL)");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM cron.job'), 0, 'no more');
}

$mongo->command('mm_test_schedule', '{"dropDatabase": 1}');
$node->stop;
done_testing();

# Random mutations of BSON through everything that reads BSON: the corpus of the MongoDB specifications, where it is
# there, and documents of our own. FUZZ_MUTATIONS says how many, FUZZ_SEED which. ./dev fuzz runs it, with sanitizers.
use strict;
use warnings;

use FindBin;
use JSON::PP;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mutations = $ENV{FUZZ_MUTATIONS} || 20000;
my $seed = $ENV{FUZZ_SEED} // time;
my $call = 50_000;    # mutations of a statement
my $data = ($ENV{MM_DATA} // "$FindBin::RealBin/../../../shared/data") . '/bson-corpus';

my @types = ('boolean', 'smallint', 'integer', 'bigint', 'real', 'double precision', 'numeric', 'numeric(10,2)', 'text',
	'varchar(3)', 'char(4)', 'name', 'bytea', 'uuid', 'date', 'timestamp', 'timestamptz(0)', 'json', 'jsonb',
	'mongo_migrate.objectid', 'boolean[]', 'integer[]', 'bigint[]', 'double precision[]', 'numeric[]', 'text[]',
	'varchar(3)[]', 'timestamptz[]', 'uuid[]', 'jsonb[]', 'mongo_migrate.objectid[]', 'fuzz_enum', 'fuzz_domain', 'key');

# Documents in canonical Extended JSON.
my $deep = '{"$numberInt": "1"}';
$deep = $_ % 2 ? qq({"d": $deep}) : "[$deep]" foreach 1 .. 60;
my @documents = (
	'{"_id": {"$oid": "65a000000000000000000001"}, "b": true, "i": {"$numberInt": "-7"}, "l": {"$numberLong": "9007199254740993"},'
	  . ' "f": {"$numberDouble": "1.5"}, "d": {"$numberDecimal": "12345678901234567890.10"}, "s": "text", "n": null,'
	  . ' "t": {"$date": {"$numberLong": "1700000000123"}}, "u": {"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "04"}},'
	  . ' "x": {"$binary": {"base64": "AAEC", "subType": "00"}}, "ts": {"$timestamp": {"t": 1700000000, "i": 1}},'
	  . ' "re": {"$regularExpression": {"pattern": "a.b", "options": "im"}}, "min": {"$minKey": 1}, "max": {"$maxKey": 1},'
	  . ' "code": {"$code": "f()"}, "scope": {"$code": "f()", "$scope": {"x": {"$numberInt": "1"}}}, "sym": {"$symbol": "sym"},'
	  . ' "undef": {"$undefined": true}, "ptr": {"$dbPointer": {"$ref": "db.c", "$id": {"$oid": "65a000000000000000000002"}}}}',
	'{"_id": {"$numberInt": "1"}, "address": {"city": "\\u0141\\u00f3d\\u017a", "zip": "90-001", "geo": {"lat": {"$numberDouble": "51.75"}}},'
	  . ' "items": [{"sku": "A-1", "qty": {"$numberInt": "2"}, "price": {"$numberDecimal": "5.00"}, "tags": ["a", "b"]},'
	  . ' {"sku": "B-7", "qty": {"$numberInt": "1"}, "price": {"$numberDouble": "9.99"}, "tags": []}], "empty": {}, "none": []}',
	'{"_id": {"a": {"$numberInt": "1"}, "b": ["x", {"c": null}]}, "ints": [{"$numberInt": "1"}, null, {"$numberLong": "3"}],'
	  . ' "words": ["red", "green", null], "dates": [{"$date": {"$numberLong": "-1"}}], "grid": [[{"$numberInt": "1"}], [{"$numberInt": "2"}]],'
	  . ' "ids": [{"$oid": "65a000000000000000000001"}, "65a000000000000000000002"], "uuids": [{"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "03"}}]}',
	'{"_id": "42", "nan": {"$numberDouble": "NaN"}, "inf": {"$numberDouble": "-Infinity"}, "zero": {"$numberDouble": "-0.0"},'
	  . ' "tiny": {"$numberDouble": "5e-324"}, "huge": {"$numberDouble": "1.7976931348623157e308"}, "dnan": {"$numberDecimal": "NaN"},'
	  . ' "dinf": {"$numberDecimal": "Infinity"}, "dtiny": {"$numberDecimal": "1E-6176"}, "dhuge": {"$numberDecimal": "9.999999999999999999999999999999999E+6144"},'
	  . ' "int2": {"$numberInt": "32768"}, "int4": {"$numberLong": "2147483648"}, "far": {"$date": {"$numberLong": "9223372036854775807"}}}',
	'{"_id": {"$numberLong": "5"}, "a.b": {"$numberInt": "1"}, "$": "dollar", "": "empty", "1": "one", "back\\\\slash": [{"$numberInt": "1"}],'
	  . ' "nul": "a\\u0000b", "emoji": "\\ud83d\\ude00", "latin": "\\u00e9", "red": "red", "iso": "2024-02-29T12:00:00Z"}',
	'{"deep": ' . $deep . ', "after": "' . 'x' x 3000 . '"}');

my @corpus;
foreach my $path (sort glob "$data/*.json")
{
	my $file = decode_json(slurp_file($path));
	push @corpus, map { $_->{canonical_bson} } @{ $file->{valid} || [] };
	push @corpus, grep { length > 10 } map { $_->{bson} } @{ $file->{decodeErrors} || [] };
}
note(scalar(@corpus) . " documents of the corpus in $data");

my $node = PostgreSQL::Test::Cluster->new('fuzz');
$node->init(extra => [ '--locale=C.UTF-8', '--encoding=UTF8' ]);
$node->append_conf('postgresql.conf', 'restart_after_crash = off');
$node->start;
$node->safe_psql('postgres', q{CREATE DATABASE utf8; CREATE DATABASE latin1 TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'});

my $bytes = join ', ', map { "'\\x$_'" } @corpus;
my $json = join ",\n", map { "(\$json\$$_\$json\$)" } @documents;
foreach my $database ('utf8', 'latin1')
{
	$node->safe_psql($database, <<"SQL");
SET client_encoding = 'UTF8';
CREATE EXTENSION mongo_migrate;
CREATE TYPE fuzz_enum AS ENUM ('red', 'green', 'text');
CREATE DOMAIN fuzz_domain AS integer CHECK (VALUE > 0);
CREATE FUNCTION fuzz(corpus bytea[], types text[], seed bigint, first bigint, count bigint, OUT well_formed bigint, OUT decoded bigint)
    LANGUAGE c AS '\$libdir/mongo_migrate', 'mm_fuzz';
CREATE FUNCTION fuzz_bytes(corpus bytea[], seed bigint, number bigint) RETURNS bytea
    LANGUAGE c AS '\$libdir/mongo_migrate', 'mm_fuzz_bytes';
CREATE TABLE corpus (documents bytea[]);
INSERT INTO corpus SELECT ARRAY[$bytes]::bytea[];
SQL
	# Our own many times, so that they are taken more often.
	$node->safe_psql($database, 'UPDATE corpus SET documents = documents || (SELECT array_agg(mongo_migrate.bson_from_json(j::json))'
		  . " FROM (VALUES $json) v(j), generate_series(1, 20))")
	  if $database eq 'utf8';
}
$node->safe_psql('latin1', sprintf q{UPDATE corpus SET documents = '%s'},
	$node->safe_psql('utf8', 'SELECT documents FROM corpus') =~ s/'/''/gr);

# After a crash or an error: the mutation at work, as a document to make a test of.
sub explain_failure
{
	my ($database, $error) = @_;
	my $number = -1;
	if ($error =~ /mutation (\d+) of seed/) { $number = $1; }
	elsif (open my $file, '<:raw', $node->data_dir . '/fuzz_number')
	{
		read $file, my $packed, 8;
		$number = unpack 'q', $packed;
	}
	diag("database $database, FUZZ_SEED=$seed, mutation $number: $error");
	my @log = grep { /^\s+#|==\d+==|runtime error|TRAP|PANIC/ } split /\n/, slurp_file($node->logfile);
	diag(join "\n", @log[ 0 .. ($#log < 40 ? $#log : 40) ]);
	$node->_update_pid(-1);
	$node->stop('immediate', fail_ok => 1);
	$node->start(fail_ok => 1);
	my ($status, $bson) = $node->psql($database, "SELECT fuzz_bytes(documents, $seed, $number) FROM corpus");
	diag("the bytes: $bson");
	return;
}

# Three quarters in UTF-8, where PostgreSQL's strings are BSON's, and the others where they are converted.
my $types = join ',', map { qq("$_") } @types;
my %share = (utf8 => $mutations - int($mutations / 4), latin1 => int($mutations / 4));
my $failed = 0;
note("seed $seed");
foreach my $database ('utf8', 'latin1')
{
	my ($done, $well_formed, $decoded) = (0, 0, 0);
	while ($done < $share{$database} && !$failed)
	{
		my $count = $share{$database} - $done < $call ? $share{$database} - $done : $call;
		my ($out, $error) = ('', '');
		my $status = $node->psql($database, "SELECT well_formed, decoded FROM corpus, fuzz(documents, '{$types}', $seed, $done, $count)",
			stdout => \$out, stderr => \$error);
		if ($status != 0)
		{
			explain_failure($database, $error);
			$failed = 1;
			last;
		}
		my @counts = split /\|/, $out;
		$done += $count;
		$well_formed += $counts[0];
		$decoded += $counts[1];
	}
	is($done, $share{$database}, "$database: $share{$database} mutations of seed $seed without a fault");
	note("$well_formed were well-formed; plans took documents $decoded times");
	cmp_ok($well_formed, '>', $done / 20, 'enough of them were well-formed') unless $failed;
	cmp_ok($decoded, '>', $done / 20, 'and decoded by a plan') unless $failed;
}

$node->stop('immediate', fail_ok => 1);
done_testing();

# The BSON corpus of the MongoDB specifications: its valid documents as Extended JSON, from bytes
# and by way of a server; its invalid ones refused.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use Encode qw(encode_utf8);
use File::Temp qw(tempdir);
use IO::Compress::Gzip qw(gzip $GzipError);
use JSON::PP;
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $data = ($ENV{MM_DATA} // "$FindBin::RealBin/../../../shared/data") . '/bson-corpus';
plan skip_all => "no BSON corpus in $data" unless -d $data;

my $coder = JSON::PP->new->allow_nonref->ascii->utf8;

# JSON text (UTF-8) without blanks between its tokens, and each string in one spelling.
sub normal
{
	my ($json) = @_;
	return join '', map { /^"/ ? $coder->encode($coder->decode($_)) : $_ } $json =~ /"(?:\\.|[^"\\])*"|[^\s"]+/g;
}

my (@valid, @invalid);
foreach my $path (sort glob "$data/*.json")
{
	my $file = decode_json(slurp_file($path));
	my ($name) = $path =~ m{([^/]+)\.json$};
	foreach my $document (@{ $file->{valid} || [] })
	{
		push @valid, { name => encode_utf8("$name: $document->{description}"), bson => $document->{canonical_bson},
			lossy => $document->{lossy}, map { $_ => encode_utf8($document->{"${_}_extjson"} // '') } qw(canonical relaxed) };
	}
	push @invalid, map { { name => "$name: $_->{description}", bson => $_->{bson} } } @{ $file->{decodeErrors} || [] };
}
is(scalar @valid, 728, 'there are 728 valid documents');

my $node = PostgreSQL::Test::Cluster->new('corpus');
$node->init(extra => [ '--locale=C.UTF-8', '--encoding=UTF8' ]);
$node->start;
$node->safe_psql('postgres', <<'SQL');
CREATE EXTENSION mongo_migrate;
CREATE FUNCTION refusal(bson bytea) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN mongo_migrate.bson_to_json(bson);
EXCEPTION WHEN OTHERS THEN
    RETURN SQLSTATE || ' ' || SQLERRM;
END
$$;
SQL

# One value for each document: of an SQL expression over bson, its bytes.
sub values_of
{
	my ($expression, @documents) = @_;
	my $bytes = join ', ', map { "'\\x$_->{bson}'" } @documents;
	return split /\n/, $node->safe_psql('postgres', "SELECT $expression"
		  . " FROM unnest(ARRAY[$bytes]::bytea[]) WITH ORDINALITY d(bson, n) ORDER BY n");
}

# Checks that values are the documents' JSON in a mode.
sub check
{
	my ($what, $mode, $values, @documents) = @_;
	my @wrong = grep { normal($values->[$_] // '') ne normal($documents[$_]{$mode}) } 0 .. $#documents;
	is(scalar @$values, scalar @documents, "$what: each document has its JSON");
	is(join("\n", map { "$documents[$_]{name}: $values->[$_]" } @wrong), '', "$what: as the corpus has it");
	return;
}

# Checks that an expression is true for each document.
sub holds
{
	my ($expression, $name, @documents) = @_;
	my @values = values_of($expression, @documents);
	is(join("\n", map { $documents[$_]{name} } grep { $values[$_] ne 't' } 0 .. $#documents), '', $name);
	return;
}

check('canonical', 'canonical', [ values_of('mongo_migrate.bson_to_json(bson)', @valid) ], @valid);
my @relaxed = grep { $_->{relaxed} ne '' } @valid;
check('relaxed', 'relaxed', [ values_of("mongo_migrate.bson_to_json(bson, 'relaxed')", @relaxed) ], @relaxed);

# jsonb has no U+0000; where there is none it is what PostgreSQL makes of the text.
my @without_nul = grep { $_->{canonical} !~ /\\u0000/ } @valid;
is(@valid - @without_nul, 4, 'four documents have U+0000');
foreach my $mode (qw(canonical relaxed plain))
{
	holds("(SELECT \"values\"[1] FROM mongo_migrate.decode_document(bson, '{\$}', '{jsonb}', '$mode'))"
		  . " = mongo_migrate.bson_to_json(bson, '$mode')::jsonb::text", "$mode: jsonb is as the text cast to it", @without_nul);
}

# Back to BSON: the same bytes, but for what JSON has no form for (payloads of NaN, decimals not
# canonical) and code with U+0000, which is refused.
my @exact = grep { !$_->{lossy} && !($_->{canonical} =~ /\$code/ && $_->{canonical} =~ /\\u0000/) } @valid;
is(@valid - @exact, 12, 'twelve documents have no way back');
holds('mongo_migrate.bson_from_json(mongo_migrate.bson_to_json(bson)) = bson', 'from JSON to the same bytes', @exact);

# Documents that are no BSON are refused: their lengths at once, strings that are not UTF-8 by what needs them.
my @refused = values_of("refusal(bson)", @invalid);
is(join("\n", map { "$invalid[$_]{name}: $refused[$_]" } grep { $refused[$_] !~ /^(XX001|22021)/ } 0 .. $#invalid),
	'', 'each of ' . @invalid . ' invalid documents is refused');

# By way of a server, byte by byte: into a collection, out through a foreign table. A document gets an _id
# unless it has one; those that have share it, so that each needs a collection of its own.
my $mongo = MongoServer->shared;
my $folder = tempdir(CLEANUP => 1);
my %dumps;
my @sent;
foreach my $n (0 .. $#valid)
{
	my %document = (%{ $valid[$n] }, collection => 'corpus', id => qq({"\$numberInt":"$n"}));
	my $fields = substr pack('H*', $document{bson}), 4;
	if ($document{canonical} =~ /^\s*\{"_id": (\{"\$oid": "\w+"\})/)
	{
		@document{qw(collection id)} = ("own_$n", normal($1));
	}
	else
	{
		$fields = pack('C Z* l<', 0x10, '_id', $n) . $fields;
		$document{canonical} =~ s/^\s*\{(\s*\})?/'{"_id": ' . $document{id} . ($1 || ',')/e;
	}
	$dumps{ $document{collection} } .= pack('l<', 4 + length $fields) . $fields;
	push @sent, \%document;
}
my $sql = 'CREATE SERVER corpus FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri \'' . $mongo->uri
  . "', database 'mm_test_corpus', extended_json 'canonical');";
foreach my $collection (sort keys %dumps)
{
	gzip(\$dumps{$collection}, "$folder/$collection.bson.gz") or die "gzip: $GzipError\n";
	$sql .= "CREATE FOREIGN TABLE $collection (_id json, doc json OPTIONS (path '\$'),"
	  . " jsonb jsonb OPTIONS (path '\$')) SERVER corpus;";
}
$mongo->restore('mm_test_corpus', $folder);
$node->safe_psql('postgres', $sql);

my %stored;
foreach my $collection (sort keys %dumps)
{
	foreach my $row (split /\n/, $node->safe_psql('postgres', "SELECT _id, doc FROM $collection"))
	{
		my ($id, $document) = $row =~ /^([^|]*)\|(.*)$/;
		$stored{"$collection $id"} = $document;
	}
}
check('by way of a server', 'canonical', [ map { $stored{"$_->{collection} $_->{id}"} } @sent ], @sent);
is(keys %stored, scalar @valid, 'every document came back');

my (undef, undef, $error) = $node->psql('postgres', 'SELECT count(jsonb) FROM corpus');
like($error, qr/has U\+0000, which type jsonb cannot hold/, 'a scan of jsonb names U+0000');
# Into tables, in each mode: a verification, which reads the documents by libbson and SQL alone, finds no difference.
my $shared = grep { $_->{collection} eq 'corpus' } @sent;
foreach my $mode (qw(relaxed canonical plain))
{
	my $server = "corpus_$mode";
	my $uri = $mongo->uri;
	is($node->safe_psql('postgres', <<"SQL"), "0\n" . ($shared - 4) . "|4|$shared", "$mode: verification agrees");
SET client_min_messages = error;
CREATE SERVER $server FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'mm_test_corpus', extended_json '$mode');
CREATE USER MAPPING FOR CURRENT_USER SERVER $server;
DO \$\$ BEGIN
    PERFORM mongo_migrate.plan_collection('$server', 'corpus', target => 'public.$server');
    DELETE FROM mongo_migrate.plan_column WHERE server = '$server' AND role <> 'id';
    DELETE FROM mongo_migrate.plan_target WHERE server = '$server' AND kind <> 'root';
    INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type)
    SELECT '$server', 'corpus', 'public.$server', 'as_' || t, 2, 'value', '\$', t FROM unnest(ARRAY['json', 'jsonb']) AS t;
END \$\$;
DO \$\$ BEGIN PERFORM mongo_migrate.migrate_collection('$server', 'corpus', workers => 0); END \$\$;
SELECT count(*) FROM mongo_migrate.verify_sample('$server', 'corpus', 0);
SELECT count(*), (SELECT count(*) FROM mongo_migrate.quarantine WHERE server = '$server'),
    (SELECT documents FROM mongo_migrate.verification WHERE server = '$server')
FROM public.$server;
SQL
}

my @nul = map { $_->{id} =~ /"(\d+)"/ } grep { $_->{canonical} =~ /\\u0000/ } @sent;
$mongo->command('mm_test_corpus', sprintf '{"delete": "corpus", "deletes": [{"q": {"_id": {"$in": [%s]}}, "limit": 0}]}', join ', ', @nul);
is($node->safe_psql('postgres', 'SELECT count(*), count(*) FILTER (WHERE jsonb = doc::jsonb) FROM corpus'),
	(@valid - 6) . '|' . (@valid - 6), 'the others are in jsonb as in json');
$mongo->command('mm_test_corpus', '{"dropDatabase": 1}');

$node->stop;
done_testing();

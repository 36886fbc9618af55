# UPDATE and DELETE as one command of MongoDB do what they do row by row: random statements on random documents, of which
# some cannot be decoded, both ways. MM_SEED repeats a run.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{MM_SEED} || time;
my $statements = $ENV{MM_CONDITIONS} || 200;
diag("seed $seed");
srand($seed);

my $database = "mm_test_direct_$$";
my $mongo = MongoServer->shared;
my $node = PostgreSQL::Test::Cluster->new('direct');
$node->init(extra => [ '--locale=C.UTF-8', '--encoding=UTF8' ]);
$node->start;

sub pick { return $_[ int(rand(@_)) ]; }

# Values that a column takes, values that it does not but that a filter may match, and what it is compared with.
my @oids = map { sprintf '5f00000000000000000000%02x', $_ } 1 .. 4;
my @dates = ('2024-02-29T00:00:00Z', '2024-03-01T00:00:00Z', '1970-01-01T00:00:00Z');
my $uuid = '{"$binary": {"base64": "ABEiM0RVZneImaq7zN3u/w==", "subType": "04"}}';
my %columns = (
	i => [ 'integer', sub { pick(-2 .. 5, '{"$numberLong": "3"}', '{"$numberDouble": "4.0"}', '{"$numberDecimal": "2.0"}'); },
		[ '[1, 9]', '2.5', '5000000000', '"x"', '[null]' ], sub { pick(-2 .. 5); } ],
	s => [ 'smallint', sub { pick(0 .. 4); }, [ '40000', '-40000', '[3]' ], sub { pick(0 .. 4); } ],
	b => [ 'boolean', sub { pick('true', 'false'); }, [ '[true]', '1' ], sub { pick('true', 'false'); } ],
	t => [ 'text', sub { pick('"x"', '"X"', '"5"', 5, '{"$numberDouble": "5.0"}', 'true', map { qq({"\$oid": "$_"}) } @oids); },
		[ '["x"]', '["5"]', '{"x": 1}' ], sub { "'" . pick('x', '5', 'true', @oids) . "'"; } ],
	o => [ 'mongo_migrate.objectid', sub { '{"$oid": "' . pick(@oids) . '"}'; }, [ '"x"', qq([{"\$oid": "$oids[0]"}]) ], sub { "'" . pick(@oids) . "'"; } ],
	u => [ 'uuid', sub { $uuid; }, [ "[$uuid]", '5' ], sub { "'00112233-4455-6677-8899-aabbccddeeff'"; } ],
	at => [ 'timestamptz', sub { '{"$date": "' . pick(@dates) . '"}'; }, [ '[{"$date": "2024-02-29T00:00:00Z"}]' ],
		sub { "'" . pick(@dates) . "'"; } ],
	d => [ 'date', sub { '{"$date": "' . pick(@dates) . '"}'; }, [ '{"$date": "2024-02-29T12:00:00Z"}', '[{"$date": "2024-02-29T00:00:00Z"}]' ],
		sub { "date '" . substr(pick(@dates), 0, 10) . "'"; } ]);
my @names = sort keys %columns;

sub document
{
	my ($id, $bad) = @_;
	my @parts = ("\"_id\": $id");
	foreach my $name (@names)
	{
		my $kind = rand;
		push @parts, "\"$name\": " . ($kind < 0.15 ? 'null' : rand() < $bad ? pick(@{ $columns{$name}[2] }) : $columns{$name}[1]->())
		  if $kind < 0.85;
	}
	return '{' . join(', ', @parts) . '}';
}

sub condition
{
	my ($depth) = @_;
	return '(' . join(pick(' AND ', ' OR '), map { condition($depth - 1) } 1 .. 2) . ')' if $depth > 0 && rand() < 0.5;
	my $name = pick(@names);
	my $value = $columns{$name}[3];
	return "$name IS " . pick('', 'NOT ') . 'NULL' if rand() < 0.25;
	return "$name <> " . $value->() if rand() < 0.15;
	return "$name IN (" . $value->() . ', ' . $value->() . ')' if rand() < 0.2;
	return "$name = " . $value->() if $name =~ /^[btud]$/ || rand() < 0.3;
	return "$name " . pick('<', '<=', '>', '>=') . ' ' . $value->();
}

my $uri = $mongo->uri;
my $definition = join ', ', '_id integer', map { "$_ $columns{$_}[0]" } @names;
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION mongo_migrate;
CREATE SERVER s FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database '$database');
CREATE FOREIGN TABLE clean ($definition) SERVER s;
CREATE FOREIGN TABLE mixed ($definition) SERVER s;
CREATE FOREIGN TABLE clean_docs (id json OPTIONS (path '_id'), doc json OPTIONS (path '\$')) SERVER s OPTIONS (collection 'clean');
CREATE FOREIGN TABLE mixed_docs (id json OPTIONS (path '_id'), doc json OPTIONS (path '\$')) SERVER s OPTIONS (collection 'mixed');

-- Rows and documents after a statement, or its error; for a transaction that is rolled back.
CREATE FUNCTION attempt(statement text, target text) RETURNS text
LANGUAGE plpgsql AS \$\$
DECLARE
    affected bigint;
    documents text;
BEGIN
    BEGIN
        EXECUTE statement;
        GET DIAGNOSTICS affected = ROW_COUNT;
    EXCEPTION WHEN OTHERS THEN
        RETURN 'ERROR: ' || SQLERRM;
    END;
    EXECUTE format('SELECT md5(string_agg(doc::text, '','' ORDER BY id::text)) FROM %I_docs', target) INTO documents;
    RETURN affected || ' rows ' || documents;
END
\$\$;
CREATE FUNCTION is_direct(statement text) RETURNS boolean
LANGUAGE plpgsql AS \$\$
DECLARE
    line text;
    found boolean := false;
BEGIN
    FOR line IN EXECUTE 'EXPLAIN ' || statement LOOP
        found := found OR line ~ 'Foreign (Update|Delete)';
    END LOOP;
    RETURN found;
END
\$\$;
SQL
$mongo->command($database, '{"dropDatabase": 1}');
foreach ([ 'clean', 0 ], [ 'mixed', 0.02 ])
{
	my ($collection, $bad) = @$_;
	$mongo->command($database, qq({"create": "$collection", "collation": {"locale": "en", "strength": 1}}));
	$mongo->command($database, qq({"insert": "$collection", "documents": [) . join(', ', map { document($_, $bad) } 1 .. 80) . ']}');
}

# A condition for PostgreSQL has rows read and written one by one. An UPDATE that does so reads all their columns.
my $script = '';
my @statements;
foreach (1 .. $statements)
{
	my $target = pick('clean', 'mixed');
	my $statement = pick("DELETE FROM $target", "UPDATE $target SET " . pick("i = 77", "t = 'new', s = NULL", "at = '2024-01-01'::timestamptz")) . ' WHERE (' . condition(2) . ')';
	push @statements, $statement;
	$script .= "SELECT is_direct(\$x\$$statement\$x\$);\n";
	$script .= "BEGIN; SELECT attempt(\$x\$$_\$x\$, '$target'); ROLLBACK;\n" foreach $statement, "$statement AND random() >= 0";
}
my ($status, $out, $err) = $node->psql('postgres', $script, on_error_stop => 0);
is($err, '', "no error outside of the statements (seed $seed)");
my @lines = split /\n/, $out;
is(scalar(@lines), 3 * $statements, 'a result for each');
my ($direct, $done, $refused) = (0, 0, 0);
my @differences;
foreach my $statement (@statements)
{
	my ($is_direct, $whole, $each) = splice @lines, 0, 3;
	$direct++ if $is_direct eq 't';
	$whole =~ /ERROR/ ? $refused++ : $done++ if $is_direct eq 't';
	next if $whole eq $each || ($whole =~ /ERROR/ && $each =~ /ERROR/);
	next if $statement =~ /^UPDATE/ && $each =~ /ERROR/;
	push @differences, "$statement: at once $whole, row by row $each";
}
is(join("\n", @differences), '', "no difference in $statements statements (seed $seed)");
note("one command: $direct, of which $done were carried out, and $refused ended in an error");
cmp_ok($done, '>', $statements / 10, 'many of them are one command');

$mongo->command($database, '{"dropDatabase": 1}');
$node->stop;
done_testing();

# Aggregates and groups that MongoDB makes are those that PostgreSQL makes of the same rows, errors included: random
# documents, of which some cannot be decoded, random queries, with aggregate pushdown and without. MM_SEED repeats a run.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use ExtendedJson;
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{MM_SEED} || time;
my $documents = $ENV{MM_DOCUMENTS} || 200;
my $queries = $ENV{MM_QUERIES} || 500;
diag("seed $seed");
srand($seed);

my $database = "mm_test_aggregates_$$";
my $mongo = MongoServer->shared;
my $node = PostgreSQL::Test::Cluster->new('aggregates');
$node->init(extra => [ '--locale=C.UTF-8', '--encoding=UTF8' ]);
$node->start;

my @oids = map { sprintf '5f00000000000000000000%02x', $_ } 1 .. 4;
my @smalls = (-2 .. 4, 100);
my @strings = ('', 'a', 'A', 'é', 'b', '5', 'true', 'abc');
my @uuids = ('ABEiM0RVZneImaq7zN3u/w==', 'AAAAAAAAAAAAAAAAAAAAAA==');
my @milliseconds = (0, -1, 1709164800000, 1709208000001, 253402300799999);

# What a column usually holds, what it may hold besides, what it cannot, and what it is compared with.
my %fields = (
	i => [ 'integer', sub { int32(pick(@smalls)) }, sub { pick(double('3.0'), int64(2), decimal('4.00'), int32(2147483647)) },
		sub { pick(double('7.5'), int64('9000000000'), '[3]', '"x"', '{"$minKey": 1}', double('NaN')) }, sub { pick(@smalls) } ],
	s => [ 'smallint', sub { int32(pick(@smalls)) }, sub { int64(32767) }, sub { pick(int32(40000), '[]', 'true') }, sub { pick(@smalls) } ],
	b => [ 'bigint', sub { int64(pick(@smalls, '9007199254740993')) }, sub { pick(int64('9223372036854775807'), int64('-9223372036854775808'), double('5.0')) },
		sub { pick(double('1e300'), '{"y": 1}') }, sub { pick(@smalls, '9007199254740993') } ],
	n => [ 'numeric', sub { pick(int32(pick(@smalls)), double(pick('0.5', '2.0', '0.1'))) },
		sub { pick(decimal('0.1'), decimal('4.00'), double('NaN'), double('1e300'), int64('9007199254740993'), double('9007199254740992'), decimal('1E+400'), double('-Infinity')) },
		sub { pick('"1"', 'false') }, sub { pick(@smalls, '0.1', '0.5', '0.09', '1e15', "'NaN'") } ],
	f => [ 'double precision', sub { pick(double(pick('0.5', '-0.0', '1e10')), int32(pick(@smalls))) },
		sub { pick(double('NaN'), int64('9007199254740993'), decimal('0.1'), double('Infinity')) }, sub { pick(decimal('1E+400'), '"1"') }, sub { pick(@smalls, '0.1', '0.5', '1e10', "'NaN'") } ],
	m => [ 'numeric', sub { pick(decimal(pick('0.10', '0.1', '19.99', '-7', '1E+3', '0E-5', '12345678901.25')), int32(pick(@smalls)), int64('4000000000')) },
		sub { pick(double('0.5'), decimal('NaN'), decimal('1E+400'), decimal('1E-30'), decimal('1234567890123456789012345678901234'), int64('9223372036854775807')) },
		sub { pick('"1"', '[1]') }, sub { pick(@smalls, '0.1', '19.99') } ],
	p => [ 'numeric(10,2)', sub { pick(double(pick('19.99', '0.1', '-0.07', '12345678.91', '3.0')), decimal(pick('19.99', '0.1', '1E+3')), int32(pick(@smalls)), int64(12)) },
		sub { pick(decimal('1.500'), double('99999999.99'), decimal('-0.00')) }, sub { pick(double('0.125'), decimal('0.001'), double('1e8'), 'true', double('Infinity')) },
		sub { pick(@smalls, '0.1', '19.99', '0.095') } ],
	t => [ 'text', sub { string(pick(@strings)) }, sub { pick(int32(5), 'true', '{"$symbol": "a"}', date(0)) }, sub { pick('{"y": 1}', '"a\u0000b"', '[]') },
		sub { "'" . pick(@strings) . "'" } ],
	v => [ 'varchar(3)', sub { string(pick('', 'a', 'é', 'abc', '5')) }, sub { int32(5) }, sub { '"abcd"' }, sub { "'" . pick('a', 'abc', '5') . "'" } ],
	bo => [ 'boolean', sub { pick('true', 'false') }, sub { 'null' }, sub { int32(1) }, sub { pick('true', 'false') } ],
	o => [ 'mongo_migrate.objectid', sub { oid(pick(@oids)) }, sub { 'null' }, sub { string(pick(@oids)) }, sub { "'" . pick(@oids) . "'" } ],
	u => [ 'uuid', sub { uuid(pick(@uuids), '04') }, sub { uuid(pick(@uuids), '03') }, sub { uuid('AAAA', '00') },
		sub { "'00112233-4455-6677-8899-aabbccddeeff'" } ],
	ts => [ 'timestamptz', sub { date(pick(@milliseconds)) }, sub { 'null' }, sub { pick(date('9223372036854775807'), int32(1)) },
		sub { pick("'1970-01-01Z'", "'2024-02-29 12:00:00.001Z'", "'2024-02-29 12:00:00.0005Z'") } ],
	tn => [ 'timestamp', sub { date(pick(@milliseconds)) }, sub { pick('null', date('-62135596800000'), date('-62135596800001'), date('253402300800000')) },
		sub { pick(date('9223372036854775807'), string('x')) }, sub { pick("'1970-01-01'", "'2024-02-29 12:00:00.001'") } ],
	tz => [ 'timestamp(0)', sub { date(pick(0, 1709164800000)) }, sub { 'null' }, sub { date(1) }, sub { pick("'1970-01-01'", "'2024-02-29'") } ],
	da => [ 'date', sub { date(86400000 * pick(0, -1, 19782)) }, sub { 'null' }, sub { date(1) }, sub { pick("'1970-01-01'", "'2024-02-29'") } ],
	x => [ 'integer', sub { int32(pick(@smalls)) }, sub { 'null' }, sub { pick('"x"', '[1]') }, sub { pick(@smalls) } ],
);
my @columns = sort keys %fields;
my @integers = qw(i s b x);
my @numbers = (@integers, qw(m p n));

# A document; rare says how often it has what is unusual, and bad what cannot be decoded.
sub document
{
	my ($id, $rare, $bad) = @_;
	my @parts = ("\"_id\": $id");
	foreach my $name (@columns)
	{
		my $kind = rand;
		my $value = rand() < $bad ? $fields{$name}[3]->() : rand() < $rare ? $fields{$name}[2]->() : $fields{$name}[1]->();
		$value = 'null' if $kind < 0.1;
		$value = '{"$undefined": true}' if $kind < 0.1 && rand() < $rare;
		next if $kind > 0.9;
		if ($name eq 'x')
		{
			push @parts, '"sub": ' . (rand() > $rare ? "{\"x\": $value}" : pick("[{\"x\": $value}]", '[]', '5', '[[{"x": 1}]]'));
		}
		else { push @parts, "\"$name\": $value"; }
	}
	return '{' . join(', ', @parts) . '}';
}

sub condition
{
	my $column = pick(qw(i s b n m p f bo o u ts x t), @columns);
	my $kind = rand;
	return '(' . join(' OR ', condition(), condition()) . ')' if $kind < 0.1;
	return "$column IS " . pick('', 'NOT ') . 'NULL' if $kind < 0.25;
	return "$column IN (" . join(', ', map { $fields{$column}[4]->() } 1 .. 2) . ')' if $kind < 0.4;
	return pick('', 'NOT ') . 'bo' if $kind < 0.45;
	return "$column " . pick(qw(= = = <> < <= > >=)) . ' ' . (rand() < 0.2 ? '(SELECT ' . $fields{$column}[4]->() . "::$fields{$column}[0])" : $fields{$column}[4]->());
}

# A condition of FILTER, mostly one of those that MongoDB takes.
sub filter
{
	my $column = pick(qw(i s b bo o ts x u m p n f), 'u IS NOT NULL AND i', 'i > 0 AND p');
	my $kind = rand;
	return condition() if $kind < 0.15;
	return '(' . join(pick(' OR ', ' AND '), filter(), filter()) . ')' if $kind < 0.3;
	my ($name) = $column =~ /(\w+)$/;
	return "$column " . pick('', 'NOT ') . 'IN (' . join(', ', map { $fields{$name}[4]->() } 1 .. 2) . ')' if $kind < 0.45;
	return "$column IS " . pick('', 'NOT ') . 'NULL' if $kind < 0.55;
	return "NOT ($column " . pick(qw(= <> < >)) . ' ' . $fields{$name}[4]->() . ')' if $kind < 0.65;
	return "$column " . pick(qw(= <> < <= > >=)) . ' ' . (rand() < 0.1 ? '(SELECT ' . $fields{$name}[4]->() . "::$fields{$name}[0])" : $fields{$name}[4]->());
}

# An aggregate, as it is shown.
sub aggregate
{
	my ($distinct) = @_;
	if ($distinct && rand() < 0.5)
	{
		my $sum = pick('count', 'count', $distinct =~ /^[isbxp]$/ ? qw(sum avg) : 'count', $distinct =~ /^[isbxfp]$/ ? 'min' : 'count');
		return "$sum(DISTINCT $distinct)" . ($sum eq 'min' && $distinct eq 'f' ? ' + 0.0' : '');
	}
	my ($aggregate, $rest) = plain_aggregate() =~ /^(.*\w\((?:\w+|\*)\))(.*)$/;
	return $aggregate . (rand() < 0.3 ? ' FILTER (WHERE ' . filter() . ')' : '') . $rest;
}

# An aggregate of a column that has one.
sub plain_aggregate
{
	my $kind = rand;
	return 'count(*)' if $kind < 0.25;
	return 'count(' . pick(qw(i s b n m p f bo o u ts x), @columns) . ')' if $kind < 0.45;
	return pick('sum', 'avg') . '(' . pick(@numbers) . ')' if $kind < 0.75;
	return pick('min', 'max') . '(' . pick(qw(i s b x o ts da tz p)) . ')' if $kind < 0.9;
	# Equal numbers may look different.
	return rand() < 0.5 ? 'trim_scale(' . pick('min', 'max') . '(' . pick(qw(n m)) . '))' : pick('min', 'max') . '(f) + 0.0';
}

# A key as it is shown.
sub shown { return $_[0] =~ /^[nm]$/ ? "trim_scale($_[0])" : $_[0] eq 'f' ? 'f + 0.0' : $_[0]; }

# A key that is computed.
sub computed
{
	my ($time, $unit, $field) = (pick('ts', 'ts', 'tn', "(ts AT TIME ZONE 'UTC')"), pick(qw(second minute hour day week month quarter year)), pick(qw(year month day hour minute isodow doy week)));
	return pick("date_trunc('$unit', $time)", "date_trunc('$unit', ts, 'UTC')", "extract($field FROM $time)", "date_part('$field', $time)", "${time}::date");
}

sub query
{
	my ($source) = @_;
	my %keys = map { (rand() < 0.15 ? computed() : pick(@columns)) => 1 } 1 .. pick(0, 1, 1, 2);
	my @keys = sort keys %keys;
	my $where = rand() < 0.5 ? '' : 'WHERE ' . join(' AND ', map { condition() } 1 .. pick(1, 1, 2));
	return 'SELECT DISTINCT ' . join(', ', @keys) . " FROM $source $where" if grep({ /\W/ } @keys) && !grep({ /^[nmf]$/ } @keys) && rand() < 0.3;
	return 'SELECT ' . join(', ', map { shown($_) } @keys) . ' FROM (SELECT DISTINCT ' . join(', ', @keys) . " FROM $source $where) q" if @keys && !grep({ /\W/ } @keys) && rand() < 0.2;
	my $distinct = rand() < 0.2 ? pick(qw(i s b n m p f bo o u ts x), @columns) : undef;
	my @aggregates = map { aggregate($distinct) } 1 .. pick(1, 2, 3);
	# By PostgreSQL alone, min and max may be the first rows of a sort, so that what cannot be decoded stays unread.
	push @aggregates, 'count(*)' if !@keys && !grep { !/\b(?:min|max)\(/ } @aggregates;
	my $having = rand() < 0.8 ? '' : 'HAVING ' . aggregate() . ' IS NOT NULL';
	return 'SELECT ' . join(', ', (map { shown($_) } @keys), @aggregates) . " FROM $source $where " . (@keys ? 'GROUP BY ' . join(', ', @keys) : '') . " $having";
}

# Collections in which nothing is unusual, a little, and where some documents cannot be decoded.
my %sources = (plain => [ 0, 0 ], mixed => [ 0.02, 0 ], broken => [ 0.01, 0.002 ], loose => [ 0, 0 ]);
my $uri = $mongo->uri;
my $definition = join ', ', '_id bigint', map { "$_ $fields{$_}[0]" . ($_ eq 'x' ? " OPTIONS (path 'sub.x')" : '') } @columns;
$mongo->command($database, '{"dropDatabase": 1}');
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION mongo_migrate;
CREATE SERVER s FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database '$database', fdw_tuple_cost '10');

-- The rows of a query, or that it fails: by which of several documents, depends on the plan.
CREATE FUNCTION outcome(query text) RETURNS text
LANGUAGE plpgsql AS \$\$
DECLARE
    result text;
BEGIN
    EXECUTE format('SELECT array_agg(q::text ORDER BY q::text COLLATE "C")::text FROM (%s) q', query) INTO result;
    RETURN coalesce(result, 'nothing');
EXCEPTION WHEN data_exception OR datatype_mismatch THEN
    RETURN 'an error';
END
\$\$;
CREATE FUNCTION difference(query text) RETURNS text
LANGUAGE sql AS \$\$
SELECT format('%s: here %s, with MongoDB %s', query, here, there)
  FROM (SELECT outcome(replace(query, ' there.', ' here.')) AS here, outcome(query) AS there) q
 WHERE here <> there;
\$\$;
CREATE SCHEMA here;
CREATE SCHEMA there;
SQL
foreach my $source (sort keys %sources)
{
	my $collation = $source eq 'loose' ? ', "collation": {"locale": "en", "strength": 1}' : '';
	$mongo->command($database, qq({"create": "$source"$collation}));
	# Not by mongo.py: Python has no dates as late as BSON's.
	my $list = join ', ', map { document($_, @{ $sources{$source} }) } 1 .. $documents;
	$node->safe_psql('postgres', qq(SELECT FROM mongo_migrate.run_command('s', \$json\${"insert": "$source", "documents": [$list]}\$json\$)));
	$node->safe_psql('postgres', "CREATE FOREIGN TABLE there.$source ($definition) SERVER s");
	$node->safe_psql('postgres', "CREATE FOREIGN TABLE here.$source ($definition) SERVER s OPTIONS (enable_aggregate_pushdown 'false')");
	$node->safe_psql('postgres', "ANALYZE there.$source");
}

my (@explained, $pushed, $proven);
my $script = "";
foreach my $number (1 .. $queries)
{
	my $query = query('there.' . pick(sort keys %sources));
	$script .= "SET timezone = '" . pick('UTC', 'Europe/Berlin') . "';\n" if $number % 50 == 1;
	$script .= "SELECT difference(\$query\$$query\$query\$);\n";
	push @explained, $query if $number <= 120;
}
my ($status, $out, $err) = $node->psql('postgres', $script, on_error_stop => 0);
is($status, 0, "psql went through (seed $seed)");
is(join("\n", grep { $_ ne '' } split /\n/, $out), '', "no difference in $queries queries (seed $seed)");
is(join("\n", grep { /ERROR/ } split /\n/, $err), '', "no error in $queries queries (seed $seed)");

# The comparison means something: many queries do go to MongoDB, and many of those are answered by it.
foreach my $query (@explained)
{
	my $plan = $node->safe_psql('postgres', "EXPLAIN $query");
	$pushed++ if $plan =~ /MongoDB aggregate/;
	next unless $plan =~ /MongoDB aggregate/ && $query !~ /broken/;
	$proven++ if $node->safe_psql('postgres', "EXPLAIN (ANALYZE, TIMING OFF) $query") =~ /Aggregate.*\(never executed\)/;
}
diag("of 120 queries, $pushed go to MongoDB, and at least $proven are proven");
cmp_ok($pushed, '>', 20, 'many queries are pushed down');
cmp_ok($proven, '>', 5, 'many of them are answered by MongoDB');

$mongo->command($database, '{"dropDatabase": 1}');
$node->stop;
done_testing();

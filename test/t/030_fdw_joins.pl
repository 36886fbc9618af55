# Joins that MongoDB makes are those that PostgreSQL makes of the same rows: random documents, random joins, with pushdown and
# without, and of a copy in PostgreSQL. MM_SEED repeats a run.
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
my $documents = $ENV{MM_DOCUMENTS} || 40;
my $queries = $ENV{MM_QUERIES} || 400;
diag("seed $seed");
srand($seed);

my $database = "mm_test_joins_$$";
my $mongo = MongoServer->shared;
my $node = PostgreSQL::Test::Cluster->new('joins');
$node->init(extra => [ '--locale=C.UTF-8', '--encoding=UTF8' ]);
$node->start;

# The last one has a text that a decimal can have, too.
my @oids = ((map { sprintf '5f00000000000000000000%02x', $_ } 1 .. 4), 'abcdefabcdefabcdefabcdef', '123456789012345678901234', '100000000000000000000000');
my @smalls = (-1 .. 4);
my @longs = (@smalls, '9007199254740993', '9223372036854775807');
my @strings = ('', 'a', 'A', 'é', "\x{10348}", '5', '5.0', 'true', 'ab', '1e+23', '1970-01-01T00:00:00Z', '00112233-4455-6677-8899-aabbccddeeff', $oids[0]);
my @numbers = ('0.1', '5', '-0.0', 'NaN', 'Infinity', '1e20', '9007199254740992');
my @uuids = ('ABEiM0RVZneImaq7zN3u/w==', 'AAAAAAAAAAAAAAAAAAAAAA==');
my @milliseconds = (0, -1, 1709164800000, 1709208000001);

sub integer { my $n = pick(@_); return pick(int32($n), int64($n), double("$n.0"), decimal("$n"), decimal("$n.00")); }

# Text that may be an ObjectId's.
sub hex_text
{
	return pick(string(pick(@oids)), string(pick(@oids)), oid(pick(@oids)), string(uc pick(@oids)), string(pick(@strings)), string(pick(@oids) . '0'), string('5f'),
		decimal(pick('123456789012345678901234', '100000000000000000000000', '1E+23', '5')), double('1e23'), qq({"\$symbol": "$oids[0]"}), int32(5), 'true', date(0), uuid(pick(@uuids), '04'));
}

my %fields = (
	o => [ 'mongo_migrate.objectid', sub { oid(pick(@oids)) } ],
	i => [ 'integer', sub { integer(@smalls) } ],
	b => [ 'bigint', sub { my $n = pick(@longs); pick(int64($n), int64($n), decimal($n)) } ],
	t => [ 'text', \&hex_text ],
	bo => [ 'boolean', sub { pick('true', 'false') } ],
	ts => [ 'timestamptz', sub { date(pick(@milliseconds)) } ],
	tn => [ 'timestamp', sub { date(pick(@milliseconds)) } ],
	da => [ 'date', sub { date(86400000 * pick(0, -1, 19782)) } ],
	n => [ 'numeric', sub { pick(integer(@smalls), double(pick(@numbers)), decimal(pick(@numbers, '0.10', '5.00'))) } ],
	f => [ 'double precision', sub { pick(integer(@smalls), double(pick(@numbers)), decimal(pick(@numbers))) } ],
	u => [ 'uuid', sub { uuid(pick(@uuids), pick('04', '04', '03')) } ],
	# As they mostly are.
	s => [ 'text', sub { string(pick(@strings)) } ],
	v => [ 'uuid', sub { uuid(pick(@uuids), '04') } ],
);
# The same below the top.
my %nested = (so => [ 'mongo_migrate.objectid', 'sub.o' ], si => [ 'integer', 'sub.i' ], st => [ 'text', 'sub.t' ]);

sub nested_value
{
	my ($o, $i, $t) = map { rand() < 0.15 ? 'null' : $fields{$_}[1]->() } qw(o i t);
	my $sub = qq({"o": $o, "i": $i, "t": $t});
	return pick((qq("sub": $sub)) x 6, qq("sub": {"o": $o}), qq("sub": [$sub]), qq("sub": [$sub, {"i": 1}]), '"sub": []', '"sub": null', '"sub": 5', '"other": 1');
}

sub document
{
	my ($id) = @_;
	my @parts = ("\"_id\": $id");
	foreach my $name (sort keys %fields)
	{
		my $kind = rand;
		push @parts, "\"$name\": " . ($kind < 0.1 ? 'null' : $kind < 0.12 ? '{"$undefined": true}' : $fields{$name}[1]->())
		  unless $kind > 0.9;
	}
	return '{' . join(', ', @parts, nested_value()) . '}';
}

# Equalities by which MongoDB may look documents up, and a few others.
my @same = map { [ $_, $_ ] } qw(o i b s v bo ts tn da so si u t n f);
my @mixed = ((map { [ split ] } 't s', 's t', 's st', 't st', 'u v', 'v u'), [qw(o so)], [qw(so o)], [qw(i b)], [qw(b i)], [qw(_id i)], [qw(i _id)], [qw(b _id)], [qw(_id si)], [qw(si i)], [qw(_id _id)], [ 'n', 'i' ], [qw(ts da)],
	[ 't', 'o::text' ], [ 'o::text', 't' ], [ 'o::text', 'o::text' ], [ 'st', 'o::text' ], [ 'so::text', 't' ], [ 'o::text', 'st' ], [ 't', 'so::text' ]);

sub equality
{
	my ($x, $y) = @_;
	my ($left, $right) = @{ rand() < 0.4 ? pick(@same[ 0 .. 10 ]) : rand() < 0.2 ? pick(@same) : pick(@mixed) };
	return rand() < 0.3 ? "$y.$right = $x.$left" : "$x.$left = $y.$right";
}

# A condition on one table.
sub condition
{
	my ($x) = @_;
	my $number = pick(@smalls);
	$number = "(SELECT $number)" if rand() < 0.2;
	return pick("$x.i " . pick('=', '<', '>=', '<>') . " $number", "$x.b IN ($number, 1)", "$x.i IS " . pick('', 'NOT ') . 'NULL', "$x.so IS " . pick('', 'NOT ') . 'NULL', "$x.bo", "NOT $x.bo",
		"$x.t = '" . pick(@strings, @oids) . "'", "$x.s > 'a'", "$x.n < 3", "$x.n = 5", "$x.s LIKE 'a%'", "$x.o = '" . pick(@oids) . "'", "$x._id < 20", "coalesce($x.i, 1) = 1", "$x.ts >= '1970-01-01Z'",
		"($x.i = 1 OR $x.s = 'a')", 'false', "$x.f = 'NaN'", "length($x.s) = 1", "$x.i = NULL");
}

# What a join asks of two rows.
sub joined
{
	my ($x, $y) = @_;
	my @conditions = (equality($x, $y));
	push @conditions, pick(equality($x, $y), "$x.i < $y.i", "$x.n <= $y.n", "$x.s <> $y.s", "$x.s || $y.s > 'a'", "$x.t IS NOT DISTINCT FROM $y.t", condition($y), condition($y), condition($x)) while rand() < 0.35;
	return join ' AND ', @conditions;
}

sub where
{
	my @conditions = map { condition(pick(@_)) } 1 .. pick(0, 0, 1, 1, 2);
	return @conditions ? ' WHERE ' . join(' AND ', @conditions) : '';
}

my @columns = ('_id', 'doc', sort(keys %fields), sort(keys %nested));

sub columns_of { return join ', ', map { my $table = pick(@_); "$table." . pick(@columns) . pick('', '', '', ' IS NULL') } 1 .. pick(1 .. 4); }

sub table { return 'there.' . pick(qw(a b b loose few few none)); }

# A semi or anti join.
sub exists_condition
{
	my ($x, $y) = @_;
	my ($left, $right) = @{ pick(@same[ 0 .. 12 ], @mixed) };
	return pick('', '', 'NOT ') . 'EXISTS (SELECT FROM ' . table() . " $y WHERE " . joined($x, $y) . ')' if rand() < 0.7;
	return "$x.$left " . pick('', '', 'NOT ') . "IN (SELECT $y.$right FROM " . table() . " $y" . where($y) . ')';
}

sub query
{
	my $kind = rand;
	my ($a, $b) = (table(), table());
	my $join = pick('JOIN', 'JOIN', 'LEFT JOIN', 'LEFT JOIN', 'RIGHT JOIN', 'FULL JOIN');
	my $from = "$a x $join $b y ON " . ($join eq 'FULL JOIN' ? equality('x', 'y') : joined('x', 'y'));
	return 'SELECT ' . columns_of(qw(x y)) . " FROM $from" . where(qw(x x y)) if $kind < 0.45;
	return 'SELECT ' . columns_of('x') . " FROM $a x WHERE " . exists_condition('x', 'y') . (rand() < 0.5 ? ' AND ' . condition('x') : '') if $kind < 0.7;
	return "SELECT x._id, y._id FROM $from" . where(qw(x x y)) . ' ORDER BY ' . pick('x._id', 'x.i', 'x.o DESC', 'x.ts NULLS FIRST') . ', x._id, y._id' . pick('', ' LIMIT ' . pick(0 .. 10), ' OFFSET 3')
	  if $kind < 0.78;
	return 'SELECT ' . columns_of(qw(x y z)) . " FROM $from " . pick('JOIN', 'LEFT JOIN') . ' ' . table() . ' z ON ' . joined(pick(qw(x y)), 'z') . where(qw(x y z)) if $kind < 0.86;
	return 'SELECT count(*), count(y._id), sum(x.i), max(y.o) FROM ' . $from . where(qw(x y)) if $kind < 0.9;
	return "SELECT y.s, count(*) FROM $from" . where(qw(x y)) . ' GROUP BY y.s' if $kind < 0.92;
	return "SELECT x._id, (SELECT count(*) FROM $b y JOIN " . table() . ' z ON ' . joined('y', 'z') . ' WHERE y.i = x.i) FROM there.few x' if $kind < 0.95;
	return "SELECT x._id, y FROM $from" if $kind < 0.97;
	return "SELECT x._id, q.* FROM there.few x LEFT JOIN (SELECT y._id, z.i, 1 AS one FROM $b y " . pick('JOIN', 'LEFT JOIN') . ' ' . table() . ' z ON ' . joined('y', 'z') . ') q ON q._id = x.i';
}

my %sources = (a => $documents, b => $documents, loose => $documents, few => 8, none => 0);
my $uri = $mongo->uri;
my $definition = join ', ', '_id bigint', "doc jsonb OPTIONS (path '\$')", (map { "$_ $fields{$_}[0]" } sort keys %fields), (map { "$_ $nested{$_}[0] OPTIONS (path '$nested{$_}[1]')" } sort keys %nested);
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION mongo_migrate;
CREATE SERVER s FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database '$database');
CREATE SCHEMA there;
CREATE SCHEMA copy;

CREATE FUNCTION outcome(query text) RETURNS text
LANGUAGE plpgsql AS \$\$
DECLARE
    result text;
BEGIN
    EXECUTE format('SELECT array_agg(q::text ORDER BY q::text COLLATE "C")::text FROM (%s) q', query) INTO result;
    RETURN coalesce(result, 'nothing');
END
\$\$;
-- local_joins says whether PostgreSQL's own joins may be taken, which otherwise are where small tables are joined.
CREATE FUNCTION difference(query text, local_joins boolean) RETURNS text
LANGUAGE plpgsql AS \$\$
DECLARE
    copy text := outcome(replace(query, 'there.', 'copy.'));
    here text;
    there text;
BEGIN
    SET LOCAL mongo_migrate.enable_pushdown = off;
    here := outcome(query);
    RESET mongo_migrate.enable_pushdown;
    PERFORM set_config('enable_' || name, local_joins::text, true) FROM unnest(ARRAY['hashjoin', 'mergejoin', 'nestloop']) name;
    there := outcome(query);
    PERFORM set_config('enable_' || name, 'on', true) FROM unnest(ARRAY['hashjoin', 'mergejoin', 'nestloop']) name;
    IF here <> copy OR there <> copy THEN
        RETURN format(E'%s: copy %s\\n here %s\\n with MongoDB %s', query, copy, here, there);
    END IF;
    RETURN NULL;
END
\$\$;
SQL
foreach my $source (sort keys %sources)
{
	my $collation = $source eq 'loose' ? ', "collation": {"locale": "en", "strength": 1}' : '';
	$mongo->command($database, qq({"create": "$source"$collation}));
	$mongo->command($database, qq({"createIndexes": "$source", "indexes": [) . join(', ', map { qq({"key": {"$_": 1}, "name": "$_", "collation": {"locale": "simple"}}) } sort(keys %fields), map { $_->[1] } values %nested) . ']}');
	my $list = join ', ', map { document($_) } 1 .. $sources{$source};
	$node->safe_psql('postgres', qq(SELECT FROM mongo_migrate.run_command('s', \$json\${"insert": "$source", "documents": [$list]}\$json\$))) if $list;
	$node->safe_psql('postgres', "CREATE FOREIGN TABLE there.$source ($definition) SERVER s; ANALYZE there.$source; CREATE TABLE copy.$source AS TABLE there.$source");
}

my @explained;
my $script = "SET timezone = 'Europe/Berlin';\n";
foreach (1 .. $queries)
{
	my $query = query();
	$script .= "SELECT difference(\$query\$$query\$query\$, " . (rand() < 0.2 ? 'true' : 'false') . ");\n";
	push @explained, $query;
}
my ($status, $out, $err) = $node->psql('postgres', $script, on_error_stop => 0);
is($status, 0, "psql went through (seed $seed)");
is(join("\n", grep { $_ ne '' } split /\n/, $out), '', "no difference in $queries queries (seed $seed)");
is(join("\n", grep { /ERROR/ } split /\n/, $err), '', "no error in $queries queries (seed $seed)");

# The comparison means something: joins of all types do go to MongoDB.
my %pushed = (INNER => 0, LEFT => 0, SEMI => 0, ANTI => 0);
$script = "SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off;\n" . join '', map { "EXPLAIN $_;\n" } @explained;
my $plans = $node->safe_psql('postgres', $script);
$pushed{$1}++ while $plans =~ /Join: \S+ (INNER|LEFT|SEMI|ANTI) JOIN/g;
diag("of $queries queries, pushed down were " . join(', ', map { "$pushed{$_} $_" } sort keys %pushed));
cmp_ok($pushed{$_}, '>', 0, "$_ joins are pushed down") foreach sort keys %pushed;

$mongo->command($database, '{"dropDatabase": 1}');
$node->stop;
done_testing();

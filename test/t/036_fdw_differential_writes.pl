# Statements that write do to foreign tables what they do to local ones: random statements on random documents and on a copy in
# PostgreSQL, with joins and subqueries of the tables that are written. MM_SEED repeats a run.
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
my $statements = $ENV{MM_STATEMENTS} || 400;
diag("seed $seed");
srand($seed);

my $database = "mm_test_writes_$$";
my $mongo = MongoServer->shared;
my $node = PostgreSQL::Test::Cluster->new('writes');
$node->init(extra => [ '--locale=C.UTF-8', '--encoding=UTF8' ]);
$node->start;

my @oids = map { sprintf '5f00000000000000000000%02x', $_ } 1 .. 3;
my @strings = ('', 'a', 'A', 'é', '5', 'true', 'ab', $oids[0]);
my @wholes = (-2 .. 4);
my @times = (0, -1, 1709164800000, 1709208000001);

sub integer { my $n = pick(@wholes); return pick(int32($n), int32($n), int64($n), double("$n.0"), decimal($n)); }

# The type of a column, its values, and what it is compared with or set to.
my %fields = (
	i => [ 'integer', \&integer, sub { pick(@wholes) } ],
	k => [ 'integer', \&integer, sub { pick(@wholes) } ],
	n => [ 'numeric', sub { pick(integer(), double(pick('0.1', 'NaN')), decimal(pick('0.1', '0.10', '2.50'))) }, sub { pick(@wholes, '0.1', '2.5', "'NaN'::numeric") } ],
	s => [ 'text', sub { string(pick(@strings)) }, sub { "'" . pick(@strings) . "'" } ],
	t => [ 'text', sub { pick(string(pick(@strings)), oid(pick(@oids)), int32(5), 'true') }, sub { "'" . pick(@strings) . "'" } ],
	o => [ 'mongo_migrate.objectid', sub { oid(pick(@oids)) }, sub { "'" . pick(@oids) . "'::mongo_migrate.objectid" } ],
	bo => [ 'boolean', sub { pick('true', 'false') }, sub { pick('true', 'false') } ],
	ts => [ 'timestamptz', sub { date(pick(@times)) }, sub { pick("'1970-01-01Z'::timestamptz", "'2024-02-29 12:00:00.001Z'::timestamptz") } ],
	l => [ 'integer[]', sub { '[' . join(', ', map { integer() } 1 .. pick(0 .. 2)) . ']' }, sub { pick("'{1,2}'::integer[]", "'{}'::integer[]") } ],
);
my @columns = sort keys %fields;
my @integers = qw(_id i k);

sub document
{
	my ($id) = @_;
	my @parts = ("\"_id\": $id");
	foreach my $name (@columns)
	{
		my $kind = rand;
		push @parts, "\"$name\": " . ($kind < 0.1 ? 'null' : $fields{$name}[1]->()) unless $kind > 0.9;
	}
	return '{' . join(', ', @parts) . '}';
}

sub value
{
	my ($column) = @_;
	my $value = $fields{$column}[2]->();
	return pick($value, $value, $value, "(SELECT $value)", 'NULL');
}

sub condition
{
	my ($x) = @_;
	my $column = pick(@columns);
	my $number = pick(@integers);
	return pick("$x.$column " . pick('=', '=', '<>', '<', '>=') . ' ' . value($column), "$x.$column IS " . pick('', 'NOT ') . 'NULL', "$x.$column IS DISTINCT FROM " . value($column),
		"$x.$column IN (" . value($column) . ', ' . value($column) . ')', "$x.$number = $x." . pick(@integers), "$x._id < " . pick(1 .. 40), "coalesce($x.k, 1) = 1", "$x.s || 'x' > 'a'",
		"$x.$number IN (SELECT q." . pick(@integers) . ' FROM ' . table() . ' q)', pick('', 'NOT ') . 'EXISTS (SELECT FROM ' . table() . " q WHERE q.$number = $x." . pick(@integers) . ')',
		"$x.$number <> (SELECT max(" . pick(@integers) . ') FROM ' . table() . ')');
}

sub where
{
	my @conditions = map { condition($_[0]) } 1 .. pick(0, 1, 1, 2);
	return @conditions ? ' WHERE ' . join(' AND ', @conditions) : '';
}

sub joined
{
	my ($x, $y) = @_;
	my $column = pick(qw(i k o s t bo ts));
	return "$x.$column = $y.$column" . pick('', '', ' AND ' . condition($x), ' AND ' . condition($y)) if rand() < 0.4;
	return "$x." . pick(@integers) . " = $y." . pick(@integers) . pick('', '', ' AND ' . condition($x), ' AND ' . condition($y));
}

sub table { return 'there.' . pick(qw(a b few none)); }

# New values that are the same whichever row of a join comes first; and others.
sub set_constants
{
	my %set = map { my $column = pick(@columns); $column => value($column) } 1 .. pick(1, 2);
	return join ', ', map { "$_ = $set{$_}" } sort keys %set;
}

sub set_any
{
	my ($x) = @_;
	my ($column, $number) = (pick(@columns), pick(qw(i k)));
	return pick(set_constants(), "$number = $x.$number + 1", "$number = $x._id, s = left($x.t, 3)", "n = $x.k + 0.5", "l = $x.l || 7", "(i, k) = ($x.k, $x.i)", "$column = $x.$column",
		"$number = (SELECT max(" . pick(@integers) . ') FROM ' . table() . ')', "s = CASE WHEN $x.bo THEN 'yes' ELSE (SELECT min(s COLLATE \"C\") FROM " . table() . ') END');
}

sub returning { my ($x) = @_; return rand() < 0.5 ? '' : ' RETURNING ' . join(', ', map { "$x.$_" } '_id', @columns) . pick('', ", $x.k + 1", ', (SELECT count(*) FROM ' . table() . ')'); }

# A statement and the table that it writes.
sub statement
{
	my $target = pick(qw(a b few));
	my $table = "there.$target";
	my $all = join ', ', @columns;
	my $kind = rand;
	return ($target, "UPDATE $table x SET " . set_any('x') . where('x') . returning('x')) if $kind < 0.35;
	return ($target, "UPDATE $table x SET " . set_constants() . ' FROM ' . table() . ' y WHERE ' . joined('x', 'y') . returning('x')) if $kind < 0.5;
	return ($target, "DELETE FROM $table x" . where('x') . returning('x')) if $kind < 0.6;
	return ($target, "DELETE FROM $table x USING " . table() . ' y WHERE ' . joined('x', 'y') . returning('x')) if $kind < 0.75;
	return ($target, "INSERT INTO $table AS z (_id, $all) SELECT x._id + 1000, $all FROM " . table() . ' x' . where('x') . pick('', " UNION ALL SELECT x._id + 2000, $all FROM $table x" . where('x')) . returning('z'))
	  if $kind < 0.85;
	return ($target, "INSERT INTO $table AS z (_id, i, s) SELECT 1000 * x._id + y._id, y.k, x.s FROM " . table() . " x LEFT JOIN $table y ON " . joined('x', 'y') . ' WHERE y._id IS NOT NULL' . returning('z'))
	  if $kind < 0.9;
	return ($target, "WITH w AS (DELETE FROM $table x" . where('x') . " RETURNING x.*) INSERT INTO $table AS z (_id, $all) SELECT _id + 5000, $all FROM w" . returning('z')) if $kind < 0.95;
	return ($target, "WITH w AS (UPDATE $table x SET " . set_constants() . where('x') . " RETURNING x.*) SELECT w._id, w.k, y._id, y.k, y.s FROM w JOIN $table y ON y._id = w._id");
}

my %sources = (a => 40, b => 60, few => 8, none => 0);
my $uri = $mongo->uri;
my $definition = join ', ', '_id integer', map { "$_ $fields{$_}[0]" } @columns;
my $shown = join ', ', '_id', @columns;
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION mongo_migrate;
CREATE SERVER s FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database '$database', batch_size '3', fetch_size '7', fdw_tuple_cost '1');
CREATE SCHEMA there;
CREATE SCHEMA copy;

-- What a statement returns, how many rows it writes, and the table after it.
CREATE FUNCTION outcome(statement text, target text) RETURNS text
LANGUAGE plpgsql AS \$\$
DECLARE
    returned text[] := '{}';
    written bigint;
    row record;
    rows_after text;
BEGIN
    IF statement ~ 'RETURNING [xz][.]_id|FROM w JOIN' THEN
        FOR row IN EXECUTE statement LOOP
            returned := returned || row::text;
        END LOOP;
        written := cardinality(returned);
    ELSE
        EXECUTE statement;
        GET DIAGNOSTICS written = ROW_COUNT;
    END IF;
    EXECUTE format('SELECT array_agg(q::text ORDER BY _id)::text FROM (SELECT $shown FROM %s) q', target) INTO rows_after;
    RETURN concat_ws(' ', written, (SELECT array_agg(line ORDER BY line COLLATE "C")::text FROM unnest(returned) line), rows_after);
END
\$\$;
SQL
$mongo->command($database, '{"dropDatabase": 1}');
foreach my $source (sort keys %sources)
{
	$mongo->command($database, qq({"create": "$source"}));
	$mongo->command($database, qq({"createIndexes": "$source", "indexes": [) . join(', ', map { qq({"key": {"$_": 1}, "name": "$_"}) } qw(i k s t o)) . ']}');
	my $list = join ', ', map { document($_) } 1 .. $sources{$source};
	$node->safe_psql('postgres', qq(SELECT FROM mongo_migrate.run_command('s', \$json\${"insert": "$source", "documents": [$list]}\$json\$))) if $list;
	$node->safe_psql('postgres', "CREATE FOREIGN TABLE there.$source ($definition) SERVER s; ANALYZE there.$source; CREATE TABLE copy.$source AS TABLE there.$source");
}

# Each with joins of some kind left out, as what is read row by row, or again, may come after the first write.
my $script = "SET timezone = 'UTC';\n";
my @statements;
foreach (1 .. $statements)
{
	my ($target, $statement) = statement();
	my @off = grep { rand() < 0.3 } qw(hashjoin mergejoin nestloop memoize hashagg);
	push @statements, $statement;
	foreach my $schema (qw(copy there))
	{
		$script .= 'BEGIN; ' . join('', map { "SET LOCAL enable_$_ = off; " } @off) . 'SELECT outcome($x$' . ($statement =~ s/there\./$schema./gr) . "\$x\$, '$schema.$target'); ROLLBACK;\n";
	}
}
my ($status, $out, $err) = $node->psql('postgres', $script, on_error_stop => 0);
is($err, '', "no error (seed $seed)");
my @lines = split /\n/, $out;
is(scalar(@lines), 2 * $statements, 'a result for each');
my @differences;
foreach my $statement (@statements)
{
	my ($copy, $there) = splice @lines, 0, 2;
	push @differences, "$statement:\n copy $copy\n there $there" if $copy ne $there;
}
is(join("\n", @differences), '', "no difference in $statements statements (seed $seed)");

$mongo->command($database, '{"dropDatabase": 1}');
$node->stop;
done_testing();

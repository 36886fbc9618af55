# A filter that MongoDB evaluates gives the rows that PostgreSQL would have given: random documents, random
# conditions, with pushdown and without. MM_SEED repeats a run.
use strict;
use utf8;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use ExtendedJson;
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $seed = $ENV{MM_SEED} || time;
my $documents = $ENV{MM_DOCUMENTS} || 300;
my $conditions = $ENV{MM_CONDITIONS} || 1500;
diag("seed $seed");
srand($seed);

my $database = "mm_test_differential_$$";
my $mongo = MongoServer->shared;
my $node = PostgreSQL::Test::Cluster->new('differential');
$node->init(extra => [ '--locale=C.UTF-8', '--encoding=UTF8' ]);
$node->start;

# What is sent: bytes. A text alone without a character beyond Latin-1 would go out in that.
sub bytes
{
	my ($text) = @_;
	utf8::encode($text);
	return $text;
}

my @oids = ((map { sprintf '5f00000000000000000000%02x', $_ } 1 .. 4), '5f000001aaaaaaaaaaaaaaaa', 'ffffffffffffffffffffffff', '000000000000000000000000');
my @strings = ('', 'a', 'b', 'A', 'Z', 'é', 'e', "\x{10348}", 'zz', '5', '5.0', '5e0', '-0', '0', '1e+20', 'NaN', 'true', 'false',
	'Infinity', '0.1', '2024-02-29T12:00:00Z', '2024-02-29T12:00:00.001Z', '00112233-4455-6677-8899-aabbccddeeff', $oids[0],
	'123456789012345678901234', 'null', '$1', 'a.b', 'ab', 'aB\n', 'a\nb', "\x{212a}", 'a%b', 'abab');
my @wholes = (-3 .. 5, 2147483647, -2147483648, 100);
my @longs = (@wholes, '9007199254740993', '9223372036854775807', '-9223372036854775808', '1152921504606846976');
my @decimals = ('0.1', '0.10', '5', '5.00', '0.5', '-0.0', 'NaN', 'Infinity', '-Infinity', '1E+3', '1000', '0.30000000000000004',
	'0.1000000000000000055511151231257827', '0.3', '123456789012345678901234567890.1234', '1E-10');
my @doubles = ('0.1', '0.5', '5.0', '-0.0', '0.0', 'NaN', 'Infinity', '-Infinity', '1e20', '1152921504606846976', '0.30000000000000004',
	'0.3', '9007199254740992', '1e-10', '16777217', '0.10000000149011612', '1000');
my @uuids = ('ABEiM0RVZneImaq7zN3u/w==', 'AAAAAAAAAAAAAAAAAAAAAA==');
my @milliseconds = (0, -1, 1709164800000, 1709208000000, 1709208000001, 1709251200000, '253402300799999', -62135596800000);
my @midnights = map { $_ * 86400000 } (0, -1, 19782, 19783);

# What a column may hold, and what it is compared with.
my %fields;
%fields = (
	i => [
		'integer',
		sub { my $n = pick(@wholes); pick(int32($n), int64($n), double("$n.0"), decimal("$n"), decimal("$n.00")); },
		sub { pick(@wholes, '5::bigint', '5::smallint', '3000000000', '-3000000000'); }
	],
	b => [
		'bigint',
		sub { my $n = pick(@longs); pick(int64($n), decimal($n)); },
		sub { pick(@longs); }
	],
	n => [
		'numeric',
		sub { pick(int32(pick(@wholes)), int64(pick(@longs)), double(pick(@doubles)), decimal(pick(@decimals, '1E+400', '1E-6000'))); },
		sub { "'" . pick(@wholes, @longs, @decimals, @doubles, '0.30000000000000001', '1e400', '1e-6000', '1e401') . "'::numeric"; }
	],
	f => [
		'double precision',
		sub { pick(int32(pick(@wholes)), int64(pick(@longs)), double(pick(@doubles)), decimal(pick(@decimals))); },
		sub { "'" . pick(@wholes, @longs, @decimals, @doubles) . "'::" . pick('double precision', 'double precision', 'real'); }
	],
	g => [
		'real',
		sub { pick(int32(pick(@wholes)), double(pick(@doubles)), decimal(pick(@decimals))); },
		sub { "'" . pick(@wholes, @decimals, @doubles) . "'::" . pick('double precision', 'real'); }
	],
	t => [
		'text',
		sub {
			pick(string(pick(@strings)), string(pick(@strings)), qq({"\$symbol": "a"}), oid(pick(@oids)), int32(pick(@wholes)),
				double(pick(@doubles)), decimal(pick(@decimals)), pick('true', 'false'), date(pick(@milliseconds)), uuid(pick(@uuids), pick('04', '03')));
		},
		sub { "'" . pick(@strings, @oids) . "'"; }
	],
	bo => [ 'boolean', sub { pick('true', 'false'); }, sub { pick('true', 'false'); } ],
	o => [ 'mongo_migrate.objectid', sub { oid(pick(@oids)); }, sub { "'" . pick(@oids) . "'::mongo_migrate.objectid"; } ],
	u => [
		'uuid',
		sub { uuid(pick(@uuids), pick('04', '03')); },
		sub { "'" . pick('00112233-4455-6677-8899-aabbccddeeff', '00000000-0000-0000-0000-000000000000') . "'::uuid"; }
	],
	ts => [
		'timestamptz',
		sub { date(pick(@milliseconds)); },
		sub {
			pick(map { "TIMESTAMPTZ '$_'" } '1970-01-01 00:00Z', '2024-02-29 12:00:00.001Z', '2024-02-29 12:00:00.0005Z', 'infinity', '-infinity',
				'9999-12-31 23:59:59.9990001Z')
			  if rand() < 0.7;
			pick("DATE '2024-02-29'", "TIMESTAMP '2024-02-29 12:00'", "DATE 'infinity'", "TIMESTAMPTZ '2024-02-29 12:00:00.001Z'");
		}
	],
	tn => [
		'timestamp',
		sub { date(pick(@milliseconds)); },
		sub { pick("TIMESTAMP '1970-01-01'", "TIMESTAMP '2024-02-29 12:00:00.0005'", "DATE '2024-03-01'", "TIMESTAMP '-infinity'", "TIMESTAMPTZ '2024-02-29 12:00Z'"); }
	],
	da => [
		'date',
		sub { date(pick(@midnights)); },
		sub { pick("DATE '1970-01-01'", "DATE '2024-02-29'", "TIMESTAMP '2024-02-29 00:00:01'", "DATE 'infinity'", "DATE '1969-12-31'"); }
	],
	j => [
		'jsonb',
		sub { pick('{"x": 1}', '[1, null]', '[null]', '[]', '5', '"s"', '"x"', '["x", "s"]', '{"x": {"s": "x"}}', '[["x"]]', '{"s": null}', '[{"x": 1, "s": "x"}]'); },
		sub { pick("'5'", "'[]'", q('{"x": 1}'), q('"x"'), q('["x", "s"]')) . '::jsonb'; }
	],
	l => [
		'integer[]',
		sub { pick('[1, 2]', '[null]', '[]', '[3]', '[3, null, 3]', '[[1, 2], [3, 4]]', '[[3]]', '[' . join(', ', map { $fields{i}[1]->() } 1 .. 3) . ']'); },
		sub { "'{" . pick('1,2', '', 'NULL', '3', '3,NULL', '{3}', '{1,2},{3,4}', join(',', map { pick(@wholes) } 1 .. pick(1, 2))) . "}'::integer[]"; }
	],
	m => [
		'text[]',
		sub { pick('[]', '[null]', '[["a"], ["b"]]', '[' . join(', ', map { $fields{t}[1]->() } 1 .. pick(1 .. 3)) . ']'); },
		sub { 'ARRAY[' . join(', ', map { "'" . pick(@strings, @oids) . "'" } 1 .. pick(1, 1, 2)) . ']::text[]'; }
	],
	e => [
		'numeric[]',
		sub { '[' . join(', ', map { $fields{n}[1]->() } 1 .. pick(1 .. 3)) . ']'; },
		sub { 'ARRAY[' . join(', ', map { "'" . pick(@wholes, @decimals, @doubles) . "'" } 1 .. pick(1, 1, 2)) . ']::numeric[]'; }
	],
);

# Columns below the top of the document, which is of many shapes.
my %nested = (
	x => [ 'integer', 'sub.x', $fields{i}[2] ],
	y => [ 'text', 'sub.deep.y', $fields{t}[2] ],
	z => [ 'integer', 'arr.1', $fields{i}[2] ],
	w => [ 'integer', 'arr.0.w', $fields{i}[2] ],
	v => [ 'integer[]', 'rows.1', $fields{l}[2] ],
);

# A sub-document or array, or something else in its place.
sub nested_value
{
	my $x = pick('null', qq({"\$undefined": true}), $fields{i}[1]->());
	my $y = pick('null', $fields{t}[1]->());
	return pick(
		qq("sub": {"x": $x, "deep": {"y": $y}}), qq("sub": {"x": $x}), qq("sub": {"deep": [{"y": $y}]}), qq("sub": {"deep": 5}),
		qq("sub": [{"x": $x, "deep": {"y": $y}}, {"x": 1}]), '"sub": []', '"sub": null', '"sub": "x"', '"sub": {}', '"other": 1');
}

sub array_value
{
	my ($one, $two) = ($fields{i}[1]->(), $fields{i}[1]->());
	return pick(qq("arr": [$one, $two]), qq("arr": [{"w": $one}]), qq("arr": [{"w": $one}, $two]), qq("arr": [null, $two]), '"arr": []',
		'"arr": null', qq("arr": {"1": $one, "0": {"w": $two}}), qq("arr": [[{"w": $one}]]), '"arr": 7', '"other2": 1');
}

# An array within another, or in a document.
sub rows_value
{
	my $row = $fields{l}[1]->();
	return pick(qq("rows": [[], $row]), qq("rows": [5, $row, [1]]), qq("rows": {"1": $row}), '"rows": []', '"other3": 1');
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
	push @parts, '"must": ' . int32(pick(@wholes)), nested_value(), array_value(), rows_value();
	return '{' . join(', ', @parts) . '}';
}

my %comparands = ((map { $_ => $fields{$_}[2] } keys %fields), (map { $_ => $nested{$_}[2] } keys %nested));
my @columns = sort keys %comparands;

# A comparand: a constant, or one that is known only when the scan starts.
sub comparand
{
	my ($column) = @_;
	my $value = $comparands{$column}->();
	return rand() < 0.05 ? 'NULL' : rand() < 0.3 ? "(SELECT $value)" : $value;
}

# What an operator or a form of expression of its own compares a text with.
sub pattern
{
	my $text = pick(@strings, @strings, @oids, pick(@wholes));
	my $kind = pick(qw(LIKE LIKE LIKE ILIKE ^@ ~ ~*));
	$text = substr($text, int(rand(length($text) + 1)), pick(1 .. 4)) if rand() < 0.5;
	if ($kind =~ /LIKE/)
	{
		$text =~ s/([%_])/\\$1/g if rand() < 0.7;
		substr($text, int(rand(length($text) + 1)), pick(0, 0, 1)) = pick('%', '%', '_') foreach 1 .. pick(0, 1, 1, 2);
		$text =~ s/\\+$//;
		$kind = "NOT $kind" if rand() < 0.3;
	}
	elsif ($kind =~ /~/)
	{
		$text =~ s/([\\^\$.\[\]()|*+?{}])/\\$1/g;
		substr($text, int(rand(length($text) + 1)), 0) = pick('.', '.*', '(x|a)', '|') if rand() < 0.3 && $text !~ /\\/;
		$text = pick('^', '') . $text . pick('$', '', '');
		$kind = "!$kind" if rand() < 0.3;
	}
	return rand() < 0.2 ? "$kind (SELECT '$text')" : "$kind '$text'";
}

# A condition on an array.
sub of_array
{
	my $column = pick(qw(l l m e v));
	my $element = { l => $fields{i}[2], v => $fields{i}[2], m => $fields{t}[2], e => $fields{n}[2] }->{$column};
	$element = $column eq 'm' ? "'" . pick(@strings, @oids) . "'" : $column eq 'e' ? $element->() : pick(@wholes);
	$element = "(SELECT $element)" if rand() < 0.2;
	return pick('', 'NOT ') . "$element " . pick('= ANY', '<> ALL', '= ANY', '< ANY') . " ($column)" if rand() < 0.5;
	return pick('', '', 'NOT ') . "$column " . pick('@>', '&&', '=', '<@', '<>') . ' ' . comparand($column);
}

# A value of JSON, and what contains it.
sub json_value
{
	return pick(map({ qq("$_") } map { s/\n/\\n/gr } pick(@strings), pick(@oids)), pick(@wholes, @longs), 'true', 'null', '0.1', '0.5', '1e20', '5.0', '{}', '[]', '{"x": 1}',
		qq({"\$oid": ") . pick(@oids) . '"}', q({"$numberDecimal": "0.1"}));
}

sub json_container
{
	my $value = json_value();
	my $key = pick(qw(i b n f t bo o ts j u l m));
	return pick(qq({"$key": $value}), qq({"$key": $value}), qq({"$key": [$value]}), qq({"sub": {"x": $value}}), qq({"sub": {"deep": {"y": $value}}}), qq({"sub": [{"x": $value}]}),
		qq({"arr": [$value]}), qq({"arr": [{"w": $value}]}), qq({"arr": [[{"w": $value}]]}), qq({"$key": $value, "must": ) . pick(@wholes) . '}', '{}');
}

# A condition on jsonb.
sub of_json
{
	my $doc = pick(qw(doc doc plain canonical));
	my $kind = rand;
	my $key = pick(qw(i b n f t bo o ts j u l m missing));
	my $text = pick("$doc ->> '$key'", "$doc ->> '$key'", "$doc -> 'sub' ->> 'x'", "$doc #>> '{sub,deep,y}'", "$doc -> 'arr' ->> 1", "$doc #>> '{arr,0,w}'", "$doc -> 'arr' ->> '0'",
		"j ->> 'x'", "j ->> 0", "$doc -> 'o' ->> '\$oid'");
	my $string = pick($fields{t}[2]->(), $fields{t}[2]->(), $fields{t}[2]->(), "'" . pick(@wholes, @decimals) . "'", q('["x", "s"]'), q('{"x": 1}'));
	return pick('', 'NOT ') . "$doc @> '" . json_container() . "'" if $kind < 0.3;
	return "j " . pick('@>', '=', '<>') . " '" . json_value() . "'" if $kind < 0.35;
	return "$doc -> '$key' " . pick('@>', '=') . " '" . json_value() . "'" if $kind < 0.4;
	return pick("$doc", 'j', "$doc -> 'arr'", "$doc -> 'm'") . pick(' ?', ' ?', ' ?|', ' ?&') =~ s/(\?[|&])$/$1 '{x,s,a}' AND true/r =~ s/\?$/"? '" . pick(qw(x s a i w 5)) . "'"/er if $kind < 0.5;
	return "($text) IS " . pick('', 'NOT ') . 'NULL' if $kind < 0.6;
	return "($text) " . pick('=', '=', '=', '<>', '<') . " $string" if $kind < 0.8;
	return "($text) " . pick('', 'NOT ') . "IN ($string, 'a', NULL)" if $kind < 0.85;
	return "($text) " . pattern();
}

# Text in jsonb as a number, of fields that can be cast.
sub of_cast
{
	my $doc = pick(qw(doc plain));
	my ($text, $type) = @{
		pick(["$doc ->> 'must'", 'bigint'], ["$doc ->> 'must'", 'integer'], ["$doc ->> '_id'", 'integer'], [ "plain ->> 'b'", 'bigint' ],
			[ "plain ->> 'f'", 'numeric' ], [ "plain ->> 'f'", 'double precision' ], [ "plain ->> 'b'", 'numeric' ], [ "$doc ->> 'must'", 'double precision' ])
	};
	my $column = { integer => 'i', bigint => 'b', numeric => 'n', 'double precision' => 'f' }->{$type};
	return "($text)::$type IS " . pick('', 'NOT ') . 'NULL' if rand() < 0.1;
	return "($text)::$type " . pick('', 'NOT ') . 'IN (' . join(', ', map { $comparands{$column}->() } 1 .. 3) . ')' if rand() < 0.2;
	return "($text)::$type " . pick('=', '<>', '<', '<=', '>', '>=') . ' ' . comparand($column);
}

# A condition of a form of its own.
sub special
{
	my $kind = rand;
	return of_cast() if $kind < 0.08;
	return of_array() if $kind < 0.25;
	return of_json() if $kind < 0.6;
	$kind = rand;
	return pick(qw(t t y)) . ' ' . pattern() if $kind < 0.6;
	return pick('', 'NOT ') . 'starts_with(t, ' . comparand('t') . ')' if $kind < 0.65;
	return 'o::text ' . pick('=', '=', '<>') . ' ' . comparand('t') if $kind < 0.75;
	return 'o::text ' . pick('IN', 'NOT IN') . ' (' . join(', ', map { comparand('t') } 1 .. 3) . ')' if $kind < 0.8;
	return 'mongo_migrate.objectid_timestamp(o) ' . pick('=', '<>', '<', '<=', '>', '>=') . ' ' .
	  pick(map { "TIMESTAMPTZ '$_'" } '2020-07-04 04:05:20Z', '2020-07-04 04:05:21Z', '2020-07-04 04:05:20.5Z', '2106-02-07 06:28:15Z', '1970-01-01 00:00Z',
		'1960-01-01 00:00Z', '2200-01-01 00:00Z', 'infinity', '-infinity');
}

sub condition
{
	my ($depth) = @_;
	my $column = pick(@columns);
	my $kind = rand;
	if ($depth > 0 && $kind < 0.45)
	{
		my $text = '(' . join(pick(' AND ', ' OR '), map { condition($depth - 1) } 1 .. pick(2, 2, 3)) . ')';
		return rand() < 0.2 ? "NOT $text" : $text;
	}
	return special() if $kind > 0.82;
	return "$column IS " . pick('', 'NOT ') . 'NULL' if $kind < 0.55;
	return pick('', 'NOT ') . 'bo' if $kind < 0.58;
	return 'bo IS ' . pick('', 'NOT ') . pick('TRUE', 'FALSE') if $kind < 0.6;
	return "$column " . pick('', 'NOT ') . 'IN (' . join(', ', map { comparand($column) } 1 .. pick(1 .. 4)) . ')' if $kind < 0.72;
	return "$column BETWEEN " . comparand($column) . ' AND ' . comparand($column) if $kind < 0.77;
	return comparand($column) . ' ' . pick('=', '<', '>=') . " $column" if $kind < 0.8;
	return "$column COLLATE \"C\" " . pick('=', '<>', '<', '<=', '>', '>=') . ' ' . comparand($column)
	  if $kind < 0.81 && ($column eq 't' || $column eq 'y');
	return "$column " . pick('=', '<>', '<', '<=', '>', '>=') . ' ' . comparand($column);
}

$mongo->command($database, '{"dropDatabase": 1}');
foreach my $options ('', ', "collation": {"locale": "en", "strength": 1}')
{
	my $collection = $options ? 'loose' : 'docs';
	$mongo->command($database, qq({"create": "$collection"$options}));
	$mongo->command($database,
		bytes(qq({"insert": "$collection", "documents": [) . join(', ', map { document($_) } 1 .. $documents) . ']}'));
}
$mongo->command($database, '{"createIndexes": "docs", "indexes": [' . join(', ', map { qq({"key": {"$_": 1}, "name": "$_"}) } qw(n t ts sub.x l m)) . ']}');

my $uri = $mongo->uri;
my $definition = join ', ', '_id bigint', "doc jsonb OPTIONS (path '\$')",
  (map { "$_ jsonb OPTIONS (path '\$', extended_json '$_')" } qw(plain canonical)),
  'must bigint NOT NULL',
  (map { "$_ $fields{$_}[0]" } sort keys %fields), (map { "$_ $nested{$_}[0] OPTIONS (path '$nested{$_}[1]')" } sort keys %nested);
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION mongo_migrate;
CREATE SERVER s FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database '$database');
CREATE FOREIGN TABLE docs ($definition) SERVER s;
CREATE FOREIGN TABLE loose ($definition) SERVER s;

CREATE FUNCTION ids(source regclass, condition text, pushdown boolean, up_to text) RETURNS bigint[]
LANGUAGE plpgsql AS \$\$
DECLARE
    result bigint[];
BEGIN
    PERFORM set_config('mongo_migrate.enable_pushdown', pushdown::text, true);
    EXECUTE format('SELECT array_agg(_id ORDER BY _id) FROM (SELECT _id FROM %s WHERE %s %s) q', source, condition, up_to) INTO result;
    RETURN coalesce(result, '{}');
END
\$\$;

-- What differs between a condition with pushdown and without; no text when nothing does.
CREATE FUNCTION difference(source regclass, condition text) RETURNS text
LANGUAGE plpgsql AS \$\$
DECLARE
    here bigint[] := ids(source, condition, false, '');
    there bigint[] := ids(source, condition, true, '');
    few bigint[] := ids(source, condition, true, 'LIMIT 3');
BEGIN
    IF here <> there THEN
        RETURN format('%s: %s: here %s, with MongoDB %s', source, condition, here, there);
    ELSIF cardinality(few) <> least(3, cardinality(here)) OR NOT few <\@ here THEN
        RETURN format('%s: %s: here %s, by three %s', source, condition, here, few);
    END IF;
    RETURN NULL;
END
\$\$;
-- The keys of the rows in their order.
CREATE FUNCTION keys(source regclass, condition text, keys text, ordering text, up_to text, pushdown boolean) RETURNS text[]
LANGUAGE plpgsql AS \$\$
DECLARE
    result text[];
BEGIN
    PERFORM set_config('mongo_migrate.enable_pushdown', pushdown::text, true);
    EXECUTE format('SELECT array_agg(k) FROM (SELECT ROW(%s)::text AS k FROM %s WHERE %s ORDER BY %s %s) q', keys, source, condition, ordering, up_to)
    INTO result;
    RETURN coalesce(result, '{}');
END
\$\$;

CREATE FUNCTION order_difference(source regclass, condition text, keys text, ordering text, up_to text) RETURNS text
LANGUAGE sql AS \$\$
SELECT format('%s: %s ORDER BY %s %s: here %s, with MongoDB %s', source, condition, ordering, up_to, here, there)
  FROM (SELECT keys(source, condition, keys, ordering, up_to, false) AS here, keys(source, condition, keys, ordering, up_to, true) AS there) q
 WHERE here <> there;
\$\$;
SQL

is($node->safe_psql('postgres', 'SELECT count(*), count(d) FROM docs d'), "$documents|$documents", 'every document can be read');

my (@pushed, $pushed);
my $script = "SET timezone = 'Europe/Berlin';\n";
foreach my $number (1 .. $conditions)
{
	my $text = condition(pick(0, 0, 1, 2));
	my $source = pick('docs', 'docs', 'loose');
	$script .= "SELECT difference('$source', \$condition\$$text\$condition\$);\n";
	push @pushed, $text if $number <= 50;
}
my ($status, $out, $err) = $node->psql('postgres', bytes($script), on_error_stop => 0);
my @failures = grep { /ERROR/ } split /\n/, $err;
is(join("\n", grep { $_ ne '' } split /\n/, $out), '', "no difference in $conditions conditions (seed $seed)");
is(join("\n", @failures), '', "no error in $conditions conditions (seed $seed)");

# The order, by one to three keys of which most can be sorted by MongoDB; numerics without the zeros by which equal ones differ.
sub ordering
{
	my %keys = map { pick(qw(_id i b bo o ts tn da), qw(i b bo o ts tn da n t x must must)) => 1 } 1 .. pick(1, 1, 2, 3);
	my @keys = sort { rand() <=> 0.5 } keys %keys;
	return (join(', ', map { $_ eq 'n' ? 'trim_scale(n)' : $_ } @keys), join(', ', map { $_ . pick('', ' DESC') . pick('', ' NULLS FIRST', ' NULLS LAST') } @keys));
}

$script = "SET timezone = 'Europe/Berlin';\n";
foreach my $number (1 .. $conditions / 2)
{
	my $text = rand() < 0.4 ? 'true' : condition(pick(0, 0, 1));
	my $source = pick('docs', 'docs', 'loose');
	my ($keys, $ordering) = ordering();
	my $up_to = pick('', 'LIMIT ' . pick(0 .. 20), 'OFFSET ' . pick(0 .. 10), 'LIMIT ' . pick(1 .. 20) . ' OFFSET ' . pick(0 .. 200));
	$script .= "SELECT order_difference('$source', \$condition\$$text\$condition\$, '$keys', '$ordering', '$up_to');\n";
}
($status, $out, $err) = $node->psql('postgres', bytes($script), on_error_stop => 0);
is(join("\n", grep { $_ ne '' } split /\n/, $out), '', "no difference in the order (seed $seed)");
is(join("\n", grep { /ERROR/ } split /\n/, $err), '', "no error in the order (seed $seed)");

# The comparison means something: most conditions do go to MongoDB.
foreach my $text (@pushed)
{
	$pushed++ if $node->safe_psql('postgres', bytes("EXPLAIN SELECT FROM docs WHERE $text")) !~ /"filter":\{\}/;
}
cmp_ok($pushed, '>', 25, 'most conditions are pushed down');

$mongo->command($database, '{"dropDatabase": 1}');
$node->stop;
done_testing();

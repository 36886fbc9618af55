# Databases whose encoding is not UTF-8: strings are converted, and what has no equivalent is refused or escaped.
use strict;
use warnings;

use Encode qw(decode encode);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('encoding');
$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$node->start;

# A document of fields [type, name, string], as hexadecimal digits; the test itself is ASCII.
sub document
{
	my $fields = '';
	foreach my $field (@_)
	{
		my ($type, $name, $value) = ($field->[0], map { encode('UTF-8', $_) } @$field[ 1, 2 ]);
		$fields .= pack 'C Z* l< Z*', $type, $name, 1 + length $value, $value;
	}
	return unpack 'H*', pack('l<', 5 + length $fields) . $fields . "\0";
}
my $document = document([ 2, 'k', "a\x{e4}" ], [ 2, 's', "a\x{2606}" ], [ 2, "\x{e4}", "key" ]);
my $twice = document(([ 2, "\x{e4}", "key" ]) x 2);

# What a query prints, or the error.
sub answer
{
	my ($database, $query) = @_;
	my ($result, $out, $error) = $node->psql($database, "SET client_encoding = 'UTF8'; $query");
	return $error ? $error =~ s/^psql:<stdin>:\d+: //r : $out;
}

# The values of paths of a document as types, or the error.
sub decoded
{
	my ($database, $paths, $types, $bytes) = @_;
	$bytes //= $document;
	return answer($database, "SELECT \"values\" FROM mongo_migrate.decode_document('\\x$bytes', '{$paths}', '{$types}')");
}

foreach my $encoding (qw(UTF8 LATIN1 SQL_ASCII))
{
	my $database = lc $encoding;
	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE template0 ENCODING '$encoding' LOCALE 'C'");
	$node->safe_psql($database, 'CREATE EXTENSION mongo_migrate');
}
my ($umlaut, $star) = map { encode('UTF-8', $_) } "\x{e4}", "\x{2606}";

is(decoded('utf8', 'k,s', 'text,text'), "{a$umlaut,a$star}", 'UTF8: as they are');
is(decoded('utf8', $umlaut, 'text'), '{key}', 'UTF8: a name that is not ASCII');
is(decoded('utf8', '$', 'json'), qq({"{\\"k\\":\\"a$umlaut\\",\\"s\\":\\"a$star\\",\\"$umlaut\\":\\"key\\"}"}), 'UTF8: json');

is(decoded('latin1', 'k,k', 'text,varchar(2)'), "{a$umlaut,a$umlaut}", 'LATIN1: converted');
is($node->safe_psql('latin1', "SELECT encode(convert_to(\"values\"[1], 'LATIN1'), 'hex') FROM"
	  . " mongo_migrate.decode_document('\\x$document', '{k}', '{text}')"), '61e4', 'LATIN1: one byte a character');
is(decoded('latin1', $umlaut, 'text'), '{key}', 'LATIN1: a name that is not ASCII');
like(decoded('latin1', 's', 'text'), qr/^ERROR:  value "a\\u2606" of BSON type string is not valid UTF-8, or has characters that are not in encoding LATIN1/,
	'LATIN1: no equivalent');
like(decoded('latin1', 's', 'text'), qr/HINT:  Migrate into a database whose encoding is UTF8/, 'LATIN1: what to do');
like(decoded('latin1', '$', 'jsonb'), qr/not in encoding LATIN1/, 'LATIN1: jsonb, no equivalent');
is(decoded('latin1', '$', 'json'), '{"{\"k\":\"a\\\\u00e4\",\"s\":\"a\\\\u2606\",\"\\\\u00e4\":\"key\"}"}', 'LATIN1: json has escapes');
is(decoded('latin1', 's', 'json', '11000000027300' . '05000000' . 'f09f9880' . '0000'), '{"\"\\\\ud83d\\\\ude00\""}', 'LATIN1: a character of two escapes');
like(decoded('latin1', $umlaut, 'int'), qr/DETAIL:  Field "$umlaut" of the document/, 'LATIN1: a path in an error');
like(decoded('latin1', $umlaut, 'text', $twice), qr/^ERROR:  field "$umlaut" stands twice/, 'LATIN1: a field in an error');
like(decoded('latin1', '$', 'jsonb', $twice), qr/^ERROR:  key "$umlaut" stands twice/, 'LATIN1: a key in an error');
like(answer('latin1', qq(SELECT mongo_migrate.bson_from_json('{"k": {"\$oid": "$umlaut"}}'))),
	qr/DETAIL:  Invalid input string "\?\?"/, 'LATIN1: what the driver says');

is($node->safe_psql('sql_ascii', "SELECT encode(convert_to(\"values\"[1], 'SQL_ASCII'), 'hex') FROM"
	  . " mongo_migrate.decode_document('\\x$document', '{s}', '{text}')"), '61e29886', 'SQL_ASCII: the bytes of UTF-8');

$node->stop;
done_testing();

# Documents that libbson does not print, because a string in them is not UTF-8: each is a finding of a
# verification, which goes on with the others.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use File::Temp qw(tempdir);
use IO::Compress::Gzip qw(gzip $GzipError);
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# {"_id": $id, "a": $a, "b": $b}
sub document
{
	my ($id, $first, $second) = @_;
	my $fields = pack('C Z* l<', 0x10, '_id', $id) . join '',
	  map { pack 'C Z* l< Z*', 2, $_->[0], 1 + length $_->[1], $_->[1] } [ 'a', $first ], [ 'b', $second ];
	return pack('l<', 5 + length $fields) . $fields . "\0";
}

my $bytes = join '', document(1, 'good', 'good'), document(2, 'good', "not planned \xff"), document(3, "planned \xff", 'good'),
  document(4, 'good', 'good'), document(5, 'good', "\xc3");
my $folder = tempdir(CLEANUP => 1);
gzip(\$bytes, "$folder/texts.bson.gz") or die "gzip: $GzipError\n";

# Few texts, each often, but for one.
my $states = join '', map { document($_, $_ % 5 + 1, $_ % 2 ? 'open' : 'closed') } 1 .. 40;
$states .= document(41, 99, "op\xc3");
gzip(\$states, "$folder/states.bson.gz") or die "gzip: $GzipError\n";
my $names = document(1, 'good', 'good') . document(2, 'good', 'good') =~ s/\x02b\0/\x02\xff\0/r;
gzip(\$names, "$folder/names.bson.gz") or die "gzip: $GzipError\n";
my $keys = join '', map { my $id = pack 'C Z* l< Z*', 2, '_id', 3, $_; pack('l<', 5 + length $id) . $id . "\0" } qw(k1 k2 k3);
gzip(\$keys, "$folder/keys.bson.gz") or die "gzip: $GzipError\n";
my $ids = join '', map { my $id = pack 'C Z* l< Z*', 2, '_id', 3, $_; pack('l<', 5 + length $id) . $id . "\0" } ('k1', "k\xff");
gzip(\$ids, "$folder/ids.bson.gz") or die "gzip: $GzipError\n";
my $many = join '', map { document($_, "a$_", $_ == 120 || $_ == 450 ? "\xff" : 'good') } 1 .. 500;
gzip(\$many, "$folder/many.bson.gz") or die "gzip: $GzipError\n";
my $uses = join '', map { document($_, $_ == 4 ? "k\xff" : $_ == 5 ? 'k9' : "k$_", 'good') } 1 .. 5;
gzip(\$uses, "$folder/uses.bson.gz") or die "gzip: $GzipError\n";

my $mongo = MongoServer->shared;
my $node = PostgreSQL::Test::Cluster->new('unreadable');
$node->init(extra => [ '--locale=C', '--encoding=UTF8' ]);
$node->start;
$mongo->restore('mm_test_unreadable', $folder);
my $uri = $mongo->uri;
$node->safe_psql('postgres', <<"END");
SET client_min_messages = error;
CREATE EXTENSION mongo_migrate;
CREATE SERVER texts FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'mm_test_unreadable');
CREATE USER MAPPING FOR CURRENT_USER SERVER texts;
CREATE TABLE texts (id bigint PRIMARY KEY, a text);
SELECT mongo_migrate.plan_collection('texts', 'texts');
SELECT mongo_migrate.migrate_collection('texts', 'texts');
UPDATE texts SET a = 'changed' WHERE id = 4;
END

is($node->safe_psql('postgres', "SELECT source_id FROM mongo_migrate.quarantine"), '3', 'what a column needs is in quarantine');
my $differences = "SELECT source_id, column_name, kind, source_value, target_value FROM mongo_migrate.%s ORDER BY source_id";
my $expected = <<'END' =~ s/\n\z//r;
2||mismatch||cannot be compared: document has a string that is not valid UTF-8, or is not valid BSON
4|a|mismatch|good|changed
5||mismatch||cannot be compared: document has a string that is not valid UTF-8, or is not valid BSON
END
foreach my $call ("verify_sample('texts', 'texts', 0)", "verify_full('texts', 'texts')")
{
	is($node->safe_psql('postgres', sprintf $differences, $call), $expected, $call);
}
is($node->safe_psql('postgres', "SELECT count(*) FROM mongo_migrate.verify_sample('texts', 'texts', 4) WHERE kind <> 'mismatch'"),
	0, 'a sample finds nothing else');
is($node->safe_psql('postgres', "SELECT target_count, ok, quarantined FROM mongo_migrate.verify_counts('texts')"), '4|t|1', 'counts');
my $shown = "SELECT source_id, column_name, kind, source_value, target_value FROM mongo_migrate.compare_document('texts', 'texts', '%s')";
is($node->safe_psql('postgres', sprintf $shown, 2), '2||mismatch||cannot be compared: document has a string that is not valid UTF-8, or is not valid BSON',
	'side by side: what no column is for');
is($node->safe_psql('postgres', sprintf $shown, 3), '3|a|quarantined||value "planned \xff" of BSON type string is not valid UTF-8',
	'side by side: in quarantine');
is($node->safe_psql('postgres', 'SELECT source_id, path, document IS NULL FROM mongo_migrate.quarantine_report'), '3|a|t',
	'the report has the others of quarantine');
my ($status, undef, $error) = $node->psql('postgres', q{SELECT mongo_migrate.find_documents('texts', 'texts', '{"_id": 5}')});
is($error, <<'END' =~ s/\n\z//r, 'an error names the document');
psql:<stdin>:1: ERROR:  document has a string that is not valid UTF-8, or is not valid BSON
DETAIL:  The document is { "_id" : { "$numberInt" : "5" } }.
HINT:  Mend the document; a string in MongoDB should be UTF-8.
END

is($node->safe_psql('postgres', "SELECT note, few_values IS NULL FROM mongo_migrate.infer_schema('texts', 'states') WHERE path = 'b'"),
	'strings that are not valid UTF-8, which no type holds|t', 'a note says it');
is(($node->psql('postgres', "SELECT path FROM mongo_migrate.infer_schema('texts', 'names')"))[1], "_id\na\nb", 'a field whose name is no text');
(undef, undef, $error) = $node->psql('postgres', "SELECT mongo_migrate.plan_collection('texts', 'names')");
like($error, qr/^psql:<stdin>:1: WARNING:  field "\?" of collection "names" is not shown$/m, 'and a warning says it');
unlike($error, qr/ERROR/, 'the rest is planned');
is($node->safe_psql('postgres', <<'END'), "2|0\n?|1", 'the rest is copied, the field counted');
SET client_min_messages = error;
SELECT inserted, rejected FROM mongo_migrate.migrate_collection('texts', 'names');
SELECT path, documents FROM mongo_migrate.drift WHERE collection = 'names';
END
is($node->safe_psql('postgres', <<'END'), '40', 'what dangles goes into quarantine with it');
SET client_min_messages = error;
SELECT mongo_migrate.plan_collection('texts', 'states') \g /dev/null
UPDATE mongo_migrate.plan_column SET role = 'reference', refers_to = 'texts', key_form = 'number_text', type = 'bigint', on_dangling = 'quarantine'
 WHERE (collection, path) = ('states', 'a');
UPDATE mongo_migrate.plan_column SET included = false WHERE (collection, path) = ('states', 'b');
DELETE FROM mongo_migrate.quarantine;
UPDATE mongo_migrate.plan_column SET included = false WHERE (collection, path) = ('texts', 'a');
SELECT mongo_migrate.migrate_collection('texts', 'texts') \g /dev/null
SELECT mongo_migrate.migrate_collection('texts', 'states') \g /dev/null
SELECT count(*) FROM states;
END
is($node->safe_psql('postgres', "SELECT source_id, document FROM mongo_migrate.quarantine_report WHERE collection = 'states'"),
	'41|{"_id":{"$numberInt":"41"}}', 'its _id is there');

is($node->safe_psql('postgres', <<'END'), "5|0|t\n5|\"k9\"\n4|\n3|2", 'a reference to nothing whose value is no text');
SET client_min_messages = error;
SELECT mongo_migrate.migrate_collection('texts', 'keys') \g /dev/null
SELECT mongo_migrate.plan_collection('texts', 'uses') \g /dev/null
UPDATE mongo_migrate.plan_column SET role = 'reference', refers_to = 'keys', type = 'bigint' WHERE (collection, path) = ('uses', 'a');
SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('texts', 'uses');
SELECT row_key ->> 'id', source_value FROM mongo_migrate.dangling_reference ORDER BY source_value;
SELECT count(a), count(*) - count(a) FROM uses;
END

is($node->safe_psql('postgres', <<'END'), "120||mismatch\n450||mismatch\n77|a|mismatch", 'among many');
SET client_min_messages = error;
SELECT mongo_migrate.plan_collection('texts', 'many') \g /dev/null
UPDATE mongo_migrate.plan_column SET included = false WHERE (collection, path) = ('many', 'b');
SELECT mongo_migrate.migrate_collection('texts', 'many') \g /dev/null
UPDATE many SET a = 'changed' WHERE id = 77;
SELECT source_id, column_name, kind FROM mongo_migrate.verify_full('texts', 'many') ORDER BY source_id;
END

(undef, undef, $error) = $node->psql('postgres', <<'END');
SET client_min_messages = error;
SELECT mongo_migrate.migrate_collection('texts', 'ids');
SELECT mongo_migrate.verify_full('texts', 'ids');
END
like($error, qr/an _id of collection "ids" cannot be read: .*\n.*\n.*Replace its document/, 'an _id that cannot be asked for');

# Counts of the other tables are none the worse for it.
$mongo->command('mm_test_unreadable', '{"insert": "states", "documents": [{"_id": 50, "a": "4", "c": [{"n": 1, "c": [{"n": 2}]}]}]}');
(undef, my $counts, $error) = $node->psql('postgres', <<'END');
SET client_min_messages = error;
DELETE FROM mongo_migrate.plan WHERE collection <> 'ids' AND collection <> 'keys';
DROP TABLE states;
DELETE FROM mongo_migrate.chunk WHERE collection = 'states';
DELETE FROM mongo_migrate.quarantine;
SELECT mongo_migrate.plan_collection('texts', 'states') \g /dev/null
UPDATE mongo_migrate.plan_column SET included = false WHERE (collection, path) = ('states', 'b');
SELECT mongo_migrate.plan_table('texts', 'states', 'c[].c') \g /dev/null
SELECT mongo_migrate.migrate_collection('texts', 'states') \g /dev/null
INSERT INTO mongo_migrate.quarantine (server, collection, key, source_id, document, reason, sqlstate)
VALUES ('texts', 'ids', mongo_migrate.document_key('\x11000000025f696400030000006bff0000'), 'k', '\x11000000025f696400030000006bff0000', 'for a test', '22021');
SET client_min_messages = warning;
SELECT target, source_count, target_count, difference, ok, quarantined FROM mongo_migrate.verify_counts('texts') ORDER BY 1;
SELECT f.target, f.kind, f.source_value, f.target_value FROM mongo_migrate.finding AS f JOIN mongo_migrate.verification AS v USING (verification_id) WHERE v.kind = 'counts' AND f.target <> 'public.texts';
END
is($counts, <<'END' =~ s/\n\z//r, 'tables that cannot be counted');
public.ids||2||f|
public.keys|3|3|0|t|0
public.states|42|42|0|t|0
public.states_c||2||f|
public.ids|count||cannot be counted: the document has a string that is not valid UTF-8
public.states_c|count||cannot be counted: document has a string that is not valid UTF-8, or is not valid BSON
END
like($error, qr/WARNING:  rows for table public.ids cannot be counted in collection "ids": .*\nHINT:  Mend the document/, 'it is told');

# Characters that the encoding of the database lacks.
$mongo->command('mm_test_unreadable', '{"dropDatabase": 1}');
$mongo->command('mm_test_unreadable', '{"insert": "posts", "documents": [
    {"_id": 1, "replies": [{"n": 1, "replies": [{"n": 2}]}]}, {"_id": 2, "unplanned": "\\u2606"}]}');
$node->safe_psql('postgres', "CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
(undef, $counts, $error) = $node->psql('latin', <<"END");
SET client_min_messages = error;
CREATE EXTENSION mongo_migrate;
CREATE SERVER texts FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'mm_test_unreadable');
SELECT mongo_migrate.plan_collection('texts', 'posts') \\g /dev/null
SELECT mongo_migrate.plan_table('texts', 'posts', 'replies[].replies') \\g /dev/null
DELETE FROM mongo_migrate.plan_column WHERE path = 'unplanned';
SELECT inserted, rejected FROM mongo_migrate.migrate_collection('texts', 'posts');
SET client_min_messages = warning;
SELECT target, source_count, target_count, ok FROM mongo_migrate.verify_counts('texts');
END
is($counts, "2|0\npublic.posts|2|2|t\npublic.posts_replies||2|f", 'a tree in another encoding cannot be counted');
like($error, qr/WARNING:  rows for table public.posts_replies cannot be counted in collection "posts": /, 'which is told');

$mongo->command('mm_test_unreadable', '{"dropDatabase": 1}');
$node->stop;
done_testing();

# What PostgreSQL has from 18 on: virtual generated columns, constraints that are not enforced or not valid yet, keys over
# time, and OLD and NEW in RETURNING.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my ($version) = `pg_config --version` =~ /(\d+)/;
plan skip_all => "PostgreSQL $version is older than 18" if $version < 18;

my $mongo = MongoServer->shared;
my $node = PostgreSQL::Test::Cluster->new('postgres18');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mongo_migrate; CREATE SERVER s FOREIGN DATA WRAPPER mongo_migrate'
	  . " OPTIONS (uri '" . $mongo->uri . "', database 'postgres18')");

sub query { return $node->safe_psql('postgres', "SET client_min_messages = error;\n" . $_[0]); }

sub command { return $mongo->command('postgres18', $_[0]); }

# Plans a collection for a table that there is, and migrates it.
sub migrate
{
	my ($name, $edit) = @_;
	query("SELECT mongo_migrate.plan_collection('s', '$name', target => 'public.$name', id_type => 'source'); " . ($edit // ''));
	return query("SELECT inserted, rejected, complete FROM mongo_migrate.migrate_collection('s', '$name')");
}

command('{"insert": "a", "documents": [{"_id": 1, "n": 1}, {"_id": 2, "n": 2}, {"_id": 3, "n": 60}]}');
command('{"insert": "b", "documents": [{"_id": 1, "aId": 1, "n": 1}, {"_id": 2, "aId": 99, "n": 1}]}');
command('{"insert": "t", "documents": [{"_id": 1, "n": 1}, {"_id": 2, "n": 2}, {"_id": 3, "n": null}]}');

# Generated columns are of PostgreSQL alone, the virtual ones, too.
query('CREATE TABLE a (id bigint PRIMARY KEY, n integer, twice integer GENERATED ALWAYS AS (n * 2) VIRTUAL NOT NULL CHECK (twice < 100))');
is(migrate('a'), '2|1|t', 'a table with a virtual column');
is(query("SELECT source_id, reason FROM mongo_migrate.quarantine WHERE collection = 'a'"),
	'3|new row for relation "a" violates check constraint "a_twice_check"', 'its check is obeyed');
is(query('TABLE a ORDER BY id'), "1|1|2\n2|2|4", 'the rows');
is(query("SELECT * FROM mongo_migrate.verify_full('s', 'a')"), '', 'nothing is different');
command('{"update": "a", "updates": [{"q": {"_id": 1}, "u": {"$set": {"n": 70}}}, {"q": {"_id": 2}, "u": {"$set": {"n": 7}}}, {"q": {"_id": 3}, "u": {"$set": {"n": null}}}]}');
query("SELECT count(*) FROM mongo_migrate.verify_full('s', 'a')");
is(query("SELECT replaced, rejected FROM mongo_migrate.repair('s', 'a')"), '1|1', 'rows are replaced by the same rules');
query("SELECT * FROM mongo_migrate.retry_quarantine('s', 'a')");
is(query("SELECT reason FROM mongo_migrate.quarantine WHERE collection = 'a' AND source_id = '3'"),
	'null value in column "twice" of relation "a" violates not-null constraint', 'and NOT NULL is obeyed');

# A constraint that is not enforced is no reason for anything.
query('CREATE TABLE b (id bigint PRIMARY KEY, a_id bigint REFERENCES a NOT ENFORCED, n integer, CHECK (n > 5) NOT ENFORCED)');
is(migrate('b', "UPDATE mongo_migrate.plan_column SET role = 'reference', refers_to = 'a' WHERE (collection, column_name) = ('b', 'a_id')"),
	'2|0|t', 'a table with constraints that are not enforced');
is(query('TABLE b ORDER BY id'), "1|1|1\n2|99|1", 'what dangles stays, as without a foreign key');
is(query("SELECT conname FROM pg_constraint WHERE conrelid = 'b'::regclass AND contype IN ('f', 'c') AND NOT conenforced ORDER BY 1"),
	"b_a_id_fkey\nb_n_check", 'and they stay as they were');
is(query("SELECT source_id, column_name, kind FROM mongo_migrate.verify_full('s', 'b')"), '2|a_id|orphan', 'a verification tells');

# A key over time, and NOT NULL for new rows alone.
SKIP:
{
	skip 'btree_gist is not installed', 3 if query("SELECT count(*) FROM pg_available_extensions WHERE name = 'btree_gist'") == 0;
	query(q{CREATE EXTENSION btree_gist;
		CREATE TABLE t (id bigint, at tstzrange DEFAULT '[2024-01-01,)', n integer, PRIMARY KEY (id, at WITHOUT OVERLAPS));
		ALTER TABLE t ADD CONSTRAINT t_n NOT NULL n NOT VALID});
	is(migrate('t'), '2|1|t', 'a table with a key over time');
	command('{"update": "t", "updates": [{"q": {"_id": 1}, "u": {"$set": {"n": 70}}}]}');
	query("SELECT count(*) FROM mongo_migrate.verify_full('s', 't')");
	is(query("SELECT replaced, rejected FROM mongo_migrate.repair('s', 't')"), '1|0', 'a row of it is replaced');
	is(query("SELECT * FROM mongo_migrate.verify_full('s', 't')"), '', 'nothing is different');
}

# Foreign tables: virtual columns are computed here, whatever is pushed down; RETURNING has the row as it was.
query(q{CREATE FOREIGN TABLE fa (_id integer, n integer, twice integer GENERATED ALWAYS AS (n * 2) VIRTUAL) SERVER s OPTIONS (collection 'b');
	CREATE FOREIGN TABLE fb (_id integer, n integer) SERVER s OPTIONS (collection 'b')});
is(query('SELECT sum(twice), count(*) FROM fa WHERE twice = 2'), '4|2', 'a virtual column in a condition and an aggregate');
is(query('SELECT twice, count(*) FROM fa GROUP BY twice'), '2|2', 'and in a group');
is(query('INSERT INTO fa VALUES (7, 1) RETURNING old.n, new.n, new.twice'), '|1|2', 'INSERT RETURNING OLD and NEW');
is(query('UPDATE fa SET n = 5 WHERE _id = 7 RETURNING old.twice, new.twice'), '2|10', 'UPDATE');
is(query('UPDATE fb SET n = n + 1 WHERE n = 5 RETURNING old.*, new.*'), '7|5|7|6', 'UPDATE of a row that the condition no longer finds');
is(query('DELETE FROM fb WHERE _id = 7 RETURNING old.n, new.n'), '6|', 'DELETE');

done_testing();

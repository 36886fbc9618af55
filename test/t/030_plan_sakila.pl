# Planning of a real dump: keys with spaces, numbers and dates as strings, arrays within arrays, and actors
# whose _id are doubles where films refer to them by int32. Skipped where the data is not there.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $data = ($ENV{MM_DATA} // "$FindBin::RealBin/../../../shared/data") . "/sakila";
plan skip_all => "no data in $data" unless -d $data;

my $mongo = MongoServer->shared;
my $node = PostgreSQL::Test::Cluster->new('plan_sakila');
$node->init;
$node->start;
my $uri = $mongo->uri;
$mongo->restore('mm_test_plan_sakila', $data);
$node->safe_psql('postgres', <<"END");
CREATE EXTENSION mongo_migrate;
CREATE SERVER sakila FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'mm_test_plan_sakila');
CREATE USER MAPPING FOR CURRENT_USER SERVER sakila;
END

# Compares the rows of a query with lines of text.
sub rows_are
{
	my ($query, $expected, $name) = @_;
	is($node->safe_psql('postgres', $query), $expected =~ s/\n\z//r, $name);
	return;
}

rows_are(<<'END', <<'END', 'paths of customers');
SELECT path, types, present, nulls, missing, proposed_type, refers_to, min_value, max_value
FROM mongo_migrate.infer_schema('sakila', 'Sakila_customers', 0)
WHERE path ~ '^(_id|Rentals)' ORDER BY path COLLATE "C"
END
Rentals|{"array": 599}|599|0|0|jsonb|||
Rentals[]|{"object": 16044}|16044|0|0|jsonb|||
Rentals[].Film Title|{"string": 16044}|16044|0|0|text|||
Rentals[].Payments|{"array": 16044}|16044|0|0|jsonb|||
Rentals[].Payments[]|{"object": 16044}|16044|0|0|jsonb|||
Rentals[].Payments[].Amount|{"int": 24, "double": 16020}|16044|0|0|numeric||0|11.989999771118164
Rentals[].Payments[].Payment Date|{"string": 16044}|16044|0|0|text|||
Rentals[].Payments[].Payment Id|{"int": 16044}|16044|0|0|integer||1|16049
Rentals[].Rental Date|{"string": 16044}|16044|0|0|text|||
Rentals[].Return Date|{"null": 183, "string": 15861}|15861|183|0|text|||
Rentals[].filmId|{"int": 16044}|16044|0|0|integer|Sakila_films|1|1000
Rentals[].rentalId|{"int": 16044}|16044|0|0|integer||1|16049
Rentals[].staffId|{"int": 16044}|16044|0|0|integer||1|2
_id|{"int": 599}|599|0|0|integer||1|599
END

rows_are(<<'END', <<'END', 'actors have ids that are doubles, films refer to them');
SELECT path, types, proposed_type, refers_to FROM mongo_migrate.infer_schema('sakila', 'Sakila_actors', 0) WHERE path = '_id'
UNION ALL
SELECT path, types, proposed_type, refers_to FROM mongo_migrate.infer_schema('sakila', 'Sakila_films', 0) WHERE path = 'Actors[].actorId'
END
_id|{"double": 200}|bigint|
Actors[].actorId|{"int": 5462}|integer|Sakila_actors
END

rows_are(<<'END', <<'END', 'each collection is planned');
SELECT mongo_migrate.plan_collection('sakila', collection) FROM mongo_migrate.list_collections('sakila')
END
Sakila_actors: 1 table, 5 columns, 0 references, from 200 of 200 documents
Sakila_customers: 3 tables, 22 columns, 1 reference, from 599 of 599 documents
Sakila_films: 2 tables, 14 columns, 1 reference, from 1000 of 1000 documents
END

rows_are(<<'END', <<'END', 'tables');
SELECT target, kind, path FROM mongo_migrate.plan_target ORDER BY collection COLLATE "C", ordinal
END
public.sakila_actors|root|
public.sakila_customers|root|
public.sakila_customers_rentals|child|Rentals
public.sakila_customers_rentals_payments|child|Payments
public.sakila_films|root|
public.sakila_films_actors|child|Actors
END

rows_are(<<'END', '', 'the plan is well-formed');
SELECT c.* FROM mongo_migrate.plan AS p, mongo_migrate.check_plan(p.server, p.collection) AS c
END

my $draft = "SELECT mongo_migrate.draft_ddl('sakila')";
my $first = $node->safe_psql('postgres', $draft);
like($first, qr/^    amount +numeric +NOT NULL, +-- Sakila_customers\.Rentals\[\]\.Payments\[\]\.Amount: double 16,020, int 24$/m,
	'a column says where it came from');
$node->safe_psql('postgres',
	"SELECT mongo_migrate.plan_collection('sakila', collection, replan => true) FROM mongo_migrate.list_collections('sakila')");
is($node->safe_psql('postgres', $draft), $first, 'planned again, the draft is the same');

# The draft is DDL that runs as it stands.
$node->safe_psql('postgres', "CREATE DATABASE target");
my ($status, $out, $err) = $node->psql('target', $first);
is($status, 0, 'the draft runs') or diag($err);

$node->safe_psql('postgres', "SELECT mongo_migrate.apply_ddl('sakila')");
is($node->safe_psql('postgres', $draft), $first, 'applied, the draft is the same');
rows_are("SELECT * FROM mongo_migrate.apply_ddl('sakila')", <<'END', 'applied again, nothing is created');
public.sakila_actors|exists
public.sakila_customers|exists
public.sakila_customers_rentals|exists
public.sakila_customers_rentals_payments|exists
public.sakila_films|exists
public.sakila_films_actors|exists
END

# A sample finds the same fields.
rows_are(<<'END', '', 'a sample of 100 documents shows every path');
SELECT path FROM mongo_migrate.infer_schema('sakila', 'Sakila_customers', 0)
EXCEPT SELECT path FROM mongo_migrate.infer_schema('sakila', 'Sakila_customers', 100)
END

$mongo->command('mm_test_plan_sakila', '{"dropDatabase": 1}');
$node->stop;
done_testing();

# A real dump from nothing to verified tables: no plan edits first, then with
# the amounts planned as money. Skipped where the data is not there.
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
my $node = PostgreSQL::Test::Cluster->new('sakila');
$node->init;
$node->start;
my $uri = $mongo->uri;
$mongo->restore('mm_test_sakila', $data);
$node->safe_psql('postgres', <<"END");
CREATE EXTENSION mongo_migrate;
CREATE SERVER sakila FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'mm_test_sakila');
CREATE USER MAPPING FOR CURRENT_USER SERVER sakila;
END

# Compares the rows of a query with lines of text.
sub rows_are
{
	my ($query, $expected, $name) = @_;
	is($node->safe_psql('postgres', $query), $expected =~ s/\n\z//r, $name);
	return;
}

my $every_difference = <<'END';
SELECT p.collection, v.* FROM mongo_migrate.plan AS p, mongo_migrate.verify_sample(p.server, p.collection, 0) AS v
END

rows_are(<<'END', <<'END', 'everything is migrated, and no document rejected');
SELECT collection, documents, inserted, rejected, complete FROM mongo_migrate.migrate_all('sakila') ORDER BY collection COLLATE "C"
END
Sakila_actors|200|200|0|t
Sakila_customers|599|599|0|t
Sakila_films|1000|1000|0|t
END

rows_are(<<'END', <<'END', 'counts');
SELECT target, source_count, target_count, ok FROM mongo_migrate.verify_counts('sakila') ORDER BY target COLLATE "C"
END
public.sakila_actors|200|200|t
public.sakila_customers|599|599|t
public.sakila_customers_rentals|16044|16044|t
public.sakila_customers_rentals_payments|16044|16044|t
public.sakila_films|1000|1000|t
public.sakila_films_actors|5462|5462|t
END
rows_are($every_difference, '', 'no difference in any document');

rows_are(<<'END', <<'END', 'references were found, and are foreign keys');
SELECT conrelid::regclass, pg_get_constraintdef(oid) FROM pg_constraint
WHERE contype = 'f' AND confrelid IN ('sakila_actors'::regclass, 'sakila_films'::regclass) AND confdeltype <> 'c' ORDER BY conrelid::regclass::text COLLATE "C"
END
sakila_customers_rentals|FOREIGN KEY (film_id) REFERENCES sakila_films(id)
sakila_films_actors|FOREIGN KEY (actor_id) REFERENCES sakila_actors(id)
END
rows_are(<<'END', '0|0|183', 'no reference is empty; the return dates that are null are NULL');
SELECT (SELECT count(*) FROM sakila_films_actors WHERE actor_id IS NULL),
	count(*) FILTER (WHERE film_id IS NULL), count(*) FILTER (WHERE return_date IS NULL) FROM sakila_customers_rentals
END
rows_are(<<'END', '0', 'references lead to the actor of that name');
SELECT count(*) FROM sakila_films_actors AS f JOIN sakila_actors AS a ON a.id = f.actor_id
WHERE (f.first_name, f.last_name) IS DISTINCT FROM (a.first_name, a.last_name)
END

# The same with amounts as money: what each payment loses is counted, and told apart from an error.
$node->safe_psql('postgres', <<'END');
DROP TABLE sakila_actors, sakila_customers, sakila_customers_rentals, sakila_customers_rentals_payments,
	sakila_films, sakila_films_actors;
SELECT mongo_migrate.reset_collection('sakila', collection) FROM mongo_migrate.plan;
UPDATE mongo_migrate.plan_column SET type = 'numeric(10,2)'
WHERE target = 'public.sakila_customers_rentals_payments' AND column_name = 'amount';
END
rows_are(<<'END', <<'END', 'migrated with amounts as numeric(10,2), roundings are counted');
SELECT collection, inserted, rejected, rounded, complete FROM mongo_migrate.migrate_all('sakila') ORDER BY collection COLLATE "C"
END
Sakila_actors|200|0|0|t
Sakila_customers|599|0|16020|t
Sakila_films|1000|0|0|t
END
rows_are('SELECT sum(amount) FROM sakila_customers_rentals_payments', '67406.56', 'payments sum up');
rows_are(<<"END", 'Sakila_customers|public.sakila_customers_rentals_payments|amount|rounded|16020', 'roundings, and nothing else, differ');
SELECT collection, target, column_name, kind, count(*) FROM ($every_difference) AS d GROUP BY 1, 2, 3, 4
END

# One cent too much in one payment.
$node->safe_psql('postgres', <<'END');
UPDATE sakila_customers_rentals_payments SET amount = amount + 0.01 WHERE (sakila_customer_id, rental_position, position) = (1, 0, 0)
END
rows_are(<<"END", 'Sakila_customers|1|public.sakila_customers_rentals_payments|amount|mismatch|5.989999771118164|6.00|Rentals.0.Payments.0', 'one cent is found');
SELECT * FROM ($every_difference) AS d WHERE kind <> 'rounded'
END

$mongo->command('mm_test_sakila', '{"dropDatabase": 1}');
$node->stop;
done_testing();

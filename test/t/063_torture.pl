# A database of every shape that real ones have, migrated by the plan as it is
# proposed and then by an edited one.  A script of its own, in another language,
# works out the rows from the documents.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mongo = MongoServer->shared;
my $uri = $mongo->uri;
my $scripts = "$FindBin::RealBin/../torture";
my $node = PostgreSQL::Test::Cluster->new('torture');
$node->init;
$node->append_conf('postgresql.conf', "timezone = 'UTC'\nmax_worker_processes = 20\n");
$node->start;
my $database = 'proposed';
foreach my $name ('proposed', 'edited')
{
	$node->safe_psql('postgres', "CREATE DATABASE $name");
	$node->safe_psql($name, <<"END");
CREATE EXTENSION mongo_migrate;
CREATE SERVER torture FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'mm_test_torture');
CREATE USER MAPPING FOR CURRENT_USER SERVER torture;
END
}
is(system('/usr/bin/python3', "$scripts/generate.py", $uri, 'mm_test_torture'), 0, 'documents are made');

# Compares the rows of queries, by name, with those that compare.py works out.
sub rows_are_computed
{
	my ($plan, %queries) = @_;
	my $folder = PostgreSQL::Test::Utils::tempdir();
	foreach my $name (keys %queries)
	{
		open my $file, '>', "$folder/$name.json" or die "$folder/$name.json: $!\n";
		print $file $node->safe_psql($database, $queries{$name}), "\n";
		close $file;
	}
	my ($out, $err) = run_command([ '/usr/bin/python3', "$scripts/compare.py", $uri, 'mm_test_torture', $plan, $folder ]);
	is($err, '', "$plan plan: rows are worked out");
	is($out, join("\n", map { "$_: equal" } sort keys %queries), "$plan plan: rows are those that documents must become");
	return;
}

# Compares the rows of a query with lines of text.
sub rows_are
{
	my ($query, $expected, $name) = @_;
	is($node->safe_psql($database, $query), $expected =~ s/\n\z//r, $name);
	return;
}

my $differences = <<'END';
SELECT p.collection, v.target, v.column_name, v.kind, count(*)
FROM mongo_migrate.plan AS p, mongo_migrate.verify_full(p.server, p.collection) AS v
GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
END
my $migrate = <<'END';
SELECT collection, inserted, rejected, complete FROM mongo_migrate.migrate_all('torture', batch_size => 100) ORDER BY collection COLLATE "C"
END
my $person = <<'END';
p.n, p.email, p.number, p.kind, p.name, p.status, p.first_name, p.bom, (extract(epoch FROM p.expires) * 1000)::bigint,
f.n, r.n, b.n, p.methods, p.odd_a_b, p.odd_price, p.odd_c_d, p.rare, p.address_city, p.address_zip,
p.address_geo_lat, p.address_geo_lng, (extract(epoch FROM p.born) * 1000)::bigint
END
my $of_people = <<'END';
FROM people AS p LEFT JOIN people AS f ON f.id = p.friend_id LEFT JOIN people AS r ON r.id = p.rival_id
LEFT JOIN people AS b ON b.id = p.boss_hex_id
END
my $order = <<'END';
o.n, o.id_country, o.id_n, p.n, o.email, o.total, (extract(epoch FROM o.placed) * 1000)::bigint
END
my %same = (
	tags => 'SELECT json_build_array(n, name) FROM tags',
	mixed => 'SELECT json_build_array(n) FROM mixed',
	people_tags => 'SELECT json_build_array(p.n, c.position, t.n) FROM people_tag_ids AS c JOIN people AS p ON p.id = c.people_id LEFT JOIN tags AS t ON t.id = c.tag_id',
	orders_items => 'SELECT json_build_array(o.n, c.position, c.sku, c.qty) FROM orders_items AS c JOIN orders AS o ON o.id = c.order_id',
	orders_items_parcels => 'SELECT json_build_array(o.n, c.item_position, c.position, c.code, c.days) FROM orders_items_parcels AS c JOIN orders AS o ON o.id = c.order_id');

# The plan as it is proposed.
$node->safe_psql($database, q{SELECT mongo_migrate.plan_collection('torture', collection) FROM mongo_migrate.list_collections('torture')});
rows_are($migrate, <<'END', 'proposed plan: every document is in');
mixed|18|0|t
orders|600|0|t
people|400|0|t
tags|12|0|t
END
rows_are_computed('proposed', %same,
	people => "SELECT json_build_array($person, p.seen, p.balance, p.note, p.scores, p.visits, p.matrix) $of_people",
	people_devices => 'SELECT json_build_array(p.n, c.position, c.os, c.flags_on, c.flags_n) FROM people_devices AS c JOIN people AS p ON p.id = c.people_id',
	people_folders => 'SELECT json_build_array(p.n, c.position, c.name, c.size, c.folders) FROM people_folders AS c JOIN people AS p ON p.id = c.people_id',
	orders => "SELECT json_build_array($order, o.history, o.paid) FROM orders AS o LEFT JOIN people AS p ON p.id = o.person_id");
rows_are(q{SELECT target FROM mongo_migrate.verify_counts('torture') WHERE NOT ok}, '', 'proposed plan: counts');
rows_are($differences, <<'END', 'proposed plan: nothing differs but references to nothing');
people|public.people|boss_hex_id|orphan|20
people|public.people_tag_ids|tag_id|orphan|4
END

# The edits of a person who knows what the documents mean.
$database = 'edited';
$node->safe_psql($database, <<'END');
SELECT mongo_migrate.plan_collection('torture', 'tags', id_type => 'source');
SELECT mongo_migrate.plan_collection('torture', 'people', id_type => 'uuid');
SELECT mongo_migrate.plan_collection('torture', 'orders');
SELECT mongo_migrate.plan_collection('torture', 'mixed');
SELECT mongo_migrate.plan_table('torture', 'people', p) FROM unnest(ARRAY['scores', 'visits', 'matrix', 'folders[].folders']) AS p;
SELECT mongo_migrate.plan_table('torture', 'orders', p) FROM unnest(ARRAY['history', 'paid']) AS p;

-- A date that is a double in some documents, money, enumerations, an array of documents as jsonb.
SELECT mongo_migrate.plan_enumeration('torture', 'people', 'status', labels => '{new,active,blocked}', name => 'status');
SELECT mongo_migrate.plan_enumeration('torture', 'people', 'kind', 'check');
SELECT mongo_migrate.plan_enumeration('torture', 'orders', 'history[][].state', 'lookup', name => 'history_state');
UPDATE mongo_migrate.plan_column SET type = 'timestamptz', source_type = 'text',
	expression = $$CASE WHEN value ~ '^[0-9]+$' THEN to_timestamp(value::numeric / 1000) ELSE value::timestamptz END$$
WHERE target = 'public.people' AND path = 'seen';
UPDATE mongo_migrate.plan_column SET type = 'numeric(20,2)', expression = 'round(value, 2)' WHERE target = 'public.people' AND path = 'balance';
DELETE FROM mongo_migrate.plan_target WHERE target = 'public.people_devices';
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, source_type)
VALUES ('torture', 'people', 'public.people', 'devices', 90, 'value', 'devices', 'jsonb', 'jsonb');
-- Elements of several types in columns of their own, and a key as a date.
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, source_type, expression)
VALUES ('torture', 'people', 'public.people_scores', 'value_number', 9, 'value', '$', 'numeric', 'jsonb',
		$$CASE WHEN jsonb_typeof(value) = 'number' THEN (value #>> '{}')::numeric END$$),
	('torture', 'people', 'public.people_scores', 'value_text', 10, 'value', '$', 'text', 'jsonb',
		$$CASE WHEN jsonb_typeof(value) = 'string' THEN value #>> '{}' END$$),
	('torture', 'people', 'public.people_visits', 'day', 9, 'value', '$key', 'date', 'text', 'value::date');
-- One collection to several tables: some documents, and a part of each.
INSERT INTO mongo_migrate.plan_target (server, collection, target, kind, ordinal, filter)
VALUES ('torture', 'people', 'public.firms', 'root', 50, '{"kind": "firm"}'), ('torture', 'people', 'public.profiles', 'root', 51, NULL);
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, nullable, source_type, expression)
SELECT c.server, c.collection, t.target, c.column_name, c.ordinal, c.role, c.path, c.type, false, c.source_type,
	CASE c.path WHEN 'note' THEN 'left(value, 100)' END
FROM mongo_migrate.plan_column AS c, (VALUES ('public.firms', '{_id,n,name}'::text[]), ('public.profiles', '{_id,n,note}')) AS t (target, paths)
WHERE c.target = 'public.people' AND c.path = ANY (t.paths);
DELETE FROM mongo_migrate.plan_column WHERE target = 'public.people' AND path = 'note';
-- References: into quarantine what has no boss; by another key as the value and as the id; by the key of a map.
UPDATE mongo_migrate.plan_column SET on_dangling = 'quarantine' WHERE target = 'public.people' AND path = 'bossHex';
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, refers_to, refers_key, key_form)
VALUES ('torture', 'orders', 'public.orders', 'buyer_id', 90, 'reference', 'email', 'uuid', 'people', 'email', 'exact'),
	('torture', 'orders', 'public.orders_paid', 'payer_id', 90, 'reference', '$key', 'uuid', 'people', '_id', 'objectid_text');
UPDATE mongo_migrate.plan_target SET filter = '{"placed": {"$gte": {"$date": "2024-01-01T02:00:00Z"}}}' WHERE target = 'public.orders';
END
rows_are(q{SELECT target, column_name, problem FROM mongo_migrate.check_plan('torture')}, '', 'edited plan: nothing is wrong with it');
$node->safe_psql($database, q{SELECT mongo_migrate.plan_collection('torture', 'people', replan => true)});
rows_are($migrate, <<'END', 'edited plan: every document that was asked for is in');
mixed|18|0|t
orders|480|0|t
people|400|0|t
tags|12|0|t
END
rows_are_computed('edited', %same,
	people => "SELECT json_build_array($person, (extract(epoch FROM p.seen) * 1000)::bigint, p.balance, p.devices) $of_people",
	people_tags => 'SELECT json_build_array(p.n, c.position, t.n) FROM people_tag_ids AS c JOIN people AS p ON p.id = c.people_id LEFT JOIN tags AS t ON t.id = c.tag_id',
	people_folders => 'SELECT json_build_array(p.n, c.position, c.parent_position, c.name, c.size, c.deep, c.extra) FROM people_folders AS c JOIN people AS p ON p.id = c.people_id',
	people_scores => 'SELECT json_build_array(p.n, c.position, c.value, c.value_number, c.value_text) FROM people_scores AS c JOIN people AS p ON p.id = c.people_id',
	people_visits => 'SELECT json_build_array(p.n, c.key, c.day, c.value) FROM people_visits AS c JOIN people AS p ON p.id = c.people_id',
	people_matrix => 'SELECT json_build_array(p.n, c.matrix_position, c.position, c.value) FROM people_matrix_elements AS c JOIN people AS p ON p.id = c.people_id',
	firms => 'SELECT json_build_array(f.n, f.name) FROM firms AS f JOIN people AS p USING (id, n)',
	profiles => 'SELECT json_build_array(f.n, f.note) FROM profiles AS f JOIN people AS p USING (id, n)',
	orders => "SELECT json_build_array($order, y.n) FROM orders AS o LEFT JOIN people AS p ON p.id = o.person_id LEFT JOIN people AS y ON y.id = o.buyer_id",
	orders_history => 'SELECT json_build_array(o.n, c.history_position, c.position, s.name, c.step) FROM orders_history_elements AS c JOIN orders AS o ON o.id = c.order_id JOIN history_state AS s ON s.id = c.state_id',
	orders_paid => 'SELECT json_build_array(o.n, c.key, p.n, c.value) FROM orders_paid AS c JOIN orders AS o ON o.id = c.order_id LEFT JOIN people AS p ON p.id = c.payer_id');
rows_are(q{SELECT target FROM mongo_migrate.verify_counts('torture') WHERE NOT ok}, '', 'edited plan: counts');
rows_are("SELECT * FROM ($differences) AS d WHERE kind <> 'orphan'", '', 'edited plan: nothing differs but references to nothing');
rows_are(<<'END', '0', 'edited plan: once more, nothing is new');
SELECT sum(inserted) FROM mongo_migrate.migrate_all('torture')
END

$mongo->command('mm_test_torture', '{"dropDatabase": 1}');
$node->stop;
done_testing();

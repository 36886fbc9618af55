# The tables follow the source: changes before, during and after the copy, whatever is killed meanwhile.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use JSON::PP qw(encode_json);
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PsqlSession;
use Test::More;
use Time::HiRes qw(sleep);

my $mongo = MongoServer->new;
my $node = PostgreSQL::Test::Cluster->new('sync');
$node->init;
$node->append_conf('postgresql.conf', "max_worker_processes = 16\nrestart_after_crash = on");
$node->start;
sub query { return $node->safe_psql('postgres', $_[0]); }
query('CREATE EXTENSION mongo_migrate');
query('CREATE PUBLICATION everything FOR ALL TABLES');    # and so no row may go that has no identity
query("CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '" . $mongo->uri . "', database 'shop')");

srand(my $seed = $ENV{MM_SEED} // int(rand(1e6)));
note("MM_SEED=$seed");

sub user_id { return { '$oid' => sprintf('%024x', $_[0]) }; }

# Statements of MongoDB's commands update and delete, each many in one command.
sub update
{
	my ($collection, @updates) = @_;
	return $mongo->command('shop', qq({"update": "$collection", "updates": ) . encode_json(\@updates) . '}');
}

sub replacement
{
	my ($document) = @_;
	return { q => { _id => $document->{_id} }, u => $document, upsert => JSON::PP::true };
}

sub put
{
	my ($collection, @documents) = @_;
	return update($collection, map { replacement($_) } @documents);
}

sub remove
{
	my ($collection, @ids) = @_;
	return $mongo->command('shop', qq({"delete": "$collection", "deletes": ) . encode_json([ map { { q => { _id => $_ }, limit => 1 } } @ids ]) . '}');
}

my $version = 0;

sub user { my ($n) = @_; return { _id => user_id($n), name => "user $n", version => ++$version }; }

sub order
{
	my ($n) = @_;
	return { _id => $n, user => user_id(1 + int(rand(40))), total => int(rand(1000)) / 4, version => ++$version,
		items => [ map { { sku => "s$_", count => int(rand(9)), parts => [ map { { n => $_ } } 1 .. rand(3) ] } } 0 .. rand(4) ] };
}

# Some random writes, in a few commands: each is many changes.
sub write_some
{
	my ($count) = @_;
	my @ids = map { 1 + int(rand(300)) } 1 .. $count / 5 + 1;
	put('orders', map { order(1 + int(rand(300))) } 0 .. $count);
	remove('orders', @ids[ 0 .. $#ids / 2 ]);
	remove('users', map { user_id(1 + int(rand(40))) } 1 .. $count / 20 + 1);
	put('users', map { user(1 + int(rand(40))) } 1 .. $count / 10 + 1);
	put('orders', map { order($_) } @ids);
	return;
}

# Waits until what was written before has been applied.
my $marks = 0;

sub caught_up
{
	my ($what) = @_;
	put('marks', { _id => ++$marks, n => $marks });
	return ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM marks WHERE id = $marks)"
		  . " AND NOT EXISTS (SELECT FROM mongo_migrate.change WHERE reason IS NULL)"), "$what: all is applied")
	  || diag(query('SELECT * FROM mongo_migrate.sync_status'), "\n", query('SELECT * FROM mongo_migrate.change'));
}

# What verification finds, but what the source itself has wrong.
sub differences
{
	return query("SELECT f.* FROM unnest(ARRAY['users', 'orders', 'marks']) AS c, mongo_migrate.verify_full('shop', c) AS f WHERE f.kind <> 'orphan'");
}

sub status { return query("SELECT $_[0] FROM mongo_migrate.sync_status WHERE server = 'shop'"); }

sub state_becomes
{
	my ($state) = @_;
	return ok($node->poll_query_until('postgres', "SELECT state = '$state' FROM mongo_migrate.sync_status WHERE server = 'shop'"), "the sync is $state")
	  || diag(status('*'));
}

# Followed from before the copy on, and written to all the time.
put('users', map { user($_) } 1 .. 40);
put('orders', map { order($_) } 1 .. 300);
put('marks', { _id => 0, n => 0 });
query("SELECT mongo_migrate.start_sync('shop')");
state_becomes('running');

# In a database that is dropped.
query('CREATE DATABASE gone');
$node->safe_psql('gone', $_)
  foreach 'CREATE EXTENSION mongo_migrate',
  "CREATE SERVER gone FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '" . $mongo->uri . "', database 'shop')",
  "SELECT mongo_migrate.plan_collection('gone', 'users')", "SELECT mongo_migrate.start_sync('gone')";
ok($node->poll_query_until('postgres', "SELECT count(*) = 2 FROM pg_stat_activity WHERE backend_type = 'mongo_migrate sync'"), 'two databases are followed');
query('DROP DATABASE gone WITH (FORCE)');

# With the rights of a role that is dropped: the session's, or one that it has set.
query('CREATE DATABASE others');
query('CREATE ROLE leaver SUPERUSER; CREATE ROLE setter SUPERUSER');
$node->safe_psql('others', $_)
  foreach 'CREATE EXTENSION mongo_migrate',
  (map { "CREATE SERVER $_ FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '" . $mongo->uri . "', database 'shop')" } 'of_leaver', 'of_setter'),
  "ALTER ROLE leaver LOGIN; SET SESSION AUTHORIZATION leaver; SELECT mongo_migrate.plan_collection('of_leaver', 'users'); SELECT mongo_migrate.start_sync('of_leaver')",
  "SET ROLE setter; SELECT mongo_migrate.start_sync('of_setter')";
ok($node->poll_query_until('others', "SELECT bool_and(state = 'running') FROM mongo_migrate.sync_status"), 'two roles have a sync');
query('DROP ROLE leaver; DROP ROLE setter');
query("SELECT mongo_migrate.plan_collection('shop', c) FROM unnest(ARRAY['users', 'orders', 'marks']) AS c");
write_some(50);
my $migration = PsqlSession->new($node);
$migration->send("SELECT collection, complete FROM mongo_migrate.migrate_all('shop', batch_size => 20)");
write_some(200);
my ($migrated, $complaints) = $migration->result;
like($migrated, qr/orders\|t/, 'migrated meanwhile') or diag($complaints);
write_some(50);
caught_up('after the copy');
is(differences(), '', 'the tables are as the source');
is(status('refused'), '0', 'nothing was refused');

# Each kind of change; the id of a row stays.
put('users', { _id => user_id(100), name => 'Ann', version => 1 });
put('orders', { _id => 1000, user => user_id(100), total => 1, version => 1, items => [ { sku => 'a', count => 1, parts => [ { n => 1 } ] } ] });
caught_up('insert');
my $id = query(q(SELECT id FROM users WHERE name = 'Ann'));
is(query('SELECT user_id, count(sku) FROM orders JOIN orders_items ON order_id = orders.id WHERE orders.id = 1000 GROUP BY 1'), "$id|1", 'new documents, and a reference');
update('users', { q => { name => 'Ann' }, u => { '$set' => { name => 'Anna' } } });
update('orders', { q => { _id => 1000 }, u => { '$push' => { items => { sku => 'b', count => 2, parts => [] } } } });
caught_up('update');
is(query("SELECT id FROM users WHERE name = 'Anna'"), $id, 'the row of a changed document keeps its id');
is(query('SELECT string_agg(sku, NULL ORDER BY position) FROM orders_items WHERE order_id = 1000'), 'ab', 'child rows are those of the document');
remove('orders', 1000);
caught_up('delete');
is(query('SELECT count(*) FROM orders FULL JOIN orders_items ON order_id = orders.id WHERE 1000 IN (orders.id, order_id)'), '0', 'the rows of a deleted document are gone');

# The worker's statement ends every ten seconds. Who waits for the lock by which others know that changes are followed
# would have it then, if it was let go.
my $watch = PsqlSession->new($node);
$watch->send("SET statement_timeout = '12 s'; SELECT pg_advisory_lock(mongo_migrate.sync_lock('shop'))");

# References: to a document that is not there, comes, and goes.
put('orders', { _id => 1001, user => user_id(200), total => 1, version => 1, items => [] });
caught_up('dangling');
is(query('SELECT user_id IS NULL FROM orders WHERE id = 1001'), 't', 'a reference that dangles is NULL, as the plan says');
put('users', user(200));
caught_up('mended');
is(query('SELECT name FROM orders JOIN users ON users.id = user_id WHERE orders.id = 1001'), 'user 200', 'and is set when its document has come');
remove('users', user_id(200));
caught_up('dangling again');
is(query('SELECT user_id IS NULL FROM orders WHERE id = 1001'), 't', 'and is NULL when that is deleted');
is(differences(), '', 'the tables are as the source');

# A document that cannot become rows.
update('orders', { q => { _id => 1001 }, u => { '$set' => { total => 'much' } } });
ok($node->poll_query_until('postgres', 'SELECT refused = 1 FROM mongo_migrate.sync_status'), 'a bad document is refused');
is(query('SELECT total FROM orders WHERE id = 1001'), '1', 'its row stays');
like(query('SELECT reason FROM mongo_migrate.change'), qr/"much" of BSON type string has no exact form in type numeric/, 'the reason is kept');
put('orders', { _id => 1002, user => undef, total => 'more', version => 1, items => [] });
caught_up('a new one');
is(query('SELECT source_id FROM mongo_migrate.quarantine'), '1002', 'a new bad one is in quarantine');
update('orders', { q => { total => { '$type' => 'string' } }, u => { '$set' => { total => 5 } }, multi => JSON::PP::true });
caught_up('mended documents');
is(query('SELECT id, total FROM orders WHERE id > 1000 ORDER BY 1'), "1001|5\n1002|5", 'both are there when they have been mended');
is(query('SELECT (SELECT count(*) FROM mongo_migrate.change) + (SELECT count(*) FROM mongo_migrate.quarantine)'), '0', 'and nothing waits');

# Nor one that a constraint refuses at the commit, beside another that has changed.
query('CREATE FUNCTION positive() RETURNS trigger LANGUAGE plpgsql AS '
	  . q($$BEGIN IF NEW.total < 0 THEN RAISE EXCEPTION 'total % is negative', NEW.total; END IF; RETURN NULL; END$$));
query('CREATE CONSTRAINT TRIGGER positive AFTER INSERT OR UPDATE ON orders DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION positive()');
update('orders', { q => { _id => 1001 }, u => { '$set' => { total => -1 } } }, { q => { _id => 1002 }, u => { '$set' => { total => 6 } } });
caught_up('a constraint that waits for the commit');
is(query('SELECT id, total FROM orders WHERE id > 1000 ORDER BY 1'), "1001|5\n1002|6", 'it keeps no other document out');
like(query('SELECT reason FROM mongo_migrate.change'), qr/total -1 is negative/, 'the reason is kept');
query('DROP TRIGGER positive ON orders');
update('orders', { q => { _id => 1001 }, u => { '$set' => { total => 5 } } });
caught_up('the constraint is gone');

# Beside a run and a repair.
write_some(20);
is(query("SELECT complete FROM mongo_migrate.migrate_collection('shop', 'orders')"), 't', 'a catch-up meanwhile');
query("SELECT count(*) FROM mongo_migrate.verify_full('shop', 'orders')");
write_some(20);
like(query("SELECT mongo_migrate.repair('shop', 'orders')"), qr/^\(/, 'a repair meanwhile');

my (undef, $refused) = $watch->result;
like($refused, qr/canceling statement due to statement timeout/, 'the sync was running all the time');
$watch->finish;

# Stopped, and started again.
query("SELECT mongo_migrate.stop_sync('shop')");
state_becomes('stopped');
write_some(50);
query("SELECT mongo_migrate.start_sync('shop')");
query("SELECT mongo_migrate.start_sync('shop')");
caught_up('started again');
ok($node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'mongo_migrate sync'"), 'one worker stays, however often it is started');

# A clock that was set back: the position in a stream without events moves all the same.
query("UPDATE mongo_migrate.sync SET captured_at = captured_at + interval '1 hour'");
ok($node->poll_query_until('postgres', 'SELECT captured_at < clock_timestamp() FROM mongo_migrate.sync_status'), 'the position moves by the clock that is');

# It takes settings of the server as they change.
foreach my $setting ('off', 'on')
{
	query("ALTER SYSTEM SET track_activities = $setting");
	$node->reload;
	my $not = $setting eq 'off' ? '' : 'NOT';
	ok($node->poll_query_until('postgres', "SELECT $not state = 'disabled' FROM pg_stat_activity WHERE datname = 'postgres' AND backend_type = 'mongo_migrate sync'"),
		"a worker sees that track_activities is $setting");
}

# They would be started again every 10 s.
sub times_logged { return scalar(() = slurp_file($node->logfile) =~ /$_[0]/g); }
my %gone = (
	'a database' => qr/FATAL:  database \d+ does not exist/,
	'a role that had the session' => qr/FATAL:  role with OID \d+ does not exist/,
	'a role that was set' => qr/ERROR:  invalid role OID: \d+/);
for (1 .. 300) { last unless grep { times_logged($_) == 0 } values %gone; sleep 0.1; }
sleep 11;
is(times_logged($gone{$_}), 1, "the worker of $_ and was dropped is not started for ever") foreach sort keys %gone;
is($node->safe_psql('others', q(SELECT server, state, error FROM mongo_migrate.sync_status ORDER BY 1)), join("\n", map {
	qq(of_$_|lost|role "$_", whose rights the worker had, does not exist any more; SELECT mongo_migrate.start_sync('of_$_') starts it with those of another) } qw(leaver setter)),
	'the status says so');
$node->safe_psql('others', "SELECT mongo_migrate.start_sync('of_leaver')");
ok($node->poll_query_until('others', "SELECT state = 'running' AND error IS NULL FROM mongo_migrate.sync_status WHERE server = 'of_leaver'"), 'another role starts it');
query('DROP DATABASE others WITH (FORCE)');

# Killed at random places: the worker, and the cluster with it; the server; MongoDB.
foreach my $round (1 .. ($ENV{MM_KILLS} // 1))
{
	state_becomes('running');
	write_some(int(rand(30)));
	kill 'KILL', status('pid');
	write_some(30);
	ok($node->poll_query_until('postgres', 'SELECT true'), 'after a crash');
	caught_up("after crash $round");
	write_some(int(rand(30)));
	$node->stop('immediate');
	write_some(30);
	$node->start;
	state_becomes('lost');
	query("SELECT mongo_migrate.start_sync('shop')");
	caught_up("after restart $round");
	write_some(int(rand(30)));
	$mongo->kill9;
	ok($node->poll_query_until('postgres', "SELECT error ~ 'No suitable servers' FROM mongo_migrate.sync_status"), 'the status says that MongoDB is gone, and what the driver says');
	$mongo->start;
	write_some(30);
	caught_up("after MongoDB's end $round");
	ok($node->poll_query_until('postgres', 'SELECT error IS NULL FROM mongo_migrate.sync_status'), 'and that it is there again');
	is(differences(), '', "the tables are as the source, round $round");
}

# A collection that one transaction plans and copies, and that changes before the commit.
put('late', map { { _id => $_, n => 1 } } 1 .. 3);
caught_up('before a transaction');
my $events = status('events');
my $transaction = PsqlSession->new($node);
$transaction->send("BEGIN; SELECT complete FROM mongo_migrate.migrate_collection('shop', 'late', workers => 0)");
is(($transaction->result)[0], 't', 'copied in a transaction');
update('late', { q => { _id => 2 }, u => { '$set' => { n => 7 } } });
ok($node->poll_query_until('postgres', "SELECT events > $events OR EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'mongo_migrate.plan'::regclass)"
	  . " FROM mongo_migrate.sync_status"), 'the change is captured, or its capture waits');
$transaction->send('COMMIT');
$transaction->result;
caught_up('after a transaction');
is(query('SELECT n FROM late WHERE id = 2'), '7', 'what has changed before the commit is not lost');
my ($result, $output, $error) = $node->psql('postgres', "SET default_transaction_isolation = 'repeatable read'; SELECT mongo_migrate.capture_changes('shop', 0)");
like($error, qr/READ COMMITTED transactions only/, 'nor does an older snapshot decide what is planned');

# What waits for the copy of a collection that is planned no more.
put('never', { _id => 1 });
caught_up('before it is planned');
query("SELECT mongo_migrate.plan_collection('shop', 'never')");
put('never', { _id => 2 });
ok($node->poll_query_until('postgres', "SELECT pending = 1 FROM mongo_migrate.sync_status"), 'a change waits for the copy');
query("DELETE FROM mongo_migrate.plan WHERE collection = 'never'");
caught_up('without a plan');

# _id of each type that MongoDB takes.
my @odd = map { { _id => $_, n => 1 } } (undef, JSON::PP::true, 2.5, '', 'a.$b', { a => 1, b => [1] }, map { { $_->[0] => $_->[1] } }
	  [ '$minKey', 1 ], [ '$maxKey', 1 ], [ '$numberDecimal', '1.50' ], [ '$date', '2020-01-01T00:00:00Z' ], [ '$timestamp', { t => 1, i => 2 } ], [ '$code', 'x' ]);
put('odd', @odd);
query("SELECT mongo_migrate.migrate_collection('shop', 'odd')");
is(query('SELECT count(*) FROM odd'), scalar @odd, 'odd _id are copied');
update('odd', { q => {}, u => { '$set' => { n => 2 } }, multi => JSON::PP::true });
caught_up('documents of odd _id');
is(query('SELECT count(*) FROM odd WHERE n = 2'), scalar @odd, 'odd _id are followed');
remove('odd', map { $_->{_id} } @odd);
caught_up('odd _id are deleted');
is(query('SELECT count(*) FROM odd'), '0', 'and deleted');

# A document that is deleted after its copy, and would go into quarantine.
put('payers', { _id => user_id(1), n => 1 }, { _id => user_id(2), n => 2 });
put('bills', map { { _id => $_, payer => user_id($_) } } 1 .. 2);
query("SELECT mongo_migrate.plan_collection('shop', c) FROM unnest(ARRAY['payers', 'bills']) AS c");
query("UPDATE mongo_migrate.plan_column SET on_dangling = 'quarantine' WHERE collection = 'bills' AND role = 'reference'");
query("SELECT mongo_migrate.migrate_collection('shop', 'bills')");
remove('payers', user_id(2));
$transaction->send("BEGIN; SELECT mongo_migrate.lock_collection('shop', 'bills')");
$transaction->result;
remove('bills', 2);
ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM mongo_migrate.change WHERE collection = 'bills')"), 'the deletion is noted');
$transaction->send("SELECT complete FROM mongo_migrate.migrate_collection('shop', 'payers', workers => 0)");
is(($transaction->result)[0], 't', 'a document that is deleted meanwhile does not end a migration');
$transaction->send('COMMIT');
$transaction->result;
caught_up('after that');
is(query('SELECT count(*), (SELECT count(*) FROM mongo_migrate.quarantine) FROM bills'), '1|0', 'its rows are gone, and it is not in quarantine');

# A reference by another field, whose value goes from one document to another.
put('clients', { _id => user_id(1), email => 'a' }, { _id => user_id(2), email => 'b' });
put('visits', map { { _id => $_, email => [ 'a', 'b', 'c' ]->[ $_ - 1 ] } } 1 .. 3);
query("SELECT mongo_migrate.plan_collection('shop', c) FROM unnest(ARRAY['clients', 'visits']) AS c");
query("INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, refers_to, refers_key, nullable)"
	  . " VALUES ('shop', 'visits', 'public.visits', 'client_id', 50, 'reference', 'email', 'bigint', 'clients', 'email', true)");
query("SELECT count(*) FROM mongo_migrate.migrate_all('shop')");
caught_up('references by a field');
my $visits = q(SELECT string_agg(concat(c.id, c.email), ' ' ORDER BY v.id) FROM visits AS v LEFT JOIN clients AS c ON c.id = v.client_id);
is(query($visits), '1a 2b ', 'references by a field');
update('clients', { q => { email => 'a' }, u => { '$set' => { email => 'c' } } }, { q => { email => 'b' }, u => { '$set' => { email => 'a' } } });
caught_up('values have changed');
is(query($visits), '2a  1c', 'they follow the value, not the document');
remove('clients', user_id(2));
caught_up('a document goes that was looked up');
is(query($visits) . "/" . query("SELECT count(*) FROM clients"), '  1c/1', 'what was looked up is NULL when the document goes')
  or diag(query('SELECT reason FROM mongo_migrate.change'));

# The same where the value itself is the reference: what refers to a value that goes is settled as when its document goes.
$mongo->command('shop', qq({"createIndexes": "members", "indexes": [{"key": {"email": 1}, "name": "email", "unique": true}]}));
put('members', map { { _id => $_, email => "m$_", name => 'old' } } 1 .. 4);
put('letters', map { { _id => $_, email => "m$_" } } 1 .. 3);
put('bans', map { { _id => $_, email => "m$_" } } 1 .. 4);
query("SELECT mongo_migrate.plan_collection('shop', c) FROM unnest(ARRAY['members', 'letters', 'bans']) AS c");
query("UPDATE mongo_migrate.plan_column SET role = 'reference', refers_to = 'members', refers_key = 'email', nullable = true,"
	  . " on_dangling = CASE collection WHEN 'bans' THEN 'quarantine' ELSE 'null' END WHERE collection IN ('letters', 'bans') AND path = 'email'");
query("SELECT count(*) FROM mongo_migrate.migrate_all('shop')");
caught_up('references to a value');
is(query("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND confrelid = 'members'::regclass"), '2', 'they have foreign keys');
sub mails
{
	return query(q(SELECT concat_ws(' / ', (SELECT string_agg(concat(id, email, name), ' ' ORDER BY id) FROM members),
		(SELECT string_agg(concat(id, email), ' ' ORDER BY id) FROM letters), (SELECT string_agg(concat(id, email), ' ' ORDER BY id) FROM bans),
		(SELECT count(*) FROM mongo_migrate.dangling_reference WHERE collection = 'letters'),
		(SELECT count(*) FROM mongo_migrate.quarantine WHERE collection = 'bans'))));
}
update('bans', { q => { _id => 1 }, u => { '$set' => { email => undef } } });
update('members', { q => { _id => 1 }, u => { '$set' => { email => 'new1', name => 'new' } } });
caught_up('a value goes');
is(mails(), '1new1new 2m2old 3m3old 4m4old / 1 2m2 3m3 / 1 2m2 3m3 4m4 / 1 / 0', 'the row has its new value, and what refers to the old one is NULL');
put('members', { _id => 5, email => 'm1', name => 'old' });
caught_up('the value comes again');
is(mails(), '1new1new 2m2old 3m3old 4m4old 5m1old / 1m1 2m2 3m3 / 1 2m2 3m3 4m4 / 0 / 0', 'of another document, which it then refers to');
update('members', { q => { _id => 2 }, u => { '$set' => { email => 'new2' } } });
update('letters', { q => { _id => 2 }, u => { '$set' => { email => 'new2' } } });
update('bans', { q => { _id => 2 }, u => { '$set' => { email => 'new2' } } });
update('members', { q => { _id => 4 }, u => { '$set' => { email => 'new4' } } });
caught_up('a value goes, and what refers to it');
is(query("SELECT count(*) FROM mongo_migrate.change WHERE collection IN ('members', 'letters')"), '0', 'nothing of them is refused');
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM mongo_migrate.change WHERE collection = 'bans'"), 'nor waits for itself for ever');
is(mails(), '1new1new 2new2old 3m3old 4new4old 5m1old / 1m1 2new2 3m3 / 1 2new2 3m3 / 0 / 1', 'both have it, and a document with the old one goes into quarantine where the plan says so');

# References to documents that two tables share, or neither has, which no foreign key tells.
put('animals', map { { _id => $_, kind => $_ % 2 ? 'cat' : 'dog', friend => $_ % 4 + 1 } } 1 .. 4);
query("SELECT mongo_migrate.plan_collection('shop', 'animals', target => 'cats')");
query(q(UPDATE mongo_migrate.plan_target SET filter = '{"kind": "cat"}' WHERE collection = 'animals'));
query("UPDATE mongo_migrate.plan_column SET role = 'reference', refers_to = 'animals', type = 'bigint', nullable = true WHERE collection = 'animals' AND path = 'friend'");
query("INSERT INTO mongo_migrate.plan_target (server, collection, target, kind, ordinal, filter) VALUES ('shop', 'animals', 'public.dogs', 'root', 100, '{\"kind\": \"dog\"}')");
query("INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, nullable, source_type, refers_to)"
	  . " SELECT server, collection, 'public.dogs', column_name, ordinal, role, path, type, nullable, source_type, refers_to FROM mongo_migrate.plan_column WHERE collection = 'animals'");
query("SELECT count(*) FROM mongo_migrate.migrate_collection('shop', 'animals')");
sub friends
{
	return query(q(SELECT concat_ws(' ', (SELECT string_agg(concat(a.id, '>', a.friend), ' ' ORDER BY id) FROM (SELECT id, friend FROM cats UNION SELECT id, friend FROM dogs) AS a),
		(SELECT count(*) FROM mongo_migrate.dangling_reference WHERE collection = 'animals'))));
}
caught_up('two tables');
is(friends(), '1>2 2>3 3>4 4>1 0', 'documents of two tables refer to each other');
remove('animals', 2);
update('animals', { q => { _id => 4 }, u => { '$set' => { kind => 'cow' } } });
caught_up('without a foreign key');
is(friends(), '1> 3> 2', 'references are NULL to what is deleted, or that no filter leaves in');
update('animals', { q => { _id => 3 }, u => { '$set' => { friend => 9 } } });
update('animals', { q => { _id => 4 }, u => { '$set' => { kind => 'cat' } } });
put('animals', { _id => 2, kind => 'cat', friend => 4 });
caught_up('and back');
is(friends(), '1>2 2>4 3> 4>1 1', 'and lead somewhere when that comes');

# A collection that is dropped is not taken for one without documents, though they have changed before.
query("SELECT mongo_migrate.stop_sync('shop')");
state_becomes('stopped');
put('orders', order(1));
update('orders', { q => {}, u => { '$set' => { version => 0 } }, multi => JSON::PP::true });
$mongo->command('shop', '{"drop": "orders"}');
query("SELECT mongo_migrate.start_sync('shop')");
state_becomes('stopped');
is(query('SELECT count(*) FROM orders WHERE id = 1'), '1', 'nor are those that changed just before');
like(status('error'), qr/collection "orders" was dropped in the source; the rows stay/, 'the status says why');
cmp_ok(query('SELECT count(*) FROM orders'), '>', 100, 'its rows are there');
is(status('pending'), '0', 'what was noted of it is forgotten');
put('orders', order(5000));
put('users', user(300));
query("SELECT mongo_migrate.start_sync('shop')");
caught_up('after a drop');
$mongo->command('shop', '{"aggregate": "orders", "cursor": {}, "pipeline": [{"$match": {"_id": 0}}, {"$out": "users"}]}');
state_becomes('stopped');
like(status('error'), qr/collection "users" was renamed in the source, or replaced by another/, 'the output of an aggregation is a new collection');
query("SELECT mongo_migrate.start_sync('shop')");
put('users', user(301));
caught_up('after a replacement');
is(query('SELECT (SELECT count(*) FROM orders WHERE id = 5000), (SELECT count(*) FROM users WHERE name IN (\'user 300\', \'user 301\'))'), '1|2', 'it goes on after both');

# What the source no longer tells.
query("SELECT mongo_migrate.stop_sync('shop')");
state_becomes('stopped');
$mongo->fail_point('{"mode": "alwaysOn", "data": {"failCommands": ["aggregate"], "errorCode": 286}}');
query("SELECT mongo_migrate.start_sync('shop')");
ok($node->poll_query_until('postgres', "SELECT error ~ 'start_sync\\(server, from_now => true\\)' FROM mongo_migrate.sync_status"), 'a position that the oplog has no longer')
  or diag(status('error'));
$mongo->fail_point_off;
query("SELECT mongo_migrate.stop_sync('shop')");
state_becomes('stopped');
$transaction->send("BEGIN; SELECT mongo_migrate.lock_collection('shop', 'odd')");    # as a copy does that has no batch yet
$transaction->result;
my ($ret, $out, $err) = $node->psql('postgres', "SELECT mongo_migrate.start_sync('shop', from_now => true)");
$transaction->send('COMMIT');
$transaction->result;
like($err, qr/NOTICE:  what has changed before now is not followed, and documents of these collections were copied before: animals, bans, bills, clients, late, letters, marks, members, never, odd, orders, payers, users, visits/, 'from now on');
caught_up('from now on');
query("SELECT mongo_migrate.stop_sync('shop')");
ok($node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'mongo_migrate sync'"), 'the worker ends');

# By hand, where there is to be no worker.
put('marks', { _id => ++$marks, n => $marks });
query("CALL mongo_migrate.follow_changes('shop', once => true)");
is(query("SELECT count(*) FROM marks WHERE id = $marks"), '1', 'followed once, though stopped');
is(query("SELECT state FROM mongo_migrate.sync_status"), 'stopped', 'and it stays so');
$mongo->command('shop', '{"drop": "late"}');
($ret, $out, $err) = $node->psql('postgres', "CALL mongo_migrate.follow_changes('shop', once => true)");
like($err, qr/WARNING:  sync of server "shop" has stopped: collection "late" was dropped in the source/, 'what stops a sync stops that too');
$node->safe_psql('postgres', "ALTER SERVER shop OPTIONS (SET uri 'mongodb://127.0.0.1:1/?replicaSet=rs0')");
($ret, $out, $err) = $node->psql('postgres', "CALL mongo_migrate.follow_changes('shop', once => true)");
like($err, qr/WARNING:  error while connecting to server "shop"/, 'what fails is told');
query('DROP EXTENSION mongo_migrate CASCADE');

# Collections that the encoding of the database has no name for are read past.
query(q(CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0));
sub latin { return $node->safe_psql('latin', $_[0]); }
put('words', map { { _id => $_, word => 'a' } } 1 .. 2);
latin('CREATE EXTENSION mongo_migrate');
latin("CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '" . $mongo->uri . "', database 'shop')");
put('stamps', map { { _id => $_, at => '01/02/2024 12:00' } } 1 .. 2);
latin('CREATE TABLE stamps (id integer PRIMARY KEY, at timestamptz)');
my $elsewhere = "SET TimeZone = 'Asia/Kolkata'; SET DateStyle = 'ISO, DMY'";
latin("$elsewhere; SELECT mongo_migrate.start_sync('shop')");
latin("$elsewhere; SELECT mongo_migrate.migrate_collection('shop', c) FROM unnest(ARRAY['words', 'stamps']) AS c");
$mongo->command('shop', '{"insert": "\\u6ce8\\u6587", "documents": [{"_id": 1}]}');
$mongo->command('shop', '{"drop": "\\u6ce8\\u6587"}');
update('words', { q => { _id => 1 }, u => { '$set' => { word => 'b' } } }, { q => { _id => 2 }, u => { '$set' => { word => "\x{6ce8}" } } });
ok($node->poll_query_until('latin', q(SELECT word = 'b' FROM words WHERE id = 1)), 'another encoding') || diag(latin('SELECT * FROM mongo_migrate.sync_status'));
update('stamps', { q => { _id => 2 }, u => { '$set' => { more => 1 } } });
ok($node->poll_query_until('latin', 'SELECT pending = 0 AND replaced = 2 FROM mongo_migrate.sync_status'), 'all is applied');
is(latin(q(SELECT string_agg(DISTINCT to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI'), ',') FROM stamps)), '2024-02-01 06:30', 'texts are read as where it was begun');
is(latin('SELECT string_agg(word, NULL ORDER BY id), (SELECT count(*) FROM mongo_migrate.change WHERE reason IS NOT NULL) FROM words'), 'ba|1', 'a word that it lacks is refused');
latin("SELECT mongo_migrate.stop_sync('shop')");

my $standalone = MongoServer->new(standalone => 1);
query('CREATE EXTENSION mongo_migrate');
query("CREATE SERVER alone FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '" . $standalone->uri . "', database 'shop')");
($ret, $out, $err) = $node->psql('postgres', "SELECT mongo_migrate.start_sync('alone')");
like($err, qr/HINT:  Change streams need a replica set/, 'without a replica set');
($ret, $out, $err) = $node->psql('postgres', "SELECT mongo_migrate.stop_sync('alone')");
like($err, qr/changes of server "alone" are not followed/, 'nothing to stop');

# Two sessions that begin to follow a server: one of them has copied already when the other may go on.
query("CREATE SERVER twice FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '" . $mongo->uri . "', database 'twice')");
$mongo->command('twice', '{"insert": "pairs", "documents": [{"_id": 1, "n": 1}]}');
my @starts = map { PsqlSession->new($node) } 1 .. 2;
is(($starts[0]->ask("BEGIN; SELECT mongo_migrate.start_sync('twice'), mongo_migrate.stop_sync('twice');"
	  . " SELECT inserted FROM mongo_migrate.migrate_collection('twice', 'pairs', workers => 0)"))[0], "|\n1", 'one begins, and copies');
$mongo->command('twice', '{"update": "pairs", "updates": [{"q": {"_id": 1}, "u": {"$set": {"n": 2}}}]}');
$starts[1]->send("SELECT mongo_migrate.start_sync('twice')");
ok($node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE '%twice%')"), 'the other waits');
$starts[0]->ask('COMMIT');
$starts[1]->result;
ok($node->poll_query_until('postgres', 'SELECT n = 2 FROM pairs'), 'what changed between them is not lost');
query("SELECT mongo_migrate.stop_sync('twice')");

done_testing();

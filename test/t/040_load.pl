# Batches against crashes, lost connections and each other: every document exactly once, one id for each.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use File::Temp qw(tempdir);
use IO::Compress::Gzip qw(gzip $GzipError);
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PsqlSession;
use Test::More;
use Time::HiRes qw(usleep);

my $mongo = MongoServer->new;
my $node = PostgreSQL::Test::Cluster->new('load');
$node->init;
$node->append_conf('postgresql.conf', "restart_after_crash = on\nlog_min_messages = warning");
$node->start;
my $uri = $mongo->uri;
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION mongo_migrate;
CREATE SERVER s FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'shop');
CREATE PROCEDURE copy_chunk(collection text, chunk integer, batch_size integer) LANGUAGE plpgsql AS \$\$
DECLARE
	complete boolean := false;
BEGIN
	WHILE NOT complete LOOP
		SELECT b.complete INTO complete FROM mongo_migrate.copy_batch('s', collection, chunk, batch_size) AS b;
		COMMIT;
	END LOOP;
END \$\$;
SQL

my $users = 500;
my $orders = 6000;

# Users, and orders with a user and two items each.
$mongo->generate('shop', 'users', [ 0, $users ], '{"_id": {"$concat": ["u", {"$toString": "$n"}]}, "n": 1, "name": {"$toString": "$n"}}');
$mongo->generate('shop', 'orders', [ 0, $orders ],
	'{"_id": {"$cond": [{"$mod": ["$n", 2]}, "$n", {"$toString": "$n"}]}, "n": 1,
	  "user": {"$concat": ["u", {"$toString": {"$mod": [{"$multiply": ["$n", 7919]}, 500]}}]},
	  "items": [{"sku": "a"}, {"sku": "b"}]}');

# Plans by hand and empty tables; orders in two chunks that part between numbers and strings.
sub reset_target
{
	$node->safe_psql('postgres', <<'SQL');
DO $$
DECLARE
	map text;
BEGIN
	FOR map IN SELECT relation FROM mongo_migrate.id_map WHERE relation IS NOT NULL LOOP
		EXECUTE 'DROP TABLE ' || map;
	END LOOP;
END $$;
TRUNCATE mongo_migrate.plan, mongo_migrate.id_map, mongo_migrate.chunk, mongo_migrate.quarantine CASCADE;
DROP TABLE IF EXISTS users, orders, order_items;
CREATE TABLE users (id bigint NOT NULL, name text);
CREATE TABLE orders (id bigint NOT NULL, user_id bigint, n integer);
CREATE TABLE order_items (order_id bigint NOT NULL, position integer NOT NULL, sku text);
INSERT INTO mongo_migrate.plan (server, collection) VALUES ('s', 'users'), ('s', 'orders');
INSERT INTO mongo_migrate.plan_target (server, collection, target, parent, kind, path, ordinal) VALUES
	('s', 'users', 'public.users', NULL, 'root', NULL, 1),
	('s', 'orders', 'public.orders', NULL, 'root', NULL, 1),
	('s', 'orders', 'public.order_items', 'public.orders', 'child', 'items', 2);
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, parent_column, refers_to) VALUES
	('s', 'users', 'public.users', 'id', 1, 'id', '_id', 'bigint', NULL, NULL),
	('s', 'users', 'public.users', 'name', 2, 'value', 'name', 'text', NULL, NULL),
	('s', 'orders', 'public.orders', 'id', 1, 'id', '_id', 'bigint', NULL, NULL),
	('s', 'orders', 'public.orders', 'user_id', 2, 'reference', 'user', 'bigint', NULL, 'users'),
	('s', 'orders', 'public.orders', 'n', 3, 'value', 'n', 'integer', NULL, NULL),
	('s', 'orders', 'public.order_items', 'order_id', 1, 'parent', NULL, 'bigint', 'id', NULL),
	('s', 'orders', 'public.order_items', 'position', 2, 'position', NULL, 'integer', NULL, NULL),
	('s', 'orders', 'public.order_items', 'sku', 3, 'value', 'sku', 'text', NULL, NULL);
SELECT mongo_migrate.create_id_map('s', 'users'), mongo_migrate.create_id_map('s', 'orders');
INSERT INTO mongo_migrate.chunk (server, collection, chunk, lower_id, upper_id) VALUES
	('s', 'users', 1, NULL, NULL),
	('s', 'orders', 1, NULL, mongo_migrate.bson_from_json('{"_id": "3"}')),
	('s', 'orders', 2, mongo_migrate.bson_from_json('{"_id": "3"}'), NULL);
SQL
}

# Every document exactly once, its children with it, ids one to one, references to the right user.
sub check
{
	my ($name) = @_;
	my $map = $node->safe_psql('postgres', "SELECT relation FROM mongo_migrate.id_map WHERE collection = 'users'");
	is( $node->safe_psql('postgres', <<"SQL"), "$orders|$orders|$orders|" . 2 * $orders . "|$users|$users|$users|$orders|0", $name);
SELECT (SELECT count(*) FROM orders), (SELECT count(DISTINCT id) FROM orders), (SELECT count(DISTINCT n) FROM orders),
	(SELECT count(DISTINCT (order_id, position)) FROM order_items JOIN orders ON id = order_id),
	(SELECT count(*) FROM users), (SELECT count(*) FROM $map), (SELECT count(DISTINCT id) FROM $map),
	(SELECT sum(documents) FROM mongo_migrate.chunk WHERE collection = 'orders'),
	(SELECT count(*) FROM orders AS o LEFT JOIN users AS u ON u.id = o.user_id
	 WHERE u.name IS DISTINCT FROM (o.n * 7919 % 500)::text)
SQL
}

# Sessions with a name; what they say of errors adds up.
my $sessions = 0;

sub session
{
	my $self = { psql => PsqlSession->new($node), err => '', name => 'session' . ++$sessions };
	run_in($self, "SET application_name = '$self->{name}'");
	return $self;
}

sub send_to
{
	my ($self, $sql) = @_;
	$self->{psql}->send($sql);
}

sub wait_for
{
	my ($self) = @_;
	my ($out, $err) = $self->{psql}->result;
	$self->{err} .= $err;
	return $out;
}

sub run_in
{
	send_to(@_);
	return wait_for($_[0]);
}

sub pid { return $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE application_name = '$_[0]{name}'"); }

# Waits while a condition holds, for three minutes at most.
sub wait_while
{
	my ($self, $condition) = @_;
	my $patience = time + 180;
	while ($condition->())
	{
		die "waited too long: $self->{err}" if time > $patience;
		usleep(10_000);
	}
}

sub is_blocked
{
	my ($self, $event) = @_;
	return $node->safe_psql('postgres',
		"SELECT count(*) FROM pg_stat_activity WHERE application_name = '$self->{name}' AND wait_event = '$event'") > 0;
}

sub wait_until_blocked
{
	my ($self, $event) = @_;
	wait_while($self, sub { return !is_blocked($self, $event); });
}

# Kills a backend the hard way; the whole cluster restarts.
sub crash
{
	my ($self, $pid) = @_;
	$pid //= pid($self);
	kill 'KILL', $pid;
	$self->{psql}->kill;
	usleep(10_000) while kill 0, $pid;
	# Not by a query: psql does not read it while the server starts, and to write it is an error then.
	foreach (1 .. 1800)
	{
		last if system('pg_isready', '--quiet', '--host', $node->host, '--port', $node->port) == 0;
		usleep(100_000);
	}
}

# How far the copy is; text that changes when it goes on.
sub progress { return $node->safe_psql('postgres', 'SELECT sum(batches) FROM mongo_migrate.chunk'); }

# A crash while a statement fills a table, in the middle of a batch.
reset_target();
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION stall() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	IF new.n = 1001 THEN
		PERFORM pg_advisory_xact_lock(1);
	END IF;
	RETURN new;
END $$;
CREATE TRIGGER stall BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION stall();
SQL
my $holder = session();
run_in($holder, 'SELECT pg_advisory_lock(1)');
my $victim = session();
send_to($victim, "CALL copy_chunk('orders', 1, 100)");
wait_until_blocked($victim, 'advisory');
is($node->safe_psql('postgres', 'SELECT count(*), (SELECT documents FROM mongo_migrate.chunk WHERE collection = \'orders\' AND chunk = 1) FROM orders'),
	'500|500', 'the batch is not visible');
crash($victim);
is($node->safe_psql('postgres', 'SELECT count(*) FROM orders'), '500', 'the batch is gone after a crash');
$node->safe_psql('postgres', 'DROP TRIGGER stall ON orders');
$node->safe_psql('postgres', "CALL copy_chunk('orders', 1, 100)");
$node->safe_psql('postgres', "CALL copy_chunk('orders', 2, 1000)");
$node->safe_psql('postgres', "CALL copy_chunk('users', 1, 100)");
check('a crash inside a batch');

# Crashes at random moments, between batches and in the middle of them. All would be done before them where the test is slow, but
# for the last documents, which wait.
reset_target();
$node->safe_psql('postgres', <<'SQL');
CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_catalog.pg_advisory_xact_lock(1); RETURN new; END';
CREATE TRIGGER hold BEFORE UPDATE ON mongo_migrate.chunk FOR EACH ROW WHEN (new.collection = 'users' AND new.documents > 490)
	EXECUTE FUNCTION hold();
SQL
my $done = progress();
for my $round (1 .. 8)
{
	$holder = session();
	run_in($holder, 'SELECT pg_advisory_lock(1)');
	$victim = session();
	my $pid = pid($victim);
	send_to($victim, "CALL copy_chunk('orders', 1, 3); CALL copy_chunk('orders', 2, 3); CALL copy_chunk('users', 1, 3)");
	wait_while($victim, sub { return progress() eq $done && !is_blocked($victim, 'advisory'); });
	usleep(int rand 100_000);
	crash($victim, $pid);
	$done = progress();
}
is($node->safe_psql('postgres', 'SELECT bool_and(complete) FROM mongo_migrate.chunk'), 'f', 'crashed before the end');
$node->safe_psql('postgres', 'DROP TRIGGER hold ON mongo_migrate.chunk');
$node->safe_psql('postgres', "CALL copy_chunk('$_->[0]', $_->[1], 70)") foreach [ 'orders', 1 ], [ 'orders', 2 ], [ 'users', 1 ];
check('crashes at random moments');

# A crash of a session that holds a cursor between two batches, and the other chunk meanwhile.
reset_target();
$victim = session();
my $other = session();
like(run_in($victim, "SELECT mongo_migrate.copy_batch('s', 'orders', 1, 10)"), qr/10,10,0,0,0,f/, 'a batch');
crash($victim);
$other = session();
run_in($other, "CALL copy_chunk('orders', 1, 1000)");
run_in($other, "CALL copy_chunk('orders', 2, 1000)");
run_in($other, "CALL copy_chunk('users', 1, 1000)");
check('a crash between batches');

# Two sessions and one map: the second waits for the first, and takes its ids.
reset_target();
my ($one, $two) = (session(), session());
like(run_in($one, "BEGIN; SELECT mongo_migrate.copy_batch('s', 'orders', 1, 100)"), qr/100,100/, 'references in a transaction');
send_to($two, "SELECT mongo_migrate.copy_batch('s', 'users', 1, 1000)");
wait_until_blocked($two, 'transactionid');
run_in($one, 'COMMIT');
like(wait_for($two), qr/$users,$users,0,0,0,t/, 'the documents of the references');
run_in($one, "CALL copy_chunk('orders', 1, 1000); CALL copy_chunk('orders', 2, 1000)");
check('ids of a session that commits');

# The same with a rollback: the second gives ids of its own.
reset_target();
like(run_in($one, "BEGIN; SELECT mongo_migrate.copy_batch('s', 'orders', 1, 100)"), qr/100,100/, 'references in a transaction');
send_to($two, "SELECT mongo_migrate.copy_batch('s', 'users', 1, 1000)");
wait_until_blocked($two, 'transactionid');
run_in($one, 'ROLLBACK');
like(wait_for($two), qr/$users,$users,0,0,0,t/, 'the documents of the references');
run_in($one, "CALL copy_chunk('orders', 1, 1000); CALL copy_chunk('orders', 2, 1000)");
check('ids of a session that rolls back');

# One chunk is one session's.
reset_target();
run_in($one, "BEGIN; SELECT mongo_migrate.copy_batch('s', 'orders', 1, 100)");
run_in($two, "\\set VERBOSITY sqlstate\nSELECT mongo_migrate.copy_batch('s', 'orders', 1, 100)");
like($two->{err}, qr/55P03/, 'a chunk that another transaction has');
run_in($one, 'COMMIT');

# A plan that changes after the only snapshot of a transaction, in which a batch is copied.
reset_target();
run_in($one, 'BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1');
$node->safe_psql('postgres', "UPDATE mongo_migrate.plan_column SET path = 'nowhere' WHERE (collection, column_name) = ('users', 'name')");
run_in($one, "SELECT mongo_migrate.copy_batch('s', 'users', 1, 100)");
run_in($one, 'COMMIT');
run_in($one, "SELECT mongo_migrate.copy_batch('s', 'users', 1, 100)");
is($node->safe_psql('postgres', 'SELECT count(*), count(name) FROM users'), '200|100', 'the next batch is of the new plan');

# Both at once, small batches, references to the same new users from both sides.
reset_target();
my ($three) = session();
send_to($one, "CALL copy_chunk('orders', 1, 20)");
send_to($three, "CALL copy_chunk('orders', 2, 20)");
send_to($two, "CALL copy_chunk('users', 1, 20)");
wait_for($_) foreach $one, $two, $three;
is("$one->{err}$three->{err}", '', 'no deadlock');
check('three sessions at once');

# Fields unknown to the plan, which two sessions meet in documents of two tables, crosswise.
reset_target();
$mongo->command('shop', '{"insert": "mixed", "documents": [{"_id": 1, "kind": "p", "z": 1}, {"_id": 2, "kind": "f", "k": 1, "m": 1},
	{"_id": 11, "kind": "p", "m": 1}, {"_id": 12, "kind": "f", "k": 1, "z": 1}]}');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE persons (id bigint NOT NULL, kind text);
CREATE TABLE firms (id bigint NOT NULL, kind text);
INSERT INTO mongo_migrate.plan (server, collection) VALUES ('s', 'mixed');
INSERT INTO mongo_migrate.plan_target (server, collection, target, kind, ordinal, filter) VALUES
	('s', 'mixed', 'public.persons', 'root', 1, '{"kind": "p"}'), ('s', 'mixed', 'public.firms', 'root', 2, '{"kind": "f"}');
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type)
	SELECT 's', 'mixed', t, c, 1, r, p, y FROM unnest('{public.persons,public.firms}'::text[]) AS t,
		(VALUES ('id', 'id', '_id', 'bigint'), ('kind', 'value', 'kind', 'text')) AS v (c, r, p, y);
SELECT mongo_migrate.create_id_map('s', 'mixed');
INSERT INTO mongo_migrate.chunk (server, collection, chunk, lower_id, upper_id) VALUES
	('s', 'mixed', 1, NULL, mongo_migrate.bson_from_json('{"_id": 10}')), ('s', 'mixed', 2, mongo_migrate.bson_from_json('{"_id": 10}'), NULL);
SQL
($one, $two, $three) = (session(), session(), session());
run_in($three, "BEGIN; INSERT INTO mongo_migrate.drift (server, collection, path, documents) VALUES ('s', 'mixed', 'k', 0)");
send_to($one, "SELECT mongo_migrate.copy_batch('s', 'mixed', 1, 10)");
wait_until_blocked($one, 'transactionid');
send_to($two, "SELECT mongo_migrate.copy_batch('s', 'mixed', 2, 10)");
wait_until_blocked($two, 'transactionid');
run_in($three, 'COMMIT');
is(join(' ', map { wait_for($_) } $one, $two), '(2,2,0,0,0,t) (2,2,0,0,0,t)', 'both batches');
is("$one->{err}$two->{err}", '', 'no deadlock');
is($node->safe_psql('postgres', "SELECT string_agg(path || documents, ' ' ORDER BY path) FROM mongo_migrate.drift WHERE collection = 'mixed'"), 'k2 m2 z2', 'and all is counted');

# The server ends in the middle of a chunk, or forgets the cursor: an error, and then all goes on.
reset_target();
$mongo->generate('shop', 'wide', [ 0, 9000 ], '{"_id": "$n", "n": 1, "name": {"$toString": "$n"}}');
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE wide (id bigint NOT NULL, name text);
INSERT INTO mongo_migrate.plan (server, collection) VALUES ('s', 'wide');
INSERT INTO mongo_migrate.plan_target (server, collection, target, kind, ordinal) VALUES ('s', 'wide', 'public.wide', 'root', 1);
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type) VALUES
	('s', 'wide', 'public.wide', 'id', 1, 'id', '_id', 'bigint'),
	('s', 'wide', 'public.wide', 'name', 2, 'value', 'name', 'text');
SELECT mongo_migrate.create_id_map('s', 'wide');
INSERT INTO mongo_migrate.chunk (server, collection, chunk) VALUES ('s', 'wide', 1);
SQL
$one = session();
like(run_in($one, "SELECT mongo_migrate.copy_batch('s', 'wide', 1, 1000)"), qr/1000,1000,0,0,0,f/, 'a batch of a long chunk');
my $cursors;
wait_while($one, sub {
	$cursors = $mongo->command('admin', '{"aggregate": 1, "cursor": {}, "pipeline": [{"$currentOp": {"idleCursors": true}},
		{"$match": {"type": "idleCursor", "ns": "shop.wide"}}]}')->{cursor}{firstBatch};
	return !@$cursors;    # while it has what was asked for ahead
});
is(scalar @$cursors, 1, 'the cursor is open between batches');
$mongo->command('shop', qq({"killCursors": "wide", "cursors": [$cursors->[0]{cursor}{cursorId}]}));
like(run_in($one, "SELECT mongo_migrate.copy_batch('s', 'wide', 1, 3000)"), qr/3000,3000,0,0,0,f/, 'what has been read');
like(run_in($one, "SELECT mongo_migrate.copy_batch('s', 'wide', 1, 3000)"), qr/3000,3000,0,0,0,f/, 'another cursor goes on');
is($one->{err}, '', 'a lost cursor is no error');
$mongo->kill9;
run_in($one, "CALL copy_chunk('wide', 1, 1000)");
like($one->{err}, qr/ERROR/, 'a dead server is an error');
isnt($node->safe_psql('postgres', "SELECT complete FROM mongo_migrate.chunk WHERE collection = 'wide'"), 't', 'and no end');
$mongo->start;
$one->{err} = '';
run_in($one, "CALL copy_chunk('wide', 1, 1000)");
is($one->{err}, '', 'the server is back');
is($node->safe_psql('postgres', "SELECT count(*), count(DISTINCT id), count(DISTINCT name), (SELECT documents FROM mongo_migrate.chunk WHERE collection = 'wide') FROM wide"),
	'9000|9000|9000|9000', 'every document once');

# Documents with a value that cannot become one of its column: each is put aside, and the others go in.
sub document
{
	my ($id, $field) = @_;
	my $fields = pack('C Z* l<', 0x10, '_id', $id) . $field;
	return pack('l<', 5 + length $fields) . $fields . "\0";
}
my $folder = tempdir(CLEANUP => 1);
my $code = pack('C Z* l<', 0x0d, 'ref', 4) . "a\0b\0";
my $documents = join '', document(1, pack('C Z* l< Z*', 2, 'ref', 3, 'u1')), document(2, $code), document(3, pack('C Z* l< Z*', 2, 'ref', 2, '7'));
gzip(\$documents, "$folder/refs.bson.gz") or die "gzip: $GzipError\n";
my $array = "\x0b\0\0\0" x 4_000_000;    # regular expressions, of which jsonb would need 300 MB
$documents = join '', document(1, "\x0aref\0"), document(2, pack('C Z* l<', 4, 'ref', 5 + length $array) . "$array\0"), document(3, "\x0aref\0");
gzip(\$documents, "$folder/large.bson.gz") or die "gzip: $GzipError\n";
$mongo->restore('shop', $folder);
$node->safe_psql('postgres', <<'SQL');
CREATE TABLE refs (id integer NOT NULL, ref text);
INSERT INTO mongo_migrate.plan (server, collection) VALUES ('s', 'refs');
INSERT INTO mongo_migrate.id_map (server, collection, id_type) VALUES ('s', 'refs', 'source'), ('s', 'referred', 'source');
INSERT INTO mongo_migrate.plan_target (server, collection, target, kind, ordinal) VALUES ('s', 'refs', 'public.refs', 'root', 1);
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type, refers_to, key_form) VALUES
	('s', 'refs', 'public.refs', 'id', 1, 'id', '_id', 'integer', NULL, 'exact'),
	('s', 'refs', 'public.refs', 'ref', 2, 'reference', 'ref', 'text', 'referred', 'number_text');
INSERT INTO mongo_migrate.chunk (server, collection, chunk) VALUES ('s', 'refs', 1);
CALL copy_chunk('refs', 1, 10);
SQL
is($node->safe_psql('postgres', 'SELECT * FROM refs ORDER BY id'), "1|u1\n3|7", 'a reference that is code with U+0000');
is($node->safe_psql('postgres', "SELECT source_id, path, reason FROM mongo_migrate.quarantine WHERE collection = 'refs'"),
	'2|ref|value "a\u0000b" of BSON type javascript has no exact form in type text', 'is told of');

$node->safe_psql('postgres', <<'SQL');
CREATE TABLE large (id integer NOT NULL, ref jsonb);
INSERT INTO mongo_migrate.plan (server, collection) VALUES ('s', 'large');
INSERT INTO mongo_migrate.id_map (server, collection, id_type) VALUES ('s', 'large', 'source');
INSERT INTO mongo_migrate.plan_target (server, collection, target, kind, ordinal) VALUES ('s', 'large', 'public.large', 'root', 1);
INSERT INTO mongo_migrate.plan_column (server, collection, target, column_name, ordinal, role, path, type) VALUES
	('s', 'large', 'public.large', 'id', 1, 'id', '_id', 'integer'), ('s', 'large', 'public.large', 'ref', 2, 'value', 'ref', 'jsonb');
INSERT INTO mongo_migrate.chunk (server, collection, chunk) VALUES ('s', 'large', 1);
CALL copy_chunk('large', 1, 10);
SQL
is($node->safe_psql('postgres', 'SELECT id FROM large ORDER BY id'), "1\n3", 'a value that jsonb cannot hold');
like($node->safe_psql('postgres', "SELECT source_id, path, reason FROM mongo_migrate.quarantine WHERE collection = 'large'"),
	qr/^2\|ref\|value \[.* of BSON type array is too long for type jsonb$/, 'is told of');

$_->{psql}->finish foreach $one, $two, $three;
$node->stop;
done_testing();

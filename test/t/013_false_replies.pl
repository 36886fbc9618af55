# A server that answers what no MongoDB would: whoever may create a server can have one. It is an error, and no crash,
# but where libmongoc itself aborts (doc/connecting.md).
use strict;
use warnings;

use FindBin;
use IPC::Open2;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $port = MongoServer::free_port();
my $liar = open2(my $from, my $to, '/usr/bin/python3', "$FindBin::RealBin/../lib/liar.py", $port);
<$from> eq "listening\n" or die "liar.py does not listen\n";

my $node = PostgreSQL::Test::Cluster->new('false_replies');
$node->init;
$node->start;
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION mongo_migrate;
CREATE SERVER s FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri 'mongodb://127.0.0.1:$port/', database 'd', transactions 'off');
CREATE FOREIGN TABLE t (_id bigint, n integer) SERVER s;
CREATE FOREIGN TABLE other (_id bigint, n integer) SERVER s;
SQL

# The reply of a cursor with these documents.
sub cursor { return q({"ok": 1, "cursor": {"id": {"$numberLong": "0"}, "ns": "d.t", "firstBatch": ) . "$_[0]}}"; }

# Runs SQL while the server has these answers: what it prints, errors included. PostgreSQL is still there after it.
sub meet
{
	my ($name, $answers, $sql, $expected) = @_;
	print $to '{', join(', ', map { qq("$_": $answers->{$_}) } sort keys %$answers), "}\n";
	$to->flush;
	<$from> eq "known\n" or die "liar.py is gone\n";
	my ($status, $out, $error) = $node->psql('postgres', $sql, timeout => 180);
	like("$out$error", $expected, $name);
	is($node->safe_psql('postgres', 'SELECT 1'), 1, "$name: no crash");
	return;
}

meet('collections that are no list', { listCollections => cursor(5) },
	q{SELECT count(*) FROM mongo_migrate.list_collections('s')}, qr/^0$/);
meet('a kind of collection that is no string', { listCollections => cursor('[{"name": "t", "type": 5}]'), find => cursor('[{"_id": 1}]') },
	q{SELECT mongo_migrate.plan_collection('s', 't'); SELECT mongo_migrate.apply_ddl('s');
	  SELECT mongo_migrate.migrate_collection('s', 't', workers => 0)}, qr/collection "t" does not exist/);
meet('a key of a collection that was not asked for', {
		listCollections => cursor('[{"name": "t", "type": "collection"}, {"name": "u", "type": "collection"}]'),
		listIndexes => cursor('[{"key": {"_id": 1}, "name": "_id_"}]'), count => '{"ok": 1, "n": 1}',
		find => cursor('[{"_id": {"$oid": "6b0489aa0000000000000001"}, "u": {"$oid": "6b0489aa0000000000000002"}}]'),
		aggregate => cursor('[{"n": 1000000, "v": {"$oid": "6b0489aa0000000000000002"}}, {"n": -1, "v": 1}, {"n": "0", "v": 1}]')
	}, q{SELECT path, refers_to FROM mongo_migrate.infer_schema('s', 't', 0)}, qr/^_id\|\nu\|$/);
meet('a change that is no document', { aggregate => cursor('[5]') },
	q{SELECT * FROM mongo_migrate.read_changes('s', NULL, 0, 10)}, qr/an event is not valid BSON/);
meet('facts of no column', { aggregate => cursor('[{"_id": null, "": 1, "l-5": 1, "l99999999999": 1, "s": 1, "c": 1}]') },
	'SELECT sum(n), count(*) FROM t', qr/^\|0$/);
meet('a join of no documents', {
		listIndexes => cursor('[{"key": {"_id": 1}, "name": "_id_"}]'), aggregate => cursor('[{"o": 5, "i": "x"}]')
	}, 'SET enable_hashjoin = off; SET enable_mergejoin = off; SET enable_nestloop = off; SELECT * FROM t JOIN other USING (_id)',
	qr/a joined document is not valid/);
meet('a write that was not sent', { insert => '{"ok": 1, "n": 0, "writeErrors": [{"index": -7, "code": 1, "errmsg": "no"}]}' },
	'INSERT INTO t VALUES (1, 1), (2, 2)', qr/error while inserting.*\n.*no/);
# What mongos says where a write does not name the shard key.
foreach (
	[ 61, 'ShardKeyNotFound', 'Query for sharded findAndModify must contain the shard key', 'leave out RETURNING' ],
	[ 31025, 'Location31025', 'Shard key update is not allowed without specifying the full shard key in the query', 'shard key' ],
	[ 66, 'ImmutableField', q(After applying the update, the (immutable) field 'n' was found to have been altered), 'shard key' ])
{
	my ($code, $name, $text, $hint) = @$_;
	meet("a sharded collection: $name", { find => cursor('[{"_id": 1, "n": 1}]'), findAndModify => qq({"ok": 0, "code": $code, "codeName": "$name", "errmsg": "$text"}) },
		'UPDATE t SET n = random() + n RETURNING n', qr/DETAIL:  \Q$text\E.*\nHINT:  .*$hint/);
	meet("$name of one write", { update => qq({"ok": 1, "n": 0, "writeErrors": [{"index": 0, "code": $code, "errmsg": "$text"}]}) },
		q{SELECT * FROM mongo_migrate.send_writes('s', 't', 'update', ARRAY['{"_id": 1}']::json[], ARRAY['{"$set": {"n": 2}}']::json[])}, qr/DETAIL:  \Q$text\E\nHINT:  .*$hint/);
}
meet('sizes that no collection has', { aggregate => cursor('[{"storageStats": {"count": {"$numberDouble": "NaN"}, "size": 1e300}}]') },
	'EXPLAIN SELECT * FROM t; EXPLAIN SELECT * FROM t JOIN other USING (n) ORDER BY n LIMIT 1', qr/Foreign Scan/);
meet('fewer documents than none', { aggregate => cursor('[{"storageStats": {"count": -5, "size": -1}}]') },
	'EXPLAIN SELECT * FROM other WHERE n > 5 ORDER BY n; ANALYZE other', qr/Foreign Scan/);

# MongoDB's documents have 180 levels at most, a tree as much as what is not planned.
my $collection = cursor('[{"name": "tree", "type": "collection"}]');
my $index = cursor('[{"key": {"_id": 1}, "name": "_id_"}]');
meet('a tree is planned', { listCollections => $collection, listIndexes => $index, find => cursor('[{"_id": 1, "c": [{"v": 1, "c": [{"v": 2}]}]}]') },
	q{SELECT mongo_migrate.plan_collection('s', 'tree', sample_size => 0); SELECT mongo_migrate.plan_table('s', 'tree', 'c[].c');
	  SELECT mongo_migrate.apply_ddl('s', 'tree'); SELECT nested_path FROM mongo_migrate.plan_target WHERE collection = 'tree' AND kind = 'child'}, qr/^c$/m);
meet('a tree that is too deep', { listCollections => $collection, listIndexes => $index, find => cursor('[{"$deep": 1000000}]') },
	q{SELECT mongo_migrate.migrate_collection('s', 'tree', workers => 0); SELECT path, reason FROM mongo_migrate.quarantine}, qr/nested deeper than/);

# Times of the cluster around 2038-01-19 and up to 2106 stay in their order, and are sent as they came.
{
	my $times = sub { return sprintf '{"ok": 1, "operationTime": {"$timestamp": {"t": %s, "i": %s}}, "cursor": {"id": {"$numberLong": "0"}, "postBatchResumeToken": {"_data": "x"}, '
		  . '"firstBatch": [{"_id": {"_data": "x"}, "operationType": "insert", "ns": {"db": "d", "coll": "t"}, "documentKey": {"_id": 1}, "clusterTime": {"$timestamp": {"t": %s, "i": %s}}}]}}', @_; };
	meet('times beyond 2038', { aggregate => $times->(4294967295, 2147483647, 2147483648, 5) },
		q{SELECT operation, mongo_migrate.cluster_timestamp(cluster_time) AT TIME ZONE 'UTC', mongo_migrate.cluster_time_to_json(cluster_time) FROM mongo_migrate.read_changes('s', NULL, 0, 10) ORDER BY cluster_time},
		qr/^insert\|2038-01-19 03:14:08\|.*"t" : 2147483648, "i" : 5.*\n\|2106-02-07 06:28:15\|.*"t" : 4294967295, "i" : 2147483647/);
	meet('a sync in 2038', { aggregate => $times->(2147483647, 9, 2147483647, 9) },
		q{INSERT INTO mongo_migrate.sync (server, running, "position", cluster_time) SELECT 's', false, c."position", c.cluster_time FROM mongo_migrate.stream_end('s') AS c;
		  SELECT captured_until AT TIME ZONE 'UTC' FROM mongo_migrate.sync_status}, qr/^2038-01-19 03:14:07$/);
	meet('a sync goes on in 2038', { aggregate => $times->(2147483648, 1, 2147483648, 1) },
		q{SELECT mongo_migrate.capture_changes('s', 0); SELECT captured_until AT TIME ZONE 'UTC' FROM mongo_migrate.sync_status;
		  SELECT changed_at AT TIME ZONE 'UTC' FROM mongo_migrate.change}, qr/^1\n2038-01-19 03:14:08\n2038-01-19 03:14:08$/);
	# As behind mongos, where one shard is ahead of the others.
	meet('a stream that is behind the last operation', { aggregate => '{"ok": 1, "operationTime": {"$timestamp": {"t": 1700000009, "i": 1}}, "cursor": {"id": {"$numberLong": "0"}, "firstBatch": [], '
			  . '"postBatchResumeToken": {"_data": "826553F107000000052B0229296E04"}}}' },
		q{SELECT mongo_migrate.cluster_time_to_json(cluster_time) FROM mongo_migrate.read_changes('s', '\x0500000000', 0, 10)}, qr/"t" : 1700000007, "i" : 5/);
	# Nothing has been written since it began, and a read that waited for its time would be refused.
	meet('a stream that begins after the last operation', { aggregate => '{"ok": 1, "operationTime": {"$timestamp": {"t": 1700000007, "i": 4}}, "cursor": {"id": {"$numberLong": "0"}, "firstBatch": [], '
			  . '"postBatchResumeToken": {"_data": "826553F107000000052B0229296E04"}}}' },
		q{SELECT mongo_migrate.cluster_time_to_json(cluster_time) FROM mongo_migrate.read_changes('s', '\x0500000000', 0, 10)}, qr/"t" : 1700000007, "i" : 4/);
	meet('what write-back reads', { insert => $times->(2147483649, 3, 1, 1) },
		q{SELECT cluster_time > (SELECT s.cluster_time FROM mongo_migrate.sync AS s) FROM mongo_migrate.send_writes('s', 't', 'insert', ARRAY[NULL]::json[], ARRAY['{"_id": 1}']::json[]);
		  SELECT count(*) FROM mongo_migrate.find_present('s', 't', '{}', '{}', 0); SELECT mongo_migrate.run_command('s', '{"seen": 1}') #> '{seen,readConcern,afterClusterTime}'},
		qr/^t\n0\n\{ "\$timestamp" : \{ "t" : 2147483648, "i" : 1 \} \}$/);
	meet('what a sync reads', {},
		q{SELECT gone FROM mongo_migrate.replace_documents('s', 't', ARRAY[mongo_migrate.bson_from_json('{"_id": 1}')], true, true, (SELECT cluster_time FROM mongo_migrate.sync));
		  SELECT mongo_migrate.run_command('s', '{"seen": 1}') #> '{seen,readConcern,afterClusterTime}'}, qr/\{ "\$timestamp" : \{ "t" : 2147483648, "i" : 1 \} \}$/);
}

# What the server and the driver say is UTF-8, which the database may lack.
$node->safe_psql('postgres', "CREATE DATABASE euc_jp TEMPLATE template0 ENCODING 'EUC_JP' LOCALE 'C'");
meet('the name of an error', { find => '{"ok": 0, "code": 9999, "codeName": "S\u00fc\u00df", "errmsg": "bad \u2606"}' }, q{\c euc_jp
	CREATE EXTENSION mongo_migrate;
	CREATE SERVER s FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri 'mongodb://127.0.0.1:} . $port . q{/', database 'd');
	SELECT * FROM mongo_migrate.find_documents('s', 't');}, qr/DETAIL:  bad \?\?\? \(S\?\?\?\?\)/);
meet('an option of a connection string', {}, qq{\\c euc_jp
	SET client_encoding = 'UTF8';
	CREATE SERVER odd FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri 'mongodb://127.0.0.1/?\xce\xb1=1');}, qr/WARNING.*\nDETAIL:  Unsupported URI option "\?\?"/);

# A replica set that knows no sessions: a transaction that could not begin is none, and nothing is written without it.
$node->safe_psql('postgres', <<"SQL");
CREATE SERVER set FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri 'mongodb://127.0.0.1:$port/?directConnection=true', database 'd');
CREATE FOREIGN TABLE in_set (_id bigint) SERVER set;
SQL
meet('a set without sessions', { hello => '{"setName": "rs0", "logicalSessionTimeoutMinutes": null}', insert => '{"ok": 1, "n": 1}' }, q{
\set ON_ERROR_STOP off
BEGIN; SAVEPOINT a;
INSERT INTO in_set VALUES (1);
ROLLBACK TO a;
INSERT INTO in_set VALUES (2);
COMMIT}, qr/(?s:error while starting a transaction.*){2}/);

kill 'TERM', $liar;
waitpid $liar, 0;
$node->stop;
done_testing();

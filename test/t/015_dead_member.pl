# A replica set of which a member is not there, and is found out about from the others, or goes away later without being read: the
# driver looks at all of them, within which Debian 12's waits for ever unless it is handed a stream (stream_connect.c).
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use PsqlSession;
use Test::More;

my @members = MongoServer->set(3);
$members[0]->generate('shop', 'orders', [ 0, 20000 ], '{"_id": "$n", "text": "some text"}');
my $node = PostgreSQL::Test::Cluster->new('dead_member');
$node->init;
$node->start;
my $uri = $members[0]->uri;    # names the first alone
$node->safe_psql('postgres', "CREATE EXTENSION mongo_migrate; CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate OPTIONS (uri '$uri', database 'shop');"
	  . "CREATE FOREIGN TABLE orders (_id integer, text text) SERVER shop");

my $session = PsqlSession->new($node, timeout => 30);
sub ask { return join '', $session->ask($_[0]); }
is(ask('SELECT count(*) FROM orders'), 20000, 'all members are there');

# One of which the session has a connection goes away. The other secondary is read, and the query is cancelled.
$members[2]->kill9;
ask(q{SET statement_timeout = '1s'});
$members[0]->fail_point('{"mode": "alwaysOn", "data": {"failCommands": ["getMore"], "blockConnection": true, "blockTimeMS": 10000}}');
like(ask('SELECT count(text) FROM orders'), qr/canceling statement/, 'a query is cancelled when another member has gone');
$members[0]->fail_point_off;    # when no answer is held any more
ask('RESET statement_timeout');
is(ask('SELECT count(*) FROM orders'), 20000, 'and the next one has its rows');
$session->finish;

# A new session hears of the dead member from the first.
$session = PsqlSession->new($node, timeout => 30);
is(ask('SELECT count(*) FROM orders'), 20000, 'a dead member that the others tell of is no matter');
like(ask(q{SELECT mongo_migrate.disconnect('shop'); ALTER SERVER shop OPTIONS (ADD read_preference 'secondary'); SELECT count(*) FROM orders}), qr/20000$/, 'and the other secondary is found');

# Two of three: there is no primary any more.
$members[1]->kill9;
like(ask('SELECT count(text) FROM orders'), qr/ERROR:.*\nDETAIL:  .*Connection refused/s, 'the error says what the driver met');
$session->finish;
$node->stop;
done_testing();

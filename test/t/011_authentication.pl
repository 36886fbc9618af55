# Users, passwords and certificates, on a mongod that asks for TLS and authentication.
use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/../lib";
use MongoServer;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $mongo = MongoServer->new(auth => [ 'admin', 'top-secret' ], tls => 1);
my $node = PostgreSQL::Test::Cluster->new('authentication');
$node->init(extra => [ '--locale=C.UTF-8', '--encoding=UTF8' ]);
# The log has everything but the statements, which hold what was typed.
$node->append_conf('postgresql.conf', "log_min_messages = debug2\nlog_statement = none\nlog_min_error_statement = panic");
$node->start;

my ($uri, $ca, $key) = ($mongo->uri, $mongo->ca_file, $mongo->client_file);
my $database = 'mm_auth';
$node->safe_psql('postgres', <<"SQL");
CREATE EXTENSION mongo_migrate;
CREATE SERVER auth FOREIGN DATA WRAPPER mongo_migrate
    OPTIONS (uri '$uri', database '$database', tls 'true', tls_ca_file '$ca');
CREATE ROLE regress_alice LOGIN;
GRANT USAGE ON FOREIGN SERVER auth TO regress_alice;
GRANT USAGE ON SCHEMA mongo_migrate TO regress_alice;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA mongo_migrate TO regress_alice;
SQL
$mongo->command($database, '{"insert": "c", "documents": [{"_id": 1}]}');
$mongo->command('admin', '{"createUser": "reader", "pwd": "rd:/?#[]@ \u00e4", "roles": [{"role": "read", "db": "mm_auth"}]}');
$mongo->command($database, '{"createUser": "local", "pwd": "pw", "roles": ["read"], "mechanisms": ["SCRAM-SHA-1"]}');
$mongo->command('admin', '{"createUser": "stranger", "pwd": "pw", "roles": [{"role": "read", "db": "other"}]}');
$mongo->command('$external', '{"createUser": "CN=localhost,OU=client,O=test", "roles": [{"role": "read", "db": "mm_auth"}]}');

my $find = "SELECT * FROM mongo_migrate.find_documents('auth', 'c')";

# Runs a statement as a role; returns (standard output, standard error).
sub run
{
	my ($sql, $role) = @_;
	my ($status, $out, $err) = $node->psql('postgres', $sql, on_error_stop => 0, timeout => 180,
		extra_params => [ '-v', 'VERBOSITY=verbose', '-U', $role // $ENV{USER} ]);
	return ($out, $err);
}

# Gives the superuser, or a role, a user mapping with these options.
sub map_user
{
	my ($options, $role) = @_;
	$role //= 'CURRENT_USER';
	$node->safe_psql('postgres', "DROP USER MAPPING IF EXISTS FOR $role SERVER auth");
	$node->safe_psql('postgres', "CREATE USER MAPPING FOR $role SERVER auth OPTIONS ($options)");
	return;
}

my ($out, $err) = run($find);
like($err, qr/ERROR:  42501: error while reading collection "mm_auth.c" of server "auth".*HINT:  CREATE USER MAPPING/s,
	'no user: the hint is to make a user mapping');

map_user(q{username 'reader', password 'rd:/?#[]@ ä'});
is((run($find))[0], '{ "_id" : 1 }', 'a password with any characters');
foreach my $mechanism ('SCRAM-SHA-1', 'SCRAM-SHA-256')
{
	map_user(qq{username 'reader', password 'rd:/?#[]@ ä', auth_mechanism '$mechanism'});
	is((run($find))[0], '{ "_id" : 1 }', $mechanism);
}
is((run("SELECT detail FROM mongo_migrate.preflight('auth') WHERE \"check\" = 'authentication'"))[0],
	'as reader of admin', 'preflight() names the user');
is((run("SELECT status FROM mongo_migrate.preflight('auth') WHERE \"check\" = 'read'"))[0],
	'ok', 'and what it may read');
($out, $err) = run(q{SELECT mongo_migrate.run_command('auth', '{"insert": "c", "documents": [{"_id": 2}]}')});
like($err, qr/ERROR:  42501: error while running command "insert" on server "auth".*not authorized.*HINT:  Grant/s,
	'no right to write: the hint is to grant a role');

map_user(q{username 'reader', password 'not-this-secret'});
($out, $err) = run($find);
like($err, qr/ERROR:  28P01: error while connecting to server "auth".*HINT:  Check username, password/s, 'a wrong password');
unlike($err, qr/not-this-secret/, 'which is not shown');
map_user(q{username 'nobody', password 'not-this-secret'});
($out, $err) = run($find);
like($err, qr/ERROR:  28P01: error while connecting/, 'a wrong user');

map_user(q{username 'local', password 'pw'});
($out, $err) = run($find);
like($err, qr/ERROR:  28P01: error while connecting/, 'a user of another database than auth_source');
map_user(q{username 'local', password 'pw', auth_source 'mm_auth'});
is((run($find))[0], '{ "_id" : 1 }', 'auth_source of the mapping');
map_user(q{username 'local', password 'pw'});
$node->safe_psql('postgres', "ALTER SERVER auth OPTIONS (ADD auth_source 'mm_auth')");
is((run($find))[0], '{ "_id" : 1 }', 'auth_source of the server');
$node->safe_psql('postgres', 'ALTER SERVER auth OPTIONS (DROP auth_source)');
map_user(q{username 'local', password 'pw', auth_source 'mm_auth', auth_mechanism 'SCRAM-SHA-256'});
($out, $err) = run($find);
like($err, qr/ERROR:  28\w+: error while connecting/, 'a mechanism that the user has not');

map_user(q{username 'stranger', password 'pw'});
($out, $err) = run($find);
like($err, qr/ERROR:  42501: .*not authorized/s, 'a user without rights');
is((run("SELECT status FROM mongo_migrate.preflight('auth') WHERE \"check\" = 'read'"))[0], 'fail', 'preflight() says so');
like((run("SELECT detail FROM mongo_migrate.preflight('auth') WHERE \"check\" = 'oplog'"))[0], qr/^how far it reaches back is not known: .* clusterMonitor/,
	'and what role lets it look at the oplog');

# X.509.
map_user(qq{auth_mechanism 'MONGODB-X509', tls_certificate_key_file '$key'});
is((run($find))[0], '{ "_id" : 1 }', 'MONGODB-X509 with the certificate of the mapping');
my $locked = $mongo->dir . '/locked.pem';
system("openssl rsa -aes256 -passout pass:open-sesame -in '" . $mongo->dir . "/client.key' -out '$locked' 2>/dev/null && cat '"
	  . $mongo->dir . "/client.crt' >> '$locked'") == 0 or die 'openssl';
map_user(qq{auth_mechanism 'MONGODB-X509', tls_certificate_key_file '$locked', tls_certificate_key_file_password 'open-sesame'});
is((run($find))[0], '{ "_id" : 1 }', 'and a key with a password');
map_user(qq{auth_mechanism 'MONGODB-X509', tls_certificate_key_file '$locked', tls_certificate_key_file_password 'wrong-sesame'});
($out, $err) = run($find);
like($err, qr/ERROR:  08\d+: error while connecting.*could not set up TLS.*HINT:  Check the files/s, 'a key with a wrong password');

# A role of its own.
($out, $err) = run($find, 'regress_alice');
like($err, qr/ERROR:  42501: error while reading.*requires authentication/s, 'another role has no part in the mapping');
map_user(qq{auth_mechanism 'MONGODB-X509', tls_certificate_key_file '$key'}, 'regress_alice');
is((run($find, 'regress_alice'))[0], '{ "_id" : 1 }', 'a certificate that a superuser put into its mapping');
map_user(q{username 'reader', password 'rd:/?#[]@ ä'}, 'regress_alice');
is((run($find, 'regress_alice'))[0], '{ "_id" : 1 }', 'a password of its own');
$node->safe_psql('postgres', "ALTER SERVER auth OPTIONS (ADD auth_mechanism 'MONGODB-X509', ADD tls_certificate_key_file '$key')");
map_user(q{username 'CN=localhost,OU=client,O=test'}, 'regress_alice');
($out, $err) = run($find, 'regress_alice');
like($err, qr/ERROR:  2F003: password is required/, 'but not the certificate of the server');
$node->safe_psql('postgres', 'ALTER SERVER auth OPTIONS (DROP auth_mechanism, DROP tls_certificate_key_file)');

# A view reads and writes as its owner, whatever the role that asks may do in MongoDB.
$mongo->command('admin', '{"createUser": "writer", "pwd": "pw", "roles": [{"role": "readWrite", "db": "mm_auth"}]}');
map_user(q{username 'writer', password 'pw'});
map_user(q{username 'stranger', password 'pw'}, 'regress_alice');
$node->safe_psql('postgres', <<'SQL');
CREATE FOREIGN TABLE c (_id integer, n integer) SERVER auth;
CREATE VIEW by_owner AS SELECT _id, n FROM c;
CREATE VIEW by_invoker WITH (security_invoker) AS SELECT _id, n FROM c;
GRANT SELECT, INSERT, UPDATE, DELETE ON c, by_owner, by_invoker TO regress_alice;
SQL
my $refused = qr/ERROR:  42501: .*not authorized/s;
is((run('SELECT _id FROM by_owner', 'regress_alice'))[0], '1', 'a view reads by the mapping of its owner');
is((run('SELECT count(*) FROM by_owner', 'regress_alice'))[0], '1', 'and aggregates');
is((run('INSERT INTO by_owner VALUES (2, 2) RETURNING n', 'regress_alice'))[0], '2', 'and inserts');
is((run('UPDATE by_owner SET n = 3 WHERE n = 2; SELECT n FROM by_owner WHERE _id = 2', 'regress_alice'))[0], '3', 'and updates');
is((run('DELETE FROM by_owner WHERE _id = 2 RETURNING n', 'regress_alice'))[0], '3', 'and deletes');
like((run("SELECT * FROM $_", 'regress_alice'))[1], $refused, "$_ reads by that of the role") foreach 'c', 'by_invoker';
like((run("SELECT count(*) FROM $_", 'regress_alice'))[1], $refused, 'and aggregates') foreach 'c', 'by_invoker';
like((run("INSERT INTO $_ VALUES (2, 2)", 'regress_alice'))[1], $refused, 'and inserts') foreach 'c', 'by_invoker';
$node->safe_psql('postgres', 'ALTER VIEW by_owner OWNER TO regress_alice');
like((run('SELECT * FROM by_owner'))[1], $refused, 'of a superuser, a view of a role reads by that of the role');
is((run('SELECT _id FROM by_invoker'))[0], '1', 'unless it says otherwise');
$node->safe_psql('postgres', 'DROP FOREIGN TABLE c CASCADE');

# Write-back asks before a cutover whether it may write.
map_user(q(username 'reader', password 'rd:/?#[]@ ä'));
$node->safe_psql('postgres', "SELECT mongo_migrate.plan_collection('auth', 'c')");
my $rights = "SELECT collection, severity, problem FROM mongo_migrate.check_write_back('auth') WHERE problem ~ 'user'";
is((run($rights))[0], 'c|error|the user in MongoDB must not do this: insert, remove, update', 'a reader must not');
$mongo->command('admin', '{"createUser": "changer", "pwd": "pw", "roles": [{"role": "readWrite", "db": "mm_auth"}]}');
map_user(q(username 'changer', password 'pw'));
is((run($rights))[0], '', 'a writer may');
map_user(q(username 'admin', password 'top-secret'));
is((run($rights))[0], '', 'and who may everything');

# TLS.
map_user(q{username 'reader', password 'rd:/?#[]@ ä'});
$node->safe_psql('postgres', "ALTER SERVER auth OPTIONS (SET tls 'false')");
($out, $err) = run($find);
like($err, qr/ERROR:  08\d+: error while connecting.*HINT:  The server may ask for TLS/s, 'no TLS where the server asks for it');
$node->safe_psql('postgres', "ALTER SERVER auth OPTIONS (SET tls 'true', DROP tls_ca_file)");
($out, $err) = run($find);
like($err, qr/ERROR:  08\d+: error while connecting.*HINT:  Name the authority/s, 'a certificate of an unknown authority');
$node->safe_psql('postgres', "ALTER SERVER auth OPTIONS (ADD tls_allow_invalid_certificates 'true')");
is((run($find))[0], '{ "_id" : 1 }', 'is taken where that is allowed');
(my $other = $uri) =~ s{//.*}{"//127.1:" . $mongo->port . '/?directConnection=true'}e;
$node->safe_psql('postgres',
	"ALTER SERVER auth OPTIONS (DROP tls_allow_invalid_certificates, ADD tls_ca_file '$ca', SET uri '$other')");
($out, $err) = run($find);
like($err, qr/ERROR:  08\d+: error while connecting.*HINT:  The certificate is of another host/s, 'a certificate of another host');
$node->safe_psql('postgres', "ALTER SERVER auth OPTIONS (ADD tls_allow_invalid_hostnames 'true')");
is((run($find))[0], '{ "_id" : 1 }', 'is taken where that is allowed');
$node->safe_psql('postgres', "ALTER SERVER auth OPTIONS (SET tls_ca_file '/nowhere/ca.pem')");
($out, $err) = run($find);
like($err, qr/ERROR:  58P01: could not read file "\/nowhere\/ca.pem"/, 'a file that is not there');

unlike(slurp_file($node->logfile), qr/top-secret|not-this-secret|rd:\/\?#|open-sesame|wrong-sesame/, 'no secret in the log');

$node->stop;
done_testing();

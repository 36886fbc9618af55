# A Citus coordinator with two worker nodes, and the extension in it. Skips the whole test where Citus is not installed.
package CitusCluster;

use strict;
use warnings;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

sub new
{
	my ($class, $mongo_uri) = @_;
	my %node;
	foreach my $name (qw(coordinator worker1 worker2))
	{
		my $node = $node{$name} = PostgreSQL::Test::Cluster->new($name);
		$node->init;
		$node->append_conf('postgresql.conf', join "\n", "shared_preload_libraries = 'citus'", 'max_prepared_transactions = 50',
			'max_worker_processes = 16', 'max_connections = 50', 'restart_after_crash = on', 'citus.shard_count = 4',
			'citus.enable_statistics_collection = off', "citus.node_conninfo = 'sslmode=disable'",
			"citus.local_hostname = '" . $node->host . "'", 'citus.recover_2pc_interval = 1s');
		$node->start;
		$node->safe_psql('postgres', 'CREATE EXTENSION citus');
	}
	my $self = bless \%node, $class;
	my $host = $node{coordinator}->host;
	$self->query("SELECT citus_set_coordinator_host('$host', " . $node{coordinator}->port . ')');
	$self->query("SELECT citus_add_node('" . $node{$_}->host . "', " . $node{$_}->port . ')') foreach qw(worker1 worker2);
	$self->query("CREATE EXTENSION mongo_migrate; CREATE SERVER shop FOREIGN DATA WRAPPER mongo_migrate"
		  . " OPTIONS (uri '$mongo_uri', database 'shop')");
	return $self;
}

# Ends the test where there is no Citus; to be called first.
sub needed
{
	chomp(my $share = `pg_config --sharedir`);
	plan skip_all => 'Citus is not installed in this PostgreSQL; MM_CITUS=1 ./dev test 07 builds it'
	  if !-f "$share/extension/citus.control";
	return;
}

sub query { return $_[0]{coordinator}->safe_psql('postgres', $_[1]); }

# The standard error of a statement.
sub complaint
{
	my ($self, $sql) = @_;
	my ($status, $out, $err) = $self->{coordinator}->psql('postgres', $sql);
	return $err;
}

1;

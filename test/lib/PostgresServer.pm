# PostgresServer.pm: a private PostgreSQL for the demo and the benchmark; tests have PostgreSQL::Test::Cluster.
#
#   my $postgres = PostgresServer->new("shared_buffers = '1GB'\n");   # started; PGHOST and the like point to it
#   $postgres->stop('immediate');  $postgres->start;
#   $postgres->dir        a folder of its own, which goes away
#
# The programs are those on PATH. It is stopped when the script ends.
package PostgresServer;

use strict;
use warnings;

use File::Temp qw(tempdir);
use MongoServer;

my @running;

sub new
{
	my ($class, $settings) = @_;
	my $dir = tempdir('postgres-XXXXXX', TMPDIR => 1, CLEANUP => 1);
	my $self = bless { dir => $dir }, $class;

	system("initdb -A trust -U postgres --locale=C.UTF-8 -E UTF8 --no-sync -D '$dir/data' >'$dir/log' 2>&1") == 0
	  or die "initdb failed; see $dir/log\n";
	open my $conf, '>>', "$dir/data/postgresql.conf" or die "$dir/data/postgresql.conf: $!\n";
	print $conf "listen_addresses = ''\nunix_socket_directories = '$dir'\n$settings";
	close $conf;
	@ENV{qw(PGHOST PGPORT PGUSER PGDATABASE)} = ($dir, MongoServer::free_port(), 'postgres', 'postgres');
	$self->start;
	return $self;
}

sub dir { return $_[0]{dir}; }

# The postmaster's process id.
sub pid
{
	my ($self) = @_;
	open my $file, '<', "$self->{dir}/data/postmaster.pid" or return;
	return int(<$file>);
}

sub start
{
	my ($self) = @_;
	push @running, $self;
	$self->_pg_ctl('start') or die "PostgreSQL did not start; see $self->{dir}/log\n";
	return;
}

# mode: fast or immediate
sub stop
{
	my ($self, $mode) = @_;
	@running = grep { $_ != $self } @running;
	$self->_pg_ctl('stop', '-m', $mode) or die "PostgreSQL did not stop\n";
	return;
}

sub _pg_ctl
{
	my ($self, @verb) = @_;
	return system('pg_ctl', '--silent', '-w', '-D', "$self->{dir}/data", '-l', "$self->{dir}/log", @verb) == 0;
}

END
{
	my $status = $?;
	$_->_pg_ctl('stop', '-m', 'immediate') foreach @running;
	$? = $status;
}

1;

# PsqlSession.pm: a psql that takes statements one by one, so that a test can look at one that has not ended.
#
#   my $session = PsqlSession->new($node);              # of a PostgreSQL::Test::Cluster
#   my $session = PsqlSession->new($node, timeout => 600, options => ['-q']);
#   my ($out, $err) = $session->ask('SELECT 1');        # sends and waits
#   $session->send('SELECT pg_sleep(10)');              # sends alone
#   my ($out, $err) = $session->result;                 # waits for the end of what was sent
#   $session->finish;                                   # the end of its input
#   $session->kill;                                     # SIGKILL
#
# What psql says goes to files, and what it is told through a pipe that holds any statement of a test: nothing has to be
# pumped while the test waits for something else. timeout, in seconds (180), is for one result.
package PsqlSession;

use strict;
use warnings;

use File::Temp qw(tempdir);
use IO::Handle;
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

sub new
{
	my ($class, $node, %args) = @_;
	my $dir = tempdir('psql-XXXXXX', TMPDIR => 1, CLEANUP => 1);
	my $self = bless { dir => $dir, timeout => $args{timeout} // 180, read => { out => 0, err => 0 } }, $class;

	$self->{pid} = open($self->{in}, '|-', 'sh', '-c', 'dir=$1; shift; exec psql -XAt "$@" >"$dir/out" 2>"$dir/err"', 'sh',
		$dir, @{ $args{options} // ['-q'] }, '-d', $node->connstr('postgres'))
	  or die "psql: $!\n";
	$self->{in}->autoflush(1);
	return $self;
}

sub send
{
	my ($self, $sql) = @_;
	local $SIG{PIPE} = 'IGNORE';	# result() says that psql has ended, and what it said
	print { $self->{in} } "$sql;\n\\echo done\n\\warn done\n";
	return;
}

# What came to a file since the last result.
sub _said
{
	my ($self, $what) = @_;
	open my $file, '<', "$self->{dir}/$what" or return '';
	seek $file, $self->{read}{$what}, 0;
	local $/;
	return <$file> // '';
}

sub result
{
	my ($self) = @_;
	my $end = time + $self->{timeout};
	while (1)
	{
		my $ended = waitpid($self->{pid}, WNOHANG) != 0;
		my %said = map { $_ => $self->_said($_) } qw(out err);
		if ((grep { /^done\n/m } values %said) == 2)
		{
			$self->{read}{$_} += length $said{$_} foreach keys %said;
			s/^done\n//m, s/\n\z// foreach values %said;
			return @said{qw(out err)};
		}
		die "psql has ended: $said{out}$said{err}" if $ended;
		die "no answer in $self->{timeout} seconds: $said{out}$said{err}" if time > $end;
		sleep 0.002;
	}
}

sub ask
{
	my ($self, $sql) = @_;
	$self->send($sql);
	return $self->result;
}

# Waits until psql has ended.
sub finish
{
	my ($self) = @_;
	local $?;
	close $self->{in};
	return;
}

# A test that dies leaves sessions that wait for each other's locks: closing a pipe would wait for psql, too.
sub DESTROY
{
	my ($self) = @_;
	local ($?, $!);
	my $fd = fileno $self->{in};
	my $end = time + 10;
	return unless defined $fd;
	POSIX::close($fd);
	sleep 0.01 while time < $end && waitpid($self->{pid}, WNOHANG) == 0;
	CORE::kill('KILL', $self->{pid}) if time >= $end;
	close $self->{in};
	return;
}

sub kill
{
	my ($self) = @_;
	CORE::kill('KILL', $self->{pid});
	$self->finish;
	return;
}

1;

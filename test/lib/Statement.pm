# Statement.pm: a statement in a psql of its own, at which a test looks while it runs, and which ends as a client's does.
#
#   my $statement = Statement->new($node, $sql);    # of a PostgreSQL::Test::Cluster; begun, with errors that have their SQLSTATE
#   $statement->out;  $statement->err;              # what psql has said so far
#   $statement->runs;                               # false once it has ended
#   my $said = $statement->finish;                  # waits for the end, 600 seconds at most: all that it said, errors last
package Statement;

use strict;
use warnings;

use File::Temp qw(tempdir);
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

sub new
{
	my ($class, $node, $sql) = @_;
	my $dir = tempdir('statement-XXXXXX', TMPDIR => 1, CLEANUP => 1);
	my @command = ('psql', '-XAtq', '-v', 'VERBOSITY=verbose', '-d', $node->connstr('postgres'), '-c', $sql);
	defined(my $pid = fork) or die "fork: $!\n";
	if ($pid == 0)
	{
		open STDIN, '<', '/dev/null';
		open STDOUT, '>', "$dir/out";
		open STDERR, '>', "$dir/err";
		exec @command or POSIX::_exit(127);
	}
	return bless { pid => $pid, dir => $dir }, $class;
}

sub _said
{
	my ($self, $what) = @_;
	open my $file, '<', "$self->{dir}/$what" or return '';
	local $/;
	return <$file> // '';
}

sub out { return $_[0]->_said('out'); }
sub err { return $_[0]->_said('err'); }

sub runs
{
	my ($self) = @_;
	local $?;
	$self->{ended} ||= waitpid($self->{pid}, WNOHANG) != 0;
	return !$self->{ended};
}

sub finish
{
	my ($self) = @_;
	my $end = time + 600;
	while ($self->runs)
	{
		die 'no end in 600 seconds: ' . $self->out . $self->err if time > $end;
		sleep 0.005;
	}
	return $self->out . $self->err;
}

sub DESTROY
{
	my ($self) = @_;
	kill 'KILL', $self->{pid} if $self->runs;
	return;
}

1;

# Statement.pm: a statement in a psql of its own, at which a test looks while it runs, and which ends as a client's does.
#
#   my $statement = Statement->new($node, $sql);    # of a PostgreSQL::Test::Cluster; begun, with errors that have their SQLSTATE
#   $statement->out;  $statement->err;              # what psql has said so far
#   $statement->runs;                               # false once it has ended
#   my $said = $statement->finish;                  # waits for the end, 600 seconds at most: all that it said, errors last
package Statement;

use strict;
use warnings;

use parent 'PsqlSession';
use POSIX qw(WNOHANG);
use Time::HiRes qw(sleep time);

sub new
{
	my ($class, $node, $sql) = @_;
	return $class->SUPER::new($node, timeout => 600, options => [ '-q', '-v', 'VERBOSITY=verbose', '-c', $sql ]);
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
	my $end = time + $self->{timeout};
	while ($self->runs)
	{
		die "no end in $self->{timeout} seconds: " . $self->out . $self->err if time > $end;
		sleep 0.005;
	}
	return $self->out . $self->err;
}

# What has not ended is not waited for.
sub DESTROY
{
	my ($self) = @_;
	kill 'KILL', $self->{pid} if $self->runs;
	return $self->SUPER::DESTROY;
}

1;

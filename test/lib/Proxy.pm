# Proxy.pm: a TCP proxy on 127.0.0.1 that can misbehave when told to.
#
#   my $proxy = Proxy->new($mongo->port);
#   $proxy->uri            mongodb://127.0.0.1:PORT/?directConnection=true
#   $proxy->hang           nothing is passed on from now; connections stay open, new ones are accepted
#   $proxy->hang(2000)     the same, once 2000 more bytes have come from the server
#   $proxy->cut            every connection is closed now, and new ones at once
#   $proxy->cut(2000)      the same, once 2000 more bytes have come from the server
#   $proxy->delay(0.2)     what comes from the server waits that many seconds
#   $proxy->flip(2000)     the byte from the server that follows 2000 more has all its bits turned over
#   $proxy->pass           back to normal
#   $proxy->stats          { connections => accepted so far, open => n, ended => by cut(), up => bytes, down => bytes }
#
# Each call returns when the proxy does as told. The proxy is a child process; it ends with the test.
package Proxy;

use strict;
use warnings;

use IO::Select;
use IO::Socket::INET;
use POSIX ();
use Socket qw(AF_UNIX PF_UNSPEC SOCK_STREAM);
use Time::HiRes qw(time);

my %running;

sub new
{
	my ($class, $target) = @_;
	my $listener = IO::Socket::INET->new(
		Listen => 128, LocalAddr => '127.0.0.1', Proto => 'tcp', ReuseAddr => 1)
	  or die "proxy: $!\n";
	socketpair(my $parent, my $child, AF_UNIX, SOCK_STREAM, PF_UNSPEC) or die "socketpair: $!\n";
	defined(my $pid = fork) or die "fork: $!\n";
	if ($pid == 0)
	{
		close $parent;
		eval { _serve($listener, $child, $target); 1 } or warn "proxy: $@";
		POSIX::_exit(0);
	}
	close $child;
	$running{$pid} = 1;
	return bless { pid => $pid, control => $parent, port => $listener->sockport }, $class;
}

sub port { return $_[0]{port}; }
sub uri { return "mongodb://127.0.0.1:$_[0]{port}/?directConnection=true"; }

sub pass { return $_[0]->_tell('pass'); }
sub delay { return $_[0]->_tell("delay $_[1]"); }
sub hang { return $_[0]->_tell('hang ' . ($_[1] // 0)); }
sub flip { return $_[0]->_tell("flip $_[1]"); }
sub cut { return $_[0]->_tell('cut ' . ($_[1] // 0)); }

sub stats
{
	my ($self) = @_;
	my %stats;
	@stats{qw(connections open ended up down)} = split ' ', $self->_tell('stats');
	return \%stats;
}

sub stop
{
	my ($self) = @_;
	my $pid = delete $self->{pid} or return;
	local $? = 0;
	kill 'KILL', $pid;
	waitpid $pid, 0;
	delete $running{$pid};
	return;
}

# Sends an order and waits for the answer.
sub _tell
{
	my ($self, $order) = @_;
	_write($self->{control}, "$order\n");
	return _read($self->{control}, 1000) // die "proxy is gone\n";
}

# The child's loop, until the test's end of the control socket closes.
sub _serve
{
	my ($listener, $control, $target) = @_;
	my %peer;          # socket -> the socket at the other side
	my %from_server;   # socket -> true for the server's side
	my @late;          # [time, socket, bytes]: answers held back
	my ($mode, $limit, $delay) = ('pass', 0, 0);
	my ($connections, $ended, $up, $down) = (0, 0, 0, 0);
	my $flip;          # the place of the byte to turn over, counted like down
	my $select = IO::Select->new($listener, $control);
	local $SIG{PIPE} = 'IGNORE';

	my $drop = sub {
		my @pair = grep { defined } $_[0], $peer{ $_[0] };
		foreach my $socket (@pair)
		{
			$select->remove($socket);
			delete $peer{$socket};
			delete $from_server{$socket};
			close $socket;
		}
	};
	my $drop_all = sub {
		my @sockets = values %peer;
		$ended += @sockets / 2;
		foreach my $socket (@sockets) { $drop->($socket) if $peer{$socket}; }
	};
	my $acts = sub { return $mode eq $_[0] && $down >= $limit; };

	while (1)
	{
		# Sockets that nothing may be read from are left out, so that a hang is not a busy loop.
		my @ready = $acts->('hang')
		  ? IO::Select->new($listener, $control)->can_read(1)
		  : $select->can_read(@late ? 0.005 : 1);

		while (@late && $late[0][0] <= time && !$acts->('hang'))
		{
			my (undef, $socket, $bytes) = @{ shift @late };
			_write($socket, $bytes) if $peer{$socket};
		}
		foreach my $socket (@ready)
		{
			if ($socket == $control)
			{
				my $order = _read($control, 1000) // return;
				my ($word, $number) = split ' ', $order;
				if ($word eq 'delay') { $delay = $number; }
				elsif ($word eq 'flip') { $flip = $down + $number; }
				elsif ($word ne 'stats')
				{
					($mode, $limit) = ($word, $down + ($number || 0));
					$delay = 0 if $word eq 'pass';
				}
				$drop_all->() if $acts->('cut');
				_write($control, join(' ', $connections, keys(%peer) / 2, $ended, $up, $down));
			}
			elsif ($socket == $listener)
			{
				my $client = $listener->accept or next;
				my $server = $acts->('cut')
				  ? undef
				  : IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $target);
				if (!$server) { close $client; next; }
				$connections++;
				@peer{ $client, $server } = ($server, $client);
				$from_server{$server} = 1;
				$select->add($client, $server);
			}
			elsif ($peer{$socket})
			{
				my $server_side = $from_server{$socket};
				my $want = $server_side && $mode ne 'pass' ? $limit - $down : 65536;
				next if $want <= 0;
				my $bytes = _read($socket, $want < 65536 ? $want : 65536);
				if (!defined $bytes) { $drop->($socket); next; }
				my $got = length $bytes;
				if ($server_side && defined $flip && $flip < $down + $got)
				{
					substr($bytes, $flip - $down, 1) ^= "\xff";
					undef $flip;
				}
				if ($server_side) { $down += $got; }
				else { $up += $got; }
				if ($server_side && $delay) { push @late, [ time + $delay, $peer{$socket}, $bytes ]; }
				else { _write($peer{$socket}, $bytes); }
				$drop_all->() if $acts->('cut');
				last if $mode ne 'pass' && $down >= $limit;
			}
		}
	}
	return;
}

# Reads what has come, up to so many bytes; undef: the peer is gone. The end of a child, SIGCHLD, ends no read.
sub _read
{
	my ($socket, $most) = @_;
	my ($got, $bytes);
	do { $got = sysread $socket, $bytes, $most } while !defined $got && $!{EINTR};
	return $got ? $bytes : undef;
}

# Writes all of bytes; a peer that is gone is found at the next read.
sub _write
{
	my ($socket, $bytes) = @_;
	my $done = 0;
	while ($done < length $bytes)
	{
		my $written = syswrite $socket, $bytes, length($bytes) - $done, $done;
		next if !defined $written && $!{EINTR};
		return unless defined $written;
		$done += $written;
	}
	return;
}

END
{
	my $status = $?;
	foreach my $pid (keys %running)
	{
		kill 'KILL', $pid;
		waitpid $pid, 0;
	}
	$? = $status;
}

1;

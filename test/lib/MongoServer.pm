# MongoServer.pm: a private mongod for a test, on a free port, in a folder that goes away.
#
#   my $mongo = MongoServer->new;                      # a replica set of one member, started
#   my $mongo = MongoServer->new(standalone => 1, options => ['--nojournal']);
#   my $mongo = MongoServer->new(auth => ['admin', 'secret']);     # --auth, with that root user
#   my @members = MongoServer->set(3);                 # a replica set of so many members; the first is primary
#   my $mongo = MongoServer->new(tls => 1);            # TLS only; see ca_file(), client_file()
#   my $mongo = MongoServer->shared;                   # $MONGO_URI where it is set, else new()
#
#   $mongo->uri                       mongodb://127.0.0.1:PORT/?replicaSet=rs0, without credentials
#   $mongo->command('shop', '{"insert": "c", "documents": [{"_id": 1}]}')      the reply, decoded
#   $mongo->generate('shop', 'orders', [0, 1000], '{"_id": "$n"}')     a document for each n of a range, made by a $project
#   $mongo->restore('sakila', 'folder')    the collections of a mongodump's *.bson.gz
#   $mongo->fail_point('{"mode": {"times": 1}, "data": {...}}')  failCommand;  $mongo->fail_point_off
#   $mongo->pause / resume            SIGSTOP and SIGCONT: the connections stay and nothing answers
#   $mongo->kill9 / stop / start / restart
#   $mongo->set_uri                   as uri, with every member of its set
#   $mongo->is_primary
#
# The program: $MONGOD, else mongod on PATH, else the one that ./dev keeps in its cache.
# Every mongod that is still there when the test ends, however it ends, is killed.
package MongoServer;

use strict;
use warnings;

use Cwd qw(abs_path);
use Encode qw(decode_utf8);
use File::Basename qw(dirname);
use File::Temp qw(tempdir);
use IO::Socket::INET;
use IPC::Open2;
use JSON::PP qw(decode_json encode_json);
use POSIX qw(:sys_wait_h);
use Time::HiRes qw(sleep);

my $python = '/usr/bin/python3';
my $helper = dirname(abs_path(__FILE__)) . '/mongo.py';
my ($requests, $answers);    # pipes of the one that serves this process
my %running;    # pid -> 1, of this process's children
my @reserved;   # sockets that hold this process's ports

# The path of the mongod to use; dies where there is none.
sub find_mongod
{
	return $ENV{MONGOD} if $ENV{MONGOD};
	foreach my $dir (split /:/, $ENV{PATH})
	{
		return "$dir/mongod" if -x "$dir/mongod";
	}
	my $cache = $ENV{XDG_CACHE_HOME} || ($ENV{HOME} || '') . '/.cache';
	my $cached = "$cache/mongo_migrate/mongod";
	return $cached if -x $cached;
	die "no mongod: set MONGOD, put one on PATH, or run ./dev test, which brings one\n";
}

# A TCP port of 127.0.0.1 that nothing listens on. It stays this process's: beside a socket that is bound and does not listen, a
# server that reuses addresses may listen, as mongod and PostgreSQL do; nobody else is given the port, for a connection either.
sub free_port
{
	my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', Proto => 'tcp', ReuseAddr => 1)
	  or die "no free port: $!\n";
	push @reserved, $socket;
	return $socket->sockport;
}

# Makes and starts a server; the arguments are above.
sub new
{
	my ($class, %args) = @_;
	my $self = bless {
		%args,
		dir => tempdir('mongod-XXXXXX', TMPDIR => 1, CLEANUP => 1),
		port => free_port(),
		set => $args{standalone} ? undef : 'rs0',
	}, $class;

	make_certificates($self->{dir}) if $self->{tls};
	if ($self->{auth} && $self->{set})
	{
		my $key = "$self->{dir}/key";
		open my $file, '>', $key or die "$key: $!\n";
		print $file 'x' x 64;
		close $file;
		chmod 0600, $key;
	}
	$self->start;
	if ($self->{auth})
	{
		# The localhost exception lets the first user be made.
		my ($user, $password) = @{ $self->{auth} };
		$self->command('admin',
			qq({"createUser": "$user", "pwd": "$password", "roles": ["root"]}), 1);
		$self->{user_made} = 1;
	}
	return $self;
}

# Makes and starts a replica set of several members, each of which has every other's vote.
sub set
{
	my ($class, $count, %args) = @_;
	my @members = map { $class->new(%args, members => $count) } 1 .. $count;
	$_->{members} = \@members foreach @members;
	my $hosts = join ', ', map { sprintf '{"_id": %d, "host": "127.0.0.1:%d", "priority": %d}', $_, $members[$_]{port}, $_ ? 1 : 2 }
	  0 .. $#members;
	$members[0]->command('admin', qq({"replSetInitiate": {"_id": "$members[0]{set}", "members": [$hosts]}}));
	my $tries = 3600;
	until ($members[0]->is_primary && (grep { $_->command('admin', '{"hello": 1}')->{secondary} } @members) == $count - 1)
	{
		die "the replica set has no primary and secondaries after 180 seconds\n" if --$tries == 0;
		# Else it waits for ten seconds whether there is a primary.
		eval { $members[0]->command('admin', '{"replSetStepUp": 1}') };
		sleep 0.05;
	}
	return @members;
}

# The server that tests without wishes of their own share.
sub shared
{
	my ($class) = @_;
	return $class->new unless $ENV{MONGO_URI};
	return bless { external => $ENV{MONGO_URI} }, $class;
}

sub port { return $_[0]{port}; }
sub dir { return $_[0]{dir}; }
sub pid { return $_[0]{pid}; }
sub log_file { return "$_[0]{dir}/mongod.log"; }
sub ca_file { return "$_[0]{dir}/ca.pem"; }
sub client_file { return "$_[0]{dir}/client.pem"; }

# The connection string without credentials; TLS options are the caller's.
sub uri
{
	my ($self) = @_;
	return $self->{external} if $self->{external};
	return "mongodb://127.0.0.1:$self->{port}/" . ($self->{set} ? "?replicaSet=$self->{set}" : '');
}

# The connection string with every member of the set.
sub set_uri
{
	my ($self) = @_;
	return 'mongodb://' . join(',', map { "127.0.0.1:$_->{port}" } @{ $self->{members} }) . "/?replicaSet=$self->{set}";
}

sub is_primary { return $_[0]->command('admin', '{"hello": 1}')->{isWritablePrimary}; }

# The connection string that mongo.py uses.
sub admin_uri
{
	my ($self, $anonymous) = @_;
	return $self->{external} if $self->{external};
	my $credentials = '';
	$credentials = "$self->{auth}[0]:$self->{auth}[1]\@"
	  if $self->{auth} && $self->{user_made} && !$anonymous;
	my $uri = "mongodb://${credentials}127.0.0.1:$self->{port}/?directConnection=true";
	$uri .= '&tls=true&tlsCAFile=' . $self->ca_file . '&tlsCertificateKeyFile=' . $self->client_file
	  if $self->{tls};
	return $uri;
}

# Starts mongod on its folder and port, and waits until it can be written.
sub start
{
	my ($self) = @_;
	my $dir = $self->{dir};
	my @command = (
		qw(setpriv --pdeathsig KILL), find_mongod(), '--dbpath', $dir, '--port', $self->{port}, '--bind_ip', '127.0.0.1',
		'--unixSocketPrefix', $dir, '--logpath', $self->log_file, '--logappend',
		'--wiredTigerCacheSizeGB', '0.5', '--setParameter', 'enableTestCommands=1',
		'--setParameter', 'diagnosticDataCollectionEnabled=false');
	push @command, '--replSet', $self->{set}, '--oplogSize', '64' if $self->{set};
	push @command, '--auth' if $self->{auth};
	push @command, '--keyFile', "$dir/key" if $self->{auth} && $self->{set};
	push @command, '--tlsMode', 'requireTLS', '--tlsCertificateKeyFile', "$dir/server.pem",
	  '--tlsCAFile', "$dir/ca.pem", '--tlsAllowConnectionsWithoutCertificates'
	  if $self->{tls};
	push @command, @{ $self->{options} || [] };

	defined(my $pid = fork) or die "fork: $!\n";
	if ($pid == 0)
	{
		open STDIN, '<', '/dev/null';
		open STDOUT, '>', '/dev/null';
		open STDERR, '>&', \*STDOUT;
		exec @command or POSIX::_exit(127);
	}
	$running{$pid} = 1;
	$self->{pid} = $pid;

	for my $try (1 .. 3600)
	{
		last if IO::Socket::INET->new(PeerAddr => '127.0.0.1', PeerPort => $self->{port});
		if (waitpid($pid, WNOHANG) == $pid)
		{
			delete $running{$pid};
			die "mongod did not start: @command\n" . $self->log_tail;
		}
		die "mongod does not listen after 180 seconds\n" . $self->log_tail if $try == 3600;
		sleep 0.05;
	}
	_ask($self->admin_uri, 'initiate', $self->{set}) if $self->{set} && !$self->{members};
	return;
}

# Runs a command (Extended JSON, key order kept) and returns the reply; dies on failure.
sub command
{
	my ($self, $database, $json, $anonymous) = @_;
	return decode_json(_ask($self->admin_uri($anonymous), 'command', $database, $json));
}

# Makes a collection anew; the range is what $range takes. All members of a set have it then.
sub generate
{
	my ($self, $database, $collection, $range, $fields) = @_;
	my $numbers = join ', ', @$range;
	my $members = ref $self->{members} ? scalar @{ $self->{members} } : 1;
	# Not by $documents, which MongoDB has from 5.1 on.
	$self->command('mm_generate', '{"update": "one", "updates": [{"q": {"_id": 1}, "u": {"_id": 1}, "upsert": true}]}');
	$self->command('mm_generate', qq({"aggregate": "one", "cursor": {}, "writeConcern": {"w": $members}, "pipeline": [)
		  . qq({"\$project": {"_id": 0, "n": {"\$range": [$numbers]}}}, {"\$unwind": "\$n"}, {"\$project": $fields},)
		  . qq( {"\$out": {"db": "$database", "coll": "$collection"}}]}));
	return;
}

# Makes a collection of each NAME.bson.gz in a folder.
sub restore
{
	my ($self, $database, $folder) = @_;
	_ask($self->admin_uri, 'restore', $database, $folder);
	return;
}

# Sets the server's failCommand fail point; json holds mode and data.
sub fail_point
{
	my ($self, $json) = @_;
	(my $rest = $json) =~ s/^\s*\{//;
	return $self->command('admin', '{"configureFailPoint": "failCommand", ' . $rest);
}

sub fail_point_off
{
	my ($self) = @_;
	return $self->fail_point('{"mode": "off"}');
}

# Has mongo.py do something on the server; returns what it says, and dies where that is an error.
sub _ask
{
	my ($uri, $verb, @arguments) = @_;
	local $SIG{PIPE} = 'IGNORE';
	if (!$answers)
	{
		my $pid = open2($answers, $requests, qw(setpriv --pdeathsig KILL), $python, $helper, 'serve');
		$running{$pid} = 1;
	}
	my $request = encode_json([ $uri, $verb, map { utf8::is_utf8($_) ? $_ : decode_utf8($_) } @arguments ]);
	print $requests length($request), "\n", $request;
	my ($status, $length) = (<$answers> // '') =~ /^(\w+) (\d+)$/ or die "mongo.py has ended\n";
	my $text = '';
	while (length $text < $length)
	{
		read($answers, $text, $length - length $text, length $text) or die "mongo.py has ended\n";
	}
	die "mongo.py $verb: $text\n" if $status ne 'ok';
	return $text;
}

# Ends the server with a signal and waits for it.
sub _end
{
	my ($self, $signal) = @_;
	my $pid = delete $self->{pid} or return;
	local $? = 0;
	kill $signal, $pid;
	kill 'CONT', $pid;
	waitpid $pid, 0;
	delete $running{$pid};
	return;
}

sub stop { return $_[0]->_end('TERM'); }
sub kill9 { return $_[0]->_end('KILL'); }

# Waits until each thread has stopped: on a loaded machine one may answer for a while after the signal.
sub pause
{
	my ($self) = @_;
	kill 'STOP', $self->{pid};
	my $running = 1;
	while ($running)
	{
		$running = 0;
		foreach my $stat (glob "/proc/$self->{pid}/task/*/stat")
		{
			open my $file, '<', $stat or next;    # it has ended meanwhile
			$running ||= (<$file> // '') !~ /^\d+ \(.*\) [tTZX] /;
		}
		sleep 0.001 if $running;
	}
	return;
}

sub resume { return kill 'CONT', $_[0]{pid}; }

sub restart
{
	my ($self) = @_;
	$self->stop;
	return $self->start;
}

# The end of the server's log, for a test that failed.
sub log_tail
{
	my ($self) = @_;
	open my $file, '<', $self->log_file or return '';
	my @lines = <$file>;
	my $from = @lines > 20 ? @lines - 20 : 0;
	return join '', @lines[ $from .. $#lines ];
}

# Writes ca.pem, and server.pem and client.pem signed by it, each certificate and key.
sub make_certificates
{
	my ($dir) = @_;
	my $quiet = '>/dev/null 2>&1';
	my $make = sub { system("cd '$dir' && $_[0]") == 0 or die "openssl failed: $_[0]\n"; };

	$make->("openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj '/CN=test ca'"
		  . " -keyout ca.key -out ca.pem $quiet");
	foreach my $name (qw(server client))
	{
		$make->("openssl req -newkey rsa:2048 -nodes -subj '/O=test/OU=$name/CN=localhost'"
			  . " -keyout $name.key -out $name.csr $quiet");
		$make->("printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\\n' > $name.ext && "
			  . "openssl x509 -req -in $name.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30"
			  . " -extfile $name.ext -out $name.crt $quiet && cat $name.crt $name.key > $name.pem");
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

# What holds for every object of the extension: comments, rights, settings.
use strict;
use warnings;

use File::Basename;
use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('catalog');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION mongo_migrate');

# Members of the extension in one catalog.
sub members
{
	my ($catalog) = @_;
	return "SELECT objid FROM pg_depend WHERE deptype = 'e' AND refclassid = 'pg_extension'::regclass"
	  . " AND refobjid = (SELECT oid FROM pg_extension WHERE extname = 'mongo_migrate')"
	  . " AND classid = '$catalog'::regclass";
}

sub none
{
	my ($query, $name) = @_;
	is($node->safe_psql('postgres', $query), '', $name);
	return;
}

my $functions = members('pg_proc');
my $relations = members('pg_class');

# What stands behind an operator, a type or an index has its description there.
none("SELECT oid::regprocedure FROM pg_proc WHERE oid IN ($functions)"
	  . " AND obj_description(oid, 'pg_proc') IS NULL"
	  . " AND oid NOT IN (SELECT oprcode FROM pg_operator UNION SELECT amproc FROM pg_amproc"
	  . " UNION SELECT castfunc FROM pg_cast UNION SELECT aggtransfn FROM pg_aggregate"
	  . " UNION SELECT unnest(ARRAY[typinput, typoutput, typreceive, typsend]) FROM pg_type) ORDER BY 1",
	'every function has a comment');
none("SELECT oid::regclass FROM pg_class WHERE oid IN ($relations) AND relkind IN ('r', 'v')"
	  . " AND obj_description(oid, 'pg_class') IS NULL ORDER BY 1",
	'every table and view has a comment');

# Where a publication is FOR ALL TABLES, rows without a replica identity cannot be updated or deleted.
none("SELECT oid::regclass FROM pg_class WHERE oid IN ($relations) AND relkind = 'r' AND relreplident = 'd'"
	  . " AND NOT EXISTS (SELECT FROM pg_index WHERE indrelid = pg_class.oid AND indisprimary) ORDER BY 1",
	'every table has a replica identity');

# PUBLIC may call what only looks at its arguments, or at the session's own connections.
none("SELECT p.oid::regprocedure FROM pg_proc p, aclexplode(coalesce(proacl, acldefault('f', proowner))) a"
	  . " WHERE p.oid IN ($functions) AND a.grantee = 0 AND p.provolatile <> 'i'"
	  . " AND p.prorettype NOT IN ('fdw_handler'::regtype) AND p.proname NOT LIKE '%validator'"
	  . " AND p.proname NOT IN ('connections', 'disconnect', 'disconnect_all', 'driver_version', 'objectid_generate')"
	  . " ORDER BY 1",
	'PUBLIC may execute nothing that reads or writes data');
none("SELECT c.oid::regclass FROM pg_class c, aclexplode(relacl) a"
	  . " WHERE c.oid IN ($relations) AND a.grantee = 0 ORDER BY 1",
	'PUBLIC has no rights in a table or view');

# Some run the caller's expressions with the caller's search_path, and qualify all of their own.
none("SELECT p.oid::regprocedure FROM pg_proc p JOIN pg_language l ON l.oid = prolang"
	  . " WHERE p.oid IN ($functions) AND lanname IN ('sql', 'plpgsql') AND prosqlbody IS NULL AND prokind <> 'p'"
	  . " AND prosrc NOT LIKE '%OPERATOR(pg_catalog.%' AND prosrc NOT LIKE '%pg_catalog.current_setting(''search_path'')%'"
	  . " AND NOT coalesce(array_to_string(proconfig, ',') LIKE '%search_path=%', false) ORDER BY 1",
	'every function in SQL or PL/pgSQL sets its search_path');
# A procedure that commits can have none: its operators and types are qualified.
none("SELECT oid::regprocedure FROM pg_proc WHERE oid IN ($functions) AND prokind = 'p' AND "
	  . q{regexp_replace(prosrc, '--[^\n]*|''[^'']*''|:=|=>|OPERATOR\(pg_catalog\.[^)]*\)|pg_catalog\.\w+', '', 'g')}
	  . q{ ~ '[-+*/<>=~!@#%^&|]|\m(text|name|record|timestamptz|numeric|json|jsonb|bytea|oid|regclass)\M' ORDER BY 1},
	'every procedure qualifies operators and types');
# A subtransaction is an error in a query that runs in parallel, in its leader too.
none("SELECT oid::regprocedure FROM pg_proc WHERE oid IN ($functions) AND proparallel <> 'u'"
	  . " AND prosrc ~ 'EXCEPTION\\s+WHEN' ORDER BY 1",
	'no function with an exception block is run in parallel');
none("SELECT oid::regprocedure FROM pg_proc WHERE oid IN ($functions) AND prosecdef ORDER BY 1",
	'no function runs with the rights of its owner');
none("SELECT oid::regprocedure FROM pg_proc WHERE oid IN ($functions) AND pronamespace <> 'mongo_migrate'::regnamespace"
	  . " AND prokind <> 'a'",
	'every function but the aggregates is in schema mongo_migrate');

# The documentation names what there is, by the arguments that it has.
my %arguments = ();
foreach (split /\n/, $node->safe_psql('postgres', "SELECT proname, array_to_string(proargnames, ',') FROM pg_proc WHERE oid IN ($functions)"))
{
	my ($name, $names) = split /\|/;
	$arguments{$name}{$_} = 1 foreach '', split /,/, $names // '';
}
my %objects = map { $_ => 1 } keys %arguments, split /\n/, $node->safe_psql('postgres',
	"LOAD 'mongo_migrate'; SELECT relname FROM pg_class WHERE oid IN ($relations)"
	  . " UNION SELECT typname FROM pg_type WHERE typnamespace = 'mongo_migrate'::regnamespace"
	  . " UNION SELECT regexp_replace(name, '.*[.]', '') FROM pg_settings WHERE name LIKE 'mongo_migrate.%'");
my $top = "$FindBin::RealBin/../..";
foreach my $page ("$top/README.md", glob "$top/doc/*.md")
{
	my $text = slurp_file($page);
	my @wrong = grep { !$objects{$_} && !/^id_map_/ } $text =~ /\bmongo_migrate\.(\w+)/g;
	while ($text =~ /\b(\w+)(\((?:[^()]|(?2))*\))/g)
	{
		my ($name, $call) = ($1, $2);
		next unless $arguments{$name};
		push @wrong, map { "$name: $_" } grep { !$arguments{$name}{$_} } $call =~ /\b(\w+) =>/g;
	}
	push @wrong, grep { !$objects{$_} } $1 =~ /`(\w+)`/g if $page =~ /operating/ && $text =~ /\n## The functions\n(.*)/s;
	is("@wrong", '', basename($page) . ' names what there is');
}

# A second CREATE EXTENSION after DROP finds nothing in its way, and makes the same of other settings.
my $settings = "SELECT oid::regprocedure, unnest(proconfig) FROM pg_proc WHERE oid IN ($functions) AND proconfig IS NOT NULL ORDER BY 1, 2";
my $before = $node->safe_psql('postgres', $settings);
$node->safe_psql('postgres', 'DROP EXTENSION mongo_migrate; SET quote_all_identifiers = on; CREATE EXTENSION mongo_migrate');
is($node->safe_psql('postgres', $settings) =~ s/"(pg_catalog|pg_temp)"/$1/gr, $before, 'drops and comes back');

# The page on uninstalling has the statement that keeps columns of the extension's type.
$node->safe_psql('postgres', 'CREATE DATABASE uninstalled');
$node->safe_psql('uninstalled', 'CREATE EXTENSION mongo_migrate;'
	  . ' CREATE TABLE kept (i integer, o mongo_migrate.objectid, a mongo_migrate.objectid[]) PARTITION BY LIST (i);'
	  . ' CREATE TABLE kept_rest PARTITION OF kept DEFAULT;'
	  . q{ INSERT INTO kept VALUES (1, '65a000000000000000000001', '{65a000000000000000000002}')});
my ($keep) = slurp_file("$top/doc/operating.md") =~ /(SELECT format\('ALTER TABLE.*?);\n/s;
$node->safe_psql('uninstalled', "$keep \\gexec\nDROP EXTENSION mongo_migrate CASCADE");
is($node->safe_psql('uninstalled', 'SELECT o, a FROM kept'), '65a000000000000000000001|{65a000000000000000000002}',
	'ObjectIds stay as text');

# The driver's counters would be a file that outlives a process that is killed.
is($node->safe_psql('postgres', "LOAD 'mongo_migrate'; SELECT pg_backend_pid() AS pid \\gset\n\\setenv PID :pid\n"
	  . '\! find /dev/shm/mongoc-$PID -newer ' . $node->data_dir . '/postmaster.pid 2>/dev/null'),
	'', 'the driver puts nothing into shared memory');

# Whose schema it is, who could have others step into functions of its own.
$node->safe_psql('postgres', 'CREATE ROLE squatter; CREATE DATABASE squatted; GRANT CREATE ON DATABASE squatted TO squatter');
$node->safe_psql('squatted', 'SET ROLE squatter; CREATE SCHEMA mongo_migrate');
my (undef, undef, $error) = $node->psql('squatted', 'CREATE EXTENSION mongo_migrate');
like($error, qr/ERROR:  schema mongo_migrate belongs to role squatter, which is no superuser/, 'not into the schema of somebody else');
$node->safe_psql('squatted', 'ALTER SCHEMA mongo_migrate OWNER TO CURRENT_USER; CREATE EXTENSION mongo_migrate');
pass('but into one that is there');

# Other encodings.
foreach my $encoding (qw(SQL_ASCII LATIN1))
{
	$node->safe_psql('postgres', "CREATE DATABASE \"$encoding\" ENCODING '$encoding' LOCALE 'C' TEMPLATE template0");
	$node->safe_psql($encoding, 'CREATE EXTENSION mongo_migrate');
	pass("installs into a database with encoding $encoding");
}

$node->stop;
done_testing();

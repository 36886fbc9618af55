#!/usr/bin/perl
# check_source.pl: the checks of ./dev lint that read the source alone.
use strict;
use warnings;

my $max_columns = 110;
my $max_prose = 120;
my $max_file = 900;
my $max_function = 110;
my $findings = 0;

# Reports a finding.
sub report
{
	my ($file, $line, $text) = @_;
	print $file, $line ? ":$line" : '', ": $text\n";
	$findings++;
	return;
}

sub lines_of
{
	my ($name) = @_;
	open my $file, '<', $name or die "$name: $!\n";
	my @lines = <$file>;
	return @lines;
}

# The rows of the house, from the table in src/README.md: "src/fdw/" -> 3, "src/worker" -> 5.
sub read_rows
{
	my %rows;
	foreach (lines_of('src/README.md'))
	{
		my ($row, $where) = /^\| (\d) \| ([^|]+) \|/ or next;
		$rows{ 'src/' . $1 } = $row while $where =~ /`([\w]+\/?)(?:\.(?:[ch]|sql))?`/g;
	}
	return %rows;
}

# The key of a file in those rows: its folder, or at the top its name without extension.
sub row_key
{
	my ($file) = @_;
	return $file =~ m{^(src/\w+/)} ? $1 : $file =~ s/\.(?:[ch]|sql)$//r;
}

sub check_includes
{
	my ($file, $rows, @lines) = @_;
	my $key = row_key($file);
	my $row = $rows->{$key};
	my @includes;

	report($file, 0, "$key is in no row of src/README.md") unless defined $row;
	foreach my $number (1 .. @lines)
	{
		my ($bracket, $name) = $lines[ $number - 1 ] =~ /^#include ([<"])(.*)[>"]/ or next;
		push @includes, [ $number, $bracket, $name ];
		next unless -e "src/$name" && defined $row;
		my $other = row_key("src/$name");
		my $theirs = $rows->{$other} // next;
		report($file, $number, "includes $name, of row $theirs; this is of row $row")
		  unless $other eq $key || $theirs < $row || $theirs == $row && "$key $other" !~ m{src/\w+/};
	}
	return if $file !~ /\.c$/;
	report($file, 0, 'postgres.h and compat.h come first')
	  unless @includes >= 2 && $includes[0][2] eq 'postgres.h' && $includes[1][2] eq 'compat.h';
	foreach my $i (3 .. $#includes)
	{
		my ($before, $this) = @includes[ $i - 1, $i ];
		report($file, $this->[0], "$this->[2] is not in order")
		  if $this->[0] == $before->[0] + 1 && $this->[2] lt $before->[2];
	}
	return;
}

# What messages tell a person to call, wherever they are.
my %commands = map { $_ => 1 } qw(apply_ddl migrate_collection reset_collection retry_quarantine rename_server finalize rollback_cutover);

# SQL names functions, tables and views of its own folder and of lower rows only.
sub check_sql_rows
{
	my ($rows, @files) = @_;
	my (%key, %home);
	foreach my $file (@files)
	{
		$key{$file} = row_key($file);
		report($file, 0, "$key{$file} is in no row of src/README.md") unless defined $rows->{ $key{$file} };
		foreach (lines_of($file))
		{
			$home{$1} = $key{$file} if /^CREATE (?:FUNCTION|PROCEDURE|TABLE|VIEW|TYPE|AGGREGATE) mongo_migrate\.(\w+)/;
		}
	}
	foreach my $file (@files)
	{
		my @lines = lines_of($file);
		foreach my $number (1 .. @lines)
		{
			my $code = $lines[ $number - 1 ] =~ s/--.*//sr;
			foreach my $name ($code =~ /\bmongo_migrate\.(\w+)/g)
			{
				my $home = $home{$name} // next;
				next if $home eq $key{$file} || $commands{$name} || $rows->{$home} < $rows->{ $key{$file} };
				report($file, $number, "names $name, which is in $home, of row $rows->{$home}; this is of row $rows->{ $key{$file} }");
			}
		}
	}
	return;
}

# Pages are wrapped, but for tables and examples.
sub check_prose
{
	my ($file, @lines) = @_;
	my $example = 0;
	foreach my $number (1 .. @lines)
	{
		local $_ = $lines[ $number - 1 ];
		$example = !$example if /^\s*```/;
		next if $example || /^\s*(?:\||`[^`]*`:?$)/;
		report($file, $number, "longer than $max_prose columns") if length($_) > $max_prose + 1;
	}
	return;
}

# Links of a page lead to files, and to headings in them, by the names that these get in HTML.
sub check_links
{
	my ($file, @lines) = @_;
	foreach my $number (1 .. @lines)
	{
		foreach my $link ($lines[ $number - 1 ] =~ /\]\(([^()\s]+)\)/g)
		{
			my ($page, $heading) = $link =~ /^([^#]*)#?(.*)$/;
			next if $page =~ /^https?:/;
			$page = $page eq '' ? $file : $file =~ s{[^/]*$}{$page}r;
			if (!-e $page) { report($file, $number, "there is no $page"); next; }
			my %headings = map { (lc($_) =~ s/[^\w -]//gr =~ s/ /-/gr) => 1 } map { /^#+ (.*)/ } lines_of($page);
			report($file, $number, "there is no heading $heading in $page") if $heading ne '' && !$headings{$heading};
		}
	}
	return;
}

# What pgindent leaves as it is.
sub check_layout
{
	my ($file, @lines) = @_;
	foreach my $number (1 .. @lines)
	{
		my $line = $lines[ $number - 1 ];
		my $wide = $line =~ s/\t/    /gr;
		my $code = $line =~ s/"(?:\\.|[^"\\])*"/""/gr;
		report($file, $number, "longer than $max_columns columns") if length($wide) > $max_columns + 1 && $line !~ /"/;
		report($file, $number, 'comment by //') if $code =~ m{//} && $code !~ m{^\s*/?\*};
	}
	return;
}

# Length of functions, and the comment above each that is more than a few lines.
sub check_functions
{
	my ($file, @lines) = @_;
	for (my $i = 1; $i < @lines; $i++)
	{
		next unless $lines[$i] =~ /^\{/ && $lines[ $i - 1 ] =~ /\)\s*$/;
		my $head = $i - 1;
		$head-- while $head > 0 && $lines[$head] !~ /^\w+\(/;
		my ($name) = $lines[$head] =~ /^(\w+)\(/ or next;
		my $above = $head - 2;    # the line above the return type
		$above-- while $above > 0 && $lines[$above] =~ /^(\s*|PG_FUNCTION_INFO_V1.*)$/;
		my $end = $i;
		$end++ while $end < @lines && $lines[$end] !~ /^\}/;
		report($file, $head + 1, "$name() has no comment")
		  if $end - $i > 12 && $lines[$above] !~ m{\*/\s*$};
		report($file, $head + 1, "$name() has " . ($end - $i) . ' lines') if $end - $i > $max_function;
	}
	return;
}

# What holds for text files of every kind.
sub check_text
{
	my ($file, @lines) = @_;
	foreach my $number (1 .. @lines)
	{
		local $_ = $lines[ $number - 1 ];
		report($file, $number, 'blanks at the end of the line') if /[ \t]\r?$/ && $file !~ /\.out$/;
		report($file, $number, 'carriage return') if /\r$/;
	}
	report($file, scalar @lines, 'no newline at the end') if @lines && $lines[-1] !~ /\n\z/;
	report($file, 0, scalar(@lines) . ' lines') if @lines > $max_file && $file =~ m{^(src|test|demo|bench|dev)};
	return;
}

# Every test is in the schedule once and has its expected output, and the other way round.
sub check_schedule
{
	my %scheduled;
	foreach (lines_of('sql/schedule'))
	{
		next if /^\s*(#|$)/;
		/^test: (\w+)$/ or report('sql/schedule', 0, "not one test a line: $_");
		report('sql/schedule', 0, "$1 is there twice") if $scheduled{$1}++;
	}
	foreach my $name (sort keys %scheduled)
	{
		report('sql/schedule', 0, "there is no sql/$name.sql") unless -e "sql/$name.sql";
	}
	foreach my $file (glob 'sql/*.sql')
	{
		my ($name) = $file =~ m{/(.*)\.sql};
		report($file, 0, 'not in sql/schedule') unless $scheduled{$name};
		report($file, 0, "no expected/$name.out") unless -e "expected/$name.out";
	}
	foreach my $file (glob 'expected/*.out')
	{
		my ($name) = $file =~ m{/(.*)\.out};
		report($file, 0, 'no test has this output') unless $scheduled{$name};
	}
	return;
}

sub check_version
{
	my %versions;
	foreach (lines_of('META.json'))
	{
		$versions{$1} = 1 if /^\s*"version": "(\d+\.\d+\.\d+)"/ && !/spec/;
		$versions{$1} = 1 if /"file": "mongo_migrate--(.*)\.sql"/;
	}
	foreach (lines_of('mongo_migrate.control'))
	{
		$versions{$1} = 1 if /^default_version = '(.*)'/;
	}
	my @versions = sort keys %versions;
	report('META.json', 0, "differs from mongo_migrate.control: @versions") if @versions != 1;
	return;
}

my %rows = read_rows();
my @sources = map { glob } qw(src/*.[ch] src/*/*.[ch] bench/*.c test/fuzz/*.c);
foreach my $file (@sources)
{
	my @lines = lines_of($file);
	check_includes($file, \%rows, @lines) if $file =~ /^src/;
	check_layout($file, @lines);
	check_functions($file, @lines);
	if ($file ne 'src/compat.h')
	{
		foreach my $number (1 .. @lines)
		{
			report($file, $number, 'tests a version: that is for compat.h')
			  if $lines[ $number - 1 ] =~ /PG_VERSION_NUM|(MONGOC|BSON)_(CHECK|MAJOR|MINOR)_/;
		}
	}
}
my @texts = grep { -f } map { glob } qw(src/*/*.sql src/*.sql src/README.md sql/*.sql sql/schedule test/*/* demo/* bench/*
	doc/* dev dev.d/* .ci/* Makefile META.json *.control README.md);
check_text($_, lines_of($_)) foreach @sources, grep { !/\.(gz|bson|json)$/ } @texts;
foreach my $file (grep { /\.sql$/ && /^src/ } @texts)
{
	my @lines = lines_of($file);
	my $head = 0;
	foreach my $number (1 .. @lines)
	{
		local $_ = $lines[ $number - 1 ];
		report($file, $number, 'tab') if /\t/;
		$head = $number if /^CREATE /;
		report($file, $head, 'has ' . ($number - $head) . ' lines') if /^\$\$;/ && $number - $head > $max_function;
	}
}
foreach my $file (grep { /\.md$/ } @texts)
{
	my @lines = lines_of($file);
	check_prose($file, @lines);
	check_links($file, @lines);
}
check_sql_rows(\%rows, grep { /^src.*\.sql$/ } @texts);
check_schedule();
check_version();
exit($findings ? 1 : 0);

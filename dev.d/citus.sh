# shellcheck shell=bash
# citus.sh: Citus in the private copy of PostgreSQL, for the tests and the benchmark that need it.

# Installs Citus into the copy of PostgreSQL where MM_CITUS asks for it: from the cache, or built and put there.
install_citus() {
	local builder=${MM_CITUS:-0} archive
	[ "$builder" != 0 ] || return 0
	[ "$builder" != 1 ] || builder=$top/../shared/third_party/build-citus
	[ -f "$builder" ] || die "MM_CITUS: there is no $builder"
	[ "$pg_major" -le 17 ] || die "MM_CITUS: Citus is not for PostgreSQL $pg_major: set PG_MAJOR to 15, 16 or 17"
	archive=$cache/citus-$("$pg_bin/postgres" --version | tr -cs '[:alnum:].\n' _).tar
	[ -f "$archive" ] || build_citus "$builder" "$archive"
	tar -C "$work/pg" -xf "$archive"
}

# Builds Citus, installs it into the copy of PostgreSQL and archives what that brought.
build_citus() {
	local builder=$1 archive=$2
	say "building Citus for $("$pg_bin/postgres" --version), some minutes; kept in $cache"
	# Its headers belong into the copy, too.
	rm "$work/pg/include/postgresql"
	cp -a /usr/include/postgresql "$work/pg/include/postgresql"
	touch "$work/before"
	as_root env TMPDIR="$work/tmp" bash "$builder" "$pg_bin/pg_config" > "$work/citus.log" 2>&1 ||
		{ tail "$work/citus.log"; die "Citus could not be built"; }
	mkdir -p "$cache"
	(cd "$work/pg" && find lib share -newer "$work/before" ! -type d -print0) |
		tar -C "$work/pg" --null -T - -cf "$archive.new"
	mv "$archive.new" "$archive"
}

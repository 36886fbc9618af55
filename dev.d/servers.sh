# shellcheck shell=bash
# servers.sh: the temporary folder, a private copy of PostgreSQL in it, and what runs there.

# What a copy of the checkout leaves out.
not_copied=(--exclude=./.git --exclude=./.dev --exclude='*.o' --exclude='*.bc' --exclude='*.so')

# Makes the temporary folder: pg/ (PostgreSQL), src/ (the checkout), tmp/, test/, home/. PostgreSQL does not
# run as root: for root, what is in the folder belongs to the user postgres, which comes with the package.
make_work() {
	work=$(mktemp -d "${TMPDIR:-/tmp}/mongo_migrate.XXXXXX")
	chmod 755 "$work"
	mkdir "$work/tmp" "$work/test" "$work/home"
	[ "$(id -u)" != 0 ] || id postgres >/dev/null 2>&1 || die "PostgreSQL does not run as root, and there is no user postgres"
	copy_postgresql
	if [ "$(id -u)" = 0 ] && ! setpriv --reuid=postgres --regid=postgres --init-groups test -x "$MONGOD"; then
		cp "$MONGOD" "$work/mongod"
		MONGOD=$work/mongod
	fi
}

# A copy of the packaged PostgreSQL: it finds its files relative to its programs, so that the extension can be
# installed into the copy, and the packaged one stays as it is.
copy_postgresql() {
	local lib=lib/postgresql/$pg_major share=share/postgresql/$pg_major
	mkdir -p "$work/pg/lib/postgresql" "$work/pg/share/postgresql" "$work/pg/include"
	cp -a "/usr/$lib" "$work/pg/$lib"
	cp -a "/usr/$share" "$work/pg/$share"
	ln -s /usr/include/postgresql "$work/pg/include/postgresql"
	pg_lib=$work/pg/$lib/lib
	pg_bin=$work/pg/$lib/bin
	PATH=$pg_bin:$PATH
}

# Builds in the checkout with warnings as errors, anew where it was built for other versions.
build() {
	local stamp=$top/.dev/built-for versions
	versions="$("$pg_bin/postgres" --version), libbson $(pkg-config --modversion bson2 2>/dev/null ||
		pkg-config --modversion libbson-1.0)"
	say "building for $versions"
	mkdir -p "$top/.dev"
	if [ "$(cat "$stamp" 2>/dev/null)" != "$versions" ]; then
		make -s -C "$top" PG_CONFIG="$pg_bin/pg_config" clean >/dev/null
		echo "$versions" > "$stamp"
	fi
	make -s -C "$top" -j"$jobs" PG_CONFIG="$pg_bin/pg_config" WERROR=-Werror all
}

# Installs into the copy of PostgreSQL, and copies the checkout for the tests.
build_and_install() {
	build
	make -s -C "$top" PG_CONFIG="$pg_bin/pg_config" install >/dev/null
	mkdir "$work/src"
	tar -C "$top" "${not_copied[@]}" -cf - . | tar -C "$work/src" -xf -
	[ "$(id -u)" != 0 ] || chown -R postgres: "$work"
}

# Runs a command in a process group of its own, so that leave() can end it whatever it is at.
run_group() {
	local status=0
	setsid "$@" &
	group=$!
	wait "$group" || status=$?
	group=
	return $status
}

# Runs a command in the copy of the checkout, as postgres where we are root.
run_as_user() {
	local become=() user
	user=$(id -un)
	if [ "$(id -u)" = 0 ]; then
		user=postgres
		become=(setpriv --reuid=postgres --regid=postgres --init-groups)
	fi
	# shellcheck disable=SC2016
	run_group env -u PGHOST -u PGPORT -u PGUSER -u PGDATABASE -u PGPASSWORD -u PGSERVICE -u PGOPTIONS \
		PATH="$PATH" MONGOD="$MONGOD" MM_DATA="${MM_DATA:-$top/../shared/data}" HOME="$work/home" USER="$user" TMPDIR="$work/tmp" TZ=UTC \
		"${become[@]}" sh -c 'cd "$1" && shift && exec "$@"' sh "$work/src" "$@"
}

# At the end, however it comes: ends what runs and removes the folder.
leave() {
	local status=$? file pid
	trap - EXIT
	trap '' INT TERM HUP
	if [ -n "$group" ]; then
		kill -KILL -- "-$group" || as_root kill -KILL -- "-$group" || true
		wait "$group" || true
	fi 2>/dev/null
	if [ -n "$work" ]; then
		while IFS= read -r file; do
			pid=$(head -n 1 "$file")
			# A file left by a killed server may name a process that is another's by now.
			grep -qs -- "$work" "/proc/$pid/cmdline" || continue
			case $file in
				*/postmaster.pid) kill -QUIT "$pid" || true ;;	# immediate shutdown
				*) kill -KILL "$pid" || true ;;
			esac
			for _ in $(seq 100); do
				[ -e "/proc/$pid" ] || break
				sleep 0.05
			done
		done < <(find "$work" \( -name postmaster.pid -o -name mongod.lock \) -size +0 2>/dev/null)
		rm -rf "$work"
	fi
	exit "$status"
}

# shellcheck shell=bash
# sanitize.sh: the same with AddressSanitizer and UndefinedBehaviorSanitizer, or under valgrind.

# Not the alignment: libbson 1.23 declares bson_t to be aligned by 128, but its own bson_copy() aligns it as malloc() does.
sanitize_flags='-O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize=alignment -fno-sanitize-recover=undefined'

# Builds and installs a copy of the checkout with sanitizers and the functions of test/fuzz, and has the copy
# of PostgreSQL run with them.
build_and_install_sanitized() {
	local asan
	asan=$(gcc -print-file-name=libasan.so)
	[ -e "$asan" ] || die "gcc has no libasan here"
	mkdir "$work/src"
	tar -C "$top" "${not_copied[@]}" -cf - . | tar -C "$work/src" -xf -
	say "building with sanitizers"
	make -s -C "$work/src" -j"$jobs" PG_CONFIG="$pg_bin/pg_config" WERROR=-Werror FUZZ=1 \
		COPT="$sanitize_flags" all
	make -s -C "$work/src" PG_CONFIG="$pg_bin/pg_config" FUZZ=1 COPT="$sanitize_flags" install >/dev/null

	# With libasan preloaded, libraries that call bindtextdomain() while they are loaded leave its lock in a
	# state in which PostgreSQL's own call waits for ever. Messages need no translation here.
	echo 'char *bindtextdomain(const char *d, const char *f) { (void) d; (void) f; return 0; }' |
		gcc -shared -fPIC -x c -o "$work/no_gettext.so" -
	wrap_postgres "export LD_PRELOAD='$asan $work/no_gettext.so' UBSAN_OPTIONS=print_stacktrace=1 \
		ASAN_OPTIONS=detect_leaks=0:detect_stack_use_after_return=0:quarantine_size_mb=8; exec -a \"\$0\""
	[ "$(id -u)" != 0 ] || chown -R postgres: "$work"
}

# Builds and installs as usual, and has the copy of PostgreSQL run under valgrind, a report for each process.
build_and_install_valgrind() {
	need_packages valgrind
	build_and_install
	cp "$top/test/valgrind.supp" "$work/valgrind.supp"
	mkdir "$work/valgrind"
	wrap_postgres "exec valgrind --quiet --leak-check=no --suppressions='$work/valgrind.supp' --log-file='$work/valgrind/%p'"
	[ "$(id -u)" != 0 ] || chown -R postgres: "$work"
}

# Prints what valgrind found; false when it found something.
valgrind_reports() {
	local reports
	reports=$(find "$work/valgrind" -type f -size +0)
	[ -n "$reports" ] || return 0
	say "valgrind found"
	xargs cat <<<"$reports" | sed 's/==[0-9]*==/==/' | head -n 200
	return 1
}

# Has the copy of PostgreSQL run by a command, which begins with exec or ends so. pg_ctl restart knows the program by the name
# that it was started by, which valgrind does not leave to it: it does not see what a test does then (the end of 050_resume.pl).
wrap_postgres() {
	mv "$pg_bin/postgres" "$pg_bin/postgres.plain"
	printf '#!/bin/bash\n%s "${0%%/*}/postgres.plain" "$@"\n' "$1" > "$pg_bin/postgres"
	chmod 755 "$pg_bin/postgres"
}

dev_fuzz() {
	need_test_packages
	make_work
	build_and_install_sanitized
	say "fuzz: ${FUZZ_MUTATIONS:=20000} mutations of seed ${FUZZ_SEED:=$RANDOM}"
	export FUZZ_MUTATIONS FUZZ_SEED
	run_prove test/fuzz/fuzz.pl
}

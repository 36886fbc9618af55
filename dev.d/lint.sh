# shellcheck shell=bash
# lint.sh: checks of the source; what needs a database is in test/t/001_catalog.pl.

dev_lint() {
	local status=0
	need_build_packages shellcheck
	pg_bin=/usr/lib/postgresql/$pg_major/bin
	cd "$top" || return
	lint_step "format, comments, includes, tests" perl dev.d/check_source.pl
	lint_step "shell scripts" shellcheck -x dev .ci/run
	lint_step "warnings of gcc" build
	lint_step "warnings of clang" lint_clang
	lint_step "headers by themselves" lint_headers
	lint_step "exported symbols" lint_exports
	[ $status = 0 ] || die "lint: see above"
	say "lint: nothing found"
}

# Runs one check and notes a failure in dev_lint()'s status.
lint_step() {
	say "lint: $1"
	shift
	"$@" || status=1
}

make_variable() { make -s PG_CONFIG="$pg_bin/pg_config" --eval="print-variable: ; @echo \$($1)" print-variable; }

# Sets flags: the compiler's, with warnings about our own files only.
read_flags() {
	read -ra flags <<<"$(make_variable CPPFLAGS) $(make_variable PG_CFLAGS)"
	flags=("${flags[@]/#-I\/usr/-isystem/usr}" -fsyntax-only -Werror)
}

# clang sees other things than gcc. It is there because PostgreSQL's development package needs it.
lint_clang() {
	local clang flags
	clang=$(make_variable CLANG)
	if [ ! -x "$clang" ]; then
		echo "skipped: no $clang"
		return
	fi
	read_flags
	printf '%s\0' src/*.c src/*/*.c | xargs -0 -P "$jobs" -n 4 "$clang" "${flags[@]}"
}

lint_headers() {
	local flags header
	read_flags
	for header in src/*.h src/*/*.h; do
		printf '#include "postgres.h"\n#include "compat.h"\n#include "%s"\n' "${header#src/}" |
			gcc -x c "${flags[@]}" - || { echo "$header does not compile alone"; return 1; }
	done
}

# What the module exports is what exports.map names.
lint_exports() {
	local extra
	extra=$(nm -D --defined-only mongo_migrate.so | awk '{print $3}' | sed 's/@.*//' |
		grep -vxE 'Pg_magic_func|_PG_init|(pg_finfo_)?mm_.*' || true)
	[ -z "$extra" ] || { echo "exported beside SQL's functions: $extra"; return 1; }
}

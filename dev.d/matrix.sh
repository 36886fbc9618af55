# shellcheck shell=bash
# matrix.sh: the same commands in a debootstrap folder of another Debian.

legs=${MM_LEGS:-$cache/legs}

# Runs ./dev COMMAND... on a copy of the checkout in the folder of a Debian release. Namespaces of its own hold
# the mounts and the processes, so that nothing outlives the command.
run_in_leg() {
	local leg=$1 root=$legs/$1 lock status=0
	shift
	mkdir -p "$cache"
	exec {lock}> "$cache/$leg.lock"
	flock "$lock"		# one command at a time
	make_leg "$leg"
	fetch_mongod		# by this machine; a mongod of its own may not run over there
	as_root cp -u "$MONGOD" "$root/usr/local/bin/mongod"
	as_root cp -L /etc/resolv.conf "$root/etc/resolv.conf"
	as_root rm -rf "$root/srv/mongo_migrate"
	as_root mkdir -p "$root/srv/mongo_migrate"
	tar -C "$top" "${not_copied[@]}" -cf - . | as_root tar -C "$root/srv/mongo_migrate" --no-same-owner -xf -
	as_root mkdir -p "$root/srv/shared/data"
	say "$leg: ./dev $*"
	# shellcheck disable=SC2016
	run_group "${sudo[@]}" unshare --mount --pid --fork --kill-child sh -c '
		root=$1 data=$2 && shift 2
		[ ! -d "$data" ] || mount --bind "$data" "$root/srv/shared/data" || exit
		mount -t proc proc "$root/proc" && mount --rbind /dev "$root/dev" && exec chroot "$root" "$@"' \
		sh "$root" "${MM_DATA:-$top/../shared/data}" \
		env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin TERM="${TERM:-dumb}" \
		JOBS="$jobs" ${http_proxy:+http_proxy="$http_proxy"} ${BENCH_DOCUMENTS:+BENCH_DOCUMENTS="$BENCH_DOCUMENTS"} \
		${BENCH_ROUNDS:+BENCH_ROUNDS="$BENCH_ROUNDS"} /srv/mongo_migrate/dev "$@" || status=$?
	exec {lock}>&-
	return $status
}

# Makes the folder of a release where there is none yet. PostgreSQL and the rest are installed
# there by the first ./dev in it.
make_leg() {
	local leg=$1 root=$legs/$1 keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	[ ! -e "$root/etc/mongo_migrate_leg" ] || return 0
	need_packages debootstrap debian-archive-keyring
	say "debootstrap: $leg in $root"
	as_root mkdir -p "$legs"
	if [ ! -e "$root/etc/debian_version" ]; then
		as_root rm -rf "$root.new"
		as_root debootstrap --variant=minbase --keyring="$keyring" "$leg" "$root.new" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"} \
			> "$cache/debootstrap-$leg.log" 2>&1 ||
			die "debootstrap $leg failed (no network, or no mirror?); its output is in $cache/debootstrap-$leg.log"
		as_root mv "$root.new" "$root"
	fi
	# No daemon starts there; a mirror that stands still is good enough.
	printf '#!/bin/sh\nexit 101\n' | as_root tee "$root/usr/sbin/policy-rc.d" >/dev/null
	as_root chmod 755 "$root/usr/sbin/policy-rc.d"
	echo 'Acquire::Check-Valid-Until "false";' | as_root tee "$root/etc/apt/apt.conf.d/90mongo_migrate" >/dev/null
	[ -e "$root/etc/hosts" ] || echo '127.0.0.1 localhost' | as_root tee "$root/etc/hosts" >/dev/null
	as_root touch "$root/etc/mongo_migrate_leg"
}

dev_matrix() {
	local leg command
	[ $# -gt 0 ] || set -- bookworm trixie sid
	for leg in "$@"; do
		case $leg in
			bookworm | trixie | sid) ;;
			*) die "no leg is called $leg: there are bookworm, trixie and sid" ;;
		esac
	done
	for leg in "$@"; do
		# The newest has pgindent, and the strictest compilers.
		if [ "$leg" = sid ]; then command=check; else command=test; fi
		run_in_leg "$leg" "$command" || die "matrix: $leg failed"
	done
	say "matrix: passed on $*"
}

# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# For tests that run inside the virtual machine: all of t/lib.sh, and the kernel's NBD client, file systems, LIO. It uses the
# build without sanitizers (emulation is slow enough).

[ -e /run/vm/up ] || { echo "${0##*/}: is for the virtual machine: t/vm/in $0" >&2; exit 2; }
B=${PLAIN_B:-${B:-build}}
WAIT=${WAIT:-300}
# shellcheck source=t/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

DEV=/dev/nbd0
MNT=$T/mnt
GUEST_ENDS=() # commands to be run at the end, the last first

guest_cleanup() {
	local status=$? i
	set +e
	trap - EXIT
	if mountpoint -q "$MNT"; then umount -l "$MNT"; fi
	for ((i = ${#GUEST_ENDS[@]} - 1; i >= 0; i--)); do ${GUEST_ENDS[i]}; done
	[ "$status" = 0 ] || dmesg | tail -n 200 >&2
	(exit "$status")
	cleanup
}
trap guest_cleanup EXIT

# dmesg_begin ... dmesg_ok: no I/O error, file system error or stuck task was reported meanwhile
dmesg_begin() { dmesg --clear; }
dmesg_ok() {
	local bad
	bad=$(dmesg | grep -Ei 'I/O error|blk_update_request|EXT4-fs (error|warning)|XFS.*(error|corrupt|shut)|BUG:|hung task|blocked for more' || true)
	[ -z "$bad" ] || fail "the kernel reports: $bad"
}

# The kernel's client on /dev/nbd0 of the first LUN: nbd_up [OPTION...]. Longer than any pause, as README.md has it: after its
# time-out the kernel would drop connections that are only slow.
nbd_up() {
	modprobe nbd max_part=0 nbds_max=8
	nbd-client -unix "$NBD" "$DEV" -N "$(lun_name)" -b 512 -timeout 300 "$@" >"$T/nbd-client.log" 2>&1 ||
		fail "nbd-client: $(cat "$T/nbd-client.log")"
	GUEST_ENDS+=("nbd_down")
	until_true "$DEV is connected" test -e "/sys/block/${DEV##*/}/pid"
}
nbd_down() {
	[ -e "/sys/block/${DEV##*/}/pid" ] || return 0
	nbd-client -d "$DEV" >/dev/null 2>&1 || true
	until_true "$DEV is disconnected" test ! -e "/sys/block/${DEV##*/}/pid"
}

fsck_clean() {
	case $1 in
	ext4) e2fsck -f -n "$DEV" >"$T/fsck.log" 2>&1 ;;
	xfs) xfs_repair -n "$DEV" >"$T/fsck.log" 2>&1 ;;
	esac || fail "fsck of $1: $(cat "$T/fsck.log")"
}

# files_write DIR N SIZE: N files of random bytes with their checksums in $T/sums; fsynced
files_write() {
	local i
	for ((i = 0; i < $2; i++)); do
		dd if=/dev/urandom of="$1/f$i" bs="$3" count=1 conv=fsync status=none || return 1
		(cd "$1" && sha256sum "f$i") >>"$T/sums"
	done
}
# read from the device, not from the cache
files_check() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
	(cd "$1" && sha256sum --quiet -c "$T/sums") || fail "checksums differ"
}

# ext4_mount [SIZE]: a new file system on $DEV, mounted on $MNT
ext4_mount() {
	mkfs.ext4 -q -F "$DEV" "$@" || fail "mkfs.ext4"
	mkdir -p "$MNT"
	mount "$DEV" "$MNT"
}
# ext4_up [SIZE]: the same, with files in it; ext4_down: they are as they were, and it is clean
ext4_up() {
	ext4_mount "$@"
	dmesg_begin
	files_write "$MNT" 8 1M || fail "the files can't be written"
}
ext4_down() {
	files_check "$MNT"
	umount "$MNT"
	fsck_clean ext4
	dmesg_ok
}

# verify_start DIR DEPTH [OPTION...]: fio's verified direct I/O on a file in DIR; verify_alive: it goes on; verify_end: without an error
verify_start() {
	dd if=/dev/zero of="$1/file" bs=1M count=16 conv=fsync status=none || fail "the file can't be written"
	spawn fio fio --name=verify --filename="$1/file" --direct=1 --ioengine=libaio --iodepth="$2" --rw=randrw --bs=4k --verify=crc32c \
		--size=16M --verify_backlog=256 --time_based --runtime=100000 --norandommap=0 --verify_fatal=1 "${@:3}"
}
verify_alive() { alive fio || fail "fio ended: $(head -n 20 "$T/fio.log")"; }
verify_end() {
	local status=0
	verify_alive
	stop fio INT || status=$? # 128: it was told to end
	[[ $status =~ ^(0|128)$ ]] || fail "fio ended with $status: $(head -n 20 "$T/fio.log")"
	grep -q 'err= 0' "$T/fio.log" || fail "fio: $(head -n 20 "$T/fio.log")"
}

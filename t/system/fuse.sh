#!/bin/bash
# An export as a file (nbdfuse, as mpio-fuse@.service runs it), on it a loop device with ext4: a path is pulled while it is written; fsck finds it clean.
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/../lib.sh"
for tool in nbdfuse fusermount3 losetup mkfs.ext4 fsck.ext4 findmnt; do
	command -v "$tool" >/dev/null || skip "no $tool"
done
[ -c /dev/fuse ] || mknod /dev/fuse c 10 229 2>/dev/null || skip "no /dev/fuse"
LOOP='' MOUNTED=''

# Before lib.sh's own end: what is mounted hangs without its daemon.
release() {
	local status=$?
	set +e
	[ -z "$MOUNTED" ] || umount -l "$T/fs"
	[ -z "$LOOP" ] || losetup -d "$LOOP"
	if findmnt "$T/fuse" >/dev/null; then fusermount3 -u -z "$T/fuse"; fi
	(exit "$status")
	cleanup
}
trap release EXIT

# The command line of the unit, with the directories of this test.
unit_command() {
	local line
	line=$(sed -n 's/^ExecStart=//p' "$TOP/contrib/systemd/mpio-fuse@.service")
	line=${line//\/run\/mpio-fuse\/%i/$T/fuse}
	line=${line//\/run\/mpiod\/nbd.sock/$NBD}
	eval "COMMAND=(${line//%i/$1})"
}

san_up 2 128M
conf 'probation = off'
mpiod_up
mpiod_wait 2
LUN=$(lun_name)
mkdir "$T/fuse" "$T/fs"
unit_command "$LUN"
spawn nbdfuse "${COMMAND[@]}"
file_there() { alive nbdfuse || skip "nbdfuse can't mount here: $(cat "$T/nbdfuse.log")"; [ -e "$T/fuse/disk" ]; }
until_true "the file is there" file_there
assert_eq "$(stat -c %s "$T/fuse/disk")" 134217728 "size of the file"

# ---- as a file ----

head -c 8M /dev/urandom >"$T/random"
dd if="$T/random" of="$T/fuse/disk" bs=64k conv=notrunc,fsync status=none
dd if="$T/fuse/disk" of="$T/copy" bs=1M count=8 status=none
cmp "$T/random" "$T/copy" || fail "other bytes came back"
cmp -n 8388608 "$T/random" "$T/disk-1-1" || fail "the LUN has other bytes"

# ---- as a block device ----

[ -c /dev/loop-control ] || skip "the file works; no /dev/loop-control for the rest"
LOOP=$(losetup -f --show "$T/fuse/disk" 2>"$T/out") || { LOOP='' ; skip "the file works; losetup: $(cat "$T/out")"; }
mkfs.ext4 -q -F "$LOOP"
mount "$LOOP" "$T/fs" 2>"$T/out" || skip "the file works; mount: $(cat "$T/out")"
MOUNTED=1
write_files() { # FROM TO
	local i
	for ((i = $1; i <= $2; i++)); do
		head -c 1M /dev/urandom >"$T/fs/$i"
		sync -f "$T/fs/$i"
		(cd "$T/fs" && sha256sum "$i") >>"$T/sums"
	done
}
write_files 1 10
cable_cut_silent 1
write_files 11 20
mpiod_wait 1
write_files 21 25
cable_restore 1
mpiod_wait 2
cable_reset 2
write_files 26 35
cable_restore 2
mpiod_wait 2
echo 3 >/proc/sys/vm/drop_caches 2>/dev/null || true
(cd "$T/fs" && sha256sum --quiet -c "$T/sums") || fail "files differ"
umount "$T/fs"
MOUNTED=
fsck.ext4 -fn "$LOOP" >"$T/out" 2>&1 || fail "fsck: $(cat "$T/out")"
losetup -d "$LOOP"
LOOP=
say "35 files over ext4 on a loop device, 2 paths pulled, fsck clean"

# ---- the orderly end, as ExecStop ----

until_true "unmounted" fusermount3 -u "$T/fuse"
status=0
wait "${PID[nbdfuse]}" || status=$?
unset "PID[nbdfuse]"
assert_eq "$status" 0 "exit status of nbdfuse"
until_true "no client is left" js_is '.luns[0].users' 0
mpiod_down

#!/bin/bash
# The kernel's NBD client, attached by nbd-client with 4 connections: ext4 and xfs are made, filled and verified while cables are pulled
# and put back; no I/O error, a clean fsck, equal checksums. A line of nbdtab does the same.
. "$(dirname "$0")/../lib.sh"

san_up 2 400M
conf 'probation = off'
mpiod_up
mpiod_wait 2
nbd_up -C 4
assert_eq "$(cat /sys/block/nbd0/size)" $((400 * 2048)) "sectors"
mkdir -p "$MNT"
dmesg_begin

cable=0
for fs in ext4 xfs; do
	cable=$((cable % 2 + 1))
	rm -f "$T/sums"
	case $fs in
	ext4) mkfs.ext4 -q -F "$DEV" ;;
	xfs) mkfs.xfs -q -f "$DEV" ;;
	esac
	mount "$DEV" "$MNT"
	files_write "$MNT" 60 1M &
	writer=$!
	for pull in cable_cut_silent cable_reset cable_down; do
		$pull "$cable"
		mpiod_wait 1
		sleep 0.5
		cable_restore "$cable"
		mpiod_wait 2
		cable=$((3 - cable))
	done
	wait "$writer" || fail "the writer failed on $fs"
	files_check "$MNT"
	umount "$MNT"
	fsck_clean "$fs"
	mount "$DEV" "$MNT"
	files_check "$MNT"
	umount "$MNT"
	dmesg_ok
	say "$fs: 60 files, 3 pulls"
done
nbd_down
assert_eq "$(js '[.luns[].users] | add')" 0 "users after the disconnection"

# the same from /etc/nbdtab, as at boot
echo "nbd0 $NBD $(lun_name) unix,bs=512,conns=4,timeout=300" >/etc/nbdtab
nbd-client nbd0 >"$T/nbd-client.log" 2>&1 || fail "nbd-client with nbdtab: $(cat "$T/nbd-client.log")"
until_true "$DEV is connected" test -e "/sys/block/${DEV##*/}/pid"
assert_eq "$(js '[.luns[].users] | add')" 4 "connections by nbdtab"
mount "$DEV" "$MNT"
files_check "$MNT"
umount "$MNT"
dmesg_ok
nbd_down
rm /etc/nbdtab
mpiod_down

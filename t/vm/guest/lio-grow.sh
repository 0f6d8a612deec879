#!/bin/bash
# A LUN of LIO grows in use: mpiod notices, mpio-attach tells the kernel, and the file system grows while it is mounted and written to.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lio.sh"

export RUNTIME_DIRECTORY=$T/attach
sectors_are() { [ "$(cat "/sys/block/${DEV##*/}/size")" = "$1" ]; }

net_up 2
lio_up 64M
conf 'probation = off' 'verify_interval = 1'
mpiod_up
mpiod_wait 2
modprobe nbd
spawn attach "$B/mpio-attach" "$(lun_name)" "$DEV" --socket "unix:$NBD"
GUEST_ENDS+=("nbd_down")
until_true "$DEV is connected" test -e "/sys/block/${DEV##*/}/pid"
until_true "the size is known" sectors_are $((64 << 11))
ext4_mount
dmesg_begin
files_write "$MNT" 30 1M &
writer=$!
lio_grow 192M
ctl rescan >"$T/out" # LIO tells nobody
until_true "the device has grown" sectors_are $((192 << 11))
assert_eq "$(js '.luns[0].size')" $((192 << 20)) "size of the export"
wait "$writer" || fail "the writer failed"
resize2fs "$DEV" >"$T/resize.log" 2>&1 || fail "resize2fs: $(cat "$T/resize.log")"
dd if=/dev/urandom of="$MNT/big" bs=1M count=100 conv=fsync status=none || fail "nothing can be written to what is new"
(cd "$MNT" && sha256sum big) >>"$T/sums"
ext4_down
mpiod_wait 2
"$B/mpio-attach" --detach "$DEV" >/dev/null || fail "not detached"
mpiod_down
say "64 MiB, then 192 MiB"

#!/bin/bash
# mpio-attach: a mounted device outlives kill -9 of mpiod and of mpio-attach itself, grows with its LUN, never gets another disk's
# connections, and is not detached under a file system; a device that somebody else has taken meanwhile is left alone.
. "$(dirname "$0")/../lib.sh"

NAA=naa.60014050000000000000000000000001
ATTACH=$B/mpio-attach
export RUNTIME_DIRECTORY=$T/attach
attach() { # at once, in the background: attach OPTION...
	spawn attach "$ATTACH" "$NAME" "$DEV" --socket "unix:$NBD" --timeout 10 --wait 60 --stop-wait 3 "$@"
	until_true "attached" attached
}
attached() {
	alive attach || fail "mpio-attach ended: $(cat "$T/attach.log")"
	[ "$("$ATTACH" --list --json | jq -r '.[0].keeper')" = "${PID[attach]}" ]
}
attach_log_has() { grep -q -- "$1" "$T/attach.log"; }
sectors_are() { [ "$(cat "/sys/block/${DEV##*/}/size")" = "$1" ]; }
crash() { stop mpiod KILL || true; }

net_up 2
tt_up --lun 1:256
conf 'probation = off' 'fence = off'
mpiod_up
mpiod_wait 2
NAME=$(lun_name)

# what is refused
modprobe nbd nbds_max=4
assert_fails 2 "$ATTACH"
assert_fails 1 "$ATTACH" --detach "$NAME"
assert_fails 1 "$ATTACH" no-such-export --socket "unix:$NBD"
assert_fails 3 "$ATTACH" "$NAME" --socket "unix:$T/nobody"

# attached
dmesg_begin
attach
GUEST_ENDS+=("nbd_down")
assert_eq "$(cat "/sys/block/${DEV##*/}/backend")" "$NAA" "backend"
assert_eq "$(cat "/sys/block/${DEV##*/}/queue/logical_block_size")" 512 "logical block size"
assert_eq "$(js '[.luns[].users] | add')" 4 "connections"
sectors_are $((256 << 11)) || fail "wrong size"
assert_eq "$("$ATTACH" --list --json | jq -r '.[] | "\(.device) \(.export) \(.id) \(.size)"')" \
	"$DEV $NAME $NAA $((256 << 20))" "list"
assert_fails 1 "$ATTACH" "$NAME" --socket "unix:$NBD"
say "attached"

# mounted: not detached
ext4_mount
assert_fails 1 "$ATTACH" --detach "$NAME"
assert_contains "$(cat "$T/out")" "mounted on $MNT"
attached || fail "the refusal ended it"

# mpiod dies under a writer, and comes back
files_write "$MNT" 40 1M &
writer=$!
for _ in 1 2; do
	sleep 1
	crash
	until_true "the loss is seen" attach_log_has 'lost a connection'
	sleep 2
	mpiod_up
	until_true "connected again" attach_log_has 'connected again'
	: >"$T/attach.log"
done
mpiod_wait 2
wait "$writer" || fail "the writer failed"
files_check "$MNT"
dmesg_ok
say "two crashes of mpiod"

# the LUN grows, and the file system with it
tt '{"do":"lun","lun":1,"blocks":1048576,"asc":42,"ascq":9}' >/dev/null
until_true "the device has grown" sectors_are $((512 << 11))
resize2fs "$DEV" >"$T/resize.log" 2>&1 || fail "resize2fs: $(cat "$T/resize.log")"
dd if=/dev/zero of="$MNT/big" bs=1M count=300 conv=fsync status=none || fail "nothing can be written to what is new"
rm "$MNT/big"
dmesg_ok
say "growth"

# another disk answers under the same name: it waits
: >"$T/attach.log"
crash
spawn other nbdkit -f -U "$NBD.other" --filter=exportname memory 1G exportdesc=fixed:other exportname="$NAME"
until_true "the other server listens" test -S "$NBD.other"
mv "$NBD.other" "$NBD"
until_true "the other disk is seen" attach_log_has 'ANOTHER DISK'
dd if=/dev/zero of="$MNT/waits" bs=1M count=1 conv=fsync status=none &
writer=$!
sleep 3
kill -0 "$writer" || fail "a write was done to the wrong disk, or failed"
stop other || true
rm -f "$NBD"
mpiod_up
wait "$writer" || fail "the write failed"
rm "$MNT/waits"
dmesg_ok
say "another disk"

# mpio-attach itself dies, mpiod too, and the next one takes over what it finds
stop attach KILL || true
crash
attach
until_true "taken over" attach_log_has 'taken over'
mpiod_up
until_true "connected again" attach_log_has 'connected again'
files_check "$MNT"
# --detach --force under a file system ends the keeper for good
"$ATTACH" --detach --force "$NAME" >"$T/out" 2>&1 || true
got=0
{ wait "${PID[attach]}" || got=$?; } 2>/dev/null
assert_eq "$got" 0 "exit status of the keeper after --force"
unset 'PID[attach]'
umount "$MNT" 2>/dev/null || umount -l "$MNT"
until_true "the device is free" test ! -e "/sys/block/${DEV##*/}/pid"
dmesg --clear # --force is meant to hurt
attach
mount "$DEV" "$MNT"
dmesg_ok
# stopped while mounted: it waits as long as it was told, and leaves the device alone
got=0
stop attach || got=$?
assert_eq "$got" 1 "exit status"
files_check "$MNT"
attach
umount "$MNT"
fsck_clean ext4
dmesg_ok
say "taken over"

"$ATTACH" --detach "$NAME" || fail "not detached"
[ ! -e "/sys/block/${DEV##*/}/pid" ] || fail "still connected"
got=0
{ wait "${PID[attach]}" || got=$?; } 2>/dev/null
assert_eq "$got" 0 "exit status of the keeper"
unset 'PID[attach]'
assert_eq "$("$ATTACH" --list --json | jq length)" 0 "devices left"
assert_eq "$(ls "$RUNTIME_DIRECTORY")" lock "left behind"
until_true "mpiod has no users" js_is '[.luns[].users] | add' 0

# read-only
attach --read-only --connections 2
assert_eq "$(cat "/sys/block/${DEV##*/}/ro")" 1 "read-only"
assert_eq "$(js '[.luns[].users] | add')" 2 "connections"
if dd if=/dev/zero of="$DEV" bs=4k count=1 oflag=direct status=none 2>"$T/out"; then fail "a read-only device takes a write"; fi

# somebody else takes the device over: it is not ours any more, whatever becomes of it
nbd-client -d "$DEV" >/dev/null
until_true "the device is free" test ! -e "/sys/block/${DEV##*/}/pid"
truncate -s 64M "$T/other"
spawn other nbdkit -f -U "$T/other.sock" file "$T/other"
until_true "the other server listens" test -S "$T/other.sock"
nbd-client -unix "$T/other.sock" "$DEV" >"$T/out" 2>&1 || fail "nbd-client: $(cat "$T/out")"
ended() { ! alive attach; }
until_true "the keeper ends" ended
stop other KILL || true
sleep 2
[ "$(js '[.luns[].users] | add')" = 0 ] || fail "the stranger's device has got our connections"
nbd-client -d "$DEV" >/dev/null 2>&1 || true
mpiod_down

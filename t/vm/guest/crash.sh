#!/bin/bash
# kill -9 of mpiod under a mounted ext4 with a writer, 10 times: no I/O error, every file that was fsynced is there, a clean file system;
# what was in flight is fenced by the next mpiod.
. "$(dirname "$0")/../lib.sh"

export RUNTIME_DIRECTORY=$T/attach

san_up 2 300M
conf 'probation = off'
modprobe -a nbd sch_netem
# far enough away that most of the time something is in flight
for i in 1 2; do ip netns exec "$NS-tgt" tc qdisc add dev "t$i" root netem delay 50ms; done
mpiod_up
mpiod_wait 2
dmesg_begin
spawn attach "$B/mpio-attach" "$(lun_name)" "$DEV" --socket "unix:$NBD" --timeout 3
GUEST_ENDS+=("nbd_down")
until_true "$DEV is connected" test -e "/sys/block/${DEV##*/}/pid"
ext4_mount

# a file is in the list once its fsync has returned
: >"$T/sums"
# shellcheck disable=SC2016 # the inner shell expands it
spawn writer bash -c 'cd "$1"; i=0
	while [ ! -e "$2/enough" ]; do
		i=$((i + 1))
		dd if=/dev/urandom of="f$((i % 100)).new" bs=64k count=$((i % 20 + 1)) conv=fsync status=none || exit 1
		mv "f$((i % 100)).new" "g$i" && sync -d . && sha256sum "g$i" >>"$2/sums" || exit 1
		[ "$i" -le 100 ] || { rm "g$((i - 100))" && sed -i 1d "$2/sums"; } || exit 1
		echo "$i" >"$2/done"
	done' - "$MNT" "$T"
goes_on() {
	alive writer || fail "the writer ended: $(cat "$T/writer.log")"
	[ "$(cat "$T/done" 2>/dev/null || echo 0)" -gt "$1" ]
}
for i in $(seq 10); do
	until_true "files are written" goes_on "$(cat "$T/done" 2>/dev/null || echo 0)"
	stop mpiod KILL || true
	sleep 0.5
	mpiod_up
	mpiod_wait 2
done
until_true "files are written" goes_on "$(cat "$T/done")"
touch "$T/enough"
wait "${PID[writer]}" || fail "the writer failed: $(cat "$T/writer.log")"
unset 'PID[writer]'
assert_gt "$(wc -l <"$T/sums")" 5 "files"
assert_gt "$(grep -c 'fence: .* of an earlier process' "$MPIOD_LOG")" 0 "fences of what was in flight at a crash"
dmesg_ok
ext4_down
say "10 crashes, $(cat "$T/done") files"
"$B/mpio-attach" --detach "$DEV" || fail "not detached"

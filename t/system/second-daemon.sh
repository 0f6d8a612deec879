#!/bin/bash
# A second mpiod on the same control socket refuses to start and says why; the first goes on.
. "$(dirname "$0")/../lib.sh"

san_up 1
conf
mpiod_up
mpiod_wait 1
load_start "$(uri "$(lun_name)")"
assert_fails 1 on ini timeout "$WAIT" "$MPIOD" -f -c "$T/mpiod.conf"
assert_contains "$(cat "$T/out")" "$CTL" "what it says"
sed "s,^listen = .*,listen = unix:$T/other.sock," "$T/mpiod.conf" >"$T/other.conf"
assert_fails 1 on ini timeout "$WAIT" "$MPIOD" -f -c "$T/other.conf"
# the same NBD socket under another control socket: no better
sed "s,^control = .*,control = $T/other-control.sock," "$T/mpiod.conf" >"$T/other.conf"
assert_fails 1 on ini timeout "$WAIT" "$MPIOD" -f -c "$T/other.conf"
assert_contains "$(cat "$T/out")" "$NBD" "what it says"
load_progress
load_ok "the first one"
load_end

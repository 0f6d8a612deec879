#!/bin/bash
# Socket files that a killed mpiod left behind are replaced; a file that is no socket is left alone.
. "$(dirname "$0")/../lib.sh"

san_up 1
conf
mpiod_up
mpiod_wait 1
stop mpiod KILL || true
test -S "$CTL" -a -S "$NBD" || fail "there is nothing stale to replace"
assert_fails 3 ctl status

mpiod_up
mpiod_wait 1
load_start "$(uri "$(lun_name)")"
load_progress
load_ok "the new one"
load_end
mpiod_down
test ! -e "$CTL" -a ! -e "$NBD" || fail "an orderly end leaves sockets behind"

echo precious >"$CTL"
assert_fails 1 on ini timeout "$WAIT" "$MPIOD" -f -c "$T/mpiod.conf"
assert_eq "$(cat "$CTL")" precious "the file in the way"
rm "$CTL"
mpiod_up
mpiod_wait 1

#!/bin/bash
# no_path_timeout = fail: with every cable out I/O ends in EIO at once; it works again when a path returns.
. "$(dirname "$0")/../lib.sh"

san_up 2
conf 'no_path_timeout = fail' 'probation = off'
mpiod_up
mpiod_wait 2
uri=$(uri "$(lun_name)")
load_start "$uri"
load_progress

cable_down 1
cable_down 2
mpiod_wait 0
assert_fails 1 timeout "$WAIT" qemu-io -f raw -c 'read 0 4k' "$uri"
assert_contains "$(cat "$T/out")" "Input/output error"
assert_fails 1 timeout "$WAIT" qemu-io -f raw -c 'write 60M 4k' "$uri"
assert_contains "$(cat "$T/out")" "Input/output error"
load_mark down
assert_gt "$(load_get errors)" 0 "errors that the load got"

cable_restore 1
cable_restore 2
mpiod_wait 2
timeout "$WAIT" qemu-io -f raw -c 'read 0 4k' -c 'write 60M 4k' "$uri"
load_mark between
load_progress
load_ok "afterwards"
load_end any
assert_eq "$(load_get miscompares)" 0 miscompares

#!/bin/bash
# no_path_timeout = 3: I/O waits 3 s for a path, then ends in EIO; it works again when a path returns.
. "$(dirname "$0")/../lib.sh"

san_up 2
conf 'no_path_timeout = 3' 'probation = off'
mpiod_up
mpiod_wait 2
uri=$(uri "$(lun_name)")

cable_down 1
cable_down 2
mpiod_wait 0
begin=$(date +%s%N)
assert_fails 1 timeout "$WAIT" qemu-io -f raw -c 'read 0 4k' "$uri"
assert_contains "$(cat "$T/out")" "Input/output error"
# it may have begun a little after the last path went
say "the read ended in EIO after $((($(date +%s%N) - begin) / 1000000)) ms"
assert_eq "$(js '.luns[0].failing')" true "no_path_timeout has run out"
assert_fails 1 timeout "$WAIT" qemu-io -f raw -c 'write 0 4k' "$uri"

cable_restore 2
mpiod_wait 1
timeout "$WAIT" qemu-io -f raw -c 'write -P 7 0 4k' -c 'read -P 7 0 4k' "$uri"
assert_eq "$(js '.luns[0].failing')" false "no_path_timeout begins anew"

# out for less than that: it waits, and succeeds
cable_reset 2
mpiod_wait 0
sed -i 's/^no_path_timeout = 3$/no_path_timeout = queue/' "$T/mpiod.conf"
ctl reload
spawn reader qemu-io -f raw -c 'read -P 7 0 4k' "$uri"
sleep 4
alive reader || fail "it did not wait: $(cat "$T/reader.log")"
cable_restore 2
wait "${PID[reader]}" || fail "the read that waited: $(cat "$T/reader.log")"

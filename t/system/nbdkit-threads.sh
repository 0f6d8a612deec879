#!/bin/bash
# Under ThreadSanitizer: many of nbdkit's threads on the plugin's one, with failover, reload, connections that come and go, and an end under load.
# SPDX-License-Identifier: MIT
TSAN_B=${TSAN_B:-$(cd "$(dirname "$0")/../.." && pwd)/build-tsan}
PLUGIN=$TSAN_B/nbdkit-mpio-plugin.so
[ -e "$PLUGIN" ] || { echo "SKIPPED: $PLUGIN is not built (make check does)"; exit 77; }
. "$(dirname "$0")/../nbdkit.sh"
[[ $SANITIZER == *libtsan* ]] || fail "$PLUGIN was built without ThreadSanitizer"

san_up 2
tgt_lun 2 32M
tgta --mode logicalunit --op update --tid 1 --lun 1 --params thin_provisioning=1
LUN1=naa.60000000000000000e00000000010001
conf 'probation = off'
kit_up -t 16 "$PLUGIN" "config=$T/mpiod.conf"
mpiod_wait 2 "$LUN1"
load_start "$(uri "$LUN1")" --mix --depth 16 --connections 4 --size-limit 8M
load_progress
for i in 1 2 3 4 5 6; do
	nbdinfo --list "nbd+unix://?socket=$NBD" >/dev/null
	nbdinfo --map "$(uri "$LUN1")" >/dev/null
	[ $((i % 2)) = 0 ] || kill -HUP "${PID[nbdkit]}"
	if [ "$i" = 3 ]; then cable_reset 1; fi
	load_progress
done
mpiod_wait 1 "$LUN1"
cable_restore 1
mpiod_wait 2 "$LUN1"
load_ok "threads"
load_end
# the end comes while requests are inside
nbdcopy "$(uri "$LUN1")" null: >"$T/copy.log" 2>&1 &
copy=$!
sleep 0.1
status=0
stop nbdkit || status=$?
wait "$copy" || true
# nbdkit before 1.33.10 asserts that the client it has just cut off still listens
if [ "$status" = 134 ] && grep -q 'raw_send_socket: Assertion' "$T/nbdkit.log"; then
	say "nbdkit's own assertion"
else
	assert_eq "$status" 0 "exit status of nbdkit"
fi
if grep -q 'WARNING: ThreadSanitizer' "$T/nbdkit.log"; then fail "ThreadSanitizer found something"; fi

#!/bin/bash
# mpioctl restart: 20 times under the verified load of a libnbd client and of QEMU, with no error; a configuration that the new program
# does not take, or one that is gone, leaves the old one serving.
. "$(dirname "$0")/../lib.sh"

san_up 2
conf 'probation = off'
mpiod_up
mpiod_wait 2
LUN=$(lun_name)
pid=${PID[mpiod]}
load_start "$(uri "$LUN")" --mix --depth 16 --connections 4 --size-limit 16M
load_progress
if command -v qemu-io >/dev/null; then
	# shellcheck disable=SC2016 # the inner shell expands it
	spawn qemu setsid bash -c 'trap "kill 0" EXIT; while :; do echo "write -P 0x42 40M 256k"; echo "read -P 0x42 40M 256k"; sleep 0.02; done |
		qemu-io -f raw "$1" & wait' - "$(uri "$LUN")"
	until_true "QEMU reads" grep -q 'read 262144' "$T/qemu.log"
fi
for i in $(seq 20); do
	assert_contains "$(ctl restart -t "$WAIT")" restarted "mpioctl restart"
	assert_eq "$(js .restarts)" "$i" "restarts"
	mpiod_wait 2
	load_progress 20
done
load_ok "20 restarts"
kill -0 "$pid" || fail "the daemon has another process id"
if [ -n "${PID[qemu]:-}" ]; then
	alive qemu || fail "qemu-io ended: $(tail -n 5 "$T/qemu.log")"
	if grep -qi 'fail\|error' "$T/qemu.log"; then fail "qemu-io: $(grep -i 'fail\|error' "$T/qemu.log" | head -n 3)"; fi
	assert_gt "$(grep -c 'read 262144' "$T/qemu.log")" 20 "reads of QEMU"
	stop qemu || true
fi

# a configuration that the new program does not take
cp "$T/mpiod.conf" "$T/good.conf"
echo 'nonsense = 1' >>"$T/mpiod.conf"
assert_fails 1 ctl restart
assert_contains "$(cat "$T/out")" "would not start" "why it does not restart"
cp "$T/good.conf" "$T/mpiod.conf"
load_progress
load_ok "a restart that was refused"

# while no path is left requests can't be answered: it goes on as before, and nothing is lost
cable_reset 1
cable_reset 2
mpiod_wait 0
ctl restart -t 1 >"$T/out" 2>&1 && fail "it restarted with requests inside"
cable_restore 1
cable_restore 2
mpiod_wait 2
until_true "it has restarted, or gone on" mpiod_answers
load_progress
load_ok "a restart without a path"
load_end

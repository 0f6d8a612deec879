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
qemu_start "$(uri "$LUN")"
for i in $(seq 20); do
	assert_contains "$(ctl restart -t "$WAIT")" restarted "mpioctl restart"
	assert_eq "$(js .restarts)" "$i" "restarts"
	mpiod_wait 2
	load_progress 20
	qemu_progress 4
done
load_ok "20 restarts"
qemu_end
kill -0 "$pid" || fail "the daemon has another process id"

# a configuration that the new program does not take
cp "$T/mpiod.conf" "$T/good.conf"
echo 'nonsense = 1' >>"$T/mpiod.conf"
assert_fails 1 ctl restart
assert_contains "$(cat "$T/out")" "would not start" "why it does not restart"
cp "$T/good.conf" "$T/mpiod.conf"
load_progress
load_ok "a restart that was refused"

# a program that could not read what this one writes down
assert_fails 2 env MPIOD_HANDOVER_VERSION=999 "$MPIOD" -t -c "$T/mpiod.conf"
assert_contains "$(cat "$T/out")" "can't go on with the clients" "why not"

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

#!/bin/bash
# systemctl restart: the connections and listening sockets wait in the service manager's descriptor store; 10 restarts under load without an
# error. What the manager keeps is given back: nothing of a connection that has ended stays there.
. "$(dirname "$0")/../lib.sh"

san_up 2
conf 'probation = off'
spawn manager nsenter "--net=/run/netns/$NS-ini" /usr/bin/python3 "$TOP/t/tools/fake-manager.py" "$T/notify" \
	"$MPIOD" -f -c "$T/mpiod.conf"
until_true "mpiod answers" ctl status >/dev/null 2>&1
mpiod_wait 2
LUN=$(lun_name)
load_start "$(uri "$LUN")" --mix --depth 16 --connections 4 --size-limit 16M
load_progress
ended() { [ "$(grep -c '^ended 0 with' "$T/manager.log")" -ge "$1" ]; }
for i in $(seq 10); do
	kill -USR1 "${PID[manager]}"
	until_true "mpiod ends in order" ended "$i"
	until_true "the next one answers" js_is .restarts "$i"
	mpiod_wait 2
	load_progress 20
done
load_ok "10 restarts"
# listening socket, 4 connections, state
grep -q '^ended 0 with 6 descriptors' "$T/manager.log" || fail "kept: $(grep ^ended "$T/manager.log")"
load_end
# the clients have gone: only the listening socket and the state are left to keep
gone() { js_is '[.luns[].users] | add' 0; }
until_true "the connections are gone" gone
kill -USR1 "${PID[manager]}"
until_true "mpiod ends in order" ended 11
tail -n 30 "$T/manager.log" | grep -q '^ended 0 with 2 descriptors' || fail "kept: $(grep ^ended "$T/manager.log")"
until_true "the next one answers" js_is .restarts 11
stop manager || fail "mpiod ended with an error: $(tail -n 5 "$T/manager.log")"

#!/bin/bash
# systemctl restart: the connections and listening sockets wait in the service manager's descriptor store; 20 restarts under load without an
# error. What the manager keeps is given back: nothing of a connection that has ended stays there. A client that leaves while there is no
# mpiod is no trouble for the others, nor is a start that fails, or a configuration that is wrong for a while.
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
qemu_start "$(uri "$LUN")"
ended() { [ "$(grep -c '^ended 0 with' "$T/manager.log")" -ge "$1" ]; }
began() { [ "$(grep -c '^started with' "$T/manager.log")" -ge "$1" ]; }
down() {
	kill -USR2 "${PID[manager]}"
	until_true "mpiod ends in order" ended "$1"
}
# up RESTARTS WHAT: it starts and all goes on
up() {
	kill -USR1 "${PID[manager]}"
	goes_on "$@"
}
goes_on() {
	until_true "the next one answers" js_is .restarts "$1"
	mpiod_wait 2
	load_progress 20
	qemu_progress 4
	load_ok "$2"
}
for i in $(seq 20); do
	kill -USR1 "${PID[manager]}"
	until_true "mpiod ends in order" ended "$i"
	goes_on "$i" "restart $i"
done
# listening socket, 4 connections, QEMU's, state
grep -q '^ended 0 with 7 descriptors' "$T/manager.log" || fail "kept: $(grep ^ended "$T/manager.log")"

# clients that leave while there is no mpiod: each of the others keeps the socket that is its own
cat >"$T/idle.py" <<-'PY'
	import sys, time
	from nbdraw import ready
	conns = [ready(sys.argv[1], sys.argv[2].encode()) for _ in range(24)]
	print("open", flush=True)
	time.sleep(1000)
PY
users() { js_is '[.luns[].users] | add' "$1"; }
spawn idle /usr/bin/python3 -B "$T/idle.py" "$NBD" "$LUN"
until_true "24 idle clients" grep -q open "$T/idle.log"
until_true "they are there" users 29
down 21
stop idle || true
dropped() { [ "$(grep -c '^hung up' "$T/manager.log")" = 24 ]; }
until_true "the service manager drops them" dropped
up 21 "clients that left meanwhile"
until_true "those that stayed" users 5

# a start that fails: the next one has all that it needs
down 22
rm -f "$CTL"
mkdir "$CTL"
n=$(grep -c '^started with' "$T/manager.log")
kill -USR1 "${PID[manager]}"
until_true "it tries again" began $((n + 3))
rmdir "$CTL"
goes_on 22 "starts that failed"

# what it can do without; a wrong configuration is waited for
cp "$T/mpiod.conf" "$T/good.conf"
spawn port nsenter "--net=/run/netns/$NS-ini" /usr/bin/python3 -c \
	'import socket, time; s = [socket.create_server(("127.0.0.1", p)) for p in (9260, 9261)]; print("on", flush=True); time.sleep(1000)'
until_true "the ports are taken" grep -q on "$T/port.log"
down 23
sed -i 's/^log_level.*/&\nmetrics = tcp:127.0.0.1:9260/; s/^listen = .*/&\nlisten = tcp:127.0.0.1:9261/' "$T/mpiod.conf"
echo 'nonsense = 1' >>"$T/mpiod.conf"
kill -USR1 "${PID[manager]}"
until_true "it waits" grep -q 'clients wait until it is right' "$T/manager.log"
sleep 2
sed -i '/^nonsense/d' "$T/mpiod.conf"
goes_on 23 "ports that are taken, a configuration that was wrong"
grep -q 'metrics: .*goes on without' "$T/manager.log" || fail "metrics: $(tail -n 20 "$T/manager.log")"
grep -q 'listen: .*clients that are there go on' "$T/manager.log" || fail "listen: $(tail -n 20 "$T/manager.log")"

# a second bad one, and it is told to end meanwhile: nothing is lost either
down 24
echo 'nonsense = 1' >>"$T/mpiod.conf"
n=$(grep -c 'clients wait until' "$T/manager.log")
kill -USR1 "${PID[manager]}"
waits() { [ "$(grep -c 'clients wait until' "$T/manager.log")" -gt "$n" ]; }
until_true "it waits" waits
down 25
cp "$T/good.conf" "$T/mpiod.conf"
up 24 "ended while it waited"

qemu_end
load_end
# the clients have gone: only the listening socket and the state are left to keep
until_true "the connections are gone" users 0
kill -USR1 "${PID[manager]}"
until_true "mpiod ends in order" ended 26
until_true "the next one answers" js_is .restarts 25
grep '^ended 0' "$T/manager.log" | tail -n 1 | grep -q 'with 2 descriptors' || fail "kept: $(grep ^ended "$T/manager.log")"
stop manager || fail "mpiod ended with an error: $(tail -n 5 "$T/manager.log")"

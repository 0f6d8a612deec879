#!/bin/bash
# The service manager hears READY=1, WATCHDOG=1, RELOADING=1 and STOPPING=1 when it should.
. "$(dirname "$0")/../lib.sh"

cat >"$T/listen.py" <<-'PY'
	import socket, sys
	s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
	s.bind(sys.argv[1])
	while True:
	    print(s.recv(4096).decode(), flush=True)
PY
spawn notify /usr/bin/python3 "$T/listen.py" "$T/notify"
until_true "the stand-in listens" test -S "$T/notify"
heard() { grep -q "^$1" "$T/notify.log"; }
times() { [ "$(grep -c "^$1" "$T/notify.log")" -ge "$2" ]; }

san_up 1
conf
MPIOD_ENV=("NOTIFY_SOCKET=$T/notify" WATCHDOG_USEC=2000000)
mpiod_up
until_true "READY=1" heard READY=1
until_true "WATCHDOG=1, and again" times WATCHDOG=1 3
kill -HUP "${PID[mpiod]}"
until_true "RELOADING=1" heard RELOADING=1
until_true "RELOADING=1 with its time" heard MONOTONIC_USEC=
until_true "READY=1 once more" times READY=1 2
mpiod_wait 1
mpiod_down
until_true "STOPPING=1" heard STOPPING=1

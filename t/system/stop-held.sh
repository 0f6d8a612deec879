#!/bin/bash
# Requests that are held when the daemon ends, by SIGTERM or by SIGKILL, get no answer: the connection closes, and who asked (mpio-attach, for
# one) asks the next process. An error here would be one for the file system above.
. "$(dirname "$0")/../lib.sh"

cat >"$T/held.py" <<'PY'
"""held.py SOCKET EXPORT: a READ, a WRITE, a FLUSH and a WRITE_ZEROES; prints how many bytes of answers come before the end."""
import sys
from nbdraw import ready, reply, request, take

s = ready(sys.argv[1], sys.argv[2].encode())
s.settimeout(None)
request(s, 0, 0, 4096)
assert reply(s) == 0, "the first READ"
take(s, 4096)
print("connected", flush=True)
sys.stdin.readline()
request(s, 0, 0, 4096)
request(s, 1, 8192, 4096, b"w" * 4096)
request(s, 3, 0, 0)
request(s, 6, 131072, 4096)
print("asked", flush=True)
got = b""
try:
    while part := s.recv(65536):
        got += part
except ConnectionError:
    pass
print(f"{len(got)} bytes {got[:64].hex()}", flush=True)
PY

says() { grep -q "^$1" "$T/held.log"; }
# writes that wait for a path; a flush waits for the writes before it
all_wait() { [ "$(js '.luns[0].queued + .luns[0].waiting')" -ge 3 ]; }

san_up 2
conf 'no_path_timeout = queue' 'probation = off'
for signal in TERM KILL; do
	mpiod_up
	mpiod_wait 2
	rm -f "$T/go" "$T/held.log"
	mkfifo "$T/go"
	/usr/bin/python3 -B "$T/held.py" "$NBD" "$(lun_name)" <"$T/go" >"$T/held.log" 2>&1 &
	PID["held"]=$!
	exec {go}>"$T/go"
	until_true "the client is connected" says connected
	cable_reset 1
	cable_reset 2
	mpiod_wait 0
	echo >&"$go"
	until_true "the client has asked" says asked
	until_true "its requests wait" all_wait
	stop mpiod "$signal" || [ "$signal" = KILL ] || fail "mpiod ended with $?"
	wait "${PID[held]}" || fail "the client: $(cat "$T/held.log")"
	unset "PID[held]"
	exec {go}>&-
	assert_eq "$(tail -n 1 "$T/held.log")" "0 bytes " "answers after SIG$signal"
	cable_restore 1
	cable_restore 2
done

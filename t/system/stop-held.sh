#!/bin/bash
# Requests that are held when the daemon ends, by SIGTERM or by SIGKILL, get no answer: the connection closes, and who asked (mpio-attach, for
# one) asks the next process. An error here would be one for the file system above.
. "$(dirname "$0")/../lib.sh"

cat >"$T/held.py" <<'PY'
"""held.py SOCKET EXPORT: a READ, a WRITE, a FLUSH and a WRITE_ZEROES; prints how many bytes of answers come before the end."""
import socket, struct, sys

def take(n):
    b = b""
    while len(b) < n:
        part = s.recv(n - len(b))
        if not part:
            raise EOFError
        b += part
    return b

s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
export = sys.argv[2].encode()
assert take(18) == b"NBDMAGICIHAVEOPT\0\3"
s.sendall(struct.pack(">I", 3) + b"IHAVEOPT" + struct.pack(">II", 1, len(export)) + export)  # EXPORT_NAME, no zeroes
take(10)

def ask(kind, offset, length, payload=b""):
    s.sendall(struct.pack(">IHHQQI", 0x25609513, 0, kind, kind, offset, length) + payload)

ask(0, 0, 4096)
assert take(16 + 4096)[:8] == bytes.fromhex("6744669800000000"), "the first READ"
print("connected", flush=True)
sys.stdin.readline()
ask(0, 0, 4096)
ask(1, 8192, 4096, b"w" * 4096)
ask(3, 0, 0)
ask(6, 131072, 4096)
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
	/usr/bin/python3 "$T/held.py" "$NBD" "$(lun_name)" <"$T/go" >"$T/held.log" 2>&1 &
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

#!/bin/bash
# Whatever the NBD protocol forbids gets the answer that the protocol says, and costs nobody else anything: illegal requests and options,
# lengths that lie, names of 4097 bytes, handshakes that take too long, more connections than there may be.
. "$(dirname "$0")/../lib.sh"
/usr/bin/python3 -c 'import nbd' 2>/dev/null || skip "without python3-libnbd"

net_up 2
tt_up --lun 1:64 --lun 2:64 --lun 3:16
conf 'probation = off'
sed -i '/^log_level/a max_connections = 60' "$T/mpiod.conf"
cat >>"$T/mpiod.conf" <<-CONF
	[lun disk]
	id = naa.60014050000000000000000000000001
	[lun archive]
	id = naa.60014050000000000000000000000002
	read_only = yes
	[lun neighbour]
	id = naa.60014050000000000000000000000003
CONF
mpiod_up
mpiod_wait 2 disk
mpiod_wait 2 archive
mpiod_wait 2 neighbour
load_start "$(uri neighbour)" --mix --depth 4 --size-limit 8M
load_mark begin

timeout "$WAIT" "$TOP/t/tools/nbd-illegal.py" "$NBD" disk archive || fail "see above"
load_ok "the neighbour of illegal clients"

# the cap: one too many is closed at once, the others stay, and a place that is free is given again
/usr/bin/python3 - "$NBD" <<'PY'
import socket, sys, time
def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(sys.argv[1])
    try:
        n = len(s.recv(18))
        if n == 18:  # in transmission: a handshake would give way to a newcomer after a second
            s.sendall(b"\0\0\0\3IHAVEOPT\0\0\0\1\0\0\0\x09neighbour")
            s.recv(10)
        return s, n
    except ConnectionError:
        return s, 0
open_ = [connect() for _ in range(60)]
full = [n for s, n in open_]
time.sleep(1.2)  # the log takes so many lines a second
assert connect()[1] == 0, "one too many was let in"
assert full.count(18) >= 50, full
open_[0][0].close()
for _ in range(200):
    if connect()[1] == 18:
        break
else:
    raise SystemExit("a place that was free was not given again")
PY
log_has 'no more are allowed' || fail "the log does not tell of the connection that was refused"
load_progress
load_ok "the neighbour of too many clients"
load_end
mpiod_down
tt_down

#!/bin/bash
# Sockets that systemd made (LISTEN_FDS): mpiod serves those that are a listen of its own, a client that came first is served as soon as
# mpiod runs, the socket file stays when it stops, over mpioctl restart too; those that are no listen are closed.
. "$(dirname "$0")/../lib.sh"
command -v systemd-socket-activate >/dev/null || skip "no systemd-socket-activate"
/usr/bin/python3 -c 'import nbd' 2>/dev/null || skip "without python3-libnbd"

net_up 1
tt_up --lun 1:16
conf 'probation = off'
sed -i "/^listen/a listen = tcp:127.0.0.1:10809\nlisten = tcp:[::1]:10809\nlisten = unix:$T/own.sock" "$T/mpiod.conf"
printf '[lun disk]\nid = naa.60014050000000000000000000000001\n' >>"$T/mpiod.conf"

# activated [NAME...]: sockets are made; mpiod starts with the first client
activated() {
	spawn mpiod nsenter "--net=/run/netns/$NS-ini" systemd-socket-activate "$@" -l "$NBD" -l 127.0.0.1:10809 -l '[0:0::1]:10809' \
		-l 127.0.0.1:10999 -E "ASAN_OPTIONS=${ASAN_OPTIONS:-}" "$MPIOD" -f -c "$T/mpiod.conf"
	until_true "the sockets are there" test -S "$NBD"
}
size() { on ini nbdinfo --size "$1"; }
sizes() { # of each way in
	local u
	for u in "$(uri disk)" nbd://127.0.0.1/disk 'nbd://[::1]/disk' "nbd+unix:///disk?socket=$T/own.sock"; do
		assert_eq "$(size "$u")" $((16 << 20)) "the size by $u"
	done
}
ino() { stat -c %i "$NBD"; }

activated
file=$(ino)
[ ! -S "$CTL" ] || fail "mpiod runs before anybody came"
on ini /usr/bin/python3 - "$NBD" <<'PY' &
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.settimeout(60)
s.connect(sys.argv[1])
assert s.recv(8) == b"NBDMAGIC"
PY
first=$!
until_true "mpiod runs" mpiod_answers
wait "$first" || fail "the client that came first was not served"
mpiod_wait 1 disk
sizes
log_has 'are in no listen' || fail "the socket that is no listen was not told of"
if on ini bash -c 'echo >/dev/tcp/127.0.0.1/10999' 2>/dev/null; then fail "a socket that is no listen is open"; fi
assert_eq "$(ino)" "$file" "the socket file"
say "the sockets of the service manager are served"

# the next program has them from mpiod; the clients stay
load_start "$(uri disk)" --mix --depth 4 --size-limit 4M
load_mark begin
for i in 1 2 3; do
	assert_contains "$(ctl restart -t "$WAIT")" restarted "mpioctl restart"
	mpiod_wait 1 disk
	load_progress 20
done
load_ok "3 restarts"
load_end
sizes
mpiod_down
assert_eq "$(ino)" "$file" "the socket file, after mpiod has stopped"
[ ! -e "$T/own.sock" ] || fail "a socket of mpiod's own was left behind"
say "restarts keep them, and a stop leaves their files"

# a reload closes what is no listen any more, and leaves the file
rm "$NBD"
activated
size "$(uri disk)" >/dev/null 2>&1 || true
until_true "mpiod runs" mpiod_answers
mpiod_wait 1 disk
sed -i "s,^listen = unix:$NBD,listen = unix:$T/other.sock," "$T/mpiod.conf"
ctl reload >/dev/null
[ -S "$NBD" ] || fail "the file of a socket of the service manager was removed"
assert_eq "$(size "nbd+unix:///disk?socket=$T/other.sock")" $((16 << 20)) "the size by the new listen"
mpiod_down
rm "$NBD"

# descriptors for another process are none of ours
conf 'probation = off'
printf '[lun disk]\nid = naa.60014050000000000000000000000001\n' >>"$T/mpiod.conf"
MPIOD_ENV=(LISTEN_FDS=2 LISTEN_PID=1)
mpiod_up
mpiod_wait 1 disk
size "$(uri disk)" >/dev/null
[ -S "$NBD" ] || fail "no socket of its own"
mpiod_down
tt_down

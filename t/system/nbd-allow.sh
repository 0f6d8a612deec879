#!/bin/bash
# Who may connect: unix sockets by mode and group, TCP by address (allow), refused before a byte is said; what a reload changes holds
# from then on.
. "$(dirname "$0")/../lib.sh"

net_up 1
tt_up --lun 1:16
SECTION=$'[lun disk]\nid = naa.60014050000000000000000000000001'
# config LINE...: for [mpiod]
config() {
	conf 'probation = off'
	printf '%s\n' "$SECTION" >>"$T/mpiod.conf"
	for line in 'listen = tcp:0.0.0.0:10809' 'listen = tcp:[::]:10809' 'listen_insecure = yes' "$@"; do
		sed -i "/^control/a $line" "$T/mpiod.conf"
	done
}
# greeted FROM TO: how many bytes one from this address is greeted with
greeted() {
	on ini /usr/bin/python3 - "$1" "$2" <<-'PY'
		import socket, sys
		s = socket.create_connection((sys.argv[2], 10809), 60, (sys.argv[1], 0))
		try:
		    print(len(s.recv(18)))
		except ConnectionError:
		    print(0)
	PY
}
may() { assert_eq "$(greeted "$1" "$2")" 18 "$1 is let in"; }
may_not() { assert_eq "$(greeted "$1" "$2")" 0 "$1 is let in"; }
# by_unix USER-OPTIONS...: a client of another user
by_unix() { setpriv "$@" --reuid 4711 --clear-groups /usr/bin/python3 -c 'import socket, sys
s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect(sys.argv[1]); assert s.recv(8) == b"NBDMAGIC"' "$NBD" 2>"$T/err"; }
reload() { ctl reload >/dev/null || fail "reload"; }

config 'allow = 127.0.0.2' 'allow = 127.0.1.0/24' 'allow = 10.77.1.0/30' 'listen_mode = 0660' 'listen_group = 4242'
mpiod_up
mpiod_wait 1 disk
may 127.0.0.2 127.0.0.1
may 127.0.1.200 127.0.0.1
may 10.77.1.1 10.77.1.1
may_not 127.0.0.1 127.0.0.1
may_not 127.0.0.3 127.0.0.1
may_not 127.0.2.1 127.0.0.1
may_not ::1 ::1
log_has 'connection from 127.0.0.3 refused' || fail "the log does not tell who was refused"
assert_eq "$(on ini nbdinfo --size "$(uri disk)")" $((16 << 20)) "the unix socket asks nobody"

# one who is refused over and over is in nobody's way
load_start "$(uri disk)" --mix --depth 4 --size-limit 4M
load_mark begin
for _ in $(seq 20); do may_not 127.0.0.9 127.0.0.1; done
load_progress
load_ok "strangers at the door"
load_end

# the unix socket: mode and group
chmod 755 "$T"
assert_eq "$(stat -c '%a %g' "$NBD")" "660 4242" "mode and group of the socket"
by_unix --regid 4242 || fail "the group was not let in: $(cat "$T/err")"
if by_unix --regid 4243; then fail "another group was let in"; fi

# a reload: another list; then none, which with listen_insecure is everybody
config 'allow = ::1' 'allow = 127.0.0.3'
reload
may ::1 ::1
may 127.0.0.3 127.0.0.1
may_not 127.0.0.2 127.0.0.1
config
reload
may 127.0.0.2 127.0.0.1
may 10.77.1.1 10.77.1.1
may ::1 ::1

# values that are wrong change nothing
for line in 'allow = 127.0.0.1/8' 'allow = example.org' 'allow = ::1/129' 'listen_mode = 0888' 'listen_mode = 1777'; do
	config "$line"
	assert_fails 1 ctl reload
	assert_contains "$(cat "$T/out")" "${line%% *}" "what the reload says"
done
config 'listen_group = no-such-group'
assert_fails 1 ctl reload
assert_contains "$(cat "$T/out")" "no group no-such-group" "what the reload says"
may 127.0.0.2 127.0.0.1
mpiod_down
tt_down

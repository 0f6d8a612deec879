#!/bin/bash
# reservation_key: each path registers before it is used and again after each login; two daemons with keys of their own share a
# LUN; a third without a key may not write, and is told so; nobody loses a registration to another's fence.
. "$(dirname "$0")/../lib.sh"

# Three daemons on one host: a and b with a key, c without. of NAME COMMAND...: with the files of that one.
of() {
	local T_CTL=$CTL T_NBD=$NBD status=0
	CTL=$T/$1.sock NBD=$T/$1.nbd
	"${@:2}" || status=$?
	CTL=$T_CTL NBD=$T_NBD
	return "$status"
}
daemon_up() { # NAME KEY
	{
		conf_head | sed "s/test:ini/test:$1/"
		conf_target t1 1 1 2
		printf '[defaults]\nprobation = off\nverify_interval = 1\n'
		[ -z "$2" ] || printf 'reservation_key = %s\n' "$2"
	} >"$T/$1.conf"
	spawn "mpiod-$1" nsenter "--net=/run/netns/$NS-ini" "$MPIOD" -f -c "$T/$1.conf"
	until_true "mpiod $1 answers" ctl status >/dev/null
	mpiod_wait 2
}
daemon_down() {
	local status=0
	stop "mpiod-$1" || status=$?
	assert_eq "$status" 0 "exit status of mpiod $1"
}
reservations() { ctl --json reservations; }
keys() { reservations | jq '.luns[0].keys | length'; }
ours() { reservations | jq '[.luns[0].keys[] | select(.path)] | length'; }
keys_are() { [ "$(keys) $(ours)" = "$1 $2" ]; }
first_key() { reservations | jq -r '.luns[0].keys[] | select(.path | strings | contains("10.77.1.2")) | .key'; }
key_differs() { [ -n "$(first_key)" ] && [ "$(first_key)" != "$1" ]; }
write_to() { "$NBD_LOAD" --uri "$(uri "$(lun_name)")" --depth 4 --seconds 2 --size-limit 8M "$@"; }

san_up 2
of a daemon_up a a1
of a until_true "both paths of a are registered" of a keys_are 2 2
assert_eq "$(of a reservations | jq -r '.luns[0] | "\(.held) \(.type)"')" "true write exclusive, all registrants" "what a holds"
of b daemon_up b b2
of b until_true "b sees four keys, two of its own" of b keys_are 4 2
of a until_true "a sees four keys, two of its own" of a keys_are 4 2

# both write, each in its turn (they know nothing of each other's caches, but neither has one)
of a write_to --seed 1 >"$T/out" || fail "a can't write beside b: $(cat "$T/out")"
of b write_to --seed 2 >"$T/out" || fail "b can't write beside a: $(cat "$T/out")"

# a session of a is thrown out: it registers again, with another key, and b keeps its own
old=$(of a first_key)
[ -n "$old" ] || fail "no key of cable 1 in: $(of a reservations)"
cable_reset 1
of a mpiod_wait 1
cable_restore 1
of a mpiod_wait 2
of a until_true "a new key over cable 1" of a key_differs "$old"
of b mpiod_wait 2
of a until_true "four keys again: the old ones were preempted or replaced" of a keys_are 4 2
of a write_to --seed 3 >"$T/out" || fail "a can't write after its path came back: $(cat "$T/out")"
of b write_to --seed 4 >"$T/out" || fail "b can't write after its path came back: $(cat "$T/out")"

# c has no key: it sees who holds the disk, and its writes are refused, never retried elsewhere (tgt refuses reads, too)
of c daemon_up c ""
of c until_true "c sees four keys, none of its own" of c keys_are 4 0
c_io() {
	/usr/bin/python3 - "$(uri "$(lun_name)")" <<-'PY'
		import errno, nbd, sys
		h = nbd.NBD()
		h.connect_uri(sys.argv[1])
		try:
		    h.pwrite(b"c" * 4096, 0)
		except nbd.Error as e:
		    print(errno.errorcode[e.errnum])
		else:
		    print("written")
	PY
}
if /usr/bin/python3 -c 'import nbd' 2>/dev/null; then
	assert_eq "$(of c c_io)" EIO "a write without a key"
	of c event io-error 'reservation conflict' || fail "no event names the conflict: $(of c ctl events)"
fi
of c ctl reservations >"$T/out"
grep -q "write exclusive, all registrants" "$T/out" || fail "mpioctl reservations says: $(cat "$T/out")"

# who stops gives its registrations up, and the last one the reservation
daemon_down b
of a until_true "a sees its own two keys only" of a keys_are 2 2
daemon_down a
of c until_true "nobody is registered any more" of c keys_are 0 0
of c write_to --seed 5 >"$T/out" || fail "c can't write though nobody holds the disk: $(cat "$T/out")"
daemon_down c

# a key that is given or taken away by a reload waits for the next start: half of the paths with a key would lock out the others
of a daemon_up a ""
echo 'reservation_key = a1' >>"$T/a.conf"
of a ctl reload >"$T/out"
of a event reservation-key 'takes effect at the next start' || fail "no event tells when the key takes effect"
cable_reset 1
of a mpiod_wait 1
cable_restore 1
of a mpiod_wait 2
of a write_to --seed 6 >"$T/out" || fail "a can't write after a reload and a new login: $(cat "$T/out")"
daemon_down a

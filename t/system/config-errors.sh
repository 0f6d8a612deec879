#!/bin/bash
# mpiod -t accepts a good file, and lists every error of a bad one as FILE:LINE; a bad one never starts.
. "$(dirname "$0")/../lib.sh"

NCABLES=2
conf
"$MPIOD" -t -c "$T/mpiod.conf" || fail "a good file is refused"
"$MPIOD" -t -c "$TOP/mpiod.conf.example" || fail "the example is refused"

cat >"$T/bad.conf" <<-BAD
	[mpiod]
	log_levl = info
	listen = /no/scheme
	[target t]
	portal = 10.0.0.1:99999
	[defaults]
	probe_timeout = soon
	[lum x]
	id = naa.5
BAD
assert_fails 2 "$MPIOD" -t -c "$T/bad.conf"
for want in ":2: .*log_levl.*log_level" ":3: .*listen" ":4: .*iqn" ":5: .*portal.*99999" \
	":7: .*probe_timeout.*soon" ":8: .*lum"; do
	grep -q "bad.conf$want" "$T/out" || fail "no '$want' in: $(cat "$T/out")"
done
assert_fails 2 "$MPIOD" -f -c "$T/bad.conf"
[ "$(grep -c 'bad.conf:[0-9]*:' "$T/out")" -ge 6 ] || fail "not all of it at the start: $(cat "$T/out")"
assert_fails 2 "$MPIOD" -t -c "$T/nonexistent"
assert_contains "$(cat "$T/out")" "nonexistent"
assert_fails 2 "$MPIOD" --nonsense
"$MPIOD" --version | grep -q '^mpiod [0-9]' || fail "--version"
"$MPIOD" --help >/dev/null
assert_fails 3 ctl status
assert_fails 2 ctl nonsense

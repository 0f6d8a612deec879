#!/bin/bash
# The iSCSI initiator alone: logins, CHAP both ways, discovery, digests, and every way a session can end.
set -eu
cd "$(dirname "$0")/../.."

tmp=$(mktemp -d) && tgt='' out=''
cleanup() {
	[ -z "$tgt" ] || { kill -CONT "$tgt"; kill -9 "$tgt"; wait "$tgt"; } 2>/dev/null || true
	rm -rf "$tmp"
}
trap cleanup EXIT
for c in tgtd tgtadm unshare; do
	command -v $c >/dev/null || { echo "no $c"; exit 77; }
done
[ "$(id -u)" = 0 ] || { echo "needs root for tgtd"; exit 77; }

# make check builds it with sanitizers: half of this is about memory nobody may touch any more.
probe=${B:-build}/tools/iscsi-probe
[ -x "$probe" ] || { echo "$probe is not built"; exit 1; }

portal=127.0.0.1:4312
iqn=iqn.2026-01.t
T="tgtadm -C 31 --lld iscsi"

target_up() {
	mkdir -p /run/tgtd
	truncate -s 64M "$tmp/disk"
	tgtd -C 31 -f --iscsi portal=$portal >"$tmp/tgtd.log" 2>&1 &
	tgt=$!
	for _ in $(seq 50); do
		$T --mode target --op show >/dev/null 2>&1 && break
		sleep 0.1
	done
	for tid in 1 2 3; do
		$T --mode target --op new --tid $tid --targetname $iqn:d$tid
		$T --mode logicalunit --op new --tid $tid --lun 1 --backing-store "$tmp/disk"
		$T --mode target --op bind --tid $tid --initiator-address ALL
	done
	$T --mode account --op new --user alice --password alices-secret1
	$T --mode account --op new --user target --password targets-secret
	$T --mode account --op bind --tid 2 --user alice
	$T --mode account --op bind --tid 3 --user alice
	$T --mode account --op bind --tid 3 --user target --outgoing
}

target_down() {
	kill -9 "$tgt"
	wait "$tgt" 2>/dev/null || true
	tgt=''
}

# expect CODE WORDS... -- ARGS: the probe's exit code, and lines it must print
expect() {
	local code=$1 rc=0 words=()
	shift
	while [ "$1" != -- ]; do words+=("$1"); shift; done
	shift
	out=$(timeout 60 "$probe" --portal $portal "$@" 2>&1) || rc=$?
	check "$code" "$rc" "$*" "${words[@]}"
}

check() {
	local code=$1 rc=$2 what=$3 w
	shift 3
	[ "$rc" = "$code" ] || fail "$what: exit $rc, expected $code"
	for w in "$@"; do
		grep -qF -- "$w" <<<"$out" || fail "$what: does not say '$w'"
	done
	[ "$(grep -c ^lost <<<"$out")" -le 1 ] || fail "$what: lost more than once"
}

fail() {
	echo "$*"
	echo "$out"
	exit 1
}

# background ARGS: the probe with a load that does not end; wait for it with finish CODE WORDS...
background() {
	timeout 60 "$probe" --portal $portal --iqn $iqn:d1 "$@" >"$tmp/out" 2>&1 &
	bg=$!
	for _ in $(seq 100); do
		grep -q '^mode' "$tmp/out" && break
		sleep 0.05
	done
	sleep 0.3
}

finish() {
	local code=$1 rc=0
	shift
	wait $bg || rc=$?
	out=$(cat "$tmp/out")
	check "$code" $rc background "$@"
}

# Answers that arrived together with the end are still delivered, so it may be fewer than 32.
in_flight() {
	grep -q 'in flight [1-9]' <<<"$out" || fail "nothing was in flight"
}

target_up

# plain
expect 0 "lun 0001" "pong" "id naa." "capacity 131072 x 512" -- --iqn $iqn:d1 --writes 2000 --reads 4000 --logout
expect 2 "lost login: target not found (0203)" -- --iqn $iqn:nosuch
expect 2 "lost connect: Connection refused" -- --portal 127.0.0.1:4319 --iqn $iqn:d1

# CHAP
for f in alices-secret1 targets-secret wrong-secret-12; do echo $f >"$tmp/$f"; done
alice=(--user alice --secret-file "$tmp/alices-secret1")
expect 0 capacity -- --iqn $iqn:d2 "${alice[@]}" --reads 10
expect 2 "lost login: authentication failed (0201)" -- --iqn $iqn:d2 --user alice --secret-file "$tmp/wrong-secret-12"
expect 2 "lost login:" -- --iqn $iqn:d2
expect 0 capacity -- --iqn $iqn:d3 "${alice[@]}" --mutual-user target --mutual-secret-file "$tmp/targets-secret" --reads 10
expect 2 "lost login:" -- --iqn $iqn:d3 "${alice[@]}" --mutual-user target --mutual-secret-file "$tmp/wrong-secret-12"
expect 2 "lost login:" -- --iqn $iqn:d2 "${alice[@]}" --mutual-user target --mutual-secret-file "$tmp/targets-secret"
! grep -q secret <<<"$out" || fail "a secret was printed"

# discovery
expect 0 "target $iqn:d1 at $portal" "target $iqn:d3 at $portal" -- --discover
expect 2 "discovery failed: Connection refused" -- --portal 127.0.0.1:4319 --discover

# header digest: tgt has to be told; a target that says no is refused, not talked to without
expect 2 "HeaderDigest=CRC32C" -- --iqn $iqn:d1 --digest
$T --mode target --op update --tid 1 --name HeaderDigest --value None,CRC32C
expect 0 capacity -- --iqn $iqn:d1 --digest --writes 500 --reads 500
expect 0 capacity -- --iqn $iqn:d1 --writes 500 --reads 500

# nobody answers: not the SYN (a cable with nobody at its end), not the login
rc=0
out=$(unshare -n sh -c "ip link add v0 type veth peer name v1; ip addr add 10.99.0.1/24 dev v0
	ip link set v0 up; ip link set v1 up; ip neigh add 10.99.0.2 lladdr 02:00:00:00:00:02 dev v0
	$probe --portal 10.99.0.2:3260 --iqn $iqn:d1 --timeout 300" 2>&1) || rc=$?
check 2 $rc "black hole" "lost connect: no connection within 300 ms"
kill -STOP "$tgt"
expect 2 "lost login: no login within 300 ms" -- --iqn $iqn:d1 --timeout 300
expect 2 "discovery failed: no login within 300 ms" -- --discover --timeout 300
kill -CONT "$tgt"

# 200 logins one after the other, each killed; the sanitizer counts what they leave behind
expect 0 capacity -- --iqn $iqn:d1 --cycles 200 --reads 10

# an interface of one's own, and one there is not
expect 0 capacity -- --iqn $iqn:d1 --interface lo --reads 10
expect 2 "can't bind to interface nosuch0" -- --iqn $iqn:d1 --interface nosuch0

# the target kicks the session
background --writes 100000000
sid=$($T --mode conn --op show --tid 1 | sed -n 's/^Session: //p' | head -1)
$T --mode conn --op delete --tid 1 --sid "$sid" --cid 0
finish 3 "lost closed:"
in_flight

# the path is given up with writes in flight while the target stands still, and freed; then it wakes
background --writes 100000000 --kill-ms 900
kill -STOP "$tgt"
finish 0 "killed with 32 in flight"
kill -CONT "$tgt"
expect 0 capacity -- --iqn $iqn:d1 --reads 100

# the target dies
background --reads 100000000
target_down
finish 3 "lost closed:"
in_flight

# recovery: a new target, a new session
target_up
expect 0 capacity -- --iqn $iqn:d1 --writes 100 --reads 100
echo "every login and every end as it should be"

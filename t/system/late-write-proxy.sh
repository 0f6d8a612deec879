#!/bin/bash
# A write held in the network while its path fails over never lands over a newer one; with fence = off it does.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../late.sh"

# Cable 1 leads to tgtd through a proxy that holds what comes from mpiod. W1 (0x11) stays in it and is acknowledged
# through cable 2; then comes W2 over it; then the proxy delivers. tgtd honours session reinstatement only with
# CHAP: target 1 is without, target 2 with. CASES="off:plain:same crash ..." picks cases.
HOLD=$T/hold.sock
NEAR=10.77.1.2:3261

# ---- the proxy ----

hold() { "$B/tools/hold-proxy" --ctl "$HOLD" "$@"; }
held() { [ "$(hold stats | jq .held_up)" -ge "$1" ]; }
tried_out() {
	[ "$(session_get 2 reinstatement)" = trusted ] && [ "$(hold status | jq '.connections | length')" = 1 ]
}
first_gone() { hold status | jq -e --argjson id "$FIRST" 'all(.connections[]; .id != $id)' >/dev/null; }

# ---- what is on the disk: runs of bytes of BASE .. BASE + 12k, as "11*4096 22*8192" ----

on_disk() {
	dd if="$T/disk-$TID-1" iflag=skip_bytes,count_bytes skip="$BASE" count=$((12 * KB)) status=none |
		od -An -v -tx1 -w1 | tr -d ' ' | uniq -c | awk '{ printf "%s%s*%d", n++ ? " " : "", $2, $1 }'
}
disk_is() { [ "$(on_disk)" = "$1" ]; }

# ---- a case ----

configure() { # METHOD TIMEOUT
	{
		conf_head
		printf '[target t]\niqn = %s%s\nportal = %s\nportal = %s\n' "$IQN" "$TID" "$NEAR" "$(portal 2)"
		[ "$TID" = 1 ] || printf 'chap_user = alice\nchap_secret_file = %s\n' "$T/secret"
		printf '[defaults]\npolicy = failover-only\nprobation = off\n'
		[ -z "$FENCES" ] || printf 'fence = %s\nfence_timeout = %s\n' "${1%+key}" "$2"
		[[ $1 != reservation && $1 != *+key ]] || printf 'reservation_key = c0ffee\n'
		printf '[lun disk]\nid = %s\npreferred = %s\n' "${IDS[$TID]}" "$NEAR"
	} >"$T/mpiod.conf"
}

# W1 is in the proxy, and acknowledged through the other path
w1_in_doubt() {
	local i bytes=0
	hold hold up >"$T/out"
	for i in "${!W1[@]}"; do
		ask "write w1.$i ${W1[i]} 0x11"
		bytes=$((bytes + 48)) # the header, which is all there is before the target asks for the rest
		[ "$METHOD" = solicited ] || bytes=$((bytes + ${W1[i]#* }))
	done
	until_true "W1 is held" held "$bytes"
	for i in "${!W1[@]}"; do answer "w1.$i"; done
}

# W2 waits; others do not
w2_waits() {
	ask "$W2"
	ask "read r $BASE $((12 * KB))"
	ask "write w3 $((BASE + 64 * KB)) 4096 0x33"
	answer r
	answer w3
	sleep 1
	if answered w2; then fail "W2 did not wait for the end of the doubt"; fi
}

# The proxy delivers, all of W1's session and its end, and the path returns
deliver() {
	hold release >"$T/out"
	until_true "the old connection is over (number $FIRST)" first_gone
	mpiod_wait 2 disk
}

# through a path that had no part in it
read_fresh() {
	ctl path disable "$(path_of 2 disk)" >"$T/out"
	until_true "only the fresh path is left" has_paths 1 disk
	ask "read fresh $BASE $((12 * KB))"
	answer fresh
	assert_eq "$(sed -n 's/^fresh ok [0-9]* //p' "$T/answers")" "$1" "read through the fresh path"
}

w2_stays() {
	sleep 0.3 # for what tgtd's threads still do
	assert_eq "$(on_disk)" "$RIGHT" "on the disk after the late delivery"
	read_fresh "$RIGHT"
	assert_eq "$(on_disk)" "$RIGHT" "on the disk at the end"
}

# ---- what a method promises ----

# Nothing: the late W1 is seen to destroy W2. (A test that can't see that sees nothing.)
promise_none() {
	w1_in_doubt
	ask "$W2"
	answer w2
	disk_is "$RIGHT" || fail "before the delivery: $(on_disk), expected $RIGHT"
	deliver
	until_true "the late W1 shows: $LATE" disk_is "$LATE"
	read_fresh "$LATE"
}

# W2 completes while the bytes are still held, and stays
promise_soon() {
	w1_in_doubt
	ask "$W2"
	answer w2
	deliver
	w2_stays
}

# W2 waits until the old session is over, and stays
promise_wait() {
	w1_in_doubt
	w2_waits
	deliver
	answer w2
	w2_stays
}

# The path is back by another way through the network while the old bytes are still held: its login ended the old session
promise_back() {
	w1_in_doubt
	w2_waits
	hold hold-new off >"$T/out"
	answer w2
	mpiod_wait 2 disk
	deliver
	w2_stays
}

# W2 waits for fence_timeout, no longer, and an error says what is at stake
promise_timeout() {
	w1_in_doubt
	w2_waits
	answer w2
	ctl --json events | jq -e '.events | any(.level == "error" and (.kind | test("fence")))' >/dev/null ||
		fail "no error tells that the wait was given up: $(ctl events)"
	deliver
}

# A stop in between: mpiod waits with it until the old session is over; what it was told by then is on the disk, and
# the next mpiod's W2 stays
promise_restart() {
	w1_in_doubt
	client_end
	kill -TERM "${PID[mpiod]}"
	sleep 1
	alive mpiod || fail "mpiod ended with writes in doubt: $(cat "$MPIOD_LOG")"
	grep -q "waiting until no write is in doubt" "$MPIOD_LOG" || fail "mpiod does not say what it waits for: $(tail -n 5 "$MPIOD_LOG")"
	hold release >"$T/out"
	until_true "the old connection is over" first_gone
	until_true "mpiod ends once nothing is in doubt" ended
	mpiod_down
	mpiod_up
	mpiod_wait 2 disk
	client_start
	ask "$W2"
	answer w2
	w2_stays
}
ended() { ! alive mpiod; }

# mpioctl restart waits in the same way, with the client connected: W2 waits, and stays
promise_exec() {
	local before
	before=$(js .restarts)
	w1_in_doubt
	"$MPIOCTL" -s "$CTL" restart >"$T/restart.out" 2>&1 &
	PID["restart"]=$!
	w2_waits
	assert_eq "$(js .restarts)" "$before" "restarts with writes in doubt"
	deliver
	answer w2
	wait "${PID["restart"]}" || fail "mpioctl restart: $(cat "$T/restart.out")"
	unset 'PID[restart]'
	assert_eq "$(js .restarts)" $((before + 1)) "restarts once nothing is in doubt"
	mpiod_wait 2 disk
	w2_stays
}

# mpiod is killed with W1 in the proxy, which holds on to it, and to what the next mpiod sends there
killed() {
	w1_in_doubt
	client_end
	stop mpiod KILL || true
	mpiod_up
	mpiod_wait 1 disk
	client_start
}
# The next mpiod knows of W1: W2 waits until the old session is over
promise_crash() {
	killed
	w2_waits
	deliver
	answer w2
	w2_stays
}
# Or is let go by a login that ended it, through the other portal
promise_crash-soon() {
	killed
	ask "$W2"
	answer w2
	deliver
	w2_stays
}
promise_crash-none() {
	killed
	ask "$W2"
	answer w2
	deliver
	until_true "the late W1 shows: $LATE" disk_is "$LATE"
}

run_case() { # METHOD TIMEOUT CHAP PROMISE SHAPE
	local begin=$SECONDS
	METHOD=$1 TID=1
	[ "$3" = plain ] || TID=2
	CASE=$((CASE + 1))
	BASE=$((CASE * 1024 * KB))
	"shape_$5"
	# so that nothing is mistaken for zeroes that were always there
	head -c $((128 * KB)) /dev/zero | tr '\0' '\356' |
		dd of="$T/disk-$TID-1" oflag=seek_bytes seek="$BASE" conv=notrunc status=none
	spawn proxy nsenter "--net=/run/netns/$NS-tgt" "$B/tools/hold-proxy" --listen "$NEAR" \
		--to "$(portal 1)" --control "$HOLD"
	until_true "the proxy listens" test -S "$HOLD"
	configure "$1" "$2"
	mpiod_up
	mpiod_wait 2 disk
	# where reinstatement works, the sessions that only try the target out come and go at once
	[ "$3" = plain ] || until_true "the target was tried out" tried_out
	FIRST=$(hold status | jq '.connections | min_by(.id) | .id')
	client_start
	"promise_$4"
	client_end
	mpiod_down
	stop proxy || true
	rm -f "$HOLD"
	say "ok $1, $3 target, $5: $4 ($((SECONDS - begin)) s)"
}

# ---- the table ----

each_shape() { # METHOD TIMEOUT CHAP PROMISE [SHAPE...]
	local head=("${@:1:4}") shape
	shift 4
	[ $# -gt 0 ] || set -- same partial trim zero several
	for shape in "$@"; do
		[ -z "${CASES:-}" ] || [[ " $CASES " == *" ${head[0]}:${head[2]}:$shape "* ]] ||
			[[ " $CASES " == *" ${head[3]} "* ]] || continue
		run_case "${head[@]}" "$shape"
	done
}

net_up 2
tgt_up
for tid in 1 2; do
	tgt_target a $tid
	tgt_lun 1 64M a $tid
	tgta --mode logicalunit --op update --tid $tid --lun 1 --params thin_provisioning=1
done
tgt_chap alice alice-secret-1 a 2
(umask 077 && echo alice-secret-1 >"$T/secret")

# the identifiers, and whether this mpiod knows fences at all
declare -A IDS=()
FENCES=
for TID in 1 2; do
	IDS[$TID]=naa.0
	configure off 15
	sed -i '/^\[lun/,$d' "$T/mpiod.conf"
	sed -i "s/^portal = $NEAR/portal = $(portal 1)/" "$T/mpiod.conf"
	mpiod_up
	mpiod_wait 2
	IDS[$TID]=$(js '.luns[0].id')
	mpiod_down
done
FENCES=1
configure off 15
"$MPIOD" -t -c "$T/mpiod.conf" >"$T/out" 2>&1 || FENCES=
CASE=0

#          method     timeout target promise
each_shape off        15      plain  none
each_shape off        15      chap   none same
if [ -z "$FENCES" ]; then
	say "this mpiod has no fences: only what happens without was tested"
	exit 0
fi
each_shape auto       60      chap   soon
each_shape auto       60      plain  wait
each_shape reservation 60     plain  soon
each_shape auto+key   60      chap   soon same
each_shape reinstate  60      chap   soon same
each_shape reinstate  60      plain  wait same # not honoured by this target: as hold
each_shape hold       60      chap   wait same
each_shape hold       60      plain  wait
each_shape hold       60      chap   back same
each_shape hold       60      plain  restart same partial
each_shape hold       60      plain  exec same
each_shape hold       3       plain  timeout same
each_shape off        15      plain  crash-none same
each_shape hold       60      plain  crash
each_shape auto       60      chap   crash-soon same partial
each_shape solicited  60      plain  soon
each_shape solicited  60      chap   soon same
[ "$CASE" -gt 0 ] || fail "no case is named in CASES=\"$CASES\""

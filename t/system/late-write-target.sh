#!/bin/bash
# A write that a stalled target holds while its path fails over is dead, or over, before a newer one to its blocks is sent: each
# method, each shape; what the target executed, and in which order, is asked of the target.
# shellcheck disable=SC2153 # LATE is late.sh's
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../late.sh"

# Both portals are in one group. The target holds W1 (0x11) of portal 0, the cable is cut, W1 is acknowledged through
# portal 1; then comes W2. CASES="auto:same ..." picks cases.
NAA=naa.60014050000000000000000000000001

configure() { # METHOD
	{
		conf_head
		conf_target t 1 1 2
		printf '[defaults]\npolicy = failover-only\nprobation = off\nfence = %s\nfence_timeout = 60\n' "${1%+key}"
		[[ $1 != reservation && $1 != *+key ]] || printf 'reservation_key = c0ffee\n'
		printf '[lun disk]\nid = %s\npreferred = %s\n' $NAA "$(portal 1)"
	} >"$T/mpiod.conf"
}
tried_out() { [ "$(session_get 2 reinstatement)" != unknown ]; }
on_disk() { tt_get .bytes "{\"do\":\"bytes\",\"lun\":1,\"offset\":$BASE,\"len\":$((12 * KB))}"; }
held_is() { [ "$(tt_get .held)" = "$1" ]; }
# WRITE(16) that portal 0 executed on these blocks
late_writes() {
	tt "{\"do\":\"log\",\"from\":$FROM}" | jq "[.log[] | select(.portal == 0 and .opcode == 138 and .lba >= $((BASE / 512)) and
		.lba < $(((BASE + 12 * KB) / 512)))] | length"
}

w1_in_doubt() {
	local i
	FROM=$(tt_get '[.executed[]] | add')
	tt "{\"do\":\"inject\",\"what\":\"$FATE\",\"portal\":0,\"opcode\":138,\"count\":0}" >/dev/null
	for i in "${!W1[@]}"; do ask "write w1.$i ${W1[i]} 0x11"; done
	[ "$FATE" != hold ] || until_true "the target holds W1" held_is ${#W1[@]}
	[ "$FATE" = hold ] || until_true "the target has W1" tasks_are ${#W1[@]}
	cable_cut_silent 1
	for i in "${!W1[@]}"; do answer "w1.$i"; done
}
tasks_are() { [ "$(tt_get .tasks)" -ge "$1" ]; }
w2_waits() {
	ask "$W2"
	ask "read r $BASE $((12 * KB))"
	ask "write w3 $((BASE + 64 * KB)) 4096 0x33"
	answer r
	answer w3
	sleep 0.5
	if answered w2; then fail "W2 did not wait for the end of the doubt"; fi
}
release() { tt '{"do":"release"}' >/dev/null; }
w2_stays() {
	assert_eq "$(on_disk)" "$RIGHT" "on the disk"
	cable_restore 1
	mpiod_wait 2 disk
	assert_eq "$(on_disk)" "$RIGHT" "on the disk when the path is back"
}

# Nothing is promised: the late W1 is seen to destroy W2
promise_none() {
	w1_in_doubt
	ask "$W2"
	answer w2
	assert_eq "$(on_disk)" "$RIGHT" "on the disk before the late W1"
	release
	assert_eq "$(on_disk)" "$LATE" "on the disk after the late W1"
	cable_restore 1
}
# W1 is killed in the target, W2 goes on while the cable is still cut
promise_killed() {
	w1_in_doubt
	ask "$W2"
	answer w2
	held_is 0 || fail "the target still holds W1 while W2 is acknowledged"
	release
	assert_eq "$(late_writes)" 0 "late writes"
	w2_stays
}
# W2 waits until the path is back; W1 is executed before that
promise_wait() {
	w1_in_doubt
	w2_waits
	release
	cable_restore 1
	answer w2
	w2_stays
}
# None of W1 had left: nothing to wait for
promise_nothing_sent() {
	w1_in_doubt
	ask "$W2"
	answer w2
	assert_eq "$(js '[.luns[].doubts[]] | length')" 0 "doubts"
	release
	w2_stays
}

run_case() { # METHOD TARGET PROMISE SHAPE
	CASE=$((CASE + 1))
	BASE=$((CASE * 1024 * KB))
	FATE=hold
	[ "$3" != nothing_sent ] || FATE=nor2t
	"shape_$4"
	local options=(--lun 1:64) portals
	[ "$2" = reinstates ] || options+=(--no-reinstate)
	portals=(--portal "$(portal 1),1" --portal "$(portal 2),1")
	: >"$T/t-target.log"
	spawn t-target nsenter "--net=/run/netns/$NS-tgt" "$B/t-target" --control "$T/tt.sock" --iqn "${IQN}1" \
		"${portals[@]}" "${options[@]}"
	until_true "the scripted target is ready" grep -q '^ready' "$T/t-target.log"
	configure "$1"
	mpiod_up
	mpiod_wait 2 disk
	[ "$2" != reinstates ] || until_true "the target was tried out" tried_out
	client_start
	# so that nothing is mistaken for zeroes that were always there
	ask "write base $BASE $((128 * KB)) 0xee"
	answer base
	"promise_$3"
	client_end
	mpiod_down
	stop t-target || true
	say "ok $1, the target $2, $4: $3"
}
each_shape() {
	local head=("${@:1:3}") shape
	shift 3
	[ $# -gt 0 ] || set -- same partial trim zero several
	for shape in "$@"; do
		[ -z "${CASES:-}" ] || [[ " $CASES " == *" ${head[0]}:$shape "* ]] || continue
		run_case "${head[@]}" "$shape"
	done
}

CASE=0
net_up 2
#          method      target     promise
each_shape off         ignores    none
each_shape auto        reinstates killed
each_shape reinstate   reinstates killed same several
each_shape reinstate   ignores    wait same
each_shape reservation ignores    killed
each_shape auto+key    reinstates killed same
each_shape hold        ignores    wait
each_shape hold        reinstates wait same
each_shape solicited   ignores    nothing_sent same several
each_shape solicited   ignores    wait partial
[ "$CASE" -gt 0 ] || fail "no case is named in CASES=\"$CASES\""

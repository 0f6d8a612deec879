#!/bin/bash
# SPDX-License-Identifier: MIT
# How long I/O stands still when a cable is pulled: COUNT (20) pulls of each kind under a verified load.
#
# All defaults, but probation = off: the same two cables are pulled again and again here, by turns. CHAP is on, as tgtd
# honours session reinstatement only then: what the fences of writes in doubt stand on. One writer rewrites one block all
# the time, as a file system the tail of its journal. A table on the terminal, each pull in $B/bench/failover.csv. Status 1 when there was an error, a miscompare, or no progress.
cd "$(dirname "$0")/../.." || exit 2
LOG_LINES=20
. t/lib.sh
COUNT=${COUNT:-20}
DEPTH=${DEPTH:-16}
KINDS=${KINDS:-silent-cut reset target-death link-down}
OUT=$B/bench/failover.csv
mkdir -p "$B/bench"
BAD=0

# One tgtd with a portal on each cable; for target-death two over one file, so that one can die.
controllers=(- a b)
target() { # INSTANCE
	tgt_target "$1"
	tgt_lun 1 256M "$1"
	[ -z "${CHAP-yes}" ] || tgt_chap alice alice-secret-1 "$1"
}
controller_up() {
	tgt_up "${controllers[$1]}" "$1"
	target "${controllers[$1]}"
}
controller_kill() { stop "tgtd-${controllers[$1]}" KILL || true; }

RIG=
load_over() {
	load_end any
	[ "$(load_get errors)" = 0 ] && [ "$(load_get miscompares)" = 0 ] || BAD=1
	local k
	for k in reads writes errors miscompares verified; do
		TOTAL[$k]=$((${TOTAL[$k]:-0} + $(load_get "$k")))
	done
}
declare -A TOTAL=()
rig_down() {
	[ -n "$RIG" ] || return 0
	load_over
	mpiod_down
	stop tgtd-a KILL || true
	stop tgtd-b KILL || true
}
rig_for() { # KIND
	local want=one
	[ "$1" != target-death ] || want=two
	[ "$RIG" != "$want" ] || return 0
	rig_down
	RIG=$want
	if [ "$want" = one ]; then
		tgt_up a 1 2
		target a
	else
		controller_up 1
		controller_up 2
	fi
	mpiod_up
	mpiod_wait 2
	load_start "$(uri "$(lun_name)")" --depth "$DEPTH" --hot
}

how() { # KIND CABLE
	case $1 in
	silent-cut) cable_cut_silent "$2" ;;
	reset) cable_reset "$2" ;;
	target-death) controller_kill "$2" ;;
	link-down) cable_down "$2" ;;
	*) fail "no such kind: $1" ;;
	esac
}
mend() {
	case $1 in
	target-death) controller_up "$2" ;;
	*) cable_restore "$2" ;;
	esac
}

one_pull() { # KIND CABLE N
	local kind=$1 cable=$2 ops carried
	ops=$(path_ops "$cable")
	load_progress 500
	carried=$(($(path_ops "$cable") - ops))
	[ "$carried" -gt 0 ] || fail "cable $cable carries no I/O"
	# the kernel tells of changes of carrier once a second at most: the last one, of the repair, is too young
	[ "$kind" != link-down ] || sleep 1.5
	load_mark before
	how "$kind" "$cable"
	mpiod_wait 1
	load_progress 500
	load_mark "$kind"
	printf '%s,%s,%s,%s,%s,%s,%s,%s,%s\n' "$kind" "$3" "$cable" "$carried" \
		"$(load_get read_stall_us)" "$(load_get write_stall_us)" \
		"$(load_get errors)" "$(load_get miscompares)" "$(load_get hot_stall_us)" >>"$OUT"
	[ "$(load_get progressed)" = true ] || BAD=1
	mend "$kind" "$cable"
	mpiod_wait 2
	ops=$(path_ops "$cable")
	until_true "I/O returns to cable $cable" ops_beyond "$cable" "$ops"
}

net_up 2
conf 'probation = off'
if [ -n "${CHAP-yes}" ]; then
	(umask 077 && echo alice-secret-1 >"$T/secret")
	sed -i "/^iqn/a chap_user = alice\nchap_secret_file = $T/secret" "$T/mpiod.conf"
fi
sed -i '/^log_level/d' "$T/mpiod.conf"
echo "kind,n,cable,ios_before,read_stall_us,write_stall_us,errors,miscompares,hot_stall_us" >"$OUT"

for kind in $KINDS; do
	rig_for "$kind"
	for ((n = 1; n <= COUNT; n++)); do
		[ ! -t 1 ] || printf '\r%s %s of %s ' "$kind" "$n" "$COUNT"
		one_pull "$kind" $((1 + n % 2)) "$n"
	done
	[ ! -t 1 ] || printf '\r\e[K'
done
rig_down

# median_max COLUMN KIND
median_max() {
	awk -F, -v k="$2" -v c="$1" '$1 == k { print $c }' "$OUT" | sort -n |
		awk '{ v[NR] = $1 } END {
			m = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
			printf "%9.1f %9.1f", m / 1000, v[NR] / 1000 }'
}
sum() { awk -F, -v k="$2" -v c="$1" '$1 == k { s += $c } END { print s + 0 }' "$OUT"; }

echo "Longest stall of I/O per pull, ms; $COUNT pulls of each kind, load of $DEPTH x 4 KiB, 2 paths, $(nproc) processors"
printf '%-14s %9s %9s  %9s %9s  %9s %9s  %6s %11s\n' "" reads "" writes "" "one block" "" "" ""
printf '%-14s %9s %9s  %9s %9s  %9s %9s  %6s %11s\n' pull median max median max median max errors miscompares
for kind in $KINDS; do
	printf '%-14s %s  %s  %s  %6s %11s\n' "$kind" "$(median_max 5 "$kind")" "$(median_max 6 "$kind")" \
		"$(median_max 9 "$kind")" \
		"$(sum 7 "$kind")" "$(sum 8 "$kind")"
done
echo "In all: ${TOTAL[reads]} reads, ${TOTAL[writes]} writes, ${TOTAL[errors]} errors," \
	"${TOTAL[miscompares]} miscompares, ${TOTAL[verified]} blocks compared at the end"
echo "Each pull: ${OUT#"$PWD"/}"
exit "$BAD"

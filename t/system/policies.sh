#!/bin/bash
# Each policy by its name moves I/O to the paths that it promises, as the counters show.
. "$(dirname "$0")/../lib.sh"

san_up 3
conf
mpiod_up
mpiod_wait 3
id=$(js '.luns[0].id')
mpiod_down

# run POLICY LINE...: sets O1 O2 O3 to the I/Os of each path while a load runs
run() {
	local policy=$1
	shift
	{
		conf_head
		conf_target t1 1 1 2 3
		printf '[lun disk]\nid = %s\npolicy = %s\n' "$id" "$policy"
		[ $# = 0 ] || printf '%s\n' "$@"
	} >"$T/mpiod.conf"
	ctl reload
	until_true "policy $policy holds" js_is '.luns[0].policy' "$policy"
	load_progress 20 # what was in flight under the last policy has ended
	O1=$(path_ops 1) O2=$(path_ops 2) O3=$(path_ops 3)
	load_progress 300
	O1=$((-O1 + $(path_ops 1))) O2=$((-O2 + $(path_ops 2))) O3=$((-O3 + $(path_ops 3)))
	say "$policy $*: $O1 $O2 $O3"
	load_ok "$policy"
}
# a third each, more or less
even() {
	local n
	for n in "$O1" "$O2" "$O3"; do [ $((n * 5)) -gt $((O1 + O2 + O3)) ] || return 1; done
}

{
	conf_head
	conf_target t1 1 1 2 3
	printf '[lun disk]\nid = %s\n' "$id"
} >"$T/mpiod.conf"
mpiod_up
mpiod_wait 3 disk
load_start "$(uri disk)"

run round-robin
even || fail "round-robin is uneven"
run failover-only "preferred = $(portal 2)"
assert_eq "$O1 $O3" "0 0" "I/O beside the preferred path"
assert_gt "$O2" 0 "I/O on the preferred path"
run round-robin-subset "active = $(portal 1), $(portal 3)"
assert_eq "$O2" 0 "I/O outside the subset"
assert_gt "$O1" 0
assert_gt "$O3" 0
run weighted-paths "weight = $(portal 1) 20" "weight = $(portal 2) 20" "weight = $(portal 3) 10"
assert_eq "$O1 $O2" "0 0" "I/O beside the lightest path"
assert_gt "$O3" 0
for policy in least-queue-depth least-blocks least-latency; do
	run "$policy"
	assert_gt $((O1 + O2 + O3)) 0 "I/O under $policy"
done

# the path that a policy favours goes away, and comes back
run failover-only "preferred = $(portal 2)"
cable_reset 2
mpiod_wait 2
load_progress 200
load_ok "the preferred path is out"
cable_restore 2
mpiod_wait 3
ops=$(path_ops 2)
until_true "I/O returns to the preferred path" ops_beyond 2 "$ops"
load_ok "the preferred path is back"
load_end

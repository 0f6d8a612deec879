#!/bin/bash
# Target port groups: I/O only to the best group, whatever the states become under load; SET TARGET PORT GROUPS when no active one can
# be reached; failback to the preferred group; a start in standby; nothing is moved that need not be.
. "$(dirname "$0")/../lib.sh"

group() { tt "{\"do\":\"group\",\"id\":$1,\"state\":$2}" >/dev/null; }
alua_is() { [ "$(path_get "$1" alua)" = "$2" ]; }
# All I/O since then went over cable $1
only_over() {
	local other=$((3 - $1)) before
	before=$(path_ops "$other")
	load_progress
	assert_eq "$(path_ops "$other")" "$before" "I/O on cable $other, $2"
}
state_of() { js "[.luns[].port_groups[] | select(.id == $1) | .state] | first"; }
group_is() { [ "$(state_of "$1")" = "$2" ]; }
stpgs() { tt_get '.executed.a4 // 0'; }

# ---- implicit: the storage decides, mpiod follows ----
net_up 2
tt_up --lun 1:64 --alua implicit
conf 'probation = off' 'verify_interval = 1' 'failback = 0'
mpiod_up
mpiod_wait 2
assert_eq "$(js '.luns[0].dsm')" alua "module"
assert_eq "$(js '.luns[0].policy')" round-robin-subset "policy by what the storage reports"
alua_is 1 active/optimized || fail "cable 1 is $(path_get 1 alua)"
alua_is 2 standby || fail "cable 2 is $(path_get 2 alua)"
load_start "$(uri "$(lun_name)")" --depth 8
only_over 1 "which is in standby"

group 2 1
until_true "the unit attention tells of it" alua_is 2 active/non-optimized
only_over 1 "which is not optimized"
group 2 0
group 1 1
until_true "cable 1 is not optimized" alua_is 1 active/non-optimized
until_true "cable 2 is optimized" alua_is 2 active/optimized
only_over 2 "which is not optimized"
load_ok "the groups have changed places"

# in transition: nobody takes I/O, it waits, without an error
group 1 15
group 2 15
until_true "a transition is seen" alua_is 2 transitioning
sleep 1
group 1 2
group 2 0
load_progress
alua_is 1 standby || until_true "cable 1 is standby" alua_is 1 standby
only_over 2 "after the transition"
load_ok "a transition of both groups"

# unavailable, told by nobody: a command finds out
tt '{"do":"set","uas":false}' >/dev/null
group 1 0
until_true "the poll finds out" alua_is 1 active/optimized
group 2 3
until_true "a command finds out" alua_is 2 unavailable
only_over 1 "which is unavailable"
load_ok "changes without unit attentions"
assert_eq "$(stpgs)" 0 "SET TARGET PORT GROUPS to a target that is implicit only"
load_end
ctl --json explain "$(lun_name)" | jq -e '.paths | any(.why | test("unavailable"))' >/dev/null ||
	fail "explain does not say why cable 2 is passed over: $(ctl explain "$(lun_name)")"
mpiod_down
stop t-target || true

# ---- explicit: mpiod asks for a group when it has to ----
tt_up --lun 1:64 --alua explicit
conf 'probation = off' 'verify_interval = 1' 'failback = 3'
mpiod_up
mpiod_wait 2
load_start "$(uri "$(lun_name)")" --depth 8
load_progress
sleep 3
assert_eq "$(stpgs)" 0 "group changes at a start with all well"
cable_down 1
until_true "group 2 is made active" group_is 2 active/optimized
load_progress
load_ok "the active group's cable is out"
assert_eq "$(stpgs)" 1 "group changes when the active group is gone"
event port-group 'asks for target port group 2 .*no group that is active can be reached' || fail "no event tells of it"
begin=$SECONDS
cable_restore 1
mpiod_wait 2
until_true "the preferred group is active again" group_is 1 active/optimized
[ $((SECONDS - begin)) -ge 2 ] || fail "the preferred group was moved to at once, failback is 3"
load_progress
load_ok "failback to the preferred group"

# another host takes it away again and again: the tug of war slows down by itself
n=$(tt_get '.executed.a4')
for _ in 1 2 3; do
	group 1 2
	group 2 0
	sleep 1
done
[ $(($(tt_get '.executed.a4') - n)) -le 2 ] || fail "it flaps: $(($(tt_get '.executed.a4') - n)) changes in 3 s"
load_progress
load_ok "another host moved the groups"
load_end
mpiod_down

# a start while all groups are in standby: nobody can even ask for the size
group 1 2
group 2 2
mpiod_up
until_true "a group is made active" group_is 1 active/optimized
mpiod_wait 2
until_true "the LUN is exported" js_is '[.luns[] | select(.exported)] | length' 1
assert_eq "$(js '.luns[0].size')" 67108864 "size"
/usr/bin/nbdinfo --size "$(uri "$(lun_name)")" >"$T/size"

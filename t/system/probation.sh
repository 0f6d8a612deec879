#!/bin/bash
# A path that fails again and again goes on probation: it is used only while no healthy one is left, says so, and is trusted again
# when its time is over. No error meanwhile.
. "$(dirname "$0")/../lib.sh"

net_up 2
tt_up --lun 1:64
conf 'probation = 15'
mpiod_up
mpiod_wait 2
load_start "$(uri "$(lun_name)")" --depth 8
load_progress
logins() { session_get 1 logins; }
for _ in 1 2 3; do
	n=$(logins)
	tt '{"do":"drop","portal":0}' >/dev/null
	again() { [ "$(logins)" -gt "$n" ]; }
	until_true "it logs in again" again
	mpiod_wait 2
done
event probation || fail "no event tells of the probation: $(ctl events)"
path_is 1 marginal || until_true "the path is on probation" path_is 1 marginal
ctl --json explain "$(lun_name)" | jq -e '.paths | any(.why | test("on probation"))' >/dev/null ||
	fail "explain does not say so: $(ctl explain "$(lun_name)")"
ops=$(path_ops 1)
load_progress 500
assert_eq "$(path_ops 1)" "$ops" "I/O on a path that is on probation"
# until it is the only one
cable_reset 2
until_true "I/O on the path that is left" ops_beyond 1 "$ops"
load_progress
cable_restore 2
load_ok "on probation"
until_true "it is trusted again" path_is 1 usable
ops=$(path_ops 1)
until_true "I/O on it" ops_beyond 1 "$ops"
load_ok "after the probation"
load_end

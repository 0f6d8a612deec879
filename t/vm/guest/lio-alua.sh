#!/bin/bash
# LIO with two target port groups, its states changed under verified I/O of the kernel's client: I/O follows the states, waits while
# none is active, and sees no error; at the end a clean fsck and equal checksums.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lio.sh"

path_of() { js ".luns[0].paths[] | select(.name | contains(\"10.77.$1.2\")) | .$2"; }
ops() { js ".luns[0].paths[] | select(.name | contains(\"10.77.$1.2\")) | .reads + .writes"; }
alua_is() { [ "$(path_of "$1" alua)" = "$2" ]; }
more() { [ "$(ops "$1")" -gt "$2" ]; }
# All I/O goes over cable $1
only_over() {
	local other=$((3 - $1)) before
	before=$(ops "$other")
	until_true "I/O over cable $1, $2" more "$1" $(($(ops "$1") + 50))
	assert_eq "$(ops "$other")" "$before" "I/O on cable $other, $2"
	verify_alive
}

net_up 2
lio_up 160M
lio_state 2 2
conf 'probation = off' 'failback = 0' 'probe_timeout = 5' 'suspect_after = 10' # which path it is counts here, not how soon a silent one is noticed
mpiod_up
mpiod_wait 2
assert_eq "$(js '.luns[0].dsm')" lio "module"
until_true "cable 1 is optimized" alua_is 1 active/optimized
until_true "cable 2 is standby" alua_is 2 standby
nbd_up -C 4
ext4_up
verify_start "$MNT" 8
until_true "fio runs" more 1 $(($(ops 1) + 200))
only_over 1 "while the other is standby"

lio_state 2 1
until_true "cable 2 is not optimized" alua_is 2 active/non-optimized
only_over 1 "while the other is not optimized"
lio_state 2 0
until_true "cable 2 is optimized" alua_is 2 active/optimized
lio_state 1 1
until_true "cable 1 is not optimized" alua_is 1 active/non-optimized
only_over 2 "which is the optimized one now"
lio_state 1 3
until_true "cable 1 is unavailable" alua_is 1 unavailable
only_over 2 "while the other is unavailable"
say "optimized, non-optimized, standby, unavailable"

# In transition: LIO takes a while for it and answers BECOMING READY meanwhile. Nobody takes I/O; it waits.
for i in 1 2; do echo 3000 >"$DISK/alua/g$i/trans_delay_msecs"; done
lio_state 2 2 &
change=$!
until_true "cable 2 is in transition" alua_is 2 transitioning
wait "$change"

# None is active: mpiod has one made active (SET TARGET PORT GROUPS), for these groups can be told.
active() { [ "$(js '[.luns[0].paths[].alua | select(startswith("active"))] | length')" -gt 0 ]; }
until_true "one is active again" active
before=$(($(ops 1) + $(ops 2)))
goes_on() { alive fio && [ $(($(ops 1) + $(ops 2))) -gt $((before + 100)) ]; }
until_true "I/O goes on over what mpiod made active" goes_on

# Groups that can't be told: I/O waits.
for i in 1 2; do
	echo 0 >"$DISK/alua/g$i/trans_delay_msecs"
	echo 1 >"$DISK/alua/g$i/alua_access_type"
done
lio_state 1 2
lio_state 2 2
until_true "cable 1 is standby" alua_is 1 standby
until_true "cable 2 is standby" alua_is 2 standby
before=$(($(ops 1) + $(ops 2)))
sleep 2
assert_eq "$(($(ops 1) + $(ops 2)))" "$before" "I/O while no path is active"
alive fio || fail "fio ended while no path was active: $(head -n 20 "$T/fio.log")"
lio_state 1 0
until_true "cable 1 is optimized again" alua_is 1 active/optimized
only_over 1 "after a time without an active path"
say "transition, and none active"

ctl events | grep session-lost && fail "a session was lost"
verify_end
ext4_down
nbd_down
mpiod_down

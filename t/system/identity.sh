#!/bin/bash
# Two portals with different disks never merge; a disk that is swapped behind a portal is refused, loudly.
. "$(dirname "$0")/../lib.sh"

# controller INSTANCE CABLE TID FILE: the same name of a target always, the identity comes from TID
controller() {
	tgt_up "$1" "$2"
	tgtadm_on "$1" --mode target --op new --tid "$3" --targetname "${IQN}1"
	tgtadm_on "$1" --mode target --op bind --tid "$3" --initiator-address ALL
	tgt_lun 1 64M "$1" "$3" "$T/$4"
}

net_up 2
controller a 1 1 disk
controller b 2 2 other
conf 'probation = off'
mpiod_up
until_true "two exports" js_is '[.luns[] | select(.paths | length == 1)] | length' 2
assert_eq "$(js '[.luns[].id] | unique | length')" 2 "identifiers"
mpiod_down

# the right disk behind both
stop tgtd-b KILL || true
controller b 2 1 disk
mpiod_up
mpiod_wait 2
assert_eq "$(js '.luns | length')" 1 "exports of one disk"
load_start "$(uri "$(lun_name)")"
load_progress

# another disk appears behind cable 2
stop tgtd-b KILL || true
mpiod_wait 1
controller b 2 2 other
until_true "an event tells of the swap" event path-refused
load_progress 200
assert_eq "$(usable "$(lun_name)")" 1 "paths that carry I/O"
load_ok "with another disk behind cable 2"
cmp -n 1048576 "$T/other" /dev/zero || fail "the other disk was written to"

# and the right one returns
stop tgtd-b KILL || true
controller b 2 1 disk
until_true "the right disk is back in use" has_paths 2 "$(lun_name)"
ops=$(path_ops 2)
until_true "I/O on cable 2" ops_beyond 2 "$ops"
load_ok "with the right disk"
load_end

#!/bin/bash
# A path that reports another size is refused, with an event; the right size is taken back.
. "$(dirname "$0")/../lib.sh"

controller() { # INSTANCE CABLE FILE SIZE
	tgt_up "$1" "$2"
	tgt_target "$1"
	tgt_lun 1 "$4" "$1" 1 "$T/$3"
}

net_up 2
controller a 1 disk 64M
controller b 2 small 32M
conf 'probation = off'
mpiod_up
until_true "one of the two sizes is refused" event path-refused "another size"
mpiod_wait 1
mpiod_down

stop tgtd-b KILL || true
controller b 2 disk 64M
mpiod_up
mpiod_wait 2
load_start "$(uri "$(lun_name)")"
load_progress
stop tgtd-b KILL || true
mpiod_wait 1
controller b 2 small 32M
until_true "the other size is refused" event path-refused "another size"
load_progress 200
assert_eq "$(nbdinfo --size "$(uri "$(lun_name)")")" 67108864 "size of the export"
stop tgtd-b KILL || true
controller b 2 disk 64M
mpiod_wait 2
load_ok "all of it"
load_end

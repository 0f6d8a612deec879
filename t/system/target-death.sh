#!/bin/bash
# One of two controllers over one disk dies (kill -9): no error, no miscompare; its path returns with it.
. "$(dirname "$0")/../lib.sh"

controllers=(- a b)
controller_up() {
	tgt_up "${controllers[$1]}" "$1"
	tgt_target "${controllers[$1]}"
	tgt_lun 1 64M "${controllers[$1]}"
}
controller_kill() { stop "tgtd-${controllers[$1]}" KILL || true; }

net_up 2
controller_up 1
controller_up 2
conf 'probation = off'
mpiod_up
mpiod_wait 2
load_start "$(uri "$(lun_name)")"
pull 1 controller_kill controller_up
pull 2 controller_kill controller_up
load_end

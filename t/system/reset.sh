#!/bin/bash
# A connection reset by the target costs the load a stall: no error, no miscompare; the path returns.
. "$(dirname "$0")/../lib.sh"

san_up 2
conf 'probation = off'
mpiod_up
mpiod_wait 2
load_start "$(uri "$(lun_name)")"
pull 1 cable_reset
pull 2 cable_reset
pull 1 cable_reset
event session-lost || fail "no event tells of it"
load_end

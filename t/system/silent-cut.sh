#!/bin/bash
# A cable that silently passes nothing costs the load a stall: no error, no miscompare; the path returns.
. "$(dirname "$0")/../lib.sh"

san_up 2
conf 'probation = off'
mpiod_up
mpiod_wait 2
load_start "$(uri "$(lun_name)")"
pull 1 cable_cut_silent
pull 2 cable_cut_silent
pull 1 cable_cut_silent
event path-failed || event session-lost || fail "no event tells of it"
load_end

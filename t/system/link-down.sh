#!/bin/bash
# A local link that loses its carrier costs the load a stall: no error, no miscompare; the path returns.
. "$(dirname "$0")/../lib.sh"

san_up 2
conf 'probation = off'
mpiod_up
mpiod_wait 2
load_start "$(uri "$(lun_name)")"
pull 1 cable_down
pull 2 cable_down
pull 1 cable_down
load_end

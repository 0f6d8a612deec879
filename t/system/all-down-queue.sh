#!/bin/bash
# With every cable out I/O waits and nobody gets an error; it finishes when a path returns.
. "$(dirname "$0")/../lib.sh"

san_up 2
conf 'probation = off'
mpiod_up
mpiod_wait 2
load_start "$(uri "$(lun_name)")"

for how in cable_down cable_reset; do
	load_progress
	"$how" 1
	"$how" 2
	mpiod_wait 0
	assert_eq "$(js '.luns[0].state')" no-path "state with no path"
	load_mark "$how"
	sleep 5
	assert_gt "$(js '.luns[0].queued')" 0 "requests waiting"
	load_mark "$how"
	assert_eq "$(load_get reads)" 0 "reads while no path works"
	assert_eq "$(load_get writes)" 0 "writes while no path works"
	cable_restore 1
	cable_restore 2
	mpiod_wait 2
	load_progress 200
	load_ok "$how, both for 5 s"
	assert_eq "$(js '.luns[0].state')" ok "state afterwards"
done

# silence on all of them may be a slow storage box: whatever it is taken for, it must end well
load_mark begin
cable_cut_silent 1
cable_cut_silent 2
sleep 5
cable_restore 1
cable_restore 2
load_progress 200
mpiod_wait 2
load_ok "silence on both for 5 s"
load_end

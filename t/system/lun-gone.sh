#!/bin/bash
# A LUN that goes away behind one portal (05/25/00) costs that path; it is used again when the LUN is back.
. "$(dirname "$0")/../lib.sh"

net_up 2
tgt_up a 1
tgt_up b 2
for name in a b; do
	tgt_target "$name"
	tgt_lun 1 64M "$name"
done
conf 'probation = off'
mpiod_up
mpiod_wait 2
load_start "$(uri "$(lun_name)")"
load_progress

delete() { tgtadm_on "$1" --mode logicalunit --op delete --tid 1 --lun 1 2>"$T/delete.out"; }
# tgtd deletes only a LUN on which nothing runs, and with a load something always does: the load holds its breath
lose() {
	local name
	kill -STOP "${PID[load]}"
	for name in "$@"; do until_true "tgtd $name lets go of the LUN" delete "$name"; done
	kill -CONT "${PID[load]}"
}
lose b
mpiod_wait 1
load_progress 200
load_ok "LUN gone behind cable 2"
tgt_lun 1 64M b
mpiod_wait 2
ops=$(path_ops 2)
until_true "I/O returns to cable 2" ops_beyond 2 "$ops"
load_ok "LUN back"

# gone everywhere: I/O waits
lose a b
mpiod_wait 0
load_mark gone
tgt_lun 1 64M a
tgt_lun 1 64M b
mpiod_wait 2
load_progress 200
load_ok "gone everywhere, and back"
load_end

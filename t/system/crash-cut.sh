#!/bin/bash
# What an mpiod that is killed had not sent yet never leaves its host, also when the cable is back after the fence has ended.
# shellcheck disable=SC2034,SC2153 # BASE and LATE are late.sh's
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../late.sh"

on_disk() { head -c $((12 * KB)) "$T/disk-1-1" | od -An -v -tx1 -w1 | tr -d ' ' | uniq -c | awk '{ printf "%s%s*%d", n++ ? " " : "", $2, $1 }'; }
# sockets of nobody with something left to send through cable 1
orphans() { on ini ss -tnH state fin-wait-1 dst 10.77.1.2 | wc -l; }
orphans_are() { [ "$(orphans)" = "$1" ]; }
w1_is_queued() { on ini ss -tnH state established dst 10.77.1.2 | awk '{ if ($2 > 8000) found = 1 } END { exit !found }'; }

san_up 2
head -c $((128 * KB)) /dev/zero | tr '\0' '\356' | dd of="$T/disk-1-1" conv=notrunc status=none
# tgtd does not let a login end an older session; what is waited for is short, so that W1 outlives it
conf 'policy = failover-only' 'probation = off' 'fence_timeout = 3'
mpiod_up
mpiod_wait 2
printf '[lun disk]\nid = %s\npreferred = %s\n' "$(js '.luns[0].id')" "$(portal 1)" >>"$T/mpiod.conf"
ctl reload >"$T/out"
until_true "the LUN has its name" has_paths 2 disk
client_start
BASE=0
shape_same
cable_cut_silent 1
ask "write w1 ${W1[0]} 0x11"
until_true "W1 is in the send queue" w1_is_queued
stop mpiod KILL || true
client_end
assert_eq "$(orphans)" 0 "sockets that go on sending for the dead mpiod"

mpiod_up
mpiod_wait 1 disk
client_start
ask "$W2"
sleep 1
if answered w2; then fail "W2 did not wait for the end of the doubt"; fi
answer w2
assert_eq "$(on_disk)" "$RIGHT" "on the disk before the cable is back"
cable_restore 1
mpiod_wait 2 disk
until_true "nobody sends for the dead mpiod" orphans_are 0
sleep 0.3 # for what tgtd's threads still do
assert_eq "$(on_disk)" "$RIGHT" "on the disk with the cable back, where W1 shows as $LATE"
client_end
mpiod_down

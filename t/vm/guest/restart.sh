#!/bin/bash
# mpioctl restart under a kernel client: 20 times under a mounted ext4 with verified direct I/O, with plain nbd-client, whose device
# would fail for good if its connections were lost: no I/O error, a clean fsck, and they are the same connections.
. "$(dirname "$0")/../lib.sh"

san_up 2 64M
conf 'probation = off'
mpiod_up
mpiod_wait 2
nbd_up -C 4
ext4_up
verify_start "$MNT" 16
ios() { js '[.luns[].paths[] | .reads + .writes] | add'; }
began() { [ "$(ios)" -gt "$1" ]; }
for i in $(seq 20); do
	until_true "I/O goes on" began $(($(ios) + 100))
	verify_alive
	assert_contains "$(ctl restart -t "$WAIT")" restarted "mpioctl restart"
	assert_eq "$(js .restarts)" "$i" "restarts"
	mpiod_wait 2
done
until_true "I/O goes on" began $(($(ios) + 100))
verify_end
ext4_down
assert_eq "$(js '[.luns[].users] | add')" 4 "connections"
say "20 restarts"

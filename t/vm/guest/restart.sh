#!/bin/bash
# mpioctl restart under a kernel client: 20 times under verified direct I/O, with plain nbd-client, whose device would fail for good if
# its connections were lost: no I/O error, and they are the same connections.
. "$(dirname "$0")/../lib.sh"

san_up 2 64M
conf 'probation = off'
mpiod_up
mpiod_wait 2
nbd_up -C 4
dmesg_begin
spawn fio fio --name=verify --filename="$DEV" --direct=1 --ioengine=libaio --iodepth=16 --rw=randrw --bs=4k --verify=crc32c \
	--size=64M --verify_backlog=256 --time_based --runtime=100000 --norandommap=0 --verify_fatal=1
began() { [ "$(js '[.luns[].paths[] | .reads + .writes] | add')" -gt "$1" ]; }
for i in $(seq 20); do
	until_true "I/O goes on" began 100
	alive fio || fail "fio ended: $(tail -n 20 "$T/fio.log")"
	assert_contains "$(ctl restart -t "$WAIT")" restarted "mpioctl restart"
	assert_eq "$(js .restarts)" "$i" "restarts"
	mpiod_wait 2
done
until_true "I/O goes on" began 100
alive fio || fail "fio ended: $(tail -n 20 "$T/fio.log")"
status=0
stop fio INT || status=$? # 128: it was told to end
[[ $status =~ ^(0|128)$ ]] || fail "fio ended with $status: $(head -n 20 "$T/fio.log")"
grep -q 'err= 0' "$T/fio.log" || fail "fio: $(head -n 20 "$T/fio.log")"
dmesg_ok
assert_eq "$(js '[.luns[].users] | add')" 4 "connections"
say "20 restarts"

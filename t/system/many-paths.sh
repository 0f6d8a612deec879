#!/bin/bash
# A LUN has at most 32 paths: the 33rd is refused with an event that says so, and I/O goes over the 32.
. "$(dirname "$0")/../lib.sh"

net_up 1
list=
for ((i = 0; i < 33; i++)); do list+=${list:+,}portal=10.77.1.2:$((3260 + i)); done
TGT_IPC_SOCKET=$T/tgt-a spawn tgtd-a nsenter "--net=/run/netns/$NS-tgt" tgtd -f -t 4 --iscsi "$list"
until_true "tgtd answers" tgt_answers a
tgt_target
tgt_lun 1 64M
{
	conf_head
	printf '[target t1]\niqn = %s1\n' "$IQN"
	for ((i = 0; i < 33; i++)); do printf 'portal = 10.77.1.2:%s\n' $((3260 + i)); done
	printf '[defaults]\nfence = off\n'
} >"$T/mpiod.conf"
mpiod_up
mpiod_wait 32
until_true "an event tells of the 33rd path" event path-refused 'the LUN has 32 paths already'
assert_eq "$(js '.luns | length')" 1 "exports"
load_start "$(uri "$(lun_name)")" --depth 64
all_carry() { [ "$(js '[.luns[].paths[] | select(.usable) | select(.reads + .writes > 0)] | length')" = 32 ]; }
until_true "all 32 paths carry I/O" all_carry
# one of them leaves: the refused one may take its place, no more than 32 do
ctl path disable "$(js '[.luns[].paths[] | select(.usable)][0].name')" >"$T/out"
mpiod_wait 31
load_progress
load_ok "over 32 paths"
load_end

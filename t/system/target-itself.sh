#!/bin/bash
# The scripted target serves two other initiators as any target does, and mpiod over two portals, with CHAP, under cable pulls.
. "$(dirname "$0")/../lib.sh"

net_up 2
tt_up --lun 1:64 --lun 7:8 --no-ua # iscsi-ls does not try again after one
U=iscsi://$(portal 1)/${IQN}1
if command -v iscsi-ls >/dev/null; then
	on ini iscsi-ls -s "iscsi://$(portal 1)" >"$T/ls"
	grep -q "${IQN}1.*$(portal 2),2" "$T/ls" || fail "iscsi-ls: $(cat "$T/ls")"
	assert_eq "$(grep -c 'Lun:.*Size:' "$T/ls")" 4 "LUNs that iscsi-ls shows on two portals: $(cat "$T/ls")"
	on ini iscsi-inq "$U/1" >"$T/inq"
	grep -q 'Vendor:MPIOD' "$T/inq" || fail "iscsi-inq: $(cat "$T/inq")"
	on ini iscsi-inq -e 1 -c 131 "$U/7" >"$T/inq"
	grep -q 'Designator Type:(3) NAA' "$T/inq" || fail "iscsi-inq of page 83h: $(cat "$T/inq")"
	grep -q 'Designator:\[MPIOD   T7\]' "$T/inq" || fail "iscsi-inq of page 83h: $(cat "$T/inq")"
	on ini iscsi-readcapacity16 "$U/7" >"$T/capacity"
	grep -q 'Total size:8388608' "$T/capacity" || fail "iscsi-readcapacity16: $(cat "$T/capacity")"
	on ini iscsi-perf -t 2 -m 16 "$U/1" >"$T/perf" 2>&1 || fail "iscsi-perf: $(cat "$T/perf")"
	assert_gt "$(tt_get '.executed["88"] // 0')" 100 "reads of iscsi-perf: $(cat "$T/perf")"
else
	say "no iscsi-ls here (package libiscsi-bin)"
fi
if on ini qemu-img info "$U/1" >"$T/info" 2>&1; then
	grep -q '64 MiB' "$T/info" || fail "qemu-img: $(cat "$T/info")"
	on ini qemu-io -f raw -c 'write -P 0x5a 1M 64k' -c 'read -P 0x5a 1M 64k' -c 'write -z 1M 4k' -c 'read -P 0 1M 4k' "$U/1" \
		>"$T/io" 2>&1 || fail "qemu-io: $(cat "$T/io")"
	if grep -q 'Pattern verification failed' "$T/io"; then fail "qemu-io: $(cat "$T/io")"; fi
	assert_eq "$(tt_get .bytes '{"do":"bytes","lun":1,"offset":1048576,"len":8192}')" "00*4096 5a*4096" "on the disk"
else
	say "no qemu-img with iSCSI here: $(head -n 1 "$T/info")"
fi
conf 'probation = off'
mpiod_up
mpiod_wait 4
load_start "$(uri "$(js '[.luns[] | select(.size == 67108864)][0].name')")" --mix --depth 16
load_progress
for kind in cable_cut_silent cable_reset; do
	$kind 1
	mpiod_wait 2
	load_progress
	cable_restore 1
	mpiod_wait 4
	load_progress
	load_ok "$kind"
done
load_end
mpiod_down
tt_down

tt_up --lun 1:8 --chap alice:alice-secret-1
(umask 077 && echo alice-secret-1 >"$T/secret" && echo wrong-secret-12 >"$T/wrong")
conf 'probation = off'
sed -i "/^iqn/a chap_user = alice\nchap_secret_file = $T/wrong" "$T/mpiod.conf"
mpiod_up
until_true "a wrong secret is refused" event login-failed
assert_eq "$(usable)" 0 "paths with a wrong secret"
sed -i "s/wrong$/secret/" "$T/mpiod.conf"
ctl reload >"$T/out"
mpiod_wait 2

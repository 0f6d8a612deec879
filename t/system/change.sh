#!/bin/bash
# What a LUN is changes under load: it grows, it shrinks, another one takes its place, its name stays and its blocks change; LUNs on
# only some portals; two targets for one LUN.
. "$(dirname "$0")/../lib.sh"

# lun CHANGES [ASC ASCQ]: with a unit attention that comes before any other command
lun() { tt "{\"do\":\"lun\",\"lun\":1,$1${2:+,\"asc\":$((0x$2)),\"ascq\":$((0x$3))}}" >/dev/null; }
NAA=naa.60014050000000000000000000000001
size() { js ".luns[] | select(.id == \"$NAA\") | .size"; }
size_is() { [ "$(size)" = "$1" ]; }

net_up 2
tt_up --lun 1:64 --lun 2:8 --lun 3:8
tt '{"do":"lun","lun":2,"portals":[0]}' >/dev/null
tt '{"do":"lun","lun":3,"portals":[1]}' >/dev/null
conf 'probation = off' 'verify_interval = 1' 'fence = off'
mpiod_up
mpiod_wait 2 $NAA
until_true "all LUNs" js_is '.luns | length' 3
for n in 2 3; do
	until_true "LUN $n has the one path it has" \
		js_is "[.luns[] | select(.id | endswith(\"$n\")) | .paths[] | select(.usable) | .portal] | join(\" \")" "$(portal $((n - 1)))"
done
load_start "$(uri $NAA)" --depth 8
load_progress

# growth: seen by the unit attention, published when all paths agree
lun '"blocks":262144' 2a 09
until_true "the LUN has grown" size_is $((128 << 20))
event 'grown|capacity.*' || event lun-grown || fail "no event tells of the growth: $(ctl events)"
assert_eq "$(nbdinfo --size "$(uri $NAA)")" $((128 << 20)) "size of the export for the next client"
load_progress
load_ok "growth"

# without a unit attention: the next login sees it... and a shrink is refused, loudly
lun '"blocks":131072' 2a 09
until_true "an event tells that it shrank" event 'shrunk|size-refused|capacity.*|lun-shrunk'
assert_eq "$(size)" $((128 << 20)) "size after a shrink"
lun '"blocks":262144' 2a 09
load_progress
load_ok "a shrink that was refused"

# another LUN in its place, on one path: told by 06/3F/03 before the next I/O
lun '"naa":"60014059999999999999999999999999"' 3f 03
until_true "the swapped LUN is refused on both paths" js_is "[.luns[].paths[] | select(.state == \"refused\")] | length" 2
event path-refused 'another LUN answers here' || fail "no event tells of the swap"
before=$(tt_get '.executed["8a"] // 0')
sleep 1
assert_eq "$(tt_get '.executed["8a"] // 0')" "$before" "writes to the wrong LUN"
lun '"naa":"60014050000000000000000000000001"'
mpiod_wait 2 $NAA
load_progress
load_ok "the right LUN is back" # it waited, no error

# the same name with another block size
lun '"block_size":4096,"blocks":32768' 3f 03
until_true "another block size is refused" js_is "[.luns[].paths[] | select(.state == \"refused\")] | length" 2
event path-refused 'another size' || fail "no event tells of the block size"
lun '"block_size":512,"blocks":262144'
mpiod_wait 2 $NAA
load_progress
load_ok "the right block size is back"

# write protection comes and goes
lun '"read_only":true' 3f 03
until_true "the LUN is read-only" js_is ".luns[] | select(.id == \"$NAA\") | .read_only" true
lun '"read_only":false' 3f 03
until_true "the LUN can be written again" js_is ".luns[] | select(.id == \"$NAA\") | .read_only" false
load_end any
mpiod_down

# storage older than SPC-3 is refused unless a hardware section lists it
lun '"version":4'
tt '{"do":"lun","lun":2,"remove":true}' >/dev/null
tt '{"do":"lun","lun":3,"remove":true}' >/dev/null
mpiod_up
until_true "older storage is refused" event path-refused 'older than SPC-3'
assert_eq "$(usable)" 0 "paths to older storage"
printf '[hardware old]\nvendor = MPIOD\nproduct = TE*\npolicy = least-blocks\n' >>"$T/mpiod.conf"
ctl reload >"$T/out"
for p in 1 2; do ctl path enable "t1/$(portal $p)" >"$T/out" 2>&1 || true; done
mpiod_wait 2 $NAA
assert_eq "$(js '.luns[0].policy')" least-blocks "policy of the hardware section"
printf '[lun a]\nid = %s\npolicy = weighted-paths\n' $NAA >>"$T/mpiod.conf"
ctl reload >"$T/out"
until_true "the LUN's section goes before that of its hardware" js_is '.luns[0].policy' weighted-paths

# two targets that show the same LUN: one export over the paths of both
spawn t-target-2 nsenter "--net=/run/netns/$NS-tgt" "$B/t-target" --control "$T/tt2.sock" --iqn "${IQN}2" \
	--portal 10.77.1.2:3262,7 --lun 5:128:60014050000000000000000000000001
until_true "the second target is ready" grep -q '^ready' "$T/t-target-2.log"
printf '[target t2]\niqn = %s2\nportal = 10.77.1.2:3262\n' "$IQN" >>"$T/mpiod.conf"
ctl reload >"$T/out"
mpiod_wait 3 a
assert_eq "$(js '.luns | length')" 1 "exports of one LUN behind two targets"

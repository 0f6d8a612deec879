#!/bin/bash
# Holes: what is mapped, deallocated and anchored on the LUN is what base:allocation says; holes survive nbdcopy and qemu-img convert in
# both directions; a LUN that does not say reads as data throughout; CACHE is a PRE-FETCH; quick zeroes are quick or refused.
. "$(dirname "$0")/../lib.sh"
for tool in nbdinfo nbdcopy qemu-img; do
	command -v "$tool" >/dev/null || skip "no $tool"
done
/usr/bin/python3 -c 'import nbd' 2>/dev/null || skip "without python3-libnbd"

net_up 2
tt_up --lun 1:64 --lun 2:64
conf 'probation = off'
for i in 1 2; do printf '[lun disk%s]\nid = naa.6001405000000000000000000000000%s\n' $i $i >>"$T/mpiod.conf"; done
mpiod_up
mpiod_wait 2 disk1
mpiod_wait 2 disk2
M=1048576

# map EXPORT: "OFFSET LENGTH TYPE" lines; type 0 data, 1 hole, 2 zeroes, 3 both
map() { nbdinfo --map --json "$(uri "$1")" | jq -r '.[] | "\(.offset) \(.length) \(.type)"'; }
expect_map() { assert_eq "$(map "$1")" "$2" "the map of $1"; }
# changed LUN JSON-KEYS: with new logins, since what a LUN can do is read then
changed() {
	tt "{\"do\":\"lun\",\"lun\":$1,$2}" >/dev/null
	cable_reset 1
	cable_reset 2
	mpiod_wait 0 disk1
	cable_restore 1
	cable_restore 2
	mpiod_wait 2 disk1
	mpiod_wait 2 disk2
}
# same_bytes EXPORT FILE
same_bytes() { qemu-img compare -f raw -F raw "$(uri "$1")" "$2" >/dev/null || fail "$1 and $2 differ"; }

expect_map disk1 "0 $((64 * M)) 3"
/usr/bin/python3 - "$(uri disk1)" <<'PY'
import nbd, sys
M = 1 << 20
h = nbd.NBD()
h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
h.connect_uri(sys.argv[1])
assert h.can_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
assert h.can_cache() and h.can_df() and h.can_fast_zero() and h.can_zero() and h.can_trim()
h.pwrite(b"d" * M, M)
h.pwrite(bytes(M), 3 * M)               # zeroes that take space
h.pwrite(b"e" * 512, 10 * M + 512)
h.zero(M, 20 * M)                       # may become a hole
h.pwrite(b"f" * M, 30 * M)
h.trim(M // 2, 30 * M)
h.zero(M, 40 * M, nbd.CMD_FLAG_NO_HOLE)
h.zero(M, 50 * M, nbd.CMD_FLAG_FAST_ZERO)
h.cache(64 * M, 0)
h.cache(3, M + 1)

def status(count, offset, flags=0):
    got = []
    h.block_status(count, offset, lambda context, at, extents, error: got.append((context, at, extents)), flags)
    assert len(got) == 1 and got[0][:2] == (nbd.CONTEXT_BASE_ALLOCATION, offset), got
    x = got[0][2]
    assert x and sum(x[::2]) <= count and all(n > 0 for n in x[::2]), x
    return x

# any place, any length: never longer than asked for, never empty, never wrong
assert status(1, M) == [1, 0] and status(1, 0) == [1, 3]
assert status(M, M - 3) == [3, 3, M - 3, 0]
assert status(1000, 10 * M) == [512, 3, 488, 0]
assert status(100, 10 * M + 1000) == [24, 0, 76, 3]
assert status(64 * M, 0, nbd.CMD_FLAG_REQ_ONE) == [M, 3]
assert status(5, 64 * M - 5) == [5, 3]
for e, n, at in ((22, 0, 0), (22, 1, 64 * M), (22, 64 * M, 1), (22, 2 ** 32 - 1, 0)):
    h.set_strict_mode(0)
    try:
        status(n, at)
    except nbd.Error as x:
        assert x.errnum == e, (n, at, x)
    else:
        raise SystemExit((n, at))
PY
expect_map disk1 "0 $M 3
$M $M 0
$((2 * M)) $M 3
$((3 * M)) $M 0
$((4 * M)) $((6 * M + 512)) 3
$((10 * M + 512)) 512 0
$((10 * M + 1024)) $((20 * M + M / 2 - 1024)) 3
$((30 * M + M / 2)) $((M / 2)) 0
$((31 * M)) $((9 * M)) 3
$((40 * M)) $M 0
$((41 * M)) $((23 * M)) 3"
assert_gt "$(tt '{"do":"log","from":0}' | jq '[.log[] | select(.opcode == 144)] | length')" 2 "PRE-FETCH commands"
say "what is on the LUN is what base:allocation says"

# both directions: files and LUNs, by both tools
nbdcopy --allocated "$(uri disk1)" "$T/allocated.img"
nbdcopy "$(uri disk1)" "$T/nbdcopy.img"
qemu-img convert -f raw -O raw "$(uri disk1)" "$T/qemu.img"
for f in nbdcopy qemu; do
	same_bytes disk1 "$T/$f.img"
	size=$(($(stat -c %b "$T/$f.img") * 512))
	[ "$size" -lt $((8 * M)) ] || fail "the holes were lost: $f.img takes $size bytes"
done
nbdcopy "$T/nbdcopy.img" "$(uri disk2)"
same_bytes disk2 "$T/qemu.img"
mapped() { map "$1" | awk '$3 != 3 { n += $2 } END { print n + 0 }'; }
n=$(mapped disk2)
[ "$n" -lt $((8 * M)) ] || fail "the holes were lost: nbdcopy mapped $n bytes"
assert_gt "$n" "$M" "mapped bytes"
tt '{"do":"lun","lun":2,"remove":true}' >/dev/null
tt "{\"do\":\"lun\",\"lun\":2,\"new\":true,\"blocks\":131072,\"ua\":true}" >/dev/null
mpiod_wait 2 disk2
qemu-img convert -n -f raw -O raw -S 64k "$T/qemu.img" "$(uri disk2)"
same_bytes disk2 "$T/nbdcopy.img"
n=$(mapped disk2)
[ "$n" -lt $((8 * M)) ] || fail "the holes were lost: qemu-img mapped $n bytes"
nbdcopy "$(uri disk1)" "$(uri disk2)"
same_bytes disk2 "$T/nbdcopy.img"
say "holes survive nbdcopy and qemu-img, to files and to LUNs"

# what was agreed on outlives mpioctl restart
mkfifo "$T/go"
/usr/bin/python3 - "$(uri disk1)" "$T/go" <<'PY' &
import nbd, sys
h = nbd.NBD()
h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
h.connect_uri(sys.argv[1])
def look():
    got = []
    h.block_status(4 << 20, 0, lambda context, at, extents, error: got.append(extents))
    return got
before = look()
open(sys.argv[2]).read()
assert look() == before and len(before[0]) == 8, before
h.cache(4096, 0)
h.zero(4096, 60 << 20, nbd.CMD_FLAG_FAST_ZERO)
PY
client=$!
exec {GO}>"$T/go"
for _ in 1 2; do
	assert_contains "$(ctl restart -t "$WAIT")" restarted "mpioctl restart"
	mpiod_wait 2 disk1
	mpiod_wait 2 disk2
done
exec {GO}>&-
wait "$client" || fail "a client that knew base:allocation before the restart"
say "base:allocation outlives a restart"

# an answer that tells little at a time, from a path that is lost in the middle
before=$(map disk1)
changed 1 '"extents":1'
assert_eq "$(map disk1)" "$before" "the map, one extent at a time"
tt '{"do":"inject","what":"close","opcode":158,"action":18,"skip":1}' >/dev/null
assert_eq "$(map disk1)" "$before" "the map, with a session lost in the middle"
mpiod_wait 2 disk1
say "GET LBA STATUS is tried again on another path"

# without LBPRZ a hole is not said to read as zeroes, and is not taken for it by a copy
changed 1 '"lbprz":false,"extents":64'
assert_eq "$(map disk1 | awk '{ print $3 }' | sort -u | tr '\n' ' ')" "0 1 " "types without LBPRZ"
/usr/bin/python3 - "$(uri disk1)" <<'PY'
import nbd, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
h.trim(1 << 20, 1 << 20)
assert h.pread(1 << 20, 1 << 20) == b"\xdb" * (1 << 20)
h.zero(1 << 20, 20 << 20)
assert h.pread(1 << 20, 20 << 20) == bytes(1 << 20)
PY
nbdcopy "$(uri disk1)" "$T/garbage.img" # reads what is not said to be zeroes; qemu-img takes such holes for nothing at all
assert_eq "$(tail -c +$((M + 1)) "$T/garbage.img" | head -c $M | tr -d '\333' | wc -c)" 0 "other bytes in the hole"
say "without LBPRZ holes are no zeroes"

# it does not know the command, or is thick: all is data; the one is asked once, the other never
status_commands() { tt '{"do":"log","from":0}' | jq '[.log[] | select(.opcode == 158 and .lun == 1)] | length'; }
changed 1 '"lbprz":true,"lba_status":false'
n=$(status_commands)
for _ in 1 2 3; do expect_map disk1 "0 $((64 * M)) 0"; done
assert_eq $(($(status_commands) - n)) 1 "GET LBA STATUS that was refused"
changed 1 '"lba_status":true,"thin":false'
n=$(status_commands)
expect_map disk1 "0 $((64 * M)) 0"
assert_eq "$(status_commands)" "$n" "GET LBA STATUS on a thick LUN"
nbdcopy "$(uri disk1)" "$T/thick.img"
same_bytes disk1 "$T/thick.img"
say "a LUN that does not say holds data"

# WRITE SAME is refused: quick zeroes are refused at once, plain ones are written
tt '{"do":"inject","what":"status","status":2,"key":5,"asc":32,"ascq":0,"opcode":147,"count":0}' >/dev/null
/usr/bin/python3 - "$(uri disk1)" <<'PY'
import errno, nbd, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
h.pwrite(b"z" * 4096, 0)
for _ in range(2):
    try:
        h.zero(4096, 0, nbd.CMD_FLAG_FAST_ZERO)
    except nbd.Error as x:
        assert x.errnum == errno.ENOTSUP, x
    else:
        raise SystemExit("quick zeroes without WRITE SAME")
assert h.pread(4096, 0) == b"z" * 4096
h.zero(4096, 0)
assert h.pread(4096, 0) == bytes(4096)
PY
say "quick zeroes are refused where they would not be quick"
mpiod_down
tt_down

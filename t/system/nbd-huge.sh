#!/bin/bash
# TRIM and WRITE_ZEROES of nearly 4 GiB, the most that a request can say, do what they say and not a byte more; FUA goes with any command.
. "$(dirname "$0")/../lib.sh"
/usr/bin/python3 -c 'import nbd' 2>/dev/null || skip "without python3-libnbd"

net_up 2
tgt_up
tgt_target
tgt_lun 1 5G # sparse, and what is unmapped there is punched out
tgta --mode logicalunit --op update --tid 1 --lun 1 --params thin_provisioning=1
conf 'probation = off'
mpiod_up
mpiod_wait 2
timeout "$WAIT" /usr/bin/python3 - "$(uri "$(lun_name)")" <<'PY' || fail "see above"
import nbd, sys
h = nbd.NBD()
h.set_strict_mode(0)
h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
h.connect_uri(sys.argv[1])
MOST = 2**32 - 1
FUA = nbd.CMD_FLAG_FUA
PLACES = (0, 4096, 2**31 - 5, 2**32 - 4096, 2**32, 2**32 + 4096)

def mark():
    for at in PLACES:
        h.pwrite(b"M" * 4096, at, FUA)

def expect(begin, end, at):
    got = h.pread(4096, at)
    want = bytes(0 if begin <= at + i < end else 0x4d for i in range(4096))
    assert got == want, (begin, end, at, got[:8], got[-8:])

for what, begin, length, flags in (
        (h.zero, 4096, 2**32 - 4096, 0), (h.zero, 1, MOST, FUA), (h.zero, 4097, MOST, 0),
        (h.zero, 4096, 2**32 - 4096, nbd.CMD_FLAG_FAST_ZERO), (h.trim, 4096, 2**32 - 4096, FUA), (h.trim, 0, MOST, 0)):
    mark()
    what(length, begin, flags)
    h.flush()
    for at in PLACES:
        if what == h.zero:
            expect(begin, begin + length, at)
        elif not begin <= at < begin + length:  # the storage may keep what is trimmed
            expect(0, 0, at)

mark()
assert h.pread(4096, 4096, FUA) == b"M" * 4096
h.cache(4096, 4096, FUA)
extents = []
h.block_status(1 << 20, 0, lambda c, at, e, err: extents.extend(e), FUA)
assert sum(extents[::2]) >= 4096, extents
h.zero(4096, 4096, FUA)
h.trim(4096, 0, FUA)
assert h.pread(4096, 4096) == bytes(4096)
h.flush(FUA)
h.shutdown()
PY
mpiod_down

#!/bin/bash
# What the scripted target's LUNs say of themselves and do: pages, sizes, UNMAP, WRITE SAME, port groups and their states, changes
# with their unit attentions.
. "$(dirname "$0")/../lib.sh"

net_up 2
tt_up --lun 1:8 --lun 5:8:3001405000000005 --alua both
tt_check <<'PYTHON'
t.do("group", id=2, state=1) # both active, to begin with
i, j = login(), login(1, isid=2)

# INQUIRY and its pages, cut to the allocation length
a = i.run(inquiry(), read=512)
eq((a.data[0], a.data[2], a.data[5] >> 4, bytes(a.data[8:20])), (0, 6, 3, b"MPIOD   TEST"))
eq((len(a.data), a.residual), (96, 416))
eq(len(i.run(inquiry(alloc=36), read=36).data), 36)
eq(i.run(inquiry(), lun=9, read=512).data[0], 0x7F)
eq(list(i.run(inquiry(0), read=512).data[4:]), [0, 0x80, 0x83, 0xB0, 0xB1, 0xB2])
eq(i.run(inquiry(0x80), read=512).data[4:], b"T1")
p = j.run(inquiry(0x83), read=512, lun=5).data
eq(int.from_bytes(p[2:4], "big") + 4, len(p))
assert bytes.fromhex("01030008" + "3001405000000005") in p
assert bytes.fromhex("51940004" + "00000002") + bytes.fromhex("51950004" + "00000002") in p
eq(i.run(inquiry(0xC0), read=512).code, (5, 0x24, 0))
p = i.run(inquiry(0xB0), read=64).data
eq((int.from_bytes(p[20:24], "big"), int.from_bytes(p[24:28], "big")), (0x10000, 1))
eq(i.run(inquiry(0xB2), read=64).data[5], 0xC4)
luns = lambda x: x.run(struct.pack(">BB4xIBB", 0xA0, 0, 512, 0, 0), read=512).data
eq(luns(i).hex(), "0000001000000000" "0001000000000000" "0005000000000000")
capacity16 = lambda x, lun=1: struct.unpack_from(">QI", x.run(struct.pack(">BB8xIBB", 0x9E, 0x10, 32, 0, 0), lun, read=32).data)
eq(capacity16(i), (16383, 512))
eq(i.run(bytes([0x25]) + bytes(9), read=8).data.hex(), "00003fff00000200")
mode = lambda x: x.run(bytes([0x1A, 0, 8, 0, 255, 0]), read=255).data
eq((mode(i)[2], mode(i)[4], mode(i)[6]), (0x10, 8, 4))
eq(i.run(bytes([0x1A, 0, 0x1C, 0, 255, 0]), read=255).code, (5, 0x24, 0))
eq(i.run(bytes([3, 0, 0, 0, 18, 0]), read=18).data[2], 0)
for op in (bytes([0x35]) + bytes(9), bytes([0x91]) + bytes(15)):
    eq(i.run(op).status, 0)

# WRITE SAME and UNMAP, up to their limits; where data is
same = lambda lba, n, unmap=8: struct.pack(">BBQIBB", 0x93, unmap, lba, n, 0, 0)
def unmap(x, lba, n, cut=24, said=16):
    body = struct.pack(">HH4xQI4x", 22, said, lba, n)[:cut]
    return x.run(struct.pack(">BB5xHB", 0x42, 0, len(body), 0), write=body)
def runs(at, n):
    return t.do("bytes", lun=1, offset=at * 512, len=n * 512)["bytes"]
eq(i.run(same(100, 20, 0), write=b"s" * 512).status, 0)
eq(runs(99, 22), f"00*512 73*{20 * 512} 00*512")
eq(unmap(i, 105, 10).status, 0)
eq(runs(100, 20), f"73*{5 * 512} 00*{10 * 512} 73*{5 * 512}")
status = i.run(struct.pack(">BBQIBB", 0x9E, 0x12, 100, 512, 0, 0), read=512).data
eq([struct.unpack_from(">QIB", status, at) for at in (8, 24, 40)], [(100, 5, 0), (105, 10, 1), (115, 5, 0)])
eq(i.run(same(16383 - 7, 0), write=bytes(512)).status, 0)  # to the end
eq(t.log()[-1]["blocks"], 8)
eq([i.run(same(0, 1), write=bytes(1024)).code, i.run(same(16383, 2), write=bytes(512)).code,
    unmap(i, 16383, 2).code, unmap(i, 0, 1, cut=23).code, unmap(i, 0, 1, said=32).code, unmap(i, 0, 1, said=15).code],
   [(5, 0x24, 0), (5, 0x21, 0), (5, 0x21, 0), (5, 0x26, 0), (5, 0x26, 0), (5, 0x26, 0)])

# thin provisioning: what is mapped is not what holds zeroes; anchored blocks; a LUN that can't or won't tell
lba_status = lambda at, n=4096: i.run(struct.pack(">BBQIBB", 0x9E, 0x12, at, n, 0, 0), read=n)
def states(at, n):
    data = lba_status(at).data
    return [struct.unpack_from(">QIB", data, 8 + 16 * k) for k in range(n)]
eq(i.run(same(200, 10, 0), write=bytes(512)).status, 0)    # zeroes that are written are data
eq(i.run(same(203, 2, 0x18), write=bytes(512)).status, 0)  # UNMAP and ANCHOR
eq(i.run(same(206, 2), write=b"x" * 512).status, 0)        # only zeroes unmap
eq(states(200, 4), [(200, 3, 0), (203, 2, 2), (205, 5, 0), (210, 16383 - 7 - 210 + 8, 1)])
t.do("lun", lun=1, extents=2)
eq([len(lba_status(200).data), len(lba_status(200, 20).data), len(lba_status(200, 0).data or b"")], [40, 20, 0])
t.do("lun", lun=1, lbprz=False)
eq(unmap(i, 200, 1).status, 0)
eq(runs(200, 1), "db*512")
eq([i.run(inquiry(0xB2), read=64).data[5], i.run(struct.pack(">BB8xIBB", 0x9E, 0x10, 32, 0, 0), read=32).data[14]], [0xC0, 0x80])
t.do("lun", lun=1, lba_status=False)
eq(lba_status(0).code, (5, 0x20, 0))
t.do("lun", lun=1, lba_status=True, thin=False, lbprz=True)
eq((lba_status(0).code, i.run(struct.pack(">BB8xIBB", 0x9E, 0x10, 32, 0, 0), read=32).data[14]), ((5, 0x20, 0), 0))
t.do("lun", lun=1, thin=True, extents=64)
eq(lba_status(16384).code, (5, 0x21, 0))
prefetch = lambda at, n: i.run(struct.pack(">BBQIBB", 0x90, 2, at, n, 0, 0))
eq((prefetch(0, 16384).status, prefetch(0, 16385).code), (4, (5, 0x21, 0)))

# write protection
t.do("lun", lun=1, read_only=True, ua=True)
eq((i.settle(), j.settle()), ([(0x2A, 1)],) * 2)
eq(mode(i)[2], 0x90)
eq([x.code for x in (i.run(write16(0, 1), write=bytes(512)), i.run(same(0, 1), write=bytes(512)), unmap(i, 0, 1))],
   [(7, 0x27, 0)] * 3)
eq(i.run(read16(0, 1), read=512).status, 0)
t.do("lun", lun=1, read_only=False)

# size: growth keeps the data, what lies beyond can't be reached; other blocks
i.run(write16(16383, 1), write=b"z" * 512)
t.do("lun", lun=1, blocks=40000, ua=True)
eq((i.settle(), j.settle(5)), ([(0x2A, 9)], []))
eq((capacity16(i)[0], i.run(read16(16383, 2), read=1024).data), (39999, b"z" * 512 + bytes(512)))
t.do("lun", lun=1, blocks=16384)
eq(i.run(read16(16384, 1), read=512).code, (5, 0x21, 0))
t.do("lun", lun=1, block_size=4096)
eq((capacity16(i), len(i.run(read16(16383, 1), read=4096).data)), ((16383, 4096), 4096))
for bad in ({"block_size": 0}, {"block_size": 1000}, {"blocks": 0}, {"blocks": -1}, {"blocks": 2**60}, {"naa": "xyz"}):
    assert "error" in t.ask({"do": "lun", "lun": 1, **bad}), bad
eq(capacity16(i), (16383, 4096))
t.do("lun", lun=1, block_size=512)
t.do("lun", lun=5, blocks=2**32 + 10)  # 2 TiB: memory that is not written costs nothing
eq(i.run(write16(2**32 + 9, 1), lun=5, write=b"e" * 512).status, 0)
eq((capacity16(i, 5)[0], i.run(bytes([0x25]) + bytes(9), lun=5, read=8).data[:4].hex()), (2**32 + 9, "ffffffff"))
eq(i.run(read16(2**32 + 8, 2), lun=5, read=1024).data, bytes(512) + b"e" * 512)

# LUNs come and go, on a portal or on all; another one behind the same number
i.settle(), j.settle(), i.settle(5), j.settle(5)
t.do("lun", lun=6, new=True, portals=[1], blocks=100, ua=True)
eq(([i.settle(n) for n in (1, 5)], [j.settle(n) for n in (1, 5, 6)]), ([[(0x3F, 0xE)]] * 2, [[(0x3F, 0xE)]] * 3))
eq((len(luns(i)), len(luns(j))), (24, 32))
eq((i.run(bytes(6), lun=6).code, capacity16(j, 6)[0]), ((5, 0x25, 0), 99))
t.do("lun", lun=6, remove=True)
eq((j.run(bytes(6), lun=6).code, j.settle()), ((5, 0x25, 0), []))
t.do("lun", lun=1, portals=[0])
t.do("lun", lun=1, new=True, portals=[1], naa="6" + "2" * 31)
assert bytes.fromhex("6" + "2" * 31) in j.run(inquiry(0x83), read=512).data
t.do("lun", lun=1, at=1, serial="swapped", ua=True)
eq((i.settle(), j.settle(), i.run(inquiry(0x80), read=64).data[4:]), ([(0x3F, 3)], [(0x3F, 3)], b"T1"))
eq(j.run(inquiry(0x80), read=64).data[4:], b"swapped")
t.do("set", uas=False)
t.do("lun", lun=1, at=1, remove=True, ua=True)
t.do("lun", lun=1, portals=[0, 1], ua=True)
eq((i.settle(), j.settle()), ([], []))
t.do("set", uas=True)

# port groups
def groups(x, lun=1, ext=False):
    a = x.run(rtpg(ext), lun, read=1024)
    p = a.data
    eq(a.code, None)
    eq(int.from_bytes(p[:4], "big") + 4, len(p))
    at, seen = 8 if ext else 4, {}
    while at < len(p):
        seen[int.from_bytes(p[at + 2:at + 4], "big")] = (p[at] & 15, p[at] >> 7, p[at + 5])
        at += 8 + 4 * p[at + 7]
    return seen
eq((groups(i), groups(j, 5, True)), ({1: (0, 1, 0), 2: (1, 0, 2)},) * 2)
commands = {"test": bytes(6), "read": read16(0, 1), "inquiry": inquiry(), "luns": struct.pack(">BB4xIBB", 0xA0, 0, 512, 0, 0),
            "rtpg": rtpg(), "mode": bytes([0x1A, 0, 8, 0, 255, 0]), "keys": pr_in(0)}
for state, ascq, passes in ((2, 0x0B, "inquiry keys luns mode rtpg"), (3, 0x0C, "inquiry luns rtpg"),
                            (14, 0x12, "inquiry luns rtpg"), (15, 0x0A, "inquiry luns rtpg"), (1, 0, None), (0, 0, None)):
    t.do("group", id=2, state=state)
    eq((i.settle(), i.settle(5)), ([(0x2A, 6)],) * 2)
    eq(j.run(bytes(6)).code, (6, 0x2A, 6))
    j.run(bytes(6), lun=5)
    eq(groups(j)[2][0], state)
    codes = {name: j.run(cdb, read=1024 if cdb[0] else 0).code for name, cdb in commands.items()}
    eq(sorted(n for n, c in codes.items() if c is None), sorted(passes.split() if passes else commands))
    eq({c for c in codes.values() if c}, {(2, 4, ascq)} if passes else set())
    eq(i.run(read16(0, 1), read=512).status, 0)

# SET TARGET PORT GROUPS: everybody else is told; who was optimized is standby; wrong ones change nothing
def set_group(x, state, group, lun=1):
    cdb, body = stpg(state, group)
    return x.run(cdb, lun, write=body)
t.do("group", id=2, state=2)
i.settle(), i.settle(5), j.run(bytes(6)), j.run(bytes(6), lun=5)
eq(set_group(j, 0, 2).status, 0)
eq((groups(j), j.run(bytes(6)).status), ({1: (2, 1, 1), 2: (0, 0, 1)}, 0))
eq((i.run(bytes(6)).code, i.run(bytes(6)).code), ((6, 0x2A, 6), (2, 4, 0x0B)))
eq((set_group(j, 0, 7).code, set_group(j, 15, 1).code, set_group(j, 7, 1).code), ((5, 0x26, 0),) * 3)
eq(groups(j), {1: (2, 1, 1), 2: (0, 0, 1)})
t.do("lun", lun=1, tpgs=1)
eq(set_group(j, 0, 1).code, (5, 0x20, 0))
t.do("lun", lun=1, tpgs=0)
eq((j.run(rtpg(), read=64).code, i.run(read16(0, 1), read=512).status), ((5, 0x20, 0), 0))
t.do("lun", lun=1, tpgs=3)

# a state of its own for a LUN
j.settle(5), i.run(bytes(6), lun=5)
t.do("group", id=1, lun=5, state=0)
eq(i.run(bytes(6), lun=5).code, (6, 0x2A, 6))
eq((groups(i, 5)[1][0], groups(i, 1)[1][0]), (0, 2))
eq((i.run(read16(0, 1), lun=5, read=512).code, i.run(read16(0, 1), read=512).code),
   (None, (2, 4, 0x0B)))
eq(set_group(i, 0, 1).status, 0)
eq((groups(i, 1)[1][0], groups(i, 1)[2][0], groups(i, 5)[2][0]), (0, 2, 2))
PYTHON
tt_down

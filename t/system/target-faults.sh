#!/bin/bash
# Each fate that the scripted target can give a command is on the wire what its README says, and reaches the disk or not.
. "$(dirname "$0")/../lib.sh"

net_up 2
tt_up --lun 1:8 --lun 2:8
tt_check <<'PYTHON'
READ, WRITE, INQUIRY = 0x88, 0x8A, 0x12

def start():
    return len(t.log())

def reached(since):
    """LBAs of the writes that were executed since, in order"""
    return [e["lba"] for e in t.log(since) if e["opcode"] == WRITE]

def put(i, lba, fill=b"w", lun=1):
    return i.command(write16(lba, 1), lun, write=fill * 512)

def ends(i):
    """What comes before the end, and how it ends"""
    got = b""
    try:
        while more := i.s.recv(65536):
            got += more
        return got, "fin"
    except ConnectionResetError:
        return got, "rst"

i = login()

# which command: the first rule that is not used up decides; skip and count
t.inject("status", status=8, opcode=READ, lun=2, skip=1, count=2)
t.inject("status", status=0x28, opcode=READ, portal=1)
t.inject("status", status=0x40, opcode=INQUIRY, page=0x83)
t.inject("status", status=0x30, opcode=0x9E, action=0x12)
t.inject("status", status=0x18, opcode=READ, lba=105)
eq([i.run(read16(0, 1), lun=2, read=512).status for _ in range(5)], [0, 8, 8, 0, 0])
eq(i.run(read16(0, 1), read=512).status, 0)
j = login(1, isid=2)
eq([j.run(read16(0, 1), read=512).status for _ in range(2)], [0x28, 0])
eq([i.run(inquiry(), read=96).status, i.run(inquiry(0x80), read=96).status, i.run(inquiry(0x83), read=96).status,
    i.run(inquiry(0x83), read=96).status], [0, 0, 0x40, 0])
capacity = lambda action: struct.pack(">BB8xIBB", 0x9E, action, 32, 0, 0)
eq([i.run(capacity(0x10), read=32).status, i.run(capacity(0x12), read=32).status], [0, 0x30])
eq([i.run(read16(n, 8), read=4096).status for n in (96, 106, 98)], [0, 0, 0x18])
eq(t.counts()["hits"], [2, 1, 1, 1, 1])
t.do("clear")
eq(t.counts()["hits"], [])
for bad in ({"what": "nothing"}, {"what": "payload", "payload": "0g"}, {"what": "payload", "payload": "123"},
            {"what": "payload", "payload": "00" * 257}, {"what": "over", "bytes": 1 << 30}, {}):
    assert "error" in t.ask({"do": "inject", **bad}), bad

# status and sense data, in any form
s = start()
t.inject("status", status=2, key=3, asc=0x11, ascq=1)
a = i.answer(put(i, 10))
eq((a.status, a.code, a.sense[2], a.residual), (2, (3, 0x11, 1), 0x70, 512))
t.inject("status", status=2, key=3, asc=0x0C, ascq=0, descriptor=True, execute=True)
a = i.answer(put(i, 11))
eq((a.status, a.code, a.sense[2], len(a.sense)), (2, (3, 0x0C, 0), 0x72, 10))
t.inject("status", status=2, key=4, asc=0x44, ascq=0, deferred=True)
eq(i.answer(put(i, 12)).sense[2], 0x71)
t.inject("status", status=2)
eq(i.answer(put(i, 13)).sense, b"")
t.inject("status", status=2, key=3, asc=0x11, ascq=0, sense_bytes=5)
eq(i.answer(put(i, 14)).sense, bytes([0, 18, 0x70, 0, 3]))
t.inject("response", code=1)
a = i.answer(put(i, 15))
eq((a.response, a.status), (1, 0))
t.inject("status", status=0x22)
eq(i.run(read16(0, 1), read=512).status, 0x22)
eq(reached(s), [11])

# late, never
s = start()
t.inject("delay", ms=300)
begin = time.monotonic()
tag = put(i, 20)
time.sleep(0.1)
eq(reached(s), [])
eq(i.answer(tag).status, 0)
assert time.monotonic() - begin >= 0.29
eq(reached(s), [20])
t.inject("delay", ms=300, execute=True)
begin = time.monotonic()
tag = put(i, 21)
until("executed", lambda: reached(s) == [20, 21])
eq(i.answer(tag).status, 0)
assert time.monotonic() - begin >= 0.29
eq(reached(s), [20, 21])
t.inject("never")
t.inject("never", execute=True)
put(i, 22)
put(i, 23)
eq(i.answer(put(i, 24)).status, 0)  # the next one is answered
eq((i.strays, reached(s)), ([], [20, 21, 23, 24]))

# held: executed in order on release, also when the session is long gone, over what was written meanwhile
s = start()
t.inject("hold", opcode=WRITE, portal=0, count=0)
k = login(isid=3)
for lba in (30, 31):
    put(k, lba, b"o")
until("the first two", lambda: t.counts()["held"] == 2)  # of another connection: which of them is read first is chance
put(i, 32)
until("held", lambda: t.counts()["held"] == 3)
sessions = t.counts()["sessions"]
k.close(reset=True)
until("gone", lambda: t.counts()["sessions"] == sessions - 1)
eq(j.answer(put(j, 30, b"n")).status, 0)
eq(t.do("bytes", lun=1, offset=30 * 512, len=1024)["bytes"], "6e*512 00*512")
eq(t.counts()["held"], 3)
t.do("release")
eq(i.answer(i.itt).status, 0)
eq((reached(s), t.counts()["held"]), ([30, 30, 31, 32], 0))
eq(t.do("bytes", lun=1, offset=30 * 512, len=1024)["bytes"], "6f*1024")  # the late write won: as it must be here

# a portal that stalls with bytes inside: they are executed later, also when nobody waits any more
s = start()
k = login(isid=4)
t.do("portal", portal=0, stall=True)
for lba in range(40, 44):
    put(k, lba)
k.close(reset=True)
time.sleep(0.1)
eq(j.answer(put(j, 45)).status, 0)
eq(reached(s), [45])
t.do("portal", portal=0, window=63)  # and what it has to say to nobody does not make it forget them
t.do("portal", portal=0, window=64)
late = connect(isid=6)  # connects, is not answered
t.do("portal", portal=0, stall=False)
until("all of them", lambda: reached(s) == [45, 40, 41, 42, 43])
eq(late.login(), 0)

# the connection ends: after execution, with and without an answer's beginning
for fate, how, want in (("close", {}, "fin"), ("reset", {}, "rst"), ("cut", {"bytes": 20}, "fin"),
                        ("cut", {"bytes": 20, "reset": True}, "rst"), ("cut", {"bytes": 100000}, "fin")):
    s = start()
    k = login(isid=5)
    t.inject(fate, opcode=WRITE, **how)
    put(k, 50)
    got, end = ends(k)
    eq(reached(s), [50])
    if want == "fin":
        eq((end, len(got)), (want, min(how.get("bytes", 0), 48)))
    else:
        eq(end, want)
k = login(isid=5)
t.inject("cut", opcode=READ, bytes=48 + 100)
t.do("portal", portal=0, stall=True)  # so that both are read at once: nothing follows the cut
k.command(read16(0, 8), read=4096)
k.command(read16(0, 8), read=4096)
t.do("portal", portal=0, stall=False)
got, end = ends(k)
eq((got[0], got[1], len(got), end), (0x25, 0x81, 148, "fin"))

# reject: not executed
s = start()
t.inject("reject", code=9)
eq(i.answer(put(i, 60)).reject, 9)
eq(reached(s), [])

# data that lies
i.run(write16(64, 8), write=bytes(range(256)) * 16)
t.inject("short", bytes=1000)
a = i.run(read16(64, 8), read=4096)
eq((a.status, len(a.data), a.residual, a.flags & 6), (0, 1000, 0, 0))
t.inject("short", bytes=0)
a = i.run(read16(64, 8), read=4096)
eq((a.status, len(a.data), a.residual), (0, 0, 0))
t.inject("truncate", bytes=1000)
a = i.run(read16(64, 8), read=4096)
eq((len(a.data), a.residual, a.flags & 6), (1000, 3096, 2))
t.inject("over", bytes=100)
a = i.run(read16(64, 8), read=4096)
eq((len(a.data), a.data[4096:], a.residual), (4196, b"\xee" * 100, 0))
t.inject("overflow", bytes=100)
a = i.run(read16(64, 8), read=4096)
eq((len(a.data), a.residual, a.flags & 6), (4096, 100, 4))
t.inject("long", bytes=512)
eq(i.run(read16(64, 8), read=4096).pdus[0].u32(40), 512)
t.inject("payload", at=3, payload="0a0bff", opcode=READ)
eq(i.run(read16(64, 8), read=4096).data[:8], bytes([0, 1, 2, 0x0A, 0x0B, 0xFF, 6, 7]))
for cdb, at in ((inquiry(0x83), 2), (struct.pack(">BB4xIBB", 0xA0, 0, 512, 0, 0), 0)):
    right = i.run(cdb, read=512).data
    t.inject("payload", at=at, payload="ffff", opcode=cdb[0])
    a = i.run(cdb, read=512).data
    eq((len(a), a[at:at + 2]), (len(right), b"\xff\xff"))
t.inject("payload", at=4095, payload="aabbcc", opcode=READ)
eq(i.run(read16(64, 8), read=4096).data[4094:], bytes([254, 0xAA]))
t.inject("itt")
i.strays = []
i.run(read16(64, 8), read=4096)
eq((len(i.strays), i.strays[0].u32(16)), (1, i.itt ^ 0x5A5A5A))

# R2Ts
t.inject("nor2t")
begin = t.counts()["r2ts"]
tag = i.command(write16(70, 1), write=b"r" * 512, immediate=0)
i.nop()
eq(t.counts()["r2ts"], begin)
eq(i.manage(1, 1, tag), 0)
t.inject("badr2t", at=512, bytes=64)
tag = i.command(write16(70, 2), write=b"r" * 1024, immediate=0)
eq(i.answer(tag, b"").r2ts, [(512, 1088)])
eq(i.manage(1, 1, tag), 0)

# between two commands: what "then" says is done once the first is
t.inject("pass", opcode=READ, then={"do": "lun", "lun": 1, "naa": "6001405" + "9" * 25, "ua": True})
eq(i.run(read16(0, 1), read=512).status, 0)
eq([i.run(read16(0, 1), read=512).code, i.run(read16(0, 1), read=512).code], [(6, 0x3F, 3), None])
eq(j.settle(), [(0x3F, 3)])
assert bytes.fromhex("6001405" + "9" * 25) in i.run(inquiry(0x83), read=512).data
t.inject("pass", opcode=WRITE, then={"do": "clear"})
t.inject("never", opcode=READ, count=0)
eq(i.answer(put(i, 80)).status, 0)
eq(i.run(read16(0, 1), read=512).status, 0)

# NOPs without an answer while commands have theirs; messages; unit attentions
t.do("portal", portal=0, nops=False)
h = i.header(0, immediate=True)
struct.pack_into(">I", h, 20, 0xFFFFFFFF)
i.send(h)
eq(i.run(read16(0, 1), read=512).status, 0)
t.do("portal", portal=0, nops=True)
eq(i.nop().op, 0x20)
t.do("async", event=1, p3=10, portal=0)
p = i.recv()
eq((p.op, p.bhs[36], p.bhs[42:44]), (0x32, 1, b"\0\x0a"))
t.do("ua", lun=1, asc=0x29, ascq=2, portal=0)
eq((i.settle(), j.settle()), ([(0x29, 2)], []))
t.do("drop", portal=0, reset=True)
eq(ends(i)[1], "rst")
eq(j.run(bytes(6)).status, 0)
n = t.counts()
assert n["logouts"] == 0 and n["executed"]["8a"] > 10, n

# the control socket: several lines at once, half a line, no JSON
t.s.sendall(b'{"do":"clear"}\n{"do":"set"}\n{"do":"cl')
eq([json.loads(t.f.readline()) for _ in range(2)], [{"ok": True}] * 2)
t.s.sendall(b'ear"}\nhello\n')
eq(json.loads(t.f.readline()), {"ok": True})
assert "error" in json.loads(t.f.readline())
assert "error" in t.ask({"do": "dance"}) and "error" in t.ask([1])
PYTHON
tt_down

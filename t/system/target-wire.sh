#!/bin/bash
# The scripted target on the wire: logins, CHAP, SendTargets, data asked for and unasked, task management, reinstatement, windows.
. "$(dirname "$0")/../lib.sh"

net_up 2
tt_up --lun 1:8 --lun 2:8
tt_check <<'PYTHON'
# logins
i = connect()
eq(i.login(), 0)
eq(i.told["TargetPortalGroupTag"] if "TargetPortalGroupTag" in i.told else "1", "1")
eq(i.run(bytes(6)).code, (6, 0x29, 0))
eq(i.run(bytes(6)).status, 0)
eq(i.nop(b"hello").data, b"hello")
eq(i.run(bytes(6), lun=9).code, (5, 0x25, 0))
eq(i.run(bytes([0xC1, 0, 0, 0, 0, 0])).code, (5, 0x20, 0))
p = i.logout()
eq((p.op, p.bhs[2]), (0x26, 0))
eq(i.s.recv(1), b"")
wrong = Initiator("10.77.1.2", 3260, "iqn.2026-01.org.mpiod.test:nobody")
eq(wrong.login(), 0x0203)
d = connect()
eq(d.login(discovery=True), 0)
eq(d.send_targets(), ["TargetName=" + IQN, "TargetAddress=10.77.1.2:3260,1", "TargetAddress=10.77.2.2:3260,2"])
t.do("portal", portal=1, told=False)
eq(d.send_targets(), ["TargetName=" + IQN, "TargetAddress=10.77.1.2:3260,1"])
t.do("portal", portal=1, told=True, refuse=0x0301)
eq(connect(1).login(), 0x0301)
t.do("portal", portal=1, refuse=0, redirect="10.77.1.2:3260")
eq(connect(1).login(), 0x0101)
t.do("portal", portal=1, redirect="", closed=True)
try:
    eq(connect(1).login(), None)
except ConnectionResetError:
    pass
t.do("portal", portal=1, closed=False)
eq(connect(1).login(), 0)

# data: immediate, unsolicited, asked for; the counts tell them apart
i = login()
data = os.urandom(300 * 1024)
before, start = t.counts(), t.do("log")["log"][-1]["n"] + 1
a = i.run(write16(8, 600), write=data, immediate=4096, unsolicited=8192)
eq((a.status, a.r2ts), (0, [(12288, 262144), (274432, 32768)]))
after = t.counts()
eq([after[k] - before[k] for k in ("immediate", "unsolicited", "r2ts")], [4096, 8192, 2])
a = i.run(read16(8, 600), read=len(data))
assert a.data == data
eq(len(a.pdus), 2)
log = t.log(start)
import zlib
eq([(e["opcode"], e["lba"], e["blocks"], e["portal"], e["lun"]) for e in log],
   [(0x8A, 8, 600, 0, 1), (0x88, 8, 600, 0, 1)])
eq(log[0]["crc"], zlib.crc32(data))
cdb10 = lambda op, lba, n: struct.pack(">BBIBHB", op, 0, lba, 0, n, 0)
eq(i.run(cdb10(0x2A, 4, 2), write=b"x" * 1024).status, 0)
eq(i.run(cdb10(0x28, 4, 2), read=1024).data, b"x" * 1024)
eq(t.do("bytes", lun=1, offset=2048, len=2048)["bytes"], "78*1024 00*1024")
eq(i.run(read16(16384 - 1, 2), read=1024).code, (5, 0x21, 0))
eq(i.run(read16(2**63, 2), read=1024).code, (5, 0x21, 0))
eq(i.run(write16(2**64 - 1, 1), write=bytes(512)).code, (5, 0x21, 0))
a = i.run(read16(0, 1), read=1024) # more room than data
eq((len(a.data), a.residual, a.flags & 2), (512, 512, 2))
a = i.run(read16(0, 2), read=512)
eq((len(a.data), a.residual, a.flags & 4), (512, 512, 4))

# what was agreed on is insisted on
strict = login(isid=2, InitialR2T="Yes", ImmediateData="No", MaxBurstLength="8192", FirstBurstLength="4096",
               MaxRecvDataSegmentLength="1024")
a = strict.run(write16(0, 40), write=bytes(20480), immediate=0)
eq((a.status, a.r2ts), (0, [(0, 8192), (8192, 8192), (16384, 4096)]))
a = strict.run(read16(0, 8), read=4096)
eq([len(p.data) for p in a.pdus], [1024] * 4)
before = t.counts()["violations"]
eq(strict.run(write16(0, 1), write=bytes(512)).reject, 4)
eq(t.counts()["violations"], before + 1)
try:
    eq(strict.s.recv(1), b"")
except ConnectionResetError:
    pass

for ttt, at, n in ((7, 0, 512), (None, 512, 512), (None, 0, 513)): # not what was asked for
    loose = login(isid=2)
    before, start = t.counts()["violations"], len(t.log())
    tag = loose.command(write16(0, 1), write=bytes(512), immediate=0)
    r2t = loose.recv()
    loose.data_out(tag, r2t.u32(20) if ttt is None else r2t.u32(20) + ttt, at, bytes(n))
    eq((loose.answer(tag).reject, t.counts()["violations"], len(t.log())), (4, before + 1, start))

# task management: a command that is held goes, one that is not there does not
t.inject("hold", opcode=0x8A)
start = len(t.log())
held = i.command(write16(100, 1), write=b"h" * 512)
until("held", lambda: t.counts()["held"] == 1)
eq(i.manage(1, 1, held ^ 0x1000), 1)
eq(i.manage(1, 1, held), 0)
eq(t.counts()["held"], 0)
t.do("clear")
t.inject("hold", opcode=0x8A, count=0)
other = login(1, isid=3)
i.command(write16(100, 1), write=b"h" * 512)
other.command(write16(101, 1), write=b"h" * 512)
other.command(write16(101, 1), lun=2, write=b"h" * 512)
until("held", lambda: t.counts()["held"] == 3)
eq(i.manage(2, 1), 0)       # ABORT TASK SET: its own
eq(t.counts()["held"], 2)
eq(i.manage(5, 1), 0)       # LOGICAL UNIT RESET: everybody's, on this LUN
eq(t.counts()["held"], 1)
eq(i.manage(5, 9), 2)
eq(i.manage(3, 1), 5)
t.do("release")
eq(other.answer(other.itt).status, 0)
eq([(e["lun"], e["lba"]) for e in t.log(start) if e["opcode"] == 0x8A], [(2, 101)])
eq((i.settle(), other.settle(), other.settle(2)), ([(0x29, 3)], [(0x29, 3)], []))

# reinstatement: the same name, ISID and group; the older session and what it left end
def left_behind(by):
    t.inject("hold", opcode=0x8A)
    tag = by.command(write16(200, 1), write=b"o" * 512)
    until("held", lambda: t.counts()["held"] == 1)
sessions = t.counts()["sessions"]
for on in (True, False):
    t.do("set", reinstate=on)
    older = login(isid=9)
    left_behind(older)
    n, start = t.counts(), len(t.log())
    apart = login(1, isid=9)  # another portal group: another nexus
    newer = login(isid=9)
    eq(t.counts()["reinstated"] - n["reinstated"], int(on))
    eq(t.counts()["held"], 0 if on else 1)
    t.do("release")
    eq([e["lba"] for e in t.log(start) if e["opcode"] == 0x8A], [] if on else [200])
    if on:
        eq(older.s.recv(1), b"")
    else:
        eq(older.answer(older.itt).status, 0)
    eq((newer.run(bytes(6)).status, apart.run(bytes(6)).status), (0, 0))
    apart.logout()
    newer.logout()
    until("gone", lambda: t.counts()["sessions"] == sessions + (not on))
t.do("set", reinstate=True)

# windows
i = login(isid=20)
eq(i.nop() and i.window, 64)
for n in (1, 0, -3):
    t.do("portal", portal=0, window=n)
    p = i.recv()
    eq((p.op, p.u32(16), p.u32(20)), (0x20, 0xFFFFFFFF, 0xFFFFFFFF))
    eq((i.window + 2**31) % 2**32 - 2**31, n)
eq(i.run(bytes(6)).status, 0) # once told a window does not shrink
eq(t.counts()["beyond_window"], 0)
t.do("portal", portal=0, window=0)
j = login(isid=21)            # closed from the start
assert t.counts()["beyond_window"] > 0
t.do("clear")
eq(i.recv().op, 0x20)
PYTHON
tt_down

tt_up --lun 1:8 --chap alice:alice-secret-1 --mutual array:array-secret-1
tt_check <<'PYTHON'
alice = ("alice", "alice-secret-1")
eq(connect().login(chap=alice), 0)
eq(connect().login(chap=alice, mutual="array-secret-1"), 0)
eq(connect().login(chap=alice, mutual="array-secret-2"), -1)
eq(connect().login(chap=("alice", "alice-secret-2")), 0x0201)
eq(connect().login(chap=("bob", "alice-secret-1")), 0x0201)
eq(connect().login(), 0x0201)
eq(connect().login(discovery=True), 0x0201)
skipped = connect()
eq(skipped.login_step(1, 3, {"InitiatorName": skipped.name, "TargetName": IQN})[0], 0x0201)
for csg, nsg in ((2, 3), (3, 3), (0, 2), (1, 1)):
    i = connect()
    assert i.login_step(csg, nsg, {"InitiatorName": i.name, "TargetName": IQN})[0] != 0, (csg, nsg)
PYTHON

#!/bin/bash
# Persistent reservations of the scripted target: who may do what under each type, who takes what from whom, who is told, what is aborted.
. "$(dirname "$0")/../lib.sh"

net_up 2
tt_up --lun 1:8 --lun 2:8
tt_check <<'PYTHON'
REGISTER, RESERVE, RELEASE, CLEAR, PREEMPT, PREEMPT_ABORT, IGNORE = range(7)
WE, EA, WE_RO, EA_RO, WE_AR, EA_AR = 1, 3, 5, 6, 7, 8
CONFLICT = 0x18
A, B, C = 0xAA, 0xBB, 0xCC
a, b = login(0, isid=1), login(1, isid=2)
c = login(0, isid=3, name="iqn.2026-01.org.mpiod.test:other")

def out(x, action, kind=0, key=0, service=0, lun=1):
    cdb, body = pr_out(action, kind, key, service)
    r = x.run(cdb, lun, write=body)
    return r.code or r.status

def holder(x=None):
    p = (x or a).run(pr_in(1), read=4096).data
    return (int.from_bytes(p[8:16], "big"), p[21]) if len(p) == 24 else None

def keys(x=None):
    r = (x or a).run(pr_in(0), read=4096)
    p = r.data
    eq((r.status, r.code), (0, None))
    eq(int.from_bytes(p[4:8], "big") + 8, len(p))
    return sorted(int.from_bytes(p[n:n + 8], "big") for n in range(8, len(p), 8))

def generation():
    return int.from_bytes(a.run(pr_in(0), read=4096).data[:4], "big")

def may(x):
    """Of w(rite), r(ead), s(ync), m(ode sense), l(ba status): what is let pass. TEST UNIT READY and READ CAPACITY always are."""
    eq(x.run(bytes(6)).status, 0)
    eq(x.run(struct.pack(">BB8xIBB", 0x9E, 0x10, 32, 0, 0), read=32).status, 0)
    seen = {"w": x.run(write16(0, 1), write=bytes(512)).status, "r": x.run(read16(0, 1), read=512).status,
            "s": x.run(bytes([0x91]) + bytes(15)).status, "m": x.run(bytes([0x1A, 0, 8, 0, 64, 0]), read=64).status,
            "l": x.run(struct.pack(">BB8xIBB", 0x9E, 0x12, 64, 0, 0), read=64).status}
    assert set(seen.values()) <= {0, CONFLICT}, seen
    return "".join(k for k in seen if seen[k] == 0)

def settle():
    return [x.settle() for x in (a, b, c)]

ALL, NONE = "wrsml", [[], [], []]

# registering
eq(out(a, REGISTER, key=1, service=A), CONFLICT)      # not registered: the key has to be 0
eq(out(a, RESERVE, WE, key=A), CONFLICT)
eq((out(a, REGISTER, service=A), out(b, IGNORE, key=99, service=B), keys()), (0, 0, [A, B]))
eq((out(a, REGISTER, key=B, service=C), out(a, REGISTER, service=C), keys()), (CONFLICT, CONFLICT, [A, B]))
eq((out(a, REGISTER, key=A, service=C), keys(), out(a, IGNORE, service=A), keys()), (0, [B, C], 0, [A, B]))
eq((out(c, REGISTER, service=0), generation()), (0, 4))
eq((t.do("keys", lun=1)["keys"], t.do("keys", lun=2)["keys"]), (["00000000000000aa", "00000000000000bb"], []))
eq(out(a, RESERVE, WE, key=B), CONFLICT)
eq([out(a, RESERVE, n, key=A) for n in (0, 2, 4, 9, 0x11)], [(5, 0x24, 0)] * 5)
eq(out(a, 9, WE, key=A), (5, 0x24, 0))
cdb, body = pr_out(RESERVE, WE, A)
eq((a.run(cdb, write=body[:20]).code, a.run(cdb, write=body[:20] + b"\1\0\0\0").code), ((5, 0x1A, 0), (5, 0x26, 0)))
eq((holder(), may(c)), (None, ALL))

# each type: a holds it, b is registered, c is not
for kind, registered, stranger in ((WE, "rl", "rl"), (EA, "", ""), (WE_RO, ALL, "rl"), (EA_RO, ALL, ""), (WE_AR, ALL, "rl"),
                                   (EA_AR, ALL, "")):
    eq((out(a, RESERVE, kind, key=A), out(a, RESERVE, kind, key=A)), (0, 0))
    eq(holder(), (0 if kind >= WE_AR else A, kind))
    eq((may(a), may(b), may(c)), (ALL, registered, stranger))
    eq(may(c) == stranger and c.run(write16(0, 1), lun=2, write=bytes(512)).status, 0) # another LUN is free
    eq(out(a, RESERVE, WE if kind != WE else EA, key=A), CONFLICT)
    eq(out(b, RESERVE, kind, key=B), 0 if kind >= WE_AR else CONFLICT)
    eq(out(a, RELEASE, WE if kind != WE else EA, key=A), (5, 0x26, 4))
    if kind < WE_AR:
        eq((out(b, RELEASE, kind, key=B), holder() is None), (0, False))    # not the holder: nothing, and no error
    eq((out(a, RELEASE, kind, key=A), holder(), may(c)) if kind < WE_RO else out(a, RELEASE, kind, key=A),
       (0, None, ALL) if kind < WE_RO else 0)
    eq(settle(), [[], [(0x2A, 4)], []] if kind >= WE_RO else NONE)
    eq((holder(), may(c)), (None, ALL))

# the holder leaves
eq((out(a, RESERVE, WE_RO, key=A), out(a, REGISTER, key=A, service=0)), (0, 0))
eq((settle(), holder(), keys()), ([[], [(0x2A, 4)], []], None, [B]))
eq((out(a, REGISTER, service=A), out(a, RESERVE, WE_AR, key=A), out(a, REGISTER, key=A, service=0), holder()), (0, 0, 0, (0, WE_AR)))
eq((out(b, REGISTER, key=B), holder(), keys(), settle()), (0, None, [], NONE))

# CLEAR
for x, key in ((a, A), (b, B)):
    out(x, REGISTER, service=key)
out(a, RESERVE, EA, key=A)
eq((out(c, CLEAR, key=A), out(b, CLEAR, key=B)), (CONFLICT, 0))
eq((settle(), holder(), keys()), ([[(0x2A, 3)], [], []], None, []))

# PREEMPT: of a registration, of the holder, of nobody; with all registrants, of everybody
def three(kind=0):
    for x, key in ((a, A), (b, B), (c, C)):
        eq(out(x, IGNORE, service=key), 0)
    if kind:
        eq(out(a, RESERVE, kind, key=A), 0)
def over():
    settle()
    key = {A: a, B: b, C: c}
    k = keys()[0]
    eq(out(key[k], CLEAR, key=k), 0)
    settle()

three(WE)
eq((out(b, PREEMPT, EA, key=B, service=C), holder(b), keys(b), settle()), (0, (A, WE), [A, B], [[], [], [(0x2A, 5)]]))
eq(out(b, PREEMPT, EA, key=B, service=0x77), CONFLICT)
eq(out(b, PREEMPT, EA, key=B, service=0), (5, 0x26, 0))
eq((out(b, PREEMPT, EA, key=B, service=A), holder(b), keys(b), settle()), (0, (B, EA), [B], [[(0x2A, 5)], [], []]))
eq(may(a), "")
eq(out(b, PREEMPT, WE, key=B, service=B), 0) # of itself: another type
eq((holder(b), keys(b)), ((B, WE), [B]))
over()
three(WE_RO)
eq((out(b, PREEMPT, WE, key=B, service=A), holder(b), settle()), (0, (B, WE), [[(0x2A, 5)], [], [(0x2A, 4)]]))
over()
three(WE_AR)
eq((out(b, PREEMPT, WE, key=B, service=A), holder(b), keys(b), settle()), (0, (0, WE_AR), [B, C], [[(0x2A, 5)], [], []]))
eq((out(b, PREEMPT, WE_AR, key=B, service=0), holder(b), keys(b), settle()), (0, (0, WE_AR), [B], [[], [], [(0x2A, 5)]]))
over()

# PREEMPT ends no command; what is executed once its nexus has lost its place meets the reservation. PREEMPT AND ABORT ends them
for action, ends in ((PREEMPT, False), (PREEMPT_ABORT, True)):
    three(WE_AR)
    t.inject("hold", opcode=0x8A, count=0)
    for lun in (1, 2):
        a.command(write16(50, 1), lun, write=b"L" * 512)
    until("held", lambda: t.counts()["held"] == 2)
    start = len(t.log())
    eq(out(b, action, WE_AR, key=B, service=A), 0)
    eq(t.counts()["held"], 1 if ends else 2)
    t.do("release")
    until("done", lambda: t.counts()["held"] == 0)
    eq([(e["lun"], e["status"]) for e in t.log(start) if e["opcode"] == 0x8A], ([] if ends else [(1, 2)]) + [(2, 0)])
    eq(t.do("bytes", lun=1, offset=50 * 512, len=512)["bytes"], "00*512")
    a = login(0, isid=1)  # what it was told last is not to be mixed up with what comes
    eq(a.run(write16(50, 1), write=bytes(512)).status, CONFLICT)
    over()

# a registration outlives its session, and reinstatement
three(WE_AR)
a.close()
a = login(0, isid=1)
eq((keys(), may(a)), ([A, B, C], ALL))
d = login(0, isid=4) # the same host, another nexus
eq(may(d), "rl")

# READ FULL STATUS, REPORT CAPABILITIES
p, at, seen = a.run(pr_in(3), read=4096).data, 8, {}
eq(int.from_bytes(p[4:8], "big") + 8, len(p))
while at < len(p):
    n = int.from_bytes(p[at + 20:at + 24], "big")
    name = bytes(p[at + 28:at + 24 + n]).rstrip(b"\0").decode()
    seen[int.from_bytes(p[at:at + 8], "big")] = (p[at + 12], p[at + 13], int.from_bytes(p[at + 18:at + 20], "big"), name)
    at += 24 + n
eq(seen, {A: (1, 7, 1, a.name + ",i,0x800000000001"), B: (1, 7, 2, b.name + ",i,0x800000000002"),
          C: (1, 7, 1, c.name + ",i,0x800000000003")})
eq(a.run(pr_in(2), read=4096).data.hex(), "0008" "0080" "ea01" "0000")
eq((a.run(pr_in(4), read=4096).code, len(a.run(pr_in(0, alloc=8), read=8).data)), ((5, 0x24, 0), 8))
PYTHON
tt_down

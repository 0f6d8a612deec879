#!/bin/bash
# Whatever an initiator sends, the scripted target neither crashes nor reads out of bounds, and serves the next one.
. "$(dirname "$0")/../lib.sh"

net_up 2
tt_up --lun 1:8 --lun 2:8 --alua both
tt_check "${SEED:-1}" <<'PYTHON'
import random

seed = int(sys.argv[0])
r = random.Random(seed)
OPCODES = [0x00, 0x03, 0x12, 0x1A, 0x25, 0x28, 0x2A, 0x35, 0x42, 0x5E, 0x5F, 0x88, 0x8A, 0x91, 0x93, 0x9E, 0xA0, 0xA3, 0xA4]
EDGES = [0, 1, 2, 7, 8, 15, 16, 255, 256, 511, 512, 513, 65535, 65536, 2**24 - 1, 2**31, 2**32 - 1]

def number(n):
    """n bytes, often at an edge"""
    return (r.choice(EDGES) if r.random() < 0.5 else r.getrandbits(8 * n)) .to_bytes(8, "big")[-n:]

def cdb():
    c = bytearray([r.choice(OPCODES)] + [0] * 15)
    c[1] = r.choice([0, 0, 1, 8, 10, 0x10, 0x12, 0x2A, 3, 4, 5, 6, r.getrandbits(8)])
    for at, n in r.sample([(2, 4), (2, 8), (7, 2), (10, 4), (6, 4), (2, 1), (3, 2)], r.randrange(4)):
        c[at:at + n] = number(n)
    return bytes(c)

def one(i):
    kind = r.random()
    if kind < 0.6:  # a command, right in form; lengths are not
        write = r.random() < 0.5
        data = r.randbytes(r.choice([0, 1, 8, 24, 24, 512, 512, 4096, 70000]))
        tag = i.command(cdb(), r.choice([1, 2, 7]), 0 if write else r.choice([0, 4, 36, 255, 512, 4096, 65536]),
                        write=data if write else None, immediate=r.choice([0, 4, 512, 65536]))
        i.answer(tag, data if write else None)
    elif kind < 0.8:  # a header of noise: the connection is lost now or later
        h = bytearray(r.randbytes(48))
        h[0] = r.choice([0, 1, 2, 3, 4, 5, 6, 0x10, 0x1F]) | 0x40
        h[4] = r.choice([0, 0, 0, 1, 255])
        i.s.sendall(bytes(h[:5]) + number(3) + bytes(h[8:]) + r.randbytes(r.choice([0, 100, 2000])))
        i.s.shutdown(socket.SHUT_WR)
        while i.s.recv(65536):
            pass
        raise EOFError
    elif kind < 0.9:  # data that nobody asked for
        tag = i.command(write16(0, 16), write=bytes(8192), immediate=0)
        i.data_out(r.choice([tag, tag + 1]), r.choice([0xFFFFFFFF, 1, r.getrandbits(32)]), r.choice(EDGES), r.randbytes(r.choice(EDGES[:13])))
        i.answer(tag, bytes(8192))
    else:
        i.manage(r.randrange(16), r.choice([1, 2, 7]), r.choice([i.itt, 0xFFFFFFFF]))

def login_noise():
    i = connect(r.randrange(2), isid=r.randrange(4))
    keys = {"InitiatorName": i.name * r.choice([1, 1, 9]), "SessionType": r.choice(["Normal", "Discovery", "", "x" * 5000]),
            "TargetName": IQN, "AuthMethod": "None", "MaxBurstLength": r.choice(["0", "-1", "99999999999999999999", "512", ""]),
            "FirstBurstLength": r.choice(["0", "16777215", "512"]), "MaxRecvDataSegmentLength": r.choice(["0", "1", "16777215"])}
    text = i.text({k: v for k, v in keys.items() if r.random() < 0.9})
    h = bytearray(r.randbytes(48))
    h[0], h[1], h[4] = 0x43, r.choice([0x81, 0x83, 0x87, 0x87, r.getrandbits(8)]), 0
    i.send(h, text[:r.choice([len(text), r.randrange(len(text) + 1)])])
    return i

begin, n, lost = time.monotonic(), 0, 0
while time.monotonic() - begin < float(os.environ.get("FUZZ_SECONDS", "6")):
    try:
        i = login_noise()
        i.s.settimeout(0.2)
        i.recv()
        i = connect(isid=r.randrange(8))
        i.s.settimeout(0.2)
        i.login()
        for _ in range(50):
            n += 1
            one(i)
    except (EOFError, OSError, struct.error, AssertionError, UnicodeDecodeError):
        lost += 1
t.do("clear")
i = login(isid=99, name="iqn.2026-01.org.mpiod.test:last")
out, body = pr_out(6, service=1)
eq(i.run(out, write=body).status, 0)
out, body = pr_out(3, key=1)
eq(i.run(out, write=body).status, 0)
t.do("group", id=1, state=0)
i.settle()
eq(i.run(write16(0, 8), write=b"k" * 4096).status, 0)
eq(i.run(read16(0, 8), read=4096).data, b"k" * 4096)
print(f"{n} PDUs of seed {seed}, {lost} connections ended")
assert n > 300 and lost > 10
PYTHON
tt_down

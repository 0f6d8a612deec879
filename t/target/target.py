# SPDX-License-Identifier: MIT
"""The control socket of t-target (README.md), and an initiator of a few lines that sees each PDU.

    t = Target("/path/to/control.sock")
    t.do("inject", what="status", status=8, opcode=0x28)
    i = Initiator("127.0.0.1", 3260, "iqn...:target"); i.login()
    answer = i.run(cdb, read=512)        # answer.status, .sense, .data, .residual

Also a program: target.py SOCKET JSON prints the answer and fails where it is an error.
"""
import hashlib
import json
import os
import socket
import struct
import sys


class Target:
    def __init__(self, path):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.connect(path)
        self.f = self.s.makefile("rb")

    def ask(self, o):
        self.s.sendall(json.dumps(o).encode() + b"\n")
        return json.loads(self.f.readline())

    def do(self, what, **keys):
        return self.good({"do": what, **keys})

    def inject(self, what, **keys):
        return self.good({"do": "inject", "what": what, **keys})

    def good(self, o):
        answer = self.ask(o)
        if "error" in answer:
            raise RuntimeError(f"t-target: {o}: {answer['error']}")
        return answer

    def counts(self):
        return self.do("counts")

    def log(self, since=0):
        return self.do("log", **{"from": since})["log"]


class PDU:
    def __init__(self, bhs, data):
        self.bhs, self.data, self.op = bhs, data, bhs[0] & 0x3F

    def u32(self, at):
        return struct.unpack_from(">I", self.bhs, at)[0]


class Answer:
    def __init__(self):
        self.status = self.response = None
        self.data, self.sense, self.residual, self.flags = bytearray(), b"", 0, 0
        self.r2ts, self.pdus, self.reject = [], [], None

    @property
    def code(self):
        """(key, asc, ascq), None without sense data"""
        s = self.sense[2:]
        if len(s) < 4:
            return None
        return (s[1] & 15, s[2], s[3]) if s[0] & 0x7F >= 0x72 else (s[2] & 15, s[12], s[13])


class Initiator:
    def __init__(self, addr, port, iqn, name="iqn.2026-01.org.mpiod.test:raw", isid=1, **keys):
        self.iqn, self.name, self.isid = iqn, name, isid
        self.keys = {"InitialR2T": "No", "ImmediateData": "Yes", "MaxRecvDataSegmentLength": "262144",
                     "MaxBurstLength": "262144", "FirstBurstLength": "65536", "HeaderDigest": "None", **keys}
        self.itt, self.cmdsn, self.expstatsn = 0, 1, 0
        self.s = socket.create_connection((addr, port), timeout=20)
        self.s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.window, self.strays = None, []

    # ---- PDUs ----

    def send(self, bhs, data=b"", length=None):
        bhs = bytearray(bhs)
        bhs[5:8] = struct.pack(">I", len(data) if length is None else length)[1:]
        self.s.sendall(bytes(bhs) + data + bytes(-len(data) % 4))

    def exact(self, n):
        got = b""
        while len(got) < n:
            more = self.s.recv(n - len(got))
            if not more:
                raise EOFError(f"the end after {len(got)} of {n} bytes")
            got += more
        return got

    def recv(self):
        bhs = self.exact(48)
        n = int.from_bytes(bhs[5:8], "big")
        data = self.exact(bhs[4] * 4 + n + -n % 4)[bhs[4] * 4:]
        p = PDU(bhs, data[:n])
        self.window = p.u32(32) - p.u32(28) + 1
        return p

    def header(self, op, flags=0x80, immediate=False, cmdsn=None):
        self.itt += 1
        h = bytearray(48)
        h[0], h[1] = op | (0x40 if immediate else 0), flags
        struct.pack_into(">I", h, 16, self.itt)
        struct.pack_into(">II", h, 24, self.cmdsn if cmdsn is None else cmdsn, self.expstatsn)
        if not immediate and cmdsn is None:
            self.cmdsn += 1
        return h

    # ---- login, text, logout, NOP ----

    def text(self, pairs):
        return b"".join(f"{k}={v}".encode() + b"\0" for k, v in pairs.items())

    def login_step(self, csg, nsg, pairs):
        """(status, keys)"""
        h = bytearray(48)
        h[0], h[1] = 0x43, (0x80 | csg << 2 | nsg) if nsg is not None else csg << 2
        h[8:14] = bytes([0x80]) + self.isid.to_bytes(5, "big")
        struct.pack_into(">I", h, 24, self.cmdsn)
        self.send(h, self.text(pairs))
        p = self.recv()
        assert p.op == 0x23, p.op
        words = [w.split(b"=", 1) for w in bytes(p.data).split(b"\0") if w]
        return struct.unpack_from(">H", p.bhs, 36)[0], {k.decode(): v.decode() for k, v in words}

    def login(self, discovery=False, chap=None, mutual=None):
        """The status: 0, or why not. mutual: (secret) the target has to prove that it knows it."""
        who = {"InitiatorName": self.name, "AuthMethod": "CHAP,None" if chap else "None"}
        who.update({"SessionType": "Discovery"} if discovery else
                   {"SessionType": "Normal", "TargetName": self.iqn})
        status, keys = self.login_step(0, None if chap else 1, who)
        if status:
            return status
        if chap and keys.get("AuthMethod") == "CHAP":
            _, keys = self.login_step(0, None, {"CHAP_A": "5"})
            digest = self.chap(int(keys["CHAP_I"]), chap[1], keys["CHAP_C"])
            more, ours = {}, os.urandom(16)
            if mutual:
                more = {"CHAP_I": "7", "CHAP_C": "0x" + ours.hex()}
            status, keys = self.login_step(0, 1, {"CHAP_N": chap[0], "CHAP_R": digest, **more})
            if status:
                return status
            if mutual and keys.get("CHAP_R") != self.chap(7, mutual, "0x" + ours.hex()):
                return -1
        status, self.told = self.login_step(1, 3, {**self.keys})
        return status

    @staticmethod
    def chap(ident, secret, challenge):
        return "0x" + hashlib.md5(bytes([ident]) + secret.encode() + bytes.fromhex(challenge[2:])).hexdigest()

    def send_targets(self):
        self.send(self.header(0x04), self.text({"SendTargets": "All"}))
        return [w.decode() for w in bytes(self.recv().data).split(b"\0") if w]

    def nop(self, data=b"ping"):
        h = self.header(0x00, immediate=True)
        struct.pack_into(">I", h, 20, 0xFFFFFFFF)
        self.send(h, data)
        return self.recv()

    def logout(self):
        self.send(self.header(0x06))
        return self.recv()

    def manage(self, function, lun=0, ref=0xFFFFFFFF):
        """The response of task management"""
        h = self.header(0x02, 0x80 | function, immediate=True)
        h[8:10] = lun.to_bytes(2, "big")
        struct.pack_into(">I", h, 20, ref)
        self.send(h)
        return self.wait(0x22).bhs[2]

    def wait(self, op):
        while True:
            p = self.recv()
            if p.op == op:
                return p
            self.strays.append(p)

    # ---- commands ----

    def command(self, cdb, lun=1, read=0, write=None, immediate=None, unsolicited=0):
        """Sends it, returns its tag. immediate, unsolicited: bytes of data that go unasked (all, none)."""
        n = len(write) if write is not None else read
        now = 0 if write is None else min(n, 65536 if immediate is None else immediate)
        flags = 0x80 if not unsolicited else 0
        h = self.header(0x01, flags | (0x40 if read else 0) | (0x20 if write is not None else 0))
        h[8:10] = lun.to_bytes(2, "big")
        struct.pack_into(">I", h, 20, n)
        h[32:32 + len(cdb)] = cdb
        tag = self.itt
        self.send(h, b"" if write is None else write[:now])
        if unsolicited:
            self.data_out(tag, 0xFFFFFFFF, now, write[now:now + unsolicited])
        return tag

    def data_out(self, tag, ttt, offset, data, final=True):
        h = bytearray(48)
        h[0], h[1] = 0x05, 0x80 if final else 0
        struct.pack_into(">II", h, 16, tag, ttt)
        struct.pack_into(">I", h, 40, offset)
        self.send(h, data)

    def answer(self, tag, write=None):
        a = Answer()
        while True:
            p = self.recv()
            if p.op == 0x3F:
                a.reject = p.bhs[2]
                return a
            if p.u32(16) != tag:
                self.strays.append(p)
                if p.op in (0x21, 0x25):
                    return a
                continue
            a.pdus.append(p)
            a.flags |= p.bhs[1]
            if p.op == 0x31:
                ttt, _, _, _, _, at, n = struct.unpack_from(">7I", p.bhs, 20)
                a.r2ts.append((at, n))
                if write is not None and at + n <= len(write):
                    self.data_out(tag, ttt, at, write[at:at + n])
                else:
                    return a
            elif p.op == 0x25:
                at = p.u32(40)
                a.data[len(a.data):at] = bytes(max(0, at - len(a.data)))
                a.data[at:at + len(p.data)] = p.data
                if p.bhs[1] & 1:
                    a.status, a.response, a.residual = p.bhs[3], 0, p.u32(44)
                    return a
            elif p.op == 0x21:
                a.response, a.status, a.sense, a.residual = p.bhs[2], p.bhs[3], p.data, p.u32(44)
                return a

    def run(self, cdb, lun=1, read=0, write=None, **how):
        return self.answer(self.command(cdb, lun, read, write, **how), write)

    def settle(self, lun=1):
        """Takes the unit attentions that wait; returns them."""
        seen = []
        while (a := self.run(bytes(6), lun)).status == 2 and a.code[0] == 6:
            seen.append(a.code[1:])
        return seen

    def close(self, reset=False):
        if reset:
            self.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.s.close()


def read16(lba, blocks):
    return struct.pack(">BBQIBB", 0x88, 0, lba, blocks, 0, 0)


def write16(lba, blocks):
    return struct.pack(">BBQIBB", 0x8A, 0, lba, blocks, 0, 0)


def inquiry(page=None, alloc=512):
    return struct.pack(">BBBHB", 0x12, page is not None, page or 0, alloc, 0)


def pr_out(action, kind=0, key=0, service=0):
    """(CDB, parameter list)"""
    return (struct.pack(">BBBBBIB", 0x5F, action, kind, 0, 0, 24, 0), struct.pack(">QQ8x", key, service))


def pr_in(action, alloc=4096):
    return struct.pack(">BB5xHB", 0x5E, action, alloc, 0)


def rtpg(ext=False, alloc=1024):
    return struct.pack(">BB4xIBB", 0xA3, 0x2A if ext else 0x0A, alloc, 0, 0)


def stpg(state, group):
    return (struct.pack(">BB4xIBB", 0xA4, 0x0A, 8, 0, 0), struct.pack(">4xBBH", state, 0, group))


if __name__ == "__main__":
    reply = Target(sys.argv[1]).ask(json.loads(sys.argv[2]))
    print(json.dumps(reply))
    sys.exit("error" in reply)

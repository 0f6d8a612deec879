#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""nbd-illegal.py SOCKET EXPORT READ_ONLY_EXPORT: whatever the NBD protocol forbids (doc/proto.md), each with the answer it has to get.

With libnbd, its own checks off, what libnbd can say; bytes on a socket for the rest. EXPORT is written to.
"""
import errno, os, socket, struct, sys, time
import nbd

PATH, EXPORT, RO = sys.argv[1:4]
M = 1 << 20
NBDMAGIC, IHAVEOPT, REPLY = b"NBDMAGIC", b"IHAVEOPT", 0x3E889045565A9
NAME, ABORT, LIST, STARTTLS, INFO, GO, STRUCTURED, LIST_META, SET_META = 1, 2, 3, 5, 6, 7, 8, 9, 10
ACK, SERVER, ITEM, META = 1, 2, 3, 4
UNSUP, INVALID, UNKNOWN, TOO_BIG = 0x80000001, 0x80000003, 0x80000006, 0x80000009
tests = []


def test(f):
    tests.append(f)
    return f


def eq(got, want, *what):
    assert got == want, f"got {got!r}, expected {want!r} {what}"


# ---- libnbd ----

def libnbd(export=EXPORT, structured=True, meta=True):
    h = nbd.NBD()
    h.set_strict_mode(0)
    h.set_request_structured_replies(structured)
    if meta and structured:
        h.add_meta_context(nbd.CONTEXT_BASE_ALLOCATION)
    h.set_export_name(export)
    h.connect_unix(PATH)
    return h


def gives(want, what, *args):
    try:
        what(*args)
    except nbd.Error as x:
        return eq(x.errnum, want, what, args, x)
    eq(0, want, what, args)


def works(h):
    h.pwrite(b"still here", 4097, nbd.CMD_FLAG_FUA)
    eq(h.pread(10, 4097), b"still here")


@test
def requests_out_of_range():
    for structured in (True, False):
        h = libnbd(structured=structured)
        size = h.get_size()
        for at, n in ((size, 1), (size - 511, 512), (2**64 - 256, 512), (2**64 - 4096, 4096), (2**63 - 1, 1)):
            gives(errno.EINVAL, h.pread, n, at)
            gives(errno.ENOSPC, h.pwrite, bytes(n), at)
            gives(errno.ENOSPC, h.zero, n, at)
            gives(errno.EINVAL, h.trim, n, at)
            gives(errno.EINVAL, h.cache, n, at)
        gives(errno.EINVAL, h.trim, 2**32 - 1, size - 4096)
        gives(errno.ENOSPC, h.zero, 2**32 - 1, size - 4096)
        gives(errno.EINVAL, h.cache, 2**32 - 1, size - 4096)
        works(h)
        h.shutdown()


@test
def payloads_too_large():
    for structured in (True, False):
        h = libnbd(structured=structured)
        gives(errno.EINVAL, h.pread, 32 * M + 1, 0)
        gives(errno.EINVAL, h.pwrite, bytes(32 * M + 1), 0)
        gives(0, h.pread, 32 * M, 0)
        gives(0, h.pwrite, bytes(32 * M), 5)
        works(h)
        h.shutdown()


@test
def flags_that_do_not_belong():
    h = libnbd()
    for flags in (nbd.CMD_FLAG_NO_HOLE, nbd.CMD_FLAG_DF, nbd.CMD_FLAG_REQ_ONE, nbd.CMD_FLAG_FAST_ZERO, 0x20, 0x8000):
        gives(errno.EINVAL, h.pwrite, bytes(512), 0, flags)
        gives(errno.EINVAL, h.trim, 512, 0, flags)
        gives(errno.EINVAL, h.flush, flags)
        gives(errno.EINVAL, h.cache, 512, 0, flags)
        gives(0 if flags == nbd.CMD_FLAG_DF else errno.EINVAL, h.pread, 512, 0, flags)
        gives(0 if flags == nbd.CMD_FLAG_REQ_ONE else errno.EINVAL, h.block_status, 512, 0, lambda *a: 0, flags)
        ok = (nbd.CMD_FLAG_NO_HOLE, nbd.CMD_FLAG_FAST_ZERO)
        gives(0 if flags in ok else errno.EINVAL, h.zero, 512, 0, flags)
    works(h)
    h.shutdown()


@test
def nothing_to_do():
    h = libnbd()
    gives(0, h.pwrite, b"", 0)
    gives(0, h.pread, 0, 0)
    gives(0, h.trim, 0, 0)
    gives(0, h.zero, 0, h.get_size())
    gives(0, h.cache, 0, 0)
    gives(errno.EINVAL, h.block_status, 0, 0, lambda *a: 0)
    gives(0, h.flush, nbd.CMD_FLAG_FUA)
    works(h)
    h.shutdown()


@test
def what_was_not_agreed_on():
    h = libnbd(meta=False)
    gives(errno.EINVAL, h.block_status, 512, 0, lambda *a: 0)
    works(h)
    h.shutdown()
    h = libnbd(structured=False)
    gives(errno.EINVAL, h.pread, 512, 0, nbd.CMD_FLAG_DF)
    works(h)
    h.shutdown()


@test
def read_only():
    h = libnbd(RO)
    assert h.is_read_only() and not h.can_trim() and not h.can_zero() and h.can_cache()
    gives(errno.EPERM, h.pwrite, bytes(4096), 0)
    gives(errno.EPERM, h.pwrite, bytes(4096), h.get_size())
    gives(errno.EPERM, h.zero, 4096, 0)
    gives(errno.EPERM, h.zero, 4096, 0, nbd.CMD_FLAG_FAST_ZERO)
    gives(errno.EPERM, h.trim, 4096, 0)
    gives(0, h.pread, 4096, 0)
    gives(0, h.cache, 4096, 0)
    gives(0, h.block_status, 4096, 0, lambda *a: 0)
    gives(0, h.flush)
    h.shutdown()


# ---- bytes ----

class Raw:
    def __init__(self, flags=3):
        self.s = socket.socket(socket.AF_UNIX)
        self.s.settimeout(60)
        self.s.connect(PATH)
        eq(self.take(18), NBDMAGIC + IHAVEOPT + struct.pack(">H", 3))
        if flags is not None:
            self.put(struct.pack(">I", flags))

    def put(self, data):
        self.s.sendall(data)

    def take(self, n):
        got = b""
        while len(got) < n:
            more = self.s.recv(n - len(got))
            assert more, f"the server closed after {got!r}"
            got += more
        return got

    def closed(self):
        """Whatever is said before: the server closes."""
        try:
            while self.s.recv(65536):
                pass
        except ConnectionError:
            pass
        self.s.close()

    def option(self, code, data=b"", length=None):
        self.put(IHAVEOPT + struct.pack(">II", code, len(data) if length is None else length) + data)

    def reply(self, code):
        magic, option, kind, n = struct.unpack(">QIII", self.take(20))
        eq((magic, option), (REPLY, code))
        return kind, self.take(n)

    def answer(self, code, want):
        """The last reply to an option, after its items."""
        items = []
        while True:
            kind, data = self.reply(code)
            if kind in (SERVER, ITEM, META):
                items.append(data)
                continue
            eq(kind, want, code, data)
            return items

    def ask(self, code, data=b"", want=ACK):
        self.option(code, data)
        return self.answer(code, want)

    def go(self, name=EXPORT, want=ACK, items=()):
        return self.ask(GO, string(name) + struct.pack(f">H{len(items)}H", len(items), *items), want)

    def request(self, kind, at, n, flags=0, magic=0x25609513, cookie=7):
        self.put(struct.pack(">IHHQQI", magic, flags, kind, cookie, at, n))

    def simple(self, cookie=7):
        magic, err, got = struct.unpack(">IIQ", self.take(16))
        eq((magic, got), (0x67446698, cookie))
        return err

    def works(self):
        self.request(0, 4096, 8, cookie=99)
        eq(self.simple(99), 0)
        self.take(8)
        self.request(2, 0, 0)
        self.closed()


def string(s):
    s = s.encode() if isinstance(s, str) else s
    return struct.pack(">I", len(s)) + s


@test
def client_flags():
    for flags in (4, 0x80000000, 0x100 | 3):
        Raw(flags).closed()
    r = Raw(0)                            # no fixed newstyle: EXPORT_NAME only
    r.option(LIST)
    r.closed()


@test
def export_name():
    for flags, n in ((3, 10), (1, 134), (2, 10), (0, 134)):
        r = Raw(flags)
        r.option(NAME, EXPORT.encode())
        size, told = struct.unpack_from(">QH", r.take(n))
        assert size and told & 1
        r.works()
    for name in (b"no such export", EXPORT.encode() + b"\0", b"x" * 4096, b"x" * 4097, b"x" * 70000):
        r = Raw()
        try:
            r.option(NAME, name)
        except ConnectionError:
            pass
        r.closed()


@test
def not_an_option():
    for junk in (b"IHAVEOPU" + bytes(8), bytes(16), b"GET / HTTP/1.1\r\n\r\n", struct.pack(">IHHQQI", 0x25609513, 0, 0, 1, 0, 1)):
        r = Raw()
        r.put(junk)
        r.closed()


@test
def options_refused():
    r = Raw()
    for code, data, want in (
        (4, b"abc", UNSUP), (11, b"", UNSUP), (12, b"x" * 5000, UNSUP), (0, b"", UNSUP), (0xFFFFFFFF, b"x", UNSUP),
        (77, bytes(16385), UNSUP), (STARTTLS, b"", UNSUP), (STARTTLS, b"x", INVALID), (LIST, b"x", INVALID),
        (LIST, bytes(20000), TOO_BIG), (STRUCTURED, b"x", INVALID), (GO, bytes(17000), TOO_BIG),
        (GO, b"", INVALID), (INFO, bytes(5), INVALID), (GO, string("")[:3], INVALID),
        (GO, string(EXPORT), INVALID), (GO, string(EXPORT) + b"\0\1", INVALID), (GO, string(EXPORT) + bytes(3), INVALID),
        (GO, struct.pack(">I", 0xFFFFFFFF) + bytes(10), INVALID), (GO, struct.pack(">I", 0xFFFFFFFC) + bytes(10), INVALID),
        (GO, string(b"a\0b") + bytes(2), INVALID), (GO, string(b"n" * 4097) + bytes(2), TOO_BIG),
        (GO, string(b"n" * 4096) + bytes(2), UNKNOWN), (INFO, string("nothing") + bytes(2), UNKNOWN),
        (LIST_META, string(EXPORT) + bytes(4), INVALID), (SET_META, string(EXPORT) + bytes(4), INVALID),
    ):
        r.ask(code, data, want)
    eq(len(r.ask(STRUCTURED)), 0)
    for data, want in (
        (b"", INVALID), (bytes(7), INVALID), (string(EXPORT), INVALID), (string(EXPORT) + b"\0\0\0\1", INVALID),
        (struct.pack(">I", 0xFFFFFFF8) + bytes(20), INVALID), (string(b"n" * 4097) + bytes(4), TOO_BIG),
        (string(EXPORT) + struct.pack(">I", 1) + struct.pack(">I", 0xFFFFFFFF), INVALID),
        (string(EXPORT) + struct.pack(">I", 2) + string("base:allocation"), INVALID),
        (string(EXPORT) + struct.pack(">I", 1) + string("base:allocation") + b"x", INVALID),
        (string(EXPORT) + struct.pack(">I", 1) + string("q" * 4097), INVALID),
        (string("nothing") + struct.pack(">I", 0), UNKNOWN), (bytes(20000), TOO_BIG),
    ):
        r.ask(SET_META, data, want)
        r.ask(LIST_META, data, want)
    eq(len(r.ask(LIST_META, string(EXPORT) + bytes(4))), 1)
    r.go()
    r.request(7, 0, 512)                  # the last SET failed
    magic, flags, kind, cookie, n = struct.unpack(">IHHQI", r.take(20))
    eq((magic, flags, kind, cookie), (0x668E33EF, 1, 0x8001, 7))
    eq(struct.unpack_from(">I", r.take(n))[0], errno.EINVAL)
    r.request(2, 0, 0)
    r.closed()


@test
def options_that_are_legal():
    r = Raw()
    names = [data[4:4 + int.from_bytes(data[:4], "big")].decode() for data in r.ask(LIST)]
    assert EXPORT in names and RO in names, names
    assert all(len(data) > 4 + int.from_bytes(data[:4], "big") for data in r.ask(LIST))  # each has its description
    items = {int.from_bytes(i[:2], "big"): i[2:] for i in r.ask(INFO, string(EXPORT) + struct.pack(">H4H", 4, 1, 2, 3, 0x7777))}
    eq(set(items), {0, 1, 2, 3})
    eq(items[1], EXPORT.encode())
    low, preferred, high = struct.unpack(">III", items[3])
    assert low == 1 and preferred >= 4096 and preferred & (preferred - 1) == 0 and high == 32 * M, items
    eq(len(r.go()), 1)
    r.works()
    r = Raw()
    eq(len(r.ask(ABORT)), 0)              # acknowledged
    r.closed()
    r = Raw()
    r.ask(STRUCTURED)
    r.ask(STRUCTURED)                     # twice is once
    eq(len(r.ask(SET_META, string(RO) + struct.pack(">I", 1) + string("base:allocation"))), 1)
    r.go()                                # another export: the choice is void
    r.request(7, 0, 512)
    eq(struct.unpack(">IHHQI", r.take(20))[2], 0x8001)
    r.take(6)
    r.s.close()


@test
def options_without_end():
    r = Raw()
    try:
        for _ in range(1100):
            r.option(77)
    except ConnectionError:
        pass
    r.closed()
    r = Raw()
    r.option(77, length=0x7FFFFFFF)       # that much is not waited for
    r.closed()


def opened():
    r = Raw()
    r.go()
    return r


@test
def not_a_request():
    for magic in (0x25609514, 0, 0x67446698, 0x21E41C71):
        r = opened()
        r.request(0, 0, 512, magic=magic)
        r.closed()


@test
def unknown_commands():
    r = opened()
    for kind in (8, 9, 100, 0xFFFF, 7):
        r.request(kind, 0, 512)
        eq(r.simple(), errno.EINVAL)
    r.request(3, 512, 512)                # a flush has no range
    eq(r.simple(), errno.EINVAL)
    r.works()


@test
def oversized_writes():
    r = opened()
    r.request(1, 0, 33 * M)               # skipped, and refused
    r.put(bytes(33 * M))
    eq(r.simple(), errno.EINVAL)
    r.works()
    r = opened()
    r.request(1, 0, 0xFFFFFFFF)           # not worth reading
    r.closed()


@test
def half_requests():
    for n in (1, 4, 27, 28, 100):
        r = opened()
        r.put((struct.pack(">IHHQQI", 0x25609513, 0, 1, 1, 0, 512) + bytes(512))[:n])
        r.s.close()
    opened().works()


@test
def slow_handshakes():
    """None lives longer than ten seconds, however busy; meanwhile the others are served."""
    start = time.monotonic()
    idle = [Raw(None) for _ in range(20)] + [Raw() for _ in range(20)]
    busy = Raw()
    opened().works()
    try:
        while time.monotonic() - start < 30:
            busy.ask(77, b"", UNSUP)
            time.sleep(0.2)
        assert False, "a handshake without end"
    except (AssertionError, ConnectionError) as x:
        assert "without end" not in str(x), x
    took = time.monotonic() - start
    assert 8 <= took <= 25, took
    for r in idle:
        r.closed()
    assert time.monotonic() - start <= 28
    opened().works()


for f in tests:
    f()
    print("ok", f.__name__, flush=True)

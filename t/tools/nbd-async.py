#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
An NBD client that does one thing at a time, and does not wait: nbd-async.py URI <orders >answers

Orders are lines, "write NAME OFFSET LEN BYTE", "trim NAME OFFSET LEN", "zero NAME OFFSET LEN",
"read NAME OFFSET LEN", "flush NAME". When one has completed a line says so: "NAME ok MICROSECONDS", or "NAME
ERRNO MICROSECONDS"; behind that of a read, the hexadecimal runs of what it read, as "11*4096 22*512". Ends with
its input.
"""
import errno
import itertools
import os
import select
import sys
import time

import nbd

h = nbd.NBD()
h.connect_uri(sys.argv[1])
flying = []  # cookie, name, begin, buffer


def runs(data):
    return " ".join(f"{byte:02x}*{len(list(same))}" for byte, same in itertools.groupby(data))


def order(words):
    op, name, *numbers = words
    offset, length, byte = (int(n, 0) for n in (numbers + ["0", "0", "0"])[:3])
    buf = None
    if op == "write":
        cookie = h.aio_pwrite(nbd.Buffer.from_bytearray(bytearray([byte]) * length), offset)
    elif op == "read":
        buf = nbd.Buffer(length)
        cookie = h.aio_pread(buf, offset)
    elif op == "trim":
        cookie = h.aio_trim(length, offset)
    elif op == "zero":
        cookie = h.aio_zero(length, offset)
    elif op == "flush":
        cookie = h.aio_flush()
    else:
        sys.exit("no such order: " + op)
    flying.append((cookie, name, time.monotonic(), buf))


def harvest():
    for one in list(flying):
        cookie, name, begin, buf = one
        try:
            if not h.aio_command_completed(cookie):
                continue
            result = "ok"
        except nbd.Error as e:
            result = errno.errorcode.get(e.errnum, str(e.errnum))
            buf = None
        flying.remove(one)
        took = int((time.monotonic() - begin) * 1e6)
        print(name, result, took, runs(buf.to_bytearray()) if buf else "", flush=True)


pending = b""
while True:
    poll = select.poll()
    poll.register(0, select.POLLIN)
    direction = h.aio_get_direction()
    poll.register(h.aio_get_fd(), (select.POLLIN if direction & nbd.AIO_DIRECTION_READ else 0) |
                  (select.POLLOUT if direction & nbd.AIO_DIRECTION_WRITE else 0))
    ready = dict(poll.poll())
    events = ready.get(h.aio_get_fd(), 0)
    if events & (select.POLLIN | select.POLLHUP | select.POLLERR):
        h.aio_notify_read()
    elif events & select.POLLOUT:
        h.aio_notify_write()
    harvest()
    if 0 in ready:
        more = os.read(0, 65536)
        if not more:
            break
        *lines, pending = (pending + more).split(b"\n")
        for line in lines:
            if line.split():
                order(line.decode().split())

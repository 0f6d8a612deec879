# SPDX-License-Identifier: MIT
"""An NBD client of bytes on a unix socket, for what no library would send. Imported by tests, with t/tools in PYTHONPATH."""
import socket
import struct


def connect(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(60)
    s.connect(path)
    return s


def take(s, n):
    """n bytes; EOFError if the server closes before."""
    b = b""
    while len(b) < n:
        part = s.recv(n - len(b))
        if not part:
            raise EOFError
        b += part
    return b


def greet(path, flags=3):
    """Connected, and the client's flags sent: fixed newstyle, no zeroes."""
    s = connect(path)
    assert take(s, 18)[:16] == b"NBDMAGICIHAVEOPT"
    s.sendall(struct.pack(">I", flags))
    return s


def option(s, opt, data, length=None):
    """length: what is said of it, if not the truth."""
    s.sendall(b"IHAVEOPT" + struct.pack(">II", opt, len(data) if length is None else length) + data)


def ready(path, export):
    """In transmission, by EXPORT_NAME."""
    s = greet(path)
    option(s, 1, export)
    take(s, 10)
    return s


def request(s, cmd, off, length, data=b"", magic=0x25609513, flags=0):
    s.sendall(struct.pack(">IHHQQI", magic, flags, cmd, 1, off, length) + data)


def reply(s):
    """The error in a simple reply, without its data."""
    magic, err, cookie = struct.unpack(">IIQ", take(s, 16))
    assert magic == 0x67446698 and cookie == 1, (hex(magic), cookie)
    return err

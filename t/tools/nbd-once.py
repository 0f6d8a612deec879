# SPDX-License-Identifier: MIT
# One request: nbd-once.py URI read|write|zero|trim|flush [OFFSET [LENGTH [BYTE]]]. Prints "ok", or the name of the error.
import errno
import sys

import nbd

uri, op = sys.argv[1:3]
offset, length, byte = [int(a, 0) for a in (sys.argv[3:] + ["0", "4096", "0x5a"][len(sys.argv) - 3 :])]
h = nbd.NBD()
h.connect_uri(uri)
try:
    if op == "read":
        h.pread(length, offset)
    elif op == "write":
        h.pwrite(bytes([byte]) * length, offset)
    elif op == "zero":
        h.zero(length, offset)
    elif op == "trim":
        h.trim(length, offset)
    else:
        h.flush()
    print("ok")
except nbd.Error as e:
    print(errno.errorcode.get(e.errnum, str(e)))
h.shutdown()

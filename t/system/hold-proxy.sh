#!/bin/bash
# The proxy that late writes are tested with: what it holds, and the end of its sender, arrives on release.
. "$(dirname "$0")/../lib.sh"

cat >"$T/check.py" <<'PYTHON'
import json, socket, struct, subprocess, sys, time

proxy, control, family = sys.argv[1], sys.argv[2], sys.argv[3]
v6 = family == "6"
host = "::1" if v6 else "127.0.0.1"
af = socket.AF_INET6 if v6 else socket.AF_INET
ADDR = "[::1]" if v6 else "127.0.0.1"

def until(what, cond):
    for _ in range(1500):
        got = cond()
        if got:
            return got
        time.sleep(0.02)
    sys.exit("waited in vain: " + what)

def port():
    with socket.socket(af) as s:
        s.bind((host, 0))
        return s.getsockname()[1]

def ctl(*words):
    return subprocess.run([proxy, "--ctl", control, *words], check=True, capture_output=True,
                          text=True).stdout

def stats():
    return json.loads(ctl("stats"))

server = socket.create_server((host, 0), family=af)
listen = port()
child = subprocess.Popen([proxy, "--listen", f"{ADDR}:{listen}", "--to",
                          f"{ADDR}:{server.getsockname()[1]}", "--control", control])

def connect():
    c = socket.create_connection((host, listen))
    s, _ = server.accept()
    c.settimeout(20)
    s.settimeout(20)
    return c, s

def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()

def rest(s):
    """All that comes, and how it ends"""
    got = b""
    try:
        while True:
            more = s.recv(65536)
            if not more:
                return got, "fin"
            got += more
    except ConnectionResetError:
        return got, "rst"

def nothing(s):
    s.settimeout(0.2)
    try:
        return s.recv(1) and False
    except TimeoutError:
        return True
    finally:
        s.settimeout(20)

def exact(s, n):
    got = b""
    while len(got) < n:
        more = s.recv(n - len(got))
        assert more, f"the end after {len(got)} of {n} bytes"
        got += more
    return got

def plain():
    c, s = connect()
    data = bytes(range(256)) * 40000
    c.settimeout(None)
    import threading
    t = threading.Thread(target=c.sendall, args=(data,))
    t.start()
    assert exact(s, len(data)) == data
    t.join()
    s.sendall(b"pong")
    assert exact(c, 4) == b"pong"
    c.shutdown(socket.SHUT_WR)
    assert rest(s) == (b"", "fin")
    s.sendall(b"half open")
    s.close()
    assert rest(c) == (b"half open", "fin")

def held_reset():
    """The sender wrote, reset and is long gone; another connection beside it goes on"""
    c, s = connect()
    c.sendall(b"before ")
    assert exact(s, 7) == b"before "
    ctl("hold", "up")
    data = bytes(range(256)) * 12000
    c.sendall(data)
    s.sendall(b"down is open")
    assert exact(c, 12) == b"down is open"
    until("bytes are held", lambda: stats()["held_up"] == len(data))
    reset(c)
    until("the reset is held", lambda: '"end": "rst"' in ctl("status"))
    assert nothing(s)
    ctl("hold-new", "off")
    c2, s2 = connect()
    c2.sendall(b"new")
    assert exact(s2, 3) == b"new"
    assert stats()["connections"] == 2
    ctl("release")
    assert rest(s) == (data, "rst")
    c2.close()
    assert rest(s2) == (b"", "fin")
    s2.close()

def held_fin():
    c, s = connect()
    ctl("hold", "up")
    c.sendall(b"last words")
    c.close()
    assert nothing(s)
    ctl("release")
    assert rest(s) == (b"last words", "fin")
    s.close()

def held_down():
    c, s = connect()
    ctl("hold", "down")
    s.sendall(b"an answer")
    c.sendall(b"a question")
    assert exact(s, 10) == b"a question"
    reset(s)
    assert nothing(c)
    ctl("release")
    assert rest(c) == (b"an answer", "rst")

def receiver_gone():
    """What is held for a receiver that went away is nobody's"""
    c, s = connect()
    ctl("hold", "up")
    c.sendall(b"too late")
    until("held", lambda: stats()["held_up"] == 8)
    reset(s)
    assert rest(c) == (b"", "rst")
    until("forgotten", lambda: stats()["connections"] == 0)
    ctl("release")

def new_ones():
    ctl("hold-new", "on")
    c, s = connect()
    c.sendall(b"hello")
    s.sendall(b"banner")
    assert nothing(s) and nothing(c)
    ctl("hold-new", "refuse")
    assert nothing(s)
    r = socket.create_connection((host, listen))
    assert rest(r) == (b"", "rst")
    ctl("release")
    assert exact(s, 5) == b"hello" and exact(c, 6) == b"banner"
    c.close()
    s.close()

def wrong():
    for words in (["hodl"], ["hold", "sideways"], ["hold-new", "up"]):
        done = subprocess.run([proxy, "--ctl", control, *words], capture_output=True, text=True)
        assert done.returncode == 1 and done.stderr.startswith("error"), done

try:
    until("it listens", lambda: subprocess.run([proxy, "--ctl", control, "stats"],
                                               capture_output=True).returncode == 0)
    for case in (plain, held_reset, held_fin, held_down, receiver_gone, new_ones, wrong):
        case()
        until(case.__name__ + " leaves nothing", lambda: stats()["connections"] == 0)
        print("IPv" + family, case.__name__)
finally:
    child.terminate()
    if child.wait(20) != -15:
        sys.exit(f"hold-proxy ended with {child.returncode}")
PYTHON

for family in 4 6; do
	timeout "$WAIT" python3 "$T/check.py" "$B/tools/hold-proxy" "$T/hold.sock" "$family" ||
		fail "IPv$family: not as it should be"
done

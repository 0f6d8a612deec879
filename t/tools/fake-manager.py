# SPDX-License-Identifier: MIT
# A service manager as far as sd_notify(3) goes: fake-manager.py NOTIFY-SOCKET PROGRAM ARG... runs the program, keeps the descriptors
# it is given (FDSTORE, FDSTOREREMOVE, BARRIER; $FDSTORE_MAX of them) until their other end is closed, and says what it hears.
# SIGUSR1: restarts it with them (LISTEN_FDS). SIGUSR2: ends it; SIGUSR1 starts it then. It starts again by itself after
# exit status 1. SIGTERM: ends it.
import os
import select
import signal
import socket
import subprocess
import sys
import time

path, argv = sys.argv[1], sys.argv[2:]
most = int(os.environ.get("FDSTORE_MAX", "1100"))
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.bind(path)
sock.settimeout(0.1)
store = {}
todo = []
signal.signal(signal.SIGUSR1, lambda *_: todo.append("start"))
signal.signal(signal.SIGUSR2, lambda *_: todo.append("end"))
signal.signal(signal.SIGTERM, lambda *_: todo.append("stop"))


def say(text):
    print(text, flush=True)


def start():
    names, fds = list(store), [os.dup(fd) for fd in store.values()]
    env = dict(os.environ, NOTIFY_SOCKET=path)
    if names:
        env.update(LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=":".join(names))

    def place():
        high = [os.dup2(fd, 500 + i, inheritable=False) for i, fd in enumerate(fds)]
        for i, fd in enumerate(high):
            os.dup2(fd, 3 + i, inheritable=True)

    process = subprocess.Popen(["/bin/sh", "-c", 'export LISTEN_PID=$$; exec "$@"', "sh", *argv], env=env,
                               preexec_fn=place, close_fds=False, pass_fds=())
    for fd in fds:
        os.close(fd)
    say(f"started with {len(names)} descriptors")
    return process


# systemd drops what has been hung up
def drop_dead():
    p = select.poll()
    for fd in store.values():
        p.register(fd, 0)
    dead = [fd for fd, events in p.poll(0) if events & (select.POLLHUP | select.POLLERR)]
    for name in [name for name, fd in store.items() if fd in dead]:
        os.close(store.pop(name))
        say(f"hung up: {name}")


def hear():
    drop_dead()
    try:
        data, fds, _, _ = socket.recv_fds(sock, 8192, 16)
    except (TimeoutError, InterruptedError):
        return False
    said = dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line)
    say(" ".join(f"{k}={v}" for k, v in said.items() if k != "WATCHDOG"))
    name = said.get("FDNAME", "stored")
    if "FDSTORE" in said and fds and len(store) < most:
        if name in store:
            os.close(store.pop(name))
        store[name] = fds.pop()
    if "FDSTOREREMOVE" in said and name in store:
        os.close(store.pop(name))
    for fd in fds:
        os.close(fd)
    return True


def end():
    child.terminate()
    while child.poll() is None:
        hear()
    while hear():
        pass
    say(f"ended {child.returncode} with {len(store)} descriptors")


child = start()
while True:
    hear()
    what = todo.pop(0) if todo else None
    if what == "stop":
        if child:
            end()
        sys.exit(child.returncode if child else 0)
    elif what == "end":
        end()
        child = None
    elif what == "start":
        if child:
            end()
        child = start()
    elif child and child.poll() == 1:
        say(f"failed with {len(store)} descriptors")
        time.sleep(0.2)
        child = start()
    elif child and child.poll() is not None:
        sys.exit(child.returncode)

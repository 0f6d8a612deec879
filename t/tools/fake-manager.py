# SPDX-License-Identifier: MIT
# A service manager as far as sd_notify(3) goes: fake-manager.py NOTIFY-SOCKET PROGRAM ARG... runs the program, keeps the descriptors
# it is given (FDSTORE, FDSTOREREMOVE, BARRIER) and says what it hears. SIGUSR1: restarts it with them (LISTEN_FDS). SIGTERM: ends it.
import os
import signal
import socket
import subprocess
import sys

path, argv = sys.argv[1], sys.argv[2:]
sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
sock.bind(path)
sock.settimeout(0.1)
store = {}
todo = []
signal.signal(signal.SIGUSR1, lambda *_: todo.append("restart"))
signal.signal(signal.SIGTERM, lambda *_: todo.append("stop"))


def start():
    names, fds = list(store), [os.dup(fd) for fd in store.values()]
    env = dict(os.environ, NOTIFY_SOCKET=path)
    if names:
        env.update(LISTEN_FDS=str(len(names)), LISTEN_FDNAMES=":".join(names))

    def place():
        high = [os.dup2(fd, 500 + i, inheritable=False) for i, fd in enumerate(fds)]
        for i, fd in enumerate(high):
            os.dup2(fd, 3 + i, inheritable=True)

    child = subprocess.Popen(["/bin/sh", "-c", 'export LISTEN_PID=$$; exec "$@"', "sh", *argv], env=env,
                             preexec_fn=place, close_fds=False, pass_fds=())
    for fd in fds:
        os.close(fd)
    return child


def hear():
    try:
        data, fds, _, _ = socket.recv_fds(sock, 8192, 16)
    except (TimeoutError, InterruptedError):
        return
    said = dict(line.split("=", 1) for line in data.decode().splitlines() if "=" in line)
    print(" ".join(f"{k}={v}" for k, v in said.items() if k != "WATCHDOG"), flush=True)
    name = said.get("FDNAME", "stored")
    if "FDSTORE" in said and fds:
        if name in store:
            os.close(store.pop(name))
        store[name] = fds.pop()
    if "FDSTOREREMOVE" in said and name in store:
        os.close(store.pop(name))
    for fd in fds:
        os.close(fd)


child = start()
while True:
    hear()
    if todo and todo[0] == "stop":
        child.terminate()
        while child.poll() is None:
            hear()
        sys.exit(child.returncode)
    if todo and todo[0] == "restart":
        todo.pop(0)
        child.terminate()
        while child.poll() is None:
            hear()
        for _ in range(3):
            hear()
        print(f"ended {child.returncode} with {len(store)} descriptors", flush=True)
        child = start()
    elif child.poll() is not None:
        sys.exit(child.returncode)

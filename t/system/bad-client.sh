#!/bin/bash
# A client that sends garbage, lies about lengths, stalls or vanishes costs its own connection, no other.
. "$(dirname "$0")/../lib.sh"

cat >"$T/bad.py" <<-'PY'
	"""Misbehaves on an NBD socket: bad.py SOCKET EXPORT. Each case must not hang and must not hurt others."""
	import os, random, socket, struct, sys, time
	import nbdraw
	from nbdraw import option, reply, request, take
	path, export = sys.argv[1], sys.argv[2].encode()
	random.seed(7)

	def conn():
	    return nbdraw.connect(path)

	def greet(flags=3):
	    return nbdraw.greet(path, flags)

	def ready():
	    return nbdraw.ready(path, export)

	def ends(s):
	    """The server closes: whatever it still says is read."""
	    try:
	        while s.recv(65536):
	            pass
	    except ConnectionError:
	        pass
	    s.close()

	def case(name, f):
	    begin = time.monotonic()
	    try:
	        f()
	    except (EOFError, ConnectionError, BrokenPipeError):
	        pass
	    print('%-44s %.2f s' % (name, time.monotonic() - begin), flush=True)

	def garbage():
	    s = conn(); s.sendall(os.urandom(4096)); s.shutdown(socket.SHUT_WR); ends(s)
	case('garbage for a greeting', garbage)
	def flags():
	    s = greet(0xffffffff); ends(s)
	case('unknown flags', flags)
	def name():
	    s = greet(); option(s, 1, b'', 0xffffffff); s.sendall(b'x' * 100000); ends(s)
	case('a name of 4 GiB', name)
	def info():
	    s = greet(); option(s, 7, struct.pack('>I', 0x7fffffff) + b'x' * 20); s.shutdown(socket.SHUT_WR); ends(s)
	case('GO with a name longer than its option', info)
	def nreq():
	    s = greet(); option(s, 7, struct.pack('>I', 1) + b'x' + struct.pack('>H', 65535))
	    s.shutdown(socket.SHUT_WR); ends(s)
	case('GO with more items than it holds', nreq)
	def meta():
	    s = greet(); option(s, 8, b'')
	    option(s, 10, struct.pack('>I', len(export)) + export + struct.pack('>II', 0xffffffff, 0xfffffff0))
	    s.shutdown(socket.SHUT_WR); ends(s)
	case('SET_META_CONTEXT that lies', meta)
	def optmagic():
	    s = greet(); s.sendall(os.urandom(16)); s.shutdown(socket.SHUT_WR); ends(s)
	case('a bad option magic', optmagic)
	def reqmagic():
	    s = ready(); request(s, 0, 0, 4096, magic=0xdeadbeef); ends(s)
	case('a bad request magic', reqmagic)
	def unknown():
	    s = ready(); request(s, 99, 0, 0); assert reply(s) == 22
	    request(s, 0, 0, 512); assert reply(s) == 0; take(s, 512); s.close()
	case('an unknown command', unknown)
	def range_():
	    s = ready()
	    request(s, 0, 1 << 60, 4096); assert reply(s) == 22
	    request(s, 0, (1 << 64) - 512, 4096); assert reply(s) == 22
	    request(s, 1, 1 << 60, 4096, b'x' * 4096); assert reply(s) == 28
	    request(s, 0, 0, 512); assert reply(s) == 0; take(s, 512); s.close()
	case('out of range', range_)
	def huge_read():
	    s = ready(); request(s, 0, 0, 0xffffffff); s.settimeout(60)
	    try:
	        assert reply(s) != 0
	    except EOFError:
	        pass
	    s.close()
	case('a read of 4 GiB', huge_read)
	def huge_write():
	    s = ready(); request(s, 1, 0, 0xffffffff, b'x' * 1000000); s.close()
	case('a write of 4 GiB, cut short', huge_write)
	def vanish():
	    for i in range(200):
	        s = ready()
	        base = 48 << 20
	        for k in range(16):
	            request(s, random.choice((0, 1, 3, 4, 6)), base + 4096 * k, 4096)
	        s.close()
	case('vanish with reads and half a write in flight', vanish)
	def unread():
	    s = ready()
	    s.setblocking(False)
	    try:
	        for i in range(100000):
	            s.send(struct.pack('>IHHQQI', 0x25609513, 0, 0, 1, 0, 1 << 20))
	    except BlockingIOError:
	        pass
	    time.sleep(1); s.close()
	case('ask for 100 GB and read none of it', unread)
	def fuzz():
	    for i in range(300):
	        s = ready() if i % 2 else greet()
	        try:
	            s.sendall(os.urandom(random.randrange(1, 3000)))
	            s.shutdown(socket.SHUT_WR); ends(s)
	        except OSError:
	            s.close()
	case('300 times noise', fuzz)
	def stall():
	    held = [conn() for i in range(8)]
	    held += [greet() for i in range(8)]
	    for s in held:
	        ends(s)  # there is a limit of time on a handshake
	case('stall in the handshake', stall)
PY

san_up 2
conf
mpiod_up
mpiod_wait 2
name=$(lun_name)
load_start "$(uri "$name")" --size-limit 32M
rss() { awk '/VmRSS/ { print $2 }' "/proc/${PID[mpiod]}/status"; }
timeout "$((WAIT * 5))" /usr/bin/python3 -B "$T/bad.py" "$NBD" "$name" || fail "a case was answered wrongly"
load_progress 100
load_ok "beside all that"
until_true "only the load's connection is left" js_is '.luns[0].users' 1
say "RSS $(rss) KiB"

# more connections than there may be: those beyond are closed, those within live
sed -i '/^log_level/a max_connections = 5' "$T/mpiod.conf"
load_end
mpiod_down
mpiod_up
mpiod_wait 2
load_start "$(uri "$name")" --connections 2
cat >"$T/many.py" <<-'PY'
	import socket, sys
	held, closed = [], 0
	for i in range(20):
	    s = socket.socket(socket.AF_UNIX); s.settimeout(60); s.connect(sys.argv[1]); held.append(s)
	for s in held:
	    try:
	        if not s.recv(18): closed += 1
	    except ConnectionError:
	        closed += 1
	sys.exit(0 if closed >= 17 else 'only %d of 20 were closed' % closed)
PY
/usr/bin/python3 "$T/many.py" "$NBD"
load_progress
load_ok "beside too many connections"
load_end

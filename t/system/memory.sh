#!/bin/bash
# Memory stays flat over a million I/Os and a thousand reconnects.
#
# MEMORY_IOS and MEMORY_RECONNECTS scale it (make check: 200,000 and 200). Without sanitizers, which keep freed memory;
# they look for leaks in all other tests.
PLAIN=${PLAIN_B:-${B:-build}}
case $PLAIN in /*) ;; *) PLAIN=$(cd "$(dirname "$0")/../.." && pwd)/$PLAIN ;; esac
MPIOD=$PLAIN/mpiod
. "$(dirname "$0")/../lib.sh"
ios=${MEMORY_IOS:-200000} reconnects=${MEMORY_RECONNECTS:-200}

san_up 2
conf 'probation = off'
sed -i 's/^log_level = debug$/log_level = warning/' "$T/mpiod.conf"
mpiod_up
mpiod_wait 2
uri=$(uri "$(lun_name)")
rss() { awk '/VmRSS/ { print $2 }' "/proc/${PID[mpiod]}/status"; }

io() { # N
	fio --name=io --ioengine=nbd --uri="$uri" --rw=randrw --bs=4k --iodepth=32 --number_ios="$1" \
		--size=64M --io_size=1T --norandommap --randrepeat=0 --minimal >"$T/fio.out" 2>&1 ||
		fail "fio: $(cat "$T/fio.out")"
}
logins_beyond() { [ "$(session_get 1 logins)" -gt "$1" ]; }
# a session is thrown out by the target, and is logged in again
reconnect() {
	local sid cid logins
	logins=$(session_get 1 logins)
	read -r sid cid _ < <(tgt_sessions | grep ' 10.77.1.1') || return 1
	tgta --mode conn --op delete --tid 1 --sid "$sid" --cid "$cid"
	until_true "the session is back" logins_beyond "$logins"
}

io $((ios / 10))
first=$(rss)
io "$ios"
second=$(rss)
say "RSS after $((ios / 10)) I/Os: $first KiB, after $((ios / 10 + ios)): $second KiB"
assert_gt $((first + 4096)) "$second" "growth over $ios I/Os: $first to $second KiB"

for ((i = 0; i < 20; i++)); do reconnect; done
first=$(rss)
for ((i = 0; i < reconnects; i++)); do reconnect; done
second=$(rss)
say "RSS after 20 reconnects: $first KiB, after $((20 + reconnects)): $second KiB"
assert_gt $((first + 2048)) "$second" "growth over $reconnects reconnects: $first to $second KiB"
mpiod_wait 2
io 1000

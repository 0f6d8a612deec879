# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# For the tests of late writes: a client that does not wait, and what W1 and W2 are. Source it after lib.sh. Used by who sources it:
# shellcheck disable=SC2034
/usr/bin/python3 -c 'import nbd' 2>/dev/null || skip "without python3-libnbd"
KB=1024

# ---- one client that does not wait ----

client_start() {
	rm -f "$T/asked"
	mkfifo "$T/asked"
	: >"$T/answers"
	/usr/bin/python3 "$TOP/t/tools/nbd-async.py" "$(uri disk)" <"$T/asked" >"$T/answers" 2>>"$T/client.log" &
	PID["client"]=$!
	exec {CLIENT_FD}>"$T/asked"
}
client_end() {
	exec {CLIENT_FD}>&-
	stop client || true
}
ask() { echo "$*" >&"$CLIENT_FD"; }
answered() {
	alive client || fail "the client died: $(tail -n 3 "$T/client.log")"
	grep -q "^$1 " "$T/answers"
}
answer() { # NAME: waits; it has to be a good one
	until_true "$1 completes" answered "$1"
	grep -q "^$1 ok" "$T/answers" || fail "$1: $(grep "^$1 " "$T/answers")"
}
order_of() { grep -n "^$1 " "$T/answers" | cut -d: -f1; }

# ---- shapes: what W1 and W2 are, and what is right afterwards (RIGHT) or shows the corruption (LATE) ----

shape_same() {
	W1=("$BASE $((8 * KB))")
	W2="write w2 $BASE $((8 * KB)) 0x22"
	RIGHT="22*8192 ee*4096" LATE="11*8192 ee*4096"
}
shape_partial() {
	W1=("$BASE $((8 * KB))")
	W2="write w2 $((BASE + 4 * KB)) $((8 * KB)) 0x22"
	RIGHT="11*4096 22*8192" LATE="11*8192 22*4096"
}
shape_trim() {
	W1=("$BASE $((8 * KB))")
	W2="trim w2 $BASE $((8 * KB))"
	RIGHT="00*8192 ee*4096" LATE="11*8192 ee*4096"
}
shape_zero() {
	W1=("$BASE $((8 * KB))")
	W2="zero w2 $BASE $((8 * KB))"
	RIGHT="00*8192 ee*4096" LATE="11*8192 ee*4096"
}
shape_several() {
	W1=("$BASE $((4 * KB))" "$((BASE + 4 * KB)) $((4 * KB))" "$((BASE + 8 * KB)) $((4 * KB))")
	W2="write w2 $BASE $((12 * KB)) 0x22"
	RIGHT="22*12288" LATE="11*12288"
}

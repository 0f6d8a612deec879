#!/bin/bash
# make demo passes, and interrupted in any of its phases it leaves nothing behind.
. "$(dirname "$0")/../lib.sh"

start() { # [VAR=VALUE...]: a session of its own, as under a terminal; Ctrl-C is not ignored there
	: >"$T/demo.log"
	spawn demo setsid env --default-signal=INT "B=$B" "TMPDIR=$T" "$@" "$TOP/t/demo.sh"
}
says() {
	grep -q -- "$1" "$T/demo.log" && return
	alive demo || fail "the demo ended: $(tail -n 30 "$T/demo.log")"
	return 1
}
# shellcheck disable=SC2009 # pgrep counts the dead that nobody has waited for yet
nobody_in() { ! ps -o stat= -s "$1" | grep -qv '^Z'; }
# interrupt SIGNAL: to all of them, as a terminal does, or to the script alone
interrupt() {
	local status=0 pid=${PID[demo]} host
	host=$(grep -o 'mpiod-[A-Za-z0-9]*-ini' "$T/demo.log" | head -n 1 || true)
	case $1 in
	INT) kill -INT -- "-$pid" ;;
	*) kill "-$1" "$pid" ;;
	esac
	wait "$pid" || status=$?
	unset "PID[demo]"
	assert_gt "$status" 0 "exit status of a demo that was interrupted"
	[ -z "$host" ] || [ ! -e "/run/netns/$host" ] || fail "namespace $host is left"
	[ -z "$host" ] || [ ! -e "/run/netns/${host%ini}tgt" ] || fail "namespace ${host%ini}tgt is left"
	host=${host#mpiod-}
	[ -z "$host" ] || [ ! -e "/dev/shm/mpiod.${host%-ini}" ] || fail "files are left"
	until_true "all its processes are gone" nobody_in "$pid"
}

for phase in "Setting up" "cable 1: 10.77" "CHAP" "a load begins" "cut silently" "cut with a reset" "Both cables"; do
	start
	until_true "the demo says '$phase'" says "$phase"
	interrupt INT
	say "interrupted at '$phase': nothing left"
done
start
until_true "the load runs" says "longest stall"
interrupt TERM

start KEEP=1
until_true "it stays up" says "KEEP=1"
alive demo || fail "it did not stay up"
interrupt INT
grep -q "^== Passed" "$T/demo.log" || fail "it did not pass: $(tail -n 20 "$T/demo.log")"
grep -q " 0 errors and 0 miscompares" "$T/demo.log" || fail "no verdict"

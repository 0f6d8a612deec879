#!/bin/bash
# mpioctl top shows what each path does: frame by frame in a pipe, live on a terminal until q, and over a restart.
. "$(dirname "$0")/../lib.sh"

assert_fails 3 ctl top -n 1

san_up 2
conf
mpiod_up
mpiod_wait 2
load_start "$(uri "$(lun_name)")"
load_progress

ctl top -n 2 >"$T/frames"
assert_eq "$(grep -c ' mpiod .*all ok' "$T/frames")" 2 "frames"
assert_eq "$(grep -c '^  t1/10.77.[12].2:3260/1 *usable' "$T/frames")" 4 "lines of paths"

# what it says is what the counters say
before=$(js '[.luns[].paths[].reads] | add')
begin=$(date +%s%N)
ctl --json top -n 3 >"$T/json"
took=$((($(date +%s%N) - begin) / 1000000))
after=$(js '[.luns[].paths[].reads] | add')
assert_eq "$(wc -l <"$T/json")" 3 "lines of JSON"
rate=$(jq -s '[.[].reads_per_s] | add / 3 | floor' "$T/json")
true_rate=$(((after - before) * 1000 / took))
assert_ge "$rate" $((true_rate / 2)) "reads a second"
assert_ge $((true_rate * 2)) "$rate" "reads a second"
jq -se 'all(.[]; .reads_per_s as $all | ([.luns[].paths[].reads_per_s] | add) - $all | fabs < 1)' \
	"$T/json" >"$T/out" || fail "the paths do not add up to the whole: $(cat "$T/json")"

# on a terminal
mkfifo "$T/keys"
screen() {
	TERM=xterm timeout "$WAIT" script -qec "stty rows 24 cols 100; exec '$MPIOCTL' -s '$CTL' top" /dev/null \
		<"$T/keys" >"$T/screen"
}
screen &
shown=$!
exec {KEYS}>"$T/keys"
has_frames() { [ "$(grep -ao 'mpiod [0-9.]*: 1 LUN' "$T/screen" | wc -l)" -ge "$1" ]; }
until_true "three frames" has_frames 3
load_ok "with top"
load_end
mpiod_down
no_daemon() { grep -aq 'no answer from the daemon' "$T/screen"; }
until_true "it notices that the daemon is gone" no_daemon
frames=$(grep -ao 'mpiod [0-9.]*: 1 LUN' "$T/screen" | wc -l)
mpiod_up
mpiod_wait 2
until_true "it notices that the daemon is back" has_frames $((frames + 1))
printf q >&"$KEYS"
wait "$shown" || fail "top ended with $?"
exec {KEYS}>&-
tail -c 20 "$T/screen" | grep -aq $'\033\\[?25h\033\\[?1049l' || fail "the terminal is not as it was"

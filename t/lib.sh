# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# For tests, benchmarks and the demo: two hosts (network namespaces) with N cables between them, a tgtd on
# one, mpiod on the other, faults in the cables, a verified load. Source it; everything that was started,
# made or mounted is gone when the script ends, however it ends.
#
# A host name is ini or tgt. Cable I (from 1) is 10.77.I.1 (ini) to 10.77.I.2 (tgt). An instance of tgtd
# has a name of its own (default a).

set -euo pipefail

TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
B=${B:-build}
case $B in /*) ;; *) B=$TOP/$B ;; esac
MPIOD=${MPIOD:-$B/mpiod}
MPIOCTL=${MPIOCTL:-$B/mpioctl}
NBD_LOAD=${NBD_LOAD:-$B/tools/nbd-load}
WAIT=${WAIT:-90} # seconds that any condition is waited for; only a hopeless case takes so long
IQN=iqn.2026-01.org.mpiod.test:t
PATH=$PATH:/usr/sbin:/sbin
export LC_ALL=C PYTHONPATH=$TOP/t/tools

[ "$(id -u)" = 0 ] || { echo "${0##*/}: needs root (it makes network namespaces)" >&2; exit 1; }

# Sparse files in memory when there is room for them, else wherever temporary files go.
T=$(
	if [ "$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1 || echo 0)" -gt 600000 ]; then
		mktemp -d /dev/shm/mpiod.XXXXXX
	else
		mktemp -d "${TMPDIR:-/tmp}/mpiod.XXXXXX"
	fi
)
chmod 755 "$T"
NS=mpiod-${T##*.}
CTL=$T/control.sock
NBD=$T/nbd.sock
MPIOD_LOG=$T/mpiod.log
NCABLES=0
CLEANED=
declare -A PID=()      # name -> process started here

# ---- ends, and ways to fail ----

say() { printf '%s\n' "$*"; }

fail() {
	printf 'FAILED: %s\n' "$*" >&2
	local i
	for ((i = 1; i < ${#FUNCNAME[@]}; i++)); do
		printf '  at %s:%s (%s)\n' "${BASH_SOURCE[i]##*/}" "${BASH_LINENO[i - 1]}" "${FUNCNAME[i]}" >&2
	done
	exit 1
}

skip() { say "SKIPPED: $*"; exit 77; }

alive() { [ -n "${PID[$1]:-}" ] && kill -0 "${PID[$1]}" 2>/dev/null; }

# stop NAME [SIGNAL]: ends one of our processes and returns its exit status
stop() {
	local pid=${PID[$1]:-} i
	[ -n "$pid" ] || return 0
	unset "PID[$1]"
	{
		kill -CONT "$pid" || true
		kill "-${2:-TERM}" "$pid" || true
		for ((i = 0; i < 300; i++)); do
			kill -0 "$pid" || break
			sleep 0.05
		done
		kill -KILL "$pid" || true
		wait "$pid"
	} 2>/dev/null
}

cleanup() {
	local status=$? name ns failed=
	[ -z "$CLEANED" ] || return
	CLEANED=1
	set +e
	trap '' INT TERM HUP
	if alive load; then stop load KILL; fi
	if [ -n "${PID[mpiod]:-}" ]; then
		stop mpiod
		failed=$?
		# leaks and memory errors that the sanitizers found show in the exit status
		if [ "$status" = 0 ] && [ "$failed" != 0 ]; then
			printf 'FAILED: mpiod ended with status %s\n' "$failed" >&2
			status=1
		fi
	fi
	if [ -n "${PID[t-target]:-}" ]; then
		stop t-target
		failed=$?
		if [ "$status" = 0 ] && [ "$failed" != 0 ]; then
			printf 'FAILED: t-target ended with status %s\n' "$failed" >&2
			status=1
		fi
	fi
	if [ "$status" != 0 ] && [ "$status" != 77 ] && [ -z "${QUIET_LOGS:-}" ]; then
		for name in "$T"/*.log; do
			[ -s "$name" ] || continue
			printf -- '---- the end of %s\n' "${name##*/}"
			tail -n "${LOG_LINES:-40}" "$name"
		done >&2
	fi
	if alive qemu; then stop qemu; fi # it takes its children along
	for name in "${!PID[@]}"; do stop "$name" KILL; done
	for ns in ini tgt; do
		if [ -e "/run/netns/$NS-$ns" ]; then ip netns del "$NS-$ns"; fi
	done
	rm -rf "$T"
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# spawn NAME PROGRAM...: in the background (a program, not a function), its pid in PID[NAME], its output in $T/NAME.log
spawn() {
	local name=$1
	shift
	"$@" >>"$T/$name.log" 2>&1 </dev/null &
	PID[$name]=$!
}

# until_true WHAT COMMAND...: waits, generously
until_true() {
	local what=$1 end=$((SECONDS + WAIT))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || fail "waited $WAIT s in vain: $what"
		sleep 0.05
	done
}

assert_eq() { [ "$1" = "$2" ] || fail "${3:-values differ}: got '$1', expected '$2'"; }
assert_ge() { [ "$1" -ge "$2" ] || fail "${3:-too small}: got $1, expected at least $2"; }
assert_gt() { [ "$1" -gt "$2" ] || fail "${3:-too small}: got $1, expected more than $2"; }
assert_contains() { [[ "$1" == *"$2"* ]] || fail "${3:-text missing}: '$2' is not in: $1"; }
# assert_fails STATUS COMMAND...
assert_fails() {
	local want=$1 got=0
	shift
	"$@" >"$T/out" 2>&1 || got=$?
	[ "$got" = "$want" ] || fail "'$*' ended with $got, expected $want: $(cat "$T/out")"
}

# ---- network ----

on() { # HOST COMMAND...
	local ns=$1
	shift
	nsenter "--net=/run/netns/$NS-$ns" "$@"
}

# net_up N: two hosts and N cables
net_up() {
	local i
	NCABLES=$1
	ip netns add "$NS-ini"
	ip netns add "$NS-tgt"
	ip -n "$NS-ini" link set lo up
	ip -n "$NS-tgt" link set lo up
	for ((i = 1; i <= NCABLES; i++)); do
		ip link add "i$i" netns "$NS-ini" type veth peer name "t$i" netns "$NS-tgt"
		ip -n "$NS-ini" addr add "10.77.$i.1/24" dev "i$i"
		ip -n "$NS-tgt" addr add "10.77.$i.2/24" dev "t$i"
		ip -n "$NS-ini" link set "i$i" up
		ip -n "$NS-tgt" link set "t$i" up
	done
	# what is cut or reset is a set of interfaces, so that a pull is one atomic change
	on tgt nft -f - <<-'RULES'
		table inet cable {
			set silent { type ifname; }
			set broken { type ifname; }
			chain in {
				type filter hook input priority -300;
				iifname @silent drop
				iifname @broken meta l4proto tcp reject with tcp reset
			}
			chain out {
				type filter hook output priority -300;
				oifname @silent drop
				oifname @broken tcp flags & rst == rst accept
				oifname @broken meta l4proto tcp reject with tcp reset
			}
		}
	RULES
}

portal() { echo "10.77.$1.2:3260"; }
# Nothing passes, nobody is told: the carrier stays.
cable_cut_silent() { on tgt nft add element inet cable silent "{ \"t$1\" }"; }
# Whatever comes is answered with a reset, and so is each new connection.
cable_reset() { on tgt nft add element inet cable broken "{ \"t$1\" }"; }
# The plug is pulled: both ends lose their carrier.
cable_down() { ip -n "$NS-tgt" link set "t$1" down; }
cable_restore() {
	local set
	for set in silent broken; do
		on tgt nft delete element inet cable "$set" "{ \"t$1\" }" 2>/dev/null || true
	done
	ip -n "$NS-tgt" link set "t$1" up
}

# ---- tgtd ----

tgtadm_on() { # INSTANCE ARGS...
	local name=$1
	shift
	TGT_IPC_SOCKET=$T/tgt-$name tgtadm --lld iscsi "$@"
}
tgta() { tgtadm_on a "$@"; }

# tgt_up [INSTANCE [CABLE...]]: a tgtd with a portal on these cables (default all)
tgt_up() {
	local name=${1:-a} list='' i
	shift || true
	if [ $# = 0 ]; then
		for ((i = 1; i <= NCABLES; i++)); do set -- "$@" "$i"; done
	fi
	for i in "$@"; do list+=${list:+,}portal=$(portal "$i"); done
	TGT_IPC_SOCKET=$T/tgt-$name spawn "tgtd-$name" nsenter "--net=/run/netns/$NS-${TGT_HOST:-tgt}" \
		tgtd -f -t "${TGT_THREADS:-4}" --iscsi "$list"
	until_true "tgtd $name answers" tgt_answers "$name"
}
tgt_answers() {
	alive "tgtd-$1" || fail "tgtd $1 died: $(cat "$T/tgtd-$1.log")"
	tgtadm_on "$1" --mode sys --op show >/dev/null 2>&1
}

# tgt_target [INSTANCE [TID]]: a target for everybody
tgt_target() {
	local name=${1:-a} tid=${2:-1}
	tgtadm_on "$name" --mode target --op new --tid "$tid" --targetname "$IQN$tid"
	tgtadm_on "$name" --mode target --op bind --tid "$tid" --initiator-address ALL
}

# tgt_lun LUN SIZE [INSTANCE [TID [FILE]]]: a LUN on a file in memory
tgt_lun() {
	local lun=$1 size=$2 name=${3:-a} tid=${4:-1}
	local file=${5:-$T/disk-$tid-$lun}
	[ -e "$file" ] || truncate -s "$size" "$file"
	tgtadm_on "$name" --mode logicalunit --op new --tid "$tid" --lun "$lun" --backing-store "$file"
}

# tgt_chap USER SECRET [INSTANCE [TID]]
tgt_chap() {
	local name=${3:-a} tid=${4:-1}
	tgtadm_on "$name" --mode account --op new --user "$1" --password "$2"
	tgtadm_on "$name" --mode account --op bind --tid "$tid" --user "$1"
}

# tgt_sessions [TID]: "SESSION CONNECTION ADDRESS" lines of the sessions that are on
tgt_sessions() {
	tgta --mode conn --op show --tid "${1:-1}" 2>/dev/null |
		awk '/Session:/ { s = $2 } /Connection:/ { c = $2 } /IP Address:/ { print s, c, $3 }'
}

# The usual arrangement: N cables, one tgtd, target 1 with LUN 1.
san_up() {
	net_up "$1"
	tgt_up
	tgt_target
	tgt_lun 1 "${2:-64M}"
}

# ---- the scripted target (t/target/README.md) ----

# tt_up [OPTION...]: with a portal on each cable, cable I in portal group I
tt_up() {
	local i portals=()
	[ -x "$B/t-target" ] || fail "$B/t-target is not built"
	for ((i = 1; i <= NCABLES; i++)); do portals+=(--portal "$(portal "$i"),$i"); done
	spawn t-target nsenter "--net=/run/netns/$NS-tgt" "$B/t-target" --control "$T/tt.sock" \
		--iqn "${IQN}1" "${portals[@]}" "$@"
	until_true "the scripted target is ready" grep -q '^ready' "$T/t-target.log"
}
# tt JSON: a command; its answer, which must not be an error
tt() {
	local answer
	answer=$(/usr/bin/python3 "$TOP/t/target/target.py" "$T/tt.sock" "$1") || fail "t-target: $1: $answer"
	printf '%s\n' "$answer"
}
# tt_down: ends it in an orderly way
tt_down() {
	local status=0
	stop t-target || status=$?
	assert_eq "$status" 0 "exit status of t-target"
}
# tt_check [ARG...]: runs a Python script from standard input on the other host, beside mpiod. It has what target.py has, t (the
# control socket), login(portal, ...) (an initiator that is logged in, without unit attentions) and until(WHAT, CONDITION)
tt_check() {
	{
		cat <<-'PY'
			import os, sys, time
			sys.path.insert(0, sys.argv[1])
			sys.dont_write_bytecode = True
			from target import *

			t, IQN, sys.argv = Target(sys.argv[2]), sys.argv[3], sys.argv[4:]

			def connect(portal=0, **how):
			    return Initiator(f"10.77.{portal + 1}.2", 3260, IQN, **how)

			def login(portal=0, **how):
			    i = connect(portal, **how)
			    status = i.login()
			    assert status == 0, hex(status)
			    for lun in range(1, 8):
			        i.settle(lun)
			    return i

			def until(what, condition):
			    for _ in range(1500):
			        if condition():
			            return
			        time.sleep(0.02)
			    sys.exit("waited in vain: " + what)

			def eq(got, want):
			    assert got == want, f"got {got!r}, expected {want!r}"
		PY
		cat
	} >"$T/check.py"
	on ini timeout -s INT "$WAIT" /usr/bin/python3 "$T/check.py" "$TOP/t/target" "$T/tt.sock" "${IQN}1" "$@" ||
		fail "the check in Python failed"
}
# tt_get FILTER [JSON]: of the counts, or of another command's answer
tt_get() { tt "${2:-{\"do\": \"counts\"\}}" | jq -r "$1"; }

# ---- mpiod ----

# conf_head: the [mpiod] section, private sockets
conf_head() {
	cat <<-CONF
		[mpiod]
		initiator_name = iqn.2026-01.org.mpiod.test:ini
		listen = unix:$NBD
		control = $CTL
		log_level = debug
	CONF
}
# conf_target NAME TID CABLE...
conf_target() {
	local name=$1 tid=$2 i
	shift 2
	printf '[target %s]\niqn = %s%s\n' "$name" "$IQN" "$tid"
	for i in "$@"; do printf 'portal = %s\n' "$(portal "$i")"; done
}
# conf [DEFAULT-LINE...]: one target over all cables and what is given for [defaults] to $T/mpiod.conf
conf() {
	local i cables=()
	for ((i = 1; i <= NCABLES; i++)); do cables+=("$i"); done
	{
		conf_head
		conf_target t1 1 "${cables[@]}"
		[ $# = 0 ] || printf '%s\n' '[defaults]' "$@"
	} >"$T/mpiod.conf"
}

ctl() { "$MPIOCTL" -s "$CTL" "$@"; }
status() { ctl --json status; }
# js FILTER: of the status
js() { status | jq -r "$1"; }
js_is() { [ "$(js "$1")" = "$2" ]; }

# mpiod_up [CONF]: starts it and waits until it listens
mpiod_up() {
	[ -x "$MPIOD" ] || fail "$MPIOD is not built"
	spawn mpiod nsenter "--net=/run/netns/$NS-ini" env "${MPIOD_ENV[@]:-A=}" \
		"$MPIOD" -f -c "${1:-$T/mpiod.conf}"
	until_true "mpiod listens on its control socket" mpiod_answers
}
mpiod_answers() {
	alive mpiod || fail "mpiod died: $(tail -n 20 "$MPIOD_LOG")"
	ctl status >/dev/null 2>&1
}

# Ends it in an orderly way; a sanitizer that found something makes this fail.
mpiod_down() {
	local status=0
	stop mpiod || status=$?
	assert_eq "$status" 0 "exit status of mpiod"
}

# lun_name [I]: the export's name of the Ith LUN (by name)
lun_name() { js "[.luns[].name] | sort | .[${1:-0}]"; }
uri() { echo "nbd+unix:///$1?socket=$NBD"; }

# usable [LUN]: how many of its paths carry I/O; 0 while there is no such LUN
usable() {
	js "[.luns[] | select(\"${1:-}\" == \"\" or .name == \"${1:-}\") | .paths[] | select(.usable)] | length" \
		2>/dev/null || echo 0
}
has_paths() { [ "$(usable "${2:-}")" = "$1" ]; }

# mpiod_wait PATHS [LUN]: until exactly so many paths are usable
mpiod_wait() { until_true "$1 usable paths" has_paths "$@"; }

# path_of CABLE [LUN]: the name of the path over a cable
path_of() {
	js "[.luns[] | select(\"${2:-}\" == \"\" or .name == \"${2:-}\") | .paths[] |
		select(.portal | startswith(\"10.77.$1.2:\")) | .name] | first"
}
# path_get CABLE KEY: a value of that path
path_get() { js "[.luns[].paths[] | select(.portal | startswith(\"10.77.$1.2:\")) | .$2] | first"; }
path_ops() { path_get "$1" "reads + .writes" | head -n 1; }

ops_beyond() { [ "$(path_ops "$1")" -gt "$2" ]; }
# session_get CABLE KEY
session_get() {
	ctl --json sessions |
		jq -r "[.. | objects | select(.isid?) | select(.portal | startswith(\"10.77.$1.2:\")) | .$2] | first"
}
# path_is CABLE STATE
path_is() { [ "$(path_get "$1" state)" = "$2" ]; }

# event KIND [TEXT]: has it happened? (two regular expressions)
event() {
	ctl --json events | jq -e --arg kind "^($1)\$" --arg text "${2:-}" \
		'.events | any((.kind | test($kind)) and (.text | test($text)))' >/dev/null
}
log_has() { grep -q -- "$1" "$MPIOD_LOG"; }

# ---- load ----

# load_start URI [OPTION...]: begins, and waits until the export is filled
load_start() {
	[ -x "$NBD_LOAD" ] || fail "$NBD_LOAD is not built"
	rm -f "$T/orders" "$T/load.out"
	mkfifo "$T/orders"
	: >"$T/load.out"
	"$NBD_LOAD" --uri "$@" <"$T/orders" >"$T/load.out" 2>>"$T/load.log" &
	PID[load]=$!
	exec {LOAD_FD}>"$T/orders"
	load_line 1
}
# load_line N: waits for the Nth line of the load's output, and prints it
load_line() {
	local end=$((SECONDS + WAIT))
	until [ "$(wc -l <"$T/load.out")" -ge "$1" ]; do
		alive load || [ "$(wc -l <"$T/load.out")" -ge "$1" ] ||
			fail "the load ended: $(tail -n 5 "$T/load.log")"
		[ "$SECONDS" -lt "$end" ] || fail "the load does not answer"
		sleep 0.02
	done
	LOAD=$(sed -n "$1p" "$T/load.out")
}
# load_ask ORDER: gives an order and waits for the answer, a line of JSON in $LOAD
load_ask() {
	local n
	n=$(wc -l <"$T/load.out")
	echo "$1" >&"$LOAD_FD"
	load_line $((n + 1))
}
# load_mark NAME: numbers since the last mark; a new measurement begins
load_mark() { load_ask "mark $1"; }
load_get() { jq -r ".$1" <<<"$LOAD"; }
# load_ok WHAT: no errors, no miscompares and I/O went on since the last mark
load_ok() {
	load_mark "$1"
	assert_eq "$(load_get miscompares)" 0 "miscompares, $1"
	assert_eq "$(load_get errors)" 0 "errors, $1"
	assert_eq "$(load_get progressed)" true "I/O went on, $1"
	say "$1: stall of reads $(load_get read_stall_us) us, of writes $(load_get write_stall_us) us," \
		"$(load_get reads) reads, $(load_get writes) writes"
}
# load_progress [N]: waits until N more reads and N more writes (default 50) have completed; no mark
load_progress() {
	local n=${1:-50} reads writes end=$((SECONDS + WAIT))
	load_ask "peek before"
	reads=$(($(load_get reads) + n)) writes=$(($(load_get writes) + n))
	until [ "$(load_get reads)" -ge "$reads" ] && [ "$(load_get writes)" -ge "$writes" ]; do
		[ "$SECONDS" -lt "$end" ] || fail "the load makes no progress"
		sleep 0.05
		load_ask "peek progress"
	done
}
# load_end: last comparison of everything; leaves the totals in $LOAD
load_end() {
	local status=0
	load_ask end
	wait "${PID[load]}" || status=$?
	unset "PID[load]"
	exec {LOAD_FD}>&-
	LOAD=$(jq -c '.total + {verified}' <<<"$LOAD")
	if [ "${1:-}" != any ]; then
		assert_eq "$(load_get miscompares)" 0 "miscompares"
		assert_eq "$(load_get errors)" 0 "errors"
		assert_eq "$status" 0 "exit status of the load"
		assert_gt "$(load_get verified)" 0 "units compared at the end"
		say "end: $(load_get reads) reads, $(load_get writes) writes, 0 errors, 0 miscompares"
	fi
}

# ---- QEMU ----

# qemu_start URI: QEMU's client writes beyond the first 40 MiB, each time something else, and compares what it reads; of the last
# place and of the one that is overwritten next
qemu_start() {
	# shellcheck disable=SC2016 # the inner shell expands it
	spawn qemu setsid bash -c 'trap "kill 0" EXIT
		for ((i = 1; ; i++)); do
			echo "write -P $((i % 255 + 1)) $((40960 + i % 16 * 256))k 256k"
			echo "read -P $((i % 255 + 1)) $((40960 + i % 16 * 256))k 256k"
			[ "$i" -le 15 ] || echo "read -P $(((i - 15) % 255 + 1)) $((40960 + (i - 15) % 16 * 256))k 256k"
			sleep "$2"
		done | qemu-io -f raw "$1" & wait' - "$1" "${QEMU_PAUSE:-0.02}"
	qemu_progress 20
}
qemu_reads() { grep -c 'read 262144/262144' "$T/qemu.log" || true; }
# Each command was answered, and each byte that was read was right.
qemu_ok() {
	alive qemu || fail "QEMU's client ended: $(tail -n 5 "$T/qemu.log")"
	if grep -qi 'fail\|error' "$T/qemu.log"; then fail "QEMU: $(grep -i 'fail\|error' "$T/qemu.log" | head -n 3)"; fi
}
qemu_beyond() {
	qemu_ok
	[ "$(qemu_reads)" -gt "$1" ]
}
# qemu_progress N: N more reads, compared
qemu_progress() { until_true "QEMU reads" qemu_beyond $(($(qemu_reads) + $1)); }
qemu_end() {
	qemu_ok
	say "QEMU: $(qemu_reads) reads compared, no error"
	stop qemu || true
}

# ---- the whole of a pull ----

# pull CABLE HOW [RESTORE]: the load never sees it; the cable carries I/O before and again afterwards
pull() {
	local cable=$1 how=$2 restore=${3:-cable_restore} ops
	ops=$(path_ops "$cable")
	until_true "cable $cable carries I/O" ops_beyond "$cable" "$ops"
	load_mark before
	"$how" "$cable"
	mpiod_wait $((NCABLES - 1))
	load_progress 200
	load_ok "cable $cable: $how"
	"$restore" "$cable"
	mpiod_wait "$NCABLES"
	ops=$(path_ops "$cable")
	until_true "I/O returns to cable $cable" ops_beyond "$cable" "$ops"
	load_progress
	load_ok "cable $cable: back"
}

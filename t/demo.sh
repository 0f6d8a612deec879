#!/bin/bash
# SPDX-License-Identifier: MIT
# Watch it work: one iSCSI disk behind two cables, which are pulled while a verified load runs.
# As root (or through sudo). KEEP=1 leaves everything up until Ctrl-C.

cd "$(dirname "$0")/.." || exit 2
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || { echo "This needs root (it makes network namespaces): run it as root." >&2; exit 1; }
	echo "This needs root (it makes network namespaces): going on with sudo."
	exec sudo "B=${B:-build}" "KEEP=${KEEP:-}" "$0" "$@"
fi
t/deps demo || exit
[ -x "${B:-build}/mpiod" ] || make -s B="${B:-build}" all "${B:-build}/tools/nbd-load" || exit
LOG_LINES=15
. t/lib.sh

ID=naa.60000000000000000e00000000010001 # what tgtd gives LUN 1 of target 1
LUN=demo
bold='' dim='' off=''
if [ -t 1 ]; then bold=$'\e[1m' dim=$'\e[2m' off=$'\e[0m'; fi
ROWS=()
BAD=0

head_line() { printf '\n%s== %s%s\n' "$bold" "$*" "$off"; }
step() { printf '   %s\n' "$*"; }
table() { COLUMNS=77 ctl paths demo | sed "s/^/   /"; }
ms() { awk -v us="$1" 'BEGIN { printf us < 10000 ? "%.1f ms" : us < 1e6 ? "%.0f ms" : "%.1f s", us < 1e6 ? us / 1000 : us / 1e6 }'; }

# after NAME: what the load saw since the last time
after() {
	load_mark "$1"
	step "$1: longest stall: reads $(ms "$(load_get read_stall_us)"), writes $(ms "$(load_get write_stall_us)");" \
		"errors $(load_get errors), miscompares $(load_get miscompares)"
	ROWS+=("$1|$(load_get reads)|$(load_get writes)|$(ms "$(load_get read_stall_us)")|$(ms "$(load_get write_stall_us)")|$(load_get errors)|$(load_get miscompares)")
	[ "$(load_get errors)" = 0 ] && [ "$(load_get miscompares)" = 0 ] || BAD=1
	if [ "$(load_get progressed)" != true ]; then
		step "no I/O went on!"
		BAD=1
	fi
}
calm() { load_mark calm; } # begins to measure anew
verdict() {
	head_line "What the load saw"
	{
		echo "WHILE|READS|WRITES|READ STALL|WRITE STALL|ERRORS|MISCOMPARES"
		printf '%s\n' "${ROWS[@]}"
	} | awk -F'|' '{ printf "   %-32s %8s %8s %11s %11s %6s %11s\n", $1, $2, $3, $4, $5, $6, $7 }'
}

configure() {
	(umask 077 && echo "demo-secret-12" >"$T/secret")
	cat >"$T/mpiod.conf" <<-CONF
		[mpiod]
		initiator_name = iqn.2026-01.org.mpiod.test:ini
		listen = unix:$NBD
		control = $CTL

		[target storage]
		iqn = ${IQN}1
		portal = $(portal 1)
		portal = $(portal 2)
		chap_user = demo
		chap_secret_file = $T/secret

		[defaults]
		# the demo pulls the same cable again and again, and wants it back in use at once
		probation = off

		[lun demo]
		id = $ID
	CONF
}

setup() {
	head_line "Setting up: a host, a storage box, two cables between them"
	net_up 2
	step "two network namespaces, $NS-ini (the host) and $NS-tgt (the storage)"
	step "cable 1: 10.77.1.1 to 10.77.1.2      cable 2: 10.77.2.1 to 10.77.2.2"
	tgt_up
	tgt_target
	tgt_lun 1 256M
	tgt_chap demo demo-secret-12
	step "storage: tgtd, one disk of 256 MiB in memory, a portal on each cable, CHAP"
	configure
	sed -e "s/^/   $dim| /" -e "s/\$/$off/" "$T/mpiod.conf"
	mpiod_up
	mpiod_wait 2 "$LUN"
	ctl wait --paths 2 --timeout "$WAIT" "$LUN" >/dev/null
	step "mpiod is up: it logged in through both portals, saw that both lead to one disk, and"
	step "serves that as one NBD export, \"$LUN\""
	table
	step "a load begins: 8 reads and 8 writes of 4 KiB at a time on the NBD socket. Each block"
	step "is stamped, and each read is compared with what was last acknowledged."
	load_start "$(uri "$LUN")" --depth 16
	calm
	sleep 2
	after "both cables in"
}

# one_cable WORDS COMMAND: cable 1 is pulled in one way or another
one_cable() {
	head_line "Cable 1: $1"
	step "before:"
	table
	calm
	"$2" 1
	mpiod_wait 1
	sleep 2
	step "after:"
	table
	after "cable 1 $3"
	cable_restore 1
	mpiod_wait 2
	sleep 1
	after "cable 1 back in"
}

both_cables() {
	head_line "Both cables pulled for 5 seconds"
	step "before:"
	table
	calm
	cable_down 1
	cable_down 2
	mpiod_wait 0
	sleep 1
	step "while they are out, I/O waits (no_path_timeout is 120 s) and nobody gets an error:"
	table
	sleep 4
	cable_restore 1
	cable_restore 2
	mpiod_wait 2
	load_progress_any
	step "after:"
	table
	after "both out for 5 s, and back"
}
# the first answers after the pause
load_progress_any() {
	local n
	n=$(path_sum)
	until_true "I/O goes on" more_than "$n"
	sleep 1
}
path_sum() { js '[.luns[].paths[] | .reads + .writes] | add'; }
more_than() { [ "$(path_sum)" -gt $(($1 + 200)) ]; }

keep() {
	head_line "KEEP=1: everything stays up until Ctrl-C. In another terminal, as root:"
	cat <<-HELP
		   look:     $MPIOCTL -s $CTL status
		             $MPIOCTL -s $CTL events -f
		   a cable:  ip -n $NS-tgt link set t1 down        (and: up)
		   silently: nsenter --net=/run/netns/$NS-tgt nft add element inet cable silent '{ "t1" }'
		             (and: delete element)
		   use it:   nbdinfo '$(uri "$LUN")'
		             fio --name=try --ioengine=nbd --uri='$(uri "$LUN")' --rw=randrw --runtime=10 --time_based
		             modprobe nbd; nbd-client -unix $NBD -N $LUN -b 512 /dev/nbd0
		   log:      $MPIOD_LOG
	HELP
	while alive mpiod; do sleep 1; done
	fail "mpiod ended"
}

setup
one_cable "cut silently (packets vanish, the link light stays on)" cable_cut_silent "cut silently"
one_cable "cut with a reset (the other end says it knows nothing of us)" cable_reset "reset"
both_cables

head_line "Comparing every block with what was written last"
load_end any
step "$(load_get verified) blocks compared, $(load_get miscompares) miscompares"
verdict
total="$(load_get errors) errors and $(load_get miscompares) miscompares in $(load_get reads) reads and $(load_get writes) writes"
if [ "$(load_get errors)" != 0 ] || [ "$(load_get miscompares)" != 0 ] || [ "$(load_get verified)" = 0 ] || [ "$BAD" != 0 ]; then
	head_line "FAILED: $total."
	exit 1
fi
head_line "Passed: three pulls, $total."
[ -z "${KEEP:-}" ] || keep

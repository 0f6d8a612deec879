#!/bin/bash
# LIO and reservation_key: two hosts share a LUN, one of them through the kernel's client, an ext4 and verified I/O; a silent cut is
# fenced by PREEMPT and takes nothing from the other; a third host, without a key, may not write.
. "$(dirname "$0")/../lib.sh"
. "$(dirname "$0")/../lio.sh"

of() { # NAME COMMAND...: with the files of that daemon
	local t_ctl=$CTL t_nbd=$NBD status=0
	CTL=$T/$1.sock NBD=$T/$1.nbd
	"${@:2}" || status=$?
	CTL=$t_ctl NBD=$t_nbd
	return "$status"
}
daemon_up() { # NAME [KEY]
	{
		conf_head | sed "s/test:ini/test:$1/"
		conf_target t1 1 1 2
		printf '[defaults]\nprobation = off\nverify_interval = 1\n'
		[ -z "${2:-}" ] || printf 'reservation_key = %s\n' "$2"
	} >"$T/$1.conf"
	spawn "mpiod-$1" nsenter "--net=/run/netns/$NS-ini" "$MPIOD" -f -c "$T/$1.conf"
	until_true "mpiod $1 answers" ctl status >/dev/null
	mpiod_wait 2
}
daemon_down() {
	local status=0
	stop "mpiod-$1" || status=$?
	assert_eq "$status" 0 "exit status of mpiod $1"
}
reservations() { ctl --json reservations; }
keys_are() { # ALL OURS
	[ "$(reservations | jq -r '.luns[0].keys | "\(length) \(map(select(.path)) | length)"')" = "$1 $2" ]
}
fenced_by() { ctl events | grep -q "doubt about writes ended.*by $1"; }
ios() { js '[.luns[].paths[] | .reads + .writes] | add'; }
began() { verify_alive; [ "$(of a ios)" -gt "$1" ]; }

net_up 2
modprobe sch_netem
# far enough away that most of the time something is in flight
for i in 1 2; do on tgt tc qdisc add dev "t$i" root netem delay 20ms; done
lio_up 64M
of a daemon_up a a1
of a until_true "both paths of a are registered" of a keys_are 2 2
assert_eq "$(of a reservations | jq -r '.luns[0] | "\(.held) \(.type)"')" "true write exclusive, all registrants" "what a holds"
of b daemon_up b b2
of b until_true "b sees four keys, two of its own" of b keys_are 4 2

of a nbd_up -C 4
ext4_up 40M # what follows is for b
verify_start "$MNT" 8
until_true "I/O goes on" began "$(($(of a ios) + 200))"
for cable in 1 2; do
	cable_cut_silent "$cable"
	of a mpiod_wait 1
	until_true "I/O goes on over the other cable" began "$(($(of a ios) + 100))"
	cable_restore "$cable"
	of a mpiod_wait 2
	of b mpiod_wait 2
	of a until_true "four keys again" of a keys_are 4 2
done
of a until_true "a doubt was ended by PREEMPT" of a fenced_by PREEMPT
of b qemu-io -f raw -c 'write -P 7 48M 1M' -c 'read -P 7 48M 1M' "$(of b uri "$(of b lun_name)")" >"$T/out" || fail "b: $(cat "$T/out")"
! grep -qi 'error\|failed' "$T/out" || fail "b can't write beside a: $(cat "$T/out")"
verify_end
ext4_down
nbd_down
say "two hosts, two cuts, fenced by PREEMPT"

of c daemon_up c
of c until_true "c sees four keys, none of its own" of c keys_are 4 0
of c qemu-io -f raw -c 'write -P 9 48M 64k' "$(of c uri "$(of c lun_name)")" >"$T/out" 2>&1 || true
assert_contains "$(cat "$T/out")" "write failed"
of c qemu-io -r -f raw -c 'read -P 7 48M 64k' "$(of c uri "$(of c lun_name)")" >"$T/out" 2>&1 || fail "c can't read: $(cat "$T/out")"
assert_contains "$(cat "$T/out")" "read 65536"
of c daemon_down c
of b daemon_down b
of a until_true "only a is registered" of a keys_are 2 2
of a daemon_down a
say "a third without a key reads, and may not write"

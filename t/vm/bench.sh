#!/bin/bash
# SPDX-License-Identifier: MIT
# Inside the virtual machine (make bench-vm): the same LUN of LIO over two paths through mpiod and the kernel's NBD client, and
# through open-iscsi and dm-multipath, in turn: 4 KiB random I/O, and the longest write while one path is cut silently. Figures, no
# verdict; emulation makes all of them slow, so only the ratios mean something.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/lio.sh"

ROUNDS=${ROUNDS:-3} RUNTIME=${RUNTIME:-4}
MPATH_IQN=iqn.2026-01.org.mpiod.test:mpath
# everything in the machine's own network: open-iscsi knows no other
on() { "${@:2}"; }
portal() { echo "127.0.0.$1:3260"; }
NCABLES=2

# ---- the two ways to the disk: up sets DISK_DEV ----

mpiod_way() {
	spawn mpiod "$MPIOD" -f -c "$T/mpiod.conf"
	until_true "mpiod listens" mpiod_answers
	mpiod_wait 2
	RUNTIME_DIRECTORY=$T/attach spawn attach "$B/mpio-attach" "$(lun_name)" "$DEV" --socket "unix:$NBD"
	until_true "$DEV is connected" test -e "/sys/block/${DEV##*/}/pid"
	DISK_DEV=$DEV
}
mpiod_way_down() {
	"$B/mpio-attach" --detach "$DEV" >/dev/null 2>&1 || nbd-client -d "$DEV" >/dev/null
	stop attach || true
	stop mpiod || true
}

mapped() { DISK_DEV=$(find /dev/mapper -name 'mpath*' -o -name '3*' | head -n 1); [ -n "$DISK_DEV" ]; }
two_active() { [ "$(multipath -ll | grep -c 'active ready running')" = 2 ]; }
multipath_way() {
	local i
	for i in 1 2; do
		iscsiadm -m node -o new -T "${IQN}1" -p "$(portal "$i")" >/dev/null
		iscsiadm -m node -T "${IQN}1" -p "$(portal "$i")" --login >/dev/null
	done
	until_true "multipathd has made the map" mapped
	until_true "both paths are active" two_active
}
multipath_way_down() {
	multipath -F >/dev/null 2>&1 || true
	iscsiadm -m node -T "${IQN}1" --logout >/dev/null 2>&1 || true
	iscsiadm -m node -T "${IQN}1" -o delete >/dev/null 2>&1 || true
}

# ---- what is measured ----

fio_json() { # RW DEPTH SECONDS
	fio --name=b --filename="$DISK_DEV" --direct=1 --ioengine=libaio --rw="$1" --bs=4k --iodepth="$2" --time_based --runtime="$3" \
		--size=64M --output-format=json 2>/dev/null | sed -n '/^{/,$p'
}
iops() { fio_json "$@" "$RUNTIME" | jq '.jobs[0] | .read.iops + .write.iops | floor'; }
cut_path() { nft add element inet bench silent '{ 127.0.0.1 }'; }
mend_path() { nft flush set inet bench silent; }
stall() { # the longest write, in ms
	(sleep 3; cut_path) &
	fio_json randwrite 1 45 | jq '.jobs[0].write.clat_ns.max / 1000000 | floor'
	wait $! || true
	mend_path
}
median() { sort -n | awk '{ v[NR] = $1 } END { print NR ? v[int((NR + 1) / 2)] : "-" }'; }

modprobe -a nbd dm_multipath iscsi_tcp || fail "this kernel lacks modules"
nft -f - <<'END'
table inet bench {
	set silent { type ipv4_addr; }
	chain in { type filter hook input priority 0; tcp dport 3260 ip daddr @silent drop; tcp sport 3260 ip saddr @silent drop; }
}
END
lio_up 128M
conf
echo "InitiatorName=$MPATH_IQN" >/etc/iscsi/initiatorname.iscsi
printf 'defaults {\n\tfind_multipaths no\n}\nblacklist {\n\tdevnode "^(nbd|loop|ram)"\n}\n' >/etc/multipath.conf
spawn iscsid iscsid -f
spawn multipathd multipathd -d
sleep 2

for ((round = 1; round <= ROUNDS; round++)); do
	for way in mpiod multipath; do
		say "round $round: $way"
		"${way}_way"
		for rw in randread randwrite; do
			for depth in 1 32; do iops "$rw" "$depth" >>"$T/$way.$rw.$depth"; done
		done
		if [ "$round" = 1 ]; then stall >"$T/$way.stall"; fi
		"${way}_way_down"
	done
done

row() { # WHAT FILE
	local a b
	a=$(median <"$T/mpiod.$2") b=$(median <"$T/multipath.$2")
	printf '%-36s %10s %14s %8s\n' "$1" "$a" "$b" "$(awk -v a="$a" -v b="$b" 'BEGIN { print (b > 0 ? sprintf("%.2f", a / b) : "-") }')"
}
say ""
printf '%-36s %10s %14s %8s\n' "medians of $ROUNDS rounds" mpiod+nbd dm-multipath ratio
for rw in randread randwrite; do
	for depth in 1 32; do row "4k $rw, depth $depth, IOPS" "$rw.$depth"; done
done
row "silent cut, longest write, ms" stall
say "dm-multipath: Debian's defaults (noop-out after 5 s, time-out 5 s, fast_io_fail_tmo 5 s); mpiod: its own."

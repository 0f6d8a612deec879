#!/bin/bash
# SPDX-License-Identifier: MIT
# mpiod with 1, 2 and 4 paths and the nbdkit plugin with 1 beside the storage daemon of QEMU (iscsi driver, NBD export, one path).
#
# All on the same tgtd, by turns, in the same run: ROUNDS (5) interleaved rounds of RUNTIME (2) seconds for each
# cell, through the nbd engine of fio. Medians on the terminal; $B/bench/speed.csv has every run, speed.svg a
# picture. Only ratios mean something: target, server and client share this machine.
cd "$(dirname "$0")/../.." || exit 2
LOG_LINES=20
. t/lib.sh
ROUNDS=${ROUNDS:-5}
RUNTIME=${RUNTIME:-2}
read -ra PATHS <<<"${PATHS:-1 2 4}"
read -ra SIZES <<<"${SIZES:-4k 128k}"
read -ra MODES <<<"${MODES:-randread randwrite}"
read -ra DEPTHS <<<"${DEPTHS:-1 32}"
OUT=$B/bench
mkdir -p "$OUT"
command -v qemu-storage-daemon >/dev/null || fail "qemu-storage-daemon is missing: t/deps bench"

# loopback of a host of its own
portal() { echo "127.0.0.$1:3260"; }
TGT_HOST=ini
net_up 0
tgt_up a 1 2 3 4
tgt_target
truncate -s 512M "$T/disk"
# blocks that exist: reading holes is another story
dd if=/dev/urandom of="$T/disk" bs=1M count=512 conv=notrunc status=none
tgt_lun 1 512M a 1 "$T/disk"

declare -A URI=()
SERVERS=()
start_mpiod() { # N: with N paths
	local n=$1 portals=() i
	for ((i = 1; i <= n; i++)); do portals+=("$i"); done
	CTL=$T/control$n.sock NBD=$T/nbd$n.sock
	{
		conf_head | sed "s/:ini\$/:ini$n/; /^log_level/d"
		conf_target t1 1 "${portals[@]}"
	} >"$T/mpiod$n.conf"
	spawn "mpiod-$n" nsenter "--net=/run/netns/$NS-ini" "$MPIOD" -f -c "$T/mpiod$n.conf"
	mpiod_wait "$n"
	SERVERS+=("mpiod-$n")
	URI[mpiod-$n]=$(uri "$(lun_name)")
}
qemu_listens() { nbdinfo --size "nbd+unix:///disk?socket=$T/qemu.sock" >/dev/null 2>&1; }
start_qemu() {
	spawn qemu nsenter "--net=/run/netns/$NS-ini" qemu-storage-daemon \
		--blockdev "driver=iscsi,node-name=disk,transport=tcp,portal=$(portal 1),target=${IQN}1,lun=1" \
		--nbd-server "addr.type=unix,addr.path=$T/qemu.sock" \
		--export "type=nbd,id=disk,node-name=disk,name=disk,writable=on"
	until_true "the storage daemon listens" qemu_listens
	SERVERS+=(qemu)
	URI[qemu]="nbd+unix:///disk?socket=$T/qemu.sock"
}
start_nbdkit() {
	local plugin=$B/nbdkit-mpio-plugin.so
	if ! command -v nbdkit >/dev/null; then return; fi
	spawn nbdkit nsenter "--net=/run/netns/$NS-ini" nbdkit -f -t 64 -U "$T/nbdkit.sock" "$plugin" \
		"target=${IQN}1" "portal=$(portal 1)" lun=1 initiator_name=iqn.2026-01.org.mpiod.test:nbdkit
	URI[nbdkit]="nbd+unix:///?socket=$T/nbdkit.sock"
	until_true "nbdkit listens" nbdinfo --size "${URI[nbdkit]}" >/dev/null 2>&1
	SERVERS+=(nbdkit)
}
start_qemu
start_nbdkit
for n in "${PATHS[@]}"; do start_mpiod "$n"; done

# ns of processor that all threads of a process have used
cpu() { cat "/proc/${PID[$1]}/task/"*/schedstat | awk '{ s += $1 } END { printf "%.0f", s }'; }

cell() { # ROUND SERVER SIZE MODE DEPTH
	local before after
	before=$(cpu "$2")
	fio --name=cell --ioengine=nbd --uri="${URI[$2]}" --rw="$4" --bs="$3" --iodepth="$5" --size=512M \
		--time_based --runtime="$RUNTIME" --norandommap --randrepeat=0 --output-format=json \
		--output="$T/fio.json" >/dev/null 2>"$T/fio.log" || fail "fio: $(cat "$T/fio.log")"
	after=$(cpu "$2")
	jq -r --arg cpu $((after - before)) --arg head "$1,$2,$3,$4,$5" '
		.jobs[0] | (if .read.total_ios > 0 then .read else .write end) |
		"\($head),\(.iops | round),\(.clat_ns.percentile."50.000000" / 1000),\(.clat_ns.percentile."99.000000" / 1000),\(($cpu | tonumber) / .total_ios / 1000 * 1000 | round / 1000)"' \
		"$T/fio.json" >>"$OUT/speed.csv"
}

echo "round,server,size,mode,depth,iops,p50_us,p99_us,cpu_us_per_io" >"$OUT/speed.csv"
for ((round = 1; round <= ROUNDS; round++)); do
	for size in "${SIZES[@]}"; do
		for mode in "${MODES[@]}"; do
			for depth in "${DEPTHS[@]}"; do
				# nobody is always first
				for ((i = 0; i < ${#SERVERS[@]}; i++)); do
					server=${SERVERS[(i + round) % ${#SERVERS[@]}]}
					[ ! -t 1 ] || printf '\rround %s of %s: %s %s depth %s, %s \e[K' \
						"$round" "$ROUNDS" "$size" "$mode" "$depth" "$server"
					cell "$round" "$server" "$size" "$mode" "$depth"
				done
			done
		done
	done
done
[ ! -t 1 ] || printf '\r\e[K'
/usr/bin/python3 t/bench/report.py "$OUT/speed.csv" "$OUT/speed.svg"

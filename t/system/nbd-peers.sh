#!/bin/bash
# Other people's NBD clients (nbdinfo, nbdcopy, qemu-io, qemu-img, fio) find the server right.
# SPDX-License-Identifier: MIT
set -euo pipefail

cd "$(dirname "$0")/../.."
RAMDISK=${B:-build}/tools/nbd-ramdisk
[ -x "$RAMDISK" ] || { echo "SKIPPED: $RAMDISK is not built"; exit 77; }
for tool in nbdinfo nbdcopy qemu-io qemu-img fio; do
	command -v "$tool" >/dev/null || { echo "SKIPPED: no $tool"; exit 77; }
done
T=$(mktemp -d)
PIDS=()

fail() { echo "FAILED: $*" >&2; exit 1; }
cleanup() {
	local pid
	trap - EXIT INT TERM
	for pid in "${PIDS[@]}"; do kill -KILL "$pid" 2>/dev/null || true; done
	rm -rf "$T"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# serve NAME OPTION...: a server on $T/NAME
serve() {
	local name=$1 i
	shift
	"$RAMDISK" "$@" "unix:$T/$name" 2>"$T/$name.log" &
	PIDS+=($!)
	for ((i = 0; i < 600; i++)); do
		[ ! -S "$T/$name" ] || return 0
		sleep 0.05
	done
	fail "nbd-ramdisk does not listen: $(cat "$T/$name.log")"
}
uri() { echo "nbd+unix:///${2:-ram}?socket=$T/$1"; }
# end: every server leaves in order, and says so (sanitizers too)
end() {
	local pid status
	for pid in "${PIDS[@]}"; do
		status=0
		kill -TERM "$pid"
		wait "$pid" || status=$?
		[ "$status" = 0 ] || fail "a server ended with status $status: $(tail -n 30 "$T"/*.log)"
	done
	PIDS=()
}

serve disk --size 64M
serve late --size 64M --late --inflight 300000
serve ro --size 1M --read-only

# nbdinfo: what is advertised, and the list
nbdinfo "$(uri disk)" >"$T/info"
for line in 'can_multi_conn: true' 'can_fua: true' 'can_flush: true' 'can_trim: true' 'can_zero: true' \
	'can_df: true' 'is_read_only: false' 'block_size_minimum: 1' 'block_size_maximum: 33554432' \
	'export-size: 67108864' 'description: memory'; do
	grep -q "$line" "$T/info" || fail "nbdinfo lacks '$line': $(cat "$T/info")"
done
nbdinfo "$(uri ro)" | grep -q 'is_read_only: true' || fail "read-only is not advertised"
[ "$(nbdinfo --list "nbd+unix://?socket=$T/disk" | grep -c '^export=')" = 2 ] || fail "nbdinfo --list"
if nbdinfo "$(uri disk nothing)" >/dev/null 2>&1; then fail "an unknown export was opened"; fi

# nbdcopy there and back, also through a server that parks connections and answers out of order
head -c 67108864 /dev/urandom >"$T/random"
for server in disk late; do
	nbdcopy --connections=4 "$T/random" "$(uri $server)"
	nbdcopy --connections=4 "$(uri $server)" "$T/copy"
	cmp "$T/random" "$T/copy" || fail "nbdcopy brought something else back ($server)"
	nbdcopy --request-size=33554432 --requests=2 "$T/random" "$(uri $server)"
	nbdcopy --request-size=33554432 --requests=2 --synchronous "$(uri $server)" "$T/copy"
	cmp "$T/random" "$T/copy" || fail "32 MiB requests of nbdcopy ($server)"
done
qemu-img compare -f raw -F raw "$T/random" "$(uri disk)" >/dev/null || fail "qemu-img compare"
qemu-img compare -f raw -F raw "$(uri disk)" "$(uri late)" >/dev/null || fail "qemu-img compare, two servers"
nbdcopy "$(uri disk)" "$(uri late)"
qemu-img convert -n -f raw -O raw "$T/random" "$(uri disk zero-flags)"
echo "nbdcopy and qemu-img: same bytes"

# qemu-io: odd places, FUA, zeroes, discard, flush, and errors that it expects
qemu-io -f raw -c 'write -P 1 0 16k' -c 'write -f -P 2 1000 3' -c 'read -P 2 1000 3' -c 'read -P 1 1003 15381' \
	-c 'write -z 4096 512' -c 'read -P 0 4096 512' -c 'discard 8k 4k' -c 'read -P 0 8k 4k' -c 'flush' \
	-c 'aio_write -P 7 1M 1M' -c 'aio_write -P 8 2M 1M' -c 'aio_flush' -c 'read -P 7 1M 1M' -c 'read -P 8 2M 1M' \
	"$(uri late)" >"$T/io"
if grep -iE 'fail|error|verif' "$T/io"; then fail "qemu-io: $(cat "$T/io")"; fi
echo "qemu-io: as written"

# fio: verified random reads and writes
for server in disk late; do
	for size in 4k-4k 512-128k; do
		fio --name=v --ioengine=nbd --uri="$(uri $server)" --rw=randrw --bsrange="$size" --iodepth=32 \
			--size=48M --io_size=48M --verify=crc32c --verify_fatal=1 --randseed=7 \
			>"$T/fio" 2>&1 || fail "fio, $server, $size: $(tail -n 20 "$T/fio")"
	done
done
echo "fio: verified"

end

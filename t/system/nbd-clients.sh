#!/bin/bash
# What mpiod tells of its exports to other people's tools: names, descriptions, block sizes, flags, maps; and their verified I/O on it,
# while a path is pulled.
. "$(dirname "$0")/../lib.sh"
for tool in nbdinfo nbdcopy qemu-io qemu-img fio; do
	command -v "$tool" >/dev/null || skip "no $tool"
done

net_up 2
tt_up --lun 1:64 --lun 2:64
conf 'probation = off'
cat >>"$T/mpiod.conf" <<-CONF
	[lun data]
	id = naa.60014050000000000000000000000001
	[lun archive]
	id = naa.60014050000000000000000000000002
	read_only = yes
CONF
mpiod_up
mpiod_wait 2 data
mpiod_wait 2 archive
ALL="nbd+unix://?socket=$NBD"

# nbdinfo, one export
nbdinfo --json "$(uri data)" >"$T/info"
for fact in '.protocol == "newstyle-fixed"' '.structured' '.exports[0]["export-size"] == 67108864' \
	'.exports[0].description == "naa.60014050000000000000000000000001 block=512"' \
	'.exports[0].contexts == ["base:allocation"]' '.exports[0].is_read_only == false' '.exports[0].can_cache' \
	'.exports[0].can_df' '.exports[0].can_fast_zero' '.exports[0].can_flush' '.exports[0].can_fua' \
	'.exports[0].can_multi_conn' '.exports[0].can_trim' '.exports[0].can_zero' \
	'.exports[0].block_size_minimum == 1' '.exports[0].block_size_preferred == 4096' \
	'.exports[0].block_size_maximum == 33554432'; do
	jq -e "$fact" "$T/info" >/dev/null || fail "nbdinfo: not $fact: $(cat "$T/info")"
done
nbdinfo --is read-only "$(uri archive)" || fail "archive is not read-only"
nbdinfo --can cache "$(uri archive)" || fail "archive can't be cached"
for what in trim zero write; do
	if nbdinfo --can "$what" "$(uri archive)"; then fail "archive can $what"; fi
done
# all of them; by identifier; the default, which there is only with one export; and one that there is not
assert_eq "$(nbdinfo --list --json "$ALL" | jq -r '[.exports[]."export-name"] | sort | join(" ")')" "archive data" "nbdinfo --list"
assert_eq "$(nbdinfo --size "$(uri naa.60014050000000000000000000000001)")" 67108864 "by identifier"
for name in '' nothing; do
	if nbdinfo --size "$(uri "$name")" >/dev/null 2>&1; then fail "the export \"$name\" was opened"; fi
done
assert_eq "$(nbdinfo --map "$(uri data)" | tr -s ' ' | sed 's/^ //')" "0 67108864 3 hole,zero" "the map of a new LUN"
qemu-img info --output=json -f raw "$(uri data)" | jq -e '."virtual-size" == 67108864' >/dev/null || fail "qemu-img info"
say "nbdinfo: all is told"

# verified I/O, and a path goes while it runs
qemu-io -f raw -c 'write -P 1 0 16k' -c 'write -f -P 2 1000 3' -c 'read -P 2 1000 3' -c 'read -P 1 1003 15381' \
	-c 'write -z 4096 512' -c 'read -P 0 4096 512' -c 'write -zu 64k 64k' -c 'read -P 0 64k 64k' -c 'discard 8k 4k' \
	-c 'read -P 0 8k 4k' -c 'flush' -c 'aio_write -P 7 1M 1M' -c 'aio_write -P 8 2M 1M' -c 'aio_flush' \
	-c 'read -P 7 1M 1M' -c 'read -P 8 2M 1M' "$(uri data)" >"$T/io"
if grep -iE 'fail|error|verif' "$T/io"; then fail "qemu-io: $(cat "$T/io")"; fi
spawn fio fio --name=v --ioengine=nbd --uri="$(uri data)" --rw=randrw --bsrange=512-64k --iodepth=16 --size=32M --io_size=64M \
	--verify=crc32c --verify_fatal=1 --randseed=7 --verify_backlog=256
sleep 0.5
cable_reset 1
status=0
wait "${PID[fio]}" || status=$?
unset "PID[fio]"
assert_eq "$status" 0 "fio: $(tail -n 10 "$T/fio.log")"
cable_restore 1
mpiod_wait 2 data
head -c 64M /dev/urandom >"$T/random"
nbdcopy --connections=4 "$T/random" "$(uri data)"
qemu-img compare -f raw -F raw "$T/random" "$(uri data)" >/dev/null || fail "nbdcopy to mpiod"
if nbdcopy "$T/random" "$(uri archive)" 2>/dev/null; then fail "a copy to a read-only export"; fi
cable_reset 2
nbdcopy --connections=4 "$(uri data)" "$T/copy"
cmp "$T/random" "$T/copy" || fail "nbdcopy from mpiod"
say "nbdcopy, qemu and fio: same bytes"
mpiod_down
tt_down

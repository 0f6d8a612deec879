#!/bin/bash
# Requests of any size at any byte read and write exactly their bytes, also while cables are pulled.
. "$(dirname "$0")/../lib.sh"

san_up 2
conf 'probation = off'
mpiod_up
mpiod_wait 2
uri=$(uri "$(lun_name)")

# units that share blocks with their neighbours: a neighbour that is lost shows
for size in 700 512 4608 3000; do
	load_start "$uri" --mix --block-size "$size" --connections 2 --size-limit 4M --seed "$size"
	load_progress 200
	load_ok "units of $size bytes"
	load_end
done
load_start "$uri" --mix --block-size 1000 --connections 2 --size-limit 4M --seed 77
pull 1 cable_cut_silent
pull 2 cable_reset
load_end

# what others make of it
head -c 5000001 /dev/urandom >"$T/random"
truncate -s 67108864 "$T/random"
nbdcopy "$T/random" "$uri"
nbdcopy "$uri" "$T/copy"
cmp "$T/random" "$T/copy"
qemu-io -f raw -c 'write -P 1 0 16k' -c 'write -P 2 1000 3' -c 'read -P 2 1000 3' -c 'read -P 1 0 1000' \
	-c 'read -P 1 1003 15381' -c 'write -z 4097 999' -c 'read -P 0 4097 999' -c 'read -P 1 5096 904' "$uri" \
	>"$T/io.out"
if grep -i 'fail' "$T/io.out"; then fail "qemu-io: $(cat "$T/io.out")"; fi

#!/bin/bash
# Filters of nbdkit before the plugin: cow leaves the LUN alone, partition finds its own, stats counts, rate limits, error is not ours.
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/../nbdkit.sh"
for tool in nbdcopy nbdinfo sfdisk qemu-io; do
	command -v "$tool" >/dev/null || skip "no $tool"
done
for filter in cow partition stats rate blocksize; do
	nbdkit "--filter=$filter" null --dump-plugin >/dev/null 2>&1 || skip "nbdkit has no filter $filter"
done

san_up 2
target_args
# shellcheck disable=SC2016 # the shell of --run expands it
URI='"$uri"'
sum() { sha256sum <"$T/disk-1-1"; }

# a disk with two partitions; the second holds what is looked for
truncate -s 64M "$T/image"
printf '%s\n' 'label: gpt' 'start=2048, size=32768' 'start=40960, size=32768' | sfdisk -q "$T/image"
head -c 16M /dev/urandom >"$T/part"
dd if="$T/part" of="$T/image" bs=512 seek=40960 conv=notrunc status=none
kit_run "nbdcopy $T/image $URI" "$PLUGIN" "${ARGS[@]}"

# cow: writes are seen and never reach the LUN
before=$(sum)
kit_run "qemu-io -f raw -c 'write -P 9 1M 1M' -c 'read -P 9 1M 1M' -c 'write -z 8M 1M' -c 'read -P 0 8M 1M' -c flush $URI" \
	--filter=cow "$PLUGIN" "${ARGS[@]}" >"$T/out"
if grep -iE 'fail|error' "$T/out"; then fail "qemu-io over cow: $(cat "$T/out")"; fi
assert_eq "$(sum)" "$before" "the LUN, after writes over cow"

# partition
kit_run "nbdcopy $URI $T/copy" --filter=partition "$PLUGIN" "${ARGS[@]}" partition=2
cmp "$T/part" "$T/copy" || fail "partition 2 has other bytes"
kit_run "nbdcopy $T/copy $URI" --filter=partition "$PLUGIN" "${ARGS[@]}" partition=1
cmp -n 16777216 <(dd if="$T/disk-1-1" bs=512 skip=2048 count=32768 status=none) "$T/part" ||
	fail "partition 1 on the LUN has other bytes"

# stats: each byte is counted once
kit_run "nbdcopy --allocated $URI $T/copy2" --filter=stats --filter=noextents "$PLUGIN" "${ARGS[@]}" statsfile="$T/stats"
grep -E '^read: .* 64\.00 MiB' "$T/stats" || fail "statistics of a copy of 64 MiB: $(cat "$T/stats")"
cmp "$T/disk-1-1" "$T/copy2" || fail "the copy differs"

# rate: 64 MiB at 64 Mbit/s take eight seconds; two of them it may have saved up
copy_ms() {
	local begin
	begin=$(date +%s%N)
	kit_run "nbdcopy --allocated $URI null:" --filter=noextents "$@"
	MS=$((($(date +%s%N) - begin) / 1000000))
}
copy_ms "$PLUGIN" "${ARGS[@]}"
free=$MS
copy_ms --filter=rate "$PLUGIN" "${ARGS[@]}" rate=64M
assert_ge "$MS" 5000 "milliseconds, at 64 Mbit/s (without limit: $free)"

# several at once, and a path that goes while they are at it
kit_up -t 32 --filter=stats --filter=blocksize "$PLUGIN" "${ARGS[@]}" statsfile="$T/stats2" minblock=4096
mpiod_wait 2
load_start "nbd+unix:///?socket=$NBD" --mix --depth 8 --connections 2 --size-limit 8M
cable_cut_silent 2
mpiod_wait 1
load_progress
cable_restore 2
mpiod_wait 2
load_progress
load_ok "a path cut below filters"
load_end
kit_down
assert_contains "$(cat "$T/stats2")" 'write: ' "statistics of the load"

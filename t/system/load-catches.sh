#!/bin/bash
# The load that the other tests believe finds a lost write, an old block, a foreign block and an error.
. "$(dirname "$0")/../lib.sh"

disk=$T/disk sock=$T/nbd.sock
serve() { # FILTER...
	truncate -s 16M "$disk"
	spawn nbdkit nbdkit -f -U "$sock" "$@"
	until_true "nbdkit listens" test -S "$sock"
}
unserve() { stop nbdkit || true; rm -f "$sock"; }
# damage COMMAND...: a load runs, then COMMAND changes the disk behind its back
damage() {
	serve file "$disk"
	load_start "nbd+unix:///?socket=$sock" --size-limit 4M --read-depth 4 --write-depth 0
	cp "$disk" "$T/old"
	"$@"
	load_end any
	unserve
}

counts_errors() { load_ask "peek x" && [ "$(load_get errors)" -gt 0 ]; }

damage dd if=/dev/zero of="$disk" bs=4096 seek=100 count=1 conv=notrunc status=none
assert_gt "$(load_get miscompares)" 0 "a lost block"
damage dd if="$disk" of="$disk" bs=4096 skip=5 seek=6 count=1 conv=notrunc status=none
assert_gt "$(load_get miscompares)" 0 "a block in another's place"
one_bit() { printf '\x55' | dd of="$disk" bs=1 seek=20000 conv=notrunc status=none; }
damage one_bit
assert_gt "$(load_get miscompares)" 0 "a byte that changed"
damage true
assert_eq "$(load_get miscompares)" 0 "no damage"

# an old generation: written, written again, and the first one put back
serve file "$disk"
load_start "nbd+unix:///?socket=$sock" --size-limit 1M
cp "$disk" "$T/old"
load_progress 5000
dd if="$T/old" of="$disk" bs=4096 count=256 conv=notrunc status=none
load_end any
unserve
assert_gt "$(load_get miscompares)" 0 "old blocks"

serve --filter=error memory 16M error=EIO error-rate=100% error-file="$T/go"
load_start "nbd+unix:///?socket=$sock" --size-limit 4M
load_progress
touch "$T/go"
until_true "it counts errors" counts_errors
rm "$T/go"
load_end any
unserve
assert_eq "$(load_get miscompares)" 0 "errors are no miscompares"

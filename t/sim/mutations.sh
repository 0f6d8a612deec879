#!/bin/bash
# The checks of the simulation can fail: a target that loses writes, reads old data, lies about a flush or mixes up LUNs is caught,
# and so is an engine that skips the fence, drops a retry, completes twice or flushes too early.
# SPDX-License-Identifier: MIT
set -u
sim=${PLAIN_B:-${B:-build}}/sim-engine
for m in lose-acked-write stale-read early-flush early-fua false-hole wrong-lun skip-fence drop-retry complete-twice flush-early; do
	if out=$("$sim" --seeds 10000 --mutate "$m" 2>&1); then
		echo "FAILED: nobody noticed $m"
		exit 1
	fi
	echo "$m: $(grep -m 1 -E 'FAILED:|DIED' <<<"$out")"
done
# and without any of it, the same seeds are fine
"$sim" --seeds 500

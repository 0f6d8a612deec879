#!/bin/bash
# SPDX-License-Identifier: MIT
# t/fuzz/run.sh NAME [SECONDS]: fuzzes one target. Without SECONDS the corpus and a few thousand runs that are
# the same each time, as a test; with it, for that long: what is new goes to build-fuzz/corpus/NAME, crashes to build-fuzz/crash-NAME-*.
# t/fuzz/run.sh --merge NAME: takes over from there what reaches something new, in as few files as will do.
set -euo pipefail
cd "$(dirname "$0")/../.."
B=${FUZZ_B:-build-fuzz}
merge=
[ "${1:-}" != --merge ] || { merge=1; shift; }
name=${1:?NAME}
seconds=${2:-}
corpus=t/fuzz/corpus/$name
found=$B/corpus/$name
mkdir -p "$corpus" "$found"
args=(-max_len=8192 -timeout=20 -rss_limit_mb=2048 -verbosity=1 -artifact_prefix="$B/crash-$name-")
dict=t/fuzz/$name.dict
[ ! -e "$dict" ] || args+=(-dict="$dict")
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0}:allocator_may_return_null=1

if [ -n "$merge" ]; then
	new=$(mktemp -d)
	trap 'rm -rf "$new"' EXIT
	# few and short: the corpora are in the repository
	"$B/fuzz/$name" "${args[@]}" -max_len=2048 -use_counters=0 -set_cover_merge=1 "$new" "$corpus" "$found"
	rm -rf "$corpus"
	mkdir "$corpus"
	cp "$new"/* "$corpus"
	exit
fi
if [ -n "$seconds" ]; then
	exec "$B/fuzz/$name" "${args[@]}" -max_total_time="$seconds" -print_final_stats=1 "$found" "$corpus"
fi

# First each file as it is, then changes of them by a fixed seed. What these find is not kept.
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
"$B/fuzz/$name" "${args[@]}" "$corpus"/* >"$log/files" 2>&1 || { tail -n 60 "$log/files"; exit 1; }
mkdir "$log/new"
"$B/fuzz/$name" "${args[@]}" -seed=1 -runs="${RUNS:-3000}" "$log/new" "$corpus" >"$log/runs" 2>&1 || {
	tail -n 60 "$log/runs"
	exit 1
}
tail -n 1 "$log/runs"

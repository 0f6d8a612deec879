#!/bin/bash
# The nbdkit plugin: listed, copied and verified by others' clients, errors that name the parameter, a path pulled under load, SIGHUP.
# SPDX-License-Identifier: MIT
. "$(dirname "$0")/../nbdkit.sh"
for tool in nbdcopy nbdinfo qemu-img fio; do
	command -v "$tool" >/dev/null || skip "no $tool"
done

san_up 2
tgt_lun 2 32M
tgta --mode logicalunit --op update --tid 1 --lun 1 --params thin_provisioning=1
target_args
LUN1=naa.60000000000000000e00000000010001
LUN2=naa.60000000000000000e00000000010002

# ---- what it says of itself ----

out=$(kit "$PLUGIN" --dump-plugin)
for line in name=mpio thread_model=parallel errno_is_preserved=1 'mpio_policies=failover-only round-robin' mpio_version=; do
	assert_contains "$out" "$line" "--dump-plugin"
done
assert_contains "$(kit "$PLUGIN" --help)" 'portal=ADDR' "--help"

# ---- parameters that are wrong: an exit status, and the parameter's name ----

# refused TEXT ARG...
refused() {
	local text=$1
	shift
	assert_fails 1 kit -U - "$PLUGIN" "$@" --run true
	assert_contains "$(cat "$T/out")" "$text" "message for: $*"
}
refused 'portal=ADDR[:PORT] is missing' "target=${IQN}1"
refused 'target=IQN is missing' "portal=$(portal 1)"
refused 'target: "nonsense" is not valid' target=nonsense "portal=$(portal 1)"
refused 'target: given twice' "${ARGS[@]}" "target=${IQN}2"
refused 'queue_depht: no such parameter; did you mean queue_depth?' "${ARGS[@]}" queue_depht=8
refused 'queue_depth: "many" is not valid, expected a number' "${ARGS[@]}" queue_depth=many
refused 'policy: "best" is not valid' "${ARGS[@]}" policy=best
refused 'listen: no such parameter' "${ARGS[@]}" listen=unix:/x
refused 'lun: given twice' "${ARGS[@]}" lun=1 lun=2
refused 'hedge: the value has a line break' "${ARGS[@]}" $'hedge=yes\niqn=x'
refused '/nothing/here: cannot be read' config=/nothing/here
conf 'queue_depth = 9999'
refused 'queue_depth: "9999" is out of range' "$T/mpiod.conf"
conf
refused 'policy: with config=FILE it belongs into the file' "config=$T/mpiod.conf" policy=round-robin

# ---- the first login fails: exit 1, and the reason on the terminal ----

refused "10.77.1.2:3299: Connection refused" "target=${IQN}1" portal=10.77.1.2:3299
refused "10.77.1.2:3260: target not found" "target=${IQN}9" "portal=$(portal 1)"
refused "no LUN 7: 10.77.1.2:3260: " "target=${IQN}1" "portal=$(portal 1)" lun=7
refused "no LUN nobody: 10.77.1.2:3260: logged in, no such disk there (there are: $LUN1, $LUN2)" \
	"target=${IQN}1" "portal=$(portal 1)" lun=nobody
cable_cut_silent 1
refused "no connection within 1000 ms" "target=${IQN}1" "portal=$(portal 1)" login_timeout=1
# one of two portals is enough, and the other is told of
kit_run true "$PLUGIN" "${ARGS[@]}" login_timeout=1 2>"$T/out"
assert_contains "$(cat "$T/out")" "10.77.1.2:3260: no" "the portal that does not answer"
cable_restore 1
# two with the same ISIDs would end each other's sessions for ever; another LUN, or another name, is another matter
kit_run "! LD_PRELOAD=$PRELOAD nbdkit -U - $PLUGIN ${ARGS[*]} --run true 2>$T/out" "$PLUGIN" "${ARGS[@]}"
assert_contains "$(cat "$T/out")" "another nbdkit has this target open" "a second one"
kit_run "LD_PRELOAD=$PRELOAD nbdkit -U - $PLUGIN target=${IQN}1 portal=$(portal 1) lun=2 --run true" "$PLUGIN" "${ARGS[@]}" lun=1
say "parameters: each error names what is wrong"

# ---- exports ----

# shellcheck disable=SC2016 # the shell of --run expands it
{
	assert_contains "$(kit_run 'nbdinfo --list "$uri"' "$PLUGIN" "${ARGS[@]}")" "export=\"$LUN2\"" "list"
	for lun in 2 "$LUN2"; do
		assert_eq "$(kit_run 'nbdinfo --size "$uri"' "$PLUGIN" "${ARGS[@]}" lun=$lun)" 33554432 "size, lun=$lun"
	done
	# two, and no name: it has to be said which
	if kit_run 'nbdinfo --size "$uri"' "$PLUGIN" "${ARGS[@]}" >"$T/out" 2>&1; then fail "one of two LUNs was guessed"; fi
	out=$(kit_run 'nbdinfo "$uri"' "$PLUGIN" "${ARGS[@]}" lun=1)
	for line in 'can_multi_conn: true' 'can_fua: true' 'can_flush: true' 'can_trim: true' 'can_zero: true' \
		'can_fast_zero: true' 'can_cache: true' 'is_read_only: false' 'block_size_minimum: 1' \
		'block_size_preferred: 4096' 'block_size_maximum: 33554432' 'export-size: 67108864' "description: $LUN1"; do
		assert_contains "$out" "$line" nbdinfo
	done
	assert_contains "$(kit_run 'nbdinfo "$uri"' -r "$PLUGIN" "${ARGS[@]}" lun=1)" 'is_read_only: true' "nbdkit -r"
	assert_contains "$(kit_run 'nbdinfo "$uri"' "$PLUGIN" "${ARGS[@]}" lun=1 read_only=yes)" 'is_read_only: true' "read_only=yes"
}

# ---- bytes ----

head -c 32M /dev/urandom >"$T/random"
truncate -s 64M "$T/random"
# shellcheck disable=SC2016
kit_run "nbdcopy $T/random \"\$uri\"; nbdcopy \"\$uri\" $T/copy; cmp $T/random $T/copy;
	qemu-img compare -f raw -F raw $T/random \"\$uri\"; qemu-img convert -f raw -O raw \"\$uri\" $T/converted; cmp $T/random $T/converted;
	nbdinfo --map \"\$uri\" >$T/map;
	qemu-io -f raw -c 'write -f -P 2 1000 3' -c 'read -P 2 1000 3' -c 'write -z 1M 1M' -c 'read -P 0 1M 1M' \
		-c 'discard 2M 1M' -c 'read -P 0 2M 1M' -c 'flush' \"\$uri\" >$T/io" "$PLUGIN" "${ARGS[@]}" lun=1
assert_contains "$(cat "$T/map")" "hole,zero" "holes survive nbdcopy"
if grep -iE 'fail|error' "$T/io"; then fail "qemu-io: $(cat "$T/io")"; fi
for bs in 4k-64k 512-4k; do
	kit_run "fio --name=v --ioengine=nbd --uri=\"\$uri\" --rw=randrw --bsrange=$bs --iodepth=16 --size=48M --io_size=24M \
		--verify=crc32c --verify_fatal=1 >$T/fio 2>&1" -t 32 "$PLUGIN" "${ARGS[@]}" lun=1 || fail "fio: $(tail -n 20 "$T/fio")"
done
say "nbdcopy, qemu-img, qemu-io, fio: same bytes"

# ---- in the background, as nbdkit goes by itself, and as the child of a client (socket activation) ----

kit -P "$T/pid" -U "$NBD" "$PLUGIN" "${ARGS[@]}" lun=2
mpiod_wait 2 "$LUN2"
assert_eq "$(nbdinfo --size "nbd+unix:///?socket=$NBD")" 33554432 "size, in the background"
kill "$(cat "$T/pid")"
gone() { ! kill -0 "$(cat "$T/pid")" 2>/dev/null; }
until_true "nbdkit in the background ends" gone
if [ -z "$SANITIZER" ]; then
	assert_eq "$(on ini nbdinfo --size -- [ nbdkit "$PLUGIN" "${ARGS[@]}" lun=2 ])" 33554432 "size, socket activation"
fi

# ---- a path pulled under load, more threads than the engine's memory allows for ----

kit_up -t 64 "$PLUGIN" "${ARGS[@]}" lun=1 max_inflight_bytes=64M probation=off
mpiod_wait 2
load_start "$(uri "$LUN1")" --mix --depth 16 --connections 4 --size-limit 16M
load_progress
pull 1 cable_cut_silent
pull 2 cable_reset
# without any path requests wait; a connection that only wants to know still gets its answer
cable_reset 1
cable_reset 2
mpiod_wait 0
assert_eq "$(nbdinfo --size "$(uri "$LUN1")")" 67108864 "size without a path"
cable_restore 1
cable_restore 2
mpiod_wait 2
load_ok "no path for a while"
# with parameters, SIGHUP looks at the storage again
kill -HUP "${PID[nbdkit]}"
load_progress
load_ok "SIGHUP"
load_end
assert_fails 1 ctl restart
assert_contains "$(cat "$T/out")" "its clients are not mpiod's own" "mpioctl restart"
kit_down

# ---- config=FILE, and SIGHUP ----

conf 'policy = round-robin'
kit_up "$PLUGIN" "config=$T/mpiod.conf"
mpiod_wait 2 "$LUN1"
assert_eq "$(js '.luns[0].policy')" round-robin "policy"
load_start "$(uri "$LUN1")" --mix --depth 4 --size-limit 8M
conf 'policy = least-latency'
kill -HUP "${PID[nbdkit]}"
until_true "the new policy" js_is '.luns[0].policy' least-latency
load_progress
conf 'policy = nonsense'
kill -HUP "${PID[nbdkit]}"
until_true "the bad file is told of" log_has 'policy: "nonsense" is not valid'
assert_eq "$(js '.luns[0].policy')" least-latency "policy after a bad file"
load_progress
# the same file twice: the control socket is the lock
assert_fails 1 kit -U - "$PLUGIN" "config=$T/mpiod.conf" --run true
conf
assert_fails 1 kit -U - "$PLUGIN" "config=$T/mpiod.conf" --run true
assert_contains "$(cat "$T/out")" "another daemon listens there" "a second one with the same file"
load_end
kit_down

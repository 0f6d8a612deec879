#!/bin/bash
# FUA and the policy of the nbdkit plugin are the engine's own: a write with FUA is one WRITE with that bit, and no SYNCHRONIZE CACHE.
. "$(dirname "$0")/../nbdkit.sh"
/usr/bin/python3 -c 'import nbd' 2>/dev/null || skip "without python3-libnbd"

net_up 2
tt_up --lun 1:16
target_args
kit_up "$PLUGIN" "${ARGS[@]}" policy=least-latency
mpiod_wait 2
assert_eq "$(js '.luns[0].policy')" least-latency "policy"
executed() { tt_get "[.executed | to_entries[] | select(.key | test(\"^(0x)?($1)\$\")) | .value] | add // 0"; }
syncs=$(executed '35|91') writes=$(executed '2a|8a')
/usr/bin/python3 - "nbd+unix:///?socket=$NBD" <<'PY'
import nbd, sys
h = nbd.NBD()
h.connect_uri(sys.argv[1])
assert h.can_fua()
for i in range(10):
    h.pwrite(bytes(4096), 4096 * i, nbd.CMD_FLAG_FUA)
PY
assert_eq $(($(executed '2a|8a') - writes)) 10 "WRITEs"
assert_eq "$(executed '35|91')" "$syncs" "SYNCHRONIZE CACHEs"
tt '{"do":"log"}' | jq -e '[.log[] | select(.opcode == 138 or .opcode == 42) | .fua] | length == 10 and all' >/dev/null ||
	fail "not every WRITE has the FUA bit: $(tt '{"do":"log"}' | tail -c 1000)"
kit_down

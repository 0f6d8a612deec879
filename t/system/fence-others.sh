#!/bin/bash
# While a write is in doubt, reads (of its blocks too) and writes elsewhere go on: counted, thousands of each, while the
# write to its blocks waits. On a tgtd without CHAP, which does not honour reinstatement: the doubt lasts until the path is back.
. "$(dirname "$0")/../lib.sh"
/usr/bin/python3 -c 'import nbd' 2>/dev/null || skip "without python3-libnbd"

san_up 2
conf 'probation = off' 'policy = failover-only' 'fence = auto' 'fence_timeout = 60'
printf '[lun disk]\nid = naa.60000000000000000e00000000010001\npreferred = %s\n' "$(portal 1)" >>"$T/mpiod.conf"
mpiod_up
mpiod_wait 2 disk

rm -f "$T/asked"
mkfifo "$T/asked"
/usr/bin/python3 "$TOP/t/tools/nbd-async.py" "$(uri disk)" <"$T/asked" >"$T/answers" 2>"$T/client.log" &
PID["client"]=$!
exec {ASK}>"$T/asked"
ask() { echo "$*" >&"$ASK"; }
answered() { grep -q "^$1 ok" "$T/answers"; }
until_true "the client is there" kill -0 "${PID["client"]}"
ask "write w0 $((40 << 20)) 65536 0xee"
until_true "w0 completes" answered w0

cable_cut_silent 1
ask "write w1 $((40 << 20)) 65536 0x11"
until_true "w1 completes over cable 2" answered w1
doubts() { [ "$(js '[.luns[].doubts[]] | length')" -ge 1 ]; }
until_true "the status shows the doubt" doubts
ask "write w2 $(((40 << 20) + 4096)) 4096 0x22"
ask "read r1 $((40 << 20)) 65536"
until_true "a read of blocks in doubt completes" answered r1
# a load that checks each byte, on the first 32 MiB
load_start "$(uri disk)" --depth 8 --size-limit 32M
load_mark before
reads=$(path_get 2 reads) writes=$(path_get 2 writes)
load_progress 2000
assert_ge $(($(path_get 2 reads) - reads)) 2000 "reads over cable 2 meanwhile"
assert_gt $(($(path_get 2 writes) - writes)) 500 "writes over cable 2 meanwhile"
if answered w2; then fail "the write to blocks in doubt did not wait"; fi
doubts || fail "the doubt is over, though its path is not back"
load_ok "beside a doubt"
assert_ge "$(js '[.luns[].fenced] | add')" 1 "requests that wait for its end"
ctl metrics >"$T/metrics"
grep -q '^mpiod_lun_fences{export="disk"} [1-9]' "$T/metrics" || fail "no fence in: $(grep fence "$T/metrics")"
grep -q '^mpiod_lun_fenced_requests{export="disk"} [1-9]' "$T/metrics" || fail "nobody waits in: $(grep fence "$T/metrics")"
ctl status >"$T/out"
grep -q 'may still be executed' "$T/out" || fail "mpioctl status does not tell of the doubt: $(cat "$T/out")"

cable_restore 1
until_true "w2 completes when the path is back" answered w2
until_true "the doubt is over" js_is '[.luns[].doubts[]] | length' 0
event fence-ended || fail "no event tells of its end"
exec {ASK}>&-
load_end

#!/bin/bash
# Each row of the table of verdicts (policy/verdict.c) on a real wire: what the client gets, which path answers in the end, and what
# mpiod does besides.
. "$(dirname "$0")/../lib.sh"
/usr/bin/python3 -c 'import nbd' 2>/dev/null || skip "without python3-libnbd"

net_up 2
tt_up --lun 1:64
conf 'probation = off' 'policy = failover-only' 'failback = 0' 'fence = off' 'hedge = no'
printf '[lun disk]\nid = naa.60014050000000000000000000000001\npreferred = %s\n' "$(portal 1)" >>"$T/mpiod.conf"
mpiod_up
mpiod_wait 2 disk
N=0
BAD=0
declare -A SEEN=()

declare -A OPCODE=([read]=136 [write]=138)
# Executed since FROM, as "PORTAL:OPCODE:LBA" lines
executed() { tt "{\"do\":\"log\",\"from\":$FROM}" | jq -r '.log[] | "\(.portal):\(.opcode):\(.lba)"'; }
not_at_rest() { ctl --json explain disk | jq -e '.paths[] | select(.chosen) | .path | contains("10.77.1.2")' >/dev/null; }
has_executed() { executed | grep -Eq "^$1\$"; }

# row WHY OP RESULT PORTAL EFFECT FATE: the fate meets the next OP on portal 0. PORTAL: on which it is executed in the
# end, - nowhere. EFFECT: an extended regular expression for what is executed as well, or - or window.
row() {
	local why=$1 op=$2 result=$3 where=$4 effect=$5 fate=$6 lba got=''
	N=$((N + 1))
	lba=$((N * 8))
	SEEN["=$why"]=1
	mpiod_wait 2 disk
	until_true "the preferred path is chosen again" not_at_rest
	FROM=$(tt '{"do":"counts"}' | jq '[.executed[]] | add')
	tt '{"do":"clear"}' >/dev/null
	tt "{\"do\":\"inject\",\"portal\":0,\"lun\":1,\"opcode\":${OPCODE[$op]},$fate}" >/dev/null
	got=$(/usr/bin/python3 "$TOP/t/tools/nbd-once.py" "$(uri disk)" "$op" $((lba * 512)) 4096)
	assert_eq "$(tt_get '.hits[0]')" 1 "times that the target did it: $why"
	if [ "$got" != "$result" ]; then
		say "BAD $why ($op): the client got $got, expected $result"
		BAD=1
	fi
	got=$(executed | sed -n "s/:${OPCODE[$op]}:$lba\$//p" | tr '\n' ' ')
	if [ "${got% }" != "${where#-}" ]; then
		say "BAD $why ($op): executed on portals '${got% }', expected '${where#-}'"
		BAD=1
	fi
	case $effect in
	-) ;;
	window)
		if [ "$(session_get 1 window)" -ge 1024 ]; then
			say "BAD $why ($op): the window did not shrink"
			BAD=1
		fi
		;;
	*) until_true "$why: $effect is executed" has_executed "$effect" ;;
	esac
	say "ok $why ($op): $result, portal $where"
}
sense() { # KEY ASC ASCQ
	echo "\"what\":\"status\",\"status\":2,\"key\":$((0x$1)),\"asc\":$((0x$2)),\"ascq\":$((0x$3))"
}
status_only() { echo "\"what\":\"status\",\"status\":$1"; }

# below SCSI
row "session lost" read ok "0 1" - '"what":"reset"' # executed, but the answer never came
row "session lost" write ok "0 1" - '"what":"close"'
row "session lost" read ok "0 1" - '"what":"cut","bytes":20'
row "target failure" read ok 1 - '"what":"response","code":1'
row "target failure" write ok 1 - '"what":"response","code":1'
row "unusable answer" read ok "0 1" - '"what":"overflow","bytes":4096'
row "session lost" write ok 1 - '"what":"reject","code":9'
row "session lost" read ok "0 1" - '"what":"itt"'
row "session lost" read ok "0 1" - '"what":"long","bytes":512'

# statuses
row "busy" read ok 0 window "$(status_only 8)"
row "task set full" write ok 0 window "$(status_only 40)"
row "task aborted" write ok 0 - "$(status_only 64)"
row "ACA active" read ok 0 - "$(status_only 48)"
row "reservation conflict" write EIO - - "$(status_only 24)"
row "unknown status" read ok 1 - "$(status_only 34)"
row "condition met, where there is none" write ok "0 1" - "$(status_only 4),\"execute\":true"
row "check condition without sense data" read ok 1 - "$(status_only 2)"
row "short read" read ok "0 1" - '"what":"short","bytes":512'

# sense data
row "" write ok 0 - "$(sense 0 0 0),\"execute\":true"
row "" write ok 0 - "$(sense 1 17 1),\"execute\":true,\"descriptor\":true"
row "becoming ready" read ok 0 - "$(sense 2 04 01)"
row "not ready, intervention required" read ok 1 - "$(sense 2 04 03)"
row "access state in transition" read ok 1 '0:0:0' "$(sense 2 04 0a)"
row "target port in standby state" write ok 1 '0:0:0' "$(sense 2 04 0b)"
row "target port in unavailable state" read ok 1 '0:0:0' "$(sense 2 04 0c)"
row "target port offline" read ok 1 '0:0:0' "$(sense 2 04 12)"
row "medium not present" read EIO - - "$(sense 2 3a 00)"
row "not ready" write ok 0 - "$(sense 2 08 00)"
row "medium error" read EIO - - "$(sense 3 11 00)"
row "medium error" write EIO - - "$(sense 3 0c 02),\"descriptor\":true"
row "setting the access state failed" read ok 1 - "$(sense 4 67 0a)"
row "hardware error" write EIO - - "$(sense 4 44 00)"
# ENOTSUP is for FAST_ZERO alone (NBD proto.md): who reads gets EIO
row "invalid command operation code" read EIO - - "$(sense 5 20 00)"
row "invalid field in CDB" read EIO - - "$(sense 5 24 00)"
row "invalid field in parameter list" read EIO - - "$(sense 5 26 00)"
row "logical block address out of range" read EIO - - "$(sense 5 21 00)"
row "logical block address out of range" write ENOSPC - - "$(sense 5 21 00)"
row "logical unit not supported" read ok 1 '0:160:0' "$(sense 5 25 00)" # REPORT LUNS
row "illegal request" write EIO - - "$(sense 5 49 00)"
row "reservations released" write ok 0 - "$(sense 6 2a 04)"
row "asymmetric access state changed" read ok 1 '0:0:0' "$(sense 6 2a 06)"
row "implicit access state transition failed" read ok 1 '0:0:0' "$(sense 6 2a 07)"
row "capacity data has changed" write ok 0 '[01]:158:0' "$(sense 6 2a 09)" # READ CAPACITY(16)
row "thin provisioning soft threshold reached" write ok 0 - "$(sense 6 38 07)"
row "inquiry data has changed" read ok 1 '0:18:0' "$(sense 6 3f 03)" # INQUIRY
row "reported LUNs data has changed" read ok 0 '0:160:0' "$(sense 6 3f 0e)"
row "unit attention" write ok 0 - "$(sense 6 29 00)"
row "space allocation failed" write ENOSPC - - "$(sense 7 27 07)"
row "write protected" write EPERM - - "$(sense 7 27 00)"
row "data protect" write EIO - - "$(sense 7 20 02)"
row "aborted command" read ok 0 - "$(sense b 47 05)"
row "miscompare" write EIO - - "$(sense e 1d 00)"
row "unexpected sense key" read EIO - - "$(sense d 00 00)"

# an error of an earlier write: this command is done again, the next flush fails, the one after does not
row "deferred error of an earlier command" write ok 0 - "$(sense 3 0c 00),\"deferred\":true"
once() { /usr/bin/python3 "$TOP/t/tools/nbd-once.py" "$(uri disk)" "$@"; }
assert_eq "$(once flush)" EIO "the flush after a deferred write error"
assert_eq "$(once flush)" ok "the next one"

# BUSY and TASK SET FULL have shrunk the window of cable 1; good answers let it grow again
[ "$(session_get 1 window)" -lt 1024 ] || fail "the window did not shrink"
mpiod_wait 2 disk
tt '{"do":"clear"}' >/dev/null
window_is_back() {
	"$NBD_LOAD" --uri "$(uri disk)" --seconds 1 --size-limit 4M --no-fill >"$T/out" 2>&1 || fail "$(cat "$T/out")"
	[ "$(session_get 1 window)" -ge 1024 ]
}
until_true "the window grows back" window_is_back

# nothing in the table is left out; "not sent" is no answer of a target
while read -r why; do
	[ "$why" = "not sent" ] || [ -n "${SEEN["=$why"]:-}" ] || fail "no case for the row \"$why\" of policy/verdict.c"
done < <(sed -n '/^const struct verdict_row verdict_rows/,/^};/s/.*"\([^"]*\)" },$/\1/p' "$TOP/policy/verdict.c" | grep .)
assert_eq "$BAD" 0 "rows that were not as expected"

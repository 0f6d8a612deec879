#!/bin/bash
# Each path failure leaves one record: what noticed it, when the verdict fell, what was sent elsewhere and when, the first good
# completion, the end of the doubt, in this order; as an event and as JSON. Nothing that is missing is made up.
. "$(dirname "$0")/../lib.sh"

records() { ctl --json events | jq -c '[.events[] | select(.kind == "failover") | .failover + {path}]'; }
count() { records | jq length; }
has_records() { [ "$(count)" -ge "$1" ]; }
last() { records | jq -r "last | $1"; }

net_up 2
tt_up --lun 1:64
# one group, so that reinstatement works through either portal
stop t-target || true
: >"$T/t-target.log"
spawn t-target nsenter "--net=/run/netns/$NS-tgt" "$B/t-target" --control "$T/tt.sock" --iqn "${IQN}1" \
	--portal "$(portal 1),1" --portal "$(portal 2),1" --lun 1:64
until_true "the scripted target is ready" grep -q '^ready' "$T/t-target.log"
conf 'probation = off'
mpiod_up
mpiod_wait 2
trusted() { [ "$(session_get 1 reinstatement)" = trusted ]; }
until_true "the target was tried out" trusted
load_start "$(uri "$(lun_name)")" --depth 16
load_progress

cable_cut_silent 1
mpiod_wait 1
load_progress
until_true "a record of the silent cut" has_records 1
assert_eq "$(last .noticed_by)" silence "noticed by"
[[ $(last .path) == *10.77.1.2* ]] || fail "the record is about $(last .path)"
assert_gt "$(last .commands)" 0 "commands that were sent elsewhere"
assert_eq "$(last '.bytes >= .commands * 4096')" true "bytes of them"
records | jq -e 'last | .verdict_us <= .resubmitted_us and .resubmitted_us <= .first_good_us and
	.verdict_us > 100000 and (.fence_end_us == null or .fence_end_us >= .verdict_us)' >/dev/null ||
	fail "out of order: $(records)"
[ "$(last .fence_end_us)" = null ] || [[ $(last .fence_ended_by) == *reinstatement* ]] ||
	fail "the doubt ended by $(last .fence_ended_by)"
cable_restore 1
mpiod_wait 2
load_progress
load_ok "the silent cut"

cable_reset 2
mpiod_wait 1
load_progress
until_true "a record of the reset" has_records 2
[ "$(last .verdict_us)" -lt 100000 ] || fail "the verdict on a reset took $(last .verdict_us) us"
cable_restore 2
mpiod_wait 2
load_progress

# without any I/O there is a record too, and it says that there was nothing to move
load_end
sleep 0.3
tt '{"do":"drop","portal":0}' >/dev/null
until_true "a record of the lost session" has_records 3
assert_eq "$(last .commands)" 0 "commands of an idle path"
assert_eq "$(last .first_good_us)" null "first good completion, where none was needed"
assert_eq "$(count)" 3 "records of three failures"
ctl events >"$T/out"
grep -q "noticed by silence; verdict +[0-9]* us" "$T/out" || fail "mpioctl events does not show it: $(cat "$T/out")"

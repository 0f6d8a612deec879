#!/bin/bash
# A target that refuses the login costs its paths, with an event; they come back when it allows it again.
. "$(dirname "$0")/../lib.sh"

san_up 2
tgta --mode target --op unbind --tid 1 --initiator-address ALL
conf
mpiod_up
until_true "an event tells of the refusal" event login-failed
assert_eq "$(js '.luns | length')" 0 "exports while refused"

tgta --mode target --op bind --tid 1 --initiator-name iqn.2026-01.org.mpiod.test:ini
mpiod_wait 2
load_start "$(uri "$(lun_name)")"
load_progress
load_ok "allowed"
load_end

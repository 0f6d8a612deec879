#!/bin/bash
# Portals and LUNs arrive and leave under load, without an error: SendTargets on its period and on demand, REPORT LUNS on a unit
# attention and on demand; a login redirect, a target that asks for a logout, one that drops the connection.
. "$(dirname "$0")/../lib.sh"

portal_set() { tt "{\"do\":\"portal\",\"portal\":$1,$2}" >/dev/null; }
luns_are() { [ "$(js '[.luns[] | select(.exported)] | length')" = "$1" ]; }
ONE=naa.60014050000000000000000000000001
TWO=naa.60014050000000000000000000000002

net_up 3
tt_up --lun 1:64 # portal 2 of it is not told of at first
portal_set 2 '"told":false'
{
	conf_head
	conf_target t1 1 1
	printf 'discovery = yes\ndiscovery_interval = 5\n[defaults]\nprobation = off\nfence = off\n'
} >"$T/mpiod.conf"
mpiod_up
mpiod_wait 2 $ONE
load_start "$(uri $ONE)" --depth 8
load_progress

# a portal arrives
portal_set 2 '"told":true'
mpiod_wait 3 $ONE
event portal-discovered || fail "no event tells of the new portal"
ops=$(path_ops 3)
until_true "I/O over the new portal" ops_beyond 3 "$ops"
load_ok "a portal arrived"

# and leaves: it is told of no more, its path drains
portal_set 2 '"told":false'
until_true "an event tells that the portal is gone" event portal-gone
mpiod_wait 2 $ONE
load_progress
load_ok "a portal left"

# a LUN arrives, by a unit attention and by request
tt '{"do":"lun","lun":2,"new":true,"naa":"60014050000000000000000000000002","serial":"T2"}' >/dev/null
tt '{"do":"ua","lun":1,"asc":63,"ascq":14}' >/dev/null
until_true "the new LUN is exported" luns_are 2
mpiod_wait 2 $TWO
tt '{"do":"lun","lun":3,"new":true,"naa":"60014050000000000000000000000003","serial":"T3"}' >/dev/null
ctl rescan
until_true "the LUN that was asked for is exported" luns_are 3
load_progress
load_ok "LUNs arrived"

# and leaves: its export goes when its paths have been gone for a while
tt '{"do":"lun","lun":2,"remove":true}' >/dev/null
tt '{"do":"ua","lun":1,"asc":63,"ascq":14}' >/dev/null
until_true "the LUN that left is exported no more" luns_are 2
load_progress
load_ok "a LUN left"

# the target asks for a logout (RFC 7143 11.9.1, event 1), or drops the connection (2), on one portal after the other
for code in 1 2; do
	for p in 0 1; do
		logins=$(session_get $((p + 1)) logins)
		tt "{\"do\":\"async\",\"event\":$code,\"portal\":$p,\"p3\":1}" >/dev/null
		again() { [ "$(session_get $((p + 1)) logins)" -gt "$logins" ]; }
		until_true "a new login after asynchronous event $code on portal $p" again
		mpiod_wait 2 $ONE
	done
done
load_progress
load_ok "the target asked for logouts"

# a login is sent elsewhere (0101h, target moved temporarily), and a login is refused (0302h, out of resources) until it is not
portal_set 0 "\"redirect\":\"$(portal 3),3\""
tt '{"do":"drop","portal":0,"reset":true}' >/dev/null
at3=$(tt_get '.portals[2]')
at_three() { [ "$(tt_get '.portals[2]')" -gt "$at3" ]; }
mpiod_wait 2 $ONE
until_true "I/O through the portal that the login was sent to" at_three
portal_set 0 '"redirect":""'
portal_set 1 '"refuse":770'
tt '{"do":"drop","portal":1,"reset":true}' >/dev/null
until_true "an event tells of the refused login" event login-failed
load_progress
portal_set 1 '"refuse":0'
mpiod_wait 2 $ONE
load_progress
load_ok "a login was sent elsewhere, one refused"
load_end

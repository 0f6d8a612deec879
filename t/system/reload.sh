#!/bin/bash
# SIGHUP and reload add and remove portals and change policies under load; a bad file changes nothing.
. "$(dirname "$0")/../lib.sh"

san_up 3
write_conf() { # POLICY CABLE...
	local policy=$1
	shift
	conf_head
	conf_target t1 1 "$@"
	printf '[defaults]\npolicy = %s\n' "$policy"
}
write_conf round-robin 1 2 >"$T/mpiod.conf"
mpiod_up
mpiod_wait 2
name=$(lun_name)
load_start "$(uri "$name")"
logins=$(session_get 1 logins)

two_sessions() { [ "$(tgt_sessions | wc -l)" = 2 ]; }

# one more portal
write_conf round-robin 1 2 3 >"$T/mpiod.conf"
kill -HUP "${PID[mpiod]}"
mpiod_wait 3
ops=$(path_ops 3)
until_true "I/O on the new path" ops_beyond 3 "$ops"
load_ok "a portal added"

# one less, and it was a busy one
write_conf round-robin 1 3 >"$T/mpiod.conf"
ctl reload
until_true "two paths are left" js_is '.luns[0].paths | length' 2
load_progress 200
until_true "tgtd sees two sessions" two_sessions
load_ok "a portal removed"

# another policy
write_conf least-queue-depth 1 3 >"$T/mpiod.conf"
kill -HUP "${PID[mpiod]}"
until_true "the policy changed" js_is '.luns[0].policy' least-queue-depth
load_progress
ctl policy "$name" failover-only
assert_eq "$(js '.luns[0].policy')" failover-only "policy by hand"
load_progress
load_ok "another policy"
assert_eq "$(session_get 1 logins)" "$logins" "logins of the session that nothing changed for"

# a bad file
before=$(js '.luns[0] | {name, policy, paths: [.paths[].name]}')
write_conf round-robbin 1 2 >"$T/mpiod.conf"
line=$(grep -n 'round-robbin' "$T/mpiod.conf" | cut -d: -f1)
assert_fails 1 ctl reload
assert_contains "$(cat "$T/out")" "mpiod.conf:$line:" "what is said"
assert_contains "$(cat "$T/out")" "round-robin" "what is said"
kill -HUP "${PID[mpiod]}"
until_true "the log says it" log_has "mpiod.conf:$line:"
load_progress
assert_eq "$(js '.luns[0] | {name, policy, paths: [.paths[].name]}')" "$before" "after a bad file"
load_ok "a bad file"

# and a good one again
write_conf round-robin 1 2 >"$T/mpiod.conf"
ctl reload
mpiod_wait 2
load_progress
load_ok "a good one"
load_end

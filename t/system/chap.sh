#!/bin/bash
# CHAP: the right secret logs in; a wrong one gives an event and no export, until it is put right. Mutual too.
. "$(dirname "$0")/../lib.sh"

conf_chap() { # MUTUAL
	{
		conf_head
		conf_target t1 1 1 2
		echo 'chap_user = alice'
		echo "chap_secret_file = $T/secret"
		if [ "$1" = mutual ]; then
			echo 'mutual_chap_user = array'
			echo "mutual_chap_secret_file = $T/mutual"
		fi
	} >"$T/mpiod.conf"
}
secret() { (umask 077 && echo "$2" >"$T/$1"); }

san_up 2
tgt_chap alice alice-secret-1
tgta --mode account --op new --user array --password array-secret-1

# wrong, then right
secret secret alice-secret-2
conf_chap single
mpiod_up
until_true "an event tells of the refusal" event login-failed
assert_eq "$(js '.luns | length')" 0 "exports while the secret is wrong"
assert_fails 1 nbdinfo --size "$(uri any)"
secret secret alice-secret-1
ctl reload
mpiod_wait 2
load_start "$(uri "$(lun_name)")" --seconds 1
load_line 2
assert_eq "$(load_get total.miscompares)" 0 miscompares
assert_eq "$(load_get total.errors)" 0 errors
wait "${PID[load]}"
if grep -q alice-secret "$MPIOD_LOG"; then fail "a secret is in the log"; fi
mpiod_down

# the target has to prove itself too: right
tgta --mode account --op bind --tid 1 --user array --outgoing
secret mutual array-secret-1
conf_chap mutual
mpiod_up
mpiod_wait 2
mpiod_down

# and wrong
secret mutual array-secret-2
mpiod_up
until_true "an event tells that the target did not prove itself" event login-failed
assert_eq "$(js '.luns | length')" 0 "exports while the target can't prove itself"
secret mutual array-secret-1
ctl reload
mpiod_wait 2

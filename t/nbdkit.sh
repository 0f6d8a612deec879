# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# For tests of the nbdkit plugin: on top of lib.sh, nbdkit on the host ini with the plugin of $B. Its socket is $NBD.

# shellcheck source=t/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

PLUGIN=${PLUGIN:-$B/nbdkit-mpio-plugin.so}
MPIOD_LOG=$T/nbdkit.log
command -v nbdkit >/dev/null || skip "no nbdkit"
[ -e "$PLUGIN" ] || fail "$PLUGIN is not built"

# A plugin with a sanitizer needs its run time from the first moment on, which nbdkit was not linked with. With that in
# place Debian's nbdkit, whatever its plugin, hangs in exit() once it has called strerror(): in a finalizer of libp11-kit,
# which comes with TLS. It does not if that one is loaded early too.
SANITIZER=$(ldd "$PLUGIN" | awk '/lib[at]san/ { print $3; exit }')
PRELOAD=$SANITIZER
[ -z "$SANITIZER" ] || PRELOAD+=:$(ldd "$(command -v nbdkit)" | awk '/libp11-kit/ { print $3; exit }')

# target_args CABLE...: the parameters for target 1 over these cables (default all); a control socket for mpioctl
target_args() {
	local i
	if [ $# = 0 ]; then
		for ((i = 1; i <= NCABLES; i++)); do set -- "$@" "$i"; done
	fi
	ARGS=("target=${IQN}1" "control=$CTL" log_level=debug)
	for i in "$@"; do ARGS+=("portal=$(portal "$i")"); done
}

# kit ARG...: nbdkit with these options and parameters, in the foreground
kit() { on ini timeout "$WAIT" env "LD_PRELOAD=$PRELOAD" nbdkit "$@"; }
# kit_run SCRIPT ARG...: nbdkit --run SCRIPT, on a socket of its own
kit_run() {
	local script=$1
	shift
	kit -U - "$@" --run "unset LD_PRELOAD; set -e; $script"
}

# kit_up ARG...: in the background
kit_up() {
	rm -f "$NBD"
	spawn nbdkit nsenter "--net=/run/netns/$NS-ini" env "LD_PRELOAD=$PRELOAD" nbdkit -f -U "$NBD" "$@"
	until_true "nbdkit listens" kit_listens
}
kit_listens() {
	alive nbdkit || fail "nbdkit ended: $(tail -n 20 "$T/nbdkit.log")"
	[ -S "$NBD" ]
}
# kit_down: ends it; a sanitizer that found something makes this fail
kit_down() {
	local status=0
	stop nbdkit || status=$?
	assert_eq "$status" 0 "exit status of nbdkit"
}

#!/bin/bash
# What Prometheus reads is well-formed and true: over HTTP and through mpioctl, before, during and after a failure.
. "$(dirname "$0")/../lib.sh"

AT=127.0.0.1:9401
http() { # METHOD URL: the status, then the body
	on ini python3 - "$@" <<-'PYTHON'
		import sys, urllib.request, urllib.error
		try:
		    r = urllib.request.urlopen(urllib.request.Request(sys.argv[2], method=sys.argv[1]), timeout=60)
		except urllib.error.HTTPError as e:
		    r = e
		except urllib.error.URLError as e:
		    sys.exit(f"none {e.reason}")
		print(r.status, r.headers["Content-Type"])
		sys.stdout.write(r.read().decode())
	PYTHON
}
scrape() {
	http GET "http://$AT/metrics" >"$T/scrape"
	assert_eq "$(head -n 1 "$T/scrape")" "200 text/plain; version=0.0.4; charset=utf-8" "answer"
	sed -i 1d "$T/scrape"
	well_formed "$T/scrape"
}
well_formed() { awk -f "$TOP/t/tools/metrics-check.awk" "$1" >"$T/wrong" || fail "$(head -n 5 "$T/wrong")"; }
# metric NAME [TEXT-IN-LABELS]: the sum of such samples
metric() {
	awk -v name="mpiod_$1" -v text="${2:-}" '
		(index($0, name "{") == 1 || index($0, name " ") == 1) && index($0, text) { n += $NF; found = 1 }
		END { if (!found) exit 1; printf "%.0f\n", n }' "$T/scrape" || fail "no mpiod_$1 with ${2:-}"
}
with_metrics() { # ADDRESS|off
	conf 'probation = off'
	sed -i "/^control/a metrics = $1" "$T/mpiod.conf"
}

# the check finds what is wrong
bad() { # TEXT
	printf '# HELP a_total b\n# TYPE a_total counter\n%b' "$1" >"$T/bad"
	! awk -f "$TOP/t/tools/metrics-check.awk" "$T/bad" >/dev/null || fail "taken for well-formed: $1"
}
bad 'a_total{x="1"} 1\na_total{x="1"} 2\n'
bad 'b_total 1\n'
bad 'a_total{x=1} 1\n'
bad 'a_total{x="a"b"} 1\n'
bad 'a_total one\n'
bad 'a_total -1\n'
bad '# HELP a_total c\na_total 1\n'

san_up 2
with_metrics "tcp:$AT"
mpiod_up
mpiod_wait 2
name=$(lun_name)
load_start "$(uri "$name")"
load_progress 200
scrape
assert_eq "$(metric lun_size_bytes "export=\"$name\"")" $((64 << 20)) "size"
assert_eq "$(metric path_usable)" 2 "usable paths"
assert_eq "$(metric lun_state 'state="ok"')" 1 "LUNs in order"
assert_eq "$(metric session_logins_total)" 2 "logins"
assert_ge "$(metric path_writes_total)" 200 "writes"
writes=$(metric path_writes_total 'portal="10.77.1.2:3260"')
assert_ge "$(path_get 1 writes)" "$writes" "writes of path 1, which the status shows later"
assert_gt "$writes" 0 "writes of path 1"
assert_gt "$(metric path_written_bytes_total)" $((200 * 4096)) "bytes written"

# under load and without a path
cable_cut_silent 1
mpiod_wait 1
scrape
assert_eq "$(metric path_usable)" 1 "usable paths"
assert_eq "$(metric lun_state 'state="degraded"')" 1 "degraded LUNs"
assert_eq "$(metric lun_state 'state="ok"')" 0 "LUNs in order"
assert_eq "$(metric path_failures_total 'portal="10.77.1.2:3260"')" 1 "failures of path 1"
assert_eq "$(metric session_losses_total)" 1 "losses"
cable_restore 1
mpiod_wait 2
load_progress
scrape
assert_eq "$(metric path_usable)" 2 "usable paths"
assert_eq "$(metric session_logins_total)" 3 "logins"

# the same through the control socket
ctl metrics >"$T/scrape"
well_formed "$T/scrape"
assert_eq "$(metric session_logins_total)" 3 "logins"
assert_eq "$(ctl --json metrics | jq -r '.text | split("\n")[0]')" "$(head -n 1 "$T/scrape")" "as JSON"

# all else is refused
assert_contains "$(http GET "http://$AT/")" "404 "
assert_contains "$(http GET "http://$AT/status")" "404 "
assert_contains "$(http POST "http://$AT/metrics")" "405 "

# another address, none, and one that is taken: nothing changes
with_metrics "tcp:127.0.0.1:9402"
ctl reload
assert_fails 1 http GET "http://$AT/metrics"
AT=127.0.0.1:9402
scrape
spawn taken nsenter "--net=/run/netns/$NS-ini" python3 -c '
import socket, time
s = socket.create_server(("127.0.0.1", 9403))
time.sleep(600)'
until_true "the port is taken" on ini bash -c 'exec 3<>/dev/tcp/127.0.0.1/9403' 2>/dev/null
with_metrics "tcp:127.0.0.1:9403"
assert_fails 1 ctl reload
assert_contains "$(cat "$T/out")" "[mpiod] metrics: tcp:127.0.0.1:9403"
scrape
with_metrics off
ctl reload
assert_fails 1 http GET "http://$AT/metrics"
ctl metrics >"$T/scrape"
well_formed "$T/scrape"
load_ok "with scrapes and reloads"
load_end

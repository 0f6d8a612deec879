# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# The part of systemd.sh that runs inside.
. "$(dirname "$0")/lib.sh"

CTL=/run/mpiod/control.sock
NBD=/run/mpiod/nbd.sock
MPIOCTL=/usr/local/bin/mpioctl
MPIOD_LOG=$T/journal
unit() { systemctl show -P "$2" "$1"; }
active() { [ "$(unit "$1" ActiveState)" = active ]; }
journal() { journalctl -q -o short-monotonic --no-pager "$@"; }
booted_end() {
	local status=$?
	set +e
	[ "$status" = 0 ] || journal -u mpiod -u mpio-attach@data -u mpio-attach@spare -u mpio-fuse@spare -u srv.mount -n 80 >&2
	(exit "$status")
	guest_cleanup
}
trap booted_end EXIT

# ---- at boot ----

until_true "/srv is mounted" mountpoint -q /srv
for u in mpiod mpio-attach@data srv.mount; do active "$u" || fail "$u is not active"; done
last=0
for u in storage mpiod mpio-attach@data srv.mount; do
	at=$(unit "$u" ActiveEnterTimestampMonotonic)
	[ "$at" -gt "$last" ] || fail "$u was there too early: $at"
	last=$at
done
assert_contains "$(unit mpiod StatusText)" "2 ok" "what the service says of itself"
assert_eq "$(stat -c %U "/proc/$(unit mpiod MainPID)")" mpiod "user of the daemon"
mpiod_wait 2 data
say "at boot: up and mounted; $(unit mpiod StatusText)"

# what udev makes of the device
disk=$(basename "$(readlink -f /dev/disk/by-id/mpio-naa.60000000000000000e00000000010001)")
assert_eq "$(cat "/sys/block/$disk/queue/max_sectors_kb")" 1024 "max_sectors_kb"
assert_contains "$(cat "/sys/block/$disk/queue/scheduler")" "[none]" "scheduler"

for u in mpiod mpio-attach@data mpio-fuse@data; do
	line=$(systemd-analyze security --no-pager "$u.service" 2>/dev/null | tail -n 1)
	say "${line##*→ }"
	[ "$u" != mpiod ] || exposure=$(grep -oE '[0-9]+\.[0-9]+' <<<"$line")
done
awk -v e="$exposure" 'BEGIN { exit !(e < 2.0) }' || fail "exposure of mpiod.service: $exposure"

# ---- an export as a file ----

file=/run/mpio-fuse/spare/disk
systemctl start mpio-fuse@spare || fail "mpio-fuse@spare: $(journal -u mpio-fuse@spare)"
assert_eq "$(stat -c %s "$file")" $((128 << 20)) "size of the file"
dd if=/dev/urandom of="$T/random" bs=1M count=4 status=none
dd if="$T/random" of="$file" bs=64k conv=notrunc,fsync status=none
systemctl stop mpio-fuse@spare
[ ! -e "$file" ] || fail "the file outlives its unit"

# ---- the same disk as a device, with a partition; QEMU and libnbd use it later ----

systemctl start mpio-attach@spare || fail "mpio-attach@spare: $(journal -u mpio-attach@spare)"
spare=/dev/disk/by-id/mpio-naa.60000000000000000e00000000010002
until_true "it has its name" test -b "$spare"
cmp -n $((4 << 20)) "$T/random" "$spare" || fail "the device has other bytes than the file"
echo 'start=2048, size=8192' | sfdisk -q "$spare" || fail "sfdisk"
until_true "the partition has a name" test -b "$spare-part1"
cmp -n $((2 << 20)) <(tail -c +$(((1 << 20) + 1)) "$T/random") "$spare-part1" || fail "the partition has other bytes"
wipefs -q -a "$spare"
until_true "the partition has gone" test ! -e "$spare-part1"
say "as a file, as a device, and a partition"

# ---- under verified I/O ----

dmesg_begin
verify_start /srv 8 --rate_iops=50
ios() { js '[.luns[] | select(.name == "data").paths[] | .reads + .writes] | add'; }
began() { verify_alive; [ "$(ios)" -gt "$1" ]; }
policy_is() { [ "$(js '.luns[] | select(.name == "data").policy')" = "$1" ]; }
until_true "I/O goes on" began 100

sed -i '/^\[lun data\]/a policy = least-queue-depth' /etc/mpiod/mpiod.conf
pid=$(unit mpiod MainPID)
systemctl reload mpiod
until_true "the new policy is in force" policy_is least-queue-depth
cp /etc/mpiod/mpiod.conf "$T/good.conf"
echo 'policy = nonsense' >>/etc/mpiod/mpiod.conf
systemctl reload mpiod || true
said() { [[ $(journal -u mpiod) == *"$1"* ]]; }
until_true "the error in the file is in the journal" said nonsense
assert_eq "$(js '.luns[] | select(.name == "data").policy')" least-queue-depth "policy after a reload of a bad file"
cp "$T/good.conf" /etc/mpiod/mpiod.conf
assert_eq "$(unit mpiod MainPID)" "$pid" "process after reloads"
say "reload"

# beside the kernel's client: QEMU's and libnbd's, on the other disk
load_start "$(uri spare)" --mix --depth 2 --connections 2 --size-limit 4M
QEMU_PAUSE=0.5 qemu_start "$(uri spare)"
# the load is to leave some of the emulated processors to what it is about
renice -n 19 -p "${PID[fio]}" "${PID[load]}" >/dev/null
renice -n 19 -g "${PID[qemu]}" >/dev/null
users() { js '.luns[] | select(.name == "data").users'; }
before=$(users)
for i in $(seq 20); do
	systemctl restart mpiod
	mpiod_wait 2 data
	assert_eq "$(users)" "$before" "connections after restart $i"
	until_true "I/O goes on after restart $i" began 50
	load_progress 5
	qemu_progress 2
done
load_ok "20 restarts"
qemu_end
load_end
[[ $(journal -u mpio-attach@data) != *'lost a connection'* ]] || fail "a restart lost connections"
say "systemctl restart: 20 times, $before connections kept"

# A version that can't start leaves the old one serving.
pid=$(unit mpiod MainPID)
mv /usr/local/sbin/mpiod "$T/mpiod.good"
printf '#!/bin/sh\necho "this version does not start" >&2\nexit 1\n' >/usr/local/sbin/mpiod
chmod 755 /usr/local/sbin/mpiod
if out=$(ctl restart -t 60 2>&1); then fail "mpioctl restart into a version that can't start: $out"; fi
assert_eq "$(unit mpiod MainPID)" "$pid" "process after the failed upgrade"
mv "$T/mpiod.good" /usr/local/sbin/mpiod
until_true "I/O goes on after the failed upgrade" began "$(ios)"
ctl restart -t 60 || fail "mpioctl restart"
mpiod_wait 2 data
until_true "I/O goes on after the upgrade" began 50
assert_eq "$(users)" "$before" "connections after mpioctl restart"
say "upgrade: refused, then done"

# A daemon that hangs: the watchdog ends it, mpio-attach connects again.
n=$(unit mpiod NRestarts)
kill -STOP "$(unit mpiod MainPID)"
restarted() { [ "$(unit mpiod NRestarts)" -gt "$n" ] && active mpiod; }
until_true "the watchdog has it restarted" restarted
said 'Watchdog timeout' || fail "it was not the watchdog"
mpiod_wait 2 data
until_true "I/O goes on after the watchdog" began 50
say "watchdog: $(journal -u mpiod | grep -F 'Watchdog timeout' | tail -n 1 | sed 's/.*: //')"

verify_end
dmesg_ok
sync

# For the way down: written and not synced, on a file system of /etc/fstab and on one that was mounted by hand.
systemctl is-active -q mpio-attach@spare || fail "mpio-attach@spare is not active"
mkfs.ext4 -q -F "$spare"
mkdir -p /hand
mount "$spare" /hand
for d in disk:/srv spare:/hand; do
	dd if=/dev/urandom of="${d#*:}/last" bs=1M count=16 status=none
	echo "wrote to ${d%%:*}: $(sha256sum <"${d#*:}/last")" >/dev/console
done

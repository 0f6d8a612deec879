#!/bin/bash
# SPDX-License-Identifier: MIT
# systemd, with the units as make install puts them: all comes up at boot and a file system from /etc/fstab is mounted; under verified I/O a
# reload, 20 restarts, a version that can't start and a hang that the watchdog ends; an export as a file of mpio-fuse@; then all stops in
# order before the network goes, and what was written last is on the storage: also on a disk that was mounted by hand.
set -euo pipefail
if [ -e /run/vm/up ]; then . "$(dirname "$0")/booted.sh"; exit; fi

top=$(cd "$(dirname "$0")/../.." && pwd)
B=${PLAIN_B:-${B:-build}}
layer=$(mktemp -d /var/tmp/mpiod-layer.XXXXXX)
console=$layer.console
trap 'rm -rf "$layer" "$console"' EXIT
trap 'exit 143' TERM INT HUP
chmod 755 "$layer"
fail() { echo "FAILED: $*" >&2; tail -n 60 "$console" >&2; exit 1; }

# As README.md has it: installing, a configuration, mounting at boot.
make -s -C "$top" B="$B" install DESTDIR="$layer" >"$console" 2>&1 || fail "make install"
mkdir -p "$layer/etc/systemd/system" "$layer/srv"
cp /etc/passwd /etc/group /etc/shadow "$layer/etc/"
systemd-sysusers --root="$layer" || fail "systemd-sysusers"
cat >"$layer/etc/mpiod/mpiod.conf" <<'END'
[mpiod]
initiator_name = iqn.2026-01.com.example:host1

[target array1]
iqn = iqn.2026-01.com.example:disk
portal = 127.0.0.1
portal = 127.0.0.2

[lun data]
id = naa.60000000000000000e00000000010001

[lun spare]
id = naa.60000000000000000e00000000010002
END
echo '/dev/disk/by-id/mpio-naa.60000000000000000e00000000010001 /srv ext4 _netdev,nofail,x-systemd.requires=mpio-attach@data.service 0 0' \
	>"$layer/etc/fstab"
echo 'MPIO_ATTACH_OPTIONS=--timeout 10' >"$layer/etc/mpiod/attach.conf" # how soon the kernel repeats what a crash left
systemctl --root="$layer" enable mpiod mpiod.socket mpio-attach@data 2>/dev/null || fail "systemctl enable"

# The storage, and in one the network that it is reached by.
cat >"$layer/etc/systemd/system/storage.service" <<'END'
[Unit]
Description=The storage
Wants=network-pre.target network.target
After=network-pre.target
Before=network.target

[Service]
RuntimeDirectory=tgtd
TimeoutStopSec=3
ExecStartPre=/bin/sh -c 'truncate -s 128M /var/disk /var/spare && mkfs.ext4 -q -F /var/disk'
ExecStart=/usr/sbin/tgtd -f --iscsi portal=127.0.0.1:3260,portal=127.0.0.2:3260
ExecStartPost=/bin/sh -ec 'until tgtadm --mode sys --op show >/dev/null; do sleep 0.2; done; \
	tgtadm --lld iscsi --mode target --op new --tid 1 --targetname iqn.2026-01.com.example:disk; \
	tgtadm --lld iscsi --mode logicalunit --op new --tid 1 --lun 1 --backing-store /var/disk; \
	tgtadm --lld iscsi --mode logicalunit --op new --tid 1 --lun 2 --backing-store /var/spare; \
	tgtadm --lld iscsi --mode target --op bind --tid 1 --initiator-address ALL'

[Install]
WantedBy=multi-user.target
END
# The last word, when the storage has stopped: are the file systems clean, and what is in them?
cat >"$layer/etc/systemd/system/last-word.service" <<'END'
[Unit]
Before=storage.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/true
ExecStop=/bin/sh -c 'for d in disk spare; do \
	e2fsck -f -n /var/$$d >/run/fsck-$$d 2>&1; echo "fsck of $$d: $$?"; \
	debugfs -R "cat /last" /var/$$d 2>/dev/null | sha256sum | sed "s/^/last of $$d: /"; done >/dev/console'

[Install]
WantedBy=multi-user.target
END
# What happened, for when the machine ends without a word.
cat >"$layer/etc/systemd/system/witness.service" <<'END'
[Unit]
DefaultDependencies=no
After=systemd-journald.service

[Service]
ExecStart=/bin/sh -c 'exec journalctl -q -f -n all -o short-monotonic >/run/vm/journal'

[Install]
WantedBy=basic.target
END
systemctl --root="$layer" enable storage witness last-word 2>/dev/null
ln -sf /lib/systemd/system/remote-fs.target "$layer/etc/systemd/system/multi-user.target.wants/"

status=0
PLAIN_B=$B VM_CONSOLE=$console VM_CMDLINE="systemd.show_status=1 ${VM_CMDLINE:-}" \
	"$top/t/vm/with" --layer "$layer" "$top/t/vm/in" "$top/t/vm/systemd.sh" || status=$?
[ "$status" = 0 ] || exit "$status"

# The way down: the file system, the device, the daemon, the network.
at() { # the line of the console where the last one that fits is
	grep -anE "$1" "$console" | tail -n 1 | cut -d: -f1 | grep . || fail "the console shows no $1 at the end"
}
mount=$(at 'Unmounted.*srv') attach=$(at 'Stopped.*mpio-attach@data')
mpiod=$(at 'Stopped.*mpiod.service') net=$(at 'Stopped target.*network-online.target') storage=$(at 'Stopped.*storage.service')
last=0
for line in "$mount" "$attach" "$mpiod" "$net" "$storage"; do
	[ "$line" -gt "$last" ] || fail "stopped out of order: mount $mount, mpio-attach $attach, mpiod $mpiod, network-online $net, storage $storage"
	last=$line
done
! grep -aE 'I/O error|EXT4-fs (error|warning)' "$console" || fail "errors on the way down"
for d in disk spare; do
	grep -aq "fsck of $d: 0" "$console" || fail "the file system on $d is not clean: $(grep -a 'fsck of' "$console")"
	wrote=$(grep -aoE "wrote to $d: [0-9a-f]{64}" "$console" | tail -n 1) last=$(grep -aoE "last of $d: [0-9a-f]{64}" "$console")
	if [ -z "$wrote" ] || [ "${wrote##* }" != "${last##* }" ]; then fail "lost on the way down: $wrote, $last"; fi
done
echo "clean, and what was written last is there"
echo "stopped in order: file system, mpio-attach, mpiod, network, storage"

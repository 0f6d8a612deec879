#!/bin/bash
# discovery = yes: one configured portal is enough, SendTargets finds the other; a failed discovery is repeated.
. "$(dirname "$0")/../lib.sh"

# tgtd only ever tells of the portal that was asked; istgt tells of all of a portal group
istgt_up() {
	cat >"$T/istgt.conf" <<-CONF
		[Global]
		  NodeBase "iqn.2026-01.org.mpiod.test"
		  PidFile $T/istgt.pid
		  AuthFile $T/auth.conf
		  MediaDirectory $T
		  Timeout 30
		  NopInInterval 20
		  DiscoveryAuthMethod None
		  MaxSessions 32
		  MaxConnections 8
		  FirstBurstLength 262144
		  MaxBurstLength 1048576
		  MaxRecvDataSegmentLength 262144
		[UnitControl]
		  AuthMethod None
		  Portal UC1 127.0.0.1:3261
		  Netmask 127.0.0.1
		[PortalGroup1]
		  Portal DA1 $(portal 1)
		  Portal DA2 $(portal 2)
		[InitiatorGroup1]
		  InitiatorName "ALL"
		  Netmask ALL
		[LogicalUnit1]
		  TargetName t1
		  Mapping PortalGroup1 InitiatorGroup1
		  AuthMethod None
		  UseDigest Auto
		  UnitType Disk
		  LUN0 Storage $T/disk 64MB
	CONF
	(umask 077 && : >"$T/auth.conf")
	truncate -s 64M "$T/disk"
	spawn istgt nsenter "--net=/run/netns/$NS-tgt" istgt -D -c "$T/istgt.conf"
}

net_up 2
{
	conf_head
	conf_target t1 1 1
	echo 'discovery = yes'
	printf '[defaults]\nprobation = off\n'
} >"$T/mpiod.conf"

# nobody there yet
mpiod_up
until_true "an event tells that nobody is there" event 'login-failed|discovery-failed'
istgt_up
mpiod_wait 1
ctl rescan
mpiod_wait 2
event portal-discovered || fail "no event tells of the portal that was found"
assert_eq "$(session_get 2 discovered)" true "cable 2 was found"

load_start "$(uri "$(lun_name)")" --depth 8
load_progress
# the one it was found through is out: what was found goes on working
cable_reset 1
mpiod_wait 1
load_progress
load_ok "the configured portal is out"
cable_restore 1
mpiod_wait 2
load_progress
load_ok "and back"
load_end

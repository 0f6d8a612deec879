#!/bin/bash
# Segments of a dead session that wait for the next hop's link-layer address never leave, also when it answers again.
. "$(dirname "$0")/../lib.sh"

san_up 2
conf 'probation = off'
mpiod_up
mpiod_wait 2
load_start "$(uri "$(lun_name)")"
load_progress 200

old=$(on ini ss -tnH dst 10.77.1.2 | awk '{ print $4 }' | sed 's/.*://' | head -n 1)
[ -n "$old" ] || fail "no connection through cable 1"
for host in ini tgt; do
	on "$host" nft add table arp deaf
	on "$host" nft add chain arp deaf in '{ type filter hook input priority 0; }'
	on "$host" nft add rule arp deaf in drop
done
ip -n "$NS-ini" neigh flush dev i1
# TCP goes on sending into the queue until the session is given up
until_true "cable 1 is given up" has_paths 1
on tgt nft add table ip late
on tgt nft add chain ip late in '{ type filter hook input priority -10; }'
on tgt nft add rule ip late in iifname t1 tcp sport "$old" ip length '>' 100 counter
for host in ini tgt; do on "$host" nft delete table arp deaf; done

mpiod_wait 2
load_progress 200
late=$(on tgt nft list chain ip late in | grep -o 'packets [0-9]*')
assert_eq "$late" "packets 0" "segments with data of the dead session reached the target"
load_end

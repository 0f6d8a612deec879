#!/bin/bash
# Several LUNs are several exports on one listener: each with its own size and contents, all listed.
. "$(dirname "$0")/../lib.sh"

net_up 2
tgt_up
tgt_target
for lun in 1 2 3 4; do tgt_lun "$lun" $((16 * lun))M; done
conf
mpiod_up
mpiod_wait 8
ids=$(js '[.luns[].id] | join(" ")')
read -r first _ <<<"$ids"
{
	conf_head
	conf_target t1 1 1 2
	printf '[lun db]\nid = %s\nalias = data/base\n' "$first"
} >"$T/mpiod.conf"
mpiod_down
mpiod_up
mpiod_wait 8
nbdinfo --list --json "nbd+unix:///?socket=$NBD" | jq -r '.exports[]."export-name"' | sort >"$T/listed"
js '.luns[].name' | sort >"$T/known"
cmp "$T/listed" "$T/known" || fail "listed: $(cat "$T/listed") known: $(cat "$T/known")"
grep -qx 'data/base' "$T/listed" || fail "no alias in: $(cat "$T/listed")"
assert_fails 1 nbdinfo --size "$(uri nonsense)"

# a load on each at the same time, each with a seed of its own: nothing may get into another's disk
i=0
while read -r name; do
	size=$(js ".luns[] | select(.name == \"$name\") | .size")
	assert_eq "$(nbdinfo --size "$(uri "$name")")" "$size" "size of $name"
	i=$((i + 1))
	spawn "load$i" "$NBD_LOAD" --uri "$(uri "$name")" --size-limit 16M --depth 8 --seed "$i" --seconds 3
done <"$T/known"
assert_eq "$i" 4 "exports"
for i in 1 2 3 4; do
	wait "${PID[load$i]}" || fail "load $i: $(cat "$T/load$i.log")"
	unset "PID[load$i]"
done
cat "$T"/load?.log

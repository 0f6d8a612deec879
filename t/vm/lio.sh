# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# For tests inside the virtual machine: the kernel's own target, LIO, through configfs. One disk, a file in memory, behind one target
# portal group for each cable; portal group I is in target port group gI.

LIO=/sys/kernel/config/target
DISK=$LIO/core/fileio_0/disk

# LIO closes a connection whose data has not come within 3 s, by default: in a virtual machine without KVM, with a queue of writes, that is
# soon over. Here it has 60.
#
# lio_up SIZE: after net_up. The file is behind a loop device, $LIO_LOOP: LIO takes the size of a block device as it is now.
lio_up() {
	local i tpg acl size
	modprobe -a loop target_core_mod target_core_file iscsi_target_mod || fail "no LIO in this kernel"
	mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
	GUEST_ENDS+=(lio_down)
	truncate -s "$1" "$T/lio"
	size=$(stat -c %s "$T/lio")
	LIO_LOOP=$(losetup -f --show "$T/lio") || fail "no loop device"
	mkdir -p /var/target/pr "$DISK"
	echo "fd_dev_name=$LIO_LOOP,fd_dev_size=$size" >"$DISK/control"
	echo 1 >"$DISK/enable"
	echo "mpiod-test-disk" >"$DISK/wwn/vpd_unit_serial"
	echo 1 >"$DISK/attrib/emulate_tpu"
	for ((i = 1; i <= NCABLES; i++)); do
		mkdir "$DISK/alua/g$i"
		echo "$i" >"$DISK/alua/g$i/tg_pt_gp_id"
		tpg=$LIO/iscsi/${IQN}1/tpgt_$i
		mkdir -p "$tpg/lun/lun_0"
		on tgt mkdir "$tpg/np/$(portal "$i")" # the listener is where its maker is
		ln -s "$DISK" "$tpg/lun/lun_0/disk"
		echo "g$i" >"$tpg/lun/lun_0/alua_tg_pt_gp"
		echo 0 >"$tpg/attrib/authentication"
		echo 1 >"$tpg/attrib/generate_node_acls" # for whoever else comes
		echo 1 >"$tpg/attrib/cache_dynamic_acls"
		echo 0 >"$tpg/attrib/demo_mode_write_protect"
		for acl in "$tpg"/acls/iqn.2026-01.org.mpiod.test:{ini,a,b,c}; do
			mkdir -p "$acl/lun_0"
			ln -s "$tpg/lun/lun_0" "$acl/lun_0/lun"
			echo 60 >"$acl/attrib/dataout_timeout"
		done
		echo 1 >"$tpg/enable"
	done
}

lio_down() {
	local d acl
	for d in "$LIO/iscsi/${IQN}1"/tpgt_*; do
		[ -e "$d" ] || continue
		echo 0 >"$d/enable"
		for acl in "$d"/acls/*; do
			rm "$acl/lun_0/lun"
			rmdir "$acl/lun_0" "$acl"
		done
		rm "$d"/lun/lun_0/disk
		rmdir "$d"/lun/lun_0 "$d"/np/* "$d"
	done
	for d in "$LIO/iscsi/${IQN}1" "$DISK"/alua/g* "$DISK"; do [ ! -e "$d" ] || rmdir "$d"; done
	losetup -d "$LIO_LOOP"
} 2>/dev/null

lio_grow() { # SIZE
	truncate -s "$1" "$T/lio"
	losetup -c "$LIO_LOOP"
}

# lio_state GROUP STATE: 0 active/optimized, 1 active/non-optimized, 2 standby, 3 unavailable (SPC-4 6.27); told by a unit attention
lio_state() { echo "$2" >"$DISK/alua/g$1/alua_access_state"; }

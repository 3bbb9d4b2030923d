# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
#
# Turns a root file system and a kernel into a disk that boots by BIOS and by
# UEFI. Sourced by build; uses its say and as_root, and works inside $WORK.
# Nothing is mounted: every tool here writes into the image file at an offset.

IMAGE_PACKAGES+=(fdisk dosfstools mtools e2fsprogs syslinux syslinux-common systemd-boot-efi
  qemu-utils)

readonly BOOT_START_MIB=1
readonly MIB=1048576

# disk_make NAME SIZE_MIB BOOT_MIB ARGUMENTS: makes $WORK/disk.qcow2 from
# $WORK/root, $WORK/vmlinuz and $WORK/initrd. The root file system's label is
# NAME-root; ARGUMENTS is the kernel's command line.
disk_make() {
  local name=$1 size_mib=$2 boot_mib=$3 arguments=$4
  local disk=$WORK/disk.raw
  truncate -s "${size_mib}M" "$disk"
  disk_partition "$disk" "$boot_mib"
  disk_make_boot "$disk" "$boot_mib" "$arguments"
  disk_make_root "$disk" "$name" $((BOOT_START_MIB + boot_mib)) "$size_mib"
  say "compressing"
  qemu-img convert -c -O qcow2 "$disk" "$WORK/disk.qcow2"
}

disk_partition() {
  local disk=$1 boot_mib=$2
  # gptmbr.bin boots the partition that carries the legacy attribute; firmware
  # looks for the ESP. Here they are the same partition.
  sfdisk -q "$disk" <<END
label: gpt
start=${BOOT_START_MIB}MiB, size=${boot_mib}MiB, type=uefi, name=boot, attrs=LegacyBIOSBootable
type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709, name=root
END
  dd if=/usr/lib/syslinux/mbr/gptmbr.bin of="$disk" bs=440 count=1 conv=notrunc status=none
}

disk_make_boot() {
  local disk=$1 boot_mib=$2 arguments=$3
  local start=$((BOOT_START_MIB * MIB)) stage=$WORK/boot
  mkdir -p "$stage/EFI/BOOT" "$stage/loader/entries"
  cp "$WORK/vmlinuz" "$WORK/initrd" "$stage"
  disk_write_syslinux "$arguments" >"$stage/syslinux.cfg"
  disk_write_systemd_boot "$arguments" >"$stage/loader/entries/linux.conf"
  printf 'timeout 0\neditor no\n' >"$stage/loader/loader.conf"
  cp /usr/lib/systemd/boot/efi/systemd-bootx64.efi "$stage/EFI/BOOT/BOOTX64.EFI"

  # Big clusters: BIOS and firmware read the kernel with fewer requests.
  truncate -s "${boot_mib}M" "$stage.img"
  mkfs.vfat -F 16 -s 16 -n BOOT -h $((start / 512)) "$stage.img" >/dev/null
  mcopy -s -i "$stage.img" "$stage"/* ::
  syslinux --install "$stage.img"
  dd if="$stage.img" of="$disk" bs=$MIB seek="$BOOT_START_MIB" conv=notrunc,sparse status=none
}

disk_write_syslinux() {
  printf '%s\n' 'DEFAULT linux' 'PROMPT 0' 'TIMEOUT 0' 'LABEL linux' \
    '  LINUX /vmlinuz' '  INITRD /initrd' "  APPEND $1"
}

disk_write_systemd_boot() {
  printf '%s\n' 'title Linux' 'linux /vmlinuz' 'initrd /initrd' "options $1"
}

disk_make_root() {
  local disk=$1 name=$2 start_mib=$3 size_mib=$4
  # The last MiB belongs to the second copy of the partition table.
  local length_mib=$((size_mib - start_mib - 1))
  # As root, because files in the tree may be unreadable to others; the inode
  # tables are written now so that the guest doesn't do it at its first boot.
  as_root mkfs.ext4 -q -F -L "$name-root" -m 0 -d "$WORK/root" \
    -E "offset=$((start_mib * MIB)),lazy_itable_init=0,lazy_journal_init=0,nodiscard" \
    "$disk" "${length_mib}M"
}

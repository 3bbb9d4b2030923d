# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
#
# Makes the kernel and the initrd of a guest from the packages unpacked in
# $WORK/root. Debian's own initramfs starts udev, which takes seconds when
# emulated; this one loads a handful of modules and mounts the disk. Sourced by
# build.

IMAGE_PACKAGES+=(cpio kmod)

kernel_version() {
  basename "$WORK"/root/lib/modules/*
}

# module_paths NAME...: relative to the root, each module after those it needs.
module_paths() {
  modprobe -d "$WORK/root" -S "$(kernel_version)" --show-depends -a "$@" |
    sed -n "s|^insmod $WORK/root/*\([^ ]*\).*|\1|p" | awk '!seen[$0]++'
}

# initrd_make LABEL MODULE...: writes $WORK/vmlinuz and $WORK/initrd, which load
# the modules in this order, mount the file system LABEL and start its init.
initrd_make() {
  local label=$1 stage=$WORK/initramfs
  shift
  cp "$WORK/root/boot/vmlinuz-$(kernel_version)" "$WORK/vmlinuz"
  mkdir -p "$stage/bin" "$stage/dev" "$stage/modules" "$stage/root"
  echo "$label" >"$stage/label"
  initrd_add_busybox "$stage"
  initrd_add_modules "$stage" "$@"
  install -m 0755 "$HERE/initrd-init" "$stage/init"
  # Not compressed: reading 3 MB is faster than unpacking 1 MB when emulated.
  (cd "$stage" && find . | sort | cpio -o -H newc -R 0:0 --quiet) >"$WORK/initrd"
}

initrd_add_busybox() {
  local name
  cp "$WORK/root/usr/bin/busybox" "$1/bin/"
  for name in sh mount insmod findfs switch_root sleep; do
    ln -s busybox "$1/bin/$name"
  done
}

initrd_add_modules() {
  local stage=$1 path number=10
  shift
  # The init loads them in the order of their names.
  module_paths "$@" | while read -r path; do
    cp "$WORK/root/$path" "$stage/modules/$number-${path##*/}"
    number=$((number + 1))
  done
}

# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
#
# The debian guest: Debian 12 with systemd, cloud-init, OpenSSH, sudo. Sourced
# by build.

IMAGE_PACKAGES+=(mmdebstrap)

# logind needs dbus and udev for the power button, growpart needs fdisk.
DEBIAN_INCLUDE=(
  busybox-static ca-certificates cloud-guest-utils cloud-init dbus e2fsprogs fdisk iproute2
  kmod less libpam-systemd linux-image-cloud-amd64 openssh-server openssh-sftp-server procps sudo
  systemd-resolved systemd-sysv udev
)

# With the CD-ROM's drivers here, it's there before cloud-init looks for it.
DEBIAN_EARLY_MODULES=(virtio_pci virtio_blk virtio_scsi sr_mod isofs)

# Of the units that the packages enable, those that only cost time.
DEBIAN_MASK=(
  apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer e2scrub_all.timer
  e2scrub_reap.service fstrim.timer getty@tty1.service proc-sys-fs-binfmt_misc.automount
  systemd-binfmt.service systemd-pstore.service
)

DEBIAN_ARGUMENTS="console=ttyS0 loglevel=4 cryptomgr.notests nokaslr mitigations=off fsck.mode=skip"

guest_build() {
  debian_install
  initrd_make debian-root "${DEBIAN_EARLY_MODULES[@]}"
  debian_add_files
  debian_enable
  debian_forget
  disk_make debian 4096 32 "$DEBIAN_ARGUMENTS"
}

debian_install() {
  local include
  include=$(IFS=, && echo "${DEBIAN_INCLUDE[*]}")
  say "installing the system"
  # INITRD=No: the kernel package shall not build an initramfs that nobody uses.
  as_root env INITRD=No mmdebstrap --quiet --variant=minbase --include="$include" \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' "$SUITE" "$WORK/root"
}

debian_add_files() {
  # Owned by root and readable, whatever the umask of the clone was.
  tar -C "$HERE/debian/root" --owner=0 --group=0 --mode=u+rwX,go+rX,go-w -cf - . |
    as_root tar -C "$WORK/root" --no-same-owner --no-overwrite-dir -xf -
}

debian_enable() {
  as_root systemctl --root="$WORK/root" --quiet enable systemd-networkd systemd-resolved
  as_root systemctl --root="$WORK/root" --quiet mask "${DEBIAN_MASK[@]}"
}

# What must not be the same in all guests, and what was of use only here.
debian_forget() {
  local root=$WORK/root
  as_root rm -f "$root"/etc/ssh/ssh_host_* "$root"/boot/*
  # Empty, systemd fills it in without thinking that this is a first boot, when
  # it would go through the presets of all units.
  as_root truncate -s 0 "$root/etc/machine-id"
  as_root rm -f "$root/etc/hostname" "$root/etc/resolv.conf"
  as_root ln -s ../run/systemd/resolve/stub-resolv.conf "$root/etc/resolv.conf"
}

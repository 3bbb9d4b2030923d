# shellcheck shell=bash
# SPDX-License-Identifier: MPL-2.0
#
# The tiny guest: Debian's cloud kernel, busybox, OpenSSH, sudo. Sourced by build.

IMAGE_PACKAGES+=(mmdebstrap gcc libc6-dev libyaml-dev)

TINY_INCLUDE=base-passwd,bash,busybox-static,linux-image-cloud-amd64,login,openssh-server,passwd,sudo

# What it takes to mount the root file system; ext4 is built into this kernel.
TINY_EARLY_MODULES=(virtio_pci virtio_blk)
TINY_MODULES=(virtio_scsi sr_mod isofs virtio_net virtio_rng button evdev)

# cryptomgr.notests, nokaslr and mitigations=off: seconds of emulated CPU time
# that a throw-away guest doesn't need to spend.
TINY_ARGUMENTS="console=ttyS0 loglevel=4 cryptomgr.notests nokaslr mitigations=off"

guest_build() {
  tiny_extract
  tiny_index_modules
  tiny_pick_modules
  initrd_make tiny-root "${TINY_EARLY_MODULES[@]}"
  tiny_trim
  tiny_add_busybox
  tiny_add_files
  tiny_add_accounts
  disk_make tiny 1024 32 "$TINY_ARGUMENTS"
}

# No package is configured: without maintainer scripts there's no Perl, no
# debconf and nothing to run inside, and the guest's own files replace what
# they would have made.
tiny_extract() {
  say "fetching packages"
  as_root mmdebstrap --quiet --variant=extract --include="$TINY_INCLUDE" \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr "$SUITE" "$WORK/root"
}

# Leaves in the tree only the modules that are needed and those they need.
tiny_pick_modules() {
  local modules kept=$WORK/modules
  modules=usr/lib/modules/$(kernel_version)
  module_paths "${TINY_EARLY_MODULES[@]}" "${TINY_MODULES[@]}" >"$kept.list"
  mkdir "$kept"
  tar -C "$WORK/root" -cf - -T "$kept.list" | tar -C "$kept" -xf -
  as_root rm -rf "$WORK/root/$modules/kernel"
  as_root cp -R "$kept/lib/modules/$(kernel_version)/kernel" "$WORK/root/$modules/"
  tiny_index_modules
}

tiny_index_modules() {
  as_root depmod -b "$WORK/root" "$(kernel_version)"
}

tiny_trim() {
  local share=$WORK/root/usr/share
  as_root rm -rf "$WORK"/root/boot/* "$share"/{doc,man,locale,info,lintian,perl5,bug,initramfs-tools} \
    "$WORK"/root/etc/{init.d,rc?.d,pam.d,systemd,udev,update-motd.d} \
    "$WORK"/root/usr/lib/{systemd,udev} "$WORK"/root/usr/lib/x86_64-linux-gnu/{perl-base,gconv} \
    "$WORK"/root/var/lib/{apt,dpkg} "$WORK"/root/var/{cache,log}/apt
}

# Applets fill in whatever no package brought.
tiny_add_busybox() {
  local root=$WORK/root path
  "$root/usr/bin/busybox" --list-full | while read -r path; do
    path=$root/usr/${path#usr/}
    [ -e "$path" ] || [ -L "$path" ] || [ "${path##*/}" = linuxrc ] || echo "$path"
  done | as_root xargs -d '\n' -n 1 ln -s /usr/bin/busybox
}

tiny_add_files() {
  gcc -std=gnu17 -O2 -Wall -Wextra -Werror -static \
    -o "$WORK/seed-unpack" "$HERE/tiny/seed-unpack.c" -lyaml
  as_root install -m 0755 "$WORK/seed-unpack" "$WORK/root/usr/bin/"
  # As archives from git carry them, whatever the umask of the clone was.
  tar -C "$HERE/tiny/root" --owner=0 --group=0 --mode=u+rwX,go+rX,go-w -cf - . |
    as_root tar -C "$WORK/root" --no-same-owner --no-overwrite-dir -xf -
  as_root chmod 0440 "$WORK/root/etc/sudoers"
  as_root ln -s ../run/resolv.conf "$WORK/root/etc/resolv.conf.new"
  as_root mv "$WORK/root/etc/resolv.conf.new" "$WORK/root/etc/resolv.conf"
}

tiny_add_accounts() {
  local root=$WORK/root master=$WORK/root/usr/share/base-passwd
  {
    sed 's|^root:.*|root:x:0:0:root:/root:/bin/bash|; s/^\([^:]*\):\*:/\1:x:/' \
      "$master/passwd.master"
    echo 'sshd:x:101:65534::/run/sshd:/usr/sbin/nologin'
  } | as_root tee "$root/etc/passwd" >/dev/null
  # "*" and not "!": OpenSSH takes the latter for a locked account.
  awk -F: -v OFS=: '{ print $1, "*", 19000, 0, 99999, 7, "", "", "" }' "$root/etc/passwd" |
    as_root tee "$root/etc/shadow" >/dev/null
  as_root cp "$master/group.master" "$root/etc/group"
  as_root chmod 0600 "$root/etc/shadow"
}

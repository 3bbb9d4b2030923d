# shellcheck shell=sh
# SPDX-License-Identifier: MPL-2.0
#
# The part of cloud-init that the tests need. seed-unpack makes trees of files
# of the documents: a key is a file with its value, or a folder.
# shellcheck disable=SC3043  # busybox has "local"

readonly SEED=/run/seed
readonly STATE=/var/lib/tiny
readonly DEFAULT_USER=debian

# --- Reading ---------------------------------------------------------------

# The disk may come up a little after its driver; without a seed this costs a second.
seed_find() {
  for _ in 0 1 2 3 4; do
    findfs LABEL=cidata 2>/dev/null && return
    findfs LABEL=CIDATA 2>/dev/null && return
    sleep 0.2
  done
  return 1
}

# Unpacks the seed into $SEED: meta (a tree), user and vendor (parts).
seed_open() {
  local device
  device=$(seed_find) || return 1
  mkdir -m 0700 $SEED $SEED/disc
  mount -t iso9660 -o ro "$device" $SEED/disc || return 1
  seed-unpack yaml $SEED/disc/meta-data $SEED/meta
  seed-unpack user-data $SEED/disc/user-data $SEED/user
  [ ! -e $SEED/disc/vendor-data ] || seed-unpack user-data $SEED/disc/vendor-data $SEED/vendor
  umount $SEED/disc
}

# The tree of a key: user-data wins over vendor-data, the last part over the first.
conf() {
  local part found=
  for part in "$SEED"/vendor/*-config "$SEED"/user/*-config; do
    [ ! -e "$part/$1" ] || found=$part/$1
  done
  [ -n "$found" ] && echo "$found"
}

# The value, or one line for each entry of a list; nothing for false and null.
values() {
  local file
  [ -n "$1" ] || return 0
  for file in "$1" "$1"/*; do
    [ -f "$file" ] || continue
    case $(cat "$file") in
      '' | false | False | null | '~') ;;
      *) cat "$file" && echo ;;
    esac
  done
}

# Does something once for each instance-id. In a shell of its own: whatever the
# seed holds, it must not keep sshd from starting.
once() {
  local mark="$INSTANCE/$1"
  [ -e "$mark" ] || { ("$@") && : >"$mark"; }
}

instance_open() {
  INSTANCE_ID=$(values $SEED/meta/instance-id)
  export INSTANCE_ID
  INSTANCE=$STATE/$(echo "${INSTANCE_ID:-none}" | tr -c 'A-Za-z0-9._\n-' _)
  mkdir -p "$INSTANCE"
}

# --- Applying --------------------------------------------------------------

# What has to be there before the first login.
seed_apply() {
  local hook
  instance_open
  for hook in "$SEED"/user/*-boothook "$SEED"/vendor/*-boothook; do
    [ ! -x "$hook" ] || "$hook"
  done
  ! conf bootcmd >/dev/null || run_commands bootcmd
  once apply_hostname
  once apply_host_keys
  once apply_users
  # After the users, who may own them.
  once apply_files
  sync
}

# What the user wants done with the system up.
seed_finish() {
  instance_open
  once run_commands runcmd
  once run_scripts
}

apply_hostname() {
  local name
  name=$(values "$(conf hostname)")
  [ -n "$name" ] || name=$(values $SEED/meta/local-hostname)
  [ -n "$name" ] || return 0
  echo "$name" >/etc/hostname
  hostname "$name"
  # sudo looks the name up, and says so when it isn't there.
  printf '127.0.0.1 localhost\n127.0.1.1 %s\n' "$name" >/etc/hosts
}

apply_files() {
  local entry files
  files=$(conf write_files) || return 0
  for entry in "$files"/*; do
    [ ! -d "$entry" ] || apply_file "$entry"
  done
}

apply_file() {
  local path mode owner
  path=$(values "$1/path")
  [ -n "$path" ] || return 0
  mode=$(values "$1/permissions")
  owner=$(values "$1/owner")
  mkdir -p "$(dirname "$path")"
  [ "$(values "$1/append")" = true ] || : >"$path"
  case $(values "$1/encoding") in
    b64 | base64) base64 -d "$1/content" >>"$path" ;;
    *) cat "$1/content" >>"$path" ;;
  esac
  chmod "${mode:-0644}" "$path"
  [ -z "$owner" ] || chown "$owner" "$path"
}

apply_users() {
  local entry users
  # Without a list of users, and for the word "default", the image's own user is meant.
  users=$(conf users) || { apply_default_user; return 0; }
  for entry in "$users"/*; do
    if [ -d "$entry" ]; then
      apply_user "$entry"
    elif [ "$(values "$entry")" = default ]; then
      apply_default_user
    fi
  done
}

apply_default_user() {
  mkdir -p $SEED/default
  printf %s $DEFAULT_USER >$SEED/default/name
  printf %s /bin/bash >$SEED/default/shell
  printf %s 'ALL=(ALL) NOPASSWD:ALL' >$SEED/default/sudo
  values "$(conf ssh_authorized_keys)" >$SEED/default/ssh_authorized_keys
  apply_user $SEED/default
}

apply_user() {
  local name rule
  name=$(values "$1/name")
  # A boothook may have made it.
  id "$name" >/dev/null 2>&1 || add_user "$name" "$1" || return 0
  values "$1/sudo" | while read -r rule; do
    echo "$name $rule"
  done >>/etc/sudoers.d/90-users
  chmod 0440 /etc/sudoers.d/90-users
  values "$1/ssh_authorized_keys" | add_keys "$name"
}

add_user() {
  local name="$1" entry="$2" shell groups group
  shell=$(values "$entry/shell")
  [ -x "$shell" ] || shell=/bin/sh
  groups=$(values "$entry/groups" | tr -s ', ' '\n' | grep .)
  for group in $groups; do
    grep -q "^$group:" /etc/group || groupadd -- "$group"
  done
  groups=$(echo "$groups" | tr '\n' ',')
  useradd -m -s "$shell" ${groups:+-G "${groups%,}"} -- "$name"
}

# Appends the keys on stdin to those that the user has.
add_keys() {
  local folder key
  folder=$(awk -F: -v name="$1" '$1 == name { print $6 }' /etc/passwd)/.ssh
  [ -d "$folder" ] || mkdir -m 0700 "$folder"
  touch "$folder/authorized_keys"
  while read -r key; do
    grep -qxF -- "$key" "$folder/authorized_keys" || echo "$key" >>"$folder/authorized_keys"
  done
  chmod 0600 "$folder/authorized_keys"
  chown -R "$1:" "$folder"
}

# A new instance never keeps the host keys of the one before.
apply_host_keys() {
  local keys file name
  rm -f /etc/ssh/ssh_host_*
  keys=$(conf ssh_keys) || return 0
  for file in "$keys"/*_private; do
    name=${file##*/}
    name=/etc/ssh/ssh_host_${name%_private}_key
    (umask 077 && values "$file" >"$name")
    values "${file%_private}_public" >"$name.pub"
  done
}

# --- Running ---------------------------------------------------------------

# One script of all entries, as cloud-init does: "cd" in one holds for the next.
run_commands() {
  local commands
  commands=$(conf "$1") || return 0
  for entry in "$commands"/*; do
    if [ -d "$entry" ]; then
      quoted_words "$entry"
    else
      cat "$entry" && echo
    fi
  done >"$SEED/$1"
  # The status is the user's affair; the commands have been run.
  sh "$SEED/$1" || true
}

quoted_words() {
  local word
  for word in "$1"/*; do
    printf "'%s' " "$(sed "s/'/'\\\\''/g" "$word")"
  done
  echo
}

run_scripts() {
  local script
  for script in "$SEED"/vendor/*-script "$SEED"/user/*-script; do
    [ ! -x "$script" ] || "$script" || true
  done
}

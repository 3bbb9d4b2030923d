/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* What a guest's cloud-init gets to read at its first boot: the NoCloud documents and the ISO image
 * that carries them (cloud-init's documentation, "NoCloud" and "User-data formats"). The documents
 * are pure functions of a VmSeed. Knows nothing of VMs, disks or SSH connections. */

#include "runtime/error.h"

VM_BEGIN_DECLS

/* All borrowed, all text UTF-8. */
typedef struct {
  const char *instance_id; /* cloud-init does its first-boot work once per id */
  const char *hostname;
  const char *user;             /* see vm_cloudinit_user_is_valid() */
  const char *authorized_keys;  /* public keys of the user, one a line */
  const char *host_private_key; /* text of an OpenSSH Ed25519 private key file */
  const char *host_public_key;  /* its public line */
  GBytes *user_data;            /* the user's own, handed on byte for byte, or NULL */
  GBytes *network_config;       /* likewise */
} VmSeed;

/* Whether @user may be the name of a guest's user: [a-z_][a-z0-9_-]{0,31}. */
gboolean vm_cloudinit_user_is_valid (const char *user);

/* The `meta-data` document. Owned by the caller, as are the others. */
char *vm_cloudinit_meta_data (const VmSeed *seed);

/* The `user-data` document of a seed that has no user_data of its own: the user with its keys, the
 * SSH host key, the host name. A `#cloud-config` whose body is JSON, which is YAML too, so that no
 * value can become structure. */
char *vm_cloudinit_user_data (const VmSeed *seed);

/* The `vendor-data` document of a seed that has user_data of its own, which must stay as it is: a
 * MIME multipart of a cloud-config with the SSH host key and a boothook that makes the user. A
 * `users` list in user_data would replace one in vendor-data; a boothook is not replaced. */
char *vm_cloudinit_vendor_data (const VmSeed *seed);

/* Writes the seed image to @path (0600, whole or not at all): ISO 9660 with Joliet and Rock Ridge,
 * volume id `cidata`. It holds private keys. Blocks on the disk; libarchive keeps an unlinked
 * temporary file in $TMPDIR meanwhile. Errors: VM_ERROR_CLOUDINIT_ISO_FAILED, also for a user name
 * that is not valid or text that is not UTF-8; VM_ERROR_IO. */
gboolean vm_cloudinit_write_seed (const VmSeed *seed, const char *path, GError **error);

VM_END_DECLS

/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* Resolved specifications: a definition with every default filled in, every path absolute and every
 * small file (keys, cloud-init data) read. A spec is all that a backend needs to make a VM, and it
 * is kept with the VM: nothing in it refers back to the VMFile. */

#include "vmfile/def.h"

#include <json-glib/json-glib.h>

VM_BEGIN_DECLS

typedef struct {
  char *name;
  char *backend;   /* "qemu", "noop", … */
  char *image;     /* absolute path of the base image; NULL until a URL was fetched */
  char *image_url; /* NULL when the image is a local file */
  char *checksum;
  guint vcpus;
  guint64 memory_mib;
  guint64 disk_gib; /* 0: the image's own size */
  gboolean uefi;
  VmAccel accel;
  GPtrArray *networks; /* of VmNetwork, at least one */
  char *hostname;
  char *ssh_public_key;   /* text of the user's key; NULL: a pair is generated */
  GBytes *user_data;      /* the user's own, byte for byte; NULL: generated */
  GBytes *network_config; /* likewise; NULL: none */
  char *ssh_user;
  char *private_key; /* absolute path; NULL: the generated one */
  GPtrArray *steps;  /* of VmStep, paths absolute */
} VmSpec;

/* Resolves @def: relative paths start at @base_dir, "~" is the home folder, and a VM that names no
 * backend gets @default_backend. Reads the small files it names, so it blocks on the disk; scripts,
 * images and files to copy are only looked at. Returns a spec owned by the caller. Errors:
 * VM_ERROR_IMAGE_NOT_FOUND, VM_ERROR_IO, each naming the VM, the setting and the path. */
VmSpec *vm_def_resolve (const VmDef *def, const char *base_dir, const char *default_backend,
                        GError **error);

void vm_spec_free (VmSpec *spec);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmSpec, vm_spec_free)

/* JSON form, owned by the caller, and back. Members that are NULL are left out; cloud-init data is
 * base64. Members that this version does not know are ignored, those that are left out keep the
 * value they have in an empty spec. Errors: VM_ERROR_STORE_FAILED naming the member that is missing
 * or of the wrong type. */
JsonNode *vm_spec_to_json (const VmSpec *spec);
VmSpec *vm_spec_from_json (JsonNode *node, GError **error);

VM_END_DECLS

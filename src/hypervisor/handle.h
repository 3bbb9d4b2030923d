/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* A handle is what a backend needs to make, find and drive a VM: its spec, its folder, and what was
 * decided once for its life (addresses, ports). It has a JSON form in which the store keeps it. It
 * holds no open resource and no running state. */

#include "vmfile/spec.h"

VM_BEGIN_DECLS

typedef struct {
  VmSpec *spec;
  char *dir;       /* absolute path of the VM's own folder, 0700 */
  GPtrArray *macs; /* of char *, one for each network of the spec */
  char *ssh_host;  /* where its SSH port is reached; NULL: not known, or there is none */
  guint16 ssh_port;
  VmAccel accel;    /* how it was run last; VM_ACCEL_AUTO: never */
  gboolean settled; /* somebody has logged in: its user, keys and host key are in place */
} VmHandle;

/* Decides what a new VM of @spec (taken) will be: its folder under @data_dir, its addresses. Makes
 * nothing yet. */
VmHandle *vm_handle_new (VmSpec *spec, const char *data_dir);

/* A handle that is good for nothing but destroying the VM @name, whose record is damaged. */
VmHandle *vm_handle_new_bare (const char *name, const char *backend, const char *data_dir);

void vm_handle_free (VmHandle *handle);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmHandle, vm_handle_free)

/* Gives the VM another spec (taken) of the same name; networks that are new get addresses. */
void vm_handle_set_spec (VmHandle *handle, VmSpec *spec);

/* Makes the VM's folder, which must not be there yet. Errors: VM_ERROR_IO. */
gboolean vm_handle_make_dir (const VmHandle *handle, GError **error);

/* The path of @file in the VM's folder, owned by the caller. */
char *vm_handle_path (const VmHandle *handle, const char *file);

/* JSON text, owned by the caller, and back. Errors: VM_ERROR_STORE_FAILED. */
char *vm_handle_to_json (const VmHandle *handle);
VmHandle *vm_handle_from_json (const char *text, GError **error);

/* Files in the VM's folder that more than its backend looks at. */
#define VM_FILE_PRIVATE_KEY "id_ed25519_generated"
#define VM_FILE_PUBLIC_KEY "id_ed25519_generated.pub"
#define VM_FILE_KNOWN_HOSTS "known_hosts"
#define VM_FILE_CONSOLE_LOG "console.log"
#define VM_FILE_PROVISION_LOG "provision.log"

VM_END_DECLS

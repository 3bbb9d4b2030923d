/* SPDX-License-Identifier: MPL-2.0 */
#include "hypervisor/qemu/qemu.h"

#include "cloudinit/cloudinit.h"
#include "ssh/keys.h"
#include "ssh/ssh.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define FIRMWARE_VARS_LIMIT (4 * 1024 * 1024)

static gboolean
write_text (const VmHandle *handle, const char *file, const char *text, mode_t mode, GError **error)
{
  g_autofree char *path = vm_handle_path (handle, file);
  return vm_file_write (path, text, strlen (text), mode, error);
}

static gboolean
make_overlay (const VmHandle *handle, const VmOp *op, GError **error)
{
  const VmSpec *spec = handle->spec;
  g_autofree char *overlay = vm_handle_path (handle, VM_QEMU_OVERLAY);
  VmImageInfo info;
  return vm_image_inspect (spec->image, &info, error) &&
         vm_image_make_overlay (spec->image, &info, overlay, spec->disk_gib << 30, op, error);
}

/* vmctl's own key always gets in, beside the user's: a VM whose key was lost can still be
 * provisioned. Returns all keys that may log in, a line each. */
static char *
make_user_key (const VmHandle *handle, GError **error)
{
  g_autofree char *private_key = NULL;
  g_autofree char *public_key = NULL;
  const char *given = handle->spec->ssh_public_key;
  g_autofree char *users =
      given != NULL ? vm_ssh_public_keys_clean (given, "ssh-key", error) : NULL;
  if (given != NULL && users == NULL)
    return NULL;
  if (!vm_ssh_keygen ("vmctl", &private_key, &public_key, error) ||
      !write_text (handle, VM_FILE_PRIVATE_KEY, private_key, 0600, error) ||
      !write_text (handle, VM_FILE_PUBLIC_KEY, public_key, 0600, error))
    return NULL;
  return g_strconcat (public_key, "\n", users, NULL);
}

/* The guest's host key is made here and pinned before the guest exists, so that the first
 * connection is verified already. Its private half lives in the seed alone. */
static gboolean
make_seed (const VmHandle *handle, GError **error)
{
  const VmSpec *spec = handle->spec;
  g_autofree char *seed_path = vm_handle_path (handle, VM_QEMU_SEED);
  g_autofree char *known_hosts = vm_handle_path (handle, VM_FILE_KNOWN_HOSTS);
  g_autofree char *instance_id = g_uuid_string_random ();
  g_autofree char *host_private = NULL;
  g_autofree char *host_public = NULL;
  g_autofree char *authorized_keys = make_user_key (handle, error);

  if (authorized_keys == NULL || !vm_ssh_keygen (spec->name, &host_private, &host_public, error) ||
      !vm_ssh_pin (known_hosts, spec->name, host_public, error))
    return FALSE;
  const VmSeed seed = {
    .instance_id = instance_id,
    .hostname = spec->hostname,
    .user = spec->ssh_user,
    .authorized_keys = authorized_keys,
    .host_private_key = host_private,
    .host_public_key = host_public,
    .user_data = spec->user_data,
    .network_config = spec->network_config,
  };
  return vm_cloudinit_write_seed (&seed, seed_path, error);
}

static gboolean
make_firmware_vars (const VmHandle *handle, GError **error)
{
  const char *code;
  const char *vars;
  g_autofree char *data = NULL;
  g_autofree char *path = vm_handle_path (handle, VM_QEMU_EFIVARS);
  gsize size = 0;
  if (!handle->spec->uefi)
    return TRUE;
  return vm_qemu_find_firmware (&code, &vars, error) &&
         vm_file_read (vars, FIRMWARE_VARS_LIMIT, &data, &size, error) &&
         vm_file_write (path, data, size, 0600, error);
}

static gboolean
check_networks (const VmSpec *spec, GError **error)
{
  for (guint i = 0; i < spec->networks->len; i++) {
    const VmNetwork *network = spec->networks->pdata[i];
    if (network->kind == VM_NETWORK_TAP || network->kind == VM_NETWORK_VNIC)
      return vm_error_set (error, VM_ERROR_BACKEND_NOT_AVAILABLE,
                           "the qemu backend has no networks of kind \"%s\" yet",
                           vm_network_kind_to_string (network->kind)) ||
             vm_error_help (error, "use network \"user\" with forwards");
  }
  return TRUE;
}

gboolean
vm_qemu_prepare (const VmHandle *handle, const VmOp *op, GError **error)
{
  if (!check_networks (handle->spec, error))
    return FALSE;
  if (!vm_handle_make_dir (handle, error))
    return FALSE;
  if (make_overlay (handle, op, error) && make_firmware_vars (handle, error) &&
      make_seed (handle, error))
    return TRUE;
  vm_dir_remove (handle->dir, NULL);
  return FALSE;
}

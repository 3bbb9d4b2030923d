/* SPDX-License-Identifier: MPL-2.0 */
#include "runtime/error.h"

typedef struct {
  const char *name;
  VmFailure failure;
  const char *help;
} ErrorInfo;

static const ErrorInfo error_table[VM_N_ERRORS] = {
  [VM_ERROR_QEMU_SPAWN_FAILED] = { "vm_manager::qemu::spawn_failed", VM_FAILURE_OPERATION,
                                   "`vmctl doctor` checks what QEMU needs" },
  [VM_ERROR_QMP_CONNECT_FAILED] = { "vm_manager::qemu::qmp_connect_failed", VM_FAILURE_OPERATION,
                                    "QEMU does not answer; `vmctl stop --force NAME` ends it" },
  [VM_ERROR_QMP_COMMAND_FAILED] = { "vm_manager::qemu::qmp_command_failed", VM_FAILURE_OPERATION,
                                    "`vmctl log NAME` shows what QEMU said" },
  [VM_ERROR_QEMU_EXITED] = { "vm_manager::qemu::exited", VM_FAILURE_OPERATION,
                             "`vmctl log NAME --console` shows the guest's last words" },
  [VM_ERROR_IMAGE_DOWNLOAD_FAILED] = { "vm_manager::image::download_failed", VM_FAILURE_OPERATION,
                                       "check the URL" },
  [VM_ERROR_IMAGE_CHECKSUM_MISMATCH] = { "vm_manager::image::checksum_mismatch",
                                         VM_FAILURE_OPERATION,
                                         "the image is not the one the checksum was made of; "
                                         "check both at their source" },
  [VM_ERROR_IMAGE_FORMAT_DETECTION_FAILED] = { "vm_manager::image::format_detection_failed",
                                               VM_FAILURE_OPERATION,
                                               "a qcow2 or raw disk image is needed" },
  [VM_ERROR_IMAGE_OVERLAY_CREATION_FAILED] = { "vm_manager::image::overlay_creation_failed",
                                               VM_FAILURE_OPERATION,
                                               "`vmctl doctor` checks qemu-img and the disk "
                                               "space" },
  [VM_ERROR_IMAGE_UNSAFE] = { "vm_manager::image::unsafe", VM_FAILURE_OPERATION,
                              "flatten it with a tool you trust: "
                              "qemu-img convert -O qcow2 IMAGE NEW" },
  [VM_ERROR_IMAGE_NOT_FOUND] = { "vm_manager::image::not_found", VM_FAILURE_NOT_FOUND,
                                 "check the path; a relative one starts at the VMFile's folder" },
  [VM_ERROR_PORT_UNAVAILABLE] = { "vm_manager::network::port_unavailable", VM_FAILURE_OPERATION,
                                  "forward another host port, or end what holds this one "
                                  "(`ss -ltnp` names it)" },
  [VM_ERROR_CLOUDINIT_ISO_FAILED] = { "vm_manager::cloudinit::iso_failed", VM_FAILURE_OPERATION,
                                      "`vmctl doctor` checks the disk space" },
  [VM_ERROR_SSH_FAILED] = { "vm_manager::ssh::failed", VM_FAILURE_OPERATION,
                            "`vmctl log NAME --console` shows how the guest is doing" },
  [VM_ERROR_SSH_TIMEOUT] = { "vm_manager::ssh::timeout", VM_FAILURE_DEADLINE,
                             "`vmctl log NAME --console` shows how far the guest came" },
  [VM_ERROR_SSH_AUTH_FAILED] = { "vm_manager::ssh::auth_failed", VM_FAILURE_OPERATION,
                                 "name the guest's user and key: ssh { user \"…\"; private-key "
                                 "\"…\" }" },
  [VM_ERROR_SSH_HOST_KEY_MISMATCH] = { "vm_manager::ssh::host_key_mismatch", VM_FAILURE_OPERATION,
                                       "something else may be listening there; if the guest made "
                                       "itself a new key, remove the VM's known_hosts file" },
  [VM_ERROR_SSH_KEYGEN_FAILED] = { "vm_manager::ssh::keygen_failed", VM_FAILURE_OPERATION, NULL },
  [VM_ERROR_PROVISION_FAILED] = { "vm_manager::provision::failed", VM_FAILURE_OPERATION,
                                  "mend the step and run `vmctl up` again; steps that succeeded "
                                  "are not repeated" },
  [VM_ERROR_VM_NOT_FOUND] = { "vm_manager::vm::not_found", VM_FAILURE_NOT_FOUND,
                              "`vmctl list` shows the VMs there are" },
  [VM_ERROR_VM_EXISTS] = { "vm_manager::vm::exists", VM_FAILURE_OPERATION,
                           "take another name, or remove it: vmctl destroy NAME" },
  [VM_ERROR_VM_INVALID_STATE] = { "vm_manager::vm::invalid_state", VM_FAILURE_OPERATION,
                                  "`vmctl status NAME` shows the VM's state" },
  [VM_ERROR_VM_INVALID_NAME] = { "vm_manager::vm::invalid_name", VM_FAILURE_USAGE,
                                 "a name has 1 to 63 characters, letters, digits and `._-`, and "
                                 "begins with a letter or digit" },
  [VM_ERROR_VM_LOCKED] = { "vm_manager::vm::locked", VM_FAILURE_DEADLINE,
                           "wait until the other command is done, or end it" },
  [VM_ERROR_VMFILE_NOT_FOUND] = { "vm_manager::vmfile::not_found", VM_FAILURE_NOT_FOUND,
                                  "write a VMFile.kdl, or name one with --file" },
  [VM_ERROR_VMFILE_PARSE_FAILED] = { "vm_manager::vmfile::parse_failed", VM_FAILURE_USAGE, NULL },
  [VM_ERROR_VMFILE_VALIDATION] = { "vm_manager::vmfile::validation", VM_FAILURE_USAGE, NULL },
  [VM_ERROR_BACKEND_NOT_AVAILABLE] = { "vm_manager::backend::not_available", VM_FAILURE_OPERATION,
                                       "leave `backend` out to get this platform's own" },
  [VM_ERROR_STORE_FAILED] = { "vm_manager::store::failed", VM_FAILURE_OPERATION,
                              "`vmctl doctor` checks the data folder" },
  [VM_ERROR_IO] = { "vm_manager::io", VM_FAILURE_OPERATION, NULL },
  [VM_ERROR_TIMEOUT] = { "vm_manager::timeout", VM_FAILURE_DEADLINE, NULL },
  [VM_ERROR_CANCELLED] = { "vm_manager::cancelled", VM_FAILURE_CANCELLED, NULL },
  [VM_ERROR_USAGE] = { "vm_manager::usage", VM_FAILURE_USAGE,
                       "`vmctl --help` lists commands and options" },
};

/* What an error of this domain carries beyond GError's fields. */
typedef struct {
  char *help; /* NULL: the code's default */
} VmErrorPrivate;

static void
vm_error_private_init (VmErrorPrivate *priv)
{
}

static void
vm_error_private_copy (const VmErrorPrivate *from, VmErrorPrivate *to)
{
  to->help = g_strdup (from->help);
}

static void
vm_error_private_clear (VmErrorPrivate *priv)
{
  g_free (priv->help);
}

G_DEFINE_EXTENDED_ERROR (VmError, vm_error)

static const ErrorInfo *
error_info (const GError *error)
{
  gboolean ours = error->domain == VM_ERROR && error->code >= 0 && error->code < VM_N_ERRORS;
  return &error_table[ours ? error->code : VM_ERROR_IO];
}

gboolean
vm_error_set (GError **error, VmErrorCode code, const char *format, ...)
{
  g_return_val_if_fail (error == NULL || *error == NULL, FALSE);
  va_list args;
  va_start (args, format);
  if (error != NULL)
    *error = g_error_new_valist (VM_ERROR, code, format, args);
  va_end (args);
  return FALSE;
}

gboolean
vm_error_set_errno (GError **error, int errnum, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *what = g_strdup_vprintf (format, args);
  va_end (args);
  return vm_error_set (error, VM_ERROR_IO, "%s: %s", what, g_strerror (errnum));
}

gboolean
vm_error_help (GError **error, const char *format, ...)
{
  if (error == NULL || *error == NULL || (*error)->domain != VM_ERROR)
    return FALSE;
  va_list args;
  va_start (args, format);
  VmErrorPrivate *priv = vm_error_get_private (*error);
  g_free (priv->help);
  priv->help = g_strdup_vprintf (format, args);
  va_end (args);
  return FALSE;
}

gboolean
vm_error_take (GError **error, GError *cause, VmErrorCode code, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_autofree char *prefix = g_strdup_vprintf (format, args);
  va_end (args);
  if (cause->domain != VM_ERROR) {
    gboolean cancelled = g_error_matches (cause, G_IO_ERROR, G_IO_ERROR_CANCELLED);
    g_autoptr (GError) foreign = cause;
    cause = g_error_new (VM_ERROR, cancelled ? VM_ERROR_CANCELLED : code, "%s", foreign->message);
  }
  g_propagate_prefixed_error (error, cause, "%s: ", prefix);
  return FALSE;
}

const char *
vm_error_name (const GError *error)
{
  return error_info (error)->name;
}

const char *
vm_error_get_help (const GError *error)
{
  if (error->domain == VM_ERROR) {
    const VmErrorPrivate *priv = vm_error_get_private ((GError *) error);
    if (priv->help != NULL)
      return priv->help;
  }
  return error_info (error)->help;
}

VmFailure
vm_error_failure (const GError *error)
{
  return error_info (error)->failure;
}

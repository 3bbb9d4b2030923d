/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* The one error domain of libvm-manager. Every failure carries a code with a stable string form
 * (`vm_manager::image::not_found`), a message that names the thing, and a help line that says what
 * to do next. Lower layers say what failed; callers may prefix context with g_prefix_error() and
 * never overwrite. This file knows nothing of who prints the error. */

#include "runtime/util.h"

VM_BEGIN_DECLS

#define VM_ERROR (vm_error_quark ())

/* Grouped as their string forms are. New codes go into the table of error.c too; a unit test checks
 * that none is missing there. */
typedef enum {
  VM_ERROR_QEMU_SPAWN_FAILED,
  VM_ERROR_QMP_CONNECT_FAILED,
  VM_ERROR_QMP_COMMAND_FAILED,
  VM_ERROR_QEMU_EXITED,
  VM_ERROR_IMAGE_DOWNLOAD_FAILED,
  VM_ERROR_IMAGE_CHECKSUM_MISMATCH,
  VM_ERROR_IMAGE_FORMAT_DETECTION_FAILED,
  VM_ERROR_IMAGE_OVERLAY_CREATION_FAILED,
  VM_ERROR_IMAGE_UNSAFE,
  VM_ERROR_IMAGE_NOT_FOUND,
  VM_ERROR_PORT_UNAVAILABLE,
  VM_ERROR_CLOUDINIT_ISO_FAILED,
  VM_ERROR_SSH_FAILED,
  VM_ERROR_SSH_TIMEOUT,
  VM_ERROR_SSH_AUTH_FAILED,
  VM_ERROR_SSH_HOST_KEY_MISMATCH,
  VM_ERROR_SSH_KEYGEN_FAILED,
  VM_ERROR_PROVISION_FAILED,
  VM_ERROR_VM_NOT_FOUND,
  VM_ERROR_VM_EXISTS,
  VM_ERROR_VM_INVALID_STATE,
  VM_ERROR_VM_INVALID_NAME,
  VM_ERROR_VM_LOCKED,
  VM_ERROR_VMFILE_NOT_FOUND,
  VM_ERROR_VMFILE_PARSE_FAILED,
  VM_ERROR_VMFILE_VALIDATION,
  VM_ERROR_BACKEND_NOT_AVAILABLE,
  VM_ERROR_STORE_FAILED,
  VM_ERROR_IO,
  VM_ERROR_TIMEOUT,
  VM_ERROR_CANCELLED,
  VM_ERROR_USAGE,
  VM_N_ERRORS
} VmErrorCode;

/* What kind of failure a code is; a command line tool turns it into its exit status. */
typedef enum {
  VM_FAILURE_OPERATION, /* it was tried and failed */
  VM_FAILURE_USAGE,     /* what was asked makes no sense; nothing was tried */
  VM_FAILURE_NOT_FOUND, /* no such VM, image or file */
  VM_FAILURE_DEADLINE,  /* a deadline passed */
  VM_FAILURE_CANCELLED, /* the caller asked to stop */
} VmFailure;

GQuark vm_error_quark (void);

/* Sets @error to @code with a printf-style message and the code's own help line. Returns FALSE, so
 * that `return vm_error_set (…)` is the whole failure path. */
gboolean
vm_error_set (GError **error, VmErrorCode code, const char *format, ...) G_GNUC_PRINTF (3, 4);

/* Gives an error of this domain a better help line than its code's default; other errors and NULL
 * are left alone. Returns FALSE. */
gboolean vm_error_help (GError **error, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* The same as vm_error_set() for a failed system call: `<message>: <text of errnum>`, VM_ERROR_IO.
 */
gboolean
vm_error_set_errno (GError **error, int errnum, const char *format, ...) G_GNUC_PRINTF (3, 4);

/* Moves a foreign error (GIOError, …) into this domain under @code, keeping its message behind the
 * printf-style prefix; an error that is ours already keeps its code and only gains the prefix. A
 * G_IO_ERROR_CANCELLED becomes VM_ERROR_CANCELLED. Takes @cause. Returns FALSE. */
gboolean vm_error_take (GError **error, GError *cause, VmErrorCode code, const char *format, ...)
    G_GNUC_PRINTF (4, 5);

/* `vm_manager::vm::not_found` and so on; errors of other domains are `vm_manager::io`. Static. */
const char *vm_error_name (const GError *error);

/* The help line of @error: its own, else its code's default, else NULL. Borrowed from @error. */
const char *vm_error_get_help (const GError *error);

VmFailure vm_error_failure (const GError *error);

VM_END_DECLS

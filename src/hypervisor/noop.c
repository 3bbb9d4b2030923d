/* SPDX-License-Identifier: MPL-2.0 */
#include "hypervisor/backends.h"

#include <errno.h>
#include <string.h>

/* Touches nothing real: every operation succeeds at once. The state has to outlive the process that
 * set it, as a VM's would, so it is one word in a file of the VM's folder. */
#define STATE_FILE "noop.state"

static gboolean
write_state (const VmHandle *handle, VmState state, GError **error)
{
  g_autofree char *path = vm_handle_path (handle, STATE_FILE);
  const char *word = vm_state_to_string (state);
  return vm_file_write (path, word, strlen (word), 0600, error);
}

static VmState
read_state (const VmHandle *handle)
{
  g_autofree char *path = vm_handle_path (handle, STATE_FILE);
  g_autofree char *word = NULL;
  if (!vm_file_read (path, 32, &word, NULL, NULL))
    return VM_STATE_DESTROYED;
  for (int state = VM_STATE_PREPARING; state <= VM_STATE_DESTROYED; state++) {
    if (g_str_equal (vm_state_to_string ((VmState) state), word))
      return (VmState) state;
  }
  return VM_STATE_FAILED;
}

static gboolean
noop_prepare (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error)
{
  return vm_handle_make_dir (handle, error) && write_state (handle, VM_STATE_PREPARED, error);
}

static gboolean
noop_start (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error)
{
  return write_state (handle, VM_STATE_RUNNING, error);
}

static gboolean
noop_stop (VmHypervisor *self, VmHandle *handle, guint grace_s, gboolean *out_forced,
           const VmOp *op, GError **error)
{
  if (out_forced != NULL)
    *out_forced = FALSE;
  return write_state (handle, VM_STATE_STOPPED, error);
}

/* suspend and resume: only between running and suspended. */
static gboolean
change_state (VmHandle *handle, VmState from, VmState to, GError **error)
{
  VmState now = read_state (handle);
  if (now != from && now != to)
    return vm_error_set (error, VM_ERROR_VM_INVALID_STATE, "VM \"%s\" is %s", handle->spec->name,
                         vm_state_to_string (now));
  return write_state (handle, to, error);
}

static gboolean
noop_suspend (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error)
{
  return change_state (handle, VM_STATE_RUNNING, VM_STATE_SUSPENDED, error);
}

static gboolean
noop_resume (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error)
{
  return change_state (handle, VM_STATE_SUSPENDED, VM_STATE_RUNNING, error);
}

static gboolean
noop_destroy (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error)
{
  return vm_dir_remove (handle->dir, error);
}

static gboolean
noop_state (VmHypervisor *self, const VmHandle *handle, VmStateInfo *out_info, const VmOp *op,
            GError **error)
{
  *out_info = (VmStateInfo){ .state = read_state (handle) };
  return TRUE;
}

static gboolean
noop_guest_ip (VmHypervisor *self, const VmHandle *handle, char **out_ip, const VmOp *op,
               GError **error)
{
  return vm_error_set (error, VM_ERROR_VM_INVALID_STATE, "VM \"%s\" has no guest",
                       handle->spec->name);
}

static gboolean
noop_console_endpoint (VmHypervisor *self, const VmHandle *handle, char **out_path, const VmOp *op,
                       GError **error)
{
  return vm_error_set (error, VM_ERROR_VM_INVALID_STATE, "VM \"%s\" has no console",
                       handle->spec->name);
}

static gboolean
noop_watch (VmHypervisor *self, const VmHandle *handle, int *out_fd, GError **error)
{
  *out_fd = -1;
  return TRUE;
}

static const VmHypervisorOps noop_ops = {
  .name = "noop",
  .prepare = noop_prepare,
  .start = noop_start,
  .stop = noop_stop,
  .suspend = noop_suspend,
  .resume = noop_resume,
  .destroy = noop_destroy,
  .state = noop_state,
  .guest_ip = noop_guest_ip,
  .console_endpoint = noop_console_endpoint,
  .watch = noop_watch,
  .free = (void (*) (VmHypervisor *)) g_free,
};

VmHypervisor *
vm_noop_new (const VmHypervisorConfig *config)
{
  VmHypervisor *noop = g_new0 (VmHypervisor, 1);
  noop->ops = &noop_ops;
  return noop;
}

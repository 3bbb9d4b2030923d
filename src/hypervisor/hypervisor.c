/* SPDX-License-Identifier: MPL-2.0 */
#include "hypervisor/hypervisor.h"

static const char *const state_names[] = {
  [VM_STATE_PREPARING] = "preparing", [VM_STATE_PREPARED] = "prepared",
  [VM_STATE_RUNNING] = "running",     [VM_STATE_SUSPENDED] = "suspended",
  [VM_STATE_STOPPED] = "stopped",     [VM_STATE_FAILED] = "failed",
  [VM_STATE_DESTROYED] = "destroyed",
};

const char *
vm_state_to_string (VmState state)
{
  return state_names[state];
}

void
vm_state_info_clear (VmStateInfo *info)
{
  g_clear_pointer (&info->detail, g_free);
}

void
vm_hypervisor_free (VmHypervisor *self)
{
  if (self != NULL)
    self->ops->free (self);
}

gboolean
vm_hypervisor_prepare (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error)
{
  return self->ops->prepare (self, handle, op, error);
}

gboolean
vm_hypervisor_start (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error)
{
  return self->ops->start (self, handle, op, error);
}

gboolean
vm_hypervisor_stop (VmHypervisor *self, VmHandle *handle, guint grace_s, gboolean *out_forced,
                    const VmOp *op, GError **error)
{
  return self->ops->stop (self, handle, grace_s, out_forced, op, error);
}

gboolean
vm_hypervisor_suspend (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error)
{
  return self->ops->suspend (self, handle, op, error);
}

gboolean
vm_hypervisor_resume (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error)
{
  return self->ops->resume (self, handle, op, error);
}

gboolean
vm_hypervisor_destroy (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error)
{
  return self->ops->destroy (self, handle, op, error);
}

gboolean
vm_hypervisor_state (VmHypervisor *self, const VmHandle *handle, VmStateInfo *out_info,
                     const VmOp *op, GError **error)
{
  return self->ops->state (self, handle, out_info, op, error);
}

gboolean
vm_hypervisor_guest_ip (VmHypervisor *self, const VmHandle *handle, char **out_ip, const VmOp *op,
                        GError **error)
{
  return self->ops->guest_ip (self, handle, out_ip, op, error);
}

gboolean
vm_hypervisor_console_endpoint (VmHypervisor *self, const VmHandle *handle, char **out_path,
                                const VmOp *op, GError **error)
{
  return self->ops->console_endpoint (self, handle, out_path, op, error);
}

gboolean
vm_hypervisor_watch (VmHypervisor *self, const VmHandle *handle, int *out_fd, GError **error)
{
  return self->ops->watch (self, handle, out_fd, error);
}

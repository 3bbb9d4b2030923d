/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* The one interface to everything that can run a VM. Backends implement VmHypervisorOps; the router
 * implements it too, by handing each call to the backend that the handle names, and is what
 * programs normally hold. Nothing here knows of VMFiles, the store or the terminal. */

#include "hypervisor/handle.h"
#include "runtime/op.h"

VM_BEGIN_DECLS

typedef enum {
  VM_STATE_PREPARING,
  VM_STATE_PREPARED,
  VM_STATE_RUNNING,
  VM_STATE_SUSPENDED,
  VM_STATE_STOPPED,
  VM_STATE_FAILED,
  VM_STATE_DESTROYED,
} VmState;

/* "running" and so on. Static. */
const char *vm_state_to_string (VmState state);

typedef struct {
  VmState state;
  int pid;      /* of the VM's process; 0 when it does not run */
  char *detail; /* why it failed, "unresponsive", …; NULL: nothing to add */
} VmStateInfo;

void vm_state_info_clear (VmStateInfo *info);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (VmStateInfo, vm_state_info_clear)

/* How backends find their way about; all is borrowed for the hypervisor's life. */
typedef struct {
  const char *qemu; /* program; NULL: qemu-system-<arch> from PATH */
  VmAccel accel;    /* overrides the spec's unless it is VM_ACCEL_AUTO */
  void (*warn) (gpointer data, const char *line); /* things the user should know; nullable */
  gpointer warn_data;
} VmHypervisorConfig;

typedef struct VmHypervisor VmHypervisor;

/* Every slot is filled. All but free may block. */
typedef struct {
  const char *name;

  /* Makes folder, disk, seed and keys of the VM. On failure nothing of it is left. */
  gboolean (*prepare) (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error);

  /* Boots it; done when the VM's process runs its vCPUs. Updates the handle's SSH endpoint. On a
   * running VM it succeeds and does nothing. On failure no process is left. */
  gboolean (*start) (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error);

  /* Asks the guest to power off and waits up to @grace_s for it (0: does not ask), then ends the VM
   * by force. @out_forced (nullable) tells which. On a stopped VM it succeeds and does nothing. */
  gboolean (*stop) (VmHypervisor *self, VmHandle *handle, guint grace_s, gboolean *out_forced,
                    const VmOp *op, GError **error);

  /* Freezes and continues the vCPUs; doing it twice succeeds and does nothing. */
  gboolean (*suspend) (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error);
  gboolean (*resume) (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error);

  /* Removes all that prepare and start made, also of a half-made VM; ends a running one. Twice is
   * fine. */
  gboolean (*destroy) (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error);

  /* The true state, asked of the VM's process. Bounded to 2 s whatever the process does. */
  gboolean (*state) (VmHypervisor *self, const VmHandle *handle, VmStateInfo *out_info,
                     const VmOp *op, GError **error);

  /* The guest's own address as text, owned by the caller. */
  gboolean (*guest_ip) (VmHypervisor *self, const VmHandle *handle, char **out_ip, const VmOp *op,
                        GError **error);

  /* The path of a unix socket that carries the serial console, owned by the caller. */
  gboolean (*console_endpoint) (VmHypervisor *self, const VmHandle *handle, char **out_path,
                                const VmOp *op, GError **error);

  /* A descriptor that polls readable once the running VM has ended, owned by the caller; -1 in
   * @out_fd when the backend has none or the VM does not run. */
  gboolean (*watch) (VmHypervisor *self, const VmHandle *handle, int *out_fd, GError **error);

  void (*free) (VmHypervisor *self);
} VmHypervisorOps;

/* Implementations embed this as their first member. */
struct VmHypervisor {
  const VmHypervisorOps *ops;
};

/* The router over all backends of this build. Never fails. */
VmHypervisor *vm_hypervisor_new (const VmHypervisorConfig *config);
void vm_hypervisor_free (VmHypervisor *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (VmHypervisor, vm_hypervisor_free)

/* The name of the platform's own backend. Static. */
const char *vm_hypervisor_default_backend (void);

/* The interface, as functions; see VmHypervisorOps. */
gboolean
vm_hypervisor_prepare (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error);
gboolean vm_hypervisor_start (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error);
gboolean vm_hypervisor_stop (VmHypervisor *self, VmHandle *handle, guint grace_s,
                             gboolean *out_forced, const VmOp *op, GError **error);
gboolean
vm_hypervisor_suspend (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error);
gboolean
vm_hypervisor_resume (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error);
gboolean
vm_hypervisor_destroy (VmHypervisor *self, VmHandle *handle, const VmOp *op, GError **error);
gboolean vm_hypervisor_state (VmHypervisor *self, const VmHandle *handle, VmStateInfo *out_info,
                              const VmOp *op, GError **error);
gboolean vm_hypervisor_guest_ip (VmHypervisor *self, const VmHandle *handle, char **out_ip,
                                 const VmOp *op, GError **error);
gboolean vm_hypervisor_console_endpoint (VmHypervisor *self, const VmHandle *handle,
                                         char **out_path, const VmOp *op, GError **error);
gboolean
vm_hypervisor_watch (VmHypervisor *self, const VmHandle *handle, int *out_fd, GError **error);

VM_END_DECLS

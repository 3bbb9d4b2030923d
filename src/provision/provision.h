/* SPDX-License-Identifier: MPL-2.0 */
#pragma once

/* Runs a VM's provisioning steps in order over one SSH connection, live, and keeps the journal that
 * spares steps which have succeeded already. Stops at the first failure. Knows nothing of the
 * terminal: output and progress go to callbacks, and everything to the VM's provision.log. */

#include "hypervisor/handle.h"
#include "ssh/ssh.h"
#include "store/store.h"

VM_BEGIN_DECLS

typedef struct {
  VmStore *store;
  const VmHandle *vm;
  gboolean all; /* also the steps that have succeeded already */

  /* A step begins (@index from 0) and @title says what it does; called before any of its output. */
  void (*on_step) (gpointer data, guint index, const char *title);
  VmSshOutput on_output;
  gpointer data;
} VmProvision;

/* How many steps have to run: those that have not succeeded with their present content, and those
 * that say `run "always"`. Reads the files that the steps name. Errors:
 * VM_ERROR_IO; those of @op. */
gboolean vm_provision_count_pending (const VmProvision *provision, guint *out_pending,
                                     const VmOp *op, GError **error);

/* Runs the steps that have to run. Blocks as long as they take. Errors: VM_ERROR_PROVISION_FAILED
 * naming step, command and exit status; VM_ERROR_IO; those of the connection. */
gboolean vm_provision_run (const VmProvision *provision, VmSshSession *session, const VmOp *op,
                           GError **error);

VM_END_DECLS

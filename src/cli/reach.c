/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/cli.h"

/* Into the guest: waiting for its sshd, and provisioning. */

#define SSH_S 120
#define SSH_TCG_S 600
#define SETTLE_S 60
#define SETTLE_TCG_S 300

/* The keys to try, in order, NULL-terminated; owned by the caller, strings included. */
static char **
private_keys (const VmHandle *handle)
{
  GPtrArray *keys = g_ptr_array_new ();
  g_ptr_array_add (keys, vm_handle_path (handle, VM_FILE_PRIVATE_KEY));
  if (handle->spec->private_key != NULL)
    g_ptr_array_add (keys, g_strdup (handle->spec->private_key));
  g_ptr_array_add (keys, NULL);
  return (char **) g_ptr_array_free (keys, FALSE);
}

typedef gboolean (*TargetFunc) (CliMachine *self, const VmSshTarget *target, gpointer data,
                                const VmOp *op, GError **error);

/* Calls @func with where and how this VM is reached, within the time a guest may take to boot. */
static gboolean
with_target (CliMachine *self, TargetFunc func, gpointer data, const VmOp *op, GError **error)
{
  const VmHandle *handle = self->handle;
  gboolean slow = handle->accel == VM_ACCEL_TCG;
  g_autofree char *known_hosts = vm_handle_path (handle, VM_FILE_KNOWN_HOSTS);
  g_auto (GStrv) keys = private_keys (handle);
  vm_autofd int watch = -1;

  if (handle->ssh_host == NULL)
    return vm_error_set (error, VM_ERROR_VM_INVALID_STATE, "VM \"%s\" cannot be reached by SSH",
                         handle->spec->name) ||
           vm_error_help (error, "it was never started, or has no network for it");
  if (!vm_hypervisor_watch (cli_hypervisor (self->cli), handle, &watch, error))
    return FALSE;
  if (watch < 0)
    return vm_error_set (error, VM_ERROR_VM_INVALID_STATE, "VM \"%s\" does not run",
                         handle->spec->name) ||
           vm_error_help (error, "start it: vmctl start %s", handle->spec->name);
  const VmSshTarget target = {
    .host = handle->ssh_host,
    .port = handle->ssh_port,
    .user = handle->spec->ssh_user,
    .private_keys = (const char *const *) keys,
    .known_hosts = known_hosts,
    .host_key_alias = handle->spec->name,
    .watch_fd = watch,
    .settle_s = handle->settled ? 0
                : slow          ? SETTLE_TCG_S
                                : SETTLE_S,
    .is_slow = slow,
  };
  VmOp limit = vm_op_within (op, slow ? SSH_TCG_S : SSH_S);
  return func (self, &target, data, &limit, error);
}

static gboolean
dial (CliMachine *self, const VmSshTarget *target, gpointer out_fd, const VmOp *op, GError **error)
{
  return vm_ssh_dial (target, out_fd, op, error);
}

gboolean
cli_machine_dial (CliMachine *self, int *out_fd, const VmOp *op, GError **error)
{
  return with_target (self, dial, out_fd, op, error);
}

static void
on_step (gpointer data, guint index, const char *title)
{
  CliMachine *self = data;
  cli_progress (self->cli, self->handle->spec->name, "step %u of %u: %s", index + 1,
                self->handle->spec->steps->len, title);
}

static void
on_output (gpointer data, gboolean is_stderr, const char *bytes, gsize n)
{
  CliMachine *self = data;
  if (!self->cli->quiet)
    cli_relay (self->cli, is_stderr, bytes, n);
}

static gboolean
connect_and_run (CliMachine *self, const VmSshTarget *target, gpointer data, const VmOp *op,
                 GError **error)
{
  const VmProvision provision = { self->store, self->handle, self->provision_all,
                                  on_step,     on_output,    self };
  g_autoptr (VmSshSession) session = vm_ssh_connect (target, op, error);
  if (session == NULL)
    return FALSE;
  self->handle->settled = TRUE;
  /* The steps take as long as they take; only reaching the guest was bounded. */
  VmOp unbounded = { .cancel = op->cancel };
  return cli_machine_save (self, error) &&
         vm_provision_run (&provision, session, &unbounded, error);
}

gboolean
cli_machine_provision (CliMachine *self, const VmOp *op, GError **error)
{
  const VmProvision provision = { self->store, self->handle, self->provision_all,
                                  on_step,     on_output,    self };
  const char *name = self->handle->spec->name;
  guint pending = 0;
  g_autoptr (GError) cause = NULL;
  if (!vm_provision_count_pending (&provision, &pending, op, error))
    return FALSE;
  if (pending == 0)
    return TRUE;
  if (self->handle->ssh_host == NULL) {
    cli_progress (self->cli, name, "no guest to provision");
    return TRUE;
  }
  cli_progress (self->cli, name, "waiting for SSH");
  if (cli_machine_note (self, "provision", with_target (self, connect_and_run, NULL, op, &cause),
                        &cause))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&cause));
  return FALSE;
}

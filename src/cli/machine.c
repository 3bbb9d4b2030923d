/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/cli.h"

#define LOCK_S 30
#define SSH_S 120
#define SSH_TCG_S 600
#define SETTLE_S 60
#define SETTLE_TCG_S 300

VmHypervisor *
cli_hypervisor (Cli *cli)
{
  g_mutex_lock (&cli->print_lock);
  if (cli->hypervisor == NULL)
    cli->hypervisor = vm_hypervisor_new (&cli->config);
  g_mutex_unlock (&cli->print_lock);
  return cli->hypervisor;
}

typedef struct {
  Cli *cli;
  const char *name;
} LockWait;

static void
on_lock_wait (gpointer data, const char *line)
{
  const LockWait *wait = data;
  cli_progress (wait->cli, wait->name, "%s", line);
}

static CliMachine *
machine_new (Cli *cli, GError **error)
{
  g_autoptr (CliMachine) self = g_new0 (CliMachine, 1);
  self->cli = cli;
  self->store = vm_store_open (cli->data_dir, error);
  return self->store != NULL ? g_steal_pointer (&self) : NULL;
}

static gboolean
lock (CliMachine *self, const char *name, const char *purpose, const VmOp *op, GError **error)
{
  VmOp limit = vm_op_within (op, LOCK_S);
  LockWait wait = { self->cli, name };
  self->lock =
      vm_lock_acquire (self->cli->data_dir, name, purpose, on_lock_wait, &wait, &limit, error);
  return self->lock != NULL;
}

static gboolean
load (CliMachine *self, const VmRow *row, GError **error)
{
  self->phase = row->phase;
  self->origin = g_strdup (row->origin);
  self->handle = vm_handle_from_json (row->handle, error);
  return self->handle != NULL;
}

static gboolean
save (CliMachine *self, GError **error)
{
  g_autofree char *json = vm_handle_to_json (self->handle);
  return vm_store_set_handle (self->store, self->handle->spec->name, json, error);
}

/* Notes in the journal how @operation ended; passes @succeeded through. */
static gboolean
note (CliMachine *self, const char *operation, gboolean succeeded, GError **error)
{
  const char *outcome =
      succeeded || error == NULL || *error == NULL ? "ok" : vm_error_name (*error);
  vm_store_event (self->store, self->handle->spec->name, operation, outcome, NULL);
  return succeeded;
}

CliMachine *
cli_machine_open (Cli *cli, const char *name, const char *purpose, const VmOp *op, GError **error)
{
  if (!vm_name_check (name, error))
    return NULL;
  g_autoptr (CliMachine) self = machine_new (cli, error);
  /* Looked up before locking too: a mistyped name must not leave a lock file. */
  g_autoptr (VmRow) exists = self != NULL ? vm_store_get (self->store, name, error) : NULL;
  if (exists == NULL || !lock (self, name, purpose, op, error))
    return NULL;
  g_autoptr (VmRow) row = vm_store_get (self->store, name, error);
  if (row == NULL || !load (self, row, error))
    return NULL;
  return g_steal_pointer (&self);
}

CliMachine *
cli_machine_peek (Cli *cli, const char *name, GError **error)
{
  if (!vm_name_check (name, error))
    return NULL;
  g_autoptr (CliMachine) self = machine_new (cli, error);
  g_autoptr (VmRow) row = self != NULL ? vm_store_get (self->store, name, error) : NULL;
  if (row == NULL || !load (self, row, error))
    return NULL;
  return g_steal_pointer (&self);
}

/* Removes what a making or unmaking that was cut off has left. */
static gboolean
clear_unfinished (CliMachine *self, const char *name, const VmOp *op, GError **error)
{
  g_autoptr (VmRow) row = NULL;
  if (!vm_store_find (self->store, name, &row, error))
    return FALSE;
  if (row == NULL || row->phase == VM_PHASE_PREPARED)
    return TRUE;
  g_autoptr (VmHandle) handle = vm_handle_from_json (row->handle, error);
  cli_progress (self->cli, name, "clearing away what an interrupted command left");
  return handle != NULL && vm_hypervisor_destroy (cli_hypervisor (self->cli), handle, op, error) &&
         vm_store_remove (self->store, name, error);
}

static gboolean
prepare (CliMachine *self, const VmOp *op, GError **error)
{
  const char *name = self->handle->spec->name;
  if (vm_hypervisor_prepare (cli_hypervisor (self->cli), self->handle, op, error) &&
      vm_store_set_phase (self->store, name, VM_PHASE_PREPARED, error))
    return TRUE;
  VmOp grace = vm_op_grace (10);
  if (vm_hypervisor_destroy (cli_hypervisor (self->cli), self->handle, &grace, NULL))
    vm_store_remove (self->store, name, NULL);
  return FALSE;
}

/* A spec that names a URL gets the path of its local copy. */
static gboolean
locate_image (VmSpec *spec, GError **error)
{
  if (spec->image == NULL)
    spec->image = vm_image_locate (spec->image_url, error);
  return spec->image != NULL;
}

CliMachine *
cli_machine_create (Cli *cli, VmSpec *spec, const char *origin, const VmOp *op, GError **error)
{
  g_autoptr (VmSpec) owned = spec;
  g_autoptr (CliMachine) self = machine_new (cli, error);
  if (self == NULL || !lock (self, owned->name, "create", op, error) ||
      !clear_unfinished (self, owned->name, op, error) || !locate_image (owned, error))
    return NULL;
  self->handle = vm_handle_new (g_steal_pointer (&owned), cli->data_dir);
  self->origin = g_strdup (origin);
  self->phase = VM_PHASE_PREPARED;
  const VmSpec *kept = self->handle->spec;
  g_auto (VmStateInfo) info = { 0 };
  g_autofree char *json = vm_handle_to_json (self->handle);
  /* A backend that this build does not have is found out before anything is recorded. */
  if (!vm_hypervisor_state (cli_hypervisor (cli), self->handle, &info, op, error))
    return NULL;
  if (!vm_store_add (self->store, kept->name, kept->backend, origin, json, error))
    return NULL;
  cli_progress (cli, kept->name, "making disk, seed and keys");
  return note (self, "create", prepare (self, op, error), error) ? g_steal_pointer (&self) : NULL;
}

void
cli_machine_free (CliMachine *self)
{
  if (self == NULL)
    return;
  vm_store_free (self->store);
  vm_lock_release (self->lock);
  vm_handle_free (self->handle);
  g_free (self->origin);
  g_free (self);
}

static gboolean
start (CliMachine *self, const VmOp *op, GError **error)
{
  const char *name = self->handle->spec->name;
  g_auto (VmStateInfo) info = { 0 };
  VmHypervisor *hypervisor = cli_hypervisor (self->cli);

  if (self->phase != VM_PHASE_PREPARED) {
    vm_error_set (error, VM_ERROR_VM_INVALID_STATE, "VM \"%s\" was never finished", name);
    return vm_error_help (error, "remove it (vmctl destroy %s) and make it again", name);
  }
  if (!vm_hypervisor_state (hypervisor, self->handle, &info, op, error))
    return FALSE;
  if (info.state == VM_STATE_RUNNING)
    return TRUE;
  if (info.state == VM_STATE_SUSPENDED) {
    cli_progress (self->cli, name, "resuming");
    return vm_hypervisor_resume (hypervisor, self->handle, op, error);
  }
  cli_progress (self->cli, name, "starting");
  return vm_hypervisor_start (hypervisor, self->handle, op, error) && save (self, error);
}

gboolean
cli_machine_start (CliMachine *self, const VmOp *op, GError **error)
{
  g_autoptr (GError) cause = NULL;
  if (note (self, "start", start (self, op, &cause), &cause))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&cause));
  return FALSE;
}

gboolean
cli_machine_stop (CliMachine *self, guint grace_s, const VmOp *op, GError **error)
{
  const char *name = self->handle->spec->name;
  g_auto (VmStateInfo) info = { 0 };
  gboolean forced = FALSE;
  VmHypervisor *hypervisor = cli_hypervisor (self->cli);

  if (!vm_hypervisor_state (hypervisor, self->handle, &info, op, error))
    return FALSE;
  gboolean runs = info.state == VM_STATE_RUNNING || info.state == VM_STATE_SUSPENDED;
  if (runs)
    cli_progress (self->cli, name, "stopping");
  if (!vm_hypervisor_stop (hypervisor, self->handle, grace_s, &forced, op, error))
    return FALSE;
  if (runs)
    cli_progress (self->cli, name, forced ? "stopped by force" : "stopped");
  return note (self, forced ? "stop (forced)" : "stop", TRUE, NULL);
}

gboolean
cli_machine_destroy (CliMachine *self, const VmOp *op, GError **error)
{
  const char *name = self->handle->spec->name;
  if (!vm_store_set_phase (self->store, name, VM_PHASE_DESTROYING, error) ||
      !vm_hypervisor_destroy (cli_hypervisor (self->cli), self->handle, op, error) ||
      !vm_store_remove (self->store, name, error))
    return FALSE;
  cli_progress (self->cli, name, "destroyed");
  return note (self, "destroy", TRUE, NULL);
}

/* Tells which of the changes wait, and for what. */
static void
announce (CliMachine *self, const GPtrArray *changes, VmChangeKind applied)
{
  for (guint i = 0; i < changes->len; i++) {
    const VmChange *change = changes->pdata[i];
    g_autofree char *text = cli_describe_change (change);
    if (change->kind == VM_CHANGE_RECREATE)
      cli_progress (self->cli, self->handle->spec->name,
                    "%s: takes a new VM (vmctl down --destroy, then up)", text);
    else if (change->kind > applied)
      cli_progress (self->cli, self->handle->spec->name, "%s: when it is started next", text);
    else
      cli_progress (self->cli, self->handle->spec->name, "%s", text);
  }
}

gboolean
cli_machine_update (CliMachine *self, const VmSpec *spec, const VmOp *op, GError **error)
{
  g_auto (VmStateInfo) info = { 0 };
  if (!vm_hypervisor_state (cli_hypervisor (self->cli), self->handle, &info, op, error))
    return FALSE;
  gboolean runs = info.state == VM_STATE_RUNNING || info.state == VM_STATE_SUSPENDED;
  VmChangeKind deepest = runs ? VM_CHANGE_HOT : VM_CHANGE_RESTART;
  g_autoptr (GPtrArray) changes = vm_spec_changes (self->handle->spec, spec);
  announce (self, changes, deepest);
  vm_handle_set_spec (self->handle, vm_spec_merge (self->handle->spec, spec, deepest));
  return save (self, error);
}

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
  return save (self, error) && vm_provision_run (&provision, session, &unbounded, error);
}

gboolean
cli_machine_provision (CliMachine *self, const VmOp *op, GError **error)
{
  const VmProvision provision = { self->store, self->handle, self->provision_all,
                                  on_step,     on_output,    self };
  const char *name = self->handle->spec->name;
  guint pending = 0;
  g_autoptr (GError) cause = NULL;
  if (!vm_provision_count_pending (&provision, &pending, error))
    return FALSE;
  if (pending == 0)
    return TRUE;
  if (self->handle->ssh_host == NULL) {
    cli_progress (self->cli, name, "no guest to provision");
    return TRUE;
  }
  cli_progress (self->cli, name, "waiting for SSH");
  if (note (self, "provision", with_target (self, connect_and_run, NULL, op, &cause), &cause))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&cause));
  return FALSE;
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/cli.h"

#define LOCK_S 30

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
  if (self->handle != NULL)
    return TRUE;
  g_prefix_error (error, "VM \"%s\": ", row->name);
  vm_error_help (error, "`vmctl destroy %s` still works", row->name);
  return FALSE;
}

/* Whatever state its record is in: where the VM lies follows from its name. */
static void
load_for_destruction (CliMachine *self, const VmRow *row)
{
  if (!load (self, row, NULL))
    self->handle = vm_handle_new_bare (row->name, row->backend, self->cli->data_dir);
}

gboolean
cli_machine_save (CliMachine *self, GError **error)
{
  g_autofree char *json = vm_handle_to_json (self->handle);
  return vm_store_set_handle (self->store, self->handle->spec->name, json, error) &&
         cli_record_write (self->handle, self->origin, error);
}

gboolean
cli_machine_note (CliMachine *self, const char *operation, gboolean succeeded, GError **error)
{
  const char *outcome = succeeded ? "ok" : vm_error_name (*error);
  vm_store_event (self->store, self->handle->spec->name, operation, outcome, NULL);
  return succeeded;
}

/* The row of @name, also of a VM that only its folder knows of. */
static VmRow *
find_row (CliMachine *self, const char *name, GError **error)
{
  VmRow *row = NULL;
  if (!vm_store_find (self->store, name, &row, error))
    return NULL;
  if (row != NULL)
    return row;
  cli_recover (self->cli, self->store, name);
  return vm_store_get (self->store, name, error);
}

CliMachine *
cli_machine_open (Cli *cli, const char *name, const char *purpose, const VmOp *op, GError **error)
{
  if (!vm_name_check (name, error))
    return NULL;
  g_autoptr (CliMachine) self = machine_new (cli, error);
  /* Looked up before locking too: a mistyped name must not leave a lock file. */
  g_autoptr (VmRow) exists = self != NULL ? find_row (self, name, error) : NULL;
  if (exists == NULL || !lock (self, name, purpose, op, error))
    return NULL;
  g_autoptr (VmRow) row = vm_store_get (self->store, name, error);
  if (row == NULL)
    return NULL;
  if (g_str_equal (purpose, "destroy"))
    load_for_destruction (self, row);
  else if (!load (self, row, error))
    return NULL;
  return g_steal_pointer (&self);
}

CliMachine *
cli_machine_peek (Cli *cli, const char *name, GError **error)
{
  if (!vm_name_check (name, error))
    return NULL;
  g_autoptr (CliMachine) self = machine_new (cli, error);
  g_autoptr (VmRow) row = self != NULL ? find_row (self, name, error) : NULL;
  if (row == NULL || !load (self, row, error))
    return NULL;
  return g_steal_pointer (&self);
}

static gboolean
is_gone (Cli *cli, const VmHandle *handle)
{
  g_auto (VmStateInfo) info = { 0 };
  return vm_hypervisor_state (cli_hypervisor (cli), handle, &info, NULL, NULL) &&
         info.state == VM_STATE_DESTROYED;
}

/* Removes what a making or unmaking that was cut off has left: a row that is not finished, or one
 * whose folder somebody removed. */
static gboolean
clear_unfinished (CliMachine *self, const char *name, const VmOp *op, GError **error)
{
  g_autoptr (VmRow) row = NULL;
  if (!vm_store_find (self->store, name, &row, error))
    return FALSE;
  g_autoptr (VmHandle) handle = row != NULL ? vm_handle_from_json (row->handle, error) : NULL;
  if (row == NULL ||
      (handle != NULL && row->phase == VM_PHASE_PREPARED && !is_gone (self->cli, handle)))
    return TRUE;
  cli_progress (self->cli, name, "clearing away what an interrupted command left");
  return handle != NULL && vm_hypervisor_destroy (cli_hypervisor (self->cli), handle, op, error) &&
         vm_store_remove (self->store, name, error);
}

/* A folder that no row is about and no record in it explains: nothing of it is worth keeping. */
static gboolean
clear_stray_folder (CliMachine *self, const VmOp *op, GError **error)
{
  if (!g_file_test (self->handle->dir, G_FILE_TEST_EXISTS))
    return TRUE;
  cli_progress (self->cli, self->handle->spec->name, "clearing away a folder without a record");
  return vm_hypervisor_destroy (cli_hypervisor (self->cli), self->handle, op, error);
}

/* What is about to be made, recorded before it is. */
static gboolean
record_intention (CliMachine *self, GError **error)
{
  const VmSpec *spec = self->handle->spec;
  g_autofree char *json = vm_handle_to_json (self->handle);
  return vm_store_add (self->store, spec->name, spec->backend, self->origin, json, error) &&
         vm_store_set_macs (self->store, spec->name, self->handle->macs, error) &&
         vm_store_use_image (self->store, spec->name, spec->image, error);
}

static gboolean
prepare (CliMachine *self, const VmOp *op, GError **error)
{
  const char *name = self->handle->spec->name;
  if (record_intention (self, error) &&
      vm_hypervisor_prepare (cli_hypervisor (self->cli), self->handle, op, error) &&
      cli_record_write (self->handle, self->origin, error) &&
      vm_store_set_phase (self->store, name, VM_PHASE_PREPARED, error))
    return TRUE;
  VmOp grace = vm_op_grace (10);
  if (vm_hypervisor_destroy (cli_hypervisor (self->cli), self->handle, &grace, NULL))
    vm_store_remove (self->store, name, NULL);
  return FALSE;
}

/* A spec that names a URL gets the path of its local copy; either is checked against the sum. */
static gboolean
locate_image (VmSpec *spec, const VmOp *op, GError **error)
{
  if (spec->image == NULL)
    spec->image = vm_image_locate (spec->image_url, error);
  if (spec->image == NULL)
    return FALSE;
  return spec->checksum == NULL || vm_image_verify (spec->image, spec->checksum, op, error);
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

/* Brings the VM up to @spec as far as its state allows. */
static gboolean
update (CliMachine *self, const VmSpec *spec, const VmOp *op, GError **error)
{
  g_auto (VmStateInfo) info = { 0 };
  if (!vm_hypervisor_state (cli_hypervisor (self->cli), self->handle, &info, op, error))
    return FALSE;
  gboolean runs = info.state == VM_STATE_RUNNING || info.state == VM_STATE_SUSPENDED;
  VmChangeKind deepest = runs ? VM_CHANGE_HOT : VM_CHANGE_RESTART;
  g_autoptr (GPtrArray) changes = vm_spec_changes (self->handle->spec, spec);
  announce (self, changes, deepest);
  vm_handle_set_spec (self->handle, vm_spec_merge (self->handle->spec, spec, deepest));
  return cli_machine_save (self, error);
}

/* Makes the VM whose lock this already holds. */
static gboolean
make (CliMachine *self, VmSpec *spec, const char *origin, const VmOp *op, GError **error)
{
  g_autoptr (VmSpec) owned = spec;
  g_autoptr (GError) cause = NULL;
  g_auto (VmStateInfo) info = { 0 };
  if (!locate_image (owned, op, error))
    return FALSE;
  self->handle = vm_handle_new (g_steal_pointer (&owned), self->cli->data_dir);
  self->origin = g_strdup (origin);
  self->phase = VM_PHASE_PREPARED;
  /* A backend that this build does not have is found out before anything is recorded. */
  if (!vm_hypervisor_state (cli_hypervisor (self->cli), self->handle, &info, op, error) ||
      !clear_stray_folder (self, op, error))
    return FALSE;
  cli_progress (self->cli, self->handle->spec->name, "making disk, seed and keys");
  if (cli_machine_note (self, "create", prepare (self, op, &cause), &cause))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&cause));
  return FALSE;
}

/* Locks the name and loads what there is of the VM, once what is unfinished was cleared away; a
 * machine without a handle when there is nothing. */
static CliMachine *
open_if_there (Cli *cli, const char *name, const char *purpose, const VmOp *op, GError **error)
{
  g_autoptr (CliMachine) self = machine_new (cli, error);
  g_autoptr (VmRow) row = NULL;
  if (self == NULL || !lock (self, name, purpose, op, error) ||
      !clear_unfinished (self, name, op, error) || !vm_store_find (self->store, name, &row, error))
    return NULL;
  if (row == NULL && cli_recover (cli, self->store, name) &&
      !vm_store_find (self->store, name, &row, error))
    return NULL;
  if (row != NULL && !load (self, row, error))
    return NULL;
  return g_steal_pointer (&self);
}

CliMachine *
cli_machine_create (Cli *cli, VmSpec *spec, const VmOp *op, GError **error)
{
  g_autoptr (VmSpec) owned = spec;
  g_autoptr (CliMachine) self = open_if_there (cli, owned->name, "create", op, error);
  if (self == NULL)
    return NULL;
  if (self->handle != NULL) {
    vm_error_set (error, VM_ERROR_VM_EXISTS, "there is a VM \"%s\" already", owned->name);
    return NULL;
  }
  return make (self, g_steal_pointer (&owned), NULL, op, error) ? g_steal_pointer (&self) : NULL;
}

/* A VM belongs to the VMFile that made it, so that two projects with a "web" each do not fight. */
static gboolean
check_origin (const CliMachine *self, const char *origin, GError **error)
{
  if (g_strcmp0 (self->origin, origin) == 0)
    return TRUE;
  vm_error_set (error, VM_ERROR_VM_EXISTS, "VM \"%s\" was made %s%s", self->handle->spec->name,
                self->origin != NULL ? "from " : "by `vmctl create`",
                self->origin != NULL ? self->origin : "");
  return vm_error_help (error,
                        "give this one another name, or take that one over: vmctl up --adopt");
}

CliMachine *
cli_machine_bring (Cli *cli, VmSpec *spec, const char *origin, gboolean adopt, const VmOp *op,
                   GError **error)
{
  g_autoptr (VmSpec) owned = spec;
  g_autoptr (CliMachine) self = open_if_there (cli, owned->name, "up", op, error);
  if (self == NULL)
    return NULL;
  if (self->handle == NULL)
    return make (self, g_steal_pointer (&owned), origin, op, error) ? g_steal_pointer (&self)
                                                                    : NULL;
  if (!adopt && !check_origin (self, origin, error))
    return NULL;
  g_free (self->origin);
  self->origin = g_strdup (origin);
  if (!vm_store_set_origin (self->store, owned->name, origin, error) ||
      !update (self, owned, op, error))
    return NULL;
  return g_steal_pointer (&self);
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

/* The ports of the host that the VM listens on while it runs, of VmPort; strings are the spec's. */
static GArray *
listed_ports (const VmHandle *handle)
{
  GArray *ports = g_array_new (FALSE, FALSE, sizeof (VmPort));
  for (guint i = 0; i < handle->spec->networks->len; i++) {
    const VmNetwork *network = handle->spec->networks->pdata[i];
    for (guint j = 0; j < network->forwards->len; j++) {
      const VmForward *forward = network->forwards->pdata[j];
      const VmPort port = { forward->protocol == VM_PROTOCOL_UDP ? "udp" : "tcp", forward->address,
                            forward->host_port };
      g_array_append_val (ports, port);
    }
  }
  if (handle->ssh_port != 0) {
    const VmPort port = { "tcp", handle->ssh_host, handle->ssh_port };
    g_array_append_val (ports, port);
  }
  return ports;
}

/* Takes the ports of @holder away if it does not run: it lost them with its process. */
static gboolean
evict (CliMachine *self, const char *holder, GError **error)
{
  g_auto (VmStateInfo) info = { 0 };
  g_autoptr (VmRow) row = vm_store_get (self->store, holder, NULL);
  g_autoptr (VmHandle) handle = row != NULL ? vm_handle_from_json (row->handle, NULL) : NULL;
  if (handle != NULL &&
      vm_hypervisor_state (cli_hypervisor (self->cli), handle, &info, NULL, NULL) &&
      (info.state == VM_STATE_RUNNING || info.state == VM_STATE_SUSPENDED)) {
    vm_error_set (error, VM_ERROR_PORT_UNAVAILABLE,
                  "VM \"%s\" holds a port of the host that VM \"%s\" wants to forward", holder,
                  self->handle->spec->name);
    return vm_error_help (error, "stop it (vmctl stop %s), or forward another port", holder);
  }
  return vm_store_release_ports (self->store, holder, error);
}

/* The ports are the VM's own from before it starts until it is stopped. */
static gboolean
claim_ports (CliMachine *self, GError **error)
{
  g_autoptr (GArray) ports = listed_ports (self->handle);
  const char *name = self->handle->spec->name;
  while (TRUE) {
    g_autofree char *holder = NULL;
    if (!vm_store_claim_ports (self->store, name, (const VmPort *) ports->data, ports->len, &holder,
                               error))
      return FALSE;
    if (holder == NULL)
      return TRUE;
    if (!evict (self, holder, error))
      return FALSE;
  }
}

static gboolean
check_is_whole (CliMachine *self, const VmStateInfo *info, GError **error)
{
  const char *name = self->handle->spec->name;
  if (self->phase == VM_PHASE_PREPARED && info->state != VM_STATE_DESTROYED)
    return TRUE;
  vm_error_set (error, VM_ERROR_VM_INVALID_STATE,
                self->phase == VM_PHASE_PREPARED ? "the folder of VM \"%s\" is gone"
                                                 : "VM \"%s\" was never finished",
                name);
  return vm_error_help (error, "remove it (vmctl destroy %s) and make it again", name);
}

static gboolean
record_start (CliMachine *self, GError **error)
{
  return cli_machine_save (self, error) && claim_ports (self, error);
}

/* A port that the kernel chose for SSH last time may be somebody else's by now; it is only a wish.
 */
static gboolean
launch (CliMachine *self, const VmOp *op, GError **error)
{
  guint16 wish = self->handle->ssh_port;
  self->handle->ssh_port = 0;
  if (!claim_ports (self, error))
    return FALSE;
  self->handle->ssh_port = wish;
  cli_progress (self->cli, self->handle->spec->name, "starting");
  return vm_hypervisor_start (cli_hypervisor (self->cli), self->handle, op, error) &&
         record_start (self, error);
}

static gboolean
start (CliMachine *self, const VmOp *op, GError **error)
{
  g_auto (VmStateInfo) info = { 0 };
  VmHypervisor *hypervisor = cli_hypervisor (self->cli);

  if (!vm_hypervisor_state (hypervisor, self->handle, &info, op, error) ||
      !check_is_whole (self, &info, error))
    return FALSE;
  if (info.state ==
      VM_STATE_RUNNING) /* perhaps by a start that was cut off before it was recorded */
    return vm_hypervisor_start (hypervisor, self->handle, op, error) && record_start (self, error);
  if (info.state == VM_STATE_SUSPENDED) {
    cli_progress (self->cli, self->handle->spec->name, "resuming");
    return vm_hypervisor_resume (hypervisor, self->handle, op, error);
  }
  return launch (self, op, error);
}

gboolean
cli_machine_start (CliMachine *self, const VmOp *op, GError **error)
{
  g_autoptr (GError) cause = NULL;
  if (cli_machine_note (self, "start", start (self, op, &cause), &cause))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&cause));
  return FALSE;
}

static gboolean
stop (CliMachine *self, guint grace_s, gboolean *out_forced, const VmOp *op, GError **error)
{
  return vm_hypervisor_stop (cli_hypervisor (self->cli), self->handle, grace_s, out_forced, op,
                             error) &&
         vm_store_release_ports (self->store, self->handle->spec->name, error);
}

gboolean
cli_machine_stop (CliMachine *self, guint grace_s, const VmOp *op, GError **error)
{
  const char *name = self->handle->spec->name;
  g_auto (VmStateInfo) info = { 0 };
  g_autoptr (GError) cause = NULL;
  gboolean forced = FALSE;

  if (!vm_hypervisor_state (cli_hypervisor (self->cli), self->handle, &info, op, error))
    return FALSE;
  gboolean runs = info.state == VM_STATE_RUNNING || info.state == VM_STATE_SUSPENDED;
  if (runs)
    cli_progress (self->cli, name, "stopping");
  gboolean stopped = stop (self, grace_s, &forced, op, &cause);
  if (!cli_machine_note (self, forced ? "stop (forced)" : "stop", stopped, &cause)) {
    g_propagate_error (error, g_steal_pointer (&cause));
    return FALSE;
  }
  if (runs)
    cli_progress (self->cli, name, forced ? "stopped by force" : "stopped");
  return TRUE;
}

static gboolean
destroy (CliMachine *self, const VmOp *op, GError **error)
{
  const char *name = self->handle->spec->name;
  return vm_store_set_phase (self->store, name, VM_PHASE_DESTROYING, error) &&
         vm_hypervisor_destroy (cli_hypervisor (self->cli), self->handle, op, error) &&
         vm_store_remove (self->store, name, error);
}

gboolean
cli_machine_destroy (CliMachine *self, const VmOp *op, GError **error)
{
  const char *name = self->handle->spec->name;
  g_autoptr (GError) cause = NULL;
  if (!cli_machine_note (self, "destroy", destroy (self, op, &cause), &cause)) {
    g_propagate_error (error, g_steal_pointer (&cause));
    return FALSE;
  }
  vm_lock_remove (g_steal_pointer (&self->lock));
  cli_progress (self->cli, name, "destroyed");
  return TRUE;
}

/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/cli.h"

/* up and down: what the VMFile says becomes true, or is taken back. */

#define DOWN_PARALLEL 8
#define GRACE_S 30

#define SELECTION                                                 \
  { "file", 'f', "FILE", "the VMFile (the nearest VMFile.kdl)" }, \
  {                                                               \
    "name", 'n', "NAME", "only this VM; repeatable"               \
  }

static const CliOption up_options[] = {
  SELECTION,
  { "no-provision", 0, NULL, "do not run the provisioners" },
  { "adopt", 0, NULL, "take over VMs that another VMFile or `create` made" },
  { 0 },
};

static const CliOption down_options[] = {
  SELECTION,
  { "destroy", 0, NULL, "remove the VMs and all that is theirs" },
  { 0 },
};

typedef struct {
  const CliProject *project;
  gboolean provision;
  gboolean adopt;
  GHashTable *failed; /* names; dependants of these are not tried */
} Up;

static gboolean
check_dependencies (const Up *up, const VmDef *def, GError **error)
{
  for (guint i = 0; i < def->depends_on->len; i++) {
    const char *other = def->depends_on->pdata[i];
    if (g_hash_table_contains (up->failed, other))
      return vm_error_set (error, VM_ERROR_CANCELLED, "VM \"%s\" waits for \"%s\", which failed",
                           def->name, other);
  }
  return TRUE;
}

static CliMachine *
bring (Cli *cli, const Up *up, const VmDef *def, const VmOp *op, GError **error)
{
  const char *backend = vm_hypervisor_default_backend ();
  VmSpec *spec = vm_def_resolve (def, up->project->dir, backend, error);
  if (spec == NULL)
    return NULL;
  return cli_machine_bring (cli, spec, up->project->path, up->adopt, op, error);
}

static gboolean
bring_up (Cli *cli, const Up *up, const VmDef *def, const VmOp *op, GError **error)
{
  if (!check_dependencies (up, def, error))
    return FALSE;
  g_autoptr (CliMachine) machine = bring (cli, up, def, op, error);
  if (machine == NULL || !cli_machine_start (machine, op, error))
    return FALSE;
  if (up->provision && !cli_machine_provision (machine, op, error))
    return FALSE;
  cli_progress (cli, def->name, "up");
  return TRUE;
}

static gboolean
up_one (Cli *cli, const char *name, gpointer data, const VmOp *op, GError **error)
{
  Up *up = data;
  if (bring_up (cli, up, vm_file_get (up->project->file, name), op, error))
    return TRUE;
  g_hash_table_add (up->failed, (gpointer) name);
  return FALSE;
}

/* The names of the project's selected VMs; the strings are the project's. */
static char **
selected_names (const CliProject *project, gboolean reversed)
{
  guint n = project->selected->len;
  char **names = g_new0 (char *, n + 1);
  for (guint i = 0; i < n; i++)
    names[reversed ? n - 1 - i : i] = ((VmDef *) project->selected->pdata[i])->name;
  return names;
}

static int
run_up (Cli *cli, const CliArgs *args, GError **error)
{
  g_autoptr (CliProject) project = cli_project_load (cli, args, error);
  if (project == NULL)
    return 2;
  g_autofree char **names = selected_names (project, FALSE);
  g_autoptr (GHashTable) failed = g_hash_table_new (g_str_hash, g_str_equal);
  Up up = { project, !cli_args_has (args, "no-provision"), cli_args_has (args, "adopt"), failed };
  /* One after the other, in the order of depends-on. */
  return cli_for_each (cli, names, 1, up_one, &up);
}

typedef struct {
  const CliProject *project;
  gboolean destroy;
} Down;

static gboolean
take_down (CliMachine *machine, const Down *down, const VmOp *op, GError **error)
{
  if (g_strcmp0 (machine->origin, down->project->path) != 0) {
    cli_progress (machine->cli, machine->handle->spec->name, "left alone: not of this VMFile");
    return TRUE;
  }
  return down->destroy ? cli_machine_destroy (machine, op, error)
                       : cli_machine_stop (machine, GRACE_S, op, error);
}

/* A VM of the file that does not exist is down already. */
static gboolean
down_one (Cli *cli, const char *name, gpointer data, const VmOp *op, GError **error)
{
  g_autoptr (GError) cause = NULL;
  g_autoptr (CliMachine) machine = cli_machine_open (cli, name, "down", op, &cause);
  if (machine != NULL)
    return take_down (machine, data, op, error);
  if (g_error_matches (cause, VM_ERROR, VM_ERROR_VM_NOT_FOUND))
    return TRUE;
  g_propagate_error (error, g_steal_pointer (&cause));
  return FALSE;
}

static int
run_down (Cli *cli, const CliArgs *args, GError **error)
{
  g_autoptr (CliProject) project = cli_project_load (cli, args, error);
  if (project == NULL)
    return 2;
  g_autofree char **names = selected_names (project, TRUE);
  Down down = { project, cli_args_has (args, "destroy") };
  return cli_for_each (cli, names, DOWN_PARALLEL, down_one, &down);
}

const CliVerb cli_verb_up = {
  .name = "up",
  .synopsis = "[--file=FILE] [--name=NAME]… [--no-provision] [--adopt]",
  .summary = "bring up the VMs of the VMFile",
  .options = up_options,
  .max_names = 0,
  .run = run_up,
};

const CliVerb cli_verb_down = {
  .name = "down",
  .synopsis = "[--file=FILE] [--name=NAME]… [--destroy]",
  .summary = "stop (or destroy) the VMs of the VMFile",
  .options = down_options,
  .max_names = 0,
  .run = run_down,
};

/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/cli.h"

/* plan and validate: what `up` would do, and whether the file is right; neither changes anything.
 */

static const CliOption options[] = {
  { "file", 'f', "FILE", "the VMFile (the nearest VMFile.kdl)" },
  { "name", 'n', "NAME", "only this VM; repeatable" },
  { 0 },
};

static const CliOption validate_options[] = {
  { "file", 'f', "FILE", "the VMFile (the nearest VMFile.kdl)" },
  { 0 },
};

typedef struct {
  const VmDef *def; /* borrowed */
  const char *action;
  char *owner;        /* the VMFile of a VM that is not ours; "": `vmctl create`; NULL: ours */
  GPtrArray *changes; /* of VmChange */
  guint pending;      /* steps to run */
} Plan;

static void
plan_free (Plan *plan)
{
  if (plan == NULL)
    return;
  g_free (plan->owner);
  g_clear_pointer (&plan->changes, g_ptr_array_unref);
  g_free (plan);
}

G_DEFINE_AUTOPTR_CLEANUP_FUNC (Plan, plan_free)

static const char *
action_for (VmState state)
{
  switch (state) {
  case VM_STATE_RUNNING:
    return "leave";
  case VM_STATE_SUSPENDED:
    return "resume";
  default:
    return "start";
  }
}

/* The steps that the VM would have behind it under its new spec. */
static gboolean
plan_steps (Plan *plan, VmStore *store, VmHandle *handle, const VmSpec *spec, GError **error)
{
  const VmProvision provision = { .store = store, .vm = handle };
  vm_handle_set_spec (handle, vm_spec_merge (handle->spec, spec, VM_CHANGE_RESTART));
  return vm_provision_count_pending (&provision, &plan->pending, NULL, error);
}

static gboolean
plan_existing (Cli *cli, Plan *plan, VmStore *store, const VmRow *row, const VmSpec *spec,
               GError **error)
{
  g_auto (VmStateInfo) info = { 0 };
  g_autoptr (VmHandle) handle = vm_handle_from_json (row->handle, error);
  if (handle == NULL || !vm_hypervisor_state (cli_hypervisor (cli), handle, &info, NULL, error))
    return FALSE;
  plan->action = action_for (info.state);
  g_ptr_array_unref (plan->changes);
  plan->changes = vm_spec_changes (handle->spec, spec);
  return plan_steps (plan, store, handle, spec, error);
}

static Plan *
plan_new (Cli *cli, const CliProject *project, VmStore *store, const VmDef *def, GError **error)
{
  const char *backend = vm_hypervisor_default_backend ();
  g_autoptr (VmSpec) spec = vm_def_resolve (def, project->dir, backend, error);
  g_autoptr (VmRow) row = NULL;
  if (spec == NULL || !vm_store_find (store, def->name, &row, error))
    return NULL;
  g_autoptr (Plan) plan = g_new0 (Plan, 1);
  plan->def = def;
  plan->action = "create";
  plan->changes = g_ptr_array_new_with_free_func ((GDestroyNotify) vm_change_free);
  plan->pending = spec->steps->len;
  if (row == NULL || row->phase != VM_PHASE_PREPARED)
    return g_steal_pointer (&plan);
  if (g_strcmp0 (row->origin, project->path) != 0) {
    plan->owner = g_strdup (row->origin != NULL ? row->origin : "");
    plan->action = "refuse";
    plan->pending = 0;
    return g_steal_pointer (&plan);
  }
  return plan_existing (cli, plan, store, row, spec, error) ? g_steal_pointer (&plan) : NULL;
}

static void
print_change (Cli *cli, const VmChange *change)
{
  static const char *const consequences[] = {
    [VM_CHANGE_HOT] = "at once",
    [VM_CHANGE_RESTART] = "when it is started next",
    [VM_CHANGE_RECREATE] = "needs a new VM; the data of this one would be lost",
  };
  g_autofree char *text = cli_describe_change (change);
  cli_print (cli, "    differs: %s (%s)\n", text, consequences[change->kind]);
}

static void
print_plan (Cli *cli, const Plan *plan)
{
  cli_print (cli, "%s: %s\n", plan->def->name, plan->action);
  if (plan->owner != NULL)
    cli_print (cli, "    belongs to %s; `vmctl up --adopt` takes it over\n",
               *plan->owner != '\0' ? plan->owner : "nobody: made by `vmctl create`");
  for (guint i = 0; i < plan->changes->len; i++)
    print_change (cli, plan->changes->pdata[i]);
  if (plan->pending > 0)
    cli_print (cli, "    provision: %u of %u steps\n", plan->pending, plan->def->steps->len);
}

static void
add_json (JsonBuilder *builder, const Plan *plan)
{
  json_builder_begin_object (builder);
  cli_json_text (builder, "name", plan->def->name);
  cli_json_text (builder, "action", plan->action);
  json_builder_set_member_name (builder, "changes");
  json_builder_begin_array (builder);
  for (guint i = 0; i < plan->changes->len; i++) {
    const VmChange *change = plan->changes->pdata[i];
    json_builder_begin_object (builder);
    cli_json_text (builder, "setting", change->setting);
    cli_json_text (builder, "class", vm_change_kind_to_string (change->kind));
    cli_json_text (builder, "from", change->from);
    cli_json_text (builder, "to", change->to);
    json_builder_end_object (builder);
  }
  json_builder_end_array (builder);
  cli_json_int (builder, "steps-pending", plan->pending);
  json_builder_end_object (builder);
}

static int
run_plan (Cli *cli, const CliArgs *args, GError **error)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  g_autoptr (CliProject) project = cli_project_load (cli, args, error);
  g_autoptr (VmStore) store = project != NULL ? vm_store_open (cli->data_dir, error) : NULL;
  if (store == NULL)
    return 1;
  json_builder_begin_array (builder);
  for (guint i = 0; i < project->selected->len; i++) {
    g_autoptr (Plan) plan = plan_new (cli, project, store, project->selected->pdata[i], error);
    if (plan == NULL)
      return 1;
    if (cli->json)
      add_json (builder, plan);
    else
      print_plan (cli, plan);
  }
  json_builder_end_array (builder);
  if (cli->json)
    cli_print_json (cli, json_builder_get_root (builder));
  return 0;
}

static int
run_validate (Cli *cli, const CliArgs *args, GError **error)
{
  g_autoptr (CliProject) project = cli_project_load (cli, args, error);
  if (project == NULL)
    return 1;
  if (cli->json)
    cli_print_json (cli, json_from_string ("{\"diagnostics\":[]}", NULL));
  else if (!cli->quiet)
    cli_print (cli, "%s: %u VM%s, no faults%s\n", project->path, project->file->vms->len,
               project->file->vms->len == 1 ? "" : "s",
               project->file->read_as_kdl1 ? " (read as KDL 1)" : "");
  return 0;
}

const CliVerb cli_verb_plan = {
  .name = "plan",
  .synopsis = "[--file=FILE] [--name=NAME]…",
  .summary = "show what `up` would do, and change nothing",
  .options = options,
  .max_names = 0,
  .run = run_plan,
};

const CliVerb cli_verb_validate = {
  .name = "validate",
  .synopsis = "[--file=FILE]",
  .summary = "check the VMFile alone",
  .options = validate_options,
  .max_names = 0,
  .run = run_validate,
};

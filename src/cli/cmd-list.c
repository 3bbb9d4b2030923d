/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/cli.h"

/* list, ps and status: what there is and how it is. The state is asked of each VM's process. */

#define N_COLUMNS 9
#define N_EVENTS 5
#define MAX_ASKED_AT_ONCE 64

static const CliOption list_options[] = {
  { "all", 'a', NULL, "with `ps`: also VMs that do not run" },
  { 0 },
};

static const CliOption status_options[] = {
  { "name", 'n', "NAME", "the same as the argument" },
  { 0 },
};

typedef struct {
  Cli *cli;
  VmRow *row; /* borrowed */
  VmHandle *handle;
  VmStateInfo info;
  char *ip; /* NULL: none */
} Entry;

static void
entry_free (Entry *entry)
{
  vm_handle_free (entry->handle);
  vm_state_info_clear (&entry->info);
  g_free (entry->ip);
  g_free (entry);
}

static gboolean
entry_runs (const Entry *entry)
{
  return entry->info.state == VM_STATE_RUNNING || entry->info.state == VM_STATE_SUSPENDED;
}

/* A VM whose record is damaged is shown as failed: one bad row must not hide the others. */
static gboolean
ask_state (gpointer data, const VmOp *op, GError **error)
{
  Entry *entry = data;
  g_autoptr (GError) cause = NULL;
  VmHypervisor *hypervisor = cli_hypervisor (entry->cli);

  entry->handle = vm_handle_from_json (entry->row->handle, &cause);
  if (entry->handle == NULL ||
      !vm_hypervisor_state (hypervisor, entry->handle, &entry->info, op, &cause)) {
    entry->info = (VmStateInfo){ .state = VM_STATE_FAILED, .detail = g_strdup (cause->message) };
    return TRUE;
  }
  if (entry_runs (entry)) {
    if (!vm_hypervisor_guest_ip (hypervisor, entry->handle, &entry->ip, op, NULL))
      entry->ip = NULL;
  } else if (entry->row->phase != VM_PHASE_PREPARED) {
    entry->info.state = VM_STATE_PREPARING;
    entry->info.detail =
        g_strdup (entry->row->phase == VM_PHASE_DESTROYING ? "half destroyed" : "half made");
  } else if (entry->info.state == VM_STATE_DESTROYED) {
    entry->info.state = VM_STATE_FAILED;
    entry->info.detail = g_strdup ("its folder is gone");
  }
  return TRUE;
}

static Entry *
entry_new (Cli *cli, VmRow *row)
{
  Entry *entry = g_new0 (Entry, 1);
  entry->cli = cli;
  entry->row = row;
  return entry;
}

/* Hung VMs answer late or never: they are all asked at once, and none for longer than the one limit
 * on each answer. VMs that do not run are not asked anything. */
static GPtrArray *
load_entries (Cli *cli, GPtrArray *rows)
{
  GPtrArray *entries = g_ptr_array_new_with_free_func ((GDestroyNotify) entry_free);
  g_autofree VmJob *jobs = g_new0 (VmJob, rows->len);
  for (guint i = 0; i < rows->len; i++) {
    Entry *entry = entry_new (cli, rows->pdata[i]);
    jobs[i] = (VmJob){ ask_state, entry, NULL };
    g_ptr_array_add (entries, entry);
  }
  vm_run_all (jobs, rows->len, MIN (rows->len, MAX_ASKED_AT_ONCE), NULL);
  return entries;
}

/* "user", "user,tap:br0". */
static char *
describe_networks (const VmSpec *spec)
{
  g_autoptr (GString) text = g_string_new (NULL);
  for (guint i = 0; i < spec->networks->len; i++) {
    const VmNetwork *network = spec->networks->pdata[i];
    g_string_append_printf (text, "%s%s", i > 0 ? "," : "",
                            vm_network_kind_to_string (network->kind));
    if (network->link != NULL)
      g_string_append_printf (text, ":%s", network->link);
  }
  return g_strdup (text->str);
}

static char *
describe_state (const Entry *entry)
{
  const char *state = vm_state_to_string (entry->info.state);
  if (entry->info.detail != NULL && entry_runs (entry))
    return g_strdup_printf ("%s (%s)", state, entry->info.detail);
  return g_strdup (state);
}

static char **
entry_cells (const Entry *entry)
{
  const VmSpec *spec = entry->handle != NULL ? entry->handle->spec : NULL;
  gboolean runs = entry_runs (entry);
  gboolean ssh = runs && entry->handle->ssh_host != NULL;
  char **cells = g_new0 (char *, N_COLUMNS + 1);
  cells[0] = g_strdup (entry->row->name);
  cells[1] = describe_state (entry);
  cells[2] = g_strdup (entry->row->backend);
  cells[3] = spec != NULL ? g_strdup_printf ("%u", spec->vcpus) : g_strdup ("-");
  cells[4] =
      spec != NULL ? g_strdup_printf ("%" G_GUINT64_FORMAT, spec->memory_mib) : g_strdup ("-");
  cells[5] = spec != NULL ? describe_networks (spec) : g_strdup ("-");
  cells[6] = entry->info.pid != 0 ? g_strdup_printf ("%d", entry->info.pid) : g_strdup ("-");
  cells[7] = ssh ? g_strdup_printf ("%s:%u", entry->handle->ssh_host, entry->handle->ssh_port)
                 : g_strdup ("-");
  cells[8] = g_strdup (entry->ip != NULL ? entry->ip : "-");
  return cells;
}

static void
print_table (Cli *cli, GPtrArray *entries)
{
  static const char *const head[] = { "NAME",    "STATE", "BACKEND", "VCPUS", "MEM",
                                      "NETWORK", "PID",   "SSH",     "IP",    NULL };
  g_autoptr (GPtrArray) rows = g_ptr_array_new_with_free_func ((GDestroyNotify) g_strfreev);
  g_ptr_array_add (rows, g_strdupv ((char **) head));
  for (guint i = 0; i < entries->len; i++)
    g_ptr_array_add (rows, entry_cells (entries->pdata[i]));
  cli_print_table (cli, rows, N_COLUMNS);
}

static void
add_json (JsonBuilder *builder, const Entry *entry)
{
  const VmHandle *handle = entry->handle;
  gboolean ssh = handle != NULL && entry_runs (entry) && handle->ssh_host != NULL;
  json_builder_begin_object (builder);
  cli_json_text (builder, "name", entry->row->name);
  cli_json_text (builder, "state", vm_state_to_string (entry->info.state));
  cli_json_text (builder, "detail", entry->info.detail);
  cli_json_text (builder, "backend", entry->row->backend);
  cli_json_text (builder, "vmfile", entry->row->origin);
  cli_json_int (builder, "created", entry->row->created_s);
  cli_json_int (builder, "pid", entry->info.pid);
  if (handle != NULL) {
    cli_json_int (builder, "vcpus", handle->spec->vcpus);
    cli_json_int (builder, "memory-mib", (gint64) handle->spec->memory_mib);
    cli_json_text (builder, "accel", vm_accel_to_string (handle->accel));
    cli_json_text (builder, "image", handle->spec->image);
    cli_json_text (builder, "dir", handle->dir);
    cli_json_text (builder, "ssh-user", handle->spec->ssh_user);
  }
  cli_json_text (builder, "ssh-host", ssh ? handle->ssh_host : NULL);
  cli_json_int (builder, "ssh-port", ssh ? handle->ssh_port : 0);
  cli_json_text (builder, "ip", entry->ip);
  json_builder_end_object (builder);
}

static void
print_json (Cli *cli, GPtrArray *entries)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  json_builder_begin_array (builder);
  for (guint i = 0; i < entries->len; i++)
    add_json (builder, entries->pdata[i]);
  json_builder_end_array (builder);
  cli_print_json (cli, json_builder_get_root (builder));
}

static GPtrArray *
load_rows (Cli *cli, VmStore *store, GError **error)
{
  g_autoptr (GPtrArray) rows = vm_store_list (store, error);
  if (rows == NULL || !cli_recover_all (cli, store, rows))
    return g_steal_pointer (&rows);
  return vm_store_list (store, error);
}

static int
list (Cli *cli, gboolean only_running, GError **error)
{
  g_autoptr (VmStore) store = vm_store_open (cli->data_dir, error);
  g_autoptr (GPtrArray) rows = store != NULL ? load_rows (cli, store, error) : NULL;
  if (rows == NULL)
    return 1;
  g_autoptr (GPtrArray) entries = load_entries (cli, rows);
  for (guint i = entries->len; only_running && i > 0; i--) {
    if (!entry_runs (entries->pdata[i - 1]))
      g_ptr_array_remove_index (entries, i - 1);
  }
  if (cli->json)
    print_json (cli, entries);
  else
    print_table (cli, entries);
  return 0;
}

static int
run_list (Cli *cli, const CliArgs *args, GError **error)
{
  return list (cli, FALSE, error);
}

static int
run_ps (Cli *cli, const CliArgs *args, GError **error)
{
  return list (cli, !cli_args_has (args, "all"), error);
}

static void
print_line (Cli *cli, const char *label, const char *value)
{
  if (value != NULL && *value != '\0')
    cli_print (cli, "%-10s %s\n", label, value);
}

static void
print_status (Cli *cli, const Entry *entry)
{
  const VmHandle *handle = entry->handle;
  g_auto (GStrv) cells = entry_cells (entry);
  g_autofree char *when = cli_format_time (entry->row->created_s);

  print_line (cli, "name", entry->row->name);
  print_line (cli, "state", vm_state_to_string (entry->info.state));
  print_line (cli, "detail", entry->info.detail);
  print_line (cli, "backend", entry->row->backend);
  print_line (cli, "vcpus", cells[3]);
  print_line (cli, "memory", cells[4]);
  print_line (cli, "network", cells[5]);
  print_line (cli, "pid", cells[6]);
  print_line (cli, "ssh", cells[7]);
  print_line (cli, "ip", cells[8]);
  if (handle != NULL) {
    print_line (cli, "user", handle->spec->ssh_user);
    print_line (cli, "image", handle->spec->image);
    print_line (cli, "accel", vm_accel_to_string (handle->accel));
    print_line (cli, "folder", handle->dir);
  }
  print_line (cli, "vmfile", entry->row->origin);
  print_line (cli, "created", when);
}

static void
print_events (Cli *cli, VmStore *store, const char *name)
{
  g_autoptr (GPtrArray) events = vm_store_events (store, name, N_EVENTS, NULL);
  for (guint i = 0; events != NULL && i < events->len; i++) {
    g_autofree char *text = cli_describe_event (events->pdata[i]);
    print_line (cli, i == 0 ? "events" : "", text);
  }
}

static int
run_status (Cli *cli, const CliArgs *args, GError **error)
{
  if (args->names->len == 0 && !cli_args_has (args, "name"))
    return list (cli, FALSE, error);
  const char *name = cli_args_get_name (args, error);
  if (name == NULL)
    return 2;
  g_autoptr (CliMachine) machine = cli_machine_peek (cli, name, error);
  g_autoptr (VmRow) row = machine != NULL ? vm_store_get (machine->store, name, error) : NULL;
  if (row == NULL)
    return 1;
  Entry *entry = entry_new (cli, row);
  ask_state (entry, NULL, NULL);
  if (cli->json) {
    g_autoptr (JsonBuilder) builder = json_builder_new ();
    add_json (builder, entry);
    cli_print_json (cli, json_builder_get_root (builder));
  } else {
    print_status (cli, entry);
    print_events (cli, machine->store, name);
  }
  entry_free (entry);
  return 0;
}

const CliVerb cli_verb_list = {
  .name = "list",
  .synopsis = "",
  .summary = "all VMs and their state (also: ls)",
  .options = list_options,
  .max_names = 0,
  .run = run_list,
};

const CliVerb cli_verb_ps = {
  .name = "ps",
  .synopsis = "[--all]",
  .summary = "the VMs that run",
  .options = list_options,
  .max_names = 0,
  .run = run_ps,
};

const CliVerb cli_verb_status = {
  .name = "status",
  .synopsis = "[NAME]",
  .summary = "everything known of one VM, or a summary of all",
  .options = status_options,
  .max_names = 1,
  .run = run_status,
};

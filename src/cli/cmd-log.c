/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/cli.h"

#define MAX_LINES 100000

static const CliOption options[] = {
  { "name", 0, "NAME", "the same as the argument" },
  { "console", 0, NULL, "what the guest wrote to its serial console" },
  { "provision", 0, NULL, "what the provisioning steps printed" },
  { "qemu", 0, NULL, "what QEMU itself had to say" },
  { "events", 0, NULL, "what was done to the VM, and how it ended" },
  { "tail", 'n', "N", "only the last N lines" },
  { 0 },
};

static const struct {
  const char *option;
  const char *file;
} logs[] = {
  { "qemu", "qemu.log" },
  { "console", VM_FILE_CONSOLE_LOG },
  { "provision", VM_FILE_PROVISION_LOG },
};

static void
print_file (Cli *cli, const char *path, guint64 lines)
{
  if (lines != 0) {
    g_autofree char *tail = vm_file_tail (path, (guint) lines);
    cli_print (cli, "%s", tail);
    return;
  }
  g_autoptr (GMappedFile) file = g_mapped_file_new (path, FALSE, NULL);
  if (file != NULL && g_mapped_file_get_length (file) > 0)
    cli_relay (cli, FALSE, g_mapped_file_get_contents (file), g_mapped_file_get_length (file));
}

static int
print_events (Cli *cli, const CliMachine *machine, guint lines, GError **error)
{
  const char *name = machine->handle->spec->name;
  g_autoptr (GPtrArray) events = vm_store_events (machine->store, name, lines, error);
  if (events == NULL)
    return 1;
  for (guint i = 0; i < events->len; i++) {
    g_autofree char *text = cli_describe_event (events->pdata[i]);
    cli_print (cli, "%s\n", text);
  }
  return 0;
}

static int
run_log (Cli *cli, const CliArgs *args, GError **error)
{
  guint64 lines;
  g_auto (GStrv) names = cli_select_names (cli, args, error);
  if (names == NULL || !cli_args_get_number (args, "tail", 1, MAX_LINES, 0, &lines, error))
    return 1;
  g_autoptr (CliMachine) machine = cli_machine_peek (cli, names[0], error);
  if (machine == NULL)
    return 1;
  if (cli_args_has (args, "events"))
    return print_events (cli, machine, lines != 0 ? (guint) lines : MAX_LINES, error);

  guint chosen = 0;
  for (gsize i = 0; i < G_N_ELEMENTS (logs); i++)
    chosen += cli_args_has (args, logs[i].option);
  for (gsize i = 0; i < G_N_ELEMENTS (logs); i++) {
    g_autofree char *path = vm_handle_path (machine->handle, logs[i].file);
    if (chosen > 0 && !cli_args_has (args, logs[i].option))
      continue;
    if (chosen != 1)
      cli_print (cli, "==> %s <==\n", logs[i].option);
    print_file (cli, path, lines);
  }
  return 0;
}

const CliVerb cli_verb_log = {
  .name = "log",
  .synopsis = "NAME [--console] [--provision] [--qemu] [--events] [--tail=N]",
  .summary = "console, provisioning and QEMU logs",
  .options = options,
  .min_names = 1,
  .max_names = 1,
  .run = run_log,
};

/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/cli.h"

#include <fcntl.h>
#include <unistd.h>

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

/* Read and not mapped: a start truncates qemu.log under whoever looks at it. */
static void
print_file (Cli *cli, const char *path, guint64 lines)
{
  char buffer[65536];
  ssize_t n;
  if (lines != 0) {
    g_autofree char *tail = vm_file_tail (path, (guint) lines);
    cli_print (cli, "%s", tail);
    return;
  }
  vm_autofd int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  while (fd >= 0 && (n = read (fd, buffer, sizeof buffer)) > 0)
    cli_relay (cli, FALSE, buffer, (gsize) n);
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
  const char *name = cli_args_get_name (args, error);
  if (name == NULL || !cli_args_get_number (args, "tail", 1, MAX_LINES, 0, &lines, error))
    return 1;
  g_autoptr (CliMachine) machine = cli_machine_peek (cli, name, error);
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

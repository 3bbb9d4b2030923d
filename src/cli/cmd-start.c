/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/cli.h"

/* start, stop and destroy: one thing done to VMs that are there already. */

#define PARALLEL 8
#define DEFAULT_GRACE_S 30
#define MAX_GRACE_S (24 * 3600)

#define SELECTION                                    \
  { "name", 0, "NAME", "the same as the argument" }, \
  {                                                  \
    "all", 0, NULL, "every VM there is"              \
  }

static const CliOption start_options[] = { SELECTION, { 0 } };

static const CliOption stop_options[] = {
  SELECTION,
  { "timeout", 't', "SECONDS", "how long the guest may take to power off (30)" },
  { "force", 'f', NULL, "do not ask the guest, end it" },
  { 0 },
};

static const CliOption destroy_options[] = {
  SELECTION,
  { "yes", 'y', NULL, "do not ask" },
  { 0 },
};

static gboolean
start_one (Cli *cli, const char *name, gpointer data, const VmOp *op, GError **error)
{
  g_autoptr (CliMachine) machine = cli_machine_open (cli, name, "start", op, error);
  return machine != NULL && cli_machine_start (machine, op, error);
}

static gboolean
stop_one (Cli *cli, const char *name, gpointer data, const VmOp *op, GError **error)
{
  g_autoptr (CliMachine) machine = cli_machine_open (cli, name, "stop", op, error);
  return machine != NULL && cli_machine_stop (machine, GPOINTER_TO_UINT (data), op, error);
}

static gboolean
destroy_one (Cli *cli, const char *name, gpointer data, const VmOp *op, GError **error)
{
  g_autoptr (CliMachine) machine = cli_machine_open (cli, name, "destroy", op, error);
  return machine != NULL && cli_machine_destroy (machine, op, error);
}

static int
for_selected (Cli *cli, const CliArgs *args, CliJobFunc func, gpointer data, GError **error)
{
  g_auto (GStrv) names = cli_select_names (cli, args, error);
  return names != NULL ? cli_for_each (cli, names, PARALLEL, func, data) : 1;
}

static int
run_start (Cli *cli, const CliArgs *args, GError **error)
{
  return for_selected (cli, args, start_one, NULL, error);
}

static int
run_stop (Cli *cli, const CliArgs *args, GError **error)
{
  guint64 grace_s;
  if (!cli_args_get_number (args, "timeout", 0, MAX_GRACE_S, DEFAULT_GRACE_S, &grace_s, error))
    return 2;
  if (cli_args_has (args, "force"))
    grace_s = 0;
  return for_selected (cli, args, stop_one, GUINT_TO_POINTER (grace_s), error);
}

static int
run_destroy (Cli *cli, const CliArgs *args, GError **error)
{
  g_auto (GStrv) names = cli_select_names (cli, args, error);
  if (names == NULL || !cli_confirm (cli, args, "destroy", names, error))
    return 1;
  return cli_for_each (cli, names, PARALLEL, destroy_one, NULL);
}

const CliVerb cli_verb_start = {
  .name = "start",
  .synopsis = "NAME… [--all]",
  .summary = "boot VMs",
  .options = start_options,
  .min_names = 1,
  .max_names = G_MAXUINT,
  .run = run_start,
};

const CliVerb cli_verb_stop = {
  .name = "stop",
  .synopsis = "NAME… [--all] [--timeout=SECONDS] [--force]",
  .summary = "power VMs off",
  .options = stop_options,
  .min_names = 1,
  .max_names = G_MAXUINT,
  .run = run_stop,
};

const CliVerb cli_verb_destroy = {
  .name = "destroy",
  .synopsis = "NAME… [--all] [--yes]",
  .summary = "remove VMs and all that is theirs (also: rm)",
  .options = destroy_options,
  .min_names = 1,
  .max_names = G_MAXUINT,
  .run = run_destroy,
};

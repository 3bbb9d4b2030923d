/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/cli.h"

#include <glib-unix.h>
#include <signal.h>
#include <unistd.h>

#define IMPATIENT_US (2 * G_USEC_PER_SEC)
#define EXIT_INTERRUPTED 130

typedef struct {
  Cli *cli;
  const char *name;
  CliJobFunc func;
  gpointer data;
} NamedJob;

typedef struct {
  Cli *cli;
  gint64 first_us; /* when the first signal came */
} Interrupts;

/* The first signal cancels, so that what was begun is finished or undone; a second one soon after
 * means it. */
static gboolean
on_signal (gpointer data)
{
  Interrupts *interrupts = data;
  gint64 now_us = g_get_monotonic_time ();
  if (interrupts->first_us != 0 && now_us - interrupts->first_us < IMPATIENT_US)
    _exit (EXIT_INTERRUPTED);
  interrupts->first_us = now_us;
  g_cancellable_cancel (interrupts->cli->cancel); /* before printing, which may block */
  cli_progress (interrupts->cli, "vmctl", "interrupted; tidying up");
  return G_SOURCE_CONTINUE;
}

static gboolean
run_named (gpointer data, const VmOp *op, GError **error)
{
  const NamedJob *job = data;
  return job->func (job->cli, job->name, job->data, op, error);
}

static int
report (Cli *cli, VmJob *jobs, guint n)
{
  int status = 0;
  for (guint i = 0; i < n; i++) {
    if (jobs[i].error == NULL)
      continue;
    cli_print_error (cli, jobs[i].error);
    int own = cli_exit_status (jobs[i].error);
    status = status == 0 || status == own ? own : 1;
    g_clear_error (&jobs[i].error);
  }
  return status;
}

int
cli_for_each (Cli *cli, char **names, guint parallel, CliJobFunc func, gpointer data)
{
  guint n = g_strv_length (names);
  g_autofree VmJob *jobs = g_new0 (VmJob, n);
  g_autofree NamedJob *named = g_new0 (NamedJob, n);
  Interrupts interrupts = { cli, 0 };
  VmOp op = { .cancel = cli->cancel };

  for (guint i = 0; i < n; i++) {
    named[i] = (NamedJob){ cli, names[i], func, data };
    jobs[i] = (VmJob){ run_named, &named[i], NULL };
  }
  static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
  guint sources[G_N_ELEMENTS (signals)];
  for (gsize i = 0; i < G_N_ELEMENTS (signals); i++)
    sources[i] = g_unix_signal_add (signals[i], on_signal, &interrupts);
  vm_run_all (jobs, n, parallel, &op);
  for (gsize i = 0; i < G_N_ELEMENTS (signals); i++)
    g_source_remove (sources[i]);
  return report (cli, jobs, n);
}

static GPtrArray *
all_names (Cli *cli, GError **error)
{
  g_autoptr (VmStore) store = vm_store_open (cli->data_dir, error);
  g_autoptr (GPtrArray) rows = store != NULL ? vm_store_list (store, error) : NULL;
  if (rows == NULL)
    return NULL;
  GPtrArray *names = g_ptr_array_new ();
  for (guint i = 0; i < rows->len; i++)
    g_ptr_array_add (names, g_strdup (((VmRow *) rows->pdata[i])->name));
  return names;
}

static void
add_once (GPtrArray *names, const char *name)
{
  if (!g_ptr_array_find_with_equal_func (names, name, g_str_equal, NULL))
    g_ptr_array_add (names, g_strdup (name));
}

char **
cli_select_names (Cli *cli, const CliArgs *args, GError **error)
{
  const GPtrArray *named = cli_args_get_all (args, "name");
  GPtrArray *names;
  if (cli_args_has (args, "all")) {
    if (args->names->len > 0 || named != NULL) {
      vm_error_set (error, VM_ERROR_USAGE, "either names or --all, not both");
      return NULL;
    }
    names = all_names (cli, error);
    if (names == NULL)
      return NULL;
  } else {
    names = g_ptr_array_new ();
    for (guint i = 0; i < args->names->len; i++)
      add_once (names, args->names->pdata[i]);
    for (guint i = 0; named != NULL && i < named->len; i++)
      add_once (names, named->pdata[i]);
  }
  g_ptr_array_add (names, NULL);
  return (char **) g_ptr_array_free (names, FALSE);
}

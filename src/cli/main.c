/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/cli.h"

#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const CliVerb *const verbs[] = {
  &cli_verb_up,      &cli_verb_down, &cli_verb_create, &cli_verb_start,    &cli_verb_stop,
  &cli_verb_destroy, &cli_verb_list, &cli_verb_ps,     &cli_verb_status,   &cli_verb_ssh,
  &cli_verb_dial,    &cli_verb_log,  &cli_verb_plan,   &cli_verb_validate, &cli_verb_doctor,
};

static const struct {
  const char *alias;
  const char *name;
} aliases[] = { { "ls", "list" }, { "rm", "destroy" } };

static void
print_options (const CliOption *options)
{
  for (const CliOption *o = options; o != NULL && o->name != NULL; o++) {
    g_autofree char *letter = o->letter != 0 ? g_strdup_printf ("-%c, ", o->letter) : NULL;
    g_autofree char *left =
        g_strdup_printf ("%s--%s%s%s", letter != NULL ? letter : "    ", o->name,
                         o->metavar != NULL ? "=" : "", o->metavar != NULL ? o->metavar : "");
    printf ("  %-28s %s\n", left, o->help);
  }
}

static void
print_help (void)
{
  printf ("vmctl: virtual machines as easily as containers\n\n"
          "Usage: vmctl [OPTIONS] COMMAND [OPTIONS] [ARGUMENTS]\n\nCommands:\n");
  for (gsize i = 0; i < G_N_ELEMENTS (verbs); i++)
    printf ("  %-10s %s\n", verbs[i]->name, verbs[i]->summary);
  printf ("\nOptions of every command:\n");
  print_options (cli_global_options);
  printf ("      --version                the version\n\n"
          "`vmctl COMMAND --help` tells more. A VMFile.kdl in this folder or one above it is used\n"
          "by `up` and `down`.\n");
}

static void
print_verb_help (const CliVerb *verb)
{
  printf ("vmctl %s: %s\n\nUsage: vmctl %s %s\n", verb->name, verb->summary, verb->name,
          verb->synopsis);
  if (verb->options != NULL) {
    printf ("\nOptions:\n");
    print_options (verb->options);
  }
  printf ("\nOptions of every command:\n");
  print_options (cli_global_options);
}

static const CliVerb *
find_verb (const char *word, GError **error)
{
  const char *names[G_N_ELEMENTS (verbs) + 1] = { NULL };
  for (gsize i = 0; i < G_N_ELEMENTS (aliases); i++) {
    if (g_str_equal (aliases[i].alias, word))
      word = aliases[i].name;
  }
  for (gsize i = 0; i < G_N_ELEMENTS (verbs); i++) {
    if (g_str_equal (verbs[i]->name, word))
      return verbs[i];
    names[i] = verbs[i]->name;
  }
  const char *near = vm_did_you_mean (word, names);
  vm_error_set (error, VM_ERROR_USAGE, "there is no command \"%s\"", word);
  if (near != NULL)
    vm_error_help (error, "did you mean `vmctl %s`?", near);
  return NULL;
}

/* The command is the first word that is no option; moved to the end of the global ones it leaves
 * everything else for its own parser. NULL without error: there is none. */
static const CliVerb *
take_verb (char **argv, GError **error)
{
  for (int i = 1; argv[i] != NULL && !g_str_equal (argv[i], "--"); i++) {
    if (g_str_equal (argv[i], "--color") && argv[i + 1] != NULL) {
      i++;
    } else if (argv[i][0] != '-') {
      const CliVerb *verb = find_verb (argv[i], error);
      memmove (argv + 1, argv, (size_t) i * sizeof *argv);
      return verb;
    }
  }
  return NULL;
}

static gboolean
wants_color (const char *when, int fd)
{
  const char *no_color = g_getenv ("NO_COLOR");
  if (g_strcmp0 (when, "always") == 0)
    return TRUE;
  if (g_strcmp0 (when, "never") == 0 || (no_color != NULL && *no_color != '\0'))
    return FALSE;
  return isatty (fd) && g_strcmp0 (g_getenv ("TERM"), "dumb") != 0;
}

static gboolean
read_color (Cli *cli, const char *when, GError **error)
{
  static const char *const words[] = { "auto", "always", "never", NULL };
  cli->color = wants_color (when, STDERR_FILENO);
  cli->color_out = wants_color (when, STDOUT_FILENO);
  return when == NULL || g_strv_contains (words, when) ||
         vm_error_set (error, VM_ERROR_USAGE, "--color takes auto, always or never, not \"%s\"",
                       when);
}

static gboolean
read_accel (Cli *cli, GError **error)
{
  const char *word = g_getenv ("VMCTL_ACCEL");
  int accel = word != NULL && *word != '\0' ? vm_accel_from_string (word) : VM_ACCEL_AUTO;
  if (accel < 0)
    return vm_error_set (error, VM_ERROR_USAGE, "VMCTL_ACCEL is \"%s\"", word) ||
           vm_error_help (error, "it can be auto, kvm or tcg");
  cli->config.accel = (VmAccel) accel;
  return TRUE;
}

static void
warn (gpointer data, const char *line)
{
  cli_warn (data, line);
}

static gboolean
set_up (Cli *cli, const CliArgs *args, GError **error)
{
  const char *qemu = g_getenv ("VMCTL_QEMU");
  cli->quiet = cli_args_has (args, "quiet");
  if (cli_args_has (args, "verbose"))
    g_log_set_debug_enabled (TRUE);
  cli->config.qemu = qemu != NULL && *qemu != '\0' ? qemu : NULL;
  cli->config.warn = warn;
  cli->config.warn_data = cli;
  return read_color (cli, cli_args_get (args, "color"), error) && read_accel (cli, error);
}

/* Without a command there is --help and --version. */
static int
run_without_verb (const char *word, GError **error)
{
  if (g_strcmp0 (word, "--version") == 0) {
    printf ("vmctl " VMCTL_VERSION "\n");
    return 0;
  }
  if (word != NULL && !g_str_equal (word, "--help") && !g_str_equal (word, "-h")) {
    vm_error_set (error, VM_ERROR_USAGE, "no command, and no option of vmctl itself: %s", word);
    return 2;
  }
  print_help ();
  return word != NULL ? 0 : 2;
}

static int
run (Cli *cli, char **argv, GError **error)
{
  const CliVerb *verb = take_verb (argv, error);
  if (verb == NULL)
    return *error == NULL ? run_without_verb (argv[1], error) : 2;
  g_autoptr (CliArgs) args = cli_args_parse (verb, argv + 1, error);
  if (args == NULL)
    return 2;
  if (cli_args_has (args, "help")) {
    print_verb_help (verb);
    return 0;
  }
  return set_up (cli, args, error) ? verb->run (cli, args, error) : 2;
}

/* What stands behind `--` is somebody else's. */
static gboolean
says_json (char **argv)
{
  for (int i = 1; argv[i] != NULL && !g_str_equal (argv[i], "--"); i++) {
    if (g_str_equal (argv[i], "--json"))
      return TRUE;
  }
  return FALSE;
}

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;
  const char *charset;
  Cli cli = { 0 };

  /* Everything made from here on is its owner's alone. */
  umask (077);
  /* A reader that went away ends the output, a limit on file sizes the writing: neither us. */
  signal (SIGPIPE, SIG_IGN);
  signal (SIGXFSZ, SIG_IGN);
  setlocale (LC_ALL, "");
  /* Known before anything can fail, so that every error has the form that was asked for. */
  cli.json = says_json (argv);
  cli.utf8 = g_get_charset (&charset);
  cli.color = wants_color (NULL, STDERR_FILENO);
  g_autofree char *data_home = g_canonicalize_filename (g_get_user_data_dir (), NULL);
  cli.data_dir = g_build_filename (data_home, "vmctl", NULL);
  cli.cancel = g_cancellable_new ();
  g_mutex_init (&cli.print_lock);

  int status = run (&cli, argv, &error);
  if (error != NULL) {
    cli_print_error (&cli, error);
    status = cli_exit_status (error);
  }
  if ((fflush (stdout) != 0 || ferror (stdout)) && status == 0)
    status = 1;
  vm_hypervisor_free (cli.hypervisor);
  g_mutex_clear (&cli.print_lock);
  g_object_unref (cli.cancel);
  g_free (cli.data_dir);
  return status;
}

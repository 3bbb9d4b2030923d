/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const int exit_status[] = {
  [VM_FAILURE_OPERATION] = 1, [VM_FAILURE_USAGE] = 2,       [VM_FAILURE_NOT_FOUND] = 3,
  [VM_FAILURE_DEADLINE] = 4,  [VM_FAILURE_CANCELLED] = 130,
};

int
cli_exit_status (const GError *error)
{
  return exit_status[vm_error_failure (error)];
}

void
cli_print (Cli *cli, const char *format, ...)
{
  va_list args;
  va_start (args, format);
  g_mutex_lock (&cli->print_lock);
  vprintf (format, args);
  g_mutex_unlock (&cli->print_lock);
  va_end (args);
}

void
cli_progress (Cli *cli, const char *name, const char *format, ...)
{
  if (cli->quiet)
    return;
  va_list args;
  va_start (args, format);
  g_autofree char *text = g_strdup_vprintf (format, args);
  va_end (args);
  g_mutex_lock (&cli->print_lock);
  fprintf (stderr, "%s%s:%s %s\n", cli->color ? "\033[1m" : "", name, cli->color ? "\033[0m" : "",
           text);
  g_mutex_unlock (&cli->print_lock);
}

void
cli_relay (Cli *cli, gboolean is_stderr, const char *bytes, gsize n)
{
  FILE *stream = is_stderr ? stderr : stdout;
  g_mutex_lock (&cli->print_lock);
  fwrite (bytes, 1, n, stream);
  fflush (stream);
  g_mutex_unlock (&cli->print_lock);
}

void
cli_warn (Cli *cli, const char *line)
{
  g_mutex_lock (&cli->print_lock);
  fprintf (stderr, "%swarning:%s %s\n", cli->color ? "\033[1;33m" : "", cli->color ? "\033[0m" : "",
           line);
  g_mutex_unlock (&cli->print_lock);
}

static void
print_error_json (const GError *error)
{
  g_autoptr (JsonBuilder) builder = json_builder_new ();
  const char *help = vm_error_get_help (error);
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "error");
  json_builder_begin_object (builder);
  json_builder_set_member_name (builder, "code");
  json_builder_add_string_value (builder, vm_error_name (error));
  json_builder_set_member_name (builder, "message");
  json_builder_add_string_value (builder, error->message);
  if (help != NULL) {
    json_builder_set_member_name (builder, "help");
    json_builder_add_string_value (builder, help);
  }
  json_builder_end_object (builder);
  json_builder_end_object (builder);
  g_autoptr (JsonNode) root = json_builder_get_root (builder);
  g_autofree char *text = json_to_string (root, FALSE);
  fprintf (stderr, "%s\n", text);
}

/* @text with every line but the first moved under it. */
static char *
indent_lines (const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  return g_strjoinv ("\n    ", lines);
}

void
cli_print_error (Cli *cli, const GError *error)
{
  const char *help = vm_error_get_help (error);
  g_autofree char *message = indent_lines (error->message);
  const char *red = cli->color ? "\033[1;31m" : "";
  const char *cyan = cli->color ? "\033[36m" : "";
  const char *plain = cli->color ? "\033[0m" : "";

  g_mutex_lock (&cli->print_lock);
  fflush (stdout);
  if (cli->json) {
    print_error_json (error);
  } else {
    fprintf (stderr, "%sError:%s %s\n", red, plain, vm_error_name (error));
    fprintf (stderr, "  %s%s%s %s\n", red, cli->utf8 ? "×" : "x", plain, message);
    if (help != NULL)
      fprintf (stderr, "  %shelp:%s %s\n", cyan, plain, help);
  }
  g_mutex_unlock (&cli->print_lock);
}

char *
cli_describe_change (const VmChange *change)
{
  if (change->from == NULL && change->to == NULL)
    return g_strdup_printf ("%s differs", change->setting);
  return g_strdup_printf ("%s %s → %s", change->setting,
                          change->from != NULL ? change->from : "(none)",
                          change->to != NULL ? change->to : "(none)");
}

char *
cli_format_time (gint64 unix_s)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_local (unix_s);
  return time != NULL ? g_date_time_format (time, "%F %T") : g_strdup ("?");
}

char *
cli_describe_event (const VmEvent *event)
{
  g_autofree char *stamp = cli_format_time (event->time_s);
  return g_strdup_printf ("%s %s: %s", stamp, event->operation, event->outcome);
}

void
cli_print_table (Cli *cli, GPtrArray *rows, guint n_columns)
{
  g_autofree glong *widths = g_new0 (glong, n_columns);
  for (guint r = 0; r < rows->len; r++) {
    char **cells = rows->pdata[r];
    for (guint c = 0; c < n_columns; c++)
      widths[c] = MAX (widths[c], g_utf8_strlen (cells[c], -1));
  }
  for (guint r = 0; r < rows->len; r++) {
    char **cells = rows->pdata[r];
    g_autoptr (GString) line = g_string_new (NULL);
    for (guint c = 0; c < n_columns; c++) {
      g_string_append (line, cells[c]);
      if (c + 1 < n_columns)
        g_string_append_printf (line, "%*s", (int) (widths[c] - g_utf8_strlen (cells[c], -1)) + 2,
                                "");
    }
    cli_print (cli, "%s\n", line->str);
  }
}

void
cli_json_text (JsonBuilder *builder, const char *member, const char *text)
{
  json_builder_set_member_name (builder, member);
  if (text != NULL)
    json_builder_add_string_value (builder, text);
  else
    json_builder_add_null_value (builder);
}

void
cli_json_int (JsonBuilder *builder, const char *member, gint64 value)
{
  json_builder_set_member_name (builder, member);
  json_builder_add_int_value (builder, value);
}

void
cli_print_json (Cli *cli, JsonNode *node)
{
  g_autofree char *text = json_to_string (node, TRUE);
  cli_print (cli, "%s\n", text);
  json_node_unref (node);
}

gboolean
cli_confirm (Cli *cli, const CliArgs *args, const char *what, char **names, GError **error)
{
  char answer[16] = "";
  if (cli_args_has (args, "yes") || names[0] == NULL)
    return TRUE;
  if (!isatty (STDIN_FILENO)) {
    vm_error_set (error, VM_ERROR_USAGE, "will not %s without being sure", what);
    return vm_error_help (error, "there is no terminal to ask on: say --yes");
  }
  g_autofree char *list = g_strjoinv (", ", names);
  fprintf (stderr, "%s %s? This cannot be undone. [y/N] ", what, list);
  if (fgets (answer, sizeof answer, stdin) != NULL && g_ascii_tolower (answer[0]) == 'y')
    return TRUE;
  return vm_error_set (error, VM_ERROR_CANCELLED, "nothing was done");
}

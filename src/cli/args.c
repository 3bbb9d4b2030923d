/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/cli.h"

#include <getopt.h>
#include <string.h>

const CliOption cli_global_options[] = {
  { "json", 0, NULL, "machine-readable output" },
  { "quiet", 'q', NULL, "no progress" },
  { "verbose", 'v', NULL, "also what goes on inside" },
  { "color", 0, "WHEN", "auto, always or never" },
  { "help", 'h', NULL, "this text" },
  { 0 },
};

/* The verb's options and the global ones as one list. */
static GPtrArray *
all_options (const CliVerb *verb)
{
  GPtrArray *all = g_ptr_array_new ();
  for (const CliOption *o = verb->options; o != NULL && o->name != NULL; o++)
    g_ptr_array_add (all, (gpointer) o);
  for (const CliOption *o = cli_global_options; o->name != NULL; o++)
    g_ptr_array_add (all, (gpointer) o);
  return all;
}

static const CliOption *
find_letter (GPtrArray *options, int letter)
{
  for (guint i = 0; i < options->len; i++) {
    const CliOption *option = options->pdata[i];
    if (option->letter == letter)
      return option;
  }
  return NULL;
}

static struct option *
getopt_options (GPtrArray *options, GString *letters)
{
  struct option *table = g_new0 (struct option, options->len + 1);
  for (guint i = 0; i < options->len; i++) {
    const CliOption *option = options->pdata[i];
    table[i].name = option->name;
    table[i].has_arg = option->metavar != NULL ? required_argument : no_argument;
    if (option->letter != 0)
      g_string_append_printf (letters, "%c%s", option->letter, option->metavar != NULL ? ":" : "");
  }
  return table;
}

static void
add_value (CliArgs *args, const char *name, const char *value)
{
  GPtrArray *values = g_hash_table_lookup (args->values, name);
  if (values == NULL) {
    values = g_ptr_array_new_with_free_func (g_free);
    g_hash_table_insert (args->values, (gpointer) name, values);
  }
  g_ptr_array_add (values, g_strdup (value != NULL ? value : ""));
}

static gboolean
unknown_option (const CliVerb *verb, GPtrArray *options, const char *word, GError **error)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  for (guint i = 0; i < options->len; i++)
    g_ptr_array_add (names, (gpointer) ((const CliOption *) options->pdata[i])->name);
  g_ptr_array_add (names, NULL);
  const char *near = vm_did_you_mean (word, (const char *const *) names->pdata);

  vm_error_set (error, VM_ERROR_USAGE, "`vmctl %s` has no option --%s", verb->name, word);
  if (near != NULL)
    return vm_error_help (error, "did you mean --%s?", near);
  return vm_error_help (error, "`vmctl %s --help` lists its options", verb->name);
}

static const CliOption *
find_name (GPtrArray *options, const char *name)
{
  for (guint i = 0; i < options->len; i++) {
    const CliOption *option = options->pdata[i];
    if (g_str_equal (option->name, name))
      return option;
  }
  return NULL;
}

/* Long options have to be spelled out: getopt would take `--d` for `--destroy`. */
static gboolean
check_spelling (const CliVerb *verb, GPtrArray *options, int argc, char **argv, GError **error)
{
  for (int i = 1; i < argc; i++) {
    if (!g_str_has_prefix (argv[i], "--"))
      continue;
    const char *value = strchr (argv[i], '=');
    g_autofree char *word = value != NULL ? g_strndup (argv[i] + 2, (gsize) (value - argv[i]) - 2)
                                          : g_strdup (argv[i] + 2);
    const CliOption *option = find_name (options, word);
    if (option == NULL)
      return unknown_option (verb, options, word, error);
    if (option->metavar == NULL && value != NULL)
      return vm_error_set (error, VM_ERROR_USAGE, "--%s takes no value", word);
    if (option->metavar != NULL && value == NULL)
      i++; /* its value may look like an option */
  }
  return TRUE;
}

/* getopt_long() with its own messages off; @argv[0] is skipped. */
static gboolean
parse_options (CliArgs *args, const CliVerb *verb, int argc, char **argv, GError **error)
{
  g_autoptr (GPtrArray) options = all_options (verb);
  g_autoptr (GString) letters = g_string_new (":");
  g_autofree struct option *table = getopt_options (options, letters);
  int index = -1;
  int c;

  if (!check_spelling (verb, options, argc, argv, error))
    return FALSE;
  optind = 0;
  opterr = 0;
  while ((c = getopt_long (argc, argv, letters->str, table, &index)) != -1) {
    const CliOption *option = c == 0 ? options->pdata[index] : find_letter (options, c);
    if (c == ':')
      return vm_error_set (error, VM_ERROR_USAGE, "%s needs a value", argv[optind - 1]);
    if (option == NULL) {
      vm_error_set (error, VM_ERROR_USAGE, "`vmctl %s` has no option -%c", verb->name, optopt);
      return vm_error_help (error, "`vmctl %s --help` lists its options", verb->name);
    }
    add_value (args, option->name, optarg);
  }
  for (int i = optind; i < argc; i++)
    g_ptr_array_add (args->names, g_strdup (argv[i]));
  return TRUE;
}

static gboolean
check_names (const CliArgs *args, const CliVerb *verb, GError **error)
{
  if (cli_args_has (args, "help"))
    return TRUE;
  if (args->rest != NULL && !verb->takes_rest)
    return vm_error_set (error, VM_ERROR_USAGE, "`vmctl %s` takes nothing behind `--`", verb->name);
  if (args->names->len > verb->max_names)
    return vm_error_set (error, VM_ERROR_USAGE, "`vmctl %s` does not take \"%s\"", verb->name,
                         (char *) args->names->pdata[verb->max_names]) ||
           vm_error_help (error, "usage: vmctl %s %s", verb->name, verb->synopsis);
  if (args->names->len + cli_args_count (args, "name") >= verb->min_names ||
      cli_args_has (args, "all"))
    return TRUE;
  vm_error_set (error, VM_ERROR_USAGE, "`vmctl %s` needs the name of a VM", verb->name);
  return vm_error_help (error, "usage: vmctl %s %s", verb->name, verb->synopsis);
}

CliArgs *
cli_args_parse (const CliVerb *verb, char **argv, GError **error)
{
  g_autoptr (CliArgs) args = g_new0 (CliArgs, 1);
  args->values =
      g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) g_ptr_array_unref);
  args->names = g_ptr_array_new_with_free_func (g_free);

  int argc = 0;
  while (argv[argc] != NULL && !g_str_equal (argv[argc], "--"))
    argc++;
  if (argv[argc] != NULL)
    args->rest = g_strdupv (argv + argc + 1);
  if (!parse_options (args, verb, argc, argv, error) || !check_names (args, verb, error))
    return NULL;
  return g_steal_pointer (&args);
}

void
cli_args_free (CliArgs *args)
{
  if (args == NULL)
    return;
  g_clear_pointer (&args->values, g_hash_table_unref);
  g_clear_pointer (&args->names, g_ptr_array_unref);
  g_strfreev (args->rest);
  g_free (args);
}

const GPtrArray *
cli_args_get_all (const CliArgs *args, const char *option)
{
  return g_hash_table_lookup (args->values, option);
}

guint
cli_args_count (const CliArgs *args, const char *option)
{
  const GPtrArray *values = cli_args_get_all (args, option);
  return values != NULL ? values->len : 0;
}

gboolean
cli_args_has (const CliArgs *args, const char *option)
{
  return cli_args_count (args, option) > 0;
}

const char *
cli_args_get (const CliArgs *args, const char *option)
{
  const GPtrArray *values = cli_args_get_all (args, option);
  return values != NULL ? values->pdata[values->len - 1] : NULL;
}

const char *
cli_args_get_name (const CliArgs *args, GError **error)
{
  guint n_named = cli_args_count (args, "name");
  if (args->names->len + n_named == 1)
    return n_named == 1 ? cli_args_get (args, "name") : args->names->pdata[0];
  vm_error_set (error, VM_ERROR_USAGE, "the name of one VM is needed");
  return NULL;
}

gboolean
cli_args_get_number (const CliArgs *args, const char *option, guint64 min, guint64 max,
                     guint64 fallback, guint64 *out_value, GError **error)
{
  const char *text = cli_args_get (args, option);
  *out_value = fallback;
  if (text == NULL || g_ascii_string_to_unsigned (text, 10, min, max, out_value, NULL))
    return TRUE;
  return vm_error_set (error, VM_ERROR_USAGE,
                       "--%s takes a whole number from %" G_GUINT64_FORMAT " to %" G_GUINT64_FORMAT
                       ", not \"%s\"",
                       option, min, max, text);
}

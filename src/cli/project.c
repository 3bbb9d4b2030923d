/* SPDX-License-Identifier: MPL-2.0 */
#include "cli/cli.h"

#include <stdio.h>
#include <string.h>

/* As short as it can be from where the user stands. */
static char *
shown_path (const char *path)
{
  g_autofree char *here = g_get_current_dir ();
  gsize length = strlen (here);
  gboolean below = g_str_has_prefix (path, here) && path[length] == '/';
  return g_strdup (below ? path + length + 1 : path);
}

static void
print_diagnostics (Cli *cli, VmDiagnostics *diagnostics)
{
  g_autofree char *full = diagnostics->file;
  diagnostics->file = shown_path (full);
  if (cli->json) {
    g_autoptr (JsonNode) node = vm_diagnostics_to_json (diagnostics);
    g_autofree char *text = json_to_string (node, FALSE);
    fprintf (stderr, "{\"diagnostics\":%s}\n", text);
    return;
  }
  VmRenderFlags flags = (cli->utf8 ? VM_RENDER_UNICODE : 0) | (cli->color ? VM_RENDER_COLOUR : 0);
  g_autofree char *text = vm_diagnostics_to_text (diagnostics, flags);
  fprintf (stderr, "%s\n", text);
}

static char *
find_path (Cli *cli, const CliArgs *args, GError **error)
{
  const char *named = cli_args_get (args, "file");
  if (named != NULL)
    return g_canonicalize_filename (named, NULL);
  g_autofree char *here = g_get_current_dir ();
  gboolean is_parents = FALSE;
  char *path = NULL;
  if (!vm_file_find (here, &path, &is_parents, error))
    return NULL;
  if (is_parents)
    cli_progress (cli, "vmctl", "using %s", path);
  return path;
}

static gboolean
is_named (const GPtrArray *names, const char *name)
{
  for (guint i = 0; names != NULL && i < names->len; i++) {
    if (g_str_equal (names->pdata[i], name))
      return TRUE;
  }
  return names == NULL;
}

/* Every name that was asked for has to be in the file. */
static gboolean
check_selection (const CliProject *self, const GPtrArray *names, GError **error)
{
  g_autoptr (GPtrArray) known = g_ptr_array_new ();
  for (guint i = 0; i < self->file->vms->len; i++)
    g_ptr_array_add (known, ((VmDef *) self->file->vms->pdata[i])->name);
  g_ptr_array_add (known, NULL);
  for (guint i = 0; names != NULL && i < names->len; i++) {
    const char *const *candidates = (const char *const *) known->pdata;
    if (g_strv_contains (candidates, names->pdata[i]))
      continue;
    const char *near = vm_did_you_mean (names->pdata[i], candidates);
    vm_error_set (error, VM_ERROR_VM_NOT_FOUND, "%s has no VM \"%s\"", self->path,
                  (char *) names->pdata[i]);
    return near != NULL ? vm_error_help (error, "did you mean `%s`?", near) : FALSE;
  }
  return TRUE;
}

CliProject *
cli_project_load (Cli *cli, const CliArgs *args, GError **error)
{
  g_autoptr (CliProject) self = g_new0 (CliProject, 1);
  g_autoptr (VmDiagnostics) diagnostics = NULL;
  const GPtrArray *names = cli_args_get_all (args, "name");

  self->path = find_path (cli, args, error);
  if (self->path == NULL)
    return NULL;
  self->dir = g_path_get_dirname (self->path);
  if (!vm_file_load (self->path, &self->file, &diagnostics, error)) {
    if (diagnostics != NULL)
      print_diagnostics (cli, diagnostics);
    return NULL;
  }
  if (!check_selection (self, names, error))
    return NULL;
  g_autoptr (GPtrArray) ordered = vm_file_order (self->file);
  self->selected = g_ptr_array_new ();
  for (guint i = 0; i < ordered->len; i++) {
    if (is_named (names, ((VmDef *) ordered->pdata[i])->name))
      g_ptr_array_add (self->selected, ordered->pdata[i]);
  }
  return g_steal_pointer (&self);
}

void
cli_project_free (CliProject *self)
{
  if (self == NULL)
    return;
  g_clear_pointer (&self->selected, g_ptr_array_unref);
  vm_file_free (self->file);
  g_free (self->path);
  g_free (self->dir);
  g_free (self);
}

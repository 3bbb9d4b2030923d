/* SPDX-License-Identifier: MPL-2.0 */
#include "vmfile/file.h"

#include "vmfile/decode.h"

#include <string.h>

void
vm_file_free (VmFile *self)
{
  if (self == NULL)
    return;
  g_free (self->path);
  g_ptr_array_unref (self->vms);
  g_free (self);
}

gboolean
vm_file_load (const char *path, VmFile **out_file, VmDiagnostics **out_diagnostics, GError **error)
{
  if (!g_file_test (path, G_FILE_TEST_EXISTS))
    return vm_error_set (error, VM_ERROR_VMFILE_NOT_FOUND, "there is no file %s", path);
  g_autofree char *text = NULL;
  gsize size = 0;
  if (!vm_file_read (path, VM_FILE_MAX_SIZE, &text, &size, error))
    return FALSE;

  g_autoptr (VmDiagnostics) faults = NULL;
  KdlDocument *doc = kdl_parse (text, size, KDL_VERSION_AUTO, VM_FILE_MAX_SIZE);
  VmFile *file = vm_file_decode (path, doc, &faults);
  if (file != NULL) {
    *out_file = file;
    return TRUE;
  }
  guint n = vm_diagnostics_count (faults);
  vm_error_set (error, vm_diagnostics_code (faults), "%u %s in %s", n, n == 1 ? "fault" : "faults",
                path);
  *out_diagnostics = g_steal_pointer (&faults);
  return FALSE;
}

gboolean
vm_file_find (const char *start_dir, char **out_path, gboolean *out_is_parent, GError **error)
{
  g_autofree char *start = g_canonicalize_filename (start_dir, NULL);
  g_autofree char *dir = g_strdup (start);
  for (;;) {
    g_autofree char *path = g_build_filename (dir, VM_FILE_NAME, NULL);
    if (g_file_test (path, G_FILE_TEST_EXISTS)) {
      if (out_is_parent != NULL)
        *out_is_parent = strcmp (dir, start) != 0;
      *out_path = g_steal_pointer (&path);
      return TRUE;
    }
    char *parent = g_path_get_dirname (dir);
    gboolean at_root = strcmp (parent, dir) == 0;
    g_free (dir);
    dir = parent;
    if (at_root)
      return vm_error_set (error, VM_ERROR_VMFILE_NOT_FOUND,
                           "there is no " VM_FILE_NAME " in %s or its parent folders", start);
  }
}

const VmDef *
vm_file_get (const VmFile *self, const char *name)
{
  for (guint i = 0; i < self->vms->len; i++) {
    const VmDef *def = self->vms->pdata[i];
    if (strcmp (def->name, name) == 0)
      return def;
  }
  return NULL;
}

/* ---- order ---- */

/* A VM on the way down its dependencies. */
typedef struct {
  VmDef *def;
  guint next; /* index in its depends_on */
} Frame;

typedef enum { UNSEEN, ON_THE_WAY, DONE } Mark;

typedef struct {
  GHashTable *by_name;
  GHashTable *marks; /* VmDef * → Mark */
  GHashTable *reported;
  GArray *stack; /* of Frame; explicit, for a file may hold a chain of thousands */
  GPtrArray *order;
  VmCycleFunc on_cycle;
  gpointer data;
} Sorter;

static void
report_cycle (Sorter *self, const VmDef *entry)
{
  g_autoptr (GPtrArray) cycle = g_ptr_array_new ();
  guint first = self->stack->len - 1;
  while (g_array_index (self->stack, Frame, first).def != entry)
    first--;
  for (guint i = first; i < self->stack->len; i++) {
    VmDef *def = g_array_index (self->stack, Frame, i).def;
    if (!g_hash_table_add (self->reported, def))
      return;
    g_ptr_array_add (cycle, def);
  }
  if (self->on_cycle != NULL)
    self->on_cycle (cycle, self->data);
}

static void
enter (Sorter *self, VmDef *def)
{
  Frame frame = { def, 0 };
  g_hash_table_insert (self->marks, def, GINT_TO_POINTER (ON_THE_WAY));
  g_array_append_val (self->stack, frame);
}

static void
sort_from (Sorter *self, VmDef *start)
{
  if (g_hash_table_lookup (self->marks, start) != NULL)
    return;
  enter (self, start);
  while (self->stack->len > 0) {
    Frame *top = &g_array_index (self->stack, Frame, self->stack->len - 1);
    if (top->next == top->def->depends_on->len) {
      g_hash_table_insert (self->marks, top->def, GINT_TO_POINTER (DONE));
      g_ptr_array_add (self->order, top->def);
      g_array_set_size (self->stack, self->stack->len - 1);
      continue;
    }
    VmDef *needed = g_hash_table_lookup (self->by_name, top->def->depends_on->pdata[top->next++]);
    Mark mark = needed != NULL ? GPOINTER_TO_INT (g_hash_table_lookup (self->marks, needed)) : DONE;
    if (mark == UNSEEN)
      enter (self, needed);
    else if (mark == ON_THE_WAY)
      report_cycle (self, needed);
  }
}

GPtrArray *
vm_defs_sort (const GPtrArray *vms, VmCycleFunc on_cycle, gpointer data)
{
  g_autoptr (GHashTable) by_name = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GHashTable) marks = g_hash_table_new (NULL, NULL);
  g_autoptr (GHashTable) reported = g_hash_table_new (NULL, NULL);
  g_autoptr (GArray) stack = g_array_new (FALSE, FALSE, sizeof (Frame));
  Sorter self = { by_name, marks, reported, stack, g_ptr_array_new (), on_cycle, data };
  for (guint i = 0; i < vms->len; i++) {
    VmDef *def = vms->pdata[i];
    if (def->name != NULL)
      g_hash_table_insert (by_name, def->name, def);
  }
  for (guint i = 0; i < vms->len; i++)
    sort_from (&self, vms->pdata[i]);
  return self.order;
}

GPtrArray *
vm_file_order (const VmFile *self)
{
  return vm_defs_sort (self->vms, NULL, NULL);
}
